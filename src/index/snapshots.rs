//! Which commits are held by snapshots, so that the writer knows what it may forget.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The hold on one commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// End of the commit.
    pub(crate) commit_end: u64,
}

#[derive(Default)]
pub(crate) struct Snapshots {
    /// Held commits and how many snapshots hold each.
    held: Mutex<BTreeMap<u64, usize>>,
    /// The newest held commit, 0 for none. `u64::MAX` while one is being taken.
    newest: AtomicU64,
}

impl Snapshots {
    /// The newest held commit, 0 for none.
    #[inline]
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }

    /// The oldest held commit.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.held.lock().keys().next().copied()
    }

    /// Holds the commit that is published now.
    ///
    /// A writer asks `newest` at each change before it forgets a version. Were the commit chosen
    /// first and announced later, a writer could publish two more commits in between and forget
    /// what this one needs. So the announcement comes first, and says "keep everything". In the
    /// total order of these operations, a change that does not see the announcement comes before
    /// it, hence so does the publication of every commit before that change, and the commit read
    /// here is not older than those: at most one change per key is not seen, and one version back
    /// is always kept. (On x86-64 the writer's side of that order comes from a mutex, see `PUBLISH`
    /// in the index writer.)
    pub(crate) fn pin(&self, published: &AtomicU64) -> Pin {
        let mut held = self.held.lock();
        self.newest.store(u64::MAX, Ordering::SeqCst);
        let commit_end = published.load(Ordering::SeqCst);
        *held.entry(commit_end).or_default() += 1;
        self.announce(&held);
        Pin { commit_end }
    }

    pub(crate) fn unpin(&self, pin: Pin) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(&pin.commit_end) {
            *count -= 1;
            if *count == 0 {
                held.remove(&pin.commit_end);
            }
        }
        self.announce(&held);
    }

    fn announce(&self, held: &BTreeMap<u64, usize>) {
        let newest = held.keys().next_back().copied().unwrap_or(0);
        self.newest.store(newest, Ordering::SeqCst);
    }
}
