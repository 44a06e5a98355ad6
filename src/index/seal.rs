//! Choosing tails to seal, and building the chunk that replaces them.

use std::sync::Arc;

use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, Points};
use crate::error::Result;
use crate::log::LogFile;

use super::history::{KeySlot, Segment, SegmentBody};
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
/// stays and is recognized as outdated when it comes up, or when the queue is pruned.
#[derive(Default)]
pub(crate) struct SealQueue {
    classes: Vec<Vec<KeyId>>,
    /// Keys in all classes, outdated ones included.
    len: usize,
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
            self.len += 1;
        }
    }

    /// How many keys are filed, outdated ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Drops what is outdated: `bytes_of` says how many bytes a key's tail holds now.
    pub(crate) fn prune(&mut self, bytes_of: impl Fn(KeyId) -> usize) {
        self.len = 0;
        for (class, ids) in self.classes.iter_mut().enumerate() {
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| class_of(bytes_of(*id)) == class);
            self.len += ids.len();
        }
    }

    /// Takes a key of the largest class for which `bytes_of` still gives that class.
    pub(crate) fn take_largest(&mut self, bytes_of: impl Fn(KeyId) -> usize) -> Option<KeyId> {
        for (class, ids) in self.classes.iter_mut().enumerate().rev() {
            while let Some(id) = ids.pop() {
                self.len -= 1;
                if class_of(bytes_of(id)) == class {
                    return Some(id);
                }
            }
        }
        None
    }
}

/// A class for every power of two: room for more is always made up to the next one.
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
        let Some(Unsealed { first_row, absorbed, points }) = Unsealed::of(slot) else {
            return Ok(None);
        };
        let points = if absorbed.is_empty() {
            points
        } else {
            let mut all = Points::new();
            for segment in absorbed.iter().rev() {
                let loaded: Arc<LoadedChunk> = load_chunk(log, &slot.key, segment)?;
                loaded.decode(log, 0, u32::MAX, &mut all)?;
            }
            all.extend_from(&points, 0..points.len());
            all
        };
        let chunk = EncodedChunk::from_points(&points, policy, log.limits().chunk_size_max)?;
        Ok(Some(Seal { id, key: (*slot.key).into(), first_row, chunk }))
    }
}

/// Rows that are to be sealed, as they are at one moment. Copied, so that the key's history is
/// locked no longer than that takes: encoding takes ten times as long.
struct Unsealed {
    first_row: u64,
    /// Chunks before the points, to be sealed with them, newest first.
    absorbed: Vec<Arc<Segment>>,
    points: Points,
}

impl Unsealed {
    fn of(slot: &KeySlot) -> Option<Unsealed> {
        let history = slot.history.lock();
        if history.frozen > 0 {
            let frozen = history.rows.segments.iter().find_map(|segment| match &segment.body {
                SegmentBody::Points(points) => Some((segment.first_row, points)),
                SegmentBody::Chunk { .. } | SegmentBody::Put { .. } => None,
            });
            if let Some((first_row, points)) = frozen {
                let (absorbed, points) = (Vec::new(), points.clone());
                return Some(Unsealed { first_row, absorbed, points });
            }
        }
        let newest = slot.versions.newest();
        let tail_len = history.rows.tail_len(newest.rows);
        if tail_len == 0 {
            return None;
        }
        let mut first_row = history.rows.tail_row;
        let mut absorbed: Vec<Arc<Segment>> = Vec::new();
        let (mut rows, mut bytes) = (tail_len as u64, history.rows.tail.memory_bytes() as u64);
        for segment in history.rows.segments.iter().rev() {
            // A rewrite leaves chunks of one row whose value is too large to share a chunk, which
            // the length of what is compressed does not tell.
            let shares = segment.rows > 1;
            let small = matches!(segment.body, SegmentBody::Chunk { .. })
                && shares
                && segment.rows <= rows
                && segment.rows < CHUNK_ROWS_KEPT as u64
                && segment.stored_len() <= bytes.min(SEAL_BYTES as u64)
                && segment.first_row >= newest.live_from;
            if !small {
                break;
            }
            first_row = segment.first_row;
            rows += segment.rows;
            bytes += segment.stored_len();
            absorbed.push(Arc::clone(segment));
        }
        Some(Unsealed { first_row, absorbed, points: history.rows.tail.slice(0..tail_len) })
    }
}
