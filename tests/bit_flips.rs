//! Every single bit of a file with every kind of small entry, flipped: an error, the same data, or
//! a reported cut where durability was not claimed; never another value (row 16, promise C1).
//!
//! Then every byte of a file with columns in every encoding, asked in every way in which histories are.
//!
//! Values too large for this file, and checkpoints of several pieces, are in `corruption.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::image::{self, NAME};
use synadb::storage::{MemoryStorage, Storage};
use synadb::{
    Aggregate, AsType, Atom, DbConfig, Downsample, Durability, OnMismatch, OptimizeOptions, Order,
    SynaDB, SynaError, Values,
};

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(0)
}

fn open(storage: &Arc<dyn Storage>) -> SynaDB {
    SynaDB::with_storage(Arc::clone(storage), NAME, config()).unwrap()
}

/// All that can be read, in one sequence of bytes; an error if anything of it is refused.
fn content(db: &SynaDB) -> Result<Vec<u8>, SynaError> {
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>, timestamp: i64, value: &Atom| {
        out.extend_from_slice(&timestamp.to_le_bytes());
        match value {
            Atom::Float(float) => out.extend_from_slice(&float.to_bits().to_le_bytes()),
            other => out.extend_from_slice(format!("{other:?}").as_bytes()),
        }
    };
    for key in db.keys()? {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&db.len(&key)?.to_le_bytes());
        let points = db.get_history(&key)?;
        for point in &points {
            write(&mut out, point.timestamp, &point.value);
        }
        let latest = db.get_point(&key)?.expect("a listed key is live");
        write(&mut out, latest.timestamp, &latest.value);
        let middle = points[points.len() / 2].timestamp;
        let as_of = db.get_point_at(&key, middle)?.expect("it is there");
        write(&mut out, as_of.timestamp, &as_of.value);
        let range =
            db.get_history_range(&key, middle.saturating_sub(5)..middle.saturating_add(5))?;
        out.extend_from_slice(&(range.len() as u64).to_le_bytes());
        out.push(u8::from(db.exists(&key)?));
    }
    out.push(u8::from(db.exists("deleted")?));
    Ok(out)
}

/// The file, and what it holds after each commit that is not known to be durable, newest last.
fn subject() -> (Vec<u8>, Vec<Vec<u8>>) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage);
    db.append_at("deleted", 1, 1.5).unwrap();
    for (n, atom) in [
        Atom::Null,
        Atom::Float(-0.0),
        Atom::Float(f64::from_bits(0x7ff8_0000_dead_beef)),
        Atom::Int(i64::MIN),
        Atom::Text("tëxt".into()),
        Atom::Bytes(vec![0, 255, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        db.append_at("kinds", n as i64, atom).unwrap();
    }
    let times: Vec<i64> = (0..32).collect();
    let floats: Vec<f64> = (0..32).map(|n| f64::from(n) / 8.0).collect();
    db.append_batch("added", &times, &floats).unwrap();
    db.delete("deleted").unwrap();
    db.close().unwrap();
    // A second and a third generation of the slots.
    let db = open(&storage);
    for n in 0..34 {
        db.append_at("s", 1000 - n, n * n).unwrap();
    }
    db.checkpoint().unwrap();
    db.close().unwrap();
    let db = open(&storage);
    let mut batch = db.batch();
    batch.append_at("kinds", 7, 7.5).unwrap();
    batch.append_at("new", 8, "eight").unwrap();
    batch.append_at("new", 8, Atom::Null).unwrap();
    batch.commit().unwrap();
    db.sync().unwrap();
    db.close().unwrap();
    // What follows is with the operating system only.
    let db = open(&storage);
    let mut states = vec![content(&db).unwrap()];
    let mut note = |db: &SynaDB| states.push(content(db).unwrap());
    db.append_at("kinds", 9, -1).unwrap();
    note(&db);
    let mut batch = db.batch();
    batch.append_at("kinds", 10, 10.5).unwrap();
    batch.delete("new").unwrap();
    batch.commit().unwrap();
    note(&db);
    db.append_at("last", i64::MAX, 0.0).unwrap();
    note(&db);
    (image::image_of(&storage), states)
}

#[test]
fn no_flipped_bit_changes_a_value() {
    let (bytes, states) = subject();
    let kinds: Vec<u8> = image::entries(&bytes).iter().map(|entry| entry.kind).collect();
    for kind in [image::PUT, image::TOMBSTONE, image::CHUNK, image::COMMIT, image::CHECKPOINT] {
        assert!(kinds.contains(&kind), "kind {kind} is not in {kinds:?}");
    }
    assert!(bytes.len() > image::LOG_START + 4096, "{} bytes", bytes.len());
    let (_, durable) = image::newest_slot(&bytes);
    let whole = states.last().unwrap();
    let next = AtomicU64::new(0);
    let bits = bytes.len() as u64 * 8;
    let (wrong, cuts, errors) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let report_wrong = |bit: u64, what: &str| {
        wrong.fetch_add(1, Ordering::Relaxed);
        println!("bit {bit} (byte {}): {what}", bit / 8);
    };
    let flip = |bit: u64| {
        let mut flipped = bytes.clone();
        flipped[bit as usize / 8] ^= 1 << (bit % 8);
        // Only what no slot covers may be cut.
        let may_cut = bit / 8 >= durable;
        let storage = image::storage_with(&flipped);
        let reader =
            SynaDB::read_only_with_storage(Arc::clone(&storage), NAME, DbConfig::default());
        match reader.and_then(|db| content(&db)) {
            Ok(found) if found == *whole => {}
            Ok(found) if may_cut && states.contains(&found) => {}
            Ok(_) => report_wrong(bit, "a reader sees other data"),
            Err(_) => {}
        }
        assert_eq!(image::bytes_of(&storage, NAME), flipped, "bit {bit}: a reader wrote");
        match SynaDB::with_storage(Arc::clone(&storage), Path::new(NAME), config()) {
            Ok(db) => match content(&db) {
                Ok(found) if found == *whole => {}
                Ok(found) if may_cut && states.contains(&found) => {
                    let report = db.recovery_report();
                    if report.bytes_cut == 0 || report.reason.is_none() {
                        report_wrong(bit, "a cut that is not reported");
                    }
                    cuts.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => report_wrong(bit, "a writer sees other data"),
                Err(_) => drop(errors.fetch_add(1, Ordering::Relaxed)),
            },
            Err(SynaError::Corrupt { .. }) => {
                errors.fetch_add(1, Ordering::Relaxed);
                if image::bytes_of(&storage, NAME) != flipped {
                    report_wrong(bit, "a refused file was changed");
                }
            }
            Err(
                SynaError::NotADatabase { .. }
                | SynaError::UnsupportedVersion { .. }
                | SynaError::UnsupportedFeature { .. },
            ) => drop(errors.fetch_add(1, Ordering::Relaxed)),
            Err(error) => report_wrong(bit, &format!("an unexpected error: {error}")),
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let bit = next.fetch_add(1, Ordering::Relaxed);
                    if bit >= bits {
                        break;
                    }
                    flip(bit);
                }
            });
        }
    });
    println!("cuts: {}, errors: {}", cuts.load(Ordering::Relaxed), errors.load(Ordering::Relaxed));
    println!("flips: {bits}");
    println!("wrong values: {}", wrong.load(Ordering::Relaxed));
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
    assert!(cuts.load(Ordering::Relaxed) > 0, "nothing was cut: the file has no unsynced part");
}

/// A file of nothing but chunks, with columns in the encodings that the default policy and the cold
/// tier choose, closed. Everything in it is durable.
fn encoded_subject() -> Vec<u8> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let rows = 150_i64;
    let regular: Vec<i64> = (0..rows).map(|row| row * 1_000_000).collect();
    let jittered: Vec<i64> =
        regular.iter().map(|time| time + time.wrapping_mul(7919) % 977).collect();
    let atoms = |of: &dyn Fn(i64) -> Atom| (0..rows).map(of).collect::<Vec<_>>();
    let write = |db: &SynaDB, prefix: &str| {
        let write = |key: &str, times: &[i64], atoms: Vec<Atom>| {
            db.append_batch(&format!("{prefix}/{key}"), times, Values::Atoms(&atoms)).unwrap();
        };
        write("walk", &regular, atoms(&|row| Atom::Float((row * row % 701) as f64 / 100.0)));
        write("noise", &jittered, atoms(&|row| Atom::Float((row as f64).sin())));
        write("constant", &regular, atoms(&|_| Atom::Float(-0.0)));
        write("few", &jittered, atoms(&|row| Atom::Int([i64::MIN, 3, i64::MAX][row as usize % 3])));
        write("ints", &regular, atoms(&|row| Atom::Int(row * 60 + row % 7)));
        write("outlier", &regular, atoms(&|row| Atom::Int(if row == 9 { 1 << 60 } else { row })));
        write("words", &regular, atoms(&|row| Atom::from(["on", "off", "ö"][row as usize % 3])));
        write("lines", &regular, atoms(&|row| Atom::Text(format!("the line {row} of the text"))));
        write("bytes", &regular, atoms(&|row| Atom::Bytes(vec![row as u8; 20])));
        write(
            "gaps",
            &regular,
            atoms(&|row| match row % 7 {
                0..3 => Atom::Null,
                3 => Atom::Float(f64::NAN),
                _ => Atom::Float(row as f64 / 10.0),
            }),
        );
        write(
            "mixed",
            &jittered,
            atoms(&|row| match row % 5 {
                0 => Atom::Null,
                1 => Atom::Int(row),
                2 => Atom::Float(row as f64 / 2.0),
                3 => Atom::from("text"),
                _ => Atom::Bytes(vec![7; 9]),
            }),
        );
    };
    let db = open(&storage);
    write(&db, "cold");
    let cold = OptimizeOptions::default().with_cold(true);
    db.optimize_with(&cold, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    write(&db, "fast");
    db.close().unwrap();
    image::image_of(&storage)
}

/// What every way of asking answers, by its name; an error where it is refused.
fn answers(db: &SynaDB) -> Vec<(String, Result<String, SynaError>)> {
    fn text<T: std::fmt::Debug>(result: Result<T, SynaError>) -> Result<String, SynaError> {
        result.map(|result| format!("{result:?}"))
    }
    let mut all = vec![("content".to_owned(), text(content(db)))];
    for key in db.keys().unwrap_or_default() {
        let mut add = |what: &str, answer| all.push((format!("{key}: {what}"), answer));
        let history = match db.history(&key) {
            Ok(history) => history.on_mismatch(OnMismatch::Null),
            Err(error) => {
                add("history", Err(error));
                continue;
            }
        };
        // Questions first: what a zone map tells must not hang on a block that was verified before.
        add("stats", text(history.stats()));
        let buckets = history.resample("37s".parse().unwrap(), &Aggregate::ALL);
        add("buckets", text(buckets));
        let part = history.clone().range(20_000_000..70_000_000).rows(10..100);
        add("a part", text(part.read()));
        add("stats of a part", text(part.stats()));
        for as_type in [AsType::Natural, AsType::Text, AsType::Struct, AsType::Union] {
            add(as_type.name(), text(history.clone().as_type(as_type).read()));
        }
        let streamed = history.stream().and_then(|mut stream| stream.next_batch());
        add("stream", text(streamed));
        add("tensor", text(history.tensor().map(|floats| floats.to_vec())));
        add("order of time", text(history.clone().order(Order::Time).read()));
        let plot = history.downsample(10, Downsample::Lttb);
        if !matches!(plot, Err(SynaError::TypeMismatch { .. })) {
            add("plot", text(plot));
        }
    }
    all
}

#[test]
fn no_flipped_byte_of_an_encoded_column_changes_an_answer() {
    let bytes = encoded_subject();
    let open = |bytes: &[u8]| {
        let storage = image::storage_with(bytes);
        SynaDB::read_only_with_storage(storage, NAME, DbConfig::default())
    };
    let db = open(&bytes).unwrap();
    let used = db.stats().unwrap().encodings;
    let mut names: Vec<&str> = used.iter().map(|used| used.name).collect();
    names.sort_unstable();
    names.dedup();
    println!("encodings: {names:?}");
    let expected: HashMap<String, String> =
        answers(&db).into_iter().map(|(what, answer)| (what, answer.unwrap())).collect();
    // Every byte takes minutes: `make bit-flips`.
    let step = std::env::var("SYNADB_FLIP_STEP").map_or(37, |step| step.parse().unwrap());
    let (next, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(step, Ordering::Relaxed) as usize + image::LOG_START;
                    if at >= bytes.len() {
                        break;
                    }
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << (at % 8);
                    let Ok(db) = open(&flipped) else { continue };
                    let found = answers(&db);
                    for (what, found) in found {
                        match found {
                            Ok(found) => assert!(found == expected[&what], "byte {at}: {what}"),
                            Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                }
            });
        }
    });
    println!("every {step}th of {} bytes: {refused:?} answers refused", bytes.len());
    assert!(refused.load(Ordering::Relaxed) > 1000);
}
