//! Buckets of time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};

use crate::atom::AtomKind;
use crate::column::{FloatStats, ZoneMap};
use crate::error::{Result, SynaError};
use crate::materialize::cache::Column;
use crate::materialize::schema::{UTC, ValueType, timestamp_type};
use crate::materialize::{How, KeyReader, Piece, direct_role, each};
use crate::mutex::Mutex;

use super::CELLS_MAX;
use super::every::Every;
use super::stats::{
    Ends, Number, Numbers, Step, ends_of_block, number_column, number_of, steps, zone_of_array,
};

/// What is told of the points in a bucket of time. Numbers are floats and integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregate {
    /// Points, nulls among them.
    Count,
    /// Points that are null.
    Nulls,
    /// Floats that are NaN.
    Nans,
    /// The smallest number that is not NaN.
    Min,
    /// The largest number that is not NaN.
    Max,
    /// The sum of all numbers that are not NaN: of floats within each block in append order, then
    /// over blocks; of integers exact.
    Sum,
    /// The sum divided by how many numbers are in it.
    Mean,
    /// The number, maybe NaN, with the earliest timestamp; of several the one appended first.
    First,
    /// The number, maybe NaN, with the latest timestamp; of several the one appended last.
    Last,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 9] = [
        Aggregate::Count,
        Aggregate::Nulls,
        Aggregate::Nans,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Sum,
        Aggregate::Mean,
        Aggregate::First,
        Aggregate::Last,
    ];

    /// The name of its column, and the one used on every interface.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Nulls => "nulls",
            Aggregate::Nans => "nans",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
            Aggregate::First => "first",
            Aggregate::Last => "last",
        }
    }

    /// The aggregate of this name.
    pub fn from_name(name: &str) -> Option<Aggregate> {
        Self::ALL.into_iter().find(|aggregate| aggregate.name() == name)
    }
}

/// What is known of the points in a bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    zone: ZoneMap,
    ends: Ends,
}

impl Bucket {
    fn merge(&mut self, later: &Bucket) {
        self.zone.merge(&later.zone);
        self.ends.merge(&later.ends);
    }
}

/// What is to be found out, and how.
struct Task {
    every: i64,
    /// First and last are asked for: they need what zone maps of unsorted blocks do not say.
    ends: bool,
    /// Smallest and largest are asked for.
    extremes: bool,
}

/// So many blocks are worked on before their buckets are joined: enough to keep all processors
/// busy, few enough that blocks with a bucket for every row do not fill the memory.
const WAVE: usize = 1024;
const WAVE_UNSORTED: usize = 32;
/// Blocks that a thread takes at a time.
const GROUP: usize = 32;

/// The points of pieces by buckets of time, as [`History::resample`](crate::History::resample)
/// says.
pub(crate) fn resample(
    reader: &KeyReader,
    pieces: &[Piece<'_>],
    every: Every,
    aggregates: &[Aggregate],
    empty_buckets: bool,
) -> Result<RecordBatch> {
    let ends = aggregates.iter().any(|a| matches!(a, Aggregate::First | Aggregate::Last));
    let extremes = aggregates.iter().any(|a| matches!(a, Aggregate::Min | Aggregate::Max));
    let task = Task { every: every.micros(), ends, extremes };
    let reader = &*reader.for_pieces(pieces);
    let all: Vec<(&Piece<'_>, Step<'_>)> =
        pieces.iter().flat_map(|piece| steps(piece).map(move |step| (piece, step))).collect();
    let sorted = all.iter().all(|(_, step)| step.block.is_none_or(|block| block.sorted));
    let mut buckets = Buckets::default();
    for wave in all.chunks(if sorted { WAVE } else { WAVE_UNSORTED }) {
        let found = Mutex::new(BTreeMap::new());
        let groups: Vec<_> = wave.chunks(GROUP).enumerate().collect();
        let bytes = wave.iter().map(|(_, step)| (step.rows.end - step.rows.start) * 16).sum();
        each(groups, bytes, |(number, group)| {
            let mut of_group = Vec::new();
            task.decode_together(reader, group)?;
            for (piece, step) in group {
                task.add_step(reader, piece, step, &mut of_group)?;
            }
            found.lock().insert(number, of_group);
            Ok(())
        })?;
        // In the order of their blocks, so that sums do not depend on who was faster.
        for (number, bucket) in found.into_inner().into_values().flatten() {
            buckets.add(number, &bucket)?;
        }
    }
    let buckets = buckets.finish()?;
    table(&buckets, every, aggregates, empty_buckets)
}

impl Task {
    fn bucket_of(&self, timestamp: i64) -> i64 {
        timestamp.div_euclid(self.every)
    }

    /// The bucket that holds all of a block, if its zone map tells everything about it.
    fn bucket_of_block(&self, step: &Step<'_>) -> Option<(i64, Bucket)> {
        let block = step.whole?;
        let ends = ends_of_block(block);
        let number = self.bucket_of(block.zone.timestamp_min);
        let told =
            number == self.bucket_of(block.zone.timestamp_max) && (ends.is_some() || !self.ends);
        told.then(|| (number, Bucket { zone: block.zone, ends: ends.unwrap_or_default() }))
    }

    /// Has the blocks of a group that have to be decoded decoded into one buffer, for many small
    /// ones take longer to get than to fill. The cache keeps it for the steps.
    fn decode_together(&self, reader: &KeyReader, group: &[(&Piece<'_>, Step<'_>)]) -> Result<()> {
        let Some((piece, _)) = group.first() else { return Ok(()) };
        let (Some(chunk), Some(values)) = (piece.chunk(), number_column(piece)) else {
            return Ok(());
        };
        let of_piece = group.iter().filter(|(other, _)| std::ptr::eq(*other, *piece));
        let mut read = of_piece.filter(|(_, step)| self.bucket_of_block(step).is_none());
        // Of a single block there is nothing to join.
        let (Some((_, first)), Some((_, last))) = (read.next(), read.next_back()) else {
            return Ok(());
        };
        let rows = first.rows.start..last.rows.end;
        for column in [Column::Timestamps, values] {
            let Some(role) = direct_role(chunk.chunk_type(), column) else { continue };
            let first_row = piece.part.first_row;
            if reader.how(chunk, first_row, column, role, &rows) == How::Decoded {
                reader.direct(chunk, first_row, column, role, &rows)?;
            }
        }
        Ok(())
    }

    /// Appends the buckets of one step. Each bucket of a block comes once.
    fn add_step(
        &self,
        reader: &KeyReader,
        piece: &Piece<'_>,
        step: &Step<'_>,
        out: &mut Vec<(i64, Bucket)>,
    ) -> Result<()> {
        if let Some(bucket) = self.bucket_of_block(step) {
            out.push(bucket);
            return Ok(());
        }
        let is_sorted = step.block.is_some_and(|block| block.sorted);
        if is_sorted && number_column(piece).is_some() {
            return self.add_sorted(reader, piece, &step.rows, out);
        }
        self.add_points(reader, piece, &step.rows, out)
    }

    /// Numbers of one kind in the order of time: buckets are stretches.
    fn add_sorted(
        &self,
        reader: &KeyReader,
        piece: &Piece<'_>,
        rows: &Range<u64>,
        out: &mut Vec<(i64, Bucket)>,
    ) -> Result<()> {
        let (Some(chunk), Some(column)) = (piece.chunk(), number_column(piece)) else {
            return Ok(());
        };
        let Some(role) = direct_role(chunk.chunk_type(), column) else { return Ok(()) };
        let stamps = reader.timestamps(piece.part, rows)?;
        let values = reader.direct(chunk, piece.part.first_row, column, role, rows)?;
        let mut in_buckets = Vec::new();
        let mut from = 0;
        while let Some(first) = stamps.get(from) {
            let number = self.bucket_of(*first);
            let rest = stamps.get(from..).unwrap_or_default();
            // Compared with the end of the bucket, because a division takes longer than a step of
            // the search; at the end of time the bucket has none.
            let end = number.checked_add(1).and_then(|next| next.checked_mul(self.every));
            let len = rest.partition_point(|t| end.is_none_or(|end| *t < end)).max(1);
            in_buckets.push((number, from..from + len));
            from += len;
        }
        let mut zones = self.zones_of(&values, column, &in_buckets).into_iter();
        for (number, rows) in in_buckets {
            let own = stamps.get(rows.clone()).unwrap_or_default();
            let mut zone = zones.next().unwrap_or_default();
            zone.timestamp_min = own.first().copied().unwrap_or_default();
            zone.timestamp_max = own.last().copied().unwrap_or_default();
            let ends = if self.ends {
                ends_of_array(own, &values.slice(rows.start, rows.len()), column)
            } else {
                Ends::default()
            };
            out.push((number, Bucket { zone, ends }));
        }
        Ok(())
    }

    /// The zone maps of stretches of an array of numbers, without timestamps; without extremes, too,
    /// where nobody asks for them, because they take longer than sums.
    fn zones_of(
        &self,
        values: &ArrayRef,
        column: Column,
        stretches: &[(i64, Range<usize>)],
    ) -> Vec<ZoneMap> {
        let floats = values.as_primitive_opt::<Float64Type>().filter(|_| !self.extremes);
        let Some(floats) = floats.filter(|floats| floats.null_count() == 0) else {
            let slice = |(_, rows): &(i64, Range<usize>)| values.slice(rows.start, rows.len());
            return stretches.iter().map(|own| zone_of_array(&slice(own), column)).collect();
        };
        let run =
            |(_, rows): &(i64, Range<usize>)| floats.values().get(rows.clone()).unwrap_or_default();
        let runs: Vec<&[f64]> = stretches.iter().map(run).collect();
        let zone = |(run, (sum, nans)): (&&[f64], (f64, u64))| {
            let mut zone = ZoneMap { nans, ..ZoneMap::default() };
            let [_, count, ..] = &mut zone.counts;
            *count = run.len() as u64;
            zone.float.sum = sum;
            zone
        };
        runs.iter().zip(FloatStats::sums_of(&runs)).map(zone).collect()
    }

    /// Anything else, point by point.
    fn add_points(
        &self,
        reader: &KeyReader,
        piece: &Piece<'_>,
        rows: &Range<u64>,
        out: &mut Vec<(i64, Bucket)>,
    ) -> Result<()> {
        let mut found: BTreeMap<i64, Bucket> = BTreeMap::new();
        reader.for_each_points(piece.part, rows, |_, points, rows| {
            let stamps = points.timestamps().get(rows.clone()).unwrap_or_default();
            let mut row = rows.start;
            for run in stamps.chunk_by(|a, b| self.bucket_of(*a) == self.bucket_of(*b)) {
                let rows = row..row + run.len();
                row = rows.end;
                let mut bucket =
                    Bucket { zone: points.zone_map(rows.clone()), ends: Ends::default() };
                for (row, timestamp) in rows.zip(run).filter(|_| self.ends) {
                    if let Some(number) = number_of(points, row) {
                        bucket.ends.push(*timestamp, number);
                    }
                }
                let number = run.first().map_or(0, |first| self.bucket_of(*first));
                found.entry(number).or_default().merge(&bucket);
            }
            Ok(())
        })?;
        out.extend(found);
        Ok(())
    }
}

/// First and last of an array whose timestamps are sorted.
fn ends_of_array(stamps: &[i64], array: &dyn Array, column: Column) -> Ends {
    let mut ends = Ends::default();
    let mut push = |row: usize| {
        let Some(timestamp) = stamps.get(row) else { return };
        let number = if column == Column::Values(ValueType::Int) {
            array.as_primitive::<Int64Type>().values().get(row).map(|v| Number::Int((*v).into()))
        } else {
            array.as_primitive::<Float64Type>().values().get(row).map(|v| Number::Float(*v))
        };
        if let Some(number) = number {
            ends.push(*timestamp, number);
        }
    };
    let mut valid = (0..array.len()).filter(|row| array.is_valid(*row));
    if let Some(first) = valid.next() {
        push(first);
        // Of equal last timestamps the last row counts, so only that one is needed.
        if let Some(last) = valid.next_back() {
            push(last);
        }
    }
    ends
}

/// Buckets that mostly come in the order of time.
#[derive(Default)]
struct Buckets {
    /// Ascending.
    in_order: Vec<(i64, Bucket)>,
    /// Those that came late.
    late: BTreeMap<i64, Bucket>,
}

impl Buckets {
    fn add(&mut self, number: i64, bucket: &Bucket) -> Result<()> {
        match self.in_order.last_mut() {
            Some((last, known)) if *last == number => known.merge(bucket),
            Some((last, _)) if *last > number => {
                match self.in_order.binary_search_by_key(&number, |(number, _)| *number) {
                    Ok(at) => {
                        if let Some((_, known)) = self.in_order.get_mut(at) {
                            known.merge(bucket);
                        }
                    }
                    Err(_) => self.late.entry(number).or_default().merge(bucket),
                }
            }
            _ => {
                reserve(&mut self.in_order, 1)?;
                self.in_order.push((number, *bucket));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(i64, Bucket)>> {
        if !self.late.is_empty() {
            reserve(&mut self.in_order, self.late.len())?;
            self.in_order.extend(self.late);
            self.in_order.sort_unstable_by_key(|(number, _)| *number);
        }
        Ok(self.in_order)
    }
}

/// Room for more buckets, of which there may be as many as points.
fn reserve(buckets: &mut Vec<(i64, Bucket)>, more: usize) -> Result<()> {
    let bytes = buckets.len().saturating_add(more).saturating_mul(size_of::<(i64, Bucket)>());
    buckets.try_reserve(more).map_err(|_| SynaError::OutOfMemory { bytes: bytes as u64 })
}

/// The buckets as a batch.
fn table(
    buckets: &[(i64, Bucket)],
    every: Every,
    aggregates: &[Aggregate],
    empty_buckets: bool,
) -> Result<RecordBatch> {
    let rows = Rows::of(buckets, aggregates.len(), empty_buckets)?;
    let label = |number: i64| number.saturating_mul(every.micros());
    let labels = rows.collect(|number, _| Some(label(number)))?;
    let labels = TimestampMicrosecondArray::from(labels).with_timezone(Arc::clone(&UTC));
    let mut fields = vec![Field::new("timestamp", timestamp_type(), false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(labels)];
    let all_ints = buckets.iter().all(|(_, bucket)| bucket.zone.count(AtomKind::Float) == 0)
        && buckets.iter().any(|(_, bucket)| bucket.zone.count(AtomKind::Int) > 0);
    for aggregate in aggregates {
        let array = rows.column(*aggregate, all_ints)?;
        let is_count = matches!(aggregate, Aggregate::Count | Aggregate::Nulls | Aggregate::Nans);
        fields.push(Field::new(aggregate.name(), array.data_type().clone(), !is_count));
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| {
        SynaError::Serialization { operation: "encoded as Arrow", what: error.to_string() }
    })
}

/// The rows of the result: buckets, those without points among them if asked for.
struct Rows<'a> {
    buckets: &'a [(i64, Bucket)],
    len: usize,
    empty_buckets: bool,
}

impl<'a> Rows<'a> {
    fn of(buckets: &'a [(i64, Bucket)], columns: usize, empty_buckets: bool) -> Result<Rows<'a>> {
        let mut len = buckets.len();
        if let (Some((first, _)), Some((last, _)), true) =
            (buckets.first(), buckets.last(), empty_buckets)
        {
            // One point with a wrong stamp asks for all the time up to the others.
            let (rows, columns) = (last.abs_diff(*first).saturating_add(1), columns as u64);
            let too_large = SynaError::FrameTooLarge { rows, columns, max: CELLS_MAX };
            len = match usize::try_from(rows) {
                Ok(len) if rows.saturating_mul(columns.max(1)) <= CELLS_MAX => len,
                _ => return Err(too_large),
            };
        }
        Ok(Rows { buckets, len, empty_buckets })
    }

    fn collect<T>(&self, of_bucket: impl Fn(i64, &Bucket) -> T) -> Result<Vec<T>> {
        let bytes = (self.len as u64).saturating_mul(size_of::<T>() as u64);
        let mut all = Vec::new();
        all.try_reserve_exact(self.len).map_err(|_| SynaError::OutOfMemory { bytes })?;
        let mut next = self.buckets.first().map_or(0, |(number, _)| *number);
        for (number, bucket) in self.buckets {
            while self.empty_buckets && next < *number {
                all.push(of_bucket(next, &Bucket::default()));
                next += 1;
            }
            all.push(of_bucket(*number, bucket));
            next = number.saturating_add(1);
        }
        Ok(all)
    }

    fn column(&self, aggregate: Aggregate, all_ints: bool) -> Result<ArrayRef> {
        let count = |of: fn(&ZoneMap) -> u64| -> Result<ArrayRef> {
            let counts = self.collect(|_, b| i64::try_from(of(&b.zone)).unwrap_or(i64::MAX))?;
            Ok(Arc::new(Int64Array::from(counts)))
        };
        match aggregate {
            Aggregate::Count => count(ZoneMap::rows),
            Aggregate::Nulls => count(|zone| zone.count(AtomKind::Null)),
            Aggregate::Nans => count(|zone| zone.nans),
            Aggregate::Min => self.numbers(all_ints, |b| Numbers::of(&b.zone).min),
            Aggregate::Max => self.numbers(all_ints, |b| Numbers::of(&b.zone).max),
            Aggregate::Sum => self.numbers(all_ints, |b| Numbers::of(&b.zone).sum),
            Aggregate::First => self.numbers(all_ints, |b| b.ends.first.map(|end| end.number)),
            Aggregate::Last => self.numbers(all_ints, |b| b.ends.last.map(|end| end.number)),
            Aggregate::Mean => {
                let means = self.collect(|_, b| Numbers::of(&b.zone).mean)?;
                Ok(Arc::new(Float64Array::from(means)))
            }
        }
    }

    fn numbers(
        &self,
        all_ints: bool,
        of_bucket: impl Fn(&Bucket) -> Option<Number>,
    ) -> Result<ArrayRef> {
        if !all_ints {
            let floats = self.collect(|_, bucket| of_bucket(bucket).map(Number::as_f64))?;
            return Ok(Arc::new(Float64Array::from(floats)));
        }
        let ints = self.collect(|_, bucket| match of_bucket(bucket) {
            Some(Number::Int(value)) => Some(value),
            _ => None,
        })?;
        let fits = |int: &Option<i128>| int.is_none_or(|int| i64::try_from(int).is_ok());
        if ints.iter().all(fits) {
            let ints = ints.into_iter().map(|int| int.and_then(|int| i64::try_from(int).ok()));
            return Ok(Arc::new(ints.collect::<Int64Array>()));
        }
        // 2^62 rows of 64-bit integers add up to less than 38 decimal digits.
        let array = Decimal128Array::from(ints).with_precision_and_scale(38, 0);
        let array = array.map_err(|error| SynaError::Serialization {
            operation: "encoded as Arrow",
            what: error.to_string(),
        })?;
        Ok(Arc::new(array))
    }
}
