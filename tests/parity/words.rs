//! The words of a step: `SET "a key" \x00`, with quotes, escapes and values of the current run.
//!
//! Bare words end at a blank. Words in quotes may contain any character, and the escapes
//! `\xHH \n \r \t \\ \"`. Braces are filled in when the step runs:
//!
//! - `{repeat x 20}` is twenty times `x`;
//! - `{A.id}`, `{A.addr}` and `{A.port}` are the client id, the address and the port of client A;
//! - `{port}` is the server's port.
//!
//! Other braces stay as they are, as in `{tag}.name`.

use std::collections::HashMap;

/// Values of the server and the clients of this run, by the names in braces.
pub(crate) type Facts = HashMap<String, String>;

/// Splits a line into words.
///
/// # Errors
///
/// When a quote is not closed or an escape is unknown.
pub(crate) fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_word(quoted)?,
            None => bare_word(rest),
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// Returns the word with its braces filled in.
pub(crate) fn filled(word: &[u8], facts: &Facts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        let (before, braces) = rest.split_at(open);
        bytes.extend_from_slice(before);
        let end = braces.iter().position(|&byte| byte == b'}').map_or(braces.len(), |end| end + 1);
        let (braces, after) = braces.split_at(end);
        match value(braces, facts) {
            Some(value) => bytes.extend_from_slice(&value),
            None => bytes.extend_from_slice(braces),
        }
        rest = after;
    }
    bytes.extend_from_slice(rest);
    bytes
}

fn value(braces: &[u8], facts: &Facts) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(braces).ok()?.strip_prefix('{')?.strip_suffix('}')?;
    match text.strip_prefix("repeat ").and_then(|rest| rest.rsplit_once(' ')) {
        Some((part, count)) => {
            let part = unescaped(part).ok()?;
            Some(part.repeat(count.parse().ok()?))
        }
        None => facts.get(text).map(|value| value.clone().into_bytes()),
    }
}

/// Splits off a bare word. A blank inside braces does not end it.
fn bare_word(text: &str) -> (Vec<u8>, &str) {
    let mut depth = 0_usize;
    let end = text.find(|letter: char| {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter.is_whitespace() && depth == 0
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word.as_bytes().to_vec(), rest)
}

fn quoted_word(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut escaped = false;
    let end = text.find(|letter| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes
    });
    let end = end.ok_or_else(|| format!("a quote that is not closed in {text:?}"))?;
    Ok((unescaped(&text[..end])?, &text[end + 1..]))
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let wrong = || format!("an unknown escape in {text:?}");
        let letter = after.chars().next().ok_or_else(wrong)?;
        rest = &after[letter.len_utf8()..];
        bytes.push(match letter {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            '\\' => b'\\',
            '"' => b'"',
            'x' => {
                let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
                rest = after;
                u8::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        });
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_blanks_outside_of_quotes() {
        let words = split(r#"SET "a \x00\"key" "" {repeat a b 2}"#).unwrap();
        assert_eq!(words, [&b"SET"[..], b"a \0\"key", b"", b"{repeat a b 2}"]);
        assert!(split("\"open").is_err());
    }

    #[test]
    fn braces_with_a_known_name_are_filled_in_and_others_stay() {
        let facts = Facts::from([("A.id".into(), "7".into())]);
        assert_eq!(filled(b"<{A.id}>", &facts), b"<7>");
        assert_eq!(filled(b"{tag}.{repeat xy 3}", &facts), b"{tag}.xyxyxy");
        assert_eq!(filled(b"{", &facts), b"{");
    }
}
