//! The thread that does a writer's work in the background: writes out old buffers, syncs after
//! every 64 MiB, keeps the slots current, looks whether the file is still there, and begins rewrites
//! where `auto_optimize` asks for them. Those run on a thread of their own, because buffers have to be
//! written out meanwhile.
//!
//! It sleeps while nothing happens; the first commit after that wakes it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::Durability;
use crate::error::SynaError;
use crate::format::LOG_START;
use crate::maintenance::{OptimizeOptions, optimize_core};
use crate::mutex::{Condvar, Mutex, Waited};

use super::core::{AutoOptimize, Core, Side, WriterSide};

/// So many bytes may be with the operating system alone before they are synced.
const UNSYNCED_MAX: u64 = 64 << 20;

/// The handle on the thread.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Waited<State>,
    wake: Condvar,
    /// Set only with the writer's lock held, after a look that found nothing to do: a commit takes
    /// that lock, so it comes before the look or sees the flag.
    asleep: AtomicBool,
    sync_is_due: AtomicBool,
    /// The thread of the rewrite that runs, or ran last.
    optimizer: Mutex<Option<JoinHandle<()>>>,
    /// Whether that rewrite is to end.
    cancelled: AtomicBool,
}

#[derive(Default)]
struct State {
    stopped: bool,
    woken: bool,
}

impl Keeper {
    pub(crate) fn new() -> Keeper {
        let shared = Shared {
            state: Waited::default(),
            wake: Condvar::new(),
            asleep: AtomicBool::new(false),
            sync_is_due: AtomicBool::new(false),
            optimizer: Mutex::new(None),
            cancelled: AtomicBool::new(false),
        };
        Keeper { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Starts the thread. Without one (the system refused) the database works; buffers are then
    /// written out when they are full, and slots at close.
    pub(crate) fn start(&self, core: Weak<Core>, durability: Durability) {
        let interval = match durability {
            Durability::Buffered { interval_ms, .. } => Duration::from_millis(interval_ms.max(1)),
            Durability::Full | Durability::Os => Core::KEEPER_INTERVAL,
        };
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("synadb-keeper".to_owned())
            .spawn(move || run(&shared, &core, interval));
        *self.thread.lock() = thread.ok();
    }

    /// Notes that something was committed.
    #[inline]
    pub(crate) fn note(&self, side: &WriterSide) {
        // A checkpoint counts once it is durable: without a sync soon after it, opening after a
        // kill would read on from the one before.
        let sync_is_due = side.log.unsynced_bytes() >= UNSYNCED_MAX || side.log.checkpoint_waits();
        if (sync_is_due && !self.shared.sync_is_due.swap(true, Ordering::Relaxed))
            || self.shared.asleep.load(Ordering::Relaxed)
        {
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
        if let Some(thread) = thread {
            // The keeper itself may hold the last reference to a database and end it.
            if thread.thread().id() != std::thread::current().id() {
                // A panic in the keeper has poisoned the writer, which tells everybody.
                let _ = thread.join();
            }
        }
        self.shared.cancelled.store(true, Ordering::Relaxed);
        let optimizer = self.shared.optimizer.lock().take();
        if let Some(thread) = optimizer
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic in a rewrite leaves the old file.
            let _ = thread.join();
        }
    }
}

/// After a rewrite in the background failed, the next one waits so long, and twice as long after each
/// further failure, up to an hour.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Begins a rewrite in the background if it would free enough.
fn begin_to_optimize(shared: &Arc<Shared>, core: &Arc<Core>) {
    if !core.config.auto_optimize {
        return;
    }
    let mut optimizer = shared.optimizer.lock();
    let runs = optimizer.as_ref().is_some_and(|thread| !thread.is_finished());
    let not_yet = core.auto_optimize.lock().not_before.is_some_and(|at| Instant::now() < at);
    if runs || not_yet {
        return;
    }
    let is_due = core.with_writer(|side| {
        side.log.check_writable()?;
        let reclaimable = side.reclaimable_bytes();
        let live = side.log.end().offset.saturating_sub(LOG_START).saturating_sub(reclaimable);
        Ok(reclaimable > live.max(core.config.auto_optimize_min_bytes))
    });
    if !matches!(is_due, Ok(true)) {
        return;
    }
    let (shared, core) = (Arc::clone(shared), Arc::clone(core));
    let thread = std::thread::Builder::new().name("synadb-optimize".to_owned());
    // Without a thread it is tried again at the next look.
    *optimizer = thread.spawn(move || optimize(&shared, &core)).ok();
}

fn optimize(shared: &Shared, core: &Core) {
    let mut go_on = |_| match shared.cancelled.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let result = optimize_core(core, &OptimizeOptions::default(), &mut go_on);
    let mut told = core.auto_optimize.lock();
    match result {
        Ok(_) => *told = AutoOptimize { count: told.count + 1, ..AutoOptimize::default() },
        // Somebody else rewrites it, or the database is being closed.
        Err(SynaError::Busy | SynaError::Cancelled | SynaError::Closed) => {}
        Err(error) => {
            let pause = PAUSE_AFTER_FAILURE.saturating_mul(1 << told.failures.min(6));
            told.not_before = Instant::now().checked_add(pause.min(PAUSE_MAX));
            told.failures += 1;
            told.error = Some(error);
        }
    }
}

fn run(shared: &Arc<Shared>, core: &Weak<Core>, interval: Duration) {
    // Half of the age at which a buffer is written out: found at the first look, old at the second.
    let tick = (interval / 2).clamp(Duration::from_millis(1), Core::KEEPER_INTERVAL);
    let mut looked = Instant::now();
    let mut buffered_since: Option<Instant> = None;
    let mut idle = false;
    loop {
        {
            let mut state = shared.state.lock();
            if state.stopped {
                return;
            }
            if !state.woken {
                state = match idle {
                    true => shared.wake.wait(state),
                    false => shared.wake.wait_for(state, tick),
                };
            }
            if state.stopped {
                return;
            }
            state.woken = false;
            shared.asleep.store(false, Ordering::Relaxed);
        }
        let Some(core) = core.upgrade() else { return };
        if crate::fork::count() != core.forks {
            return;
        }
        if shared.sync_is_due.swap(false, Ordering::Relaxed) {
            // A failed sync has poisoned the writer: the next append says so.
            let _ = core.sync();
        }
        let look = looked.elapsed() >= Core::KEEPER_INTERVAL;
        if look {
            looked = Instant::now();
            // Notes it in the core if the file is gone; the next write says so.
            let _ = core.check_attached();
            begin_to_optimize(shared, &core);
        }
        idle = false;
        if let Side::Writer(side) = &mut *core.side.lock() {
            let mut worked = false;
            let writable = side.log.check_writable().is_ok();
            if writable && side.log.has_buffered() {
                worked = true;
                let since = *buffered_since.get_or_insert_with(Instant::now);
                if since.elapsed() + tick >= interval {
                    // What could not be written stays in the buffer; the append that fills it
                    // tells.
                    let _ = side.log.flush();
                    buffered_since = None;
                }
            } else {
                buffered_since = None;
            }
            if writable && look && side.log.slot_is_stale() {
                worked |= side.log.write_slot().is_ok();
            }
            idle = look && !worked;
            shared.asleep.store(idle, Ordering::Relaxed);
        }
    }
}
