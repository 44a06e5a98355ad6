//! Page 0: what the file is. Written once, last of all when a file is made, and never changed.

use super::bytes::{i64_at, put_at, u16_at, u32_at, u64_at};
use super::checksum::{Salt, crc32c};
use super::{MAGIC, PAGE_SIZE, VERSION_MAJOR, VERSION_MINOR};

/// Sizes that hold for a file from its creation on. Readers believe no length above them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Largest encoded value of a put, and of a chunk of one row, in bytes.
    pub(crate) value_size_max: u64,
    /// Largest value of a chunk entry in bytes.
    pub(crate) chunk_size_max: u64,
    /// Most rows in a block.
    pub(crate) block_rows_max: u32,
    /// Most bytes of a decoded block that has more than one row.
    pub(crate) block_decoded_size_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            value_size_max: 64 << 20,
            chunk_size_max: 1 << 30,
            block_rows_max: 65_536,
            block_decoded_size_max: 64 << 20,
        }
    }
}

/// The fields of page 0; the drawing is in [`crate::format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) incompatible_features: u32,
    pub(crate) read_compatible_features: u32,
    /// Names the database; kept by rewrites and backups.
    pub(crate) file_id: [u8; 16],
    /// New at creation and at every rewrite; part of every `body_crc`.
    pub(crate) salt: Salt,
    /// Counts rewrites from 1.
    pub(crate) generation: u64,
    /// The generation this one was made from; 0 for a new database.
    pub(crate) from_generation: u64,
    /// End of that generation's last commit, the re-appended rest included.
    pub(crate) from_end: u64,
    /// The offset here that corresponds to `from_end`: everything after it is newer.
    pub(crate) base_end: u64,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) created: i64,
    pub(crate) limits: Limits,
}

/// Why page 0 cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The magic is not ours: nothing of this file is to be touched.
    NotOurs(&'static str),
    /// A newer major version.
    Version { major: u16, minor: u16 },
    /// A feature bit that must be understood and is not.
    Feature(u32),
    /// It is ours, but damaged.
    Damaged(&'static str),
}

const CRC_AT: usize = PAGE_SIZE - 4;
/// No file has smaller limits: what stays in memory always fits.
const SIZE_MAX_MIN: u64 = 1 << 20;

impl FileHeader {
    /// The page as it stands in the file.
    pub(crate) fn encode(&self) -> [u8; PAGE_SIZE] {
        let mut page = [0; PAGE_SIZE];
        put_at(&mut page, 0, &MAGIC);
        put_at(&mut page, 8, &self.major.to_le_bytes());
        put_at(&mut page, 10, &self.minor.to_le_bytes());
        put_at(&mut page, 12, &self.incompatible_features.to_le_bytes());
        put_at(&mut page, 16, &self.read_compatible_features.to_le_bytes());
        put_at(&mut page, 24, &self.file_id);
        put_at(&mut page, 40, &self.salt.bytes());
        put_at(&mut page, 56, &self.generation.to_le_bytes());
        put_at(&mut page, 64, &self.from_generation.to_le_bytes());
        put_at(&mut page, 72, &self.from_end.to_le_bytes());
        put_at(&mut page, 80, &self.base_end.to_le_bytes());
        put_at(&mut page, 88, &self.created.to_le_bytes());
        put_at(&mut page, 96, &self.limits.value_size_max.to_le_bytes());
        put_at(&mut page, 104, &self.limits.chunk_size_max.to_le_bytes());
        put_at(&mut page, 112, &self.limits.block_decoded_size_max.to_le_bytes());
        put_at(&mut page, 120, &self.limits.block_rows_max.to_le_bytes());
        let crc = page.get(..CRC_AT).map_or(0, crc32c);
        put_at(&mut page, CRC_AT, &crc.to_le_bytes());
        page
    }

    /// Reads page 0. Fewer bytes than a page are accepted as input and refused as damage.
    pub(crate) fn parse(page: &[u8]) -> Result<FileHeader, HeaderError> {
        let magic_len = page.len().min(MAGIC.len());
        if magic_len == 0 || page.get(..magic_len) != MAGIC.get(..magic_len) {
            return Err(HeaderError::NotOurs("it does not begin with the magic bytes"));
        }
        if magic_len < MAGIC.len() {
            return Err(HeaderError::NotOurs("it is shorter than the magic bytes"));
        }
        // The version comes before the checksum: a later major may place that elsewhere.
        let (Some(major), Some(minor)) = (u16_at(page, 8), u16_at(page, 10)) else {
            return Err(HeaderError::Damaged("the header page is cut"));
        };
        let intact = page.get(..CRC_AT).map(crc32c) == u32_at(page, CRC_AT);
        if page.len() < PAGE_SIZE {
            return Err(HeaderError::Damaged("the header page is cut"));
        }
        if !intact {
            // A damaged version field would otherwise pass for a file of the future.
            return Err(if major > VERSION_MAJOR && major < 1000 {
                HeaderError::Version { major, minor }
            } else {
                HeaderError::Damaged("the header page fails its checksum")
            });
        }
        if major != VERSION_MAJOR {
            return Err(HeaderError::Version { major, minor });
        }
        Self::parse_fields(page).ok_or(HeaderError::Damaged("the header page is cut")).and_then(
            |header| {
                let Limits { value_size_max, chunk_size_max, block_rows_max, .. } = header.limits;
                if header.incompatible_features != 0 {
                    Err(HeaderError::Feature(header.incompatible_features))
                } else if !(SIZE_MAX_MIN..=1 << 31).contains(&value_size_max)
                    || !(SIZE_MAX_MIN..=u64::from(u32::MAX) - (1 << 16)).contains(&chunk_size_max)
                    || block_rows_max == 0
                {
                    Err(HeaderError::Damaged("the header page holds impossible limits"))
                } else {
                    Ok(header)
                }
            },
        )
    }

    fn parse_fields(page: &[u8]) -> Option<FileHeader> {
        Some(FileHeader {
            major: u16_at(page, 8)?,
            minor: u16_at(page, 10)?,
            incompatible_features: u32_at(page, 12)?,
            read_compatible_features: u32_at(page, 16)?,
            file_id: page.get(24..40)?.try_into().ok()?,
            salt: Salt::new(page.get(40..56)?.try_into().ok()?),
            generation: u64_at(page, 56)?,
            from_generation: u64_at(page, 64)?,
            from_end: u64_at(page, 72)?,
            base_end: u64_at(page, 80)?,
            created: i64_at(page, 88)?,
            limits: Limits {
                value_size_max: u64_at(page, 96)?,
                chunk_size_max: u64_at(page, 104)?,
                block_decoded_size_max: u64_at(page, 112)?,
                block_rows_max: u32_at(page, 120)?,
            },
        })
    }

    /// The header of a new database.
    pub(crate) fn new_database(file_id: [u8; 16], salt: [u8; 16], created: i64) -> FileHeader {
        FileHeader {
            major: VERSION_MAJOR,
            minor: VERSION_MINOR,
            incompatible_features: 0,
            read_compatible_features: 0,
            file_id,
            salt: Salt::new(salt),
            generation: 1,
            from_generation: 0,
            from_end: 0,
            base_end: super::LOG_START,
            created,
            limits: Limits::default(),
        }
    }

    /// The header of a rewrite of the database with this header. `from_end` and `base_end` are
    /// set when they are known, before the page is written.
    pub(crate) fn next_generation(&self, salt: [u8; 16], created: i64) -> FileHeader {
        FileHeader {
            major: VERSION_MAJOR,
            minor: VERSION_MINOR,
            salt: Salt::new(salt),
            generation: self.generation.saturating_add(1),
            from_generation: self.generation,
            from_end: 0,
            base_end: 0,
            created,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            from_generation: 2,
            from_end: 3,
            base_end: 4,
            generation: 5,
            ..FileHeader::new_database([1; 16], [2; 16], 6)
        }
    }

    #[test]
    fn a_page_reads_back() {
        assert_eq!(FileHeader::parse(&header().encode()), Ok(header()));
    }

    #[test]
    fn golden_bytes() {
        let page = header().encode();
        let mut expected = Vec::new();
        expected.extend_from_slice(b"\x89SYN\r\n\x1a\n");
        expected.extend_from_slice(&[1, 0, 1, 0]); // version 1.1
        expected.extend_from_slice(&[0; 12]); // features, reserved
        expected.extend_from_slice(&[1; 16]); // file id
        expected.extend_from_slice(&[2; 16]); // salt
        for field in [5u64, 2, 3, 4, 6, 64 << 20, 1 << 30, 64 << 20] {
            expected.extend_from_slice(&field.to_le_bytes());
        }
        expected.extend_from_slice(&65_536u32.to_le_bytes());
        assert_eq!(&page[..expected.len()], expected);
        assert!(page[expected.len()..CRC_AT].iter().all(|&b| b == 0));
        assert_eq!(page[CRC_AT..], crc32c(&page[..CRC_AT]).to_le_bytes());
    }

    #[test]
    fn what_is_not_ours_is_told_from_what_is_damaged() {
        assert!(matches!(FileHeader::parse(b""), Err(HeaderError::NotOurs(_))));
        assert!(matches!(FileHeader::parse(b"time,value\n1,2\n"), Err(HeaderError::NotOurs(_))));
        assert!(matches!(FileHeader::parse(&MAGIC[..5]), Err(HeaderError::NotOurs(_))));
        let page = header().encode();
        assert!(matches!(FileHeader::parse(&page[..100]), Err(HeaderError::Damaged(_))));
        for bit in 64..PAGE_SIZE * 8 {
            let mut page = page;
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::parse(&page).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_major_is_refused_by_name() {
        let page = FileHeader { major: 2, minor: 7, ..header() }.encode();
        assert_eq!(FileHeader::parse(&page), Err(HeaderError::Version { major: 2, minor: 7 }));
    }

    #[test]
    fn an_unknown_incompatible_feature_is_refused_and_a_compatible_one_is_not() {
        let page = FileHeader { incompatible_features: 4, ..header() }.encode();
        assert_eq!(FileHeader::parse(&page), Err(HeaderError::Feature(4)));
        let page = FileHeader { read_compatible_features: 4, ..header() }.encode();
        assert!(FileHeader::parse(&page).is_ok());
    }
}
