//! Several columns in one piece.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PySlice, PyString, PyTuple};

use crate::column::{Column, item_of, pylist_of};
use crate::{arrow, sugar};

/// Columns of one length in one piece of memory, as an Arrow record batch.
///
/// Any Arrow library reads it by its capsule methods, any number of times. It stays valid whatever
/// happens to the database.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct Batch {
    batch: RecordBatch,
}

impl Batch {
    pub(crate) fn new(batch: RecordBatch) -> Batch {
        Batch { batch }
    }

    fn column_at(&self, at: usize) -> Option<Column> {
        let schema = self.batch.schema();
        let field = schema.fields().get(at)?;
        let array = self.batch.columns().get(at)?;
        Some(Column::new(field.name(), Arc::clone(array), field.is_nullable()))
    }
}

#[pymethods]
impl Batch {
    /// Number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Number of columns.
    #[getter]
    fn num_columns(&self) -> usize {
        self.batch.num_columns()
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column by its name, or rows by a slice.
    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast::<PySlice>() {
            let (start, len) = sugar::places_of(slice, self.batch.num_rows())?;
            return Ok(Bound::new(py, Batch::new(self.batch.slice(start, len)))?.into_any());
        }
        if let Ok(name) = index.cast::<PyString>() {
            let at = self.batch.schema().index_of(name.to_str()?).ok();
            let column = at.and_then(|at| self.column_at(at));
            let absent = || {
                let names = self.column_names().join(", ");
                PyKeyError::new_err(format!("there is no column {name:?}: there are {names}"))
            };
            return Ok(Bound::new(py, column.ok_or_else(absent)?)?.into_any());
        }
        let row = sugar::place_of(index, self.batch.num_rows())?;
        let cells = self.batch.columns().iter().map(|array| item_of(py, array, row));
        let cells = cells.collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, cells)?.into_any())
    }

    /// The columns as lists of Python objects, by name.
    fn to_pydict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        for (field, array) in self.batch.schema().fields().iter().zip(self.batch.columns()) {
            columns.set_item(field.name(), pylist_of(py, array)?)?;
        }
        Ok(columns)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::schema_capsule(py, &self.batch.schema())
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        arrow::batch_capsules(py, &self.batch, requested_schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = self.batch.schema();
        let batches = RecordBatchIterator::new([Ok(self.batch.clone())], schema);
        arrow::batches_capsule(py, batches, requested_schema)
    }

    /// What `numpy.asarray` calls; as `to_numpy`.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        sugar::as_asked(&Self::to_numpy(slf)?, dtype, copy, false)
    }

    /// As a two-dimensional NumPy array of float64: a row each, the columns of numbers.
    fn to_numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sugar::call(slf.py(), "synadb._convert", "batch_to_numpy", (slf,))
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
        let names = self.column_names().join(", ");
        format!("<synadb.Batch: {} rows of {names}>", self.batch.num_rows())
    }
}
