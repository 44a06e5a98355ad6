//! A writer that is killed in the middle of an import while a reader process looks on.

#![expect(clippy::print_stdout, reason = "the reader reports to the demo by its output")]

use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use synadb::{RecoveryReport, Snapshot, SynaDB, SynaError};

use crate::screen::{self, grouped};
use crate::weather::Weather;

/// First argument of this program when it is the writer; a command line of `syna` follows.
pub const WRITER: &str = "--writer";
/// First argument of this program when it is the reader; the database follows.
pub const READER: &str = "--reader";

/// Small batches, so that there are many commits to be killed between.
const BATCH_ROWS: usize = 20;
/// The writer is killed after this share of the file, or after `PATIENCE` on a slow disk.
const KILL_AFTER: f64 = 0.4;
const PATIENCE: Duration = Duration::from_secs(5);
/// A writer may be done before it is killed; then the next one is killed sooner.
const ATTEMPTS: u32 = 4;

pub fn kill_a_writer(weather: &Weather, folder: &Path) -> Result<(), Box<dyn Error>> {
    screen::heading("A second import, killed in the middle, with a reader beside it");
    screen::command(&format!(
        "syna import crash.syna nyc-weather-2013.csv --time time --key station \\\n      \
         --durability full --batch-rows {BATCH_ROWS} --print-commits"
    ));
    for attempt in 0..ATTEMPTS {
        let file = folder.join(format!("crash-{attempt}.syna"));
        let kill_after = (weather.row_count() as f64 * KILL_AFTER) / f64::from(1 << (2 * attempt));
        let reader = Reader::start(&file)?;
        let Some(acknowledged) = import_until_killed(weather, &file, kill_after)? else {
            reader.stop()?;
            continue;
        };
        let recovered = check_recovered(weather, &file, acknowledged)?;
        return check_views(weather, &reader.stop()?, recovered);
    }
    Err("the writer was always faster than the kill".into())
}

/// Returns the rows in the last commit that the writer acknowledged, or nothing if it ended by
/// itself.
fn import_until_killed(
    weather: &Weather,
    file: &Path,
    kill_after_rows: f64,
) -> Result<Option<usize>, Box<dyn Error>> {
    let mut writer = Command::new(env::current_exe()?)
        .args([WRITER, "syna", "import", "--quiet", "--print-commits"])
        .args(["--durability", "full", "--batch-rows", &BATCH_ROWS.to_string()])
        .args(["--time", "time", "--key", "station"])
        .args([file, &weather.path])
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = writer.stdout.take().ok_or("the writer has no output")?;
    let mut acknowledged = 0;
    let mut kill_sent = false;
    let started = Instant::now();
    // After the kill the pipe still holds what the writer had acknowledged by then.
    for line in BufReader::new(pipe).lines() {
        let line = line?;
        let rows = line.strip_prefix("committed ").ok_or("the writer said something else")?;
        acknowledged = rows.parse()?;
        let late = started.elapsed() > PATIENCE;
        if !kill_sent && (late || acknowledged as f64 >= kill_after_rows) {
            writer.kill()?;
            kill_sent = true;
        }
    }
    let status = writer.wait()?;
    match (status.success(), status.code()) {
        (true, _) => Ok(None),
        (false, None) => {
            screen::line(&format!(
                "killed with SIGKILL; the last acknowledged commit ended at row {} of {}",
                grouped(acknowledged),
                grouped(weather.row_count()),
            ));
            Ok(Some(acknowledged))
        }
        (false, Some(code)) => Err(format!("the writer ended with exit code {code}").into()),
    }
}

/// Opens the file for writing, which recovers it, and holds it against the rows of the file.
/// Returns the number of points found.
fn check_recovered(
    weather: &Weather,
    file: &Path,
    acknowledged: usize,
) -> Result<usize, Box<dyn Error>> {
    let db = SynaDB::new(file)?;
    report(&db.recovery_report());
    let snapshot = db.snapshot()?;
    let points = count_points(&snapshot)?;
    let commits = commit_ends(weather);
    let rows = commits.into_iter().find(|rows| weather.points_in(*rows) == points);
    let rows = rows.ok_or_else(|| format!("{points} points are no whole number of commits"))?;
    if rows < acknowledged {
        return Err(format!("{rows} rows are left of {acknowledged} acknowledged").into());
    }
    let expected = weather.histories(rows);
    if !snapshot.keys()?.iter().eq(expected.keys()) {
        return Err("keys are missing or too many".into());
    }
    for (key, expected) in &expected {
        crate::compare(key, &crate::history(&snapshot.get_history(key)?)?, expected)?;
    }
    db.close()?;
    screen::passed(&format!(
        "all {} acknowledged rows are there; the file holds the first {} rows, point for point",
        grouped(acknowledged),
        grouped(rows),
    ));
    Ok(points)
}

fn report(recovery: &RecoveryReport) {
    let cut = match recovery.reason {
        Some(reason) => format!("cut {} bytes of a torn tail ({reason})", recovery.bytes_cut),
        None => "nothing had to be cut".to_owned(),
    };
    let entries = usize::try_from(recovery.entries).unwrap_or(usize::MAX);
    screen::line(&format!("reopened; recovery read {} entries, {cut}", grouped(entries)));
}

/// The views of the reader must grow, end at commits, and hold no point that recovery lost.
fn check_views(weather: &Weather, views: &[usize], recovered: usize) -> Result<(), Box<dyn Error>> {
    let commits: Vec<usize> =
        commit_ends(weather).into_iter().map(|rows| weather.points_in(rows)).collect();
    if let Some(view) = views.iter().find(|view| commits.binary_search(view).is_err()) {
        return Err(format!("the reader saw {view} points, which is half a commit").into());
    }
    if !views.is_sorted() {
        return Err("the reader went back in time".into());
    }
    let highest = views.last().copied().unwrap_or(0);
    if highest != recovered {
        return Err(format!("the reader saw {highest} points, recovery left {recovered}").into());
    }
    screen::passed(&format!(
        "the reader saw {} growing views, each of whole commits; the highest had {} points",
        grouped(views.len()),
        grouped(highest),
    ));
    Ok(())
}

/// After how many rows a commit ends; a view of the empty database counts, too.
fn commit_ends(weather: &Weather) -> Vec<usize> {
    let rows = weather.row_count();
    (0..rows).step_by(BATCH_ROWS).chain([rows]).collect()
}

fn count_points(snapshot: &Snapshot) -> Result<usize, Box<dyn Error>> {
    let mut points = 0;
    for key in snapshot.keys()? {
        points += usize::try_from(snapshot.len(&key)?)?;
    }
    Ok(points)
}

/// The reader process as the demo sees it.
struct Reader {
    child: Child,
    views: JoinHandle<io::Result<Vec<usize>>>,
}

impl Reader {
    fn start(file: &Path) -> Result<Reader, Box<dyn Error>> {
        let mut child = Command::new(env::current_exe()?)
            .arg(READER)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdout.take().ok_or("the reader has no output")?;
        Ok(Reader { child, views: thread::spawn(|| collect_views(pipe)) })
    }

    /// Lets the reader look once more and returns all it saw.
    fn stop(mut self) -> Result<Vec<usize>, Box<dyn Error>> {
        // The reader runs until its input ends, so it never outlives the demo.
        drop(self.child.stdin.take());
        let views = self.views.join().map_err(|_| "the thread of the reader panicked")??;
        match self.child.wait()?.success() {
            true => Ok(views),
            false => Err("the reader failed".into()),
        }
    }
}

fn collect_views(pipe: ChildStdout) -> io::Result<Vec<usize>> {
    let parse = |line: io::Result<String>| line?.parse().map_err(io::Error::other);
    BufReader::new(pipe).lines().map(parse).collect()
}

/// The reader process itself: prints the number of points whenever it changes.
pub fn read(file: &Path) -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen_by_thread = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        seen_by_thread.store(true, Ordering::Release);
    });
    let pause = Duration::from_millis(2);
    let db = loop {
        match SynaDB::open_read_only(file) {
            Ok(db) => break db,
            // The writer has not created it yet.
            Err(SynaError::NotFound { .. }) if !stop.load(Ordering::Acquire) => {
                thread::sleep(pause);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let mut last = None;
    loop {
        // Asked before looking, so that the last look comes after everything else has happened.
        let stopping = stop.load(Ordering::Acquire);
        db.refresh()?;
        let points = count_points(&db.snapshot()?)?;
        if last != Some(points) {
            println!("{points}");
            last = Some(points);
        }
        if stopping {
            return Ok(());
        }
        thread::sleep(pause);
    }
}
