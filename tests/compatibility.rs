//! Files of every version of the format, kept for ever: each opens and holds what it held (row 86).
//!
//! `cargo test --test compatibility -- --ignored` writes the fixtures of the present version anew;
//! once a version is released, its fixtures are never written again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::image::{self, NAME};
use synadb::storage::{MemoryStorage, Storage};
use synadb::{Atom, DbConfig, Durability, SynaDB, SynaError, salvage_storage};

const VERSION: &str = "v1.0";
const NAN: u64 = 0x7ff8_0000_dead_beef;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A fixture in memory, so that opening it for writing changes nothing here.
fn load(name: &str) -> Arc<dyn Storage> {
    image::storage_with(&std::fs::read(fixture(name)).unwrap())
}

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(0)
}

fn writer(storage: &Arc<dyn Storage>) -> Result<SynaDB, SynaError> {
    SynaDB::with_storage(Arc::clone(storage), NAME, config())
}

fn reader(storage: &Arc<dyn Storage>) -> Result<SynaDB, SynaError> {
    SynaDB::read_only_with_storage(Arc::clone(storage), NAME, DbConfig::default())
}

/// Timestamps and values of a key; floats by their bits.
fn history(db: &SynaDB, key: &str) -> Vec<(i64, String)> {
    let text = |atom: Atom| match atom {
        Atom::Float(float) => format!("float {:#018x}", float.to_bits()),
        Atom::Bytes(bytes) if bytes.len() > 100 => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    };
    let points = db.get_history(key).unwrap();
    points.into_iter().map(|point| (point.timestamp, text(point.value))).collect()
}

/// Every kind of entry but a large value: that is in a fixture of its own.
fn fill(db: &SynaDB) {
    db.append_at("kinds", 1, Atom::Null).unwrap();
    db.append_at("kinds", -2, 1.5).unwrap();
    db.append_at("kinds", i64::MAX, f64::from_bits(NAN)).unwrap();
    db.append_at("kinds", 3, i64::MIN).unwrap();
    db.append_at("kinds", 3, "ü\0").unwrap();
    db.append_at("kinds", 4, vec![0u8, 255]).unwrap();
    db.append_at("gone", 1, 1).unwrap();
    db.append_at("back", 1, 1).unwrap();
    db.delete("gone").unwrap();
    db.delete("back").unwrap();
    db.append_at("back", 2, 2).unwrap();
    let times: Vec<i64> = (0..40).collect();
    let mixed: Vec<Atom> = (0..40)
        .map(|n| match n % 5 {
            0 => Atom::Null,
            1 => Atom::Float(f64::from(n) / 2.0),
            2 => Atom::Int(n.into()),
            3 => Atom::Text(format!("text {n}")),
            _ => Atom::Bytes(vec![n as u8; 3]),
        })
        .collect();
    db.append_batch("mixed", &times, &mixed).unwrap();
    for n in 0..50 {
        db.append_at("sealed", 1000 - n, n * n).unwrap();
    }
    db.checkpoint().unwrap();
    let mut batch = db.batch();
    batch.append_at("batch/a", 7, 7.25).unwrap();
    batch.append_at("batch/b", 8, "b").unwrap();
    for n in 0..33 {
        batch.append_at("batch/c", n, n as f64).unwrap();
    }
    batch.commit().unwrap();
}

fn check(db: &SynaDB) {
    let keys = ["back", "batch/a", "batch/b", "batch/c", "kinds", "mixed", "sealed"];
    assert_eq!(db.keys().unwrap(), keys);
    let kinds = [
        (1, "Null"),
        (-2, "float 0x3ff8000000000000"),
        (i64::MAX, "float 0x7ff80000deadbeef"),
        (3, "Int(-9223372036854775808)"),
        (3, "Text(\"ü\\0\")"),
        (4, "Bytes([0, 255])"),
    ];
    assert_eq!(history(db, "kinds"), kinds.map(|(time, text)| (time, text.to_owned())));
    assert_eq!(history(db, "back"), [(2, "Int(2)".to_owned())]);
    assert!(!db.exists("gone").unwrap());
    let mixed = history(db, "mixed");
    assert_eq!(mixed.len(), 40);
    assert_eq!(
        mixed[30..35],
        [
            (30, "Null".to_owned()),
            (31, "float 0x402f000000000000".to_owned()),
            (32, "Int(32)".to_owned()),
            (33, "Text(\"text 33\")".to_owned()),
            (34, "Bytes([34, 34, 34])".to_owned()),
        ]
    );
    let sealed: Vec<(i64, String)> =
        (0..50).map(|n| (1000 - n, format!("Int({})", n * n))).collect();
    assert_eq!(history(db, "sealed"), sealed);
    assert_eq!(history(db, "batch/a"), [(7, "float 0x401d000000000000".to_owned())]);
    assert_eq!(history(db, "batch/b"), [(8, "Text(\"b\")".to_owned())]);
    let floats: Vec<f64> = (0..33).map(f64::from).collect();
    assert_eq!(db.get_history_floats("batch/c").unwrap(), floats);
    assert_eq!(db.get("sealed").unwrap(), Some(Atom::Int(49 * 49)));
    assert_eq!(db.get_at("sealed", 960).unwrap(), Some(Atom::Int(40 * 40)));
}

fn image_of(fill: impl FnOnce(&SynaDB), close: bool) -> Vec<u8> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = writer(&storage).unwrap();
    fill(&db);
    if close {
        db.close().unwrap();
        return image::bytes_of(&storage, NAME);
    }
    image::image_of(&storage)
}

#[test]
#[ignore = "writes the fixtures of the present format version"]
fn write_the_fixtures() {
    let write = |name: &str, bytes: &[u8]| {
        let path = fixture(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let in_version = |name: &str| format!("{VERSION}/{name}.syna");
    let clean = image_of(fill, true);
    write(&in_version("clean"), &clean);
    write(&in_version("empty"), &image_of(|_| {}, true));
    write(
        &in_version("large"),
        &image_of(
            |db| {
                db.append_at("large", 1, 1).unwrap();
                db.append_at("large", 2, vec![9u8; 65_537]).unwrap();
                db.append_at("large", 3, 3).unwrap();
            },
            true,
        ),
    );
    // Stopped in the middle of a put; in the middle of a batch; before zeros of preallocated space.
    let unclean = image_of(fill, false);
    let mut torn = unclean.clone();
    image::push_entry(&mut torn, image::PUT, 0, 9, b"kinds", &image::int(9));
    torn.truncate(torn.len() - 20);
    write(&in_version("torn"), &torn);
    let mut torn = unclean.clone();
    image::push_entry(&mut torn, image::PUT, image::IN_BATCH, 9, b"kinds", &image::int(9));
    image::push_entry(&mut torn, image::PUT, image::IN_BATCH, 9, b"back", &image::int(9));
    write(&in_version("torn-batch"), &torn);
    let mut zeros = unclean.clone();
    zeros.resize(unclean.len() + 5000, 0);
    write(&in_version("preallocated"), &zeros);
    // A put below the durable length is damaged.
    let mut damaged = clean.clone();
    let entries = image::entries(&clean);
    let put = entries.iter().rfind(|entry| entry.key == b"batch/a").unwrap();
    damaged[put.value_at + 6] ^= 0x10;
    write(&in_version("damaged"), &damaged);
    let mut future = clean;
    image::set(&mut future, 8, &2u16.to_le_bytes());
    image::mend_header(&mut future);
    write("v2.0/future.syna", &future[..image::LOG_START]);
}

#[test]
fn every_fixture_opens_with_its_contents() {
    for (name, cut) in [("clean", 0), ("torn", 28), ("torn-batch", 88), ("preallocated", 0)] {
        let name = format!("v1.0/{name}.syna");
        let storage = load(&name);
        let db = reader(&storage).unwrap();
        check(&db);
        db.verify().unwrap();
        drop(db);
        let db = writer(&storage).unwrap();
        check(&db);
        let report = db.recovery_report();
        assert_eq!((report.bytes_cut, report.torn_copy), (cut, None), "{name}");
        db.append_at("back", 3, 3).unwrap();
        db.close().unwrap();
        let db = writer(&storage).unwrap();
        assert_eq!(db.len("back").unwrap(), 2);
        db.compact().unwrap();
        assert_eq!(db.get("sealed").unwrap(), Some(Atom::Int(49 * 49)));
    }
    let db = reader(&load("v1.0/empty.syna")).unwrap();
    assert_eq!(db.keys().unwrap(), [""; 0]);
    let db = reader(&load("v1.0/large.syna")).unwrap();
    let large = [(1, "Int(1)"), (2, "65537 bytes"), (3, "Int(3)")];
    assert_eq!(history(&db, "large"), large.map(|(time, text)| (time, text.to_owned())));
}

#[test]
fn a_damaged_fixture_is_refused_or_reads_right_and_is_salvaged() {
    let storage = load("v1.0/damaged.syna");
    let result = reader(&storage).and_then(|db| db.verify());
    assert!(matches!(result, Err(SynaError::Corrupt { .. })), "{result:?}");
    let copy = Path::new("/copy.syna");
    let report = salvage_storage(&storage, Path::new(NAME), copy, &mut |_| {}).unwrap();
    assert!(!report.missing.is_empty());
    let db = SynaDB::with_storage(storage, copy, config()).unwrap();
    assert!(!db.exists("batch/b").unwrap(), "a batch is copied wholly or not at all");
    assert_eq!(db.len("sealed").unwrap(), 50);
    assert_eq!(db.len("mixed").unwrap(), 40);
}

#[test]
fn a_file_of_a_newer_major_version_is_refused_by_name() {
    let storage = load("v2.0/future.syna");
    for result in [reader(&storage), writer(&storage)] {
        let Err(error @ SynaError::UnsupportedVersion { major: 2, minor: 0, supported: 1, .. }) =
            result
        else {
            panic!("{result:?}");
        };
        assert!(error.to_string().contains("2.0"), "{error}");
    }
    let bytes = std::fs::read(fixture("v2.0/future.syna")).unwrap();
    assert_eq!(image::bytes_of(&storage, NAME), bytes, "it was left as it is");
}

#[test]
fn fixtures_are_small() {
    for version in ["v1.0", "v2.0"] {
        for file in std::fs::read_dir(fixture(version)).unwrap() {
            let file = file.unwrap();
            assert!(file.metadata().unwrap().len() < 100 << 10, "{:?}", file.path());
        }
    }
}
