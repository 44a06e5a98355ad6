//! Work that takes long: without the interpreter, and so that Ctrl-C ends it.
//!
//! The interpreter runs signal handlers on its main thread only, so a long call that is made there does
//! its work on a thread of its own, while the main thread looks for signals. What a handler raises
//! (KeyboardInterrupt) leaves the call at once. Work that can be cancelled is; a read, a check or a
//! commit that was on its way ends in the background, and its result is dropped.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use synadb::Progress;

/// How long signals wait for a look. Together with getting the interpreter back, far below 50 ms.
const LOOK: Duration = Duration::from_millis(15);

/// How long a cancelled rewrite is given to clean up before its caller goes on without it.
const CLEAN_UP: Duration = Duration::from_millis(15);

/// How many Python objects are made or read between two looks for signals: a fraction of a millisecond.
pub(crate) const SIGNALS_EVERY: usize = 8192;

/// The items, for work that needs the interpreter for each of them: an error takes the place of an item
/// when a signal's handler raises.
pub(crate) fn patiently<T>(
    py: Python<'_>,
    items: impl Iterator<Item = T>,
) -> impl Iterator<Item = PyResult<T>> {
    items.enumerate().map(move |(at, item)| {
        if at % SIGNALS_EVERY == SIGNALS_EVERY - 1 {
            py.check_signals()?;
        }
        Ok(item)
    })
}

/// Whether signal handlers run on this thread.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import(intern!(py, "threading"))?;
    let main = threading.call_method0(intern!(py, "main_thread"))?.getattr(intern!(py, "ident"))?;
    main.eq(threading.call_method0(intern!(py, "get_ident"))?)
}

/// A thread and what it will say.
struct Working<T> {
    result: Receiver<T>,
    thread: JoinHandle<()>,
}

impl<T: Send + 'static> Working<T> {
    /// The result, if it came in time.
    fn wait(&mut self, time: Duration) -> Option<Option<T>> {
        match self.result.recv_timeout(time) {
            Ok(result) => Some(Some(result)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(None),
        }
    }

    /// The thread ended without a result: it panicked, and the panic goes on here.
    fn panicked(self) -> PyErr {
        match self.thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => super::errors::bug("a thread ended without a result"),
        }
    }
}

fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Working<T>> {
    let (sender, result) = channel();
    let thread = thread::Builder::new().name("synadb-call".to_owned()).spawn(move || {
        // Nobody waits any more after Ctrl-C.
        let _ = sender.send(work());
    })?;
    Ok(Working { result, thread })
}

/// Does `work` without the interpreter.
pub(crate) fn long<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    if !is_main_thread(py)? {
        return Ok(py.detach(work));
    }
    let mut working = start(work)?;
    loop {
        match py.detach(|| working.wait(LOOK)) {
            Some(Some(result)) => return Ok(result),
            Some(None) => return Err(working.panicked()),
            None => py.check_signals()?,
        }
    }
}

/// As [`long`], for work on what `feed` gives one by one. That is called on this thread, without the
/// interpreter; when Ctrl-C ends the call, the work is given `interrupted` in its place.
pub(crate) fn long_fed<B: Send + 'static, T: Send + 'static>(
    py: Python<'_>,
    mut feed: impl FnMut() -> Option<B> + Send,
    interrupted: impl Fn() -> B + Send + 'static,
    work: impl FnOnce(&mut dyn Iterator<Item = B>) -> T + Send + 'static,
) -> PyResult<T> {
    if !is_main_thread(py)? {
        return Ok(py.detach(|| work(&mut std::iter::from_fn(feed))));
    }
    let (wants, mut wanted) = channel::<()>();
    let (gives, given) = channel::<Option<B>>();
    let mut working = start(move || {
        work(&mut std::iter::from_fn(|| {
            let next = wants.send(()).ok().and_then(|()| given.recv().ok());
            next.unwrap_or_else(|| Some(interrupted()))
        }))
    })?;
    loop {
        // A receiver is used by one thread at a time, so it is borrowed as a whole.
        let (wanted, gives, feed) = (&mut wanted, &gives, &mut feed);
        let fed = py.detach(move || match wanted.recv_timeout(LOOK) {
            Ok(()) => {
                // Whoever wanted it may be gone by a panic, which is told below.
                let _ = gives.send(feed());
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        });
        if !fed {
            // No more is wanted: the result comes now.
            let result = &mut working.result;
            return match py.detach(move || result.recv()) {
                Ok(result) => Ok(result),
                Err(_) => Err(working.panicked()),
            };
        }
        py.check_signals()?;
    }
}

/// As [`long`], for work that tells how far it is and can be cancelled. `told`, if it is not None, is
/// called with the bytes done and those to do.
pub(crate) fn long_told<T: Send + 'static>(
    py: Python<'_>,
    told: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> T + Send + 'static,
) -> PyResult<T> {
    let newest: Arc<Mutex<Option<(u64, u64)>>> = Arc::default();
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut working = {
        let (newest, cancelled) = (Arc::clone(&newest), Arc::clone(&cancelled));
        start(move || {
            work(&mut |progress| {
                let at = (progress.done_bytes, progress.total_bytes);
                *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
                match cancelled.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
        })?
    };
    let tell = || -> PyResult<()> {
        let at = newest.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (told, at) {
            (Some(told), Some(at)) => told.call1(at).map(|_| ()),
            _ => Ok(()),
        }
    };
    loop {
        let result = match py.detach(|| working.wait(LOOK)) {
            Some(Some(result)) => {
                tell()?;
                return Ok(result);
            }
            Some(None) => return Err(working.panicked()),
            None => py.check_signals().and_then(|()| tell()),
        };
        if let Err(error) = result {
            cancelled.store(true, Ordering::Relaxed);
            py.detach(|| working.wait(CLEAN_UP));
            return Err(error);
        }
    }
}
