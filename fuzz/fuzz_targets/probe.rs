//! What every target does with a file: whatever the bytes, an error or data, never a panic.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use synadb::storage::{MemoryStorage, Storage};
use synadb::{DbConfig, Durability, FollowFrom, SynaDB, salvage_storage};

use crate::image;

/// An empty database, always the same one.
pub fn empty() -> Vec<u8> {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        drop(SynaDB::with_storage(Arc::clone(&storage), image::NAME, config()));
        let mut bytes = image::bytes_of(&storage, image::NAME);
        bytes.truncate(image::LOG_START);
        // A salt that is the same in every run, so that a corpus keeps its meaning.
        bytes[40..56].fill(7);
        image::mend_header(&mut bytes);
        image::forget_durable(&mut bytes);
        bytes
    };
    EMPTY.get_or_init(make).clone()
}

fn config() -> DbConfig {
    DbConfig::default().with_durability(Durability::Os).with_tail_budget_bytes(0)
}

pub fn probe(bytes: &[u8]) {
    let storage = image::storage_with(bytes);
    let reader =
        SynaDB::read_only_with_storage(Arc::clone(&storage), image::NAME, DbConfig::default());
    let _ = salvage_storage(&storage, Path::new(image::NAME), Path::new("/copy"), &mut |_| {});
    assert_eq!(image::bytes_of(&storage, image::NAME), bytes, "a reader wrote");
    let writer = SynaDB::with_storage(Arc::clone(&storage), image::NAME, config());
    for db in [reader, writer].into_iter().flatten() {
        let _ = db.verify();
        for key in db.keys().unwrap_or_default() {
            let _ = db.get_history(&key);
            let _ = db.get_point(&key);
            let _ = db.get_point_at(&key, 3);
        }
        if let Ok(mut follower) = db.follow("*", FollowFrom::Beginning) {
            while let Ok(Some(_)) = follower.next(Duration::ZERO) {}
        }
        if !db.is_read_only() {
            let _ = db.append_at("key", 1, 1);
            let _ = db.append_batch("key", &[1; 40], &[1i64; 40]);
            let _ = db.optimize();
            let _ = db.compact();
        }
    }
    if let Ok(db) = SynaDB::with_storage(storage, "/copy", config()) {
        // What salvage wrote is good.
        db.verify().map(drop).unwrap_or_else(|error| panic!("the salvaged copy: {error}"));
    }
}
