//! Times of one's own, values as of a time, ranges and snapshots:
//! `cargo run --example 02_time_travel`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use synadb::{Atom, Result, SynaDB};

const HOUR: i64 = 3_600_000_000;

fn main() -> Result<()> {
    let db = SynaDB::in_memory()?;

    // Timestamps are microseconds since 1970 UTC, and are kept as they are given.
    for hour in 0..24_i64 {
        db.append_at("tank/level", hour * HOUR, 100 - hour)?;
    }

    // What was known at a time: the point with the greatest timestamp that is not later.
    assert_eq!(db.get_at("tank/level", 10 * HOUR + HOUR / 2)?, Some(Atom::Int(90)));
    assert_eq!(db.get_at("tank/level", -1)?, None);

    // Ranges include their start and not their end, by time and by row.
    let morning = db.get_history_range("tank/level", 6 * HOUR..12 * HOUR)?;
    assert_eq!(morning.len(), 6);
    let last_two = db.get_history_rows("tank/level", 22..24)?;
    assert_eq!(last_two.iter().map(|point| point.value.as_int()).max(), Some(Some(78)));

    // A late point is legal. It is the latest one appended, and sorts in by its time.
    db.append_at("tank/level", 5 * HOUR + 1, -1_i64)?;
    assert_eq!(db.get("tank/level")?, Some(Atom::Int(-1)));
    assert_eq!(db.get_at("tank/level", 6 * HOUR - 1)?, Some(Atom::Int(-1)));
    assert_eq!(db.get_at("tank/level", 6 * HOUR)?, Some(Atom::Int(94)));

    // A snapshot is the database up to one commit, for as long as it is held.
    let before = db.snapshot()?;
    db.append_at("tank/level", 24 * HOUR, 76_i64)?;
    db.delete("tank/level")?;
    assert_eq!(before.len("tank/level")?, 25);
    assert_eq!(before.get("tank/level")?, Some(Atom::Int(-1)));
    assert_eq!(db.get("tank/level")?, None);

    println!("25 points are still in the snapshot, none in the database");
    Ok(())
}
