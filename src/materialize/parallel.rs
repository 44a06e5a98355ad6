//! Work on many blocks by all processors, where that is faster than by one.

use std::cell::Cell;
use std::sync::LazyLock;

use crate::error::Result;
use crate::mutex::Mutex;

/// Below so many bytes a thread of its own costs more than it saves: starting one takes some 20
/// microseconds, in which a processor decodes or compares about 100 KiB.
const PARALLEL_BYTES_MIN: u64 = 1 << 20;
/// Memory has no more bandwidth for more.
const THREADS_MAX: usize = 8;

static THREADS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX));

thread_local! {
    /// This thread is one of several that share work: what that work calls for is done by it alone,
    /// for the others are as busy.
    static SHARES_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work` for every item, by several threads if `bytes` of work are enough for them. Returns
/// an error of one of the calls, if there was one; then some items may have been left out.
pub(crate) fn each<T: Send>(
    items: Vec<T>,
    bytes: u64,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let alone = bytes < PARALLEL_BYTES_MIN || SHARES_WORK.get();
    let threads = if alone { 1 } else { (*THREADS).min(items.len()) };
    if threads <= 1 {
        return items.into_iter().try_for_each(work);
    }
    let items = Mutex::new(items.into_iter());
    let failed = Mutex::new(None);
    let run = || {
        SHARES_WORK.set(true);
        loop {
            let next = items.lock().next();
            let Some(item) = next else { break };
            if let Err(error) = work(item) {
                // The others find nothing left.
                items.lock().by_ref().for_each(drop);
                failed.lock().get_or_insert(error);
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system has no thread for us, this one does everything.
            let _ = std::thread::Builder::new().name("synadb read".into()).spawn_scoped(scope, run);
        }
        // Set back even if the work panics: this thread is the caller's.
        let _set_back = SetBack;
        run();
    });
    failed.into_inner().map_or(Ok(()), Err)
}

/// Ends the sharing of work when it is dropped.
struct SetBack;

impl Drop for SetBack {
    fn drop(&mut self) {
        SHARES_WORK.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::error::SynaError;

    #[test]
    fn every_item_is_worked_on_once() {
        for bytes in [0, 1 << 30] {
            let sum = AtomicU64::new(0);
            let done = each((1..=1000).collect(), bytes, |item: u64| {
                sum.fetch_add(item, Ordering::Relaxed);
                Ok(())
            });
            done.unwrap();
            assert_eq!(sum.into_inner(), 500_500);
        }
    }

    #[test]
    fn work_within_work_starts_no_more_threads() {
        let threads = Mutex::new(std::collections::HashSet::new());
        let note = |_: u64| {
            threads.lock().insert(std::thread::current().id());
            Ok(())
        };
        each((0..100).collect(), 1 << 30, |_: u64| each((0..10).collect(), 1 << 30, note)).unwrap();
        assert!(threads.into_inner().len() <= *THREADS);
        assert!(!SHARES_WORK.get());
    }

    #[test]
    fn an_error_is_told() {
        for bytes in [0, 1 << 30] {
            let failed = each((0..1000).collect(), bytes, |item: u64| {
                if item == 500 { Err(SynaError::Busy) } else { Ok(()) }
            });
            assert!(matches!(failed, Err(SynaError::Busy)));
        }
    }
}
