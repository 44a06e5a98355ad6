//! How a database is opened: every option with its unit, its default and the reason for it.

use crate::column::encoding::Policy;
use crate::error::{Result, SynaError};

/// When an append is allowed to return, and what survives which accident.
///
/// No mode reorders: whatever is recovered is a prefix of the commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// An append returns when its group is synced; it survives power loss. The default, because
    /// the file may be the only copy of the data.
    #[default]
    Full,
    /// An append returns when its bytes are with the operating system (one write call). It
    /// survives `kill -9`; after power loss a prefix is left. A sync runs in the background after
    /// every 64 MiB.
    Os,
    /// An append returns when its bytes are in the writer's buffer, where this process sees them.
    /// A kill loses at most the buffer; `flush()` hands it to the operating system, `sync()` makes
    /// it durable.
    Buffered {
        /// Size of the buffer in bytes, 4 KiB to 16 MiB. Above it the buffer is written out.
        size_bytes: usize,
        /// Age in milliseconds, at least 1, at which the buffer is written out all the same.
        interval_ms: u64,
    },
}

impl Durability {
    /// `Buffered` with a buffer of 256 KiB written out at the latest after 100 ms: large enough
    /// that the write call costs a few nanoseconds an append, small enough to lose little.
    pub const BUFFERED: Durability =
        Durability::Buffered { size_bytes: 256 << 10, interval_ms: 100 };
}

/// Whether opening may create the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Create {
    /// Open the file, or create it where there is none (an empty file counts as none).
    #[default]
    IfMissing,
    /// The file must exist.
    Never,
    /// The file must not exist.
    New,
}

/// Options of a database. `DbConfig::default()` is what [`SynaDB::new`](crate::SynaDB::new) uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbConfig {
    /// When an append returns. Default [`Durability::Full`].
    pub durability: Durability,
    /// Whether opening may create the file. Default [`Create::IfMissing`].
    pub create: Create,
    /// Store timestamps, numbers, validity and the offsets of texts as constants, differences and
    /// decimals in as few bits as they need. Default true: columns take a fraction of their size
    /// and are decoded at about the speed of memory. With this and `enable_compression` off,
    /// columns are stored as they are, and read without a copy from where they lie.
    pub enable_delta: bool,
    /// Store values that repeat once, in dictionaries, and texts and bytes by LZ4; single texts and
    /// bytes above 64 bytes, too, where it saves at least an eighth. Default true.
    pub enable_compression: bool,
    /// Bytes of decoded points kept in memory before the largest tails are sealed into chunks;
    /// default 64 MiB. At most 32 points a key stay beyond it.
    pub tail_budget_bytes: usize,
    /// Bytes of decoded columns kept for the next read of the same history, the least recently used
    /// going first; default 256 MiB, which holds some 16 million points. 0 keeps none.
    pub column_cache_bytes: usize,
    /// Bytes of buffers kept to be used again when arrays and tensors are released, because fresh
    /// memory costs more than decoding into it; default 256 MiB. 0 keeps none.
    pub buffer_pool_bytes: usize,
    /// Age in milliseconds at which a read-only handle looks for new commits by itself before it
    /// answers; default 1. 0 looks every time, `u64::MAX` only on `refresh()`.
    pub refresh_interval_ms: u64,
    /// Write to databases on NFS, SMB and FUSE, whose locks and mapped reads are not reliable.
    /// Default false: they are refused.
    pub allow_network_fs: bool,
    /// Rewrite the file in the background, as [`optimize`](crate::SynaDB::optimize) does, when that
    /// would free more than the live bytes and more than [`auto_optimize_min_bytes`]. Default false:
    /// a rewrite reads and writes the whole file and needs room for a second one, which should not
    /// come as a surprise. How it went is told by [`stats`](crate::SynaDB::stats).
    ///
    /// [`auto_optimize_min_bytes`]: DbConfig::auto_optimize_min_bytes
    pub auto_optimize: bool,
    /// What `auto_optimize` must free at least, in bytes; default 256 MiB: less is not worth it.
    pub auto_optimize_min_bytes: u64,
}

impl Default for DbConfig {
    fn default() -> Self {
        DbConfig {
            durability: Durability::Full,
            create: Create::IfMissing,
            enable_delta: true,
            enable_compression: true,
            tail_budget_bytes: 64 << 20,
            column_cache_bytes: 256 << 20,
            buffer_pool_bytes: 256 << 20,
            refresh_interval_ms: 1,
            allow_network_fs: false,
            auto_optimize: false,
            auto_optimize_min_bytes: 256 << 20,
        }
    }
}

impl DbConfig {
    /// Sets when an append returns.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The classic switch: `true` is [`Durability::Full`], `false` is [`Durability::Os`].
    #[must_use]
    pub fn with_sync_on_write(self, sync_on_write: bool) -> Self {
        self.with_durability(if sync_on_write { Durability::Full } else { Durability::Os })
    }

    /// Sets whether opening may create the file.
    #[must_use]
    pub fn with_create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// Sets whether columns are stored as differences in few bits.
    #[must_use]
    pub fn with_enable_delta(mut self, enable: bool) -> Self {
        self.enable_delta = enable;
        self
    }

    /// Sets whether dictionaries and LZ4 are used.
    #[must_use]
    pub fn with_enable_compression(mut self, enable: bool) -> Self {
        self.enable_compression = enable;
        self
    }

    /// The encodings that the options allow for what is written as it comes in.
    pub(crate) fn policy(&self) -> Policy {
        Policy { delta: self.enable_delta, compression: self.enable_compression, ..Policy::RAW }
    }

    /// Sets how many bytes of decoded points stay in memory before tails are sealed.
    #[must_use]
    pub fn with_tail_budget_bytes(mut self, bytes: usize) -> Self {
        self.tail_budget_bytes = bytes;
        self
    }

    /// Sets how many bytes of decoded columns are kept for the next read.
    #[must_use]
    pub fn with_column_cache_bytes(mut self, bytes: usize) -> Self {
        self.column_cache_bytes = bytes;
        self
    }

    /// Sets how many bytes of released buffers are kept to be used again.
    #[must_use]
    pub fn with_buffer_pool_bytes(mut self, bytes: usize) -> Self {
        self.buffer_pool_bytes = bytes;
        self
    }

    /// Sets the age at which a read-only handle refreshes by itself.
    #[must_use]
    pub fn with_refresh_interval_ms(mut self, interval_ms: u64) -> Self {
        self.refresh_interval_ms = interval_ms;
        self
    }

    /// Allows writing to databases on network file systems.
    #[must_use]
    pub fn with_allow_network_fs(mut self, allow: bool) -> Self {
        self.allow_network_fs = allow;
        self
    }

    /// Sets whether the file is rewritten in the background when much of it is not needed any more.
    #[must_use]
    pub fn with_auto_optimize(mut self, auto_optimize: bool) -> Self {
        self.auto_optimize = auto_optimize;
        self
    }

    /// Sets how many bytes a rewrite in the background must free at least.
    #[must_use]
    pub fn with_auto_optimize_min_bytes(mut self, bytes: u64) -> Self {
        self.auto_optimize_min_bytes = bytes;
        self
    }

    /// Refuses values outside of their documented ranges.
    pub(crate) fn check(&self) -> Result<()> {
        if let Durability::Buffered { size_bytes, interval_ms } = self.durability {
            if !(4 << 10..=16 << 20).contains(&size_bytes) {
                return Err(SynaError::InvalidOption {
                    option: "durability: size_bytes",
                    what: "it must be between 4 KiB and 16 MiB",
                });
            }
            if interval_ms == 0 {
                return Err(SynaError::InvalidOption {
                    option: "durability: interval_ms",
                    what: "it must be at least 1",
                });
            }
        }
        Ok(())
    }

    /// The first option in which two configurations of one open database differ.
    pub(crate) fn conflict(&self, other: &DbConfig) -> Option<&'static str> {
        if self.durability != other.durability {
            Some("durability")
        } else if self.enable_delta != other.enable_delta {
            Some("enable_delta")
        } else if self.enable_compression != other.enable_compression {
            Some("enable_compression")
        } else if self.tail_budget_bytes != other.tail_budget_bytes {
            Some("tail_budget_bytes")
        } else if self.column_cache_bytes != other.column_cache_bytes {
            Some("column_cache_bytes")
        } else if self.buffer_pool_bytes != other.buffer_pool_bytes {
            Some("buffer_pool_bytes")
        } else if self.allow_network_fs != other.allow_network_fs {
            Some("allow_network_fs")
        } else if self.auto_optimize != other.auto_optimize {
            Some("auto_optimize")
        } else if self.auto_optimize_min_bytes != other.auto_optimize_min_bytes {
            Some("auto_optimize_min_bytes")
        } else {
            None
        }
    }
}
