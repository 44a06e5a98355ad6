//! The way of a commit: framed, written, synced where asked, applied to the index, published.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::atom::{Atom, AtomKind};
use crate::canary::{Canary, planted};
use crate::column::encoding::Policy;
use crate::column::{EncodedChunk, Points};
use crate::config::Durability;
use crate::error::{Result, SynaError};
use crate::format::entry::{Frame, Kind, Position, flags};
use crate::format::value::{self, StoredAtom, StoredValue};
use crate::index::{CHUNK_ROWS_KEPT, Index, IndexWriter, KeyId, Latest, Seal, segment_of};
use crate::log::INLINE_VALUE_MAX;
use crate::log::create::now;
use crate::materialize;

use super::core::{Core, WriterSide};

/// One change that a commit makes.
pub(crate) enum Op<'a> {
    Put {
        key: Cow<'a, str>,
        timestamp: i64,
        value: PutValue,
    },
    Tombstone {
        key: Cow<'a, str>,
    },
    /// Boxed, because most changes are puts, and a batch may have very many.
    Chunk {
        key: Cow<'a, str>,
        chunk: Box<EncodedChunk>,
        points: Box<ChunkPoints>,
    },
}

/// A number to be put under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberPut<'a> {
    pub(crate) key: &'a str,
    /// The key's id in the index that comes along, where it is known.
    pub(crate) id: Option<KeyId>,
    pub(crate) timestamp: i64,
    pub(crate) kind: AtomKind,
    pub(crate) bits: u64,
}

/// A value on its way into the log.
pub(crate) enum PutValue {
    Number(AtomKind, u64),
    /// Text or bytes, encoded.
    Encoded(Vec<u8>),
    /// The same, and what is stored in its place.
    Compressed {
        plain: Vec<u8>,
        stored: Vec<u8>,
    },
}

/// What the index needs of the points of a chunk.
pub(crate) enum ChunkPoints {
    /// Few enough to be kept in memory until they are sealed with their neighbours.
    Tail(Points),
    /// They stay in the log; the latest of them.
    Log(Latest),
}

/// Changes that take effect together.
#[derive(Default)]
pub(crate) struct Commit<'a> {
    pub(crate) ops: Vec<Op<'a>>,
    /// The ids of the ops' keys in `index`, where they are known already.
    pub(crate) ids: Vec<Option<KeyId>>,
    /// What `ids` refer to; a rewrite may have put another index in its place.
    pub(crate) index: Weak<Index>,
}

impl<'a> Commit<'a> {
    pub(crate) fn new(ops: Vec<Op<'a>>) -> Self {
        Commit { ops, ..Commit::default() }
    }
}

/// A commit that may wait for another thread to write it.
pub(crate) type OwnedCommit = Commit<'static>;

impl PutValue {
    /// A number is shorter than the limit of any file.
    #[inline]
    pub(crate) fn of(atom: &Atom, limit: u64, policy: Policy) -> Result<PutValue> {
        match atom {
            Atom::Null => Ok(PutValue::Number(AtomKind::Null, 0)),
            Atom::Float(value) => Ok(PutValue::Number(AtomKind::Float, value.to_bits())),
            Atom::Int(value) => Ok(PutValue::Number(AtomKind::Int, value.cast_unsigned())),
            Atom::Text(_) | Atom::Bytes(_) => Self::of_blob(atom, limit, policy),
        }
    }

    /// A text or bytes.
    fn of_blob(atom: &Atom, limit: u64, policy: Policy) -> Result<PutValue> {
        let len = value::encoded_len(atom);
        if len > limit {
            return Err(SynaError::ValueTooLarge { len, max: limit });
        }
        Ok(Self::of_encoded(value::encode(atom)?, policy))
    }

    /// A text or bytes, encoded.
    fn of_encoded(plain: Vec<u8>, policy: Policy) -> PutValue {
        match policy.compression.then(|| value::compress(&plain)).flatten() {
            Some(stored) => PutValue::Compressed { plain, stored },
            None => PutValue::Encoded(plain),
        }
    }

    /// A value as another file has it, to be stored as `policy` allows.
    pub(crate) fn of_stored(
        value: &StoredValue<'_>,
        limit: u64,
        policy: Policy,
    ) -> Result<PutValue, &'static str> {
        let plain = value.plain(limit)?;
        Ok(match value::decode(&plain)? {
            StoredAtom::Number(kind, bits) => PutValue::Number(kind, bits),
            StoredAtom::Text(_) | StoredAtom::Bytes(_) => {
                Self::of_encoded(plain.into_owned(), policy)
            }
        })
    }

    /// Length of the entry's value.
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            PutValue::Number(AtomKind::Null, _) => 4,
            PutValue::Number(..) => 12,
            PutValue::Encoded(stored) | PutValue::Compressed { stored, .. } => stored.len(),
        }
    }

    fn is_large(&self) -> bool {
        match self {
            PutValue::Number(..) => false,
            PutValue::Encoded(plain) | PutValue::Compressed { plain, .. } => {
                plain.len() > INLINE_VALUE_MAX + value::BLOB_PREFIX
            }
        }
    }
}

impl<'a> Op<'a> {
    fn into_owned(self) -> Op<'static> {
        let owned = |key: Cow<'a, str>| Cow::Owned(key.into_owned());
        match self {
            Op::Put { key, timestamp, value } => Op::Put { key: owned(key), timestamp, value },
            Op::Tombstone { key } => Op::Tombstone { key: owned(key) },
            Op::Chunk { key, chunk, points } => Op::Chunk { key: owned(key), chunk, points },
        }
    }
}

/// About what a tail that is to be sealed holds, where there are several.
const SEAL_BYTES_EXPECTED: u64 = 64 << 10;

/// Where the parts of a commit came to stand, for the index.
struct Placed {
    /// End of the commit.
    end: Position,
    /// Offset of its first entry.
    first: u64,
    /// Of each op: the key's id, the entry's offset and the length of its value.
    entries: Vec<(KeyId, u64, u32)>,
}

/// A seal that is part of a group.
struct PlacedSeal {
    seal: Seal,
    offset: u64,
    val_len: u32,
    end: Position,
}

impl Core {
    /// Commits one value; returns the offset of its entry.
    #[inline]
    pub(crate) fn put(&self, key: &str, timestamp: i64, value: PutValue) -> Result<u64> {
        if let PutValue::Number(kind, bits) = value
            && self.config.durability != Durability::Full
        {
            return self.with_writer(|side| side.put_number(self, key, timestamp, kind, bits));
        }
        self.commit(Commit::new(vec![Op::Put { key: Cow::Borrowed(key), timestamp, value }]))
    }

    /// As [`put`](Core::put), if that need not wait for another thread or for a sync; `None` otherwise.
    pub(crate) fn try_put(
        &self,
        key: &str,
        timestamp: i64,
        value: PutValue,
    ) -> Result<Option<u64>> {
        if self.config.durability == Durability::Full {
            return Ok(None);
        }
        self.try_with_writer(|side| match value {
            PutValue::Number(kind, bits) => side.put_number(self, key, timestamp, kind, bits),
            value => {
                let put = Op::Put { key: Cow::Borrowed(key), timestamp, value };
                side.run_one(self, Commit::new(vec![put]))
            }
        })
    }

    /// Commits changes together without a sync, unless another thread is writing: `None` then.
    pub(crate) fn try_commit(&self, commit: Commit<'_>) -> Result<Option<u64>> {
        self.try_with_writer(|side| side.run_one(self, commit))
    }

    /// Commits numbers together; `index` is the one their ids are of. Returns the offset of the
    /// first entry.
    pub(crate) fn put_numbers(&self, puts: &[NumberPut<'_>], index: &Arc<Index>) -> Result<u64> {
        if self.config.durability == Durability::Full {
            return self.commit(commit_of_numbers(puts, index));
        }
        self.with_writer(|side| side.put_numbers(self, puts, index))
    }

    /// Commits changes together; returns the offset of the first entry.
    pub(crate) fn commit(&self, commit: Commit<'_>) -> Result<u64> {
        self.check_fork()?;
        if self.config.durability != Durability::Full {
            return self.with_writer(|side| side.run_one(self, commit));
        }
        if !self.is_writer {
            return Err(SynaError::ReadOnly);
        }
        let Commit { ops, ids, index } = commit;
        let ops = ops.into_iter().map(Op::into_owned).collect();
        let commit = Commit { ops, ids, index };
        self.group.submit(commit, |commits| {
            let count = commits.len();
            match self.with_writer(|side| Ok(side.run_group(self, commits))) {
                Ok(results) => results,
                Err(error) => vec![Err(error); count],
            }
        })
    }

    /// Appends a tombstone if the key is live.
    pub(crate) fn delete(&self, key: &str) -> Result<bool> {
        self.with_writer(|side| {
            let index = side.index.index();
            // Under the writer's lock everything applied is published.
            let live = index.slot_of(key).is_some_and(|slot| index.latest(slot) != Latest::Absent);
            if !live {
                side.log.check_writable()?;
                return Ok(false);
            }
            let op = Op::Tombstone { key: Cow::Borrowed(key) };
            side.run_one(self, Commit::new(vec![op]))?;
            Ok(true)
        })
    }
}

/// Poisons the writer when a panic drops it: log and index may disagree then.
struct PanicGuard<'a>(&'a mut WriterSide);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        let error = std::io::Error::other("a panic in the write path");
        self.0.log.poison("a commit", error);
    }
}

impl WriterSide {
    /// Runs `change`; a panic in it poisons the writer. One that was on its way already does not: a
    /// destructor may append.
    #[inline]
    fn guarded<T>(&mut self, change: impl FnOnce(&mut WriterSide) -> T) -> T {
        let guard = PanicGuard(self);
        let result = change(&mut *guard.0);
        std::mem::forget(guard);
        result
    }

    fn run_one(&mut self, core: &Core, commit: Commit<'_>) -> Result<u64> {
        self.run_group(core, vec![commit]).pop().unwrap_or(Err(SynaError::Closed))
    }

    /// Writes a group of commits and makes them visible; one result for each, in order.
    pub(crate) fn run_group(&mut self, core: &Core, commits: Vec<Commit<'_>>) -> Vec<Result<u64>> {
        self.guarded(|side| {
            if let Err(error) = side.before_group(core) {
                return vec![Err(error); commits.len()];
            }
            let full = core.config.durability == Durability::Full;
            let results = side.write_commits(commits, full);
            if full {
                core.publish_durable(side.log.durable_len());
            }
            if side.checkpoint_is_due() && side.log.check_writable().is_ok() {
                side.write_due_checkpoint();
            }
            core.keeper.note(side);
            results
        })
    }

    /// Frames commits and the seals that are due, writes them, syncs them if `sync`, applies them
    /// to the index and publishes what is in the file.
    pub(crate) fn write_commits(
        &mut self,
        mut commits: Vec<Commit<'_>>,
        sync: bool,
    ) -> Vec<Result<u64>> {
        let count = commits.len();
        let mark = self.log.mark();
        let start = mark.end;
        let due = if self.index.is_due() { self.index.take_due() } else { Vec::new() };
        let seals = self.build_seals(due);
        let seals = self.frame_seals(seals);
        let seals_end = self.log.end();
        let mut placed: Vec<Result<Placed>> = Vec::with_capacity(count);
        let mut ends: Vec<Position> = seals.iter().map(|seal| seal.end).collect();
        let mut rows = NextRows::of(&commits);
        for commit in &mut commits {
            let framed = self.frame_commit(commit, &mut rows);
            if let Ok(framed) = &framed {
                ends.push(framed.end);
            }
            placed.push(framed);
        }
        if self.log.end() == start {
            return placed.into_iter().map(|placed| placed.map(|placed| placed.first)).collect();
        }
        let large = commits.iter().any(|commit| {
            commit.ops.iter().any(|op| matches!(op, Op::Put { value, .. } if value.is_large()))
        });
        let mut kept_to = u64::MAX;
        let mut failure = None;
        if (large || !self.log.may_stay_buffered())
            && let Err(failed) = self.log.write_group(mark, &ends)
        {
            kept_to = failed.kept_to;
            failure = Some(failed.error);
        }
        let something_is_new = self.log.end().offset > start.offset;
        if sync
            && something_is_new
            && !planted(Canary::AckBeforeSync)
            && let Err(error) = self.log.sync_written()
        {
            self.index.return_due(seals.into_iter().map(|seal| seal.seal.id));
            let failed = |placed: Result<Placed>| placed.and_then(|_| Err(error.clone()));
            return placed.into_iter().map(failed).collect();
        }
        for seal in seals {
            if seal.end.offset <= kept_to {
                self.index.sealed(&seal.seal, seal.offset, seal.val_len);
            } else {
                self.index.return_due(std::iter::once(seal.seal.id));
            }
        }
        let mut results = Vec::with_capacity(count);
        let mut visible = seals_end.offset.min(kept_to).max(start.offset);
        for (commit, placed) in commits.into_iter().zip(placed) {
            results.push(match (placed, &failure) {
                (Ok(placed), Some(error)) if placed.end.offset > kept_to => Err(error.clone()),
                (Ok(placed), _) => {
                    visible = visible.max(placed.end.offset);
                    self.apply(commit, &placed).map(|()| placed.first)
                }
                (Err(error), _) => Err(error),
            });
        }
        self.index.publish(visible);
        self.write_out_full_buffer();
        results
    }

    /// Writes a buffer out that is as large as it may be. What cannot be written stays in it, and
    /// the next append is refused with the reason.
    #[inline]
    fn write_out_full_buffer(&mut self) {
        if self.log.is_full() {
            let _ = self.log.flush_pages();
        }
    }

    /// The same for one number in the modes that do not sync: what stores do all day, with nothing
    /// to allocate.
    #[inline]
    fn put_number(
        &mut self,
        core: &Core,
        key: &str,
        timestamp: i64,
        kind: AtomKind,
        bits: u64,
    ) -> Result<u64> {
        if self.index.is_due() || self.checkpoint_is_due() {
            let value = PutValue::Number(kind, bits);
            let op = Op::Put { key: Cow::Borrowed(key), timestamp, value };
            let mut results = self.run_group(core, vec![Commit::new(vec![op])]);
            return results.pop().unwrap_or(Err(SynaError::Closed));
        }
        self.guarded(|side| {
            side.before_group(core)?;
            let id = side.index.id_of(key)?;
            let mark = side.log.mark();
            let frame = Frame { kind: Kind::Put, timestamp, flags: 0, key: key.as_bytes() };
            let offset = side.log.frame_number(frame, value::encode_number(kind, bits), None);
            let end = side.log.end();
            if !side.log.may_stay_buffered()
                && let Err(failed) = side.log.write_group(mark, &[end])
            {
                return Err(failed.error);
            }
            side.index.put(id, end.offset, timestamp, StoredAtom::Number(kind, bits));
            // The caller gives the writer's lock up before anything else is changed.
            side.index.publish_and_unlock(end.offset);
            side.write_out_full_buffer();
            core.keeper.note(side);
            Ok(offset)
        })
    }

    /// The same for several numbers that take effect together.
    pub(crate) fn put_numbers(
        &mut self,
        core: &Core,
        puts: &[NumberPut<'_>],
        index: &Arc<Index>,
    ) -> Result<u64> {
        if puts.len() < 2 || self.index.is_due() || self.checkpoint_is_due() {
            let mut results = self.run_group(core, vec![commit_of_numbers(puts, index)]);
            return results.pop().unwrap_or(Err(SynaError::Closed));
        }
        self.guarded(|side| {
            side.before_group(core)?;
            // A rewrite may have put another index in the place of the one they were looked up in.
            let known = Arc::ptr_eq(index, side.index.index());
            // Ids are taken before anything is framed: running out of them is no half commit.
            let ids: Vec<KeyId> = puts
                .iter()
                .map(|put| match put.id.filter(|_| known) {
                    Some(id) => Ok(id),
                    None => side.index.id_of(put.key),
                })
                .collect::<Result<_>>()?;
            let mark = side.log.mark();
            let mut batch = side.log.begin_batch();
            for put in puts {
                let (timestamp, key) = (put.timestamp, put.key.as_bytes());
                let frame = Frame { kind: Kind::Put, timestamp, flags: 0, key };
                let value = value::encode_number(put.kind, put.bits);
                side.log.frame_number(frame, value, Some(&mut batch));
            }
            side.log.end_batch(batch, now());
            let end = side.log.end();
            if !side.log.may_stay_buffered()
                && let Err(failed) = side.log.write_group(mark, &[end])
            {
                return Err(failed.error);
            }
            for (put, id) in puts.iter().zip(ids) {
                let atom = StoredAtom::Number(put.kind, put.bits);
                side.index.put(id, end.offset, put.timestamp, atom);
            }
            // The caller gives the writer's lock up before anything else is changed.
            side.index.publish_and_unlock(end.offset);
            side.write_out_full_buffer();
            core.keeper.note(side);
            Ok(mark.end.offset)
        })
    }

    /// What can refuse a group before anything of it is framed.
    #[inline]
    fn before_group(&mut self, core: &Core) -> Result<()> {
        self.log.check_writable()?;
        if core.detached.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(core.detached());
        }
        if self.log.is_full() { self.log.flush_pages() } else { Ok(()) }
    }

    /// Builds the chunks that seal the tails of `due`. A tail that cannot be sealed stays: its
    /// points are in memory and in the log as puts, nothing is lost.
    fn build_seals(&mut self, due: Vec<KeyId>) -> Vec<Seal> {
        let mut built: Vec<_> = due.into_iter().map(|id| (id, Ok(None))).collect();
        let (index, log, policy) = (self.index.index(), self.log.log(), self.policy);
        // Tails that were filled together are due together, and encoding them takes long.
        let bytes = built.len() as u64 * SEAL_BYTES_EXPECTED;
        let done = materialize::each(built.iter_mut().collect(), bytes, |(id, seal)| {
            *seal = index.seal(log, *id, policy);
            Ok(())
        });
        debug_assert!(done.is_ok(), "no seal ends the others");
        let mut seals = Vec::with_capacity(built.len());
        for (id, seal) in built {
            match seal {
                Ok(seal) => seals.extend(seal),
                Err(_) => self.index.return_due(std::iter::once(id)),
            }
        }
        seals
    }

    /// Frames seals; one that cannot be is due again.
    fn frame_seals(&mut self, seals: Vec<Seal>) -> Vec<PlacedSeal> {
        let mut placed = Vec::with_capacity(seals.len());
        for mut seal in seals {
            match self.log.frame_chunk(&seal.key, seal.first_row, &mut seal.chunk, false, None) {
                Ok((offset, val_len)) => {
                    placed.push(PlacedSeal { seal, offset, val_len, end: self.log.end() });
                }
                Err(_) => self.index.return_due(std::iter::once(seal.id)),
            }
        }
        placed
    }

    /// Frames one commit, or nothing of it.
    fn frame_commit(&mut self, commit: &mut Commit<'_>, rows: &mut NextRows) -> Result<Placed> {
        // Ids are taken before anything is framed: running out of them is no half commit.
        let known = std::ptr::eq(commit.index.as_ptr(), Arc::as_ptr(self.index.index()));
        let mut ids = Vec::with_capacity(commit.ops.len());
        for (number, op) in commit.ops.iter().enumerate() {
            let known = if known { commit.ids.get(number).copied().flatten() } else { None };
            ids.push(match known {
                Some(id) => id,
                None => self.index.id_of(op.key())?,
            });
        }
        let mark = self.log.mark();
        let before = rows.is_needed.then(|| rows.clone());
        let mut batch = (commit.ops.len() > 1).then(|| self.log.begin_batch());
        let mut entries = Vec::with_capacity(commit.ops.len());
        for (op, id) in commit.ops.iter_mut().zip(ids) {
            match op {
                Op::Put { key, timestamp, value } => {
                    let frame = Frame {
                        kind: Kind::Put,
                        timestamp: *timestamp,
                        flags: 0,
                        key: key.as_bytes(),
                    };
                    let offset = match value {
                        PutValue::Number(kind, bits) => {
                            let value = value::encode_number(*kind, *bits);
                            self.log.frame_number(frame, value, batch.as_mut())
                        }
                        PutValue::Encoded(encoded) => {
                            self.log.frame(frame, encoded, batch.as_mut())
                        }
                        PutValue::Compressed { stored, .. } => {
                            let frame = Frame { flags: flags::IS_COMPRESSED, ..frame };
                            self.log.frame(frame, stored, batch.as_mut())
                        }
                    };
                    let len = u32::try_from(value.stored_len()).unwrap_or(u32::MAX);
                    entries.push((id, offset, len));
                    rows.advance(&self.index, id, 1);
                }
                Op::Tombstone { key } => {
                    let frame = Frame {
                        kind: Kind::Tombstone,
                        timestamp: now(),
                        flags: flags::IS_TOMBSTONE,
                        key: key.as_bytes(),
                    };
                    entries.push((id, self.log.frame(frame, &[], batch.as_mut()), 0));
                }
                Op::Chunk { key, chunk, points } => {
                    let first = rows.advance(&self.index, id, chunk.rows().into());
                    let in_memory = matches!(**points, ChunkPoints::Tail(_));
                    let framed = self.log.frame_chunk(key, first, chunk, in_memory, batch.as_mut());
                    match framed {
                        Ok((offset, val_len)) => entries.push((id, offset, val_len)),
                        Err(error) => {
                            self.log.rewind(mark);
                            *rows = before.unwrap_or_else(|| rows.clone());
                            return Err(error);
                        }
                    }
                }
            }
        }
        if let Some(batch) = batch {
            self.log.end_batch(batch, now());
        }
        Ok(Placed { end: self.log.end(), first: mark.end.offset, entries })
    }

    fn apply(&mut self, commit: Commit<'_>, placed: &Placed) -> Result<()> {
        let end = placed.end.offset;
        for (op, &(id, offset, val_len)) in commit.ops.into_iter().zip(&placed.entries) {
            match op {
                Op::Put { timestamp, value, .. } => match value {
                    PutValue::Number(kind, bits) => {
                        self.index.put(id, end, timestamp, StoredAtom::Number(kind, bits));
                    }
                    large if large.is_large() => {
                        self.index.large_put(id, end, timestamp, offset, val_len);
                    }
                    PutValue::Encoded(plain) | PutValue::Compressed { plain, .. } => {
                        let atom = value::decode(&plain)
                            .map_err(|what| self.log.log().corrupt(offset, what))?;
                        self.index.put(id, end, timestamp, atom);
                    }
                },
                Op::Tombstone { .. } => self.index.tombstone(id, end),
                Op::Chunk { chunk, points, .. } => match *points {
                    ChunkPoints::Tail(points) => {
                        let first = chunk.header().first_row;
                        self.index.add_points(id, end, first, &points);
                    }
                    ChunkPoints::Log(latest) => {
                        let segment = segment_of(chunk.header(), offset, val_len);
                        self.index.add_chunk(id, end, segment, latest);
                    }
                },
            }
        }
        Ok(())
    }

    /// Seals every tail that has at least so many points.
    pub(crate) fn seal_all(&mut self, rows_min: usize) -> Result<()> {
        // Some at a time, so that what is framed stays small.
        for ids in self.index.index().sealable(rows_min).chunks(256) {
            let seals = self.build_seals(ids.to_vec());
            self.write_seals(seals)?;
        }
        Ok(())
    }

    /// Writes seals that replace what is in the index now, and applies those that are in the file.
    pub(crate) fn write_seals(&mut self, seals: Vec<Seal>) -> Result<()> {
        let mark = self.log.mark();
        let seals = self.frame_seals(seals);
        if seals.is_empty() {
            return Ok(());
        }
        let ends: Vec<Position> = seals.iter().map(|seal| seal.end).collect();
        let written = self.log.write_group(mark, &ends);
        let kept_to = written.as_ref().map_or_else(|failed| failed.kept_to, |()| u64::MAX);
        for seal in seals {
            if seal.end.offset <= kept_to {
                self.index.sealed(&seal.seal, seal.offset, seal.val_len);
            } else {
                self.index.return_due(std::iter::once(seal.seal.id));
            }
        }
        self.index.publish(self.log.end().offset);
        written.map_err(|failed| failed.error)
    }

    /// The log grows by so much between two checkpoints at least.
    const CHECKPOINT_STEP_MIN: u64 = 64 << 20;

    #[inline]
    fn checkpoint_is_due(&self) -> bool {
        let step = Self::CHECKPOINT_STEP_MIN.max(self.checkpoint_len.saturating_mul(4));
        self.log.end().offset.saturating_sub(self.checkpoint) > step
    }

    /// Writes a checkpoint because the log has grown enough. What was committed before is done;
    /// that the next opening reads more of the log is no reason to call it failed. It is tried
    /// again when the log has grown as much once more, not by every group on a full disk.
    pub(crate) fn write_due_checkpoint(&mut self) {
        if self.write_checkpoint().is_err() {
            (self.checkpoint, self.checkpoint_len) = (self.log.end().offset, 0);
        }
    }

    pub(crate) fn checkpoint_end(&self) -> u64 {
        self.checkpoint + self.checkpoint_len
    }

    /// Writes an image of the index into the log.
    pub(crate) fn write_checkpoint(&mut self) -> Result<()> {
        self.log.flush()?;
        self.seal_all(CHUNK_ROWS_KEPT)?;
        let mark = self.log.mark();
        let start = mark.end;
        // The one before it is of no use any more.
        let replaced = self.index.replaced_bytes();
        self.index.set_replaced_bytes(replaced.saturating_add(self.checkpoint_len));
        self.checkpoint_len = 0;
        // Not again at once if it cannot be written.
        let Some(pieces) = self.index.image(start, self.log.log().limits().value_size_max) else {
            (self.checkpoint, self.checkpoint_len) = (start.offset, 0);
            return Ok(());
        };
        let timestamp = now();
        let mut batch = (pieces.len() > 1).then(|| self.log.begin_batch());
        for piece in &pieces {
            let frame = Frame { kind: Kind::Checkpoint, timestamp, flags: 0, key: &[] };
            self.log.frame(frame, piece, batch.as_mut());
        }
        drop(pieces);
        if let Some(batch) = batch {
            self.log.end_batch(batch, timestamp);
        }
        let end = self.log.end();
        self.log.write_group(mark, &[end]).map_err(|failed| failed.error)?;
        self.index.publish(end.offset);
        (self.checkpoint, self.checkpoint_len) = (start.offset, end.offset - start.offset);
        self.log.set_checkpoint(start.offset, end.offset);
        Ok(())
    }
}

/// The general form of a batch of numbers.
fn commit_of_numbers<'a>(puts: &[NumberPut<'a>], index: &Arc<Index>) -> Commit<'a> {
    let op = |put: &NumberPut<'a>| Op::Put {
        key: Cow::Borrowed(put.key),
        timestamp: put.timestamp,
        value: PutValue::Number(put.kind, put.bits),
    };
    let ids = puts.iter().map(|put| put.id).collect();
    Commit { ops: puts.iter().map(op).collect(), ids, index: Arc::downgrade(index) }
}

impl Op<'_> {
    pub(crate) fn key(&self) -> &str {
        match self {
            Op::Put { key, .. } | Op::Tombstone { key } | Op::Chunk { key, .. } => key,
        }
    }
}

/// Row numbers while a group is framed: its own commits are not in the index yet. Kept only for
/// groups with a chunk, since puts do not carry their row.
#[derive(Clone)]
struct NextRows {
    is_needed: bool,
    rows: HashMap<KeyId, u64, foldhash::fast::RandomState>,
}

impl NextRows {
    fn of(commits: &[Commit<'_>]) -> NextRows {
        let is_chunk = |op: &Op<'_>| matches!(op, Op::Chunk { .. });
        let is_needed = commits.iter().any(|commit| commit.ops.iter().any(is_chunk));
        NextRows { is_needed, rows: HashMap::default() }
    }

    /// The next row of a key, which moves on by `count`.
    #[inline]
    fn advance(&mut self, index: &IndexWriter, id: KeyId, count: u64) -> u64 {
        if !self.is_needed {
            return 0;
        }
        let index = index.index();
        let next = self
            .rows
            .entry(id)
            .or_insert_with(|| index.slot(id).map_or(0, |slot| slot.versions.newest().rows));
        let first = *next;
        *next += count;
        first
    }
}
