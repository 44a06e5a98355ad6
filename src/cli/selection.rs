//! Which points of a key a command looks at, read page by page so that the length of a history
//! does not decide how much memory a command takes.

use std::ops::Range;

use super::error::CliError;
use super::time;
use crate::{Point, Snapshot, SynaError};

/// Points read at a time: a few MiB.
const PAGE_ROWS: u64 = 65_536;

/// A span of time, the first instant included, the second not.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct TimeArgs {
    /// Only points at or after this time
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) since: Option<i64>,
    /// Only points before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) until: Option<i64>,
}

impl TimeArgs {
    fn contains(&self, timestamp: i64) -> bool {
        self.since.is_none_or(|since| timestamp >= since)
            && self.until.is_none_or(|until| timestamp < until)
    }
}

/// Which rows of a history, before its times are looked at.
#[derive(Clone, Debug)]
pub(crate) enum RowSelection {
    All,
    Range(Range<u64>),
    Last(u64),
}

impl RowSelection {
    fn within(&self, len: u64) -> Range<u64> {
        match self {
            RowSelection::All => 0..len,
            RowSelection::Range(rows) => rows.start.min(len)..rows.end.min(len),
            RowSelection::Last(count) => len.saturating_sub(*count)..len,
        }
    }
}

/// Reads `a..b`, `a..` or `..b`.
pub(crate) fn parse_rows(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is not a range of rows, as in 10..20, 10.. or ..20");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str, absent| match text {
        "" => Ok(absent),
        _ => text.parse::<u64>().map_err(|_| wrong()),
    };
    let rows = number(start, 0)?..number(end, u64::MAX)?;
    if rows.start > rows.end {
        return Err(format!("the range {text} ends before it begins"));
    }
    Ok(rows)
}

/// The number of points of `key`.
///
/// # Errors
///
/// [`SynaError::KeyNotFound`] if it has none in this snapshot.
pub(crate) fn require_key(snapshot: &Snapshot, key: &str) -> Result<u64, CliError> {
    match snapshot.len(key)? {
        0 => Err(SynaError::KeyNotFound { key: key.to_owned() }.into()),
        len => Ok(len),
    }
}

/// Calls `visit` with the selected points of `key` in append order.
///
/// # Errors
///
/// [`SynaError::KeyNotFound`] if the key has no point in this snapshot, and what `visit` returns.
pub(crate) fn visit_points(
    snapshot: &Snapshot,
    key: &str,
    rows: &RowSelection,
    times: &TimeArgs,
    visit: &mut dyn FnMut(Point) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let len = require_key(snapshot, key)?;
    // The store skips what lies outside a time range, and gives what lies inside in one piece: what
    // is open at its end is read in pages.
    if let (RowSelection::All, Some(until)) = (rows, times.until) {
        let since = times.since.unwrap_or(i64::MIN);
        if since >= until {
            return Ok(());
        }
        return snapshot.get_history_range(key, since..until)?.into_iter().try_for_each(visit);
    }
    let rows = rows.within(len);
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start.saturating_add(PAGE_ROWS));
        let page = snapshot.get_history_rows(key, start..end)?;
        page.into_iter()
            .filter(|point| times.contains(point.timestamp))
            .try_for_each(&mut *visit)?;
        start = end;
    }
    Ok(())
}

/// The keys a pattern names: all without one; a key that is spelled exactly so, even when it looks
/// like a pattern; else what matches.
pub(crate) fn select_keys(
    snapshot: &Snapshot,
    pattern: Option<&str>,
) -> Result<Vec<String>, CliError> {
    let Some(pattern) = pattern else { return Ok(snapshot.keys()?) };
    if !pattern.is_empty() && snapshot.len(pattern)? > 0 {
        return Ok(vec![pattern.to_owned()]);
    }
    Ok(snapshot.keys_matching(pattern)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rows() {
        assert_eq!(parse_rows("2..5"), Ok(2..5));
        assert_eq!(parse_rows(".."), Ok(0..u64::MAX));
        assert_eq!(parse_rows("7.."), Ok(7..u64::MAX));
        assert_eq!(parse_rows("..7"), Ok(0..7));
        for wrong in ["", "5", "5..2", "a..b", "-1..2", "1...2"] {
            assert!(parse_rows(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn selections_stay_within_the_history() {
        assert_eq!(RowSelection::All.within(3), 0..3);
        assert_eq!(RowSelection::Last(2).within(3), 1..3);
        assert_eq!(RowSelection::Last(9).within(3), 0..3);
        assert_eq!(RowSelection::Range(1..9).within(3), 1..3);
        assert_eq!(RowSelection::Range(5..9).within(3), 3..3);
    }

    #[test]
    fn a_time_span_has_its_start_and_not_its_end() {
        let span = TimeArgs { since: Some(1), until: Some(3) };
        assert_eq!([0, 1, 2, 3].map(|t| span.contains(t)), [false, true, true, false]);
        assert!(TimeArgs::default().contains(i64::MAX));
    }
}
