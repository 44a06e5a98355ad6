//! Arrow in: record batches as points, in the long and in the wide form.

use std::ffi::c_char;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use synadb_core::{WriteOptions, Written};

use crate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema};
use crate::classic::on_path;
use crate::db::{on_db, syna_db};
use crate::import;
use crate::input::{self, Out};
use crate::options::{self, Options};
use crate::status::{Result, status};

/// How record batches are read and written. Set everything to zero, then `struct_size`, then what
/// is to differ from the defaults. Names are UTF-8 and end with NUL; NULL is the default.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct syna_write_options {
    /// `sizeof(syna_write_options)`.
    pub struct_size: usize,
    /// Long form: the column of keys. Default: `key`.
    pub key_column: *const c_char,
    /// The column of timestamps. Default: `timestamp`.
    pub time_column: *const c_char,
    /// Long form: the column of values. Default: `value`.
    pub value_column: *const c_char,
    /// Wide form: what stands before the name of a column in its key. Default: nothing.
    pub prefix: *const c_char,
    /// Round timestamps finer than a microsecond down: SYNA_ON or SYNA_OFF. Default: off, they are
    /// INVALID_DATA.
    pub floor: i32,
    /// All batches of a stream are one commit: SYNA_ON or SYNA_OFF. Default: off.
    pub atomic: i32,
    /// Bytes that an atomic write of a stream may stage in memory. Default: 1 GiB.
    pub write_budget_bytes: u64,
}

impl Default for syna_write_options {
    fn default() -> Self {
        let none = std::ptr::null();
        syna_write_options {
            struct_size: 0,
            key_column: none,
            time_column: none,
            value_column: none,
            prefix: none,
            floor: 0,
            atomic: 0,
            write_budget_bytes: 0,
        }
    }
}

// SAFETY: one `usize`, four pointers, two `i32`, one `u64`: nothing is padded, and any bytes are a
// value of each.
unsafe impl Options for syna_write_options {}

impl syna_write_options {
    /// # Safety
    ///
    /// The names are NULL or strings that end with NUL.
    unsafe fn checked(&self) -> Result<WriteOptions> {
        let mut options = WriteOptions::default()
            .with_floor(options::switch(self.floor, false)?)
            .with_atomic(options::switch(self.atomic, false)?);
        // SAFETY: by the contract above.
        unsafe {
            if !self.key_column.is_null() {
                options = options.with_key_column(input::text(self.key_column)?);
            }
            if !self.time_column.is_null() {
                options = options.with_time_column(input::text(self.time_column)?);
            }
            if !self.value_column.is_null() {
                options = options.with_value_column(input::text(self.value_column)?);
            }
            if !self.prefix.is_null() {
                options = options.with_prefix(input::text(self.prefix)?);
            }
        }
        if self.write_budget_bytes != 0 {
            options = options.with_write_budget_bytes(self.write_budget_bytes);
        }
        Ok(options)
    }
}

/// What a write has done.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct syna_written {
    /// Points: in the long form the rows, in the wide one the rows times the keys.
    pub points: u64,
    /// Rows of all batches.
    pub rows: u64,
    /// Commits: one for each batch that had points, or one for all.
    pub commits: u64,
    /// Offset of the first entry of the last commit, for `syna_db_wait_durable`.
    pub offset: u64,
}

impl From<Written> for syna_written {
    fn from(written: Written) -> Self {
        let Written { points, rows, commits, offset, .. } = written;
        syna_written { points, rows, commits, offset }
    }
}

/// A call that takes a stream: moved before anything else, and released whatever comes of it.
///
/// # Safety
///
/// As for [`Out::new`], [`options::read`] and [`import::take_stream`].
unsafe fn stream_in(
    name: &'static str,
    options: *const syna_write_options,
    stream: *mut ArrowArrayStream,
    out: *mut syna_written,
    write: impl FnOnce(FFI_ArrowArrayStream, &WriteOptions) -> Result<Written>,
) -> i32 {
    // SAFETY: by the contract above.
    unsafe {
        let out = Out::new(out, syna_written::default());
        let stream = import::take_stream(stream);
        status(name, || {
            let stream = stream?;
            let options = options::read(options)?.checked()?;
            out.set(write(stream, &options)?.into());
            Ok(())
        })
    }
}

/// As [`stream_in`], of an array and its schema.
///
/// # Safety
///
/// As for [`Out::new`], [`options::read`] and [`import::take_array`].
unsafe fn array_in(
    name: &'static str,
    options: *const syna_write_options,
    (array, schema): (*mut ArrowArray, *mut ArrowSchema),
    out: *mut syna_written,
    write: impl FnOnce(FFI_ArrowArray, FFI_ArrowSchema, &WriteOptions) -> Result<Written>,
) -> i32 {
    // SAFETY: by the contract above.
    unsafe {
        let out = Out::new(out, syna_written::default());
        let taken = import::take_array(array, schema);
        status(name, || {
            let (array, schema) = taken?;
            let options = options::read(options)?.checked()?;
            out.set(write(array, schema, &options)?.into());
            Ok(())
        })
    }
}

/// Appends the record batches of a stream, in the long form: columns of keys, timestamps and values, by
/// default `key` (text or a dictionary of texts), `timestamp` and `value`; the value's type decides what
/// is stored, a null is a null. Each batch is one commit; with `atomic` all of them are. `*out` (may be
/// NULL) tells what was written, zeros on errors; where batches were committed before an error they stay,
/// and the message says how many.
///
/// The stream is moved, whatever the call reports: afterwards `stream->release` is NULL, and its producer
/// was released. Only NULL and a released one are refused as they are. Its callbacks run in this thread
/// and may take their time and use this library. Threads: any.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_write_stream(
    path: *const c_char,
    options: *const syna_write_options,
    stream: *mut ArrowArrayStream,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_in("syna_write_stream", options, stream, out, |stream, options| {
            on_path(path, |db| Ok(db.write_reader(import::batches(stream)?, options)?))
        })
    }
}

/// As `syna_write_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_write_stream(
    db: *const syna_db,
    options: *const syna_write_options,
    stream: *mut ArrowArrayStream,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_in("syna_db_write_stream", options, stream, out, |stream, options| {
            on_db(db, |db| Ok(db.write_reader(import::batches(stream)?, options)?))
        })
    }
}

/// Appends one record batch, a struct array, as one commit; array and schema are moved as the stream of
/// `syna_write_stream` is. Otherwise as that.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_write_array(
    path: *const c_char,
    options: *const syna_write_options,
    array: *mut ArrowArray,
    schema: *mut ArrowSchema,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_in("syna_write_array", options, (array, schema), out, |array, schema, options| {
            on_path(path, |db| Ok(db.write_with(&import::batch(array, &schema)?, options)?))
        })
    }
}

/// As `syna_write_array`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_write_array(
    db: *const syna_db,
    options: *const syna_write_options,
    array: *mut ArrowArray,
    schema: *mut ArrowSchema,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_in("syna_db_write_array", options, (array, schema), out, |array, schema, options| {
            on_db(db, |db| Ok(db.write_with(&import::batch(array, &schema)?, options)?))
        })
    }
}

/// As `syna_write_stream` in the wide form: a column of timestamps, and for each key a column of its
/// values, named after it.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_write_wide_stream(
    path: *const c_char,
    options: *const syna_write_options,
    stream: *mut ArrowArrayStream,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_in("syna_write_wide_stream", options, stream, out, |stream, options| {
            on_path(path, |db| Ok(db.write_wide_reader(import::batches(stream)?, options)?))
        })
    }
}

/// As `syna_write_wide_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_write_wide_stream(
    db: *const syna_db,
    options: *const syna_write_options,
    stream: *mut ArrowArrayStream,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        stream_in("syna_db_write_wide_stream", options, stream, out, |stream, options| {
            on_db(db, |db| Ok(db.write_wide_reader(import::batches(stream)?, options)?))
        })
    }
}

/// As `syna_write_array` in the wide form: a column of timestamps, and for each key a column of its
/// values, named after it.
/// Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_write_wide_array(
    path: *const c_char,
    options: *const syna_write_options,
    array: *mut ArrowArray,
    schema: *mut ArrowSchema,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_in(
            "syna_write_wide_array",
            options,
            (array, schema),
            out,
            |array, schema, options| {
                on_path(
                    path,
                    |db| Ok(db.write_wide_with(&import::batch(array, &schema)?, options)?),
                )
            },
        )
    }
}

/// As `syna_write_wide_array`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_db_write_wide_array(
    db: *const syna_db,
    options: *const syna_write_options,
    array: *mut ArrowArray,
    schema: *mut ArrowSchema,
    out: *mut syna_written,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        array_in(
            "syna_db_write_wide_array",
            options,
            (array, schema),
            out,
            |array, schema, options| {
                on_db(db, |db| Ok(db.write_wide_with(&import::batch(array, &schema)?, options)?))
            },
        )
    }
}
