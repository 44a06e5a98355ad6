//! Frames: the histories of several keys side by side.

use std::ffi::c_char;
use std::time::Duration;

use synadb_core::{Align, Every, Fill, Frame};

use crate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema, array_call, stream_call};
use crate::classic::on_path;
use crate::db::{on_db, syna_db};
use crate::input;
use crate::options::{self, Options};
use crate::snapshot::{on_snapshot, syna_snapshot};
use crate::status::{Failure, Result};
use crate::stream::OneBatch;
use crate::values::check_key;

/// A row sees the latest point at or before its time. The default.
pub const SYNA_ALIGN_BACKWARD: i32 = 0;
/// A row sees the earliest point at or after its time.
pub const SYNA_ALIGN_FORWARD: i32 = 1;
/// A row sees the point whose time is nearest.
pub const SYNA_ALIGN_NEAREST: i32 = 2;

/// Missing cells are null. The default.
pub const SYNA_FILL_NONE: i32 = 0;
/// Missing cells have what stands in the nearest row above that is not missing.
pub const SYNA_FILL_LAST: i32 = 1;
/// Missing cells have `fill_value`.
pub const SYNA_FILL_VALUE: i32 = 2;

/// Which rows a frame has, and what they see. Set everything to zero, then `struct_size`, then what
/// is to differ from the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct syna_frame_options {
    /// `sizeof(syna_frame_options)`.
    pub struct_size: usize,
    /// Whether only rows with times in [`time_start`, `time_end`) are asked for: SYNA_ON or
    /// SYNA_OFF. Default: off.
    pub by_time: i32,
    /// Whether `tolerance` counts: SYNA_ON or SYNA_OFF. Default: off.
    pub by_tolerance: i32,
    /// Microseconds since 1970-01-01 UTC.
    pub time_start: i64,
    /// Microseconds since 1970-01-01 UTC, behind the last one.
    pub time_end: i64,
    /// Microseconds between rows. 0: rows at the times of the points.
    pub every: i64,
    /// Rows see no point that is further away than so many microseconds, >= 0.
    pub tolerance: i64,
    /// SYNA_ALIGN_*.
    pub align: i32,
    /// SYNA_FILL_*.
    pub fill: i32,
    /// For SYNA_FILL_VALUE.
    pub fill_value: f64,
    /// The type of the columns: SYNA_AS_*, but no union.
    pub as_type: i32,
    /// What happens to points that do not fit the type: SYNA_MISMATCH_*.
    pub on_mismatch: i32,
}

// SAFETY: one `usize`, two `i32`, four `i64`, two `i32`, one `f64`, two `i32`: nothing is padded,
// and any bytes are a value of each.
unsafe impl Options for syna_frame_options {}

impl syna_frame_options {
    /// Narrows a frame to what is asked for.
    fn narrow(&self, mut frame: Frame) -> Result<Frame> {
        if options::switch(self.by_time, false)? {
            frame = frame.range(self.time_start..self.time_end);
        }
        if options::switch(self.by_tolerance, false)? {
            let tolerance = u64::try_from(self.tolerance);
            let tolerance = tolerance.map_err(|_| Failure::Argument("the tolerance is below 0"))?;
            frame = frame.tolerance(Duration::from_micros(tolerance));
        }
        if self.every != 0 {
            frame = frame.every(Every::from_micros(self.every)?);
        }
        let align = match self.align {
            SYNA_ALIGN_BACKWARD => Align::Backward,
            SYNA_ALIGN_FORWARD => Align::Forward,
            SYNA_ALIGN_NEAREST => Align::Nearest,
            _ => return Err(Failure::Argument("align is none of SYNA_ALIGN_*")),
        };
        let fill = match self.fill {
            SYNA_FILL_NONE => Fill::None,
            SYNA_FILL_LAST => Fill::Last,
            SYNA_FILL_VALUE => Fill::Value(self.fill_value),
            _ => return Err(Failure::Argument("fill is none of SYNA_FILL_*")),
        };
        let (as_type, on_mismatch) =
            (options::as_type(self.as_type)?, options::on_mismatch(self.on_mismatch)?);
        Ok(frame.align(align).fill(fill).as_type(as_type).on_mismatch(on_mismatch))
    }
}

/// The keys of a frame.
///
/// # Safety
///
/// `keys` is NULL or points to `count` keys, each as [`input::text`] or, where there are
/// lengths, [`input::text_of_len`] wants it.
unsafe fn keys_of<'a>(
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
) -> Result<Vec<&'a str>> {
    // SAFETY: by the contract above.
    unsafe {
        let keys = input::slice(keys, count)?;
        if lengths.is_null() {
            return keys.iter().map(|key| check_key(input::text(*key)?)).collect();
        }
        let lengths = input::slice(lengths, count)?;
        let keys = keys.iter().zip(lengths);
        keys.map(|(key, len)| column_name(check_key(input::text_of_len(*key, *len)?)?)).collect()
    }
}

/// A key that may be the name of a column, which ends with NUL in a C schema. A stream would fail at
/// its first use otherwise.
fn column_name(key: &str) -> Result<&str> {
    if key.contains('\0') {
        return Err(Failure::Argument("a key that contains NUL cannot be the name of a column"));
    }
    Ok(key)
}

/// Exports the histories of `count` keys side by side as one struct array: `timestamp`, and a column for
/// each key, named after it, in this order. A row has of each key the point that it sees by the options
/// (NULL: the latest at or before the row's time, rows at the times of all points). `lengths` are those of
/// the keys, or NULL where they end with NUL; none may contain NUL, since the columns' names end with it.
/// No key twice. Otherwise as `syna_history_export`.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_frame_export(
    path: *const c_char,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_frame_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            on_path(path, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))
        })
    }
}

/// As `syna_frame_export` as a stream of one batch, for consumers of streams.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_frame_stream(
    path: *const c_char,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_frame_stream", out, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            let frame = on_path(path, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))?;
            Ok(OneBatch::from(frame))
        })
    }
}

/// As `syna_frame_export`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_frame_export(
    db: *const syna_db,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_db_frame_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            on_db(db, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))
        })
    }
}

/// As `syna_frame_stream`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_frame_stream(
    db: *const syna_db,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_db_frame_stream", out, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            let frame = on_db(db, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))?;
            Ok(OneBatch::from(frame))
        })
    }
}

/// As `syna_frame_export`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_frame_export(
    snapshot: *const syna_snapshot,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out_array: *mut ArrowArray,
    out_schema: *mut ArrowSchema,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_call("syna_snapshot_frame_export", out_array, out_schema, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            on_snapshot(snapshot, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))
        })
    }
}

/// As `syna_frame_stream`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_snapshot_frame_stream(
    snapshot: *const syna_snapshot,
    keys: *const *const c_char,
    lengths: *const usize,
    count: usize,
    options: *const syna_frame_options,
    out: *mut ArrowArrayStream,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_call("syna_snapshot_frame_stream", out, || {
            let options = options::read(options)?;
            let keys = keys_of(keys, lengths, count)?;
            let frame =
                on_snapshot(snapshot, |db| Ok(options.narrow(db.frame(&keys)?)?.read()?))?;
            Ok(OneBatch::from(frame))
        })
    }
}
