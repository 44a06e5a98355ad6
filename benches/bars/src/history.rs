//! Bars of histories as Arrow: mapped, decoded, cached, summed up, resampled, in memory.

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use rustix::fs::sync;
use synadb::{Aggregate, DbConfig, Durability, History, Number, SynaDB};

use crate::child;
use crate::data::{Random, fresh_seed};
use crate::memory::rss_anon;
use crate::report::{Bar, Group};
use crate::run::{Result, Run, check, median, remove};

const POINTS: u64 = 10_000_000;
const KEY: &str = "walk";
const START: i64 = 1_356_998_400_000_000;
const STEP: i64 = 1_000_000;
/// How often a read is repeated in each run.
const AGAIN: usize = 5;
const SMALL_KEYS: u64 = 1_000;
const SMALL_POINTS: u64 = 10_000;

/// A random walk with two decimals, one point a second: what sensors and prices look like.
struct Walk {
    timestamps: Vec<i64>,
    values: Vec<f64>,
}

impl Walk {
    fn new(points: u64) -> Walk {
        let mut random = Random::new(fresh_seed());
        let mut cents = 100_000_i64;
        let mut next = |_| {
            cents += random.below(201) as i64 - 100;
            cents as f64 / 100.0
        };
        let timestamps = (0..points as i64).map(|i| START + i * STEP).collect();
        Walk { timestamps, values: (0..points).map(&mut next).collect() }
    }

    fn sum(&self) -> f64 {
        self.values.iter().sum()
    }
}

pub fn default_config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

/// Columns that lie in the file as Arrow wants them. Where the store encodes, this is where
/// encodings are switched off.
pub fn raw_config() -> DbConfig {
    default_config().with_enable_delta(false).with_enable_compression(false)
}

/// Writes the walk as one bulk write and opens the file again.
fn written(path: &Path, walk: &Walk, config: DbConfig) -> Result<()> {
    remove(path)?;
    let db = SynaDB::with_config(path, config)?;
    db.append_batch(KEY, &walk.timestamps, &walk.values[..])?;
    db.close()?;
    sync();
    Ok(())
}

pub fn open(path: &Path) -> Result<SynaDB> {
    // The options of writing do not matter to a reader.
    Ok(SynaDB::open_read_only_with(path, default_config())?)
}

fn floats(batch: &RecordBatch) -> &[f64] {
    batch.column(1).as_primitive::<Float64Type>().values()
}

fn stamps(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive::<TimestampMicrosecondType>().values()
}

fn check_batch(batch: &RecordBatch, walk: &Walk) -> Result<()> {
    let same = floats(batch) == walk.values && stamps(batch) == walk.timestamps;
    check(same, || format!("{} rows that are not the walk", batch.num_rows()))
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

/// Copies of the walk's bytes by two threads into memory that was used before.
struct Copies {
    target: Vec<u64>,
    source: Vec<u64>,
}

impl Copies {
    fn new(words: usize) -> Copies {
        Copies { target: vec![1; words], source: vec![2; words] }
    }

    fn two_threads(&mut self) -> f64 {
        let half = self.source.len() / 2;
        let (a, b) = self.target.split_at_mut(half);
        let (c, d) = self.source.split_at(half);
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| a.copy_from_slice(c));
            b.copy_from_slice(d);
        });
        let elapsed = micros(start);
        black_box(&self.target);
        elapsed
    }

    fn one_thread(&mut self) -> f64 {
        let start = Instant::now();
        self.target.copy_from_slice(&self.source);
        let elapsed = micros(start);
        black_box(&self.target);
        elapsed
    }
}

/// CRC32C over bytes by two threads.
fn crc_two_threads(bytes: &[u8]) -> f64 {
    let (a, b) = bytes.split_at(bytes.len() / 2);
    // In stretches of one block's column: what the store compares one by one, too.
    let pass = |bytes: &[u8]| bytes.chunks(65_536).fold(0, |sum, b| sum ^ crc32c::crc32c(b));
    let start = Instant::now();
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(|| pass(a));
        pass(b) ^ other.join().unwrap_or(0)
    });
    let elapsed = micros(start);
    black_box(sum);
    elapsed
}

/// Microseconds of that over the columns of a history, mapped anew so that it pays for the map, too.
pub fn mapped_pass(path: &Path, key: &str) -> Result<f64> {
    let other = open(path)?;
    let batch = other.history(key)?.read()?;
    drop(other);
    Ok(crc_two_threads(bytes_of(stamps(&batch))) + crc_two_threads(bytes_of(floats(&batch))))
}

pub const RAW: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("read_raw_first", "ratio", 1.2),
        Bar::at_most("read_raw_verified", "us", 50.0),
    ],
    run: |run| {
        let walk = Walk::new(run.work(POINTS));
        let path = run.file("history-raw.synadb")?;
        written(&path, &walk, raw_config())?;
        let (mut ratios, mut first, mut passes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut contiguous, mut streamed) = (Vec::new(), Vec::new());
        for turn in 0..run.at_least(9) {
            let db = open(&path)?;
            // Held against the same bytes, mapped anew, so that both pay for the map.
            let mapped = || mapped_pass(&path, KEY);
            let pass_before = if turn % 2 == 0 { Some(mapped()?) } else { None };
            let start = Instant::now();
            let batch = db.history(KEY)?.read()?;
            let elapsed = micros(start);
            let pass = match pass_before {
                Some(pass) => pass,
                None => mapped()?,
            };
            ratios.push(elapsed / pass);
            first.push(elapsed);
            passes.push(pass);
            for _ in 0..AGAIN {
                let start = Instant::now();
                let again = db.history(KEY)?.read()?;
                contiguous.push(micros(start));
                let start = Instant::now();
                let mut stream = db.history(KEY)?.stream()?;
                let one = stream.next_batch()?.ok_or("an empty stream")?;
                let none = stream.next_batch()?;
                streamed.push(micros(start));
                check(none.is_none(), || "more than one batch".into())?;
                let same = [&again, &one].iter().all(|other| {
                    std::ptr::eq(floats(other), floats(&batch))
                        && std::ptr::eq(stamps(other), stamps(&batch))
                });
                check(same, || "the verified column was copied".into())?;
            }
            check_batch(&batch, &walk)?;
        }
        remove(&path)?;
        let (contiguous, streamed) = (median(contiguous), median(streamed));
        println!(
            "# read_raw_first: {:.2} ms, two-thread CRC32C {:.2} ms; read_raw_verified: \
             {contiguous:.1} us contiguous, {streamed:.1} us as a stream",
            median(first) / 1e3,
            median(passes) / 1e3
        );
        Ok(vec![
            ("read_raw_first", median(ratios)),
            ("read_raw_verified", contiguous.max(streamed)),
        ])
    },
};

/// The bytes of numbers.
fn bytes_of<T: Copy>(numbers: &[T]) -> &[u8]
where
    [T]: AsBytes,
{
    numbers.as_bytes()
}

/// Numbers as their bytes, without unsafe code of our own.
trait AsBytes {
    fn as_bytes(&self) -> &[u8];
}

impl AsBytes for [f64] {
    fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl AsBytes for [i64] {
    fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

pub const DECODED: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("read_decoded", "ratio", 1.5),
        Bar::at_most("read_repeated", "us", 5.0),
        Bar::at_least("tensor", "ratio", 0.8),
    ],
    run: |run| {
        let walk = Walk::new(run.work(POINTS));
        let path = run.file("history.synadb")?;
        written(&path, &walk, default_config())?;
        let mut copies = Copies::new(walk.values.len() * 2);
        let mut one_copy = Copies::new(walk.values.len());
        let db = open(&path)?;
        let history = || -> Result<History> { decoded(db.history(KEY)?) };
        // Fills the pool.
        drop(history()?.read()?);
        let (mut ratios, mut first, mut copied) = (Vec::new(), Vec::new(), Vec::new());
        let (mut repeated, mut tensors, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        let mut of_cached = Vec::new();
        for _ in 0..run.at_least(9) {
            forget(&db)?;
            let copy = copies.two_threads();
            let start = Instant::now();
            let batch = history()?.read()?;
            let elapsed = micros(start);
            ratios.push(elapsed / copy);
            first.push(elapsed);
            copied.push(copy);
            for _ in 0..AGAIN {
                let start = Instant::now();
                let again = history()?.read()?;
                repeated.push(micros(start));
                check(std::ptr::eq(floats(&again), floats(&batch)), || "copied again".into())?;
            }
            check_batch(&batch, &walk)?;
            let start = Instant::now();
            drop(db.get_history_tensor(KEY)?);
            of_cached.push(micros(start));
            drop(batch);

            forget(&db)?;
            let copy = one_copy.one_thread();
            let start = Instant::now();
            let tensor = db.get_history_tensor(KEY)?;
            let elapsed = micros(start);
            rates.push(copy / elapsed);
            tensors.push(elapsed);
            check(tensor[..] == walk.values, || "a tensor of other values".into())?;
        }
        db.close()?;
        remove(&path)?;
        println!(
            "# read_decoded: {:.2} ms, two-thread memcpy {:.2} ms; tensor: {:.2} ms, {:.2} ms of a \
             cached column",
            median(first) / 1e3,
            median(copied) / 1e3,
            median(tensors) / 1e3,
            median(of_cached) / 1e3
        );
        Ok(vec![
            ("read_decoded", median(ratios)),
            ("read_repeated", median(repeated)),
            ("tensor", median(rates)),
        ])
    },
};

/// While the store has no encodings, raw columns are decoded as if they had one; a history whose
/// columns are encoded takes no notice of it.
fn decoded(history: History) -> Result<History> {
    Ok(history.decode_raw(true))
}

/// Empties the column cache; its buffers return to the pool.
fn forget(db: &SynaDB) -> Result<()> {
    db.forget_columns()?;
    Ok(())
}

pub const RANGE: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("read_range_first", "us", 250.0),
        Bar::at_most("read_range_again", "us", 30.0),
        Bar::at_most("read_range_optimized_first", "us", 250.0),
        Bar::at_most("read_range_optimized_again", "us", 30.0),
    ],
    run: |run| {
        let points = run.work(POINTS);
        let walk = Walk::new(points);
        let path = run.file("history-range.synadb")?;
        written(&path, &walk, default_config())?;
        let (first, again) = ranges(run, &path, &walk)?;
        let db = SynaDB::with_config(&path, default_config())?;
        db.optimize()?;
        db.close()?;
        sync();
        let (optimized_first, optimized_again) = ranges(run, &path, &walk)?;
        remove(&path)?;
        Ok(vec![
            ("read_range_first", first),
            ("read_range_again", again),
            ("read_range_optimized_first", optimized_first),
            ("read_range_optimized_again", optimized_again),
        ])
    },
};

/// Microseconds for another 1 % of the time in each turn: decoded, and cached.
fn ranges(run: &Run, path: &Path, walk: &Walk) -> Result<(f64, f64)> {
    let points = walk.values.len() as u64;
    let part = points / 100;
    let (mut first, mut again) = (Vec::new(), Vec::new());
    // The pool is warm, and what is known of the whole key is known; the blocks of the range
    // were never read.
    let db = open(path)?;
    decoded(db.history(KEY)?)?.rows(points - part..points).read()?;
    for turn in 0..run.at_least(9) as u64 {
        forget(&db)?;
        let from = (part * 7 * (turn + 1)) % (points - part);
        let times = START + from as i64 * STEP..START + (from + part) as i64 * STEP;
        let range = || -> Result<RecordBatch> {
            Ok(decoded(db.history(KEY)?)?.range(times.clone()).read()?)
        };
        let start = Instant::now();
        let batch = range()?;
        first.push(micros(start));
        let rows = from as usize..(from + part) as usize;
        check(floats(&batch) == &walk.values[rows], || "another range".into())?;
        let start = Instant::now();
        let repeated = range()?;
        again.push(micros(start));
        check(floats(&repeated) == floats(&batch), || "another range".into())?;
    }
    db.close()?;
    Ok((median(first), median(again)))
}

pub const QUESTIONS: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("stats_all", "us", 50.0),
        Bar::at_most("resample_hour_first", "ms", 25.0),
        Bar::at_most("resample_hour_again", "ms", 10.0),
    ],
    run: |run| {
        let walk = Walk::new(run.work(POINTS));
        let path = run.file("history-questions.synadb")?;
        written(&path, &walk, default_config())?;
        let min = walk.values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = walk.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = walk.sum() / walk.values.len() as f64;
        let hours: Vec<f64> = walk
            .values
            .chunks(3_600)
            .map(|hour| hour.iter().sum::<f64>() / hour.len() as f64)
            .collect();
        let (mut stats, mut known) = (Vec::new(), Vec::new());
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..run.at_least(9) {
            let db = open(&path)?;
            let start = Instant::now();
            let found = db.history(KEY)?.stats()?;
            stats.push(micros(start));
            let start = Instant::now();
            black_box(db.history(KEY)?.stats()?);
            known.push(micros(start));
            let close = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-6);
            check(
                found.count == walk.values.len() as u64
                    && found.min == Some(Number::Float(min))
                    && found.max == Some(Number::Float(max))
                    && close(found.mean, mean),
                || format!("{found:?}"),
            )?;
            let resample = || -> Result<RecordBatch> {
                let history = decoded(db.history(KEY)?)?;
                Ok(history.resample("1h".parse()?, &[Aggregate::Mean])?)
            };
            // The pool is warm.
            resample()?;
            forget(&db)?;
            let start = Instant::now();
            let table = resample()?;
            first.push(micros(start) / 1e3);
            let same = floats(&table).iter().zip(&hours).all(|(a, b)| (a - b).abs() < 1e-9);
            check(same && table.num_rows() == hours.len(), || "other means".into())?;
            let start = Instant::now();
            black_box(resample()?);
            again.push(micros(start) / 1e3);
        }
        remove(&path)?;
        println!("# stats_all: {:.1} us when the chunk's header was read before", median(known));
        Ok(vec![
            ("stats_all", median(stats)),
            ("resample_hour_first", median(first)),
            ("resample_hour_again", median(again)),
        ])
    },
};

pub const ONE_KEY: Group = Group {
    issue: 2,
    long: false,
    bars: &[Bar::at_most("one_key_first", "us", 50.0), Bar::at_most("one_key_again", "us", 5.0)],
    run: |run| {
        let keys = run.work(SMALL_KEYS);
        let walk = Walk::new(SMALL_POINTS);
        let path = run.file("history-keys.synadb")?;
        let db = SynaDB::with_config(&path, default_config())?;
        let names: Vec<String> = (0..keys).map(crate::data::key_name).collect();
        for name in &names {
            db.append_batch(name, &walk.timestamps, &walk.values[..])?;
        }
        db.close()?;
        let db = open(&path)?;
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for name in &names {
            // Of this key nothing was read yet; buffers come from the pool.
            forget(&db)?;
            let start = Instant::now();
            let batch = decoded(db.history(name)?)?.read()?;
            first.push(micros(start));
            let start = Instant::now();
            let repeated = decoded(db.history(name)?)?.read()?;
            again.push(micros(start));
            check_batch(&batch, &walk)?;
            check(std::ptr::eq(floats(&batch), floats(&repeated)), || "copied again".into())?;
        }
        db.close()?;
        remove(&path)?;
        Ok(vec![("one_key_first", median(first)), ("one_key_again", median(again))])
    },
};

/// Points appended one by one, or by batches of 100 of many keys in turn, against the same points in
/// one batch a key.
pub const SMALL_APPENDS: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("small_appends_read", "ratio", 1.2),
        Bar::at_most("small_appends_size", "ratio", 1.3),
    ],
    run: |run| {
        let walk = Walk::new(run.work(1_000_000));
        let [single, whole] =
            ["history-single.synadb", "history-whole.synadb"].map(|n| run.file(n));
        let (single, whole) = (single?, whole?);
        let by_one = SynaDB::with_config(&single, default_config())?;
        for (timestamp, value) in walk.timestamps.iter().zip(&walk.values) {
            by_one.append_at(KEY, *timestamp, *value)?;
        }
        let at_once = SynaDB::with_config(&whole, default_config())?;
        at_once.append_batch(KEY, &walk.timestamps, &walk.values[..])?;
        // As they were written, the newest points in memory; and opened again.
        let fresh = reads(run, &by_one, &at_once, &[KEY.to_owned()], &walk)?;
        by_one.close()?;
        at_once.close()?;
        let (by_one, at_once) = (open(&single)?, open(&whole)?);
        let opened = reads(run, &by_one, &at_once, &[KEY.to_owned()], &walk)?;
        by_one.close()?;
        at_once.close()?;
        fresh.print("small_appends_read", "as written");
        opened.print("small_appends_read", "opened again");
        let optimized = |path: &Path| -> Result<f64> {
            let db = SynaDB::with_config(path, default_config())?;
            let report = db.optimize()?;
            let values = db.get_history_floats(KEY)?;
            check(values == walk.values, || "an optimized history".into())?;
            db.close()?;
            Ok(report.bytes_after as f64)
        };
        let sizes = (optimized(&single)?, optimized(&whole)?);
        println!("# small_appends_size: {} and {} bytes", sizes.0, sizes.1);
        small_batches(run, &single, &whole)?;
        remove(&single)?;
        remove(&whole)?;
        Ok(vec![
            ("small_appends_read", fresh.ratio.max(opened.ratio)),
            ("small_appends_size", sizes.0 / sizes.1),
        ])
    },
};

/// The same for 1,000 keys of 10,000 points, written by batches of 100: told beside it.
fn small_batches(run: &Run, single: &Path, whole: &Path) -> Result<()> {
    let walk = Walk::new(SMALL_POINTS);
    let names: Vec<String> = (0..run.work(SMALL_KEYS)).map(crate::data::key_name).collect();
    remove(single)?;
    remove(whole)?;
    let by_batch = SynaDB::with_config(single, default_config())?;
    for (timestamps, values) in walk.timestamps.chunks(100).zip(walk.values.chunks(100)) {
        for name in &names {
            by_batch.append_batch(name, timestamps, values)?;
        }
    }
    let at_once = SynaDB::with_config(whole, default_config())?;
    for name in &names {
        at_once.append_batch(name, &walk.timestamps, &walk.values[..])?;
    }
    let fresh = reads(run, &by_batch, &at_once, &names, &walk)?;
    by_batch.close()?;
    at_once.close()?;
    let (by_batch, at_once) = (open(single)?, open(whole)?);
    let opened = reads(run, &by_batch, &at_once, &names, &walk)?;
    by_batch.close()?;
    at_once.close()?;
    fresh.print("batches of 100", "as written");
    opened.print("batches of 100", "opened again");
    Ok(())
}

/// Reads of histories that were written in two ways.
struct Reads {
    /// Of pairs, decoded.
    ratio: f64,
    decoded: (f64, f64),
    again: (f64, f64),
}

impl Reads {
    fn print(&self, name: &str, when: &str) {
        println!(
            "# {name}, {when}: decoded {:.1} and {:.1} us, {:.2}; cached {:.2} and {:.2} us",
            self.decoded.0, self.decoded.1, self.ratio, self.again.0, self.again.1
        );
    }
}

/// Reads the keys of two databases in alternation, the cache emptied and the pool warm, and again.
fn reads(run: &Run, a: &SynaDB, b: &SynaDB, keys: &[String], walk: &Walk) -> Result<Reads> {
    let mut decoded = (Vec::new(), Vec::new());
    let (mut again, mut ratios) = ((Vec::new(), Vec::new()), Vec::new());
    let read = |db: &SynaDB, key: &str| -> Result<(f64, f64)> {
        // Headers are read, checksums compared, and buffers made once before.
        for _ in 0..2 {
            forget(db)?;
            let batch = db.history(key)?.read()?;
            check_batch(&batch, walk)?;
        }
        forget(db)?;
        let start = Instant::now();
        black_box(db.history(key)?.read()?);
        let first = micros(start);
        let start = Instant::now();
        black_box(db.history(key)?.read()?);
        Ok((first, micros(start)))
    };
    let turns = run.at_least(15).max(keys.len());
    for (turn, key) in keys.iter().cycle().take(turns).enumerate() {
        let (ours, theirs);
        if turn % 2 == 0 {
            ours = read(a, key)?;
            theirs = read(b, key)?;
        } else {
            theirs = read(b, key)?;
            ours = read(a, key)?;
        }
        ratios.push(ours.0 / theirs.0);
        decoded.0.push(ours.0);
        decoded.1.push(theirs.0);
        again.0.push(ours.1);
        again.1.push(theirs.1);
    }
    Ok(Reads {
        ratio: median(ratios),
        decoded: (median(decoded.0), median(decoded.1)),
        again: (median(again.0), median(again.1)),
    })
}

pub const MEMORY: Group = Group {
    issue: 2,
    long: false,
    bars: &[
        Bar::at_most("memory_contiguous", "ratio", 1.1),
        Bar::at_most("memory_stream", "MiB", 64.0),
    ],
    run: |run| {
        let walk = Walk::new(run.work(POINTS));
        let path = run.file("history-memory.synadb")?;
        written(&path, &walk, default_config())?;
        let size = walk.values.len() as f64 * 16.0;
        let (mut contiguous, mut streamed) = (Vec::new(), Vec::new());
        for _ in 0..run.runs() {
            let peak = |how: &str| {
                let task = [OsStr::new("history-memory"), how.as_ref(), path.as_os_str()];
                child::measure(&task)?.get("bytes")
            };
            contiguous.push(peak("contiguous")? / size);
            streamed.push(peak("stream")? / f64::from(1 << 20));
        }
        remove(&path)?;
        Ok(vec![("memory_contiguous", median(contiguous)), ("memory_stream", median(streamed))])
    },
};

/// Task: reads the whole history and prints the most anonymous memory that took. The budgets are
/// nothing here, so that all of it is the read's own.
pub fn child_memory(how: &str, path: &Path) -> Result<()> {
    let config = default_config().with_column_cache_bytes(0).with_buffer_pool_bytes(32 << 20);
    let db = SynaDB::open_read_only_with(path, config)?;
    let baseline = rss_anon()?;
    let history = decoded(db.history(KEY)?)?;
    let mut peak = baseline;
    let mut rows = 0;
    if how == "contiguous" {
        let batch = history.read()?;
        peak = peak.max(rss_anon()?);
        rows = batch.num_rows();
    } else {
        let mut stream = history.stream()?;
        while let Some(batch) = stream.next_batch()? {
            peak = peak.max(rss_anon()?);
            rows += batch.num_rows();
        }
    }
    check(rows as u64 == db.len(KEY)?, || format!("{rows} rows"))?;
    println!("bytes {}", peak - baseline);
    Ok(())
}
