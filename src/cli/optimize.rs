//! `syna optimize`: rewrites the file with all live history in the form that reads best.

use std::path::PathBuf;

use super::Streams;
use super::compact::print_report;
use super::error::CliError;
use super::output::FormatArgs;
use super::progress::Bar;
use crate::{Create, DbConfig, OptimizeOptions, SynaDB};

/// Rewrite the file with all live points in large chunks, dropping what was replaced or deleted
///
/// Points, their times and their order stay as they are. A crash at any moment leaves the old file
/// or the new one, whole, and readers keep the old one until they look again. Needs room for the new
/// file beside the old.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// Store numbers in the cold tier: smaller, but five to ten times slower to read
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let config = DbConfig::default().with_create(Create::Never);
    let db = SynaDB::with_config(&args.file, config)?;
    let mut bar = Bar::bytes(streams);
    let options = OptimizeOptions::default().with_cold(args.cold);
    let report = db.optimize_with(&options, &mut bar.rewrite_callback())?;
    drop(bar);
    db.close()?;
    print_report(&report, args.format.format, streams)
}
