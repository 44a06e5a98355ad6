//! One process writes, others read at the same time: `cargo run --example 04_many_processes`.
//!
//! The program starts itself again as the other processes.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use synadb::{DbConfig, Durability, SynaDB, SynaError};

const POINTS: i64 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "read", file] => read(file.as_ref()),
        [_, "write", file] => try_to_write(file.as_ref()),
        _ => write(),
    }
}

fn start(role: &str, file: &Path) -> Result<Child, Box<dyn Error>> {
    Ok(Command::new(env::current_exe()?).arg(role).arg(file).spawn()?)
}

/// The first process: the only one that may write.
fn write() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shared.syna");
    let db = SynaDB::with_config(&file, DbConfig::default().with_durability(Durability::Os))?;
    db.append("counter", 0_i64)?;

    let mut others = [start("read", &file)?, start("read", &file)?, start("write", &file)?];
    for i in 1..POINTS {
        db.append("counter", i)?;
        thread::sleep(Duration::from_micros(100));
    }
    for other in &mut others {
        assert!(other.wait()?.success());
    }
    db.close()?;
    Ok(())
}

/// A reader takes no lock and disturbs nobody; what it sees only ever grows.
fn read(file: &Path) -> Result<(), Box<dyn Error>> {
    let db = SynaDB::open_read_only(file)?;
    let (mut seen, mut views) = (0, 0);
    while seen < POINTS {
        if !db.refresh()? {
            thread::sleep(Duration::from_millis(1));
        }
        // One snapshot, so that the length and the latest value belong together.
        let snapshot = db.snapshot()?;
        let len = i64::try_from(snapshot.len("counter")?)?;
        let latest = snapshot.get("counter")?.and_then(|value| value.as_int());
        assert_eq!(latest, Some(len - 1));
        assert!(len >= seen);
        views += i64::from(len > seen);
        seen = len;
    }
    assert!(matches!(db.append("counter", 0_i64), Err(SynaError::ReadOnly)));
    println!("a reader saw {views} growing views");
    Ok(())
}

/// A second writer is told at once that there is one already.
fn try_to_write(file: &Path) -> Result<(), Box<dyn Error>> {
    match SynaDB::new(file) {
        Err(SynaError::Locked { .. }) => {
            println!("a second writer was refused");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("two processes write to one file".into()),
    }
}
