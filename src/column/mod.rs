//! One key's points in columnar form.
//!
//! [`Points`] holds decoded points in typed columns: the tail of a key, what a chunk is built from
//! and what it decodes to. [`EncodedChunk`] turns them into the bytes of a chunk entry, block by
//! block, and [`reader`] turns blocks back into points, checking all that it reads. [`ZoneMap`] is
//! what a block says about itself without being decoded. [`encoding`] knows how a column is put
//! into fewer bytes.
//!
//! The layout of those bytes is drawn in [`crate::format::chunk`]. Where chunks live, which of them
//! are current and which blocks were verified already is the index's affair.

mod builder;
pub(crate) mod encoding;
mod merge;
mod points;
pub(crate) mod reader;
mod stats;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use builder::{EncodedChunk, NumberBuffer};
pub(crate) use merge::{ColumnSource, MergedChunk, SourceBlock, is_mergeable};
pub(crate) use points::Points;
pub(crate) use stats::{FloatStats, IntStats, TimestampStats, ZoneMap};
