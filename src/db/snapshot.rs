//! A view of one commit.

use std::ops::{Range, RangeBounds};
use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::atom::{Atom, AtomKind, Point};
use crate::error::Result;
use crate::index::Glob;
use crate::materialize::Tensor;
use crate::times::Times;

use super::SynaDB;
use super::core::Pinned;
use super::follow::Cursor;
use super::frame::Frame;
use super::history::History;
use super::read::View;
use super::scan::{self, Scan};

/// The database as of one commit. All that is read through it agrees and never changes, whatever is
/// appended, deleted or rewritten meanwhile.
///
/// Costs nothing to take. While it lives, deleted points it can see stay in memory, and after a
/// rewrite the old file stays on disk.
pub struct Snapshot {
    db: SynaDB,
    pinned: Arc<Pinned>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("path", &self.db.path())
            .field("commit_end", &self.pinned.commit_end())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(super) fn new(db: SynaDB, pinned: Pinned) -> Snapshot {
        Snapshot { db, pinned: Arc::new(pinned) }
    }

    fn view(&self) -> Result<View<'_>> {
        self.db.open.check()?;
        self.db.open.core.check_fork()?;
        Ok(self.pinned.view())
    }

    /// Where the log ended at this commit: grows with every commit of one generation of the file.
    pub fn commit_end(&self) -> u64 {
        self.pinned.commit_end()
    }

    /// Whether this process is a forked child and the snapshot the parent's.
    pub fn is_forked(&self) -> bool {
        self.db.is_forked()
    }

    /// The place of this commit in the file, by which another process reads the same:
    /// [`SynaDB::open_read_only_at`]. What is still in the buffer of `Buffered` has none yet: call
    /// [`flush`](SynaDB::flush) before the snapshot is taken. Cost: walks the log from the newest
    /// place that is known to be durable.
    ///
    /// # Errors
    ///
    /// `Corrupt` if the commit is not in the file; `Io`, `OutOfMemory`.
    pub fn cursor(&self) -> Result<Cursor> {
        self.pinned.cursor()
    }

    /// The latest value of a key, as [`SynaDB::get`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get(&self, key: &str) -> Result<Option<Atom>> {
        Ok(self.get_point(key)?.map(|point| point.value))
    }

    /// The latest value of a key with its timestamp.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_point(&self, key: &str) -> Result<Option<Point>> {
        self.view()?.point(key)
    }

    /// The value as of a time, as [`SynaDB::get_at`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_at(&self, key: &str, timestamp: i64) -> Result<Option<Atom>> {
        Ok(self.get_point_at(key, timestamp)?.map(|point| point.value))
    }

    /// As [`Snapshot::get_at`], with the timestamp.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_point_at(&self, key: &str, timestamp: i64) -> Result<Option<Point>> {
        self.view()?.point_at(key, timestamp)
    }

    /// Whether the key has a live point.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.len(key)? > 0)
    }

    /// Number of live points of a key, 0 if it is absent.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn len(&self, key: &str) -> Result<u64> {
        Ok(self.view()?.len(key))
    }

    /// The live keys in bytewise order.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn keys(&self) -> Result<Vec<String>> {
        Ok(self.view()?.keys(None))
    }

    /// The live keys that match a pattern, as [`SynaDB::keys_matching`].
    ///
    /// # Errors
    ///
    /// `InvalidPattern`, `Closed`, `ForkedHandle`.
    pub fn keys_matching(&self, pattern: &str) -> Result<Vec<String>> {
        Ok(self.view()?.keys(Some(&Glob::new(pattern)?)))
    }

    /// The latest point of every live key that matches, in bytewise order of the keys.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`; as [`SynaDB::get`].
    pub fn latest(&self, pattern: &str) -> Result<Vec<(String, Point)>> {
        self.view()?.latest(&Glob::new(pattern)?)
    }

    /// As [`Snapshot::latest`], as one batch, see [`SynaDB::latest_batch`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::latest_batch`].
    pub fn latest_batch(&self, pattern: &str) -> Result<RecordBatch> {
        self.view()?;
        scan::latest_batch(&self.db, &self.pinned, pattern)
    }

    /// The kinds that occur in the live history of a key.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn types(&self, key: &str) -> Result<Vec<AtomKind>> {
        self.view()?.types(key)
    }

    /// The history of a key as of this commit, to be read as Arrow arrays, as
    /// [`SynaDB::history`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::history`].
    pub fn history(&self, key: &str) -> Result<History> {
        self.view()?;
        History::new(self.db.clone(), Arc::clone(&self.pinned), key)
    }

    /// The histories of all keys that match as of this commit, as [`SynaDB::scan`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::scan`].
    pub fn scan(&self, pattern: &str) -> Result<Scan> {
        self.view()?;
        Scan::new(self.db.clone(), Arc::clone(&self.pinned), pattern)
    }

    /// The histories of these keys side by side as of this commit, as [`SynaDB::frame`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::frame`].
    pub fn frame<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Frame> {
        self.view()?;
        Frame::new(self.db.clone(), Arc::clone(&self.pinned), keys)
    }

    /// As [`Snapshot::frame`] for all keys that match, as [`SynaDB::frame_matching`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::frame_matching`].
    pub fn frame_matching(&self, pattern: &str) -> Result<Frame> {
        self.view()?;
        Frame::matching(self.db.clone(), Arc::clone(&self.pinned), pattern)
    }

    /// The doubles among the points as a tensor, as [`SynaDB::get_history_tensor`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history_tensor`].
    pub fn get_history_tensor(&self, key: &str) -> Result<Tensor> {
        self.history(key)?.only_floats()
    }

    /// All live points of a key in append order.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history(&self, key: &str) -> Result<Vec<Point>> {
        self.view()?.get_history(key)
    }

    /// Points by place, as [`SynaDB::get_history_rows`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_rows(&self, key: &str, rows: Range<u64>) -> Result<Vec<Point>> {
        self.view()?.get_history_rows(key, rows)
    }

    /// Points by time, as [`SynaDB::get_history_range`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_range(
        &self,
        key: &str,
        timestamps: impl RangeBounds<i64>,
    ) -> Result<Vec<Point>> {
        self.view()?.get_history_range(key, Times::of(&timestamps))
    }

    /// The doubles among the points, as [`SynaDB::get_history_floats`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_floats(&self, key: &str) -> Result<Vec<f64>> {
        self.view()?.get_history_floats(key)
    }
}
