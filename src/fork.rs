//! Noticing that this process is a forked child, at the price of one load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use arc_swap::{ArcSwap, Guard};

static FORKS: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

#[cfg(unix)]
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Begins to count. Called before the first handle exists, so every handle knows its count.
pub(crate) fn watch() {
    WATCH.call_once(|| {
        #[cfg(unix)]
        #[expect(unsafe_code, reason = "no safe wrapper of pthread_atfork exists")]
        // SAFETY: the handler is a function that lives as long as the process and only adds to an
        // atomic, which is allowed between fork and exec. Failing (no memory) leaves forks
        // uncounted, which is what a system without the call would do.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

/// How many forks lie between the process that started the program and this one.
#[inline]
pub(crate) fn count() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// A value that a forked child begins anew.
///
/// What the parent has is left alone in the child, never looked at nor dropped: a thread that the
/// child does not have may have held a lock in there when it forked.
#[derive(Debug)]
pub struct PerProcess<T> {
    current: ArcSwap<(u64, T)>,
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        // A fork that comes before the first database is opened counts, too.
        watch();
        PerProcess { current: ArcSwap::from_pointee((count(), T::default())) }
    }
}

impl<T: Default> PerProcess<T> {
    /// The value of this process. Costs two loads, and threads that ask share nothing.
    #[inline]
    pub fn get(&self) -> PerProcessRef<T> {
        let current = self.current.load();
        if current.0 == count() { PerProcessRef(current) } else { self.begin_anew() }
    }

    #[cold]
    fn begin_anew(&self) -> PerProcessRef<T> {
        let forks = count();
        let mut current = self.current.load_full();
        while current.0 != forks {
            let new = Arc::new((forks, T::default()));
            let before = self.current.compare_and_swap(&current, new);
            if Arc::ptr_eq(&before, &current) {
                std::mem::forget(Arc::clone(&current));
            }
            drop(before);
            current = self.current.load_full();
        }
        PerProcessRef(Guard::from_inner(current))
    }
}

/// What [`PerProcess::get`] gives.
pub struct PerProcessRef<T>(Guard<Arc<(u64, T)>>);

impl<T> std::ops::Deref for PerProcessRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}
