//! Many keys side by side, aligned on time.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{Field, Schema, SchemaRef};

use crate::error::{Result, SynaError};
use crate::index::Glob;
use crate::materialize::cache::Column;
use crate::materialize::schema::{ValueType, arrow_error, timestamp_type};
use crate::materialize::{AsType, OnMismatch, Order, Tensor, each, timestamp_array};
use crate::query::{Align, CELLS_MAX, Every, Fill, Grid, UnionOfTimes, carry_last, rows_seen};
use crate::times::Times;

use super::SynaDB;
use super::core::Pinned;
use super::history::History;

/// Columns that are made before they are written to the rows of a tensor.
const TENSOR_COLUMNS: usize = 32;
/// Bytes of a tensor that one thread writes at a time.
const TENSOR_TASK_BYTES: usize = 1 << 20;

/// The histories of several keys side by side: one row for each time, one column for each key.
///
/// Made by [`SynaDB::frame`], [`SynaDB::frame_matching`] and the same of
/// [`Snapshot`](crate::Snapshot), narrowed by the methods that return `Self`, read by the others,
/// any number of times. All of them agree: they see one commit, whatever is appended, deleted or
/// rewritten meanwhile.
///
/// # Times
///
/// Without [`every`](Frame::every) there is a row for each timestamp that a point of any of the keys
/// has, each once, in order. With it, rows are a fixed step apart.
/// [`range`](Frame::range) limits the rows, not what they see: what was the state at its start may
/// have been appended long before.
///
/// # Cells
///
/// In the column of a key a row has the value of the point that it sees by
/// [`align`](Frame::align), if that is not further away than
/// [`tolerance`](Frame::tolerance):
///
/// - In which order points were appended matters only among those with equal timestamps: of them
///   the one appended last counts, whatever the alignment, and the others are never seen. Points
///   that came late are where their time says.
/// - A null point is a point, as in [`get_at`](SynaDB::get_at): its timestamp makes a row, and a row
///   that sees it sees null, not the value before it.
/// - NaN is a value like any other.
/// - A cell is *missing* if its row sees no point or a null; [`fill`](Frame::fill) says what then
///   stands there.
///
/// # Cost
///
/// Each key is read once (twice without `every`: first its times) and merged with the rows in one
/// pass; what is decoded stays in the column cache. Keys whose timestamps fall are sorted first.
/// Beside what it returns, [`read`](Frame::read) needs memory for the histories of as many keys
/// as there are processors, [`tensor`](Frame::tensor) for 32 columns, too. Within a
/// [`range`](Frame::range) only the blocks that its rows can see are read.
///
/// ```
/// use std::time::Duration;
///
/// use synadb::{Fill, SynaDB};
///
/// # fn main() -> synadb::Result<()> {
/// let db = SynaDB::in_memory()?;
/// let minute = 60_000_000;
/// db.append_batch("temp", &[0, 10 * minute, 20 * minute], &[39.0, 38.5, 38.0][..])?;
/// db.append_batch("wind", &[5 * minute, 25 * minute], &[12_i64, 14][..])?;
/// let frame = db.frame(["temp", "wind"])?.every("10m".parse()?);
/// let frame = frame.tolerance(Duration::from_secs(600));
/// let table = frame.read()?; // timestamp; temp: Float64; wind: Int64
/// assert_eq!((table.num_rows(), table.num_columns()), (4, 3));
/// let tensor = frame.fill(Fill::Last).tensor()?;
/// assert_eq!(tensor.row(2), Some(&[38.0, 12.0][..]));
/// assert!(tensor.row(0).is_some_and(|row| row[1].is_nan()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Frame {
    db: SynaDB,
    pinned: Arc<Pinned>,
    keys: Vec<History>,
    asked: Asked,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    times: Option<Times>,
    every: Option<Every>,
    align: Align,
    tolerance: Option<Duration>,
    fill: Fill,
    as_type: AsType,
    on_mismatch: OnMismatch,
}

/// A frame of doubles in one piece of memory, row by row.
#[derive(Debug)]
#[non_exhaustive]
pub struct FrameTensor {
    /// The time of each row, microseconds since 1970-01-01 UTC, rising.
    pub timestamps: ScalarBuffer<i64>,
    /// The cells: the first row's, one for each key in the order of the frame's keys, then the
    /// second's, and so on. NaN where one is missing. Owned: may be changed.
    pub values: Tensor,
    /// Number of keys.
    pub columns: usize,
}

impl FrameTensor {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// The cells of one row.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        let first = row.checked_mul(self.columns)?;
        self.values.get(first..first.checked_add(self.columns)?)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("keys", &self.keys.len())
            .field("commit_end", &self.pinned.commit_end())
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Frame {
    pub(super) fn new<K: AsRef<str>>(
        db: SynaDB,
        pinned: Arc<Pinned>,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Frame> {
        let mut names = HashSet::new();
        let mut histories = Vec::new();
        for key in keys {
            let key = key.as_ref();
            let history = History::new(db.clone(), Arc::clone(&pinned), key)?;
            if !names.insert(key.to_owned()) {
                return Err(SynaError::DuplicateKey { key: key.to_owned() });
            }
            histories.push(history);
        }
        if histories.is_empty() {
            let what = "a frame needs at least one key";
            return Err(SynaError::InvalidOption { option: "keys", what });
        }
        let asked = Asked {
            times: None,
            every: None,
            align: Align::Backward,
            tolerance: None,
            fill: Fill::None,
            as_type: AsType::Natural,
            on_mismatch: OnMismatch::Raise,
        };
        Ok(Frame { db, pinned, keys: histories, asked })
    }

    pub(super) fn matching(db: SynaDB, pinned: Arc<Pinned>, pattern: &str) -> Result<Frame> {
        let keys = pinned.view().keys(Some(&Glob::new(pattern)?));
        if keys.is_empty() {
            return Err(SynaError::KeyNotFound { key: pattern.to_owned() });
        }
        Frame::new(db, pinned, keys)
    }

    fn ask(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        change(&mut self.asked);
        self
    }

    fn check(&self) -> Result<()> {
        self.db.open.check()?;
        self.db.open.core.check_fork()
    }
}

/// Narrowing.
impl Frame {
    /// Only rows with times in `[start, end)`, microseconds since 1970-01-01 UTC. What they see may
    /// lie outside. With [`every`](Frame::every) the first row is at `start`. The last call counts.
    #[must_use]
    pub fn range(self, timestamps: impl RangeBounds<i64>) -> Self {
        self.ask(|asked| asked.times = Some(Times::of(&timestamps)))
    }

    /// Rows a fixed step apart, instead of at the times of the points. With a
    /// [`range`](Frame::range) they are `start`, `start + every`, and so on below `end`; without
    /// one the multiples of the step, counted from 1970-01-01 UTC, from the last one at or before
    /// the first point of any key to the first one at or after the last. A range that is open on one
    /// side, or begins with the first of all timestamps, begins or ends there as if there were none.
    #[must_use]
    pub fn every(self, every: Every) -> Self {
        self.ask(|asked| asked.every = Some(every))
    }

    /// Which point a row sees. Default [`Align::Backward`].
    #[must_use]
    pub fn align(self, align: Align) -> Self {
        self.ask(|asked| asked.align = align)
    }

    /// Rows see no point that is further away than this, in whatever direction; exactly as far is
    /// near enough, so that zero asks for points at the very times of the rows. Counted in whole
    /// microseconds. The point that the alignment picks is the one that is looked at: if it is too
    /// far, no other takes its place. Default: any distance.
    #[must_use]
    pub fn tolerance(self, tolerance: Duration) -> Self {
        self.ask(|asked| asked.tolerance = Some(tolerance))
    }

    /// What stands in missing cells. Default [`Fill::None`].
    #[must_use]
    pub fn fill(self, fill: Fill) -> Self {
        self.ask(|asked| asked.fill = fill)
    }

    /// Columns of this type. Default [`AsType::Natural`]: that of each key's whole live history, by
    /// the table of [`History`]. There are no frames of unions.
    #[must_use]
    pub fn as_type(self, as_type: AsType) -> Self {
        self.ask(|asked| asked.as_type = as_type)
    }

    /// What happens to points that do not fit the type. Default [`OnMismatch::Raise`]; with
    /// [`OnMismatch::Null`] they are nulls, with [`OnMismatch::Skip`] rows do not see them.
    #[must_use]
    pub fn on_mismatch(self, on_mismatch: OnMismatch) -> Self {
        self.ask(|asked| asked.on_mismatch = on_mismatch)
    }
}

/// Reading.
impl Frame {
    /// Whether this process is a forked child and the frame the parent's.
    pub fn is_forked(&self) -> bool {
        self.db.is_forked()
    }

    /// The keys, in the order of the columns.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.keys.iter().map(History::key)
    }

    /// The time of each row. Cost: without [`every`](Frame::every) the times of all points of all
    /// keys in the range are read.
    ///
    /// # Errors
    ///
    /// As [`Frame::read`].
    pub fn timestamps(&self) -> Result<ScalarBuffer<i64>> {
        self.check()?;
        Ok(self.times(self.asked.as_type)?.into())
    }

    /// The schema of [`read`](Frame::read). Reads the headers of the keys' chunks, once.
    ///
    /// # Errors
    ///
    /// As [`Frame::read`].
    pub fn schema(&self) -> Result<SchemaRef> {
        self.check()?;
        self.schema_as(self.asked.as_type)
    }

    /// All rows as one batch: `timestamp`, `Timestamp(Microsecond, "UTC")` without nulls, and for
    /// each key a nullable column of its name, in the order of the keys. Memory of its own.
    ///
    /// # Errors
    ///
    /// `FrameTooLarge` if there would be more than 2^30 cells; `InvalidOption` for a union, a
    /// [`Fill::Value`] that a column cannot hold, or a key named `timestamp`; `Corrupt` if a part of
    /// what is read is damaged; `TypeMismatch` for points that do not fit the type asked for;
    /// `ColumnTooLarge` for texts or bytes of more than 2^31 - 1 bytes in one column;
    /// `OutOfMemory`, `Io`, `Closed`, `ForkedHandle`. Nothing is returned in part.
    pub fn read(&self) -> Result<RecordBatch> {
        self.check()?;
        let schema = self.schema_as(self.asked.as_type)?;
        if self.keys().any(|key| key == "timestamp") {
            let what = "a key named `timestamp` would hide the times: read a tensor";
            return Err(SynaError::InvalidOption { option: "keys", what });
        }
        let times = self.times(self.asked.as_type)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.keys.len().saturating_add(1));
        let keys: Vec<&History> = self.keys.iter().collect();
        let made = self.columns(&keys, &times, self.asked.as_type, None)?;
        let rows = times.len();
        columns.push(timestamp_array(times.into(), 0, rows));
        columns.extend(made);
        RecordBatch::try_new(schema, columns).map_err(arrow_error)
    }

    /// All cells as doubles, NaN where one is missing, in one piece of memory from the buffer pool.
    /// Columns are of type [`AsType::Float`], whatever was asked for: integers within 2^53 are
    /// doubles, and what is not a number is by [`on_mismatch`](Frame::on_mismatch).
    ///
    /// # Errors
    ///
    /// As [`Frame::read`].
    pub fn tensor(&self) -> Result<FrameTensor> {
        self.check()?;
        let times = self.times(AsType::Float)?;
        let columns = self.keys.len();
        let too_large = SynaError::OutOfMemory { bytes: u64::MAX };
        let bytes = times.len().checked_mul(columns).and_then(|cells| cells.checked_mul(8));
        let bytes = bytes.ok_or(too_large)?;
        let mut out = self.db.open.core.materializer.pool.take(bytes)?;
        for (first, keys) in (0..).step_by(TENSOR_COLUMNS).zip(self.keys.chunks(TENSOR_COLUMNS)) {
            let keys: Vec<&History> = keys.iter().collect();
            let made = self.columns(&keys, &times, AsType::Float, Some(f64::NAN))?;
            write_columns(out.as_mut_words::<f64>(), columns, first, &made)?;
        }
        Ok(FrameTensor { timestamps: times.into(), values: Tensor::new(out), columns })
    }
}

/// Making.
impl Frame {
    /// A key's points as this frame wants them.
    fn points(&self, key: &History, as_type: AsType) -> History {
        key.clone().as_type(as_type).on_mismatch(self.asked.on_mismatch).order(Order::Time)
    }

    /// The points of a key that rows can see.
    fn points_seen(&self, key: &History, as_type: AsType) -> Result<History> {
        let points = self.points(key, as_type);
        let Some(times) = self.asked.times else { return Ok(points) };
        let (before, after) = points.neighbours(times)?;
        let start = before.filter(|_| self.asked.align.looks_back()).unwrap_or(times.first);
        let last = after.filter(|_| self.asked.align.looks_ahead()).unwrap_or(times.last);
        Ok(points.range(start..=last))
    }

    fn schema_as(&self, as_type: AsType) -> Result<SchemaRef> {
        if as_type == AsType::Union {
            let what = "there are no frames of unions: ask for struct";
            return Err(SynaError::InvalidOption { option: "as_type", what });
        }
        let mut fields = Vec::with_capacity(self.keys.len().saturating_add(1));
        fields.push(Field::new("timestamp", timestamp_type(), false));
        for key in &self.keys {
            let values = self.points(key, as_type).value_type()?;
            self.check_fill(values)?;
            fields.push(Field::new(key.key(), values.data_type(), true));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Whether a column of this type takes what missing cells are filled with; its bits.
    fn check_fill(&self, values: ValueType) -> Result<Option<u64>> {
        let Fill::Value(fill) = self.asked.fill else { return Ok(None) };
        let refused = |what| Err(SynaError::InvalidOption { option: "fill", what });
        match values {
            ValueType::Float => Ok(Some(fill.to_bits())),
            ValueType::Int => match int_of(fill) {
                Some(int) => Ok(Some(int.cast_unsigned())),
                None => refused("a column of integers takes no fraction: ask for as_type float"),
            },
            _ => refused("only columns of numbers take a value: ask for as_type float"),
        }
    }

    fn check_size(&self, rows: u64) -> Result<()> {
        let columns = self.keys.len() as u64;
        if rows.saturating_mul(columns) > CELLS_MAX {
            return Err(SynaError::FrameTooLarge { rows, columns, max: CELLS_MAX });
        }
        Ok(())
    }

    /// The times of the rows, rising.
    fn times(&self, as_type: AsType) -> Result<Vec<i64>> {
        let Some(every) = self.asked.every else { return self.union_of_times(as_type) };
        let grid = match self.asked.times {
            Some(times) if !times.is_open() => Grid::within(times, every),
            asked => {
                let mut extent: Option<(i64, i64)> = None;
                for key in &self.keys {
                    let own = self.points(key, as_type).extent()?;
                    extent = match (extent, own) {
                        (Some((min, max)), Some(own)) => Some((min.min(own.0), max.max(own.1))),
                        (extent, own) => extent.or(own),
                    };
                }
                let Some((min, max)) = extent else { return Ok(Vec::new()) };
                let around = Grid::around(min, max, every);
                asked.map_or(around, |times| around.open_side_of(times, max, every))
            }
        };
        self.check_size(grid.rows)?;
        grid.times()
    }

    fn union_of_times(&self, as_type: AsType) -> Result<Vec<i64>> {
        let mut union = UnionOfTimes::default();
        for key in &self.keys {
            let mut points = self.points(key, as_type);
            if let Some(times) = self.asked.times {
                points = points.range(times.first..=times.last);
            }
            union.add(&points.timestamps()?)?;
        }
        let times = union.finish()?;
        self.check_size(times.len() as u64)?;
        Ok(times)
    }

    /// The columns of some keys; in those of a tensor, missing cells have a value in any case.
    fn columns(
        &self,
        keys: &[&History],
        times: &[i64],
        as_type: AsType,
        missing: Option<f64>,
    ) -> Result<Vec<ArrayRef>> {
        let mut made: Vec<Option<ArrayRef>> = vec![None; keys.len()];
        let points: u64 = keys.iter().map(|key| key.live_len()).fold(0, u64::saturating_add);
        let cells = (times.len() as u64).saturating_mul(keys.len() as u64);
        let tasks = keys.iter().zip(made.iter_mut()).collect();
        each(tasks, points.saturating_add(cells).saturating_mul(8), |(key, made)| {
            *made = Some(self.column(key, times, as_type, missing)?);
            Ok(())
        })?;
        Ok(made.into_iter().flatten().collect())
    }

    fn column(
        &self,
        key: &History,
        times: &[i64],
        as_type: AsType,
        missing: Option<f64>,
    ) -> Result<ArrayRef> {
        let points = self.points_seen(key, as_type)?;
        let values = points.value_type()?;
        let fill = self.check_fill(values)?.or(missing.map(f64::to_bits));
        let batch = points.read()?;
        let stamps = batch.column(0).as_primitive::<TimestampMicrosecondType>().values();
        let array = batch.column(1);
        let micros = |most: Duration| u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let tolerance = self.asked.tolerance.map(micros);
        let mut seen = rows_seen(times, stamps, self.asked.align, tolerance)?;
        if self.asked.fill == Fill::Last {
            let is_null = |row: u64| usize::try_from(row).is_ok_and(|row| array.is_null(row));
            carry_last(&mut seen, is_null);
        }
        points.gathered(array, Column::Values(values), &seen, fill)
    }
}

/// An integer that is this double.
#[expect(clippy::cast_possible_truncation, reason = "compared afterwards")]
#[expect(clippy::cast_precision_loss, reason = "compared by value")]
fn int_of(float: f64) -> Option<i64> {
    // 2^63, the first double that is too large; the cast would make it the largest integer.
    let fits = float < 9_223_372_036_854_775_808.0;
    Some(float as i64).filter(|int| fits && *int as f64 == float)
}

/// Writes columns of doubles to the rows of a tensor, the first of them at place `first`.
fn write_columns(out: &mut [f64], columns: usize, first: usize, arrays: &[ArrayRef]) -> Result<()> {
    let arrays: Vec<&[f64]> =
        arrays.iter().map(|array| &**array.as_primitive::<Float64Type>().values()).collect();
    let rows = (TENSOR_TASK_BYTES / 8 / columns.max(1)).max(1);
    let bytes = out.len() as u64 * 8 / (columns.max(1) as u64) * arrays.len() as u64;
    let tasks = out.chunks_mut(rows.saturating_mul(columns).max(1));
    each((0..).step_by(rows).zip(tasks).collect(), bytes, |(start, out): (usize, &mut [f64])| {
        let of_rows: Vec<&[f64]> =
            arrays.iter().map(|array| array.get(start..).unwrap_or_default()).collect();
        for (row, cells) in out.chunks_mut(columns.max(1)).enumerate() {
            let cells = cells.get_mut(first..).unwrap_or_default();
            for (cell, array) in cells.iter_mut().zip(&of_rows) {
                *cell = array.get(row).copied().unwrap_or(f64::NAN);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_that_are_integers() {
        assert_eq!(int_of(-3.0), Some(-3));
        assert_eq!(int_of(-0.0), Some(0));
        assert_eq!(int_of(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        for no in [0.5, f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, 1e300] {
            assert_eq!(int_of(no), None, "{no}");
        }
    }
}
