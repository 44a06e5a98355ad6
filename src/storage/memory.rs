//! Files in memory: for databases that need no disk, and for tests.
//!
//! A file's bytes lie in one region of anonymous memory that doubles when it is full. A mapping
//! holds the region that was current when it was made, so mapping copies nothing and a region
//! outlives the file, just as a mapped file does. Writes go to the current region and to each
//! older one that a mapping still holds: a mapping therefore sees what the file gains below its
//! length, as a shared map of a file would. Regions begin at a page, so that an offset divisible
//! by 64 is an address divisible by 64.
//!
//! Folders exist as far as files are in them, and there are no symbolic links; relative paths
//! start at the root.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use memmap2::{MmapMut, MmapRaw};

use crate::fork;
use crate::mutex::{Mutex, MutexGuard};

use super::{
    FileIdentity, FileKind, FileStatus, Mapping, Medium, OpenMode, Permissions, Replace, Storage,
    StorageFile,
};

/// The smallest region. Untouched pages of it cost no memory.
const REGION_SIZE_BYTES_MIN: usize = 1 << 20;

/// A set of files in memory, empty at first and gone with its last clone and open file.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    folder: Arc<Mutex<Folder>>,
}

/// All names of a storage.
#[derive(Debug)]
struct Folder {
    device: u64,
    files: BTreeMap<PathBuf, Arc<Node>>,
    inode_last: u64,
}

/// A file, whatever it is called.
#[derive(Debug)]
struct Node {
    identity: FileIdentity,
    /// 1 while the file has a name, then 0.
    links: AtomicU64,
    content: Mutex<Content>,
    /// The open file that holds the lock.
    holder: Mutex<Option<u64>>,
}

impl MemoryStorage {
    /// An empty storage, different from all others.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // The highest bit keeps these apart from the devices of the operating system, because
        // open databases are told apart by device and inode.
        let device = 1 << 63 | COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder { device, files: BTreeMap::new(), inode_last: 0 };
        MemoryStorage { folder: Arc::new(Mutex::new(folder)) }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        MemoryStorage::new()
    }
}

impl Storage for MemoryStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let path = normal(path)?;
        let mut folder = self.folder.lock();
        let node = match (folder.files.get(&path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(node), _) => Arc::clone(node),
            (None, _) if folder.contains_folder(&path) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            (None, OpenMode::CreateNew) => folder.create(path),
            (None, _) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(OpenFile::open(node, mode != OpenMode::Read))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        let path = normal(path)?;
        let folder = self.folder.lock();
        match folder.files.get(&path) {
            Some(node) => Ok(node.status()),
            None if folder.contains_folder(&path) => Ok(FileStatus {
                identity: FileIdentity { device: folder.device, inode: 0 },
                kind: FileKind::Folder,
                links: 1,
                len: 0,
            }),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        normal(path)
    }

    fn rename(&self, from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
        let (from, to) = (normal(from)?, normal(to)?);
        let mut folder = self.folder.lock();
        let Some(node) = folder.files.get(&from).map(Arc::clone) else {
            return Err(ErrorKind::NotFound.into());
        };
        if folder.files.contains_key(&to) && replace == Replace::No {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if from == to {
            return Ok(());
        }
        folder.files.remove(&from);
        if let Some(replaced) = folder.files.insert(to, node) {
            replaced.links.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.folder.lock().files.remove(&normal(path)?) {
            Some(node) => {
                node.links.store(0, Ordering::Relaxed);
                Ok(())
            }
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let path = normal(folder)?;
        let folder = self.folder.lock();
        let inside = folder.files.keys().filter(|file| file.parent() == Some(&path));
        Ok(inside.filter_map(|file| file.file_name()).map(OsString::from).collect())
    }

    fn medium(&self, _: &Path) -> io::Result<Medium> {
        Ok(Medium::Memory)
    }
}

impl Folder {
    fn contains_folder(&self, path: &Path) -> bool {
        path.parent().is_none() || self.files.keys().any(|file| file.starts_with(path))
    }

    fn create(&mut self, path: PathBuf) -> Arc<Node> {
        self.inode_last += 1;
        let node = Arc::new(Node {
            identity: FileIdentity { device: self.device, inode: self.inode_last },
            links: AtomicU64::new(1),
            content: Mutex::new(Content::default()),
            holder: Mutex::new(None),
        });
        self.files.insert(path, Arc::clone(&node));
        node
    }
}

impl Node {
    fn status(&self) -> FileStatus {
        FileStatus {
            identity: self.identity,
            kind: FileKind::File,
            links: self.links.load(Ordering::Relaxed),
            len: self.content.lock().len as u64,
        }
    }
}

/// The absolute path without `.` and `..`.
fn normal(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    Ok(normal)
}

/// An open file in memory.
#[derive(Debug)]
struct OpenFile {
    node: Arc<Node>,
    /// Tells open files apart: locks belong to them, not to threads.
    number: u64,
    writable: bool,
    /// The count of forks when it was opened.
    forks: u64,
}

impl OpenFile {
    fn open(node: Arc<Node>, writable: bool) -> Arc<dyn StorageFile> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(OpenFile { node, number, writable, forks: fork::count() })
    }

    fn content_to_write(&self) -> io::Result<MutexGuard<'_, Content>> {
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(self.node.content.lock())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if fork::count() != self.forks {
            // The parent's: a thread that this child does not have may have the lock.
            return;
        }
        let mut holder = self.node.holder.lock();
        if *holder == Some(self.number) {
            *holder = None;
        }
    }
}

impl StorageFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.node.content.lock().read(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.content_to_write()?.write(bytes, offset)?;
        Ok(bytes.len())
    }

    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut content = self.content_to_write()?;
        let mut written = 0;
        for part in parts {
            content.write(part, offset.saturating_add(written as u64))?;
            written += part.len();
        }
        Ok(written)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.node.content.lock().len as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.content_to_write()?.set_len(size(len)?)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut content = self.content_to_write()?;
        let len = size(len)?;
        if len > content.len { content.set_len(len) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut holder = self.node.holder.lock();
        Ok(*holder.get_or_insert(self.number) == self.number)
    }

    fn unlock(&self) -> io::Result<()> {
        let mut holder = self.node.holder.lock();
        if *holder == Some(self.number) {
            *holder = None;
        }
        Ok(())
    }

    fn status(&self) -> io::Result<FileStatus> {
        Ok(self.node.status())
    }

    fn permissions(&self) -> io::Result<Option<Permissions>> {
        Ok(None)
    }

    fn set_permissions(&self, _: Permissions) -> io::Result<()> {
        Ok(())
    }

    /// Costs a reference count. The mapping ends with the region, so it may be shorter than asked
    /// for: map again when a slice is missing.
    fn map(&self, len: u64) -> io::Result<Arc<dyn Mapping>> {
        let region = self.node.content.lock().region.as_ref().map(Arc::clone);
        let available = region.as_ref().map_or(0, |region| region.map.len());
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(available);
        Ok(Arc::new(MemoryMapping { region, len }))
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        // There are no holes.
        Ok(Some(offset).filter(|offset| *offset < self.node.content.lock().len as u64))
    }
}

fn size(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory.into())
}

/// The bytes of a file. Beyond `len` every region is zero.
#[derive(Default)]
struct Content {
    len: usize,
    /// `None` until the first byte.
    region: Option<Arc<Region>>,
    /// Smaller regions that mappings may still hold.
    older: Vec<Weak<Region>>,
}

/// Anonymous memory that is written through one [`Content`] and read through mappings.
struct Region {
    map: MmapRaw,
}

impl Content {
    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let available = usize::try_from(offset).map_or(0, |offset| self.len.saturating_sub(offset));
        let count = buffer.len().min(available);
        if let (Some(region), Some(buffer)) = (&self.region, buffer.get_mut(..count)) {
            region.read(buffer, size(offset).unwrap_or(usize::MAX));
        }
        count
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = size(offset)?;
        let end = offset.checked_add(bytes.len()).ok_or(ErrorKind::FileTooLarge)?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.reserve(end)?;
        self.for_each_region(|region| region.write(bytes, offset));
        self.len = self.len.max(end);
        Ok(())
    }

    fn set_len(&mut self, len: usize) -> io::Result<()> {
        self.reserve(len)?;
        let (from, to) = (len, self.len);
        if from < to {
            self.for_each_region(|region| region.clear(from, to));
        }
        self.len = len;
        Ok(())
    }

    fn for_each_region(&mut self, change: impl Fn(&Region)) {
        if let Some(region) = &self.region {
            change(region);
        }
        self.older.retain(|region| match region.upgrade() {
            Some(region) => {
                change(&region);
                true
            }
            None => false,
        });
    }

    /// Makes room for `len` bytes: a larger region replaces the current one.
    fn reserve(&mut self, len: usize) -> io::Result<()> {
        if len <= self.region.as_ref().map_or(0, |region| region.map.len()) {
            return Ok(());
        }
        let capacity = len.checked_next_power_of_two().ok_or(ErrorKind::OutOfMemory)?;
        let mut map = MmapMut::map_anon(capacity.max(REGION_SIZE_BYTES_MIN))?;
        if let (Some(region), Some(copy)) = (&self.region, map.get_mut(..self.len)) {
            region.read(copy, 0);
        }
        let region = Arc::new(Region { map: MmapRaw::from(map) });
        if let Some(replaced) = self.region.replace(region) {
            self.older.push(Arc::downgrade(&replaced));
        }
        Ok(())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("len", &self.len).finish_non_exhaustive()
    }
}

// The mutex around `Content` serializes all of these but `slice`.
impl Region {
    /// Copies out as many bytes as there are.
    #[expect(unsafe_code, reason = "a region is shared with mappings, so it is a raw pointer")]
    fn read(&self, buffer: &mut [u8], offset: usize) {
        let len = self.room(offset).min(buffer.len());
        if len == 0 {
            return;
        }
        // SAFETY: `[offset, offset + len)` lies inside the map, `len` inside the buffer, and
        // nobody else writes: that takes the mutex of the content.
        unsafe {
            std::ptr::copy_nonoverlapping(self.map.as_ptr().add(offset), buffer.as_mut_ptr(), len);
        }
    }

    /// Copies in what of `bytes` fits: an older region is shorter than the file.
    #[expect(unsafe_code, reason = "a region is shared with mappings, so it is a raw pointer")]
    fn write(&self, bytes: &[u8], offset: usize) {
        let len = self.room(offset).min(bytes.len());
        if len == 0 {
            return;
        }
        // SAFETY: `[offset, offset + len)` lies inside the map. Slices handed out by mappings
        // cover committed bytes only, which nobody writes again.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(offset), len);
        }
    }

    /// Sets `[from, to)` to zero as far as it lies in this region.
    #[expect(unsafe_code, reason = "a region is shared with mappings, so it is a raw pointer")]
    fn clear(&self, from: usize, to: usize) {
        let len = self.room(from).min(to.saturating_sub(from));
        if len == 0 {
            return;
        }
        // SAFETY: as in `write`; what is cut off is not committed.
        unsafe { std::ptr::write_bytes(self.map.as_mut_ptr().add(from), 0, len) }
    }

    fn room(&self, offset: usize) -> usize {
        self.map.len().saturating_sub(offset)
    }
}

/// The first `len` bytes of a region.
struct MemoryMapping {
    region: Option<Arc<Region>>,
    len: usize,
}

impl Mapping for MemoryMapping {
    #[expect(unsafe_code, reason = "a slice of a shared region is made from a raw pointer")]
    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        if offset.checked_add(len)? > self.len {
            return None;
        }
        let Some(region) = &self.region else {
            return Some(&[]);
        };
        // SAFETY: the range lies inside the region, which lives as long as `self`. The callers of
        // `Mapping::slice` ask only for committed bytes, which nobody writes again.
        Some(unsafe { std::slice::from_raw_parts(region.map.as_ptr().add(offset), len) })
    }

    fn len(&self) -> u64 {
        self.len as u64
    }
}

impl fmt::Debug for MemoryMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMapping").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_drops_what_the_parent_opened_without_its_lock() {
        let storage = MemoryStorage::default();
        let file = storage.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        let node = Arc::clone(storage.folder.lock().files.values().next().unwrap());
        let forks = fork::count().wrapping_sub(1);
        let parents = OpenFile { node: Arc::clone(&node), number: 77, writable: true, forks };
        let mut holder = node.holder.lock();
        *holder = Some(77);
        drop(parents);
        assert_eq!(*holder, Some(77));
        drop(holder);
        drop(file);
    }
}
