//! An open log file: its header, its slots, and reading committed bytes.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::error::{Result, SynaError};
use crate::format::file_header::{FileHeader, HeaderError, Limits};
use crate::format::slot::{Slot, SlotPage};
use crate::format::{LOG_START, PAGE_SIZE, VERSION_MAJOR};
use crate::storage::{FileKind, Mapping, StorageFile};

/// One file of one generation. Shared by the writer, snapshots and everything handed out.
pub(crate) struct LogFile {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    header: FileHeader,
    /// The newest mapping; older ones live as long as somebody reads through them.
    mapping: ArcSwapOption<Mapped>,
    /// Set when the system refused to map: reads copy from then on.
    unmappable: AtomicBool,
}

/// [`ArcSwapOption`] needs a sized type.
struct Mapped(Arc<dyn Mapping>);

impl std::fmt::Debug for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFile")
            .field("path", &self.path)
            .field("generation", &self.header.generation)
            .finish_non_exhaustive()
    }
}

/// Committed bytes of the file: in the map where there is one, else a copy.
pub(crate) enum LogBytes {
    Mapped { mapping: Arc<dyn Mapping>, offset: u64, len: usize },
    Copied(Vec<u8>),
}

impl LogBytes {
    /// The bytes in memory of their own.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            LogBytes::Copied(bytes) => bytes,
            LogBytes::Mapped { .. } => self.to_vec(),
        }
    }
}

impl Deref for LogBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            // The range was checked when the value was made.
            LogBytes::Mapped { mapping, offset, len } => {
                mapping.slice(*offset, *len).unwrap_or_default()
            }
            LogBytes::Copied(bytes) => bytes,
        }
    }
}

/// Smallest mapping: small databases are mapped once, with room to grow.
const MAPPING_LEN_MIN: u64 = 16 << 20;

impl LogFile {
    /// Reads and checks the header page of an open file.
    pub(crate) fn open(file: Arc<dyn StorageFile>, path: &Path) -> Result<LogFile> {
        let status = file.status().map_err(|e| SynaError::io("stat", path, e))?;
        match status.kind {
            FileKind::File => {}
            FileKind::Folder => return Err(SynaError::IsDirectory { path: path.to_owned() }),
            FileKind::Other => return Err(SynaError::NotARegularFile { path: path.to_owned() }),
        }
        let mut page = [0; PAGE_SIZE];
        let len = read_up_to(&*file, &mut page, 0).map_err(|e| SynaError::io("read", path, e))?;
        let page = page.get(..len).unwrap_or_default();
        let header = FileHeader::parse(page).map_err(|error| match error {
            HeaderError::NotOurs(what) => SynaError::NotADatabase {
                path: path.to_owned(),
                what: if len == 0 { "it is empty" } else { what },
            },
            HeaderError::Version { major, minor } => SynaError::UnsupportedVersion {
                path: path.to_owned(),
                major,
                minor,
                supported: VERSION_MAJOR,
            },
            HeaderError::Feature(bits) => SynaError::UnsupportedFeature {
                what: "feature bit of the header",
                value: bits.into(),
                offset: 12,
            },
            HeaderError::Damaged(what) => {
                SynaError::Corrupt { offset: 0, last_good: 0, next_good: None, what }
            }
        })?;
        // One slot page may be damaged, but a file that ends before the log has lost one: were the
        // older slot believed, everything that the newer one knew to be durable would be gone
        // without a word.
        if status.len < LOG_START {
            return Err(SynaError::Corrupt {
                offset: status.len,
                last_good: 0,
                next_good: None,
                what: "the file ends within its first three pages",
            });
        }
        Ok(Self::with_header(file, path, header))
    }

    /// A file whose header is known, or not yet written.
    pub(crate) fn with_header(
        file: Arc<dyn StorageFile>,
        path: &Path,
        header: FileHeader,
    ) -> LogFile {
        LogFile {
            file,
            path: path.to_owned(),
            header,
            mapping: ArcSwapOption::empty(),
            unmappable: AtomicBool::new(false),
        }
    }

    pub(crate) fn storage_file(&self) -> &Arc<dyn StorageFile> {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn header(&self) -> &FileHeader {
        &self.header
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.header.limits
    }

    pub(crate) fn io_error(&self, operation: &'static str, error: io::Error) -> SynaError {
        SynaError::io(operation, &self.path, error)
    }

    pub(crate) fn len(&self) -> Result<u64> {
        self.file.len().map_err(|e| self.io_error("stat", e))
    }

    /// Fills the buffer from `offset` on as far as the file goes; returns how far.
    pub(crate) fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        read_up_to(&*self.file, buffer, offset).map_err(|e| self.io_error("read", e))
    }

    /// Bytes below a commit that is known to be in the file.
    pub(crate) fn committed(&self, offset: u64, len: usize) -> Result<LogBytes> {
        let end = offset.saturating_add(len as u64);
        if len == 0 {
            return Ok(LogBytes::Copied(Vec::new()));
        }
        if let Some(mapping) = self.mapping_for(end) {
            return Ok(LogBytes::Mapped { mapping, offset, len });
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| SynaError::OutOfMemory { bytes: len as u64 })?;
        bytes.resize(len, 0);
        if self.read_up_to(&mut bytes, offset)? < len {
            return Err(self.corrupt(offset, "committed bytes are missing: the file was cut"));
        }
        Ok(LogBytes::Copied(bytes))
    }

    /// The map of the bytes up to `end`, which a commit known to be in the file covers; `None` where
    /// the system does not map.
    pub(crate) fn mapping_for(&self, end: u64) -> Option<Arc<dyn Mapping>> {
        if let Some(mapped) = &*self.mapping.load()
            && mapped.0.len() >= end
        {
            return Some(Arc::clone(&mapped.0));
        }
        if self.unmappable.load(Ordering::Relaxed) {
            return None;
        }
        // Address space beyond the end of the file costs nothing and is not touched before a
        // commit lies there.
        let len = end.saturating_mul(2).max(MAPPING_LEN_MIN).next_multiple_of(PAGE_SIZE as u64);
        match self.file.map(len) {
            Ok(mapping) if mapping.len() >= end => {
                self.mapping.store(Some(Arc::new(Mapped(Arc::clone(&mapping)))));
                Some(mapping)
            }
            Ok(_) => None,
            Err(_) => {
                self.unmappable.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// The newer intact slot and the page it stands in.
    pub(crate) fn newest_slot(&self) -> Result<Option<(SlotPage, Slot)>> {
        let mut newest: Option<(SlotPage, Slot)> = None;
        for page in [SlotPage::A, SlotPage::B] {
            let mut bytes = [0; PAGE_SIZE];
            let len = self.read_up_to(&mut bytes, page.offset())?;
            let slot = bytes
                .get(..len)
                .and_then(|bytes| Slot::parse(&self.header.salt, page, bytes))
                // No file lives through so many slot writes, and one more must be possible.
                .filter(|slot| slot.durable_len >= LOG_START && slot.epoch < u64::MAX);
            if let Some(slot) = slot
                && newest.is_none_or(|(_, other)| slot.epoch > other.epoch)
            {
                newest = Some((page, slot));
            }
        }
        Ok(newest)
    }

    /// Damage at `offset`, noticed while reading committed bytes.
    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> SynaError {
        SynaError::Corrupt { offset, last_good: offset, next_good: None, what }
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_up_to(
    file: &dyn StorageFile,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes everything or says how much was written and why not all.
pub(crate) fn write_all(
    file: &dyn StorageFile,
    mut bytes: &[u8],
    mut offset: u64,
) -> Result<(), (u64, io::Error)> {
    let mut written = 0;
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                written += count as u64;
                offset += count as u64;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}
