//! Databases by handle.

use std::ffi::c_char;

use synadb_core::{Atom, SynaDB};

use crate::handles::Handles;
use crate::input::{self, Out};
use crate::options::{self, syna_options};
use crate::status::{Result, number, offset, status};
use crate::values::{
    OutKeys, bytes, check_key, delete, exists, float, get, int, keys, kind, put, put_many, tensor,
    tensor_call, tensor_int, text,
};

/// An open database. Made by `syna_db_open`, ended by `syna_db_close`. Any number of threads may use
/// it at once. It is no address: it is looked up, and one that was closed is an error.
pub struct syna_db {
    _opaque: [u8; 0],
}

static DATABASES: Handles<SynaDB, 1> = Handles::new();

/// Runs `call` on the database that the handle stands for.
#[inline]
pub(crate) fn on_db<T>(db: *const syna_db, call: impl FnOnce(&SynaDB) -> Result<T>) -> Result<T> {
    DATABASES.with(db, call)
}

/// Opens the database at `path` and puts a handle on it into `*out`, which is NULL unless the call
/// succeeds. `options` are the defaults where NULL. Every handle counts as one open of the database.
///
/// Ended by `syna_db_close(*out)`. Threads: any. Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED, OPTIONS_CONFLICT,
/// NETWORK_FS, FILE_NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_open(
    path: *const c_char,
    options: *const syna_options,
    out: *mut *mut syna_db,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, std::ptr::null_mut());
        status("syna_db_open", || {
            out.require()?;
            let (path, options) = (input::path(path)?, options::read(options)?);
            let db = match options.is_read_only()? {
                true => SynaDB::open_read_only_with(path, options.config()?)?,
                false => SynaDB::with_config(path, options.config()?)?,
            };
            out.set(DATABASES.insert(db)?);
            Ok(())
        })
    }
}

/// Ends the handle and its open of the database; the last open writes everything out, syncs it and
/// releases the lock. Whatever it reports, the handle is ended. Series and snapshots of it answer
/// CLOSED from then on, and have to be ended, too; everything that was handed out stays valid.
///
/// Threads: any; calls of other threads that are under way end as they would, or with CLOSED.
/// Status: SUCCESS, HANDLE, IO, POISONED, DETACHED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_db_close(db: *mut syna_db) -> i32 {
    status("syna_db_close", || {
        let mut closed = Ok(());
        DATABASES.remove(db, |db| closed = db.clone().close())?;
        Ok(closed?)
    })
}

/// Appends a double. `*timestamp` is in microseconds since 1970-01-01 UTC; NULL is now. The key has a
/// length and may contain NUL. Otherwise as `syna_put_float`. Status: the offset, HANDLE, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_float(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    value: f64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_float", || {
            on_db(db, |db| {
                put(db, input::text_of_len(key, key_len)?, input::optional(timestamp), value)
            })
        })
    }
}

/// Appends an integer; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_int(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    value: i64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_int", || {
            on_db(db, |db| {
                put(db, input::text_of_len(key, key_len)?, input::optional(timestamp), value)
            })
        })
    }
}

/// Appends a text of `len` bytes of UTF-8, which may contain NUL; otherwise as `syna_db_put_float`.
/// Status: the offset, HANDLE, KEY, WRITE, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_text(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    value: *const c_char,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_text", || {
            on_db(db, |db| {
                put(
                    db,
                    input::text_of_len(key, key_len)?,
                    input::optional(timestamp),
                    input::text_of_len(value, len)?,
                )
            })
        })
    }
}

/// Appends `len` bytes; NULL is allowed where `len` is 0. Otherwise as `syna_db_put_float`.
/// Status: the offset, HANDLE, KEY, WRITE, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_bytes(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    value: *const u8,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_bytes", || {
            on_db(db, |db| {
                put(
                    db,
                    input::text_of_len(key, key_len)?,
                    input::optional(timestamp),
                    input::slice(value, len)?,
                )
            })
        })
    }
}

/// Appends a null; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, KEY, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_null(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_null", || {
            on_db(db, |db| {
                put(db, input::text_of_len(key, key_len)?, input::optional(timestamp), Atom::Null)
            })
        })
    }
}

/// Appends `len` doubles as one commit. `timestamps` has as many, or is NULL for the present time.
/// Otherwise as `syna_put_floats_batch`. Status: the offset, HANDLE, KEY, WRITE, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_floats(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamps: *const i64,
    values: *const f64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_floats", || {
            let key = input::text_of_len(key, key_len)?;
            let values = input::slice(values, len)?;
            let timestamps = match timestamps.is_null() {
                true => None,
                false => Some(input::slice(timestamps, len)?),
            };
            on_db(db, |db| put_many(db, key, timestamps, values))
        })
    }
}

/// Appends `len` integers as one commit. `timestamps` has as many, or is NULL for the present time.
/// Otherwise as `syna_put_ints_batch`. Status: the offset, HANDLE, KEY, WRITE, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_put_ints(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamps: *const i64,
    values: *const i64,
    len: usize,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_db_put_ints", || {
            let key = input::text_of_len(key, key_len)?;
            let values = input::slice(values, len)?;
            let timestamps = match timestamps.is_null() {
                true => None,
                false => Some(input::slice(timestamps, len)?),
            };
            on_db(db, |db| put_many(db, key, timestamps, values))
        })
    }
}

/// As `syna_delete`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_delete(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_db_delete", || on_db(db, |db| delete(db, input::text_of_len(key, key_len)?)))
    }
}

/// Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
/// time. Otherwise as `syna_get_float` and `syna_get_float_at`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_float(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut f64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0.0);
        status("syna_db_get_float", || {
            out.require()?;
            on_db(db, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(float(key, &get(db, key, input::optional(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
/// time. Otherwise as `syna_get_int` and `syna_get_int_at`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_int(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0);
        status("syna_db_get_int", || {
            out.require()?;
            on_db(db, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(int(key, &get(db, key, input::optional(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// Hands out the latest text, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
/// succeeds, and its length. Freed by `syna_free_text(*out, *out_len)`. Otherwise as `syna_get_text`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_text(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut *mut c_char,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, std::ptr::null_mut());
        let out_len = Out::new(out_len, 0);
        status("syna_db_get_text", || {
            out.require()?;
            out_len.require()?;
            on_db(db, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(text(key, get(db, key, input::optional(timestamp))?, &out_len)?);
                Ok(())
            })
        })
    }
}

/// Hands out the latest bytes, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
/// succeeds, and its length. Freed by `syna_free_bytes(*out, *out_len)`. Otherwise as `syna_get_bytes`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_bytes(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut *mut u8,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, std::ptr::null_mut());
        let out_len = Out::new(out_len, 0);
        status("syna_db_get_bytes", || {
            out.require()?;
            out_len.require()?;
            on_db(db, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(bytes(key, get(db, key, input::optional(timestamp))?, &out_len)?);
                Ok(())
            })
        })
    }
}

/// Returns the kind of the latest value, or of the one as of `*timestamp`: SYNA_KIND_*, always > 0.
/// Status: the kind, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_kind(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_db_get_kind", || {
            on_db(db, |db| {
                Ok(kind(&get(db, input::text_of_len(key, key_len)?, input::optional(timestamp))?))
            })
        })
    }
}

/// As `syna_exists`. Status: SUCCESS, 0, HANDLE, KEY, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_exists(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_db_exists", || {
            on_db(db, |db| Ok(exists(db, input::text_of_len(key, key_len)?)?.into()))
        })
    }
}

/// As `syna_keys_with_lengths`; the pattern has a length, NULL is all.
/// Status: SUCCESS, HANDLE, INVALID_PATH, LOOK, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_keys(
    db: *const syna_db,
    pattern: *const c_char,
    pattern_len: usize,
    out_keys: *mut *mut *mut c_char,
    out_lengths: *mut *mut usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = OutKeys::new(out_keys, out_lengths, out_len);
        status("syna_db_keys", || {
            out.require()?;
            let pattern = match pattern.is_null() {
                true => None,
                false => Some(input::text_of_len(pattern, pattern_len)?),
            };
            on_db(db, |db| out.set(&keys(db, pattern)?))
        })
    }
}

/// Hands out the doubles of `key`'s history in `*out`, which is NULL unless the call succeeds, and
/// where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_timed`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_tensor(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamps: *mut *mut i64,
    out: *mut *mut f64,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        tensor_call("syna_db_get_tensor", timestamps, out, out_len, |timestamps, out_len| {
            on_db(db, |db| {
                let history = db.history(check_key(input::text_of_len(key, key_len)?)?)?;
                tensor(&history, timestamps, out_len)
            })
        })
    }
}

/// Hands out the integers of `key`'s history in `*out`, which is NULL unless the call succeeds, and
/// where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_int_timed`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_get_tensor_int(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    timestamps: *mut *mut i64,
    out: *mut *mut i64,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        tensor_call("syna_db_get_tensor_int", timestamps, out, out_len, |timestamps, out_len| {
            on_db(db, |db| {
                let history = db.history(check_key(input::text_of_len(key, key_len)?)?)?;
                tensor_int(&history, timestamps, out_len)
            })
        })
    }
}
