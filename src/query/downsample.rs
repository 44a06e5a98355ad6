//! Few points that a plot of all of them would show.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;

use crate::error::{Result, SynaError};

/// How points for a plot are chosen. Whatever the way, they are points of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Downsample {
    /// The time from the first point to the last is cut into equal parts, and of each part the
    /// smallest and the largest point leave: no peak is lost, and a plot of so many pixels looks
    /// like that of all points. The default.
    #[default]
    MinMax,
    /// Largest Triangle Three Buckets (Steinarsson, 2013): of each of equal runs of points the one
    /// leaves that makes the largest triangle with its neighbours. Fewer points for the same shape.
    Lttb,
}

impl Downsample {
    /// The name used on every interface.
    pub fn name(self) -> &'static str {
        match self {
            Downsample::MinMax => "minmax",
            Downsample::Lttb => "lttb",
        }
    }

    /// The way of this name.
    pub fn from_name(name: &str) -> Option<Downsample> {
        [Downsample::MinMax, Downsample::Lttb].into_iter().find(|way| way.name() == name)
    }
}

/// A point of the plot: its row, time and value.
#[derive(Debug, Clone, Copy)]
struct Dot {
    row: u64,
    time: i64,
    value: f64,
}

/// Refuses a plot of too few points to have a shape.
pub(crate) fn check_count(count: usize) -> Result<()> {
    if count < 3 {
        return Err(SynaError::InvalidOption { option: "count", what: "it must be at least 3" });
    }
    Ok(())
}

/// Doubles, and where there is none the nearest double of the integer, if there is one.
#[expect(clippy::cast_precision_loss, reason = "a plot has no more precision than a double")]
pub(crate) fn nearest_floats(floats: &Float64Array, ints: &Int64Array) -> Result<Float64Array> {
    let mut values = Vec::new();
    let bytes = floats.len() as u64 * size_of::<Option<f64>>() as u64;
    let no_memory = |_| SynaError::OutOfMemory { bytes };
    values.try_reserve_exact(floats.len()).map_err(no_memory)?;
    let of_row = |(float, int): (Option<f64>, Option<i64>)| float.or(int.map(|int| int as f64));
    values.extend(floats.iter().zip(ints).map(of_row));
    Ok(values.into())
}

/// At most `count` rows, at least 3, of a batch of numbers in the order of time.
pub(crate) fn downsample(
    batch: &RecordBatch,
    count: usize,
    method: Downsample,
) -> Result<RecordBatch> {
    let dots = dots(batch)?;
    let chosen = if dots.len() <= count {
        dots.iter().map(|dot| dot.row).collect()
    } else {
        match method {
            Downsample::MinMax => min_max(&dots, count),
            Downsample::Lttb => lttb(&dots, count),
        }
    };
    let chosen = UInt64Array::from(chosen);
    arrow_select::take::take_record_batch(batch, &chosen).map_err(|error| {
        SynaError::Serialization { operation: "encoded as Arrow", what: error.to_string() }
    })
}

/// The rows that are numbers, without NaN.
#[expect(clippy::cast_precision_loss, reason = "a plot has no more precision than a double")]
fn dots(batch: &RecordBatch) -> Result<Vec<Dot>> {
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
    let values = batch.column(1);
    let mut dots = Vec::new();
    let bytes = times.len() as u64 * size_of::<Dot>() as u64;
    dots.try_reserve_exact(times.len()).map_err(|_| SynaError::OutOfMemory { bytes })?;
    let mut push = |(row, (time, value)): (u64, (&i64, f64)), valid: bool| {
        if valid && !value.is_nan() {
            dots.push(Dot { row, time: *time, value });
        }
    };
    let valid = |row: usize| values.is_valid(row);
    if values.data_type() == &DataType::Int64 {
        let ints = values.as_primitive::<Int64Type>().values();
        for (at, (time, value)) in times.iter().zip(ints).enumerate() {
            push((at as u64, (time, *value as f64)), valid(at));
        }
    } else {
        let floats = values.as_primitive::<Float64Type>().values();
        for (at, (time, value)) in times.iter().zip(floats).enumerate() {
            push((at as u64, (time, *value)), valid(at));
        }
    }
    Ok(dots)
}

/// The smallest and the largest dot of each of `count / 2` equal parts of the time.
fn min_max(dots: &[Dot], count: usize) -> Vec<u64> {
    let (Some(first), Some(last)) = (dots.first(), dots.last()) else { return Vec::new() };
    let parts = (count / 2) as u128;
    let span = u128::from(last.time.abs_diff(first.time)) + 1;
    let part_of = |dot: &Dot| u128::from(dot.time.abs_diff(first.time)) * parts / span;
    let mut chosen = Vec::with_capacity(count);
    for part in dots.chunk_by(|a, b| part_of(a) == part_of(b)) {
        let min = part.iter().min_by(|a, b| a.value.total_cmp(&b.value)).map(|dot| dot.row);
        let max = part.iter().max_by(|a, b| a.value.total_cmp(&b.value)).map(|dot| dot.row);
        chosen.extend(min.into_iter().chain(max.filter(|max| Some(*max) != min)));
    }
    // The two of a part come in the order of time.
    chosen.sort_unstable();
    chosen
}

/// Largest Triangle Three Buckets: the first dot, one of each of `count - 2` runs, the last.
#[expect(clippy::cast_precision_loss, reason = "areas of triangles are compared")]
fn lttb(dots: &[Dot], count: usize) -> Vec<u64> {
    let (Some(first), Some(last)) = (dots.first(), dots.last()) else { return Vec::new() };
    let inner = dots.get(1..dots.len() - 1).unwrap_or_default();
    let runs = count - 2;
    // Run number `n` of the dots between the first and the last, as equal as can be.
    let run = |n: usize| {
        let end = |n: usize| {
            usize::try_from(n as u128 * inner.len() as u128 / runs as u128).unwrap_or(usize::MAX)
        };
        inner.get(end(n)..end(n + 1)).unwrap_or_default()
    };
    // Relative to the first dot, so that microseconds since 1970 lose nothing as doubles.
    let x = |dot: &Dot| dot.time.abs_diff(first.time) as f64;
    let mut chosen = vec![first.row];
    let mut before = *first;
    for n in 0..runs {
        let next = if n + 1 < runs { run(n + 1) } else { std::slice::from_ref(last) };
        let len = next.len().max(1) as f64;
        let mean_x = next.iter().map(x).sum::<f64>() / len;
        let mean_y = next.iter().map(|dot| dot.value).sum::<f64>() / len;
        let area = |dot: &Dot| {
            ((x(&before) - mean_x) * (dot.value - before.value)
                - (x(&before) - x(dot)) * (mean_y - before.value))
                .abs()
        };
        if let Some(best) = run(n).iter().max_by(|a, b| area(a).total_cmp(&area(b))) {
            before = *best;
            chosen.push(best.row);
        }
    }
    chosen.push(last.row);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dots(values: &[f64]) -> Vec<Dot> {
        let dot = |(row, value): (u64, &f64)| Dot { row, time: row as i64 * 1000, value: *value };
        (0..).zip(values).map(dot).collect()
    }

    #[test]
    fn peaks_survive() {
        let mut values = vec![0.0; 10_000];
        values[1234] = 5.0;
        values[7777] = -5.0;
        for chosen in [min_max(&dots(&values), 100), lttb(&dots(&values), 100)] {
            assert!(chosen.len() <= 100);
            assert!(chosen.is_sorted());
            assert!(chosen.contains(&1234) && chosen.contains(&7777));
        }
    }

    #[test]
    fn lttb_keeps_both_ends_and_the_count() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i).sin()).collect();
        for count in [3, 4, 10, 999] {
            let chosen = lttb(&dots(&values), count);
            assert_eq!((chosen.len(), chosen[0], chosen[count - 1]), (count, 0, 999));
        }
    }

    #[test]
    fn lttb_takes_the_corner_of_a_triangle() {
        assert_eq!(lttb(&dots(&[0.0, 1.0, 9.0, 1.0, 0.0]), 3), [0, 2, 4]);
    }

    #[test]
    fn min_max_works_at_the_ends_of_time() {
        let dot = |row, time| Dot { row, time, value: row as f64 };
        let dots = [dot(0, i64::MIN), dot(1, 0), dot(2, 0), dot(3, i64::MAX)];
        assert_eq!(min_max(&dots, 3), [0, 3]);
    }
}
