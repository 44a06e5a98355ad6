//! Many keys at once: a scan of all points, a table aligned on time, the latest of everything:
//! `cargo run --example 07_many_keys`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use synadb::{Align, Fill, SynaDB};

const MINUTE: i64 = 60_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let db = SynaDB::in_memory()?;

    // Three sensors that report at times of their own.
    for (room, every, first) in [("attic", 10, 18.0), ("cellar", 15, 11.0), ("kitchen", 7, 21.0)] {
        let times: Vec<i64> = (0..1_440 / every).map(|n| n * every * MINUTE).collect();
        let temps: Vec<f64> =
            times.iter().map(|time| first + (time / (180 * MINUTE)) as f64 / 2.0).collect();
        db.append_batch(&format!("house/{room}"), &times, &temps[..])?;
    }

    // All points of all keys, in batches of key, timestamp, value: what Arrow's consumers want.
    let scan = db.scan("house/*")?.range(0..60 * MINUTE);
    let mut sum = 0.0;
    for batch in scan.stream()? {
        sum += batch?.column(2).as_primitive::<Float64Type>().values().iter().sum::<f64>();
    }
    println!("{} points in the first hour, mean {:.2}", scan.count()?, sum / scan.count()? as f64);
    assert_eq!(scan.count()?, 6 + 4 + 9);

    // One row every half hour, one column for each key: what was known at that time.
    let frame = db.frame_matching("house/*")?.every("30m".parse()?).range(0..180 * MINUTE);
    let table = frame.read()?;
    assert_eq!((table.num_rows(), table.num_columns()), (6, 4));

    // The same for a model: doubles in rows, no point older than ten minutes, gaps filled.
    let tensor = frame.tolerance(Duration::from_secs(600)).fill(Fill::Last).tensor()?;
    println!("{} rows of {} columns", tensor.rows(), tensor.columns);
    assert_eq!(tensor.row(5), Some(&[18.0, 11.0, 21.0][..]));

    // Without a step, a row for each time at which something was measured.
    let nearest = db.frame(["house/attic", "house/cellar"])?.align(Align::Nearest);
    assert_eq!(nearest.timestamps()?.len(), 144 + 96 - 48);

    // And the newest point of each.
    let latest = db.latest_batch("house/*")?;
    assert_eq!(latest.num_rows(), 3);
    Ok(())
}
