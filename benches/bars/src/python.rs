//! The Python package: `benches/python/bars.py` measures with the wheel that `make python` installed, and
//! says what it found in one line of JSON; the bars are judged here like all others.

use std::process::Command;

use crate::history;
use crate::report::{Bar, Group, Values};
use crate::run::{Result, Run, check, median, remove};

const ISSUE: u32 = 4;

pub const EXPORT: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[
        Bar::at_most("to_polars", "us", 100.0),
        Bar::at_most("to_pyarrow", "us", 100.0),
        Bar::at_most("to_numpy", "us", 100.0),
    ],
    run: |run| values(run, "export"),
};

/// What the store may take beyond the bare pass, for opening and handing over.
const FRESH_EXTRA_MS: f64 = 2.0;

pub const FRESH_RAW: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_most("fresh_raw", "ratio", 1.2)],
    run: |run| {
        let took = only(&values(run, "fresh_raw")?, "fresh_raw_ms")?;
        let path = run.root().join("bench-results/python-raw.syna");
        let passes = (0..run.at_least(9)).map(|_| history::mapped_pass(&path, "k"));
        let bare = median(passes.collect::<Result<_>>()?) / 1e3;
        remove(&path)?;
        println!("# fresh_raw: {took:.2} ms; a pass of two threads over the bytes {bare:.2} ms");
        Ok(vec![("fresh_raw", (took - FRESH_EXTRA_MS) / bare)])
    },
};

pub const FRESH_ENCODED: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_most("fresh_encoded", "ms", 45.0)],
    run: |run| {
        Ok(vec![("fresh_encoded", only(&values(run, "fresh_encoded")?, "fresh_encoded_ms")?)])
    },
};

pub const APPEND: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_least("append_os", "M/s", 0.6), Bar::at_least("append_buffered", "M/s", 2.0)],
    run: |run| values(run, "append"),
};

pub const BESIDE: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_least("append_beside_python", "ratio", 0.4)],
    run: |run| values(run, "beside"),
};

pub const BULK: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_least("append_batch", "Mrows/s", 40.0)],
    run: |run| values(run, "bulk"),
};

pub const ARRIVAL: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_least("write_arrival", "Mrows/s", 10.0)],
    run: |run| values(run, "arrival"),
};

pub const GET: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_most("latest_1000", "ms", 0.4), Bar::at_most("get_ns", "ns", 300.0)],
    run: |run| values(run, "get"),
};

pub const START: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[Bar::at_most("import_ms", "ms", 60.0), Bar::at_most("wheel_mb", "MB", 15.0)],
    run: |run| values(run, "start"),
};

pub const BESIDE_READER: Group = Group {
    issue: ISSUE,
    long: false,
    bars: &[
        Bar::at_most("reader_lag_ms", "ms", 10.0),
        Bar::at_least("writer_beside_reader", "ratio", 0.85),
    ],
    run: |run| values(run, "beside_reader"),
};

/// The names under which the script reports.
const NAMES: &[&str] = &[
    "to_polars",
    "to_pyarrow",
    "to_numpy",
    "fresh_raw_ms",
    "fresh_encoded_ms",
    "append_os",
    "append_buffered",
    "append_beside_python",
    "append_batch",
    "write_arrival",
    "latest_1000",
    "get_ns",
    "import_ms",
    "wheel_mb",
    "reader_lag_ms",
    "writer_beside_reader",
];

/// Runs one group of the script.
fn values(run: &Run, group: &str) -> Result<Values> {
    let python = run.root().join(".venv/bin/python");
    check(python.exists(), || "there is no .venv: make python".to_owned())?;
    let folder = run.root().join("bench-results");
    let scale = if run.is_smoke() { "100" } else { "1" };
    let output = Command::new(python)
        .arg(run.root().join("benches/python/bars.py"))
        .args([group.as_ref(), folder.as_os_str()])
        .args([&run.runs().to_string(), scale])
        .env("SYNADB_WHEELS", run.root().join("target/wheels"))
        .output()?;
    let stdout = String::from_utf8(output.stdout)?;
    check(output.status.success(), || {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("bars.py {group}: {}", stderr.lines().last().unwrap_or_default())
    })?;
    let mut found = Values::new();
    for line in stdout.lines() {
        if line.starts_with('#') {
            println!("{line}");
        } else {
            found.extend(parse(line)?);
        }
    }
    Ok(found)
}

/// Reads `{"name": number, ...}`, which is all of JSON that the script writes.
fn parse(line: &str) -> Result<Values> {
    let inner = line.trim().strip_prefix('{').and_then(|line| line.strip_suffix('}'));
    let inner = inner.ok_or_else(|| format!("no object: {line}"))?;
    let mut found = Values::new();
    for pair in inner.split(',') {
        let (name, value) = pair.split_once(':').ok_or_else(|| format!("no pair: {pair}"))?;
        let name = name.trim().trim_matches('"');
        let known = NAMES.iter().find(|known| **known == name);
        found.push((known.ok_or_else(|| format!("unknown value {name}"))?, value.trim().parse()?));
    }
    Ok(found)
}

fn only(values: &Values, name: &str) -> Result<f64> {
    let found = values.iter().find(|(found, _)| *found == name);
    Ok(found.ok_or_else(|| format!("the script did not report {name}"))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_says_is_read() {
        let found = parse(r#"{"latest_1000": 0.25, "get_ns": 1.5e2}"#).unwrap();
        assert_eq!(found, [("latest_1000", 0.25), ("get_ns", 150.0)]);
        for wrong in ["", "{}", "[1]", r#"{"speed": 1}"#, r#"{"get_ns": "x"}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
