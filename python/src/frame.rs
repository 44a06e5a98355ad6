//! Many keys side by side on one axis of time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCapsule, PyDict, PyFloat, PyInt, PyString, PyTuple};
use synadb::{Align, AsType, Every, Fill, OnMismatch, parse_tolerance};

use crate::batch::Batch;
use crate::errors::Raise;
use crate::history::{as_type_of, every_of, micros_of, on_mismatch_of, times};
use crate::memory::Memory;
use crate::snapshot::View;
use crate::time::end_of;
use crate::value::numpy_kind;
use crate::wait::long;
use crate::{arrow, sugar};

/// Which keys: those that match, or these.
#[derive(Clone)]
pub(crate) enum Keys {
    Matching(String),
    These(Vec<String>),
}

impl Keys {
    pub(crate) fn of(keys: &Bound<'_, PyAny>) -> PyResult<Keys> {
        match keys.cast::<PyString>() {
            Ok(pattern) => Ok(Keys::Matching(pattern.to_str()?.to_owned())),
            Err(_) => {
                let keys = keys.try_iter()?.map(|key| {
                    let key = key?;
                    crate::database::key_of(&key).map(str::to_owned)
                });
                Ok(Keys::These(keys.collect::<PyResult<Vec<_>>>()?))
            }
        }
    }

    fn frame(&self, snapshot: &synadb::Snapshot) -> synadb::Result<synadb::Frame> {
        match self {
            Keys::Matching(pattern) => snapshot.frame_matching(pattern),
            Keys::These(keys) => snapshot.frame(keys),
        }
    }
}

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Asked {
    every: Option<Every>,
    times: (Option<i64>, Option<i64>),
    align: Align,
    fill: Fill,
    tolerance: Option<Duration>,
    as_type: AsType,
    on_mismatch: OnMismatch,
}

type Ends<'a, 'py> = (Option<&'a Bound<'py, PyAny>>, Option<&'a Bound<'py, PyAny>>);

impl Asked {
    pub(crate) fn of(
        every: Option<&Bound<'_, PyAny>>,
        (start, end): Ends<'_, '_>,
        align: &str,
        fill: Option<&Bound<'_, PyAny>>,
        tolerance: Option<&Bound<'_, PyAny>>,
        as_type: Option<&str>,
        on_mismatch: &str,
    ) -> PyResult<Asked> {
        let stamp = |stamp: Option<&Bound<'_, PyAny>>| stamp.map(end_of).transpose();
        Ok(Asked {
            every: every.map(every_of).transpose()?,
            times: (stamp(start)?, stamp(end)?),
            align: Align::from_name(align).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "align={align:?}: it is one of backward, forward, nearest"
                ))
            })?,
            fill: fill.map_or(Ok(Fill::None), fill_of)?,
            tolerance: tolerance.map(tolerance_of).transpose()?,
            as_type: as_type.map_or(Ok(AsType::Natural), as_type_of)?,
            on_mismatch: on_mismatch_of(on_mismatch)?,
        })
    }

    /// As the arguments of `synadb._pickle.frame`, by the names that [`Asked::of`] takes.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let asked = PyDict::new(py);
        asked.set_item("every", self.every.map(Every::micros))?;
        asked.set_item("start", self.times.0)?;
        asked.set_item("end", self.times.1)?;
        asked.set_item("align", self.align.name())?;
        match self.fill {
            Fill::Last => asked.set_item("fill", "last")?,
            Fill::Value(value) => asked.set_item("fill", value)?,
            _ => asked.set_item("fill", py.None())?,
        }
        asked.set_item("tolerance", self.tolerance.map(|span| span.as_micros()))?;
        asked.set_item("as_type", self.as_type.name())?;
        asked.set_item("on_mismatch", self.on_mismatch.name())?;
        Ok(asked)
    }

    fn ask(&self, mut frame: synadb::Frame) -> synadb::Frame {
        if let Some(every) = self.every {
            frame = frame.every(every);
        }
        if self.times.0.is_some() || self.times.1.is_some() {
            frame = frame.range(times(self.times.0, self.times.1));
        }
        if let Some(tolerance) = self.tolerance {
            frame = frame.tolerance(tolerance);
        }
        frame.align(self.align).fill(self.fill).as_type(self.as_type).on_mismatch(self.on_mismatch)
    }
}

/// None, "last", or the number that stands in missing cells.
fn fill_of(fill: &Bound<'_, PyAny>) -> PyResult<Fill> {
    if fill.cast::<PyString>().is_ok_and(|fill| fill == "last") {
        return Ok(Fill::Last);
    }
    let kind = numpy_kind(fill)?;
    if fill.is_instance_of::<PyFloat>() || kind == Some('f') {
        return fill.extract().map(Fill::Value);
    }
    let is_int = fill.is_instance_of::<PyInt>() && !fill.is_instance_of::<PyBool>();
    if is_int || matches!(kind, Some('i' | 'u')) {
        // It is handed on as a double. Python's own ints are compared with it by value, NumPy's are not.
        let fill = fill.call_method0(intern!(fill.py(), "__index__"))?;
        return match fill.extract::<f64>() {
            Ok(double) if fill.eq(double)? => Ok(Fill::Value(double)),
            _ => Err(PyValueError::new_err("fill= is an int that no double is equal to")),
        };
    }
    Err(PyValueError::new_err("fill= is None, 'last', or a number"))
}

/// A text, a timedelta, or microseconds; not negative.
fn tolerance_of(tolerance: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if let Ok(text) = tolerance.cast::<PyString>() {
        return parse_tolerance(text.to_str()?).raise();
    }
    let Some(micros) = micros_of(tolerance)? else {
        return Err(PyTypeError::new_err(
            "a tolerance is a text as in '15m' or '0s', a timedelta, or an int of microseconds",
        ));
    };
    let micros =
        u64::try_from(micros).map_err(|_| PyValueError::new_err("tolerance is below 0"))?;
    Ok(Duration::from_micros(micros))
}

/// Many keys side by side on one axis of time, as of one commit.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct Frame {
    view: View,
    keys: Keys,
    asked: Asked,
    frame: ArcSwap<synadb::Frame>,
}

impl Frame {
    pub(crate) fn new(py: Python<'_>, view: View, keys: Keys, asked: Asked) -> PyResult<Frame> {
        let snapshot = view.current(py)?;
        let frame = py.detach(|| keys.frame(&snapshot)).raise()?;
        let frame = ArcSwap::from_pointee(asked.ask(frame));
        Ok(Frame { view, keys, asked, frame })
    }

    /// The library's frame; of a reader, in a forked child, one of the child's own.
    fn current(&self, py: Python<'_>) -> PyResult<Arc<synadb::Frame>> {
        if self.frame.load().is_forked() {
            let snapshot = self.view.current(py)?;
            let frame = py.detach(|| self.keys.frame(&snapshot)).raise()?;
            self.frame.store(Arc::new(self.asked.ask(frame)));
        }
        Ok(self.frame.load_full())
    }

    fn ask<T: Send + 'static>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&synadb::Frame) -> synadb::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let frame = self.current(py)?;
        long(py, move || question(&frame))?.raise()
    }
}

#[pymethods]
impl Frame {
    /// The keys, in the order of the columns.
    #[getter]
    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.current(py)?.keys().map(str::to_owned).collect())
    }

    /// All rows in one piece.
    fn read(&self, py: Python<'_>) -> PyResult<Batch> {
        self.ask(py, synadb::Frame::read).map(Batch::new)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema_capsule(py, &*self.ask(py, synadb::Frame::schema)?)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let batch = self.ask(py, synadb::Frame::read)?;
        let schema = batch.schema();
        let batches = arrow_array::RecordBatchIterator::new([Ok(batch)], schema);
        arrow::batches_capsule(py, batches, requested_schema)
    }

    /// What `numpy.asarray` calls; as `to_numpy`.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        sugar::as_asked(&self.to_numpy(py)?, dtype, copy, false)
    }

    /// A two-dimensional array of float64: a row each moment, a column each key.
    fn to_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.ask(py, synadb::Frame::tensor)?;
        let shape = (tensor.rows(), tensor.columns);
        let values = Memory::tensor_array(py, tensor.values)?;
        values.call_method1(intern!(py, "reshape"), (shape,))
    }

    /// As a `polars.DataFrame`.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_polars", (slf,))
    }

    /// As a `pandas.DataFrame`.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_pandas", (slf,))
    }

    /// As a `pyarrow.Table`.
    fn to_pyarrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "to_pyarrow", (slf,))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (path, cursor) = self.view.place(py)?;
        let keys = match &self.keys {
            Keys::Matching(pattern) => PyString::new(py, pattern).into_any(),
            Keys::These(keys) => keys.into_pyobject(py)?.into_any(),
        };
        let args = (path, cursor, keys, self.asked.to_dict(py)?).into_pyobject(py)?;
        sugar::reduced(py, "frame", args)
    }

    fn __repr__(&self) -> String {
        format!("<synadb.Frame of {} keys>", self.frame.load().keys().len())
    }
}
