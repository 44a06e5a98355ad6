//! Pages 1 and 2: how much of the log is known to be durable, and where the checkpoint is.

use super::PAGE_SIZE;
use super::bytes::{put_at, u32_at, u64_at};
use super::checksum::{Salt, crc32c, extend};

/// What one slot page says. Of two valid ones the greater epoch wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Counts slot writes from 1.
    pub(crate) epoch: u64,
    /// All bytes below were synced, and end at a commit.
    pub(crate) durable_len: u64,
    /// `head_crc` of the last entry below `durable_len`.
    pub(crate) head_crc: u32,
    /// Offset of the first entry of the newest checkpoint, 0 if there is none.
    pub(crate) checkpoint: u64,
    /// A sync of the bytes from here on has failed; 0 if none has.
    pub(crate) suspect_from: u64,
}

const CRC_AT: usize = 40;
/// Where a copy of the header page's beginning stands, for salvage.
const HEADER_COPY_AT: usize = 2048;
/// How much of the header page is copied: all of its fields.
const HEADER_COPY_LEN: usize = 128;

/// Which of the two slot pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotPage {
    A,
    B,
}

impl SlotPage {
    pub(crate) fn other(self) -> SlotPage {
        match self {
            SlotPage::A => SlotPage::B,
            SlotPage::B => SlotPage::A,
        }
    }

    pub(crate) fn offset(self) -> u64 {
        match self {
            SlotPage::A => PAGE_SIZE as u64,
            SlotPage::B => 2 * PAGE_SIZE as u64,
        }
    }
}

impl Slot {
    /// The page as it stands in the file. `header` is page 0: a copy of its fields rides along, so
    /// that salvage finds the salt of a file whose first page is lost.
    pub(crate) fn encode(
        &self,
        salt: &Salt,
        page: SlotPage,
        header: &[u8; PAGE_SIZE],
    ) -> [u8; PAGE_SIZE] {
        let mut bytes = [0; PAGE_SIZE];
        put_at(&mut bytes, 0, &self.epoch.to_le_bytes());
        put_at(&mut bytes, 8, &self.durable_len.to_le_bytes());
        put_at(&mut bytes, 16, &self.head_crc.to_le_bytes());
        put_at(&mut bytes, 24, &self.checkpoint.to_le_bytes());
        put_at(&mut bytes, 32, &self.suspect_from.to_le_bytes());
        let crc = Self::checksum(salt, page, &bytes);
        put_at(&mut bytes, CRC_AT, &crc.to_le_bytes());
        let copy = header.get(..HEADER_COPY_LEN).unwrap_or_default();
        put_at(&mut bytes, HEADER_COPY_AT, copy);
        put_at(&mut bytes, HEADER_COPY_AT + HEADER_COPY_LEN, &crc32c(copy).to_le_bytes());
        bytes
    }

    /// The slot in a page, or `None` if the page is not intact.
    pub(crate) fn parse(salt: &Salt, page: SlotPage, bytes: &[u8]) -> Option<Slot> {
        if u32_at(bytes, CRC_AT)? != Self::checksum(salt, page, bytes) {
            return None;
        }
        Some(Slot {
            epoch: u64_at(bytes, 0)?,
            durable_len: u64_at(bytes, 8)?,
            head_crc: u32_at(bytes, 16)?,
            checkpoint: u64_at(bytes, 24)?,
            suspect_from: u64_at(bytes, 32)?,
        })
    }

    /// The copy of page 0 that rides in a slot page, completed to a page, if it is intact.
    pub(crate) fn header_copy(bytes: &[u8]) -> Option<[u8; PAGE_SIZE]> {
        let copy = bytes.get(HEADER_COPY_AT..HEADER_COPY_AT + HEADER_COPY_LEN)?;
        if u32_at(bytes, HEADER_COPY_AT + HEADER_COPY_LEN)? != crc32c(copy) {
            return None;
        }
        let mut page = [0; PAGE_SIZE];
        put_at(&mut page, 0, copy);
        let crc = crc32c(page.get(..PAGE_SIZE - 4)?);
        put_at(&mut page, PAGE_SIZE - 4, &crc.to_le_bytes());
        Some(page)
    }

    /// Salt and page number take part, so that a slot of another file or page is not believed.
    fn checksum(salt: &Salt, page: SlotPage, bytes: &[u8]) -> u32 {
        extend(salt.at(page.offset()), bytes.get(..CRC_AT).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::file_header::FileHeader;

    const SLOT: Slot =
        Slot { epoch: 1, durable_len: 2, head_crc: 3, checkpoint: 4, suspect_from: 5 };

    #[test]
    fn golden_bytes_and_back() {
        let salt = Salt::new([9; 16]);
        let header = FileHeader::new_database([1; 16], [9; 16], 0).encode();
        let page = SLOT.encode(&salt, SlotPage::A, &header);
        let mut fields = Vec::new();
        fields.extend_from_slice(&1u64.to_le_bytes());
        fields.extend_from_slice(&2u64.to_le_bytes());
        fields.extend_from_slice(&3u64.to_le_bytes());
        fields.extend_from_slice(&4u64.to_le_bytes());
        fields.extend_from_slice(&5u64.to_le_bytes());
        let mut hashed = [9; 16].to_vec();
        hashed.extend_from_slice(&4096u64.to_le_bytes());
        hashed.extend_from_slice(&fields);
        fields.extend_from_slice(&crc32c(&hashed).to_le_bytes());
        assert_eq!(page[..44], fields);
        assert_eq!(Slot::parse(&salt, SlotPage::A, &page), Some(SLOT));
        assert_eq!(Slot::header_copy(&page), Some(header));
    }

    #[test]
    fn another_page_another_file_or_a_flip_is_not_believed() {
        let salt = Salt::new([9; 16]);
        let page = SLOT.encode(&salt, SlotPage::A, &[0; PAGE_SIZE]);
        assert_eq!(Slot::parse(&salt, SlotPage::B, &page), None);
        assert_eq!(Slot::parse(&Salt::new([8; 16]), SlotPage::A, &page), None);
        for bit in 0..44 * 8 {
            let mut page = page;
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::parse(&salt, SlotPage::A, &page), None, "bit {bit}");
        }
        assert_eq!(Slot::parse(&salt, SlotPage::A, &page[..20]), None);
    }
}
