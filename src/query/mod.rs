//! What a history answers without becoming arrays: statistics, buckets of time, points for a plot.
//!
//! Whole blocks answer by their zone maps; only blocks at the edges of what is asked for are read.
//! Numbers are floats and integers. NaN is counted and otherwise left out, except that first and
//! last may be one.

mod align;
mod downsample;
mod every;
mod resample;
mod stats;

/// A table by time has at most so many cells, rows times columns: 8 GiB of numbers.
pub(crate) const CELLS_MAX: u64 = 1 << 30;

pub use align::{Align, Fill};
pub(crate) use align::{Grid, UnionOfTimes, carry_last, rows_seen};
pub use downsample::Downsample;
pub(crate) use downsample::{check_count, downsample, nearest_floats};
pub use every::{Every, parse_tolerance};
pub use resample::Aggregate;
pub(crate) use resample::resample;
pub use stats::{HistoryStats, Number};
pub(crate) use stats::{stats, stats_of_all};
