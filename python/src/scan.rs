//! The histories of many keys as one stream.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyTuple};
use synadb::{AsType, OnMismatch, Order, ScanColumn};

use crate::batch::Batch;
use crate::errors::Raise;
use crate::history::{as_type_of, explain_record, on_mismatch_of, order_of, times};
use crate::keys::{list_of, of_keys};
use crate::snapshot::View;
use crate::time::end_of;
use crate::wait::long;
use crate::{arrow, sugar};

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Asked {
    start: Option<i64>,
    end: Option<i64>,
    columns: Option<Vec<String>>,
    batch_size: Option<usize>,
    as_type: AsType,
    on_mismatch: OnMismatch,
    order: Order,
}

fn stamp(stamp: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i64>> {
    stamp.map(end_of).transpose()
}

fn columns_of(names: &[String]) -> PyResult<Vec<ScanColumn>> {
    let column = |name: &String| {
        ScanColumn::from_name(name).ok_or_else(|| {
            PyValueError::new_err(format!("columns: {name:?} is none of key, timestamp, value"))
        })
    };
    names.iter().map(column).collect()
}

impl Asked {
    pub(crate) fn of(
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        batch_size: Option<usize>,
        as_type: Option<&str>,
        on_mismatch: &str,
        order: &str,
    ) -> PyResult<Asked> {
        columns_of(columns.as_deref().unwrap_or_default())?;
        Ok(Asked {
            start: stamp(start)?,
            end: stamp(end)?,
            columns,
            batch_size,
            as_type: as_type.map_or(Ok(AsType::Natural), as_type_of)?,
            on_mismatch: on_mismatch_of(on_mismatch)?,
            order: order_of(order)?,
        })
    }

    fn ask(&self, mut scan: synadb::Scan) -> PyResult<synadb::Scan> {
        if self.start.is_some() || self.end.is_some() {
            scan = scan.range(times(self.start, self.end));
        }
        if let Some(columns) = &self.columns {
            scan = scan.columns(columns_of(columns)?);
        }
        if let Some(rows) = self.batch_size {
            scan = scan.batch_size(rows);
        }
        Ok(scan.as_type(self.as_type).on_mismatch(self.on_mismatch).order(self.order))
    }
}

/// The live points of all keys that match, as of one commit.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct Scan {
    view: View,
    pattern: String,
    asked: Asked,
    scan: ArcSwap<synadb::Scan>,
}

/// A pattern that matches one key.
fn only(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for character in key.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

impl Scan {
    pub(crate) fn new(py: Python<'_>, view: View, pattern: String, asked: Asked) -> PyResult<Scan> {
        let snapshot = view.current(py)?;
        let wanted = pattern.clone();
        let scan = of_keys(py, view.key_count(py), move || snapshot.scan(&wanted))?;
        let scan = ArcSwap::from_pointee(asked.ask(scan)?);
        Ok(Scan { view, pattern, asked, scan })
    }

    /// The library's scan; of a reader, in a forked child, one of the child's own.
    fn current(&self, py: Python<'_>) -> PyResult<Arc<synadb::Scan>> {
        if self.scan.load().is_forked() {
            let snapshot = self.view.current(py)?;
            let scan = py.detach(|| snapshot.scan(&self.pattern)).raise()?;
            self.scan.store(Arc::new(self.asked.ask(scan)?));
        }
        Ok(self.scan.load_full())
    }

    fn ask<T: Send + 'static>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&synadb::Scan) -> synadb::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let scan = self.current(py)?;
        long(py, move || question(&scan))?.raise()
    }
}

/// The batches of a scan, one at a time.
#[pyclass(frozen, module = "synadb._synadb")]
pub(crate) struct Batches {
    /// Taken out while it is read from.
    stream: Mutex<Option<synadb::ScanStream>>,
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let busy = || PyValueError::new_err("another thread reads from these batches");
        let stream = self.stream.try_lock().map_err(|_| busy())?.take();
        let mut stream = stream.ok_or_else(busy)?;
        let (batch, stream) = long(py, move || (stream.next_batch(), stream))?;
        *self.stream.try_lock().map_err(|_| busy())? = Some(stream);
        Ok(batch.raise()?.map(Batch::new))
    }
}

#[pymethods]
impl Scan {
    /// The keys that matched.
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list_of(py, self.current(py)?.keys())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let count = self.ask(py, synadb::Scan::count)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// All rows in one piece.
    fn read(&self, py: Python<'_>) -> PyResult<Batch> {
        self.ask(py, synadb::Scan::read).map(Batch::new)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema_capsule(py, &*self.ask(py, synadb::Scan::schema)?)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::batches_capsule(py, self.ask(py, synadb::Scan::stream)?, requested_schema)
    }

    /// The same scan of fewer times or columns.
    #[pyo3(signature = (*, start = None, end = None, columns = None, batch_size = None))]
    fn narrowed(
        &self,
        py: Python<'_>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        batch_size: Option<usize>,
    ) -> PyResult<Scan> {
        columns_of(columns.as_deref().unwrap_or_default())?;
        let mut asked = self.asked.clone();
        asked.start = asked.start.max(stamp(start)?);
        asked.end = match (asked.end, stamp(end)?) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        asked.columns = columns.or(asked.columns);
        asked.batch_size = batch_size.or(asked.batch_size);
        let scan = asked.ask(synadb::Scan::clone(&*self.current(py)?))?;
        let scan = ArcSwap::from_pointee(scan);
        Ok(Scan { view: self.view.clone(), pattern: self.pattern.clone(), asked, scan })
    }

    /// The same scan of one of its keys, with values of a type.
    fn _only(&self, py: Python<'_>, key: &str, as_type: &str) -> PyResult<Scan> {
        let asked = Asked { as_type: as_type_of(as_type)?, ..self.asked.clone() };
        Scan::new(py, self.view.clone(), only(key), asked)
    }

    /// The batches one by one.
    fn _batches(&self, py: Python<'_>) -> PyResult<Batches> {
        let stream = self.ask(py, synadb::Scan::stream)?;
        Ok(Batches { stream: Mutex::new(Some(stream)) })
    }

    /// The Arrow type of the values, as text.
    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let schema = self.ask(py, synadb::Scan::schema)?;
        let field = schema.field_with_name("value");
        Ok(field.ok().map(|field| field.data_type().to_string()))
    }

    /// As a `polars.LazyFrame`.
    fn lazy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._lazy", "frame_of", (slf,))
    }

    /// What reading would cost now, and why.
    fn explain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        explain_record(py, &self.ask(py, synadb::Scan::explain)?)
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

    fn __repr__(&self) -> String {
        format!("<synadb.Scan {:?}: {} keys>", self.pattern, self.scan.load().keys().len())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (path, cursor) = self.view.place(py)?;
        let asked = &self.asked;
        let order = if asked.order == Order::Time { "time" } else { "append" };
        let names = (asked.as_type.name(), asked.on_mismatch.name(), order);
        let asked = (asked.start, asked.end, asked.columns.clone(), asked.batch_size, names);
        sugar::reduced(py, "scan", (path, cursor, &self.pattern, asked).into_pyobject(py)?)
    }
}
