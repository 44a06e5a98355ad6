//! Scans: the points of many keys, one key after the other.

use std::ffi::c_char;

use crate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema, array_call, stream_call};
use crate::classic::on_path;
use crate::db::{on_db, syna_db};
use crate::input;
use crate::options::{self, syna_history_options};
use crate::snapshot::{on_snapshot, syna_snapshot};

/// Exports the points of all keys that match `pattern` (see `syna_keys_with_lengths`) as one struct
/// array, key by key in bytewise order: `key` (dictionary<int32, utf8>), `timestamp` and `value`, whose
/// type is decided over all of them. `options` are NULL or of `syna_history_export` without rows and
/// `last`. Otherwise as that.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_scan_export(
    path: *const c_char,
    pattern: *const c_char,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_scan_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let pattern = input::text(pattern)?;
            on_path(path, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.read()?))
        })
    }
}

/// As `syna_scan_export` as a stream of batches of many keys, all with one dictionary; nothing that
/// matches is a stream without batches. Otherwise as `syna_history_stream`.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_scan_stream(
    path: *const c_char,
    pattern: *const c_char,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_scan_stream", out, || {
            let options = options::read(options)?;
            let pattern = input::text(pattern)?;
            on_path(path, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.stream()?))
        })
    }
}

/// As `syna_scan_export`. Status: SUCCESS, HANDLE, INVALID_PATH, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_scan_export(
    db: *const syna_db,
    pattern: *const c_char,
    pattern_len: usize,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_db_scan_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let pattern = input::text_of_len(pattern, pattern_len)?;
            on_db(db, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.read()?))
        })
    }
}

/// As `syna_scan_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_scan_stream(
    db: *const syna_db,
    pattern: *const c_char,
    pattern_len: usize,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_db_scan_stream", out, || {
            let options = options::read(options)?;
            let pattern = input::text_of_len(pattern, pattern_len)?;
            on_db(db, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.stream()?))
        })
    }
}

/// As `syna_scan_export`. Status: SUCCESS, HANDLE, INVALID_PATH, TYPE_MISMATCH, READ, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_scan_export(
    snapshot: *const syna_snapshot,
    pattern: *const c_char,
    pattern_len: usize,
    options: *const syna_history_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_snapshot_scan_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let pattern = input::text_of_len(pattern, pattern_len)?;
            on_snapshot(snapshot, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.read()?))
        })
    }
}

/// As `syna_scan_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, CORRUPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_scan_stream(
    snapshot: *const syna_snapshot,
    pattern: *const c_char,
    pattern_len: usize,
    options: *const syna_history_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_snapshot_scan_stream", out, || {
            let options = options::read(options)?;
            let pattern = input::text_of_len(pattern, pattern_len)?;
            on_snapshot(snapshot, |db| Ok(options.narrow_scan(db.scan(pattern)?)?.stream()?))
        })
    }
}
