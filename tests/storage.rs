//! The storages keep what the trait promises, and the simulated power loss shows what a real one
//! may.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "helpers of tests panic as tests do"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use support::content::{Content, SECTOR};
use support::crash_states::CrashStates;
use support::disk_image::DiskImage;
use support::fault::{Crashed, FailedPages, FaultPlan, Operation, Target, Times};
use support::rng::SplitMix64;
use support::simulated::SimulatedStorage;
use support::trace::{Event, SyncOutcome};
use synadb::storage::{
    FileKind, FileStorage, Medium, MemoryStorage, OpenMode, Replace, Storage, StorageFile,
};

fn create(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Arc<dyn StorageFile> {
    let file = storage.open(path, OpenMode::CreateNew).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    file
}

fn content(file: &dyn StorageFile) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn kind_of<T: std::fmt::Debug>(result: std::io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// What holds for every storage.
mod conformance {
    use super::*;

    fn all(storage: &dyn Storage, folder: &Path) {
        opens(storage, folder);
        reads_and_writes(storage, folder);
        changes_lengths(storage, folder);
        locks(storage, folder);
        names(storage, folder);
        maps(storage, folder);
        tells_status(storage, folder);
    }

    fn opens(storage: &dyn Storage, folder: &Path) {
        let path = folder.join("opens");
        assert_eq!(kind_of(storage.open(&path, OpenMode::Read)), ErrorKind::NotFound);
        assert_eq!(kind_of(storage.open(&path, OpenMode::ReadWrite)), ErrorKind::NotFound);
        create(storage, &path, b"kept");
        assert_eq!(kind_of(storage.open(&path, OpenMode::CreateNew)), ErrorKind::AlreadyExists);
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            assert_eq!(content(&*storage.open(&path, mode).unwrap()), b"kept");
            assert_eq!(kind_of(storage.open(folder, mode)), ErrorKind::IsADirectory);
        }
        let reader = storage.open(&path, OpenMode::Read).unwrap();
        assert!(reader.write_at(b"x", 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert_eq!(content(&*reader), b"kept");
    }

    fn reads_and_writes(storage: &dyn Storage, folder: &Path) {
        let file = create(storage, &folder.join("writes"), b"0123456789");
        let mut buffer = [b'-'; 4];
        assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 2);
        assert_eq!(&buffer, b"89--");
        assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(file.write_vectored_at(&parts, 9).unwrap(), 5);
        assert_eq!(content(&*file), b"012345678abcde");
        assert_eq!(file.write_at(b"far", 9000).unwrap(), 3);
        let bytes = content(&*file);
        assert_eq!(bytes.len(), 9003);
        assert!(bytes[14..9000].iter().all(|byte| *byte == 0));
        assert_eq!(&bytes[9000..], b"far");
        file.sync_data().unwrap();

        let many: Vec<IoSlice<'_>> = (0..3000).map(|_| IoSlice::new(b"!")).collect();
        assert!(file.write_vectored_at(&many, 0).unwrap() >= 1024);
    }

    fn changes_lengths(storage: &dyn Storage, folder: &Path) {
        let file = create(storage, &folder.join("lengths"), &[7; 10_000]);
        file.set_len(5000).unwrap();
        file.set_len(9000).unwrap();
        let bytes = content(&*file);
        assert!(bytes[..5000].iter().all(|byte| *byte == 7));
        assert!(bytes[5000..].iter().all(|byte| *byte == 0));

        file.allocate(8000).unwrap();
        assert_eq!(file.len().unwrap(), 9000, "never shorter");
        file.allocate(300_000).unwrap();
        assert_eq!(file.len().unwrap(), 300_000);
        assert!(content(&*file)[5000..].iter().all(|byte| *byte == 0));
        assert!(!file.is_empty().unwrap());

        file.write_at(b"x", 200_000).unwrap();
        match file.next_data(100_000) {
            Ok(found) => assert!(found.is_some_and(|offset| offset <= 200_000)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
        }
        if let Ok(found) = file.next_data(300_000) {
            assert_eq!(found, None);
        }
        file.set_len(0).unwrap();
        assert!(file.is_empty().unwrap());
    }

    fn locks(storage: &dyn Storage, folder: &Path) {
        let path = folder.join("locks");
        let one = create(storage, &path, b"");
        let two = storage.open(&path, OpenMode::ReadWrite).unwrap();
        assert!(one.try_lock().unwrap());
        assert!(!two.try_lock().unwrap());
        drop(storage.open(&path, OpenMode::Read).unwrap());
        assert!(!two.try_lock().unwrap(), "another close does not release it");
        two.unlock().unwrap();
        assert!(!two.try_lock().unwrap(), "only the holder releases it");
        one.unlock().unwrap();
        assert!(two.try_lock().unwrap());
        drop(two);
        assert!(one.try_lock().unwrap(), "closing releases it");

        let new = create(storage, &folder.join("locks-new"), b"");
        assert!(new.try_lock().unwrap());
        storage.rename(&folder.join("locks-new"), &path, Replace::Yes).unwrap();
        let three = storage.open(&path, OpenMode::ReadWrite).unwrap();
        assert!(!three.try_lock().unwrap(), "a lock goes with the file, not with the name");
    }

    fn names(storage: &dyn Storage, folder: &Path) {
        let (a, b) = (folder.join("names-a"), folder.join("names-b"));
        let first = create(storage, &a, b"first");
        let second = create(storage, &b, b"second");
        let identity = storage.status(&a).unwrap().identity;
        assert_eq!(kind_of(storage.rename(&a, &b, Replace::No)), ErrorKind::AlreadyExists);
        assert_eq!(content(&*storage.open(&b, OpenMode::Read).unwrap()), b"second");
        storage.rename(&a, &b, Replace::Yes).unwrap();
        assert_eq!(kind_of(storage.status(&a)), ErrorKind::NotFound);
        assert_eq!(storage.status(&b).unwrap().identity, identity);
        assert_eq!(content(&*second), b"second", "an open file outlives its name");
        assert_eq!(second.status().unwrap().links, 0);
        storage.rename(&b, &a, Replace::No).unwrap();
        assert_eq!(kind_of(storage.rename(&b, &a, Replace::Yes)), ErrorKind::NotFound);
        storage.sync_folder(folder).unwrap();

        let listed: BTreeSet<_> = storage.list(folder).unwrap().into_iter().collect();
        assert!(listed.contains(a.file_name().unwrap()));
        assert!(!listed.contains(b.file_name().unwrap()));
        storage.remove(&a).unwrap();
        assert_eq!(kind_of(storage.remove(&a)), ErrorKind::NotFound);
        assert_eq!(first.write_at(b"still", 0).unwrap(), 5);
        assert_eq!(content(&*first), b"still");

        let again = create(storage, &a, b"");
        assert_ne!(again.status().unwrap().identity, first.status().unwrap().identity);
        assert_eq!(storage.resolve(&folder.join("./x/../names-a")).is_ok(), folder_has_x(folder));
        assert_eq!(
            storage.resolve(&folder.join("missing")).unwrap(),
            storage.resolve(folder).unwrap().join("missing")
        );
    }

    /// `x/..` needs a folder `x` on a file system only.
    fn folder_has_x(folder: &Path) -> bool {
        !folder.exists()
    }

    fn maps(storage: &dyn Storage, folder: &Path) {
        let path = folder.join("maps");
        let file = create(storage, &path, b"");
        let empty = file.map(0).unwrap();
        assert!(empty.is_empty());
        assert_eq!(empty.slice(0, 0), Some(&[][..]));
        assert_eq!(empty.slice(0, 1), None);

        file.write_at(&[1; 70_000], 0).unwrap();
        let map = file.map(1 << 30).unwrap();
        assert_eq!(map.slice(0, 70_000).unwrap(), [1; 70_000]);
        assert_eq!(map.slice(69_999, 1).unwrap(), [1]);
        assert_eq!(map.slice(64 * 7, 64).unwrap().as_ptr() as usize % 64, 0);
        assert_eq!(map.slice(map.len(), 1), None);
        assert_eq!(map.slice(u64::MAX, 1), None);
        assert_eq!(map.slice(1, usize::MAX), None);

        // What the file gains is in the map, or a new map has it.
        file.write_at(&[2; 5000], 70_000).unwrap();
        assert_eq!(map.slice(70_000, 5000).unwrap(), [2; 5000]);
        file.write_at(&[3; 10], 5 << 20).unwrap();
        let newer = file.map(6 << 20).unwrap();
        assert_eq!(newer.slice(5 << 20, 10).unwrap(), [3; 10]);
        assert!(map.slice(5 << 20, 10).is_none_or(|bytes| bytes == [3; 10]));
        file.write_at(&[4; 10], 80_000).unwrap();
        assert_eq!(map.slice(80_000, 10).unwrap(), [4; 10], "the older map goes on");
        assert_eq!(newer.slice(80_000, 10).unwrap(), [4; 10]);

        let held = map.slice(0, 4).unwrap();
        storage.remove(&path).unwrap();
        drop(file);
        assert_eq!(held, [1; 4], "a map outlives name and file");
        assert_eq!(newer.slice(70_000, 2).unwrap(), [2; 2]);
    }

    fn tells_status(storage: &dyn Storage, folder: &Path) {
        let path = folder.join("status");
        let file = create(storage, &path, b"12345");
        let status = storage.status(&path).unwrap();
        assert_eq!(status, file.status().unwrap());
        assert_eq!((status.kind, status.links, status.len), (FileKind::File, 1, 5));
        assert_eq!(storage.status(folder).unwrap().kind, FileKind::Folder);
        if let Some(permissions) = file.permissions().unwrap() {
            let other = create(storage, &folder.join("status-other"), b"");
            let wanted = synadb::storage::Permissions { mode: 0o640, ..permissions };
            other.set_permissions(wanted).unwrap();
            assert_eq!(other.permissions().unwrap(), Some(wanted));
        }
    }

    #[test]
    fn of_files() {
        let folder = tempfile::tempdir().unwrap();
        all(&FileStorage, folder.path());
    }

    #[test]
    fn of_memory() {
        all(&MemoryStorage::new(), Path::new("/folder"));
    }

    #[test]
    fn of_the_simulation() {
        all(&SimulatedStorage::new(), Path::new("/folder"));
    }

    #[test]
    fn storages_in_memory_have_different_devices() {
        let path = Path::new("/a");
        let storages: [&dyn Storage; 4] = [
            &MemoryStorage::new(),
            &MemoryStorage::new(),
            &SimulatedStorage::new(),
            &SimulatedStorage::new(),
        ];
        let identities: BTreeSet<u64> = storages
            .iter()
            .map(|storage| create(*storage, path, b"").status().unwrap().identity.device)
            .collect();
        assert_eq!(identities.len(), 4);
    }
}

#[cfg(target_os = "linux")]
mod files {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    #[test]
    fn fifos_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [&fifo, &PathBuf::from("/dev/null")] {
            assert_eq!(FileStorage.status(path).unwrap().kind, FileKind::Other);
            for mode in [OpenMode::Read, OpenMode::ReadWrite] {
                assert_eq!(kind_of(FileStorage.open(path, mode)), ErrorKind::InvalidInput);
            }
        }
    }

    #[test]
    fn paths_resolve_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        std::fs::create_dir(at("inner")).unwrap();
        create(&FileStorage, &at("inner/file"), b"");
        symlink("inner", at("to-folder")).unwrap();
        symlink("to-folder/file", at("to-file")).unwrap();
        symlink("to-folder/missing", at("dangling")).unwrap();
        symlink("dangling", at("dangling-twice")).unwrap();
        symlink(at("inner/missing"), at("dangling-absolute")).unwrap();
        symlink("loop-b", at("loop-a")).unwrap();
        symlink("loop-a", at("loop-b")).unwrap();
        symlink("nowhere/file", at("no-folder")).unwrap();

        let resolve = |name: &str| FileStorage.resolve(&at(name));
        assert_eq!(resolve("to-file").unwrap(), at("inner/file"));
        assert_eq!(resolve("to-folder/../inner/./file").unwrap(), at("inner/file"));
        assert_eq!(resolve("to-folder/new").unwrap(), at("inner/new"));
        for dangling in ["dangling", "dangling-twice", "dangling-absolute"] {
            assert_eq!(resolve(dangling).unwrap(), at("inner/missing"));
        }
        assert_eq!(resolve("loop-a").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(kind_of(resolve("no-folder")), ErrorKind::NotFound);
        assert_eq!(kind_of(resolve("nowhere/file")), ErrorKind::NotFound);
        assert_eq!(kind_of(resolve("missing/")), ErrorKind::IsADirectory);
        assert_eq!(kind_of(resolve("inner/file/")), ErrorKind::NotADirectory);
        assert!(FileStorage.resolve(Path::new("")).is_err());
        assert!(FileStorage.resolve(Path::new("no-such-file")).unwrap().is_absolute());

        // Opening follows links; creating does not, not even dangling ones.
        assert!(FileStorage.open(&at("to-file"), OpenMode::Read).is_ok());
        let created = FileStorage.open(&at("dangling"), OpenMode::CreateNew);
        assert_eq!(kind_of(created), ErrorKind::AlreadyExists);
    }

    #[test]
    fn hard_links_are_counted_and_have_one_identity() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let file = create(&FileStorage, &a, b"");
        std::fs::hard_link(&a, &b).unwrap();
        assert_eq!(file.status().unwrap().links, 2);
        assert_eq!(FileStorage.status(&b).unwrap().identity, file.status().unwrap().identity);
    }

    #[test]
    fn lock_holder_is_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locked");
        let one = create(&FileStorage, &path, b"");
        let two = FileStorage.open(&path, OpenMode::ReadWrite).unwrap();
        assert_eq!(two.lock_holder(), None);
        assert!(one.try_lock().unwrap());
        // Some file systems number devices differently in /proc/locks: then nobody is named.
        assert!([None, Some(std::process::id())].contains(&two.lock_holder()));
        one.unlock().unwrap();
        assert_eq!(two.lock_holder(), None);
    }

    #[test]
    fn allocated_space_is_a_hole_in_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let file = create(&FileStorage, &folder.path().join("allocated"), b"data");
        match file.allocate(1 << 20) {
            Ok(()) => assert_eq!(file.len().unwrap(), 1 << 20),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                return;
            }
        }
        file.sync_data().unwrap();
        assert_eq!(file.next_data(0).unwrap(), Some(0));
        assert!(file.next_data(64 << 10).unwrap().is_none_or(|found| found >= 64 << 10));
        assert_eq!(file.next_data(2 << 20).unwrap(), None);
    }

    #[test]
    fn a_map_may_reach_far_beyond_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = create(&FileStorage, &folder.path().join("mapped"), b"short");
        let map = file.map(1 << 40).unwrap();
        assert_eq!(map.len(), 1 << 40);
        assert_eq!(map.slice(0, 5).unwrap(), b"short");
        file.write_at(&[9; 100_000], 5).unwrap();
        assert_eq!(map.slice(5, 100_000).unwrap(), [9; 100_000]);
        assert!(file.map(u64::MAX).is_err());
    }

    #[test]
    fn media_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(FileStorage.medium(folder.path()).is_ok());
        assert_eq!(FileStorage.medium(Path::new("/dev/shm")).unwrap(), Medium::Memory);
        assert_eq!(kind_of(FileStorage.medium(&folder.path().join("x"))), ErrorKind::NotFound);
    }
}

mod faults {
    use super::*;

    const PATH: &str = "/db";

    fn simulated() -> (SimulatedStorage, Arc<dyn StorageFile>) {
        let storage = SimulatedStorage::new();
        let file = create(&storage, Path::new(PATH), b"");
        (storage, file)
    }

    #[test]
    fn the_nth_call_fails_once_or_for_ever() {
        let (storage, file) = simulated();
        storage.set_plan(FaultPlan::new().fail(Operation::Write, 2, Times::Once, libc::EIO));
        assert!(file.write_at(b"1", 0).is_ok());
        assert!(file.len().is_ok());
        assert_eq!(file.write_at(b"2", 1).unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(file.write_at(b"3", 1).is_ok());
        assert_eq!(content(&*file), b"13");

        let plan = FaultPlan::new().fail(Target::Change, 1, Times::Forever, ErrorKind::Interrupted);
        storage.set_plan(plan);
        assert!(file.len().is_ok());
        assert_eq!(kind_of(file.set_len(0)), ErrorKind::Interrupted);
        assert_eq!(kind_of(file.write_at(b"4", 0)), ErrorKind::Interrupted);
        assert_eq!(content(&*file), b"13");
        assert_eq!(storage.calls(Operation::Write), 5);
        assert!(storage.calls(Target::Any) > storage.calls(Target::Change));
    }

    #[test]
    fn writes_are_short() {
        let (storage, file) = simulated();
        let plan = FaultPlan::new().short_write(1, Times::Once, 3).short_write(2, Times::Once, 0);
        storage.set_plan(plan);
        assert_eq!(file.write_at(b"abcdef", 0).unwrap(), 3);
        assert_eq!(file.write_at(b"def", 3).unwrap(), 0);
        assert_eq!(file.write_at(b"def", 3).unwrap(), 3);
        assert_eq!(content(&*file), b"abcdef");
    }

    #[test]
    fn space_runs_out_and_comes_back() {
        let (storage, file) = simulated();
        storage.set_space_limit(Some(10));
        assert_eq!(file.write_at(&[1; 8], 0).unwrap(), 8);
        assert_eq!(file.write_at(&[2; 8], 8).unwrap(), 2, "what fits");
        assert_eq!(file.write_at(&[2; 6], 10).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.allocate(11).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.write_at(&[3; 10], 0).unwrap(), 10, "no space needed");
        file.set_len(4).unwrap();
        assert_eq!(file.write_at(&[2; 6], 4).unwrap(), 6);
        storage.set_space_limit(None);
        assert_eq!(file.write_at(&[2; 600], 10).unwrap(), 600);
    }

    #[test]
    fn a_failed_sync_leaves_pages_as_planned() {
        for (pages, expected) in [
            (FailedPages::Dirty, b"old-new"),
            (FailedPages::Clean, b"old-new"),
            (FailedPages::Revert, b"old\0\0\0\0"),
            (FailedPages::Vanish, b"old\0\0\0\0"),
        ] {
            let (storage, file) = simulated();
            file.write_at(b"old", 0).unwrap();
            file.sync_data().unwrap();
            storage.set_plan(FaultPlan::new().fail_sync(1, Times::Once, libc::EIO, pages));
            file.write_at(b"-new", 3).unwrap();
            assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
            assert_eq!(content(&*file), expected, "{pages:?}");
            assert!(file.sync_data().is_ok(), "the next one reports success");

            // Whatever it reports, the bytes are durable only if they had stayed dirty.
            let trace = storage.trace();
            let mut states = CrashStates::new(&trace, 1);
            let survivors: BTreeSet<Vec<u8>> = states
                .states_at(trace.events.len(), 1000)
                .filter_map(|image| image.bytes(PATH))
                .collect();
            assert!(survivors.contains(&b"old-new"[..]));
            let lost = survivors.contains(&b"old\0\0\0\0"[..]);
            assert_eq!(lost, pages != FailedPages::Dirty, "{pages:?}");
            assert!(survivors.iter().all(|bytes| bytes.starts_with(b"old")));

            // Written again and synced, they are.
            file.write_at(b"-new", 3).unwrap();
            file.sync_data().unwrap();
            let trace = storage.trace();
            let mut states = CrashStates::new(&trace, 1);
            for image in states.states_at(trace.events.len(), 1000) {
                assert!(image.bytes(PATH).is_none_or(|bytes| bytes == b"old-new"), "{image}");
            }
        }
    }

    #[test]
    fn after_a_crash_everything_fails() {
        let (storage, file) = simulated();
        storage.set_plan(FaultPlan::new().crash_after(Target::Change, 1));
        file.write_at(b"1", 0).unwrap();
        assert!(file.len().is_ok());
        assert!(Crashed::is(&file.sync_data().unwrap_err()));
        assert!(storage.has_crashed());
        assert!(Crashed::is(&file.len().unwrap_err()));
        assert!(Crashed::is(&storage.status(Path::new(PATH)).unwrap_err()));
        let last = storage.trace().events.pop().unwrap();
        assert!(matches!(last, Event::SyncStart { .. }), "the sync was in progress: {last:?}");
    }

    #[test]
    fn hooks_run_between_calls_and_in_the_middle_of_a_sync() {
        let (storage, file) = simulated();
        file.write_at(b"a", 0).unwrap();
        let other = Arc::clone(&file);
        storage.hook(Operation::SyncData, 1, move |_| {
            other.write_at(b"b", 1).unwrap();
        });
        file.sync_data().unwrap();
        storage.hook(Operation::Lock, 1, |storage| storage.remove(Path::new(PATH)).unwrap());
        assert!(file.try_lock().unwrap());
        assert_eq!(file.status().unwrap().links, 0);

        // What was written during the sync is not made durable by it.
        let trace = storage.trace();
        let end = trace
            .events
            .iter()
            .position(|event| matches!(event, Event::SyncEnd { outcome: SyncOutcome::Ok, .. }));
        let mut states = CrashStates::new(&trace, 1);
        let survivors: BTreeSet<Vec<u8>> = states
            .states_at(end.unwrap() + 1, 1000)
            .filter_map(|image| image.bytes(PATH))
            .collect();
        assert_eq!(survivors, BTreeSet::from([b"a".to_vec(), b"a\0".to_vec(), b"ab".to_vec()]));
    }

    #[test]
    #[should_panic(expected = "the file ends at 3")]
    fn reading_a_map_beyond_the_end_is_caught() {
        let (_, file) = simulated();
        file.write_at(b"abc", 0).unwrap();
        file.map(100).unwrap().slice(0, 4);
    }
}

mod crash_states {
    use super::*;

    const A: [u8; SECTOR] = [b'a'; SECTOR];
    const B: [u8; SECTOR] = [b'b'; SECTOR];
    const C: [u8; SECTOR] = [b'c'; SECTOR];

    /// A storage with a durable empty file `/log`.
    fn log() -> (SimulatedStorage, Arc<dyn StorageFile>) {
        let storage = DiskImage::new().with_file("/log", b"").into_storage();
        let file = storage.open(Path::new("/log"), OpenMode::ReadWrite).unwrap();
        (storage, file)
    }

    fn images(storage: &SimulatedStorage, limit: usize) -> Vec<DiskImage> {
        let trace = storage.trace();
        let mut states = CrashStates::new(&trace, 7);
        states.states_at(trace.events.len(), limit).collect()
    }

    fn logs(storage: &SimulatedStorage, limit: usize) -> BTreeSet<Vec<u8>> {
        images(storage, limit).iter().filter_map(|image| image.bytes("/log")).collect()
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn synced_bytes_stay_and_unsynced_ones_may_go() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        file.sync_data().unwrap();
        file.write_at(&joined(&[&B, &C]), SECTOR as u64).unwrap();
        let logs = logs(&storage, 100_000);
        assert!(logs.iter().all(|log| log.starts_with(&A)));
        let zeros = [0; SECTOR];
        for possible in [
            joined(&[&A]),
            joined(&[&A, &B, &C]),
            joined(&[&A, &zeros, &C]),
            joined(&[&A, &B, &zeros]),
            joined(&[&A, &zeros, &zeros]),
            // Stale bytes of the same file.
            joined(&[&A, &A, &A]),
            joined(&[&A, &B, &A]),
        ] {
            assert!(logs.contains(&possible), "a state is missing");
        }
        let known = [zeros, A, B, C];
        let random =
            |log: &Vec<u8>| log.chunks(SECTOR).any(|part| !known.iter().any(|k| k == part));
        assert!(logs.iter().any(random), "garbage is missing");
    }

    #[test]
    fn a_sector_holds_one_of_its_versions() {
        let (storage, file) = log();
        file.write_at(&joined(&[&A, &A]), 0).unwrap();
        file.sync_data().unwrap();
        for (byte, offset) in [(b'1', 0), (b'2', 1), (b'3', 600), (b'4', 0)] {
            file.write_at(&[byte], offset).unwrap();
        }
        let heads: BTreeSet<(u8, u8, u8)> =
            logs(&storage, 1000).iter().map(|log| (log[0], log[1], log[600])).collect();
        let first = [(b'a', b'a'), (b'1', b'a'), (b'1', b'2'), (b'4', b'2')];
        let expected: BTreeSet<(u8, u8, u8)> =
            first.iter().flat_map(|(one, two)| [(*one, *two, b'a'), (*one, *two, b'3')]).collect();
        assert_eq!(heads, expected);
    }

    #[test]
    fn a_sync_in_progress_promises_nothing() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        file.sync_data().unwrap();
        let trace = storage.trace();
        let mut states = CrashStates::new(&trace, 7);
        let lens = |point, states: &mut CrashStates<'_>| -> BTreeSet<u64> {
            let images = states.states_at(point, 1000);
            images.filter_map(|image| Some(image.content("/log")?.len())).collect()
        };
        let end = trace.events.len();
        assert!(matches!(trace.events[end - 1], Event::SyncEnd { .. }));
        assert_eq!(lens(end, &mut states), BTreeSet::from([SECTOR as u64]));
        assert_eq!(lens(end - 1, &mut states), BTreeSet::from([0, SECTOR as u64]));
        assert_eq!(lens(0, &mut states), BTreeSet::from([0]), "earlier points work, too");
        assert_eq!(lens(end, &mut states), BTreeSet::from([SECTOR as u64]));
    }

    #[test]
    fn lengths_persist_without_bytes_and_bytes_without_lengths() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        file.sync_data().unwrap();
        file.allocate(64 << 10).unwrap();
        file.write_at(&B, SECTOR as u64).unwrap();
        let logs = logs(&storage, 1000);
        assert!(logs.contains(A.as_slice()));
        let with = |bytes: &[u8]| {
            let mut content = Content::new(bytes);
            content.set_len(64 << 10);
            content.bytes()
        };
        assert!(logs.contains(&with(&A)));
        assert!(logs.contains(&with(&joined(&[&A, &B]))));

        file.sync_data().unwrap();
        file.set_len(2 * SECTOR as u64).unwrap();
        let logs = self::logs(&storage, 1000);
        assert!(logs.iter().all(|log| log.starts_with(&joined(&[&A, &B]))));
        let lens: BTreeSet<usize> = logs.iter().map(Vec::len).collect();
        assert_eq!(lens, BTreeSet::from([2 * SECTOR, 64 << 10]));
    }

    #[test]
    fn a_cut_and_regrown_range_may_show_what_was_cut() {
        let (storage, file) = log();
        file.write_at(&joined(&[&A, &B]), 0).unwrap();
        file.sync_data().unwrap();
        file.set_len(SECTOR as u64).unwrap();
        file.sync_data().unwrap();
        file.write_at(&C, SECTOR as u64).unwrap();
        let logs = logs(&storage, 10_000);
        for possible in [joined(&[&A]), joined(&[&A, &B]), joined(&[&A, &C])] {
            assert!(logs.contains(&possible));
        }
        file.sync_data().unwrap();
        assert_eq!(self::logs(&storage, 10_000), BTreeSet::from([joined(&[&A, &C])]));
    }

    #[test]
    fn names_persist_in_order_and_without_the_bytes() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        file.sync_data().unwrap();
        let new = create(&storage, Path::new("/new"), &B);
        storage.rename(Path::new("/new"), Path::new("/log"), Replace::Yes).unwrap();
        let shapes = |storage: &SimulatedStorage| -> BTreeSet<(Option<usize>, Option<usize>)> {
            let len = |image: &DiskImage, path: &str| image.bytes(path).map(|bytes| bytes.len());
            images(storage, 10_000)
                .iter()
                .map(|image| (len(image, "/log"), len(image, "/new")))
                .collect()
        };
        let sector = Some(SECTOR);
        assert_eq!(
            shapes(&storage),
            BTreeSet::from([
                (sector, None),
                (sector, Some(0)),
                (sector, sector),
                (Some(0), None), // The rename persisted, the bytes of the new file did not.
            ])
        );
        new.sync_data().unwrap();
        let logs_now = logs(&storage, 10_000);
        assert_eq!(logs_now, BTreeSet::from([A.to_vec(), B.to_vec()]), "old or new, whole");
        storage.sync_folder(Path::new("/")).unwrap();
        assert_eq!(logs(&storage, 10_000), BTreeSet::from([B.to_vec()]));
        assert_eq!(images(&storage, 10).len(), 1);

        storage.remove(Path::new("/log")).unwrap();
        let left: BTreeSet<bool> =
            images(&storage, 10).iter().map(|image| image.bytes("/log").is_some()).collect();
        assert_eq!(left, BTreeSet::from([false, true]));
    }

    #[test]
    fn twelve_sectors_are_exhausted_and_more_are_sampled() {
        let (storage, file) = log();
        file.allocate(64 * SECTOR as u64).unwrap();
        file.sync_data().unwrap();
        file.write_at(&[1; 12 * SECTOR], 0).unwrap();
        let trace = storage.trace();
        let mut states = CrashStates::new(&trace, 7);
        let states = states.states_at(trace.events.len(), 4096);
        assert!(states.is_exhaustive());
        let distinct: BTreeSet<Vec<u8>> =
            states.map(|image| image.bytes("/log").unwrap()).collect();
        assert_eq!(distinct.len(), 4096);

        // Exhaustive in sectors even if not together with all else.
        file.write_at(&[1; SECTOR], 64 * SECTOR as u64).unwrap();
        let subsets: BTreeSet<Vec<u8>> =
            logs(&storage, 10_000).into_iter().map(|log| log[..12 * SECTOR].to_vec()).collect();
        assert_eq!(subsets.len(), 4096);

        file.write_at(&[2; 40 * SECTOR], 10 * SECTOR as u64).unwrap();
        let sampled = images(&storage, 2000);
        assert_eq!(sampled.len(), 2000);
        let again = images(&storage, 2000);
        assert!(sampled.iter().zip(&again).all(|(one, other)| one.same_files(other)));
        let missing = |image: &DiskImage| {
            let log = image.bytes("/log").unwrap();
            (10..50).filter(|sector| log[sector * SECTOR] != 2).count()
        };
        let counts: BTreeSet<usize> = sampled.iter().map(missing).collect();
        for count in [0, 1, 2, 20, 38, 39, 40] {
            assert!(counts.contains(&count), "no state in which {count} sectors are missing");
        }
    }

    #[test]
    fn a_numbered_state_can_be_made_again() {
        let (storage, file) = log();
        file.write_at(&[1; 30 * SECTOR], 0).unwrap();
        let trace = storage.trace();
        let mut states = CrashStates::new(&trace, 7);
        let image = states.states_at(trace.events.len(), 1000).nth(777).unwrap();
        let origin = image.origin().unwrap();
        assert_eq!(origin.number, 777);
        let again = states.states_at(origin.point, origin.limit).state(origin.number).unwrap();
        assert!(again.same_files(&image));
        assert!(image.to_string().contains("state 777"));
    }

    #[test]
    fn a_kill_loses_nothing_written() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        file.write_at(&B, 100).unwrap();
        file.set_len(700).unwrap();
        create(&storage, Path::new("/other"), &C);
        let trace = storage.trace();
        let killed = CrashStates::new(&trace, 7).killed_at(trace.events.len());
        assert!(killed.same_files(&storage.image()));
    }

    #[test]
    fn crashes_nest() {
        let (storage, file) = log();
        file.write_at(&A, 0).unwrap();
        for image in images(&storage, 100) {
            let before = image.bytes("/log").unwrap();
            let storage = image.into_storage();
            let file = storage.open(Path::new("/log"), OpenMode::ReadWrite).unwrap();
            file.write_at(&B, SECTOR as u64).unwrap();
            for image in images(&storage, 100) {
                assert!(image.bytes("/log").unwrap().starts_with(&before), "{image}");
            }
        }
    }

    /// A log of numbered records: without checksums, or with one over each record and its place.
    struct TinyLog {
        storage: SimulatedStorage,
        file: Arc<dyn StorageFile>,
        checked: bool,
    }

    const RECORD: usize = 700;

    impl TinyLog {
        fn new(checked: bool) -> Self {
            let (storage, file) = log();
            TinyLog { storage, file, checked }
        }

        fn checksum(&self, record: &[u8], number: usize) -> u32 {
            if self.checked { crc32c::crc32c_append(number as u32, record) } else { 0 }
        }

        fn append(&self, number: usize, sync: bool) {
            let mut record = vec![number as u8 + 1; RECORD];
            let checksum = self.checksum(&record[4..], number);
            record[..4].copy_from_slice(&checksum.to_le_bytes());
            self.file.write_at(&record, (number * RECORD) as u64).unwrap();
            self.storage.mark("written", number as u64 + 1);
            if sync {
                self.file.sync_data().unwrap();
                self.storage.mark("durable", number as u64 + 1);
            }
        }

        /// The records found: up to the first that is not whole, by length, or by checksum.
        fn recover(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
            let records = bytes.chunks_exact(RECORD).enumerate();
            let whole = records.take_while(|(number, record)| {
                u32::from_le_bytes(record[..4].try_into().unwrap())
                    == self.checksum(&record[4..], *number)
                    && record[4..].iter().any(|byte| *byte != 0)
            });
            whole.map(|(_, record)| record[4..].to_vec()).collect()
        }

        /// Tries every crash point; counts states in which what is found is no prefix of what was
        /// written, or lacks something durable.
        fn violations(&self, seed: u64, limit: usize) -> (usize, usize) {
            let trace = self.storage.trace();
            let mut crashes = CrashStates::new(&trace, seed);
            let (mut states, mut violations) = (0, 0);
            for point in trace.points() {
                let durable = trace.last_mark("durable", point).unwrap_or(0) as usize;
                // A write that has happened is marked only after it.
                let written = trace.last_mark("written", point).unwrap_or(0) as usize + 1;
                for image in crashes.states_at(point, limit) {
                    let found = self.recover(&image.bytes("/log").unwrap());
                    let prefix = found.iter().enumerate().all(|(number, record)| {
                        record.iter().all(|byte| *byte == number as u8 + 1)
                    });
                    let good = prefix && found.len() >= durable && found.len() <= written;
                    states += 1;
                    violations += usize::from(!good);
                }
            }
            (states, violations)
        }
    }

    #[test]
    fn a_log_without_checksums_is_caught() {
        let log = TinyLog::new(false);
        (0..6).for_each(|number| log.append(number, true));
        let (states, violations) = log.violations(11, 500);
        assert!(violations > 0, "{states} states and none shows the missing checksum");
    }

    #[test]
    fn a_log_with_checksums_passes() {
        let log = TinyLog::new(true);
        (0..12).for_each(|number| log.append(number, number % 3 != 1));
        let (states, violations) = log.violations(11, 500);
        assert_eq!(violations, 0, "of {states} states");
    }

    #[test]
    fn a_log_that_acknowledges_before_the_sync_is_caught() {
        let log = TinyLog::new(true);
        (0..3).for_each(|number| {
            log.append(number, false);
            log.storage.mark("durable", number as u64 + 1);
            log.file.sync_data().unwrap();
        });
        assert!(log.violations(11, 500).1 > 0);
    }

    /// The budget of a long run is a million states; this is the part of it that is affordable
    /// in every run. `--ignored` runs the whole.
    #[test]
    fn many_states_of_a_larger_log() {
        run_many(20_000);
    }

    #[test]
    #[ignore = "a million states take a while"]
    fn a_million_states_of_a_larger_log() {
        run_many(1_000_000);
    }

    fn run_many(states_wanted: usize) {
        let mut rng = SplitMix64::announced("many_states", 0x5EED);
        let log = TinyLog::new(true);
        log.file.allocate(64 << 10).unwrap();
        log.file.sync_data().unwrap();
        for number in 0..80 {
            log.append(number, rng.chance(1, 8));
        }
        let points = log.storage.trace().events.len() + 1;
        let mut states = 0;
        while states < states_wanted {
            let seed = rng.next_u64();
            let (tried, violations) = log.violations(seed, states_wanted.div_ceil(points));
            assert_eq!(violations, 0, "of {tried} states, seed {seed:#x}");
            states += tried;
        }
        eprintln!("{states} states");
    }
}
