//! Columns of timestamps, integers and doubles: which encoding, and back.
//!
//! The choice is made from a sample of the block: what packing would take of it, for each order of
//! differences, as decimals and as a dictionary. Nothing is encoded in full but what was chosen,
//! except that a dictionary, whose size a sample cannot tell, is given up when it turns out larger
//! than what the second best was judged to take.

use super::integer::{self, Order, Packing, Sample, Scratch};
use super::kernels::{VECTOR, ordered};
use super::{Decode, Policy, alp, cold, dictionary, simd};
use crate::format::column::EncodingId;

/// What the words of a column are the bits of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Timestamps and integers.
    Int,
    /// Doubles.
    Float,
}

/// Blocks of fewer rows are encoded without a comparison where that is wished. In larger ones it is
/// a small part of the work, and what is sealed with so many rows stays as it is.
const QUICK_ROWS: usize = 1_024;

/// What a block of fewer bytes saves is not worth the time of decoding it.
const RAW_BITS: f64 = 62.0;

/// Encodes the blocks of a column, one after the other: what fitted one block is tried first on
/// the next.
#[derive(Debug)]
pub(crate) struct Encoder {
    number: Number,
    policy: Policy,
    scratch: Scratch,
    exponents: Option<alp::Exponents>,
    mapped: Vec<u64>,
    /// What the last block was encoded as, if not as a dictionary.
    #[cfg(feature = "bench")]
    last: Choice,
}

/// What was chosen for a block, with what it needs.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Raw,
    Integer(integer::Estimate),
    Alp(alp::Estimate),
    Ordered,
}

impl Encoder {
    pub(crate) fn new(number: Number, policy: Policy) -> Encoder {
        Encoder {
            number,
            policy,
            scratch: Scratch::default(),
            exponents: None,
            mapped: Vec::new(),
            #[cfg(feature = "bench")]
            last: Choice::Raw,
        }
    }

    /// Appends a block to `out`.
    pub(crate) fn encode(&mut self, words: &[u64], out: &mut Vec<u8>) -> EncodingId {
        let Some(first) = words.first() else { return EncodingId::Raw };
        if self.policy == Policy::RAW {
            return append_raw(words, out);
        }
        if self.policy.delta && words.len() > 1 && is_constant(words, *first) {
            out.extend(first.to_le_bytes());
            return EncodingId::Constant;
        }
        let start = out.len();
        let fast = self.encode_fast(words, out);
        if self.policy.cold && self.encode_cold(words, start, out) {
            return EncodingId::Pco;
        }
        fast
    }

    /// Puts the cold tier in the place of what stands behind `start`, if that is smaller. Here
    /// everything that may pay is tried: who asks for it has the time.
    fn encode_cold(&mut self, words: &[u64], start: usize, out: &mut Vec<u8>) -> bool {
        let mut best = out.split_off(start);
        let fast_len = best.len();
        let sample = Sample::of(words);
        let integers = match self.number {
            Number::Int => Some(Choice::Integer(integer::estimate(&sample, &[Order::Zero]))),
            Number::Float => {
                alp::estimate(&sample, self.exponents, &[Order::Zero]).map(Choice::Alp)
            }
        };
        for inner in [EncodingId::Raw, EncodingId::FrameOfReference, EncodingId::Dictionary] {
            let mut tried = vec![inner as u8];
            self.scratch.packing = Packing::Cold;
            let encoded = match (inner, integers) {
                (EncodingId::Raw, _) => cold::encode(words, self.number, &mut tried),
                (EncodingId::FrameOfReference, Some(choice)) => {
                    tried = vec![0];
                    let inner = self.encode_as(choice, words, &mut tried);
                    tried.iter_mut().take(1).for_each(|byte| *byte = inner as u8);
                    true
                }
                (EncodingId::Dictionary, _) => {
                    let (number, policy) = (self.number, self.policy);
                    let less_than = best.len();
                    dictionary::encode(
                        words,
                        number,
                        policy,
                        less_than,
                        &mut self.scratch,
                        &mut tried,
                    )
                }
                _ => false,
            };
            self.scratch.packing = Packing::Bits;
            let mut found = vec![[0; 8]; words.len()];
            // Another crate's encoder: what it does not give back is not kept.
            let mut exact = || {
                decode(&tried, EncodingId::Pco, self.number, Packing::Bits, &mut found).is_ok()
                    && found.iter().zip(words).all(|(a, b)| *a == b.to_le_bytes())
            };
            if encoded && tried.len() < best.len() && exact() {
                best = tried;
            }
        }
        out.extend_from_slice(&best);
        best.len() < fast_len
    }

    fn encode_fast(&mut self, words: &[u64], out: &mut Vec<u8>) -> EncodingId {
        if self.policy.delta && self.number == Number::Int && is_regular(words) {
            integer::encode(words, Order::One, 1, &mut self.scratch, out);
            return EncodingId::Delta;
        }
        if self.policy.quick && words.len() < QUICK_ROWS {
            let choice = self.choose_quickly(words);
            #[cfg(feature = "bench")]
            {
                self.last = choice;
            }
            return self.encode_or_copy(choice, words, out);
        }
        let sample = Sample::of(words);
        let (choice, bits) =
            if self.policy.delta { self.choose(&sample) } else { (Choice::Raw, 64.0) };
        #[cfg(feature = "bench")]
        {
            self.last = choice;
        }
        let raw_len = words.len() * 8;
        if self.policy.compression
            // Four values and their codes are hardly less than what takes as few bits as this.
            && bits > 2.0
            && let Some(least) = dictionary::estimate(&sample)
            && least < bits
        {
            // Header and padding of the other, and what a sample may be wrong by.
            #[expect(clippy::cast_possible_truncation, reason = "at most the size of the block")]
            let other = (bits * words.len() as f64 / 8.0) as usize + 24;
            let (number, policy) = (self.number, self.policy);
            let less_than = other.min(raw_len);
            if dictionary::encode(words, number, policy, less_than, &mut self.scratch, out) {
                return EncodingId::Dictionary;
            }
        }
        self.encode_or_copy(choice, words, out)
    }

    /// Appends the words as chosen, or as they are if that takes less.
    fn encode_or_copy(&mut self, choice: Choice, words: &[u64], out: &mut Vec<u8>) -> EncodingId {
        let start = out.len();
        let encoding = self.encode_as(choice, words, out);
        if out.len() - start < words.len() * 8 {
            return encoding;
        }
        out.truncate(start);
        append_raw(words, out)
    }

    /// What suits most columns: differences, of doubles those of their decimals where they are some.
    fn choose_quickly(&mut self, words: &[u64]) -> Choice {
        match self.number {
            Number::Int => Choice::Integer(integer::Estimate::of_steps(words)),
            Number::Float => match alp::guess(words, self.exponents) {
                Some(found) => {
                    self.exponents = Some(found.exponents);
                    Choice::Alp(found)
                }
                None => Choice::Ordered,
            },
        }
    }

    /// The encoding that takes fewest bits of the sample.
    fn choose(&mut self, sample: &Sample) -> (Choice, f64) {
        let mut best = (Choice::Raw, RAW_BITS);
        let mut offer = |choice: Choice, bits: f64| {
            if bits < best.1 {
                best = (choice, bits);
            }
        };
        match self.number {
            Number::Int => {
                let found = integer::estimate(sample, &Order::ALL);
                offer(Choice::Integer(found), found.bits_per_value);
            }
            Number::Float => {
                let orders = [Order::Zero, Order::One];
                if let Some(found) = alp::estimate(sample, self.exponents, &orders) {
                    self.exponents = Some(found.exponents);
                    offer(Choice::Alp(found), found.bits_per_value);
                }
                let mapped = sample.map(|words| words.iter().map(|word| ordered(*word)).collect());
                let found = integer::estimate(&mapped, &[Order::One]);
                offer(Choice::Ordered, found.bits_per_value);
            }
        }
        if matches!(best.0, Choice::Ordered | Choice::Raw) {
            self.exponents = None;
        }
        best
    }

    fn encode_as(&mut self, choice: Choice, words: &[u64], out: &mut Vec<u8>) -> EncodingId {
        match choice {
            Choice::Raw => append_raw(words, out),
            Choice::Integer(found) => {
                integer::encode(words, found.order, found.divisor, &mut self.scratch, out);
                match found.order {
                    Order::Zero => EncodingId::FrameOfReference,
                    Order::One => EncodingId::Delta,
                    Order::Two => EncodingId::DeltaOfDelta,
                }
            }
            Choice::Alp(found) => {
                alp::encode(words, &found, &mut self.scratch, out);
                if found.integers.order == Order::Zero {
                    EncodingId::Alp
                } else {
                    EncodingId::AlpDelta
                }
            }
            Choice::Ordered => {
                self.mapped.clear();
                self.mapped.extend(words.iter().map(|word| ordered(*word)));
                integer::encode(&self.mapped, Order::One, 1, &mut self.scratch, out);
                EncodingId::OrderedDelta
            }
        }
    }
}

/// Encoding without choosing, for tests and measurements.
#[cfg(any(test, feature = "bench"))]
impl Encoder {
    /// Appends the words by an encoding, or nothing if that cannot hold them.
    pub(crate) fn force(&mut self, encoding: EncodingId, words: &[u64], out: &mut Vec<u8>) -> bool {
        let Some(first) = words.first() else { return false };
        let sample = Sample::of(words);
        let choice = match (encoding, self.number) {
            (EncodingId::Raw, _) => Choice::Raw,
            (EncodingId::Constant, _) if is_constant(words, *first) => {
                out.extend(first.to_le_bytes());
                return true;
            }
            (EncodingId::FrameOfReference, Number::Int) => {
                Choice::Integer(integer::estimate(&sample, &[Order::Zero]))
            }
            (EncodingId::Delta, Number::Int) => {
                Choice::Integer(integer::estimate(&sample, &[Order::One]))
            }
            (EncodingId::DeltaOfDelta, Number::Int) => {
                Choice::Integer(integer::estimate(&sample, &[Order::Two]))
            }
            (EncodingId::Alp | EncodingId::AlpDelta, Number::Float) => {
                let order = if encoding == EncodingId::Alp { Order::Zero } else { Order::One };
                match alp::estimate(&sample, self.exponents, &[order]) {
                    Some(found) => Choice::Alp(found),
                    None => return false,
                }
            }
            (EncodingId::OrderedDelta, Number::Float) => Choice::Ordered,
            (EncodingId::Dictionary, _) => {
                let (number, policy) = (self.number, Policy::FAST);
                return dictionary::encode(
                    words,
                    number,
                    policy,
                    usize::MAX,
                    &mut self.scratch,
                    out,
                );
            }
            (EncodingId::Pco, _) => {
                out.push(EncodingId::Raw as u8);
                return cold::encode(words, self.number, out);
            }
            _ => return false,
        };
        self.encode_as(choice, words, out) == encoding
    }

    /// Appends the words as the block before was encoded, without looking at them.
    #[cfg(feature = "bench")]
    pub(crate) fn again(&mut self, words: &[u64], out: &mut Vec<u8>) -> EncodingId {
        self.encode_as(self.last, words, out)
    }
}

fn is_constant(words: &[u64], first: u64) -> bool {
    // Without a branch for each word; in stretches, because most columns are not constant.
    words.chunks(256).all(|some| some.iter().fold(0, |any, word| any | (word ^ first)) == 0)
}

/// Whether each word follows the one before at the same distance: regular timestamps, most of
/// which come in small chunks whose sample would be most of them.
fn is_regular(words: &[u64]) -> bool {
    let [first, second, ..] = words else { return false };
    let step = second.wrapping_sub(*first);
    words.len() > 3
        && words.chunks(256).all(|some| {
            let pairs = some.iter().zip(some.iter().skip(1));
            pairs.fold(0, |any, (a, b)| any | (b.wrapping_sub(*a) ^ step)) == 0
        })
        && words
            .iter()
            .skip(255)
            .step_by(256)
            .zip(words.iter().skip(256).step_by(256))
            .all(|(a, b)| b.wrapping_sub(*a) == step)
}

fn append_raw(words: &[u64], out: &mut Vec<u8>) -> EncodingId {
    let start = out.len();
    out.resize(start + words.len() * 8, 0);
    simd::store(words, out.split_at_mut(start).1.as_chunks_mut().0);
    EncodingId::Raw
}

/// Writes a block.
pub(super) fn decode(
    stored: &[u8],
    encoding: EncodingId,
    number: Number,
    packing: Packing,
    out: &mut [[u8; 8]],
) -> Decode<()> {
    let wrong = "an encoding that does not fit its column";
    let order = match encoding {
        EncodingId::FrameOfReference => Order::Zero,
        EncodingId::DeltaOfDelta => Order::Two,
        _ => Order::One,
    };
    match (encoding, number) {
        (EncodingId::Raw, _) => {
            if stored.len() != out.len() * 8 {
                return Err("a raw column of a wrong length");
            }
            out.copy_from_slice(stored.as_chunks().0);
            Ok(())
        }
        (EncodingId::Constant, _) => {
            let value: [u8; 8] = stored.try_into().map_err(|_| "a constant of a wrong length")?;
            out.fill(value);
            Ok(())
        }
        (
            EncodingId::FrameOfReference | EncodingId::Delta | EncodingId::DeltaOfDelta,
            Number::Int,
        )
        | (EncodingId::OrderedDelta, Number::Float) => {
            let mut decoder = integer::Decoder::with_packing(stored, order, packing, out.len())?;
            let mut vector = [0; VECTOR];
            for out in out.chunks_mut(VECTOR) {
                match number {
                    Number::Int => decoder.store_next(&mut vector, out)?,
                    Number::Float => decoder.store_next_ordered(&mut vector, out)?,
                }
            }
            let rest = decoder.rest();
            if rest.is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
        }
        (EncodingId::Alp, Number::Float) => alp::decode(stored, Order::Zero, packing, out),
        (EncodingId::AlpDelta, Number::Float) => alp::decode(stored, Order::One, packing, out),
        (EncodingId::Dictionary, _) => dictionary::decode(stored, number, packing, out),
        // Not within itself.
        (EncodingId::Pco, _) if packing == Packing::Bits => {
            let (inner, stored) = stored.split_first().ok_or("an empty column of the cold tier")?;
            match EncodingId::from_u8(*inner) {
                Ok(EncodingId::Raw) => cold::decode(stored, number, out),
                Ok(
                    inner @ (EncodingId::FrameOfReference
                    | EncodingId::Alp
                    | EncodingId::Dictionary),
                ) => decode(stored, inner, number, Packing::Cold, out),
                _ => Err("an encoding within the cold tier that does not fit"),
            }
        }
        _ => Err(wrong),
    }
}
