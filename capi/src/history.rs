//! Histories, by path, database and snapshot.

use std::ffi::c_char;

use synadb_core::History;

use crate::arrow::{self, ArrowArray, ArrowArrayStream, ArrowSchema, array_call, stream_call};
use crate::classic::on_path;
use crate::db::{on_db, syna_db};
use crate::input::{self, Out};
use crate::options::{self, syna_history_options};
use crate::snapshot::{on_snapshot, syna_snapshot};
use crate::status::{Result, pointer, status};
use crate::values::{Keys, check_key};

fn asked(db: &impl Keys, key: &str, options: syna_history_options) -> Result<History> {
    options.narrow(db.history_of(check_key(key)?)?)
}

/// # Safety
///
/// As for [`input::path`] and [`input::text`].
unsafe fn asked_by_path(
    path: *const c_char,
    key: *const c_char,
    options: syna_history_options,
) -> Result<History> {
    // SAFETY: by the contract above.
    unsafe { on_path(path, |db| asked(db, input::text(key)?, options)) }
}

/// # Safety
///
/// As for [`input::text_of_len`].
unsafe fn asked_by_db(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    options: syna_history_options,
) -> Result<History> {
    // SAFETY: by the contract above.
    let key = unsafe { input::text_of_len(key, key_len) }?;
    on_db(db, |db| asked(db, key, options))
}

/// # Safety
///
/// As for [`input::text_of_len`].
unsafe fn asked_by_snapshot(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    options: syna_history_options,
) -> Result<History> {
    // SAFETY: by the contract above.
    let key = unsafe { input::text_of_len(key, key_len) }?;
    on_snapshot(snapshot, |snapshot| asked(snapshot, key, options))
}

/// A call that hands out the bytes of an Arrow IPC format.
///
/// # Safety
///
/// As for [`Out::new`].
unsafe fn ipc_call(
    name: &'static str,
    format: i32,
    out: *mut *mut u8,
    out_len: *mut usize,
    history: impl FnOnce() -> Result<History>,
) -> i32 {
    // SAFETY: by the contract above.
    let (out, out_len) = unsafe { (Out::new(out, std::ptr::null_mut()), Out::new(out_len, 0)) };
    status(name, || {
        out.require()?;
        out_len.require()?;
        out.set(arrow::ipc(&history()?, format, &out_len)?);
        Ok(())
    })
}

/// Exports the points that `options` ask for (NULL: all of them) as one struct array with the fields
/// `timestamp` (timestamp[us, UTC], no nulls) and `value` (nullable, of the type that the options and the key's kinds ask
/// for): Arrow C Data Interface. Where the points lie in one piece of the file or were read before,
/// nothing is copied: the buffers point there. They are read-only.
///
/// Owned by the caller once the call succeeds: array and schema are each released by their own
/// `release`, once, by any thread, in any order, also after the database was closed. Before any work
/// both are marked released (`release` is NULL), and so they are on errors. Threads: any.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_history_export(
    path: *const c_char,
    key: *const c_char,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_history_export", out_array, out_schema, || {
            Ok(asked_by_path(path, key, options::read(options)?)?.read()?)
        })
    }
}

/// Exports the points that `options` ask for as a stream of record batches of about a million rows or
/// 64 MiB each, or one where they lie in one piece already: Arrow C Stream Interface. The stream sees
/// the commit it was made at, whatever is put or deleted meanwhile.
///
/// Owned by the caller once the call succeeds, released by its `release`; `release` is NULL before any
/// work and on errors. Its functions may be called by any thread, one at a time. Batches stay valid
/// after the stream and the database are gone; `get_next` after the database was closed is an error
/// (EBADF).
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_history_stream(
    path: *const c_char,
    key: *const c_char,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_history_stream", out, || {
            Ok(asked_by_path(path, key, options::read(options)?)?.stream()?)
        })
    }
}

/// Returns the points that `options` ask for as bytes of an Arrow IPC format, SYNA_IPC_STREAM or
/// SYNA_IPC_FILE, for languages without the C Data Interface. NULL on errors.
///
/// Owned by the caller: freed by `syna_free_bytes(bytes, *out_len)`. Threads: any.
/// Status in `syna_last_error()`: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_history_ipc(
    path: *const c_char,
    key: *const c_char,
    options: *const syna_history_options,
    format: i32,
    out_len: *mut usize,
) -> *mut u8 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_history_ipc", || {
            out_len.require()?;
            arrow::ipc(&asked_by_path(path, key, options::read(options)?)?, format, &out_len)
        })
    }
}

/// As `syna_history_export`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_history_export(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_db_history_export", out_array, out_schema, || {
            Ok(asked_by_db(db, key, key_len, options::read(options)?)?.read()?)
        })
    }
}

/// As `syna_history_stream`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_history_stream(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_db_history_stream", out, || {
            Ok(asked_by_db(db, key, key_len, options::read(options)?)?.stream()?)
        })
    }
}

/// As `syna_history_ipc`, in `*out`, which is NULL unless the call succeeds.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_history_ipc(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    format: i32,
    out: *mut *mut u8,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        ipc_call("syna_db_history_ipc", format, out, out_len, || {
            asked_by_db(db, key, key_len, options::read(options)?)
        })
    }
}

/// As `syna_history_export`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_history_export(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_snapshot_history_export", out_array, out_schema, || {
            Ok(asked_by_snapshot(snapshot, key, key_len, options::read(options)?)?.read()?)
        })
    }
}

/// As `syna_history_stream`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_history_stream(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_snapshot_history_stream", out, || {
            Ok(asked_by_snapshot(snapshot, key, key_len, options::read(options)?)?.stream()?)
        })
    }
}

/// As `syna_history_ipc`, in `*out`, which is NULL unless the call succeeds.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_history_ipc(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    options: *const syna_history_options,
    format: i32,
    out: *mut *mut u8,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        ipc_call("syna_snapshot_history_ipc", format, out, out_len, || {
            asked_by_snapshot(snapshot, key, key_len, options::read(options)?)
        })
    }
}
