//! Salvage: every intact commit is recovered, none is invented (row 24).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use support::image::{self, LOG_START, NAME, RawEntry};
use support::rng::SplitMix64;
use synadb::storage::{MemoryStorage, Storage};
use synadb::{
    Atom, DbConfig, Durability, Point, SalvageReport, SynaDB, SynaError, salvage_storage,
};

/// A database and every row its keys ever had. Timestamps are unique, so a point tells its row.
struct Original {
    bytes: Vec<u8>,
    rows: BTreeMap<String, Vec<Point>>,
}

struct Builder {
    storage: Arc<dyn Storage>,
    db: SynaDB,
    rows: BTreeMap<String, Vec<Point>>,
    time: i64,
}

fn config(tail_budget_bytes: usize) -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(tail_budget_bytes)
}

impl Builder {
    fn new(tail_budget_bytes: usize) -> Builder {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let db = SynaDB::with_storage(Arc::clone(&storage), NAME, config(tail_budget_bytes));
        Builder { storage, db: db.unwrap(), rows: BTreeMap::new(), time: 0 }
    }

    fn point(&mut self, key: &str, value: Atom) -> Point {
        self.time += 1;
        let point = Point { timestamp: self.time, value };
        self.rows.entry(key.to_owned()).or_default().push(point.clone());
        point
    }

    fn append(&mut self, key: &str, value: impl Into<Atom>) {
        let point = self.point(key, value.into());
        self.db.append_at(key, point.timestamp, point.value).unwrap();
    }

    fn append_many(&mut self, key: &str, count: usize) {
        let points: Vec<Point> =
            (0..count).map(|n| self.point(key, Atom::Float(n as f64 / 4.0))).collect();
        let times: Vec<i64> = points.iter().map(|p| p.timestamp).collect();
        let values: Vec<Atom> = points.into_iter().map(|p| p.value).collect();
        self.db.append_batch(key, &times, &values).unwrap();
    }

    fn batch(&mut self, parts: &[(&str, usize)], delete: Option<&str>) {
        let mut batch = self.db.batch();
        for (key, count) in parts {
            for n in 0..*count {
                let point = self.point(key, Atom::Int(n as i64));
                batch.append_at(key, point.timestamp, point.value).unwrap();
            }
        }
        if let Some(key) = delete {
            batch.delete(key).unwrap();
        }
        batch.commit().unwrap();
    }

    fn random_step(&mut self, rng: &mut SplitMix64) {
        let key = ["a", "key/b", "c-longer-key", "d"][rng.below(4)];
        match rng.below(100) {
            0..62 => {
                let value = match rng.below(5) {
                    0 => Atom::Null,
                    1 => Atom::Int(rng.next_u64().cast_signed()),
                    2 => Atom::Text("x".repeat(rng.below(30))),
                    3 => Atom::Bytes(vec![0; rng.below(20)]),
                    _ => Atom::Float(f64::from_bits(rng.next_u64())),
                };
                self.append(key, value);
            }
            62..80 => {
                for _ in 0..rng.below(40) {
                    self.append(key, 1.5);
                }
            }
            80..88 => {
                let other = ["a", "d"][rng.below(2)];
                let (here, there) = (1 + rng.below(4), rng.below(36));
                let delete = rng.chance(1, 6).then_some(other);
                self.batch(&[(key, here), (other, there)], delete);
            }
            88..92 => self.append_many(key, 32 + rng.below(40)),
            92..95 => drop(self.db.delete(key).unwrap()),
            95..97 => self.append(key, Atom::Bytes(vec![7; 65_600])),
            97 => self.db.checkpoint().unwrap(),
            98 => self.db.sync().unwrap(),
            _ => {
                let config = self.db.config().clone();
                self.db.clone().close().unwrap();
                self.db = SynaDB::with_storage(Arc::clone(&self.storage), NAME, config).unwrap();
            }
        }
    }

    fn finish(self) -> Original {
        self.db.close().unwrap();
        Original { bytes: image::image_of(&self.storage), rows: self.rows }
    }
}

/// What may and must be found after damage.
#[derive(Default)]
struct Expected {
    /// Of each key the rows that must be there, and those that may.
    must: BTreeMap<String, BTreeSet<u64>>,
    may: BTreeMap<String, BTreeSet<u64>>,
    intact: Vec<RawEntry>,
    damaged: Vec<RawEntry>,
}

fn expected(original: &Original, damaged: &[u8]) -> Expected {
    let bytes = &original.bytes;
    let mut result = Expected::default();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    // The chain's checksum is not needed.
    let same = |entry: &RawEntry| {
        damaged.get(entry.offset + 4..entry.end()) == Some(&bytes[entry.offset + 4..entry.end()])
    };
    let data_end = damaged.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for commit in image::commits(bytes) {
        // Zeros between the columns of a chunk have no checksum: damage there may go unnoticed.
        let intact = commit.iter().all(same);
        let perhaps = commit.iter().all(|entry| entry.kind == image::CHUNK || same(entry));
        for entry in commit {
            let key = String::from_utf8(entry.key.clone()).unwrap();
            let rows = match entry.kind {
                image::PUT => {
                    let next = next.entry(key.clone()).or_default();
                    *next += 1;
                    *next - 1..*next
                }
                image::CHUNK => {
                    let (first, rows) = entry.rows(bytes);
                    let next = next.entry(key.clone()).or_default();
                    *next = (first + rows).max(*next);
                    first..first + rows
                }
                image::TOMBSTONE => {
                    let live_from = next.get(&key).copied().unwrap_or(0);
                    let forget = |rows: &mut BTreeMap<String, BTreeSet<u64>>| {
                        rows.entry(key.clone()).or_default().retain(|row| *row >= live_from);
                    };
                    if perhaps {
                        forget(&mut result.must);
                    }
                    if intact {
                        forget(&mut result.may);
                    }
                    0..0
                }
                _ => 0..0,
            };
            if intact {
                result.must.entry(key.clone()).or_default().extend(rows.clone());
            }
            if intact || perhaps {
                result.may.entry(key).or_default().extend(rows);
            }
            if intact {
                result.intact.push(entry);
            } else if !same(&entry) && entry.kind != image::CHUNK && entry.offset < data_end {
                result.damaged.push(entry);
            }
        }
    }
    result
}

fn same(a: &Point, b: &Point) -> bool {
    a.timestamp == b.timestamp
        && match (&a.value, &b.value) {
            (Atom::Float(a), Atom::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        }
}

fn salvaged(bytes: &[u8]) -> (Arc<dyn Storage>, SalvageReport) {
    let storage = image::storage_with(bytes);
    let report =
        salvage_storage(&storage, Path::new(NAME), Path::new("/copy.syna"), &mut |_| {}).unwrap();
    assert_eq!(image::bytes_of(&storage, NAME), bytes, "the original was modified");
    (storage, report)
}

/// Salvages a damaged image and holds the copy against what must be in it.
fn check(original: &Original, damaged: &[u8]) -> SalvageReport {
    let (storage, report) = salvaged(damaged);
    let db = SynaDB::with_storage(storage, "/copy.syna", config(64 << 20)).unwrap();
    db.verify().unwrap();
    let expected = expected(original, damaged);
    for key in db.keys().unwrap() {
        assert!(original.rows.contains_key(&key), "key {key:?} was invented");
    }
    for (key, points) in &original.rows {
        let none = BTreeSet::new();
        let must = expected.must.get(key).unwrap_or(&none);
        let may = expected.may.get(key).unwrap_or(&none);
        let found = if db.exists(key).unwrap() { db.get_history(key).unwrap() } else { Vec::new() };
        let row_of = |point: &Point| {
            let row = points.partition_point(|p| p.timestamp < point.timestamp);
            assert!(points.get(row).is_some_and(|p| same(p, point)), "{key}: {point:?} is new");
            row as u64
        };
        let rows: Vec<u64> = found.iter().map(row_of).collect();
        assert!(rows.is_sorted_by(|a, b| a < b), "{key}: order {rows:?}");
        let rows: BTreeSet<u64> = rows.into_iter().collect();
        let lost: Vec<&u64> = must.difference(&rows).collect();
        let invented: Vec<&u64> = rows.difference(may).collect();
        assert!(lost.is_empty() && invented.is_empty(), "{key}: {lost:?} {invented:?}");
    }
    let is_missing = |entry: &RawEntry| {
        report.missing.iter().any(|range| {
            range.offset < entry.end() as u64 && (entry.offset as u64) < range.offset + range.len
        })
    };
    for entry in &expected.intact {
        assert!(!is_missing(entry), "{entry:?} is listed as missing: {:?}", report.missing);
    }
    for entry in &expected.damaged {
        assert!(is_missing(entry), "{entry:?} is not listed as missing: {:?}", report.missing);
    }
    report
}

fn damage(bytes: &mut Vec<u8>, rng: &mut SplitMix64) {
    for _ in 0..1 + rng.below(6) {
        if bytes.len() <= LOG_START {
            return;
        }
        let at = LOG_START + rng.below(bytes.len() - LOG_START);
        match rng.below(10) {
            0..4 => bytes[at] ^= 1 << rng.below(8),
            4..7 => {
                let end = (at + 1 + rng.below(400)).min(bytes.len());
                rng.fill(&mut bytes[at..end]);
            }
            7 => {
                let sector = at & !511;
                let end = (sector + 512).min(bytes.len());
                bytes[sector..end].fill(0);
            }
            8 => {
                // A misdirected write.
                let from = (LOG_START + rng.below(bytes.len() - LOG_START)) & !511;
                let (to, len) = (at & !511, 512.min(bytes.len() - from.max(at & !511)));
                bytes.copy_within(from..from + len, to);
            }
            _ if rng.chance(1, 4) => bytes.truncate(at),
            _ => {
                let end = (at + rng.below(5000)).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
        }
    }
}

#[test]
fn every_intact_commit_is_recovered_from_a_thousand_damages() {
    let mut rng = SplitMix64::announced("salvage", 0x5a17);
    let rounds: usize =
        std::env::var("SYNADB_DAMAGES").map_or(1000, |n| n.parse().expect("a number"));
    let mut done = 0;
    while done < rounds {
        let mut builder = Builder::new(if rng.chance(3, 4) { 0 } else { 64 << 20 });
        let steps = 10 + rng.below(250);
        for _ in 0..steps {
            builder.random_step(&mut rng);
        }
        let original = builder.finish();
        let report = check(&original, &original.bytes);
        assert_eq!(report.missing, [], "of a whole file");
        for _ in 0..20 {
            let mut bytes = original.bytes.clone();
            damage(&mut bytes, &mut rng);
            check(&original, &bytes);
            done += 1;
        }
    }
    println!("damages: {done}");
}

/// The first cut of salvage gave up row numbers at the first damage: what a seal held was copied
/// behind the puts it had sealed, so the lost point came last, or twice.
#[test]
fn a_lost_point_comes_back_from_a_later_seal_in_its_place() {
    let mut builder = Builder::new(0);
    for n in 0..33 {
        builder.append("key", f64::from(n));
    }
    builder.append("key", 33.0);
    let original = builder.finish();
    let entries = image::entries(&original.bytes);
    let puts: Vec<&RawEntry> = entries.iter().filter(|e| e.kind == image::PUT).collect();
    assert!(entries.iter().any(|e| e.kind == image::CHUNK), "the points were sealed");
    for lost in [&[0][..], &[5], &[32], &[3, 4, 9], &[0, 1, 2, 31, 32]] {
        let mut bytes = original.bytes.clone();
        for put in lost {
            bytes[puts[*put].offset + 20] ^= 0x40;
        }
        check(&original, &bytes);
        let (storage, _) = salvaged(&bytes);
        let db = SynaDB::with_storage(storage, "/copy.syna", config(0)).unwrap();
        let floats: Vec<f64> = (0..34).map(f64::from).collect();
        assert_eq!(db.get_history_floats("key").unwrap(), floats, "without {lost:?}");
    }
}

/// A rewrite makes a chunk also of a few rows between two values that stand alone. Salvage took
/// every chunk as short as that for one that had sealed the rows before such a value, and behind
/// damage to another key put the value before the chunk behind it.
#[test]
fn few_rows_between_values_that_stand_alone_keep_their_place() {
    let mut builder = Builder::new(64 << 20);
    builder.append_many("damaged", 40);
    for rows in [40, 10, 50, 1, 5] {
        (0..rows).for_each(|_| builder.append("key", "short"));
        builder.append("key", Atom::Bytes(vec![7; 65_600]));
    }
    builder.append("key", "last");
    builder.db.optimize().unwrap();
    let original = builder.finish();
    let mut bytes = original.bytes.clone();
    let in_first_chunk = image::entries(&bytes)[0].end() - 16;
    bytes[in_first_chunk] ^= 1;
    check(&original, &bytes);
    let (storage, _) = salvaged(&bytes);
    let db = SynaDB::with_storage(storage, "/copy.syna", config(0)).unwrap();
    assert!(!db.exists("damaged").unwrap());
    assert!(db.get_history("key").unwrap() == original.rows["key"]);
}

/// A batch behind single points was searched for them although they fill just the rows before it:
/// where times and values repeat some were found by chance, and behind damage to another key
/// points were there twice or in another order.
#[test]
fn points_that_repeat_keep_their_order() {
    for seed in 0..20 {
        let mut builder = Builder::new(64 << 20);
        builder.append_many("damaged", 40);
        let mut rng = SplitMix64::new(seed);
        let mut expected = Vec::new();
        for count in [900, 1 + rng.below(60), 100, 31] {
            let times: Vec<i64> = (0..count).map(|_| rng.below(97) as i64).collect();
            if count >= 100 {
                builder.db.append_batch("key", &times, &times[..]).unwrap();
            } else {
                for time in &times {
                    builder.db.append_at("key", *time, *time).unwrap();
                }
            }
            let point = |time: i64| Point { timestamp: time, value: Atom::Int(time) };
            expected.extend(times.into_iter().map(point));
        }
        let original = builder.finish();
        let mut bytes = original.bytes.clone();
        let in_first_header = image::entries(&bytes)[0].offset + 20;
        bytes[in_first_header] ^= 1;
        let (storage, _) = salvaged(&bytes);
        let db = SynaDB::with_storage(storage, "/copy.syna", config(0)).unwrap();
        let found = db.get_history("key").unwrap();
        let first_wrong = found.iter().zip(&expected).position(|(a, b)| !same(a, b));
        assert_eq!((found.len(), first_wrong), (expected.len(), None), "seed {seed}");
    }
}

#[test]
fn lost_pages_do_not_matter() {
    let mut builder = Builder::new(0);
    let mut rng = SplitMix64::new(3);
    for _ in 0..60 {
        builder.random_step(&mut rng);
    }
    let original = builder.finish();
    for pages in [&[0][..], &[1], &[2], &[1, 2], &[0, 1], &[0, 2]] {
        for fill in [0, 0xff, 0x55] {
            let mut bytes = original.bytes.clone();
            for page in pages {
                bytes[page * image::PAGE..(page + 1) * image::PAGE].fill(fill);
            }
            assert_eq!(check(&original, &bytes).missing, [], "pages {pages:?}");
        }
    }
    // Any flip in the version must not pass for a file of the future.
    for bit in 64..96 {
        let mut bytes = original.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        check(&original, &bytes);
    }
    let mut bytes = original.bytes.clone();
    bytes[..LOG_START].fill(0);
    let storage = image::storage_with(&bytes);
    let error = salvage_storage(&storage, Path::new(NAME), Path::new("/copy"), &mut |_| {});
    assert!(matches!(error, Err(SynaError::NotADatabase { .. })), "{error:?}");
    assert_eq!(storage.list(Path::new("/")).unwrap().len(), 1, "nothing is left behind");
}

#[test]
fn a_batch_is_recovered_wholly_or_not_at_all() {
    let mut builder = Builder::new(64 << 20);
    builder.append("a", 1.0);
    builder.batch(&[("a", 3), ("b", 2), ("c", 40)], None);
    builder.append("a", 2.0);
    let original = builder.finish();
    let batch = &image::commits(&original.bytes)[1];
    assert!(batch.len() > 3);
    for entry in batch {
        for at in [entry.offset, entry.offset + 8, entry.value_at] {
            let mut bytes = original.bytes.clone();
            bytes[at] ^= 1;
            let report = check(&original, &bytes);
            let (storage, _) = salvaged(&bytes);
            let db = SynaDB::with_storage(storage, "/copy.syna", config(0)).unwrap();
            // The chain alone is no reason to lose anything.
            let whole = at == entry.offset;
            assert_eq!(report.missing.is_empty(), whole);
            assert_eq!(db.exists("b").unwrap(), whole, "{entry:?} at {at}");
        }
    }
}

#[test]
fn a_torn_tail_is_listed() {
    let mut builder = Builder::new(64 << 20);
    for n in 0..10 {
        builder.append("key", n);
    }
    let original = builder.finish();
    let entries = image::entries(&original.bytes);
    for entry in &entries[1..10] {
        for len in [1, 8, 23, entry.len - 8] {
            let report = check(&original, &original.bytes[..entry.offset + len]);
            let missing: Vec<(u64, u64)> =
                report.missing.iter().map(|range| (range.offset, range.len)).collect();
            let torn = &original.bytes[entry.offset..entry.offset + len];
            // A first byte of 0 alone is no sign of anything.
            let data = torn.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            let torn_len = data.next_multiple_of(8);
            // The slot of the closed file tells what is gone behind the cut.
            let cut_at = (entry.offset + torn_len).max(entry.offset + len);
            let cut_off = (cut_at as u64, (original.bytes.len() - cut_at) as u64);
            let expected = [(entry.offset as u64, torn_len as u64), cut_off];
            assert_eq!(missing, if data > 0 { &expected[..] } else { &expected[1..] });
        }
    }
}
