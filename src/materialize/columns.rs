//! Columns of one chunk as arrays: mapped, cached, or decoded once.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, PrimitiveArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use crate::atom::AtomKind;
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::column::{ChunkType, ColumnRole};
use crate::index::{KeyId, LoadedChunk, Part, Place, large_put_plain_len, read_large_put};
use crate::log::LogFile;
use crate::storage::Mapping;

use super::cache::{Column, RunKey};
use super::contiguous::Piece;
use super::mapped::{self, blob_array, blobs_hold};
use super::recent::Recent;
use super::schema::{UTC, ValueType};
use super::{Materializer, each};

/// Reads columns of one key in one generation of the file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyReader {
    pub(crate) shared: Arc<Materializer>,
    pub(crate) log: Arc<LogFile>,
    pub(crate) generation: u64,
    pub(crate) id: KeyId,
    pub(crate) key: Arc<str>,
    /// For tests: raw columns are decoded like encoded ones instead of mapped.
    pub(crate) decode_raw: bool,
    /// Blocks of which more may be wanted, see [`KeyReader::for_pieces`].
    pub(crate) recent: Option<Arc<Recent>>,
}

/// How a column of some rows of a chunk is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Mapped,
    Cached,
    Decoded,
    /// Raw, but the system does not map the file.
    Copied,
}

/// The role whose bytes are a column of this chunk as they are, but for the nulls.
pub(crate) fn direct_role(chunk_type: ChunkType, column: Column) -> Option<ColumnRole> {
    match (column, chunk_type) {
        (Column::Timestamps, _) => Some(ColumnRole::Timestamps),
        (Column::Values(ValueType::Float), ChunkType::One(AtomKind::Float)) => {
            Some(ColumnRole::Floats)
        }
        (Column::Values(ValueType::Int), ChunkType::One(AtomKind::Int)) => Some(ColumnRole::Ints),
        (Column::Values(ValueType::Text | ValueType::Bytes), ChunkType::One(AtomKind::Text)) => {
            Some(ColumnRole::TextData)
        }
        (Column::Values(ValueType::Bytes), ChunkType::One(AtomKind::Bytes)) => {
            Some(ColumnRole::BytesData)
        }
        _ => None,
    }
}

/// The offsets that belong to data of texts or bytes.
fn offsets_role(role: ColumnRole) -> Option<ColumnRole> {
    match role {
        ColumnRole::TextData => Some(ColumnRole::TextOffsets),
        ColumnRole::BytesData => Some(ColumnRole::BytesOffsets),
        _ => None,
    }
}

fn usize_of(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| SynaError::OutOfMemory { bytes: number })
}

/// A number column as an array.
fn number_array<T: ArrowPrimitiveType>(
    buffer: Buffer,
    offset: usize,
    len: usize,
    nulls: Option<NullBuffer>,
) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::new(buffer, offset, len), nulls)
}

pub(crate) fn timestamp_array(buffer: Buffer, offset: usize, len: usize) -> ArrayRef {
    let array: TimestampMicrosecondArray =
        number_array::<TimestampMicrosecondType>(buffer, offset, len, None);
    Arc::new(array.with_timezone(Arc::clone(&UTC)))
}

/// The array of a column of numbers or timestamps.
pub(crate) fn array_of_numbers(
    column: Column,
    buffer: Buffer,
    offset: usize,
    len: usize,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    match column {
        Column::Timestamps => timestamp_array(buffer, offset, len),
        Column::Values(ValueType::Int) => {
            Arc::new(number_array::<Int64Type>(buffer, offset, len, nulls))
        }
        Column::Values(_) => Arc::new(number_array::<Float64Type>(buffer, offset, len, nulls)),
    }
}

/// The blocks of a chunk that hold some of its rows, and the rows that these blocks have.
pub(crate) fn blocks_of(chunk: &LoadedChunk, rows: &Range<u64>) -> (Range<usize>, Range<u64>) {
    let blocks = &chunk.header().blocks;
    let first =
        blocks.partition_point(|b| u64::from(b.first_row) + u64::from(b.rows) <= rows.start);
    let end = blocks.partition_point(|b| u64::from(b.first_row) < rows.end);
    let start_row = blocks.get(first).map_or(0, |b| u64::from(b.first_row));
    let last = end.checked_sub(1).and_then(|last| blocks.get(last));
    let end_row = last.map_or(start_row, |b| u64::from(b.first_row) + u64::from(b.rows));
    (first..end.max(first), start_row..end_row)
}

impl KeyReader {
    /// The reader for these pieces: where they are several, a block of which they want stretches
    /// is decoded once and not for each of them.
    pub(crate) fn for_pieces(&self, pieces: &[Piece<'_>]) -> Cow<'_, KeyReader> {
        if pieces.len() < 2 || self.recent.is_some() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(KeyReader { recent: Some(Arc::default()), ..self.clone() })
    }

    pub(crate) fn run_key(&self, column: Column) -> RunKey {
        RunKey { generation: self.generation, key: self.id, column }
    }

    /// Rows of the history as rows of the chunk that holds them.
    pub(crate) fn in_chunk(first_row: u64, rows: &Range<u64>) -> Range<u64> {
        rows.start.saturating_sub(first_row)..rows.end.saturating_sub(first_row)
    }

    /// How a column of the rows `rows` of a chunk would be had now.
    pub(crate) fn how(
        &self,
        chunk: &LoadedChunk,
        first_row: u64,
        column: Column,
        role: ColumnRole,
        rows: &Range<u64>,
    ) -> How {
        if self.mapping(chunk, first_row, role, rows).is_some() {
            return How::Mapped;
        }
        if self.shared.cache.holds(self.run_key(column), rows) {
            return How::Cached;
        }
        let (blocks, _) = blocks_of(chunk, &Self::in_chunk(first_row, rows));
        if chunk.is_raw(role, blocks) && !self.decode_raw { How::Copied } else { How::Decoded }
    }

    pub(crate) fn account(&self, how: How, bytes: u64) {
        self.shared.account(how, bytes);
    }

    /// The map of the chunk if a column of these rows can be taken from it.
    fn mapping(
        &self,
        chunk: &LoadedChunk,
        first_row: u64,
        role: ColumnRole,
        rows: &Range<u64>,
    ) -> Option<Arc<dyn Mapping>> {
        if self.decode_raw {
            return None;
        }
        let (blocks, _) = blocks_of(chunk, &Self::in_chunk(first_row, rows));
        let offsets = offsets_role(role);
        let has_nulls = role != ColumnRole::Timestamps && has_validity(chunk);
        let validity = has_nulls.then_some(ColumnRole::Validity);
        // Offsets count from the start of the decoded run: all of it must be there.
        let blocks = if offsets.is_some() { 0..chunk.header().blocks.len() } else { blocks };
        // Behind encoded blocks a raw one may begin anywhere, where Arrow has no array begin.
        let header = chunk.header();
        let is_aligned = |role| {
            let column = header.column(blocks.start, role);
            column.is_none_or(|column| column.offset.is_multiple_of(64))
        };
        let raw = [Some(role), offsets, validity]
            .into_iter()
            .flatten()
            .all(|role| chunk.is_raw(role, blocks.clone()) && is_aligned(role));
        let mapping = chunk.mapping(&self.log).filter(|_| raw)?;
        // A storage that is not a file may map to anywhere.
        let start = mapping.slice(chunk.data_at(), 1)?.as_ptr();
        (start as usize).is_multiple_of(64).then_some(mapping)
    }

    /// A column of the rows `rows` of the history, all of which lie in this chunk, whose role for
    /// the column is `role`.
    pub(crate) fn direct(
        &self,
        chunk: &LoadedChunk,
        first_row: u64,
        column: Column,
        role: ColumnRole,
        rows: &Range<u64>,
    ) -> Result<ArrayRef> {
        let wanted = Self::in_chunk(first_row, rows);
        let (blocks, block_rows) = blocks_of(chunk, &wanted);
        if let Some(mapping) = self.mapping(chunk, first_row, role, rows) {
            return self.map_column(&mapping, chunk, column, role, &blocks, &wanted);
        }
        let key = self.run_key(column);
        if let Some(array) = self.shared.cache.get(key, rows) {
            return Ok(array);
        }
        let of_blocks = first_row + block_rows.start..first_row + block_rows.end;
        let is_part_of_one = blocks.len() == 1 && wanted != block_rows;
        let decode = || {
            let array = self.decode(chunk, column, role, blocks)?;
            self.shared.cache.insert(key, of_blocks.start, ArrayRef::clone(&array));
            Ok(array)
        };
        let array = match &self.recent {
            // The cache may be too small to keep it.
            Some(recent) if is_part_of_one => recent.array(column, &of_blocks, decode)?,
            _ => decode()?,
        };
        let offset = usize_of(wanted.start.saturating_sub(block_rows.start))?;
        Ok(array.slice(offset, usize_of(wanted.end - wanted.start)?))
    }

    /// The column from the map, verified at the first time.
    fn map_column(
        &self,
        mapping: &Arc<dyn Mapping>,
        chunk: &LoadedChunk,
        column: Column,
        role: ColumnRole,
        blocks: &Range<usize>,
        rows: &Range<u64>,
    ) -> Result<ArrayRef> {
        let header = chunk.header();
        let outside = || chunk.corrupt("a column lies outside its chunk");
        let whole =
            role != ColumnRole::Timestamps && (has_validity(chunk) || offsets_role(role).is_some());
        self.verify(chunk, role, blocks.clone(), whole)?;
        // The columns of neighbouring blocks are one run; blocks before may be encoded.
        let run = |role, from: usize| {
            let first = header.column(from, role).ok_or_else(outside)?;
            let last = blocks.end.checked_sub(1).and_then(|last| header.column(last, role));
            let last = last.ok_or_else(outside)?;
            let len = usize_of((last.offset + last.stored_len).saturating_sub(first.offset))?;
            mapped::buffer(mapping, chunk.data_at() + first.offset, len).ok_or_else(outside)
        };
        let first = header.blocks.get(blocks.start).ok_or_else(outside)?;
        let start = usize_of(rows.start.saturating_sub(first.first_row.into()))?;
        let len = usize_of(rows.end - rows.start)?;
        let nulls = if role != ColumnRole::Timestamps && has_validity(chunk) {
            let validity = run(ColumnRole::Validity, blocks.start)?;
            let nulls = NullBuffer::new(BooleanBuffer::new(validity, start, len));
            Some(nulls).filter(|nulls| nulls.null_count() > 0)
        } else {
            None
        };
        let Some(offsets) = offsets_role(role) else {
            return Ok(array_of_numbers(column, run(role, blocks.start)?, start, len, nulls));
        };
        let offsets = ScalarBuffer::new(run(offsets, blocks.start)?, start, len.saturating_add(1));
        let texts = column == Column::Values(ValueType::Text);
        Ok(blob_array(offsets, run(role, 0)?, nulls, texts))
    }

    /// Verifies a column of some blocks, or these blocks whole.
    fn verify(
        &self,
        chunk: &LoadedChunk,
        role: ColumnRole,
        blocks: Range<usize>,
        whole: bool,
    ) -> Result<()> {
        let is_verified = |block| {
            if whole { chunk.is_whole(block) } else { chunk.is_verified(block, role) }
        };
        let new: Vec<usize> = blocks.filter(|block| !is_verified(*block)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let header = chunk.header();
        let column = |block: &usize| header.column(*block, role).map_or(0, |c| c.stored_len);
        let bytes = new.iter().map(column).sum();
        each(new, bytes, |block| {
            if whole {
                chunk.ensure_whole(&self.log, block)
            } else {
                chunk.ensure_verified(&self.log, block, role)
            }
        })
    }

    /// The column of whole blocks, decoded.
    fn decode(
        &self,
        chunk: &LoadedChunk,
        column: Column,
        role: ColumnRole,
        blocks: Range<usize>,
    ) -> Result<ArrayRef> {
        let lens = |role| {
            let header = chunk.header();
            blocks.clone().map(move |block| header.column(block, role).map_or(0, |c| c.decoded_len))
        };
        let rows: u64 = chunk
            .header()
            .blocks
            .get(blocks.clone())
            .unwrap_or_default()
            .iter()
            .map(|b| u64::from(b.rows))
            .sum();
        let rows = usize_of(rows)?;
        let data_len: u64 = lens(role).sum();
        let mut data = self.shared.pool.take(usize_of(data_len)?)?;
        let offsets_role = offsets_role(role);
        let mut offsets = match offsets_role {
            Some(_) => Some(self.shared.pool.take(usize_of(rows as u64 * 4 + 4)?)?),
            None => None,
        };
        let nulls = if role != ColumnRole::Timestamps && has_validity(chunk) {
            self.decode_validity(chunk, blocks.clone(), rows)?
        } else {
            None
        };
        let texts = column == Column::Values(ValueType::Text);
        let mut tasks = Vec::new();
        let mut rest = data.as_mut_slice();
        let mut rest_of_offsets = match &mut offsets {
            Some(offsets) => {
                let (first, rest) = offsets.as_mut_slice().split_first_chunk_mut::<4>().unzip();
                if let Some(first) = first {
                    *first = [0; 4];
                }
                rest.unwrap_or_default()
            }
            None => &mut [],
        };
        let mut base = 0_u64;
        for (block, len) in blocks.clone().zip(lens(role)) {
            let wrong = || chunk.corrupt("a column is not as long as its block says");
            let (out, behind) = rest.split_at_mut_checked(usize_of(len)?).ok_or_else(wrong)?;
            rest = behind;
            let offsets_len = match offsets_role {
                Some(role) => {
                    let len = chunk.header().column(block, role).map_or(0, |c| c.decoded_len);
                    usize_of(len.saturating_sub(4))?
                }
                None => 0,
            };
            let (offsets, behind) =
                rest_of_offsets.split_at_mut_checked(offsets_len).ok_or_else(wrong)?;
            rest_of_offsets = behind;
            tasks.push((block, out, offsets, base));
            base += len;
        }
        each(tasks, data_len, |(block, out, offsets, base)| {
            chunk.decode_column(&self.log, block, role, out)?;
            match offsets_role {
                Some(role) => self.decode_offsets(chunk, block, role, out, offsets, base, texts),
                None => Ok(()),
            }
        })?;
        let data = data.into_buffer();
        Ok(match offsets {
            Some(offsets) => {
                let offsets = ScalarBuffer::new(offsets.into_buffer(), 0, rows + 1);
                blob_array(offsets, data, nulls, texts)
            }
            None => array_of_numbers(column, data, 0, rows, nulls),
        })
    }

    /// The offsets of a block's texts behind the first, to count from the start of a run in which
    /// the block's data begin at `base`. They are checked against the data.
    #[expect(clippy::too_many_arguments, reason = "one block's worth of a decoding loop")]
    fn decode_offsets(
        &self,
        chunk: &LoadedChunk,
        block: usize,
        role: ColumnRole,
        data: &[u8],
        out: &mut [u8],
        base: u64,
        texts: bool,
    ) -> Result<()> {
        let wrong = || chunk.corrupt("the offsets of texts do not fit their data");
        let mut stored = self.shared.pool.take(out.len().saturating_add(4))?;
        chunk.decode_column(&self.log, block, role, stored.as_mut_slice())?;
        let stored = stored.into_buffer();
        let stored: &[i32] = stored.typed_data();
        let start = stored.first().copied().ok_or_else(wrong)?;
        if start < 0 || !blobs_hold(stored, start, data, texts) {
            return Err(wrong());
        }
        let base = i32::try_from(base).map_err(|_| wrong())?;
        for (out, offset) in out.as_chunks_mut::<4>().0.iter_mut().zip(stored.iter().skip(1)) {
            // Within 2^31 - 1, which a run of data does not pass.
            *out = offset.wrapping_sub(start).wrapping_add(base).to_le_bytes();
        }
        Ok(())
    }

    /// The validity of whole blocks; `None` if all rows are valid.
    pub(crate) fn decode_validity(
        &self,
        chunk: &LoadedChunk,
        blocks: Range<usize>,
        rows: usize,
    ) -> Result<Option<NullBuffer>> {
        let header = chunk.header();
        let of_blocks = header.blocks.get(blocks.clone()).unwrap_or_default();
        if of_blocks.iter().all(|block| block.zone.count(AtomKind::Null) == 0) {
            return Ok(None);
        }
        // All blocks but the last have a multiple of 64 rows, so that bitmaps join at bytes.
        let mut bitmap = self.shared.pool.take(rows.div_ceil(8))?;
        let mut rest = bitmap.as_mut_slice();
        for (number, block) in blocks.zip(of_blocks) {
            let wrong = || chunk.corrupt("the validity of a block does not match its counts");
            let len = usize_of(u64::from(block.rows.div_ceil(8)))?;
            let (out, behind) = rest.split_at_mut_checked(len).ok_or_else(wrong)?;
            rest = behind;
            chunk.decode_column(&self.log, number, ColumnRole::Validity, out)?;
            let valid: u64 = out.iter().map(|byte| u64::from(byte.count_ones())).sum();
            if valid + block.zone.count(AtomKind::Null) != u64::from(block.rows) {
                return Err(wrong());
            }
        }
        Ok(Some(NullBuffer::new(BooleanBuffer::new(bitmap.into_buffer(), 0, rows))))
    }

    /// Hands over the points of some rows of a part, oldest first, some at a time, with the row of
    /// the history that the first of them is.
    pub(crate) fn for_each_points(
        &self,
        part: &Part,
        rows: &Range<u64>,
        mut each: impl FnMut(u64, &Points, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        match &part.place {
            Place::Chunk(chunk) => {
                let wanted = Self::in_chunk(part.first_row, rows);
                let (blocks, _) = blocks_of(chunk, &wanted);
                for number in blocks {
                    let Some(block) = chunk.header().blocks.get(number) else { continue };
                    let block_first = u64::from(block.first_row);
                    let of_block = block_first..block_first + u64::from(block.rows);
                    let rows = wanted.start.max(of_block.start)..wanted.end.min(of_block.end);
                    let decode = || {
                        let mut points = Points::new();
                        chunk.decode_block(&self.log, number, &mut points)?;
                        Ok(Arc::new(points))
                    };
                    let points = match &self.recent {
                        Some(recent) if rows != of_block => {
                            let start = part.first_row + of_block.start;
                            recent.points(&(start..start + u64::from(block.rows)), decode)?
                        }
                        _ => decode()?,
                    };
                    let start = usize_of(rows.start - of_block.start)?;
                    let len = usize_of(rows.end - rows.start)?;
                    each(part.first_row + rows.start, &points, start..start + len)?;
                }
                Ok(())
            }
            Place::Put { offset, val_len, .. } => {
                if rows.is_empty() {
                    return Ok(());
                }
                let (timestamp, atom) = read_large_put(&self.log, &self.key, *offset, *val_len)?;
                let mut points = Points::new();
                points.push_atom(timestamp, atom);
                each(part.first_row, &points, 0..1)
            }
            Place::Points(points) => {
                let wanted = Self::in_chunk(part.first_row, rows);
                each(rows.start, points, usize_of(wanted.start)?..usize_of(wanted.end)?)
            }
        }
    }
}

/// Whether a chunk has a bitmap of its nulls.
fn has_validity(chunk: &LoadedChunk) -> bool {
    chunk.header().column(0, ColumnRole::Validity).is_some()
}

impl KeyReader {
    /// Bytes of a column in some rows of a part, offsets and bitmaps not counted; of texts in a chunk
    /// about, of a large text at least what its entry says.
    pub(crate) fn bytes_of_rows(&self, part: &Part, column: Column, rows: &Range<u64>) -> u64 {
        let count = rows.end.saturating_sub(rows.start);
        let Column::Values(
            ValueType::Text | ValueType::Bytes | ValueType::Struct | ValueType::Union,
        ) = column
        else {
            return count.saturating_mul(8);
        };
        match &part.place {
            Place::Put { offset, val_len, .. } => {
                // Whoever reads the value is told what is wrong with it.
                let len = large_put_plain_len(&self.log, &self.key, *offset, *val_len);
                len.unwrap_or(u64::from(*val_len))
            }
            Place::Points(points) => {
                let first = usize::try_from(rows.start - part.first_row).unwrap_or(usize::MAX);
                let len = usize::try_from(count).unwrap_or(0);
                let bytes = |row| match points.kind(row) {
                    AtomKind::Text | AtomKind::Bytes => points.blob(row).len() as u64,
                    _ => 8,
                };
                (first..first.saturating_add(len)).map(bytes).sum()
            }
            Place::Chunk(chunk) => {
                let wanted = KeyReader::in_chunk(part.first_row, rows);
                let (blocks, block_rows) = blocks_of(chunk, &wanted);
                let of_values = |role| {
                    !matches!(
                        role,
                        ColumnRole::Timestamps
                            | ColumnRole::Validity
                            | ColumnRole::TextOffsets
                            | ColumnRole::BytesOffsets
                    )
                };
                let bytes: u64 = blocks
                    .flat_map(|block| chunk.header().block_columns(block))
                    .filter(|column| of_values(column.role))
                    .map(|column| column.decoded_len)
                    .sum();
                let share = u128::from(bytes) * u128::from(count)
                    / u128::from((block_rows.end - block_rows.start).max(1));
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        }
    }
}
