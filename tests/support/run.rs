//! A run of the store on a simulated storage, with a model of what every commit made of it.
//!
//! The states of a run are numbered: 0 is the empty database, each commit adds one. A state is
//! remembered as a digest of all histories, so that what a crash leaves can be looked up: it is a
//! prefix of the commits exactly if its digest is that of some state.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use synadb::storage::Storage;
use synadb::{Atom, DbConfig, Durability, Point, RetainPolicy, SynaDB};

use super::disk_image::DiskImage;
use super::fault::{Effect, FailedPages, FaultPlan, Operation, Target, Times};
use super::simulated::SimulatedStorage;
use super::trace::{Event, Mark, Trace};

pub const PATH: &str = "/db.syna";

/// A small buffer that the keeper does not empty by itself within a test.
pub const SMALL_BUFFER: Durability = Durability::Buffered { size_bytes: 4096, interval_ms: 60_000 };

/// A key's history: how many points, a digest of them, and the latest.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyState {
    pub rows: u64,
    digest: u64,
    latest: Point,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    pub keys: BTreeMap<String, KeyState>,
}

fn mix(digest: u64, word: u64) -> u64 {
    let mixed = (digest ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

fn mix_bytes(digest: u64, bytes: &[u8]) -> u64 {
    let mut digest = mix(digest, bytes.len() as u64);
    for part in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        digest = mix(digest, u64::from_le_bytes(word));
    }
    digest
}

fn mix_point(digest: u64, timestamp: i64, value: &Atom) -> u64 {
    let digest = mix(digest, timestamp as u64);
    match value {
        Atom::Null => mix(digest, 1),
        Atom::Float(value) => mix(mix(digest, 2), value.to_bits()),
        Atom::Int(value) => mix(mix(digest, 3), *value as u64),
        Atom::Text(text) => mix_bytes(mix(digest, 4), text.as_bytes()),
        Atom::Bytes(bytes) => mix_bytes(mix(digest, 5), bytes),
    }
}

impl Content {
    pub fn push(&mut self, key: &str, timestamp: i64, value: Atom) {
        let before = self.keys.get(key);
        let (rows, digest) = before.map_or((0, 0), |state| (state.rows, state.digest));
        let digest = mix_point(digest, timestamp, &value);
        let latest = Point { timestamp, value };
        self.keys.insert(key.to_owned(), KeyState { rows: rows + 1, digest, latest });
    }

    pub fn delete(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// Only the latest point of each key.
    pub fn compact(&mut self) {
        for state in self.keys.values_mut() {
            let Point { timestamp, value } = &state.latest;
            (state.rows, state.digest) = (1, mix_point(0, *timestamp, value));
        }
    }

    pub fn digest(&self) -> u64 {
        self.keys.iter().fold(0, |digest, (key, state)| {
            mix(mix(mix_bytes(digest, key.as_bytes()), state.rows), state.digest)
        })
    }

    /// Everything that a database holds.
    pub fn of(db: &SynaDB) -> synadb::Result<Content> {
        let mut content = Content::default();
        for key in db.keys()? {
            let points = db.get_history(&key)?;
            let digest = points.iter().fold(0, |d, p| mix_point(d, p.timestamp, &p.value));
            let latest = db.get_point(&key)?.expect("a listed key has a point");
            let last = points.last().expect("a listed key has a point");
            assert!(
                mix_point(0, last.timestamp, &last.value)
                    == mix_point(0, latest.timestamp, &latest.value),
                "{key}: get and history differ"
            );
            content.keys.insert(key, KeyState { rows: points.len() as u64, digest, latest });
        }
        Ok(content)
    }
}

/// The states of a run, in order.
#[derive(Debug, Clone)]
pub struct History {
    states: Vec<Content>,
    by_digest: HashMap<u64, Vec<u64>>,
}

impl History {
    pub fn new(first: Content) -> Self {
        let mut history = History { states: Vec::new(), by_digest: HashMap::new() };
        history.push(first);
        history
    }

    pub fn push(&mut self, content: Content) {
        let number = self.states.len() as u64;
        self.by_digest.entry(content.digest()).or_default().push(number);
        self.states.push(content);
    }

    pub fn last(&self) -> &Content {
        self.states.last().expect("there is a first state")
    }

    /// The number of the last state.
    pub fn end(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    pub fn state(&self, number: u64) -> &Content {
        &self.states[number as usize]
    }

    /// The number of the newest state up to `upper` that has this content.
    pub fn find(&self, content: &Content, upper: u64) -> Option<u64> {
        let numbers = self.by_digest.get(&content.digest())?;
        numbers.iter().rev().copied().find(|number| *number <= upper)
    }
}

/// Changes of one commit.
#[derive(Debug, Clone)]
pub enum Change {
    Put(String, Atom),
    Delete(String),
}

/// A database on a simulated storage, and what ought to be in it.
///
/// Marks in the trace: `begun` the number of the state a commit in progress would make, `written`
/// what was acknowledged to be with the operating system, `durable` what was acknowledged to
/// survive a power loss, `created` that there is a database.
pub struct Run {
    pub storage: SimulatedStorage,
    pub history: History,
    pub db: Option<SynaDB>,
    pub durability: Durability,
    pub tail_budget_bytes: usize,
    /// Whether columns are encoded.
    pub encoded: bool,
    renumbered: Vec<(&'static str, &'static str, HashMap<u64, u64>)>,
}

impl Run {
    pub fn new() -> Self {
        Run::on(SimulatedStorage::new(), Content::default())
    }

    /// On an image that holds `content`.
    pub fn on(storage: SimulatedStorage, content: Content) -> Self {
        Run {
            storage,
            history: History::new(content),
            db: None,
            durability: Durability::Full,
            tail_budget_bytes: 64 << 20,
            encoded: true,
            renumbered: Vec::new(),
        }
    }

    pub fn db(&self) -> &SynaDB {
        self.db.as_ref().expect("the database is open")
    }

    pub fn config(&self) -> DbConfig {
        DbConfig::default()
            .with_durability(self.durability)
            .with_tail_budget_bytes(self.tail_budget_bytes)
            .with_enable_delta(self.encoded)
            .with_enable_compression(self.encoded)
    }

    pub fn try_open(&self) -> synadb::Result<SynaDB> {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        SynaDB::with_storage(storage, PATH, self.config())
    }

    /// Opens; the database must hold all that was committed.
    pub fn open(&mut self, durability: Durability) {
        self.durability = durability;
        let db = self.try_open().expect("the database opens");
        self.storage.mark("created", 1);
        assert_eq!(&Content::of(&db).unwrap(), self.history.last(), "after opening");
        self.db = Some(db);
    }

    /// Opens after a stop that may have lost unsynced commits.
    pub fn open_after_loss(&mut self, durability: Durability) {
        self.durability = durability;
        let db = self.try_open().expect("the database opens");
        let content = Content::of(&db).unwrap();
        if &content != self.history.last() {
            let point = self.storage.point();
            let trace = self.storage.trace();
            let found = self.history.find(&content, self.history.end()).expect("a prefix");
            let lower = trace.last_mark("written", point).unwrap_or(0);
            let lower = lower.min(trace.last_mark("durable", point).unwrap_or(0));
            assert!(found >= lower, "state {found} instead of at least {lower}");
            // What was lost is as if it had been taken back by one more commit.
            self.storage.mark("begun", self.history.end() + 1);
            self.history.push(content);
        }
        self.db = Some(db);
    }

    pub fn begin(&self) {
        self.storage.mark("begun", self.history.end() + 1);
    }

    /// Notes that a commit was acknowledged.
    pub fn acknowledge(&mut self, content: Content) {
        self.history.push(content);
        match self.durability {
            Durability::Full => self.mark_durable(),
            Durability::Os => self.storage.mark("written", self.history.end()),
            _ => {}
        }
    }

    pub fn mark_durable(&self) {
        self.storage.mark("written", self.history.end());
        self.storage.mark("durable", self.history.end());
    }

    /// A value that tells which commit wrote it.
    pub fn atom(&self) -> Atom {
        let number = self.history.end() + 1;
        match number % 5 {
            0 => Atom::Float(number as f64 / 8.0),
            1 => Atom::Text(format!("commit {number}")),
            2 => Atom::Bytes(number.to_le_bytes().repeat(5)),
            _ => Atom::Int(number as i64),
        }
    }

    /// One put.
    pub fn put(&mut self, key: &str) -> u64 {
        let atom = self.atom();
        self.put_atom(key, atom)
    }

    /// One value above 64 KiB, which stands alone.
    pub fn put_large(&mut self, key: &str) {
        let number = self.history.end() as u8 + 1;
        self.put_atom(key, Atom::Bytes(vec![number; 66_000 + usize::from(number)]));
    }

    pub fn put_atom(&mut self, key: &str, atom: Atom) -> u64 {
        let timestamp = self.history.end() as i64;
        self.begin();
        let offset = self.db().append_at(key, timestamp, atom.clone()).unwrap();
        let mut content = self.history.last().clone();
        content.push(key, timestamp, atom);
        self.acknowledge(content);
        offset
    }

    /// One put of a run of numbers: the plain case.
    pub fn put_number(&mut self, key: &str) -> u64 {
        self.put_atom(key, Atom::Float(self.history.end() as f64))
    }

    pub fn delete(&mut self, key: &str) {
        self.begin();
        let was_there = self.db().delete(key).unwrap();
        assert_eq!(was_there, self.history.last().keys.contains_key(key));
        if was_there {
            let mut content = self.history.last().clone();
            content.delete(key);
            self.acknowledge(content);
        }
    }

    /// A batch of puts under `keys` keys, and a deletion if there are keys to delete.
    pub fn batch(&mut self, keys: usize) {
        let atom = self.atom();
        let changes = (0..keys).map(|key| Change::Put(format!("b{key}"), atom.clone()));
        let mut changes: Vec<Change> = changes.collect();
        if keys > 1 && self.history.end().is_multiple_of(3) {
            changes.push(Change::Delete("a".to_owned()));
        }
        self.try_batch(&changes).unwrap();
    }

    pub fn try_batch(&mut self, changes: &[Change]) -> synadb::Result<()> {
        let timestamp = self.history.end() as i64;
        self.begin();
        let mut batch = self.db().batch();
        let mut content = self.history.last().clone();
        for change in changes {
            match change {
                Change::Put(key, atom) => {
                    batch.append_at(key, timestamp, atom.clone())?;
                    content.push(key, timestamp, atom.clone());
                }
                Change::Delete(key) => {
                    batch.delete(key)?;
                    content.delete(key);
                }
            }
        }
        batch.commit()?;
        self.acknowledge(content);
        Ok(())
    }

    /// Many points of one key at once.
    pub fn bulk(&mut self, key: &str, rows: usize) {
        let first = self.history.end() as i64 * 1_000_000;
        let timestamps: Vec<i64> = (0..rows as i64).map(|row| first + row).collect();
        let values: Vec<f64> = timestamps.iter().map(|time| *time as f64 / 4.0).collect();
        self.begin();
        self.db().append_batch(key, &timestamps, &values).unwrap();
        let mut content = self.history.last().clone();
        for (timestamp, value) in timestamps.into_iter().zip(values) {
            content.push(key, timestamp, Atom::Float(value));
        }
        self.acknowledge(content);
    }

    /// A record batch whose rows are of these keys in turn, every fifth value null.
    pub fn write(&mut self, keys: &[&str], rows: usize) {
        let first = self.history.end() as i64 * 1_000_000;
        let names: Vec<&str> = keys.iter().copied().cycle().take(rows).collect();
        let timestamps: Vec<i64> = (0..rows as i64).map(|row| first + row).collect();
        let value = |(row, time): (usize, &i64)| (row % 5 != 4).then_some(*time as f64 / 4.0);
        let values: Vec<Option<f64>> = timestamps.iter().enumerate().map(value).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("key", Arc::new(StringArray::from(names.clone())) as ArrayRef, false),
            (
                "timestamp",
                Arc::new(TimestampMicrosecondArray::from(timestamps.clone())) as ArrayRef,
                false,
            ),
            ("value", Arc::new(Float64Array::from(values.clone())) as ArrayRef, true),
        ]);
        self.begin();
        self.db().write(&batch.unwrap()).unwrap();
        let mut content = self.history.last().clone();
        for ((key, timestamp), value) in names.into_iter().zip(timestamps).zip(values) {
            content.push(key, timestamp, value.map_or(Atom::Null, Atom::Float));
        }
        self.acknowledge(content);
    }

    /// The same without nulls and of one key, in the wide form.
    pub fn write_wide(&mut self, key: &str, rows: usize) {
        let first = self.history.end() as i64 * 1_000_000;
        let timestamps: Vec<i64> = (0..rows as i64).map(|row| first + row).collect();
        let batch = RecordBatch::try_from_iter([
            (
                "timestamp",
                Arc::new(TimestampMicrosecondArray::from(timestamps.clone())) as ArrayRef,
            ),
            (key, Arc::new(Int64Array::from(timestamps.clone())) as ArrayRef),
        ]);
        self.begin();
        self.db().write_wide(&batch.unwrap()).unwrap();
        let mut content = self.history.last().clone();
        for time in timestamps {
            content.push(key, time, Atom::Int(time));
        }
        self.acknowledge(content);
    }

    pub fn flush(&self) {
        self.db().flush().unwrap();
        self.storage.mark("written", self.history.end());
    }

    pub fn sync(&self) {
        self.db().sync().unwrap();
        self.mark_durable();
    }

    pub fn checkpoint(&self) {
        self.db().checkpoint().unwrap();
    }

    pub fn compact(&mut self) {
        self.begin();
        self.db().compact().unwrap();
        let mut content = self.history.last().clone();
        content.compact();
        self.history.push(content);
        // The new file is synced whole before it gets the name.
        self.mark_durable();
    }

    /// Makes no difference to what the database holds.
    pub fn optimize(&mut self) {
        self.begin();
        self.db().optimize().unwrap();
        let content = self.history.last().clone();
        assert_eq!(Content::of(self.db()).unwrap(), content, "after optimize");
        self.history.push(content);
        self.mark_durable();
    }

    /// Keeps the last rows of the keys that match.
    pub fn retain(&mut self, pattern: &str, rows: u64) {
        self.begin();
        let policy = RetainPolicy::new().last(pattern, rows).unwrap();
        self.db().retain(&policy).unwrap();
        let content = Content::of(self.db()).unwrap();
        for (key, before) in &self.history.last().keys {
            let matches = pattern.strip_suffix('*').map_or(pattern == key, |p| key.starts_with(p));
            let expected = if matches { rows.min(before.rows) } else { before.rows };
            let found = content.keys.get(key);
            assert_eq!(found.map_or(0, |state| state.rows), expected, "{key} after retain");
            assert!(found.is_none_or(|state| state.latest == before.latest), "{key}");
            assert!(expected < before.rows || found == Some(before), "{key}");
        }
        self.history.push(content);
        self.mark_durable();
    }

    pub fn close(&mut self) {
        self.db.take().unwrap().close().unwrap();
        self.mark_durable();
    }

    pub fn reopen(&mut self, durability: Durability) {
        self.close();
        self.open(durability);
    }

    /// Marks of one name are to be read as marks of another, with these numbers.
    pub fn renumber(&mut self, from: &'static str, to: &'static str, numbers: &HashMap<u64, u64>) {
        self.renumbered.push((from, to, numbers.clone()));
    }

    /// What happened so far.
    pub fn trace(&self) -> Trace {
        let mut trace = self.storage.trace();
        for (from, to, numbers) in &self.renumbered {
            for event in &mut trace.events {
                if let Event::Mark(mark) = event
                    && mark.name == *from
                {
                    *mark = Mark { name: to, number: numbers[&mark.number] };
                }
            }
        }
        trace
    }

    /// Waits until a slot page is written, which the keeper does once a second.
    pub fn wait_for_slot(&mut self) {
        let slots = |run: &Run| {
            let bytes = run.storage.image().bytes(PATH).unwrap();
            bytes[4096..12_288].to_vec()
        };
        let before = slots(self);
        let started = std::time::Instant::now();
        while slots(self) == before && started.elapsed().as_secs() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(200));
            // An idle keeper sleeps until something happens.
            self.put_number("n");
        }
    }

    /// Ends the database as a killed process does: nothing more reaches the storage, what is with
    /// the operating system stays.
    pub fn kill(&mut self) {
        let eio = libc::EIO;
        let dirty = Effect::FailSync(eio.into(), FailedPages::Dirty);
        let plan = FaultPlan::new().with(Operation::SyncData, 1, Times::Forever, dirty).fail(
            Target::Any,
            1,
            Times::Forever,
            eio,
        );
        self.storage.set_plan(plan);
        if let Some(db) = self.db.take() {
            let _ = db.close();
        }
        self.storage.set_plan(FaultPlan::new());
    }
}

impl Default for Run {
    fn default() -> Self {
        Run::new()
    }
}

/// Opens an image for writing.
pub fn open_image(
    image: &DiskImage,
    config: DbConfig,
) -> synadb::Result<(SimulatedStorage, SynaDB)> {
    let storage = image.clone().into_storage();
    let db = SynaDB::with_storage(Arc::new(storage.clone()), Path::new(PATH), config)?;
    Ok((storage, db))
}

/// Lets go of a database without anything reaching its storage; returns what the operating system
/// has then.
pub fn kill(storage: &SimulatedStorage, db: SynaDB) -> DiskImage {
    storage.crash();
    drop(db);
    storage.image()
}
