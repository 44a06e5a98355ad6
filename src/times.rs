//! Ranges of timestamps.

use std::ops::{Bound, RangeBounds};

/// The timestamps from `first` to `last`, both included; none if `first` is greater.
///
/// With an end that is excluded, as callers give it, no range would reach the last of all timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub first: i64,
    pub last: i64,
}

impl Times {
    const NONE: Times = Times { first: i64::MAX, last: i64::MIN };

    pub(crate) fn of(bounds: &impl RangeBounds<i64>) -> Times {
        let first = match bounds.start_bound() {
            Bound::Included(first) => Some(*first),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(i64::MIN),
        };
        let last = match bounds.end_bound() {
            Bound::Included(last) => Some(*last),
            Bound::Excluded(after) => after.checked_sub(1),
            Bound::Unbounded => Some(i64::MAX),
        };
        first.zip(last).map_or(Times::NONE, |(first, last)| Times { first, last })
    }

    /// Whether they reach to the first or the last of all timestamps.
    pub(crate) fn is_open(self) -> bool {
        self.first == i64::MIN || self.last == i64::MAX
    }

    pub(crate) fn contain(self, stamp: i64) -> bool {
        self.first <= stamp && stamp <= self.last
    }

    /// Whether every timestamp from `min` to `max` is among them.
    pub(crate) fn cover(self, min: i64, max: i64) -> bool {
        self.first <= min && max <= self.last
    }

    /// Whether a timestamp from `min` to `max` may be among them.
    pub(crate) fn overlap(self, min: i64, max: i64) -> bool {
        max >= self.first && min <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_every_form() {
        assert_eq!(Times::of(&(1..5)), Times { first: 1, last: 4 });
        assert_eq!(Times::of(&(1..=i64::MAX)), Times::of(&(1..)));
        assert!(Times::of(&(..)).cover(i64::MIN, i64::MAX));
        assert!(!Times::of(&(..i64::MAX)).contain(i64::MAX));
        let nothing =
            [Times::of(&(3..3)), Times::of(&(..i64::MIN)), Times::of(&(i64::MAX..i64::MAX))];
        for none in
            nothing.into_iter().chain([Times::of(&(Bound::Excluded(i64::MAX), Bound::Unbounded))])
        {
            assert!([i64::MIN, 0, 3, i64::MAX].into_iter().all(|stamp| !none.contain(stamp)));
        }
        assert!(Times::of(&(1..5)).overlap(4, 9) && !Times::of(&(1..5)).overlap(5, 9));
    }
}
