//! The database: opens a file and wires log and index together. Touches no bytes itself.

mod batch;
mod core;
mod follow;
mod frame;
mod history;
mod ingest;
mod keeper;
mod open;
mod opens;
mod read;
mod reader_side;
mod run;
mod scan;
mod series;
mod snapshot;
mod stats;
mod stream;
mod values;
mod write;

use std::borrow::Cow;
use std::ops::{Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;

use crate::atom::{Atom, AtomKind, Point};
use crate::config::{DbConfig, Durability};
use crate::error::{Result, SynaError};
use crate::index::{Glob, Latest, point_of_latest};
use crate::log::create::now;
use crate::log::recovery::RecoveryReport;
use crate::materialize::Tensor;
use crate::storage::{FileIdentity, FileStorage, MemoryStorage, Storage};
use crate::times::Times;

pub use batch::Batch;
pub use follow::{Appended, Change, Cursor, FollowFrom, FollowedCommit, Follower};
pub use frame::{Frame, FrameTensor};
pub use history::History;
pub use scan::{Scan, ScanColumn, ScanStream};
pub use series::Series;
pub use snapshot::Snapshot;
pub use stats::{EncodingUse, Stats};
pub use stream::HistoryStream;
pub use values::Values;

pub(crate) use self::core::{Core, Generation, Pinned, WriterSide};
pub(crate) use open::no_slot;
pub(crate) use opens::{also_known_as, no_longer};
pub(crate) use run::{CHUNK_ROWS_MIN, Run, ops_of_points, ops_of_run};
pub(crate) use write::{Commit, Op, PutValue};

use opens::Open;
use read::{newest_atom, newest_point};
/// An open database.
///
/// Cheap to clone and safe to share: every method takes `&self`, from any number of threads, and
/// results are linearizable. In one process a second open of the same file is the same database.
///
/// # Reading
///
/// Calls on the handle see the newest commit. Values of one key come from one commit; for several
/// keys or calls that must agree, take a [`Snapshot`]. A read-only handle first looks for newer
/// commits when its view is older than
/// [`refresh_interval_ms`](DbConfig::refresh_interval_ms).
///
/// # Closing
///
/// [`close`](SynaDB::close) ends this open for all clones of the handle and tells what went wrong;
/// dropping the last clone does the same silently. The file is left clean when the last open of it
/// ends.
///
/// ```
/// # fn main() -> synadb::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("weather.syna");
/// let db = synadb::SynaDB::new(&path)?;
/// db.append("JFK/temp", 39.02)?;
/// db.append("JFK/temp", 38.84)?;
/// assert_eq!(db.get("JFK/temp")?, Some(38.84.into()));
/// assert_eq!(db.get_history_floats("JFK/temp")?, [39.02, 38.84]);
/// db.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SynaDB {
    open: Arc<Open>,
}

/// Whether a key may be one.
///
/// # Errors
///
/// `EmptyKey`, `KeyTooLong`.
pub fn check_key(key: &str) -> Result<()> {
    match key.len() {
        0 => Err(SynaError::EmptyKey),
        len if len > usize::from(u16::MAX) => Err(SynaError::KeyTooLong { len }),
        _ => Ok(()),
    }
}

/// Opening and closing.
impl SynaDB {
    /// Opens the database at `path` for writing with the default options, creating it if there is
    /// none. Every append is durable when it returns.
    ///
    /// # Errors
    ///
    /// `Locked` if another process writes to it; `NotADatabase`, `IsDirectory`,
    /// `NotARegularFile`, `UnsupportedVersion` or `UnsupportedFeature` if the file is not one this
    /// build writes; `Corrupt` if committed bytes are damaged (nothing is changed then);
    /// `NetworkFileSystem`; `OptionsConflict` if it is open in this process with other options;
    /// `Io`.
    pub fn new(path: impl AsRef<Path>) -> Result<SynaDB> {
        Self::with_config(path, DbConfig::default())
    }

    /// Opens the database at `path` for writing with these options.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::new`]; `NotFound` and `AlreadyExists` by [`DbConfig::create`].
    pub fn with_config(path: impl AsRef<Path>, config: DbConfig) -> Result<SynaDB> {
        Self::with_storage(Arc::new(FileStorage), path, config)
    }

    /// Opens the database at `path` for reading, also while another process writes to it. Takes no
    /// lock and changes nothing. Where this process has it open for writing, the handle is a
    /// read-only one on that, and counts: the lock is released when the last of them is closed.
    ///
    /// Such a handle may see commits that are not yet durable.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::new`], except `Locked`; `NotFound` if there is no file.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SynaDB> {
        Self::open_read_only_with(path, DbConfig::default())
    }

    /// Opens for reading with these options, of which only
    /// [`refresh_interval_ms`](DbConfig::refresh_interval_ms) matters.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::open_read_only`].
    pub fn open_read_only_with(path: impl AsRef<Path>, config: DbConfig) -> Result<SynaDB> {
        Self::read_only_with_storage(Arc::new(FileStorage), path, config)
    }

    /// Opens for reading what the database held at a commit, as [`Snapshot::cursor`] named it, also in
    /// another process. It stays there until [`refresh`](SynaDB::refresh) is called. Takes no lock and
    /// reads the log up to that commit.
    ///
    /// ```
    /// # fn main() -> synadb::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("weather.syna");
    /// let db = synadb::SynaDB::new(&path)?;
    /// db.append("JFK/temp", 39.02)?;
    /// let cursor = db.snapshot()?.cursor()?;
    /// db.append("JFK/temp", 38.84)?;
    /// let then = synadb::SynaDB::open_read_only_at(&path, &cursor)?;
    /// assert_eq!(then.get("JFK/temp")?, Some(39.02.into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `CursorLost` if the file was rewritten since, or holds other commits than it did; otherwise as
    /// [`SynaDB::open_read_only`].
    pub fn open_read_only_at(path: impl AsRef<Path>, cursor: &Cursor) -> Result<SynaDB> {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage);
        let config = DbConfig::default().with_refresh_interval_ms(u64::MAX);
        let open = opens::open_read_only_at(&storage, path.as_ref(), &config, cursor)?;
        Ok(SynaDB { open })
    }

    /// A database in memory, gone with its last handle. Everything works as on a disk; "durable"
    /// means nothing.
    ///
    /// # Errors
    ///
    /// `Io` if the system has no memory or no random numbers for it.
    pub fn in_memory() -> Result<SynaDB> {
        Self::in_memory_with(DbConfig::default())
    }

    /// As [`SynaDB::in_memory`], with options. Nothing is durable there, so that `Full` is `Os`.
    ///
    /// # Errors
    ///
    /// `InvalidOption` for options that are not allowed.
    pub fn in_memory_with(config: DbConfig) -> Result<SynaDB> {
        let config = match config.durability {
            Durability::Full => config.with_durability(Durability::Os),
            Durability::Os | Durability::Buffered { .. } => config,
        };
        Self::with_storage(Arc::new(MemoryStorage::new()), "/memory.syna", config)
    }

    /// Opens a database on another storage than the file system.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::new`].
    pub fn with_storage(
        storage: Arc<dyn Storage>,
        path: impl AsRef<Path>,
        config: DbConfig,
    ) -> Result<SynaDB> {
        config.check()?;
        Ok(SynaDB { open: opens::open(&storage, path.as_ref(), &config)? })
    }

    /// Opens a database on another storage for reading.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::open_read_only`].
    pub fn read_only_with_storage(
        storage: Arc<dyn Storage>,
        path: impl AsRef<Path>,
        config: DbConfig,
    ) -> Result<SynaDB> {
        config.check()?;
        Ok(SynaDB { open: opens::open_read_only(&storage, path.as_ref(), &config)? })
    }

    /// Ends this open of the database for all clones of the handle; if it is the last one in the
    /// process, everything is written out and synced and the lock released.
    ///
    /// # Errors
    ///
    /// `Closed` if it was closed before; `Poisoned`, `Detached` or `Io` if the file could not be
    /// left clean. It is closed in any case.
    pub fn close(self) -> Result<()> {
        self.open.close()
    }

    /// The path as it was given when the database was opened first in this process.
    #[expect(clippy::misnamed_getters, reason = "callers know the file by the name they gave")]
    pub fn path(&self) -> &Path {
        &self.open.core.name
    }

    /// The absolute path of the file, symbolic links resolved when it was opened.
    pub fn resolved_path(&self) -> &Path {
        &self.open.core.path
    }

    /// Whether the file that is open is this one.
    pub(crate) fn is_file(&self, identity: FileIdentity) -> bool {
        *self.open.core.identity.lock() == identity
    }

    /// Whether this process is a forked child and the handle the parent's.
    pub fn is_forked(&self) -> bool {
        self.open.core.check_fork().is_err()
    }

    /// The place of the newest commit that this handle has seen, without looking for a newer one, as
    /// [`Snapshot::cursor`]. A forked child may ask, too: by the cursor it opens the same for itself.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::cursor`].
    pub fn cursor(&self) -> Result<Cursor> {
        let generation = self.open.core.generation.load_full();
        generation.cursor_of(generation.index.published())
    }

    /// Whether this handle refuses to write.
    pub fn is_read_only(&self) -> bool {
        self.open.read_only
    }

    /// The options in force.
    pub fn config(&self) -> &DbConfig {
        &self.open.core.config
    }

    /// What opening found, and what it cut.
    pub fn recovery_report(&self) -> RecoveryReport {
        self.open.core.recovery.clone()
    }

    /// Whether both are handles on one open database.
    pub(crate) fn is_same(&self, other: &SynaDB) -> bool {
        Arc::ptr_eq(&self.open.core, &other.open.core)
    }

    /// The shared state, if this handle may read.
    #[inline]
    pub(crate) fn reading(&self) -> Result<&Arc<Core>> {
        self.open.check()?;
        let core = &self.open.core;
        core.check_fork()?;
        core.look()?;
        Ok(core)
    }

    /// The shared state, if this handle may write.
    #[inline]
    pub(crate) fn writing(&self) -> Result<&Arc<Core>> {
        self.open.check()?;
        self.open.core.check_fork()?;
        if self.open.read_only { Err(SynaError::ReadOnly) } else { Ok(&self.open.core) }
    }
}

/// Appending.
impl SynaDB {
    /// Appends a value under `key` with the present time; returns the offset of its entry, which
    /// is never 0 and identifies it for [`wait_durable`](SynaDB::wait_durable).
    ///
    /// Durable on return as [`Durability`] says. Cost: one write call (none in `Buffered`), and in
    /// `Full` a part of one sync.
    ///
    /// # Errors
    ///
    /// `EmptyKey`, `KeyTooLong`, `ValueTooLarge`, `ReadOnly`, `Closed`, `ForkedHandle`;
    /// `Io` if there is no room (nothing was appended; the handle works again once there is);
    /// `Poisoned` after a failed sync; `Detached`.
    #[inline]
    pub fn append(&self, key: &str, value: impl Into<Atom>) -> Result<u64> {
        self.append_at(key, now(), value)
    }

    /// Appends a value with a timestamp of the caller's, in microseconds since 1970-01-01 UTC.
    /// Any stamp is kept as it is; stamps may repeat and go back.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`].
    #[inline]
    pub fn append_at(&self, key: &str, timestamp: i64, value: impl Into<Atom>) -> Result<u64> {
        let core = self.writing()?;
        check_key(key)?;
        let value = PutValue::of(&value.into(), core.limits.value_size_max, core.config.policy())?;
        core.put(key, timestamp, value)
    }

    /// As [`SynaDB::append_at`], if that need not wait: `None`, and nothing was appended, where a sync
    /// would have to be waited for (in `Full` always) or another thread is writing. For callers that
    /// hold something which others wait for, as an interpreter's lock.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`].
    #[inline]
    pub fn try_append_at(&self, key: &str, timestamp: i64, value: &Atom) -> Result<Option<u64>> {
        let core = self.writing()?;
        check_key(key)?;
        let value = PutValue::of(value, core.limits.value_size_max, core.config.policy())?;
        core.try_put(key, timestamp, value)
    }

    /// Appends many points of one key as one atomic commit; returns the offset of its first entry.
    /// From 32 points on they are written as a chunk of columns.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`]; `LengthMismatch`. An empty slice appends nothing and gives the offset
    /// of the log's end.
    pub fn append_batch<'a>(
        &self,
        key: &str,
        timestamps: &[i64],
        values: impl Into<Values<'a>>,
    ) -> Result<u64> {
        let core = self.writing()?;
        check_key(key)?;
        let run = Run::of_values(timestamps, &values.into())?;
        let mut ops = Vec::new();
        ops_of_run(Cow::Borrowed(key), run, &core.limits, core.config.policy(), &mut ops)?;
        core.commit(Commit::new(ops))
    }

    /// Begins an atomic batch over any keys.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// Deletes a key: its points are no longer seen, and a later append starts a new history. True
    /// if there was something to delete. The bytes stay until a rewrite.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::append`].
    pub fn delete(&self, key: &str) -> Result<bool> {
        let core = self.writing()?;
        check_key(key)?;
        core.delete(key)
    }

    /// Hands everything appended so far to the operating system, so that other processes see it
    /// and a kill does not lose it. Does something in `Buffered` only.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `Closed`, `ForkedHandle`, `Poisoned`; `Io` (what could not be written is kept).
    pub fn flush(&self) -> Result<()> {
        self.writing()?.flush()
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::flush`]; `Detached`. After `Poisoned` nothing more is written.
    pub fn sync(&self) -> Result<()> {
        self.writing()?.sync()
    }

    /// Writes an image of the index into the log, so that the next opening reads that and what
    /// comes after it instead of the whole log. Done by itself at close and as the log grows.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::sync`].
    pub fn checkpoint(&self) -> Result<()> {
        self.writing()?.checkpoint()
    }

    /// All entries below this offset are durable. On a read-only handle: as far as it knows.
    pub fn durable_offset(&self) -> u64 {
        self.open.core.durable.offset.load(Ordering::Acquire)
    }

    /// Returns when the entry at `offset`, as an append returned it, is durable; syncs if nobody
    /// else does. So latency and durability can be had apart: append in `Os`, wait later.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::sync`]; `NoSuchOffset` if no append has returned `offset`.
    pub fn wait_durable(&self, offset: u64) -> Result<()> {
        self.writing()?.wait_durable(offset)
    }
}

/// Reading.
impl SynaDB {
    /// The latest value of a key in append order; `None` if the key is absent.
    ///
    /// Numbers are read without a lock and without touching the history.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`; `Corrupt` or `Io` if a text or bytes value must be read from the
    /// log and cannot.
    #[inline]
    pub fn get(&self, key: &str) -> Result<Option<Atom>> {
        let core = self.reading()?;
        let generation = core.generation.load();
        match generation.index.slot_of(key) {
            Some(slot) => newest_atom(&generation, slot),
            None => Ok(None),
        }
    }

    /// As [`SynaDB::get`], if that need not wait: the outer `None` where a lock might have to be waited
    /// for or the file looked at, as for texts and bytes and on a read-only handle whose view is old.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    #[inline]
    pub fn try_get(&self, key: &str) -> Result<Option<Option<Atom>>> {
        self.open.check()?;
        let core = &self.open.core;
        core.check_fork()?;
        if !core.need_not_look() {
            return Ok(None);
        }
        let generation = core.generation.load();
        let Some(slot) = generation.index.slot_of(key) else { return Ok(Some(None)) };
        Ok(match generation.index.latest(slot) {
            Latest::Absent => Some(None),
            Latest::InHistory => None,
            latest @ Latest::Number { .. } => {
                Some(point_of_latest(latest).map(|point| point.value))
            }
        })
    }

    /// The latest value of a key with its timestamp.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_point(&self, key: &str) -> Result<Option<Point>> {
        let core = self.reading()?;
        let generation = core.generation.load();
        match generation.index.slot_of(key) {
            Some(slot) => newest_point(&generation, slot),
            None => Ok(None),
        }
    }

    /// The value as of a time: that of the greatest timestamp at or before `timestamp`, the last
    /// appended one of equals; `None` if there is none. Where stamps do not go back this is what
    /// `get` gave then; for out-of-order stamps the two differ.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_at(&self, key: &str, timestamp: i64) -> Result<Option<Atom>> {
        Ok(self.get_point_at(key, timestamp)?.map(|point| point.value))
    }

    /// As [`SynaDB::get_at`], with the timestamp.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get`].
    pub fn get_point_at(&self, key: &str, timestamp: i64) -> Result<Option<Point>> {
        self.reading()?.pinned().view().point_at(key, timestamp)
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
        Ok(self.reading()?.pinned().view().len(key))
    }

    /// Number of live keys. Costs nothing.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn key_count(&self) -> Result<u64> {
        Ok(self.reading()?.generation.load().index.live_keys())
    }

    /// The live keys in bytewise order. Cost: all keys.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn keys(&self) -> Result<Vec<String>> {
        Ok(self.reading()?.pinned().view().keys(None))
    }

    /// The live keys that match a pattern, in bytewise order: `*` any characters (also `/`), `?`
    /// one, `[a-z]` one of these, `[!a-z]` one of the others, `\` takes the next literally.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`, `Closed`, `ForkedHandle`.
    pub fn keys_matching(&self, pattern: &str) -> Result<Vec<String>> {
        let glob = Glob::new(pattern)?;
        Ok(self.reading()?.pinned().view().keys(Some(&glob)))
    }

    /// The latest point of every live key that matches, in bytewise order of the keys, all as of
    /// one commit.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`; as [`SynaDB::get`].
    pub fn latest(&self, pattern: &str) -> Result<Vec<(String, Point)>> {
        let glob = Glob::new(pattern)?;
        self.reading()?.pinned().view().latest(&glob)
    }

    /// As [`SynaDB::latest`], as one Arrow batch: `key`, `Dictionary(Int32, Utf8)`; `timestamp`,
    /// `Timestamp(Microsecond, "UTC")`; `value`, nullable, whose type is that which
    /// [`History`]'s table gives for the kinds of these points alone. Histories are not read.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::latest`]; `BatchTooLarge` if the names of the keys have more than 2^31 - 1
    /// bytes, `ColumnTooLarge` if their texts or byte strings do.
    pub fn latest_batch(&self, pattern: &str) -> Result<RecordBatch> {
        scan::latest_batch(self, &self.reading()?.pinned(), pattern)
    }

    /// The kinds that occur in the live history of a key. Cost: reads the history.
    ///
    /// # Errors
    ///
    /// `KeyNotFound`; as [`SynaDB::get`].
    pub fn types(&self, key: &str) -> Result<Vec<AtomKind>> {
        self.reading()?.pinned().view().types(key)
    }

    /// A handle on one key that skips the look-up.
    ///
    /// # Errors
    ///
    /// `EmptyKey`, `KeyTooLong`, `Closed`, `ForkedHandle`.
    pub fn series(&self, key: &str) -> Result<Series> {
        check_key(key)?;
        self.reading()?;
        Ok(Series::new(self.clone(), key))
    }

    /// All live points of a key in append order.
    ///
    /// # Errors
    ///
    /// `KeyNotFound`; `Corrupt` if a part of the history is damaged (nothing is returned then);
    /// `OutOfMemory`, `Io`, `Closed`, `ForkedHandle`.
    pub fn get_history(&self, key: &str) -> Result<Vec<Point>> {
        self.reading()?.pinned().view().get_history(key)
    }

    /// The live points at the places `rows` of the history, counted from 0 at the oldest live one.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_rows(&self, key: &str, rows: Range<u64>) -> Result<Vec<Point>> {
        self.reading()?.pinned().view().get_history_rows(key, rows)
    }

    /// The live points with timestamps in `[start, end)`, in append order. Chunks and blocks
    /// whose times lie outside are not read.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_range(
        &self,
        key: &str,
        timestamps: impl RangeBounds<i64>,
    ) -> Result<Vec<Point>> {
        self.reading()?.pinned().view().get_history_range(key, Times::of(&timestamps))
    }

    /// The doubles among the live points of a key, in append order; other kinds are left out.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_floats(&self, key: &str) -> Result<Vec<f64>> {
        self.reading()?.pinned().view().get_history_floats(key)
    }

    /// The live history of a key as of the newest commit, to be read as Arrow arrays, cut by time
    /// or by row, summed up, resampled. It keeps seeing that commit, whatever is appended, deleted
    /// or rewritten meanwhile.
    ///
    /// ```
    /// # fn main() -> synadb::Result<()> {
    /// # let db = synadb::SynaDB::in_memory()?;
    /// db.append_batch("JFK/temp", &[0, 3_600_000_000], &[39.02, 38.84][..])?;
    /// let history = db.history("JFK/temp")?;
    /// assert_eq!(history.read()?.num_rows(), 2);
    /// assert_eq!(history.range(0..1_000_000).floats()?, [39.02]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `KeyNotFound`, `Closed`, `ForkedHandle`.
    pub fn history(&self, key: &str) -> Result<History> {
        let pinned = self.reading()?.pinned();
        History::new(self.clone(), Arc::new(pinned), key)
    }

    /// The live points of all keys that match a pattern (as [`SynaDB::keys_matching`]), as of the
    /// newest commit, to be read as Arrow arrays: `key`, `timestamp`, `value`. It keeps seeing that
    /// commit, whatever is appended, deleted or rewritten meanwhile. Cost: all keys.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`; `BatchTooLarge` if the names of the keys have more than 2^31 - 1 bytes;
    /// `Closed`, `ForkedHandle`. That no key matches is not an error.
    pub fn scan(&self, pattern: &str) -> Result<Scan> {
        let pinned = self.reading()?.pinned();
        Scan::new(self.clone(), Arc::new(pinned), pattern)
    }

    /// The histories of these keys side by side, aligned on time, as of the newest commit: a column
    /// for each key, in this order. It keeps seeing that commit. Keys are taken as they are spelled.
    ///
    /// # Errors
    ///
    /// `KeyNotFound` with the first key that is absent; `DuplicateKey`; `InvalidOption` if there is
    /// no key; `Closed`, `ForkedHandle`.
    pub fn frame<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Frame> {
        let pinned = self.reading()?.pinned();
        Frame::new(self.clone(), Arc::new(pinned), keys)
    }

    /// As [`SynaDB::frame`] for all live keys that match a pattern (as
    /// [`SynaDB::keys_matching`]), in bytewise order.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`; `KeyNotFound` with the pattern if no key matches; `Closed`,
    /// `ForkedHandle`.
    pub fn frame_matching(&self, pattern: &str) -> Result<Frame> {
        let pinned = self.reading()?.pinned();
        Frame::matching(self.clone(), Arc::new(pinned), pattern)
    }

    /// The doubles among the live points of a key, in append order, as a tensor of its own: a copy
    /// that may be changed. Other kinds are left out. Cost: about that of copying the memory.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::get_history`].
    pub fn get_history_tensor(&self, key: &str) -> Result<Tensor> {
        self.history(key)?.only_floats()
    }

    /// Returns the memory of cached columns and idle buffers to the system, as far as no array or
    /// tensor holds it; says how many bytes of buffers that was. They fill again as histories are
    /// read.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn trim(&self) -> Result<u64> {
        self.open.check()?;
        self.open.core.check_fork()?;
        Ok(self.open.core.materializer.trim() as u64)
    }

    /// Benchmarks only: empties the column cache and leaves the buffer pool as it is.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    #[doc(hidden)]
    pub fn forget_columns(&self) -> Result<()> {
        self.open.check()?;
        self.open.core.check_fork()?;
        self.open.core.materializer.cache.clear();
        Ok(())
    }

    /// A view of the newest commit that never changes.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let pinned = self.reading()?.pinned();
        Ok(Snapshot::new(self.clone(), pinned))
    }

    /// Moves a read-only handle to the newest commit, over rewrites too; true if it moved. A
    /// writer's handle is always there.
    ///
    /// # Errors
    ///
    /// `Corrupt` if durable bytes ahead are damaged; `Detached` if another file has taken the
    /// place of this one; `Closed`, `ForkedHandle`, `Io`.
    pub fn refresh(&self) -> Result<bool> {
        self.open.check()?;
        self.open.core.refresh()
    }

    /// Figures about the database. Cost: all keys, and the headers of all chunks that hold live
    /// points.
    ///
    /// # Errors
    ///
    /// `Closed`, `ForkedHandle`, `Io`.
    pub fn stats(&self) -> Result<Stats> {
        self.reading()?.stats()
    }
}
