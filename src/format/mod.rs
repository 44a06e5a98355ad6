//! The only place that knows byte offsets: the drawing of the file.
//!
//! A database is one file. It is only ever appended to, except for the two slot pages: committed
//! bytes are never overwritten, moved or cut while the file lives under its name. A prefix of it
//! that ends at a commit is a consistent database. Integers are little-endian; reserved bytes are
//! zero.
//!
//! ```text
//!        0  +---------------------------+
//!           | header page               |  written last when the file is made, then never changed
//!     4096  +---------------------------+
//!           | slot page A               |  \ how much is durable, where the checkpoint is; the
//!     8192  +---------------------------+   > newer intact one counts, the other one is the next
//!           | slot page B               |  /  to be written
//!    12288  +---------------------------+
//!           | entry                     |  8-byte aligned, back to back
//!           | entry                     |
//!           | ...                       |
//!           +---------------------------+
//!           | zeros                     |  preallocated space; none after a clean close
//!           +---------------------------+
//! ```
//!
//! # Header page
//!
//! ```text
//!    0  8  magic  89 'S' 'Y' 'N' CR LF 1A LF     56  8  generation
//!    8  2  major version, now 1                  64  8  from_generation
//!   10  2  minor version, now 1                  72  8  from_end
//!   12  4  incompatible features                 80  8  base_end
//!   16  4  read-compatible features              88  8  created
//!   20  4  reserved                              96  8  value_size_max        64 MiB
//!   24 16  file id                              104  8  chunk_size_max         1 GiB
//!   40 16  salt                                 112  8  block_decoded_size_max 64 MiB
//!                                               120  4  block_rows_max        65,536
//! 4092  4  CRC32C of the 4092 bytes before
//! ```
//!
//! - **magic**: a file without it is not touched. The high bit, both line ends and ^Z show what a
//!   transfer as text has broken.
//! - **version**: a reader refuses another major by name and reads every minor of its own. The minor
//!   is that of whoever made the file; what a later one added is named where it stands (1 added
//!   encodings of columns, compressed puts, and what a chunk of several blocks says about all its
//!   rows), and a reader that does not know it refuses it there.
//! - **incompatible features**: any bit a reader does not know is refused by name.
//!   **Read-compatible features**: an unknown bit forbids writing only.
//! - **file id**: names the database; kept by rewrites and backups. **salt**: random, new at
//!   creation and at every rewrite; it goes into every `body_crc`, so that an entry of another
//!   file, or of this one before a rewrite, is never taken for one of this file.
//! - **generation** counts rewrites from 1; **from_generation** is the one this file was made
//!   from, **from_end** where that one's last commit ended (what was appended while it was
//!   rewritten included), **base_end** the offset here that corresponds to it: everything behind is
//!   newer. 0, 0 and 12288 in a new database.
//! - **created**: microseconds since 1970-01-01 UTC.
//! - **limits**: a reader believes no length above them.
//!
//! # Slot page
//!
//! ```text
//!    0  8  epoch           24  8  checkpoint        2048 128  copy of the header's first 128 bytes
//!    8  8  durable_len     32  8  suspect_from      2176   4  CRC32C of that copy
//!   16  4  head_crc        40  4  CRC32C(salt, offset of this page as u64, bytes 0..40)
//! ```
//!
//! - **epoch** counts slot writes; of two intact pages the greater one wins. One damaged page is
//!   no damage to the database; two are refused, and salvage does without them.
//! - **durable_len**: all bytes below were synced, and end at a commit; **head_crc** is that of the
//!   last entry below it. Written only after a successful sync, at most once a second and at
//!   close. A bad entry below it is damage, never a torn tail.
//! - **checkpoint**: offset of the first entry of the newest durable checkpoint, 0 for none. A
//!   hint: it is passed over if it begins beyond `durable_len`, and believed by its checksums.
//! - **suspect_from**: a sync of the bytes from here on has failed, so the system may take pages
//!   for clean that never reached the medium; the next writer writes them again and syncs before
//!   it trusts them. 0 for none.
//! - The copy of the header lets salvage find the salt of a file whose first page is lost.
//!
//! # Entry
//!
//! ```text
//!   +----------+----------+------+-----------+---------+---------+-------+-----+-------+------+
//!   | head_crc | body_crc | kind | timestamp | key_len | val_len | flags | key | value | zero |
//!   |    4     |    4     |  1   |     8     |    2    |    4    |   1   |     |       | 0-7  |
//!   +----------+----------+------+-----------+---------+---------+-------+-----+-------+------+
//!   0          4          8      9           17        19        23      24            multiple of 8
//!                                 \____________ LogHeader, 15 bytes ____/
//! ```
//!
//! - **head_crc** = CRC32C(`head_crc` of the entry before, bytes 4..24, key): the chain. The first
//!   entry is chained to CRC32C(salt). It makes gaps, stale bytes and reordering visible, and lets
//!   a scan trust lengths without reading values.
//! - **body_crc** = CRC32C(salt, own offset as u64, bytes 8.. up to the end of the padding): speaks
//!   for the entry alone, wherever the chain is broken, and for its place. Of a chunk it covers the
//!   bytes up to the end of the chunk header, or up to the records of its blocks where the header has
//!   a checksum of these; the columns have checksums of their own.
//! - **kind**: 0 never valid (the log's end), 1 put, 2 tombstone, 3 chunk, 4 commit, 5 checkpoint.
//!   Another one with bit 7 may be passed over by a reader that does not know it; without, the
//!   file is refused by name.
//! - **timestamp**: a put's point, a chunk's smallest, elsewhere the clock at writing; the bits of an
//!   `i64` in microseconds since 1970-01-01 UTC.
//! - **flags**: 1 `IS_DELTA`, 2 `IS_COMPRESSED`, 4 `IS_TOMBSTONE`, 8 `IN_BATCH`, 16 `AFTER_SYNC`. An
//!   unknown bit is refused by name, a contradiction (a tombstone flag on a put) is damage. On a
//!   chunk the first two say whether some column has an encoding that `enable_delta` or
//!   `enable_compression` allows, and on a put the second one that the value is compressed.
//! - **key**: 1 to 65,535 bytes of UTF-8 for a put, tombstone or chunk, else none.
//!
//! Behind `durable_len` an entry is good only when both checksums hold (and, of a chunk, those of
//! its block records and all columns); below it the bodies of large values and the columns wait for their first reader.
//!
//! **Put**: the bincode encoding of the atom, with `IS_COMPRESSED` as an LZ4 block, see [`value`]. **Tombstone**: no value; the key's
//! points up to here are no longer live. **Commit**: offset of the first member u64, number of
//! members u32, CRC32C of the members' `body_crc` fields in order u32. A batch is a run of entries with
//! `IN_BATCH` and the commit entry behind them; it takes effect with that. Any other entry commits
//! itself. **Chunk**: points of one key in columns, drawn in [`chunk`]. **Checkpoint**: an image of the
//! index up to the offset of its first piece, see [`checkpoint`]; several pieces form a batch.
//!
//! **`AFTER_SYNC`** says that everything before the entry was synced before the entry was written.
//! It is set on the first entry written after a sync during which nothing was written, and never
//! guessed. At a bad entry X: if a good entry with this flag stands behind X, or `durable_len` lies
//! behind X, then committed bytes are damaged, and the file is refused unchanged. Otherwise X is
//! where a write was torn, and the log ends at the last commit before it.
//!
//! # Rows
//!
//! Puts and chunks of a key are its rows, numbered in append order; a put is the next row N. A
//! chunk of the rows `[f, f + n)`
//!
//! - *adds* them if f = N, or if the key has no row yet in this file (rewritten files begin a
//!   key's history at a later row),
//! - *replaces* them by the same points in columns if f + n <= N, and then it takes the place of
//!   whole chunks, whole large values and puts, none of them before the newest tombstone,
//! - is damage in any other case.
//!
//! # What is assumed of the medium
//!
//! A sync that succeeded means that all bytes written before it began are readable after power
//! loss. Without a sync any subset of 512-byte sectors of what was written may be there, in any
//! order, and the rest holds zeros or anything; length and names likewise. A device that
//! acknowledges a sync it has not done breaks the promise of `Full`, and only that. CRC32C finds any
//! burst of up to 32 bits and misses others with a chance of 2^-32; it is no protection against
//! somebody who can write the file.

pub(crate) mod bytes;
pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod chunk;
pub(crate) mod column;
pub(crate) mod entry;
pub(crate) mod file_header;
pub(crate) mod slot;
pub(crate) mod value;

/// First bytes of a database.
pub(crate) const MAGIC: [u8; 8] = *b"\x89SYN\r\n\x1a\n";
/// Version of the format this build writes. It reads every minor of the same major.
pub(crate) const VERSION_MAJOR: u16 = 1;
pub(crate) const VERSION_MINOR: u16 = 1;
pub(crate) const PAGE_SIZE: usize = 4096;
/// Offset of the first entry: behind the header page and the two slot pages.
pub(crate) const LOG_START: u64 = 3 * PAGE_SIZE as u64;
