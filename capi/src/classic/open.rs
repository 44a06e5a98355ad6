//! Opening and closing by path.

use std::ffi::c_char;

use synadb_core::{close_db, open_db, open_db_read_only, open_db_read_only_with, open_db_with};

use crate::input;
use crate::options::{self, syna_options};
use crate::status::status;

/// Opens the database at `path` for writing with the default options, creating it if there is none,
/// or counts one more open of it. Every put is durable when it returns.
///
/// The bytes of `path` are bound to the database: the same bytes lead to it until the last
/// `syna_close`, whatever `chdir`, renames and links do meanwhile. Another spelling of the file is
/// resolved at its first use and bound, too. In one process all names of one file are one database.
/// Where somebody else moved, replaced or removed the file (it is DETACHED then) the next open of its
/// path leads to what is there now, for the earlier opens as well; each still takes a `syna_close`.
///
/// Threads: any; an open of one file waits for no other file. Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED,
/// OPTIONS_CONFLICT, NETWORK_FS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_open(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_open", || Ok(open_db(input::path(path)?)?)) }
}

/// As `syna_open` with options; NULL is all defaults. With `read_only` it is `syna_open_read_only`.
///
/// Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED, OPTIONS_CONFLICT, NETWORK_FS, FILE_NOT_FOUND, ALREADY_EXISTS,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_open_with_config(
    path: *const c_char,
    options: *const syna_options,
) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe {
        status("syna_open_with_config", || {
            let (path, options) = (input::path(path)?, options::read(options)?);
            match options.is_read_only()? {
                true => open_db_read_only_with(path, options.config()?)?,
                false => open_db_with(path, options.config()?)?,
            }
            Ok(())
        })
    }
}

/// Opens the database at `path` for reading, also while another process writes to it. Takes no lock
/// and changes nothing. A path that is open for writing stays so, and is counted.
///
/// Threads: any. Status: SUCCESS, OPEN, FILE_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_open_read_only(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_open_read_only", || Ok(open_db_read_only(input::path(path)?)?)) }
}

/// Ends one open of the database; the last one writes everything out, syncs it and releases the
/// lock. Whatever it reports, the open is ended. Arrays, tensors, texts and keys that were handed out
/// stay valid.
///
/// Threads: any; calls of other threads that are under way end as they would, or with CLOSED.
/// Status: SUCCESS, PATH, IO, POISONED, DETACHED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syna_close(path: *const c_char) -> i32 {
    // SAFETY: the header asks callers for what these functions do.
    unsafe { status("syna_close", || Ok(close_db(input::path(path)?)?)) }
}
