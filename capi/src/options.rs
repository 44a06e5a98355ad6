//! Structs of options. Their first field tells how long the caller's is, so that a program that was
//! compiled with an older or newer header is understood; zeros mean the defaults.

use synadb_core::{AsType, Create, DbConfig, Durability, History, OnMismatch, Order, Scan};

use crate::status::{Failure, Result};

/// An option as it is by default.
pub const SYNA_DEFAULT: i32 = 0;
/// An option that is on.
pub const SYNA_ON: i32 = 1;
/// An option that is off.
pub const SYNA_OFF: i32 = 2;

/// An append returns when it is synced; it survives power loss. The default.
pub const SYNA_DURABILITY_FULL: i32 = 1;
/// An append returns when the operating system has it; it survives the end of the process.
pub const SYNA_DURABILITY_OS: i32 = 2;
/// An append returns when it is in this process's buffer. What is there when the process ends without a
/// `syna_close` or `syna_flush` is lost, also by `exit`.
pub const SYNA_DURABILITY_BUFFERED: i32 = 3;

/// Open the file, or create it where there is none. The default.
pub const SYNA_CREATE_IF_MISSING: i32 = 1;
/// The file must exist.
pub const SYNA_CREATE_NEVER: i32 = 2;
/// The file must not exist.
pub const SYNA_CREATE_NEW: i32 = 3;

/// No bytes at all, where 0 means the default.
pub const SYNA_NONE: u64 = u64::MAX;
/// For `refresh_interval_ms`: only by a call of `syna_refresh`.
pub const SYNA_REFRESH_NEVER: u64 = u64::MAX;
/// For `refresh_interval_ms`: before every call.
pub const SYNA_REFRESH_ALWAYS: u64 = u64::MAX - 1;

/// The type that the kinds in the key's history ask for. The default.
pub const SYNA_AS_NATURAL: i32 = 0;
/// A struct of kind, float, int, text and bytes, which takes any mix.
pub const SYNA_AS_STRUCT: i32 = 1;
/// Float64; integers within 2^53 fit.
pub const SYNA_AS_FLOAT: i32 = 2;
/// Int64.
pub const SYNA_AS_INT: i32 = 3;
/// Utf8; numbers as they are written in decimal.
pub const SYNA_AS_TEXT: i32 = 4;
/// Binary; texts as their UTF-8.
pub const SYNA_AS_BYTES: i32 = 5;
/// A dense union.
pub const SYNA_AS_UNION: i32 = 6;

/// Points that do not fit the type are an error. The default.
pub const SYNA_MISMATCH_RAISE: i32 = 0;
/// Points that do not fit the type become nulls.
pub const SYNA_MISMATCH_NULL: i32 = 1;
/// Points that do not fit the type are left out.
pub const SYNA_MISMATCH_SKIP: i32 = 2;

/// Points leave as they were appended. The default.
pub const SYNA_ORDER_APPEND: i32 = 0;
/// Points leave by timestamp, equal ones as they were appended.
pub const SYNA_ORDER_TIME: i32 = 1;

/// How a database is opened. Set everything to zero, then `struct_size`, then what is to differ
/// from the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct syna_options {
    /// `sizeof(syna_options)`.
    pub struct_size: usize,
    /// When an append returns: SYNA_DURABILITY_*. Default: FULL.
    pub durability: i32,
    /// Whether opening may create the file: SYNA_CREATE_*. Default: IF_MISSING.
    pub create: i32,
    /// Open for reading only: SYNA_ON or SYNA_OFF. Default: off. Of the others only
    /// `refresh_interval_ms` matters then, and the file must exist.
    pub read_only: i32,
    /// Store numbers as differences and decimals in few bits: SYNA_ON or SYNA_OFF. Default: on.
    pub enable_delta: i32,
    /// Store repeated values once, and texts and bytes by LZ4: SYNA_ON or SYNA_OFF. Default: on.
    pub enable_compression: i32,
    /// Write to databases on network file systems: SYNA_ON or SYNA_OFF. Default: off.
    pub allow_network_fs: i32,
    /// Rewrite the file in the background when that frees much: SYNA_ON or SYNA_OFF. Default: off.
    pub auto_optimize: i32,
    /// Zero.
    pub reserved: i32,
    /// For BUFFERED: bytes of the buffer, 4 KiB to 16 MiB. Default: 256 KiB.
    pub buffer_size_bytes: u64,
    /// For BUFFERED: age in milliseconds at which the buffer is written out. Default: 100.
    pub buffer_interval_ms: u64,
    /// Bytes of decoded points in memory before they become chunks. Default: 64 MiB.
    pub tail_budget_bytes: u64,
    /// Bytes of decoded columns kept for the next read; SYNA_NONE keeps none. Default: 256 MiB.
    pub column_cache_bytes: u64,
    /// Bytes of released buffers kept to be used again; SYNA_NONE keeps none. Default: 256 MiB.
    pub buffer_pool_bytes: u64,
    /// Age in milliseconds at which a read-only handle looks for new commits by itself, or one of
    /// SYNA_REFRESH_*. Default: 1.
    pub refresh_interval_ms: u64,
    /// What `auto_optimize` must free at least, in bytes. Default: 256 MiB.
    pub auto_optimize_min_bytes: u64,
}

/// Which points of a history are asked for, and how. Set everything to zero, then `struct_size`,
/// then what is to differ from the defaults: all points, as they were appended.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct syna_history_options {
    /// `sizeof(syna_history_options)`.
    pub struct_size: usize,
    /// Whether only points with timestamps in [`time_start`, `time_end`) are asked for: SYNA_ON or
    /// SYNA_OFF. Default: off.
    pub by_time: i32,
    /// Whether only points at the places [`row_start`, `row_end`) are asked for, counted from 0 at
    /// the oldest live one: SYNA_ON or SYNA_OFF. Default: off.
    pub by_row: i32,
    /// Microseconds since 1970-01-01 UTC.
    pub time_start: i64,
    /// Microseconds since 1970-01-01 UTC, behind the last one.
    pub time_end: i64,
    /// The first place.
    pub row_start: u64,
    /// Behind the last place.
    pub row_end: u64,
    /// Of all that is left, only so many of the last points in append order. 0: all.
    pub last: u64,
    /// The type of the values: SYNA_AS_*.
    pub as_type: i32,
    /// What happens to points that do not fit the type: SYNA_MISMATCH_*.
    pub on_mismatch: i32,
    /// SYNA_ORDER_*.
    pub order: i32,
    /// Zero.
    pub reserved: i32,
}

/// Structs longer than this are none of ours.
const STRUCT_SIZE_MAX: usize = 4096;

/// A struct of options that C may hand in: plain numbers, of which zeros are the defaults.
///
/// # Safety
///
/// Every pattern of bytes is a value, there is no padding, and the first field is `struct_size`.
pub(crate) unsafe trait Options: Copy + Default {}

// SAFETY: one `usize`, eight `i32`, seven `u64`: nothing is padded.
unsafe impl Options for syna_options {}
// SAFETY: one `usize`, two `i32`, five of eight bytes, four `i32`: nothing is padded.
unsafe impl Options for syna_history_options {}

/// Reads a struct of options; NULL is all defaults.
///
/// # Safety
///
/// `given` is NULL or points to as many bytes as its first field, a `usize`, says.
pub(crate) unsafe fn read<T: Options>(given: *const T) -> Result<T> {
    let mut options = T::default();
    if given.is_null() {
        return Ok(options);
    }
    // SAFETY: by the contract above the struct begins with its size.
    let struct_size = unsafe { given.cast::<usize>().read_unaligned() };
    if !(size_of::<usize>()..=STRUCT_SIZE_MAX).contains(&struct_size) {
        return Err(Failure::Argument("struct_size is not the size of a struct of options"));
    }
    // SAFETY: by the contract above there are `struct_size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), struct_size) };
    let known = bytes.get(..size_of::<T>()).unwrap_or(bytes);
    if bytes.iter().skip(known.len()).any(|byte| *byte != 0) {
        return Err(Failure::Argument("an option is set that this version does not know"));
    }
    // SAFETY: no more bytes than the struct has, and any bytes are a value of it (`Options`).
    unsafe {
        std::ptr::from_mut(&mut options).cast::<u8>().copy_from(known.as_ptr(), known.len());
    }
    Ok(options)
}

pub(crate) fn switch(value: i32, default: bool) -> Result<bool> {
    match value {
        SYNA_DEFAULT => Ok(default),
        SYNA_ON => Ok(true),
        SYNA_OFF => Ok(false),
        _ => Err(Failure::Argument("a switch is neither SYNA_DEFAULT, SYNA_ON nor SYNA_OFF")),
    }
}

fn bytes(value: u64, default: usize) -> Result<usize> {
    match value {
        0 => Ok(default),
        SYNA_NONE => Ok(0),
        bytes => usize::try_from(bytes).map_err(|_| Failure::Argument("too many bytes")),
    }
}

fn none_reserved(reserved: i32) -> Result<()> {
    if reserved == 0 { Ok(()) } else { Err(Failure::Argument("a reserved field is not 0")) }
}

impl syna_options {
    pub(crate) fn is_read_only(&self) -> Result<bool> {
        switch(self.read_only, false)
    }

    pub(crate) fn config(&self) -> Result<DbConfig> {
        none_reserved(self.reserved)?;
        let default = DbConfig::default();
        let create = match self.create {
            SYNA_DEFAULT | SYNA_CREATE_IF_MISSING => Create::IfMissing,
            SYNA_CREATE_NEVER => Create::Never,
            SYNA_CREATE_NEW => Create::New,
            _ => return Err(Failure::Argument("create is none of SYNA_CREATE_*")),
        };
        let refresh_interval_ms = match self.refresh_interval_ms {
            0 => default.refresh_interval_ms,
            SYNA_REFRESH_ALWAYS => 0,
            SYNA_REFRESH_NEVER => u64::MAX,
            interval => interval,
        };
        let min_bytes = match self.auto_optimize_min_bytes {
            0 => default.auto_optimize_min_bytes,
            SYNA_NONE => 0,
            bytes => bytes,
        };
        Ok(DbConfig::default()
            .with_durability(self.durability()?)
            .with_create(create)
            .with_enable_delta(switch(self.enable_delta, default.enable_delta)?)
            .with_enable_compression(switch(self.enable_compression, default.enable_compression)?)
            .with_tail_budget_bytes(bytes(self.tail_budget_bytes, default.tail_budget_bytes)?)
            .with_column_cache_bytes(bytes(self.column_cache_bytes, default.column_cache_bytes)?)
            .with_buffer_pool_bytes(bytes(self.buffer_pool_bytes, default.buffer_pool_bytes)?)
            .with_refresh_interval_ms(refresh_interval_ms)
            .with_allow_network_fs(switch(self.allow_network_fs, default.allow_network_fs)?)
            .with_auto_optimize(switch(self.auto_optimize, default.auto_optimize)?)
            .with_auto_optimize_min_bytes(min_bytes))
    }

    fn durability(&self) -> Result<Durability> {
        match self.durability {
            SYNA_DEFAULT | SYNA_DURABILITY_FULL => Ok(Durability::Full),
            SYNA_DURABILITY_OS => Ok(Durability::Os),
            SYNA_DURABILITY_BUFFERED => {
                let Durability::Buffered { size_bytes, interval_ms } = Durability::BUFFERED else {
                    return Ok(Durability::BUFFERED);
                };
                Ok(Durability::Buffered {
                    size_bytes: bytes(self.buffer_size_bytes, size_bytes)?,
                    interval_ms: match self.buffer_interval_ms {
                        0 => interval_ms,
                        asked => asked,
                    },
                })
            }
            _ => Err(Failure::Argument("durability is none of SYNA_DURABILITY_*")),
        }
    }
}

impl syna_history_options {
    /// Narrows a history to what is asked for.
    pub(crate) fn narrow(&self, mut history: History) -> Result<History> {
        none_reserved(self.reserved)?;
        if switch(self.by_time, false)? {
            history = history.range(self.time_start..self.time_end);
        }
        if switch(self.by_row, false)? {
            history = history.rows(self.row_start..self.row_end);
        }
        if self.last != 0 {
            history = history.last(self.last);
        }
        Ok(history
            .as_type(as_type(self.as_type)?)
            .on_mismatch(on_mismatch(self.on_mismatch)?)
            .order(order(self.order)?))
    }

    /// Narrows a scan to what is asked for, which is nothing by row.
    pub(crate) fn narrow_scan(&self, mut scan: Scan) -> Result<Scan> {
        none_reserved(self.reserved)?;
        if switch(self.by_row, false)? || self.last != 0 {
            return Err(Failure::Argument("a scan is not narrowed by rows"));
        }
        if switch(self.by_time, false)? {
            scan = scan.range(self.time_start..self.time_end);
        }
        Ok(scan
            .as_type(as_type(self.as_type)?)
            .on_mismatch(on_mismatch(self.on_mismatch)?)
            .order(order(self.order)?))
    }
}

/// The type of this number.
pub(crate) fn as_type(as_type: i32) -> Result<AsType> {
    Ok(match as_type {
        SYNA_AS_NATURAL => AsType::Natural,
        SYNA_AS_STRUCT => AsType::Struct,
        SYNA_AS_FLOAT => AsType::Float,
        SYNA_AS_INT => AsType::Int,
        SYNA_AS_TEXT => AsType::Text,
        SYNA_AS_BYTES => AsType::Bytes,
        SYNA_AS_UNION => AsType::Union,
        _ => return Err(Failure::Argument("as_type is none of SYNA_AS_*")),
    })
}

/// The choice of this number.
pub(crate) fn on_mismatch(on_mismatch: i32) -> Result<OnMismatch> {
    Ok(match on_mismatch {
        SYNA_MISMATCH_RAISE => OnMismatch::Raise,
        SYNA_MISMATCH_NULL => OnMismatch::Null,
        SYNA_MISMATCH_SKIP => OnMismatch::Skip,
        _ => return Err(Failure::Argument("on_mismatch is none of SYNA_MISMATCH_*")),
    })
}

fn order(order: i32) -> Result<Order> {
    Ok(match order {
        SYNA_ORDER_APPEND => Order::Append,
        SYNA_ORDER_TIME => Order::Time,
        _ => return Err(Failure::Argument("order is none of SYNA_ORDER_*")),
    })
}
