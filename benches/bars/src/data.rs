//! The points that the store and the bare loops write: the same keys, stamps and values.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of every key name.
pub const KEY_LEN: usize = 16;

/// Keys of the append bars.
pub const KEYS: u64 = 1_000;

/// The name of a key: 16 bytes, as `plant/sensor0042` would have.
pub fn key_name(key: u64) -> String {
    format!("k/{key:014}")
}

pub fn key_names(keys: u64) -> Vec<String> {
    (0..keys).map(key_name).collect()
}

/// The same names as arrays, so that a bare loop copies a constant number of bytes.
pub fn key_bytes(keys: u64) -> Vec<[u8; KEY_LEN]> {
    let mut all = Vec::new();
    for key in 0..keys {
        let mut bytes = [b'0'; KEY_LEN];
        bytes.copy_from_slice(key_name(key).as_bytes());
        all.push(bytes);
    }
    all
}

/// Stamp of the `i`-th point written: one a millisecond from 2025 on.
#[inline]
pub fn timestamp(i: u64) -> i64 {
    1_735_689_600_000_000 + i as i64 * 1_000
}

/// Value of the `i`-th point written: different for each, and `i` can be told from it.
#[inline]
pub fn value(i: u64) -> f64 {
    i as f64 * 0.25
}

/// Index of the last point of `key` when `points` were written round robin over `keys`.
pub fn last_of(key: u64, keys: u64, points: u64) -> Option<u64> {
    if key >= points { None } else { Some(key + (points - 1 - key) / keys * keys) }
}

/// A fast generator (xorshift64*), so that choosing a key costs about a nanosecond.
pub struct Random(u64);

impl Random {
    /// A generator with a seed of its own for each thread.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `bound`, which is at most 2^32.
    #[inline]
    pub fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * bound) >> 32) as usize
    }
}

/// A seed that no other run of this process has.
pub fn fresh_seed() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_sixteen_bytes() {
        assert_eq!(key_name(0).len(), KEY_LEN);
        assert_eq!(key_name(999_999).len(), KEY_LEN);
        assert_eq!(key_bytes(2)[1], *b"k/00000000000001");
    }

    #[test]
    fn last_point_of_a_key_is_found() {
        assert_eq!(last_of(0, 10, 21), Some(20));
        assert_eq!(last_of(1, 10, 21), Some(11));
        assert_eq!(last_of(9, 10, 9), None);
    }

    #[test]
    fn random_stays_below_its_bound() {
        let mut random = Random::new(7);
        assert!((0..10_000).all(|_| random.below(10) < 10));
    }
}
