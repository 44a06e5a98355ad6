//! Several processes on one file, and what outsiders, limits and forks do to one of them.
//!
//! `SYNADB_READERS_SECONDS` says how long readers follow a writer (default 10).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::children::{self, Child, hear, say, var};
use support::fault::{FaultPlan, Operation, Target, Times};
use support::other_process::OtherProcess;
use support::simulated::SimulatedStorage;
use synadb::storage::{Medium, Replace, Storage};
use synadb::{Atom, Create, DbConfig, Durability, Point, SynaDB, SynaError};

#[test]
fn child_main() {
    children::play(&[
        ("hold", hold),
        ("try_open", try_open),
        ("open_loop", open_loop),
        ("create_loop", create_loop),
        ("reader", reader),
        ("forker", forker),
        ("fork_beside_threads", fork_beside_threads),
        ("fork_beside_waiting_threads", fork_beside_waiting_threads),
        ("file_size_limit", file_size_limit),
        ("descriptor_limit", descriptor_limit),
        ("memory_limit", memory_limit),
        ("change_folder", change_folder),
        ("without_standard_input", without_standard_input),
    ]);
}

fn os() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

/// The same without encodings, where so many bytes have to take so much room.
fn os_raw() -> DbConfig {
    os().with_enable_delta(false).with_enable_compression(false)
}

/// A buffer that nothing writes out for a minute.
fn buffered() -> DbConfig {
    let interval_ms = 60_000;
    DbConfig::default().with_durability(Durability::Buffered { size_bytes: 16 << 20, interval_ms })
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.syna");
    (folder, path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ints(db: &SynaDB, key: &str) -> Vec<i64> {
    match db.get_history(key) {
        Ok(points) => points.iter().map(int_of).collect(),
        Err(SynaError::KeyNotFound { .. }) => Vec::new(),
        Err(error) => panic!("{key}: {error}"),
    }
}

fn int_of(point: &Point) -> i64 {
    match point.value {
        Atom::Int(number) => number,
        ref other => panic!("{other:?} is no Int"),
    }
}

/// Whether the writer's lock on the file is free, asked by a descriptor of our own.
fn lock_is_free(path: &Path) -> bool {
    File::open(path).unwrap().try_lock().is_ok()
}

// ---- one writer (rows 45 to 48, 50) ------------------------------------------------------------

fn hold() {
    let db = SynaDB::with_config(var("TEST_PATH"), os()).unwrap();
    db.append("held", 1i64).unwrap();
    say("open");
    hear();
    db.close().unwrap();
}

fn try_open() {
    match SynaDB::new(var("TEST_PATH")) {
        Ok(_) => say("opened"),
        Err(SynaError::Locked { pid, .. }) => say(format_args!("locked {}", pid.unwrap_or(0))),
        Err(error) => say(format_args!("error {error}")),
    }
}

#[test]
fn a_second_writer_process_is_locked_out_at_once() {
    let (_folder, path) = temp();
    let mut holder = Child::spawn("hold", &[("TEST_PATH", text(&path))]);
    holder.wait_for("open");
    let began = Instant::now();
    match SynaDB::new(&path) {
        Err(SynaError::Locked { pid, path: named }) => {
            assert_eq!(pid, Some(holder.id()));
            assert_eq!(named, path);
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    // Readers are not.
    let reader = SynaDB::open_read_only(&path).unwrap();
    assert_eq!(reader.get("held").unwrap(), Some(Atom::Int(1)));
    assert!(matches!(reader.append("held", 2i64), Err(SynaError::ReadOnly)));
    // The header pages at least were durable before the file had its name.
    assert!(reader.durable_offset() >= 12_288);
    assert_eq!(reader.stats().unwrap().durable_offset, reader.durable_offset());
    holder.tell("close");
    holder.finish();
    let db = SynaDB::new(&path).unwrap();
    db.append("held", 2i64).unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.get("held").unwrap(), Some(Atom::Int(2)));
}

#[test]
fn a_killed_writer_leaves_no_lock() {
    let (_folder, path) = temp();
    for _ in 0..10 {
        let mut holder = Child::spawn("hold", &[("TEST_PATH", text(&path))]);
        holder.wait_for("open");
        holder.kill();
        holder.wait();
        SynaDB::new(&path).unwrap().close().unwrap();
    }
    let db = SynaDB::open_read_only(&path).unwrap();
    assert_eq!(ints(&db, "held"), [1; 10]);
}

#[test]
fn a_second_open_in_one_process_is_the_same_database() {
    let (_folder, path) = temp();
    let first = SynaDB::with_config(&path, buffered()).unwrap();
    let second = SynaDB::with_config(&path, buffered()).unwrap();
    let reader = SynaDB::open_read_only(&path).unwrap();
    first.append("key", 7i64).unwrap();
    // It is in a buffer of this process only.
    assert_eq!(second.get("key").unwrap(), Some(Atom::Int(7)));
    assert_eq!(reader.get("key").unwrap(), Some(Atom::Int(7)));
    assert!(reader.is_read_only());
    assert!(matches!(reader.append("key", 8i64), Err(SynaError::ReadOnly)));
    match SynaDB::with_config(&path, os()) {
        Err(SynaError::OptionsConflict { option, .. }) => assert_eq!(option, "durability"),
        other => panic!("{other:?}"),
    }
    match SynaDB::with_config(&path, buffered().with_create(Create::New)) {
        Err(SynaError::AlreadyExists { .. }) => {}
        other => panic!("{other:?}"),
    }
    let clone = first.clone();
    first.close().unwrap();
    assert!(matches!(clone.get("key"), Err(SynaError::Closed)));
    assert!(matches!(clone.close(), Err(SynaError::Closed)));
    second.append("key", 8i64).unwrap();
    second.close().unwrap();
    assert!(!lock_is_free(&path), "the read-only handle still holds it open");
    assert_eq!(reader.get("key").unwrap(), Some(Atom::Int(8)));
    drop(reader);
    assert!(lock_is_free(&path));
    let again = SynaDB::with_config(&path, os()).unwrap();
    assert_eq!(ints(&again, "key"), [7, 8]);
}

#[test]
fn closing_another_descriptor_of_the_file_keeps_the_lock() {
    let (_folder, path) = temp();
    let db = SynaDB::new(&path).unwrap();
    drop(File::open(&path).unwrap());
    drop(SynaDB::open_read_only(&path).unwrap());
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
    let child = Child::spawn("try_open", &[("TEST_PATH", text(&path))]);
    assert_eq!(child.finish(), [format!("locked {}", std::process::id())]);
    db.append("key", 1i64).unwrap();
}

/// Opens as often as it can; whenever it may write, it takes the next number.
fn open_loop() {
    let path = var("TEST_PATH");
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    std::thread::spawn(move || {
        hear();
        stopper.store(true, Ordering::Relaxed);
    });
    say("open");
    let (mut opened, mut locked) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        match SynaDB::with_config(&path, os()) {
            Ok(db) => {
                opened += 1;
                take_number(&db);
                db.close().unwrap();
            }
            Err(SynaError::Locked { .. }) => locked += 1,
            Err(error) => say(format_args!("FAILED {error}")),
        }
    }
    say(format_args!("opened {opened} locked {locked}"));
}

fn take_number(db: &SynaDB) {
    let next = match db.get("number").unwrap() {
        Some(Atom::Int(number)) => number + 1,
        _ => 0,
    };
    db.append("number", next).unwrap();
    db.append("count", 1i64).unwrap();
}

#[test]
fn a_rewrite_never_lets_a_second_writer_in() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    take_number(&db);
    let mut child = Child::spawn("open_loop", &[("TEST_PATH", text(&path))]);
    child.wait_for("open");
    let until = Instant::now() + Duration::from_secs(2);
    let mut compactions = 0;
    while Instant::now() < until {
        take_number(&db);
        db.compact().unwrap();
        compactions += 1;
    }
    child.tell("stop");
    let lines = child.finish();
    assert!(lines[0].starts_with("opened 0 locked "), "{lines:?} in {compactions} compactions");
    let last = db.get("number").unwrap();
    assert_eq!(last, Some(Atom::Int(compactions)));
}

/// Two processes that open, rewrite and close in turns: no number is lost or taken twice.
#[test]
fn writers_that_come_and_go_never_overlap() {
    let (_folder, path) = temp();
    let mut child = Child::spawn("open_loop", &[("TEST_PATH", text(&path))]);
    child.wait_for("open");
    let until = Instant::now() + Duration::from_secs(3);
    let mut mine = 0;
    while Instant::now() < until {
        match SynaDB::with_config(&path, os()) {
            Ok(db) => {
                take_number(&db);
                db.compact().unwrap();
                take_number(&db);
                mine += 2;
                db.close().unwrap();
            }
            Err(SynaError::Locked { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    child.tell("stop");
    let line = child.finish().pop().unwrap();
    let theirs: i64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    let db = SynaDB::open_read_only(&path).unwrap();
    println!("numbers taken: {mine} here, {theirs} there");
    assert_eq!(db.get("number").unwrap(), Some(Atom::Int(mine + theirs - 1)));
    let numbers = ints(&db, "number");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    db.verify().unwrap();
}

/// A database with one value, on a simulated disk under another name.
fn other_file(storage: &SimulatedStorage, name: &str, value: i64) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(storage, name, os()).unwrap();
    db.append("key", value).unwrap();
    db.close().unwrap();
}

/// The file is replaced between the look at the path, the opening, the lock, and the look after
/// that: a lock won on a file that is no longer there is worth nothing.
#[test]
fn a_file_replaced_while_it_is_opened_is_not_written() {
    let before_and_after = |operation: Operation| {
        let storage = SimulatedStorage::new();
        other_file(&storage, "/a", 1);
        let before = storage.calls(operation);
        let all: Arc<dyn Storage> = Arc::new(storage.clone());
        SynaDB::with_storage(all, "/a", os()).unwrap().close().unwrap();
        storage.calls(operation) - before
    };
    for operation in [Operation::Lock, Operation::Open, Operation::Status, Operation::Read] {
        let calls =
            if operation == Operation::Lock { 1 } else { before_and_after(operation).min(6) };
        for nth in 1..=calls {
            let storage = SimulatedStorage::new();
            other_file(&storage, "/a", 1);
            other_file(&storage, "/b", 2);
            storage.hook(operation, nth, |storage| {
                storage.rename("/b".as_ref(), "/a".as_ref(), Replace::Yes).unwrap();
            });
            let all: Arc<dyn Storage> = Arc::new(storage.clone());
            let db = SynaDB::with_storage(Arc::clone(&all), "/a", os()).unwrap();
            if storage.status("/b".as_ref()).is_ok() {
                // The hook's call comes only later than the opening.
                continue;
            }
            let found = db.get("key").unwrap();
            if found == Some(Atom::Int(1)) {
                // It was opened before: then the first thing that looks must notice.
                assert!(operation != Operation::Lock, "the lock was won on a file that is gone");
                assert!(
                    matches!(db.sync(), Err(SynaError::Detached { .. })),
                    "{operation:?} {nth}"
                );
                continue;
            }
            db.append("key", 3i64).unwrap();
            db.close().unwrap();
            let db = SynaDB::read_only_with_storage(all, "/a", os()).unwrap();
            assert_eq!(ints(&db, "key"), [2, 3], "{operation:?} {nth}");
        }
    }
}

/// An outsider replaces the file while it is rewritten: his file is left alone.
#[test]
fn a_rewrite_does_not_replace_a_file_of_somebody_else() {
    let storage = SimulatedStorage::new();
    other_file(&storage, "/a", 1);
    other_file(&storage, "/b", 2);
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(Arc::clone(&all), "/a", os()).unwrap();
    storage.hook(Operation::SyncData, 2, |storage| {
        storage.rename("/b".as_ref(), "/a".as_ref(), Replace::Yes).unwrap();
    });
    assert!(matches!(db.compact(), Err(SynaError::Detached { .. })));
    assert!(matches!(db.append("key", 9i64), Err(SynaError::Detached { .. })));
    assert!(db.close().is_err());
    let db = SynaDB::with_storage(all, "/a", os()).unwrap();
    assert_eq!(ints(&db, "key"), [2]);
}

/// The folder that holds a new name is synced before anything is acknowledged under it.
#[test]
fn the_folder_is_synced_after_create_and_rewrite() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(all, "/a", os()).unwrap();
    assert_eq!(storage.calls(Operation::SyncFolder), 1);
    let renamed = Arc::new(AtomicBool::new(false));
    let synced_after = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&renamed);
    storage.hook(Operation::Rename, 1, move |_| flag.store(true, Ordering::SeqCst));
    for nth in 1..=2 {
        let (renamed, synced) = (Arc::clone(&renamed), Arc::clone(&synced_after));
        storage.hook(Operation::SyncFolder, nth, move |_| {
            synced.fetch_or(renamed.load(Ordering::SeqCst), Ordering::SeqCst);
        });
    }
    db.compact().unwrap();
    assert!(renamed.load(Ordering::SeqCst) && synced_after.load(Ordering::SeqCst));
}

// ---- fork (row 49) -----------------------------------------------------------------------------

/// 0 in the child, which goes on with [`as_child`].
#[expect(unsafe_code, reason = "no safe wrapper of fork exists")]
fn fork() -> libc::pid_t {
    // SAFETY: the child runs code that is meant to survive a fork, which is what is tested, and
    // leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    pid
}

#[expect(unsafe_code, reason = "std has no exit that runs nothing")]
fn as_child(act: impl FnOnce()) -> ! {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    // SAFETY: ends the process, whatever state it is in.
    unsafe { libc::_exit(i32::from(caught.is_err())) }
}

#[expect(unsafe_code, reason = "the child was not started by std")]
fn exit_code(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is ours, and `pid` a child that nobody else waits for.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid);
    assert!(libc::WIFEXITED(status), "a child ended with status {status:#x}");
    libc::WEXITSTATUS(status)
}

/// Kills the process if it hangs.
#[expect(unsafe_code, reason = "no safe wrapper of alarm exists")]
fn limit_seconds(seconds: u32) {
    // SAFETY: the default action of the signal ends the process.
    unsafe { libc::alarm(seconds) };
}

fn is_forked<T: std::fmt::Debug>(result: synadb::Result<T>) {
    assert!(matches!(result, Err(SynaError::ForkedHandle)), "{result:?}");
}

fn forker() {
    let (path, other) = (PathBuf::from(var("TEST_PATH")), PathBuf::from(var("TEST_OTHER")));
    let db = SynaDB::with_config(&path, buffered()).unwrap();
    db.append("key", 1i64).unwrap();
    db.flush().unwrap();
    db.append("key", 2i64).unwrap();
    synadb::open_db(&other).unwrap();
    let series = db.series("key").unwrap();
    let snapshot = db.snapshot().unwrap();
    let before = fs::read(&path).unwrap();
    let (used, done) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let pid = fork();
    if pid == 0 {
        as_child(move || {
            limit_seconds(30);
            is_forked(db.get("key"));
            is_forked(db.append("key", 3i64));
            is_forked(db.get_history("key"));
            is_forked(db.flush());
            is_forked(db.sync());
            is_forked(db.checkpoint());
            is_forked(db.compact());
            is_forked(db.refresh());
            is_forked(db.stats());
            is_forked(db.wait_durable(1));
            is_forked(series.get());
            is_forked(snapshot.get("key"));
            is_forked(db.clone().close());
            drop((series, snapshot, db));
            // The parent's file from the outside.
            match SynaDB::with_config(&path, buffered()) {
                Err(SynaError::Locked { pid, .. }) => {
                    assert_eq!(pid, Some(std::os::unix::process::parent_id()));
                }
                other => panic!("{other:?}"),
            }
            let reader = SynaDB::open_read_only(&path).unwrap();
            assert_eq!(ints(&reader, "key"), [1]);
            // The registry is empty here, and works.
            assert!(matches!(
                synadb::with_db(&other, |db| db.get("key")),
                Err(SynaError::NotOpen { .. })
            ));
            assert!(matches!(synadb::open_db(&other), Err(SynaError::Locked { .. })));
            let mine = path.with_extension("child");
            synadb::open_db(&mine).unwrap();
            synadb::with_db(&mine, |db| db.append("key", 1i64)).unwrap();
            synadb::close_db(&mine).unwrap();
            let mine = SynaDB::with_config(&mine, os()).unwrap();
            assert_eq!(ints(&mine, "key"), [1]);
            drop(used.1);
            drop(used.0);
            // Lives on until the parent says so.
            drop(done.1);
            std::io::copy(&mut &done.0, &mut std::io::sink()).unwrap();
        })
    }
    drop(used.1);
    std::io::copy(&mut &used.0, &mut std::io::sink()).unwrap();
    assert!(!lock_is_free(&path), "the child released the parent's lock");
    assert_eq!(fs::read(&path).unwrap(), before, "the child wrote for the parent");
    assert_eq!(ints(&db, "key"), [1, 2]);
    db.append("key", 3i64).unwrap();
    drop((series, snapshot));
    db.close().unwrap();
    assert!(lock_is_free(&path), "the child keeps the parent's lock");
    let again = SynaDB::with_config(&path, os()).unwrap();
    drop(done.1);
    assert_eq!(exit_code(pid), 0);
    assert!(!lock_is_free(&path));
    assert_eq!(ints(&again, "key"), [1, 2, 3]);
    synadb::close_db(&other).unwrap();
    // Forked while the parent rewrites: the child's return leaves the new file alone.
    let mut pids = Vec::new();
    again
        .compact_with(&mut |_| {
            if pids.is_empty() {
                let pid = fork();
                if pid == 0 {
                    as_child(|| is_forked(again.append("key", 4i64)));
                }
                pids.push(pid);
                assert_eq!(exit_code(pids[0]), 0);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(ints(&again, "key"), [3]);
    // And a child that ends as programs do, with what the parent opened in its memory.
    let pid = fork();
    if pid == 0 {
        as_child(move || {
            drop(again);
            std::process::exit(0);
        })
    }
    assert_eq!(exit_code(pid), 0);
    assert!(!lock_is_free(&path));
    again.append("key", 5i64).unwrap();
    again.close().unwrap();
    say("done");
}

#[test]
fn a_forked_child_neither_uses_nor_unlocks_what_the_parent_has_open() {
    let (folder, path) = temp();
    let other = folder.path().join("other.syna");
    let child = Child::spawn("forker", &[("TEST_PATH", text(&path)), ("TEST_OTHER", text(&other))]);
    assert_eq!(child.finish(), ["done"]);
    assert_eq!(ints(&SynaDB::new(&path).unwrap(), "key"), [3, 5]);
}

/// The table of open databases was locked by whichever thread opened one when the process forked;
/// the child's first open waited for that thread, which it does not have.
fn fork_beside_threads() {
    let folder = PathBuf::from(var("TEST_PATH"));
    let stop = AtomicBool::new(false);
    let folder = &folder;
    std::thread::scope(|scope| {
        let stop = &stop;
        let path = folder.join("parent.syna");
        let first = SynaDB::with_config(&path, os()).unwrap();
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                drop(SynaDB::with_config(&path, os()).unwrap());
            }
        });
        for round in 0..100 {
            let pid = fork();
            if pid == 0 {
                as_child(|| {
                    limit_seconds(20);
                    let own = folder.join(format!("child{round}.syna"));
                    let db = SynaDB::with_config(own, os()).unwrap();
                    db.append("key", 1i64).unwrap();
                    is_forked(first.get("key"));
                })
            }
            assert_eq!(exit_code(pid), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    say("done");
}

#[test]
fn a_child_forked_beside_a_thread_that_opens_can_open() {
    let folder = tempfile::tempdir().unwrap();
    let child = Child::spawn("fork_beside_threads", &[("TEST_PATH", text(folder.path()))]);
    assert_eq!(child.finish(), ["done"]);
}

/// Threads that waited when the process forked stood in a table of the lock library, with places on stacks that
/// threads of the child took over: those that waited in the child followed dangling pointers.
fn fork_beside_waiting_threads() {
    let folder = PathBuf::from(var("TEST_PATH"));
    let parents: Vec<SynaDB> = (0..40)
        .map(|number| {
            let path = folder.join(format!("parent{number}.syna"));
            let db = SynaDB::with_config(path, os()).unwrap();
            db.append("key", 1i64).unwrap();
            db
        })
        .collect();
    for round in 0..30 {
        let pid = fork();
        if pid == 0 {
            as_child(|| {
                limit_seconds(60);
                for number in 0..4 {
                    let own = folder.join(format!("child{round}-{number}.syna"));
                    let db = SynaDB::with_config(&own, DbConfig::default()).unwrap();
                    std::thread::scope(|scope| {
                        for thread in 0..4i64 {
                            let db = &db;
                            scope.spawn(move || {
                                for i in 0..5i64 {
                                    db.append("key", thread * 5 + i).unwrap();
                                }
                            });
                        }
                    });
                    std::thread::sleep(Duration::from_millis(3));
                    assert_eq!(db.len("key").unwrap(), 20);
                    db.close().unwrap();
                }
                parents.iter().for_each(|db| is_forked(db.get("key")));
            })
        }
        assert_eq!(exit_code(pid), 0, "round {round}");
    }
    say("done");
}

#[test]
fn threads_of_a_child_wait_although_threads_of_the_parent_did() {
    let folder = tempfile::tempdir().unwrap();
    let child = Child::spawn("fork_beside_waiting_threads", &[("TEST_PATH", text(folder.path()))]);
    assert_eq!(child.finish(), ["done"]);
}

// ---- readers (rows 51, 52) ---------------------------------------------------------------------

/// Checks every snapshot it can get hold of.
fn reader() {
    let path = var("TEST_PATH");
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    std::thread::spawn(move || {
        hear();
        stopper.store(true, Ordering::Relaxed);
    });
    let db = SynaDB::open_read_only(&path).unwrap();
    say("open");
    let (mut last, mut snapshots, mut moved, mut generations) = (-1, 0u64, 0u64, 0u64);
    let mut kept = Vec::new();
    let mut generation = 0;
    while !stop.load(Ordering::Relaxed) {
        moved += u64::from(db.refresh().unwrap());
        let snapshot = db.snapshot().unwrap();
        let seen = check_snapshot(&snapshot);
        assert!(seen >= last, "{seen} was seen after {last}");
        last = seen;
        snapshots += 1;
        let now = db.stats().unwrap().generation;
        generations += u64::from(now != generation);
        generation = now;
        if snapshots % 50 == 1 {
            kept.push((seen, snapshot));
            if kept.len() > 8 {
                let (seen, snapshot) = kept.remove(3);
                assert_eq!(check_snapshot(&snapshot), seen, "a snapshot changed");
            }
        }
    }
    for (seen, snapshot) in kept {
        assert_eq!(check_snapshot(&snapshot), seen, "a snapshot changed");
    }
    db.verify().unwrap();
    assert!(snapshots > 10 && moved > 5, "{snapshots} snapshots, moved {moved} times");
    say(format_args!("ok {last}: {snapshots} snapshots, {moved} moves, {generations} files"));
}

/// Appends one round as the readers expect it.
fn write_round(db: &SynaDB, number: i64) {
    db.append_at("before", number, number).unwrap();
    let mut batch = db.batch();
    batch.append_at("a", number, number).unwrap();
    batch.append_at("text", number, format!("{number}")).unwrap();
    for i in 0..40 {
        batch.append_at("chunk", i, number).unwrap();
    }
    if number % 10 == 0 {
        batch.delete("deleted").unwrap();
    }
    batch.append_at("deleted", number, number).unwrap();
    batch.append_at("b", number, number).unwrap();
    batch.commit().unwrap();
    if number % 50 == 0 {
        db.append_at("large", number, vec![b'x'; 70_000]).unwrap();
    }
}

/// The number of the last batch; everything else must fit to it.
fn check_snapshot(snapshot: &synadb::Snapshot) -> i64 {
    let last = |key: &str| match snapshot.get(key).unwrap() {
        Some(Atom::Int(number)) => number,
        Some(Atom::Text(text)) => text.parse().unwrap(),
        None => -1,
        other => panic!("{key}: {other:?}"),
    };
    let number = last("a");
    assert_eq!([last("b"), last("text"), last("chunk"), last("deleted")], [number; 4]);
    let before = last("before");
    assert!(before == number || before == number + 1, "{before} before {number}");
    if number < 0 {
        return number;
    }
    let history = snapshot.get_history("a").unwrap();
    assert!(history.windows(2).all(|pair| int_of(&pair[1]) == int_of(&pair[0]) + 1));
    assert!(history.iter().all(|point| point.timestamp == int_of(point)));
    assert_eq!(history.last().map(int_of), Some(number));
    let chunk = snapshot.get_history("chunk").unwrap();
    let same = chunk.iter().rev().take_while(|point| int_of(point) == number).count();
    assert!(same == 40 || chunk.len() == 1, "{same} points of a batch of 40");
    let deleted = snapshot.get_history("deleted").unwrap();
    assert!(deleted.iter().all(|point| int_of(point) >= number / 10 * 10));
    number
}

fn readers_seconds() -> u64 {
    std::env::var("SYNADB_READERS_SECONDS").map_or(10, |value| value.parse().unwrap())
}

#[test]
fn readers_see_prefixes_that_never_go_back_while_the_file_is_rewritten() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os().with_tail_budget_bytes(64 << 10)).unwrap();
    let mut readers: Vec<Child> =
        (0..3).map(|_| Child::spawn("reader", &[("TEST_PATH", text(&path))])).collect();
    readers.iter().for_each(|reader| reader.wait_for("open"));
    let until = Instant::now() + Duration::from_secs(readers_seconds());
    let (mut number, mut compactions) = (0, 0);
    while Instant::now() < until {
        write_round(&db, number);
        number += 1;
        if number % 1000 == 0 {
            if compactions % 2 == 0 {
                // More comes in while it is rewritten.
                std::thread::scope(|scope| {
                    let handle = scope.spawn(|| db.compact().unwrap());
                    while !handle.is_finished() {
                        write_round(&db, number);
                        number += 1;
                    }
                });
            } else {
                db.compact().unwrap();
            }
            compactions += 1;
        }
    }
    for mut reader in readers.drain(..) {
        reader.tell("stop");
        let line = reader.finish().pop().unwrap();
        println!("{line} (of {number} rounds, {compactions} compactions)");
        assert!(line.starts_with("ok "), "{line}");
    }
}

/// A writer's short life on a full disk, and with a reader process that looks at every step.
fn life_beside_a_reader(storage: &SimulatedStorage, space: Option<u64>) {
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(all, "/a", os_raw()).unwrap();
    for round in 0..6 {
        write_round(&db, round);
        if let Some(space) = space.filter(|_| round % 2 == 1) {
            // A batch with a value longer than any read-ahead that is cut in the middle.
            let used: u64 = storage.image().files().map(|(_, content)| content.len()).sum();
            storage.set_space_limit(Some(used + space));
            let mut batch = db.batch();
            batch.append("a", -7i64).unwrap();
            batch.append("large", vec![b'y'; 2 << 20]).unwrap();
            for i in 0..60_000 {
                batch.append_at("chunk", i, -7i64).unwrap();
            }
            assert!(batch.commit().is_err());
            storage.set_space_limit(None);
        } else if round == 4 {
            db.compact().unwrap();
        }
    }
    db.close().unwrap();
}

#[test]
fn a_reader_that_looks_at_any_step_of_a_writer_sees_a_prefix() {
    for space in [None, Some(300_000), Some(1_600_000), Some(2_250_000)] {
        let storage = SimulatedStorage::new();
        life_beside_a_reader(&storage, space);
        let calls = storage.calls(Target::Change);
        // One reader that stays, refreshed before every change, and a new one each time.
        let storage = SimulatedStorage::new();
        let elsewhere = OtherProcess::of(storage.clone());
        let stays = Arc::new(parking_lot::Mutex::new((None::<SynaDB>, -1)));
        for nth in 1..=calls {
            let (elsewhere, stays) = (Arc::clone(&elsewhere), Arc::clone(&stays));
            storage.hook(Target::Change, nth, move |_| {
                let config = os().with_refresh_interval_ms(u64::MAX);
                let open = || {
                    let storage = Arc::clone(&elsewhere);
                    SynaDB::read_only_with_storage(storage, "/a", config.clone())
                };
                let (db, last) = &mut *stays.lock();
                if db.is_none() {
                    match open() {
                        Ok(opened) => *db = Some(opened),
                        Err(SynaError::NotFound { .. }) => return,
                        Err(error) => panic!("change {nth}: {error}"),
                    }
                }
                let db = db.as_ref().unwrap();
                db.refresh().unwrap_or_else(|error| panic!("change {nth}: {error}"));
                let seen = check_snapshot(&db.snapshot().unwrap());
                assert!(seen >= *last, "change {nth}: {seen} after {last}");
                *last = seen;
                let fresh = open().unwrap_or_else(|error| panic!("change {nth}: {error}"));
                assert_eq!(check_snapshot(&fresh.snapshot().unwrap()), seen, "change {nth}");
            });
        }
        life_beside_a_reader(&storage, space);
        assert!(stays.lock().1 >= 4, "the reader saw nothing");
    }
}

/// The writer cuts a batch that did not fit while a reader is in the middle of reading it: between
/// any two reads. Mapped bytes beyond the end of the file would panic in the simulation.
#[test]
fn a_reader_in_the_middle_of_a_batch_that_is_cut_finds_no_damage() {
    for nth in 1..=40 {
        let storage = SimulatedStorage::new();
        let all: Arc<dyn Storage> = Arc::new(storage.clone());
        let db = SynaDB::with_storage(all, "/a", os_raw()).unwrap();
        write_round(&db, 0);
        let elsewhere = OtherProcess::of(storage.clone());
        let config = os().with_refresh_interval_ms(u64::MAX);
        let reader = SynaDB::read_only_with_storage(elsewhere, "/a", config).unwrap();
        let used: u64 = storage.image().files().map(|(_, content)| content.len()).sum();
        storage.set_space_limit(Some(used + 2_250_000));
        let waiting = Arc::new(parking_lot::Mutex::new(Some(reader)));
        let reading = Arc::clone(&waiting);
        let writer = db.clone();
        // The write has stopped in the middle; the cut is about to be made.
        storage.hook(Operation::SetLen, 1, move |storage| {
            let reader = reading.lock().take().unwrap();
            let file = storage.clone();
            storage.hook(Operation::Read, nth, move |_| {
                // What the writer is about to do, done a little earlier: cut, and write anew.
                let handle = file.open("/a".as_ref(), synadb::storage::OpenMode::ReadWrite);
                handle.unwrap().set_len(used - used % 4096).unwrap();
            });
            reader.refresh().unwrap();
            check_snapshot(&reader.snapshot().unwrap());
        });
        let mut batch = writer.batch();
        batch.append("a", -7i64).unwrap();
        batch.append("large", vec![b'y'; 2 << 20]).unwrap();
        for i in 0..60_000 {
            batch.append_at("chunk", i, -7i64).unwrap();
        }
        assert!(batch.commit().is_err());
        assert!(waiting.lock().is_none(), "the reader did not look");
    }
}

#[test]
fn a_reader_goes_on_after_a_failure_that_passes() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(all, "/a", os()).unwrap();
    write_round(&db, 0);
    let elsewhere = OtherProcess::of(storage.clone());
    let config = os().with_refresh_interval_ms(u64::MAX);
    for nth in 1..30 {
        let reader =
            SynaDB::read_only_with_storage(Arc::clone(&elsewhere), "/a", config.clone()).unwrap();
        let before = check_snapshot(&reader.snapshot().unwrap());
        write_round(&db, before + 1);
        if nth % 7 == 0 {
            db.compact().unwrap();
        }
        storage.set_plan(FaultPlan::new().fail(Target::Any, nth, Times::Once, libc::EIO));
        let first = reader.refresh();
        storage.set_plan(FaultPlan::new());
        if first.is_err() {
            // It may have moved before the failure, and moved whole.
            let seen = check_snapshot(&reader.snapshot().unwrap());
            assert!(seen == before || seen == before + 1);
            reader.refresh().unwrap();
        }
        assert_eq!(check_snapshot(&reader.snapshot().unwrap()), before + 1, "call {nth}");
    }
}

fn create_loop() {
    let folder = PathBuf::from(var("TEST_PATH"));
    for number in 0..200 {
        let db = SynaDB::with_config(folder.join(format!("{number}.syna")), os()).unwrap();
        db.append("key", 1i64).unwrap();
    }
    say("done");
}

#[test]
fn a_reader_beside_a_create_finds_nothing_or_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let child = Child::spawn("create_loop", &[("TEST_PATH", text(folder.path()))]);
    let mut looks = 0u64;
    for number in 0..200 {
        let path = folder.path().join(format!("{number}.syna"));
        loop {
            match SynaDB::open_read_only(&path) {
                Ok(db) => {
                    db.verify().unwrap();
                    break;
                }
                Err(SynaError::NotFound { .. }) => looks += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("{looks} looks found nothing yet");
    child.finish();
}

// ---- one database does not wait for another (row 56) -------------------------------------------

#[test]
fn a_slow_database_blocks_no_other() {
    for slow_call in [Operation::SyncData, Operation::Read, Operation::SyncFolder] {
        let slow = SimulatedStorage::new();
        let (stuck, is_stuck) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        slow.hook(slow_call, 1, move |_| {
            stuck.send(()).unwrap();
            // Until the end of the test.
            let _ = released.recv();
        });
        let thread = std::thread::spawn(move || {
            let storage: Arc<dyn Storage> = Arc::new(slow);
            let db = SynaDB::with_storage(storage, "/slow", DbConfig::default()).unwrap();
            db.append("key", 1i64).unwrap();
            db.close().unwrap();
        });
        is_stuck.recv_timeout(children::PATIENCE).unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let others = std::thread::spawn(move || {
            let (_folder, path) = temp();
            synadb::open_db(&path).unwrap();
            synadb::with_db(&path, |db| db.append("key", 1i64)).unwrap();
            let db = SynaDB::new(&path).unwrap();
            db.compact().unwrap();
            assert_eq!(db.get("key").unwrap(), Some(Atom::Int(1)));
            db.close().unwrap();
            synadb::close_db(&path).unwrap();
            done.send(()).unwrap();
        });
        let in_time = is_done.recv_timeout(Duration::from_secs(20));
        drop(release);
        others.join().unwrap();
        thread.join().unwrap();
        assert!(in_time.is_ok(), "waited for a {slow_call:?} of another database");
    }
}

// ---- names (rows 73, 74) -----------------------------------------------------------------------

#[test]
fn all_names_of_a_file_reach_one_database() {
    let (folder, path) = temp();
    let db = SynaDB::with_config(&path, buffered()).unwrap();
    let link = folder.path().join("link.syna");
    symlink("shared.syna", &link).unwrap();
    let hard = folder.path().join("hard.syna");
    fs::hard_link(&path, &hard).unwrap();
    let dotted = folder.path().join("./x/../shared.syna");
    fs::create_dir(folder.path().join("x")).unwrap();
    for (number, name) in (0i64..).zip([&link, &hard, &dotted, &folder.path().join("./link.syna")])
    {
        let same = SynaDB::with_config(name, buffered()).unwrap();
        same.append("key", number).unwrap();
        // In the buffer of one writer.
        assert_eq!(db.get("key").unwrap(), Some(Atom::Int(number)), "{}", name.display());
    }
    match db.compact() {
        Err(SynaError::HardLinked { links: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    db.close().unwrap();
    // The classic calls, by path.
    synadb::open_db(&link).unwrap();
    for name in [&path, &hard, &dotted, &link] {
        let len = synadb::with_db(name, |db| db.len("key")).unwrap();
        assert_eq!(len, 4, "{}", name.display());
    }
    synadb::open_db(&hard).unwrap();
    synadb::close_db(&path).unwrap();
    assert!(synadb::with_db(&link, |db| db.len("key")).is_ok());
    synadb::close_db(&dotted).unwrap();
    assert!(matches!(synadb::with_db(&link, |db| db.len("key")), Err(SynaError::NotOpen { .. })));
    assert!(matches!(synadb::close_db(&path), Err(SynaError::NotOpen { .. })));
    assert!(lock_is_free(&path));
}

#[test]
fn a_link_that_is_retargeted_leads_elsewhere_only_for_new_opens() {
    let (folder, path) = temp();
    let other = folder.path().join("other.syna");
    let link = folder.path().join("link.syna");
    // Dangling: the file it points to is created.
    symlink("shared.syna", &link).unwrap();
    let first = SynaDB::with_config(&link, os()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(path.exists());
    first.append("key", 1i64).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other.syna", &link).unwrap();
    first.append("key", 2i64).unwrap();
    first.sync().unwrap();
    first.compact().unwrap();
    first.append("key", 3i64).unwrap();
    let second = SynaDB::with_config(&link, os()).unwrap();
    assert_eq!(second.get("key").unwrap(), None);
    second.append("key", 9i64).unwrap();
    first.close().unwrap();
    second.close().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(ints(&SynaDB::open_read_only(&path).unwrap(), "key"), [2, 3]);
    assert_eq!(ints(&SynaDB::open_read_only(&other).unwrap(), "key"), [9]);
    let slash = folder.path().join("new.syna/");
    assert!(matches!(SynaDB::new(&slash), Err(SynaError::IsDirectory { .. })));
}

fn change_folder() {
    let folder = PathBuf::from(var("TEST_PATH"));
    fs::create_dir(folder.join("elsewhere")).unwrap();
    std::env::set_current_dir(&folder).unwrap();
    synadb::open_db("relative.syna").unwrap();
    let db = SynaDB::with_config("own.syna", os()).unwrap();
    db.append("key", 1i64).unwrap();
    let rewritten = SynaDB::with_config("read.syna", os()).unwrap();
    rewritten.append("key", 1i64).unwrap();
    rewritten.close().unwrap();
    // A reader of its own, whose file is rewritten.
    synadb::open_db_read_only("read.syna").unwrap();
    let rewritten = SynaDB::with_config("read.syna", os()).unwrap();
    rewritten.compact().unwrap();
    rewritten.close().unwrap();
    std::env::set_current_dir(folder.join("elsewhere")).unwrap();
    synadb::open_db_read_only("read.syna").unwrap();
    assert_eq!(synadb::with_db("read.syna", |db| db.len("key")).unwrap(), 1);
    synadb::close_db("read.syna").unwrap();
    synadb::close_db("read.syna").unwrap();
    assert!(synadb::close_db("read.syna").is_err());
    // The text is bound until it is closed.
    synadb::with_db("relative.syna", |db| db.append("key", 1i64)).unwrap();
    synadb::with_db("../relative.syna", |db| db.append("key", 2i64)).unwrap();
    // Another open of it is counted there, and makes no file here.
    synadb::open_db("relative.syna").unwrap();
    synadb::open_db_read_only("relative.syna").unwrap();
    synadb::with_db("relative.syna", |db| db.append("key", 3i64)).unwrap();
    synadb::close_db("relative.syna").unwrap();
    synadb::close_db("relative.syna").unwrap();
    assert!(!Path::new("relative.syna").exists());
    db.append("key", 2i64).unwrap();
    db.sync().unwrap();
    db.compact().unwrap();
    let same = SynaDB::with_config("../own.syna", os()).unwrap();
    same.append("key", 3i64).unwrap();
    assert_eq!(db.path(), Path::new("own.syna"));
    db.close().unwrap();
    same.close().unwrap();
    synadb::close_db("relative.syna").unwrap();
    say("done");
}

#[test]
fn a_relative_path_stays_bound_when_the_working_folder_changes() {
    let folder = tempfile::tempdir().unwrap();
    let child = Child::spawn("change_folder", &[("TEST_PATH", text(folder.path()))]);
    assert_eq!(child.finish(), ["done"]);
    let open = |name: &str| SynaDB::open_read_only(folder.path().join(name)).unwrap();
    assert_eq!(ints(&open("relative.syna"), "key"), [1, 2, 3]);
    assert_eq!(ints(&open("own.syna"), "key"), [2, 3]);
}

fn is_detached<T: std::fmt::Debug>(result: synadb::Result<T>) {
    assert!(matches!(result, Err(SynaError::Detached { .. })), "{result:?}");
}

#[test]
fn a_file_that_is_removed_or_replaced_is_noticed() {
    type Change = fn(&Path);
    let remove: Change = |path| fs::remove_file(path).unwrap();
    let replace: Change = |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "a text of somebody else").unwrap();
    };
    let new_database: Change = |path| {
        let other = path.with_extension("new");
        SynaDB::new(&other).unwrap().close().unwrap();
        fs::rename(other, path).unwrap();
    };
    let folder_there: Change = |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    for change in [remove, replace, new_database, folder_there] {
        type Look = fn(&SynaDB);
        let looks: [Look; 4] = [
            |db| is_detached(db.sync()),
            |db| is_detached(db.checkpoint()),
            |db| is_detached(db.compact()),
            |db| {
                // The keeper looks once a second.
                let until = Instant::now() + Duration::from_secs(30);
                while db.append("key", 2i64).is_ok() {
                    assert!(Instant::now() < until, "appends go to a file that is gone");
                    std::thread::sleep(Duration::from_millis(20));
                }
            },
        ];
        for look in looks {
            let (_folder, path) = temp();
            let config = os().with_refresh_interval_ms(u64::MAX);
            SynaDB::with_config(&path, os()).unwrap().append("key", 0i64).unwrap();
            let reader = SynaDB::open_read_only_with(&path, config).unwrap();
            let db = SynaDB::with_config(&path, os()).unwrap();
            db.append("key", 1i64).unwrap();
            change(&path);
            let after = fs::read(&path).ok();
            is_detached(reader.refresh());
            assert_eq!(reader.get("key").unwrap(), Some(Atom::Int(1)));
            look(&db);
            is_detached(db.append("key", 3i64));
            is_detached(db.sync());
            // What is open can still be read and saved.
            let saved = path.with_extension("saved");
            db.backup(&saved).unwrap();
            assert_eq!(ints(&SynaDB::open_read_only(&saved).unwrap(), "key")[..2], [0, 1]);
            is_detached(db.close());
            assert_eq!(fs::read(&path).ok(), after, "the other file was changed");
        }
    }
}

// ---- limits of the process (rows 40 to 42) -----------------------------------------------------

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Sets a soft limit; the hard one stays, so that it can be raised again.
#[expect(unsafe_code, reason = "no safe wrapper of setrlimit exists here")]
fn set_limit(resource: Resource, soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        limit.rlim_cur = soft.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(resource, &limit), 0);
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of signal exists here")]
fn ignore_file_size_signal() {
    // SAFETY: to ignore a signal installs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn file_size_limit() {
    ignore_file_size_signal();
    let path = var("TEST_PATH");
    for (name, config) in [("full", DbConfig::default()), ("os", os()), ("buffered", buffered())] {
        let path = format!("{path}.{name}");
        let db = SynaDB::with_config(&path, config.clone()).unwrap();
        let mut expected: Vec<i64> = Vec::new();
        for limit in [100_000, 300_000, 300_007, 700_001] {
            set_limit(libc::RLIMIT_FSIZE, limit);
            let mut next = expected.last().map_or(0, |n| n + 1);
            let error = loop {
                // The last of a batch would be 15,000 bytes further on.
                let mut batch = db.batch();
                batch.append("key", next).unwrap();
                batch.append("filler", vec![0u8; 15_000]).unwrap();
                match batch.commit().and_then(|_| db.flush()) {
                    Ok(()) => expected.push(next),
                    Err(error) => break error,
                }
                next += 1;
            };
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::FileTooLarge), "{error}");
            // What was committed into the buffer is no less committed for that.
            if name == "buffered" {
                set_limit(libc::RLIMIT_FSIZE, u64::MAX);
                db.flush().unwrap();
                expected = ints(&db, "key");
            }
            assert_eq!(ints(&db, "key"), expected);
            db.verify().unwrap();
        }
        assert!(db.compact().is_ok() || name != "buffered");
        set_limit(libc::RLIMIT_FSIZE, u64::MAX);
        let next = expected.last().unwrap() + 1;
        db.append("key", next).unwrap();
        db.close().unwrap();
        let db = SynaDB::with_config(&path, config).unwrap();
        let numbers = ints(&db, "key");
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(numbers.last(), Some(&next));
        db.verify().unwrap();
    }
    say("done");
}

#[test]
fn a_file_at_its_size_limit_goes_on_when_the_limit_is_raised() {
    let (_folder, path) = temp();
    let child = Child::spawn("file_size_limit", &[("TEST_PATH", text(&path))]);
    assert_eq!(child.finish(), ["done"]);
}

/// All numbers below are in use; the limit is on the numbers.
fn lowest_free_descriptor() -> u64 {
    let next = File::open("/dev/null").unwrap();
    u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&next)).unwrap()
}

/// Runs `call` with more and more descriptors until it succeeds; `after` comes after each failure.
fn with_few_descriptors<T>(
    what: &str,
    call: impl Fn() -> synadb::Result<T>,
    after: impl Fn(),
) -> T {
    for extra in 0..20 {
        set_limit(libc::RLIMIT_NOFILE, lowest_free_descriptor() + extra);
        let result = call();
        set_limit(libc::RLIMIT_NOFILE, 1024);
        match result {
            Ok(value) => {
                assert!(extra > 0, "{what} needs no descriptor?");
                return value;
            }
            Err(SynaError::Io { .. }) => after(),
            Err(error) => panic!("{what} with {extra} descriptors: {error}"),
        }
    }
    panic!("{what} does not succeed");
}

fn descriptor_limit() {
    let path = var("TEST_PATH");
    let still = || {
        for entry in fs::read_dir(Path::new(&path).parent().unwrap()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().ends_with(".syna-tmp"), "{name:?} was left behind");
        }
    };
    let config = os().with_refresh_interval_ms(u64::MAX);
    drop(with_few_descriptors("create", || SynaDB::with_config(&path, os()), still));
    let reader = with_few_descriptors(
        "open_read_only",
        || SynaDB::open_read_only_with(&path, config.clone()),
        still,
    );
    let db = with_few_descriptors("open", || SynaDB::with_config(&path, os()), still);
    db.append("key", 1i64).unwrap();
    with_few_descriptors(
        "compact",
        || db.compact(),
        || {
            still();
            // Nothing has changed, and the handle works.
            db.append("key", 1i64).unwrap();
            db.sync().unwrap();
        },
    );
    assert!(db.len("key").unwrap() == 1);
    db.append("key", 2i64).unwrap();
    db.flush().unwrap();
    with_few_descriptors(
        "refresh",
        || reader.refresh(),
        || {
            assert!(
                reader.get("key").unwrap() != Some(Atom::Int(2)) || reader.len("key").unwrap() > 2
            );
        },
    );
    assert_eq!(ints(&reader, "key"), [1, 2]);
    let backup = format!("{path}.backup");
    with_few_descriptors(
        "backup",
        || db.backup(&backup),
        || {
            let _ = fs::remove_file(&backup);
        },
    );
    db.close().unwrap();
    say("done");
}

#[test]
fn without_descriptors_nothing_changes_and_the_old_state_is_usable() {
    let (_folder, path) = temp();
    let child = Child::spawn("descriptor_limit", &[("TEST_PATH", text(&path))]);
    assert_eq!(child.finish(), ["done"]);
    assert_eq!(ints(&SynaDB::open_read_only(&path).unwrap(), "key"), [1, 2]);
}

fn address_space() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// As `Point`s more than what the allocator reserves in advance for a thread (64 MiB).
const POINTS: i64 = 3_000_000;
const LARGE: usize = 60 << 20;

fn memory_limit() {
    let (path, extra) = (var("TEST_PATH"), var("TEST_EXTRA").parse::<u64>().unwrap() << 20);
    set_limit(libc::RLIMIT_AS, address_space() + extra);
    let db = match SynaDB::open_read_only(&path) {
        Ok(db) => db,
        Err(error) => {
            say(format_args!("open {error}"));
            assert!(matches!(error, SynaError::OutOfMemory { .. } | SynaError::Io { .. }));
            return;
        }
    };
    let told = |what: &str, error: &SynaError| {
        say(format_args!("{what}: {error}"));
        assert!(matches!(error, SynaError::OutOfMemory { .. }), "{what}: {error}");
    };
    match db.get_history("many") {
        Ok(points) => {
            assert!(points.iter().map(int_of).eq(0..POINTS));
            say("history: all of it");
        }
        Err(error) => told("history", &error),
    }
    match db.history("many").and_then(|history| history.decode_raw(true).read()) {
        Ok(batch) => {
            assert_eq!(i64::try_from(batch.num_rows()).unwrap(), POINTS);
            say("arrow: all of it");
        }
        Err(error) => told("arrow", &error),
    }
    match db.get("large") {
        Ok(value) => {
            assert_eq!(value, Some(Atom::Bytes(vec![7; LARGE])));
            say("large: all of it");
        }
        Err(error) => told("large", &error),
    }
    say("done");
}

#[test]
fn too_little_memory_is_an_error_and_no_part_of_a_result() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let times: Vec<i64> = (0..POINTS).collect();
    db.append_batch("many", &times, times.as_slice()).unwrap();
    db.append("large", vec![7u8; LARGE]).unwrap();
    db.close().unwrap();
    let (mut refused, mut whole, mut arrays) = (0, 0, 0);
    for extra in [6, 30, 70, 100, 130, 180, 250, 500] {
        let extra = extra.to_string();
        let vars = [("TEST_PATH", text(&path)), ("TEST_EXTRA", &extra)];
        let lines = Child::spawn("memory_limit", &vars).finish();
        println!("{extra} MiB: {lines:?}");
        refused += lines.iter().filter(|line| line.contains("no memory")).count();
        whole += lines.iter().filter(|line| line.contains("all of it")).count();
        arrays += lines.iter().filter(|line| line.contains("arrow: no memory")).count();
    }
    assert!(refused > 0 && whole > 1, "{refused} refused, {whole} read");
    assert!(arrays > 0, "arrays were refused never");
}

// ---- rewrites (rows 58, 66 to 68) --------------------------------------------------------------

#[test]
fn what_was_taken_before_a_rewrite_stays_as_it_was() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    for number in 0..200 {
        write_round(&db, number);
    }
    let times: Vec<i64> = (0..20_000).collect();
    db.append_batch("chunked", &times, times.as_slice()).unwrap();
    let snapshot = db.snapshot().unwrap();
    let series = db.series("a").unwrap();
    let all = |snapshot: &synadb::Snapshot| -> BTreeMap<String, Vec<Point>> {
        let read = |key: String| (key.clone(), snapshot.get_history(&key).unwrap());
        snapshot.keys().unwrap().into_iter().map(read).collect()
    };
    let before = all(&snapshot);
    for _ in 0..3 {
        db.compact().unwrap();
        write_round(&db, 200);
        db.delete("chunked").unwrap();
    }
    assert!(all(&snapshot) == before, "a snapshot changed");
    assert_eq!(series.get().unwrap(), Some(Atom::Int(200)));
    fs::remove_file(&path).unwrap();
    assert!(all(&snapshot) == before, "a snapshot changed");
}

#[test]
fn files_with_names_like_temporary_ones_are_not_followed_nor_mistaken() {
    let (folder, path) = temp();
    let victim = folder.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let name = |name: &str| folder.path().join(name);
    let leftover = name(".shared.syna.0123456789abcdef.syna-tmp");
    let link = name(".shared.syna.fedcba9876543210.syna-tmp");
    fs::write(&leftover, "of a crashed rewrite").unwrap();
    symlink(&victim, &link).unwrap();
    let others = [
        name(".shared.db.0123456789abcdef.syna-tmp"),
        name(".shared.syna.b.0123456789abcdef.syna-tmp"),
        name(".shared.0123456789abcdef.syna-tmp"),
        name(".shared.syna.0123456789abcdeg.syna-tmp"),
        name("shared.syna.0123456789abcdef.syna-tmp"),
        name("shared.syna.tmp"),
    ];
    others.iter().for_each(|other| fs::write(other, "of another database").unwrap());
    let db = SynaDB::with_config(&path, os()).unwrap();
    assert!(!leftover.exists() && fs::symlink_metadata(&link).is_err());
    symlink(&victim, &link).unwrap();
    db.append("key", 1i64).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    for other in &others {
        assert_eq!(fs::read(other).unwrap(), b"of another database", "{}", other.display());
    }
}

#[test]
fn a_rewrite_without_room_leaves_the_old_file() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(Arc::clone(&all), "/a", os()).unwrap();
    for number in 0..300 {
        db.append_at(&format!("key{number}"), number, number).unwrap();
        db.append_at("one", number, number).unwrap();
    }
    db.sync().unwrap();
    let used: u64 = storage.image().files().map(|(_, content)| content.len()).sum();
    let mut failures = 0;
    for more in (0..).map(|step| step * 1500) {
        storage.set_space_limit(Some(used + more));
        let result = db.compact();
        let files = storage.list("/".as_ref()).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        match result {
            Ok(report) => {
                assert_eq!((report.keys, report.points), (301, 301));
                break;
            }
            Err(error) => {
                assert_eq!(error.io_kind(), Some(std::io::ErrorKind::StorageFull), "{error}");
                failures += 1;
                assert_eq!(ints(&db, "one").len(), 300);
                db.verify().unwrap();
            }
        }
    }
    assert!(failures > 5);
    storage.set_space_limit(None);
    db.append("one", 300i64).unwrap();
    db.close().unwrap();
    let db = SynaDB::with_storage(all, "/a", os()).unwrap();
    assert_eq!(ints(&db, "one"), [299, 300]);
    db.verify().unwrap();
}

#[test]
fn a_close_without_room_syncs_the_points() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(Arc::clone(&all), "/a", os_raw()).unwrap();
    for number in 0..5000 {
        db.append_at("key", number, number).unwrap();
    }
    storage.set_space_limit(Some(0));
    let syncs = storage.calls(Operation::SyncData);
    let closed = db.close();
    assert_eq!(closed.unwrap_err().io_kind(), Some(std::io::ErrorKind::StorageFull));
    assert!(storage.calls(Operation::SyncData) > syncs, "close did not sync");
    storage.set_space_limit(None);
    let db = SynaDB::with_storage(all, "/a", os()).unwrap();
    assert!(ints(&db, "key").into_iter().eq(0..5000));
}

#[test]
fn a_rewrite_of_nothing_and_of_deleted_keys_works() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    assert_eq!(db.compact().unwrap().keys, 0);
    for key in 0..50 {
        db.append(&format!("key{key}"), key).unwrap();
    }
    for key in 0..50 {
        assert!(db.delete(&format!("key{key}")).unwrap());
    }
    let report = db.compact().unwrap();
    assert_eq!((report.keys, report.points), (0, 0));
    assert!(report.bytes_after < report.bytes_before);
    assert_eq!(db.keys().unwrap(), Vec::<String>::new());
    db.append("key7", 1i64).unwrap();
    db.close().unwrap();
    let db = SynaDB::with_config(&path, os()).unwrap();
    assert_eq!(ints(&db, "key7"), [1]);
    db.verify().unwrap();
}

#[test]
fn a_second_rewrite_at_the_same_time_is_busy() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.append("key", 1i64).unwrap();
    let mut busy = 0;
    db.compact_with(&mut |_| {
        assert!(matches!(db.compact(), Err(SynaError::Busy)));
        // No lock is held while it runs.
        db.append("key", 2i64).unwrap();
        db.checkpoint().unwrap();
        busy += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(busy > 0);
    db.compact().unwrap();
    assert_eq!(ints(&db, "key"), [2]);
}

/// Appends that come faster than a rewrite takes them over: it has to end all the same.
#[test]
fn a_rewrite_beside_heavy_writes_ends_and_loses_nothing() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let stop = AtomicBool::new(false);
    let last: Vec<i64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|thread| {
                let (db, stop) = (&db, &stop);
                scope.spawn(move || {
                    let key = format!("thread{thread}");
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        db.append_at(&key, number, number).unwrap();
                        number += 1;
                    }
                    number - 1
                })
            })
            .collect();
        for _ in 0..6 {
            let began = Instant::now();
            db.compact().unwrap();
            assert!(began.elapsed() < Duration::from_secs(30), "a rewrite that does not end");
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for reopened in [false, true] {
        let db = if reopened { SynaDB::open_read_only(&path).unwrap() } else { db.clone() };
        for (thread, last) in last.iter().enumerate() {
            let points = db.get_history(&format!("thread{thread}")).unwrap();
            assert!(points.windows(2).all(|pair| int_of(&pair[1]) == int_of(&pair[0]) + 1));
            assert!(points.iter().all(|point| point.timestamp == int_of(point)));
            assert_eq!(points.last().map(int_of), Some(*last));
        }
        db.verify().unwrap();
    }
}

#[test]
fn compact_keeps_the_latest_point_with_its_time_and_the_mode_and_owner_of_the_file() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let values = [
        Atom::Null,
        Atom::Float(f64::from_bits(0x7FF8_0000_0000_1234)),
        Atom::Int(i64::MIN),
        Atom::Text("text".to_owned()),
        Atom::Bytes(vec![3; 100_000]),
        Atom::Float(-0.0),
    ];
    for (number, value) in (0i64..).zip(&values) {
        let key = format!("key{number}");
        for earlier in 0..100 {
            db.append_at(&key, earlier * 1000, earlier).unwrap();
        }
        db.append_at(&key, -number - 5, value.clone()).unwrap();
    }
    db.append("deleted", 1i64).unwrap();
    db.delete("deleted").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    db.compact().unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    for reopened in [false, true] {
        let db = if reopened { SynaDB::open_read_only(&path).unwrap() } else { db.clone() };
        assert_eq!(db.keys().unwrap().len(), values.len());
        for (number, value) in (0i64..).zip(&values) {
            let points = db.get_history(&format!("key{number}")).unwrap();
            assert_eq!(points.len(), 1);
            assert_eq!(points[0].timestamp, -number - 5);
            match (&points[0].value, value) {
                (Atom::Float(a), Atom::Float(b)) => assert_eq!(a.to_bits(), b.to_bits()),
                (a, b) => assert_eq!(a, b),
            }
        }
        db.verify().unwrap();
    }
}

// ---- backup, media, durability -----------------------------------------------------------------

/// A commit between the flush and the choice of the newest commit was visible but not in the file.
#[test]
fn a_backup_or_verification_beside_a_buffering_writer_finds_whole_commits() {
    let (folder, path) = temp();
    let durability = Durability::Buffered { size_bytes: 64 << 10, interval_ms: 3 };
    let db = SynaDB::with_config(&path, os().with_durability(durability)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                write_round(&db, number);
                number += 1;
                // Long enough apart that the file stays small, with bursts between.
                if number % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let mut last = -1;
        for number in 0..25 {
            let to = folder.path().join(format!("backup{number}.syna"));
            db.backup(&to).unwrap();
            assert!(matches!(db.backup(&to), Err(SynaError::AlreadyExists { .. })));
            let copy = SynaDB::with_config(&to, os()).unwrap();
            copy.verify().unwrap();
            let seen = check_snapshot(&copy.snapshot().unwrap());
            assert!(seen >= last);
            last = seen;
            copy.close().unwrap();
            fs::remove_file(&to).unwrap();
            db.verify().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_process_backs_up_beside_a_writer_that_compacts() {
    let (folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    write_round(&db, 0);
    let storage: Arc<dyn Storage> = OtherProcess::of(synadb::storage::FileStorage);
    let reader = SynaDB::read_only_with_storage(storage, &path, os()).unwrap();
    for number in 1..20 {
        write_round(&db, number);
        if number % 3 == 0 {
            db.compact().unwrap();
        }
        let to = folder.path().join(format!("backup{number}.syna"));
        reader.refresh().unwrap();
        reader.backup(&to).unwrap();
        let copy = SynaDB::with_config(&to, os()).unwrap();
        copy.verify().unwrap();
        assert_eq!(check_snapshot(&copy.snapshot().unwrap()), number);
    }
}

#[test]
fn network_file_systems_are_refused_for_writing_and_memory_is_told() {
    let storage = SimulatedStorage::new();
    other_file(&storage, "/a", 1);
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    storage.set_medium(Medium::Network("NFS"));
    for name in ["/a", "/new"] {
        match SynaDB::with_storage(Arc::clone(&all), name, os()) {
            Err(SynaError::NetworkFileSystem { file_system, .. }) => assert_eq!(file_system, "NFS"),
            other => panic!("{other:?}"),
        }
    }
    assert!(storage.status("/new".as_ref()).is_err());
    let reader = SynaDB::read_only_with_storage(Arc::clone(&all), "/a", os()).unwrap();
    assert_eq!(ints(&reader, "key"), [1]);
    let allowed = os().with_allow_network_fs(true);
    let db = SynaDB::with_storage(Arc::clone(&all), "/a", allowed).unwrap();
    db.append("key", 2i64).unwrap();
    assert_eq!(db.stats().unwrap().medium, "NFS");
    db.close().unwrap();
    storage.set_medium(Medium::Memory);
    let db = SynaDB::with_storage(all, "/a", DbConfig::default()).unwrap();
    db.append("key", 3i64).unwrap();
    assert_eq!(db.stats().unwrap().medium, "memory");
}

#[test]
fn a_database_in_memory_works_as_on_a_disk() {
    let (first, second) = (SynaDB::in_memory().unwrap(), SynaDB::in_memory().unwrap());
    for number in 0..300 {
        write_round(&first, number);
    }
    assert_eq!(second.get("a").unwrap(), None);
    assert_eq!(check_snapshot(&first.snapshot().unwrap()), 299);
    first.compact().unwrap();
    first.sync().unwrap();
    first.verify().unwrap();
    assert_eq!(ints(&first, "a"), [299]);
    let (_folder, path) = temp();
    first.backup(&path).unwrap();
    assert_eq!(ints(&SynaDB::open_read_only(&path).unwrap(), "a"), [299]);
    first.close().unwrap();
}

#[test]
fn a_database_in_memory_has_the_options_that_it_is_given() {
    let log_bytes = |config: DbConfig| {
        let db = SynaDB::in_memory_with(config).unwrap();
        let micros: Vec<i64> = (0..10_000).collect();
        db.append_batch("k", &micros, &[1.5; 10_000]).unwrap();
        db.stats().unwrap().log_bytes
    };
    let raw = DbConfig::default().with_enable_delta(false).with_enable_compression(false);
    assert!(log_bytes(raw) > 10 * log_bytes(DbConfig::default()));
    let no_buffer = Durability::Buffered { size_bytes: 0, interval_ms: 0 };
    let wrong = SynaDB::in_memory_with(DbConfig::default().with_durability(no_buffer));
    assert!(matches!(wrong, Err(SynaError::InvalidOption { .. })), "{wrong:?}");
}

#[test]
fn durability_can_be_waited_for() {
    let (_folder, path) = temp();
    let full = SynaDB::new(&path).unwrap();
    let offset = full.append("key", 0i64).unwrap();
    assert!(full.durable_offset() > offset);
    full.wait_durable(offset).unwrap();
    full.close().unwrap();
    for config in [os(), buffered()] {
        let db = SynaDB::with_config(&path, config).unwrap();
        let offset = db.append("key", 1i64).unwrap();
        assert!(db.durable_offset() <= offset);
        db.wait_durable(offset).unwrap();
        assert!(db.durable_offset() > offset);
        let syncs = db.stats().unwrap().syncs;
        db.wait_durable(offset).unwrap();
        assert_eq!(db.stats().unwrap().syncs, syncs, "it was durable already");
        assert!(db.wait_durable(1 << 40).is_err());
        // An offset of before a rewrite that makes the log shorter: durable by that.
        for number in 0..1000 {
            db.append("key", number).unwrap();
        }
        let offset = db.append("key", 1000i64).unwrap();
        db.compact().unwrap();
        db.wait_durable(offset).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let db = &db;
                scope.spawn(move || {
                    for number in 0..20 {
                        let offset = db.append(&format!("t{thread}"), number).unwrap();
                        db.wait_durable(offset).unwrap();
                        assert!(db.durable_offset() > offset);
                    }
                });
            }
        });
        db.close().unwrap();
    }
}

/// The keeper went to sleep without looking once more: a commit at the wrong moment stayed in the
/// buffer until the next one.
#[test]
fn a_buffer_is_written_out_in_time_whenever_the_keeper_falls_asleep() {
    let (_folder, path) = temp();
    let durability = Durability::Buffered { size_bytes: 1 << 20, interval_ms: 1 };
    let db = SynaDB::with_config(&path, os().with_durability(durability)).unwrap();
    let elsewhere: Arc<dyn Storage> = OtherProcess::of(synadb::storage::FileStorage);
    let config = os().with_refresh_interval_ms(0);
    let reader = SynaDB::read_only_with_storage(elsewhere, &path, config).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    let mut number = 0;
    while Instant::now() < until {
        db.append("key", number).unwrap();
        let appended = Instant::now();
        while reader.get("key").unwrap() != Some(Atom::Int(number)) {
            assert!(appended.elapsed() < Duration::from_secs(10), "point {number} is stuck");
            std::thread::sleep(Duration::from_micros(200));
        }
        number += 1;
        // Now and then long enough for the keeper to find nothing to do.
        let pause = if number % 4 == 0 { 1000 + number % 7 } else { 1 };
        std::thread::sleep(Duration::from_millis(pause.cast_unsigned()));
    }
}

/// A value above 64 KiB, a point behind it and a chunk behind that: `verify` handed the large value
/// to the index as if it were small, and took the chunk that sealed the point for damage.
#[test]
fn a_large_value_before_a_sealed_point_is_no_damage() {
    let db = SynaDB::in_memory().unwrap();
    db.append("k", "x".repeat(70_000)).unwrap();
    db.append("k", 1i64).unwrap();
    let many: Vec<i64> = (0..10_000).collect();
    db.append_batch("k", &many, &many).unwrap();
    db.append("k", 2i64).unwrap();
    assert_eq!(db.verify().unwrap().points, 10_004);
    assert_eq!(db.len("k").unwrap(), 10_003);
}

/// A file cut within its pages may have lost the newer slot: the older one knows of nothing durable,
/// and the history was gone without a word.
#[test]
fn a_file_that_ends_before_its_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    for round in 0..3i64 {
        let db = SynaDB::new(&path).unwrap();
        db.append("k", round).unwrap();
        db.close().unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    for len in [4096, 8192, 12_287] {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(matches!(SynaDB::new(&path), Err(SynaError::Corrupt { .. })), "{len}");
        assert!(matches!(SynaDB::open_read_only(&path), Err(SynaError::Corrupt { .. })), "{len}");
        assert_eq!(std::fs::read(&path).unwrap(), &whole[..len]);
    }
}

/// The look that failed counted as one, so that calls within the interval answered as if nothing
/// were wrong.
#[test]
fn a_detached_reader_says_so_in_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    let db = SynaDB::new(&path).unwrap();
    db.append("k", 1i64).unwrap();
    db.close().unwrap();
    let reader = SynaDB::open_read_only(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    for _ in 0..5 {
        assert!(matches!(reader.get("k"), Err(SynaError::Detached { .. })));
    }
}

/// D2: what a kill loses is bounded by the size of the buffer, also behind one large commit.
#[test]
fn a_full_buffer_is_written_out_at_once() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let durability = Durability::Buffered { size_bytes: 4096, interval_ms: 60_000 };
    let config = os_raw().with_durability(durability);
    let db = SynaDB::with_storage(all, "/a", config).unwrap();
    let mut batch = db.batch();
    for i in 0..20 {
        batch.append_at("k", i, vec![b'x'; 60_000]).unwrap();
    }
    batch.commit().unwrap();
    let bytes = storage.image().bytes("/a").unwrap();
    let written = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    assert!(written > 20 * 60_000 - 4096, "{written}");
    db.close().unwrap();
}

#[test]
fn waiting_for_an_offset_that_nothing_has_is_no_damage() {
    let db = SynaDB::in_memory().unwrap();
    let offset = db.append("k", 1i64).unwrap();
    db.wait_durable(offset).unwrap();
    assert!(matches!(db.wait_durable(u64::MAX), Err(SynaError::NoSuchOffset { .. })));
}

/// What an append of nothing returns is where the log ends, and was told to be returned by none.
#[test]
fn an_append_of_nothing_is_durable_when_all_before_it_is() {
    for config in [DbConfig::default(), os(), buffered()] {
        type Nothing = fn(&SynaDB) -> u64;
        let nothings: [Nothing; 2] = [
            |db| db.append_batch("k", &[], &[0.0; 0][..]).unwrap(),
            |db| db.batch().commit().unwrap(),
        ];
        for nothing in nothings {
            let (_folder, path) = temp();
            let db = SynaDB::with_config(&path, config.clone()).unwrap();
            let before = db.append("k", 1i64).unwrap();
            let offset = nothing(&db);
            assert!(offset > before);
            db.wait_durable(offset).unwrap();
            assert!(db.durable_offset() >= offset);
            db.wait_durable(offset).unwrap();
            let error = db.wait_durable(offset + 1).unwrap_err();
            assert!(matches!(error, SynaError::NoSuchOffset { .. }), "{error}");
            // A rewrite makes the log shorter, and everything durable.
            for i in 0..1000i64 {
                db.append("gone", i).unwrap();
            }
            db.delete("gone").unwrap();
            let offset = nothing(&db);
            db.compact().unwrap();
            assert!(db.durable_offset() < offset);
            db.wait_durable(offset).unwrap();
        }
    }
}

#[expect(unsafe_code, reason = "a standard stream is closed")]
fn without_standard_input() {
    // SAFETY: nothing reads from it any more.
    assert_eq!(unsafe { libc::close(0) }, 0);
    let path = PathBuf::from(var("TEST_PATH"));
    let db = SynaDB::with_config(&path, os()).unwrap();
    let reader = SynaDB::open_read_only(&path).unwrap();
    for _ in 0..2 {
        db.append("k", 1i64).unwrap();
        assert!(fs::read_link("/proc/self/fd/0").is_err());
        db.compact().unwrap();
        reader.refresh().unwrap();
    }
    say("done");
}

/// The file was opened under the number of a stream that was closed, and what was printed there, by
/// anybody, overwrote its beginning.
#[test]
fn a_file_never_takes_the_place_of_a_standard_stream() {
    let (_folder, path) = temp();
    let child = Child::spawn("without_standard_input", &[("TEST_PATH", text(&path))]);
    assert_eq!(child.finish(), ["done"]);
}

/// A second open of the text led to the new target, and took the first one's count along: its
/// database stayed open without a name.
#[test]
fn a_bound_link_that_is_retargeted_is_opened_again_where_it_led() {
    let (folder, path) = temp();
    let link = folder.path().join("link.syna");
    symlink("shared.syna", &link).unwrap();
    synadb::open_db(&link).unwrap();
    synadb::with_db(&link, |db| db.append("key", 1i64)).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other.syna", &link).unwrap();
    synadb::open_db(&link).unwrap();
    assert!(!folder.path().join("other.syna").exists());
    synadb::with_db(&link, |db| db.append("key", 2i64)).unwrap();
    assert_eq!(synadb::with_db(&path, |db| db.len("key")).unwrap(), 2);
    synadb::close_db(&link).unwrap();
    assert_eq!(synadb::with_db(&link, |db| db.len("key")).unwrap(), 2);
    synadb::close_db(&link).unwrap();
    assert!(lock_is_free(&path));
    // Nothing is bound any more: the link leads where it leads.
    synadb::open_db(&link).unwrap();
    assert!(folder.path().join("other.syna").exists());
    synadb::close_db(&link).unwrap();
}

/// The path stayed bound to the removed file, whose handle refuses every write.
#[test]
fn a_path_opened_again_leads_to_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    synadb::open_db(&path).unwrap();
    synadb::with_db(&path, |db| db.append("old", 1i64)).unwrap();
    std::fs::remove_file(&path).unwrap();
    synadb::open_db(&path).unwrap();
    synadb::with_db(&path, |db| {
        assert_eq!(db.keys()?, Vec::<String>::new());
        db.append("new", 1i64)?;
        db.sync()
    })
    .unwrap();
    synadb::close_db(&path).unwrap();
    synadb::close_db(&path).unwrap();
    assert!(matches!(synadb::close_db(&path), Err(SynaError::NotOpen { .. })));
}

/// A place in the log, named by a snapshot, is found again: by a reader of its own beside the
/// writer, behind checkpoints and seals, and never once the file has been rewritten.
#[test]
fn a_cursor_of_a_snapshot_leads_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    let db = SynaDB::with_config(&path, DbConfig::default().with_sync_on_write(false)).unwrap();
    let mut seen = Vec::new();
    for round in 0..12i64 {
        for i in 0..1000 {
            db.append_at("a", round * 1000 + i, (round * 1000 + i) as f64).unwrap();
        }
        if round % 3 == 0 {
            db.checkpoint().unwrap();
        }
        if round == 7 {
            db.delete("a").unwrap();
            db.append_at("b", 0, "text").unwrap();
        }
        let snapshot = db.snapshot().unwrap();
        let len = snapshot.len("a").unwrap();
        seen.push((snapshot.cursor().unwrap(), len, snapshot.keys().unwrap()));
    }
    for (cursor, len, keys) in &seen {
        let then = SynaDB::open_read_only_at(&path, cursor).unwrap();
        assert_eq!((then.len("a").unwrap(), &then.keys().unwrap()), (*len, keys));
        assert!(then.is_read_only());
        if *len > 0 {
            assert_eq!(then.history("a").unwrap().len().unwrap(), *len);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(then.len("a").unwrap(), *len, "it moved by itself");
        assert!(then.refresh().unwrap() || cursor == &seen.last().unwrap().0);
        assert_eq!(then.len("a").unwrap(), db.len("a").unwrap());
    }
    let (cursor, ..) = seen[0];
    let text = cursor.to_string();
    let wrong =
        text.replace(&format!("-{}-", cursor.offset()), &format!("-{}-", cursor.offset() + 8));
    let error = SynaDB::open_read_only_at(&path, &wrong.parse().unwrap()).unwrap_err();
    assert!(matches!(error, SynaError::CursorLost { .. }), "{error}");
    db.optimize().unwrap();
    let error = SynaDB::open_read_only_at(&path, &cursor).unwrap_err();
    assert!(matches!(error, SynaError::CursorLost { .. }), "{error}");
}

/// What must not wait does not: neither for a sync nor for another writing thread.
#[test]
fn try_append_and_try_get_answer_at_once_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let full = SynaDB::new(folder.path().join("full.syna")).unwrap();
    assert_eq!(full.try_append_at("k", 1, &1.5.into()).unwrap(), None);
    assert!(!full.exists("k").unwrap());
    let db = SynaDB::in_memory().unwrap();
    let offset = db.try_append_at("k", 1, &1.5.into()).unwrap();
    assert!(offset.is_some_and(|offset| offset > 0));
    assert_eq!(db.try_get("k").unwrap(), Some(Some(1.5.into())));
    assert_eq!(db.try_get("absent").unwrap(), Some(None));
    db.try_append_at("k", 1, &"text".into()).unwrap().unwrap();
    assert_eq!(db.get("k").unwrap(), Some("text".into()));
    assert!(db.try_append_at("", 1, &1.5.into()).is_err());
    let mut batch = full.batch();
    batch.append("k", 1).unwrap();
    let batch = batch.try_commit().unwrap().unwrap_err();
    assert!(!full.exists("k").unwrap());
    batch.commit().unwrap();
    assert_eq!(full.get("k").unwrap(), Some(1_i64.into()));
    for values in [vec![Atom::Int(1)], vec![Atom::Int(1), "x".into()], vec![Atom::Int(1); 40]] {
        let mut batch = db.batch();
        for value in &values {
            batch.append("b", value.clone()).unwrap();
        }
        batch.try_commit().unwrap().unwrap();
        assert_eq!(db.get("b").unwrap().as_ref(), values.last());
    }
    assert_eq!(db.len("b").unwrap(), 43);
}
