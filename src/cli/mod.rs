//! `syna`, the command line.
//!
//! It is library code so that the binary and other launchers share it: [`run`] takes arguments and
//! returns an exit code, [`run_with`] does the same on streams of the caller's. One file per
//! command; `selection`, `value` and `time` read what a person writes, `output` prints results.
//!
//! Results go to standard output, everything else (messages, summaries, progress) to standard
//! error. Commands that only read open the database read-only, so they work beside a writer, and
//! each looks at one snapshot.

mod compact;
mod error;
mod export;
mod follow;
mod frame;
mod get;
mod history;
mod import;
mod info;
mod keys;
mod optimize;
mod output;
mod progress;
mod put;
mod retain;
mod salvage;
mod selection;
mod sparkline;
mod time;
mod value;
mod verify;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Read, Write};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::error::CliError;
pub use self::error::{EXIT_FAILED, EXIT_OK, EXIT_USAGE};
pub use self::sparkline::Sparkline;

const AFTER_HELP: &str = "\
Results go to standard output, messages to standard error.

Exit codes:
  0  done
  1  the operation failed: no such key or file, damage, locked, a bad cell
  2  the command line is wrong; nothing was tried

Times are printed as RFC 3339 in UTC and accepted as RFC 3339 with any offset, as a UTC date
(2013-01-01, 2013-01-01 06:00[:00[.000001]]) or as integer microseconds since 1970 UTC. Ranges of
time include their start and not their end. Floats are printed with the fewest digits that read
back exactly; in JSON, those that are not finite are the strings \"NaN\", \"inf\" and \"-inf\".";

/// Keeps histories of typed values in one append-only file.
#[derive(Parser)]
#[command(name = "syna", version, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Put(put::Args),
    Get(get::Args),
    History(history::Args),
    Keys(keys::Args),
    Info(info::Args),
    Import(import::Args),
    Export(export::Args),
    Frame(frame::Args),
    Follow(follow::Args),
    Verify(verify::Args),
    Salvage(salvage::Args),
    Compact(compact::Args),
    Optimize(optimize::Args),
    Retain(retain::Args),
}

/// Where a command reads and prints.
pub struct Streams<'a> {
    /// What `import -` reads.
    pub stdin: &'a mut dyn Read,
    /// Results.
    pub stdout: &'a mut dyn Write,
    /// Messages and summaries. Progress bars draw on the process's own standard error.
    pub stderr: &'a mut dyn Write,
    /// Whether `stdout` is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether the process's standard error is a terminal on which progress may be drawn.
    pub stderr_is_terminal: bool,
}

/// The text in which `syna` prints a timestamp: RFC 3339 in UTC with as many digits of a second as
/// needed, or the integer where the year has more than four digits.
pub fn rfc3339(timestamp: i64) -> String {
    time::Rfc3339(timestamp).to_string()
}

/// Runs one command line on the streams of the process and returns the exit code.
///
/// `args` begins with the program's name, as [`std::env::args_os`] does.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let stdout = io::stdout();
    let stderr = io::stderr();
    run_with(
        args,
        &mut Streams {
            stdout_is_terminal: stdout.is_terminal(),
            stderr_is_terminal: stderr.is_terminal(),
            stdin: &mut io::stdin(),
            stdout: &mut BufWriter::new(stdout),
            stderr: &mut stderr.lock(),
        },
    )
}

/// Runs one command line on the given streams and returns the exit code.
pub fn run_with(args: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> i32 {
    let parsed = Cli::command()
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let result = match parsed {
        Ok(cli) => cli.command.run(streams),
        Err(error) => return print_usage(&error, streams),
    };
    // Flushed also after an error, since what was printed before it is still true.
    let flushed = streams.stdout.flush().map_err(CliError::from);
    let Err(error) = result.and(flushed) else { return EXIT_OK };
    let code = error.exit_code();
    if code != EXIT_OK {
        let _ = writeln!(streams.stderr, "syna: {error}");
    }
    code
}

impl Command {
    fn run(&self, streams: &mut Streams<'_>) -> Result<(), CliError> {
        match self {
            Command::Put(args) => put::run(args, streams),
            Command::Get(args) => get::run(args, streams),
            Command::History(args) => history::run(args, streams),
            Command::Keys(args) => keys::run(args, streams),
            Command::Info(args) => info::run(args, streams),
            Command::Import(args) => import::run(args, streams),
            Command::Export(args) => export::run(args, streams),
            Command::Frame(args) => frame::run(args, streams),
            Command::Follow(args) => follow::run(args, streams),
            Command::Verify(args) => verify::run(args, streams),
            Command::Salvage(args) => salvage::run(args, streams),
            Command::Compact(args) => compact::run(args, streams),
            Command::Optimize(args) => optimize::run(args, streams),
            Command::Retain(args) => retain::run(args, streams),
        }
    }
}

/// Prints what clap has to say: help and version as results, complaints as messages.
fn print_usage(error: &clap::Error, streams: &mut Streams<'_>) -> i32 {
    let rendered = error.render();
    let end = if rendered.to_string().ends_with('\n') { "" } else { "\n" };
    let (out, terminal) = match error.use_stderr() {
        true => (&mut *streams.stderr, streams.stderr_is_terminal),
        false => (&mut *streams.stdout, streams.stdout_is_terminal),
    };
    // A closed pipe is the only thing that can happen here, and nobody is left to be told.
    let _ = match terminal {
        true => write!(out, "{}{end}", rendered.ansi()),
        false => write!(out, "{rendered}{end}"),
    };
    let _ = out.flush();
    error.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syna(args: &[&str]) -> (i32, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let args = std::iter::once("syna").chain(args.iter().copied()).map(OsString::from);
        let code = run_with(
            args,
            &mut Streams {
                stdin: &mut io::empty(),
                stdout: &mut stdout,
                stderr: &mut stderr,
                stdout_is_terminal: false,
                stderr_is_terminal: false,
            },
        );
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(stdout), text(stderr))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_a_result_and_names_the_exit_codes() {
        let (code, stdout, stderr) = syna(&["--help"]);
        assert_eq!((code, stderr.as_str()), (EXIT_OK, ""));
        for words in ["salvage", "Exit codes", "RFC 3339"] {
            assert!(stdout.contains(words), "{words}");
        }
        assert_eq!(syna(&["--version"]).0, EXIT_OK);
    }

    #[test]
    fn wrong_arguments_are_complaints() {
        for args in [
            &[][..],
            &["gett", "f", "k"],
            &["get", "f"],
            &["get", "f", "k", "--at", "yesterday"],
            &["history", "f", "k", "--rows", "1..2", "--last", "3"],
            &["import", "f", "x.csv"],
            &["import", "f", "x.csv", "--time", "t", "--batch-rows", "0"],
            &["put", "f", "k", "1", "--type", "complex"],
            &["export", "f", "--format", "table"],
            &["frame", "f"],
            &["frame", "f", "k", "--align", "sideways"],
            &["frame", "f", "k", "--every", "0s"],
            &["retain", "f"],
            &["retain", "f", "*=first:3"],
            &["follow", "f", "--from", "yesterday"],
            &["follow", "f", "--idle", "-1"],
        ] {
            let (code, stdout, stderr) = syna(args);
            assert_eq!((code, stdout.as_str()), (EXIT_USAGE, ""), "{args:?}");
            assert!(!stderr.is_empty(), "{args:?}");
        }
    }
}
