//! Which points of which chunk go where in the copy of a damaged file.
//!
//! Puts do not carry their row. Up to the first gap in the file the rows of a key are counted; behind
//! a gap they are unknown until a chunk comes, which states its rows. A chunk that sealed points
//! holds the puts before it once more, so its rows are compared with them by content: rows that are
//! there already are passed over, rows that are not were lost in a gap and are put in their place
//! among the others.
//!
//! A place is named by the number of an *event* of its key: the puts, chunks and tombstones of the
//! intact commits, counted. Nothing is kept for a key before the first gap but two numbers.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};

use crate::atom::AtomKind;
use crate::column::Points;
use crate::error::Result;
use crate::format::entry::Kind;
use crate::format::value::{self, StoredAtom};
use crate::index::LoadedChunk;
use crate::index::SEAL_ROWS_MIN;
use crate::log::INLINE_VALUE_MAX;

use super::walk::{Damaged, Intact, Visit};

/// Rows of a chunk that are copied in front of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fill {
    pub(super) key: u32,
    pub(super) event: u64,
    /// Row in the damaged file, which orders what goes before the same event.
    pub(super) row: u64,
    /// Offset of the chunk's entry, and which of its rows.
    pub(super) chunk: u64,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// Numbers of keys.
pub(super) type KeyIds<'a> = HashMap<&'a str, u32, foldhash::fast::RandomState>;

/// A put behind a gap: its row is not known yet.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// Hash of timestamp and value; the highest bit says that no chunk seals it.
    content: u64,
    event: u64,
}

const STANDS_ALONE: u64 = 1 << 63;

/// A chunk with more unknown rows than this is taken for one that adds them, as bulk writes do: a
/// seal has a few thousand. Comparing takes eight bytes a row, and a chunk of very many rows may
/// itself take a few hundred.
const COMPARED_ROWS_MAX: u32 = 1 << 22;

/// What is known of a stretch of rows of a key behind a gap.
#[derive(Debug)]
enum Span {
    /// All of them are in the copy.
    Present { end: u64 },
    /// Only these are, in this order; what else there was goes before `event_behind` at the latest.
    Partial { end: u64, items: Vec<Item>, event_behind: u64 },
}

impl Span {
    fn end(&self) -> u64 {
        match self {
            Span::Present { end } | Span::Partial { end, .. } => *end,
        }
    }
}

/// A key behind a gap.
#[derive(Debug, Default)]
struct Loose {
    /// Rows `[0, rows)` without a hole.
    spans: Vec<Span>,
    /// What came behind these rows, and perhaps behind others that are lost.
    items: Vec<Item>,
}

#[derive(Debug, Default)]
struct KeyState {
    /// The next row, counted; at least that behind a gap.
    rows: u64,
    events: u64,
    /// How many gaps there were when the key was seen last.
    gaps: u32,
    loose: Option<Box<Loose>>,
}

/// The first walk: decides what to take from chunks.
pub(super) struct Planner<'a> {
    damaged: Damaged<'a>,
    ids: KeyIds<'a>,
    keys: Vec<KeyState>,
    gaps: u32,
    fills: Vec<Fill>,
    hasher: foldhash::quality::RandomState,
}

/// What the second walk needs.
pub(super) struct Plan<'a> {
    pub(super) ids: KeyIds<'a>,
    /// In the order of keys and events.
    pub(super) fills: Vec<Fill>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(damaged: Damaged<'a>) -> Self {
        Planner {
            damaged,
            ids: KeyIds::default(),
            keys: Vec::new(),
            gaps: 0,
            fills: Vec::new(),
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    pub(super) fn finish(self) -> Plan<'a> {
        let Planner { ids, mut fills, .. } = self;
        fills.sort_unstable();
        Plan { ids, fills }
    }

    fn content(&self, timestamp: i64, kind: AtomKind, bits: u64, blob: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_i64(timestamp);
        hasher.write_u8(kind as u8);
        hasher.write_u64(bits);
        hasher.write(blob);
        hasher.finish() & !STANDS_ALONE
    }

    fn put(&self, entry: &Intact<'_>) -> u64 {
        let timestamp = entry.header.timestamp;
        let limit = self.damaged.log.limits().value_size_max;
        let value = entry.stored_value().plain(limit);
        let (content, len) = match value.as_deref().map_err(|what| *what).and_then(value::decode) {
            Ok(StoredAtom::Text(text)) => {
                (self.content(timestamp, AtomKind::Text, 0, text.as_bytes()), text.len())
            }
            Ok(StoredAtom::Bytes(bytes)) => {
                (self.content(timestamp, AtomKind::Bytes, 0, bytes), bytes.len())
            }
            Ok(StoredAtom::Number(kind, bits)) => (self.content(timestamp, kind, bits, &[]), 0),
            Err(_) => (0, 0),
        };
        if len > INLINE_VALUE_MAX { content | STANDS_ALONE } else { content }
    }

    /// The contents of the rows of a chunk from `from` on.
    fn contents(&self, chunk: &LoadedChunk, from: u32) -> Result<Vec<u64>> {
        let mut contents = Vec::new();
        for block in &chunk.header().blocks {
            let (first, end) = (block.first_row.max(from), block.first_row + block.rows);
            if first >= end {
                continue;
            }
            let mut points = Points::new();
            chunk.decode(self.damaged.log, first, end, &mut points)?;
            contents.reserve(points.len());
            for (row, timestamp) in points.timestamps().iter().enumerate() {
                contents.push(match points.kind(row) {
                    kind @ (AtomKind::Text | AtomKind::Bytes) => {
                        self.content(*timestamp, kind, 0, points.blob(row))
                    }
                    kind => self.content(*timestamp, kind, points.number_bits(row), &[]),
                });
            }
        }
        Ok(contents)
    }

    fn chunk(&mut self, id: u32, state: &mut KeyState, entry: &Intact<'_>) -> Result<()> {
        let Some(chunk) = self.damaged.chunk_of(entry) else { return Ok(()) };
        let (first, count) = (chunk.header().first_row, chunk.header().rows);
        let end = first.saturating_add(u64::from(count));
        let event = state.events;
        let whole = Fill { key: id, event, row: first, chunk: entry.offset, from: 0, to: count };
        if state.loose.is_none() {
            if first == state.rows || state.rows == 0 {
                state.rows = end;
                self.fills.push(whole);
                return Ok(());
            }
            if end <= state.rows {
                return Ok(());
            }
            // Contradicts what was counted: no intact file does, but that is no reason to lose it.
        }
        let rows = state.rows;
        let loose = state.loose.get_or_insert_with(|| Box::new(Loose::of(rows)));
        // Spans that are wholly there need no comparison; most chunks behind a gap seal only what
        // is not known yet.
        let from = loose.first_unknown(first, end);
        if from >= end {
            return Ok(());
        }
        let skip = u32::try_from(from - first).unwrap_or(count);
        if count - skip > COMPARED_ROWS_MAX {
            state.rows = state.rows.max(end);
            **loose = Loose::of(state.rows);
            self.fills.push(Fill { row: from, from: skip, ..whole });
            return Ok(());
        }
        let contents = self.contents(&chunk, skip)?;
        let is_short = (count as usize) < SEAL_ROWS_MIN;
        let sealed = Sealed { first: from, end, contents: &contents, event, is_short };
        state.rows = state.rows.max(end);
        let fills = &mut self.fills;
        loose.take(&sealed, &mut |event, row, rows| {
            let in_chunk = |row: u64| u32::try_from(row - first).unwrap_or(count);
            let (from, to) = (in_chunk(row), in_chunk(row + rows));
            fills.push(Fill { event, row, from, to, ..whole });
        });
        Ok(())
    }
}

impl<'a> Visit<'a> for Planner<'a> {
    fn gap(&mut self) {
        self.gaps = self.gaps.saturating_add(1);
    }

    fn entry(&mut self, entry: &Intact<'a>) -> Result<()> {
        let Some(kind @ (Kind::Put | Kind::Tombstone | Kind::Chunk)) = entry.kind else {
            return Ok(());
        };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(entry.key).or_insert(next);
        if id == next {
            self.keys.push(KeyState::default());
        }
        let Some(state) = self.keys.get_mut(id as usize) else { return Ok(()) };
        let mut state = std::mem::take(state);
        if state.gaps != self.gaps {
            state.gaps = self.gaps;
            let rows = state.rows;
            state.loose.get_or_insert_with(|| Box::new(Loose::of(rows)));
        }
        match (kind, &mut state.loose) {
            (Kind::Put, None) => state.rows += 1,
            (Kind::Put, Some(loose)) => {
                loose.items.push(Item { content: self.put(entry), event: state.events });
            }
            (Kind::Chunk, _) => self.chunk(id, &mut state, entry)?,
            // What was before a tombstone is in no chunk behind it.
            (_, Some(loose)) => {
                state.rows = state.rows.saturating_add(loose.items.len() as u64);
                **loose = Loose::of(state.rows);
            }
            (_, None) => {}
        }
        state.events += 1;
        if let Some(place) = self.keys.get_mut(id as usize) {
            *place = state;
        }
        Ok(())
    }

    fn commit_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn progress(&mut self, _: u64) {}
}

/// Rows of a chunk, to be compared with what is there.
struct Sealed<'a> {
    first: u64,
    end: u64,
    /// Of the rows `[first, end)`.
    contents: &'a [u64],
    /// The event the chunk is itself.
    event: u64,
    /// It has so few rows that only a value that stands alone can be why they were sealed: they
    /// are the rows before one. Or a rewrite made it, of the rows between two of them.
    is_short: bool,
}

impl Sealed<'_> {
    fn contents(&self, from: u64, to: u64) -> &[u64] {
        let at = |row: u64| usize::try_from(row.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.contents.get(at(from)..at(to)).unwrap_or_default()
    }
}

/// How items and the rows of a chunk go together: some items are older, then some are rows of the
/// chunk, the others are newer.
struct Alignment {
    older: usize,
    newer: usize,
    /// Which of the chunk's rows the items `[older, newer)` are.
    rows: Vec<usize>,
}

/// So many places are tried at which a chunk may end among the items.
const ENDS_MAX: usize = 16;

/// Finds the rows of a chunk among items.
///
/// The items are a subsequence of the rows they cover; a value that stands alone is never part of
/// a chunk of several. `older_max` and `newer_max` say how many items there may be before and
/// behind the chunk's rows.
fn align(
    items: &[Item],
    contents: &[u64],
    (older_max, newer_max): (u64, u64),
    is_short: bool,
) -> Alignment {
    let backwards = |newer: usize| {
        let mut rows = Vec::new();
        let (mut older, mut row) = (newer, contents.len());
        for item in items.get(..newer).unwrap_or_default().iter().rev() {
            let before = contents.get(..row).unwrap_or_default();
            let Some(at) = before.iter().rposition(|content| *content == item.content) else {
                break;
            };
            rows.push(at);
            (older, row) = (older - 1, at);
        }
        rows.reverse();
        Alignment { older, newer, rows }
    };
    let rows: HashSet<u64, foldhash::fast::RandomState> = contents.iter().copied().collect();
    // Just as many items as there are rows before the chunk: unless it knows them it adds rows
    // behind them, as a batch does, and in a rewritten file a few rows between two values that
    // stand alone. It knows them if it ends with them; single ones only where its points can be
    // told apart, for those that repeat match by chance.
    let last = contents.len().checked_sub(items.len()).and_then(|at| contents.get(at..));
    let ends_with = last.is_some_and(|last| items.iter().map(|item| &item.content).eq(last));
    let names_some =
        rows.len() == contents.len() && items.iter().any(|item| rows.contains(&item.content));
    if items.len() as u64 == older_max && !ends_with && !names_some {
        return Alignment { older: items.len(), newer: items.len(), rows: Vec::new() };
    }
    // A chunk may replace rows that newer ones follow (the format allows it): it ends with
    // the last item that is one of them, if no row behind that has the same time and value.
    let last_row = items.iter().rposition(|item| rows.contains(&item.content)).map(|at| at + 1);
    let alone = |(at, item): (usize, &Item)| (item.content & STANDS_ALONE != 0).then_some(at);
    let ends = items.iter().enumerate().rev().filter_map(alone).take(ENDS_MAX);
    // Without a single row to go by, the first that is possible is taken: that the chunk adds rows
    // behind all items.
    let (at_once, at_last) = if is_short { (None, items.len()) } else { (Some(items.len()), 0) };
    let ends = last_row.into_iter().chain(at_once).chain(ends).chain([at_last, 0]);
    let mut best: Option<(bool, Alignment)> = None;
    for newer in ends {
        let found = backwards(newer);
        let holds = found.older as u64 <= older_max && (items.len() - newer) as u64 <= newer_max;
        if holds && !found.rows.is_empty() {
            return found;
        }
        let better = best
            .as_ref()
            .is_none_or(|(held, other)| (holds, found.rows.len()) > (*held, other.rows.len()));
        if better {
            best = Some((holds, found));
        }
    }
    let none = || Alignment { older: items.len(), newer: items.len(), rows: Vec::new() };
    best.map_or_else(none, |(_, best)| best)
}

impl Loose {
    /// A key whose rows below `rows` need no further thought.
    fn of(rows: u64) -> Loose {
        let spans = if rows > 0 { vec![Span::Present { end: rows }] } else { Vec::new() };
        Loose { spans, items: Vec::new() }
    }

    fn rows(&self) -> u64 {
        self.spans.last().map_or(0, Span::end)
    }

    /// The first row of `[first, end)` that may be missing.
    fn first_unknown(&self, first: u64, end: u64) -> u64 {
        let from = self.spans.partition_point(|span| span.end() <= first);
        let mut row = first;
        for span in self.spans.get(from..).unwrap_or_default() {
            match span {
                Span::Present { end: present } if row < end => row = *present,
                _ => break,
            }
        }
        row.min(end)
    }

    /// Takes the rows of a chunk in; `fill(event, row, rows)` is called for those that are missing.
    fn take(&mut self, sealed: &Sealed<'_>, fill: &mut impl FnMut(u64, u64, u64)) {
        let rows = self.rows();
        let from = self.spans.partition_point(|span| span.end() <= sealed.first);
        let to = self.spans.len();
        let until = self.spans.iter().take(to).position(|span| span.end() >= sealed.end);
        let until = until.map_or(to, |at| at + 1).max(from);
        let mut first = from.checked_sub(1).and_then(|at| self.spans.get(at)).map_or(0, Span::end);
        let touched: Vec<Span> = self.spans.splice(from..until, []).collect();
        let behind = self.spans.split_off(from);
        for span in touched {
            let end = span.end();
            match span {
                Span::Present { .. } => self.push(Span::Present { end }),
                Span::Partial { items, event_behind, .. } => {
                    let range = first..end;
                    self.resolve(range, items, Some(event_behind), sealed, fill);
                }
            }
            first = end;
        }
        for span in behind {
            self.push(span);
        }
        if sealed.end > rows {
            let items = std::mem::take(&mut self.items);
            self.resolve(rows..sealed.end, items, None, sealed, fill);
        }
    }

    /// Compares the items of a stretch of rows with the chunk. `event_behind` is `None` for the
    /// newest stretch, which has no end.
    fn resolve(
        &mut self,
        stretch: std::ops::Range<u64>,
        items: Vec<Item>,
        event_behind: Option<u64>,
        sealed: &Sealed<'_>,
        fill: &mut impl FnMut(u64, u64, u64),
    ) {
        let (first, end) = (stretch.start.max(sealed.first), stretch.end.min(sealed.end));
        let contents = sealed.contents(first, end);
        let newer_max = event_behind.map_or(u64::MAX, |_| stretch.end - end);
        let found = align(&items, contents, (first - stretch.start, newer_max), sealed.is_short);
        let mut items = items;
        let newer = items.split_off(found.newer);
        let matched = items.split_off(found.older);
        let last_event = newer.first().map(|item| item.event).or(event_behind);
        let last_event = last_event.unwrap_or(sealed.event);
        let mut row = 0;
        let mut first_event = None;
        for (item, at) in matched.iter().zip(found.rows.iter().copied()) {
            first_event.get_or_insert(item.event);
            if at > row {
                fill(item.event, first + row as u64, (at - row) as u64);
            }
            row = at + 1;
        }
        if row < contents.len() {
            fill(last_event, first + row as u64, (contents.len() - row) as u64);
        }
        let first_event = first_event.unwrap_or(last_event);
        if first > stretch.start {
            self.push(Span::Partial { end: first, items, event_behind: first_event });
        }
        self.push(Span::Present { end });
        match event_behind {
            Some(event_behind) if end < stretch.end => {
                self.push(Span::Partial { end: stretch.end, items: newer, event_behind });
            }
            Some(_) => {}
            None => self.items = newer,
        }
    }

    fn push(&mut self, span: Span) {
        let first = self.rows();
        let span = match span {
            // Nothing of it is lost.
            Span::Partial { end, items, .. } if items.len() as u64 >= end - first => {
                Span::Present { end }
            }
            span => span,
        };
        match (self.spans.last_mut(), &span) {
            (Some(Span::Present { end: last }), Span::Present { end }) => *last = *end,
            _ => self.spans.push(span),
        }
    }
}
