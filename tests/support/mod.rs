//! What several integration tests share: a storage that records, fails and crashes, and the
//! states a disk may be in after a power loss.
//!
//! A crash test runs the store on a [`SimulatedStorage`](simulated::SimulatedStorage), pushes a
//! mark whenever something was acknowledged, takes the [`Trace`](trace::Trace), and opens the
//! store again on every [`DiskImage`](disk_image::DiskImage) that
//! [`CrashStates`](crash_states::CrashStates) derives from the trace.

#![allow(dead_code, reason = "each integration test uses a part of this module")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test code may panic, and prints its seeds"
)]

pub mod arrow;
pub mod children;
pub mod content;
pub mod crash_states;
pub mod disk_image;
pub mod fault;
pub mod image;
pub mod other_process;
pub mod rng;
pub mod run;
pub mod simulated;
pub mod trace;
