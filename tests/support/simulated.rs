//! A storage in memory that records what is done to it, and fails or crashes as told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use synadb::storage::{
    FileIdentity, FileKind, FileStatus, Mapping, Medium, OpenMode, Permissions, Replace, Storage,
    StorageFile,
};

use super::content::Content;
use super::disk_image::DiskImage;
use super::fault::{Crashed, Effect, FailedPages, FaultPlan, Operation, Target};
use super::trace::{Event, FileId, Mark, SyncOutcome, Trace};

/// Files in memory with a trace. Clones share everything.
///
/// There are no symbolic links, relative paths start at the root, and folders exist as far as
/// files are in them.
#[derive(Debug, Clone)]
pub struct SimulatedStorage {
    state: Arc<Mutex<State>>,
}

struct State {
    device: u64,
    names: BTreeMap<PathBuf, FileId>,
    files: Vec<File>,
    trace: Trace,
    plan: FaultPlan,
    hooks: Vec<Hook>,
    calls: BTreeMap<Operation, u64>,
    crashed: bool,
    space_limit: Option<u64>,
    medium: Medium,
    syncs: u64,
    handles: u64,
}

/// A file, whatever it is called.
#[derive(Default)]
struct File {
    /// What the page cache shows.
    cache: Content,
    /// What the last sync that succeeded left on the disk.
    durable: Content,
    /// Ranges written since.
    dirty: Vec<(u64, u64)>,
    links: u64,
    handles: u64,
    /// The open file that holds the lock.
    holder: Option<u64>,
    permissions: Option<Permissions>,
}

struct Hook {
    target: Target,
    left: u64,
    run: Box<dyn FnOnce(&SimulatedStorage) + Send>,
}

impl SimulatedStorage {
    pub fn new() -> Self {
        SimulatedStorage::with_image(&DiskImage::new())
    }

    /// A storage that finds the files of an image.
    pub fn with_image(image: &DiskImage) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut state = State {
            // Neither a device of the system nor one of `MemoryStorage`.
            device: 1 << 62 | COUNT.fetch_add(1, Ordering::Relaxed),
            names: BTreeMap::new(),
            files: Vec::new(),
            trace: Trace::default(),
            plan: FaultPlan::new(),
            hooks: Vec::new(),
            calls: BTreeMap::new(),
            crashed: false,
            space_limit: None,
            medium: Medium::Disk,
            syncs: 0,
            handles: 0,
        };
        for (path, content) in image.files() {
            state.names.insert(path.to_owned(), FileId(state.files.len()));
            state.files.push(File {
                cache: content.clone(),
                durable: content.clone(),
                links: 1,
                ..File::default()
            });
            state.trace.initial.push((path.to_owned(), content.clone()));
        }
        SimulatedStorage { state: Arc::new(Mutex::new(state)) }
    }

    /// What happened so far.
    pub fn trace(&self) -> Trace {
        self.state.lock().trace.clone()
    }

    /// The number of events so far: the crash point "now".
    pub fn point(&self) -> usize {
        self.state.lock().trace.events.len()
    }

    /// Pushes a mark into the trace.
    pub fn mark(&self, name: &'static str, number: u64) {
        self.state.lock().trace.events.push(Event::Mark(Mark { name, number }));
    }

    /// Replaces the faults to come; counting starts anew.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.state.lock().plan = plan;
    }

    /// Calls since the storage was made, failed ones included.
    pub fn calls(&self, target: impl Into<Target>) -> u64 {
        let target = target.into();
        let state = self.state.lock();
        state.calls.iter().filter(|(kind, _)| target.includes(**kind)).map(|(_, count)| count).sum()
    }

    /// Runs `run` once, at the `nth` call of `target` from now (1 is the next), before it takes
    /// effect; for a sync between its start and its end. The hook may use the storage.
    pub fn hook(
        &self,
        target: impl Into<Target>,
        nth: u64,
        run: impl FnOnce(&SimulatedStorage) + Send + 'static,
    ) {
        let hook = Hook { target: target.into(), left: nth, run: Box::new(run) };
        self.state.lock().hooks.push(hook);
    }

    /// Limits the sum of the lengths of all files that have a name or are open. Beyond it writes
    /// are short or fail with `ENOSPC`, as do `set_len` and `allocate`.
    pub fn set_space_limit(&self, bytes: Option<u64>) {
        self.state.lock().space_limit = bytes;
    }

    pub fn set_medium(&self, medium: Medium) {
        self.state.lock().medium = medium;
    }

    /// Crashes now.
    pub fn crash(&self) {
        self.state.lock().crashed = true;
    }

    pub fn has_crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// All files as the page cache shows them: what is left when only the process dies.
    pub fn image(&self) -> DiskImage {
        let state = self.state.lock();
        state.names.iter().fold(DiskImage::new(), |image, (path, file)| {
            image.with_content(path, state.files[file.0].cache.clone())
        })
    }

    /// Counts a call, runs the hooks that are due, and says what else than usual it has to do.
    fn admit(&self, operation: Operation) -> io::Result<Option<usize>> {
        let (effect, hooks) = self.count(operation)?;
        self.run(hooks);
        match effect {
            Some(Effect::Fail(failure) | Effect::FailSync(failure, _)) => Err(failure.into()),
            Some(Effect::Short(len)) => Ok(Some(len)),
            Some(Effect::Crash) => Err(io::Error::other(Crashed)),
            None => Ok(None),
        }
    }

    fn count(&self, operation: Operation) -> io::Result<(Option<Effect>, Vec<Hook>)> {
        let mut state = self.state.lock();
        if state.crashed {
            return Err(io::Error::other(Crashed));
        }
        *state.calls.entry(operation).or_default() += 1;
        let effect = state.plan.effect(operation);
        state.crashed = effect == Some(Effect::Crash);
        let hooks = std::mem::take(&mut state.hooks);
        let (due, waiting) = hooks
            .into_iter()
            .map(|hook| hook.counted(operation))
            .partition(|hook: &Hook| hook.left == 0);
        state.hooks = waiting;
        Ok((effect, due))
    }

    fn run(&self, hooks: Vec<Hook>) {
        for hook in hooks {
            (hook.run)(self);
        }
    }

    fn open_file(&self, state: &mut State, id: FileId, writable: bool) -> Arc<dyn StorageFile> {
        state.handles += 1;
        state.files[id.0].handles += 1;
        Arc::new(OpenFile { storage: self.clone(), id, handle: state.handles, writable })
    }
}

impl Default for SimulatedStorage {
    fn default() -> Self {
        SimulatedStorage::new()
    }
}

impl Hook {
    fn counted(mut self, operation: Operation) -> Self {
        if self.target.includes(operation) {
            self.left -= 1;
        }
        self
    }
}

impl Storage for SimulatedStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let create = mode == OpenMode::CreateNew;
        self.admit(if create { Operation::Create } else { Operation::Open })?;
        let path = normal(path)?;
        let mut state = self.state.lock();
        match state.names.get(&path) {
            Some(_) if create => Err(ErrorKind::AlreadyExists.into()),
            Some(id) => {
                let id = *id;
                Ok(self.open_file(&mut state, id, mode != OpenMode::Read))
            }
            None if state.has_folder(&path) => Err(ErrorKind::IsADirectory.into()),
            None if create => {
                let id = FileId(state.files.len());
                state.files.push(File { links: 1, ..File::default() });
                state.names.insert(path.clone(), id);
                state.trace.events.push(Event::Create { file: id, path });
                Ok(self.open_file(&mut state, id, true))
            }
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        self.admit(Operation::Status)?;
        let path = normal(path)?;
        let state = self.state.lock();
        match state.names.get(&path) {
            Some(id) => Ok(state.status(*id)),
            None if state.has_folder(&path) => Ok(FileStatus {
                identity: FileIdentity { device: state.device, inode: 0 },
                kind: FileKind::Folder,
                links: 1,
                len: 0,
            }),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.admit(Operation::Resolve)?;
        normal(path)
    }

    fn rename(&self, from: &Path, to: &Path, replace: Replace) -> io::Result<()> {
        self.admit(Operation::Rename)?;
        let (from, to) = (normal(from)?, normal(to)?);
        let mut state = self.state.lock();
        let id = *state.names.get(&from).ok_or(ErrorKind::NotFound)?;
        if replace == Replace::No && state.names.contains_key(&to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if from == to {
            return Ok(());
        }
        state.names.remove(&from);
        if let Some(replaced) = state.names.insert(to.clone(), id) {
            state.files[replaced.0].links = 0;
        }
        state.trace.events.push(Event::Rename { from, to });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.admit(Operation::Remove)?;
        let path = normal(path)?;
        let mut state = self.state.lock();
        let id = state.names.remove(&path).ok_or(ErrorKind::NotFound)?;
        state.files[id.0].links = 0;
        state.trace.events.push(Event::Remove { path });
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let (effect, hooks) = self.count(Operation::SyncFolder)?;
        let folder = normal(folder)?;
        let sync = {
            let mut state = self.state.lock();
            state.syncs += 1;
            let sync = state.syncs;
            state.trace.events.push(Event::FolderSyncStart { folder: folder.clone(), sync });
            sync
        };
        self.run(hooks);
        let (outcome, result) = match effect {
            None | Some(Effect::Short(_)) => (SyncOutcome::Ok, Ok(())),
            Some(Effect::Fail(failure) | Effect::FailSync(failure, _)) => {
                (SyncOutcome::Failed(FailedPages::Dirty), Err(failure.into()))
            }
            Some(Effect::Crash) => return Err(io::Error::other(Crashed)),
        };
        self.state.lock().trace.events.push(Event::FolderSyncEnd { folder, sync, outcome });
        result
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.admit(Operation::List)?;
        let folder = normal(folder)?;
        let state = self.state.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(&folder));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn medium(&self, _: &Path) -> io::Result<Medium> {
        self.admit(Operation::Medium)?;
        Ok(self.state.lock().medium)
    }
}

impl State {
    fn has_folder(&self, path: &Path) -> bool {
        path.parent().is_none() || self.names.keys().any(|file| file.starts_with(path))
    }

    fn status(&self, id: FileId) -> FileStatus {
        let file = &self.files[id.0];
        FileStatus {
            identity: FileIdentity { device: self.device, inode: id.0 as u64 + 1 },
            kind: FileKind::File,
            links: file.links,
            len: file.cache.len(),
        }
    }

    /// How long a file may get, of the length wanted.
    fn len_within_space(&self, id: FileId, wanted: u64) -> u64 {
        let Some(limit) = self.space_limit else {
            return wanted;
        };
        let alive = self.files.iter().filter(|file| file.links > 0 || file.handles > 0);
        let used: u64 = alive.map(|file| file.cache.len()).sum();
        let len = self.files[id.0].cache.len();
        wanted.min(len + limit.saturating_sub(used)).max(len.min(wanted))
    }

    fn write(&mut self, id: FileId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        let room = self.len_within_space(id, end).saturating_sub(offset);
        let bytes = &bytes[..bytes.len().min(room as usize)];
        if bytes.is_empty() {
            let full = end > offset;
            return if full { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(0) };
        }
        let file = &mut self.files[id.0];
        file.cache.write(bytes, offset);
        file.dirty.push((offset, offset + bytes.len() as u64));
        self.trace.events.push(Event::Write { file: id, offset, bytes: bytes.into() });
        Ok(bytes.len())
    }

    /// Decides what the page cache shows of the first `count` dirty ranges, whose sync failed.
    fn lose(&mut self, id: FileId, pages: FailedPages, count: usize) {
        if pages == FailedPages::Dirty {
            return;
        }
        let file = &mut self.files[id.0];
        let ranges: Vec<_> = file.dirty.drain(..count.min(file.dirty.len())).collect();
        if pages == FailedPages::Clean {
            return;
        }
        for (from, to) in ranges {
            let to = to.min(file.cache.len());
            let mut bytes = vec![0; to.saturating_sub(from) as usize];
            if pages == FailedPages::Revert {
                file.durable.read(&mut bytes, from);
            }
            file.cache.write(&bytes, from);
            let bytes = bytes.into();
            self.trace.events.push(Event::Lost { file: id, offset: from, bytes });
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("names", &self.names).finish_non_exhaustive()
    }
}

/// An open file.
#[derive(Debug)]
struct OpenFile {
    storage: SimulatedStorage,
    id: FileId,
    /// Tells open files apart: locks belong to them, not to threads.
    handle: u64,
    writable: bool,
}

impl OpenFile {
    fn admit(&self, operation: Operation) -> io::Result<Option<usize>> {
        let effect = self.storage.admit(operation)?;
        if operation.is_change() && operation != Operation::SyncData && !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(effect)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut state = self.storage.state.lock();
        let file = &mut state.files[self.id.0];
        file.handles -= 1;
        if file.holder == Some(self.handle) {
            file.holder = None;
            if !state.crashed {
                state.trace.events.push(Event::Unlock { file: self.id });
            }
        }
    }
}

impl StorageFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.admit(Operation::Read)?.unwrap_or(usize::MAX).min(buffer.len());
        let state = self.storage.state.lock();
        Ok(state.files[self.id.0].cache.read(&mut buffer[..len], offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let len = self.admit(Operation::Write)?.unwrap_or(usize::MAX).min(bytes.len());
        self.storage.state.lock().write(self.id, &bytes[..len], offset)
    }

    fn write_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let len = self.admit(Operation::Write)?.unwrap_or(usize::MAX);
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        bytes.truncate(len);
        self.storage.state.lock().write(self.id, &bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.admit(Operation::Len)?;
        Ok(self.storage.state.lock().files[self.id.0].cache.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.admit(Operation::SetLen)?;
        let mut state = self.storage.state.lock();
        if state.len_within_space(self.id, len) < len {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        state.files[self.id.0].cache.set_len(len);
        state.trace.events.push(Event::SetLen { file: self.id, len });
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.admit(Operation::Allocate)?;
        let mut state = self.storage.state.lock();
        if state.files[self.id.0].cache.len() >= len {
            return Ok(());
        }
        if state.len_within_space(self.id, len) < len {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        state.files[self.id.0].cache.set_len(len);
        state.trace.events.push(Event::Allocate { file: self.id, len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (effect, hooks) = self.storage.count(Operation::SyncData)?;
        let (sync, at_start, dirty) = {
            let mut state = self.storage.state.lock();
            state.syncs += 1;
            let sync = state.syncs;
            state.trace.events.push(Event::SyncStart { file: self.id, sync });
            let file = &mut state.files[self.id.0];
            (sync, file.cache.clone(), file.dirty.len())
        };
        self.storage.run(hooks);
        let (outcome, result) = match effect {
            None | Some(Effect::Short(_)) => (SyncOutcome::Ok, Ok(())),
            Some(Effect::Fail(failure)) => {
                (SyncOutcome::Failed(FailedPages::Clean), Err(failure.into()))
            }
            Some(Effect::FailSync(failure, pages)) => {
                (SyncOutcome::Failed(pages), Err(failure.into()))
            }
            Some(Effect::Crash) => return Err(io::Error::other(Crashed)),
        };
        let mut state = self.storage.state.lock();
        if state.crashed {
            return Err(io::Error::other(Crashed));
        }
        state.trace.events.push(Event::SyncEnd { file: self.id, sync, outcome });
        match outcome {
            SyncOutcome::Ok => {
                let file = &mut state.files[self.id.0];
                file.durable = at_start;
                file.dirty.drain(..dirty.min(file.dirty.len()));
            }
            SyncOutcome::Failed(pages) => state.lose(self.id, pages, dirty),
        }
        result
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.admit(Operation::Lock)?;
        let mut state = self.storage.state.lock();
        let holder = &mut state.files[self.id.0].holder;
        if holder.is_none() {
            *holder = Some(self.handle);
            state.trace.events.push(Event::Lock { file: self.id });
            return Ok(true);
        }
        Ok(*holder == Some(self.handle))
    }

    fn unlock(&self) -> io::Result<()> {
        self.admit(Operation::Unlock)?;
        let mut state = self.storage.state.lock();
        if state.files[self.id.0].holder == Some(self.handle) {
            state.files[self.id.0].holder = None;
            state.trace.events.push(Event::Unlock { file: self.id });
        }
        Ok(())
    }

    fn status(&self) -> io::Result<FileStatus> {
        self.admit(Operation::Status)?;
        Ok(self.storage.state.lock().status(self.id))
    }

    fn permissions(&self) -> io::Result<Option<Permissions>> {
        self.admit(Operation::Permissions)?;
        let given = self.storage.state.lock().files[self.id.0].permissions;
        Ok(Some(given.unwrap_or(Permissions { mode: 0o644, user: 0, group: 0 })))
    }

    fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.admit(Operation::SetPermissions)?;
        self.storage.state.lock().files[self.id.0].permissions = Some(permissions);
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Arc<dyn Mapping>> {
        self.admit(Operation::Map)?;
        let copies = Mutex::new(Copies::default());
        Ok(Arc::new(SimulatedMapping { storage: self.storage.clone(), id: self.id, len, copies }))
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.admit(Operation::NextData)?;
        Ok(self.storage.state.lock().files[self.id.0].cache.next_data(offset))
    }
}

/// A map that copies what is asked for when it is asked for, so that it shows what was written
/// meanwhile, as a shared map does. Not a counted call.
struct SimulatedMapping {
    storage: SimulatedStorage,
    id: FileId,
    len: u64,
    copies: Mutex<Copies>,
}

#[derive(Default)]
struct Copies {
    newest: BTreeMap<(u64, usize), AlignedCopy>,
    /// Copies whose bytes have been written again; slices of them may still be held.
    outdated: Vec<AlignedCopy>,
}

/// Bytes that begin at an address congruent to their offset modulo 64, as in a real map.
struct AlignedCopy {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedCopy {
    fn new(content: &Content, offset: u64, len: usize) -> Self {
        let mut memory = vec![0; len + 128];
        let start = memory.as_ptr().align_offset(64) + (offset % 64) as usize;
        content.read(&mut memory[start..start + len], offset);
        AlignedCopy { memory, start, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl Mapping for SimulatedMapping {
    /// # Panics
    ///
    /// If the bytes lie beyond the end of the file: a real map would raise SIGBUS.
    #[expect(unsafe_code, reason = "the slice outlives the lock under which its copy is found")]
    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len)?;
        let state = self.storage.state.lock();
        let content = &state.files[self.id.0].cache;
        assert!(
            end <= content.len(),
            "mapped bytes up to {end} were read, but the file ends at {}",
            content.len()
        );
        let mut copies = self.copies.lock();
        let copy = AlignedCopy::new(content, offset, len);
        let key = (offset, len);
        if copies.newest.get(&key).is_none_or(|newest| newest.bytes() != copy.bytes()) {
            let outdated = copies.newest.insert(key, copy);
            copies.outdated.extend(outdated);
        }
        let bytes = copies.newest[&key].bytes();
        // SAFETY: the bytes are in a vector that is never written again, and neither map nor list
        // drops one before `self` is dropped.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) })
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl fmt::Debug for SimulatedMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedMapping").field("len", &self.len).finish_non_exhaustive()
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
