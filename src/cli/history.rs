//! `syna history`: the points of a key, oldest first.

use std::ops::Range;
use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, FormatArgs, Rows};
use super::selection::{RowSelection, TimeArgs, parse_rows, require_key, visit_points};
use crate::SynaDB;

/// Print the points of a key in the order in which they were appended
///
/// Rows are selected first, then times. A history of any length is printed as it is read.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// The key
    key: String,
    #[command(flatten)]
    times: TimeArgs,
    /// Only these rows, counted from 0; the end is not included (10..20, 10.., ..20)
    #[arg(long, value_name = "A..B", value_parser = parse_rows, conflicts_with = "last")]
    rows: Option<Range<u64>>,
    /// Only the last N rows
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let snapshot = db.snapshot()?;
    let selection = match (&args.rows, args.last) {
        (Some(rows), _) => RowSelection::Range(rows.clone()),
        (None, Some(count)) => RowSelection::Last(count),
        (None, None) => RowSelection::All,
    };
    // Looked up before a header is printed.
    require_key(&snapshot, &args.key)?;
    let mut rows = Rows::new(streams.stdout, args.format.format, &["timestamp", "kind", "value"])?;
    visit_points(&snapshot, &args.key, &selection, &args.times, &mut |point| {
        let kind = point.value.kind().name();
        rows.row(vec![Cell::Time(point.timestamp), kind.into(), point.value.into()])?;
        Ok(())
    })?;
    Ok(rows.finish()?)
}
