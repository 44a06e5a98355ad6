//! Calls on whole files: flushing, rewriting, checking, rescuing.

use std::ffi::c_char;

use synadb_core::{OptimizeOptions, RetainPolicy, SynaDB};

use crate::classic::on_path;
use crate::db::{on_db, syna_db};
use crate::input;
use crate::status::{Failure, Result, status};

fn retain_policy(pattern: &str, last: u64, since: Option<i64>) -> Result<RetainPolicy> {
    match (last, since) {
        (0, None) => Err(Failure::Argument("neither `last` nor `since` says what is kept")),
        (last, None) => Ok(RetainPolicy::new().last(pattern, last)?),
        (0, Some(since)) => Ok(RetainPolicy::new().since(pattern, since)?),
        _ => Err(Failure::Argument("either `last` or `since` says what is kept, not both")),
    }
}

fn optimize(db: &SynaDB, cold: i32) -> Result<()> {
    if cold != 0 && cold != 1 {
        return Err(Failure::Argument("`cold` is neither 0 nor 1"));
    }
    db.optimize_with(&OptimizeOptions::default().with_cold(cold == 1), &mut |_| {
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Hands everything put so far to the operating system, so that other processes see it and the end of
/// this process does not lose it. Does something with BUFFERED only. Threads: any.
/// Status: SUCCESS, PATH, READ_ONLY, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_flush(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_flush", || on_path(path, |db| Ok(db.flush()?))) }
}

/// As `syna_flush`. Status: SUCCESS, HANDLE, READ_ONLY, IO.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_flush(db: *const syna_db) -> i32 {
    status("syna_db_flush", || on_db(db, |db| Ok(db.flush()?)))
}

/// Makes everything put so far durable. Reads, and in other durabilities than FULL also puts, go on
/// meanwhile. Threads: any.
/// Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_sync(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_sync", || on_path(path, |db| Ok(db.sync()?))) }
}

/// As `syna_sync`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_sync(db: *const syna_db) -> i32 {
    status("syna_db_sync", || on_db(db, |db| Ok(db.sync()?)))
}

/// Moves a read-only database to the newest commit of its writer, over rewrites, too. One that writes
/// is always there. Threads: any.
/// Status: SUCCESS, PATH, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_refresh(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_refresh", || {
            on_path(path, |db| {
                db.refresh()?;
                Ok(())
            })
        })
    }
}

/// As `syna_refresh`. Status: SUCCESS, HANDLE, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_refresh(db: *const syna_db) -> i32 {
    status("syna_db_refresh", || {
        on_db(db, |db| {
            db.refresh()?;
            Ok(())
        })
    })
}

/// Rewrites the file with only the latest point of each key, its timestamp unchanged; all older points
/// are dropped. Puts and reads go on meanwhile, but for a short pause at the end; a crash leaves the
/// old file or the new one. Snapshots, arrays and tensors keep what they have. Threads: any.
/// Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_compact(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_compact", || {
            on_path(path, |db| {
                db.compact()?;
                Ok(())
            })
        })
    }
}

/// As `syna_compact`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_compact(db: *const syna_db) -> i32 {
    status("syna_db_compact", || {
        on_db(db, |db| {
            db.compact()?;
            Ok(())
        })
    })
}

/// Rewrites the file with all points in large chunks sorted by key. With `cold` 1 into the fewest bytes,
/// with 0 into those that are read fastest. Otherwise as `syna_compact`.
/// Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_optimize(path: *const c_char, cold: i32) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_optimize", || on_path(path, |db| optimize(db, cold))) }
}

/// As `syna_optimize`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_optimize(db: *const syna_db, cold: i32) -> i32 {
    status("syna_db_optimize", || on_db(db, |db| optimize(db, cold)))
}

/// Rewrites the file with the newest part of the histories whose keys match `pattern` (see
/// `syna_keys_with_lengths`), and all others whole: the last `last` points, or where `since` is not NULL
/// (and `last` is 0) those from the first one whose timestamp is >= `*since`. Otherwise as
/// `syna_compact`.
/// Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT, INVALID_PATH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_retain(
    path: *const c_char,
    pattern: *const c_char,
    last: u64,
    since: *const i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_retain", || {
            on_path(path, |db| {
                db.retain(&retain_policy(input::text(pattern)?, last, input::optional(since))?)?;
                Ok(())
            })
        })
    }
}

/// As `syna_retain`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT, INVALID_PATH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_retain(
    db: *const syna_db,
    pattern: *const c_char,
    last: u64,
    since: *const i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_db_retain", || {
            on_db(db, |db| {
                db.retain(&retain_policy(input::text(pattern)?, last, input::optional(since))?)?;
                Ok(())
            })
        })
    }
}

/// Reads the whole file and checks every checksum and that the entries make up a history. It hands what
/// is buffered to the operating system first, and waits for a sync under way. Threads: any; neither
/// readers nor writers wait for it.
/// Status: SUCCESS, PATH, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_verify(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_verify", || {
            on_path(path, |db| {
                db.verify()?;
                Ok(())
            })
        })
    }
}

/// As `syna_verify`. Status: SUCCESS, HANDLE, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_verify(db: *const syna_db) -> i32 {
    status("syna_db_verify", || {
        on_db(db, |db| {
            db.verify()?;
            Ok(())
        })
    })
}

/// Copies the database as of the newest commit to `to`, a path where there is nothing yet, while others
/// write. Threads: any.
/// Status: SUCCESS, PATH, INVALID_PATH, ALREADY_EXISTS, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_backup(path: *const c_char, to: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_backup", || on_path(path, |db| Ok(db.backup(input::path(to)?)?))) }
}

/// As `syna_backup`. Status: SUCCESS, HANDLE, INVALID_PATH, ALREADY_EXISTS, CORRUPT, IO, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_backup(db: *const syna_db, to: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_db_backup", || on_db(db, |db| Ok(db.backup(input::path(to)?)?))) }
}

/// Returns when the entry at `offset`, as a put returned it, is durable; syncs if nobody else does.
/// Threads: any. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, NO_SUCH_OFFSET.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_wait_durable(db: *const syna_db, offset: i64) -> i32 {
    status("syna_db_wait_durable", || {
        let offset = u64::try_from(offset).map_err(|_| Failure::Argument("no offset is < 0"))?;
        on_db(db, |db| Ok(db.wait_durable(offset)?))
    })
}

/// Copies every intact commit of the database at `from` to a new one at `to`, where there is nothing
/// yet. `from` is not changed, nor locked: stop whoever writes to it first. Threads: any.
/// Status: SUCCESS, INVALID_PATH, FILE_NOT_FOUND, ALREADY_EXISTS, NOT_A_DATABASE, UNSUPPORTED, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_salvage(from: *const c_char, to: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_salvage", || {
            synadb_core::salvage(input::path(from)?, input::path(to)?)?;
            Ok(())
        })
    }
}
