//! Copying whole histories into a new file: what `optimize` and `retain` have in common.
//!
//! Key by key, in bytewise order, the live rows become chunks as large as they may be, in blocks of
//! [`BLOCK_ROWS_OPTIMIZED`] rows, in the cold tier of [`BLOCK_ROWS_COLD`], and of raw columns, which
//! longer blocks make no shorter, of [`BLOCK_ROWS`]. A block of numbers that is full, or the last of
//! its history, and encoded as it would be now is copied byte for byte, its checksums compared on
//! the way; everything else is decoded and encoded anew, together with its neighbours. What was
//! written by appends is thus encoded anew once, and copied from then on. At no time is more in
//! memory than [`PENDING_BYTES`] of points, about as much of what they became, and the headers of
//! one key's chunks.
//!
//! What a history becomes:
//!
//! ```text
//! old:   [block block][part] [part] (tail)        a key's rows, in order
//! new:   [block block block .. block part]        one chunk, or one for each change of type
//!        puts                                     the last rows, if they are fewer than 32
//!        [one row]  or  put                       a value above 64 KiB stands alone
//! ```
//!
//! A put does not say which row it is, so a history that does not begin at row 0 begins with a
//! chunk, however few its rows are.

use std::ops::Range;
use std::sync::Arc;

use crate::Point;
use crate::column::encoding::Policy;
use crate::column::{ColumnSource, EncodedChunk, MergedChunk, Points, SourceBlock, is_mergeable};
use crate::db::{CHUNK_ROWS_MIN, Pinned};
use crate::error::Result;
use crate::format::chunk::{
    BLOCK_ROWS, BLOCK_ROWS_COLD, BLOCK_ROWS_OPTIMIZED, BLOCK_ROWS_STEP, BLOCK_SIZE_OPTIMIZED,
    ChunkHeader, ColumnRecord, SHARED_VALUE_SIZE_MAX,
};
use crate::format::column::{ChunkType, ColumnRole, EncodingId};
use crate::index::{HistoryView, KeySlot, Latest, LoadedChunk, Segment, SegmentBody};
use crate::index::{latest_of_point, load_chunk_once, read_large_put};
use crate::log::LogFile;

use super::rewrite::{NewFile, Teller};

/// Decoded points that wait to become a chunk take about so many bytes at most, and so do encoded
/// ones that wait to be written.
const PENDING_BYTES: usize = 64 << 20;

/// Rows that do not fill a block shift all rows behind them, whose blocks must then be encoded
/// anew. Where at least so many rows follow whose blocks could be copied, a chunk ends there instead.
const RUN_KEPT: u64 = 1 << 19;

/// A chunk of so many bytes whose blocks cannot be merged with others is copied whole.
const CHUNK_KEPT_BYTES: u64 = 16 << 20;

/// Most blocks of a chunk: its header has to be read as a whole.
const BLOCKS_MAX: usize = 1 << 16;

/// Progress is told after so many rows, or so many bytes of columns.
const ROWS_TOLD: u64 = 1 << 20;
const BYTES_TOLD: u64 = 16 << 20;

/// Copies of every live key the rows from the one that `first_row` says to the newest. It is given
/// the key and its live rows. A key of which nothing is kept is left out.
pub(crate) fn copy_histories(
    pinned: &Pinned,
    new: &mut NewFile,
    teller: &mut Teller<'_>,
    first_row: &dyn Fn(&LogFile, &str, &HistoryView) -> Result<u64>,
) -> Result<()> {
    let (index, log) = (&pinned.generation.index, &*pinned.generation.log);
    let commit_end = pinned.commit_end();
    let mut slots: Vec<&KeySlot> = Vec::new();
    let mut total = 0;
    for slot in index.slots() {
        let rows = slot.version_at(commit_end).len();
        if rows > 0 {
            slots.push(slot);
            total += rows;
        }
    }
    slots.sort_unstable_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    let mut told = Told { teller, done: 0, total, rows: 0, bytes: 0 };
    for (number, slot) in slots.into_iter().enumerate() {
        let view = slot.view(commit_end, |version| version.live_from..version.rows);
        let live = view.rows();
        let first = first_row(log, &slot.key, &view)?.clamp(live.start, live.end);
        let view = if first == live.start {
            view
        } else {
            slot.view(commit_end, |version| first..version.rows)
        };
        told.rows(first - live.start)?;
        if !view.rows().is_empty() {
            copy_key(log, slot, commit_end, &view, new, &mut told)?;
        }
        if number % 4096 == 0 {
            told.tell()?;
        }
    }
    Ok(())
}

/// How far the copying is.
struct Told<'t, 'a> {
    teller: &'t mut Teller<'a>,
    done: u64,
    total: u64,
    /// Since progress was told.
    rows: u64,
    bytes: u64,
}

impl Told<'_, '_> {
    fn rows(&mut self, rows: u64) -> Result<()> {
        self.done += rows;
        self.rows += rows;
        if self.rows >= ROWS_TOLD { self.tell() } else { Ok(()) }
    }

    fn bytes(&mut self, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        if self.bytes >= BYTES_TOLD { self.tell() } else { Ok(()) }
    }

    fn tell(&mut self) -> Result<()> {
        (self.rows, self.bytes) = (0, 0);
        self.teller.part(self.done, self.total)
    }
}

/// A part of a history, as it lies in the old file.
struct Stretch {
    source: Source,
    /// The type of its chunk, if the block can be copied as it is.
    copied_as: Option<ChunkType>,
    /// How many rows from here on are in blocks that can be copied into one chunk.
    run: u64,
}

enum Source {
    /// Rows of one block of a chunk.
    Block {
        chunk: Arc<LoadedChunk>,
        block: usize,
        rows: Range<u32>,
    },
    /// A whole chunk that is copied as it is.
    Chunk(Arc<LoadedChunk>),
    /// A value that stands alone.
    Single(Single),
    /// Rows in memory.
    Points(Arc<Segment>, Range<usize>),
    Tail,
}

enum Single {
    Put { offset: u64, val_len: u32 },
    Chunk(Arc<LoadedChunk>),
}

/// Whether these columns are encoded as they would be if they were written now: by what `policy`
/// allows, and not raw where it allows anything. A column that stays raw all the same is looked at
/// again each time.
fn are_encoded_well(columns: &[ColumnRecord], policy: Policy) -> bool {
    let is_cold = |column: &ColumnRecord| column.encoding == EncodingId::Pco;
    if policy.cold && !columns.iter().any(is_cold) {
        return false;
    }
    columns.iter().all(|column| match column.encoding {
        EncodingId::Raw => policy == Policy::RAW || column.role == ColumnRole::Validity,
        EncodingId::Pco => policy.cold || policy.compression,
        encoding => {
            (policy.delta || !encoding.is_delta())
                && (policy.compression || !encoding.is_compression())
        }
    })
}

/// Rows of a block that is made now. What is read now and then is worth being decoded in larger
/// blocks to take less; raw columns take the same in any.
fn block_rows(policy: Policy) -> usize {
    if policy.cold {
        BLOCK_ROWS_COLD
    } else if policy == Policy::RAW {
        BLOCK_ROWS
    } else {
        BLOCK_ROWS_OPTIMIZED
    }
}

/// Whether a block has enough rows to be left as it is.
fn is_full(rows: u32, policy: Policy) -> bool {
    rows as usize >= block_rows(policy) && rows.is_multiple_of(BLOCK_ROWS_STEP)
}

/// Whether a chunk is worth more as it is than merged with its neighbours.
fn is_kept_whole(header: &ChunkHeader, policy: Policy) -> bool {
    let but_last = header.blocks.len().saturating_sub(1);
    !is_mergeable(header.chunk_type)
        && header.data_len >= CHUNK_KEPT_BYTES
        && are_encoded_well(&header.columns, policy)
        && header.blocks.iter().take(but_last).enumerate().all(|(number, block)| {
            let columns = header.block_columns(number).iter();
            let decoded: u64 = columns.map(|column| column.decoded_len).sum();
            // Of texts that are long fewer are in a block, now as before.
            let is_large = block.rows as usize >= BLOCK_ROWS && decoded > BLOCK_SIZE_OPTIMIZED / 2;
            is_full(block.rows, policy) || is_large || decoded >= CHUNK_KEPT_BYTES
        })
}

/// Whether a chunk holds one value that must not share its chunk.
fn is_single(header: &ChunkHeader) -> bool {
    header.rows == 1
        && header.columns.iter().any(|column| {
            matches!(column.role, ColumnRole::TextData | ColumnRole::BytesData)
                && column.decoded_len > SHARED_VALUE_SIZE_MAX as u64
        })
}

/// The parts of a history in order.
fn stretches(log: &LogFile, key: &str, view: &HistoryView, policy: Policy) -> Result<Vec<Stretch>> {
    let wanted = view.rows();
    let mut stretches = Vec::new();
    let mut push = |source, copied_as| stretches.push(Stretch { source, copied_as, run: 0 });
    for segment in view.segments() {
        let from = wanted.start.max(segment.first_row) - segment.first_row;
        let to = wanted.end.min(segment.end_row()) - segment.first_row;
        match &segment.body {
            SegmentBody::Chunk { .. } => {
                let chunk = load_chunk_once(log, key, segment)?;
                let header = chunk.header();
                if is_single(header) {
                    push(Source::Single(Single::Chunk(chunk)), None);
                    continue;
                }
                if (from..to) == (0..segment.rows) && is_kept_whole(header, policy) {
                    push(Source::Chunk(chunk), None);
                    continue;
                }
                let in_chunk = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
                for (number, block) in header.blocks.iter().enumerate() {
                    let end = block.first_row + block.rows;
                    let rows = in_chunk(from).max(block.first_row)..in_chunk(to).min(end);
                    if rows.is_empty() {
                        continue;
                    }
                    let whole = rows == (block.first_row..end);
                    let could_be = whole
                        && is_mergeable(header.chunk_type)
                        && are_encoded_well(header.block_columns(number), policy);
                    // The last block is small: that what it says of itself is true is looked at
                    // here, as it would be if it were encoded anew.
                    let is_last = || {
                        segment.first_row + u64::from(end) == wanted.end
                            && block.rows as usize >= CHUNK_ROWS_MIN
                            && chunk.verify_block_whole(log, number).is_ok()
                    };
                    let copied = could_be && (is_full(block.rows, policy) || is_last());
                    let chunk = Arc::clone(&chunk);
                    let copied_as = copied.then_some(header.chunk_type);
                    push(Source::Block { chunk, block: number, rows }, copied_as);
                }
            }
            SegmentBody::Put { offset, val_len } => {
                let put = Single::Put { offset: *offset, val_len: *val_len };
                push(Source::Single(put), None);
            }
            SegmentBody::Points(_) => {
                let in_memory = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
                push(Source::Points(Arc::clone(segment), in_memory(from)..in_memory(to)), None);
            }
        }
    }
    if !view.tail().is_empty() {
        push(Source::Tail, None);
    }
    let mut next: (Option<ChunkType>, u64) = (None, 0);
    for stretch in stretches.iter_mut().rev() {
        if let Source::Block { rows, .. } = &stretch.source
            && stretch.copied_as.is_some()
        {
            let behind = if next.0 == stretch.copied_as { next.1 } else { 0 };
            stretch.run = behind.saturating_add(rows.len() as u64);
        }
        next = (stretch.copied_as, stretch.run);
    }
    Ok(stretches)
}

fn copy_key(
    log: &LogFile,
    slot: &KeySlot,
    commit_end: u64,
    view: &HistoryView,
    new: &mut NewFile,
    told: &mut Told<'_, '_>,
) -> Result<()> {
    let newest = slot.newest_point(log, commit_end)?;
    let policy = new.policy();
    let mut copy = KeyCopy {
        log,
        key: &slot.key,
        latest: newest.as_ref().map_or(Latest::Absent, latest_of_point),
        new,
        told,
        next_row: view.rows().start,
        puts_are_in_place: view.rows().start == 0,
        blocks: Blocks::default(),
        pending: Points::new(),
    };
    for stretch in stretches(log, &slot.key, view, policy)? {
        copy.add(&stretch, view)?;
    }
    copy.finish()
}

/// A block of a chunk to be written.
enum Block {
    Copied(Arc<LoadedChunk>, usize),
    Encoded(EncodedChunk),
}

impl Block {
    fn source(&self) -> SourceBlock<'_> {
        match self {
            Block::Copied(chunk, block) => SourceBlock { header: chunk.header(), block: *block },
            Block::Encoded(chunk) => SourceBlock { header: chunk.header(), block: 0 },
        }
    }
}

/// The chunk that is being put together.
#[derive(Default)]
struct Blocks {
    blocks: Vec<Block>,
    chunk_type: Option<ChunkType>,
    rows: u64,
    /// What the chunk takes in the file at most.
    bytes: u64,
    /// What of it is in memory.
    encoded_bytes: usize,
}

/// The history of one key on its way into the new file.
struct KeyCopy<'c, 't, 'u> {
    log: &'c LogFile,
    key: &'c str,
    latest: Latest,
    new: &'c mut NewFile,
    told: &'c mut Told<'t, 'u>,
    /// The row of the first point that is not written yet.
    next_row: u64,
    /// Whether a put would become that row.
    puts_are_in_place: bool,
    /// Rows that are written next, in blocks,
    blocks: Blocks,
    /// and those behind them.
    pending: Points,
}

impl KeyCopy<'_, '_, '_> {
    fn add(&mut self, stretch: &Stretch, view: &HistoryView) -> Result<()> {
        match &stretch.source {
            Source::Block { chunk, block, rows } => {
                if stretch.copied_as.is_some() {
                    let follows = self.pending.is_empty();
                    if !follows && stretch.run >= RUN_KEPT {
                        self.write_all(false)?;
                    }
                    if follows || stretch.run >= RUN_KEPT {
                        return self.push(Block::Copied(Arc::clone(chunk), *block));
                    }
                }
                chunk.decode(self.log, rows.start, rows.end, &mut self.pending)?;
                self.encode_full_blocks()
            }
            Source::Chunk(chunk) => {
                self.write_all(false)?;
                let source = SourceBlock { header: chunk.header(), block: 0 };
                let copied = Block::Copied(Arc::clone(chunk), 0);
                self.write(MergedChunk::of_chunk(source.header), &[copied])
            }
            Source::Single(single) => {
                self.write_all(false)?;
                let point = match single {
                    Single::Put { offset, val_len } => {
                        let (timestamp, value) =
                            read_large_put(self.log, self.key, *offset, *val_len)?;
                        Point { timestamp, value }
                    }
                    Single::Chunk(chunk) => chunk.point(self.log, 0)?,
                };
                self.write_single(point)
            }
            Source::Points(segment, rows) => {
                if let SegmentBody::Points(points) = &segment.body {
                    self.pending.extend_from(points, rows.clone());
                }
                self.encode_full_blocks()
            }
            Source::Tail => {
                self.pending.extend_from(view.tail(), 0..view.tail().len());
                self.encode_full_blocks()
            }
        }
    }

    fn finish(mut self) -> Result<()> {
        if !self.blocks.blocks.is_empty() && !self.pending.is_empty() {
            let chunk_type = type_of(&self.pending, 0..self.pending.len());
            if self.pending.len() <= self.block_rows() && self.blocks.chunk_type == Some(chunk_type)
            {
                let chunk = self.encode(&self.pending)?;
                self.pending = Points::new();
                self.push(Block::Encoded(chunk))?;
            }
        }
        self.write_all(true)
    }

    fn policy(&self) -> Policy {
        self.new.policy()
    }

    fn block_rows(&self) -> usize {
        block_rows(self.policy())
    }

    fn encode(&self, points: &Points) -> Result<EncodedChunk> {
        let (block_rows, policy) = (self.block_rows(), self.policy());
        EncodedChunk::from_points_in_blocks(points, block_rows, policy, self.size_max())
    }

    fn size_max(&self) -> u64 {
        // The place of a chunk in the file may cost it some bytes of alignment.
        self.log.limits().chunk_size_max - 64
    }

    /// Turns whole blocks of waiting points into blocks of the chunk, or writes what waits if it is
    /// much and of no kind that can be part of a chunk block by block.
    fn encode_full_blocks(&mut self) -> Result<()> {
        let mut done = 0;
        let block_rows = self.block_rows();
        while self.pending.len() - done >= block_rows {
            let rows = done..done + block_rows;
            let chunk_type = type_of(&self.pending, rows.clone());
            if !is_mergeable(chunk_type) {
                break;
            }
            let block = Block::Encoded(self.encode(&self.pending.slice(rows))?);
            self.push(block)?;
            done += block_rows;
        }
        if done > 0 {
            self.pending = self.pending.slice(done..self.pending.len());
        }
        if self.pending.memory_bytes() >= PENDING_BYTES {
            self.write_all(false)?;
        }
        Ok(())
    }

    /// Adds a block to the chunk that is being put together; if it does not fit, a new one begins.
    fn push(&mut self, block: Block) -> Result<()> {
        let (chunk_type, rows, bytes, encoded) = {
            let source = block.source();
            let rows = source.header.blocks.get(source.block).map_or(0, |block| block.rows);
            let columns = source.header.block_columns(source.block);
            let stored: u64 = columns.iter().map(|column| column.stored_len).sum();
            // The records, a column that says that no row is null, and what aligns the runs.
            let bytes = stored + u64::from(rows).div_ceil(8) + 512;
            let encoded = match &block {
                Block::Encoded(chunk) => chunk.data().len(),
                Block::Copied(..) => 0,
            };
            (source.header.chunk_type, rows, bytes, encoded)
        };
        let blocks = &self.blocks;
        let fits = blocks.chunk_type.is_none_or(|other| other == chunk_type)
            && blocks.bytes + bytes <= self.size_max()
            && blocks.rows + u64::from(rows) <= u64::from(u32::MAX)
            && blocks.blocks.len() < BLOCKS_MAX
            && blocks.encoded_bytes < PENDING_BYTES;
        if !fits {
            self.write_blocks()?;
        }
        let blocks = &mut self.blocks;
        blocks.blocks.push(block);
        blocks.chunk_type = Some(chunk_type);
        blocks.rows += u64::from(rows);
        blocks.bytes += bytes;
        blocks.encoded_bytes += encoded;
        Ok(())
    }

    /// Writes all that waits. Nothing comes behind the `last` of it.
    fn write_all(&mut self, last: bool) -> Result<()> {
        self.write_blocks()?;
        let points = std::mem::take(&mut self.pending);
        if points.is_empty() {
            return Ok(());
        }
        if last && self.puts_are_in_place && points.len() < CHUNK_ROWS_MIN {
            for row in 0..points.len() {
                self.new.commit_point(self.key, &points.point(row))?;
            }
            return self.wrote(points.len() as u64);
        }
        let chunk = self.encode(&points)?;
        drop(points);
        let merged = MergedChunk::of_chunk(chunk.header());
        self.write(merged, &[Block::Encoded(chunk)])
    }

    fn write_blocks(&mut self) -> Result<()> {
        let Blocks { blocks, .. } = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            return Ok(());
        }
        let sources: Vec<SourceBlock<'_>> = blocks.iter().map(Block::source).collect();
        let merged = MergedChunk::of_blocks(&sources);
        self.write(merged, &blocks)
    }

    /// A value above 64 KiB.
    fn write_single(&mut self, point: Point) -> Result<()> {
        if self.puts_are_in_place {
            self.new.commit_point(self.key, &point)?;
            return self.wrote(1);
        }
        let mut points = Points::new();
        points.push_atom(point.timestamp, point.value);
        let chunk = self.encode(&points)?;
        let merged = MergedChunk::of_chunk(chunk.header());
        self.write(merged, &[Block::Encoded(chunk)])
    }

    /// Writes a chunk whose columns come from these blocks, verifying those of the old file.
    fn write(&mut self, merged: MergedChunk, blocks: &[Block]) -> Result<()> {
        let MergedChunk { mut chunk, columns } = merged;
        let rows = u64::from(chunk.rows());
        let (log, told) = (self.log, &mut *self.told);
        self.new.chunk(self.key, self.next_row, &mut chunk, self.latest, |pieces| {
            for column in &columns {
                let offset = column.record.offset;
                match &column.source {
                    ColumnSource::Made(bytes) => pieces.column(offset, bytes)?,
                    ColumnSource::Block(number, source) => match blocks.get(*number) {
                        Some(Block::Copied(chunk, _)) => {
                            pieces.column(offset, &chunk.column_bytes(log, source)?)?;
                        }
                        Some(Block::Encoded(chunk)) => {
                            pieces.column(offset, stored(chunk, source))?;
                        }
                        None => {}
                    },
                }
                told.bytes(column.record.stored_len)?;
            }
            Ok(())
        })?;
        self.wrote(rows)
    }

    fn wrote(&mut self, rows: u64) -> Result<()> {
        self.next_row += rows;
        self.puts_are_in_place = true;
        self.told.rows(rows)
    }
}

/// The bytes of a column of a chunk in memory.
fn stored<'c>(chunk: &'c EncodedChunk, column: &ColumnRecord) -> &'c [u8] {
    let range = usize::try_from(column.offset).ok().zip(usize::try_from(column.stored_len).ok());
    let range = range.map(|(start, len)| start..start.saturating_add(len));
    range.and_then(|range| chunk.data().get(range)).unwrap_or_default()
}

/// The type of a chunk of these rows.
fn type_of(points: &Points, rows: Range<usize>) -> ChunkType {
    let len = rows.len();
    ChunkType::of_counts(&points.kinds(rows).counts(len))
}
