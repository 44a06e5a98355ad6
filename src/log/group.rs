//! Group commit: appends that come while a sync runs are written and synced together by one of
//! the threads that wait.
//!
//! Appenders queue up. Whoever finds no leader takes all that is queued, runs it as one group and
//! hands each its result; what comes meanwhile is the next group. Two condition variables serve the
//! groups in turn, so that the end of a group wakes its members and one leader for the next, and
//! nobody in vain.

use std::sync::{Arc, OnceLock};

use crate::error::{Result, SharedIo, SynaError};
use crate::mutex::{Condvar, Waited};

/// Where a commit's result is put. The result is the offset of its first entry.
type ResultCell = Arc<OnceLock<Result<u64>>>;

struct Queue<C> {
    /// Commits of the group that is filling.
    commits: Vec<C>,
    results: Vec<ResultCell>,
    /// Number of the group that is filling.
    filling: u64,
    has_leader: bool,
}

/// The queue in front of a writer.
pub(crate) struct Group<C> {
    queue: Waited<Queue<C>>,
    ended: [Condvar; 2],
}

impl<C> Group<C> {
    pub(crate) fn new() -> Self {
        Group {
            queue: Waited::new(Queue {
                commits: Vec::new(),
                results: Vec::new(),
                filling: 0,
                has_leader: false,
            }),
            ended: [Condvar::new(), Condvar::new()],
        }
    }

    fn condvar(&self, group: u64) -> &Condvar {
        let [even, odd] = &self.ended;
        if group.is_multiple_of(2) { even } else { odd }
    }

    /// Waits until a group with `commit` in it has run. `run` runs a group, should this thread
    /// become its leader; it gives one result for each commit, in order.
    pub(crate) fn submit(
        &self,
        commit: C,
        run: impl FnOnce(Vec<C>) -> Vec<Result<u64>>,
    ) -> Result<u64> {
        let result: ResultCell = Arc::default();
        let mut queue = self.queue.lock();
        queue.commits.push(commit);
        queue.results.push(Arc::clone(&result));
        let group = queue.filling;
        while queue.has_leader {
            queue = self.condvar(group).wait(queue);
            if let Some(result) = result.get() {
                return result.clone();
            }
        }
        if let Some(result) = result.get() {
            return result.clone();
        }
        queue.has_leader = true;
        queue.filling += 1;
        let commits = std::mem::take(&mut queue.commits);
        let results = std::mem::take(&mut queue.results);
        drop(queue);
        // Also when `run` panics: those who wait must not wait for ever.
        let end = EndGroup { group: self, number: group, results };
        for (cell, outcome) in end.results.iter().zip(run(commits)) {
            // Nobody else sets it.
            let _ = cell.set(outcome);
        }
        drop(end);
        result.get().cloned().unwrap_or_else(|| Err(interrupted()))
    }
}

struct EndGroup<'a, C> {
    group: &'a Group<C>,
    number: u64,
    results: Vec<ResultCell>,
}

impl<C> Drop for EndGroup<'_, C> {
    fn drop(&mut self) {
        for cell in &self.results {
            cell.get_or_init(|| Err(interrupted()));
        }
        let mut queue = self.group.queue.lock();
        queue.has_leader = false;
        let next = !queue.commits.is_empty();
        drop(queue);
        if self.results.len() > 1 {
            self.group.condvar(self.number).notify_all();
        }
        if next {
            self.group.condvar(self.number + 1).notify_one();
        }
    }
}

fn interrupted() -> SynaError {
    SynaError::Poisoned {
        operation: "a group commit",
        source: SharedIo::new(std::io::Error::other("the thread that wrote the group panicked")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn every_commit_gets_its_own_result_and_groups_form() {
        let group = Group::new();
        let (groups, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (group, groups, sum) = (&group, &groups, &sum);
                scope.spawn(move || {
                    for i in 0..500 {
                        let number = thread * 1000 + i;
                        let result = group.submit(number, |commits| {
                            groups.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                            commits
                                .into_iter()
                                .map(|n| {
                                    sum.fetch_add(n, Ordering::Relaxed);
                                    Ok(n * 2)
                                })
                                .collect()
                        });
                        assert_eq!(result.unwrap(), number * 2);
                    }
                });
            }
        });
        assert!(groups.load(Ordering::Relaxed) <= 4000);
        let expected: u64 = (0..8).flat_map(|t| (0..500).map(move |i| t * 1000 + i)).sum();
        assert_eq!(sum.load(Ordering::Relaxed), expected);
    }

    #[test]
    fn a_panicking_leader_leaves_nobody_waiting() {
        let group = Group::<u64>::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = group.submit(1, |_| panic!("in the write path"));
        }));
        assert!(caught.is_err());
        assert_eq!(group.submit(2, |commits| commits.into_iter().map(Ok).collect()).unwrap(), 2);
    }
}
