//! Processes that are killed with SIGKILL at random and at every single system call: what was
//! acknowledged is there afterwards, without holes, and batches are whole.
//!
//! `SYNADB_SIGKILL_ROUNDS` says how many random rounds there are (default 50).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::children::{self, Child, has_tool, say, var};
use support::rng::SplitMix64;
use synadb::{Atom, DbConfig, Durability, RetainPolicy, SynaDB};

const THREADS: u64 = 4;
/// Points under the third key of a batch: enough for a chunk of columns.
const CHUNK: i64 = 40;

#[test]
fn child_main() {
    children::play(&[("worker", worker), ("script", script)]);
}

fn config(mode: &str) -> DbConfig {
    let durability = match mode {
        "full" => Durability::Full,
        "os" => Durability::Os,
        "buffered" => Durability::Buffered { size_bytes: 4096, interval_ms: 5 },
        other => panic!("no durability {other}"),
    };
    // A small budget, so that tails are sealed all the time.
    DbConfig::default().with_durability(durability).with_tail_budget_bytes(32 << 10)
}

// ---- the child ---------------------------------------------------------------------------------

/// The number that follows the last one under a key.
fn next_number(db: &SynaDB, key: &str) -> i64 {
    match db.get(key).unwrap() {
        Some(Atom::Int(number)) => number + 1,
        None => 0,
        other => panic!("{key} holds {other:?}"),
    }
}

fn append_batch(db: &SynaDB, name: &str, number: i64) {
    let mut batch = db.batch();
    batch.append(&format!("{name}/a"), number).unwrap();
    batch.append(&format!("{name}/text"), format!("{number}")).unwrap();
    for i in 0..CHUNK {
        batch.append_at(&format!("{name}/chunk"), i, number).unwrap();
    }
    batch.append(&format!("{name}/b"), number).unwrap();
    batch.commit().unwrap();
}

/// Appends numbers until told to stop; acknowledges what returned (what was flushed, if buffered).
fn append_numbers(db: &SynaDB, thread: u64, buffered: bool, seed: u64, stop: &AtomicBool) {
    let mut rng = SplitMix64::new(seed);
    let name = format!("t{thread}");
    let (single, batch) = (format!("{name}/single"), format!("{name}/a"));
    let mut next = next_number(db, &single);
    let mut next_batch = next_number(db, &batch);
    while !stop.load(Ordering::Relaxed) {
        let is_batch = rng.chance(1, 4);
        if is_batch {
            append_batch(db, &name, next_batch);
            next_batch += 1;
        } else {
            db.append(&single, next).unwrap();
            next += 1;
        }
        if buffered && !rng.chance(1, 8) {
            continue;
        }
        if buffered {
            db.flush().unwrap();
        }
        say(format_args!("{thread} {} {}", next - 1, next_batch - 1));
    }
}

fn worker() {
    let (path, mode) = (var("TEST_PATH"), var("TEST_MODE"));
    let mut rng = SplitMix64::new(var("TEST_SEED").parse().unwrap());
    loop {
        let db = SynaDB::with_config(&path, config(&mode)).unwrap();
        say("open");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (db, stop, seed) = (&db, &stop, rng.next_u64());
                let buffered = mode == "buffered";
                scope.spawn(move || append_numbers(db, thread, buffered, seed, stop));
            }
            for _ in 0..rng.below(4) {
                std::thread::sleep(Duration::from_millis(rng.below(30) as u64));
                match rng.below(6) {
                    0 => drop(db.compact().unwrap()),
                    1 => drop(db.optimize().unwrap()),
                    2 => {
                        let policy = RetainPolicy::new().last("*/chunk", 1000).unwrap();
                        db.retain(&policy).unwrap();
                    }
                    3 => db.checkpoint().unwrap(),
                    _ => db.sync().unwrap(),
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        db.close().unwrap();
    }
}

// ---- the judge ---------------------------------------------------------------------------------

/// What was acknowledged by a thread: the last single number, the last batch.
type Acknowledged = HashMap<u64, (i64, i64)>;

fn note(acknowledged: &mut Acknowledged, line: &str) {
    let mut numbers = line.split(' ').map(str::parse::<i64>);
    if let (Some(Ok(thread)), Some(Ok(single)), Some(Ok(batch))) =
        (numbers.next(), numbers.next(), numbers.next())
    {
        let last = acknowledged.entry(thread.cast_unsigned()).or_insert((-1, -1));
        *last = (last.0.max(single), last.1.max(batch));
    }
}

fn ints(db: &SynaDB, key: &str) -> Vec<i64> {
    if !db.exists(key).unwrap() {
        return Vec::new();
    }
    let number = |atom: &Atom| match atom {
        Atom::Int(number) => *number,
        Atom::Text(text) => text.parse().unwrap(),
        other => panic!("{key} holds {other:?}"),
    };
    db.get_history(key).unwrap().iter().map(|point| number(&point.value)).collect()
}

/// Compares what is in the database with what was acknowledged.
fn judge(db: &SynaDB, acknowledged: &Acknowledged, found: &mut Vec<String>) {
    if let Err(error) = db.verify() {
        found.push(format!("verify: {error}"));
    }
    for thread in 0..THREADS {
        let (single, batch) = acknowledged.get(&thread).copied().unwrap_or((-1, -1));
        let name = format!("t{thread}");
        let mut last_of = |key: String, times: i64| {
            let numbers = ints(db, &key);
            // A compaction leaves the last point only; from there on there is no hole.
            let chunk = times > 1;
            for pair in numbers.windows(2) {
                let step = pair[1] - pair[0];
                if step != 1 && !(chunk && step == 0) {
                    found.push(format!("{key}: {} follows {}", pair[1], pair[0]));
                }
            }
            if chunk && let Some(last) = numbers.last() {
                let same = numbers.iter().rev().take_while(|n| *n == last).count();
                if same != 1 && same != usize::try_from(times).unwrap() {
                    found.push(format!("{key}: {same} of {times} points of {last}"));
                }
            }
            numbers.last().copied().unwrap_or(-1)
        };
        let last_single = last_of(format!("{name}/single"), 1);
        let a = last_of(format!("{name}/a"), 1);
        let b = last_of(format!("{name}/b"), 1);
        let text = last_of(format!("{name}/text"), 1);
        let chunk = last_of(format!("{name}/chunk"), CHUNK);
        if last_single < single {
            found.push(format!("{name}: {single} was acknowledged, {last_single} is last"));
        }
        if a < batch {
            found.push(format!("{name}: batch {batch} was acknowledged, {a} is last"));
        }
        if [b, text, chunk] != [a; 3] {
            found.push(format!("{name}: half a batch: {a} {b} {text} {chunk}"));
        }
    }
}

fn env_number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

#[test]
fn acknowledged_commits_survive_sigkill_at_random_times() {
    let rounds = env_number("SYNADB_SIGKILL_ROUNDS", 50);
    let mut rng = SplitMix64::announced("sigkill", 0x51_6111);
    let mut violations = Vec::new();
    let mut folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    for round in 0..rounds {
        if rng.chance(1, 6) {
            folder = tempfile::tempdir().unwrap();
            acknowledged.clear();
        }
        let path = folder.path().join("killed.syna");
        let mode = ["full", "os", "buffered"][usize::try_from(round % 3).unwrap()];
        let seed = rng.next_u64().to_string();
        let vars = [
            ("TEST_PATH", path.to_str().unwrap()),
            ("TEST_MODE", mode),
            ("TEST_SEED", seed.as_str()),
        ];
        let mut child = Child::spawn("worker", &vars);
        // Some are killed while they open.
        if !rng.chance(1, 8) {
            child.wait_for("open");
        }
        std::thread::sleep(Duration::from_micros(rng.below(120_000) as u64));
        child.kill();
        child.wait();
        for line in child.rest() {
            note(&mut acknowledged, &line);
        }
        if !path.exists() {
            continue;
        }
        let mut found = Vec::new();
        match SynaDB::open_read_only(&path) {
            Ok(db) => judge(&db, &acknowledged, &mut found),
            Err(error) => found.push(format!("read-only: {error}")),
        }
        // Otherwise the next child recovers.
        if rng.chance(1, 2) {
            match SynaDB::with_config(&path, config(mode)) {
                Ok(db) => {
                    judge(&db, &acknowledged, &mut found);
                    if let Err(error) = db.close() {
                        found.push(format!("close: {error}"));
                    }
                }
                Err(error) => found.push(format!("open: {error}")),
            }
        }
        violations.extend(found.into_iter().map(|what| format!("round {round} ({mode}): {what}")));
    }
    println!("rounds: {rounds}");
    println!("violations: {}", violations.len());
    assert!(violations.is_empty(), "{violations:#?}");
}

// ---- every system call -------------------------------------------------------------------------

/// A short life of a database. Goes on after an error as far as it can, and acknowledges as
/// `worker` does.
fn script() {
    let path = var("TEST_PATH");
    let told = |what: &str, result: synadb::Result<()>| match result {
        Ok(()) => true,
        Err(error) => {
            say(format_args!("error {what}: {error}"));
            false
        }
    };
    let (mut single, mut batch) = (0, 0);
    for mode in ["os", "full", "buffered"] {
        let db = match SynaDB::with_config(&path, config(mode)) {
            Ok(db) => db,
            Err(error) => {
                say(format_args!("error open: {error}"));
                return;
            }
        };
        // What an unacknowledged number became is found out as after a crash.
        single = single.max(next_number(&db, "t0/single"));
        batch = batch.max(next_number(&db, "t0/a"));
        let step = |single: &mut i64, batch: &mut i64| {
            if !told("append", db.append("t0/single", *single).map(drop)) {
                return;
            }
            *single += 1;
            let mut changes = db.batch();
            changes.append("t0/a", *batch).unwrap();
            changes.append("t0/text", format!("{batch}")).unwrap();
            for i in 0..CHUNK {
                changes.append_at("t0/chunk", i, *batch).unwrap();
            }
            changes.append("t0/b", *batch).unwrap();
            if !told("batch", changes.commit().map(drop)) {
                return;
            }
            *batch += 1;
            if told("flush", db.flush()) {
                say(format_args!("0 {} {}", *single - 1, *batch - 1));
            }
        };
        step(&mut single, &mut batch);
        told("compact", db.compact().map(drop));
        step(&mut single, &mut batch);
        told("optimize", db.optimize().map(drop));
        step(&mut single, &mut batch);
        told("checkpoint", db.checkpoint());
        step(&mut single, &mut batch);
        let policy = RetainPolicy::new().last("t0/s*", 2).unwrap().last("t0/*k", 60).unwrap();
        told("retain", db.retain(&policy).map(drop));
        step(&mut single, &mut batch);
        told("sync", db.sync());
        told("close", db.close());
    }
    say("done");
}

/// Runs the script under strace with something injected into the `nth` call of a kind. Returns
/// whether the script came to that call, and what it said.
fn run_injected(path: &Path, injected: &str) -> (bool, Vec<String>) {
    let log = path.with_extension("strace");
    let (syscall, _) = injected.split_once(':').unwrap();
    let trace = format!("trace={syscall}");
    let inject = format!("inject={injected}");
    let log_name = log.to_str().unwrap();
    // Calls in other folders are those of the program's start.
    let before = ["strace", "-f", "-qq", "-o", log_name, "-e", &trace, "-e", &inject];
    let mut command =
        children::command(&before, "script", &[("TEST_PATH", path.to_str().unwrap())]);
    let mut child = Child::run(&mut command);
    let lines = child.rest();
    let status = child.wait();
    let traced = std::fs::read_to_string(&log).unwrap_or_default();
    std::fs::remove_file(&log).unwrap();
    (traced.contains("INJECTED") || traced.contains("+++ killed") || !status.success(), lines)
}

/// Sweeps the number of the call over the whole script. `judge_file` gets what is left.
fn sweep(syscalls: &[&str], what: &str, judge_file: impl Fn(&Path, &[String], &mut Vec<String>)) {
    if !has_tool("strace", "apt-get install strace") {
        return;
    }
    let mut violations = Vec::new();
    for syscall in syscalls {
        let mut runs = 0;
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("script.syna");
            let injected = format!("{syscall}:{what}:when={nth}");
            let (hit, lines) = run_injected(&path, &injected);
            if !hit {
                assert_eq!(lines.last().map(String::as_str), Some("done"), "{injected}");
                break;
            }
            runs += 1;
            let mut found = Vec::new();
            judge_file(&path, &lines, &mut found);
            violations.extend(found.into_iter().map(|what| format!("{injected}: {what}")));
        }
        println!("{syscall} {what}: {runs} runs");
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

fn judge_script(path: &Path, lines: &[String], found: &mut Vec<String>) {
    let mut acknowledged = Acknowledged::new();
    lines.iter().for_each(|line| note(&mut acknowledged, line));
    if !path.exists() {
        if !acknowledged.is_empty() {
            found.push("the file is gone".to_owned());
        }
        return;
    }
    for attempt in ["first", "second"] {
        match SynaDB::with_config(path, config("os")) {
            Ok(db) => {
                judge(&db, &acknowledged, found);
                if let Err(error) = db.close() {
                    found.push(format!("{attempt} close: {error}"));
                }
            }
            Err(error) => found.push(format!("{attempt} open: {error}")),
        }
    }
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().ends_with(".syna-tmp"))
        .collect();
    if !left.is_empty() {
        found.push(format!("left behind: {left:?}"));
    }
}

#[test]
fn a_kill_at_any_system_call_loses_nothing_acknowledged() {
    let calls =
        ["pwrite64", "pwritev", "fdatasync", "fsync", "rename", "renameat2", "ftruncate", "unlink"];
    sweep(&calls, "signal=KILL", judge_script);
}

/// Every call that changes something fails once with EIO. The next process must find a whole
/// database with everything that was acknowledged.
#[test]
fn an_error_at_any_system_call_is_told_and_loses_nothing_acknowledged() {
    let calls = ["pwrite64", "pwritev", "fdatasync", "fsync", "rename", "renameat2", "ftruncate"];
    sweep(&calls, "error=EIO", |path, lines, found| {
        judge_script(path, lines, found);
    });
}

#[test]
fn a_write_that_takes_nothing_is_an_error_and_no_endless_loop() {
    sweep(&["pwrite64", "pwritev"], "retval=0", |path, lines, found| {
        if !lines.iter().any(|line| line.starts_with("error")) {
            found.push("no error was told".to_owned());
        }
        judge_script(path, lines, found);
    });
}

/// strace makes the call say that it wrote three bytes, and writes none: what is left is a file
/// with a hole that the store cannot know of. Its checksums must.
#[test]
fn bytes_a_lying_write_call_left_out_are_noticed() {
    sweep(&["pwrite64", "pwritev"], "retval=3", |path, _, found| {
        let Ok(db) = SynaDB::open_read_only(path) else { return };
        let whole = db.verify().is_ok();
        for key in ["t0/single", "t0/a", "t0/b", "t0/chunk", "t0/text"] {
            let Ok(points) = db.get_history(key) else {
                if whole && db.exists(key).unwrap() {
                    found.push(format!("{key} cannot be read in a file that verifies"));
                }
                continue;
            };
            let plausible = |atom: &Atom| match atom {
                Atom::Int(number) => (0..=14).contains(number),
                Atom::Text(text) => text.parse().is_ok_and(|n: i64| (0..=14).contains(&n)),
                _ => false,
            };
            if !points.iter().all(|point| plausible(&point.value)) {
                found.push(format!("{key}: wrong values {points:?}"));
            }
        }
    });
}
