//! The points of one batch, by key.
//!
//! A batch of many rows brings many points of each key, and the store writes those of one key as
//! one column. The order of a key's points is kept; that between keys has no meaning inside one
//! atomic commit.

use std::collections::HashMap;

use crate::{Atom, SynaDB, SynaError, Values};

#[derive(Default)]
pub(super) struct Staging {
    by_key: HashMap<String, usize>,
    slots: Vec<Slot>,
    /// Slots with points in this batch, in the order in which they got their first.
    filled: Vec<usize>,
}

#[derive(Default)]
struct Slot {
    key: String,
    timestamps: Vec<i64>,
    values: Column,
}

/// Values of one kind side by side as long as it is one kind.
enum Column {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Atoms(Vec<Atom>),
}

impl Default for Column {
    fn default() -> Self {
        Column::Floats(Vec::new())
    }
}

impl Column {
    fn push(&mut self, value: Atom) {
        match (&mut *self, value) {
            (Column::Floats(values), Atom::Float(value)) => values.push(value),
            (Column::Ints(values), Atom::Int(value)) => values.push(value),
            (Column::Atoms(values), value) => values.push(value),
            (Column::Floats(values), Atom::Int(value)) if values.is_empty() => {
                *self = Column::Ints(vec![value]);
            }
            (_, value) => {
                *self = Column::Atoms(std::mem::take(self).into_atoms());
                self.push(value);
            }
        }
    }

    fn into_atoms(self) -> Vec<Atom> {
        match self {
            Column::Floats(values) => values.into_iter().map(Atom::Float).collect(),
            Column::Ints(values) => values.into_iter().map(Atom::Int).collect(),
            Column::Atoms(values) => values,
        }
    }

    fn as_values(&self) -> Values<'_> {
        match self {
            Column::Floats(values) => Values::Floats(values),
            Column::Ints(values) => Values::Ints(values),
            Column::Atoms(values) => Values::Atoms(values),
        }
    }

    fn clear(&mut self) {
        match self {
            Column::Floats(values) => values.clear(),
            Column::Ints(values) => values.clear(),
            // The next batch may be of one kind again.
            Column::Atoms(_) => *self = Column::default(),
        }
    }
}

impl Staging {
    /// Adds a point to the batch.
    pub(super) fn push(&mut self, key: &str, timestamp: i64, value: Atom) {
        let index = match self.by_key.get(key) {
            Some(index) => *index,
            None => {
                let index = self.slots.len();
                self.by_key.insert(key.to_owned(), index);
                self.slots.push(Slot { key: key.to_owned(), ..Slot::default() });
                index
            }
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.timestamps.is_empty() {
            self.filled.push(index);
        }
        slot.timestamps.push(timestamp);
        slot.values.push(value);
    }

    /// How many keys got a point so far.
    pub(super) fn keys_seen(&self) -> usize {
        self.slots.len()
    }

    /// Writes the batch as one commit, empties it and returns its number of points. An empty batch
    /// writes nothing.
    pub(super) fn commit_to(&mut self, db: &SynaDB) -> Result<u64, SynaError> {
        if self.filled.is_empty() {
            return Ok(0);
        }
        let mut batch = db.batch();
        let mut points = 0_u64;
        for index in &self.filled {
            if let Some(slot) = self.slots.get(*index) {
                batch.append_batch(&slot.key, &slot.timestamps, slot.values.as_values())?;
                points += slot.timestamps.len() as u64;
            }
        }
        batch.commit()?;
        for index in self.filled.drain(..) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.timestamps.clear();
                slot.values.clear();
            }
        }
        Ok(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Atom]) -> Column {
        let mut column = Column::default();
        values.iter().cloned().for_each(|value| column.push(value));
        column
    }

    #[test]
    fn one_kind_is_a_column_and_a_mix_is_not() {
        let floats = [Atom::Float(1.0), Atom::Float(2.0)];
        assert!(matches!(column(&floats).as_values(), Values::Floats([1.0, 2.0])));
        let ints = [Atom::Int(1), Atom::Int(2)];
        assert!(matches!(column(&ints).as_values(), Values::Ints([1, 2])));
        for mix in [
            vec![Atom::Float(1.0), Atom::Null],
            vec![Atom::Int(1), Atom::Float(2.0)],
            vec![Atom::Text("a".into()), Atom::Int(1)],
        ] {
            assert!(matches!(column(&mix).as_values(), Values::Atoms(values) if values == mix));
        }
    }

    #[test]
    fn points_keep_their_order_within_a_key() {
        let mut staging = Staging::default();
        for (key, timestamp) in [("a", 2), ("b", 1), ("a", 1)] {
            staging.push(key, timestamp, Atom::Int(timestamp));
        }
        assert_eq!(staging.keys_seen(), 2);
        assert_eq!(staging.slots[0].timestamps, [2, 1]);
        assert_eq!(staging.filled, [0, 1]);
    }
}
