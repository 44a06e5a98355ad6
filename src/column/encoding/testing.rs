//! Words of every class, for tests.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

/// Words that are alike in some way, with outliers.
pub(crate) fn words(len: Range<usize>) -> impl Strategy<Value = Vec<u64>> {
    let outlier = prop_oneof![
        9 => Just(None),
        1 => any::<u64>().prop_map(Some),
    ];
    let rare = prop_oneof![
        2 => Just(Vec::new()),
        1 => vec(outlier, 1..40),
    ];
    let start = prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(1 << 63),
        Just(i64::MAX.cast_unsigned()),
        any::<u64>(),
    ];
    let width = prop_oneof![3 => 0_u32..20, 1 => 0_u32..65];
    (any::<u64>(), start, width, len, 0_u8..4, rare).prop_map(
        |(seed, start, width, len, shape, rare)| {
            let mask = 1_u64.checked_shl(width).map_or(u64::MAX, |bit| bit - 1);
            let mut state = seed;
            let mut last = start;
            (0..len)
                .map(|row| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
                    let noise = state.rotate_left(32) & mask;
                    if let Some(Some(outlier)) = rare.get(row % 1000) {
                        return *outlier;
                    }
                    match shape {
                        0 => start.wrapping_add(noise),
                        1 => start.wrapping_sub(noise),
                        2 => {
                            last = last.wrapping_add(noise).wrapping_sub(mask / 2);
                            last
                        }
                        _ => start.wrapping_add((row as u64).wrapping_mul(mask)),
                    }
                })
                .collect()
        },
    )
}
