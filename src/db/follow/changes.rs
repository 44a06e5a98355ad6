//! What a follower delivers: the changes of one commit.

use std::sync::Arc;

use crate::atom::Point;
use crate::column::Points;
use crate::error::Result;
use crate::format::chunk::ChunkHeader;
use crate::index::{LoadedChunk, read_large_put};
use crate::log::LogFile;

use super::Cursor;

/// The changes of one commit to keys that are followed, in order. They took effect together.
#[derive(Debug)]
pub struct FollowedCommit {
    pub(super) changes: Vec<Change>,
    pub(super) cursor: Cursor,
}

impl FollowedCommit {
    /// The changes, in the order in which they were made. There is at least one.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes, in the order in which they were made.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Where to go on when this commit is done with.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

/// A change of one key.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// Points were appended.
    Appended(Appended),
    /// The key was deleted: all points before are gone. A batch may delete a key that has none.
    Deleted {
        /// The key.
        key: String,
    },
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Change::Appended(appended) => &appended.key,
            Change::Deleted { key } => key,
        }
    }
}

/// Points that were appended to one key one after the other.
///
/// A few are here already; those of a bulk write are read from the file when they are asked for, a
/// block at a time, so that a commit of any size can be handled with little memory. They stay
/// readable as long as this value lives, whatever happens to the file.
#[derive(Debug)]
pub struct Appended {
    pub(super) key: String,
    pub(super) body: Body,
}

pub(super) enum Body {
    Points(Points),
    Chunk { log: Arc<LogFile>, chunk: Box<LoadedChunk> },
    LargePut { log: Arc<LogFile>, offset: u64, val_len: u32 },
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Body::Points(_) => "Points",
            Body::Chunk { .. } => "Chunk",
            Body::LargePut { .. } => "LargePut",
        })
    }
}

impl Body {
    pub(super) fn of_chunk(
        log: &Arc<LogFile>,
        offset: u64,
        key: &str,
        header: ChunkHeader,
    ) -> Body {
        let chunk = Box::new(LoadedChunk::from_scan(offset, key.len(), header));
        Body::Chunk { log: Arc::clone(log), chunk }
    }
}

impl Appended {
    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Number of points, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        match &self.body {
            Body::Points(points) => points.len() as u64,
            Body::Chunk { chunk, .. } => u64::from(chunk.header().rows),
            Body::LargePut { .. } => 1,
        }
    }

    /// All points, in append order.
    ///
    /// # Errors
    ///
    /// `Corrupt`, `Io` if the points lie in the file and cannot be read; `OutOfMemory`.
    pub fn points(&self) -> Result<Vec<Point>> {
        let mut all = Vec::new();
        self.for_each(&mut |points| {
            all.extend_from_slice(points);
            Ok(())
        })?;
        Ok(all)
    }

    /// Hands over the points in append order, at most a block (65,536 rows) at a time. An error of
    /// `each` ends it and is returned.
    ///
    /// # Errors
    ///
    /// As [`Appended::points`], and what `each` returns.
    pub fn for_each<E: From<crate::SynaError>>(
        &self,
        each: &mut dyn FnMut(&[Point]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hand_over = |points: &Points| {
            let points: Vec<Point> = (0..points.len()).map(|row| points.point(row)).collect();
            each(&points)
        };
        match &self.body {
            Body::Points(points) => hand_over(points),
            Body::Chunk { log, chunk } => {
                for block in &chunk.header().blocks {
                    let mut points = Points::new();
                    let end = block.first_row + block.rows;
                    chunk.decode(log, block.first_row, end, &mut points)?;
                    hand_over(&points)?;
                }
                Ok(())
            }
            Body::LargePut { log, offset, val_len } => {
                let (timestamp, value) = read_large_put(log, &self.key, *offset, *val_len)?;
                each(&[Point { timestamp, value }])
            }
        }
    }
}
