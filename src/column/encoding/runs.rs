//! Small columns of few values: validity and kinds, as one value, as runs, or in few bits.
//!
//! Runs are
//!
//! ```text
//!  0  u32  number of runs
//!          the lengths of the runs, packed; they add up to the rows
//!          the value of each run: u8 a run of kinds; for validity one u8, the bit of the first
//!          run, and the others are in turn the other one and it
//! ```

use std::ops::Range;

use super::kernels::VECTOR;
use super::{Decode, packed};
use crate::format::bytes::Fields;

/// Appends the number of runs and their lengths.
pub(super) fn encode_lengths(lens: &[u64], out: &mut Vec<u8>) {
    out.extend(u32::try_from(lens.len()).unwrap_or(u32::MAX).to_le_bytes());
    packed::encode(lens, out);
}

/// Calls `run` with the number and the rows of each run; they cover `rows` rows. Returns how many
/// there are.
pub(super) fn decode_lengths(
    fields: &mut Fields<'_>,
    rows: usize,
    mut run: impl FnMut(usize, Range<usize>),
) -> Decode<usize> {
    let wrong = "the lengths of runs do not add up to their rows";
    let count = fields.u32().ok_or("runs are cut short")? as usize;
    // At most one of them is empty: the first one.
    if count > rows + 1 {
        return Err(wrong);
    }
    let (mut done, mut number) = (0_usize, 0_usize);
    let mut vector = [0; VECTOR];
    while number < count {
        let some = (count - number).min(VECTOR);
        packed::decode_vector(fields, some, &mut vector)?;
        for len in vector.iter().take(some) {
            let end = usize::try_from(*len).ok().and_then(|len| done.checked_add(len));
            let end = end.filter(|end| *end <= rows).ok_or(wrong)?;
            run(number, done..end);
            done = end;
            number += 1;
        }
    }
    if done == rows { Ok(count) } else { Err(wrong) }
}

fn bit(bitmap: &[u8], row: usize) -> bool {
    bitmap.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// Appends a bitmap of so many rows, the bits behind them 0, as runs if that is less than
/// `less_than` bytes.
pub(super) fn encode_bitmap(
    bitmap: &[u8],
    rows: usize,
    less_than: usize,
    out: &mut Vec<u8>,
) -> bool {
    let mut lens = Vec::new();
    let first = bit(bitmap, 0);
    let (mut value, mut start) = (first, 0);
    let mut row = 0;
    while row < rows {
        // Whole bytes of the same bits are most of them.
        let same = if value { u8::MAX } else { 0 };
        if row % 8 == 0 && bitmap.get(row / 8) == Some(&same) && row + 8 <= rows {
            row += 8;
            continue;
        }
        if bit(bitmap, row) != value {
            lens.push((row - start) as u64);
            (value, start) = (!value, row);
        }
        row += 1;
    }
    lens.push((rows - start) as u64);
    let begin = out.len();
    encode_lengths(&lens, out);
    out.push(u8::from(first));
    if out.len() - begin < less_than {
        return true;
    }
    out.truncate(begin);
    false
}

/// Writes a bitmap of so many rows.
pub(super) fn decode_bitmap(stored: &[u8], rows: usize, out: &mut [u8]) -> Decode<()> {
    let mut fields = Fields::new(stored);
    out.fill(0);
    // The value stands behind the lengths: a bitmap of the odd runs first, turned over if need be.
    decode_lengths(&mut fields, rows, |run, range| {
        if run % 2 == 1 {
            set_bits(out, range);
        }
    })?;
    match (fields.u8(), fields.is_empty()) {
        (Some(0), true) => Ok(()),
        (Some(1), true) => {
            out.iter_mut().for_each(|byte| *byte = !*byte);
            clear_behind(out, rows);
            Ok(())
        }
        _ => Err("runs of a bitmap do not end with their first bit"),
    }
}

fn set_bits(bitmap: &mut [u8], rows: Range<usize>) {
    let (mut row, end) = (rows.start, rows.end);
    while row < end {
        let last = (row | 7).saturating_add(1).min(end);
        if let Some(byte) = bitmap.get_mut(row / 8) {
            let count = last - row;
            *byte |= if count == 8 { u8::MAX } else { ((1_u8 << count) - 1) << (row % 8) };
        }
        row = last;
    }
}

/// Clears the bits behind the last row.
pub(super) fn clear_behind(bitmap: &mut [u8], rows: usize) {
    if !rows.is_multiple_of(8)
        && let Some(byte) = bitmap.get_mut(rows / 8)
    {
        *byte &= (1 << (rows % 8)) - 1;
    }
}

/// Appends bytes as runs if that is less than `less_than` bytes.
pub(super) fn encode_bytes(bytes: &[u8], less_than: usize, out: &mut Vec<u8>) -> bool {
    let (mut lens, mut values): (Vec<u64>, Vec<u8>) = (Vec::new(), Vec::new());
    for run in bytes.chunk_by(|a, b| a == b) {
        lens.push(run.len() as u64);
        values.extend(run.first());
        if values.len() >= less_than {
            return false;
        }
    }
    let begin = out.len();
    encode_lengths(&lens, out);
    out.extend(values);
    if out.len() - begin < less_than {
        return true;
    }
    out.truncate(begin);
    false
}

/// Writes bytes that were stored as runs.
pub(super) fn decode_bytes(stored: &[u8], out: &mut [u8]) -> Decode<()> {
    let mut fields = Fields::new(stored);
    // The values stand behind the lengths.
    let mut ends = Vec::new();
    let count = decode_lengths(&mut fields, out.len(), |_, range| ends.push(range.end))?;
    let values = fields.take(count).ok_or("runs are cut short")?;
    let mut start = 0;
    for (end, value) in ends.into_iter().zip(values) {
        out.get_mut(start..end).unwrap_or_default().fill(*value);
        start = end;
    }
    if fields.is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
}
