//! The weather file read by plain string splitting: what the store says is held against this, so it
//! shares no code with the import.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Midnight of 2013-01-01 UTC in seconds since 1970; the file holds the year 2013 only.
const YEAR_2013_S: i64 = 1_356_998_400;
const DAYS_IN_MONTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Points of one key in the order of the file.
pub type History = Vec<(i64, f64)>;

/// The points of one row: key, time, value.
type Row = Vec<(String, i64, f64)>;

pub struct Weather {
    pub path: PathBuf,
    rows: Vec<Row>,
}

impl Weather {
    pub fn read() -> Result<Weather, Box<dyn Error>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/nyc-weather-2013.csv");
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let rows = lines.map(|line| points_of(&header, line)).collect::<Result<_, _>>()?;
        Ok(Weather { path, rows })
    }

    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Number of points in the first `rows` rows.
    pub fn points_in(&self, rows: usize) -> usize {
        self.rows.iter().take(rows).map(Vec::len).sum()
    }

    /// The history of each key after the first `rows` rows.
    pub fn histories(&self, rows: usize) -> BTreeMap<String, History> {
        let mut histories = BTreeMap::<String, History>::new();
        for (key, timestamp, value) in self.rows.iter().take(rows).flatten() {
            histories.entry(key.clone()).or_default().push((*timestamp, *value));
        }
        histories
    }
}

fn points_of(header: &[&str], line: &str) -> Result<Row, Box<dyn Error>> {
    let cells: Vec<&str> = line.split(',').collect();
    let [station, time, values @ ..] = cells.as_slice() else { return Err(line.into()) };
    let timestamp = microseconds(time).ok_or_else(|| format!("not a time in 2013: {time}"))?;
    let names = header.iter().skip(2);
    names
        .zip(values)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| Ok((format!("{station}/{name}"), timestamp, value.parse()?)))
        .collect()
}

/// Reads `2013-MM-DDTHH:MM:SSZ`.
fn microseconds(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (month, day) = (number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let months_before = usize::try_from(month - 1).ok().filter(|_| time.starts_with("2013-"))?;
    let days = DAYS_IN_MONTH.iter().take(months_before).sum::<i64>() + day - 1;
    Some((YEAR_2013_S + ((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}
