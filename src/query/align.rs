//! Which point a time sees, and the times of many keys together: the merge behind frames.
//!
//! Nothing here knows of keys or values. Timestamps come in order, those of points with equal ones
//! in append order, and every function goes through them once.

use crate::error::{Result, SynaError};
use crate::times::Times;

use super::Every;

/// Which of a key's points a row of a [`Frame`](crate::Frame) sees.
///
/// Of points with the same timestamp it is always the one appended last, as in
/// [`get_at`](crate::SynaDB::get_at).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Align {
    /// The latest one at or before the row's time. Never looks ahead. The default.
    #[default]
    Backward,
    /// The earliest one at or after the row's time.
    Forward,
    /// The one whose time is nearest; of two equally near ones the earlier.
    Nearest,
}

impl Align {
    /// The name used on every interface.
    pub fn name(self) -> &'static str {
        match self {
            Align::Backward => "backward",
            Align::Forward => "forward",
            Align::Nearest => "nearest",
        }
    }

    /// The alignment of this name.
    pub fn from_name(name: &str) -> Option<Align> {
        [Align::Backward, Align::Forward, Align::Nearest].into_iter().find(|a| a.name() == name)
    }

    pub(crate) fn looks_back(self) -> bool {
        matches!(self, Align::Backward | Align::Nearest)
    }

    pub(crate) fn looks_ahead(self) -> bool {
        matches!(self, Align::Forward | Align::Nearest)
    }
}

/// What stands in a cell of a [`Frame`](crate::Frame) that is missing: because its row sees no
/// point of the key, or one that is null.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Fill {
    /// Null, in a tensor NaN. The default.
    #[default]
    None,
    /// What stands in the nearest row above it that is not missing; cells with none above stay
    /// missing. How far above does not matter, also where a
    /// [`tolerance`](crate::Frame::tolerance) limits which points a row sees.
    Last,
    /// This number. Only columns of numbers take it, and columns of integers only integers.
    Value(f64),
}

/// Stands for no row.
pub(crate) const NO_ROW: u64 = u64::MAX;

fn reserved<T>(len: usize) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    all.try_reserve_exact(len).map_err(|_| SynaError::OutOfMemory { bytes })?;
    Ok(all)
}

/// The row of `stamps` that each of `times` sees, [`NO_ROW`] where it is none. Both are sorted.
pub(crate) fn rows_seen(
    times: &[i64],
    stamps: &[i64],
    align: Align,
    tolerance: Option<u64>,
) -> Result<Vec<u64>> {
    let mut seen = reserved(times.len())?;
    // How many stamps are at or before the time: the one before that place is the last of those
    // with the greatest such stamp.
    let mut passed = 0;
    // Behind the last stamp that equals the first one after the time.
    let mut run_end = 0;
    for time in times {
        while stamps.get(passed).is_some_and(|stamp| stamp <= time) {
            passed += 1;
        }
        let before = passed.checked_sub(1).and_then(|row| Some((row, *stamps.get(row)?)));
        let mut after = || {
            // A point at the very time is after it, too.
            if let Some((row, stamp)) = before
                && stamp == *time
            {
                return Some((row, stamp));
            }
            let first = *stamps.get(passed)?;
            run_end = run_end.max(passed);
            while stamps.get(run_end) == Some(&first) {
                run_end += 1;
            }
            Some((run_end - 1, first))
        };
        let far = |(_, stamp): (usize, i64)| stamp.abs_diff(*time);
        let found = match align {
            Align::Backward => before,
            Align::Forward => after(),
            Align::Nearest => match (before, after()) {
                (Some(before), Some(after)) if far(after) < far(before) => Some(after),
                (None, after) => after,
                (before, _) => before,
            },
        };
        let near = |point: &(usize, i64)| tolerance.is_none_or(|most| far(*point) <= most);
        seen.push(found.filter(near).map_or(NO_ROW, |(row, _)| row as u64));
    }
    Ok(seen)
}

/// Gives rows that see nothing, or what `is_missing` says is missing, what the one before them has.
pub(crate) fn carry_last(seen: &mut [u64], is_missing: impl Fn(u64) -> bool) {
    let mut last = NO_ROW;
    for row in seen {
        if *row == NO_ROW || is_missing(*row) {
            *row = last;
        } else {
            last = *row;
        }
    }
}

/// The times of many keys, each once, in order.
#[derive(Default)]
pub(crate) struct UnionOfTimes {
    /// Each list is at least twice as long as the one behind it, so that every stamp is merged as
    /// often as there are doublings.
    lists: Vec<Vec<i64>>,
}

impl UnionOfTimes {
    /// Adds the sorted stamps of one key.
    pub(crate) fn add(&mut self, stamps: &[i64]) -> Result<()> {
        let mut list: Vec<i64> = reserved(stamps.len())?;
        for stamp in stamps {
            if list.last() != Some(stamp) {
                list.push(*stamp);
            }
        }
        while let Some(last) = self.lists.pop() {
            // Keys that are written together have the same times.
            if last == list {
                continue;
            }
            if last.len() / 2 >= list.len() {
                self.lists.push(last);
                break;
            }
            list = merged(&last, &list)?;
        }
        self.lists.push(list);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<i64>> {
        let mut all = self.lists.pop().unwrap_or_default();
        while let Some(list) = self.lists.pop() {
            all = merged(&list, &all)?;
        }
        Ok(all)
    }
}

/// Two lists of distinct sorted times as one.
fn merged(a: &[i64], b: &[i64]) -> Result<Vec<i64>> {
    let mut out = reserved(a.len().saturating_add(b.len()))?;
    let (mut a, mut b) = (a, b);
    while let (Some((x, rest_of_a)), Some((y, rest_of_b))) = (a.split_first(), b.split_first()) {
        out.push(*x.min(y));
        if x <= y {
            a = rest_of_a;
        }
        if y <= x {
            b = rest_of_b;
        }
    }
    out.extend_from_slice(a);
    out.extend_from_slice(b);
    Ok(out)
}

/// Times with a fixed step between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    first: i64,
    step: i64,
    pub(crate) rows: u64,
}

impl Grid {
    /// `start`, `start + every`, and so on, as far as they are below `end`.
    pub(crate) fn within(times: Times, every: Every) -> Grid {
        let end = i128::from(times.last) + 1;
        let span = u64::try_from(end - i128::from(times.first)).unwrap_or(0);
        let rows = span.div_ceil(every.micros().unsigned_abs());
        Grid { first: times.first, step: every.micros(), rows }
    }

    /// The multiples of `every` from the last one at or before `min` to the first one at or after
    /// `max`, without those that are no timestamps.
    pub(crate) fn around(min: i64, max: i64, every: Every) -> Grid {
        let step = i128::from(every.micros());
        let mut first = i128::from(min).div_euclid(step) * step;
        let mut last = -(-i128::from(max)).div_euclid(step) * step;
        if first < i128::from(i64::MIN) {
            first += step;
        }
        if last > i128::from(i64::MAX) {
            last -= step;
        }
        let rows = u64::try_from((last - first).div_euclid(step) + 1).unwrap_or(0);
        match i64::try_from(first) {
            Ok(first) => Grid { first, step: every.micros(), rows },
            Err(_) => Grid { first: 0, step: every.micros(), rows: 0 },
        }
    }

    /// The times of a range that is open on a side, where this grid, which lies around points the last
    /// of which is at `max`, stands in for what the range leaves open.
    pub(crate) fn open_side_of(self, times: Times, max: i64, every: Every) -> Grid {
        let first = if times.first == i64::MIN { self.first } else { times.first };
        // The last time is the first one at or after the last point.
        let to_last = max.saturating_add(every.micros() - 1);
        let last = if times.last == i64::MAX { to_last } else { times.last };
        Grid::within(Times { first, last }, every)
    }

    /// The times.
    pub(crate) fn times(self) -> Result<Vec<i64>> {
        let bytes = self.rows.saturating_mul(8);
        let rows = usize::try_from(self.rows).map_err(|_| SynaError::OutOfMemory { bytes })?;
        let mut times = reserved(rows)?;
        let mut time = self.first;
        for _ in 0..rows {
            times.push(time);
            // Only behind the last one may this be no timestamp any more.
            time = time.wrapping_add(self.step);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every(micros: i64) -> Every {
        Every::from_micros(micros).unwrap()
    }

    /// The same by looking at every point for every time.
    fn naive(time: i64, stamps: &[i64], align: Align, tolerance: Option<u64>) -> u64 {
        let rows = || (0_u64..).zip(stamps.iter().copied());
        let back = rows().filter(|(_, s)| *s <= time).max_by_key(|(row, s)| (*s, *row));
        let ahead = rows().filter(|(_, s)| *s >= time).min_by_key(|(row, s)| (*s, u64::MAX - row));
        let far = |point: Option<(u64, i64)>| point.map(|(_, s)| s.abs_diff(time));
        let found = match align {
            Align::Backward => back,
            Align::Forward => ahead,
            Align::Nearest if back.is_none() => ahead,
            Align::Nearest if ahead.is_some() && far(ahead) < far(back) => ahead,
            Align::Nearest => back,
        };
        match found {
            Some((row, stamp)) if tolerance.is_none_or(|t| stamp.abs_diff(time) <= t) => row,
            _ => NO_ROW,
        }
    }

    fn sorted(span: i64) -> impl Strategy<Value = Vec<i64>> {
        let edge = prop_oneof![Just(i64::MIN), Just(i64::MAX)];
        let stamp = prop_oneof![20 => -span..span, 1 => edge];
        proptest::collection::vec(stamp, 0..60).prop_map(|mut stamps| {
            stamps.sort_unstable();
            stamps
        })
    }

    proptest! {
        #[test]
        fn the_merge_sees_what_a_search_finds(
            times in sorted(50),
            stamps in sorted(50),
            tolerance in proptest::option::of(0_u64..20),
        ) {
            for align in [Align::Backward, Align::Forward, Align::Nearest] {
                let seen = rows_seen(&times, &stamps, align, tolerance).unwrap();
                let expected: Vec<u64> =
                    times.iter().map(|time| naive(*time, &stamps, align, tolerance)).collect();
                prop_assert_eq!(seen, expected, "{:?}", align);
            }
        }

        #[test]
        fn a_union_has_every_time_once(lists in proptest::collection::vec(sorted(200), 0..12)) {
            let mut union = UnionOfTimes::default();
            lists.iter().for_each(|list| union.add(list).unwrap());
            let expected: std::collections::BTreeSet<i64> = lists.into_iter().flatten().collect();
            prop_assert_eq!(union.finish().unwrap(), expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn equal_lists_of_times_are_not_merged() {
        let mut union = UnionOfTimes::default();
        for _ in 0..100 {
            union.add(&[1, 2, 2, 3]).unwrap();
        }
        assert_eq!(union.lists, [[1, 2, 3]]);
    }

    #[test]
    fn missing_rows_take_the_last_one() {
        let mut seen = [NO_ROW, 4, NO_ROW, 5, 6, NO_ROW];
        carry_last(&mut seen, |row| row == 5);
        assert_eq!(seen, [NO_ROW, 4, 4, 4, 6, 6]);
    }

    #[test]
    fn ranges_that_are_open_end_with_the_points() {
        // Points from 12 to 27.
        let times = |times: Times, step| {
            let around = Grid::around(12, 27, every(step));
            around.open_side_of(times, 27, every(step)).times().unwrap()
        };
        assert_eq!(times(Times::of(&(3..)), 10), [3, 13, 23, 33]);
        assert_eq!(times(Times::of(&(7..)), 10), [7, 17, 27]);
        assert_eq!(times(Times::of(&(..25)), 10), [10, 20]);
        assert_eq!(times(Times::of(&(..)), 10), [10, 20, 30]);
        assert!(times(Times::of(&(100..)), 10).is_empty());
        assert!(times(Times::of(&(..5)), 10).is_empty());
    }

    #[test]
    fn grids_have_their_start_and_not_their_end() {
        let times =
            |from, to, step| Grid::within(Times::of(&(from..to)), every(step)).times().unwrap();
        assert_eq!(times(5, 15, 5), [5, 10]);
        assert_eq!(times(5, 16, 5), [5, 10, 15]);
        assert!(times(5, 5, 5).is_empty());
        assert!(times(6, 5, 5).is_empty());
        assert_eq!(times(i64::MAX - 1, i64::MAX, 5), [i64::MAX - 1]);
        let all = Grid::within(Times::of(&(i64::MIN..i64::MAX)), every(1));
        assert_eq!(all.rows, u64::MAX);
        assert!(matches!(all.times(), Err(SynaError::OutOfMemory { .. })));
    }

    #[test]
    fn grids_around_data_hold_all_of_it() {
        let times = |min, max, step| Grid::around(min, max, every(step)).times().unwrap();
        assert_eq!(times(6, 11, 5), [5, 10, 15]);
        assert_eq!(times(5, 10, 5), [5, 10]);
        assert_eq!(times(7, 7, 5), [5, 10]);
        assert_eq!(times(-7, -6, 5), [-10, -5]);
        let edge = times(i64::MAX - 1, i64::MAX, 1 << 62);
        assert_eq!(edge, [1 << 62]);
        assert_eq!(times(i64::MIN, i64::MIN, 3), [i64::MIN + 2]);
    }

    #[test]
    fn names_lead_back() {
        for align in [Align::Backward, Align::Forward, Align::Nearest] {
            assert_eq!(Align::from_name(align.name()), Some(align));
        }
        assert_eq!(Align::from_name("asof"), None);
    }
}
