//! Key patterns: `*`, `?`, `[..]` and `\`. `*` crosses `/`, because a key is not a path.

use crate::error::{Result, SynaError};

/// A pattern ready to be matched against keys.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters, none included.
    Any,
    /// `[..]`: one of these ranges, or none of them after `!` or `^`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// `InvalidPattern` if a class is not closed, a range is backwards, or the pattern ends in `\`.
    pub(crate) fn new(pattern: &str) -> Result<Glob> {
        let invalid = |what| SynaError::InvalidPattern { pattern: pattern.to_owned(), what };
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' if tokens.last() == Some(&Token::Any) => continue,
                '*' => Token::Any,
                '?' => Token::One,
                '[' => Self::class(&mut chars).map_err(invalid)?,
                '\\' => Token::Literal(chars.next().ok_or_else(|| invalid("it ends in `\\`"))?),
                literal => Token::Literal(literal),
            });
        }
        Ok(Glob { tokens })
    }

    fn class(chars: &mut std::str::Chars<'_>) -> Result<Token, &'static str> {
        const OPEN: &str = "a `[` is not closed by `]`";
        let mut negated = false;
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let mut from = chars.next().ok_or(OPEN)?;
            if first && !negated && (from == '!' || from == '^') {
                negated = true;
                continue;
            }
            // A `]` that comes first stands for itself.
            if from == ']' && !first {
                return Ok(Token::Class { negated, ranges });
            }
            first = false;
            if from == '\\' {
                from = chars.next().ok_or(OPEN)?;
            }
            let mut ahead = chars.clone();
            let mut to = from;
            if ahead.next() == Some('-') && ahead.clone().next().is_some_and(|c| c != ']') {
                *chars = ahead;
                to = chars.next().ok_or(OPEN)?;
                if to == '\\' {
                    to = chars.next().ok_or(OPEN)?;
                }
                if to < from {
                    return Err("a range in `[..]` is backwards");
                }
            }
            ranges.push((from, to));
        }
    }

    /// Whether the whole key matches. Time is at most the product of both lengths.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let (mut tokens, mut rest) = (self.tokens.as_slice(), key.chars());
        // Where to go on after the last `*` took one character more.
        let mut retry: Option<(&[Token], std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (tokens.split_first(), ahead.next()) {
                (Some((Token::Any, after)), _) => {
                    retry = Some((after, rest.clone()));
                    tokens = after;
                    continue;
                }
                (Some((token, after)), Some(char)) if token.accepts(char) => {
                    tokens = after;
                    rest = ahead;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            tokens = after;
            rest = from.clone();
        }
    }
}

impl Token {
    fn accepts(&self, char: char) -> bool {
        match self {
            Token::Literal(literal) => *literal == char,
            Token::One | Token::Any => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_keys() {
        for (pattern, yes, no) in [
            ("JFK/*", &["JFK/temp", "JFK/", "JFK/a/b"][..], &["JFK", "xJFK/temp"][..]),
            ("*/temp", &["JFK/temp", "/temp", "a/b/temp"], &["temp", "JFK/temp2"]),
            ("?FK", &["JFK", "äFK"], &["FK", "JJFK"]),
            ("[JL]*", &["JFK", "LGA"], &["EWR", ""]),
            ("[!JL]*", &["EWR"], &["JFK"]),
            ("[a-c]x", &["ax", "cx"], &["dx"]),
            ("[]]", &["]"], &["["]),
            ("[a-]", &["a", "-"], &["b"]),
            ("\\*", &["*"], &["a", "**"]),
            ("a*b*c", &["abc", "axbxbxc"], &["ab", "acb"]),
            ("**", &["", "x"], &[]),
            ("", &[""], &["x"]),
        ] {
            let glob = Glob::new(pattern).unwrap();
            for key in yes {
                assert!(glob.matches(key), "{pattern:?} should match {key:?}");
            }
            for key in no {
                assert!(!glob.matches(key), "{pattern:?} should not match {key:?}");
            }
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let glob = Glob::new(&format!("{}b", "a*".repeat(50))).unwrap();
        assert!(!glob.matches(&"a".repeat(5000)));
    }

    #[test]
    fn unreadable_patterns_are_refused() {
        for pattern in ["[a", "[", "a\\", "[z-a]", "[!"] {
            let error = Glob::new(pattern).unwrap_err();
            assert!(matches!(error, SynaError::InvalidPattern { .. }), "{pattern:?}");
        }
    }
}
