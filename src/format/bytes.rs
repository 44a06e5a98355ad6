//! Little-endian integers in byte slices, with every bound checked.

/// The integer at `at`, or `None` if it would reach beyond the slice.
macro_rules! read_at {
    ($($name:ident: $int:ty;)*) => {
        $(#[inline]
        pub(crate) fn $name(bytes: &[u8], at: usize) -> Option<$int> {
            const WIDTH: usize = size_of::<$int>();
            let field = bytes.get(at..at.checked_add(WIDTH)?)?;
            Some(<$int>::from_le_bytes(field.try_into().ok()?))
        })*
    };
}

read_at! {
    u16_at: u16;
    u32_at: u32;
    u64_at: u64;
    i64_at: i64;
}

/// Copies `field` into a fixed-size page at a constant place.
///
/// # Panics
///
/// If the place lies outside the page: a mistake in a layout constant.
#[inline]
#[expect(clippy::indexing_slicing, reason = "places are layout constants inside the page")]
pub(crate) fn put_at(page: &mut [u8], at: usize, field: &[u8]) {
    page[at..at + field.len()].copy_from_slice(field);
}

/// Reads fields one after the other; every read is checked.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Fields { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        u16_at(self.take(2)?, 0)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        u32_at(self.take(4)?, 0)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        u64_at(self.take(8)?, 0)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        i64_at(self.take(8)?, 0)
    }
}
