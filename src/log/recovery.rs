//! Finding the end of a log after a stop: what is torn is cut, what is damaged is refused.
//!
//! Something that is not a good entry stands at X. If anything shows that bytes beyond X were
//! durable once (a slot, or a good entry with `AFTER_SYNC` behind X), then committed data are
//! damaged, and nothing is changed. Otherwise X is where a power loss or a kill stopped a write
//! that nobody was told had succeeded, and the log is cut at the last commit before X.

use std::path::PathBuf;

use crate::canary::{Canary, planted};
use crate::error::{Result, SynaError};
use crate::format::checksum::{PrefixChecksums, crc32c};
use crate::format::chunk::{ChunkError, ChunkHeader, header_lens};
use crate::format::entry::{EntryHeader, HEADER_LEN, Kind, Position, flags};
use crate::storage::{OpenMode, Storage};

use super::file::{LogFile, write_all};
use super::writer::sync_data;

/// Most bytes of whole commits that are cut (and copied) without asking.
const CUT_MAX: u64 = 128 << 20;

/// A reader looks so far behind a bad entry for proof that it was good once.
const SEARCH_MAX: u64 = 64 << 20;

/// What opening a database found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Entries that were read to rebuild the index.
    pub entries: u64,
    /// Bytes of the log that were read for it.
    pub bytes_scanned: u64,
    /// Whether the scan began at a checkpoint rather than at the start of the log.
    pub from_checkpoint: bool,
    /// Bytes cut off the end; zeros of preallocated space do not count.
    pub bytes_cut: u64,
    /// Why they were cut.
    pub reason: Option<&'static str>,
    /// Where whole commits among them were copied to.
    pub torn_copy: Option<PathBuf>,
    /// Bytes written again because an earlier sync of them had failed.
    pub bytes_rewritten: u64,
}

/// A good entry found behind a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) header: EntryHeader,
}

/// The bytes of a log behind a bad entry, searched for good ones.
///
/// Time and memory are linear in the number of bytes, whatever they are.
pub(crate) struct Search<'a> {
    log: &'a LogFile,
    bytes: &'a [u8],
    /// Offset of `bytes` in the file, divisible by 8.
    base: u64,
    checksums: PrefixChecksums<'a>,
    at: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn new(log: &'a LogFile, bytes: &'a [u8], base: u64) -> Self {
        Search { log, bytes, base, checksums: PrefixChecksums::new(bytes), at: 0 }
    }

    /// Goes on at `offset`.
    pub(crate) fn seek(&mut self, offset: u64) {
        let at = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.at = at.next_multiple_of(8);
    }

    /// The entry at `offset`, if its body speaks for it: the checksum knows salt and offset, so
    /// neither a value that looks like an entry nor an entry of another place passes.
    pub(crate) fn entry_at(&self, at: usize) -> Option<Found> {
        let header = EntryHeader::parse(self.bytes.get(at..)?)?;
        if header.kind == 0 {
            return None;
        }
        let limits = self.log.limits();
        let is_chunk = header.kind == Kind::Chunk as u8;
        let limit = if is_chunk { limits.chunk_size_max } else { limits.value_size_max };
        let val_len = u64::from(header.val_len);
        let end = at.checked_add(usize::try_from(header.entry_len()).ok()?)?;
        if val_len > limit || end > self.bytes.len() {
            return None;
        }
        let covered = if is_chunk {
            let value_start = at + header.value_start();
            let prefix = self.bytes.get(value_start..)?.first_chunk()?;
            value_start + header_lens(*prefix, val_len).ok()?.covered
        } else {
            end
        };
        let offset = self.base + at as u64;
        let seed = self.log.header().salt.at(offset);
        let crc = self.checksums.extend(seed, at + 8, covered)?;
        (crc == header.body_crc).then_some(Found { offset, header })
    }

    /// Whether all of an entry is there. The body of a chunk speaks for the beginning of its header
    /// only: behind it a write that was stopped leaves the zeros of preallocated space.
    fn is_whole(&self, found: &Found) -> bool {
        if found.header.kind != Kind::Chunk as u8 {
            return true;
        }
        let in_bytes = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let value_at = found.offset - self.base + found.header.value_start() as u64;
        let value = self.bytes.get(in_bytes(value_at)..).unwrap_or_default();
        // What cannot be read here may be whole for a newer build.
        let chunk = match ChunkHeader::parse(value, found.header.val_len.into()) {
            Ok(chunk) => chunk,
            Err(error) => return error != ChunkError::Checksum,
        };
        chunk.columns.iter().all(|column| {
            let at = value_at + chunk.data_start + column.offset;
            let range = (in_bytes(at), in_bytes(at + column.stored_len));
            self.checksums.extend(crc32c(&[]), range.0, range.1) == Some(column.crc)
        })
    }
}

impl Iterator for Search<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while self.at + HEADER_LEN <= self.bytes.len() {
            let at = self.at;
            if let Some(found) = self.entry_at(at) {
                self.at = at + usize::try_from(found.header.entry_len()).ok()?;
                return Some(found);
            }
            self.at = at + 8;
        }
        None
    }
}

/// How the log ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// At a commit, with nothing but zeros behind it.
    Clean,
    /// In bytes that were never known to be durable.
    Torn { what: &'static str, bytes: u64, whole_commits: bool },
}

/// Judges what stands behind the last good commit.
///
/// `bad` is where the first bad entry stands and what is wrong with it; `commit` the end of the
/// last good commit before it.
pub(crate) fn judge(
    log: &LogFile,
    commit: Position,
    bad: (u64, &'static str),
    durable_len: u64,
) -> Result<Tail> {
    let (offset, what) = bad;
    let corrupt =
        |next_good| SynaError::Corrupt { offset, last_good: commit.offset, next_good, what };
    let file_len = log.len()?;
    // The lock is held, so nobody cuts the file: what lies behind may be read through a map, and the
    // search takes memory for its checksums only.
    let size = usize::try_from(file_len.saturating_sub(offset)).unwrap_or(usize::MAX);
    let only_hole = matches!(log.storage_file().next_data(offset), Ok(None));
    let bytes = log.committed(offset, if only_hole { 0 } else { size })?;
    let data_len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
    let mut torn_bytes = offset + data_len - commit.offset;
    if planted(Canary::CutAtFirstCrcError) {
        return Ok(Tail::Torn { what, bytes: torn_bytes, whole_commits: false });
    }
    let mut search = Search::new(log, &bytes, offset);
    // The bad entry itself may have a good body and a broken chain: it counts as found, too.
    let mut next_good = None;
    let mut whole_commits = false;
    while let Some(found) = search.next() {
        next_good.get_or_insert(found.offset);
        if found.header.has(flags::AFTER_SYNC) && found.offset > offset {
            return Err(corrupt(next_good));
        }
        if durable_len > commit.offset {
            break;
        }
        if !search.is_whole(&found) {
            continue;
        }
        whole_commits |= !found.header.has(flags::IN_BATCH);
        // Zeros at the end of an entry belong to it.
        let end = found.offset + found.header.entry_len();
        torn_bytes = torn_bytes.max(end - commit.offset);
    }
    if durable_len > commit.offset {
        return Err(corrupt(next_good));
    }
    Ok(Tail::Torn { what, bytes: torn_bytes, whole_commits })
}

/// A good entry with `AFTER_SYNC` behind a bad one at `offset`, for a reader that has no lock: what
/// is looked at is a copy of limited length.
pub(crate) fn synced_behind(log: &LogFile, offset: u64) -> Result<Option<u64>> {
    let Ok(None) = log.storage_file().next_data(offset) else {
        let size = log.len()?.saturating_sub(offset).min(SEARCH_MAX);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| SynaError::OutOfMemory { bytes: size as u64 })?;
        bytes.resize(size, 0);
        let got = log.read_up_to(&mut bytes, offset)?;
        bytes.truncate(got);
        let synced = |found: &Found| found.header.has(flags::AFTER_SYNC) && found.offset > offset;
        return Ok(Search::new(log, &bytes, offset).find(synced).map(|found| found.offset));
    };
    Ok(None)
}

/// Cuts a torn tail off, keeping a copy where whole commits go. Idempotent: a crash in here leaves
/// a log that is judged and cut in the same way again.
pub(crate) fn cut(
    storage: &dyn Storage,
    log: &LogFile,
    commit: Position,
    tail: &Tail,
    report: &mut RecoveryReport,
) -> Result<()> {
    let Tail::Torn { what, bytes, whole_commits } = *tail else { return Ok(()) };
    if whole_commits {
        if bytes > CUT_MAX {
            return Err(SynaError::TornTailTooLong { offset: commit.offset, len: bytes });
        }
        report.torn_copy = Some(copy_torn(storage, log, commit.offset, bytes)?);
    }
    let file = log.storage_file();
    file.set_len(commit.offset).map_err(|e| log.io_error("truncate", e))?;
    // The cut is durable before anything is written behind it: otherwise a power loss could bring
    // the old bytes back behind new ones.
    sync_data(&**file).map_err(|e| log.io_error("sync", e))?;
    report.bytes_cut = bytes;
    report.reason = Some(what);
    Ok(())
}

/// Copies `[from, from + len)` to `<name>.torn`, or the first free `<name>.torn.N`, durably.
fn copy_torn(storage: &dyn Storage, log: &LogFile, from: u64, len: u64) -> Result<PathBuf> {
    let size = usize::try_from(len).map_err(|_| SynaError::OutOfMemory { bytes: len })?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| SynaError::OutOfMemory { bytes: len })?;
    bytes.resize(size, 0);
    let got = log.read_up_to(&mut bytes, from)?;
    bytes.truncate(got);
    for number in 0..1000u32 {
        let mut name = log.path().as_os_str().to_owned();
        name.push(if number == 0 { ".torn".to_owned() } else { format!(".torn.{number}") });
        let path = PathBuf::from(name);
        let copy = match storage.open(&path, OpenMode::CreateNew) {
            Ok(copy) => copy,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(SynaError::io("create", path, error)),
        };
        write_all(&*copy, &bytes, 0).map_err(|(_, error)| SynaError::io("write", &path, error))?;
        sync_data(&*copy).map_err(|e| SynaError::io("sync", &path, e))?;
        super::create::sync_folder_of(storage, &path)?;
        return Ok(path);
    }
    Err(SynaError::io("create", log.path(), std::io::ErrorKind::AlreadyExists.into()))
}

/// Writes the bytes `[from, to)` again, cuts the file behind them, and syncs: an earlier sync from
/// `from` on failed, after which the system may hold pages it believes to be clean that never
/// reached the medium; or it may show old pages where the medium has the new ones, which a power
/// loss would bring back.
pub(crate) fn rewrite_suspect(log: &LogFile, from: u64, to: u64) -> Result<u64> {
    let file = log.storage_file();
    file.set_len(to).map_err(|e| log.io_error("truncate", e))?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..want).unwrap_or_default();
        let got = log.read_up_to(part, at)?;
        let part = part.get(..got).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        write_all(&**file, part, at).map_err(|(_, error)| log.io_error("write", error))?;
        at += got as u64;
    }
    sync_data(&**file).map_err(|e| log.io_error("sync", e))?;
    Ok(at - from)
}
