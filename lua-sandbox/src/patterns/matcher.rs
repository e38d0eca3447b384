//! Matches patterns of Lua 5.1 on bytes.
//!
//! The matcher backtracks, so a pattern can take exponential time. Every [`STEPS`] steps the matcher
//! checks whether the script is to end.

use mlua::{Error, Result};

/// Maximum captures of a pattern.
const CAPTURES_MAX: usize = 32;
/// Number of steps between two checks of the script.
const STEPS: u32 = 10_000;

/// A pattern, a subject, and the captures of the last match.
pub(super) struct Matcher<'a, G> {
    subject: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    /// Number of captures.
    level: usize,
    steps: u32,
    /// Fails if the script is to end.
    check: G,
}

/// The place of a capture.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    length: Length,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// The end is not known yet.
    Open,
    Known(usize),
    /// The capture is a position.
    Position,
}

/// The value of a capture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Captured<'a> {
    Text(&'a [u8]),
    /// Counted from one.
    Position(usize),
}

/// The reason why a match failed with an error.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Lua's error text for the pattern.
    Malformed(&'static str),
    /// The error that ends the script.
    Ended(Error),
}

type Found<T> = std::result::Result<T, Trouble>;

impl<'a, G: FnMut() -> Result<()>> Matcher<'a, G> {
    /// Creates a matcher. The pattern ends at its first NUL, as in C.
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8], check: G) -> Self {
        let pattern = memchr::memchr(0, pattern).map_or(pattern, |end| &pattern[..end]);
        let captures = [Capture { start: 0, length: Length::Open }; CAPTURES_MAX];
        Self { subject, pattern, captures, level: 0, steps: 0, check }
    }

    /// Returns the end of a match that starts at `start`.
    pub(super) fn match_at(&mut self, start: usize) -> Found<Option<usize>> {
        self.level = 0;
        self.items(start, 0)
    }

    /// Returns start and end of the first match from `start` on.
    pub(super) fn find_from(&mut self, start: usize) -> Found<Option<(usize, usize)>> {
        for start in start..=self.subject.len() {
            if let Some(end) = self.match_at(start)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// Returns the number of values of a match: its captures, or one for the whole match.
    pub(super) fn values(&self) -> usize {
        self.level.max(1)
    }

    /// Returns the number of captures.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// Returns a capture, counted from zero. Without captures the first one is the whole match.
    pub(super) fn capture(&self, index: usize, start: usize, end: usize) -> Found<Captured<'a>> {
        if index >= self.level {
            return match index {
                0 => Ok(Captured::Text(self.text((start, end)))),
                _ => Err(Trouble::Malformed("invalid capture index")),
            };
        }
        let Capture { start, length } = self.captures[index];
        match length {
            Length::Open => Err(Trouble::Malformed("unfinished capture")),
            Length::Position => Ok(Captured::Position(start + 1)),
            Length::Known(length) => Ok(Captured::Text(self.text((start, start + length)))),
        }
    }

    /// Returns the text of a match.
    pub(super) fn text(&self, (start, end): (usize, usize)) -> &'a [u8] {
        &self.subject[start..end]
    }

    /// Matches the pattern from `item` on at the position `at`.
    fn items(&mut self, mut at: usize, mut item: usize) -> Found<Option<usize>> {
        loop {
            self.step()?;
            match self.pattern[item..] {
                [] => return Ok(Some(at)),
                [b'$'] => return Ok((at == self.subject.len()).then_some(at)),
                [b'(', b')', ..] => return self.open(at, item + 2, Length::Position),
                [b'(', ..] => return self.open(at, item + 1, Length::Open),
                [b')', ..] => return self.close(at, item + 1),
                [b'%', b'b', ..] => match self.balanced(at, item + 2)? {
                    Some(end) => (at, item) = (end, item + 4),
                    None => return Ok(None),
                },
                [b'%', b'f', ..] => match self.frontier(at, item + 2)? {
                    Some(next) => item = next,
                    None => return Ok(None),
                },
                [b'%', digit @ b'0'..=b'9', ..] => match self.captured_again(at, digit)? {
                    Some(end) => (at, item) = (end, item + 2),
                    None => return Ok(None),
                },
                _ => match self.single(at, item)? {
                    Next::Items(next, rest) => (at, item) = (next, rest),
                    Next::Ends(end) => return Ok(end),
                },
            }
        }
    }

    /// Matches a single character with its quantifier.
    fn single(&mut self, at: usize, item: usize) -> Found<Next> {
        let end = self.item_end(item)?;
        let matches = self.matches(at, item, end);
        Ok(match self.pattern.get(end) {
            Some(b'?') => {
                if matches && let Some(found) = self.items(at + 1, end + 1)? {
                    return Ok(Next::Ends(Some(found)));
                }
                Next::Items(at, end + 1)
            }
            Some(b'*') => Next::Ends(self.longest(at, item, end)?),
            Some(b'+') if matches => Next::Ends(self.longest(at + 1, item, end)?),
            Some(b'+') => Next::Ends(None),
            Some(b'-') => Next::Ends(self.shortest(at, item, end)?),
            _ if matches => Next::Items(at + 1, end),
            _ => Next::Ends(None),
        })
    }

    /// Matches as many characters as possible, then fewer.
    fn longest(&mut self, at: usize, item: usize, end: usize) -> Found<Option<usize>> {
        let mut count = 0;
        while self.matches(at + count, item, end) {
            count += 1;
            self.step()?;
        }
        for count in (0..=count).rev() {
            if let Some(found) = self.items(at + count, end + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Matches no character, then more.
    fn shortest(&mut self, mut at: usize, item: usize, end: usize) -> Found<Option<usize>> {
        loop {
            if let Some(found) = self.items(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.matches(at, item, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, at: usize, item: usize, length: Length) -> Found<Option<usize>> {
        if self.level >= CAPTURES_MAX {
            return Err(Trouble::Malformed("too many captures"));
        }
        self.captures[self.level] = Capture { start: at, length };
        self.level += 1;
        let found = self.items(at, item)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, item: usize) -> Found<Option<usize>> {
        let mut open = self.captures[..self.level].iter();
        let open = open.rposition(|capture| capture.length == Length::Open);
        let index = open.ok_or(Trouble::Malformed("invalid pattern capture"))?;
        self.captures[index].length = Length::Known(at - self.captures[index].start);
        let found = self.items(at, item)?;
        if found.is_none() {
            self.captures[index].length = Length::Open;
        }
        Ok(found)
    }

    /// Matches `%bxy`, from an `x` to its balancing `y`. Returns the end.
    fn balanced(&mut self, at: usize, item: usize) -> Found<Option<usize>> {
        let [open, close, ..] = self.pattern[item..] else {
            return Err(Trouble::Malformed("unbalanced pattern"));
        };
        if self.subject.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for place in at + 1..self.subject.len() {
            self.step()?;
            let byte = self.subject[place];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(place + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// Matches `%f[set]`, the frontier between a character outside the set and one inside. Returns
    /// the next item.
    fn frontier(&mut self, at: usize, item: usize) -> Found<Option<usize>> {
        if self.pattern.get(item) != Some(&b'[') {
            return Err(Trouble::Malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(item)?;
        let set = &self.pattern[item..end];
        let before = at.checked_sub(1).map_or(0, |before| self.subject[before]);
        let after = self.subject.get(at).copied().unwrap_or(0);
        Ok((!is_in_set(before, set) && is_in_set(after, set)).then_some(end))
    }

    /// Matches the text of an earlier capture (`%1`). Returns the end.
    fn captured_again(&self, at: usize, digit: u8) -> Found<Option<usize>> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = index.and_then(|index| self.captures[..self.level].get(index));
        match capture {
            None | Some(Capture { length: Length::Open, .. }) => {
                Err(Trouble::Malformed("invalid capture index"))
            }
            // A position has no text.
            Some(Capture { length: Length::Position, .. }) => Ok(None),
            Some(&Capture { start, length: Length::Known(length) }) => {
                let captured = &self.subject[start..start + length];
                Ok(self.subject[at..].starts_with(captured).then_some(at + length))
            }
        }
    }

    /// Returns the end of the single character at `item` in the pattern.
    fn item_end(&self, item: usize) -> Found<usize> {
        match self.pattern[item..] {
            [b'%'] => Err(Trouble::Malformed("malformed pattern (ends with '%')")),
            [b'%', _, ..] => Ok(item + 2),
            [b'[', ..] => self.set_end(item),
            _ => Ok(item + 1),
        }
    }

    fn set_end(&self, item: usize) -> Found<usize> {
        let mut at = item + 1;
        if self.pattern.get(at) == Some(&b'^') {
            at += 1;
        }
        // A bracket at the start belongs to the set.
        loop {
            match self.pattern.get(at) {
                None => return Err(Trouble::Malformed("malformed pattern (missing ']')")),
                Some(b'%') if at + 1 < self.pattern.len() => at += 2,
                Some(_) => at += 1,
            }
            if self.pattern.get(at) == Some(&b']') {
                return Ok(at + 1);
            }
        }
    }

    /// Returns whether the character at `at` matches the single character `item`.
    fn matches(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(&byte) = self.subject.get(at) else { return false };
        match self.pattern[item] {
            b'.' => true,
            b'%' => is_in_class(byte, self.pattern[item + 1]),
            b'[' => is_in_set(byte, &self.pattern[item..end]),
            other => other == byte,
        }
    }

    fn step(&mut self) -> Found<()> {
        self.steps += 1;
        if self.steps >= STEPS {
            self.steps = 0;
            (self.check)().map_err(Trouble::Ended)?;
        }
        Ok(())
    }
}

/// The continuation after a single character.
enum Next {
    /// Continue at a position with an item.
    Items(usize, usize),
    Ends(Option<usize>),
}

/// Returns whether a byte is in a set. `set` includes the brackets.
fn is_in_set(byte: u8, set: &[u8]) -> bool {
    let inner = &set[1..set.len() - 1];
    let (inner, is_complement) = match inner {
        [b'^', rest @ ..] => (rest, true),
        _ => (inner, false),
    };
    let mut at = 0;
    while at < inner.len() {
        let is_in = match inner[at..] {
            [b'%', class, ..] => {
                at += 2;
                is_in_class(byte, class)
            }
            [low, b'-', high, ..] => {
                at += 3;
                (low..=high).contains(&byte)
            }
            [own, ..] => {
                at += 1;
                own == byte
            }
            [] => false,
        };
        if is_in {
            return !is_complement;
        }
    }
    is_complement
}

/// Returns whether a byte is in a class of the C locale. A capital letter is the complement.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // Rust excludes the vertical tab.
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
