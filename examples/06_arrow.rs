//! Arrow in and out: record batches become histories, histories become record batches, and a
//! stream of one database feeds another: `cargo run --example 06_arrow`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt16Array,
};
use synadb::{CellFault, SynaDB, SynaError, WriteOptions};

const HOUR: i64 = 3_600_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = SynaDB::in_memory()?;

    // The long form: a row is a point of the key it names. The batch is one atomic commit.
    let long = RecordBatch::try_from_iter_with_nullable([
        ("key", Arc::new(StringArray::from(vec!["JFK/temp", "LGA/temp", "JFK/temp"])) as _, false),
        ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![0, 0, HOUR])) as _, false),
        ("value", Arc::new(Float64Array::from(vec![Some(39.0), None, Some(38.5)])) as _, true),
    ])?;
    let written = db.write(&long)?;
    println!("{} points in {} commit", written.points, written.commits);

    // The wide form: a column is a key.
    let times: Vec<i64> = (0..48).map(|hour| hour * HOUR).collect();
    let speeds: Vec<u16> = (0..48).map(|hour| hour % 20).collect();
    let wide = RecordBatch::try_from_iter([
        ("time", Arc::new(TimestampMillisecondArray::from(times)) as ArrayRef),
        ("wind", Arc::new(UInt16Array::from(speeds)) as ArrayRef),
    ])?;
    let options = WriteOptions::default().with_time_column("time").with_prefix("JFK/");
    db.write_wide_with(&wide, &options)?;
    assert_eq!(db.keys()?, ["JFK/temp", "JFK/wind", "LGA/temp"]);

    // What does not fit is named, with its column and row, and nothing was written.
    let empty: ArrayRef = Arc::new(StringArray::from(vec!["JFK/temp", "LGA/temp", ""]));
    let columns = vec![empty, Arc::clone(long.column(1)), Arc::clone(long.column(2))];
    let bad = RecordBatch::try_new(long.schema(), columns)?;
    match db.write(&bad) {
        Err(error @ SynaError::InvalidCell { row: 2, fault: CellFault::EmptyKey, .. }) => {
            println!("refused: {error}");
        }
        other => return Err(format!("an empty key was written: {other:?}").into()),
    }
    assert_eq!(db.len("JFK/temp")?, 2);

    // Out again as a stream of batches (a RecordBatchReader), which another database takes as it
    // comes: a commit for each batch, or one for all of them.
    let copy = SynaDB::in_memory()?;
    let stream = db.history("JFK/wind")?.stream()?;
    let atomic = WriteOptions::default().with_atomic(true);
    let written = copy.write_wide_reader(stream, &atomic)?;
    assert_eq!((written.rows, copy.keys()?), (48, vec!["value".to_owned()]));

    let batch = copy.history("value")?.last(1).read()?;
    println!("the last row of the copy: {:?}", batch.column(1));
    Ok(())
}
