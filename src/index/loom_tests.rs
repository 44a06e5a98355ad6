//! Readers beside the writer under every interleaving and every order of memory that the language
//! allows: `make loom`. The ordering that `IndexWriter::publish_and_unlock` takes from x86-64 is
//! not modelled; the others are.

use std::sync::Arc;

use loom::thread;

use crate::atom::AtomKind;
use crate::format::value::StoredAtom;
use crate::sync::{AtomicU64, Ordering};

use super::version::{Version, VersionCell};
use super::{Index, IndexWriter, Latest};

fn int(value: u64) -> StoredAtom<'static> {
    StoredAtom::Number(AtomKind::Int, value)
}

/// An index with one key whose tail has room, of which `rows` rows are published: row `i` is the
/// integer `i` at time `i` and came with the commit that ends at `8 * (i + 1)`.
fn with_rows(rows: u64) -> (Arc<Index>, IndexWriter) {
    let index = Arc::new(Index::new(0));
    let mut writer = IndexWriter::new(Arc::clone(&index), usize::MAX);
    for row in 0..rows {
        put(&mut writer, row);
    }
    (index, writer)
}

fn put(writer: &mut IndexWriter, row: u64) {
    let id = writer.id_of("key").unwrap();
    writer.put(id, 8 * (row + 1), row.cast_signed(), int(row));
    writer.publish(8 * (row + 1));
}

/// What a snapshot taken now sees: its rows are those of its commit, and they are all there.
fn check_snapshot(index: &Index) -> u64 {
    let pin = index.pin();
    let rows = pin.commit_end / 8;
    let slot = index.slot_of("key").unwrap();
    let version = slot.version_at(pin.commit_end);
    assert_eq!(version, Version { since: pin.commit_end, live_from: 0, rows });
    let view = slot.view(pin.commit_end, |version| 0..version.rows);
    let bits: Vec<u64> = view.tail_bits().to_vec();
    assert!(bits.iter().copied().eq(0..rows), "{bits:?} of {rows} rows");
    index.unpin(pin);
    rows
}

#[test]
fn a_version_is_read_whole_and_never_before_it_is_published() {
    loom::model(|| {
        let shared = Arc::new((VersionCell::default(), AtomicU64::new(0)));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (cell, published) = &*shared;
                for (commit, values) in [(1u64, 2..4), (2, 5..6)] {
                    // Twice in one commit: two points of one key in a batch.
                    for value in values {
                        let version = Version { since: 8 * commit, live_from: 0, rows: value };
                        let (timestamp, kind) = (value.cast_signed(), AtomKind::Int);
                        let latest = Latest::Number { timestamp, kind, bits: value };
                        cell.set(version, 8 * (commit - 1), latest);
                    }
                    published.store(8 * commit, Ordering::Release);
                }
            })
        };
        let (cell, published) = &*shared;
        match cell.latest(published) {
            Latest::Absent => {}
            Latest::Number { timestamp, bits, .. } => {
                assert_eq!(timestamp.cast_unsigned(), bits);
                assert!(bits == 3 || bits == 5, "{bits} is half of a batch");
            }
            Latest::InHistory => panic!("nothing is in the history"),
        }
        let (newer, older) = cell.pair();
        assert!(newer.rows / 2 == newer.since / 8, "{newer:?}");
        assert!(older.since == 0 || older.rows == 3);
        writer.join().unwrap();
    });
}

#[test]
fn a_snapshot_sees_the_rows_of_its_commit_while_numbers_are_added() {
    loom::model(|| {
        let (index, mut writer) = with_rows(2);
        let adding = thread::spawn(move || {
            for row in 2..4 {
                put(&mut writer, row);
            }
        });
        let seen = check_snapshot(&index);
        assert!((2..=4).contains(&seen));
        adding.join().unwrap();
        assert_eq!(check_snapshot(&index), 4);
    });
}

#[test]
fn a_snapshot_sees_the_rows_of_its_commit_while_the_tail_grows() {
    loom::model(|| {
        let (index, mut writer) = with_rows(4);
        let adding = thread::spawn(move || {
            for row in 4..6 {
                put(&mut writer, row);
            }
        });
        let seen = check_snapshot(&index);
        assert!((4..=6).contains(&seen));
        adding.join().unwrap();
    });
}
