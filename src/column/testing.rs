//! Points for tests of this folder and of the chunk format.

#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use std::borrow::Cow;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::atom::{Atom, AtomKind};
use crate::column::reader::BlockError;
use crate::column::{EncodedChunk, Points, reader};
use crate::error::SynaError;
use crate::format::chunk::{ChunkHeader, ColumnRecord};

/// Doubles of every class, with any bits.
pub(crate) fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits),
        4 => -1000.0..1000.0,
        1 => (0_u64..1 << 52).prop_map(f64::from_bits),
        1 => (1_u64..1 << 51).prop_map(|payload| f64::from_bits(0x7ff0 << 48 | payload)),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN, f64::MAX,
            f64::MIN_POSITIVE, f64::EPSILON,
        ]),
    ]
}

pub(crate) fn floats(len: Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    vec(float(), len)
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -5_i64..5, Just(i64::MIN), Just(i64::MAX)]
}

/// An atom whose kind is one of those that `kinds` has a bit for.
pub(crate) fn atom(kinds: u8) -> impl Strategy<Value = Atom> {
    let allowed: Vec<AtomKind> =
        AtomKind::ALL.into_iter().filter(|kind| kinds >> *kind as u8 & 1 == 1).collect();
    prop::sample::select(allowed).prop_flat_map(|kind| match kind {
        AtomKind::Null => Just(Atom::Null).boxed(),
        AtomKind::Float => float().prop_map(Atom::Float).boxed(),
        AtomKind::Int => int().prop_map(Atom::Int).boxed(),
        AtomKind::Text => {
            prop_oneof![Just(String::new()), Just("a\0b\0".to_owned()), "[a-zäöü\u{1f600}]{0,12}",]
                .prop_map(Atom::Text)
                .boxed()
        }
        AtomKind::Bytes => vec(any::<u8>(), 0..12).prop_map(Atom::Bytes).boxed(),
    })
}

/// Timestamps and atoms of some random set of kinds.
pub(crate) fn atoms(len: Range<usize>) -> impl Strategy<Value = Vec<(i64, Atom)>> {
    (1_u8..32, any::<bool>()).prop_flat_map(move |(kinds, sorted)| {
        vec((int(), atom(kinds)), len.clone()).prop_map(move |mut atoms| {
            if sorted {
                atoms.sort_by_key(|(timestamp, _)| *timestamp);
            }
            atoms
        })
    })
}

pub(crate) fn points_of(atoms: &[(i64, Atom)]) -> Points {
    let mut points = Points::new();
    atoms.iter().for_each(|(timestamp, atom)| points.push(*timestamp, atom));
    points
}

/// Equality by bits, whatever the form in which kinds are kept.
pub(crate) fn same_points(left: &Points, right: &Points) -> bool {
    left.timestamps() == right.timestamps()
        && (0..left.len()).all(|row| {
            let kind = left.kind(row);
            kind == right.kind(row)
                && match kind {
                    AtomKind::Text | AtomKind::Bytes => left.blob(row) == right.blob(row),
                    _ => left.number_bits(row) == right.number_bits(row),
                }
        })
}

pub(crate) fn assert_same_points(left: &Points, right: &Points) {
    assert!(same_points(left, right), "{left:?}\n{right:?}");
}

/// Many atoms of the kinds that `kinds` has a bit for, the same for the same seed.
pub(crate) fn random_atoms(seed: u64, len: usize, kinds: u8) -> Vec<(i64, Atom)> {
    let mut state = seed;
    // SplitMix64.
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    let allowed: Vec<AtomKind> =
        AtomKind::ALL.into_iter().filter(|kind| kinds >> *kind as u8 & 1 == 1).collect();
    let specials = [0, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0xfff0 << 48 | 1, 1];
    // Long stretches of one kind, too, so that some blocks lack some kinds.
    let mut kind = AtomKind::Null;
    let mut stretch = 0;
    (0..len)
        .map(|row| {
            if stretch == 0 {
                kind = allowed[next() as usize % allowed.len()];
                stretch = if next().is_multiple_of(500) { 1 + next() % 20_000 } else { 1 };
            }
            stretch -= 1;
            let bits = if next().is_multiple_of(8) {
                specials[next() as usize % specials.len()]
            } else {
                next()
            };
            let len = next() as usize % 7;
            let atom = match kind {
                AtomKind::Null => Atom::Null,
                AtomKind::Float => Atom::Float(f64::from_bits(bits)),
                AtomKind::Int => Atom::Int(bits.cast_signed()),
                AtomKind::Text => Atom::Text("x\0ü\u{1f600}".repeat(len / 2)),
                AtomKind::Bytes => Atom::Bytes(bits.to_le_bytes()[..len].to_vec()),
            };
            let timestamp = if seed.is_multiple_of(2) { row as i64 } else { next().cast_signed() };
            (timestamp, atom)
        })
        .collect()
}

/// The value of the entry of a chunk.
pub(crate) fn value_of(chunk: &EncodedChunk) -> Vec<u8> {
    let value = [chunk.header_bytes(), chunk.data()].concat();
    assert_eq!(value.len() as u64, chunk.value_len());
    value
}

/// The bytes of a column in the value of a chunk.
pub(crate) fn stored<'a>(
    header: &ChunkHeader,
    value: &'a [u8],
    column: &ColumnRecord,
) -> Result<Cow<'a, [u8]>, SynaError> {
    let start = (header.data_start + column.offset) as usize;
    Ok(Cow::Borrowed(&value[start..start + column.stored_len as usize]))
}

/// All points of a chunk.
pub(crate) fn decode(
    header: &ChunkHeader,
    value: &[u8],
    verify: bool,
) -> Result<Points, BlockError> {
    let mut points = Points::new();
    for block in 0..header.blocks.len() {
        let data = |column: &_| stored(header, value, column);
        reader::decode_block(header, block, data, verify, &mut points)?;
    }
    Ok(points)
}
