//! A view of one commit.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyString, PyTuple};

use crate::batch::Batch;
use crate::database::{Source, key_of};
use crate::errors::Raise;
use crate::frame::{self, Frame};
use crate::history::{Asked, History};
use crate::keys::{list_of, of_keys};
use crate::scan::{self, Scan};
use crate::sugar;
use crate::time::stamp_of;
use crate::value::value_of;
use crate::wait::long;

/// A commit as Python objects hold it.
#[derive(Clone)]
pub(crate) struct View {
    /// Put anew by a forked child that reads.
    snapshot: Arc<ArcSwap<synadb::Snapshot>>,
    source: Source,
}

impl View {
    pub(crate) fn new(source: Source, snapshot: synadb::Snapshot) -> View {
        View { snapshot: Arc::new(ArcSwap::from_pointee(snapshot)), source }
    }

    /// The library's snapshot; of a reader, in a forked child, one of the child's own.
    pub(crate) fn current(&self, py: Python<'_>) -> PyResult<Arc<synadb::Snapshot>> {
        let snapshot = self.snapshot.load_full();
        if !snapshot.is_forked() {
            return Ok(snapshot);
        }
        let db = self.source.reopened_at(py, || snapshot.cursor())?;
        let again = Arc::new(db.snapshot().raise()?);
        self.snapshot.store(Arc::clone(&again));
        Ok(again)
    }

    /// About how many keys there are: as many as there are now. What is wrong with the handle, whatever
    /// looks at the keys will say.
    pub(crate) fn key_count(&self, py: Python<'_>) -> u64 {
        self.source.handle(py).ok().and_then(|db| db.key_count().ok()).unwrap_or(0)
    }

    /// Path and cursor: by them another process finds the commit.
    pub(crate) fn place<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, String)> {
        let snapshot = self.current(py)?;
        let cursor = self.source.flushed_cursor(py, move || snapshot.cursor())?;
        Ok((self.source.path_for_pickle(py)?, cursor))
    }
}

/// The database as of one commit: all that is read through it agrees and never changes.
#[pyclass(frozen, mapping, module = "synadb")]
pub(crate) struct Snapshot {
    view: View,
}

impl Snapshot {
    pub(crate) fn new(view: View) -> Snapshot {
        Snapshot { view }
    }

    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&synadb::Snapshot) -> synadb::Result<T> + Send,
    ) -> PyResult<T> {
        let snapshot = self.view.current(py)?;
        py.detach(|| question(&snapshot)).raise()
    }
}

#[pymethods]
impl Snapshot {
    /// Where the log ended at this commit.
    #[getter]
    fn commit_end(&self) -> u64 {
        self.view.snapshot.load().commit_end()
    }

    /// The latest value of a key.
    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let key = key_of(key)?;
        match self.ask(py, |snapshot| snapshot.get(key))? {
            Some(atom) => value_of(py, atom).map(Some),
            None => Ok(default),
        }
    }

    /// The value of a key as of a time.
    #[pyo3(signature = (key, when, default = None))]
    fn get_at<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        when: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (key, when) = (key_of(key)?, stamp_of(when, true)?);
        match self.ask(py, |snapshot| snapshot.get_at(key, when))? {
            Some(atom) => value_of(py, atom).map(Some),
            None => Ok(default),
        }
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(key) = key.cast::<PyString>() else { return Ok(false) };
        let Ok(key) = key.to_str() else { return Ok(false) };
        self.ask(py, |snapshot| snapshot.exists(key))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let snapshot = self.view.current(py)?;
        of_keys(py, self.view.key_count(py), move || snapshot.keys().map(|keys| keys.len()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py, None)?.try_iter()
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// The live keys, or those that match a pattern, in bytewise order.
    #[pyo3(signature = (pattern = None))]
    fn keys<'py>(&self, py: Python<'py>, pattern: Option<String>) -> PyResult<Bound<'py, PyList>> {
        let snapshot = self.view.current(py)?;
        let keys = of_keys(py, self.view.key_count(py), move || match pattern {
            Some(pattern) => snapshot.keys_matching(&pattern),
            None => snapshot.keys(),
        })?;
        list_of(py, keys)
    }

    /// The kinds that occur in the history of a key.
    fn types(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Vec<&'static str>> {
        let (key, snapshot) = (key_of(key)?.to_owned(), self.view.current(py)?);
        let kinds = long(py, move || snapshot.types(&key))?.raise()?;
        Ok(kinds.into_iter().map(synadb::AtomKind::name).collect())
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<History> {
        let key = key_of(key)?;
        let history = self.ask(py, |snapshot| snapshot.history(key))?;
        Ok(History::new(self.view.source.clone(), history, Asked::default()))
    }

    /// The history of a key as of this commit.
    #[pyo3(signature = (key, *, start = None, end = None, rows = None, as_type = None,
        on_mismatch = "raise", order = "append"))]
    #[expect(clippy::too_many_arguments, reason = "what can be asked of a history, by its names")]
    fn history(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        rows: Option<&Bound<'_, PyAny>>,
        as_type: Option<&str>,
        on_mismatch: &str,
        order: &str,
    ) -> PyResult<History> {
        let key = key_of(key)?;
        let history = self.ask(py, |snapshot| snapshot.history(key))?;
        let len = || py.detach(|| history.len()).raise();
        let asked = Asked::of(start, end, rows, as_type, on_mismatch, order, len)?;
        Ok(History::new(self.view.source.clone(), history, asked))
    }

    /// The latest point of every key that matches, as columns.
    #[pyo3(signature = (pattern = "*"))]
    fn latest(&self, py: Python<'_>, pattern: &str) -> PyResult<Batch> {
        let (pattern, snapshot) = (pattern.to_owned(), self.view.current(py)?);
        long(py, move || snapshot.latest_batch(&pattern))?.raise().map(Batch::new)
    }

    /// The histories of all keys that match, as one Arrow stream.
    #[pyo3(signature = (pattern = "*", *, start = None, end = None, columns = None,
        batch_size = None, as_type = None, on_mismatch = "raise", order = "append"))]
    #[expect(clippy::too_many_arguments, reason = "what can be asked of a scan, by its names")]
    fn scan(
        &self,
        py: Python<'_>,
        pattern: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        batch_size: Option<usize>,
        as_type: Option<&str>,
        on_mismatch: &str,
        order: &str,
    ) -> PyResult<Scan> {
        let asked = scan::Asked::of(start, end, columns, batch_size, as_type, on_mismatch, order)?;
        Scan::new(py, self.view.clone(), pattern.to_owned(), asked)
    }

    /// Many keys side by side on one axis of time.
    #[pyo3(signature = (keys, *, every = None, start = None, end = None, align = "backward",
        fill = None, tolerance = None, as_type = None, on_mismatch = "raise"))]
    #[expect(clippy::too_many_arguments, reason = "what can be asked of a frame, by its names")]
    fn frame(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        every: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        align: &str,
        fill: Option<&Bound<'_, PyAny>>,
        tolerance: Option<&Bound<'_, PyAny>>,
        as_type: Option<&str>,
        on_mismatch: &str,
    ) -> PyResult<Frame> {
        let keys = frame::Keys::of(keys)?;
        let asked =
            frame::Asked::of(every, (start, end), align, fill, tolerance, as_type, on_mismatch)?;
        Frame::new(py, self.view.clone(), keys, asked)
    }

    fn __repr__(&self) -> String {
        format!("<synadb.Snapshot at {}>", self.commit_end())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        sugar::reduced(py, "snapshot", self.view.place(py)?.into_pyobject(py)?)
    }
}
