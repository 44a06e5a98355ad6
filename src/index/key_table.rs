//! Key to dense id: a hash table that readers use without a lock while one writer adds keys.
//!
//! Keys are never removed (a deleted key keeps its row numbers), so the table only grows. It grows
//! by whole levels, each twice as large: the writer fills the next level and then makes it the
//! current one; readers that still probe the old level find every key that was committed when they
//! began. Old levels stay allocated, which costs at most as much again as the current one and needs
//! no reclamation scheme.

use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Number of a key, dense from 0 in order of first appearance.
pub(crate) type KeyId = u32;

const FIRST_LEVEL_LOG2: usize = 8;
const LEVELS: usize = 33 - FIRST_LEVEL_LOG2;

/// A cell holds 0 (empty) or the upper half of the hash and `id + 1`.
type Level = Box<[AtomicU64]>;

pub(crate) struct KeyTable {
    levels: [OnceLock<Level>; LEVELS],
    current: AtomicUsize,
    hasher: foldhash::fast::RandomState,
}

impl KeyTable {
    pub(crate) fn new() -> Self {
        let table = KeyTable {
            levels: [const { OnceLock::new() }; LEVELS],
            current: AtomicUsize::new(0),
            hasher: foldhash::fast::RandomState::default(),
        };
        table.level(0);
        table
    }

    #[inline]
    pub(crate) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    /// The id whose key `is_key` accepts. Ids of keys not yet visible to the caller may be offered.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_key: impl FnMut(KeyId) -> bool) -> Option<KeyId> {
        let level = self.levels.get(self.current.load(Ordering::Acquire))?.get()?;
        let mask = level.len() - 1;
        let mut at = index_of(hash, mask);
        loop {
            let cell = level.get(at)?.load(Ordering::Acquire);
            if cell == 0 {
                return None;
            }
            if cell >> 32 == hash >> 32 {
                let id = id_of(cell);
                if is_key(id) {
                    return Some(id);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds `id` under `hash`. Called by the one writer, with the ids `0..id` in the table and the
    /// key of `id` readable by its number already. `hash_of` gives the hashes of earlier ids.
    pub(crate) fn insert(&self, hash: u64, id: KeyId, hash_of: impl Fn(KeyId) -> u64) {
        let mut current = self.current.load(Ordering::Relaxed);
        let count = id as usize;
        // At most three quarters full: probes stay short.
        if count >= (self.level(current).len() / 4) * 3 {
            current += 1;
            let next = self.level(current);
            for earlier in 0..id {
                fill(next, hash_of(earlier), earlier);
            }
            fill(next, hash, id);
            self.current.store(current, Ordering::Release);
        } else {
            fill(self.level(current), hash, id);
        }
    }

    fn level(&self, number: usize) -> &Level {
        let number = number.min(LEVELS - 1);
        #[expect(clippy::indexing_slicing, reason = "bounded by the line above")]
        self.levels[number].get_or_init(|| {
            (0..1usize << (FIRST_LEVEL_LOG2 + number)).map(|_| AtomicU64::new(0)).collect()
        })
    }
}

#[inline]
fn index_of(hash: u64, mask: usize) -> usize {
    // The upper half tells keys of one cell apart, so the cell comes from the lower one.
    (hash & 0xFFFF_FFFF) as usize & mask
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half of the cell is the id")]
fn id_of(cell: u64) -> KeyId {
    (cell as u32) - 1
}

fn fill(level: &[AtomicU64], hash: u64, id: KeyId) {
    let mask = level.len() - 1;
    let mut at = index_of(hash, mask);
    while let Some(cell) = level.get(at) {
        if cell.load(Ordering::Relaxed) == 0 {
            cell.store((hash >> 32) << 32 | (u64::from(id) + 1), Ordering::Release);
            return;
        }
        at = (at + 1) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_through_growth_and_others_are_not() {
        let table = KeyTable::new();
        let keys: Vec<String> = (0..10_000).map(|i| format!("key/{i}")).collect();
        for (id, key) in (0u32..).zip(&keys) {
            table.insert(table.hash(key), id, |id| table.hash(&keys[id as usize]));
        }
        for (id, key) in (0u32..).zip(&keys) {
            let found = table.find(table.hash(key), |id| &keys[id as usize] == key);
            assert_eq!(found, Some(id));
        }
        assert_eq!(table.find(table.hash("other"), |id| keys[id as usize] == "other"), None);
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_key() {
        let table = KeyTable::new();
        for id in 0..100 {
            table.insert(42, id, |_| 42);
        }
        assert_eq!(table.find(42, |id| id == 77), Some(77));
        assert_eq!(table.find(42, |_| false), None);
    }
}
