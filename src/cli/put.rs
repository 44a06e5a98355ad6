//! `syna put`: appends one point.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, printable};
use super::time::{self, Rfc3339};
use super::value;
use crate::{AtomKind, SynaDB};

/// Append one point; the database is created when it is missing
///
/// The value's kind is guessed: an integer, else a float, else text. What was stored is said on
/// standard error. The command returns when the point is durable.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// The key
    key: String,
    /// The value; bytes are written in hexadecimal
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// The value's kind, when it is not what the value looks like
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,
    /// The point's time; now when not given
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    at: Option<i64>,
    /// Say nothing
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Float,
    Int,
    Text,
    Bytes,
    Null,
}

impl From<Kind> for AtomKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Float => AtomKind::Float,
            Kind::Int => AtomKind::Int,
            Kind::Text => AtomKind::Text,
            Kind::Bytes => AtomKind::Bytes,
            Kind::Null => AtomKind::Null,
        }
    }
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let value = match args.kind {
        Some(kind) => value::parse(kind.into(), &args.value),
        None => value::guess(&args.value),
    };
    let value = value.map_err(CliError::Usage)?;
    let db = SynaDB::new(&args.file)?;
    match args.at {
        Some(at) => db.append_at(&args.key, at, value)?,
        None => db.append(&args.key, value)?,
    };
    // This process is the only writer, so the newest point is the one just appended.
    let stored = db.get_point(&args.key)?;
    db.close()?;
    if let Some(point) = stored.filter(|_| !args.quiet) {
        let (time, kind) = (Rfc3339(point.timestamp), point.value.kind());
        let text = printable(&Cell::from(point.value).text());
        let key = printable(&args.key);
        // Only a courtesy: the point is stored whether or not anybody reads this.
        let _ = writeln!(streams.stderr, "{key}: {kind} {text} at {time}");
    }
    Ok(())
}
