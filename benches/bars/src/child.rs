//! Measurements that need a process of their own: fresh memory, a traced process, a killed one.
//!
//! The program starts itself again as `bars child TASK ARGS..`. A task prints `name value` lines
//! for its parent; whatever else it has to say goes to stderr.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::run::Result;
use crate::{history, memory, open, syscalls};

/// Carries out one task in this process.
pub fn main(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["open", mode, path, points] => open::child(mode, path.as_ref(), points.parse()?),
        ["write-and-wait", path, points] => open::child_writer(path.as_ref(), points.parse()?),
        ["keys", path, keys] => memory::child_writes(path.as_ref(), keys.parse()?),
        ["keys-open", mode, path, keys] => memory::child_opens(mode, path.as_ref(), keys.parse()?),
        ["history-memory", how, path] => history::child_memory(how, path.as_ref()),
        ["syscalls", mode, path, points] => syscalls::child(mode, path.as_ref(), points.parse()?),
        other => Err(format!("unknown task {other:?}").into()),
    }
}

/// This program as a child with this task.
pub fn command(args: &[&OsStr]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child").args(args).stdin(Stdio::null());
    Ok(command)
}

/// Runs a task and returns what it printed.
pub fn measure(args: &[&OsStr]) -> Result<Figures> {
    let output = command(args)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("child {args:?} ended with {}", output.status).into());
    }
    Figures::parse(&String::from_utf8(output.stdout)?)
}

/// Named figures.
pub struct Figures(HashMap<String, f64>);

impl Figures {
    pub fn parse(text: &str) -> Result<Figures> {
        let mut figures = HashMap::new();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').ok_or(format!("not a figure: {line}"))?;
            figures.insert(name.to_owned(), value.parse()?);
        }
        Ok(Figures(figures))
    }

    pub fn get(&self, name: &str) -> Result<f64> {
        Ok(*self.0.get(name).ok_or(format!("the child printed no {name}"))?)
    }
}
