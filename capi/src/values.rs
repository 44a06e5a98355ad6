//! What a call on one key does, whatever it found the database by.

use std::ffi::c_char;

use synadb_core::{
    Atom, AtomKind, History, Point, Series, Snapshot, SynaDB, SynaError, Tensor, TensorNumber,
};

use crate::input::Out;
use crate::memory;
use crate::status::{Failure, Result, status};

/// A point whose value is null.
pub const SYNA_KIND_NULL: i32 = 1;
/// A point whose value is a double.
pub const SYNA_KIND_FLOAT: i32 = 2;
/// A point whose value is a 64-bit integer.
pub const SYNA_KIND_INT: i32 = 3;
/// A point whose value is a text.
pub const SYNA_KIND_TEXT: i32 = 4;
/// A point whose value is bytes.
pub const SYNA_KIND_BYTES: i32 = 5;

/// What answers about keys: a database as it is now, or a snapshot.
pub(crate) trait Keys {
    fn value(&self, key: &str) -> synadb_core::Result<Option<Atom>>;
    fn point_at(&self, key: &str, timestamp: i64) -> synadb_core::Result<Option<Point>>;
    fn is_there(&self, key: &str) -> synadb_core::Result<bool>;
    fn all(&self) -> synadb_core::Result<Vec<String>>;
    fn matching(&self, pattern: &str) -> synadb_core::Result<Vec<String>>;
    fn history_of(&self, key: &str) -> synadb_core::Result<History>;
}

macro_rules! keys_of {
    ($($type:ty),*) => {
        $(impl Keys for $type {
            #[inline]
            fn value(&self, key: &str) -> synadb_core::Result<Option<Atom>> {
                self.get(key)
            }

            fn point_at(&self, key: &str, timestamp: i64) -> synadb_core::Result<Option<Point>> {
                self.get_point_at(key, timestamp)
            }

            fn is_there(&self, key: &str) -> synadb_core::Result<bool> {
                self.exists(key)
            }

            fn all(&self) -> synadb_core::Result<Vec<String>> {
                self.keys()
            }

            fn matching(&self, pattern: &str) -> synadb_core::Result<Vec<String>> {
                self.keys_matching(pattern)
            }

            fn history_of(&self, key: &str) -> synadb_core::Result<History> {
                self.history(key)
            }
        })*
    };
}

keys_of!(SynaDB, Snapshot);

/// Refuses the keys that the store refuses to write, so that they are no absent ones.
#[inline]
pub(crate) fn check_key(key: &str) -> Result<&str> {
    match key.len() {
        0 => Err(SynaError::EmptyKey.into()),
        len if len > usize::from(u16::MAX) => Err(SynaError::KeyTooLong { len }.into()),
        _ => Ok(key),
    }
}

fn absent(key: &str) -> Failure {
    SynaError::KeyNotFound { key: key.to_owned() }.into()
}

fn mismatch(key: &str, expected: AtomKind, found: &Atom) -> Failure {
    SynaError::TypeMismatch { key: key.to_owned(), expected, found: found.kind() }.into()
}

/// The latest value, or the one as of a time.
#[inline]
pub(crate) fn get(db: &impl Keys, key: &str, at: Option<i64>) -> Result<Atom> {
    let key = check_key(key)?;
    let value = match at {
        None => db.value(key)?,
        Some(timestamp) => db.point_at(key, timestamp)?.map(|point| point.value),
    };
    value.ok_or_else(|| absent(key))
}

/// The latest value of a series.
#[inline]
pub(crate) fn latest(series: &Series) -> Result<Atom> {
    series.get()?.ok_or_else(|| absent(series.key()))
}

#[inline]
pub(crate) fn float(key: &str, value: &Atom) -> Result<f64> {
    value.as_float().ok_or_else(|| mismatch(key, AtomKind::Float, value))
}

#[inline]
pub(crate) fn int(key: &str, value: &Atom) -> Result<i64> {
    value.as_int().ok_or_else(|| mismatch(key, AtomKind::Int, value))
}

/// Hands a text out.
pub(crate) fn text(key: &str, value: Atom, out_len: &Out<usize>) -> Result<*mut c_char> {
    let Atom::Text(text) = value else { return Err(mismatch(key, AtomKind::Text, &value)) };
    let len = text.len();
    let text = memory::text(text)?;
    out_len.set(len);
    Ok(text)
}

/// Hands bytes out.
pub(crate) fn bytes(key: &str, value: Atom, out_len: &Out<usize>) -> Result<*mut u8> {
    let Atom::Bytes(bytes) = value else { return Err(mismatch(key, AtomKind::Bytes, &value)) };
    let len = bytes.len();
    let bytes = memory::bytes(bytes)?;
    out_len.set(len);
    Ok(bytes)
}

pub(crate) fn kind(value: &Atom) -> i32 {
    match value.kind() {
        AtomKind::Null => SYNA_KIND_NULL,
        AtomKind::Float => SYNA_KIND_FLOAT,
        AtomKind::Int => SYNA_KIND_INT,
        AtomKind::Text => SYNA_KIND_TEXT,
        AtomKind::Bytes => SYNA_KIND_BYTES,
    }
}

pub(crate) fn exists(db: &impl Keys, key: &str) -> Result<bool> {
    Ok(db.is_there(check_key(key)?)?)
}

/// Appends one value, now or with the caller's time.
#[inline]
pub(crate) fn put(
    db: &SynaDB,
    key: &str,
    timestamp: Option<i64>,
    value: impl Into<Atom>,
) -> Result<u64> {
    Ok(match timestamp {
        None => db.append(key, value)?,
        Some(timestamp) => db.append_at(key, timestamp, value)?,
    })
}

/// Appends many values of one key as one commit. Without timestamps all of them have the time of
/// the call.
pub(crate) fn put_many<'a>(
    db: &SynaDB,
    key: &str,
    timestamps: Option<&[i64]>,
    values: impl Into<synadb_core::Values<'a>>,
) -> Result<u64> {
    let values = values.into();
    if let Some(timestamps) = timestamps {
        return Ok(db.append_batch(key, timestamps, values)?);
    }
    let mut stamps = Vec::new();
    stamps.try_reserve_exact(values.len()).map_err(|_| Failure::NoMemory)?;
    stamps.resize(values.len(), synadb_core::bindings::now());
    Ok(db.append_batch(key, &stamps, values)?)
}

/// The places of keys, their lengths and their number.
pub(crate) struct OutKeys {
    keys: Out<*mut *mut c_char>,
    lengths: Out<*mut usize>,
    len: Out<usize>,
}

impl OutKeys {
    /// # Safety
    ///
    /// As for [`Out::new`].
    pub(crate) unsafe fn new(
        keys: *mut *mut *mut c_char,
        lengths: *mut *mut usize,
        len: *mut usize,
    ) -> OutKeys {
        // SAFETY: by the contract above.
        unsafe {
            OutKeys {
                keys: Out::new(keys, std::ptr::null_mut()),
                lengths: Out::new(lengths, std::ptr::null_mut()),
                len: Out::new(len, 0),
            }
        }
    }

    pub(crate) fn require(&self) -> Result<()> {
        self.keys.require()?;
        self.lengths.require()?;
        self.len.require()
    }

    /// Hands the keys out.
    pub(crate) fn set(&self, keys: &[String]) -> Result<()> {
        let handed_out = memory::keys(keys)?;
        self.keys.set(handed_out.texts);
        self.lengths.set(handed_out.lengths);
        self.len.set(keys.len());
        Ok(())
    }
}

pub(crate) fn delete(db: &SynaDB, key: &str) -> Result<()> {
    if db.delete(key)? { Ok(()) } else { Err(absent(key)) }
}

/// Hands out the keys that match, or all.
pub(crate) fn keys(db: &impl Keys, pattern: Option<&str>) -> Result<Vec<String>> {
    Ok(match pattern {
        None => db.all()?,
        Some(pattern) => db.matching(pattern)?,
    })
}

/// A call that hands out a tensor, and where `timestamps` is not NULL those of its values.
///
/// # Safety
///
/// As for [`Out::new`].
pub(crate) unsafe fn tensor_call<T>(
    name: &'static str,
    timestamps: *mut *mut i64,
    out: *mut *mut T,
    out_len: *mut usize,
    tensor: impl FnOnce(Option<&Out<*mut i64>>, &Out<usize>) -> Result<*mut T>,
) -> i32 {
    let wanted = !timestamps.is_null();
    // SAFETY: by the contract above.
    let (timestamps, out, out_len) = unsafe {
        let timestamps = Out::new(timestamps, std::ptr::null_mut());
        (timestamps, Out::new(out, std::ptr::null_mut()), Out::new(out_len, 0))
    };
    status(name, || {
        out.require()?;
        out_len.require()?;
        out.set(tensor(wanted.then_some(&timestamps), &out_len)?);
        Ok(())
    })
}

/// Hands out the doubles of a history, and where asked for their timestamps.
pub(crate) fn tensor(
    history: &History,
    timestamps: Option<&Out<*mut i64>>,
    out_len: &Out<usize>,
) -> Result<*mut f64> {
    let tensor = history.only_floats()?;
    hand_out(history, AtomKind::Float, tensor, memory::floats, timestamps, out_len)
}

/// As [`tensor`] for integers.
pub(crate) fn tensor_int(
    history: &History,
    timestamps: Option<&Out<*mut i64>>,
    out_len: &Out<usize>,
) -> Result<*mut i64> {
    let tensor = history.only_ints()?;
    hand_out(history, AtomKind::Int, tensor, memory::ints, timestamps, out_len)
}

fn hand_out<T: TensorNumber>(
    history: &History,
    kind: AtomKind,
    tensor: Tensor<T>,
    start_of: fn(Tensor<T>) -> Result<*mut T>,
    timestamps: Option<&Out<*mut i64>>,
    out_len: &Out<usize>,
) -> Result<*mut T> {
    let len = tensor.len();
    // Made before anything is handed out, which an error would leave without an owner.
    let stamps = timestamps.map(|_| history.only_timestamps(kind)).transpose()?;
    let start = start_of(tensor)?;
    if let (Some(out), Some(stamps)) = (timestamps, stamps) {
        out.set(memory::ints(stamps)?);
    }
    out_len.set(len);
    Ok(start)
}
