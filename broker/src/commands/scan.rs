//! Finding keys: `KEYS`, `SCAN` and `RANDOMKEY`.

use super::Answer;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use crate::glob;
use crate::keyspace::{AccessMode, Keys};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};

/// The options of `SCAN`.
#[derive(Debug)]
struct Wanted<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

/// The most buckets that a call visits for each requested key, as in Redis.
const BUCKETS_PER_KEY_MAX: usize = 10;

/// `KEYS pattern`
pub(crate) fn keys(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let pattern = request.argument(1);
    let now = keys.scope.now;
    let found = keys.database().iter().filter(|(_, entry)| !entry.is_expired(now));
    let found = found.map(|(key, _)| key).filter(|key| is_match(Some(pattern), key));
    Ok(Reply::Array(found.map(Reply::bulk).collect()))
}

/// `RANDOMKEY`
pub(crate) fn randomkey(keys: &mut Keys<'_>, _: Request<'_>) -> Answer {
    Ok(keys.choose().map_or(Reply::Null, |key| Reply::Bulk(key.into_vec())))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(crate) fn scan(keys: &mut Keys<'_>, request: Request<'_>) -> Answer {
    let mut cursor = cursor(request.argument(1)).ok_or(&b"ERR invalid cursor"[..])?;
    let wanted = Wanted::parse(request.arguments_from(2))?;
    let mut met: Vec<Box<[u8]>> = Vec::new();
    for _ in 0..wanted.count.saturating_mul(BUCKETS_PER_KEY_MAX) {
        cursor = keys.database().walk(cursor, |key, _| met.push(key.into()));
        if cursor == 0 || met.len() >= wanted.count {
            break;
        }
    }
    met.retain(|key| {
        // As in Redis, `TYPE` looks up the key, which counts as a hit.
        let has_kind = |keys: &mut Keys<'_>| {
            wanted.kind.is_none() || keys.get(key, AccessMode::Inspect).is_some()
        };
        is_match(wanted.pattern, key)
            && keys.exists(key)
            && has_kind(keys)
            && wanted.is_for_strings()
    });
    let found = met.into_iter().map(|key| Reply::Bulk(key.into_vec())).collect();
    Ok(Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(found)]))
}

/// Parses a cursor like C's strtoul, which accepts a sign, and an empty word as 0.
fn cursor(text: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let number: u64 = all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())??;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

fn is_match(wanted: Option<&[u8]>, key: &[u8]) -> bool {
    wanted.is_none_or(|wanted| wanted == b"*" || glob::matches(wanted, key))
}

impl<'a> Wanted<'a> {
    fn parse(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut wanted = Self { count: 10, pattern: None, kind: None };
        while let Some(word) = words.next() {
            let value = words.next().ok_or(SYNTAX_ERROR)?;
            match &*word.to_ascii_lowercase() {
                b"count" => {
                    let count = request::integer(value).ok_or(NOT_AN_INTEGER)?;
                    let count = usize::try_from(count).ok().filter(|&count| count > 0);
                    wanted.count = count.ok_or(SYNTAX_ERROR)?;
                }
                b"match" => wanted.pattern = Some(value),
                b"type" => wanted.kind = Some(value),
                _ => return Err(SYNTAX_ERROR.to_vec()),
            }
        }
        Ok(wanted)
    }

    fn is_for_strings(&self) -> bool {
        self.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(b"string"))
    }
}

#[cfg(test)]
mod tests {
    use super::cursor;

    #[test]
    fn cursors() {
        for (text, expected) in [
            ("0", Some(0)),
            ("", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            (" 0", None),
            ("0 ", None),
            ("x", None),
            ("-", None),
        ] {
            assert_eq!(cursor(text.as_bytes()), expected, "{text:?}");
        }
    }
}
