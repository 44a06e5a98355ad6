//! Bars of many keys at once: scans, and beside them frames.

use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType};
use rustix::fs::sync;
use synadb::{DbConfig, Every, SynaDB};

use crate::data::{Random, fresh_seed};
use crate::history::{default_config, open, raw_config};
use crate::report::{Bar, Group};
use crate::run::{Result, Run, check, median, remove};

const KEYS: usize = 1_000;
const POINTS: u64 = 10_000;
const START: i64 = 1_356_998_400_000_000;
const STEP: i64 = 1_000_000;
/// How often a scan is repeated in each run.
const AGAIN: usize = 3;

/// Random walks with two decimals, one point a second; those of all keys differ.
struct Walks {
    timestamps: Vec<i64>,
    cents: Vec<i64>,
}

impl Walks {
    fn new(points: u64) -> Walks {
        let mut random = Random::new(fresh_seed());
        let mut cents = 100_000_i64;
        let mut next = |_| {
            cents += random.below(201) as i64 - 100;
            cents
        };
        let timestamps = (0..points as i64).map(|i| START + i * STEP).collect();
        Walks { timestamps, cents: (0..points).map(&mut next).collect() }
    }

    fn value(&self, key: usize, row: usize) -> f64 {
        (self.cents[row] + 37 * key as i64) as f64 / 100.0
    }

    /// Writes them, a bulk write for each key.
    fn write(&self, path: &Path, config: DbConfig, keys: usize) -> Result<()> {
        remove(path)?;
        let db = SynaDB::with_config(path, config)?;
        for key in 0..keys {
            let values: Vec<f64> = (0..self.cents.len()).map(|row| self.value(key, row)).collect();
            db.append_batch(&name(key), &self.timestamps, &values[..])?;
        }
        db.close()?;
        sync();
        Ok(())
    }

    /// Whether batches hold every point of all keys.
    fn check(&self, batches: &[RecordBatch], keys: usize) -> Result<()> {
        let (mut key, mut row) = (0, 0);
        for batch in batches {
            let indices = batch.column(0).as_dictionary::<Int32Type>();
            let stamps = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
            let values = batch.column(2).as_primitive::<Float64Type>().values();
            for ((index, stamp), value) in indices.keys().values().iter().zip(stamps).zip(values) {
                let same = *index == key as i32
                    && *stamp == self.timestamps[row]
                    && *value == self.value(key, row);
                check(same, || format!("row {row} of key {key}"))?;
                row += 1;
                if row == self.timestamps.len() {
                    (key, row) = (key + 1, 0);
                }
            }
        }
        check((key, row) == (keys, 0), || format!("{key} keys and {row} rows"))
    }
}

fn name(key: usize) -> String {
    format!("walk/{key:04}")
}

const FRAME_KEYS: usize = 100;
const FRAME_POINTS: u64 = 100_000;

/// A frame of all keys in milliseconds, as a table and as a tensor.
fn frames(db: &SynaDB, walks: &Walks, every: Option<&str>) -> Result<[f64; 2]> {
    let mut frame = db.frame_matching("*")?;
    let mut step = 1;
    if let Some(every) = every {
        frame = frame.every(every.parse()?);
        step = usize::try_from(every.parse::<Every>()?.micros() / STEP)?;
    }
    let start = Instant::now();
    let table = frame.read()?;
    let of_table = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let tensor = frame.tensor()?;
    let of_tensor = start.elapsed().as_secs_f64() * 1e3;
    let last = walks.cents.len() - 1;
    for row in 0..table.num_rows() {
        let cells = tensor.row(row).ok_or("a row is missing")?;
        let seen = (row * step).min(last);
        let same = |key: usize| {
            let value = walks.value(key, seen);
            let column = table.column(key + 1).as_primitive::<Float64Type>();
            cells[key] == value && column.value(row) == value
        };
        check((0..FRAME_KEYS).all(same), || format!("row {row}"))?;
    }
    check(table.num_rows() == last.div_ceil(step) + 1, || "rows are missing".into())?;
    Ok([of_table, of_tensor])
}

/// Prints what frames cost: for information.
fn print_frames(run: &Run) -> Result<()> {
    let walks = Walks::new(run.work(FRAME_POINTS));
    let path = run.file("frame.synadb")?;
    walks.write(&path, default_config(), FRAME_KEYS)?;
    let db = open(&path)?;
    for every in [None, Some("10s")] {
        let (mut tables, mut tensors) = (Vec::new(), Vec::new());
        for _ in 0..run.runs() {
            let [table, tensor] = frames(&db, &walks, every)?;
            tables.push(table);
            tensors.push(tensor);
        }
        println!(
            "# frame of {FRAME_KEYS} keys x {} points, {}: table {:.1} ms, tensor {:.1} ms",
            walks.cents.len(),
            every.unwrap_or("union of times"),
            median(tables),
            median(tensors)
        );
    }
    db.close()?;
    remove(&path)
}

/// All batches of a scan, and the milliseconds they took.
fn scan(db: &SynaDB) -> Result<(Vec<RecordBatch>, f64)> {
    let start = Instant::now();
    let mut batches = Vec::new();
    let mut stream = db.scan("*")?.stream()?;
    while let Some(batch) = stream.next_batch()? {
        batches.push(batch);
    }
    Ok((batches, start.elapsed().as_secs_f64() * 1e3))
}

pub const SCAN: Group = Group {
    issue: 2,
    long: false,
    bars: &[Bar::at_most("scan_all_first", "ms", 40.0), Bar::at_most("scan_all_again", "ms", 10.0)],
    run: |run| {
        let walks = Walks::new(run.work(POINTS));
        let (mut first, mut again, mut opened, mut packed) = (vec![], vec![], vec![], vec![]);
        let mut mapped = Vec::new();
        let path = run.file("scan.synadb")?;
        walks.write(&path, default_config(), KEYS)?;
        let db = open(&path)?;
        // Fills the pool.
        opened.push(scan(&db)?.1);
        for _ in 0..run.at_least(9) {
            db.forget_columns()?;
            let (batches, elapsed) = scan(&db)?;
            first.push(elapsed);
            walks.check(&batches, KEYS)?;
            drop(batches);
            for _ in 0..AGAIN {
                let (batches, elapsed) = scan(&db)?;
                again.push(elapsed);
                check(
                    batches.iter().map(RecordBatch::num_rows).sum::<usize>()
                        == walks.cents.len() * KEYS,
                    || "rows are missing".into(),
                )?;
            }
        }
        let (batches, _) = scan(&db)?;
        walks.check(&batches, KEYS)?;
        let count = batches.len();
        drop(batches);
        db.close()?;
        remove(&path)?;
        // The same from raw columns: packed once, then cached, too.
        let path = run.file("scan-raw.synadb")?;
        walks.write(&path, raw_config(), KEYS)?;
        let db = open(&path)?;
        opened.push(scan(&db)?.1);
        for _ in 0..run.at_least(9) {
            db.forget_columns()?;
            let (batches, elapsed) = scan(&db)?;
            packed.push(elapsed);
            walks.check(&batches, KEYS)?;
            drop(batches);
            mapped.push(scan(&db)?.1);
        }
        db.close()?;
        remove(&path)?;
        println!(
            "# scan_all: {count} batches; freshly opened, pool cold, {:.1} ms encoded and {:.1} ms \
             raw; again cached {:.2} ms; of raw columns {:.1} ms, again {:.2} ms",
            opened[0],
            opened[1],
            median(again.clone()),
            median(packed),
            median(mapped.clone())
        );
        print_frames(run)?;
        let again = median(again).max(median(mapped));
        Ok(vec![("scan_all_first", median(first)), ("scan_all_again", again)])
    },
};
