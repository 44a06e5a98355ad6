//! Copying what is intact out of a damaged file.
//!
//! [`walk`] finds the commits that are intact; a first walk decides which points of chunks the
//! copy needs and where they belong ([`plan`]), a second one writes them. The copy is an ordinary
//! new database: rows are numbered anew, commits stay commits. The damaged file is only read.

mod plan;
mod walk;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::Progress;
use crate::column::Points;
use crate::column::encoding::Policy;
use crate::db::{Op, PutValue, ops_of_points};
use crate::error::{Result, SynaError};
use crate::format::entry::Kind;
use crate::format::file_header::{FileHeader, HeaderError};
use crate::format::slot::{Slot, SlotPage};
use crate::format::{LOG_START, PAGE_SIZE};
use crate::log::create::{Temporary, now, random, sync_folder_of};
use crate::log::{LogFile, read_up_to};
use crate::storage::{FileKind, FileStorage, OpenMode, Replace, Storage};

use super::rewrite::NewFile;
use plan::{Fill, Plan, Planner};
use walk::{Damaged, Intact, Visit};

/// A stretch of the damaged file that no intact commit covers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingRange {
    /// Where it begins.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// What is known of it.
    pub what: &'static str,
}

/// What [`salvage`] copied, and what it could not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Commits copied.
    pub commits: u64,
    /// Intact entries found, in commits or not.
    pub entries: u64,
    /// Live points in the copy.
    pub points: u64,
    /// Live keys in the copy.
    pub keys: u64,
    /// What is missing, by offset: also a torn tail, and an end that was cut off as far as a slot
    /// tells of it.
    pub missing: Vec<MissingRange>,
}

/// Copies every intact commit of the database at `from` to a new database at `to`, in order, and
/// lists what is missing. `from` is not changed, nor locked: stop whoever writes to it first.
///
/// A batch is copied whole or not at all. Points that were stored a second time in a chunk are
/// taken from there where the first place is damaged.
///
/// # Errors
///
/// `AlreadyExists` if there is something at `to`; `NotADatabase` if `from` never was one; `Corrupt`
/// if neither its first page nor the copies of it can be read; `NotFound`, `IsDirectory`,
/// `NotARegularFile`, `Io`, `OutOfMemory`.
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<SalvageReport> {
    salvage_with(from, to, &mut |_| {})
}

/// As [`salvage`], telling how far it is.
///
/// # Errors
///
/// As [`salvage`].
pub fn salvage_with(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<SalvageReport> {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage);
    salvage_storage(&storage, from.as_ref(), to.as_ref(), progress)
}

/// As [`salvage_with`] on another storage.
///
/// # Errors
///
/// As [`salvage`].
pub fn salvage_storage(
    storage: &Arc<dyn Storage>,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<SalvageReport> {
    let log = open_damaged(storage, from)?;
    let to = storage.resolve(to).map_err(|e| SynaError::io("resolve", to, e))?;
    if storage.status(&to).is_ok() {
        return Err(SynaError::AlreadyExists { path: to });
    }
    let len = log.len()?;
    // The end of a mapping beyond the file is never touched: `len` bounds every read.
    let size = usize::try_from(len.saturating_sub(LOG_START)).unwrap_or(0);
    let bytes = log.committed(LOG_START, size)?;
    let damaged = Damaged { log: &log, bytes: &bytes };
    let mut planner = Planner::new(damaged);
    damaged.walk(&mut planner)?;
    let plan = planner.finish();

    let header = FileHeader {
        // What an earlier limit allowed stays allowed.
        limits: *log.limits(),
        ..FileHeader::new_database(log.header().file_id, random()?, now())
    };
    let temporary = Temporary::create(storage, &to)?;
    let mut new = NewFile::new(temporary, header, &to, 64 << 20, Policy::FAST)?;
    let mut copier = Copier::new(damaged, &plan, &mut new, progress);
    let findings = damaged.walk(&mut copier)?;
    let commits = copier.commits;
    copier.progress(damaged.data_end());
    new.finish(0)?;
    let mut missing = findings.missing;
    let listed_to = missing.last().map_or(0, |range| range.offset + range.len);
    let offset = len.max(LOG_START).max(listed_to);
    if let Some((_, slot)) = log.newest_slot()?
        && slot.durable_len > offset
    {
        let what = "the file was cut: a slot says that there was more";
        missing.push(MissingRange { offset, len: slot.durable_len - offset, what });
    }
    let report = SalvageReport {
        commits,
        entries: findings.entries,
        points: new.index().live_rows(),
        keys: new.index().live_keys(),
        missing,
    };
    match new.name(&to, Replace::No) {
        Ok(side) => drop(side),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(SynaError::AlreadyExists { path: to });
        }
        Err(error) => return Err(SynaError::io("rename to", &to, error)),
    }
    sync_folder_of(&**storage, &to)?;
    Ok(report)
}

/// Opens a file whose first page may be lost: the slot pages carry a copy of it.
fn open_damaged(storage: &Arc<dyn Storage>, from: &Path) -> Result<LogFile> {
    let file = match storage.open(from, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SynaError::NotFound { path: from.to_owned() });
        }
        Err(error) => {
            // A folder or a device is named as such, as everywhere else.
            return Err(match storage.status(from).map(|status| status.kind) {
                Ok(FileKind::Folder) => SynaError::IsDirectory { path: from.to_owned() },
                Ok(FileKind::Other) => SynaError::NotARegularFile { path: from.to_owned() },
                _ => SynaError::io("open", from, error),
            });
        }
    };
    let first = LogFile::open(Arc::clone(&file), from);
    let Err(error) = first else { return first };
    // A damaged version field may look like that of the future; the copies know better.
    if !matches!(
        error,
        SynaError::Corrupt { .. }
            | SynaError::NotADatabase { .. }
            | SynaError::UnsupportedVersion { .. }
    ) {
        return Err(error);
    }
    for slot in [SlotPage::A, SlotPage::B] {
        let mut page = [0; PAGE_SIZE];
        let len = read_up_to(&*file, &mut page, slot.offset())
            .map_err(|e| SynaError::io("read", from, e))?;
        let copy = page.get(..len).and_then(Slot::header_copy);
        match copy.map(|copy| FileHeader::parse(&copy)) {
            Some(Ok(header)) => return Ok(LogFile::with_header(file, from, header)),
            Some(Err(HeaderError::Version { .. } | HeaderError::Feature(_))) => return Err(error),
            _ => {}
        }
    }
    Err(error)
}

/// The second walk: writes the copy.
struct Copier<'a, 'p> {
    damaged: Damaged<'a>,
    plan: &'p Plan<'a>,
    new: &'p mut NewFile,
    progress: &'p mut dyn FnMut(Progress),
    total_bytes: u64,
    commits: u64,
    /// Of each key the events so far and the next of its fills.
    cursors: Vec<Cursor>,
    /// The commit being copied, and whether it says anything.
    ops: Vec<Op<'static>>,
    says_something: bool,
    decoded: Vec<DecodedBlock>,
}

#[derive(Clone, Copy)]
struct Cursor {
    events: u64,
    fill: usize,
}

/// A block that was decoded last: rows that were lost one by one come from the same few blocks.
struct DecodedBlock {
    chunk: u64,
    first_row: u32,
    points: Points,
}

/// So many decoded blocks are kept.
const DECODED_MAX: usize = 4;
/// Points of so many bytes are written at once.
const PART_BYTES: usize = 64 << 20;

impl<'a, 'p> Copier<'a, 'p> {
    fn new(
        damaged: Damaged<'a>,
        plan: &'p Plan<'a>,
        new: &'p mut NewFile,
        progress: &'p mut dyn FnMut(Progress),
    ) -> Self {
        let mut cursors = vec![Cursor { events: 0, fill: usize::MAX }; plan.ids.len()];
        for (at, fill) in plan.fills.iter().enumerate().rev() {
            if let Some(cursor) = cursors.get_mut(fill.key as usize) {
                cursor.fill = at;
            }
        }
        Copier {
            damaged,
            plan,
            new,
            progress,
            total_bytes: damaged.data_end(),
            commits: 0,
            cursors,
            ops: Vec::new(),
            says_something: false,
            decoded: Vec::new(),
        }
    }

    /// Copies the rows that go before the next event of a key; those of `entry` itself become part
    /// of its commit, others are commits of their own.
    fn fill(&mut self, id: u32, entry: &Intact<'a>) -> Result<()> {
        let Some(cursor) = self.cursors.get(id as usize).copied() else { return Ok(()) };
        let Cursor { events, fill: mut at } = cursor;
        while let Some(fill) = self.plan.fills.get(at).copied() {
            if (fill.key, fill.event) != (id, events) {
                break;
            }
            at += 1;
            let mut ops = Vec::new();
            self.ops_of_rows(fill, entry.key, &mut ops)?;
            if fill.chunk == entry.offset {
                self.ops.append(&mut ops);
            } else {
                self.new.commit(ops)?;
            }
        }
        if let Some(cursor) = self.cursors.get_mut(id as usize) {
            *cursor = Cursor { events: events + 1, fill: at };
        }
        Ok(())
    }

    fn ops_of_rows(&mut self, fill: Fill, key: &str, ops: &mut Vec<Op<'static>>) -> Result<()> {
        let log = self.damaged.log;
        let gone = || log.corrupt(fill.chunk, "a chunk that vanished while it was copied");
        let chunk = self.damaged.entry_at(fill.chunk).ok_or_else(gone)?;
        let chunk = self.damaged.chunk_of(&chunk).ok_or_else(gone)?;
        let (limits, policy) = (log.limits(), self.new.policy());
        let mut part = Points::new();
        for block in &chunk.header().blocks {
            let (first, end) = (block.first_row, block.first_row + block.rows);
            let (from, to) = (first.max(fill.from), end.min(fill.to));
            if from >= to {
                continue;
            }
            let known = |d: &DecodedBlock| (d.chunk, d.first_row) == (fill.chunk, first);
            let at = match self.decoded.iter().position(known) {
                Some(at) => at,
                None => {
                    let mut points = Points::new();
                    chunk.decode(log, first, end, &mut points)?;
                    self.decoded.truncate(DECODED_MAX - 1);
                    let decoded = DecodedBlock { chunk: fill.chunk, first_row: first, points };
                    self.decoded.insert(0, decoded);
                    0
                }
            };
            if let Some(decoded) = self.decoded.get(at) {
                part.extend_from(&decoded.points, (from - first) as usize..(to - first) as usize);
            }
            if part.memory_bytes() >= PART_BYTES {
                let part = std::mem::take(&mut part);
                ops_of_points(Cow::Owned(key.to_owned()), part, limits, policy, ops)?;
            }
        }
        ops_of_points(Cow::Owned(key.to_owned()), part, limits, policy, ops)
    }
}

impl<'a> Visit<'a> for Copier<'a, '_> {
    fn gap(&mut self) {}

    fn entry(&mut self, entry: &Intact<'a>) -> Result<()> {
        let Some(kind @ (Kind::Put | Kind::Tombstone | Kind::Chunk)) = entry.kind else {
            return Ok(());
        };
        self.says_something = true;
        let Some(id) = self.plan.ids.get(entry.key).copied() else { return Ok(()) };
        self.fill(id, entry)?;
        let key = || Cow::Owned(entry.key.to_owned());
        match kind {
            Kind::Put => {
                let log = self.damaged.log;
                let limit = log.limits().value_size_max;
                let value = PutValue::of_stored(&entry.stored_value(), limit, self.new.policy())
                    .map_err(|what| log.corrupt(entry.offset, what))?;
                self.ops.push(Op::Put { key: key(), timestamp: entry.header.timestamp, value });
            }
            Kind::Tombstone => self.ops.push(Op::Tombstone { key: key() }),
            Kind::Chunk | Kind::Commit | Kind::Checkpoint => {}
        }
        Ok(())
    }

    fn commit_end(&mut self) -> Result<()> {
        self.commits += u64::from(std::mem::take(&mut self.says_something));
        self.new.commit(std::mem::take(&mut self.ops))
    }

    fn progress(&mut self, offset: u64) {
        let total_bytes = self.total_bytes;
        (self.progress)(Progress { done_bytes: offset.min(total_bytes), total_bytes });
    }
}
