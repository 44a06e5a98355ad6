//! Following: commits as they come.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};
use synadb::{Appended, Change, Cursor, FollowFrom, FollowedCommit, Point, SynaError};

use crate::database::{Source, key_of};
use crate::errors::Raise;
use crate::sugar;
use crate::time::moment_of;
use crate::value::value_of;
use crate::wait::{SIGNALS_EVERY, long};

/// How long a wait goes on without a look for signals.
const LOOK: Duration = Duration::from_millis(15);

/// The points that are read at once, on this thread.
const SHORT: u64 = 4096;

/// The changes that are made between two looks for signals: some milliseconds.
const CHANGES_EVERY: usize = 512;

/// Delivers the commits that change the followed keys, in order: an iterator and an async iterator.
#[pyclass(frozen, module = "synadb")]
pub(crate) struct Follower {
    queue: Mutex<Queue>,
    /// The keys that were named one by one.
    keys: Option<HashSet<String>>,
    /// How long an iteration waits for the next commit before it ends; None for ever.
    timeout: Option<Duration>,
    /// The process that made it.
    process: u32,
}

/// The commits that came, up to the one that is delivered next.
struct Queue {
    follower: synadb::Follower,
    /// Those that came and were not delivered: a call that waited for one was cancelled, or Ctrl-C came
    /// while its record was made.
    held: VecDeque<Arc<Held>>,
}

/// A commit that was not delivered yet.
struct Held {
    commit: FollowedCommit,
    /// Where to go on in order to get it again.
    before: Cursor,
    record: PyOnceLock<Py<PyAny>>,
    /// What was made of the record when Ctrl-C came: the next call goes on from there. To let go of
    /// millions of points takes longer than Ctrl-C may.
    making: Mutex<Option<Making>>,
}

/// A record on its way.
struct Making {
    changes: Py<PyList>,
    /// The change that comes next, and the points of it that were not made yet.
    at: usize,
    points: Option<(Py<PyList>, std::vec::IntoIter<Point>)>,
}

/// What a look for the next commit has found.
enum Found {
    Commit(Arc<Held>),
    /// One that changes no followed key.
    Other,
    Nothing,
}

/// A time in seconds, which may be infinite.
fn seconds(timeout: f64) -> PyResult<Duration> {
    if timeout == f64::INFINITY {
        return Ok(Duration::MAX);
    }
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
                Err(_) => {
                    let keys = keys.try_iter()?.map(|key| key_of(&key?).map(str::to_owned));
                    ("*".to_owned(), Some(keys.collect::<PyResult<HashSet<String>>>()?))
                }
            },
        };
        let from = match start.map(|start| start.extract::<String>()).transpose()?.as_deref() {
            None | Some("now") => FollowFrom::Now,
            Some("beginning") => FollowFrom::Beginning,
            Some(cursor) => FollowFrom::Cursor(cursor.parse::<Cursor>().raise()?),
        };
        let db = source.handle(py)?;
        // From a cursor on, what was before is counted; that takes a look at all of it.
        let follower = long(py, move || db.follow(&pattern, from))?.raise()?;
        Ok(Follower {
            queue: Mutex::new(Queue { follower, held: VecDeque::new() }),
            keys,
            timeout: timeout.map(seconds).transpose()?,
            process: std::process::id(),
        })
    }

    /// In a forked child, the lock of a thread that was left in the parent would be waited for for ever.
    fn queue(&self) -> synadb::Result<MutexGuard<'_, Queue>> {
        if self.process == std::process::id() {
            return Ok(self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.queue.try_lock() {
            Ok(queue) => Ok(queue),
            Err(TryLockError::Poisoned(queue)) => Ok(queue.into_inner()),
            Err(TryLockError::WouldBlock) => Err(SynaError::ForkedHandle),
        }
    }

    /// Where to go on after the commits that were delivered.
    fn place(&self) -> synadb::Result<Cursor> {
        let queue = self.queue()?;
        Ok(queue.held.front().map_or_else(|| queue.follower.cursor(), |held| held.before))
    }

    /// Whether the next commit is known, so that a look takes no time. Waits for nothing.
    fn is_ready(&self) -> bool {
        match self.queue.try_lock() {
            Ok(queue) => !queue.held.is_empty() || queue.follower.is_ready(),
            // Somebody else looks, for as long as it takes to read a commit.
            Err(_) => false,
        }
    }

    /// Looks for the next commit, for so long; it stays the next one.
    fn look(&self, time: Duration) -> synadb::Result<Found> {
        let mut queue = self.queue()?;
        if queue.held.is_empty() {
            let before = queue.follower.cursor();
            match queue.follower.next(time)? {
                None => return Ok(Found::Nothing),
                Some(commit) if !self.concerns(&commit) => return Ok(Found::Other),
                Some(commit) => {
                    let (record, making) = (PyOnceLock::new(), Mutex::default());
                    queue.held.push_back(Arc::new(Held { commit, before, record, making }));
                }
            }
        }
        Ok(queue.held.front().cloned().map_or(Found::Nothing, Found::Commit))
    }

    /// Takes a commit that is the next one; false if another thread has taken it.
    fn take(&self, held: &Arc<Held>) -> synadb::Result<bool> {
        let mut queue = self.queue()?;
        let is_next = queue.held.front().is_some_and(|next| Arc::ptr_eq(next, held));
        if is_next {
            queue.held.pop_front();
        }
        Ok(is_next)
    }

    /// The next commit that changes a followed key.
    fn wait(
        slf: &Bound<'_, Self>,
        timeout: Option<Duration>,
        take: bool,
    ) -> PyResult<Option<Arc<Held>>> {
        let (py, this) = (slf.py(), slf.get());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let time = left.map_or(LOOK, |left| left.min(LOOK));
            // A commit may be of any size, and is read as a whole.
            let found = if this.is_ready() {
                py.detach(|| this.look(Duration::ZERO))
            } else {
                let slf = slf.clone().unbind();
                long(py, move || slf.get().look(time))?
            };
            match found.raise()? {
                Found::Commit(held) => {
                    if !take || py.detach(|| this.take(&held)).raise()? {
                        return Ok(Some(held));
                    }
                }
                Found::Nothing if left.is_some_and(|left| left.is_zero()) => return Ok(None),
                Found::Other | Found::Nothing => py.check_signals()?,
            }
        }
    }

    /// Delivers the next commit.
    fn deliver<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<Duration>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        let Some(held) = Follower::wait(slf, timeout, true)? else { return Ok(None) };
        let record = this.record(py, &held);
        match record {
            // A million changes are not let go of in no time.
            Ok(_) if held.commit.changes().len() > CHANGES_EVERY => py.detach(|| drop(held)),
            Ok(_) => {}
            // It was not delivered, so it is the next one again.
            Err(_) => {
                py.detach(|| this.queue().map(|mut queue| queue.held.push_front(held))).raise()?;
            }
        }
        record.map(Some)
    }

    fn concerns(&self, commit: &FollowedCommit) -> bool {
        commit.changes().iter().any(|change| self.follows(change.key()))
    }

    fn follows(&self, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(key))
    }

    fn record<'py>(&self, py: Python<'py>, held: &Arc<Held>) -> PyResult<Bound<'py, PyAny>> {
        let made =
            held.record.get_or_try_init(py, || self.make_record(py, held).map(Bound::unbind));
        Ok(made?.bind(py).clone())
    }

    fn make_record<'py>(&self, py: Python<'py>, held: &Arc<Held>) -> PyResult<Bound<'py, PyAny>> {
        // Taken out, so that nobody waits for a lock with the interpreter.
        let taken = held.making().take();
        let mut making = match taken {
            Some(making) => making,
            None => Making { changes: PyList::empty(py).unbind(), at: 0, points: None },
        };
        let made = self.go_on(py, held, &mut making);
        if let Err(error) = made {
            *held.making() = Some(making);
            return Err(error);
        }
        let fields = PyDict::new(py);
        fields.set_item("cursor", held.commit.cursor().to_string())?;
        fields.set_item("changes", making.changes)?;
        sugar::record(py, "Commit", &fields)
    }

    /// Makes what is missing of the changes.
    fn go_on(&self, py: Python<'_>, held: &Arc<Held>, making: &mut Making) -> PyResult<()> {
        let changes = making.changes.bind(py).clone();
        while let Some(change) = held.commit.changes().get(making.at) {
            if making.at % CHANGES_EVERY == CHANGES_EVERY - 1 {
                py.check_signals()?;
            }
            if self.follows(change.key()) {
                let told = PyDict::new(py);
                told.set_item("key", change.key())?;
                let class = match change {
                    Change::Appended(appended) => {
                        let (pairs, points) = match &mut making.points {
                            Some(points) => points,
                            none => {
                                let points = points_of(py, appended, held, making.at)?;
                                none.insert((PyList::empty(py).unbind(), points.into_iter()))
                            }
                        };
                        let pairs = pairs.bind(py);
                        make_pairs(py, pairs, points)?;
                        told.set_item("points", pairs)?;
                        "Appended"
                    }
                    _ => "Deleted",
                };
                changes.append(sugar::record(py, class, &told)?)?;
            }
            (making.at, making.points) = (making.at + 1, None);
        }
        Ok(())
    }
}

impl Held {
    fn making(&self) -> MutexGuard<'_, Option<Making>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Follower {
    /// Where to go on after the commits that were delivered.
    #[getter]
    fn cursor(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.place()).raise().map(|cursor| cursor.to_string())
    }

    /// The next commit, or None if none came within `timeout` seconds (None: for ever).
    #[pyo3(signature = (timeout = None))]
    fn next<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Follower::deliver(slf, timeout.map(seconds).transpose()?)
    }

    /// Whether a commit came within `timeout` seconds. It is not delivered, but ready to be.
    fn _ready(slf: &Bound<'_, Self>, timeout: f64) -> PyResult<bool> {
        let timeout = Some(seconds(timeout)?);
        let Some(held) = Follower::wait(slf, timeout, false)? else { return Ok(false) };
        slf.get().record(slf.py(), &held)?;
        Ok(true)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Follower::deliver(slf, slf.get().timeout)
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = slf.get().timeout.map(|timeout| timeout.as_secs_f64());
        sugar::call(slf.py(), "synadb._follow", "commits", (slf, timeout))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        match py.detach(|| self.place()) {
            Ok(cursor) => format!("<synadb.Follower at {cursor}>"),
            Err(_) => "<synadb.Follower of the parent process>".to_owned(),
        }
    }
}

/// The points of a change.
fn points_of(
    py: Python<'_>,
    appended: &Appended,
    held: &Arc<Held>,
    at: usize,
) -> PyResult<Vec<Point>> {
    let points = match appended.len() {
        0..=SHORT => py.detach(|| appended.points()),
        _ => {
            let held = Arc::clone(held);
            long(py, move || match held.commit.changes().get(at) {
                Some(Change::Appended(appended)) => appended.points(),
                _ => Ok(Vec::new()),
            })?
        }
    };
    points.raise()
}

/// Makes (datetime, value) of points. Whatever interrupts it leaves those that are left.
fn make_pairs(
    py: Python<'_>,
    pairs: &Bound<'_, PyList>,
    points: &mut std::vec::IntoIter<Point>,
) -> PyResult<()> {
    loop {
        for _ in 0..SIGNALS_EVERY {
            let Some(point) = points.as_slice().first() else { return Ok(()) };
            // Python may hear of a signal in the midst of a datetime: the point stays the next one.
            let moment = moment_of(py, point.timestamp)?;
            let Some(point) = points.next() else { return Ok(()) };
            pairs.append((moment, value_of(py, point.value)?))?;
        }
        py.check_signals()?;
    }
}
