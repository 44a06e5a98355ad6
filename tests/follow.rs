//! Following: every commit once, whole and in order, over rewrites, reopenings and restarts of the
//! follower; never silence, never a duplicate, never a lost point.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use support::children::{self, Child, hear, say, var};
use support::fault::{FailedPages, FaultPlan, Times};
use support::other_process::OtherProcess;
use support::simulated::SimulatedStorage;
use synadb::storage::Storage;
use synadb::{
    Atom, Change, Cursor, DbConfig, Durability, FollowFrom, FollowedCommit, Follower,
    OptimizeOptions, Point, RetainPolicy, SynaDB, SynaError,
};

#[test]
fn child_main() {
    children::play(&[("writer", writer)]);
}

fn os() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("followed.syna");
    (folder, path)
}

// ---- what is expected --------------------------------------------------------------------------

/// What happened to a key in a commit: a point, or its deletion.
#[derive(Debug, Clone)]
enum Event {
    Point(Point),
    Deleted,
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        match (self, other) {
            (Event::Deleted, Event::Deleted) => true,
            (Event::Point(a), Event::Point(b)) => {
                let same = match (&a.value, &b.value) {
                    (Atom::Float(a), Atom::Float(b)) => a.to_bits() == b.to_bits(),
                    (a, b) => a == b,
                };
                same && a.timestamp == b.timestamp
            }
            _ => false,
        }
    }
}

/// The events of a commit by key: between keys a batch has no order that anybody could see.
type Commit = BTreeMap<String, Vec<Event>>;

fn events_of(commit: &FollowedCommit) -> Commit {
    let mut events = Commit::new();
    for change in commit.changes() {
        let of_key = events.entry(change.key().to_owned()).or_default();
        match change {
            Change::Appended(appended) => {
                let points = appended.points().unwrap();
                assert_eq!(points.len() as u64, appended.len());
                of_key.extend(points.into_iter().map(Event::Point));
            }
            Change::Deleted { .. } => of_key.push(Event::Deleted),
            other => panic!("{other:?}"),
        }
    }
    events
}

/// Everything that is there now.
fn drain(follower: &mut Follower) -> Vec<Commit> {
    let mut commits = Vec::new();
    while let Some(commit) = follower.next(Duration::ZERO).unwrap() {
        assert_eq!(follower.cursor(), commit.cursor());
        commits.push(events_of(&commit));
    }
    commits
}

// ---- against a model ---------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Step {
    Append {
        key: u8,
        timestamp: i64,
        atom: Atom,
    },
    AppendMany {
        key: u8,
        count: usize,
    },
    Batch(Vec<(u8, Option<i64>)>),
    BatchMany {
        keys: u8,
        count: usize,
    },
    Delete {
        key: u8,
    },
    Checkpoint,
    Compact,
    Optimize,
    /// While it runs, so many points are added to each of these keys; with none the key is deleted.
    OptimizeBeside(Vec<(u8, usize)>),
    Retain {
        key: u8,
        rows: u64,
    },
    Reopen,
    /// The followers look now.
    Look,
    /// They are made anew from their cursors.
    Resume,
}

fn steps() -> impl Strategy<Value = Step> {
    let key = 0u8..4;
    let atom = prop_oneof![
        4 => any::<u64>().prop_map(|bits| Atom::Float(f64::from_bits(bits))),
        3 => any::<i64>().prop_map(Atom::Int),
        1 => Just(Atom::Null),
        1 => ".{0,20}".prop_map(Atom::Text),
        1 => (65_530usize..65_545).prop_map(|len| Atom::Bytes(vec![7; len])),
    ];
    prop_oneof![
        12 => (key.clone(), -50i64..50, atom)
            .prop_map(|(key, timestamp, atom)| Step::Append { key, timestamp, atom }),
        4 => (key.clone(), prop_oneof![0usize..50, 1000usize..9000])
            .prop_map(|(key, count)| Step::AppendMany { key, count }),
        3 => proptest::collection::vec((key.clone(), proptest::option::of(any::<i64>())), 0..6)
            .prop_map(Step::Batch),
        1 => (1u8..4, 1usize..100).prop_map(|(keys, count)| Step::BatchMany { keys, count }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        2 => Just(Step::Optimize),
        2 => proptest::collection::vec((key.clone(), prop_oneof![0usize..3, 32usize..60]), 0..6)
            .prop_map(Step::OptimizeBeside),
        1 => (key, 0u64..60).prop_map(|(key, rows)| Step::Retain { key, rows }),
        2 => Just(Step::Reopen),
        4 => Just(Step::Look),
        2 => Just(Step::Resume),
    ]
}

fn key_name(key: u8) -> String {
    format!("{}/{key}", if key.is_multiple_of(2) { "even" } else { "odd" })
}

/// A follower with what it has to deliver yet.
struct Watched {
    db: SynaDB,
    follower: Follower,
    pattern: &'static str,
    expected: Vec<Commit>,
    delivered: usize,
    /// It may lag behind rewrites; others look before and after each, because a follower that was
    /// away, or in another process, loses its place when there are two in between.
    in_process: bool,
}

impl Watched {
    fn look(&mut self) {
        let found = drain(&mut self.follower);
        assert_eq!(found, self.expected, "{} in process: {}", self.pattern, self.in_process);
        self.delivered += found.len();
        self.expected.clear();
    }

    fn expect(&mut self, commit: &Commit) {
        let part = self.pattern.trim_end_matches('*');
        let followed: Commit = commit
            .iter()
            .filter(|(key, _)| key.starts_with(part))
            .map(|(key, events)| (key.clone(), events.clone()))
            .collect();
        if !followed.is_empty() {
            self.expected.push(followed);
        }
    }

    fn resume(&mut self) {
        self.look();
        let cursor: Cursor = self.follower.cursor().to_string().parse().unwrap();
        self.follower = self.db.follow(self.pattern, FollowFrom::Cursor(cursor)).unwrap();
    }
}

struct Run {
    storage: SimulatedStorage,
    config: DbConfig,
    db: Option<SynaDB>,
    live: BTreeMap<String, u64>,
    watched: Vec<Watched>,
}

const PATH: &str = "/f.syna";

impl Run {
    fn new(config: DbConfig) -> Run {
        let storage = SimulatedStorage::new();
        let mut run = Run { storage, config, db: None, live: BTreeMap::new(), watched: Vec::new() };
        run.open();
        for pattern in ["*", "even/*"] {
            for in_process in [true, false] {
                let db = match in_process {
                    true => run.db.clone().unwrap(),
                    false => {
                        let other = OtherProcess::of(run.storage.clone());
                        SynaDB::read_only_with_storage(other, PATH, DbConfig::default()).unwrap()
                    }
                };
                let from = if pattern == "*" { FollowFrom::Beginning } else { FollowFrom::Now };
                let follower = db.follow(pattern, from).unwrap();
                let expected = Vec::new();
                run.watched.push(Watched {
                    db,
                    follower,
                    pattern,
                    expected,
                    delivered: 0,
                    in_process,
                });
            }
        }
        run
    }

    fn open(&mut self) {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        self.db = Some(SynaDB::with_storage(storage, PATH, self.config.clone()).unwrap());
    }

    fn happened(&mut self, events: impl IntoIterator<Item = (String, Event)>) {
        let mut commit = Commit::new();
        for (key, event) in events {
            match &event {
                Event::Point(_) => *self.live.entry(key.clone()).or_default() += 1,
                Event::Deleted => drop(self.live.remove(&key)),
            }
            commit.entry(key).or_default().push(event);
        }
        self.watched.iter_mut().for_each(|watched| watched.expect(&commit));
    }

    fn look(&mut self) {
        self.db.as_ref().unwrap().flush().unwrap();
        self.watched.iter_mut().for_each(Watched::look);
    }

    /// Whoever is in another process looks before and after a rewrite.
    fn rewrite(&mut self, rewrite: impl FnOnce(&SynaDB)) {
        let db = self.db.clone().unwrap();
        db.flush().unwrap();
        self.watched.iter_mut().filter(|w| !w.in_process).for_each(Watched::look);
        rewrite(&db);
        self.watched.iter_mut().filter(|w| !w.in_process).for_each(Watched::look);
    }

    fn step(&mut self, step: Step) {
        let db = self.db.clone().unwrap();
        let point = |timestamp, value| Event::Point(Point { timestamp, value });
        match step {
            Step::Append { key, timestamp, atom } => {
                db.append_at(&key_name(key), timestamp, atom.clone()).unwrap();
                self.happened([(key_name(key), point(timestamp, atom))]);
            }
            Step::AppendMany { key, count } => {
                let timestamps: Vec<i64> = (0..count as i64).collect();
                let values: Vec<f64> = (0..count).map(|i| i as f64 / 8.0).collect();
                db.append_batch(&key_name(key), &timestamps, &values).unwrap();
                let pairs = timestamps.into_iter().zip(values);
                self.happened(pairs.map(|(t, v)| (key_name(key), point(t, v.into()))));
            }
            Step::Batch(changes) => {
                let mut batch = db.batch();
                for (key, change) in &changes {
                    match change {
                        Some(value) => batch.append_at(&key_name(*key), *value, *value).unwrap(),
                        None => batch.delete(&key_name(*key)).unwrap(),
                    };
                }
                batch.commit().unwrap();
                self.happened(changes.into_iter().map(|(key, change)| {
                    let deleted = Event::Deleted;
                    (key_name(key), change.map_or(deleted, |v| point(v, Atom::Int(v))))
                }));
            }
            Step::BatchMany { keys, count } => {
                let mut batch = db.batch();
                let mut events = Vec::new();
                for i in 0..count as i64 {
                    for key in 0..keys {
                        batch.append_at(&key_name(key), i, i * 3).unwrap();
                        events.push((key_name(key), point(i, Atom::Int(i * 3))));
                    }
                }
                batch.commit().unwrap();
                self.happened(events);
            }
            Step::Delete { key } => {
                let deleted = db.delete(&key_name(key)).unwrap();
                assert_eq!(deleted, self.live.contains_key(&key_name(key)));
                if deleted {
                    self.happened([(key_name(key), Event::Deleted)]);
                }
            }
            Step::Checkpoint => db.checkpoint().unwrap(),
            Step::Compact => self.rewrite(|db| {
                db.compact().unwrap();
            }),
            Step::Optimize => self.rewrite(|db| {
                db.optimize().unwrap();
            }),
            Step::OptimizeBeside(changes) => {
                let mut done = Vec::new();
                let mut beside = |_| {
                    if done.is_empty() {
                        for (key, count) in &changes {
                            let name = key_name(*key);
                            if *count == 0 {
                                done.push((name.clone(), db.delete(&name).unwrap(), 0));
                            } else {
                                let values = vec![7_i64; *count];
                                db.append_batch(&name, &vec![5; *count], &values).unwrap();
                                done.push((name, true, *count));
                            }
                        }
                    }
                    ControlFlow::Continue(())
                };
                self.watched.iter_mut().filter(|w| !w.in_process).for_each(|w| {
                    db.flush().unwrap();
                    w.look();
                });
                db.optimize_with(&OptimizeOptions::default(), &mut beside).unwrap();
                for (name, happened, count) in done {
                    let points = vec![(name.clone(), point(5, Atom::Int(7))); count];
                    if count > 0 {
                        self.happened(points);
                    } else if happened {
                        self.happened([(name, Event::Deleted)]);
                    }
                }
                // What came while it ran is in the old file and, again, in the new one.
                self.watched.iter_mut().filter(|w| !w.in_process).for_each(Watched::look);
            }
            Step::Retain { key, rows } => {
                let key = key_name(key);
                let policy = RetainPolicy::new().last(&key, rows).unwrap();
                self.rewrite(|db| {
                    db.retain(&policy).unwrap();
                });
                if rows == 0 {
                    self.live.remove(&key);
                }
            }
            Step::Reopen => {
                // In this process a follower ends with its handle; its cursor does not.
                let cursors: Vec<Option<Cursor>> = self
                    .watched
                    .iter_mut()
                    .map(|watched| {
                        watched.in_process.then(|| {
                            db.flush().unwrap();
                            watched.look();
                            watched.follower.cursor()
                        })
                    })
                    .collect();
                drop(db);
                self.db.take().unwrap().close().unwrap();
                self.open();
                for (watched, cursor) in self.watched.iter_mut().zip(cursors) {
                    let Some(cursor) = cursor else { continue };
                    let error = watched.follower.next(Duration::ZERO).unwrap_err();
                    assert!(matches!(error, SynaError::Closed), "{error}");
                    watched.db = self.db.clone().unwrap();
                    let from = FollowFrom::Cursor(Cursor::from_bytes(&cursor.to_bytes()).unwrap());
                    watched.follower = watched.db.follow(watched.pattern, from).unwrap();
                }
            }
            Step::Look => self.look(),
            Step::Resume => {
                db.flush().unwrap();
                self.watched.iter_mut().for_each(Watched::resume);
            }
        }
    }
}

fn run(config: DbConfig, steps: Vec<Step>) {
    let mut run = Run::new(config);
    for step in steps {
        run.step(step);
    }
    run.look();
    // From the beginning, what the file holds: of each key at least what is live.
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let db = run.db.clone().unwrap();
    for commit in drain(&mut db.follow("*", FollowFrom::Beginning).unwrap()) {
        for (key, events) in commit {
            for event in events {
                match event {
                    Event::Point(_) => *counts.entry(key.clone()).or_default() += 1,
                    Event::Deleted => drop(counts.remove(&key)),
                }
            }
        }
    }
    let lens: BTreeMap<String, u64> =
        db.keys().unwrap().into_iter().map(|key| (key.clone(), db.len(&key).unwrap())).collect();
    assert_eq!(counts, lens);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn full(steps in proptest::collection::vec(steps(), 1..40)) {
        run(DbConfig::default(), steps);
    }

    #[test]
    fn os_with_a_small_tail_budget(steps in proptest::collection::vec(steps(), 1..40)) {
        run(os().with_tail_budget_bytes(4096), steps);
    }

    #[test]
    fn buffered(steps in proptest::collection::vec(steps(), 1..40)) {
        let durability = Durability::Buffered { size_bytes: 4096, interval_ms: 1 };
        let config = DbConfig::default().with_durability(durability);
        run(config.with_tail_budget_bytes(16 << 10), steps);
    }
}

// ---- cursors -----------------------------------------------------------------------------------

fn is_lost<T>(result: synadb::Result<T>) -> bool {
    matches!(result, Err(SynaError::CursorLost { .. }))
}

#[test]
fn a_stored_cursor_survives_a_rewrite_only_at_its_very_end() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.append("key", 1i64).unwrap();
    let mut follower = db.follow("*", FollowFrom::Beginning).unwrap();
    assert_eq!(drain(&mut follower).len(), 1);
    let early = follower.cursor();
    db.append("key", 2i64).unwrap();
    drain(&mut follower);
    let at_end = follower.cursor();
    db.optimize().unwrap();
    db.append("key", 3i64).unwrap();
    for db in [db.clone(), SynaDB::open_read_only(&path).unwrap()] {
        assert!(is_lost(db.follow("*", FollowFrom::Cursor(early))));
        let mut resumed = db.follow("*", FollowFrom::Cursor(at_end)).unwrap();
        assert_eq!(drain(&mut resumed).len(), 1);
    }
    // The open one goes on, too, and its new cursor is one of the new file.
    assert_eq!(drain(&mut follower).len(), 1);
    assert_eq!(follower.cursor().generation(), 2);
    db.compact().unwrap();
    db.compact().unwrap();
    assert!(is_lost(db.follow("*", FollowFrom::Cursor(at_end))));
    assert!(is_lost(db.follow("*", FollowFrom::Cursor(follower.cursor()))));
    // In the process that writes an open follower misses no rewrite.
    db.append("key", 4i64).unwrap();
    assert_eq!(drain(&mut follower).len(), 1);
    assert_eq!(follower.cursor().generation(), 4);
}

#[test]
fn cursors_of_other_databases_and_of_lost_commits_are_lost() {
    let (folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let other = SynaDB::with_config(folder.path().join("other.syna"), os()).unwrap();
    for db in [&db, &other] {
        db.append_at("key", 1, 1i64).unwrap();
    }
    let cursor = |db: &SynaDB| {
        let mut follower = db.follow("*", FollowFrom::Beginning).unwrap();
        drain(&mut follower);
        follower.cursor()
    };
    assert!(is_lost(db.follow("*", FollowFrom::Cursor(cursor(&other)))));
    // Behind the end, and within an entry.
    db.append_at("key", 2, 2i64).unwrap();
    let text = cursor(&db).to_string();
    let mut parts: Vec<String> = text.split('-').map(str::to_owned).collect();
    let offset: u64 = parts[2].parse().unwrap();
    for wrong in [offset + 48, offset - 8, 8, u64::MAX] {
        parts[2] = wrong.to_string();
        let cursor: Cursor = parts.join("-").parse().unwrap();
        assert!(is_lost(db.follow("*", FollowFrom::Cursor(cursor))), "{wrong}");
    }
    // A power loss took the second commit, and another of the same length came in its place.
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(Arc::clone(&all), PATH, os()).unwrap();
    db.append_at("key", 1, 1i64).unwrap();
    db.sync().unwrap();
    let image = storage.image();
    db.append_at("key", 2, 2i64).unwrap();
    let delivered = cursor(&db);
    storage.crash();
    drop(db);
    let storage = image.into_storage();
    let db = SynaDB::with_storage(Arc::new(storage), PATH, os()).unwrap();
    db.append_at("key", 2, 3i64).unwrap();
    assert_eq!(cursor(&db).offset(), delivered.offset());
    assert!(is_lost(db.follow("*", FollowFrom::Cursor(delivered))));
}

#[test]
fn a_follower_of_another_process_tells_that_it_missed_a_rewrite() {
    let storage = SimulatedStorage::new();
    let db = SynaDB::with_storage(Arc::new(storage.clone()), PATH, os()).unwrap();
    db.append("key", 1i64).unwrap();
    let other = OtherProcess::of(storage.clone());
    let reader = SynaDB::read_only_with_storage(other, PATH, DbConfig::default()).unwrap();
    let mut follower = reader.follow("*", FollowFrom::Now).unwrap();
    db.append("key", 2i64).unwrap();
    db.compact().unwrap();
    db.append("key", 3i64).unwrap();
    assert_eq!(drain(&mut follower).len(), 2);
    db.compact().unwrap();
    db.append("key", 4i64).unwrap();
    db.compact().unwrap();
    for _ in 0..3 {
        assert!(is_lost(follower.next(Duration::ZERO)), "silence after two rewrites");
    }
}

// ---- waiting -----------------------------------------------------------------------------------

#[test]
fn a_follower_says_whether_a_commit_was_read_already() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let mut follower = db.follow("*", FollowFrom::Now).unwrap();
    for value in 0..2_i64 {
        db.append("k", value).unwrap();
    }
    // Both are read at once.
    for is_ready in [false, true, false] {
        assert_eq!(follower.is_ready(), is_ready);
        follower.next(Duration::ZERO).unwrap();
    }
    assert!(!follower.is_ready());
}

#[test]
fn next_waits_for_a_commit_and_no_longer_than_it_may() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    for handle in [db.clone(), SynaDB::open_read_only(&path).unwrap()] {
        let mut follower = handle.follow("followed", FollowFrom::Now).unwrap();
        let began = Instant::now();
        assert!(follower.next(Duration::from_millis(60)).unwrap().is_none());
        assert!(began.elapsed() >= Duration::from_millis(60));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                while !stop.load(Ordering::Relaxed) {
                    db.append("other", 1i64).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(150));
                db.append("followed", 2i64).unwrap();
            });
            let commit = follower.next(Duration::MAX).unwrap().unwrap();
            assert_eq!(commit.changes()[0].key(), "followed");
            // What does not match moves the cursor and is no reason to stay.
            let before = follower.cursor();
            let until = Instant::now() + Duration::from_secs(60);
            while follower.cursor().offset() == before.offset() {
                assert!(Instant::now() < until, "the cursor stays where it is");
                let began = Instant::now();
                assert!(follower.next(Duration::from_millis(100)).unwrap().is_none());
                assert!(began.elapsed() < Duration::from_secs(20));
            }
            assert!(follower.cursor().offset() > before.offset());
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_follower_can_be_handed_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Follower>();
    is_send::<FollowedCommit>();
}

#[test]
fn a_close_ends_the_waiting() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let mut follower = db.follow("*", FollowFrom::Now).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| follower.next(Duration::MAX));
        std::thread::sleep(Duration::from_millis(50));
        db.clone().close().unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(SynaError::Closed)));
    });
}

#[test]
fn damage_ahead_is_told_and_nothing_behind_it_is_delivered() {
    let (_folder, path) = temp();
    // Raw columns, so that the middle of the file is in the chunk.
    let config = os().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(&path, config).unwrap();
    let first = db.append("key", 1i64).unwrap();
    let second = db.append("key", 2i64).unwrap();
    db.append_batch("key", &(0..9000).collect::<Vec<_>>(), &vec![0.5; 9000]).unwrap();
    db.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    for (at, good) in [(second as usize + 30, 1), (whole.len() / 2, 2)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let Ok(db) = SynaDB::open_read_only(&path) else {
            // Opening finds it, too.
            continue;
        };
        let mut follower = db.follow("*", FollowFrom::Beginning).unwrap();
        for _ in 0..good {
            follower.next(Duration::ZERO).unwrap().unwrap();
        }
        for _ in 0..3 {
            let error = follower.next(Duration::ZERO).unwrap_err();
            assert!(matches!(error, SynaError::Corrupt { .. }), "{error}");
        }
    }
    assert!(first > 0);
}

/// Nobody writes to a file that another one has replaced: what is damaged there stays so, and is not
/// passed over on the way to the new one.
#[test]
fn damage_to_a_file_that_was_replaced_is_told() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.append("key", 1i64).unwrap();
    let handles = [db.clone(), {
        let other = OtherProcess::of(synadb::storage::FileStorage);
        SynaDB::read_only_with_storage(other, &path, DbConfig::default()).unwrap()
    }];
    let followers = handles.iter().map(|db| db.follow("*", FollowFrom::Now).unwrap());
    let mut followers: Vec<Follower> = followers.collect();
    let offset = db.append("key", 2i64).unwrap();
    db.append("key", 3i64).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xFF], offset + 28).unwrap();
    // The points are in memory: the rewrite need not read them.
    db.compact().unwrap();
    db.append("key", 4i64).unwrap();
    for follower in &mut followers {
        for _ in 0..3 {
            let error = follower.next(Duration::ZERO).unwrap_err();
            assert!(matches!(error, SynaError::Corrupt { .. }), "{error}");
        }
    }
}

/// A commit whose sync failed was never there for this process, though its bytes are in the file.
#[test]
fn a_commit_that_failed_is_not_delivered_in_its_process() {
    let storage = SimulatedStorage::new();
    let all: Arc<dyn Storage> = Arc::new(storage.clone());
    let db = SynaDB::with_storage(all, PATH, DbConfig::default()).unwrap();
    db.append("key", 1i64).unwrap();
    let mut follower = db.follow("*", FollowFrom::Beginning).unwrap();
    let plan = FaultPlan::new().fail_sync(1, Times::Once, libc::EIO, FailedPages::Clean);
    storage.set_plan(plan);
    db.append("key", 2i64).unwrap_err();
    storage.set_plan(FaultPlan::new());
    assert_eq!(drain(&mut follower).len(), 1);
    assert_eq!(db.len("key").unwrap(), 1);
}

#[test]
fn points_of_a_commit_stay_readable_over_rewrites_and_close() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let mut follower = db.follow("*", FollowFrom::Now).unwrap();
    db.append_batch("key", &(0..20_000).collect::<Vec<_>>(), &vec![0.5; 20_000]).unwrap();
    db.append("large", Atom::Bytes(vec![9; 100_000])).unwrap();
    let bulk = follower.next(Duration::ZERO).unwrap().unwrap();
    let large = follower.next(Duration::ZERO).unwrap().unwrap();
    drop(follower);
    db.compact().unwrap();
    db.close().unwrap();
    let Change::Appended(bulk) = &bulk.changes()[0] else { panic!() };
    let mut parts = Vec::new();
    bulk.for_each(&mut |points| -> synadb::Result<()> {
        parts.push(points.len());
        Ok(())
    })
    .unwrap();
    assert_eq!(parts, [8192, 8192, 3616]);
    assert_eq!(bulk.points().unwrap()[19_999].timestamp, 19_999);
    let Change::Appended(large) = &large.changes()[0] else { panic!() };
    assert_eq!(large.points().unwrap()[0].value, Atom::Bytes(vec![9; 100_000]));
}

// ---- two processes -----------------------------------------------------------------------------

/// Appends numbers and does what it is told; every number is in one commit with its double.
fn writer() {
    let path = var("TEST_PATH");
    let config = os().with_tail_budget_bytes(16 << 10);
    let db = SynaDB::with_config(&path, config).unwrap();
    let mut next = match db.get("number").unwrap() {
        Some(Atom::Int(number)) => number + 1,
        _ => 0,
    };
    say("open");
    while let Some(order) = hear() {
        match order.as_str() {
            "compact" => drop(db.compact().unwrap()),
            "optimize" => drop(db.optimize().unwrap()),
            "retain" => {
                let policy = RetainPolicy::new().last("*", 100).unwrap();
                db.retain(&policy).unwrap();
            }
            "delete" => assert!(db.delete("double").unwrap()),
            "checkpoint" => db.checkpoint().unwrap(),
            "close" => {
                db.close().unwrap();
                say("closed");
                return;
            }
            count => {
                for _ in 0..count.parse::<i64>().unwrap() {
                    let mut batch = db.batch();
                    batch.append_at("number", next, next).unwrap();
                    batch.append_at("double", next, next * 2).unwrap();
                    if next % 50 == 0 {
                        for row in 0..40 {
                            batch.append_at("chunk", row, next).unwrap();
                        }
                    }
                    batch.commit().unwrap();
                    next += 1;
                }
            }
        }
        say(format_args!("done {next}"));
    }
}

/// Reads commits until the number before `until` was delivered.
fn expect_numbers(follower: &mut Follower, next: &mut i64, until: i64, deletions: &mut usize) {
    while *next < until {
        let commit = follower.next(Duration::from_secs(60)).unwrap().expect("a commit");
        let events = events_of(&commit);
        if events.values().flatten().all(|event| *event == Event::Deleted) {
            *deletions += 1;
            continue;
        }
        let value = |key: &str| match &events[key][..] {
            [Event::Point(Point { value: Atom::Int(number), .. })] => *number,
            other => panic!("{other:?}"),
        };
        assert_eq!((value("number"), value("double")), (*next, *next * 2));
        assert_eq!(events.get("chunk").map_or(0, Vec::len), if *next % 50 == 0 { 40 } else { 0 });
        *next += 1;
    }
}

#[test]
fn a_writer_process_that_rewrites_dies_and_returns_is_followed_without_a_gap() {
    let (_folder, path) = temp();
    let rounds: u64 = 30;
    let path_text = path.to_str().unwrap();
    let mut child = Child::spawn("writer", &[("TEST_PATH", path_text)]);
    child.wait_for("open");
    let reader = SynaDB::open_read_only(&path).unwrap();
    let mut follower = reader.follow("*", FollowFrom::Beginning).unwrap();
    let (mut next, mut deletions, mut deleted) = (0, 0, 0);
    let mut rng = support::rng::SplitMix64::announced("follow", 0xF0_110);
    let mut until = 0;
    for round in 0..rounds {
        let orders = ["200", "compact", "optimize", "retain", "delete", "checkpoint", "77"];
        for _ in 0..rng.below(4) + 1 {
            let order = *rng.pick(&orders);
            // A key that is not live cannot be deleted.
            child.tell("3");
            let line = child.next().unwrap();
            until = line.strip_prefix("done ").unwrap().parse().unwrap();
            let rewrites = matches!(order, "compact" | "optimize" | "retain");
            if rewrites {
                // Two rewrites between two looks of another process are told as a loss.
                expect_numbers(&mut follower, &mut next, until, &mut deletions);
                assert!(follower.next(Duration::ZERO).unwrap().is_none_or(|_| {
                    deletions += 1;
                    true
                }));
            }
            child.tell(order);
            let line = child.next().unwrap();
            until = line.strip_prefix("done ").unwrap().parse().unwrap();
            deleted += usize::from(order == "delete");
            if rewrites {
                while follower.next(Duration::ZERO).unwrap().is_some() {
                    deletions += 1;
                }
            }
        }
        if rng.chance(1, 3) {
            expect_numbers(&mut follower, &mut next, until, &mut deletions);
        }
        if rng.chance(1, 4) {
            // What is left before the cursor may still be a deletion.
            let cursor: Cursor = follower.cursor().to_string().parse().unwrap();
            follower = reader.follow("*", FollowFrom::Cursor(cursor)).unwrap();
        }
        if round % 5 == 4 {
            if rng.chance(1, 2) {
                child.kill();
                child.wait();
            } else {
                child.tell("close");
                child.wait_for("closed");
                child.wait();
            }
            child = Child::spawn("writer", &[("TEST_PATH", path_text)]);
            child.wait_for("open");
        }
    }
    expect_numbers(&mut follower, &mut next, until, &mut deletions);
    while follower.next(Duration::ZERO).unwrap().is_some() {
        deletions += 1;
    }
    assert_eq!((next, deletions), (until, deleted));
    assert!(Path::new(&path).exists());
}
