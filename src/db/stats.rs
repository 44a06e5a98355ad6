//! Figures about an open database.

use crate::error::{Result, SynaError};
use crate::index::SegmentBody;
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
    /// An estimate of what a rewrite that keeps all live points would free: points stored twice
    /// (as they came and in a chunk), deleted points, checkpoints.
    pub reclaimable_bytes: u64,
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
            let len = history.rows.tail.len() as u64;
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
                stats.reclaimable_bytes = side.index.replaced_bytes() + side.checkpoint_len;
                stats.file_bytes = side.log.allocated();
            }
            Side::Reader(follower) => {
                stats.tail_bytes = follower.tail_bytes() as u64;
                stats.durable_offset = follower.durable_len();
                stats.reclaimable_bytes = follower.replaced_bytes();
            }
            Side::Closed => return Err(SynaError::Closed),
        }
        Ok(stats)
    }
}
