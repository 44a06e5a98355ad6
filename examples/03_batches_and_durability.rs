//! Many values in one commit, and what an acknowledged append survives:
//! `cargo run --release --example 03_batches_and_durability`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::time::Instant;

use synadb::{DbConfig, Durability, SynaDB};

const APPENDS: i64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;

    // A batch over many keys is visible wholly or not at all, to every thread, to every process and
    // after every crash. One that is dropped without a commit never happened.
    let db = SynaDB::new(folder.path().join("batches.syna"))?;
    let mut batch = db.batch();
    batch.append("account/a", -100_i64)?;
    batch.append("account/b", 100_i64)?;
    assert!(!db.exists("account/a")?);
    batch.commit()?;
    assert!(db.exists("account/a")? && db.exists("account/b")?);

    // Many points of one key are one commit, too, written as columns.
    let timestamps: Vec<i64> = (0..10_000).collect();
    let values: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 8.0).collect();
    db.append_batch("sensor", &timestamps, values.as_slice())?;
    assert_eq!(db.get_history_floats("sensor")?, values);
    db.close()?;

    // The durability decides when an append returns.
    for (name, durability) in [
        ("Full: on the medium", Durability::Full),
        ("Os: with the operating system", Durability::Os),
        ("Buffered: in this process", Durability::BUFFERED),
    ] {
        let path = folder.path().join(format!("{}.syna", name.len()));
        let db = SynaDB::with_config(&path, DbConfig::default().with_durability(durability))?;
        let started = Instant::now();
        let mut last = 0;
        for i in 0..APPENDS {
            last = db.append("counter", i)?;
        }
        let each = started.elapsed() / 1_000;
        // In every mode one can wait until an append is durable.
        db.sync()?;
        assert!(db.durable_offset() > last);
        println!("{name:<30} {each:?} an append");
        db.close()?;
    }
    Ok(())
}
