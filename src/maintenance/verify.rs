//! Reading every byte of a database and comparing it with what it says about itself.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Result, SynaError};
use crate::format::LOG_START;
use crate::format::entry::{HEADER_LEN, Position};
use crate::format::value;
use crate::index::{Index, IndexWriter, LoadedChunk, Replay};
use crate::log::{Content, LargePuts, LogFile, Scanned, Scanner};
use crate::{Progress, SynaDB};

/// What [`SynaDB::verify`] has read and found good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Bytes of the log, up to the commit that was the newest when the check began.
    pub bytes: u64,
    /// Entries of all kinds.
    pub entries: u64,
    /// Chunk entries.
    pub chunks: u64,
    /// Blocks in them.
    pub blocks: u64,
    /// Points stored, replaced and deleted ones included.
    pub points: u64,
    /// Keys ever written.
    pub keys: u64,
}

/// Steps in which progress is told.
const STEP: u64 = 4 << 20;

impl SynaDB {
    /// Reads the whole file up to the newest commit and checks every checksum, every statement of
    /// every header, and that the entries make up a history.
    ///
    /// Reads through the system's cache; what a device would return after losing power is a
    /// question for [`sync`](SynaDB::sync) first. Does not hinder writers or readers.
    ///
    /// # Errors
    ///
    /// `Corrupt` with the first damage; `UnsupportedFeature`, `Io`, `OutOfMemory`, `Closed`,
    /// `ForkedHandle`.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_with(&mut |_| {})
    }

    /// As [`SynaDB::verify`], telling how far it is.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::verify`].
    pub fn verify_with(&self, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport> {
        let core = self.reading()?;
        // What is still in a buffer is no part of the file.
        let pinned = core.pinned_in_file(|flushed| match flushed {
            Err(SynaError::Poisoned { .. }) => Ok(()),
            flushed => flushed,
        })?;
        let log = Arc::clone(&pinned.generation.log);
        // A poisoned writer may have published what it could not write.
        verify_log(&log, pinned.commit_end().min(log.len()?), progress)
    }
}

/// Verifies the entries up to the commit that ends at `end`.
pub(crate) fn verify_log(
    log: &LogFile,
    end: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport> {
    if log.newest_slot()?.is_none() {
        return Err(crate::db::no_slot());
    }
    let start = Position { offset: LOG_START, head_crc: log.header().salt.chain_start() };
    // Nothing is trusted: both checksums of every entry, and every column.
    let mut scanner = Scanner::new(log, start, 0)?.with_large_puts(LargePuts::Read);
    let mut replay = Replay::new(start);
    let mut index = IndexWriter::new(Arc::new(Index::new(LOG_START)), usize::MAX);
    let mut report = VerifyReport { bytes: end, ..VerifyReport::default() };
    let mut keys: HashSet<Box<str>> = HashSet::new();
    let mut told = LOG_START;
    while scanner.position().offset < end {
        let offset = scanner.position().offset;
        let last_good = replay.commit().offset;
        let corrupt = |what| SynaError::Corrupt { offset, last_good, next_good: None, what };
        if offset >= told + STEP {
            told = offset;
            progress(Progress { done_bytes: offset, total_bytes: end });
        }
        let entry = match scanner.next()? {
            Scanned::Entry(entry) => entry,
            Scanned::End => return Err(corrupt("zeros before the last commit")),
            Scanned::Bad(what) => return Err(corrupt(what)),
        };
        report.entries += 1;
        if !entry.key.is_empty() && !keys.contains(entry.key) {
            keys.insert(entry.key.into());
        }
        match &entry.content {
            Content::Put(stored) => {
                let plain = stored.plain(log.limits().value_size_max).map_err(corrupt)?;
                value::decode(&plain).map_err(corrupt)?;
                report.points += 1;
            }
            Content::Chunk(header) => {
                report.chunks += 1;
                report.blocks += header.blocks.len() as u64;
                report.points += u64::from(header.rows);
                let value_at = offset + (HEADER_LEN + entry.key.len()) as u64;
                check_gaps(log, value_at, entry.end.offset, header)?;
                let chunk = LoadedChunk::from_scan(offset, entry.key.len(), header.clone());
                for block in 0..chunk.header().blocks.len() {
                    chunk.verify_block_whole(log, block)?;
                }
            }
            _ => {}
        }
        replay.step(&mut index, log, entry)?;
    }
    if replay.commit().offset != end {
        return Err(SynaError::Corrupt {
            offset: replay.commit().offset,
            last_good: replay.commit().offset,
            next_good: None,
            what: "the newest commit is not where it was",
        });
    }
    report.keys = keys.len() as u64;
    progress(Progress { done_bytes: end, total_bytes: end });
    Ok(report)
}

/// Bytes between columns and behind the last one are zero; no checksum covers them.
fn check_gaps(
    log: &LogFile,
    value_at: u64,
    entry_end: u64,
    header: &crate::format::chunk::ChunkHeader,
) -> Result<()> {
    let value_len = header.data_start.saturating_add(header.data_len);
    let padding = value_len..entry_end.saturating_sub(value_at);
    for gap in header.gaps().chain([padding]) {
        let len = usize::try_from(gap.end.saturating_sub(gap.start)).unwrap_or(0);
        let bytes = log.committed(value_at + gap.start, len)?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(log.corrupt(value_at + gap.start, "bytes between columns are not zero"));
        }
    }
    Ok(())
}
