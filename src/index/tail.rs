//! A key's newest points, decoded, not yet in a chunk.
//!
//! An append touches as little memory as can be: most keys of a database with very many keys have
//! few points, so the first number needs no allocation; numbers of one kind stand beside their
//! timestamps, so that the next one is written to one place, and their rows are shared with the
//! writer, which adds to them without the history's lock.

use std::ops::Range;
use std::sync::Arc;

use crate::atom::AtomKind;
use crate::column::Points;
use crate::format::value::StoredAtom;
use crate::sync::{AtomicU64, Ordering};

/// Rows that the first allocation of a tail has room for.
const ROOM_MIN: usize = 4;

/// The points behind the last segment. How many there are is the key's version's affair: a reader
/// looks at rows that its version counts, while the writer fills the one behind them.
pub(crate) enum Tail {
    Empty,
    One { timestamp: i64, kind: AtomKind, bits: u64 },
    Numbers { kind: AtomKind, rows: NumberRows },
    Many(Box<Points>),
}

/// Room for numbers with their timestamps, filled from the front by one writer beside readers. A
/// row is written before the version that counts it, and never again. All who hold them share them.
#[derive(Clone)]
pub(crate) struct NumberRows(Arc<[[AtomicU64; 2]]>);

impl NumberRows {
    /// Number of rows there is room for.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.0.len()
    }

    /// Writes a row; false if there is no room for it.
    #[inline]
    pub(crate) fn set(&self, row: usize, timestamp: i64, bits: u64) -> bool {
        let Some([to_timestamp, to_bits]) = self.0.get(row) else { return false };
        to_timestamp.store(timestamp.cast_unsigned(), Ordering::Relaxed);
        to_bits.store(bits, Ordering::Relaxed);
        true
    }

    fn iter(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = (i64, u64)> {
        self.0.get(range).unwrap_or_default().iter().map(|[timestamp, bits]| {
            (timestamp.load(Ordering::Relaxed).cast_signed(), bits.load(Ordering::Relaxed))
        })
    }

    /// Rows with room for `room`, the first of which are `rows`.
    fn filled(room: usize, mut rows: impl Iterator<Item = (i64, u64)>) -> NumberRows {
        let mut next = || rows.next().unwrap_or((0, 0));
        let row = |(timestamp, bits): (i64, u64)| {
            [AtomicU64::new(timestamp.cast_unsigned()), AtomicU64::new(bits)]
        };
        NumberRows((0..room).map(|_| row(next())).collect())
    }
}

/// The room that is made for so many rows when there is none left: a power of two, also behind a
/// tail that came with just its rows. So no tail grows beyond a power of two without the history's
/// lock, where its memory is counted and the tail filed for sealing.
fn room_for(rows: usize) -> usize {
    rows.checked_next_power_of_two().unwrap_or(rows).max(ROOM_MIN)
}

impl Tail {
    /// Adds a point behind the `len` points of the tail.
    pub(crate) fn push(&mut self, len: usize, timestamp: i64, atom: StoredAtom<'_>) {
        match (&mut *self, atom) {
            (Tail::Numbers { kind, rows }, StoredAtom::Number(other, bits)) if *kind == other => {
                if rows.room() == len {
                    *rows = NumberRows::filled(room_for(len.saturating_add(1)), rows.iter(0..len));
                }
                rows.set(len, timestamp, bits);
            }
            (Tail::Empty, StoredAtom::Number(kind, bits)) => {
                *self = Tail::One { timestamp, kind, bits };
            }
            (&mut Tail::One { timestamp: first, kind, bits }, StoredAtom::Number(other, next))
                if kind == other =>
            {
                let both = [(first, bits), (timestamp, next)];
                let rows = NumberRows::filled(ROOM_MIN, both.into_iter());
                *self = Tail::Numbers { kind, rows };
            }
            (_, StoredAtom::Number(kind, bits)) => {
                self.points_mut(len).push_number(timestamp, kind, bits);
            }
            (_, StoredAtom::Text(text)) => {
                let blob = text.as_bytes().into();
                self.points_mut(len).push_blob(timestamp, AtomKind::Text, blob);
            }
            (_, StoredAtom::Bytes(bytes)) => {
                self.points_mut(len).push_blob(timestamp, AtomKind::Bytes, bytes.into());
            }
        }
    }

    /// Adds points behind the `len` points of the tail.
    pub(crate) fn extend(&mut self, len: usize, points: &Points) {
        let added = number_kind(points);
        let joins = match self {
            Tail::Empty => added.is_some(),
            Tail::One { kind, .. } | Tail::Numbers { kind, .. } => added == Some(*kind),
            Tail::Many(_) => false,
        };
        let Some(kind) = added.filter(|_| joins) else {
            self.points_mut(len).extend_from(points, 0..points.len());
            return;
        };
        let end = len.saturating_add(points.len());
        if let Tail::Numbers { rows, .. } = self
            && rows.room() >= end
        {
            for (row, (timestamp, bits)) in (len..).zip(numbers(points)) {
                rows.set(row, timestamp, bits);
            }
            return;
        }
        let before = self.numbers(len);
        let rows = NumberRows::filled(room_for(end), before.chain(numbers(points)));
        *self = Tail::Numbers { kind, rows };
    }

    /// The first `len` rows of a tail of numbers.
    fn numbers(&self, len: usize) -> impl Iterator<Item = (i64, u64)> {
        let (one, rows) = match self {
            Tail::One { timestamp, bits, .. } => (Some((*timestamp, *bits)), None),
            Tail::Numbers { rows, .. } => (None, Some(rows.iter(0..len))),
            Tail::Empty | Tail::Many(_) => (None, None),
        };
        one.into_iter().chain(rows.into_iter().flatten())
    }

    /// The points in columns; from here on the tail is kept so.
    fn points_mut(&mut self, len: usize) -> &mut Points {
        if !matches!(self, Tail::Many(_)) {
            *self = Tail::Many(Box::new(self.slice(0..len)));
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
                let mut points = Points::new();
                let timestamps = rows.iter(range.clone()).map(|(timestamp, _)| timestamp);
                points.extend_numbers(*kind, timestamps, rows.iter(range).map(|(_, bits)| bits));
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
        let Some(kind) = number_kind(&points) else {
            return if points.is_empty() { Tail::Empty } else { Tail::Many(Box::new(points)) };
        };
        let mut rows = numbers(&points);
        if points.len() == 1
            && let Some((timestamp, bits)) = rows.next()
        {
            return Tail::One { timestamp, kind, bits };
        }
        Tail::Numbers { kind, rows: NumberRows::filled(points.len(), rows) }
    }

    /// Drops the first `count` of `len` rows.
    pub(crate) fn truncate_front(&mut self, count: usize, len: usize) {
        *self = if count >= len { Tail::Empty } else { Tail::of(self.slice(count..len)) };
    }

    /// Bytes held beside the slot itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Tail::Empty | Tail::One { .. } => 0,
            Tail::Numbers { rows, .. } => rows.room() * size_of::<[AtomicU64; 2]>(),
            Tail::Many(points) => size_of::<Points>() + points.memory_bytes(),
        }
    }
}

/// The kind of points that are numbers (or nulls) of one kind.
fn number_kind(points: &Points) -> Option<AtomKind> {
    points
        .uniform_kind()
        .filter(|kind| matches!(kind, AtomKind::Null | AtomKind::Float | AtomKind::Int))
}

fn numbers(points: &Points) -> impl Iterator<Item = (i64, u64)> {
    points.timestamps().iter().copied().zip(points.bits().iter().copied())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::testing::{assert_same_points, atoms, points_of};

    proptest! {
        #[test]
        fn a_tail_holds_what_was_added_in_whatever_form(
            first in atoms(0..12), second in atoms(0..40), third in atoms(0..12), cut in 0usize..64,
        ) {
            let mut tail = Tail::Empty;
            let mut all = Points::new();
            for added in [&first, &third] {
                for (timestamp, atom) in added {
                    let mut one = Points::new();
                    one.push(*timestamp, atom);
                    let encoded = crate::format::value::encode(atom).unwrap();
                    let stored = crate::format::value::decode(&encoded).unwrap();
                    tail.push(all.len(), *timestamp, stored);
                    all.extend_from(&one, 0..1);
                }
                let more = points_of(&second);
                if !more.is_empty() {
                    tail.extend(all.len(), &more);
                    all.extend_from(&more, 0..more.len());
                }
            }
            assert_same_points(&tail.slice(0..all.len()), &all);
            assert_same_points(&Tail::of(all.clone()).slice(0..all.len()), &all);
            let cut = cut.min(all.len());
            tail.truncate_front(cut, all.len());
            assert_same_points(&tail.slice(0..all.len() - cut), &all.slice(cut..all.len()));
        }
    }
}
