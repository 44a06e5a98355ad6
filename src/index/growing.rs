//! A vector that one writer pushes to while readers look elements up without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST_LOG2: u32 = 8;
const SEGMENTS: usize = 2 * (32 - FIRST_LOG2) as usize;

/// Elements never move: they live in segments. Two are as long as each other, the next two twice as
/// long: what is allocated at once is at most half of what there is.
pub(crate) struct GrowingVec<T> {
    segments: [OnceLock<Box<[OnceLock<T>]>>; SEGMENTS],
    len: AtomicU32,
}

impl<T> GrowingVec<T> {
    pub(crate) fn new() -> Self {
        GrowingVec { segments: [const { OnceLock::new() }; SEGMENTS], len: AtomicU32::new(0) }
    }

    /// Number of elements pushed before.
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (segment, at) = place(index);
        self.segments.get(segment)?.get()?.get(at)?.get()
    }

    /// Adds an element and returns its index, or gives it back when 2^32 - 256 are in. Called by
    /// one writer at a time.
    pub(crate) fn push(&self, element: T) -> Result<u32, T> {
        let index = self.len.load(Ordering::Relaxed);
        let (segment, at) = place(index);
        let Some(segment_cell) = self.segments.get(segment) else { return Err(element) };
        let elements = segment_cell.get_or_init(|| {
            (0..1usize << (FIRST_LOG2 as usize - 1 + segment / 2))
                .map(|_| OnceLock::new())
                .collect()
        });
        let Some(cell) = elements.get(at) else { return Err(element) };
        cell.set(element)?;
        self.len.store(index + 1, Ordering::Release);
        Ok(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// Segment and place in it: index + 2^8 has its highest bit at 8 + half of the segment's number, and
/// the bit below tells the first of two segments from the second.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "64-bit targets only")]
fn place(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + (1 << FIRST_LOG2);
    let half = 62 - shifted.leading_zeros();
    let segment = 2 * (half + 1 - FIRST_LOG2) + ((shifted >> half) as u32 & 1);
    (segment as usize, (shifted & ((1 << half) - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_pushed() {
        let vec = GrowingVec::new();
        for i in 0..100_000u32 {
            assert_eq!(vec.push(i * 3), Ok(i));
        }
        assert_eq!(vec.len(), 100_000);
        for i in (0..100_000).step_by(7) {
            assert_eq!(vec.get(i), Some(&(i * 3)));
        }
        assert_eq!(vec.get(100_000), None);
        assert_eq!(vec.get(u32::MAX), None);
        assert!(vec.iter().eq((0..100_000).map(|i| i * 3).collect::<Vec<_>>().iter()));
    }
}
