//! Doubles that are decimals, as integers (ALP: Afroozeh, Kuffó, Boncz, SIGMOD 2024).
//!
//! A double that was once written with a few decimals is the nearest double to
//! integer * 10^f * 10^-e for a small integer, and two multiplications give it back to the bit.
//! Which e and f do so for most values is found from a sample. Whatever is not given back (NaNs,
//! -0.0, numbers with too many digits) stands apart: the most frequent bit pattern of those once,
//! with its places, so that a column with missing values is none the larger for it; the others
//! each with all its bits.
//!
//! ```text
//!  0  u8   e, 0 to 18
//!  1  u8   f, 0 to e
//!  2  u8   how the places of the special value are given: 0 there is none, 1 places, 2 bitmap,
//!          3 runs
//!  3  u8   zero
//!  4  u32  number of special values
//!  8  u32  number of other exceptions
//! 12  u64  the bits of the special value
//! 20       the integers (order 0: alp; order 1: alp delta), see `integer`
//!          places of the special value: u16 each; or one bit a row, lowest first; or the lengths
//!          of runs in turn without and with it, u32 their number, packed
//!          u16 for each exception: its row
//!          u64 for each exception: its bits
//! ```

use super::Decode;
use super::integer::{self, Order, Packing, Sample, Scratch};
use super::kernels::VECTOR;
use super::{packed, runs, simd};

/// 10^e as the nearest double.
const UP: [f64; 19] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];
/// 10^-e as the nearest double.
const DOWN: [f64; 19] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14,
    1e-15, 1e-16, 1e-17, 1e-18,
];

/// Bits that a value takes which is not the double of its integer.
const EXCEPTION_BITS: f64 = 80.0;

/// The two exponents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exponents {
    e: u8,
    f: u8,
}

impl Exponents {
    fn new(e: u8, f: u8) -> Option<Exponents> {
        (f <= e && usize::from(e) < UP.len()).then_some(Exponents { e, f })
    }

    /// 10^e, 10^-f, 10^f, 10^-e: there and back.
    fn factors(self) -> [f64; 4] {
        let at =
            |table: &[f64; 19], place: u8| table.get(usize::from(place)).copied().unwrap_or(1.0);
        [at(&UP, self.e), at(&DOWN, self.f), at(&UP, self.f), at(&DOWN, self.e)]
    }
}

/// What a column takes as decimals, from a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) exponents: Exponents,
    pub(super) integers: integer::Estimate,
    pub(super) bits_per_value: f64,
}

/// The integers of doubles, exceptions given the integer before them; how many are exceptions
/// beside those of one bit pattern, and how many have that.
fn integers(floats: &[u64], exponents: Exponents) -> (Vec<u64>, Exceptions) {
    let mut ints = vec![0; floats.len()];
    let mut wrong = vec![0; floats.len()];
    simd::to_decimals(floats, exponents.factors(), &mut ints, &mut wrong);
    let exceptions = Exceptions::take_out(floats, &mut ints, &wrong);
    (ints, exceptions)
}

/// What is not the double of its integer.
#[derive(Debug, Default)]
struct Exceptions {
    special: u64,
    /// Rows of the special value.
    special_rows: Vec<u32>,
    rows: Vec<u32>,
    bits: Vec<u64>,
}

impl Exceptions {
    /// Finds them, and puts in the place of each the integer before it (the next good one at the
    /// front): the difference that costs least.
    fn take_out(floats: &[u64], ints: &mut [u64], wrong: &[u64]) -> Exceptions {
        const STRETCH: usize = 32;
        let mut found = Exceptions::default();
        let mut all: Vec<u32> = Vec::new();
        for (stretch, first) in wrong.chunks(STRETCH).zip((0_u32..).step_by(STRETCH)) {
            if stretch.iter().fold(0, |any, wrong| any | wrong) == 0 {
                continue;
            }
            all.extend((first..).zip(stretch).filter(|(_, w)| **w != 0).map(|(row, _)| row));
        }
        let bits_of = |row: &u32| floats.get(*row as usize).copied().unwrap_or(0);
        // The pattern of more than half of them, if there is one (Boyer and Moore).
        let mut lead = 0_u32;
        for bits in all.iter().map(bits_of) {
            if lead == 0 {
                found.special = bits;
            }
            lead = if bits == found.special { lead + 1 } else { lead - 1 };
        }
        let special = found.special;
        (found.special_rows, found.rows) =
            all.iter().copied().partition(|row| bits_of(row) == special);
        // A few of them are no more than exceptions, and then nothing is special.
        found.bits = found.rows.iter().map(bits_of).collect();
        let first_good = wrong.iter().position(|wrong| *wrong == 0).unwrap_or(0);
        let mut before = ints.get(first_good).copied().unwrap_or(0);
        for row in all {
            let row = row as usize;
            if row > first_good {
                before = ints.get(row.wrapping_sub(1)).copied().unwrap_or(0);
            }
            if let Some(int) = ints.get_mut(row) {
                *int = before;
            }
        }
        if found.special_rows.is_empty() {
            found.special = 0;
        }
        found
    }

    /// Bits that they take in a column of so many values.
    fn bits(&self, len: usize) -> f64 {
        let special = (self.special_rows.len() * 16).min(len) as f64;
        special + self.rows.len() as f64 * EXCEPTION_BITS
    }
}

/// Chooses exponents and order for a column like the sample. `hint` are the exponents of the
/// column before it, which are kept while they fit as well as any could.
pub(super) fn estimate(
    sample: &Sample,
    hint: Option<Exponents>,
    orders: &[Order],
) -> Option<Estimate> {
    let all: Vec<u64> = sample.spread.iter().flatten().copied().collect();
    let few = few_of(&all);
    let exponents = match hint {
        Some(exponents) if fit(&few, exponents).1 == 0 => exponents,
        _ => search(&few, &all)?,
    };
    let mut exceptions = 0.0;
    let mut count = 0_usize;
    let integers = sample.map(|floats| {
        let (ints, apart) = integers(floats, exponents);
        exceptions += apart.bits(floats.len());
        count += floats.len();
        ints
    });
    let integers = integer::estimate(&integers, orders);
    let bits_per_value = integers.bits_per_value + exceptions / count.max(1) as f64;
    Some(Estimate { exponents, integers, bits_per_value })
}

/// Some of the values, enough to find exponents.
fn few_of(all: &[u64]) -> Vec<u64> {
    const FEW: usize = 32;
    let step = (all.len() / FEW).max(1);
    all.iter().copied().step_by(step).take(FEW).collect()
}

/// What a column is most likely to be as decimals, by a few of its values; `None` if these are none.
pub(super) fn guess(floats: &[u64], hint: Option<Exponents>) -> Option<Estimate> {
    let few = few_of(floats);
    let exponents = match hint {
        Some(exponents) if fit(&few, exponents).1 == 0 => exponents,
        _ => search(&few, &few)?,
    };
    let integers = integer::Estimate { order: Order::One, divisor: 1, bits_per_value: 0.0 };
    Some(Estimate { exponents, integers, bits_per_value: 0.0 })
}

/// The exponents that give the smallest integers of `few` with the fewest exceptions, and of
/// those that divide by the same power of ten the ones with the fewest exceptions among `all`: how
/// often the two roundings meet the number differs.
fn search(few: &[u64], all: &[u64]) -> Option<Exponents> {
    /// Where the roundings meet most numbers of few digits.
    const E: u8 = 14;
    let at_e = |digits: u8| {
        let e = digits.max(E);
        Exponents::new(e, e - digits)
    };
    let mut least = (f64::INFINITY, 0, 0);
    for digits in 0..=18 {
        let Some(exponents) = at_e(digits) else { continue };
        let (width, exceptions) = fit(few, exponents);
        let bits = f64::from(width) * few.len() as f64 + exceptions as f64 * EXCEPTION_BITS;
        // More digits of the same numbers are larger integers.
        if bits < least.0 {
            least = (bits, digits, exceptions);
        }
        if exceptions == 0 {
            break;
        }
    }
    let (_, digits, exceptions) = least;
    if exceptions * 2 > few.len() {
        return None;
    }
    let first = at_e(digits)?;
    let (_, failed) = fit(all, first);
    if failed == 0 {
        return Some(first);
    }
    let others = (0..=18 - digits).filter_map(|f| Exponents::new(digits + f, f));
    let best = others.map(|other| (fit(all, other).1, other)).min_by_key(|(failed, _)| *failed);
    best.filter(|(other, _)| *other < failed).map(|(_, other)| other).or(Some(first))
}

/// How many bits the integers of at most 256 doubles need, and how many doubles are not given back
/// by theirs, those of the most frequent bit pattern left out.
fn fit(floats: &[u64], exponents: Exponents) -> (u32, usize) {
    let (mut ints, mut wrong) = ([0; 256], [0; 256]);
    simd::to_decimals(floats, exponents.factors(), &mut ints, &mut wrong);
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    let (mut exceptions, mut special, mut lead, mut specials) = (0_usize, 0_u64, 0_u32, 0_usize);
    for ((float, int), wrong) in floats.iter().zip(ints).zip(wrong) {
        if wrong == 0 {
            let int = int.cast_signed();
            (min, max) = (min.min(int), max.max(int));
            continue;
        }
        exceptions += 1;
        if lead == 0 {
            (special, specials) = (*float, 0);
        }
        if *float == special {
            lead += 1;
            specials += 1;
        } else {
            lead -= 1;
        }
    }
    let width = if min > max { 0 } else { 64 - max.abs_diff(min).leading_zeros() };
    (width, exceptions - specials)
}

/// Appends the doubles.
pub(super) fn encode(
    floats: &[u64],
    estimate: &Estimate,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let (ints, apart) = integers(floats, estimate.exponents);
    let Exceptions { special, special_rows, rows, bits } = apart;
    let places = Places::of(&special_rows, floats.len());
    let len = |rows: &[u32]| u32::try_from(rows.len()).unwrap_or(u32::MAX);
    out.extend([estimate.exponents.e, estimate.exponents.f, places.number(), 0]);
    out.extend(len(&special_rows).to_le_bytes());
    out.extend(len(&rows).to_le_bytes());
    out.extend(special.to_le_bytes());
    integer::encode(&ints, estimate.integers.order, estimate.integers.divisor, scratch, out);
    places.encode(&special_rows, floats.len(), out);
    append_rows(&rows, out);
    bits.iter().for_each(|bits| out.extend(bits.to_le_bytes()));
}

fn append_rows(rows: &[u32], out: &mut Vec<u8>) {
    // A block has at most 65,536 rows.
    rows.iter().for_each(|row| out.extend(row.to_le_bytes().first_chunk::<2>().unwrap_or(&[0; 2])));
}

/// How the rows of the special value are stored.
enum Places {
    None,
    List,
    Bitmap,
    Runs(Vec<u64>),
}

impl Places {
    fn of(rows: &[u32], len: usize) -> Places {
        if rows.is_empty() {
            return Places::None;
        }
        let (list, bitmap) = (rows.len() * 2, len.div_ceil(8));
        let lens = run_lengths(rows, len);
        let run_bytes = usize::try_from(packed::estimate_bits(&lens) / 8).unwrap_or(usize::MAX);
        if run_bytes.saturating_add(16) < list.min(bitmap) {
            Places::Runs(lens)
        } else if bitmap < list {
            Places::Bitmap
        } else {
            Places::List
        }
    }

    fn number(&self) -> u8 {
        match self {
            Places::None => 0,
            Places::List => 1,
            Places::Bitmap => 2,
            Places::Runs(_) => 3,
        }
    }

    fn encode(&self, rows: &[u32], len: usize, out: &mut Vec<u8>) {
        match self {
            Places::None => {}
            Places::List => append_rows(rows, out),
            Places::Bitmap => {
                let start = out.len();
                out.resize(start + len.div_ceil(8), 0);
                let bitmap = out.split_at_mut(start).1;
                for row in rows {
                    if let Some(byte) = bitmap.get_mut(*row as usize / 8) {
                        *byte |= 1 << (row % 8);
                    }
                }
            }
            Places::Runs(lens) => runs::encode_lengths(lens, out),
        }
    }
}

/// Lengths of runs in turn without and with a row of `rows`.
fn run_lengths(rows: &[u32], len: usize) -> Vec<u64> {
    let mut lens = Vec::new();
    let mut end = 0_u64;
    let mut open: Option<(u64, u64)> = None;
    for row in rows.iter().map(|row| u64::from(*row)) {
        match &mut open {
            Some((_, last)) if *last == row => *last = row + 1,
            _ => {
                if let Some((first, last)) = open.take() {
                    lens.extend([first - end, last - first]);
                    end = last;
                }
                open = Some((row, row + 1));
            }
        }
    }
    if let Some((first, last)) = open {
        lens.extend([first - end, last - first]);
        end = last;
    }
    if end < len as u64 {
        lens.push(len as u64 - end);
    }
    lens
}

/// Writes the doubles.
pub(super) fn decode(
    stored: &[u8],
    order: Order,
    packing: Packing,
    out: &mut [[u8; 8]],
) -> Decode<()> {
    const SHORT: &str = "encoded decimals are cut short";
    let (head, ints) = stored.split_first_chunk::<20>().ok_or(SHORT)?;
    let [e, f, places, zero, specials @ .., _, _, _, _, _, _, _, _] = head;
    let [s0, s1, s2, s3, c0, c1, c2, c3] = *specials;
    let special_count = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
    let special = head.last_chunk::<8>().copied().unwrap_or_default();
    let exponents = Exponents::new(*e, *f).ok_or("the exponents of decimals are impossible")?;
    let len = out.len();
    let holds = *zero == 0
        && count <= len
        && special_count <= len
        && (special_count == 0) == (*places == 0);
    if !holds {
        return Err("the header of decimals contradicts itself");
    }
    let [_, _, up, down] = exponents.factors();
    let mut decoder = integer::Decoder::with_packing(ints, order, packing, len)?;
    let mut vector = [0; VECTOR];
    for out in out.chunks_mut(VECTOR) {
        let ints = decoder.next(&mut vector)?;
        simd::store_decimals(ints, up, down, out);
    }
    let mut rest = decoder.rest();
    let outside = "an exception lies outside its column";
    match *places {
        0 => {}
        1 => {
            let rows = rest.take(special_count * 2).ok_or(SHORT)?;
            for row in rows.as_chunks::<2>().0 {
                *out.get_mut(usize::from(u16::from_le_bytes(*row))).ok_or(outside)? = special;
            }
        }
        2 => {
            let bitmap = rest.take(len.div_ceil(8)).ok_or(SHORT)?;
            let mut found = 0;
            for (out, byte) in out.chunks_mut(8).zip(bitmap) {
                if *byte == 0 {
                    continue;
                }
                for (place, slot) in out.iter_mut().enumerate() {
                    if byte >> place & 1 == 1 {
                        *slot = special;
                        found += 1;
                    }
                }
            }
            if found != special_count {
                return Err("the special values of a column are not as many as it says");
            }
        }
        3 => {
            let mut found = 0;
            runs::decode_lengths(&mut rest, len, |run, range| {
                if run % 2 == 1 {
                    found += range.len();
                    out.get_mut(range).unwrap_or_default().fill(special);
                }
            })?;
            if found != special_count {
                return Err("the special values of a column are not as many as it says");
            }
        }
        _ => return Err("the places of special values are of an unknown form"),
    }
    let rows = rest.take(count * 2).ok_or(SHORT)?.as_chunks::<2>().0;
    let bits = rest.take(count * 8).ok_or(SHORT)?.as_chunks::<8>().0;
    for (row, bits) in rows.iter().zip(bits) {
        *out.get_mut(usize::from(u16::from_le_bytes(*row))).ok_or(outside)? = *bits;
    }
    if rest.is_empty() { Ok(()) } else { Err("bytes are left over behind a column") }
}
