//! Choosing tails to seal, and building the chunk that replaces them.

use std::sync::Arc;

use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, Points};
use crate::error::Result;
use crate::log::LogFile;

use super::history::{Segment, SegmentBody};
use super::key_table::KeyId;
use super::view::load_chunk;
use super::{Index, LoadedChunk};

/// A tail of so many points is sealed at once: a full block.
pub(crate) const SEAL_ROWS: usize = 8_192;
/// A tail of so many bytes is sealed at once.
pub(crate) const SEAL_BYTES: usize = 1 << 20;
/// A tail of fewer points is not sealed to save memory: a chunk would take more than it frees.
pub(crate) const SEAL_ROWS_MIN: usize = 32;

/// Whether the rows of a chunk of so many rows and bytes are kept in memory, to be sealed with
/// their neighbours, rather than left where they are.
pub(crate) fn stays_in_tail(rows: u64, val_len: u64) -> bool {
    rows < SEAL_ROWS as u64 && val_len < SEAL_BYTES as u64
}

/// A tail of so many points is sealed before a checkpoint rather than stored in it; a chunk of so
/// many is not sealed again with its neighbours. A point is stored once in a chunk then, and not
/// in every checkpoint that comes while it waits for its block to fill.
pub(crate) const CHUNK_ROWS_KEPT: usize = 1_024;

/// A chunk that is to replace rows of a key, not yet written.
pub(crate) struct Seal {
    pub(crate) id: KeyId,
    pub(crate) key: Box<str>,
    pub(crate) first_row: u64,
    pub(crate) chunk: EncodedChunk,
}

/// Tails that may be sealed, by size class, so that the largest is found without a search.
///
/// A key is filed again whenever its tail's memory grows to a new class; what was filed before
/// stays and is recognized as outdated when it comes up.
#[derive(Default)]
pub(crate) struct SealQueue {
    classes: Vec<Vec<KeyId>>,
}

impl SealQueue {
    /// Files a key whose tail holds so many bytes.
    pub(crate) fn file(&mut self, id: KeyId, bytes: usize) {
        let class = class_of(bytes);
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Vec::new);
        }
        if let Some(ids) = self.classes.get_mut(class) {
            ids.push(id);
        }
    }

    /// Takes a key of the largest class for which `bytes_of` still gives that class.
    pub(crate) fn take_largest(&mut self, bytes_of: impl Fn(KeyId) -> usize) -> Option<KeyId> {
        for (class, ids) in self.classes.iter_mut().enumerate().rev() {
            while let Some(id) = ids.pop() {
                if class_of(bytes_of(id)) == class {
                    return Some(id);
                }
            }
        }
        None
    }
}

/// A class for every power of two: growth by doubling always moves a tail to the next one.
fn class_of(bytes: usize) -> usize {
    (usize::BITS - bytes.leading_zeros()) as usize
}

impl Index {
    /// Builds the chunk that seals the tail of a key, or `None` if there is nothing to seal.
    ///
    /// It takes in the chunks before the tail while they are no larger than what is being sealed
    /// and small: a key has few small chunks, and no point is written again more often than the
    /// logarithm of [`CHUNK_ROWS_KEPT`].
    pub(crate) fn seal(&self, log: &LogFile, id: KeyId, policy: Policy) -> Result<Option<Seal>> {
        let Some(slot) = self.slot(id) else { return Ok(None) };
        let history = slot.history.lock();
        let max = log.limits().chunk_size_max;
        if history.frozen > 0 {
            let frozen = history.rows.segments.iter().find_map(|segment| match &segment.body {
                SegmentBody::Points(points) => Some((segment.first_row, points)),
                SegmentBody::Chunk { .. } | SegmentBody::Put { .. } => None,
            });
            if let Some((first_row, points)) = frozen {
                let chunk = EncodedChunk::from_points(points, policy, max)?;
                return Ok(Some(Seal { id, key: (*slot.key).into(), first_row, chunk }));
            }
        }
        let tail_len = history.rows.tail.len();
        if tail_len == 0 {
            return Ok(None);
        }
        let mut first_row = history.tail_row();
        let mut absorbed: Vec<Arc<Segment>> = Vec::new();
        let (mut rows, mut bytes) = (tail_len as u64, history.rows.tail.memory_bytes() as u64);
        for segment in history.rows.segments.iter().rev() {
            let small = matches!(segment.body, SegmentBody::Chunk { .. })
                && segment.rows <= rows
                && segment.rows < CHUNK_ROWS_KEPT as u64
                && segment.stored_len() <= bytes.min(SEAL_BYTES as u64)
                && segment.first_row >= history.current.live_from;
            if !small {
                break;
            }
            first_row = segment.first_row;
            rows += segment.rows;
            bytes += segment.stored_len();
            absorbed.push(Arc::clone(segment));
        }
        let chunk = if absorbed.is_empty()
            && let super::history::Tail::Many(points) = &history.rows.tail
        {
            EncodedChunk::from_points(points, policy, max)?
        } else {
            let mut points = Points::with_capacity(usize::try_from(rows).unwrap_or(0));
            for segment in absorbed.iter().rev() {
                let loaded: Arc<LoadedChunk> = load_chunk(log, &slot.key, segment)?;
                loaded.decode(log, 0, u32::MAX, &mut points)?;
            }
            points.extend_from(&history.rows.tail.slice(0..tail_len), 0..tail_len);
            EncodedChunk::from_points(&points, policy, max)?
        };
        Ok(Some(Seal { id, key: (*slot.key).into(), first_row, chunk }))
    }
}
