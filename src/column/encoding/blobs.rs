//! Texts and bytes of a block: where they end, and their bytes.
//!
//! The two columns are encoded together where values repeat: the column of offsets then holds
//! codes and the column of data each value once.
//!
//! ```text
//! offsets, delta         as integers of order 1, counted from the first offset of the block
//! offsets, lz4           the raw offsets as one LZ4 block, likewise counted
//! offsets, dictionary     0  u32  number of values, at least 1
//!                         4       their lengths, packed
//!                                 the code of each row, as integers of order 0
//! data, lz4              one LZ4 block
//! data, dictionary        0  u8   0: the values, one after the other
//!                                 1: u32, their bytes together, and the LZ4 block of them
//! ```

use std::collections::HashMap;

use super::integer::{self, Order, Scratch};
use super::kernels::VECTOR;
use super::{Decode, Policy, lz4, packed};
use crate::format::bytes::Fields;
use crate::format::column::EncodingId;

/// Texts whose values repeat less often than this on average are no dictionary.
const REPEATS_MIN: usize = 4;

/// A block of texts as it will be stored.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// `None`: raw.
    pub(crate) offsets: Option<(EncodingId, Vec<u8>)>,
    /// `None`: raw.
    pub(crate) data: Option<(EncodingId, Vec<u8>)>,
}

/// Encodes the values with these lengths, which lie in `data` one after the other.
pub(crate) fn encode(lens: &[u32], data: &[u8], policy: Policy) -> Encoded {
    // A column of no bytes is raw, and half a dictionary is none.
    if policy.compression
        && !data.is_empty()
        && let Some((offsets, values)) = encode_dictionary(lens, data)
    {
        return Encoded {
            offsets: Some((EncodingId::Dictionary, offsets)),
            data: Some((EncodingId::Dictionary, values)),
        };
    }
    let data = if policy.compression { lz4::compress(data) } else { None };
    let raw_len = (lens.len() + 1) * 4;
    let offsets = || {
        let mut end = 0_u32;
        std::iter::once(0).chain(lens.iter().map(move |len| {
            end = end.wrapping_add(*len);
            end
        }))
    };
    let offsets = if policy.delta {
        let words: Vec<u64> = offsets().map(u64::from).collect();
        let mut out = Vec::new();
        integer::encode(&words, Order::One, 1, &mut Scratch::default(), &mut out);
        (out.len() < raw_len).then_some((EncodingId::Delta, out))
    } else if policy.compression {
        let raw: Vec<u8> = offsets().flat_map(u32::to_le_bytes).collect();
        lz4::compress(&raw).map(|stored| (EncodingId::Lz4, stored))
    } else {
        None
    };
    Encoded { offsets, data: data.map(|stored| (EncodingId::Lz4, stored)) }
}

fn values<'a>(lens: &[u32], data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = data;
    lens.iter().map(move |len| {
        let (value, behind) = rest.split_at_checked(*len as usize).unwrap_or((rest, &[]));
        rest = behind;
        value
    })
}

/// Offsets and data as a dictionary, if that is smaller than LZ4 is likely to be.
fn encode_dictionary(lens: &[u32], data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let max = lens.len() / REPEATS_MIN;
    // A few rows from all over tell most columns of different texts at once.
    const FEW: usize = 64;
    if lens.len() >= 4 * FEW {
        let step = lens.len() / FEW;
        let mut few: Vec<&[u8]> = values(lens, data).step_by(step).take(FEW).collect();
        few.sort_unstable();
        few.dedup();
        if few.len() * 8 > FEW * 7 {
            return None;
        }
    }
    let mut codes_of: HashMap<&[u8], u64, foldhash::fast::RandomState> = HashMap::default();
    let (mut distinct, mut value_lens, mut codes) = (Vec::new(), Vec::new(), Vec::new());
    for value in values(lens, data) {
        let next = value_lens.len() as u64;
        let code = *codes_of.entry(value).or_insert_with(|| {
            distinct.extend_from_slice(value);
            value_lens.push(value.len() as u64);
            next
        });
        if value_lens.len() > max {
            return None;
        }
        codes.push(code);
    }
    let mut offsets = Vec::new();
    offsets.extend(u32::try_from(value_lens.len()).ok()?.to_le_bytes());
    packed::encode(&value_lens, &mut offsets);
    integer::encode(&codes, Order::Zero, 1, &mut Scratch::default(), &mut offsets);
    let raw_len = (lens.len() + 1) * 4;
    let mut stored = Vec::new();
    match lz4::compress(&distinct) {
        Some(block) => {
            stored.push(1);
            stored.extend(u32::try_from(distinct.len()).ok()?.to_le_bytes());
            stored.extend(block);
        }
        None => {
            stored.push(0);
            stored.extend(distinct);
        }
    }
    (offsets.len() + stored.len() < (raw_len + data.len()) / 4 * 3).then_some((offsets, stored))
}

/// Offsets and data of a block, encoded as a dictionary.
pub(crate) struct Dictionary {
    lens: Vec<u32>,
    codes: Vec<u32>,
}

impl Dictionary {
    /// Reads the codes of `rows` rows from a column of offsets.
    pub(crate) fn read(stored: &[u8], rows: usize) -> Decode<Self> {
        const SHORT: &str = "a dictionary of texts is cut short";
        let mut fields = Fields::new(stored);
        let count = fields.u32().ok_or(SHORT)? as usize;
        // Every value occurs.
        if count > rows {
            return Err("a dictionary of more values than rows");
        }
        let narrow =
            |word: &u64| u32::try_from(*word).map_err(|_| "a text of an impossible length");
        let (mut lens, mut vector) = (Vec::with_capacity(count), [0; VECTOR]);
        while lens.len() < count {
            let some = (count - lens.len()).min(VECTOR);
            packed::decode_vector(&mut fields, some, &mut vector)?;
            for word in vector.iter().take(some) {
                lens.push(narrow(word)?);
            }
        }
        let rest = fields.take(fields.remaining()).unwrap_or_default();
        let mut decoder = integer::Decoder::new(rest, Order::Zero, rows)?;
        let mut codes = Vec::with_capacity(rows);
        while codes.len() < rows {
            for word in decoder.next(&mut vector)? {
                let code = u32::try_from(*word).ok().filter(|code| (*code as usize) < count);
                codes.push(code.ok_or("a code lies outside its dictionary")?);
            }
        }
        if !decoder.rest().is_empty() {
            return Err("bytes are left over behind a column");
        }
        Ok(Dictionary { lens, codes })
    }

    /// Writes the offsets, from `start` on; `out` has one more than rows.
    fn store_offsets(&self, start: u64, out: &mut [[u8; 4]]) -> Decode<()> {
        let lens = self.codes.iter().map(|code| self.lens.get(*code as usize).copied());
        store_offsets(start, lens.map(|len| u64::from(len.unwrap_or(0))), out)
    }

    /// Writes the bytes of all rows.
    pub(crate) fn store_data(&self, stored: &[u8], out: &mut [u8]) -> Decode<()> {
        let wrong = "the values of a dictionary do not fit their lengths";
        let total: u64 = self.lens.iter().map(|len| u64::from(*len)).sum();
        let (form, rest) = stored.split_first().ok_or(wrong)?;
        let mut decoded = Vec::new();
        let distinct = match form {
            0 => rest,
            1 => {
                let (len, block) = rest.split_first_chunk().ok_or(wrong)?;
                let len = u32::from_le_bytes(*len);
                let holds = u64::from(len) == total
                    && total <= lz4::decoded_len_max(block.len() as u64)
                    && total <= out.len() as u64;
                if !holds {
                    return Err(wrong);
                }
                decoded.resize(len as usize, 0);
                lz4::decompress(block, &mut decoded)?;
                &decoded
            }
            _ => return Err("a dictionary of an unknown form"),
        };
        if distinct.len() as u64 != total {
            return Err(wrong);
        }
        let values: Vec<&[u8]> = values(&self.lens, distinct).collect();
        let mut rest = out;
        for code in &self.codes {
            let value = values.get(*code as usize).copied().unwrap_or_default();
            let (slot, behind) = rest.split_at_mut_checked(value.len()).ok_or(wrong)?;
            slot.copy_from_slice(value);
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Writes offsets: `start`, then the sums of the lengths.
fn store_offsets(start: u64, lens: impl Iterator<Item = u64>, out: &mut [[u8; 4]]) -> Decode<()> {
    let narrow = |end: u64| i32::try_from(end).map_err(|_| "offsets of texts are too large");
    let mut end = start;
    let (first, out) = out.split_first_mut().ok_or("a block without offsets")?;
    *first = narrow(end)?.to_le_bytes();
    for (out, len) in out.iter_mut().zip(lens) {
        end = end.saturating_add(len);
        *out = narrow(end)?.to_le_bytes();
    }
    Ok(())
}

/// Writes the offsets of a block whose data begin `start` bytes behind the start of the run.
pub(crate) fn decode_offsets(
    stored: &[u8],
    encoding: EncodingId,
    start: u64,
    out: &mut [u8],
) -> Decode<()> {
    let too_large = "offsets of texts are too large";
    if encoding == EncodingId::Lz4 {
        lz4::decompress(stored, out)?;
    }
    let out = out.as_chunks_mut::<4>().0;
    let shift = i32::try_from(start).map_err(|_| too_large)?;
    match encoding {
        EncodingId::Delta => {
            let mut decoder = integer::Decoder::new(stored, Order::One, out.len())?;
            let mut vector = [0; VECTOR];
            for out in out.chunks_mut(VECTOR) {
                for (out, word) in out.iter_mut().zip(decoder.next(&mut vector)?) {
                    let offset = i32::try_from(*word).ok().and_then(|word| word.checked_add(shift));
                    *out = offset.ok_or(too_large)?.to_le_bytes();
                }
            }
            let rest = decoder.rest();
            if rest.is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
        }
        EncodingId::Lz4 => {
            for out in out {
                let offset = i32::from_le_bytes(*out).checked_add(shift).ok_or(too_large)?;
                *out = offset.to_le_bytes();
            }
            Ok(())
        }
        EncodingId::Dictionary => {
            let rows = out.len().saturating_sub(1);
            Dictionary::read(stored, rows)?.store_offsets(start, out)
        }
        _ => Err("an encoding that does not fit its column"),
    }
}
