//! The classic calls: databases by the path they were opened with.

mod get;
mod open;
mod put;

use std::ffi::c_char;

use synadb_core::{SynaDB, with_db};

use crate::input;
use crate::status::Result;

/// Runs `call` on the database that is open at `path`.
///
/// # Safety
///
/// As for [`input::path`].
#[inline]
pub(crate) unsafe fn on_path<T>(
    path: *const c_char,
    call: impl FnOnce(&SynaDB) -> Result<T>,
) -> Result<T> {
    // SAFETY: by the contract above.
    with_db(unsafe { input::path(path) }?, call)
}
