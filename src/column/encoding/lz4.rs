//! LZ4 blocks, of columns and of single values.

use super::Decode;

/// What a block of so many bytes can decode to at most: no LZ4 sequence gives more than 255 bytes
/// for one of its own.
pub(crate) fn decoded_len_max(stored_len: u64) -> u64 {
    stored_len.saturating_mul(255).saturating_add(64)
}

/// The bytes as one LZ4 block, if it saves at least an eighth.
pub(crate) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    /// So much of a long input is tried first: what does not shrink here is left alone.
    const TRIAL: usize = 16 << 10;
    let pays = |stored: usize, len: usize| stored <= len - len / 8;
    if bytes.len() > 4 * TRIAL {
        // From the middle: the front of a column may be unlike the rest.
        let middle = bytes.get(bytes.len() / 2..).and_then(|rest| rest.first_chunk::<TRIAL>());
        if middle.is_some_and(|part| !pays(lz4_flex::block::compress(part).len(), TRIAL)) {
            return None;
        }
    }
    let stored = lz4_flex::block::compress(bytes);
    (bytes.len() >= 8 && pays(stored.len(), bytes.len())).then_some(stored)
}

/// Decodes a block that gives exactly as many bytes as `out` has.
pub(crate) fn decompress(stored: &[u8], out: &mut [u8]) -> Decode<()> {
    if out.len() as u64 > decoded_len_max(stored.len() as u64) {
        return Err("an LZ4 block that cannot be as long as it says");
    }
    // A block may refer only to what it has written itself; that the rest holds nothing of
    // anybody else's is one more line of defence.
    out.fill(0);
    match lz4_flex::block::decompress_into(stored, out) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(_) => Err("an LZ4 block that is shorter than it says"),
        Err(_) => Err("an LZ4 block that is damaged"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_is_what_the_format_can_do() {
        let zeros = vec![0; 64 << 20];
        let stored = lz4_flex::block::compress(&zeros);
        assert!(zeros.len() as u64 <= decoded_len_max(stored.len() as u64));
        let mut out = vec![1; zeros.len()];
        decompress(&stored, &mut out).unwrap();
        assert!(out == zeros);
        assert!(decompress(&stored[..100], &mut out).is_err());
    }

    #[test]
    fn lengths_that_differ_from_what_is_said_are_errors() {
        let bytes = b"abcabcabcabcabcabcabcabcabcabcabc".repeat(10);
        let stored = compress(&bytes).unwrap();
        for len in [0, 1, bytes.len() - 1, bytes.len() + 1, bytes.len() + 100] {
            assert!(decompress(&stored, &mut vec![0; len]).is_err(), "{len}");
        }
        for end in 0..stored.len() {
            assert!(decompress(&stored[..end], &mut vec![0; bytes.len()]).is_err());
        }
        // An offset before the start of the output.
        assert!(decompress(&[0x10, b'a', 9, 0, 0], &mut [0; 5]).is_err());
        assert!(decompress(&[0x10, b'a', 0, 0, 0], &mut [0; 5]).is_err());
    }

    #[test]
    fn what_hardly_shrinks_is_left_alone() {
        assert!(compress(b"").is_none());
        assert!(compress(b"abcdefgh").is_none());
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..1 << 20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_le_bytes()[6]
            })
            .collect();
        assert!(compress(&noise).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_bytes_or_an_error(
            stored in proptest::collection::vec(any::<u8>(), 0..200), len in 0_usize..2000,
        ) {
            let _ = decompress(&stored, &mut vec![0; len]);
        }
    }
}
