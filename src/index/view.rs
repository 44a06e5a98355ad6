//! Reading a key's history as of one commit.

use std::ops::Range;
use std::sync::Arc;

use crate::atom::{Atom, AtomKind, Point};
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::chunk::BlockRecord;
use crate::format::value;
use crate::log::LogFile;
use crate::times::Times;

use super::Index;
use super::chunk::{LoadedChunk, read_large_put};
use super::history::{KeySlot, Segment, SegmentBody};
use super::version::{Latest, Version};

/// Some rows of a key as of a commit: where they lie, and a copy of those in the tail.
///
/// Owns all it needs, so it stays valid whatever is appended, sealed, deleted or rewritten.
pub(crate) struct HistoryView {
    /// The rows asked for, cut to those that are live.
    rows: Range<u64>,
    segments: Vec<Arc<Segment>>,
    tail_row: u64,
    tail: Points,
}

/// A stretch of rows that lie in one place, for who builds arrays of them.
pub(crate) struct Part {
    /// The rows asked for.
    pub(crate) rows: Range<u64>,
    /// The first row that lies there.
    pub(crate) first_row: u64,
    pub(crate) place: Place,
}

/// Where rows lie.
#[derive(Clone)]
pub(crate) enum Place {
    Chunk(Arc<LoadedChunk>),
    /// A put whose value is too large to be kept in memory.
    Put {
        offset: u64,
        val_len: u32,
        timestamp: i64,
    },
    /// In memory.
    Points(HeldPoints),
}

/// Points that somebody holds.
#[derive(Clone)]
pub(crate) enum HeldPoints {
    Tail(Arc<Points>),
    Segment(Arc<Segment>),
}

impl std::ops::Deref for HeldPoints {
    type Target = Points;

    fn deref(&self) -> &Points {
        static NONE: std::sync::LazyLock<Points> = std::sync::LazyLock::new(Points::new);
        match self {
            HeldPoints::Tail(points) => points,
            HeldPoints::Segment(segment) => match &segment.body {
                SegmentBody::Points(points) => points,
                _ => &NONE,
            },
        }
    }
}

/// The point of a slot's latest value, unless it lies in the history.
pub(crate) fn point_of_latest(latest: Latest) -> Option<Point> {
    match latest {
        Latest::Number { timestamp, kind, bits } => {
            Some(Point { timestamp, value: value::number(kind, bits) })
        }
        Latest::Absent | Latest::InHistory => None,
    }
}

/// The chunk of a segment, its header read at the first call.
pub(crate) fn load_chunk(log: &LogFile, key: &str, segment: &Segment) -> Result<Arc<LoadedChunk>> {
    let SegmentBody::Chunk { offset, val_len, loaded } = &segment.body else {
        unreachable!("only chunk segments are loaded as chunks");
    };
    if let Some(chunk) = loaded.get() {
        return Ok(Arc::clone(chunk));
    }
    let chunk = LoadedChunk::load(log, key, *offset, *val_len, segment.first_row, segment.rows)?;
    Ok(Arc::clone(loaded.get_or_init(|| Arc::new(chunk))))
}

/// What the chunk of a segment says about all its rows. Of a chunk of many blocks that is a small
/// part of its header, and the rest of it is left alone.
pub(crate) fn whole_of_chunk(log: &LogFile, key: &str, segment: &Segment) -> Result<BlockRecord> {
    if let SegmentBody::Chunk { offset, val_len, loaded } = &segment.body
        && loaded.get().is_none()
        && let Some(whole) =
            LoadedChunk::summary(log, key, *offset, *val_len, segment.first_row, segment.rows)?
    {
        return Ok(whole);
    }
    Ok(*load_chunk(log, key, segment)?.header().whole)
}

/// As [`load_chunk`] for who reads a chunk once: its header is not kept.
pub(crate) fn load_chunk_once(
    log: &LogFile,
    key: &str,
    segment: &Segment,
) -> Result<Arc<LoadedChunk>> {
    match &segment.body {
        SegmentBody::Chunk { offset, val_len, loaded } if loaded.get().is_none() => {
            let (first_row, rows) = (segment.first_row, segment.rows);
            LoadedChunk::load(log, key, *offset, *val_len, first_row, rows).map(Arc::new)
        }
        _ => load_chunk(log, key, segment),
    }
}

impl KeySlot {
    /// The version a reader of the commits up to `commit_end` sees.
    pub(crate) fn version_at(&self, commit_end: u64) -> Version {
        let history = self.history.lock();
        history.version_at(self.versions.pair(), commit_end)
    }

    /// The rows that `wanted` picks from the version at `commit_end`.
    pub(crate) fn view(
        &self,
        commit_end: u64,
        wanted: impl FnOnce(Version) -> Range<u64>,
    ) -> HistoryView {
        self.view_at(|| commit_end, wanted)
    }

    /// As [`KeySlot::view`]; `commit_end` is asked for while the key's versions are read.
    fn view_at(
        &self,
        commit_end: impl Fn() -> u64,
        wanted: impl FnOnce(Version) -> Range<u64>,
    ) -> HistoryView {
        let history = self.history.lock();
        let (newest, older, commit_end) = self.versions.pair_and(commit_end);
        let version = history.version_at((newest, older), commit_end);
        let rows = wanted(version);
        let rows = rows.start.max(version.live_from)..rows.end.min(version.rows);
        let none =
            HistoryView { rows: 0..0, segments: Vec::new(), tail_row: 0, tail: Points::new() };
        if rows.is_empty() {
            return none;
        }
        let Some(stored) = history.rows_of(version, newest.live_from) else { return none };
        let tail_row = stored.tail_row;
        let first = stored.segments.partition_point(|segment| segment.end_row() <= rows.start);
        let end = stored.segments.partition_point(|segment| segment.first_row < rows.end);
        let segments = stored.segments.get(first..end).unwrap_or_default().to_vec();
        let from = rows.start.max(tail_row) - tail_row;
        let to = rows.end.max(tail_row) - tail_row;
        let in_memory = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
        let tail = if from < to {
            stored.tail.slice(in_memory(from)..in_memory(to))
        } else {
            Points::new()
        };
        HistoryView { rows, segments, tail_row: tail_row + from, tail }
    }

    /// The newest point as of a commit, wherever it lies.
    pub(crate) fn newest_point(&self, log: &LogFile, commit_end: u64) -> Result<Option<Point>> {
        let view = self.view(commit_end, |version| version.rows.saturating_sub(1)..version.rows);
        view.point(log, &self.key, view.rows.start)
    }

    /// The newest point as of the newest visible commit, for a reader that holds no snapshot.
    ///
    /// Which commit that is must be asked while the key's versions are read: of a commit asked for
    /// before, two later ones on this key may have forgotten the version by now, and of one asked
    /// for afterwards half a batch may have been read.
    pub(crate) fn newest_published_point(
        &self,
        log: &LogFile,
        index: &Index,
    ) -> Result<Option<Point>> {
        let newest = |version: Version| version.rows.saturating_sub(1)..version.rows;
        let view = self.view_at(|| index.published(), newest);
        view.point(log, &self.key, view.rows.start)
    }
}

impl HistoryView {
    pub(crate) fn rows(&self) -> Range<u64> {
        self.rows.clone()
    }

    /// The bits of the numbers in the tail.
    #[cfg(all(test, loom))]
    pub(super) fn tail_bits(&self) -> &[u64] {
        self.tail.bits()
    }

    /// The segments that hold the first of the rows, whole, oldest first.
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The last of the rows, as far as they lie in memory.
    pub(crate) fn tail(&self) -> &Points {
        &self.tail
    }

    /// Leaves out stretches in the log none of whose timestamps lies in `times`: a view that is
    /// made into parts need not have all of its rows.
    pub(crate) fn cut_times(&mut self, times: Times) {
        self.segments.retain(|segment| times.overlap(segment.timestamp_min, segment.timestamp_max));
    }

    /// The rows by where they lie, oldest first; the headers of their chunks are read.
    pub(crate) fn into_parts(self, log: &LogFile, key: &str) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(self.segments.len() + 1);
        for segment in self.segments {
            let first_row = segment.first_row;
            let rows = self.rows.start.max(first_row)..self.rows.end.min(segment.end_row());
            let place = match &segment.body {
                SegmentBody::Chunk { .. } => Place::Chunk(load_chunk(log, key, &segment)?),
                SegmentBody::Put { offset, val_len } => Place::Put {
                    offset: *offset,
                    val_len: *val_len,
                    timestamp: segment.timestamp_min,
                },
                SegmentBody::Points(_) => Place::Points(HeldPoints::Segment(segment)),
            };
            parts.push(Part { rows, first_row, place });
        }
        if !self.tail.is_empty() {
            let first_row = self.tail_row;
            let rows = first_row..first_row + self.tail.len() as u64;
            let place = Place::Points(HeldPoints::Tail(Arc::new(self.tail)));
            parts.push(Part { rows, first_row, place });
        }
        Ok(parts)
    }

    /// An empty vector with room for every row, or `OutOfMemory`: how many rows there are is up to
    /// the data, so it must not end the process.
    fn room_for_all<T>(&self) -> Result<Vec<T>> {
        let rows = self.rows.end - self.rows.start;
        let bytes = rows.saturating_mul(size_of::<T>() as u64);
        let too_large = || SynaError::OutOfMemory { bytes };
        let mut all = Vec::new();
        let len = usize::try_from(rows).map_err(|_| too_large())?;
        all.try_reserve_exact(len).map_err(|_| too_large())?;
        Ok(all)
    }

    /// All points, oldest first.
    pub(crate) fn read(&self, log: &LogFile, key: &str) -> Result<Vec<Point>> {
        let mut points = self.room_for_all()?;
        self.for_each(log, key, |batch, rows| {
            points.extend(rows.map(|row| batch.point(row)));
        })?;
        Ok(points)
    }

    /// The points whose timestamps are among `times`, in append order. Only blocks whose times
    /// overlap with these are read.
    pub(crate) fn read_range(&self, log: &LogFile, key: &str, times: Times) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        let overlaps = |min: i64, max: i64| times.overlap(min, max);
        let of_segment = |segment: &Segment| overlaps(segment.timestamp_min, segment.timestamp_max);
        self.for_each_where(log, key, of_segment, overlaps, |batch, rows| {
            for row in rows {
                if batch.timestamps().get(row).is_some_and(|t| times.contain(*t)) {
                    points.push(batch.point(row));
                }
            }
        })?;
        Ok(points)
    }

    /// The doubles among the points, in append order.
    pub(crate) fn read_floats(&self, log: &LogFile, key: &str) -> Result<Vec<f64>> {
        let mut floats = self.room_for_all()?;
        self.for_each(log, key, |batch, rows| {
            let float = |row| {
                (batch.kind(row) == AtomKind::Float).then(|| f64::from_bits(batch.number_bits(row)))
            };
            floats.extend(rows.filter_map(float));
        })?;
        Ok(floats)
    }

    /// Which kinds occur. Chunks say that themselves; nothing is decoded, unless a snapshot sees a
    /// part of one.
    pub(crate) fn kinds(&self, log: &LogFile, key: &str) -> Result<[bool; 5]> {
        let mut found = [false; 5];
        let mut note = |counts: [u64; 5]| {
            found.iter_mut().zip(counts).for_each(|(found, count)| *found |= count > 0);
        };
        let is_whole_chunk = |segment: &Segment| {
            matches!(segment.body, SegmentBody::Chunk { .. })
                && segment.first_row >= self.rows.start
                && segment.end_row() <= self.rows.end
        };
        for segment in self.segments.iter().filter(|segment| is_whole_chunk(segment)) {
            note(whole_of_chunk(log, key, segment)?.zone.counts);
        }
        let others = |segment: &Segment| !is_whole_chunk(segment);
        let all_blocks = |_, _| true;
        self.for_each_where(log, key, others, all_blocks, |batch, rows| {
            note(batch.kinds(rows.clone()).counts(rows.len()));
        })?;
        Ok(found)
    }

    /// Hands over the points in columns, oldest first, some at a time.
    pub(crate) fn for_each(
        &self,
        log: &LogFile,
        key: &str,
        each: impl FnMut(&Points, Range<usize>),
    ) -> Result<()> {
        self.for_each_where(log, key, |_| true, |_, _| true, each)
    }

    /// As [`HistoryView::for_each`], of some segments, and of their chunks the blocks that are wanted
    /// by their smallest and largest timestamp.
    fn for_each_where(
        &self,
        log: &LogFile,
        key: &str,
        wanted: impl Fn(&Segment) -> bool,
        wanted_block: impl Fn(i64, i64) -> bool,
        mut each: impl FnMut(&Points, Range<usize>),
    ) -> Result<()> {
        for segment in self.segments.iter().filter(|segment| wanted(segment)) {
            let from = self.rows.start.max(segment.first_row) - segment.first_row;
            let to = self.rows.end.min(segment.end_row()) - segment.first_row;
            match &segment.body {
                SegmentBody::Chunk { .. } => {
                    let chunk = load_chunk(log, key, segment)?;
                    let in_chunk = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
                    // A block at a time, so that a long history is never decoded twice over.
                    for block in &chunk.header().blocks {
                        let first = in_chunk(from).max(block.first_row);
                        let end = in_chunk(to).min(block.first_row + block.rows);
                        let (min, max) = (block.zone.timestamp_min, block.zone.timestamp_max);
                        if first < end && wanted_block(min, max) {
                            let mut points = Points::new();
                            chunk.decode(log, first, end, &mut points)?;
                            each(&points, 0..points.len());
                        }
                    }
                }
                SegmentBody::Put { offset, val_len } => {
                    let (timestamp, atom) = read_large_put(log, key, *offset, *val_len)?;
                    let mut points = Points::new();
                    points.push_atom(timestamp, atom);
                    each(&points, 0..1);
                }
                SegmentBody::Points(points) => {
                    let in_memory = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
                    each(points, in_memory(from)..in_memory(to));
                }
            }
        }
        if !self.tail.is_empty() {
            each(&self.tail, 0..self.tail.len());
        }
        Ok(())
    }

    /// The point of one row.
    pub(crate) fn point(&self, log: &LogFile, key: &str, row: u64) -> Result<Option<Point>> {
        if !self.rows.contains(&row) {
            return Ok(None);
        }
        if row >= self.tail_row && !self.tail.is_empty() {
            let row = usize::try_from(row - self.tail_row).unwrap_or(usize::MAX);
            return Ok(Some(self.tail.point(row)));
        }
        let Some(segment) = self.segments.iter().find(|s| s.end_row() > row) else {
            return Ok(None);
        };
        let at = row - segment.first_row;
        match &segment.body {
            SegmentBody::Chunk { .. } => {
                let chunk = load_chunk(log, key, segment)?;
                chunk.point(log, u32::try_from(at).unwrap_or(u32::MAX)).map(Some)
            }
            SegmentBody::Put { offset, val_len } => {
                let (timestamp, value): (i64, Atom) = read_large_put(log, key, *offset, *val_len)?;
                Ok(Some(Point { timestamp, value }))
            }
            SegmentBody::Points(points) => {
                Ok(Some(points.point(usize::try_from(at).unwrap_or(usize::MAX))))
            }
        }
    }

    /// The row with the greatest timestamp at or before `timestamp`, the last of equal ones.
    ///
    /// Looks at the newest points first: where time does not go back, one block is read and the
    /// rest is passed over by what the index knows of its times.
    pub(crate) fn row_at(&self, log: &LogFile, key: &str, timestamp: i64) -> Result<Option<u64>> {
        let mut best: Option<(i64, u64)> = None;
        let offer = |best: &mut Option<(i64, u64)>, times: &[i64], first_row: u64| {
            for (row, &time) in (first_row..).zip(times) {
                // Within a stretch later rows win ties; stretches are offered newest first.
                if time <= timestamp && best.is_none_or(|(t, r)| time > t || (time == t && row > r))
                {
                    *best = Some((time, row));
                }
            }
        };
        offer(&mut best, self.tail.timestamps(), self.tail_row);
        for segment in self.segments.iter().rev() {
            if segment.timestamp_min > timestamp
                || best.is_some_and(|(t, _)| segment.timestamp_max.min(timestamp) <= t)
            {
                continue;
            }
            let from = self.rows.start.max(segment.first_row);
            let to = self.rows.end.min(segment.end_row());
            let part = |best: &mut Option<(i64, u64)>, first_row: u64, times: &[i64]| {
                let skip = usize::try_from(from.saturating_sub(first_row)).unwrap_or(usize::MAX);
                let end = usize::try_from(to.saturating_sub(first_row)).unwrap_or(usize::MAX);
                let end = end.min(times.len());
                let times = times.get(skip.min(end)..end).unwrap_or_default();
                offer(best, times, first_row.max(from));
            };
            match &segment.body {
                SegmentBody::Chunk { .. } => {
                    let chunk = load_chunk(log, key, segment)?;
                    let mut times = Vec::new();
                    for (number, block) in chunk.header().blocks.iter().enumerate().rev() {
                        let (min, max) = (block.zone.timestamp_min, block.zone.timestamp_max);
                        if min > timestamp || best.is_some_and(|(t, _)| max.min(timestamp) <= t) {
                            continue;
                        }
                        times.clear();
                        chunk.block_timestamps(log, number, &mut times)?;
                        let first_row = segment.first_row + u64::from(block.first_row);
                        part(&mut best, first_row, &times);
                    }
                }
                SegmentBody::Put { .. } => {
                    part(&mut best, segment.first_row, &[segment.timestamp_min]);
                }
                SegmentBody::Points(points) => {
                    part(&mut best, segment.first_row, points.timestamps());
                }
            }
        }
        Ok(best.map(|(_, row)| row))
    }
}
