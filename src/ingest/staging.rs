//! Points of many batches that are to become one commit.

use std::collections::HashMap;

use crate::column::Points;
use crate::error::{Result, SynaError};

use super::table::Table;

/// The points of a write that takes effect as a whole, by key, until the last batch has come.
pub(crate) struct Staging {
    codes: HashMap<String, usize, foldhash::fast::RandomState>,
    points: Vec<Points>,
    bytes: u64,
    budget_bytes: u64,
}

impl Staging {
    pub(crate) fn new(budget_bytes: u64) -> Staging {
        let (codes, points) = (HashMap::default(), Vec::new());
        Staging { codes, points, bytes: 0, budget_bytes }
    }

    /// Takes the points of a batch in, unless that are too many.
    pub(crate) fn add(&mut self, table: &Table<'_>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(table.size_bytes());
        if self.bytes > self.budget_bytes {
            return Err(SynaError::BatchTooLarge {
                what: "what an atomic write has staged so far (option `write_budget_bytes`)",
                len: self.bytes,
                max: self.budget_bytes,
            });
        }
        for series in table.series() {
            let code = match self.codes.get(&*series.key) {
                Some(code) => *code,
                None => {
                    self.codes.insert(series.key.clone().into_owned(), self.points.len());
                    self.points.push(Points::new());
                    self.points.len() - 1
                }
            };
            if let Some(points) = self.points.get_mut(code) {
                table.append_to(series, points);
            }
        }
        Ok(())
    }

    /// The keys with their points, in order of appearance.
    pub(crate) fn into_points(self) -> Vec<(String, Points)> {
        let mut keys: Vec<(String, usize)> = self.codes.into_iter().collect();
        keys.sort_unstable_by_key(|(_, code)| *code);
        keys.into_iter().map(|(key, _)| key).zip(self.points).collect()
    }
}
