//! Where bytes live: the few operations the store asks of an operating system.
//!
//! Everything above goes through [`Storage`] and [`StorageFile`], so that tests can put a storage
//! underneath that records, fails, or forgets what a power loss would forget. The methods are as
//! thin as the system calls they stand for: no buffering, no policy, and no retries but of a read,
//! write or allocation that a signal interrupted.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod file;
mod memory;

pub use file::FileStorage;
pub use memory::MemoryStorage;

/// How [`Storage::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; it is only read.
    Read,
    /// The file must exist; it is read and written.
    ReadWrite,
    /// The file must not exist (nor a symbolic link of that name); it is created empty, readable
    /// and writable.
    CreateNew,
}

/// Which file a path or an open file is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Number of the storage: the device of a file system.
    pub device: u64,
    /// Number of the file in it.
    pub inode: u64,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// The file's identity.
    pub identity: FileIdentity,
    /// Its kind.
    pub kind: FileKind,
    /// How many names it has.
    pub links: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Kinds of things a path may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A FIFO, a device, a socket.
    Other,
}

/// Permission bits and owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// The lower twelve bits of the mode.
    pub mode: u32,
    /// The owning user.
    pub user: u32,
    /// The owning group.
    pub group: u32,
}

/// What kind of medium a folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A local disk, as far as the system tells.
    Disk,
    /// Memory (tmpfs): `sync` succeeds and means nothing.
    Memory,
    /// A network or user-space file system, by name.
    Network(&'static str),
}

/// Whether [`Storage::rename`] may replace the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// An existing target is replaced atomically.
    Yes,
    /// An existing target makes the call fail with [`io::ErrorKind::AlreadyExists`].
    No,
}

/// A place for files: a file system, memory, or a simulation of one.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// Opens a regular file. Never truncates, never waits. A folder is
    /// [`io::ErrorKind::IsADirectory`], a FIFO or device [`io::ErrorKind::InvalidInput`].
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// What `path` names, symbolic links followed.
    fn status(&self, path: &Path) -> io::Result<FileStatus>;

    /// The absolute path with every symbolic link resolved. The last component need not exist; a
    /// dangling link resolves to what it points to.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Renames a file within its folder. Durable only after [`Storage::sync_folder`].
    fn rename(&self, from: &Path, to: &Path, replace: Replace) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `folder` durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in `folder`, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<std::ffi::OsString>>;

    /// The medium `path` (a file, or the folder of a file to be) is on.
    fn medium(&self, path: &Path) -> io::Result<Medium>;
}

/// An open file.
///
/// Dropping it closes it and releases its lock unless a forked child still holds the description,
/// which is why whoever locked it calls [`StorageFile::unlock`] first.
pub trait StorageFile: Send + Sync + fmt::Debug + 'static {
    /// Reads at most `buffer.len()` bytes at `offset`; 0 is the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at most `bytes.len()` bytes at `offset` and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes the bytes of several slices one after the other at `offset`, as one operation where
    /// the system can, and says how many it wrote.
    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Extends the file with allocated zeros up to `len`, so that later writes below it neither
    /// change its size nor run out of space. [`io::ErrorKind::Unsupported`] where that is missing.
    /// Nothing happens if the file is that long already; a failure may leave it extended in part.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes all bytes written so far durable, and the length needed to read them.
    fn sync_data(&self) -> io::Result<()>;

    /// Takes the exclusive advisory lock, or returns false if another holder has it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;

    /// A process that holds the lock, where the system tells.
    fn lock_holder(&self) -> Option<u32> {
        None
    }

    /// What the open file is.
    fn status(&self) -> io::Result<FileStatus>;

    /// Permission bits and owner, where files have such.
    fn permissions(&self) -> io::Result<Option<Permissions>>;

    /// Sets permission bits and owner; an owner that may not be set is left as it is.
    fn set_permissions(&self, permissions: Permissions) -> io::Result<()>;

    /// Maps `[0, len)`, which may reach beyond the end of the file. Bytes may be read only below
    /// what is known to be in the file; see [`Mapping::slice`]. The mapping shows what is written
    /// later, too. Memory may map less than asked for: where a slice is missing, map again.
    fn map(&self, len: u64) -> io::Result<Arc<dyn Mapping>>;

    /// The first offset at or after `offset` that may hold data, `None` if only holes follow.
    /// [`io::ErrorKind::Unsupported`] where the system cannot tell.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;
}

/// Bytes of a file, mapped for reading.
pub trait Mapping: Send + Sync + fmt::Debug + 'static {
    /// The bytes `[offset, offset + len)`, or `None` if they lie outside the mapping.
    ///
    /// The caller asks only for committed bytes: those are never written again nor cut off while
    /// anybody may read them, which is what makes handing out a shared slice sound.
    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]>;

    /// Length of the mapping in bytes.
    fn len(&self) -> u64;

    /// Whether the mapping is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
