//! Answers as of one commit: the same for a handle, which reads the newest, and a snapshot.

use std::ops::Range;

use crate::atom::{Atom, AtomKind, Point};
use crate::error::{Result, SynaError};
use crate::index::{Glob, HistoryView, KeySlot, Latest, point_of_latest};
use crate::times::Times;

use super::core::{Generation, Pinned};

/// What can be asked of a generation at a commit.
pub(crate) struct View<'a> {
    pub(crate) generation: &'a Generation,
    pub(crate) commit_end: u64,
}

impl Pinned {
    pub(crate) fn view(&self) -> View<'_> {
        View { generation: &self.generation, commit_end: self.commit_end() }
    }
}

/// The newest point of a key by its slot, wherever it lies. Without a lock for numbers.
#[inline]
pub(crate) fn newest_point(generation: &Generation, slot: &KeySlot) -> Result<Option<Point>> {
    match generation.index.latest(slot) {
        Latest::Absent => Ok(None),
        Latest::InHistory => slot.newest_published_point(&generation.log, &generation.index),
        latest @ Latest::Number { .. } => Ok(point_of_latest(latest)),
    }
}

/// The newest value of a key by its slot.
#[inline]
pub(crate) fn newest_atom(generation: &Generation, slot: &KeySlot) -> Result<Option<Atom>> {
    Ok(newest_point(generation, slot)?.map(|point| point.value))
}

impl View<'_> {
    fn slot(&self, key: &str) -> Option<&KeySlot> {
        self.generation.index.slot_of(key)
    }

    pub(crate) fn point(&self, key: &str) -> Result<Option<Point>> {
        match self.slot(key) {
            Some(slot) => slot.newest_point(&self.generation.log, self.commit_end),
            None => Ok(None),
        }
    }

    pub(crate) fn point_at(&self, key: &str, timestamp: i64) -> Result<Option<Point>> {
        let Some(slot) = self.slot(key) else { return Ok(None) };
        let log = &self.generation.log;
        let view = slot.view(self.commit_end, |version| version.live_from..version.rows);
        match view.row_at(log, key, timestamp)? {
            Some(row) => view.point(log, key, row),
            None => Ok(None),
        }
    }

    pub(crate) fn len(&self, key: &str) -> u64 {
        self.slot(key).map_or(0, |slot| slot.version_at(self.commit_end).len())
    }

    /// The live keys in bytewise order.
    pub(crate) fn keys(&self, pattern: Option<&Glob>) -> Vec<String> {
        let live = |slot: &&KeySlot| {
            pattern.is_none_or(|glob| glob.matches(&slot.key))
                && slot.version_at(self.commit_end).len() > 0
        };
        let mut keys: Vec<String> =
            self.generation.index.slots().filter(live).map(|slot| (*slot.key).to_owned()).collect();
        keys.sort_unstable();
        keys
    }

    /// The latest points of the live keys that match, in bytewise order of the keys.
    pub(crate) fn latest(&self, pattern: &Glob) -> Result<Vec<(String, Point)>> {
        let mut points = Vec::new();
        for slot in self.generation.index.slots().filter(|slot| pattern.matches(&slot.key)) {
            if let Some(point) = slot.newest_point(&self.generation.log, self.commit_end)? {
                points.push(((*slot.key).to_owned(), point));
            }
        }
        points.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(points)
    }

    /// The live rows of a key.
    fn history(&self, key: &str) -> Result<HistoryView> {
        let view = self.slot(key).map(|slot| slot.view(self.commit_end, |v| v.live_from..v.rows));
        view.filter(|view| !view.rows().is_empty())
            .ok_or_else(|| SynaError::KeyNotFound { key: key.to_owned() })
    }

    pub(crate) fn get_history(&self, key: &str) -> Result<Vec<Point>> {
        self.history(key)?.read(&self.generation.log, key)
    }

    /// Rows are counted from the first live one.
    pub(crate) fn get_history_rows(&self, key: &str, rows: Range<u64>) -> Result<Vec<Point>> {
        let absent = || SynaError::KeyNotFound { key: key.to_owned() };
        let slot = self.slot(key).ok_or_else(absent)?;
        let mut is_live = false;
        let view = slot.view(self.commit_end, |version| {
            is_live = version.len() > 0;
            let row = |ordinal: u64| version.live_from.saturating_add(ordinal);
            row(rows.start)..row(rows.end)
        });
        if !is_live {
            return Err(absent());
        }
        view.read(&self.generation.log, key)
    }

    pub(crate) fn get_history_range(&self, key: &str, times: Times) -> Result<Vec<Point>> {
        self.history(key)?.read_range(&self.generation.log, key, times)
    }

    pub(crate) fn get_history_floats(&self, key: &str) -> Result<Vec<f64>> {
        self.history(key)?.read_floats(&self.generation.log, key)
    }

    /// The kinds that occur in the live history, in the order of their numbers.
    pub(crate) fn types(&self, key: &str) -> Result<Vec<AtomKind>> {
        let found = self.history(key)?.kinds(&self.generation.log, key)?;
        Ok(AtomKind::ALL.into_iter().zip(found).filter(|(_, f)| *f).map(|(kind, _)| kind).collect())
    }
}
