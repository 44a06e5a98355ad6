//! What callers hand in: the places of results, strings, arrays.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::status::{Failure, Result};

/// The place where a result goes. It is set before any work is done, so that it never holds what
/// it held before the call.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Sets the place, if there is one.
    ///
    /// # Safety
    ///
    /// `place` is NULL, or nobody else uses it until the call ends and a `T` may be written there.
    #[inline]
    pub(crate) unsafe fn new(place: *mut T, initial: T) -> Out<T> {
        if !place.is_null() {
            // SAFETY: by the contract above. Unaligned, since foreign languages pack structs.
            unsafe { place.write_unaligned(initial) }
        }
        Out(place)
    }

    /// An error if there is no place.
    #[inline]
    pub(crate) fn require(&self) -> Result<()> {
        if self.0.is_null() { Err(Failure::Argument("an output is NULL")) } else { Ok(()) }
    }

    /// Puts the result there, if there is a place.
    #[inline]
    pub(crate) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: the contract of `new` holds until the call ends.
            unsafe { self.0.write_unaligned(value) }
        }
    }
}

/// A path: the bytes of a string.
///
/// # Safety
///
/// `path` is NULL or points to a string that ends with NUL and does not change until the call ends.
#[inline]
pub(crate) unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path> {
    if path.is_null() {
        return Err(Failure::Text("the path is NULL"));
    }
    // SAFETY: by the contract above.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if bytes.is_empty() {
        return Err(Failure::Text("the path is empty"));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// A key or a text: a string of UTF-8.
///
/// # Safety
///
/// As for [`path`].
#[inline]
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str> {
    if text.is_null() {
        return Err(Failure::Text("a key or text is NULL"));
    }
    // SAFETY: by the contract of `path`.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    utf8(bytes)
}

/// A key or a text with its length: any UTF-8, NUL included.
///
/// # Safety
///
/// `text` is NULL or points to `len` bytes that do not change until the call ends.
#[inline]
pub(crate) unsafe fn text_of_len<'a>(text: *const c_char, len: usize) -> Result<&'a str> {
    if text.is_null() {
        return Err(Failure::Text("a key or text is NULL"));
    }
    // SAFETY: by the contract above.
    utf8(unsafe { slice(text.cast::<u8>(), len) }?)
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Failure::Text("a key or text is not valid UTF-8"))
}

/// An array of the caller's.
///
/// # Safety
///
/// `first` is NULL or points to `len` values that do not change until the call ends.
#[inline]
pub(crate) unsafe fn slice<'a, T>(first: *const T, len: usize) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Failure::Argument("an array is NULL and its length is not 0"));
    }
    if !first.is_aligned() {
        return Err(Failure::Argument("an array is not aligned to its values"));
    }
    if len > isize::MAX.unsigned_abs() / size_of::<T>() {
        return Err(Failure::Argument("an array is longer than the memory"));
    }
    // SAFETY: by the contract above, and it is aligned and no longer than it may be.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// A number that may be left out.
///
/// # Safety
///
/// `number` is NULL or points to one.
#[inline]
pub(crate) unsafe fn optional<T: Copy>(number: *const T) -> Option<T> {
    // SAFETY: by the contract above. Unaligned, as in `Out`.
    if number.is_null() { None } else { Some(unsafe { number.read_unaligned() }) }
}
