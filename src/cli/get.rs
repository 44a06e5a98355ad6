//! `syna get`: the latest value of a key, or the one that held at a time.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{self, Cell, Format, FormatArgs};
use super::time::{self, Rfc3339};
use crate::{Atom, SynaDB, SynaError};

/// Print the latest value of a key, or the value it had at a time
///
/// The table format prints the value alone; the others print its key, time and kind, too. Without
/// --at the latest value is the one appended last; with it, the one with the greatest time that is
/// not after TIME. The two differ where points were appended out of order.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// The key
    key: String,
    /// The value as of this time
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    at: Option<i64>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let snapshot = db.snapshot()?;
    let point = match args.at {
        Some(at) => snapshot.get_point_at(&args.key, at)?,
        None => snapshot.get_point(&args.key)?,
    };
    let Some(point) = point else {
        return Err(match args.at {
            Some(at) if snapshot.len(&args.key)? > 0 => CliError::Failed(format!(
                "key {:?} has no point at or before {}",
                args.key,
                Rfc3339(at)
            )),
            _ => SynaError::KeyNotFound { key: args.key.clone() }.into(),
        });
    };
    if args.format.format == Format::Table {
        let text = match point.value {
            Atom::Null => "null".to_owned(),
            value => Cell::from(value).text(),
        };
        writeln!(streams.stdout, "{text}")?;
        return Ok(());
    }
    let fields = [
        ("key", Cell::from(args.key.as_str())),
        ("timestamp", Cell::Time(point.timestamp)),
        ("kind", Cell::from(point.value.kind().name())),
        ("value", Cell::from(point.value)),
    ];
    Ok(output::record(streams.stdout, args.format.format, &fields)?)
}
