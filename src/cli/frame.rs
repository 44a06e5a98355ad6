//! `syna frame`: several keys side by side, aligned on time.

use std::ops::Bound;
use std::path::PathBuf;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, FormatArgs, Rows};
use super::selection::{TimeArgs, select_keys};
use crate::{Align, Every, Fill, SynaDB, SynaError, parse_tolerance};

/// Print several keys side by side, a row for each time and a column for each key
///
/// A row has of each key the value as of its time. Without --every there is a row for each
/// timestamp of any of the keys. The table is held in memory.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// Keys, or patterns of keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    times: TimeArgs,
    /// Rows a fixed step apart (15m, 1h): from --since up to --until, or around the points on a side left open
    #[arg(long, value_name = "STEP")]
    every: Option<Every>,
    /// Which point a row sees: backward, forward or nearest
    #[arg(long, default_value = "backward", value_name = "HOW", value_parser = align)]
    align: Align,
    /// See no point that is further away than this (0s, 10m, 1h)
    #[arg(long, value_name = "LENGTH", value_parser = parse_tolerance)]
    tolerance: Option<Duration>,
    /// What stands where a row sees nothing: none, last, or a number
    #[arg(long, default_value = "none", value_name = "WHAT", value_parser = fill)]
    #[arg(allow_hyphen_values = true)]
    fill: Fill,
    #[command(flatten)]
    format: FormatArgs,
}

fn align(text: &str) -> Result<Align, String> {
    Align::from_name(text).ok_or_else(|| "it is backward, forward or nearest".to_owned())
}

fn fill(text: &str) -> Result<Fill, String> {
    match text {
        "none" => Ok(Fill::None),
        "last" => Ok(Fill::Last),
        number => {
            number.parse().map(Fill::Value).map_err(|_| "it is none, last or a number".into())
        }
    }
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let (since, until) = (args.times.since, args.times.until);
    let db = SynaDB::open_read_only(&args.file)?;
    let snapshot = db.snapshot()?;
    let mut keys = Vec::new();
    for pattern in &args.keys {
        let found = select_keys(&snapshot, Some(pattern))?;
        if found.is_empty() {
            return Err(SynaError::KeyNotFound { key: pattern.clone() }.into());
        }
        keys.extend(found);
    }
    let mut frame = snapshot.frame(&keys)?.align(args.align).fill(args.fill);
    if since.is_some() || until.is_some() {
        frame = frame.range((
            Bound::Included(since.unwrap_or(i64::MIN)),
            until.map_or(Bound::Unbounded, Bound::Excluded),
        ));
    }
    if let Some(every) = args.every {
        frame = frame.every(every);
    }
    if let Some(tolerance) = args.tolerance {
        frame = frame.tolerance(tolerance);
    }
    let table = frame.read()?;
    let columns: Vec<&str> =
        std::iter::once("timestamp").chain(keys.iter().map(String::as_str)).collect();
    let mut rows = Rows::new(streams.stdout, args.format.format, &columns)?;
    for row in 0..table.num_rows() {
        rows.row(table.columns().iter().map(|column| cell(column, row)).collect())?;
    }
    Ok(rows.finish()?)
}

/// What stands in a row of a column of any type that frames have.
fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Timestamp(..) => {
            Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Cell::Bytes(column.as_binary::<i32>().value(row).to_vec()),
        DataType::Struct(_) => {
            // The field of its kind is the only one that is set.
            let fields = column.as_struct();
            let kinds = fields.column(0).as_dictionary::<Int8Type>();
            let kind = usize::try_from(kinds.keys().value(row)).unwrap_or(0);
            fields.columns().get(kind).filter(|_| kind > 0).map_or(Cell::Null, |c| cell(c, row))
        }
        _ => Cell::Null,
    }
}
