//! Chunk to points: decodes blocks, and checks them on the first read.
//!
//! Every function takes a header that [`ChunkHeader::parse`] accepted and a closure that fetches
//! the stored bytes of a column, from a map or by reading. Nothing is believed about these bytes:
//! whatever they are, the answer is points or an error, and nothing is allocated beyond a small
//! multiple of what was fetched and of what the header says the block decodes to. To *verify* a
//! block is to compare the checksums of its columns and to check that they fit each other and the
//! counts in the header. The caller remembers which blocks were verified; for those
//! `verify = false` leaves that work out.

use std::borrow::Cow;

use crate::atom::{Atom, AtomKind, Point};
use crate::column::builder::zone_map;
use crate::column::encoding::{self, blobs, lz4};
use crate::column::points::{Points, RowKinds, count_kind};
use crate::error::SynaError;
use crate::format::checksum::crc32c;
use crate::format::chunk::{BlockRecord, ChunkError, ChunkHeader, ColumnRecord};
use crate::format::column::{ChunkType, ColumnRole, EncodingId};

/// Why a block could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum BlockError {
    /// The block is not what its chunk says.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The bytes of a column could not be had.
    #[error(transparent)]
    Fetch(#[from] SynaError),
}

impl BlockError {
    /// The error for callers; `offset` is where the chunk's entry stands in the file.
    pub(crate) fn into_error(self, offset: u64, last_good: u64) -> SynaError {
        match self {
            BlockError::Chunk(error) => error.into_error(offset, last_good),
            BlockError::Fetch(error) => error,
        }
    }
}

type Result<T, E = BlockError> = std::result::Result<T, E>;

fn corrupt(what: &'static str) -> BlockError {
    BlockError::Chunk(ChunkError::Corrupt(what))
}

/// `Corrupt(what)` unless `holds`.
fn ensure(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(corrupt(what)) }
}

/// Appends the points of a block to `out`.
///
/// `data` returns the `stored_len` bytes of a column, which lie `offset` bytes behind the chunk's
/// `data_start`.
///
/// # Errors
///
/// `Chunk` if the block is damaged, `Fetch` with what `data` gave. `out` is as before then.
pub(crate) fn decode_block<'a>(
    header: &ChunkHeader,
    block: usize,
    data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
    out: &mut Points,
) -> Result<()> {
    let columns = Columns::fetch(header, block, data, verify)?;
    if verify {
        columns.check()?;
    }
    let rows = out.len();
    let appended = columns.append_to(out);
    if appended.is_err() {
        out.truncate(rows);
    }
    appended
}

/// Appends the timestamps of a block to `out`; of the other columns nothing is fetched. With
/// `verify` the checksum of the timestamps is compared, which does not verify the block.
///
/// # Errors
///
/// As [`decode_block`].
pub(crate) fn decode_block_timestamps<'a>(
    header: &ChunkHeader,
    block: usize,
    data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
    out: &mut Vec<i64>,
) -> Result<()> {
    let record = column(header, block, ColumnRole::Timestamps)?;
    let bytes = fetch(header, block, record, &data, verify)?;
    out.extend(words(&bytes).map(i64::from_le_bytes));
    Ok(())
}

/// Verifies a block and keeps nothing of it.
///
/// # Errors
///
/// As [`decode_block`].
pub(crate) fn verify_block<'a>(
    header: &ChunkHeader,
    block: usize,
    data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
) -> Result<()> {
    Columns::fetch(header, block, data, true)?.check()
}

/// Verifies a block and computes its zone map again: the whole check, for `verify` and rewrites.
/// A reader need not do it, since header and columns have checksums of their own.
///
/// # Errors
///
/// As [`decode_block`].
pub(crate) fn verify_block_and_zone_map<'a>(
    header: &ChunkHeader,
    block: usize,
    data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
) -> Result<()> {
    let columns = Columns::fetch(header, block, data, true)?;
    columns.check()?;
    let mut points = Points::with_capacity(columns.rows());
    columns.append_to(&mut points)?;
    let found = zone_map(&points, 0..points.len());
    let stored = (columns.block.zone, columns.block.sorted);
    ensure(found == stored, "the zone map of a block does not match its points")
}

/// The point in `row` of the chunk, without decoding its block, which was verified before.
///
/// # Errors
///
/// As [`decode_block`]; `Corrupt` also if the chunk has no such row.
pub(crate) fn point_at<'a>(
    header: &ChunkHeader,
    row: u32,
    data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
) -> Result<Point> {
    let absent = || corrupt("a chunk does not have a row that it should have");
    let (block, row) = header.block_of_row(row).ok_or_else(absent)?;
    let row = usize::try_from(row).map_err(|_| absent())?;
    let bytes = |role| fetch(header, block, column(header, block, role)?, &data, false);
    let timestamps = bytes(ColumnRole::Timestamps)?;
    let timestamp = words(&timestamps).nth(row).map(i64::from_le_bytes).ok_or_else(absent)?;

    let (kind, slot) = match header.chunk_type {
        ChunkType::Mixed => {
            let kinds = bytes(ColumnRole::Kinds)?;
            let number = *kinds.get(row).ok_or_else(absent)?;
            let kind = AtomKind::from_u8(number).ok_or_else(|| corrupt("a kind is unknown"))?;
            (kind, count_kind(kinds.get(..row).unwrap_or_default(), kind))
        }
        ChunkType::One(kind) if header.column(block, ColumnRole::Validity).is_some() => {
            let validity = bytes(ColumnRole::Validity)?;
            (if is_valid(&validity, row) { kind } else { AtomKind::Null }, row)
        }
        ChunkType::One(kind) => (kind, row),
    };
    let word = |role| -> Result<u64> {
        let bytes = bytes(role)?;
        words(&bytes).nth(slot).map(u64::from_le_bytes).ok_or_else(absent)
    };
    let value = match kind {
        AtomKind::Null => Atom::Null,
        AtomKind::Float => Atom::Float(f64::from_bits(word(ColumnRole::Floats)?)),
        AtomKind::Int => Atom::Int(word(ColumnRole::Ints)?.cast_signed()),
        AtomKind::Text => {
            let texts = Blobs::fetch(header, block, kind, &data, false)?;
            let text = String::from_utf8(texts.get(slot).ok_or_else(absent)?.to_vec());
            Atom::Text(text.map_err(|_| corrupt("a text is not UTF-8"))?)
        }
        AtomKind::Bytes => {
            let blobs = Blobs::fetch(header, block, kind, &data, false)?;
            Atom::Bytes(blobs.get(slot).ok_or_else(absent)?.to_vec())
        }
    };
    Ok(Point { timestamp, value })
}

fn column(header: &ChunkHeader, block: usize, role: ColumnRole) -> Result<&ColumnRecord> {
    header.column(block, role).ok_or_else(|| corrupt("a block lacks a column"))
}

/// Decodes one column of a block into `out`, which has exactly its `decoded_len` bytes; with
/// `verify` compares the checksum of the stored bytes first.
///
/// Numbers are written without a buffer between, from vectors of 8 KiB. What the bytes mean is not
/// checked: whoever builds texts of them, or believes the counts in the header, checks that himself.
///
/// # Errors
///
/// As [`decode_block`]; what is in `out` then means nothing.
pub(crate) fn decode_column<'a>(
    header: &ChunkHeader,
    block: usize,
    role: ColumnRole,
    data: &impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
    out: &mut [u8],
) -> Result<()> {
    let record = column(header, block, role)?;
    let stored = fetch_stored(record, data, verify)?;
    decode_stored(header, block, record, &stored, data, verify, out)
}

/// The bytes of a column as they are stored.
fn fetch_stored<'a>(
    record: &ColumnRecord,
    data: &impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
) -> Result<Cow<'a, [u8]>> {
    let stored = data(record)?;
    ensure(stored.len() as u64 == record.stored_len, "a column is cut short")?;
    ensure(!verify || crc32c(&stored) == record.crc, "a column fails its checksum")?;
    Ok(stored)
}

fn decode_stored<'a>(
    header: &ChunkHeader,
    block: usize,
    record: &ColumnRecord,
    stored: &[u8],
    data: &impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
    out: &mut [u8],
) -> Result<()> {
    let (role, encoding) = (record.role, record.encoding);
    let fits = out.len() as u64 == record.decoded_len;
    ensure(fits, "a column of another length than its buffer")?;
    let rows = header.blocks.get(block).map_or(0, |block| block.rows as usize);
    let decoded = match (role, encoding) {
        (_, EncodingId::Raw) => encoding::decode(stored, encoding, role, rows, out),
        (ColumnRole::TextOffsets | ColumnRole::BytesOffsets, _) => {
            let start = header.column(block, data_of(role)).map_or(0, |data| data.decoded_start);
            blobs::decode_offsets(stored, encoding, start, out)
        }
        (ColumnRole::TextData | ColumnRole::BytesData, EncodingId::Lz4) => {
            lz4::decompress(stored, out)
        }
        (ColumnRole::TextData | ColumnRole::BytesData, EncodingId::Dictionary) => {
            let offsets = column(header, block, offsets_of(role))?;
            let slots = usize::try_from(offsets.decoded_len / 4).unwrap_or(0).saturating_sub(1);
            let codes = fetch_stored(offsets, data, verify)?;
            blobs::Dictionary::read(&codes, slots)
                .and_then(|dictionary| dictionary.store_data(stored, out))
        }
        _ => encoding::decode(stored, encoding, role, rows, out),
    };
    decoded.map_err(corrupt)
}

/// The column of data that belongs to one of offsets.
fn data_of(offsets: ColumnRole) -> ColumnRole {
    match offsets {
        ColumnRole::TextOffsets => ColumnRole::TextData,
        _ => ColumnRole::BytesData,
    }
}

/// The column of offsets that belongs to one of data.
fn offsets_of(data: ColumnRole) -> ColumnRole {
    match data {
        ColumnRole::TextData => ColumnRole::TextOffsets,
        _ => ColumnRole::BytesOffsets,
    }
}

/// The decoded bytes of a column: `decoded_len` of them.
fn fetch<'a>(
    header: &ChunkHeader,
    block: usize,
    record: &ColumnRecord,
    data: &impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
    verify: bool,
) -> Result<Cow<'a, [u8]>> {
    let stored = fetch_stored(record, data, verify)?;
    if record.encoding == EncodingId::Raw {
        return Ok(stored);
    }
    // The header was accepted, so that this is at most what a block may have.
    let no_room = || SynaError::OutOfMemory { bytes: record.decoded_len };
    let len = usize::try_from(record.decoded_len).map_err(|_| no_room())?;
    let mut decoded = Vec::new();
    decoded.try_reserve_exact(len).map_err(|_| no_room())?;
    decoded.resize(len, 0);
    decode_stored(header, block, record, &stored, data, verify, &mut decoded)?;
    Ok(Cow::Owned(decoded))
}

/// The whole words of a column.
fn words(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u8; 8]> {
    bytes.as_chunks().0.iter().copied()
}

fn is_valid(validity: &[u8], row: usize) -> bool {
    validity.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// The texts or bytes of a block.
struct Blobs<'a> {
    offsets: Cow<'a, [u8]>,
    data: Cow<'a, [u8]>,
    /// The offset of `data` within its decoded run.
    start: u64,
}

impl<'a> Blobs<'a> {
    fn fetch(
        header: &ChunkHeader,
        block: usize,
        kind: AtomKind,
        data: &impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
        verify: bool,
    ) -> Result<Self> {
        let (offsets, contents) = match kind {
            AtomKind::Text => (ColumnRole::TextOffsets, ColumnRole::TextData),
            _ => (ColumnRole::BytesOffsets, ColumnRole::BytesData),
        };
        let record = column(header, block, contents)?;
        Ok(Blobs {
            offsets: fetch(header, block, column(header, block, offsets)?, data, verify)?,
            data: fetch(header, block, record, data, verify)?,
            start: record.decoded_start,
        })
    }

    /// Where values start and end, from the start of this block's data; `None` for an offset that
    /// lies before it.
    fn offsets(&self) -> impl Iterator<Item = Option<usize>> {
        self.offsets.as_chunks().0.iter().map(|bytes| self.relative(*bytes))
    }

    fn relative(&self, offset: [u8; 4]) -> Option<usize> {
        let offset = u64::try_from(i32::from_le_bytes(offset)).ok()?;
        usize::try_from(offset.checked_sub(self.start)?).ok()
    }

    fn get(&self, slot: usize) -> Option<&[u8]> {
        let offsets = self.offsets.as_chunks().0;
        let start = self.relative(*offsets.get(slot)?)?;
        let end = self.relative(*offsets.get(slot.checked_add(1)?)?)?;
        self.data.get(start..end)
    }

    /// That the offsets cover the data from its start to its end without going back.
    fn check(&self) -> Result<()> {
        let offsets = || self.offsets().map(|offset| offset.unwrap_or(usize::MAX));
        let holds = self.offsets().next() == Some(Some(0))
            && offsets().last() == Some(self.data.len())
            && offsets().zip(offsets().skip(1)).all(|(start, end)| start <= end);
        ensure(holds, "the offsets of texts do not fit their data")
    }

    /// That every value is UTF-8: all of them together are, and none starts within a character.
    fn check_utf8(&self) -> Result<()> {
        let what = "a text is not UTF-8";
        let text = str::from_utf8(&self.data).map_err(|_| corrupt(what))?;
        let whole = |offset: Option<usize>| offset.is_some_and(|at| text.is_char_boundary(at));
        ensure(text.is_ascii() || self.offsets().all(whole), what)
    }
}

/// The columns of one block, fetched; their lengths are as the header says.
struct Columns<'a, 'h> {
    block: &'h BlockRecord,
    chunk_type: ChunkType,
    timestamps: Cow<'a, [u8]>,
    kinds: Option<Cow<'a, [u8]>>,
    validity: Option<Cow<'a, [u8]>>,
    floats: Option<Cow<'a, [u8]>>,
    ints: Option<Cow<'a, [u8]>>,
    texts: Option<Blobs<'a>>,
    bytes: Option<Blobs<'a>>,
}

impl<'a, 'h> Columns<'a, 'h> {
    fn fetch(
        header: &'h ChunkHeader,
        block: usize,
        data: impl Fn(&ColumnRecord) -> Result<Cow<'a, [u8]>, SynaError>,
        verify: bool,
    ) -> Result<Self> {
        let record = header.blocks.get(block);
        let record = record.ok_or_else(|| corrupt("a chunk lacks a block"))?;
        let optional = |role| -> Result<Option<Cow<'a, [u8]>>> {
            header
                .column(block, role)
                .map(|record| fetch(header, block, record, &data, verify))
                .transpose()
        };
        let blobs = |kind, role| -> Result<Option<Blobs<'a>>> {
            let present = header.column(block, role).is_some();
            present.then(|| Blobs::fetch(header, block, kind, &data, verify)).transpose()
        };
        Ok(Columns {
            block: record,
            chunk_type: header.chunk_type,
            timestamps: fetch(
                header,
                block,
                column(header, block, ColumnRole::Timestamps)?,
                &data,
                verify,
            )?,
            kinds: optional(ColumnRole::Kinds)?,
            validity: optional(ColumnRole::Validity)?,
            floats: optional(ColumnRole::Floats)?,
            ints: optional(ColumnRole::Ints)?,
            texts: blobs(AtomKind::Text, ColumnRole::TextOffsets)?,
            bytes: blobs(AtomKind::Bytes, ColumnRole::BytesOffsets)?,
        })
    }

    fn rows(&self) -> usize {
        self.timestamps.len() / 8
    }

    /// Checks the columns against each other and against the counts in the header.
    fn check(&self) -> Result<()> {
        if let Some(kinds) = &self.kinds {
            let found = RowKinds::PerRow(kinds).counts(kinds.len());
            ensure(
                found == self.block.zone.counts,
                "the kinds of a block do not match its counts",
            )?;
        }
        for blobs in [&self.texts, &self.bytes].into_iter().flatten() {
            blobs.check()?;
        }
        if let Some(texts) = &self.texts {
            texts.check_utf8()?;
        }
        self.validity.as_deref().map_or(Ok(()), |validity| self.check_validity(validity))
    }

    /// That nulls are as many as counted, and that their slots are empty.
    fn check_validity(&self, validity: &[u8]) -> Result<()> {
        let rows = self.rows();
        let valid: u64 = validity.iter().map(|byte| u64::from(byte.count_ones())).sum();
        let nulls = self.block.zone.count(AtomKind::Null);
        let behind_last =
            (rows..validity.len().saturating_mul(8)).any(|row| is_valid(validity, row));
        let holds = valid.checked_add(nulls) == Some(rows as u64) && !behind_last;
        ensure(holds, "the validity of a block does not match its counts")?;
        if nulls == 0 {
            return Ok(());
        }
        let null_rows = || (0..rows).map(|row| !is_valid(validity, row));
        let mut empty = true;
        for column in [&self.floats, &self.ints].into_iter().flatten() {
            empty &= words(column).zip(null_rows()).all(|(word, null)| !null || word == [0; 8]);
        }
        for blobs in [&self.texts, &self.bytes].into_iter().flatten() {
            let mut slots = null_rows().enumerate();
            empty &=
                slots.all(|(slot, null)| !null || blobs.get(slot).is_some_and(<[u8]>::is_empty));
        }
        ensure(empty, "a null of a block has a value")
    }

    fn append_to(&self, out: &mut Points) -> Result<()> {
        out.reserve(self.rows());
        match self.chunk_type {
            ChunkType::Mixed => self.append_mixed(out),
            ChunkType::One(kind) => self.append_one_kind(kind, out),
        }
    }

    fn append_one_kind(&self, kind: AtomKind, out: &mut Points) -> Result<()> {
        let nulls = self.block.zone.count(AtomKind::Null) > 0;
        let validity = self.validity.as_deref().filter(|_| nulls);
        let numbers = match kind {
            AtomKind::Float => self.floats.as_deref(),
            AtomKind::Int => self.ints.as_deref(),
            _ => None,
        };
        let timestamps = words(&self.timestamps).map(i64::from_le_bytes);
        if kind == AtomKind::Null {
            out.extend_numbers(kind, timestamps, (0..self.rows()).map(|_| 0));
        } else if let (None, Some(numbers)) = (validity, numbers) {
            out.extend_numbers(kind, timestamps, words(numbers).map(u64::from_le_bytes));
        } else {
            for (row, timestamp) in timestamps.enumerate() {
                let null = validity.is_some_and(|validity| !is_valid(validity, row));
                let kind = if null { AtomKind::Null } else { kind };
                self.append_value(timestamp, kind, row, out)?;
            }
        }
        Ok(())
    }

    fn append_mixed(&self, out: &mut Points) -> Result<()> {
        let kinds = self.kinds.as_deref().unwrap_or_default();
        let timestamps = words(&self.timestamps).map(i64::from_le_bytes);
        let mut slots = [0_usize; 5];
        for (number, timestamp) in kinds.iter().zip(timestamps) {
            let unknown = || corrupt("a kind is unknown");
            let kind = AtomKind::from_u8(*number).ok_or_else(unknown)?;
            let slot = slots.get_mut(kind as usize).ok_or_else(unknown)?;
            self.append_value(timestamp, kind, *slot, out)?;
            *slot += 1;
        }
        Ok(())
    }

    /// Appends a point whose value stands in `slot` of the columns of `kind`.
    fn append_value(
        &self,
        timestamp: i64,
        kind: AtomKind,
        slot: usize,
        out: &mut Points,
    ) -> Result<()> {
        let number = |column: &Option<Cow<'a, [u8]>>| -> Option<u64> {
            let word = column.as_deref()?.as_chunks().0.get(slot)?;
            Some(u64::from_le_bytes(*word))
        };
        let blob = |blobs: &Option<Blobs<'a>>| -> Option<Box<[u8]>> {
            Some(blobs.as_ref()?.get(slot)?.into())
        };
        let appended = match kind {
            AtomKind::Null => {
                out.push_number(timestamp, kind, 0);
                Some(())
            }
            AtomKind::Float => number(&self.floats).map(|n| out.push_number(timestamp, kind, n)),
            AtomKind::Int => number(&self.ints).map(|n| out.push_number(timestamp, kind, n)),
            AtomKind::Text => blob(&self.texts).map(|text| out.push_blob(timestamp, kind, text)),
            AtomKind::Bytes => blob(&self.bytes).map(|bytes| out.push_blob(timestamp, kind, bytes)),
        };
        appended.ok_or_else(|| corrupt("a column has fewer values than its block has rows"))
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::EncodedChunk;
    use crate::column::encoding::Policy;
    use crate::column::testing::{
        assert_same_points, decode, points_of, random_atoms, same_points, stored, value_of,
    };

    fn encode(points: &Points) -> (ChunkHeader, Vec<u8>) {
        encode_by(points, Policy::RAW)
    }

    fn encode_by(points: &Points, policy: Policy) -> (ChunkHeader, Vec<u8>) {
        let mut chunk = EncodedChunk::from_points(points, policy, 1 << 30).unwrap();
        chunk.place(3, 12_288, 11);
        let value = value_of(&chunk);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_eq!(&header, chunk.header());
        (header, value)
    }

    const POLICIES: [Policy; 4] = [
        Policy::RAW,
        Policy::FAST,
        Policy { delta: true, ..Policy::RAW },
        Policy { compression: true, ..Policy::RAW },
    ];

    fn check_round_trip(points: &Points) {
        for policy in POLICIES {
            check_round_trip_by(points, policy);
        }
    }

    /// Every column alone, against the same one of a raw chunk.
    fn check_columns(header: &ChunkHeader, value: &[u8], points: &Points) {
        let (raw_header, raw_value) = encode(points);
        let data = |column: &ColumnRecord| stored(header, value, column);
        for (number, record) in header.columns.iter().enumerate() {
            let block = number / usize::from(header.column_count);
            let raw = raw_header.column(block, record.role).unwrap();
            let raw = stored(&raw_header, &raw_value, raw).unwrap();
            let mut out = vec![0xa5; raw.len()];
            decode_column(header, block, record.role, &data, true, &mut out).unwrap();
            assert!(out == *raw, "{record:?}");
            let mut longer = vec![0; raw.len() + 1];
            assert!(decode_column(header, block, record.role, &data, true, &mut longer).is_err());
        }
    }

    fn check_round_trip_by(points: &Points, policy: Policy) {
        let (header, value) = encode_by(points, policy);
        check_columns(&header, &value, points);
        assert_same_points(&decode(&header, &value, true).unwrap(), points);
        assert_same_points(&decode(&header, &value, false).unwrap(), points);
        let sorted = header.blocks.iter().all(|block| block.sorted);
        assert!(sorted || !points.timestamps().is_sorted());
        let data = |column: &ColumnRecord| stored(&header, &value, column);
        let mut timestamps = Vec::new();
        for block in 0..header.blocks.len() {
            verify_block(&header, block, data).unwrap();
            verify_block_and_zone_map(&header, block, data).unwrap();
            decode_block_timestamps(&header, block, data, true, &mut timestamps).unwrap();
        }
        assert_eq!(timestamps, points.timestamps());
        let mut zone = *header.zone_map();
        let whole = zone_map(points, 0..points.len()).0;
        zone.float.sum = whole.float.sum;
        assert_eq!(zone, whole);

        let rows = header.rows;
        for row in (0..rows).step_by(97).chain([rows - 1]) {
            let point = point_at(&header, row, data).unwrap();
            let found = points_of(&[(point.timestamp, point.value)]);
            assert_same_points(&found, &points.slice(row as usize..row as usize + 1));
        }
        assert!(point_at(&header, rows, data).is_err());
    }

    /// Runs are contiguous and aligned, and each is one valid Arrow buffer.
    fn check_runs(points: &Points) {
        let (header, value) = encode(points);
        let run = |role| {
            let run = header.run(role)?;
            assert_eq!((12_288 + 24 + 11 + header.data_start + run.start) % 64, 0);
            let start = (header.data_start + run.start) as usize;
            Some(&value[start..(header.data_start + run.end) as usize])
        };
        let mixed = header.chunk_type == ChunkType::Mixed;
        let rows = |kind| (0..points.len()).filter(move |row| !mixed || points.kind(*row) == kind);
        let timestamps = words(run(ColumnRole::Timestamps).unwrap()).map(i64::from_le_bytes);
        assert!(timestamps.eq(points.timestamps().iter().copied()));
        if let Some(kinds) = run(ColumnRole::Kinds) {
            assert!((0..points.len()).all(|row| kinds[row] == points.kind(row) as u8));
        }
        if let Some(validity) = run(ColumnRole::Validity) {
            assert_eq!(validity.len(), points.len().div_ceil(8));
            let valid = |row| points.kind(row) != AtomKind::Null;
            assert!((0..points.len()).all(|row| is_valid(validity, row) == valid(row)));
        }
        for (role, kind) in
            [(ColumnRole::Floats, AtomKind::Float), (ColumnRole::Ints, AtomKind::Int)]
        {
            let Some(numbers) = run(role) else { continue };
            let numbers = words(numbers).map(u64::from_le_bytes);
            assert!(numbers.eq(rows(kind).map(|row| points.number_bits(row))));
        }
        for (offsets, data, kind) in [
            (ColumnRole::TextOffsets, ColumnRole::TextData, AtomKind::Text),
            (ColumnRole::BytesOffsets, ColumnRole::BytesData, AtomKind::Bytes),
        ] {
            let Some(offsets) = run(offsets) else { continue };
            let offsets: Vec<i32> =
                offsets.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
            let data = run(data).unwrap();
            assert_eq!(offsets.len(), rows(kind).count() + 1);
            assert_eq!((offsets[0], *offsets.last().unwrap()), (0, data.len() as i32));
            for (row, ends) in rows(kind).zip(offsets.windows(2)) {
                assert_eq!(&data[ends[0] as usize..ends[1] as usize], points.blob(row));
            }
        }
    }

    fn len() -> impl Strategy<Value = usize> {
        prop_oneof![
            3 => 1_usize..200,
            2 => prop::sample::select(vec![1, 63, 64, 65, 8191, 8192, 8193, 16_384, 16_385]),
            1 => 1_usize..20_000,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn points_survive_a_chunk(seed in any::<u64>(), len in len(), kinds in 1_u8..32) {
            let points = points_of(&random_atoms(seed, len, kinds));
            check_round_trip(&points);
            check_runs(&points);
        }

        #[test]
        fn numbers_make_the_same_chunk_with_and_without_points(
            seed in any::<u64>(), len in len(), float in any::<bool>(),
        ) {
            let points = points_of(&random_atoms(seed, len, if float { 0b10 } else { 0b100 }));
            let direct = if float {
                let values: Vec<f64> = points.bits().iter().map(|b| f64::from_bits(*b)).collect();
                EncodedChunk::from_floats(points.timestamps(), &values, Policy::RAW, 1 << 30)
            } else {
                let values: Vec<i64> = points.bits().iter().map(|b| b.cast_signed()).collect();
                EncodedChunk::from_ints(points.timestamps(), &values, Policy::RAW, 1 << 30)
            };
            let by_points = EncodedChunk::from_points(&points, Policy::RAW, 1 << 30).unwrap();
            prop_assert_eq!(value_of(&direct.unwrap()), value_of(&by_points));
        }

        /// Damage behind a checksum that was made to fit: an error, or as many other points.
        #[test]
        fn wrong_columns_never_panic(
            seed in any::<u64>(), len in 1_usize..300, kinds in 1_u8..32,
            place in any::<prop::sample::Index>(), byte in any::<u8>(),
            policy in prop::sample::select(POLICIES.to_vec()),
        ) {
            let points = points_of(&random_atoms(seed, len, kinds));
            let (mut header, mut value) = encode_by(&points, policy);
            let start = header.data_start as usize;
            let place = start + place.index(value.len() - start);
            let old = std::mem::replace(&mut value[place], byte);

            let flipped = decode(&header, &value, true);
            let in_gap = header.gaps().any(|gap| gap.contains(&(place as u64)));
            prop_assert_eq!(flipped.is_ok(), old == byte || in_gap);

            let crcs: Vec<u32> = header.columns.iter()
                .map(|column| crc32c(&stored(&header, &value, column).unwrap()))
                .collect();
            header.columns.iter_mut().zip(crcs).for_each(|(column, crc)| column.crc = crc);
            for verify in [true, false] {
                if let Ok(decoded) = decode(&header, &value, verify) {
                    prop_assert_eq!(decoded.len(), points.len());
                }
            }
            let data = |column: &ColumnRecord| stored(&header, &value, column);
            for row in 0..header.rows {
                let _ = point_at(&header, row, data);
            }
            for block in 0..header.blocks.len() {
                if verify_block(&header, block, data).is_ok() {
                    decode(&header, &value, true).unwrap();
                }
            }
        }
    }

    #[test]
    fn edge_lengths_survive_for_every_set_of_kinds() {
        for kinds in 1..32 {
            for len in [1, 2, 64, 8191, 8192, 8193] {
                let points = points_of(&random_atoms(u64::from(kinds) * 7, len, kinds));
                check_round_trip(&points);
                check_runs(&points);
            }
        }
    }

    #[test]
    fn columns_of_the_wrong_length_are_refused() {
        let points = points_of(&random_atoms(1, 100, 0b11111));
        let (header, value) = encode(&points);
        for change in [-1_isize, 1] {
            let data = |column: &ColumnRecord| {
                let mut bytes = stored(&header, &value, column)?.into_owned();
                bytes.resize(bytes.len().saturating_add_signed(change), 0);
                Ok(Cow::Owned(bytes))
            };
            assert!(verify_block(&header, 0, data).is_err());
            let mut out = points.slice(0..3);
            assert!(decode_block(&header, 0, data, false, &mut out).is_err());
            assert_same_points(&out, &points.slice(0..3));
        }
        assert!(verify_block(&header, 1, |column| stored(&header, &value, column)).is_err());
    }

    #[test]
    fn a_failed_block_leaves_the_points_before_it_alone() {
        let points = points_of(&random_atoms(2, 500, 0b11111));
        let (header, mut value) = encode(&points);
        let offsets = header.run(ColumnRole::BytesOffsets).unwrap();
        let last = (header.data_start + offsets.end) as usize;
        value[last - 4..last].fill(0xff);
        let mut out = points.slice(0..7);
        let data = |column: &ColumnRecord| stored(&header, &value, column);
        assert!(decode_block(&header, 0, data, false, &mut out).is_err());
        assert_same_points(&out, &points.slice(0..7));
    }

    #[test]
    fn texts_that_are_not_utf8_are_refused() {
        let points = points_of(&[(1, "ü".into()), (2, "a".into())]);
        let (mut header, value) = encode(&points);
        let text = (header.data_start + header.run(ColumnRole::TextData).unwrap().start) as usize;
        let offset =
            (header.data_start + header.run(ColumnRole::TextOffsets).unwrap().start) as usize + 4;
        // A broken character, and a whole one that is cut by an offset.
        for (place, byte) in [(text + 1, 0xff), (offset, 1)] {
            let mut wrong = value.clone();
            wrong[place] = byte;
            let crcs: Vec<u32> = (header.columns.iter())
                .map(|column| crc32c(&stored(&header, &wrong, column).unwrap()))
                .collect();
            header.columns.iter_mut().zip(crcs).for_each(|(column, crc)| column.crc = crc);
            let error = decode(&header, &wrong, true).unwrap_err();
            assert_eq!(error.to_string(), "a text is not UTF-8");
        }
    }

    #[test]
    fn what_fetching_reports_is_passed_on() {
        let points = points_of(&[(1, 1.0.into())]);
        let (header, _) = encode(&points);
        let error = verify_block(&header, 0, |_| Err(SynaError::Closed)).unwrap_err();
        assert!(matches!(error.into_error(0, 0), SynaError::Closed));
        assert!(!same_points(&points, &Points::new()));
    }
}
