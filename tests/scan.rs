//! Promises of scans: exactly the points that `get_history` gives key by key, in one schema with one
//! dictionary, in batches of about the size asked for, as of one commit, whatever happens meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code may panic, and its numbers are small"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;
use proptest::prelude::*;
use support::arrow::{atoms_of, same};
use support::rng::SplitMix64;
use synadb::storage::MemoryStorage;
use synadb::{
    AsType, Atom, AtomKind, DbConfig, Durability, OnMismatch, Order, Point, Scan, ScanColumn,
    SynaDB, SynaError, Values,
};

type Model = BTreeMap<String, Vec<Point>>;
/// Rows as a scan gives them.
type Rows = Vec<(String, Point)>;

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn below(rng: &mut SplitMix64, bound: u64) -> u64 {
    rng.next_u64() % bound
}

/// A random value of one of the kinds that `kinds` has a bit for; bit 5: integers of any size.
fn random_atom(rng: &mut SplitMix64, kinds: u64) -> Atom {
    loop {
        let kind = AtomKind::ALL[below(rng, 5) as usize];
        if kinds >> kind as u64 & 1 == 0 {
            continue;
        }
        let odd = below(rng, 10) == 0;
        return match kind {
            AtomKind::Null => Atom::Null,
            AtomKind::Float if odd => Atom::Float(f64::from_bits(rng.next_u64())),
            AtomKind::Float => Atom::Float(below(rng, 1000) as f64 / 8.0 - 50.0),
            AtomKind::Int if odd && kinds & 32 != 0 => Atom::Int(rng.next_u64().cast_signed()),
            AtomKind::Int => Atom::Int(below(rng, 1000) as i64 - 500),
            AtomKind::Text => Atom::Text("xäy\0".repeat(below(rng, 3) as usize)),
            AtomKind::Bytes if odd => Atom::Bytes(vec![0xff, 0xfe]),
            AtomKind::Bytes => Atom::Bytes(b"ab".repeat(below(rng, 3) as usize)),
        };
    }
}

struct Made {
    db: SynaDB,
    model: Model,
}

/// A database of some keys whose points lie in chunks, in memory, or both.
fn make(seed: u64) -> Made {
    let mut rng = SplitMix64::new(seed);
    let storage = Arc::new(MemoryStorage::new());
    let open = || SynaDB::with_storage(Arc::clone(&storage) as _, "/s.syna", config()).unwrap();
    let mut db = open();
    let mut model = Model::new();
    let all_kinds = [2_u64, 2, 3, 4, 8, 16, 0b110, 0b111, 0b10_0110, 0b11_1111];
    let kinds = all_kinds[below(&mut rng, all_kinds.len() as u64) as usize];
    let keys = 1 + below(&mut rng, 12);
    let sorted = below(&mut rng, 3) > 0;
    let mut time = 1_000_000_i64;
    for _ in 0..below(&mut rng, 40) {
        // Appended in an order that is not that of the names.
        let key =
            format!("{}/{}", ["ä", "b", "a"][below(&mut rng, 3) as usize], below(&mut rng, keys));
        match below(&mut rng, 16) {
            0 => {
                db.delete(&key).unwrap();
                model.remove(&key);
            }
            1 => {
                db.close().unwrap();
                db = open();
            }
            2 if kinds & 16 != 0 => {
                let value = Atom::Bytes(vec![7; 70_000]);
                db.append_at(&key, time, value.clone()).unwrap();
                model.entry(key).or_default().push(Point { timestamp: time, value });
            }
            way => {
                // Keys of one kind beside keys of others.
                let own = if below(&mut rng, 2) == 0 {
                    kinds
                } else {
                    1 << (kinds & 31).ilog2() | kinds & 33
                };
                let len = [1, 3, 40, 500, 9_000][below(&mut rng, 5) as usize];
                let (mut stamps, mut atoms) = (Vec::new(), Vec::new());
                for _ in 0..len {
                    time += below(&mut rng, 3) as i64 * 500_000;
                    let back = if sorted { 0 } else { below(&mut rng, 40_000_000) as i64 };
                    stamps.push(time - back);
                    atoms.push(random_atom(&mut rng, own));
                }
                if way < 8 && len < 1000 {
                    for (stamp, atom) in stamps.iter().zip(&atoms) {
                        db.append_at(&key, *stamp, atom.clone()).unwrap();
                    }
                } else {
                    db.append_batch(&key, &stamps, Values::Atoms(&atoms)).unwrap();
                }
                let new = stamps.into_iter().zip(atoms);
                let new = new.map(|(timestamp, value)| Point { timestamp, value });
                model.entry(key).or_default().extend(new);
            }
        }
    }
    Made { db, model }
}

fn rows_of(model: &Model) -> Rows {
    let of_key = |(key, points): (&String, &Vec<Point>)| {
        points.iter().map(|point| (key.clone(), point.clone())).collect::<Vec<_>>()
    };
    model.iter().flat_map(of_key).collect()
}

/// The rows in the type that the kinds of all of them ask for.
fn as_natural(rows: &Rows, all: &Rows) -> Rows {
    let has = |kind| all.iter().any(|(_, point)| point.value.kind() == kind);
    let exact = all
        .iter()
        .all(|(_, p)| p.value.as_int().is_none_or(|i| (-(1 << 53)..=1 << 53).contains(&i)));
    let floats = has(AtomKind::Float)
        && has(AtomKind::Int)
        && exact
        && !has(AtomKind::Text)
        && !has(AtomKind::Bytes);
    let natural = |(key, point): &(String, Point)| {
        let value = match point.value {
            Atom::Int(value) if floats => Atom::Float(value as f64),
            _ => point.value.clone(),
        };
        (key.clone(), Point { timestamp: point.timestamp, value })
    };
    rows.iter().map(natural).collect()
}

/// A batch with all columns as rows.
fn rows_of_batch(batch: &RecordBatch) -> Rows {
    let keys = batch.column(0).as_dictionary::<Int32Type>();
    let names = keys.values().as_string::<i32>();
    let stamps = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
    assert_eq!(keys.null_count(), 0);
    let values = atoms_of(batch.column(2)).into_iter();
    let row = |((index, timestamp), value): ((&i32, &i64), Atom)| {
        let point = Point { timestamp: *timestamp, value };
        (names.value(*index as usize).to_owned(), point)
    };
    keys.keys().values().iter().zip(stamps).zip(values).map(row).collect()
}

fn assert_rows(found: &Rows, expected: &Rows, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let alike = found.0 == expected.0
            && found.1.timestamp == expected.1.timestamp
            && same(&found.1.value, &expected.1.value);
        assert!(alike, "{what}: row {row} is {found:?}, not {expected:?}");
    }
}

/// Reads a scan in every way there is, twice: the second time from the cache.
fn assert_scan(scan: &Scan, expected: &Rows, what: &str) {
    let schema = scan.schema().unwrap();
    assert_eq!(scan.count().unwrap(), expected.len() as u64, "{what}");
    for _ in 0..2 {
        let whole = scan.read().unwrap();
        assert_eq!(whole.schema(), schema);
        assert_rows(&rows_of_batch(&whole), expected, what);
        let mut rows = Rows::new();
        let mut stream = scan.stream().unwrap();
        assert_eq!(RecordBatchReader::schema(&stream), schema);
        while let Some(batch) = stream.next_batch().unwrap() {
            assert!(batch.num_rows() > 0, "{what}: an empty batch");
            assert_eq!(batch.schema(), schema);
            let names = batch.column(0).as_dictionary::<Int32Type>().values();
            let of_whole = whole.column(0).as_dictionary::<Int32Type>().values();
            assert!(Arc::ptr_eq(names, of_whole), "{what}: another dictionary");
            rows.extend(rows_of_batch(&batch));
        }
        assert_rows(&rows, expected, what);
    }
    let explain = scan.explain().unwrap();
    assert_eq!(explain.rows, expected.len() as u64);
}

fn by_time(model: &Model) -> Model {
    let mut model = model.clone();
    model.values_mut().for_each(|points| points.sort_by_key(|point| point.timestamp));
    model
}

fn in_time(rows: &Rows, times: &Range<i64>) -> Rows {
    rows.iter().filter(|(_, point)| times.contains(&point.timestamp)).cloned().collect()
}

proptest! {
    // A smaller seed makes no simpler database: there is nothing to shrink.
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn scans_are_the_histories_of_all_keys(seed in any::<u64>()) {
        let Made { db, model } = make(seed);
        let mut rng = SplitMix64::new(seed ^ 1);
        let all = rows_of(&model);
        for (key, points) in &model {
            prop_assert_eq!(db.get_history(key).unwrap().len(), points.len());
        }
        for decode_raw in [false, true] {
            let scan = db.scan("*").unwrap().decode_raw(decode_raw);
            prop_assert!(scan.keys().eq(model.keys().map(String::as_str)));
            let natural = as_natural(&all, &all);
            assert_scan(&scan, &natural, "all");
            let sorted = as_natural(&rows_of(&by_time(&model)), &all);
            assert_scan(&scan.clone().order(Order::Time), &sorted, "by time");
            for batch_size in [1 + below(&mut rng, 20_000) as usize, 700] {
                let small = scan.clone().batch_size(batch_size);
                assert_scan(&small, &natural, "small batches");
                assert_scan(&small.clone().order(Order::Time), &sorted, "small batches by time");
                let batches: Vec<_> = small.stream().unwrap().map(Result::unwrap).collect();
                prop_assert!(batches.iter().all(|batch| batch.num_rows() <= batch_size));
            }
            for _ in 0..3 {
                let time = |rng: &mut SplitMix64| all.get(below(rng, all.len().max(1) as u64) as usize)
                    .map_or(0, |(_, point)| point.timestamp);
                let (a, b) = (time(&mut rng), time(&mut rng));
                let times = a.min(b)..a.max(b);
                let expected = as_natural(&in_time(&all, &times), &all);
                assert_scan(&scan.clone().range(times.clone()), &expected, "range");
                let expected = in_time(&all, &times);
                let structs = scan.clone().range(times).as_type(AsType::Struct).batch_size(5000);
                assert_scan(&structs, &expected, "range as structs");
            }
            let some: Model = model.iter().filter(|(key, _)| key.starts_with('a'))
                .map(|(key, points)| (key.clone(), points.clone())).collect();
            let some = rows_of(&some);
            assert_scan(&db.scan("a/*").unwrap(), &as_natural(&some, &some), "a pattern");
        }
    }

    #[test]
    fn points_that_do_not_fit_are_refused_nulls_or_left_out(seed in any::<u64>()) {
        let Made { db, model } = make(seed);
        let all = rows_of(&model);
        let float = |value: &Atom| match value {
            Atom::Null => Some(Atom::Null),
            Atom::Float(_) => Some(value.clone()),
            Atom::Int(int) if (-(1 << 53)..=1 << 53).contains(int) => Some(Atom::Float(*int as f64)),
            _ => None,
        };
        let with = |(key, point): &(String, Point), value| (key.clone(), Point { value, ..point.clone() });
        let null: Rows = all.iter().map(|row| with(row, float(&row.1.value).unwrap_or(Atom::Null))).collect();
        let skip: Rows = all.iter().filter_map(|row| Some(with(row, float(&row.1.value)?))).collect();
        let scan = db.scan("*").unwrap().as_type(AsType::Float);
        assert_scan(&scan.clone().on_mismatch(OnMismatch::Null), &null, "null");
        assert_scan(&scan.clone().on_mismatch(OnMismatch::Skip), &skip, "skip");
        if skip.len() == all.len() {
            assert_scan(&scan, &null, "all fit");
        } else {
            let raised = scan.read();
            prop_assert!(matches!(raised, Err(SynaError::TypeMismatch { .. })), "{:?}", raised);
            let mut stream = scan.stream().unwrap();
            let failed = stream.by_ref().find_map(Result::err);
            prop_assert!(failed.is_some());
            prop_assert!(stream.next().is_none(), "an error is the end");
        }
    }

    #[test]
    fn latest_batches_are_the_latest_points(seed in any::<u64>()) {
        let Made { db, model } = make(seed);
        let latest: Rows = model.iter()
            .map(|(key, points)| (key.clone(), points.last().unwrap().clone())).collect();
        let batch = db.latest_batch("*").unwrap();
        assert_rows(&rows_of_batch(&batch), &as_natural(&latest, &latest), "latest");
        let snapshot = db.snapshot().unwrap();
        db.append("zzz", 1.0).unwrap();
        prop_assert_eq!(snapshot.latest_batch("*").unwrap(), batch);
    }
}

fn floats(db: &SynaDB, keys: usize, points: usize) {
    for key in 0..keys {
        let stamps: Vec<i64> = (0..points as i64).map(|row| row * 1_000).collect();
        let values: Vec<f64> = (0..points).map(|row| (key * 7 + row) as f64 / 4.0).collect();
        db.append_batch(&format!("k/{key:03}"), &stamps, &values[..]).unwrap();
    }
}

#[test]
fn nothing_is_a_stream_without_batches_that_has_a_schema() {
    let db = SynaDB::in_memory().unwrap();
    let check = |scan: Scan, value: DataType| {
        assert_eq!(scan.count().unwrap(), 0);
        let mut stream = scan.stream().unwrap();
        let schema = RecordBatchReader::schema(&stream);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["key", "timestamp", "value"]);
        assert_eq!(schema.field(2).data_type(), &value);
        assert!(!schema.field(0).is_nullable() && !schema.field(1).is_nullable());
        assert!(stream.next_batch().unwrap().is_none());
        assert!(stream.next_batch().unwrap().is_none());
        let empty = scan.read().unwrap();
        assert_eq!((empty.num_rows(), empty.schema()), (0, schema));
    };
    check(db.scan("*").unwrap(), DataType::Float64);
    check(db.scan("*").unwrap().as_type(AsType::Int), DataType::Int64);
    db.append_at("a", 5, 7_i64).unwrap();
    check(db.scan("b*").unwrap(), DataType::Float64);
    check(db.scan("*").unwrap().range(0..5), DataType::Int64);
    db.delete("a").unwrap();
    check(db.scan("*").unwrap(), DataType::Float64);
    assert_eq!(db.latest_batch("*").unwrap().num_rows(), 0);
    assert!(matches!(db.scan("[a"), Err(SynaError::InvalidPattern { .. })));
    let none = db.scan("*").unwrap().batch_size(0);
    assert!(matches!(none.stream(), Err(SynaError::InvalidOption { option: "batch_size", .. })));
}

#[test]
fn many_small_histories_share_batches() {
    let db = SynaDB::in_memory().unwrap();
    floats(&db, 300, 100);
    let batches: Vec<RecordBatch> =
        db.scan("*").unwrap().stream().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    let scan = db.scan("*").unwrap().batch_size(1_000);
    let rows: Vec<usize> = scan.stream().unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(rows, vec![1_000; 30]);
    // Keys stay whole where they fit.
    let scan = db.scan("*").unwrap().batch_size(250);
    let rows: Vec<usize> = scan.stream().unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(rows, vec![200; 150]);
    assert_eq!(scan.explain().unwrap().batches, 150);
}

#[test]
fn any_columns_can_be_asked_for() {
    let db = SynaDB::in_memory().unwrap();
    floats(&db, 5, 3_000);
    db.append_at("k/002", 5, "text").unwrap();
    let scan = db.scan("*").unwrap().range(1_000..2_000_000).batch_size(4_000);
    let whole = scan.read().unwrap();
    for wanted in 0..8_usize {
        let columns: Vec<ScanColumn> = ScanColumn::ALL
            .into_iter()
            .filter(|column| wanted >> *column as usize & 1 == 1)
            .collect();
        let places: Vec<usize> = columns.iter().map(|column| *column as usize).collect();
        // In which order they are named does not matter.
        let part = scan.clone().columns(columns.into_iter().rev());
        assert_eq!(part.schema().unwrap(), Arc::new(whole.schema().project(&places).unwrap()));
        assert_eq!(part.read().unwrap(), whole.project(&places).unwrap());
        let rows: usize = part.stream().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, whole.num_rows());
        assert_eq!(part.explain().unwrap().columns.len(), places.len());
    }
    // Values that do not fit do not matter to who does not ask for them.
    let keys = scan.columns([ScanColumn::Key]).as_type(AsType::Int);
    assert_eq!(keys.read().unwrap().num_rows(), whole.num_rows());
}

#[test]
fn a_second_scan_decodes_nothing() {
    let db = SynaDB::in_memory().unwrap();
    floats(&db, 40, 9_000);
    for scan in [db.scan("*").unwrap(), db.scan("*").unwrap().range(50_000..6_000_000)] {
        let scan = scan.batch_size(100_000).decode_raw(true);
        let first: Vec<_> = scan.stream().unwrap().map(Result::unwrap).collect();
        assert!(first.len() > 2);
        let before = db.stats().unwrap();
        let explain = scan.explain().unwrap();
        for column in &explain.columns[1..] {
            assert_eq!((column.decoded_bytes, column.copied_bytes), (0, 0), "{explain}");
            assert_eq!(column.cached_bytes, explain.rows * 8, "{explain}");
        }
        let again: Vec<_> = scan.stream().unwrap().map(Result::unwrap).collect();
        let after = db.stats().unwrap();
        assert_eq!(after.decoded_bytes, before.decoded_bytes);
        for (a, b) in first.iter().zip(&again) {
            for column in [1, 2] {
                let pointer =
                    |batch: &RecordBatch| batch.column(column).to_data().buffers()[0].as_ptr();
                assert_eq!(pointer(a), pointer(b), "the same memory");
            }
        }
    }
}

#[test]
fn long_histories_leave_without_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.syna");
    let raw = config().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(&path, raw).unwrap();
    floats(&db, 2, 300_000);
    let scan = db.scan("*").unwrap().batch_size(100_000);
    let batches: Vec<_> = scan.stream().unwrap().map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 100_000));
    let history = db.history("k/000").unwrap().read().unwrap();
    let start = |batch: &RecordBatch, column: usize| {
        let data = batch.column(column).to_data();
        data.buffers()[0].as_ptr() as usize + data.offset() * 8
    };
    assert_eq!(start(&batches[0], 1), start(&history, 0));
    assert_eq!(start(&batches[0], 2), start(&history, 1));
    let explain = scan.explain().unwrap();
    assert!(explain.columns[2].mapped_bytes >= 8 * 580_000, "{explain}");
    drop((db, dir));
    assert_eq!(rows_of_batch(&batches[0])[1].1.value, Atom::Float(0.25), "valid after the file");
}

#[test]
fn chunks_outside_the_range_are_not_read() {
    let db = SynaDB::in_memory().unwrap();
    floats(&db, 20, 20_000);
    let before = db.stats().unwrap().decoded_bytes;
    // One block of each key.
    let rows =
        db.scan("*").unwrap().range(0..1_000_000).decode_raw(true).read().unwrap().num_rows();
    assert_eq!(rows, 20 * 1_000);
    let decoded = db.stats().unwrap().decoded_bytes - before;
    assert!(decoded <= 20 * 8_192 * 16 * 2, "{decoded}");
    let nothing = db.scan("*").unwrap().range(i64::MIN..0).decode_raw(true);
    let before = db.stats().unwrap().decoded_bytes;
    assert_eq!(nothing.read().unwrap().num_rows(), 0);
    assert_eq!(db.stats().unwrap().decoded_bytes, before);
}

#[test]
fn bits_of_nan_are_kept() {
    let db = SynaDB::in_memory().unwrap();
    let odd = [f64::from_bits(0x7ff8_0000_dead_beef), -0.0, f64::from_bits(0xfff0_0000_0000_0001)];
    let stamps: Vec<i64> = (0..3_000).collect();
    for key in ["a", "b"] {
        let values: Vec<f64> = (0..3_000).map(|row| odd[row % 3]).collect();
        db.append_batch(key, &stamps, &values[..]).unwrap();
        db.append_at(key, 1, odd[0]).unwrap();
    }
    for (row, (_, point)) in
        rows_of_batch(&db.scan("*").unwrap().read().unwrap()).iter().enumerate()
    {
        let expected = odd[row % 3_001 % 3].to_bits();
        assert_eq!(point.value.as_float().unwrap().to_bits(), expected, "row {row}");
    }
}

#[test]
fn a_scan_sees_one_commit_whatever_happens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.syna");
    let db = SynaDB::with_config(&path, config()).unwrap();
    floats(&db, 30, 500);
    for key in 0..30 {
        for row in 0..20 {
            db.append_at(&format!("k/{key:03}"), row, key as f64).unwrap();
        }
    }
    let snapshot = db.snapshot().unwrap();
    let scan = snapshot.scan("*").unwrap().batch_size(1_000);
    let expected = rows_of_batch(&db.scan("*").unwrap().read().unwrap());
    let reader = SynaDB::open_read_only(&path).unwrap();
    let of_reader = reader.scan("*").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (db, stop) = (db.clone(), Arc::clone(&stop));
        move || {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                for key in 0..30 {
                    let key = format!("k/{key:03}");
                    match turn % 5 {
                        0 => drop(db.delete(&key).unwrap()),
                        _ => drop(db.append_at(&key, turn, turn as f64).unwrap()),
                    }
                }
                db.append("new", "text").unwrap();
                match turn % 6 {
                    2 => drop(db.optimize().unwrap()),
                    5 => drop(db.compact().unwrap()),
                    _ => {}
                }
                turn += 1;
            }
        }
    });
    for _ in 0..10 {
        assert_scan(&scan, &expected, "while it is written to");
        assert_scan(&of_reader, &expected, "of a read-only handle");
        db.forget_columns().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_scan(&scan, &expected, "afterwards");
    assert_eq!(scan.schema().unwrap().field(2).data_type(), &DataType::Float64);
}

#[test]
fn batches_outlive_the_database_and_a_stream_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.syna");
    let db = SynaDB::with_config(&path, config()).unwrap();
    floats(&db, 10, 1_000);
    let scan = db.scan("*").unwrap().batch_size(2_000);
    let mut stream = scan.stream().unwrap();
    let first = stream.next_batch().unwrap().unwrap();
    let rows = rows_of_batch(&first);
    db.close().unwrap();
    assert!(matches!(stream.next_batch(), Err(SynaError::Closed)));
    assert!(stream.next_batch().unwrap().is_none());
    assert!(matches!(scan.read(), Err(SynaError::Closed)));
    std::fs::remove_file(&path).unwrap();
    drop((scan, stream));
    assert_rows(&rows_of_batch(&first), &rows, "after everything");
    assert_eq!(rows[1].1.value, Atom::Float(0.25));
}

#[test]
fn damage_in_any_key_is_an_error_of_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.syna");
    let raw = config().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(&path, raw).unwrap();
    floats(&db, 6, 10_000);
    db.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // A value that only the last key has, and of it the columns only, not the zone map.
    let needle = ((5 * 7 + 9_995) as f64 / 4.0).to_le_bytes();
    let at = bytes.windows(8).position(|window| window == needle).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(&path, &bytes).unwrap();
    let db = SynaDB::open_read_only(&path).unwrap();
    let scan = db.scan("*").unwrap().batch_size(20_000);
    assert!(matches!(scan.read(), Err(SynaError::Corrupt { .. })));
    let mut stream = scan.stream().unwrap();
    let found: Vec<_> = stream.by_ref().collect();
    assert!(found.last().unwrap().is_err());
    assert!(found.iter().rev().skip(1).all(Result::is_ok));
    assert!(stream.next().is_none(), "never the rest as if it were all");
    assert_eq!(db.scan("k/00[0-4]").unwrap().read().unwrap().num_rows(), 50_000);
    // What does not touch the damaged block can be read.
    assert_eq!(scan.range(0..5_000_000).read().unwrap().num_rows(), 30_000);
}

/// Peak memory is that of one batch and the budgets, not of all keys.
#[test]
fn a_stream_holds_one_batch() {
    let config = config().with_column_cache_bytes(0).with_buffer_pool_bytes(1 << 20);
    let db = SynaDB::with_storage(Arc::new(MemoryStorage::new()), "/b.syna", config).unwrap();
    floats(&db, 200, 10_000);
    let scan = db.scan("*").unwrap().batch_size(100_000);
    let mut stream = scan.stream().unwrap();
    let mut rows = 0;
    while let Some(batch) = stream.next_batch().unwrap() {
        rows += batch.num_rows();
        // Three columns of 100,000 rows, in blocks that may be a sixteenth larger.
        let used = db.stats().unwrap().buffer_pool_used_bytes;
        assert!(used <= 100_000 * 20 * 5 / 4, "{used}");
    }
    assert_eq!(rows, 2_000_000);
}

/// A range without an end once ended before the last of all timestamps: a stamp that says "for ever"
/// was in no range that began somewhere.
#[test]
fn a_range_without_an_end_has_the_last_timestamp() {
    for config in [config(), config().with_enable_delta(false).with_enable_compression(false)] {
        let db = SynaDB::with_storage(Arc::new(MemoryStorage::new()), "/r.syna", config).unwrap();
        let stamps = [i64::MIN, -1, 0, 7, i64::MAX];
        db.append_batch("few", &stamps, &[0.0, 1.0, 2.0, 3.0, 4.0][..]).unwrap();
        let many: Vec<i64> = (0..20_000).chain([i64::MAX]).collect();
        db.append_batch("many", &many, &vec![1.5; many.len()][..]).unwrap();
        let few = || db.history("few").unwrap();
        assert_eq!(few().range(0..).len().unwrap(), 3);
        assert_eq!(few().range(0..i64::MAX).len().unwrap(), 2);
        assert_eq!(few().range(i64::MAX..).len().unwrap(), 1);
        assert_eq!(few().range(i64::MAX..i64::MAX).len().unwrap(), 0);
        assert_eq!(few().range(..).len().unwrap(), 5);
        assert_eq!(few().range(..0).len().unwrap(), 2);
        assert_eq!(few().cut_times(7..).len().unwrap(), 2);
        assert_eq!(db.get_history_range("few", 7..).unwrap().len(), 2);
        assert_eq!(db.history("many").unwrap().range(19_999..).len().unwrap(), 2);
        assert_eq!(db.scan("*").unwrap().range(7..).count().unwrap(), 2 + 19_994);
        let frame = db.frame(["few", "many"]).unwrap();
        assert_eq!(frame.clone().range(19_999..).timestamps().unwrap()[..], [19_999, i64::MAX]);
        assert_eq!(frame.range(8..=8).timestamps().unwrap()[..], [8]);
    }
}
