//! The bytes of a simulated file: pages shared until they are written.

use std::sync::Arc;

/// The unit in which a page cache writes back.
pub const PAGE: usize = 4096;

/// The unit that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

pub type Page = [u8; PAGE];
pub type Sector = [u8; SECTOR];

/// A file's bytes. A clone costs a reference count per page. What was never written is a hole,
/// which reads as zeros; so does what lies beyond the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pages: Vec<Option<Arc<Page>>>,
    len: u64,
}

impl Content {
    pub fn new(bytes: &[u8]) -> Self {
        let mut content = Content::default();
        content.write(bytes, 0);
        content
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Copies what there is at `offset`, as `pread` does.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let count = buffer.len().min(self.len.saturating_sub(offset) as usize);
        let mut done = 0;
        while done < count {
            let (page, start) = place(offset + done as u64);
            let part = (PAGE - start).min(count - done);
            let target = &mut buffer[done..done + part];
            match self.page(page) {
                Some(bytes) => target.copy_from_slice(&bytes[start..start + part]),
                None => target.fill(0),
            }
            done += part;
        }
        count
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let mut done = 0;
        while done < bytes.len() {
            let (page, start) = place(offset + done as u64);
            let part = (PAGE - start).min(bytes.len() - done);
            self.page_mut(page)[start..start + part].copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    /// Cuts, or extends with a hole.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.zero(len, self.len);
            self.pages.truncate(len.div_ceil(PAGE as u64) as usize);
        }
        self.len = len;
    }

    /// Sets `[from, to)` to zero without changing the length; whole pages become holes.
    pub fn zero(&mut self, from: u64, to: u64) {
        let mut offset = from;
        while offset < to {
            let (page, start) = place(offset);
            let part = (PAGE - start).min((to - offset) as usize);
            match self.pages.get_mut(page) {
                Some(hole) if part == PAGE => *hole = None,
                Some(Some(bytes)) => Arc::make_mut(bytes)[start..start + part].fill(0),
                Some(None) => {}
                None => return,
            }
            offset += part as u64;
        }
    }

    /// The first offset at or after `offset` that is in no hole.
    pub fn next_data(&self, offset: u64) -> Option<u64> {
        let (first, _) = place(offset);
        let page = (first..self.pages.len()).find(|page| self.page(*page).is_some())?;
        Some(offset.max((page * PAGE) as u64)).filter(|found| *found < self.len)
    }

    /// Whether the page that holds `offset` is a hole.
    pub fn is_hole(&self, offset: u64) -> bool {
        self.page(place(offset).0).is_none()
    }

    pub fn sector(&self, index: u64) -> Sector {
        let mut sector = [0; SECTOR];
        self.read(&mut sector, index * SECTOR as u64);
        sector
    }

    /// Number of sectors, a partial one included.
    pub fn sector_count(&self) -> u64 {
        self.len.div_ceil(SECTOR as u64)
    }

    fn page(&self, index: usize) -> Option<&Page> {
        self.pages.get(index)?.as_deref()
    }

    fn page_mut(&mut self, index: usize) -> &mut Page {
        if self.pages.len() <= index {
            self.pages.resize(index + 1, None);
        }
        Arc::make_mut(self.pages[index].get_or_insert_with(|| Arc::new([0; PAGE])))
    }
}

fn place(offset: u64) -> (usize, usize) {
    ((offset / PAGE as u64) as usize, (offset % PAGE as u64) as usize)
}
