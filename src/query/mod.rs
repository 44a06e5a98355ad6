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

pub use align::{Align, Fill};
pub(crate) use align::{Grid, UnionOfTimes, carry_last, rows_seen};
pub use downsample::Downsample;
pub(crate) use downsample::downsample;
pub use every::Every;
pub use resample::Aggregate;
pub(crate) use resample::resample;
pub(crate) use stats::stats;
pub use stats::{HistoryStats, Number};
