//! What each row of a file means: which cell is the time, which make the key, which are values.

use csv::StringRecord;

use super::super::export::LONG_COLUMNS;
use super::super::{time, value};
use super::staging::Staging;
use crate::{Atom, AtomKind};

/// The longest key that the store takes.
const KEY_LEN_MAX: usize = 65_535;

const TYPE_HINT: &str = "--type COLUMN=text, int or float";

#[derive(clap::Args, Debug)]
pub(super) struct PlanArgs {
    /// The column that holds each row's time
    #[arg(long, value_name = "COLUMN", required_unless_present = "long")]
    time: Option<String>,
    /// What an integer in the time column counts since 1970 UTC
    #[arg(long, value_enum, default_value_t, value_name = "UNIT")]
    time_unit: time::Unit,
    /// A column whose cells become part of the key; may be given several times, in order
    #[arg(long, value_name = "COLUMN")]
    key: Vec<String>,
    /// A column of values; may be given several times; all the others when not given
    #[arg(long, value_name = "COLUMN")]
    value: Vec<String>,
    /// What every key begins with
    #[arg(long, value_name = "P")]
    prefix: Option<String>,
    /// Leave the name of the value column out of the key; needs exactly one value column
    #[arg(long)]
    bare: bool,
    /// Append a null for an empty cell, instead of nothing
    #[arg(long)]
    nulls: bool,
    /// The type of all value columns, or of one; may be given several times
    #[arg(long = "type", value_name = "[COLUMN=]TYPE", value_parser = parse_type)]
    types: Vec<(Option<String>, ColumnType)>,
    /// The file has the columns key, timestamp, kind and value, as `syna export` writes them
    #[arg(long, conflicts_with_all = [
        "time", "time_unit", "key", "value", "prefix", "bare", "nulls", "types",
    ])]
    long: bool,
}

/// What the cells of a value column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ColumnType {
    /// Decided by the first filled cell: float or text.
    Auto,
    Float,
    Int,
    Text,
}

fn parse_type(text: &str) -> Result<(Option<String>, ColumnType), String> {
    use clap::ValueEnum as _;
    // Column names may contain `=`, types do not.
    let (column, name) = match text.rsplit_once('=') {
        Some((column, name)) => (Some(column.to_owned()), name),
        None => (None, text),
    };
    let kind = ColumnType::from_str(name, false)
        .map_err(|_| format!("{name:?} is not one of auto, float, int, text"))?;
    Ok((column, kind))
}

/// A cell that cannot be taken as it is.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    /// Its column, counted from 0.
    pub(super) column: usize,
    pub(super) what: String,
}

/// A rule for each row.
#[derive(Debug)]
pub(super) enum Plan {
    /// One row has a time and many values.
    Wide(Wide),
    /// One row is one point, kind included.
    Long { key: usize, time: usize, kind: usize, value: usize },
}

#[derive(Debug)]
pub(super) struct Wide {
    time: usize,
    unit: time::Unit,
    prefix: String,
    keys: Vec<usize>,
    values: Vec<ValueColumn>,
    nulls: bool,
    /// The key of the point at hand, kept to spare an allocation for each.
    key: String,
}

#[derive(Debug)]
struct ValueColumn {
    column: usize,
    /// The last part of the key; none with `--bare`.
    name: Option<String>,
    kind: ColumnType,
    /// Whether nobody named the type, so that a cell that does not fit calls for help.
    guessed: bool,
}

impl PlanArgs {
    /// Finds the columns that the options name.
    ///
    /// # Errors
    ///
    /// A sentence for the user when an option does not fit the header.
    pub(super) fn plan(&self, header: &StringRecord) -> Result<Plan, String> {
        let find = |name: &str| find_column(header, name);
        let Some(time) = self.time.as_deref().filter(|_| !self.long) else {
            let columns =
                LONG_COLUMNS.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
            let [key, time, kind, value] = columns.as_slice() else {
                return Err(format!("an export has the columns {}", LONG_COLUMNS.join(", ")));
            };
            return Ok(Plan::Long { key: *key, time: *time, kind: *kind, value: *value });
        };
        let time = find(time)?;
        let keys = self.key.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
        let named = self.value.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
        let columns = match named.is_empty() {
            true => (0..header.len()).filter(|i| *i != time && !keys.contains(i)).collect(),
            false => named,
        };
        let mut values = Vec::new();
        for column in columns {
            let name = header.get(column).unwrap_or_default();
            if !self.bare {
                // A second column of this name would go to the same key.
                find(name)?;
                if name.is_empty() {
                    return Err(format!("column {} has no name; use --value", column + 1));
                }
            }
            let kind = self.column_type(name);
            let guessed = kind == ColumnType::Auto;
            let name = (!self.bare).then(|| name.to_owned());
            values.push(ValueColumn { column, name, kind, guessed });
        }
        if values.is_empty() {
            return Err("no column is left for values".to_owned());
        }
        if self.bare && values.len() != 1 {
            return Err(format!("--bare needs exactly one value column, not {}", values.len()));
        }
        if self.bare && keys.is_empty() && self.prefix.as_deref().unwrap_or("").is_empty() {
            return Err("--bare needs a --key column or a --prefix".to_owned());
        }
        for (name, _) in &self.types {
            if let Some(name) = name {
                let column = find(name)?;
                if !values.iter().any(|value| value.column == column) {
                    return Err(format!("--type {name}=: {name:?} is not a value column"));
                }
            }
        }
        let prefix = self.prefix.clone().unwrap_or_default();
        let prefix = prefix.strip_suffix('/').unwrap_or(&prefix).to_owned();
        let (unit, nulls) = (self.time_unit, self.nulls);
        Ok(Plan::Wide(Wide { time, unit, prefix, keys, values, nulls, key: String::new() }))
    }

    fn column_type(&self, name: &str) -> ColumnType {
        let of_column = self.types.iter().rfind(|(column, _)| column.as_deref() == Some(name));
        let of_all = || self.types.iter().rfind(|(column, _)| column.is_none());
        of_column.or_else(of_all).map_or(ColumnType::Auto, |(_, kind)| *kind)
    }
}

fn find_column(header: &StringRecord, name: &str) -> Result<usize, String> {
    let mut found = header.iter().enumerate().filter(|(_, column)| *column == name);
    let first = found.next();
    match (first, found.next()) {
        (Some((column, _)), None) => Ok(column),
        (Some(_), Some(_)) => Err(format!("there are several columns {name:?}")),
        (None, _) => {
            let names: Vec<_> = header.iter().collect();
            Err(format!("there is no column {name:?}; there are {}", names.join(", ")))
        }
    }
}

impl Plan {
    /// Adds the points of one row to the batch, which must not be committed after an error.
    pub(super) fn stage(&mut self, row: &StringRecord, staging: &mut Staging) -> Result<(), Wrong> {
        match self {
            Plan::Wide(wide) => wide.stage(row, staging),
            Plan::Long { key, time, kind, value } => {
                let timestamp = read_time(row, *time, time::Unit::Us)?;
                let name = cell(row, *kind);
                let known = AtomKind::ALL.into_iter().find(|kind| kind.name() == name);
                let Some(atom_kind) = known else {
                    let what = format!("{name:?} is not one of null, float, int, text, bytes");
                    return Err(Wrong { column: *kind, what });
                };
                let atom = value::parse(atom_kind, cell(row, *value))
                    .map_err(|what| Wrong { column: *value, what })?;
                check_key(cell(row, *key), *key)?;
                staging.push(cell(row, *key), timestamp, atom);
                Ok(())
            }
        }
    }

    /// Decides the types of columns by a row that is not imported.
    pub(super) fn learn_types(&mut self, row: &StringRecord) {
        if let Plan::Wide(wide) = self {
            wide.values.iter_mut().for_each(|column| column.learn_type(cell(row, column.column)));
        }
    }
}

impl Wide {
    fn stage(&mut self, row: &StringRecord, staging: &mut Staging) -> Result<(), Wrong> {
        let timestamp = read_time(row, self.time, self.unit)?;
        self.key.clear();
        self.key.push_str(&self.prefix);
        for column in &self.keys {
            let part = cell(row, *column);
            if part.is_empty() {
                let what = "the cell is empty but is part of the key".to_owned();
                return Err(Wrong { column: *column, what });
            }
            push_part(&mut self.key, part);
        }
        let stem_len = self.key.len();
        for column in &mut self.values {
            let text = cell(row, column.column);
            column.learn_type(text);
            let atom = match column.read(text)? {
                Some(atom) => atom,
                None if self.nulls => Atom::Null,
                None => continue,
            };
            self.key.truncate(stem_len);
            if let Some(name) = &column.name {
                push_part(&mut self.key, name);
            }
            check_key(&self.key, self.keys.first().copied().unwrap_or(column.column))?;
            staging.push(&self.key, timestamp, atom);
        }
        Ok(())
    }
}

impl ValueColumn {
    fn learn_type(&mut self, text: &str) {
        if self.kind == ColumnType::Auto && !text.trim().is_empty() {
            self.kind = match value::looks_like_number(text.trim()) {
                true => ColumnType::Float,
                false => ColumnType::Text,
            };
        }
    }

    /// The atom in a cell; none if it is empty. Around numbers, spaces are ignored.
    fn read(&self, text: &str) -> Result<Option<Atom>, Wrong> {
        let number = text.trim();
        let read = match self.kind {
            ColumnType::Text if text.is_empty() => return Ok(None),
            ColumnType::Text => Ok(Atom::Text(text.to_owned())),
            _ if number.is_empty() => return Ok(None),
            ColumnType::Int => value::parse(AtomKind::Int, number),
            _ if self.guessed => value::parse_float_exact(number).map(Atom::Float),
            _ => value::parse_float(number).map(Atom::Float),
        };
        let column = self.column;
        read.map(Some).map_err(|what| match self.guessed {
            true => Wrong { column, what: format!("{what}; say what it is with {TYPE_HINT}") },
            false => Wrong { column, what },
        })
    }
}

fn cell(row: &StringRecord, column: usize) -> &str {
    row.get(column).unwrap_or_default()
}

fn read_time(row: &StringRecord, column: usize, unit: time::Unit) -> Result<i64, Wrong> {
    time::parse_in(cell(row, column), unit).map_err(|what| Wrong { column, what })
}

fn push_part(key: &mut String, part: &str) {
    if !key.is_empty() {
        key.push('/');
    }
    key.push_str(part);
}

fn check_key(key: &str, column: usize) -> Result<(), Wrong> {
    let what = match key.len() {
        0 => "a key must not be empty".to_owned(),
        1..=KEY_LEN_MAX => return Ok(()),
        len => format!("a key has at most {KEY_LEN_MAX} bytes, this one would have {len}"),
    };
    Err(Wrong { column, what })
}
