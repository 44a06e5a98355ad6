//! Appending by path.

use std::ffi::c_char;

use synadb_core::Atom;

use super::on_path;
use crate::input;
use crate::status::{offset, status};
use crate::values::{delete, put, put_many};

/// Appends a double under `key` with the present time. Returns the offset of its entry in the file,
/// which is always > 0, or an error, which never is.
///
/// With the default options it is durable on return. All 2^64 bit patterns are kept. Threads: any.
/// Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_float(
    path: *const c_char,
    key: *const c_char,
    value: f64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_float", || on_path(path, |db| put(db, input::text(key)?, None, value)))
    }
}

/// Appends an integer; otherwise as `syna_put_float`. Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_int(path: *const c_char, key: *const c_char, value: i64) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_int", || on_path(path, |db| put(db, input::text(key)?, None, value)))
    }
}

/// Appends a text, UTF-8 that ends with NUL; otherwise as `syna_put_float`. A text with NUL inside goes
/// by `syna_db_put_text`. Status: the offset, PATH, KEY, WRITE, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_text(
    path: *const c_char,
    key: *const c_char,
    value: *const c_char,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_text", || {
            on_path(path, |db| put(db, input::text(key)?, None, input::text(value)?))
        })
    }
}

/// Appends `len` bytes; NULL is allowed where `len` is 0. Otherwise as `syna_put_float`.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_bytes(
    path: *const c_char,
    key: *const c_char,
    value: *const u8,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_bytes", || {
            on_path(path, |db| put(db, input::text(key)?, None, input::slice(value, len)?))
        })
    }
}

/// Appends a null: a point without a value, which is something else than no point. Otherwise as
/// `syna_put_float`. Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_null(path: *const c_char, key: *const c_char) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_null", || on_path(path, |db| put(db, input::text(key)?, None, Atom::Null)))
    }
}

/// As `syna_put_float` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
/// is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_float_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    value: f64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_float_at", || {
            on_path(path, |db| put(db, input::text(key)?, Some(timestamp), value))
        })
    }
}

/// As `syna_put_int` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
/// is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_int_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    value: i64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_int_at", || {
            on_path(path, |db| put(db, input::text(key)?, Some(timestamp), value))
        })
    }
}

/// As `syna_put_text` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
/// is; stamps may repeat and go back.
/// Status: the offset, PATH, KEY, WRITE, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_text_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    value: *const c_char,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_text_at", || {
            on_path(path, |db| put(db, input::text(key)?, Some(timestamp), input::text(value)?))
        })
    }
}

/// As `syna_put_bytes` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
/// is; stamps may repeat and go back.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_bytes_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    value: *const u8,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_bytes_at", || {
            on_path(path, |db| {
                put(db, input::text(key)?, Some(timestamp), input::slice(value, len)?)
            })
        })
    }
}

/// As `syna_put_null` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
/// is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_null_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_null_at", || {
            on_path(path, |db| put(db, input::text(key)?, Some(timestamp), Atom::Null))
        })
    }
}

/// Appends `len` doubles of one key, all with the present time, as one commit that is visible wholly or
/// not at all. Returns the offset of its first entry; with `len` 0 nothing is appended and it is the
/// end of the file's log. NULL is allowed where `len` is 0. Threads: any.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_floats_batch(
    path: *const c_char,
    key: *const c_char,
    values: *const f64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_floats_batch", || {
            let (key, values) = (input::text(key)?, input::slice(values, len)?);
            on_path(path, |db| put_many(db, key, None, values))
        })
    }
}

/// Appends `len` integers of one key, all with the present time, as one commit that is visible wholly or
/// not at all. Returns the offset of its first entry; with `len` 0 nothing is appended and it is the
/// end of the file's log. NULL is allowed where `len` is 0. Threads: any.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_ints_batch(
    path: *const c_char,
    key: *const c_char,
    values: *const i64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_ints_batch", || {
            let (key, values) = (input::text(key)?, input::slice(values, len)?);
            on_path(path, |db| put_many(db, key, None, values))
        })
    }
}

/// As `syna_put_floats_batch` with a timestamp for each value, microseconds since 1970-01-01 UTC.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_floats_batch_at(
    path: *const c_char,
    key: *const c_char,
    timestamps: *const i64,
    values: *const f64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_floats_batch_at", || {
            let (key, values) = (input::text(key)?, input::slice(values, len)?);
            let timestamps = input::slice(timestamps, len)?;
            on_path(path, |db| put_many(db, key, Some(timestamps), values))
        })
    }
}

/// As `syna_put_ints_batch` with a timestamp for each value, microseconds since 1970-01-01 UTC.
/// Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_put_ints_batch_at(
    path: *const c_char,
    key: *const c_char,
    timestamps: *const i64,
    values: *const i64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_put_ints_batch_at", || {
            let (key, values) = (input::text(key)?, input::slice(values, len)?);
            let timestamps = input::slice(timestamps, len)?;
            on_path(path, |db| put_many(db, key, Some(timestamps), values))
        })
    }
}

/// Deletes a key: its points are no longer seen, and a later put starts a new history. The bytes stay
/// in the file until a rewrite. A key that is not there is KEY_NOT_FOUND.
///
/// Threads: any. Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_delete(path: *const c_char, key: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_delete", || on_path(path, |db| delete(db, input::text(key)?))) }
}
