//! Which call of a simulated storage fails, and how.

use std::io;

/// The calls that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Open,
    Create,
    Status,
    Resolve,
    Rename,
    Remove,
    SyncFolder,
    List,
    Medium,
    Read,
    Write,
    Len,
    SetLen,
    Allocate,
    SyncData,
    Lock,
    Unlock,
    Permissions,
    SetPermissions,
    Map,
    NextData,
}

impl Operation {
    /// Whether it changes what a disk may hold.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Operation::Create
                | Operation::Rename
                | Operation::Remove
                | Operation::SyncFolder
                | Operation::Write
                | Operation::SetLen
                | Operation::Allocate
                | Operation::SyncData
        )
    }
}

/// Which calls a fault counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Any,
    /// Those for which [`Operation::is_change`] holds.
    Change,
    Only(Operation),
}

impl Target {
    pub fn includes(self, operation: Operation) -> bool {
        match self {
            Target::Any => true,
            Target::Change => operation.is_change(),
            Target::Only(only) => only == operation,
        }
    }
}

impl From<Operation> for Target {
    fn from(operation: Operation) -> Self {
        Target::Only(operation)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Once,
    Forever,
}

/// The error that a failing call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A number of the operating system, such as `libc::EIO`.
    Errno(i32),
    Kind(io::ErrorKind),
}

impl From<i32> for Failure {
    fn from(errno: i32) -> Self {
        Failure::Errno(errno)
    }
}

impl From<io::ErrorKind> for Failure {
    fn from(kind: io::ErrorKind) -> Self {
        Failure::Kind(kind)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Errno(errno) => io::Error::from_raw_os_error(errno),
            Failure::Kind(kind) => kind.into(),
        }
    }
}

/// What becomes of written bytes whose sync failed. On the disk each of their sectors may be old
/// or new in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedPages {
    /// They stay to be written: another sync may make them durable.
    Dirty,
    /// They stay readable and count as written, though they are not: the next sync reports
    /// success. This is what ext4 and XFS do, and what a plain failing sync means here.
    Clean,
    /// They read as they were after the last sync that succeeded; what is new reads as zeros.
    Revert,
    /// They read as zeros.
    Vanish,
}

/// What a fault does to the call it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is done but return an error.
    Fail(Failure),
    /// A read or write moves at most so many bytes. 0 makes a write return 0.
    Short(usize),
    /// A sync fails; any other call fails as by [`Effect::Fail`].
    FailSync(Failure, FailedPages),
    /// This call and all after it fail with [`Crashed`].
    Crash,
}

#[derive(Debug, Clone)]
struct Fault {
    target: Target,
    nth: u64,
    times: Times,
    effect: Effect,
    seen: u64,
}

/// Faults to come. Calls are counted from 1, beginning when the plan is given to the storage.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    faults: Vec<Fault>,
}

impl FaultPlan {
    pub fn new() -> Self {
        FaultPlan::default()
    }

    /// The `nth` call of `target` has this effect, or all calls from that one on.
    #[must_use]
    pub fn with(
        mut self,
        target: impl Into<Target>,
        nth: u64,
        times: Times,
        effect: Effect,
    ) -> Self {
        self.faults.push(Fault { target: target.into(), nth, times, effect, seen: 0 });
        self
    }

    /// The `nth` call of `target` fails.
    #[must_use]
    pub fn fail(
        self,
        target: impl Into<Target>,
        nth: u64,
        times: Times,
        failure: impl Into<Failure>,
    ) -> Self {
        self.with(target, nth, times, Effect::Fail(failure.into()))
    }

    /// The `nth` write takes at most `len` bytes.
    #[must_use]
    pub fn short_write(self, nth: u64, times: Times, len: usize) -> Self {
        self.with(Operation::Write, nth, times, Effect::Short(len))
    }

    /// The `nth` sync of a file fails.
    #[must_use]
    pub fn fail_sync(
        self,
        nth: u64,
        times: Times,
        failure: impl Into<Failure>,
        pages: FailedPages,
    ) -> Self {
        self.with(Operation::SyncData, nth, times, Effect::FailSync(failure.into(), pages))
    }

    /// `count` calls of `target` still happen, the next one is the crash.
    #[must_use]
    pub fn crash_after(self, target: impl Into<Target>, count: u64) -> Self {
        self.with(target, count + 1, Times::Once, Effect::Crash)
    }

    /// Counts a call; the first fault that is due decides.
    pub(super) fn effect(&mut self, operation: Operation) -> Option<Effect> {
        let mut due = None;
        for fault in self.faults.iter_mut().filter(|fault| fault.target.includes(operation)) {
            fault.seen += 1;
            let hit = match fault.times {
                Times::Once => fault.seen == fault.nth,
                Times::Forever => fault.seen >= fault.nth,
            };
            if hit && due.is_none() {
                due = Some(fault.effect);
            }
        }
        due
    }
}

/// The error of every call after a simulated crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

impl std::fmt::Display for Crashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated machine has crashed")
    }
}

impl std::error::Error for Crashed {}

impl Crashed {
    /// Whether an error is this one.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Crashed>())
    }
}
