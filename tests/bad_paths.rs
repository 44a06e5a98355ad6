//! Paths that are no database: the error says what they are, and nothing is touched (rows 32, 43).

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use support::fault::{FaultPlan, Operation, Times};
use support::image;
use synadb::storage::Storage;
use synadb::{Create, DbConfig, Durability, SynaDB, SynaError, salvage};

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os)
}

fn both(path: &Path) -> [Result<SynaDB, SynaError>; 2] {
    [SynaDB::with_config(path, config()), SynaDB::open_read_only(path)]
}

/// An optional tool or right is missing; where everything is demanded, that is a failure.
fn skip(what: &str) {
    println!("skipped: {what}");
    assert!(std::env::var_os("SYNADB_REQUIRE_ALL").is_none(), "{what}");
}

#[test]
fn files_of_other_kinds_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    for content in [
        &b"x"[..],
        b"time,value\n1,2\n",
        b"\x89PNG\r\n\x1a\n and so on",
        &[0; 5000],
        &[0xff; 20_000],
        b"\x89SYN",
    ] {
        fs::write(&path, content).unwrap();
        for result in both(&path) {
            assert!(matches!(result, Err(SynaError::NotADatabase { .. })), "{result:?}");
        }
        let copy = folder.path().join("copy");
        assert!(matches!(salvage(&path, &copy), Err(SynaError::NotADatabase { .. })));
        assert!(!copy.exists());
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn an_empty_file_is_a_new_database_only_where_one_may_be_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    fs::write(&path, b"").unwrap();
    assert!(matches!(SynaDB::open_read_only(&path), Err(SynaError::NotADatabase { .. })));
    let never = SynaDB::with_config(&path, config().with_create(Create::Never));
    assert!(matches!(never, Err(SynaError::NotADatabase { .. })), "{never:?}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    let db = SynaDB::with_config(&path, config()).unwrap();
    db.append("key", 1).unwrap();
    db.close().unwrap();
    assert!(SynaDB::open_read_only(&path).unwrap().exists("key").unwrap());
}

#[test]
fn folders_devices_and_pipes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for result in both(folder.path()) {
        assert!(matches!(result, Err(SynaError::IsDirectory { .. })), "{result:?}");
    }
    for result in both(Path::new("/dev/null")).into_iter().chain(both(Path::new("/dev/zero"))) {
        assert!(matches!(result, Err(SynaError::NotARegularFile { .. })), "{result:?}");
    }
    let fifo = folder.path().join("fifo");
    if Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
        // Opening it would wait for its other end for ever.
        for result in both(&fifo) {
            assert!(matches!(result, Err(SynaError::NotARegularFile { .. })), "{result:?}");
        }
    } else {
        skip("mkfifo (apt-get install coreutils)");
    }
    let missing = folder.path().join("no").join("such").join("folder.syna");
    let error = SynaDB::open_read_only(&missing).unwrap_err();
    assert!(matches!(error, SynaError::NotFound { .. }), "{error}");
    // Who would create it is told that the folder is what is missing, not only the file.
    let error = SynaDB::with_config(&missing, config()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::NotFound), "{error}");
}

#[test]
fn symbolic_links_lead_to_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("db.syna"), folder.path().join("link"));
    symlink("db.syna", &link).unwrap();
    let db = SynaDB::with_config(&link, config()).unwrap();
    db.append("key", 1).unwrap();
    db.close().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(SynaDB::open_read_only(&path).unwrap().exists("key").unwrap());
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    symlink("b", &a).unwrap();
    symlink("a", &b).unwrap();
    for result in both(&a) {
        assert!(matches!(result, Err(SynaError::Io { .. })), "{result:?}");
    }
}

#[test]
fn without_permission_the_system_s_error_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    SynaDB::with_config(&path, config()).unwrap().close().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // Root may read everything; `a_refused_open_is_no_missing_database` stands in.
        println!("skipped: missing permissions (run the tests as a user who is not root)");
        return;
    }
    for result in both(&path) {
        assert_eq!(result.unwrap_err().io_kind(), Some(ErrorKind::PermissionDenied));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = SynaDB::with_config(&path, config()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::PermissionDenied), "{error}");
    SynaDB::open_read_only(&path).unwrap();
}

/// The same on a storage that refuses, which shows it to root, too.
#[test]
fn a_refused_open_is_no_missing_database() {
    let storage = support::simulated::SimulatedStorage::new();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let open = || SynaDB::with_storage(Arc::clone(&shared), "/db.syna", config());
    open().unwrap().close().unwrap();
    let before = storage.point();
    let denied = FaultPlan::new().fail(Operation::Open, 1, Times::Forever, libc::EACCES);
    storage.set_plan(denied);
    for result in [open(), SynaDB::read_only_with_storage(shared.clone(), "/db.syna", config())] {
        assert_eq!(result.unwrap_err().io_kind(), Some(ErrorKind::PermissionDenied));
    }
    assert_eq!(storage.point(), before, "nothing was done");
    storage.set_plan(FaultPlan::new());
    open().unwrap();
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_file_system_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (source, mounted) = (folder.path().join("source"), folder.path().join("mounted"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&mounted).unwrap();
    let db = SynaDB::with_config(source.join("db.syna"), config()).unwrap();
    db.append("key", 1).unwrap();
    db.close().unwrap();
    let mount = |arguments: &[&str]| {
        Command::new("mount")
            .args(arguments)
            .args([&source, &mounted])
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount(&["--bind"]) {
        return skip("bind mount (run the tests as root)");
    }
    let unmount = Unmount(mounted.clone());
    let read_only = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&mounted).status();
    if !read_only.is_ok_and(|status| status.success()) {
        return skip("read-only mount (run the tests as root)");
    }
    let path = mounted.join("db.syna");
    let error = SynaDB::with_config(&path, config()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::ReadOnlyFilesystem), "{error}");
    let error = SynaDB::with_config(mounted.join("new.syna"), config()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::ReadOnlyFilesystem), "{error}");
    let db = SynaDB::open_read_only(&path).unwrap();
    assert_eq!(db.get("key").unwrap(), Some(1.into()));
    db.verify().unwrap();
    drop(db);
    drop(unmount);
}

/// Offsets beyond 4 GiB, reached by values of zeros that lie in holes.
#[test]
fn a_sparse_file_beyond_4_gib_opens_and_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.syna");
    let db = SynaDB::with_config(&path, config()).unwrap();
    db.append_at("before", 1, 1).unwrap();
    db.close().unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(image::log_end(&bytes));
    // A zero tail of 5 GiB: the end of the log, not read where the system knows holes.
    file.set_len(5 << 30).unwrap();
    let db = SynaDB::with_config(&path, config()).unwrap();
    assert_eq!(db.recovery_report().bytes_cut, 0);
    db.append_at("after", 2, 2).unwrap();
    db.close().unwrap();
    // Values of 64 MiB of zeros, as holes, until an entry stands beyond 4 GiB.
    image::forget_durable(&mut bytes);
    bytes.truncate(image::LOG_START);
    let value_len = (64u32 << 20) - 64;
    let entry_len = (24 + 4 + u64::from(value_len)).next_multiple_of(8);
    let (mut offset, mut previous) = (bytes.len() as u64, image::chain_start(&bytes));
    file.set_len(0).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let mut zeros = vec![0u8; entry_len as usize];
    while offset <= 4 << 30 {
        let entry = &mut zeros[..];
        entry[8] = image::PUT;
        entry[17] = 4;
        image::set(entry, 19, &value_len.to_le_bytes());
        image::set(entry, 24, b"zero");
        entry[28] = 4;
        image::set(entry, 32, &u64::from(value_len - 12).to_le_bytes());
        let salt = crc32c::crc32c_append(image::chain_start(&bytes), &offset.to_le_bytes());
        let body = crc32c::crc32c_append(salt, &entry[8..]);
        image::set(entry, 4, &body.to_le_bytes());
        let head = crc32c::crc32c_append(crc32c::crc32c(&previous.to_le_bytes()), &entry[4..28]);
        image::set(entry, 0, &head.to_le_bytes());
        file.write_all_at(&entry[..64], offset).unwrap();
        (offset, previous) = (offset + entry_len, head);
    }
    file.set_len(offset).unwrap();
    let db = SynaDB::with_config(&path, config()).unwrap();
    let rows = db.len("zero").unwrap();
    assert!(rows >= 64, "{rows} values");
    assert_eq!(db.recovery_report().bytes_cut, 0);
    let at = db.append_at("after", 3, 3).unwrap();
    assert!(at > 4 << 30, "{at}");
    db.close().unwrap();
    let db = SynaDB::open_read_only(&path).unwrap();
    assert_eq!(db.get("after").unwrap(), Some(3.into()));
    let last = db.get_history_rows("zero", rows - 1..rows).unwrap().remove(0);
    assert_eq!(last.value.as_bytes().map(<[u8]>::len), Some(value_len as usize - 12));
    // Damage in the last entry beyond 4 GiB is found there.
    drop(db);
    file.write_all_at(&[9], at + 8).unwrap();
    let db = SynaDB::open_read_only(&path);
    let result = db.and_then(|db| db.verify());
    assert!(matches!(result, Err(SynaError::Corrupt { offset, .. }) if offset == at), "{result:?}");
}
