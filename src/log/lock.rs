//! The writer's lock: on the data file itself, so that there is nothing else to delete.

use std::path::Path;
use std::sync::Arc;

use crate::canary::{Canary, planted};
use crate::error::{Result, SynaError};
use crate::storage::{Storage, StorageFile};

/// The held lock. Dropping it releases it, except in a forked child.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: Arc<dyn StorageFile>,
    forks: u64,
}

impl FileLock {
    /// Takes the lock on an open file.
    ///
    /// # Errors
    ///
    /// `Locked` if another open of the file has it.
    pub(crate) fn take(file: &Arc<dyn StorageFile>, path: &Path) -> Result<FileLock> {
        match file.try_lock() {
            Ok(true) => Ok(FileLock { file: Arc::clone(file), forks: crate::fork::count() }),
            Ok(false) => Err(SynaError::Locked { path: path.to_owned(), pid: file.lock_holder() }),
            Err(error) => Err(SynaError::io("lock", path, error)),
        }
    }

    /// Whether the locked file is still the one at `path`. A rewrite replaces the file under its
    /// name; a lock won on the old one keeps nobody out.
    pub(crate) fn is_of(&self, storage: &dyn Storage, path: &Path) -> Result<bool> {
        if planted(Canary::SkipFolderCheckAfterLock) {
            return Ok(true);
        }
        let ours = self.file.status().map_err(|e| SynaError::io("stat", path, e))?;
        match storage.status(path) {
            Ok(there) => Ok(there.identity == ours.identity),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(SynaError::io("stat", path, error)),
        }
    }
}

impl FileLock {
    /// Releases the lock, except in a forked child.
    pub(crate) fn release(&mut self) {
        // The lock belongs to the open file, which a child shares: were the child to unlock it, the
        // parent would write without one.
        if self.forks == crate::fork::count() || planted(Canary::UnlockInChild) {
            // Closing the file releases the lock as well, unless a child holds it open.
            let _ = self.file.unlock();
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        self.release();
    }
}
