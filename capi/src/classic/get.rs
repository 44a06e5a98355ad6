//! Reading by path.

use std::ffi::c_char;

use super::on_path;
use crate::input::{self, Out};
use crate::memory;
use crate::status::{Failure, number, pointer, status};
use crate::values::{
    OutKeys, bytes, check_key, exists, float, get, int, keys, kind, tensor, tensor_int, text,
};

/// Reads the latest value of `key`, the one put last, into `*out`, which is 0 unless the call
/// succeeds. Reads wait for no write and no sync. A value of another kind is TYPE_MISMATCH.
///
/// Threads: any. Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_float(
    path: *const c_char,
    key: *const c_char,
    out: *mut f64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0.0);
        status("syna_get_float", || {
            out.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                out.set(float(key, &get(db, key, None)?)?);
                Ok(())
            })
        })
    }
}

/// Reads the latest value of `key`, an integer; otherwise as `syna_get_float`.
/// Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_int(
    path: *const c_char,
    key: *const c_char,
    out: *mut i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0);
        status("syna_get_int", || {
            out.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                out.set(int(key, &get(db, key, None)?)?);
                Ok(())
            })
        })
    }
}

/// Returns the latest value of `key`, a text: UTF-8 with a NUL behind it that `*out_len` does not
/// count. NULL on errors; an empty text is not NULL. `*out_len` is 0 unless the call succeeds.
///
/// Owned by the caller: freed by `syna_free_text(text, *out_len)`. Threads: any.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_text(
    path: *const c_char,
    key: *const c_char,
    out_len: *mut usize,
) -> *mut c_char {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_text", || {
            out_len.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                text(key, get(db, key, None)?, &out_len)
            })
        })
    }
}

/// Returns the latest value of `key`, bytes; no bytes are not NULL. Freed by
/// `syna_free_bytes(bytes, *out_len)`; otherwise as `syna_get_text`.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_bytes(
    path: *const c_char,
    key: *const c_char,
    out_len: *mut usize,
) -> *mut u8 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_bytes", || {
            out_len.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                bytes(key, get(db, key, None)?, &out_len)
            })
        })
    }
}

/// Reads the value of `key` as of a time: that of the greatest timestamp <= `timestamp`, microseconds
/// since 1970-01-01 UTC, the last put of equals. Otherwise as `syna_get_float`.
/// Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_float_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    out: *mut f64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0.0);
        status("syna_get_float_at", || {
            out.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                out.set(float(key, &get(db, key, Some(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// Reads the value of `key` as of a time: that of the greatest timestamp <= `timestamp`, microseconds
/// since 1970-01-01 UTC, the last put of equals. Otherwise as `syna_get_int`.
/// Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_int_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    out: *mut i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0);
        status("syna_get_int_at", || {
            out.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                out.set(int(key, &get(db, key, Some(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// As `syna_get_text` as of a time, see `syna_get_float_at`.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_text_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    out_len: *mut usize,
) -> *mut c_char {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_text_at", || {
            out_len.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                text(key, get(db, key, Some(timestamp))?, &out_len)
            })
        })
    }
}

/// As `syna_get_bytes` as of a time, see `syna_get_float_at`.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_bytes_at(
    path: *const c_char,
    key: *const c_char,
    timestamp: i64,
    out_len: *mut usize,
) -> *mut u8 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_bytes_at", || {
            out_len.require()?;
            on_path(path, |db| {
                let key = input::text(key)?;
                bytes(key, get(db, key, Some(timestamp))?, &out_len)
            })
        })
    }
}

/// Returns the kind of the latest value of `key`, SYNA_KIND_*, always > 0, or an error.
///
/// Threads: any. Status: the kind, PATH, KEY, KEY_NOT_FOUND, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_kind(path: *const c_char, key: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_get_kind", || on_path(path, |db| Ok(kind(&get(db, input::text(key)?, None)?))))
    }
}

/// Returns 1 if `key` has a point, 0 if it has none, and an error below 0; never SYNA_ERR_GENERIC.
///
/// Threads: any. Status: SUCCESS, 0, PATH, KEY, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_exists(path: *const c_char, key: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_exists", || on_path(path, |db| Ok(exists(db, input::text(key)?)?.into())))
    }
}

/// Returns the keys that have points, in bytewise order: `*out_len` strings that end with NUL, and a
/// NULL behind them. NULL on errors; no keys at all are not NULL. If a key contains a NUL it is an
/// error (GENERIC) that names `syna_keys_with_lengths`.
///
/// Owned by the caller, as one block: freed by `syna_free_keys(keys, *out_len)`. Threads: any.
/// Status in `syna_last_error()`: SUCCESS, PATH, LOOK, OUT_OF_MEMORY, GENERIC, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_keys(path: *const c_char, out_len: *mut usize) -> *mut *mut c_char {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_keys", || {
            out_len.require()?;
            on_path(path, |db| {
                let keys = keys(db, None)?;
                if keys.iter().any(|key| key.contains('\0')) {
                    return Err(Failure::Other(
                        "a key contains NUL: take the keys by syna_keys_with_lengths",
                    ));
                }
                let texts = memory::keys(&keys)?.texts;
                out_len.set(keys.len());
                Ok(texts)
            })
        })
    }
}

/// As `syna_keys` with the length of each key, so that keys may contain NUL, and only those that match
/// `pattern`; NULL is all. `*` stands for any characters (also `/`), `?` for one, `[a-z]` for one of
/// these, `[!a-z]` for one of the others, `\\` takes the next literally.
///
/// Owned by the caller, lengths and texts as one block: freed by `syna_free_keys(*out_keys, *out_len)`.
/// Threads: any. Status: SUCCESS, PATH, LOOK, OUT_OF_MEMORY, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_keys_with_lengths(
    path: *const c_char,
    pattern: *const c_char,
    out_keys: *mut *mut *mut c_char,
    out_lengths: *mut *mut usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = OutKeys::new(out_keys, out_lengths, out_len);
        status("syna_keys_with_lengths", || {
            out.require()?;
            let pattern = if pattern.is_null() { None } else { Some(input::text(pattern)?) };
            on_path(path, |db| out.set(&keys(db, pattern)?))
        })
    }
}

/// Returns the doubles of `key`'s history in the order in which they were put, in one array of
/// `*out_len` values, aligned to 64 bytes: points of other kinds are left out. It is the caller's own
/// copy, which may be changed. NULL on errors; a history without doubles is not NULL.
///
/// Owned by the caller: freed by `syna_free_tensor(tensor, *out_len)`, also after the database was
/// closed. Threads: any. Cost: that of copying the memory.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_history_tensor(
    path: *const c_char,
    key: *const c_char,
    out_len: *mut usize,
) -> *mut f64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_history_tensor", || {
            out_len.require()?;
            on_path(path, |db| {
                let history = db.history(check_key(input::text(key)?)?)?;
                tensor(&history, None, &out_len)
            })
        })
    }
}

/// As `syna_get_history_tensor` for the integers; freed by `syna_free_tensor_int(tensor, *out_len)`.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_history_tensor_int(
    path: *const c_char,
    key: *const c_char,
    out_len: *mut usize,
) -> *mut i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_history_tensor_int", || {
            out_len.require()?;
            on_path(path, |db| {
                let history = db.history(check_key(input::text(key)?)?)?;
                tensor_int(&history, None, &out_len)
            })
        })
    }
}

/// As `syna_get_history_tensor`, and puts into `*timestamps` an array with the timestamp of
/// each, microseconds since 1970-01-01 UTC, of the same commit. Both are the caller's: that one is
/// freed by `syna_free_tensor_int(*timestamps, *out_len)`. Both are NULL on errors.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_history_tensor_timed(
    path: *const c_char,
    key: *const c_char,
    timestamps: *mut *mut i64,
    out_len: *mut usize,
) -> *mut f64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let timestamps = Out::new(timestamps, std::ptr::null_mut());
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_history_tensor_timed", || {
            timestamps.require()?;
            out_len.require()?;
            on_path(path, |db| {
                let history = db.history(check_key(input::text(key)?)?)?;
                tensor(&history, Some(&timestamps), &out_len)
            })
        })
    }
}

/// As `syna_get_history_tensor_int`, and puts into `*timestamps` an array with the timestamp of
/// each, microseconds since 1970-01-01 UTC, of the same commit. Both are the caller's: that one is
/// freed by `syna_free_tensor_int(*timestamps, *out_len)`. Both are NULL on errors.
/// Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_get_history_tensor_int_timed(
    path: *const c_char,
    key: *const c_char,
    timestamps: *mut *mut i64,
    out_len: *mut usize,
) -> *mut i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let timestamps = Out::new(timestamps, std::ptr::null_mut());
        let out_len = Out::new(out_len, 0);
        pointer("syna_get_history_tensor_int_timed", || {
            timestamps.require()?;
            out_len.require()?;
            on_path(path, |db| {
                let history = db.history(check_key(input::text(key)?)?)?;
                tensor_int(&history, Some(&timestamps), &out_len)
            })
        })
    }
}
