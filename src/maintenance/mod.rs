//! Rewrites and checks: what looks at or makes whole files.
//!
//! [`compact`] rewrites the file with the latest values, [`optimize`] with all live history,
//! [`retain`] with the newest part of it; [`backup`] copies it while it is written, [`verify`] reads
//! every byte, [`salvage`] copies what is intact out of a damaged file.

mod backup;
mod compact;
mod histories;
mod optimize;
mod retain;
mod rewrite;
mod salvage;
mod verify;

pub(crate) use backup::last_entry;
pub use optimize::OptimizeOptions;
pub(crate) use optimize::optimize_core;
pub use retain::RetainPolicy;
pub use rewrite::RewriteReport;
pub use salvage::{MissingRange, SalvageReport, salvage, salvage_storage, salvage_with};
pub use verify::VerifyReport;

/// How far a long operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes to do, as far as known.
    pub total_bytes: u64,
}
