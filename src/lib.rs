//! SynaDB: an embedded store for numbers over time, in one append-only file.
//!
//! A [`SynaDB`] maps keys to histories: every append adds a [`Point`], an [`Atom`] with its
//! timestamp, to the history of a key. The latest value of a key is found in constant time, its
//! history in order, its value as of any time by timestamp. The file is a log of checksummed
//! entries; a prefix of it that ends at a commit is a database. From that follow crash recovery,
//! snapshots, readers in other processes beside the writer, and backups while it runs.
//!
//! It is not a server, not a relational database, and not a cache: nothing is ever updated in
//! place, there is one writer process at a time, and what is appended stays until a rewrite drops
//! it.
//!
//! ```
//! use synadb::{Atom, SynaDB};
//!
//! # fn main() -> synadb::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("weather.syna");
//! let db = SynaDB::new(&path)?;
//! db.append_at("JFK/temp", 1_357_020_000_000_000, 39.02)?;
//! db.append_at("JFK/temp", 1_357_023_600_000_000, 38.84)?;
//!
//! assert_eq!(db.get("JFK/temp")?, Some(Atom::Float(38.84)));
//! assert_eq!(db.get_at("JFK/temp", 1_357_021_000_000_000)?, Some(Atom::Float(39.02)));
//! assert_eq!(db.get_history("JFK/temp")?.len(), 2);
//! db.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! A history leaves as Arrow arrays, which share memory with the file where the bytes allow it, and
//! answers questions about itself without leaving:
//!
//! ```
//! use synadb::{Aggregate, SynaDB};
//!
//! # fn main() -> synadb::Result<()> {
//! let db = SynaDB::in_memory()?;
//! db.append_batch("JFK/temp", &[0, 1_800_000_000, 3_600_000_000], &[39.0, 38.0, 37.0][..])?;
//! let history = db.history("JFK/temp")?;
//! assert_eq!(history.read()?.num_rows(), 3); // an Arrow RecordBatch: timestamp, value
//! assert_eq!(history.stats()?.mean, Some(38.0));
//! let hours = history.resample("1h".parse()?, &[Aggregate::Min, Aggregate::Max])?;
//! assert_eq!(hours.num_rows(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! Data flow one way: put, log, index, columns, arrays. In the sources: `format` knows the bytes (the
//! drawing of the file is there), `storage` where they live, `log` appends and reads them back,
//! `index` finds them, `column` holds them decoded, `materialize` makes arrays of them, `query`
//! answers without arrays, `db` wires the parts, `maintenance` rewrites and checks.
//!
//! What is promised about durability, atomicity, recovery, detection and concurrency is written
//! down word for word in `docs/promises.md`, each with its tests.

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("SynaDB maps raw columns: it needs a 64-bit little-endian target");

pub mod storage;

mod atom;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod canary;
#[cfg(feature = "cli")]
pub mod cli;
mod column;
mod config;
mod db;
mod error;
mod fork;
mod format;
mod index;
mod ingest;
mod log;
mod maintenance;
mod materialize;
mod mutex;
mod query;
mod registry;
mod sync;
mod times;

pub use atom::{Atom, AtomKind, Point};
pub use config::{Create, DbConfig, Durability};
pub use db::{
    Appended, Batch, Change, Cursor, EncodingUse, FollowFrom, FollowedCommit, Follower, Frame,
    FrameTensor, History, HistoryStream, Scan, ScanColumn, ScanStream, Series, Snapshot, Stats,
    SynaDB, Values,
};
#[doc(hidden)]
pub use error::one_of_each;
pub use error::{CellFault, Result, SharedIo, SynaError};
pub use ingest::{WriteOptions, Written};
pub use log::recovery::RecoveryReport;
pub use maintenance::{
    MissingRange, OptimizeOptions, Progress, RetainPolicy, RewriteReport, SalvageReport,
    VerifyReport, salvage, salvage_storage, salvage_with,
};
pub use materialize::{AsType, Explain, ExplainColumn, OnMismatch, Order, Tensor, TensorNumber};
pub use query::{Aggregate, Align, Downsample, Every, Fill, HistoryStats, Number, parse_tolerance};
pub use registry::{
    close_db, open_db, open_db_read_only, open_db_read_only_with, open_db_with, with_db,
};

/// For the bindings to other languages, and no part of the interface.
#[doc(hidden)]
pub mod bindings {
    pub use crate::db::check_key;
    pub use crate::fork::PerProcess;
    #[cfg(feature = "c-data")]
    pub use crate::ingest::c_data::{CBatches, CStream, batch_of, field_of, import_array};
    pub use crate::ingest::micros_of;
    pub use crate::mutex::Mutex;

    /// What an append without a timestamp has, microseconds since 1970-01-01 UTC.
    pub fn now() -> i64 {
        crate::log::create::now()
    }
}

/// The README's examples are compiled and run like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
