//! Bars of the C interface: what it costs beyond the Rust calls, and what its tests find.
//!
//! `benches/c/bench.c` is compiled against `target/release/libsynadb.so` and does in C what the
//! bare side does here in Rust; the other bars are tests that print a figure.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use synadb::{DbConfig, Durability, SynaDB};

use crate::child::Figures;
use crate::data::Random;
use crate::report::{Bar, Group};
use crate::run::{Result, Run, check, median, pairs};

const KEYS: u64 = 1_000;
const GETS: u64 = 10_000_000;
const PUTS: u64 = 5_000_000;
const POINTS: u64 = 10_000_000;

pub const CALLS: Group = Group {
    issue: 3,
    long: false,
    bars: &[Bar::at_most("path_get_ns", "ns", 60.0), Bar::at_most("path_put_ns", "ns", 80.0)],
    run: |run| {
        let bench = Bench::new(run)?;
        let (gets, puts) = (run.work(GETS), run.work(PUTS));
        let beyond = |what: &str, count: u64, rust: &dyn Fn(&Run, u64) -> Result<f64>| {
            let pairs = pairs(
                run.runs(),
                || {
                    let path = run.file("capi.synadb")?;
                    bench
                        .run(&[what.as_ref(), path.as_os_str(), count.to_string().as_ref()])?
                        .get("ns")
                },
                || rust(run, count),
            )?;
            println!("# {what} by path: {:.1} ns, in Rust {:.1} ns", pairs.measured, pairs.base);
            Result::<f64>::Ok(pairs.measured - pairs.base)
        };
        Ok(vec![
            ("path_get_ns", beyond("gets", gets, &rust_gets)?),
            ("path_put_ns", beyond("puts", puts, &rust_puts)?),
        ])
    },
};

pub const DATABASES: Group = Group {
    issue: 3,
    long: false,
    bars: &[Bar::at_least("databases_2t", "ratio", 1.8)],
    run: |run| {
        let bench = Bench::new(run)?;
        let mut ratios = Vec::new();
        for _ in 0..run.runs() {
            let (a, b) = (run.file("capi-a.synadb")?, run.file("capi-b.synadb")?);
            let count = run.work(GETS).to_string();
            let figures =
                bench.run(&["databases".as_ref(), a.as_os_str(), b.as_os_str(), count.as_ref()])?;
            let (one, two) = (figures.get("one")?, figures.get("two")?);
            println!("#   {:.1} M/s by one thread, {:.1} by two", one / 1e6, two / 1e6);
            ratios.push(two / one);
        }
        Ok(vec![("databases_2t", median(ratios))])
    },
};

pub const HISTORIES: Group = Group {
    issue: 3,
    long: false,
    bars: &[Bar::at_least("tensor_again", "ratio", 0.8), Bar::at_most("arrow_export", "us", 10.0)],
    run: |run| {
        let bench = Bench::new(run)?;
        let points = run.work(POINTS).to_string();
        let rounds = run.at_least(15);
        let path = run.file("capi.synadb")?;
        let words = [OsStr::new("tensor"), path.as_os_str(), points.as_ref()];
        let figures = bench.run(&[&words[..], &[rounds.to_string().as_ref()]].concat())?;
        let all = |name: &str| -> Result<Vec<f64>> {
            (0..rounds).map(|round| figures.get(&format!("{name}{round}"))).collect()
        };
        let (tensors, copies) = (all("tensor")?, all("memcpy")?);
        let ratios: Vec<f64> =
            tensors.iter().zip(&copies).map(|(tensor, copy)| copy / tensor).collect();
        println!("# tensor_again: {:.2} ms, memcpy {:.2} ms", median(tensors), median(copies));
        let path = run.file("capi.synadb")?;
        let words = [OsStr::new("exports"), path.as_os_str(), points.as_ref(), OsStr::new("1000")];
        let figures = bench.run(&words)?;
        let (raw, encoded) = (figures.get("raw")?, figures.get("encoded")?);
        println!("# arrow_export: {raw:.2} us of raw columns, {encoded:.2} of encoded ones");
        Ok(vec![("tensor_again", median(ratios)), ("arrow_export", raw.max(encoded))])
    },
};

pub const LEAKS: Group = Group {
    issue: 3,
    long: false,
    bars: &[Bar::at_most("leak_rounds", "MiB", 1.0)],
    run: |run| {
        let bench = Bench::new(run)?;
        let (path, other) = (run.file("capi.synadb")?, run.file("capi-open.synadb")?);
        let (rounds, opens) = (run.work(1_000_000).to_string(), run.work(10_000).to_string());
        let words = [
            OsStr::new("leaks"),
            path.as_os_str(),
            other.as_os_str(),
            rounds.as_ref(),
            opens.as_ref(),
        ];
        Ok(vec![("leak_rounds", bench.run(&words)?.get("mib")?)])
    },
};

pub const TESTS: Group = Group {
    issue: 3,
    long: false,
    bars: &[
        Bar::at_most("readme_c", "failures", 0.0),
        Bar::at_most("valgrind", "findings", 0.0),
        Bar::at_most("asan_ubsan", "findings", 0.0),
        Bar::at_most("symbols", "difference", 0.0),
        Bar::at_most("abi_calls_untested", "functions", 0.0),
    ],
    run: |run| {
        let test = |file: &str, name: &str| -> Result<f64> {
            let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
                .args(["test", "--package", "synadb-capi", "--test", file, name, "--", "--exact"])
                .current_dir(run.root())
                // A tool that is missing is no success.
                .env("SYNADB_REQUIRE_ALL", "1")
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            fs::write(run.file(&format!("{file}-{name}.log"))?, &output.stdout)?;
            if output.status.success() && said.contains("1 passed") {
                return Ok(0.0);
            }
            // Of a test that counts what it finds the number, but never none: a program stops at its first
            // finding, and a test fails on one difference.
            let found = said.lines().find_map(|line| line.strip_prefix("findings ")?.parse().ok());
            Ok(found.unwrap_or(1.0_f64).max(1.0))
        };
        Ok(vec![
            ("readme_c", test("install", "the_readmes_c_program_prints_what_the_readme_says")?),
            ("valgrind", test("c_programs", "nothing_is_found_by_valgrind")?),
            ("asan_ubsan", test("c_programs", "nothing_is_found_by_the_sanitizers")?),
            (
                "symbols",
                test("header", "the_library_exports_what_the_header_declares_and_nothing_else")?,
            ),
            ("abi_calls_untested", test("statuses", "every_status_of_every_function_was_seen")?),
        ])
    },
};

/// The compiled C side.
struct Bench(PathBuf);

impl Bench {
    fn new(run: &Run) -> Result<Bench> {
        let library = run.root().join("target/release");
        let built = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--quiet", "--release", "--package", "synadb-capi"])
            .current_dir(run.root())
            .status()?;
        check(built.success() && library.join("libsynadb.so").is_file(), || {
            "the library was not built".to_owned()
        })?;
        let program = run.file("bench-c")?;
        let compiled = Command::new("cc")
            .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(run.root().join("include"))
            .arg(run.root().join("benches/c/bench.c"))
            .arg("-o")
            .arg(&program)
            .arg("-L")
            .arg(&library)
            .arg("-lsynadb")
            .arg(format!("-Wl,-rpath,{}", library.display()))
            .arg("-lpthread")
            .status()?;
        check(compiled.success(), || "benches/c/bench.c does not compile".to_owned())?;
        Ok(Bench(program))
    }

    fn run(&self, args: &[&OsStr]) -> Result<Figures> {
        let output = Command::new(Path::new(&self.0))
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        check(output.status.success(), || format!("bench {args:?} ended with {}", output.status))?;
        Figures::parse(&String::from_utf8(output.stdout)?)
    }
}

fn names() -> Vec<String> {
    (0..KEYS).map(|key| format!("k/{key:014}")).collect()
}

/// Nanoseconds of the same gets in Rust.
fn rust_gets(run: &Run, count: u64) -> Result<f64> {
    let path = run.file("capi-rust.synadb")?;
    let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::Os))?;
    let keys = names();
    for (key, name) in keys.iter().enumerate() {
        db.append(name, key as f64)?;
    }
    let mut random = Random::new(count);
    let (mut sum, mut expected) = (0.0, 0.0);
    let start = Instant::now();
    for _ in 0..count {
        let key = random.below(KEYS);
        sum += db.get(&keys[key])?.and_then(|value| value.as_float()).unwrap_or(f64::NAN);
        expected += key as f64;
    }
    let ns = start.elapsed().as_nanos() as f64 / count as f64;
    check(sum == expected, || format!("sum {sum}, not {expected}"))?;
    db.close()?;
    Ok(ns)
}

/// Nanoseconds of the same puts in Rust.
fn rust_puts(run: &Run, count: u64) -> Result<f64> {
    let path = run.file("capi-rust.synadb")?;
    let db = SynaDB::with_config(&path, DbConfig::default().with_durability(Durability::BUFFERED))?;
    let keys = names();
    for (key, name) in keys.iter().enumerate() {
        db.append(name, key as f64)?;
    }
    let start = Instant::now();
    for (row, name) in (0..count).zip(keys.iter().cycle()) {
        db.append_at(name, row.cast_signed(), row as f64)?;
    }
    let ns = start.elapsed().as_nanos() as f64 / count as f64;
    db.close()?;
    Ok(ns)
}
