//! Results in the form that was asked for: a table for people, JSON, JSON lines or CSV for programs.
//!
//! The same cells go to each. JSON has no word for a float that is not finite, so those are the
//! strings `"NaN"`, `"inf"` and `"-inf"`; bytes are hexadecimal everywhere.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::time::Rfc3339;
use super::value::{float_text, hex_text};
use crate::Atom;

/// Rows that a table looks at before it decides how wide its columns are. Later cells that are
/// wider push their row out of line; in return a history of any length is printed as it is read.
const TABLE_ROWS_AHEAD: usize = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// How every command that prints results takes its format.
#[derive(clap::Args, Debug)]
pub(crate) struct FormatArgs {
    /// How results are printed; `table` also when the output goes to a program
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Count(u64),
    Float(f64),
    /// A float that a table may round to six digits.
    Statistic(f64),
    Text(String),
    Time(i64),
    Bytes(Vec<u8>),
    Flag(bool),
    List(Vec<&'static str>),
}

impl From<Atom> for Cell {
    fn from(value: Atom) -> Self {
        match value {
            Atom::Null => Cell::Null,
            Atom::Float(value) => Cell::Float(value),
            Atom::Int(value) => Cell::Int(value),
            Atom::Text(value) => Cell::Text(value),
            Atom::Bytes(value) => Cell::Bytes(value),
        }
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl Cell {
    fn optional<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
        value.map_or(Cell::Null, cell)
    }

    pub(crate) fn count_or_null(value: Option<u64>) -> Cell {
        Cell::optional(value, Cell::Count)
    }

    pub(crate) fn time_or_null(value: Option<i64>) -> Cell {
        Cell::optional(value, Cell::Time)
    }

    /// The exact text, as in CSV.
    pub(crate) fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Int(value) => value.to_string(),
            Cell::Count(value) => value.to_string(),
            Cell::Float(value) | Cell::Statistic(value) => float_text(*value),
            Cell::Text(value) => value.clone(),
            Cell::Time(us) => Rfc3339(*us).to_string(),
            Cell::Bytes(value) => hex_text(value),
            Cell::Flag(value) => value.to_string(),
            Cell::List(values) => values.join(" "),
        }
    }

    fn table_text(&self) -> String {
        match self {
            Cell::Null => "null".to_owned(),
            Cell::Statistic(value) => rounded(*value),
            // A control character in a key or a text must not steer the terminal.
            Cell::Text(value) => printable(value),
            _ => self.text(),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Cell::Int(_) | Cell::Count(_) | Cell::Float(_) | Cell::Statistic(_))
    }

    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Cell::Null => out.write_all(b"null"),
            Cell::Int(_) | Cell::Count(_) | Cell::Flag(_) => out.write_all(self.text().as_bytes()),
            Cell::Float(value) | Cell::Statistic(value) if value.is_finite() => {
                out.write_all(self.text().as_bytes())
            }
            Cell::List(values) => Ok(serde_json::to_writer(out, values)?),
            _ => Ok(serde_json::to_writer(out, &self.text())?),
        }
    }
}

/// Six significant digits, without the zeros at the end.
fn rounded(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude != 0.0 && !(1e-4..1e9).contains(&magnitude) {
        return match value.is_finite() {
            true => format!("{value:.5e}"),
            false => float_text(value),
        };
    }
    let whole_digits = [10.0, 100.0, 1e3, 1e4, 1e5].iter().filter(|p| magnitude >= **p).count();
    let text = format!("{value:.*}", 5 - whole_digits);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The text with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut escaped, c| {
        match c.is_control() {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
        escaped
    })
}

/// Prints rows of the same columns one after the other.
pub(crate) struct Rows<'a> {
    columns: &'a [&'a str],
    sink: Sink<'a>,
}

enum Sink<'a> {
    Table { out: &'a mut dyn Write, ahead: Vec<Vec<Cell>>, layout: Option<Layout> },
    Json { out: &'a mut dyn Write, started: bool },
    Jsonl { out: &'a mut dyn Write },
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
}

impl<'a> Rows<'a> {
    pub(crate) fn new(
        out: &'a mut dyn Write,
        format: Format,
        columns: &'a [&'a str],
    ) -> io::Result<Self> {
        let sink = match format {
            Format::Table => Sink::Table { out, ahead: Vec::new(), layout: None },
            Format::Json => Sink::Json { out, started: false },
            Format::Jsonl => Sink::Jsonl { out },
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(columns).map_err(csv_io)?;
                Sink::Csv(Box::new(csv))
            }
        };
        Ok(Rows { columns, sink })
    }

    /// Prints one row; `cells` stand in the order of the columns.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        match &mut self.sink {
            Sink::Table { out, layout: Some(layout), .. } => layout.write(*out, &cells),
            Sink::Table { out, ahead, layout } => {
                ahead.push(cells);
                match ahead.len() < TABLE_ROWS_AHEAD {
                    true => Ok(()),
                    false => Layout::begin(*out, self.columns, ahead, layout),
                }
            }
            Sink::Json { out, started } => {
                out.write_all(if *started { b",\n" } else { b"[\n" })?;
                *started = true;
                write_object(*out, self.columns, &cells)
            }
            Sink::Jsonl { out } => {
                write_object(*out, self.columns, &cells)?;
                out.write_all(b"\n")
            }
            Sink::Csv(csv) => csv.write_record(cells.iter().map(Cell::text)).map_err(csv_io),
        }
    }

    /// Hands everything so far to whoever reads: for rows that come slowly.
    pub(crate) fn show(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Table { out, ahead, layout } => {
                if layout.is_none() {
                    Layout::begin(*out, self.columns, ahead, layout)?;
                }
                out.flush()
            }
            Sink::Json { out, .. } | Sink::Jsonl { out } => out.flush(),
            Sink::Csv(csv) => csv.flush(),
        }
    }

    /// Prints what a table still holds back and ends the document.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Table { out, ahead, layout: None } => {
                Layout::begin(out, self.columns, &ahead, &mut None)
            }
            Sink::Table { .. } | Sink::Jsonl { .. } => Ok(()),
            Sink::Json { out, started: false } => out.write_all(b"[]\n"),
            Sink::Json { out, started: true } => out.write_all(b"\n]\n"),
            Sink::Csv(mut csv) => csv.flush(),
        }
    }
}

/// Prints one set of facts: a name and a value a line in a table, one object in JSON.
pub(crate) fn record(
    out: &mut dyn Write,
    format: Format,
    fields: &[(&'static str, Cell)],
) -> io::Result<()> {
    let (names, cells): (Vec<_>, Vec<_>) = fields.iter().cloned().unzip();
    match format {
        Format::Table => {
            let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
            for (name, cell) in fields {
                let text = cell.table_text();
                writeln!(out, "{}", format!("{name:width$}  {text}").trim_end())?;
            }
            Ok(())
        }
        Format::Json | Format::Jsonl => {
            write_object(out, &names, &cells)?;
            out.write_all(b"\n")
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(&names).map_err(csv_io)?;
            csv.write_record(cells.iter().map(Cell::text)).map_err(csv_io)?;
            csv.flush()
        }
    }
}

/// Prints `{"name": value, ..}` without a line end.
pub(crate) fn write_object(out: &mut dyn Write, names: &[&str], cells: &[Cell]) -> io::Result<()> {
    for (i, (name, cell)) in names.iter().zip(cells).enumerate() {
        out.write_all(if i == 0 { b"{" } else { b"," })?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        cell.write_json(out)?;
    }
    out.write_all(b"}")
}

/// The I/O error inside; the other kinds cannot occur in writing rows of one length.
pub(crate) fn csv_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Where the columns of a table stand.
struct Layout {
    widths: Vec<usize>,
}

impl Layout {
    /// Measures the rows read ahead, prints the header and them, and keeps the widths.
    fn begin(
        out: &mut dyn Write,
        columns: &[&str],
        ahead: &[Vec<Cell>],
        layout: &mut Option<Layout>,
    ) -> io::Result<()> {
        let mut widths: Vec<usize> = columns.iter().map(|name| name.width()).collect();
        for row in ahead {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.table_text().width());
            }
        }
        // A header stands over its numbers, so it is aligned like the first row.
        let numbers = ahead.first().map(|row| row.iter().map(Cell::is_number).collect::<Vec<_>>());
        let header: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let right = numbers.as_ref().and_then(|numbers| numbers.get(i)).copied();
                ((*name).to_owned(), right.unwrap_or(false))
            })
            .collect();
        let begun = Layout { widths };
        begun.write_line(out, header)?;
        for row in ahead {
            begun.write(out, row)?;
        }
        *layout = Some(begun);
        Ok(())
    }

    fn write(&self, out: &mut dyn Write, cells: &[Cell]) -> io::Result<()> {
        let cells = cells.iter().map(|cell| (cell.table_text(), cell.is_number())).collect();
        self.write_line(out, cells)
    }

    fn write_line(&self, out: &mut dyn Write, cells: Vec<(String, bool)>) -> io::Result<()> {
        let mut line = String::new();
        for (i, ((text, right), width)) in cells.iter().zip(&self.widths).enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let fill = " ".repeat(width.saturating_sub(text.width()));
            match right {
                true => line.extend([gap, &fill, text]),
                false => line.extend([gap, text, &fill]),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["key", "value"];

    fn printed(format: Format, rows: Vec<Vec<Cell>>) -> String {
        let mut out = Vec::new();
        let mut printer = Rows::new(&mut out, format, COLUMNS).unwrap();
        rows.into_iter().for_each(|row| printer.row(row).unwrap());
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn two_rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["a".into(), Cell::Float(1.5)],
            vec!["long, \"key\"\n".into(), Cell::Float(f64::NAN)],
        ]
    }

    #[test]
    fn a_table_is_aligned_and_free_of_control_characters() {
        let expected = "key            value\n\
                        a                1.5\n\
                        long, \"key\"\\n    NaN\n";
        assert_eq!(printed(Format::Table, two_rows()), expected);
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn json_is_json_in_both_forms() {
        let json = printed(Format::Json, two_rows());
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed[0]["value"], 1.5);
        assert_eq!(parsed[1]["value"], "NaN");
        assert_eq!(parsed[1]["key"], "long, \"key\"\n");
        let lines = printed(Format::Jsonl, two_rows());
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(printed(Format::Json, vec![]), "[]\n");
        assert_eq!(printed(Format::Jsonl, vec![]), "");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let expected = "key,value\na,1.5\n\"long, \"\"key\"\"\n\",NaN\n";
        assert_eq!(printed(Format::Csv, two_rows()), expected);
        assert_eq!(printed(Format::Csv, vec![]), "key,value\n");
    }

    #[test]
    fn a_table_longer_than_its_look_ahead_prints_every_row() {
        let rows = (0..2_500).map(|i| vec!["k".into(), Cell::Int(i)]).collect();
        let text = printed(Format::Table, rows);
        assert_eq!(text.lines().count(), 2_501);
        assert!(text.ends_with("2499\n"));
    }

    #[test]
    fn statistics_are_rounded_in_tables_only() {
        let mean = Cell::Statistic(55.260_392_127_797_15);
        assert_eq!(mean.table_text(), "55.2604");
        assert_eq!(mean.text(), "55.26039212779715");
        for (value, text) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (1012.0, "1012"),
            (1_234_567.8, "1234568"),
            (1e300, "1.00000e300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }

    #[test]
    fn one_set_of_facts() {
        let fields = [("keys", Cell::Count(3)), ("first", Cell::Time(0))];
        let mut out = Vec::new();
        record(&mut out, Format::Table, &fields).unwrap();
        record(&mut out, Format::Json, &fields).unwrap();
        record(&mut out, Format::Csv, &fields).unwrap();
        let expected = "keys   3\n\
                        first  1970-01-01T00:00:00Z\n\
                        {\"keys\":3,\"first\":\"1970-01-01T00:00:00Z\"}\n\
                        keys,first\n3,1970-01-01T00:00:00Z\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
