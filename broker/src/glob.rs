//! Redis' glob: `*`, `?`, `[a-z]`, `[^a]` and `\` to escape.
//!
//! Matches as Redis does, including its quirks: `*` does not match an empty text, and an unclosed
//! class ends with the pattern. A pattern with more than [`STARS_MAX`] stars matches nothing.
//!
//! The stars divide a pattern into pieces, and each token of a piece matches exactly one byte. The
//! first piece stands at the start of the text and the last one at its end. Each piece between them
//! takes the leftmost place, so the search never goes back. A piece of literals is found in linear
//! time. For other pieces the bound is the product of both lengths, divided by 64.

use std::ops::RangeInclusive;

use memchr::memmem;

/// Redis gives up beyond this many stars (CVE-2024-31228).
const STARS_MAX: usize = 1000;

/// Returns whether `text` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (first, mut rest) = Piece::split(pattern);
    if !first.is_at_start_of(text) {
        return false;
    }
    let mut at = first.tokens;
    let mut stars = 0;
    loop {
        if rest.is_empty() {
            return at == text.len();
        }
        rest = &rest[rest.iter().take_while(|&&byte| byte == b'*').count()..];
        stars += 1;
        if rest.is_empty() {
            return true;
        }
        if at == text.len() || stars > STARS_MAX {
            return false;
        }
        let (piece, behind) = Piece::split(rest);
        if behind.is_empty() {
            let start = text.len().checked_sub(piece.tokens);
            return start.is_some_and(|start| start >= at && piece.is_at_start_of(&text[start..]));
        }
        let Some(found) = piece.find(&text[at..]) else { return false };
        at += found + piece.tokens;
        rest = behind;
    }
}

/// The part of a pattern between two stars.
#[derive(Clone, Copy)]
struct Piece<'a> {
    pattern: &'a [u8],
    /// Bytes of the text that it matches.
    tokens: usize,
    /// Whether each byte of the pattern stands for itself.
    is_literal: bool,
}

/// Matches one byte of the text.
enum Token<'a> {
    Any,
    Literal(u8),
    /// A class with its brackets.
    Class(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// Splits a pattern before its first star.
    fn split(pattern: &'a [u8]) -> (Self, &'a [u8]) {
        let mut piece = Self { pattern, tokens: 0, is_literal: true };
        let mut rest = pattern;
        while !matches!(rest, [] | [b'*', ..]) {
            piece.tokens += 1;
            piece.is_literal &= !matches!(rest, [b'?' | b'[', ..] | [b'\\', _, ..]);
            rest = &rest[Token::first_of(rest).1..];
        }
        piece.pattern = &pattern[..pattern.len() - rest.len()];
        (piece, rest)
    }

    fn tokens(self) -> impl Iterator<Item = Token<'a>> {
        let mut rest = self.pattern;
        std::iter::from_fn(move || {
            let pattern = rest;
            (!pattern.is_empty()).then(|| {
                let (token, length) = Token::first_of(pattern);
                rest = &pattern[length..];
                token
            })
        })
    }

    fn is_at_start_of(self, text: &[u8]) -> bool {
        if self.is_literal {
            return text.starts_with(self.pattern);
        }
        text.len() >= self.tokens
            && self.tokens().zip(text).all(|(token, &byte)| token.matches(byte))
    }

    /// Returns the leftmost place of the piece in `text`.
    fn find(self, text: &[u8]) -> Option<usize> {
        /// Below this product of the lengths, trying each place is faster than making tables.
        const WORK_MAX: usize = 64 * 1024;

        if self.is_literal {
            return memmem::find(text, self.pattern);
        }
        let places = (text.len() + 1).checked_sub(self.tokens)?;
        if self.pattern.len().saturating_mul(places) <= WORK_MAX {
            return (0..places).find(|&place| self.is_at_start_of(&text[place..]));
        }
        self.find_in_parallel(text)
    }

    /// Finds the piece with one bit for each token ("Shift-And"). A bit of `state` is set while the
    /// tokens up to it match the latest bytes.
    fn find_in_parallel(self, text: &[u8]) -> Option<usize> {
        let words = self.tokens.div_ceil(64);
        let mut matching = vec![0_u64; 256 * words];
        for (index, token) in self.tokens().enumerate() {
            let (word, bit) = (index / 64, 1 << (index % 64));
            for (row, matches) in matching.chunks_exact_mut(words).zip(token.table()) {
                row[word] |= if matches { bit } else { 0 };
            }
        }
        let (last_word, last_bit) = ((self.tokens - 1) / 64, 1_u64 << ((self.tokens - 1) % 64));
        let mut state = vec![0_u64; words];
        let end = text.iter().position(|&byte| {
            let row = &matching[usize::from(byte) * words..][..words];
            let mut carry = 1;
            for (word, &matching) in state.iter_mut().zip(row) {
                let next = *word >> 63;
                *word = (*word << 1 | carry) & matching;
                carry = next;
            }
            state[last_word] & last_bit != 0
        })?;
        Some(end + 1 - self.tokens)
    }
}

impl<'a> Token<'a> {
    /// Returns the token at the start of a pattern that is not empty, and its length there.
    fn first_of(pattern: &'a [u8]) -> (Self, usize) {
        match *pattern {
            [b'?', ..] => (Self::Any, 1),
            [b'[', ..] => {
                let (length, _) = class(pattern, |_| {});
                (Self::Class(&pattern[..length]), length)
            }
            [b'\\', escaped, ..] => (Self::Literal(escaped), 2),
            [literal, ..] => (Self::Literal(literal), 1),
            [] => unreachable!("the pattern is not empty"),
        }
    }

    fn matches(&self, byte: u8) -> bool {
        match *self {
            Self::Any => true,
            Self::Literal(literal) => literal == byte,
            Self::Class(pattern) => {
                let mut found = false;
                let (_, is_negated) = class(pattern, |bytes| found |= bytes.contains(&byte));
                found != is_negated
            }
        }
    }

    /// Returns for each byte whether it matches.
    fn table(&self) -> [bool; 256] {
        let mut table = [false; 256];
        match *self {
            Self::Any => table.fill(true),
            Self::Literal(literal) => table[usize::from(literal)] = true,
            Self::Class(pattern) => {
                let (_, is_negated) = class(pattern, |bytes| {
                    table[usize::from(*bytes.start())..=usize::from(*bytes.end())].fill(true);
                });
                table.iter_mut().for_each(|found| *found ^= is_negated);
            }
        }
        table
    }
}

/// Reads a class such as `[a-c]`, and calls `see` with the bytes of each member. Returns the length
/// of the class, and whether it is negated.
fn class(pattern: &[u8], mut see: impl FnMut(RangeInclusive<u8>)) -> (usize, bool) {
    let is_negated = pattern.get(1) == Some(&b'^');
    let mut at = if is_negated { 2 } else { 1 };
    let length = loop {
        match pattern[at.min(pattern.len())..] {
            [] => break pattern.len(),
            [b'\\', escaped, ..] => {
                see(escaped..=escaped);
                at += 2;
            }
            [b']', ..] => break at + 1,
            [first, b'-', last, ..] => {
                see(first.min(last)..=first.max(last));
                at += 3;
            }
            [literal, ..] => {
                see(literal..=literal);
                at += 1;
            }
        }
    };
    (length, is_negated)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} ~ {text}");
    }

    #[test]
    fn literals_and_single_bytes() {
        check("news", "news", true);
        check("news", "new", false);
        check("news", "newsy", false);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn stars() {
        check("*", "anything", true);
        check("*", "", false);
        check("**", "", false);
        check("a*", "a", true);
        check("a**", "a", true);
        check("*b", "b", true);
        check("*b", "ab", true);
        check("*b", "ba", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("*ab", "aab", true);
        check("*a?", "aaab", true);
        check("*aab", "aaaaaab", true);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", "hallo", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-c]llo", "hbllo", true);
        check("h[c-a]llo", "hbllo", true);
        check("h[a-c]llo", "hdllo", false);
        check("[a", "a", true);
        check("[a", "b", false);
        check("[", "a", false);
        check("[^", "a", true);
        check("[]a", "]", false);
        check(r"[\]a]", "]", true);
        check("[a-]", "-", false);
        check("[a-]", "^", true);
    }

    #[test]
    fn escapes() {
        check(r"h\*llo", "h*llo", true);
        check(r"h\*llo", "hello", false);
        check(r"a\", r"a\", true);
        check(r"\\", r"\", true);
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_time() {
        check(&"*a".repeat(STARS_MAX), &"a".repeat(STARS_MAX), true);
        check(&"a*".repeat(STARS_MAX + 1), &"a".repeat(5000), true);
        check(&"a*".repeat(STARS_MAX + 2), &"a".repeat(5000), false);
        check(&format!("{}b", "a*".repeat(200)), &"a".repeat(20_000), false);
    }

    #[test]
    fn the_time_is_not_the_product_of_both_lengths() {
        let name = "a".repeat(30_000);
        let start = Instant::now();
        for piece in ["a", "?", "[ab]", r"\a", "[^b]"] {
            let pattern = format!("*{}b*", piece.repeat(12_000 / piece.len()));
            check(&pattern, &name, false);
        }
        check(&format!("*[{}]b*", "c".repeat(12_000)), &name, false);
        // A matcher that goes back takes a minute.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    /// The matcher as Redis has it, which goes back to the last star.
    mod backtracking {
        use super::STARS_MAX;

        /// Returns whether `text` matches `pattern`.
        pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
            let mut at = Position { pattern: 0, text: 0 };
            let mut star: Option<Position> = None;
            let mut stars = 0;
            loop {
                if at.text == text.len() {
                    // Redis looks for trailing stars only behind something that matched.
                    let rest = &pattern[at.pattern..];
                    return rest.is_empty()
                        || (!text.is_empty() && rest.iter().all(|&byte| byte == b'*'));
                }
                if pattern.get(at.pattern) == Some(&b'*') {
                    at.pattern +=
                        pattern[at.pattern..].iter().take_while(|&&byte| byte == b'*').count();
                    stars += 1;
                    if at.pattern == pattern.len() {
                        return true;
                    }
                    if stars > STARS_MAX {
                        return false;
                    }
                    star = Some(at);
                    continue;
                }
                match step(&pattern[at.pattern..], text[at.text]) {
                    Some(taken) => at = Position { pattern: at.pattern + taken, text: at.text + 1 },
                    None => {
                        let Some(last) = &mut star else { return false };
                        last.text += 1;
                        at = *last;
                        if at.text == text.len() {
                            return false;
                        }
                    }
                }
            }
        }

        #[derive(Clone, Copy)]
        struct Position {
            pattern: usize,
            text: usize,
        }

        /// Returns how many bytes of the pattern the one byte of the text took, if it matched.
        fn step(pattern: &[u8], byte: u8) -> Option<usize> {
            match *pattern {
                [] => None,
                [b'?', ..] => Some(1),
                [b'[', ..] => class(pattern, byte),
                [b'\\', escaped, ..] => (escaped == byte).then_some(2),
                [literal, ..] => (literal == byte).then_some(1),
            }
        }

        /// Matches a class such as `[a-c]`, and returns its length in the pattern.
        fn class(pattern: &[u8], byte: u8) -> Option<usize> {
            let negated = pattern.get(1) == Some(&b'^');
            let mut at = if negated { 2 } else { 1 };
            let mut found = false;
            let taken = loop {
                match pattern[at.min(pattern.len())..] {
                    [] => break pattern.len(),
                    [b'\\', escaped, ..] => {
                        found |= escaped == byte;
                        at += 2;
                    }
                    [b']', ..] => break at + 1,
                    [first, b'-', last, ..] => {
                        found |= (first.min(last)..=first.max(last)).contains(&byte);
                        at += 3;
                    }
                    [literal, ..] => {
                        found |= literal == byte;
                        at += 1;
                    }
                }
            };
            (found != negated).then_some(taken)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_result_is_that_of_redis(pattern in r"[ab*?\[\]^\\-]{0,12}", text in "[abc\\]^-]{0,12}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), backtracking::matches(pattern, text));
        }

        #[test]
        fn a_piece_is_found_at_the_same_place_in_both_ways(
            pattern in r"([ab?]|\[[ab]\]|\[\^a\]|\\a){1,80}",
            text in "[ab]{80,400}",
        ) {
            let (piece, rest) = Piece::split(pattern.as_bytes());
            prop_assert!(rest.is_empty());
            let text = text.as_bytes();
            let places = 0..=text.len() - piece.tokens;
            let expected = places.into_iter().find(|&at| piece.is_at_start_of(&text[at..]));
            prop_assert_eq!(piece.find_in_parallel(text), expected);
        }
    }
}
