//! Making a new log file: complete and durable before it has its name.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::canary::{Canary, planted};
use crate::error::{Result, SynaError};
use crate::fork;
use crate::format::PAGE_SIZE;
use crate::format::file_header::FileHeader;
use crate::format::slot::{Slot, SlotPage};
use crate::storage::{OpenMode, Replace, Storage, StorageFile};

use super::file::write_all;
use super::writer::{first_slot, sync_data};

/// What the names of temporary files end in.
const TEMPORARY: &str = ".syna-tmp";

/// Microseconds since 1970-01-01 UTC by the system's clock.
#[inline]
pub(crate) fn now() -> i64 {
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

/// Bytes that no other file has.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        SynaError::io("get random bytes for", PathBuf::new(), std::io::Error::other(error))
    })?;
    Ok(bytes)
}

/// The folder of a file's path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder_of(storage: &dyn Storage, path: &Path) -> Result<()> {
    if planted(Canary::SkipFolderSync) {
        return Ok(());
    }
    let folder = folder_of(path);
    storage.sync_folder(folder).map_err(|e| SynaError::io("sync", folder, e))
}

/// A file being made beside `target`, under a name that says whose it is. Removed when dropped
/// before it has its name.
pub(crate) struct Temporary {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    named: bool,
    /// A forked child must not remove what its parent is writing.
    forks: u64,
}

fn temporary_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

impl Temporary {
    pub(crate) fn create(storage: &Arc<dyn Storage>, target: &Path) -> Result<Temporary> {
        let name = target.file_name().unwrap_or_default();
        for _ in 0..100 {
            let mut temporary = temporary_prefix(name);
            temporary.push(format!("{:016x}{TEMPORARY}", u64::from_le_bytes(random()?)));
            let path = target.with_file_name(temporary);
            match storage.open(&path, OpenMode::CreateNew) {
                Ok(file) => {
                    let storage = Arc::clone(storage);
                    return Ok(Temporary {
                        storage,
                        path,
                        file,
                        named: false,
                        forks: fork::count(),
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(SynaError::io("create", path, error)),
            }
        }
        Err(SynaError::io("create", target, std::io::ErrorKind::AlreadyExists.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<dyn StorageFile> {
        &self.file
    }

    /// Writes header and slots. Entries are in the file already, and durable up to the slot.
    pub(crate) fn write_pages(&self, header: &FileHeader, slot: &Slot) -> Result<()> {
        let page = header.encode();
        let error = |(_, error)| SynaError::io("write", &self.path, error);
        for slot_page in [SlotPage::A, SlotPage::B] {
            // The second one is older, so that it is the first to be written again.
            let epoch =
                if slot_page == SlotPage::A { slot.epoch } else { slot.epoch.saturating_sub(1) };
            let bytes = Slot { epoch, ..*slot }.encode(&header.salt, slot_page, &page);
            write_all(&*self.file, &bytes, slot_page.offset()).map_err(error)?;
        }
        debug_assert_eq!(page.len(), PAGE_SIZE);
        write_all(&*self.file, &page, 0).map_err(error)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        sync_data(&*self.file).map_err(|e| SynaError::io("sync", &self.path, e))
    }

    /// Gives the file its name. The caller syncs the folder.
    pub(crate) fn rename(
        mut self,
        target: &Path,
        replace: Replace,
    ) -> std::io::Result<Arc<dyn StorageFile>> {
        self.storage.rename(&self.path, target, replace)?;
        self.named = true;
        Ok(Arc::clone(&self.file))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named && self.forks == fork::count() {
            // It may be gone with a crash anyhow; the next writer removes what is left.
            let _ = self.storage.remove(&self.path);
        }
    }
}

/// Removes what crashed rewrites of the database at `target` left behind. Called with its lock
/// held, so nobody is using them.
pub(crate) fn remove_leftovers(storage: &dyn Storage, target: &Path) {
    let Some(name) = target.file_name() else { return };
    let prefix = temporary_prefix(name);
    // A folder that cannot be listed or a file that cannot be removed costs only space.
    let Ok(names) = storage.list(folder_of(target)) else { return };
    for name in names {
        let bytes = name.as_encoded_bytes();
        let is_ours = bytes
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(TEMPORARY.as_bytes()))
            .is_some_and(|random| random.len() == 16 && random.iter().all(u8::is_ascii_hexdigit));
        if is_ours {
            let _ = storage.remove(&target.with_file_name(&name));
        }
    }
}

/// Makes an empty database at `path`. `Ok(false)` if something is there already (unless it may be
/// replaced, which is for an empty file the caller has locked).
pub(crate) fn create(storage: &Arc<dyn Storage>, path: &Path, replace: Replace) -> Result<bool> {
    let header = FileHeader::new_database(random()?, random()?, now());
    let temporary = Temporary::create(storage, path)?;
    temporary.write_pages(&header, &first_slot(header.salt.chain_start()))?;
    temporary.sync()?;
    match temporary.rename(path, replace) {
        Ok(_) => {}
        Err(error)
            if matches!(
                error.kind(),
                // Somebody else made it first; or removed our file as a leftover of his.
                std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotFound
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(SynaError::io("rename to", path, error)),
    }
    sync_folder_of(&**storage, path)?;
    Ok(true)
}
