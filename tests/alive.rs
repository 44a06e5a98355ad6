//! Arrays, buffers and tensors that are read after what they came from is gone.
//!
//! Whatever a history hands out stays valid and unchanged until it is dropped (promise F2). Here
//! results of every kind, mapped, cached, decoded, put together, of the tail and of the pool, are read
//! by several threads while the database is closed, rewritten, trimmed or dropped, and are released
//! by other threads than those that made them. Without a tool this compares bytes: memory that was
//! given to somebody else has other ones. `make alive` runs it under AddressSanitizer or valgrind,
//! which also find a read of memory that nobody has written since.
//!
//! Half of the runs have a pool that keeps nothing, so that a block that comes back too early is
//! unmapped at once; the other half one that keeps everything, so that it is written by the next read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "test code may panic, its numbers are small, and it says how much it tried"
)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use arrow_array::{Array, RecordBatch};
use synadb::storage::MemoryStorage;
use synadb::{
    Aggregate, AsType, Atom, DbConfig, Downsample, Durability, History, OnMismatch,
    OptimizeOptions, Order, RetainPolicy, SynaDB, Values,
};

/// Enough for two blocks, and for columns of numbers to lie in blocks of the pool.
const ROWS: i64 = 9_000;
const RAW: [&str; 3] = ["raw/floats", "raw/texts", "raw/nulls"];
const ENCODED: [&str; 5] = ["floats", "ints", "texts", "mixed", "chunk and tail"];
const THREADS: usize = 3;

/// What is done to the database while results of it are held.
#[derive(Debug, Clone, Copy)]
enum Action {
    Trim,
    Append,
    Delete,
    Compact,
    Optimize,
    OptimizeCold,
    Retain,
    Close,
    DropHandle,
    RemoveFile,
    /// All of them, one after the other.
    All,
}

const ACTIONS: [Action; 11] = [
    Action::Trim,
    Action::Append,
    Action::Delete,
    Action::Compact,
    Action::Optimize,
    Action::OptimizeCold,
    Action::Retain,
    Action::Close,
    Action::DropHandle,
    Action::RemoveFile,
    Action::All,
];

/// Where the file is, and how much is kept of what is released.
#[derive(Debug, Clone)]
struct Place {
    storage: Option<Arc<MemoryStorage>>,
    path: PathBuf,
    pool_bytes: usize,
    cache_bytes: usize,
}

impl Place {
    fn open(&self, raw: bool) -> SynaDB {
        let config = DbConfig::default()
            .with_durability(Durability::Os)
            .with_enable_delta(!raw)
            .with_enable_compression(!raw)
            .with_buffer_pool_bytes(self.pool_bytes)
            .with_column_cache_bytes(self.cache_bytes);
        match &self.storage {
            Some(storage) => SynaDB::with_storage(Arc::clone(storage) as _, &self.path, config),
            None => SynaDB::with_config(&self.path, config),
        }
        .unwrap()
    }

    /// A database with raw chunks, encoded chunks, and points in memory.
    fn make(&self) -> SynaDB {
        let stamps: Vec<i64> = (0..ROWS).map(|row| row * 1_000_000).collect();
        let floats: Vec<f64> = (0..ROWS).map(|row| row as f64 / 4.0 - 100.0).collect();
        let ints: Vec<i64> = (0..ROWS).map(|row| row * row % 1009).collect();
        let texts: Vec<String> = (0..ROWS).map(|row| format!("text {} ü", row % 700)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let atom = |row: i64, mixed: bool| match row % 5 {
            0 => Atom::Null,
            1 if mixed => Atom::Int(row),
            2 if mixed => Atom::Text(format!("t{row}")),
            3 if mixed => Atom::Bytes(row.to_le_bytes().to_vec()),
            _ => Atom::Float(row as f64),
        };
        let nulls: Vec<Atom> = (0..ROWS).map(|row| atom(row, false)).collect();
        let mixed: Vec<Atom> = (0..ROWS).map(|row| atom(row, true)).collect();
        let write = |db: &SynaDB, key: &str, values: Values<'_>| {
            db.append_batch(key, &stamps, values).unwrap();
        };
        let db = self.open(true);
        write(&db, RAW[0], floats[..].into());
        write(&db, RAW[1], texts[..].into());
        write(&db, RAW[2], Values::Atoms(&nulls));
        db.close().unwrap();
        let db = self.open(false);
        write(&db, ENCODED[0], floats[..].into());
        write(&db, ENCODED[1], ints[..].into());
        write(&db, ENCODED[2], texts[..].into());
        write(&db, ENCODED[3], Values::Atoms(&mixed));
        write(&db, ENCODED[4], floats[..].into());
        for row in 0..100 {
            // Below the stamps before: the order of time has to be made.
            db.append_at(ENCODED[4], row, row as f64).unwrap();
        }
        db.append_batch("tail", &stamps[..50], &floats[..50]).unwrap();
        db
    }
}

/// A result, and what it read when it was new.
struct Held {
    what: String,
    bytes: Vec<u8>,
    read: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
}

impl Held {
    fn new(what: String, read: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Held {
        let bytes = read();
        Held { what, bytes, read: Box::new(read) }
    }

    fn batch(what: String, batch: RecordBatch) -> Held {
        assert!(batch.num_rows() > 0, "{what}");
        Held::new(what, move || {
            let mut out = Vec::new();
            batch.columns().iter().for_each(|column| bytes_of(column, &mut out));
            out
        })
    }

    fn check(&self, when: &str) {
        // No diff of a megabyte.
        assert!((self.read)() == self.bytes, "{} changed {when}", self.what);
    }
}

/// Every byte an array consists of, whether its rows refer to it or not.
fn bytes_of(array: &dyn Array, out: &mut Vec<u8>) {
    let data = array.to_data();
    data.buffers().iter().for_each(|buffer| out.extend_from_slice(buffer));
    if let Some(nulls) = data.nulls() {
        out.extend_from_slice(nulls.validity());
    }
    for child in data.child_data() {
        bytes_of(&arrow_array::make_array(child.clone()), out);
    }
}

fn bytes_of_floats(floats: &[f64]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// Results of every kind of one history.
fn results_of(key: &str, history: &History, held: &mut Vec<Held>) {
    let mut add = |what: &str, batch: RecordBatch| {
        held.push(Held::batch(format!("{key}: {what}"), batch));
    };
    add("first read", history.read().unwrap());
    add("second read", history.read().unwrap());
    add("some rows", history.clone().rows(3..900).read().unwrap());
    add("decoded again", history.clone().decode_raw(true).rows(1..900).read().unwrap());
    add("some time", history.clone().range(0..50_000_000).read().unwrap());
    add("order of time", history.clone().order(Order::Time).read().unwrap());
    for as_type in [AsType::Struct, AsType::Text, AsType::Union] {
        let history = history.clone().as_type(as_type).on_mismatch(OnMismatch::Null);
        add(as_type.name(), history.read().unwrap());
    }
    for batch in history.stream().unwrap() {
        add("stream", batch.unwrap());
    }
    add("buckets", history.resample("1h".parse().unwrap(), &Aggregate::ALL).unwrap());
    if let Ok(few) = history.downsample(100, Downsample::MinMax) {
        add("plot", few);
    }
    let stamps = history.timestamps().unwrap();
    held.push(Held::new(format!("{key}: timestamps"), move || stamps.inner().to_vec()));
    let floats = history.clone().on_mismatch(OnMismatch::Null);
    let tensor = floats.tensor().unwrap();
    held.push(Held::new(format!("{key}: tensor"), move || bytes_of_floats(&tensor)));
    let buffer = floats.tensor().unwrap().into_buffer();
    held.push(Held::new(format!("{key}: tensor as a buffer"), move || buffer.inner().to_vec()));
}

/// Reads that take whatever memory came back and write to it.
fn churn(db: &SynaDB) {
    for key in db.keys().unwrap() {
        let Ok(history) = db.history(&key) else { continue };
        let history = history.on_mismatch(OnMismatch::Null);
        for as_type in [AsType::Natural, AsType::Int, AsType::Bytes] {
            drop(history.clone().decode_raw(true).as_type(as_type).read().unwrap());
        }
        drop(history.tensor().unwrap());
    }
}

fn act(action: Action, db: &SynaDB, place: &Place) {
    let go_on = &mut |_| ControlFlow::Continue(());
    match action {
        Action::Trim => drop(db.trim().unwrap()),
        Action::Append => {
            // Enough to seal the tail.
            for row in 0..9_000 {
                db.append_at("tail", row, row as f64).unwrap();
            }
        }
        Action::Delete => {
            RAW.into_iter().chain(ENCODED).for_each(|key| assert!(db.delete(key).unwrap()));
        }
        Action::Compact => {
            db.compact().unwrap();
        }
        Action::Optimize => {
            db.optimize().unwrap();
        }
        Action::OptimizeCold => {
            let cold = OptimizeOptions::default().with_cold(true);
            db.optimize_with(&cold, go_on).unwrap();
        }
        Action::Retain => {
            db.retain(&RetainPolicy::new().last("*", 5).unwrap()).unwrap();
        }
        Action::RemoveFile => {
            if place.storage.is_none() {
                std::fs::remove_file(&place.path).unwrap();
            }
        }
        Action::Close => db.clone().close().unwrap(),
        Action::DropHandle | Action::All => {}
    }
}

/// One action on one database; returns how many results were held over it.
fn run(action: Action, place: &Place) -> usize {
    let db = place.make();
    let mut held = Vec::new();
    let keys = || RAW.into_iter().chain(ENCODED).chain(["tail"]);
    let histories: Vec<History> = keys().map(|key| db.history(key).unwrap()).collect();
    for (key, history) in keys().zip(&histories) {
        results_of(key, history, &mut held);
    }
    let stats = db.stats().unwrap();
    let mapped = stats.mapped_bytes;
    assert!(mapped > 0 && stats.decoded_bytes > 0 && stats.copied_bytes > 0, "{stats:?}");
    assert_eq!(stats.cached_bytes > 0, place.cache_bytes > 0, "{stats:?}");
    // What comes back while the rest is held.
    churn(&db);
    let mut streams: Vec<_> = histories.iter().map(|h| h.stream().unwrap()).collect();
    held.iter().for_each(|result| result.check("by other reads"));

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for part in held.chunks(held.len().div_ceil(THREADS)) {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    part.iter().for_each(|result| result.check("meanwhile"));
                }
            });
        }
        // Also when an assertion fails, or the threads would read for ever.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let _done = Done(&done);
        match action {
            Action::Close => act(action, &db, place),
            Action::All => {
                for action in ACTIONS {
                    act(action, &db, place);
                    // Until it is closed.
                    if db.keys().is_ok() {
                        churn(&db);
                    }
                }
            }
            _ => {
                act(action, &db, place);
                churn(&db);
                // What was asked for before still reads what it saw.
                for (history, stream) in histories.iter().zip(&mut streams) {
                    let rows = stream.next_batch().unwrap().unwrap().num_rows();
                    assert!(rows > 0 && rows as u64 <= history.len().unwrap());
                }
            }
        }
        drop((histories, streams, db));
    });
    held.iter().for_each(|result| result.check("afterwards"));
    release(held)
}

/// Drops results by threads that did not make them, while others are read.
fn release(held: Vec<Held>) -> usize {
    let count = held.len();
    let mut parts: Vec<Vec<Held>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (number, result) in held.into_iter().enumerate() {
        parts[number % THREADS].push(result);
    }
    thread::scope(|scope| {
        for mut part in parts {
            scope.spawn(move || {
                while let Some(result) = part.pop() {
                    drop(result);
                    if let Some(next) = part.last() {
                        next.check("when others were released");
                    }
                }
            });
        }
    });
    count
}

/// A file and a storage in memory, each with and without a pool and a cache.
fn places(folder: &Path) -> [Place; 4] {
    const ALL: usize = 64 << 20;
    let place = |in_memory: bool, pool_bytes, cache_bytes| Place {
        storage: in_memory.then(|| Arc::new(MemoryStorage::new())),
        path: if in_memory { "/m.syna".into() } else { folder.join("a.syna") },
        pool_bytes,
        cache_bytes,
    };
    [place(false, 0, ALL), place(false, ALL, 0), place(true, 0, 0), place(true, ALL, ALL)]
}

#[test]
fn results_outlive_whatever_they_came_from() {
    let count = AtomicUsize::new(0);
    for action in ACTIONS {
        let folder = tempfile::tempdir().unwrap();
        for place in places(folder.path()) {
            if place.path.exists() {
                std::fs::remove_file(&place.path).unwrap();
            }
            let held = run(action, &place);
            assert!(held > 100, "{action:?} {place:?}: only {held} results");
            count.fetch_add(held, Ordering::Relaxed);
        }
    }
    println!("results: {}", count.into_inner());
}
