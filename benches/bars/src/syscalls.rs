//! System calls per append, counted by strace over all threads of a child.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use synadb::{DbConfig, Durability, SynaDB};

use crate::data::{KEYS, key_names, timestamp, value};
use crate::report::{Bar, Group, Values};
use crate::run::{Result, Run, check};

const APPENDS: u64 = 100_000;
/// Before the count begins, every key has been seen once.
const WARM_UP: u64 = KEYS;
/// Paths that exist nowhere: asking for one leaves a line in the trace.
const BEGIN: &str = "/bars-count-begins-here";
const END: &str = "/bars-count-ends-here";
/// The slot pages end where entries begin.
const LOG_START: u64 = 12_288;
/// A write of more than this is no single append but a seal.
const SEAL_LEN_MIN: u64 = 512;

pub const OS: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_most("syscalls_os", "calls/append", 1.01)],
    run: |run| count(run, "syscalls_os", "os"),
};

pub const FULL: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_most("syscalls_full", "calls/append", 2.02)],
    run: |run| count(run, "syscalls_full", "full"),
};

fn count(run: &Run, name: &'static str, mode: &str) -> Result<Values> {
    let (path, trace) = (run.file("syscalls.synadb")?, run.file("syscalls.strace")?);
    let appends = run.work(APPENDS);
    let status = Command::new("strace")
        .args(["-f", "-qq", "-s", "0", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe()?)
        .args(["child", "syscalls", mode])
        .arg(&path)
        .arg(appends.to_string())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("strace does not start ({error}); apt-get install strace"))?;
    check(status.success(), || format!("strace ended with {status}"))?;
    let calls = Calls::between_markers(&fs::read_to_string(&trace)?)?;
    println!("# {name}: {appends} appends; per append: {:?}", calls.per_append);
    println!(
        "# {name}: apart: {} to grow the file, {} slot writes, {} seals",
        calls.growth, calls.slots, calls.seals
    );
    let counted: u64 = calls.per_append.values().sum();
    Ok(vec![(name, counted as f64 / appends as f64)])
}

/// Task: appends between two marks in the trace.
pub fn child(mode: &str, path: &Path, points: u64) -> Result<()> {
    let durability = if mode == "full" { Durability::Full } else { Durability::Os };
    let db = SynaDB::with_config(path, DbConfig::default().with_durability(durability))?;
    let keys = key_names(KEYS);
    let append = |i: u64| db.append_at(&keys[(i % KEYS) as usize], timestamp(i), value(i));
    for i in 0..WARM_UP {
        append(i)?;
    }
    let _ = fs::metadata(BEGIN);
    for i in WARM_UP..WARM_UP + points {
        append(i)?;
    }
    let _ = fs::metadata(END);
    let rows = db.stats()?.rows;
    check(rows == WARM_UP + points, || format!("{rows} rows"))?;
    db.close()?;
    Ok(())
}

/// Calls between the markers, those of growth, slots and seals apart.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    per_append: BTreeMap<String, u64>,
    growth: u64,
    slots: u64,
    seals: u64,
}

impl Calls {
    fn between_markers(trace: &str) -> Result<Calls> {
        let mut lines = trace.lines();
        lines.find(|line| line.contains(BEGIN)).ok_or("no begin in the trace")?;
        let mut calls = Calls::default();
        for line in lines {
            if line.contains(END) {
                return Ok(calls);
            }
            calls.add(line);
        }
        Err("no end in the trace".into())
    }

    /// Counts a call where it starts: `PID name(args..`, not where it is resumed.
    fn add(&mut self, line: &str) {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let Some((name, args)) = call.split_once('(') else { return };
        if call.starts_with(['<', '+', '-']) {
            return;
        }
        match name {
            "fallocate" | "ftruncate" => self.growth += 1,
            "pwrite64" => match pwrite_len_and_offset(args) {
                Some((_, offset)) if offset < LOG_START => self.slots += 1,
                Some((len, _)) if len > SEAL_LEN_MIN => self.seals += 1,
                _ => *self.per_append.entry(name.to_owned()).or_default() += 1,
            },
            _ => *self.per_append.entry(name.to_owned()).or_default() += 1,
        }
    }
}

/// Of `3, ""..., 56, 12288) = 56`, the 56 and the 12288.
fn pwrite_len_and_offset(args: &str) -> Option<(u64, u64)> {
    let end = args.find([')', '<']).unwrap_or(args.len());
    let mut last = args[..end].rsplit(", ");
    let offset = last.next()?.trim().parse().ok()?;
    let len = last.next()?.trim().parse().ok()?;
    Some((len, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_once_and_sorted() -> Result<()> {
        let trace = "\
7 pwrite64(3, \"\"..., 56, 12288) = 56
7 statx(AT_FDCWD, \"/bars-count-begins-here\", 0, STATX_ALL, 0x7) = -1 ENOENT (No such file)
7 pwrite64(3, \"\"..., 56, 12344) = 56
7 fdatasync(3 <unfinished ...>
8 pwrite64(3, \"\"..., 64, 4096 <unfinished ...>
7 <... fdatasync resumed>) = 0
8 <... pwrite64 resumed>) = 64
7 fallocate(3, 0, 274432, 262144) = 0
7 pwrite64(3, \"\"..., 131200, 12400) = 131200
7 statx(AT_FDCWD, \"/bars-count-ends-here\", 0, STATX_ALL, 0x7) = -1 ENOENT (No such file)
7 close(3) = 0
";
        let calls = Calls::between_markers(trace)?;
        let expected = [("fdatasync".to_owned(), 1), ("pwrite64".to_owned(), 1)];
        assert_eq!(calls.per_append, BTreeMap::from(expected));
        assert_eq!((calls.growth, calls.slots, calls.seals), (1, 1, 1));
        Ok(())
    }
}
