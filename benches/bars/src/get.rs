//! Bars of looking up the latest value: by key, by handle, by two threads, beside a writer.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use synadb::{Atom, DbConfig, Durability, Series, SynaDB};

use crate::data::{Random, fresh_seed, key_names, timestamp};
use crate::report::{Bar, Group};
use crate::run::{Result, Run, check, median, pairs, rate};

const KEY_COUNT: u64 = 1_000;
const POINTS_PER_KEY: u64 = 1_000;
const GETS: u64 = 10_000_000;
/// Values are `row * TAG + key`: a reader can tell whose value it got while values change.
const TAG: u64 = 1_024;

const FEW_KEYS: u64 = 10;
const LONG_HISTORY_POINTS: u64 = 1_000_000;
const SHORT_HISTORY_POINTS: u64 = 10;

pub const KEYS: Group = Group {
    issue: 1,
    long: false,
    bars: &[
        Bar::at_least("get_1t", "M/s", 15.0),
        Bar::at_least("get_2t", "ratio", 1.8),
        Bar::at_least("get_beside_writer", "ratio", 0.7),
        Bar::at_least("get_series", "M/s", 50.0),
    ],
    run: |run| {
        let db = filled(run, "get.synadb", KEY_COUNT, POINTS_PER_KEY)?;
        let keys = key_names(KEY_COUNT);
        let last = POINTS_PER_KEY - 1;
        let gets = run.work(GETS);
        let one = || one_thread(&db, &keys, gets, last);

        let mut alone = Vec::new();
        for _ in 0..run.runs() {
            alone.push(one()?);
        }
        let two = pairs(run.runs(), || two_threads(&db, &keys, gets, last), one)?;
        let series: Vec<Series> =
            keys.iter().map(|key| db.series(key)).collect::<Result<_, _>>()?;
        let mut by_series = Vec::new();
        for _ in 0..run.runs() {
            by_series.push(one_thread_by_series(&series, gets, last)?);
        }
        // Last, for it leaves other values behind. The reader alone checks tags only, too.
        let beside =
            pairs(run.runs(), || beside_writer(&db, &keys, gets), || tags_only(&db, &keys, gets))?;
        db.close()?;
        println!(
            "# get_2t: {:.1} M/s by two threads, {:.1} by one; get_beside_writer: {:.1} M/s, {:.1} \
             alone",
            two.measured / 1e6,
            two.base / 1e6,
            beside.measured / 1e6,
            beside.base / 1e6
        );
        Ok(vec![
            ("get_1t", median(alone) / 1e6),
            ("get_2t", two.ratio),
            ("get_beside_writer", beside.ratio),
            ("get_series", median(by_series) / 1e6),
        ])
    },
};

pub const LONG_HISTORY: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_least("get_long_history", "ratio", 0.9)],
    run: |run| {
        let long_points = run.work(LONG_HISTORY_POINTS);
        let long = filled(run, "get-long.synadb", FEW_KEYS, long_points)?;
        let short = filled(run, "get-short.synadb", FEW_KEYS, SHORT_HISTORY_POINTS)?;
        let keys = key_names(FEW_KEYS);
        let gets = run.work(GETS);
        let pairs = pairs(
            run.runs(),
            || one_thread(&long, &keys, gets, long_points - 1),
            || one_thread(&short, &keys, gets, SHORT_HISTORY_POINTS - 1),
        )?;
        long.close()?;
        short.close()?;
        println!(
            "# get_long_history: {:.1} M/s after {long_points} points a key, {:.1} after \
             {SHORT_HISTORY_POINTS}",
            pairs.measured / 1e6,
            pairs.base / 1e6
        );
        Ok(vec![("get_long_history", pairs.ratio)])
    },
};

/// A database whose keys have `points` points each, appended one by one and round robin.
fn filled(run: &Run, file: &str, keys: u64, points: u64) -> Result<SynaDB> {
    let path = run.file(file)?;
    let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::Os))?;
    let names = key_names(keys);
    for row in 0..points {
        for (key, name) in (0..).zip(&names) {
            db.append_at(name, timestamp(row), tagged(row, key))?;
        }
    }
    Ok(db)
}

fn tagged(row: u64, key: u64) -> f64 {
    (row * TAG + key) as f64
}

/// The integer of a value; anything but a float is a wrong result.
#[inline]
fn integer(atom: Option<Atom>) -> u64 {
    match atom {
        Some(Atom::Float(value)) => value as u64,
        _ => u64::MAX,
    }
}

/// Calls `get` for random keys; returns the sum of the values and of the keys' numbers.
#[inline]
fn sum_of_gets(
    keys: usize,
    gets: u64,
    mut get: impl FnMut(usize) -> Result<Option<Atom>, synadb::SynaError>,
) -> Result<(u64, u64)> {
    let mut random = Random::new(fresh_seed());
    let (mut values, mut numbers) = (0_u64, 0_u64);
    for _ in 0..gets {
        let key = random.below(keys as u64);
        values = values.wrapping_add(integer(get(key)?));
        numbers += key as u64;
    }
    Ok((values, numbers))
}

/// Every value was `last * TAG + key`, so the sum of all of them is known.
fn check_sum((values, numbers): (u64, u64), gets: u64, last: u64) -> Result<()> {
    let expected = (gets * last * TAG).wrapping_add(numbers);
    check(values == expected, || format!("sum of values {values}, not {expected}"))
}

fn one_thread(db: &SynaDB, keys: &[String], gets: u64, last: u64) -> Result<f64> {
    let start = Instant::now();
    let sums = sum_of_gets(keys.len(), gets, |key| db.get(&keys[key]))?;
    let elapsed = start.elapsed();
    check_sum(sums, gets, last)?;
    Ok(rate(gets, elapsed))
}

fn one_thread_by_series(series: &[Series], gets: u64, last: u64) -> Result<f64> {
    let start = Instant::now();
    let sums = sum_of_gets(series.len(), gets, |key| series[key].get())?;
    let elapsed = start.elapsed();
    check_sum(sums, gets, last)?;
    Ok(rate(gets, elapsed))
}

/// Both threads together: from the moment when both are ready until the later one is done.
fn two_threads(db: &SynaDB, keys: &[String], gets: u64, last: u64) -> Result<f64> {
    let ready = Barrier::new(3);
    let elapsed = std::thread::scope(|scope| -> Result<_> {
        let reader = || {
            ready.wait();
            check_sum(sum_of_gets(keys.len(), gets, |key| db.get(&keys[key]))?, gets, last)
        };
        let threads = [scope.spawn(reader), scope.spawn(reader)];
        ready.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| "a reader panicked")??;
        }
        Ok(start.elapsed())
    })?;
    Ok(rate(2 * gets, elapsed))
}

/// Gets whose values may change: each must belong to its key.
fn tags_only(db: &SynaDB, keys: &[String], gets: u64) -> Result<f64> {
    let mut random = Random::new(fresh_seed());
    let mut wrong = 0;
    let start = Instant::now();
    for _ in 0..gets {
        let key = random.below(keys.len() as u64);
        wrong += u64::from(integer(db.get(&keys[key])?) % TAG != key as u64);
    }
    let elapsed = start.elapsed();
    check(wrong == 0, || format!("{wrong} values of other keys"))?;
    Ok(rate(gets, elapsed))
}

/// The same beside a thread that appends to the same keys all the while.
fn beside_writer(db: &SynaDB, keys: &[String], gets: u64) -> Result<f64> {
    let (ready, done) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<u64> {
            let first = db.len(&keys[0])?;
            let mut row = first;
            ready.wait();
            while !done.load(Ordering::Relaxed) {
                for (key, name) in (0..).zip(keys) {
                    db.append_at(name, timestamp(row), tagged(row, key))?;
                }
                row += 1;
            }
            Ok(row - first)
        });
        ready.wait();
        let start = Instant::now();
        let found = tags_only(db, keys, gets);
        let elapsed = start.elapsed();
        done.store(true, Ordering::Relaxed);
        let rows = writer.join().map_err(|_| "the writer panicked")??;
        let appended = rate(rows * keys.len() as u64, elapsed);
        println!("#   beside a writer of about {:.2} M points/s", appended / 1e6);
        found
    })
}
