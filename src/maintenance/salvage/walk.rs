//! Finding the commits of a damaged file that are intact.
//!
//! Entries are found by their self-contained checksum wherever they stand; the chain is not
//! needed. A batch counts only if all of its members and its commit entry are there and agree.

use crate::error::Result;
use crate::format::LOG_START;
use crate::format::checksum::extend;
use crate::format::chunk::ChunkHeader;
use crate::format::entry::{CommitValue, EntryHeader, HEADER_LEN, Kind, Meaning, flags};
use crate::format::value::{self, StoredValue};
use crate::index::LoadedChunk;
use crate::log::LogFile;
use crate::log::recovery::{Found, Search};

use super::MissingRange;

/// The bytes of a damaged log, from [`LOG_START`] on.
#[derive(Clone, Copy)]
pub(super) struct Damaged<'a> {
    pub(super) log: &'a LogFile,
    pub(super) bytes: &'a [u8],
}

/// An intact entry.
#[derive(Clone, Copy)]
pub(super) struct Intact<'a> {
    pub(super) offset: u64,
    pub(super) header: EntryHeader,
    /// `None` for a kind of a later version that may be passed over.
    pub(super) kind: Option<Kind>,
    pub(super) key: &'a str,
    pub(super) value: &'a [u8],
}

impl<'a> Intact<'a> {
    /// The value of a put.
    pub(super) fn stored_value(&self) -> StoredValue<'a> {
        StoredValue::new(self.value, self.header.flags)
    }
}

/// What a walk over a damaged file meets, in the order of the file.
pub(super) trait Visit<'a> {
    /// Something is not intact here: any entry may have been.
    fn gap(&mut self);

    /// The entries of an intact commit, one after the other, then `commit_end`.
    fn entry(&mut self, entry: &Intact<'a>) -> Result<()>;

    fn commit_end(&mut self) -> Result<()>;

    /// How far the walk is.
    fn progress(&mut self, offset: u64);
}

/// What a walk found besides the commits.
#[derive(Default)]
pub(super) struct Findings {
    /// Intact entries, in commits or not.
    pub(super) entries: u64,
    /// By offset.
    pub(super) missing: Vec<MissingRange>,
}

/// Members of a batch whose commit entry has not come yet: where each stands.
#[derive(Default)]
struct OpenBatch {
    members: Vec<u64>,
    crc: u32,
}

/// Steps in which progress is told.
const STEP: u64 = 16 << 20;

impl<'a> Damaged<'a> {
    /// Where data end: behind it there are only zeros.
    pub(super) fn data_end(&self) -> u64 {
        let last = self.bytes.iter().rposition(|&byte| byte != 0);
        LOG_START + last.map_or(0, |last| last as u64 + 1).next_multiple_of(8)
    }

    /// Walks over all intact commits.
    pub(super) fn walk(&self, visit: &mut impl Visit<'a>) -> Result<Findings> {
        let mut result = Findings::default();
        let mut search = Search::new(self.log, self.bytes, LOG_START);
        let mut covered_to = LOG_START;
        let mut batch = OpenBatch::default();
        let mut told = 0;
        while let Some(found) = search.next() {
            if found.offset >= told + STEP {
                told = found.offset;
                visit.progress(told);
            }
            let end = found.offset + found.header.entry_len();
            let Some(entry) = self.intact(found) else {
                // The columns of a damaged chunk may have made room for other entries; what has a
                // checksum over all of its bytes and makes no sense is only passed over.
                if found.header.kind == Kind::Chunk as u8 {
                    search.seek(found.offset + 8);
                }
                continue;
            };
            result.entries += 1;
            if found.offset > covered_to {
                // Something between is gone: a batch that was open may miss members.
                self.drop_batch(&mut batch, &mut result);
                result.miss(covered_to, found.offset, "no intact entry");
                visit.gap();
            }
            covered_to = end;
            if entry.kind == Some(Kind::Commit) {
                if batch.is_closed_by(entry.value) {
                    for offset in std::mem::take(&mut batch).members {
                        if let Some(member) = self.entry_at(offset) {
                            visit.entry(&member)?;
                        }
                    }
                    visit.commit_end()?;
                } else {
                    self.drop_batch(&mut batch, &mut result);
                    result.miss(found.offset, end, "a commit entry whose batch is not whole");
                    visit.gap();
                }
            } else if found.header.has(flags::IN_BATCH) {
                batch.members.push(found.offset);
                batch.crc = extend(batch.crc, &found.header.body_crc.to_le_bytes());
            } else {
                if !batch.members.is_empty() {
                    self.drop_batch(&mut batch, &mut result);
                    visit.gap();
                }
                visit.entry(&entry)?;
                visit.commit_end()?;
            }
        }
        self.drop_batch(&mut batch, &mut result);
        result.miss(covered_to, self.data_end(), "no intact entry");
        result.merge();
        Ok(result)
    }

    /// Members without their commit entry never took effect, or cannot be told from such.
    fn drop_batch(&self, batch: &mut OpenBatch, result: &mut Findings) {
        for offset in std::mem::take(batch).members {
            let len = self.header_at(offset).map_or(0, |header| header.entry_len());
            result.miss(offset, offset + len, "part of a batch that is not whole");
        }
    }

    fn header_at(&self, offset: u64) -> Option<EntryHeader> {
        let at = usize::try_from(offset.checked_sub(LOG_START)?).ok()?;
        EntryHeader::parse(self.bytes.get(at..)?)
    }

    /// The entry at an offset where one with a good checksum was found.
    pub(super) fn entry_at(&self, offset: u64) -> Option<Intact<'a>> {
        let header = self.header_at(offset)?;
        let at = usize::try_from(offset.checked_sub(LOG_START)?).ok()?;
        let value_start = at.checked_add(header.value_start())?;
        let value_end = value_start.checked_add(header.val_len as usize)?;
        let key = std::str::from_utf8(self.bytes.get(at + HEADER_LEN..value_start)?).ok()?;
        let value = self.bytes.get(value_start..value_end)?;
        let kind = match header.meaning().ok()? {
            Meaning::Known(kind) => Some(kind),
            Meaning::Ignorable => None,
        };
        Some(Intact { offset, header, kind, key, value })
    }

    /// The entry, if what it holds is intact as well as its frame.
    fn intact(&self, found: Found) -> Option<Intact<'a>> {
        let entry = self.entry_at(found.offset)?;
        let whole = match entry.kind {
            Some(Kind::Put) => {
                let value = entry.stored_value().plain(self.log.limits().value_size_max);
                value.is_ok_and(|value| value::decode(&value).is_ok())
            }
            Some(Kind::Commit) => CommitValue::parse(entry.value).is_some(),
            Some(Kind::Chunk) => self.chunk_of(&entry).is_some_and(|chunk| {
                (0..chunk.header().blocks.len())
                    .all(|block| chunk.verify_block(self.log, block).is_ok())
            }),
            Some(Kind::Tombstone | Kind::Checkpoint) | None => true,
        };
        whole.then_some(entry)
    }

    /// The chunk of a chunk entry, its header checked.
    pub(super) fn chunk_of(&self, entry: &Intact<'_>) -> Option<LoadedChunk> {
        let value = entry.value;
        let header = ChunkHeader::parse(value, value.len() as u64).ok()?;
        let value_at = entry.offset + entry.header.value_start() as u64;
        let aligned = header.is_aligned_at(value_at);
        let flags = header.entry_flags() == entry.header.flags & flags::OF_COLUMNS;
        (aligned && flags).then(|| LoadedChunk::from_scan(entry.offset, entry.key.len(), header))
    }
}

impl OpenBatch {
    /// Whether these are the members a commit entry speaks of.
    fn is_closed_by(&self, commit: &[u8]) -> bool {
        CommitValue::parse(commit).is_some_and(|commit| {
            self.members.first() == Some(&commit.first)
                && self.members.len() == commit.count as usize
                && self.crc == commit.members_crc
        })
    }
}

impl Findings {
    fn miss(&mut self, from: u64, to: u64, what: &'static str) {
        if to <= from {
            return;
        }
        match self.missing.last_mut() {
            Some(last) if last.what == what && last.offset + last.len == from => {
                last.len += to - from;
            }
            _ => self.missing.push(MissingRange { offset: from, len: to - from, what }),
        }
    }

    /// By offset: members of a batch come to light as missing only behind the gap after them.
    fn merge(&mut self) {
        let mut missing = std::mem::take(&mut self.missing);
        missing.sort_by_key(|range| range.offset);
        for range in missing {
            self.miss(range.offset, range.offset + range.len, range.what);
        }
    }
}
