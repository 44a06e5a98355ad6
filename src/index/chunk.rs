//! Reading a chunk's points back: its header once, its blocks verified once each.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::atom::{Atom, Point};
use crate::column::reader::{self, BlockError};
use crate::column::{Points, ZoneMap};
use crate::error::{Result, SynaError};
use crate::format::checksum::crc32c;
use crate::format::chunk::{
    BlockRecord, ChunkError, ChunkHeader, ChunkSummary, ColumnRecord, HEADER_LEN_MIN, HeaderLens,
    PREFIX_LEN, header_lens,
};
use crate::format::column::{ChunkType, ColumnRole, EncodingId};
use crate::format::entry::{EntryHeader, HEADER_LEN, Kind, body_crc, entry_len, flags};
use crate::format::value::{self, StoredAtom, StoredValue};
use crate::log::{LogBytes, LogFile};
use crate::storage::Mapping;

/// The bit of a block that was verified whole: checksums of all columns, and that they fit each
/// other. The lower bits stand for the checksum of one column each, by its role.
const WHOLE: u16 = 1 << 15;

/// A chunk whose header was read and verified.
pub(crate) struct LoadedChunk {
    /// Offset of its entry.
    offset: u64,
    /// Offset of its value.
    value_at: u64,
    header: ChunkHeader,
    /// What of each block was verified since the file was opened.
    verified: Box<[AtomicU16]>,
    /// The columns that are raw in every block, by the bits of their roles.
    raw: u16,
}

impl LoadedChunk {
    /// Reads and verifies the chunk entry of `key` at `offset`, whose end was once committed.
    pub(crate) fn load(
        log: &LogFile,
        key: &str,
        offset: u64,
        val_len: u32,
        first_row: u64,
        rows: u64,
    ) -> Result<LoadedChunk> {
        let (entry, lens, bytes) = verified_entry(log, key, offset, val_len)?;
        let damaged = |what| log.corrupt(offset, what);
        let value_start = entry.value_start();
        let bytes = match lens.covered < lens.all {
            true => log.committed(offset, value_start + lens.all)?,
            false => bytes,
        };
        let header =
            ChunkHeader::parse(bytes.get(value_start..).unwrap_or_default(), val_len.into())
                .map_err(|error| error.into_error(offset, offset))?;
        let value_at = offset + value_start as u64;
        if header.first_row != first_row || u64::from(header.rows) != rows {
            return Err(damaged(OTHER_ROWS));
        }
        if header.entry_flags() != entry.flags & flags::OF_COLUMNS {
            let what = "the flags of a chunk and the encodings of its columns disagree";
            return Err(damaged(what));
        }
        if !header.is_aligned_at(value_at) {
            return Err(damaged("a chunk whose columns are not aligned"));
        }
        Ok(LoadedChunk::new(offset, value_at, header))
    }

    /// What the chunk entry of `key` at `offset` says about all its rows, its checksum verified;
    /// `None` if that takes the records of its blocks.
    pub(crate) fn summary(
        log: &LogFile,
        key: &str,
        offset: u64,
        val_len: u32,
        first_row: u64,
        rows: u64,
    ) -> Result<Option<BlockRecord>> {
        let (entry, _, bytes) = verified_entry(log, key, offset, val_len)?;
        let value = bytes.get(entry.value_start()..).unwrap_or_default();
        let summary = ChunkSummary::parse(value, val_len.into())
            .map_err(|error| error.into_error(offset, offset))?;
        let Some(summary) = summary else { return Ok(None) };
        if summary.first_row != first_row || u64::from(summary.whole.rows) != rows {
            return Err(log.corrupt(offset, OTHER_ROWS));
        }
        Ok(Some(summary.whole))
    }

    /// Makes a chunk of a header that a scan has verified already.
    pub(crate) fn from_scan(offset: u64, key_len: usize, header: ChunkHeader) -> LoadedChunk {
        LoadedChunk::new(offset, offset + (HEADER_LEN + key_len) as u64, header)
    }

    fn new(offset: u64, value_at: u64, header: ChunkHeader) -> LoadedChunk {
        let verified = header.blocks.iter().map(|_| AtomicU16::new(0)).collect();
        let raw = header.columns.iter().fold(u16::MAX, |raw, column| {
            if column.encoding == EncodingId::Raw { raw } else { raw & !bit(column.role) }
        });
        LoadedChunk { offset, value_at, header, verified, raw }
    }

    /// Offset of the chunk's entry.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn header(&self) -> &ChunkHeader {
        &self.header
    }

    /// Appends the rows `[from, to)` of the chunk to `out`.
    pub(crate) fn decode(&self, log: &LogFile, from: u32, to: u32, out: &mut Points) -> Result<()> {
        for (number, block) in self.header.blocks.iter().enumerate() {
            let (first, end) = (block.first_row, block.first_row + block.rows);
            if end <= from || first >= to {
                continue;
            }
            if first >= from && end <= to {
                self.decode_block(log, number, out)?;
            } else {
                let mut points = Points::new();
                self.decode_block(log, number, &mut points)?;
                let rows = (from.max(first) - first) as usize..(to.min(end) - first) as usize;
                out.extend_from(&points, rows);
            }
        }
        Ok(())
    }

    /// Whether the block was verified whole.
    pub(crate) fn is_whole(&self, block: usize) -> bool {
        self.verified.get(block).is_some_and(|bits| bits.load(Ordering::Relaxed) & WHOLE != 0)
    }

    fn note(&self, block: usize, bits: u16) {
        if let Some(verified) = self.verified.get(block) {
            verified.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// Appends the points of a block.
    pub(crate) fn decode_block(&self, log: &LogFile, block: usize, out: &mut Points) -> Result<()> {
        let first_read = !self.is_whole(block);
        self.with_columns(log, |fetch| {
            reader::decode_block(&self.header, block, fetch, first_read, out)
        })?;
        self.note(block, WHOLE);
        Ok(())
    }

    /// Appends the timestamps of the block that holds the chunk's row `from`, and says which rows
    /// they are.
    pub(crate) fn block_timestamps(
        &self,
        log: &LogFile,
        block: usize,
        out: &mut Vec<i64>,
    ) -> Result<()> {
        let first_read = !self.is_verified(block, ColumnRole::Timestamps);
        self.with_columns(log, |fetch| {
            reader::decode_block_timestamps(&self.header, block, fetch, first_read, out)
        })?;
        self.note(block, bit(ColumnRole::Timestamps));
        Ok(())
    }

    /// One point of the chunk.
    pub(crate) fn point(&self, log: &LogFile, row: u32) -> Result<Point> {
        let Some((block, _)) = self.header.block_of_row(row) else {
            return Err(log.corrupt(self.offset, "a chunk without a row that the index expects"));
        };
        self.ensure_whole(log, block)?;
        self.with_columns(log, |fetch| reader::point_at(&self.header, row, fetch))
    }

    /// Verifies checksums and contents of a block.
    pub(crate) fn verify_block(&self, log: &LogFile, block: usize) -> Result<()> {
        self.with_columns(log, |fetch| reader::verify_block(&self.header, block, fetch))
    }

    /// As [`LoadedChunk::verify_block`], and the zone map against the points.
    pub(crate) fn verify_block_whole(&self, log: &LogFile, block: usize) -> Result<()> {
        self.with_columns(log, |fetch| {
            reader::verify_block_and_zone_map(&self.header, block, fetch)
        })
    }

    /// The stored bytes of a column, their checksum verified.
    pub(crate) fn column_bytes(&self, log: &LogFile, column: &ColumnRecord) -> Result<LogBytes> {
        let len = usize::try_from(column.stored_len)
            .map_err(|_| SynaError::OutOfMemory { bytes: column.stored_len })?;
        let bytes = log.committed(self.value_at + self.header.data_start + column.offset, len)?;
        if crc32c(&bytes) == column.crc {
            Ok(bytes)
        } else {
            Err(log.corrupt(self.offset, "a column fails its checksum"))
        }
    }

    /// Reads from columns where they lie in the map, or where there is none from copies.
    fn with_columns<T>(
        &self,
        log: &LogFile,
        read: impl for<'m> FnOnce(&Fetch<'m>) -> Result<T, BlockError>,
    ) -> Result<T> {
        let data_at = self.data_at();
        let mapping = self.mapping(log);
        let fetch = |column: &ColumnRecord| -> Result<Cow<'_, [u8]>> {
            let len = usize::try_from(column.stored_len)
                .map_err(|_| SynaError::OutOfMemory { bytes: column.stored_len })?;
            let offset = data_at + column.offset;
            match mapping.as_ref().and_then(|mapping| mapping.slice(offset, len)) {
                Some(bytes) => Ok(Cow::Borrowed(bytes)),
                None => Ok(Cow::Owned(log.committed(offset, len)?.into_vec())),
            }
        };
        read(&fetch).map_err(|error| error.into_error(self.offset, self.offset))
    }
}

/// Gives the stored bytes of a column.
type Fetch<'m> = dyn Fn(&ColumnRecord) -> Result<Cow<'m, [u8]>> + 'm;

/// The bit of a column in `verified`.
fn bit(role: ColumnRole) -> u16 {
    1 << role as u8
}

/// Columns, for who builds arrays of them.
impl LoadedChunk {
    /// Offset of the first column in the file.
    pub(crate) fn data_at(&self) -> u64 {
        self.value_at + self.header.data_start
    }

    /// The map of all columns, `None` where the system does not map.
    pub(crate) fn mapping(&self, log: &LogFile) -> Option<Arc<dyn Mapping>> {
        log.mapping_for(self.data_at() + self.header.data_len)
    }

    /// Whether the bytes of a column in these blocks are what they decode to.
    pub(crate) fn is_raw(&self, role: ColumnRole, blocks: Range<usize>) -> bool {
        self.raw & bit(role) != 0
            || blocks.into_iter().all(|block| {
                self.header.column(block, role).is_some_and(|c| c.encoding == EncodingId::Raw)
            })
    }

    /// Whether the checksum of a column was compared since the file was opened.
    pub(crate) fn is_verified(&self, block: usize, role: ColumnRole) -> bool {
        let done = WHOLE | bit(role);
        self.verified.get(block).is_some_and(|bits| bits.load(Ordering::Relaxed) & done != 0)
    }

    /// Compares the checksum of a column, unless that was done before.
    pub(crate) fn ensure_verified(
        &self,
        log: &LogFile,
        block: usize,
        role: ColumnRole,
    ) -> Result<()> {
        if self.is_verified(block, role) {
            return Ok(());
        }
        let missing = "a block lacks a column";
        let column = self.header.column(block, role).ok_or_else(|| self.corrupt(missing))?;
        let len = usize::try_from(column.stored_len)
            .map_err(|_| SynaError::OutOfMemory { bytes: column.stored_len })?;
        let bytes = log.committed(self.data_at() + column.offset, len)?;
        if bytes.len() != len || crc32c(&bytes) != column.crc {
            return Err(self.corrupt("a column fails its checksum"));
        }
        self.note(block, bit(role));
        Ok(())
    }

    /// Verifies a block whole, unless that was done before.
    pub(crate) fn ensure_whole(&self, log: &LogFile, block: usize) -> Result<()> {
        if !self.is_whole(block) {
            self.verify_block(log, block)?;
            self.note(block, WHOLE);
        }
        Ok(())
    }

    /// Decodes one column of a block into `out`, which has its `decoded_len` bytes, comparing the
    /// checksum unless that was done before.
    pub(crate) fn decode_column(
        &self,
        log: &LogFile,
        block: usize,
        role: ColumnRole,
        out: &mut [u8],
    ) -> Result<()> {
        let first_read = !self.is_verified(block, role);
        self.with_columns(log, |fetch| {
            reader::decode_column(&self.header, block, role, &fetch, first_read, out)
        })?;
        self.note(block, bit(role));
        Ok(())
    }

    /// The zone map of all rows.
    pub(crate) fn zone_map(&self) -> &ZoneMap {
        self.header.zone_map()
    }

    pub(crate) fn chunk_type(&self) -> ChunkType {
        self.header.chunk_type
    }

    /// Damage of this chunk.
    pub(crate) fn corrupt(&self, what: &'static str) -> SynaError {
        ChunkError::Corrupt(what).into_error(self.offset, self.offset)
    }
}

/// Reads the value of a put that is too large to be kept in memory.
pub(crate) fn read_large_put(
    log: &LogFile,
    key: &str,
    offset: u64,
    val_len: u32,
) -> Result<(i64, Atom)> {
    let len = usize::try_from(entry_len(key.len(), val_len.into()))
        .map_err(|_| SynaError::OutOfMemory { bytes: val_len.into() })?;
    let bytes: LogBytes = log.committed(offset, len)?;
    let entry = entry_of(log, &bytes, key, offset, val_len, Kind::Put)?;
    let crc = bytes.get(8..).map(|b| body_crc(&log.header().salt, offset, b));
    if crc != Some(entry.body_crc) {
        return Err(log.corrupt(offset, "an entry whose body fails its checksum"));
    }
    let value_start = entry.value_start();
    let value = bytes.get(value_start..value_start + val_len as usize).unwrap_or_default();
    let damaged = |what| log.corrupt(offset, what);
    let plain = StoredValue::new(value, entry.flags).plain(log.limits().value_size_max);
    let plain = plain.map_err(damaged)?;
    let atom = value::decode(&plain).map_err(damaged)?;
    Ok((entry.timestamp, StoredAtom::to_atom(atom)?))
}

/// About how many bytes such a value has when it is read, as far as its entry says it: nothing is
/// verified, and compressed ones have many more than they take in the file.
pub(crate) fn large_put_plain_len(
    log: &LogFile,
    key: &str,
    offset: u64,
    val_len: u32,
) -> Result<u64> {
    let bytes = log.committed(offset, HEADER_LEN + key.len() + 4)?;
    let entry = entry_of(log, &bytes, key, offset, val_len, Kind::Put)?;
    let value = bytes.get(entry.value_start()..).unwrap_or_default();
    Ok(StoredValue::new(value, entry.flags).plain_len().max(val_len.into()))
}

const OTHER_ROWS: &str = "a chunk of other rows than the index says";

/// A chunk entry that the index knows of, how long its chunk header is, and its bytes as far as its
/// checksum covers them, which was compared.
fn verified_entry(
    log: &LogFile,
    key: &str,
    offset: u64,
    val_len: u32,
) -> Result<(EntryHeader, HeaderLens, LogBytes)> {
    let damaged = |what| log.corrupt(offset, what);
    if u64::from(val_len) < HEADER_LEN_MIN as u64 {
        // What would be read may lie behind the end of the file.
        return Err(damaged("a chunk that is too short for its header"));
    }
    let head = log.committed(offset, HEADER_LEN + key.len() + PREFIX_LEN)?;
    let entry = entry_of(log, &head, key, offset, val_len, Kind::Chunk)?;
    let value_start = entry.value_start();
    let prefix = head.get(value_start..).and_then(|prefix| prefix.first_chunk());
    let lens = prefix
        .and_then(|prefix| header_lens(*prefix, val_len.into()).ok())
        .ok_or_else(|| damaged("a chunk whose header length is impossible"))?;
    let bytes = log.committed(offset, value_start + lens.covered)?;
    let crc = bytes.get(8..).map(|b| body_crc(&log.header().salt, offset, b));
    if crc != Some(entry.body_crc) {
        return Err(damaged("a chunk whose header fails its checksum"));
    }
    Ok((entry, lens, bytes))
}

/// The header of an entry that the index knows of, compared with what it knows.
fn entry_of(
    log: &LogFile,
    bytes: &[u8],
    key: &str,
    offset: u64,
    val_len: u32,
    kind: Kind,
) -> Result<EntryHeader> {
    let entry = EntryHeader::parse(bytes)
        .filter(|entry| entry.kind == kind as u8 && entry.val_len == val_len)
        .filter(|entry| bytes.get(HEADER_LEN..entry.value_start()) == Some(key.as_bytes()));
    entry.ok_or_else(|| log.corrupt(offset, "an entry that is not the one the index points to"))
}
