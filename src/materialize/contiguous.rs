//! Columns of any rows as one array: a slice of what there is, or put together.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer, ScalarBuffer};

use crate::atom::AtomKind;
use crate::column::RowKinds;
use crate::error::{Result, SynaError};
use crate::format::chunk::BLOB_RUN_LEN_MAX;
use crate::format::column::ChunkType;
use crate::index::{LoadedChunk, Part, Place};
use crate::mutex::Mutex;

use super::cache::Column;
use super::columns::{How, KeyReader, array_of_numbers, blocks_of, direct_role};
use super::mapped::blob_array;
use super::pool::PoolBuf;
use super::rows::{AnyRows, TextRows};
use super::schema::{OnMismatch, ValueType, are_floats};
use super::tensor::Tensor;
use super::{Materializer, each};

/// Some rows of a part.
pub(crate) struct Piece<'a> {
    pub(crate) part: &'a Part,
    pub(crate) rows: Range<u64>,
}

impl Piece<'_> {
    pub(crate) fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// The chunk the rows lie in.
    pub(crate) fn chunk(&self) -> Option<&Arc<LoadedChunk>> {
        match &self.part.place {
            Place::Chunk(chunk) => Some(chunk),
            _ => None,
        }
    }

    /// The rows by the block they lie in.
    pub(crate) fn steps(&self) -> Vec<Range<u64>> {
        let Some(chunk) = self.chunk() else { return vec![self.rows.clone()] };
        let first_row = self.part.first_row;
        let (blocks, _) = blocks_of(chunk, &KeyReader::in_chunk(first_row, &self.rows));
        let blocks = chunk.header().blocks.get(blocks).unwrap_or_default();
        let step = |first: u32, rows: u32| {
            let (first, rows) = (first_row + u64::from(first), u64::from(rows));
            self.rows.start.max(first)..self.rows.end.min(first + rows)
        };
        blocks.iter().map(|block| step(block.first_row, block.rows)).collect()
    }
}

/// Rows of one key on their way into an array, which rows of other keys may share.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) reader: &'a KeyReader,
    pub(crate) pieces: &'a [Piece<'a>],
}

impl Source<'_> {
    fn rows(&self) -> u64 {
        self.pieces.iter().map(Piece::len).sum()
    }
}

/// An array that was put together.
pub(crate) struct Made {
    pub(crate) array: ArrayRef,
    /// No point was lost because it does not fit the type: the array may be kept.
    pub(crate) is_exact: bool,
}

/// A column of the rows of all sources, one source after the other, in memory of its own.
pub(crate) fn put_together(
    shared: &Materializer,
    sources: &[Source<'_>],
    column: Column,
    on_mismatch: OnMismatch,
) -> Result<Made> {
    let lost = Lost::new(on_mismatch);
    let array = match column {
        Column::Timestamps | Column::Values(ValueType::Float | ValueType::Int) => {
            numbers(shared, sources, column, &lost)?
        }
        Column::Values(ValueType::Text | ValueType::Bytes) => {
            blobs(shared, sources, column, &lost)?
        }
        Column::Values(ValueType::Struct) => any_rows(sources)?.into_struct()?,
        Column::Values(ValueType::Union) => any_rows(sources)?.into_union()?,
    };
    Ok(Made { array, is_exact: !lost.any() })
}

/// Numbers or timestamps, put together block by block by several threads.
fn numbers(
    shared: &Materializer,
    sources: &[Source<'_>],
    column: Column,
    lost: &Lost,
) -> Result<ArrayRef> {
    let rows: u64 = sources.iter().map(Source::rows).sum();
    let len = byte_len(rows, 8)?;
    let mut out = shared.pool.take(len)?;
    let validities = Validities::default();
    fill_numbers(sources, column, lost, out.as_mut_slice(), &validities)?;
    let rows = len / 8;
    let nulls = join_validities(validities.into_inner(), rows);
    Ok(array_of_numbers(column, out.into_buffer(), 0, rows, nulls))
}

/// Writes the numbers of all sources to `out`, eight bytes each.
fn fill_numbers(
    sources: &[Source<'_>],
    column: Column,
    lost: &Lost,
    out: &mut [u8],
    validities: &Validities,
) -> Result<()> {
    let bytes = out.len() as u64;
    let mut rest = out;
    let mut tasks = Vec::new();
    let mut at = 0;
    let readers: Vec<_> = sources.iter().map(|s| s.reader.for_pieces(s.pieces)).collect();
    for (source, reader) in sources.iter().zip(&readers) {
        for piece in source.pieces {
            for rows in piece.steps() {
                let len = byte_len(rows.end - rows.start, 8)?;
                let (out, behind) = rest.split_at_mut_checked(len).ok_or(no_memory(bytes))?;
                rest = behind;
                tasks.push((reader, piece, rows, at, out));
                at += len / 8;
            }
        }
    }
    each(tasks, bytes, |(reader, piece, rows, at, out)| {
        if let Some(valid) = reader.fill_step(piece, &rows, column, lost, out)?
            && valid.count_set_bits() < valid.len()
        {
            validities.lock().push((at, valid));
        }
        Ok(())
    })
}

/// Texts or bytes.
fn blobs(
    shared: &Materializer,
    sources: &[Source<'_>],
    column: Column,
    lost: &Lost,
) -> Result<ArrayRef> {
    let texts = column == Column::Values(ValueType::Text);
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut bytes = 0_u64;
    for Source { reader, pieces } in sources {
        let reader = reader.for_pieces(pieces);
        for piece in *pieces {
            let role = piece.chunk().and_then(|c| Some((c, direct_role(c.chunk_type(), column)?)));
            let about = reader.bytes_of_rows(piece.part, column, &piece.rows);
            arrays.push(match role {
                Some((chunk, role)) => {
                    let first_row = piece.part.first_row;
                    let how = reader.how(chunk, first_row, column, role, &piece.rows);
                    reader.account(how.when_put_together(), about);
                    reader.direct(chunk, first_row, column, role, &piece.rows)?
                }
                None => {
                    reader.account(how_of_points(piece.part), about);
                    reader.blobs_of_points(piece, column, lost)?
                }
            });
            // Piece by piece, or all of it would be in memory before it is refused.
            bytes += arrays.last().map_or(0, |array| BlobParts::of(array, texts).data.len() as u64);
            if bytes > BLOB_RUN_LEN_MAX {
                let (key, max) = (first_key(sources), BLOB_RUN_LEN_MAX);
                return Err(SynaError::ColumnTooLarge { key, bytes, max });
            }
        }
    }
    let rows: u64 = sources.iter().map(Source::rows).sum();
    let parts: Vec<BlobParts<'_>> =
        arrays.iter().map(|array| BlobParts::of(array, texts)).collect();
    let rows_len = byte_len(rows, 1)?;
    let mut offsets = shared.pool.take(byte_len(rows.saturating_add(1), 4)?)?;
    let mut data = shared.pool.take(byte_len(bytes, 1)?)?;
    let mut slots = offsets.as_mut_slice().as_chunks_mut::<4>().0.iter_mut();
    let mut rest = data.as_mut_slice();
    let mut base = 0_i32;
    if let Some(first) = slots.next() {
        *first = [0; 4];
    }
    let mut validities = Vec::new();
    let mut at = 0;
    for part in &parts {
        let start = part.offsets.first().copied().unwrap_or(0);
        for (offset, slot) in part.offsets.iter().skip(1).zip(slots.by_ref()) {
            // Below the limit compared above.
            *slot = offset.wrapping_sub(start).wrapping_add(base).to_le_bytes();
        }
        base = base.wrapping_add(part.offsets.last().map_or(0, |end| end.wrapping_sub(start)));
        let (out, behind) = rest.split_at_mut_checked(part.data.len()).ok_or(no_memory(bytes))?;
        out.copy_from_slice(part.data);
        rest = behind;
        let len = part.offsets.len().saturating_sub(1);
        validities.extend(part.nulls.map(|nulls| (at, nulls.inner().clone())));
        at += len;
    }
    let nulls = join_validities(validities, rows_len);
    let offsets = ScalarBuffer::new(offsets.into_buffer(), 0, rows_len.saturating_add(1));
    Ok(blob_array(offsets, data.into_buffer(), nulls, texts))
}

/// Values of any kinds, point by point.
fn any_rows(sources: &[Source<'_>]) -> Result<AnyRows> {
    let rows: u64 = sources.iter().map(Source::rows).sum();
    let mut any = AnyRows::with_capacity(&first_key(sources), byte_len(rows, 1)?)?;
    for Source { reader, pieces } in sources {
        let reader = reader.for_pieces(pieces);
        for piece in *pieces {
            let bytes =
                reader.bytes_of_rows(piece.part, Column::Values(ValueType::Struct), &piece.rows);
            reader.account(how_of_points(piece.part), bytes);
            reader.for_each_points(piece.part, &piece.rows, |_, points, range| {
                range.into_iter().try_for_each(|row| any.push(points, row))
            })?;
        }
    }
    Ok(any)
}

/// The key that an error about all sources names.
fn first_key(sources: &[Source<'_>]) -> String {
    sources.first().map(|source| source.reader.key.to_string()).unwrap_or_default()
}

/// The rows of pieces that follow one another without a gap.
pub(crate) fn span(pieces: &[Piece<'_>]) -> Option<Range<u64>> {
    let (first, last) = (pieces.first()?, pieces.last()?);
    let joined = pieces.iter().zip(pieces.iter().skip(1)).all(|(a, b)| a.rows.end == b.rows.start);
    joined.then_some(first.rows.start..last.rows.end)
}

fn no_memory(bytes: u64) -> SynaError {
    SynaError::OutOfMemory { bytes }
}

fn byte_len(rows: u64, width: u64) -> Result<usize> {
    let bytes = rows.checked_mul(width).ok_or(no_memory(u64::MAX))?;
    usize::try_from(bytes).map_err(|_| no_memory(bytes))
}

/// Which rows of a stretch are not null, and where the stretch begins in the result.
type Validities = Mutex<Vec<(usize, BooleanBuffer)>>;

impl KeyReader {
    /// A column of all pieces as one array.
    pub(crate) fn column(
        &self,
        pieces: &[Piece<'_>],
        column: Column,
        on_mismatch: OnMismatch,
    ) -> Result<ArrayRef> {
        let span = span(pieces);
        if let [piece] = pieces
            && let Some(chunk) = piece.chunk()
            && let Some(role) = direct_role(chunk.chunk_type(), column)
        {
            let first_row = piece.part.first_row;
            let how = self.how(chunk, first_row, column, role, &piece.rows);
            let array = self.direct(chunk, first_row, column, role, &piece.rows)?;
            self.account(how, self.bytes_of_rows(piece.part, column, &piece.rows));
            return Ok(array);
        }
        let key = self.run_key(column);
        if let Some(rows) = &span
            && let Some(array) = self.shared.cache.get(key, rows)
        {
            let bytes = |piece: &Piece<'_>| self.bytes_of_rows(piece.part, column, &piece.rows);
            self.account(How::Cached, pieces.iter().map(bytes).sum());
            return Ok(array);
        }
        let sources = [Source { reader: self, pieces }];
        let made = put_together(&self.shared, &sources, column, on_mismatch)?;
        if let Some(rows) = span
            && made.is_exact
        {
            self.shared.cache.insert(key, rows.start, ArrayRef::clone(&made.array));
        }
        Ok(made.array)
    }

    /// Writes the numbers of some rows of one block, or of a part in memory; says which are valid
    /// unless all are.
    fn fill_step(
        &self,
        piece: &Piece<'_>,
        rows: &Range<u64>,
        column: Column,
        lost: &Lost,
        out: &mut [u8],
    ) -> Result<Option<BooleanBuffer>> {
        let Some(chunk) = piece.chunk() else {
            return self.fill_points(piece.part, rows, column, lost, out);
        };
        let first_row = piece.part.first_row;
        let wanted = rows.start - first_row..rows.end - first_row;
        let (blocks, block_rows) = blocks_of(chunk, &wanted);
        let bytes = out.len() as u64;
        if let Some(role) = direct_role(chunk.chunk_type(), column) {
            let is_whole = wanted == block_rows;
            let how = self.how(chunk, first_row, column, role, rows);
            self.account(how.when_put_together(), bytes);
            if is_whole && how != How::Cached {
                chunk.decode_column(&self.log, blocks.start, role, out)?;
                if column == Column::Timestamps {
                    return Ok(None);
                }
                let nulls = self.decode_validity(chunk, blocks, out.len() / 8)?;
                return Ok(nulls.map(|nulls| nulls.inner().clone()));
            }
            let array = self.direct(chunk, first_row, column, role, rows)?;
            let numbers = bytes_of_numbers(&array, column);
            if numbers.len() != out.len() {
                return Err(chunk.corrupt("a column has another number of rows than its block"));
            }
            out.copy_from_slice(numbers);
            return Ok(array.nulls().map(|nulls| nulls.inner().clone()));
        }
        match (column, chunk.chunk_type()) {
            (Column::Values(_), ChunkType::One(AtomKind::Null)) => {
                out.fill(0);
                self.account(How::Copied, bytes);
                Ok(Some(BooleanBuffer::new_unset(out.len() / 8)))
            }
            (Column::Values(ValueType::Float), ChunkType::One(AtomKind::Int))
                if chunk
                    .header()
                    .blocks
                    .get(blocks.start)
                    .is_some_and(|block| are_floats(block.zone.int.min, block.zone.int.max)) =>
            {
                let ints = Column::Values(ValueType::Int);
                let role = direct_role(chunk.chunk_type(), ints)
                    .ok_or_else(|| chunk.corrupt("a chunk of integers has none"))?;
                let how = self.how(chunk, first_row, ints, role, rows);
                let array = self.direct(chunk, first_row, ints, role, rows)?;
                self.account(how.when_put_together(), bytes);
                let values = array.as_primitive::<Int64Type>().values();
                for (out, value) in out.as_chunks_mut::<8>().0.iter_mut().zip(values) {
                    *out = exact_float(*value).to_le_bytes();
                }
                Ok(array.nulls().map(|nulls| {
                    zero_nulls(out, nulls);
                    nulls.inner().clone()
                }))
            }
            _ => self.fill_points(piece.part, rows, column, lost, out),
        }
    }

    /// As [`KeyReader::fill_step`], point by point.
    fn fill_points(
        &self,
        part: &Part,
        rows: &Range<u64>,
        column: Column,
        lost: &Lost,
        out: &mut [u8],
    ) -> Result<Option<BooleanBuffer>> {
        self.account(how_of_points(part), out.len() as u64);
        let mut slots = out.as_chunks_mut::<8>().0.iter_mut();
        let mut valid = BooleanBufferBuilder::new(0);
        self.for_each_points(part, rows, |_, points, rows| {
            if column == Column::Timestamps {
                let timestamps = points.timestamps().get(rows).unwrap_or_default();
                // The slots come second: what a zip asks for first it takes in vain at its end.
                for (timestamp, slot) in timestamps.iter().zip(slots.by_ref()) {
                    *slot = timestamp.to_le_bytes();
                }
                return Ok(());
            }
            let as_they_are = match (column, points.kinds(rows.clone())) {
                (Column::Values(ValueType::Float), RowKinds::Uniform(kind)) => {
                    kind == AtomKind::Float
                }
                (Column::Values(ValueType::Int), RowKinds::Uniform(kind)) => kind == AtomKind::Int,
                _ => false,
            };
            if as_they_are {
                let bits = points.bits().get(rows).unwrap_or_default();
                for (bits, slot) in bits.iter().zip(slots.by_ref()) {
                    *slot = bits.to_le_bytes();
                }
                valid.append_n(bits.len(), true);
                return Ok(());
            }
            for (row, slot) in rows.zip(slots.by_ref()) {
                let kind = points.kind(row);
                let bits = match (column, kind) {
                    (Column::Values(ValueType::Float), AtomKind::Int) => {
                        float_of_int(points.number_bits(row).cast_signed()).map(f64::to_bits)
                    }
                    (Column::Values(ValueType::Float), AtomKind::Float)
                    | (Column::Values(ValueType::Int), AtomKind::Int) => {
                        Some(points.number_bits(row))
                    }
                    _ => None,
                };
                if bits.is_none() && kind != AtomKind::Null {
                    lost.note(&self.key, column, kind)?;
                }
                *slot = bits.unwrap_or(0).to_le_bytes();
                valid.append(bits.is_some());
            }
            Ok(())
        })?;
        Ok((column != Column::Timestamps).then(|| valid.finish()))
    }

    fn blobs_of_points(&self, piece: &Piece<'_>, column: Column, lost: &Lost) -> Result<ArrayRef> {
        let mut rows = TextRows::new(&self.key, column == Column::Values(ValueType::Text));
        self.for_each_points(piece.part, &piece.rows, |_, points, range| {
            for row in range {
                if !rows.push(points, row)? {
                    lost.note(&self.key, column, points.kind(row))?;
                }
            }
            Ok(())
        })?;
        rows.finish()
    }

    /// These rows of an array of numbers or timestamps; `None` for other types. A row that the
    /// array does not have is a null, and nulls become `fill` if there is one.
    pub(crate) fn gathered(
        &self,
        array: &ArrayRef,
        column: Column,
        rows: &[u64],
        fill: Option<u64>,
    ) -> Result<Option<ArrayRef>> {
        let words = match column {
            Column::Timestamps | Column::Values(ValueType::Float | ValueType::Int) => {
                bytes_of_numbers(array, column).as_chunks::<8>().0
            }
            Column::Values(_) => return Ok(None),
        };
        let mut out = self.shared.pool.take(byte_len(rows.len() as u64, 8)?)?;
        let slots = out.as_mut_slice().as_chunks_mut::<8>().0;
        let row = |row: &u64| usize::try_from(*row).unwrap_or(usize::MAX);
        let missing = fill.unwrap_or(0).to_le_bytes();
        let mut all_there = true;
        for (slot, at) in slots.iter_mut().zip(rows) {
            let word = words.get(row(at)).copied();
            all_there &= word.is_some();
            *slot = word.unwrap_or(missing);
        }
        let nulls = array.nulls();
        let is_there = |at: &u64| {
            let at = row(at);
            at < words.len() && nulls.is_none_or(|nulls| nulls.is_valid(at))
        };
        let mut valid = None;
        match fill {
            Some(_) if nulls.is_some() => {
                for (slot, at) in slots.iter_mut().zip(rows) {
                    *slot = if is_there(at) { *slot } else { missing };
                }
            }
            None if nulls.is_some() || !all_there => {
                let there = BooleanBuffer::collect_bool(rows.len(), |at| {
                    rows.get(at).is_some_and(is_there)
                });
                valid = Some(NullBuffer::new(there)).filter(|nulls| nulls.null_count() > 0);
            }
            _ => {}
        }
        Ok(Some(array_of_numbers(column, out.into_buffer(), 0, rows.len(), valid)))
    }

    /// The values as doubles in a buffer of their own, NaN for nulls.
    pub(crate) fn tensor(&self, pieces: &[Piece<'_>], on_mismatch: OnMismatch) -> Result<PoolBuf> {
        let rows: u64 = pieces.iter().map(Piece::len).sum();
        let mut out = self.shared.pool.take(byte_len(rows, 8)?)?;
        let validities = Validities::default();
        let (column, lost) = (Column::Values(ValueType::Float), Lost::new(on_mismatch));
        let sources = [Source { reader: self, pieces }];
        fill_numbers(&sources, column, &lost, out.as_mut_slice(), &validities)?;
        let floats = out.as_mut_words::<f64>();
        for (at, valid) in validities.into_inner() {
            let rows = floats.get_mut(at..).unwrap_or_default();
            for (float, valid) in rows.iter_mut().zip(&valid) {
                *float = if valid { *float } else { f64::NAN };
            }
        }
        Ok(out)
    }

    /// A copy of an array of doubles, NaN for nulls.
    pub(crate) fn tensor_of(&self, array: &Float64Array) -> Result<Tensor> {
        let mut out = self.shared.pool.take(byte_len(array.len() as u64, 8)?)?;
        for (out, value) in out.as_mut_words::<f64>().iter_mut().zip(array) {
            *out = value.unwrap_or(f64::NAN);
        }
        Ok(Tensor::new(out))
    }

    /// The numbers of one kind, or the timestamps of its points: other kinds are left out. `column`
    /// is what is wanted, the values of the kind's own type or the timestamps.
    pub(crate) fn only(
        &self,
        pieces: &[Piece<'_>],
        kind: AtomKind,
        column: Column,
    ) -> Result<PoolBuf> {
        let rows: u64 = pieces.iter().map(Piece::len).sum();
        let mut out = self.shared.pool.take(byte_len(rows, 8)?)?;
        let is_of_kind = |piece: &Piece<'_>| {
            piece.chunk().is_some_and(|chunk| {
                let zone = chunk.zone_map();
                zone.count(kind) == zone.rows()
            })
        };
        let reader = self.for_pieces(pieces);
        let mut written = 0;
        let mut from = 0;
        // Stretches of nothing else at the speed of memory, the others point by point.
        while let Some(rest) = pieces.get(from..).filter(|rest| !rest.is_empty()) {
            let run = rest.iter().take_while(|piece| is_of_kind(piece)).count();
            let space = out.as_mut_slice().get_mut(written..).unwrap_or_default();
            if run > 0 {
                let run = rest.get(..run).unwrap_or_default();
                let len = byte_len(run.iter().map(Piece::len).sum(), 8)?;
                let space = space.get_mut(..len).ok_or(no_memory(rows))?;
                let lost = Lost::new(OnMismatch::Raise);
                let sources = [Source { reader: &reader, pieces: run }];
                fill_numbers(&sources, column, &lost, space, &Validities::default())?;
                written += len;
                from += run.len();
            } else if let Some(piece) = rest.first() {
                let mut slots = space.as_chunks_mut::<8>().0.iter_mut();
                reader.for_each_points(piece.part, &piece.rows, |_, points, rows| {
                    for row in rows.filter(|row| points.kind(*row) == kind) {
                        let number = match column {
                            Column::Timestamps => {
                                points.timestamps().get(row).map(|stamp| stamp.cast_unsigned())
                            }
                            _ => Some(points.number_bits(row)),
                        };
                        if let (Some(slot), Some(number)) = (slots.next(), number) {
                            *slot = number.to_le_bytes();
                            written += 8;
                        }
                    }
                    Ok(())
                })?;
                from += 1;
            }
        }
        out.truncate(written);
        Ok(out)
    }
}

impl How {
    /// What the bytes of a column are when they do not leave as they are.
    pub(crate) fn when_put_together(self) -> How {
        if self == How::Decoded { How::Decoded } else { How::Copied }
    }
}

/// How points are had that are read one by one.
pub(crate) fn how_of_points(part: &Part) -> How {
    if matches!(part.place, Place::Points(_)) { How::Copied } else { How::Decoded }
}

/// Whether points did not fit, and what then.
struct Lost {
    on_mismatch: OnMismatch,
    any: std::sync::atomic::AtomicBool,
}

impl Lost {
    fn new(on_mismatch: OnMismatch) -> Lost {
        Lost { on_mismatch, any: std::sync::atomic::AtomicBool::new(false) }
    }

    fn any(&self) -> bool {
        self.any.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// A point of this kind does not fit the column.
    fn note(&self, key: &str, column: Column, found: AtomKind) -> Result<()> {
        self.any.store(true, std::sync::atomic::Ordering::Relaxed);
        match (self.on_mismatch, column) {
            (OnMismatch::Raise, Column::Values(values)) => {
                Err(SynaError::TypeMismatch { key: key.to_owned(), expected: values.kind(), found })
            }
            _ => Ok(()),
        }
    }
}

/// An integer as the double of the same value.
pub(crate) fn float_of_int(value: i64) -> Option<f64> {
    are_floats(value, value).then(|| exact_float(value))
}

#[expect(clippy::cast_precision_loss, reason = "the callers know that it is within 2^53")]
fn exact_float(value: i64) -> f64 {
    value as f64
}

/// The bytes of an array of numbers or timestamps.
fn bytes_of_numbers(array: &ArrayRef, column: Column) -> &[u8] {
    match column {
        Column::Timestamps => array
            .as_primitive::<arrow_array::types::TimestampMicrosecondType>()
            .values()
            .inner()
            .as_slice(),
        Column::Values(ValueType::Int) => {
            array.as_primitive::<Int64Type>().values().inner().as_slice()
        }
        Column::Values(_) => array.as_primitive::<Float64Type>().values().inner().as_slice(),
    }
}

/// Slots of nulls hold zero bits, here as in the file.
fn zero_nulls(out: &mut [u8], nulls: &NullBuffer) {
    for (slot, valid) in out.as_chunks_mut::<8>().0.iter_mut().zip(nulls) {
        if !valid {
            *slot = [0; 8];
        }
    }
}

/// One bitmap of all rows, `None` if all are valid.
fn join_validities(mut parts: Vec<(usize, BooleanBuffer)>, rows: usize) -> Option<NullBuffer> {
    if parts.is_empty() {
        return None;
    }
    parts.sort_unstable_by_key(|(at, _)| *at);
    let mut all = BooleanBufferBuilder::new(rows);
    for (at, valid) in parts {
        all.append_n(at.saturating_sub(all.len()), true);
        all.append_buffer(&valid);
    }
    all.append_n(rows.saturating_sub(all.len()), true);
    Some(NullBuffer::new(all.finish())).filter(|nulls| nulls.null_count() > 0)
}

/// What an array of texts or bytes is made of, cut to its rows.
struct BlobParts<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    nulls: Option<&'a NullBuffer>,
}

impl<'a> BlobParts<'a> {
    fn of(array: &'a ArrayRef, texts: bool) -> Self {
        let (offsets, data): (&[i32], &[u8]) = if texts {
            let array = array.as_string::<i32>();
            (array.value_offsets(), array.value_data())
        } else {
            let array = array.as_binary::<i32>();
            (array.value_offsets(), array.value_data())
        };
        let at =
            |offset: Option<&i32>| offset.and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
        let data = data.get(at(offsets.first())..at(offsets.last())).unwrap_or_default();
        BlobParts { offsets, data, nulls: array.nulls() }
    }
}
