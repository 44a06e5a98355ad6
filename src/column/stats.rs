//! What a block says about its rows without being decoded: its zone map.
//!
//! A read cuts time ranges with it, and counts, extremes and sums of whole blocks come from it
//! alone. The same columns always give the same zone map to the bit, on every machine, so that
//! `verify` can compute it again: sums run in row order, extremes follow the total order of
//! doubles, and a sum that is not a number is the one NaN of [`f64::NAN`].

use crate::atom::AtomKind;

/// Extremes, counts and sums of a run of rows: of a block, or of several merged in row order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ZoneMap {
    /// Smallest timestamp; 0 without rows.
    pub(crate) timestamp_min: i64,
    /// Largest timestamp; 0 without rows.
    pub(crate) timestamp_max: i64,
    /// Rows of each kind, by the number of the [`AtomKind`].
    pub(crate) counts: [u64; 5],
    /// Doubles that are NaN.
    pub(crate) nans: u64,
    /// All zero without doubles.
    pub(crate) float: FloatStats,
    /// All zero without integers.
    pub(crate) int: IntStats,
}

/// What is known about the doubles of some rows. Equality is by bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FloatStats {
    /// Smallest value that is not NaN, `-0.0` being below `0.0`; 0 if there is none.
    pub(crate) min: f64,
    /// Largest value that is not NaN, `-0.0` being below `0.0`; 0 if there is none.
    pub(crate) max: f64,
    /// `0.0` plus all values that are not NaN, in row order; over several blocks the sum of
    /// their sums.
    pub(crate) sum: f64,
    /// First value, NaN or not.
    pub(crate) first: f64,
    /// Last value, NaN or not.
    pub(crate) last: f64,
}

/// What is known about the integers of some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IntStats {
    /// Smallest value.
    pub(crate) min: i64,
    /// Largest value.
    pub(crate) max: i64,
    /// Exact sum.
    pub(crate) sum: i128,
    /// First value.
    pub(crate) first: i64,
    /// Last value.
    pub(crate) last: i64,
}

/// What is known about some timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimestampStats {
    /// Smallest.
    pub(crate) min: i64,
    /// Largest.
    pub(crate) max: i64,
    /// Whether none is smaller than the one before it.
    pub(crate) sorted: bool,
}

impl ZoneMap {
    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.counts.iter().fold(0, |rows, count| rows.saturating_add(*count))
    }

    /// Number of rows of `kind`.
    pub(crate) fn count(&self, kind: AtomKind) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or(0)
    }

    /// Number of doubles that are not NaN: those that `float.min`, `max` and `sum` are about.
    pub(crate) fn float_numbers(&self) -> u64 {
        self.count(AtomKind::Float).saturating_sub(self.nans)
    }

    pub(crate) fn set_timestamps(&mut self, stats: TimestampStats) {
        self.timestamp_min = stats.min;
        self.timestamp_max = stats.max;
    }

    /// Takes in the rows of `later`, which follow those of `self`.
    pub(crate) fn merge(&mut self, later: &ZoneMap) {
        if later.rows() == 0 {
            return;
        }
        if self.rows() == 0 {
            *self = *later;
            return;
        }
        self.timestamp_min = self.timestamp_min.min(later.timestamp_min);
        self.timestamp_max = self.timestamp_max.max(later.timestamp_max);
        self.merge_floats(later);
        self.merge_ints(later);
        for (count, added) in self.counts.iter_mut().zip(later.counts) {
            *count = count.saturating_add(added);
        }
        self.nans = self.nans.saturating_add(later.nans);
    }

    fn merge_floats(&mut self, later: &ZoneMap) {
        if later.count(AtomKind::Float) == 0 {
            return;
        }
        if self.count(AtomKind::Float) == 0 {
            self.float = later.float;
            return;
        }
        let (one, two) = (&mut self.float, &later.float);
        one.last = two.last;
        if later.float_numbers() == 0 {
            return;
        }
        if self.counts.get(AtomKind::Float as usize) == Some(&self.nans) {
            (one.min, one.max, one.sum) = (two.min, two.max, two.sum);
            return;
        }
        one.min = if two.min.total_cmp(&one.min).is_lt() { two.min } else { one.min };
        one.max = if two.max.total_cmp(&one.max).is_gt() { two.max } else { one.max };
        one.sum = one_nan(one.sum + two.sum);
    }

    fn merge_ints(&mut self, later: &ZoneMap) {
        if later.count(AtomKind::Int) == 0 {
            return;
        }
        if self.count(AtomKind::Int) == 0 {
            self.int = later.int;
            return;
        }
        let (one, two) = (&mut self.int, &later.int);
        one.min = one.min.min(two.min);
        one.max = one.max.max(two.max);
        one.sum = one.sum.wrapping_add(two.sum);
        one.last = two.last;
    }
}

impl PartialEq for FloatStats {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl FloatStats {
    /// Min, max, sum, first, last: the order in which a block record stores them.
    pub(crate) fn to_bits(self) -> [u64; 5] {
        [self.min, self.max, self.sum, self.first, self.last].map(f64::to_bits)
    }

    /// The reverse of [`FloatStats::to_bits`].
    pub(crate) fn from_bits(bits: [u64; 5]) -> Self {
        let [min, max, sum, first, last] = bits.map(f64::from_bits);
        FloatStats { min, max, sum, first, last }
    }

    /// The sum of each run of doubles in row order without NaNs, and how many of these there are:
    /// the same as [`FloatStats::of`] finds, in less time.
    ///
    /// An addition has to wait for the one before it, so two runs are added up side by side.
    pub(crate) fn sums_of(runs: &[&[f64]]) -> Vec<(f64, u64)> {
        let mut sums = vec![(0.0_f64, 0_u64); runs.len()];
        let mut waiting = sums.iter_mut().zip(runs.iter().copied());
        let (mut one, mut two) = (waiting.next(), waiting.next());
        while let (Some((sum_one, rest_one)), Some((sum_two, rest_two))) = (&mut one, &mut two) {
            let common = rest_one.len().min(rest_two.len());
            let (head_one, tail_one) = rest_one.split_at(common);
            let (head_two, tail_two) = rest_two.split_at(common);
            let (mut left, mut right) = (**sum_one, **sum_two);
            for (a, b) in head_one.iter().zip(head_two) {
                add(&mut left, *a);
                add(&mut right, *b);
            }
            (**sum_one, **sum_two) = (left, right);
            (*rest_one, *rest_two) = (tail_one, tail_two);
            if tail_one.is_empty() {
                one = waiting.next();
            }
            if tail_two.is_empty() {
                two = waiting.next();
            }
        }
        for (sum, rest) in one.into_iter().chain(two) {
            rest.iter().for_each(|value| add(sum, *value));
        }
        sums.iter_mut().for_each(|(sum, _)| *sum = one_nan(*sum));
        sums
    }

    /// Statistics of doubles in row order, given as anything that converts to them, and how many
    /// are NaN.
    ///
    /// Extremes and NaNs are gathered in independent lanes, which compilers turn into vector
    /// instructions; the sum is a single chain, because its order is part of the format.
    #[inline]
    pub(crate) fn of<T: Copy>(values: &[T], float: impl Fn(T) -> f64) -> (Self, u64) {
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return (Self::default(), 0);
        };
        let mut lanes = [(f64::INFINITY, f64::NEG_INFINITY, 0_u64); 4];
        let mut sum = 0.0_f64;
        let (groups, rest) = values.as_chunks::<4>();
        for group in groups.iter().map(<[T; 4]>::as_slice).chain([rest]) {
            for (value, (min, max, nans)) in group.iter().zip(&mut lanes) {
                let value = float(*value);
                *min = if value < *min { value } else { *min };
                *max = if value > *max { value } else { *max };
                *nans += u64::from(value.is_nan());
                // `sum` starts at +0.0 and so is never -0.0: adding 0.0 for a NaN changes nothing.
                sum += if value.is_nan() { 0.0 } else { value };
            }
        }
        let nans = lanes.iter().map(|lane| lane.2).sum();
        let (first, last) = (float(*first), float(*last));
        if nans == values.len() as u64 {
            return (FloatStats { first, last, ..Self::default() }, nans);
        }
        let mut min = lanes.iter().fold(f64::INFINITY, |min, lane| min.min(lane.0));
        let mut max = lanes.iter().fold(f64::NEG_INFINITY, |max, lane| max.max(lane.1));
        // Comparing does not tell the zeros apart.
        let holds = |zero: f64| values.iter().any(|v| float(*v).to_bits() == zero.to_bits());
        if min == 0.0 {
            min = if holds(-0.0) { -0.0 } else { 0.0 };
        }
        if max == 0.0 {
            max = if holds(0.0) { 0.0 } else { -0.0 };
        }
        (FloatStats { min, max, sum: one_nan(sum), first, last }, nans)
    }
}

impl IntStats {
    /// Statistics of integers in row order, given as anything that converts to them.
    #[inline]
    pub(crate) fn of<T: Copy>(values: &[T], int: impl Fn(T) -> i64) -> Self {
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let (mut min, mut max, mut sum) = (i64::MAX, i64::MIN, 0_i128);
        for value in values {
            let value = int(*value);
            min = min.min(value);
            max = max.max(value);
            sum += i128::from(value);
        }
        IntStats { min, max, sum, first: int(*first), last: int(*last) }
    }
}

impl TimestampStats {
    /// Statistics of timestamps in row order; zeros if there are none.
    pub(crate) fn of(timestamps: &[i64]) -> Self {
        let (Some(first), Some(last)) = (timestamps.first(), timestamps.last()) else {
            return TimestampStats { min: 0, max: 0, sorted: true };
        };
        let later = timestamps.iter().skip(1);
        // No early exit: the usual case is sorted, and without branches it runs at memory speed.
        let sorted = timestamps.iter().zip(later).fold(true, |sorted, (a, b)| sorted & (a <= b));
        if sorted {
            return TimestampStats { min: *first, max: *last, sorted };
        }
        let min = timestamps.iter().fold(*first, |min, t| min.min(*t));
        let max = timestamps.iter().fold(*first, |max, t| max.max(*t));
        TimestampStats { min, max, sorted }
    }
}

/// Adds a double to a sum and a count of NaNs.
#[inline]
fn add((sum, nans): &mut (f64, u64), value: f64) {
    *nans += u64::from(value.is_nan());
    // A sum starts at +0.0 and so is never -0.0: adding 0.0 for a NaN changes nothing.
    *sum += if value.is_nan() { 0.0 } else { value };
}

/// Infinities of both signs sum up to a NaN whose sign depends on the processor.
fn one_nan(sum: f64) -> f64 {
    if sum.is_nan() { f64::NAN } else { sum }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::testing::{atoms, floats, points_of};

    /// The definition, one row after the other.
    fn plain_floats(values: &[f64]) -> (FloatStats, u64) {
        let numbers: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let sum = numbers.iter().fold(0.0, |sum, v| sum + v);
        let stats = FloatStats {
            min: numbers.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0),
            max: numbers.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0),
            sum: if sum.is_nan() { f64::NAN } else { sum },
            first: values.first().copied().unwrap_or(0.0),
            last: values.last().copied().unwrap_or(0.0),
        };
        (stats, (values.len() - numbers.len()) as u64)
    }

    #[test]
    fn zeros_and_infinities_follow_the_total_order() {
        for values in [
            vec![0.0, -0.0],
            vec![-0.0],
            vec![-0.0, 0.0, f64::NAN, -1.0],
            vec![f64::INFINITY],
            vec![f64::NEG_INFINITY, f64::INFINITY, 1.0],
            vec![f64::NAN, f64::NAN],
            vec![1e16, 1.0, -0.0, f64::NAN, 2.0, f64::INFINITY, 3.0],
            vec![],
        ] {
            assert_eq!(FloatStats::of(&values, |v| v), plain_floats(&values), "{values:?}");
        }
    }

    #[test]
    fn integer_sums_do_not_overflow() {
        let stats = IntStats::of(&[i64::MIN, i64::MIN, i64::MAX, i64::MIN], |v| v);
        assert_eq!(stats.sum, 3 * i128::from(i64::MIN) + i128::from(i64::MAX));
        assert_eq!((stats.min, stats.max), (i64::MIN, i64::MAX));
    }

    #[test]
    fn timestamps_that_fall_are_noticed() {
        let stats = |timestamps: &[i64]| TimestampStats::of(timestamps);
        assert_eq!(stats(&[5]), TimestampStats { min: 5, max: 5, sorted: true });
        assert_eq!(stats(&[5, 5, 6]), TimestampStats { min: 5, max: 6, sorted: true });
        let extremes = [0, i64::MAX, i64::MIN, 7];
        let expected = TimestampStats { min: i64::MIN, max: i64::MAX, sorted: false };
        assert_eq!(stats(&extremes), expected);
    }

    proptest! {
        #[test]
        fn floats_match_the_definition(values in floats(0..50)) {
            let plain = plain_floats(&values);
            prop_assert_eq!(FloatStats::of(&values, |v| v), plain);
        }

        #[test]
        fn sums_side_by_side_match_the_definition(
            runs in proptest::collection::vec(floats(0..20), 0..6),
        ) {
            let slices: Vec<&[f64]> = runs.iter().map(Vec::as_slice).collect();
            let plain = |run: &Vec<f64>| {
                let (stats, nans) = plain_floats(run);
                (stats.sum.to_bits(), nans)
            };
            let found = FloatStats::sums_of(&slices).into_iter().map(|(s, n)| (s.to_bits(), n));
            prop_assert_eq!(found.collect::<Vec<_>>(), runs.iter().map(plain).collect::<Vec<_>>());
        }

        #[test]
        fn merged_halves_match_the_whole_but_for_the_float_sum(
            atoms in atoms(1..60), cut in 0usize..60,
        ) {
            let points = points_of(&atoms);
            let cut = cut.min(points.len());
            let zone = |range| crate::column::builder::zone_map(&points, range).0;
            let (left, right) = (zone(0..cut), zone(cut..points.len()));
            let mut merged = left;
            merged.merge(&right);
            let mut whole = zone(0..points.len());
            if left.float_numbers() > 0 && right.float_numbers() > 0 {
                whole.float.sum = one_nan(left.float.sum + right.float.sum);
            }
            prop_assert_eq!(merged, whole);
        }
    }
}
