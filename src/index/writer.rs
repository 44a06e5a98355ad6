//! Changing the index: the one place where commits take effect.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::atom::{Atom, AtomKind, Point};
use crate::column::Points;
use crate::error::{Result, SynaError};
use crate::format::value::StoredAtom;
use crate::log::LogFile;
use crate::sync::{Mutex, Ordering, fence};

use super::history::{History, KeySlot, Rows, Segment, SegmentBody, Segments};
use super::key_table::KeyId;
use super::seal::{SEAL_BYTES, SEAL_ROWS, SEAL_ROWS_MIN, Seal, SealQueue};
use super::tail::{NumberRows, Tail};
use super::version::{Latest, Version, VersionCell};
use super::{Index, LoadedChunk};

/// The right to change an [`Index`]. Held by one writer, one recovery, or one follower of the log.
pub(crate) struct IndexWriter {
    index: Arc<Index>,
    /// Of each key, what the next number is added to.
    open: Vec<OpenTail>,
    accounts: Accounts,
}

/// The writer's own view of a tail of numbers: with it a number is added without the history's lock,
/// whose two locked instructions cost more than all the rest of an append to the index.
struct OpenTail {
    /// The rows that the history's tail holds, too; `None` if it is no tail of numbers.
    rows: Option<NumberRows>,
    len: u32,
    kind: AtomKind,
}

impl OpenTail {
    const NONE: OpenTail = OpenTail { rows: None, len: 0, kind: AtomKind::Null };

    /// The tail of a history whose next row is `rows`.
    fn of(history: &Rows, rows: u64) -> OpenTail {
        match (&history.tail, u32::try_from(history.tail_len(rows))) {
            (Tail::Numbers { kind, rows }, Ok(len)) => {
                OpenTail { rows: Some(rows.clone()), len, kind: *kind }
            }
            _ => OpenTail::NONE,
        }
    }

    /// Writes a number behind the others, if they are of its kind and there is room.
    #[inline]
    fn push(&mut self, timestamp: i64, kind: AtomKind, bits: u64) -> bool {
        let fits = self.kind == kind
            && self.rows.as_ref().is_some_and(|rows| rows.set(self.len as usize, timestamp, bits));
        self.len += u32::from(fits);
        fits
    }
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
    /// The versions and lives kept for these: those left at the last look, and those kept since.
    kept: usize,
    /// At so many of them the next look for what can be forgotten is due.
    forget_at: usize,
    /// Bytes in the log that no reader of the newest commit needs.
    replaced_bytes: u64,
}

/// Fewer versions and lives than this are left alone while snapshots are held.
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
            kept: 0,
            forget_at: FORGET_MIN,
            replaced_bytes: 0,
        };
        IndexWriter { index, open: Vec::new(), accounts }
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
            versions: VersionCell::default(),
            history: Mutex::new(History::new()),
        };
        let index = &self.index;
        let id = index.slots.push(slot).map_err(|_| SynaError::BatchTooLarge {
            what: "the set of keys of one database",
            len: u64::from(u32::MAX),
            max: u64::from(u32::MAX) - 256,
        })?;
        if self.open.len() == self.open.capacity() {
            // An eighth more, not twice as much: with very many keys memory counts.
            self.open.reserve_exact(self.open.len() / 8 + 64);
        }
        self.open.push(OpenTail::NONE);
        index.table.insert(hash, id, |earlier| {
            index.slots.get(earlier).map_or(0, |slot| index.table.hash(&slot.key))
        });
        Ok(id)
    }

    /// Runs `change` on a key's history as part of the commit that ends at `commit_end`. It is given
    /// the version before, alters it, and returns what is latest then.
    fn change(
        &mut self,
        id: KeyId,
        commit_end: u64,
        change: impl FnOnce(&mut Accounts, &Index, &mut History, &mut Version) -> Latest,
    ) {
        let IndexWriter { index, open, accounts } = self;
        let (Some(slot), Some(open)) = (index.slots.get(id), open.get_mut(id as usize)) else {
            unreachable!("ids come from this index");
        };
        let published = index.published.load(Ordering::Relaxed);
        let mut history = slot.history.lock();
        let had_past = history.has_past();
        let (newer, older) = slot.versions.own_pair();
        if !steps_freely(index, published, newer, older) {
            history.keep_version(older);
            accounts.kept += 1;
        }
        let mut version = Version { since: commit_end, ..newer };
        let latest = change(accounts, index, &mut history, &mut version);
        *open = OpenTail::of(&history.rows, version.rows);
        accounts.recount(id, &mut history, version.rows);
        slot.versions.set(version, published, latest);
        if history.has_past() && !had_past {
            accounts.with_past.push(id);
        }
        drop(history);
        accounts.prune(index);
    }

    /// Applies a put of a value that is kept in memory.
    #[inline]
    pub(crate) fn put(&mut self, id: KeyId, commit_end: u64, timestamp: i64, atom: StoredAtom<'_>) {
        if let StoredAtom::Number(kind, bits) = atom
            && self.push_number(id, commit_end, timestamp, kind, bits)
        {
            return;
        }
        self.put_slowly(id, commit_end, timestamp, atom);
    }

    /// Adds a number to a tail that has room for it, without a lock: what stores do all day. False,
    /// and nothing done, where more than that is to be done.
    #[inline]
    fn push_number(
        &mut self,
        id: KeyId,
        commit_end: u64,
        timestamp: i64,
        kind: AtomKind,
        bits: u64,
    ) -> bool {
        let IndexWriter { index, open, accounts } = self;
        let (Some(slot), Some(open)) = (index.slots.get(id), open.get_mut(id as usize)) else {
            unreachable!("ids come from this index");
        };
        let published = index.published.load(Ordering::Relaxed);
        let (newer, older) = slot.versions.own_pair();
        if !steps_freely(index, published, newer, older) || !open.push(timestamp, kind, bits) {
            return false;
        }
        if open.len as usize == SEAL_ROWS {
            accounts.due.push(id);
        }
        index.live_rows.store(index.live_rows() + 1, Ordering::Relaxed);
        let version = Version { since: commit_end, rows: newer.rows + 1, ..newer };
        slot.versions.set(version, published, Latest::Number { timestamp, kind, bits });
        true
    }

    fn put_slowly(&mut self, id: KeyId, commit_end: u64, timestamp: i64, atom: StoredAtom<'_>) {
        self.change(id, commit_end, |_, index, history, version| {
            let len = history.rows.tail_len(version.rows);
            history.rows.tail.push(len, timestamp, atom);
            index.add_rows(version, 1);
            latest_of(timestamp, atom)
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
        self.change(id, commit_end, |accounts, index, history, version| {
            accounts.freeze_tail(id, history, version.rows);
            history.rows.push_segment(Segment {
                first_row: version.rows,
                rows: 1,
                timestamp_min: timestamp,
                timestamp_max: timestamp,
                body: SegmentBody::Put { offset, val_len },
            });
            index.add_rows(version, 1);
            Latest::InHistory
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
        self.change(id, commit_end, |_, index, history, version| {
            if version.rows == 0 {
                // Only a rewrite begins a key's history at a later row.
                (version.live_from, version.rows) = (first_row, first_row);
                history.rows.tail_row = first_row;
            }
            let len = history.rows.tail_len(version.rows);
            history.rows.tail.extend(len, points);
            index.add_rows(version, points.len() as u64);
            match points.kind(last) {
                AtomKind::Text | AtomKind::Bytes => Latest::InHistory,
                kind => Latest::Number {
                    timestamp: points.timestamps().get(last).copied().unwrap_or_default(),
                    kind,
                    bits: points.number_bits(last),
                },
            }
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
        self.change(id, commit_end, |accounts, index, history, version| {
            accounts.freeze_tail(id, history, version.rows);
            if version.rows == 0 {
                (version.live_from, version.rows) = (segment.first_row, segment.first_row);
            }
            let rows = segment.rows;
            history.rows.push_segment(segment);
            index.add_rows(version, rows);
            latest
        });
    }

    /// Puts a chunk in the place of the same points: readers notice nothing.
    ///
    /// # Errors
    ///
    /// What contradicts what, if the rows are not a union of whole chunks, single values and rows
    /// of the tail.
    pub(crate) fn replace(&mut self, id: KeyId, segment: Segment) -> Result<(), &'static str> {
        let IndexWriter { index, open, accounts } = self;
        let (Some(slot), Some(open)) = (index.slots.get(id), open.get_mut(id as usize)) else {
            unreachable!("ids come from this index");
        };
        let mut history = slot.history.lock();
        let (newest, _) = slot.versions.own_pair();
        let (first, end) = (segment.first_row, segment.end_row());
        if first < newest.live_from {
            return Err("a chunk that replaces rows before a tombstone");
        }
        if end > newest.rows {
            return Err("a chunk that replaces rows that do not exist");
        }
        let tail_row = history.rows.tail_row;
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
            let (gone, len) = (kept_before + gone, history.rows.tail_len(newest.rows));
            history.rows.tail.truncate_front(gone, len);
            history.rows.tail_row = end;
            *open = OpenTail::of(&history.rows, newest.rows);
            accounts.recount(id, &mut history, newest.rows);
        }
        let at = history.rows.segments.partition_point(|s| s.end_row() <= first);
        let until = history.rows.segments.partition_point(|s| s.first_row < end);
        history.rows.segments.replace(at..until.max(at), Arc::new(segment));
        Ok(())
    }

    /// Applies a tombstone.
    pub(crate) fn tombstone(&mut self, id: KeyId, commit_end: u64) {
        let key_len = self.index.slots.get(id).map_or(0, |slot| slot.key.len() as u64);
        self.change(id, commit_end, |accounts, index, history, version| {
            let rows = version.len();
            if rows > 0 {
                let bytes: u64 = history.rows.segments.iter().map(|s| s.stored_len()).sum();
                let tail = history.rows.tail_len(version.rows) as u64;
                accounts.replaced_bytes += bytes + tail * (36 + key_len).next_multiple_of(8);
                history.end_life(version.live_from, version.rows);
                accounts.kept += 1;
                version.live_from = version.rows;
                index.live_keys.store(index.live_keys() - 1, Ordering::Relaxed);
                index.live_rows.store(index.live_rows() - rows, Ordering::Relaxed);
            }
            Latest::Absent
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
        self.change(id, commit_end, |_, index, history, version| {
            (version.live_from, version.rows) = (live_from, live_from);
            history.rows = Rows { tail_row: segments.end_row(live_from), segments, tail };
            if rows > live_from {
                index.add_rows(version, rows - live_from);
            }
            latest
        });
        Ok(())
    }

    /// Makes everything up to the commit that ends here visible.
    pub(crate) fn publish(&mut self, commit_end: u64) {
        self.index.published.store(commit_end, Ordering::Release);
        // See `Snapshots::pin`.
        fence(Ordering::SeqCst);
        self.forget_what_nobody_needs(commit_end);
    }

    /// As [`IndexWriter::publish`], by a writer that gives up a mutex before it makes its next
    /// change. On x86-64 the locked instructions with which the mutex is given up and taken again
    /// are such a fence, and another one would cost a tenth of a buffered append. Elsewhere it is
    /// cheap.
    #[inline]
    pub(crate) fn publish_and_unlock(&mut self, commit_end: u64) {
        self.index.published.store(commit_end, Ordering::Release);
        if !cfg!(target_arch = "x86_64") {
            fence(Ordering::SeqCst);
        }
        self.forget_what_nobody_needs(commit_end);
    }

    #[inline]
    fn forget_what_nobody_needs(&mut self, commit_end: u64) {
        // While snapshots are held, a look at every key with a past at each commit would cost more
        // than the commit; so what is kept has to double before the next one.
        let kept = self.accounts.kept;
        if kept > 0 && (kept >= self.accounts.forget_at || self.index.snapshots.newest() == 0) {
            self.forget_past(commit_end);
        }
    }

    #[cold]
    fn forget_past(&mut self, published: u64) {
        let IndexWriter { index, accounts, .. } = self;
        let held = index.snapshots.held();
        accounts.kept = 0;
        let kept = &mut accounts.kept;
        accounts.with_past.retain(|id| {
            let Some(slot) = index.slots.get(*id) else { return false };
            let versions = slot.versions.own_pair();
            let left = slot.history.lock().forget_past(versions, published, &held);
            *kept += left;
            left > 0
        });
        accounts.forget_at = (accounts.kept * 2).max(FORGET_MIN);
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
            let bytes_of = |id| counted_bytes(index, id);
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
        let due = self.index.slots.get(seal.id).is_some_and(|slot| {
            let history = slot.history.lock();
            let rows = slot.versions.newest().rows;
            history.frozen > 0 || history.rows.tail_len(rows) >= SEAL_ROWS
        });
        if due {
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
    /// All keys whose tails have at least so many points, and those with rows to be sealed at once.
    pub(crate) fn sealable(&self, rows_min: usize) -> Vec<KeyId> {
        (0..self.slots.len())
            .filter(|id| {
                self.slots.get(*id).is_some_and(|slot| {
                    let history = slot.history.lock();
                    let rows = slot.versions.newest().rows;
                    history.rows.tail_len(rows) >= rows_min || history.frozen > 0
                })
            })
            .collect()
    }

    /// Adds rows to a key's version, and counts them.
    fn add_rows(&self, version: &mut Version, added: u64) {
        if version.len() == 0 {
            self.live_keys.store(self.live_keys() + 1, Ordering::Relaxed);
        }
        version.rows += added;
        self.live_rows.store(self.live_rows() + added, Ordering::Relaxed);
    }
}

/// What of the memory of a key's tail is counted in the budget.
fn counted_bytes(index: &Index, id: KeyId) -> usize {
    index.slots.get(id).map_or(0, |slot| slot.history.lock().counted_bytes as usize)
}

/// Whether the next version may take the place of one in the key's cell: `newer` is not published
/// yet, so nobody will ask for it alone, or no snapshot needs `older`.
#[inline]
fn steps_freely(index: &Index, published: u64, newer: Version, older: Version) -> bool {
    let newest_snapshot = index.snapshots.newest();
    newer.since > published || newest_snapshot == 0 || newest_snapshot < older.since
}

impl Accounts {
    /// Drops what is filed for sealing but outdated, once that must be most of it: whoever stays
    /// under the budget, or never seals, takes nothing out.
    #[inline]
    fn prune(&mut self, index: &Index) {
        let most = 1024 + 4 * index.slots.len() as usize;
        if self.queue.len() > most || self.due.len() > most {
            self.queue.prune(|id| counted_bytes(index, id));
            self.due.sort_unstable();
            self.due.dedup();
        }
    }

    /// Keeps the rows of the tail in memory in front of what is added behind them, to be sealed with
    /// the next group.
    fn freeze_tail(&mut self, id: KeyId, history: &mut History, rows: u64) {
        let len = history.rows.tail_len(rows);
        if len == 0 {
            return;
        }
        let first_row = history.rows.tail_row;
        let points = history.rows.tail.slice(0..len);
        history.rows.tail = Tail::Empty;
        self.tail_bytes -= history.counted_bytes as usize;
        history.counted_bytes = 0;
        history.frozen += 1;
        self.due.push(id);
        history.rows.push_segment(Segment {
            first_row,
            rows: len as u64,
            timestamp_min: points.timestamps().iter().copied().min().unwrap_or(0),
            timestamp_max: points.timestamps().iter().copied().max().unwrap_or(0),
            body: SegmentBody::Points(points),
        });
    }

    /// Counts a tail's memory anew and files it for sealing.
    fn recount(&mut self, id: KeyId, history: &mut History, rows: u64) {
        // A tail of more than 4 GiB, which a writer never lets grow, counts as so many.
        let counted = u32::try_from(history.rows.tail.memory_bytes()).unwrap_or(u32::MAX);
        let bytes = counted as usize;
        let (before, len) = (history.counted_bytes as usize, history.rows.tail_len(rows));
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

#[cfg(all(test, not(loom)))]
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

    /// While a snapshot was held, versions kept for others stayed until 64 keys had some: a reader
    /// beside the writer of one key cost memory for as long as somebody else held an old snapshot.
    #[test]
    fn versions_kept_for_short_snapshots_are_forgotten_while_an_old_one_is_held() {
        let mut writer = IndexWriter::new(Arc::new(Index::new(0)), usize::MAX);
        let id = writer.id_of("key").unwrap();
        put(&mut writer, id, 8);
        put(&mut writer, id, 16);
        let old = writer.index.pin();
        for commit in 2..10_000 {
            let pin = writer.index.pin();
            put(&mut writer, id, commit * 16);
            put(&mut writer, id, commit * 16 + 8);
            writer.index.unpin(pin);
            assert!(writer.accounts.kept <= FORGET_MIN, "{} at {commit}", writer.accounts.kept);
        }
        let slot = writer.index.slot(id).unwrap();
        assert_eq!(slot.version_at(old.commit_end).len(), 2);
        assert!(slot.history.lock().kept() <= FORGET_MIN);
        writer.index.unpin(old);
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

    /// A key is filed for sealing a few times for every 8,192 points. Under the budget nobody took
    /// anything out, so a busy key cost 36 bytes for each such run for ever.
    #[test]
    fn what_is_filed_for_sealing_does_not_grow_with_the_history() {
        let mut writer = IndexWriter::new(Arc::new(Index::new(0)), usize::MAX);
        let id = writer.id_of("key").unwrap();
        let mut commit = 0;
        for life in 0..2_000 {
            for _ in 0..70 {
                commit += 8;
                put(&mut writer, id, commit);
            }
            commit += 8;
            writer.tombstone(id, commit);
            writer.publish(commit);
            assert!(writer.accounts.queue.len() < 1_100, "life {life}");
        }
    }

    /// Tails taken over from a checkpoint have room for just their points. Doubled as they were, they
    /// passed the size from which they may be sealed without anybody looking: over budget a key held
    /// up to 62 points in memory instead of 32.
    #[test]
    fn a_tail_over_budget_is_sealed_from_33_points_on_whatever_it_began_with() {
        for (first, more) in (1..=32).flat_map(|first| [(first, 1), (first, 7)]) {
            let points = |rows: std::ops::Range<i64>| {
                let mut points = Points::new();
                rows.for_each(|row| points.push_number(row, AtomKind::Int, 0));
                points
            };
            let mut writer = IndexWriter::new(Arc::new(Index::new(0)), 0);
            let (segments, tail) = (Segments::default(), Tail::of(points(0..first)));
            let latest = Latest::Number { timestamp: first - 1, kind: AtomKind::Int, bits: 0 };
            let rows = (0, first.cast_unsigned());
            writer.restore("key", 8, rows, segments, tail, latest).unwrap();
            writer.publish(8);
            let mut commit = 8;
            while writer.index.slot(0).unwrap().versions.newest().rows <= SEAL_ROWS_MIN as u64 {
                assert!(writer.take_due().is_empty(), "{first} and {more} each");
                commit += 8;
                if more == 1 {
                    put(&mut writer, 0, commit);
                } else {
                    let next = writer.index.slot(0).unwrap().versions.newest().rows;
                    writer.add_points(0, commit, next, &points(0..more));
                    writer.publish(commit);
                }
            }
            assert_eq!(writer.take_due(), [0], "{first} and {more} each");
        }
    }
}
