//! Which commits are held by snapshots, so that the writer knows what it may forget.

use std::collections::BTreeMap;

use crate::sync::{AtomicU64, Mutex, Ordering, fence};

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
        self.newest.load(Ordering::Relaxed)
    }

    /// The held commits, oldest first.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.held.lock().keys().copied().collect()
    }

    /// Holds the commit that is published now.
    ///
    /// A writer asks `newest` at each change before it forgets a version. Were the commit chosen
    /// first and announced later, a writer could publish two more commits in between and forget
    /// what this one needs. So the announcement comes first, and says "keep everything". Between it
    /// and the look at what is published stands a fence, and one stands between the publication of
    /// a commit and the changes of the next (`IndexWriter::publish`): a change that does not see
    /// the announcement has its fence before this one, so the commit read here is not older than
    /// the one published before that change. At most one change per key is not seen, and one
    /// version back is always kept.
    pub(crate) fn pin(&self, published: &AtomicU64) -> Pin {
        let mut held = self.held.lock();
        self.newest.store(u64::MAX, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let commit_end = published.load(Ordering::Acquire);
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
        self.newest.store(newest, Ordering::Relaxed);
    }
}
