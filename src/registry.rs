//! Open databases by path: the classic calls of programs that keep no handle.
//!
//! The path's text is bound when it is opened and looked up as it was written, whatever happens to
//! the working directory or to links since; another spelling of an open file is resolved once and
//! then bound, too. The table's lock is held for a look-up only: no call on one database waits for
//! another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::SynaDB;
use crate::config::DbConfig;
use crate::error::{Result, SynaError};
use crate::fork::PerProcess;
use crate::storage::{FileStorage, Storage};

struct Bound {
    db: SynaDB,
    opens: usize,
}

/// A forked child begins with an empty table: the parent's handles are not its to close.
static BOUND: LazyLock<PerProcess<Mutex<HashMap<PathBuf, Bound>>>> =
    LazyLock::new(PerProcess::default);

/// Runs `look` with the table.
fn with_table<T>(look: impl FnOnce(&mut HashMap<PathBuf, Bound>) -> T) -> T {
    look(&mut BOUND.get().lock())
}

/// Opens the database at `path` with the default options, or counts one more open of it.
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
    let db = SynaDB::with_config(path, config)?;
    let surplus = with_table(|table| match table.get_mut(path) {
        Some(bound) if bound.db.is_same(&db) => {
            bound.opens += 1;
            Some(db)
        }
        // The file was replaced since it was opened: the path leads to the new one from now on.
        Some(bound) => {
            bound.opens += 1;
            Some(std::mem::replace(&mut bound.db, db))
        }
        None => {
            table.insert(path.to_owned(), Bound { db, opens: 1 });
            None
        }
    });
    drop(surplus);
    Ok(())
}

/// Runs `call` on the database bound to `path`. No lock is held meanwhile.
///
/// # Errors
///
/// `NotOpen` if no open database has this path; whatever `call` returns.
pub fn with_db<T>(path: impl AsRef<Path>, call: impl FnOnce(&SynaDB) -> Result<T>) -> Result<T> {
    let path = path.as_ref();
    let db = match with_table(|table| table.get(path).map(|bound| bound.db.clone())) {
        Some(db) => db,
        None => bind_spelling(path)?,
    };
    call(&db)
}

/// Finds the database that is open under another spelling of `path`, and binds this one to it.
fn bind_spelling(path: &Path) -> Result<SynaDB> {
    let not_open = || SynaError::NotOpen { path: path.to_owned() };
    // By identity, so that a hard link leads to it, too.
    let identity = FileStorage.status(path).map_err(|_| not_open())?.identity;
    with_table(|table| {
        let found = table.values().find(|bound| bound.db.is_file(identity));
        let db = found.map(|bound| bound.db.clone()).ok_or_else(not_open)?;
        table.insert(path.to_owned(), Bound { db: db.clone(), opens: 0 });
        Ok(db)
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
    with_db(path, |_| Ok(()))?;
    let last = with_table(|table| {
        let resolved = table.get(path).map(|bound| bound.db.resolved_path().to_owned())?;
        // The count stands with the spelling that opened it, and any of them may close it.
        let counted = if table.get(path).is_some_and(|bound| bound.opens > 0) {
            path.to_owned()
        } else {
            let other = |(_, bound): &(&PathBuf, &Bound)| {
                bound.opens > 0 && bound.db.resolved_path() == resolved
            };
            table.iter().find(other).map(|(path, _)| path.clone())?
        };
        table.get_mut(&counted)?.opens -= 1;
        let is_same = |bound: &Bound| bound.db.resolved_path() == resolved;
        let left: usize = table.values().filter(|b| is_same(b)).map(|b| b.opens).sum();
        if left > 0 {
            return None;
        }
        let db = table.get(&counted).map(|bound| bound.db.clone());
        table.retain(|_, bound| !is_same(bound));
        db
    });
    match last {
        Some(db) => db.close(),
        None => Ok(()),
    }
}
