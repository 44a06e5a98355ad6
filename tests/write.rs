//! Promises of writing Arrow: every type arrives as the points it stands for; what cannot be stored
//! is refused by name before anything is written; a batch, or an atomic reader, is whole or absent;
//! readers may fail, panic or call back; what histories leave as can be written again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code may panic, and its numbers are small"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::builder::{
    BinaryViewBuilder, FixedSizeBinaryBuilder, StringDictionaryBuilder, StringViewBuilder,
};
use arrow_array::types::{
    ArrowDictionaryKeyType, Float16Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray,
    LargeStringArray, NullArray, PrimitiveArray, RecordBatch, RecordBatchIterator,
    RecordBatchReader, StringArray, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array, UnionArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, UnionFields};
use proptest::prelude::*;
use synadb::{
    AsType, Atom, CellFault, DbConfig, Durability, Point, SynaDB, SynaError, WriteOptions,
};

fn db() -> SynaDB {
    SynaDB::in_memory().unwrap()
}

fn options() -> WriteOptions {
    WriteOptions::default()
}

fn stamps(micros: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC"))
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// A batch whose columns may all have nulls.
fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Rows of the key `k`, a microsecond apart.
fn of_values(values: ArrayRef) -> RecordBatch {
    let micros: Vec<i64> = (0..values.len() as i64).collect();
    batch(vec![
        ("key", texts(&vec!["k"; values.len()])),
        ("timestamp", stamps(&micros)),
        ("value", values),
    ])
}

/// A long batch.
fn long(keys: ArrayRef, micros: &[i64], values: ArrayRef) -> RecordBatch {
    batch(vec![("key", keys), ("timestamp", stamps(micros)), ("value", values)])
}

fn atoms(db: &SynaDB, key: &str) -> Vec<Atom> {
    db.get_history(key).unwrap().into_iter().map(|point| point.value).collect()
}

/// Points to be compared bit for bit.
type Bits = Vec<(i64, String, u64)>;

fn bits(points: Vec<Point>) -> Bits {
    let float = |value: &Atom| value.as_float().map_or(0, f64::to_bits);
    points.into_iter().map(|p| (p.timestamp, format!("{:?}", p.value), float(&p.value))).collect()
}

fn repeated(array: &ArrayRef, times: usize) -> ArrayRef {
    let all: Vec<&dyn Array> = (0..times).map(|_| array.as_ref()).collect();
    arrow_select::concat::concat(&all).unwrap()
}

/// That these values arrive as these atoms: alone and in runs long enough for a chunk, whole and
/// from the middle of an array, in a column of their own and from a dictionary.
fn arrives(values: ArrayRef, expected: &[Atom]) {
    for times in [1, 20, 3000] {
        let all = repeated(&values, times);
        let expected: Vec<Atom> =
            expected.iter().cycle().take(expected.len() * times).cloned().collect();
        let whole = of_values(all);
        let rows = whole.num_rows();
        for (from, len) in [(0, rows), (1, rows - 1), (1, rows - 2)] {
            let db = db();
            let written = db.write(&whole.slice(from, len)).unwrap();
            assert_eq!((written.points, written.rows), (len as u64, len as u64));
            assert_eq!(written.commits, u64::from(len > 0));
            let same = |found: Vec<Atom>| {
                let debug = |atoms: &[Atom]| format!("{atoms:?}");
                assert_eq!(debug(&found), debug(&expected[from..from + len]), "{values:?}");
            };
            if len > 0 {
                same(atoms(&db, "k"));
                let first = db.get_history("k").unwrap()[0].timestamp;
                assert_eq!(first, from as i64);
                let wide = batch(vec![
                    ("timestamp", whole.column(1).slice(from, len)),
                    ("w", whole.column(2).slice(from, len)),
                ]);
                db.write_wide(&wide).unwrap();
                same(atoms(&db, "w"));
            }
        }
    }
    let is_nested = matches!(values.data_type(), DataType::Struct(_) | DataType::Union(..));
    if is_nested || matches!(values.data_type(), DataType::Dictionary(..) | DataType::Null) {
        return;
    }
    let codes = Int8Array::from(vec![Some(0), None, Some(2), Some(1), Some(0)]);
    let coded = DictionaryArray::try_new(codes, Arc::clone(&values)).unwrap();
    let db = db();
    db.write(&of_values(Arc::new(coded))).unwrap();
    let [a, b, c] = [0, 1, 2].map(|at| expected[at].clone());
    let expected = [a.clone(), Atom::Null, c, b, a];
    assert_eq!(format!("{:?}", atoms(&db, "k")), format!("{expected:?}"));
}

#[test]
fn every_type_of_values_arrives() {
    let ints = [Atom::Int(1), Atom::Null, Atom::Int(3)];
    macro_rules! ints {
        ($($array:ty: $max:expr),*) => {$(
            arrives(Arc::new(<$array>::from(vec![Some(1), None, Some(3)])), &ints);
            arrives(Arc::new(<$array>::from(vec![1, 3, $max])),
                &[Atom::Int(1), Atom::Int(3), Atom::Int($max as i64)]);
        )*};
    }
    ints!(
        Int8Array: i8::MAX, Int16Array: i16::MIN, Int32Array: i32::MAX, Int64Array: i64::MIN,
        UInt8Array: u8::MAX, UInt16Array: u16::MAX, UInt32Array: u32::MAX,
        UInt64Array: i64::MAX as u64
    );
    let float = |value| Atom::Float(value);
    let three = [float(1.5), Atom::Null, float(-0.25)];
    arrives(Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.25)])), &three);
    arrives(Arc::new(Float32Array::from(vec![Some(1.5), None, Some(-0.25)])), &three);
    let halves: PrimitiveArray<Float16Type> =
        [1.5, 0.0, -0.25].into_iter().map(|v: f32| (v != 0.0).then(|| half(v))).collect();
    arrives(Arc::new(halves), &three);
    let odd = [f64::from_bits(0x7ff4_dead_beef_0001), -0.0, f64::NEG_INFINITY];
    arrives(floats(&odd), &odd.map(float));
    arrives(
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        &[Atom::Int(1), Atom::Null, Atom::Int(0)],
    );
    let words = [Some("a\0b"), None, Some("")];
    let expected = [Atom::Text("a\0b".into()), Atom::Null, Atom::Text(String::new())];
    arrives(Arc::new(StringArray::from(words.to_vec())), &expected);
    arrives(Arc::new(LargeStringArray::from(words.to_vec())), &expected);
    let mut view = StringViewBuilder::new();
    words.iter().for_each(|word| view.append_option(*word));
    arrives(Arc::new(view.finish()), &expected);
    let words = [Some(&b"\xff\0"[..]), None, Some(&b""[..])];
    let expected = [Atom::Bytes(vec![255, 0]), Atom::Null, Atom::Bytes(vec![])];
    arrives(Arc::new(BinaryArray::from(words.to_vec())), &expected);
    arrives(Arc::new(LargeBinaryArray::from(words.to_vec())), &expected);
    let mut view = BinaryViewBuilder::new();
    words.iter().for_each(|word| view.append_option(*word));
    arrives(Arc::new(view.finish()), &expected);
    let mut fixed = FixedSizeBinaryBuilder::new(2);
    fixed.append_value([1, 2]).unwrap();
    fixed.append_null();
    fixed.append_value([255, 0]).unwrap();
    let expected = [Atom::Bytes(vec![1, 2]), Atom::Null, Atom::Bytes(vec![255, 0])];
    arrives(Arc::new(fixed.finish()), &expected);
    arrives(Arc::new(NullArray::new(3)), &[Atom::Null, Atom::Null, Atom::Null]);
}

/// A half-precision float, by way of its crate's own conversion.
fn half(value: f32) -> <Float16Type as arrow_array::ArrowPrimitiveType>::Native {
    <Float16Type as arrow_array::ArrowPrimitiveType>::Native::from_f32(value)
}

fn keys_in<K: ArrowDictionaryKeyType>(keys: &[&str]) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<K>::new();
    keys.iter().for_each(|key| builder.append_value(key));
    Arc::new(builder.finish())
}

#[test]
fn keys_of_every_type_name_their_rows() {
    let in_turns: Vec<&str> = ["a", "bb", "a sensor of long name", "a"].repeat(30);
    let runs: Vec<&str> = [["x"; 40], ["y"; 40], ["z"; 40]].concat();
    let returning: Vec<&str> = [["x"; 40], ["y"; 40], ["x"; 40]].concat();
    let single = vec!["only"; 120];
    let sixteen: Vec<&str> =
        ["k/00000000000001", "k/00000000000002", "j/00000000000001", "k/000"].repeat(30);
    for keys in [in_turns, runs, returning, single, sixteen] {
        let mut view = StringViewBuilder::new();
        keys.iter().for_each(|key| view.append_value(key));
        let columns: Vec<ArrayRef> = vec![
            texts(&keys),
            Arc::new(LargeStringArray::from(keys.clone())),
            Arc::new(view.finish()),
            keys_in::<Int8Type>(&keys),
            keys_in::<Int16Type>(&keys),
            keys_in::<Int32Type>(&keys),
            keys_in::<Int64Type>(&keys),
            keys_in::<UInt8Type>(&keys),
            keys_in::<UInt16Type>(&keys),
            keys_in::<UInt32Type>(&keys),
            keys_in::<UInt64Type>(&keys),
        ];
        let micros: Vec<i64> = (0..keys.len() as i64).map(|row| row * 7 % 40).collect();
        let values: Vec<f64> = (0..keys.len()).map(|row| row as f64 / 4.0).collect();
        for column in columns {
            let whole = long(column, &micros, floats(&values));
            for (from, to) in [(0, keys.len()), (3, keys.len() - 2), (3, 20), (41, 42)] {
                let db = db();
                let written = db.write(&whole.slice(from, to - from)).unwrap();
                assert_eq!((written.points, written.commits), ((to - from) as u64, 1));
                let mut named: Vec<&str> = keys[from..to].to_vec();
                named.sort_unstable();
                named.dedup();
                assert_eq!(db.keys().unwrap(), named);
                for key in named {
                    let expected: Vec<Point> = (from..to)
                        .filter(|row| keys[*row] == key)
                        .map(|row| Point {
                            timestamp: micros[row],
                            value: Atom::Float(values[row]),
                        })
                        .collect();
                    assert_eq!(db.get_history(key).unwrap(), expected);
                    assert_eq!(db.get_point(key).unwrap().as_ref(), expected.last());
                }
            }
        }
    }
}

/// Entries of a dictionary may be equal, null, no keys at all, or far more than the rows.
#[test]
fn dictionaries_of_keys_are_read_by_what_their_rows_name() {
    let mut entries: Vec<Option<String>> = (0..10_000).map(|i| Some(format!("e{i}"))).collect();
    entries.extend([Some("same".into()), Some("same".into()), None, Some(String::new())]);
    let entries: StringArray = entries.into_iter().collect();
    let codes = Int32Array::from(vec![10_000, 10_001, 7, 10_000]);
    let keys = DictionaryArray::try_new(codes, Arc::new(entries.clone())).unwrap();
    let db = db();
    db.write(&long(Arc::new(keys), &[1, 2, 3, 4], floats(&[1.0, 2.0, 3.0, 4.0]))).unwrap();
    assert_eq!(db.get_history_floats("same").unwrap(), [1.0, 2.0, 4.0]);
    assert_eq!(db.get_history_floats("e7").unwrap(), [3.0]);

    for (codes, fault) in
        [(vec![7, 10_002], CellFault::NullKey), (vec![10_003, 7], CellFault::EmptyKey)]
    {
        let row = u64::from(fault == CellFault::NullKey);
        let keys = DictionaryArray::try_new(Int32Array::from(codes), Arc::new(entries.clone()));
        let batch = long(Arc::new(keys.unwrap()), &[1, 2], floats(&[1.0, 2.0]));
        assert_refused(&batch, &options(), |error| {
            assert!(is_cell(error, "key", row, &fault), "{error}");
        });
    }
}

#[test]
fn timestamps_of_every_unit_and_zone_are_instants() {
    let zone = "America/New_York";
    let columns: Vec<(ArrayRef, i64)> = vec![
        (Arc::new(TimestampSecondArray::from(vec![-2, 3]).with_timezone(zone)), 1_000_000),
        (Arc::new(TimestampMillisecondArray::from(vec![-2, 3]).with_timezone("+02:00")), 1_000),
        (Arc::new(TimestampMicrosecondArray::from(vec![-2, 3])), 1),
        (Arc::new(TimestampNanosecondArray::from(vec![-2_000, 3_000]).with_timezone(zone)), 1),
        (Arc::new(Date32Array::from(vec![-2, 3])), 86_400_000_000),
        (Arc::new(Date64Array::from(vec![-2, 3])), 1_000),
    ];
    for (column, unit) in columns {
        let db = db();
        let name = format!("{}", column.data_type());
        let columns = vec![("t", column), ("v", floats(&[1.0, 2.0]))];
        db.write_wide_with(&batch(columns), &options().with_time_column("t")).unwrap();
        let found: Vec<i64> =
            db.get_history("v").unwrap().into_iter().map(|point| point.timestamp).collect();
        assert_eq!(found, [-2 * unit, 3 * unit], "{name}");
    }
}

#[test]
fn finer_timestamps_are_rounded_down_where_that_is_wished() {
    let nanos = TimestampNanosecondArray::from(vec![-1, 999, 1_000, i64::MIN, i64::MAX]);
    let columns = vec![("timestamp", Arc::new(nanos) as ArrayRef), ("v", floats(&[0.0; 5]))];
    let wide = batch(columns);
    let error = db().write_wide(&wide).unwrap_err();
    assert!(is_cell(&error, "timestamp", 0, &CellFault::FineTimestamp), "{error}");
    assert!(error.to_string().contains("floor"), "{error}");
    let db = db();
    db.write_wide_with(&wide, &options().with_floor(true)).unwrap();
    let found: Vec<i64> = db.get_history("v").unwrap().iter().map(|p| p.timestamp).collect();
    assert_eq!(found, [-1, 0, 1, i64::MIN.div_euclid(1_000), i64::MAX.div_euclid(1_000)]);
}

fn is_cell(error: &SynaError, column: &str, row: u64, fault: &CellFault) -> bool {
    matches!(error, SynaError::InvalidCell { column: c, row: r, fault: f }
        if c == column && *r == row && f == fault)
}

/// That a batch is refused and leaves no trace.
fn assert_refused(batch: &RecordBatch, options: &WriteOptions, check: impl Fn(&SynaError)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::Os));
    let db = db.unwrap();
    db.append_at("before", 1, 1.0).unwrap();
    let bytes = db.stats().unwrap().log_bytes;
    check(&db.write_with(batch, options).unwrap_err());
    let atomic = options.clone().with_atomic(true);
    let one = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    check(&db.write_reader(one, &atomic).unwrap_err());
    assert_eq!(db.stats().unwrap().log_bytes, bytes);
    assert_eq!(db.keys().unwrap(), ["before"]);
    db.append_at("after", 1, 1.0).unwrap();
}

#[test]
fn what_cannot_be_stored_is_refused_by_name_and_nothing_is_written() {
    let good = |rows: usize| floats(&vec![1.0; rows]);
    let cells: Vec<(RecordBatch, &str, u64, CellFault)> = vec![
        (
            long(Arc::new(StringArray::from(vec![Some("a"), None])), &[1, 2], good(2)),
            "key",
            1,
            CellFault::NullKey,
        ),
        (long(texts(&["a", "a", ""]), &[1, 2, 3], good(3)), "key", 2, CellFault::EmptyKey),
        (
            long(texts(&["a", &"x".repeat(65_536)]), &[1, 2], good(2)),
            "key",
            1,
            CellFault::KeyTooLong { len: 65_536 },
        ),
        (
            batch(vec![
                ("key", texts(&["a", "a"])),
                ("timestamp", Arc::new(TimestampSecondArray::from(vec![Some(1), None]))),
                ("value", good(2)),
            ]),
            "timestamp",
            1,
            CellFault::NullTimestamp,
        ),
        (
            batch(vec![
                ("key", texts(&["a", "a"])),
                ("timestamp", Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001]))),
                ("value", good(2)),
            ]),
            "timestamp",
            1,
            CellFault::FineTimestamp,
        ),
        (
            batch(vec![
                ("key", texts(&["a", "a"])),
                ("timestamp", Arc::new(TimestampSecondArray::from(vec![1, i64::MAX / 1_000]))),
                ("value", good(2)),
            ]),
            "timestamp",
            1,
            CellFault::TimestampOutOfRange,
        ),
        (
            long(
                texts(&["a", "a"]),
                &[1, 2],
                Arc::new(UInt64Array::from(vec![1 << 62, (1 << 63) + 5])),
            ),
            "value",
            1,
            CellFault::IntTooLarge { value: (1 << 63) + 5 },
        ),
        (
            long(texts(&["a"]), &[1], texts(&[&"x".repeat((64 << 20) - 11)])),
            "value",
            0,
            CellFault::ValueTooLarge { len: (64 << 20) + 1, max: 64 << 20 },
        ),
        (
            long(texts(&["a", "a"]), &[1, 2], mixed(&["int", "double"], &[Some(1), Some(2)])),
            "value",
            1,
            CellFault::UnknownKind { kind: "double".into() },
        ),
        (
            long(texts(&["a", "a"]), &[1, 2], mixed(&["int", "int"], &[Some(1), None])),
            "value",
            1,
            CellFault::KindWithoutValue { kind: synadb::AtomKind::Int },
        ),
        (
            long(texts(&["a", "a"]), &[1, 2], mixed(&["null", "text"], &[None, None])),
            "value",
            1,
            CellFault::KindWithoutValue { kind: synadb::AtomKind::Text },
        ),
    ];
    for (batch, column, row, fault) in cells {
        assert_refused(&batch, &options(), |error| {
            assert!(is_cell(error, column, row, &fault), "{error}");
            assert!(error.to_string().contains(column), "{error}");
        });
    }
}

/// A struct as histories of several kinds leave, with the fields `kind` and `int` only.
fn mixed(kinds: &[&str], ints: &[Option<i64>]) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("kind", DataType::Utf8, true),
        Field::new("int", DataType::Int64, true),
    ]);
    let columns = vec![texts(kinds), Arc::new(Int64Array::from(ints.to_vec())) as ArrayRef];
    Arc::new(StructArray::new(fields, columns, None))
}

#[test]
fn what_stands_under_a_null_or_another_kind_is_not_looked_at() {
    let fields = Fields::from(vec![
        Field::new("kind", DataType::Utf8, true),
        Field::new("float", DataType::Float64, true),
        Field::new("int", DataType::UInt64, true),
    ]);
    let ints = UInt64Array::from(vec![u64::MAX, 7, u64::MAX, u64::MAX]);
    let columns =
        vec![texts(&["int", "int", "float", "null"]), floats(&[0.5; 4]), Arc::new(ints) as _];
    let nulls = Some(vec![false, true, true, true].into());
    let values = Arc::new(StructArray::new(fields, columns, nulls));
    let db = SynaDB::in_memory().unwrap();
    db.write(&long(texts(&["a"; 4]), &[1, 2, 3, 4], values)).unwrap();
    let fields = [
        (0, Field::new("f", DataType::Float64, true)),
        (1, Field::new("i", DataType::UInt64, true)),
    ];
    let fields = UnionFields::from_iter(fields.map(|(id, field)| (id, Arc::new(field))));
    let ints = Arc::new(UInt64Array::from(vec![u64::MAX, 7])) as ArrayRef;
    let sparse =
        UnionArray::try_new(fields, vec![0, 1].into(), None, vec![floats(&[0.5; 2]), ints]);
    db.write(&long(texts(&["a"; 2]), &[5, 6], Arc::new(sparse.unwrap()))).unwrap();
    let found: Vec<Atom> = db.get_history("a").unwrap().into_iter().map(|p| p.value).collect();
    let (half, seven) = (Atom::Float(0.5), Atom::Int(7));
    assert_eq!(found, [Atom::Null, seven.clone(), half.clone(), Atom::Null, half, seven]);
}

#[test]
fn columns_that_do_not_fit_are_refused_by_name() {
    let one = || floats(&[1.0]);
    let unsupported = |batch: &RecordBatch, name: &str| {
        assert_refused(batch, &options(), |error| match error {
            SynaError::UnsupportedColumn { column, found, .. } => {
                assert_eq!(column, name);
                assert_eq!(found, batch.column_by_name(name).unwrap().data_type());
                assert!(error.to_string().contains("cast"), "{error}");
            }
            other => panic!("{other}"),
        });
    };
    unsupported(&long(Arc::new(Int32Array::from(vec![1])), &[1], one()), "key");
    unsupported(&long(keys_of_numbers(), &[1], one()), "key");
    unsupported(
        &batch(vec![
            ("key", texts(&["a"])),
            ("timestamp", Arc::new(Int64Array::from(vec![1]))),
            ("value", one()),
        ]),
        "timestamp",
    );
    let lists = arrow_array::FixedSizeListArray::new(
        Arc::new(Field::new("item", DataType::Float64, true)),
        1,
        one(),
        None,
    );
    let decimal = arrow_array::Decimal128Array::from(vec![1]);
    let others: [ArrayRef; 5] = [
        stamps(&[1]),
        Arc::new(Date32Array::from(vec![1])),
        Arc::new(lists),
        Arc::new(decimal),
        Arc::new(StructArray::from(vec![(
            Arc::new(Field::new("x", DataType::Float64, true)),
            one(),
        )])),
    ];
    for values in others {
        unsupported(&long(texts(&["a"]), &[1], values), "value");
    }
    let whole = long(texts(&["a"]), &[1], one());
    assert_refused(&whole, &options().with_value_column("temp"), |error| match error {
        SynaError::ColumnNotFound { column, option, found } => {
            assert_eq!((column.as_str(), *option), ("temp", "value_column"));
            assert_eq!(*found, ["key", "timestamp", "value"]);
        }
        other => panic!("{other}"),
    });
    let twice = batch(vec![
        ("key", texts(&["a"])),
        ("timestamp", stamps(&[1])),
        ("value", one()),
        ("value", one()),
    ]);
    assert_refused(&twice, &options(), |error| {
        assert!(matches!(error, SynaError::DuplicateColumn { column } if column == "value"));
    });
    let wide = batch(vec![("timestamp", stamps(&[1])), ("a", one()), ("a", one())]);
    let error = db().write_wide(&wide).unwrap_err();
    assert!(matches!(error, SynaError::DuplicateColumn { column } if column == "a"));
    let wide = batch(vec![("timestamp", stamps(&[1])), ("", one())]);
    let error = db().write_wide(&wide).unwrap_err();
    assert!(is_cell(&error, "", 0, &CellFault::EmptyKey), "{error}");
    let wide = batch(vec![("timestamp", stamps(&[1])), ("a", stamps(&[1]))]);
    let error = db().write_wide(&wide).unwrap_err();
    assert!(matches!(error, SynaError::UnsupportedColumn { column, .. } if column == "a"));
}

fn keys_of_numbers() -> ArrayRef {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![5]));
    Arc::new(DictionaryArray::try_new(Int32Array::from(vec![0]), values).unwrap())
}

#[test]
fn columns_are_found_by_the_names_given_and_others_are_left_alone() {
    let table = batch(vec![
        ("quality", texts(&["x", "y"])),
        ("station", texts(&["JFK", "LGA"])),
        ("time", stamps(&[5, 6])),
        ("temp", floats(&[1.0, 2.0])),
    ]);
    let options =
        options().with_key_column("station").with_time_column("time").with_value_column("temp");
    let db = db();
    db.write_with(&table, &options).unwrap();
    assert_eq!(db.get_history_floats("LGA").unwrap(), [2.0]);
    assert_eq!(db.get_point("JFK").unwrap().unwrap().timestamp, 5);
}

#[test]
fn wide_batches_bring_a_key_for_each_column() {
    let rows = 100;
    let micros: Vec<i64> = (0..rows).collect();
    let with_nulls: Float64Array = (0..rows).map(|i| (i % 3 != 0).then_some(i as f64)).collect();
    let table = batch(vec![
        ("temp", Arc::new(with_nulls)),
        ("timestamp", stamps(&micros)),
        ("sky", texts(&["clear"; 100])),
    ]);
    let db = db();
    let written = db.write_wide_with(&table, &options().with_prefix("JFK/")).unwrap();
    assert_eq!((written.points, written.rows, written.commits), (200, 100, 1));
    assert_eq!(db.keys().unwrap(), ["JFK/sky", "JFK/temp"]);
    let temp = db.get_history("JFK/temp").unwrap();
    assert_eq!(temp.len(), 100);
    assert_eq!(temp[3], Point { timestamp: 3, value: Atom::Null });
    assert_eq!(temp[4], Point { timestamp: 4, value: Atom::Float(4.0) });
    assert_eq!(db.get("JFK/sky").unwrap(), Some(Atom::Text("clear".into())));
}

/// What an iterator gives, as a stream of the long form of floats.
fn stream<B: IntoIterator<Item = Result<RecordBatch, ArrowError>>>(
    batches: B,
) -> RecordBatchIterator<B::IntoIter> {
    RecordBatchIterator::new(batches.into_iter(), long(texts(&[]), &[], floats(&[])).schema())
}

/// Batches of a few rows of each of two keys, `count` of them.
fn batches(count: i64, rows: i64) -> Vec<RecordBatch> {
    let one = |number: i64| {
        let all: Vec<i64> = (number * rows..(number + 1) * rows).collect();
        let keys: Vec<&str> = all.iter().map(|row| ["a", "b"][(row % 2) as usize]).collect();
        let values: Vec<f64> = all.iter().map(|row| *row as f64).collect();
        long(texts(&keys), &all, floats(&values))
    };
    (0..count).map(one).collect()
}

#[test]
fn a_reader_is_a_commit_for_each_batch_or_one_for_all() {
    for rows in [10, 100, 20_000] {
        let all = batches(5, rows);
        for atomic in [false, true] {
            let db = db();
            let reader = stream(all.clone().into_iter().map(Ok));
            let written = db.write_reader(reader, &options().with_atomic(atomic)).unwrap();
            assert_eq!(written.commits, if atomic { 1 } else { 5 });
            assert_eq!((written.rows, written.points), (5 * rows as u64, 5 * rows as u64));
            db.wait_durable(written.offset).unwrap();
            let expected: Vec<f64> =
                (0..5 * rows).filter(|row| row % 2 == 1).map(|row| row as f64).collect();
            assert_eq!(db.get_history_floats("b").unwrap(), expected);
            assert_eq!(db.len("a").unwrap(), expected.len() as u64);
        }
    }
}

#[test]
fn rows_join_the_other_changes_of_a_batch_in_order() {
    let db = db();
    db.append_at("a", 0, 7.0).unwrap();
    let mut batch = db.batch();
    batch.append_at("a", 1, 8.0).unwrap();
    batch.write(&long(texts(&["a", "b", "a"]), &[2, 3, 4], floats(&[9.0, 1.5, 10.0]))).unwrap();
    batch.delete("b").unwrap();
    batch.append_at("a", 5, 11.0).unwrap();
    batch.write_reader(stream(batches(2, 100).into_iter().map(Ok)), &options()).unwrap();
    assert_eq!(batch.len(), 1 + 3 + 1 + 1 + 200);
    assert_eq!(db.get_history_floats("a").unwrap(), [7.0], "nothing is there before the commit");
    let offset = batch.commit().unwrap();
    db.wait_durable(offset).unwrap();
    let rows = |parity| (0..200).filter(move |row| row % 2 == parity).map(f64::from);
    let expected: Vec<f64> = [7.0, 8.0, 9.0, 10.0, 11.0].into_iter().chain(rows(0)).collect();
    assert_eq!(db.get_history_floats("a").unwrap(), expected);
    assert_eq!(db.get_history_floats("b").unwrap(), rows(1).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_rows_were_refused_for_is_as_it_was() {
    let db = db();
    let mut batch = db.batch();
    batch.append_at("a", 1, 8.0).unwrap();
    let good = long(texts(&["a"]), &[2], floats(&[9.0]));
    let unkeyed = long(texts(&[""]), &[2], floats(&[9.0]));
    let failing = || ArrowError::ExternalError("no more".into());
    let wide = self::batch(vec![("timestamp", stamps(&[1])), ("", floats(&[1.0]))]);
    let small = options().with_write_budget_bytes(100);
    assert!(batch.write(&unkeyed).is_err());
    assert!(batch.write_wide(&wide).is_err());
    assert!(matches!(
        batch.write_with(&batches(1, 10)[0], &small).unwrap_err(),
        SynaError::BatchTooLarge { .. }
    ));
    for second in [Ok(unkeyed), Err(failing())] {
        assert!(batch.write_reader(stream([Ok(good.clone()), second]), &options()).is_err());
    }
    let Err(error) = batch.write_wide_reader(stream([]), &options().with_time_column("when"))
    else {
        panic!("a column that is not there")
    };
    assert!(matches!(error, SynaError::ColumnNotFound { .. }), "{error}");
    assert_eq!(batch.len(), 1);
    batch.commit().unwrap();
    assert_eq!(db.get_history_floats("a").unwrap(), [8.0]);
    assert_eq!(db.keys().unwrap(), ["a"]);
}

#[test]
fn batches_of_one_database_become_one() {
    let db = db();
    let parts: Vec<_> = std::thread::scope(|scope| {
        let part = |part: i64| {
            let mut batch = db.batch();
            batch.append_at("n", part, part).unwrap();
            batch.append_at("text", part, "x").unwrap();
            batch.append_batch("run", &[part; 50], &[part as f64; 50][..]).unwrap();
            batch
        };
        let threads: Vec<_> = (0..3).map(|number| scope.spawn(move || part(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = db.batch();
    all.append_at("n", 0, -1).unwrap();
    for part in parts {
        all.merge(part).unwrap();
    }
    assert_eq!(all.len(), 1 + 3 * 52);
    let text = "x".repeat(65 << 20);
    assert!(matches!(
        all.append_batch("long", &[1], &[&*text][..]).unwrap_err(),
        SynaError::ValueTooLarge { .. }
    ));
    let atoms = [Atom::from(text)];
    assert!(all.append_batch("long", &[1], &atoms[..]).is_err());
    assert_eq!(all.len(), 1 + 3 * 52);
    let other = self::db();
    let mut foreign = other.batch();
    foreign.append("n", 5).unwrap();
    assert!(matches!(all.merge(foreign).unwrap_err(), SynaError::InvalidOption { .. }));
    all.commit().unwrap();
    let ints: Vec<Atom> =
        db.get_history("n").unwrap().into_iter().map(|point| point.value).collect();
    assert_eq!(ints, [-1, 0, 1, 2].map(Atom::Int));
    assert_eq!(db.len("text").unwrap(), 3);
    let runs: Vec<f64> = (0..150).map(|row| f64::from(row / 50)).collect();
    assert_eq!(db.get_history_floats("run").unwrap(), runs);
}

#[test]
fn batches_of_two_opens_of_one_file_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    let (first, second) = (SynaDB::new(&path).unwrap(), SynaDB::new(&path).unwrap());
    let (mut all, mut more) = (first.batch(), second.batch());
    all.append("k", 1i64).unwrap();
    more.append("k", 2i64).unwrap();
    all.merge(more).unwrap();
    all.commit().unwrap();
    assert_eq!(second.len("k").unwrap(), 2);
}

#[test]
fn nothing_to_write_is_no_commit() {
    let db = db();
    let empty = batches(1, 10)[0].slice(0, 0);
    for written in [
        db.write(&empty).unwrap(),
        db.write_reader(stream([]), &options()).unwrap(),
        db.write_reader(stream([Ok(empty.clone())]), &options()).unwrap(),
        db.write_reader(stream([Ok(empty)]), &options().with_atomic(true)).unwrap(),
    ] {
        assert_eq!((written.rows, written.points, written.commits), (0, 0, 0));
        assert_eq!(written.offset, 12_288, "the log's end");
    }
    assert!(db.keys().unwrap().is_empty());
}

/// What stands in the schema is checked although no batch comes, and before one is asked for.
#[test]
fn columns_that_a_stream_lacks_are_missed_before_its_first_batch() {
    let db = db();
    let never = || std::iter::once_with(|| -> Result<RecordBatch, ArrowError> { unreachable!() });
    let of = |names: &[&str]| {
        let field = |name: &&str| Field::new(*name, DataType::Null, true);
        Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
    };
    for atomic in [false, true] {
        let options = options().with_atomic(atomic);
        for names in [&[][..], &["key", "timestamp"], &["key", "value"], &["timestamp", "value"]] {
            let reader = RecordBatchIterator::new(never(), of(names));
            let error = db.write_reader(reader, &options).unwrap_err();
            assert!(matches!(error, SynaError::ColumnNotFound { .. }), "{names:?}: {error}");
        }
        let twice = of(&["key", "timestamp", "value", "value"]);
        let error = db.write_reader(RecordBatchIterator::new(never(), twice), &options);
        assert!(matches!(error, Err(SynaError::DuplicateColumn { .. })));
        let reader = RecordBatchIterator::new(never(), of(&["key", "value"]));
        let error = db.write_wide_reader(reader, &options).unwrap_err();
        assert!(matches!(error, SynaError::ColumnNotFound { .. }), "{error}");
        // The types of a table without rows are no matter.
        let schema = of(&["key", "timestamp", "value"]);
        for batches in [vec![], vec![Ok(RecordBatch::new_empty(Arc::clone(&schema)))]] {
            let empty = RecordBatchIterator::new(batches, Arc::clone(&schema));
            assert_eq!(db.write_reader(empty, &options).unwrap().rows, 0);
        }
        let nulls = vec![Arc::new(NullArray::new(1)) as ArrayRef; 3];
        let one = RecordBatch::try_new(schema, nulls).unwrap();
        assert!(is_cell(&db.write(&one).unwrap_err(), "timestamp", 0, &CellFault::NullTimestamp));
    }
}

#[test]
fn a_reader_that_fails_in_the_middle_leaves_what_was_committed_and_says_how_much() {
    let failing = || {
        let all = batches(3, 100).into_iter().map(Ok);
        all.chain([Err(ArrowError::CsvError("line 7".into()))])
    };
    let db_ = db();
    let error = db_.write_reader(stream(failing()), &options()).unwrap_err();
    let SynaError::WriteStopped { rows: 300, commits: 3, source } = &error else {
        panic!("{error}");
    };
    assert!(matches!(&**source, SynaError::Arrow { .. }), "{source}");
    assert!(error.to_string().contains("300 rows") && error.to_string().contains("line 7"));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(db_.len("a").unwrap(), 150);

    let db_ = db();
    let error = db_.write_reader(stream(failing()), &options().with_atomic(true)).unwrap_err();
    assert!(matches!(error, SynaError::Arrow { .. }), "{error}");
    assert!(db_.keys().unwrap().is_empty());
    db_.append("a", 1.0).unwrap();
    assert_eq!(db_.len("a").unwrap(), 1);

    // A row is counted from the beginning of the call.
    let mut all = batches(2, 100);
    all.push(long(texts(&["a", ""]), &[1, 2], floats(&[1.0, 2.0])));
    let error = db().write_reader(stream(all.into_iter().map(Ok)), &options()).unwrap_err();
    let SynaError::WriteStopped { rows: 200, commits: 2, source } = error else { panic!() };
    assert!(is_cell(&source, "key", 201, &CellFault::EmptyKey), "{source}");
}

#[test]
fn a_reader_that_panics_leaves_nothing_locked_and_nothing_half_written() {
    for atomic in [false, true] {
        let db = db();
        let reader = batches(3, 100).into_iter().map(Ok).chain(std::iter::once_with(|| {
            panic!("a bug of the caller's");
        }));
        let options = options().with_atomic(atomic);
        let ended = catch_unwind(AssertUnwindSafe(|| db.write_reader(stream(reader), &options)));
        assert!(ended.is_err());
        let kept = if atomic { 0 } else { 150 };
        assert_eq!(db.len("a").unwrap(), kept);
        db.append("a", 1.0).unwrap();
        db.write(&batches(1, 100)[0]).unwrap();
        assert_eq!(db.len("a").unwrap(), kept + 51);
        db.sync().unwrap();
    }
}

/// The reader reads from and writes to the database that it feeds: no lock is held meanwhile.
#[test]
fn a_reader_may_use_the_database_it_is_written_to() {
    let db = db();
    let inside = db.clone();
    let reader = (0..5_i64).map(move |number| {
        inside.append_at("inside", number, number)?;
        let micros: Vec<i64> = (0..40).collect();
        Ok(long(texts(&["a"; 40]), &micros, floats(&vec![inside.len("a")? as f64; 40])))
    });
    let reader = reader.map(|batch: Result<_, SynaError>| {
        batch.map_err(|error| ArrowError::ExternalError(Box::new(error)))
    });
    db.write_reader(stream(reader), &options()).unwrap();
    assert_eq!(db.len("inside").unwrap(), 5);
    assert_eq!(db.get_history_floats("a").unwrap()[199], 160.0);

    // An error of the store that came through the reader comes out as it was.
    let closing = db.clone();
    let reader = std::iter::once_with(move || {
        let error = closing.history("none").unwrap_err();
        Err(ArrowError::ExternalError(Box::new(error)))
    });
    let error = db.write_reader(stream(reader), &options()).unwrap_err();
    assert!(matches!(error, SynaError::KeyNotFound { .. }), "{error}");
}

#[test]
fn a_database_closed_by_its_reader_takes_no_more() {
    let db = db();
    let mut inside = Some(db.clone());
    let reader = batches(3, 100).into_iter().enumerate().map(move |(number, batch)| {
        if number == 1 {
            inside.take().unwrap().close().unwrap();
        }
        Ok(batch)
    });
    let error = db.write_reader(stream(reader), &options()).unwrap_err();
    let SynaError::WriteStopped { rows: 100, commits: 1, source } = error else { panic!() };
    assert!(matches!(*source, SynaError::Closed), "{source}");
}

#[test]
fn an_atomic_write_stages_no_more_than_its_budget() {
    let db = db();
    // 300 rows of 16 bytes, two keys of 257.
    let all = || batches(3, 100).into_iter().map(Ok);
    let within = options().with_atomic(true).with_write_budget_bytes(5_314);
    db.write_reader(stream(all()), &within).unwrap();
    assert_eq!(db.len("a").unwrap(), 150);
    let error = db.write_reader(stream(all()), &within.clone().with_write_budget_bytes(5_313));
    match error.unwrap_err() {
        SynaError::BatchTooLarge { what, len: 5_314, max: 5_313 } => {
            assert!(what.contains("write_budget_bytes"), "{what}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(db.len("a").unwrap(), 150);
    // Texts count by their length.
    let words = of_values(texts(&[&"x".repeat(1_000)]));
    let budget = |bytes| options().with_atomic(true).with_write_budget_bytes(bytes);
    db.write_reader(stream([Ok(words.clone())]), &budget(1_289)).unwrap();
    db.write_reader(stream([Ok(words)]), &budget(1_288)).unwrap_err();
    // So do keys, each once: many of few points are mostly names.
    let names: Vec<String> = (0..100).map(|number| format!("{number:01000}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wordy = long(texts(&names), &[0; 100], floats(&[1.0; 100]));
    let twice = || [Ok(wordy.clone()), Ok(wordy.clone())];
    let needed = 100 * (1_000 + 256) + 200 * 16;
    db.write_reader(stream(twice()), &budget(needed)).unwrap();
    db.write_reader(stream(twice()), &budget(needed - 1)).unwrap_err();
    // One batch is a commit anyway, and staged nowhere.
    db.write_with(&batches(1, 1_000)[0], &budget(1)).unwrap();
}

/// A few bytes of Arrow may stand for any number of them: rows that share a text are refused before
/// each of them is given its own.
#[test]
fn texts_that_too_many_rows_share_are_refused_before_they_are_copied() {
    let db = db();
    let mebibyte = "x".repeat(1 << 20);
    let entry = texts(&[&mebibyte]);
    let keys = Int32Array::from(vec![0; 2_048]);
    let dictionary = DictionaryArray::<Int32Type>::new(keys, entry);
    let mut view = StringViewBuilder::new().with_deduplicate_strings();
    (0..2_048).for_each(|_| view.append_value(&mebibyte));
    for values in [Arc::new(dictionary) as ArrayRef, Arc::new(view.finish())] {
        match db.write(&of_values(Arc::clone(&values))).unwrap_err() {
            SynaError::BatchTooLarge { len, max: 0x7FFF_FFFF, .. } => assert!(len >= 1 << 31),
            other => panic!("{other}"),
        }
        db.write(&of_values(values.slice(0, 40))).unwrap();
        assert_eq!(db.get("k").unwrap().unwrap().as_text(), Some(&*mebibyte));
    }
    assert_eq!(db.len("k").unwrap(), 80);
    // Rows that are null have nothing in common with what their keys say.
    let nulls = Int32Array::new(vec![0; 2_048].into(), Some(NullBuffer::new_null(2_048)));
    let dictionary = DictionaryArray::<Int32Type>::new(nulls, texts(&[&mebibyte]));
    db.write(&of_values(Arc::new(dictionary))).unwrap();
    let none = Int32Array::new_null(3);
    let dictionary = DictionaryArray::<Int32Type>::new(none, texts(&[]));
    db.write(&of_values(Arc::new(dictionary))).unwrap();
    assert_eq!(db.len("k").unwrap(), 80 + 2_048 + 3);
}

#[test]
fn a_read_only_handle_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    SynaDB::new(&path).unwrap().close().unwrap();
    let db = SynaDB::open_read_only(&path).unwrap();
    let all = batches(1, 10);
    assert!(matches!(db.write(&all[0]), Err(SynaError::ReadOnly)));
    assert!(matches!(db.write_wide(&all[0]), Err(SynaError::ReadOnly)));
    let reader = std::iter::once_with(|| -> Result<RecordBatch, ArrowError> { unreachable!() });
    assert!(matches!(db.write_reader(stream(reader), &options()), Err(SynaError::ReadOnly)));
}

fn mixed_points() -> Vec<Point> {
    let values = [
        Atom::Int(5),
        Atom::Float(f64::from_bits(0x7ff0_0000_0000_0001)),
        Atom::Null,
        Atom::Text("a\0b".into()),
        Atom::Bytes(vec![255, 0]),
        Atom::Int(i64::MIN),
        Atom::Text(String::new()),
        Atom::Float(-0.0),
    ];
    let all = values.iter().cycle().take(3_000).cloned().enumerate();
    all.map(|(row, value)| Point { timestamp: row as i64 * 3 % 1_000, value }).collect()
}

/// What a history leaves as is written under another name, and is the same.
#[test]
fn what_histories_leave_as_can_be_written_again() {
    let only = |kinds: &'static [usize]| {
        move |point: &Point| kinds.contains(&(point.value.kind() as usize))
    };
    let all = mixed_points();
    let sets: Vec<Vec<Point>> = vec![
        all.clone(),
        all[..20].to_vec(),
        all.iter().filter(|point| only(&[1])(point)).cloned().collect(),
        all.iter().filter(|point| only(&[0, 2])(point)).cloned().collect(),
        all.iter().filter(|point| only(&[0, 3])(point)).cloned().collect(),
        all.iter().filter(|point| only(&[4])(point)).cloned().collect(),
        all.iter().filter(|point| only(&[0])(point)).cloned().collect(),
    ];
    for points in sets {
        let db = db();
        let mut batch = db.batch();
        for point in &points {
            batch.append_at("from", point.timestamp, point.value.clone()).unwrap();
        }
        batch.commit().unwrap();
        for (to, as_type) in [("n", AsType::Natural), ("s", AsType::Struct), ("u", AsType::Union)] {
            let history = db.history("from").unwrap().as_type(as_type);
            let wide = history.read().unwrap();
            let renamed = rename(&wide, to);
            db.write_wide(&renamed.slice(0, 7)).unwrap();
            let stream = history.rows(7..u64::MAX).stream().unwrap();
            let schema = renamed.schema();
            let renamed = stream.map(|batch| batch.map(|batch| rename(&batch, to)));
            let renamed = RecordBatchIterator::new(renamed, schema);
            db.write_wide_reader(renamed, &options()).unwrap();
            assert_eq!(bits(db.get_history(to).unwrap()), bits(points.clone()), "{as_type:?}");
        }
    }
}

/// The column `value` under another name.
fn rename(batch: &RecordBatch, name: &str) -> RecordBatch {
    let column = batch.column(1);
    let fields = vec![
        batch.schema_ref().field(0).clone(),
        Field::new(name, column.data_type().clone(), true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap()
}

/// A stream of a history is a reader like others, also of the database that it is read from.
#[test]
fn a_history_is_written_to_another_database_as_it_streams() {
    let from = db();
    let micros: Vec<i64> = (0..50_000).collect();
    let values: Vec<f64> = micros.iter().map(|t| *t as f64 / 8.0).collect();
    from.append_batch("value", &micros, &values).unwrap();
    let stream = from.history("value").unwrap().stream().unwrap();
    assert_eq!(stream.schema().field(0).name(), "timestamp");
    let to = db();
    to.write_wide_reader(stream, &options()).unwrap();
    assert_eq!(to.get_history_floats("value").unwrap(), values);
}

/// Every form in which points lie in the file, with encodings and without, survives reopening.
#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    for encoded in [true, false] {
        for (number, durability) in
            [Durability::Full, Durability::Os, Durability::BUFFERED].into_iter().enumerate()
        {
            let path = folder.path().join(format!("{encoded}{number}.syna"));
            let config = DbConfig::default()
                .with_durability(durability)
                .with_enable_delta(encoded)
                .with_enable_compression(encoded);
            let db = SynaDB::with_config(&path, config).unwrap();
            let mut expected: Vec<(String, Bits)> = Vec::new();
            for (rows, key) in [(1, "one"), (31, "few"), (100, "some"), (9_001, "many")] {
                for (kind, values) in columns_of(rows) {
                    let name = format!("{key}/{kind}");
                    let micros: Vec<i64> = (0..rows as i64).map(|row| row * row % 999).collect();
                    let keys = vec![name.as_str(); rows];
                    // Twice, so that there is something to be sealed with.
                    for _ in 0..2 {
                        db.write(&long(texts(&keys), &micros, Arc::clone(&values))).unwrap();
                    }
                    expected.push((name.clone(), bits(db.get_history(&name).unwrap())));
                    assert_eq!(db.len(&name).unwrap(), 2 * rows as u64);
                }
            }
            db.flush().unwrap();
            let reader = SynaDB::open_read_only(&path).unwrap();
            let same = |db: &SynaDB| {
                for (key, points) in &expected {
                    assert_eq!(&bits(db.get_history(key).unwrap()), points, "{key}");
                }
            };
            same(&reader);
            reader.close().unwrap();
            db.close().unwrap();
            let db = SynaDB::open_read_only(&path).unwrap();
            same(&db);
            assert!(db.verify().is_ok());
        }
    }
}

fn columns_of(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let every_third = |row: &usize| !row.is_multiple_of(3);
    vec![
        ("float", Arc::new((0..rows).map(|row| Some(row as f64 / 4.0)).collect::<Float64Array>())),
        ("int", Arc::new((0..rows as i64).map(Some).collect::<Int64Array>())),
        (
            "nulls",
            Arc::new(
                (0..rows)
                    .map(|row| Some(row).filter(every_third).map(|row| row as f64))
                    .collect::<Float64Array>(),
            ),
        ),
        ("text", Arc::new((0..rows).map(|row| Some(format!("t{row}"))).collect::<StringArray>())),
    ]
}

/// Texts too long to share a chunk stand alone, in the order of their rows.
#[test]
fn long_texts_keep_their_place_among_short_ones() {
    let long_text = "x".repeat(70_000);
    let words: Vec<&str> =
        (0..100).map(|row| if row % 40 == 7 { long_text.as_str() } else { "short" }).collect();
    let db = db();
    db.write(&of_values(texts(&words))).unwrap();
    let expected: Vec<Atom> = words.iter().map(|word| Atom::Text((*word).into())).collect();
    assert!(atoms(&db, "k") == expected);
}

#[derive(Debug, Clone)]
struct Row {
    key: usize,
    timestamp: i64,
    value: Option<i64>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let keys = prop_oneof![Just(1_usize), Just(2), Just(3), Just(50)];
    (keys, 0_usize..400).prop_flat_map(|(keys, len)| {
        let row = (0..keys, any::<i64>(), prop::option::weighted(0.8, any::<i64>()))
            .prop_map(|(key, timestamp, value)| Row { key, timestamp, value });
        prop::collection::vec(row, len)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same points by batches and one by one: any cut into batches and slices of them, any
    /// order of keys, any way of writing.
    #[test]
    fn batches_bring_the_same_points_as_single_appends(
        rows in rows(), cut in any::<prop::sample::Index>(), floats: bool, coded: bool, atomic: bool,
    ) {
        let single = db();
        let atom = |row: &Row| match row.value {
            None => Atom::Null,
            Some(value) if floats => Atom::Float(f64::from_bits(value.cast_unsigned())),
            Some(value) => Atom::Int(value),
        };
        for row in &rows {
            single.append_at(&format!("key {}", row.key), row.timestamp, atom(row)).unwrap();
        }
        let names: Vec<String> = rows.iter().map(|row| format!("key {}", row.key)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let keys = if coded { keys_in::<UInt16Type>(&names) } else { texts(&names) };
        let values: ArrayRef = if floats {
            let float = |row: &Row| row.value.map(|v| f64::from_bits(v.cast_unsigned()));
            Arc::new(rows.iter().map(float).collect::<Float64Array>())
        } else {
            Arc::new(rows.iter().map(|row| row.value).collect::<Int64Array>())
        };
        let micros: Vec<i64> = rows.iter().map(|row| row.timestamp).collect();
        let whole = long(keys, &micros, values);
        let at = if rows.is_empty() { 0 } else { cut.index(rows.len()) };
        let parts = [whole.slice(0, at), whole.slice(at, rows.len() - at)];
        let many = db();
        many.write_reader(stream(parts.map(Ok)), &options().with_atomic(atomic)).unwrap();
        prop_assert_eq!(many.keys().unwrap(), single.keys().unwrap());
        for key in single.keys().unwrap() {
            prop_assert_eq!(
                bits(many.get_history(&key).unwrap()), bits(single.get_history(&key).unwrap()));
            prop_assert_eq!(
                bits(many.get_point(&key).unwrap().into_iter().collect()),
                bits(single.get_point(&key).unwrap().into_iter().collect()));
        }
    }
}
