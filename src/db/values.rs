//! Many values of one key, handed over together.

use crate::atom::{Atom, AtomKind};
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::value;

/// Values of one key, one for each timestamp, as [`SynaDB::append_batch`](crate::SynaDB) takes
/// them. Made from slices by `into()`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Values<'a> {
    /// Doubles, kept bit for bit.
    Floats(&'a [f64]),
    /// Integers.
    Ints(&'a [i64]),
    /// Texts.
    Texts(&'a [&'a str]),
    /// Byte strings.
    Bytes(&'a [&'a [u8]]),
    /// Any mix.
    Atoms(&'a [Atom]),
}

impl Values<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Texts(values) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Atoms(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of the longest value as an entry has it.
    pub(crate) fn encoded_len_max(&self) -> u64 {
        let longest = match self {
            Values::Floats(_) | Values::Ints(_) => return 0,
            Values::Texts(values) => values.iter().map(|text| text.len()).max(),
            Values::Bytes(values) => values.iter().map(|bytes| bytes.len()).max(),
            Values::Atoms(values) => {
                return values.iter().map(value::encoded_len).max().unwrap_or(0);
            }
        };
        longest.map_or(0, |len| (value::BLOB_PREFIX + len) as u64)
    }

    /// Appends the values with their timestamps to columns.
    pub(crate) fn append_to(&self, timestamps: &[i64], points: &mut Points) -> Result<()> {
        if timestamps.len() != self.len() {
            let (timestamps, values) = (timestamps.len(), self.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        match self {
            Values::Floats(values) => points.extend_floats(timestamps, values),
            Values::Ints(values) => points.extend_ints(timestamps, values),
            Values::Texts(values) => {
                for (&timestamp, text) in timestamps.iter().zip(*values) {
                    points.push_blob(timestamp, AtomKind::Text, text.as_bytes().into());
                }
            }
            Values::Bytes(values) => {
                for (&timestamp, bytes) in timestamps.iter().zip(*values) {
                    points.push_blob(timestamp, AtomKind::Bytes, (*bytes).into());
                }
            }
            Values::Atoms(values) => {
                for (&timestamp, atom) in timestamps.iter().zip(*values) {
                    points.push(timestamp, atom);
                }
            }
        }
        Ok(())
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Values::Floats(values)
    }
}

impl<'a> From<&'a [i64]> for Values<'a> {
    fn from(values: &'a [i64]) -> Self {
        Values::Ints(values)
    }
}

impl<'a> From<&'a [&'a str]> for Values<'a> {
    fn from(values: &'a [&'a str]) -> Self {
        Values::Texts(values)
    }
}

impl<'a> From<&'a [&'a [u8]]> for Values<'a> {
    fn from(values: &'a [&'a [u8]]) -> Self {
        Values::Bytes(values)
    }
}

impl<'a> From<&'a [Atom]> for Values<'a> {
    fn from(values: &'a [Atom]) -> Self {
        Values::Atoms(values)
    }
}

impl<'a> From<&'a Vec<f64>> for Values<'a> {
    fn from(values: &'a Vec<f64>) -> Self {
        Values::Floats(values)
    }
}

impl<'a> From<&'a Vec<i64>> for Values<'a> {
    fn from(values: &'a Vec<i64>) -> Self {
        Values::Ints(values)
    }
}

impl<'a> From<&'a Vec<Atom>> for Values<'a> {
    fn from(values: &'a Vec<Atom>) -> Self {
        Values::Atoms(values)
    }
}

impl<'a, const N: usize> From<&'a [f64; N]> for Values<'a> {
    fn from(values: &'a [f64; N]) -> Self {
        Values::Floats(values)
    }
}

impl<'a, const N: usize> From<&'a [i64; N]> for Values<'a> {
    fn from(values: &'a [i64; N]) -> Self {
        Values::Ints(values)
    }
}
