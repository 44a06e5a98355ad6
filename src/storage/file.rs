//! Files of the operating system.
//!
//! [`FileStorage`] is `std::fs` plus what std lacks (`rustix`: `fallocate`, `SEEK_DATA`, `statfs`,
//! `renameat2`, `pwritev`) plus read-only shared maps (`memmap2`). It holds no state and decides
//! nothing, with one exception: a read, write or allocation that a signal interrupted is repeated,
//! because nothing was done and no caller could do anything else. An interrupted sync is reported:
//! what it had done is not known.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{CWD, FallocateFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;

use super::{
    FileIdentity, FileKind, FileStatus, Mapping, Medium, OpenMode, Permissions, Replace, Storage,
    StorageFile,
};

/// How many symbolic links a path may lead through, as in Linux.
const LINKS_MAX: usize = 40;

/// How many parts one vectored write takes (`IOV_MAX`).
const PARTS_MAX: usize = 1024;

/// The same file under a number that no standard stream has.
///
/// A program that is started with one of them closed, as daemons are, would get that number for the
/// database, and whatever it, or a library in it, prints would overwrite the file. (Between the opening and
/// this there are microseconds.)
fn above_standard_streams(file: File) -> io::Result<File> {
    if file.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(file);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&file, libc::STDERR_FILENO + 1)?.into())
}

/// The file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct FileStorage;

impl Storage for FileStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        // Opening a FIFO would wait for its other end, and a device may act on being opened: so
        // the kind is looked at first, and the flag covers a path that changes in between. The
        // flag means nothing for a regular file.
        options.read(true).custom_flags(libc::O_NONBLOCK);
        match mode {
            OpenMode::Read => require_regular(&fs::metadata(path)?)?,
            OpenMode::ReadWrite => {
                require_regular(&fs::metadata(path)?)?;
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
                options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
            }
        }
        let file = above_standard_streams(options.open(path)?)?;
        require_regular(&file.metadata()?)?;
        Ok(Arc::new(OpenFile { file }))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        fs::metadata(path).map(|metadata| status_of(&metadata))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path::absolute(path)?;
        for _ in 0..LINKS_MAX {
            match fs::canonicalize(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                resolved => return resolved,
            }
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(ErrorKind::NotFound.into());
            };
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                // A name with a slash after it can only be a folder's.
                return Err(ErrorKind::IsADirectory.into());
            }
            let named = fs::canonicalize(folder)?.join(name);
            match fs::read_link(&named) {
                // An absolute target replaces the folder, a relative one starts from it.
                Ok(target) => {
                    path = named.parent().map_or(target.clone(), |folder| folder.join(&target));
                }
                // Nothing there, or something that is no link came into being meanwhile.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) =>
                {
                    return Ok(named);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ELOOP))
    }

    fn rename(&self, from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
        match replace {
            Replace::Yes => fs::rename(from, to),
            Replace::No => {
                match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                    // The file system (or an old kernel) does not know the flag. A link never
                    // replaces; a crash between the two calls leaves both names on one file.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                        fs::hard_link(from, to)?;
                        fs::remove_file(from)
                    }
                    result => Ok(result?),
                }
            }
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn medium(&self, path: &Path) -> io::Result<Medium> {
        // Tests of debug builds have no network to mount.
        if cfg!(debug_assertions) && std::env::var_os("SYNADB_ON_NETWORK").is_some() {
            return Ok(Medium::Network("a file system that a test calls one"));
        }
        Ok(medium_of(&rustix::fs::statfs(path)?))
    }
}

/// An open file of the file system.
#[derive(Debug)]
struct OpenFile {
    file: File,
}

impl StorageFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        uninterrupted(|| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // Not std's, which calls the C library: in a process with threads its `pwrite` is a place
        // where a thread can be cancelled, and two atomic exchanges for that are a fiftieth of an
        // append in `Os`.
        uninterrupted(|| Ok(rustix::io::pwrite(&self.file, bytes, offset)?))
    }

    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let parts = parts.get(..PARTS_MAX).unwrap_or(parts);
        uninterrupted(|| Ok(rustix::io::pwritev(&self.file, parts, offset)?))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        uninterrupted(|| self.file.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let current = self.len()?;
        if len <= current {
            return Ok(());
        }
        uninterrupted(|| {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), current, len - current)
            {
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    Err(ErrorKind::Unsupported.into())
                }
                result => Ok(result?),
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        // `fdatasync`; on macOS std issues `F_FULLFSYNC`, which reaches past the drive's cache.
        self.file.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    #[cfg(target_os = "linux")]
    fn lock_holder(&self) -> Option<u32> {
        let metadata = self.file.metadata().ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        holder_in(&locks, metadata.dev(), metadata.ino())
    }

    fn status(&self) -> io::Result<FileStatus> {
        self.file.metadata().map(|metadata| status_of(&metadata))
    }

    fn permissions(&self) -> io::Result<Option<Permissions>> {
        let metadata = self.file.metadata()?;
        Ok(Some(Permissions {
            mode: metadata.mode() & 0o7777,
            user: metadata.uid(),
            group: metadata.gid(),
        }))
    }

    fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        let Permissions { mut mode, user, group } = permissions;
        // The owner first: changing it clears bits of the mode.
        match std::os::unix::fs::fchown(&self.file, Some(user), Some(group)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // "Run as owner" must not pass to another owner.
                mode &= 0o1777;
            }
            Err(error) => return Err(error),
        }
        self.file.set_permissions(fs::Permissions::from_mode(mode))
    }

    fn map(&self, len: u64) -> io::Result<Arc<dyn Mapping>> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory)?;
        let map = MmapOptions::new().len(len).map_raw_read_only(&self.file)?;
        Ok(Arc::new(FileMapping { map, len }))
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        // Moves the description's position, which nobody uses: all I/O here is positional.
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Err(ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A shared, read-only map of a file. It stays valid after the file was closed, renamed over or
/// removed.
struct FileMapping {
    map: MmapRaw,
    len: usize,
}

impl Mapping for FileMapping {
    #[expect(unsafe_code, reason = "a slice of mapped bytes is made from a raw pointer")]
    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: the range lies inside the map, which lives as long as `self`. The callers of
        // `Mapping::slice` ask only for committed bytes: these are in the file, so that touching
        // them raises no SIGBUS, and they are neither written nor cut off by anybody.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(offset), len) })
    }

    fn len(&self) -> u64 {
        self.len as u64
    }
}

impl std::fmt::Debug for FileMapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileMapping").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Repeats a call until no signal interrupts it.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn require_regular(metadata: &fs::Metadata) -> io::Result<()> {
    match kind_of(metadata) {
        FileKind::File => Ok(()),
        FileKind::Folder => Err(ErrorKind::IsADirectory.into()),
        FileKind::Other => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn status_of(metadata: &fs::Metadata) -> FileStatus {
    FileStatus {
        identity: FileIdentity { device: metadata.dev(), inode: metadata.ino() },
        kind: kind_of(metadata),
        links: metadata.nlink(),
        len: metadata.len(),
    }
}

fn kind_of(metadata: &fs::Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Folder
    } else {
        debug_assert!(
            kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device(),
            "metadata follows links"
        );
        FileKind::Other
    }
}

/// Finds who holds the `flock` of a file in the text of `/proc/locks`, whose lines are
/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF` (device hexadecimal, inode decimal). The
/// process is 0 when it belongs to another namespace.
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        // Who waits for the lock has `->` where the holder has its kind.
        let mut words = line.split_whitespace().skip(1);
        let holds = words.next() == Some("FLOCK")
            && words.next().is_some()
            && words.next() == Some("WRITE");
        let process = words.next()?.parse().ok().filter(|process| *process != 0);
        if holds && words.next() == Some(&file) { process } else { None }
    })
}

/// Tells network file systems by their magic numbers (`statfs(2)`).
#[cfg(target_os = "linux")]
fn medium_of(status: &rustix::fs::StatFs) -> Medium {
    // The field's type differs between C libraries, and the number may come sign-extended.
    match status.f_type as u64 & 0xFFFF_FFFF {
        0x6969 => Medium::Network("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Medium::Network("SMB"),
        0x6573_5546 => Medium::Network("FUSE"),
        0x0102_1997 => Medium::Network("9p"),
        0x00C3_6400 => Medium::Network("Ceph"),
        0x0102_1994 | 0x8584_58F6 => Medium::Memory,
        _ => Medium::Disk,
    }
}

/// macOS says itself whether a file system is local.
#[cfg(target_os = "macos")]
fn medium_of(status: &rustix::fs::StatFs) -> Medium {
    const LOCAL: u32 = 0x1000; // MNT_LOCAL
    if status.f_flags & LOCAL == 0 {
        Medium::Network("a network file system")
    } else {
        Medium::Disk
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn medium_of(_: &rustix::fs::StatFs) -> Medium {
    Medium::Disk
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::holder_in;

    #[test]
    fn holder_is_read_from_the_line_of_the_file() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:131 0 EOF
2: FLOCK  ADVISORY  READ  12 fe:00:131 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:00:1311 0 EOF
4: FLOCK  ADVISORY  WRITE 14 fe:00:131 0 EOF
4: -> FLOCK  ADVISORY  WRITE 15 fe:00:131 0 EOF
5: FLOCK  ADVISORY  WRITE 0 fe:00:132 0 EOF
";
        assert_eq!(holder_in(locks, 0xfe00, 131), Some(14));
        assert_eq!(holder_in(locks, 0xfe00, 132), None);
        assert_eq!(holder_in(locks, 0xfe01, 131), None);
    }
}
