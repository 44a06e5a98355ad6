//! Reading a log commit by commit without an index.
//!
//! What a chunk means is decided by rows: one that begins at its key's next row adds, one before it
//! puts rows together that came by already. So the reader counts the rows of every key it follows,
//! and nothing else; to begin in the middle of a log it counts those before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::atom::Atom;
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::LOG_START;
use crate::format::bytes::Fields;
use crate::format::checkpoint::{KeyRecord, PIECE_HEADER_LEN, PieceHeader};
use crate::format::chunk::ChunkHeader;
use crate::format::entry::{CommitValue, HEADER_LEN, Position, flags};
use crate::format::slot::Slot;
use crate::format::value;
use crate::index::Glob;
use crate::log::{Content, Entry, INLINE_VALUE_MAX, LogFile, Scanned, Scanner};

use super::Cursor;
use super::changes::{Appended, Body, Change, FollowedCommit};

/// So many bytes of the log are read before what is in them is delivered.
const PASS_BYTES: u64 = 256 << 10;

/// The next row of each key that was seen.
pub(super) type Rows = HashMap<Box<str>, u64, foldhash::fast::RandomState>;

/// Reads the commits of one log file in order.
pub(super) struct CommitReader {
    log: Arc<LogFile>,
    glob: Arc<Glob>,
    /// Behind the last commit that was read.
    position: Position,
    rows: Rows,
    /// Whether values are wanted, or rows are counted only.
    delivers: bool,
    /// What ended the reading: a half counted commit must not be counted again.
    failed: Option<SynaError>,
}

/// Why a pass over the log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// There may be more.
    Full,
    /// There is no whole commit behind the position yet.
    End,
}

/// A member of a commit that is being read.
struct Member {
    key: Box<str>,
    counted: Counted,
    content: MemberContent,
}

/// What a member means for the rows of its key.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Row,
    Tombstone,
    Chunk { offset: u64, first_row: u64, rows: u64 },
}

enum MemberContent {
    Point(i64, Atom),
    /// One whose value is read when it is asked for.
    LargePut {
        offset: u64,
        val_len: u32,
    },
    Tombstone,
    Chunk(u64, Box<ChunkHeader>),
}

/// The members of a batch whose commit entry has not come yet.
struct OpenBatch {
    seen: CommitValue,
    members: Vec<Member>,
}

impl CommitReader {
    /// Begins behind a commit, with the rows that keys have there.
    pub(super) fn new(
        log: Arc<LogFile>,
        glob: Arc<Glob>,
        position: Position,
        rows: Rows,
    ) -> CommitReader {
        CommitReader { log, glob, position, rows, delivers: true, failed: None }
    }

    /// Begins with the first entry.
    pub(super) fn at_start(log: Arc<LogFile>, glob: Arc<Glob>) -> CommitReader {
        let head_crc = log.header().salt.chain_start();
        let position = Position { offset: LOG_START, head_crc };
        CommitReader::new(log, glob, position, Rows::default())
    }

    /// Begins behind the commit that ends at `offset`; `None` if none does.
    pub(super) fn at(
        log: Arc<LogFile>,
        glob: Arc<Glob>,
        offset: u64,
    ) -> Result<Option<CommitReader>> {
        let slot = log.newest_slot()?;
        let durable = slot.map_or(0, |(_, slot)| slot.durable_len);
        let counted = match slot {
            Some((_, slot)) if slot.checkpoint <= offset => rows_of_checkpoint(&log, &slot, &glob)?,
            _ => None,
        };
        let mut reader = match counted {
            Some((position, rows)) => CommitReader::new(log, glob, position, rows),
            None => CommitReader::at_start(log, glob),
        };
        reader.delivers = false;
        // What is counted only may be trusted as far as it is durable.
        while reader.position.offset < offset {
            if reader.pass(offset, durable, &mut |_, _| {})? == Pass::End {
                break;
            }
        }
        reader.delivers = true;
        if reader.position.offset == offset {
            return Ok(Some(reader));
        }
        if reader.position.offset < durable.min(offset) {
            let (at, what) = (reader.position.offset, "durable entries are missing");
            return Err(SynaError::Corrupt { offset: at, last_good: at, next_good: None, what });
        }
        Ok(None)
    }

    pub(super) fn log(&self) -> &Arc<LogFile> {
        &self.log
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Everything up to here was read.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursor_at(self.position)
    }

    fn cursor_at(&self, position: Position) -> Cursor {
        let header = self.log.header();
        Cursor {
            file_id: header.file_id,
            generation: header.generation,
            offset: position.offset,
            head_crc: position.head_crc,
        }
    }

    /// Reads some commits that end at or before `limit` and adds those with changes to `out`.
    ///
    /// Nothing is trusted: what is delivered was verified, also where it lies in chunks.
    pub(super) fn read(&mut self, limit: u64, out: &mut VecDeque<FollowedCommit>) -> Result<Pass> {
        let log = Arc::clone(&self.log);
        self.pass(limit, 0, &mut |cursor, members| {
            let changes = changes_of(&log, members);
            if !changes.is_empty() {
                out.push_back(FollowedCommit { changes, cursor });
            }
        })
    }

    /// One pass over the log. `each` gets the members of every commit that concern followed keys
    /// and change something.
    fn pass(
        &mut self,
        limit: u64,
        trusted_len: u64,
        each: &mut dyn FnMut(Cursor, Vec<Member>),
    ) -> Result<Pass> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let log = Arc::clone(&self.log);
        let began = self.position.offset;
        let mut scanner = Scanner::new(&log, self.position, trusted_len)?;
        let mut open: Option<OpenBatch> = None;
        while scanner.position().offset < limit {
            let entry = match scanner.next()? {
                Scanned::Entry(entry) => entry,
                Scanned::End | Scanned::Bad(_) => return Ok(Pass::End),
            };
            let damaged = |what| log.corrupt(entry.offset, what);
            let end = entry.end;
            let mut members = Vec::new();
            if let Content::Commit(commit) = &entry.content {
                let batch = open.take();
                let batch = batch.ok_or_else(|| damaged("a commit entry without a batch"))?;
                if batch.seen != *commit {
                    return Err(damaged("a commit entry of another batch"));
                }
                members = batch.members;
            } else if entry.header.has(flags::IN_BATCH) {
                let batch = open.get_or_insert_with(|| OpenBatch {
                    seen: CommitValue { first: entry.offset, count: 0, members_crc: 0 },
                    members: Vec::new(),
                });
                batch.seen.add_member(entry.header.body_crc);
                batch.members.extend(self.member_of(&entry)?);
                continue;
            } else if open.is_some() {
                return Err(damaged("a batch without a commit entry"));
            } else if self.delivers {
                members.extend(self.member_of(&entry)?);
            } else if let Some(counted) = self.counted_of(&entry) {
                self.count(entry.key, counted)?;
            }
            // Only now is it known that the commit is whole.
            let mut changing = Vec::with_capacity(members.len());
            for member in members {
                if self.count(&member.key, member.counted)? {
                    changing.push(member);
                }
            }
            self.position = end;
            if !changing.is_empty() {
                each(self.cursor_at(end), changing);
            }
            if end.offset - began >= PASS_BYTES {
                return Ok(Pass::Full);
            }
        }
        Ok(if self.position.offset < limit { Pass::End } else { Pass::Full })
    }

    /// What an entry of a key that is followed means for its rows.
    fn counted_of(&self, entry: &Entry<'_>) -> Option<Counted> {
        let counted = match &entry.content {
            Content::Put(_) | Content::LargePut => Counted::Row,
            Content::Tombstone => Counted::Tombstone,
            Content::Chunk(header) => Counted::Chunk {
                offset: entry.offset,
                first_row: header.first_row,
                rows: header.rows.into(),
            },
            Content::Commit(_) | Content::Checkpoint(_) | Content::Ignorable => return None,
        };
        self.glob.matches(entry.key).then_some(counted)
    }

    /// What an entry says about a key that is followed.
    fn member_of(&self, entry: &Entry<'_>) -> Result<Option<Member>> {
        let Some(counted) = self.counted_of(entry) else { return Ok(None) };
        let (offset, val_len) = (entry.offset, entry.header.val_len);
        let content = match &entry.content {
            Content::Put(stored)
                if self.delivers
                    && stored.plain_len() <= (INLINE_VALUE_MAX + value::BLOB_PREFIX) as u64 =>
            {
                let damaged = |what| self.log.corrupt(entry.offset, what);
                let plain = stored.plain(self.log.limits().value_size_max).map_err(damaged)?;
                let atom = value::decode(&plain).map_err(damaged)?;
                MemberContent::Point(entry.header.timestamp, atom.to_atom()?)
            }
            Content::Chunk(header) => MemberContent::Chunk(offset, Box::new(header.clone())),
            Content::Tombstone => MemberContent::Tombstone,
            _ => MemberContent::LargePut { offset, val_len },
        };
        Ok(Some(Member { key: entry.key.into(), counted, content }))
    }

    /// Counts the rows of a member of a whole commit; says whether it changes anything.
    fn count(&mut self, key: &str, counted: Counted) -> Result<bool> {
        if !self.rows.contains_key(key) {
            self.rows.insert(key.into(), 0);
        }
        let Some(next) = self.rows.get_mut(key) else { return Ok(false) };
        match counted {
            Counted::Tombstone => Ok(true),
            Counted::Row => {
                *next = next.saturating_add(1);
                Ok(true)
            }
            Counted::Chunk { offset, first_row, rows } => {
                if first_row == *next || *next == 0 {
                    *next = first_row.saturating_add(rows);
                    Ok(true)
                } else if first_row.saturating_add(rows) <= *next {
                    // It puts points together that came by as they were appended.
                    Ok(false)
                } else {
                    let what = "a chunk whose rows leave a gap or overlap";
                    let error = self.log.corrupt(offset, what);
                    self.failed = Some(error.clone());
                    Err(error)
                }
            }
        }
    }
}

/// The rows of all keys at the newest checkpoint, where it begins. `None` if it is not there or not
/// what it should be: then they are counted from the start, which leads to the same.
fn rows_of_checkpoint(log: &LogFile, slot: &Slot, glob: &Glob) -> Result<Option<(Position, Rows)>> {
    let offset = slot.checkpoint;
    let mut head = [0; HEADER_LEN + PIECE_HEADER_LEN];
    if offset < LOG_START
        || offset > slot.durable_len
        || log.read_up_to(&mut head, offset)? < head.len()
    {
        return Ok(None);
    }
    let first = head.get(HEADER_LEN..).and_then(PieceHeader::parse);
    let Some(first) = first.filter(|f| f.covers == offset && f.piece == 0 && f.pieces > 0) else {
        return Ok(None);
    };
    // The chain is taken up here; the checksums of the pieces vouch for them.
    let start = Position { offset, head_crc: first.previous_head_crc };
    let mut scanner = Scanner::new(log, start, 0)?;
    let mut rows = Rows::default();
    for piece in 0..first.pieces {
        let Scanned::Entry(entry) = scanner.next()? else { return Ok(None) };
        let Content::Checkpoint(bytes) = entry.content else { return Ok(None) };
        let Some(header) = PieceHeader::parse(bytes) else { return Ok(None) };
        if header != (PieceHeader { piece, keys: header.keys, ..first }) {
            return Ok(None);
        }
        let mut fields = Fields::new(bytes.get(PIECE_HEADER_LEN..).unwrap_or_default());
        for _ in 0..header.keys {
            let Some(record) = KeyRecord::parse(&mut fields) else { return Ok(None) };
            if glob.matches(record.key) {
                rows.insert(record.key.into(), record.rows);
            }
        }
    }
    Ok(Some((start, rows)))
}

/// The changes of a commit: points of one key that follow one another are one change.
fn changes_of(log: &Arc<LogFile>, members: Vec<Member>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::with_capacity(members.len());
    for Member { key, content, .. } in members {
        let body = match content {
            MemberContent::Tombstone => {
                changes.push(Change::Deleted { key: key.into() });
                continue;
            }
            MemberContent::Point(timestamp, atom) => {
                if let Some(Change::Appended(Appended { key: last, body: Body::Points(points) })) =
                    changes.last_mut()
                    && **last == *key
                {
                    points.push_atom(timestamp, atom);
                    continue;
                }
                let mut points = Points::new();
                points.push_atom(timestamp, atom);
                Body::Points(points)
            }
            MemberContent::LargePut { offset, val_len } => {
                Body::LargePut { log: Arc::clone(log), offset, val_len }
            }
            MemberContent::Chunk(offset, header) => Body::of_chunk(log, offset, &key, *header),
        };
        changes.push(Change::Appended(Appended { key: key.into(), body }));
    }
    changes
}
