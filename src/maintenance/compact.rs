//! The classic rewrite: the latest point of each live key.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::{Progress, SynaDB};

use super::rewrite::{RewriteReport, Teller, rewrite};

impl SynaDB {
    /// Rewrites the file with only the latest point of each live key, its timestamp unchanged. All
    /// older points are dropped, and rows are counted from 0 again.
    ///
    /// Appends and reads go on meanwhile, but for a short pause at the end; what is appended while
    /// it runs is kept whole. Snapshots and views in other processes keep what they see. A crash at
    /// any moment leaves the old file or the new one. Needs room for the new file beside the old.
    ///
    /// # Errors
    ///
    /// `Busy` if a rewrite is running; `HardLinked`; `Corrupt` if a point that must be kept cannot
    /// be read; `Io` if there is no room (the old file stays as it is); `ReadOnly`, `Closed`,
    /// `Poisoned`, `Detached`, `ForkedHandle`.
    pub fn compact(&self) -> Result<RewriteReport> {
        self.compact_with(&mut |_| ControlFlow::Continue(()))
    }

    /// As [`SynaDB::compact`], telling how far it is. `progress` may end it by `Break`: the file stays
    /// as it is then. No lock is held while `progress` runs.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::compact`]; `Cancelled`.
    pub fn compact_with(
        &self,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RewriteReport> {
        let core = self.writing()?;
        rewrite(core, core.config.policy(), progress, |pinned, new, tell: &mut Teller<'_>| {
            let (index, log) = (&pinned.generation.index, &pinned.generation.log);
            let keys = index.slots().count() as u64;
            for (number, slot) in (0u64..).zip(index.slots()) {
                if let Some(point) = slot.newest_point(log, pinned.commit_end())? {
                    new.commit_point(&slot.key, &point)?;
                }
                if number % 4096 == 0 {
                    tell.part(number, keys)?;
                }
            }
            Ok(())
        })
    }
}
