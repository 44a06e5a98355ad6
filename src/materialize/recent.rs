//! The blocks that a read has decoded last, for rows that are wanted in many short stretches.
//!
//! Times that do not rise and kinds that take turns cut a history into as many pieces as rows, and
//! a block is decoded whole whatever is wanted of it. It lives as long as the one read.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;
use parking_lot::Mutex;

use crate::column::Points;
use crate::error::Result;

use super::cache::Column;

/// Threads work on neighbouring blocks, and there are not many of them.
const BLOCKS_MAX: usize = 8;

/// What is held, the oldest first.
type Held<K, V> = Mutex<Vec<(K, V)>>;

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
        get_or(&self.points, rows, decode)
    }

    /// A column of a block, by the rows of the history that it has.
    pub(crate) fn array(
        &self,
        column: Column,
        rows: &Range<u64>,
        decode: impl FnOnce() -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        get_or(&self.arrays, &(column, rows.clone()), decode)
    }
}

/// What is held under a key, or else what is made, which takes the place of the oldest one. No lock
/// is held meanwhile: two threads may make the same.
fn get_or<K: PartialEq + Clone, V: Clone>(
    held: &Held<K, V>,
    key: &K,
    make: impl FnOnce() -> Result<V>,
) -> Result<V> {
    if let Some((_, value)) = held.lock().iter().rev().find(|(other, _)| other == key) {
        return Ok(value.clone());
    }
    let value = make()?;
    let mut held = held.lock();
    if held.len() == BLOCKS_MAX {
        held.remove(0);
    }
    held.push((key.clone(), value.clone()));
    Ok(value)
}
