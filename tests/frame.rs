//! Promises of frames: every cell is what a search through all points of its key finds, whatever
//! the order in which they were appended; sizes are refused before memory is asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code may panic, and its numbers are small"
)]

mod support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use proptest::prelude::*;
use support::arrow::{atoms_of, same};
use synadb::{
    Align, AsType, Atom, Every, Fill, Frame, FrameTensor, OnMismatch, Point, SynaDB, SynaError,
    Values,
};

const ALIGNS: [Align; 3] = [Align::Backward, Align::Forward, Align::Nearest];

fn every(micros: i64) -> Every {
    Every::from_micros(micros).unwrap()
}

fn times_of(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

/// What is asked of a frame.
#[derive(Debug, Clone)]
struct Asked {
    range: Option<Range<i64>>,
    every: Option<i64>,
    align: Align,
    tolerance: Option<i64>,
    fill: Fill,
}

impl Asked {
    fn of(&self, frame: Frame) -> Frame {
        let mut frame = frame.align(self.align).fill(self.fill);
        if let Some(range) = &self.range {
            frame = frame.range(range.clone());
        }
        if let Some(step) = self.every {
            frame = frame.every(every(step));
        }
        match self.tolerance {
            Some(micros) => frame.tolerance(Duration::from_micros(micros as u64)),
            None => frame,
        }
    }

    /// The times of the rows, by the words of the documentation.
    fn times(&self, keys: &[Vec<Point>]) -> Vec<i64> {
        let all: BTreeSet<i64> = keys.iter().flatten().map(|point| point.timestamp).collect();
        match (self.every, &self.range) {
            (None, None) => all.into_iter().collect(),
            (None, Some(range)) => all.into_iter().filter(|t| range.contains(t)).collect(),
            (Some(step), Some(range)) => {
                (0..).map(|row| range.start + row * step).take_while(|t| *t < range.end).collect()
            }
            (Some(step), None) => {
                let (min, max) = (*all.first().unwrap(), *all.last().unwrap());
                let first = (-200..200).map(|k| k * step).filter(|t| *t <= min).max().unwrap();
                let last = (-200..200).map(|k| k * step).filter(|t| *t >= max).min().unwrap();
                (0..).map(|row| first + row * step).take_while(|t| *t <= last).collect()
            }
        }
    }

    /// The cells of one key.
    fn cells(&self, points: &[Point], times: &[i64]) -> Vec<Atom> {
        let mut above = Atom::Null;
        let cell = |time: &i64| {
            let far = |point: &&Point| point.timestamp.abs_diff(*time);
            // `max_by_key` gives the last of equals, `min_by_key` the first: so reversed.
            let before = points.iter().filter(|p| p.timestamp <= *time).max_by_key(|p| p.timestamp);
            let after =
                points.iter().rev().filter(|p| p.timestamp >= *time).min_by_key(|p| p.timestamp);
            let seen = match self.align {
                Align::Backward => before,
                Align::Forward => after,
                _ => [before, after].into_iter().flatten().min_by_key(far),
            };
            let near = |p: &&Point| self.tolerance.is_none_or(|most| far(p) <= most as u64);
            let mut value = seen.filter(near).map_or(Atom::Null, |point| point.value.clone());
            if value == Atom::Null {
                value = match self.fill {
                    Fill::Last => above.clone(),
                    Fill::Value(fill) => Atom::Float(fill),
                    _ => Atom::Null,
                };
            }
            above = value.clone();
            value
        };
        times.iter().map(cell).collect()
    }
}

/// Points whose times repeat and go back.
fn points() -> impl Strategy<Value = Vec<Point>> {
    let value = prop_oneof![
        8 => (-50_i32..50).prop_map(|n| Atom::Float(f64::from(n) / 4.0)),
        1 => Just(Atom::Null),
        1 => Just(Atom::Float(f64::NAN)),
    ];
    let point = (-60_i64..60, value).prop_map(|(timestamp, value)| Point { timestamp, value });
    let all = proptest::collection::vec(point, 1..60);
    (all, any::<bool>()).prop_map(|(mut points, sorted)| {
        if sorted {
            points.sort_by_key(|point| point.timestamp);
        }
        points
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let range = proptest::option::of((-80_i64..80, 0_i64..90).prop_map(|(a, len)| a..a + len));
    let fill = prop_oneof![Just(Fill::None), Just(Fill::Last), Just(Fill::Value(-7.5))];
    (
        range,
        proptest::option::of(1_i64..25),
        proptest::sample::select(&ALIGNS[..]),
        proptest::option::of(0_i64..15),
        fill,
    )
        .prop_map(|(range, every, align, tolerance, fill)| Asked {
            range,
            every,
            align,
            tolerance,
            fill,
        })
}

fn write(db: &SynaDB, key: &str, points: &[Point], one_by_one: bool) {
    let stamps: Vec<i64> = points.iter().map(|point| point.timestamp).collect();
    let atoms: Vec<Atom> = points.iter().map(|point| point.value.clone()).collect();
    if one_by_one {
        for (stamp, atom) in stamps.iter().zip(atoms) {
            db.append_at(key, *stamp, atom).unwrap();
        }
    } else {
        db.append_batch(key, &stamps, Values::Atoms(&atoms)).unwrap();
    }
}

fn assert_frame(frame: &Frame, asked: &Asked, keys: &[Vec<Point>]) {
    let times = asked.times(keys);
    assert_eq!(frame.timestamps().unwrap()[..], times[..]);
    let batch = frame.read().unwrap();
    assert_eq!(batch.schema(), frame.schema().unwrap());
    assert_eq!(times_of(&batch), times);
    let tensor: FrameTensor = frame.tensor().unwrap();
    assert_eq!(tensor.timestamps[..], times[..]);
    assert_eq!((tensor.rows(), tensor.columns), (times.len(), keys.len()));
    assert_eq!(tensor.values.len(), times.len() * keys.len());
    for (column, points) in keys.iter().enumerate() {
        let expected = asked.cells(points, &times);
        let found = atoms_of(batch.column(column + 1));
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                same(found, expected),
                "{asked:?}: column {column}, time {} is {found:?}, not {expected:?}",
                times[row]
            );
            let number = expected.as_float().unwrap_or(f64::NAN);
            let cell = tensor.row(row).unwrap()[column];
            assert!(cell.to_bits() == number.to_bits() || cell.is_nan() && number.is_nan());
        }
    }
    assert_eq!(tensor.row(times.len()), None);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cells_are_what_a_search_finds(
        keys in proptest::collection::vec(points(), 1..6),
        all_asked in proptest::collection::vec(asked(), 12),
        one_by_one in any::<bool>(),
    ) {
        let db = SynaDB::in_memory().unwrap();
        let names: Vec<String> = (0..keys.len()).map(|key| format!("k{key}")).collect();
        for (name, points) in names.iter().zip(&keys) {
            write(&db, name, points, one_by_one);
        }
        for asked in &all_asked {
            assert_frame(&asked.of(db.frame(&names).unwrap()), asked, &keys);
        }
        let reversed: Vec<Vec<Point>> = keys.iter().rev().cloned().collect();
        let frame = all_asked[0].of(db.frame(names.iter().rev()).unwrap());
        assert_frame(&frame, &all_asked[0], &reversed);
        assert_frame(&all_asked[1].of(db.frame_matching("k*").unwrap()), &all_asked[1], &keys);
    }
}

#[test]
fn long_histories_in_many_chunks_are_aligned_too() {
    let db = SynaDB::in_memory().unwrap();
    let mut keys = Vec::new();
    for key in 0..3_i64 {
        // The second key is in order of time only on the whole.
        let stamp =
            |row: i64| if key == 1 { row * 10 + (row * 7919) % 50_000 } else { row * 10 + key };
        let mut points = Vec::new();
        for first in [0, 9_000, 18_000] {
            let rows = first..first + 9_000;
            let new: Vec<Point> = rows
                .map(|row| Point { timestamp: stamp(row), value: Atom::Float((row * key) as f64) })
                .collect();
            write(&db, &format!("k{key}"), &new, false);
            points.extend(new);
        }
        keys.push(points);
    }
    let names = ["k0", "k1", "k2"];
    for align in ALIGNS {
        for range in
            [None, Some(100_000..103_000), Some(i64::MIN..i64::MIN), Some(400_000..400_500)]
        {
            let asked = Asked { range, every: None, align, tolerance: None, fill: Fill::None };
            if asked.range.is_some() {
                assert_frame(&asked.of(db.frame(names).unwrap()), &asked, &keys);
            }
            let asked = Asked { every: Some(7_000), tolerance: Some(900), ..asked };
            if asked.range.is_some() {
                assert_frame(&asked.of(db.frame(names).unwrap()), &asked, &keys);
            }
        }
    }
    // Of a short range only the blocks its rows can see are read.
    db.forget_columns().unwrap();
    let before = db.stats().unwrap();
    db.frame(["k0", "k2"]).unwrap().range(100_000..101_000).read().unwrap();
    let after = db.stats().unwrap();
    let read =
        after.decoded_bytes + after.copied_bytes - before.decoded_bytes - before.copied_bytes;
    assert!(read < 27_000 * 16, "{read} bytes");
}

#[test]
fn every_column_has_its_keys_type() {
    let db = SynaDB::in_memory().unwrap();
    db.append_batch("float", &[1, 2], &[1.5, 2.5][..]).unwrap();
    db.append_batch("int", &[1, 3], &[10_i64, 30][..]).unwrap();
    db.append_batch("text", &[2, 3], &["b", "c"][..]).unwrap();
    db.append_batch("bytes", &[1, 3], &[&b"x"[..], b"z"][..]).unwrap();
    let mixed = [Atom::Int(1), Atom::Text("two".into()), Atom::Null];
    db.append_batch("mixed", &[1, 2, 3], Values::Atoms(&mixed)).unwrap();
    let keys = ["text", "float", "mixed", "int", "bytes"];
    let table = db.frame(keys).unwrap().tolerance(Duration::from_micros(1)).read().unwrap();
    assert_eq!(times_of(&table), [1, 2, 3]);
    let column = |name: &str| atoms_of(table.column_by_name(name).unwrap());
    assert_eq!(column("float"), [Atom::Float(1.5), Atom::Float(2.5), Atom::Float(2.5)]);
    assert_eq!(column("int"), [Atom::Int(10), Atom::Int(10), Atom::Int(30)]);
    assert_eq!(column("text"), [Atom::Null, Atom::Text("b".into()), Atom::Text("c".into())]);
    assert_eq!(column("bytes"), [b"x", b"x", b"z"].map(|b| Atom::Bytes(b.to_vec())));
    assert_eq!(column("mixed"), mixed);
    let last = db.frame(["mixed"]).unwrap().fill(Fill::Last).read().unwrap();
    assert_eq!(atoms_of(last.column(1)), [mixed[0].clone(), mixed[1].clone(), mixed[1].clone()]);
    let texts = db.frame(["int"]).unwrap().as_type(AsType::Text).read().unwrap();
    assert_eq!(texts.schema().field(1).data_type(), &DataType::Utf8);
    let tensor = db.frame(["int", "float"]).unwrap().tensor().unwrap();
    assert_eq!(tensor.values[..], [10.0, 1.5, 10.0, 2.5, 30.0, 2.5]);

    // What does not fit.
    let texts = db.frame(["text", "int"]).unwrap();
    assert!(matches!(texts.tensor(), Err(SynaError::TypeMismatch { .. })));
    let nulls = texts.clone().on_mismatch(OnMismatch::Null).tensor().unwrap();
    assert!(nulls.row(0).unwrap()[0].is_nan() && nulls.row(0).unwrap()[1] == 10.0);
    assert_eq!(nulls.timestamps[..], [1, 2, 3]);
    let skip = texts.on_mismatch(OnMismatch::Skip).tensor().unwrap();
    assert_eq!(skip.timestamps[..], [1, 3], "points that are left out make no rows");
    let union = db.frame(["int"]).unwrap().as_type(AsType::Union);
    assert!(matches!(union.read(), Err(SynaError::InvalidOption { option: "as_type", .. })));

    // Fills.
    let filled = |key: &str, fill| {
        db.frame([key]).unwrap().range(0..2).every(every(1)).fill(Fill::Value(fill)).read()
    };
    assert_eq!(atoms_of(filled("int", -1.0).unwrap().column(1)), [Atom::Int(-1), Atom::Int(10)]);
    for refused in [filled("int", 0.5), filled("int", f64::NAN), filled("text", 0.0)] {
        assert!(matches!(refused, Err(SynaError::InvalidOption { option: "fill", .. })));
    }
}

#[test]
fn a_null_is_seen_and_nan_is_a_value() {
    let db = SynaDB::in_memory().unwrap();
    let values = [Atom::Float(1.0), Atom::Null, Atom::Float(f64::NAN)];
    db.append_batch("k", &[0, 10, 20], Values::Atoms(&values)).unwrap();
    let frame = db.frame(["k"]).unwrap().range(0..30).every(every(5));
    let cells = |frame: Frame| atoms_of(frame.read().unwrap().column(1));
    let [one, nan] = [Atom::Float(1.0), Atom::Float(f64::NAN)];
    let is = |found: Vec<Atom>, expected: [&Atom; 6]| {
        assert!(found.iter().zip(expected).all(|(a, b)| same(a, b)), "{found:?}");
    };
    is(cells(frame.clone()), [&one, &one, &Atom::Null, &Atom::Null, &nan, &nan]);
    is(cells(frame.clone().fill(Fill::Last)), [&one, &one, &one, &one, &nan, &nan]);
    let zero = Atom::Float(0.0);
    is(cells(frame.fill(Fill::Value(0.0))), [&one, &one, &zero, &zero, &nan, &nan]);
}

#[test]
fn what_makes_no_frame_is_refused_by_name() {
    let db = SynaDB::in_memory().unwrap();
    db.append_at("a", 0, 1.0).unwrap();
    db.append_at("b", 1, 2.0).unwrap();
    let absent = db.frame(["a", "nope", "b"]);
    assert!(matches!(absent, Err(SynaError::KeyNotFound { key }) if key == "nope"));
    let twice = db.frame(["a", "b", "a"]);
    assert!(matches!(twice, Err(SynaError::DuplicateKey { key }) if key == "a"));
    let none = db.frame::<&str>([]);
    assert!(matches!(none, Err(SynaError::InvalidOption { option: "keys", .. })));
    let none = db.frame_matching("x*");
    assert!(matches!(none, Err(SynaError::KeyNotFound { key }) if key == "x*"));
    assert!(matches!(db.frame_matching("[x"), Err(SynaError::InvalidPattern { .. })));
    db.append_at("timestamp", 0, 1.0).unwrap();
    let hidden = db.frame(["timestamp", "a"]).unwrap();
    assert!(matches!(hidden.read(), Err(SynaError::InvalidOption { option: "keys", .. })));
    assert_eq!(hidden.tensor().unwrap().columns, 2);
    db.delete("b").unwrap();
    assert!(matches!(db.frame(["b"]), Err(SynaError::KeyNotFound { .. })));
}

#[test]
fn too_many_cells_are_refused_before_memory_is_asked_for() {
    let db = SynaDB::in_memory().unwrap();
    for key in ["a", "b"] {
        db.append_batch(key, &[0, 365 * 86_400_000_000], &[1.0, 2.0][..]).unwrap();
    }
    let frame = db.frame(["a", "b"]).unwrap().every(every(1));
    let started = Instant::now();
    let rows = 365 * 86_400_000_000_u64 + 1;
    for refused in [frame.read().err(), frame.tensor().err(), frame.timestamps().err()] {
        let error = refused.unwrap();
        assert!(
            matches!(error, SynaError::FrameTooLarge { rows: r, columns: 2, .. } if r == rows),
            "{error:?}"
        );
        assert!(error.to_string().contains("take a longer step"), "{error}");
    }
    const MANY: u64 = u64::MAX - 1;
    let all_time = frame.clone().range(i64::MIN + 1..i64::MAX);
    assert!(matches!(all_time.read(), Err(SynaError::FrameTooLarge { rows: MANY, .. })));
    assert!(started.elapsed().as_secs() < 10);
    assert_eq!(frame.every("1d".parse().unwrap()).read().unwrap().num_rows(), 366);
}

#[test]
fn timestamps_at_the_ends_of_time_are_seen() {
    let db = SynaDB::in_memory().unwrap();
    db.append_batch("k", &[i64::MIN, 0, i64::MAX], &[1.0, 2.0, 3.0][..]).unwrap();
    let cells = |frame: Frame| {
        frame.read().unwrap().column(1).as_primitive::<Float64Type>().values().to_vec()
    };
    let frame = db.frame(["k"]).unwrap();
    assert_eq!(cells(frame.clone()), [1.0, 2.0, 3.0]);
    let one = frame.range(5..6).every(every(1));
    assert_eq!(cells(one.clone()), [2.0]);
    assert_eq!(cells(one.clone().align(Align::Forward)), [3.0]);
    assert_eq!(cells(one.align(Align::Nearest)), [2.0]);
    let early = db.frame(["k"]).unwrap().range(i64::MIN..i64::MIN + 2).every(every(1));
    assert_eq!(cells(early), [1.0, 1.0]);
}

#[test]
fn a_frame_sees_one_commit_and_what_it_gives_stays() {
    let dir = tempfile::tempdir().unwrap();
    let db = SynaDB::new(dir.path().join("f.syna")).unwrap();
    let stamps: Vec<i64> = (0..1_000).collect();
    let values: Vec<f64> = stamps.iter().map(|stamp| *stamp as f64).collect();
    db.append_batch("a", &stamps, &values[..]).unwrap();
    db.append_batch("b", &stamps, &values[..]).unwrap();
    let snapshot = db.snapshot().unwrap();
    let frame = snapshot.frame(["a", "b"]).unwrap();
    let table = frame.read().unwrap();
    db.append_at("a", 5_000, "text").unwrap();
    db.delete("b").unwrap();
    db.optimize().unwrap();
    db.compact().unwrap();
    assert_eq!(frame.read().unwrap(), table);
    assert_eq!(snapshot.frame_matching("*").unwrap().read().unwrap(), table);
    let tensor = frame.tensor().unwrap();
    db.close().unwrap();
    assert!(matches!(frame.read(), Err(SynaError::Closed)));
    drop((frame, snapshot, dir));
    assert_eq!(tensor.row(999), Some(&[999.0, 999.0][..]));
    assert_eq!(table.column(2).as_primitive::<Float64Type>().values()[..], values[..]);
}

/// More columns than are made at a time, more rows than one thread writes at a time.
#[test]
fn a_large_tensor_is_the_table() {
    let db = SynaDB::in_memory().unwrap();
    let stamps: Vec<i64> = (0..3_000).collect();
    for key in 0..70 {
        let values: Vec<f64> = stamps.iter().map(|stamp| (stamp * 100 + key) as f64).collect();
        db.append_batch(&format!("k{key:02}"), &stamps, &values[..]).unwrap();
    }
    let frame = db.frame_matching("*").unwrap();
    let tensor = frame.tensor().unwrap();
    let table = frame.read().unwrap();
    assert!(frame.keys().map(str::to_owned).eq((0..70).map(|key| format!("k{key:02}"))));
    for column in 0..70 {
        let values = table.column(column + 1).as_primitive::<Float64Type>().values();
        for (row, value) in values.iter().enumerate() {
            assert_eq!(tensor.row(row).unwrap()[column], *value);
        }
    }
}
