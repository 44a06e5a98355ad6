//! What is left after a crash and after damage: `cargo run --example 05_recovery_and_salvage`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use synadb::{DbConfig, Durability, SynaDB, SynaError, salvage};

const POINTS: i64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    if let [_, file] = env::args().collect::<Vec<_>>().as_slice() {
        return crash(file.as_ref());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.syna");
    let last = a_torn_tail_is_cut(&file)?;
    damage_is_reported_and_never_read(&file, last)?;
    what_is_intact_is_salvaged(&file, &folder.path().join("rescued.syna"))?;
    Ok(())
}

/// A process that ends without closing. It tells where its last entry begins.
fn crash(file: &Path) -> Result<(), Box<dyn Error>> {
    let db = SynaDB::with_config(file, DbConfig::default().with_durability(Durability::Os))?;
    let mut last = 0;
    for i in 0..=POINTS {
        last = db.append_at("counter", i, i)?;
    }
    println!("{last}");
    std::process::abort();
}

/// Power loss may leave half of the last entry. Opening cuts it off and says so.
fn a_torn_tail_is_cut(file: &Path) -> Result<u64, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?).arg(file).output()?;
    let last: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    OpenOptions::new().write(true).open(file)?.set_len(last + 30)?;

    let db = SynaDB::new(file)?;
    let report = db.recovery_report();
    assert_eq!(report.bytes_cut, 30);
    println!("recovery cut {} bytes: {}", report.bytes_cut, report.reason.unwrap_or("?"));
    assert_eq!(db.len("counter")?, u64::try_from(POINTS)?);
    // What is appended now stands where the torn entry began, and is found again.
    let last = db.append_at("counter", POINTS, POINTS)?;
    db.close()?;
    Ok(last)
}

/// A flipped bit before durable data is damage, not a torn tail: an error, and never another value.
fn damage_is_reported_and_never_read(file: &Path, last: u64) -> Result<(), Box<dyn Error>> {
    // The first letter of the key in the last entry.
    flip_a_bit(file, last + 24)?;
    let before = fs::read(file)?;
    match SynaDB::open_read_only(file).and_then(|db| db.verify()) {
        Err(SynaError::Corrupt { offset, last_good, what, .. }) => {
            println!("damage at {offset}, intact up to {last_good}: {what}");
        }
        other => return Err(format!("the damage went unnoticed: {other:?}").into()),
    }
    assert_eq!(fs::read(file)?, before);
    Ok(())
}

fn flip_a_bit(file: &Path, offset: u64) -> Result<(), Box<dyn Error>> {
    let mut file: File = OpenOptions::new().read(true).write(true).open(file)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&byte.map(|byte| byte ^ 1))?;
    Ok(())
}

/// Every intact commit goes to a new file; the damaged one is not touched.
fn what_is_intact_is_salvaged(file: &Path, rescued: &Path) -> Result<(), Box<dyn Error>> {
    let report = salvage(file, rescued)?;
    for range in &report.missing {
        println!("{} bytes are missing at {}: {}", range.len, range.offset, range.what);
    }
    assert!(!report.missing.is_empty());
    let db = SynaDB::open_read_only(rescued)?;
    let latest = db.get("counter")?.and_then(|value| value.as_int());
    assert_eq!((db.len("counter")?, latest), (u64::try_from(POINTS)?, Some(POINTS - 1)));
    println!("{} points were rescued", report.points);
    Ok(())
}
