//! Promises of histories as Arrow: the same points as `get_history`, whatever they are and wherever
//! they lie; no copies where none are needed; memory that outlives everything; damage is an error.

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
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use support::arrow::{atoms_of, same};
use support::rng::SplitMix64;
use synadb::storage::MemoryStorage;
use synadb::{
    Aggregate, AsType, Atom, AtomKind, DbConfig, Downsample, Durability, Every, Explain, Number,
    OnMismatch, Order, Point, SynaDB, SynaError,
};

const KEY: &str = "k";

/// Random numbers in the types that are handy here.
struct Rng(SplitMix64);

impl Rng {
    fn new(seed: u64) -> Rng {
        Rng(SplitMix64::new(seed))
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn open(storage: &Arc<MemoryStorage>) -> SynaDB {
    SynaDB::with_storage(Arc::clone(storage) as _, "/m.syna", config()).unwrap()
}

fn open_file(path: &Path) -> SynaDB {
    SynaDB::with_config(path, config()).unwrap()
}

fn timestamps_of(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive::<TimestampMicrosecondType>().values()
}

fn floats_of(batch: &RecordBatch) -> &[f64] {
    batch.column(1).as_primitive::<Float64Type>().values()
}

fn assert_points(batch: &RecordBatch, expected: &[Point], what: &str) {
    assert_eq!(batch.num_rows(), expected.len(), "{what}");
    let values = atoms_of(batch.column(1));
    for (row, point) in expected.iter().enumerate() {
        assert_eq!(timestamps_of(batch)[row], point.timestamp, "{what}: row {row}");
        let (found, value) = (&values[row], &point.value);
        assert!(same(found, value), "{what}: row {row} is {found:?}, not {value:?}");
    }
}

fn concat(stream: synadb::HistoryStream) -> RecordBatch {
    let schema = RecordBatchReader::schema(&stream);
    let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

/// What a key's history looks like in the type that its kinds ask for.
fn as_natural(points: &[Point], all: &[Point]) -> Vec<Point> {
    let has = |kind| all.iter().any(|point| point.value.kind() == kind);
    let exact = |point: &Point| point.value.as_int().is_none_or(|i| i.abs() <= 1 << 53);
    let floats_and_ints = has(AtomKind::Float)
        && has(AtomKind::Int)
        && !has(AtomKind::Text)
        && !has(AtomKind::Bytes)
        && all.iter().all(exact);
    points
        .iter()
        .map(|point| match point.value {
            Atom::Int(value) if floats_and_ints => {
                Point { value: Atom::Float(value as f64), ..point.clone() }
            }
            _ => point.clone(),
        })
        .collect()
}

/// A random value of one of the kinds that `kinds` has a bit for.
fn random_atom(rng: &mut Rng, kinds: u64) -> Atom {
    loop {
        let kind = AtomKind::ALL[rng.below(5) as usize];
        if kinds >> kind as u64 & 1 == 0 {
            continue;
        }
        let odd = rng.below(10) == 0;
        return match kind {
            AtomKind::Null => Atom::Null,
            AtomKind::Float if odd => Atom::Float(f64::from_bits(rng.next())),
            AtomKind::Float => Atom::Float(rng.below(1000) as f64 / 8.0 - 50.0),
            AtomKind::Int if odd && kinds & 32 != 0 => Atom::Int(rng.next().cast_signed()),
            AtomKind::Int => Atom::Int(rng.below(1000) as i64 - 500),
            AtomKind::Text => Atom::Text("xäy\0".repeat(rng.below(3) as usize)),
            AtomKind::Bytes if odd => Atom::Bytes(vec![0xff, 0xfe]),
            AtomKind::Bytes => Atom::Bytes(b"ab".repeat(rng.below(3) as usize)),
        };
    }
}

/// A database with one key whose points lie in chunks, in memory, or both.
struct Made {
    db: SynaDB,
    storage: Arc<MemoryStorage>,
    points: Vec<Point>,
}

fn make(seed: u64) -> Made {
    let mut rng = Rng::new(seed);
    let storage = Arc::new(MemoryStorage::new());
    let mut db = open(&storage);
    let mut points: Vec<Point> = Vec::new();
    // Bit 5: integers of any size.
    let all_kinds =
        [1 << 1, 1 << 2, 1 << 3, 1 << 4, 0b110, 0b1_0110, 0b11_1110, 0b1_1000, 0b10_0100];
    let mut kinds = all_kinds[rng.below(all_kinds.len() as u64) as usize];
    kinds |= rng.below(2);
    let sorted = rng.below(3) > 0;
    let mut time = 1_000_000_i64;
    for _ in 0..=rng.below(4) {
        match rng.below(8) {
            0 if !points.is_empty() => {
                db.delete(KEY).unwrap();
                points.clear();
            }
            1 => {
                db.close().unwrap();
                db = open(&storage);
            }
            2 => {
                let bytes = Atom::Bytes(vec![7; 70_000]);
                if kinds >> 4 & 1 == 1 {
                    db.append_at(KEY, time, bytes.clone()).unwrap();
                    points.push(Point { timestamp: time, value: bytes });
                }
            }
            way => {
                // Some stretches hold one of the kinds only.
                let own =
                    if rng.below(2) == 0 { kinds } else { 1 << (kinds & 31).ilog2() | kinds & 33 };
                let len = [1, 7, 40, 1000, 8500, 10_000][rng.below(6) as usize];
                let mut stamps = Vec::new();
                let mut atoms = Vec::new();
                for _ in 0..len {
                    time += rng.below(3) as i64 * 500_000;
                    let back = if sorted { 0 } else { rng.below(40_000_000) as i64 };
                    stamps.push(time - back);
                    atoms.push(random_atom(&mut rng, own));
                }
                if way < 5 && len < 2000 {
                    for (stamp, atom) in stamps.iter().zip(&atoms) {
                        db.append_at(KEY, *stamp, atom.clone()).unwrap();
                    }
                } else {
                    db.append_batch(KEY, &stamps, synadb::Values::Atoms(&atoms)).unwrap();
                }
                let new = stamps.into_iter().zip(atoms);
                points.extend(new.map(|(timestamp, value)| Point { timestamp, value }));
            }
        }
    }
    if points.is_empty() {
        db.append_at(KEY, 5, Atom::Null).unwrap();
        points.push(Point { timestamp: 5, value: Atom::Null });
    }
    Made { db, storage, points }
}

fn sub_range(rng: &mut Rng, len: usize) -> Range<usize> {
    let (a, b) = (rng.below(len as u64 + 1) as usize, rng.below(len as u64 + 1) as usize);
    a.min(b)..a.max(b)
}

fn in_time(points: &[Point], times: &Range<i64>) -> Vec<Point> {
    points.iter().filter(|point| times.contains(&point.timestamp)).cloned().collect()
}

proptest! {
    // A smaller seed makes no simpler history: there is nothing to shrink.
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn histories_are_the_points(seed in any::<u64>()) {
        let Made { db, points: all, .. } = make(seed);
        let mut rng = Rng::new(seed ^ 1);
        prop_assert_eq!(db.get_history(KEY).unwrap().len(), all.len());
        for decode_raw in [false, true] {
            let history = db.history(KEY).unwrap().decode_raw(decode_raw);
            prop_assert_eq!(history.len().unwrap(), all.len() as u64);
            let natural = as_natural(&all, &all);
            // Twice: the second read finds what the first one left in the cache.
            for _ in 0..2 {
                assert_points(&history.read().unwrap(), &natural, "read");
                assert_points(&concat(history.stream().unwrap()), &natural, "stream");
            }
            for _ in 0..4 {
                let rows = sub_range(&mut rng, all.len());
                let expected = as_natural(&all[rows.clone()], &all);
                let part = history.clone().rows(rows.start as u64..rows.end as u64);
                prop_assert_eq!(part.len().unwrap(), expected.len() as u64);
                let read = part.read().unwrap();
                prop_assert_eq!(read.schema(), history.schema().unwrap());
                assert_points(&read, &expected, "rows");
                assert_points(&concat(part.stream().unwrap()), &expected, "rows as a stream");

                let a = sub_range(&mut rng, all.len());
                let time = |row: usize| all.get(row).map_or(i64::MAX, |point| point.timestamp);
                let times = time(a.start).min(time(a.end))..time(a.start).max(time(a.end));
                let expected = as_natural(&in_time(&all, &times), &all);
                let part = history.clone().range(times.clone());
                prop_assert_eq!(part.len().unwrap(), expected.len() as u64);
                assert_points(&part.read().unwrap(), &expected, "range");
                assert_points(&concat(part.stream().unwrap()), &expected, "range as a stream");
                let last = expected.len().saturating_sub(10);
                assert_points(&part.last(10).read().unwrap(), &expected[last..], "last");
            }
            let mut by_time = natural.clone();
            by_time.sort_by_key(|point| point.timestamp);
            let sorted = history.clone().order(Order::Time);
            assert_points(&sorted.read().unwrap(), &by_time, "by time");
            assert_points(&concat(sorted.stream().unwrap()), &by_time, "by time as a stream");
            let stamps: Vec<i64> = by_time.iter().map(|point| point.timestamp).collect();
            prop_assert_eq!(&sorted.timestamps().unwrap()[..], &stamps[..]);
        }
    }

    #[test]
    fn every_type_can_be_asked_for(seed in any::<u64>()) {
        let Made { db, points: all, .. } = make(seed);
        for decode_raw in [false, true] {
            let history = db.history(KEY).unwrap().decode_raw(decode_raw);
            for as_type in [AsType::Struct, AsType::Union] {
                let whole = history.clone().as_type(as_type);
                assert_points(&whole.read().unwrap(), &all, as_type.name());
                assert_points(&concat(whole.stream().unwrap()), &all, as_type.name());
            }
            for as_type in [AsType::Float, AsType::Int, AsType::Text, AsType::Bytes] {
                let converted: Vec<(i64, Option<Atom>)> =
                    all.iter().map(|p| (p.timestamp, converted(&p.value, as_type))).collect();
                let whole = history.clone().as_type(as_type);
                let point = |(timestamp, value): &(i64, Option<Atom>)| Point {
                    timestamp: *timestamp,
                    value: value.clone().unwrap_or(Atom::Null),
                };
                let null: Vec<Point> = converted.iter().map(point).collect();
                let skip: Vec<Point> =
                    converted.iter().filter(|(_, value)| value.is_some()).map(point).collect();
                if skip.len() == all.len() {
                    assert_points(&whole.read().unwrap(), &null, as_type.name());
                } else {
                    let refused = whole.read().unwrap_err();
                    prop_assert!(matches!(refused, SynaError::TypeMismatch { .. }), "{}", refused);
                    let failed = whole.stream().unwrap().find_map(Result::err);
                    prop_assert!(failed.is_some());
                }
                let nulls = whole.clone().on_mismatch(OnMismatch::Null);
                assert_points(&nulls.read().unwrap(), &null, "null");
                assert_points(&concat(nulls.stream().unwrap()), &null, "null as a stream");
                let skips = whole.clone().on_mismatch(OnMismatch::Skip);
                prop_assert_eq!(skips.len().unwrap(), skip.len() as u64);
                assert_points(&skips.read().unwrap(), &skip, "skip");
                assert_points(&concat(skips.stream().unwrap()), &skip, "skip as a stream");
                if as_type == AsType::Float {
                    let floats = |points: &[Point]| -> Vec<u64> {
                        let float = |p: &Point| p.value.as_float().unwrap_or(f64::NAN).to_bits();
                        points.iter().map(float).collect()
                    };
                    let bits = |floats: &[f64]| -> Vec<u64> {
                        floats.iter().map(|float| float.to_bits()).collect()
                    };
                    prop_assert_eq!(bits(&nulls.floats().unwrap()), floats(&null));
                    prop_assert_eq!(bits(&skips.tensor().unwrap()), floats(&skip));
                }
            }
        }
        let floats: Vec<u64> =
            all.iter().filter_map(|p| p.value.as_float()).map(f64::to_bits).collect();
        let tensor = db.get_history_tensor(KEY).unwrap();
        prop_assert_eq!(tensor.iter().map(|f| f.to_bits()).collect::<Vec<_>>(), floats);
        let history = db.history(KEY).unwrap();
        // The numbers of one kind with their times, whatever the history was asked for before.
        let odd = history.clone().as_type(AsType::Bytes).on_mismatch(OnMismatch::Skip);
        let ints: Vec<i64> = all.iter().filter_map(|p| p.value.as_int()).collect();
        prop_assert_eq!(&odd.only_ints().unwrap()[..], &ints[..]);
        prop_assert_eq!(odd.only_floats().unwrap().len(), tensor.len());
        for kind in [AtomKind::Float, AtomKind::Int] {
            let of_kind = all.iter().filter(|p| p.value.kind() == kind);
            let stamps: Vec<i64> = of_kind.map(|p| p.timestamp).collect();
            prop_assert_eq!(&odd.only_timestamps(kind).unwrap()[..], &stamps[..]);
        }
    }

    #[test]
    fn questions_are_answered_as_by_all_points(seed in any::<u64>()) {
        let Made { db, points: all, .. } = make(seed);
        let mut rng = Rng::new(seed ^ 2);
        for decode_raw in [false, true] {
            let history = db.history(KEY).unwrap().decode_raw(decode_raw);
            check_questions(&history, &all, &mut rng);
            let rows = sub_range(&mut rng, all.len());
            let part = history.clone().rows(rows.start as u64..rows.end as u64);
            check_questions(&part, &all[rows], &mut rng);
            let rows = sub_range(&mut rng, all.len() - 1);
            let (a, b) = (all[rows.start].timestamp, all[rows.end].timestamp);
            let times = a.min(b)..a.max(b);
            check_questions(&history.clone().range(times.clone()), &in_time(&all, &times), &mut rng);
        }
    }

    #[test]
    fn explain_tells_what_reading_does(seed in any::<u64>()) {
        let Made { db, points: all, .. } = make(seed);
        let mut rng = Rng::new(seed ^ 3);
        for decode_raw in [false, true] {
            let history = db.history(KEY).unwrap().decode_raw(decode_raw);
            let rows = sub_range(&mut rng, all.len());
            let parts = [
                history.clone().rows(rows.start as u64..rows.end as u64),
                history.clone(),
                history.clone(),
            ];
            for part in parts {
                let told = totals(&part.explain().unwrap());
                let before = counters(&db);
                part.read().unwrap();
                prop_assert_eq!(told, difference(before, counters(&db)), "{}", part.explain().unwrap());
            }
            let stream = history.stream().unwrap();
            let told = totals(&stream.explain().unwrap());
            let before = counters(&db);
            stream.for_each(|batch| drop(batch.unwrap()));
            // Batches after the first may find in the cache what the first ones left.
            let done = difference(before, counters(&db));
            prop_assert_eq!(told.iter().sum::<u64>(), done.iter().sum::<u64>());
        }
    }
}

fn counters(db: &SynaDB) -> [u64; 4] {
    let stats = db.stats().unwrap();
    [stats.mapped_bytes, stats.cached_bytes, stats.decoded_bytes, stats.copied_bytes]
}

fn difference(before: [u64; 4], after: [u64; 4]) -> [u64; 4] {
    std::array::from_fn(|i| after[i] - before[i])
}

fn totals(explain: &Explain) -> [u64; 4] {
    explain.columns.iter().fold([0; 4], |[m, c, d, k], column| {
        [
            m + column.mapped_bytes,
            c + column.cached_bytes,
            d + column.decoded_bytes,
            k + column.copied_bytes,
        ]
    })
}

/// What a value becomes as one type; `None` where it does not fit.
fn converted(value: &Atom, as_type: AsType) -> Option<Atom> {
    match (as_type, value) {
        (_, Atom::Null) => Some(Atom::Null),
        (AsType::Float, Atom::Float(_))
        | (AsType::Int, Atom::Int(_))
        | (AsType::Text, Atom::Text(_))
        | (AsType::Bytes, Atom::Bytes(_)) => Some(value.clone()),
        (AsType::Float, Atom::Int(value)) => {
            (value.unsigned_abs() <= 1 << 53).then_some(Atom::Float(*value as f64))
        }
        (AsType::Text, Atom::Float(value)) => Some(Atom::Text(format!("{value:?}"))),
        (AsType::Text, Atom::Int(value)) => Some(Atom::Text(value.to_string())),
        (AsType::Text, Atom::Bytes(value)) => String::from_utf8(value.clone()).ok().map(Atom::Text),
        (AsType::Bytes, Atom::Text(value)) => Some(Atom::Bytes(value.clone().into_bytes())),
        _ => None,
    }
}

fn number_of(atom: &Atom) -> Option<Number> {
    match atom {
        Atom::Float(value) => Some(Number::Float(*value)),
        Atom::Int(value) => Some(Number::Int((*value).into())),
        _ => None,
    }
}

/// Equal by bits; sums may differ by their order, as far as that explains it.
fn close(a: Option<Number>, b: Option<Number>, scale: f64) -> bool {
    match (a, b) {
        (Some(Number::Float(a)), Some(Number::Float(b))) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= scale.abs() * 1e-9
                || !scale.is_finite()
        }
        (a, b) => a == b,
    }
}

/// Statistics by definition.
fn plain_stats(points: &[Point]) -> synadb::HistoryStats {
    let mut stats = synadb::HistoryStats::default();
    let count = |kind| points.iter().filter(|p| p.value.kind() == kind).count() as u64;
    stats.count = points.len() as u64;
    stats.nulls = count(AtomKind::Null);
    stats.floats = count(AtomKind::Float);
    stats.ints = count(AtomKind::Int);
    stats.texts = count(AtomKind::Text);
    stats.bytes = count(AtomKind::Bytes);
    let stamps = || points.iter().map(|p| p.timestamp);
    stats.timestamps = stamps().min().zip(stamps().max());
    let numbers: Vec<(i64, Number)> =
        points.iter().filter_map(|p| Some((p.timestamp, number_of(&p.value)?))).collect();
    let number = |n: Number| if stats.floats == 0 { n } else { Number::Float(n.as_f64()) };
    let least = numbers.iter().map(|(t, _)| *t).min();
    let most = numbers.iter().map(|(t, _)| *t).max();
    stats.first = numbers.iter().find(|(t, _)| Some(*t) == least).map(|(_, n)| number(*n));
    stats.last = numbers.iter().rfind(|(t, _)| Some(*t) == most).map(|(_, n)| number(*n));
    let is_nan = |n: &Number| matches!(n, Number::Float(f) if f.is_nan());
    stats.nans = numbers.iter().filter(|(_, n)| is_nan(n)).count() as u64;
    let real: Vec<Number> = numbers.iter().map(|(_, n)| *n).filter(|n| !is_nan(n)).collect();
    if real.is_empty() {
        return stats;
    }
    if stats.floats == 0 {
        let ints = || real.iter().map(|n| if let Number::Int(i) = n { *i } else { 0 });
        let sum: i128 = ints().sum();
        stats.min = ints().min().map(Number::Int);
        stats.max = ints().max().map(Number::Int);
        stats.sum = Some(Number::Int(sum));
        stats.mean = Some(sum as f64 / real.len() as f64);
    } else {
        let floats = || real.iter().map(|n| n.as_f64());
        stats.min = floats().min_by(f64::total_cmp).map(Number::Float);
        stats.max = floats().max_by(f64::total_cmp).map(Number::Float);
        let sum = floats().fold(0.0, |sum, f| sum + f);
        stats.sum = Some(Number::Float(sum));
        stats.mean = Some(sum / real.len() as f64);
    }
    stats
}

/// The sum of the magnitudes, which bounds what another order of adding changes.
fn magnitude(points: &[Point]) -> f64 {
    let numbers = points.iter().filter_map(|p| number_of(&p.value));
    numbers.map(|n| n.as_f64().abs()).filter(|f| !f.is_nan()).sum()
}

fn check_questions(history: &synadb::History, points: &[Point], rng: &mut Rng) {
    let (found, expected) = (history.stats().unwrap(), plain_stats(points));
    let scale = magnitude(points);
    assert!(close(found.sum, expected.sum, scale), "{:?} {:?}", found.sum, expected.sum);
    let mean = |mean: Option<f64>| mean.map(Number::Float);
    assert!(close(mean(found.mean), mean(expected.mean), scale));
    let without_sums = |stats: &synadb::HistoryStats| {
        let mut stats = *stats;
        (stats.sum, stats.mean) = (None, None);
        format!("{stats:?}")
    };
    assert_eq!(without_sums(&found), without_sums(&expected));
    // All points asked for in another way are read block by block.
    let by_block = history.clone().last(u64::MAX - 1).stats().unwrap();
    assert_eq!(without_sums(&by_block), without_sums(&expected));
    assert!(close(by_block.sum, expected.sum, scale));

    let step = ["1us", "700ms", "1m", "1h", "1d"][rng.below(5) as usize];
    let every: Every = step.parse().unwrap();
    let mut buckets: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for point in points {
        let start = point.timestamp.div_euclid(every.micros()) * every.micros();
        buckets.entry(start).or_default().push(point.clone());
    }
    let table = history.resample(every, &Aggregate::ALL).unwrap();
    assert_eq!(timestamps_of(&table), buckets.keys().copied().collect::<Vec<_>>());
    // What is asked for beside a sum does not change it.
    let sums = history.resample(every, &[Aggregate::Sum, Aggregate::Count]).unwrap();
    let bits = |batch: &RecordBatch, column: usize| -> Vec<String> {
        numbers_of(batch.column(column)).iter().map(|number| format!("{number:?}")).collect()
    };
    assert_eq!((bits(&sums, 1), bits(&sums, 2)), (bits(&table, 6), bits(&table, 1)));
    let all_ints = found.floats == 0 && found.ints > 0;
    let columns: Vec<Vec<Option<Number>>> =
        (1..=9).map(|column| numbers_of(table.column(column))).collect();
    for (row, bucket) in buckets.values().enumerate() {
        let mut expected = plain_stats(bucket);
        if !all_ints {
            let float = |n: Option<Number>| n.map(|n| Number::Float(n.as_f64()));
            for number in [
                &mut expected.min,
                &mut expected.max,
                &mut expected.sum,
                &mut expected.first,
                &mut expected.last,
            ] {
                *number = float(*number);
            }
        }
        let count = |n: u64| Some(Number::Int(n.into()));
        let scale = magnitude(bucket);
        let told = [
            (count(expected.count), 0.0),
            (count(expected.nulls), 0.0),
            (count(expected.nans), 0.0),
            (expected.min, 0.0),
            (expected.max, 0.0),
            (expected.sum, scale),
            (mean(expected.mean), scale),
            (expected.first, 0.0),
            (expected.last, 0.0),
        ];
        for (column, (expected, scale)) in told.into_iter().enumerate() {
            let found = columns[column][row];
            assert!(
                close(found, expected, scale),
                "{} of bucket {row}: {found:?}, not {expected:?}",
                Aggregate::ALL[column].name()
            );
        }
    }
}

/// The numbers of a column of a resampled history.
fn numbers_of(array: &dyn Array) -> Vec<Option<Number>> {
    if array.data_type() == &DataType::Decimal128(38, 0) {
        let array = array.as_primitive::<arrow_array::types::Decimal128Type>();
        return array.iter().map(|value| value.map(Number::Int)).collect();
    }
    atoms_of(array).iter().map(number_of).collect()
}

/// A file with one key of `rows` floats, one a second, in one chunk; opened again.
fn one_raw_chunk(path: &Path, rows: usize) -> (SynaDB, Vec<f64>) {
    let raw = config().with_enable_delta(false).with_enable_compression(false);
    let db = SynaDB::with_config(path, raw).unwrap();
    let stamps: Vec<i64> = (0..rows as i64).map(|i| i * 1_000_000).collect();
    let values: Vec<f64> = (0..rows).map(|i| i as f64 * 0.5).collect();
    db.append_batch(KEY, &stamps, &values[..]).unwrap();
    db.close().unwrap();
    (open_file(path), values)
}

#[test]
fn raw_chunks_leave_without_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (db, values) = one_raw_chunk(&folder.path().join("a.syna"), 100_000);
    let history = db.history(KEY).unwrap();
    let told = history.explain().unwrap();
    assert_eq!(totals(&told), [1_600_000, 0, 0, 0], "{told}");
    let first = history.read().unwrap();
    let streamed: Vec<RecordBatch> = history.stream().unwrap().map(Result::unwrap).collect();
    assert_eq!(streamed.len(), 1, "what lies in one piece leaves as one batch");
    let again = db.history(KEY).unwrap().read().unwrap();
    for batch in [&again, &streamed[0]] {
        assert_eq!(floats_of(&first).as_ptr(), floats_of(batch).as_ptr());
        assert_eq!(timestamps_of(&first).as_ptr(), timestamps_of(batch).as_ptr());
    }
    assert_eq!(floats_of(&first), values);
    assert_eq!(floats_of(&first).as_ptr() as usize % 64, 0);
    assert_eq!(timestamps_of(&first).as_ptr() as usize % 64, 0);
    let part = db.history(KEY).unwrap().range(10_000_000..20_000_000).read().unwrap();
    assert_eq!(floats_of(&part).as_ptr(), floats_of(&first)[10..].as_ptr());
    assert_eq!(part.num_rows(), 10);
    let stats = db.stats().unwrap();
    assert_eq!((stats.decoded_bytes, stats.copied_bytes, stats.buffer_pool_used_bytes), (0, 0, 0));
}

#[test]
fn decoded_columns_are_decoded_once() {
    let folder = tempfile::tempdir().unwrap();
    let (db, values) = one_raw_chunk(&folder.path().join("a.syna"), 100_000);
    let history = || db.history(KEY).unwrap().decode_raw(true);
    assert_eq!(totals(&history().explain().unwrap()), [0, 0, 1_600_000, 0]);
    let first = history().read().unwrap();
    assert_eq!(totals(&history().explain().unwrap()), [0, 1_600_000, 0, 0]);
    let before = db.stats().unwrap();
    let again = history().read().unwrap();
    let streamed = concat(history().stream().unwrap());
    let part = history().rows(777..778).read().unwrap();
    assert_eq!(floats_of(&first).as_ptr(), floats_of(&again).as_ptr());
    assert_eq!(floats_of(&first)[777..].as_ptr(), floats_of(&part).as_ptr());
    assert_eq!(floats_of(&streamed), values);
    assert_eq!(floats_of(&first).as_ptr() as usize % 64, 0);
    let after = db.stats().unwrap();
    assert_eq!(
        (before.decoded_bytes, before.copied_bytes),
        (after.decoded_bytes, after.copied_bytes)
    );
    assert!(after.column_cache_hits > before.column_cache_hits);
}

#[test]
fn rows_of_chunk_and_memory_become_one_array_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (db, mut values) = one_raw_chunk(&folder.path().join("a.syna"), 50_000);
    db.append_at(KEY, i64::MAX, 1.25).unwrap();
    values.push(1.25);
    let history = db.history(KEY).unwrap();
    assert_eq!(totals(&history.explain().unwrap()), [0, 0, 0, 800_016]);
    let first = history.read().unwrap();
    assert_eq!(floats_of(&first), values);
    assert_eq!(floats_of(&first).as_ptr() as usize % 64, 0);
    let again = db.history(KEY).unwrap().read().unwrap();
    assert_eq!(floats_of(&first).as_ptr(), floats_of(&again).as_ptr());
    // A point is seen by the next read after its append, and not by a history made before.
    db.append_at(KEY, 0, 2.5).unwrap();
    assert_eq!(db.history(KEY).unwrap().read().unwrap().num_rows(), 50_002);
    assert_eq!(history.read().unwrap().num_rows(), 50_001);
    assert_eq!(history.len().unwrap(), 50_001);
}

#[test]
fn arrays_outlive_close_compact_delete_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    let (db, values) = one_raw_chunk(&path, 100_000);
    let mapped = db.history(KEY).unwrap().read().unwrap();
    let decoded = db.history(KEY).unwrap().decode_raw(true).read().unwrap();
    let tensor = db.get_history_tensor(KEY).unwrap();
    let history = db.history(KEY).unwrap();
    let mut stream = history.clone().decode_raw(true).rows(0..70_000).stream().unwrap();
    let check = || {
        assert_eq!(floats_of(&mapped), values);
        assert_eq!(floats_of(&decoded), values);
        assert_eq!(&tensor[..], values);
    };
    db.delete(KEY).unwrap();
    check();
    assert!(matches!(db.history(KEY), Err(SynaError::KeyNotFound { .. })));
    assert_eq!(floats_of(&history.read().unwrap()), values, "a history keeps its commit");
    db.append_at("other", 1, 2.0).unwrap();
    db.compact().unwrap();
    check();
    assert_eq!(floats_of(&history.read().unwrap()), values);
    assert_eq!(stream.next().unwrap().unwrap().num_rows(), 70_000);
    db.trim().unwrap();
    check();
    db.close().unwrap();
    check();
    assert!(matches!(history.read(), Err(SynaError::Closed)));
    drop((history, stream));
    std::fs::remove_file(&path).unwrap();
    check();
}

#[test]
fn released_memory_returns_to_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    drop(one_raw_chunk(&path, 500_000));
    let db = SynaDB::with_config(&path, config().with_column_cache_bytes(0)).unwrap();
    let used = || {
        let stats = db.stats().unwrap();
        (stats.buffer_pool_used_bytes, stats.buffer_pool_idle_bytes)
    };
    let tensor = db.get_history_tensor(KEY).unwrap();
    let address = tensor.as_ptr();
    assert_eq!(address as usize % 64, 0);
    let (in_use, idle) = used();
    assert!((4_000_000..8_000_000).contains(&in_use) && idle == 0);
    drop(tensor);
    assert_eq!(used(), (0, in_use));
    let mut tensor = db.get_history_tensor(KEY).unwrap();
    assert_eq!(tensor.as_ptr(), address, "the same memory again");
    tensor[0] = -1.0;
    assert_eq!(db.get_history_tensor(KEY).unwrap()[0], 0.0, "a tensor is a copy");
    let array = tensor.into_buffer();
    assert_eq!(array[0], -1.0);
    drop(array);
    let batch = db.history(KEY).unwrap().decode_raw(true).read().unwrap();
    assert!(used().0 >= 8_000_000);
    assert_eq!(db.stats().unwrap().column_cache_bytes, 0, "a cache of no bytes holds nothing");
    drop(batch);
    assert_eq!(used().0, 0);
    let idle = used().1;
    assert_eq!(db.trim().unwrap(), idle);
    assert_eq!(used(), (0, 0));
}

#[test]
fn a_cached_buffer_that_is_also_held_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _) = one_raw_chunk(&folder.path().join("a.syna"), 500_000);
    let batch = db.history(KEY).unwrap().decode_raw(true).read().unwrap();
    let stats = db.stats().unwrap();
    assert!(stats.column_cache_bytes >= 8_000_000);
    let again = db.history(KEY).unwrap().decode_raw(true).read().unwrap();
    assert_eq!(db.stats().unwrap().buffer_pool_used_bytes, stats.buffer_pool_used_bytes);
    db.trim().unwrap();
    let trimmed = db.stats().unwrap();
    assert_eq!(trimmed.column_cache_bytes, 0);
    assert_eq!(trimmed.buffer_pool_used_bytes, stats.buffer_pool_used_bytes, "still held");
    drop(batch);
    assert_eq!(db.stats().unwrap().buffer_pool_used_bytes, stats.buffer_pool_used_bytes);
    drop(again);
    assert_eq!(db.stats().unwrap().buffer_pool_used_bytes, 0);
}

/// Changes one byte of the file at `offset`.
fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
}

#[test]
fn damage_is_an_error_and_never_an_array() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    let (db, values) = one_raw_chunk(&path, 100_000);
    let end = db.stats().unwrap().log_bytes;
    db.close().unwrap();
    // The values are the last 800,000 bytes of the chunk; what comes after it is the checkpoint.
    let bytes = std::fs::read(&path).unwrap();
    let needle = values[60_000].to_le_bytes();
    let at = bytes.windows(8).position(|window| window == needle).unwrap() as u64;
    assert!(at < end);
    flip(&path, at);
    for decode_raw in [false, true] {
        let db = open_file(&path);
        let history = || db.history(KEY).unwrap().decode_raw(decode_raw);
        // More than once: an error is not remembered as "verified".
        for _ in 0..3 {
            let refused = history().read().unwrap_err();
            assert!(matches!(refused, SynaError::Corrupt { .. }), "{refused}");
            assert!(matches!(history().tensor(), Err(SynaError::Corrupt { .. })));
            assert!(matches!(db.get_history_tensor(KEY), Err(SynaError::Corrupt { .. })));
            let mut stream = history().stream().unwrap();
            assert!(stream.by_ref().any(|batch| batch.is_err()));
            assert!(stream.next().is_none(), "nothing comes after an error");
        }
        let refused = history().resample("7s".parse().unwrap(), &[Aggregate::Mean]);
        assert!(matches!(refused, Err(SynaError::Corrupt { .. })));
        // What does not touch the damaged block can be read, its timestamps too.
        let before = history().rows(0..50_000).read().unwrap();
        assert_eq!(floats_of(&before), &values[..50_000]);
        assert_eq!(history().timestamps().unwrap().len(), 100_000);
        assert_eq!(history().stats().unwrap().count, 100_000);
        db.close().unwrap();
    }
    flip(&path, at);
    assert_eq!(floats_of(&open_file(&path).history(KEY).unwrap().read().unwrap()), values);
}

#[test]
fn schemas_say_what_the_batches_are() {
    let db = SynaDB::in_memory().unwrap();
    db.append(KEY, 1.5).unwrap();
    let schema = db.history(KEY).unwrap().schema().unwrap();
    let stamps = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(schema.field(0).data_type(), &stamps);
    assert!(!schema.field(0).is_nullable() && schema.field(1).is_nullable());
    assert_eq!((&**schema.field(0).name(), &**schema.field(1).name()), ("timestamp", "value"));
    // The type of a slice is that of the whole history.
    db.append(KEY, "text").unwrap();
    let slice = db.history(KEY).unwrap().rows(0..1);
    assert!(matches!(slice.schema().unwrap().field(1).data_type(), DataType::Struct(_)));
    assert_eq!(slice.read().unwrap().schema(), slice.schema().unwrap());
    // A deletion starts anew.
    db.delete(KEY).unwrap();
    db.append(KEY, 7).unwrap();
    let history = db.history(KEY).unwrap();
    assert_eq!(history.schema().unwrap().field(1).data_type(), &DataType::Int64);
    let none = history.rows(5..9);
    let empty = none.read().unwrap();
    assert_eq!((empty.num_rows(), empty.schema()), (0, none.schema().unwrap()));
    assert_eq!(none.stream().unwrap().count(), 0);
    assert!(none.is_empty().unwrap());
    assert_eq!(none.stats().unwrap(), synadb::HistoryStats::default());
    assert_eq!(none.resample("1s".parse().unwrap(), &[Aggregate::Count]).unwrap().num_rows(), 0);
    assert!(none.floats().unwrap().is_empty());
    assert!(matches!(db.history("absent"), Err(SynaError::KeyNotFound { .. })));
}

#[test]
fn snapshots_and_their_histories_agree_for_ever() {
    let db = SynaDB::in_memory().unwrap();
    let stamps: Vec<i64> = (0..20_000).collect();
    let values: Vec<i64> = (0..20_000).rev().collect();
    db.append_batch(KEY, &stamps, &values[..]).unwrap();
    let snapshot = db.snapshot().unwrap();
    db.append_batch(KEY, &stamps, &values[..]).unwrap();
    db.delete(KEY).unwrap();
    db.append(KEY, "new").unwrap();
    db.compact().unwrap();
    let history = snapshot.history(KEY).unwrap();
    assert_eq!(history.len().unwrap(), 20_000);
    let batch = history.read().unwrap();
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &values[..]);
    assert_eq!(history.stats().unwrap().sum, Some(Number::Int(19_999 * 10_000)));
    assert_eq!(snapshot.get_history_tensor(KEY).unwrap().len(), 0);
}

#[test]
fn long_streams_leave_in_batches_of_a_million_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (db, values) = one_raw_chunk(&folder.path().join("a.syna"), 2_500_000);
    let stream = || db.history(KEY).unwrap().decode_raw(true).stream().unwrap();
    let lens: Vec<usize> = stream().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(lens.iter().sum::<usize>(), values.len());
    assert_eq!(lens.len(), 3);
    assert!(lens[0] > 1_000_000 && lens[0] <= 1 << 20);
    assert_eq!(floats_of(&concat(stream())), values);
    assert_eq!(stream().len(), 2_500_000);
}

/// Batches were cut by what values take in the file: of texts that are compressed there a batch held
/// hundreds of times as much, and those of a long history did not even fit one array.
#[test]
fn large_compressed_values_leave_in_batches_of_64_mib() {
    let db = SynaDB::in_memory().unwrap();
    let text = "x".repeat(30 << 20);
    for time in 0..5 {
        db.append_at(KEY, time, text.as_str()).unwrap();
    }
    let history = db.history(KEY).unwrap();
    let told = history.stream().unwrap().explain().unwrap();
    assert_eq!((told.rows, told.batches), (5, 3), "{told}");
    let bytes = told.columns[1].decoded_bytes;
    assert!((150 << 20..151 << 20).contains(&bytes), "{told}");
    let batches: Vec<RecordBatch> = history.stream().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 3);
    for batch in &batches {
        let texts = batch.column(1).as_string::<i32>();
        assert!(texts.value_data().len() <= 64 << 20);
        assert!(texts.iter().all(|found| found == Some(&*text)));
    }
}

#[test]
fn many_small_chunks_leave_in_few_batches() {
    let db = SynaDB::in_memory().unwrap();
    for point in 0..60_000 {
        db.append_at(KEY, point, point as f64).unwrap();
        if point % 10_000 == 9_999 {
            // Seals what has not filled a block yet.
            db.checkpoint().unwrap();
        }
    }
    assert!(db.stats().unwrap().chunks >= 4);
    let history = db.history(KEY).unwrap();
    assert_eq!(history.stream().unwrap().count(), 1);
    let values: Vec<f64> = (0..60_000).map(f64::from).collect();
    assert_eq!(floats_of(&history.read().unwrap()), values);
    assert_eq!(history.tensor().unwrap()[..], values);
}

#[test]
fn buckets_without_points_come_when_asked_for() {
    let db = SynaDB::in_memory().unwrap();
    let hour = 3_600_000_000;
    db.append_batch(KEY, &[-1, 3 * hour, 3 * hour + 1], &[1, i64::MAX, i64::MAX][..]).unwrap();
    let history = db.history(KEY).unwrap();
    let every = "1h".parse().unwrap();
    let aggregates = [Aggregate::Count, Aggregate::Sum, Aggregate::Mean];
    let sparse = history.resample(every, &aggregates).unwrap();
    assert_eq!(timestamps_of(&sparse), [-hour, 3 * hour]);
    let sums = sparse.column(2);
    assert_eq!(sums.data_type(), &DataType::Decimal128(38, 0), "too large for 64 bits");
    let sums = sums.as_primitive::<arrow_array::types::Decimal128Type>();
    assert_eq!(sums.values(), &[1, 2 * i128::from(i64::MAX)]);
    let dense = history.clone().empty_buckets(true).resample(every, &aggregates).unwrap();
    assert_eq!(timestamps_of(&dense), [-hour, 0, hour, 2 * hour, 3 * hour]);
    let counts = dense.column(1).as_primitive::<Int64Type>();
    assert_eq!(counts.values(), &[1, 0, 0, 0, 2]);
    assert_eq!(dense.column(3).null_count(), 3);
    // A bucket for every microsecond of 290,000 years is refused, not tried.
    db.append_at(KEY, i64::MAX, 1).unwrap();
    let history = db.history(KEY).unwrap().empty_buckets(true);
    let refused = history.resample("1us".parse().unwrap(), &aggregates);
    assert!(matches!(refused, Err(SynaError::FrameTooLarge { max: 0x4000_0000, .. })));
    // Two columns of one name would be no use to anybody.
    let twice = history.resample(every, &[Aggregate::Mean, Aggregate::Sum, Aggregate::Mean]);
    assert!(matches!(twice, Err(SynaError::InvalidOption { option: "aggregates", .. })));
}

#[test]
fn plots_keep_what_stands_out() {
    let db = SynaDB::in_memory().unwrap();
    let stamps: Vec<i64> = (0..50_000).collect();
    let mut values = vec![0.0; 50_000];
    values[33_333] = 9.0;
    values[11_111] = -9.0;
    values[22_222] = f64::NAN;
    db.append_batch(KEY, &stamps, &values[..]).unwrap();
    db.append_at(KEY, 60_000, Atom::Null).unwrap();
    let history = db.history(KEY).unwrap();
    for method in [Downsample::MinMax, Downsample::Lttb] {
        let few = history.downsample(200, method).unwrap();
        assert!(few.num_rows() <= 200);
        let floats = floats_of(&few);
        assert!(floats.contains(&9.0) && floats.contains(&-9.0));
        assert!(floats.iter().all(|float| !float.is_nan()));
        assert!(timestamps_of(&few).is_sorted());
    }
    assert!(matches!(
        history.downsample(2, Downsample::Lttb),
        Err(SynaError::InvalidOption { .. })
    ));
    db.append("texts", "a").unwrap();
    let refused = db.history("texts").unwrap().downsample(10, Downsample::MinMax);
    assert!(matches!(refused, Err(SynaError::TypeMismatch { .. })));
    db.append("texts", vec![1_u8]).unwrap();
    let refused = db.history("texts").unwrap().downsample(10, Downsample::MinMax);
    assert!(
        matches!(refused, Err(SynaError::TypeMismatch { .. })),
        "texts and bytes are no numbers"
    );
}

/// Plots of keys with floats among other kinds were made of what fits a double and is left when the
/// rest is skipped: integers beyond 2^53, the largest of all, were missing, and `last` took the last
/// numbers instead of the numbers among the last points.
#[test]
fn plots_of_mixed_keys_are_of_the_points_asked_for() {
    let db = SynaDB::in_memory().unwrap();
    let large = (1_i64 << 53) + 1;
    let values = [Atom::Float(1.5), Atom::Int(large), Atom::Int(2), "x".into(), Atom::Null];
    for decode in [false, true] {
        let key = if decode { "chunk" } else { "tail" };
        for (time, value) in (0..).zip(values.iter().cycle().take(if decode { 500 } else { 5 })) {
            db.append_at(key, time, value.clone()).unwrap();
        }
        if decode {
            db.optimize().unwrap();
        }
        let history = db.history(key).unwrap();
        for method in [Downsample::MinMax, Downsample::Lttb] {
            let few = history.clone().rows(0..5).downsample(10, method).unwrap();
            assert_eq!(floats_of(&few), [1.5, large as f64, 2.0], "{key}");
            assert_eq!(few.column(1).null_count(), 0);
            let last = history.clone().last(3).downsample(10, method).unwrap();
            assert_eq!(floats_of(&last), [2.0], "{key}");
        }
    }
}

#[test]
fn readers_of_many_threads_share_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let (db, values) = one_raw_chunk(&folder.path().join("a.syna"), 300_000);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (db, values) = (&db, &values);
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..50 {
                    let rows = sub_range(&mut rng, values.len());
                    let history = db.history(KEY).unwrap().decode_raw(thread % 2 == 0);
                    let part = history.rows(rows.start as u64..rows.end as u64).read().unwrap();
                    assert_eq!(floats_of(&part), &values[rows]);
                }
            });
        }
    });
}

#[test]
fn a_read_only_handle_hands_out_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.syna");
    let (db, values) = one_raw_chunk(&path, 100_000);
    db.close().unwrap();
    let reader = SynaDB::open_read_only(&path).unwrap();
    let batch = reader.history(KEY).unwrap().read().unwrap();
    reader.close().unwrap();
    assert_eq!(floats_of(&batch), values);
}

#[test]
fn storage_of_made_databases_is_kept() {
    // The generator is only worth something if it makes chunks and tails of every sort.
    let (mut chunks, mut tails, mut mixed) = (0, 0, 0);
    for seed in 0..40 {
        let made = make(seed);
        let stats = made.db.stats().unwrap();
        chunks += u64::from(stats.chunks > 0);
        tails += u64::from(stats.tail_points > 0);
        let kinds = made.db.types(KEY).unwrap();
        mixed += u64::from(kinds.len() > 2);
        drop(made.storage);
    }
    assert!(chunks > 10 && tails > 10 && mixed > 5, "{chunks} {tails} {mixed}");
}

/// What is cut from what is left, one cut after the other, equals the same done to a list.
#[test]
fn cuts_follow_each_other() {
    let db = SynaDB::in_memory().unwrap();
    let points: Vec<(i64, f64)> = (0..20_000).map(|i| ((i * 7919) % 20_011, i as f64)).collect();
    for part in points.chunks(9000) {
        let (stamps, values): (Vec<i64>, Vec<f64>) = part.iter().copied().unzip();
        db.append_batch("k", &stamps, &values).unwrap();
    }
    let history = db.history("k").unwrap().range(100..15_000).cut_places(10..9_000);
    let history = history.cut_times(500..9_000).cut_places(5..4_000).cut_places(1..3);
    let left = points.iter().filter(|(t, _)| (100..15_000).contains(t)).skip(10).take(8_990);
    let left = left.filter(|(t, _)| (500..9_000).contains(t)).skip(6).take(2);
    let left: Vec<f64> = left.map(|(_, v)| *v).collect();
    assert_eq!(history.floats().unwrap(), left);
    assert_eq!(history.len().unwrap(), 2);
    let places = db.history("k").unwrap().last(1_000).cut_places(990..2_000).cut_places(3..5);
    assert_eq!(places.len().unwrap(), 2);
    assert_eq!(places.floats().unwrap(), [19_993.0, 19_994.0]);
    // Twice: from the cache, too.
    assert_eq!(places.read().unwrap(), places.read().unwrap());
    assert_eq!(places.values().unwrap().as_ref(), places.read().unwrap().column(1).as_ref());
}

/// Statistics, buckets and plots asked for other rows than were read: places counted from the first
/// point, and not from the first one that was not left out.
#[test]
fn questions_are_about_the_points_that_skip_leaves() {
    let db = SynaDB::in_memory().unwrap();
    let points: [(i64, Atom); 6] = [
        (0, "x".into()),
        (1, 1.5.into()),
        (2, "x".into()),
        (3, (1_i64 << 60).into()),
        (4, 2.5.into()),
        (5, "x".into()),
    ];
    for (timestamp, value) in points {
        db.append_at(KEY, timestamp, value).unwrap();
    }
    let floats = db.history(KEY).unwrap().as_type(AsType::Float).on_mismatch(OnMismatch::Skip);
    for (left, values) in [
        (floats.clone(), &[1.5, 2.5][..]),
        (floats.clone().last(1), &[2.5]),
        (floats.clone().cut_places(0..1), &[1.5]),
        (floats.cut_places(1..9).cut_times(3..), &[2.5]),
    ] {
        assert_eq!(left.floats().unwrap(), values);
        let stats = left.stats().unwrap();
        assert_eq!((stats.count, stats.texts), (values.len() as u64, 0));
        assert_eq!(stats.sum, Some(Number::Float(values.iter().sum())));
        let buckets = left.resample("1s".parse().unwrap(), &[Aggregate::Count]).unwrap();
        assert_eq!(buckets.column(1).as_primitive::<Int64Type>().value(0), stats.count as i64);
        let drawn = left.downsample(3, Downsample::MinMax).unwrap();
        assert_eq!(&drawn.column(1).as_primitive::<Float64Type>().values()[..], values);
    }
    let texts = db.history(KEY).unwrap().as_type(AsType::Bytes).on_mismatch(OnMismatch::Skip);
    let last = texts.last(2);
    assert_eq!(last.stats().unwrap().timestamps, Some((2, 5)));
    assert_eq!(last.downsample(3, Downsample::Lttb).unwrap().num_rows(), 0);
}
