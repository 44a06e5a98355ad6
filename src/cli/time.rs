//! Times as a person writes them, and as the store keeps them: microseconds since 1970 UTC.
//!
//! The calendar is `jiff`'s. What lies outside the years 0000 to 9999, which RFC 3339 cannot name,
//! is printed as the integer; since integers are accepted, every time that is printed can be given
//! back.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can name.
const YEAR_0_US: i64 = -62_167_219_200_000_000;

/// What the help texts say about times.
pub(crate) const ACCEPTED: &str = "RFC 3339 (2013-01-01T06:00:00-05:00), a UTC date (2013-01-01, 2013-01-01 06:00[:00[.000001]]) \
     or integer microseconds since 1970 UTC";

/// A timestamp that prints itself as RFC 3339 in UTC, with as many digits of a second as needed.
#[derive(Clone, Copy)]
pub(crate) struct Rfc3339(pub(crate) i64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rfc3339(us) = *self;
        match Timestamp::from_microsecond(us) {
            Ok(timestamp) if us >= YEAR_0_US => write!(f, "{timestamp}"),
            _ => write!(f, "{us}"),
        }
    }
}

/// The unit of a time column that holds integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    #[default]
    Us,
    /// Nanoseconds, cut down to whole microseconds.
    Ns,
}

impl Unit {
    fn to_microseconds(self, count: i64) -> Option<i64> {
        match self {
            Unit::S => count.checked_mul(1_000_000),
            Unit::Ms => count.checked_mul(1_000),
            Unit::Us => Some(count),
            Unit::Ns => Some(count.div_euclid(1_000)),
        }
    }
}

/// Reads a time from an argument; integers are microseconds.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    parse_in(text, Unit::Us)
}

/// Reads a time whose integers count `unit`. Digits below a microsecond are cut off.
pub(crate) fn parse_in(text: &str, unit: Unit) -> Result<i64, String> {
    let text = text.trim();
    if is_integer(text) {
        let count = text.parse().ok().and_then(|count| unit.to_microseconds(count));
        return count.ok_or_else(|| format!("{text:?} does not fit in 64 bits of microseconds"));
    }
    // A zone in brackets would need the time zone database; taken as a plain date it would be
    // read as UTC, which it is not.
    if text.contains('[') {
        return Err(format!("{text:?} names a time zone; give the offset instead (+01:00)"));
    }
    let timestamp = text.parse::<Timestamp>().or_else(|_| {
        let utc = text.parse::<DateTime>()?.to_zoned(TimeZone::UTC)?;
        Ok::<_, jiff::Error>(utc.timestamp())
    });
    let timestamp =
        timestamp.map_err(|_| format!("{text:?} is not a time; accepted are {ACCEPTED}"))?;
    let us = timestamp.as_nanosecond().div_euclid(1_000);
    i64::try_from(us).map_err(|_| format!("{text:?} does not fit in 64 bits of microseconds"))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(us: i64) -> String {
        Rfc3339(us).to_string()
    }

    #[test]
    fn prints_as_many_digits_as_needed() {
        assert_eq!(printed(0), "1970-01-01T00:00:00Z");
        assert_eq!(printed(1_357_020_000_000_000), "2013-01-01T06:00:00Z");
        assert_eq!(printed(1_500_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(printed(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn years_that_rfc_3339_cannot_name_are_integers() {
        assert_eq!(printed(YEAR_0_US), "0000-01-01T00:00:00Z");
        assert_eq!(printed(YEAR_0_US - 1), (YEAR_0_US - 1).to_string());
        assert_eq!(printed(i64::MIN), i64::MIN.to_string());
        assert_eq!(printed(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn reads_what_people_write() {
        let six = 1_357_020_000_000_000;
        for text in [
            "2013-01-01T06:00:00Z",
            "2013-01-01T01:00:00-05:00",
            "2013-01-01 06:00",
            "2013-01-01 06:00:00",
            "2013-01-01T06:00:00.000000",
            " 2013-01-01 06:00:00.000000999 ",
            "1357020000000000",
        ] {
            assert_eq!(parse(text), Ok(six), "{text}");
        }
        assert_eq!(parse("2013-01-01"), Ok(six - 6 * 3_600_000_000));
        assert_eq!(parse("-1"), Ok(-1));
        assert_eq!(parse("2013"), Ok(2013), "a bare integer is microseconds");
        assert_eq!(parse("1969-12-31T23:59:59.9999999Z"), Ok(-1));
    }

    #[test]
    fn units_of_integers() {
        assert_eq!(parse_in("1357020000", Unit::S), Ok(1_357_020_000_000_000));
        assert_eq!(parse_in("1357020000123", Unit::Ms), Ok(1_357_020_000_123_000));
        assert_eq!(parse_in("-1", Unit::Ns), Ok(-1));
        assert_eq!(parse_in("2013-01-01T06:00:00Z", Unit::S), Ok(1_357_020_000_000_000));
        assert!(parse_in("9223372036854775807", Unit::S).is_err());
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in [
            "",
            "yesterday",
            "2013-13-01",
            "2013-02-30",
            "2013-01-01 25:00",
            "06:00",
            "9223372036854775808",
            "1.5",
            "2013-01-01T06:00[Europe/Berlin]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_printing(us in any::<i64>()) {
            prop_assert_eq!(parse(&printed(us)), Ok(us));
        }

        #[test]
        fn times_of_our_era_survive_printing(us in YEAR_0_US..253_402_207_200_000_000_i64) {
            let text = printed(us);
            prop_assert!(text.ends_with('Z'));
            prop_assert_eq!(parse(&text), Ok(us));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
