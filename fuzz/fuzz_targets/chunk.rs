//! Bytes as the value of a chunk in a file whose checksums are right.

#![no_main]

#[allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "../../tests/support/image.rs"]
mod image;
#[path = "probe.rs"]
mod probe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((puts, value)) = data.split_first() else { return };
    let mut bytes = probe::empty();
    // A chunk behind some puts may seal them, or be added to them.
    for put in 0..i64::from(puts % 4) {
        image::push_entry(&mut bytes, image::PUT, 0, put, b"key", &image::int(put));
    }
    let mut value = value.to_vec();
    value.resize(value.len().max(8), 0);
    if puts & 0x80 != 0 {
        mend_columns(&mut value);
    }
    let flags = flags_of_columns(&value);
    image::push_entry(&mut bytes, image::CHUNK, flags, 0, b"key", &value);
    image::push_entry(&mut bytes, image::PUT, 0, 9, b"key", &image::int(9));
    probe::probe(&bytes);
});

/// What the flags of the entry have to say of the encodings of its columns.
fn flags_of_columns(value: &[u8]) -> u8 {
    if value.len() < 40 {
        return 0;
    }
    let columns = usize::from(value[5]);
    let blocks = (image::u32_at(value, 20) as usize).min(64);
    let start = records_at(value);
    let places = (0..blocks * columns).map(|number| {
        start + number / columns * (136 + 32 * columns) + 136 + number % columns * 32 + 1
    });
    places.filter_map(|at| value.get(at)).fold(0, |flags, encoding| {
        flags
            | match encoding {
                0 => 0,
                5 | 9 | 12 => 2,
                _ => 1,
            }
    })
}

/// Where the block records begin: behind the record of all rows, if there is one.
fn records_at(value: &[u8]) -> usize {
    if value[4] & 0x80 == 0 { 40 } else { 208 }
}

/// Makes the checksums of the columns right, as far as the header tells where they lie.
fn mend_columns(value: &mut [u8]) {
    if value.len() < 40 {
        return;
    }
    let columns = usize::from(value[5]);
    let blocks = (image::u32_at(value, 20) as usize).min(64);
    let data_start = image::u64_at(value, 24);
    for block in 0..blocks {
        for column in 0..columns {
            let at = records_at(value) + block * (136 + 32 * columns) + 136 + 32 * column;
            if at + 32 > value.len() {
                return;
            }
            let start = data_start.wrapping_add(image::u64_at(value, at + 8));
            let end = start.wrapping_add(image::u64_at(value, at + 16));
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            if let Some(stored) = range.and_then(|(start, end)| value.get(start..end)) {
                let crc = crc32c::crc32c(stored);
                image::set(value, at + 4, &crc.to_le_bytes());
            }
        }
    }
}
