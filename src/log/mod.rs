//! The log: one file of entries, appended to by one writer, read back by anybody.
//!
//! [`LogFile`] is an open file, [`LogWriter`] appends to it, [`Scanner`] walks over its entries,
//! [`recovery`] finds its end after a stop, [`create`] makes a new one and [`lock`] keeps a second
//! writer out. What an entry means for a key is the index's business.

pub(crate) mod create;
mod file;
pub(crate) mod group;
pub(crate) mod lock;
pub(crate) mod recovery;
mod scan;
mod writer;

pub(crate) use file::{LogBytes, LogFile, read_up_to, write_all};
pub(crate) use scan::{Content, Entry, INLINE_VALUE_MAX, LargePuts, Scanned, Scanner};
pub(crate) use writer::{LogWriter, Pieces, first_slot, sync_data};
