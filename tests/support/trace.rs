//! What happened on a simulated storage, in order.

use std::path::PathBuf;
use std::sync::Arc;

use super::content::Content;
use super::fault::FailedPages;

/// A file of a simulated storage, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// One change, or the beginning or end of one that takes time. Calls that failed without any
/// effect are not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Create {
        file: FileId,
        path: PathBuf,
    },
    /// What was written in fact: of a short write the part.
    Write {
        file: FileId,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    SetLen {
        file: FileId,
        len: u64,
    },
    Allocate {
        file: FileId,
        len: u64,
    },
    SyncStart {
        file: FileId,
        sync: u64,
    },
    SyncEnd {
        file: FileId,
        sync: u64,
        outcome: SyncOutcome,
    },
    /// The page cache shows these bytes instead of written ones that a failed sync dropped.
    Lost {
        file: FileId,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    FolderSyncStart {
        folder: PathBuf,
        sync: u64,
    },
    FolderSyncEnd {
        folder: PathBuf,
        sync: u64,
        outcome: SyncOutcome,
    },
    Lock {
        file: FileId,
    },
    Unlock {
        file: FileId,
    },
    /// Pushed by the test: from here on something is promised.
    Mark(Mark),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncOutcome {
    Ok,
    Failed(FailedPages),
}

/// What a test knew at some point of the run: "commit 7 was acknowledged as durable".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub name: &'static str,
    pub number: u64,
}

/// A run: what was there at first, and all events since. A *crash point* is the number of events
/// that happened before the crash, from 0 to `events.len()`.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The files at first, `FileId(i)` being the i-th. All of it is durable.
    pub initial: Vec<(PathBuf, Content)>,
    pub events: Vec<Event>,
}

impl Trace {
    /// All crash points.
    pub fn points(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.events.len()
    }

    /// The marks pushed before a crash point.
    pub fn marks_before(&self, point: usize) -> impl DoubleEndedIterator<Item = Mark> {
        self.events[..point].iter().filter_map(|event| match event {
            Event::Mark(mark) => Some(*mark),
            _ => None,
        })
    }

    /// The number of the newest mark of that name before a crash point.
    pub fn last_mark(&self, name: &str, point: usize) -> Option<u64> {
        self.marks_before(point).rev().find(|mark| mark.name == name).map(|mark| mark.number)
    }
}
