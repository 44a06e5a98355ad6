//! `bars`: measures the bars of an issue and prints one line for each.
//!
//! ```text
//! name value unit target ok|short
//! ```
//!
//! Everything else (absolute figures, what was listed apart, progress) goes to lines that begin
//! with `#`. A bar that could not be measured has `-` for a value and is short; the exit code is
//! 0 only when every bar asked for is ok. `benches/README.md` says what each bar measures.
//!
//! One file per group of bars; `bare.rs` has the loops they are held against, `data.rs` the points
//! both sides write. Bars of later issues are more [`Group`]s in `GROUPS`.

mod append;
mod bare;
mod capi;
mod child;
mod copy;
mod data;
mod encoding;
mod entry;
mod get;
mod history;
mod ingest;
mod long;
mod many;
mod memory;
mod newcomer;
mod open;
mod python;
mod report;
mod run;
mod syscalls;

use std::process::ExitCode;

use report::{Group, Outcome};
use run::{Result, Run};

/// Every group of bars, in the order in which they are measured and printed.
const GROUPS: &[&Group] = &[
    &append::OS,
    &append::BUFFERED,
    &append::FULL_1,
    &append::FULL_8,
    &append::FULL_32,
    &append::BATCHES,
    &syscalls::OS,
    &syscalls::FULL,
    &entry::BYTES,
    &get::KEYS,
    &get::LONG_HISTORY,
    &open::CLEAN,
    &open::KILLED,
    &memory::KEYS,
    &long::CRASH_STATES,
    &long::SIGKILL_ROUNDS,
    &long::BIT_FLIPS,
    &long::PLANTED_BUGS,
    &newcomer::NEWCOMER,
    &encoding::SIZES,
    &encoding::DECODE,
    &encoding::ENCODE,
    &encoding::EXACT,
    &history::RAW,
    &history::DECODED,
    &history::RANGE,
    &history::QUESTIONS,
    &history::ONE_KEY,
    &history::SMALL_APPENDS,
    &history::MEMORY,
    &ingest::BULK,
    &ingest::BATCHES,
    &ingest::ARRIVAL,
    &long::ALIVE,
    &many::SCAN,
    &capi::CALLS,
    &capi::DATABASES,
    &capi::HISTORIES,
    &capi::LEAKS,
    &capi::TESTS,
    &python::EXPORT,
    &python::FRESH_RAW,
    &python::FRESH_ENCODED,
    &python::APPEND,
    &python::BESIDE,
    &python::BULK,
    &python::ARRIVAL,
    &python::GET,
    &python::START,
    &python::BESIDE_READER,
];

const USAGE: &str = "\
usage: bars [--issue N] [--only NAME[,NAME]] [--skip-long] [--runs N] [--smoke]
       bars --list    names of all bars
       bars --bare    absolute figures of the bare loops alone

  --issue N      only the bars of this issue
  --only NAMES   only these bars
  --skip-long    bars that take many minutes are printed as missing, thus short
  --runs N       measured runs per bar (default 5, never fewer)
  --smoke        one run of a hundredth of the work: tries the program, every bar is short
";

/// What the command line asked for.
struct Args {
    issue: Option<u32>,
    only: Vec<String>,
    skip_long: bool,
    run: Run,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bars: {error}");
            ExitCode::from(2)
        }
    }
}

/// Carries out one command line; `Ok(false)` means that a bar was short.
fn dispatch(args: &[String]) -> Result<bool> {
    match args.first().map(String::as_str) {
        Some("child") => child::main(&args[1..]).map(|()| true),
        Some("--help" | "-h") => {
            print!("{USAGE}");
            Ok(true)
        }
        Some("--list") => {
            for group in GROUPS {
                for bar in group.bars {
                    println!("{} {}", group.issue, bar.name);
                }
            }
            Ok(true)
        }
        Some("--bare") => append::bare_figures(&Run::new(5, 1)?).map(|()| true),
        _ => measure(&parse(args)?),
    }
}

fn parse(args: &[String]) -> Result<Args> {
    let (mut issue, mut only, mut skip_long) = (None, Vec::new(), false);
    let (mut runs, mut scale) = (5, 1);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--issue" => issue = Some(value()?.parse()?),
            "--only" => only = value()?.split(',').map(str::to_owned).collect(),
            "--runs" => runs = value()?.parse::<usize>()?.max(5),
            "--skip-long" => skip_long = true,
            "--smoke" => scale = 100,
            other => return Err(format!("unknown argument {other}\n{USAGE}").into()),
        }
    }
    for name in &only {
        if !GROUPS.iter().any(|group| group.bars.iter().any(|bar| bar.name == name)) {
            return Err(format!("there is no bar {name}; see bars --list").into());
        }
    }
    if scale > 1 {
        runs = 1;
    }
    Ok(Args { issue, only, skip_long, run: Run::new(runs, scale)? })
}

/// Measures the groups asked for; `true` if every bar printed was ok.
fn measure(args: &Args) -> Result<bool> {
    if cfg!(debug_assertions) && !args.run.is_smoke() {
        return Err("bars are measured in release builds: cargo run --release".into());
    }
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut all_ok = true;
    let mut printed = 0;
    for group in GROUPS {
        if args.issue.is_some_and(|issue| issue != group.issue)
            || !group.bars.iter().any(|bar| wanted(bar.name))
        {
            continue;
        }
        let skip = args.skip_long && group.long;
        let outcome = if skip { Outcome::skipped() } else { group.measure(&args.run) };
        for bar in group.bars.iter().filter(|bar| wanted(bar.name)) {
            all_ok &= bar.print(outcome.value(bar.name), args.run.is_smoke());
            printed += 1;
        }
    }
    if printed == 0 {
        return Err("no bar matches what was asked for; see bars --list".into());
    }
    Ok(all_ok)
}
