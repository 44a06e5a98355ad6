//! Bars of writing Arrow: one long column, many batches of one key each, keys that take turns.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use synadb::{DbConfig, Durability, SynaDB};

use crate::data::{Random, fresh_seed, key_name};
use crate::report::{Bar, Group};
use crate::run::{Result, check, median, remove};

const POINTS: u64 = 10_000_000;
const KEYS: usize = 1_000;
const KEY: &str = "walk";
const START: i64 = 1_735_689_600_000_000;
const STEP: i64 = 1_000_000;
/// Rows of a batch of `ingest_batches`, and of `ingest_arrival`.
const BATCH_ROWS: usize = 1_000;
const ARRIVAL_ROWS: usize = 100_000;

/// Points of keys that take turns, each a random walk with two decimals, once a second, give or
/// take a millisecond.
struct Walks {
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

impl Walks {
    fn new(points: usize, keys: usize) -> Walks {
        let mut random = Random::new(fresh_seed());
        let mut cents = vec![100_000_i64; keys];
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        for row in 0..points {
            let jitter = random.below(2_001) as i64 - 1_000;
            timestamps.push(START + (row / keys) as i64 * STEP + jitter);
            let cents = &mut cents[row % keys];
            *cents += random.below(201) as i64 - 100;
            values.push(*cents as f64 / 100.0);
        }
        Walks { timestamps, values }
    }
}

fn batch(key: ArrayRef, timestamps: &[i64], values: &[f64]) -> Result<RecordBatch> {
    let timestamps = TimestampMicrosecondArray::from(timestamps.to_vec());
    let values = Float64Array::from(values.to_vec());
    Ok(RecordBatch::try_from_iter([
        ("key", key),
        ("timestamp", Arc::new(timestamps) as ArrayRef),
        ("value", Arc::new(values) as ArrayRef),
    ])?)
}

/// A column that says the same in every row, as an exporter of one history makes it.
fn one_key(rows: usize) -> Result<ArrayRef> {
    let names: ArrayRef = Arc::new(StringArray::from(vec![KEY]));
    Ok(Arc::new(DictionaryArray::try_new(Int32Array::from(vec![0; rows]), names)?))
}

/// Rows per second of writing to a new file.
fn measured(
    path: &Path,
    config: &DbConfig,
    rows: usize,
    write: impl FnOnce(&SynaDB) -> Result<()>,
) -> Result<f64> {
    remove(path)?;
    let db = SynaDB::with_config(path, config.clone())?;
    // What earlier runs left to be written back is not ours to wait for.
    rustix::fs::sync();
    let start = Instant::now();
    write(&db)?;
    let elapsed = start.elapsed();
    db.close()?;
    Ok(rows as f64 / elapsed.as_secs_f64() / 1e6)
}

/// That a key's history is what was written: these rows of the walks.
fn check_key(db: &SynaDB, key: &str, walks: &Walks, rows: &[usize]) -> Result<()> {
    let found = db.history(key)?.read()?;
    let stamps = found.column(0).as_primitive::<TimestampMicrosecondType>().values();
    let values = found.column(1).as_primitive::<Float64Type>().values();
    let same = found.num_rows() == rows.len()
        && rows.iter().zip(stamps.iter().zip(values.iter())).all(|(row, (stamp, value))| {
            walks.timestamps[*row] == *stamp && walks.values[*row] == *value
        });
    check(same, || format!("{key} has other points than were written"))
}

/// Microseconds of the first read of a key, the pool warm.
fn first_reads(path: &Path, names: &[String]) -> Result<f64> {
    let db = SynaDB::open_read_only(path)?;
    let mut micros = Vec::new();
    for name in names {
        let start = Instant::now();
        let batch = db.history(name)?.read()?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
        drop(batch);
        db.forget_columns()?;
    }
    Ok(median(micros))
}

fn os() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

pub const BULK: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_least("ingest_encoded", "Mrows/s", 40.0),
        Bar::at_least("ingest_raw", "Mrows/s", 60.0),
    ],
    run: |run| {
        let rows = run.work(POINTS) as usize;
        let walks = Walks::new(rows, 1);
        let all: Vec<usize> = (0..rows).collect();
        let long = batch(one_key(rows)?, &walks.timestamps, &walks.values)?;
        let path = run.file("ingest-bulk.synadb")?;
        let raw = os().with_enable_delta(false).with_enable_compression(false);
        let mut rates = Vec::new();
        for config in [os(), raw] {
            let mut found = Vec::new();
            for _ in 0..run.runs() {
                found.push(measured(&path, &config, rows, |db| {
                    db.write(&long)?;
                    Ok(())
                })?);
                check_key(&SynaDB::open_read_only(&path)?, KEY, &walks, &all)?;
            }
            rates.push(median(found));
        }
        remove(&path)?;
        Ok(["ingest_encoded", "ingest_raw"].into_iter().zip(rates).collect())
    },
};

pub const BATCHES: Group = Group {
    issue: 2,
    long: false,
    bars: &[Bar::at_least("ingest_batches", "Mrows/s", 25.0)],
    run: |run| {
        let count = (run.work(POINTS) as usize / BATCH_ROWS).max(1);
        let rows = count * BATCH_ROWS;
        let walks = Walks::new(rows, 1);
        let mut batches = Vec::new();
        for number in 0..count {
            let name = key_name((number % KEYS) as u64);
            let names: ArrayRef = Arc::new(StringArray::from(vec![name; BATCH_ROWS]));
            let part = number * BATCH_ROWS..(number + 1) * BATCH_ROWS;
            batches.push(batch(names, &walks.timestamps[part.clone()], &walks.values[part])?);
        }
        let path = run.file("ingest-batches.synadb")?;
        let config = DbConfig::default().with_durability(Durability::BUFFERED);
        let mut found = Vec::new();
        for _ in 0..run.runs() {
            found.push(measured(&path, &config, rows, |db| {
                for batch in &batches {
                    db.write(batch)?;
                }
                db.flush()?;
                Ok(())
            })?);
            let db = SynaDB::open_read_only(&path)?;
            for key in 0..KEYS.min(count) {
                let of_key = (key..count).step_by(KEYS);
                let all = of_key.flat_map(|n| n * BATCH_ROWS..(n + 1) * BATCH_ROWS);
                check_key(&db, &key_name(key as u64), &walks, &all.collect::<Vec<_>>())?;
            }
        }
        remove(&path)?;
        Ok(vec![("ingest_batches", median(found))])
    },
};

pub const ARRIVAL: Group = Group {
    issue: 2,
    long: false,
    bars: &[Bar::at_least("ingest_arrival", "Mrows/s", 12.0)],
    run: |run| {
        let count = (run.work(POINTS) as usize / ARRIVAL_ROWS).max(1);
        let rows = count * ARRIVAL_ROWS;
        let walks = Walks::new(rows, KEYS);
        let names: Vec<String> = (0..KEYS as u64).map(key_name).collect();
        let mut batches = Vec::new();
        for number in 0..count {
            let keys = names.iter().cycle().take(ARRIVAL_ROWS);
            let keys: ArrayRef = Arc::new(keys.map(Some).collect::<StringArray>());
            let part = number * ARRIVAL_ROWS..(number + 1) * ARRIVAL_ROWS;
            batches.push(batch(keys, &walks.timestamps[part.clone()], &walks.values[part])?);
        }
        let path = run.file("ingest-arrival.synadb")?;
        let mut found = Vec::new();
        for _ in 0..run.runs() {
            found.push(measured(&path, &os(), rows, |db| {
                for batch in &batches {
                    db.write(batch)?;
                }
                Ok(())
            })?);
            let db = SynaDB::open_read_only(&path)?;
            for (key, name) in names.iter().enumerate() {
                check_key(&db, name, &walks, &(key..rows).step_by(KEYS).collect::<Vec<_>>())?;
            }
        }
        let bytes = std::fs::metadata(&path)?.len();
        let arrived = first_reads(&path, &names)?;
        // The same points, each key's in one batch.
        remove(&path)?;
        let db = SynaDB::with_config(&path, os())?;
        for (key, name) in names.iter().enumerate() {
            let of_key = (key..rows).step_by(KEYS);
            let stamps: Vec<i64> = of_key.clone().map(|row| walks.timestamps[row]).collect();
            let values: Vec<f64> = of_key.map(|row| walks.values[row]).collect();
            db.append_batch(name, &stamps, &values[..])?;
        }
        db.close()?;
        let whole = first_reads(&path, &names)?;
        remove(&path)?;
        println!(
            "# ingest_arrival: {:.2} bytes a row in the closed file; first read of a key \
             {arrived:.1} us, {whole:.1} us if it came in one batch",
            bytes as f64 / rows as f64
        );
        Ok(vec![("ingest_arrival", median(found))])
    },
};
