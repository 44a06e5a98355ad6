//! The blocks that a read has decoded last, for rows that are wanted in many short stretches.
//!
//! Times that do not rise and kinds that take turns cut a history into as many pieces as rows, and
//! a block is decoded whole whatever is wanted of it. It lives as long as the one read.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};

use crate::column::Points;
use crate::error::Result;
use crate::mutex::Mutex;

use super::cache::Column;

/// Threads work on neighbouring blocks, and there are not many of them.
const BLOCKS_MAX: usize = 8;

/// So many bytes may be held together, or one block that has more.
const BYTES_MAX: usize = 32 << 20;

/// What is held with its bytes, the oldest first.
type Held<K, V> = Mutex<Vec<(K, V, usize)>>;

#[derive(Default)]
pub(crate) struct Recent {
    points: Held<Range<u64>, Arc<Points>>,
    arrays: Held<(Column, Range<u64>), ArrayRef>,
}

impl Recent {
    /// The points of a block, by the rows of the history that it has.
    pub(crate) fn points(
        &self,
        rows: &Range<u64>,
        decode: impl FnOnce() -> Result<Arc<Points>>,
    ) -> Result<Arc<Points>> {
        get_or(&self.points, rows, decode, |points| points.memory_bytes())
    }

    /// A column of a block, by the rows of the history that it has.
    pub(crate) fn array(
        &self,
        column: Column,
        rows: &Range<u64>,
        decode: impl FnOnce() -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        get_or(&self.arrays, &(column, rows.clone()), decode, |array| {
            array.get_buffer_memory_size()
        })
    }
}

/// What is held under a key, or else what is made, which takes the place of the oldest ones. No lock
/// is held meanwhile: two threads may make the same.
fn get_or<K: PartialEq + Clone, V: Clone>(
    held: &Held<K, V>,
    key: &K,
    make: impl FnOnce() -> Result<V>,
    bytes_of: impl FnOnce(&V) -> usize,
) -> Result<V> {
    if let Some((_, value, _)) = held.lock().iter().rev().find(|(other, ..)| other == key) {
        return Ok(value.clone());
    }
    let value = make()?;
    let bytes = bytes_of(&value);
    let mut held = held.lock();
    let mut all = held.iter().fold(bytes, |all, (.., bytes)| all.saturating_add(*bytes));
    while held.len() == BLOCKS_MAX || (all > BYTES_MAX && !held.is_empty()) {
        let (.., oldest) = held.remove(0);
        all -= oldest;
    }
    held.push((key.clone(), value.clone(), bytes));
    Ok(value)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn few_blocks_are_held_and_not_many_bytes_but_the_newest_always() {
        let held = Held::<usize, usize>::default();
        let get = |key: usize, bytes: usize| {
            let mut made = false;
            let make = || {
                made = true;
                Ok(bytes)
            };
            assert_eq!(get_or(&held, &key, make, |bytes| *bytes).unwrap(), bytes);
            made
        };
        for key in 0..BLOCKS_MAX {
            assert!(get(key, 1));
        }
        assert!((0..BLOCKS_MAX).all(|key| !get(key, 1)));
        assert!(get(8, 1) && !get(1, 1) && get(0, 1) && get(1, 1));
        assert!(get(10, BYTES_MAX + 1) && !get(10, BYTES_MAX + 1));
        assert_eq!(held.lock().len(), 1);
        assert!(get(11, BYTES_MAX) && get(12, 1) && get(11, BYTES_MAX) && !get(11, BYTES_MAX));
        assert_eq!(held.lock().len(), 1);
    }
}
