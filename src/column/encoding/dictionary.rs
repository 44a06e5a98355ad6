//! Few different values: each once, in order, and for every row its place among them.
//!
//! ```text
//!  0  u32  number of values, at least 1
//!  4  u8   encoding of the values, any of numbers but this one
//!  5  u8   order of the codes, 0 or 1
//!  6  u16  zero
//!  8  u32  bytes of the values
//! 12       the values
//!          the codes, as integers of that order
//! ```
//!
//! Values stand in the order of integers (of doubles: of their total order), so that what is
//! close has close codes.

use super::integer::{self, Order, Packing, Sample, Scratch};
use super::kernels::{VECTOR, ordered};
use super::numbers::{self, Number};
use super::{Decode, Policy, simd};
use crate::format::bytes::{u16_at, u32_at};
use crate::format::chunk::BLOCK_ROWS_MAX;
use crate::format::column::EncodingId;

/// More different values than this are no dictionary.
const VALUES_MAX: usize = 4096;

/// Values that were seen, and the order in which they came.
struct Distinct {
    /// Places in `values`, plus 1; 0 is free. Twice as many as values at least.
    slots: Vec<u16>,
    values: Vec<u64>,
}

impl Distinct {
    const SLOTS: usize = VALUES_MAX * 4;

    /// The values and for each row the number of its own; `None` if they are too many.
    fn of(words: &[u64], max: usize) -> Option<(Vec<u64>, Vec<u16>)> {
        let mut distinct = Distinct { slots: vec![0; Self::SLOTS], values: Vec::new() };
        let mut codes = Vec::with_capacity(words.len());
        for word in words {
            codes.push(distinct.number(*word)?);
            if distinct.values.len() > max {
                return None;
            }
        }
        Some((distinct.values, codes))
    }

    fn number(&mut self, word: u64) -> Option<u16> {
        // Fibonacci hashing: the upper bits of the product are well mixed.
        let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::SLOTS.ilog2());
        let mut at = usize::try_from(hash).ok()?;
        loop {
            let slot = self.slots.get_mut(at % Self::SLOTS)?;
            match slot.checked_sub(1) {
                Some(number) if self.values.get(usize::from(number)) == Some(&word) => {
                    return Some(number);
                }
                Some(_) => at += 1,
                None => {
                    let number = u16::try_from(self.values.len()).ok()?;
                    *slot = number.checked_add(1)?;
                    self.values.push(word);
                    return Some(number);
                }
            }
        }
    }
}

/// How many bits a dictionary takes at least, judged by a sample: `None` if its values hardly
/// repeat.
pub(super) fn estimate(sample: &Sample) -> Option<f64> {
    let mut all: Vec<u64> = sample.spread.iter().flatten().copied().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    (all.len() * 8 <= count * 5).then(|| f64::from(all.len().max(2).ilog2()))
}

/// Appends a dictionary if it takes less than `less_than` bytes.
pub(super) fn encode(
    words: &[u64],
    number: Number,
    policy: Policy,
    less_than: usize,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> bool {
    let max = VALUES_MAX.min(words.len() / 2 + 1);
    let Some((mut values, mut codes)) = Distinct::of(words, max) else { return false };
    let key = |word: u64| match number {
        Number::Int => word.cast_signed(),
        Number::Float => ordered(word).cast_signed(),
    };
    let mut by_value: Vec<u16> = (0..).take(values.len()).collect();
    let value_of = |place: &u16| values.get(usize::from(*place)).copied().unwrap_or(0);
    by_value.sort_unstable_by_key(|place| key(value_of(place)));
    let sorted: Vec<u64> = by_value.iter().map(value_of).collect();
    let mut code_of = vec![0_u16; values.len()];
    for (code, place) in (0..).zip(&by_value) {
        if let Some(slot) = code_of.get_mut(usize::from(*place)) {
            *slot = code;
        }
    }
    values = sorted;
    let recode = |code: &u16| code_of.get(usize::from(*code)).copied().unwrap_or(0);
    codes.iter_mut().for_each(|code| *code = recode(code));
    let codes: Vec<u64> = codes.into_iter().map(u64::from).collect();
    let order = integer::estimate(&Sample::of(&codes), &[Order::Zero, Order::One]).order;

    let begin = out.len();
    out.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_le_bytes());
    let encoding_at = out.len();
    out.extend([0, u8::from(order == Order::One), 0, 0]);
    out.extend([0; 4]);
    let values_at = out.len();
    let nested = Policy { compression: false, cold: false, ..policy };
    let encoding = numbers::Encoder::new(number, nested).encode(&values, out);
    let len = u32::try_from(out.len() - values_at).unwrap_or(u32::MAX);
    if let Some(byte) = out.get_mut(encoding_at) {
        *byte = encoding as u8;
    }
    if let Some(slot) = out.get_mut(encoding_at + 4..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = len.to_le_bytes();
    }
    integer::encode(&codes, order, 1, scratch, out);
    if out.len() - begin < less_than {
        return true;
    }
    out.truncate(begin);
    false
}

/// Writes the values of all rows.
pub(super) fn decode(
    stored: &[u8],
    number: Number,
    packing: Packing,
    out: &mut [[u8; 8]],
) -> Decode<()> {
    const SHORT: &str = "a dictionary is cut short";
    let count = u32_at(stored, 0).ok_or(SHORT)?;
    let [encoding, order] = *stored.get(4..).and_then(|rest| rest.first_chunk()).ok_or(SHORT)?;
    let holds = u16_at(stored, 6) == Some(0) && (1..=BLOCK_ROWS_MAX).contains(&count) && order < 2;
    if !holds {
        return Err("the header of a dictionary contradicts itself");
    }
    let encoding =
        EncodingId::from_u8(encoding).map_err(|_| "an unknown encoding in a dictionary")?;
    if matches!(encoding, EncodingId::Dictionary | EncodingId::Pco) {
        return Err("a dictionary of dictionaries");
    }
    let len = u32_at(stored, 8).ok_or(SHORT)? as usize;
    let (values, codes) =
        stored.get(12..).and_then(|rest| rest.split_at_checked(len)).ok_or(SHORT)?;
    // At most 512 KiB.
    let mut table = vec![[0; 8]; count as usize];
    numbers::decode(values, encoding, number, Packing::Bits, &mut table)?;
    let order = if order == 0 { Order::Zero } else { Order::One };
    let mut decoder = integer::Decoder::with_packing(codes, order, packing, out.len())?;
    let mut vector = [0; VECTOR];
    for out in out.chunks_mut(VECTOR) {
        let codes = decoder.next(&mut vector)?;
        let (min, max) = simd::min_max(codes);
        if min < 0 || max >= i64::from(count) {
            return Err("a code lies outside its dictionary");
        }
        for (out, code) in out.iter_mut().zip(codes) {
            let value = usize::try_from(*code).ok().and_then(|code| table.get(code));
            *out = value.copied().unwrap_or_default();
        }
    }
    if decoder.rest().is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
}
