//! Chunks to Arrow: the rows of a key's history as arrays, copied only where that cannot be helped.
//!
//! A read gets its rows as [parts](crate::index::Part), stretches that lie in one chunk or in
//! memory, and asks a [`KeyReader`] for their columns. What lies in one chunk comes
//!
//! - *mapped*, if its bytes in the file are what the array wants: the buffer points into the map
//!   and keeps it,
//! - *cached*, if a run of the [`ColumnCache`] holds it,
//! - *decoded* otherwise, whole blocks at a time, into a buffer of the [`Pool`] that becomes a run
//!   of the cache.
//!
//! Rows of several places are put together in one buffer of the pool, which becomes a run, too. No
//! column leaves before its checksum was compared, and a block's texts are known to be UTF-8
//! before anything claims that they are; both are remembered in the chunk.
//!
//! Rows of many keys in one array are put together in the same way, and kept as a *pack*.
//!
//! What is asked of a history, and the batches it leaves in, are in [`crate::db`]'s `history`, the
//! same of many keys in its `scan`;
//! what is answered without arrays in [`crate::query`].

pub(crate) mod cache;
mod columns;
mod contiguous;
mod mapped;
mod order;
mod parallel;
mod plan;
pub(crate) mod pool;
mod recent;
mod rows;
pub(crate) mod schema;
mod select;
mod tensor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use cache::Kinds;
pub(crate) use columns::{How, KeyReader, direct_role, timestamp_array};
pub(crate) use contiguous::{Piece, Source, put_together};
pub(crate) use order::time_order;
pub(crate) use parallel::each;
pub(crate) use plan::{BATCH_BYTES, BATCH_ROWS, Batches, Costs, explain, plan_batches};
pub use plan::{Explain, ExplainColumn};
pub use schema::{AsType, OnMismatch, Order};
pub(crate) use select::{is_whole, pieces, push_rows};
pub use tensor::{Tensor, TensorNumber};

use cache::ColumnCache;
use pool::Pool;

/// What all readers of one open database share.
#[derive(Debug)]
pub(crate) struct Materializer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) cache: ColumnCache,
    pub(crate) counters: Counters,
}

/// Bytes of columns since the database was opened, by where they came from.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) mapped: AtomicU64,
    pub(crate) cached: AtomicU64,
    pub(crate) decoded: AtomicU64,
    pub(crate) copied: AtomicU64,
}

impl Materializer {
    pub(crate) fn new(pool_bytes: usize, cache_bytes: usize) -> Arc<Materializer> {
        Arc::new(Materializer {
            pool: Pool::new(pool_bytes),
            cache: ColumnCache::new(cache_bytes),
            counters: Counters::default(),
        })
    }

    /// Counts bytes of a column by how they were had.
    pub(crate) fn account(&self, how: How, bytes: u64) {
        let counter = match how {
            How::Mapped => &self.counters.mapped,
            How::Cached => &self.counters.cached,
            How::Decoded => &self.counters.decoded,
            How::Copied => &self.counters.copied,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Frees what nobody else holds; returns how many bytes of the pool.
    pub(crate) fn trim(&self) -> usize {
        self.cache.clear();
        self.pool.trim()
    }

    /// The database is closed: nothing is kept any more.
    pub(crate) fn close(&self) {
        self.pool.close();
        self.cache.clear();
    }
}

impl Counters {
    /// Bytes mapped, cached, decoded and copied.
    pub(crate) fn all(&self) -> [u64; 4] {
        [&self.mapped, &self.cached, &self.decoded, &self.copied]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}
