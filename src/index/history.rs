//! A key's history: which rows there are, and where each of them lies.
//!
//! Rows are numbered in append order. The oldest lie in the log (chunks, single large values), the
//! newest in the **tail** in memory. Sealing moves rows from the tail to a chunk and changes
//! nothing for readers, because what a snapshot sees is decided by row number alone: the rows
//! `[live_from, rows)` as they were at its commit.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use compact_str::CompactString;

use crate::column::Points;
use crate::sync::Mutex;

use super::chunk::LoadedChunk;
use super::growing::GrowingVec;
use super::tail::Tail;
use super::version::{Version, VersionCell};

/// No history has more rows: far more than entries fit a file, and far from where adding to a row
/// number overflows. Chunks and checkpoints that state more are damaged.
pub(crate) const ROWS_MAX: u64 = 1 << 62;

/// A key with everything the index knows of it.
///
/// There may be very many, so every byte counts: keys of up to 24 bytes lie in the slot, and what
/// most keys do not have is behind a pointer.
pub(crate) struct KeySlot {
    pub(crate) key: CompactString,
    pub(crate) versions: VersionCell,
    pub(crate) history: Mutex<History>,
}

pub(crate) type Slots = GrowingVec<KeySlot>;

/// Rows before the tail.
pub(crate) struct Segment {
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    pub(crate) timestamp_min: i64,
    pub(crate) timestamp_max: i64,
    pub(crate) body: SegmentBody,
}

pub(crate) enum SegmentBody {
    /// A chunk entry; its header is read at the first use.
    Chunk { offset: u64, val_len: u32, loaded: OnceLock<Arc<LoadedChunk>> },
    /// A put whose value is too large to be kept in memory.
    Put { offset: u64, val_len: u32 },
    /// Rows that stayed in memory when a chunk was added behind them.
    Points(Points),
}

impl Segment {
    pub(crate) fn end_row(&self) -> u64 {
        self.first_row + self.rows
    }

    /// Bytes of the entry in the log, without the key.
    pub(crate) fn stored_len(&self) -> u64 {
        match &self.body {
            SegmentBody::Chunk { val_len, .. } | SegmentBody::Put { val_len, .. } => {
                u64::from(*val_len)
            }
            SegmentBody::Points(_) => 0,
        }
    }
}

/// Where the rows of one life of a key lie.
pub(crate) struct Rows {
    pub(crate) segments: Segments,
    /// The row of the tail's first point.
    pub(crate) tail_row: u64,
    pub(crate) tail: Tail,
}

/// Segments in the order of their rows: one pointer, which most keys of a database with very many
/// keys never follow.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "a vector takes three words in every slot")]
pub(crate) struct Segments(Option<Box<Vec<Arc<Segment>>>>);

impl Segments {
    pub(crate) fn push(&mut self, segment: Arc<Segment>) {
        self.0.get_or_insert_default().push(segment);
    }

    /// The row behind the last segment, `first_row` if there is none.
    pub(crate) fn end_row(&self, first_row: u64) -> u64 {
        self.last().map_or(first_row, |segment| segment.end_row())
    }

    /// Puts one segment in the place of those in `range`.
    pub(crate) fn replace(&mut self, range: Range<usize>, segment: Arc<Segment>) {
        self.0.get_or_insert_default().splice(range, [segment]);
    }
}

impl std::ops::Deref for Segments {
    type Target = [Arc<Segment>];

    fn deref(&self) -> &[Arc<Segment>] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<Arc<Segment>> for Segments {
    fn from_iter<I: IntoIterator<Item = Arc<Segment>>>(segments: I) -> Self {
        let segments: Vec<_> = segments.into_iter().collect();
        Segments((!segments.is_empty()).then(|| Box::new(segments)))
    }
}

impl Rows {
    const fn new(first_row: u64) -> Self {
        Rows { segments: Segments(None), tail_row: first_row, tail: Tail::Empty }
    }

    /// Adds a segment behind the others, and begins the tail behind it.
    pub(crate) fn push_segment(&mut self, segment: Segment) {
        self.tail_row = segment.end_row();
        self.segments.push(Arc::new(segment));
    }

    /// Points in the tail of a history whose next row is `rows`.
    pub(crate) fn tail_len(&self, rows: u64) -> usize {
        usize::try_from(rows.saturating_sub(self.tail_row)).unwrap_or(usize::MAX)
    }
}

/// What only readers of older commits need.
#[derive(Default)]
pub(crate) struct Past {
    /// Versions before those in the cell that a snapshot may still ask for, oldest first.
    versions: Vec<Version>,
    /// Rows of lives that a tombstone ended, by their `live_from`.
    lives: Vec<(u64, Rows)>,
}

/// Where a key's rows lie: those of the newest commit, and what readers of older ones still need.
pub(crate) struct History {
    past: Option<Box<Past>>,
    pub(crate) rows: Rows,
    /// What of the tail's memory is counted in the budget.
    pub(crate) counted_bytes: u32,
    /// Segments that are in memory only, to be sealed.
    pub(crate) frozen: u32,
}

impl History {
    pub(crate) fn new() -> Self {
        History { past: None, rows: Rows::new(0), counted_bytes: 0, frozen: 0 }
    }

    /// Whether anything is kept for readers of older commits only.
    pub(crate) fn has_past(&self) -> bool {
        self.past.is_some()
    }

    /// How many versions and lives are kept for them.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.past.as_ref().map_or(0, |past| past.versions.len() + past.lives.len())
    }

    /// Keeps a version that is about to leave the key's cell.
    pub(crate) fn keep_version(&mut self, version: Version) {
        self.past.get_or_insert_default().versions.push(version);
    }

    /// Ends the life that began at `live_from`: its rows are kept for those who may still read
    /// them. The next one begins at `next_row`.
    pub(crate) fn end_life(&mut self, live_from: u64, next_row: u64) {
        let rows = std::mem::replace(&mut self.rows, Rows::new(next_row));
        self.frozen = 0;
        self.past.get_or_insert_default().lives.push((live_from, rows));
    }

    /// Drops what no reader can ask for any more. `newer` and `older` are the versions in the key's
    /// cell, `held` the commits that snapshots are held of, in order. Returns how many versions and
    /// lives are left.
    pub(crate) fn forget_past(
        &mut self,
        (newer, older): (Version, Version),
        published: u64,
        held: &[u64],
    ) -> usize {
        let Some(past) = &mut self.past else { return 0 };
        let is_held = |from: u64, to: u64| {
            held.get(held.partition_point(|commit| *commit < from)).is_some_and(|c| *c < to)
        };
        let older_is_needed = newer.since > published || is_held(older.since, newer.since);
        // A version holds until the next one.
        let next = past.versions.iter().skip(1).map(|version| version.since).chain([older.since]);
        let mut next = next.collect::<Vec<_>>().into_iter();
        past.versions.retain(|version| is_held(version.since, next.next().unwrap_or(0)));
        let versions = &past.versions;
        past.lives.retain(|(live_from, _)| {
            (older_is_needed && older.live_from == *live_from && older.len() > 0)
                || versions.iter().any(|v| v.live_from == *live_from && v.len() > 0)
        });
        let left = past.versions.len() + past.lives.len();
        if left == 0 {
            self.past = None;
        }
        left
    }

    /// The version that a reader of the commits up to `commit_end` sees, given those in the key's
    /// cell.
    pub(crate) fn version_at(
        &self,
        (newer, older): (Version, Version),
        commit_end: u64,
    ) -> Version {
        if newer.since <= commit_end {
            return newer;
        }
        if older.since <= commit_end {
            return older;
        }
        let versions = self.past.as_ref().map_or(&[][..], |past| &past.versions);
        versions.iter().rev().find(|v| v.since <= commit_end).copied().unwrap_or_default()
    }

    /// The rows a version speaks of, if the key's newest life began at `live_from`.
    pub(crate) fn rows_of(&self, version: Version, live_from: u64) -> Option<&Rows> {
        if version.live_from == live_from {
            return Some(&self.rows);
        }
        let lives = &self.past.as_ref()?.lives;
        lives.iter().find(|(live_from, _)| *live_from == version.live_from).map(|(_, rows)| rows)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::atom::AtomKind;
    use crate::format::value::StoredAtom;

    fn version(since: u64, live_from: u64, rows: u64) -> Version {
        Version { since, live_from, rows }
    }

    #[test]
    fn a_reader_finds_its_version_in_the_cell_or_among_those_kept() {
        let mut history = History::new();
        for commit in 1..48 {
            history.keep_version(version(commit * 8, 0, commit));
        }
        let cell = (version(49 * 8, 0, 49), version(48 * 8, 0, 48));
        for commit in 1..50 {
            assert_eq!(history.version_at(cell, commit * 8 + 7).len(), commit);
        }
        assert_eq!(history.version_at(cell, 7).len(), 0);
        // Snapshots of commits 16 and 20 need the versions of these; the cell has the others.
        assert_eq!(history.forget_past(cell, 49 * 8, &[16 * 8, 20 * 8, 48 * 8]), 2);
        for commit in [16, 20, 48, 49] {
            assert_eq!(history.version_at(cell, commit * 8).len(), commit);
        }
        assert_eq!(history.version_at(cell, 15 * 8).len(), 0);
        assert_eq!(history.forget_past(cell, 49 * 8, &[]), 0);
        assert_eq!(history.version_at(cell, 49 * 8).len(), 49);
    }

    #[test]
    fn a_deleted_life_is_readable_until_nobody_can_ask() {
        let mut history = History::new();
        history.rows.tail.push(0, 0, StoredAtom::Number(AtomKind::Int, 1));
        history.rows.tail.push(1, 0, StoredAtom::Number(AtomKind::Int, 2));
        let cell = (version(24, 2, 2), version(16, 0, 2));
        history.end_life(0, 2);
        let seen = history.version_at(cell, 16);
        assert_eq!(seen.len(), 2);
        let rows = history.rows_of(seen, 2).unwrap();
        assert_eq!(rows.tail.slice(0..rows.tail_len(seen.rows)).bits(), [1, 2]);
        assert_eq!(history.forget_past(cell, 16, &[]), 1, "the tombstone is not published yet");
        assert!(history.rows_of(seen, 2).is_some());
        assert_eq!(history.forget_past(cell, 24, &[]), 0);
        assert!(history.rows_of(seen, 2).is_none());
    }
}
