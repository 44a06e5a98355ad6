//! What a bar is, how its line reads, and how a group of bars is run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::run::{Result, Run};

/// The figure that a bar asks for.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(target) => value >= target,
            Target::AtMost(target) => value <= target,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(target) => write!(f, ">={target}"),
            Target::AtMost(target) => write!(f, "<={target}"),
        }
    }
}

/// One bar: its name in the issue, the unit of its value, what it asks for.
#[derive(Debug)]
pub struct Bar {
    pub name: &'static str,
    pub unit: &'static str,
    pub target: Target,
}

impl Bar {
    pub const fn at_least(name: &'static str, unit: &'static str, target: f64) -> Bar {
        Bar { name, unit, target: Target::AtLeast(target) }
    }

    pub const fn at_most(name: &'static str, unit: &'static str, target: f64) -> Bar {
        Bar { name, unit, target: Target::AtMost(target) }
    }

    /// Prints the line of this bar; `true` if it is ok. A smoke run is never ok.
    pub fn print(&self, value: Option<f64>, smoke: bool) -> bool {
        let ok = !smoke && value.is_some_and(|value| self.target.is_met(value));
        println!("{}", self.line(value, ok));
        ok
    }

    fn line(&self, value: Option<f64>, ok: bool) -> String {
        let verdict = if ok { "ok" } else { "short" };
        let value = match value {
            None => "-".to_owned(),
            Some(value) if value.fract() == 0.0 => format!("{value:.0}"),
            Some(value) => format!("{value:.3}"),
        };
        format!("{} {value} {} {} {verdict}", self.name, self.unit, self.target)
    }
}

/// Measured values by the name of their bar.
pub type Values = Vec<(&'static str, f64)>;

/// Bars that are measured together.
pub struct Group {
    /// The number with which the title of the issue begins.
    pub issue: u32,
    /// Takes many minutes; `--skip-long` leaves it out.
    pub long: bool,
    pub bars: &'static [Bar],
    pub run: fn(&Run) -> Result<Values>,
}

impl Group {
    /// Measures the group. An error or a panic is reported on a `#` line and leaves the bars
    /// without a value, so that one broken bar does not hide the others.
    pub fn measure(&self, run: &Run) -> Outcome {
        let names = self.names();
        println!("# {names}: measuring");
        match catch_unwind(AssertUnwindSafe(|| (self.run)(run))) {
            Ok(Ok(values)) => return Outcome(values),
            Ok(Err(error)) => println!("# {names}: {error}"),
            Err(_) => println!("# {names}: panicked"),
        }
        Outcome(Vec::new())
    }

    fn names(&self) -> String {
        self.bars.iter().map(|bar| bar.name).collect::<Vec<_>>().join(", ")
    }
}

/// What became of a group.
pub struct Outcome(Values);

impl Outcome {
    pub fn skipped() -> Outcome {
        Outcome(Vec::new())
    }

    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(bar, _)| *bar == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_five_words_also_when_a_bar_is_missing() {
        let bar = Bar::at_least("append_os", "ratio", 0.85);
        assert_eq!(bar.line(Some(0.91234), true), "append_os 0.912 ratio >=0.85 ok");
        assert_eq!(bar.line(None, false), "append_os - ratio >=0.85 short");
    }

    #[test]
    fn targets_are_compared_before_rounding() {
        assert!(!Target::AtMost(1.01).is_met(1.0100001));
        assert!(Target::AtLeast(0.85).is_met(0.85));
        assert!(!Target::AtLeast(0.85).is_met(f64::NAN));
    }
}
