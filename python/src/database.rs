//! The database: opening, appending, looking up, rewriting.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyIterator, PyList, PyString, PyTuple, PyType};
use synadb::{
    Create, Cursor, DbConfig, Durability, OptimizeOptions, RetainPolicy, RewriteReport, SynaDB,
    SynaError, VerifyReport, WriteOptions,
};

use crate::batch::Batch;
use crate::errors::Raise;
use crate::follow::Follower;
use crate::frame::{self, Frame};
use crate::history::{Asked, History};
use crate::input;
use crate::keys::{list_of, of_keys};
use crate::scan::{self, Scan};
use crate::snapshot::{Snapshot, View};
use crate::sugar;
use crate::time::{end_of, stamp_of, stamp_or_now};
use crate::value::{atom_of, numpy_kind, value_of};
use crate::wait::{SIGNALS_EVERY, long, long_told, patiently};
use crate::write_batch::WriteBatch;

/// The text of a key.
pub(crate) fn key_of<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    match key.cast::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) => {
            let name = key.get_type().name()?;
            Err(PyTypeError::new_err(format!("a key is a str, not {name}")))
        }
    }
}

/// A path as Python writes it.
pub(crate) fn path_of(path: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let decoded = path.py().import(intern!(path.py(), "os"))?.call_method1("fsdecode", (path,))?;
    Ok(decoded.extract::<OsString>()?.into())
}

/// A database as Python objects hold it. In a forked child a reader opens it for itself.
#[derive(Clone)]
pub(crate) struct Source {
    db: Arc<ArcSwap<SynaDB>>,
    in_memory: bool,
}

impl Source {
    pub(crate) fn new(db: SynaDB, in_memory: bool) -> Source {
        Source { db: Arc::new(ArcSwap::from_pointee(db)), in_memory }
    }

    /// The handle of this process.
    pub(crate) fn handle(&self, py: Python<'_>) -> PyResult<SynaDB> {
        let db = self.db.load();
        if !db.is_forked() || !db.is_read_only() {
            // A writer's, in a child, says so itself.
            return Ok(SynaDB::clone(&db));
        }
        drop(db);
        let forked = self.db.load_full();
        let again = self.reopened_at(py, || forked.cursor())?;
        self.db.store(Arc::new(again.clone()));
        Ok(again)
    }

    /// In a forked child: a handle of its own at the commit that the parent's object saw.
    pub(crate) fn reopened_at(
        &self,
        py: Python<'_>,
        cursor: impl FnOnce() -> synadb::Result<Cursor> + Send,
    ) -> PyResult<SynaDB> {
        let db = self.db.load_full();
        if !db.is_read_only() || self.in_memory {
            return Err(SynaError::ForkedHandle).raise();
        }
        py.detach(|| SynaDB::open_read_only_at(db.resolved_path(), &cursor()?)).raise()
    }

    /// The path by which another process finds the file.
    pub(crate) fn path_for_pickle<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.in_memory {
            return Err(PyTypeError::new_err("a database in memory cannot be pickled"));
        }
        Ok(self.db.load().resolved_path().as_os_str().into_pyobject(py)?.into_any())
    }

    /// A cursor as text, when what a writer holds back is in the file.
    pub(crate) fn flushed_cursor(
        &self,
        py: Python<'_>,
        cursor: impl FnOnce() -> synadb::Result<Cursor> + Send,
    ) -> PyResult<String> {
        let db = self.handle(py)?;
        let cursor = py.detach(|| {
            if !db.is_read_only() {
                db.flush()?;
            }
            cursor()
        });
        Ok(cursor.raise()?.to_string())
    }
}

/// An open database: one append-only file of `key -> history`.
///
/// `synadb.open(path)` makes one. It is a context manager, and safe to share between threads. In one
/// process a second open of the same file is the same database.
#[pyclass(name = "SynaDB", frozen, mapping, module = "synadb", weakref)]
pub(crate) struct Database {
    source: Source,
    mode: &'static str,
}

impl Database {
    pub(crate) fn reading(db: SynaDB) -> Database {
        Database { source: Source::new(db, false), mode: "r" }
    }

    /// The newest commit.
    fn view(&self, py: Python<'_>) -> PyResult<View> {
        Ok(View::new(self.source.clone(), self.ask(py, SynaDB::snapshot)?))
    }

    /// Asks something that does not take long.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&SynaDB) -> synadb::Result<T> + Send,
    ) -> PyResult<T> {
        let db = self.source.handle(py)?;
        py.detach(|| question(&db)).raise()
    }

    /// Does something that may.
    fn wait<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&SynaDB) -> synadb::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let db = self.source.handle(py)?;
        long(py, move || work(&db))?.raise()
    }

    /// Rewrites, telling `progress`.
    fn rewrite<'py>(
        &self,
        py: Python<'py>,
        progress: Option<&Bound<'py, PyAny>>,
        work: impl FnOnce(
            &SynaDB,
            &mut dyn FnMut(synadb::Progress) -> std::ops::ControlFlow<()>,
        ) -> synadb::Result<RewriteReport>
        + Send
        + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        let db = self.source.handle(py)?;
        let told = told_of(py, progress)?;
        let report = long_told(py, told.as_ref(), move |progress| work(&db, progress))?.raise()?;
        let fields = PyDict::new(py);
        fields.set_item("bytes_before", report.bytes_before)?;
        fields.set_item("bytes_after", report.bytes_after)?;
        fields.set_item("keys", report.keys)?;
        fields.set_item("points", report.points)?;
        sugar::record(py, "RewriteReport", &fields)
    }
}

/// Commits a batch: a small one at once where that need not wait, else without the interpreter.
pub(crate) fn committed(py: Python<'_>, batch: synadb::Batch) -> PyResult<u64> {
    if batch.len() > SIGNALS_EVERY {
        return long(py, move || batch.commit())?.raise();
    }
    match batch.try_commit().raise()? {
        Ok(offset) => Ok(offset),
        Err(batch) => py.detach(|| batch.commit()).raise(),
    }
}

/// What is to be told of progress: a callable, or a bar for True.
fn told_of<'py>(
    py: Python<'py>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match progress {
        None => Ok(None),
        Some(progress) if progress.is_callable() => Ok(Some(progress.clone())),
        Some(progress) if progress.is_truthy()? => {
            sugar::call(py, "synadb._progress", "bar", ()).map(Some)
        }
        Some(_) => Ok(None),
    }
}

#[pymethods]
impl Database {
    #[new]
    #[pyo3(signature = (path, *, mode = "a", durability = "full", buffer_size_bytes = 262_144,
        buffer_interval_ms = 100, enable_delta = true, enable_compression = true,
        tail_budget_bytes = 67_108_864, column_cache_bytes = 268_435_456, buffer_pool_bytes = 268_435_456,
        refresh_interval_ms = 1, allow_network_fs = false, auto_optimize = false,
        auto_optimize_min_bytes = 268_435_456))]
    #[expect(clippy::too_many_arguments, reason = "the options of the library, by their names")]
    fn new(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        mode: &str,
        durability: &str,
        buffer_size_bytes: usize,
        buffer_interval_ms: u64,
        enable_delta: bool,
        enable_compression: bool,
        tail_budget_bytes: usize,
        column_cache_bytes: usize,
        buffer_pool_bytes: usize,
        refresh_interval_ms: u64,
        allow_network_fs: bool,
        auto_optimize: bool,
        auto_optimize_min_bytes: u64,
    ) -> PyResult<Database> {
        let durability = match durability {
            "full" => Durability::Full,
            "os" => Durability::Os,
            "buffered" => Durability::Buffered {
                size_bytes: buffer_size_bytes,
                interval_ms: buffer_interval_ms,
            },
            other => {
                return Err(PyValueError::new_err(format!(
                    "durability={other:?}: it is one of full, os, buffered"
                )));
            }
        };
        let (mode, create) = match mode {
            "r" => ("r", None),
            "r+" => ("r+", Some(Create::Never)),
            "a" => ("a", Some(Create::IfMissing)),
            "x" => ("x", Some(Create::New)),
            other => {
                return Err(PyValueError::new_err(format!(
                    "mode={other:?}: it is 'r' to read, 'r+' to write what exists, 'a' to write what \
                     exists or is made, or 'x' to make what must not exist"
                )));
            }
        };
        let config = DbConfig::default()
            .with_durability(durability)
            .with_enable_delta(enable_delta)
            .with_enable_compression(enable_compression)
            .with_tail_budget_bytes(tail_budget_bytes)
            .with_column_cache_bytes(column_cache_bytes)
            .with_buffer_pool_bytes(buffer_pool_bytes)
            .with_refresh_interval_ms(refresh_interval_ms)
            .with_allow_network_fs(allow_network_fs)
            .with_auto_optimize(auto_optimize)
            .with_auto_optimize_min_bytes(auto_optimize_min_bytes);
        if path.cast::<PyString>().is_ok_and(|path| path == ":memory:") {
            if matches!(mode, "r" | "r+") {
                return Err(PyValueError::new_err("a database in memory is always a new one"));
            }
            let db = SynaDB::in_memory_with(config).raise()?;
            return Ok(Database { source: Source::new(db, true), mode });
        }
        let path = path_of(path)?;
        let db = long(py, move || match create {
            None => SynaDB::open_read_only_with(path, config),
            Some(create) => SynaDB::with_config(path, config.with_create(create)),
        })?;
        Ok(Database { source: Source::new(db.raise()?, false), mode })
    }

    /// The path as it was given.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.source.in_memory {
            return Ok(PyString::new(py, ":memory:").into_any());
        }
        Ok(self.source.db.load().path().as_os_str().into_pyobject(py)?.into_any())
    }

    /// "r", "r+", "a" or "x".
    #[getter]
    fn mode(&self) -> &str {
        self.mode
    }

    /// "full", "os" or "buffered".
    #[getter]
    fn durability(&self) -> &str {
        match self.source.db.load().config().durability {
            Durability::Os => "os",
            Durability::Buffered { .. } => "buffered",
            _ => "full",
        }
    }

    /// Whether the handle refuses to write.
    #[getter]
    fn read_only(&self) -> bool {
        self.source.db.load().is_read_only()
    }

    /// All entries below this offset are durable.
    #[getter]
    fn durable_offset(&self) -> u64 {
        self.source.db.load().durable_offset()
    }

    /// What opening found, and what it cut.
    #[getter]
    fn recovery<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let report = self.source.db.load().recovery_report();
        let fields = PyDict::new(py);
        fields.set_item("entries", report.entries)?;
        fields.set_item("bytes_scanned", report.bytes_scanned)?;
        fields.set_item("from_checkpoint", report.from_checkpoint)?;
        fields.set_item("bytes_cut", report.bytes_cut)?;
        fields.set_item("bytes_rewritten", report.bytes_rewritten)?;
        fields.set_item("reason", report.reason)?;
        let torn = report.torn_copy.as_deref().map(Path::as_os_str);
        fields.set_item("torn_copy", torn)?;
        sugar::record(py, "RecoveryReport", &fields)
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
        match self.close(py) {
            // What went wrong first is what counts; and who has closed it himself is done.
            Err(error) if exc_type.is_none() && !is_closed(py, &error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Closes the database.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.source.handle(py) {
            Ok(db) => py.detach(|| db.close()).raise(),
            // A reader that a forked child cannot open for itself: it has nothing to close.
            Err(_) => Ok(()),
        }
    }

    /// Appends a value; returns the offset of its entry.
    #[pyo3(signature = (key, value, timestamp = None, *, floor = false))]
    fn append(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<u64> {
        let (key, value) = (key_of(key)?, atom_of(value)?);
        let timestamp = stamp_or_now(timestamp, floor)?;
        let db = self.source.db.load();
        match db.try_append_at(key, timestamp, &value) {
            Ok(Some(offset)) => Ok(offset),
            Ok(None) => py.detach(|| db.append_at(key, timestamp, value)).raise(),
            Err(error) => Err(error).raise(),
        }
    }

    /// Appends many points of one key as one commit; returns the offset of its first entry.
    #[pyo3(signature = (key, values, timestamps = None, *, floor = false))]
    fn append_batch(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        timestamps: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<u64> {
        let points = input::Points::of(key_of(key)?, values, timestamps, floor)?;
        self.wait(py, move |db| points.append(db))
    }

    /// Appends one sample of many keys as one commit; returns the offset of its first entry.
    #[pyo3(signature = (row, timestamp = None, *, floor = false))]
    fn append_row(
        &self,
        py: Python<'_>,
        row: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
        floor: bool,
    ) -> PyResult<u64> {
        let timestamp = stamp_or_now(timestamp, floor)?;
        let db = self.source.handle(py)?;
        let mut batch = db.batch();
        let items = row.getattr(intern!(py, "items")).map_err(|_| {
            let name =
                row.get_type().name().map_or_else(|_| "it".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("a row is a dict of keys and values, not {name}"))
        })?;
        for item in patiently(py, items.call0()?.try_iter()?) {
            let item = item??;
            let (key, value) = (item.get_item(0)?, item.get_item(1)?);
            batch.append_at(key_of(&key)?, timestamp, atom_of(&value)?).raise()?;
        }
        committed(py, batch)
    }

    /// An atomic batch over any keys, as a context manager.
    fn batch(&self, py: Python<'_>) -> PyResult<WriteBatch> {
        Ok(WriteBatch::new(self.source.handle(py)?))
    }

    /// Writes rows in the long form.
    #[pyo3(signature = (data, *, key_column = "key", time_column = "timestamp",
        value_column = "value", atomic = false, floor = false, write_budget_bytes = 1_073_741_824))]
    #[expect(clippy::too_many_arguments, reason = "the options of a write, by their names")]
    fn write<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        key_column: &str,
        time_column: &str,
        value_column: &str,
        atomic: bool,
        floor: bool,
        write_budget_bytes: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = WriteOptions::default()
            .with_key_column(key_column)
            .with_time_column(time_column)
            .with_value_column(value_column)
            .with_atomic(atomic)
            .with_floor(floor)
            .with_write_budget_bytes(write_budget_bytes);
        input::write(py, self.source.handle(py)?, data, false, options)
    }

    /// Writes rows in the wide form.
    #[pyo3(signature = (data, *, time_column = "timestamp", prefix = "", atomic = false,
        floor = false, write_budget_bytes = 1_073_741_824))]
    #[expect(clippy::too_many_arguments, reason = "the options of a write, by their names")]
    fn write_wide<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        time_column: &str,
        prefix: &str,
        atomic: bool,
        floor: bool,
        write_budget_bytes: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = WriteOptions::default()
            .with_time_column(time_column)
            .with_prefix(prefix)
            .with_atomic(atomic)
            .with_floor(floor)
            .with_write_budget_bytes(write_budget_bytes);
        input::write(py, self.source.handle(py)?, data, true, options)
    }

    /// Deletes a key; true if there was something to delete.
    fn delete(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = key_of(key)?;
        self.ask(py, |db| db.delete(key))
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = key_of(key)?;
        if self.ask(py, |db| db.delete(name))? {
            return Ok(());
        }
        Err(SynaError::KeyNotFound { key: name.to_owned() }).raise()
    }

    fn __setitem__(&self, _key: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "nothing is ever replaced here: db.append(key, value) adds to the history of a key",
        ))
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
        let db = self.source.db.load();
        let atom = match db.try_get(key) {
            Ok(Some(atom)) => atom,
            Ok(None) => py.detach(|| db.get(key)).raise()?,
            Err(SynaError::ForkedHandle) => self.ask(py, |db| db.get(key))?,
            Err(error) => return Err(error).raise(),
        };
        match atom {
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
        // What lies between two microseconds is as of the one before.
        let (key, when) = (key_of(key)?, stamp_of(when, true)?);
        match self.ask(py, |db| db.get_at(key, when))? {
            Some(atom) => value_of(py, atom).map(Some),
            None => Ok(default),
        }
    }

    /// The latest point of a key as (datetime, value), or None.
    fn get_point<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let key = key_of(key)?;
        let point = self.ask(py, |db| db.get_point(key))?;
        point.map(|point| crate::value::pair_of(py, point)).transpose()
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(key) = key.cast::<PyString>() else { return Ok(false) };
        let Ok(key) = key.to_str() else { return Ok(false) };
        self.ask(py, |db| db.exists(key))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let count = self.ask(py, SynaDB::key_count)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py, None)?.try_iter()
    }

    fn __bool__(&self) -> bool {
        // An empty database is not nothing.
        true
    }

    /// The live keys, or those that match a pattern, in bytewise order.
    #[pyo3(signature = (pattern = None))]
    fn keys<'py>(&self, py: Python<'py>, pattern: Option<String>) -> PyResult<Bound<'py, PyList>> {
        let db = self.source.handle(py)?;
        let keys = of_keys(py, db.key_count().raise()?, move || match pattern {
            Some(pattern) => db.keys_matching(&pattern),
            None => db.keys(),
        })?;
        list_of(py, keys)
    }

    /// The kinds that occur in the history of a key.
    fn types(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Vec<&'static str>> {
        let key = key_of(key)?.to_owned();
        let kinds = self.wait(py, move |db| db.types(&key))?;
        Ok(kinds.into_iter().map(synadb::AtomKind::name).collect())
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<History> {
        let key = key_of(key)?;
        let history = self.ask(py, |db| db.history(key))?;
        Ok(History::new(self.source.clone(), history, Asked::default()))
    }

    /// The history of a key.
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
        let history = self.ask(py, |db| db.history(key))?;
        let len = || py.detach(|| history.len()).raise();
        let asked = Asked::of(start, end, rows, as_type, on_mismatch, order, len)?;
        Ok(History::new(self.source.clone(), history, asked))
    }

    /// A view of the newest commit that never changes.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        self.view(py).map(Snapshot::new)
    }

    /// A read-only handle on the same file, also in a forked child.
    fn reader(&self, py: Python<'_>) -> PyResult<Database> {
        if self.source.in_memory {
            return Err(PyValueError::new_err("a database in memory has no other readers"));
        }
        let path = self.source.db.load().resolved_path().to_owned();
        let db = long(py, move || SynaDB::open_read_only(path))?;
        Ok(Database::reading(db.raise()?))
    }

    /// Follows keys: the commits that change them, in order.
    #[pyo3(signature = (keys = None, *, start = None, timeout = None))]
    fn follow(
        &self,
        py: Python<'_>,
        keys: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Follower> {
        Follower::new(py, &self.source, keys, start, timeout)
    }

    /// The latest point of every key that matches, as columns.
    #[pyo3(signature = (pattern = "*"))]
    fn latest(&self, py: Python<'_>, pattern: &str) -> PyResult<Batch> {
        let pattern = pattern.to_owned();
        self.wait(py, move |db| db.latest_batch(&pattern)).map(Batch::new)
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
        Scan::new(py, self.view(py)?, pattern.to_owned(), asked)
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
        Frame::new(py, self.view(py)?, keys, asked)
    }

    /// Hands everything appended so far to the operating system.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.wait(py, SynaDB::flush)
    }

    /// Makes everything appended so far durable.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.wait(py, SynaDB::sync)
    }

    /// Returns when the entry at an offset, as an append returned it, is durable.
    fn wait_durable(&self, py: Python<'_>, offset: u64) -> PyResult<()> {
        self.wait(py, move |db| db.wait_durable(offset))
    }

    /// Writes an image of the index, so that the next opening is faster.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<()> {
        self.wait(py, SynaDB::checkpoint)
    }

    /// Moves a read-only handle to the newest commit; true if it moved.
    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.wait(py, SynaDB::refresh)
    }

    /// Returns cached memory to the system; how many bytes of buffers that was.
    fn trim(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, SynaDB::trim)
    }

    /// Rewrites the file with the latest point of each key.
    #[pyo3(signature = (*, progress = None))]
    fn compact<'py>(
        &self,
        py: Python<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.rewrite(py, progress, |db, told| db.compact_with(told))
    }

    /// Rewrites the file with all live history in large chunks.
    #[pyo3(signature = (*, cold = false, progress = None))]
    fn optimize<'py>(
        &self,
        py: Python<'py>,
        cold: bool,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = OptimizeOptions::default().with_cold(cold);
        self.rewrite(py, progress, move |db, told| db.optimize_with(&options, told))
    }

    /// Rewrites the file with the newest part of histories.
    #[pyo3(signature = (policy, *, progress = None))]
    fn retain<'py>(
        &self,
        py: Python<'py>,
        policy: &Bound<'py, PyAny>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let policy = policy_of(policy)?;
        self.rewrite(py, progress, move |db, told| db.retain_with(&policy, told))
    }

    /// Reads the whole file and checks every checksum.
    #[pyo3(signature = (*, progress = None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let db = self.source.handle(py)?;
        let told = told_of(py, progress)?;
        let report = long_told(py, told.as_ref(), move |progress| {
            db.verify_with(&mut |at| {
                let _ = progress(at);
            })
        })?;
        let VerifyReport { bytes, entries, chunks, blocks, points, keys, .. } = report.raise()?;
        let fields = PyDict::new(py);
        for (name, value) in [
            ("bytes", bytes),
            ("entries", entries),
            ("chunks", chunks),
            ("blocks", blocks),
            ("points", points),
            ("keys", keys),
        ] {
            fields.set_item(name, value)?;
        }
        sugar::record(py, "VerifyReport", &fields)
    }

    /// Copies everything up to the newest commit to a new file.
    fn backup(&self, py: Python<'_>, to: &Bound<'_, PyAny>) -> PyResult<()> {
        let to = path_of(to)?;
        self.wait(py, move |db| db.backup(to))
    }

    /// Figures about the database.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats_record(py, &self.wait(py, SynaDB::stats)?)
    }

    fn __repr__(&self) -> String {
        let db = self.source.db.load();
        let path = db.path().display().to_string();
        let path = if self.source.in_memory { ":memory:" } else { &path };
        format!("<synadb.SynaDB {path:?}, mode {:?}>", self.mode)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let path = self.source.path_for_pickle(py)?;
        let db = self.source.handle(py)?;
        let cursor = self.source.flushed_cursor(py, move || db.snapshot()?.cursor())?;
        sugar::reduced(py, "database", (path, cursor).into_pyobject(py)?)
    }

    /// Opens for reading what a file held at a cursor: unpickling.
    #[classmethod]
    fn _open_at(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        cursor: &str,
    ) -> PyResult<Database> {
        let path = path_of(path)?;
        let cursor: Cursor = cursor.parse().raise()?;
        let db = long(py, move || SynaDB::open_read_only_at(path, &cursor))?;
        Ok(Database::reading(db.raise()?))
    }

    /// A history as it was asked for: unpickling.
    fn _history_again(
        &self,
        py: Python<'_>,
        key: &str,
        asked: &Bound<'_, PyAny>,
    ) -> PyResult<History> {
        let history = self.ask(py, |db| db.history(key))?;
        Ok(History::new(self.source.clone(), history, Asked::from_tuple(asked)?))
    }
}

fn is_closed(py: Python<'_>, error: &PyErr) -> bool {
    error.get_type(py).name().is_ok_and(|name| name == "ClosedError")
}

/// `{"debug/*": 1000, "*": datetime(...)}`: by pattern, the last rows or those from a time on.
fn policy_of(policy: &Bound<'_, PyAny>) -> PyResult<RetainPolicy> {
    let wrong = || {
        PyTypeError::new_err(
            "a policy is a dict of patterns, each with the number of rows that are kept or with the time \
             from which on they are, as in {'debug/*': 1000, '*': datetime(2013, 1, 1)}",
        )
    };
    let rules = policy.call_method0(intern!(policy.py(), "items")).map_err(|_| wrong())?;
    let mut policy = RetainPolicy::new();
    for rule in rules.try_iter()? {
        let (pattern, keep): (Bound<'_, PyAny>, Bound<'_, PyAny>) = rule?.extract()?;
        let pattern = pattern.cast::<PyString>().map_err(|_| wrong())?.to_str()?.to_owned();
        // NumPy's integers and enumerations are counts as well, never microseconds; a bool is neither.
        let is_count = !keep.is_instance_of::<PyBool>()
            && (keep.is_instance_of::<PyInt>() || matches!(numpy_kind(&keep)?, Some('i' | 'u')));
        policy = if is_count {
            let count = keep.extract().map_err(|_| {
                PyValueError::new_err(format!("{pattern:?}: rows to keep are a number from 0 on"))
            })?;
            policy.last(&pattern, count).raise()?
        } else {
            policy.since(&pattern, end_of(&keep)?).raise()?
        };
    }
    Ok(policy)
}

fn stats_record<'py>(py: Python<'py>, stats: &synadb::Stats) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    for (name, value) in [
        ("keys", stats.keys),
        ("rows", stats.rows),
        ("file_bytes", stats.file_bytes),
        ("log_bytes", stats.log_bytes),
        ("live_bytes", stats.live_bytes),
        ("replaced_bytes", stats.replaced_bytes),
        ("reclaimable_bytes", stats.reclaimable_bytes),
        ("tails", stats.tails),
        ("tail_points", stats.tail_points),
        ("tail_bytes", stats.tail_bytes),
        ("chunks", stats.chunks),
        ("durable_offset", stats.durable_offset),
        ("syncs", stats.syncs),
        ("cuts", stats.cuts),
        ("generation", stats.generation),
        ("auto_optimizes", stats.auto_optimizes),
        ("column_cache_bytes", stats.column_cache_bytes),
        ("column_cache_hits", stats.column_cache_hits),
        ("column_cache_misses", stats.column_cache_misses),
        ("buffer_pool_used_bytes", stats.buffer_pool_used_bytes),
        ("buffer_pool_idle_bytes", stats.buffer_pool_idle_bytes),
        ("mapped_bytes", stats.mapped_bytes),
        ("cached_bytes", stats.cached_bytes),
        ("decoded_bytes", stats.decoded_bytes),
        ("copied_bytes", stats.copied_bytes),
    ] {
        fields.set_item(name, value)?;
    }
    fields.set_item("medium", stats.medium)?;
    fields.set_item("auto_optimize_error", stats.auto_optimize_error.as_deref())?;
    let encodings = PyDict::new(py);
    for usage in &stats.encodings {
        encodings.set_item(usage.name, (usage.stored_bytes, usage.decoded_bytes))?;
    }
    fields.set_item("encodings", encodings)?;
    sugar::record(py, "DatabaseStats", &fields)
}

/// Copies every intact commit of a damaged file to a new one.
#[pyfunction]
#[pyo3(signature = (source, target, *, progress = None))]
pub(crate) fn salvage<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    target: &Bound<'py, PyAny>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (from, to) = (path_of(source)?, path_of(target)?);
    let told = told_of(py, progress)?;
    let report = long_told(py, told.as_ref(), move |progress| {
        synadb::salvage_with(from, to, &mut |at| {
            let _ = progress(at);
        })
    })?;
    let report = report.raise()?;
    let fields = PyDict::new(py);
    fields.set_item("commits", report.commits)?;
    fields.set_item("entries", report.entries)?;
    fields.set_item("points", report.points)?;
    fields.set_item("keys", report.keys)?;
    let missing = report.missing.iter().map(|range| (range.offset, range.len, range.what));
    fields.set_item("missing", PyList::new(py, missing.collect::<Vec<_>>())?)?;
    sugar::record(py, "SalvageReport", &fields)
}

/// Runs one command line of `syna`; returns the exit code.
#[pyfunction]
pub(crate) fn _main(py: Python<'_>, args: Vec<OsString>) -> i32 {
    py.detach(|| synadb::cli::run(args))
}
