//! The index as the pieces of a checkpoint, and back.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::format::LOG_START;
use crate::format::bytes::Fields;
use crate::format::checkpoint::{
    KeyRecord, LatestRecord, PIECE_HEADER_LEN, PieceHeader, SegmentRecord,
};
use crate::format::entry::{Position, entry_len};

use super::history::{KeySlot, ROWS_MAX, Segment, SegmentBody};
use super::tail::Tail;
use super::version::Latest;
use super::writer::IndexWriter;

/// Most bytes of a piece, unless a single key needs more.
const PIECE_SIZE_MAX: usize = 16 << 20;

impl IndexWriter {
    /// The image of the index up to `at`, where the first piece will stand, in pieces.
    ///
    /// `None` if the image cannot be stored: a key with so many segments that its record exceeds
    /// what a value may have.
    pub(crate) fn image(&self, at: Position, value_size_max: u64) -> Option<Vec<Vec<u8>>> {
        let mut pieces: Vec<(Vec<u8>, u32)> = Vec::new();
        let mut record = Vec::new();
        for slot in self.index().slots() {
            record.clear();
            if !record_of(slot, &mut record) {
                return None;
            }
            let fits = pieces
                .last()
                .is_some_and(|(piece, _)| piece.len() + record.len() <= PIECE_SIZE_MAX);
            if !fits {
                pieces.push((vec![0; PIECE_HEADER_LEN], 0));
            }
            let (piece, keys) = pieces.last_mut()?;
            piece.extend_from_slice(&record);
            *keys += 1;
        }
        if pieces.is_empty() {
            pieces.push((vec![0; PIECE_HEADER_LEN], 0));
        }
        let count = u32::try_from(pieces.len()).ok()?;
        let mut encoded = Vec::with_capacity(pieces.len());
        for (number, (mut piece, keys)) in (0u32..).zip(pieces) {
            let header = PieceHeader {
                piece: number,
                pieces: count,
                keys,
                previous_head_crc: at.head_crc,
                covers: at.offset,
                replaced_bytes: self.replaced_bytes(),
            };
            crate::format::bytes::put_at(&mut piece, 0, &header.encode());
            if piece.len() as u64 > value_size_max {
                return None;
            }
            encoded.push(piece);
        }
        Some(encoded)
    }

    /// Takes over the keys of one piece. `Ok(false)` if the piece is not what it should be; the
    /// index is of no use then.
    pub(crate) fn restore_piece(&mut self, piece: &[u8], header: &PieceHeader) -> Result<bool> {
        let mut fields = Fields::new(piece.get(PIECE_HEADER_LEN..).unwrap_or_default());
        for _ in 0..header.keys {
            let Some(record) = KeyRecord::parse(&mut fields) else { return Ok(false) };
            if record.key.is_empty() || !is_consistent(&record, header.covers) {
                return Ok(false);
            }
            if self.index().find(record.key).is_some() {
                return Ok(false);
            }
            let segments = record.segments.iter().map(|s| Arc::new(segment_of(s))).collect();
            let tail = Tail::of(record.tail);
            let latest = match record.latest {
                LatestRecord::Absent => Latest::Absent,
                LatestRecord::InHistory => Latest::InHistory,
                LatestRecord::Number { kind, timestamp, bits } => {
                    Latest::Number { kind, timestamp, bits }
                }
            };
            let rows = (record.live_from, record.rows);
            self.restore(record.key, header.covers, rows, segments, tail, latest)?;
        }
        // An estimate that may be a little above the truth, never above any file.
        self.set_replaced_bytes(header.replaced_bytes.min(header.covers));
        Ok(fields.is_empty())
    }
}

/// Appends the record of a key; false if it cannot be stored.
fn record_of(slot: &KeySlot, out: &mut Vec<u8>) -> bool {
    let history = slot.history.lock();
    let newest = slot.versions.newest();
    let mut segments = Vec::with_capacity(history.rows.segments.len());
    for segment in history.rows.segments.iter() {
        let (is_put, offset, val_len) = match &segment.body {
            SegmentBody::Chunk { offset, val_len, .. } => (false, *offset, *val_len),
            SegmentBody::Put { offset, val_len } => (true, *offset, *val_len),
            // Rows in memory before others: rare, and gone with the next seal or reopening.
            SegmentBody::Points(_) => return false,
        };
        segments.push(SegmentRecord {
            is_put,
            val_len,
            first_row: segment.first_row,
            rows: segment.rows,
            offset,
            timestamp_min: segment.timestamp_min,
            timestamp_max: segment.timestamp_max,
        });
    }
    // The writer holds everything up to the checkpoint as applied, published or not.
    let latest = match slot.versions.newest_latest() {
        Latest::Absent => LatestRecord::Absent,
        Latest::InHistory => LatestRecord::InHistory,
        Latest::Number { timestamp, kind, bits } => LatestRecord::Number { kind, timestamp, bits },
    };
    let tail = history.rows.tail.slice(0..history.rows.tail_len(newest.rows));
    let record = KeyRecord {
        key: &slot.key,
        live_from: newest.live_from,
        rows: newest.rows,
        latest,
        segments,
        tail,
    };
    record.encode(out);
    true
}

/// Whether segments and tail make up exactly the live rows, and lie before the checkpoint.
fn is_consistent(record: &KeyRecord<'_>, covers: u64) -> bool {
    let mut next = record.live_from;
    for segment in &record.segments {
        // The whole entry lies before the checkpoint: whoever reads it reads no byte beyond the file.
        let entry_len = entry_len(record.key.len(), segment.val_len.into());
        let entry_end = segment.offset.checked_add(entry_len);
        let rows_max = if segment.is_put { 1 } else { u64::from(u32::MAX) };
        if segment.first_row != next
            || !(1..=rows_max).contains(&segment.rows)
            || segment.offset < LOG_START
            || !segment.offset.is_multiple_of(8)
            || entry_end.is_none_or(|end| end > covers)
        {
            return false;
        }
        let Some(end) = segment.first_row.checked_add(segment.rows) else { return false };
        next = end;
    }
    let live = record.rows > record.live_from;
    record.rows <= ROWS_MAX
        && next.checked_add(record.tail.len() as u64) == Some(record.rows)
        && live == (record.latest != LatestRecord::Absent)
}

fn segment_of(record: &SegmentRecord) -> Segment {
    let (offset, val_len) = (record.offset, record.val_len);
    Segment {
        first_row: record.first_row,
        rows: record.rows,
        timestamp_min: record.timestamp_min,
        timestamp_max: record.timestamp_max,
        body: if record.is_put {
            SegmentBody::Put { offset, val_len }
        } else {
            SegmentBody::Chunk { offset, val_len, loaded: OnceLock::new() }
        },
    }
}
