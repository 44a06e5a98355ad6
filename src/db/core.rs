//! The state that all handles of one open database share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::canary::{Canary, planted};
use crate::column::encoding::Policy;
use crate::config::{DbConfig, Durability};
use crate::error::{Result, SynaError};
use crate::fork;
use crate::format::entry::Position;
use crate::format::file_header::{FileHeader, Limits};
use crate::index::{Index, IndexWriter, Pin, SEAL_ROWS_MIN};
use crate::log::group::Group;
use crate::log::lock::FileLock;
use crate::log::recovery::RecoveryReport;
use crate::log::{LogFile, LogWriter};
use crate::maintenance::last_entry;
use crate::materialize::Materializer;
use crate::mutex::Mutex;
use crate::storage::{FileIdentity, Medium, Storage};

use super::follow::{Cursor, Followers};
use super::keeper::Keeper;
use super::reader_side::ReaderSide;
use super::write::OwnedCommit;

/// A log file and the index of it. A rewrite makes a new one; whoever reads the old one keeps it.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Different for every generation of every database that this process has read: what is
    /// cached of one is never taken for another's.
    pub(crate) number: u64,
    pub(crate) log: Arc<LogFile>,
    pub(crate) index: Arc<Index>,
    /// A newer one has taken its place.
    pub(crate) superseded: AtomicBool,
}

impl Generation {
    pub(crate) fn new(log: Arc<LogFile>, index: Arc<Index>) -> Arc<Generation> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Generation { number, log, index, superseded: AtomicBool::new(false) })
    }

    /// Where the commit lies that ends at `end`. Takes no lock, so that a forked child may ask, too.
    pub(crate) fn cursor_of(&self, end: u64) -> Result<Cursor> {
        let Some((_, slot)) = self.log.newest_slot()? else { return Err(super::no_slot()) };
        let Position { offset, head_crc } = last_entry(&self.log, end, &slot)?;
        let FileHeader { file_id, generation, .. } = *self.log.header();
        Ok(Cursor { file_id, generation, offset, head_crc })
    }
}

/// A generation held at a commit: what one call, or a snapshot, reads.
pub(crate) struct Pinned {
    pub(crate) generation: Arc<Generation>,
    pin: Option<Pin>,
    /// The count of forks when it was taken.
    forks: u64,
}

impl Pinned {
    pub(crate) fn new(generation: Arc<Generation>) -> Pinned {
        let pin = generation.index.pin();
        Pinned { generation, pin: Some(pin), forks: fork::count() }
    }

    pub(crate) fn commit_end(&self) -> u64 {
        self.pin.as_ref().map_or(0, |pin| pin.commit_end)
    }

    pub(crate) fn cursor(&self) -> Result<Cursor> {
        self.generation.cursor_of(self.commit_end())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A forked child leaves the parent's list alone: a thread that it does not have may have
        // held its lock.
        if let Some(pin) = self.pin.take()
            && self.forks == fork::count()
        {
            self.generation.index.unpin(pin);
        }
    }
}

/// What only the thread that changes the database may touch.
pub(crate) enum Side {
    Writer(WriterSide),
    Reader(ReaderSide),
    Closed,
}

/// The writing end of a database.
pub(crate) struct WriterSide {
    /// The encodings that chunks are written with.
    pub(crate) policy: Policy,
    pub(crate) log: LogWriter,
    pub(crate) index: IndexWriter,
    pub(crate) lock: FileLock,
    /// Where the newest checkpoint begins and how long it is; 0 if there is none.
    pub(crate) checkpoint: u64,
    pub(crate) checkpoint_len: u64,
}

impl WriterSide {
    /// About what a rewrite that keeps all live points would free.
    pub(crate) fn reclaimable_bytes(&self) -> u64 {
        self.index.replaced_bytes().saturating_add(self.checkpoint_len)
    }
}

/// How much is durable.
pub(crate) struct Durable {
    pub(crate) offset: AtomicU64,
    /// The greatest length of the log before a rewrite since it was opened.
    pub(crate) before_rewrite: AtomicU64,
}

/// How rewrites in the background went.
#[derive(Default)]
pub(crate) struct AutoOptimize {
    /// How many there were.
    pub(crate) count: u64,
    /// Why the last one failed.
    pub(crate) error: Option<SynaError>,
    /// After a failure the next one is not tried before this.
    pub(crate) not_before: Option<Instant>,
    /// Failures in a row.
    pub(crate) failures: u32,
}

/// One open database of this process.
pub(crate) struct Core {
    pub(crate) storage: Arc<dyn Storage>,
    /// As the caller wrote it, for messages.
    pub(crate) name: PathBuf,
    /// Absolute, symbolic links resolved.
    pub(crate) path: PathBuf,
    pub(crate) config: DbConfig,
    pub(crate) is_writer: bool,
    pub(crate) medium: Medium,
    /// Of the file; rewrites keep them.
    pub(crate) limits: Limits,
    pub(crate) recovery: RecoveryReport,
    pub(crate) generation: ArcSwap<Generation>,
    /// Buffers and columns that reads of histories share.
    pub(crate) materializer: Arc<Materializer>,
    pub(crate) side: Mutex<Side>,
    pub(crate) group: Group<OwnedCommit>,
    pub(crate) durable: Durable,
    /// At most one explicit sync at a time runs outside the lock.
    pub(crate) syncing: Mutex<()>,
    pub(crate) rewriting: AtomicBool,
    pub(crate) followers: Followers,
    pub(crate) auto_optimize: Mutex<AutoOptimize>,
    pub(crate) detached: AtomicBool,
    pub(crate) keeper: Keeper,
    /// The count of forks when this was opened.
    pub(crate) forks: u64,
    pub(crate) opened: Instant,
    /// For a reader of its own: when it last looked, in microseconds since `opened`.
    pub(crate) looked_us: AtomicU64,
    pub(crate) identity: Mutex<FileIdentity>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("path", &self.path)
            .field("is_writer", &self.is_writer)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Refuses in a forked child.
    #[inline]
    pub(crate) fn check_fork(&self) -> Result<()> {
        if fork::count() == self.forks { Ok(()) } else { Err(SynaError::ForkedHandle) }
    }

    pub(crate) fn detached(&self) -> SynaError {
        SynaError::Detached { path: self.name.clone() }
    }

    /// Looks whether the file at the path is still the one that is open.
    pub(crate) fn check_attached(&self) -> Result<()> {
        if self.detached.load(Ordering::Relaxed) {
            return Err(self.detached());
        }
        // Held while looking: a rewrite changes both at once in the eyes of whoever holds it.
        let ours = self.identity.lock();
        match self.storage.status(&self.path) {
            Ok(status) if status.identity == *ours => Ok(()),
            Ok(_) => {
                self.detached.store(true, Ordering::Relaxed);
                Err(self.detached())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.detached.store(true, Ordering::Relaxed);
                Err(self.detached())
            }
            Err(error) => Err(SynaError::io("stat", &self.path, error)),
        }
    }

    /// The newest commit that this handle may see: a reader looks for newer ones first, if its
    /// view is older than it may be.
    #[inline]
    pub(crate) fn look(&self) -> Result<()> {
        if self.need_not_look() { Ok(()) } else { self.refresh().map(|_| ()) }
    }

    /// Runs `change` with the writing end.
    pub(crate) fn with_writer<T>(
        &self,
        change: impl FnOnce(&mut WriterSide) -> Result<T>,
    ) -> Result<T> {
        self.check_fork()?;
        match &mut *self.side.lock() {
            Side::Writer(side) => change(side),
            Side::Reader(_) => Err(SynaError::ReadOnly),
            Side::Closed => Err(SynaError::Closed),
        }
    }

    /// As [`with_writer`](Core::with_writer), unless another thread has the writing end: `None` then.
    pub(crate) fn try_with_writer<T>(
        &self,
        change: impl FnOnce(&mut WriterSide) -> Result<T>,
    ) -> Result<Option<T>> {
        self.check_fork()?;
        let Some(mut side) = self.side.try_lock() else { return Ok(None) };
        match &mut *side {
            Side::Writer(side) => change(side).map(Some),
            Side::Reader(_) => Err(SynaError::ReadOnly),
            Side::Closed => Err(SynaError::Closed),
        }
    }

    /// Whether [`look`](Core::look) has nothing to do now.
    #[inline]
    pub(crate) fn need_not_look(&self) -> bool {
        self.is_writer || self.look_is_young()
    }

    fn look_is_young(&self) -> bool {
        let interval = self.config.refresh_interval_ms;
        let now = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        let looked = self.looked_us.load(Ordering::Relaxed);
        interval == u64::MAX || now.saturating_sub(looked) < interval.saturating_mul(1000)
    }

    /// A read view of the newest visible commit.
    pub(crate) fn pinned(&self) -> Pinned {
        Pinned::new(self.generation.load_full())
    }

    /// A read view of the newest visible commit, all of which is in the file. `judge` may overlook
    /// that the buffer could not be written out.
    pub(crate) fn pinned_in_file(
        &self,
        judge: impl FnOnce(Result<()>) -> Result<()>,
    ) -> Result<Pinned> {
        if !self.is_writer {
            return Ok(self.pinned());
        }
        // Without the lock a commit could come in between and be visible in the buffer only.
        self.with_writer(|side| {
            judge(side.log.flush())?;
            Ok(self.pinned())
        })
    }

    /// Tells those who ask that more is durable.
    pub(crate) fn publish_durable(&self, offset: u64) {
        self.durable.offset.fetch_max(offset, Ordering::AcqRel);
    }

    /// Hands the buffer to the operating system.
    pub(crate) fn flush(&self) -> Result<()> {
        self.with_writer(|side| side.log.flush())
    }

    /// Makes everything committed so far durable. Appends go on meanwhile, except in `Full`, where
    /// the lock is held: nothing may be written between a write and the end of its sync.
    pub(crate) fn sync(&self) -> Result<()> {
        self.check_attached_if_writer()?;
        let _one_at_a_time = self.syncing.lock();
        let full = self.config.durability == Durability::Full;
        let (began, log) = match self.with_writer(|side| {
            side.log.check_writable()?;
            side.log.flush()?;
            if side.log.durable_len() == side.log.end().offset {
                return Ok(None);
            }
            if full {
                side.log.sync_written()?;
                self.publish_durable(side.log.durable_len());
                return Ok(None);
            }
            Ok(Some((side.log.begin_sync(), Arc::clone(side.log.log()))))
        })? {
            Some(begun) => begun,
            None => return Ok(()),
        };
        let result = crate::log::sync_data(&**log.storage_file());
        self.with_writer(|side| {
            if !Arc::ptr_eq(side.log.log(), &log) {
                // A rewrite came in between: its file was synced whole before it got the name.
                return result.map_err(|e| log.io_error("sync", e));
            }
            side.log.end_sync(began, result)?;
            self.publish_durable(side.log.durable_len());
            Ok(())
        })
    }

    fn check_attached_if_writer(&self) -> Result<()> {
        self.check_fork()?;
        if !self.is_writer {
            return Err(SynaError::ReadOnly);
        }
        self.check_attached()
    }

    /// Waits until the entry at `offset` is durable, by whatever sync comes first.
    pub(crate) fn wait_durable(&self, offset: u64) -> Result<()> {
        self.check_fork()?;
        if !self.is_writer {
            return Err(SynaError::ReadOnly);
        }
        while self.durable.offset.load(Ordering::Acquire) <= offset {
            let end = self.with_writer(|side| Ok(side.log.end().offset))?;
            if offset >= end {
                if offset <= self.durable.before_rewrite.load(Ordering::Acquire) {
                    // It stood in a file that was rewritten since, or at its end: the new one was synced whole.
                    return Ok(());
                }
                if offset == end {
                    // What an append of nothing has returned: all that was appended before it.
                    if self.durable.offset.load(Ordering::Acquire) < end {
                        self.sync()?;
                    }
                    return Ok(());
                }
                // It may have stood in a file whose rewrite has failed at last.
                self.with_writer(|side| side.log.check_writable())?;
                // Nothing that was written stands there: there is nothing to wait for.
                return Err(SynaError::NoSuchOffset { offset, end });
            }
            self.sync()?;
        }
        Ok(())
    }

    /// Writes an image of the index into the log, so that opening need not read what lies before.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.check_attached_if_writer()?;
        self.with_writer(|side| {
            side.log.check_writable()?;
            side.write_checkpoint()
        })
    }

    /// The last handle is gone: leave a clean file. Everything is tried, the first error is told.
    pub(crate) fn shut_down(&self) -> Result<()> {
        if fork::count() != self.forks {
            // The parent's files, locks and threads are not ours to end.
            return Ok(());
        }
        self.keeper.stop();
        self.materializer.close();
        let side = std::mem::replace(&mut *self.side.lock(), Side::Closed);
        let Side::Writer(mut side) = side else { return Ok(()) };
        let result = self.leave_clean(&mut side);
        drop(side.lock);
        result
    }

    /// The bug of the canary `unlock_in_child`: what a child that closes an inherited handle must
    /// never do.
    pub(crate) fn unlock_if_planted(&self) {
        if planted(Canary::UnlockInChild)
            && let Side::Writer(side) = &mut *self.side.lock()
        {
            side.lock.release();
        }
    }

    fn leave_clean(&self, side: &mut WriterSide) -> Result<()> {
        side.log.check_writable()?;
        let attached = self.check_attached();
        let changed = side.log.end().offset > side.checkpoint_end();
        // Chunks and image only make the next opening faster: no room for them is no reason to
        // leave undone what the points need.
        let image = if changed && attached.is_ok() {
            side.seal_all(SEAL_ROWS_MIN).and_then(|()| side.write_checkpoint())
        } else {
            Ok(())
        };
        let flushed = side.log.flush();
        if side.log.durable_len() < side.log.end().offset {
            side.log.sync_written()?;
        }
        side.log.trim()?;
        if side.log.slot_is_stale() {
            side.log.write_slot()?;
            side.log.sync_written()?;
        }
        attached.and(flushed).and(image)
    }

    /// How long an idle keeper sleeps.
    pub(crate) const KEEPER_INTERVAL: Duration = Duration::from_secs(1);
}
