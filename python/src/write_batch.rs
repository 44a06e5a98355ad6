//! Many changes as one commit.

use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use synadb::{SynaDB, WriteOptions};

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
    open: Mutex<Option<Open>>,
}

/// A batch that is being put together, and the database that it is one of.
struct Open {
    db: SynaDB,
    batch: synadb::Batch,
}

impl WriteBatch {
    pub(crate) fn new(db: SynaDB) -> WriteBatch {
        let batch = db.batch();
        WriteBatch { open: Mutex::new(Some(Open { db, batch })) }
    }

    /// Never waits: two threads with one batch are a mistake of their program.
    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Open>>> {
        self.open.try_lock().map_err(|_| {
            PyRuntimeError::new_err("a batch is used by one thread at a time: make one for each")
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut synadb::Batch) -> synadb::Result<T>,
    ) -> PyResult<T> {
        match &mut *self.lock()? {
            Some(open) => change(&mut open.batch).raise(),
            None => Err(ended()),
        }
    }

    /// An empty batch of the same database: what takes long to read is read into one of its own, so that
    /// this one stays as it was when Ctrl-C ends the call.
    fn part(&self) -> PyResult<synadb::Batch> {
        match &*self.lock()? {
            Some(open) => Ok(open.db.batch()),
            None => Err(ended()),
        }
    }

    fn take(&self) -> PyResult<Option<synadb::Batch>> {
        Ok(self.lock()?.take().map(|open| open.batch))
    }

    fn merge(&self, part: synadb::Batch) -> PyResult<()> {
        self.change(|batch| batch.merge(part).map(|_| ()))
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the batch was committed or discarded already")
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
        let mut part = self.part()?;
        let part = match points.len() <= SIGNALS_EVERY {
            true => points.add_to(&mut part).map(|()| part),
            false => long(py, move || points.add_to(&mut part).map(|()| part))?,
        };
        self.merge(part.raise()?)
    }

    /// Adds rows in the long form.
    #[pyo3(signature = (data, *, key_column = "key", time_column = "timestamp",
        value_column = "value", floor = false, write_budget_bytes = 1_073_741_824))]
    #[expect(clippy::too_many_arguments, reason = "the options of a write, by their names")]
    fn write(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        key_column: &str,
        time_column: &str,
        value_column: &str,
        floor: bool,
        write_budget_bytes: u64,
    ) -> PyResult<()> {
        let options = WriteOptions::default()
            .with_key_column(key_column)
            .with_time_column(time_column)
            .with_value_column(value_column)
            .with_floor(floor)
            .with_write_budget_bytes(write_budget_bytes);
        self.merge(input::batch_of_rows(py, self.part()?, data, false, options)?)
    }

    /// Adds rows in the wide form.
    #[pyo3(signature = (data, *, time_column = "timestamp", prefix = "", floor = false,
        write_budget_bytes = 1_073_741_824))]
    fn write_wide(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        time_column: &str,
        prefix: &str,
        floor: bool,
        write_budget_bytes: u64,
    ) -> PyResult<()> {
        let options = WriteOptions::default()
            .with_time_column(time_column)
            .with_prefix(prefix)
            .with_floor(floor)
            .with_write_budget_bytes(write_budget_bytes);
        self.merge(input::batch_of_rows(py, self.part()?, data, true, options)?)
    }

    /// Deletes a key, points added to it before included.
    fn delete(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = key_of(key)?;
        self.change(|batch| batch.delete(key).map(|_| ()))
    }

    /// Commits; returns the offset of the first entry.
    fn commit(&self, py: Python<'_>) -> PyResult<u64> {
        committed(py, self.take()?.ok_or_else(ended)?)
    }

    /// Forgets all changes.
    fn discard(&self) -> PyResult<()> {
        *self.lock()? = None;
        Ok(())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.lock()?.as_ref().map_or(0, |open| open.batch.len()))
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
        match self.take()? {
            Some(batch) if exc_type.is_none() => committed(py, batch).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn __repr__(&self) -> String {
        format!("<synadb.WriteBatch: {} changes>", self.__len__().unwrap_or(0))
    }
}
