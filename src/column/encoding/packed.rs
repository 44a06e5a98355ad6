//! Words packed into few bits, outliers apart (PFOR): what all other encodings of numbers end in.
//!
//! The words are cut into vectors of 1,024; the last one may be shorter. Each vector is
//!
//! ```text
//!  0  u8   width: bits of a packed word, 0 to 64
//!  1  u8   low half: bytes of the base, 0 to 8; high half: bytes of an outlier, 0 to 8
//!  2  u16  number of outliers
//!  4       base, sign-extended from as many bytes
//!          128 * width bytes of packed words; of a vector of n < 1,024 words n * width bits,
//!          lowest bit first, rounded up to bytes
//!          u16 for each outlier: its place in the vector
//!          the outliers, as many bytes each, zigzag
//! ```
//!
//! A word is base + packed word + (outlier << width), wrapping. A base in the middle of the words
//! costs one bit more than the smallest of them and leaves outliers on both sides short.

use super::Decode;
use super::kernels::{VECTOR, Vector, mask, unzigzag, zigzag};
use super::simd;
use crate::format::bytes::Fields;

/// Appends the words.
pub(super) fn encode(words: &[u64], out: &mut Vec<u8>) {
    let mut padded = [0; VECTOR];
    for vector in words.chunks(VECTOR) {
        match vector.try_into() {
            Ok(vector) => encode_vector(vector, VECTOR, out),
            Err(_) => {
                padded.iter_mut().zip(vector).for_each(|(slot, word)| *slot = *word);
                encode_vector(&padded, vector.len(), out);
            }
        }
    }
}

/// What a vector is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    width: u32,
    base: u64,
    outliers: u32,
    /// Bits of all packed words and outliers together.
    bits: u64,
}

/// The cheapest way to pack so many words.
fn plan(words: &[u64]) -> Plan {
    let (min, max) = simd::min_max(words);
    let (min, max) = (min.cast_unsigned(), max.cast_unsigned());
    if min == max || words.is_empty() {
        return Plan { width: 0, base: min, outliers: 0, bits: 0 };
    }
    let center = middle(words);
    let [from_min, from_center] = simd::widths(words, min, center);
    let count = words.len() as u64;
    let cheapest = |widths: &[u16; 65]| {
        // Words to spare, beyond the longest, are never cheaper than none.
        let longest = (0_u32..65).zip(widths).rev().find(|(_, words)| **words > 0);
        let longest = longest.map_or(0, |(width, _)| width);
        let used = widths.get(..=longest as usize).unwrap_or_default();
        let mut best = (u64::MAX, 0, 0);
        let mut outliers = 0_u64;
        for (width, words) in (0..=longest).rev().zip(used.iter().rev()) {
            // Here `outliers` words need more than `width` bits.
            let outlier_bytes = if outliers == 0 { 0 } else { (longest - width) / 8 + 1 };
            let apart = outliers * (16 + 8 * u64::from(outlier_bytes));
            if apart >= best.0 {
                // In fewer bits there are no fewer outliers, and they are no shorter.
                break;
            }
            let bits = count * u64::from(width) + apart;
            if bits < best.0 {
                best = (bits, width, outliers);
            }
            outliers += u64::from(*words);
        }
        best
    };
    let (low, mid) = (cheapest(&from_min), cheapest(&from_center));
    let as_u32 = |outliers: u64| u32::try_from(outliers).unwrap_or(u32::MAX);
    if low.0 <= mid.0 {
        Plan { width: low.1, base: min, outliers: as_u32(low.2), bits: low.0 }
    } else {
        let half = mid.1.checked_sub(1).map_or(0, |bit| 1_u64 << bit);
        let (width, base) = (mid.1, center.wrapping_sub(half));
        Plan { width, base, outliers: as_u32(mid.2), bits: mid.0 }
    }
}

/// The median of a few of the words.
fn middle(words: &[u64]) -> u64 {
    const FEW: usize = 15;
    let step = (words.len() / FEW).max(1);
    let mut few = [0_i64; FEW];
    let mut count = 0;
    for (slot, word) in few.iter_mut().zip(words.iter().step_by(step)) {
        *slot = word.cast_signed();
        count += 1;
    }
    let few = few.get_mut(..count).unwrap_or_default();
    few.sort_unstable();
    few.get(count / 2).map_or(0, |middle| middle.cast_unsigned())
}

/// About how many bits the words take, packed: the overhead of the vectors left out.
pub(super) fn estimate_bits(words: &[u64]) -> u64 {
    plan(words).bits
}

/// Appends the first `count` words of a vector.
fn encode_vector(vector: &Vector, count: usize, out: &mut Vec<u8>) {
    let words = vector.get(..count).unwrap_or_default();
    let Plan { width, base, outliers, .. } = plan(words);
    let base_len = signed_len(base);
    let mut places = [0_u16; VECTOR];
    let mut high = [0_u64; VECTOR];
    let mut found = 0_usize;
    if outliers > 0 {
        for (place, word) in (0_u16..).zip(words) {
            let rest = word.wrapping_sub(base).cast_signed().checked_shr(width).unwrap_or(0);
            if let (Some(p), Some(h)) = (places.get_mut(found), high.get_mut(found)) {
                (*p, *h) = (place, zigzag(rest.cast_unsigned()));
            }
            found += usize::from(rest != 0);
        }
    }
    let places = places.get(..found).unwrap_or_default();
    let high = high.get(..found).unwrap_or_default();
    let high_len = high.iter().fold(0, |len, word| len.max(unsigned_len(*word)));

    #[expect(clippy::cast_possible_truncation, reason = "at most 64, 8 and 1,024")]
    {
        out.extend([width as u8, (base_len | high_len << 4) as u8]);
        out.extend((found as u16).to_le_bytes());
    }
    append_low_bytes(base, base_len, out);
    if count == VECTOR {
        let mut packed = [0; VECTOR];
        simd::pack(vector, width, base, &mut packed);
        let start = out.len();
        out.resize(start + 128 * width as usize, 0);
        let slots = out.split_at_mut(start).1.as_chunks_mut().0;
        simd::store(&packed, slots);
    } else {
        pack_few(words, width, base, out);
    }
    places.iter().for_each(|place| out.extend(place.to_le_bytes()));
    high.iter().for_each(|word| append_low_bytes(*word, high_len, out));
}

/// Bytes that hold a signed number.
fn signed_len(word: u64) -> usize {
    if word == 0 { 0 } else { unsigned_len(zigzag(word)) }
}

fn unsigned_len(word: u64) -> usize {
    (64 - word.leading_zeros() as usize).div_ceil(8)
}

fn append_low_bytes(word: u64, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(word.to_le_bytes().get(..len).unwrap_or_default());
}

fn low_bytes(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    u64::from_le_bytes(word)
}

fn sign_extended(bytes: &[u8]) -> u64 {
    let unused = 8_usize.saturating_sub(bytes.len()) * 8;
    if unused >= 64 {
        return 0;
    }
    ((low_bytes(bytes) << unused).cast_signed() >> unused).cast_unsigned()
}

/// Appends words of `width` bits, lowest bit first.
fn pack_few(words: &[u64], width: u32, base: u64, out: &mut Vec<u8>) {
    let mask = mask(width);
    let (mut bits, mut len) = (0_u128, 0_u32);
    for word in words {
        bits |= u128::from(word.wrapping_sub(base) & mask) << len;
        len += width;
        while len >= 32 {
            out.extend_from_slice(bits.to_le_bytes().first_chunk::<4>().unwrap_or(&[0; 4]));
            bits >>= 32;
            len -= 32;
        }
    }
    let rest = len.div_ceil(8) as usize;
    out.extend_from_slice(bits.to_le_bytes().get(..rest).unwrap_or_default());
}

fn unpack_few(packed: &[u8], width: u32, base: u64, out: &mut [u64]) {
    let mask = mask(width);
    let mut bit = 0_usize;
    for out in out {
        let bytes = packed.get(bit / 8..).unwrap_or_default();
        let window = match bytes.first_chunk::<16>() {
            Some(window) => u128::from_le_bytes(*window),
            None => {
                let mut window = [0; 16];
                window.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
                u128::from_le_bytes(window)
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "the lowest 64 bits are wanted")]
        let word = (window >> (bit % 8)) as u64 & mask;
        *out = base.wrapping_add(word);
        bit += width as usize;
    }
}

/// Reads the next vector, of `count` words; what is behind them in `out` is undefined.
pub(super) fn decode_vector(fields: &mut Fields<'_>, count: usize, out: &mut Vector) -> Decode<()> {
    const SHORT: &str = "packed words are cut short";
    let width = u32::from(fields.u8().ok_or(SHORT)?);
    let lens = fields.u8().ok_or(SHORT)?;
    let outliers = usize::from(fields.u16().ok_or(SHORT)?);
    let (base_len, high_len) = (usize::from(lens & 15), usize::from(lens >> 4));
    if width > 64 || base_len > 8 || high_len > 8 || outliers > count || count > VECTOR {
        return Err("packed words contradict each other");
    }
    let base = sign_extended(fields.take(base_len).ok_or(SHORT)?);
    if count == VECTOR {
        let packed = fields.take(128 * width as usize).ok_or(SHORT)?;
        simd::unpack(packed, width, base, out);
    } else {
        let packed = fields.take((count * width as usize).div_ceil(8)).ok_or(SHORT)?;
        unpack_few(packed, width, base, out.get_mut(..count).unwrap_or_default());
    }
    if outliers > 0 {
        let places = fields.take(2 * outliers).ok_or(SHORT)?.as_chunks::<2>().0;
        let high = fields.take(high_len * outliers).ok_or(SHORT)?;
        let mut high = high.chunks_exact(high_len.max(1));
        let words = out.get_mut(..count).unwrap_or_default();
        for place in places {
            let place = usize::from(u16::from_le_bytes(*place));
            let word = words.get_mut(place).ok_or("an outlier lies outside its vector")?;
            let rest = unzigzag(low_bytes(high.next().unwrap_or_default()));
            *word = word.wrapping_add(rest.checked_shl(width).unwrap_or(0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::encoding::testing::words;

    fn decode(bytes: &[u8], len: usize) -> Decode<Vec<u64>> {
        let mut fields = Fields::new(bytes);
        let (mut words, mut vector) = (Vec::new(), [0; VECTOR]);
        while words.len() < len {
            let count = (len - words.len()).min(VECTOR);
            decode_vector(&mut fields, count, &mut vector)?;
            words.extend_from_slice(&vector[..count]);
        }
        if fields.is_empty() { Ok(words) } else { Err("bytes are left over") }
    }

    #[test]
    fn an_outlier_costs_what_an_outlier_costs() {
        let mut words: Vec<u64> = (0..1024).map(|i| 1_000_000 + i % 8).collect();
        let mut out = Vec::new();
        encode(&words, &mut out);
        assert_eq!(out.len(), 4 + 3 + 3 * 128);
        for outlier in [1_002_000, 0, u64::MAX, 1 << 63] {
            words[77] = outlier;
            out.clear();
            encode(&words, &mut out);
            assert!(out.len() <= 4 + 3 + 4 * 128 + 2 + 8, "{outlier}: {}", out.len());
            assert_eq!(decode(&out, 1024).unwrap(), words);
        }
    }

    #[test]
    fn what_was_planned_is_what_is_written() {
        for words in [[5_u64; 1024], std::array::from_fn(|i| (i as u64 * 37) % 4096)] {
            let plan = plan(&words);
            let mut out = Vec::new();
            encode(&words, &mut out);
            let overhead = out.len() as u64 * 8 - plan.bits;
            assert!(overhead <= 12 * 8, "{plan:?} {}", out.len());
        }
    }

    proptest! {
        #[test]
        fn words_come_back(words in words(0..2100)) {
            let mut out = Vec::new();
            encode(&words, &mut out);
            prop_assert_eq!(decode(&out, words.len()).unwrap(), words);
        }

        #[test]
        fn any_bytes_are_words_or_an_error(
            words in words(0..1100), cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(), byte: u8, len in 0_usize..2100,
        ) {
            let mut out = Vec::new();
            encode(&words, &mut out);
            let _ = decode(&out, len);
            if !out.is_empty() {
                prop_assert!(decode(&out[..cut.index(out.len())], words.len()).is_err());
                let at = at.index(out.len());
                out[at] = byte;
                let _ = decode(&out, words.len());
            }
        }
    }
}
