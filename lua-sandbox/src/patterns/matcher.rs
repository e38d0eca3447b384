//! Where a pattern of Lua 5.1 matches, on bytes.
//!
//! An item of a pattern is tried again and again when what follows it does not match, so a pattern
//! can take longer than anybody waits. Every so many steps somebody else is asked whether to go on.

use mlua::{Error, Result};

/// What a pattern can capture.
const CAPTURES_MAX: usize = 32;
/// So many steps are taken before somebody is asked whether to go on.
const STEPS: u32 = 10_000;

/// A pattern, a subject, and how far the one has been found in the other.
pub(super) struct Matcher<'a, G> {
    subject: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    /// How many captures there are.
    level: usize,
    steps: u32,
    /// Fails if the script is to end.
    resume_script: G,
}

/// Where something was captured.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    length: Length,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// Its end has not come yet.
    Open,
    Known(usize),
    /// Only its position counts.
    Position,
}

/// What was captured.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Captured<'a> {
    Text(&'a [u8]),
    /// Counted from one.
    Position(usize),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What Lua says of the pattern.
    Malformed(&'static str),
    /// The script is to end.
    Ended(Error),
}

type Found<T> = std::result::Result<T, Trouble>;

impl<'a, G: FnMut() -> Result<()>> Matcher<'a, G> {
    /// A pattern ends at its first NUL, as C sees it.
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8], resume_script: G) -> Self {
        let pattern = memchr::memchr(0, pattern).map_or(pattern, |end| &pattern[..end]);
        let captures = [Capture { start: 0, length: Length::Open }; CAPTURES_MAX];
        Self { subject, pattern, captures, level: 0, steps: 0, resume_script }
    }

    /// Returns where a match that starts here ends.
    pub(super) fn match_at(&mut self, start: usize) -> Found<Option<usize>> {
        self.level = 0;
        self.items(start, 0)
    }

    /// Returns where the first match from here on starts and ends.
    pub(super) fn find_from(&mut self, start: usize) -> Found<Option<(usize, usize)>> {
        for start in start..=self.subject.len() {
            if let Some(end) = self.match_at(start)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// Returns how many values a match stands for: what it captured, or else all of it.
    pub(super) fn values(&self) -> usize {
        self.level.max(1)
    }

    /// Returns how many captures there are.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// Returns a capture of a match, counted from zero; the first is the match where nothing was
    /// captured.
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

    /// Matches the items of the pattern from `item` on, at `at`.
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

    /// Matches a single character and what says how often.
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

    /// Matches as many as there are, then fewer and fewer.
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

    /// Matches none, then more and more.
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

    /// `%bxy`: from an `x` to the `y` that belongs to it. Returns the end.
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

    /// `%f[set]`: between a character that is not of the set and one that is. Returns the next
    /// item.
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

    /// `%1`: what was captured before, again. Returns the end.
    fn captured_again(&self, at: usize, digit: u8) -> Found<Option<usize>> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = index.and_then(|index| self.captures[..self.level].get(index));
        match capture {
            None | Some(Capture { length: Length::Open, .. }) => {
                Err(Trouble::Malformed("invalid capture index"))
            }
            // A position has no length that anything could have.
            Some(Capture { length: Length::Position, .. }) => Ok(None),
            Some(&Capture { start, length: Length::Known(length) }) => {
                let captured = &self.subject[start..start + length];
                Ok(self.subject[at..].starts_with(captured).then_some(at + length))
            }
        }
    }

    /// Returns where the single character at `item` ends in the pattern.
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
        // A bracket right at the start is one of the set.
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

    /// Whether the character at `at` is one of those that `item` stands for.
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
            (self.resume_script)().map_err(Trouble::Ended)?;
        }
        Ok(())
    }
}

/// What to do after a single character.
enum Next {
    /// Go on there, with that item.
    Items(usize, usize),
    Ends(Option<usize>),
}

/// Whether a byte is in a set, which stands in its brackets.
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

/// Whether a byte is in a class, as the C locale has them; a capital means all others.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // Rust does not count the vertical tab.
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
