//! Noticing that this process is a forked child, at the price of one load.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

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
