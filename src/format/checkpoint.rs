//! The pieces of a checkpoint: an image of the index.
//!
//! A checkpoint only saves time. Whoever loads one checks it as it goes, and with any doubt scans
//! the log from its start, which leads to the same state.

use crate::atom::AtomKind;
use crate::column::Points;

use super::bytes::Fields;

/// Version of the layout below; a reader passes over checkpoints of another one.
const LAYOUT: u32 = 1;

/// Bytes at the beginning of every piece.
pub(crate) const PIECE_HEADER_LEN: usize = 40;

/// What stands at the beginning of every piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceHeader {
    /// Number of this piece, from 0, and how many there are.
    pub(crate) piece: u32,
    pub(crate) pieces: u32,
    /// Keys in this piece.
    pub(crate) keys: u32,
    /// `head_crc` of the entry before the first piece, so that the chain can be taken up there.
    pub(crate) previous_head_crc: u32,
    /// Offset of the first piece: the image holds everything before it.
    pub(crate) covers: u64,
    /// Bytes before it that no reader needs any more, for `stats`.
    pub(crate) replaced_bytes: u64,
}

impl PieceHeader {
    pub(crate) fn encode(&self) -> [u8; PIECE_HEADER_LEN] {
        let mut bytes = [0; PIECE_HEADER_LEN];
        let mut at = 0;
        for field in [LAYOUT, self.piece, self.pieces, self.keys, self.previous_head_crc] {
            super::bytes::put_at(&mut bytes, at, &field.to_le_bytes());
            at += 4;
        }
        super::bytes::put_at(&mut bytes, 24, &self.covers.to_le_bytes());
        super::bytes::put_at(&mut bytes, 32, &self.replaced_bytes.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(piece: &[u8]) -> Option<PieceHeader> {
        let mut fields = Fields::new(piece.get(..PIECE_HEADER_LEN)?);
        if fields.u32()? != LAYOUT {
            return None;
        }
        let (piece, pieces, keys, previous_head_crc) =
            (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        fields.u32()?;
        let (covers, replaced_bytes) = (fields.u64()?, fields.u64()?);
        Some(PieceHeader { piece, pieces, keys, previous_head_crc, covers, replaced_bytes })
    }
}

/// Where rows before the tail lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    /// A put of a large value; else a chunk.
    pub(crate) is_put: bool,
    pub(crate) val_len: u32,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    pub(crate) offset: u64,
    pub(crate) timestamp_min: i64,
    pub(crate) timestamp_max: i64,
}

/// The latest value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LatestRecord {
    Absent,
    Number { kind: AtomKind, timestamp: i64, bits: u64 },
    InHistory,
}

/// One key of the image.
#[derive(Debug)]
pub(crate) struct KeyRecord<'a> {
    pub(crate) key: &'a str,
    pub(crate) live_from: u64,
    pub(crate) rows: u64,
    pub(crate) latest: LatestRecord,
    pub(crate) segments: Vec<SegmentRecord>,
    pub(crate) tail: Points,
}

const SEGMENT_LEN: usize = 48;
const LATEST_ABSENT: u8 = 255;
const LATEST_IN_HISTORY: u8 = 254;
/// Stands for the kind of a tail whose rows have several.
const KINDS_PER_ROW: u8 = 255;

impl KeyRecord<'_> {
    /// Appends the record to a piece.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let key_len = u16::try_from(self.key.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&key_len.to_le_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(&self.live_from.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        let (code, timestamp, bits) = match self.latest {
            LatestRecord::Absent => (LATEST_ABSENT, 0, 0),
            LatestRecord::InHistory => (LATEST_IN_HISTORY, 0, 0),
            LatestRecord::Number { kind, timestamp, bits } => (kind as u8, timestamp, bits),
        };
        out.push(code);
        out.extend_from_slice(&timestamp.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&count(self.segments.len()));
        for segment in &self.segments {
            out.extend_from_slice(&u32::from(segment.is_put).to_le_bytes());
            out.extend_from_slice(&segment.val_len.to_le_bytes());
            out.extend_from_slice(&segment.first_row.to_le_bytes());
            out.extend_from_slice(&segment.rows.to_le_bytes());
            out.extend_from_slice(&segment.offset.to_le_bytes());
            out.extend_from_slice(&segment.timestamp_min.to_le_bytes());
            out.extend_from_slice(&segment.timestamp_max.to_le_bytes());
        }
        encode_points(&self.tail, out);
    }
}

impl<'a> KeyRecord<'a> {
    /// Reads the next record of a piece; `None` if the bytes are not one.
    pub(crate) fn parse(fields: &mut Fields<'a>) -> Option<KeyRecord<'a>> {
        let key_len = fields.u16()?;
        let key = std::str::from_utf8(fields.take(key_len.into())?).ok()?;
        let (live_from, rows) = (fields.u64()?, fields.u64()?);
        let code = fields.u8()?;
        let (timestamp, bits) = (fields.i64()?, fields.u64()?);
        let latest = match code {
            LATEST_ABSENT => LatestRecord::Absent,
            LATEST_IN_HISTORY => LatestRecord::InHistory,
            code => match AtomKind::from_u8(code)? {
                AtomKind::Text | AtomKind::Bytes => return None,
                kind => LatestRecord::Number { kind, timestamp, bits },
            },
        };
        let count = fields.u32()? as usize;
        if count > fields.remaining() / SEGMENT_LEN {
            return None;
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(SegmentRecord {
                is_put: fields.u32()? != 0,
                val_len: fields.u32()?,
                first_row: fields.u64()?,
                rows: fields.u64()?,
                offset: fields.u64()?,
                timestamp_min: fields.i64()?,
                timestamp_max: fields.i64()?,
            });
        }
        let tail = parse_points(fields)?;
        Some(KeyRecord { key, live_from, rows, latest, segments, tail })
    }
}

fn encode_points(points: &Points, out: &mut Vec<u8>) {
    let len = points.len();
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    if len == 0 {
        return;
    }
    match points.uniform_kind() {
        Some(kind) => out.push(kind as u8),
        None => {
            out.push(KINDS_PER_ROW);
            out.extend((0..len).map(|row| points.kind(row) as u8));
        }
    }
    for timestamp in points.timestamps() {
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
    for row in 0..len {
        match points.kind(row) {
            AtomKind::Text | AtomKind::Bytes => {
                let blob = points.blob(row);
                let blob_len = u32::try_from(blob.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&blob_len.to_le_bytes());
                out.extend_from_slice(blob);
            }
            AtomKind::Null => {}
            AtomKind::Float | AtomKind::Int => {
                out.extend_from_slice(&points.number_bits(row).to_le_bytes());
            }
        }
    }
}

fn parse_points(fields: &mut Fields<'_>) -> Option<Points> {
    let len = fields.u32()? as usize;
    if len == 0 {
        return Some(Points::new());
    }
    let kind = fields.u8()?;
    let kinds = if kind == KINDS_PER_ROW { Some(fields.take(len)?) } else { None };
    let mut timestamps = Fields::new(fields.take(len.checked_mul(8)?)?);
    let mut points = Points::with_capacity(len);
    for row in 0..len {
        let kind = kinds.and_then(|kinds| kinds.get(row).copied()).unwrap_or(kind);
        let timestamp = timestamps.i64()?;
        match AtomKind::from_u8(kind)? {
            AtomKind::Null => points.push_number(timestamp, AtomKind::Null, 0),
            kind @ (AtomKind::Float | AtomKind::Int) => {
                points.push_number(timestamp, kind, fields.u64()?);
            }
            kind @ (AtomKind::Text | AtomKind::Bytes) => {
                let blob_len = fields.u32()? as usize;
                let blob = fields.take(blob_len)?;
                if kind == AtomKind::Text {
                    std::str::from_utf8(blob).ok()?;
                }
                points.push_blob(timestamp, kind, blob.into());
            }
        }
    }
    Some(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atom::Atom;

    fn record(tail: Points) -> KeyRecord<'static> {
        KeyRecord {
            key: "a/b",
            live_from: 1,
            rows: 4,
            latest: LatestRecord::Number { kind: AtomKind::Int, timestamp: -5, bits: 6 },
            segments: vec![SegmentRecord {
                is_put: true,
                val_len: 7,
                first_row: 8,
                rows: 9,
                offset: 10,
                timestamp_min: 11,
                timestamp_max: 12,
            }],
            tail,
        }
    }

    #[test]
    fn golden_bytes() {
        let header = PieceHeader {
            piece: 2,
            pieces: 3,
            keys: 4,
            previous_head_crc: 5,
            covers: 6,
            replaced_bytes: 7,
        };
        let mut expected = Vec::new();
        for field in [1u32, 2, 3, 4, 5, 0] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        for field in [6u64, 7] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        assert_eq!(header.encode()[..], expected);
        assert_eq!(PieceHeader::parse(&expected), Some(header));

        let mut tail = Points::new();
        tail.push(20, &Atom::Float(1.5));
        tail.push(21, &Atom::Null);
        tail.push(22, &Atom::Text("xy".into()));
        let mut bytes = Vec::new();
        record(tail).encode(&mut bytes);
        let mut expected = vec![3, 0, b'a', b'/', b'b'];
        for field in [1u64, 4] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        expected.push(2);
        expected.extend_from_slice(&(-5i64).to_le_bytes());
        expected.extend_from_slice(&6u64.to_le_bytes());
        expected.extend_from_slice(&1u32.to_le_bytes());
        expected.extend_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        for field in [8u64, 9, 10, 11, 12] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        expected.extend_from_slice(&[3, 0, 0, 0, 255, 1, 0, 3]);
        for field in [20u64, 21, 22, 1.5f64.to_bits()] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        expected.extend_from_slice(&[2, 0, 0, 0, b'x', b'y']);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn records_read_back_and_cut_ones_do_not() {
        let mut tail = Points::new();
        for row in 0..5u8 {
            tail.push(row.into(), &Atom::Bytes(vec![1; row.into()]));
        }
        let mut bytes = Vec::new();
        record(tail).encode(&mut bytes);
        let mut fields = Fields::new(&bytes);
        let read = KeyRecord::parse(&mut fields).unwrap();
        assert!(fields.is_empty());
        assert_eq!((read.key, read.live_from, read.rows), ("a/b", 1, 4));
        assert_eq!(read.segments, record(Points::new()).segments);
        assert_eq!(read.tail.atom(4), Atom::Bytes(vec![1; 4]));
        for len in 0..bytes.len() {
            assert!(KeyRecord::parse(&mut Fields::new(&bytes[..len])).is_none(), "{len}");
        }
    }
}
