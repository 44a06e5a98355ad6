//! Where a follower stands, in a form that can be stored.

use std::fmt;
use std::str::FromStr;

use crate::error::{Result, SynaError};
use crate::format::bytes::{put_at, u32_at, u64_at};

/// A place in the log of a database: everything before it was delivered.
///
/// It names the database, the generation of its file, the offset behind a commit, and a checksum of
/// what stood before that place: a file that has other commits there, because a power loss took
/// those that were delivered, is not taken for the one that was followed. It can be stored as 36
/// bytes or as a text of about 70 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) file_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) offset: u64,
    /// Of the last entry before `offset`; it depends on all entries before it.
    pub(crate) head_crc: u32,
}

impl Cursor {
    /// Length of [`Cursor::to_bytes`].
    pub const LEN: usize = 36;

    /// The cursor as bytes.
    pub fn to_bytes(&self) -> [u8; Cursor::LEN] {
        let mut bytes = [0; Cursor::LEN];
        put_at(&mut bytes, 0, &self.file_id);
        put_at(&mut bytes, 16, &self.generation.to_le_bytes());
        put_at(&mut bytes, 24, &self.offset.to_le_bytes());
        put_at(&mut bytes, 32, &self.head_crc.to_le_bytes());
        bytes
    }

    /// The cursor that [`Cursor::to_bytes`] gave these bytes of.
    ///
    /// # Errors
    ///
    /// `InvalidOption` if there are more or fewer than 36.
    pub fn from_bytes(bytes: &[u8]) -> Result<Cursor> {
        let wrong = || SynaError::InvalidOption { option: "cursor", what: "it must have 36 bytes" };
        let bytes: &[u8; Cursor::LEN] = bytes.try_into().map_err(|_| wrong())?;
        let file_id = bytes.first_chunk().copied();
        let fields = (file_id, u64_at(bytes, 16), u64_at(bytes, 24), u32_at(bytes, 32));
        let (Some(file_id), Some(generation), Some(offset), Some(head_crc)) = fields else {
            return Err(wrong());
        };
        Ok(Cursor { file_id, generation, offset, head_crc })
    }

    /// How often the file had been rewritten, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Offset behind the last commit that was delivered.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// The file id in hexadecimal, the generation, the offset, and the checksum in hexadecimal, with
/// `-` between them.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.file_id {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}-{}-{:08x}", self.generation, self.offset, self.head_crc)
    }
}

impl FromStr for Cursor {
    type Err = SynaError;

    /// Reads what `Display` writes.
    ///
    /// # Errors
    ///
    /// `InvalidOption`.
    fn from_str(text: &str) -> Result<Cursor> {
        parse(text).ok_or(SynaError::InvalidOption {
            option: "cursor",
            what: "it must be a text that a follower gave, as in 0123..cdef-1-12288-89abcdef",
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut parts = text.split('-');
    let (id, generation, offset, crc) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some()
        || !is_hex(id, 32)
        || !is_hex(crc, 8)
        || !is_number(generation)
        || !is_number(offset)
    {
        return None;
    }
    Some(Cursor {
        file_id: u128::from_str_radix(id, 16).ok()?.to_be_bytes(),
        generation: generation.parse().ok()?,
        offset: offset.parse().ok()?,
        head_crc: u32::from_str_radix(crc, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_survive_as_text_and_as_bytes(
            file_id in any::<[u8; 16]>(), generation in any::<u64>(),
            offset in any::<u64>(), head_crc in any::<u32>(),
        ) {
            let cursor = Cursor { file_id, generation, offset, head_crc };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            prop_assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).unwrap(), cursor);
        }

        #[test]
        fn other_texts_are_refused_or_mean_what_they_say(text in "[0-9a-f+ -]{0,80}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().len(), text.len());
            }
        }
    }

    #[test]
    fn golden_text() {
        let cursor = Cursor { file_id: [0xab; 16], generation: 3, offset: 12_288, head_crc: 0x1f };
        let text = "abababababababababababababababab-3-12288-0000001f";
        assert_eq!(cursor.to_string(), text);
        for wrong in ["", "-", &text[1..], &format!("{text}-"), &text.replace('3', "+3")] {
            let error = wrong.parse::<Cursor>().unwrap_err();
            assert!(matches!(error, SynaError::InvalidOption { .. }), "{wrong}");
        }
        assert!(Cursor::from_bytes(&[0; 35]).is_err());
    }
}
