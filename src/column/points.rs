//! Decoded points of one key, in typed columns.
//!
//! This is the tail of a key in memory, where one more float must cost a few nanoseconds, and the
//! form in which chunks are built and decoded. Numbers are kept as their bits beside the
//! timestamps; texts and bytes are boxed slices of their own, so that growing never moves them.
//! The kinds take no room until a second kind arrives.

use std::ops::Range;

use crate::atom::{Atom, AtomKind, Point};

/// Points in append order, one slot per row in every column.
///
/// Rows are ordinals in this container, not in the key's history. Accessors by row panic when the
/// row does not exist, as slices do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Points {
    timestamps: Vec<i64>,
    /// Bits of a double, an integer, 0 for null, for text and bytes the place in `blobs`.
    bits: Vec<u64>,
    kinds: Kinds,
    /// Texts and bytes in row order.
    blobs: Vec<Box<[u8]>>,
    /// What the allocator holds for the contents of `blobs`.
    blob_bytes: usize,
}

/// The kinds of all rows.
#[derive(Debug, Clone, Default)]
enum Kinds {
    #[default]
    Empty,
    Uniform(AtomKind),
    PerRow(Vec<u8>),
}

/// The kinds of some rows, as [`Points`] keeps them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowKinds<'a> {
    /// All rows are of this kind.
    Uniform(AtomKind),
    /// The number of the [`AtomKind`] of each row.
    PerRow(&'a [u8]),
}

impl RowKinds<'_> {
    /// How many of `rows` rows are of each kind, by the number of the kind.
    pub(crate) fn counts(self, rows: usize) -> [u64; 5] {
        AtomKind::ALL.map(|kind| match self {
            RowKinds::Uniform(uniform) if uniform == kind => rows as u64,
            RowKinds::Uniform(_) => 0,
            RowKinds::PerRow(kinds) => count_kind(kinds, kind) as u64,
        })
    }
}

/// How many of these kind numbers are `kind`.
pub(super) fn count_kind(kinds: &[u8], kind: AtomKind) -> usize {
    kinds.iter().filter(|number| **number == kind as u8).count()
}

fn is_blob(kind: u8) -> bool {
    kind == AtomKind::Text as u8 || kind == AtomKind::Bytes as u8
}

/// What the allocator holds for a box of `len` bytes: 8 bytes of its own, in steps of 16 from 32
/// on (glibc; others do not differ by much).
fn allocated_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { (len.saturating_add(23) & !15).max(32) }
}

impl Kinds {
    /// Appends the kind of row number `row`.
    #[inline]
    fn push(&mut self, row: usize, kind: AtomKind) {
        match self {
            Kinds::Uniform(uniform) if *uniform == kind => {}
            Kinds::PerRow(kinds) => kinds.push(kind as u8),
            _ => self.extend_slowly(row, RowKinds::Uniform(kind), 1),
        }
    }

    /// Appends the kinds of `count` rows to those of `rows` rows.
    fn extend(&mut self, rows: usize, added: RowKinds<'_>, count: usize) {
        match (&mut *self, added) {
            (Kinds::Uniform(uniform), RowKinds::Uniform(kind)) if *uniform == kind => {}
            (Kinds::PerRow(kinds), RowKinds::Uniform(kind)) => {
                kinds.resize(kinds.len().saturating_add(count), kind as u8);
            }
            (Kinds::PerRow(kinds), RowKinds::PerRow(added)) => kinds.extend_from_slice(added),
            _ => self.extend_slowly(rows, added, count),
        }
    }

    /// The rest of `extend`: the first rows, and the first row of a second kind.
    #[cold]
    fn extend_slowly(&mut self, rows: usize, added: RowKinds<'_>, count: usize) {
        if count == 0 {
            return;
        }
        let added = normalized(added);
        match (&*self, added) {
            (Kinds::Empty, RowKinds::Uniform(kind)) => *self = Kinds::Uniform(kind),
            (Kinds::Empty, RowKinds::PerRow(kinds)) => *self = Kinds::PerRow(kinds.to_vec()),
            (Kinds::Uniform(uniform), RowKinds::Uniform(kind)) if *uniform == kind => {}
            (Kinds::Uniform(uniform), _) => {
                *self = Kinds::PerRow(vec![*uniform as u8; rows]);
                self.extend(rows, added, count);
            }
            (Kinds::PerRow(_), _) => self.extend(rows, added, count),
        }
    }
}

/// `Uniform` where all rows are of one kind.
fn normalized(kinds: RowKinds<'_>) -> RowKinds<'_> {
    if let RowKinds::PerRow(numbers) = kinds
        && let Some(first) = numbers.first()
        && numbers.iter().all(|number| number == first)
        && let Some(kind) = AtomKind::from_u8(*first)
    {
        return RowKinds::Uniform(kind);
    }
    kinds
}

/// Growing.
impl Points {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Room for `rows` rows; texts and bytes allocate as they come.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let mut points = Self::default();
        points.reserve(rows);
        points
    }

    /// Room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.timestamps.reserve(rows);
        self.bits.reserve(rows);
        if let Kinds::PerRow(kinds) = &mut self.kinds {
            kinds.reserve(rows);
        }
    }

    /// Appends a copy of `atom`.
    #[inline]
    pub(crate) fn push(&mut self, timestamp: i64, atom: &Atom) {
        match atom {
            Atom::Null => self.push_number(timestamp, AtomKind::Null, 0),
            Atom::Float(value) => self.push_number(timestamp, AtomKind::Float, value.to_bits()),
            Atom::Int(value) => self.push_number(timestamp, AtomKind::Int, value.cast_unsigned()),
            Atom::Text(value) => self.push_blob(timestamp, AtomKind::Text, value.as_bytes().into()),
            Atom::Bytes(value) => {
                self.push_blob(timestamp, AtomKind::Bytes, value.as_slice().into());
            }
        }
    }

    /// Appends `atom`; the bytes of a text are not copied.
    #[inline]
    pub(crate) fn push_atom(&mut self, timestamp: i64, atom: Atom) {
        match atom {
            Atom::Text(value) => {
                self.push_blob(timestamp, AtomKind::Text, value.into_bytes().into());
            }
            Atom::Bytes(value) => self.push_blob(timestamp, AtomKind::Bytes, value.into()),
            number => self.push(timestamp, &number),
        }
    }

    /// Appends a null (`bits` is 0 then), a double or an integer by its bits.
    #[inline]
    pub(crate) fn push_number(&mut self, timestamp: i64, kind: AtomKind, bits: u64) {
        debug_assert!(!is_blob(kind as u8) && (kind != AtomKind::Null || bits == 0));
        self.kinds.push(self.timestamps.len(), kind);
        self.timestamps.push(timestamp);
        self.bits.push(bits);
    }

    /// Appends a text, which the caller knows to be UTF-8, or bytes.
    pub(crate) fn push_blob(&mut self, timestamp: i64, kind: AtomKind, blob: Box<[u8]>) {
        debug_assert!(is_blob(kind as u8));
        self.kinds.push(self.timestamps.len(), kind);
        self.timestamps.push(timestamp);
        self.bits.push(self.blobs.len() as u64);
        self.blob_bytes = self.blob_bytes.saturating_add(allocated_bytes(blob.len()));
        self.blobs.push(blob);
    }

    /// Appends one double per timestamp.
    ///
    /// # Panics
    ///
    /// If the slices differ in length.
    pub(crate) fn extend_floats(&mut self, timestamps: &[i64], values: &[f64]) {
        assert_eq!(timestamps.len(), values.len(), "a timestamp for every value");
        self.extend_numbers(
            AtomKind::Float,
            timestamps.iter().copied(),
            values.iter().map(|value| value.to_bits()),
        );
    }

    /// Appends one integer per timestamp.
    ///
    /// # Panics
    ///
    /// If the slices differ in length.
    pub(crate) fn extend_ints(&mut self, timestamps: &[i64], values: &[i64]) {
        assert_eq!(timestamps.len(), values.len(), "a timestamp for every value");
        self.extend_numbers(
            AtomKind::Int,
            timestamps.iter().copied(),
            values.iter().map(|value| value.cast_unsigned()),
        );
    }

    /// Appends numbers of one kind, or nulls, from two iterators of the same length.
    pub(crate) fn extend_numbers(
        &mut self,
        kind: AtomKind,
        timestamps: impl Iterator<Item = i64>,
        bits: impl Iterator<Item = u64>,
    ) {
        let rows = self.timestamps.len();
        self.timestamps.extend(timestamps);
        self.bits.extend(bits);
        debug_assert_eq!(self.timestamps.len(), self.bits.len());
        let added = self.timestamps.len().saturating_sub(rows);
        self.kinds.extend(rows, RowKinds::Uniform(kind), added);
    }

    /// Appends numbers and nulls, whose bits are 0, of these kinds.
    pub(crate) fn extend_numbers_or_nulls(
        &mut self,
        kinds: &[u8],
        timestamps: impl Iterator<Item = i64>,
        bits: impl Iterator<Item = u64>,
    ) {
        let rows = self.timestamps.len();
        self.timestamps.extend(timestamps);
        self.bits.extend(bits);
        debug_assert_eq!(self.timestamps.len(), self.bits.len());
        debug_assert_eq!(self.timestamps.len(), rows.saturating_add(kinds.len()));
        debug_assert!(!kinds.iter().any(|kind| is_blob(*kind)));
        self.kinds.extend(rows, RowKinds::PerRow(kinds), kinds.len());
    }

    /// Appends the rows `range` of `other`.
    ///
    /// # Panics
    ///
    /// If `other` does not have these rows.
    #[expect(clippy::indexing_slicing, reason = "asking for absent rows is a bug and panics")]
    pub(crate) fn extend_from(&mut self, other: &Points, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let rows = self.timestamps.len();
        let added = other.kinds(range.clone());
        self.kinds.extend(rows, added, range.len());
        self.timestamps.extend_from_slice(&other.timestamps[range.clone()]);
        self.bits.extend_from_slice(&other.bits[range.clone()]);
        if other.blobs.is_empty() {
            return;
        }
        let from = other.blobs_before(range.start);
        let to = from.saturating_add(blobs_among(added, range.len()));
        let first = self.blobs.len() as u64;
        let new_bits = &mut self.bits[rows..];
        renumber_blobs(new_bits, added, |blob| blob.wrapping_sub(from as u64).wrapping_add(first));
        for blob in &other.blobs[from..to] {
            self.blob_bytes = self.blob_bytes.saturating_add(allocated_bytes(blob.len()));
            self.blobs.push(blob.clone());
        }
    }
}

/// Reading.
impl Points {
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    pub(crate) fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// One slot per row: the bits of doubles and integers, 0 for nulls; for texts and bytes the
    /// content means nothing to a caller.
    pub(crate) fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// The zone map of the rows `rows`.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub(crate) fn zone_map(&self, rows: Range<usize>) -> super::ZoneMap {
        super::builder::zone_map(self, rows).0
    }

    /// The kind of all rows, if they are of one kind and there are any.
    ///
    /// May be `None` for rows that are of one kind since others were truncated at the back.
    pub(crate) fn uniform_kind(&self) -> Option<AtomKind> {
        if let Kinds::Uniform(kind) = self.kinds { Some(kind) } else { None }
    }

    /// The kinds of the rows `range`.
    #[expect(clippy::indexing_slicing, reason = "asking for absent rows is a bug and panics")]
    pub(crate) fn kinds(&self, range: Range<usize>) -> RowKinds<'_> {
        assert!(range.start <= range.end && range.end <= self.len(), "the rows exist");
        match &self.kinds {
            Kinds::Empty => RowKinds::Uniform(AtomKind::Null),
            Kinds::Uniform(kind) => RowKinds::Uniform(*kind),
            Kinds::PerRow(kinds) => RowKinds::PerRow(&kinds[range]),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "asking for an absent row is a bug and panics")]
    pub(crate) fn kind(&self, row: usize) -> AtomKind {
        assert!(row < self.len(), "the row exists");
        match &self.kinds {
            Kinds::Empty => AtomKind::Null,
            Kinds::Uniform(kind) => *kind,
            Kinds::PerRow(kinds) => AtomKind::from_u8(kinds[row]).unwrap_or(AtomKind::Null),
        }
    }

    /// The bits of the double or integer in `row`; 0 for a null.
    #[expect(clippy::indexing_slicing, reason = "asking for an absent row is a bug and panics")]
    pub(crate) fn number_bits(&self, row: usize) -> u64 {
        debug_assert!(!is_blob(self.kind(row) as u8));
        self.bits[row]
    }

    /// The content of the text or bytes in `row`; empty for the other kinds.
    #[expect(clippy::indexing_slicing, reason = "asking for an absent row is a bug and panics")]
    pub(crate) fn blob(&self, row: usize) -> &[u8] {
        if !is_blob(self.kind(row) as u8) {
            return &[];
        }
        usize::try_from(self.bits[row]).map_or(&[], |blob| &self.blobs[blob])
    }

    /// A copy of the value in `row`.
    pub(crate) fn atom(&self, row: usize) -> Atom {
        match self.kind(row) {
            AtomKind::Null => Atom::Null,
            AtomKind::Float => Atom::Float(f64::from_bits(self.number_bits(row))),
            AtomKind::Int => Atom::Int(self.number_bits(row).cast_signed()),
            // Texts are UTF-8 when they come in; lossy is the conversion that needs no panic.
            AtomKind::Text => Atom::Text(String::from_utf8_lossy(self.blob(row)).into_owned()),
            AtomKind::Bytes => Atom::Bytes(self.blob(row).to_vec()),
        }
    }

    /// A copy of the point in `row`.
    #[expect(clippy::indexing_slicing, reason = "asking for an absent row is a bug and panics")]
    pub(crate) fn point(&self, row: usize) -> Point {
        Point { timestamp: self.timestamps[row], value: self.atom(row) }
    }

    /// A copy of the rows `range`.
    ///
    /// # Panics
    ///
    /// If these rows do not exist.
    pub(crate) fn slice(&self, range: Range<usize>) -> Points {
        let mut points = Points::with_capacity(range.len());
        points.extend_from(self, range);
        points
    }

    /// Bytes the allocator holds for these points: capacities, not lengths.
    pub(crate) fn memory_bytes(&self) -> usize {
        let kinds = if let Kinds::PerRow(kinds) = &self.kinds { kinds.capacity() } else { 0 };
        let words = self.timestamps.capacity().saturating_add(self.bits.capacity());
        words
            .saturating_mul(8)
            .saturating_add(kinds)
            .saturating_add(self.blobs.capacity().saturating_mul(size_of::<Box<[u8]>>()))
            .saturating_add(self.blob_bytes)
    }

    /// How many texts and bytes stand before `row`.
    fn blobs_before(&self, row: usize) -> usize {
        if self.blobs.is_empty() { 0 } else { blobs_among(self.kinds(0..row), row) }
    }
}

/// Shrinking.
impl Points {
    /// Keeps the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows >= self.len() {
            return;
        }
        let kept = self.blobs_before(rows);
        self.timestamps.truncate(rows);
        self.bits.truncate(rows);
        if let Kinds::PerRow(kinds) = &mut self.kinds {
            kinds.truncate(rows);
        }
        self.drop_blobs(kept..self.blobs.len());
        self.forget_kind_when_empty();
    }

    fn drop_blobs(&mut self, range: Range<usize>) {
        for blob in self.blobs.drain(range) {
            self.blob_bytes = self.blob_bytes.saturating_sub(allocated_bytes(blob.len()));
        }
    }

    fn forget_kind_when_empty(&mut self) {
        if self.timestamps.is_empty() {
            self.kinds = Kinds::Empty;
        }
    }
}

/// How many of `rows` rows of these kinds are texts or bytes.
fn blobs_among(kinds: RowKinds<'_>, rows: usize) -> usize {
    match kinds {
        RowKinds::Uniform(kind) => {
            if is_blob(kind as u8) {
                rows
            } else {
                0
            }
        }
        RowKinds::PerRow(kinds) => kinds.iter().filter(|kind| is_blob(**kind)).count(),
    }
}

/// Changes the numbers of the blobs in `bits`, whose rows have these kinds.
fn renumber_blobs(bits: &mut [u64], kinds: RowKinds<'_>, number: impl Fn(u64) -> u64) {
    match kinds {
        RowKinds::Uniform(kind) => {
            if is_blob(kind as u8) {
                bits.iter_mut().for_each(|blob| *blob = number(*blob));
            }
        }
        RowKinds::PerRow(kinds) => {
            for (blob, _) in bits.iter_mut().zip(kinds).filter(|(_, kind)| is_blob(**kind)) {
                *blob = number(*blob);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::testing::{assert_same_points, atoms, points_of};

    #[test]
    fn kinds_take_no_room_until_a_second_one_arrives() {
        let mut points = Points::new();
        assert_eq!(points.uniform_kind(), None);
        points.push(1, &Atom::Float(1.5));
        points.push(2, &Atom::Float(f64::NAN));
        assert_eq!(points.uniform_kind(), Some(AtomKind::Float));
        points.push(3, &Atom::Text("a\0b".into()));
        assert_eq!(points.uniform_kind(), None);
        assert_eq!(points.kind(1), AtomKind::Float);
        assert_eq!(points.point(2), Point { timestamp: 3, value: Atom::Text("a\0b".into()) });
        let last = points.slice(2..3);
        assert_eq!(last.uniform_kind(), Some(AtomKind::Text));
        assert_eq!(last.blob(0), b"a\0b");
        points.truncate(0);
        assert_eq!(points.uniform_kind(), None);
        assert_eq!(points.blob_bytes, 0);
    }

    #[test]
    fn memory_counts_what_the_allocator_holds() {
        let mut points = Points::with_capacity(100);
        assert!(points.memory_bytes() >= 1600);
        points.push_atom(1, Atom::Bytes(vec![0; 1000]));
        assert!(points.memory_bytes() >= 2600);
    }

    proptest! {
        #[test]
        fn ranges_move_between_containers(
            left in atoms(0..40), right in atoms(0..40), cut in (0usize..40, 0usize..40),
        ) {
            let (older, newer) = (points_of(&left), points_of(&right));
            let (from, to) = (cut.0.min(cut.1).min(right.len()), cut.0.max(cut.1).min(right.len()));

            let mut expected = left.clone();
            expected.extend_from_slice(&right[from..to]);
            let mut joined = older.clone();
            joined.extend_from(&newer, from..to);
            assert_same_points(&joined, &points_of(&expected));
            assert_same_points(&newer.slice(from..to), &points_of(&right[from..to]));

            let all: Vec<_> = left.iter().chain(&right).cloned().collect();
            let mut concat = older;
            concat.extend_from(&newer, 0..newer.len());
            assert_same_points(&concat, &points_of(&all));
            prop_assert_eq!(concat.blob_bytes, points_of(&all).blob_bytes);

            let rest = cut.1.min(concat.len());
            concat.truncate(rest);
            assert_same_points(&concat, &points_of(&all[..rest]));
            prop_assert_eq!(concat.blob_bytes, points_of(&all[..rest]).blob_bytes);
            concat.push_atom(7, Atom::Text("next".into()));
            prop_assert_eq!(concat.blob(rest), b"next");
        }
    }
}
