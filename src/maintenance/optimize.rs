//! The rewrite that keeps all live history, in the form that reads best.

use std::ops::ControlFlow;

use crate::column::encoding::Policy;
use crate::db::Core;
use crate::error::Result;
use crate::{Progress, SynaDB};

use super::histories::copy_histories;
use super::rewrite::{RewriteReport, rewrite};

/// How [`SynaDB::optimize_with`] rewrites. `OptimizeOptions::default()` is what
/// [`SynaDB::optimize`] uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptimizeOptions {
    /// Store numbers in the cold tier where that takes less: a third to a half fewer bytes for most
    /// measurements, but reading them takes five to ten times as long. Default false. Full
    /// blocks that are in it already stay so whichever is chosen, and so does the last one of a
    /// history while nothing is appended behind it.
    pub cold: bool,
}

impl OptimizeOptions {
    /// Sets whether numbers go to the cold tier.
    #[must_use]
    pub fn with_cold(mut self, cold: bool) -> Self {
        self.cold = cold;
        self
    }
}

impl SynaDB {
    /// Rewrites the file with all live history in large chunks, sorted by key. What was replaced or
    /// deleted is dropped; timestamps, the order of points and their rows stay as they are.
    ///
    /// Blocks become longer than appends make them: 16,384 rows, in the cold tier 65,536 (of long
    /// texts, as many as have a mebibyte), unless all options of encoding are off. Blocks so long that
    /// are encoded as they would be now are copied as they are, and so is the last one of a history
    /// that nothing was added to: doing this again costs little more than copying. Every checksum is compared on the way. Appends and
    /// reads go on meanwhile, but for a short pause at the end; what is appended while it runs is
    /// kept whole. Snapshots and views in other processes keep what they see. A crash at any moment
    /// leaves the old file or the new one. Needs room for the new file beside the old, and memory
    /// for 64 MiB of points twice over, whatever the size of the file.
    ///
    /// # Errors
    ///
    /// `Busy` if a rewrite is running; `HardLinked`; `Corrupt` if a point that must be kept cannot
    /// be read; `Io` if there is no room (the old file stays as it is); `ReadOnly`, `Closed`,
    /// `Poisoned`, `Detached`, `ForkedHandle`.
    ///
    /// ```
    /// # fn main() -> synadb::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = synadb::SynaDB::new(folder.path().join("db.syna"))?;
    /// for hour in 0..100 {
    ///     db.append_at("JFK/temp", hour * 3_600_000_000, 39.02)?;
    /// }
    /// let report = db.optimize()?;
    /// assert_eq!((report.keys, report.points), (1, 100));
    /// assert!(report.bytes_after < report.bytes_before);
    /// # Ok(())
    /// # }
    /// ```
    pub fn optimize(&self) -> Result<RewriteReport> {
        let go_on = &mut |_| ControlFlow::Continue(());
        self.optimize_with(&OptimizeOptions::default(), go_on)
    }

    /// As [`SynaDB::optimize`] with options, telling how far it is. `progress` may end it by `Break`:
    /// the file stays as it is then. No lock is held while `progress` runs.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::optimize`]; `Cancelled`.
    pub fn optimize_with(
        &self,
        options: &OptimizeOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RewriteReport> {
        optimize_core(self.writing()?, options, progress)
    }
}

/// As [`SynaDB::optimize_with`] for who has no handle.
pub(crate) fn optimize_core(
    core: &Core,
    options: &OptimizeOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RewriteReport> {
    let policy = Policy { cold: options.cold, ..core.config.policy() };
    rewrite(core, policy, progress, |pinned, new, teller| {
        copy_histories(pinned, new, teller, &|_, _, view| Ok(view.rows().start))
    })
}
