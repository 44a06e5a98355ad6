//! Values as text: how an argument or a cell becomes an atom, and an atom a cell.
//!
//! A float is printed with the fewest digits that read back to the same bits, and `NaN`, `inf` or
//! `-inf`; the payload of a NaN is the one thing that text does not keep. Bytes are hexadecimal.

use crate::{Atom, AtomKind};

/// Integers up to this magnitude are all doubles, so a number in a file loses nothing as a float.
const FLOAT_EXACT_MAX: u128 = 1 << 53;

/// The atom that `text` most plainly is: an integer, a float, else text.
///
/// # Errors
///
/// An integer that does not fit is not quietly turned into a rounded float.
pub(crate) fn guess(text: &str) -> Result<Atom, String> {
    if let Ok(value) = text.parse() {
        return Ok(Atom::Int(value));
    }
    if !looks_like_number(text) {
        return Ok(Atom::Text(text.to_owned()));
    }
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-')) {
        return Err(format!("{text} does not fit in a 64-bit integer; say --type float or text"));
    }
    parse_float(text).map(Atom::Float)
}

/// Reads `text` as an atom of this kind.
pub(crate) fn parse(kind: AtomKind, text: &str) -> Result<Atom, String> {
    match kind {
        AtomKind::Null if text.is_empty() || text == "null" => Ok(Atom::Null),
        AtomKind::Null => Err(format!("{text:?} is not null; write null or leave it empty")),
        AtomKind::Float => parse_float(text.trim()).map(Atom::Float),
        AtomKind::Int => match text.trim().parse() {
            Ok(value) => Ok(Atom::Int(value)),
            Err(_) => Err(format!("{text:?} is not a 64-bit integer")),
        },
        AtomKind::Text => Ok(Atom::Text(text.to_owned())),
        AtomKind::Bytes => parse_hex(text).map(Atom::Bytes),
    }
}

/// Whether `text` reads as a number: what has a digit and parses, and the three names of
/// [`float_text`]. Words that Rust would also parse (`nan`, `infinity`) stay words.
pub(crate) fn looks_like_number(text: &str) -> bool {
    matches!(text, "NaN" | "inf" | "-inf")
        || (text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok())
}

/// Reads a double, refusing what would turn into another number.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text} is too large for a float"));
    }
    Ok(value)
}

/// Like [`parse_float`], for cells whose type nobody named: an integer that a float would round
/// (an identifier, a count of nanoseconds) is refused.
pub(crate) fn parse_float_exact(text: &str) -> Result<f64, String> {
    let value = parse_float(text)?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let rounds = digits.parse::<u128>().map_or(true, |int| int > FLOAT_EXACT_MAX);
        if rounds {
            return Err(format!("{text} would be rounded as a float"));
        }
    }
    Ok(value)
}

/// The shortest text that reads back to the same double.
pub(crate) fn float_text(value: f64) -> String {
    // `Debug` and not `Display`: the latter spells 1e300 out in 301 digits.
    format!("{value:?}")
}

/// Lower-case hexadecimal, two digits a byte.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let not_hex = || format!("{text:?} is not hexadecimal (two digits a byte, as in 00ff)");
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect();
    let digits = digits.ok_or_else(not_hex)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(not_hex());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn guesses_the_plainest_kind() {
        assert_eq!(guess("21"), Ok(Atom::Int(21)));
        assert_eq!(guess("-21"), Ok(Atom::Int(-21)));
        assert_eq!(guess("21.0"), Ok(Atom::Float(21.0)));
        assert_eq!(guess("1e3"), Ok(Atom::Float(1000.0)));
        assert_eq!(guess("-inf"), Ok(Atom::Float(f64::NEG_INFINITY)));
        assert!(matches!(guess("NaN"), Ok(Atom::Float(value)) if value.is_nan()));
        for text in ["", "abc", "nan", "infinity", "Inf", "1,5", "0x10", "12 m", " "] {
            assert_eq!(guess(text), Ok(Atom::Text(text.to_owned())));
        }
    }

    #[test]
    fn a_number_is_never_rounded_or_made_infinite_by_a_guess() {
        assert!(guess("9223372036854775808").is_err());
        assert!(guess("1e999").is_err());
        assert!(parse(AtomKind::Float, "1e999").is_err());
        assert_eq!(parse_float_exact("9007199254740992"), Ok(9_007_199_254_740_992.0));
        assert!(parse_float_exact("9007199254740993").is_err());
        assert!(parse_float_exact("-9223372036854775807").is_err());
        assert_eq!(parse_float_exact("0.1234567890123456789"), Ok(0.123_456_789_012_345_68));
    }

    #[test]
    fn each_kind_refuses_the_others() {
        assert!(parse(AtomKind::Int, "1.0").is_err());
        assert!(parse(AtomKind::Float, "warm").is_err());
        assert!(parse(AtomKind::Null, "0").is_err());
        assert_eq!(parse(AtomKind::Bytes, "00Ff"), Ok(Atom::Bytes(vec![0, 255])));
        assert!(parse(AtomKind::Bytes, "0").is_err());
        assert!(parse(AtomKind::Bytes, "0é").is_err());
    }

    proptest! {
        #[test]
        fn floats_survive_as_text(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let read = parse_float(&float_text(value)).unwrap();
            prop_assert!(read.to_bits() == bits || (read.is_nan() && value.is_nan()));
        }

        #[test]
        fn bytes_survive_as_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(parse(AtomKind::Bytes, &hex_text(&bytes)), Ok(Atom::Bytes(bytes)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,30}") {
            let _ = guess(&text);
            let _ = parse_hex(&text);
        }
    }
}
