//! `syna salvage`: rescues what is intact in a damaged file.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, FormatArgs, Rows};
use super::progress::Bar;

/// Copy every intact commit of a damaged file to a new one and list what is missing
///
/// FROM is never changed; TO must not exist. What is missing is printed as ranges of bytes of FROM;
/// the list is empty when everything was copied.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The damaged database
    from: PathBuf,
    /// The new database
    to: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let mut bar = Bar::bytes(streams);
    let report = crate::salvage_with(&args.from, &args.to, &mut bar.callback())?;
    drop(bar);
    let mut rows = Rows::new(streams.stdout, args.format.format, &["offset", "len", "missing"])?;
    let mut missing_bytes = 0_u64;
    for range in &report.missing {
        missing_bytes = missing_bytes.saturating_add(range.len);
        rows.row(vec![Cell::Count(range.offset), Cell::Count(range.len), range.what.into()])?;
    }
    rows.finish()?;
    let _ = writeln!(
        streams.stderr,
        "{} commits, {} points, {} keys copied to {}; {missing_bytes} bytes missing",
        report.commits,
        report.points,
        report.keys,
        args.to.display(),
    );
    Ok(())
}
