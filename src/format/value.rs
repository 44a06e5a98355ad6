//! The value of a put: the bincode encoding of its [`Atom`].
//!
//! bincode is no longer maintained, so nothing else of the crate knows of it. Its bytes under
//! `config::legacy()` (little-endian, fixed widths) are simple enough to be stated here, and the
//! tests pin them: a `u32` variant number (Null 0, Float 1, Int 2, Text 3, Bytes 4), then the
//! double's or the integer's eight bytes, or a `u64` length and as many bytes.
//!
//! In a put with the flag `IS_COMPRESSED` these bytes, more than 76 of them, are stored as their
//! length, a `u32`, and an LZ4 block that is at least an eighth shorter. A length of more than 255
//! times that of the block + 64, or above the file's limit, is refused before anything is allocated.

use std::borrow::Cow;

use crate::atom::{Atom, AtomKind};
use crate::column::encoding::lz4;
use crate::error::SynaError;

use super::bytes::{u32_at, u64_at};
use super::entry::flags;

/// No put is larger in any file; bincode checks every length it reads against this.
const SIZE_MAX: usize = 1 << 31;

/// Bytes before the content of a text or bytes value.
pub(crate) const BLOB_PREFIX: usize = 12;

fn config() -> impl bincode::config::Config {
    bincode::config::legacy().with_limit::<SIZE_MAX>()
}

/// Length of the encoded atom in bytes.
pub(crate) fn encoded_len(atom: &Atom) -> u64 {
    match atom {
        Atom::Null => 4,
        Atom::Float(_) | Atom::Int(_) => 12,
        Atom::Text(text) => (BLOB_PREFIX + text.len()) as u64,
        Atom::Bytes(bytes) => (BLOB_PREFIX + bytes.len()) as u64,
    }
}

/// The encoded atom.
pub(crate) fn encode(atom: &Atom) -> Result<Vec<u8>, SynaError> {
    bincode::serde::encode_to_vec(atom, config())
        .map_err(|error| SynaError::Serialization { operation: "encoded", what: error.to_string() })
}

/// The encoded number or null as two words and the number of their bytes that count: what most puts are.
#[inline]
pub(crate) fn encode_number(kind: AtomKind, bits: u64) -> ([u64; 2], usize) {
    match kind {
        AtomKind::Null => ([kind as u64, 0], 4),
        _ => ([kind as u64 | bits << 32, bits >> 32], 12),
    }
}

/// Texts and bytes of no more bytes than this are not worth compressing.
const COMPRESS_MIN: usize = 64;

/// The encoded text or bytes in fewer bytes, if that saves at least an eighth.
pub(crate) fn compress(encoded: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(encoded.len()).ok()?;
    if encoded.len() <= COMPRESS_MIN + BLOB_PREFIX {
        return None;
    }
    let block = lz4::compress(encoded)?;
    let mut stored = Vec::with_capacity(block.len() + 4);
    stored.extend_from_slice(&len.to_le_bytes());
    stored.extend_from_slice(&block);
    (stored.len() <= encoded.len() - encoded.len() / 8).then_some(stored)
}

/// The value of a put as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredValue<'a> {
    bytes: &'a [u8],
    compressed: bool,
}

impl<'a> StoredValue<'a> {
    /// The value of an entry with these flags.
    pub(crate) fn new(bytes: &'a [u8], flags: u8) -> Self {
        StoredValue { bytes, compressed: flags & flags::IS_COMPRESSED != 0 }
    }

    /// The bytes in the file.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length of the encoded atom, as far as the value says it: nothing is checked.
    pub(crate) fn plain_len(&self) -> u64 {
        match u32_at(self.bytes, 0).filter(|_| self.compressed) {
            // No block is longer than what it stands for.
            Some(len) => u64::from(len).max(self.bytes.len() as u64),
            None => self.bytes.len() as u64,
        }
    }

    /// The encoded atom, of at most `limit` bytes.
    pub(crate) fn plain(&self, limit: u64) -> Result<Cow<'a, [u8]>, &'static str> {
        if !self.compressed {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let (len, block) =
            self.bytes.split_first_chunk().ok_or("a compressed value without a length")?;
        let len = u32::from_le_bytes(*len);
        let possible = u64::from(len) <= limit.min(lz4::decoded_len_max(block.len() as u64));
        let shorter = self.bytes.len() as u64 <= u64::from(len - len / 8);
        if !possible || !shorter || len as usize <= COMPRESS_MIN + BLOB_PREFIX {
            return Err("a compressed value of an impossible length");
        }
        let mut plain = Vec::new();
        plain.try_reserve_exact(len as usize).map_err(|_| "a value too large for the memory")?;
        plain.resize(len as usize, 0);
        lz4::decompress(block, &mut plain)?;
        match u32_at(&plain, 0) {
            // Numbers and nulls are too short to be stored so.
            Some(3 | 4) => Ok(Cow::Owned(plain)),
            _ => Err("a compressed value that is neither text nor bytes"),
        }
    }
}

/// A stored value, its text or bytes still in place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum StoredAtom<'a> {
    /// Null (bits 0), a double's bits, or an integer's.
    Number(AtomKind, u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl StoredAtom<'_> {
    /// Copies the value out; `OutOfMemory` if there is no room for it.
    pub(crate) fn to_atom(self) -> Result<Atom, SynaError> {
        let no_room = |len: usize| move |_| SynaError::OutOfMemory { bytes: len as u64 };
        Ok(match self {
            StoredAtom::Number(kind, bits) => number(kind, bits),
            StoredAtom::Text(text) => {
                let mut copy = String::new();
                copy.try_reserve_exact(text.len()).map_err(no_room(text.len()))?;
                copy.push_str(text);
                Atom::Text(copy)
            }
            StoredAtom::Bytes(bytes) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len()).map_err(no_room(bytes.len()))?;
                copy.extend_from_slice(bytes);
                Atom::Bytes(copy)
            }
        })
    }
}

/// The atom of a null or number given by its bits.
#[inline]
pub(crate) fn number(kind: AtomKind, bits: u64) -> Atom {
    match kind {
        AtomKind::Float => Atom::Float(f64::from_bits(bits)),
        AtomKind::Int => Atom::Int(bits.cast_signed()),
        _ => Atom::Null,
    }
}

/// Reads a stored value in place. Nothing may be left over.
///
/// This reads the bytes that [`encode`] writes without bincode's copy of texts; the tests hold one
/// against the other.
#[inline]
pub(crate) fn decode(value: &[u8]) -> Result<StoredAtom<'_>, &'static str> {
    let variant = u32_at(value, 0).ok_or("a value shorter than its variant number")?;
    let kind = u8::try_from(variant).ok().and_then(AtomKind::from_u8);
    match kind.ok_or("a value of an unknown variant")? {
        AtomKind::Null if value.len() == 4 => Ok(StoredAtom::Number(AtomKind::Null, 0)),
        kind @ (AtomKind::Float | AtomKind::Int) if value.len() == 12 => {
            Ok(StoredAtom::Number(kind, u64_at(value, 4).unwrap_or_default()))
        }
        kind @ (AtomKind::Text | AtomKind::Bytes) => {
            let bytes = value.get(BLOB_PREFIX..).ok_or("a value shorter than its length field")?;
            if u64_at(value, 4) != Some(bytes.len() as u64) {
                return Err("a value whose length field and length disagree");
            }
            if kind == AtomKind::Bytes {
                return Ok(StoredAtom::Bytes(bytes));
            }
            let text = std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?;
            Ok(StoredAtom::Text(text))
        }
        _ => Err("a value whose variant and length disagree"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        for (atom, bytes) in [
            (Atom::Null, &b"\0\0\0\0"[..]),
            (Atom::Float(1.5), b"\x01\0\0\0\0\0\0\0\0\0\xf8\x3f"),
            (Atom::Int(-2), b"\x02\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff"),
            (Atom::Text("a\0b".into()), b"\x03\0\0\0\x03\0\0\0\0\0\0\0a\0b"),
            (Atom::Bytes(vec![255, 0]), b"\x04\0\0\0\x02\0\0\0\0\0\0\0\xff\0"),
        ] {
            assert_eq!(encode(&atom).unwrap(), bytes);
            assert_eq!(encoded_len(&atom), bytes.len() as u64);
            assert_eq!(decode(bytes).unwrap().to_atom().unwrap(), atom);
        }
    }

    fn atoms() -> impl Strategy<Value = Atom> {
        prop_oneof![
            Just(Atom::Null),
            any::<u64>().prop_map(|bits| Atom::Float(f64::from_bits(bits))),
            any::<i64>().prop_map(Atom::Int),
            any::<String>().prop_map(Atom::Text),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Atom::Bytes),
        ]
    }

    fn bits(atom: &Atom) -> Option<u64> {
        atom.as_float().map(f64::to_bits)
    }

    proptest! {
        #[test]
        fn reading_in_place_equals_bincode(atom in atoms()) {
            let bytes = encode(&atom).unwrap();
            let (ours, (theirs, used)): (Atom, (Atom, usize)) = (
                decode(&bytes).unwrap().to_atom().unwrap(),
                bincode::serde::decode_from_slice(&bytes, config()).unwrap(),
            );
            prop_assert_eq!(used, bytes.len());
            prop_assert_eq!(bits(&ours), bits(&theirs));
            prop_assert_eq!(bits(&ours), bits(&atom));
            if bits(&atom).is_none() {
                prop_assert_eq!(&ours, &theirs);
                prop_assert_eq!(&ours, &atom);
            }
            if let StoredAtom::Number(kind, bits) = decode(&bytes).unwrap() {
                let (words, len) = encode_number(kind, bits);
                let short = words.map(u64::to_le_bytes);
                prop_assert_eq!(&short.as_flattened()[..len], &bytes[..]);
                prop_assert!(short.as_flattened()[len..].iter().all(|byte| *byte == 0));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_where_bincode_refuses_them(
            variant in 0u32..7,
            rest in proptest::collection::vec(any::<u8>(), 0..24),
        ) {
            let mut bytes = variant.to_le_bytes().to_vec();
            bytes.extend_from_slice(&rest);
            let theirs: Option<(Atom, usize)> =
                bincode::serde::decode_from_slice(&bytes, config()).ok();
            let whole = theirs.filter(|(_, used)| *used == bytes.len());
            prop_assert_eq!(decode(&bytes).is_ok(), whole.is_some());
        }
    }
}
