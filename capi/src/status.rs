//! The codes of the interface, the error of the last call, and the guard around every call.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use synadb_core::SynaError;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store says so.
    Store(SynaError),
    /// An argument cannot be what is meant.
    Argument(&'static str),
    /// A path, key or text is NULL or not what it has to be.
    Text(&'static str),
    /// Arrow data that cannot be translated.
    Arrow(String),
    /// What was given to be freed is nothing that this library handed out.
    NotOurs(&'static str),
    /// A handle that was closed.
    Closed,
    /// Too little memory for a result.
    NoMemory,
    /// What has no code of its own.
    Other(&'static str),
    /// A panic was caught.
    Panic(String),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<SynaError> for Failure {
    fn from(error: SynaError) -> Self {
        Failure::Store(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Store(error) => error.fmt(f),
            Failure::Argument(what) | Failure::Text(what) | Failure::Other(what) => {
                f.write_str(what)
            }
            Failure::NotOurs(what) => write!(f, "nothing was freed: {what}"),
            Failure::Arrow(what) => f.write_str(what),
            Failure::Closed => f.write_str("the handle was closed"),
            Failure::NoMemory => f.write_str("no memory for the result"),
            Failure::Panic(what) => write!(f, "a bug in the store was caught: {what}"),
        }
    }
}

/// Success.
pub const SYNA_SUCCESS: i32 = 1;
/// An error without a number of its own.
pub const SYNA_ERR_GENERIC: i32 = 0;
/// No open database has this path.
pub const SYNA_ERR_DB_NOT_FOUND: i32 = -1;
/// A path, key or text is NULL or not valid UTF-8 (paths may be any bytes), a path is empty, or it
/// names something that is no file.
pub const SYNA_ERR_INVALID_PATH: i32 = -2;
/// The operating system refused an operation; the message says which.
pub const SYNA_ERR_IO: i32 = -3;
/// Bytes could not be encoded or decoded.
pub const SYNA_ERR_SERIALIZATION: i32 = -4;
/// There is no such key, or nothing at or before the time asked for.
pub const SYNA_ERR_KEY_NOT_FOUND: i32 = -5;
/// The value is of another kind than was asked for.
pub const SYNA_ERR_TYPE_MISMATCH: i32 = -6;
/// The key is empty.
pub const SYNA_ERR_EMPTY_KEY: i32 = -7;
/// The key is longer than 65,535 bytes.
pub const SYNA_ERR_KEY_TOO_LONG: i32 = -8;
/// An argument cannot be what is meant: an output that is NULL, a handle that never was one, an
/// option out of its range, a bad pattern, columns of different lengths.
pub const SYNA_ERR_INVALID_ARGUMENT: i32 = -9;
/// There is no database at the path, and none was to be created.
pub const SYNA_ERR_FILE_NOT_FOUND: i32 = -10;
/// The file exists already.
pub const SYNA_ERR_ALREADY_EXISTS: i32 = -11;
/// The file is not a SynaDB database; it was left untouched.
pub const SYNA_ERR_NOT_A_DATABASE: i32 = -12;
/// The file was written by a newer version and uses what this one does not know.
pub const SYNA_ERR_UNSUPPORTED: i32 = -13;
/// Stored bytes are damaged. Nothing was changed; `syna_salvage` copies what is intact.
pub const SYNA_ERR_CORRUPT: i32 = -14;
/// Another process writes to the database.
pub const SYNA_ERR_LOCKED: i32 = -15;
/// The database is open in this process with other options.
pub const SYNA_ERR_OPTIONS_CONFLICT: i32 = -16;
/// The file was replaced or removed by somebody else since it was opened.
pub const SYNA_ERR_DETACHED: i32 = -17;
/// The handle was opened by the parent of this forked process.
pub const SYNA_ERR_FORKED: i32 = -18;
/// The handle, or its database, was closed.
pub const SYNA_ERR_CLOSED: i32 = -19;
/// A sync failed: writes are refused until the database is opened again.
pub const SYNA_ERR_POISONED: i32 = -20;
/// The database was opened for reading only.
pub const SYNA_ERR_READ_ONLY: i32 = -21;
/// Another rewrite of the database is running.
pub const SYNA_ERR_BUSY: i32 = -22;
/// There is no memory for what was asked for.
pub const SYNA_ERR_OUT_OF_MEMORY: i32 = -23;
/// A value, a batch or a column is larger than the format or Arrow allows.
pub const SYNA_ERR_TOO_LARGE: i32 = -24;
/// The database is on a network file system, which must be allowed first.
pub const SYNA_ERR_NETWORK_FS: i32 = -25;
/// More is torn than is cut off by itself; `syna_salvage` copies what is intact.
pub const SYNA_ERR_TORN_TAIL_TOO_LONG: i32 = -26;
/// No append returned this offset.
pub const SYNA_ERR_NO_SUCH_OFFSET: i32 = -27;
/// What was to be freed is nothing that has to be freed by this function.
pub const SYNA_ERR_NOT_OURS: i32 = -28;
/// The file has other hard links, which a rewrite would leave behind.
pub const SYNA_ERR_HARD_LINKED: i32 = -29;
/// A record batch cannot be stored as it is: a column is missing, twice there, of a type that cannot
/// be stored, or a cell of it is; the message names column, row and way out. Nothing of it was
/// written.
pub const SYNA_ERR_INVALID_DATA: i32 = -30;
/// A bug of this library was caught at its border. The message says more; please report it.
pub const SYNA_ERR_INTERNAL_PANIC: i32 = -100;

impl Failure {
    pub(crate) fn code(&self) -> i32 {
        match self {
            Failure::Store(error) => code_of(error),
            Failure::Argument(_) => SYNA_ERR_INVALID_ARGUMENT,
            Failure::Text(_) => SYNA_ERR_INVALID_PATH,
            Failure::Arrow(_) => SYNA_ERR_SERIALIZATION,
            Failure::NotOurs(_) => SYNA_ERR_NOT_OURS,
            Failure::Closed => SYNA_ERR_CLOSED,
            Failure::NoMemory => SYNA_ERR_OUT_OF_MEMORY,
            Failure::Other(_) => SYNA_ERR_GENERIC,
            Failure::Panic(_) => SYNA_ERR_INTERNAL_PANIC,
        }
    }
}

fn code_of(error: &SynaError) -> i32 {
    match error {
        SynaError::NotOpen { .. } => SYNA_ERR_DB_NOT_FOUND,
        SynaError::IsDirectory { .. } | SynaError::NotARegularFile { .. } => SYNA_ERR_INVALID_PATH,
        SynaError::Io { .. } => SYNA_ERR_IO,
        SynaError::Serialization { .. } | SynaError::Arrow { .. } => SYNA_ERR_SERIALIZATION,
        SynaError::ColumnNotFound { .. }
        | SynaError::DuplicateColumn { .. }
        | SynaError::UnsupportedColumn { .. }
        | SynaError::InvalidCell { .. } => SYNA_ERR_INVALID_DATA,
        SynaError::WriteStopped { source, .. } => code_of(source),
        SynaError::KeyNotFound { .. } => SYNA_ERR_KEY_NOT_FOUND,
        SynaError::TypeMismatch { .. } => SYNA_ERR_TYPE_MISMATCH,
        SynaError::EmptyKey => SYNA_ERR_EMPTY_KEY,
        SynaError::KeyTooLong { .. } => SYNA_ERR_KEY_TOO_LONG,
        SynaError::InvalidOption { .. }
        | SynaError::InvalidPattern { .. }
        | SynaError::DuplicateKey { .. }
        | SynaError::LengthMismatch { .. } => SYNA_ERR_INVALID_ARGUMENT,
        SynaError::NotFound { .. } => SYNA_ERR_FILE_NOT_FOUND,
        SynaError::AlreadyExists { .. } => SYNA_ERR_ALREADY_EXISTS,
        SynaError::NotADatabase { .. } => SYNA_ERR_NOT_A_DATABASE,
        SynaError::UnsupportedVersion { .. } | SynaError::UnsupportedFeature { .. } => {
            SYNA_ERR_UNSUPPORTED
        }
        SynaError::Corrupt { .. } => SYNA_ERR_CORRUPT,
        SynaError::Locked { .. } => SYNA_ERR_LOCKED,
        SynaError::OptionsConflict { .. } => SYNA_ERR_OPTIONS_CONFLICT,
        SynaError::Detached { .. } => SYNA_ERR_DETACHED,
        SynaError::ForkedHandle => SYNA_ERR_FORKED,
        SynaError::Closed => SYNA_ERR_CLOSED,
        SynaError::Poisoned { .. } => SYNA_ERR_POISONED,
        SynaError::ReadOnly => SYNA_ERR_READ_ONLY,
        SynaError::Busy => SYNA_ERR_BUSY,
        SynaError::OutOfMemory { .. } => SYNA_ERR_OUT_OF_MEMORY,
        SynaError::ValueTooLarge { .. }
        | SynaError::BatchTooLarge { .. }
        | SynaError::ColumnTooLarge { .. }
        | SynaError::FrameTooLarge { .. } => SYNA_ERR_TOO_LARGE,
        SynaError::NetworkFileSystem { .. } => SYNA_ERR_NETWORK_FS,
        SynaError::TornTailTooLong { .. } => SYNA_ERR_TORN_TAIL_TOO_LONG,
        SynaError::NoSuchOffset { .. } => SYNA_ERR_NO_SUCH_OFFSET,
        SynaError::HardLinked { .. } => SYNA_ERR_HARD_LINKED,
        _ => SYNA_ERR_GENERIC,
    }
}

const NAMES: [(i32, &CStr); 32] = [
    (SYNA_SUCCESS, c"SYNA_SUCCESS"),
    (SYNA_ERR_GENERIC, c"SYNA_ERR_GENERIC"),
    (SYNA_ERR_DB_NOT_FOUND, c"SYNA_ERR_DB_NOT_FOUND"),
    (SYNA_ERR_INVALID_PATH, c"SYNA_ERR_INVALID_PATH"),
    (SYNA_ERR_IO, c"SYNA_ERR_IO"),
    (SYNA_ERR_SERIALIZATION, c"SYNA_ERR_SERIALIZATION"),
    (SYNA_ERR_KEY_NOT_FOUND, c"SYNA_ERR_KEY_NOT_FOUND"),
    (SYNA_ERR_TYPE_MISMATCH, c"SYNA_ERR_TYPE_MISMATCH"),
    (SYNA_ERR_EMPTY_KEY, c"SYNA_ERR_EMPTY_KEY"),
    (SYNA_ERR_KEY_TOO_LONG, c"SYNA_ERR_KEY_TOO_LONG"),
    (SYNA_ERR_INVALID_ARGUMENT, c"SYNA_ERR_INVALID_ARGUMENT"),
    (SYNA_ERR_FILE_NOT_FOUND, c"SYNA_ERR_FILE_NOT_FOUND"),
    (SYNA_ERR_ALREADY_EXISTS, c"SYNA_ERR_ALREADY_EXISTS"),
    (SYNA_ERR_NOT_A_DATABASE, c"SYNA_ERR_NOT_A_DATABASE"),
    (SYNA_ERR_UNSUPPORTED, c"SYNA_ERR_UNSUPPORTED"),
    (SYNA_ERR_CORRUPT, c"SYNA_ERR_CORRUPT"),
    (SYNA_ERR_LOCKED, c"SYNA_ERR_LOCKED"),
    (SYNA_ERR_OPTIONS_CONFLICT, c"SYNA_ERR_OPTIONS_CONFLICT"),
    (SYNA_ERR_DETACHED, c"SYNA_ERR_DETACHED"),
    (SYNA_ERR_FORKED, c"SYNA_ERR_FORKED"),
    (SYNA_ERR_CLOSED, c"SYNA_ERR_CLOSED"),
    (SYNA_ERR_POISONED, c"SYNA_ERR_POISONED"),
    (SYNA_ERR_READ_ONLY, c"SYNA_ERR_READ_ONLY"),
    (SYNA_ERR_BUSY, c"SYNA_ERR_BUSY"),
    (SYNA_ERR_OUT_OF_MEMORY, c"SYNA_ERR_OUT_OF_MEMORY"),
    (SYNA_ERR_TOO_LARGE, c"SYNA_ERR_TOO_LARGE"),
    (SYNA_ERR_NETWORK_FS, c"SYNA_ERR_NETWORK_FS"),
    (SYNA_ERR_TORN_TAIL_TOO_LONG, c"SYNA_ERR_TORN_TAIL_TOO_LONG"),
    (SYNA_ERR_NO_SUCH_OFFSET, c"SYNA_ERR_NO_SUCH_OFFSET"),
    (SYNA_ERR_NOT_OURS, c"SYNA_ERR_NOT_OURS"),
    (SYNA_ERR_HARD_LINKED, c"SYNA_ERR_HARD_LINKED"),
    (SYNA_ERR_INVALID_DATA, c"SYNA_ERR_INVALID_DATA"),
];
const PANIC_NAME: &CStr = c"SYNA_ERR_INTERNAL_PANIC";

thread_local! {
    /// Without a destructor, so that setting it on every call costs a move.
    static LAST_CODE: Cell<i32> = const { Cell::new(SYNA_SUCCESS) };
    static LAST_MESSAGE: RefCell<CString> = RefCell::new(CString::default());
}

/// Notes how the call went, for `syna_last_error` and `syna_last_error_message`.
#[cold]
fn note(failure: &Failure) -> i32 {
    let code = failure.code();
    LAST_CODE.set(code);
    let mut message = failure.to_string().into_bytes();
    // A name in it may contain NUL.
    message.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    // Not at all while the thread ends: the code is kept, the message is that of the code.
    let _ = LAST_MESSAGE.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = CString::new(message).unwrap_or_default();
        }
    });
    code
}

/// Runs `call`; no panic leaves it. `name` is that of the exported function.
#[inline]
fn guard<T>(name: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        panic_if_asked(name);
        call()
    }));
    match caught {
        Ok(result) => result,
        Err(payload) => {
            let what = payload
                .downcast::<String>()
                .map(|what| *what)
                .or_else(|payload| payload.downcast::<&str>().map(|what| (*what).to_owned()))
                .unwrap_or_else(|payload| {
                    // Dropping what is no text might panic again.
                    std::mem::forget(payload);
                    "a panic".to_owned()
                });
            Err(Failure::Panic(what))
        }
    }
}

/// Tests of debug builds make the function panic that this names.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is what it is for")]
fn panic_if_asked(name: &str) {
    if std::env::var_os("SYNADB_PANIC_IN").is_some_and(|asked| asked == name) {
        panic!("asked to panic in {name}");
    }
}

#[cfg(not(debug_assertions))]
#[inline]
fn panic_if_asked(_: &str) {}

/// A call that answers with a status.
#[inline]
pub(crate) fn status(name: &'static str, call: impl FnOnce() -> Result<()>) -> i32 {
    number(name, || call().map(|()| SYNA_SUCCESS))
}

/// A call that answers with a number of its own, or a code below 1.
#[inline]
pub(crate) fn number(name: &'static str, call: impl FnOnce() -> Result<i32>) -> i32 {
    match guard(name, call) {
        Ok(number) => {
            LAST_CODE.set(SYNA_SUCCESS);
            number
        }
        Err(failure) => note(&failure),
    }
}

/// A call that answers with the offset of an entry, which is never 0, or a code below 1.
#[inline]
pub(crate) fn offset(name: &'static str, call: impl FnOnce() -> Result<u64>) -> i64 {
    match guard(name, call) {
        Ok(offset) => {
            LAST_CODE.set(SYNA_SUCCESS);
            offset.cast_signed()
        }
        Err(failure) => note(&failure).into(),
    }
}

/// A call that answers with a pointer, NULL on errors.
#[inline]
pub(crate) fn pointer<T>(name: &'static str, call: impl FnOnce() -> Result<*mut T>) -> *mut T {
    match guard(name, call) {
        Ok(pointer) => {
            LAST_CODE.set(SYNA_SUCCESS);
            pointer
        }
        Err(failure) => {
            note(&failure);
            std::ptr::null_mut()
        }
    }
}

/// A call that answers with nothing.
pub(crate) fn nothing(name: &'static str, call: impl FnOnce() -> Result<()>) {
    status(name, call);
}

/// Runs what a consumer of Arrow calls back: how it went is told to it, and not noted.
pub(crate) fn callback<T>(name: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    guard(name, call)
}

/// Returns the code of this thread's last call: `SYNA_SUCCESS`, or the error that it reported.
///
/// Every function sets it but this one, `syna_last_error_message`, `syna_error_name`,
/// `syna_version` and `syna_abi_version`.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn syna_last_error() -> i32 {
    LAST_CODE.get()
}

/// Returns a sentence about this thread's last error, in UTF-8, never NULL; empty after success.
///
/// Owned by the library: valid until this thread's next call. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn syna_last_error_message() -> *const c_char {
    let code = LAST_CODE.get();
    if code == SYNA_SUCCESS {
        return c"".as_ptr();
    }
    LAST_MESSAGE
        .try_with(|last| last.try_borrow().map_or(name_of(code).as_ptr(), |last| last.as_ptr()))
        .unwrap_or(name_of(code).as_ptr())
}

fn name_of(code: i32) -> &'static CStr {
    if code == SYNA_ERR_INTERNAL_PANIC {
        return PANIC_NAME;
    }
    NAMES.iter().find(|(known, _)| *known == code).map_or(c"unknown", |(_, name)| name)
}

/// Returns the name of a code as it stands in this header, "unknown" for what is none. Never NULL.
///
/// Owned by the library: valid for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn syna_error_name(code: i32) -> *const c_char {
    name_of(code).as_ptr()
}

/// Returns the version of the library, "major.minor.patch".
///
/// Owned by the library: valid for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn syna_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The version of this interface: programs that were compiled with the same one fit the library.
pub const SYNA_ABI_VERSION: i32 = 1;

/// Returns the version of the interface that the library has, `SYNA_ABI_VERSION` when it was built.
/// It grows when a function or struct changes so that programs must be compiled again; additions
/// leave it as it is.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn syna_abi_version() -> i32 {
    SYNA_ABI_VERSION
}
