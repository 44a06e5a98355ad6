//! Bugs that can be planted on purpose, so that the tests can be tested.
//!
//! With the feature `canaries` the environment variable `SYNADB_CANARY` names one [`Canary`], and
//! the code it concerns asks [`planted`] whether to misbehave. `make canaries` runs the suite once
//! for each and demands that a test fails. Without the feature, which is never enabled in anything
//! that is shipped, `planted` is a constant `false` and the branch is compiled away.

/// A bug that can be planted, named by what the code then does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "canaries"), allow(dead_code, reason = "matched on only where planted"))]
pub(crate) enum Canary {
    /// `skip_sync`: data is not synced, but taken for durable.
    SkipSync,
    /// `skip_folder_sync`: the folder is not synced after a create or rename.
    SkipFolderSync,
    /// `ack_before_sync`: a `Full` append returns before its group is synced.
    AckBeforeSync,
    /// `false_after_sync`: every entry carries `AFTER_SYNC`.
    FalseAfterSync,
    /// `ignore_commit`: members of a batch count without their commit entry.
    IgnoreCommit,
    /// `cut_at_first_crc_error`: recovery takes any bad entry for a torn tail.
    CutAtFirstCrcError,
    /// `unlock_in_child`: a forked child's drop unlocks the parent's file.
    UnlockInChild,
    /// `skip_folder_check_after_lock`: the path is not compared with the inode that was locked.
    SkipFolderCheckAfterLock,
}

/// Whether this bug is to be shown.
#[cfg(not(feature = "canaries"))]
#[inline]
pub(crate) const fn planted(_bug: Canary) -> bool {
    false
}

/// Whether this bug is to be shown. The environment is read once.
///
/// # Panics
///
/// If `SYNADB_CANARY` names no bug: a misspelt one would pass for caught or uncaught.
#[cfg(feature = "canaries")]
pub(crate) fn planted(bug: Canary) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Canary>> = std::sync::OnceLock::new();
    *PLANTED.get_or_init(|| std::env::var("SYNADB_CANARY").ok().map(|name| named(&name)))
        == Some(bug)
}

#[cfg(feature = "canaries")]
fn named(name: &str) -> Canary {
    match name {
        "skip_sync" => Canary::SkipSync,
        "skip_folder_sync" => Canary::SkipFolderSync,
        "ack_before_sync" => Canary::AckBeforeSync,
        "false_after_sync" => Canary::FalseAfterSync,
        "ignore_commit" => Canary::IgnoreCommit,
        "cut_at_first_crc_error" => Canary::CutAtFirstCrcError,
        "unlock_in_child" => Canary::UnlockInChild,
        "skip_folder_check_after_lock" => Canary::SkipFolderCheckAfterLock,
        _ => panic!("unknown canary {name:?}: see src/canary.rs"),
    }
}
