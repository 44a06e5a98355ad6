//! Copying what is intact out of a damaged file.
//!
//! Entries are found by their self-contained checksum wherever they stand; the chain is not
//! needed. The copy is an ordinary new database: rows are numbered anew, commits stay commits. The
//! damaged file is only read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::Progress;
use crate::column::Points;
use crate::db::{Op, PutValue, ops_of_points};
use crate::error::{Result, SynaError};
use crate::format::checksum::extend;
use crate::format::chunk::{ChunkHeader, header_len};
use crate::format::entry::{CommitValue, Kind, Meaning, flags};
use crate::format::file_header::{FileHeader, HeaderError};
use crate::format::slot::{Slot, SlotPage};
use crate::format::value::{self, StoredAtom};
use crate::format::{LOG_START, PAGE_SIZE};
use crate::index::LoadedChunk;
use crate::log::create::{Temporary, now, random, sync_folder_of};
use crate::log::recovery::{Found, Search};
use crate::log::{LogFile, read_up_to};
use crate::storage::{FileStorage, OpenMode, Replace, Storage};

use super::rewrite::NewFile;

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
    /// What is missing, by offset. A torn tail is listed, too.
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
/// if neither its first page nor the copies of it can be read; `NotFound`, `Io`, `OutOfMemory`.
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
    let data_end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..data_end.next_multiple_of(8).min(bytes.len())).unwrap_or_default();

    let header = FileHeader {
        file_id: log.header().file_id,
        ..FileHeader::new_database(log.header().file_id, random()?, now())
    };
    let temporary = Temporary::create(storage, &to)?;
    let new = NewFile::new(temporary, header, &to, 64 << 20)?;
    let mut salvage =
        Salvage { log: &log, new, report: SalvageReport::default(), rows: HashMap::new() };
    salvage.run(bytes, progress)?;
    let Salvage { mut new, mut report, .. } = salvage;
    new.finish(0)?;
    (report.keys, report.points) = (new.index().live_keys(), new.index().live_rows());
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
        Err(error) => return Err(SynaError::io("open", from, error)),
    };
    let first = LogFile::open(Arc::clone(&file), from);
    let Err(error) = first else { return first };
    if !matches!(error, SynaError::Corrupt { .. } | SynaError::NotADatabase { .. }) {
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

/// The rows of a key as the damaged file numbers them, and which of them were copied.
#[derive(Default)]
struct KeyRows {
    /// The next row, if every entry so far is known.
    next: u64,
}

struct Salvage<'a> {
    log: &'a LogFile,
    new: NewFile,
    report: SalvageReport,
    rows: HashMap<Box<str>, KeyRows>,
}

/// An intact entry.
struct Intact<'a> {
    found: Found,
    kind: Option<Kind>,
    key: &'a str,
    value: &'a [u8],
}

impl<'a> Salvage<'a> {
    fn run(&mut self, bytes: &'a [u8], progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let mut search = Search::new(self.log, bytes, LOG_START);
        let mut covered_to = LOG_START;
        let mut batch: Vec<Intact<'a>> = Vec::new();
        let mut told = 0;
        let total_bytes = LOG_START + bytes.len() as u64;
        while let Some(found) = search.next() {
            if found.offset >= told + (16 << 20) {
                told = found.offset;
                progress(Progress { done_bytes: told, total_bytes });
            }
            let Some(entry) = self.intact(bytes, found)? else {
                // Its frame is good but what it holds is not: look for others inside of it, too.
                search.seek(found.offset + 8);
                continue;
            };
            self.report.entries += 1;
            let end = found.offset + found.header.entry_len();
            if found.offset > covered_to {
                // Something between is gone: a batch that was open may miss members.
                self.drop_batch(&mut batch);
                self.missing(covered_to, found.offset, "no intact entry");
            }
            covered_to = end;
            if entry.kind == Some(Kind::Commit) {
                self.commit_batch(&mut batch, &entry)?;
            } else if found.header.has(flags::IN_BATCH) {
                batch.push(entry);
            } else {
                self.drop_batch(&mut batch);
                self.commit(std::slice::from_ref(&entry))?;
            }
        }
        self.drop_batch(&mut batch);
        self.missing(covered_to, total_bytes, "no intact entry");
        self.merge_missing();
        self.new.write()?;
        progress(Progress { done_bytes: total_bytes, total_bytes });
        Ok(())
    }

    /// The entry, if what it holds is intact as well as its frame.
    fn intact(&self, bytes: &'a [u8], found: Found) -> Result<Option<Intact<'a>>> {
        let at = usize::try_from(found.offset - LOG_START).unwrap_or(usize::MAX);
        let value_start = at.saturating_add(found.header.value_start());
        let value_end = value_start.saturating_add(found.header.val_len as usize);
        let key = bytes.get(at + crate::format::entry::HEADER_LEN..value_start);
        let (Some(key), Some(value)) = (key, bytes.get(value_start..value_end)) else {
            return Ok(None);
        };
        let Ok(key) = std::str::from_utf8(key) else { return Ok(None) };
        let kind = match found.header.meaning() {
            Ok(Meaning::Known(kind)) => Some(kind),
            Ok(Meaning::Ignorable) => None,
            Err(_) => return Ok(None),
        };
        let whole = match kind {
            Some(Kind::Put) => value::decode(value).is_ok(),
            Some(Kind::Commit) => CommitValue::parse(value).is_some(),
            Some(Kind::Chunk) => {
                let header = self.chunk_header(value);
                match header {
                    Some(header) => {
                        let chunk = LoadedChunk::from_scan(found.offset, key.len(), header);
                        (0..chunk.header().blocks.len())
                            .all(|block| chunk.verify_block(self.log, block).is_ok())
                    }
                    None => false,
                }
            }
            _ => true,
        };
        Ok(whole.then_some(Intact { found, kind, key, value }))
    }

    fn chunk_header(&self, value: &[u8]) -> Option<ChunkHeader> {
        let len = header_len(value.get(..4)?.try_into().ok()?, value.len() as u64).ok()?;
        ChunkHeader::parse(value.get(..len)?, value.len() as u64).ok()
    }

    fn commit_batch(&mut self, batch: &mut Vec<Intact<'a>>, commit: &Intact<'a>) -> Result<()> {
        let Some(stored) = CommitValue::parse(commit.value) else { return Ok(()) };
        let crc = batch
            .iter()
            .fold(0, |crc, member| extend(crc, &member.found.header.body_crc.to_le_bytes()));
        let first = batch.first().map(|member| member.found.offset);
        if first != Some(stored.first)
            || stored.count as usize != batch.len()
            || stored.members_crc != crc
        {
            self.drop_batch(batch);
            let (offset, len) = (commit.found.offset, commit.found.header.entry_len());
            let what = "a commit entry whose batch is not whole";
            self.missing(offset, offset + len, what);
            return Ok(());
        }
        let members = std::mem::take(batch);
        self.commit(&members)
    }

    /// Members without their commit entry never took effect, or cannot be told from such.
    fn drop_batch(&mut self, batch: &mut Vec<Intact<'a>>) {
        for member in batch.drain(..) {
            let (offset, len) = (member.found.offset, member.found.header.entry_len());
            self.missing(offset, offset + len, "part of a batch that is not whole");
        }
    }

    /// Copies one commit.
    fn commit(&mut self, entries: &[Intact<'a>]) -> Result<()> {
        let mut ops = Vec::with_capacity(entries.len());
        let mut says_something = false;
        for entry in entries {
            says_something |= !matches!(entry.kind, Some(Kind::Checkpoint) | None);
            self.ops_of(entry, &mut ops)?;
        }
        self.report.commits += u64::from(says_something);
        self.new.commit(ops)
    }

    fn ops_of(&mut self, entry: &Intact<'a>, ops: &mut Vec<Op<'static>>) -> Result<()> {
        let key = || Cow::Owned(entry.key.to_owned());
        let header = entry.found.header;
        match entry.kind {
            Some(Kind::Put) => {
                let atom = value::decode(entry.value)
                    .map_err(|what| self.log.corrupt(entry.found.offset, what))?;
                self.rows.entry(entry.key.into()).or_default().next += 1;
                let value = match atom {
                    StoredAtom::Number(kind, bits) => PutValue::Number(kind, bits),
                    StoredAtom::Text(_) | StoredAtom::Bytes(_) => {
                        PutValue::Encoded(entry.value.to_vec())
                    }
                };
                ops.push(Op::Put { key: key(), timestamp: header.timestamp, value });
            }
            Some(Kind::Tombstone) => ops.push(Op::Tombstone { key: key() }),
            Some(Kind::Chunk) => {
                let Some(chunk) = self.chunk_header(entry.value) else { return Ok(()) };
                let (first, rows) = (chunk.first_row, u64::from(chunk.rows));
                let known = self.rows.entry(entry.key.into()).or_default();
                let (from, to) = (known.next.max(first) - first, rows);
                known.next = known.next.max(first.saturating_add(rows));
                if from >= to {
                    return Ok(());
                }
                let chunk = LoadedChunk::from_scan(entry.found.offset, entry.key.len(), chunk);
                let mut points = Points::new();
                let in_chunk = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
                chunk.decode(self.log, in_chunk(from), in_chunk(to), &mut points)?;
                ops_of_points(key(), points, self.log.limits(), ops)?;
            }
            Some(Kind::Commit | Kind::Checkpoint) | None => {}
        }
        Ok(())
    }

    fn missing(&mut self, from: u64, to: u64, what: &'static str) {
        if to > from {
            self.report.missing.push(MissingRange { offset: from, len: to - from, what });
        }
    }

    /// Puts neighbours of one reason together.
    fn merge_missing(&mut self) {
        let mut missing = std::mem::take(&mut self.report.missing);
        missing.sort_by_key(|range| range.offset);
        for range in missing {
            match self.report.missing.last_mut() {
                Some(last) if last.what == range.what && last.offset + last.len == range.offset => {
                    last.len += range.len;
                }
                _ => self.report.missing.push(range),
            }
        }
    }
}
