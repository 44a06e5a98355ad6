//! Points to chunk: encodes columns block by block, with checksums and zone maps.
//!
//! All the work is done before the writer's lock is taken. Under it, when the place of the entry
//! is known, [`EncodedChunk::place`] fills in the two numbers that depend on it.

use std::ops::Range;

use crate::atom::AtomKind;
use crate::column::points::{Points, RowKinds};
use crate::column::stats::{FloatStats, IntStats, TimestampStats, ZoneMap};
use crate::error::{Result, SynaError};
use crate::format::checksum::crc32c;
use crate::format::chunk::{
    BLOB_RUN_LEN_MAX, BLOCK_DECODED_SIZE_MAX, BLOCK_ROWS, BLOCK_ROWS_STEP, BlockRecord,
    ChunkHeader, ChunkType, ColumnRecord, ColumnRole, DATA_ALIGN, EncodingId,
    SHARED_VALUE_SIZE_MAX, align_up,
};

/// Bytes of an entry before its key.
const ENTRY_HEADER_LEN: u64 = 24;

/// A chunk ready to be written: the value of its entry is [`EncodedChunk::header_bytes`] followed
/// by [`EncodedChunk::data`].
#[derive(Debug, Clone)]
pub(crate) struct EncodedChunk {
    header: ChunkHeader,
    /// The encoded header and the zeros behind it.
    head: Vec<u8>,
    data: Vec<u8>,
}

impl EncodedChunk {
    /// Encodes all of `points`.
    ///
    /// # Errors
    ///
    /// `BatchTooLarge` if the value would have more than `chunk_size_max` bytes, or holds several
    /// rows and one of them has more than 64 KiB; `ValueTooLarge` if the only value is too large
    /// for a block; `OutOfMemory`.
    ///
    /// # Panics
    ///
    /// If there is no point.
    pub(crate) fn from_points(points: &Points, chunk_size_max: u64) -> Result<Self> {
        let timestamps = points.timestamps();
        match points.uniform_kind() {
            Some(AtomKind::Float) => Self::from_numbers(
                timestamps,
                points.bits(),
                AtomKind::Float,
                float_column(f64::from_bits, u64::to_le_bytes),
                chunk_size_max,
            ),
            Some(AtomKind::Int) => Self::from_numbers(
                timestamps,
                points.bits(),
                AtomKind::Int,
                int_column(u64::cast_signed, u64::to_le_bytes),
                chunk_size_max,
            ),
            _ => Self::from_any(points, chunk_size_max),
        }
    }

    /// Encodes one double per timestamp, at about the speed of copying them.
    ///
    /// # Errors
    ///
    /// `LengthMismatch` if the slices differ in length; `BatchTooLarge` if the value would have
    /// more than `chunk_size_max` bytes; `OutOfMemory`.
    ///
    /// # Panics
    ///
    /// If there is no value.
    pub(crate) fn from_floats(
        timestamps: &[i64],
        values: &[f64],
        chunk_size_max: u64,
    ) -> Result<Self> {
        let column = float_column(|value| value, f64::to_le_bytes);
        Self::from_numbers(timestamps, values, AtomKind::Float, column, chunk_size_max)
    }

    /// Encodes one integer per timestamp, at about the speed of copying them.
    ///
    /// # Errors
    ///
    /// As [`EncodedChunk::from_floats`].
    ///
    /// # Panics
    ///
    /// If there is no value.
    pub(crate) fn from_ints(
        timestamps: &[i64],
        values: &[i64],
        chunk_size_max: u64,
    ) -> Result<Self> {
        let column = int_column(|value| value, i64::to_le_bytes);
        Self::from_numbers(timestamps, values, AtomKind::Int, column, chunk_size_max)
    }

    fn from_numbers<T: Copy>(
        timestamps: &[i64],
        values: &[T],
        kind: AtomKind,
        append: impl Fn(&mut Vec<u8>, &[T], &mut ZoneMap),
        chunk_size_max: u64,
    ) -> Result<Self> {
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        let counts = RowKinds::Uniform(kind).counts(values.len());
        let plan = Plan { counts, blocks: equal_blocks(values.len()), text_len: 0, bytes_len: 0 };
        let mut assembler = Assembler::new(plan, chunk_size_max)?;
        for block in assembler.blocks() {
            block.zone.counts = RowKinds::Uniform(kind).counts(block.rows as usize);
        }
        for role in assembler.roles.clone() {
            assembler.append_run(role, |data, block, rows| {
                if role == ColumnRole::Timestamps {
                    append_timestamps(data, slice(timestamps, rows), block);
                } else {
                    append(data, slice(values, rows), &mut block.zone);
                }
            });
        }
        Ok(assembler.finish())
    }

    fn from_any(points: &Points, chunk_size_max: u64) -> Result<Self> {
        let plan = Plan::of(points)?;
        let mut assembler = Assembler::new(plan, chunk_size_max)?;
        let chunk_type = assembler.header.chunk_type;
        for block in assembler.blocks() {
            let rows = block.first_row as usize..block.first_row as usize + block.rows as usize;
            block.zone.counts = points.kinds(rows.clone()).counts(rows.len());
        }
        let mut blob_end = 0_u32;
        let mut scratch = Vec::new();
        for role in assembler.roles.clone() {
            blob_end = if role.is_offsets() { 0 } else { blob_end };
            assembler.append_run(role, |data, block, rows| match (role, role.kind()) {
                (ColumnRole::Timestamps, _) => {
                    append_timestamps(data, slice(points.timestamps(), rows), block);
                }
                (ColumnRole::Kinds, _) => append_kinds(data, points, rows),
                (ColumnRole::Floats | ColumnRole::Ints, Some(kind)) => {
                    gather(&mut scratch, points, rows.clone(), kind);
                    number_stats(&scratch, kind, &mut block.zone);
                    if chunk_type == ChunkType::Mixed {
                        append_words(data, &scratch, u64::to_le_bytes);
                    } else {
                        append_words(data, slice(points.bits(), rows), u64::to_le_bytes);
                    }
                }
                (ColumnRole::TextOffsets | ColumnRole::BytesOffsets, Some(kind)) => {
                    if block.first_row == 0 {
                        data.extend(blob_end.to_le_bytes());
                    }
                    for row in rows_with_slot(points, rows, kind, chunk_type) {
                        // The plan refused runs longer than an i32 can count.
                        blob_end = blob_end.saturating_add(len_u32(points.blob(row).len()));
                        data.extend(blob_end.to_le_bytes());
                    }
                }
                (ColumnRole::TextData | ColumnRole::BytesData, Some(kind)) => {
                    rows_with_slot(points, rows, kind, chunk_type)
                        .for_each(|row| data.extend_from_slice(points.blob(row)));
                }
                (_, _) => append_validity(data, points, rows),
            });
        }
        Ok(assembler.finish())
    }
}

impl EncodedChunk {
    /// A chunk whose columns come from elsewhere when it is written.
    pub(super) fn without_data(header: ChunkHeader) -> Self {
        let head = header.encode();
        let mut chunk = EncodedChunk { header, head, data: Vec::new() };
        chunk.place(0, 0, 0);
        chunk
    }

    /// Number of points.
    pub(crate) fn rows(&self) -> u32 {
        self.header.rows
    }

    /// The smallest timestamp.
    pub(crate) fn timestamp_min(&self) -> i64 {
        self.header.blocks.iter().map(|block| block.zone.timestamp_min).min().unwrap_or(0)
    }

    /// The largest timestamp.
    pub(crate) fn timestamp_max(&self) -> i64 {
        self.header.blocks.iter().map(|block| block.zone.timestamp_max).max().unwrap_or(0)
    }

    /// Fills in the row of the first point and the place of the columns, for an entry at
    /// `entry_offset` of the file with a key of `key_len` bytes; returns the length of the value.
    /// May be called again when the place changes. Costs the same whatever the size of the chunk.
    pub(crate) fn place(&mut self, first_row: u64, entry_offset: u64, key_len: usize) -> u64 {
        let header_len = self.header.header_len();
        let header_end = entry_offset
            .wrapping_add(ENTRY_HEADER_LEN)
            .wrapping_add(key_len as u64)
            .wrapping_add(header_len as u64);
        let align = DATA_ALIGN as u64;
        let gap = (align - header_end % align) % align;
        self.head.truncate(header_len);
        self.head.extend((0..gap).map(|_| 0));
        self.header.patch(&mut self.head, first_row, header_len as u64 + gap);
        self.value_len()
    }

    /// Length of the entry's value as placed.
    pub(crate) fn value_len(&self) -> u64 {
        (self.head.len() as u64).saturating_add(self.header.data_len)
    }

    /// The header as placed.
    pub(crate) fn header(&self) -> &ChunkHeader {
        &self.header
    }

    /// The value up to the first column: the header, then zeros.
    pub(crate) fn header_bytes(&self) -> &[u8] {
        &self.head
    }

    /// The column data, handed over for writing; the chunk keeps its header.
    pub(crate) fn take_data(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    /// The value from the first column on.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }
}

/// The zone map of some rows and whether their timestamps are sorted.
pub(super) fn zone_map(points: &Points, rows: Range<usize>) -> (ZoneMap, bool) {
    let timestamps = TimestampStats::of(slice(points.timestamps(), rows.clone()));
    let counts = points.kinds(rows.clone()).counts(rows.len());
    let mut zone = ZoneMap { counts, ..ZoneMap::default() };
    zone.set_timestamps(timestamps);
    let mut scratch = Vec::new();
    for kind in [AtomKind::Float, AtomKind::Int] {
        gather(&mut scratch, points, rows.clone(), kind);
        number_stats(&scratch, kind, &mut zone);
    }
    (zone, timestamps.sorted)
}

/// What is known before the first column is written.
struct Plan {
    /// Rows of each kind in the whole chunk.
    counts: [u64; 5],
    blocks: Vec<Range<usize>>,
    /// Bytes of all texts, and of all bytes values.
    text_len: u64,
    bytes_len: u64,
}

impl Plan {
    fn of(points: &Points) -> Result<Self> {
        let all = 0..points.len();
        let counts = points.kinds(all.clone()).counts(all.len());
        let mut plan = Plan { counts, blocks: Vec::new(), text_len: 0, bytes_len: 0 };
        let [_, _, _, texts, bytes] = counts;
        if texts == 0 && bytes == 0 {
            plan.blocks = equal_blocks(points.len());
            return Ok(plan);
        }
        for row in all {
            let len = points.blob(row).len();
            if len > SHARED_VALUE_SIZE_MAX && points.len() > 1 {
                let what = "a value in a chunk of several rows";
                return Err(too_large(what, len as u64, SHARED_VALUE_SIZE_MAX as u64));
            }
            if len as u64 > BLOCK_DECODED_SIZE_MAX {
                let (len, max) = (len as u64, BLOCK_DECODED_SIZE_MAX);
                return Err(SynaError::ValueTooLarge { len, max });
            }
            match points.kind(row) {
                AtomKind::Text => plan.text_len = plan.text_len.saturating_add(len as u64),
                _ => plan.bytes_len = plan.bytes_len.saturating_add(len as u64),
            }
        }
        let blobs_len = plan.text_len.saturating_add(plan.bytes_len);
        plan.blocks = if blobs_len.saturating_add(BLOCK_ROWS as u64 * ROW_SIZE_MAX)
            <= BLOCK_DECODED_SIZE_MAX
        {
            equal_blocks(points.len())
        } else {
            blocks_by_size(points)
        };
        Ok(plan)
    }

    /// Length of the data: the runs as the format places them.
    fn data_len(&self, chunk_type: ChunkType) -> u64 {
        let rows = self.counts.iter().sum::<u64>();
        ColumnRole::of_chunk(chunk_type, &self.counts).fold(0, |end, role| {
            let slots = match (chunk_type, role.kind()) {
                (ChunkType::Mixed, Some(kind)) => self.counts.get(kind as usize).copied(),
                _ => Some(rows),
            };
            let slots = slots.unwrap_or(0);
            let len = match role {
                ColumnRole::Kinds => rows,
                ColumnRole::Validity => rows.div_ceil(8),
                ColumnRole::Timestamps | ColumnRole::Floats | ColumnRole::Ints => {
                    slots.saturating_mul(8)
                }
                ColumnRole::TextOffsets | ColumnRole::BytesOffsets => {
                    slots.saturating_add(1).saturating_mul(4)
                }
                ColumnRole::TextData => self.text_len,
                ColumnRole::BytesData => self.bytes_len,
            };
            align_up(end).map_or(u64::MAX, |start| start.saturating_add(len))
        })
    }
}

/// Most bytes that one row takes in a block beside its text: timestamp, kind, number or offsets.
const ROW_SIZE_MAX: u64 = 8 + 1 + 8 + 8;

fn too_large(what: &'static str, len: u64, max: u64) -> SynaError {
    SynaError::BatchTooLarge { what, len, max }
}

fn equal_blocks(rows: usize) -> Vec<Range<usize>> {
    (0..rows)
        .step_by(BLOCK_ROWS)
        .map(|start| start..start.saturating_add(BLOCK_ROWS).min(rows))
        .collect()
}

/// Blocks of at most [`BLOCK_ROWS`] rows and [`BLOCK_DECODED_SIZE_MAX`] bytes.
fn blocks_by_size(points: &Points) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut start, mut size) = (0, 0_u64);
    for group in (0..points.len()).step_by(BLOCK_ROWS_STEP as usize) {
        let end = group.saturating_add(BLOCK_ROWS_STEP as usize).min(points.len());
        let texts = (group..end).map(|row| points.blob(row).len() as u64).sum::<u64>();
        let added = texts.saturating_add(ROW_SIZE_MAX * u64::from(BLOCK_ROWS_STEP));
        let full = end.saturating_sub(start) > BLOCK_ROWS
            || size.saturating_add(added) > BLOCK_DECODED_SIZE_MAX;
        if full && group > start {
            blocks.push(start..group);
            (start, size) = (group, 0);
        }
        size = size.saturating_add(added);
    }
    blocks.push(start..points.len());
    blocks
}

/// A chunk in the making: run after run is appended to the data.
struct Assembler {
    header: ChunkHeader,
    roles: Vec<ColumnRole>,
    data: Vec<u8>,
}

impl Assembler {
    fn new(plan: Plan, chunk_size_max: u64) -> Result<Self> {
        assert!(!plan.blocks.is_empty(), "a chunk has at least one point");
        let chunk_type = ChunkType::of_counts(&plan.counts);
        let data_len = plan.data_len(chunk_type);
        let max = chunk_size_max.min(u32::MAX.into());
        if data_len > max || plan.text_len.max(plan.bytes_len) > BLOB_RUN_LEN_MAX {
            return Err(too_large("a chunk", data_len, max.min(BLOB_RUN_LEN_MAX)));
        }
        let roles: Vec<_> = ColumnRole::of_chunk(chunk_type, &plan.counts).collect();
        let blank = |role| ColumnRecord {
            role,
            encoding: EncodingId::Raw,
            crc: 0,
            offset: 0,
            stored_len: 0,
            decoded_len: 0,
        };
        let blocks = plan.blocks.iter().map(|rows| BlockRecord {
            // All rows together have less than 2^32 bytes.
            first_row: len_u32(rows.start),
            rows: len_u32(rows.len()),
            sorted: false,
            zone: ZoneMap::default(),
        });
        let header = ChunkHeader {
            chunk_type,
            first_row: 0,
            rows: len_u32(plan.blocks.last().map_or(0, |rows| rows.end)),
            data_start: 0,
            data_len,
            column_count: roles.iter().fold(0, |count, _| count + 1),
            blocks: blocks.collect(),
            columns: plan.blocks.iter().flat_map(|_| roles.iter().copied().map(blank)).collect(),
        };
        let value_len = data_len + header.header_len() as u64 + DATA_ALIGN as u64 - 1;
        if value_len > max {
            return Err(too_large("a chunk", value_len, max));
        }
        let mut data = Vec::new();
        usize::try_from(data_len)
            .ok()
            .and_then(|len| data.try_reserve_exact(len).ok())
            .ok_or(SynaError::OutOfMemory { bytes: data_len })?;
        Ok(Assembler { header, roles, data })
    }

    fn blocks(&mut self) -> impl Iterator<Item = &mut BlockRecord> {
        self.header.blocks.iter_mut()
    }

    /// Appends the column of `role` of every block and fills in their records.
    fn append_run(
        &mut self,
        role: ColumnRole,
        mut append: impl FnMut(&mut Vec<u8>, &mut BlockRecord, Range<usize>),
    ) {
        self.data.resize(self.data.len().next_multiple_of(DATA_ALIGN), 0);
        let records = self.header.columns.iter_mut().filter(|column| column.role == role);
        for (block, record) in self.header.blocks.iter_mut().zip(records) {
            let first_row = block.first_row as usize;
            let shared = if role.is_offsets() && first_row > 0 { 4 } else { 0 };
            let start = self.data.len().saturating_sub(shared);
            let rows = first_row..first_row.saturating_add(block.rows as usize);
            append(&mut self.data, block, rows);
            let column = slice(&self.data, start..self.data.len());
            record.crc = crc32c(column);
            record.offset = start as u64;
            record.stored_len = column.len() as u64;
            record.decoded_len = column.len() as u64;
        }
    }

    fn finish(self) -> EncodedChunk {
        debug_assert_eq!(self.header.data_len, self.data.len() as u64);
        let head = self.header.encode();
        let mut chunk = EncodedChunk { header: self.header, head, data: self.data };
        chunk.place(0, 0, 0);
        chunk
    }
}

#[expect(clippy::expect_used, reason = "chunks are limited to less than 2^32 bytes before")]
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("rows and bytes of a chunk fit 32 bits")
}

#[expect(clippy::indexing_slicing, reason = "the ranges are our own blocks")]
fn slice<T>(values: &[T], range: Range<usize>) -> &[T] {
    &values[range]
}

fn append_words<T: Copy>(data: &mut Vec<u8>, values: &[T], to_bytes: impl Fn(T) -> [u8; 8]) {
    let start = data.len();
    data.resize(start.saturating_add(values.len().saturating_mul(8)), 0);
    let slots = data.split_at_mut(start).1.as_chunks_mut().0;
    for (slot, value) in slots.iter_mut().zip(values) {
        *slot = to_bytes(*value);
    }
}

fn append_timestamps(data: &mut Vec<u8>, timestamps: &[i64], block: &mut BlockRecord) {
    let stats = TimestampStats::of(timestamps);
    block.sorted = stats.sorted;
    block.zone.set_timestamps(stats);
    append_words(data, timestamps, i64::to_le_bytes);
}

/// Appends doubles, given as `T`, with their statistics.
fn float_column<T: Copy>(
    float: impl Fn(T) -> f64,
    to_bytes: impl Fn(T) -> [u8; 8],
) -> impl Fn(&mut Vec<u8>, &[T], &mut ZoneMap) {
    move |data, values, zone| {
        (zone.float, zone.nans) = FloatStats::of(values, &float);
        append_words(data, values, &to_bytes);
    }
}

/// Appends integers, given as `T`, with their statistics.
fn int_column<T: Copy>(
    int: impl Fn(T) -> i64,
    to_bytes: impl Fn(T) -> [u8; 8],
) -> impl Fn(&mut Vec<u8>, &[T], &mut ZoneMap) {
    move |data, values, zone| {
        zone.int = IntStats::of(values, &int);
        append_words(data, values, &to_bytes);
    }
}

fn number_stats(bits: &[u64], kind: AtomKind, zone: &mut ZoneMap) {
    match kind {
        AtomKind::Float => (zone.float, zone.nans) = FloatStats::of(bits, f64::from_bits),
        AtomKind::Int => zone.int = IntStats::of(bits, u64::cast_signed),
        _ => {}
    }
}

/// The bits of those rows that are of `kind`.
fn gather(into: &mut Vec<u64>, points: &Points, rows: Range<usize>, kind: AtomKind) {
    into.clear();
    let bits = slice(points.bits(), rows.clone());
    match points.kinds(rows) {
        RowKinds::Uniform(uniform) if uniform == kind => into.extend_from_slice(bits),
        RowKinds::Uniform(_) => {}
        RowKinds::PerRow(kinds) => into.extend(
            bits.iter().zip(kinds).filter(|(_, number)| **number == kind as u8).map(|(b, _)| b),
        ),
    }
}

/// The rows with a slot in the columns of `kind`.
fn rows_with_slot(
    points: &Points,
    rows: Range<usize>,
    kind: AtomKind,
    chunk_type: ChunkType,
) -> impl Iterator<Item = usize> {
    rows.filter(move |row| chunk_type != ChunkType::Mixed || points.kind(*row) == kind)
}

fn append_kinds(data: &mut Vec<u8>, points: &Points, rows: Range<usize>) {
    match points.kinds(rows.clone()) {
        RowKinds::Uniform(kind) => data.extend(rows.map(|_| kind as u8)),
        RowKinds::PerRow(kinds) => data.extend_from_slice(kinds),
    }
}

/// Appends one bit per row, set unless it is null.
fn append_validity(data: &mut Vec<u8>, points: &Points, rows: Range<usize>) {
    let valid = |kind: &u8| u8::from(*kind != AtomKind::Null as u8);
    let mut append = |kinds: &[u8]| {
        data.extend(kinds.chunks(8).map(|kinds| pack(kinds.iter().map(valid))));
    };
    match points.kinds(rows.clone()) {
        RowKinds::Uniform(kind) => append(&vec![kind as u8; rows.len()]),
        RowKinds::PerRow(kinds) => append(kinds),
    }
}

/// At most eight bits, the first one lowest.
fn pack(bits: impl Iterator<Item = u8>) -> u8 {
    bits.zip(0..8_u32).fold(0, |byte, (bit, place)| byte | bit << place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atom::Atom;
    use crate::column::testing::{assert_same_points, decode, value_of};

    fn bytes_of(len: usize) -> Atom {
        Atom::Bytes(vec![7; len])
    }

    fn points_of(values: impl IntoIterator<Item = Atom>) -> Points {
        let mut points = Points::new();
        values.into_iter().zip(0..).for_each(|(atom, row)| points.push_atom(row, atom));
        points
    }

    #[test]
    fn columns_are_aligned_wherever_the_entry_is() {
        let mut chunk = EncodedChunk::from_floats(&[1, 2], &[0.5, 1.5], 1 << 30).unwrap();
        for entry in (12_288..12_288 + 128).step_by(8) {
            for key_len in [1, 2, 7, 8, 63, 64, 65_535] {
                let value_len = chunk.place(9, entry, key_len);
                assert_eq!(value_len, (chunk.header_bytes().len() + chunk.data().len()) as u64);
                let data = entry + 24 + key_len as u64 + chunk.header_bytes().len() as u64;
                assert_eq!(data % 64, 0);
                let parsed = ChunkHeader::parse(chunk.header_bytes(), value_len).unwrap();
                assert_eq!((&parsed, parsed.first_row), (chunk.header(), 9));
            }
        }
    }

    #[test]
    fn large_values_make_small_blocks() {
        let points = points_of((0..1200).map(|_| bytes_of(SHARED_VALUE_SIZE_MAX)));
        let chunk = EncodedChunk::from_points(&points, 1 << 30).unwrap();
        let rows: Vec<u32> = chunk.header().blocks.iter().map(|block| block.rows).collect();
        assert_eq!(rows, [960, 240]);
        let value = value_of(&chunk);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_same_points(&decode(&header, &value, true).unwrap(), &points);
    }

    #[test]
    fn a_value_above_64_kib_stands_alone() {
        let large = SHARED_VALUE_SIZE_MAX + 1;
        let two = EncodedChunk::from_points(&points_of([bytes_of(large), Atom::Null]), 1 << 30);
        assert!(matches!(two, Err(SynaError::BatchTooLarge { max: 65_536, .. })));

        let text = Atom::Text("ä".repeat(32 << 20));
        let one = EncodedChunk::from_points(&points_of([text.clone()]), 1 << 30).unwrap();
        let value = value_of(&one);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_same_points(&decode(&header, &value, true).unwrap(), &points_of([text]));

        let larger = points_of([bytes_of((64 << 20) + 1)]);
        let larger = EncodedChunk::from_points(&larger, 1 << 30);
        assert!(matches!(larger, Err(SynaError::ValueTooLarge { .. })));
    }

    #[test]
    fn chunks_above_the_limit_are_refused() {
        let (timestamps, values) = (vec![0; 1000], vec![1; 1000]);
        let chunk = EncodedChunk::from_ints(&timestamps, &values, 1 << 30).unwrap();
        let max = (chunk.header().header_len() + 63 + chunk.data().len()) as u64;
        assert!(EncodedChunk::from_ints(&timestamps, &values, max).is_ok());
        for max in [max - 1, 1000, 0] {
            let refused = EncodedChunk::from_ints(&timestamps, &values, max);
            assert!(matches!(refused, Err(SynaError::BatchTooLarge { .. })));
        }
    }

    #[test]
    fn slices_of_different_lengths_are_refused() {
        let refused = EncodedChunk::from_floats(&[1, 2], &[0.5], 1 << 30);
        assert!(matches!(refused, Err(SynaError::LengthMismatch { timestamps: 2, values: 1 })));
    }

    #[test]
    fn timestamps_out_of_order_are_known() {
        let chunk = EncodedChunk::from_floats(&[5, -3, 4], &[0.5; 3], 1 << 30).unwrap();
        assert_eq!((chunk.rows(), chunk.timestamp_min(), chunk.timestamp_max()), (3, -3, 5));
        assert!(!chunk.header().blocks[0].sorted);
    }

    #[test]
    #[should_panic(expected = "a chunk has at least one point")]
    fn a_chunk_without_points_is_a_bug() {
        let _ = EncodedChunk::from_points(&Points::new(), 1 << 30);
    }
}
