//! `syna retain`: drops the oldest part of histories.

use std::path::PathBuf;

use super::Streams;
use super::compact::print_report;
use super::error::CliError;
use super::output::FormatArgs;
use super::progress::Bar;
use super::time;
use crate::{Create, DbConfig, RetainPolicy, SynaDB};

/// Rewrite the file, keeping of each history the newest part that a rule names
///
/// A rule is PATTERN=last:N, the last N points, or PATTERN=since:TIME, all points from the first one
/// on, in the order in which they were appended, that is not older. Of a key the first rule whose
/// pattern matches decides; keys that match none keep everything. Otherwise as `syna optimize`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// Which points to keep, as in 'debug/*=last:1000' or '*/temp=since:2013-07-01'
    #[arg(required = true, value_name = "RULE", value_parser = parse_rule)]
    rules: Vec<Rule>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    pattern: String,
    keep: Keep,
}

#[derive(Clone, Debug, PartialEq)]
enum Keep {
    Last(u64),
    Since(i64),
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    // A pattern may hold anything, `=` too; neither a number nor a time does.
    let (pattern, keep) = text.rsplit_once('=').ok_or_else(|| {
        format!("{text:?} is no rule, as in '*=last:100' or '*=since:2013-01-01'")
    })?;
    let keep = match keep.split_once(':') {
        Some(("last", rows)) => {
            let wrong = |_| format!("{rows:?} is not a number of points");
            Keep::Last(rows.parse().map_err(wrong)?)
        }
        Some(("since", text)) => Keep::Since(time::parse(text)?),
        _ => return Err(format!("{keep:?} is neither last:N nor since:TIME")),
    };
    Ok(Rule { pattern: pattern.to_owned(), keep })
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let mut policy = RetainPolicy::new();
    for Rule { pattern, keep } in &args.rules {
        policy = match keep {
            Keep::Last(rows) => policy.last(pattern, *rows)?,
            Keep::Since(timestamp) => policy.since(pattern, *timestamp)?,
        };
    }
    let config = DbConfig::default().with_create(Create::Never);
    let db = SynaDB::with_config(&args.file, config)?;
    let mut bar = Bar::bytes(streams);
    let report = db.retain_with(&policy, &mut bar.rewrite_callback())?;
    drop(bar);
    db.close()?;
    print_report(&report, args.format.format, streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rule = |pattern: &str, keep| Ok(Rule { pattern: pattern.to_owned(), keep });
        assert_eq!(parse_rule("a*=last:7"), rule("a*", Keep::Last(7)));
        assert_eq!(parse_rule("a=b=since:-5"), rule("a=b", Keep::Since(-5)));
        let since = Keep::Since(1_356_998_400_000_000);
        assert_eq!(parse_rule("x=since:2013-01-01"), rule("x", since));
        for wrong in ["", "a", "a=", "a=last", "a=last:", "a=last:-1", "a=first:1", "a=since:soon"]
        {
            assert!(parse_rule(wrong).is_err(), "{wrong}");
        }
    }
}
