//! Opening after damage, torn writes and failed calls: what is torn is cut and reported, what is
//! damaged is refused and left alone, and a call that failed leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "helpers of tests panic as tests do"
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use support::content::Content as Bytes;
use support::crash_states::CrashStates;
use support::disk_image::DiskImage;
use support::fault::{Effect, FailedPages, FaultPlan, Operation, Target, Times};
use support::rng::SplitMix64;
use support::run::{Change, Content, PATH, Run, SMALL_BUFFER, kill, open_image};
use support::simulated::SimulatedStorage;
use synadb::storage::Storage;
use synadb::{Atom, Create, DbConfig, Durability, RecoveryReport, SynaDB, SynaError};

const LOG_START: usize = 12_288;
const TORN: &str = "/db.syna.torn";

/// The layout of the file as far as damage is made by hand; see `src/format`.
mod layout {
    use super::LOG_START;

    pub const PUT: u8 = 1;
    pub const CHUNK: u8 = 3;
    pub const COMMIT: u8 = 4;
    pub const CHECKPOINT: u8 = 5;
    pub const IN_BATCH: u8 = 8;
    pub const AFTER_SYNC: u8 = 16;

    #[derive(Debug, Clone, Copy)]
    pub struct Entry {
        pub offset: usize,
        pub len: usize,
        pub kind: u8,
        pub flags: u8,
        pub key_len: usize,
        pub val_len: usize,
    }

    impl Entry {
        pub fn end(&self) -> usize {
            self.offset + self.len
        }

        pub fn value(&self) -> std::ops::Range<usize> {
            let start = self.offset + 24 + self.key_len;
            start..start + self.val_len
        }

        pub fn commits(&self) -> bool {
            self.flags & IN_BATCH == 0
        }
    }

    /// The entries of an undamaged log.
    pub fn entries(bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut offset = LOG_START;
        while offset + 24 <= bytes.len() && bytes[offset + 8] != 0 {
            let key_len = usize::from(u16::from_le_bytes([bytes[offset + 17], bytes[offset + 18]]));
            let val_len = u32::from_le_bytes(bytes[offset + 19..offset + 23].try_into().unwrap());
            let val_len = val_len as usize;
            let len = (24 + key_len + val_len).next_multiple_of(8);
            let (kind, flags) = (bytes[offset + 8], bytes[offset + 23]);
            entries.push(Entry { offset, len, kind, flags, key_len, val_len });
            offset += len;
        }
        entries
    }

    /// Gives the entry at `offset` (no chunk) the checksums that it should have behind an entry
    /// that ends with `previous`; returns its own `head_crc`.
    pub fn sign(bytes: &mut [u8], offset: usize, previous: u32) -> u32 {
        let entry = entries_at(bytes, offset);
        let salted = crc32c::crc32c_append(crc32c::crc32c(&bytes[40..56]), &offset.to_le_bytes());
        let body = crc32c::crc32c_append(salted, &bytes[offset + 8..entry.end()]);
        bytes[offset + 4..offset + 8].copy_from_slice(&body.to_le_bytes());
        let head = crc32c::crc32c(&previous.to_le_bytes());
        let head = crc32c::crc32c_append(head, &bytes[offset + 4..offset + 24 + entry.key_len]);
        bytes[offset..offset + 4].copy_from_slice(&head.to_le_bytes());
        head
    }

    fn entries_at(bytes: &[u8], offset: usize) -> Entry {
        let key_len = usize::from(u16::from_le_bytes([bytes[offset + 17], bytes[offset + 18]]));
        let val_len =
            u32::from_le_bytes(bytes[offset + 19..offset + 23].try_into().unwrap()) as usize;
        let len = (24 + key_len + val_len).next_multiple_of(8);
        Entry { offset, len, kind: bytes[offset + 8], flags: bytes[offset + 23], key_len, val_len }
    }

    pub fn head_crc(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    /// A slot page's fields: epoch, durable_len, head_crc, checkpoint, suspect_from.
    pub fn slot(bytes: &[u8], page: usize) -> [u64; 5] {
        let at = |i: usize| {
            u64::from_le_bytes(bytes[page * 4096 + i..page * 4096 + i + 8].try_into().unwrap())
        };
        [at(0), at(8), at(16) & 0xFFFF_FFFF, at(24), at(32)]
    }

    /// Changes a slot page and signs it.
    pub fn set_slot(bytes: &mut [u8], page: usize, fields: [u64; 5]) {
        let at = page * 4096;
        for (index, field) in fields.into_iter().enumerate() {
            bytes[at + index * 8..at + index * 8 + 8].copy_from_slice(&field.to_le_bytes());
        }
        let salted =
            crc32c::crc32c_append(crc32c::crc32c(&bytes[40..56]), &(at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(salted, &bytes[at..at + 40]);
        bytes[at + 40..at + 44].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A log of about twenty entries of every kind that commits, never synced, and its states.
fn unsynced_log() -> (Vec<u8>, Run) {
    log_of(Durability::Os, false)
}

fn log_of(durability: Durability, close: bool) -> (Vec<u8>, Run) {
    let mut run = Run::new();
    run.open(durability);
    for round in 0..3 {
        run.put("a");
        run.put_number("n");
        run.batch(2 + round % 2);
        run.put("b");
        if round == 1 {
            run.bulk("c", 32);
            run.delete("b");
        }
    }
    if close {
        run.close();
    }
    let image = run.storage.image();
    if let Some(db) = run.db.take() {
        kill(&run.storage, db);
    }
    let mut bytes = image.bytes(PATH).unwrap();
    let end = layout::entries(&bytes).last().unwrap().end();
    bytes.truncate(end);
    (bytes, run)
}

fn image_of(bytes: &[u8]) -> DiskImage {
    DiskImage::new().with_file(PATH, bytes)
}

fn open(bytes: &[u8]) -> Result<(SimulatedStorage, SynaDB), SynaError> {
    let config = DbConfig::default().with_create(Create::Never);
    open_image(&image_of(bytes), config.with_durability(Durability::Os))
}

/// Opens, and says what was found.
fn recover(bytes: &[u8]) -> Result<(Content, RecoveryReport, DiskImage), SynaError> {
    let (storage, db) = open(bytes)?;
    let content = Content::of(&db)?;
    let report = db.recovery_report();
    Ok((content, report, kill(&storage, db)))
}

/// Opening must refuse, and change nothing.
fn refuse(bytes: &[u8]) -> SynaError {
    let image = image_of(bytes);
    let storage = image.clone().into_storage();
    let config = DbConfig::default().with_create(Create::Never);
    let error = SynaDB::with_storage(Arc::new(storage.clone()), PATH, config).unwrap_err();
    assert!(storage.image().same_files(&image), "a refused file was changed: {error}");
    error
}

fn refuse_as_corrupt(bytes: &[u8]) -> (usize, usize, Option<usize>) {
    match refuse(bytes) {
        SynaError::Corrupt { offset, last_good, next_good, .. } => {
            (offset as usize, last_good as usize, next_good.map(|next| next as usize))
        }
        error => panic!("{error}"),
    }
}

/// How many commits end at or before an offset.
fn commits_until(entries: &[layout::Entry], offset: usize) -> u64 {
    entries.iter().filter(|entry| entry.commits() && entry.end() <= offset).count() as u64
}

fn commit_before(entries: &[layout::Entry], offset: usize) -> usize {
    let ends = entries.iter().filter(|entry| entry.commits() && entry.end() <= offset);
    ends.map(layout::Entry::end).max().unwrap_or(LOG_START)
}

#[test]
fn a_file_cut_anywhere_keeps_the_commits_before_the_cut_and_takes_new_ones() {
    let (bytes, run) = unsynced_log();
    let entries = layout::entries(&bytes);
    assert!(entries.len() >= 20, "{} entries", entries.len());
    for len in LOG_START..=bytes.len() {
        let cut = &bytes[..len];
        let (content, report, left) = recover(cut).unwrap_or_else(|e| panic!("{len}: {e}"));
        let number = commits_until(&entries, len);
        assert_eq!(&content, run.history.state(number), "cut at {len}");
        let commit = commit_before(&entries, len);
        // Members of a batch count as torn, zeros behind them do not.
        let torn = cut[commit..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let whole = entries.iter().map(layout::Entry::end).filter(|end| *end <= len).max();
        let torn = torn.max(whole.unwrap_or(LOG_START) - commit);
        assert_eq!(report.bytes_cut as usize, torn, "cut at {len}");
        assert_eq!(report.reason.is_some(), torn > 0, "cut at {len}");
        assert_eq!(report.torn_copy, None, "one incomplete entry needs no copy");
        assert_eq!(left.files().count(), 1);
        assert_eq!(report.bytes_scanned as usize, commit - LOG_START);

        let mut after = Run::on(image_of(cut).into_storage(), content);
        let mode = if len % 2 == 0 { Durability::Full } else { Durability::Os };
        after.open(mode);
        for _ in 0..5 {
            after.put("after");
        }
        if len % 3 == 0 {
            after.close();
        } else {
            after.kill();
        }
        after.open(mode);
        assert_eq!(after.db().len("after").unwrap(), 5, "cut at {len}");
        after.kill();
    }
}

#[test]
fn a_file_cut_within_its_pages_is_refused_or_empty() {
    let (bytes, _) = unsynced_log();
    for len in (0..LOG_START).step_by(7).chain(0..80).chain([4095, 4096, 4097, 8191, 8192]) {
        let cut = &bytes[..len];
        match recover(cut) {
            Ok((content, ..)) => {
                assert!(content.keys.is_empty() && len > 4096, "cut at {len}");
                let mut run = Run::on(image_of(cut).into_storage(), content);
                run.open(Durability::Full);
                run.put("a");
                run.reopen(Durability::Full);
            }
            Err(SynaError::NotADatabase { .. }) => assert!(len < 8, "cut at {len}"),
            Err(SynaError::Corrupt { .. }) => assert!(len >= 8, "cut at {len}"),
            Err(error) => panic!("cut at {len}: {error}"),
        }
    }
}

#[test]
fn an_empty_file_becomes_a_database_only_when_one_may_be_created() {
    assert!(matches!(refuse(&[]), SynaError::NotADatabase { .. }));
    let mut run = Run::on(image_of(&[]).into_storage(), Content::default());
    run.open(Durability::Full);
    run.put("a");
    run.reopen(Durability::Full);
    let names: Vec<_> = run.storage.image().files().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(names, [Path::new(PATH)]);
}

#[test]
fn zeros_behind_the_log_are_its_end() {
    let (bytes, run) = unsynced_log();
    for zeros in [1, 2, 7, 8, 23, 24, 25, 511, 512, 513, 4096, 65_536, 1 << 20, 64 << 20] {
        let mut content = Bytes::new(&bytes);
        content.set_len((bytes.len() + zeros) as u64);
        let image = DiskImage::new().with_content(PATH, content);
        let (storage, db) = open_image(&image, DbConfig::default()).unwrap();
        assert_eq!(&Content::of(&db).unwrap(), run.history.last(), "{zeros} zeros");
        let report = db.recovery_report();
        assert_eq!((report.bytes_cut, report.reason), (0, None), "{zeros} zeros");
        kill(&storage, db);
    }
}

#[test]
fn zeros_behind_the_log_are_its_end_in_a_real_file() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, run) = unsynced_log();
    for zeros in [1, 4096, 64 << 20] {
        let path = folder.path().join(format!("{zeros}.syna"));
        std::fs::write(&path, &bytes).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len((bytes.len() + zeros) as u64).unwrap();
        let db = SynaDB::new(&path).unwrap();
        assert_eq!(&Content::of(&db).unwrap(), run.history.last(), "{zeros} zeros");
        assert_eq!(db.recovery_report().bytes_cut, 0);
        db.append("after", 1).unwrap();
        db.close().unwrap();
        let db = SynaDB::new(&path).unwrap();
        assert_eq!(db.len("after").unwrap(), 1);
        assert_eq!(db.keys().unwrap().len(), run.history.last().keys.len() + 1);
    }
}

/// "Only zeros here" must not end the search for what lies behind them (etcd's ZeroToEnd).
#[test]
fn zeros_with_something_behind_them_are_not_the_end() {
    let (bytes, run) = unsynced_log();
    for (zeros, garbage) in [(8, 1), (64, 40), (4096, 512), (100_000, 3)] {
        let mut torn = bytes.clone();
        torn.resize(bytes.len() + zeros, 0);
        torn.resize(bytes.len() + zeros + garbage, 0xA5);
        let (content, report, left) = recover(&torn).unwrap();
        assert_eq!(&content, run.history.last());
        assert_eq!(report.bytes_cut as usize, zeros + garbage);
        assert!(report.reason.is_some());
        assert_eq!(left.content(PATH).unwrap().len() as usize, bytes.len());
    }
}

#[test]
fn a_zeroed_entry_before_a_synced_one_is_damage() {
    let (bytes, _) = log_of(Durability::Full, false);
    let entries = layout::entries(&bytes);
    let marked: Vec<_> =
        entries.iter().filter(|e| e.flags & layout::AFTER_SYNC != 0).copied().collect();
    assert!(marked.len() >= 12, "each group of one thread after the first begins after a sync");
    for entry in &entries {
        let mut damaged = bytes.clone();
        damaged[entry.offset..entry.end()].fill(0);
        let next = marked.iter().find(|marked| marked.offset > entry.offset);
        if next.is_some() {
            let (offset, last_good, next_good) = refuse_as_corrupt(&damaged);
            assert_eq!(offset, entry.offset);
            assert_eq!(last_good, commit_before(&entries, entry.offset));
            let behind = entries.iter().find(|other| other.offset > entry.offset);
            assert_eq!(next_good, behind.map(|other| other.offset));
        } else {
            let (_, report, _) = recover(&damaged).unwrap();
            assert!(entry.offset == entries.last().unwrap().offset || report.bytes_cut > 0);
        }
    }
}

/// Old entries of the same file, at their place and elsewhere, behind new ones.
#[test]
fn stale_entries_behind_the_log_are_not_taken_up() {
    let (bytes, run) = unsynced_log();
    let entries = layout::entries(&bytes);
    for entry in entries.iter().filter(|entry| entry.commits()) {
        // A new history from here on; behind it the disk still holds the old one.
        let number = commits_until(&entries, entry.end());
        let cut = image_of(&bytes[..entry.end()]);
        let mut new = Run::on(cut.into_storage(), run.history.state(number).clone());
        new.open(Durability::Os);
        new.put_atom("new", Atom::Int(-1));
        new.put_atom("new", Atom::Bytes(vec![7; 40]));
        let expected = new.history.last().clone();
        let mut stale = new.storage.image().bytes(PATH).unwrap();
        kill(&new.storage, new.db.take().unwrap());
        let end = layout::entries(&stale).last().unwrap().end();
        stale.truncate(end);
        if end < bytes.len() {
            stale.extend_from_slice(&bytes[end..]);
            let (content, report, left) = recover(&stale).unwrap();
            assert_eq!(content, expected, "stale entries from {end}");
            // Whole commits of the old history: a copy is kept.
            if let Some(path) = &report.torn_copy {
                assert_eq!(left.bytes(path).unwrap(), &bytes[end..]);
            }
        }
        // The same at another place.
        stale.truncate(end);
        stale.extend_from_slice(&bytes[LOG_START..]);
        let (content, report, _) = recover(&stale).unwrap();
        assert_eq!(content, expected);
        assert_eq!(report.torn_copy, None, "nothing there is an entry of this place");
    }
}

#[test]
fn garbage_behind_the_log_is_cut() {
    let (bytes, run) = unsynced_log();
    let mut rng = SplitMix64::announced("garbage_behind_the_log_is_cut", 7);
    for round in 0..300 {
        let mut garbage = vec![0; 1 + rng.below(if round % 10 == 0 { 70_000 } else { 600 })];
        rng.fill(&mut garbage);
        *garbage.last_mut().unwrap() |= 1;
        let mut torn = bytes.clone();
        torn.extend_from_slice(&garbage);
        let (content, report, left) = recover(&torn).unwrap();
        assert_eq!(&content, run.history.last());
        assert_eq!(report.bytes_cut as usize, garbage.len());
        assert_eq!(left.bytes(PATH).unwrap(), bytes);
    }
}

/// A kill in the middle of the write of a chunk leaves the zeros of preallocated space behind what
/// arrived, not a shorter file: the header is good, and says where the chunk would have ended. Taken
/// for a whole commit, it left a copy, and one of more than 128 MiB kept the database from opening.
#[test]
fn a_chunk_torn_in_preallocated_space_is_one_incomplete_entry() {
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    let before = run.history.last().clone();
    let points: Vec<Change> =
        (0..40).map(|i| Change::Put("k".to_owned(), Atom::Int(i64::MAX - i))).collect();
    run.try_batch(&points).unwrap();
    let bytes = run.storage.image().bytes(PATH).unwrap();
    kill(&run.storage, run.db.take().unwrap());
    let chunk = *layout::entries(&bytes).last().unwrap();
    assert_eq!((chunk.kind, chunk.commits()), (layout::CHUNK, true));
    for cut in chunk.offset + 1..chunk.end() - 8 {
        let mut torn = bytes[..cut].to_vec();
        torn.resize(chunk.end() + 4096, 0);
        let (content, report, left) = recover(&torn).unwrap();
        assert_eq!(content, before, "cut at {cut}");
        assert_eq!(report.torn_copy, None, "one incomplete entry needs no copy");
        assert!(report.bytes_cut > 0 && report.bytes_cut <= (cut - chunk.offset) as u64);
        assert_eq!(left.bytes(PATH).unwrap(), bytes[..chunk.offset]);
    }
    // Whole behind a bad entry, it is a commit that goes, and is copied.
    let mut damaged = bytes.clone();
    damaged[layout::entries(&bytes)[0].value().start] ^= 1;
    damaged.resize(chunk.end() + 4096, 0);
    let (_, report, left) = recover(&damaged).unwrap();
    assert_eq!(report.torn_copy.as_deref(), Some(Path::new(TORN)));
    assert!(left.bytes(TORN).unwrap().ends_with(&bytes[chunk.offset..chunk.end()]));
}

#[test]
fn a_batch_torn_anywhere_is_absent() {
    for count in [1, 2, 1000, 65_536] {
        let mut run = Run::new();
        run.open(Durability::Os);
        run.put("a");
        let before = run.history.last().clone();
        let changes: Vec<Change> =
            (0..count).map(|i| Change::Put(format!("k{}", i % 5000), Atom::Int(i))).collect();
        // Half of the keys once only, so that puts and chunks are among the members.
        run.try_batch(&changes).unwrap();
        let bytes = run.storage.image().bytes(PATH).unwrap();
        kill(&run.storage, run.db.take().unwrap());
        let entries = layout::entries(&bytes);
        let last = *entries.last().unwrap();
        let step = (entries.len() / 100).max(1);
        let mut cuts: Vec<usize> = entries[1..].iter().step_by(step).map(|e| e.offset).collect();
        cuts.extend(last.offset..last.end());
        for cut in cuts {
            let (content, ..) = recover(&bytes[..cut]).unwrap();
            assert!(content == before, "batch of {count} cut at {cut}");
        }
        let (content, ..) = recover(&bytes[..last.end()]).unwrap();
        assert!(&content == run.history.last(), "batch of {count}");
    }
}

/// Two batches; what if the commit entry is missing, or another one stands in its place?
#[test]
fn a_batch_counts_only_with_its_own_commit_entry() {
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    let two =
        |value: i64| ["x", "y"].map(|key| Change::Put(key.to_owned(), Atom::Int(value))).to_vec();
    run.try_batch(&two(1)).unwrap();
    run.try_batch(&two(2)).unwrap();
    let mut bytes = run.storage.image().bytes(PATH).unwrap();
    kill(&run.storage, run.db.take().unwrap());
    let entries = layout::entries(&bytes);
    bytes.truncate(entries.last().unwrap().end());
    let commits: Vec<_> = entries.iter().filter(|e| e.kind == layout::COMMIT).collect();
    let [first, second] = commits[..] else { panic!("two commit entries") };

    let mut missing = bytes.clone();
    missing[first.offset..].fill(0);
    let (content, report, _) = recover(&missing).unwrap();
    assert_eq!(&content, run.history.state(1));
    assert_eq!(report.reason, Some("a batch without its commit entry"));
    let (content, ..) = recover(&bytes[..second.offset]).unwrap();
    assert_eq!(&content, run.history.state(2));

    // The bytes of another batch's commit entry belong to another offset.
    let mut copied = bytes[..first.end()].to_vec();
    copied[first.offset..].copy_from_slice(&bytes[second.offset..second.end()]);
    let (content, ..) = recover(&copied).unwrap();
    assert_eq!(&content, run.history.state(1));

    // With checksums made to fit, it is a contradiction that no torn write leaves.
    let previous = layout::head_crc(&bytes, entries[2].offset);
    layout::sign(&mut copied, first.offset, previous);
    let (offset, last_good, _) = refuse_as_corrupt(&copied);
    assert_eq!((offset, last_good), (first.offset, entries[0].end()));
}

/// A flip in an entry that a slot says is durable is never taken for a torn tail.
#[test]
fn a_flip_in_a_closed_file_is_damage() {
    let (bytes, run) = log_of(Durability::Full, true);
    let entries = layout::entries(&bytes);
    let checkpoint = *entries.last().unwrap();
    assert_eq!(checkpoint.kind, layout::CHECKPOINT);
    let mut rng = SplitMix64::announced("a_flip_in_a_closed_file_is_damage", 18);
    for at in LOG_START..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << rng.below(8);
        match open(&damaged) {
            Err(SynaError::Corrupt { .. }) => {
                refuse(&damaged);
            }
            Err(error) => panic!("flip at {at}: {error}"),
            Ok((storage, db)) => {
                // The checkpoint spares opening the entries before it.
                assert_eq!(db.recovery_report().bytes_cut, 0, "flip at {at}");
                match Content::of(&db) {
                    Ok(content) => assert_eq!(&content, run.history.last(), "flip at {at}"),
                    Err(error) => assert!(matches!(error, SynaError::Corrupt { .. }), "{error}"),
                }
                let error = db.verify().expect_err("verify reads everything");
                assert!(matches!(error, SynaError::Corrupt { .. }), "flip at {at}: {error}");
                kill(&storage, db);
            }
        }
    }
    // The last point, and no checkpoint that speaks for it.
    let mut damaged = bytes;
    for page in [1, 2] {
        let mut slot = layout::slot(&damaged, page);
        slot[3] = 0;
        layout::set_slot(&mut damaged, page, slot);
    }
    let last = entries.iter().rfind(|entry| entry.kind == layout::PUT).unwrap();
    damaged[last.value().start] ^= 1;
    assert_eq!(refuse_as_corrupt(&damaged).0, last.offset);
}

/// The documented limit: what was never synced cannot be told from a torn write.
#[test]
fn a_flip_in_the_last_unsynced_entry_is_cut_and_reported() {
    let (bytes, run) = unsynced_log();
    let entries = layout::entries(&bytes);
    let last = *entries.last().unwrap();
    for at in last.offset..last.end() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let (content, report, left) = recover(&damaged).unwrap();
        assert_eq!(&content, run.history.state(run.history.end() - 1));
        assert!(report.bytes_cut as usize <= last.len && report.bytes_cut > 16, "{report:?}");
        assert!(report.reason.is_some());
        assert_eq!(left.content(PATH).unwrap().len() as usize, last.offset);
    }
}

#[test]
fn one_slot_is_enough_and_the_newer_one_wins() {
    let (bytes, run) = log_of(Durability::Full, true);
    for page in [1, 2] {
        let mut damaged = bytes.clone();
        damaged[page * 4096 + 3] ^= 1;
        let mut again = Run::on(image_of(&damaged).into_storage(), run.history.last().clone());
        again.open(Durability::Full);
        again.put("a");
        again.reopen(Durability::Full);
        again.put("a");
        again.close();
        // Both have been written again.
        let repaired = again.storage.image().bytes(PATH).unwrap();
        let other = if page == 1 { 2 } else { 1 };
        let mut only_this = repaired.clone();
        only_this[other * 4096 + 3] ^= 1;
        let (content, ..) = recover(&only_this).unwrap();
        assert_eq!(&content, again.history.last(), "slot {page} was not repaired");
    }
    // They disagree: the newer one knows that the last commit is durable, the older one does not.
    let [a, b] = [layout::slot(&bytes, 1), layout::slot(&bytes, 2)];
    assert_ne!(a[0], b[0]);
    let (newer, older) = if a[0] > b[0] { (1, 2) } else { (2, 1) };
    let entries = layout::entries(&bytes);
    let mut damaged = bytes;
    let last = *entries.last().unwrap();
    damaged[last.offset] ^= 1;
    assert_eq!(refuse_as_corrupt(&damaged).0, last.offset);
    damaged[newer * 4096] ^= 1;
    damaged[older * 4096 + 1] ^= 0;
    let (content, report, _) = recover(&damaged).unwrap();
    assert_eq!(&content, run.history.last(), "the last entry is a checkpoint");
    assert!(report.bytes_cut > 0);
}

#[test]
fn without_any_slot_the_file_is_refused_and_salvage_works() {
    let (mut bytes, run) = log_of(Durability::Full, true);
    bytes[4096 + 8] ^= 1;
    bytes[8192 + 8] ^= 1;
    assert_eq!(refuse_as_corrupt(&bytes).0, 4096);
    let storage: Arc<dyn Storage> = Arc::new(image_of(&bytes).into_storage());
    let copy = Path::new("/copy.syna");
    synadb::salvage_storage(&storage, Path::new(PATH), copy, &mut |_| {}).unwrap();
    let db = SynaDB::with_storage(storage, copy, DbConfig::default()).unwrap();
    assert_eq!(&Content::of(&db).unwrap(), run.history.last());
}

/// A checkpoint only saves time: with any doubt the log itself decides.
#[test]
fn a_checkpoint_that_cannot_be_used_is_ignored() {
    let foreign = log_of(Durability::Full, true).0;
    let foreign_checkpoint = *layout::entries(&foreign).last().unwrap();
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    run.put_number("n");
    // Bytes of another file's checkpoint, as a value.
    let stolen = foreign[foreign_checkpoint.offset..foreign_checkpoint.end()].to_vec();
    run.put_atom("b", Atom::Bytes(stolen));
    run.checkpoint();
    run.put("a");
    run.bulk("c", 40);
    run.close();
    let bytes = run.storage.image().bytes(PATH).unwrap();
    let entries = layout::entries(&bytes);
    let checkpoints: Vec<_> = entries.iter().filter(|e| e.kind == layout::CHECKPOINT).collect();
    let [stale, newest] = checkpoints[..] else { panic!("two checkpoints") };
    let with_slots = |change: &dyn Fn(&mut [u64; 5])| {
        let mut changed = bytes.clone();
        for page in [1, 2] {
            let mut slot = layout::slot(&changed, page);
            change(&mut slot);
            layout::set_slot(&mut changed, page, slot);
        }
        changed
    };
    let (content, report, _) = recover(&bytes).unwrap();
    assert!(report.from_checkpoint && &content == run.history.last());

    // An older one is as good, with more to read.
    let (content, report, _) = recover(&with_slots(&|slot| slot[3] = stale.offset as u64)).unwrap();
    assert!(report.from_checkpoint && &content == run.history.last());

    // Not a checkpoint; another file's within a value; not even in the file.
    let value_of_b = entries[2].value();
    let within_value = value_of_b.end - foreign_checkpoint.len;
    for offset in [entries[0].offset, entries[1].offset + 8, within_value, 1 << 40] {
        let (content, report, _) = recover(&with_slots(&|slot| slot[3] = offset as u64)).unwrap();
        assert!(!report.from_checkpoint, "checkpoint at {offset}");
        assert_eq!(&content, run.history.last(), "checkpoint at {offset}");
    }

    // Beyond what is durable: the entries before it may be missing.
    let (content, report, _) = recover(&with_slots(&|slot| slot[1] = LOG_START as u64)).unwrap();
    assert!(!report.from_checkpoint && &content == run.history.last());

    // Damaged.
    for at in newest.value() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let (content, report, _) = recover(&damaged).unwrap();
        assert!(!report.from_checkpoint && report.bytes_cut == 0, "flip at {at}");
        assert_eq!(&content, run.history.last(), "flip at {at}");
    }
}

/// Above 16 MiB an image of the index is a batch of entries.
#[test]
fn a_checkpoint_of_several_pieces_counts_whole_or_not() {
    let mut run = Run::new();
    run.open(Durability::Os);
    // Keys count most in an image.
    let key = |i: i64| format!("{i:02000}");
    let changes: Vec<Change> = (0..9000).map(|i| Change::Put(key(i), Atom::Int(i))).collect();
    run.try_batch(&changes).unwrap();
    run.put("a");
    run.checkpoint();
    let bytes = run.storage.image().bytes(PATH).unwrap();
    let entries = layout::entries(&bytes);
    let pieces: Vec<_> = entries.iter().filter(|e| e.kind == layout::CHECKPOINT).copied().collect();
    assert!(pieces.len() > 1, "{} pieces", pieces.len());
    // Torn, before anything was synced.
    for piece in &pieces {
        let (content, report, _) = recover(&bytes[..piece.end() - 9]).unwrap();
        assert!(&content == run.history.last() && !report.from_checkpoint);
    }
    run.sync();
    run.put("a");
    run.close();
    let bytes = run.storage.image().bytes(PATH).unwrap();
    let (content, report, _) = recover(&bytes).unwrap();
    assert!(&content == run.history.last() && report.from_checkpoint);
    let newest = layout::entries(&bytes);
    let newest = newest.iter().rfind(|e| e.kind == layout::CHECKPOINT).unwrap();
    let mut damaged = bytes;
    damaged[newest.value().start + 100] ^= 1;
    let (content, report, _) = recover(&damaged).unwrap();
    assert!(&content == run.history.last() && !report.from_checkpoint);
}

/// A slot that named a checkpoint of which a power loss left everything but an entry before it
/// opened into an index of points that were not there. Found by the crash states.
#[test]
fn a_checkpoint_behind_a_hole_is_not_believed() {
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    run.put_number("n");
    run.put("b");
    run.checkpoint();
    let mut bytes = run.storage.image().bytes(PATH).unwrap();
    kill(&run.storage, run.db.take().unwrap());
    let entries = layout::entries(&bytes);
    let checkpoint = entries.iter().find(|e| e.kind == layout::CHECKPOINT).unwrap();
    for page in [1, 2] {
        let slot = layout::slot(&bytes, page);
        assert_eq!(slot[3], 0, "nothing was synced yet");
        let named = [slot[0], slot[1], slot[2], checkpoint.offset as u64, 0];
        layout::set_slot(&mut bytes, page, named);
    }
    bytes[entries[1].offset..entries[1].end()].fill(0);
    let (content, report, _) = recover(&bytes).unwrap();
    assert_eq!(&content, run.history.state(1));
    assert!(!report.from_checkpoint && report.torn_copy.is_some());
}

#[test]
fn an_entry_of_another_place_or_file_is_not_believed() {
    let log = || {
        let mut run = Run::new();
        run.open(Durability::Os);
        for value in 0..6 {
            run.put_atom("k", Atom::Int(value));
        }
        let bytes = run.storage.image().bytes(PATH).unwrap();
        kill(&run.storage, run.db.take().unwrap());
        (bytes, run)
    };
    let (bytes, run) = log();
    let (other, _) = log();
    let entries = layout::entries(&bytes);
    for (number, to) in entries.iter().enumerate() {
        for (source, from) in entries.iter().flat_map(|from| [(&bytes, from), (&other, from)]) {
            if std::ptr::eq(source, &bytes) && from.offset == to.offset {
                continue;
            }
            let mut spliced = bytes.clone();
            spliced[to.offset..to.end()].copy_from_slice(&source[from.offset..from.end()]);
            let (content, report, _) = recover(&spliced).unwrap();
            assert_eq!(&content, run.history.state(number as u64));
            assert!(report.bytes_cut > 0);
        }
    }
}

#[test]
fn whole_commits_are_copied_before_they_are_cut() {
    let (bytes, run) = unsynced_log();
    let entries = layout::entries(&bytes);
    let bad = entries[4];
    let mut torn = bytes.clone();
    torn[bad.offset + 1] ^= 0xFF;
    torn.resize(bytes.len() + 5000, 0);
    let commit = commit_before(&entries, bad.offset);
    let lost = bytes.len() - commit;

    let storage = image_of(&torn).into_storage();
    let config = DbConfig::default().with_durability(Durability::Os);
    let db = SynaDB::with_storage(Arc::new(storage.clone()), PATH, config).unwrap();
    let report = db.recovery_report();
    let expected = run.history.state(commits_until(&entries, commit));
    assert_eq!(&Content::of(&db).unwrap(), expected);
    assert_eq!(report.torn_copy.as_deref(), Some(Path::new(TORN)));
    assert_eq!(report.bytes_cut as usize, lost);
    let copy = storage.image().bytes(TORN).unwrap();
    assert_eq!(copy, &torn[commit..commit + report.bytes_cut as usize]);
    assert_eq!(storage.image().content(PATH).unwrap().len() as usize, commit);

    // At no moment does a power loss leave neither of the two.
    let trace = storage.trace();
    kill(&storage, db);
    let mut states = CrashStates::new(&trace, 3);
    let mut counted = 0;
    for point in trace.points() {
        for image in states.states_at(point, 64) {
            counted += 1;
            let there = image.bytes(PATH).unwrap();
            let copied = image.bytes(TORN).is_some_and(|bytes| bytes == copy);
            assert!(
                there.len() >= bytes.len() && there[..bytes.len()] == torn[..bytes.len()] || copied,
                "{image}"
            );
            let (content, ..) = recover(&there).unwrap();
            assert_eq!(&content, expected, "{image}");
        }
    }
    assert!(counted > 20);

    // A second tear does not overwrite the first copy.
    let image = DiskImage::new().with_file(PATH, &torn).with_file(TORN, b"earlier");
    let (storage, db) = open_image(&image, DbConfig::default()).unwrap();
    assert_eq!(db.recovery_report().torn_copy.unwrap(), Path::new("/db.syna.torn.1"));
    assert_eq!(kill(&storage, db).bytes(TORN).unwrap(), b"earlier");
}

#[test]
fn more_whole_commits_than_128_mib_are_not_cut() {
    let (bytes, _) = unsynced_log();
    let entries = layout::entries(&bytes);
    let mut content = Bytes::new(&bytes);
    content.write(&[0xEE], entries[3].offset as u64);
    content.write(&[0xEE], (129 << 20) + 5);
    let image = DiskImage::new().with_content(PATH, content);
    let storage = image.clone().into_storage();
    let error = SynaDB::with_storage(Arc::new(storage.clone()), PATH, DbConfig::default());
    assert!(matches!(error, Err(SynaError::TornTailTooLong { .. })), "{error:?}");
    assert!(storage.image().content(PATH) == image.content(PATH), "the file was changed");
    assert_eq!(storage.image().files().count(), 1);
}

#[test]
fn the_report_tells_how_the_index_was_rebuilt() {
    let (bytes, _) = log_of(Durability::Os, false);
    let (_, report, _) = recover(&bytes).unwrap();
    assert!(!report.from_checkpoint);
    assert_eq!(report.entries as usize, layout::entries(&bytes).len());
    assert_eq!(report.bytes_scanned as usize, bytes.len() - LOG_START);
    assert_eq!((report.bytes_cut, report.bytes_rewritten, report.reason), (0, 0, None));

    let (bytes, _) = log_of(Durability::Os, true);
    let (_, report, _) = recover(&bytes).unwrap();
    assert!(report.from_checkpoint);
    assert_eq!(report.entries, 1, "the checkpoint alone");
    let checkpoint = layout::entries(&bytes).last().unwrap().len;
    assert_eq!(report.bytes_scanned as usize, checkpoint);
}

/// A close that is stopped at any of its steps loses nothing.
#[test]
fn a_crash_in_close_is_an_unclean_stop() {
    for count in 0.. {
        let mut run = Run::new();
        run.open(SMALL_BUFFER);
        run.put("a");
        run.bulk("c", 40);
        run.batch(3);
        run.flush();
        run.storage.set_plan(FaultPlan::new().crash_after(Target::Change, count));
        let closed = run.db.take().unwrap().close();
        let finished = !run.storage.has_crashed();
        assert_eq!(closed.is_ok(), finished);
        let (content, ..) = recover(&run.storage.image().bytes(PATH).unwrap()).unwrap();
        assert_eq!(&content, run.history.last(), "after {count} steps");
        if finished {
            assert!(count >= 4);
            break;
        }
    }
}

/// After a failed sync nobody knows what is on the disk: no write, no second attempt.
#[test]
fn a_failed_sync_ends_writing_but_not_reading() {
    for pages in [FailedPages::Clean, FailedPages::Revert, FailedPages::Vanish] {
        for mode in [Durability::Full, Durability::Os, SMALL_BUFFER] {
            let mut run = Run::new();
            run.open(mode);
            run.put("a");
            run.put("a");
            run.sync();
            let published = run.history.last().clone();
            run.storage.set_plan(FaultPlan::new().fail_sync(1, Times::Once, libc::EIO, pages));
            let error = if mode == Durability::Full {
                run.db().append("x", 1).unwrap_err()
            } else {
                run.db().append("x", 1).unwrap();
                run.db().sync().unwrap_err()
            };
            assert!(error.io_kind().is_some(), "{error}");
            let syncs = run.storage.calls(Operation::SyncData);
            let poisoned = |result: Result<(), SynaError>| {
                assert!(matches!(result, Err(SynaError::Poisoned { .. })), "{result:?}");
            };
            poisoned(run.db().append("x", 2).map(|_| ()));
            poisoned(run.db().append_batch("x", &[1], &[1.0][..]).map(|_| ()));
            let mut batch = run.db().batch();
            batch.append("x", 3).unwrap();
            poisoned(batch.commit().map(|_| ()));
            poisoned(run.db().delete("a").map(|_| ()));
            poisoned(run.db().sync());
            poisoned(run.db().checkpoint());
            poisoned(run.db().compact().map(|_| ()));
            assert_eq!(run.db().get("a").unwrap(), published.keys.get("a").map(|_| run_atom(&run)));
            assert_eq!(run.db().get_history("a").unwrap().len(), 2);
            if mode == Durability::Full {
                // A failed call leaves nothing to be seen in this process.
                assert_eq!(Content::of(run.db()).unwrap(), published);
            }
            assert!(run.db.take().unwrap().close().is_err());
            assert_eq!(run.storage.calls(Operation::SyncData), syncs, "a sync was tried again");
        }
    }
}

/// What the second of two puts under "a" wrote.
fn run_atom(run: &Run) -> Atom {
    run.db().get_history("a").unwrap().last().unwrap().value.clone()
}

/// Bytes whose sync failed are written again and synced before anything is built on them, by the
/// same process and by another one.
#[test]
fn what_a_failed_sync_left_is_written_again_before_it_is_trusted() {
    for pages in [FailedPages::Clean, FailedPages::Revert, FailedPages::Vanish, FailedPages::Dirty]
    {
        for same_process in [true, false] {
            let mut run = Run::new();
            run.open(Durability::Os);
            run.put("a");
            run.sync();
            let durable = run.db().durable_offset();
            run.put("a");
            run.batch(3);
            run.storage.set_plan(FaultPlan::new().fail_sync(1, Times::Once, libc::EIO, pages));
            run.db().sync().unwrap_err();
            let slots = run.storage.image().bytes(PATH).unwrap();
            let suspect = [1, 2].map(|page| layout::slot(&slots, page)).into_iter().max().unwrap();
            assert_eq!(suspect[4], durable, "the slot names what is suspect");
            assert!(run.db.take().unwrap().close().is_err());
            let point = run.storage.point();
            if !same_process {
                // Another process sees the same page cache.
                run.storage = run.storage.image().into_storage();
            }
            let db = run.try_open().unwrap();
            let content = Content::of(&db).unwrap();
            let kept = run.history.find(&content, run.history.end()).expect("a prefix");
            assert!(kept >= 1);
            if matches!(pages, FailedPages::Clean | FailedPages::Dirty) {
                assert_eq!(kept, 3, "all of it could be read");
                assert!(db.recovery_report().bytes_rewritten > 0);
                assert_eq!(db.durable_offset(), durable + db.recovery_report().bytes_rewritten);
            }
            // What it holds now survives a power loss.
            if same_process {
                let trace = run.storage.trace();
                assert!(trace.events.len() > point);
                let mut states = CrashStates::new(&trace, 38);
                for image in states.states_at(trace.events.len(), 200) {
                    let (found, ..) = recover(&image.bytes(PATH).unwrap()).unwrap();
                    assert_eq!(found, content, "{pages:?}: {image}");
                }
            }
            kill(&run.storage, db);
        }
    }
}

#[test]
fn a_cut_back_that_fails_poisons() {
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    let plan = FaultPlan::new()
        .short_write(1, Times::Once, 30)
        .fail(Operation::Write, 2, Times::Once, libc::ENOSPC)
        .fail(Operation::SetLen, 1, Times::Once, libc::EIO);
    run.storage.set_plan(plan);
    run.db().append("x", -1).unwrap_err();
    assert!(matches!(run.db().append("x", 2), Err(SynaError::Poisoned { .. })));
    assert_eq!(&Content::of(run.db()).unwrap(), run.history.last());
    run.storage.set_plan(FaultPlan::new());
    assert!(run.db.take().unwrap().close().is_err());
    run.open(Durability::Os);
    run.put("a");
    run.reopen(Durability::Full);
}

/// A cut back to the last whole commit whose sync fails is as uncertain as any failed sync.
#[test]
fn a_cut_back_that_cannot_be_synced_poisons() {
    let mut run = Run::new();
    run.open(Durability::Os);
    run.put("a");
    let plan = FaultPlan::new()
        .short_write(1, Times::Once, 30)
        .fail(Operation::Write, 2, Times::Once, libc::ENOSPC)
        .fail(Operation::SyncData, 1, Times::Once, libc::EIO);
    run.storage.set_plan(plan);
    run.db().append("x", 1).unwrap_err();
    assert!(matches!(run.db().append("x", 2), Err(SynaError::Poisoned { .. })));
    assert!(run.db.take().unwrap().close().is_err());
    run.open(Durability::Os);
}

#[test]
fn a_folder_sync_that_fails_after_a_rewrite_poisons_and_both_files_open() {
    let mut run = Run::new();
    run.open(Durability::Full);
    run.put("a");
    run.put("a");
    let old = run.history.last().clone();
    // Found out before the rename, it costs nothing.
    let fails = || FaultPlan::new().fail(Operation::SyncFolder, 1, Times::Once, libc::EIO);
    run.storage.set_plan(fails());
    run.db().compact().unwrap_err();
    run.db().delete("nobody").unwrap();
    assert_eq!(Content::of(run.db()).unwrap(), old);

    run.storage.hook(Operation::Rename, 1, move |storage| storage.set_plan(fails()));
    run.db().compact().unwrap_err();
    assert!(matches!(run.db().append("x", 2), Err(SynaError::Poisoned { .. })));
    let new = Content::of(run.db()).unwrap();
    assert_eq!(new.keys["a"].rows, 1);
    kill(&run.storage, run.db.take().unwrap());
    let trace = run.storage.trace();
    let mut found = [0, 0];
    for image in CrashStates::new(&trace, 39).states_at(trace.events.len(), 100) {
        let (storage, db) = open_image(&image, DbConfig::default()).unwrap();
        let content = Content::of(&db).unwrap();
        assert!(content == old || content == new, "{image}");
        found[usize::from(content == new)] += 1;
        let left = kill(&storage, db);
        assert_eq!(left.files().count(), 1, "the temporary file is gone");
    }
    assert!(found[0] > 0 && found[1] > 0, "{found:?}");
}

/// Which of both files has the name is not known then, and the old one was never synced.
#[test]
fn a_rewrite_makes_nothing_durable_before_its_folder_is_synced() {
    let mut run = Run::new();
    run.open(Durability::Os);
    let offsets: Vec<u64> = (0..50).map(|_| run.db().append("a", 1).unwrap()).collect();
    let durable = run.db().durable_offset();
    let fails = || FaultPlan::new().fail(Operation::SyncFolder, 1, Times::Once, libc::EIO);
    run.storage.hook(Operation::Rename, 1, move |storage| storage.set_plan(fails()));
    run.db().compact().unwrap_err();
    assert_eq!(run.db().durable_offset(), durable);
    for offset in offsets {
        let waited = run.db().wait_durable(offset);
        assert!(matches!(waited, Err(SynaError::Poisoned { .. })), "{offset}: {waited:?}");
    }
    kill(&run.storage, run.db.take().unwrap());
}

/// What may be in the database, given which calls succeeded.
#[derive(Default)]
struct Outcomes {
    now: Content,
    /// Other contents that are as good: a commit whose sync failed is there or not.
    or: Vec<Content>,
    /// What was there before. In the buffered mode a process that ends may lose its buffer.
    before: Vec<Content>,
    number: i64,
}

impl Outcomes {
    fn allow(&self, content: &Content) -> bool {
        *content == self.now || self.or.contains(content) || self.before.contains(content)
    }

    /// Opens, and settles what was open. `None` if that cannot be done.
    fn open(&mut self, storage: &SimulatedStorage, mode: Durability) -> Option<SynaDB> {
        let config = DbConfig::default().with_durability(mode).with_tail_budget_bytes(1024);
        let db = SynaDB::with_storage(Arc::new(storage.clone()), PATH, config).ok()?;
        let content = Content::of(&db).ok()?;
        assert!(self.allow(&content), "{:?} instead of {:?}", rows(&content), rows(&self.now));
        self.now = content;
        self.or.clear();
        self.before.clear();
        Some(db)
    }

    /// Runs a change.
    fn step(
        &mut self,
        db: &SynaDB,
        change: impl FnOnce(&SynaDB, i64, &mut Content) -> synadb::Result<()>,
    ) {
        self.number += 1;
        let mut then = self.now.clone();
        let result = change(db, self.number, &mut then);
        // Nothing is written for a key that is not there.
        let poisoned = matches!(db.delete("nobody"), Err(SynaError::Poisoned { .. }));
        if result.is_ok() {
            let before = std::mem::replace(&mut self.now, then);
            if db.config().durability == SMALL_BUFFER {
                self.before.push(before);
            }
            return;
        }
        if let Ok(content) = Content::of(db) {
            if content == then && poisoned {
                // A rewrite that could not sync the folder: both files are good.
                self.or.push(std::mem::replace(&mut self.now, then));
                return;
            }
            assert!(content == self.now, "a call that failed has an effect");
        }
        if poisoned {
            self.or.push(then);
        }
    }
}

/// The script of the fault tests: every way to write.
fn faulty_script(storage: &SimulatedStorage, mode: Durability, outcomes: &mut Outcomes) {
    for _ in 0..2 {
        let Some(db) = outcomes.open(storage, mode) else { return };
        for key in ["a", "b"] {
            outcomes.step(&db, |db, number, then| {
                then.push(key, number, Atom::Int(number));
                db.append_at(key, number, number).map(|_| ())
            });
        }
        outcomes.step(&db, |db, number, then| {
            let mut batch = db.batch();
            for key in ["a", "c", "d"] {
                then.push(key, number, Atom::Int(number));
                batch.append_at(key, number, number)?;
            }
            batch.commit().map(|_| ())
        });
        outcomes.step(&db, |db, number, then| {
            let rows: Vec<i64> = (0..40).collect();
            for row in &rows {
                then.push("r", *row, Atom::Int(*row + number));
            }
            let values: Vec<i64> = rows.iter().map(|row| row + number).collect();
            db.append_batch("r", &rows, &values[..]).map(|_| ())
        });
        let _ = db.sync();
        outcomes.step(&db, |db, number, then| {
            then.push("l", number, Atom::Bytes(vec![number as u8; 70_000]));
            db.append_at("l", number, vec![number as u8; 70_000]).map(|_| ())
        });
        outcomes.step(&db, |db, _, then| {
            then.delete("b");
            db.delete("b").map(|_| ())
        });
        let _ = db.checkpoint();
        outcomes.step(&db, |db, _, then| {
            then.compact();
            db.compact().map(|_| ())
        });
        outcomes.step(&db, |db, number, then| {
            then.push("a", number, Atom::Int(number));
            db.append_at("a", number, number).map(|_| ())
        });
        let _ = db.close();
    }
}

/// Clears the error, opens again and compares.
fn after_faults(storage: &SimulatedStorage, outcomes: &Outcomes, what: &str) {
    storage.set_plan(FaultPlan::new());
    let db = SynaDB::with_storage(Arc::new(storage.clone()), PATH, DbConfig::default())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let content = Content::of(&db).unwrap();
    assert!(
        outcomes.allow(&content),
        "{what}: {:?} instead of {:?}",
        rows(&content),
        rows(&outcomes.now)
    );
    db.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    db.append("last", 1).unwrap();
    db.close().unwrap();
    assert!(storage.image().files().all(|(path, _)| !path.to_string_lossy().contains("tmp")));
}

fn rows(content: &Content) -> Vec<(String, u64)> {
    content.keys.iter().map(|(key, state)| (key.clone(), state.rows)).collect()
}

#[test]
fn any_call_may_fail_once_or_for_ever() {
    let errors = [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EINTR, libc::EAGAIN, libc::EFBIG];
    for mode in [Durability::Full, Durability::Os, SMALL_BUFFER] {
        let storage = SimulatedStorage::new();
        let mut outcomes = Outcomes::default();
        faulty_script(&storage, mode, &mut outcomes);
        assert!(outcomes.or.is_empty(), "nothing fails without a fault");
        after_faults(&storage, &outcomes, "without faults");
        let calls = storage.calls(Target::Any);
        for nth in 1..=calls {
            for errno in errors {
                for times in [Times::Once, Times::Forever] {
                    if errno == libc::EINTR && times == Times::Forever {
                        // Interrupted calls are repeated until they are not interrupted.
                        continue;
                    }
                    let storage = SimulatedStorage::new();
                    storage.set_plan(FaultPlan::new().fail(Target::Any, nth, times, errno));
                    let mut outcomes = Outcomes::default();
                    faulty_script(&storage, mode, &mut outcomes);
                    let what = format!("{mode:?}, call {nth}, errno {errno}, {times:?}");
                    after_faults(&storage, &outcomes, &what);
                }
            }
        }
    }
}

#[test]
fn short_writes_are_continued() {
    for mode in [Durability::Full, Durability::Os, SMALL_BUFFER] {
        for len in (1..50).chain([511, 512, 4095, 65_536]) {
            let storage = SimulatedStorage::new();
            let first = if len < 8 { 40 } else { 1 };
            // Byte by byte would take a million calls: only some of the writes.
            let plan = (first..first + 20)
                .fold(FaultPlan::new(), |plan, nth| plan.short_write(nth, Times::Once, len));
            storage.set_plan(plan);
            let mut outcomes = Outcomes::default();
            faulty_script(&storage, mode, &mut outcomes);
            assert!(outcomes.or.is_empty(), "short writes are no failures");
            after_faults(&storage, &outcomes, &format!("{mode:?}, {len} bytes a write"));
        }
    }
}

#[test]
fn a_write_that_takes_nothing_is_an_error_and_no_loop() {
    for mode in [Durability::Full, Durability::Os, SMALL_BUFFER] {
        for nth in 1..60 {
            for times in [Times::Once, Times::Forever] {
                let storage = SimulatedStorage::new();
                storage.set_plan(FaultPlan::new().short_write(nth, times, 0));
                let mut outcomes = Outcomes::default();
                faulty_script(&storage, mode, &mut outcomes);
                after_faults(&storage, &outcomes, &format!("{mode:?}, write {nth}, {times:?}"));
            }
        }
    }
    let storage = SimulatedStorage::new();
    let db = SynaDB::with_storage(Arc::new(storage.clone()), PATH, DbConfig::default()).unwrap();
    storage.set_plan(FaultPlan::new().with(Operation::Write, 1, Times::Forever, Effect::Short(0)));
    let error = db.append("a", 1).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::WriteZero), "{error}");
}

#[test]
fn a_batch_without_room_is_absent_for_ever_and_later_ones_stay() {
    for mode in [Durability::Full, Durability::Os] {
        for room in (0..3000).step_by(53) {
            let mut run = Run::new();
            run.storage.set_space_limit(Some(64 << 10));
            run.open(mode);
            run.put("a");
            let used = run.storage.image().content(PATH).unwrap().len();
            run.storage.set_space_limit(Some(used + room));
            let mut rng = SplitMix64::new(7);
            let mut noise = || {
                let mut bytes = vec![0; 300];
                rng.fill(&mut bytes);
                Atom::Bytes(bytes)
            };
            let changes: Vec<Change> =
                (0..10).map(|i| Change::Put(format!("f{i}"), noise())).collect();
            let error = run.try_batch(&changes).unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::StorageFull), "{error}");
            assert_eq!(&Content::of(run.db()).unwrap(), run.history.last());
            run.storage.set_space_limit(None);
            run.put("a");
            run.batch(3);
            run.reopen(mode);
            run.put("a");
            run.kill();
            run.open(mode);
        }
    }
}
