//! Memory: anonymous resident pages (`RssAnon`), always in a process that has done nothing else.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use synadb::{DbConfig, Durability, SynaDB};

use crate::child;
use crate::data::{KEY_LEN, key_name, timestamp, value};
use crate::report::{Bar, Group};
use crate::run::{Result, check, median};

const KEY_COUNT: u64 = 1_000_000;

pub const KEYS: Group = Group {
    issue: 1,
    long: false,
    bars: &[Bar::at_most("bytes_per_key", "bytes", 250.0)],
    run: |run| {
        let keys = run.work(KEY_COUNT);
        let count = keys.to_string();
        let (mut written, mut writer, mut reader) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..run.runs() {
            let path = run.file("keys.synadb")?;
            let file = path.as_os_str();
            let (keys, open) = (OsStr::new("keys"), OsStr::new("keys-open"));
            written.push(child::measure(&[keys, file, count.as_ref()])?.get("bytes")?);
            let opened = |mode: &str| {
                child::measure(&[open, mode.as_ref(), file, count.as_ref()])?.get("bytes")
            };
            reader.push(opened("reader")?);
            writer.push(opened("writer")?);
        }
        // The same keys in memory, however they came there: the worst way counts.
        let [written, writer, reader] = [written, writer, reader].map(median);
        println!(
            "# bytes_per_key: beside {KEY_LEN} of the name: written {written:.1}, reopened to \
             write {writer:.1}, opened read-only {reader:.1}"
        );
        Ok(vec![("bytes_per_key", written.max(writer).max(reader))])
    },
};

/// Anonymous resident memory of this process, in bytes.
pub fn rss_anon() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1_024)
}

/// Memory taken since `baseline` for each key, beside the bytes of its name.
fn per_key(baseline: u64, keys: u64) -> Result<f64> {
    let grown = rss_anon()?.saturating_sub(baseline);
    Ok(grown as f64 / keys as f64 - KEY_LEN as f64)
}

/// Task: writes one point under each of `keys` keys and prints what they take.
pub fn child_writes(path: &Path, keys: u64) -> Result<()> {
    let mut name = key_name(0);
    let baseline = rss_anon()?;
    let config = DbConfig::default().with_durability(Durability::BUFFERED);
    let db = SynaDB::with_config(path, config)?;
    for key in 0..keys {
        name.clear();
        write!(name, "k/{key:014}")?;
        db.append_at(&name, timestamp(key), value(key))?;
    }
    println!("bytes {}", per_key(baseline, keys)?);
    check(db.stats()?.keys == keys, || format!("not {keys} keys"))?;
    db.close()?;
    Ok(())
}

/// Task: opens what the other one wrote and prints what its keys take.
pub fn child_opens(mode: &str, path: &Path, keys: u64) -> Result<()> {
    let baseline = rss_anon()?;
    let db = match mode {
        "writer" => SynaDB::with_config(path, DbConfig::default())?,
        _ => SynaDB::open_read_only(path)?,
    };
    println!("bytes {}", per_key(baseline, keys)?);
    check(db.stats()?.keys == keys, || format!("not {keys} keys"))?;
    let last = db.get(&key_name(keys - 1))?;
    check(last == Some(value(keys - 1).into()), || format!("last key is {last:?}"))?;
    db.close()?;
    Ok(())
}
