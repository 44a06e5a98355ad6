//! Many changes as one commit.

use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use synadb::SynaDB;

use crate::database::{committed, key_of};
use crate::errors::Raise;
use crate::input;
use crate::time::stamp_or_now;
use crate::value::atom_of;
use crate::wait::{SIGNALS_EVERY, long};

/// Changes that take effect together, or not at all.
///
/// `with db.batch() as batch:` commits at the end of the block; an exception that leaves the block
/// discards it.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct WriteBatch {
    /// None once it was committed or discarded.
    batch: Mutex<Option<synadb::Batch>>,
}

impl WriteBatch {
    pub(crate) fn new(db: SynaDB) -> WriteBatch {
        WriteBatch { batch: Mutex::new(Some(db.batch())) }
    }

    /// Never waits: two threads with one batch are a mistake of their program.
    fn lock(&self) -> PyResult<MutexGuard<'_, Option<synadb::Batch>>> {
        self.batch.try_lock().map_err(|_| {
            PyRuntimeError::new_err("a batch is used by one thread at a time: make one for each")
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut synadb::Batch) -> synadb::Result<T>,
    ) -> PyResult<T> {
        match &mut *self.lock()? {
            Some(batch) => change(batch).raise(),
            None => Err(PyRuntimeError::new_err("the batch was committed or discarded already")),
        }
    }
}

#[pymethods]
impl WriteBatch {
    /// Adds a value.
    #[pyo3(signature = (key, value, timestamp = None, *, floor = false))]
    fn append(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<()> {
        let (key, value) = (key_of(key)?, atom_of(value)?);
        let timestamp = stamp_or_now(timestamp, floor)?;
        self.change(|batch| batch.append_at(key, timestamp, value).map(|_| ()))
    }

    /// Adds many points of one key.
    #[pyo3(signature = (key, values, timestamps = None, *, floor = false))]
    fn append_batch(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        timestamps: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<()> {
        let points = input::Points::of(key_of(key)?, values, timestamps, floor)?;
        let (key, stamps, atoms) = match points.len() <= SIGNALS_EVERY {
            true => points.into_atoms()?,
            false => long(py, move || points.into_atoms())??,
        };
        self.change(|batch| py.detach(|| batch.append_batch(&key, &stamps, &atoms)).map(|_| ()))
    }

    /// Deletes a key, points added to it before included.
    fn delete(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = key_of(key)?;
        self.change(|batch| batch.delete(key).map(|_| ()))
    }

    /// Commits; returns the offset of the first entry.
    fn commit(&self, py: Python<'_>) -> PyResult<u64> {
        let batch = self.lock()?.take();
        let Some(batch) = batch else {
            return Err(PyRuntimeError::new_err("the batch was committed or discarded already"));
        };
        committed(py, batch)
    }

    /// Forgets all changes.
    fn discard(&self) -> PyResult<()> {
        *self.lock()? = None;
        Ok(())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.lock()?.as_ref().map_or(0, synadb::Batch::len))
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        _exc: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let batch = self.lock()?.take();
        match batch {
            Some(batch) if exc_type.is_none() => committed(py, batch).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn __repr__(&self) -> String {
        format!("<synadb.WriteBatch: {} changes>", self.__len__().unwrap_or(0))
    }
}
