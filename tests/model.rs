//! Random operations, reopening among them, against a plain map.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use synadb::storage::{MemoryStorage, Storage};
use synadb::{Atom, DbConfig, Durability, OptimizeOptions, Point, RetainPolicy, Snapshot, SynaDB};

/// What one step does.
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
        first: i64,
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
    Sync,
    Flush,
    Reopen,
    Kill,
    Snapshot,
    DropSnapshot,
    Compact,
    Optimize,
    /// The same, and while it runs so many points are added to each of these keys; with none, the key
    /// is deleted; with one, it is put.
    OptimizeBeside(Vec<(u8, usize)>),
    RetainLast {
        key: u8,
        rows: u64,
    },
    RetainSince {
        key: u8,
        timestamp: i64,
    },
}

type Model = BTreeMap<String, Vec<Point>>;

fn atoms() -> impl Strategy<Value = Atom> {
    prop_oneof![
        4 => any::<u64>().prop_map(|bits| Atom::Float(f64::from_bits(bits))),
        3 => any::<i64>().prop_map(Atom::Int),
        1 => Just(Atom::Null),
        1 => ".{0,20}".prop_map(Atom::Text),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Atom::Bytes),
        1 => (65_530usize..65_545).prop_map(|len| Atom::Bytes(vec![7; len])),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let key = 0u8..4;
    prop_oneof![
        12 => (key.clone(), -50i64..50, atoms())
            .prop_map(|(key, timestamp, atom)| Step::Append { key, timestamp, atom }),
        4 => (key.clone(), prop_oneof![0usize..50, 1000usize..9000, Just(8192)], any::<i32>())
            .prop_map(|(key, count, first)| Step::AppendMany { key, count, first: first.into() }),
        3 => proptest::collection::vec((key.clone(), proptest::option::of(any::<i64>())), 0..6)
            .prop_map(Step::Batch),
        1 => (1u8..4, 1usize..100).prop_map(|(keys, count)| Step::BatchMany { keys, count }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        1 => Just(Step::Compact),
        2 => Just(Step::Optimize),
        2 => proptest::collection::vec(
            (key.clone(), prop_oneof![0usize..3, 32usize..60, 8000usize..8300]),
            0..6,
        )
        .prop_map(Step::OptimizeBeside),
        1 => (key.clone(), prop_oneof![0u64..40, 0u64..9000])
            .prop_map(|(key, rows)| Step::RetainLast { key, rows }),
        1 => (key, -60i64..60).prop_map(|(key, timestamp)| Step::RetainSince { key, timestamp }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Sync),
        1 => Just(Step::Flush),
        2 => Just(Step::Reopen),
        2 => Just(Step::Kill),
        1 => Just(Step::Snapshot),
        1 => Just(Step::DropSnapshot),
    ]
}

fn key_name(key: u8) -> String {
    format!("key/{key}")
}

/// Atoms compared bit by bit.
fn same(a: &Point, b: &Point) -> bool {
    a.timestamp == b.timestamp
        && match (&a.value, &b.value) {
            (Atom::Float(a), Atom::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        }
}

fn assert_same(found: &[Point], expected: &[Point], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(same(a, b), "{what}, row {row}: {a:?} instead of {b:?}");
    }
}

fn as_of(points: &[Point], timestamp: i64) -> Option<&Point> {
    points.iter().filter(|p| p.timestamp <= timestamp).max_by_key(|p| p.timestamp)
}

fn check(db: &SynaDB, model: &Model) {
    let keys: Vec<&String> = model.keys().collect();
    assert_eq!(db.keys().unwrap().iter().collect::<Vec<_>>(), keys);
    for (key, points) in model {
        assert_same(&db.get_history(key).unwrap(), points, key);
        assert_eq!(db.len(key).unwrap(), points.len() as u64);
        assert!(same(&db.get_point(key).unwrap().unwrap(), points.last().unwrap()), "{key}");
        let series = db.series(key).unwrap();
        assert!(same(&series.get_point().unwrap().unwrap(), points.last().unwrap()), "{key}");
        for timestamp in [-51, -3, 0, 49, i64::MAX] {
            let found = db.get_point_at(key, timestamp).unwrap();
            match (found, as_of(points, timestamp)) {
                (Some(found), Some(expected)) => {
                    assert!(same(&found, expected), "{key} at {timestamp}")
                }
                (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{key}"),
            }
        }
        let from = points.len() as u64 / 3;
        let to = points.len() as u64 - from / 2;
        let expected = &points[from as usize..to as usize];
        assert_same(&db.get_history_rows(key, from..to).unwrap(), expected, "rows");
        let expected: Vec<Point> =
            points.iter().filter(|p| (-10..20).contains(&p.timestamp)).cloned().collect();
        assert_same(&db.get_history_range(key, -10..20).unwrap(), &expected, "range");
    }
    for key in 0..4 {
        let key = key_name(key);
        assert_eq!(db.exists(&key).unwrap(), model.contains_key(&key));
        if !model.contains_key(&key) {
            assert_eq!(db.get(&key).unwrap(), None);
            assert!(db.get_history(&key).is_err());
        }
    }
}

fn check_snapshot(snapshot: &Snapshot, model: &Model) {
    assert_eq!(
        snapshot.keys().unwrap().iter().collect::<Vec<_>>(),
        model.keys().collect::<Vec<_>>()
    );
    for (key, points) in model {
        assert_same(&snapshot.get_history(key).unwrap(), points, "snapshot");
        assert!(same(&snapshot.get_point(key).unwrap().unwrap(), points.last().unwrap()));
    }
}

struct Run {
    storage: Arc<dyn Storage>,
    config: DbConfig,
    db: Option<SynaDB>,
    model: Model,
    snapshots: Vec<(Snapshot, Model)>,
}

impl Run {
    fn open(&mut self) {
        let db = SynaDB::with_storage(Arc::clone(&self.storage), "/m.syna", self.config.clone());
        self.db = Some(db.unwrap());
    }

    fn push(&mut self, key: u8, timestamp: i64, value: Atom) {
        self.model.entry(key_name(key)).or_default().push(Point { timestamp, value });
    }

    /// Drops the points of a key before the one that `first` says.
    fn keep_from(&mut self, key: u8, first: impl FnOnce(&[Point]) -> usize) {
        let Some(points) = self.model.get_mut(&key_name(key)) else { return };
        points.drain(..first(points));
        if points.is_empty() {
            self.model.remove(&key_name(key));
        }
    }

    fn step(&mut self, step: Step) {
        let db = self.db.clone().unwrap();
        match step {
            Step::Append { key, timestamp, atom } => {
                assert!(db.append_at(&key_name(key), timestamp, atom.clone()).unwrap() > 0);
                self.push(key, timestamp, atom);
            }
            Step::AppendMany { key, count, first } => {
                let timestamps: Vec<i64> = (0..count as i64).map(|i| first + i).collect();
                let values: Vec<f64> = (0..count).map(|i| i as f64 / 8.0).collect();
                db.append_batch(&key_name(key), &timestamps, &values).unwrap();
                for (timestamp, value) in timestamps.into_iter().zip(values) {
                    self.push(key, timestamp, Atom::Float(value));
                }
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
                for (key, change) in changes {
                    match change {
                        Some(value) => self.push(key, value, Atom::Int(value)),
                        None => {
                            self.model.remove(&key_name(key));
                        }
                    }
                }
            }
            Step::BatchMany { keys, count } => {
                let mut batch = db.batch();
                for i in 0..count as i64 {
                    for key in 0..keys {
                        batch.append_at(&key_name(key), i, i * 3).unwrap();
                        self.push(key, i, Atom::Int(i * 3));
                    }
                }
                batch.commit().unwrap();
            }
            Step::Delete { key } => {
                let there = self.model.remove(&key_name(key)).is_some();
                assert_eq!(db.delete(&key_name(key)).unwrap(), there);
            }
            Step::Checkpoint => db.checkpoint().unwrap(),
            Step::Sync => {
                db.sync().unwrap();
                db.verify().unwrap();
            }
            Step::Flush => db.flush().unwrap(),
            Step::Reopen => {
                self.snapshots.clear();
                db.close().unwrap();
                self.open();
                self.db.as_ref().unwrap().verify().unwrap();
            }
            Step::Kill => {
                // What a kill leaves is what the operating system has.
                db.flush().unwrap();
                let copy = SynaDB::read_only_with_storage(
                    Arc::clone(&self.storage),
                    "/m.syna",
                    DbConfig::default(),
                );
                drop(copy.unwrap());
            }
            Step::Snapshot => {
                self.snapshots.push((db.snapshot().unwrap(), self.model.clone()));
            }
            Step::DropSnapshot => {
                self.snapshots.pop();
            }
            Step::Compact => {
                db.compact().unwrap();
                for points in self.model.values_mut() {
                    points.drain(..points.len() - 1);
                }
            }
            Step::Optimize => {
                let report = db.optimize().unwrap();
                let points: usize = self.model.values().map(Vec::len).sum();
                assert_eq!(report.keys, self.model.len() as u64);
                assert_eq!(report.points, points as u64);
                db.verify().unwrap();
            }
            Step::OptimizeBeside(changes) => {
                let mut changes = Some(changes);
                let mut done = Vec::new();
                let mut beside = |_| {
                    for (key, count) in changes.take().into_iter().flatten() {
                        let name = key_name(key);
                        match count {
                            0 => drop(db.delete(&name).unwrap()),
                            1 => drop(db.append_at(&name, 5, 7).unwrap()),
                            _ => {
                                let values = vec![7_i64; count];
                                db.append_batch(&name, &vec![5; count], &values).unwrap();
                            }
                        }
                        done.push((key, count));
                    }
                    ControlFlow::Continue(())
                };
                db.optimize_with(&OptimizeOptions::default(), &mut beside).unwrap();
                for (key, count) in done {
                    if count == 0 {
                        self.model.remove(&key_name(key));
                    }
                    (0..count).for_each(|_| self.push(key, 5, Atom::Int(7)));
                }
                db.verify().unwrap();
            }
            Step::RetainLast { key, rows } => {
                let policy = RetainPolicy::new().last(&key_name(key), rows).unwrap();
                db.retain(&policy).unwrap();
                self.keep_from(key, |points| points.len().saturating_sub(rows as usize));
                db.verify().unwrap();
            }
            Step::RetainSince { key, timestamp } => {
                let policy = RetainPolicy::new().since(&key_name(key), timestamp).unwrap();
                db.retain(&policy).unwrap();
                self.keep_from(key, |points| {
                    let first = points.iter().position(|p| p.timestamp >= timestamp);
                    first.unwrap_or(points.len())
                });
                db.verify().unwrap();
            }
        }
        check(self.db.as_ref().unwrap(), &self.model);
        for (snapshot, model) in &self.snapshots {
            check_snapshot(snapshot, model);
        }
    }
}

fn run(durability: Durability, tail_budget_bytes: usize, steps: Vec<Step>) {
    let config =
        DbConfig::default().with_durability(durability).with_tail_budget_bytes(tail_budget_bytes);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let mut run = Run { storage, config, db: None, model: Model::new(), snapshots: Vec::new() };
    run.open();
    for step in steps {
        run.step(step);
    }
    run.snapshots.clear();
    run.db.take().unwrap().close().unwrap();
    run.open();
    check(run.db.as_ref().unwrap(), &run.model);
    run.db.as_ref().unwrap().close_and_check();
}

trait CloseAndCheck {
    fn close_and_check(&self);
}

impl CloseAndCheck for SynaDB {
    fn close_and_check(&self) {
        self.clone().close().unwrap();
        assert!(self.get("x").is_err(), "a closed handle answers");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn full(steps in proptest::collection::vec(steps(), 1..40)) {
        run(Durability::Full, 64 << 20, steps);
    }

    #[test]
    fn os_with_a_small_tail_budget(steps in proptest::collection::vec(steps(), 1..40)) {
        run(Durability::Os, 4096, steps);
    }

    #[test]
    fn buffered(steps in proptest::collection::vec(steps(), 1..40)) {
        run(Durability::Buffered { size_bytes: 4096, interval_ms: 1 }, 16 << 10, steps);
    }
}
