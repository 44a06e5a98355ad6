//! What can be stored: an [`Atom`], and a [`Point`] of one with its timestamp.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One typed value.
///
/// A key may hold any mix of kinds. `Null` is a value like the others: it is stored, counted and
/// handed to Arrow as a null slot. It is not the absence of a key.
///
/// Floats are kept bit for bit, NaN payloads and `-0.0` included; note that `==` on two atoms
/// compares floats as Rust does, so a NaN is not equal to itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Atom {
    /// Nothing was measured.
    Null,
    /// A double, all 2^64 bit patterns.
    Float(f64),
    /// A signed integer.
    Int(i64),
    /// UTF-8 text; may contain NUL and be empty.
    Text(String),
    /// Any bytes; may be empty.
    Bytes(Vec<u8>),
}

impl Atom {
    /// The kind of this atom.
    pub fn kind(&self) -> AtomKind {
        match self {
            Atom::Null => AtomKind::Null,
            Atom::Float(_) => AtomKind::Float,
            Atom::Int(_) => AtomKind::Int,
            Atom::Text(_) => AtomKind::Text,
            Atom::Bytes(_) => AtomKind::Bytes,
        }
    }

    /// The double, if this is a `Float`.
    pub fn as_float(&self) -> Option<f64> {
        if let Atom::Float(value) = self { Some(*value) } else { None }
    }

    /// The integer, if this is an `Int`.
    pub fn as_int(&self) -> Option<i64> {
        if let Atom::Int(value) = self { Some(*value) } else { None }
    }

    /// The text, if this is a `Text`.
    pub fn as_text(&self) -> Option<&str> {
        if let Atom::Text(value) = self { Some(value) } else { None }
    }

    /// The bytes, if this is a `Bytes`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Atom::Bytes(value) = self { Some(value) } else { None }
    }
}

/// The five kinds of [`Atom`], numbered as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AtomKind {
    /// [`Atom::Null`].
    Null = 0,
    /// [`Atom::Float`].
    Float = 1,
    /// [`Atom::Int`].
    Int = 2,
    /// [`Atom::Text`].
    Text = 3,
    /// [`Atom::Bytes`].
    Bytes = 4,
}

impl AtomKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [AtomKind; 5] =
        [AtomKind::Null, AtomKind::Float, AtomKind::Int, AtomKind::Text, AtomKind::Bytes];

    /// The kind with this number.
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name used on every interface: `null`, `float`, `int`, `text`, `bytes`.
    pub fn name(self) -> &'static str {
        match self {
            AtomKind::Null => "null",
            AtomKind::Float => "float",
            AtomKind::Int => "int",
            AtomKind::Text => "text",
            AtomKind::Bytes => "bytes",
        }
    }
}

impl fmt::Display for AtomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! atom_from {
    ($($source:ty => $variant:ident: $convert:expr;)*) => {
        $(impl From<$source> for Atom {
            fn from(value: $source) -> Self {
                Atom::$variant($convert(value))
            }
        })*
    };
}

atom_from! {
    f64 => Float: |v| v;
    f32 => Float: f64::from;
    i64 => Int: |v| v;
    i32 => Int: i64::from;
    u32 => Int: i64::from;
    bool => Int: i64::from;
    String => Text: |v| v;
    &str => Text: str::to_owned;
    Vec<u8> => Bytes: |v| v;
    &[u8] => Bytes: <[u8]>::to_vec;
}

/// One value with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Microseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// The value.
    pub value: Atom,
}
