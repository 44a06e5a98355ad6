//! Many points of one key in one commit: which entries write them.

use std::borrow::Cow;

use arrow_buffer::ScalarBuffer;

use crate::atom::AtomKind;
use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, NumberBuffer, Points};
use crate::error::{Result, SynaError};
use crate::format::chunk::BLOCK_ROWS;
use crate::format::file_header::Limits;
use crate::index::{Latest, stays_in_tail};
use crate::log::INLINE_VALUE_MAX;

use super::values::Values;
use super::write::{ChunkPoints, Op, PutValue};

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
    // What stays in memory is sealed with its neighbours later, and then encoded anew.
    let stays = stays_in_tail(points.len() as u64, 0);
    let chosen = if stays { policy.for_now() } else { policy };
    match EncodedChunk::from_points(&points, chosen, chunk_limit(limits)) {
        Ok(chunk) => ops.push(op_of_chunk(key, chunk, points)),
        // More than one chunk may hold.
        Err(SynaError::BatchTooLarge { .. }) if points.len() >= 2 * CHUNK_ROWS_MIN => {
            let (half, end) = (points.len() / 2, points.len());
            let later = points.slice(half..end);
            let mut earlier = points;
            earlier.truncate(half);
            ops_of_points(key.clone(), earlier, limits, policy, ops)?;
            ops_of_points(key, later, limits, policy, ops)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The place of a chunk in the file may cost it some bytes of alignment.
fn chunk_limit(limits: &Limits) -> u64 {
    limits.chunk_size_max - 64
}

/// So many numbers fit one chunk, whatever they are: 16 bytes each, and of every block its record
/// and those of its two columns.
fn numbers_max(limits: &Limits) -> usize {
    let blocks = chunk_limit(limits) / (BLOCK_ROWS as u64 * 16 + 1_024);
    usize::try_from(blocks).unwrap_or(usize::MAX).max(1).saturating_mul(BLOCK_ROWS)
}

fn op_of_chunk(key: Cow<'_, str>, chunk: EncodedChunk, points: Points) -> Op<'_> {
    let last = points.len() - 1;
    let timestamp = points.timestamps().last().copied().unwrap_or_default();
    let latest = match points.kind(last) {
        AtomKind::Text | AtomKind::Bytes => Latest::InHistory,
        kind => Latest::Number { timestamp, kind, bits: points.number_bits(last) },
    };
    let stays = stays_in_tail(chunk.rows().into(), chunk.value_len());
    let points = if stays { ChunkPoints::Tail(points) } else { ChunkPoints::Log(latest) };
    Op::Chunk { key, chunk: Box::new(chunk), points: Box::new(points) }
}

/// Many points of one key, as they are handed over.
pub(crate) enum Run<'a> {
    Floats(&'a [i64], &'a [f64]),
    Ints(&'a [i64], &'a [i64]),
    /// Numbers in memory that the chunk may hold on to.
    Shared(ScalarBuffer<i64>, NumberBuffer),
    Points(Points),
}

impl<'a> Run<'a> {
    /// One point for each timestamp.
    pub(crate) fn of_values(timestamps: &'a [i64], values: &Values<'a>) -> Result<Run<'a>> {
        if timestamps.len() != values.len() {
            let (timestamps, values) = (timestamps.len(), values.len());
            return Err(SynaError::LengthMismatch { timestamps, values });
        }
        Ok(match values {
            Values::Floats(floats) => Run::Floats(timestamps, floats),
            Values::Ints(ints) => Run::Ints(timestamps, ints),
            _ => {
                let mut points = Points::new();
                values.append_to(timestamps, &mut points)?;
                Run::Points(points)
            }
        })
    }

    fn len(&self) -> usize {
        match self {
            Run::Floats(timestamps, _) | Run::Ints(timestamps, _) => timestamps.len(),
            Run::Shared(timestamps, _) => timestamps.len(),
            Run::Points(points) => points.len(),
        }
    }

    fn into_points(self) -> Points {
        let mut points = Points::new();
        match self {
            Run::Floats(timestamps, floats) => points.extend_floats(timestamps, floats),
            Run::Ints(timestamps, ints) => points.extend_ints(timestamps, ints),
            Run::Shared(timestamps, NumberBuffer::Floats(floats)) => {
                points.extend_floats(&timestamps, &floats);
            }
            Run::Shared(timestamps, NumberBuffer::Ints(ints)) => {
                points.extend_ints(&timestamps, &ints);
            }
            Run::Points(all) => points = all,
        }
        points
    }

    /// The rows before `rows` and those from there on; `None` for points in columns of their own.
    fn split_at(&self, rows: usize) -> Option<(Run<'a>, Run<'a>)> {
        Some(match self {
            Run::Floats(timestamps, floats) => {
                let ((a, b), (c, d)) = (timestamps.split_at(rows), floats.split_at(rows));
                (Run::Floats(a, c), Run::Floats(b, d))
            }
            Run::Ints(timestamps, ints) => {
                let ((a, b), (c, d)) = (timestamps.split_at(rows), ints.split_at(rows));
                (Run::Ints(a, c), Run::Ints(b, d))
            }
            Run::Shared(timestamps, values) => {
                let rest = timestamps.len() - rows;
                let part = |from, len| {
                    let values = match values {
                        NumberBuffer::Floats(floats) => {
                            NumberBuffer::Floats(floats.slice(from, len))
                        }
                        NumberBuffer::Ints(ints) => NumberBuffer::Ints(ints.slice(from, len)),
                    };
                    Run::Shared(timestamps.slice(from, len), values)
                };
                (part(0, rows), part(rows, rest))
            }
            Run::Points(_) => return None,
        })
    }
}

/// As [`ops_of_points`]: a long column of numbers is encoded from where it lies, and in several
/// chunks if one cannot hold it.
pub(crate) fn ops_of_run<'a>(
    key: Cow<'a, str>,
    mut run: Run<'_>,
    limits: &Limits,
    policy: Policy,
    ops: &mut Vec<Op<'a>>,
) -> Result<()> {
    let most = numbers_max(limits);
    while run.len() > most
        && let Some((first, rest)) = run.split_at(most)
    {
        ops_of_run(key.clone(), first, limits, policy, ops)?;
        run = rest;
    }
    if stays_in_tail(run.len() as u64, run.len() as u64 * 16) {
        return ops_of_points(key, run.into_points(), limits, policy, ops);
    }
    let max = chunk_limit(limits);
    let (chunk, timestamp, kind, bits) = match &run {
        Run::Points(_) => return ops_of_points(key, run.into_points(), limits, policy, ops),
        Run::Floats(timestamps, floats) => {
            let chunk = EncodedChunk::from_floats(timestamps, floats, policy, max)?;
            let last = floats.last().copied().unwrap_or_default();
            (chunk, timestamps.last().copied(), AtomKind::Float, last.to_bits())
        }
        Run::Ints(timestamps, ints) => {
            let chunk = EncodedChunk::from_ints(timestamps, ints, policy, max)?;
            let last = ints.last().copied().unwrap_or_default();
            (chunk, timestamps.last().copied(), AtomKind::Int, last.cast_unsigned())
        }
        Run::Shared(timestamps, values) => {
            let chunk = EncodedChunk::from_buffers(timestamps, values, policy, max)?;
            let (kind, bits) = match values {
                NumberBuffer::Floats(floats) => {
                    (AtomKind::Float, floats.last().copied().unwrap_or_default().to_bits())
                }
                NumberBuffer::Ints(ints) => {
                    (AtomKind::Int, ints.last().copied().unwrap_or_default().cast_unsigned())
                }
            };
            (chunk, timestamps.last().copied(), kind, bits)
        }
    };
    let timestamp = timestamp.unwrap_or_default();
    let latest = ChunkPoints::Log(Latest::Number { timestamp, kind, bits });
    ops.push(Op::Chunk { key, chunk: Box::new(chunk), points: Box::new(latest) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynaDB;
    use crate::db::Commit;

    const SMALL: Limits = Limits {
        value_size_max: 64 << 20,
        chunk_size_max: 300 << 10,
        block_rows_max: 65_536,
        block_decoded_size_max: 64 << 20,
    };

    /// The chunks that write a run, and that they give it back, in one commit behind other points.
    fn chunks(run: Run<'_>, expected: &Points) -> usize {
        for before in [0, 3] {
            let db = SynaDB::in_memory().unwrap();
            for row in 0..before {
                db.append_at("key", row, row).unwrap();
            }
            let mut ops = Vec::new();
            let copied = match &run {
                Run::Floats(timestamps, floats) => Run::Floats(timestamps, floats),
                Run::Ints(timestamps, ints) => Run::Ints(timestamps, ints),
                Run::Shared(timestamps, values) => Run::Shared(timestamps.clone(), values.clone()),
                Run::Points(points) => Run::Points(points.clone()),
            };
            ops_of_run("key".into(), copied, &SMALL, Policy::RAW, &mut ops).unwrap();
            let rows: Vec<u32> = ops
                .iter()
                .map(|op| match op {
                    Op::Chunk { chunk, .. } => {
                        assert!(chunk.value_len() <= SMALL.chunk_size_max);
                        chunk.rows()
                    }
                    _ => panic!("a put"),
                })
                .collect();
            assert_eq!(rows.iter().map(|rows| *rows as usize).sum::<usize>(), expected.len());
            db.open.core.commit(Commit::new(ops)).unwrap();
            let found = db.get_history_rows("key", before.cast_unsigned()..u64::MAX).unwrap();
            assert_eq!(found.len(), expected.len());
            for (row, point) in found.into_iter().enumerate() {
                assert_eq!(point, expected.point(row));
            }
            if before > 0 {
                return rows.len();
            }
        }
        0
    }

    #[test]
    fn what_one_chunk_cannot_hold_becomes_several_in_one_commit() {
        let timestamps: Vec<i64> = (0..50_000).collect();
        let floats: Vec<f64> = timestamps.iter().map(|t| *t as f64 / 4.0).collect();
        let mut points = Points::new();
        points.extend_floats(&timestamps, &floats);
        assert_eq!(chunks(Run::Floats(&timestamps, &floats), &points), 4);
        let shared = NumberBuffer::Floats(floats.clone().into());
        assert_eq!(chunks(Run::Shared(timestamps.clone().into(), shared), &points), 4);
        assert_eq!(chunks(Run::Points(points.clone()), &points), 4);
        let mut points = Points::new();
        points.extend_ints(&timestamps, &timestamps);
        assert_eq!(chunks(Run::Ints(&timestamps, &timestamps), &points), 4);
        let mut points = Points::new();
        for timestamp in 0..1_000 {
            points.push_blob(timestamp, AtomKind::Text, vec![b'x'; 1_000].into());
        }
        assert_eq!(chunks(Run::Points(points.clone()), &points), 4);
    }
}
