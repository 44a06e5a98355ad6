//! How the columns of a block are laid out in few bytes, and read back to the bit.
//!
//! One file for each family: [`packed`] puts words into few bits, [`integer`] takes differences
//! before that, [`alp`] makes integers of doubles that are decimals, [`dictionary`] stores values
//! once, [`numbers`] chooses between them; [`blobs`] does texts and bytes, [`runs`] validity and
//! kinds, [`lz4`] and [`cold`] call other crates. [`kernels`] are the inner loops, [`simd`] the
//! two compilations of them.
//!
//! Encoders take what a block holds and append bytes. Decoders take stored bytes, about which
//! nothing is believed, and write exactly as many bytes as they are given room for: whatever the
//! bytes are, the answer is some values or a reason, the work is proportional to stored and decoded
//! bytes, and nothing larger than the decoded column is allocated.
//!
//! The layouts are part of the file format; each is drawn where it is implemented. All numbers are
//! little-endian, and packed words are in the order of [`kernels`].

mod alp;
pub(crate) mod blobs;
mod cold;
mod dictionary;
mod integer;
mod kernels;
pub(crate) mod lz4;
pub(crate) mod numbers;
mod packed;
mod runs;
mod simd;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use numbers::{Encoder, Number};
#[cfg(feature = "bench")]
pub(crate) use simd::use_portable;

use crate::format::column::{ColumnRole, EncodingId};

/// The result of decoding; the error says what contradicts what.
pub(super) type Decode<T> = Result<T, &'static str>;

/// Which encodings may be used for writing. Reading knows all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Constant, frame of reference, delta, delta of delta, decimals, runs.
    pub(crate) delta: bool,
    /// Dictionary and LZ4.
    pub(crate) compression: bool,
    /// `pco` where it takes less than all others; slow.
    pub(crate) cold: bool,
    /// Small blocks of numbers are encoded without comparing encodings: for what will soon be sealed
    /// with its neighbours, and encoded anew, the comparison takes longer than anything else. Only
    /// where `delta` is allowed.
    pub(crate) quick: bool,
}

impl Policy {
    /// Columns that can be mapped.
    pub(crate) const RAW: Policy =
        Policy { delta: false, compression: false, cold: false, quick: false };
    /// Everything that is decoded fast.
    pub(crate) const FAST: Policy = Policy { delta: true, compression: true, ..Policy::RAW };

    /// The same for what will be encoded anew when there is more of it.
    pub(crate) fn for_now(self) -> Policy {
        Policy { quick: self.delta && !self.cold, ..self }
    }
}

impl EncodingId {
    /// Whether `enable_delta` has to be on for it.
    pub(crate) fn is_delta(self) -> bool {
        match self {
            EncodingId::Raw | EncodingId::Dictionary | EncodingId::Lz4 | EncodingId::Pco => false,
            EncodingId::Constant
            | EncodingId::FrameOfReference
            | EncodingId::Delta
            | EncodingId::DeltaOfDelta
            | EncodingId::Alp
            | EncodingId::AlpDelta
            | EncodingId::OrderedDelta
            | EncodingId::Runs => true,
        }
    }

    /// Whether `enable_compression` has to be on for it.
    pub(crate) fn is_compression(self) -> bool {
        matches!(self, EncodingId::Dictionary | EncodingId::Lz4 | EncodingId::Pco)
    }
}

/// Appends the kinds of a block.
pub(crate) fn encode_kinds(kinds: &[u8], policy: Policy, out: &mut Vec<u8>) -> EncodingId {
    if policy.delta && kinds.len() > 1 {
        let mut same = kinds.iter().zip(kinds.iter().skip(1));
        if same.all(|(a, b)| a == b) {
            out.extend(kinds.first());
            return EncodingId::Constant;
        }
        let words: Vec<u64> = kinds.iter().map(|kind| u64::from(*kind)).collect();
        let start = out.len();
        let mut scratch = integer::Scratch::default();
        integer::encode(&words, integer::Order::Zero, 1, &mut scratch, out);
        let packed = out.split_off(start);
        if runs::encode_bytes(kinds, packed.len().min(kinds.len()), out) {
            return EncodingId::Runs;
        }
        if packed.len() < kinds.len() {
            out.extend(packed);
            return EncodingId::FrameOfReference;
        }
    }
    out.extend_from_slice(kinds);
    EncodingId::Raw
}

/// Appends the validity of a block, a bitmap of `rows` rows.
pub(crate) fn encode_validity(
    bitmap: &[u8],
    rows: usize,
    policy: Policy,
    out: &mut Vec<u8>,
) -> EncodingId {
    if policy.delta && bitmap.len() > 1 {
        for value in [0, 1_u8] {
            let mut all = vec![value.wrapping_neg(); bitmap.len()];
            runs::clear_behind(&mut all, rows);
            if all == bitmap {
                out.push(value);
                return EncodingId::Constant;
            }
        }
        if runs::encode_bitmap(bitmap, rows, bitmap.len(), out) {
            return EncodingId::Runs;
        }
    }
    out.extend_from_slice(bitmap);
    EncodingId::Raw
}

/// Writes a column of any role but texts and bytes, whose blocks have `rows` rows.
pub(crate) fn decode(
    stored: &[u8],
    encoding: EncodingId,
    role: ColumnRole,
    rows: usize,
    out: &mut [u8],
) -> Decode<()> {
    if encoding == EncodingId::Raw {
        if stored.len() != out.len() {
            return Err("a raw column of a wrong length");
        }
        out.copy_from_slice(stored);
        return Ok(());
    }
    let numbers = |number, out: &mut [u8]| {
        let (slots, rest) = out.as_chunks_mut();
        if !rest.is_empty() {
            return Err("a column of numbers that is no multiple of eight bytes long");
        }
        numbers::decode(stored, encoding, number, integer::Packing::Bits, slots)
    };
    match (role, encoding) {
        (ColumnRole::Timestamps | ColumnRole::Ints, _) => numbers(Number::Int, out),
        (ColumnRole::Floats, _) => numbers(Number::Float, out),
        (ColumnRole::Kinds, EncodingId::Constant) => match stored {
            [kind] => {
                out.fill(*kind);
                Ok(())
            }
            _ => Err("a constant of a wrong length"),
        },
        (ColumnRole::Kinds, EncodingId::FrameOfReference) => {
            let order = integer::Order::Zero;
            let mut decoder = integer::Decoder::new(stored, order, out.len())?;
            let mut vector = [0; kernels::VECTOR];
            for out in out.chunks_mut(kernels::VECTOR) {
                for (out, word) in out.iter_mut().zip(decoder.next(&mut vector)?) {
                    *out = u8::try_from(*word).map_err(|_| "a kind is unknown")?;
                }
            }
            let rest = decoder.rest();
            if rest.is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
        }
        (ColumnRole::Kinds, EncodingId::Runs) => runs::decode_bytes(stored, out),
        (ColumnRole::Validity, EncodingId::Constant) => match stored {
            [value @ (0 | 1)] => {
                out.fill(value.wrapping_neg());
                runs::clear_behind(out, rows);
                Ok(())
            }
            _ => Err("a constant of a wrong length"),
        },
        (ColumnRole::Validity, EncodingId::Runs) => runs::decode_bitmap(stored, rows, out),
        _ => Err("an encoding that does not fit its column"),
    }
}
