//! Copying a database while it is written: a prefix that ends at a commit is a database.

use std::path::Path;
use std::sync::Arc;

use crate::SynaDB;
use crate::error::{Result, SynaError};
use crate::format::LOG_START;
use crate::format::entry::Position;
use crate::format::slot::Slot;
use crate::log::create::{Temporary, sync_folder_of};
use crate::log::{LogFile, Scanned, Scanner, write_all};
use crate::storage::{FileStorage, Replace, Storage};

impl SynaDB {
    /// Copies everything up to the newest commit to a new file, which is durable on return. A
    /// writer goes on meanwhile, in this process or another.
    ///
    /// Every header on the way is checked; use [`verify`](SynaDB::verify) on the copy to check
    /// every byte of it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is something at `to`; `Corrupt`, `Io`, `Closed`, `ForkedHandle`.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        self.backup_to_storage(&(Arc::new(FileStorage) as Arc<dyn Storage>), to.as_ref())
    }

    /// As [`SynaDB::backup`], to another storage.
    ///
    /// # Errors
    ///
    /// As [`SynaDB::backup`].
    pub fn backup_to_storage(&self, storage: &Arc<dyn Storage>, to: &Path) -> Result<()> {
        let core = self.reading()?;
        let pinned = core.pinned_in_file(|flushed| flushed)?;
        let log = &pinned.generation.log;
        let to = storage.resolve(to).map_err(|e| SynaError::io("resolve", to, e))?;
        if storage.status(&to).is_ok() {
            return Err(SynaError::AlreadyExists { path: to });
        }
        let slot = log.newest_slot()?.ok_or_else(crate::db::no_slot)?.1;
        let end = last_entry(log, pinned.commit_end(), &slot)?;
        let temporary = Temporary::create(storage, &to)?;
        copy(log, &temporary, end.offset)?;
        let slot = Slot {
            epoch: slot.epoch,
            durable_len: end.offset,
            head_crc: end.head_crc,
            checkpoint: if slot.checkpoint < end.offset { slot.checkpoint } else { 0 },
            suspect_from: 0,
        };
        temporary.write_pages(log.header(), &slot)?;
        temporary.sync()?;
        match temporary.rename(&to, Replace::No) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(SynaError::AlreadyExists { path: to });
            }
            Err(error) => return Err(SynaError::io("rename to", &to, error)),
        }
        sync_folder_of(&**storage, &to)
    }
}

/// The end of the commit at `end` with its checksum, found by walking the chain from the newest
/// place before it that is known.
pub(crate) fn last_entry(log: &LogFile, end: u64, slot: &Slot) -> Result<Position> {
    let start = if slot.durable_len <= end {
        Position { offset: slot.durable_len, head_crc: slot.head_crc }
    } else {
        Position { offset: LOG_START, head_crc: log.header().salt.chain_start() }
    };
    let mut scanner = Scanner::new(log, start, end)?;
    while scanner.position().offset < end {
        let offset = scanner.position().offset;
        match scanner.next()? {
            Scanned::Entry(_) => {}
            Scanned::End => return Err(log.corrupt(offset, "zeros before the last commit")),
            Scanned::Bad(what) => return Err(log.corrupt(offset, what)),
        }
    }
    let position = scanner.position();
    if position.offset != end {
        return Err(log.corrupt(position.offset, "the newest commit is not where it was"));
    }
    Ok(position)
}

fn copy(log: &LogFile, to: &Temporary, end: u64) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut at = LOG_START;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..want).unwrap_or_default();
        let got = log.read_up_to(part, at)?;
        if got < want {
            return Err(log.corrupt(at, "committed bytes are missing: the file was cut"));
        }
        write_all(&**to.file(), part, at)
            .map_err(|(_, error)| SynaError::io("write", to.path(), error))?;
        at += want as u64;
    }
    Ok(())
}
