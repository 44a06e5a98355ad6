//! Snapshots: a database as of one commit.

use std::ffi::c_char;

use synadb_core::Snapshot;

use crate::db::{on_db, syna_db};
use crate::handles::Handles;
use crate::input::{self, Out};
use crate::status::{Result, number, status};
use crate::values::{
    OutKeys, bytes, check_key, exists, float, get, int, keys, kind, tensor, tensor_call,
    tensor_int, text,
};

/// A database as of one commit: all that is read through it agrees and never changes. Made by
/// `syna_snapshot_take`, ended by `syna_snapshot_release`. Any number of threads may use it at once.
pub struct syna_snapshot {
    _opaque: [u8; 0],
}

static SNAPSHOTS: Handles<Snapshot, 3> = Handles::new();

/// Runs `call` on the snapshot that the handle stands for.
#[inline]
pub(crate) fn on_snapshot<T>(
    snapshot: *const syna_snapshot,
    call: impl FnOnce(&Snapshot) -> Result<T>,
) -> Result<T> {
    SNAPSHOTS.with(snapshot, call)
}

/// Takes a snapshot of the newest commit and puts it into `*out`, which is NULL unless the call
/// succeeds. It costs nothing; while it lives, what it sees is kept in memory and on disk.
///
/// Ended by `syna_snapshot_release(*out)`. Threads: any. Status: SUCCESS, HANDLE, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_take(
    db: *const syna_db,
    out: *mut *mut syna_snapshot,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, std::ptr::null_mut());
        status("syna_snapshot_take", || {
            out.require()?;
            let snapshot = on_db(db, |db| Ok(db.snapshot()?))?;
            out.set(SNAPSHOTS.insert(snapshot)?);
            Ok(())
        })
    }
}

/// Ends a snapshot, also one whose database was closed. Threads: any.
/// Status: SUCCESS, INVALID_ARGUMENT, CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_snapshot_release(snapshot: *mut syna_snapshot) -> i32 {
    status("syna_snapshot_release", || SNAPSHOTS.remove(snapshot, |_| ()))
}

/// Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
/// time. Otherwise as `syna_get_float` and `syna_get_float_at`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_float(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut f64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0.0);
        status("syna_snapshot_get_float", || {
            out.require()?;
            on_snapshot(snapshot, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(float(key, &get(db, key, input::optional(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
/// time. Otherwise as `syna_get_int` and `syna_get_int_at`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_int(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
    out: *mut i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0);
        status("syna_snapshot_get_int", || {
            out.require()?;
            on_snapshot(snapshot, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(int(key, &get(db, key, input::optional(timestamp))?)?);
                Ok(())
            })
        })
    }
}

/// Hands out the latest text, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
/// succeeds, and its length. Freed by `syna_free_text(*out, *out_len)`. Otherwise as `syna_get_text`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_text(
    snapshot: *const syna_snapshot,
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
        status("syna_snapshot_get_text", || {
            out.require()?;
            out_len.require()?;
            on_snapshot(snapshot, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(text(key, get(db, key, input::optional(timestamp))?, &out_len)?);
                Ok(())
            })
        })
    }
}

/// Hands out the latest bytes, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
/// succeeds, and its length. Freed by `syna_free_bytes(*out, *out_len)`. Otherwise as `syna_get_bytes`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_bytes(
    snapshot: *const syna_snapshot,
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
        status("syna_snapshot_get_bytes", || {
            out.require()?;
            out_len.require()?;
            on_snapshot(snapshot, |db| {
                let key = input::text_of_len(key, key_len)?;
                out.set(bytes(key, get(db, key, input::optional(timestamp))?, &out_len)?);
                Ok(())
            })
        })
    }
}

/// Returns the kind of the latest value, or of the one as of `*timestamp`: SYNA_KIND_*, always > 0.
/// Status: the kind, HANDLE, KEY, KEY_NOT_FOUND, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_kind(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    timestamp: *const i64,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_snapshot_get_kind", || {
            on_snapshot(snapshot, |db| {
                Ok(kind(&get(db, input::text_of_len(key, key_len)?, input::optional(timestamp))?))
            })
        })
    }
}

/// As `syna_exists`. Status: SUCCESS, 0, HANDLE, KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_exists(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        number("syna_snapshot_exists", || {
            on_snapshot(snapshot, |db| Ok(exists(db, input::text_of_len(key, key_len)?)?.into()))
        })
    }
}

/// As `syna_keys_with_lengths`; the pattern has a length, NULL is all.
/// Status: SUCCESS, HANDLE, INVALID_PATH, OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_keys(
    snapshot: *const syna_snapshot,
    pattern: *const c_char,
    pattern_len: usize,
    out_keys: *mut *mut *mut c_char,
    out_lengths: *mut *mut usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = OutKeys::new(out_keys, out_lengths, out_len);
        status("syna_snapshot_keys", || {
            out.require()?;
            let pattern = match pattern.is_null() {
                true => None,
                false => Some(input::text_of_len(pattern, pattern_len)?),
            };
            on_snapshot(snapshot, |db| out.set(&keys(db, pattern)?))
        })
    }
}

/// Hands out the doubles of `key`'s history in `*out`, which is NULL unless the call succeeds, and
/// where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_timed`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_tensor(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    timestamps: *mut *mut i64,
    out: *mut *mut f64,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        tensor_call("syna_snapshot_get_tensor", timestamps, out, out_len, |timestamps, out_len| {
            on_snapshot(snapshot, |db| {
                let history = db.history(check_key(input::text_of_len(key, key_len)?)?)?;
                tensor(&history, timestamps, out_len)
            })
        })
    }
}

/// Hands out the integers of `key`'s history in `*out`, which is NULL unless the call succeeds, and
/// where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_int_timed`.
/// Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_get_tensor_int(
    snapshot: *const syna_snapshot,
    key: *const c_char,
    key_len: usize,
    timestamps: *mut *mut i64,
    out: *mut *mut i64,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        tensor_call(
            "syna_snapshot_get_tensor_int",
            timestamps,
            out,
            out_len,
            |timestamps, out_len| {
                on_snapshot(snapshot, |db| {
                    let history = db.history(check_key(input::text_of_len(key, key_len)?)?)?;
                    tensor_int(&history, timestamps, out_len)
                })
            },
        )
    }
}
