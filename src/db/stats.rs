//! Figures about an open database.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Result, SynaError};
use crate::format::LOG_START;
#[cfg(feature = "bench")]
use crate::format::column::ColumnRole;
use crate::format::column::EncodingId;
use crate::index::{Index, Segment, SegmentBody, load_chunk_once};
use crate::log::LogFile;
use crate::storage::Medium;

use super::core::{Core, Side};

/// What [`SynaDB::stats`](crate::SynaDB::stats) tells. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Live keys.
    pub keys: u64,
    /// Live points.
    pub rows: u64,
    /// Length of the file, preallocated space included.
    pub file_bytes: u64,
    /// Length of the log: up to the last commit.
    pub log_bytes: u64,
    /// Keys with points in memory that are in no chunk yet.
    pub tails: u64,
    /// Those points.
    pub tail_points: u64,
    /// Memory they take.
    pub tail_bytes: u64,
    /// Chunks that hold live points.
    pub chunks: u64,
    /// Everything below this offset is durable; on a read-only handle, as far as it knows.
    pub durable_offset: u64,
    /// Syncs of the log since it was opened.
    pub syncs: u64,
    /// How often an incomplete write was cut back since it was opened.
    pub cuts: u64,
    /// Bytes of the log that hold live points once, with what frames them: the rest of what is
    /// reclaimable, an estimate like that.
    pub live_bytes: u64,
    /// An estimate of the bytes of points that are stored twice (as they came and in a chunk) or
    /// were deleted.
    pub replaced_bytes: u64,
    /// An estimate of what a rewrite that keeps all live points would free: what was replaced, and
    /// checkpoints.
    pub reclaimable_bytes: u64,
    /// How the columns of chunks that hold live points are encoded, in order of the names.
    pub encodings: Vec<EncodingUse>,
    /// How often the file was rewritten by [`auto_optimize`](crate::DbConfig::auto_optimize) since
    /// it was opened.
    pub auto_optimizes: u64,
    /// Why the last such rewrite failed, if it did.
    pub auto_optimize_error: Option<String>,
    /// How often the file was rewritten, from 1.
    pub generation: u64,
    /// Decoded columns that the cache holds, see
    /// [`column_cache_bytes`](crate::DbConfig::column_cache_bytes).
    pub column_cache_bytes: u64,
    /// Reads of a column that were answered by the cache, and those that were not; columns that
    /// are mapped are not asked for there.
    pub column_cache_hits: u64,
    /// See [`column_cache_hits`](Stats::column_cache_hits).
    pub column_cache_misses: u64,
    /// Buffers in use: held by the column cache, by arrays and by tensors. What the cache holds and
    /// somebody else, too, is counted once.
    pub buffer_pool_used_bytes: u64,
    /// Buffers that wait to be used again, see
    /// [`buffer_pool_bytes`](crate::DbConfig::buffer_pool_bytes).
    pub buffer_pool_idle_bytes: u64,
    /// Bytes of columns that left as parts of the file, since it was opened.
    pub mapped_bytes: u64,
    /// Bytes of columns that left as they lay in the cache.
    pub cached_bytes: u64,
    /// Bytes of columns that were decoded.
    pub decoded_bytes: u64,
    /// Bytes of columns that were copied.
    pub copied_bytes: u64,
    /// `disk`, `memory` (nothing is durable there) or the name of a network file system.
    pub medium: &'static str,
}

/// How much is stored in one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodingUse {
    /// Its name; `unreadable` for chunks whose header is damaged.
    pub name: &'static str,
    /// Bytes of columns in the file.
    pub stored_bytes: u64,
    /// Bytes of these columns after decoding.
    pub decoded_bytes: u64,
}

/// The name of an encoding, as it is documented.
fn name_of(encoding: EncodingId) -> &'static str {
    match encoding {
        EncodingId::Raw => "raw",
        EncodingId::Constant => "constant",
        EncodingId::FrameOfReference => "frame_of_reference",
        EncodingId::Delta => "delta",
        EncodingId::DeltaOfDelta => "delta_of_delta",
        EncodingId::Dictionary => "dictionary",
        EncodingId::Alp => "alp",
        EncodingId::AlpDelta => "alp_delta",
        EncodingId::OrderedDelta => "ordered_delta",
        EncodingId::Lz4 => "lz4",
        EncodingId::Runs => "runs",
        EncodingId::Pco => "pco",
    }
}

/// What a key's chunks store, for measurements.
#[cfg(feature = "bench")]
impl crate::SynaDB {
    pub(crate) fn stored_columns(&self, key: &str) -> Result<crate::bench::Stored> {
        let generation = self.open.core.generation.load_full();
        let mut stored = crate::bench::Stored::default();
        let Some(slot) = generation.index.slot_of(key) else { return Ok(stored) };
        let segments: Vec<Arc<Segment>> = slot.history.lock().rows.segments.to_vec();
        for segment in segments {
            if !matches!(segment.body, SegmentBody::Chunk { .. }) {
                continue;
            }
            let chunk = load_chunk_once(&generation.log, key, &segment)?;
            let header = chunk.header();
            stored.rows += u64::from(header.rows);
            stored.blocks += header.blocks.len();
            stored.header_bytes += header.header_len() as u64;
            for column in &header.columns {
                let into = match column.role {
                    ColumnRole::Timestamps => &mut stored.timestamps,
                    _ => &mut stored.values,
                };
                into.bytes += column.stored_len;
                *into.encodings.entry(name_of(column.encoding)).or_default() += 1;
            }
        }
        Ok(stored)
    }
}

/// How the columns of the chunks of `index` are encoded.
fn encodings(log: &LogFile, index: &Index) -> Vec<EncodingUse> {
    let mut uses: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    let mut count = |name, stored, decoded| {
        let (all_stored, all_decoded) = uses.entry(name).or_default();
        *all_stored += stored;
        *all_decoded += decoded;
    };
    for slot in index.slots() {
        // Headers are read without the lock on the history.
        let segments: Vec<Arc<Segment>> = slot.history.lock().rows.segments.to_vec();
        for segment in segments {
            let SegmentBody::Chunk { val_len, .. } = &segment.body else { continue };
            match load_chunk_once(log, &slot.key, &segment) {
                Ok(chunk) => chunk.header().columns.iter().for_each(|column| {
                    count(name_of(column.encoding), column.stored_len, column.decoded_len);
                }),
                Err(_) => count("unreadable", u64::from(*val_len), 0),
            }
        }
    }
    let uses = uses.into_iter();
    uses.map(|(name, (stored_bytes, decoded_bytes))| EncodingUse {
        name,
        stored_bytes,
        decoded_bytes,
    })
    .collect()
}

impl Core {
    pub(crate) fn stats(&self) -> Result<Stats> {
        let generation = self.generation.load_full();
        let (index, log) = (&generation.index, &generation.log);
        let mut stats = Stats {
            keys: index.live_keys(),
            rows: index.live_rows(),
            file_bytes: log.len()?,
            log_bytes: index.published(),
            generation: log.header().generation,
            medium: match self.medium {
                Medium::Disk => "disk",
                Medium::Memory => "memory",
                Medium::Network(name) => name,
            },
            ..Stats::default()
        };
        let shared = &self.materializer;
        stats.column_cache_bytes = shared.cache.bytes() as u64;
        (stats.column_cache_hits, stats.column_cache_misses) = shared.cache.hits_and_misses();
        stats.buffer_pool_used_bytes = shared.pool.used_bytes() as u64;
        stats.buffer_pool_idle_bytes = shared.pool.idle_bytes() as u64;
        let [mapped, cached, decoded, copied] = shared.counters.all();
        (stats.mapped_bytes, stats.cached_bytes) = (mapped, cached);
        (stats.decoded_bytes, stats.copied_bytes) = (decoded, copied);
        for slot in index.slots() {
            let history = slot.history.lock();
            let len = history.rows.tail_len(slot.versions.newest().rows) as u64;
            stats.tails += u64::from(len > 0);
            stats.tail_points += len;
            let is_chunk = |body: &SegmentBody| matches!(body, SegmentBody::Chunk { .. });
            stats.chunks +=
                history.rows.segments.iter().filter(|s| is_chunk(&s.body)).count() as u64;
        }
        match &*self.side.lock() {
            Side::Writer(side) => {
                stats.tail_bytes = side.index.tail_bytes() as u64;
                stats.durable_offset = side.log.durable_len();
                stats.syncs = side.log.syncs();
                stats.cuts = side.log.cuts();
                stats.replaced_bytes = side.index.replaced_bytes();
                stats.reclaimable_bytes = side.reclaimable_bytes();
                stats.file_bytes = side.log.allocated();
            }
            Side::Reader(reader) => {
                stats.tail_bytes = reader.tail_bytes() as u64;
                stats.durable_offset = reader.durable_len();
                stats.replaced_bytes = reader.replaced_bytes();
                stats.reclaimable_bytes = stats.replaced_bytes;
            }
            Side::Closed => return Err(SynaError::Closed),
        }
        let framed = stats.log_bytes.saturating_sub(LOG_START);
        stats.live_bytes = framed.saturating_sub(stats.reclaimable_bytes);
        stats.encodings = encodings(log, index);
        let auto_optimize = self.auto_optimize.lock();
        stats.auto_optimizes = auto_optimize.count;
        stats.auto_optimize_error = auto_optimize.error.as_ref().map(ToString::to_string);
        Ok(stats)
    }
}
