//! Which databases this process has open, so that a second open of a file is the same database.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{Create, DbConfig};
use crate::error::{Result, SynaError};
use crate::fork::{self, PerProcess};
use crate::mutex::Mutex;
use crate::storage::{FileIdentity, Storage};

use super::core::Core;
use super::follow::Cursor;
use super::open;

/// The writer of one file, and how often it is open. Its lock is held while a file is opened or
/// closed, which other files do not wait for.
#[derive(Default)]
struct Place {
    writer: Option<(Arc<Core>, usize)>,
    /// Removed from the table while somebody was on his way here: look there again.
    gone: bool,
}

type Places = HashMap<FileIdentity, Arc<Mutex<Place>>>;

/// Writers of this process by file.
static PLACES: LazyLock<PerProcess<Mutex<Places>>> = LazyLock::new(PerProcess::default);

fn place_of(identity: FileIdentity) -> Arc<Mutex<Place>> {
    Arc::clone(PLACES.get().lock().entry(identity).or_default())
}

/// A rewrite is about to give the file another identity: whoever comes finds it under both, until
/// one of them is taken back by [`no_longer`].
pub(crate) fn also_known_as(identity: FileIdentity, new: FileIdentity) {
    let places = PLACES.get();
    let mut places = places.lock();
    if let Some(place) = places.get(&identity).cloned() {
        places.insert(new, place);
    }
}

/// Nobody looks for the file under this identity any more.
pub(crate) fn no_longer(identity: FileIdentity) {
    PLACES.get().lock().remove(&identity);
}

/// One open of a database: what a handle and its clones share.
pub(crate) struct Open {
    pub(crate) core: Arc<Core>,
    pub(crate) read_only: bool,
    /// Where it is counted; a reader of its own is not.
    place: Option<Arc<Mutex<Place>>>,
    closed: AtomicBool,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("path", &self.core.path)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl Open {
    fn counted(place: &Arc<Mutex<Place>>, core: &Arc<Core>, read_only: bool) -> Arc<Open> {
        Arc::new(Open {
            core: Arc::clone(core),
            read_only,
            place: Some(Arc::clone(place)),
            closed: AtomicBool::new(false),
        })
    }

    /// A reader of its own.
    fn alone(core: Arc<Core>) -> Arc<Open> {
        Arc::new(Open { core, read_only: true, place: None, closed: AtomicBool::new(false) })
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) { Err(SynaError::Closed) } else { Ok(()) }
    }

    /// Ends this open; the last one ends the database.
    pub(crate) fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(SynaError::Closed);
        }
        if let Err(forked) = self.core.check_fork() {
            self.core.unlock_if_planted();
            return Err(forked);
        }
        let Some(place) = &self.place else { return self.core.shut_down() };
        let mut place = place.lock();
        if let Some((core, opens)) = &mut place.writer
            && Arc::ptr_eq(core, &self.core)
        {
            *opens -= 1;
            if *opens == 0 {
                // Under the place's lock: an open that comes now waits for the lock to be free.
                let result = self.core.shut_down();
                place.writer = None;
                let identity = *self.core.identity.lock();
                drop(place);
                forget(identity);
                return result;
            }
        }
        Ok(())
    }
}

/// Removes the place of a file that nobody has open.
fn forget(identity: FileIdentity) {
    let places = PLACES.get();
    let mut places = places.lock();
    let unused = places.get(&identity).is_some_and(|place| {
        // Whoever holds it is opening or closing, and forgets it himself.
        let Some(mut held) = place.try_lock() else { return false };
        held.gone = held.writer.is_none();
        held.gone
    });
    if unused {
        places.remove(&identity);
    }
}

/// Waits a little before a file that is being replaced is looked at again.
fn back_off(attempt: u32) {
    if attempt > 10 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls `close`.
        let _ = self.close();
    }
}

/// Opens for writing, or joins the writer this process has.
pub(crate) fn open(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
) -> Result<Arc<Open>> {
    fork::watch();
    let mut config = config.clone();
    for attempt in 0..1000 {
        back_off(attempt);
        let target = open::ensure_exists(storage, name, &config)?;
        if config.create == Create::New {
            // Made just now; from here on it is any file.
            config.create = Create::Never;
        }
        let Some(status) = target.status else { continue };
        let place = place_of(status.identity);
        let mut held = place.lock();
        if held.gone {
            continue;
        }
        if let Some((core, opens)) = &mut held.writer {
            if *core.identity.lock() != status.identity {
                // It was rewritten between the look and the lock.
                continue;
            }
            if let Some(option) = core.config.conflict(&config) {
                return Err(SynaError::OptionsConflict { path: target.name, option });
            }
            *opens += 1;
            return Ok(Open::counted(&place, core, false));
        }
        let path = target.path.clone();
        let opened = open::open_writer(storage, target, &config);
        if let Ok(Some(core)) = opened {
            held.writer = Some((Arc::clone(&core), 1));
            return Ok(Open::counted(&place, &core, false));
        }
        drop(held);
        forget(status.identity);
        // A rewrite of our own may have come between the look at the path and this place: then the
        // file that is locked there is another one, and its place knows who holds it.
        let moved = matches!(opened, Err(SynaError::Locked { .. }))
            && storage.status(&path).is_ok_and(|now| now.identity != status.identity);
        if !moved {
            opened?;
        }
    }
    Err(SynaError::io("open", name, std::io::ErrorKind::Interrupted.into()))
}

/// Opens for reading: on this process's writer if it has one, else on the file.
pub(crate) fn open_read_only(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
) -> Result<Arc<Open>> {
    fork::watch();
    for attempt in 0..1000 {
        back_off(attempt);
        let Some(status) = open::find_existing(&**storage, name)?.status else { break };
        let place = place_of(status.identity);
        let mut held = place.lock();
        if held.gone {
            continue;
        }
        if let Some((core, opens)) = &mut held.writer {
            if *core.identity.lock() != status.identity {
                // It was rewritten between the look and the lock.
                continue;
            }
            *opens += 1;
            return Ok(Open::counted(&place, core, true));
        }
        drop(held);
        forget(status.identity);
        break;
    }
    Ok(Open::alone(open::open_reader(storage, name, config)?))
}

/// Opens for reading what the file held at a commit, whoever else has it open.
pub(crate) fn open_read_only_at(
    storage: &Arc<dyn Storage>,
    name: &Path,
    config: &DbConfig,
    cursor: &Cursor,
) -> Result<Arc<Open>> {
    Ok(Open::alone(open::open_reader_at(storage, name, config, cursor)?))
}
