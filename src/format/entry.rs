//! The frame of a log entry: two checksums, the `LogHeader`, key, value, padding.

use super::bytes::{i64_at, put_at, u16_at, u32_at};
use super::checksum::{Salt, crc32c, extend, of_entry};

/// Bytes before the key.
pub(crate) const HEADER_LEN: usize = 24;

/// Kinds of entry. Number 0 is the log's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Put = 1,
    Tombstone = 2,
    Chunk = 3,
    Commit = 4,
    Checkpoint = 5,
}

/// A kind number with this bit may be skipped by a reader that does not know it.
const IGNORABLE: u8 = 0x80;

pub(crate) mod flags {
    //! Bits of the `flags` field.

    /// Some column uses an encoding that `enable_delta` allows. Chunks only.
    pub(crate) const IS_DELTA: u8 = 1;
    /// Chunk: some column uses an encoding that `enable_compression` allows. Put: LZ4.
    pub(crate) const IS_COMPRESSED: u8 = 2;
    /// The entry is a tombstone.
    pub(crate) const IS_TOMBSTONE: u8 = 4;
    /// The entry belongs to a batch and counts only with the commit entry after it.
    pub(crate) const IN_BATCH: u8 = 8;
    /// Everything before this entry was synced before this entry was written.
    pub(crate) const AFTER_SYNC: u8 = 16;

    /// Those that say how the columns of a chunk are encoded.
    pub(crate) const OF_COLUMNS: u8 = IS_DELTA | IS_COMPRESSED;

    pub(super) const KNOWN: u8 = IS_DELTA | IS_COMPRESSED | IS_TOMBSTONE | IN_BATCH | AFTER_SYNC;
}

/// The first 24 bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) head_crc: u32,
    pub(crate) body_crc: u32,
    pub(crate) kind: u8,
    /// A put's point; a chunk's smallest; elsewhere the clock at writing.
    pub(crate) timestamp: i64,
    pub(crate) key_len: u16,
    pub(crate) val_len: u32,
    pub(crate) flags: u8,
}

/// What a header means for a reader of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Known(Kind),
    /// A kind of a later version that may be passed over.
    Ignorable,
}

/// Why a header with good checksums cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryError {
    Contradiction(&'static str),
    Unsupported { what: &'static str, value: u64 },
}

impl EntryHeader {
    /// Reads the header at the beginning of `bytes`, or `None` if they are fewer than 24.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Option<EntryHeader> {
        let bytes = bytes.get(..HEADER_LEN)?;
        Some(EntryHeader {
            head_crc: u32_at(bytes, 0)?,
            body_crc: u32_at(bytes, 4)?,
            kind: *bytes.get(8)?,
            timestamp: i64_at(bytes, 9)?,
            key_len: u16_at(bytes, 17)?,
            val_len: u32_at(bytes, 19)?,
            flags: *bytes.get(23)?,
        })
    }

    /// Length of the whole entry, padding included.
    #[inline]
    pub(crate) fn entry_len(&self) -> u64 {
        entry_len(usize::from(self.key_len), u64::from(self.val_len))
    }

    /// Offset of the value from the start of the entry.
    #[inline]
    pub(crate) fn value_start(&self) -> usize {
        HEADER_LEN + usize::from(self.key_len)
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the entry is, or how its fields contradict each other. Asked only once the checksums
    /// hold: before, an unknown kind is no sign of a later version.
    pub(crate) fn meaning(&self) -> Result<Meaning, EntryError> {
        let kind = match self.kind {
            1 => Kind::Put,
            2 => Kind::Tombstone,
            3 => Kind::Chunk,
            4 => Kind::Commit,
            5 => Kind::Checkpoint,
            kind if kind & IGNORABLE != 0 => return Ok(Meaning::Ignorable),
            0 => return Err(EntryError::Contradiction("an entry of kind 0")),
            kind => {
                return Err(EntryError::Unsupported { what: "entry kind", value: kind.into() });
            }
        };
        let unknown = self.flags & !flags::KNOWN;
        if unknown != 0 {
            return Err(EntryError::Unsupported { what: "entry flag", value: unknown.into() });
        }
        let keyed = matches!(kind, Kind::Put | Kind::Tombstone | Kind::Chunk);
        let contradiction = if self.has(flags::IS_TOMBSTONE) != (kind == Kind::Tombstone) {
            "the tombstone flag and the kind disagree"
        } else if self.has(flags::IS_DELTA) && kind != Kind::Chunk {
            "the delta flag on an entry that is no chunk"
        } else if self.has(flags::IS_COMPRESSED) && !matches!(kind, Kind::Chunk | Kind::Put) {
            "the compressed flag on an entry that is neither chunk nor put"
        } else if self.has(flags::IN_BATCH) && kind == Kind::Commit {
            "a commit entry inside a batch"
        } else if keyed != (self.key_len > 0) {
            "an entry whose kind and key length disagree"
        } else if kind == Kind::Tombstone && self.val_len != 0 {
            "a tombstone with a value"
        } else {
            return Ok(Meaning::Known(kind));
        };
        Err(EntryError::Contradiction(contradiction))
    }
}

/// Length of an entry with a key and a value of these lengths, padding included.
#[inline]
pub(crate) fn entry_len(key_len: usize, val_len: u64) -> u64 {
    (HEADER_LEN as u64 + key_len as u64 + val_len).next_multiple_of(8)
}

/// The `head_crc` of an entry: chained to the one before, over header and key.
#[inline]
pub(crate) fn head_crc(previous: u32, header_from_4: &[u8], key: &[u8]) -> u32 {
    let crc = extend(crc32c(&previous.to_le_bytes()), header_from_4);
    extend(crc, key)
}

/// The `body_crc` of an entry that stands at `offset`: over its bytes from 8 on.
#[inline]
pub(crate) fn body_crc(salt: &Salt, offset: u64, from_8: &[u8]) -> u32 {
    extend(salt.at(offset), from_8)
}

/// What decides the frame of an entry besides its place in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) timestamp: i64,
    pub(crate) flags: u8,
    pub(crate) key: &'a [u8],
}

/// Where in the log an entry is framed, and the checksum it is chained to. Moves on with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) head_crc: u32,
}

/// The bytes a framed entry covers with `body_crc`, needed by the commit entry of its batch.
pub(crate) type BodyCrc = u32;

impl Frame<'_> {
    /// Appends a whole entry to `out`: header, key, `value`, padding.
    ///
    /// The caller has checked the lengths against the limits of the file.
    #[inline]
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        at: &mut Position,
        salt: &Salt,
        value: &[u8],
    ) -> BodyCrc {
        let val_len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let start = self.begin(out, val_len);
        out.extend_from_slice(value);
        pad(out, start);
        let body = self.finish(out, start, at, salt);
        at.offset += (out.len() - start) as u64;
        body
    }

    /// Appends header, key and what `body_crc` covers of the chunk header to `out`; what follows is
    /// the caller's: the rest of it, zeros up to the column data, the data, the padding.
    pub(crate) fn write_chunk(
        &self,
        out: &mut Vec<u8>,
        at: &mut Position,
        salt: &Salt,
        covered: &[u8],
        val_len: u32,
    ) -> BodyCrc {
        let start = self.begin(out, val_len);
        out.extend_from_slice(covered);
        let body = self.finish(out, start, at, salt);
        at.offset += entry_len(self.key.len(), val_len.into());
        body
    }

    /// As [`write`](Frame::write), for a value of up to 16 bytes that comes in two words; bytes behind its `len`
    /// are 0. Nothing is read back that was just written.
    #[inline]
    pub(crate) fn write_short(
        &self,
        out: &mut Vec<u8>,
        at: &mut Position,
        salt: &Salt,
        (value, len): ([u64; 2], usize),
    ) -> BodyCrc {
        let val_len = u32::try_from(len).unwrap_or(u32::MAX);
        let [first, second] = self.fields(val_len);
        let before = HEADER_LEN + self.key.len();
        let rest = (before + len).next_multiple_of(8) - before;
        let (body, head) =
            of_entry(salt, (at.offset, at.head_crc), [first, second], self.key, (value, rest));
        let end = out.len() + before + rest;
        let header = [u64::from(head) | u64::from(body) << 32, first, second];
        out.extend_from_slice(header.map(u64::to_le_bytes).as_flattened());
        out.extend_from_slice(self.key);
        let [low, high] = value;
        out.extend_from_slice([low, high, 0].map(u64::to_le_bytes).as_flattened());
        out.truncate(end);
        *at = Position { offset: at.offset + (before + rest) as u64, head_crc: head };
        body
    }

    /// Bytes 8..24 as two words: kind and seven bytes of the timestamp, then the eighth one, the lengths and the
    /// flags.
    #[inline]
    fn fields(&self, val_len: u32) -> [u64; 2] {
        let key_len = u16::try_from(self.key.len()).unwrap_or(u16::MAX);
        let timestamp = self.timestamp.cast_unsigned();
        let first = u64::from(self.kind as u8) | timestamp << 8;
        let second = timestamp >> 56
            | u64::from(key_len) << 8
            | u64::from(val_len) << 24
            | u64::from(self.flags) << 56;
        [first, second]
    }

    #[inline]
    fn begin(&self, out: &mut Vec<u8>, val_len: u32) -> usize {
        let start = out.len();
        let [first, second] = self.fields(val_len);
        let mut header = [0; HEADER_LEN];
        put_at(&mut header, 8, &first.to_le_bytes());
        put_at(&mut header, 16, &second.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.key);
        start
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "`begin` wrote header and key from `start` on")]
    fn finish(&self, out: &mut [u8], start: usize, at: &mut Position, salt: &Salt) -> BodyCrc {
        let entry = &mut out[start..];
        // Each checksum in one run over neighbouring bytes, which on entries of this size counts:
        // offset or previous checksum stand for a moment where the checksums go.
        entry[..8].copy_from_slice(&at.offset.to_le_bytes());
        let body = extend(salt.chain_start(), entry);
        let both = u64::from(at.head_crc) | u64::from(body) << 32;
        entry[..8].copy_from_slice(&both.to_le_bytes());
        at.head_crc = crc32c(&entry[..HEADER_LEN + self.key.len()]);
        entry[..4].copy_from_slice(&at.head_crc.to_le_bytes());
        body
    }
}

/// Appends zeros until the entry that began at `start` is a multiple of 8 long.
#[inline]
fn pad(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.extend_from_slice([0u8; 8].get(..len.next_multiple_of(8) - len).unwrap_or_default());
}

/// The value of a commit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitValue {
    /// Offset of the first member.
    pub(crate) first: u64,
    /// Number of members.
    pub(crate) count: u32,
    /// CRC32C of the members' `body_crc` fields in order.
    pub(crate) members_crc: u32,
}

impl CommitValue {
    pub(crate) const LEN: usize = 16;

    /// Counts one more member, for who gathers what a commit entry ought to say.
    pub(crate) fn add_member(&mut self, body_crc: u32) {
        self.count = self.count.saturating_add(1);
        self.members_crc = extend(self.members_crc, &body_crc.to_le_bytes());
    }

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut value = [0; Self::LEN];
        put_at(&mut value, 0, &self.first.to_le_bytes());
        put_at(&mut value, 8, &self.count.to_le_bytes());
        put_at(&mut value, 12, &self.members_crc.to_le_bytes());
        value
    }

    pub(crate) fn parse(value: &[u8]) -> Option<CommitValue> {
        if value.len() != Self::LEN {
            return None;
        }
        Some(CommitValue {
            first: super::bytes::u64_at(value, 0)?,
            count: u32_at(value, 8)?,
            members_crc: u32_at(value, 12)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, flags: u8, key: &[u8]) -> Frame<'_> {
        Frame { kind, timestamp: -2, flags, key }
    }

    #[test]
    fn short_values_are_written_as_long_ones_are() {
        let salt = Salt::new([7; 16]);
        let key: Vec<u8> = (0..300u32).map(|i| (i * 7 % 251).to_le_bytes()[0]).collect();
        for key_len in 0..key.len() {
            for len in 0..=16 {
                let value: Vec<u8> = (1..=16).map(|i| if i <= len { i } else { 0 }).collect();
                let word = |from| u64::from_le_bytes(*value[from..].first_chunk().unwrap());
                let (len, words) = (usize::from(len), [word(0), word(8)]);
                let frame = frame(Kind::Put, flags::IN_BATCH, &key[..key_len]);
                let start = Position { offset: 99 * 8, head_crc: 12_345 };
                let (mut short, mut long) = ((vec![1, 2], start), (vec![1, 2], start));
                let body = frame.write_short(&mut short.0, &mut short.1, &salt, (words, len));
                assert_eq!(body, frame.write(&mut long.0, &mut long.1, &salt, &value[..len]));
                assert_eq!(short, long, "{key_len} {len}");
            }
        }
    }

    #[test]
    fn golden_bytes_of_a_put() {
        let salt = Salt::new([7; 16]);
        let mut at = Position { offset: 12_288, head_crc: salt.chain_start() };
        let mut out = Vec::new();
        let body = frame(Kind::Put, flags::AFTER_SYNC, b"key").write(
            &mut out,
            &mut at,
            &salt,
            &[0xAA; 12],
        );
        let mut from_8 = vec![1];
        from_8.extend_from_slice(&(-2i64).to_le_bytes());
        from_8.extend_from_slice(&[3, 0, 12, 0, 0, 0, 16]);
        from_8.extend_from_slice(b"key");
        from_8.extend_from_slice(&[0xAA; 12]);
        from_8.push(0);
        assert_eq!(out.len(), 40);
        assert_eq!(out[8..], from_8);
        let mut hashed = vec![7; 16];
        hashed.extend_from_slice(&12_288u64.to_le_bytes());
        hashed.extend_from_slice(&from_8);
        assert_eq!(body, crc32c(&hashed));
        assert_eq!(out[4..8], body.to_le_bytes());
        let mut chained = crc32c(&[7; 16]).to_le_bytes().to_vec();
        chained.extend_from_slice(&out[4..24]);
        chained.extend_from_slice(b"key");
        assert_eq!(out[..4], crc32c(&chained).to_le_bytes());
        assert_eq!(at, Position { offset: 12_328, head_crc: crc32c(&chained) });
    }

    #[test]
    fn a_float_under_a_key_of_16_bytes_takes_56_bytes() {
        assert_eq!(entry_len(16, 12), 56);
    }

    #[test]
    fn headers_read_back() {
        let salt = Salt::new([7; 16]);
        let mut at = Position { offset: 64, head_crc: 0 };
        let mut out = Vec::new();
        frame(Kind::Tombstone, flags::IS_TOMBSTONE | flags::IN_BATCH, b"abcdefgh").write(
            &mut out,
            &mut at,
            &salt,
            &[],
        );
        let header = EntryHeader::parse(&out).unwrap();
        assert_eq!(header.meaning(), Ok(Meaning::Known(Kind::Tombstone)));
        assert_eq!((header.key_len, header.val_len, header.timestamp), (8, 0, -2));
        assert_eq!(header.entry_len(), out.len() as u64);
        assert!(header.has(flags::IN_BATCH) && !header.has(flags::AFTER_SYNC));
    }

    #[test]
    fn contradictions_and_unknown_bits_are_told_apart() {
        let header = |kind, flags, key_len, val_len| EntryHeader {
            head_crc: 0,
            body_crc: 0,
            kind,
            timestamp: 0,
            key_len,
            val_len,
            flags,
        };
        let meaning =
            |kind, flags, key_len, val_len| header(kind, flags, key_len, val_len).meaning();
        assert!(meaning(1, 0, 1, 4).is_ok());
        assert_eq!(meaning(0x80, 0xff, 0, 0), Ok(Meaning::Ignorable));
        for (kind, value) in [(6, 6), (0x7f, 0x7f)] {
            let unsupported = EntryError::Unsupported { what: "entry kind", value };
            assert_eq!(meaning(kind, 0, 1, 4), Err(unsupported));
        }
        assert_eq!(
            meaning(1, 0x20, 1, 4),
            Err(EntryError::Unsupported { what: "entry flag", value: 0x20 })
        );
        for (kind, flags, key_len, val_len) in [
            (0, 0, 1, 0),
            (1, flags::IS_TOMBSTONE, 1, 4),
            (2, 0, 1, 0),
            (2, flags::IS_TOMBSTONE, 1, 1),
            (1, flags::IS_DELTA, 1, 4),
            (4, flags::IS_COMPRESSED, 0, 16),
            (4, flags::IN_BATCH, 0, 16),
            (1, 0, 0, 4),
            (4, 0, 1, 16),
        ] {
            assert!(
                matches!(meaning(kind, flags, key_len, val_len), Err(EntryError::Contradiction(_))),
                "{kind} {flags} {key_len} {val_len}"
            );
        }
    }

    #[test]
    fn commit_values_have_fixed_bytes() {
        let value = CommitValue { first: 12_288, count: 3, members_crc: 0xDEAD_BEEF };
        let bytes = value.encode();
        assert_eq!(bytes, *b"\x00\x30\0\0\0\0\0\0\x03\0\0\0\xEF\xBE\xAD\xDE");
        assert_eq!(CommitValue::parse(&bytes), Some(value));
        assert_eq!(CommitValue::parse(&bytes[..15]), None);
    }
}
