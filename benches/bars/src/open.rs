//! Bars of opening: time and memory, after a clean close and after SIGKILL.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use synadb::{Atom, DbConfig, Durability, SynaDB};

use crate::child;
use crate::copy;
use crate::data::{KEYS, key_names, last_of, timestamp, value};
use crate::memory::rss_anon;
use crate::report::{Bar, Group, Values};
use crate::run::{Result, Run, check, median, remove};

const POINTS: u64 = 5_000_000;
const TAIL_BUDGET: usize = 16 << 20;

pub const CLEAN: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_most("open_clean_ms", "ms", 5.0), Bar::at_most("open_clean_mib", "MiB", 16.0)],
    run: |run| {
        let path = run.file("open-clean.synadb")?;
        let points = run.work(POINTS);
        write(&path, points)?.close()?;
        opens(run, &path, points, "open_clean_ms", "open_clean_mib")
    },
};

pub const KILLED: Group = Group {
    issue: 1,
    long: false,
    bars: &[
        Bar::at_most("open_killed_ms", "ms", 250.0),
        Bar::at_most("open_killed_mib", "MiB", 48.0),
    ],
    run: |run| {
        let path = run.file("open-killed.synadb")?;
        let points = run.work(POINTS);
        write_and_kill(&path, points)?;
        opens(run, &path, points, "open_killed_ms", "open_killed_mib")
    },
};

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(TAIL_BUDGET)
}

fn write(path: &Path, points: u64) -> Result<SynaDB> {
    let keys = key_names(KEYS);
    let db = SynaDB::with_config(path, config())?;
    for (i, key) in (0..points).zip(keys.iter().cycle()) {
        db.append_at(key, timestamp(i), value(i))?;
    }
    Ok(db)
}

/// Writes in a child that is killed once its last append has returned.
fn write_and_kill(path: &Path, points: u64) -> Result<()> {
    let task = OsStr::new("write-and-wait");
    let mut writer = child::command(&[task, path.as_os_str(), points.to_string().as_ref()])?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = writer.stdout.take().ok_or("the writer has no stdout")?;
    BufReader::new(stdout).read_line(&mut line)?;
    writer.kill()?;
    let status = writer.wait()?;
    check(line == "done\n", || format!("the writer ended early with {status}"))
}

/// Task: writes with `Os`, says so, and waits to be killed.
pub fn child_writer(path: &Path, points: u64) -> Result<()> {
    let db = write(path, points)?;
    println!("done");
    std::io::stdout().flush()?;
    // Also ends when the parent does.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    db.close()?;
    Ok(())
}

/// Opens fresh copies of the file in fresh processes, to write and to read, in alternation; the
/// worse of both medians counts.
fn opens(
    run: &Run,
    path: &Path,
    points: u64,
    ms: &'static str,
    mib: &'static str,
) -> Result<Values> {
    let (mut writer, mut reader) = (Opened::default(), Opened::default());
    for _ in 0..run.runs() {
        writer.measure(run, "writer", path, points)?;
        reader.measure(run, "reader", path, points)?;
    }
    remove(path)?;
    let (writer, reader) = (writer.medians(), reader.medians());
    println!(
        "# {ms}, {mib}: to write {:.2} ms and {:.2} MiB, read-only {:.2} ms and {:.2} MiB",
        writer.0, writer.1, reader.0, reader.1
    );
    Ok(vec![(ms, writer.0.max(reader.0)), (mib, writer.1.max(reader.1))])
}

/// Figures of opens of one kind.
#[derive(Default)]
struct Opened {
    ms: Vec<f64>,
    mib: Vec<f64>,
}

impl Opened {
    fn measure(&mut self, run: &Run, mode: &str, path: &Path, points: u64) -> Result<()> {
        let opened = run.file("open-copy.synadb")?;
        copy::sparse(path, &opened)?;
        let points = points.to_string();
        let task = ["open".as_ref(), mode.as_ref(), opened.as_os_str(), points.as_ref()];
        let figures = child::measure(&task)?;
        self.ms.push(figures.get("ms")?);
        self.mib.push(figures.get("mib")?);
        remove(&opened)
    }

    fn medians(self) -> (f64, f64) {
        (median(self.ms), median(self.mib))
    }
}

/// Task: opens the file once, prints milliseconds and MiB, and checks what it opened.
pub fn child(mode: &str, path: &Path, points: u64) -> Result<()> {
    let baseline = rss_anon()?;
    let start = Instant::now();
    let db = match mode {
        "writer" => SynaDB::with_config(path, config())?,
        _ => SynaDB::open_read_only_with(path, config())?,
    };
    let elapsed = start.elapsed();
    let grown = rss_anon()?.saturating_sub(baseline);
    println!("ms {}", elapsed.as_secs_f64() * 1e3);
    println!("mib {}", grown as f64 / f64::from(1 << 20));

    let mut rows = 0;
    for (key, name) in (0..KEYS).zip(key_names(KEYS)) {
        let expected = last_of(key, KEYS, points).map(|i| Atom::Float(value(i)));
        let found = db.get(&name)?;
        check(found == expected, || format!("{name} is {found:?}, not {expected:?}"))?;
        rows += db.len(&name)?;
    }
    check(rows == points, || format!("{rows} points of {points}"))
}
