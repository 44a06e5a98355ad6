//! Changing the index: the one place where commits take effect.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::atom::{Atom, AtomKind, Point};
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::value::StoredAtom;
use crate::log::LogFile;

use super::history::{History, KeySlot, Rows, Segment, SegmentBody, Segments, Tail};
use super::key_table::KeyId;
use super::latest::{Latest, LatestCell};
use super::seal::{SEAL_BYTES, SEAL_ROWS, SEAL_ROWS_MIN, Seal, SealQueue};
use super::{Index, LoadedChunk};

/// `Snapshots::pin` needs that a change which does not see a snapshot's announcement comes after the
/// publication of the commit before it in the eyes of everybody: a store that no later load
/// overtakes. On x86-64 the locked instruction that takes the history's mutex, which stands between
/// this store and the next look at the announcements, is such a barrier; the exchange that
/// `SeqCst` would add here costs a tenth of a buffered append. Elsewhere `SeqCst` is cheap.
const PUBLISH: Ordering =
    if cfg!(target_arch = "x86_64") { Ordering::Release } else { Ordering::SeqCst };

/// The right to change an [`Index`]. Held by one writer, one recovery, or one follower of the log.
pub(crate) struct IndexWriter {
    index: Arc<Index>,
    accounts: Accounts,
}

/// What the writer keeps of tails and of what is no longer needed.
struct Accounts {
    tail_budget_bytes: usize,
    tail_bytes: usize,
    queue: SealQueue,
    /// Tails that reached the size at which they are sealed.
    due: Vec<KeyId>,
    /// Keys that hold something only for readers of older commits.
    with_past: Vec<KeyId>,
    /// At so many of them the next look for what can be forgotten is due.
    forget_at: usize,
    /// Bytes in the log that no reader of the newest commit needs.
    replaced_bytes: u64,
}

/// Fewer keys with a past than this are left alone while snapshots are held.
const FORGET_MIN: usize = 64;

/// What the latest value of a stored atom is.
fn latest_of(timestamp: i64, atom: StoredAtom<'_>) -> Latest {
    match atom {
        StoredAtom::Number(kind, bits) => Latest::Number { timestamp, kind, bits },
        StoredAtom::Text(_) | StoredAtom::Bytes(_) => Latest::InHistory,
    }
}

impl IndexWriter {
    pub(crate) fn new(index: Arc<Index>, tail_budget_bytes: usize) -> Self {
        let accounts = Accounts {
            tail_budget_bytes,
            tail_bytes: 0,
            queue: SealQueue::default(),
            due: Vec::new(),
            with_past: Vec::new(),
            forget_at: FORGET_MIN,
            replaced_bytes: 0,
        };
        IndexWriter { index, accounts }
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(crate) fn tail_bytes(&self) -> usize {
        self.accounts.tail_bytes
    }

    pub(crate) fn replaced_bytes(&self) -> u64 {
        self.accounts.replaced_bytes
    }

    pub(crate) fn set_replaced_bytes(&mut self, bytes: u64) {
        self.accounts.replaced_bytes = bytes;
    }

    /// The id of a key, new if the key was never seen.
    #[inline]
    pub(crate) fn id_of(&mut self, key: &str) -> Result<KeyId> {
        let index = &self.index;
        let hash = index.table.hash(key);
        let is_key = |id| index.slots.get(id).is_some_and(|slot: &KeySlot| &*slot.key == key);
        match index.table.find(hash, is_key) {
            Some(id) => Ok(id),
            None => self.new_key(key, hash),
        }
    }

    #[cold]
    fn new_key(&mut self, key: &str, hash: u64) -> Result<KeyId> {
        let slot = KeySlot {
            key: key.into(),
            latest: LatestCell::default(),
            history: parking_lot::Mutex::new(History::new()),
        };
        let index = &self.index;
        let id = index.slots.push(slot).map_err(|_| SynaError::BatchTooLarge {
            what: "the set of keys of one database",
            len: u64::from(u32::MAX),
            max: u64::from(u32::MAX) - 256,
        })?;
        index.table.insert(hash, id, |earlier| {
            index.slots.get(earlier).map_or(0, |slot| index.table.hash(&slot.key))
        });
        Ok(id)
    }

    /// Runs `change` on a key's history as part of the commit that ends at `commit_end`.
    #[inline]
    fn change<T>(
        &mut self,
        id: KeyId,
        commit_end: u64,
        change: impl FnOnce(&mut Accounts, &Index, &KeySlot, &mut History, u64) -> T,
    ) -> T {
        let IndexWriter { index, accounts } = self;
        let Some(slot) = index.slots.get(id) else {
            unreachable!("ids come from this index");
        };
        let published = index.published.load(Ordering::Relaxed);
        let mut history = slot.history.lock();
        let had_past = history.has_past();
        history.begin_change(commit_end, published, index.snapshots.newest());
        let result = change(accounts, index, slot, &mut history, published);
        if history.has_past() && !had_past {
            accounts.with_past.push(id);
        }
        result
    }

    /// Applies a put of a value that is kept in memory.
    #[inline]
    pub(crate) fn put(&mut self, id: KeyId, commit_end: u64, timestamp: i64, atom: StoredAtom<'_>) {
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            history.rows.tail.push(timestamp, atom);
            history.current.rows += 1;
            index.count_rows(history, 1);
            let len = history.rows.tail.len();
            // Memory changes with a value of its own or when the columns grow, which they do by
            // doubling from four.
            let is_blob = !matches!(atom, StoredAtom::Number(..));
            if is_blob || (len - 1).is_power_of_two() || len == SEAL_ROWS {
                accounts.recount(id, history);
            }
            slot.latest.set(commit_end, published, latest_of(timestamp, atom));
        });
    }

    /// Applies a put of a value that stays in the log.
    pub(crate) fn large_put(
        &mut self,
        id: KeyId,
        commit_end: u64,
        timestamp: i64,
        offset: u64,
        val_len: u32,
    ) {
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            accounts.freeze_tail(id, history);
            history.rows.segments.push(Arc::new(Segment {
                first_row: history.current.rows,
                rows: 1,
                timestamp_min: timestamp,
                timestamp_max: timestamp,
                body: SegmentBody::Put { offset, val_len },
            }));
            history.current.rows += 1;
            index.count_rows(history, 1);
            slot.latest.set(commit_end, published, Latest::InHistory);
        });
    }

    /// Applies points of one chunk that are few enough to be kept in memory until they are sealed
    /// with their neighbours.
    pub(crate) fn add_points(
        &mut self,
        id: KeyId,
        commit_end: u64,
        first_row: u64,
        points: &Points,
    ) {
        let Some(last) = points.len().checked_sub(1) else { return };
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            if history.current.rows == 0 {
                // Only a rewrite begins a key's history at a later row.
                (history.current.live_from, history.current.rows) = (first_row, first_row);
            }
            history.rows.tail.points_mut().extend_from(points, 0..points.len());
            history.current.rows += points.len() as u64;
            index.count_rows(history, points.len() as u64);
            accounts.recount(id, history);
            let latest = match points.kind(last) {
                AtomKind::Text | AtomKind::Bytes => Latest::InHistory,
                kind => Latest::Number {
                    timestamp: points.timestamps().get(last).copied().unwrap_or_default(),
                    kind,
                    bits: points.number_bits(last),
                },
            };
            slot.latest.set(commit_end, published, latest);
        });
    }

    /// Applies a chunk whose rows stay in the log.
    pub(crate) fn add_chunk(
        &mut self,
        id: KeyId,
        commit_end: u64,
        segment: Segment,
        latest: Latest,
    ) {
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            accounts.freeze_tail(id, history);
            if history.current.rows == 0 {
                history.current.live_from = segment.first_row;
            }
            let rows = segment.rows;
            history.current.rows = segment.end_row();
            history.rows.segments.push(Arc::new(segment));
            index.count_rows(history, rows);
            slot.latest.set(commit_end, published, latest);
        });
    }

    /// Puts a chunk in the place of the same points: readers notice nothing.
    ///
    /// # Errors
    ///
    /// What contradicts what, if the rows are not a union of whole chunks, single values and rows
    /// of the tail.
    pub(crate) fn replace(&mut self, id: KeyId, segment: Segment) -> Result<(), &'static str> {
        let IndexWriter { index, accounts } = self;
        let Some(slot) = index.slots.get(id) else {
            unreachable!("ids come from this index");
        };
        let mut history = slot.history.lock();
        let (first, end) = (segment.first_row, segment.end_row());
        if first < history.current.live_from {
            return Err("a chunk that replaces rows before a tombstone");
        }
        if end > history.current.rows {
            return Err("a chunk that replaces rows that do not exist");
        }
        let tail_row = history.tail_row();
        let segments = &*history.rows.segments;
        let from = segments.partition_point(|s| s.end_row() <= first);
        let to = segments.partition_point(|s| s.first_row < end);
        let whole = segments.get(from..to).is_some_and(|replaced| {
            replaced.first().is_none_or(|s| s.first_row >= first)
                && replaced.last().is_none_or(|s| s.end_row() <= end)
        });
        if !whole {
            return Err("a chunk that replaces a part of an earlier one");
        }
        let key_len = slot.key.len() as u64;
        let mut thawed = 0;
        for replaced in segments.get(from..to).unwrap_or_default() {
            thawed += u32::from(matches!(replaced.body, SegmentBody::Points(_)));
            accounts.replaced_bytes += replaced.stored_len() + key_len + 24;
        }
        history.frozen -= thawed;
        if end > tail_row {
            let gone = usize::try_from(end - tail_row.max(first)).unwrap_or(usize::MAX);
            // Header and value of a put of a number; texts are longer, which an estimate may leave out.
            accounts.replaced_bytes += gone as u64 * (36 + key_len).next_multiple_of(8);
            let kept_before = usize::try_from(first.saturating_sub(tail_row)).unwrap_or(usize::MAX);
            if kept_before > 0 {
                // Rows of the tail before the chunk stay in memory before it.
                let points = history.rows.tail.slice(0..kept_before);
                history.frozen += 1;
                accounts.due.push(id);
                history.rows.segments.push(Arc::new(Segment {
                    first_row: tail_row,
                    rows: kept_before as u64,
                    timestamp_min: points.timestamps().iter().copied().min().unwrap_or(0),
                    timestamp_max: points.timestamps().iter().copied().max().unwrap_or(0),
                    body: SegmentBody::Points(points),
                }));
            }
            let gone = kept_before + gone;
            history.rows.tail.truncate_front(gone);
            accounts.recount(id, &mut history);
        }
        let at = history.rows.segments.partition_point(|s| s.end_row() <= first);
        let until = history.rows.segments.partition_point(|s| s.first_row < end);
        history.rows.segments.replace(at..until.max(at), Arc::new(segment));
        Ok(())
    }

    /// Applies a tombstone.
    pub(crate) fn tombstone(&mut self, id: KeyId, commit_end: u64) {
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            let rows = history.current.len();
            if rows > 0 {
                let bytes: u64 = history.rows.segments.iter().map(|s| s.stored_len()).sum();
                let tail = history.rows.tail.len() as u64;
                accounts.replaced_bytes +=
                    bytes + tail * (36 + slot.key.len() as u64).next_multiple_of(8);
                history.end_life();
                accounts.recount(id, history);
                index.live_keys.store(index.live_keys() - 1, Ordering::Relaxed);
                index.live_rows.store(index.live_rows() - rows, Ordering::Relaxed);
            }
            slot.latest.set(commit_end, published, Latest::Absent);
        });
    }

    /// Takes a key over from a checkpoint.
    pub(crate) fn restore(
        &mut self,
        key: &str,
        commit_end: u64,
        (live_from, rows): (u64, u64),
        segments: Segments,
        tail: Tail,
        latest: Latest,
    ) -> Result<()> {
        let id = self.id_of(key)?;
        self.change(id, commit_end, |accounts, index, slot, history, published| {
            history.current.live_from = live_from;
            history.current.rows = rows;
            history.rows = Rows { segments, tail };
            if rows > live_from {
                index.count_rows(history, rows - live_from);
            }
            accounts.recount(id, history);
            slot.latest.set(commit_end, published, latest);
        });
        Ok(())
    }

    /// Makes everything up to the commit that ends here visible.
    #[inline]
    pub(crate) fn publish(&mut self, commit_end: u64) {
        self.index.published.store(commit_end, PUBLISH);
        // While snapshots are held, a look at every key with a past at each commit would cost more
        // than the commit; so their number has to double before the next one.
        let len = self.accounts.with_past.len();
        if len > 0 && (len >= self.accounts.forget_at || self.index.snapshots.newest() == 0) {
            self.forget_past(commit_end);
        }
    }

    #[cold]
    fn forget_past(&mut self, published: u64) {
        let IndexWriter { index, accounts } = self;
        let oldest = index.snapshots.oldest();
        accounts.with_past.retain(|id| {
            index
                .slots
                .get(*id)
                .is_some_and(|slot| slot.history.lock().forget_past(published, oldest))
        });
        accounts.forget_at = (accounts.with_past.len() * 2).max(FORGET_MIN);
    }

    /// The keys to be sealed now: full tails, and the largest ones while memory is over budget.
    pub(crate) fn take_due(&mut self) -> Vec<KeyId> {
        let mut due = std::mem::take(&mut self.accounts.due);
        // A key filed twice must not be sealed twice in one group.
        due.sort_unstable();
        due.dedup();
        let mut expected = self.accounts.tail_bytes;
        while expected > self.accounts.tail_budget_bytes {
            let index = &self.index;
            let bytes_of = |id| {
                index.slots.get(id).map_or(0, |slot| slot.history.lock().counted_bytes as usize)
            };
            let Some(id) = self.accounts.queue.take_largest(bytes_of) else { break };
            if let Err(at) = due.binary_search(&id) {
                expected -= bytes_of(id).min(expected);
                due.insert(at, id);
            }
        }
        due
    }

    /// Gives keys back whose seals could not be written.
    pub(crate) fn return_due(&mut self, ids: impl Iterator<Item = KeyId>) {
        self.accounts.due.extend(ids);
    }

    /// Whether [`IndexWriter::take_due`] would find anything.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        let accounts = &self.accounts;
        !accounts.due.is_empty() || accounts.tail_bytes > accounts.tail_budget_bytes
    }

    /// All keys whose tails have at least so many points, and those with rows to be sealed at once.
    pub(crate) fn sealable(&self, rows_min: usize) -> Vec<KeyId> {
        (0..self.index.slots.len())
            .filter(|id| {
                self.index.slots.get(*id).is_some_and(|slot| {
                    let history = slot.history.lock();
                    history.rows.tail.len() >= rows_min || history.frozen > 0
                })
            })
            .collect()
    }

    /// Applies a seal whose chunk entry stands at `offset`.
    pub(crate) fn sealed(&mut self, seal: &Seal, offset: u64, val_len: u32) {
        let segment = Segment {
            first_row: seal.first_row,
            rows: u64::from(seal.chunk.rows()),
            timestamp_min: seal.chunk.timestamp_min(),
            timestamp_max: seal.chunk.timestamp_max(),
            body: SegmentBody::Chunk { offset, val_len, loaded: OnceLock::new() },
        };
        let replaced = self.replace(seal.id, segment);
        assert!(replaced.is_ok(), "a seal replaces whole segments: {replaced:?}");
        let history = self.index.slots.get(seal.id).map(|slot| slot.history.lock());
        if history.is_some_and(|h| h.frozen > 0 || h.rows.tail.len() >= SEAL_ROWS) {
            self.accounts.due.push(seal.id);
        }
    }

    /// Bytes of the latest value for a chunk's last row.
    pub(crate) fn latest_of_chunk(chunk: &LoadedChunk, log: &LogFile) -> Result<Latest> {
        let point = chunk.point(log, chunk.header().rows.saturating_sub(1))?;
        Ok(latest_of_point(&point))
    }
}

/// What the latest value is if it is that of `point`.
pub(crate) fn latest_of_point(point: &Point) -> Latest {
    let number = |kind, bits| Latest::Number { timestamp: point.timestamp, kind, bits };
    match point.value {
        Atom::Float(value) => number(AtomKind::Float, value.to_bits()),
        Atom::Int(value) => number(AtomKind::Int, value.cast_unsigned()),
        Atom::Null => number(AtomKind::Null, 0),
        Atom::Text(_) | Atom::Bytes(_) => Latest::InHistory,
    }
}

impl Index {
    fn count_rows(&self, history: &History, added: u64) {
        if history.current.len() == added {
            self.live_keys.store(self.live_keys() + 1, Ordering::Relaxed);
        }
        self.live_rows.store(self.live_rows() + added, Ordering::Relaxed);
    }
}

impl Accounts {
    /// Keeps the rows of the tail in memory in front of what is added behind them, to be sealed with
    /// the next group.
    fn freeze_tail(&mut self, id: KeyId, history: &mut History) {
        let len = history.rows.tail.len();
        if len == 0 {
            return;
        }
        let first_row = history.tail_row();
        let points = history.rows.tail.slice(0..len);
        history.rows.tail = Tail::Empty;
        self.tail_bytes -= history.counted_bytes as usize;
        history.counted_bytes = 0;
        history.frozen += 1;
        self.due.push(id);
        history.rows.segments.push(Arc::new(Segment {
            first_row,
            rows: len as u64,
            timestamp_min: points.timestamps().iter().copied().min().unwrap_or(0),
            timestamp_max: points.timestamps().iter().copied().max().unwrap_or(0),
            body: SegmentBody::Points(points),
        }));
    }

    /// Counts a tail's memory anew and files it for sealing.
    fn recount(&mut self, id: KeyId, history: &mut History) {
        // A tail of more than 4 GiB, which a writer never lets grow, counts as so many.
        let counted = u32::try_from(history.rows.tail.memory_bytes()).unwrap_or(u32::MAX);
        let bytes = counted as usize;
        let (before, len) = (history.counted_bytes as usize, history.rows.tail.len());
        self.tail_bytes = self.tail_bytes + bytes - before;
        history.counted_bytes = counted;
        if len >= SEAL_ROWS || bytes >= SEAL_BYTES {
            if self.due.last() != Some(&id) {
                self.due.push(id);
            }
        } else if len == SEAL_ROWS_MIN + 1
            || (len > SEAL_ROWS_MIN && bytes.ilog2() != before.checked_ilog2().unwrap_or(0))
        {
            self.queue.file(id, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(writer: &mut IndexWriter, id: KeyId, commit_end: u64) {
        writer.put(id, commit_end, 0, StoredAtom::Number(AtomKind::Int, commit_end));
        writer.publish(commit_end);
    }

    /// Every read of a history holds a snapshot for a moment. Versions kept for those were dropped
    /// only when the key was deleted, so that a reader beside a writer cost memory for ever.
    #[test]
    fn versions_kept_for_short_snapshots_are_forgotten() {
        let mut writer = IndexWriter::new(Arc::new(Index::new(0)), usize::MAX);
        let id = writer.id_of("key").unwrap();
        for commit in 1..1000 {
            let pin = writer.index.pin();
            put(&mut writer, id, commit * 16);
            put(&mut writer, id, commit * 16 + 8);
            writer.index.unpin(pin);
        }
        put(&mut writer, id, 20_000);
        assert!(!writer.index.slot(id).unwrap().history.lock().has_past());
        assert!(writer.accounts.with_past.is_empty());
    }

    #[test]
    fn what_a_snapshot_may_ask_for_stays_while_many_keys_change() {
        let mut writer = IndexWriter::new(Arc::new(Index::new(0)), usize::MAX);
        let ids: Vec<KeyId> = (0..500).map(|i| writer.id_of(&format!("{i}")).unwrap()).collect();
        let mut commit = 0;
        for id in &ids {
            commit += 8;
            put(&mut writer, *id, commit);
        }
        let pin = writer.index.pin();
        for _ in 0..4 {
            for id in &ids {
                commit += 8;
                put(&mut writer, *id, commit);
            }
        }
        for id in &ids {
            let slot = writer.index.slot(*id).unwrap();
            assert_eq!(slot.version_at(pin.commit_end).len(), 1);
        }
        writer.index.unpin(pin);
        commit += 8;
        put(&mut writer, ids[0], commit);
        assert!(writer.accounts.with_past.is_empty());
    }
}
