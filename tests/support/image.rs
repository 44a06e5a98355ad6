//! The bytes of a database file, read and forged without the library: an independent statement of
//! the format for tests that damage files or mend the checksums of what they changed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use synadb::storage::{MemoryStorage, OpenMode, Storage};

pub const PAGE: usize = 4096;
pub const LOG_START: usize = 3 * PAGE;
pub const HEADER_LEN: usize = 24;

pub const PUT: u8 = 1;
pub const TOMBSTONE: u8 = 2;
pub const CHUNK: u8 = 3;
pub const COMMIT: u8 = 4;
pub const CHECKPOINT: u8 = 5;

pub const IS_TOMBSTONE: u8 = 4;
pub const IN_BATCH: u8 = 8;
pub const AFTER_SYNC: u8 = 16;

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn set(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// One entry as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    pub offset: usize,
    pub len: usize,
    pub kind: u8,
    pub flags: u8,
    pub key: Vec<u8>,
    pub value_at: usize,
    pub val_len: usize,
}

impl RawEntry {
    pub fn end(&self) -> usize {
        self.offset + self.len
    }

    pub fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value_at..self.value_at + self.val_len]
    }

    /// First row and number of rows of a chunk.
    pub fn rows(&self, bytes: &[u8]) -> (u64, u64) {
        (u64_at(bytes, self.value_at + 8), u32_at(bytes, self.value_at + 16).into())
    }

    /// Where the block records of a chunk lie that have a checksum of their own, from the start of
    /// its value.
    fn checked_records(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let value = self.value(bytes);
        if value.len() < 208 || value[4] & 0x80 == 0 {
            return None;
        }
        let record = 136 + 32 * usize::from(value[5]);
        let end = (u32_at(value, 20) as usize).saturating_mul(record).saturating_add(208);
        (end <= value.len()).then_some(208..end)
    }

    /// Where the block records of a chunk begin in its value.
    pub fn records_at(&self, bytes: &[u8]) -> usize {
        if self.value(bytes)[4] & 0x80 == 0 { 40 } else { 208 }
    }

    fn covered_end(&self, bytes: &[u8]) -> usize {
        // A forged chunk may be too short to say where its header ends.
        if self.kind == CHUNK && self.val_len >= 4 {
            let len = u32_at(bytes, self.value_at) as usize;
            self.value_at + len.min(self.val_len)
        } else {
            self.end()
        }
    }
}

/// The entry at `offset`, whatever its checksums say; `None` at the end of the log.
pub fn entry_at(bytes: &[u8], offset: usize) -> Option<RawEntry> {
    let header = bytes.get(offset..offset + HEADER_LEN)?;
    let kind = header[8];
    let (key_len, val_len) = (usize::from(u16_at(header, 17)), u32_at(header, 19) as usize);
    let len = (HEADER_LEN + key_len + val_len).next_multiple_of(8);
    if kind == 0 || offset + len > bytes.len() {
        return None;
    }
    let value_at = offset + HEADER_LEN + key_len;
    let key = bytes[offset + HEADER_LEN..value_at].to_vec();
    Some(RawEntry { offset, len, kind, flags: header[23], key, value_at, val_len })
}

/// All entries from the start of the log on.
pub fn entries(bytes: &[u8]) -> Vec<RawEntry> {
    let mut entries = Vec::new();
    let mut offset = LOG_START;
    while let Some(entry) = entry_at(bytes, offset) {
        offset = entry.end();
        entries.push(entry);
    }
    entries
}

/// Entries by commit: members of a batch with their commit entry, others alone.
pub fn commits(bytes: &[u8]) -> Vec<Vec<RawEntry>> {
    let mut commits = Vec::new();
    let mut open = Vec::new();
    for entry in entries(bytes) {
        let in_batch = entry.flags & IN_BATCH != 0;
        open.push(entry);
        if !in_batch {
            commits.push(std::mem::take(&mut open));
        }
    }
    commits
}

/// Where the entries end.
pub fn log_end(bytes: &[u8]) -> usize {
    entries(bytes).last().map_or(LOG_START, RawEntry::end)
}

pub fn salt(bytes: &[u8]) -> &[u8] {
    &bytes[40..56]
}

pub fn chain_start(bytes: &[u8]) -> u32 {
    crc32c::crc32c(salt(bytes))
}

pub fn body_crc(bytes: &[u8], entry: &RawEntry) -> u32 {
    let crc = crc32c::crc32c_append(chain_start(bytes), &(entry.offset as u64).to_le_bytes());
    crc32c::crc32c_append(crc, &bytes[entry.offset + 8..entry.covered_end(bytes)])
}

/// Makes the checksums of an entry right; returns its `head_crc`.
pub fn mend_entry(bytes: &mut [u8], entry: &RawEntry, previous: u32) -> u32 {
    if entry.kind == CHUNK
        && let Some(records) = entry.checked_records(bytes)
    {
        let crc = crc32c::crc32c(&entry.value(bytes)[records]);
        set(bytes, entry.value_at + 176, &crc.to_le_bytes());
    }
    let body = body_crc(bytes, entry);
    set(bytes, entry.offset + 4, &body.to_le_bytes());
    let head = crc32c::crc32c_append(
        crc32c::crc32c(&previous.to_le_bytes()),
        &bytes[entry.offset + 4..entry.value_at],
    );
    set(bytes, entry.offset, &head.to_le_bytes());
    head
}

/// Makes all checksums of the log right, those in commit entries included.
pub fn mend_log(bytes: &mut [u8]) {
    let mut previous = chain_start(bytes);
    let mut offset = LOG_START;
    let mut members = 0;
    while let Some(entry) = entry_at(bytes, offset) {
        if entry.kind == COMMIT && entry.val_len == 16 {
            set(bytes, entry.value_at + 12, &u32::to_le_bytes(members));
        }
        previous = mend_entry(bytes, &entry, previous);
        let body: [u8; 4] = bytes[offset + 4..offset + 8].try_into().unwrap();
        let in_batch = entry.flags & IN_BATCH != 0;
        members = if in_batch { crc32c::crc32c_append(members, &body) } else { 0 };
        offset = entry.end();
    }
}

pub fn mend_header(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..PAGE - 4]);
    set(bytes, PAGE - 4, &crc.to_le_bytes());
}

/// Makes the checksum of slot page 1 or 2 right.
pub fn mend_slot(bytes: &mut [u8], page: usize) {
    let at = page * PAGE;
    let crc = crc32c::crc32c_append(chain_start(bytes), &(at as u64).to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &bytes[at..at + 40]);
    set(bytes, at + 40, &crc.to_le_bytes());
}

/// The newer slot: its page, and `durable_len`.
pub fn newest_slot(bytes: &[u8]) -> (usize, u64) {
    let page = if u64_at(bytes, PAGE) > u64_at(bytes, 2 * PAGE) { 1 } else { 2 };
    (page, u64_at(bytes, page * PAGE + 8))
}

/// Says in both slots that nothing behind the three pages is known to be durable, and that there is
/// no checkpoint.
pub fn forget_durable(bytes: &mut [u8]) {
    for page in [1, 2] {
        set(bytes, page * PAGE + 8, &(LOG_START as u64).to_le_bytes());
        let start = chain_start(bytes);
        set(bytes, page * PAGE + 16, &start.to_le_bytes());
        set(bytes, page * PAGE + 24, &0u64.to_le_bytes());
        mend_slot(bytes, page);
    }
}

/// Appends a whole entry behind the last one, zeros behind it cut off; returns its offset.
pub fn push_entry(
    bytes: &mut Vec<u8>,
    kind: u8,
    flags: u8,
    timestamp: i64,
    key: &[u8],
    value: &[u8],
) -> usize {
    let all = entries(bytes);
    let (offset, previous) = match all.last() {
        Some(last) => (last.end(), u32_at(bytes, last.offset)),
        None => (LOG_START, chain_start(bytes)),
    };
    push_entry_at(bytes, offset, previous, kind, flags, timestamp, key, value)
}

#[allow(clippy::too_many_arguments, reason = "the fields of an entry")]
pub fn push_entry_at(
    bytes: &mut Vec<u8>,
    offset: usize,
    previous: u32,
    kind: u8,
    flags: u8,
    timestamp: i64,
    key: &[u8],
    value: &[u8],
) -> usize {
    bytes.resize(offset, 0);
    bytes.extend_from_slice(&[0; 8]);
    bytes.push(kind);
    bytes.extend_from_slice(&timestamp.to_le_bytes());
    bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes.push(flags);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let entry = entry_at(bytes, offset).expect("it was just written");
    mend_entry(bytes, &entry, previous);
    offset
}

/// The value of a put of an integer.
pub fn int(value: i64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = 2;
    bytes[4..].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// The name under which images are opened.
pub const NAME: &str = "/image.syna";

/// A storage in memory with one file.
pub fn storage_with(bytes: &[u8]) -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let file = storage.open(Path::new(NAME), OpenMode::CreateNew).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    storage
}

/// All bytes of a file of a storage.
pub fn bytes_of(storage: &Arc<dyn Storage>, path: impl AsRef<Path>) -> Vec<u8> {
    let file = storage.open(path.as_ref(), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

/// The bytes of the database, without the zeros of preallocated space.
pub fn image_of(storage: &Arc<dyn Storage>) -> Vec<u8> {
    let mut bytes = bytes_of(storage, NAME);
    let end = log_end(&bytes);
    bytes.truncate(end);
    bytes
}
