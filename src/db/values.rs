//! Many values of one key, handed over together.

use std::borrow::Cow;

use crate::atom::{Atom, AtomKind};
use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, Points};
use crate::error::{Result, SynaError};
use crate::format::file_header::Limits;
use crate::index::{Latest, stays_in_tail};
use crate::log::INLINE_VALUE_MAX;

use super::write::{ChunkPoints, Op, PutValue};

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

/// So many points of one key in one commit become a chunk.
pub(crate) const CHUNK_ROWS_MIN: usize = 32;

/// Appends what writes `points` under `key` to the ops of a commit: one chunk if they are many,
/// puts otherwise, and puts also where one of them is too large for a chunk of several.
pub(crate) fn ops_of_points<'a>(
    key: Cow<'a, str>,
    points: Points,
    limits: &Limits,
    policy: Policy,
    ops: &mut Vec<Op<'a>>,
) -> Result<()> {
    let is_large = |row| {
        matches!(points.kind(row), AtomKind::Text | AtomKind::Bytes)
            && points.blob(row).len() > INLINE_VALUE_MAX
    };
    if points.len() < CHUNK_ROWS_MIN || (0..points.len()).any(is_large) {
        for row in 0..points.len() {
            let point = points.point(row);
            let value = PutValue::of(&point.value, limits.value_size_max, policy)?;
            ops.push(Op::Put { key: key.clone(), timestamp: point.timestamp, value });
        }
        return Ok(());
    }
    let chunk = EncodedChunk::from_points(&points, policy, chunk_limit(limits))?;
    ops.push(op_of_chunk(key, chunk, points));
    Ok(())
}

/// The place of a chunk in the file may cost it some bytes of alignment.
fn chunk_limit(limits: &Limits) -> u64 {
    limits.chunk_size_max - 64
}

fn op_of_chunk(key: Cow<'_, str>, chunk: EncodedChunk, points: Points) -> Op<'_> {
    let stays = stays_in_tail(chunk.rows().into(), chunk.value_len());
    let kept = if stays {
        ChunkPoints::Tail(points)
    } else {
        let last = points.len() - 1;
        let timestamp = points.timestamps().last().copied().unwrap_or_default();
        ChunkPoints::Log(match points.kind(last) {
            AtomKind::Text | AtomKind::Bytes => Latest::InHistory,
            kind => Latest::Number { timestamp, kind, bits: points.number_bits(last) },
        })
    };
    Op::Chunk { key, chunk: Box::new(chunk), points: Box::new(kept) }
}

/// As [`ops_of_points`] for values still in the caller's slices: a long column of numbers is
/// encoded from where it lies.
pub(crate) fn ops_of_values<'a>(
    key: &'a str,
    timestamps: &[i64],
    values: &Values<'_>,
    limits: &Limits,
    policy: Policy,
) -> Result<Vec<Op<'a>>> {
    let mut ops = Vec::new();
    let stays = stays_in_tail(timestamps.len() as u64, timestamps.len() as u64 * 16);
    let number = |chunk, kind, bits| {
        let timestamp = timestamps.last().copied().unwrap_or_default();
        let latest = Latest::Number { timestamp, kind, bits };
        let points = Box::new(ChunkPoints::Log(latest));
        Op::Chunk { key: Cow::Borrowed(key), chunk: Box::new(chunk), points }
    };
    match values {
        Values::Floats(floats) if !stays && timestamps.len() == floats.len() => {
            let chunk = EncodedChunk::from_floats(timestamps, floats, policy, chunk_limit(limits))?;
            let last = floats.last().copied().unwrap_or_default();
            ops.push(number(chunk, AtomKind::Float, last.to_bits()));
        }
        Values::Ints(ints) if !stays && timestamps.len() == ints.len() => {
            let chunk = EncodedChunk::from_ints(timestamps, ints, policy, chunk_limit(limits))?;
            let last = ints.last().copied().unwrap_or_default();
            ops.push(number(chunk, AtomKind::Int, last.cast_unsigned()));
        }
        _ => {
            let mut points = Points::new();
            values.append_to(timestamps, &mut points)?;
            ops_of_points(Cow::Borrowed(key), points, limits, policy, &mut ops)?;
        }
    }
    Ok(ops)
}
