//! Which rows of which keys go into the next batch.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::index::{KeyId, Part};
use crate::materialize::cache::Column;
use crate::materialize::schema::ValueType;
use crate::materialize::{KeyReader, OnMismatch, Order, Piece, Source, pieces, push_rows};

use super::{Scan, ScanColumn};

/// About what is held of a key whose rows go into a batch: its name, where they lie, its tail.
const KEY_BYTES: u64 = 512;

/// How far a scan has come.
pub(super) struct Cursor {
    /// The place of the next key.
    next: usize,
    /// Rows of the key before it that found no room yet.
    rest: Option<KeyRows>,
}

/// What a batch has room for.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Rows of one key.
#[derive(Clone)]
pub(super) struct KeyRows {
    /// The key's place in the dictionary.
    place: usize,
    pub(super) id: KeyId,
    pub(super) rows: Vec<Range<u64>>,
    /// They have to be moved to be in the order of time.
    sorts: bool,
    lies: Option<Arc<Lies>>,
}

/// Where the rows of a key lie: found when somebody asks.
pub(super) struct Lies {
    pub(super) reader: KeyReader,
    pub(super) parts: Vec<Part>,
}

impl Cursor {
    pub(super) fn new() -> Cursor {
        Cursor { next: 0, rest: None }
    }
}

impl Room {
    pub(super) const ENDLESS: Room = Room { rows: u64::MAX, bytes: u64::MAX };

    fn holds(self, rows: u64, bytes: u64) -> bool {
        rows <= self.rows && bytes <= self.bytes
    }

    fn take(&mut self, rows: u64, bytes: u64) {
        self.rows = self.rows.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl KeyRows {
    pub(super) fn len(&self) -> u64 {
        self.rows.iter().map(|rows| rows.end - rows.start).sum()
    }

    pub(super) fn place(&self) -> usize {
        self.place
    }

    pub(super) fn sorts(&self) -> bool {
        self.sorts
    }

    pub(super) fn lies(&mut self, scan: &Scan) -> Result<Arc<Lies>> {
        if let Some(lies) = &self.lies {
            return Ok(Arc::clone(lies));
        }
        let reader = scan.reader(self.place, self.id);
        let parts = match scan.slot(self.place) {
            Some((_, slot)) => scan.pinned.parts(&reader, slot, scan.asked.times)?,
            None => Vec::new(),
        };
        Ok(Arc::clone(self.lies.insert(Arc::new(Lies { reader, parts }))))
    }

    /// Splits off the first rows, as many as there is room for, in whole blocks where that is
    /// possible; at least one row.
    fn split_off_first(&mut self, scan: &Scan, values: ValueType, room: Room) -> Result<KeyRows> {
        let lies = self.lies(scan)?;
        let mut taken = Vec::new();
        let mut left = room;
        let mut end = None;
        'pieces: for piece in pieces(&lies.parts, &self.rows) {
            for step in piece.steps() {
                // A block may have more rows than were asked for.
                for step in cut(&step, room.rows) {
                    let rows = step.end - step.start;
                    let bytes = scan.bytes_of(&lies.reader, &piece, values, &step);
                    if !left.holds(rows, bytes) && !taken.is_empty() {
                        break 'pieces;
                    }
                    left.take(rows, bytes);
                    end = Some(step.end);
                    push_rows(&mut taken, step)?;
                }
            }
        }
        let mut rest = Vec::new();
        for rows in &self.rows {
            push_rows(&mut rest, rows.start.max(end.unwrap_or(u64::MAX)).min(rows.end)..rows.end)?;
        }
        self.rows = rest;
        Ok(KeyRows { rows: taken, lies: Some(lies), ..self.clone() })
    }
}

/// Rows in stretches of at most `len`.
fn cut(rows: &Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> {
    let (len, end) = (len.max(1), rows.end);
    let mut next = rows.start;
    std::iter::from_fn(move || {
        let start = next;
        next = start.saturating_add(len).min(end);
        (start < end).then_some(start..next)
    })
}

impl Lies {
    pub(super) fn pieces(&self, rows: &[Range<u64>]) -> Vec<Piece<'_>> {
        pieces(&self.parts, rows)
    }

    pub(super) fn source<'a>(&'a self, pieces: &'a [Piece<'a>]) -> Source<'a> {
        Source { reader: &self.reader, pieces }
    }
}

impl Scan {
    /// The rows of the next key that has some.
    pub(super) fn next_key(
        &self,
        cursor: &mut Cursor,
        values: ValueType,
    ) -> Result<Option<KeyRows>> {
        while cursor.next < self.keys.ids.len() {
            let place = cursor.next;
            cursor.next += 1;
            let Some((id, slot)) = self.slot(place) else { continue };
            let version = slot.version_at(self.pinned.commit_end());
            let live = version.live_from..version.rows;
            let mut key = KeyRows { place, id, rows: vec![live.clone()], sorts: false, lies: None };
            if let Some(times) = self.asked.times {
                let lies = key.lies(self)?;
                key.rows = lies.reader.rows_in_time(&lies.parts, &key.rows, times)?;
            }
            if self.asked.on_mismatch == OnMismatch::Skip && !key.rows.is_empty() {
                let lies = key.lies(self)?;
                key.rows = lies.reader.rows_that_fit(&lies.parts, &key.rows, values)?;
            }
            if key.len() == 0 {
                continue;
            }
            if self.asked.order == Order::Time {
                let lies = key.lies(self)?;
                key.sorts = !lies.reader.is_sorted(&lies.pieces(&key.rows))?;
            }
            return Ok(Some(key));
        }
        Ok(None)
    }

    /// The rows of the next batch; none behind the last one. A key that has to be sorted is never
    /// split, so a batch may have more rows than there is room for.
    pub(super) fn next_batch(
        &self,
        cursor: &mut Cursor,
        values: ValueType,
        room: Room,
    ) -> Result<Vec<KeyRows>> {
        let mut batch: Vec<KeyRows> = Vec::new();
        let mut left = room;
        loop {
            let next = match cursor.rest.take() {
                Some(rest) => Some(rest),
                None => self.next_key(cursor, values)?,
            };
            let Some(mut key) = next else { return Ok(batch) };
            let (rows, bytes) = (key.len(), self.bytes_of_key(&mut key, values)?);
            if left.holds(rows, bytes) {
                left.take(rows, bytes);
                batch.push(key);
                continue;
            }
            if !batch.is_empty() {
                cursor.rest = Some(key);
                return Ok(batch);
            }
            if key.sorts {
                return Ok(vec![key]);
            }
            batch.push(key.split_off_first(self, values, room)?);
            cursor.rest = Some(key).filter(|key| key.len() > 0);
            return Ok(batch);
        }
    }

    /// Bytes of one row without its value.
    fn fixed_bytes(&self) -> u64 {
        let of_key = if self.wants(ScanColumn::Key) { 4 } else { 0 };
        of_key + if self.wants(ScanColumn::Timestamp) { 8 } else { 0 }
    }

    fn bytes_of(
        &self,
        reader: &KeyReader,
        piece: &Piece<'_>,
        values: ValueType,
        rows: &Range<u64>,
    ) -> u64 {
        let mut bytes = (rows.end - rows.start).saturating_mul(self.fixed_bytes());
        if self.wants(ScanColumn::Value) {
            let of_values = reader.bytes_of_rows(piece.part, Column::Values(values), rows);
            bytes = bytes.saturating_add(of_values);
        }
        bytes
    }

    /// Bytes of the rows of a key, and of what is known of it while its batch is made: with keys
    /// of one row each that is the larger part.
    fn bytes_of_key(&self, key: &mut KeyRows, values: ValueType) -> Result<u64> {
        Ok(self.bytes_of_rows(key, values)?.saturating_add(KEY_BYTES))
    }

    fn bytes_of_rows(&self, key: &mut KeyRows, values: ValueType) -> Result<u64> {
        if !self.wants(ScanColumn::Value) {
            return Ok(key.len().saturating_mul(self.fixed_bytes()));
        }
        if matches!(values, ValueType::Float | ValueType::Int) {
            return Ok(key.len().saturating_mul(self.fixed_bytes() + 8));
        }
        let lies = key.lies(self)?;
        let of_pieces = lies.pieces(&key.rows);
        let bytes =
            of_pieces.iter().map(|piece| self.bytes_of(&lies.reader, piece, values, &piece.rows));
        Ok(bytes.fold(0, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_stretches() {
        assert_eq!(cut(&(3..10), 3).collect::<Vec<_>>(), [3..6, 6..9, 9..10]);
        assert!(cut(&(3..10), u64::MAX).eq([3..10, 0..0].into_iter().take(1)));
        assert_eq!(cut(&(3..3), 2).count(), 0);
        assert_eq!(cut(&(3..5), 0).count(), 2);
    }
}
