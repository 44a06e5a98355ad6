//! Blocks of several chunks put together as one chunk, without decoding any of them.
//!
//! A column of numbers says nothing about its neighbours, so a block that is full and encoded as it
//! should be can be part of another chunk byte for byte; only the statements about where columns
//! lie are new. Texts are another matter, because their offsets count from the start of the chunk's
//! run: chunks of them are copied whole or built anew.

use crate::atom::AtomKind;
use crate::column::EncodedChunk;
use crate::format::checksum::crc32c;
use crate::format::chunk::{ChunkHeader, ColumnRecord, align_up};
use crate::format::column::{ChunkType, ColumnRole, EncodingId};

/// A block of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceBlock<'a> {
    pub(crate) header: &'a ChunkHeader,
    pub(crate) block: usize,
}

/// A chunk whose columns lie elsewhere yet.
#[derive(Debug)]
pub(crate) struct MergedChunk {
    /// Without data.
    pub(crate) chunk: EncodedChunk,
    /// In the order in which they stand in the file.
    pub(crate) columns: Vec<MergedColumn>,
}

/// One column of a [`MergedChunk`].
#[derive(Debug)]
pub(crate) struct MergedColumn {
    /// As it will be: where it goes, how long it is, its checksum.
    pub(crate) record: ColumnRecord,
    pub(crate) source: ColumnSource,
}

#[derive(Debug)]
pub(crate) enum ColumnSource {
    /// The bytes of this column of the source block of that number.
    Block(usize, ColumnRecord),
    /// These bytes: that no row is null, in a chunk where others have nulls.
    Made(Vec<u8>),
}

/// Whether blocks of a chunk of this type can be part of another chunk.
pub(crate) fn is_mergeable(chunk_type: ChunkType) -> bool {
    matches!(chunk_type, ChunkType::One(AtomKind::Null | AtomKind::Float | AtomKind::Int))
}

impl MergedChunk {
    /// Puts blocks of one mergeable type together in this order. Every one but the last has a
    /// multiple of 64 rows, and all rows and bytes fit into one chunk: the caller sees to that.
    pub(crate) fn of_blocks(sources: &[SourceBlock<'_>]) -> MergedChunk {
        let mut counts = [0_u64; 5];
        let mut blocks = Vec::with_capacity(sources.len());
        let mut rows = 0_u32;
        for source in sources {
            let Some(block) = source.header.blocks.get(source.block) else { continue };
            for (total, count) in counts.iter_mut().zip(block.zone.counts) {
                *total = total.saturating_add(count);
            }
            let mut block = *block;
            block.first_row = rows;
            rows = rows.saturating_add(block.rows);
            blocks.push(block);
        }
        let chunk_type = ChunkType::of_counts(&counts);
        let roles: Vec<ColumnRole> = ColumnRole::of_chunk(chunk_type, &counts).collect();
        let mut columns = Vec::with_capacity(sources.len().saturating_mul(roles.len()));
        let mut end = 0_u64;
        for role in &roles {
            end = align_up(end).unwrap_or(end);
            for (number, source) in sources.iter().enumerate() {
                let merged = match source.header.column(source.block, *role) {
                    Some(column) => MergedColumn {
                        record: ColumnRecord { offset: end, ..*column },
                        source: ColumnSource::Block(number, *column),
                    },
                    // Of the columns of numbers only the validity may be missing.
                    None => all_valid(blocks.get(number).map_or(0, |block| block.rows), end),
                };
                end = end.saturating_add(merged.record.stored_len);
                columns.push(merged);
            }
        }
        // The header has them block after block.
        let by_block = (0..blocks.len())
            .flat_map(|block| columns.iter().skip(block).step_by(blocks.len().max(1)))
            .map(|column| column.record);
        let header = ChunkHeader {
            chunk_type,
            first_row: 0,
            rows,
            data_start: 0,
            data_len: end,
            column_count: roles.iter().fold(0, |count, _| count + 1),
            columns: by_block.collect(),
            blocks,
            whole: Box::default(),
            whole_is_stored: false,
        };
        MergedChunk { chunk: EncodedChunk::without_data(header), columns }
    }

    /// A chunk as it is: all columns come from source number 0.
    pub(crate) fn of_chunk(header: &ChunkHeader) -> MergedChunk {
        let roles = usize::from(header.column_count);
        let columns =
            (0..roles).flat_map(|role| header.columns.iter().skip(role).step_by(roles)).map(
                |record| MergedColumn { record: *record, source: ColumnSource::Block(0, *record) },
            );
        let columns = columns.collect();
        MergedChunk { chunk: EncodedChunk::without_data(header.clone()), columns }
    }
}

/// The validity of rows none of which is null.
fn all_valid(rows: u32, offset: u64) -> MergedColumn {
    let rows = usize::try_from(rows).unwrap_or(0);
    let mut bytes = vec![0xFF_u8; rows.div_ceil(8)];
    if let Some(last) = bytes.last_mut()
        && !rows.is_multiple_of(8)
    {
        *last = (1 << (rows % 8)) - 1;
    }
    let len = bytes.len() as u64;
    let record = ColumnRecord {
        role: ColumnRole::Validity,
        encoding: EncodingId::Raw,
        crc: crc32c(&bytes),
        offset,
        stored_len: len,
        decoded_len: len,
        decoded_start: 0,
    };
    MergedColumn { record, source: ColumnSource::Made(bytes) }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::Points;
    use crate::column::encoding::Policy;
    use crate::column::reader::verify_block_and_zone_map;
    use crate::column::testing::{
        assert_same_points, decode, points_of, random_atoms, stored, value_of,
    };

    /// The bytes of a merged chunk.
    fn value_of_merged(merged: &MergedChunk, sources: &[(ChunkHeader, Vec<u8>)]) -> Vec<u8> {
        let mut value = merged.chunk.header_bytes().to_vec();
        let start = value.len();
        for column in &merged.columns {
            value.resize(start + column.record.offset as usize, 0);
            match &column.source {
                ColumnSource::Made(bytes) => value.extend_from_slice(bytes),
                ColumnSource::Block(number, record) => {
                    let (header, bytes) = &sources[*number];
                    value.extend_from_slice(&stored(header, bytes, record).unwrap());
                }
            }
        }
        value
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// Nulls in some blocks only, a short block at the end: the merged chunk is a chunk with
        /// the same points.
        #[test]
        fn merged_blocks_hold_the_same_points(
            seed in any::<u64>(),
            parts in proptest::collection::vec((1_usize..4, 0_usize..3), 1..6),
            last in 1_usize..200,
            float in any::<bool>(),
        ) {
            let kind = if float { 0b00010 } else { 0b00100 };
            let lens: Vec<(usize, u8)> = parts
                .iter()
                .map(|(steps, nulls)| (steps * 64, if *nulls == 0 { kind | 1 } else { kind }))
                .chain([(last, kind)])
                .collect();
            let mut all = Points::new();
            let mut sources = Vec::new();
            for (number, (len, kinds)) in (0..).zip(lens) {
                let points = points_of(&random_atoms(seed ^ number, len, kinds));
                all.extend_from(&points, 0..points.len());
                let chunk = EncodedChunk::from_points(&points, Policy::FAST, 1 << 30).unwrap();
                // All nulls by chance: of another type.
                if chunk.header().chunk_type == ChunkType::One(AtomKind::Null) {
                    return Ok(());
                }
                let value = value_of(&chunk);
                sources.push((chunk.header().clone(), value));
            }
            let blocks: Vec<SourceBlock<'_>> =
                sources.iter().map(|(header, _)| SourceBlock { header, block: 0 }).collect();
            let mut merged = MergedChunk::of_blocks(&blocks);
            merged.chunk.place(7, 12_288, 3);
            let value = value_of_merged(&merged, &sources);
            prop_assert_eq!(value.len() as u64, merged.chunk.value_len());
            let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
            prop_assert_eq!(&header, merged.chunk.header());
            assert_same_points(&decode(&header, &value, true).unwrap(), &all);
            for block in 0..header.blocks.len() {
                verify_block_and_zone_map(&header, block, |c| stored(&header, &value, c)).unwrap();
            }
        }

        #[test]
        fn a_chunk_copied_whole_is_the_same(seed in any::<u64>(), len in 1_usize..9000, kinds in 1_u8..32) {
            let points = points_of(&random_atoms(seed, len, kinds));
            let chunk = EncodedChunk::from_points(&points, Policy::FAST, 1 << 30).unwrap();
            let merged = MergedChunk::of_chunk(chunk.header());
            prop_assert_eq!(merged.chunk.header(), chunk.header());
            let ends: Vec<u64> =
                merged.columns.iter().map(|c| c.record.offset + c.record.stored_len).collect();
            prop_assert!(ends.is_sorted());
            prop_assert_eq!(ends.last().copied(), Some(chunk.header().data_len));
        }
    }

    /// Blocks that are all null but came from a chunk of floats: what is left is a chunk of nulls.
    #[test]
    fn blocks_of_nulls_of_a_chunk_of_floats_become_a_chunk_of_nulls() {
        let mut points = Points::new();
        for row in 0..8192 {
            points.push_number(row, AtomKind::Null, 0);
        }
        points.push_number(9000, AtomKind::Float, 1.5_f64.to_bits());
        let chunk = EncodedChunk::from_points(&points, Policy::FAST, 1 << 30).unwrap();
        let sources = [(chunk.header().clone(), value_of(&chunk))];
        let block = SourceBlock { header: &sources[0].0, block: 0 };
        let mut merged = MergedChunk::of_blocks(&[block]);
        merged.chunk.place(0, 12_288, 3);
        let value = value_of_merged(&merged, &sources);
        let header = ChunkHeader::parse(&value, value.len() as u64).unwrap();
        assert_eq!(header.chunk_type, ChunkType::One(AtomKind::Null));
        assert_same_points(&decode(&header, &value, true).unwrap(), &points.slice(0..8192));
    }
}
