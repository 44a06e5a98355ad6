//! Following: the commits of a database in order, as they come, over rewrites and restarts.
//!
//! A follower reads the file itself, by [`CommitReader`], and needs no index. Within the process
//! that writes, it goes no further than what is published there; elsewhere it goes as far as whole
//! commits do. When a rewrite has put another file in the place of the one that is read, the old one
//! is read to its end first (nothing is appended to it any more, and an open file stays readable);
//! then the new one from `base_end`, before which stands what was delivered already.

mod changes;
mod commits;
mod cursor;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::error::{Result, SynaError};
use crate::format::entry::Position;
use crate::index::Glob;
use crate::log::LogFile;
use crate::mutex::Mutex;
use crate::storage::{FileIdentity, OpenMode};

use super::SynaDB;
use super::core::{Core, Generation, Pinned, Side};
use commits::{CommitReader, Pass, Rows};

pub use changes::{Appended, Change, FollowedCommit};
pub use cursor::Cursor;

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowFrom {
    /// With everything that the file holds. A rewrite may have dropped what was replaced, deleted
    /// or not retained.
    Beginning,
    /// With the first commit after the newest one.
    Now,
    /// Behind what was delivered when this cursor was taken.
    Cursor(Cursor),
}

/// A look for something new that found nothing is repeated after a pause between these.
const PAUSE_MIN: Duration = Duration::from_micros(200);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Generations that have taken the place of the one being read, oldest first.
type Ahead = Arc<Mutex<VecDeque<Arc<Generation>>>>;

/// Those to be told of new generations.
pub(crate) type Followers = Mutex<Vec<Weak<Mutex<VecDeque<Arc<Generation>>>>>>;

/// Where the files come from.
enum Source {
    /// The writer of this process, which tells of every new one.
    Writer { generation: Arc<Generation>, ahead: Ahead },
    /// The path: files are found by looking.
    Path { newest: FileIdentity, ahead: VecDeque<Arc<LogFile>> },
}

/// Delivers the commits of a database in their order, made by [`SynaDB::follow`].
///
/// Every commit that changes a followed key is delivered once and as a whole, also over rewrites of
/// the file. What rewrites do themselves is not told: points that `compact` or `retain` drop are no
/// deletions. Commits may be seen before they are durable.
///
/// It holds an entry in memory for every key that it has seen and that matches: its length and
/// about 50 bytes. The files that rewrites have replaced since it was last asked stay on the disk
/// until it has read what is left in them: drop a follower that is no longer asked.
pub struct Follower {
    db: SynaDB,
    glob: Arc<Glob>,
    source: Source,
    reader: CommitReader,
    /// Read, but not delivered yet.
    ready: VecDeque<FollowedCommit>,
    delivered: Cursor,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("path", &self.db.path())
            .field("cursor", &self.cursor().to_string())
            .finish_non_exhaustive()
    }
}

impl SynaDB {
    /// Follows the keys that match `pattern` (as [`SynaDB::keys_matching`]): the commits that change
    /// them, in order, from `from` on. Works on a writer's handle and on a read-only one, beside any
    /// writer.
    ///
    /// A commit is delivered when other processes may see it: in `Buffered` when the buffer is
    /// written out.
    ///
    /// # Errors
    ///
    /// `InvalidPattern`; `CursorLost` if nobody can say any more what came behind the cursor: the
    /// file was rewritten since (unless the cursor stood at its end then), or a power loss took
    /// commits that had been delivered; `Corrupt`, `Io`, `Detached`, `Closed`, `ForkedHandle`.
    ///
    /// ```
    /// # fn main() -> synadb::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = synadb::SynaDB::new(folder.path().join("db.syna"))?;
    /// use std::time::Duration;
    /// use synadb::{Change, FollowFrom};
    ///
    /// db.append("JFK/temp", 39.02)?;
    /// let mut follower = db.follow("*/temp", FollowFrom::Now)?;
    /// db.append("JFK/temp", 38.84)?;
    /// db.append("JFK/wind", 12.0)?;
    /// db.delete("JFK/temp")?;
    ///
    /// let commit = follower.next(Duration::from_secs(5))?.expect("a commit within 5 seconds");
    /// let Change::Appended(appended) = &commit.changes()[0] else { panic!() };
    /// assert_eq!(appended.points()?[0].value, 38.84.into());
    /// let commit = follower.next(Duration::from_secs(5))?.expect("a commit within 5 seconds");
    /// assert!(matches!(&commit.changes()[0], Change::Deleted { .. }));
    /// assert!(follower.next(Duration::ZERO)?.is_none());
    ///
    /// // To go on later, also in another process, the cursor is kept.
    /// let cursor = follower.cursor();
    /// db.append("LGA/temp", 40.1)?;
    /// let mut follower = db.follow("*/temp", FollowFrom::Cursor(cursor))?;
    /// assert_eq!(follower.next(Duration::from_secs(5))?.unwrap().changes()[0].key(), "LGA/temp");
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, pattern: &str, from: FollowFrom) -> Result<Follower> {
        let glob = Arc::new(Glob::new(pattern)?);
        let core = self.reading()?;
        let Begin { source, log, position, pinned } = core.begin_to_follow()?;
        let reader = match from {
            FollowFrom::Beginning => CommitReader::at_start(log, Arc::clone(&glob)),
            FollowFrom::Now => {
                let mut rows = Rows::default();
                for slot in pinned.generation.index.slots() {
                    let next = slot.version_at(pinned.commit_end()).rows;
                    if next > 0 && glob.matches(&slot.key) {
                        rows.insert(slot.key.as_str().into(), next);
                    }
                }
                CommitReader::new(log, Arc::clone(&glob), position, rows)
            }
            FollowFrom::Cursor(cursor) => behind(log, &glob, &cursor)?,
        };
        drop(pinned);
        let delivered = reader.cursor();
        let db = self.clone();
        Ok(Follower { db, glob, source, reader, ready: VecDeque::new(), delivered })
    }
}

/// Goes on where a cursor stands.
fn behind(log: Arc<LogFile>, glob: &Arc<Glob>, cursor: &Cursor) -> Result<CommitReader> {
    let lost = |what| SynaError::CursorLost { cursor: cursor.to_string(), what };
    let header = *log.header();
    if cursor.file_id != header.file_id {
        return Err(lost("it belongs to another database"));
    }
    if cursor.generation == header.generation {
        let reader = CommitReader::at(log, Arc::clone(glob), cursor.offset)?;
        let reader = reader.ok_or_else(|| lost("no commit ends there"))?;
        if reader.position().head_crc != cursor.head_crc {
            return Err(lost("other commits stand there than those that were delivered"));
        }
        return Ok(reader);
    }
    if (cursor.generation, cursor.offset) == (header.from_generation, header.from_end) {
        return at_base_end(log, glob);
    }
    Err(lost("the file was rewritten since"))
}

/// Behind what a rewrite took over.
fn at_base_end(log: Arc<LogFile>, glob: &Arc<Glob>) -> Result<CommitReader> {
    let base_end = log.header().base_end;
    let missing = log.corrupt(base_end, "no commit ends where the rewrite did");
    CommitReader::at(log, Arc::clone(glob), base_end)?.ok_or(missing)
}

/// What following begins with.
struct Begin {
    source: Source,
    log: Arc<LogFile>,
    /// Behind the newest commit, and a hold on that.
    position: Position,
    pinned: Pinned,
}

impl Core {
    fn begin_to_follow(&self) -> Result<Begin> {
        if self.is_writer {
            return self.with_writer(|side| {
                side.log.flush()?;
                let ahead = Ahead::default();
                let mut followers = self.followers.lock();
                followers.retain(|follower| follower.strong_count() > 0);
                followers.push(Arc::downgrade(&ahead));
                let pinned = self.pinned();
                let generation = Arc::clone(&pinned.generation);
                Ok(Begin {
                    log: Arc::clone(&generation.log),
                    source: Source::Writer { generation, ahead },
                    position: side.log.end(),
                    pinned,
                })
            });
        }
        self.refresh()?;
        match &*self.side.lock() {
            Side::Reader(reader) => {
                let pinned = Pinned::new(reader.generation());
                let log = Arc::clone(&pinned.generation.log);
                let status = log.storage_file().status().map_err(|e| log.io_error("stat", e))?;
                Ok(Begin {
                    log,
                    source: Source::Path { newest: status.identity, ahead: VecDeque::new() },
                    position: reader.commit(),
                    pinned,
                })
            }
            Side::Writer(_) | Side::Closed => Err(SynaError::Closed),
        }
    }
}

impl Follower {
    /// The next commit that changes a followed key, waiting for it up to `timeout`; `None` if none
    /// came. With a timeout of zero, everything that is in the file is delivered, one call each,
    /// before `None` is.
    ///
    /// A call that failed may be repeated: nothing is left out and nothing is delivered twice.
    ///
    /// # Errors
    ///
    /// `CursorLost` if the file was rewritten more than once between two calls (never on a handle of
    /// the process that writes); `Corrupt` if durable commits ahead are damaged; `Detached` if another
    /// file has taken the place of this one; `Closed` when the handle is closed; `ForkedHandle`, `Io`,
    /// `UnsupportedFeature`.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<FollowedCommit>> {
        // A time so far away that it cannot be named never comes.
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = PAUSE_MIN;
        loop {
            self.db.open.check()?;
            self.db.open.core.check_fork()?;
            if let Some(commit) = self.ready.pop_front() {
                self.delivered = commit.cursor();
                return Ok(Some(commit));
            }
            let moved = self.fill()?;
            if !self.ready.is_empty() {
                continue;
            }
            self.delivered = self.reader.cursor();
            let left = deadline.map_or(PAUSE_MAX, |d| d.saturating_duration_since(Instant::now()));
            if moved && (timeout.is_zero() || !left.is_zero()) {
                continue;
            }
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether a commit was read already, so that [`next`](Follower::next) need not read one.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Where to go on after the commits that were delivered. Moves on over commits that concern no
    /// followed key, so it is worth keeping also when nothing came.
    pub fn cursor(&self) -> Cursor {
        self.delivered
    }

    /// Reads what is there; true if that was something, or another file is to be read now.
    fn fill(&mut self) -> Result<bool> {
        let before = self.reader.position();
        let ours = self.reader.log().header().generation;
        let (limit, superseded) = match &mut self.source {
            Source::Writer { generation, ahead } => {
                let mut ahead = ahead.lock();
                while ahead.front().is_some_and(|next| next.log.header().generation <= ours) {
                    ahead.pop_front();
                }
                match ahead.front() {
                    Some(next) => (next.log.header().from_end, true),
                    None => (generation.index.published(), false),
                }
            }
            Source::Path { ahead, .. } => match ahead.front() {
                Some(next) => (next.header().from_end, true),
                None => (u64::MAX, false),
            },
        };
        if superseded && self.next_file().header().from_generation != ours {
            return Err(SynaError::CursorLost {
                cursor: self.reader.cursor().to_string(),
                what: "the file was rewritten more than once since the last look",
            });
        }
        let pass = self.reader.read(limit, &mut self.ready)?;
        if self.reader.position() != before {
            return Ok(true);
        }
        if superseded {
            return if before.offset == limit {
                self.go_to_next_file()?;
                Ok(true)
            } else {
                // Nothing is written to the old file any more.
                Err(self.missing("committed entries are missing"))
            };
        }
        if pass == Pass::End {
            self.check_durable(limit)?;
        }
        self.look()
    }

    /// Nothing whole stands at the position: if it is durable or published all the same, it is
    /// damaged.
    fn check_durable(&mut self, limit: u64) -> Result<()> {
        let Some((_, slot)) = self.reader.log().newest_slot()? else { return Ok(()) };
        let before = self.reader.position();
        if slot.durable_len <= before.offset {
            return Ok(());
        }
        // It may have been written between the two looks.
        self.reader.read(limit.max(slot.durable_len), &mut self.ready)?;
        if self.reader.position() == before {
            return Err(self.missing("durable entries are missing or damaged"));
        }
        Ok(())
    }

    fn missing(&self, what: &'static str) -> SynaError {
        self.reader.log().corrupt(self.reader.position().offset, what)
    }

    /// Looks whether another file has taken the place; true if so.
    fn look(&mut self) -> Result<bool> {
        let core = &self.db.open.core;
        let Source::Path { newest, ahead } = &mut self.source else { return Ok(false) };
        let status = match core.storage.status(&core.path) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(core.detached()),
            Err(error) => return Err(SynaError::io("stat", &core.path, error)),
        };
        if status.identity == *newest {
            return Ok(false);
        }
        let file = match core.storage.open(&core.path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) => {
                return Err(match error.kind() {
                    ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::InvalidInput => {
                        core.detached()
                    }
                    _ => SynaError::io("open", &core.path, error),
                });
            }
        };
        let log = match LogFile::open(file, &core.path) {
            Ok(log) => Arc::new(log),
            Err(error @ (SynaError::Io { .. } | SynaError::OutOfMemory { .. })) => {
                return Err(error);
            }
            Err(_) => return Err(core.detached()),
        };
        let identity = log.storage_file().status().map_err(|e| log.io_error("stat", e))?.identity;
        let known = ahead.back().map_or(*self.reader.log().header(), |last| *last.header());
        if log.header().file_id != known.file_id || log.header().generation <= known.generation {
            return Err(core.detached());
        }
        *newest = identity;
        ahead.push_back(log);
        Ok(true)
    }

    /// The file that has taken the place of the one being read.
    fn next_file(&self) -> Arc<LogFile> {
        let next = match &self.source {
            Source::Writer { ahead, .. } => ahead.lock().front().map(|next| Arc::clone(&next.log)),
            Source::Path { ahead, .. } => ahead.front().map(Arc::clone),
        };
        next.unwrap_or_else(|| Arc::clone(self.reader.log()))
    }

    fn go_to_next_file(&mut self) -> Result<()> {
        self.reader = at_base_end(self.next_file(), &self.glob)?;
        match &mut self.source {
            Source::Writer { generation, ahead } => {
                if let Some(next) = ahead.lock().pop_front() {
                    *generation = next;
                }
            }
            Source::Path { ahead, .. } => drop(ahead.pop_front()),
        }
        Ok(())
    }
}

/// Tells the followers within this process of a new generation.
pub(crate) fn tell(followers: &Followers, next: &Arc<Generation>) {
    followers.lock().retain(|follower| match follower.upgrade() {
        Some(ahead) => {
            ahead.lock().push_back(Arc::clone(next));
            true
        }
        None => false,
    });
}
