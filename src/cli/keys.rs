//! `syna keys`: which keys there are.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, Format, FormatArgs, Rows, printable};
use crate::SynaDB;

/// List the keys in byte order, all or those that match a pattern
///
/// The table format prints one key a line and nothing else. No match is an empty list, not a
/// failure.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// Which keys: * and ? match any characters, [..] one of a set, \ takes the next one literally
    pattern: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let keys = match &args.pattern {
        Some(pattern) => db.keys_matching(pattern)?,
        None => db.keys()?,
    };
    if args.format.format == Format::Table {
        for key in &keys {
            writeln!(streams.stdout, "{}", printable(key))?;
        }
        return Ok(());
    }
    let mut rows = Rows::new(streams.stdout, args.format.format, &["key"])?;
    for key in keys {
        rows.row(vec![Cell::Text(key)])?;
    }
    Ok(rows.finish()?)
}
