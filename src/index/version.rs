//! What a commit made of a key, readable without a lock beside the writer that goes on.
//!
//! Two versions stand side by side. A commit writes the one that no reader of the published state
//! can need: the older, or the one this very commit wrote before. A reader takes both, asks which
//! commit is published, makes sure that nothing moved meanwhile, and answers with the newer version
//! at or below that commit. So no reader sees a point of a commit that is not published (of half a
//! batch), and none waits for more than the few stores of a writer. Were the question asked after
//! making sure, the first of two points of one key in a batch could be taken for the last.
//!
//! A version says what is latest and which rows are live. A reader that found it also finds the
//! rows: whoever adds one writes it before the version that counts it.

use crate::atom::AtomKind;
use crate::sync::{AtomicU64, Ordering, fence, spin_loop};

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
/// Which rows are live as of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Version {
    /// End of the commit that made it so.
    pub(crate) since: u64,
    /// The first live row; a tombstone raises it to `rows`.
    pub(crate) live_from: u64,
    /// Number of the next row.
    pub(crate) rows: u64,
}

impl Version {
    pub(crate) fn len(&self) -> u64 {
        self.rows - self.live_from
    }
}

#[derive(Default)]
struct Stored {
    /// End of the commit that wrote it, and the code of what is latest.
    stamp: AtomicU64,
    timestamp: AtomicU64,
    bits: AtomicU64,
    live_from: AtomicU64,
    rows: AtomicU64,
}

impl Stored {
    fn version(&self) -> Version {
        Version {
            since: self.stamp.load(Ordering::Relaxed) & !CODE,
            live_from: self.live_from.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }
}

/// The two newest versions of a key.
#[derive(Default)]
pub(crate) struct VersionCell {
    /// Odd while a version is being written. Stamps would not do to find out that something moved: a
    /// commit may write its version several times.
    sequence: AtomicU64,
    versions: [Stored; 2],
}

impl VersionCell {
    /// What is latest as of the newest published commit, whose end `published` holds.
    #[inline]
    pub(crate) fn latest(&self, published: &AtomicU64) -> Latest {
        let content = |stored: &Stored| {
            (stored.timestamp.load(Ordering::Relaxed), stored.bits.load(Ordering::Relaxed))
        };
        let published = || published.load(Ordering::Acquire);
        let (newer, older, published) = self.read(content, published);
        let limit = published | CODE;
        let (stamp, (timestamp, bits)) = if newer.0 <= limit { newer } else { older };
        let kind = match stamp & CODE {
            NULL => AtomKind::Null,
            FLOAT => AtomKind::Float,
            INT => AtomKind::Int,
            IN_HISTORY => return Latest::InHistory,
            _ => return Latest::Absent,
        };
        Latest::Number { timestamp: timestamp.cast_signed(), kind, bits }
    }

    /// What is latest as of the newest commit applied, published or not. For the writer.
    pub(crate) fn newest_latest(&self) -> Latest {
        self.latest(&AtomicU64::new(u64::MAX))
    }

    /// The newer and the older version.
    pub(crate) fn pair(&self) -> (Version, Version) {
        let (newer, older, ()) = self.pair_and(|| ());
        (newer, older)
    }

    /// The newer and the older version and what `ask` answers while they are what is there. If it
    /// tells which commit is published, one of them holds for it.
    pub(crate) fn pair_and<T>(&self, ask: impl Fn() -> T) -> (Version, Version, T) {
        let ((_, newer), (_, older), answer) = self.read(Stored::version, ask);
        (newer, older, answer)
    }

    /// The version of the newest commit applied, published or not.
    pub(crate) fn newest(&self) -> Version {
        self.pair().0
    }

    /// Reads both versions as they were at one moment, the newer one first, and asks at that moment.
    #[inline]
    fn read<T, A>(
        &self,
        content: impl Fn(&Stored) -> T,
        ask: impl Fn() -> A,
    ) -> ((u64, T), (u64, T), A) {
        let [a, b] = &self.versions;
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let (stamp_a, content_a) = (a.stamp.load(Ordering::Relaxed), content(a));
            let (stamp_b, content_b) = (b.stamp.load(Ordering::Relaxed), content(b));
            let answer = ask();
            fence(Ordering::Acquire);
            if before % 2 == 1 || self.sequence.load(Ordering::Relaxed) != before {
                spin_loop();
                continue;
            }
            return if stamp_a > stamp_b {
                ((stamp_a, content_a), (stamp_b, content_b), answer)
            } else {
                ((stamp_b, content_b), (stamp_a, content_a), answer)
            };
        }
    }

    /// The newer and the older version, for the one who writes them.
    #[inline]
    pub(crate) fn own_pair(&self) -> (Version, Version) {
        let [a, b] = &self.versions;
        if a.stamp.load(Ordering::Relaxed) > b.stamp.load(Ordering::Relaxed) {
            (a.version(), b.version())
        } else {
            (b.version(), a.version())
        }
    }

    /// Writes what holds from the commit on that ends at `version.since`, which is not published
    /// yet while `published` is. Called by one writer at a time.
    #[inline]
    pub(crate) fn set(&self, version: Version, published: u64, latest: Latest) {
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
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        victim.stamp.store((version.since & !CODE) | code, Ordering::Relaxed);
        victim.timestamp.store(timestamp, Ordering::Relaxed);
        victim.bits.store(bits, Ordering::Relaxed);
        victim.live_from.store(version.live_from, Ordering::Relaxed);
        victim.rows.store(version.rows, Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn int(value: u64) -> Latest {
        Latest::Number { timestamp: value.cast_signed(), kind: AtomKind::Int, bits: value }
    }

    fn version(since: u64, rows: u64) -> Version {
        Version { since, live_from: 0, rows }
    }

    #[test]
    fn an_unpublished_version_is_not_seen() {
        let cell = VersionCell::default();
        let published = AtomicU64::new(0);
        assert_eq!(cell.latest(&published), Latest::Absent);
        cell.set(version(8, 1), 0, int(1));
        assert_eq!(cell.latest(&published), Latest::Absent);
        cell.set(version(8, 1), 0, int(2));
        published.store(8, Ordering::Release);
        assert_eq!(cell.latest(&published), int(2));
        cell.set(version(16, 1), 8, int(3));
        assert_eq!(cell.latest(&published), int(2));
        published.store(16, Ordering::Release);
        assert_eq!(cell.latest(&published), int(3));
        cell.set(version(24, 1), 16, Latest::Absent);
        published.store(24, Ordering::Release);
        assert_eq!(cell.latest(&published), Latest::Absent);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_points_that_never_go_back() {
        let cell = VersionCell::default();
        let published = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for commit in 1..300_000u64 {
                    cell.set(version(commit * 8, commit), (commit - 1) * 8, int(commit));
                    published.store(commit * 8, Ordering::Release);
                }
            });
            let mut last = 0;
            while last < 299_999 {
                if let Latest::Number { timestamp, bits, .. } = cell.latest(&published) {
                    assert_eq!(timestamp.cast_unsigned(), bits);
                    assert!(bits >= last, "{bits} after {last}");
                    last = bits;
                }
            }
        });
    }

    /// Two points of one key in one batch have the same stamp. A reader that told versions apart by
    /// their stamps could take the time of the first and the value of the second, if the batch was
    /// published before it asked.
    #[test]
    fn a_commit_that_writes_its_version_twice_is_not_read_in_the_middle() {
        let cell = VersionCell::default();
        let published = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for commit in 1..300_000u64 {
                    for value in [2 * commit, 2 * commit + 1] {
                        cell.set(version(commit * 8, value), (commit - 1) * 8, int(value));
                    }
                    published.store(commit * 8, Ordering::Release);
                }
            });
            let mut last = 0;
            while last < 2 * 299_999 {
                if let Latest::Number { timestamp, bits, .. } = cell.latest(&published) {
                    assert_eq!(timestamp.cast_unsigned(), bits);
                    assert!(bits >= last && bits % 2 == 1, "{bits} after {last}");
                    last = bits;
                }
                let (newer, older) = cell.pair();
                assert!(newer.rows == 0 || newer.rows / 2 == newer.since / 8);
                assert!(older.rows == 0 || older.rows == older.since / 4 + 1);
            }
        });
    }
}
