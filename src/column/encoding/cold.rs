//! The cold tier: `pco`, which takes least and is decoded at about a tenth of the speed.
//!
//! Only `optimize` asks for it. The stored bytes are one file of pco's standalone format, of `i64`
//! or `f64`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DEFAULT_COMPRESSION_LEVEL};

use super::Decode;
use super::numbers::Number;

/// The words by pco, if that takes less than `less_than` bytes.
pub(super) fn encode(words: &[u64], number: Number, less_than: usize) -> Option<Vec<u8>> {
    let config = ChunkConfig::default().with_compression_level(DEFAULT_COMPRESSION_LEVEL);
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
    stored.ok().filter(|stored| stored.len() < less_than)
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
