//! Lengths of time as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Result, SynaError};

/// A step in time: a positive number of microseconds.
///
/// Parsed from a number and a unit, `us`, `ms`, `s`, `m`, `h`, `d` or `w`: `"15m"`, `"1h"`. A day
/// has 24 hours, a week 7 days; both are counted from 1970-01-01 UTC, so that a week begins on a
/// Thursday.
///
/// ```
/// let step: synadb::Every = "15m".parse()?;
/// assert_eq!(step.micros(), 900_000_000);
/// assert_eq!(step.to_string(), "15m");
/// # Ok::<(), synadb::SynaError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Every(i64);

/// Units from the longest to the shortest.
const UNITS: [(&str, i64); 7] = [
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

const WHAT: &str = "it must be a positive number and a unit of us, ms, s, m, h, d, w";

const WHAT_OF_TOLERANCE: &str =
    "it must be a number, 0 or more, and a unit of us, ms, s, m, h, d, w";

fn invalid() -> SynaError {
    SynaError::InvalidOption { option: "every", what: WHAT }
}

impl Every {
    /// So many microseconds.
    ///
    /// # Errors
    ///
    /// `InvalidOption` if they are not positive.
    pub fn from_micros(micros: i64) -> Result<Every> {
        if micros > 0 { Ok(Every(micros)) } else { Err(invalid()) }
    }

    /// Its length in microseconds.
    pub fn micros(self) -> i64 {
        self.0
    }
}

/// A number and a unit as microseconds; `None` for what is none, or too much.
fn micros_of(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<i64>().ok()?.checked_mul(*micros)
}

impl FromStr for Every {
    type Err = SynaError;

    fn from_str(text: &str) -> Result<Every> {
        Every::from_micros(micros_of(text).ok_or_else(invalid)?)
    }
}

/// Parses a length for [`Frame::tolerance`](crate::Frame::tolerance): a number, which may be 0, and
/// a unit as of [`Every`].
///
/// # Errors
///
/// `InvalidOption` for anything else.
pub fn parse_tolerance(text: &str) -> Result<Duration> {
    let micros = micros_of(text).and_then(|micros| u64::try_from(micros).ok());
    let invalid = SynaError::InvalidOption { option: "tolerance", what: WHAT_OF_TOLERANCE };
    micros.map(Duration::from_micros).ok_or(invalid)
}

impl TryFrom<Duration> for Every {
    type Error = SynaError;

    fn try_from(duration: Duration) -> Result<Every> {
        if !duration.subsec_nanos().is_multiple_of(1000) {
            return Err(invalid());
        }
        Every::from_micros(i64::try_from(duration.as_micros()).map_err(|_| invalid())?)
    }
}

impl From<Every> for Duration {
    fn from(every: Every) -> Duration {
        Duration::from_micros(every.0.unsigned_abs())
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().find(|(_, micros)| self.0 % micros == 0);
        let (name, micros) = fitting.unwrap_or(&("us", 1));
        write!(f, "{}{name}", self.0 / micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written() {
        for text in ["1us", "999ms", "1s", "90s", "15m", "1h", "36h", "1d", "2w"] {
            assert_eq!(text.parse::<Every>().unwrap().to_string(), text);
        }
        assert_eq!("7d".parse::<Every>().unwrap().to_string(), "1w");
        assert_eq!("60m".parse::<Every>().unwrap(), "1h".parse().unwrap());
    }

    #[test]
    fn a_tolerance_may_be_zero() {
        for (text, micros) in [("0s", 0), ("00w", 0), ("1ms", 1000)] {
            assert_eq!(parse_tolerance(text).unwrap(), Duration::from_micros(micros));
        }
        for text in ["", "0", "0y", "-1s", "s", "99999999999w"] {
            let error = parse_tolerance(text).unwrap_err();
            assert!(error.to_string().starts_with("option tolerance: "), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for text in ["", "h", "1", "0s", "-1s", "1.5h", "1 h", "1y", "99999999999999999999s", "ä"]
        {
            assert!(
                matches!(text.parse::<Every>(), Err(SynaError::InvalidOption { .. })),
                "{text}"
            );
        }
        assert!("9999999999w".parse::<Every>().is_err());
        assert!(Every::try_from(Duration::from_nanos(1)).is_err());
        let step = Every::try_from(Duration::from_millis(2)).unwrap();
        assert_eq!((step.micros(), Duration::from(step)), (2000, Duration::from_millis(2)));
    }
}
