//! In which batches a history leaves, and what reading it would cost.

use std::fmt;
use std::ops::Range;

use arrow_schema::DataType;

use crate::atom::AtomKind;
use crate::format::column::ChunkType;
use crate::index::Part;

use super::Materializer;
use super::cache::{Column, PackKey};
use super::columns::{How, KeyReader, blocks_of, direct_role};
use super::contiguous::{Piece, Source, how_of_points, span};
use super::schema::{ValueType, are_floats, timestamp_type};
use super::select::pieces;

/// Rows of a batch at most, unless they lie in one piece.
pub(crate) const BATCH_ROWS: u64 = 1 << 20;
/// Decoded bytes of a batch at most, unless they lie in one piece or are one block's.
pub(crate) const BATCH_BYTES: u64 = 64 << 20;
/// So many rows that lie in one piece are worth a batch of their own; fewer are put together with
/// their neighbours.
const PIECE_ROWS_MIN: u64 = 65_536;

/// The rows of each batch.
pub(crate) type Batches = Vec<Vec<Range<u64>>>;

/// Cuts rows into batches.
pub(crate) fn plan_batches(
    reader: &KeyReader,
    parts: &[Part],
    rows: &[Range<u64>],
    values: ValueType,
) -> Batches {
    let all = pieces(parts, rows);
    if all.is_empty() {
        return Vec::new();
    }
    let columns = [Column::Timestamps, Column::Values(values)];
    let lies_ready = |piece: &Piece<'_>| {
        columns.iter().all(|column| {
            how_direct(reader, piece, *column)
                .is_some_and(|how| matches!(how, How::Mapped | How::Cached))
        })
    };
    let is_cached = span(&all).is_some_and(|rows| {
        columns.iter().all(|column| reader.shared.cache.holds(reader.run_key(*column), &rows))
    });
    if is_cached || matches!(&*all, [piece] if lies_ready(piece)) {
        return vec![rows.to_vec()];
    }
    let mut batches = Batches::new();
    let mut open = Batch::default();
    for piece in &all {
        let alone = piece.len() >= PIECE_ROWS_MIN && lies_ready(piece);
        if alone {
            open.close(&mut batches);
        }
        for step in piece.steps() {
            let bytes = reader.bytes_of_rows(piece.part, Column::Values(values), &step);
            let bytes = bytes.saturating_add((step.end - step.start) * 8);
            open.push(&mut batches, step, bytes);
        }
        if alone {
            open.close(&mut batches);
        }
    }
    open.close(&mut batches);
    batches
}

#[derive(Default)]
struct Batch {
    ranges: Vec<Range<u64>>,
    rows: u64,
    bytes: u64,
}

impl Batch {
    fn push(&mut self, batches: &mut Batches, step: Range<u64>, bytes: u64) {
        let rows = step.end - step.start;
        if self.rows.saturating_add(rows) > BATCH_ROWS
            || self.bytes.saturating_add(bytes) > BATCH_BYTES
        {
            self.close(batches);
        }
        self.rows += rows;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.ranges.last_mut() {
            Some(last) if last.end == step.start => last.end = step.end,
            _ => self.ranges.push(step),
        }
    }

    fn close(&mut self, batches: &mut Batches) {
        let batch = std::mem::take(self);
        if batch.rows > 0 {
            batches.push(batch.ranges);
        }
    }
}

/// How a column of a piece is had if it leaves as it lies; `None` if it has to be made.
fn how_direct(reader: &KeyReader, piece: &Piece<'_>, column: Column) -> Option<How> {
    let chunk = piece.chunk()?;
    let role = direct_role(chunk.chunk_type(), column)?;
    Some(reader.how(chunk, piece.part.first_row, column, role, &piece.rows))
}

/// What reading would cost, as [`History::explain`](crate::History::explain) tells it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explain {
    /// Rows that are read.
    pub rows: u64,
    /// Batches they leave in.
    pub batches: u64,
    /// The columns, `timestamp` and `value`, of a scan those it was asked for.
    pub columns: Vec<ExplainColumn>,
}

/// Where the bytes of one column come from. Offsets of texts and bitmaps of nulls are not counted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExplainColumn {
    /// Its name in the schema.
    pub name: &'static str,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Bytes that the array shares with the file: nothing is done but to compare their checksums
    /// at the first read.
    pub mapped_bytes: u64,
    /// Bytes of an array that an earlier read left in the column cache.
    pub cached_bytes: u64,
    /// Bytes to be decoded.
    pub decoded_bytes: u64,
    /// Bytes to be copied as they are.
    pub copied_bytes: u64,
    /// Why, in a few words.
    pub why: String,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows in {} batches", self.rows, self.batches)?;
        for column in &self.columns {
            writeln!(
                f,
                "{} ({}): {} bytes mapped, {} cached, {} decoded, {} copied: {}",
                column.name,
                column.data_type,
                column.mapped_bytes,
                column.cached_bytes,
                column.decoded_bytes,
                column.copied_bytes,
                column.why
            )?;
        }
        Ok(())
    }
}

/// Explains reading these batches; nothing is read.
pub(crate) fn explain(
    reader: &KeyReader,
    parts: &[Part],
    batches: &[Vec<Range<u64>>],
    values: ValueType,
    sorts: bool,
) -> Explain {
    let of_batches: Vec<Vec<Piece<'_>>> = batches.iter().map(|rows| pieces(parts, rows)).collect();
    let rows = of_batches.iter().flatten().map(Piece::len).sum();
    let column = |name, data_type, column| {
        let mut costs = Costs::default();
        of_batches.iter().for_each(|pieces| costs.add_batch(reader, pieces, column));
        costs.finish(name, data_type, sorts)
    };
    Explain {
        rows,
        batches: batches.len() as u64,
        columns: vec![
            column("timestamp", timestamp_type(), Column::Timestamps),
            column("value", values.data_type(), Column::Values(values)),
        ],
    }
}

/// What one column costs.
#[derive(Default)]
pub(crate) struct Costs {
    mapped: u64,
    cached: u64,
    decoded: u64,
    copied: u64,
    reasons: Vec<&'static str>,
}

impl Costs {
    fn add(&mut self, how: How, bytes: u64, why: &'static str) {
        *(match how {
            How::Mapped => &mut self.mapped,
            How::Cached => &mut self.cached,
            How::Decoded => &mut self.decoded,
            How::Copied => &mut self.copied,
        }) += bytes;
        if bytes > 0 && !self.reasons.contains(&why) {
            self.reasons.push(why);
        }
    }

    /// Adds indices of the key's dictionary, which are written anew.
    pub(crate) fn add_indices(&mut self, rows: u64) {
        self.add(How::Copied, rows.saturating_mul(4), "every row names its key");
    }

    /// Adds a batch with rows of several keys.
    pub(crate) fn add_pack(
        &mut self,
        shared: &Materializer,
        sources: &[Source<'_>],
        pack: &PackKey,
    ) {
        let all = || sources.iter().flat_map(|s| s.pieces.iter().map(move |p| (s.reader, p)));
        if shared.cache.holds_pack(pack) {
            let bytes = all().map(|(r, p)| r.bytes_of_rows(p.part, pack.column, &p.rows)).sum();
            self.add(How::Cached, bytes, "an earlier scan left it in the column cache");
            return;
        }
        all().for_each(|(reader, piece)| self.add_piece(reader, piece, pack.column));
    }

    /// Adds a batch with rows of one key.
    pub(crate) fn add_batch(&mut self, reader: &KeyReader, pieces: &[Piece<'_>], column: Column) {
        if let [piece] = pieces
            && let Some(how) = how_direct(reader, piece, column)
        {
            let why = match how {
                How::Mapped => "raw columns of one chunk lie in the file as Arrow wants them",
                How::Cached => "an earlier read left it in the column cache",
                How::Decoded => "its blocks are encoded",
                How::Copied => "the system does not map the file",
            };
            self.add(how, reader.bytes_of_rows(piece.part, column, &piece.rows), why);
            return;
        }
        let bytes = |piece: &Piece<'_>| reader.bytes_of_rows(piece.part, column, &piece.rows);
        if let Some(rows) = span(pieces)
            && reader.shared.cache.holds(reader.run_key(column), &rows)
        {
            let why = "an earlier read left it in the column cache";
            self.add(How::Cached, pieces.iter().map(bytes).sum(), why);
            return;
        }
        for piece in pieces {
            self.add_piece(reader, piece, column);
        }
    }

    /// A piece of an array that is put together.
    fn add_piece(&mut self, reader: &KeyReader, piece: &Piece<'_>, column: Column) {
        let Some(chunk) = piece.chunk() else {
            let why = match how_of_points(piece.part) {
                How::Copied => "the newest points are in memory, not in a chunk",
                _ => "a large value stands alone in the log",
            };
            let bytes = reader.bytes_of_rows(piece.part, column, &piece.rows);
            self.add(how_of_points(piece.part), bytes, why);
            return;
        };
        let first_row = piece.part.first_row;
        let in_blocks = matches!(
            column,
            Column::Timestamps | Column::Values(ValueType::Float | ValueType::Int)
        );
        let steps = if in_blocks { piece.steps() } else { vec![piece.rows.clone()] };
        for rows in steps {
            let bytes = reader.bytes_of_rows(piece.part, column, &rows);
            let how = |column| {
                direct_role(chunk.chunk_type(), column)
                    .map(|role| reader.how(chunk, first_row, column, role, &rows))
            };
            if let Some(how) = how(column) {
                let why = match how {
                    How::Decoded => "its blocks are encoded",
                    _ => "the rows lie in several places",
                };
                self.add(how.when_put_together(), bytes, why);
                continue;
            }
            let (blocks, _) = blocks_of(chunk, &KeyReader::in_chunk(first_row, &rows));
            let exact = chunk
                .header()
                .blocks
                .get(blocks.start)
                .is_some_and(|block| are_floats(block.zone.int.min, block.zone.int.max));
            match (column, chunk.chunk_type()) {
                (
                    Column::Values(ValueType::Float | ValueType::Int),
                    ChunkType::One(AtomKind::Null),
                ) => self.add(How::Copied, bytes, "nulls become slots"),
                (Column::Values(ValueType::Float), ChunkType::One(AtomKind::Int)) if exact => {
                    let how = how(Column::Values(ValueType::Int)).unwrap_or(How::Copied);
                    self.add(how.when_put_together(), bytes, "integers become doubles");
                }
                _ => self.add(How::Decoded, bytes, "its kinds are mixed or of another type"),
            }
        }
    }

    pub(crate) fn finish(
        mut self,
        name: &'static str,
        data_type: DataType,
        sorts: bool,
    ) -> ExplainColumn {
        if sorts {
            // Whatever it was put together from, it is then moved to its place in time.
            self.reasons.push("timestamps fall, and the order of time was asked for");
        }
        if self.reasons.is_empty() {
            self.reasons.push("there are no rows");
        }
        ExplainColumn {
            name,
            data_type,
            mapped_bytes: self.mapped,
            cached_bytes: self.cached,
            decoded_bytes: self.decoded,
            copied_bytes: self.copied,
            why: self.reasons.join("; "),
        }
    }
}
