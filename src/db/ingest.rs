//! Record batches to commits.

use std::borrow::Cow;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::ArrowError;

use crate::atom::Atom;
use crate::error::{Result, SynaError};
use crate::ingest::{Cell, Form, Series, Staging, Table, Taken, WriteOptions, Written};
use crate::materialize;

use super::core::Core;
use super::write::{Commit, NumberPut, Op, PutValue};
use super::{CHUNK_ROWS_MIN, Run, SynaDB, ops_of_points, ops_of_run};

/// Writing Arrow.
///
/// In the *long* form a batch has a column of keys, one of timestamps and one of values, named
/// `key`, `timestamp` and `value` unless [`WriteOptions`] say otherwise; other columns are not looked
/// at. In the *wide* form it has a column of timestamps, and every other column holds the values of
/// the key that [`prefix`](WriteOptions::prefix) and its name make.
///
/// | column | Arrow types |
/// |---|---|
/// | keys | Utf8, LargeUtf8, Utf8View, or a dictionary of one of them by any integer; no nulls |
/// | timestamps | Timestamp of any unit and zone (an instant; without a zone: UTC), Date32, Date64; no nulls |
/// | values, as floats | Float64, Float32, Float16 |
/// | values, as ints | Int8 to Int64, UInt8 to UInt64 up to 2^63 - 1, Boolean as 0 and 1 |
/// | values, as texts | Utf8, LargeUtf8, Utf8View |
/// | values, as bytes | Binary, LargeBinary, BinaryView, FixedSizeBinary |
/// | values of several kinds | Struct `{kind, float, int, text, bytes}` and unions, as [`History`](crate::History) gives them |
/// | values | a dictionary of any of them but the struct and the union; Null |
///
/// A null value is a `Null` point. The rows of one key keep their order. What histories leave as can
/// be written as it is, and gives the same points.
///
/// A batch is checked as a whole before anything of it is written, and is one atomic commit, durable
/// on return as [`Durability`](crate::Durability) says. Rows of one key are written as columns, not
/// row by row, from 32 of them in a batch on. With encodings off, long columns of one key go to the
/// file from the memory of the arrays without a copy; as everywhere in Arrow, nobody may change that
/// meanwhile. Large batches are encoded by several threads.
impl SynaDB {
    /// Writes a record batch in the long form as one commit.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
    /// use synadb::SynaDB;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let batch = RecordBatch::try_from_iter([
    ///     ("key", Arc::new(StringArray::from(vec!["JFK/temp", "LGA/temp", "JFK/temp"])) as _),
    ///     ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![0, 0, 3_600_000])) as _),
    ///     ("value", Arc::new(Float64Array::from(vec![Some(39.0), None, Some(38.5)])) as _),
    /// ])?;
    /// let db = SynaDB::in_memory()?;
    /// assert_eq!(db.write(&batch)?.points, 3);
    /// assert_eq!(db.get_history_floats("JFK/temp")?, [39.0, 38.5]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ColumnNotFound`, `DuplicateColumn`, `UnsupportedColumn`, `InvalidCell` (which names the
    /// column, the row and the way out), `BatchTooLarge` (2^32 rows; or a dictionary or a view whose
    /// rows have more than 2^31 - 1 bytes together, shared ones counted as often as they occur):
    /// nothing was written. Otherwise as [`SynaDB::append`].
    pub fn write(&self, batch: &RecordBatch) -> Result<Written> {
        self.write_with(batch, &WriteOptions::default())
    }

    /// As [`SynaDB::write`], with options.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write`].
    pub fn write_with(&self, batch: &RecordBatch, options: &WriteOptions) -> Result<Written> {
        self.write_one(batch, Form::Long, options)
    }

    /// Writes record batches in the long form: one commit for each batch, or one for all with
    /// [`atomic`](WriteOptions::atomic). That the columns are there is seen before the first batch is
    /// asked for, and so also where none comes. No lock is held while the reader works, so that it may
    /// take its time, use this database, fail, or panic. Any iterator is a reader by way of
    /// [`RecordBatchIterator`](arrow_array::RecordBatchIterator).
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write`]; `Arrow` if the reader fails; `BatchTooLarge` if an atomic write stages
    /// more than [`write_budget_bytes`](WriteOptions::write_budget_bytes). Where commits were made
    /// before, which stay, it is the source of `WriteStopped`, which tells how many.
    pub fn write_reader(
        &self,
        batches: impl RecordBatchReader,
        options: &WriteOptions,
    ) -> Result<Written> {
        self.write_all(batches, Form::Long, options)
    }

    /// Writes a record batch in the wide form as one commit.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Float64Array, Int32Array, RecordBatch, TimestampSecondArray};
    /// use synadb::{SynaDB, WriteOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let batch = RecordBatch::try_from_iter([
    ///     ("time", Arc::new(TimestampSecondArray::from(vec![0, 3_600])) as _),
    ///     ("temp", Arc::new(Float64Array::from(vec![39.0, 38.5])) as _),
    ///     ("wind", Arc::new(Int32Array::from(vec![10, 12])) as _),
    /// ])?;
    /// let db = SynaDB::in_memory()?;
    /// let options = WriteOptions::default().with_time_column("time").with_prefix("JFK/");
    /// assert_eq!(db.write_wide_with(&batch, &options)?.points, 4);
    /// assert_eq!(db.keys()?, ["JFK/temp", "JFK/wind"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write`].
    pub fn write_wide(&self, batch: &RecordBatch) -> Result<Written> {
        self.write_wide_with(batch, &WriteOptions::default())
    }

    /// As [`SynaDB::write_wide`], with options.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write`].
    pub fn write_wide_with(&self, batch: &RecordBatch, options: &WriteOptions) -> Result<Written> {
        self.write_one(batch, Form::Wide, options)
    }

    /// Writes record batches in the wide form, otherwise as [`SynaDB::write_reader`].
    ///
    /// # Errors
    ///
    /// As [`SynaDB::write_reader`].
    pub fn write_wide_reader(
        &self,
        batches: impl RecordBatchReader,
        options: &WriteOptions,
    ) -> Result<Written> {
        self.write_all(batches, Form::Wide, options)
    }

    fn write_one(
        &self,
        batch: &RecordBatch,
        form: Form,
        options: &WriteOptions,
    ) -> Result<Written> {
        let core = self.writing()?;
        let table = Table::read(batch, form, options, 0, core.limits.value_size_max)?;
        let offset = core.write(&table)?;
        let commits = u64::from(table.points() > 0);
        let rows = table.rows() as u64;
        Ok(Written { points: table.points(), rows, commits, offset })
    }

    fn write_all(
        &self,
        batches: impl RecordBatchReader,
        form: Form,
        options: &WriteOptions,
    ) -> Result<Written> {
        let core = self.writing()?;
        Table::check_columns(&batches.schema(), form, options)?;
        let mut written = Written { points: 0, rows: 0, commits: 0, offset: 0 };
        let mut staging = options.atomic.then(|| Staging::new(options.write_budget_bytes));
        for batch in batches {
            let next = self.write_next(batch, form, options, staging.as_mut(), &mut written);
            if let Err(error) = next {
                return Err(match written {
                    Written { commits: 0, .. } => error,
                    Written { rows, commits, .. } => {
                        SynaError::WriteStopped { rows, commits, source: Box::new(error) }
                    }
                });
            }
        }
        if let Some(staging) = staging {
            written.offset = self.writing()?.write_staged(staging)?;
            written.commits = u64::from(written.points > 0);
        } else if written.commits == 0 {
            written.offset = core.commit(Commit::default())?;
        }
        Ok(written)
    }

    /// Writes or stages one batch of several.
    fn write_next(
        &self,
        batch: Result<RecordBatch, ArrowError>,
        form: Form,
        options: &WriteOptions,
        staging: Option<&mut Staging>,
        written: &mut Written,
    ) -> Result<()> {
        let batch = batch.map_err(SynaError::arrow)?;
        // The reader may have closed the database.
        let core = self.writing()?;
        let table = Table::read(&batch, form, options, written.rows, core.limits.value_size_max)?;
        match staging {
            Some(staging) => staging.add(&table)?,
            None if table.points() > 0 => {
                written.offset = core.write(&table)?;
                written.commits += 1;
            }
            None => {}
        }
        written.rows += table.rows() as u64;
        written.points += table.points();
        Ok(())
    }
}

impl Core {
    /// Commits the points of a table; returns the offset of the first entry.
    fn write(&self, table: &Table<'_>) -> Result<u64> {
        let all = table.series();
        if table.is_numbers() && all.iter().all(|series| series.len() < CHUNK_ROWS_MIN) {
            return self.write_numbers(table);
        }
        let mut ops: Vec<Result<Vec<Op<'_>>>> = Vec::new();
        ops.resize_with(all.len(), || Ok(Vec::new()));
        let bytes = table.points().saturating_mul(16);
        materialize::each(all.iter().zip(&mut ops).collect(), bytes, |(series, ops)| {
            *ops = self.ops_of(table, series);
            Ok(())
        })?;
        let mut all = Vec::new();
        for ops in ops {
            all.extend(ops?);
        }
        self.commit(Commit::new(all))
    }

    /// Commits points of which no key has enough for a chunk.
    fn write_numbers(&self, table: &Table<'_>) -> Result<u64> {
        let generation = self.generation.load_full();
        let index = &generation.index;
        let mut puts = Vec::with_capacity(table.rows());
        for series in table.series() {
            let id = index.find(&series.key);
            for (timestamp, cell) in table.cells(series) {
                let Cell::Number(kind, bits) = cell else { continue };
                puts.push(NumberPut { key: &series.key, id, timestamp, kind, bits });
            }
        }
        self.put_numbers(&puts, index)
    }

    fn ops_of<'t>(&self, table: &'t Table<'_>, series: &'t Series<'_>) -> Result<Vec<Op<'t>>> {
        let (key, policy) = (Cow::Borrowed(&*series.key), self.config.policy());
        let mut ops = Vec::new();
        if series.len() < CHUNK_ROWS_MIN {
            let value_size_max = self.limits.value_size_max;
            for (timestamp, cell) in table.cells(series) {
                let value = match cell {
                    Cell::Number(kind, bits) => PutValue::Number(kind, bits),
                    Cell::Text(text) => {
                        PutValue::of(&Atom::Text(text.to_owned()), value_size_max, policy)?
                    }
                    Cell::Bytes(bytes) => {
                        PutValue::of(&Atom::Bytes(bytes.to_vec()), value_size_max, policy)?
                    }
                };
                ops.push(Op::Put { key: key.clone(), timestamp, value });
            }
            return Ok(ops);
        }
        let run = match table.take(series) {
            Taken::Shared(timestamps, values) => Run::Shared(timestamps, values),
            Taken::Points(points) => Run::Points(points),
        };
        ops_of_run(key, run, &self.limits, policy, &mut ops)?;
        Ok(ops)
    }

    /// Commits all that was staged; returns the offset of the first entry.
    fn write_staged(&self, staging: Staging) -> Result<u64> {
        let keys = staging.into_points();
        let rows: usize = keys.iter().map(|(_, points)| points.len()).sum();
        let mut ops: Vec<Vec<Op<'_>>> = Vec::new();
        ops.resize_with(keys.len(), Vec::new);
        let work = keys.into_iter().zip(&mut ops).collect();
        materialize::each(work, rows as u64 * 16, |((key, points), ops)| {
            ops_of_points(Cow::Owned(key), points, &self.limits, self.config.policy(), ops)
        })?;
        self.commit(Commit::new(ops.into_iter().flatten().collect()))
    }
}
