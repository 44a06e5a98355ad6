//! `syna follow`: prints what is appended, as it comes.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::Streams;
use super::error::CliError;
use super::output::{Cell, FormatArgs, Rows};
use crate::{Change, Cursor, FollowFrom, FollowedCommit, SynaDB};

/// Print points as they are appended by another process, commit by commit
///
/// A deleted key is a line of the kind `deleted`. Runs until it is stopped, unless told otherwise.
/// With a cursor file it goes on, the next time, behind the last commit that was printed whole.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database
    file: PathBuf,
    /// A key or a pattern of keys; all when not given
    pattern: Option<String>,
    /// Where to begin: `beginning`, `now`, or a cursor
    #[arg(long, value_name = "WHERE", default_value = "now", value_parser = parse_from)]
    from: FollowFrom,
    /// Begin at the cursor in this file if there is one, and keep it there
    #[arg(long, value_name = "CURSOR_FILE")]
    cursor_file: Option<PathBuf>,
    /// End when nothing has come for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    idle: Option<Duration>,
    /// End after so many commits
    #[arg(long, value_name = "N")]
    commits: Option<u64>,
    #[command(flatten)]
    format: FormatArgs,
}

fn parse_from(text: &str) -> Result<FollowFrom, String> {
    match text {
        "beginning" => Ok(FollowFrom::Beginning),
        "now" => Ok(FollowFrom::Now),
        cursor => match cursor.parse() {
            Ok(cursor) => Ok(FollowFrom::Cursor(cursor)),
            Err(_) => Err(format!("{cursor:?} is neither beginning nor now nor a cursor")),
        },
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds"))
}

const COLUMNS: &[&str] = &["key", "timestamp", "kind", "value"];

pub(crate) fn run(args: &Args, streams: &mut Streams<'_>) -> Result<(), CliError> {
    let db = SynaDB::open_read_only(&args.file)?;
    let from = match stored_cursor(args)? {
        Some(cursor) => FollowFrom::Cursor(cursor),
        None => args.from,
    };
    let mut follower = db.follow(args.pattern.as_deref().unwrap_or("*"), from)?;
    let mut rows = Rows::new(streams.stdout, args.format.format, COLUMNS)?;
    let mut left = args.commits.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(commit) = follower.next(args.idle.unwrap_or(Duration::MAX))? else { break };
        print(&commit, &mut rows)?;
        // Printed first, kept then: what is printed twice after a crash is not lost.
        rows.show()?;
        store_cursor(args, &commit.cursor())?;
        left -= 1;
    }
    rows.finish()?;
    let cursor = follower.cursor();
    match args.cursor_file {
        Some(_) => store_cursor(args, &cursor)?,
        // Whoever reads messages may be gone.
        None => drop(writeln!(streams.stderr, "cursor: {cursor}")),
    }
    Ok(())
}

fn print(commit: &FollowedCommit, rows: &mut Rows<'_>) -> Result<(), CliError> {
    for change in commit.changes() {
        let key = || Cell::Text(change.key().to_owned());
        match change {
            Change::Appended(appended) => appended.for_each(&mut |points| {
                for point in points {
                    let kind = point.value.kind().name();
                    let time = Cell::Time(point.timestamp);
                    rows.row(vec![key(), time, kind.into(), point.value.clone().into()])?;
                }
                Ok::<(), CliError>(())
            })?,
            Change::Deleted { .. } => {
                rows.row(vec![key(), Cell::Null, "deleted".into(), Cell::Null])?;
            }
        }
    }
    Ok(())
}

fn stored_cursor(args: &Args) -> Result<Option<Cursor>, CliError> {
    let Some(path) = &args.cursor_file else { return Ok(None) };
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::file("read", path, error)),
    }
}

/// Replaces the file as a whole: half a cursor would be none.
fn store_cursor(args: &Args, cursor: &Cursor) -> Result<(), CliError> {
    let Some(path) = &args.cursor_file else { return Ok(()) };
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::write(&new, format!("{cursor}\n")).map_err(|e| CliError::file("write", &new, e))?;
    fs::rename(&new, path).map_err(|e| CliError::file("rename to", path, e))
}
