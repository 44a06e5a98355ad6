//! Child processes that are this very test program again.
//!
//! A test file that wants children has a test `child_main` that hands its roles to [`play`]; it
//! does nothing unless [`Child::spawn`] started the process. A child speaks in lines that begin
//! with `@ ` (what else a test program prints is passed over) and listens on its standard input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const ROLE: &str = "SYNADB_TEST_ROLE";

/// No child takes longer for one answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Plays the role this process was started for, if it was.
pub fn play(roles: &[(&str, fn())]) {
    let Ok(wanted) = std::env::var(ROLE) else { return };
    let (_, role) = roles.iter().find(|(name, _)| *name == wanted).expect("a role of this file");
    role();
}

/// Says a line to the parent, as one write.
pub fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone, or have heard enough.
    let _ = out.write_all(format!("@ {line}\n").as_bytes());
    let _ = out.flush();
}

/// Waits for a line of the parent; `None` when it closed the pipe.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end().to_owned()),
    }
}

pub fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set for this role"))
}

/// A command that runs this program in a role, behind other words (`strace ..`) if there are any.
pub fn command(before: &[&str], role: &str, vars: &[(&str, &str)]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match before.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["--exact", "child_main", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .envs(vars.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A running child. Killed when dropped.
pub struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Child {
    pub fn spawn(role: &str, vars: &[(&str, &str)]) -> Child {
        Child::run(&mut command(&[], role, vars))
    }

    pub fn run(command: &mut Command) -> Child {
        let mut process = command.spawn().unwrap();
        let out = process.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line);
                // The test harness leaves its own line open before the first one.
                if let Some((_, said)) = line.split_once("@ ")
                    && sender.send(said.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Child { process, lines }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line, `None` when the child has ended.
    pub fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child says nothing"),
        }
    }

    /// Waits until the child says this.
    pub fn wait_for(&self, wanted: &str) {
        while let Some(line) = self.next() {
            assert!(!line.starts_with("FAILED"), "{line}");
            if line == wanted {
                return;
            }
        }
        panic!("the child ended before it said {wanted:?}");
    }

    /// Everything it says until it ends.
    pub fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    pub fn tell(&mut self, line: &str) {
        let stdin = self.process.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the child does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end, which must be a good one.
    pub fn finish(mut self) -> Vec<String> {
        drop(self.process.stdin.take());
        let lines = self.rest();
        let status = self.wait();
        assert!(status.success(), "the child ended with {status}: {lines:?}");
        lines
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.process.wait();
    }
}

/// Whether an optional tool is there. Where it is not the test says so and is skipped, or fails if
/// nothing may be skipped.
pub fn has_tool(tool: &str, install: &str) -> bool {
    let found = Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok() {
        return true;
    }
    println!("skipped: {tool} ({install})");
    let required = std::env::var("SYNADB_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{tool} is missing and nothing may be skipped");
    false
}
