//! How much memory a rewrite takes: the same whatever the length of the histories.
//!
//! Alone in its file, because it counts what the whole process allocates.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use synadb::{DbConfig, Durability, RetainPolicy, SynaDB};

/// Counts the bytes that are allocated, and the most there ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(size: usize) {
    let now = NOW.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one only counts")]
// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The most that was allocated beyond what there was before.
fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

#[test]
fn a_rewrite_takes_the_same_memory_whatever_the_length_of_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(1 << 20);
    // Raw, so that what is copied is as large as it can be.
    let config = config.with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(folder.path().join("long.syna"), config).unwrap();
    // One chunk of 192 MB, copied; texts of 180 MB, encoded anew; and points that were sealed.
    let times: Vec<i64> = (0..12_000_000).collect();
    let values: Vec<f64> = times.iter().map(|t| *t as f64).collect();
    db.append_batch("bulk", &times, &values).unwrap();
    let text = "x".repeat(300);
    let texts = vec![text.as_str(); 5000];
    for part in times.chunks(5000).take(120) {
        db.append_batch("texts", part, texts.as_slice()).unwrap();
    }
    for t in 0..200_000 {
        db.append_at("single", t, t).unwrap();
    }
    // Not a whole number of blocks, so that everything behind it has to move.
    db.append_batch("moved", &times[..100], &values[..100]).unwrap();
    for part in times.chunks(100_000).take(30) {
        db.append_batch("moved", part, &values[..part.len()]).unwrap();
    }
    drop((times, values));
    let bound = 160 << 20;
    let (report, peak) = peak_of(|| db.optimize().unwrap());
    assert_eq!(report.points, 12_000_000 + 600_000 + 200_000 + 3_000_100);
    assert!(report.bytes_after > 420_000_000, "{report:?}");
    println!("optimize: {:.1} MiB", peak as f64 / (1 << 20) as f64);
    assert!(peak < bound, "{peak} bytes");
    // The last rows of each, none of them at the beginning of a block.
    let policy = RetainPolicy::new().last("*", 590_001).unwrap();
    let (report, peak) = peak_of(|| db.retain(&policy).unwrap());
    assert_eq!(report.points, 3 * 590_001 + 200_000);
    println!("retain: {:.1} MiB", peak as f64 / (1 << 20) as f64);
    assert!(peak < bound, "{peak} bytes");
    let (history, _) = peak_of(|| db.get_history_rows("bulk", 0..1).unwrap());
    assert_eq!(history.first().unwrap().timestamp, 12_000_000 - 590_001);
    db.verify().unwrap();
}
