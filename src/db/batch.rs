//! Many changes as one atomic commit.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::ArrowError;

use crate::atom::{Atom, AtomKind};
use crate::column::Points;
use crate::column::encoding::Policy;
use crate::config::Durability;
use crate::error::{Result, SynaError};
use crate::format::file_header::Limits;
use crate::format::value;
use crate::index::KeyId;
use crate::ingest::{Form, Staging, Table, WriteOptions};
use crate::log::create::now;

use super::run::{CHUNK_ROWS_MIN, ops_of_points};
use super::values::Values;
use super::write::{Commit, NumberPut, Op, PutValue};
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
    /// Texts and bytes in the order of their changes.
    blobs: Vec<Atom>,
    /// Many points at once in the order of their changes.
    runs: Vec<Points>,
    len: usize,
}

/// One change, in plain words: what is moved about as a whole while it is still being put together
/// is read back before it has arrived in memory, which was a tenth of the time of a batch.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// End of its key in `keys`; it begins where the one before ends.
    key_end: usize,
    timestamp: i64,
    /// Of a number.
    bits: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Number(AtomKind),
    /// The next of `blobs`.
    Blob,
    /// The next of `runs`.
    Run,
    Delete,
}

impl Batch {
    pub(super) fn new(db: SynaDB) -> Batch {
        let (keys, changes) = (String::new(), Vec::new());
        Batch { db, keys, changes, blobs: Vec::new(), runs: Vec::new(), len: 0 }
    }

    #[inline]
    fn push(&mut self, key: &str, timestamp: i64, what: What, bits: u64) {
        self.keys.push_str(key);
        self.changes.push(Change { key_end: self.keys.len(), timestamp, bits, what });
        self.len += 1;
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
        check_key(key)?;
        match atom {
            Atom::Null => self.push(key, timestamp, What::Number(AtomKind::Null), 0),
            Atom::Float(value) => {
                self.push(key, timestamp, What::Number(AtomKind::Float), value.to_bits());
            }
            Atom::Int(value) => {
                self.push(key, timestamp, What::Number(AtomKind::Int), value.cast_unsigned());
            }
            atom => {
                self.blobs.push(atom);
                self.push(key, timestamp, What::Blob, 0);
            }
        }
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
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        let (len, max) = (values.encoded_len_max(), self.db.open.core.limits.value_size_max);
        if len > max {
            return Err(SynaError::ValueTooLarge { len, max });
        }
        let mut points = Points::new();
        values.append_to(timestamps, &mut points)?;
        self.push_run(key, points);
        Ok(self)
    }

    fn push_run(&mut self, key: &str, points: Points) {
        let Some(others) = points.len().checked_sub(1) else { return };
        self.runs.push(points);
        self.push(key, 0, What::Run, 0);
        self.len += others;
    }

    /// Adds the points of a record batch in the long form, read as [`SynaDB::write`] reads it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
    /// use synadb::SynaDB;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rows = RecordBatch::try_from_iter([
    ///     ("key", Arc::new(StringArray::from(vec!["JFK/temp", "LGA/temp"])) as _),
    ///     ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![0, 0])) as _),
    ///     ("value", Arc::new(Float64Array::from(vec![39.0, 38.5])) as _),
    /// ])?;
    /// let db = SynaDB::in_memory()?;
    /// let mut batch = db.batch();
    /// batch.write(&rows)?.append("imported", "first hour")?;
    /// batch.commit()?;
    /// assert_eq!(db.get_history_floats("LGA/temp")?, [38.5]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write_reader`] with [`atomic`](WriteOptions::atomic): the batch is as it was.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<&mut Self> {
        self.write_with(rows, &WriteOptions::default())
    }

    /// As [`Batch::write`], with options.
    ///
    /// # Errors
    ///
    /// As [`Batch::write`].
    pub fn write_with(&mut self, rows: &RecordBatch, options: &WriteOptions) -> Result<&mut Self> {
        self.stage(std::iter::once(Ok(rows.clone())), Form::Long, options)
    }

    /// Adds the points of record batches in the long form, none of them if one cannot be read.
    ///
    /// # Errors
    ///
    /// As [`Batch::write`].
    pub fn write_reader(
        &mut self,
        rows: impl RecordBatchReader,
        options: &WriteOptions,
    ) -> Result<&mut Self> {
        Table::check_columns(&rows.schema(), Form::Long, options)?;
        self.stage(rows, Form::Long, options)
    }

    /// Adds the points of a record batch in the wide form, read as [`SynaDB::write_wide`] reads it.
    ///
    /// # Errors
    ///
    /// As [`Batch::write`].
    pub fn write_wide(&mut self, rows: &RecordBatch) -> Result<&mut Self> {
        self.write_wide_with(rows, &WriteOptions::default())
    }

    /// As [`Batch::write_wide`], with options.
    ///
    /// # Errors
    ///
    /// As [`Batch::write`].
    pub fn write_wide_with(
        &mut self,
        rows: &RecordBatch,
        options: &WriteOptions,
    ) -> Result<&mut Self> {
        self.stage(std::iter::once(Ok(rows.clone())), Form::Wide, options)
    }

    /// Adds the points of record batches in the wide form, none of them if one cannot be read.
    ///
    /// # Errors
    ///
    /// As [`Batch::write`].
    pub fn write_wide_reader(
        &mut self,
        rows: impl RecordBatchReader,
        options: &WriteOptions,
    ) -> Result<&mut Self> {
        Table::check_columns(&rows.schema(), Form::Wide, options)?;
        self.stage(rows, Form::Wide, options)
    }

    fn stage(
        &mut self,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
        form: Form,
        options: &WriteOptions,
    ) -> Result<&mut Self> {
        let max = self.db.open.core.limits.value_size_max;
        let mut staging = Staging::new(options.write_budget_bytes);
        let mut rows = 0;
        for batch in batches {
            let batch = batch.map_err(SynaError::arrow)?;
            let table = Table::read(&batch, form, options, rows, max)?;
            rows += table.rows() as u64;
            staging.add(&table)?;
        }
        for (key, points) in staging.into_points() {
            self.push_run(&key, points);
        }
        Ok(self)
    }

    /// Adds the changes of another batch of this database behind these: threads may put the parts of a commit
    /// together side by side.
    ///
    /// # Errors
    ///
    /// `InvalidOption` if the other batch is one of another database, which is discarded then; this one is as
    /// it was.
    pub fn merge(&mut self, other: Batch) -> Result<&mut Self> {
        let Batch { db, keys, changes, mut blobs, mut runs, len } = other;
        if !Arc::ptr_eq(&db.open.core, &self.db.open.core) {
            let what = "it must be a batch of the same database";
            return Err(SynaError::InvalidOption { option: "other", what });
        }
        let start = self.keys.len();
        self.keys.push_str(&keys);
        let moved = |change: Change| Change { key_end: start + change.key_end, ..change };
        self.changes.extend(changes.into_iter().map(moved));
        self.blobs.append(&mut blobs);
        self.runs.append(&mut runs);
        self.len += len;
        Ok(self)
    }

    /// Deletes a key, points added to it before included.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`].
    pub fn delete(&mut self, key: &str) -> Result<&mut Self> {
        check_key(key)?;
        self.push(key, 0, What::Delete, 0);
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
        match self.commit_as(true)? {
            Some(offset) => Ok(offset),
            None => unreachable!("it has waited"),
        }
    }

    /// As [`Batch::commit`], if that need not wait, as [`SynaDB::try_append_at`]; otherwise the batch comes
    /// back as it was.
    ///
    /// # Errors
    ///
    /// As [`Batch::commit`].
    pub fn try_commit(self) -> Result<Result<u64, Batch>> {
        Ok(self.commit_as(false)?.ok_or(self))
    }

    fn commit_as(&self, wait: bool) -> Result<Option<u64>> {
        let core = self.db.writing()?;
        if !wait && core.config.durability == Durability::Full {
            return Ok(None);
        }
        let Batch { keys: names, changes, blobs, runs, .. } = &self;
        let generation = core.generation.load_full();
        let index = &generation.index;
        let policy = core.config.policy();
        let mut keys = Vec::with_capacity(changes.len());
        let mut start = 0;
        for change in changes {
            keys.push(names.get(start..change.key_end).unwrap_or_default());
            start = change.key_end;
        }
        let ids: Vec<Option<KeyId>> = keys.iter().map(|key| index.find(key)).collect();
        if !runs.is_empty() || has_run(&keys, &ids) {
            let commit = Commit::new(self.runs_of(&keys, &core.limits, policy)?);
            return if wait { core.commit(commit).map(Some) } else { core.try_commit(commit) };
        }
        let mut numbers = Vec::with_capacity(changes.len());
        for ((change, key), id) in changes.iter().zip(&keys).zip(&ids) {
            let Change { timestamp, bits, what: What::Number(kind), .. } = *change else { break };
            numbers.push(NumberPut { key, id: *id, timestamp, kind, bits });
        }
        if numbers.len() == changes.len() {
            return if wait {
                core.put_numbers(&numbers, index).map(Some)
            } else {
                core.try_with_writer(|side| side.put_numbers(core, &numbers, index))
            };
        }
        let mut ops = Vec::with_capacity(changes.len());
        let mut blobs = blobs.iter();
        for (change, key) in changes.iter().zip(&keys) {
            let (key, timestamp) = (Cow::Borrowed(*key), change.timestamp);
            ops.push(match change.what {
                What::Number(kind) => {
                    Op::Put { key, timestamp, value: PutValue::Number(kind, change.bits) }
                }
                What::Blob => {
                    let Some(atom) = blobs.next() else { unreachable!("one for every change") };
                    let value = PutValue::of(atom, core.limits.value_size_max, policy)?;
                    Op::Put { key, timestamp, value }
                }
                What::Run => unreachable!("batches with runs go the other way"),
                What::Delete => Op::Tombstone { key },
            });
        }
        let index = Arc::downgrade(index);
        let commit = Commit { ops, ids, index };
        if wait { core.commit(commit).map(Some) } else { core.try_commit(commit) }
    }

    /// The changes with the points of one key together, in order of the keys' first appearance; a
    /// deletion closes the run before it.
    fn runs_of<'a>(
        &'a self,
        keys: &[&'a str],
        limits: &Limits,
        policy: Policy,
    ) -> Result<Vec<Op<'a>>> {
        let mut runs: Vec<(&str, Option<Points>)> = Vec::new();
        let mut open: HashMap<&str, usize, foldhash::fast::RandomState> = HashMap::default();
        let (mut blobs, mut many) = (self.blobs.iter(), self.runs.iter());
        for (change, &key) in self.changes.iter().zip(keys) {
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
                What::Number(kind) => points.push_number(change.timestamp, kind, change.bits),
                What::Blob => {
                    if let Some(atom) = blobs.next() {
                        points.push(change.timestamp, atom);
                    }
                }
                What::Run => {
                    if let Some(more) = many.next() {
                        points.extend_from(more, 0..more.len());
                    }
                }
                What::Delete => {}
            }
        }
        let mut ops = Vec::with_capacity(runs.len());
        for (key, points) in runs {
            match points {
                Some(points) => {
                    ops_of_points(Cow::Borrowed(key), points, limits, policy, &mut ops)?;
                }
                None => ops.push(Op::Tombstone { key: Cow::Borrowed(key) }),
            }
        }
        Ok(ops)
    }
}

/// Whether some key may have enough points in the batch for a chunk. Where it only seems so, the
/// points are put together in vain and written as they would be.
fn has_run(keys: &[&str], ids: &[Option<KeyId>]) -> bool {
    if keys.len() < CHUNK_ROWS_MIN {
        return false;
    }
    // Keys with an id are counted by it, in a byte each while ids are few.
    let most = ids.iter().flatten().max().map_or(0, |id| *id as usize + 1);
    let mut counts = vec![0u8; if most <= 64 * keys.len() { most } else { 0 }];
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
