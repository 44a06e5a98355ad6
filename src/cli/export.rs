//! `syna export`: every point as one line of text, in the long form that `import --long` reads.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Streams;
use super::error::CliError;
use super::output::{Cell, Format, Rows};
use super::progress::Bar;
use super::selection::{RowSelection, TimeArgs, select_keys, visit_points};
use crate::{Snapshot, SynaDB, SynaError};

/// The columns of an export, in order; `import --long` looks for the same.
pub(crate) const LONG_COLUMNS: &[&str] = &["key", "timestamp", "kind", "value"];

/// Points between two looks at the clock of the progress bar.
const PROGRESS_POINTS: u64 = 16_384;

/// Print points as (key, timestamp, kind, value), one a line
///
/// Keys come in byte order, the points of each in the order in which they were appended. Floats are
/// exact (NaN, inf and -inf by name), bytes hexadecimal, a null is an empty cell or null. `syna
/// import --long` reads the CSV back as it was.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// A key or a pattern of keys; all when not given
    pattern: Option<String>,
    /// How points are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ExportFormat,
    #[command(flatten)]
    times: TimeArgs,
    /// Write to this new file, which is removed again if the export fails
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ExportFormat {
    /// Comma-separated values with a header.
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Jsonl => Format::Jsonl,
        }
    }
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let snapshot = db.snapshot()?;
    let keys = select_keys(&snapshot, args.pattern.as_deref())?;
    if let (true, Some(pattern)) = (keys.is_empty(), &args.pattern) {
        return Err(SynaError::KeyNotFound { key: pattern.clone() }.into());
    }
    let on_terminal = args.output.is_none() && streams.stdout_is_terminal;
    let mut bar = Bar::points(streams).hidden_if(on_terminal);
    match &args.output {
        None => write_points(&snapshot, &keys, args, streams.stdout, &mut bar),
        Some(path) => {
            let written =
                to_new_file(path, |out| write_points(&snapshot, &keys, args, out, &mut bar));
            written.map_err(|error| match error {
                CliError::Output(source) => CliError::file("write", path, source),
                other => other,
            })
        }
    }
}

/// Never overwrites: `-o` may name the database itself, or yesterday's export.
fn to_new_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let file = File::create_new(path).map_err(|source| CliError::file("create", path, source))?;
    let mut out = BufWriter::new(file);
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    if written.is_err() {
        // Half an export must not be taken for a whole one.
        let _ = fs::remove_file(path);
    }
    written
}

fn write_points(
    snapshot: &Snapshot,
    keys: &[String],
    args: &Args,
    out: &mut dyn Write,
    bar: &mut Bar,
) -> Result<(), CliError> {
    let mut total = 0_u64;
    for key in keys {
        total = total.saturating_add(snapshot.len(key)?);
    }
    let mut rows = Rows::new(out, args.format.into(), LONG_COLUMNS)?;
    let mut done = 0_u64;
    for key in keys {
        visit_points(snapshot, key, &RowSelection::All, &args.times, &mut |point| {
            done += 1;
            if done.is_multiple_of(PROGRESS_POINTS) {
                bar.update(done, total);
            }
            let kind = point.value.kind().name();
            let time = Cell::Time(point.timestamp);
            rows.row(vec![key.as_str().into(), time, kind.into(), point.value.into()])?;
            Ok(())
        })?;
    }
    Ok(rows.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_kept_and_a_failed_export_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        let failed = to_new_file(&path, |out| {
            out.write_all(b"half")?;
            Err(CliError::Failed("stop".into()))
        });
        assert!(failed.is_err());
        assert!(!path.exists());
        to_new_file(&path, |out| Ok(out.write_all(b"whole")?)).unwrap();
        assert!(to_new_file(&path, |_| Ok(())).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
