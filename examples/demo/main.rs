//! The main job on real data: `make demo`.
//!
//! First, a year of hourly weather at three airports is imported and every key is described; what
//! the store says is checked against the file itself. Then a second import is killed with SIGKILL
//! half way while another process keeps reading, and every acknowledged commit is looked for.
//!
//! The program starts itself again as the writer and the reader of the second part, so that they
//! are real processes.

mod crash;
mod screen;
mod weather;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use synadb::SynaDB;
use synadb::cli::{self, Sparkline};

use crate::screen::grouped;
use crate::weather::{History, Weather};

const PICTURE_WIDTH: usize = 60;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match args.split_first() {
        Some((role, rest)) if role == crash::WRITER => {
            return match cli::run(rest.iter().cloned()) {
                cli::EXIT_OK => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            };
        }
        Some((role, rest)) if role == crash::READER => rest
            .first()
            .ok_or_else(|| "which file?".into())
            .and_then(|file| crash::read(file.as_ref())),
        _ => demo(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::line(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), Box<dyn Error>> {
    let weather = Weather::read()?;
    let folder = tempfile::tempdir()?;
    import_and_describe(&weather, &folder.path().join("weather.syna"))?;
    crash::kill_a_writer(&weather, folder.path())?;
    Ok(())
}

fn import_and_describe(weather: &Weather, file: &Path) -> Result<(), Box<dyn Error>> {
    screen::heading("Hourly weather of 2013 at three airports of New York");
    screen::command(
        "syna import weather.syna examples/data/nyc-weather-2013.csv --time time --key station",
    );
    let args = ["syna", "import", "--quiet"].map(OsString::from).into_iter();
    let args = args.chain([file.into(), weather.path.clone().into()]);
    let code = cli::run(args.chain(["--time", "time", "--key", "station"].map(OsString::from)));
    if code != cli::EXIT_OK {
        return Err(format!("the import ended with exit code {code}").into());
    }

    let db = SynaDB::open_read_only(file)?;
    let snapshot = db.snapshot()?;
    let expected = weather.histories(weather.row_count());
    let keys = snapshot.keys()?;
    if !keys.iter().eq(expected.keys()) {
        return Err(format!("the keys are {keys:?}").into());
    }
    let mut points = 0;
    for (key, expected) in &expected {
        let stored = history(&snapshot.get_history(key)?)?;
        describe(key, &stored)?;
        compare(key, &stored, expected)?;
        points += stored.len();
    }
    screen::line("");
    screen::passed(&format!(
        "{} rows gave {} points of {} keys; counts, times and sums agree with the file",
        grouped(weather.row_count()),
        grouped(points),
        keys.len(),
    ));
    Ok(())
}

/// The points of a key, which are all floats here.
fn history(points: &[synadb::Point]) -> Result<History, Box<dyn Error>> {
    let float = |point: &synadb::Point| Some((point.timestamp, point.value.as_float()?));
    points.iter().map(float).collect::<Option<_>>().ok_or_else(|| "not all are floats".into())
}

fn describe(key: &str, points: &History) -> Result<(), Box<dyn Error>> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
        return Err(format!("{key} is empty").into());
    };
    let values = || points.iter().map(|(_, value)| *value);
    let mean = values().sum::<f64>() / points.len() as f64;
    let (min, max) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    screen::line(&format!(
        "{key:<14} {:>6}  {} to {}  min {min:>7.2}  mean {mean:>7.2}  max {max:>7.2}",
        grouped(points.len()),
        minute(*first),
        minute(*last),
    ));
    let mut picture = Sparkline::new(PICTURE_WIDTH, *first, *last);
    points.iter().for_each(|(timestamp, value)| picture.push(*timestamp, *value));
    screen::picture(&picture.draw());
    Ok(())
}

/// `2013-01-31 06:00`.
fn minute(timestamp: i64) -> String {
    let text = cli::rfc3339(timestamp);
    let shown = text.get(..16).unwrap_or(&text);
    shown.replace('T', " ")
}

fn compare(key: &str, stored: &History, expected: &History) -> Result<(), Box<dyn Error>> {
    let sum = |points: &History| points.iter().map(|(_, value)| value).sum::<f64>();
    if stored.len() != expected.len() {
        return Err(format!("{key}: {} points, not {}", stored.len(), expected.len()).into());
    }
    if sum(stored).to_bits() != sum(expected).to_bits() {
        return Err(format!("{key}: the sum is {}, not {}", sum(stored), sum(expected)).into());
    }
    if stored != expected {
        return Err(format!("{key}: a point differs from the file").into());
    }
    Ok(())
}
