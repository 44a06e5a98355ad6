//! What was decoded or put together once, kept for the next read.
//!
//! A run is an array of the rows `[first, end)` of one column of one key, in one generation of the
//! file. Rows never change there, so a run stays true as long as it is kept, and any part of it
//! answers a read by a slice. The least recently used runs go when there are more bytes than
//! allowed. A run that somebody else holds, too, stays in memory after it went: then it is the
//! holder's, and no longer counted here.
//!
//! A pack is an array of rows of several keys, one after the other, as scans hand them out. It is
//! found by exactly the rows it holds; otherwise it lives and goes as runs do.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::column::ZoneMap;
use crate::index::KeyId;
use crate::mutex::Mutex;

use super::schema::{ValueType, are_floats, timestamp_type};

/// A column of a key's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Timestamps,
    /// The values as this type, none of them lost.
    Values(ValueType),
}

impl Column {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Column::Timestamps => timestamp_type(),
            Column::Values(values) => values.data_type(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RunKey {
    pub(crate) generation: u64,
    pub(crate) key: KeyId,
    pub(crate) column: Column,
}

/// Which rows of which keys, in this order.
pub(crate) type PackRows = Arc<[(KeyId, Range<u64>)]>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PackKey {
    pub(crate) generation: u64,
    pub(crate) column: Column,
    pub(crate) rows: PackRows,
}

/// Which kinds the live rows of a key hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// Rows of each kind, by its number.
    pub(crate) counts: [u64; 5],
    /// All integers are doubles, too: their absolute values are at most 2^53.
    pub(crate) ints_are_floats: bool,
}

impl Kinds {
    /// Those of no rows.
    pub(crate) const NONE: Kinds = Kinds { counts: [0; 5], ints_are_floats: true };

    /// These, and those of the rows of a zone map.
    pub(crate) fn with(mut self, zone: &ZoneMap) -> Kinds {
        let ints_are_floats = are_floats(zone.int.min, zone.int.max);
        self.add(&Kinds { counts: zone.counts, ints_are_floats });
        self
    }

    /// Adds those of other rows.
    pub(crate) fn add(&mut self, other: &Kinds) {
        for (total, count) in self.counts.iter_mut().zip(other.counts) {
            *total = total.saturating_add(count);
        }
        self.ints_are_floats &= other.ints_are_floats;
    }
}

#[derive(Debug)]
struct Run {
    end: u64,
    array: ArrayRef,
    bytes: usize,
    used: u64,
}

#[derive(Debug)]
struct Pack {
    array: ArrayRef,
    bytes: usize,
    used: u64,
}

/// What is kept.
#[derive(Debug, Clone)]
enum Kept {
    /// The run of a column that begins at this row.
    Run(RunKey, u64),
    Pack(PackKey),
}

#[derive(Debug, Default)]
struct Runs {
    /// By first row. No run lies within another one, so that the last one that begins at or before
    /// a row is also the one that reaches furthest of these.
    by_key: HashMap<RunKey, BTreeMap<u64, Run>, foldhash::fast::RandomState>,
    packs: HashMap<PackKey, Pack, foldhash::fast::RandomState>,
    /// By when they were used last.
    by_use: BTreeMap<u64, Kept>,
    bytes: usize,
    clock: u64,
    hits: u64,
    misses: u64,
    /// What is known of the kinds of a key's rows.
    kinds: HashMap<(u64, KeyId), (Range<u64>, Kinds), foldhash::fast::RandomState>,
}

/// What a run takes beside its array: places in three maps. So very many small runs stay within
/// the budget, too.
const RUN_BYTES: usize = 256;

/// So many keys' kinds are remembered: a few MiB.
const KINDS_MAX: usize = 65_536;

#[derive(Debug)]
pub(crate) struct ColumnCache {
    runs: Mutex<Runs>,
    bytes_max: usize,
}

impl ColumnCache {
    pub(crate) fn new(bytes_max: usize) -> ColumnCache {
        ColumnCache { runs: Mutex::default(), bytes_max }
    }

    /// The rows of a column, if a run holds all of them.
    pub(crate) fn get(&self, key: RunKey, rows: &Range<u64>) -> Option<ArrayRef> {
        let mut runs = self.runs.lock();
        let found = runs.find(key, rows);
        *(if found.is_some() { &mut runs.hits } else { &mut runs.misses }) += 1;
        let (first, array) = found?;
        let offset = usize::try_from(rows.start - first).ok()?;
        let len = usize::try_from(rows.end - rows.start).ok()?;
        drop(runs);
        let whole = offset == 0 && len == array.len();
        Some(if whole { array } else { array.slice(offset, len) })
    }

    /// Whether [`ColumnCache::get`] would give something. Does not count as use.
    pub(crate) fn holds(&self, key: RunKey, rows: &Range<u64>) -> bool {
        self.runs.lock().place(key, rows).is_some()
    }

    /// Keeps an array of the rows from `first` on; runs within it go.
    pub(crate) fn insert(&self, key: RunKey, first: u64, array: ArrayRef) {
        let bytes = array.get_array_memory_size() + RUN_BYTES;
        if bytes > self.bytes_max || array.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        let mut runs = self.runs.lock();
        let end = first + array.len() as u64;
        if runs.place(key, &(first..end)).is_some() {
            // Somebody else read the same at the same time.
            return;
        }
        let within: Vec<u64> = runs
            .by_key
            .get(&key)
            .into_iter()
            .flat_map(|of_key| of_key.range(first..end))
            .filter(|(_, run)| run.end <= end)
            .map(|(start, _)| *start)
            .collect();
        gone.extend(within.into_iter().filter_map(|start| runs.remove(key, start)));
        runs.clock += 1;
        let used = runs.clock;
        runs.bytes += bytes;
        runs.by_use.insert(used, Kept::Run(key, first));
        runs.by_key.entry(key).or_default().insert(first, Run { end, array, bytes, used });
        runs.make_room(self.bytes_max, &mut gone);
        // Freed without the lock.
        drop(runs);
        drop(gone);
    }

    /// The array of exactly these rows.
    pub(crate) fn get_pack(&self, key: &PackKey) -> Option<ArrayRef> {
        let mut runs = self.runs.lock();
        let found = runs.find_pack(key);
        *(if found.is_some() { &mut runs.hits } else { &mut runs.misses }) += 1;
        found
    }

    /// Whether [`ColumnCache::get_pack`] would give something. Does not count as use.
    pub(crate) fn holds_pack(&self, key: &PackKey) -> bool {
        self.runs.lock().packs.contains_key(key)
    }

    /// Keeps an array of these rows.
    pub(crate) fn insert_pack(&self, key: PackKey, array: ArrayRef) {
        let places = key.rows.len().saturating_mul(size_of::<(KeyId, Range<u64>)>());
        let bytes = array.get_array_memory_size().saturating_add(RUN_BYTES).saturating_add(places);
        if bytes > self.bytes_max || array.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        let mut runs = self.runs.lock();
        if runs.packs.contains_key(&key) {
            // Somebody else read the same at the same time.
            return;
        }
        runs.clock += 1;
        let used = runs.clock;
        runs.bytes += bytes;
        runs.by_use.insert(used, Kept::Pack(key.clone()));
        runs.packs.insert(key, Pack { array, bytes, used });
        runs.make_room(self.bytes_max, &mut gone);
        drop(runs);
        drop(gone);
    }

    /// What is known of the kinds of exactly these rows of a key.
    pub(crate) fn kinds(&self, generation: u64, key: KeyId, rows: &Range<u64>) -> Option<Kinds> {
        let runs = self.runs.lock();
        let (known, kinds) = runs.kinds.get(&(generation, key))?;
        (known == rows).then_some(*kinds)
    }

    pub(crate) fn set_kinds(&self, generation: u64, key: KeyId, rows: Range<u64>, kinds: Kinds) {
        let mut runs = self.runs.lock();
        if runs.kinds.len() >= KINDS_MAX {
            runs.kinds.clear();
        }
        runs.kinds.insert((generation, key), (rows, kinds));
    }

    /// Bytes of all runs.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.lock().bytes
    }

    /// How many reads of a column found it here, and how many did not.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        let runs = self.runs.lock();
        (runs.hits, runs.misses)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut runs = self.runs.lock();
        let Runs { hits, misses, .. } = *runs;
        let gone = std::mem::replace(&mut *runs, Runs { hits, misses, ..Runs::default() });
        drop(runs);
        drop(gone);
    }
}

impl Runs {
    /// The first row of the run that holds all of `rows`.
    fn place(&self, key: RunKey, rows: &Range<u64>) -> Option<u64> {
        let of_key = self.by_key.get(&key)?;
        let (first, run) = of_key.range(..=rows.start).next_back()?;
        (run.end >= rows.end).then_some(*first)
    }

    fn find(&mut self, key: RunKey, rows: &Range<u64>) -> Option<(u64, ArrayRef)> {
        let first = self.place(key, rows)?;
        self.clock += 1;
        let clock = self.clock;
        let run = self.by_key.get_mut(&key)?.get_mut(&first)?;
        let used = std::mem::replace(&mut run.used, clock);
        let array = ArrayRef::clone(&run.array);
        self.by_use.remove(&used);
        self.by_use.insert(clock, Kept::Run(key, first));
        Some((first, array))
    }

    fn find_pack(&mut self, key: &PackKey) -> Option<ArrayRef> {
        let pack = self.packs.get_mut(key)?;
        self.clock += 1;
        let used = std::mem::replace(&mut pack.used, self.clock);
        let array = ArrayRef::clone(&pack.array);
        let kept = self.by_use.remove(&used)?;
        self.by_use.insert(self.clock, kept);
        Some(array)
    }

    /// Lets the least recently used go until what is left has so many bytes.
    fn make_room(&mut self, bytes_max: usize, gone: &mut Vec<ArrayRef>) {
        while self.bytes > bytes_max {
            let Some((_, kept)) = self.by_use.first_key_value() else { break };
            match kept.clone() {
                Kept::Run(key, first) => gone.extend(self.remove(key, first)),
                Kept::Pack(key) => gone.extend(self.remove_pack(&key)),
            }
        }
    }

    fn remove_pack(&mut self, key: &PackKey) -> Option<ArrayRef> {
        let pack = self.packs.remove(key)?;
        self.by_use.remove(&pack.used);
        self.bytes -= pack.bytes;
        Some(pack.array)
    }

    fn remove(&mut self, key: RunKey, first: u64) -> Option<ArrayRef> {
        let of_key = self.by_key.get_mut(&key)?;
        let run = of_key.remove(&first)?;
        if of_key.is_empty() {
            self.by_key.remove(&key);
        }
        self.by_use.remove(&run.used);
        self.bytes -= run.bytes;
        Some(run.array)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;

    use super::*;

    fn run(rows: Range<i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows))
    }

    fn key(number: KeyId) -> RunKey {
        RunKey { generation: 1, key: number, column: Column::Timestamps }
    }

    #[test]
    fn parts_of_runs_are_found_by_row() {
        let cache = ColumnCache::new(1 << 20);
        cache.insert(key(1), 100, run(100..200));
        cache.insert(key(1), 200, run(200..300));
        let part = cache.get(key(1), &(150..160)).unwrap();
        assert_eq!(
            part.as_primitive::<Int64Type>().values(),
            &(150..160).collect::<Vec<i64>>()[..]
        );
        assert!(cache.get(key(1), &(150..250)).is_none(), "no single run holds them");
        assert!(cache.get(key(1), &(99..150)).is_none());
        assert!(cache.get(key(2), &(150..160)).is_none());
        assert_eq!(cache.hits_and_misses(), (1, 3));
        let bytes = cache.bytes();
        cache.insert(key(1), 100, run(100..300));
        assert!(cache.get(key(1), &(150..250)).is_some());
        assert!(cache.bytes() <= bytes, "runs within the new one went");
    }

    #[test]
    fn packs_are_found_by_their_rows_and_go_as_runs_do() {
        let pack = |rows: &[(KeyId, Range<u64>)]| PackKey {
            generation: 1,
            column: Column::Timestamps,
            rows: rows.into(),
        };
        let bytes = run(0..1000).get_array_memory_size() + 2 * RUN_BYTES;
        let cache = ColumnCache::new(2 * bytes);
        let (a, b) = (pack(&[(1, 0..400), (2, 0..600)]), pack(&[(1, 0..400), (2, 0..599)]));
        cache.insert_pack(a.clone(), run(0..1000));
        assert!(cache.holds_pack(&a) && !cache.holds_pack(&b));
        cache.insert_pack(b.clone(), run(0..1000));
        assert!(cache.get_pack(&a).is_some());
        cache.insert(key(3), 0, run(0..1000));
        assert!(cache.get_pack(&b).is_none(), "the least recently used");
        assert!(cache.get_pack(&a).is_some());
        assert_eq!(cache.hits_and_misses(), (2, 1));
        cache.clear();
        assert!(!cache.holds_pack(&a));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn the_least_recently_used_go() {
        let bytes = run(0..1000).get_array_memory_size() + RUN_BYTES;
        let cache = ColumnCache::new(3 * bytes);
        for number in 0..3 {
            cache.insert(key(number), 0, run(0..1000));
        }
        assert!(cache.get(key(0), &(0..10)).is_some());
        cache.insert(key(3), 0, run(0..1000));
        assert_eq!(cache.bytes(), 3 * bytes);
        assert!(!cache.holds(key(1), &(0..10)));
        assert!(cache.holds(key(0), &(0..10)));
        cache.insert(key(4), 0, run(0..100_000));
        assert!(!cache.holds(key(4), &(0..10)), "larger than the cache");
        cache.clear();
        assert_eq!(cache.bytes(), 0);
    }
}
