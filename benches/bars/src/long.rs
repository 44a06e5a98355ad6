//! Bars that other commands measure: the long forms of the tests and the planted bugs.
//!
//! Each command prints `what: N` lines, which are added up; its whole output is kept in
//! `bench-results/`. A command that fails although it printed nothing wrong leaves its bar without
//! a value, and so does one that tried less than its bar asks for.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::{Bar, Group};
use crate::run::{Result, Run, check};

const CRASH_STATES_MIN: u64 = 1_000_000;
const SIGKILL_ROUNDS_MIN: u64 = 2_000;
const ALIVE_RESULTS_MIN: u64 = 5_000;

pub const CRASH_STATES: Group = Group {
    issue: 1,
    long: true,
    bars: &[Bar::at_most("crash_states", "violations", 0.0)],
    run: |run| {
        let output = command(run, "crash-long")?;
        let states = output.sum("states: ")?;
        println!("# crash_states: {states} states");
        check(states >= CRASH_STATES_MIN, || format!("only {states} states were tried"))?;
        Ok(vec![("crash_states", output.verdict("violations: ")?)])
    },
};

pub const SIGKILL_ROUNDS: Group = Group {
    issue: 1,
    long: true,
    bars: &[Bar::at_most("sigkill_rounds", "violations", 0.0)],
    run: |run| {
        let output = command(run, "sigkill-long")?;
        let rounds = output.sum("rounds: ")?;
        println!("# sigkill_rounds: {rounds} rounds");
        check(rounds >= SIGKILL_ROUNDS_MIN, || format!("only {rounds} rounds were run"))?;
        Ok(vec![("sigkill_rounds", output.verdict("violations: ")?)])
    },
};

pub const BIT_FLIPS: Group = Group {
    issue: 1,
    long: true,
    bars: &[Bar::at_most("bit_flips", "wrong_values", 0.0)],
    run: |run| {
        let output = command(run, "bit-flips")?;
        let flips = output.sum("flips: ")?;
        println!("# bit_flips: {flips} flips");
        Ok(vec![("bit_flips", output.verdict("wrong values: ")?)])
    },
};

pub const PLANTED_BUGS: Group = Group {
    issue: 1,
    long: true,
    bars: &[Bar::at_most("planted_bugs", "uncaught", 0.0)],
    run: |run| {
        let output = command(run, "canaries")?;
        Ok(vec![("planted_bugs", output.verdict("uncaught: ")?)])
    },
};

pub const ALIVE: Group = Group {
    issue: 2,
    long: true,
    bars: &[Bar::at_most("alive", "findings", 0.0)],
    run: |run| {
        let output = command(run, "alive")?;
        // Without a tool nothing was looked for: no value, and the reason told.
        let told = |line: &&str| line.starts_with("skipped: ") || line.starts_with("under ");
        output.text.lines().filter(told).for_each(|line| println!("# alive: {line}"));
        let results = output.sum("results: ").unwrap_or(0);
        println!("# alive: {results} results held");
        let findings = output.verdict("findings: ")?;
        check(results >= ALIVE_RESULTS_MIN || findings > 0.0, || {
            format!("only {results} results were held")
        })?;
        Ok(vec![("alive", findings)])
    },
};

/// What a command printed and whether it succeeded.
struct Output {
    text: String,
    success: bool,
}

/// Runs a target of the Makefile.
fn command(run: &Run, target: &str) -> Result<Output> {
    let log = run.file(&format!("{target}.log"))?;
    let success = make(run.root(), target, &log)?;
    println!("# make {target}: whole output in bench-results/{target}.log");
    Ok(Output { text: fs::read_to_string(log)?, success })
}

/// Runs `make TARGET` in a folder with its output in `log`; `true` if it succeeded.
pub fn make(folder: &Path, target: &str, log: &Path) -> Result<bool> {
    let file = File::create(log)?;
    let status = Command::new("make")
        .arg(target)
        .current_dir(folder)
        // Flags of a `make bars` above are not meant for this one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()?;
    Ok(status.success())
}

impl Output {
    /// Sum of the numbers after `label`, wherever it stands in a line.
    fn sum(&self, label: &str) -> Result<u64> {
        let numbers = self.text.lines().filter_map(|line| number_after(line, label));
        numbers.reduce(|a, b| a + b).ok_or(format!("no line says \"{label}N\"").into())
    }

    /// The sum as the value of a bar; a failure that it does not explain is an error.
    fn verdict(&self, label: &str) -> Result<f64> {
        let sum = self.sum(label)?;
        check(self.success || sum > 0, || "the command failed".to_owned())?;
        Ok(sum as f64)
    }
}

fn number_after(line: &str, label: &str) -> Option<u64> {
    let (_, rest) = line.split_once(label)?;
    let digits: String = rest
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(|c| *c != ',')
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_added_up_wherever_they_stand() -> Result<()> {
        let text = "test a ... violations: 0\nok\nviolations: 2\nstates: 1,000,001\n".to_owned();
        let output = Output { text, success: false };
        assert_eq!(output.sum("states: ")?, 1_000_001);
        assert_eq!(output.verdict("violations: ")?, 2.0);
        assert!(output.sum("rounds: ").is_err());
        Ok(())
    }

    #[test]
    fn unexplained_failure_is_no_value() {
        let output = Output { text: "violations: 0\n".to_owned(), success: false };
        assert!(output.verdict("violations: ").is_err());
    }
}
