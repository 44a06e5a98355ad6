//! From the library's errors to Python's exceptions, which `synadb/_errors.py` defines.

use std::path::Path;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};
use synadb::{SharedIo, SynaError};

/// Turns results of the library into Python's.
pub(crate) trait Raise<T> {
    /// The value, or the exception that stands for the error.
    fn raise(self) -> PyResult<T>;
}

impl<T> Raise<T> for synadb::Result<T> {
    fn raise(self) -> PyResult<T> {
        self.map_err(|error| Python::attach(|py| raised(py, error)))
    }
}

/// The exception that stands for an error.
pub(crate) fn raised(py: Python<'_>, error: SynaError) -> PyErr {
    if let SynaError::Arrow { source } = &error
        && let Some(own) = raised_by_python(py, source)
    {
        return own;
    }
    try_raised(py, error).unwrap_or_else(|error| error)
}

/// The exception of a Python-backed stream, which Arrow only carried.
fn raised_by_python(py: Python<'_>, error: &arrow_schema::ArrowError) -> Option<PyErr> {
    let arrow_schema::ArrowError::ExternalError(inner) = error else { return None };
    inner.downcast_ref::<PyErr>().map(|error| error.clone_ref(py))
}

fn try_raised(py: Python<'_>, error: SynaError) -> PyResult<PyErr> {
    let facts = PyDict::new(py);
    let class = class_and_facts(&error, &facts)?;
    let message = match &error {
        SynaError::ForkedHandle => "this object belongs to the parent process, which goes on with it; \
             in a forked child read by what db.reader() opens, or open the database for writing when \
             the parent has closed it"
            .to_owned(),
        SynaError::ReadOnly => {
            "this handle is for reading only: open the file in mode \"r+\" or \"a\" to write".to_owned()
        }
        error => error.to_string(),
    };
    let cause = match error {
        SynaError::WriteStopped { source, .. } => Some(raised(py, *source).into_value(py)),
        _ => None,
    };
    let errors = errors(py)?;
    let class = errors.getattr(class)?;
    let made = errors.call_method1(intern!(py, "_made"), (class, message, facts, cause))?;
    Ok(PyErr::from_value(made))
}

fn errors(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("synadb._errors").map(Bound::unbind);
    ERRORS.get_or_try_init(py, import).map(|module| module.bind(py))
}

/// What the operating system said, as an `OSError` tells it.
fn io_facts(facts: &Bound<'_, PyDict>, path: &Path, errno: Option<i32>) -> PyResult<()> {
    facts.set_item("errno", errno)?;
    facts.set_item("filename", path.as_os_str())
}

fn errno_of(source: &SharedIo) -> Option<i32> {
    source.raw_os_error()
}

/// The numbers that Python's subclasses of `OSError` stand for, the same on every Unix.
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const EISDIR: i32 = 21;

/// The name of the exception class; its attributes go to `facts`.
fn class_and_facts(error: &SynaError, facts: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    let path_fact = |path: &Path| facts.set_item("path", path.as_os_str());
    Ok(match error {
        SynaError::NotADatabase { path, .. } | SynaError::NotARegularFile { path } => {
            path_fact(path)?;
            "NotADatabaseError"
        }
        SynaError::IsDirectory { path } => {
            io_facts(facts, path, Some(EISDIR))?;
            "IoError"
        }
        SynaError::NotFound { path } => {
            io_facts(facts, path, Some(ENOENT))?;
            "IoError"
        }
        SynaError::AlreadyExists { path } => {
            io_facts(facts, path, Some(EEXIST))?;
            "IoError"
        }
        SynaError::Io { path, source, .. } => {
            // What this library reports on its own account has a kind, but no number.
            let errno = errno_of(source).or(match source.kind() {
                std::io::ErrorKind::NotFound => Some(ENOENT),
                std::io::ErrorKind::AlreadyExists => Some(EEXIST),
                _ => None,
            });
            io_facts(facts, path, errno)?;
            "IoError"
        }
        SynaError::UnsupportedVersion { path, .. } => {
            path_fact(path)?;
            "UnsupportedError"
        }
        SynaError::UnsupportedFeature { offset, .. } => {
            facts.set_item("offset", offset)?;
            "UnsupportedError"
        }
        SynaError::Corrupt { offset, last_good, next_good, .. } => {
            facts.set_item("offset", offset)?;
            facts.set_item("last_good", last_good)?;
            facts.set_item("next_good", next_good)?;
            "CorruptError"
        }
        SynaError::TornTailTooLong { offset, .. } => {
            facts.set_item("offset", offset)?;
            facts.set_item("last_good", offset)?;
            facts.set_item("next_good", None::<u64>)?;
            "CorruptError"
        }
        SynaError::Locked { path, pid } => {
            path_fact(path)?;
            facts.set_item("pid", pid)?;
            "LockedError"
        }
        SynaError::OptionsConflict { path, option } => {
            path_fact(path)?;
            facts.set_item("option", option)?;
            "OptionsConflictError"
        }
        SynaError::NoSuchOffset { offset, end } => {
            facts.set_item("offset", offset)?;
            facts.set_item("end", end)?;
            "NoSuchOffsetError"
        }
        SynaError::InvalidOption { option, .. } => {
            facts.set_item("option", option)?;
            "InvalidOptionError"
        }
        SynaError::Detached { path } => {
            path_fact(path)?;
            "DetachedError"
        }
        SynaError::ForkedHandle => "ForkedError",
        SynaError::NotOpen { .. } | SynaError::Closed => "ClosedError",
        SynaError::Poisoned { source, .. } => {
            facts.set_item("errno", errno_of(source))?;
            "PoisonedError"
        }
        SynaError::ReadOnly => "ReadOnlyError",
        SynaError::Busy => "BusyError",
        SynaError::Cancelled => "CancelledError",
        SynaError::CursorLost { cursor, .. } => {
            facts.set_item("cursor", cursor)?;
            "CursorLostError"
        }
        SynaError::EmptyKey | SynaError::KeyTooLong { .. } => "InvalidKeyError",
        SynaError::DuplicateKey { key } => {
            facts.set_item("key", key)?;
            "InvalidKeyError"
        }
        SynaError::FrameTooLarge { max, .. }
        | SynaError::ValueTooLarge { max, .. }
        | SynaError::BatchTooLarge { max, .. }
        | SynaError::ColumnTooLarge { max, .. } => {
            facts.set_item("max", max)?;
            "TooLargeError"
        }
        SynaError::LengthMismatch { timestamps, values } => {
            facts.set_item("timestamps", timestamps)?;
            facts.set_item("values", values)?;
            "LengthMismatchError"
        }
        SynaError::KeyNotFound { key } => {
            facts.set_item("key", key)?;
            "KeyNotFoundError"
        }
        SynaError::TypeMismatch { key, expected, found } => {
            facts.set_item("key", key)?;
            facts.set_item("expected", expected.name())?;
            facts.set_item("found", found.name())?;
            "TypeMismatchError"
        }
        SynaError::InvalidPattern { pattern, .. } => {
            facts.set_item("pattern", pattern)?;
            "InvalidPatternError"
        }
        SynaError::NetworkFileSystem { path, .. } => {
            path_fact(path)?;
            "NetworkFileSystemError"
        }
        SynaError::HardLinked { path, .. } => {
            path_fact(path)?;
            "HardLinkedError"
        }
        SynaError::OutOfMemory { bytes } => {
            facts.set_item("bytes", bytes)?;
            "OutOfMemoryError"
        }
        SynaError::Serialization { .. } => "SerializationError",
        SynaError::ColumnNotFound { column, .. } | SynaError::DuplicateColumn { column } => {
            facts.set_item("column", column)?;
            "InvalidDataError"
        }
        SynaError::UnsupportedColumn { column, .. } => {
            facts.set_item("column", column)?;
            "UnsupportedColumnError"
        }
        SynaError::InvalidCell { column, row, .. } => {
            facts.set_item("column", column)?;
            facts.set_item("row", row)?;
            "InvalidDataError"
        }
        SynaError::WriteStopped { rows, commits, .. } => {
            facts.set_item("rows", rows)?;
            facts.set_item("commits", commits)?;
            "WriteStoppedError"
        }
        SynaError::Arrow { .. } => "ArrowError",
        // A variant of a newer library. The test that walks all of them fails before it ships.
        _ => "SynaError",
    })
}

/// One exception for every variant of the library's error, by its name: what a test walks.
#[pyfunction]
pub(crate) fn _one_of_each_error(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for error in synadb::one_of_each() {
        all.set_item(error.variant(), raised(py, error).into_value(py))?;
    }
    Ok(all)
}

/// A call that came to an end which should not exist.
pub(crate) fn bug(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("a bug in synadb: {what}"))
}
