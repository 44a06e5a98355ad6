//! Bytes as the stored form of a column of numbers, of every encoding.

#![no_main]

use synadb::bench::{self, Words};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((head, stored)) = data.split_first_chunk::<4>() else { return };
    let words = if head[0] & 1 == 0 { Words::Ints } else { Words::Floats };
    let encoding = bench::ENCODINGS[usize::from(head[1]) % bench::ENCODINGS.len()];
    let rows = usize::from(u16::from_le_bytes([head[2], head[3]])) % 3000;
    let mut out = vec![0xa5; rows * 8];
    if head[0] & 2 == 0 {
        let _ = bench::decode(encoding, words, stored, &mut out);
        return;
    }
    // The same bytes as values, which have to come back; then with one of them flipped.
    let (values, _) = stored.as_chunks::<8>();
    let values: Vec<u64> = values.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let mut encoder = bench::ColumnEncoder::new(words, false);
    let mut encoded = Vec::new();
    if values.is_empty() || !encoder.force(encoding, &values, &mut encoded) {
        return;
    }
    out.resize(values.len() * 8, 0);
    bench::decode(encoding, words, &encoded, &mut out).expect("what was encoded");
    assert!(out.as_chunks::<8>().0.iter().zip(&values).all(|(a, b)| *a == b.to_le_bytes()));
    let at = rows % encoded.len();
    encoded[at] ^= head[0] | 1;
    let _ = bench::decode(encoding, words, &encoded, &mut out);
});
