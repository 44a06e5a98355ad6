//! Reading entries one after the other, each checked against the chain before it is believed.
//!
//! Goes through `pread` only: the part of the file being read may not be committed yet, and a
//! writer may cut it meanwhile; a mapped page that is cut away is a SIGBUS.

use crate::error::{Result, SynaError};
use crate::format::checksum::{crc32c, extend};
use crate::format::chunk::{self, ChunkError, ChunkHeader};
use crate::format::entry::{
    CommitValue, EntryError, EntryHeader, HEADER_LEN, Kind, Meaning, Position, body_crc, flags,
    head_crc,
};
use crate::format::value::{BLOB_PREFIX, StoredValue};

use super::file::LogFile;

/// A value above this stands alone in its key's history and stays in the log.
pub(crate) const INLINE_VALUE_MAX: usize = 64 << 10;

/// Read-ahead starts small, because a refresh usually finds little, and doubles up to this.
const READ_AHEAD_MAX: usize = 1 << 20;
const READ_AHEAD_MIN: usize = 16 << 10;

/// What an entry holds, as far as a reader that rebuilds the index needs it.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// The encoded atom.
    Put(StoredValue<'a>),
    /// An encoded atom too large to be kept in memory.
    LargePut,
    Tombstone,
    Chunk(ChunkHeader),
    Commit(CommitValue),
    /// A piece of a checkpoint.
    Checkpoint(&'a [u8]),
    /// An entry of a later version that may be passed over.
    Ignorable,
}

#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) offset: u64,
    /// Where the next entry begins, and this one's `head_crc`.
    pub(crate) end: Position,
    pub(crate) header: EntryHeader,
    pub(crate) key: &'a str,
    pub(crate) content: Content<'a>,
}

/// What stands at the scanner's position.
#[derive(Debug)]
pub(crate) enum Scanned<'a> {
    Entry(Entry<'a>),
    /// The file ends here, or an empty header: zeros, as far as the header goes.
    End,
    /// Not a good entry, and why. It may be torn, or not written yet.
    Bad(&'static str),
}

/// A walk over the entries of a log.
pub(crate) struct Scanner<'f> {
    log: &'f LogFile,
    position: Position,
    /// Entries below are durable, so their large values may wait for the first read.
    trusted_len: u64,
    file_len: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    read_ahead: usize,
    large_puts: LargePuts,
}

/// What the scanner does with the values of puts above [`INLINE_VALUE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LargePuts {
    /// Check them beyond the trusted part, hand out none.
    Skip,
    /// Hand all of them out.
    Read,
}

impl<'f> Scanner<'f> {
    pub(crate) fn new(log: &'f LogFile, position: Position, trusted_len: u64) -> Result<Self> {
        Ok(Scanner {
            log,
            position,
            trusted_len,
            file_len: log.len()?,
            buffer: Vec::new(),
            buffer_at: 0,
            read_ahead: READ_AHEAD_MIN,
            large_puts: LargePuts::Skip,
        })
    }

    pub(crate) fn with_large_puts(mut self, large_puts: LargePuts) -> Self {
        self.large_puts = large_puts;
        self
    }

    /// What lies at or behind `end` is not looked at: an entry that reaches beyond it is bad.
    pub(crate) fn ending_at(mut self, end: u64) -> Self {
        self.file_len = self.file_len.min(end);
        self
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The entry at the current position, which moves behind it.
    pub(crate) fn next(&mut self) -> Result<Scanned<'_>> {
        let Position { offset, head_crc: previous } = self.position;
        let head = self.fill(offset, HEADER_LEN)?;
        let Some(header) = EntryHeader::parse(head) else {
            let empty = head.iter().all(|&byte| byte == 0);
            return Ok(if empty {
                Scanned::End
            } else {
                Scanned::Bad("an incomplete entry header")
            });
        };
        if header.kind == 0 {
            let empty = head.iter().all(|&byte| byte == 0);
            return Ok(if empty { Scanned::End } else { Scanned::Bad("an entry of kind 0") });
        }
        let limits = self.log.limits();
        let val_len = u64::from(header.val_len);
        let limit = if header.kind == Kind::Chunk as u8 {
            limits.chunk_size_max
        } else {
            limits.value_size_max
        };
        if val_len > limit {
            return Ok(Scanned::Bad("an entry longer than the file's limit"));
        }
        let end = offset + header.entry_len();
        if end > self.file_len {
            return Ok(Scanned::Bad("an entry that reaches beyond the end of the file"));
        }
        let value_start = header.value_start();
        let head = self.fill(offset, value_start)?;
        let (Some(chained), Some(key)) = (head.get(4..HEADER_LEN), head.get(HEADER_LEN..)) else {
            return Ok(Scanned::Bad("an incomplete entry"));
        };
        if head_crc(previous, chained, key) != header.head_crc {
            return Ok(Scanned::Bad("an entry that is not chained to the one before"));
        }
        // The chain vouches for header and key; the body still has to speak for itself before a
        // contradiction in it is taken for damage rather than for a torn write.
        let trusted = end <= self.trusted_len;
        let mut is_damaged_checkpoint = false;
        let chunk = if header.kind == Kind::Chunk as u8 {
            match self.check_chunk(offset, &header, trusted)? {
                Ok(chunk) => Some(chunk),
                Err(what) => return Ok(Scanned::Bad(what)),
            }
        } else {
            let large = header.kind == Kind::Put as u8
                && header.val_len as usize > INLINE_VALUE_MAX + BLOB_PREFIX
                && self.large_puts == LargePuts::Skip;
            let good = if !large {
                let len = usize::try_from(header.entry_len()).unwrap_or(usize::MAX);
                let salt = self.log.header().salt;
                let entry = self.fill(offset, len)?;
                entry.len() == len
                    && entry.get(8..).map(|b| body_crc(&salt, offset, b)) == Some(header.body_crc)
            } else {
                trusted || self.check_large(offset, &header)?
            };
            if !good {
                // The chain goes on behind a durable checkpoint, and what it says is in the log:
                // damage to it is no reason to refuse the rest. `verify`, which trusts nothing,
                // still tells of it.
                is_damaged_checkpoint = trusted && header.kind == Kind::Checkpoint as u8;
                if !is_damaged_checkpoint {
                    return Ok(Scanned::Bad("an entry whose body fails its checksum"));
                }
            }
            None
        };
        let meaning = header.meaning().map_err(|error| self.meaning_error(offset, error))?;
        let whole = if matches!(meaning, Meaning::Known(Kind::Chunk))
            || (meaning == Meaning::Known(Kind::Put)
                && header.val_len as usize > INLINE_VALUE_MAX + BLOB_PREFIX
                && self.large_puts == LargePuts::Skip)
        {
            value_start
        } else {
            value_start + header.val_len as usize
        };
        let position = Position { offset: end, head_crc: header.head_crc };
        let log = self.log;
        // Read once more where the value was longer than the buffer: a writer that ran out of space
        // may have cut this part of a batch away meanwhile, and written something else there.
        if whole == value_start && EntryHeader::parse(self.fill(offset, whole)?) != Some(header) {
            return Ok(Scanned::Bad("an entry that vanished while it was read"));
        }
        self.position = position;
        let bytes = self.fill(offset, whole)?;
        let contradiction =
            |what| SynaError::Corrupt { offset, last_good: offset, next_good: None, what };
        let (Some(key), Some(value)) =
            (bytes.get(HEADER_LEN..value_start), bytes.get(value_start..))
        else {
            return Err(log.corrupt(offset, "an entry that vanished while it was read"));
        };
        let key = std::str::from_utf8(key).map_err(|_| contradiction("a key that is not UTF-8"))?;
        let content = match meaning {
            Meaning::Ignorable => Content::Ignorable,
            Meaning::Known(Kind::Checkpoint) if is_damaged_checkpoint => Content::Ignorable,
            Meaning::Known(Kind::Put) if whole == value_start => Content::LargePut,
            Meaning::Known(Kind::Put) => Content::Put(StoredValue::new(value, header.flags)),
            Meaning::Known(Kind::Tombstone) => Content::Tombstone,
            Meaning::Known(Kind::Chunk) => {
                Content::Chunk(chunk.ok_or_else(|| contradiction("a chunk without a header"))?)
            }
            Meaning::Known(Kind::Commit) => Content::Commit(
                CommitValue::parse(value)
                    .ok_or_else(|| contradiction("a commit entry of a wrong length"))?,
            ),
            Meaning::Known(Kind::Checkpoint) => Content::Checkpoint(value),
        };
        Ok(Scanned::Entry(Entry { offset, end: position, header, key, content }))
    }

    fn meaning_error(&self, offset: u64, error: EntryError) -> SynaError {
        match error {
            EntryError::Contradiction(what) => self.log.corrupt(offset, what),
            EntryError::Unsupported { what, value } => {
                SynaError::UnsupportedFeature { what, value, offset }
            }
        }
    }

    /// Checks a chunk entry up to the end of its chunk header, and its columns unless trusted.
    fn check_chunk(
        &mut self,
        offset: u64,
        header: &EntryHeader,
        trusted: bool,
    ) -> Result<Result<ChunkHeader, &'static str>> {
        let val_len = u64::from(header.val_len);
        let value_start = header.value_start();
        let prefix = self.fill(offset, value_start + chunk::PREFIX_LEN)?;
        let prefix = prefix.get(value_start..).and_then(|prefix| prefix.first_chunk());
        let lens = prefix.and_then(|prefix| chunk::header_lens(*prefix, val_len).ok());
        let Some(lens) = lens else {
            return Ok(Err("a chunk whose header length is impossible"));
        };
        let salt = self.log.header().salt;
        let bytes = self.fill(offset, value_start + lens.all)?;
        let covered = bytes.get(8..value_start + lens.covered);
        if covered.map(|bytes| body_crc(&salt, offset, bytes)) != Some(header.body_crc) {
            return Ok(Err("a chunk whose header fails its checksum"));
        }
        let chunk_bytes = bytes.get(value_start..).unwrap_or_default();
        let chunk = match ChunkHeader::parse(chunk_bytes, val_len) {
            Ok(chunk) => chunk,
            Err(ChunkError::Checksum) => {
                return Ok(Err("a chunk whose block records fail their checksum"));
            }
            Err(error) => return Err(error.into_error(offset, offset)),
        };
        if chunk.entry_flags() != header.flags & flags::OF_COLUMNS {
            let what = "the flags of a chunk and the encodings of its columns disagree";
            return Err(self.log.corrupt(offset, what));
        }
        if !chunk.is_aligned_at(offset + value_start as u64) {
            return Err(self.log.corrupt(offset, "a chunk whose columns are not aligned"));
        }
        if !trusted && !self.columns_are_intact(offset + value_start as u64, &chunk)? {
            return Ok(Err("a chunk whose columns fail their checksums"));
        }
        Ok(Ok(chunk))
    }

    /// Streams over every column of a chunk whose value begins at `value_at`.
    pub(crate) fn columns_are_intact(
        &mut self,
        value_at: u64,
        chunk: &ChunkHeader,
    ) -> Result<bool> {
        for column in &chunk.columns {
            let at = value_at + chunk.data_start + column.offset;
            if self.crc_of(at, column.stored_len)? != Some(column.crc) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check_large(&mut self, offset: u64, header: &EntryHeader) -> Result<bool> {
        let seed = self.log.header().salt.at(offset);
        let crc = self.extend_over(seed, offset + 8, header.entry_len() - 8)?;
        Ok(crc == Some(header.body_crc))
    }

    fn crc_of(&mut self, at: u64, len: u64) -> Result<Option<u32>> {
        self.extend_over(crc32c(&[]), at, len)
    }

    /// `crc` over `len` more bytes of the file; `None` if it ends before.
    fn extend_over(&mut self, mut crc: u32, mut at: u64, mut len: u64) -> Result<Option<u32>> {
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(usize::MAX).min(READ_AHEAD_MAX / 2);
            let bytes = self.fill(at, step)?;
            if bytes.len() < step {
                return Ok(None);
            }
            crc = extend(crc, bytes);
            at += step as u64;
            len -= step as u64;
        }
        Ok(Some(crc))
    }

    /// The bytes `[offset, offset + len)`, fewer where the file ends.
    fn fill(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let end = offset + len as u64;
        let buffered = self.buffer_at <= offset && end <= self.buffer_at + self.buffer.len() as u64;
        if !buffered {
            // Aligned, and never more than the file has: a hostile length allocates nothing.
            let start = offset & !4095;
            let want = (end - start).max(self.read_ahead as u64);
            self.read_ahead = (self.read_ahead * 2).min(READ_AHEAD_MAX);
            let want = want.min(self.file_len.saturating_sub(start));
            let want = usize::try_from(want).unwrap_or(usize::MAX);
            if want > self.buffer.capacity() {
                self.buffer = Vec::new();
                self.buffer
                    .try_reserve_exact(want)
                    .map_err(|_| SynaError::OutOfMemory { bytes: want as u64 })?;
            }
            self.buffer.resize(want, 0);
            self.buffer_at = start;
            let got = self.log.read_up_to(&mut self.buffer, start)?;
            self.buffer.truncate(got);
        }
        let from = usize::try_from(offset.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        let to = from.saturating_add(len).min(self.buffer.len());
        Ok(self.buffer.get(from.min(to)..to).unwrap_or_default())
    }

    /// Whether only zeros follow the current position.
    pub(crate) fn only_zeros_follow(&mut self) -> Result<bool> {
        let mut at = self.position.offset;
        loop {
            match self.log.storage_file().next_data(at) {
                Ok(Some(data)) => at = at.max(data),
                Ok(None) => return Ok(true),
                // Where the system cannot tell, the zeros are read.
                Err(_) => {}
            }
            // One buffer at a time; a hole after it is skipped again.
            let want =
                READ_AHEAD_MAX.min(usize::try_from(self.file_len.saturating_sub(at)).unwrap_or(0));
            if want == 0 {
                return Ok(true);
            }
            let bytes = self.fill(at, want)?;
            if bytes.is_empty() {
                return Ok(true);
            }
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
    }
}
