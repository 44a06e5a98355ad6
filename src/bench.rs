//! The encodings of columns, opened to the measurements in `benches/bars` (feature `bench`).
//!
//! No part of the interface: names and meaning change without notice.

#![allow(missing_docs, reason = "for our own measuring program")]

use std::collections::BTreeMap;

use crate::SynaDB;
use crate::column::encoding::{self, Encoder, Number, Policy};
use crate::error::Result;
use crate::format::column::{ColumnRole, EncodingId};

/// What the 64-bit words of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    Ints,
    Floats,
}

impl Words {
    fn number(self) -> Number {
        match self {
            Words::Ints => Number::Int,
            Words::Floats => Number::Float,
        }
    }

    fn role(self) -> ColumnRole {
        match self {
            Words::Ints => ColumnRole::Ints,
            Words::Floats => ColumnRole::Floats,
        }
    }
}

/// Numbers of the encodings that a column of words may have.
pub const ENCODINGS: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12];

/// Runs the portable kernels from now on, or those for this processor again.
pub fn use_portable(portable: bool) {
    encoding::use_portable(portable);
}

/// Encodes block after block of a column.
pub struct ColumnEncoder(Encoder);

impl ColumnEncoder {
    pub fn new(words: Words, cold: bool) -> ColumnEncoder {
        ColumnEncoder(Encoder::new(words.number(), Policy { cold, ..Policy::FAST }))
    }

    /// Appends a block; returns the number of the encoding that was chosen.
    pub fn encode(&mut self, words: &[u64], out: &mut Vec<u8>) -> u8 {
        self.0.encode(words, out) as u8
    }

    /// Appends a block as the one before was encoded, without choosing.
    pub fn again(&mut self, words: &[u64], out: &mut Vec<u8>) -> u8 {
        self.0.again(words, out) as u8
    }

    /// Appends a block by an encoding; `false` if that cannot hold it.
    pub fn force(&mut self, encoding: u8, words: &[u64], out: &mut Vec<u8>) -> bool {
        EncodingId::from_u8(encoding).is_ok_and(|encoding| self.0.force(encoding, words, out))
    }
}

/// What the chunks of a key store.
#[derive(Debug, Default)]
pub struct Stored {
    pub rows: u64,
    pub blocks: usize,
    /// Of the chunk headers.
    pub header_bytes: u64,
    pub timestamps: StoredColumn,
    /// All other columns together.
    pub values: StoredColumn,
}

/// A column of all blocks.
#[derive(Debug, Default)]
pub struct StoredColumn {
    pub bytes: u64,
    /// How many blocks have it in which encoding.
    pub encodings: BTreeMap<&'static str, usize>,
}

/// What the chunks of a key store; points that are not in chunks do not count.
///
/// # Errors
///
/// As [`History::read`](crate::History::read).
pub fn stored(db: &SynaDB, key: &str) -> Result<Stored> {
    db.stored_columns(key)
}

/// Decodes a block of `out.len() / 8` words.
///
/// # Errors
///
/// What contradicts what in the stored bytes.
pub fn decode(
    encoding: u8,
    words: Words,
    stored: &[u8],
    out: &mut [u8],
) -> Result<(), &'static str> {
    let encoding = EncodingId::from_u8(encoding).map_err(|_| "an unknown encoding")?;
    let rows = out.len() / 8;
    encoding::decode(stored, encoding, words.role(), rows, out)
}
