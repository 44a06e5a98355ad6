//! Many changes as one atomic commit.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::atom::{Atom, AtomKind};
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::value;
use crate::index::KeyId;
use crate::log::create::now;

use super::values::{CHUNK_ROWS_MIN, Values, ops_of_points};
use super::write::{Commit, Op, PutValue};
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
    /// The keys of all changes, one after the other: no allocation a change.
    keys: String,
    changes: Vec<Change>,
    len: usize,
}

#[derive(Debug)]
struct Change {
    /// End of its key in `keys`; it begins where the one before ends.
    key_end: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Number { timestamp: i64, kind: AtomKind, bits: u64 },
    Blob { timestamp: i64, atom: Atom },
    Points(Box<Points>),
    Delete,
}

impl Batch {
    pub(super) fn new(db: SynaDB) -> Batch {
        Batch { db, keys: String::new(), changes: Vec::new(), len: 0 }
    }

    #[inline]
    fn push(&mut self, key: &str, what: What, count: usize) -> Result<&mut Self> {
        check_key(key)?;
        self.keys.push_str(key);
        self.changes.push(Change { key_end: self.keys.len(), what });
        self.len += count;
        Ok(self)
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
        let (len, max) = (value::encoded_len(&atom), self.db.open.core.limits.value_size_max);
        if len > max {
            return Err(SynaError::ValueTooLarge { len, max });
        }
        let what = match atom {
            Atom::Null => What::Number { timestamp, kind: AtomKind::Null, bits: 0 },
            Atom::Float(value) => {
                What::Number { timestamp, kind: AtomKind::Float, bits: value.to_bits() }
            }
            Atom::Int(value) => {
                What::Number { timestamp, kind: AtomKind::Int, bits: value.cast_unsigned() }
            }
            atom => What::Blob { timestamp, atom },
        };
        self.push(key, what, 1)
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
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        if timestamps.is_empty() {
            return Ok(self);
        }
        let mut points = Points::new();
        values.append_to(timestamps, &mut points)?;
        self.push(key, What::Points(Box::new(points)), timestamps.len())
    }

    /// Deletes a key, points added to it before included.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`].
    pub fn delete(&mut self, key: &str) -> Result<&mut Self> {
        self.push(key, What::Delete, 1)
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
        let generation = core.generation.load_full();
        let index = &generation.index;
        let (limits, policy) = (&core.limits, core.config.policy());
        let count = self.changes.len();
        let mut keys = Vec::with_capacity(count);
        let mut start = 0;
        for change in &self.changes {
            keys.push(self.keys.get(start..change.key_end).unwrap_or_default());
            start = change.key_end;
        }
        let ids: Vec<Option<KeyId>> = keys.iter().map(|key| index.find(key)).collect();
        let mut ops = Vec::with_capacity(count);
        if !has_run(&self.changes, &keys, &ids) {
            for (change, key) in self.changes.into_iter().zip(&keys) {
                let key = Cow::Borrowed(*key);
                ops.push(match change.what {
                    What::Number { timestamp, kind, bits } => {
                        Op::Put { key, timestamp, value: PutValue::Number(kind, bits) }
                    }
                    What::Blob { timestamp, atom } => {
                        let value = PutValue::of(&atom, limits.value_size_max, policy)?;
                        Op::Put { key, timestamp, value }
                    }
                    What::Points(_) => unreachable!("points are a run"),
                    What::Delete => Op::Tombstone { key },
                });
            }
            let index = Arc::downgrade(index);
            return core.commit(Commit { ops, ids, index });
        }
        // Points of one key together, in order of the keys' first appearance; a deletion closes
        // the run before it.
        let mut runs: Vec<(&str, Option<Points>)> = Vec::new();
        let mut open: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
        for (change, key) in self.changes.into_iter().zip(&keys) {
            if let What::Delete = change.what {
                open.remove(key);
                runs.push((key, None));
                continue;
            }
            let at = *open.entry(key).or_insert_with(|| {
                runs.push((key, Some(Points::new())));
                runs.len() - 1
            });
            let Some((_, Some(points))) = runs.get_mut(at) else {
                unreachable!("the open run of a key holds points");
            };
            match change.what {
                What::Number { timestamp, kind, bits } => points.push_number(timestamp, kind, bits),
                What::Blob { timestamp, atom } => points.push_atom(timestamp, atom),
                What::Points(more) if points.is_empty() => *points = *more,
                What::Points(more) => points.extend_from(&more, 0..more.len()),
                What::Delete => {}
            }
        }
        for (key, points) in runs {
            match points {
                Some(points) => {
                    ops_of_points(Cow::Borrowed(key), points, limits, policy, &mut ops)?;
                }
                None => ops.push(Op::Tombstone { key: Cow::Borrowed(key) }),
            }
        }
        core.commit(Commit::new(ops))
    }
}

/// Whether some key may have enough points in the batch for a chunk. Where it only seems so, the
/// points are put together in vain and written as they would be.
fn has_run(changes: &[Change], keys: &[&str], ids: &[Option<KeyId>]) -> bool {
    if changes.iter().any(|change| matches!(change.what, What::Points(_))) {
        return true;
    }
    if changes.len() < CHUNK_ROWS_MIN {
        return false;
    }
    // Keys with an id are counted by it, in a byte each while ids are few.
    let most = ids.iter().flatten().max().map_or(0, |id| *id as usize + 1);
    let mut counts = vec![0u8; if most <= 64 * changes.len() { most } else { 0 }];
    let mut others: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
    let full = |count: usize| count >= CHUNK_ROWS_MIN;
    keys.iter().zip(ids).any(|(key, id)| match id.and_then(|id| counts.get_mut(id as usize)) {
        Some(count) => {
            *count = count.saturating_add(1);
            full(usize::from(*count))
        }
        None => {
            let count = others.entry(key).or_default();
            *count += 1;
            full(*count)
        }
    })
}
