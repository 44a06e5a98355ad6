//! One column in one piece.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, FieldRef};
use pyo3::exceptions::{PyBufferError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCapsule, PyFloat, PyInt, PyList, PySlice, PyString, PyTuple};

use crate::value::numpy_kind;
use crate::wait::{SIGNALS_EVERY, patiently};
use crate::{arrow, dlpack, memory, sugar, time};

/// Values or timestamps in one piece of memory, as an Arrow array.
///
/// Any Arrow library reads it by its capsule methods; NumPy and PyTorch by theirs. It stays valid
/// whatever happens to the database.
#[pyclass(frozen, sequence, module = "synadb")]
pub(crate) struct Column {
    field: FieldRef,
    array: ArrayRef,
}

/// What becomes of nulls on the way to NumPy.
enum Nulls {
    Default,
    Raise,
    Nan,
    Mask,
    Object,
    Int(i64),
    Float(f64),
}

impl Nulls {
    fn of(asked: Option<&Bound<'_, PyAny>>) -> PyResult<Nulls> {
        let wrong = || {
            PyValueError::new_err(
                "nulls= must be None, 'raise', 'nan', 'mask', 'object' or the number to put there",
            )
        };
        let Some(asked) = asked else { return Ok(Nulls::Default) };
        if let Ok(name) = asked.cast::<PyString>() {
            return match name.to_str()? {
                "raise" => Ok(Nulls::Raise),
                "nan" => Ok(Nulls::Nan),
                "mask" => Ok(Nulls::Mask),
                "object" => Ok(Nulls::Object),
                _ => Err(wrong()),
            };
        }
        if asked.is_instance_of::<PyBool>() {
            return Err(wrong());
        }
        if asked.is_instance_of::<PyInt>() || matches!(numpy_kind(asked)?, Some('i' | 'u')) {
            return asked.extract().map(Nulls::Int).map_err(|_| {
                PyOverflowError::new_err(
                    "nulls=: an int to put there must fit 64 bits with its sign",
                )
            });
        }
        if asked.is_instance_of::<PyFloat>() || matches!(numpy_kind(asked)?, Some('f')) {
            return asked.extract().map(Nulls::Float);
        }
        Err(wrong())
    }
}

impl Column {
    pub(crate) fn new(name: &str, array: ArrayRef, nullable: bool) -> Column {
        let field = Arc::new(Field::new(name, array.data_type().clone(), nullable));
        Column { field, array }
    }

    /// The memory of 64-bit numbers, from their first.
    fn numbers(&self) -> Option<(Buffer, dlpack::DataType, &'static str)> {
        Some(match self.array.data_type() {
            DataType::Float64 => {
                let values = self.array.as_primitive::<Float64Type>().values();
                (values.inner().clone(), dlpack::FLOAT, "<f8")
            }
            DataType::Int64 => {
                let values = self.array.as_primitive::<Int64Type>().values();
                (values.inner().clone(), dlpack::INT, "<i8")
            }
            DataType::Timestamp(..) => {
                let values = self.array.as_primitive::<TimestampMicrosecondType>().values();
                (values.inner().clone(), dlpack::INT, "<M8[us]")
            }
            _ => return None,
        })
    }

    fn nulls(&self) -> usize {
        self.array.null_count()
    }

    /// As a NumPy array; shares memory where nothing has to be filled in.
    fn numpy<'py>(&self, py: Python<'py>, nulls: &Nulls) -> PyResult<Bound<'py, PyAny>> {
        if matches!(nulls, Nulls::Object) {
            return self.objects(py);
        }
        let Some((buffer, _, typestr)) = self.numbers() else { return self.others(py, nulls) };
        if matches!(nulls, Nulls::Mask) {
            let data = memory::Memory::array_of(py, buffer, typestr, self.array.len())?;
            let nulls = self.array.nulls();
            let mut mask: Vec<u8> = memory::room_for(self.array.len())?;
            py.detach(|| match nulls {
                Some(nulls) => mask.extend(nulls.iter().map(|valid| u8::from(!valid))),
                None => mask.resize(self.array.len(), 0),
            });
            let mask = memory::Memory::own_array(py, mask, "|b1")?;
            let ma = py.import(intern!(py, "numpy"))?.getattr(intern!(py, "ma"))?;
            return ma.call_method1(intern!(py, "MaskedArray"), (data, mask));
        }
        // The type is that which was asked for, whether or not there are nulls.
        let as_floats = *self.array.data_type() == DataType::Int64 && matches!(nulls, Nulls::Nan);
        if self.nulls() == 0 && !as_floats {
            return memory::Memory::array_of(py, buffer, typestr, self.array.len());
        }
        match (self.array.data_type(), nulls) {
            (_, Nulls::Raise) => Err(self.has_nulls("")),
            (DataType::Float64, Nulls::Default | Nulls::Nan) => self.filled_floats(py, f64::NAN),
            (DataType::Float64, Nulls::Float(fill)) => self.filled_floats(py, *fill),
            (DataType::Float64, Nulls::Int(fill)) => match exact(*fill) {
                Some(fill) => self.filled_floats(py, fill),
                None => Err(PyValueError::new_err("the number for nulls is no exact double")),
            },
            (DataType::Int64, Nulls::Int(fill)) => self.filled_ints(py, *fill),
            (DataType::Int64, Nulls::Nan) => self.ints_as_floats(py),
            _ => Err(self.has_nulls(
                ": pass nulls='nan' for floats, nulls='mask' for a masked array, or the integer to put \
                 there",
            )),
        }
    }

    fn has_nulls(&self, way_out: &str) -> PyErr {
        PyValueError::new_err(format!(
            "{} of {} values are null, which NumPy's {} cannot hold{way_out}",
            self.nulls(),
            self.array.len(),
            if *self.array.data_type() == DataType::Float64 { "float64" } else { "int64" },
        ))
    }

    fn filled_floats<'py>(&self, py: Python<'py>, fill: f64) -> PyResult<Bound<'py, PyAny>> {
        let own = self.array.as_primitive::<Float64Type>();
        let mut filled = memory::room_for(own.len())?;
        py.detach(|| filled.extend(own.iter().map(|value| value.unwrap_or(fill))));
        memory::Memory::own_array(py, filled, "<f8")
    }

    fn filled_ints<'py>(&self, py: Python<'py>, fill: i64) -> PyResult<Bound<'py, PyAny>> {
        let own = self.array.as_primitive::<Int64Type>();
        let mut filled = memory::room_for(own.len())?;
        py.detach(|| filled.extend(own.iter().map(|value| value.unwrap_or(fill))));
        memory::Memory::own_array(py, filled, "<i8")
    }

    /// Integers as doubles, nulls as NaN, if no integer changes.
    fn ints_as_floats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let own = self.array.as_primitive::<Int64Type>();
        let mut floats = memory::room_for(own.len())?;
        let fit = py.detach(|| {
            // One after the other: to collect options makes room by doubling, and keeps what is too much.
            own.iter().try_for_each(|value| {
                floats.push(value.map_or(Some(f64::NAN), exact)?);
                Some(())
            })
        });
        fit.ok_or_else(|| {
            PyValueError::new_err(
                "an integer is beyond 2**53 and no exact double: pass nulls='mask' or an integer",
            )
        })?;
        memory::Memory::own_array(py, floats, "<f8")
    }

    /// Everything but 64-bit numbers.
    fn others<'py>(&self, py: Python<'py>, nulls: &Nulls) -> PyResult<Bound<'py, PyAny>> {
        let data_type = self.array.data_type();
        match data_type {
            DataType::Utf8 | DataType::Binary | DataType::Dictionary(..) => match nulls {
                Nulls::Raise if self.nulls() > 0 => Err(PyValueError::new_err(format!(
                    "{} of {} values are null",
                    self.nulls(),
                    self.array.len()
                ))),
                Nulls::Default | Nulls::Raise => self.objects(py),
                _ => Err(PyValueError::new_err(
                    "texts and bytes leave as objects, nulls as None: leave nulls= out",
                )),
            },
            DataType::Struct(_) | DataType::Union(..) => Err(PyTypeError::new_err(
                "values of several kinds have no NumPy type: ask for one by as_type='float', 'int', \
                 'text' or 'bytes', as in db.history(key, as_type='float', on_mismatch='null')",
            )),
            other => Err(PyTypeError::new_err(format!(
                "{other} has no NumPy type here: to_pylist() gives Python's objects"
            ))),
        }
    }

    /// As a NumPy array of Python objects.
    fn objects<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let numpy = py.import(intern!(py, "numpy"))?;
        let array = numpy.call_method1(intern!(py, "empty"), (self.array.len(), "O"))?;
        if !self.array.is_empty() {
            // By blocks, so that Ctrl-C is heard between them.
            for start in (0..self.array.len()).step_by(SIGNALS_EVERY) {
                let end = self.array.len().min(start + SIGNALS_EVERY);
                let items = pylist_of(py, &self.array.slice(start, end - start))?;
                array
                    .set_item(PySlice::new(py, start.cast_signed(), end.cast_signed(), 1), items)?;
            }
        }
        Ok(array)
    }

    fn item<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        item_of(py, &self.array, row)
    }
}

/// The Python value of a row of an array.
pub(crate) fn item_of<'py>(
    py: Python<'py>,
    array: &ArrayRef,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(py.None().into_bound(py));
    }
    Ok(match array.data_type() {
        DataType::Float64 => {
            PyFloat::new(py, array.as_primitive::<Float64Type>().value(row)).into_any()
        }
        DataType::Int64 => {
            array.as_primitive::<Int64Type>().value(row).into_pyobject(py)?.into_any()
        }
        DataType::Timestamp(..) => {
            time::datetime_of(py, array.as_primitive::<TimestampMicrosecondType>().value(row))?
        }
        DataType::Utf8 => PyString::new(py, array.as_string::<i32>().value(row)).into_any(),
        DataType::Binary => {
            pyo3::types::PyBytes::new(py, array.as_binary::<i32>().value(row)).into_any()
        }
        DataType::Dictionary(..) => {
            // Of this row alone: each call makes the positions of all rows anew.
            let one = array.slice(row, 1);
            let dictionary = one.as_any_dictionary();
            let at = dictionary.normalized_keys().first().copied().unwrap_or_default();
            item_of(py, dictionary.values(), at)?
        }
        DataType::Struct(_) => {
            let fields = array.as_struct();
            let kind = fields.column_by_name("kind");
            let Some(kind) = kind else { return Err(no_python(array.data_type())) };
            let kind = item_of(py, kind, row)?;
            match fields.column_by_name(kind.cast::<PyString>()?.to_str()?) {
                Some(column) => item_of(py, column, row)?,
                None => py.None().into_bound(py),
            }
        }
        DataType::Union(..) => item_of(py, &array.as_union().value(row), 0)?,
        DataType::Decimal128(..) => {
            let digits = array.as_primitive::<arrow_array::types::Decimal128Type>();
            digits.value(row).into_pyobject(py)?.into_any()
        }
        other => return Err(no_python(other)),
    })
}

/// The Python values of an array. Signals are looked for on the way.
pub(crate) fn pylist_of<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for row in patiently(py, 0..array.len()) {
        list.append(item_of(py, array, row?)?)?;
    }
    Ok(list)
}

fn no_python(data_type: &DataType) -> PyErr {
    PyTypeError::new_err(format!("{data_type} has no Python value here"))
}

/// An integer as a double, if that is the same number.
fn exact(value: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "checked in the same line")]
    (-(1 << 53)..=1 << 53).contains(&value).then_some(value as f64)
}

#[pymethods]
impl Column {
    /// The name: "timestamp", "value", or that of an aggregate.
    #[getter]
    fn name(&self) -> &str {
        self.field.name()
    }

    /// The Arrow type, as text.
    #[getter]
    fn r#type(&self) -> String {
        self.array.data_type().to_string()
    }

    /// Number of nulls.
    #[getter]
    fn null_count(&self) -> usize {
        self.nulls()
    }

    fn __len__(&self) -> usize {
        self.array.len()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let (start, len) = sugar::places_of(slice, self.array.len())?;
            let (field, array) = (Arc::clone(&self.field), self.array.slice(start, len));
            return Ok(Bound::new(py, Column { field, array })?.into_any());
        }
        self.item(py, sugar::place_of(index, self.array.len())?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::field_capsule(py, &self.field)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        arrow::array_capsules(py, &self.array, &self.field, requested_schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let arrays = std::iter::once(Ok(Arc::clone(&self.array)));
        arrow::arrays_capsule(py, arrays, Arc::clone(&self.field), requested_schema)
    }

    /// What `numpy.asarray` calls; as `to_numpy`.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shares = self.nulls() == 0 && self.numbers().is_some();
        sugar::as_asked(&self.numpy(py, &Nulls::Default)?, dtype, copy, shares)
    }

    /// The values as a NumPy array.
    #[pyo3(signature = (*, nulls = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        nulls: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.numpy(py, &Nulls::of(nulls)?)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "items_of", (slf,))
    }

    /// The values as a list of Python objects.
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pylist_of(py, &self.array)
    }

    /// Where the tensor lies: on the CPU.
    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::CPU
    }

    /// The values as a tensor of DLPack.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<(i64, i64)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if stream.is_some() {
            return Err(PyBufferError::new_err("memory of the CPU has no streams"));
        }
        if dl_device.is_some_and(|device| device != dlpack::CPU) {
            return Err(PyBufferError::new_err("the values are in memory of the CPU"));
        }
        if self.nulls() > 0 {
            return Err(PyBufferError::new_err(
                "a tensor has no nulls: fill them in by to_numpy(nulls=...)",
            ));
        }
        let Some((buffer, dtype, _)) = self.numbers() else {
            return Err(PyBufferError::new_err(format!(
                "{} is no type of tensors",
                self.array.data_type()
            )));
        };
        let versioned = max_version.is_some_and(|(major, _)| major >= 1);
        if copy == Some(false) && !versioned {
            return Err(PyBufferError::new_err(
                "a consumer that does not know DLPack 1.0 cannot be told that memory is read-only, so it \
                 gets a copy",
            ));
        }
        let copy = copy.unwrap_or(false);
        dlpack::capsule(py, buffer, dtype, self.array.len(), versioned, copy)
    }

    fn __repr__(&self) -> String {
        let (name, len, nulls) = (self.field.name(), self.array.len(), self.nulls());
        format!("<synadb.Column {name:?}: {len} x {}, {nulls} null>", self.array.data_type())
    }
}
