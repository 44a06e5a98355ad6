//! Arrow buffers that point into the map of the file, and arrays of columns that were verified.

use std::panic::RefUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::storage::Mapping;

/// Keeps a map alive for the buffers that point into it.
struct MapOwner(#[expect(dead_code, reason = "held for its drop")] Arc<dyn Mapping>);

/// Committed bytes never change, whoever panics.
impl RefUnwindSafe for MapOwner {}

/// The bytes `[offset, offset + len)` of the map as a buffer, which keeps the map; `None` if they
/// lie outside. The caller asks for committed bytes only, see [`Mapping::slice`].
#[expect(unsafe_code, reason = "an Arrow buffer is made of mapped bytes")]
pub(crate) fn buffer(mapping: &Arc<dyn Mapping>, offset: u64, len: usize) -> Option<Buffer> {
    let bytes = mapping.slice(offset, len)?;
    if bytes.is_empty() {
        return Some(Buffer::default());
    }
    let start = NonNull::from(bytes).cast::<u8>();
    let owner = Arc::new(MapOwner(Arc::clone(mapping)));
    // SAFETY: `start` points to `len` bytes of the map, which the owner keeps. Committed bytes are
    // in the file, so touching them raises no signal, and are neither written nor cut by anybody
    // while the map may be read.
    Some(unsafe { Buffer::from_custom_allocation(start, len, owner) })
}

/// Whether offsets and data make an array of `texts`: offsets begin at `start`, never go back, end
/// at the end of the data, and texts are UTF-8 each. `data` begins at offset `start`.
pub(crate) fn blobs_hold(offsets: &[i32], start: i32, data: &[u8], texts: bool) -> bool {
    let relative = |offset: &i32| usize::try_from(i64::from(*offset) - i64::from(start)).ok();
    let ends =
        offsets.first() == Some(&start) && offsets.last().and_then(relative) == Some(data.len());
    if !ends || !offsets.is_sorted() {
        return false;
    }
    if !texts {
        return true;
    }
    let Ok(text) = str::from_utf8(data) else { return false };
    text.is_ascii()
        || offsets.iter().all(|at| relative(at).is_some_and(|at| text.is_char_boundary(at)))
}

/// An array of texts, or of bytes values, whose parts passed [`blobs_hold`].
///
/// Checking them again on every read would cost more than everything else.
#[expect(unsafe_code, reason = "texts were checked when their block was verified")]
pub(crate) fn blob_array(
    offsets: ScalarBuffer<i32>,
    data: Buffer,
    nulls: Option<NullBuffer>,
    texts: bool,
) -> ArrayRef {
    // SAFETY: the callers hand over offsets that are sorted, not negative, at least one, and end
    // within the data, and for texts data that are UTF-8 between any two of them: columns of
    // blocks that were verified whole, of which this is what is checked, or copies of such.
    unsafe {
        let offsets = OffsetBuffer::new_unchecked(offsets);
        if texts {
            Arc::new(StringArray::new_unchecked(offsets, data, nulls))
        } else {
            Arc::new(BinaryArray::new_unchecked(offsets, data, nulls))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn only_sound_texts_hold() {
        let data = "aä".as_bytes();
        assert!(blobs_hold(&[5, 6, 8, 8], 5, data, true));
        assert!(blobs_hold(&[5, 6, 7, 8], 5, data, false));
        assert!(!blobs_hold(&[5, 6, 7, 8], 5, data, true), "it starts within a character");
        assert!(!blobs_hold(&[5, 6, 8, 7], 5, data, false));
        assert!(!blobs_hold(&[5, 8, 6, 8], 5, data, false));
        assert!(!blobs_hold(&[5, 8], 4, data, false));
        assert!(!blobs_hold(&[5, 7], 5, data, false));
        assert!(!blobs_hold(&[], 0, &[], false));
        assert!(!blobs_hold(&[i32::MAX, i32::MIN], i32::MAX, data, false));
        assert!(!blobs_hold(&[0, 1], 0, &[0xff], true));
        let array = blob_array(vec![0, 1, 3].into(), Buffer::from(data.to_vec()), None, true);
        assert_eq!(array.len(), 2);
    }
}
