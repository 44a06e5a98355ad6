//! `syna compact`: keeps only the latest point of each key.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{self, Cell, Format, FormatArgs};
use super::progress::Bar;
use crate::{Create, DbConfig, RewriteReport, SynaDB};

/// Rewrite the file with only the latest point of each key: the history is dropped
///
/// Timestamps stay as they are. A crash at any moment leaves the old file or the new one, whole,
/// and readers keep the old one until they look again.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let config = DbConfig::default().with_create(Create::Never);
    let db = SynaDB::with_config(&args.file, config)?;
    let mut bar = Bar::bytes(streams);
    let report = db.compact_with(&mut bar.rewrite_callback())?;
    drop(bar);
    db.close()?;
    print_report(&report, args.format.format, streams)
}

/// Prints what a rewrite did.
pub(crate) fn print_report(
    report: &RewriteReport,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CliError> {
    let fields = [
        ("bytes_before", Cell::Count(report.bytes_before)),
        ("bytes_after", Cell::Count(report.bytes_after)),
        ("keys", Cell::Count(report.keys)),
        ("points", Cell::Count(report.points)),
    ];
    Ok(output::record(streams.stdout, format, &fields)?)
}
