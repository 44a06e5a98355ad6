//! The only place that knows byte offsets.

pub(crate) mod bytes;
pub(crate) mod checkpoint;
pub(crate) mod checksum;
pub(crate) mod chunk;
pub(crate) mod entry;
pub(crate) mod file_header;
pub(crate) mod slot;
pub(crate) mod value;

/// First bytes of a database. A high bit, both line ends and ^Z show what a text transfer broke.
pub(crate) const MAGIC: [u8; 8] = *b"\x89SYN\r\n\x1a\n";
/// Version of the format this build writes. It reads every minor of the same major.
pub(crate) const VERSION_MAJOR: u16 = 1;
pub(crate) const VERSION_MINOR: u16 = 0;
pub(crate) const PAGE_SIZE: usize = 4096;
/// Offset of the first entry: behind the header page and the two slot pages.
pub(crate) const LOG_START: u64 = 3 * PAGE_SIZE as u64;
