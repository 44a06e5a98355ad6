//! Making a new file of a database and putting it in the place of the old one.
//!
//! The new file is written beside the old one by an ordinary writer: first what the rewrite is
//! for, from a snapshot, then what was appended since, while more is appended, and the last of that
//! with the old writer's lock held. Then the new file is synced, renamed over the old one (locked
//! already, so that whoever opens it there finds it locked), and the folder synced. Whatever stops
//! this leaves the old file or the new one, whole. Readers keep the old inode until they move on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, Points};
use crate::config::Durability;
use crate::db::{Commit, Core, Generation, Op, Pinned, PutValue, WriterSide};
use crate::db::{also_known_as, no_longer, ops_of_points};
use crate::error::{Result, SynaError};
use crate::format::LOG_START;
use crate::format::entry::{Position, flags};
use crate::format::file_header::FileHeader;
use crate::format::slot::{Slot, SlotPage};
use crate::index::{Index, IndexWriter, Latest, LoadedChunk, segment_of};
use crate::log::create::{Temporary, now, random, sync_folder_of};
use crate::log::lock::FileLock;
use crate::log::{
    Content, Entry, LargePuts, LogFile, LogWriter, Pieces, Scanned, Scanner, first_slot,
};
use crate::storage::Replace;
use crate::{Point, Progress};

/// What a rewrite did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewriteReport {
    /// Length of the log before, in bytes.
    pub bytes_before: u64,
    /// Length of the log afterwards.
    pub bytes_after: u64,
    /// Live keys in the new file.
    pub keys: u64,
    /// Live points in the new file.
    pub points: u64,
}

/// So many bytes may be left for the time when nobody can append.
const REST_MAX: u64 = 1 << 20;
/// Commits are written in groups of about this many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The new file while it is written.
pub(crate) struct NewFile {
    temporary: Temporary,
    header: FileHeader,
    side: WriterSide,
    group: Vec<Commit<'static>>,
    group_bytes: usize,
}

impl NewFile {
    pub(crate) fn new(
        temporary: Temporary,
        header: FileHeader,
        path: &std::path::Path,
        tail_budget_bytes: usize,
        policy: Policy,
    ) -> Result<NewFile> {
        let log = LogFile::with_header(Arc::clone(temporary.file()), path, header);
        let start = Position { offset: LOG_START, head_crc: header.salt.chain_start() };
        // `Os`: what is synced when is decided here.
        let slot = first_slot(start.head_crc);
        let log = LogWriter::new(Arc::new(log), Durability::Os, start, slot, SlotPage::A)?;
        let index = IndexWriter::new(Arc::new(Index::new(LOG_START)), tail_budget_bytes);
        let lock = FileLock::take(temporary.file(), temporary.path())?;
        let side =
            WriterSide { policy, log, index, lock, checkpoint: LOG_START, checkpoint_len: 0 };
        Ok(NewFile { temporary, header, side, group: Vec::new(), group_bytes: 0 })
    }

    /// Appends changes that belong together.
    pub(crate) fn commit(&mut self, ops: Vec<Op<'static>>) -> Result<()> {
        if ops.is_empty() {
            return Ok(());
        }
        self.group_bytes += ops.iter().map(Op::size_hint).sum::<usize>();
        self.group.push(Commit::new(ops));
        if self.group_bytes >= GROUP_BYTES { self.write() } else { Ok(()) }
    }

    /// Appends one point.
    pub(crate) fn commit_point(&mut self, key: &str, point: &Point) -> Result<()> {
        // What an earlier limit allowed stays allowed.
        let value = PutValue::of(&point.value, self.header.limits.value_size_max, self.policy())?;
        let key = Cow::Owned(key.to_owned());
        self.commit(vec![Op::Put { key, timestamp: point.timestamp, value }])
    }

    /// Appends a chunk of `key` that begins at `first_row`, which is the key's next row or the first
    /// of the key in this file. `columns` hands out its columns; `latest` is the latest of its points,
    /// or of those that come behind them.
    pub(crate) fn chunk(
        &mut self,
        key: &str,
        first_row: u64,
        chunk: &mut EncodedChunk,
        latest: Latest,
        columns: impl FnOnce(&mut Pieces<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.group.is_empty() {
            self.write()?;
        }
        let WriterSide { log, index, .. } = &mut self.side;
        let (offset, val_len) = log.write_chunk(key, first_row, chunk, columns)?;
        let end = log.end().offset;
        let id = index.id_of(key)?;
        index.add_chunk(id, end, segment_of(chunk.header(), offset, val_len), latest);
        index.publish(end);
        Ok(())
    }

    /// Writes what is waiting.
    pub(crate) fn write(&mut self) -> Result<()> {
        self.group_bytes = 0;
        let group = std::mem::take(&mut self.group);
        if !group.is_empty() {
            for result in self.side.write_commits(group, false) {
                result?;
            }
        }
        self.side.log.flush()
    }

    /// The encodings of what is written.
    pub(crate) fn policy(&self) -> Policy {
        self.side.policy
    }

    pub(crate) fn index(&self) -> &Index {
        self.side.index.index()
    }

    /// Writes header and slots and makes everything durable; says how the log stands. Only the
    /// name is missing then.
    pub(crate) fn finish(&mut self, from_end: u64) -> Result<Slot> {
        self.write()?;
        self.side.log.trim()?;
        let end = self.side.log.end();
        self.header.from_end = from_end;
        self.header.base_end = end.offset;
        let slot = Slot {
            epoch: 2,
            durable_len: end.offset,
            head_crc: end.head_crc,
            checkpoint: 0,
            suspect_from: 0,
        };
        // The pages last of all: a file with a header is a whole one.
        self.temporary.sync()?;
        self.temporary.write_pages(&self.header, &slot)?;
        self.temporary.sync()?;
        Ok(slot)
    }

    /// Gives the finished file its name.
    pub(crate) fn name(
        self,
        path: &std::path::Path,
        replace: Replace,
    ) -> std::io::Result<WriterSide> {
        self.temporary.rename(path, replace)?;
        Ok(self.side)
    }
}

impl Op<'_> {
    /// About how many bytes of the log it takes.
    fn size_hint(&self) -> usize {
        let value = match self {
            Op::Put { value, .. } => value.stored_len(),
            Op::Chunk { chunk, .. } => usize::try_from(chunk.value_len()).unwrap_or(usize::MAX),
            Op::Tombstone { .. } => 0,
        };
        value.saturating_add(self.key().len() + 32)
    }
}

/// Tells the caller how far a rewrite is, and hears whether to go on.
pub(crate) struct Teller<'a> {
    core: &'a Core,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    total_bytes: u64,
}

impl Teller<'_> {
    /// Says that `done` of `all` parts of the work are done.
    ///
    /// # Errors
    ///
    /// `Cancelled` if the caller has had enough; `ForkedHandle`.
    pub(crate) fn part(&mut self, done: u64, all: u64) -> Result<()> {
        let total_bytes = self.total_bytes;
        let done_bytes =
            u128::from(total_bytes) * u128::from(done.min(all)) / u128::from(all.max(1));
        let done_bytes = u64::try_from(done_bytes).unwrap_or(total_bytes);
        let answer = (self.progress)(Progress { done_bytes, total_bytes });
        // A callback may fork; the child has no business in the parent's new file.
        self.core.check_fork()?;
        if answer.is_break() { Err(SynaError::Cancelled) } else { Ok(()) }
    }
}

/// Rewrites the database of `core`. `fill` writes what the new file begins with, from a snapshot.
pub(crate) fn rewrite(
    core: &Core,
    policy: Policy,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    fill: impl FnOnce(&Pinned, &mut NewFile, &mut Teller<'_>) -> Result<()>,
) -> Result<RewriteReport> {
    if core.rewriting.swap(true, Ordering::AcqRel) {
        return Err(SynaError::Busy);
    }
    // Also when a callback of the caller's panics.
    struct Done<'a>(&'a Core);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.rewriting.store(false, Ordering::Release);
        }
    }
    let _done = Done(core);

    core.check_attached()?;
    let (pinned, commit) = core.with_writer(|side| {
        side.log.check_writable()?;
        side.log.flush()?;
        Ok((core.pinned(), side.log.end()))
    })?;
    let old = &pinned.generation.log;
    let status = old.storage_file().status().map_err(|e| old.io_error("stat", e))?;
    if status.links > 1 {
        return Err(SynaError::HardLinked { path: core.name.clone(), links: status.links });
    }
    let header = old.header().next_generation(random()?, now());
    let temporary = Temporary::create(&core.storage, &core.path)?;
    let permissions = old.storage_file().permissions().map_err(|e| old.io_error("stat", e))?;
    if let Some(permissions) = permissions {
        let set = temporary.file().set_permissions(permissions);
        set.map_err(|e| SynaError::io("set permissions of", temporary.path(), e))?;
    }
    let mut new =
        NewFile::new(temporary, header, &core.path, core.config.tail_budget_bytes, policy)?;
    let mut teller = Teller { core, progress, total_bytes: pinned.commit_end() };
    fill(&pinned, &mut new, &mut teller)?;
    new.write()?;
    teller.part(1, 1)?;

    // What was appended meanwhile, while more is appended.
    let mut rest = Rest { pinned: &pinned, position: commit, rows: HashMap::new() };
    let mut left_before = u64::MAX;
    loop {
        let end = core.with_writer(|side| {
            side.log.flush()?;
            Ok(side.log.end().offset)
        })?;
        let left = end - rest.position.offset;
        // Where more comes in than is taken over, waiting makes the pause only longer.
        if left <= REST_MAX || left > left_before / 4 * 3 {
            break;
        }
        left_before = left;
        rest.append_to(&mut new, end)?;
        teller.part(1, 1)?;
    }
    // The long sync while appends go on; the one with the lock held finds little to do.
    new.temporary.sync()?;
    teller.part(1, 1)?;
    // A folder that cannot be synced (no descriptor left, no permission to open it) is found out
    // while nothing has changed: after the rename it poisons the writer.
    sync_folder_of(&*core.storage, &core.path)?;

    core.with_writer(|side| {
        side.log.check_writable()?;
        side.log.flush()?;
        let end = side.log.end().offset;
        rest.append_to(&mut new, end)?;
        take_over(core, side, new, end)
    })
}

/// What the old log has behind the snapshot.
struct Rest<'a> {
    pinned: &'a Pinned,
    position: Position,
    /// The next row of keys that were written since, as the old log numbers them.
    rows: HashMap<Box<str>, u64>,
}

impl Rest<'_> {
    /// Appends the commits of the old log up to the one that ends at `end`.
    fn append_to(&mut self, new: &mut NewFile, end: u64) -> Result<()> {
        let pinned = self.pinned;
        let old = &*pinned.generation.log;
        let policy = new.policy();
        let mut scanner = Scanner::new(old, self.position, end)?.with_large_puts(LargePuts::Read);
        let mut batch = Vec::new();
        while scanner.position().offset < end {
            let offset = scanner.position().offset;
            let entry = match scanner.next()? {
                Scanned::Entry(entry) => entry,
                Scanned::End => return Err(old.corrupt(offset, "zeros before the last commit")),
                Scanned::Bad(what) => return Err(old.corrupt(offset, what)),
            };
            let in_batch = entry.header.has(flags::IN_BATCH);
            self.ops_of(old, &entry, policy, &mut batch)?;
            if !in_batch {
                new.commit(std::mem::take(&mut batch))?;
            }
        }
        self.position = scanner.position();
        new.write()
    }

    /// The changes an entry stands for.
    fn ops_of(
        &mut self,
        old: &LogFile,
        entry: &Entry<'_>,
        policy: Policy,
        ops: &mut Vec<Op<'static>>,
    ) -> Result<()> {
        let key = || Cow::Owned(entry.key.to_owned());
        let timestamp = entry.header.timestamp;
        match &entry.content {
            Content::Put(bytes) => {
                let limit = old.limits().value_size_max;
                let value = PutValue::of_stored(bytes, limit, policy)
                    .map_err(|what| old.corrupt(entry.offset, what))?;
                *self.next_row(entry.key) += 1;
                ops.push(Op::Put { key: key(), timestamp, value });
            }
            Content::LargePut => {
                return Err(old.corrupt(entry.offset, "a large value that was not read"));
            }
            Content::Tombstone => ops.push(Op::Tombstone { key: key() }),
            Content::Chunk(header) => {
                let next = self.next_row(entry.key);
                if header.first_row < *next {
                    // It replaces points that came by as they were appended.
                    return Ok(());
                }
                *next = header.first_row + u64::from(header.rows);
                let chunk = LoadedChunk::from_scan(entry.offset, entry.key.len(), header.clone());
                let mut points = Points::new();
                chunk.decode(old, 0, u32::MAX, &mut points)?;
                ops_of_points(key(), points, old.limits(), policy, ops)?;
            }
            Content::Commit(_) | Content::Checkpoint(_) | Content::Ignorable => {}
        }
        Ok(())
    }

    fn next_row(&mut self, key: &str) -> &mut u64 {
        if !self.rows.contains_key(key) {
            let slot = self.pinned.generation.index.slot_of(key);
            let rows = slot.map_or(0, |slot| slot.version_at(self.pinned.commit_end()).rows);
            self.rows.insert(key.into(), rows);
        }
        self.rows.entry(key.into()).or_default()
    }
}

/// Puts the new file in the place of the old one. The old writer's lock is held.
fn take_over(
    core: &Core,
    side: &mut WriterSide,
    mut new: NewFile,
    old_end: u64,
) -> Result<RewriteReport> {
    let slot = new.finish(old_end)?;
    // Somebody may have put another file in the place of ours meanwhile.
    if !side.lock.is_of(&*core.storage, &core.path)? {
        core.detached.store(true, Ordering::Relaxed);
        return Err(core.detached());
    }
    let file = Arc::clone(new.temporary.file());
    let status = file.status().map_err(|e| SynaError::io("stat", &core.path, e))?;
    let end = new.side.log.end();
    let log = Arc::new(LogFile::with_header(file, &core.path, new.header));
    let writer = LogWriter::new(Arc::clone(&log), core.config.durability, end, slot, SlotPage::A)?;
    // Whoever opens the path from the rename on finds the place of this database.
    let before = *core.identity.lock();
    also_known_as(before, status.identity);
    // Held until name and identity agree again: whoever compares them meanwhile, as the keeper does
    // every second, would take our own rename for somebody else's.
    let mut identity = core.identity.lock();
    let finished = match new.name(&core.path, Replace::Yes) {
        Ok(finished) => finished,
        Err(error) => {
            no_longer(status.identity);
            return Err(SynaError::io("rename to", &core.path, error));
        }
    };
    *identity = status.identity;
    drop(identity);
    no_longer(before);
    let index = Arc::clone(finished.index.index());
    let report = RewriteReport {
        bytes_before: old_end,
        bytes_after: end.offset,
        keys: index.live_keys(),
        points: index.live_rows(),
    };
    // The old file's lock ends here, with the old writer.
    *side = WriterSide { log: writer, ..finished };
    side.policy = core.config.policy();
    core.replace_generation(Generation::new(log, index));
    if let Err(error) = sync_folder_of(&*core.storage, &core.path) {
        // Both files are whole, but which of them has the name after a power loss is not known:
        // what is appended from now on could be lost with it.
        let source = std::io::Error::other(error.to_string());
        side.log.poison("syncing the folder after a rewrite", source);
        return Err(error);
    }
    // Only now: what the old file had not synced is durable once the new one has the name.
    core.durable.before_rewrite.fetch_max(old_end, Ordering::AcqRel);
    core.durable.offset.store(end.offset, Ordering::Release);
    Ok(report)
}
