//! Splits a line into words, by the rules of Redis' `sdssplitargs`.
//!
//! Inline commands and redis.conf use them. Double quotes allow escapes (`"a\x00b"`), single quotes
//! only that of the quote (`'it\'s'`). A closing quote must precede a blank or the end of the line.

/// A quote is not closed, or bytes follow the closing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Splits `line` into words.
///
/// # Errors
///
/// Returns an error if a quote is not closed, or if bytes follow the closing one.
///
/// ```
/// use resp::words::split;
///
/// assert_eq!(split(b"ECHO 'a b'"), Ok(vec![b"ECHO".to_vec(), b"a b".to_vec()]));
/// assert!(split(b"ECHO 'a b").is_err());
/// ```
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut rest = skip_blank(line);
    // A NUL ends the line, as it does in C.
    while !rest.is_empty() && rest[0] != 0 {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = skip_blank(after);
    }
    Ok(words)
}

/// Quotes `word` as Redis does in its messages. [`split`] restores the word.
///
/// ```
/// assert_eq!(resp::words::quote(b"a\n"), r#""a\n""#);
/// ```
#[must_use]
pub fn quote(word: &[u8]) -> String {
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => quoted.extend(['\\', byte as char]),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(byte as char),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

fn skip_blank(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|&&byte| is_blank(byte)).count();
    &text[blank..]
}

/// Redis ends a word without quotes at these bytes only.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0)
}

/// C's `isspace`, which includes the vertical tab.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn word(text: &[u8]) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            _ if ends_word(byte) => break,
            b'"' => {
                at = double_quoted(text, at + 1, &mut word)?;
                return closed(text, at, word);
            }
            b'\'' => {
                at = single_quoted(text, at + 1, &mut word)?;
                return closed(text, at, word);
            }
            _ => {
                word.push(byte);
                at += 1;
            }
        }
    }
    Ok((word, &text[at..]))
}

/// Checks that a blank or the end follows a closing quote.
fn closed(text: &[u8], at: usize, word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    match text.get(at) {
        Some(&byte) if !is_blank(byte) && byte != 0 => Err(UnbalancedQuotes),
        _ => Ok((word, &text[at..])),
    }
}

fn double_quoted(
    text: &[u8],
    mut at: usize,
    word: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        match text[at.min(text.len())..] {
            [] | [0, ..] => return Err(UnbalancedQuotes),
            [b'"', ..] => return Ok(at + 1),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(high) << 4 | hex(low));
                at += 4;
            }
            [b'\\', escaped, ..] if escaped != 0 => {
                word.push(unescape(escaped));
                at += 2;
            }
            [byte, ..] => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

fn single_quoted(
    text: &[u8],
    mut at: usize,
    word: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        match text[at.min(text.len())..] {
            [] | [0, ..] => return Err(UnbalancedQuotes),
            [b'\'', ..] => return Ok(at + 1),
            [b'\\', b'\'', ..] => {
                word.push(b'\'');
                at += 2;
            }
            [byte, ..] => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&[u8]]) {
        assert_eq!(
            split(line.as_bytes()).as_deref(),
            Ok(&expected.iter().map(|word| word.to_vec()).collect::<Vec<_>>()[..])
        );
    }

    #[test]
    fn words_and_blanks() {
        check("", &[]);
        check("  a\tb  c ", &[b"a", b"b", b"c"]);
        check("port 6379\r", &[b"port", b"6379"]);
    }

    #[test]
    fn quotes() {
        check(r#"a "b c" d"#, &[b"a", b"b c", b"d"]);
        check(r#""""#, &[b""]);
        check(r#""a\x00b""#, &[b"a\0b"]);
        check(r#""\n\r\t\b\a\\\"""#, &[b"\n\r\t\x08\x07\\\""]);
        check(r#""\xzz""#, &[b"xzz"]);
        check(r"'it\'s \n'", &[b"it's \\n"]);
        check(r#"a"b c""#, &[b"ab c"]);
    }

    #[test]
    fn a_quote_without_its_end_is_an_error() {
        for line in [r#""abc"#, "'abc", r#""a"b"#, r#"'a'b"#, r#""a\"#] {
            assert_eq!(split(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn a_quoted_word_is_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(split(quote(&every).as_bytes()), Ok(vec![every]));
    }
}
