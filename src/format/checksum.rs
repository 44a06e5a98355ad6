//! CRC32C, the only checksum of the format, and the arithmetic on it that recovery needs.

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

/// Checksums of a few dozen bytes: two for every entry.
///
/// The crate sets up three parallel streams at every call, which costs 140 instructions before the
/// first byte; an entry of 56 bytes needs seven.
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
            extend_sse42(crc, bytes)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sse4.2")]
    #[expect(clippy::cast_possible_truncation, reason = "the instruction clears the upper half")]
    fn extend_sse42(crc: u32, bytes: &[u8]) -> u32 {
        use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
        let (words, rest) = bytes.as_chunks();
        let state = words
            .iter()
            .fold(u64::from(!crc), |state, word| _mm_crc32_u64(state, u64::from_le_bytes(*word)));
        !rest.iter().fold(state as u32, |state, byte| _mm_crc32_u8(state, *byte))
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub(super) fn extend(crc: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc, bytes)
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
