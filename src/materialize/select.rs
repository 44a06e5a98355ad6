//! Which rows a read wants: by time, by what fits the type asked for.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_buffer::ScalarBuffer;

use crate::atom::AtomKind;
use crate::column::{Points, ZoneMap};
use crate::error::{Result, SynaError};
use crate::format::column::ColumnRole;
use crate::index::{LoadedChunk, Part, Place};
use crate::times::Times;

use super::cache::{Column, Kinds};
use super::columns::{KeyReader, blocks_of};
use super::contiguous::{Piece, float_of_int};
use super::schema::{ValueType, are_floats};

/// Appends rows, joined to those before them where they follow.
pub(crate) fn push_rows(all: &mut Vec<Range<u64>>, rows: Range<u64>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    if let Some(last) = all.last_mut()
        && last.end == rows.start
    {
        last.end = rows.end;
        return Ok(());
    }
    // As many as the data have it.
    let bytes = (all.len() as u64).saturating_mul(16);
    all.try_reserve(1).map_err(|_| SynaError::OutOfMemory { bytes })?;
    all.push(rows);
    Ok(())
}

/// The rows of `rows` that lie in `within`.
fn overlap(rows: &Range<u64>, within: &Range<u64>) -> Range<u64> {
    let start = rows.start.max(within.start);
    start..rows.end.min(within.end).max(start)
}

/// Rows by the parts they lie in.
pub(crate) fn pieces<'a>(parts: &'a [Part], rows: &[Range<u64>]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(parts.len().min(rows.len().saturating_add(parts.len())));
    let mut parts = parts.iter().peekable();
    for wanted in rows {
        while let Some(part) = parts.peek() {
            let rows = overlap(wanted, &part.rows);
            if !rows.is_empty() {
                pieces.push(Piece { part, rows });
            }
            if part.rows.end > wanted.end {
                break;
            }
            parts.next();
        }
    }
    pieces
}

impl KeyReader {
    /// The kinds of all rows of these parts, which are the live rows `rows` of the key.
    pub(crate) fn kinds(&self, parts: &[Part], rows: &Range<u64>) -> Result<Kinds> {
        let cache = &self.shared.cache;
        if let Some(kinds) = cache.kinds(self.generation, self.id, rows) {
            return Ok(kinds);
        }
        let mut kinds = Kinds::NONE;
        let mut add = |zone: &ZoneMap| kinds = kinds.with(zone);
        for part in parts {
            match &part.place {
                Place::Chunk(chunk) if is_whole(part, chunk) => add(chunk.zone_map()),
                _ => self.for_each_points(part, &part.rows, |_, points, rows| {
                    add(&points.zone_map(rows));
                    Ok(())
                })?,
            }
        }
        cache.set_kinds(self.generation, self.id, rows.clone(), kinds);
        Ok(kinds)
    }

    /// The timestamps of some rows of a part.
    pub(crate) fn timestamps(&self, part: &Part, rows: &Range<u64>) -> Result<ScalarBuffer<i64>> {
        match &part.place {
            Place::Chunk(chunk) => {
                let (column, role) = (Column::Timestamps, ColumnRole::Timestamps);
                let array = self.direct(chunk, part.first_row, column, role, rows)?;
                Ok(array.as_primitive::<TimestampMicrosecondType>().values().clone())
            }
            Place::Put { timestamp, .. } => {
                let wanted = if rows.is_empty() { Vec::new() } else { vec![*timestamp] };
                Ok(wanted.into())
            }
            Place::Points(points) => {
                let row = |row: u64| usize::try_from(row - part.first_row).unwrap_or(usize::MAX);
                let wanted = points.timestamps().get(row(rows.start)..row(rows.end));
                Ok(wanted.unwrap_or_default().to_vec().into())
            }
        }
    }

    /// The rows among `rows` whose timestamps lie in `times`.
    pub(crate) fn rows_in_time(
        &self,
        parts: &[Part],
        rows: &[Range<u64>],
        times: Times,
    ) -> Result<Vec<Range<u64>>> {
        let mut found = Vec::new();
        let pieces = pieces(parts, rows);
        let reader = self.for_pieces(&pieces);
        for Piece { part, rows } in pieces {
            let Place::Chunk(chunk) = &part.place else {
                let stamps = reader.timestamps(part, &rows)?;
                push_matching(&mut found, &stamps, rows.start, times)?;
                continue;
            };
            let (blocks, _) = blocks_of(chunk, &Self::in_chunk(part.first_row, &rows));
            for block in chunk.header().blocks.get(blocks).unwrap_or_default() {
                let (min, max) = (block.zone.timestamp_min, block.zone.timestamp_max);
                if !times.overlap(min, max) {
                    continue;
                }
                let first = part.first_row + u64::from(block.first_row);
                let of_block = overlap(&rows, &(first..first + u64::from(block.rows)));
                if times.cover(min, max) {
                    push_rows(&mut found, of_block)?;
                    continue;
                }
                let stamps = reader.timestamps(part, &of_block)?;
                if block.sorted {
                    let from = stamps.partition_point(|t| *t < times.first) as u64;
                    let to = stamps.partition_point(|t| *t <= times.last) as u64;
                    push_rows(&mut found, of_block.start + from..of_block.start + to.max(from))?;
                } else {
                    push_matching(&mut found, &stamps, of_block.start, times)?;
                }
            }
        }
        Ok(found)
    }

    /// The rows among `rows` whose values fit a type; nulls do.
    pub(crate) fn rows_that_fit(
        &self,
        parts: &[Part],
        rows: &[Range<u64>],
        values: ValueType,
    ) -> Result<Vec<Range<u64>>> {
        let mut found = Vec::new();
        let pieces = pieces(parts, rows);
        let reader = self.for_pieces(&pieces);
        for Piece { part, rows } in pieces {
            let Place::Chunk(chunk) = &part.place else {
                reader.push_fitting(&mut found, part, &rows, values)?;
                continue;
            };
            let (blocks, _) = blocks_of(chunk, &Self::in_chunk(part.first_row, &rows));
            for block in chunk.header().blocks.get(blocks).unwrap_or_default() {
                let first = part.first_row + u64::from(block.first_row);
                let of_block = overlap(&rows, &(first..first + u64::from(block.rows)));
                let zone = &block.zone;
                let ints_are_floats = are_floats(zone.int.min, zone.int.max);
                let any = AtomKind::ALL
                    .into_iter()
                    .any(|kind| zone.count(kind) > 0 && values.takes_some(kind));
                if values.takes(&Kinds { counts: zone.counts, ints_are_floats }) {
                    push_rows(&mut found, of_block)?;
                } else if any {
                    reader.push_fitting(&mut found, part, &of_block, values)?;
                }
            }
        }
        Ok(found)
    }

    fn push_fitting(
        &self,
        found: &mut Vec<Range<u64>>,
        part: &Part,
        rows: &Range<u64>,
        values: ValueType,
    ) -> Result<()> {
        self.for_each_points(part, rows, |first, points, range| {
            for (at, row) in (first..).zip(range) {
                if fits(points, row, values) {
                    push_rows(found, at..at + 1)?;
                }
            }
            Ok(())
        })
    }

    /// Offers the least and the greatest timestamp of every block of these pieces. Where only a
    /// part of a block is wanted, or `is_known` says that these two do not tell enough, its
    /// timestamps are read and offered one by one.
    fn offer_times(
        &self,
        pieces: &[Piece<'_>],
        is_known: impl Fn(i64, i64) -> bool,
        mut offer: impl FnMut(i64),
    ) -> Result<()> {
        let reader = self.for_pieces(pieces);
        for piece in pieces {
            for rows in piece.steps() {
                let zone = piece.chunk().and_then(|chunk| {
                    let wanted = Self::in_chunk(piece.part.first_row, &rows);
                    let (blocks, of_blocks) = blocks_of(chunk, &wanted);
                    let block = chunk.header().blocks.get(blocks.start)?;
                    (of_blocks == wanted).then_some(&block.zone)
                });
                match zone {
                    Some(zone) if is_known(zone.timestamp_min, zone.timestamp_max) => {
                        offer(zone.timestamp_min);
                        offer(zone.timestamp_max);
                    }
                    _ => reader.timestamps(piece.part, &rows)?.iter().copied().for_each(&mut offer),
                }
            }
        }
        Ok(())
    }

    /// The least and the greatest timestamp of these pieces.
    pub(crate) fn extent(&self, pieces: &[Piece<'_>]) -> Result<Option<(i64, i64)>> {
        let mut extent: Option<(i64, i64)> = None;
        let mut add = |stamp: i64| {
            let (min, max) = extent.unwrap_or((stamp, stamp));
            extent = Some((min.min(stamp), max.max(stamp)));
        };
        self.offer_times(pieces, |_, _| true, &mut add)?;
        Ok(extent)
    }

    /// The greatest timestamp before `times` and the least one after them. Blocks that lie on one
    /// side of both bounds are not read.
    pub(crate) fn neighbours(
        &self,
        pieces: &[Piece<'_>],
        times: Times,
    ) -> Result<(Option<i64>, Option<i64>)> {
        let (mut before, mut after): (Option<i64>, Option<i64>) = (None, None);
        let is_known = |min: i64, max: i64| !times.overlap(min, max) || times.cover(min, max);
        self.offer_times(pieces, is_known, |stamp| {
            if stamp < times.first {
                before = before.max(Some(stamp));
            }
            if stamp > times.last {
                after = Some(after.map_or(stamp, |after| after.min(stamp)));
            }
        })?;
        Ok((before, after))
    }

    /// Whether the timestamps of these pieces never fall.
    pub(crate) fn is_sorted(&self, pieces: &[Piece<'_>]) -> Result<bool> {
        let reader = self.for_pieces(pieces);
        let mut last = i64::MIN;
        for piece in pieces {
            let Some(chunk) = piece.chunk() else {
                let stamps = reader.timestamps(piece.part, &piece.rows)?;
                if !stamps.is_sorted() || stamps.first().is_some_and(|first| *first < last) {
                    return Ok(false);
                }
                last = stamps.last().copied().unwrap_or(last);
                continue;
            };
            let first_row = piece.part.first_row;
            let wanted = Self::in_chunk(first_row, &piece.rows);
            let (blocks, _) = blocks_of(chunk, &wanted);
            for block in chunk.header().blocks.get(blocks).unwrap_or_default() {
                let own =
                    u64::from(block.first_row)..u64::from(block.first_row) + u64::from(block.rows);
                let rows = overlap(&wanted, &own);
                if rows == own && block.sorted {
                    if block.zone.timestamp_min < last {
                        return Ok(false);
                    }
                    last = block.zone.timestamp_max;
                    continue;
                }
                let rows = first_row + rows.start..first_row + rows.end;
                let stamps = reader.timestamps(piece.part, &rows)?;
                if !stamps.is_sorted() || stamps.first().is_some_and(|first| *first < last) {
                    return Ok(false);
                }
                last = stamps.last().copied().unwrap_or(last);
            }
        }
        Ok(true)
    }
}

/// Whether a part is all of its chunk.
pub(crate) fn is_whole(part: &Part, chunk: &LoadedChunk) -> bool {
    part.rows == (part.first_row..part.first_row + u64::from(chunk.header().rows))
}

/// Whether a point fits a type.
fn fits(points: &Points, row: usize, values: ValueType) -> bool {
    let kind = points.kind(row);
    values.takes_all(kind)
        || match (values, kind) {
            (ValueType::Float, AtomKind::Int) => {
                float_of_int(points.number_bits(row).cast_signed()).is_some()
            }
            (ValueType::Text, AtomKind::Bytes) => str::from_utf8(points.blob(row)).is_ok(),
            _ => false,
        }
}

fn push_matching(
    found: &mut Vec<Range<u64>>,
    stamps: &[i64],
    first_row: u64,
    times: Times,
) -> Result<()> {
    let matching = (first_row..).zip(stamps).filter(|(_, stamp)| times.contain(**stamp));
    for (row, _) in matching {
        push_rows(found, row..row + 1)?;
    }
    Ok(())
}
