//! Whatever a power loss or a kill leaves, at any moment of any script: the store opens, holds a
//! prefix of the commits with every acknowledged durable one in it, and goes on from there.
//!
//! Each script runs on a simulated storage, which records a trace. From each point of the trace
//! states are enumerated ([`support::crash_states`] says which); each is opened and held against
//! the oracle, appended to, opened again, and for some of them the recovery is itself crashed, up
//! to three crashes deep. `SYNADB_CRASH_STATES` is the number of states (20,000 by default),
//! `SYNA_SEED` the seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "helpers of tests panic as tests do, and the counts are printed"
)]

mod support;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use support::crash_states::CrashStates;
use support::disk_image::DiskImage;
use support::fault::{FailedPages, FaultPlan};
use support::rng::SplitMix64;
use support::run::{Change, Content, History, PATH, Run, SMALL_BUFFER, kill, open_image};
use support::trace::{Event, Trace};
use synadb::{Atom, DbConfig, Durability, SynaDB, SynaError};

/// States are drawn from so many at each point, at least.
const LIMIT_MIN: usize = 64;

/// How deep a crash may happen in the recovery from a crash.
const DEPTH_MAX: usize = 3;

type Script = fn(&mut Run);

const SCRIPTS: &[(&str, Script)] = &[
    // The longest first, so that both threads end at about the same time.
    ("blocks", blocks),
    ("full", full),
    ("os", os),
    ("buffered", buffered),
    ("modes_in_turn", modes_in_turn),
    ("batches_full", |run| batches(run, Durability::Full)),
    ("batches_os", |run| batches(run, Durability::Os)),
    ("large_batches", large_batches),
    ("chunks_full", |run| chunks(run, Durability::Full)),
    ("chunks_os", |run| chunks(run, Durability::Os)),
    ("chunks_buffered", |run| chunks(run, SMALL_BUFFER)),
    ("record_batches_full", |run| record_batches(run, Durability::Full)),
    ("record_batches_os", |run| record_batches(run, Durability::Os)),
    ("record_batches_buffered", |run| record_batches(run, SMALL_BUFFER)),
    ("raw_record_batches", raw_record_batches),
    ("seals_full", |run| seals(run, Durability::Full)),
    ("seals_os", |run| seals(run, Durability::Os)),
    ("seals_buffered", |run| seals(run, SMALL_BUFFER)),
    ("large_values_full", |run| large_values(run, Durability::Full)),
    ("large_values_buffered", |run| large_values(run, SMALL_BUFFER)),
    ("checkpoints_os", checkpoints_os),
    ("checkpoints_full", checkpoints_full),
    ("close_and_reopen", close_and_reopen),
    ("kills", kills),
    ("compact_full", |run| compactions(run, Durability::Full)),
    ("compact_os", |run| compactions(run, Durability::Os)),
    ("compact_buffered", |run| compactions(run, SMALL_BUFFER)),
    ("optimize_full", |run| optimizations(run, Durability::Full)),
    ("optimize_os", |run| optimizations(run, Durability::Os)),
    ("optimize_buffered", |run| optimizations(run, SMALL_BUFFER)),
    ("retain_full", |run| retentions(run, Durability::Full)),
    ("retain_os", |run| retentions(run, Durability::Os)),
    ("retain_buffered", |run| retentions(run, SMALL_BUFFER)),
    ("no_space_full", |run| no_space(run, Durability::Full)),
    ("no_space_os", |run| no_space(run, Durability::Os)),
    ("no_space_buffered", |run| no_space(run, SMALL_BUFFER)),
    ("short_of_the_padding", short_of_the_padding),
    ("failed_sync_clean", |run| failed_sync(run, FailedPages::Clean)),
    ("failed_sync_revert", |run| failed_sync(run, FailedPages::Revert)),
    ("failed_sync_vanish", |run| failed_sync(run, FailedPages::Vanish)),
    ("threads", threads),
];

fn full(run: &mut Run) {
    run.open(Durability::Full);
    for round in 0..4 {
        run.put("a");
        run.put_number("n");
        run.batch(2);
        if round == 2 {
            run.delete("a");
        }
    }
    run.close();
}

fn os(run: &mut Run) {
    run.open(Durability::Os);
    for round in 0..5 {
        for _ in 0..6 {
            run.put_number("n");
            run.put("a");
        }
        if round % 2 == 1 {
            run.sync();
            // The first entry after a sync, and one more.
            run.put("s");
        }
        run.delete("a");
    }
    let offset = run.put("a");
    run.db().wait_durable(offset).unwrap();
    run.mark_durable();
    run.put("a");
    run.close();
}

fn buffered(run: &mut Run) {
    run.open(SMALL_BUFFER);
    for round in 0..6 {
        for _ in 0..40 {
            run.put_number("n");
        }
        run.put("a");
        match round {
            1 => run.flush(),
            2 | 4 => run.sync(),
            3 => run.batch(3),
            _ => {}
        }
    }
    run.close();
}

fn modes_in_turn(run: &mut Run) {
    let modes = [Durability::Os, Durability::Full, SMALL_BUFFER, Durability::Full, Durability::Os];
    for (round, mode) in modes.into_iter().enumerate() {
        run.open_after_loss(mode);
        for _ in 0..5 {
            run.put("a");
            run.put_number("n");
        }
        if round % 2 == 1 {
            run.sync();
            run.put("a");
        }
        run.batch(3);
        if round == 2 {
            run.close();
        } else {
            run.kill();
        }
    }
}

fn batches(run: &mut Run, durability: Durability) {
    run.open(durability);
    for round in 0..6 {
        run.batch(1);
        run.batch(2);
        run.batch(17);
        run.put("a");
        if round == 3 {
            run.sync();
        }
    }
}

fn large_batches(run: &mut Run) {
    run.open(Durability::Os);
    run.put("a");
    run.batch(1000);
    run.sync();
    run.batch(1000);
    run.put("a");
    run.reopen(Durability::Full);
    run.batch(1000);
    run.put("a");
}

fn chunks(run: &mut Run, durability: Durability) {
    run.open(durability);
    for rows in [32, 100, 31, 64] {
        run.put("a");
        run.bulk("c", rows);
        run.put_number("c");
    }
    run.sync();
    run.bulk("c", 700);
    run.delete("c");
    run.bulk("c", 40);
    run.put("a");
}

/// Batches with a few rows of some keys and many of others, which are sealed in between.
fn record_batches(run: &mut Run, durability: Durability) {
    run.tail_budget_bytes = 4096;
    run.open(durability);
    for rows in [3, 70, 200] {
        run.put("a");
        run.write(&["c", "d", "c", "c"], rows);
        run.put_number("d");
    }
    run.sync();
    run.write(&["c", "e"], 400);
    run.delete("c");
    run.write(&["c", "d"], 90);
    run.write_wide("w", 60);
    run.put("a");
}

/// Columns that are written from where they lie, several of them in one commit.
fn raw_record_batches(run: &mut Run) {
    run.encoded = false;
    run.open(Durability::Os);
    run.put("a");
    run.write_wide("w", 8_200);
    run.write(&["c", "d"], 16_400);
    run.sync();
    run.write_wide("w", 40);
    run.write_wide("w", 8_200);
    run.put("w");
    run.close();
}

fn blocks(run: &mut Run) {
    run.open(Durability::Os);
    run.put("a");
    run.bulk("c", 8192);
    run.put("a");
    run.sync();
    run.bulk("c", 9000);
    run.put("c");
    run.close();
}

/// Tails are sealed all the time.
fn seals(run: &mut Run, durability: Durability) {
    run.tail_budget_bytes = 1024;
    run.open(durability);
    for round in 0..100 {
        run.put_number("n");
        run.put_number("m");
        if round % 25 == 24 {
            run.batch(2);
            run.put("n");
        }
        if round == 60 {
            run.delete("m");
            run.sync();
        }
    }
    run.close();
}

fn large_values(run: &mut Run, durability: Durability) {
    run.open(durability);
    run.put("a");
    run.put_large("l");
    run.put_number("a");
    run.put_large("l");
    run.flush();
    run.put("l");
    run.sync();
    run.put_large("l");
    run.put("a");
    run.close();
}

fn checkpoints_os(run: &mut Run) {
    run.open(Durability::Os);
    for round in 0..4 {
        for _ in 0..12 {
            run.put("a");
            run.put_number("n");
        }
        run.checkpoint();
        run.put("a");
        if round == 1 {
            run.sync();
        }
        // The keeper writes the slots once a second.
        if round >= 2 {
            run.wait_for_slot();
        }
    }
}

fn checkpoints_full(run: &mut Run) {
    run.open(Durability::Full);
    for _ in 0..3 {
        run.put("a");
        run.checkpoint();
        run.put_number("n");
        run.put("a");
    }
    run.reopen(Durability::Os);
    run.put("a");
    run.checkpoint();
    run.reopen(Durability::Full);
    run.put("a");
}

fn close_and_reopen(run: &mut Run) {
    run.open(Durability::Os);
    for mode in [Durability::Full, SMALL_BUFFER, Durability::Os, Durability::Full] {
        run.put("a");
        run.batch(2);
        run.reopen(mode);
    }
    run.reopen(Durability::Full);
    run.bulk("c", 40);
    run.close();
    run.open(Durability::Full);
    run.close();
}

fn kills(run: &mut Run) {
    for mode in [Durability::Full, Durability::Os, SMALL_BUFFER, Durability::Full] {
        run.open_after_loss(mode);
        for _ in 0..3 {
            run.put("a");
            run.batch(2);
        }
        run.kill();
    }
    run.open_after_loss(Durability::Full);
    run.put("a");
}

fn compactions(run: &mut Run, durability: Durability) {
    run.open(durability);
    for round in 0..3 {
        for _ in 0..4 {
            run.put("a");
            run.put_number("n");
        }
        run.bulk("c", 40);
        if round == 1 {
            run.delete("n");
        }
        run.compact();
        run.put("a");
        run.sync();
        run.put("n");
    }
    run.close();
    run.open(durability);
    run.put("a");
}

/// Histories of every form are rewritten, more is appended to each, and again.
fn optimizations(run: &mut Run, durability: Durability) {
    run.tail_budget_bytes = 2048;
    run.open(durability);
    for round in 0..3 {
        for _ in 0..40 {
            run.put_number("n");
        }
        run.put("a");
        run.bulk("c", 100);
        run.put_large("l");
        run.put("l");
        if round == 1 {
            run.bulk("c", 8200);
            run.delete("a");
        }
        run.optimize();
        run.put("a");
        run.batch(2);
        run.sync();
        run.put("n");
    }
    run.close();
    run.open(durability);
    run.put("c");
    run.optimize();
    run.bulk("c", 40);
}

/// Histories begin at later rows, and some are gone.
fn retentions(run: &mut Run, durability: Durability) {
    run.open(durability);
    for rows in [50, 5, 1] {
        for _ in 0..10 {
            run.put_number("n");
            run.put("a");
        }
        run.bulk("c", 100);
        run.bulk("d", 40);
        run.retain("c", rows);
        run.put("c");
        run.retain("d", 0);
        run.put("d");
        run.sync();
        run.put_large("l");
        run.put("n");
    }
    run.retain("l*", 1);
    run.put("l");
    run.reopen(durability);
    run.retain("*", 2);
    run.put("a");
    run.close();
}

/// Bytes that do not compress.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SplitMix64::new(seed.into()).fill(&mut bytes);
    bytes
}

/// The disk fills up in the middle of batches; what failed never comes back.
fn no_space(run: &mut Run, durability: Durability) {
    // Never enough to preallocate.
    run.storage.set_space_limit(Some(64 << 10));
    run.open(durability);
    run.put("a");
    for round in 0..6_usize {
        run.put_number("n");
        run.sync();
        run.put("a");
        let used = run.storage.image().content(PATH).unwrap().len();
        run.storage.set_space_limit(Some(used + round as u64 * 260));
        let atom = Atom::Bytes(noise(round as u8, 200));
        let changes: Vec<Change> =
            (0..8 + round).map(|i| Change::Put(format!("f{i}"), atom.clone())).collect();
        match run.try_batch(&changes) {
            // In the buffer, which cannot be written out as long as there is no room.
            Ok(()) if durability == SMALL_BUFFER => {
                run.db().flush().unwrap_err();
                run.put("a");
            }
            Err(SynaError::Io { source, .. }) if durability != SMALL_BUFFER => {
                assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
        if round % 2 == 1 {
            // What stands alone is written at once, with what was in the buffer before it.
            let begun = run.db().append("l", noise(7, 70_000));
            begun.unwrap_err();
        }
        run.storage.set_space_limit(Some(used + (32 << 10)));
        run.put("a");
        run.put_number("n");
        run.flush();
    }
    run.sync();
    run.put("a");
}

/// Everything of a commit but its padding is written when the disk is full.
fn short_of_the_padding(run: &mut Run) {
    run.open(Durability::Os);
    run.put("a");
    for _ in 0..5 {
        run.sync();
        run.begin();
        // 24 + 1 + 12 bytes and 3 of padding.
        let plan = FaultPlan::new().short_write(1, support::fault::Times::Once, 37).fail(
            support::fault::Operation::Write,
            2,
            support::fault::Times::Once,
            libc::ENOSPC,
        );
        run.storage.set_plan(plan);
        run.db().append_at("n", 77, 1.5).unwrap_err();
        run.storage.set_plan(FaultPlan::new());
        // Until the error was returned the commit may be there; from then on never again.
        let before = run.history.last().clone();
        let mut failed = before.clone();
        failed.push("n", 77, Atom::Float(1.5));
        run.history.push(failed);
        run.begin();
        run.history.push(before);
        run.mark_durable();
        run.put("longer than the one that failed");
        run.put("a");
    }
}

fn failed_sync(run: &mut Run, pages: FailedPages) {
    for mode in [Durability::Full, Durability::Os, SMALL_BUFFER] {
        run.open_after_loss(mode);
        run.put("a");
        run.batch(2);
        run.sync();
        run.put_number("n");
        run.put("a");
        run.flush();
        let plan = FaultPlan::new().fail_sync(1, support::fault::Times::Once, libc::EIO, pages);
        run.storage.set_plan(plan);
        run.storage.mark("lost", 0);
        let before = run.history.last().clone();
        if mode == Durability::Full {
            // The outcome is unknown until the next opening.
            run.begin();
            run.db().append_at("x", 5, 5).unwrap_err();
            let mut content = before;
            content.push("x", 5, Atom::Int(5));
            run.history.push(content);
        } else {
            run.db().sync().unwrap_err();
        }
        run.storage.set_plan(FaultPlan::new());
        assert!(matches!(run.db().append("a", 1), Err(SynaError::Poisoned { .. })));
        assert!(run.db.take().unwrap().close().is_err());
    }
    run.open_after_loss(Durability::Full);
    run.put("a");
    run.batch(2);
    run.put("a");
}

/// Four threads form groups.
fn threads(run: &mut Run) {
    run.open(Durability::Full);
    let count = 24_u64;
    let base = run.history.end();
    let done: Mutex<Vec<(u64, u64, String)>> = Mutex::default();
    run.storage.mark("begun", u64::MAX);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, storage, done) = (run.db().clone(), run.storage.clone(), &done);
            scope.spawn(move || {
                let key = format!("t{thread}");
                for i in 0..count {
                    let number = thread * count + i;
                    let offset = db.append_at(&key, number as i64, number as i64).unwrap();
                    storage.mark("thread", number);
                    done.lock().push((offset, number, key.clone()));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort();
    for (_, number, key) in &done {
        let mut content = run.history.last().clone();
        content.push(key, *number as i64, Atom::Int(*number as i64));
        run.history.push(content);
    }
    // Only now it is known which state each acknowledgement stands for.
    let states = done.iter().zip(base + 1..).map(|((_, number, _), state)| (*number, state));
    run.renumber("thread", "durable", &states.collect());
    run.mark_durable();
    run.put("a");
}

/// What is asked of a state.
struct Demand<'h> {
    history: &'h History,
    /// The state must be one of these numbers.
    lower: u64,
    upper: u64,
    /// There was a database already.
    created: bool,
}

/// Counts over all scripts.
#[derive(Default)]
struct Counts {
    states: AtomicUsize,
    nested: AtomicUsize,
    violations: Mutex<Vec<String>>,
}

/// Examines one script.
struct Examiner<'c> {
    script: &'static str,
    counts: &'c Counts,
    /// States this script may still use.
    left: usize,
}

impl Examiner<'_> {
    /// Tries states at every point of a trace, `budget` in all, those within recoveries not counted.
    fn explore(&mut self, trace: &Trace, history: &History, seed: u64, budget: usize) {
        let mut rng = SplitMix64::new(seed ^ 0xC0FFEE);
        // With fewer states than points some points are left out, others each time.
        let points = crash_points(trace);
        let every = points.len().div_ceil(budget.max(1));
        let points: Vec<usize> = points.into_iter().skip(rng.below(every)).step_by(every).collect();
        let mut crashes = CrashStates::new(trace, seed);
        // So many at each point that has them that the sum is the budget.
        let mut limit = budget.div_ceil(points.len()).max(1);
        for _ in 0..64 {
            let lens = points.iter().map(|point| crashes.states_at(*point, limit).len());
            let lens: Vec<usize> = lens.collect();
            if lens.iter().sum::<usize>() >= budget || lens.iter().all(|len| *len < limit) {
                break;
            }
            limit += limit.div_ceil(4);
        }
        for point in points {
            let mark =
                |name| trace.marks_before(point).filter(move |m| m.name == name).map(|m| m.number);
            let demand = Demand {
                history,
                lower: mark("durable").max().unwrap_or(0),
                upper: mark("begun").max().unwrap_or(0).min(history.end()),
                created: mark("created").next().is_some(),
            };
            // What a kill leaves holds more than what a power loss does.
            let killed = crashes.killed_at(point);
            let since_loss = trace.marks_before(point).rev().take_while(|m| m.name != "lost");
            let written = since_loss.filter(|m| m.name == "written").map(|m| m.number).max();
            let written = written.unwrap_or(0).max(demand.lower);
            let demand_killed = Demand { lower: written.min(history.end()), ..demand };
            self.examine(&killed, &demand_killed, &mut rng, 0, "killed");
            // The first states are the corners: with few states, some of more.
            let among = limit.max(LIMIT_MIN);
            let states = crashes.states_at(point, among);
            for number in 0..limit.min(states.len()) {
                let number = if limit < states.len() { rng.below(states.len()) } else { number };
                let Some(image) = states.state(number) else { break };
                self.examine(&image, &demand, &mut rng, 0, "power loss");
            }
        }
    }

    fn examine(
        &mut self,
        image: &DiskImage,
        demand: &Demand<'_>,
        rng: &mut SplitMix64,
        depth: usize,
        how: &str,
    ) {
        self.left = self.left.saturating_sub(1);
        self.counts.states.fetch_add(1, Ordering::Relaxed);
        self.counts.nested.fetch_add(usize::from(depth > 0), Ordering::Relaxed);
        let checked =
            std::panic::catch_unwind(AssertUnwindSafe(|| self.check(image, demand, rng, depth)));
        let complaint = match checked {
            Ok(Ok(())) => return,
            Ok(Err(complaint)) => complaint,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                text.unwrap_or_else(|| "a panic".to_owned())
            }
        };
        self.counts
            .violations
            .lock()
            .push(format!("{}, {how}, depth {depth}: {complaint}\n{image}", self.script));
    }

    fn check(
        &mut self,
        image: &DiskImage,
        demand: &Demand<'_>,
        rng: &mut SplitMix64,
        depth: usize,
    ) -> Result<(), String> {
        if demand.created && image.content(PATH).is_none() {
            return Err("the database is gone".to_owned());
        }
        let mode = *rng.pick(&[Durability::Full, Durability::Os, SMALL_BUFFER]);
        let config = DbConfig::default().with_durability(mode);
        let (storage, db) =
            open_image(image, config.clone()).map_err(|error| format!("opening: {error}"))?;
        let content = Content::of(&db).map_err(|error| format!("reading: {error}"))?;
        let Demand { history, lower, upper, .. } = *demand;
        let Some(number) = history.find(&content, upper) else {
            return Err(format!("no prefix of the commits up to {upper}: {}", describe(&content)));
        };
        if number < lower {
            return Err(format!("state {number}, but {lower} was acknowledged as durable"));
        }
        if rng.chance(1, 8) {
            db.verify().map_err(|error| format!("verifying: {error}"))?;
        }
        if rng.chance(1, 8) && image.content(PATH).is_some_and(|content| content.len() > 0) {
            check_reader(image, &content)?;
        }
        // Opening once more, after a kill: what was recovered stays.
        let recovered = kill(&storage, db);
        if recovered.files().any(|(path, _)| is_temporary(path)) {
            return Err("a temporary file is left".to_owned());
        }
        let mut run = Run::on(recovered.into_storage(), content);
        run.durability = mode;
        self.go_on(&mut run)?;
        if depth < DEPTH_MAX && rng.chance(1, if depth == 0 { 12 } else { 3 }) {
            self.crash_recovery(image, &run.history.state(0).clone(), rng, depth + 1);
        }
        Ok(())
    }

    /// Two more commits, and opening again.
    fn go_on(&mut self, run: &mut Run) -> Result<(), String> {
        let mode = run.durability;
        let text = |error: SynaError| format!("going on: {error}");
        let db = run.try_open().map_err(text)?;
        if &Content::of(&db).map_err(text)? != run.history.last() {
            return Err("a second opening shows something else".to_owned());
        }
        run.db = Some(db);
        run.put_number("after");
        run.batch(3);
        if mode == Durability::Full {
            run.kill();
        } else {
            run.db.take().unwrap().close().map_err(text)?;
        }
        let db = run.try_open().map_err(text)?;
        let content = Content::of(&db).map_err(text)?;
        let _ = kill(&run.storage, db);
        if &content == run.history.last() {
            Ok(())
        } else {
            Err(format!("commits after the recovery are lost: {}", describe(&content)))
        }
    }

    /// Crashes the recovery of an image, the commits after it and the close.
    fn crash_recovery(
        &mut self,
        image: &DiskImage,
        content: &Content,
        rng: &mut SplitMix64,
        depth: usize,
    ) {
        let mut run = Run::on(image.clone().into_storage(), content.clone());
        let mode = *rng.pick(&[Durability::Full, Durability::Os]);
        run.open(mode);
        run.put("after");
        run.batch(2);
        run.close();
        let trace = run.storage.trace();
        let points = crash_points(&trace);
        let mut crashes = CrashStates::new(&trace, rng.next_u64());
        // Most of all in the recovery itself.
        let opened = trace.events.iter().position(|event| matches!(event, Event::Mark(_)));
        let in_recovery = points.iter().filter(|p| Some(**p) <= opened).count();
        for _ in 0..2 {
            let among = if rng.chance(2, 3) { in_recovery.max(1) } else { points.len() };
            let point = points[rng.below(among)];
            let mark = |name| trace.last_mark(name, point);
            let demand = Demand {
                history: &run.history,
                lower: mark("durable").unwrap_or(0),
                upper: mark("begun").unwrap_or(0),
                created: image.content(PATH).is_some(),
            };
            let wanted = rng.below(24);
            let states = crashes.states_at(point, 24);
            let Some(state) = states.state(wanted).or_else(|| states.state(0)) else { continue };
            self.examine(&state, &demand, rng, depth, "in the recovery");
        }
    }
}

fn check_reader(image: &DiskImage, expected: &Content) -> Result<(), String> {
    let storage = Arc::new(image.clone().into_storage());
    let text = |error: SynaError| format!("read-only: {error}");
    let db = SynaDB::read_only_with_storage(storage, PATH, DbConfig::default()).map_err(text)?;
    let found = Content::of(&db).map_err(text)?;
    if &found == expected { Ok(()) } else { Err("a reader sees something else".to_owned()) }
}

fn describe(content: &Content) -> String {
    let rows: Vec<String> =
        content.keys.iter().take(12).map(|(key, state)| format!("{key}: {}", state.rows)).collect();
    format!("{} keys, {}", content.keys.len(), rows.join(", "))
}

fn is_temporary(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".syna-tmp")
}

/// The points that differ in what the disk may hold, each with as many marks as there are.
fn crash_points(trace: &Trace) -> Vec<usize> {
    let changes = |event: &Event| {
        !matches!(
            event,
            Event::Mark(_)
                | Event::Lock { .. }
                | Event::Unlock { .. }
                | Event::SyncStart { .. }
                | Event::FolderSyncStart { .. }
        )
    };
    trace.points().filter(|point| trace.events.get(*point).is_none_or(changes)).collect()
}

#[test]
fn every_crash_leaves_a_prefix_with_all_that_was_durable() {
    let budget: usize = std::env::var("SYNADB_CRASH_STATES")
        .map_or(20_000, |count| count.parse().expect("SYNADB_CRASH_STATES is a number"));
    let only = std::env::var("SYNADB_CRASH_SCRIPT").ok();
    let scripts: Vec<_> =
        SCRIPTS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect();
    let mut rng = SplitMix64::announced("crash", 0x5EED_0001);
    let seed = rng.next_u64();
    let counts = Counts::default();
    let next = AtomicUsize::new(0);
    let share = budget.div_ceil(scripts.len());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, script)) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = std::time::Instant::now();
                    let mut run = Run::new();
                    if std::panic::catch_unwind(AssertUnwindSafe(|| script(&mut run))).is_err() {
                        // What it asserts of the running store does not hold.
                        counts.violations.lock().push(format!("the script {name} itself fails"));
                        continue;
                    }
                    if let Some(db) = run.db.take() {
                        kill(&run.storage, db);
                    }
                    let trace = run.trace();
                    let mut examiner = Examiner { script: name, counts: &counts, left: share };
                    // As long as there are states left over: other ones, by another seed.
                    for round in 0.. {
                        if examiner.left == 0 {
                            break;
                        }
                        // Others come from crashes within recoveries.
                        let budget = (examiner.left * 3).div_ceil(4);
                        examiner.explore(&trace, &run.history, seed ^ round, budget);
                    }
                    println!(
                        "{name}: {} points, {:.1} s",
                        crash_points(&trace).len(),
                        started.elapsed().as_secs_f64()
                    );
                }
            });
        }
    });
    let violations = counts.violations.into_inner();
    for violation in violations.iter().take(20) {
        println!("{violation}");
    }
    println!("nested: {}", counts.nested.into_inner());
    println!("states: {}", counts.states.into_inner());
    println!("violations: {}", violations.len());
    assert!(violations.is_empty(), "the first of {}: {}", violations.len(), violations[0]);
}
