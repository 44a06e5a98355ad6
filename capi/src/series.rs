//! Series: one key, looked up once.

use std::ffi::c_char;

use synadb_core::Series;

use crate::db::{on_db, syna_db};
use crate::handles::Handles;
use crate::input::{self, Out};
use crate::status::{Result, offset, status};
use crate::values::{float, int, latest};

/// One key of a database, looked up once. Made by `syna_series_open`, ended by `syna_series_close`.
/// Any number of threads may use it at once; with one each they share nothing.
pub struct syna_series {
    _opaque: [u8; 0],
}

static SERIES: Handles<Series, 2> = Handles::new();

/// Runs `call` on the series that the handle stands for.
#[inline]
fn on_series<T>(series: *const syna_series, call: impl FnOnce(&Series) -> Result<T>) -> Result<T> {
    SERIES.with(series, call)
}

/// Puts a handle on one key into `*out`, which is NULL unless the call succeeds. The key need not
/// exist yet. Ended by `syna_series_close(*out)`. Threads: any. Status: SUCCESS, HANDLE, KEY, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_series_open(
    db: *const syna_db,
    key: *const c_char,
    key_len: usize,
    out: *mut *mut syna_series,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, std::ptr::null_mut());
        status("syna_series_open", || {
            out.require()?;
            let key = input::text_of_len(key, key_len)?;
            let series = on_db(db, |db| Ok(db.series(key)?))?;
            out.set(SERIES.insert(series)?);
            Ok(())
        })
    }
}

/// Ends a series, also one whose database was closed. Threads: any.
/// Status: SUCCESS, INVALID_ARGUMENT, CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn syna_series_close(series: *mut syna_series) -> i32 {
    status("syna_series_close", || SERIES.remove(series, |_| ()))
}

/// Appends a double; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_series_put_float(
    series: *const syna_series,
    timestamp: *const i64,
    value: f64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_series_put_float", || {
            on_series(series, |series| {
                Ok(match input::optional(timestamp) {
                    None => series.append(value)?,
                    Some(timestamp) => series.append_at(timestamp, value)?,
                })
            })
        })
    }
}

/// Appends an integer; otherwise as `syna_db_put_int`. Status: the offset, HANDLE, WRITE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_series_put_int(
    series: *const syna_series,
    timestamp: *const i64,
    value: i64,
) -> i64 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        offset("syna_series_put_int", || {
            on_series(series, |series| {
                Ok(match input::optional(timestamp) {
                    None => series.append(value)?,
                    Some(timestamp) => series.append_at(timestamp, value)?,
                })
            })
        })
    }
}

/// Reads the latest value into `*out`; otherwise as `syna_get_float`.
/// Status: SUCCESS, HANDLE, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_series_get_float(series: *const syna_series, out: *mut f64) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0.0);
        status("syna_series_get_float", || {
            out.require()?;
            on_series(series, |series| {
                out.set(float(series.key(), &latest(series)?)?);
                Ok(())
            })
        })
    }
}

/// Reads the latest value into `*out`; otherwise as `syna_get_int`.
/// Status: SUCCESS, HANDLE, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_series_get_int(series: *const syna_series, out: *mut i64) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        let out = Out::new(out, 0);
        status("syna_series_get_int", || {
            out.require()?;
            on_series(series, |series| {
                out.set(int(series.key(), &latest(series)?)?);
                Ok(())
            })
        })
    }
}
