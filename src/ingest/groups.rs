//! Which rows of a batch belong to which key.

use std::ops::Range;

use super::keys::Keys;

/// The rows of one key, in the order of the batch.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// They lie side by side.
    Range(Range<usize>),
    /// They are named by this range of [`Groups::order`].
    Picked(Range<usize>),
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::Range(rows) | Rows::Picked(rows) => rows.len(),
        }
    }
}

/// The rows of all keys.
pub(super) struct Groups {
    /// Of each key.
    pub(super) rows: Vec<Rows>,
    /// Row numbers, those of one key together; empty where the rows of every key lie side by side.
    pub(super) order: Vec<u32>,
}

impl Groups {
    pub(super) fn of(keys: &Keys<'_>, rows: usize) -> Groups {
        if keys.codes.is_empty() {
            let rows = if keys.names.is_empty() { Vec::new() } else { vec![Rows::Range(0..rows)] };
            return Groups { rows, order: Vec::new() };
        }
        let mut counts = vec![0_usize; keys.names.len()];
        for code in &keys.codes {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        // Keys are numbered by their first rows, so that those of one run each follow each other.
        let side_by_side = keys.runs == keys.names.len();
        let mut places = counts;
        let mut rows = Vec::with_capacity(places.len());
        let mut end = 0_usize;
        for place in &mut places {
            let start = end;
            end = end.saturating_add(*place);
            *place = start;
            rows.push(if side_by_side {
                Rows::Range(start..end)
            } else {
                Rows::Picked(start..end)
            });
        }
        if side_by_side {
            return Groups { rows, order: Vec::new() };
        }
        let mut order = vec![0; keys.codes.len()];
        for (row, code) in (0_u32..).zip(&keys.codes) {
            if let Some(place) = places.get_mut(*code as usize)
                && let Some(slot) = order.get_mut(*place)
            {
                *slot = row;
                *place += 1;
            }
        }
        Groups { rows, order }
    }
}
