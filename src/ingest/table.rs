//! A record batch as points of keys.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::Schema;

use crate::atom::AtomKind;
use crate::column::{NumberBuffer, Points};
use crate::error::{CellFault, Result, SynaError};

use super::groups::{Groups, Rows};
use super::keys::Keys;
use super::options::WriteOptions;
use super::times;
use super::values::{Cell, Cells, Column};

/// Where something stands in what a caller hands over, for errors, and what is allowed there.
pub(crate) struct Place<'a> {
    pub(crate) column: &'a str,
    pub(crate) data_type: &'a arrow_schema::DataType,
    /// Rows of the call before the batch.
    pub(crate) first_row: u64,
    /// Most bytes that an encoded value may have.
    pub(crate) value_size_max: u64,
}

impl Place<'_> {
    /// What is wrong with the cell in a row of the batch.
    pub(super) fn fault(&self, row: usize, fault: CellFault) -> SynaError {
        let row = self.first_row.saturating_add(row as u64);
        SynaError::InvalidCell { column: self.column.to_owned(), row, fault }
    }

    /// The type of the column is none that its role allows.
    pub(super) fn unfit(&self, what: &'static str) -> SynaError {
        let (column, found) = (self.column.to_owned(), self.data_type.clone());
        SynaError::UnsupportedColumn { column, found, what }
    }

    /// The first row that is null, also by way of a dictionary.
    pub(super) fn first_null(&self, array: &dyn Array) -> Option<usize> {
        if !array.is_nullable() {
            return None;
        }
        let nulls = array.logical_nulls()?;
        (0..nulls.len()).find(|row| nulls.is_null(*row))
    }
}

/// How keys and values lie in a record batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// A column each of keys, timestamps and values.
    Long,
    /// A column of timestamps, and one of values for each key.
    Wide,
}

/// The points of a record batch, checked.
pub(crate) struct Table<'a> {
    rows: usize,
    times: ScalarBuffer<i64>,
    columns: Vec<Column>,
    series: Vec<Series<'a>>,
    /// See [`Rows::Picked`].
    order: Vec<u32>,
}

/// The points of one key in a table.
pub(crate) struct Series<'a> {
    pub(crate) key: Cow<'a, str>,
    /// Place in the table's columns.
    column: usize,
    rows: Rows,
}

/// Points of one key: shared with the arrays they came in, or put together.
pub(crate) enum Taken {
    Shared(ScalarBuffer<i64>, NumberBuffer),
    Points(Points),
}

impl<'a> Table<'a> {
    /// Reads a batch. `first_row` is how many rows of the same call came before.
    pub(crate) fn read(
        batch: &'a RecordBatch,
        form: Form,
        options: &WriteOptions,
        first_row: u64,
        value_size_max: u64,
    ) -> Result<Table<'a>> {
        match form {
            Form::Long => Self::long(batch, options, first_row, value_size_max),
            Form::Wide => Self::wide(batch, options, first_row, value_size_max),
        }
    }

    /// Whether batches of this schema have the columns that are asked for, whatever their types.
    pub(crate) fn check_columns(schema: &Schema, form: Form, options: &WriteOptions) -> Result<()> {
        if let Form::Long = form {
            find(schema, &options.key_column, "key_column")?;
            find(schema, &options.value_column, "value_column")?;
        }
        find(schema, &options.time_column, "time_column").map(|_| ())
    }

    fn long(
        batch: &'a RecordBatch,
        options: &WriteOptions,
        first_row: u64,
        value_size_max: u64,
    ) -> Result<Table<'a>> {
        check_rows(batch)?;
        let find = |name, option| column_of(batch, name, option, first_row, value_size_max);
        let (keys, keys_at) = find(&options.key_column, "key_column")?;
        let (times, times_at) = find(&options.time_column, "time_column")?;
        let (values, values_at) = find(&options.value_column, "value_column")?;
        let times = times::read(times, &times_at, options.floor)?;
        let keys = Keys::read(keys, &keys_at)?;
        let columns = vec![Column::read(values, &values_at)?];
        let Groups { rows, order } = Groups::of(&keys, batch.num_rows());
        let series = keys.names.into_iter().zip(rows);
        let series = series.map(|(key, rows)| Series { key: Cow::Borrowed(key), column: 0, rows });
        let series = series.collect();
        Ok(Table { rows: batch.num_rows(), times, columns, series, order })
    }

    fn wide(
        batch: &'a RecordBatch,
        options: &WriteOptions,
        first_row: u64,
        value_size_max: u64,
    ) -> Result<Table<'a>> {
        check_rows(batch)?;
        let find = |name, option| column_of(batch, name, option, first_row, value_size_max);
        let (times, times_at) = find(&options.time_column, "time_column")?;
        let times = times::read(times, &times_at, options.floor)?;
        let rows = batch.num_rows();
        let (mut columns, mut series) = (Vec::new(), Vec::new());
        let mut names = HashSet::new();
        for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name();
            if *name == options.time_column {
                continue;
            }
            if !names.insert(name) {
                return Err(SynaError::DuplicateColumn { column: name.clone() });
            }
            let place =
                Place { column: name, data_type: field.data_type(), first_row, value_size_max };
            let key = format!("{}{name}", options.prefix);
            match key.len() {
                0 => return Err(place.fault(0, CellFault::EmptyKey)),
                len if len > usize::from(u16::MAX) => {
                    return Err(place.fault(0, CellFault::KeyTooLong { len }));
                }
                _ => {}
            }
            let column = columns.len();
            columns.push(Column::read(values, &place)?);
            if rows > 0 {
                series.push(Series { key: Cow::Owned(key), column, rows: Rows::Range(0..rows) });
            }
        }
        Ok(Table { rows, times, columns, series, order: Vec::new() })
    }

    /// Number of rows of the batch.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of points.
    pub(crate) fn points(&self) -> u64 {
        self.series.iter().map(|series| series.rows.len() as u64).sum()
    }

    /// Bytes that the points take when they are staged, without their keys, see
    /// [`WriteOptions::write_budget_bytes`].
    pub(crate) fn size_bytes(&self) -> u64 {
        let numbers = self.points().saturating_mul(16);
        if self.is_numbers() {
            return numbers;
        }
        let blob = |cell: Cell<'_>| match cell {
            Cell::Number(..) => 0,
            blob => blob.blob_len() as u64 + 16,
        };
        let cells = self.series.iter().flat_map(|series| self.cells(series));
        cells.fold(numbers, |bytes, (_, cell)| bytes.saturating_add(blob(cell)))
    }

    pub(crate) fn series(&self) -> &[Series<'a>] {
        &self.series
    }

    /// Whether no value is a text or bytes.
    pub(crate) fn is_numbers(&self) -> bool {
        let is_number = |column: &Column| {
            matches!(column.cells, Cells::Nulls | Cells::Floats(_) | Cells::Ints(_))
        };
        self.columns.iter().all(is_number)
    }

    /// The points of a key, one by one.
    pub(crate) fn cells<'t>(
        &'t self,
        series: &'t Series<'a>,
    ) -> impl Iterator<Item = (i64, Cell<'t>)> {
        let column = self.columns.get(series.column);
        self.row_numbers(&series.rows)
            .filter_map(move |row| Some((self.times.get(row).copied()?, column?.cell(row))))
    }

    /// The points of a key. They are not copied if they are numbers of one kind side by side.
    pub(crate) fn take(&self, series: &Series<'a>) -> Taken {
        if let (Rows::Range(range), Some(column)) = (&series.rows, self.columns.get(series.column))
            && let Some(numbers) = shared_numbers(column, range.clone())
        {
            return Taken::Shared(self.times.slice(range.start, range.len()), numbers);
        }
        let mut points = Points::with_capacity(series.rows.len());
        self.append_to(series, &mut points);
        Taken::Points(points)
    }

    /// Appends the points of a key to `points`.
    pub(crate) fn append_to(&self, series: &Series<'a>, points: &mut Points) {
        match &series.rows {
            Rows::Range(rows) => self.append_rows(series.column, rows.clone(), points),
            Rows::Picked(rows) => {
                let order = self.order.get(rows.clone()).unwrap_or_default();
                self.append_rows(series.column, order.iter().map(|row| *row as usize), points);
            }
        }
    }

    fn append_rows(
        &self,
        column: usize,
        rows: impl ExactSizeIterator<Item = usize> + Clone,
        points: &mut Points,
    ) {
        let Some(column) = self.columns.get(column) else { return };
        let times = rows.clone().map(|row| self.times.get(row).copied().unwrap_or_default());
        let kind = match &column.cells {
            Cells::Nulls => AtomKind::Null,
            Cells::Floats(_) => AtomKind::Float,
            Cells::Ints(_) => AtomKind::Int,
            Cells::Texts(_) | Cells::Bytes(_) | Cells::Mixed(_) => {
                for (timestamp, row) in times.zip(rows) {
                    match column.cell(row) {
                        Cell::Number(kind, bits) => points.push_number(timestamp, kind, bits),
                        Cell::Text(text) => {
                            points.push_blob(timestamp, AtomKind::Text, text.as_bytes().into());
                        }
                        Cell::Bytes(bytes) => {
                            points.push_blob(timestamp, AtomKind::Bytes, bytes.into());
                        }
                    }
                }
                return;
            }
        };
        let bits = |row: usize| match &column.cells {
            Cells::Floats(values) => values.get(row).copied().unwrap_or_default().to_bits(),
            Cells::Ints(values) => values.get(row).copied().unwrap_or_default().cast_unsigned(),
            _ => 0,
        };
        match &column.validity {
            None => points.extend_numbers(kind, times, rows.map(bits)),
            Some(validity) => {
                let is_valid = |row: usize| validity.is_valid(row);
                let kinds: Vec<u8> = rows
                    .clone()
                    .map(|row| if is_valid(row) { kind as u8 } else { AtomKind::Null as u8 })
                    .collect();
                let bits = rows.map(|row| if is_valid(row) { bits(row) } else { 0 });
                points.extend_numbers_or_nulls(&kinds, times, bits);
            }
        }
    }

    fn row_numbers<'t>(&'t self, rows: &'t Rows) -> impl Iterator<Item = usize> + 't {
        let (range, picked) = match rows {
            Rows::Range(range) => (range.clone(), 0..0),
            Rows::Picked(picked) => (0..0, picked.clone()),
        };
        let picked = self.order.get(picked).unwrap_or_default();
        range.chain(picked.iter().map(|row| *row as usize))
    }
}

impl Series<'_> {
    /// Number of points.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Numbers of one kind without nulls in these rows.
fn shared_numbers(column: &Column, rows: Range<usize>) -> Option<NumberBuffer> {
    let (start, len) = (rows.start, rows.len());
    if let Some(validity) = &column.validity
        && validity.slice(start, len).null_count() > 0
    {
        return None;
    }
    match &column.cells {
        Cells::Floats(values) => Some(NumberBuffer::Floats(values.slice(start, len))),
        Cells::Ints(values) => Some(NumberBuffer::Ints(values.slice(start, len))),
        _ => None,
    }
}

/// Rows are numbered in 32 bits here.
fn check_rows(batch: &RecordBatch) -> Result<()> {
    let (rows, max) = (batch.num_rows() as u64, u64::from(u32::MAX) - 1);
    if rows > max {
        let what = "the column of timestamps of one batch";
        return Err(SynaError::BatchTooLarge { what, len: rows.saturating_mul(8), max: max * 8 });
    }
    Ok(())
}

/// The place of the one column of this name.
fn find(schema: &Schema, name: &str, option: &'static str) -> Result<usize> {
    let fields = schema.fields();
    let mut named =
        (0..fields.len()).filter(|at| fields.get(*at).is_some_and(|f| f.name() == name));
    let Some(at) = named.next() else {
        let found = fields.iter().map(|field| field.name().clone()).collect();
        return Err(SynaError::ColumnNotFound { column: name.to_owned(), option, found });
    };
    match named.next() {
        None => Ok(at),
        Some(_) => Err(SynaError::DuplicateColumn { column: name.to_owned() }),
    }
}

/// The one column of this name.
fn column_of<'a>(
    batch: &'a RecordBatch,
    name: &str,
    option: &'static str,
    first_row: u64,
    value_size_max: u64,
) -> Result<(&'a ArrayRef, Place<'a>)> {
    let at = find(batch.schema_ref(), name, option)?;
    let (field, array) = (batch.schema_ref().field(at), batch.column(at));
    let place =
        Place { column: field.name(), data_type: field.data_type(), first_row, value_size_max };
    Ok((array, place))
}
