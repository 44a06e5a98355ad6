//! Key to history: what is latest under a key, which rows it has, and where they lie.
//!
//! [`Index`] is shared by all readers; one [`IndexWriter`] changes it, fed by the writer of the
//! log, by recovery, or by a reader process that follows the log. All three go through the same
//! calls, so an index built from the log equals the one that was there before. A commit becomes
//! visible at once, by one store to `published`, after everything it changes is in place.

mod checkpoint;
mod chunk;
mod glob;
mod growing;
mod history;
mod key_table;
#[cfg(all(test, loom))]
mod loom_tests;
mod replay;
mod seal;
mod snapshots;
mod tail;
mod version;
mod view;
mod writer;

use crate::sync::{AtomicU64, Ordering};

pub(crate) use chunk::{LoadedChunk, read_large_put};
pub(crate) use glob::Glob;
pub(crate) use history::{KeySlot, Segment, SegmentBody};
pub(crate) use key_table::KeyId;
pub(crate) use replay::{Replay, ReplayStep, segment_of};
pub(crate) use seal::{CHUNK_ROWS_KEPT, SEAL_ROWS_MIN, Seal, stays_in_tail};
pub(crate) use snapshots::Pin;
pub(crate) use version::Latest;
pub(crate) use view::{HeldPoints, HistoryView, Part, Place, load_chunk_once, point_of_latest};
pub(crate) use writer::{IndexWriter, latest_of_point};

use history::Slots;
use key_table::KeyTable;
use snapshots::Snapshots;

/// What readers see of all keys.
pub(crate) struct Index {
    table: KeyTable,
    slots: Slots,
    /// End of the newest commit that readers may see.
    published: AtomicU64,
    snapshots: Snapshots,
    /// Live keys and rows as of the newest commit applied.
    live_keys: AtomicU64,
    live_rows: AtomicU64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("keys", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// An index without keys, of a log whose entries begin at `log_start`.
    pub(crate) fn new(log_start: u64) -> Self {
        Index {
            table: KeyTable::new(),
            slots: Slots::new(),
            published: AtomicU64::new(log_start),
            snapshots: Snapshots::default(),
            live_keys: AtomicU64::new(0),
            live_rows: AtomicU64::new(0),
        }
    }

    /// End of the newest visible commit.
    #[inline]
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn find(&self, key: &str) -> Option<KeyId> {
        let hash = self.table.hash(key);
        self.table.find(hash, |id| self.slots.get(id).is_some_and(|slot| &*slot.key == key))
    }

    #[inline]
    pub(crate) fn slot(&self, id: KeyId) -> Option<&KeySlot> {
        self.slots.get(id)
    }

    #[inline]
    pub(crate) fn slot_of(&self, key: &str) -> Option<&KeySlot> {
        self.slot(self.find(key)?)
    }

    /// What is latest under the key as of the newest visible commit.
    #[inline]
    pub(crate) fn latest(&self, slot: &KeySlot) -> Latest {
        slot.versions.latest(&self.published)
    }

    /// All keys ever seen, deleted ones included, in order of first appearance.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &KeySlot> {
        self.slots.iter()
    }

    /// Holds the newest visible commit for a snapshot.
    pub(crate) fn pin(&self) -> Pin {
        self.snapshots.pin(&self.published)
    }

    pub(crate) fn unpin(&self, pin: Pin) {
        self.snapshots.unpin(pin);
    }

    pub(crate) fn live_keys(&self) -> u64 {
        self.live_keys.load(Ordering::Relaxed)
    }

    pub(crate) fn live_rows(&self) -> u64 {
        self.live_rows.load(Ordering::Relaxed)
    }
}
