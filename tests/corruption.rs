//! Damaged and hostile files: an error or correct data, bounded memory, linear time, and nothing
//! changed on disk (promises R2 to R5, C1, C2).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use support::image::{self, AFTER_SYNC, CHUNK, COMMIT, IN_BATCH, LOG_START, NAME, PUT, set};
use support::rng::SplitMix64;
use synadb::storage::{MemoryStorage, OpenMode, Storage};
use synadb::{
    Atom, Change, DbConfig, Durability, FollowFrom, RetainPolicy, SynaDB, SynaError,
    salvage_storage,
};

/// Remembers the largest allocation that each thread asked for.
struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

/// Runs something that handles a file of `len` bytes and must not allocate more at once than C2
/// allows.
fn frugal<T>(len: usize, run: impl FnOnce() -> T) -> T {
    LARGEST.with(|largest| largest.set(0));
    let result = run();
    let largest = LARGEST.with(Cell::get);
    assert!(largest <= (64 << 20).max(4 * len), "an allocation of {largest} bytes for {len}");
    result
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one only counts")]
// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(0)
}

fn open(storage: &Arc<dyn Storage>) -> Result<SynaDB, SynaError> {
    SynaDB::with_storage(Arc::clone(storage), NAME, config())
}

fn read_only(storage: &Arc<dyn Storage>) -> Result<SynaDB, SynaError> {
    SynaDB::read_only_with_storage(Arc::clone(storage), NAME, DbConfig::default())
}

fn read_all(db: &SynaDB) -> Result<Vec<(String, Vec<synadb::Point>)>, SynaError> {
    let keys = db.keys()?;
    keys.into_iter().map(|key| db.get_history(&key).map(|points| (key, points))).collect()
}

fn points_of(db: &SynaDB) -> Vec<(String, String)> {
    // As text, so that NaNs equal themselves.
    read_all(db).unwrap().into_iter().map(|(key, points)| (key, format!("{points:?}"))).collect()
}

/// What a salvaged copy holds, and how many stretches are missing.
fn salvaged(bytes: &[u8]) -> Result<(Vec<(String, String)>, usize), SynaError> {
    let storage = image::storage_with(bytes);
    let report = salvage_storage(&storage, Path::new(NAME), Path::new("/copy"), &mut |_| {})?;
    assert_eq!(image::bytes_of(&storage, NAME), bytes, "the original was modified");
    let db = SynaDB::with_storage(storage, "/copy", config())?;
    db.verify()?;
    Ok((points_of(&db), report.missing.len()))
}

/// An empty database as a file of three pages.
fn empty() -> Vec<u8> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    drop(open(&storage).unwrap());
    let mut bytes = image::bytes_of(&storage, NAME);
    bytes.truncate(LOG_START);
    image::forget_durable(&mut bytes);
    bytes
}

/// A closed file with every kind of entry, a checkpoint among them.
fn sample() -> Vec<u8> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    for n in 0..70 {
        db.append_at("sealed", n, n as f64).unwrap();
    }
    db.append_at("kinds", 1, Atom::Null).unwrap();
    db.append_at("kinds", 2, "text").unwrap();
    db.append_at("kinds", 3, vec![1u8, 2]).unwrap();
    db.append_at("kinds", 4, 4).unwrap();
    db.append_at("deleted", 5, 5).unwrap();
    db.delete("deleted").unwrap();
    let texts: Vec<Atom> = (0..40).map(|n| Atom::Text(format!("text {n}"))).collect();
    db.append_batch("added", &(0..40).collect::<Vec<i64>>(), &texts).unwrap();
    let mut batch = db.batch();
    for n in 0..40 {
        batch.append_at("chunk in batch", n, n).unwrap();
    }
    batch.append_at("kinds", 6, 6.5).unwrap();
    batch.commit().unwrap();
    db.append_at("large", 7, vec![3u8; 70_000]).unwrap();
    db.close().unwrap();
    image::image_of(&storage)
}

/// An unclean file: put after put, the last one at the end, nothing known to be durable.
fn unsynced(puts: i64) -> Vec<u8> {
    let mut bytes = empty();
    for n in 0..puts {
        image::push_entry(&mut bytes, PUT, 0, n, b"key", &image::int(n));
    }
    bytes
}

fn ints(db: &SynaDB) -> Vec<i64> {
    let points = if db.exists("key").unwrap() { db.get_history("key").unwrap() } else { vec![] };
    points.into_iter().map(|point| point.value.as_int().unwrap()).collect()
}

// Rows 7, 8: what stands behind the last entry.

#[test]
fn zeros_behind_the_log_are_its_end() {
    let bytes = unsynced(3);
    for zeros in [1, 7, 8, 23, 24, 25, 4096, 1 << 20, 64 << 20] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + zeros, 0);
        let storage = image::storage_with(&longer);
        let db = open(&storage).unwrap();
        assert_eq!(ints(&db), [0, 1, 2]);
        assert_eq!(db.keys().unwrap(), ["key"]);
        assert_eq!(db.recovery_report().bytes_cut, 0, "{zeros} zeros are no data");
        db.append_at("key", 9, 9).unwrap();
        db.close().unwrap();
        assert_eq!(ints(&open(&storage).unwrap()), [0, 1, 2, 9]);
    }
}

#[test]
fn zeros_with_data_behind_them_are_judged_by_what_was_synced() {
    let bytes = unsynced(3);
    for (zeros, garbage) in [(24, 1), (1, 30), (4000, 500), (1 << 20, 9)] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + zeros, 0);
        longer.resize(bytes.len() + zeros + garbage, 0xa5);
        let db = open(&image::storage_with(&longer)).unwrap();
        assert_eq!(ints(&db), [0, 1, 2]);
        let report = db.recovery_report();
        assert_eq!(report.bytes_cut, (zeros + garbage) as u64, "{:?}", report.reason);
        assert_eq!(report.torn_copy, None, "no whole commit goes");
    }
    // A good entry behind the hole, written after a sync: the hole was data once.
    let mut longer = bytes.clone();
    let (offset, previous) = (bytes.len() + 4096, 7);
    let flags = AFTER_SYNC;
    image::push_entry_at(&mut longer, offset, previous, PUT, flags, 1, b"key", &image::int(5));
    for result in [open(&image::storage_with(&longer)), read_only(&image::storage_with(&longer))] {
        let Err(SynaError::Corrupt { offset: at, last_good, next_good, .. }) = result else {
            panic!("{result:?}");
        };
        assert_eq!((at, last_good), (bytes.len() as u64, bytes.len() as u64));
        assert_eq!(next_good, Some(offset as u64));
    }
    // Without that mark it may never have been acknowledged: cut, and kept beside.
    let mut longer = bytes.clone();
    image::push_entry_at(&mut longer, offset, previous, PUT, 0, 1, b"key", &image::int(5));
    let storage = image::storage_with(&longer);
    let report = open(&storage).unwrap().recovery_report();
    let copy = report.torn_copy.expect("a whole commit went");
    // Also the zeros in which the last commit ends.
    assert!(image::bytes_of(&storage, copy) == longer[bytes.len()..]);
}

// Rows 17 to 20.

#[test]
fn bursts_lost_sectors_and_misdirected_writes_are_corrupt_and_salvaged_around() {
    let bytes = sample();
    let original = salvaged(&bytes).unwrap().0;
    let mut rng = SplitMix64::announced("bursts", 17);
    for round in 0..400 {
        let mut damaged = bytes.clone();
        let at = LOG_START + rng.below(bytes.len() - LOG_START);
        let sector = at & !511;
        let end = (sector + 512).min(bytes.len());
        match round % 4 {
            0 => {
                let end = (at + 1 + rng.below(64)).min(bytes.len());
                rng.fill(&mut damaged[at..end]);
            }
            1 => damaged[sector..end].fill(0),
            2 => {
                let other = (LOG_START + rng.below(bytes.len() - LOG_START - 512)) & !511;
                damaged[sector..end].copy_from_slice(&bytes[other..other + end - sector]);
            }
            _ => {
                let page = sector & !4095;
                let end = (page + 4096).min(bytes.len());
                damaged[page..end].fill(0);
            }
        }
        let storage = image::storage_with(&damaged);
        for db in [read_only(&storage), open(&storage)] {
            match db.and_then(|db| db.verify().and_then(|_| read_all(&db))) {
                Ok(found) => {
                    let found: Vec<_> =
                        found.into_iter().map(|(key, p)| (key, format!("{p:?}"))).collect();
                    assert_eq!(found, original, "round {round}");
                    // Only what no checksum covers may differ without being noticed, and `verify`
                    // compares that with zeros.
                    assert_eq!(damaged, bytes, "round {round}: damage that nothing noticed");
                }
                Err(SynaError::Corrupt { offset, .. }) => assert!(offset <= bytes.len() as u64),
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        salvaged(&damaged).unwrap();
    }
}

#[test]
fn damage_in_the_last_synced_entry_is_corrupt_and_in_an_unsynced_one_is_cut() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    for n in 0..10 {
        db.append_at("key", n, n).unwrap();
    }
    db.sync().unwrap();
    let end = db.append_at("key", 10, 10).unwrap() as usize;
    db.close().unwrap();
    // Clean close: `durable_len` covers everything.
    let bytes = image::image_of(&storage);
    let last = image::entries(&bytes).into_iter().rfind(|e| e.kind == PUT).unwrap();
    assert_eq!(last.offset, end);
    let mut damaged = bytes.clone();
    damaged[last.value_at + 5] ^= 1;
    // The checkpoint behind it hides it from opening, so take that away.
    for page in [1, 2] {
        set(&mut damaged, page * image::PAGE + 24, &[0; 8]);
        image::mend_slot(&mut damaged, page);
    }
    let storage = image::storage_with(&damaged);
    let error = open(&storage).unwrap_err();
    assert!(matches!(error, SynaError::Corrupt { offset, .. } if offset == end as u64), "{error}");
    assert!(matches!(read_only(&storage), Err(SynaError::Corrupt { .. })));
    assert_eq!(image::bytes_of(&storage, NAME), damaged, "nothing was changed");

    let mut bytes = unsynced(5);
    let at = bytes.len() - 6;
    bytes[at] ^= 1;
    let db = open(&image::storage_with(&bytes)).unwrap();
    assert_eq!(ints(&db), [0, 1, 2, 3]);
    assert_eq!(db.recovery_report().torn_copy, None, "one incomplete entry needs no copy");
    assert!(db.recovery_report().bytes_cut > 0);
}

/// Puts, then a chunk of two blocks, whose records have a checksum of their own: in a closed file,
/// and as a crash leaves it.
fn two_blocks() -> (Vec<u8>, Vec<u8>, image::RawEntry) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    for n in 0..3 {
        db.append_at("key", n, n).unwrap();
    }
    let times: Vec<i64> = (3..9000).collect();
    let values: Vec<i64> = times.iter().map(|t| t / 100).collect();
    db.append_batch("key", &times, &values).unwrap();
    let mut torn = image::image_of(&storage);
    image::forget_durable(&mut torn);
    db.close().unwrap();
    let closed = image::image_of(&storage);
    let chunk = image::entries(&torn).into_iter().rfind(|e| e.kind == CHUNK).unwrap();
    assert_eq!(image::u32_at(&torn, chunk.value_at + 20), 2, "blocks");
    (closed, torn, chunk)
}

/// Every byte of a header in two parts: what the entry's checksum covers, and the block records
/// behind it, which questions about all rows leave alone.
#[test]
fn no_damage_to_the_header_of_a_chunk_of_several_blocks_changes_an_answer() {
    let (closed, torn, chunk) = two_blocks();
    let header_len = 208 + 2 * (136 + 2 * 32);
    let stats = |db: &SynaDB| Ok(format!("{:?}", db.history("key")?.stats()?));
    let whole = read_only(&image::storage_with(&closed)).unwrap();
    let (points, told) = (read_all(&whole).unwrap(), stats(&whole).unwrap());
    let (mut answered, mut refused) = (0, 0);
    // The link to the entry before it is read by scans only.
    for at in chunk.offset + 4..chunk.value_at + header_len {
        let mut damaged = closed.clone();
        damaged[at] ^= 1 << (at % 8);
        let opened = read_only(&image::storage_with(&damaged));
        let found = opened.as_ref().ok().map(|db| (stats(db), read_all(db)));
        let Some((found, read)) = found else {
            refused += 1;
            continue;
        };
        // What is summed up needs no more than what speaks for it.
        match found {
            Ok(found) => assert_eq!(found, told, "a flip at {at}"),
            Err(SynaError::Corrupt { .. } | SynaError::UnsupportedFeature { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(read.is_err(), "a flip at {at} went unnoticed");
        answered += u32::from(at >= chunk.value_at + 208);
        assert!(opened.unwrap().verify().is_err());

        let mut damaged = torn.clone();
        damaged[at] ^= 1 << (at % 8);
        let db = open(&image::storage_with(&damaged)).unwrap();
        assert_eq!(ints(&db), [0, 1, 2], "a flip at {at}");
    }
    assert!(answered > 300 && refused > 100, "{answered} {refused}");
    assert_eq!(read_all(&open(&image::storage_with(&torn)).unwrap()).unwrap(), points);
}

/// As-of lookups and time ranges decoded every block of a chunk, and `types` all of a history. With
/// every other block damaged, answers show that no other is read.
#[test]
fn questions_read_only_the_blocks_they_are_about() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    let times: Vec<i64> = (0..5 * 8192).collect();
    let values: Vec<i64> = times.iter().map(|t| t * t % 1000).collect();
    db.append_batch("key", &times, &values).unwrap();
    db.close().unwrap();
    let mut bytes = image::image_of(&storage);
    let whole = read_only(&image::storage_with(&bytes)).unwrap();
    let chunk = image::entries(&bytes).into_iter().find(|entry| entry.kind == CHUNK).unwrap();
    let data_at = chunk.value_at + image::u64_at(&bytes, chunk.value_at + 24) as usize;
    for block in [0, 1, 3, 4] {
        for column in 0..2 {
            let record = chunk.value_at + 208 + block * (136 + 2 * 32) + 136 + 32 * column;
            let at = data_at + image::u64_at(&bytes, record + 8) as usize;
            bytes[at] ^= 1;
        }
    }
    let db = read_only(&image::storage_with(&bytes)).unwrap();
    assert!(matches!(db.get_history("key"), Err(SynaError::Corrupt { .. })));
    for t in [2 * 8192, 20_000, 3 * 8192 - 1] {
        assert_eq!(db.get_at("key", t).unwrap(), Some(Atom::Int(t * t % 1000)), "{t}");
    }
    assert!(matches!(db.get_at("key", 2 * 8192 - 1), Err(SynaError::Corrupt { .. })));
    let range = 2 * 8192..3 * 8192;
    let points = db.get_history_range("key", range.clone()).unwrap();
    assert_eq!(points, whole.get_history_range("key", range.clone()).unwrap());
    assert_eq!(points.len(), 8192);
    assert!(db.get_history_range("key", range.start..range.end + 1).is_err());
    assert_eq!(db.types("key").unwrap(), [synadb::AtomKind::Int]);
    let stats = |db: &SynaDB| db.history("key").unwrap().stats().unwrap();
    assert_eq!(stats(&db), stats(&whole));
}

/// A write that was stopped may have left the beginning of a chunk and none of its block records.
#[test]
fn a_chunk_without_the_rest_of_its_header_is_a_torn_tail() {
    let (_, torn, chunk) = two_blocks();
    for keep in (chunk.offset + 8..torn.len()).step_by(61) {
        let mut zeros = torn.clone();
        zeros[keep..].fill(0);
        for bytes in [&zeros[..], &torn[..keep]] {
            let storage = image::storage_with(bytes);
            assert_eq!(ints(&read_only(&storage).unwrap()), [0, 1, 2], "{keep}");
            let db = open(&storage).unwrap();
            assert_eq!(ints(&db), [0, 1, 2], "{keep}");
            assert_eq!(db.recovery_report().torn_copy, None);
        }
    }
}

#[test]
fn one_slot_is_enough_and_none_is_refused() {
    let bytes = sample();
    let expected = points_of(&read_only(&image::storage_with(&bytes)).unwrap());
    for page in [1, 2] {
        let mut damaged = bytes.clone();
        damaged[page * image::PAGE + 8] ^= 0xff;
        let storage = image::storage_with(&damaged);
        assert_eq!(points_of(&read_only(&storage).unwrap()), expected);
        let db = open(&storage).unwrap();
        assert_eq!(points_of(&db), expected);
        // The next writes of the slots repair it.
        db.close().unwrap();
        let db = open(&storage).unwrap();
        db.append_at("more", 1, 1).unwrap();
        db.close().unwrap();
        let mut repaired = image::bytes_of(&storage, NAME);
        repaired[(3 - page) * image::PAGE + 8] ^= 0xff;
        let db = read_only(&image::storage_with(&repaired)).unwrap();
        assert!(db.len("sealed").unwrap() == 70, "page {page} was not repaired");
    }
    let mut damaged = bytes.clone();
    for page in [1, 2] {
        damaged[page * image::PAGE] ^= 1;
    }
    let storage = image::storage_with(&damaged);
    for result in [open(&storage), read_only(&storage)] {
        assert!(matches!(result, Err(SynaError::Corrupt { .. })), "{result:?}");
    }
    assert_eq!(image::bytes_of(&storage, NAME), damaged);
    assert_eq!(salvaged(&damaged).unwrap(), (expected, 0));
}

// Rows 22, 23.

#[test]
fn an_entry_of_another_place_or_file_is_rejected() {
    let (bytes, other) = (unsynced(4), unsynced(4));
    let entries = image::entries(&bytes);
    let len = entries[0].len;
    assert!(entries.iter().all(|entry| entry.len == len));
    for (from, place) in [(0, 1), (1, 2), (2, 1), (3, 0)] {
        for source in [&bytes, &other] {
            let mut spliced = bytes.clone();
            let (from, place) = (entries[from].offset, entries[place].offset);
            spliced[place..place + len].copy_from_slice(&source[from..from + len]);
            let before = (place - LOG_START) / len;
            let expected: Vec<i64> = (0..before as i64).collect();
            assert_eq!(ints(&open(&image::storage_with(&spliced)).unwrap()), expected);
        }
    }
    // The same place of another file: salt tells them apart, also without the chain.
    let mut spliced = bytes.clone();
    let at = entries[1].offset;
    spliced[at..at + len].copy_from_slice(&other[at..at + len]);
    let (found, missing) = salvaged(&spliced).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.matches("Int").count(), 3);
    assert_eq!(missing, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a value holds, it is a value: a whole database file, entries, zeros.
    #[test]
    fn a_value_is_never_parsed(
        picks in proptest::collection::vec((0usize..6, any::<u16>(), any::<u16>()), 1..5),
        torn in any::<bool>(),
    ) {
        let inner = sample();
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let db = open(&storage).unwrap();
        let mut expected = Vec::new();
        for (n, (what, from, len)) in picks.iter().enumerate() {
            let own = image::image_of(&storage);
            let source: &[u8] = match what {
                0 => &inner,
                // Its own file so far: same salt, other offsets.
                1 => &own,
                2 => &own[LOG_START.min(own.len())..],
                3 => &inner[LOG_START..LOG_START + 4000],
                4 => &[0; 5000],
                _ => &inner[..LOG_START],
            };
            let from = usize::from(*from) % (source.len() + 1);
            let end = (from + usize::from(*len) * 4).min(source.len());
            let value = if n == 0 { source.to_vec() } else { source[from..end].to_vec() };
            db.append_at("value", n as i64, value.clone()).unwrap();
            expected.push(Atom::Bytes(value));
        }
        db.append_at("end", 0, 1).unwrap();
        let bytes = image::image_of(&storage);
        let storage = image::storage_with(&bytes);
        let db = read_only(&storage).unwrap();
        prop_assert_eq!(db.keys().unwrap(), ["end", "value"]);
        let found: Vec<Atom> =
            db.get_history("value").unwrap().into_iter().map(|point| point.value).collect();
        prop_assert_eq!(&found, &expected);
        // Also where the entry around it is damaged, which makes salvage look inside.
        let mut damaged = bytes.clone();
        let entries = image::entries(&bytes);
        if torn {
            damaged[entries[0].offset + 12] ^= 1;
        }
        let (keys, _) = salvaged(&damaged).unwrap();
        for (key, _) in &keys {
            prop_assert!(key == "end" || key == "value", "{} was invented", key);
        }
        let values = expected.len() - usize::from(torn);
        prop_assert_eq!(keys.len(), 1 + usize::from(values > 0));
    }
}

// Row 30.

#[test]
fn what_a_later_version_wrote_is_skipped_or_refused_by_name() {
    let base = unsynced(2);
    let with = |kind, flags, value: &[u8]| {
        let mut bytes = base.clone();
        image::push_entry(&mut bytes, kind, flags, 0, b"key", value);
        image::push_entry(&mut bytes, PUT, 0, 9, b"key", &image::int(9));
        bytes
    };
    for kind in [0x80, 0x86, 0xff] {
        let storage = image::storage_with(&with(kind, 0, b"anything"));
        assert_eq!(ints(&read_only(&storage).unwrap()), [0, 1, 9], "kind {kind:#x} is skipped");
        let db = open(&storage).unwrap();
        assert_eq!(ints(&db), [0, 1, 9]);
        db.verify().unwrap();
        assert_eq!(salvaged(&with(kind, 0, b"anything")).unwrap().1, 0);
    }
    let mut unknown_type = base.clone();
    let mut chunk = chunk_value();
    chunk[4] = 77;
    push_chunk(&mut unknown_type, &chunk);
    let mut unknown_encoding = base.clone();
    let mut chunk = chunk_value();
    chunk[40 + 136 + 1] = 99;
    push_chunk(&mut unknown_encoding, &chunk);
    let mut feature = base.clone();
    set(&mut feature, 12, &8u32.to_le_bytes());
    image::mend_header(&mut feature);
    for (bytes, what, value) in [
        (with(6, 0, b"x"), "entry kind", 6),
        (with(0x7f, 0, b"x"), "entry kind", 0x7f),
        (with(PUT, 0x40, &image::int(1)), "entry flag", 0x40),
        (unknown_type, "chunk type", 77),
        (unknown_encoding, "column encoding", 99),
        (feature, "feature bit of the header", 8),
    ] {
        let storage = image::storage_with(&bytes);
        for result in [open(&storage), read_only(&storage)] {
            match result {
                Err(SynaError::UnsupportedFeature { what: found, value: number, .. }) => {
                    assert_eq!((found, number), (what, value));
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        assert_eq!(image::bytes_of(&storage, NAME), bytes, "the file is untouched");
    }
    let mut compatible = base.clone();
    set(&mut compatible, 16, &8u32.to_le_bytes());
    image::mend_header(&mut compatible);
    assert_eq!(ints(&read_only(&image::storage_with(&compatible)).unwrap()), [0, 1]);
    let mut newer = base;
    set(&mut newer, 8, &2u16.to_le_bytes());
    image::mend_header(&mut newer);
    let error = read_only(&image::storage_with(&newer)).unwrap_err();
    assert!(matches!(error, SynaError::UnsupportedVersion { major: 2, .. }), "{error}");
}

/// The value of a chunk of two integers, rows 2 and 3, as it stands under the key `key`.
fn chunk_value() -> Vec<u8> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    db.append_at("key", 0, 0).unwrap();
    db.append_at("key", 1, 1).unwrap();
    db.append_batch("key", &[5; 40], &[7i64; 40]).unwrap();
    drop(db);
    let bytes = image::bytes_of(&storage, NAME);
    let chunk = image::entries(&bytes).into_iter().find(|entry| entry.kind == CHUNK).unwrap();
    chunk.value(&bytes).to_vec()
}

fn push_chunk(bytes: &mut Vec<u8>, value: &[u8]) -> usize {
    image::push_entry(bytes, CHUNK, 0, 0, b"key", value)
}

// Rows 25, 28 and C2: every field of every header, checksums made right.

/// Opens, reads, verifies and salvages; panics and large allocations are the caller's to notice.
fn probe(bytes: &[u8]) {
    frugal(bytes.len(), || probe_all(bytes));
}

fn probe_all(bytes: &[u8]) {
    let storage = image::storage_with(bytes);
    for db in [read_only(&storage), open(&storage)].into_iter().flatten() {
        let _ = db.verify();
        let _ = read_all(&db);
        for key in db.keys().unwrap_or_default() {
            let _ = db.get_point(&key);
            let _ = db.get_point_at(&key, 3);
            let _ = db.get_history_range(&key, -5..5);
        }
        let _ = db.stats();
        if let Ok(mut follower) = db.follow("*", FollowFrom::Beginning) {
            while let Ok(Some(commit)) = follower.next(Duration::ZERO) {
                for change in commit.changes() {
                    if let Change::Appended(appended) = change {
                        let _ = appended.points();
                    }
                }
            }
        }
        if !db.is_read_only() {
            // Whatever the file says, appending to it must not panic.
            let _ = db.append_at("sealed", 1, 1);
            let _ = db.append_at("key", 1, 1);
            let _ = db.append_batch("key", &[1; 40], &[1i64; 40]);
            let _ = db.checkpoint();
            // Rewrites take longer than all the rest: for some.
            if !bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>().is_multiple_of(5) {
                continue;
            }
            let before = read_all(&db);
            if db.optimize().is_ok() {
                // What could be read before is there, whatever else the file says.
                if let (Ok(before), Ok(after)) = (before, read_all(&db)) {
                    assert_eq!(format!("{before:?}"), format!("{after:?}"));
                }
                db.verify().unwrap_or_else(|error| panic!("the optimized file: {error}"));
            }
            let _ = db.retain(&RetainPolicy::new().since("*", 3).unwrap());
        }
    }
    let storage = image::storage_with(bytes);
    let _ = salvage_storage(&storage, Path::new(NAME), Path::new("/copy"), &mut |_| {});
}

/// A slot could state the last possible epoch, and writing the next one overflowed.
#[test]
fn a_slot_of_the_last_epoch_is_not_believed() {
    let mut bytes = sample();
    for page in [1, 2] {
        set(&mut bytes, page * image::PAGE, &u64::MAX.to_le_bytes());
        image::mend_slot(&mut bytes, page);
    }
    assert!(matches!(open(&image::storage_with(&bytes)), Err(SynaError::Corrupt { .. })));
    probe(&bytes);
}

/// Numbers that break arithmetic on lengths.
fn wild(rng: &mut SplitMix64, len: usize) -> u64 {
    let len = len as u64;
    match rng.below(14) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => u64::MAX - 1,
        4 => u64::MAX - 7,
        5 => 1 << 63,
        6 => (1 << 63) - 1,
        7 => u64::from(u32::MAX),
        8 => 1 << 31,
        9 => len,
        10 => len - 1,
        11 => len + 1,
        12 => rng.next_u64() % (2 * len),
        _ => rng.next_u64() >> rng.below(64),
    }
}

/// Changes one field at random, and makes the checksums right.
fn mutate(bytes: &mut [u8], rng: &mut SplitMix64) {
    let entries = image::entries(bytes);
    let value = wild(rng, bytes.len());
    let mut put = |at: usize, width: usize| {
        if at + width <= bytes.len() {
            set(bytes, at, &value.to_le_bytes()[..width]);
        }
    };
    match rng.below(20) {
        0 => {
            let fields = [(8, 2), (12, 4), (16, 4), (56, 8), (72, 8), (96, 8), (104, 8), (112, 8)];
            let (at, width) = *rng.pick(&fields);
            put(at, width);
            image::mend_header(bytes);
        }
        1 | 2 => {
            let page = 1 + rng.below(2);
            put(page * image::PAGE + 8 * rng.below(5), 8);
            image::mend_slot(bytes, page);
        }
        what => {
            if entries.is_empty() {
                return;
            }
            let wanted = match what {
                3..9 => CHUNK,
                9..13 => image::CHECKPOINT,
                13 => COMMIT,
                _ => 0,
            };
            let of_kind: Vec<_> =
                entries.iter().filter(|e| wanted == 0 || e.kind == wanted).collect();
            if of_kind.is_empty() {
                return;
            }
            let entry = *rng.pick(&of_kind);
            if wanted == 0 {
                let (at, width) = *rng.pick(&[(8, 1), (9, 8), (17, 2), (19, 4), (23, 1)]);
                put(entry.offset + at, width);
            } else {
                // Headers come first in a value: most fields that steer anything are there.
                let end = entry.val_len.min(if rng.chance(3, 4) { 400 } else { usize::MAX });
                let width = *rng.pick(&[1, 2, 4, 8]);
                put(entry.value_at + rng.below(end.max(1)), width);
            }
            image::mend_log(bytes);
        }
    }
}

#[test]
fn hostile_fields_with_good_checksums_never_panic_nor_allocate_much() {
    let samples = [sample(), unsynced(20), {
        let mut bytes = sample();
        image::forget_durable(&mut bytes);
        bytes
    }];
    let mut rng = SplitMix64::announced("hostile fields", 0xc2);
    let rounds: usize =
        std::env::var("SYNADB_MUTATIONS").map_or(20_000, |n| n.parse().expect("a number"));
    for round in 0..rounds {
        let mut bytes = samples[round % samples.len()].clone();
        for _ in 0..1 + rng.below(3) {
            mutate(&mut bytes, &mut rng);
        }
        if rng.chance(1, 50) {
            bytes.truncate(rng.below(bytes.len()));
        }
        probe(&bytes);
    }
    println!("mutations: {rounds}");
}

#[test]
fn lengths_at_every_edge_are_refused() {
    let base = unsynced(3);
    let entry = image::entries(&base)[1].clone();
    let rest = (base.len() - entry.offset) as u32;
    for val_len in [0, 1, 3, 4, 5, 11, 13, rest - 27, rest, rest + 1, u32::MAX - 24, u32::MAX] {
        for key_len in [0, 1, 3, 4, u16::MAX - 1, u16::MAX] {
            let mut bytes = base.clone();
            set(&mut bytes, entry.offset + 17, &key_len.to_le_bytes());
            set(&mut bytes, entry.offset + 19, &val_len.to_le_bytes());
            image::mend_log(&mut bytes);
            probe(&bytes);
        }
    }
}

/// Millions of regular points take a few hundred bytes. Behind a gap salvage compared every row of
/// such a chunk with the puts before it, which took eight bytes a row in one piece.
#[test]
fn a_small_file_with_very_many_rows_is_salvaged_in_little_memory() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    for i in 0..10 {
        db.append_at("other", i, i).unwrap();
        db.append_at("key", i, i).unwrap();
    }
    let times: Vec<i64> = (0..12_000_000).collect();
    db.append_batch("key", &times, &vec![7i64; times.len()]).unwrap();
    db.append_at("key", -1, 1.5).unwrap();
    drop(times);
    db.close().unwrap();
    let mut bytes = image::bytes_of(&storage, NAME);
    // The value of the first point.
    bytes[12_288 + 24 + 5 + 4] ^= 1;
    let damaged = image::storage_with(&bytes);
    frugal(bytes.len(), || {
        salvage_storage(&damaged, Path::new(NAME), Path::new("/copy"), &mut |_| {}).unwrap();
    });
    let copy = SynaDB::with_storage(damaged, "/copy", config()).unwrap();
    assert_eq!((copy.len("other").unwrap(), copy.len("key").unwrap()), (9, 12_000_011));
    assert_eq!(copy.get_history_rows("key", 0..11).unwrap()[10].value, Atom::Int(7));
    assert_eq!(copy.get("key").unwrap(), Some(Atom::Float(1.5)));
}

/// LZ4 blocks of puts: what they say they decode to is compared with what they could, and with the
/// limit, before anything is allocated; and a block that gives anything else is refused.
#[test]
fn lz4_lengths_that_cannot_be_are_refused_before_anything_is_allocated() {
    const IS_COMPRESSED: u8 = 2;
    let base = unsynced(2);
    // The bincode bytes of a text of 300 times a, and their LZ4 block: 13 literals, then a match of
    // 294 (4 + 15 + 255 + 20) at distance 1, then the last 5 literals.
    let mut plain = vec![3, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0];
    plain.extend([b'a'; 300]);
    let mut block = vec![0xdf];
    block.extend(&plain[..13]);
    block.extend([1, 0, 255, 20, 0x50]);
    block.extend([b'a'; 5]);
    let with = |declared: u32, block: &[u8]| {
        let mut bytes = base.clone();
        let value = [&declared.to_le_bytes()[..], block].concat();
        image::push_entry(&mut bytes, PUT, IS_COMPRESSED, 0, b"text", &value);
        bytes
    };
    let good = with(plain.len() as u32, &block);
    let db = open(&image::storage_with(&good)).unwrap();
    assert_eq!(db.get("text").unwrap(), Some(Atom::Text("a".repeat(300))));
    let refused = |bytes: &[u8], what: &str| {
        probe(bytes);
        match open(&image::storage_with(bytes)) {
            Err(SynaError::Corrupt { .. }) => {}
            // Where it may be large, it is found at the first read.
            Ok(db) => {
                let read = db.get("text");
                assert!(matches!(read, Err(SynaError::Corrupt { .. })), "{what}: {read:?}");
            }
            Err(other) => panic!("{what}: {other:?}"),
        }
    };
    for declared in [0, 1, 12, 76, 311, 313, 5000, 7000, 64 << 20, 0xF000_0000, u32::MAX] {
        refused(&with(declared, &block), "a declared length");
    }
    for end in 0..block.len() {
        refused(&with(312, &block[..end]), "a cut block");
    }
    let mut before_start = block.clone();
    before_start[14] = 200;
    refused(&with(312, &before_start), "an offset before the start");
    for at in 0..block.len() {
        for byte in [0, 0x7f, 0xff] {
            let mut wrong = block.clone();
            wrong[at] = byte;
            probe(&with(312, &wrong));
        }
    }
    // Numbers are too short to be compressed; a flag that says so is no way to store one.
    let mut number = vec![2, 0, 0, 0];
    number.extend([0; 300]);
    let mut zeros = vec![0xdf];
    zeros.extend(&number[..13]);
    zeros.extend([1, 0, 255, 12, 0x50]);
    zeros.extend([0; 5]);
    refused(&with(304, &zeros), "a compressed number");
}

/// A chunk could state rows just below 2^64, and the next put overflowed the row counter.
#[test]
fn row_numbers_near_their_end_are_refused() {
    for first in [1 << 62, (1 << 63) - 1, u64::MAX - 41, u64::MAX - 40, u64::MAX] {
        let mut value = chunk_value();
        set(&mut value, 8, &first.to_le_bytes());
        let mut bytes = empty();
        push_chunk(&mut bytes, &value);
        assert!(matches!(open(&image::storage_with(&bytes)), Err(SynaError::Corrupt { .. })));
        probe(&bytes);
    }
}

/// A segment in a checkpoint could name an entry beyond the end of the file: reading it through the
/// map was a SIGBUS.
#[test]
fn a_checkpoint_that_points_beyond_the_file_is_not_believed() {
    let bytes = sample();
    let checkpoint =
        image::entries(&bytes).into_iter().rfind(|e| e.kind == image::CHECKPOINT).unwrap();
    let mut tried = 0;
    for at in checkpoint.value_at + 40..checkpoint.value_at + checkpoint.val_len - 8 {
        // Every place that holds the offset of a chunk or large value, or its length.
        let value = image::u64_at(&bytes, at);
        if !(LOG_START as u64..bytes.len() as u64).contains(&value) || !value.is_multiple_of(8) {
            continue;
        }
        for wrong in [bytes.len() as u64 - 8, checkpoint.offset as u64 - 16, u64::MAX - 7, 8] {
            let mut hostile = bytes.clone();
            set(&mut hostile, at, &wrong.to_le_bytes());
            image::mend_log(&mut hostile);
            probe(&hostile);
            tried += 1;
        }
    }
    assert!(tried > 0, "the sample has segments in its checkpoint");
}

// Row 31: linear time and bounded memory.

fn tiny_entries(count: usize, keys: usize, batch: bool) -> Vec<u8> {
    let mut bytes = empty();
    let mut previous = image::chain_start(&bytes);
    let (first, mut members) = (bytes.len() as u64, 0);
    bytes.reserve(count * 40);
    let flags = if batch { IN_BATCH } else { 0 };
    for n in 0..count {
        let key = format!("{:x}", n % keys);
        let offset = bytes.len();
        image::push_entry_at(&mut bytes, offset, previous, PUT, flags, 0, key.as_bytes(), &[0; 4]);
        previous = image::u32_at(&bytes, offset);
        members = crc32c::crc32c_append(members, &bytes[offset + 4..offset + 8]);
    }
    if batch {
        let mut value = first.to_le_bytes().to_vec();
        value.extend_from_slice(&(count as u32).to_le_bytes());
        value.extend_from_slice(&members.to_le_bytes());
        let offset = bytes.len();
        image::push_entry_at(&mut bytes, offset, previous, COMMIT, 0, 0, b"", &value);
    }
    bytes
}

/// Of twice the work. What else the machine does makes one measurement slow, but not each of five.
fn linear(what: &str, mut times: impl FnMut() -> (Duration, Duration)) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (half, whole) = times();
        seen.push((half, whole));
        // More than twice the time where caches no longer suffice; four times as long is not linear.
        if whole < half * 7 / 2 + Duration::from_millis(20) {
            println!("{what}: {seen:?}");
            return;
        }
    }
    panic!("{what}: {seen:?}");
}

fn open_time(bytes: &[u8]) -> Duration {
    let storage = image::storage_with(bytes);
    let start = Instant::now();
    let db = read_only(&storage).unwrap();
    let time = start.elapsed();
    assert!(!db.keys().unwrap().is_empty());
    time
}

fn salvaged_keys(bytes: &[u8]) {
    let storage = image::storage_with(bytes);
    let report =
        salvage_storage(&storage, Path::new(NAME), Path::new("/copy"), &mut |_| {}).unwrap();
    assert_eq!((report.points, report.missing.len()), (1_000_000, 0));
}

#[test]
fn very_many_tiny_entries_open_in_linear_time() {
    for (keys, batch) in [(1, false), (1_000_000, false), (1_000_000, true)] {
        let (half, whole) =
            (tiny_entries(500_000, keys, batch), tiny_entries(1_000_000, keys, batch));
        open_time(&half);
        let what = format!("10^6 entries, {keys} keys, batch {batch}");
        linear(&what, || frugal(whole.len(), || (open_time(&half), open_time(&whole))));
        frugal(whole.len(), || salvaged_keys(&whole));
    }
}

#[test]
fn the_search_behind_damage_takes_linear_time_whatever_the_bytes_claim() {
    // A claim of a long value at every eighth byte.
    let hostile = |len: usize| {
        let mut bytes = unsynced(2);
        let mut claim = vec![0; 24];
        claim[8] = PUT;
        claim[17] = 3;
        set(&mut claim, 19, &((len / 2) as u32).to_le_bytes());
        while bytes.len() < len {
            bytes.extend_from_slice(&claim);
        }
        bytes
    };
    let time = |bytes: &[u8]| {
        let start = Instant::now();
        probe(bytes);
        start.elapsed()
    };
    let (half, whole) = (hostile(8 << 20), hostile(16 << 20));
    time(&half);
    linear("search in 16 MiB of claims", || (time(&half), time(&whole)));
}

// Keys and values at their limits.

#[test]
fn keys_and_values_at_their_limits() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    let longest = "k".repeat(65_535);
    db.append_at(&longest, 1, 1).unwrap();
    db.append_at("nul\0inside", 1, 2).unwrap();
    assert!(matches!(db.append("", 1), Err(SynaError::EmptyKey)));
    let too_long = "k".repeat(65_536);
    assert!(matches!(db.append(&too_long, 1), Err(SynaError::KeyTooLong { len: 65_536 })));
    let limit = (64 << 20) - 12;
    let error = db.append("v", vec![1u8; limit + 1]).unwrap_err();
    assert!(matches!(error, SynaError::ValueTooLarge { len, .. } if len == (64 << 20) + 1));
    db.append_at("v", 1, vec![1u8; limit]).unwrap();
    for keys in 0..50 {
        db.append_at(&format!("{keys}{}", &longest[..65_500]), 1, keys).unwrap();
    }
    db.close().unwrap();
    let db = open(&storage).unwrap();
    db.verify().unwrap();
    assert_eq!(db.get(&longest).unwrap(), Some(Atom::Int(1)));
    assert_eq!(db.get("nul\0inside").unwrap(), Some(Atom::Int(2)));
    assert_eq!(db.get("nul").unwrap(), None);
    assert_eq!(db.keys().unwrap().len(), 53);
    assert!(db.get("v").unwrap() == Some(Atom::Bytes(vec![1; limit])));
}

#[test]
fn a_key_that_is_not_utf8_is_corrupt() {
    let mut bytes = unsynced(2);
    image::push_entry(&mut bytes, PUT, 0, 0, b"\xff\xfe", &image::int(1));
    for result in [open(&image::storage_with(&bytes)), read_only(&image::storage_with(&bytes))] {
        assert!(matches!(result, Err(SynaError::Corrupt { .. })), "{result:?}");
    }
    assert_eq!(salvaged(&bytes).unwrap().1, 1);
}

/// A checkpoint of several pieces, its members flipped here and there.
#[test]
fn a_checkpoint_in_pieces_is_an_accelerator_only() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let db = open(&storage).unwrap();
    let mut batch = db.batch();
    for n in 0..400 {
        batch.append_at(&format!("{n:03}{}", "k".repeat(60_000)), n, n).unwrap();
    }
    batch.commit().unwrap();
    db.close().unwrap();
    let bytes = image::image_of(&storage);
    let pieces: Vec<_> =
        image::entries(&bytes).into_iter().filter(|e| e.kind == image::CHECKPOINT).collect();
    assert!(pieces.len() > 1, "{} pieces", pieces.len());
    let db = read_only(&image::storage_with(&bytes)).unwrap();
    assert!(db.recovery_report().from_checkpoint);
    for (n, piece) in pieces.iter().enumerate() {
        let mut hostile = bytes.clone();
        // Another number of pieces: good checksums, but it is no image.
        set(&mut hostile, piece.value_at + 8, &9u32.to_le_bytes());
        image::mend_log(&mut hostile);
        let db = read_only(&image::storage_with(&hostile)).unwrap();
        assert!(!db.recovery_report().from_checkpoint, "piece {n}");
        assert_eq!(db.keys().unwrap().len(), 400);
    }
}

#[test]
fn opening_for_reading_never_writes_whatever_the_file() {
    let mut rng = SplitMix64::announced("reading", 5);
    for _ in 0..200 {
        let mut bytes = sample();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        let storage = image::storage_with(&bytes);
        let _ = read_only(&storage).and_then(|db| read_all(&db));
        assert_eq!(image::bytes_of(&storage, NAME), bytes);
        assert!(storage.open(Path::new(NAME), OpenMode::Read).unwrap().try_lock().unwrap());
    }
}
