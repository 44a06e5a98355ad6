//! The same storage as another process would see it: the store in this process does not recognize
//! its files, so a second open of one is another opener with locks and a view of its own.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synadb::storage::{
    FileStatus, Mapping, Medium, OpenMode, Permissions, Replace, Storage, StorageFile,
};

#[derive(Debug)]
pub struct OtherProcess<S> {
    storage: S,
    process: u64,
}

impl<S: Storage> OtherProcess<S> {
    pub fn of(storage: S) -> Arc<dyn Storage> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let process = COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(OtherProcess { storage, process })
    }

    fn file(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(OtherFile { file, process: self.process })
    }
}

fn seen_by(process: u64, mut status: FileStatus) -> FileStatus {
    // Devices of the simulation have a high bit set and count in the low ones.
    status.identity.device ^= process << 32;
    status
}

impl<S: Storage> Storage for OtherProcess<S> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        self.storage.open(path, mode).map(|file| self.file(file))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        self.storage.status(path).map(|status| seen_by(self.process, status))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.storage.resolve(path)
    }

    fn rename(&self, from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
        self.storage.rename(from, to, replace)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.storage.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.storage.sync_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.storage.list(folder)
    }

    fn medium(&self, path: &Path) -> io::Result<Medium> {
        self.storage.medium(path)
    }
}

#[derive(Debug)]
struct OtherFile {
    file: Arc<dyn StorageFile>,
    process: u64,
}

impl StorageFile for OtherFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_vectored_at(parts, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    fn status(&self) -> io::Result<FileStatus> {
        self.file.status().map(|status| seen_by(self.process, status))
    }

    fn permissions(&self) -> io::Result<Option<Permissions>> {
        self.file.permissions()
    }

    fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.file.set_permissions(permissions)
    }

    fn map(&self, len: u64) -> io::Result<Arc<dyn Mapping>> {
        self.file.map(len)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.file.next_data(offset)
    }
}
