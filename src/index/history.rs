//! A key's history: which rows there are, and where each of them lies.
//!
//! Rows are numbered in append order. The oldest lie in the log (chunks, single large values), the
//! newest in the **tail** in memory. Sealing moves rows from the tail to a chunk and changes
//! nothing for readers, because what a snapshot sees is decided by row number alone: the rows
//! `[live_from, rows)` as they were at its commit.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use compact_str::CompactString;

use crate::atom::AtomKind;
use crate::column::Points;
use crate::format::value::StoredAtom;

use super::chunk::LoadedChunk;
use super::growing::GrowingVec;
use super::latest::LatestCell;

/// No history has more rows: far more than entries fit a file, and far from where adding to a row
/// number overflows. Chunks and checkpoints that state more are damaged.
pub(crate) const ROWS_MAX: u64 = 1 << 62;

/// A key with everything the index knows of it.
///
/// There may be very many, so every byte counts: keys of up to 24 bytes lie in the slot, and what
/// most keys do not have is behind a pointer.
pub(crate) struct KeySlot {
    pub(crate) key: CompactString,
    pub(crate) latest: LatestCell,
    pub(crate) history: parking_lot::Mutex<History>,
}

pub(crate) type Slots = GrowingVec<KeySlot>;

/// Which rows are live as of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Version {
    /// End of the commit that made it so.
    pub(crate) since: u64,
    /// The first live row; a tombstone raises it to `rows`.
    pub(crate) live_from: u64,
    /// Number of the next row.
    pub(crate) rows: u64,
}

impl Version {
    pub(crate) fn len(&self) -> u64 {
        self.rows - self.live_from
    }
}

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

/// A key's newest points, decoded.
///
/// An append touches as little memory as can be: most keys of a database with very many keys have
/// few points, so the first number needs no allocation, and numbers of one kind stand beside their
/// timestamps, so that the next one is written to one place.
pub(crate) enum Tail {
    Empty,
    One { timestamp: i64, kind: AtomKind, bits: u64 },
    Numbers { kind: AtomKind, rows: Vec<(i64, u64)> },
    Many(Box<Points>),
}

impl Tail {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Tail::Empty => 0,
            Tail::One { .. } => 1,
            Tail::Numbers { rows, .. } => rows.len(),
            Tail::Many(points) => points.len(),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, timestamp: i64, atom: StoredAtom<'_>) {
        match (&mut *self, atom) {
            (Tail::Numbers { kind, rows }, StoredAtom::Number(other, bits)) if *kind == other => {
                rows.push((timestamp, bits));
            }
            (Tail::Empty, StoredAtom::Number(kind, bits)) => {
                *self = Tail::One { timestamp, kind, bits };
            }
            (&mut Tail::One { timestamp: first, kind, bits }, StoredAtom::Number(other, next))
                if kind == other =>
            {
                let mut rows = Vec::with_capacity(4);
                rows.push((first, bits));
                rows.push((timestamp, next));
                *self = Tail::Numbers { kind, rows };
            }
            (_, StoredAtom::Number(kind, bits)) => {
                self.points_mut().push_number(timestamp, kind, bits);
            }
            (_, StoredAtom::Text(text)) => {
                self.points_mut().push_blob(timestamp, AtomKind::Text, text.as_bytes().into());
            }
            (_, StoredAtom::Bytes(bytes)) => {
                self.points_mut().push_blob(timestamp, AtomKind::Bytes, bytes.into());
            }
        }
    }

    /// The points in columns; from here on the tail is kept so.
    pub(crate) fn points_mut(&mut self) -> &mut Points {
        if !matches!(self, Tail::Many(_)) {
            *self = Tail::Many(Box::new(self.slice(0..self.len())));
        }
        match self {
            Tail::Many(points) => points,
            _ => unreachable!("the line above made it many"),
        }
    }

    /// A copy of the rows `range` of the tail.
    pub(crate) fn slice(&self, range: Range<usize>) -> Points {
        match self {
            Tail::Many(points) => points.slice(range),
            Tail::Numbers { kind, rows } => {
                let rows = rows.get(range).unwrap_or_default();
                let mut points = Points::with_capacity(rows.len());
                for &(timestamp, bits) in rows {
                    points.push_number(timestamp, *kind, bits);
                }
                points
            }
            Tail::One { timestamp, kind, bits } if range == (0..1) => {
                let mut points = Points::new();
                points.push_number(*timestamp, *kind, *bits);
                points
            }
            Tail::Empty | Tail::One { .. } => Points::new(),
        }
    }

    /// The tail of these points, in its smallest form.
    pub(crate) fn of(points: Points) -> Tail {
        let kind = match points.uniform_kind() {
            Some(kind @ (AtomKind::Null | AtomKind::Float | AtomKind::Int)) => kind,
            _ if points.is_empty() => return Tail::Empty,
            _ => return Tail::Many(Box::new(points)),
        };
        let mut rows = points.timestamps().iter().copied().zip(points.bits().iter().copied());
        if points.len() == 1
            && let Some((timestamp, bits)) = rows.next()
        {
            return Tail::One { timestamp, kind, bits };
        }
        Tail::Numbers { kind, rows: rows.collect() }
    }

    /// Drops the first `count` rows.
    pub(crate) fn truncate_front(&mut self, count: usize) {
        let len = self.len();
        *self = if count >= len { Tail::Empty } else { Tail::of(self.slice(count..len)) };
    }

    /// Bytes held beside the slot itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Tail::Empty | Tail::One { .. } => 0,
            Tail::Numbers { rows, .. } => rows.capacity() * size_of::<(i64, u64)>(),
            Tail::Many(points) => size_of::<Points>() + points.memory_bytes(),
        }
    }
}

/// Where a run of rows of one life of a key lies.
pub(crate) struct Rows {
    pub(crate) segments: Segments,
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
    const fn new() -> Self {
        Rows { segments: Segments(None), tail: Tail::Empty }
    }
}

/// What only readers of older commits need.
#[derive(Default)]
pub(crate) struct Past {
    /// Versions before `History::previous` that a snapshot may still ask for, oldest first.
    versions: Vec<Version>,
    /// Rows of lives that a tombstone ended, by their `live_from`.
    lives: Vec<(u64, Rows)>,
}

/// A key's rows, as of the newest commit and of those that readers may still look at.
pub(crate) struct History {
    pub(crate) current: Version,
    /// The version before `current`: what readers see until the commit of `current` is published.
    previous: Version,
    past: Option<Box<Past>>,
    pub(crate) rows: Rows,
    /// What of the tail's memory is counted in the budget.
    pub(crate) counted_bytes: u32,
    /// Segments that are in memory only, to be sealed.
    pub(crate) frozen: u32,
}

impl History {
    pub(crate) fn new() -> Self {
        History {
            current: Version::default(),
            previous: Version::default(),
            past: None,
            rows: Rows::new(),
            counted_bytes: 0,
            frozen: 0,
        }
    }

    /// Whether anything is kept for readers of older commits only.
    pub(crate) fn has_past(&self) -> bool {
        self.past.is_some()
    }

    /// The row of the tail's first point.
    pub(crate) fn tail_row(&self) -> u64 {
        self.current.rows - self.rows.tail.len() as u64
    }

    /// Begins a change by the commit that ends at `commit_end`, while everything up to `published`
    /// is visible. `newest_snapshot` is the newest commit a snapshot is held of, 0 for none.
    #[inline]
    pub(crate) fn begin_change(&mut self, commit_end: u64, published: u64, newest_snapshot: u64) {
        // An earlier commit of the same group is not visible yet: nobody will ask for it alone.
        if self.current.since <= published {
            if newest_snapshot != 0 && newest_snapshot >= self.previous.since {
                self.past.get_or_insert_default().versions.push(self.previous);
            }
            self.previous = self.current;
        }
        self.current.since = commit_end;
    }

    /// Ends the key's life: its rows are kept for those who may still read them.
    pub(crate) fn end_life(&mut self) {
        let rows = std::mem::replace(&mut self.rows, Rows::new());
        self.frozen = 0;
        let live_from = self.current.live_from;
        self.past.get_or_insert_default().lives.push((live_from, rows));
        self.current.live_from = self.current.rows;
    }

    /// Drops what no reader can ask for any more. `oldest_snapshot` is the oldest commit a
    /// snapshot is held of, `None` if there is none. Returns whether anything is left.
    pub(crate) fn forget_past(&mut self, published: u64, oldest_snapshot: Option<u64>) -> bool {
        let Some(past) = &mut self.past else { return false };
        let previous_is_needed = self.current.since > published
            || oldest_snapshot.is_some_and(|s| s < self.current.since);
        match oldest_snapshot {
            None => past.versions.clear(),
            Some(oldest) => {
                // The newest version at or below the oldest snapshot is the first one needed.
                let needed = past.versions.partition_point(|v| v.since <= oldest).saturating_sub(1);
                past.versions.drain(..needed);
            }
        }
        let (versions, previous) = (&past.versions, self.previous);
        past.lives.retain(|(live_from, _)| {
            (previous_is_needed && previous.live_from == *live_from && previous.len() > 0)
                || versions.iter().any(|v| v.live_from == *live_from && v.len() > 0)
        });
        let left = !(past.versions.is_empty() && past.lives.is_empty());
        if !left {
            self.past = None;
        }
        left
    }

    /// The version that a reader of the commits up to `commit_end` sees.
    pub(crate) fn version_at(&self, commit_end: u64) -> Version {
        if self.current.since <= commit_end {
            return self.current;
        }
        if self.previous.since <= commit_end {
            return self.previous;
        }
        let versions = self.past.as_ref().map_or(&[][..], |past| &past.versions);
        versions.iter().rev().find(|v| v.since <= commit_end).copied().unwrap_or_default()
    }

    /// The rows a version speaks of.
    pub(crate) fn rows_of(&self, version: Version) -> Option<(&Rows, u64)> {
        if version.live_from == self.current.live_from {
            return Some((&self.rows, self.tail_row()));
        }
        let lives = &self.past.as_ref()?.lives;
        let (_, rows) = lives.iter().find(|(live_from, _)| *live_from == version.live_from)?;
        // A life that ended keeps all rows it had: its tail ends where its last row does.
        let segments_end = rows.segments.last().map_or(version.live_from, |s| s.end_row());
        Some((rows, segments_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(history: &mut History, commit: u64, published: u64, snapshot: u64, value: u64) {
        history.begin_change(commit, published, snapshot);
        history.rows.tail.push(0, StoredAtom::Number(AtomKind::Int, value));
        history.current.rows += 1;
    }

    #[test]
    fn a_version_lasts_until_the_next_is_published() {
        let mut history = History::new();
        push(&mut history, 8, 0, 0, 1);
        assert_eq!(history.version_at(0).len(), 0);
        assert_eq!(history.version_at(8).len(), 1);
        // Two commits of one group: a reader sees neither or both.
        push(&mut history, 16, 8, 0, 2);
        push(&mut history, 24, 8, 0, 3);
        assert_eq!(history.version_at(8).len(), 1);
        assert_eq!(history.version_at(24).len(), 3);
    }

    #[test]
    fn a_snapshot_keeps_its_version_through_any_number_of_changes() {
        let mut history = History::new();
        push(&mut history, 8, 0, 0, 1);
        for commit in 2..50 {
            push(&mut history, commit * 8, (commit - 1) * 8, 16, commit);
        }
        assert_eq!(history.version_at(8).len(), 1);
        assert_eq!(history.version_at(16).len(), 2);
        assert!(!history.forget_past(49 * 8, None));
        assert_eq!(history.version_at(49 * 8).len(), 49);
    }

    #[test]
    fn a_deleted_life_is_readable_until_nobody_can_ask() {
        let mut history = History::new();
        push(&mut history, 8, 0, 0, 1);
        push(&mut history, 16, 8, 0, 2);
        history.begin_change(24, 16, 0);
        history.end_life();
        let seen = history.version_at(16);
        assert_eq!(seen.len(), 2);
        let (rows, tail_row) = history.rows_of(seen).unwrap();
        assert_eq!((rows.tail.len(), tail_row), (2, 0));
        assert!(history.forget_past(16, None), "the tombstone is not published yet");
        assert!(!history.forget_past(24, None));
        assert_eq!(history.version_at(24).len(), 0);
        push(&mut history, 32, 24, 0, 9);
        assert_eq!(history.version_at(32), Version { since: 32, live_from: 2, rows: 3 });
    }
}
