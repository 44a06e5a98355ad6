//! Points to chunk: encodes columns block by block, with checksums and zone maps.
//!
//! All the work is done before the writer's lock is taken. Under it, when the place of the entry
//! is known, [`EncodedChunk::place`] fills in the two numbers that depend on it.

use std::collections::VecDeque;
use std::ops::Range;

use arrow_buffer::{Buffer, ScalarBuffer};

use crate::atom::AtomKind;
use crate::column::encoding::{self, Encoder, Number, Policy, blobs};
use crate::column::points::{Points, RowKinds};
use crate::column::stats::{FloatStats, IntStats, TimestampStats, ZoneMap};
use crate::error::{Result, SynaError};
use crate::format::checksum::crc32c;
use crate::format::chunk::{
    BLOB_RUN_LEN_MAX, BLOCK_DECODED_SIZE_MAX, BLOCK_ROWS, BLOCK_ROWS_STEP, BLOCK_SIZE_OPTIMIZED,
    BlockRecord, ChunkHeader, ColumnRecord, DATA_ALIGN, SHARED_VALUE_SIZE_MAX, align_up,
};
use crate::format::column::{ChunkType, ColumnRole, EncodingId};

/// Bytes of an entry before its key.
const ENTRY_HEADER_LEN: u64 = 24;

/// A chunk ready to be written: the value of its entry is [`EncodedChunk::header_bytes`] followed
/// by [`EncodedChunk::data`].
#[derive(Debug, Clone)]
pub(crate) struct EncodedChunk {
    header: ChunkHeader,
    /// The encoded header and the zeros behind it.
    head: Vec<u8>,
    data: Data,
}

/// The columns of a chunk.
#[derive(Debug, Clone)]
enum Data {
    Owned(Vec<u8>),
    /// Raw columns in the memory of whoever brought them, each of which begins at the next multiple
    /// of [`DATA_ALIGN`].
    Shared(Vec<Buffer>),
}

/// Numbers of one kind in memory that is shared.
#[derive(Debug, Clone)]
pub(crate) enum NumberBuffer {
    Floats(ScalarBuffer<f64>),
    Ints(ScalarBuffer<i64>),
}

impl EncodedChunk {
    /// Encodes all of `points`, by encodings that `policy` allows.
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
    pub(crate) fn from_points(
        points: &Points,
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        Self::from_points_in_blocks(points, BLOCK_ROWS, policy, chunk_size_max)
    }

    /// As [`EncodedChunk::from_points`], in blocks of up to `block_rows` rows, a multiple of 64.
    pub(crate) fn from_points_in_blocks(
        points: &Points,
        block_rows: usize,
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        let (timestamps, bits) = (points.timestamps(), points.bits());
        let blocks = equal_blocks(points.len(), block_rows);
        match points.uniform_kind() {
            Some(AtomKind::Float) => {
                let stats = |bits: &[u64], zone: &mut _| float_stats(bits, f64::from_bits, zone);
                let column = NumberColumn { kind: AtomKind::Float, stats, word: |bits| bits };
                Self::from_numbers(timestamps, bits, column, blocks, policy, chunk_size_max)
            }
            Some(AtomKind::Int) => {
                let stats = |bits: &[u64], zone: &mut _| int_stats(bits, u64::cast_signed, zone);
                let column = NumberColumn { kind: AtomKind::Int, stats, word: |bits| bits };
                Self::from_numbers(timestamps, bits, column, blocks, policy, chunk_size_max)
            }
            _ => Self::from_any(points, block_rows, policy, chunk_size_max),
        }
    }

    /// Encodes one double per timestamp, by encodings that `policy` allows;
    /// where it allows none, at about the speed of copying them.
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
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        let stats = |values: &[f64], zone: &mut _| float_stats(values, |value| value, zone);
        let column = NumberColumn { kind: AtomKind::Float, stats, word: f64::to_bits };
        let blocks = equal_blocks(values.len(), BLOCK_ROWS);
        Self::from_numbers(timestamps, values, column, blocks, policy, chunk_size_max)
    }

    /// Encodes one integer per timestamp, by encodings that `policy` allows;
    /// where it allows none, at about the speed of copying them.
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
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        let stats = |values: &[i64], zone: &mut _| int_stats(values, |value| value, zone);
        let column = NumberColumn { kind: AtomKind::Int, stats, word: i64::cast_unsigned };
        let blocks = equal_blocks(values.len(), BLOCK_ROWS);
        Self::from_numbers(timestamps, values, column, blocks, policy, chunk_size_max)
    }

    /// As [`EncodedChunk::from_floats`] and [`EncodedChunk::from_ints`]; where `policy` allows no
    /// encoding, the chunk holds on to the buffers instead of copying them.
    ///
    /// # Errors
    ///
    /// As [`EncodedChunk::from_floats`].
    ///
    /// # Panics
    ///
    /// If there is no value.
    pub(crate) fn from_buffers(
        timestamps: &ScalarBuffer<i64>,
        values: &NumberBuffer,
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        match (values, policy == Policy::RAW) {
            (NumberBuffer::Floats(values), false) => {
                Self::from_floats(timestamps, values, policy, chunk_size_max)
            }
            (NumberBuffer::Ints(values), false) => {
                Self::from_ints(timestamps, values, policy, chunk_size_max)
            }
            (NumberBuffer::Floats(floats), true) => {
                let stats = |rows, zone: &mut _| {
                    float_stats(slice(floats, rows), |value: f64| value, zone);
                };
                let (kind, bytes) = (AtomKind::Float, floats.inner());
                Self::sharing(timestamps, bytes, kind, stats, chunk_size_max)
            }
            (NumberBuffer::Ints(ints), true) => {
                let stats = |rows, zone: &mut _| {
                    int_stats(slice(ints, rows), |value: i64| value, zone);
                };
                let (kind, bytes) = (AtomKind::Int, ints.inner());
                Self::sharing(timestamps, bytes, kind, stats, chunk_size_max)
            }
        }
    }

    /// A chunk of raw columns where they are: their bytes are those of the format, for all that
    /// this is built for is little-endian.
    fn sharing(
        timestamps: &ScalarBuffer<i64>,
        values: &Buffer,
        kind: AtomKind,
        stats: impl Fn(Range<usize>, &mut ZoneMap),
        chunk_size_max: u64,
    ) -> Result<Self> {
        let rows = timestamps.len();
        if rows.saturating_mul(8) != values.len() {
            let (timestamps, values) = (rows, values.len() / 8);
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        let counts = RowKinds::Uniform(kind).counts(rows);
        let plan =
            Plan { counts, blocks: equal_blocks(rows, BLOCK_ROWS), text_len: 0, bytes_len: 0 };
        let mut header = blank_header(&plan, chunk_size_max)?.0;
        let values_at = timestamps.inner().len().next_multiple_of(DATA_ALIGN);
        for (block, records) in header.blocks.iter_mut().zip(header.columns.chunks_mut(2)) {
            let first = block.first_row as usize;
            let rows = first..first.saturating_add(block.rows as usize);
            let bytes = rows.start.saturating_mul(8)..rows.end.saturating_mul(8);
            block.zone.counts = RowKinds::Uniform(kind).counts(rows.len());
            set_timestamps(block, slice(timestamps, rows.clone()));
            stats(rows, &mut block.zone);
            for record in records {
                let (run, start) = match record.role {
                    ColumnRole::Timestamps => (timestamps.inner(), 0),
                    _ => (values, values_at),
                };
                let column = slice(run, bytes.clone());
                record.crc = crc32c(column);
                record.offset = start.saturating_add(bytes.start) as u64;
                record.stored_len = column.len() as u64;
                record.decoded_len = column.len() as u64;
            }
        }
        let columns = vec![timestamps.inner().clone(), values.clone()];
        Ok(EncodedChunk::new(header, Data::Shared(columns)))
    }

    fn from_numbers<T: Copy>(
        timestamps: &[i64],
        values: &[T],
        column: NumberColumn<impl Fn(&[T], &mut ZoneMap), impl Fn(T) -> u64>,
        blocks: Vec<Range<usize>>,
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        let kind = column.kind;
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        let counts = RowKinds::Uniform(kind).counts(values.len());
        let plan = Plan { counts, blocks, text_len: 0, bytes_len: 0 };
        let mut assembler = Assembler::new(plan, chunk_size_max)?;
        for block in assembler.blocks() {
            block.zone.counts = RowKinds::Uniform(kind).counts(block.rows as usize);
        }
        for role in assembler.roles.clone() {
            let mut words = Words::new(role, policy);
            assembler.append_run(role, |data, block, rows, _| {
                if role == ColumnRole::Timestamps {
                    append_timestamps(data, &mut words, slice(timestamps, rows), block)
                } else {
                    let values = slice(values, rows);
                    (column.stats)(values, &mut block.zone);
                    words.append(data, values, &column.word)
                }
            });
        }
        Ok(assembler.finish())
    }

    fn from_any(
        points: &Points,
        block_rows: usize,
        policy: Policy,
        chunk_size_max: u64,
    ) -> Result<Self> {
        let plan = Plan::of(points, block_rows)?;
        let mut assembler = Assembler::new(plan, chunk_size_max)?;
        let chunk_type = assembler.header.chunk_type;
        for block in assembler.blocks() {
            let rows = block.first_row as usize..block.first_row as usize + block.rows as usize;
            block.zone.counts = points.kinds(rows.clone()).counts(rows.len());
        }
        let mut scratch = Vec::new();
        let mut blob_end = 0_u32;
        // The data of blocks, made together with the offsets before them.
        let mut blobs: VecDeque<BlobData> = VecDeque::new();
        for role in assembler.roles.clone() {
            let mut words = Words::new(role, policy);
            blob_end = if role.is_offsets() { 0 } else { blob_end };
            assembler.append_run(role, |data, block, rows, follows_raw| {
                match (role, role.kind()) {
                    (ColumnRole::Timestamps, _) => {
                        append_timestamps(data, &mut words, slice(points.timestamps(), rows), block)
                    }
                    (ColumnRole::Kinds, _) => append_kinds(data, points, rows, policy),
                    (ColumnRole::Floats | ColumnRole::Ints, Some(kind)) => {
                        gather(&mut scratch, points, rows.clone(), kind);
                        number_stats(&scratch, kind, &mut block.zone);
                        let mixed = chunk_type == ChunkType::Mixed;
                        let bits = if mixed { &scratch } else { slice(points.bits(), rows) };
                        words.append(data, bits, |bits| bits)
                    }
                    (ColumnRole::TextOffsets | ColumnRole::BytesOffsets, Some(kind)) => {
                        let rows: Vec<usize> =
                            rows_with_slot(points, rows, kind, chunk_type).collect();
                        let (appended, contents) =
                            append_offsets(data, points, &rows, policy, &mut blob_end, follows_raw);
                        blobs.push_back(contents);
                        appended
                    }
                    (ColumnRole::TextData | ColumnRole::BytesData, Some(kind)) => {
                        match blobs.pop_front() {
                            Some(BlobData::Encoded { encoding, stored, decoded_len }) => {
                                data.extend_from_slice(&stored);
                                Appended { encoding, decoded_len }
                            }
                            Some(BlobData::Raw) | None => {
                                let start = data.len();
                                rows_with_slot(points, rows, kind, chunk_type)
                                    .for_each(|row| data.extend_from_slice(points.blob(row)));
                                Appended::raw(data.len() - start)
                            }
                        }
                    }
                    (_, _) => append_validity(data, points, rows, policy),
                }
            });
        }
        Ok(assembler.finish())
    }
}

impl EncodedChunk {
    /// A chunk whose columns come from elsewhere when it is written.
    pub(super) fn without_data(header: ChunkHeader) -> Self {
        EncodedChunk::new(header, Data::Owned(Vec::new()))
    }

    fn new(mut header: ChunkHeader, data: Data) -> Self {
        header.complete();
        let head = header.encode();
        let mut chunk = EncodedChunk { header, head, data };
        chunk.place(0, 0, 0);
        chunk
    }

    /// Number of points.
    pub(crate) fn rows(&self) -> u32 {
        self.header.rows
    }

    /// The smallest timestamp.
    pub(crate) fn timestamp_min(&self) -> i64 {
        self.header.zone_map().timestamp_min
    }

    /// The largest timestamp.
    pub(crate) fn timestamp_max(&self) -> i64 {
        self.header.zone_map().timestamp_max
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

    /// The column data, handed over for writing; the chunk keeps its header. Each buffer begins at
    /// the next multiple of [`DATA_ALIGN`] behind the one before it.
    pub(crate) fn take_data(&mut self) -> Vec<Buffer> {
        match std::mem::replace(&mut self.data, Data::Owned(Vec::new())) {
            Data::Owned(data) => vec![Buffer::from_vec(data)],
            Data::Shared(columns) => columns,
        }
    }

    /// The value from the first column on, of a chunk that was not made by
    /// [`EncodedChunk::from_buffers`].
    pub(crate) fn data(&self) -> &[u8] {
        match &self.data {
            Data::Owned(data) => data,
            Data::Shared(_) => &[],
        }
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
    fn of(points: &Points, block_rows: usize) -> Result<Self> {
        let all = 0..points.len();
        let counts = points.kinds(all.clone()).counts(all.len());
        let mut plan = Plan { counts, blocks: Vec::new(), text_len: 0, bytes_len: 0 };
        let [_, _, _, texts, bytes] = counts;
        if texts == 0 && bytes == 0 {
            plan.blocks = equal_blocks(points.len(), block_rows);
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
        let max =
            if block_rows > BLOCK_ROWS { BLOCK_SIZE_OPTIMIZED } else { BLOCK_DECODED_SIZE_MAX };
        plan.blocks = if blobs_len.saturating_add(block_rows as u64 * ROW_SIZE_MAX) <= max {
            equal_blocks(points.len(), block_rows)
        } else {
            blocks_by_size(points, block_rows)
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

fn equal_blocks(rows: usize, block_rows: usize) -> Vec<Range<usize>> {
    (0..rows)
        .step_by(block_rows)
        .map(|start| start..start.saturating_add(block_rows).min(rows))
        .collect()
}

/// Blocks of at most `block_rows` rows and [`BLOCK_DECODED_SIZE_MAX`] bytes, and of at most
/// [`BLOCK_SIZE_OPTIMIZED`] bytes where they have more than [`BLOCK_ROWS`] rows.
fn blocks_by_size(points: &Points, block_rows: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut start, mut size) = (0, 0_u64);
    for group in (0..points.len()).step_by(BLOCK_ROWS_STEP as usize) {
        let end = group.saturating_add(BLOCK_ROWS_STEP as usize).min(points.len());
        let texts = (group..end).map(|row| points.blob(row).len() as u64).sum::<u64>();
        let added = texts.saturating_add(ROW_SIZE_MAX * u64::from(BLOCK_ROWS_STEP));
        let (rows, bytes) = (end.saturating_sub(start), size.saturating_add(added));
        let full = rows > block_rows
            || bytes > BLOCK_DECODED_SIZE_MAX
            || (rows > BLOCK_ROWS && bytes > BLOCK_SIZE_OPTIMIZED);
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
        let (header, roles) = blank_header(&plan, chunk_size_max)?;
        let data_len = header.data_len;
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

    /// Appends the column of `role` of every block and fills in their records. `append` is also
    /// told whether the block before it is there and raw: then raw offsets share an entry with it.
    fn append_run(
        &mut self,
        role: ColumnRole,
        mut append: impl FnMut(&mut Vec<u8>, &mut BlockRecord, Range<usize>, bool) -> Appended,
    ) {
        self.data.resize(self.data.len().next_multiple_of(DATA_ALIGN), 0);
        let records = self.header.columns.iter_mut().filter(|column| column.role == role);
        let mut follows_raw = false;
        for (block, record) in self.header.blocks.iter_mut().zip(records) {
            let first_row = block.first_row as usize;
            let before = self.data.len();
            let rows = first_row..first_row.saturating_add(block.rows as usize);
            let Appended { encoding, decoded_len } =
                append(&mut self.data, block, rows, follows_raw);
            let is_raw = encoding == EncodingId::Raw;
            let shared = if role.is_offsets() && follows_raw && is_raw { 4 } else { 0 };
            follows_raw = is_raw;
            let start = before.saturating_sub(shared);
            let column = slice(&self.data, start..self.data.len());
            record.encoding = encoding;
            record.crc = crc32c(column);
            record.offset = start as u64;
            record.stored_len = column.len() as u64;
            record.decoded_len = decoded_len as u64;
        }
    }

    fn finish(mut self) -> EncodedChunk {
        debug_assert!(self.header.data_len >= self.data.len() as u64);
        self.header.data_len = self.data.len() as u64;
        EncodedChunk::new(self.header, Data::Owned(self.data))
    }
}

/// The header of a chunk to which nothing was appended yet, and the columns of each block.
fn blank_header(plan: &Plan, chunk_size_max: u64) -> Result<(ChunkHeader, Vec<ColumnRole>)> {
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
        decoded_start: 0,
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
        whole: Box::default(),
        whole_is_stored: plan.blocks.len() > 1,
    };
    let value_len = data_len + header.header_len() as u64 + DATA_ALIGN as u64 - 1;
    if value_len > max {
        return Err(too_large("a chunk", value_len, max));
    }
    Ok((header, roles))
}

/// What was appended for one block of a run.
struct Appended {
    encoding: EncodingId,
    decoded_len: usize,
}

impl Appended {
    fn raw(decoded_len: usize) -> Appended {
        Appended { encoding: EncodingId::Raw, decoded_len }
    }
}

/// A column of numbers given as some type: their statistics and their bits.
struct NumberColumn<S, W> {
    kind: AtomKind,
    stats: S,
    word: W,
}

/// Appends the blocks of a run of numbers.
struct Words {
    encoder: Encoder,
    policy: Policy,
    words: Vec<u64>,
}

impl Words {
    fn new(role: ColumnRole, policy: Policy) -> Words {
        let number = if role == ColumnRole::Floats { Number::Float } else { Number::Int };
        Words { encoder: Encoder::new(number, policy), policy, words: Vec::new() }
    }

    fn append<T: Copy>(
        &mut self,
        data: &mut Vec<u8>,
        values: &[T],
        word: impl Fn(T) -> u64,
    ) -> Appended {
        let decoded_len = values.len().saturating_mul(8);
        if self.policy == Policy::RAW {
            append_words(data, values, word);
            return Appended::raw(decoded_len);
        }
        self.words.clear();
        self.words.extend(values.iter().map(|value| word(*value)));
        Appended { encoding: self.encoder.encode(&self.words, data), decoded_len }
    }
}

/// The data of a block of texts, while the run of offsets is written.
enum BlobData {
    Raw,
    Encoded { encoding: EncodingId, stored: Vec<u8>, decoded_len: usize },
}

/// Appends the offsets of these rows, which begin at `end` of the decoded run.
fn append_offsets(
    data: &mut Vec<u8>,
    points: &Points,
    rows: &[usize],
    policy: Policy,
    end: &mut u32,
    follows_raw: bool,
) -> (Appended, BlobData) {
    let lens = || rows.iter().map(|row| len_u32(points.blob(*row).len()));
    let start = *end;
    // The plan refused runs longer than an i32 can count.
    *end = lens().fold(start, u32::saturating_add);
    let decoded_len = rows.len().saturating_add(1).saturating_mul(4);
    let mut contents = BlobData::Raw;
    if policy != Policy::RAW && !rows.is_empty() {
        let lens: Vec<u32> = lens().collect();
        let bytes: Vec<u8> = rows.iter().flat_map(|row| points.blob(*row)).copied().collect();
        let encoded = blobs::encode(&lens, &bytes, policy);
        if let Some((encoding, stored)) = encoded.data {
            contents = BlobData::Encoded { encoding, stored, decoded_len: bytes.len() };
        }
        if let Some((encoding, stored)) = encoded.offsets {
            data.extend_from_slice(&stored);
            return (Appended { encoding, decoded_len }, contents);
        }
    }
    let mut at = start;
    if !follows_raw {
        data.extend(at.to_le_bytes());
    }
    for len in lens() {
        at = at.saturating_add(len);
        data.extend(at.to_le_bytes());
    }
    (Appended::raw(decoded_len), contents)
}

#[expect(clippy::expect_used, reason = "chunks are limited to less than 2^32 bytes before")]
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("rows and bytes of a chunk fit 32 bits")
}

#[expect(clippy::indexing_slicing, reason = "the ranges are our own blocks")]
fn slice<T>(values: &[T], range: Range<usize>) -> &[T] {
    &values[range]
}

fn append_words<T: Copy>(data: &mut Vec<u8>, values: &[T], word: impl Fn(T) -> u64) {
    let start = data.len();
    data.resize(start.saturating_add(values.len().saturating_mul(8)), 0);
    let slots = data.split_at_mut(start).1.as_chunks_mut().0;
    for (slot, value) in slots.iter_mut().zip(values) {
        *slot = word(*value).to_le_bytes();
    }
}

fn append_timestamps(
    data: &mut Vec<u8>,
    words: &mut Words,
    timestamps: &[i64],
    block: &mut BlockRecord,
) -> Appended {
    set_timestamps(block, timestamps);
    words.append(data, timestamps, i64::cast_unsigned)
}

/// Fills in the statistics of timestamps.
fn set_timestamps(block: &mut BlockRecord, timestamps: &[i64]) {
    let stats = TimestampStats::of(timestamps);
    block.sorted = stats.sorted;
    block.zone.set_timestamps(stats);
}

/// Fills in the statistics of doubles, given as `T`.
fn float_stats<T: Copy>(values: &[T], float: impl Fn(T) -> f64, zone: &mut ZoneMap) {
    (zone.float, zone.nans) = FloatStats::of(values, float);
}

/// Fills in the statistics of integers, given as `T`.
fn int_stats<T: Copy>(values: &[T], int: impl Fn(T) -> i64, zone: &mut ZoneMap) {
    zone.int = IntStats::of(values, int);
}

fn number_stats(bits: &[u64], kind: AtomKind, zone: &mut ZoneMap) {
    match kind {
        AtomKind::Float => float_stats(bits, f64::from_bits, zone),
        AtomKind::Int => int_stats(bits, u64::cast_signed, zone),
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

fn append_kinds(
    data: &mut Vec<u8>,
    points: &Points,
    rows: Range<usize>,
    policy: Policy,
) -> Appended {
    let decoded_len = rows.len();
    let encoding = match points.kinds(rows.clone()) {
        RowKinds::Uniform(kind) => {
            encoding::encode_kinds(&vec![kind as u8; rows.len()], policy, data)
        }
        RowKinds::PerRow(kinds) => encoding::encode_kinds(kinds, policy, data),
    };
    Appended { encoding, decoded_len }
}

/// Appends one bit per row, set unless it is null.
fn append_validity(
    data: &mut Vec<u8>,
    points: &Points,
    rows: Range<usize>,
    policy: Policy,
) -> Appended {
    let valid = |kind: &u8| u8::from(*kind != AtomKind::Null as u8);
    let bitmap_of = |kinds: &[u8]| -> Vec<u8> {
        kinds.chunks(8).map(|kinds| pack(kinds.iter().map(valid))).collect()
    };
    let bitmap = match points.kinds(rows.clone()) {
        RowKinds::Uniform(kind) => bitmap_of(&vec![kind as u8; rows.len()]),
        RowKinds::PerRow(kinds) => bitmap_of(kinds),
    };
    let encoding = encoding::encode_validity(&bitmap, rows.len(), policy, data);
    Appended { encoding, decoded_len: bitmap.len() }
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

    /// Columns in the memory of whoever brought them are the same chunk as copies of them.
    #[test]
    fn shared_columns_are_the_chunk_that_copies_would_be() {
        for rows in [1, 7, 8, 9, 8_192, 8_193, 20_001] {
            let timestamps: Vec<i64> = (0..rows + 2).map(|row| row * row % 1_000).collect();
            let floats: Vec<f64> = timestamps.iter().map(|t| 1.0 / *t as f64).collect();
            let len = timestamps.len() - 2;
            let stamps = ScalarBuffer::from(timestamps.clone()).slice(1, len);
            let ints = NumberBuffer::Ints(ScalarBuffer::from(timestamps.clone()).slice(2, len));
            let values = NumberBuffer::Floats(ScalarBuffer::from(floats.clone()).slice(2, len));
            for policy in [Policy::RAW, Policy::FAST] {
                let (t, f, i) = (&timestamps[1..=len], &floats[2..], &timestamps[2..]);
                for (shared, copied) in [
                    (&values, EncodedChunk::from_floats(t, f, policy, 1 << 30).unwrap()),
                    (&ints, EncodedChunk::from_ints(t, i, policy, 1 << 30).unwrap()),
                ] {
                    let mut chunk =
                        EncodedChunk::from_buffers(&stamps, shared, policy, 1 << 30).unwrap();
                    assert_eq!(chunk.header(), copied.header());
                    assert_eq!(chunk.header_bytes(), copied.header_bytes());
                    let mut data = Vec::new();
                    for columns in chunk.take_data() {
                        data.resize(data.len().next_multiple_of(DATA_ALIGN), 0);
                        data.extend_from_slice(&columns);
                    }
                    assert!(data == copied.data(), "{rows} rows");
                }
            }
        }
    }

    #[test]
    fn columns_are_aligned_wherever_the_entry_is() {
        let mut chunk =
            EncodedChunk::from_floats(&[1, 2], &[0.5, 1.5], Policy::RAW, 1 << 30).unwrap();
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
        let chunk = EncodedChunk::from_points(&points, Policy::RAW, 1 << 30).unwrap();
        let rows: Vec<u32> = chunk.header().blocks.iter().map(|block| block.rows).collect();
        assert_eq!(rows, [960, 240]);
        let value = value_of(&chunk);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_same_points(&decode(&header, &value, true).unwrap(), &points);
    }

    /// Texts that are short are as many in a block as numbers; of longer ones a block has no more
    /// than it would have without being optimized.
    #[test]
    fn large_blocks_have_a_mebibyte_at_most() {
        let blocks = |len: usize, rows: usize| -> Vec<u32> {
            let points = points_of((0..rows).map(|_| bytes_of(len)));
            let chunk = EncodedChunk::from_points_in_blocks(&points, 65_536, Policy::FAST, 1 << 30);
            let chunk = chunk.unwrap();
            assert!(chunk.header().blocks.iter().zip(0..).all(|(block, number)| {
                let columns = chunk.header().block_columns(number);
                let decoded: u64 = columns.iter().map(|column| column.decoded_len).sum();
                block.rows <= 8192 || decoded <= 1 << 20
            }));
            chunk.header().blocks.iter().map(|block| block.rows).collect()
        };
        assert_eq!(blocks(1000, 20_000), [8192, 8192, 3616]);
        assert_eq!(blocks(3, 20_000), [20_000]);
        assert_eq!(blocks(50, 40_000), [13_952, 13_952, 12_096]);
    }

    #[test]
    fn a_value_above_64_kib_stands_alone() {
        let large = SHARED_VALUE_SIZE_MAX + 1;
        let two = EncodedChunk::from_points(
            &points_of([bytes_of(large), Atom::Null]),
            Policy::RAW,
            1 << 30,
        );
        assert!(matches!(two, Err(SynaError::BatchTooLarge { max: 65_536, .. })));

        let text = Atom::Text("ä".repeat(32 << 20));
        let one =
            EncodedChunk::from_points(&points_of([text.clone()]), Policy::RAW, 1 << 30).unwrap();
        let value = value_of(&one);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_same_points(&decode(&header, &value, true).unwrap(), &points_of([text]));

        let larger = points_of([bytes_of((64 << 20) + 1)]);
        let larger = EncodedChunk::from_points(&larger, Policy::RAW, 1 << 30);
        assert!(matches!(larger, Err(SynaError::ValueTooLarge { .. })));
    }

    #[test]
    fn chunks_above_the_limit_are_refused() {
        let (timestamps, values) = (vec![0; 1000], vec![1; 1000]);
        let chunk = EncodedChunk::from_ints(&timestamps, &values, Policy::RAW, 1 << 30).unwrap();
        let max = (chunk.header().header_len() + 63 + chunk.data().len()) as u64;
        assert!(EncodedChunk::from_ints(&timestamps, &values, Policy::RAW, max).is_ok());
        for max in [max - 1, 1000, 0] {
            let refused = EncodedChunk::from_ints(&timestamps, &values, Policy::RAW, max);
            assert!(matches!(refused, Err(SynaError::BatchTooLarge { .. })));
        }
    }

    #[test]
    fn slices_of_different_lengths_are_refused() {
        let refused = EncodedChunk::from_floats(&[1, 2], &[0.5], Policy::RAW, 1 << 30);
        assert!(matches!(refused, Err(SynaError::LengthMismatch { timestamps: 2, values: 1 })));
    }

    #[test]
    fn timestamps_out_of_order_are_known() {
        let chunk =
            EncodedChunk::from_floats(&[5, -3, 4], &[0.5; 3], Policy::RAW, 1 << 30).unwrap();
        assert_eq!((chunk.rows(), chunk.timestamp_min(), chunk.timestamp_max()), (3, -3, 5));
        assert!(!chunk.header().blocks[0].sorted);
    }

    #[test]
    #[should_panic(expected = "a chunk has at least one point")]
    fn a_chunk_without_points_is_a_bug() {
        let _ = EncodedChunk::from_points(&Points::new(), Policy::RAW, 1 << 30);
    }
}
