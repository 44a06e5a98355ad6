//! Many changes as one atomic commit.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::atom::Atom;
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::value;
use crate::log::create::now;

use super::values::{Values, ops_of_points};
use super::write::{Commit, Op};
use super::{SynaDB, check_key};

/// Changes that take effect together, for every thread and process and after every crash, or not
/// at all.
///
/// Collected in memory and written by [`commit`](Batch::commit); dropped without it, nothing
/// happens. Points of one key keep their order; a key deleted in a batch starts anew with the
/// points that follow. From 32 points a key are written as a chunk of columns.
#[derive(Debug)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    db: SynaDB,
    /// In order of the first appearance of their keys; a deletion closes the run before it.
    runs: Vec<Run>,
    /// The run that points of a key go to.
    open: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    len: usize,
}

#[derive(Debug)]
enum Run {
    Points { key: Box<str>, points: Points },
    Delete { key: Box<str> },
}

impl Batch {
    pub(super) fn new(db: SynaDB) -> Batch {
        Batch { db, runs: Vec::new(), open: HashMap::default(), len: 0 }
    }

    fn points_of(&mut self, key: &str) -> Result<&mut Points> {
        check_key(key)?;
        let at = match self.open.get(key) {
            Some(at) => *at,
            None => {
                let at = self.runs.len();
                self.runs.push(Run::Points { key: key.into(), points: Points::new() });
                self.open.insert(key.into(), at);
                at
            }
        };
        match self.runs.get_mut(at) {
            Some(Run::Points { points, .. }) => Ok(points),
            _ => unreachable!("the open run of a key holds points"),
        }
    }

    /// Adds a value with the present time.
    ///
    /// # Errors
    ///
    /// `EmptyKey`, `KeyTooLong`, `ValueTooLarge`: the batch is as it was.
    pub fn append(&mut self, key: &str, value: impl Into<Atom>) -> Result<&mut Self> {
        self.append_at(key, now(), value)
    }

    /// Adds a value with the caller's timestamp.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`].
    pub fn append_at(
        &mut self,
        key: &str,
        timestamp: i64,
        value: impl Into<Atom>,
    ) -> Result<&mut Self> {
        let atom = value.into();
        let (len, max) = (value::encoded_len(&atom), self.db.open.core.value_size_max());
        if len > max {
            return Err(SynaError::ValueTooLarge { len, max });
        }
        self.points_of(key)?.push_atom(timestamp, atom);
        self.len += 1;
        Ok(self)
    }

    /// Adds many points of one key.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`]; `LengthMismatch`.
    pub fn append_batch<'a>(
        &mut self,
        key: &str,
        timestamps: &[i64],
        values: impl Into<Values<'a>>,
    ) -> Result<&mut Self> {
        let values = values.into();
        check_key(key)?;
        if timestamps.is_empty() && values.is_empty() {
            return Ok(self);
        }
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        values.append_to(timestamps, self.points_of(key)?)?;
        self.len += timestamps.len();
        Ok(self)
    }

    /// Deletes a key, points added to it before included.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`].
    pub fn delete(&mut self, key: &str) -> Result<&mut Self> {
        check_key(key)?;
        self.open.remove(key);
        self.runs.push(Run::Delete { key: key.into() });
        self.len += 1;
        Ok(self)
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Commits; returns the offset of the first entry (of the log's end if there is no change).
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`], and `BatchTooLarge`; nothing of the batch took effect then.
    pub fn commit(self) -> Result<u64> {
        let core = self.db.writing()?;
        let limits = *core.generation.load().log.limits();
        let mut ops = Vec::with_capacity(self.runs.len());
        for run in self.runs {
            match run {
                Run::Points { key, points } => {
                    ops_of_points(Cow::Owned(key.into()), points, &limits, &mut ops)?;
                }
                Run::Delete { key } => ops.push(Op::Tombstone { key: Cow::Owned(key.into()) }),
            }
        }
        core.commit(Commit { ops })
    }
}
