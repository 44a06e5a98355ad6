//! CRC32C, the only checksum of the format, and the arithmetic on it that recovery needs.

use super::bytes::put_at;

/// CRC32C of `bytes`.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    extend(0, bytes)
}

/// CRC32C of what `crc` covers followed by `bytes`.
#[inline]
pub(crate) fn extend(crc: u32, bytes: &[u8]) -> u32 {
    if bytes.len() <= short::LEN_MAX {
        short::extend(crc, bytes)
    } else {
        crc32c::crc32c_append(crc, bytes)
    }
}

/// Both checksums of an entry with a short value: its body's, then its head's, which covers the former.
///
/// `offset` is where it stands, `previous` the head's checksum of the entry before; `fields` are the bytes 8 to
/// 24; `value` is what follows the key, padding included, `value_len` bytes of it.
#[inline]
pub(crate) fn of_entry(
    salt: &Salt,
    (offset, previous): (u64, u32),
    fields: [u64; 2],
    key: &[u8],
    (value, value_len): ([u64; 2], usize),
) -> (u32, u32) {
    short::of_entry(salt.crc, (offset, previous), fields, key, (value, value_len))
}

/// Checksums of a few dozen bytes: two for every entry.
///
/// The crate sets up three parallel streams at every call, which costs 140 instructions before the
/// first byte; an entry of 56 bytes needs seven. And what was written by halves or bytes is not read back as
/// words, for which a processor waits until it has reached its cache.
mod short {
    /// From here on parallel streams win.
    pub(super) const LEN_MAX: usize = 256;

    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn extend(crc: u32, bytes: &[u8]) -> u32 {
        if !std::arch::is_x86_feature_detected!("sse4.2") {
            return crc32c::crc32c_append(crc, bytes);
        }
        #[expect(unsafe_code, reason = "a quarter fewer instructions for a buffered append")]
        // SAFETY: the processor has SSE 4.2, as the lines above made sure.
        unsafe {
            sse42::extend(crc, bytes)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn of_entry(
        salt: u32,
        place: (u64, u32),
        fields: [u64; 2],
        key: &[u8],
        value: ([u64; 2], usize),
    ) -> (u32, u32) {
        if !std::arch::is_x86_feature_detected!("sse4.2") {
            return of_entry_anywhere(salt, place, fields, key, value);
        }
        #[expect(unsafe_code, reason = "a sixth of the time of a buffered append")]
        // SAFETY: the processor has SSE 4.2, as the lines above made sure.
        unsafe {
            sse42::of_entry(salt, place, fields, key, value)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[expect(clippy::cast_possible_truncation, reason = "the instruction clears the upper half")]
    mod sse42 {
        use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};

        #[target_feature(enable = "sse4.2")]
        pub(super) fn extend(crc: u32, bytes: &[u8]) -> u32 {
            !over(u64::from(!crc), bytes)
        }

        #[target_feature(enable = "sse4.2")]
        pub(super) fn of_entry(
            salt: u32,
            (offset, previous): (u64, u32),
            [first, second]: [u64; 2],
            key: &[u8],
            ([low, high], value_len): ([u64; 2], usize),
        ) -> (u32, u32) {
            let fields = |state| _mm_crc32_u64(_mm_crc32_u64(state, first), second);
            let state = over(fields(_mm_crc32_u64(u64::from(!salt), offset)), key);
            let body = !match value_len.checked_sub(8) {
                None => part(state, low, value_len),
                Some(rest @ 0..8) => part(_mm_crc32_u64(state.into(), low) as u32, high, rest),
                Some(rest) => {
                    let state = _mm_crc32_u64(_mm_crc32_u64(state.into(), low), high);
                    part(state as u32, 0, rest - 8)
                }
            };
            let both = u64::from(previous) | u64::from(body) << 32;
            (body, !over(fields(_mm_crc32_u64(u64::from(!0_u32), both)), key))
        }

        /// The state after `bytes`.
        #[inline]
        #[target_feature(enable = "sse4.2")]
        fn over(state: u64, bytes: &[u8]) -> u32 {
            let (words, rest) = bytes.as_chunks();
            let state =
                words.iter().fold(state, |s, word| _mm_crc32_u64(s, u64::from_le_bytes(*word)));
            let (halves, rest) = rest.as_chunks();
            let state = halves
                .iter()
                .fold(state as u32, |s, half| _mm_crc32_u32(s, u32::from_le_bytes(*half)));
            rest.iter().fold(state, |s, byte| _mm_crc32_u8(s, *byte))
        }

        /// The state after the lowest bytes of a word, fewer than eight.
        #[inline]
        #[target_feature(enable = "sse4.2")]
        fn part(mut state: u32, mut word: u64, len: usize) -> u32 {
            if len & 4 != 0 {
                state = _mm_crc32_u32(state, word as u32);
                word >>= 32;
            }
            if len & 2 != 0 {
                state = _mm_crc32_u16(state, word as u16);
                word >>= 16;
            }
            if len & 1 != 0 {
                state = _mm_crc32_u8(state, word as u8);
            }
            state
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub(super) fn extend(crc: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc, bytes)
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(super) use of_entry_anywhere as of_entry;

    /// The same on any processor.
    pub(super) fn of_entry_anywhere(
        salt: u32,
        (offset, previous): (u64, u32),
        [first, second]: [u64; 2],
        key: &[u8],
        ([low, high], value_len): ([u64; 2], usize),
    ) -> (u32, u32) {
        let words = |state, words: &[u64]| {
            words.iter().fold(state, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()))
        };
        let mut value = [0; 24];
        super::put_at(&mut value, 0, &low.to_le_bytes());
        super::put_at(&mut value, 8, &high.to_le_bytes());
        let value = value.get(..value_len).unwrap_or(&value);
        let head = crc32c::crc32c_append(words(salt, &[offset, first, second]), key);
        let body = crc32c::crc32c_append(head, value);
        let both = u64::from(previous) | u64::from(body) << 32;
        (body, crc32c::crc32c_append(words(0, &[both, first, second]), key))
    }
}

/// The generator polynomial, bits reflected as in the checksum: the highest bit is the constant.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The product of two polynomials modulo the generator.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 != 0 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}

/// x to the power of 8 * 2^n: what multiplies a checksum when 2^n zero bytes follow.
#[expect(clippy::indexing_slicing, reason = "constant places in an array of 64")]
const ZEROS: [u32; 64] = {
    let mut powers = [0; 64];
    // x^8
    powers[0] = 1 << 23;
    let mut n = 1;
    while n < 64 {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The part of a checksum over a + b that comes from a: the checksum of b is to be added (xor).
fn shift(crc: u32, len_b: u64) -> u32 {
    let bits = ZEROS.iter().enumerate().filter(|(n, _)| len_b >> n & 1 != 0);
    bits.fold(crc, |crc, (_, zeros)| multiply(crc, *zeros))
}

/// The salt of a file and the checksum state after it, from which every `body_crc` starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt {
    bytes: [u8; 16],
    crc: u32,
}

impl Salt {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Salt { bytes, crc: crc32c(&bytes) }
    }

    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// What stands for the `head_crc` of the entry before the first one.
    pub(crate) fn chain_start(&self) -> u32 {
        self.crc
    }

    /// The checksum state after the salt and an offset.
    #[inline]
    pub(crate) fn at(&self, offset: u64) -> u32 {
        extend(self.crc, &offset.to_le_bytes())
    }
}

/// Checksums of arbitrary ranges of one long run of bytes, each in time independent of its length.
///
/// The search for the next good entry tries an entry at every eighth byte of a damaged file, and a
/// hostile file claims a length of 64 MiB at each of them: hashing every claim would take time
/// quadratic in the file. A CRC is linear, so the checksum of a range follows from the checksums
/// of the two prefixes that end where it begins and ends. Prefixes are kept every
/// [`PrefixChecksums::STEP`] bytes; what is left over at both ends is hashed.
pub(crate) struct PrefixChecksums<'a> {
    bytes: &'a [u8],
    prefixes: Vec<u32>,
}

impl<'a> PrefixChecksums<'a> {
    /// Bytes between two kept prefixes: memory is 1/128 of the bytes covered.
    const STEP: usize = 512;

    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut prefixes = Vec::with_capacity(bytes.len() / Self::STEP + 1);
        let mut crc = 0;
        prefixes.push(crc);
        for step in bytes.chunks_exact(Self::STEP) {
            crc = extend(crc, step);
            prefixes.push(crc);
        }
        PrefixChecksums { bytes, prefixes }
    }

    /// The checksum of everything before `end`.
    fn prefix(&self, end: usize) -> Option<u32> {
        let crc = *self.prefixes.get(end / Self::STEP)?;
        Some(extend(crc, self.bytes.get(end - end % Self::STEP..end)?))
    }

    /// `crc` extended by the bytes `[start, end)`; `None` if they lie outside.
    pub(crate) fn extend(&self, crc: u32, start: usize, end: usize) -> Option<u32> {
        if end.checked_sub(start)? <= 4 * Self::STEP {
            return Some(extend(crc, self.bytes.get(start..end)?));
        }
        let len = (end - start) as u64;
        // crc(prefix + range) = shift(crc(prefix)) ^ crc(range), and the same for `crc` before the
        // range; shifting is linear.
        Some(shift(crc ^ self.prefix(start)?, len) ^ self.prefix(end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_ways_agree_at_every_length_and_alignment() {
        let bytes: Vec<u8> = (0..600u32).map(|i| (i * 7 % 251).to_le_bytes()[0]).collect();
        for from in 0..9 {
            for to in from..bytes.len() {
                let range = &bytes[from..to];
                assert_eq!(extend(99, range), crc32c::crc32c_append(99, range), "{from}..{to}");
            }
        }
    }

    #[test]
    fn both_ways_to_the_checksums_of_an_entry_agree() {
        let key: Vec<u8> = (0..300u32).map(|i| (i * 7 % 251).to_le_bytes()[0]).collect();
        for key_len in 0..key.len() {
            for value_len in 0..=23 {
                let (place, fields) = ((12_288 + key_len as u64, 77), [1 << 60 | 5, 3 << 40]);
                let (key, value) = (&key[..key_len], ([u64::MAX - 5, 0xABCD], value_len));
                assert_eq!(
                    short::of_entry(99, place, fields, key, value),
                    short::of_entry_anywhere(99, place, fields, key, value),
                    "{key_len} {value_len}"
                );
            }
        }
    }

    #[test]
    fn the_polynomial_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn shifting_makes_a_checksum_of_two_parts() {
        let (a, b) = (crc32c(b"some bytes"), crc32c(b"and others"));
        assert_eq!(shift(a, 10) ^ b, crc32c(b"some bytesand others"));
        assert_eq!(shift(a, 0), a);
        assert_eq!(shift(a, 12_345_678), crc32c::crc32c_combine(a, 0, 12_345_678));
    }

    #[test]
    fn ranges_by_prefixes_equal_hashing_them() {
        let bytes: Vec<u8> = (0..9000u32).map(|i| (i * i % 251) as u8).collect();
        let prefixes = PrefixChecksums::new(&bytes);
        for (start, end) in [(0, 0), (0, 9000), (1, 8999), (511, 513), (512, 8704), (3, 7000)] {
            let expected = extend(77, &bytes[start..end]);
            assert_eq!(prefixes.extend(77, start, end), Some(expected), "{start}..{end}");
        }
        assert_eq!(prefixes.extend(0, 0, 9001), None);
        assert_eq!(prefixes.extend(0, 5, 4), None);
    }
}
