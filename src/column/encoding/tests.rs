//! Every encoding against the plain column: what comes back are the same bits.

#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::testing::words;
use super::*;
use crate::column::testing::float;

const NUMBERS: [EncodingId; 10] = [
    EncodingId::Raw,
    EncodingId::Constant,
    EncodingId::FrameOfReference,
    EncodingId::Delta,
    EncodingId::DeltaOfDelta,
    EncodingId::Dictionary,
    EncodingId::Alp,
    EncodingId::AlpDelta,
    EncodingId::OrderedDelta,
    EncodingId::Pco,
];

fn role_of(number: Number) -> ColumnRole {
    match number {
        Number::Int => ColumnRole::Ints,
        Number::Float => ColumnRole::Floats,
    }
}

fn decode_words(
    stored: &[u8],
    encoding: EncodingId,
    number: Number,
    len: usize,
) -> Decode<Vec<u64>> {
    // What was in the buffer before must not matter.
    let mut out = vec![0xa5; len * 8];
    decode(stored, encoding, role_of(number), len, &mut out)?;
    Ok(out.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

fn assert_same(found: &Decode<Vec<u64>>, words: &[u64], encoding: EncodingId) {
    match found {
        Ok(found) => {
            let first = found.iter().zip(words).position(|(a, b)| a != b);
            assert!(found == words, "{encoding:?}: differs at {first:?} of {}", words.len());
        }
        Err(error) => panic!("{encoding:?} of {} words: {error}", words.len()),
    }
}

/// All policies, and every encoding by force; returns which could hold the words.
fn check(words: &[u64], number: Number) -> Vec<EncodingId> {
    for policy in [
        Policy::RAW,
        Policy::FAST,
        Policy { delta: true, ..Policy::RAW },
        Policy { compression: true, ..Policy::RAW },
        Policy { cold: true, ..Policy::FAST },
        Policy::FAST.for_now(),
        Policy { delta: true, ..Policy::RAW }.for_now(),
    ] {
        // Slow, and the same from a few hundred on.
        if policy.cold && words.len() > 600 {
            continue;
        }
        let mut out = b"before".to_vec();
        let encoding = Encoder::new(number, policy).encode(words, &mut out);
        assert!(out.len() <= 6 + words.len() * 8, "{encoding:?} takes more than raw");
        assert!(policy.delta || !encoding.is_delta(), "{policy:?} {encoding:?}");
        assert!(policy.compression || !encoding.is_compression(), "{policy:?} {encoding:?}");
        let found = decode_words(&out[6..], encoding, number, words.len());
        assert_same(&found, words, encoding);
    }
    let held = |encoding: &EncodingId| {
        let mut out = Vec::new();
        if !Encoder::new(number, Policy::FAST).force(*encoding, words, &mut out) {
            return false;
        }
        let found = decode_words(&out, *encoding, number, words.len());
        assert_same(&found, words, *encoding);
        // One row more or less is not what is stored, and neither is a byte less.
        if *encoding != EncodingId::Constant {
            for len in [words.len() - 1, words.len() + 1] {
                let found = decode_words(&out, *encoding, number, len);
                assert!(found.is_err() || len > 0, "{encoding:?}");
            }
        }
        let short = out.split_last().map_or(&[][..], |(_, short)| short);
        assert!(decode_words(short, *encoding, number, words.len()).is_err(), "{encoding:?}");
        true
    };
    NUMBERS.into_iter().filter(held).collect()
}

/// Stored bytes with something wrong: some values or an error, never a panic.
fn check_damage(words: &[u64], number: Number, at: &prop::sample::Index, byte: u8) {
    for encoding in NUMBERS {
        let mut out = Vec::new();
        if !Encoder::new(number, Policy::FAST).force(encoding, words, &mut out) {
            continue;
        }
        let at = at.index(out.len());
        let _ = decode_words(&out[..at], encoding, number, words.len());
        for other in NUMBERS {
            let _ = decode_words(&out, other, number, words.len());
        }
        out[at] = byte;
        let _ = decode_words(&out, encoding, number, words.len());
        // Length and count fields stand at the front.
        let front = at % out.len().min(40);
        out[front] = byte;
        let _ = decode_words(&out, encoding, number, words.len());
    }
}

fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 1_usize..300,
        2 => prop::sample::select(vec![1, 2, 255, 256, 257, 1023, 1024, 1025, 2048, 8191, 8192, 8193]),
        1 => 1_usize..8194,
    ]
}

/// Doubles of every class, alike in most columns.
fn float_column() -> impl Strategy<Value = Vec<u64>> {
    let decimals = (lens(), 0_i32..6, -1_000_000_i64..1_000_000, any::<u64>(), 0_u8..4).prop_map(
        |(len, digits, start, seed, shape)| {
            let mut state = seed | 1;
            let mut value = start;
            (0..len)
                .map(|row| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    value += (state >> 40) as i64 % 100 - 50;
                    let float = value as f64 / 10_f64.powi(digits);
                    match (shape, row % 50) {
                        (1, 7) => f64::NAN.to_bits(),
                        (2, 7..30) => f64::NAN.to_bits(),
                        (3, 7) => state,
                        (3, 9) => (-0.0_f64).to_bits(),
                        _ => float.to_bits(),
                    }
                })
                .collect()
        },
    );
    prop_oneof![
        3 => decimals,
        2 => lens().prop_flat_map(|len| vec(float().prop_map(f64::to_bits), len)),
        1 => (lens(), vec(float().prop_map(f64::to_bits), 1..30)).prop_map(|(len, few)| {
            (0..len).map(|row| few[row * row % few.len()]).collect()
        }),
    ]
}

fn int_column() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        3 => lens().prop_flat_map(|len| words(len..len + 1)),
        1 => (lens(), vec(any::<u64>(), 1..30)).prop_map(|(len, few)| {
            (0..len).map(|row| few[row * row % few.len()]).collect()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn ints_come_back_from_every_encoding(words in int_column()) {
        let held = check(&words, Number::Int);
        prop_assert!(held.len() >= 5, "{held:?}");
    }

    #[test]
    fn floats_come_back_from_every_encoding(words in float_column()) {
        let held = check(&words, Number::Float);
        prop_assert!(held.len() >= 2, "{held:?}");
    }

    #[test]
    fn damaged_numbers_are_values_or_an_error(
        ints in int_column(), floats in float_column(), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        check_damage(&ints, Number::Int, &at, byte);
        check_damage(&floats, Number::Float, &at, byte);
    }

    #[test]
    fn any_bytes_are_values_or_an_error(
        bytes in vec(any::<u8>(), 0..400), len in lens(), number in prop::sample::select(vec![
            Number::Int, Number::Float]),
    ) {
        for encoding in NUMBERS {
            let _ = decode_words(&bytes, encoding, number, len);
        }
        for role in [ColumnRole::Kinds, ColumnRole::Validity] {
            for encoding in [EncodingId::Constant, EncodingId::FrameOfReference, EncodingId::Runs] {
                let bytes_len = if role == ColumnRole::Kinds { len } else { len.div_ceil(8) };
                let _ = decode(&bytes, encoding, role, len, &mut vec![0; bytes_len]);
            }
        }
        for encoding in [EncodingId::Delta, EncodingId::Lz4, EncodingId::Dictionary] {
            let _ = blobs::decode_offsets(&bytes, encoding, 7, &mut vec![0; (len + 1) * 4]);
        }
        if let Ok(dictionary) = blobs::Dictionary::read(&bytes, len) {
            let _ = dictionary.store_data(&bytes, &mut vec![0; len]);
        }
    }

    #[test]
    fn kinds_and_validity_come_back(
        runs in vec((0_u8..5, 1_usize..400), 1..40), short in any::<bool>(),
    ) {
        let kinds: Vec<u8> = runs
            .iter()
            .flat_map(|(kind, len)| std::iter::repeat_n(*kind, if short { 1 } else { *len }))
            .collect();
        let rows = kinds.len();
        let bitmap: Vec<u8> = kinds
            .chunks(8)
            .map(|kinds| kinds.iter().enumerate().map(|(i, k)| u8::from(*k > 1) << i).sum())
            .collect();
        for policy in [Policy::FAST, Policy::RAW] {
            let mut out = Vec::new();
            let encoding = encode_kinds(&kinds, policy, &mut out);
            prop_assert!(out.len() <= rows);
            let mut found = vec![0xa5; rows];
            decode(&out, encoding, ColumnRole::Kinds, rows, &mut found).unwrap();
            prop_assert_eq!(&found, &kinds);
            let mut out = Vec::new();
            let encoding = encode_validity(&bitmap, rows, policy, &mut out);
            prop_assert!(out.len() <= bitmap.len());
            let mut found = vec![0xa5; bitmap.len()];
            decode(&out, encoding, ColumnRole::Validity, rows, &mut found).unwrap();
            prop_assert_eq!(&found, &bitmap);
        }
    }
}

/// Text blocks through `blobs`, as the reader uses it.
fn blobs_round_trip(texts: &[Vec<u8>], policy: Policy) -> (Option<EncodingId>, Option<EncodingId>) {
    let lens: Vec<u32> = texts.iter().map(|text| text.len() as u32).collect();
    let data = texts.concat();
    let encoded = blobs::encode(&lens, &data, policy);
    let mut ends = vec![1000_i32];
    lens.iter().for_each(|len| ends.push(ends.last().unwrap() + *len as i32));
    if let Some((encoding, stored)) = &encoded.offsets {
        let mut out = vec![0xa5; ends.len() * 4];
        blobs::decode_offsets(stored, *encoding, 1000, &mut out).unwrap();
        assert!(out.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).eq(ends));
    }
    if let Some((encoding, stored)) = &encoded.data {
        let mut out = vec![0xa5; data.len()];
        match encoding {
            EncodingId::Lz4 => lz4::decompress(stored, &mut out).unwrap(),
            _ => {
                let (_, offsets) = encoded.offsets.as_ref().unwrap();
                let dictionary = blobs::Dictionary::read(offsets, texts.len()).unwrap();
                dictionary.store_data(stored, &mut out).unwrap();
                assert!(dictionary.store_data(stored, &mut vec![0; data.len() + 1]).is_err());
            }
        }
        assert_eq!(out, data);
    }
    (encoded.offsets.map(|(id, _)| id), encoded.data.map(|(id, _)| id))
}

#[test]
fn texts_take_the_encoding_that_suits_them() {
    use EncodingId::*;
    let delta = Policy { delta: true, ..Policy::RAW };
    let compression = Policy { compression: true, ..Policy::RAW };
    let zeros = vec![vec![0; 100]; 1000];
    assert_eq!(blobs_round_trip(&zeros, Policy::FAST), (Some(Dictionary), Some(Dictionary)));
    let skewed: Vec<_> = (0..5000_u32)
        .map(|i| if i % 997 == 0 { i.to_string().into_bytes() } else { b"running".to_vec() })
        .collect();
    assert_eq!(blobs_round_trip(&skewed, Policy::FAST), (Some(Dictionary), Some(Dictionary)));
    assert_eq!(blobs_round_trip(&skewed, delta), (Some(Delta), None));
    let lines: Vec<_> = (0..2000_u32)
        .map(|i| format!("2026-01-01 sensor {i} says {}", i * 7919 % 1000).into_bytes())
        .collect();
    assert_eq!(blobs_round_trip(&lines, Policy::FAST), (Some(Delta), Some(Lz4)));
    assert_eq!(blobs_round_trip(&lines, compression), (None, Some(Lz4)));
    assert_eq!(blobs_round_trip(&lines, delta), (Some(Delta), None));
    assert_eq!(blobs_round_trip(&lines, Policy::RAW), (None, None));
    let alike = vec![b"alike".to_vec(); 3];
    blobs_round_trip(&alike, Policy::FAST);
    blobs_round_trip(&vec![Vec::new(); 70_000], Policy::FAST);
    blobs_round_trip(&[vec![0; 1 << 20]], Policy::FAST);
}

proptest! {
    #[test]
    fn texts_come_back(
        texts in vec(vec(0_u8..3, 0..12), 1..3000), delta: bool, compression: bool,
    ) {
        blobs_round_trip(&texts, Policy { delta, compression, ..Policy::RAW });
    }
}

#[test]
fn blocks_of_every_length_and_the_largest_come_back() {
    for len in (0..1100).chain([2047, 2049, 8191, 8192, 8193, 65_535, 65_536]) {
        let ints: Vec<u64> = (0..len as u64).map(|i| i * 1000 + i * i % 7).collect();
        let floats: Vec<u64> = ints.iter().map(|i| (*i as f64 / 100.0).to_bits()).collect();
        for (words, number) in [(&ints, Number::Int), (&floats, Number::Float)] {
            if len % 50 == 0 || len > 1100 {
                if len > 0 {
                    check(words, number);
                }
                continue;
            }
            let mut out = Vec::new();
            let encoding = Encoder::new(number, Policy::FAST).encode(words, &mut out);
            assert!(decode_words(&out, encoding, number, len).as_ref() == Ok(words), "{len}");
        }
    }
}

#[test]
fn extreme_integers_and_every_class_of_double_come_back() {
    let extremes = [i64::MIN, i64::MAX, 0, -1, 1, i64::MIN + 1, i64::MAX - 1];
    let ints: Vec<u64> =
        (0..3000).map(|i| extremes[i * i % extremes.len()].cast_unsigned()).collect();
    check(&ints, Number::Int);
    let specials = [
        1e16,
        1.0,
        -0.0,
        f64::NAN,
        2.0,
        f64::INFINITY,
        3.0,
        f64::NEG_INFINITY,
        5e-324,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(u64::MAX),
        f64::MIN,
        f64::MAX,
    ];
    for len in [7, 13, 1000, 2048] {
        let floats: Vec<u64> = (0..len).map(|i| specials[i % specials.len()].to_bits()).collect();
        check(&floats, Number::Float);
    }
    let alternating: Vec<u64> = (0..2048)
        .map(|i| if i % 2 == 0 { f64::INFINITY } else { f64::NEG_INFINITY }.to_bits())
        .collect();
    check(&alternating, Number::Float);
}

/// NaNs where a cell is empty cost their places, whatever their number.
#[test]
fn nans_do_not_spoil_decimals() {
    let column = |nan: u64, every: usize| -> Vec<u64> {
        (0..8192)
            .map(|i| {
                if i % every == 1 {
                    nan
                } else {
                    (f64::from(((i as u32 + 7).pow(2) ^ (i as u32 * 131)) % 9001) / 10.0).to_bits()
                }
            })
            .collect()
    };
    let size = |words: &[u64]| {
        let mut out = Vec::new();
        let encoding = Encoder::new(Number::Float, Policy::FAST).encode(words, &mut out);
        assert_eq!(decode_words(&out, encoding, Number::Float, words.len()).unwrap(), words);
        out.len()
    };
    let whole = size(&column(0, usize::MAX));
    for nan in [f64::NAN.to_bits(), 0x7ff0_dead_beef_0001, (-0.0_f64).to_bits()] {
        for (every, cost) in [(1000, 2 * 9), (3, 1024), (2, 1024)] {
            let size = size(&column(nan, every));
            assert!(size <= whole + cost + 100, "{nan:x} {every}: {size} {whole}");
        }
    }
    let mut long = column(0, usize::MAX);
    long[1000..5000].fill(f64::NAN.to_bits());
    assert!(size(&long) <= whole + 100);
}

#[test]
fn hostile_headers_allocate_no_more_than_the_column() {
    // Runs, dictionaries and exceptions that say there are 2^32 - 1 of them.
    let bytes = [0xff; 64];
    for encoding in NUMBERS {
        for number in [Number::Int, Number::Float] {
            assert!(decode_words(&bytes[..40], encoding, number, 1000).is_err(), "{encoding:?}");
        }
    }
    assert!(blobs::Dictionary::read(&bytes, 1000).is_err());
    let mut lz4_dictionary = vec![1];
    lz4_dictionary.extend(u32::MAX.to_le_bytes());
    let offsets = {
        let encoded = blobs::encode(&[3; 100], &b"abc".repeat(100), Policy::FAST);
        encoded.offsets.unwrap().1
    };
    let dictionary = blobs::Dictionary::read(&offsets, 100).unwrap();
    assert!(dictionary.store_data(&lz4_dictionary, &mut [0; 300]).is_err());
}

/// Bytes of hexadecimal digits; spaces are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// One of each layout. A change of these bytes is a change of the file format.
#[test]
fn encodings_have_the_documented_bytes() {
    const ONE: &str = "0100000000000000";
    let ints: [(EncodingId, &[i64], &str); 6] = [
        (EncodingId::Constant, &[-2, -2], "feffffffffffffff"),
        // Start, divisor; width 2, one byte of base, no outliers, base 5; 0, 2, 1 in two bits each.
        (
            EncodingId::FrameOfReference,
            &[5, 7, 6],
            &format!("0000000000000000 {ONE} 02 01 0000 05 18"),
        ),
        // The first difference repeats the second, so the start is 0; 10 + 0, 0, 1.
        (EncodingId::Delta, &[10, 20, 31], &format!("0000000000000000 {ONE} 01 01 0000 0a 04")),
        // A common divisor of 5; 2, 2, 3 differences of it.
        (EncodingId::Delta, &[10, 20, 35], "0000000000000000 0500000000000000 01 01 0000 02 04"),
        // Start -1, divisor, first difference 1; 0, 0, 2, 2.
        (
            EncodingId::DeltaOfDelta,
            &[0, 1, 4, 9],
            &format!("ffffffffffffffff {ONE} {ONE} 02 00 0000 a0"),
        ),
        // Two values, raw, 16 bytes; codes of order 0: 0, 1, 0, 0, 0, 1.
        (
            EncodingId::Dictionary,
            &[3, 4, 3, 3, 3, 4],
            &format!(
                "02000000 00 00 0000 10000000 0300000000000000 0400000000000000 \
                 0000000000000000 {ONE} 01 00 0000 22"
            ),
        ),
    ];
    for (encoding, values, golden) in ints {
        let words: Vec<u64> = values.iter().map(|value| value.cast_unsigned()).collect();
        let mut out = Vec::new();
        assert!(Encoder::new(Number::Int, Policy::FAST).force(encoding, &words, &mut out));
        assert_eq!(out, hex(golden), "{encoding:?} of {values:?}");
        assert_eq!(decode_words(&hex(golden), encoding, Number::Int, words.len()).unwrap(), words);
    }
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    // e 1, f 0, places as a list; 2 special values, 1 exception, the bits of the special value;
    // integers of order 0: 15, 15, 15, 16, 16, 18, 18 (what is special repeats the one before);
    // rows 1 and 4; the exception in row 2 and its bits.
    let floats = [1.5, nan, -0.0, 1.6, nan, 1.8, 1.8];
    let words = floats.map(f64::to_bits);
    let golden = format!(
        "01 00 01 00 02000000 01000000 010000000000f87f 0000000000000000 {ONE} \
         02 01 0000 0f 403d 0100 0400 0200 0000000000000080"
    );
    assert_eq!(decode_words(&hex(&golden), EncodingId::Alp, Number::Float, 7).unwrap(), words);
    // An outlier: width 1, a base of one byte and outliers of one byte; 1 of them, base 5;
    // 0, 1, 0, 0; in row 2 the base + (-3 << 1).
    let golden = format!("0000000000000000 {ONE} 01 11 0100 05 02 0200 05");
    let words = [5, 6, (-1_i64).cast_unsigned(), 5];
    let found = decode_words(&hex(&golden), EncodingId::FrameOfReference, Number::Int, 4);
    assert_eq!(found.unwrap(), words);
    // Runs of 9, 2 and 5 rows that are valid, null, valid.
    let mut bitmap = [0; 2];
    let golden = hex("03000000 03 01 0000 02 c700 01");
    decode(&golden, EncodingId::Runs, ColumnRole::Validity, 16, &mut bitmap).unwrap();
    assert_eq!(bitmap, [0xff, 0b1111_1001]);
    // Full vectors: row r of 16 words has bits [r w, r w + w) of each of 16 words of 64 bits.
    let words: Vec<u64> = (0..1024).map(|word| word / 16 % 8 + word % 16 * 8).collect();
    let mut out = Vec::new();
    assert!(Encoder::new(Number::Int, Policy::FAST).force(
        EncodingId::FrameOfReference,
        &words,
        &mut out
    ));
    assert_eq!(out[..20], hex(&format!("0000000000000000 {ONE} 07 00 0000")));
    let lane_1 = u64::from_le_bytes(out[28..36].try_into().unwrap());
    let expected = (0..9).fold(0, |lane, row| lane | (8 + row % 8) << (7 * row));
    assert_eq!(lane_1 & ((1 << 63) - 1), expected);
}
