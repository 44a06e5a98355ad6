//! Locks that forked children may use, too.
//!
//! `parking_lot` keeps the threads that wait, for whichever lock, in one table of the process. A forked child has
//! that table as it was, with threads of the parent in it, whose stacks its own threads take over: whoever
//! waited there followed dangling pointers. So in a child nobody waits in the table, but tries again and again;
//! and what threads wait for long are condition variables of the standard library, which know nothing of who
//! waits.
//!
//! A lock that the parent made is never taken in a child: a thread that the child does not have may hold it.

use std::sync::PoisonError;
use std::time::Duration;

use crate::fork;

pub(crate) use parking_lot::MutexGuard;

/// A lock for moments.
#[derive(Debug, Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// Waits until it is free, and takes it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if fork::count() == 0 { self.0.lock() } else { self.lock_in_child() }
    }

    #[cold]
    fn lock_in_child(&self) -> MutexGuard<'_, T> {
        let mut tries = 0;
        loop {
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
            // Most are held for less than a microsecond, that of the writer for a sync at most.
            if tries < 100 {
                tries += 1;
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Takes it if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }

    /// What it guards.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// What threads wait for, and what they wait about. That one panicked with it means nothing to others.
#[derive(Debug, Default)]
pub(crate) struct Waited<T>(std::sync::Mutex<T>);

pub(crate) type WaitedGuard<'a, T> = std::sync::MutexGuard<'a, T>;

/// Where threads wait.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl<T> Waited<T> {
    pub(crate) const fn new(value: T) -> Self {
        Waited(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> WaitedGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Condvar(std::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: WaitedGuard<'a, T>) -> WaitedGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: WaitedGuard<'a, T>,
        time: Duration,
    ) -> WaitedGuard<'a, T> {
        self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
