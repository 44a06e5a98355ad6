//! Open databases by path: the classic calls of programs that keep no handle.
//!
//! The path's text is bound when it is opened and looked up byte for byte, whatever happens to the
//! working directory or to links since; another spelling of an open file is resolved once and then
//! bound, too. A look-up takes no lock and writes to nothing that threads share, so that no call on
//! one database waits for another; opening and closing make a new table.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use crate::SynaDB;
use crate::config::DbConfig;
use crate::error::{Result, SynaError};
use crate::fork::PerProcess;
use crate::mutex::Mutex;
use crate::storage::{FileStorage, Storage};

/// What a spelling leads to.
#[derive(Clone)]
struct Bound {
    db: SynaDB,
    /// How often it was opened by this spelling; 0 for one that was only looked up.
    opens: usize,
}

/// By the bytes of the path: `Path` itself takes `a//b` and `a/b` for the same.
type Table = HashMap<OsString, Bound, foldhash::fast::RandomState>;

#[derive(Default)]
struct Registry {
    table: ArcSwap<Table>,
    changing: Mutex<()>,
}

/// A forked child begins with an empty table: the parent's handles are not its to close.
static REGISTRY: LazyLock<PerProcess<Registry>> = LazyLock::new(PerProcess::default);

impl Registry {
    /// Puts a changed table in the place of the present one.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let one_at_a_time = self.changing.lock();
        let mut table = Table::clone(&self.table.load());
        let result = change(&mut table);
        let before = self.table.swap(Arc::new(table));
        // Handles may end with the old table, which others need not wait for.
        drop(one_at_a_time);
        drop(before);
        result
    }
}

/// How often the database is open under all of its spellings.
fn opens_of(table: &Table, db: &SynaDB) -> usize {
    table.values().filter(|bound| bound.db.is_same(db)).map(|bound| bound.opens).sum()
}

/// Opens the database at `path` with the default options, or counts one more open of it: the same
/// text leads to the same database until its last close, whatever the working directory and links are
/// by then. Only where its file was moved away, replaced or removed (its handles are `Detached`) does
/// the next open lead to what is there now, for the earlier opens as well.
///
/// # Errors
///
/// As [`SynaDB::new`].
pub fn open_db(path: impl AsRef<Path>) -> Result<()> {
    open_db_with(path, DbConfig::default())
}

/// As [`open_db`] with these options.
///
/// # Errors
///
/// As [`SynaDB::with_config`].
pub fn open_db_with(path: impl AsRef<Path>, config: DbConfig) -> Result<()> {
    let path = path.as_ref();
    // Opened outside of the table's lock: it may take as long as recovery does.
    bind(path, SynaDB::with_config(place_of(path), config)?);
    Ok(())
}

/// As [`open_db`] for reading only, as [`SynaDB::open_read_only`]. A path that is bound to a handle
/// that writes stays bound to that, and is counted.
///
/// # Errors
///
/// As [`SynaDB::open_read_only`].
pub fn open_db_read_only(path: impl AsRef<Path>) -> Result<()> {
    open_db_read_only_with(path, DbConfig::default())
}

/// As [`open_db_read_only`] with these options.
///
/// # Errors
///
/// As [`SynaDB::open_read_only_with`].
pub fn open_db_read_only_with(path: impl AsRef<Path>, config: DbConfig) -> Result<()> {
    let path = path.as_ref();
    bind(path, SynaDB::open_read_only_with(place_of(path), config)?);
    Ok(())
}

/// Where the file is that `path` is bound to: at the same text, unless the working directory or a
/// link has changed since. A file that was removed or replaced is nowhere, and the text leads to
/// what is there now.
fn place_of(path: &Path) -> PathBuf {
    let registry = REGISTRY.get();
    let table = registry.table.load();
    let elsewhere = table.get(path.as_os_str()).and_then(|bound| {
        let is_at = |place: &Path| {
            FileStorage.status(place).is_ok_and(|status| bound.db.is_file(status.identity))
        };
        let place = bound.db.resolved_path();
        if is_at(path) {
            return None;
        }
        if bound.db.is_read_only() {
            // Its writer may have rewritten the file, which is another one since.
            let _ = bound.db.refresh();
        }
        (!is_at(path) && is_at(place)).then(|| place.to_owned())
    });
    elsewhere.unwrap_or_else(|| path.to_owned())
}

/// Counts an open of `path`, which leads to `db` from now on unless it does already.
fn bind(path: &Path, db: SynaDB) {
    let surplus = REGISTRY.get().change(|table| {
        let Some(bound) = table.get_mut(path.as_os_str()) else {
            table.insert(path.into(), Bound { db, opens: 1 });
            return None;
        };
        bound.opens += 1;
        if bound.db.is_same(&db) && (db.is_read_only() || !bound.db.is_read_only()) {
            return Some(db);
        }
        // The file was replaced since it was opened, or it was open for reading until now.
        let before = std::mem::replace(&mut bound.db, db);
        if opens_of(table, &before) == 0 {
            table.retain(|_, bound| !bound.db.is_same(&before));
        }
        Some(before)
    });
    drop(surplus);
}

/// Runs `call` on the database bound to `path`. No lock is held meanwhile.
///
/// # Errors
///
/// `NotOpen` if no open database has this path; whatever `call` returns.
#[inline]
pub fn with_db<T, E: From<SynaError>>(
    path: impl AsRef<Path>,
    call: impl FnOnce(&SynaDB) -> Result<T, E>,
) -> Result<T, E> {
    let path = path.as_ref();
    let registry = REGISTRY.get();
    let table = registry.table.load();
    match table.get(path.as_os_str()) {
        Some(bound) => call(&bound.db),
        None => {
            drop(table);
            call(&bind_spelling(path)?)
        }
    }
}

/// Finds the database that is open under another spelling of `path`, and binds this one to it.
#[cold]
fn bind_spelling(path: &Path) -> Result<SynaDB> {
    let not_open = || SynaError::NotOpen { path: path.to_owned() };
    let registry = REGISTRY.get();
    if registry.table.load().is_empty() {
        return Err(not_open());
    }
    // By identity, so that a hard link leads to it, too.
    let identity = FileStorage.status(path).map_err(|_| not_open())?.identity;
    let is_it = |bound: &&Bound| bound.db.is_file(identity);
    if !registry.table.load().values().any(|bound| is_it(&bound)) {
        return Err(not_open());
    }
    registry.change(|table| {
        let db = table.values().find(is_it).map(|bound| bound.db.clone()).ok_or_else(not_open)?;
        Ok(table.entry(path.into()).or_insert(Bound { db, opens: 0 }).db.clone())
    })
}

/// Ends one open of the database bound to `path`; the last one closes it.
///
/// # Errors
///
/// `NotOpen`; as [`SynaDB::close`].
pub fn close_db(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    // Another spelling is bound first, so that there is one way to find what it counts in.
    with_db(path, |_| Result::Ok(()))?;
    let ended = REGISTRY.get().change(|table| {
        let not_open = || SynaError::NotOpen { path: path.to_owned() };
        let bound = table.get_mut(path.as_os_str()).ok_or_else(not_open)?;
        let db = bound.db.clone();
        if bound.opens > 0 {
            bound.opens -= 1;
        } else {
            // The count stands with the spelling that opened it, and any of them may close it.
            let mut others = table.values_mut().filter(|bound| bound.db.is_same(&db));
            let counted = others.find(|bound| bound.opens > 0).ok_or_else(not_open)?;
            counted.opens -= 1;
        }
        if opens_of(table, &db) > 0 {
            return Ok(Vec::new());
        }
        let ended = table.extract_if(|_, bound| bound.db.is_same(&db));
        Ok(ended.map(|(_, bound)| bound.db).collect())
    })?;
    let mut result = Ok(());
    for db in ended {
        match db.close() {
            // Spellings that were only looked up share the handle of one that was opened.
            Err(SynaError::Closed) => {}
            closed => result = result.and(closed),
        }
    }
    result
}
