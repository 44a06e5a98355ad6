//! The inner loops of the encodings, over vectors of [`VECTOR`] words.
//!
//! Written so that compilers turn them into vector instructions of whatever width they may use:
//! [`super::simd`] compiles every one of them twice and chooses at run time. Nothing here can
//! fail; what the words mean is the callers' affair.
//!
//! A full vector is packed in rows of [`LANES`] words: word `16 r + l` takes the bits
//! `[r w, r w + w)` of lane `l`, and the 64-bit words of the lanes lie beside one another. Neighbours
//! are therefore shifted by the same count, which is what makes packing fast. (The layout is that
//! of the FastLanes paper, VLDB 2023, without its permutation of the rows.)

// Compiled for two sets of instructions: a call that is not inlined would have only one.
#![allow(clippy::inline_always)]

/// Words that are packed together.
pub(super) const VECTOR: usize = 1024;
/// Words of a row.
pub(super) const LANES: usize = 16;
/// Bytes of a row of packed words.
const ROW_BYTES: usize = LANES * 8;

pub(super) type Vector = [u64; VECTOR];
/// How many words need how many bits.
pub(super) type Widths = [u16; 65];

/// Numbers of at most 51 bits become doubles by being put into the mantissa of 1.5 * 2^52.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// The bits below `width`.
#[inline(always)]
pub(super) fn mask(width: u32) -> u64 {
    1_u64.checked_shl(width).map_or(u64::MAX, |bit| bit.wrapping_sub(1))
}

/// The double of an ALP integer: exact within 51 bits, some other double beyond.
#[inline(always)]
pub(super) fn to_float(int: u64) -> f64 {
    f64::from_bits(int.wrapping_add(MAGIC.to_bits())) - MAGIC
}

/// The nearest integer of a double within 51 bits; something else beyond.
#[inline(always)]
pub(super) fn to_int(float: f64) -> u64 {
    (float + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits())
}

/// `out = base +` the words of `width` bits in `packed`; missing bytes count as zeros.
#[inline(always)]
pub(super) fn unpack(packed: &[u8], width: u32, base: u64, out: &mut Vector) {
    const ZEROS: [u8; ROW_BYTES] = [0; ROW_BYTES];
    let rows = packed.as_chunks::<ROW_BYTES>().0;
    let mask = mask(width);
    let mut bit = 0_u32;
    for out in out.as_chunks_mut::<LANES>().0 {
        let (word, shift) = ((bit / 64) as usize, bit % 64);
        let low = rows.get(word).unwrap_or(&ZEROS).as_chunks::<8>().0;
        let high = rows.get(word.wrapping_add(1)).unwrap_or(&ZEROS).as_chunks::<8>().0;
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            let low = u64::from_le_bytes(*low) >> shift;
            // Two shifts, because one by 64 is none.
            let high = u64::from_le_bytes(*high) << 1 << (63 - shift);
            *out = base.wrapping_add((low | high) & mask);
        }
        bit = bit.wrapping_add(width);
    }
}

/// Packs the lowest `width` bits of `words - base` into the first `width` rows of `out`.
#[inline(always)]
pub(super) fn pack(words: &Vector, width: u32, base: u64, out: &mut Vector) {
    let mask = mask(width);
    let mut rows = out.as_chunks_mut::<LANES>().0.iter_mut();
    let mut row = [0_u64; LANES];
    let mut shift = 0_u32;
    for words in words.as_chunks::<LANES>().0 {
        let mut rest = [0_u64; LANES];
        for ((row, rest), word) in row.iter_mut().zip(&mut rest).zip(words) {
            let bits = word.wrapping_sub(base) & mask;
            *row |= bits << shift;
            *rest = bits >> 1 >> (63 - shift);
        }
        shift = shift.wrapping_add(width);
        if shift >= 64 {
            shift -= 64;
            if let Some(out) = rows.next() {
                *out = row;
            }
            row = rest;
        }
    }
}

/// The smallest and the largest word, as signed numbers.
#[inline(always)]
pub(super) fn min_max(words: &[u64]) -> (i64, i64) {
    let mut lanes = [(i64::MAX, i64::MIN); LANES];
    let (rows, rest) = words.as_chunks::<LANES>();
    for row in rows.iter().map(<[u64; LANES]>::as_slice).chain([rest]) {
        for ((min, max), word) in lanes.iter_mut().zip(row) {
            let word = word.cast_signed();
            *min = if word < *min { word } else { *min };
            *max = if word > *max { word } else { *max };
        }
    }
    lanes.iter().fold((i64::MAX, i64::MIN), |(min, max), lane| (min.min(lane.0), max.max(lane.1)))
}

/// A signed number with its sign in the lowest bit.
#[inline(always)]
pub(super) fn zigzag(word: u64) -> u64 {
    (word << 1) ^ (word.cast_signed() >> 63).cast_unsigned()
}

/// The reverse of [`zigzag`].
#[inline(always)]
pub(super) fn unzigzag(word: u64) -> u64 {
    (word >> 1) ^ (word & 1).wrapping_neg()
}

/// Counts the bits that `words - min` need, and with their sign `words - center`. At most 65,535
/// words.
#[inline(always)]
pub(super) fn widths(words: &[u64], min: u64, center: u64) -> [Widths; 2] {
    // Neighbours mostly need the same number of bits, and an addition to the cell that the one
    // before was added to has to wait for it: four tables in turn.
    let mut tables = [[[0_u16; 65]; 2]; 4];
    let (rows, rest) = words.as_chunks::<4>();
    let count = |table: &mut Widths, bits: u64| {
        if let Some(cell) = table.get_mut(64_usize.wrapping_sub(bits.leading_zeros() as usize)) {
            *cell = cell.wrapping_add(1);
        }
    };
    for row in rows.iter().map(<[u64; 4]>::as_slice).chain([rest]) {
        for ([from_min, from_center], word) in tables.iter_mut().zip(row) {
            count(from_min, word.wrapping_sub(min));
            count(from_center, zigzag(word.wrapping_sub(center)));
        }
    }
    let mut sums = [[0_u16; 65]; 2];
    for table in &tables {
        for (sum, cell) in sums.as_flattened_mut().iter_mut().zip(table.as_flattened()) {
            *sum = sum.wrapping_add(*cell);
        }
    }
    sums
}

/// Running sums of `words` from `sum` on.
#[inline(always)]
pub(super) fn scan(words: &mut [u64], sum: &mut u64) {
    let mut total = *sum;
    for word in words {
        total = total.wrapping_add(*word);
        *word = total;
    }
    *sum = total;
}

/// Running sums of `words` from `sum` on, as bytes.
#[inline(always)]
pub(super) fn scan_store(words: &[u64], sum: &mut u64, out: &mut [[u8; 8]]) {
    let mut total = *sum;
    for (out, word) in out.iter_mut().zip(words) {
        total = total.wrapping_add(*word);
        *out = total.to_le_bytes();
    }
    *sum = total;
}

/// Running sums of running sums.
#[inline(always)]
pub(super) fn scan_twice(words: &mut [u64], delta: &mut u64, sum: &mut u64) {
    let (mut step, mut total) = (*delta, *sum);
    for word in words {
        step = step.wrapping_add(*word);
        total = total.wrapping_add(step);
        *word = total;
    }
    (*delta, *sum) = (step, total);
}

/// `words * factor`.
#[inline(always)]
pub(super) fn multiply(words: &mut [u64], factor: u64) {
    for word in words {
        *word = word.wrapping_mul(factor);
    }
}

/// `words + start`.
#[inline(always)]
pub(super) fn add(words: &mut [u64], start: u64) {
    for word in words {
        *word = word.wrapping_add(start);
    }
}

/// The words as bytes.
#[inline(always)]
pub(super) fn store(words: &[u64], out: &mut [[u8; 8]]) {
    for (out, word) in out.iter_mut().zip(words) {
        *out = word.to_le_bytes();
    }
}

/// The doubles of ALP integers as bytes: `int * up * down`.
#[inline(always)]
pub(super) fn store_decimals(ints: &[u64], up: f64, down: f64, out: &mut [[u8; 8]]) {
    for (out, int) in out.iter_mut().zip(ints) {
        *out = (to_float(*int) * up * down).to_le_bytes();
    }
}

/// The ALP integers of doubles: the nearest to `float * up * down`. `wrong` is zero for every
/// double that its integer, of at most 51 bits, gives back by `int * back_up * back_down`.
#[inline(always)]
pub(super) fn to_decimals(
    floats: &[u64],
    [up, down, back_up, back_down]: [f64; 4],
    ints: &mut [u64],
    wrong: &mut [u64],
) {
    for ((float, int), wrong) in floats.iter().zip(ints).zip(wrong) {
        *int = to_int(f64::from_bits(*float) * up * down);
        let found = to_float(*int) * back_up * back_down;
        // Beyond 51 bits the magic fails in both directions, and NaNs even come back.
        let too_large = int.wrapping_add(1 << 51) >> 52;
        *wrong = (found.to_bits() ^ float) | too_large;
    }
}

/// Maps the bits of doubles to integers of the same order, and back.
#[inline(always)]
pub(super) fn ordered(word: u64) -> u64 {
    word ^ ((word.cast_signed() >> 63).cast_unsigned() >> 1)
}

/// Running sums of `words` from `sum` on, mapped to the bits of doubles, as bytes.
#[inline(always)]
pub(super) fn scan_store_ordered(words: &mut [u64], sum: &mut u64, out: &mut [[u8; 8]]) {
    // In two passes: the second one is done by vector instructions.
    scan(words, sum);
    for (out, word) in out.iter_mut().zip(words) {
        *out = ordered(*word).to_le_bytes();
    }
}

/// Differences of neighbours; the first one is to `before`.
#[inline(always)]
pub(super) fn differences(words: &[u64], before: u64, out: &mut [u64]) {
    let Some(first) = words.first() else { return };
    if let Some(out) = out.first_mut() {
        *out = first.wrapping_sub(before);
    }
    let pairs = words.iter().zip(words.iter().skip(1));
    for (out, (a, b)) in out.iter_mut().skip(1).zip(pairs) {
        *out = b.wrapping_sub(*a);
    }
}
