//! A reader that moves forward along a log somebody else writes.
//!
//! It takes no lock and leaves no trace. What it reads beyond the last commit it knows may be half
//! written, or be cut again by a writer that ran out of space; so it believes entries by their
//! checksums only, moves from commit to commit, and reads ahead with `pread`.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Result, SynaError};
use crate::format::entry::Position;
use crate::index::{IndexWriter, Replay};
use crate::log::recovery::{self, RecoveryReport};
use crate::log::{LogFile, Scanned, Scanner};
use crate::storage::OpenMode;

use super::core::{Core, Generation, Side};
use super::follow::Cursor;
use super::open::{Loaded, load, load_up_to, no_slot, replay_all};

/// How often a log that moves on is read again at opening.
const LOOKS_MAX: u32 = 10;

pub(crate) struct ReaderSide {
    generation: Arc<Generation>,
    index: IndexWriter,
    replay: Replay,
    durable_len: u64,
    /// What ended the following: a half applied change must not be applied again.
    failed: Option<SynaError>,
}

impl ReaderSide {
    /// Reads a log up to its last commit.
    pub(crate) fn open(log: Arc<LogFile>) -> Result<(ReaderSide, RecoveryReport)> {
        // A slot may be half written at the moment of reading; the other one is whole then. Both
        // are bad only if the file is, or between two writes: look again before saying so.
        let mut slot = log.newest_slot()?;
        for _ in 0..3 {
            if slot.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
            slot = log.newest_slot()?;
        }
        let Some((_, slot)) = slot else { return Err(no_slot()) };
        // A reader never seals, so it needs no budget.
        let mut loaded = load(&log, &slot, usize::MAX)?;
        // What is bad may only not be written yet. If something behind it proves that it was
        // durable, it is damaged unless it is good when looked at after that.
        for _ in 0..LOOKS_MAX {
            let Some((offset, what)) = loaded.bad else { break };
            if recovery::synced_behind(&log, offset)?.is_none() {
                break;
            }
            loaded = load(&log, &slot, usize::MAX)?;
            if loaded.bad.is_some_and(|(again, _)| again == offset) {
                let last_good = loaded.replay.commit().offset;
                let next_good = recovery::synced_behind(&log, offset)?;
                return Err(SynaError::Corrupt { offset, last_good, next_good, what });
            }
        }
        let commit = loaded.replay.commit();
        if commit.offset < slot.durable_len {
            let missing = (commit.offset, "durable entries are missing");
            let (offset, what) = loaded.bad.unwrap_or(missing);
            return Err(SynaError::Corrupt {
                offset,
                last_good: commit.offset,
                next_good: None,
                what,
            });
        }
        Ok(Self::of(log, loaded, slot.durable_len))
    }

    /// Reads a log up to the commit at a cursor.
    pub(crate) fn open_at(
        log: Arc<LogFile>,
        cursor: &Cursor,
    ) -> Result<(ReaderSide, RecoveryReport)> {
        let lost = |what| SynaError::CursorLost { cursor: cursor.to_string(), what };
        let header = log.header();
        if header.file_id != cursor.file_id {
            return Err(lost("it belongs to another database"));
        }
        if header.generation != cursor.generation {
            return Err(lost("the file was rewritten since"));
        }
        let Some((_, slot)) = log.newest_slot()? else { return Err(no_slot()) };
        let loaded = load_up_to(&log, &slot, usize::MAX, cursor.offset)?;
        let commit = loaded.replay.commit();
        if commit.offset != cursor.offset {
            // The entry at the last commit may only reach beyond the cursor.
            let mut scanner = Scanner::new(&log, commit, slot.durable_len)?;
            return Err(match (scanner.next()?, loaded.bad) {
                (Scanned::Bad(_), Some((offset, what))) => log.corrupt(offset, what),
                _ => lost("no commit ends there"),
            });
        }
        if commit.head_crc != cursor.head_crc {
            return Err(lost("other commits stand there than those that were seen"));
        }
        Ok(Self::of(log, loaded, slot.durable_len.min(cursor.offset)))
    }

    fn of(log: Arc<LogFile>, loaded: Loaded, durable_len: u64) -> (ReaderSide, RecoveryReport) {
        let Loaded { index, replay, checkpoint, scanned_from, .. } = loaded;
        let commit = replay.commit();
        let report = RecoveryReport {
            entries: replay.entries(),
            bytes_scanned: commit.offset - scanned_from,
            from_checkpoint: checkpoint.is_some(),
            ..RecoveryReport::default()
        };
        let generation = Generation::new(log, Arc::clone(index.index()));
        let mut reader = ReaderSide { generation, index, replay, durable_len, failed: None };
        reader.replay.forget_open_batch();
        (reader, report)
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generation)
    }

    /// Where the newest commit ends.
    pub(crate) fn commit(&self) -> Position {
        self.replay.commit()
    }

    /// How much is known to be durable.
    pub(crate) fn durable_len(&self) -> u64 {
        self.durable_len
    }

    pub(crate) fn tail_bytes(&self) -> usize {
        self.index.tail_bytes()
    }

    pub(crate) fn replaced_bytes(&self) -> u64 {
        self.index.replaced_bytes()
    }

    /// Moves to the newest commit of this file; true if there is a newer one.
    fn advance(&mut self) -> Result<bool> {
        match &self.failed {
            None => {}
            Some(error @ (SynaError::Corrupt { .. } | SynaError::UnsupportedFeature { .. })) => {
                return Err(error.clone());
            }
            // The system's fault, which may have passed. How far the last change was applied is not
            // known, so the log is read anew.
            Some(_) => return self.begin_anew(),
        }
        let result = self.try_advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn begin_anew(&mut self) -> Result<bool> {
        let before = self.replay.commit();
        let (next, _) = ReaderSide::open(Arc::clone(&self.generation.log))?;
        if next.replay.commit().offset < before.offset {
            let (offset, what) = (next.replay.commit().offset, "commits seen before are missing");
            return Err(SynaError::Corrupt { offset, last_good: offset, next_good: None, what });
        }
        let moved = next.replay.commit() != before;
        *self = next;
        Ok(moved)
    }

    fn try_advance(&mut self) -> Result<bool> {
        let log = Arc::clone(&self.generation.log);
        let before = self.replay.commit();
        let mut scanner = Scanner::new(&log, before, self.durable_len)?;
        let bad = replay_all(&log, &mut scanner, &mut self.replay, &mut self.index)?;
        // Members without their commit entry are read again next time.
        self.replay.forget_open_batch();
        let commit = self.replay.commit();
        if commit != before {
            self.index.publish(commit.offset);
        }
        if let Some((offset, what)) = bad {
            self.judge(&log, offset, what)?;
        }
        Ok(commit != before)
    }

    /// Something that is no good entry stands at `offset`: not written yet, or damaged? It is
    /// damaged if a slot says that it is durable and it is still bad when looked at after that.
    fn judge(&mut self, log: &LogFile, offset: u64, what: &'static str) -> Result<()> {
        let Some((_, slot)) = log.newest_slot()? else { return Ok(()) };
        self.durable_len = self.durable_len.max(slot.durable_len);
        let commit = self.replay.commit();
        if slot.durable_len <= commit.offset {
            return Ok(());
        }
        let mut scanner = Scanner::new(log, commit, self.durable_len)?;
        let bad = replay_all(log, &mut scanner, &mut self.replay, &mut self.index)?;
        self.replay.forget_open_batch();
        let commit = self.replay.commit();
        self.index.publish(commit.offset);
        match bad {
            _ if commit.offset >= slot.durable_len => Ok(()),
            Some((offset, what)) => {
                Err(SynaError::Corrupt { offset, last_good: commit.offset, next_good: None, what })
            }
            None => {
                Err(SynaError::Corrupt { offset, last_good: commit.offset, next_good: None, what })
            }
        }
    }
}

impl Core {
    /// Moves a read-only view to the newest commit, also over a rewrite; true if it moved.
    pub(crate) fn refresh(&self) -> Result<bool> {
        self.check_fork()?;
        if self.is_writer {
            return Ok(false);
        }
        let mut side = self.side.lock();
        let reader = match &mut *side {
            Side::Reader(reader) => reader,
            Side::Closed => return Err(SynaError::Closed),
            Side::Writer(_) => return Ok(false),
        };
        let now = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        // The file that is open first: a rewrite takes over everything it holds.
        let moved = reader.advance()?;
        self.durable.offset.store(reader.durable_len(), Ordering::Relaxed);
        if !Arc::ptr_eq(&*self.generation.load(), &reader.generation) {
            self.replace_generation(reader.generation());
        }
        let status = match self.storage.status(&self.path) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.detached()),
            Err(error) => return Err(SynaError::io("stat", &self.path, error)),
        };
        if status.identity == *self.identity.lock() {
            // Only a look that succeeded counts: what is wrong is told by every call until then.
            self.looked_us.store(now, Ordering::Relaxed);
            return Ok(moved);
        }
        let file = match self.storage.open(&self.path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) => {
                return Err(match error.kind() {
                    // Removed since the look, or something that is no file.
                    ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::InvalidInput => {
                        self.detached()
                    }
                    _ => SynaError::io("open", &self.path, error),
                });
            }
        };
        let log = match LogFile::open(file, &self.path) {
            Ok(log) => Arc::new(log),
            Err(error @ (SynaError::Io { .. } | SynaError::OutOfMemory { .. })) => {
                return Err(error);
            }
            // Not a database, or none of ours: a rewrite leaves neither.
            Err(_) => return Err(self.detached()),
        };
        let ours = reader.generation.log.header();
        if log.header().file_id != ours.file_id || log.header().generation <= ours.generation {
            return Err(self.detached());
        }
        let identity = log.storage_file().status().map_err(|e| log.io_error("stat", e))?.identity;
        let (next, _) = ReaderSide::open(log)?;
        self.replace_generation(next.generation());
        // Offsets of another file: it may well be less than before.
        self.durable.offset.store(next.durable_len, Ordering::Release);
        *self.identity.lock() = identity;
        *reader = next;
        self.looked_us.store(now, Ordering::Relaxed);
        Ok(true)
    }

    /// Puts a newer generation in the place of the current one.
    pub(crate) fn replace_generation(&self, next: Arc<Generation>) {
        super::follow::tell(&self.followers, &next);
        let old = self.generation.swap(next);
        old.superseded.store(true, Ordering::Release);
    }
}
