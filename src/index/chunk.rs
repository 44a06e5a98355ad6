//! Reading a chunk's points back: its header once, its blocks verified once each.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::atom::{Atom, Point};
use crate::column::Points;
use crate::column::reader::{self, BlockError};
use crate::error::{Result, SynaError};
use crate::format::checksum::crc32c;
use crate::format::chunk::{ChunkHeader, ColumnRecord, header_len};
use crate::format::entry::{EntryHeader, HEADER_LEN, Kind, body_crc, entry_len, flags};
use crate::format::value::{self, StoredAtom, StoredValue};
use crate::log::{LogBytes, LogFile};

/// A chunk whose header was read and verified.
pub(crate) struct LoadedChunk {
    /// Offset of its entry.
    offset: u64,
    /// Offset of its value.
    value_at: u64,
    header: ChunkHeader,
    /// Which blocks were verified since the file was opened.
    verified: Box<[AtomicBool]>,
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
        let head = log.committed(offset, HEADER_LEN + key.len() + 4)?;
        let entry = entry_of(log, &head, key, offset, val_len, Kind::Chunk)?;
        let value_start = entry.value_start();
        let prefix = head.get(value_start..).and_then(|prefix| prefix.try_into().ok());
        let damaged = |what| log.corrupt(offset, what);
        let len = prefix
            .and_then(|prefix| header_len(prefix, val_len.into()).ok())
            .ok_or_else(|| damaged("a chunk whose header length is impossible"))?;
        let bytes = log.committed(offset, value_start + len)?;
        let crc = bytes.get(8..).map(|b| body_crc(&log.header().salt, offset, b));
        if crc != Some(entry.body_crc) {
            return Err(damaged("a chunk whose header fails its checksum"));
        }
        let header =
            ChunkHeader::parse(bytes.get(value_start..).unwrap_or_default(), val_len.into())
                .map_err(|error| error.into_error(offset, offset))?;
        let value_at = offset + value_start as u64;
        if header.first_row != first_row || u64::from(header.rows) != rows {
            return Err(damaged("a chunk of other rows than the index says"));
        }
        if header.entry_flags() != entry.flags & flags::OF_COLUMNS {
            let what = "the flags of a chunk and the encodings of its columns disagree";
            return Err(damaged(what));
        }
        if !header.is_aligned_at(value_at) {
            return Err(damaged("a chunk whose columns are not aligned"));
        }
        let verified = header.blocks.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(LoadedChunk { offset, value_at, header, verified })
    }

    /// Makes a chunk of a header that a scan has verified already.
    pub(crate) fn from_scan(offset: u64, key_len: usize, header: ChunkHeader) -> LoadedChunk {
        let verified = header.blocks.iter().map(|_| AtomicBool::new(false)).collect();
        LoadedChunk { offset, value_at: offset + (HEADER_LEN + key_len) as u64, header, verified }
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

    fn decode_block(&self, log: &LogFile, block: usize, out: &mut Points) -> Result<()> {
        let verified = self.verified.get(block);
        let first_read = !verified.is_some_and(|v| v.load(Ordering::Relaxed));
        self.with_columns(log, |fetch| {
            reader::decode_block(&self.header, block, fetch, first_read, out)
        })?;
        if let Some(verified) = verified {
            verified.store(true, Ordering::Relaxed);
        }
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
        let first_read = !self.verified.get(block).is_some_and(|v| v.load(Ordering::Relaxed));
        self.with_columns(log, |fetch| {
            reader::decode_block_timestamps(&self.header, block, fetch, first_read, out)
        })
    }

    /// One point of the chunk.
    pub(crate) fn point(&self, log: &LogFile, row: u32) -> Result<Point> {
        let Some((block, _)) = self.header.block_of_row(row) else {
            return Err(log.corrupt(self.offset, "a chunk without a row that the index expects"));
        };
        let verified = self.verified.get(block);
        if !verified.is_some_and(|v| v.load(Ordering::Relaxed)) {
            self.verify_block(log, block)?;
            if let Some(verified) = verified {
                verified.store(true, Ordering::Relaxed);
            }
        }
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

    /// Fetches all columns of the chunk as one stretch of the log and reads from it.
    fn with_columns<T>(
        &self,
        log: &LogFile,
        read: impl FnOnce(
            &dyn Fn(&ColumnRecord) -> Result<Cow<'static, [u8]>, SynaError>,
        ) -> Result<T, BlockError>,
    ) -> Result<T> {
        let data_at = self.value_at + self.header.data_start;
        let fetch = |column: &ColumnRecord| {
            let len = usize::try_from(column.stored_len)
                .map_err(|_| SynaError::OutOfMemory { bytes: column.stored_len })?;
            Ok(Cow::Owned(log.committed(data_at + column.offset, len)?.to_vec()))
        };
        read(&fetch).map_err(|error| error.into_error(self.offset, self.offset))
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
