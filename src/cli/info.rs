//! `syna info`: facts about a database, or about its keys with a small picture of each.

use std::path::PathBuf;

use super::Streams;
use super::error::CliError;
use super::output::{self, Cell, Format, FormatArgs, Rows};
use super::progress::Bar;
use super::selection::{RowSelection, TimeArgs, select_keys, visit_points};
use super::sparkline::Sparkline;
use crate::{Atom, AtomKind, Point, Snapshot, SynaDB, SynaError};

const PICTURE_WIDTH_ONE_KEY: usize = 60;
const PICTURE_WIDTH_MANY_KEYS: usize = 24;

/// Describe a database, or the keys that match
///
/// Without KEY: the sizes and counts of the file. With it: the number of points of each matching
/// key, their kinds, the smallest and the greatest time, and min, mean and max of the numbers (NaN
/// left out). The table format adds a picture of the series over time.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// A key or a pattern of keys
    key: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let Some(pattern) = args.key.as_deref() else { return database(&db, args, streams) };
    let snapshot = db.snapshot()?;
    let keys = select_keys(&snapshot, Some(pattern))?;
    match keys.as_slice() {
        [] => Err(SynaError::KeyNotFound { key: pattern.to_owned() }.into()),
        [key] => one_key(&snapshot, key, args.format.format, streams),
        keys => many_keys(&snapshot, keys, args.format.format, streams),
    }
}

fn database(db: &SynaDB, args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let stats = db.stats()?;
    let recovery = db.recovery_report();
    let encodings: Vec<String> =
        stats.encodings.iter().map(|used| format!("{} {}", used.name, used.stored_bytes)).collect();
    let fields = [
        ("path", Cell::Text(args.file.display().to_string())),
        ("medium", Cell::from(stats.medium)),
        ("file_bytes", Cell::Count(stats.file_bytes)),
        ("log_bytes", Cell::Count(stats.log_bytes)),
        ("durable_offset", Cell::Count(stats.durable_offset)),
        ("generation", Cell::Count(stats.generation)),
        ("keys", Cell::Count(stats.keys)),
        ("rows", Cell::Count(stats.rows)),
        ("chunks", Cell::Count(stats.chunks)),
        ("tails", Cell::Count(stats.tails)),
        ("tail_points", Cell::Count(stats.tail_points)),
        ("tail_bytes", Cell::Count(stats.tail_bytes)),
        ("live_bytes", Cell::Count(stats.live_bytes)),
        ("replaced_bytes", Cell::Count(stats.replaced_bytes)),
        ("reclaimable_bytes", Cell::Count(stats.reclaimable_bytes)),
        ("encodings", Cell::Text(encodings.join(", "))),
        ("torn_tail_bytes", Cell::Count(recovery.bytes_cut)),
    ];
    Ok(output::record(streams.stdout, args.format.format, &fields)?)
}

const KEY_COLUMNS: &[&str] = &["key", "points", "kinds", "first", "last", "min", "mean", "max"];
const KEY_COLUMNS_DRAWN: &[&str] =
    &["key", "points", "kinds", "first", "last", "min", "mean", "max", "over time"];

fn one_key(
    snapshot: &Snapshot,
    key: &str,
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CliError> {
    let mut bar = Bar::points(streams);
    let summary = Summary::of(snapshot, key, &mut |done| bar.update(done, 0))?;
    let picture = match format {
        Format::Table => Some(summary.draw(snapshot, key, PICTURE_WIDTH_ONE_KEY)?),
        _ => None,
    };
    drop(bar);
    let mut fields: Vec<_> = KEY_COLUMNS.iter().copied().zip(summary.cells(key)).collect();
    fields.extend(picture.map(|picture| ("over time", Cell::Text(picture))));
    Ok(output::record(streams.stdout, format, &fields)?)
}

fn many_keys(
    snapshot: &Snapshot,
    keys: &[String],
    format: Format,
    streams: &mut Streams<'_>,
) -> Result<(), CliError> {
    let mut total = 0_u64;
    for key in keys {
        total = total.saturating_add(snapshot.len(key)?);
    }
    let drawn = format == Format::Table;
    let mut bar = Bar::points(streams).hidden_if(streams.stdout_is_terminal);
    let columns = if drawn { KEY_COLUMNS_DRAWN } else { KEY_COLUMNS };
    let mut rows = Rows::new(streams.stdout, format, columns)?;
    let mut done = 0_u64;
    for key in keys {
        let summary = Summary::of(snapshot, key, &mut |points| {
            bar.update(done.saturating_add(points), total)
        })?;
        done = done.saturating_add(summary.points);
        let mut cells = summary.cells(key);
        if drawn {
            cells.push(Cell::Text(summary.draw(snapshot, key, PICTURE_WIDTH_MANY_KEYS)?));
        }
        rows.row(cells)?;
    }
    Ok(rows.finish()?)
}

/// What one pass over a key's points says about them.
#[derive(Default)]
struct Summary {
    points: u64,
    kinds: [bool; AtomKind::ALL.len()],
    first: Option<i64>,
    last: Option<i64>,
    numbers: Numbers,
}

/// Min, mean and max; exact as long as all numbers are integers.
#[derive(Default)]
enum Numbers {
    #[default]
    None,
    Ints {
        min: i64,
        max: i64,
        sum: i128,
        count: u64,
    },
    Floats {
        min: f64,
        max: f64,
        sum: f64,
        count: f64,
    },
}

impl Summary {
    /// `progress` hears from time to time how many points were read.
    fn of(snapshot: &Snapshot, key: &str, progress: &mut dyn FnMut(u64)) -> Result<Self, CliError> {
        let mut summary = Summary::default();
        visit_points(snapshot, key, &RowSelection::All, &TimeArgs::default(), &mut |point| {
            summary.add(&point);
            if summary.points.is_multiple_of(65_536) {
                progress(summary.points);
            }
            Ok(())
        })?;
        Ok(summary)
    }

    fn add(&mut self, point: &Point) {
        self.points += 1;
        self.first = Some(self.first.map_or(point.timestamp, |t| t.min(point.timestamp)));
        self.last = Some(self.last.map_or(point.timestamp, |t| t.max(point.timestamp)));
        let kind = AtomKind::ALL.iter().position(|kind| *kind == point.value.kind());
        if let Some(seen) = kind.and_then(|kind| self.kinds.get_mut(kind)) {
            *seen = true;
        }
        match &point.value {
            Atom::Int(value) => self.numbers.add_int(*value),
            Atom::Float(value) if !value.is_nan() => self.numbers.add_float(*value),
            _ => {}
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        let seen = AtomKind::ALL.iter().zip(self.kinds);
        seen.filter(|(_, seen)| *seen).map(|(kind, _)| kind.name()).collect()
    }

    /// In the order of `KEY_COLUMNS`.
    fn cells(&self, key: &str) -> Vec<Cell> {
        let [min, mean, max] = self.numbers.cells();
        let (first, last) = (Cell::time_or_null(self.first), Cell::time_or_null(self.last));
        let kinds = Cell::List(self.kinds());
        vec![key.into(), Cell::Count(self.points), kinds, first, last, min, mean, max]
    }

    /// A second pass, since the picture needs to know the time span.
    fn draw(&self, snapshot: &Snapshot, key: &str, width: usize) -> Result<String, CliError> {
        let (Some(first), Some(last)) = (self.first, self.last) else { return Ok(String::new()) };
        let mut sparkline = Sparkline::new(width, first, last);
        visit_points(snapshot, key, &RowSelection::All, &TimeArgs::default(), &mut |point| {
            if let Some(value) = number(&point.value) {
                sparkline.push(point.timestamp, value);
            }
            Ok(())
        })?;
        Ok(sparkline.draw())
    }
}

fn number(value: &Atom) -> Option<f64> {
    match value {
        Atom::Float(value) => Some(*value),
        Atom::Int(value) => Some(int_as_float(*value)),
        _ => None,
    }
}

/// Rounds beyond 2^53, which a picture and a mean over mixed kinds can bear.
fn int_as_float(value: i64) -> f64 {
    value as f64
}

impl Numbers {
    fn add_int(&mut self, value: i64) {
        match self {
            Numbers::None => {
                *self = Numbers::Ints { min: value, max: value, sum: value.into(), count: 1 };
            }
            Numbers::Ints { min, max, sum, count } => {
                *min = (*min).min(value);
                *max = (*max).max(value);
                *sum += i128::from(value);
                *count += 1;
            }
            Numbers::Floats { .. } => self.add_float(int_as_float(value)),
        }
    }

    fn add_float(&mut self, value: f64) {
        match self {
            Numbers::None => {
                *self = Numbers::Floats { min: value, max: value, sum: value, count: 1.0 };
            }
            Numbers::Ints { min, max, sum, count } => {
                *self = Numbers::Floats {
                    min: int_as_float(*min),
                    max: int_as_float(*max),
                    sum: *sum as f64,
                    count: *count as f64,
                };
                self.add_float(value);
            }
            Numbers::Floats { min, max, sum, count } => {
                *min = min.min(value);
                *max = max.max(value);
                *sum += value;
                *count += 1.0;
            }
        }
    }

    fn cells(&self) -> [Cell; 3] {
        match *self {
            Numbers::None => [Cell::Null, Cell::Null, Cell::Null],
            Numbers::Ints { min, max, sum, count } => {
                let mean = sum as f64 / count as f64;
                [Cell::Int(min), Cell::Statistic(mean), Cell::Int(max)]
            }
            Numbers::Floats { min, max, sum, count } => {
                [min, sum / count, max].map(Cell::Statistic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: Vec<Atom>) -> Summary {
        let mut summary = Summary::default();
        for (timestamp, value) in (0..).zip(values) {
            summary.add(&Point { timestamp, value });
        }
        summary
    }

    #[test]
    fn integers_stay_exact_until_a_float_joins_them() {
        let ints = summary(vec![Atom::Int(i64::MAX), Atom::Int(i64::MAX - 2)]);
        let [min, _, max] = ints.numbers.cells();
        assert_eq!((min, max), (Cell::Int(i64::MAX - 2), Cell::Int(i64::MAX)));
        let mixed = summary(vec![Atom::Int(1), Atom::Float(2.5), Atom::Int(4)]);
        let cells = [1.0, 2.5, 4.0].map(Cell::Statistic);
        assert_eq!(mixed.numbers.cells(), cells);
        assert_eq!(mixed.kinds(), ["float", "int"]);
    }

    #[test]
    fn what_is_no_number_is_counted_and_not_averaged() {
        let values = vec![Atom::Null, Atom::Text("a".into()), Atom::Float(f64::NAN)];
        let summary = summary(values);
        assert_eq!(summary.points, 3);
        assert_eq!((summary.first, summary.last), (Some(0), Some(2)));
        assert_eq!(summary.numbers.cells(), [Cell::Null, Cell::Null, Cell::Null]);
    }
}
