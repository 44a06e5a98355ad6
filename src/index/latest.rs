//! A key's latest point, readable without a lock beside the writer that replaces it.
//!
//! Two versions stand side by side. A commit writes the one that no reader of the published state
//! can need: the older, or the one this very commit wrote before. A reader takes both, makes sure
//! that nothing moved meanwhile, then asks which commit is published and answers with the newer
//! version at or below it. So no reader sees a point of a commit that is not published (of half a
//! batch), and none waits for more than the few stores of a writer.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::atom::AtomKind;

/// What is latest under a key, as far as it fits into the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latest {
    /// The key has no live point.
    Absent,
    /// A null or a number, by its bits.
    Number { timestamp: i64, kind: AtomKind, bits: u64 },
    /// Text or bytes: the key's history has it.
    InHistory,
}

/// Codes in the three low bits of a stamp; commits end at offsets divisible by 8.
const ABSENT: u64 = 0;
const NULL: u64 = 1;
const FLOAT: u64 = 2;
const INT: u64 = 3;
const IN_HISTORY: u64 = 4;
const CODE: u64 = 7;
/// A version that is being written.
const WRITING: u64 = u64::MAX;

#[derive(Default)]
struct Version {
    /// End of the commit that wrote it, and the code of what it is.
    stamp: AtomicU64,
    timestamp: AtomicU64,
    bits: AtomicU64,
}

#[derive(Default)]
pub(crate) struct LatestCell {
    versions: [Version; 2],
}

impl LatestCell {
    /// What is latest as of the newest published commit, whose end `published` holds.
    #[inline]
    pub(crate) fn get(&self, published: &AtomicU64) -> Latest {
        let [a, b] = &self.versions;
        loop {
            let (stamp_a, stamp_b) =
                (a.stamp.load(Ordering::Acquire), b.stamp.load(Ordering::Acquire));
            let content_a = (a.timestamp.load(Ordering::Relaxed), a.bits.load(Ordering::Relaxed));
            let content_b = (b.timestamp.load(Ordering::Relaxed), b.bits.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            let still = a.stamp.load(Ordering::Relaxed) == stamp_a
                && b.stamp.load(Ordering::Relaxed) == stamp_b;
            if !still || stamp_a == WRITING || stamp_b == WRITING {
                std::hint::spin_loop();
                continue;
            }
            let limit = published.load(Ordering::Acquire) | CODE;
            let (newer, older) = if stamp_a > stamp_b {
                ((stamp_a, content_a), (stamp_b, content_b))
            } else {
                ((stamp_b, content_b), (stamp_a, content_a))
            };
            let (stamp, (timestamp, bits)) = if newer.0 <= limit { newer } else { older };
            let kind = match stamp & CODE {
                NULL => AtomKind::Null,
                FLOAT => AtomKind::Float,
                INT => AtomKind::Int,
                IN_HISTORY => return Latest::InHistory,
                _ => return Latest::Absent,
            };
            return Latest::Number { timestamp: timestamp.cast_signed(), kind, bits };
        }
    }

    /// What is latest as of the newest commit applied, published or not. For the writer.
    pub(crate) fn newest(&self) -> Latest {
        self.get(&AtomicU64::new(u64::MAX))
    }

    /// Writes what is latest as of the commit that ends at `commit_end`, which is not published
    /// yet while `published` is. Called by one writer at a time.
    #[inline]
    pub(crate) fn set(&self, commit_end: u64, published: u64, latest: Latest) {
        let [a, b] = &self.versions;
        let (stamp_a, stamp_b) = (a.stamp.load(Ordering::Relaxed), b.stamp.load(Ordering::Relaxed));
        let limit = published | CODE;
        let victim = if stamp_a > limit {
            a
        } else if stamp_b > limit || stamp_a > stamp_b {
            b
        } else {
            a
        };
        let (code, timestamp, bits) = match latest {
            Latest::Absent => (ABSENT, 0, 0),
            Latest::InHistory => (IN_HISTORY, 0, 0),
            Latest::Number { timestamp, kind, bits } => {
                let code = match kind {
                    AtomKind::Float => FLOAT,
                    AtomKind::Int => INT,
                    _ => NULL,
                };
                (code, timestamp.cast_unsigned(), bits)
            }
        };
        victim.stamp.store(WRITING, Ordering::Relaxed);
        fence(Ordering::Release);
        victim.timestamp.store(timestamp, Ordering::Relaxed);
        victim.bits.store(bits, Ordering::Relaxed);
        victim.stamp.store((commit_end & !CODE) | code, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: u64) -> Latest {
        Latest::Number { timestamp: value.cast_signed(), kind: AtomKind::Int, bits: value }
    }

    #[test]
    fn an_unpublished_version_is_not_seen() {
        let cell = LatestCell::default();
        let published = AtomicU64::new(0);
        assert_eq!(cell.get(&published), Latest::Absent);
        cell.set(8, 0, int(1));
        assert_eq!(cell.get(&published), Latest::Absent);
        cell.set(8, 0, int(2));
        published.store(8, Ordering::Release);
        assert_eq!(cell.get(&published), int(2));
        cell.set(16, 8, int(3));
        assert_eq!(cell.get(&published), int(2));
        published.store(16, Ordering::Release);
        assert_eq!(cell.get(&published), int(3));
        cell.set(24, 16, Latest::Absent);
        published.store(24, Ordering::Release);
        assert_eq!(cell.get(&published), Latest::Absent);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_points_that_never_go_back() {
        let cell = LatestCell::default();
        let published = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for commit in 1..300_000u64 {
                    cell.set(commit * 8, (commit - 1) * 8, int(commit));
                    published.store(commit * 8, Ordering::Release);
                }
            });
            let mut last = 0;
            while last < 299_999 {
                if let Latest::Number { timestamp, bits, .. } = cell.get(&published) {
                    assert_eq!(timestamp.cast_unsigned(), bits);
                    assert!(bits >= last, "{bits} after {last}");
                    last = bits;
                }
            }
        });
    }
}
