//! The thread that turns tails into chunks and writes checkpoints, so that no append waits for
//! what concerns thousands of points.
//!
//! It takes the keys that are due, encodes their tails without a lock, and writes the chunks as one
//! commit of its own. What became of a key meanwhile (a deletion, a seal by somebody else) decides
//! whether its chunk still fits. Appends do this work themselves only where the thread does not
//! keep up: when tails are over budget, or a checkpoint is overdue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::index::{CHUNK_ROWS_KEPT, Index, KeyId, Seal};
use crate::log::LogFile;

use super::core::{Core, Side, WriterSide};

/// Whether the thread is started. Not yet: a chunk that was encoded while points came in stands
/// behind newer points, and where a part of the file is lost besides, salvage cannot always tell
/// which of them its rows are, and copied some twice. Until it can, whoever appends seals.
const IS_ON: bool = false;
/// With a smaller budget a seal takes less than waking the thread: whoever appends does it at once.
const TAIL_BUDGET_MIN: usize = 2 << 10;
/// So many keys are sealed with the writer's lock taken once.
const KEYS_AT_ONCE: usize = 16;

/// The handle on the thread.
pub(crate) struct Sealer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Set only with the writer's lock held, after a look that found nothing to do: a commit takes
    /// that lock, so it comes before the look or sees the flag.
    asleep: AtomicBool,
}

#[derive(Default)]
struct State {
    stopped: bool,
    woken: bool,
}

/// What the thread is to do next.
enum Work {
    /// These keys are due.
    Seal(Arc<Index>, Arc<LogFile>, Vec<KeyId>),
    /// It is time for a checkpoint.
    Checkpoint(Arc<Index>, Arc<LogFile>),
}

impl Sealer {
    pub(crate) fn new() -> Sealer {
        let shared = Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            asleep: AtomicBool::new(false),
        };
        Sealer { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Starts the thread. Without one (a small budget, or the system refused) appends seal.
    pub(crate) fn start(&self, core: &Arc<Core>) {
        if !IS_ON || core.config.tail_budget_bytes < TAIL_BUDGET_MIN {
            return;
        }
        let (shared, weak) = (Arc::clone(&self.shared), Arc::downgrade(core));
        let thread = std::thread::Builder::new()
            .name("synadb-sealer".to_owned())
            .spawn(move || run(&shared, &weak));
        let Ok(thread) = thread else { return };
        *self.thread.lock() = Some(thread);
        if let Side::Writer(side) = &mut *core.side.lock() {
            side.index.seal_in_background(true);
        }
    }

    /// Notes that something was committed.
    #[inline]
    pub(crate) fn note(&self, side: &WriterSide) {
        if side.has_work_for_sealer() && self.shared.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
        self.shared.state.lock().woken = true;
        self.shared.wake.notify_one();
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.state.lock().stopped = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic in it has poisoned the writer, which tells everybody.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, core: &Weak<Core>) {
    loop {
        {
            let mut state = shared.state.lock();
            while !state.woken && !state.stopped && shared.asleep.load(Ordering::Relaxed) {
                shared.wake.wait(&mut state);
            }
            if state.stopped {
                return;
            }
            state.woken = false;
        }
        let Some(core) = core.upgrade() else { return };
        if crate::fork::count() != core.forks {
            return;
        }
        let stopped = || shared.state.lock().stopped;
        while !stopped() && core.seal_some(&shared.asleep, stopped) {}
    }
}

impl Core {
    /// Seals some of the keys that are due, or writes a checkpoint. False, with `asleep` set, if
    /// there was nothing to do, or it could not be done: the next commit tells to try again.
    fn seal_some(&self, asleep: &AtomicBool, stopped: impl Fn() -> bool) -> bool {
        let work = {
            let mut side = self.side.lock();
            let work = match &mut *side {
                Side::Writer(side) => side.take_work(),
                Side::Reader(_) | Side::Closed => None,
            };
            // With the lock held, see `Shared::asleep`.
            asleep.store(work.is_none(), Ordering::Relaxed);
            work
        };
        let done = match work {
            None => false,
            Some(Work::Seal(index, log, ids)) => self.seal(&index, &log, &ids),
            Some(Work::Checkpoint(index, log)) => {
                // What would stand in the image otherwise.
                let ids = index.sealable(CHUNK_ROWS_KEPT);
                let mut portions = ids.chunks(KEYS_AT_ONCE);
                portions.all(|ids| !stopped() && self.seal(&index, &log, ids))
                    && self.with_side_of(&index, |side| {
                        side.write_due_checkpoint();
                        true
                    })
            }
        };
        if !done {
            asleep.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Seals the tails of some keys of `index`; false if they could not be written.
    fn seal(&self, index: &Arc<Index>, log: &LogFile, ids: &[KeyId]) -> bool {
        let policy = self.config.policy();
        // A tail that cannot be encoded stays, in memory and in the log as puts, and is due again
        // when it has grown.
        let seals: Vec<Seal> =
            ids.iter().filter_map(|id| index.seal(log, *id, policy).ok().flatten()).collect();
        self.with_side_of(index, |side| {
            let (fit, moved): (Vec<Seal>, Vec<Seal>) =
                seals.into_iter().partition(|seal| side.index.still_fits(seal));
            side.index.return_due(moved.into_iter().map(|seal| seal.id));
            side.write_seals(fit).is_ok()
        })
    }

    /// Runs `change` if `index` is still that of the writer: a rewrite may have put another one in
    /// its place, whose rows lie elsewhere.
    fn with_side_of(
        &self,
        index: &Arc<Index>,
        change: impl FnOnce(&mut WriterSide) -> bool,
    ) -> bool {
        match &mut *self.side.lock() {
            Side::Writer(side) if Arc::ptr_eq(index, side.index.index()) => {
                if side.log.check_writable().is_err() {
                    return false;
                }
                side.guarded(|side| {
                    let done = change(side);
                    self.keeper.note(side);
                    done
                })
            }
            _ => true,
        }
    }
}

impl WriterSide {
    /// Whether [`WriterSide::take_work`] would find anything.
    #[inline]
    fn has_work_for_sealer(&self) -> bool {
        self.index.wants_seals() || self.wants_checkpoint()
    }

    fn take_work(&mut self) -> Option<Work> {
        if !self.has_work_for_sealer() || self.log.check_writable().is_err() {
            return None;
        }
        let ids = self.index.take_early(KEYS_AT_ONCE);
        let (index, log) = (Arc::clone(self.index.index()), Arc::clone(self.log.log()));
        if !ids.is_empty() {
            Some(Work::Seal(index, log, ids))
        } else if self.wants_checkpoint() {
            Some(Work::Checkpoint(index, log))
        } else {
            None
        }
    }
}
