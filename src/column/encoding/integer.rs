//! Integers: as they are, or as differences of order one or two, divided by what divides all.
//!
//! ```text
//!  0  u64  start
//!  8  u64  divisor
//! 16  u64  first difference; second order only
//!          the quotients, packed
//! ```
//!
//! Order 0 (frame of reference): a value is start + divisor * quotient. Order 1 (delta): a value is
//! the one before, the first time the start, + divisor * quotient. Order 2 (delta of delta): the
//! same for the differences, from the first difference on. Everything wraps, so that any 64 bits
//! survive.
//!
//! The first difference repeats the second one, and the first difference of differences is none:
//! a lone large number at the front would widen the vector or become an outlier.
//!
//! In the cold tier the quotients are not packed but compressed by pco: u32, their bytes, and a file
//! of its standalone format, of `i64`.

use super::Decode;
use super::kernels::{VECTOR, Vector};
use super::{cold, packed, simd};
use crate::format::bytes::Fields;

/// How often differences are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Zero,
    One,
    Two,
}

impl Order {
    pub(super) const ALL: [Order; 3] = [Order::Zero, Order::One, Order::Two];
}

/// How the quotients are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Packing {
    /// In few bits.
    #[default]
    Bits,
    /// By pco.
    Cold,
}

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) packing: Packing,
    residuals: Vec<u64>,
    deltas: Vec<u64>,
}

/// What is left of values when as many differences were taken, and what they start from.
fn residuals(values: &[u64], order: Order, scratch: &mut Scratch) -> (u64, u64) {
    let first = values.first().copied().unwrap_or(0);
    let Scratch { residuals, deltas, .. } = scratch;
    residuals.resize(values.len(), 0);
    if order == Order::Zero {
        residuals.copy_from_slice(values);
        return (0, 0);
    }
    let deltas = if order == Order::One { residuals } else { deltas };
    deltas.resize(values.len(), 0);
    simd::differences(values, first, deltas);
    let second = deltas.get(1).copied().unwrap_or(0);
    if let Some(delta) = deltas.first_mut() {
        *delta = second;
    }
    let start = first.wrapping_sub(second);
    if order == Order::Two {
        simd::differences(&scratch.deltas, second, &mut scratch.residuals);
    }
    (start, second)
}

/// Division without a remainder, by multiplication: a division takes ten times as long.
struct Divider {
    /// The odd part of the divisor times this is 1, modulo 2^64.
    inverse: u64,
    /// How often the divisor has the factor 2.
    twos: u32,
    /// The largest quotient that there is.
    most: u64,
}

impl Divider {
    /// Of a divisor that is not 0.
    fn of(divisor: u64) -> Divider {
        let twos = divisor.trailing_zeros();
        let odd = divisor >> (twos % u64::BITS);
        // Right in the lowest three bits, and in twice as many after each step.
        let mut inverse = odd;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Divider { inverse, twos, most: u64::MAX.checked_div(divisor).unwrap_or(u64::MAX) }
    }

    /// Whether the divisor divides it. The inverse moves the quotients of those that it divides to the front
    /// of all numbers, and all others behind them.
    fn divides(&self, word: u64) -> bool {
        word.wrapping_mul(self.inverse).rotate_right(self.twos) <= self.most
    }

    /// The quotient of a signed number that the divisor divides.
    fn signed_quotient(&self, word: u64) -> u64 {
        let odd = word.cast_signed() >> (self.twos % u64::BITS);
        odd.cast_unsigned().wrapping_mul(self.inverse)
    }
}

/// The largest number that divides all of the words and `divisor`, which is not 0: 1 in most
/// cases after a few of them.
pub(super) fn common_divisor(words: &[u64], mut divisor: u64) -> u64 {
    let mut divider = Divider::of(divisor);
    for word in words {
        let mut rest = word.cast_signed().unsigned_abs();
        if divider.divides(rest) {
            continue;
        }
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        if divisor == 1 {
            break;
        }
        divider = Divider::of(divisor);
    }
    divisor
}

/// As [`residuals`], divided by what divides all of them and `divisor`, which is the third result.
fn quotients(values: &[u64], order: Order, divisor: u64, scratch: &mut Scratch) -> (u64, u64, u64) {
    let (mut start, first_delta) = residuals(values, order, scratch);
    if divisor <= 1 {
        return (start, first_delta, 1);
    }
    let residuals = &mut scratch.residuals;
    if order == Order::Zero {
        start = values.first().copied().unwrap_or(0);
        simd::add(residuals, start.wrapping_neg());
    }
    // A divisor beyond the signed numbers would be taken for a negative one.
    match i64::try_from(common_divisor(residuals, divisor)) {
        Ok(by) if by > 1 => {
            let by = by.cast_unsigned();
            let divider = Divider::of(by);
            for word in residuals.iter_mut() {
                *word = divider.signed_quotient(*word);
            }
            (start, first_delta, by)
        }
        _ => (start, first_delta, 1),
    }
}

/// Appends the values. `divisor` is what a sample suggests; 1 asks for no division.
pub(super) fn encode(
    values: &[u64],
    order: Order,
    divisor: u64,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let (start, first_delta, divisor) = quotients(values, order, divisor, scratch);
    out.extend(start.to_le_bytes());
    out.extend(divisor.to_le_bytes());
    if order == Order::Two {
        out.extend(first_delta.to_le_bytes());
    }
    match scratch.packing {
        Packing::Bits => packed::encode(&scratch.residuals, out),
        Packing::Cold => cold::encode_quotients(&scratch.residuals, out),
    }
}

/// What values would take, from some of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) order: Order,
    pub(super) divisor: u64,
    pub(super) bits_per_value: f64,
}

impl Estimate {
    /// Differences, divided by what divides all of them, unseen.
    pub(super) fn of_steps(values: &[u64]) -> Estimate {
        let steps = values.iter().zip(values.iter().skip(1));
        let mut steps = steps.map(|(before, value)| value.wrapping_sub(*before));
        let divisor = steps.find(|step| *step != 0).map_or(1, |s| s.cast_signed().unsigned_abs());
        Estimate { order: Order::One, divisor, bits_per_value: 0.0 }
    }
}

/// Compares the orders by samples: runs of neighbours for the differences, and for the values
/// themselves samples that each come from all over a vector.
pub(super) fn estimate(sample: &Sample, orders: &[Order]) -> Estimate {
    let mut best = Estimate { order: Order::Zero, divisor: 1, bits_per_value: f64::INFINITY };
    let mut scratch = Scratch::default();
    let divisor = sample.runs.iter().fold(0, |divisor, run| {
        residuals(run, Order::One, &mut scratch);
        match (divisor, scratch.residuals.iter().find(|delta| **delta != 0)) {
            (1, _) | (_, None) => divisor,
            (0, Some(delta)) => {
                common_divisor(&scratch.residuals, delta.cast_signed().unsigned_abs())
            }
            _ => common_divisor(&scratch.residuals, divisor),
        }
    });
    for order in orders {
        let stretches = if *order == Order::Zero { &sample.spread } else { &sample.runs };
        let (mut bits, mut count) = (0, 0_u64);
        for stretch in stretches {
            quotients(stretch, *order, divisor, &mut scratch);
            bits += packed::estimate_bits(&scratch.residuals);
            count += stretch.len() as u64;
        }
        let bits_per_value = bits as f64 / count.max(1) as f64;
        // A few hundredths of a bit are within the error, and lower orders are decoded faster.
        if bits_per_value < best.bits_per_value - 0.02 {
            best = Estimate { order: *order, divisor: divisor.max(1), bits_per_value };
        }
    }
    best
}

/// A part of the values, enough to tell encodings apart.
#[derive(Debug)]
pub(super) struct Sample {
    /// Runs of neighbours.
    pub(super) runs: Vec<Vec<u64>>,
    /// Values from all over a vector each.
    pub(super) spread: Vec<Vec<u64>>,
}

impl Sample {
    const PARTS: usize = 4;
    const LEN: usize = 64;

    pub(super) fn of(values: &[u64]) -> Sample {
        if values.len() <= Self::PARTS * Self::LEN {
            let all = vec![values.to_vec()];
            return Sample { runs: all.clone(), spread: all };
        }
        let part = values.len() / Self::PARTS;
        let (mut runs, mut spread) = (Vec::new(), Vec::new());
        for values in values.chunks_exact(part) {
            let vector = values.get(..VECTOR).unwrap_or(values);
            // Odd, so that it does not always meet the same phase of what comes in turns.
            let step = (vector.len() / Self::LEN - 1) | 1;
            spread.push(vector.iter().copied().step_by(step).take(Self::LEN).collect());
            let middle = (values.len() - Self::LEN) / 2;
            runs.push(values.iter().copied().skip(middle).take(Self::LEN).collect());
        }
        Sample { runs, spread }
    }

    /// The same for what the values are turned into.
    pub(super) fn map(&self, mut to: impl FnMut(&[u64]) -> Vec<u64>) -> Sample {
        let runs = self.runs.iter().map(|run| to(run)).collect();
        let spread = self.spread.iter().map(|stretch| to(stretch)).collect();
        Sample { runs, spread }
    }
}

/// Reads values vector by vector.
pub(super) struct Decoder<'a> {
    fields: Fields<'a>,
    order: Order,
    value: u64,
    delta: u64,
    divisor: u64,
    left: usize,
    /// Of the cold tier, all of them, and how many were handed out.
    quotients: Option<(Vec<[u8; 8]>, usize)>,
}

impl<'a> Decoder<'a> {
    /// Reads `len` values from the start of `stored`.
    pub(super) fn new(stored: &'a [u8], order: Order, len: usize) -> Decode<Self> {
        Self::with_packing(stored, order, Packing::Bits, len)
    }

    /// The same with quotients packed as said.
    pub(super) fn with_packing(
        stored: &'a [u8],
        order: Order,
        packing: Packing,
        len: usize,
    ) -> Decode<Self> {
        const SHORT: &str = "encoded integers are cut short";
        let mut fields = Fields::new(stored);
        let value = fields.u64().ok_or(SHORT)?;
        let divisor = fields.u64().ok_or(SHORT)?;
        let delta = if order == Order::Two { fields.u64().ok_or(SHORT)? } else { 0 };
        let quotients = match packing {
            Packing::Bits => None,
            Packing::Cold => Some((cold::decode_quotients(&mut fields, len)?, 0)),
        };
        Ok(Decoder { fields, order, value, delta, divisor, left: len, quotients })
    }

    /// The next values, fewer than a vector at the end, none behind it.
    pub(super) fn next<'v>(&mut self, vector: &'v mut Vector) -> Decode<&'v mut [u64]> {
        let steps = self.next_steps(vector)?;
        match self.order {
            Order::Zero if self.value == 0 => {}
            Order::Zero => simd::add(steps, self.value),
            Order::One => simd::scan(steps, &mut self.value),
            Order::Two => simd::scan_twice(steps, &mut self.delta, &mut self.value),
        }
        Ok(steps)
    }

    /// The next quotients times the divisor.
    fn next_steps<'v>(&mut self, vector: &'v mut Vector) -> Decode<&'v mut [u64]> {
        let count = self.left.min(VECTOR);
        if count == 0 {
            return Ok(&mut []);
        }
        self.left -= count;
        match &mut self.quotients {
            None => packed::decode_vector(&mut self.fields, count, vector)?,
            Some((quotients, done)) => {
                let some = quotients.get(*done..).unwrap_or_default();
                for (slot, bytes) in vector.iter_mut().zip(some) {
                    *slot = u64::from_le_bytes(*bytes);
                }
                *done += count;
            }
        }
        let steps = vector.get_mut(..count).unwrap_or_default();
        if self.divisor != 1 {
            simd::multiply(steps, self.divisor);
        }
        Ok(steps)
    }

    /// Writes the next values; as many as a vector has, fewer at the end.
    pub(super) fn store_next(&mut self, vector: &mut Vector, out: &mut [[u8; 8]]) -> Decode<()> {
        if self.order == Order::One {
            let steps = self.next_steps(vector)?;
            simd::scan_store(steps, &mut self.value, out);
        } else {
            let values = self.next(vector)?;
            simd::store(values, out);
        }
        Ok(())
    }

    /// Writes the next doubles whose bits were mapped to integers of their order.
    pub(super) fn store_next_ordered(
        &mut self,
        vector: &mut Vector,
        out: &mut [[u8; 8]],
    ) -> Decode<()> {
        let steps = self.next_steps(vector)?;
        simd::scan_store_ordered(steps, &mut self.value, out);
        Ok(())
    }

    /// What stands behind the values, all of which were read.
    pub(super) fn rest(self) -> Fields<'a> {
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::encoding::testing::words;

    /// Numbers at which something turns, and any.
    fn number() -> impl Strategy<Value = u64> {
        let bent = (0..64_u32, 0..5_u64)
            .prop_map(|(bit, off)| (1_u64 << bit).wrapping_add(off).wrapping_sub(2));
        prop_oneof![bent, any::<u64>(), 0..1000_u64]
    }

    proptest! {
        #[test]
        fn a_divider_divides_as_the_processor_does(
            divisor in number().prop_filter("not 0", |divisor| *divisor != 0),
            word in number(),
        ) {
            let divider = Divider::of(divisor);
            prop_assert_eq!(divider.divides(word), word % divisor == 0);
            let multiple = word / divisor * divisor;
            prop_assert!(divider.divides(multiple));
            if let Ok(by) = i64::try_from(divisor) {
                let multiple = word.cast_signed().wrapping_div(by).wrapping_mul(by);
                let quotient = divider.signed_quotient(multiple.cast_unsigned()).cast_signed();
                prop_assert_eq!(quotient, multiple / by);
            }
        }
    }

    fn round_trip(values: &[u64], order: Order, divisor: u64) -> usize {
        let mut out = Vec::new();
        encode(values, order, divisor, &mut Scratch::default(), &mut out);
        let mut decoder = Decoder::new(&out, order, values.len()).unwrap();
        let (mut found, mut vector) = (Vec::new(), [0; VECTOR]);
        loop {
            let some = decoder.next(&mut vector).unwrap();
            if some.is_empty() {
                break;
            }
            found.extend_from_slice(some);
        }
        assert!(decoder.rest().is_empty());
        assert_eq!(found, values, "{order:?}");
        let mut decoder = Decoder::new(&out, order, values.len()).unwrap();
        let mut bytes = vec![[0; 8]; values.len()];
        for out in bytes.chunks_mut(VECTOR) {
            decoder.store_next(&mut vector, out).unwrap();
        }
        assert!(bytes.iter().map(|b| u64::from_le_bytes(*b)).eq(found));
        out.len()
    }

    #[test]
    fn regular_steps_take_next_to_nothing() {
        let values: Vec<u64> = (0..8192).map(|i| 1_735_689_600_000_000 + i * 1_000_000).collect();
        assert!(round_trip(&values, Order::One, 1) < 100);
        let squares: Vec<u64> = (0..8192_u64).map(|i| i * i * 7).collect();
        assert!(round_trip(&squares, Order::Two, 1) < 100);
    }

    #[test]
    fn a_common_divisor_is_found_and_a_false_one_given_up() {
        let values: Vec<u64> = (0..4096_u64).map(|i| i * i % 61 * 1000 + 7).collect();
        let sample = Sample::of(&values);
        let found = estimate(&sample, &Order::ALL);
        assert_eq!((found.order, found.divisor), (Order::Zero, 1000));
        assert!(round_trip(&values, Order::Zero, 1000) < 4096);
        let mut values = values;
        values[4000] += 500;
        assert!(round_trip(&values, Order::Zero, 1000) < 5000);
        values[4000] += 1;
        round_trip(&values, Order::Zero, 1000);
        round_trip(&values, Order::One, 1000);
        for divisor in [1 << 63, u64::MAX] {
            round_trip(&[0, 1 << 63, 0, 1 << 63], Order::One, divisor);
        }
    }

    proptest! {
        #[test]
        fn values_come_back(values in words(0..2100), divisor in prop::sample::select(
            vec![1, 2, 10, 1000, 1 << 40, i64::MAX.cast_unsigned(), 1 << 63, u64::MAX])) {
            for order in Order::ALL {
                round_trip(&values, order, divisor);
                let scaled: Vec<u64> = values.iter().map(|v| v.wrapping_mul(divisor)).collect();
                round_trip(&scaled, order, divisor);
            }
        }
    }
}
