//! The size of an entry in the log.

use synadb::{DbConfig, Durability, SynaDB};

use crate::data::{key_names, timestamp, value};
use crate::report::{Bar, Group};
use crate::run::{Run, check};

const KEYS: u64 = 100;
/// So many for each key that tails are sealed.
const POINTS: u64 = 1_000_000;
/// Consecutive appends whose offsets are compared: few enough that none of them seals.
const COMPARED: u64 = 1_000;

pub const BYTES: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_most("entry_bytes", "bytes", 56.0)],
    run: |run: &Run| {
        let path = run.file("entry.synadb")?;
        let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::Os))?;
        let keys = key_names(KEYS);
        let mut last = db.append_at(&keys[0], timestamp(0), value(0))?;
        let mut largest = 0;
        let points = run.work(POINTS).max(2 * COMPARED);
        for i in 1..points {
            let offset = db.append_at(&keys[(i % KEYS) as usize], timestamp(i), value(i))?;
            check(offset > last, || format!("offset {offset} after {last}"))?;
            if i <= COMPARED {
                largest = largest.max(offset - last);
            }
            last = offset;
        }
        let stats = db.stats()?;
        println!(
            "# entry_bytes: {} bytes of log for {points} points, {:.2} a point; {} chunks",
            stats.log_bytes,
            stats.log_bytes as f64 / points as f64,
            stats.chunks
        );
        db.close()?;
        Ok(vec![("entry_bytes", largest as f64)])
    },
};
