//! The cold tier: `pco`, which takes least and is decoded at about a tenth of the speed.
//!
//! Only `optimize` asks for it. The stored bytes are
//!
//! ```text
//!  0  u8   0: the values themselves
//!          else the number of the encoding whose integers are compressed
//!  1       0: a file of pco's standalone format, of `i64` or `f64`
//!          else that encoding, with quotients of the cold tier, see `integer`
//! ```
//!
//! pco finds differences, divisors and decimals by itself; what it does not know are dictionaries,
//! and columns of decimals with NaNs among them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress_into};

use super::Decode;
use super::numbers::Number;
use crate::format::bytes::Fields;

/// The level at which pco looks closest; slower only where nobody waits.
const LEVEL: usize = 12;

/// Appends the words, if pco takes them.
pub(super) fn encode(words: &[u64], number: Number, out: &mut Vec<u8>) -> bool {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    let stored = match number {
        Number::Int => {
            let values: Vec<i64> = words.iter().map(|word| word.cast_signed()).collect();
            simple_compress(&values, &config)
        }
        Number::Float => {
            let values: Vec<f64> = words.iter().map(|word| f64::from_bits(*word)).collect();
            simple_compress(&values, &config)
        }
    };
    stored.is_ok_and(|stored| {
        out.extend(stored);
        true
    })
}

/// Appends quotients and their length.
pub(super) fn encode_quotients(quotients: &[u64], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend([0; 4]);
    // What pco refuses leaves no bytes, which do not decode: the caller tries whether they do.
    encode(quotients, Number::Int, out);
    let len = u32::try_from(out.len() - at - 4).unwrap_or(0);
    if let Some(slot) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = len.to_le_bytes();
    }
}

/// Reads as many quotients.
pub(super) fn decode_quotients(fields: &mut Fields<'_>, len: usize) -> Decode<Vec<[u8; 8]>> {
    const SHORT: &str = "a column of the cold tier is cut short";
    let bytes = fields.u32().ok_or(SHORT)? as usize;
    let stored = fields.take(bytes).ok_or(SHORT)?;
    let mut quotients = vec![[0; 8]; len];
    decode(stored, Number::Int, &mut quotients)?;
    Ok(quotients)
}

/// Writes the values.
pub(super) fn decode(stored: &[u8], number: Number, out: &mut [[u8; 8]]) -> Decode<()> {
    match number {
        Number::Int => decode_as(stored, out, i64::to_le_bytes),
        Number::Float => decode_as(stored, out, f64::to_le_bytes),
    }
}

fn decode_as<T: pco::data_types::Number + Default>(
    stored: &[u8],
    out: &mut [[u8; 8]],
    to_bytes: impl Fn(T) -> [u8; 8],
) -> Decode<()> {
    // At most 512 KiB, like every column of numbers.
    let mut values = vec![T::default(); out.len()];
    let read = || simple_decompress_into(stored, &mut values);
    // It has answered all wrong bytes so far with an error; it says nothing about panics, though,
    // and bytes of a file must not be able to cause one here.
    let progress = catch_unwind(AssertUnwindSafe(read)).ok().and_then(Result::ok);
    if !progress.is_some_and(|p| p.finished && p.n_processed == out.len()) {
        return Err("a column of the cold tier is damaged");
    }
    for (out, value) in out.iter_mut().zip(values) {
        *out = to_bytes(value);
    }
    Ok(())
}
