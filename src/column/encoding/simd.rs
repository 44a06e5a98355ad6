//! The kernels, compiled for AVX2 as well, and the choice between the two at run time.
//!
//! Without AVX2 decoding takes 20 to 45 % longer. A processor without it, and any other platform,
//! runs the same source compiled for what every processor of its kind has; the tests hold one
//! against the other.

#![expect(unsafe_code, reason = "code for AVX2 may be called only where AVX2 is, see below")]

use super::kernels::{self, Vector, Widths};

#[cfg(feature = "bench")]
static PORTABLE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on the portable kernels run, wherever this is. For measurements; the results are the
/// same.
#[cfg(feature = "bench")]
pub(crate) fn use_portable(portable: bool) {
    PORTABLE.store(portable, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    #[cfg(feature = "bench")]
    if PORTABLE.load(std::sync::atomic::Ordering::Relaxed) {
        return false;
    }
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

macro_rules! dispatched {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(super) fn $name($($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            if has_avx2() {
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
                fn with_avx2($($arg: $type),*) $(-> $result)? {
                    kernels::$name($($arg),*)
                }
                // SAFETY: the processor has just been asked for these four features; the function
                // has no other condition, its body is safe code.
                return unsafe { with_avx2($($arg),*) };
            }
            kernels::$name($($arg),*)
        }
    )*};
}

dispatched! {
    /// See [`kernels::unpack`].
    fn unpack(packed: &[u8], width: u32, base: u64, out: &mut Vector);
    /// See [`kernels::pack`].
    fn pack(words: &Vector, width: u32, base: u64, out: &mut Vector);
    /// See [`kernels::min_max`].
    fn min_max(words: &[u64]) -> (i64, i64);
    /// See [`kernels::widths`].
    fn widths(words: &[u64], min: u64, center: u64) -> [Widths; 2];
    /// See [`kernels::scan`].
    fn scan(words: &mut [u64], sum: &mut u64);
    /// See [`kernels::scan_store`].
    fn scan_store(words: &[u64], sum: &mut u64, out: &mut [[u8; 8]]);
    /// See [`kernels::scan_twice`].
    fn scan_twice(words: &mut [u64], delta: &mut u64, sum: &mut u64);
    /// See [`kernels::multiply`].
    fn multiply(words: &mut [u64], factor: u64);
    /// See [`kernels::add`].
    fn add(words: &mut [u64], start: u64);
    /// See [`kernels::store`].
    fn store(words: &[u64], out: &mut [[u8; 8]]);
    /// See [`kernels::store_decimals`].
    fn store_decimals(ints: &[u64], up: f64, down: f64, out: &mut [[u8; 8]]);
    /// See [`kernels::to_decimals`].
    fn to_decimals(floats: &[u64], factors: [f64; 4], ints: &mut [u64], wrong: &mut [u64]);
    /// See [`kernels::scan_store_ordered`].
    fn scan_store_ordered(words: &mut [u64], sum: &mut u64, out: &mut [[u8; 8]]);
    /// See [`kernels::differences`].
    fn differences(words: &[u64], before: u64, out: &mut [u64]);
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::encoding::kernels::VECTOR;
    use crate::column::encoding::testing::words;

    proptest! {
        #[test]
        fn both_compilations_agree(words in words(VECTOR..VECTOR + 1), width in 0_u32..65, base: u64) {
            let words: &Vector = words.as_slice().try_into().unwrap();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let new = || ([7_u64; VECTOR], [7_u64; VECTOR]);
            let (mut a, mut b) = new();
            kernels::pack(words, width, base, &mut a);
            pack(words, width, base, &mut b);
            prop_assert_eq!(a, b);
            let packed = &bytes[..128 * width as usize];
            kernels::unpack(packed, width, base, &mut a);
            unpack(packed, width, base, &mut b);
            prop_assert_eq!(a, b);
            prop_assert_eq!(kernels::min_max(words), min_max(words));
            let low = kernels::min_max(words).0.cast_unsigned();
            prop_assert_eq!(kernels::widths(words, low, base), widths(words, low, base));
            let (mut x, mut y) = ((1, base), (1, base));
            (a, b) = (*words, *words);
            kernels::scan(&mut a, &mut x.0);
            scan(&mut b, &mut y.0);
            kernels::scan_twice(&mut a, &mut x.0, &mut x.1);
            scan_twice(&mut b, &mut y.0, &mut y.1);
            kernels::multiply(&mut a, base);
            multiply(&mut b, base);
            kernels::add(&mut a, base);
            add(&mut b, base);
            prop_assert_eq!((a, x), (b, y));
            let (mut s, mut t) = ([[0_u8; 8]; VECTOR], [[0_u8; 8]; VECTOR]);
            kernels::scan_store(words, &mut x.0, &mut s);
            scan_store(words, &mut y.0, &mut t);
            prop_assert_eq!((s, x), (t, y));
            kernels::store(words, &mut s);
            store(words, &mut t);
            prop_assert_eq!(s, t);
            kernels::store_decimals(words, 100.0, 1e-4, &mut s);
            store_decimals(words, 100.0, 1e-4, &mut t);
            for (s, t) in s.iter().zip(&t) {
                let (s, t) = (f64::from_le_bytes(*s), f64::from_le_bytes(*t));
                prop_assert!(s.to_bits() == t.to_bits() || (s.is_nan() && t.is_nan()));
            }
            kernels::scan_store_ordered(&mut a, &mut x.0, &mut s);
            scan_store_ordered(&mut b, &mut y.0, &mut t);
            prop_assert_eq!((s, x), (t, y));
            let ((mut v, mut w), factors) = (new(), [1e4, 1e-2, 1e2, 1e-4]);
            kernels::to_decimals(words, factors, &mut a, &mut v);
            to_decimals(words, factors, &mut b, &mut w);
            for (v, w) in v.iter().zip(&w) {
                prop_assert_eq!(*v == 0, *w == 0);
            }
            kernels::differences(words, base, &mut a);
            differences(words, base, &mut b);
            prop_assert_eq!(a, b);
        }

        #[test]
        fn what_is_packed_comes_back(words in words(VECTOR..VECTOR + 1), width in 0_u32..65, base: u64) {
            let words: &Vector = words.as_slice().try_into().unwrap();
            let (mut packed, mut found) = ([0; VECTOR], [0; VECTOR]);
            pack(words, width, base, &mut packed);
            let bytes: Vec<u8> = packed.iter().flat_map(|word| word.to_le_bytes()).collect();
            unpack(&bytes[..128 * width as usize], width, base, &mut found);
            for (word, found) in words.iter().zip(&found) {
                let low = word.wrapping_sub(base) & kernels::mask(width);
                prop_assert_eq!(base.wrapping_add(low), *found);
            }
        }
    }
}
