//! Bars of appending: rates held against the bare loops of `bare.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use synadb::{Atom, DbConfig, Durability, SynaDB};

use crate::bare;
use crate::data::{KEYS, key_names, last_of, timestamp, value};
use crate::report::{Bar, Group, Values};
use crate::run::{Result, Run, check, pairs, rate, remove};

/// Above 1,000 keys x 8,192 points, so that every tail is sealed at least once.
const POINTS: u64 = 10_000_000;
/// Batches of 1,000 points.
const BATCHES_COUNT: u64 = 5_000;
const FULL_1_POINTS: u64 = 8_000;
/// Points of each thread.
const FULL_8_POINTS: u64 = 3_000;
const FULL_32_POINTS: u64 = 2_000;
/// Syncs scatter more than anything else here, and a run of them is short.
const FULL_RUNS: usize = 9;

/// A 64 KiB buffer, as the bare loop has.
const BUFFERED_64K: Durability =
    Durability::Buffered { size_bytes: bare::BUFFER_LEN, interval_ms: 100 };

pub const OS: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_os", "ratio", 0.85)],
    run: |run| {
        let points = run.work(POINTS);
        let ratio = compare(
            run,
            ("append_os", run.runs(), points),
            |path| store(path, Durability::Os, points),
            |path| bare::os(path, points),
        )?;
        Ok(vec![("append_os", ratio)])
    },
};

pub const BUFFERED: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_buffered", "ratio", 0.5)],
    run: |run| {
        let points = run.work(POINTS);
        let ratio = compare(
            run,
            ("append_buffered", run.runs(), points),
            |path| store(path, BUFFERED_64K, points),
            |path| bare::buffered(path, points),
        )?;
        Ok(vec![("append_buffered", ratio)])
    },
};

pub const FULL_1: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_full_1", "ratio", 0.9)],
    run: |run| {
        let points = run.work(FULL_1_POINTS);
        let ratio = compare(
            run,
            ("append_full_1", run.at_least(FULL_RUNS), points),
            |path| store(path, Durability::Full, points),
            |path| bare::full_1(path, points),
        )?;
        Ok(vec![("append_full_1", ratio)])
    },
};

pub const FULL_8: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_full_8", "ratio", 0.85)],
    run: |run| full_group(run, "append_full_8", 8, run.work(FULL_8_POINTS)),
};

pub const FULL_32: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_full_32", "ratio", 0.85)],
    run: |run| full_group(run, "append_full_32", 32, run.work(FULL_32_POINTS)),
};

pub const BATCHES: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("append_1000_keys_batch", "ratio", 0.5)],
    run: |run| {
        let count = run.work(BATCHES_COUNT);
        let ratio = compare(
            run,
            ("append_1000_keys_batch", run.runs(), count * KEYS),
            |path| store_batches(path, count),
            |path| bare::batches(path, count),
        )?;
        Ok(vec![("append_1000_keys_batch", ratio)])
    },
};

/// Ratio of the rates of the store and of a bare loop over the same number of points; each run
/// has a file of its own, removed before the other side begins.
fn compare(
    run: &Run,
    (name, runs, points): (&str, usize, u64),
    measured: impl Fn(&Path) -> Result<Duration>,
    bare: impl Fn(&Path) -> Result<Duration>,
) -> Result<f64> {
    let side = |file: &str, work: &dyn Fn(&Path) -> Result<Duration>| {
        let path = run.file(file)?;
        let elapsed = work(&path)?;
        remove(&path)?;
        Ok(rate(points, elapsed))
    };
    let pairs = pairs(runs, || side("append.synadb", &measured), || side("append.bare", &bare))?;
    println!(
        "# {name}: {:.0} points/s, bare {:.0} points/s, {points} points, {runs} pairs",
        pairs.measured, pairs.base
    );
    Ok(pairs.ratio)
}

fn full_group(run: &Run, name: &'static str, threads: u64, points: u64) -> Result<Values> {
    let ratio = compare(
        run,
        (name, run.at_least(FULL_RUNS), threads * points),
        |path| store_threads(path, threads, points),
        |path| bare::full_group(path, threads, points).map(|(elapsed, _)| elapsed),
    )?;
    Ok(vec![(name, ratio)])
}

fn create(path: &Path, durability: Durability) -> Result<SynaDB> {
    Ok(SynaDB::with_config(path, DbConfig::default().with_durability(durability))?)
}

/// Points one by one, round robin over the keys. A buffered run ends with a flush, so that both
/// sides have handed the same bytes to the operating system.
fn store(path: &Path, durability: Durability, points: u64) -> Result<Duration> {
    let keys = key_names(KEYS);
    let db = create(path, durability)?;
    let start = Instant::now();
    for (i, key) in (0..points).zip(keys.iter().cycle()) {
        db.append_at(key, timestamp(i), value(i))?;
    }
    if matches!(durability, Durability::Buffered { .. }) {
        db.flush()?;
    }
    let elapsed = start.elapsed();
    finish(path, db, points)?;
    Ok(elapsed)
}

fn store_batches(path: &Path, batches: u64) -> Result<Duration> {
    let keys = key_names(KEYS);
    let db = create(path, BUFFERED_64K)?;
    let start = Instant::now();
    let mut i = 0;
    for _ in 0..batches {
        let mut batch = db.batch();
        for key in &keys {
            batch.append_at(key, timestamp(i), value(i))?;
            i += 1;
        }
        batch.commit()?;
    }
    db.flush()?;
    let elapsed = start.elapsed();
    finish(path, db, batches * KEYS)?;
    Ok(elapsed)
}

/// Each thread appends to keys of its own where there are enough of them.
fn store_threads(path: &Path, threads: u64, points: u64) -> Result<Duration> {
    let keys = key_names(KEYS);
    let db = create(path, Durability::Full)?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let work = |thread: u64| {
            let (db, keys) = (&db, &keys);
            move || -> Result<()> {
                for i in (thread..threads * points).step_by(threads as usize) {
                    db.append_at(&keys[(i % KEYS) as usize], timestamp(i), value(i))?;
                }
                Ok(())
            }
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread panicked")?)
    })?;
    let elapsed = start.elapsed();
    db.close()?;
    // The order of the threads is free: of the values, only the count is known.
    let reader = SynaDB::open_read_only(path)?;
    let rows = reader.stats()?.rows;
    check(rows == threads * points, || format!("{rows} rows of {threads} x {points}"))?;
    Ok(elapsed)
}

/// Closes the store and reads back, from the file alone, the number of points and the last point
/// of every key.
fn finish(path: &Path, db: SynaDB, points: u64) -> Result<()> {
    let stats = db.stats()?;
    println!(
        "#   {} bytes of log for {points} points ({:.1} a point), {} chunks, {} syncs",
        stats.log_bytes,
        stats.log_bytes as f64 / points as f64,
        stats.chunks,
        stats.syncs
    );
    db.close()?;
    let reader = SynaDB::open_read_only(path)?;
    let mut rows = 0;
    for (key, name) in (0..KEYS).zip(key_names(KEYS)) {
        let expected = last_of(key, KEYS, points).map(|i| Atom::Float(value(i)));
        let found = reader.get(&name)?;
        check(found == expected, || format!("{name} is {found:?}, not {expected:?}"))?;
        rows += reader.len(&name)?;
    }
    check(rows == points, || format!("{rows} points of {points}"))
}

/// Absolute figures of the bare loops alone, which need no store.
pub fn bare_figures(run: &Run) -> Result<()> {
    let threads = |path: &Path, threads: u64, points: u64| {
        let (elapsed, groups) = bare::full_group(path, threads, points)?;
        println!("#   {:.1} points a group", (threads * points) as f64 / groups as f64);
        Ok(elapsed)
    };
    bare_figure(run, "os", POINTS, &|path| bare::os(path, POINTS))?;
    bare_figure(run, "buffered", POINTS, &|path| bare::buffered(path, POINTS))?;
    let batched = BATCHES_COUNT * KEYS;
    bare_figure(run, "batches", batched, &|path| bare::batches(path, BATCHES_COUNT))?;
    bare_figure(run, "full_1", FULL_1_POINTS, &|path| bare::full_1(path, FULL_1_POINTS))?;
    bare_figure(run, "full_8", 8 * FULL_8_POINTS, &|path| threads(path, 8, FULL_8_POINTS))?;
    bare_figure(run, "full_32", 32 * FULL_32_POINTS, &|path| threads(path, 32, FULL_32_POINTS))
}

fn bare_figure(
    run: &Run,
    name: &str,
    points: u64,
    work: &dyn Fn(&Path) -> Result<Duration>,
) -> Result<()> {
    let mut rates = Vec::new();
    for _ in 0..run.runs() {
        let path = run.file("append.bare")?;
        rustix::fs::sync();
        rates.push(rate(points, work(&path)?));
        remove(&path)?;
    }
    let (least, most) = rates
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let median = crate::run::median(rates);
    println!("bare {name}: {median:.0} points/s ({least:.0} to {most:.0}), {:.0} ns", 1e9 / median);
    Ok(())
}
