//! Statistics of any rows: zone maps of whole blocks, the edges read.

use std::ops::Range;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};

use crate::atom::AtomKind;
use crate::column::{FloatStats, IntStats, Points, ZoneMap};
use crate::error::Result;
use crate::format::chunk::BlockRecord;
use crate::format::column::ChunkType;
use crate::index::{HistoryView, SegmentBody, whole_of_chunk};
use crate::log::LogFile;
use crate::materialize::cache::Column;
use crate::materialize::schema::ValueType;
use crate::materialize::{KeyReader, Piece, direct_role, is_whole};

/// A number as it was stored, or a sum of such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer; sums are exact.
    Int(i128),
    /// A double.
    Float(f64),
}

impl Number {
    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }
}

/// What a history says about some of its points.
///
/// Numbers are floats and integers together. Where all of them are integers, results are integers;
/// otherwise integers enter as their nearest doubles.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct HistoryStats {
    /// Points, nulls among them.
    pub count: u64,
    /// Points that are null.
    pub nulls: u64,
    /// Floats that are NaN.
    pub nans: u64,
    /// Floats, integers, texts and bytes among the points.
    pub floats: u64,
    /// See [`floats`](HistoryStats::floats).
    pub ints: u64,
    /// See [`floats`](HistoryStats::floats).
    pub texts: u64,
    /// See [`floats`](HistoryStats::floats).
    pub bytes: u64,
    /// The earliest and the latest timestamp.
    pub timestamps: Option<(i64, i64)>,
    /// The smallest number that is not NaN, `-0.0` being below `0.0`.
    pub min: Option<Number>,
    /// The largest number that is not NaN, `-0.0` being below `0.0`.
    pub max: Option<Number>,
    /// The sum of all numbers that are not NaN. Of floats the sum of the sums of their blocks, each
    /// taken in append order from `0.0`, so it depends on where blocks begin by some last bits; of
    /// integers it is exact.
    pub sum: Option<Number>,
    /// The sum divided by how many numbers are in it.
    pub mean: Option<f64>,
    /// The number, maybe NaN, with the earliest timestamp; of several the one appended first.
    pub first: Option<Number>,
    /// The number, maybe NaN, with the latest timestamp; of several the one appended last.
    pub last: Option<Number>,
}

/// The extremes and sums of a zone map.
pub(super) struct Numbers {
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    pub(super) sum: Option<Number>,
    pub(super) mean: Option<f64>,
}

impl Numbers {
    #[expect(clippy::cast_precision_loss, reason = "means and mixed sums are doubles")]
    pub(super) fn of(zone: &ZoneMap) -> Numbers {
        let (floats, ints) = (zone.float_numbers(), zone.count(AtomKind::Int));
        let count = floats.saturating_add(ints);
        if count == 0 {
            return Numbers { min: None, max: None, sum: None, mean: None };
        }
        if zone.count(AtomKind::Float) == 0 {
            return Numbers {
                min: Some(Number::Int(zone.int.min.into())),
                max: Some(Number::Int(zone.int.max.into())),
                sum: Some(Number::Int(zone.int.sum)),
                mean: Some(zone.int.sum as f64 / count as f64),
            };
        }
        let (mut min, mut max, mut sum) = (zone.float.min, zone.float.max, zone.float.sum);
        let int = |value: i64| value as f64;
        if floats == 0 {
            (min, max, sum) = (int(zone.int.min), int(zone.int.max), zone.int.sum as f64);
        } else if ints > 0 {
            let less = |a: f64, b: f64| if b.total_cmp(&a).is_lt() { b } else { a };
            let more = |a: f64, b: f64| if b.total_cmp(&a).is_gt() { b } else { a };
            (min, max) = (less(min, int(zone.int.min)), more(max, int(zone.int.max)));
            sum += zone.int.sum as f64;
        }
        Numbers {
            min: Some(Number::Float(min)),
            max: Some(Number::Float(max)),
            sum: Some(Number::Float(sum)),
            mean: Some(sum / count as f64),
        }
    }
}

/// Statistics of some rows.
pub(crate) fn stats(reader: &KeyReader, pieces: &[Piece<'_>]) -> Result<HistoryStats> {
    let reader = &*reader.for_pieces(pieces);
    let mut zone = ZoneMap::default();
    for piece in pieces {
        if let Some(chunk) = piece.chunk().filter(|chunk| is_whole(piece.part, chunk))
            && piece.rows == piece.part.rows
        {
            zone.merge(chunk.zone_map());
            continue;
        }
        for step in steps(piece) {
            match step.whole {
                Some(block) => zone.merge(&block.zone),
                None => zone.merge(&zone_of(reader, piece, &step.rows)?),
            }
        }
    }
    if zone.rows() == 0 {
        return Ok(HistoryStats::default());
    }
    let (first, last) = ends(reader, pieces)?;
    Ok(HistoryStats::of(&zone, &Ends { first, last }))
}

/// Statistics of all rows of a view from what its chunks say about all of theirs, without a look at
/// their blocks; `None` where that is not enough.
pub(crate) fn stats_of_all(
    log: &LogFile,
    key: &str,
    view: &HistoryView,
) -> Result<Option<HistoryStats>> {
    let rows = view.rows();
    let mut zone = ZoneMap::default();
    let mut ends = Ends::default();
    for segment in view.segments() {
        if segment.first_row < rows.start || segment.end_row() > rows.end {
            return Ok(None);
        }
        match &segment.body {
            SegmentBody::Chunk { .. } => {
                let whole = whole_of_chunk(log, key, segment)?;
                zone.merge(&whole.zone);
                match ends_of_block(&whole) {
                    Some(later) => ends.merge(&later),
                    None if has_numbers(&whole.zone) => return Ok(None),
                    None => {}
                }
            }
            SegmentBody::Points(points) => add_points(points, &mut zone, &mut ends),
            SegmentBody::Put { .. } => return Ok(None),
        }
    }
    add_points(view.tail(), &mut zone, &mut ends);
    Ok((zone.rows() > 0).then(|| HistoryStats::of(&zone, &ends)))
}

/// Takes in later points.
fn add_points(points: &Points, zone: &mut ZoneMap, ends: &mut Ends) {
    if points.is_empty() {
        return;
    }
    zone.merge(&points.zone_map(0..points.len()));
    for (row, timestamp) in points.timestamps().iter().enumerate() {
        if let Some(number) = number_of(points, row) {
            ends.push(*timestamp, number);
        }
    }
}

fn has_numbers(zone: &ZoneMap) -> bool {
    zone.count(AtomKind::Float) > 0 || zone.count(AtomKind::Int) > 0
}

impl HistoryStats {
    /// Of rows with this zone map and these ends.
    fn of(zone: &ZoneMap, ends: &Ends) -> HistoryStats {
        let all_ints = zone.count(AtomKind::Float) == 0;
        let number = |end: Option<End>| {
            let number = end?.number;
            Some(if all_ints { number } else { Number::Float(number.as_f64()) })
        };
        let Numbers { min, max, sum, mean } = Numbers::of(zone);
        HistoryStats {
            count: zone.rows(),
            nulls: zone.count(AtomKind::Null),
            nans: zone.nans,
            floats: zone.count(AtomKind::Float),
            ints: zone.count(AtomKind::Int),
            texts: zone.count(AtomKind::Text),
            bytes: zone.count(AtomKind::Bytes),
            timestamps: Some((zone.timestamp_min, zone.timestamp_max)),
            min,
            max,
            sum,
            mean,
            first: number(ends.first),
            last: number(ends.last),
        }
    }
}

/// Rows of a piece that lie in one block, or all of it if it lies in none.
pub(super) struct Step<'a> {
    pub(super) rows: Range<u64>,
    /// The block, if these are all its rows.
    pub(super) whole: Option<&'a BlockRecord>,
    pub(super) block: Option<&'a BlockRecord>,
}

pub(super) fn steps<'a>(piece: &'a Piece<'_>) -> impl Iterator<Item = Step<'a>> {
    let first_row = piece.part.first_row;
    let blocks = piece.chunk().map_or(&[][..], |chunk| &chunk.header().blocks);
    let wanted = piece.rows.start - first_row..piece.rows.end - first_row;
    let from =
        blocks.partition_point(|b| u64::from(b.first_row) + u64::from(b.rows) <= wanted.start);
    let of_blocks = blocks.get(from..).unwrap_or_default().iter().map_while(move |block| {
        let first = u64::from(block.first_row);
        let own = first..first + u64::from(block.rows);
        let rows = wanted.start.max(own.start)..wanted.end.min(own.end);
        if rows.is_empty() {
            return None;
        }
        let whole = (rows == own).then_some(block);
        let rows = first_row + rows.start..first_row + rows.end;
        Some(Step { rows, whole, block: Some(block) })
    });
    let in_no_block = piece.chunk().is_none() && !piece.rows.is_empty();
    let alone = in_no_block.then(|| Step { rows: piece.rows.clone(), whole: None, block: None });
    of_blocks.chain(alone)
}

/// The column of numbers of a piece whose chunk has nothing but those and nulls.
pub(super) fn number_column(piece: &Piece<'_>) -> Option<Column> {
    match piece.chunk()?.chunk_type() {
        ChunkType::One(AtomKind::Float) => Some(Column::Values(ValueType::Float)),
        ChunkType::One(AtomKind::Int) => Some(Column::Values(ValueType::Int)),
        _ => None,
    }
}

/// The zone map of some rows of a piece, computed from its values. Timestamps are those of the
/// rows, too.
pub(super) fn zone_of(reader: &KeyReader, piece: &Piece<'_>, rows: &Range<u64>) -> Result<ZoneMap> {
    if let (Some(chunk), Some(column)) = (piece.chunk(), number_column(piece))
        && let Some(role) = direct_role(chunk.chunk_type(), column)
    {
        let stamps = reader.timestamps(piece.part, rows)?;
        let array = reader.direct(chunk, piece.part.first_row, column, role, rows)?;
        let mut zone = zone_of_array(&array, column);
        zone.set_timestamps(crate::column::TimestampStats::of(&stamps));
        return Ok(zone);
    }
    let mut zone = ZoneMap::default();
    reader.for_each_points(piece.part, rows, |_, points, rows| {
        if !rows.is_empty() {
            zone.merge(&points.zone_map(rows));
        }
        Ok(())
    })?;
    Ok(zone)
}

/// The zone map of an array of numbers, without its timestamps.
pub(super) fn zone_of_array(array: &dyn Array, column: Column) -> ZoneMap {
    let mut zone = ZoneMap::default();
    let nulls = array.null_count() as u64;
    let [null_count, floats, ints, ..] = &mut zone.counts;
    *null_count = nulls;
    if column == Column::Values(ValueType::Int) {
        let array = array.as_primitive::<Int64Type>();
        *ints = array.len() as u64 - nulls;
        zone.int = if nulls == 0 {
            IntStats::of(array.values(), |value| value)
        } else {
            IntStats::of(&array.iter().flatten().collect::<Vec<_>>(), |value| value)
        };
    } else {
        let array = array.as_primitive::<Float64Type>();
        *floats = array.len() as u64 - nulls;
        (zone.float, zone.nans) = if nulls == 0 {
            FloatStats::of(array.values(), |value| value)
        } else {
            FloatStats::of(&array.iter().flatten().collect::<Vec<_>>(), |value| value)
        };
    }
    zone
}

/// A number that may be the first or the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) timestamp: i64,
    pub(super) number: Number,
}

/// First and last number by timestamp, then append order, of some rows of a piece.
pub(super) fn ends_of(
    reader: &KeyReader,
    piece: &Piece<'_>,
    rows: &Range<u64>,
) -> Result<(Option<End>, Option<End>)> {
    let mut ends = Ends::default();
    if let (Some(chunk), Some(column)) = (piece.chunk(), number_column(piece))
        && let Some(role) = direct_role(chunk.chunk_type(), column)
    {
        let stamps = reader.timestamps(piece.part, rows)?;
        let array = reader.direct(chunk, piece.part.first_row, column, role, rows)?;
        let valid = |row: usize| array.is_valid(row);
        if column == Column::Values(ValueType::Int) {
            let values = array.as_primitive::<Int64Type>().values();
            for (row, (timestamp, value)) in stamps.iter().zip(values).enumerate() {
                if valid(row) {
                    ends.push(*timestamp, Number::Int((*value).into()));
                }
            }
        } else {
            let values = array.as_primitive::<Float64Type>().values();
            for (row, (timestamp, value)) in stamps.iter().zip(values).enumerate() {
                if valid(row) {
                    ends.push(*timestamp, Number::Float(*value));
                }
            }
        }
        return Ok((ends.first, ends.last));
    }
    reader.for_each_points(piece.part, rows, |_, points, rows| {
        for (row, timestamp) in rows.clone().zip(points.timestamps().get(rows).unwrap_or_default())
        {
            if let Some(number) = number_of(points, row) {
                ends.push(*timestamp, number);
            }
        }
        Ok(())
    })?;
    Ok((ends.first, ends.last))
}

/// The number in a row.
pub(super) fn number_of(points: &Points, row: usize) -> Option<Number> {
    match points.kind(row) {
        AtomKind::Float => Some(Number::Float(f64::from_bits(points.number_bits(row)))),
        AtomKind::Int => Some(Number::Int(points.number_bits(row).cast_signed().into())),
        _ => None,
    }
}

/// The first and the last of numbers that come in append order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) first: Option<End>,
    pub(super) last: Option<End>,
}

impl Ends {
    pub(super) fn push(&mut self, timestamp: i64, number: Number) {
        let end = End { timestamp, number };
        self.merge(&Ends { first: Some(end), last: Some(end) });
    }

    /// Takes in the ends of later rows.
    pub(super) fn merge(&mut self, later: &Ends) {
        let (first, last) = (self.first, self.last);
        if let Some(new) = later.first
            && first.is_none_or(|old| new.timestamp < old.timestamp)
        {
            self.first = Some(new);
        }
        if let Some(new) = later.last
            && last.is_none_or(|old| new.timestamp >= old.timestamp)
        {
            self.last = Some(new);
        }
    }
}

/// First and last of a block, or of a chunk, that says them itself: sorted, of one kind, without
/// nulls.
pub(super) fn ends_of_block(block: &BlockRecord) -> Option<Ends> {
    let zone = &block.zone;
    let rows = zone.rows();
    if !block.sorted {
        return None;
    }
    let (first, last) = if zone.count(AtomKind::Float) == rows {
        (Number::Float(zone.float.first), Number::Float(zone.float.last))
    } else if zone.count(AtomKind::Int) == rows {
        (Number::Int(zone.int.first.into()), Number::Int(zone.int.last.into()))
    } else {
        return None;
    };
    Some(Ends {
        first: Some(End { timestamp: zone.timestamp_min, number: first }),
        last: Some(End { timestamp: zone.timestamp_max, number: last }),
    })
}

/// First and last number of all pieces. Blocks that cannot hold them are not read.
fn ends(reader: &KeyReader, pieces: &[Piece<'_>]) -> Result<(Option<End>, Option<End>)> {
    let has_numbers = |step: &Step<'_>| step.block.is_none_or(|block| has_numbers(&block.zone));
    let read = |piece: &Piece<'_>, step: &Step<'_>| match step.whole.and_then(ends_of_block) {
        Some(ends) => Ok((ends.first, ends.last)),
        None => ends_of(reader, piece, &step.rows),
    };
    let mut first: Option<End> = None;
    for piece in pieces {
        for step in steps(piece).filter(has_numbers) {
            let min = step.block.map_or(i64::MIN, |block| block.zone.timestamp_min);
            if first.is_some_and(|first| min >= first.timestamp) {
                continue;
            }
            if let (Some(new), _) = read(piece, &step)?
                && first.is_none_or(|old| new.timestamp < old.timestamp)
            {
                first = Some(new);
            }
        }
    }
    let mut last: Option<End> = None;
    for piece in pieces.iter().rev() {
        let steps: Vec<_> = steps(piece).filter(has_numbers).collect();
        for step in steps.iter().rev() {
            let max = step.block.map_or(i64::MAX, |block| block.zone.timestamp_max);
            if last.is_some_and(|last| max <= last.timestamp) {
                continue;
            }
            if let (_, Some(new)) = read(piece, step)?
                && last.is_none_or(|old| new.timestamp > old.timestamp)
            {
                last = Some(new);
            }
        }
    }
    Ok((first, last))
}
