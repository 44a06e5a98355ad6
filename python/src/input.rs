//! What callers hand over in bulk: NumPy arrays, buffers, anything Arrow, and plain iterables.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};
use synadb::bindings::{batch_of, check_key, micros_of};
use synadb::{Atom, Batch, SynaDB, SynaError, WriteOptions};

use crate::errors::Raise;
use crate::import::{Arrays, arrow, is_of};
use crate::memory::foreign;
use crate::sugar;
use crate::time::{Unit, nat_error, now, stamp_of};
use crate::value::atom_of;
use crate::wait::{long_fed, patiently};

/// Values as they came.
enum Values {
    Array(ArrayRef),
    Atoms(Vec<Atom>),
}

/// Moments as they came.
enum Stamps {
    /// Of a type of timestamps.
    Array(ArrayRef),
    Micros(Vec<i64>),
    /// None were given: the present one, for all.
    Now,
}

/// Many points of one key.
pub(crate) struct Points {
    key: String,
    values: Values,
    stamps: Stamps,
    floor: bool,
}

impl Points {
    /// What a caller handed over. Memory of NumPy and Arrow arrays is shared, everything else copied.
    pub(crate) fn of(
        key: &str,
        values: &Bound<'_, PyAny>,
        stamps: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<Points> {
        check_key(key).raise()?;
        let values = values_of(values)?;
        let stamps = stamps.map_or(Ok(Stamps::Now), |stamps| stamps_of(stamps, floor))?;
        let points = Points { key: key.to_owned(), values, stamps, floor };
        if let Some(count) = points.stamps.len()
            && count != points.len()
        {
            let values = points.len();
            return Err(SynaError::LengthMismatch { timestamps: count, values }).raise();
        }
        Ok(points)
    }

    pub(crate) fn len(&self) -> usize {
        match &self.values {
            Values::Array(array) => array.len(),
            Values::Atoms(atoms) => atoms.len(),
        }
    }

    /// Appends them as one commit.
    pub(crate) fn append(self, db: &SynaDB) -> synadb::Result<u64> {
        match self.into_columns()? {
            Columns::Atoms(key, stamps, atoms) => db.append_batch(&key, &stamps, &atoms),
            Columns::Arrow(batch, options) => Ok(db.write_wide_with(&batch, &options)?.offset),
        }
    }

    /// Adds them to a batch.
    pub(crate) fn add_to(self, batch: &mut Batch) -> synadb::Result<()> {
        match self.into_columns()? {
            Columns::Atoms(key, stamps, atoms) => batch.append_batch(&key, &stamps, &atoms)?,
            Columns::Arrow(rows, options) => batch.write_wide_with(&rows, &options)?,
        };
        Ok(())
    }

    fn into_columns(self) -> synadb::Result<Columns> {
        let count = self.len();
        let stamps_array = |stamps| {
            let array = TimestampMicrosecondArray::new(ScalarBuffer::from(stamps), None);
            Arc::new(array.with_timezone("UTC")) as ArrayRef
        };
        let values = match self.values {
            Values::Atoms(atoms) => {
                let stamps = self.stamps.into_micros(count, self.floor)?;
                return Ok(Columns::Atoms(self.key, stamps, atoms));
            }
            Values::Array(values) => values,
        };
        let stamps = match self.stamps {
            Stamps::Array(array) => array,
            Stamps::Micros(micros) => stamps_array(micros),
            Stamps::Now => stamps_array(vec![now(); count]),
        };
        // The column of times must not have the name of the key.
        let time = if self.key == "timestamp" { "timestamps" } else { "timestamp" };
        let schema = Schema::new(vec![
            Field::new(time, stamps.data_type().clone(), true),
            Field::new(&self.key, values.data_type().clone(), true),
        ]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![stamps, values]).map_err(arrow)?;
        // They are in memory already, however many they are.
        let options = WriteOptions::default()
            .with_time_column(time)
            .with_floor(self.floor)
            .with_write_budget_bytes(u64::MAX);
        Ok(Columns::Arrow(batch, options))
    }
}

/// Many points of one key as the library takes them.
enum Columns {
    Atoms(String, Vec<i64>, Vec<Atom>),
    /// In the wide form.
    Arrow(RecordBatch, WriteOptions),
}

impl Stamps {
    fn len(&self) -> Option<usize> {
        match self {
            Stamps::Array(array) => Some(array.len()),
            Stamps::Micros(micros) => Some(micros.len()),
            Stamps::Now => None,
        }
    }

    fn into_micros(self, count: usize, floor: bool) -> synadb::Result<Vec<i64>> {
        match self {
            Stamps::Now => Ok(vec![now(); count]),
            Stamps::Micros(micros) => Ok(micros),
            Stamps::Array(array) => Ok(micros_of(&array, floor)?.to_vec()),
        }
    }
}

fn values_of(values: &Bound<'_, PyAny>) -> PyResult<Values> {
    if is_series_of_objects(values)? {
        return Ok(Values::Atoms(items_of(values, "values", atom_of)?));
    }
    if let Some(array) = arrow_array(values)? {
        return Ok(Values::Array(array));
    }
    if is_numpy(values)? {
        return values_of_numpy(values);
    }
    if let Some(array) = buffer(values)? {
        return Ok(Values::Array(array));
    }
    Ok(Values::Atoms(items_of(values, "values", atom_of)?))
}

fn stamps_of(stamps: &Bound<'_, PyAny>, floor: bool) -> PyResult<Stamps> {
    if let Some(array) = arrow_array(stamps)? {
        let array = match array.data_type() {
            DataType::Int64 => ints_as_stamps(&array)?,
            other if other.is_floating() => return Err(no_floats()),
            // What does not fit is refused as what it is.
            other if other.is_integer() && *other != DataType::UInt64 => {
                let ints = arrow_cast::cast(&array, &DataType::Int64);
                ints_as_stamps(&ints.map_err(arrow).raise()?)?
            }
            _ => array,
        };
        return Ok(Stamps::Array(array));
    }
    if is_numpy(stamps)? {
        return stamps_of_numpy(stamps, floor);
    }
    if let Some(array) = buffer(stamps)? {
        return match array.data_type() {
            DataType::Int64 => ints_as_stamps(&array).map(Stamps::Array),
            _ => Err(no_floats()),
        };
    }
    Ok(Stamps::Micros(items_of(stamps, "timestamps", |stamp| stamp_of(stamp, floor))?))
}

fn no_floats() -> PyErr {
    PyTypeError::new_err(
        "floats are no timestamps: seconds or microseconds? Use datetimes, datetime64, or ints of \
         microseconds",
    )
}

/// Integers of microseconds as timestamps.
fn ints_as_stamps(array: &ArrayRef) -> PyResult<ArrayRef> {
    let ints = array.as_primitive::<Int64Type>();
    let stamps = TimestampMicrosecondArray::new(ints.values().clone(), ints.nulls().cloned());
    Ok(Arc::new(stamps.with_timezone("UTC")))
}

/// The items of an iterable, one by one.
fn items_of<T>(
    items: &Bound<'_, PyAny>,
    what: &str,
    item_of: impl Fn(&Bound<'_, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    if items.is_instance_of::<PyString>()
        || items.is_instance_of::<PyBytes>()
        || items.is_instance_of::<PyByteArray>()
        || items.is_instance_of::<PyDict>()
    {
        let name = items.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{what} come as a list or an array, not as {name}"
        )));
    }
    let mut all = Vec::new();
    for item in patiently(items.py(), items.try_iter()?) {
        all.push(item_of(&item??)?);
    }
    Ok(all)
}

/// An Arrow array, or a stream of them in one piece.
fn arrow_array(object: &Bound<'_, PyAny>) -> PyResult<Option<ArrayRef>> {
    let py = object.py();
    let Some(arrays) = Arrays::of(object)? else { return Ok(None) };
    let data_type = arrays.field().data_type().clone();
    // The stream may run Python code of its own.
    let arrays = py.detach(|| arrays.collect::<Result<Vec<ArrayRef>, ArrowError>>());
    let arrays = arrays.map_err(arrow).raise()?;
    Ok(Some(match arrays.as_slice() {
        [] => arrow_array::new_empty_array(&data_type),
        [one] => Arc::clone(one),
        several => {
            let several: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
            arrow_select::concat::concat(&several).map_err(arrow).raise()?
        }
    }))
}

/// Whether it is a Series (or an Index) of pandas of Python objects: it hands out an Arrow array only if
/// all are of one kind.
fn is_series_of_objects(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !is_of(object, "pandas") {
        return Ok(false);
    }
    let Ok(dtype) = object.getattr(intern!(object.py(), "dtype")) else { return Ok(false) };
    Ok(dtype.str()? == "object")
}

/// Whether it is a NumPy array. (One with a mask is read item by item, as None where it is masked.)
fn is_numpy(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    Ok(object.hasattr(intern!(py, "__array_interface__"))?
        && object.hasattr(intern!(py, "dtype"))?
        && object.hasattr(intern!(py, "ndim"))?)
}

/// The kind and the size of the items of a one-dimensional NumPy array.
fn kind_of(array: &Bound<'_, PyAny>) -> PyResult<(char, usize)> {
    let py = array.py();
    let dimensions: usize = array.getattr(intern!(py, "ndim"))?.extract()?;
    if dimensions != 1 {
        return Err(PyValueError::new_err(format!(
            "the array has {dimensions} dimensions: one history has one"
        )));
    }
    let dtype = array.getattr(intern!(py, "dtype"))?;
    let kind = dtype.getattr(intern!(py, "kind"))?.extract()?;
    Ok((kind, dtype.getattr(intern!(py, "itemsize"))?.extract()?))
}

/// The items of a NumPy array as 64-bit numbers side by side, in its own memory where they are that.
fn numbers(array: &Bound<'_, PyAny>, dtype: &str) -> PyResult<arrow_buffer::Buffer> {
    let py = array.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let array = numpy.call_method1(intern!(py, "require"), (array, dtype, ["C", "A"]))?;
    let found = foreign(&array)?.filter(|found| found.len * 8 == found.buffer.len());
    let found = found.ok_or_else(|| PyTypeError::new_err("the array's memory cannot be read"))?;
    Ok(found.buffer)
}

fn has_mask(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = array.py();
    Ok(array.hasattr(intern!(py, "mask"))? && array.hasattr(intern!(py, "filled"))?)
}

fn values_of_numpy(array: &Bound<'_, PyAny>) -> PyResult<Values> {
    let py = array.py();
    let (kind, size) = kind_of(array)?;
    let ints = |buffer| -> ArrayRef { Arc::new(Int64Array::new(ScalarBuffer::from(buffer), None)) };
    let array: ArrayRef = match kind {
        'f' | 'i' | 'u' | 'b' if has_mask(array)? => {
            let items = array.call_method0(intern!(py, "tolist"))?;
            return Ok(Values::Atoms(items_of(&items, "values", atom_of)?));
        }
        'f' if size <= 8 => {
            let buffer = numbers(array, "<f8")?;
            Arc::new(Float64Array::new(ScalarBuffer::from(buffer), None))
        }
        'u' if size == 8 => {
            let unsigned = ScalarBuffer::<u64>::from(numbers(array, "<u8")?);
            if unsigned.iter().any(|value| i64::try_from(*value).is_err()) {
                return Err(PyOverflowError::new_err(
                    "an unsigned integer is above 9223372036854775807: cast to float or text",
                ));
            }
            ints(unsigned.into_inner())
        }
        'i' | 'u' | 'b' => ints(numbers(array, "<i8")?),
        'O' | 'U' | 'S' | 'T' => {
            let items = array.call_method0(intern!(py, "tolist"))?;
            return Ok(Values::Atoms(items_of(&items, "values", atom_of)?));
        }
        _ => {
            let dtype = array.getattr(intern!(py, "dtype"))?;
            return Err(PyTypeError::new_err(format!("values of {dtype} cannot be stored")));
        }
    };
    Ok(Values::Array(array))
}

fn stamps_of_numpy(array: &Bound<'_, PyAny>, floor: bool) -> PyResult<Stamps> {
    let py = array.py();
    let (kind, size) = kind_of(array)?;
    if has_mask(array)? || matches!(kind, 'O' | 'U') {
        let items = array.call_method0(intern!(py, "tolist"))?;
        let items = items_of(&items, "timestamps", |stamp| stamp_of(stamp, floor))?;
        return Ok(Stamps::Micros(items));
    }
    match kind {
        'M' => {}
        'i' | 'u' if kind == 'i' || size < 8 => {
            let ints = Int64Array::new(ScalarBuffer::from(numbers(array, "<i8")?), None);
            return ints_as_stamps(&(Arc::new(ints) as ArrayRef)).map(Stamps::Array);
        }
        'f' => return Err(no_floats()),
        _ => {
            let dtype = array.getattr(intern!(py, "dtype"))?;
            return Err(PyTypeError::new_err(format!("{dtype} is no type of timestamps")));
        }
    }
    let native = array.getattr(intern!(py, "dtype"))?.call_method1("newbyteorder", ("=",))?;
    let array = array.call_method1(intern!(py, "astype"), (native,))?;
    let (unit, array) = Unit::of(&array)?;
    let ints = array.call_method1(intern!(py, "view"), ("i8",))?;
    let ints = ScalarBuffer::<i64>::from(numbers(&ints, "<i8")?);
    if py.detach(|| ints.contains(&i64::MIN)) {
        return Err(nat_error());
    }
    Ok(Stamps::Array(match unit.of_arrow() {
        Some(TimeUnit::Second) => Arc::new(TimestampSecondArray::new(ints, None)),
        Some(TimeUnit::Millisecond) => Arc::new(TimestampMillisecondArray::new(ints, None)),
        Some(TimeUnit::Microsecond) => Arc::new(TimestampMicrosecondArray::new(ints, None)),
        Some(TimeUnit::Nanosecond) => Arc::new(TimestampNanosecondArray::new(ints, None)),
        None => {
            let micros = ints.iter().map(|count| unit.micros(*count, floor));
            return Ok(Stamps::Micros(micros.collect::<PyResult<Vec<i64>>>()?));
        }
    }))
}

/// The numbers of `array.array` and `memoryview`, copied: the stable ABI of Python 3.10 does not let
/// us look into a buffer.
fn buffer(object: &Bound<'_, PyAny>) -> PyResult<Option<ArrayRef>> {
    let py = object.py();
    if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>() {
        return Ok(None);
    }
    let view = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "memoryview"))?;
    let Ok(view) = view.call1((object,)) else { return Ok(None) };
    let dimensions: usize = view.getattr(intern!(py, "ndim"))?.extract()?;
    let format: String = view.getattr(intern!(py, "format"))?.extract()?;
    let size: usize = view.getattr(intern!(py, "itemsize"))?.extract()?;
    if dimensions != 1 || size != 8 {
        return Ok(None);
    }
    let bytes = view.call_method0(intern!(py, "tobytes"))?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    let (items, _) = bytes.as_chunks::<8>();
    Ok(match format.as_str() {
        "d" => Some(Arc::new(
            items.iter().map(|b| Some(f64::from_le_bytes(*b))).collect::<Float64Array>(),
        )),
        "q" | "l" => {
            let ints: Vec<i64> = items.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
            Some(Arc::new(Int64Array::from(ints)))
        }
        _ => None,
    })
}

/// The arrays of structs of anything that has a table, and their schema.
fn table_of(data: &Bound<'_, PyAny>) -> PyResult<(Arrays, SchemaRef)> {
    let arrays = match Arrays::of_capsules(data)? {
        Some(arrays) => Some(arrays),
        None => Arrays::of(data)?,
    };
    let Some(arrays) = arrays else {
        let name = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{name} has neither __arrow_c_stream__ nor __arrow_c_array__: pass a table or frame of \
             Polars, pandas, pyarrow or DuckDB, or use append_batch for arrays of one key"
        )));
    };
    match arrays.field().data_type() {
        DataType::Struct(fields) => {
            let schema = SchemaRef::new(Schema::new(fields.clone()));
            Ok((arrays, schema))
        }
        other => Err(PyTypeError::new_err(format!(
            "these are values of type {other}, not a table: use append_batch for arrays of one key"
        ))),
    }
}

/// The batches of a table, one by one.
type Rows<'a> = RecordBatchIterator<&'a mut dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// The rows that `data` brings, given to `write` without the interpreter and so that Ctrl-C ends it.
fn feed<T: Send + 'static>(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    write: impl FnOnce(Rows<'_>) -> T + Send + 'static,
) -> PyResult<T> {
    let (mut arrays, schema) = table_of(data)?;
    let interrupted = || Err(ArrowError::ExternalError("the call was interrupted".into()));
    long_fed(
        py,
        move || arrays.next().map(|array| array.and_then(|array| batch_of(&array))),
        interrupted,
        move |batches| write(RecordBatchIterator::new(batches, schema)),
    )
}

/// Writes everything that `data` brings.
pub(crate) fn write<'py>(
    py: Python<'py>,
    db: SynaDB,
    data: &Bound<'py, PyAny>,
    wide: bool,
    options: WriteOptions,
) -> PyResult<Bound<'py, PyAny>> {
    let written = feed(py, data, move |rows| match wide {
        true => db.write_wide_reader(rows, &options),
        false => db.write_reader(rows, &options),
    })?;
    let written = written.raise()?;
    let fields = PyDict::new(py);
    fields.set_item("points", written.points)?;
    fields.set_item("rows", written.rows)?;
    fields.set_item("commits", written.commits)?;
    fields.set_item("offset", written.offset)?;
    sugar::record(py, "Written", &fields)
}

/// A batch of everything that `data` brings.
pub(crate) fn batch_of_rows(
    py: Python<'_>,
    mut batch: Batch,
    data: &Bound<'_, PyAny>,
    wide: bool,
    options: WriteOptions,
) -> PyResult<Batch> {
    let staged = feed(py, data, move |rows| {
        match wide {
            true => batch.write_wide_reader(rows, &options)?,
            false => batch.write_reader(rows, &options)?,
        };
        Ok(batch)
    })?;
    staged.raise()
}
