//! Redis' glob: `*`, `?`, `[a-z]`, `[^a]` and `\` to escape.
//!
//! Matches as Redis does, quirks included: `*` does not match an empty text, an unclosed class
//! ends with the pattern, and a pattern of more than [`STARS_MAX`] stars matches nothing. It goes
//! back to the last star only, so its cost is bounded by the product of the two lengths.

/// Redis gives up beyond this many stars (CVE-2024-31228).
const STARS_MAX: usize = 1000;

/// Returns whether `text` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut at = Position { pattern: 0, text: 0 };
    let mut star: Option<Position> = None;
    let mut stars = 0;
    loop {
        if at.text == text.len() {
            // Redis looks for trailing stars only behind something that matched.
            let rest = &pattern[at.pattern..];
            return rest.is_empty() || (!text.is_empty() && rest.iter().all(|&byte| byte == b'*'));
        }
        if pattern.get(at.pattern) == Some(&b'*') {
            at.pattern += pattern[at.pattern..].iter().take_while(|&&byte| byte == b'*').count();
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

#[cfg(test)]
mod tests {
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
}
