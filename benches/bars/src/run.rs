//! How measurements are made: how many runs, how much work, where files lie, medians and pairs.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Errors end a group of bars; their text goes to a `#` line.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Magic numbers of memory file systems (tmpfs, ramfs), where nothing here would mean anything.
const MEMORY_FILE_SYSTEMS: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// The conditions under which a group is measured.
pub struct Run {
    runs: usize,
    scale: u64,
    root: PathBuf,
    folder: PathBuf,
}

impl Run {
    /// `runs` measured runs of 1/`scale` of the work each, in `bench-results/` of the repository.
    pub fn new(runs: usize, scale: u64) -> Result<Run> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let folder = root.join("bench-results");
        fs::create_dir_all(&folder)?;
        if on_memory_file_system(&folder)? {
            return Err("bench-results/ lies on a memory file system; bars need a disk".into());
        }
        Ok(Run { runs, scale, root, folder })
    }

    /// The same conditions with at least `runs` runs, for what scatters more than the rest.
    pub fn at_least(&self, runs: usize) -> usize {
        if self.is_smoke() { self.runs } else { self.runs.max(runs) }
    }

    /// Measured runs of each side.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// `count` units of work, or a hundredth of them in a smoke run.
    pub fn work(&self, count: u64) -> u64 {
        (count / self.scale).max(1)
    }

    pub fn is_smoke(&self) -> bool {
        self.scale > 1
    }

    /// The root of the repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of this name on the repository's own disk; what an earlier run left is removed.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        remove(&path)?;
        Ok(path)
    }
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn on_memory_file_system(folder: &Path) -> Result<bool> {
    let found = rustix::fs::statfs(folder)?.f_type;
    Ok(MEMORY_FILE_SYSTEMS.iter().any(|magic| i128::from(*magic) == i128::from(found)))
}

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

/// Work done per second.
pub fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// Median of the ratios of `runs` pairs of rates, and the medians of the rates themselves.
pub struct Pairs {
    pub ratio: f64,
    pub measured: f64,
    pub base: f64,
}

/// Measures `measured` and `base` in alternation and takes the ratio pair by pair, so that what
/// slows the machine for a while slows both. The one that begins changes from pair to pair.
pub fn pairs(
    runs: usize,
    mut measured: impl FnMut() -> Result<f64>,
    mut base: impl FnMut() -> Result<f64>,
) -> Result<Pairs> {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..runs {
        // What one side left to be written back must not be paid for by the other.
        rustix::fs::sync();
        let (a, b);
        if pair % 2 == 0 {
            a = measured()?;
            rustix::fs::sync();
            b = base()?;
        } else {
            b = base()?;
            rustix::fs::sync();
            a = measured()?;
        }
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
    }
    Ok(Pairs { ratio: median(ratios), measured: median(ours), base: median(theirs) })
}

/// Fails the group unless a result is what it must be.
pub fn check(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("wrong result: {}", what()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
