//! The bare loops: the least that any program must do to get the same bytes into a file.
//!
//! Each writes the entries that the store writes for the same points, byte for byte in size and
//! with both checksums of each entry (the drawing is in `synadb`'s `src/format/mod.rs`), into space
//! preallocated in the same steps. None has an index, tails, seals or readers. A ratio to a bare
//! loop is therefore what the store costs, whatever the disk is.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use crate::data::{KEY_LEN, KEYS, key_bytes, timestamp, value};
use crate::run::{Result, check};

/// Where entries begin: a header page and two slot pages come first.
const LOG_START: u64 = 12_288;
/// Bytes of a put of a float under a 16-byte key: 24 of header, the key, 12 of value, padding.
pub const POINT_LEN: usize = 56;
/// Bytes of a commit entry: 24 of header, first offset, count, checksum of the members.
const COMMIT_LEN: usize = 40;
/// Buffer of the buffered loops.
pub const BUFFER_LEN: usize = 64 << 10;

const KIND_PUT: u8 = 1;
const KIND_COMMIT: u8 = 4;
const IN_BATCH: u8 = 8;

/// Encodes entries one after the other, chaining their checksums.
struct Encoder {
    salt_crc: u32,
    head_crc: u32,
    offset: u64,
}

impl Encoder {
    fn new() -> Encoder {
        let salt_crc = crc32c::crc32c(b"a salt, 16 bytes");
        Encoder { salt_crc, head_crc: salt_crc, offset: LOG_START }
    }

    #[inline]
    fn point(&mut self, key: &[u8; KEY_LEN], timestamp: i64, value: f64, flags: u8) -> [u8; 56] {
        let mut entry = [0; POINT_LEN];
        entry[8] = KIND_PUT;
        entry[9..17].copy_from_slice(&timestamp.to_le_bytes());
        entry[17..19].copy_from_slice(&(KEY_LEN as u16).to_le_bytes());
        entry[19..23].copy_from_slice(&12_u32.to_le_bytes());
        entry[23] = flags;
        entry[24..40].copy_from_slice(key);
        // bincode: the variant as a u32, then the double.
        entry[40..44].copy_from_slice(&1_u32.to_le_bytes());
        entry[44..52].copy_from_slice(&value.to_le_bytes());
        self.seal(&mut entry, 24 + KEY_LEN);
        entry
    }

    #[inline]
    fn commit(&mut self, timestamp: i64, first: u64, count: u32, members: u32) -> [u8; 40] {
        let mut entry = [0; COMMIT_LEN];
        entry[8] = KIND_COMMIT;
        entry[9..17].copy_from_slice(&timestamp.to_le_bytes());
        entry[19..23].copy_from_slice(&16_u32.to_le_bytes());
        entry[24..32].copy_from_slice(&first.to_le_bytes());
        entry[32..36].copy_from_slice(&count.to_le_bytes());
        entry[36..40].copy_from_slice(&members.to_le_bytes());
        self.seal(&mut entry, 24);
        entry
    }

    /// Fills in both checksums, each over one contiguous run of bytes: the fields that they will
    /// be stored in hold the offset and the previous checksum meanwhile.
    #[inline]
    fn seal(&mut self, entry: &mut [u8], head_len: usize) {
        entry[0..8].copy_from_slice(&self.offset.to_le_bytes());
        let body_crc = crc32c::crc32c_append(self.salt_crc, entry);
        entry[0..4].copy_from_slice(&self.head_crc.to_le_bytes());
        entry[4..8].copy_from_slice(&body_crc.to_le_bytes());
        self.head_crc = crc32c::crc32c(&entry[..head_len]);
        entry[0..4].copy_from_slice(&self.head_crc.to_le_bytes());
        self.offset += entry.len() as u64;
    }
}

/// A file with preallocated space ahead of its end.
struct Space {
    file: File,
    allocated: u64,
}

impl Space {
    fn create(path: &Path) -> Result<Space> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.write_all_at(&[0; LOG_START as usize], 0)?;
        file.sync_all()?;
        let mut space = Space { file, allocated: LOG_START };
        space.reserve(LOG_START + 1)?;
        space.file.sync_all()?;
        Ok(space)
    }

    /// Grows the file, in steps of an eighth of its length between 256 KiB and 64 MiB.
    #[inline]
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        while end > self.allocated {
            let step = (self.allocated / 8).clamp(256 << 10, 64 << 20);
            fallocate(&self.file, FallocateFlags::empty(), self.allocated, step)?;
            self.allocated += step;
        }
        Ok(())
    }

    #[inline]
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.reserve(offset + bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset)
    }
}

/// One `pwrite` per entry.
pub fn os(path: &Path, points: u64) -> Result<Duration> {
    let keys = key_bytes(KEYS);
    let (mut space, mut encoder) = (Space::create(path)?, Encoder::new());
    let start = Instant::now();
    for (i, key) in (0..points).zip(keys.iter().cycle()) {
        let offset = encoder.offset;
        space.write(&encoder.point(key, timestamp(i), value(i), 0), offset)?;
    }
    let elapsed = start.elapsed();
    check_last(&space.file, points, encoder.offset - POINT_LEN as u64)?;
    Ok(elapsed)
}

/// One `pwrite` and one `fdatasync` per entry.
pub fn full_1(path: &Path, points: u64) -> Result<Duration> {
    let keys = key_bytes(KEYS);
    let (mut space, mut encoder) = (Space::create(path)?, Encoder::new());
    let start = Instant::now();
    for (i, key) in (0..points).zip(keys.iter().cycle()) {
        let offset = encoder.offset;
        space.write(&encoder.point(key, timestamp(i), value(i), 0), offset)?;
        space.file.sync_data()?;
    }
    let elapsed = start.elapsed();
    check_last(&space.file, points, encoder.offset - POINT_LEN as u64)?;
    Ok(elapsed)
}

/// A 64 KiB buffer that is written whenever it is full; every write but the last is page-aligned.
struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    offset: u64,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: vec![0; BUFFER_LEN], len: 0, offset: LOG_START }
    }

    #[inline]
    fn push(&mut self, entry: &[u8], space: &mut Space) -> io::Result<()> {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + entry.len()) {
            room.copy_from_slice(entry);
            self.len += entry.len();
            return Ok(());
        }
        let (fits, rest) = entry.split_at(BUFFER_LEN - self.len);
        self.bytes[self.len..].copy_from_slice(fits);
        self.len = BUFFER_LEN;
        self.flush(space)?;
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.len = rest.len();
        Ok(())
    }

    fn flush(&mut self, space: &mut Space) -> io::Result<()> {
        space.write(&self.bytes[..self.len], self.offset)?;
        self.offset += self.len as u64;
        self.len = 0;
        Ok(())
    }
}

/// Entries into a 64 KiB buffer.
pub fn buffered(path: &Path, points: u64) -> Result<Duration> {
    let keys = key_bytes(KEYS);
    let (mut space, mut encoder) = (Space::create(path)?, Encoder::new());
    let mut buffer = Buffer::new();
    let start = Instant::now();
    for (i, key) in (0..points).zip(keys.iter().cycle()) {
        buffer.push(&encoder.point(key, timestamp(i), value(i), 0), &mut space)?;
    }
    buffer.flush(&mut space)?;
    let elapsed = start.elapsed();
    check_last(&space.file, points, encoder.offset - POINT_LEN as u64)?;
    Ok(elapsed)
}

/// Batches of one point for each of 1,000 keys, each with its commit entry, into a 64 KiB buffer.
pub fn batches(path: &Path, batches: u64) -> Result<Duration> {
    let keys = key_bytes(KEYS);
    let (mut space, mut encoder) = (Space::create(path)?, Encoder::new());
    let mut buffer = Buffer::new();
    let start = Instant::now();
    let mut i = 0;
    for _ in 0..batches {
        let (first, mut members) = (encoder.offset, 0);
        for key in &keys {
            let entry = encoder.point(key, timestamp(i), value(i), IN_BATCH);
            members = crc32c::crc32c_append(members, &entry[4..8]);
            buffer.push(&entry, &mut space)?;
            i += 1;
        }
        let commit = encoder.commit(timestamp(i), first, KEYS as u32, members);
        buffer.push(&commit, &mut space)?;
    }
    buffer.flush(&mut space)?;
    let elapsed = start.elapsed();
    let last = encoder.offset - (COMMIT_LEN + POINT_LEN) as u64;
    check_last(&space.file, batches * KEYS, last)?;
    Ok(elapsed)
}

/// Group commit by a leader: whoever finds no leader writes what all have appended meanwhile
/// with one `pwrite` and one `fdatasync`.
struct Leader {
    state: Mutex<Filling>,
    /// Those of one group wait together; two suffice, for a group is over before the next but one
    /// begins to fill.
    turns: [Condvar; 2],
    space: Mutex<Space>,
}

/// The group that is being filled.
struct Filling {
    encoder: Encoder,
    bytes: Vec<u8>,
    spare: Vec<u8>,
    start: u64,
    group: u64,
    groups_done: u64,
    has_leader: bool,
}

/// A lock whose poison is ignored: a panic of one thread ends the whole measurement anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leader {
    fn new(space: Space) -> Leader {
        let state = Filling {
            encoder: Encoder::new(),
            bytes: Vec::new(),
            spare: Vec::new(),
            start: LOG_START,
            group: 0,
            groups_done: 0,
            has_leader: false,
        };
        Leader { state: Mutex::new(state), turns: Default::default(), space: Mutex::new(space) }
    }

    fn append(&self, key: &[u8; KEY_LEN], timestamp: i64, value: f64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let entry = state.encoder.point(key, timestamp, value, 0);
        state.bytes.extend_from_slice(&entry);
        let mine = state.group;
        let turn = &self.turns[(mine % 2) as usize];
        while state.groups_done <= mine {
            if !state.has_leader {
                return self.lead(state);
            }
            state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Writes and syncs the group, wakes its members and one of the next group to lead that.
    fn lead(&self, mut state: MutexGuard<'_, Filling>) -> io::Result<()> {
        let (group, start) = (state.group, state.start);
        let spare = mem::take(&mut state.spare);
        let mut bytes = mem::replace(&mut state.bytes, spare);
        state.has_leader = true;
        state.group += 1;
        state.start += bytes.len() as u64;
        drop(state);

        let mut space = lock(&self.space);
        space.write(&bytes, start)?;
        space.file.sync_data()?;
        drop(space);

        bytes.clear();
        let mut state = lock(&self.state);
        state.spare = bytes;
        state.has_leader = false;
        state.groups_done = group + 1;
        drop(state);
        self.turns[((group + 1) % 2) as usize].notify_one();
        self.turns[(group % 2) as usize].notify_all();
        Ok(())
    }
}

/// `threads` threads with `points` points each through one [`Leader`]; also the number of groups.
pub fn full_group(path: &Path, threads: u64, points: u64) -> Result<(Duration, u64)> {
    let keys = key_bytes(KEYS);
    let leader = Leader::new(Space::create(path)?);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let work = |thread: u64| {
            let (leader, keys) = (&leader, &keys);
            move || -> io::Result<()> {
                for i in (thread..threads * points).step_by(threads as usize) {
                    leader.append(&keys[(i % KEYS) as usize], timestamp(i), value(i))?;
                }
                Ok(())
            }
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
        all.into_iter().try_for_each(|one| {
            one.join()
                .map_err(|_| "a thread panicked")?
                .map_err(|error| -> Box<dyn std::error::Error + Send + Sync> { error.into() })
        })
    })?;
    let elapsed = start.elapsed();
    let state = lock(&leader.state);
    let written = state.start - LOG_START;
    check(written == threads * points * POINT_LEN as u64, || format!("{written} bytes of groups"))?;
    Ok((elapsed, state.groups_done))
}

/// The last entry in the file is the last point.
fn check_last(file: &File, points: u64, offset: u64) -> Result<()> {
    let mut entry = [0; POINT_LEN];
    file.read_exact_at(&mut entry, offset)?;
    let expected = value(points - 1).to_le_bytes();
    check(entry[44..52] == expected, || format!("the bare loop's entry at {offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_has_the_layout_and_checksums_of_the_format() {
        let mut encoder = Encoder::new();
        let first = encoder.point(b"k/00000000000001", 7, 1.5, 0);
        let second = encoder.point(b"k/00000000000002", 8, 2.5, 0);
        assert_eq!(&first[8..24], &[1, 7, 0, 0, 0, 0, 0, 0, 0, 16, 0, 12, 0, 0, 0, 0]);
        assert_eq!(&first[24..40], b"k/00000000000001");
        assert_eq!(&first[40..56], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0]);

        let salt = b"a salt, 16 bytes";
        let body = [&salt[..], &(LOG_START + 56).to_le_bytes(), &second[8..]].concat();
        assert_eq!(second[4..8], crc32c::crc32c(&body).to_le_bytes());
        let head = [&first[0..4], &second[4..40]].concat();
        assert_eq!(second[0..4], crc32c::crc32c(&head).to_le_bytes());
    }

    #[test]
    fn commit_names_its_members() {
        let commit = Encoder::new().commit(9, LOG_START, 1_000, 0xdead_beef);
        assert_eq!(commit[8], KIND_COMMIT);
        assert_eq!(commit[24..32], LOG_START.to_le_bytes());
        assert_eq!(commit[32..40], [0xe8, 3, 0, 0, 0xef, 0xbe, 0xad, 0xde]);
    }
}
