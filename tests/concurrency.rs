//! Threads on one database: what they see is whole, in order, and nothing of it is lost.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use support::children::{self, Child, say, var};
use support::rng::SplitMix64;
use support::simulated::SimulatedStorage;
use synadb::storage::Storage;
use synadb::{Atom, DbConfig, Durability, Point, Snapshot, SynaDB, SynaError};

#[test]
fn child_main() {
    children::play(&[("count_threads", count_threads)]);
}

fn os() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn buffered() -> DbConfig {
    let durability = Durability::Buffered { size_bytes: 64 << 10, interval_ms: 5 };
    DbConfig::default().with_durability(durability)
}

/// In memory, so that time goes into the interleavings.
fn memory(config: DbConfig) -> SynaDB {
    let storage = Arc::new(synadb::storage::MemoryStorage::new());
    SynaDB::with_storage(storage, "/memory.syna", config).unwrap()
}

fn int(value: Option<Atom>) -> i64 {
    match value {
        Some(Atom::Int(number)) => number,
        None => -1,
        Some(other) => panic!("{other:?} is no Int"),
    }
}

fn int_of(point: &Point) -> i64 {
    int(Some(point.value.clone()))
}

/// Sets the flag when it goes, also by a panic, so that other threads end.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Threads that ask `running` go on until `seconds` are over or one of them failed.
fn run_for(seconds: f64, threads: &[&(dyn Fn(&AtomicBool) + Sync)]) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in threads {
            let stop = &stop;
            scope.spawn(move || {
                let _stop = StopAtEnd(stop);
                thread(stop);
            });
        }
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

// ---- visibility (row 53) -----------------------------------------------------------------------

/// Two keys of one batch: whoever reads `a` first and `b` then sees `b` no older; one who takes
/// both from a snapshot sees them equal.
#[test]
fn half_a_batch_is_never_seen() {
    for config in [os(), buffered(), DbConfig::default()] {
        let db = memory(config.with_tail_budget_bytes(16 << 10));
        let written = AtomicI64::new(-1);
        let write = |stop: &AtomicBool| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let mut batch = db.batch();
                batch.append("a", number).unwrap();
                batch.append("text", format!("{number}")).unwrap();
                batch.append("b", number).unwrap();
                batch.commit().unwrap();
                written.store(number, Ordering::SeqCst);
            }
        };
        let text = |value: Option<Atom>| match value {
            Some(Atom::Text(text)) => text.parse::<i64>().unwrap(),
            None => -1,
            other => panic!("{other:?}"),
        };
        let get = |stop: &AtomicBool| {
            let mut last = -1;
            while !stop.load(Ordering::Relaxed) {
                let acknowledged = written.load(Ordering::SeqCst);
                let a = int(db.get("a").unwrap());
                let t = text(db.get("text").unwrap());
                let b = int(db.get("b").unwrap());
                assert!(a >= acknowledged, "{a} after {acknowledged} was acknowledged");
                assert!(last <= a && a <= t && t <= b, "{last} {a} {t} {b}");
                last = b;
            }
        };
        let snapshots = |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                let snapshot = db.snapshot().unwrap();
                let a = int(snapshot.get("a").unwrap());
                std::thread::yield_now();
                assert_eq!(text(snapshot.get("text").unwrap()), a);
                assert_eq!(int(snapshot.get("b").unwrap()), a);
                assert_eq!(i64::try_from(snapshot.len("b").unwrap()).unwrap(), a + 1);
                let latest = snapshot.latest("*").unwrap();
                assert!(latest.len() == 3 || a == -1);
                let latest = db.latest("[ab]").unwrap();
                if let [(_, a), (_, b)] = &*latest {
                    assert_eq!(int_of(a), int_of(b));
                }
            }
        };
        let series = |stop: &AtomicBool| {
            let (a, b) = (db.series("a").unwrap(), db.series("b").unwrap());
            let mut last = -1;
            while !stop.load(Ordering::Relaxed) {
                let first = int(a.get().unwrap());
                let then = int(b.get().unwrap());
                assert!(last <= first && first <= then);
                last = then;
            }
        };
        let compact = |stop: &AtomicBool| {
            // Not in all of the time: numbers of rows are counted above.
            while !stop.load(Ordering::Relaxed) {
                db.checkpoint().unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        run_for(1.5, &[&write, &get, &snapshots, &series, &compact]);
    }
}

/// A get of text locked the history after it had read which commit is published; two commits in
/// between, and the key seemed to be absent.
#[test]
fn a_get_beside_the_writer_of_the_key_always_finds_it() {
    let db = memory(os().with_tail_budget_bytes(4 << 10));
    let keys = ["text", "number", "both", "large"];
    for key in keys {
        db.append(key, "0").unwrap();
    }
    let write = |stop: &AtomicBool| {
        for number in 1i64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            db.append("text", format!("{number}")).unwrap();
            db.append("number", number).unwrap();
            if number % 2 == 0 {
                db.append("both", number).unwrap();
            } else {
                db.append("both", format!("{number}")).unwrap();
            }
            if number % 64 == 0 {
                db.append("large", vec![b'x'; 65_600]).unwrap();
                // Memory.
                db.compact().unwrap();
            }
        }
    };
    let read = |stop: &AtomicBool| {
        let mut last = [-1; 3];
        while !stop.load(Ordering::Relaxed) {
            for (key, last) in keys.iter().zip(&mut last) {
                let number = match db.get(key).unwrap() {
                    Some(Atom::Text(text)) => text.parse().unwrap(),
                    Some(Atom::Int(number)) => number,
                    other => panic!("{key}: {other:?} after {last}"),
                };
                assert!(number >= *last, "{key}: {number} after {last}");
                *last = number;
            }
            assert!(db.get_point("large").unwrap().is_some());
            assert!(db.exists("text").unwrap());
        }
    };
    run_for(3.0, &[&write, &read, &read]);
}

type Model = BTreeMap<String, Vec<i64>>;

fn content_of(snapshot: &Snapshot) -> Model {
    let history = |key: String| {
        let values = snapshot.get_history(&key).unwrap().iter().map(int_of).collect();
        (key, values)
    };
    snapshot.keys().unwrap().into_iter().map(history).collect()
}

/// One writer with a model of what it did; snapshots taken at known states must show these, however
/// much is deleted, sealed and rewritten before they are looked at.
#[test]
fn snapshots_agree_with_a_model_under_deletes_seals_and_rewrites() {
    for (config, seed) in [(os(), 1), (buffered(), 2), (DbConfig::default(), 3), (os(), 4)] {
        let db = memory(config.with_tail_budget_bytes(2 << 10));
        let model = Mutex::new(Model::new());
        let waiting: Mutex<Vec<(Snapshot, Model)>> = Mutex::default();
        let write = |stop: &AtomicBool| {
            let mut rng = SplitMix64::new(seed);
            for step in 0i64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("key{}", rng.below(6));
                let mut model = model.lock().unwrap();
                match rng.below(24) {
                    0..3 => {
                        db.delete(&key).unwrap();
                        model.remove(&key);
                    }
                    3..6 => {
                        let mut batch = db.batch();
                        batch.delete(&key).unwrap();
                        batch.append(&key, step).unwrap();
                        batch.append("other", step).unwrap();
                        batch.commit().unwrap();
                        model.insert(key, vec![step]);
                        model.entry("other".to_owned()).or_default().push(step);
                    }
                    6..8 => {
                        let many: Vec<i64> = (0..rng.below(300) as i64).collect();
                        db.append_batch(&key, &many, many.as_slice()).unwrap();
                        if !many.is_empty() {
                            model.entry(key).or_default().extend(many);
                        }
                    }
                    8 => db.checkpoint().unwrap(),
                    _ => {
                        db.append(&key, step).unwrap();
                        model.entry(key).or_default().push(step);
                    }
                }
                if rng.chance(1, 400) {
                    db.compact().unwrap();
                    for values in model.values_mut() {
                        values.drain(..values.len() - 1);
                    }
                }
                if rng.chance(1, 10) {
                    let snapshot = db.snapshot().unwrap();
                    waiting.lock().unwrap().push((snapshot, model.clone()));
                }
            }
        };
        let check = |stop: &AtomicBool| {
            let mut rng = SplitMix64::new(seed + 100);
            let mut checked = 0;
            while !stop.load(Ordering::Relaxed) || checked < 10 {
                let next = {
                    let mut waiting = waiting.lock().unwrap();
                    let len = waiting.len();
                    if len == 0 { None } else { Some(waiting.swap_remove(rng.below(len))) }
                };
                let Some((snapshot, expected)) = next else {
                    std::thread::yield_now();
                    continue;
                };
                assert_eq!(content_of(&snapshot), expected);
                for (key, values) in &expected {
                    assert_eq!(int(snapshot.get(key).unwrap()), *values.last().unwrap());
                    assert_eq!(snapshot.len(key).unwrap(), values.len() as u64);
                }
                checked += 1;
            }
        };
        // What is read without a snapshot only has to be whole.
        let noise = |stop: &AtomicBool| {
            while !stop.load(Ordering::Relaxed) {
                for key in db.keys().unwrap() {
                    let _ = db.get_history(&key);
                    let _ = db.get_at(&key, i64::MAX).unwrap();
                    let _ = db.get(&key).unwrap();
                }
            }
        };
        run_for(1.5, &[&write, &check, &check, &noise]);
        assert_eq!(content_of(&db.snapshot().unwrap()), model.into_inner().unwrap());
        db.verify().unwrap();
    }
}

/// Every append of one key is a number of its thread. All of them are there at the end, each
/// thread's in order; and a thread that sees a number, sees it from then on.
#[test]
fn appends_of_many_threads_are_one_history() {
    for config in [os(), buffered(), DbConfig::default()] {
        let db = memory(config);
        const THREADS: i64 = 6;
        const EACH: i64 = 1500;
        let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (db, barrier) = (&db, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut len = 0;
                    for number in 0..EACH {
                        db.append("shared", thread * EACH + number).unwrap();
                        let mine = format!("thread{thread}");
                        db.append(&mine, number).unwrap();
                        assert_eq!(int(db.get(&mine).unwrap()), number, "its own append");
                        let now = db.len("shared").unwrap();
                        assert!(now > len, "{now} after {len}");
                        len = now;
                    }
                });
            }
        });
        let all: Vec<i64> = db.get_history("shared").unwrap().iter().map(int_of).collect();
        for thread in 0..THREADS {
            let mine = all.iter().filter(|number| *number / EACH == thread);
            assert!(mine.copied().eq(thread * EACH..(thread + 1) * EACH));
        }
        assert_eq!(all.len() as i64, THREADS * EACH);
        db.verify().unwrap();
    }
}

/// A register that threads write and read: with the times of call and return noted, every read
/// must be explained by a write that began before the read ended, and was not overwritten by one
/// that began after it ended and ended before the read began.
#[test]
fn reads_and_writes_of_a_register_can_be_put_in_order() {
    let db = memory(os());
    db.append("register", 0i64).unwrap();
    let clock = AtomicU64::new(1);
    let tick = || clock.fetch_add(1, Ordering::SeqCst);
    let (writes, reads) = (Mutex::new(vec![(0, 0, 0i64)]), Mutex::new(Vec::new()));
    let next = AtomicI64::new(1);
    let barrier = Barrier::new(5);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..2000 {
                    let value = next.fetch_add(1, Ordering::SeqCst);
                    let began = tick();
                    db.append("register", value).unwrap();
                    writes.lock().unwrap().push((began, tick(), value));
                }
            });
        }
        for _ in 0..3 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..3000 {
                    let began = tick();
                    let value = int(db.get("register").unwrap());
                    let ended = tick();
                    reads.lock().unwrap().push((began, ended, value));
                }
            });
        }
    });
    let writes = writes.into_inner().unwrap();
    // The order in which they took effect is on record.
    let order: Vec<i64> = db.get_history("register").unwrap().iter().map(int_of).collect();
    let place: BTreeMap<i64, usize> = order.iter().enumerate().map(|(i, v)| (*v, i)).collect();
    let by_value: BTreeMap<i64, (u64, u64)> =
        writes.iter().map(|(began, ended, value)| (*value, (*began, *ended))).collect();
    // Real time is kept among the writes: none ended before an earlier one in the order began.
    let mut latest_begin = 0;
    for value in &order {
        let (began, ended) = by_value[value];
        assert!(*value == 0 || ended > latest_begin, "write {value} is out of order");
        latest_begin = latest_begin.max(began);
    }
    // The last write that had ended by a time, in the order of effect.
    let mut ends: Vec<(u64, usize)> =
        writes.iter().map(|(_, ended, value)| (*ended, place[value])).collect();
    ends.sort_unstable();
    let mut newest = 0;
    for end in &mut ends {
        newest = newest.max(end.1);
        end.1 = newest;
    }
    let mut reads = reads.into_inner().unwrap();
    reads.sort_unstable();
    let mut seen: Vec<(u64, usize)> = Vec::new();
    for (began, ended, value) in reads {
        let at = place[&value];
        assert!(by_value[&value].0 < ended, "{value} was read before it was written");
        let count = ends.partition_point(|(end, _)| *end < began);
        let must_see = if count == 0 { 0 } else { ends[count - 1].1 };
        assert!(at >= must_see, "{value} was read after it was overwritten");
        seen.push((ended, at));
    }
    assert_eq!(seen.len(), 9000);
}

// ---- closing (row 54) --------------------------------------------------------------------------

#[test]
fn opens_and_closes_of_many_threads_on_one_path_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storm.syna");
    let appended = AtomicI64::new(0);
    let open = |stop: &AtomicBool| {
        let mut rounds = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let db = SynaDB::with_config(&path, os()).unwrap_or_else(|e| panic!("{e}"));
            db.append("key", 1i64).unwrap();
            appended.fetch_add(1, Ordering::Relaxed);
            rounds += 1;
            match rounds % 4 {
                0 => db.close().unwrap(),
                1 => drop(db),
                2 => {
                    let other = db.clone();
                    db.close().unwrap();
                    assert!(matches!(other.append("key", 2i64), Err(SynaError::Closed)));
                }
                _ => {
                    let reader = SynaDB::open_read_only(&path).unwrap();
                    drop(db);
                    assert!(reader.exists("key").unwrap());
                }
            }
        }
    };
    let compact = |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            let db = SynaDB::with_config(&path, os()).unwrap_or_else(|e| panic!("{e}"));
            db.append("compacted", 1i64).unwrap();
            match db.compact() {
                Ok(_) | Err(SynaError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let classic = |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            synadb::open_db_with(&path, os()).unwrap_or_else(|e| panic!("{e}"));
            synadb::with_db(&path, |db| db.append("classic", 1i64)).unwrap();
            synadb::close_db(&path).unwrap();
        }
    };
    run_for(3.0, &[&open, &open, &open, &compact, &classic]);
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.verify().unwrap();
    let len = i64::try_from(db.len("key").unwrap()).unwrap();
    assert!(len >= 1 && len <= appended.load(Ordering::Relaxed));
    db.close().unwrap();
    // Nothing is left open.
    assert!(std::fs::File::open(&path).unwrap().try_lock().is_ok());
}

/// The same without rewrites: nothing that was appended is lost over any number of closes.
#[test]
fn appends_survive_a_storm_of_closes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storm.syna");
    let counts: Vec<AtomicI64> = (0..4).map(|_| AtomicI64::new(0)).collect();
    let threads: Vec<_> = counts
        .iter()
        .enumerate()
        .map(|(thread, count)| {
            let path = &path;
            move |stop: &AtomicBool| {
                while !stop.load(Ordering::Relaxed) {
                    let db = SynaDB::with_config(path, buffered()).unwrap();
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    db.append(&format!("thread{thread}"), number).unwrap();
                    if number % 2 == 0 {
                        std::thread::yield_now();
                    }
                }
            }
        })
        .collect();
    let threads: Vec<&(dyn Fn(&AtomicBool) + Sync)> =
        threads.iter().map(|thread| thread as &(dyn Fn(&AtomicBool) + Sync)).collect();
    run_for(2.0, &threads);
    let db = SynaDB::open_read_only(&path).unwrap();
    for (thread, count) in counts.iter().enumerate() {
        let points = db.get_history(&format!("thread{thread}")).unwrap();
        assert!(points.iter().map(int_of).eq(0..count.load(Ordering::Relaxed)));
    }
    db.verify().unwrap();
}

#[test]
fn a_close_beside_every_other_call_is_clean() {
    for round in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("closed.syna");
        let config = match round % 3 {
            0 => os(),
            1 => buffered(),
            _ => DbConfig::default(),
        };
        let db = SynaDB::with_config(&path, config).unwrap();
        db.append("key", -1i64).unwrap();
        let last = AtomicI64::new(-1);
        let ended = |error: &SynaError| matches!(error, SynaError::Closed);
        std::thread::scope(|scope| {
            let calls: Vec<Box<dyn Fn() -> synadb::Result<()> + Send>> = vec![
                Box::new(|| {
                    let number = last.load(Ordering::SeqCst) + 1;
                    db.append("key", number)?;
                    last.store(number, Ordering::SeqCst);
                    Ok(())
                }),
                Box::new(|| db.get_history("key").map(drop)),
                Box::new(|| db.get("key").map(drop)),
                Box::new(|| db.snapshot()?.get_history("key").map(drop)),
                Box::new(|| db.sync()),
                Box::new(|| db.checkpoint()),
                Box::new(|| match db.compact() {
                    Err(SynaError::Busy) => Ok(()),
                    result => result.map(drop),
                }),
                Box::new(|| db.verify().map(drop)),
                Box::new(|| db.stats().map(drop)),
                Box::new(|| db.wait_durable(db.durable_offset() - 1)),
            ];
            for call in calls {
                scope.spawn(move || {
                    loop {
                        match call() {
                            Ok(()) => {}
                            Err(error) if ended(&error) => return,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(5 + round));
            db.clone().close().unwrap();
        });
        let db = SynaDB::with_config(&path, os()).unwrap();
        db.verify().unwrap();
        assert_eq!(int(db.get("key").unwrap()), last.load(Ordering::SeqCst));
    }
}

fn threads_now() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn count_threads() {
    let folder = std::path::PathBuf::from(var("TEST_PATH"));
    let before = threads_now();
    for round in 0..50 {
        let path = folder.join(format!("{}.syna", round % 5));
        let db = SynaDB::with_config(&path, if round % 2 == 0 { os() } else { buffered() });
        let db = db.unwrap();
        db.append("key", 1i64).unwrap();
        assert_eq!(threads_now(), before + 1, "one keeper for an open database");
        let reader = SynaDB::open_read_only(&path).unwrap();
        if round % 3 == 0 {
            db.compact().unwrap();
        }
        drop(reader);
        if round % 2 == 0 {
            db.close().unwrap()
        } else {
            drop(db)
        }
        // A joined thread may be listed for a moment longer.
        let until = Instant::now() + Duration::from_secs(10);
        while threads_now() != before {
            assert!(Instant::now() < until, "a keeper outlived its database");
            std::thread::yield_now();
        }
    }
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| {
        let entry = entry.unwrap();
        std::fs::read_link(entry.path()).unwrap_or_default()
    });
    let left: Vec<_> = descriptors.filter(|to| to.starts_with(&folder)).collect();
    assert!(left.is_empty(), "{left:?} are still open");
    say("done");
}

#[test]
fn no_thread_and_no_descriptor_outlives_a_close() {
    let folder = tempfile::tempdir().unwrap();
    let vars = [("TEST_PATH", folder.path().to_str().unwrap())];
    assert_eq!(Child::spawn("count_threads", &vars).finish(), ["done"]);
}

// ---- panics (row 55) ---------------------------------------------------------------------------

#[test]
fn a_panic_in_a_callback_leaves_the_database_usable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panic.syna");
    let db = SynaDB::new(&path).unwrap();
    db.append("key", 1i64).unwrap();
    for _ in 0..3 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _ = db.compact_with(&mut |_| panic!("in a callback"));
        }));
        assert!(caught.is_err());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _ = db.verify_with(&mut |_| panic!("in a callback"));
        }));
        assert!(caught.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a file was left behind");
        db.append("key", 2i64).unwrap();
        db.delete("other").unwrap();
        db.sync().unwrap();
    }
    db.compact().unwrap();
    assert_eq!(db.get_history("key").unwrap().len(), 1);
    db.close().unwrap();
    SynaDB::new(&path).unwrap().verify().unwrap();
}

/// A panic below the lock of the writer, in the middle of a write: what log and index hold may
/// disagree, so writing ends; nobody hangs, reading goes on, and the next open recovers.
#[test]
fn a_panic_in_the_write_path_poisons_the_handle() {
    use support::fault::Operation;
    for config in [os(), DbConfig::default()] {
        let storage = SimulatedStorage::new();
        let all: Arc<dyn Storage> = Arc::new(storage.clone());
        let db = SynaDB::with_storage(Arc::clone(&all), "/a", config).unwrap();
        db.append("key", 1i64).unwrap();
        storage.hook(Operation::Write, 1, |_| panic!("in a write"));
        let caught = catch_unwind(AssertUnwindSafe(|| db.append("key", 2i64)));
        assert!(caught.is_err());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let error = db.append("key", 3i64).unwrap_err();
                    assert!(matches!(error, SynaError::Poisoned { .. }), "{error}");
                });
            }
        });
        assert!(matches!(db.sync(), Err(SynaError::Poisoned { .. })));
        assert!(matches!(db.compact(), Err(SynaError::Poisoned { .. })));
        assert_eq!(int(db.get("key").unwrap()), 1);
        assert!(db.close().is_err());
        let db = SynaDB::with_storage(all, "/a", os()).unwrap();
        assert_eq!(int(db.get("key").unwrap()), 1);
        db.append("key", 4i64).unwrap();
        db.verify().unwrap();
    }
}

/// A destructor that appends while a panic of the caller's unwinds is no panic in the write path.
#[test]
fn an_append_of_a_destructor_while_a_panic_unwinds_is_one_like_any_other() {
    struct AppendsWhenDropped<'a>(&'a SynaDB);
    impl Drop for AppendsWhenDropped<'_> {
        fn drop(&mut self) {
            self.0.append("key", 1i64).unwrap();
            let mut batch = self.0.batch();
            batch.append("key", 2i64).unwrap();
            batch.append("other", 2i64).unwrap();
            batch.commit().unwrap();
        }
    }
    for config in [os(), buffered(), DbConfig::default()] {
        let db = memory(config);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _last = AppendsWhenDropped(&db);
            panic!("the caller's");
        }));
        assert!(caught.is_err());
        db.append("key", 3i64).unwrap();
        assert_eq!(db.len("key").unwrap(), 3);
        db.close().unwrap();
    }
}

// ---- everything at once ------------------------------------------------------------------------

#[test]
fn sixty_four_threads_do_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.syna");
    let config = os().with_tail_budget_bytes(128 << 10);
    let db = SynaDB::with_config(&path, config.clone()).unwrap();
    let counts: Vec<AtomicI64> = (0..64).map(|_| AtomicI64::new(0)).collect();
    let number = AtomicU64::new(0);
    let work = |stop: &AtomicBool| {
        let thread = usize::try_from(number.fetch_add(1, Ordering::Relaxed)).unwrap();
        let mut rng = SplitMix64::new(thread as u64);
        let (count, mine) = (&counts[thread], format!("mine{thread}"));
        while !stop.load(Ordering::Relaxed) {
            let key = format!("shared{}", rng.below(8));
            match rng.below(20) {
                0..6 => {
                    let next = count.load(Ordering::Relaxed);
                    db.append(&mine, next).unwrap();
                    count.store(next + 1, Ordering::Relaxed);
                    assert_eq!(int(db.get(&mine).unwrap()), next);
                }
                6 => drop(db.append(&key, "text").unwrap()),
                7 => drop(db.append_batch(&key, &[1; 50], [2.5f64; 50].as_slice()).unwrap()),
                8 => {
                    let mut batch = db.batch();
                    batch.append("left", 1i64).unwrap();
                    batch.append("right", 1i64).unwrap();
                    batch.commit().unwrap();
                }
                9 => drop(db.delete(&key).unwrap()),
                10 => {
                    let snapshot = db.snapshot().unwrap();
                    let left = snapshot.len("left").unwrap();
                    assert_eq!(left, snapshot.len("right").unwrap());
                    let len = snapshot.len(&key).unwrap();
                    if len > 0 {
                        assert_eq!(snapshot.get_history(&key).unwrap().len() as u64, len);
                    }
                }
                11 => drop(db.keys().unwrap()),
                12 => drop(db.latest("shared*").unwrap()),
                13 => drop(db.get_at(&key, 1).unwrap()),
                14 => drop(db.stats().unwrap()),
                15 => drop(db.series(&key).unwrap().get().unwrap()),
                16 => db.flush().unwrap(),
                17 if rng.chance(1, 20) => db.checkpoint().unwrap(),
                18 if rng.chance(1, 40) => match db.compact() {
                    Ok(_) | Err(SynaError::Busy) => {}
                    Err(error) => panic!("{error}"),
                },
                19 if rng.chance(1, 20) => {
                    let same = SynaDB::with_config(&path, config.clone()).unwrap();
                    assert!(same.exists("left").is_ok());
                    same.close().unwrap();
                }
                _ => drop(db.types(&key)),
            }
        }
    };
    let threads: Vec<&(dyn Fn(&AtomicBool) + Sync)> = (0..64).map(|_| &work as _).collect();
    run_for(5.0, &threads);
    for reopened in [false, true] {
        let db = if reopened { SynaDB::open_read_only(&path).unwrap() } else { db.clone() };
        db.verify().unwrap();
        for (thread, count) in counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            assert_eq!(int(db.get(&format!("mine{thread}")).unwrap()), count - 1);
        }
    }
    db.close().unwrap();
}
