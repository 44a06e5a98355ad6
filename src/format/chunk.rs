//! The value of a chunk entry: a run of one key's points in columnar form.
//!
//! This module knows the bytes of the chunk header and where columns lie; [`crate::column`] knows
//! how columns are filled and read. All numbers are little-endian.
//!
//! # Layout
//!
//! ```text
//! value of the entry
//! +---------------------------+--------------------------------------------------+
//! | chunk header, fixed part  | 40 bytes                                         |
//! +---------------------------+--------------------------------------------------+
//! | record of all rows        | 168 bytes, only where there are several blocks   |
//! +---------------------------+--------------- header_len, if there is this one -+
//! | block record 0            | 136 bytes + 32 bytes for each of its columns     |
//! | block record 1            |                                                  |
//! | ...                       |                                                  |
//! +---------------------------+-------------------------------- header_len, else +
//! | zeros                     | 0 to 63 bytes                                    |
//! +---------------------------+-------------------------------- data_start ------+
//! | columns                   | data_len bytes; the file offset of the first one |
//! |                           | is divisible by 64                               |
//! +---------------------------+-------------------------------- end of value ----+
//!
//! chunk header, fixed part
//!  0  u32  header_len
//!  4  u8   chunk_type
//!  5  u8   column_count
//!  6  u16  zero
//!  8  u64  first_row
//! 16  u32  rows
//! 20  u32  block_count
//! 24  u64  data_start
//! 32  u64  data_len
//!
//! block record, record of all rows            column record
//!   0  u32      rows                           0  u8   role
//!   4  u32      flags                          1  u8   encoding
//!   8  i64      timestamp_min                  2  u16  zero
//!  16  i64      timestamp_max                  4  u32  crc
//!  24  u32 x 5  count of each kind             8  u64  offset
//!  44  u32      nans                          16  u64  stored_len
//!  48  f64 x 5  float min, max, sum,          24  u64  decoded_len
//!               first, last
//!  88  i64 x 4  int min, max, first, last
//! 120  i128     int_sum
//! 136           column records, of a block
//! 136  u32      crc, of all rows
//! 140  28 bytes zero, of all rows
//! ```
//!
//! A reader answers `Corrupt` where nothing else is said; `Unsupported` means that a newer version
//! of this library wrote the chunk.
//!
//! ## Chunk header
//!
//! - `header_len`: bytes from the start of the value to where the checksum of the entry ends: with a
//!   record of all rows to the end of that, 208; without, to the end of the last block record. The
//!   block records have exactly `block_count` * (136 + 32 * `column_count`) bytes.
//! - `chunk_type`: the number of an [`AtomKind`] (0 null, 1 float, 2 int, 3 text, 4 bytes) if all
//!   points are of that kind or null, and at least one is of that kind; 5, mixed, if at least two
//!   kinds other than null occur. 128 is added where there is a record of all rows: never where there
//!   is one block, always where 1.1 or later made several, so that 1.0 refuses the chunk by this.
//!   Other numbers: `Unsupported`.
//! - `column_count`: columns of a block. Every block has the same roles in the same order.
//! - `first_row`: row of the first point in its key's history; `first_row + rows` fits a u64.
//! - `rows`: points, at least 1; the sum of the rows of the blocks.
//! - `block_count`: at least 1.
//! - `data_start`: bytes from the start of the value to the first column, less than 64 above the end
//!   of the last block record, and such that the column's file offset is divisible by 64.
//! - `data_len`: `data_start + data_len` is the length of the value.
//!
//! ## Block record
//!
//! - `rows`: 1 to 65,536; a multiple of 64 in every block but the last, so that bitmaps of
//!   neighbouring blocks join.
//! - `flags`: bit 0, no timestamp in the block is smaller than the one before it. Other bits are 0;
//!   one that is set is `Unsupported`.
//! - The rest is the block's zone map ([`ZoneMap`]). The counts add up to `rows`. `nans` counts the
//!   floats that are NaN. `float_min`, `float_max` and `float_sum` are about the floats that are
//!   not, extremes by the total order of doubles, the sum taken from +0.0 in row order; the first
//!   and last float may be NaN. A field about values that do not occur is 0.
//! - The decoded columns of a block have at most 64 MiB together, or it is the only row of its
//!   chunk and has 16 bytes more at most.
//!
//! ## Record of all rows
//!
//! What a block record would say if the chunk were one block, so that a question about all rows is
//! answered by it alone, whatever the number of blocks: their records are neither read nor checked.
//!
//! - `rows`: that of the chunk.
//! - `flags`: as in a block record, for all rows in order.
//! - The zone map is that of the blocks merged in order ([`ZoneMap::merge`]), to the bit:
//!   `float_sum` is the sum of their sums. A record that says something else than the blocks do is
//!   `Corrupt` for whoever reads these.
//! - `crc`: CRC32C of all block records. It is covered by the checksum of the entry, which speaks
//!   for the records through it.
//!
//! ## Column record
//!
//! - `role`: what the column holds, see below; ascending within a block. 9 and above are
//!   `Unsupported`.
//! - `encoding`: how the column is laid out, see below. A number or a pair of role and encoding
//!   that is not in the tables is `Unsupported`.
//! - `crc`: CRC32C of the stored bytes.
//! - `offset`: from `data_start`.
//! - `stored_len`, `decoded_len`: bytes in the file and after decoding; the same for raw. The
//!   decoded columns of a chunk have at most 1 GiB together, an entry of offsets that blocks share
//!   counted once.
//!
//! ## Columns
//!
//! With n the rows of the block, in a mixed chunk the rows of the column's own kind:
//!
//! | role | holds | raw bytes | present in |
//! |---|---|---|---|
//! | 0 timestamps | i64 | 8 for each row of the block | every chunk |
//! | 1 kinds | u8, number of the kind | 1 for each row of the block | mixed chunks |
//! | 2 validity | bitmap, lowest bit first, 1 = valid, rest 0 | rows / 8, rounded up | chunks of one kind other than null that hold a null |
//! | 3 floats | f64 | 8 n | float chunks, mixed chunks with floats |
//! | 4 ints | i64 | 8 n | int chunks, mixed chunks with ints |
//! | 5 text offsets | i32 | 4 (n + 1) | text chunks, mixed chunks with texts |
//! | 6 text data | UTF-8 | any | as 5 |
//! | 7 bytes offsets | i32 | 4 (n + 1) | bytes chunks, mixed chunks with bytes |
//! | 8 bytes data | bytes | any | as 7 |
//!
//! In a chunk of one kind a null has a slot in the value columns: zero bits, or an empty text. In a
//! mixed chunk it has none; a column of a kind that occurs in the chunk is there in every block,
//! possibly empty.
//!
//! The columns of one role follow one another block by block without a gap and form a *run*. Runs
//! follow one another in the order of the roles, each at the first offset divisible by 64 behind
//! the one before it, with zeros between them, so that the mapped bytes of a run whose blocks are
//! all raw are one valid Arrow buffer. Offsets count from the start of the decoded run of text
//! (bytes) data, which has at most 2^31 - 1 bytes; neighbouring blocks of raw offsets share the
//! entry between them, which both checksums cover, so that the run of offsets is a valid buffer,
//! too.
//!
//! ## Encodings
//!
//! Each block of a column has its own. What the stored bytes are is drawn where it is implemented,
//! in the modules of [`crate::column::encoding`].
//!
//! | encoding | allowed by | for | stored bytes |
//! |---|---|---|---|
//! | 0 raw | always | all | the table above |
//! | 1 constant | delta | timestamps, ints, floats, kinds, validity | the one value: 8 bytes; a kind 1; validity 1, 0 or 1 |
//! | 2 frame of reference | delta | timestamps, ints, kinds | `integer`, order 0 |
//! | 3 delta | delta | timestamps, ints, offsets | `integer`, order 1 |
//! | 4 delta of delta | delta | timestamps, ints | `integer`, order 2 |
//! | 5 dictionary | compression | timestamps, ints, floats | `dictionary` |
//! | 5 dictionary | compression | offsets and data of a block, both | `blobs` |
//! | 6 alp, 7 alp delta | delta | floats | `alp`, order 0 and 1 |
//! | 8 ordered delta | delta | floats | `integer`, order 1, of the bits in the order of doubles |
//! | 9 lz4 | compression | offsets, data | one LZ4 block |
//! | 11 runs | delta | kinds, validity | `runs` |
//! | 12 pco | compression, and only `optimize` on demand | timestamps, ints, floats | `cold` |
//!
//! 10 is not used. The flags of the chunk's entry say whether some column uses an encoding that
//! `enable_delta` (`IS_DELTA`) or `enable_compression` (`IS_COMPRESSED`) allows; a chunk whose flags
//! say otherwise is `Corrupt`. A column of no bytes is raw. An LZ4 block that is to decode to more
//! than 255 times its length + 64 is `Corrupt` before anything is allocated. Offsets of texts, where
//! not raw, count from the first one of their block.

use std::ops::Range;

use crate::atom::AtomKind;
use crate::column::encoding::lz4;
use crate::column::{FloatStats, IntStats, ZoneMap};
use crate::error::SynaError;
use crate::format::bytes::put_at;
use crate::format::checksum::crc32c;
use crate::format::column::{ChunkType, ColumnRole, EncodingId};
use crate::format::entry::flags;

/// Bytes of the chunk header before the first block record.
const FIXED_LEN: usize = 40;
/// Bytes of a block record before its column records.
const BLOCK_RECORD_LEN: usize = 136;
/// Bytes of the record of all rows: one like that of a block, a checksum, and zeros, so that readers
/// of 1.0 find no header shorter than they know and refuse the chunk by its type.
const WHOLE_RECORD_LEN: usize = BLOCK_RECORD_LEN + 32;
/// Bytes of a column record.
const COLUMN_RECORD_LEN: usize = 32;
/// The shortest header: one block with the column that every block has.
pub(crate) const HEADER_LEN_MIN: usize = FIXED_LEN + BLOCK_RECORD_LEN + COLUMN_RECORD_LEN;
/// Runs start at file offsets divisible by this: what Arrow recommends for buffers.
pub(crate) const DATA_ALIGN: usize = 64;
/// Rows of the blocks that appends and seals make.
pub(crate) const BLOCK_ROWS: usize = 8192;
/// Rows of the blocks that `optimize` makes of what it encodes. Those of 65,536 would take 0.2 %
/// less for most numbers, and a read of 100,000 rows twice the time: it decodes whole blocks.
pub(crate) const BLOCK_ROWS_OPTIMIZED: usize = 16_384;
/// Rows of the blocks of the cold tier, where size counts: up to a twentieth less than in smaller
/// ones.
pub(crate) const BLOCK_ROWS_COLD: usize = BLOCK_ROWS_MAX as usize;
/// Most bytes of a block of more than [`BLOCK_ROWS`] rows, decoded: what as many numbers as a block
/// may have take. Longer texts are not worth being decoded together to read one.
pub(crate) const BLOCK_SIZE_OPTIMIZED: u64 = 16 * BLOCK_ROWS_MAX as u64;
/// Most rows of a block.
pub(crate) const BLOCK_ROWS_MAX: u32 = 65_536;
/// Every block but the last has a multiple of this many rows.
pub(crate) const BLOCK_ROWS_STEP: u32 = 64;
/// Most bytes of a block's columns together, decoded.
pub(crate) const BLOCK_DECODED_SIZE_MAX: u64 = 64 << 20;
/// Most bytes of a text or bytes value that shares its chunk with other rows. With it, the smallest
/// block that is not the last stays below [`BLOCK_DECODED_SIZE_MAX`].
pub(crate) const SHARED_VALUE_SIZE_MAX: usize = 64 << 10;
/// What the only row of a chunk takes beside its value: a timestamp and two offsets.
const SINGLE_ROW_EXTRA: u64 = 16;
/// Most bytes of all columns of a chunk together, decoded: what a chunk that says it is large can
/// make a reader allocate.
const DECODED_SIZE_MAX: u64 = 1 << 30;
/// Most bytes of a run of text or bytes data: its offsets are i32.
pub(crate) const BLOB_RUN_LEN_MAX: u64 = i32::MAX as u64;

/// The bit of a chunk's type that says that there is a record of all rows.
const TYPE_WHOLE: u8 = 0x80;
/// Bit 0 of a block's flags.
const FLAG_SORTED: u32 = 1;

/// Why bytes are not a chunk that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    /// Two statements contradict each other.
    #[error("{0}")]
    Corrupt(&'static str),
    /// The block records are not those that the chunk was written with: where a write was stopped,
    /// they may be missing behind a header that is whole otherwise.
    #[error("the block records of a chunk fail their checksum")]
    Checksum,
    /// A newer version wrote it.
    #[error("unknown {what} ({value:#x})")]
    Unsupported {
        /// What is not known.
        what: &'static str,
        /// The value found.
        value: u64,
    },
}

impl ChunkError {
    /// The error for callers; `offset` is where the chunk's entry stands in the file.
    pub(crate) fn into_error(self, offset: u64, last_good: u64) -> SynaError {
        match self {
            ChunkError::Corrupt(what) => {
                SynaError::Corrupt { offset, last_good, next_good: None, what }
            }
            ChunkError::Checksum => {
                let what = "the block records of a chunk fail their checksum";
                SynaError::Corrupt { offset, last_good, next_good: None, what }
            }
            ChunkError::Unsupported { what, value } => {
                SynaError::UnsupportedFeature { what, value, offset }
            }
        }
    }
}

type Result<T, E = ChunkError> = std::result::Result<T, E>;

/// `Corrupt(what)` unless `holds`.
fn ensure(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(ChunkError::Corrupt(what)) }
}

/// One column of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnRecord {
    pub(crate) role: ColumnRole,
    pub(crate) encoding: EncodingId,
    /// CRC32C of the stored bytes.
    pub(crate) crc: u32,
    /// From the chunk's `data_start`.
    pub(crate) offset: u64,
    /// Bytes in the file.
    pub(crate) stored_len: u64,
    /// Bytes after decoding.
    pub(crate) decoded_len: u64,
    /// Bytes of this column in the blocks before, decoded; derived, not stored.
    pub(crate) decoded_start: u64,
}

/// One block, whose columns are in [`ChunkHeader::columns`], or all rows of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct BlockRecord {
    /// Rows before it in the chunk; derived, not stored.
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    /// No timestamp is smaller than the one before it.
    pub(crate) sorted: bool,
    pub(crate) zone: ZoneMap,
}

impl BlockRecord {
    /// Slots of `kind` in the value columns of a block: of a chunk of one kind, all rows.
    pub(crate) fn slots(&self, chunk_type: ChunkType, kind: AtomKind) -> u64 {
        match chunk_type {
            ChunkType::One(_) => u64::from(self.rows),
            ChunkType::Mixed => self.zone.count(kind),
        }
    }
}

/// All that a chunk says about itself. What [`ChunkHeader::parse`] returns is consistent: counts
/// add up, and every column lies within the data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChunkHeader {
    pub(crate) chunk_type: ChunkType,
    /// Row of the first point in the key's history.
    pub(crate) first_row: u64,
    pub(crate) rows: u32,
    /// Bytes from the start of the value to the first column.
    pub(crate) data_start: u64,
    pub(crate) data_len: u64,
    pub(crate) column_count: u8,
    pub(crate) blocks: Vec<BlockRecord>,
    /// `column_count` records for each block, block after block.
    pub(crate) columns: Vec<ColumnRecord>,
    /// What the blocks say together; see [`ChunkHeader::complete`].
    pub(crate) whole: Box<BlockRecord>,
    /// Whether that is said in the header itself: in those written now, where there are several
    /// blocks.
    pub(crate) whole_is_stored: bool,
}

/// What a header says about all rows of its chunk, read without the records of the blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChunkSummary {
    pub(crate) chunk_type: ChunkType,
    /// Row of the first point in the key's history.
    pub(crate) first_row: u64,
    pub(crate) whole: BlockRecord,
}

/// Bytes of a value that [`header_lens`] looks at.
pub(crate) const PREFIX_LEN: usize = FIXED_LEN;

/// How long a chunk header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderLens {
    /// From the start of the value to the end of the last block record.
    pub(crate) all: usize,
    /// From the start of the value to where the checksum of the entry ends.
    pub(crate) covered: usize,
}

/// Reads the lengths of the header from the first bytes of a value, so that a caller knows how much
/// to read for [`ChunkHeader::parse`] and [`ChunkSummary::parse`]. What it returns is at most
/// `value_len`.
///
/// # Errors
///
/// `Corrupt` if no header of a value of `value_len` bytes has this length.
pub(crate) fn header_lens(value_prefix: [u8; PREFIX_LEN], value_len: u64) -> Result<HeaderLens> {
    let [a, b, c, d, chunk_type, column_count, _, _, rest @ ..] = value_prefix;
    let covered = u32::from_le_bytes([a, b, c, d]);
    let [.., e, f, g, h] = *rest.first_chunk::<16>().unwrap_or(&[0; 16]);
    let records = u64::from(u32::from_le_bytes([e, f, g, h]))
        .saturating_mul((BLOCK_RECORD_LEN + COLUMN_RECORD_LEN * usize::from(column_count)) as u64);
    // What else is wrong with the counts is for who reads the header.
    let all = match chunk_type & TYPE_WHOLE {
        0 => u64::from(covered),
        _ => u64::from(covered).saturating_add(records),
    };
    let fits = covered.is_multiple_of(8) && all <= value_len;
    let (covered, all) = (usize::try_from(covered), usize::try_from(all));
    let lens = covered.ok().zip(all.ok()).filter(|(len, _)| fits && *len >= HEADER_LEN_MIN);
    let impossible = ChunkError::Corrupt("the length of the chunk header is impossible");
    let (covered, all) = lens.ok_or(impossible)?;
    Ok(HeaderLens { all, covered })
}

/// The smallest multiple of [`DATA_ALIGN`] at or above `position`.
pub(crate) fn align_up(position: u64) -> Option<u64> {
    position.checked_next_multiple_of(DATA_ALIGN as u64)
}

impl ChunkHeader {
    /// Length of the encoded header.
    pub(crate) fn header_len(&self) -> usize {
        let columns = self.columns.len().saturating_mul(COLUMN_RECORD_LEN);
        let blocks = self.blocks.len().saturating_mul(BLOCK_RECORD_LEN);
        self.records_at().saturating_add(blocks).saturating_add(columns)
    }

    /// How much of the encoded header the checksum of the entry covers.
    pub(crate) fn covered_len(&self) -> usize {
        if self.whole_is_stored { self.records_at() } else { self.header_len() }
    }

    /// Where the first block record begins.
    fn records_at(&self) -> usize {
        FIXED_LEN.saturating_add(if self.whole_is_stored { WHOLE_RECORD_LEN } else { 0 })
    }

    /// The columns of a block, in the order of their roles; empty if there is no such block.
    pub(crate) fn block_columns(&self, block: usize) -> &[ColumnRecord] {
        let count = usize::from(self.column_count);
        let start = block.saturating_mul(count);
        self.columns.get(start..start.saturating_add(count)).unwrap_or_default()
    }

    /// The column of `role` in a block.
    pub(crate) fn column(&self, block: usize, role: ColumnRole) -> Option<&ColumnRecord> {
        self.block_columns(block).iter().find(|column| column.role == role)
    }

    /// Where the run of `role` lies, from `data_start`: the same column of all blocks.
    pub(crate) fn run(&self, role: ColumnRole) -> Option<Range<u64>> {
        let first = self.column(0, role)?;
        let last = self.column(self.blocks.len().checked_sub(1)?, role)?;
        Some(first.offset..last.offset.checked_add(last.stored_len)?)
    }

    /// The block that holds `row` of the chunk, and the row within it.
    pub(crate) fn block_of_row(&self, row: u32) -> Option<(usize, u32)> {
        let block = self.blocks.partition_point(|block| block.first_row <= row).checked_sub(1)?;
        let record = self.blocks.get(block)?;
        let row = row.checked_sub(record.first_row).filter(|row| *row < record.rows)?;
        Some((block, row))
    }

    /// What the flags of the entry say about the encodings: whether some column uses one that
    /// `enable_delta` allows, and one that `enable_compression` does.
    pub(crate) fn entry_flags(&self) -> u8 {
        let any =
            |allowed: fn(EncodingId) -> bool| self.columns.iter().any(|c| allowed(c.encoding));
        let delta = if any(EncodingId::is_delta) { flags::IS_DELTA } else { 0 };
        delta | if any(EncodingId::is_compression) { flags::IS_COMPRESSED } else { 0 }
    }

    /// The zone map of all rows.
    pub(crate) fn zone_map(&self) -> &ZoneMap {
        &self.whole.zone
    }

    /// Whether the columns are aligned in the file if the value stands at `value_offset`. A chunk
    /// whose columns are not is corrupt.
    pub(crate) fn is_aligned_at(&self, value_offset: u64) -> bool {
        value_offset
            .checked_add(self.data_start)
            .is_some_and(|at| at.is_multiple_of(DATA_ALIGN as u64))
    }

    /// The stretches between header, runs and end, from the start of the value. Their bytes are
    /// zero and no checksum covers them: whoever wants to be sure that a file is as it was written
    /// compares them.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Range<u64>> {
        let mut end = self.header_len() as u64;
        let roles = self.block_columns(0).iter().map(|column| column.role);
        roles.filter_map(move |role| {
            let run = self.run(role)?;
            let start = run.start.checked_add(self.data_start)?;
            let gap = end..start;
            end = run.end.checked_add(self.data_start)?;
            (!gap.is_empty()).then_some(gap)
        })
    }
}

/// Writing.
impl ChunkHeader {
    /// Fills in what follows from the records of blocks and columns: where each column begins in
    /// its decoded run, and what the blocks say together.
    pub(crate) fn complete(&mut self) {
        self.set_decoded_starts();
        *self.whole = BlockRecord::of_blocks(&self.blocks);
        self.whole_is_stored = self.blocks.len() > 1;
    }

    /// The bytes of the header, `header_len` of them.
    ///
    /// # Panics
    ///
    /// If a count does not fit its field; [`crate::column::EncodedChunk`] makes none such.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let len = self.header_len();
        let mut out = Vec::with_capacity(len.saturating_add(DATA_ALIGN));
        let whole_bit = if self.whole_is_stored { TYPE_WHOLE } else { 0 };
        out.extend(to_u32(self.covered_len() as u64).to_le_bytes());
        out.extend([self.chunk_type.to_u8() | whole_bit, self.column_count, 0, 0]);
        out.extend(self.first_row.to_le_bytes());
        out.extend(self.rows.to_le_bytes());
        out.extend(to_u32(self.blocks.len() as u64).to_le_bytes());
        out.extend(self.data_start.to_le_bytes());
        out.extend(self.data_len.to_le_bytes());
        if self.whole_is_stored {
            self.whole.encode(&mut out);
            out.extend([0; WHOLE_RECORD_LEN - BLOCK_RECORD_LEN]);
        }
        for (number, block) in self.blocks.iter().enumerate() {
            block.encode(&mut out);
            self.block_columns(number).iter().for_each(|column| column.encode(&mut out));
        }
        if self.whole_is_stored
            && let Some((before, records)) = out.split_at_mut_checked(self.records_at())
            && let Some(field) = before.get_mut(FIXED_LEN + BLOCK_RECORD_LEN..)
        {
            put_at(field, 0, &crc32c(records).to_le_bytes());
        }
        debug_assert_eq!(out.len(), len);
        out
    }

    /// Changes `first_row` and `data_start` in the bytes that [`ChunkHeader::encode`] gave.
    pub(crate) fn patch(&mut self, encoded: &mut [u8], first_row: u64, data_start: u64) {
        self.first_row = first_row;
        self.data_start = data_start;
        for (at, value) in [(8, first_row), (24, data_start)] {
            if let Some(field) = encoded.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *field = value.to_le_bytes();
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "the builder bounds these numbers before it starts")]
fn to_u32(number: u64) -> u32 {
    u32::try_from(number).expect("counts and lengths in a chunk header fit 32 bits")
}

impl BlockRecord {
    /// What these blocks of a chunk say together.
    fn of_blocks(blocks: &[BlockRecord]) -> BlockRecord {
        let mut whole = BlockRecord { sorted: true, ..BlockRecord::default() };
        for block in blocks {
            let follows = whole.rows == 0 || block.zone.timestamp_min >= whole.zone.timestamp_max;
            whole.sorted &= block.sorted && follows;
            whole.rows = whole.rows.saturating_add(block.rows);
            whole.zone.merge(&block.zone);
        }
        whole
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let zone = &self.zone;
        out.extend(self.rows.to_le_bytes());
        out.extend(if self.sorted { FLAG_SORTED } else { 0 }.to_le_bytes());
        out.extend(zone.timestamp_min.to_le_bytes());
        out.extend(zone.timestamp_max.to_le_bytes());
        for count in zone.counts.into_iter().chain([zone.nans]) {
            out.extend(to_u32(count).to_le_bytes());
        }
        for bits in zone.float.to_bits() {
            out.extend(bits.to_le_bytes());
        }
        for value in [zone.int.min, zone.int.max, zone.int.first, zone.int.last] {
            out.extend(value.to_le_bytes());
        }
        out.extend(zone.int.sum.to_le_bytes());
    }
}

impl ColumnRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.role as u8, self.encoding as u8, 0, 0]);
        out.extend(self.crc.to_le_bytes());
        for value in [self.offset, self.stored_len, self.decoded_len] {
            out.extend(value.to_le_bytes());
        }
    }
}

/// Reading.
impl ChunkHeader {
    /// Reads and checks the header of a value of `value_len` bytes. `value_prefix` holds at least
    /// the header ([`header_lens`] says how long that is); bytes behind it are ignored.
    ///
    /// Any bytes may be given. Nothing is allocated beyond a small multiple of the prefix, and only
    /// after the counts were found to match its length.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type, flag, role or encoding that this version does not know, `Checksum`
    /// if the block records fail theirs, `Corrupt` for any contradiction.
    pub(crate) fn parse(value_prefix: &[u8], value_len: u64) -> Result<ChunkHeader> {
        let (fixed, mut bytes) = Fixed::parse(value_prefix, value_len)?;
        let Fixed { chunk_type, column_count, first_row, rows, .. } = fixed;
        let block_count = fixed.block_count;
        let column_total = block_count.saturating_mul(column_count.into());
        let said = match fixed.parse_whole(&mut bytes)? {
            None => None,
            Some((whole, crc)) => {
                let short = ChunkError::Corrupt("the chunk header is cut short");
                let records = FIXED_LEN + WHOLE_RECORD_LEN..fixed.header_len;
                bytes = Bytes(value_prefix.get(records).ok_or(short)?);
                if crc32c(bytes.0) != crc {
                    return Err(ChunkError::Checksum);
                }
                Some(whole)
            }
        };
        let mut header = ChunkHeader {
            chunk_type,
            first_row,
            rows,
            data_start: fixed.data_start,
            data_len: fixed.data_len,
            column_count,
            blocks: Vec::with_capacity(block_count),
            columns: Vec::with_capacity(column_total),
            whole: Box::default(),
            whole_is_stored: said.is_some(),
        };
        let mut block_first_row = 0_u32;
        for _ in 0..block_count {
            let block = BlockRecord::parse(&mut bytes, block_first_row, BLOCK_ROWS_MAX)?;
            let next = block_first_row.checked_add(block.rows);
            block_first_row = next.ok_or(ChunkError::Corrupt("a chunk has too many rows"))?;
            header.blocks.push(block);
            for _ in 0..column_count {
                header.columns.push(ColumnRecord::parse(&mut bytes)?);
            }
        }
        ensure(block_first_row == rows, "the rows of the blocks do not add up")?;
        *header.whole = BlockRecord::of_blocks(&header.blocks);
        let agree = said.is_none_or(|said| said == *header.whole);
        ensure(agree, "a chunk says something else than its blocks")?;
        header.check_blocks()?;
        header.check_columns()?;
        Ok(header)
    }

    /// Rows and kinds against the chunk's type and roles.
    fn check_blocks(&self) -> Result<()> {
        let whole = |block: &BlockRecord| block.rows.is_multiple_of(BLOCK_ROWS_STEP);
        let but_last = self.blocks.len().saturating_sub(1);
        let holds = self.blocks.iter().take(but_last).all(whole);
        ensure(holds, "a block that is not the last has a bad number of rows")?;
        let totals = self.whole.zone.counts;
        let holds = ChunkType::of_counts(&totals) == self.chunk_type;
        ensure(holds, "the type of a chunk does not match its kinds")?;
        let roles: Vec<ColumnRole> = ColumnRole::of_chunk(self.chunk_type, &totals).collect();
        let of_blocks = self.columns.chunks(usize::from(self.column_count).max(1));
        for found in of_blocks {
            let holds = found.iter().map(|column| column.role).eq(roles.iter().copied());
            ensure(holds, "the columns of a block do not match the type of its chunk")?;
        }
        Ok(())
    }

    /// Offsets and lengths of the columns.
    fn check_columns(&mut self) -> Result<()> {
        let mut total = 0_u64;
        for (block, record) in self.blocks.iter().enumerate() {
            let mut decoded = 0_u64;
            let mut offsets = EncodingId::Raw;
            for column in self.block_columns(block) {
                column.check_len(record, self.chunk_type)?;
                decoded = decoded.saturating_add(column.decoded_len);
                total = total.saturating_add(column.decoded_len);
                match column.role {
                    ColumnRole::TextOffsets | ColumnRole::BytesOffsets => {
                        offsets = column.encoding;
                        // The entry that blocks share.
                        total = total.saturating_sub(if block > 0 { 4 } else { 0 });
                    }
                    ColumnRole::TextData | ColumnRole::BytesData => {
                        let together = (offsets == EncodingId::Dictionary)
                            == (column.encoding == EncodingId::Dictionary);
                        ensure(together, "half a dictionary of texts")?;
                    }
                    _ => {}
                }
            }
            let extra = if self.rows == 1 { SINGLE_ROW_EXTRA } else { 0 };
            let holds = decoded <= BLOCK_DECODED_SIZE_MAX.saturating_add(extra);
            ensure(holds, "a block is too large")?;
        }
        ensure(total <= DECODED_SIZE_MAX, "a chunk is too large")?;
        self.set_decoded_starts();
        let mut end = 0_u64;
        for place in 0..usize::from(self.column_count) {
            let run = self.columns.iter().skip(place).step_by(self.column_count.into());
            end = self.check_run(run, end)?;
        }
        ensure(end == self.data_len, "the columns of a chunk do not fill its data")
    }

    /// Fills in where each column begins in its decoded run.
    fn set_decoded_starts(&mut self) {
        let count = usize::from(self.column_count);
        let mut starts = vec![0_u64; count];
        for block in self.columns.chunks_mut(count.max(1)) {
            for (column, start) in block.iter_mut().zip(&mut starts) {
                column.decoded_start = *start;
                *start = start.saturating_add(column.decoded_len);
            }
        }
    }

    /// That the columns of one role lie one after the other at the first place behind `end`;
    /// returns where they end.
    fn check_run<'a>(&self, run: impl Iterator<Item = &'a ColumnRecord>, end: u64) -> Result<u64> {
        let outside = ChunkError::Corrupt("a column lies outside its chunk");
        let start = align_up(end).ok_or(outside)?;
        let mut end = start;
        let mut decoded_max = u64::MAX;
        let (mut decoded, mut was_raw) = (0_u64, false);
        for column in run {
            let is_raw = column.encoding == EncodingId::Raw;
            let shared = if column.role.is_offsets() && is_raw && was_raw { 4 } else { 0 };
            was_raw = is_raw;
            decoded = decoded.saturating_add(column.decoded_len);
            let holds = end.checked_sub(shared) == Some(column.offset);
            ensure(holds, "a column does not lie where it should")?;
            end = column.offset.checked_add(column.stored_len).ok_or(outside)?;
            ensure(end <= self.data_len, "a column lies outside its chunk")?;
            if matches!(column.role, ColumnRole::TextData | ColumnRole::BytesData) {
                decoded_max = BLOB_RUN_LEN_MAX;
            }
        }
        ensure(decoded <= decoded_max, "the texts of a chunk are too long together")?;
        Ok(end)
    }
}

/// The fixed part of a header, checked as far as it goes.
struct Fixed {
    chunk_type: ChunkType,
    column_count: u8,
    header_len: usize,
    whole_is_stored: bool,
    first_row: u64,
    rows: u32,
    block_count: usize,
    data_start: u64,
    data_len: u64,
}

impl Fixed {
    /// The fixed part of the header of a value, and what the checksum of the entry covers behind it.
    /// The header is as long as its counts say.
    fn parse(value_prefix: &[u8], value_len: u64) -> Result<(Fixed, Bytes<'_>)> {
        let mut bytes = Bytes(value_prefix);
        let HeaderLens { all: len, covered } = header_lens(bytes.take()?, value_len)?;
        let short = ChunkError::Corrupt("the chunk header is cut short");
        let mut bytes = Bytes(value_prefix.get(4..covered).ok_or(short)?);
        let chunk_type = bytes.u8()?;
        let column_count = bytes.u8()?;
        let zero = bytes.u16()?;
        let first_row = bytes.u64()?;
        let rows = bytes.u32()?;
        let block_count = bytes.u32()?;
        let data_start = bytes.u64()?;
        let data_len = bytes.u64()?;
        let whole_is_stored = chunk_type & TYPE_WHOLE != 0;
        let chunk_type = ChunkType::from_u8(chunk_type & !TYPE_WHOLE)?;
        ensure(zero == 0, "a reserved field of a chunk is not zero")?;
        ensure(rows > 0 && block_count > 0, "a chunk has no rows")?;
        let once = !whole_is_stored || block_count > 1;
        ensure(once, "a chunk of one block says twice what it holds")?;
        ensure(first_row.checked_add(rows.into()).is_some(), "a row number is too large")?;
        let gap = data_start.checked_sub(len as u64);
        ensure(gap.is_some_and(|gap| gap < DATA_ALIGN as u64), "the data of a chunk is misplaced")?;
        let end = data_start.checked_add(data_len);
        ensure(end == Some(value_len), "the data of a chunk does not end with its value")?;

        let record_len = usize::from(column_count)
            .checked_mul(COLUMN_RECORD_LEN)
            .and_then(|columns| columns.checked_add(BLOCK_RECORD_LEN));
        let block_count = usize::try_from(block_count).ok();
        let records_at = FIXED_LEN + if whole_is_stored { WHOLE_RECORD_LEN } else { 0 };
        let counted = block_count
            .zip(record_len)
            .and_then(|(n, len)| n.checked_mul(len))
            .and_then(|len| len.checked_add(records_at));
        let ends = !whole_is_stored || covered == records_at;
        let matches = counted == Some(len) && ends && column_count > 0;
        ensure(matches, "the counts in a chunk header do not match its length")?;
        let block_count = block_count.unwrap_or(0);
        let fixed = Fixed {
            chunk_type,
            column_count,
            header_len: len,
            whole_is_stored,
            first_row,
            rows,
            block_count,
            data_start,
            data_len,
        };
        Ok((fixed, bytes))
    }

    /// The record of all rows behind the fixed part, if there is one, and the checksum of the block
    /// records.
    fn parse_whole(&self, bytes: &mut Bytes<'_>) -> Result<Option<(BlockRecord, u32)>> {
        if !self.whole_is_stored {
            return Ok(None);
        }
        let whole = BlockRecord::parse(bytes, 0, u32::MAX)?;
        ensure(whole.rows == self.rows, "a chunk says twice how many rows it has")?;
        let crc = bytes.u32()?;
        let zeros: [u8; 28] = bytes.take()?;
        ensure(zeros == [0; 28], "a reserved field of a chunk is not zero")?;
        Ok(Some((whole, crc)))
    }
}

impl ChunkSummary {
    /// Reads what the header of a value of `value_len` bytes says about all rows; `None` if it says
    /// that only block by block. `value_prefix` holds at least what the checksum of the entry covers
    /// ([`header_lens`]). Costs the same whatever the number of blocks; nothing is allocated.
    ///
    /// # Errors
    ///
    /// As [`ChunkHeader::parse`], of which this checks what does not need the blocks.
    pub(crate) fn parse(value_prefix: &[u8], value_len: u64) -> Result<Option<ChunkSummary>> {
        let (fixed, mut bytes) = Fixed::parse(value_prefix, value_len)?;
        let Some((whole, _)) = fixed.parse_whole(&mut bytes)? else { return Ok(None) };
        let Fixed { chunk_type, first_row, .. } = fixed;
        let holds = ChunkType::of_counts(&whole.zone.counts) == chunk_type;
        ensure(holds, "the type of a chunk does not match its kinds")?;
        Ok(Some(ChunkSummary { chunk_type, first_row, whole }))
    }
}

impl BlockRecord {
    fn parse(bytes: &mut Bytes<'_>, first_row: u32, rows_max: u32) -> Result<Self> {
        let rows = bytes.u32()?;
        let flags = bytes.u32()?;
        let unknown = flags & !FLAG_SORTED;
        if unknown != 0 {
            return Err(ChunkError::Unsupported { what: "block flag", value: unknown.into() });
        }
        ensure((1..=rows_max).contains(&rows), "a block has a bad number of rows")?;
        let timestamp_min = bytes.i64()?;
        let timestamp_max = bytes.i64()?;
        let mut counts = [0_u64; 5];
        for count in &mut counts {
            *count = bytes.u32()?.into();
        }
        let nans = bytes.u32()?.into();
        let mut float = [0_u64; 5];
        for bits in &mut float {
            *bits = bytes.u64()?;
        }
        let [min, max, first, last] = [bytes.i64()?, bytes.i64()?, bytes.i64()?, bytes.i64()?];
        let int = IntStats { min, max, sum: i128::from_le_bytes(bytes.take()?), first, last };
        let float = FloatStats::from_bits(float);
        let zone = ZoneMap { timestamp_min, timestamp_max, counts, nans, float, int };
        ensure(zone.rows() == u64::from(rows), "the kinds in a block do not add up to its rows")?;
        ensure(timestamp_min <= timestamp_max, "the timestamps of a block contradict each other")?;
        check_float_stats(&zone)?;
        check_int_stats(&zone)?;
        Ok(BlockRecord { first_row, rows, sorted: flags & FLAG_SORTED != 0, zone })
    }
}

/// What can be said about the doubles in a zone map without seeing them.
fn check_float_stats(zone: &ZoneMap) -> Result<()> {
    let stats = &zone.float;
    let within =
        |value: f64| stats.min.total_cmp(&value).is_le() && value.total_cmp(&stats.max).is_le();
    let ends = [stats.first, stats.last];
    let holds = zone.nans <= zone.count(AtomKind::Float)
        && if zone.count(AtomKind::Float) == 0 {
            *stats == FloatStats::default()
        } else if zone.float_numbers() == 0 {
            ends.iter().all(|end| end.is_nan())
                && [stats.min, stats.max, stats.sum].iter().all(|value| value.to_bits() == 0)
        } else {
            !stats.min.is_nan()
                && !stats.max.is_nan()
                && within(stats.min)
                && ends.iter().all(|end| within(*end) || (end.is_nan() && zone.nans > 0))
        };
    ensure(holds, "the floats of a block contradict each other")
}

/// What can be said about the integers in a zone map without seeing them.
fn check_int_stats(zone: &ZoneMap) -> Result<()> {
    let stats = &zone.int;
    let count = zone.count(AtomKind::Int);
    // Of less than 2^32 rows: nothing overflows.
    let total = |value: i64| i128::from(value).saturating_mul(count.into());
    let range = stats.min..=stats.max;
    let holds = if count == 0 {
        *stats == IntStats::default()
    } else {
        range.contains(&stats.first)
            && range.contains(&stats.last)
            && (total(stats.min)..=total(stats.max)).contains(&stats.sum)
    };
    ensure(holds, "the integers of a block contradict each other")
}

impl ColumnRecord {
    fn parse(bytes: &mut Bytes<'_>) -> Result<Self> {
        let role = ColumnRole::from_u8(bytes.u8()?)?;
        let encoding = EncodingId::from_u8(bytes.u8()?)?;
        if !encoding.fits(role) {
            let value = encoding as u64;
            return Err(ChunkError::Unsupported { what: "column encoding", value });
        }
        ensure(bytes.u16()? == 0, "a reserved field of a column is not zero")?;
        Ok(ColumnRecord {
            role,
            encoding,
            crc: bytes.u32()?,
            offset: bytes.u64()?,
            stored_len: bytes.u64()?,
            decoded_len: bytes.u64()?,
            decoded_start: 0,
        })
    }

    fn check_len(&self, block: &BlockRecord, chunk_type: ChunkType) -> Result<()> {
        match self.encoding {
            EncodingId::Raw => {
                ensure(self.stored_len == self.decoded_len, "a raw column has two lengths")?;
            }
            EncodingId::Lz4 => {
                let possible = self.decoded_len <= lz4::decoded_len_max(self.stored_len);
                ensure(possible, "an LZ4 block that cannot be as long as it says")?;
            }
            _ => {}
        }
        let holds = self.encoding == EncodingId::Raw || self.decoded_len > 0;
        ensure(holds, "an empty column is encoded")?;
        let slots = self.role.kind().map_or(0, |kind| block.slots(chunk_type, kind));
        let holds = match self.role.decoded_len(block.rows.into(), slots) {
            Some(len) => self.decoded_len == len,
            // Without a text there is no byte of text.
            None => {
                let texts = self.role.kind().map_or(0, |kind| block.zone.count(kind));
                texts > 0 || self.decoded_len == 0
            }
        };
        ensure(holds, "the length of a column does not match its rows")
    }
}

/// The rest of some bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let short = ChunkError::Corrupt("the chunk header is cut short");
        let (taken, rest) = self.0.split_first_chunk().ok_or(short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;
    use crate::atom::Atom;
    use crate::column::encoding::Policy;
    use crate::column::testing::{
        assert_same_points, decode, points_of, random_atoms, stored, value_of,
    };
    use crate::column::{EncodedChunk, Points, reader};

    /// Chunks of a key of three bytes, placed at 12,288 with first row 7. Words of four bytes, what
    /// they are behind the semicolon; `00*n` is n zeros.
    const NULL_CHUNK: &str = "
            d0000000 00010000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 02000000 01000000 ; first_row, rows, block_count
            e5000000 00000000 10000000 00000000 ; data_start, data_len
            02000000 00000000 ; block: rows, flags
            03000000 00000000 05000000 00000000 ; timestamp min, max
            02000000 00000000 00000000 00000000 00000000 00000000 ; counts by kind, nans
            00*24 ; float min, max, sum
            00*16 ; float first, last
            00*32 ; int min, max, first, last
            00*16 ; int sum
            00000000 96bc3cad 00000000 00000000 10000000 00000000 10000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            00*21 ; zeros up to data_start
            05000000 00000000 03000000 00000000 ; timestamps
    ";

    const FLOAT_CHUNK: &str = "
            10010000 01030000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 04000000 01000000 ; first_row, rows, block_count
            25010000 00000000 a0000000 00000000 ; data_start, data_len
            04000000 01000000 ; block: rows, flags
            01000000 00000000 04000000 00000000 ; timestamp min, max
            01000000 03000000 00000000 00000000 00000000 01000000 ; counts by kind, nans
            00000000 00000080 00000000 0000f83f 00000000 0000f83f ; float min, max, sum
            00000000 0000f83f 00000000 00000080 ; float first, last
            00*32 ; int min, max, first, last
            00*16 ; int sum
            00000000 ecfaad06 00000000 00000000 20000000 00000000 20000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            02000000 821f55ed 40000000 00000000 01000000 00000000 01000000 00000000 ; validity: role, encoding, zero, crc, offset, lengths
            03000000 0b1247fa 80000000 00000000 20000000 00000000 20000000 00000000 ; floats: role, encoding, zero, crc, offset, lengths
            00*21 ; zeros up to data_start
            01000000 00000000 02000000 00000000 02000000 00000000 04000000 00000000 ; timestamps
            00*32 ; zeros
            0d ; validity
            00*63 ; zeros
            00000000 0000f83f 00000000 00000000 01000000 0000f0ff 00000000 00000080 ; floats
    ";

    const INT_CHUNK: &str = "
            f0000000 02020000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 03000000 01000000 ; first_row, rows, block_count
            25010000 00000000 58000000 00000000 ; data_start, data_len
            03000000 01000000 ; block: rows, flags
            ffffffff ffffffff 01000000 00000000 ; timestamp min, max
            00000000 00000000 03000000 00000000 00000000 00000000 ; counts by kind, nans
            00*24 ; float min, max, sum
            00*16 ; float first, last
            ffffffff ffffffff ffffffff ffffff7f ffffffff ffffffff ffffffff ffffff7f ; int min, max, first, last
            fdffffff ffffffff 00000000 00000000 ; int sum
            00000000 192bf9f5 00000000 00000000 18000000 00000000 18000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            04000000 57be0435 40000000 00000000 18000000 00000000 18000000 00000000 ; ints: role, encoding, zero, crc, offset, lengths
            00*53 ; zeros up to data_start
            ffffffff ffffffff 00000000 00000000 01000000 00000000 ; timestamps
            00*40 ; zeros
            ffffffff ffffffff ffffffff ffffff7f ffffffff ffffff7f ; ints
    ";

    const TEXT_CHUNK: &str = "
            10010000 03030000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 03000000 01000000 ; first_row, rows, block_count
            25010000 00000000 85000000 00000000 ; data_start, data_len
            03000000 01000000 ; block: rows, flags
            01000000 00000000 03000000 00000000 ; timestamp min, max
            00000000 00000000 00000000 03000000 00000000 00000000 ; counts by kind, nans
            00*24 ; float min, max, sum
            00*16 ; float first, last
            00*32 ; int min, max, first, last
            00*16 ; int sum
            00000000 04c40404 00000000 00000000 18000000 00000000 18000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            05000000 c886533f 40000000 00000000 10000000 00000000 10000000 00000000 ; text offsets: role, encoding, zero, crc, offset, lengths
            06000000 ddc6b1f7 80000000 00000000 05000000 00000000 05000000 00000000 ; text data: role, encoding, zero, crc, offset, lengths
            00*21 ; zeros up to data_start
            01000000 00000000 02000000 00000000 03000000 00000000 ; timestamps
            00*40 ; zeros
            00000000 00000000 03000000 05000000 ; text offsets
            00*48 ; zeros
            610062c3 bc ; text data
    ";

    const BYTES_CHUNK: &str = "
            30010000 04040000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 03000000 01000000 ; first_row, rows, block_count
            65010000 00000000 c2000000 00000000 ; data_start, data_len
            03000000 01000000 ; block: rows, flags
            01000000 00000000 03000000 00000000 ; timestamp min, max
            01000000 00000000 00000000 00000000 02000000 00000000 ; counts by kind, nans
            00*24 ; float min, max, sum
            00*16 ; float first, last
            00*32 ; int min, max, first, last
            00*16 ; int sum
            00000000 04c40404 00000000 00000000 18000000 00000000 18000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            02000000 4d478c67 40000000 00000000 01000000 00000000 01000000 00000000 ; validity: role, encoding, zero, crc, offset, lengths
            07000000 45eb8c0d 80000000 00000000 10000000 00000000 10000000 00000000 ; bytes offsets: role, encoding, zero, crc, offset, lengths
            08000000 0383940d c0000000 00000000 02000000 00000000 02000000 00000000 ; bytes data: role, encoding, zero, crc, offset, lengths
            00*53 ; zeros up to data_start
            01000000 00000000 02000000 00000000 03000000 00000000 ; timestamps
            00*40 ; zeros
            05 ; validity
            00*63 ; zeros
            00000000 02000000 02000000 02000000 ; bytes offsets
            00*48 ; zeros
            fffe ; bytes data
    ";

    const MIXED_CHUNK: &str = "
            b0010000 05080000 ; header_len, chunk_type, column_count, zero
            07000000 00000000 06000000 01000000 ; first_row, rows, block_count
            e5010000 00000000 c1010000 00000000 ; data_start, data_len
            06000000 00000000 ; block: rows, flags
            08000000 00000000 09000000 00000000 ; timestamp min, max
            01000000 01000000 02000000 01000000 01000000 00000000 ; counts by kind, nans
            00000000 0000e03f 00000000 0000e03f 00000000 0000e03f ; float min, max, sum
            00000000 0000e03f 00000000 0000e03f ; float first, last
            feffffff ffffffff 02000000 00000000 02000000 00000000 feffffff ffffffff ; int min, max, first, last
            00*16 ; int sum
            00000000 d54f9f8d 00000000 00000000 30000000 00000000 30000000 00000000 ; timestamps: role, encoding, zero, crc, offset, lengths
            01000000 e8ef65ce 40000000 00000000 06000000 00000000 06000000 00000000 ; kinds: role, encoding, zero, crc, offset, lengths
            03000000 e0188799 80000000 00000000 08000000 00000000 08000000 00000000 ; floats: role, encoding, zero, crc, offset, lengths
            04000000 8d73f72e c0000000 00000000 10000000 00000000 10000000 00000000 ; ints: role, encoding, zero, crc, offset, lengths
            05000000 32186d51 00010000 00000000 08000000 00000000 08000000 00000000 ; text offsets: role, encoding, zero, crc, offset, lengths
            06000000 935f3ca9 40010000 00000000 01000000 00000000 01000000 00000000 ; text data: role, encoding, zero, crc, offset, lengths
            07000000 32186d51 80010000 00000000 08000000 00000000 08000000 00000000 ; bytes offsets: role, encoding, zero, crc, offset, lengths
            08000000 51537d52 c0010000 00000000 01000000 00000000 01000000 00000000 ; bytes data: role, encoding, zero, crc, offset, lengths
            00*53 ; zeros up to data_start
            09000000 00000000 08000000 00000000 08000000 00000000 08000000 00000000 ; timestamps
            08000000 00000000 09000000 00000000
            00*16 ; zeros
            02030001 0402 ; kinds
            00*58 ; zeros
            00000000 0000e03f ; floats
            00*56 ; zeros
            02000000 00000000 feffffff ffffffff ; ints
            00*48 ; zeros
            00000000 01000000 ; text offsets
            00*56 ; zeros
            78 ; text data
            00*63 ; zeros
            00000000 01000000 ; bytes offsets
            00*56 ; zeros
            00 ; bytes data
    ";

    fn bytes(golden: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in golden.lines() {
            for word in line.split(';').next().unwrap().split_whitespace() {
                if let Some(count) = word.strip_prefix("00*") {
                    bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), 0);
                } else {
                    let digits = (0..word.len()).step_by(2);
                    bytes.extend(
                        digits.map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap()),
                    );
                }
            }
        }
        bytes
    }

    fn samples() -> Vec<(&'static str, Points)> {
        let nan = f64::from_bits(0xfff0_0000_0000_0001);
        let atoms = [
            (NULL_CHUNK, vec![(5, Atom::Null), (3, Atom::Null)]),
            (
                FLOAT_CHUNK,
                vec![(1, 1.5.into()), (2, Atom::Null), (2, nan.into()), (4, (-0.0).into())],
            ),
            (INT_CHUNK, vec![(-1, (-1_i64).into()), (0, i64::MAX.into()), (1, i64::MAX.into())]),
            (TEXT_CHUNK, vec![(1, "".into()), (2, "a\0b".into()), (3, "ü".into())]),
            (
                BYTES_CHUNK,
                vec![(1, vec![0xff, 0xfe].into()), (2, Atom::Null), (3, vec![0; 0].into())],
            ),
            (
                MIXED_CHUNK,
                vec![
                    (9, 2_i64.into()),
                    (8, "x".into()),
                    (8, Atom::Null),
                    (8, 0.5.into()),
                    (8, vec![0_u8].into()),
                    (9, (-2_i64).into()),
                ],
            ),
        ];
        atoms.into_iter().map(|(golden, atoms)| (golden, points_of(&atoms))).collect()
    }

    #[test]
    fn chunks_have_the_documented_bytes() {
        for (golden, points) in samples() {
            let mut chunk = EncodedChunk::from_points(&points, Policy::RAW, 1 << 30).unwrap();
            chunk.place(7, 12_288, 3);
            let value = value_of(&chunk);
            assert_eq!(value, bytes(golden), "{golden}");

            let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
            assert_eq!(&header, chunk.header());
            assert_eq!(header.encode(), value[..header.header_len()]);
            assert!(header.is_aligned_at(12_288 + 24 + 3));
            assert!(!header.is_aligned_at(12_288 + 24 + 4));
            assert!(header.gaps().all(|gap| {
                value[gap.start as usize..gap.end as usize].iter().all(|byte| *byte == 0)
            }));
            assert_same_points(&decode(&header, &value, true).unwrap(), &points);
        }
    }

    #[test]
    fn every_byte_of_a_value_is_in_a_checked_place() {
        for (_, points) in samples() {
            let mut chunk = EncodedChunk::from_points(&points, Policy::RAW, 1 << 30).unwrap();
            chunk.place(7, 12_288, 3);
            let header = chunk.header();
            let columns = header.columns.iter().map(|column| column.stored_len);
            let gaps = header.gaps().map(|gap| gap.end - gap.start);
            let total = header.header_len() as u64 + columns.chain(gaps).sum::<u64>();
            assert_eq!(total, chunk.value_len());
        }
    }

    /// Makes the checksum of the block records right, so that what they say is looked at.
    fn mend(value: &mut [u8]) {
        let prefix = *value.first_chunk().unwrap();
        if let Ok(lens) = header_lens(prefix, value.len() as u64)
            && lens.covered < lens.all
        {
            let crc = crc32c(&value[lens.covered..lens.all]);
            value[176..180].copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// What is wrong with a header.
    #[derive(Clone, Copy, PartialEq)]
    enum Wrong {
        /// Nothing, or something that nothing contradicts.
        Harmless,
        /// Bytes taken for those of another encoding may well be some values, which only the zone
        /// map contradicts: that is what the checksum over the header is for.
        Encoding,
        Other,
    }

    /// What a wrong header may do: be refused, or leave the points as they are.
    fn check_wrong_value(value: &[u8], points: &Points, entry_flags: u8, wrong: Wrong) {
        let Ok(header) = ChunkHeader::parse(value, value.len() as u64) else { return };
        // Whoever reads a chunk compares them with those of its entry.
        if header.entry_flags() != entry_flags {
            return;
        }
        let data = |column: &ColumnRecord| stored(&header, value, column);
        for row in (0..header.rows).step_by(511) {
            let _ = reader::point_at(&header, row, data);
        }
        let _ = decode(&header, value, false);
        if let Ok(decoded) = decode(&header, value, true)
            && wrong != Wrong::Encoding
        {
            assert_same_points(&decoded, points);
        }
        let verified = (0..header.blocks.len())
            .all(|block| reader::verify_block_and_zone_map(&header, block, data).is_ok());
        if verified && wrong == Wrong::Encoding {
            // Two encodings of which the same bytes are the same values.
            assert_same_points(&decode(&header, value, true).unwrap(), points);
        } else {
            assert!(!verified || wrong == Wrong::Harmless, "a wrong header was accepted");
        }
    }

    #[test]
    fn any_wrong_byte_of_a_header_is_an_error_or_harmless() {
        let mut samples = samples();
        for kinds in [0b01001, 0b11111] {
            samples.push(("", points_of(&random_atoms(u64::from(kinds), 8200, kinds))));
        }
        let cold = Policy { cold: true, ..Policy::FAST };
        for ((_, points), policy) in
            samples.iter().flat_map(|s| [Policy::RAW, Policy::FAST, cold].map(|p| (s, p)))
        {
            // Decoding the cold tier some ten thousand times takes its time.
            if policy.cold && points.len() > 100 {
                continue;
            }
            let chunk = EncodedChunk::from_points(points, policy, 1 << 30).unwrap();
            let value = value_of(&chunk);
            let flags = chunk.header().entry_flags();
            let mut wrong = value.clone();
            for at in 0..chunk.header().header_len() {
                let byte = value[at];
                for other in [0, 1, 2, 5, 0x7f, 0x80, 0xff, byte ^ 1, byte.wrapping_add(8)] {
                    wrong[at] = other;
                    // The first row is the only field that nothing contradicts.
                    let records = chunk.header().records_at();
                    let before = wrong.clone();
                    mend(&mut wrong);
                    // The checksum itself is made right again, too.
                    let mended = chunk.header().whole_is_stored && (176..180).contains(&at);
                    let in_block = at.saturating_sub(records)
                        % (136 + 32 * usize::from(chunk.header().column_count));
                    let what = if other == byte || mended || (8..16).contains(&at) {
                        Wrong::Harmless
                    } else if at > records && in_block > 136 && (in_block - 136) % 32 == 1 {
                        Wrong::Encoding
                    } else {
                        Wrong::Other
                    };
                    check_wrong_value(&wrong, points, flags, what);
                    wrong = before;
                }
                wrong[at] = byte;
            }
        }
    }

    /// Three blocks of 64, 64 and 2 rows, the record of all rows, and the same as 1.0 wrote it.
    fn in_blocks(points: &Points) -> (ChunkHeader, Vec<u8>) {
        let part = |rows: std::ops::Range<usize>| {
            EncodedChunk::from_points(&points.slice(rows), Policy::FAST, 1 << 30).unwrap()
        };
        let chunks = [part(0..64), part(64..128), part(128..130)];
        let sources: Vec<_> = chunks
            .iter()
            .map(|chunk| crate::column::SourceBlock { header: chunk.header(), block: 0 })
            .collect();
        let merged = crate::column::MergedChunk::of_blocks(&sources).chunk;
        (merged.header().clone(), merged.header_bytes().to_vec())
    }

    #[test]
    fn several_blocks_say_together_what_one_would() {
        type Order = fn(i64) -> i64;
        let floats = |order: Order| {
            let points: Vec<(i64, Atom)> =
                (0..130).map(|n| (order(n), Atom::Float(n as f64 / 2.0))).collect();
            points_of(&points)
        };
        // Blocks in order, blocks out of order, and blocks in order that are not sorted themselves.
        let orders: [(Order, bool); 3] =
            [(|n| n / 2, true), (|n| (n % 64) - n / 64, false), (|n| n ^ 1, false)];
        for (order, sorted) in orders {
            let points = floats(order);
            let (header, head) = in_blocks(&points);
            let value_len = head.len() as u64 + header.data_len;
            assert_eq!(header.header_len(), 40 + 168 + 3 * (136 + 2 * 32));
            assert_eq!((head[4], head[..4].to_vec()), (0x81, 208_u32.to_le_bytes().to_vec()));
            let lens = header_lens(*head.first_chunk().unwrap(), value_len).unwrap();
            assert_eq!((lens.covered, lens.all), (208, header.header_len()));
            assert_eq!((header.covered_len(), header.header_len()), (lens.covered, lens.all));
            assert_eq!(head[176..180], crc32c(&head[208..lens.all]).to_le_bytes());
            let summary = ChunkSummary::parse(&head[..208], value_len).unwrap().unwrap();
            assert_eq!(summary.whole, *header.whole);
            assert_eq!(ChunkHeader::parse(&head, value_len).unwrap(), header);
            let zone = points.zone_map(0..130);
            assert_eq!((summary.whole.zone, summary.whole.rows), (zone, 130));
            assert_eq!(summary.whole.sorted, sorted);
            assert_eq!(head[40 + 4] & 1 == 1, sorted);
        }
    }

    /// A summary may be read alone, so whatever it says is said by the blocks, too, or refused by
    /// who reads these.
    #[test]
    fn a_record_of_all_rows_that_differs_from_the_blocks_is_refused() {
        let points: Vec<(i64, Atom)> = (0..130).map(|n| (n, Atom::Int(n % 7 - 3))).collect();
        let (header, head) = in_blocks(&points_of(&points));
        let value_len = head.len() as u64 + header.data_len;
        for at in 208..header.header_len() {
            let mut wrong = head.clone();
            wrong[at] ^= 1;
            assert_eq!(ChunkHeader::parse(&wrong, value_len), Err(ChunkError::Checksum));
        }
        for at in (0..8).chain(40..40 + 168) {
            for bit in 0..8 {
                let mut wrong = head.clone();
                wrong[at] ^= 1 << bit;
                let error = ChunkHeader::parse(&wrong, value_len).unwrap_err();
                // Bits that a newer version may set: of the type, and of the flags.
                let newer =
                    (at == 4 && bit < 7) || ((44..48).contains(&at) && (at, bit) != (44, 0));
                let unsupported = matches!(error, ChunkError::Unsupported { .. });
                assert!(!unsupported || newer, "{at} {bit} {error}");
            }
        }
        assert!(ChunkSummary::parse(&head[..207], value_len).is_err());
    }

    #[test]
    fn several_blocks_without_a_record_of_all_rows_are_read() {
        let points: Vec<(i64, Atom)> = (0..130).map(|n| (n, Atom::Int(n % 7 - 3))).collect();
        let (mut header, _) = in_blocks(&points_of(&points));
        header.whole_is_stored = false;
        header.data_start = header.header_len() as u64;
        let head = header.encode();
        let value_len = header.data_start + header.data_len;
        assert_eq!(head.len(), 40 + 3 * (136 + 2 * 32));
        assert_eq!(ChunkHeader::parse(&head, value_len).unwrap(), header);
        assert_eq!(ChunkSummary::parse(&head, value_len), Ok(None));
        // What is written anew has it.
        let anew = crate::column::MergedChunk::of_chunk(&header).chunk;
        assert!(anew.header().whole_is_stored);
    }

    #[test]
    fn truncated_values_are_refused() {
        for (_, points) in samples() {
            let value =
                value_of(&EncodedChunk::from_points(&points, Policy::RAW, 1 << 30).unwrap());
            let len = value.len() as u64;
            let header = ChunkHeader::parse(&value, len).unwrap();
            for end in 0..value.len() {
                assert!(ChunkHeader::parse(&value[..end], end as u64).is_err());
                let parsed = ChunkHeader::parse(&value[..end], len);
                assert_eq!(parsed.is_ok(), end >= header.header_len(), "{end}");
            }
            assert!(ChunkHeader::parse(&value, len - 1).is_err());
            assert!(ChunkHeader::parse(&value, len + 1).is_err());
        }
    }

    #[test]
    fn impossible_header_lengths_are_refused() {
        let len = |len: u32, value_len| {
            let mut prefix = [0; PREFIX_LEN];
            prefix[..4].copy_from_slice(&len.to_le_bytes());
            header_lens(prefix, value_len).map(|lens| lens.all)
        };
        assert_eq!(len(208, 208), Ok(208));
        for (header, value) in
            [(0, 500), (200, 500), (212, 500), (216, 215), (u32::MAX - 7, 1 << 30)]
        {
            assert!(len(header, value).is_err(), "{header} of {value}");
        }
    }

    #[test]
    fn huge_counts_are_refused_before_anything_is_allocated() {
        let value = bytes(INT_CHUNK);
        for (at, len) in [(16, 4), (20, 4), (24, 8), (32, 8), (40, 4), (56 + 8, 4), (176 + 8, 24)] {
            for fill in [0xff, 0x7f] {
                let mut wrong = value.clone();
                wrong[at..at + len].fill(fill);
                assert!(ChunkHeader::parse(&wrong, wrong.len() as u64).is_err(), "{at}");
            }
        }
        // Rows and columns whose product overflows, with a matching header length field.
        let mut wrong = value.clone();
        wrong[5] = 0xff;
        wrong[20..24].fill(0xff);
        assert!(ChunkHeader::parse(&wrong, wrong.len() as u64).is_err());
    }

    #[test]
    fn what_a_newer_version_may_write_is_unsupported() {
        let value = bytes(INT_CHUNK);
        for (at, byte, what, number) in [
            (4, 6, "chunk type", 6),
            (45, 1, "block flag", 256),
            (40 + 136, 9, "column role", 9),
            (40 + 136 + 1, 6, "column encoding", 6),
            (40 + 136 + 1, 10, "column encoding", 10),
            (40 + 136 + 33, 9, "column encoding", 9),
            (40 + 136 + 33, 13, "column encoding", 13),
        ] {
            let mut newer = value.clone();
            newer[at] = byte;
            let error = ChunkHeader::parse(&newer, newer.len() as u64).unwrap_err();
            assert_eq!(error, ChunkError::Unsupported { what, value: number });
        }
    }
}
