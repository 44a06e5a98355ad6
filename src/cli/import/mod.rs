//! `syna import`: rows of a CSV file become points, many rows a commit.
//!
//! `plan` turns the header and the options into a rule for each row, `staging` collects the points
//! of one batch by key, and this file reads, commits and counts. A batch is one atomic commit, so a
//! bad cell, a full disk or a kill leaves whole batches behind, and the message (or the last
//! acknowledgement) says from which row to go on.

mod plan;
mod staging;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use self::plan::{Plan, PlanArgs, Wrong};
use self::staging::Staging;
use super::Streams;
use super::error::CliError;
use super::progress::Bar;
use crate::{DbConfig, Durability, SynaDB, SynaError};

/// Append the rows of a CSV file, many rows in one atomic commit
///
/// Each row gives one point for each value column. The key of a point is the prefix, the row's key
/// columns and the name of the value column, joined by `/`; its time is the row's time. Points are
/// appended in the order of the file.
///
/// Without --type, a column is what its first filled cell is: float if that is a number, else text.
/// A later cell that does not fit is an error that names its line and column, and nothing of its
/// batch is written; so is an integer that a float would round. An empty cell appends nothing
/// unless --nulls is given.
///
/// The database is created when it is missing. Importing the same rows twice appends them twice.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// The CSV file, with a header; - reads standard input
    csv: PathBuf,
    #[command(flatten)]
    plan: PlanArgs,
    /// The character between cells; `tab` for a tab
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,
    /// When a commit counts as done: on the medium, with the operating system, or in memory
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    durability: Mode,
    /// Rows in one commit
    #[arg(long, value_name = "N", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    batch_rows: u64,
    /// Go on after N rows of the file, as an import that stopped tells
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip_rows: u64,
    /// Print `committed N` after each commit: the first N rows of the file are in the database
    #[arg(long)]
    print_commits: bool,
    /// Print no summary
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Mode {
    /// Each commit is synced before the next; survives power loss.
    #[default]
    Full,
    /// Survives the end of the process; after power loss a prefix.
    Os,
    /// A kill may lose the newest commits, printed or not.
    Buffered,
}

impl From<Mode> for Durability {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Full => Durability::Full,
            Mode::Os => Durability::Os,
            Mode::Buffered => Durability::BUFFERED,
        }
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("one ASCII character, or tab".to_owned()),
    }
}

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let from_stdin = args.csv.as_os_str() == "-";
    let source = match from_stdin {
        true => Source { name: "standard input".to_owned(), size_bytes: 0 },
        false => Source::of_file(&args.csv)?,
    };
    let bar = Bar::bytes(streams).hidden_if(args.print_commits && streams.stdout_is_terminal);
    let output = Output { stdout: streams.stdout, stderr: streams.stderr };
    if from_stdin {
        return Import::new(args, source, &mut *streams.stdin, bar)?.run(output);
    }
    let file = File::open(&args.csv).map_err(|error| CliError::file("open", &args.csv, error))?;
    Import::new(args, source, file, bar)?.run(output)
}

struct Output<'a> {
    stdout: &'a mut dyn Write,
    stderr: &'a mut dyn Write,
}

/// Where the rows come from, for messages and progress.
struct Source {
    name: String,
    /// 0 when nobody knows.
    size_bytes: u64,
}

impl Source {
    fn of_file(path: &Path) -> Result<Self, CliError> {
        let metadata = path.metadata().map_err(|source| CliError::file("open", path, source))?;
        if metadata.is_dir() {
            return Err(CliError::Failed(format!("{} is a folder; name a file", path.display())));
        }
        Ok(Source { name: path.display().to_string(), size_bytes: metadata.len() })
    }
}

struct Import<'a, R> {
    args: &'a Args,
    source: Source,
    reader: csv::Reader<R>,
    columns: csv::StringRecord,
    plan: Plan,
    staging: Staging,
    bar: Bar,
    started: Instant,
    rows_read: u64,
    rows_committed: u64,
    points: u64,
    commits: u64,
}

impl<'a, R: Read> Import<'a, R> {
    /// Reads the header, so that a wrong option is noticed before a database is made.
    fn new(args: &'a Args, source: Source, input: R, bar: Bar) -> Result<Self, CliError> {
        let mut reader = csv::ReaderBuilder::new().delimiter(args.delimiter).from_reader(input);
        let columns = match reader.headers() {
            Ok(columns) => columns.clone(),
            Err(error) => return Err(CliError::Failed(csv_message(&source.name, &error, None))),
        };
        let plan = args
            .plan
            .plan(&columns)
            .map_err(|what| CliError::Usage(format!("{}: {what}", source.name)))?;
        Ok(Import {
            args,
            source,
            reader,
            columns,
            plan,
            staging: Staging::default(),
            bar,
            started: Instant::now(),
            rows_read: 0,
            rows_committed: 0,
            points: 0,
            commits: 0,
        })
    }

    fn run(mut self, output: Output<'_>) -> Result<(), CliError> {
        let config = DbConfig::default().with_durability(self.args.durability.into());
        let db = SynaDB::with_config(&self.args.file, config)?;
        let copied = self.copy(&db, output.stdout);
        // Closed also after an error, so that commits in the writer's buffer are not lost.
        let closed = db.close();
        copied.map_err(|error| self.with_position(&error))?;
        closed?;
        drop(self.bar);
        if self.rows_read < self.args.skip_rows {
            return Err(CliError::Failed(format!(
                "{} has {} rows, fewer than --skip-rows; nothing was imported",
                self.source.name, self.rows_read
            )));
        }
        if !self.args.quiet {
            let _ = writeln!(
                output.stderr,
                "{} rows, {} points, {} keys, {} commits in {:.1} s",
                self.rows_read.saturating_sub(self.args.skip_rows),
                self.points,
                self.staging.keys_seen(),
                self.commits,
                self.started.elapsed().as_secs_f64(),
            );
        }
        Ok(())
    }

    fn copy(&mut self, db: &SynaDB, stdout: &mut dyn Write) -> Result<(), CliError> {
        let mut record = csv::StringRecord::new();
        let mut rows_in_batch = 0_u64;
        loop {
            let more = self.reader.read_record(&mut record).map_err(|error| {
                CliError::Failed(csv_message(&self.source.name, &error, Some(&self.columns)))
            })?;
            if !more {
                break;
            }
            self.rows_read += 1;
            if self.rows_read <= self.args.skip_rows {
                // A column is what its first filled cell is, also when that row is here already.
                self.plan.learn_types(&record);
                self.rows_committed = self.rows_read;
                continue;
            }
            self.plan
                .stage(&record, &mut self.staging)
                .map_err(|wrong| self.bad(&record, wrong))?;
            rows_in_batch += 1;
            if rows_in_batch == self.args.batch_rows {
                self.commit(db, stdout)?;
                rows_in_batch = 0;
            }
        }
        if rows_in_batch > 0 {
            self.commit(db, stdout)?;
        }
        Ok(())
    }

    /// Commits what is staged and says so, in this order.
    fn commit(&mut self, db: &SynaDB, stdout: &mut dyn Write) -> Result<(), CliError> {
        let points = self.staging.commit_to(db)?;
        if points > 0 {
            self.points += points;
            self.commits += 1;
        }
        self.rows_committed = self.rows_read;
        if self.args.print_commits {
            let said =
                writeln!(stdout, "committed {}", self.rows_committed).and_then(|()| stdout.flush());
            // Unlike a reader of results, one who counts commits must hear that we stopped early.
            said.map_err(|error| CliError::Failed(format!("print commits: {error}")))?;
        }
        let position = self.reader.position().byte();
        self.bar.update(position, self.source.size_bytes);
        Ok(())
    }

    fn bad(&self, record: &csv::StringRecord, wrong: Wrong) -> CliError {
        let line = record.position().map_or(0, csv::Position::line);
        let column = self.columns.get(wrong.column).unwrap_or_default();
        let (name, what) = (&self.source.name, wrong.what);
        CliError::Failed(format!("{name} line {line}, column {column:?}: {what}"))
    }

    /// Adds how far the import came, so that it can go on from there.
    fn with_position(&self, error: &CliError) -> CliError {
        let rows = self.rows_committed;
        // After a failed sync nobody knows what the medium holds of the commit at hand.
        let unknown =
            matches!(error, CliError::Store(SynaError::Io { .. } | SynaError::Poisoned { .. }));
        let rest = match (unknown, rows) {
            (true, _) => format!(
                "the first {rows} rows are in the database; whether the batch after them is, \
                 `syna info` shows"
            ),
            (false, 0) => "nothing was imported".to_owned(),
            (false, _) => format!(
                "the first {rows} rows are in the database, nothing after them; \
                 --skip-rows {rows} goes on from there"
            ),
        };
        CliError::Failed(format!("{error}\nsyna: {rest}"))
    }
}

/// What the CSV reader found wrong, with its line.
fn csv_message(name: &str, error: &csv::Error, columns: Option<&csv::StringRecord>) -> String {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Io(error) => format!("read {name}: {error}"),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{name} line {line}: {len} cells, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = columns.and_then(|columns| columns.get(err.field())).unwrap_or("");
            format!("{name} line {line}, column {column:?}: not UTF-8")
        }
        _ => format!("{name} line {line}: {error}"),
    }
}
