//! What someone who has just cloned the repository meets: `make demo`, then `make test`.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::long::make;
use crate::report::{Bar, Group};
use crate::run::{Result, Run, check};

pub const NEWCOMER: Group = Group {
    issue: 1,
    long: true,
    bars: &[Bar::at_most("newcomer", "minutes", 30.0)],
    run: |run| {
        check(std::env::var_os("CARGO_TARGET_DIR").is_none(), || {
            "CARGO_TARGET_DIR is set: the clone would not build into an empty folder".to_owned()
        })?;
        let demo = minutes(run, "demo", true)?;
        let test = minutes(run, "test", false)?;
        println!("# newcomer: make demo took {demo:.1} minutes, make test {test:.1}");
        fs::remove_dir_all(run.root().join("bench-results/newcomer"))?;
        Ok(vec![("newcomer", test)])
    },
};

/// Minutes that `make TARGET` takes in a clone of the last commit, made anew if so asked.
fn minutes(run: &Run, target: &str, fresh: bool) -> Result<f64> {
    let clone = run.root().join("bench-results/newcomer");
    if fresh {
        if clone.exists() {
            fs::remove_dir_all(&clone)?;
        }
        let status = Command::new("git")
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(run.root())
            .arg(&clone)
            .status()?;
        check(status.success(), || format!("git clone ended with {status}"))?;
    }
    let log = run.file(&format!("newcomer-{target}.log"))?;
    let start = Instant::now();
    let success = make(&clone, target, &log)?;
    check(success, || format!("make {target} failed: bench-results/newcomer-{target}.log"))?;
    Ok(start.elapsed().as_secs_f64() / 60.0)
}
