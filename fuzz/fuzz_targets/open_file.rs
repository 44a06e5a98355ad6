//! Bytes as a database file: opened for reading and writing, read, verified, salvaged.
//!
//! The first byte tells how much of the rest is mended first: nothing, the checksums of the log,
//! those of all pages as well.

#![no_main]

#[allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "../../tests/support/image.rs"]
mod image;
#[path = "probe.rs"]
mod probe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if mode % 3 > 0 {
        // The fuzzer need not find a magic and a version.
        let mut page = probe::empty();
        let from = image::LOG_START.min(bytes.len());
        page.extend_from_slice(&bytes[if mode % 3 == 2 { from } else { 0 }..]);
        if mode % 3 == 2 && from == image::LOG_START {
            page[8..image::LOG_START].copy_from_slice(&bytes[8..from]);
            image::mend_header(&mut page);
            image::mend_slot(&mut page, 1);
            image::mend_slot(&mut page, 2);
        }
        bytes = page;
        image::mend_log(&mut bytes);
    }
    probe::probe(&bytes);
});
