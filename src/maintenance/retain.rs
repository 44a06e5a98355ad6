//! The rewrite that keeps the newest part of each history.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::index::{Glob, HistoryView, SegmentBody, load_chunk_once};
use crate::log::LogFile;
use crate::{Progress, SynaDB};

use super::histories::copy_histories;
use super::rewrite::{RewriteReport, rewrite};

/// What [`SynaDB::retain`] keeps, by patterns of keys.
///
/// Of a key the first rule whose pattern matches it decides; a key that no rule matches keeps
/// everything. Only rows at the beginning of a history go, so that no gap comes about. Patterns are
/// those of [`SynaDB::keys_matching`].
///
/// ```
/// # fn main() -> synadb::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let db = synadb::SynaDB::new(folder.path().join("db.syna"))?;
/// use synadb::RetainPolicy;
///
/// for i in 0..10 {
///     db.append_at("debug/load", i, i)?;
///     db.append_at("JFK/temp", i, i)?;
///     db.append_at("JFK/wind", i, i)?;
/// }
/// let policy = RetainPolicy::new().last("debug/*", 3)?.since("*/temp", 4)?;
/// db.retain(&policy)?;
/// assert_eq!(db.len("debug/load")?, 3);
/// assert_eq!(db.len("JFK/temp")?, 6);
/// assert_eq!(db.len("JFK/wind")?, 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct RetainPolicy {
    rules: Vec<(Glob, Keep)>,
}

#[derive(Debug, Clone, Copy)]
enum Keep {
    Last(u64),
    Since(i64),
}

impl RetainPolicy {
    /// A policy that keeps everything.
    pub fn new() -> RetainPolicy {
        RetainPolicy::default()
    }

    /// Adds a rule: of the keys that match, only the last `rows` rows are kept. With 0 nothing is.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`.
    pub fn last(mut self, pattern: &str, rows: u64) -> Result<RetainPolicy> {
        self.rules.push((Glob::new(pattern)?, Keep::Last(rows)));
        Ok(self)
    }

    /// Adds a rule: of the keys that match, all rows are kept from the first one on, in append
    /// order, whose timestamp is at or after `timestamp`. If there is none, nothing is.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`.
    pub fn since(mut self, pattern: &str, timestamp: i64) -> Result<RetainPolicy> {
        self.rules.push((Glob::new(pattern)?, Keep::Since(timestamp)));
        Ok(self)
    }

    /// The first row that is kept; the end of the rows if none is.
    fn first_row(&self, log: &LogFile, key: &str, view: &HistoryView) -> Result<u64> {
        let rows = view.rows();
        match self.rules.iter().find(|(pattern, _)| pattern.matches(key)) {
            None => Ok(rows.start),
            Some((_, Keep::Last(count))) => Ok(rows.start.max(rows.end.saturating_sub(*count))),
            Some((_, Keep::Since(timestamp))) => first_since(log, key, view, *timestamp),
        }
    }
}

/// The first row whose timestamp is at or after `timestamp`. Only blocks that may hold it are read.
fn first_since(log: &LogFile, key: &str, view: &HistoryView, timestamp: i64) -> Result<u64> {
    let rows = view.rows();
    // Rows of a segment that lie before those asked for do not count.
    let found = |first: u64, timestamps: &[i64]| {
        let mut numbered = (first..).zip(timestamps);
        numbered.find(|(row, time)| *row >= rows.start && **time >= timestamp).map(|(row, _)| row)
    };
    for segment in view.segments().iter().filter(|s| s.timestamp_max >= timestamp) {
        match &segment.body {
            SegmentBody::Chunk { .. } => {
                let chunk = load_chunk_once(log, key, segment)?;
                let mut timestamps = Vec::new();
                for (number, block) in chunk.header().blocks.iter().enumerate() {
                    if block.zone.timestamp_max < timestamp {
                        continue;
                    }
                    timestamps.clear();
                    chunk.block_timestamps(log, number, &mut timestamps)?;
                    let first = segment.first_row + u64::from(block.first_row);
                    if let Some(row) = found(first, &timestamps) {
                        return Ok(row);
                    }
                }
            }
            SegmentBody::Put { .. } => {
                if let Some(row) = found(segment.first_row, &[segment.timestamp_min]) {
                    return Ok(row);
                }
            }
            SegmentBody::Points(points) => {
                if let Some(row) = found(segment.first_row, points.timestamps()) {
                    return Ok(row);
                }
            }
        }
    }
    let tail = view.tail();
    Ok(found(rows.end - tail.len() as u64, tail.timestamps()).unwrap_or(rows.end))
}

impl SynaDB {
    /// Rewrites the file as [`optimize`](SynaDB::optimize) does, keeping of each history what
    /// `policy` says. The rows that are kept have the numbers they had; a key of which nothing is
    /// kept is gone, and starts again at row 0.
    ///
    /// What is appended while it runs is kept whole.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::optimize`].
    pub fn retain(&self, policy: &RetainPolicy) -> Result<RewriteReport> {
        self.retain_with(policy, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`SynaDB::retain`], telling how far it is. `progress` may end it by `Break`: the file stays
    /// as it is then. No lock is held while `progress` runs.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::retain`]; `Cancelled`.
    pub fn retain_with(
        &self,
        policy: &RetainPolicy,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RewriteReport> {
        let core = self.writing()?;
        rewrite(core, core.config.policy(), progress, |pinned, new, teller| {
            copy_histories(pinned, new, teller, &|log, key, view| policy.first_row(log, key, view))
        })
    }
}
