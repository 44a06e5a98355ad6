//! Following: commits as they come.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use synadb::{Change, Cursor, FollowFrom, FollowedCommit};

use crate::database::Source;
use crate::errors::Raise;
use crate::sugar;
use crate::value::pair_of;

/// How long a wait goes on without a look for signals.
const LOOK: Duration = Duration::from_millis(15);

/// Delivers the commits that change the followed keys, in order: an iterator and an async iterator.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct Follower {
    follower: Mutex<synadb::Follower>,
    /// The keys that were named one by one.
    keys: Option<HashSet<String>>,
    /// How long an iteration waits for the next commit before it ends; None for ever.
    timeout: Option<Duration>,
}

/// A time in seconds.
fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .map_err(|_| PyValueError::new_err("a timeout is a number of seconds, 0 or more"))
}

impl Follower {
    pub(crate) fn new(
        py: Python<'_>,
        source: &Source,
        keys: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Follower> {
        let (pattern, keys) = match keys {
            None => ("*".to_owned(), None),
            Some(keys) => match keys.cast::<PyString>() {
                Ok(pattern) => (pattern.to_str()?.to_owned(), None),
                Err(_) => ("*".to_owned(), Some(keys.extract::<Vec<String>>()?)),
            },
        };
        let from = match start.map(|start| start.extract::<String>()).transpose()?.as_deref() {
            None | Some("now") => FollowFrom::Now,
            Some("beginning") => FollowFrom::Beginning,
            Some(cursor) => FollowFrom::Cursor(cursor.parse::<Cursor>().raise()?),
        };
        let db = source.handle(py)?;
        let follower = py.detach(|| db.follow(&pattern, from)).raise()?;
        Ok(Follower {
            follower: Mutex::new(follower),
            keys: keys.map(|keys| keys.into_iter().collect()),
            timeout: timeout.map(seconds).transpose()?,
        })
    }

    /// The next commit that changes a followed key.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<FollowedCommit>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let commit = py.detach(|| {
                let mut follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner);
                follower.next(left.map_or(LOOK, |left| left.min(LOOK)))
            });
            match commit.raise()? {
                Some(commit) if self.concerns(&commit) => return Ok(Some(commit)),
                Some(_) => {}
                None if left.is_some_and(|left| left.is_zero()) => return Ok(None),
                None => {}
            }
            py.check_signals()?;
        }
    }

    fn concerns(&self, commit: &FollowedCommit) -> bool {
        commit.changes().iter().any(|change| self.follows(change.key()))
    }

    fn follows(&self, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(key))
    }

    fn record<'py>(&self, py: Python<'py>, commit: FollowedCommit) -> PyResult<Bound<'py, PyAny>> {
        let fields = PyDict::new(py);
        fields.set_item("cursor", commit.cursor().to_string())?;
        let changes = PyList::empty(py);
        for change in commit.into_changes() {
            if !self.follows(change.key()) {
                continue;
            }
            let told = PyDict::new(py);
            told.set_item("key", change.key())?;
            let class = match &change {
                Change::Appended(appended) => {
                    let points = py.detach(|| appended.points()).raise()?;
                    let pairs = points.into_iter().map(|point| pair_of(py, point));
                    let pairs = pairs.collect::<PyResult<Vec<_>>>()?;
                    told.set_item("points", PyList::new(py, pairs)?)?;
                    "Appended"
                }
                _ => "Deleted",
            };
            changes.append(sugar::record(py, class, &told)?)?;
        }
        fields.set_item("changes", changes)?;
        sugar::record(py, "Commit", &fields)
    }
}

#[pymethods]
impl Follower {
    /// Where to go on after the commits that were delivered.
    #[getter]
    fn cursor(&self, py: Python<'_>) -> String {
        let cursor =
            py.detach(|| self.follower.lock().unwrap_or_else(PoisonError::into_inner).cursor());
        cursor.to_string()
    }

    /// The next commit, or None if none came within `timeout` seconds (None: for ever).
    #[pyo3(signature = (timeout = None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let commit = self.wait(py, timeout.map(seconds).transpose()?)?;
        commit.map(|commit| self.record(py, commit)).transpose()
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let commit = self.wait(py, self.timeout)?;
        commit.map(|commit| self.record(py, commit)).transpose()
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = slf.get().timeout.map(|timeout| timeout.as_secs_f64());
        sugar::call(slf.py(), "synadb._follow", "commits", (slf, timeout))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<synadb.Follower at {}>", self.cursor(py))
    }
}
