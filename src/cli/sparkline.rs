//! A series drawn in one line of text: the mean of each equal span of time as a block of one of
//! eight heights, a blank where nothing was measured.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Collects points in any order and draws them over a fixed time span.
pub struct Sparkline {
    first: i64,
    last: i64,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    count: f64,
    mean: f64,
}

impl Sparkline {
    /// A picture `width` characters wide of the time from `first` to `last`, both included.
    pub fn new(width: usize, first: i64, last: i64) -> Self {
        Sparkline { first, last, buckets: vec![Bucket::default(); width] }
    }

    /// Adds one point. One outside the time span, or not finite, is left out.
    pub fn push(&mut self, timestamp: i64, value: f64) {
        if !value.is_finite() || timestamp < self.first || timestamp > self.last {
            return;
        }
        // i128: the span of two i64 does not fit in 64 bits.
        let span = i128::from(self.last) - i128::from(self.first) + 1;
        let place = i128::from(timestamp) - i128::from(self.first);
        let width = i128::try_from(self.buckets.len()).unwrap_or(0);
        let Ok(index) = usize::try_from(place * width / span) else { return };
        if let Some(bucket) = self.buckets.get_mut(index) {
            // The running mean, with the difference halved, so that no sum overflows.
            bucket.count += 1.0;
            let half_step = (value / 2.0 - bucket.mean / 2.0) / bucket.count;
            bucket.mean += half_step;
            bucket.mean += half_step;
        }
    }

    /// The picture, without the blanks at its end.
    pub fn draw(&self) -> String {
        let drawn = || self.buckets.iter().filter(|bucket| bucket.count > 0.0);
        let low = drawn().map(|bucket| bucket.mean).fold(f64::INFINITY, f64::min) / 2.0;
        let high = drawn().map(|bucket| bucket.mean).fold(f64::NEG_INFINITY, f64::max) / 2.0;
        let picture: String = self
            .buckets
            .iter()
            .map(|bucket| match bucket.count > 0.0 {
                true => block(bucket.mean / 2.0, low, high),
                false => ' ',
            })
            .collect();
        picture.trim_end().to_owned()
    }
}

fn block(value: f64, low: f64, high: f64) -> char {
    let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    let level = match high > low {
        true => steps.iter().filter(|step| value - low >= (high - low) / 8.0 * *step).count(),
        false => 3,
    };
    BLOCKS.get(level).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draw(width: usize, points: &[(i64, f64)]) -> String {
        let first = points.iter().map(|point| point.0).min().unwrap_or(0);
        let last = points.iter().map(|point| point.0).max().unwrap_or(0);
        let mut sparkline = Sparkline::new(width, first, last);
        points.iter().for_each(|(timestamp, value)| sparkline.push(*timestamp, *value));
        sparkline.draw()
    }

    #[test]
    fn a_ramp_climbs_and_a_gap_is_blank() {
        let ramp: Vec<_> = (0..8).map(|i| (i, i as f64)).collect();
        assert_eq!(draw(8, &ramp), "▁▂▃▄▅▆▇█");
        assert_eq!(draw(4, &[(0, 1.0), (3, 2.0)]), "▁  █");
        assert_eq!(draw(4, &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]), "▄▄▄▄");
    }

    #[test]
    fn extremes_of_time_and_value_are_drawn() {
        let points =
            [(i64::MIN, f64::MIN), (0, f64::NAN), (1, f64::INFINITY), (i64::MAX, f64::MAX)];
        assert_eq!(draw(3, &points), "▁ █");
        assert_eq!(draw(3, &[]), "");
    }

    proptest! {
        #[test]
        fn never_wider_than_asked(
            width in 0..20_usize,
            points in proptest::collection::vec((any::<i64>(), any::<f64>()), 0..20),
        ) {
            prop_assert!(draw(width, &points).chars().count() <= width);
        }
    }
}
