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

const VERSION: &str = "v1.1";
/// All that this build reads.
const VERSIONS: [&str; 2] = ["v1.0", "v1.1"];
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

/// Columns of every encoding that appends choose, by key. What a key holds is a formula, so that
/// nothing has to be kept beside the file.
fn encoded_columns() -> Vec<(&'static str, Vec<i64>, Vec<Atom>)> {
    // Some bits without a pattern.
    let noise = |n: i64| n.wrapping_mul(0x5851_f42d_4c95_7f2d).rotate_left(31) ^ n << 7;
    let rows = |len: i64| (0..len).collect::<Vec<i64>>();
    let column = |times: Vec<i64>, value: &dyn Fn(i64) -> Atom| {
        let atoms = (0..times.len() as i64).map(value).collect();
        (times, atoms)
    };
    let jitter: Vec<i64> = (0..1500).map(|n| n * 1_000_000 + (noise(n) & 2047)).collect();
    let squares: Vec<i64> = (0..1500).map(|n| n * n * 3).collect();
    let any: Vec<i64> = (0..300).map(noise).collect();
    let columns = [
        ("constant", column(rows(200), &|_| Atom::Int(-7))),
        ("integers", column(squares.clone(), &|n| Atom::Int(noise(n) & 4095))),
        ("multiples", column(jitter.clone(), &|n| Atom::Int((noise(n) & 63) * 1000 + 5))),
        (
            "outliers",
            column(jitter, &|n| Atom::Int(if n % 400 == 7 { i64::MIN + n } else { n % 9 })),
        ),
        ("raw", column(any, &|n| Atom::Int(noise(n)))),
        ("decimals", column(rows(1500), &|n| Atom::Float((noise(n) & 8191) as f64 / 100.0))),
        ("walk", column(rows(1500), &|n| Atom::Float((n * n % 1777) as f64 / 10.0))),
        (
            "nans",
            column(rows(1500), &|n| {
                let decimal = (noise(n) & 8191) as f64 / 10.0;
                Atom::Float(match n % 7 {
                    3 => f64::from_bits(NAN),
                    5 if n % 350 == 5 => -0.0,
                    _ => decimal,
                })
            }),
        ),
        ("bits", column(rows(1500), &|n| Atom::Float((n as f64 / 10.0).sqrt()))),
        ("few", column(squares, &|n| Atom::Float((noise(n) & 7) as f64 * std::f64::consts::PI))),
        // Two blocks.
        ("long", column(rows(8200), &|n| Atom::Int(n / 2050))),
        ("nulls", column(rows(1500), &|n| if n < 900 { Atom::Int(n) } else { Atom::Null })),
        (
            "mixed runs",
            column(rows(900), &|n| match n / 300 {
                0 => Atom::Int(n),
                1 => Atom::Float(n as f64),
                _ => Atom::Null,
            }),
        ),
        (
            "mixed",
            column(rows(900), &|n| match noise(n) & 3 {
                0 => Atom::Int(n),
                1 => Atom::Float(n as f64),
                2 => Atom::Text(format!("text {}", n % 10)),
                _ => Atom::Bytes(vec![n as u8; 20]),
            }),
        ),
        (
            "words",
            column(rows(900), &|n| Atom::Text(["on", "off", "standby"][n as usize % 3].into())),
        ),
        ("lines", column(rows(300), &|n| Atom::Text(format!("2026-01-01 sensor {n} says ok")))),
        ("zeros", column(rows(300), &|n| Atom::Bytes(vec![0; n as usize]))),
    ];
    columns.into_iter().map(|(key, (times, atoms))| (key, times, atoms)).collect()
}

/// A text that is stored compressed.
fn long_text() -> String {
    "the same again and ".repeat(40)
}

fn fill_encoded(db: &SynaDB) {
    for (key, times, atoms) in encoded_columns() {
        db.append_batch(key, &times, &atoms).unwrap();
    }
    db.append_at("put", 1, long_text()).unwrap();
    db.append_at("put", 2, vec![0u8; 100_000]).unwrap();
}

fn check_encoded(db: &SynaDB) {
    for (key, times, atoms) in encoded_columns() {
        let points = db.get_history(key).unwrap();
        assert_eq!(points.len(), times.len(), "{key}");
        for ((point, time), atom) in points.into_iter().zip(times).zip(atoms) {
            let bits = |atom: &Atom| atom.as_float().map(f64::to_bits);
            let same =
                bits(&point.value) == bits(&atom) && (bits(&atom).is_some() || point.value == atom);
            assert!(same && point.timestamp == time, "{key}: {point:?} {time} {atom:?}");
        }
    }
    let put = db.get_history("put").unwrap();
    assert_eq!(put[0].value, Atom::Text(long_text()));
    assert_eq!(put[1].value, Atom::Bytes(vec![0; 100_000]));
}

/// The numbers of the encodings that the columns of a file have, as flags of its entries say.
fn encodings_of(bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    for entry in image::entries(bytes).iter().filter(|entry| entry.kind == image::CHUNK) {
        let value = &bytes[entry.value_at..];
        let (columns, blocks) = (usize::from(value[5]), image::u32_at(value, 20) as usize);
        for number in 0..blocks * columns {
            let block = number / columns * (136 + 32 * columns);
            let records = entry.records_at(bytes);
            found.push(value[records + block + 136 + 32 * (number % columns) + 1]);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
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
    write(&in_version("encoded"), &image_of(fill_encoded, true));
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
}

/// What is written now is what the newest fixture holds, so that a change to an encoding is seen
/// as the change of the format that it is.
#[test]
fn the_newest_fixture_is_what_is_written() {
    let fixture = std::fs::read(fixture("v1.1/encoded.syna")).unwrap();
    let written = image_of(fill_encoded, true);
    let columns = |bytes: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = image::entries(bytes);
        let of = |kind| entries.iter().filter(move |entry| entry.kind == kind);
        of(image::CHUNK)
            .chain(of(image::PUT))
            .map(|e| (e.key.clone(), bytes[e.value_at..e.value_at + e.val_len].to_vec()))
            .collect()
    };
    for (found, expected) in columns(&written).iter().zip(columns(&fixture)) {
        let key = String::from_utf8_lossy(&expected.0);
        assert!(*found == expected, "the bytes of {key} changed");
    }
    assert_eq!(columns(&written).len(), columns(&fixture).len());
}

#[test]
fn columns_of_every_encoding_read_back() {
    let bytes = std::fs::read(fixture("v1.1/encoded.syna")).unwrap();
    // All but the cold tier, which only a rewrite on demand makes.
    assert_eq!(encodings_of(&bytes), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
    let storage = load("v1.1/encoded.syna");
    let db = reader(&storage).unwrap();
    check_encoded(&db);
    db.verify().unwrap();
    drop(db);
    let db = writer(&storage).unwrap();
    check_encoded(&db);
    drop(db);
    let copy = Path::new("/copy.syna");
    let report = salvage_storage(&storage, Path::new(NAME), copy, &mut |_| {}).unwrap();
    assert_eq!(report.missing, []);
    let db = SynaDB::with_storage(storage, copy, config()).unwrap();
    check_encoded(&db);
    db.verify().unwrap();
}

/// With both options off everything is stored as it is, whatever the file holds already.
#[test]
fn without_encodings_columns_and_puts_are_raw() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let raw = config().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_storage(Arc::clone(&storage), NAME, raw).unwrap();
    fill_encoded(&db);
    check_encoded(&db);
    db.close().unwrap();
    let bytes = image::bytes_of(&storage, NAME);
    assert_eq!(encodings_of(&bytes), [0]);
    assert!(image::entries(&bytes).iter().all(|entry| entry.flags & 3 == 0));
    let only = |config: DbConfig| {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let db = SynaDB::with_storage(Arc::clone(&storage), NAME, config).unwrap();
        fill_encoded(&db);
        check_encoded(&db);
        db.close().unwrap();
        check_encoded(&writer(&storage).unwrap());
        let bytes = image::bytes_of(&storage, NAME);
        let flags = image::entries(&bytes).iter().fold(0, |flags, entry| flags | entry.flags & 3);
        (encodings_of(&bytes), flags)
    };
    let delta = only(config().with_enable_compression(false));
    assert_eq!(delta, (vec![0, 1, 2, 3, 4, 6, 7, 8, 11], 1));
    let compression = only(config().with_enable_delta(false));
    assert_eq!(compression, (vec![0, 5, 9], 2));
}

#[test]
fn every_fixture_opens_with_its_contents() {
    let names = [("clean", 0), ("torn", 28), ("torn-batch", 88), ("preallocated", 0)];
    for (version, (name, cut)) in VERSIONS.iter().flat_map(|v| names.map(|name| (v, name))) {
        let name = format!("{version}/{name}.syna");
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
    for version in VERSIONS {
        let db = reader(&load(&format!("{version}/empty.syna"))).unwrap();
        assert_eq!(db.keys().unwrap(), [""; 0]);
        let db = reader(&load(&format!("{version}/large.syna"))).unwrap();
        let large = [(1, "Int(1)"), (2, "65537 bytes"), (3, "Int(3)")];
        assert_eq!(history(&db, "large"), large.map(|(time, text)| (time, text.to_owned())));
    }
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
    for version in VERSIONS.into_iter().chain(["v2.0"]) {
        for file in std::fs::read_dir(fixture(version)).unwrap() {
            let file = file.unwrap();
            assert!(file.metadata().unwrap().len() < 100 << 10, "{:?}", file.path());
        }
    }
}
