//! Which databases this process has open, so that a second open of a file is the same database.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::config::{Create, DbConfig};
use crate::error::{Result, SynaError};
use crate::fork;
use crate::storage::{FileIdentity, Storage};

use super::core::Core;
use super::open::{self, Target};

/// The writer of one file, and how often it is open. Its lock is held while a file is opened or
/// closed, which other files do not wait for.
#[derive(Default)]
struct Place {
    writer: Option<(Arc<Core>, usize)>,
}

type Places = HashMap<FileIdentity, Arc<Mutex<Place>>>;

/// Writers of this process by file. A child after a fork begins anew: what the parent has open is
/// not open here.
static PLACES: LazyLock<Mutex<(u64, Places)>> = LazyLock::new(Mutex::default);

fn place_of(identity: FileIdentity) -> Arc<Mutex<Place>> {
    let mut places = PLACES.lock();
    let forks = fork::count();
    if places.0 != forks {
        // Forgotten without being dropped: threads and locks in there are the parent's.
        std::mem::forget(std::mem::take(&mut places.1));
        places.0 = forks;
    }
    Arc::clone(places.1.entry(identity).or_default())
}

/// A rewrite gave the file another identity.
pub(crate) fn moved(from: FileIdentity, to: FileIdentity) {
    let mut places = PLACES.lock();
    if let Some(place) = places.1.get(&from).cloned() {
        places.1.insert(to, place);
        if from != to {
            places.1.remove(&from);
        }
    }
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

    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) { Err(SynaError::Closed) } else { Ok(()) }
    }

    /// Ends this open; the last one ends the database.
    pub(crate) fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(SynaError::Closed);
        }
        self.core.check_fork()?;
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
    let mut places = PLACES.lock();
    let unused = places.1.get(&identity).is_some_and(|place| {
        // One reference is the table's: nobody is about to open it.
        Arc::strong_count(place) == 1 && place.lock().writer.is_none()
    });
    if unused {
        places.1.remove(&identity);
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
    for _ in 0..1000 {
        let target = open::ensure_exists(storage, name, &config)?;
        if config.create == Create::New {
            // Made just now; from here on it is any file.
            config.create = Create::Never;
        }
        let Some(status) = target.status else { continue };
        let place = place_of(status.identity);
        let mut held = place.lock();
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
        if let Some(core) = open::open_writer(storage, target, &config)? {
            let identity = *core.identity.lock();
            if identity != status.identity {
                // Another file took the name meanwhile: this writer belongs to that one's place.
                drop(held);
                core.shut_down()?;
                continue;
            }
            held.writer = Some((Arc::clone(&core), 1));
            return Ok(Open::counted(&place, &core, false));
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
    let target = Target::find(&**storage, name)?;
    if let Some(status) = target.status {
        let place = place_of(status.identity);
        let mut held = place.lock();
        if let Some((core, opens)) = &mut held.writer {
            *opens += 1;
            return Ok(Open::counted(&place, core, true));
        }
        drop(held);
        drop(place);
        forget(status.identity);
    }
    let core = open::open_reader(storage, name, config)?;
    Ok(Arc::new(Open { core, read_only: true, place: None, closed: AtomicBool::new(false) }))
}
