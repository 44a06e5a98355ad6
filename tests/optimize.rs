//! `optimize` and `retain`: what they keep, what they leave of the file, and that they can be
//! stopped. That they leave the old file or the new one at every crash is for `crash.rs`, random
//! histories for `model.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::image;
use support::rng::SplitMix64;
use support::simulated::SimulatedStorage;
use synadb::storage::{MemoryStorage, Storage};
use synadb::{
    Atom, DbConfig, Durability, OptimizeOptions, Point, RetainPolicy, RewriteReport, SynaDB,
    SynaError,
};

fn os() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optimized.syna");
    (folder, path)
}

fn assert_same(found: &[Point], expected: &[Point], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (a, b)) in found.iter().zip(expected).enumerate() {
        let same = match (&a.value, &b.value) {
            (Atom::Float(a), Atom::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        assert!(same && a.timestamp == b.timestamp, "{what}, row {row}: {a:?}, not {b:?}");
    }
}

/// Every way in which a history can lie in the file, in the order in which it was appended.
fn varied(db: &SynaDB) -> Vec<(&'static str, Vec<Point>)> {
    let mut expected: Vec<(&'static str, Vec<Point>)> = Vec::new();
    let mut add = |key: &'static str, points: Vec<(i64, Atom)>, bulk: bool| {
        if bulk {
            let (times, atoms): (Vec<i64>, Vec<Atom>) = points.iter().cloned().unzip();
            db.append_batch(key, &times, &atoms).unwrap();
        } else {
            for (time, atom) in &points {
                db.append_at(key, *time, atom.clone()).unwrap();
            }
        }
        let points = points.into_iter().map(|(timestamp, value)| Point { timestamp, value });
        match expected.iter_mut().find(|(known, _)| *known == key) {
            Some((_, all)) => all.extend(points),
            None => expected.push((key, points.collect())),
        }
    };
    let floats = |from: i64, count: i64| -> Vec<(i64, Atom)> {
        (from..from + count).map(|i| (i, Atom::Float(i as f64 / 3.0))).collect()
    };
    // Single points that were sealed, a bulk write that is no whole number of blocks, single ones.
    add("z/floats", floats(0, 20_000), false);
    add("z/floats", floats(20_000, 30_000), true);
    add("z/floats", floats(50_000, 77), false);
    // Nulls in one block only, and a stretch of nothing else.
    add("nulls", floats(0, 9000), true);
    add("nulls", (0..20_000).map(|i| (i, Atom::Null)).collect(), true);
    add("nulls", floats(0, 100), false);
    let mixed = |i: i64| match i % 5 {
        0 => Atom::Null,
        1 => Atom::Float(f64::from_bits(0x7ff8_0000_0000_0000 | i as u64)),
        2 => Atom::Int(i64::MIN + i),
        3 => Atom::Text(format!("text {i}")),
        _ => Atom::Bytes(vec![i as u8; i as usize % 50]),
    };
    add("mixed", (0..20_000).map(|i| (-i, mixed(i))).collect(), true);
    add("mixed", (0..1000).map(|i| (i, mixed(i))).collect(), false);
    // Kinds one after the other.
    add("kinds", (0..9000).map(|i| (i, Atom::Int(i))).collect(), true);
    add("kinds", floats(0, 9000), true);
    add("kinds", (0..50).map(|i| (i, Atom::Text(format!("{i}")))).collect(), false);
    // Large values stand alone, with few points before, between and behind.
    for i in 0..4_i64 {
        add("large", floats(i * 10, i), false);
        add("large", vec![(i, Atom::Text("ä".repeat(40_000)))], false);
        add("large", vec![(i, Atom::Bytes(vec![i as u8; 65_537]))], false);
    }
    add("large", floats(0, 40), false);
    add("few", floats(0, 3), false);
    add("one", vec![(i64::MIN, Atom::Text(String::new()))], false);
    // A second life.
    db.append("again", 1i64).unwrap();
    db.append_batch("again", &(0..9000).collect::<Vec<_>>(), &vec![1.0; 9000]).unwrap();
    db.delete("again").unwrap();
    add("again", floats(0, 5), false);
    add("many again", Vec::new(), false);
    db.append_batch("many again", &[1, 2, 3], &[1_i64, 2, 3]).unwrap();
    db.delete("many again").unwrap();
    add("many again", floats(0, 20_000), true);
    for key in 0..30 {
        db.append(&format!("gone/{key}"), key).unwrap();
        db.delete(&format!("gone/{key}")).unwrap();
    }
    expected.sort_by_key(|(key, _)| *key);
    expected
}

fn check(db: &SynaDB, expected: &[(&'static str, Vec<Point>)]) {
    let keys: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
    assert_eq!(db.keys().unwrap(), keys);
    for (key, points) in expected {
        assert_same(&db.get_history(key).unwrap(), points, key);
        assert_same(&[db.get_point(key).unwrap().unwrap()], &points[points.len() - 1..], key);
    }
}

#[test]
fn optimize_keeps_every_live_point_in_its_row_with_its_time() {
    for tail_budget_bytes in [64 << 20, 4096] {
        let (_folder, path) = temp();
        let config = os().with_tail_budget_bytes(tail_budget_bytes);
        let open = || SynaDB::with_config(&path, config.clone()).unwrap();
        let mut db = open();
        let mut expected = varied(&db);
        check(&db, &expected);
        let before = db.stats().unwrap();
        assert!(before.reclaimable_bytes > 500_000, "{before:?}");
        for round in 0..3 {
            let snapshot = db.snapshot().unwrap();
            let held: Vec<_> = expected.clone();
            let report = db.optimize().unwrap();
            let points: usize = expected.iter().map(|(_, points)| points.len()).sum();
            assert_eq!(report.keys, expected.len() as u64);
            assert_eq!(report.points, points as u64);
            check(&db, &expected);
            db.verify().unwrap();
            let stats = db.stats().unwrap();
            assert_eq!(stats.reclaimable_bytes, 0, "{stats:?}");
            assert!(stats.log_bytes < before.log_bytes);
            // A reader builds the same from the file.
            check(&SynaDB::open_read_only(&path).unwrap(), &expected);
            if round == 1 {
                db.close().unwrap();
                db = open();
                check(&db, &expected);
            }
            // Every kind of history goes on.
            for (key, points) in &mut expected {
                let point = Point { timestamp: 7, value: Atom::Int(round) };
                db.append_at(key, point.timestamp, point.value.clone()).unwrap();
                points.push(point);
            }
            let times: Vec<i64> = (0..10_000).collect();
            db.append_batch("large", &times, &vec![0.5; 10_000]).unwrap();
            let more = times.iter().map(|t| Point { timestamp: *t, value: Atom::Float(0.5) });
            expected.iter_mut().find(|(key, _)| *key == "large").unwrap().1.extend(more);
            check(&db, &expected);
            if round != 1 {
                for (key, points) in &held {
                    assert_same(&snapshot.get_history(key).unwrap(), points, key);
                }
            }
            drop(snapshot);
            db.close().unwrap();
            db = open();
            check(&db, &expected);
            db.verify().unwrap();
        }
    }
}

/// Histories of numbers, however they came, end in as few bytes as one bulk write takes.
#[test]
fn the_size_does_not_depend_on_how_points_came() {
    let times: Vec<i64> = (0..100_000).collect();
    let values: Vec<f64> = times.iter().map(|t| *t as f64 * 0.25).collect();
    let mut sizes = Vec::new();
    for step in [1, 50, 1000, 10_000, 100_000] {
        let (_folder, path) = temp();
        let db = SynaDB::with_config(&path, os()).unwrap();
        for (times, values) in times.chunks(step).zip(values.chunks(step)) {
            match step {
                1 => drop(db.append_at("key", times[0], values[0]).unwrap()),
                _ => drop(db.append_batch("key", times, values).unwrap()),
            }
        }
        let report = db.optimize().unwrap();
        assert_eq!(db.get_history_floats("key").unwrap(), values);
        assert_eq!(db.stats().unwrap().chunks, 1, "{step}");
        // Doing it again changes nothing but the salt.
        assert_eq!(db.optimize().unwrap().bytes_after, report.bytes_after);
        sizes.push(report.bytes_after);
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    assert!(sizes[0] < 100_000 * 16 + 20_000, "{sizes:?}");
}

/// A column of a block as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    role: u8,
    encoding: u8,
    rows: u32,
    bytes: Vec<u8>,
}

const FLOATS: u8 = 3;
const PCO: u8 = 12;

/// The columns of all blocks in the order of the file.
fn stored_blocks(path: &Path) -> Vec<Stored> {
    let bytes = fs::read(path).unwrap();
    let mut found = Vec::new();
    for entry in image::entries(&bytes).iter().filter(|entry| entry.kind == image::CHUNK) {
        let value = entry.value(&bytes);
        let (columns, blocks) = (usize::from(value[5]), image::u32_at(value, 20) as usize);
        let data_start = image::u64_at(value, 24) as usize;
        let records = entry.records_at(&bytes);
        for block in 0..blocks {
            let record = records + block * (136 + 32 * columns);
            for column in 0..columns {
                let at = record + 136 + 32 * column;
                let start = data_start + image::u64_at(value, at + 8) as usize;
                let len = image::u64_at(value, at + 16) as usize;
                found.push(Stored {
                    role: value[at],
                    encoding: value[at + 1],
                    rows: image::u32_at(value, record),
                    bytes: value[start..start + len].to_vec(),
                });
            }
        }
    }
    found
}

/// A random walk, which is encoded, and bits that no encoding makes shorter.
fn two_keys(db: &SynaDB, rows: i64) {
    let mut rng = SplitMix64::new(7);
    let mut cents = 0_i64;
    let mut step = || {
        // Small steps come often, large ones rarely: what the cold tier makes most of.
        cents += (rng.below(21) * rng.below(21)) as i64 - 100;
        cents as f64 / 100.0
    };
    let times: Vec<i64> = (0..rows).collect();
    let walk: Vec<f64> = times.iter().map(|_| step()).collect();
    db.append_batch("walk", &times, &walk).unwrap();
    let mut rng = SplitMix64::new(8);
    let noise: Vec<i64> = times.iter().map(|_| rng.next_u64().cast_signed()).collect();
    db.append_batch("noise", &times, &noise).unwrap();
}

/// Appends make blocks of 8,192 rows; `optimize` makes them of 16,384, and of 65,536 in the cold tier,
/// once. What it made it copies as it is, the last block of a history, too, as long as nothing comes
/// behind it.
#[test]
fn blocks_become_large_once_and_are_copied_from_then_on() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    two_keys(&db, 2 * 65_536 + 1000);
    let walk = || -> Vec<Stored> {
        stored_blocks(&path).into_iter().filter(|stored| stored.role == FLOATS).collect()
    };
    let rows = || -> Vec<u32> { walk().iter().map(|stored| stored.rows).collect() };
    let are_cold = || -> Vec<bool> { walk().iter().map(|s| s.encoding == PCO).collect() };
    assert_eq!(rows()[..3], [8192, 8192, 8192]);
    let keys = ["walk", "noise"];
    let expected = keys.map(|key| db.get_history(key).unwrap());
    db.optimize().unwrap();
    assert_eq!(rows(), [16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 1000]);
    let warm = stored_blocks(&path);
    db.optimize().unwrap();
    assert!(stored_blocks(&path) == warm, "what was optimized became something else");
    // To tell what is copied from what is encoded anew and comes out the same: the cold tier, to
    // which without being asked for nothing is encoded.
    let go_on = &mut |_| ControlFlow::Continue(());
    db.optimize_with(&OptimizeOptions::default().with_cold(true), go_on).unwrap();
    assert_eq!((rows(), are_cold()), (vec![65_536, 65_536, 1000], vec![true; 3]));
    let once = walk();
    db.optimize().unwrap();
    assert!(walk() == once, "what was optimized became something else");
    for (key, points) in keys.iter().zip(&expected) {
        assert_same(&db.get_history(key).unwrap(), points, key);
    }
    // Points behind the last block join it; the others stay.
    db.append_batch("walk", &[0; 100], &[0.25; 100]).unwrap();
    db.optimize().unwrap();
    assert_eq!((rows(), are_cold()), (vec![65_536, 65_536, 1100], vec![true, true, false]));
    assert!(walk()[..2] == once[..2]);
    db.verify().unwrap();
}

/// Raw columns gain nothing from longer blocks and are copied as appends made them.
#[test]
fn raw_blocks_are_copied_as_they_are() {
    let (_folder, path) = temp();
    let config = os().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(&path, config).unwrap();
    two_keys(&db, 5 * 8192 + 77);
    let mut before = stored_blocks(&path);
    db.optimize().unwrap();
    let mut after = stored_blocks(&path);
    before.sort();
    after.sort();
    assert!(before == after);
}

/// A chunk of blocks that could be copied is not decoded because of some points before it: the run
/// of whole blocks stays, byte for byte.
#[test]
fn long_runs_of_full_blocks_are_copied_as_they_are() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    const ROWS: u64 = 16_384;
    two_keys(&db, 40 * ROWS as i64);
    db.optimize().unwrap();
    let history = db.get_history("walk").unwrap();
    let blocks = |rows: u64| -> Vec<Stored> {
        let found = stored_blocks(&path).into_iter();
        found.filter(|stored| stored.role == FLOATS && u64::from(stored.rows) == rows).collect()
    };
    let full = blocks(ROWS);
    assert_eq!(full.len(), 40);
    // Blocks behind a part of one: more than are worth moving.
    db.retain(&RetainPolicy::new().last("walk", 36 * ROWS + 100).unwrap()).unwrap();
    assert!(blocks(ROWS) == full[4..], "the blocks were encoded anew");
    assert_eq!(blocks(100).len(), 1);
    let last = |rows: u64| &history[history.len() - rows as usize..];
    assert_same(&db.get_history("walk").unwrap(), last(36 * ROWS + 100), "walk");
    // A few behind a part of one are moved.
    db.retain(&RetainPolicy::new().last("walk", 16 * ROWS + 100).unwrap()).unwrap();
    assert!(blocks(ROWS) != full[24..] && blocks(100).len() == 1);
    assert_same(&db.get_history("walk").unwrap(), last(16 * ROWS + 100), "walk");
    db.verify().unwrap();
}

#[test]
fn retain_drops_leading_rows_only_and_the_first_rule_decides() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let expected = varied(&db);
    // Times of this key go back: what comes behind the first late enough point stays.
    for time in [5, 1, 9, 2, 3] {
        db.append_at("times", time, time).unwrap();
    }
    let policy = RetainPolicy::new()
        .last("z/*", 10_001)
        .unwrap()
        .since("times", 6)
        .unwrap()
        .last("m*", 3)
        .unwrap()
        .last("one", 0)
        .unwrap()
        .since("few", 1_000_000)
        .unwrap()
        .last("large", 45)
        .unwrap()
        .last("z/*", 1)
        .unwrap();
    db.retain(&policy).unwrap();
    for round in 0..2 {
        let db = match round {
            0 => db.clone(),
            _ => SynaDB::open_read_only(&path).unwrap(),
        };
        let tail = |key: &str, count: usize| {
            let all = &expected.iter().find(|(known, _)| *known == key).unwrap().1;
            assert_same(&db.get_history(key).unwrap(), &all[all.len() - count..], key);
        };
        tail("z/floats", 10_001);
        tail("mixed", 3);
        tail("many again", 3);
        tail("large", 45);
        tail("nulls", 29_100);
        let times: Vec<i64> =
            db.get_history("times").unwrap().iter().map(|point| point.timestamp).collect();
        assert_eq!(times, [9, 2, 3]);
        assert!(!db.exists("one").unwrap() && !db.exists("few").unwrap());
        db.verify().unwrap();
    }
    // What is left goes on, whatever it is.
    for key in ["one", "few", "large", "mixed", "times"] {
        let before = db.len(key).unwrap();
        for i in 0..100 {
            db.append_at(key, i, i).unwrap();
        }
        db.append_batch(key, &(0..9000).collect::<Vec<_>>(), &vec![2.0; 9000]).unwrap();
        assert_eq!(db.len(key).unwrap(), before + 9100);
    }
    db.close().unwrap();
    let db = SynaDB::with_config(&path, os()).unwrap();
    assert_eq!(db.len("one").unwrap(), 9100);
    assert_eq!(db.len("mixed").unwrap(), 9103);
    db.verify().unwrap();
    db.optimize().unwrap();
    assert_eq!(db.len("large").unwrap(), 45 + 9100);
    db.verify().unwrap();
}

/// A large value that is the first row kept stands in a chunk of its own, which no seal may take in:
/// points that are to share a chunk have at most 64 KiB.
#[test]
fn a_large_value_at_the_beginning_does_not_hinder_sealing() {
    let (_folder, path) = temp();
    let config = os().with_tail_budget_bytes(1024);
    let db = SynaDB::with_config(&path, config.clone()).unwrap();
    for i in 0..10_i64 {
        db.append_at("key", i, i).unwrap();
    }
    let large = Atom::Bytes(vec![7; 70_000]);
    db.append_at("key", 10, large.clone()).unwrap();
    db.retain(&RetainPolicy::new().last("key", 1).unwrap()).unwrap();
    assert_eq!(db.get("key").unwrap(), Some(large.clone()));
    for i in 0..40_i64 {
        db.append_at("key", i, Atom::Bytes(vec![i as u8; 60_000])).unwrap();
    }
    db.append("other", 1i64).unwrap();
    let stats = db.stats().unwrap();
    assert!(stats.tail_points < 40, "nothing was sealed: {stats:?}");
    assert_eq!(db.len("key").unwrap(), 41);
    db.close().unwrap();
    let db = SynaDB::with_config(&path, config).unwrap();
    assert_eq!(db.get_history("key").unwrap()[0].value, large);
    db.verify().unwrap();
    db.optimize().unwrap();
    assert_eq!(db.get_history("key").unwrap()[0].value, large);
    db.verify().unwrap();
}

/// The rewrite's index had a short chunk behind a large value as a segment, an index built from the
/// file kept its rows in the tail, together with a point appended later; so the chunk that sealed
/// that point alone was a part of what it replaced, and the file counted as damaged.
#[test]
fn what_is_sealed_after_a_rewrite_is_replayed_as_it_was() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.append("key", Atom::Bytes(vec![7; 65_537])).unwrap();
    db.append_batch("key", &(0..32).collect::<Vec<_>>(), &vec![0.5; 32]).unwrap();
    db.optimize().unwrap();
    db.append("key", 0.0).unwrap();
    db.append_batch("key", &(0..8192).collect::<Vec<_>>(), &vec![1.5; 8192]).unwrap();
    db.close().unwrap();
    let db = SynaDB::with_config(&path, os()).unwrap();
    db.verify().unwrap();
    assert_eq!(db.len("key").unwrap(), 1 + 32 + 1 + 8192);
}

#[test]
fn a_cancelled_rewrite_leaves_the_file_as_it_was() {
    let (folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let expected = varied(&db);
    db.sync().unwrap();
    let before = fs::read(&path).unwrap();
    let options = OptimizeOptions::default();
    let policy = RetainPolicy::new().last("*", 1).unwrap();
    for rewrite in 0..3 {
        let mut cancelled = 0;
        for calls in 1.. {
            let mut left = calls;
            let mut progress = |progress: synadb::Progress| {
                assert!(progress.done_bytes <= progress.total_bytes);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let result = match rewrite {
                0 => db.optimize_with(&options, &mut progress),
                1 => db.retain_with(&policy, &mut progress),
                _ => db.compact_with(&mut progress),
            };
            let Err(error) = result else { break };
            assert!(matches!(error, SynaError::Cancelled), "{error}");
            cancelled += 1;
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a file is left");
            if rewrite == 0 {
                // The slots are written in the background.
                let now = fs::read(&path).unwrap();
                assert!(now[12_288..] == before[12_288..], "the log was changed");
                check(&db, &expected);
            }
        }
        assert!(cancelled > 1, "rewrite {rewrite}");
        db.verify().unwrap();
    }
    assert!(db.keys().unwrap().iter().all(|key| db.len(key).unwrap() == 1));
}

/// What is appended while a rewrite runs is kept whole, deletions too.
#[test]
fn appends_beside_a_rewrite_are_kept() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    for which in 0..2 {
        let name = format!("/{which}.syna");
        let db = SynaDB::with_storage(Arc::clone(&storage), &name, os()).unwrap();
        for key in ["kept", "deleted", "cut", "gone", "back"] {
            db.append_batch(key, &[1, 2, 3], &[1_i64, 2, 3]).unwrap();
        }
        db.append_batch("long", &(0..20_000).collect::<Vec<_>>(), &vec![1.5; 20_000]).unwrap();
        let mut told = 0;
        let mut during = |_| {
            assert!(matches!(db.optimize(), Err(SynaError::Busy)));
            if told == 0 {
                db.append("kept", 4i64).unwrap();
                db.delete("deleted").unwrap();
                db.append("gone", 4i64).unwrap();
                db.delete("back").unwrap();
                db.append("back", 9i64).unwrap();
                db.append("new", Atom::Text("x".repeat(70_000))).unwrap();
                let times: Vec<i64> = (0..100).collect();
                db.append_batch("long", &times, &vec![2.5; 100]).unwrap();
                db.append_batch("long", &(0..9000).collect::<Vec<_>>(), &vec![3.5; 9000]).unwrap();
                let mut batch = db.batch();
                batch.append("kept", 5i64).unwrap();
                batch.append("cut", 5i64).unwrap();
                batch.commit().unwrap();
            }
            told += 1;
            ControlFlow::Continue(())
        };
        if which == 0 {
            db.optimize_with(&OptimizeOptions::default(), &mut during).unwrap();
        } else {
            let policy = RetainPolicy::new().last("gone", 0).unwrap().last("cut", 1).unwrap();
            db.retain_with(&policy, &mut during).unwrap();
        }
        for db in
            [db.clone(), SynaDB::read_only_with_storage(Arc::clone(&storage), &name, os()).unwrap()]
        {
            let len = |key: &str| db.len(key).unwrap();
            assert_eq!(len("kept"), 5);
            assert!(!db.exists("deleted").unwrap());
            assert_eq!(len("gone"), if which == 0 { 4 } else { 1 });
            assert_eq!(len("cut"), if which == 0 { 4 } else { 2 });
            assert_eq!((len("back"), db.get("back").unwrap()), (1, Some(Atom::Int(9))));
            assert_eq!(len("new"), 1);
            let floats = db.get_history_floats("long").unwrap();
            assert_eq!(floats.len(), 29_100);
            assert_eq!((floats[19_999], floats[20_000], floats[20_100]), (1.5, 2.5, 3.5));
            db.verify().unwrap();
        }
        db.close().unwrap();
        let db = SynaDB::with_storage(Arc::clone(&storage), &name, os()).unwrap();
        assert_eq!(db.len("long").unwrap(), 29_100);
        db.verify().unwrap();
        db.close().unwrap();
    }
}

/// All three rewrites.
type Rewrite = fn(&SynaDB) -> synadb::Result<RewriteReport>;

const REWRITES: [(&str, Rewrite); 3] = [
    ("compact", |db| db.compact()),
    ("optimize", |db| db.optimize()),
    ("retain", |db| db.retain(&RetainPolicy::new().last("*", 7)?)),
];

#[test]
fn a_rewrite_without_room_leaves_the_old_file() {
    for (name, rewrite) in REWRITES {
        let storage = SimulatedStorage::new();
        let all: Arc<dyn Storage> = Arc::new(storage.clone());
        let db = SynaDB::with_storage(Arc::clone(&all), "/a", os()).unwrap();
        for key in 0..60_i64 {
            let times: Vec<i64> = (0..key * 3 + 8).collect();
            let values: Vec<f64> = times.iter().map(|t| *t as f64).collect();
            db.append_batch(&format!("key{key}"), &times, &values).unwrap();
        }
        let len = |db: &SynaDB| db.len("key50").unwrap();
        let before = len(&db);
        db.sync().unwrap();
        let used: u64 = storage.image().files().map(|(_, content)| content.len()).sum();
        let mut failures = 0;
        for more in (0..).map(|step| step * 3000) {
            storage.set_space_limit(Some(used + more));
            let result = rewrite(&db);
            let files = storage.list("/".as_ref()).unwrap();
            assert_eq!(files.len(), 1, "{name}: {files:?}");
            let Err(error) = result else { break };
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::StorageFull), "{error}");
            failures += 1;
            assert_eq!(len(&db), before);
            db.verify().unwrap();
        }
        assert!(failures > 2, "{name}: {failures}");
        storage.set_space_limit(None);
        let after = len(&db);
        assert_eq!(
            after,
            [1, before, 7][["compact", "optimize", "retain"]
                .iter()
                .position(|other| *other == name)
                .unwrap()]
        );
        db.append("key50", 1.5).unwrap();
        db.close().unwrap();
        let db = SynaDB::with_storage(all, "/a", os()).unwrap();
        assert_eq!(len(&db), after + 1);
        db.verify().unwrap();
    }
}

#[test]
fn rewrites_of_nothing_and_of_deleted_keys_work() {
    for (name, rewrite) in REWRITES {
        let (_folder, path) = temp();
        let db = SynaDB::with_config(&path, os()).unwrap();
        assert_eq!(rewrite(&db).unwrap().keys, 0, "{name}");
        for key in 0..50 {
            db.append(&format!("key{key}"), key).unwrap();
            db.append_batch("bulk", &[1, 2], &[1.0, 2.0]).unwrap();
        }
        for key in db.keys().unwrap() {
            assert!(db.delete(&key).unwrap());
        }
        let report = rewrite(&db).unwrap();
        assert_eq!((report.keys, report.points), (0, 0), "{name}");
        assert!(report.bytes_after < report.bytes_before);
        assert_eq!(db.keys().unwrap(), Vec::<String>::new());
        db.append("key1", 5i64).unwrap();
        db.close().unwrap();
        let db = SynaDB::open_read_only(&path).unwrap();
        assert_eq!((db.len("key1").unwrap(), db.keys().unwrap().len()), (1, 1));
        db.verify().unwrap();
    }
}

#[test]
fn optimize_and_retain_keep_the_mode_and_owner_of_the_file() {
    for (name, rewrite) in REWRITES {
        let (_folder, path) = temp();
        let db = SynaDB::with_config(&path, os()).unwrap();
        db.append("key", 1i64).unwrap();
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&path).unwrap();
        rewrite(&db).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_ne!(before.ino(), after.ino(), "{name}");
        let of = |status: &fs::Metadata| (status.mode(), status.uid(), status.gid());
        assert_eq!(of(&before), of(&after), "{name}");
        fs::hard_link(&path, path.with_extension("link")).unwrap();
        let error = rewrite(&db).unwrap_err();
        assert!(matches!(error, SynaError::HardLinked { .. }), "{error}");
    }
}

/// Whatever is damaged: the rewrite fails, or what it makes holds the points that were there.
#[test]
fn damage_is_never_copied() {
    let (folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    for key in ["a", "b"] {
        for i in 0..40 {
            db.append_at(key, i, i as f64).unwrap();
        }
        let times: Vec<i64> = (0..9000).collect();
        db.append_batch(key, &times, &vec![0.25; 9000]).unwrap();
    }
    let texts: Vec<Atom> = (0..100).map(|i| Atom::Text(format!("text {i}"))).collect();
    db.append_batch("texts", &(0..100).collect::<Vec<_>>(), &texts).unwrap();
    db.append("large", Atom::Bytes(vec![7; 70_000])).unwrap();
    // These blocks are copied as they are.
    let times: Vec<i64> = (0..3 * 8192).collect();
    db.append_batch("copied", &times, &vec![0.75; times.len()]).unwrap();
    // Damage to what is dropped is no reason to keep it.
    db.append_batch("gone", &(0..9000).collect::<Vec<_>>(), &vec![0.5; 9000]).unwrap();
    db.delete("gone").unwrap();
    db.close().unwrap();
    let whole = fs::read(&path).unwrap();
    let db = SynaDB::open_read_only(&path).unwrap();
    let read = |db: &SynaDB| -> Vec<(String, Vec<Point>)> {
        let keys = db.keys().unwrap().into_iter();
        keys.map(|key| (key.clone(), db.get_history(&key).unwrap())).collect()
    };
    let expected = read(&db);
    drop(db);
    let mut rng = SplitMix64::announced("optimize", 0x0971);
    let (mut refused, mut whole_again) = (0, 0);
    for round in 0..400 {
        let mut bytes = whole.clone();
        let at = 12_288 + rng.below(bytes.len() - 12_288);
        bytes[at] ^= 1 << rng.below(8);
        let path = folder.path().join(format!("{round}.syna"));
        fs::write(&path, &bytes).unwrap();
        let Ok(db) = SynaDB::with_config(&path, os()) else {
            refused += 1;
            continue;
        };
        match db.optimize() {
            Err(error) => {
                assert!(matches!(error, SynaError::Corrupt { .. }), "{error}");
                refused += 1;
            }
            Ok(_) => {
                assert!(read(&db) == expected, "other points after a flip at {at}");
                db.verify().unwrap();
                whole_again += 1;
            }
        }
        drop(db);
        fs::remove_file(&path).unwrap();
    }
    assert!(refused > 100 && whole_again > 10, "{refused} refused, {whole_again} whole");
}

// ---- in the background -------------------------------------------------------------------------

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// More to drop than to keep: points that came one by one and were sealed.
fn fill(db: &SynaDB, key: &str) {
    for i in 0..20_000 {
        db.append_at(key, i, i as f64).unwrap();
    }
}

/// A real column, read back to the bit: once cold, blocks stay so under the default options, and it
/// does not come into what is appended afterwards.
#[test]
fn the_cold_tier_takes_less_and_holds_the_same_points() {
    let (_folder, path) = temp();
    let db = SynaDB::with_config(&path, os()).unwrap();
    let csv = include_str!("../examples/data/nyc-weather-2013.csv");
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let temp = names.iter().position(|name| *name == "temp").unwrap();
    let values: Vec<f64> =
        lines.map(|line| line.split(',').nth(temp).unwrap().parse().unwrap_or(f64::NAN)).collect();
    let times: Vec<i64> = (0..values.len() as i64).collect();
    db.append_batch("temp", &times, &values).unwrap();
    let warm = db.optimize().unwrap().bytes_after;
    let used = |name: &str| db.stats().unwrap().encodings.iter().any(|used| used.name == name);
    assert!(!used("pco"));
    let go_on = &mut |_| ControlFlow::Continue(());
    let options = OptimizeOptions::default().with_cold(true);
    let cold = db.optimize_with(&options, go_on).unwrap().bytes_after;
    assert!(cold < warm && used("pco"), "{cold} bytes, {warm} warm");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&db.get_history_floats("temp").unwrap()), bits(&values));
    assert_eq!(bits(&db.history("temp").unwrap().floats().unwrap()), bits(&values));
    // What is cold stays so, until something is appended behind it.
    assert!(db.optimize().unwrap().bytes_after == cold && used("pco"));
    db.append_at("temp", 0, 0.0).unwrap();
    assert!(db.optimize().unwrap().bytes_after >= warm && !used("pco"));
    db.optimize_with(&options, go_on).unwrap();
    assert!(used("pco"));
    for (time, value) in times.iter().zip(&values).take(5000) {
        db.append_at("other", *time, *value).unwrap();
    }
    // Seals.
    db.checkpoint().unwrap();
    db.delete("temp").unwrap();
    assert!(used("delta") && !used("pco"), "{:?}", db.stats().unwrap().encodings);
    db.verify().unwrap();
}

#[test]
fn a_rewrite_in_the_background_begins_when_it_is_worth_it() {
    let (_folder, path) = temp();
    let config = os().with_auto_optimize(true).with_auto_optimize_min_bytes(500_000);
    let db = SynaDB::with_config(&path, config.clone()).unwrap();
    db.append("other", 1i64).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let stats = db.stats().unwrap();
    assert_eq!((stats.generation, stats.auto_optimizes), (1, 0));
    fill(&db, "key");
    wait_until("no rewrite", || {
        // A keeper with nothing to do sleeps.
        db.append("other", 1i64).unwrap();
        db.stats().unwrap().auto_optimizes > 0
    });
    let stats = db.stats().unwrap();
    assert_eq!((stats.generation, stats.auto_optimize_error), (2, None));
    assert!(stats.reclaimable_bytes < 10_000, "{}", stats.reclaimable_bytes);
    assert_eq!(db.len("key").unwrap(), 20_000);
    db.verify().unwrap();
    let other = SynaDB::with_config(&path, config.with_auto_optimize(false)).unwrap_err();
    assert!(matches!(other, SynaError::OptionsConflict { .. }), "{other}");
    db.close().unwrap();
    // Off by default.
    let db = SynaDB::with_config(&path, os()).unwrap();
    fill(&db, "key");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(db.stats().unwrap().generation, 2);
}

#[test]
fn a_rewrite_in_the_background_that_fails_is_told_and_not_repeated_at_once() {
    let (folder, path) = temp();
    let config = os().with_auto_optimize(true).with_auto_optimize_min_bytes(1000);
    let db = SynaDB::with_config(&path, config).unwrap();
    // Other links are a reason to refuse it.
    fs::hard_link(&path, folder.path().join("link.syna")).unwrap();
    fill(&db, "key");
    wait_until("no failure", || {
        db.append("other", 1i64).unwrap();
        db.stats().unwrap().auto_optimize_error.is_some()
    });
    let stats = db.stats().unwrap();
    let error = stats.auto_optimize_error.unwrap();
    assert!(error.contains("hard links"), "{error}");
    assert_eq!((stats.generation, stats.auto_optimizes), (1, 0));
    // Appends go on as if nothing had happened.
    db.append("key", 1i64).unwrap();
    db.sync().unwrap();
    db.close().unwrap();
}

/// A close does not wait for a rewrite in the background to come to its end.
#[test]
fn a_close_ends_a_rewrite_in_the_background() {
    for wait_ms in [0, 300, 900, 1000, 1050, 1100, 1300] {
        let (folder, path) = temp();
        let config = os().with_auto_optimize(true).with_auto_optimize_min_bytes(1000);
        let db = SynaDB::with_config(&path, config).unwrap();
        let times: Vec<i64> = (0..1000).collect();
        for key in 0..200 {
            let key = format!("key{key}");
            for _ in 0..9 {
                db.append_batch(&key, &times, &vec![1.5; 1000]).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        db.close().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a file is left");
        let db = SynaDB::with_config(&path, os()).unwrap();
        assert_eq!(db.keys().unwrap().len(), 200);
        assert_eq!(db.len("key7").unwrap(), 9000);
        db.close().unwrap();
    }
}

#[test]
fn stats_tell_what_is_live_replaced_and_how_it_is_encoded() {
    let (_folder, path) = temp();
    let config = os().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(&path, config).unwrap();
    assert!(db.stats().unwrap().encodings.is_empty());
    fill(&db, "key");
    // Seals what has not filled a block yet.
    db.checkpoint().unwrap();
    let stats = db.stats().unwrap();
    assert_eq!(stats.live_bytes + stats.reclaimable_bytes, stats.log_bytes - 12_288);
    // All points are in chunks, and as puts of 40 bytes.
    assert_eq!(stats.replaced_bytes, 20_000 * 40);
    let used = |stats: &synadb::Stats| -> u64 {
        stats.encodings.iter().map(|used| used.decoded_bytes).sum()
    };
    assert_eq!(used(&stats), 20_000 * 16);
    db.optimize().unwrap();
    let stats = db.stats().unwrap();
    assert_eq!((used(&stats), stats.replaced_bytes), (20_000 * 16, 0));
    assert_eq!(stats.encodings[0].name, "raw");
    db.delete("key").unwrap();
    let stats = db.stats().unwrap();
    assert!(stats.encodings.is_empty());
    assert!(stats.replaced_bytes >= 20_000 * 16, "{stats:?}");
    assert_eq!(SynaDB::open_read_only(&path).unwrap().stats().unwrap().encodings, []);
}
