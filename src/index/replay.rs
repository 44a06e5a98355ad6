//! From entries of the log to changes of the index, commit by commit.

use std::sync::{Arc, OnceLock};

use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::chunk::ChunkHeader;
use crate::format::entry::{CommitValue, Position, flags};
use crate::format::value::{self, StoredValue};
use crate::log::{Content, Entry, INLINE_VALUE_MAX, LogFile};

use super::chunk::LoadedChunk;
use super::history::{ROWS_MAX, Segment, SegmentBody};
use super::seal::stays_in_tail;
use super::writer::IndexWriter;

/// What an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayStep {
    /// The commit that ends with this entry took effect.
    Commit,
    /// The entry waits for the commit entry of its batch.
    Pending,
}

/// A member of a batch whose commit entry has not come yet.
struct Member {
    key: Box<str>,
    offset: u64,
    timestamp: i64,
    val_len: u32,
    content: MemberContent,
}

enum MemberContent {
    /// The encoded atom.
    /// The value and the flags of its entry.
    Put(Box<[u8]>, u8),
    LargePut,
    Tombstone,
    Chunk(Box<ChunkHeader>),
    /// Has no effect on the index.
    Nothing,
}

struct OpenBatch {
    /// What its commit entry has to say.
    seen: CommitValue,
    members: Vec<Member>,
}

/// Turns entries into changes. The caller publishes.
pub(crate) struct Replay {
    batch: Option<OpenBatch>,
    /// Where the last commit ends.
    commit: Position,
    entries: u64,
}

impl Replay {
    /// Begins behind a commit.
    pub(crate) fn new(commit: Position) -> Self {
        Replay { batch: None, commit, entries: 0 }
    }

    /// Where the last whole commit ends.
    pub(crate) fn commit(&self) -> Position {
        self.commit
    }

    /// Entries seen in whole commits and open batches.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Forgets the members of a batch whose commit entry has not come, to read them again later.
    pub(crate) fn forget_open_batch(&mut self) {
        self.batch = None;
    }

    /// Takes the next entry.
    pub(crate) fn step(
        &mut self,
        writer: &mut IndexWriter,
        log: &LogFile,
        entry: Entry<'_>,
    ) -> Result<ReplayStep> {
        self.entries += 1;
        let damaged = |what| SynaError::Corrupt {
            offset: entry.offset,
            last_good: self.commit.offset,
            next_good: None,
            what,
        };
        if let Content::Commit(commit) = entry.content {
            let batch = self.batch.take();
            let batch = batch.ok_or_else(|| damaged("a commit entry without a batch"))?;
            if batch.seen != commit {
                return Err(damaged("a commit entry of another batch"));
            }
            let end = entry.end.offset;
            for member in batch.members {
                member.apply(writer, log, end)?;
            }
            self.commit = entry.end;
            return Ok(ReplayStep::Commit);
        }
        let in_batch = entry.header.has(flags::IN_BATCH)
            && !crate::canary::planted(crate::canary::Canary::IgnoreCommit);
        if !in_batch {
            if self.batch.is_some() {
                return Err(damaged("a batch without a commit entry"));
            }
            let end = entry.end.offset;
            match entry.content {
                Content::Put(value) if !is_large(value) => {
                    let plain = value.plain(log.limits().value_size_max).map_err(damaged)?;
                    let atom = value::decode(&plain).map_err(damaged)?;
                    let id = writer.id_of(entry.key)?;
                    writer.put(id, end, entry.header.timestamp, atom);
                }
                _ => Member::of(entry.offset, &entry).apply(writer, log, end)?,
            }
            self.commit = entry.end;
            return Ok(ReplayStep::Commit);
        }
        let batch = self.batch.get_or_insert_with(|| OpenBatch {
            seen: CommitValue { first: entry.offset, count: 0, members_crc: 0 },
            members: Vec::new(),
        });
        batch.seen.add_member(entry.header.body_crc);
        if !matches!(entry.content, Content::Checkpoint(_) | Content::Ignorable) {
            batch.members.push(Member::of(entry.offset, &entry));
        }
        Ok(ReplayStep::Pending)
    }
}

/// Whether a value stays in the log, also where a scan happens to hand it out: the rows of a key
/// are cut into segments by it, which must not depend on who reads.
fn is_large(value: StoredValue<'_>) -> bool {
    value.plain_len() > (INLINE_VALUE_MAX + value::BLOB_PREFIX) as u64
}

impl Member {
    fn of(offset: u64, entry: &Entry<'_>) -> Member {
        Member {
            key: entry.key.into(),
            offset,
            timestamp: entry.header.timestamp,
            val_len: entry.header.val_len,
            content: match &entry.content {
                Content::Put(value) if !is_large(*value) => {
                    MemberContent::Put(value.bytes().into(), entry.header.flags)
                }
                Content::Put(_) | Content::LargePut => MemberContent::LargePut,
                Content::Tombstone => MemberContent::Tombstone,
                Content::Chunk(header) => MemberContent::Chunk(Box::new(header.clone())),
                Content::Commit(_) | Content::Checkpoint(_) | Content::Ignorable => {
                    MemberContent::Nothing
                }
            },
        }
    }

    fn apply(self, writer: &mut IndexWriter, log: &LogFile, commit_end: u64) -> Result<()> {
        let damaged = |what| log.corrupt(self.offset, what);
        if let MemberContent::Nothing = self.content {
            return Ok(());
        }
        let id = writer.id_of(&self.key)?;
        match self.content {
            MemberContent::Put(value, flags) => {
                let value = StoredValue::new(&value, flags);
                let plain = value.plain(log.limits().value_size_max).map_err(damaged)?;
                let atom = value::decode(&plain).map_err(damaged)?;
                writer.put(id, commit_end, self.timestamp, atom);
            }
            MemberContent::LargePut => {
                writer.large_put(id, commit_end, self.timestamp, self.offset, self.val_len);
            }
            MemberContent::Tombstone => writer.tombstone(id, commit_end),
            MemberContent::Chunk(header) => {
                let chunk = LoadedChunk::from_scan(self.offset, self.key.len(), *header);
                chunk_entry(writer, log, id, commit_end, &chunk, self.val_len)?;
            }
            MemberContent::Nothing => {}
        }
        Ok(())
    }
}

/// The segment of a chunk entry.
pub(crate) fn segment_of(chunk: &ChunkHeader, offset: u64, val_len: u32) -> Segment {
    let zone = chunk.zone_map();
    Segment {
        first_row: chunk.first_row,
        rows: u64::from(chunk.rows),
        timestamp_min: zone.timestamp_min,
        timestamp_max: zone.timestamp_max,
        body: SegmentBody::Chunk { offset, val_len, loaded: OnceLock::new() },
    }
}

/// Applies a chunk by the replay rule of the format: by its rows it adds or replaces.
fn chunk_entry(
    writer: &mut IndexWriter,
    log: &LogFile,
    id: super::KeyId,
    commit_end: u64,
    chunk: &LoadedChunk,
    val_len: u32,
) -> Result<()> {
    let offset = chunk.offset();
    let header = chunk.header();
    let damaged = |what| log.corrupt(offset, what);
    let (first, rows) = (header.first_row, u64::from(header.rows));
    let end = first.checked_add(rows).filter(|end| *end <= ROWS_MAX);
    let end = end.ok_or_else(|| damaged("a chunk of impossible rows"))?;
    let index = Arc::clone(writer.index());
    let slot = index.slot(id);
    let next = slot.map_or(0, |slot| slot.versions.newest().rows);
    if first == next || next == 0 {
        // What a rewrite wrote as a chunk has its neighbours in it and need not wait for them in
        // memory. Nor may it: the rewrite's own index had it as a segment, too, and rows that a
        // writer held as two segments must not be one for who replays what it sealed.
        let is_base = offset < log.header().base_end
            && slot.is_none_or(|slot| slot.history.lock().rows.tail_len(next) == 0);
        if stays_in_tail(rows, val_len.into()) && !is_base {
            let mut points = Points::new();
            chunk.decode(log, 0, u32::MAX, &mut points)?;
            writer.add_points(id, commit_end, first, &points);
        } else {
            let latest = IndexWriter::latest_of_chunk(chunk, log)?;
            writer.add_chunk(id, commit_end, segment_of(header, offset, val_len), latest);
        }
    } else if end <= next {
        writer.replace(id, segment_of(header, offset, val_len)).map_err(damaged)?;
    } else {
        return Err(damaged("a chunk whose rows leave a gap or overlap"));
    }
    Ok(())
}
