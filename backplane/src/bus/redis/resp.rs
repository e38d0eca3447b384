//! RESP2, for connections that we read ourselves.
//!
//! A value is parsed only when it is complete. Depth, lines and counts are limited, so a malicious
//! peer cannot cause deep recursion or large allocations.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// One reply, or one message of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Simple(Bytes),
    Error(Bytes),
    Integer(i64),
    Bulk(Bytes),
    Null,
    Array(Vec<Value>),
}

/// The peer does not speak Redis' protocol.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the server does not use Redis' protocol")]
pub(super) struct Malformed;

const DEPTH_MAX: usize = 8;
const LINE_BYTES_MAX: usize = 64 * 1024;
const ITEMS_MAX: i64 = 1024 * 1024;
/// Redis' own limit.
const BULK_BYTES_MAX: i64 = 512 * 1024 * 1024;

/// Takes the next value from the front, if it is complete.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Value>, Malformed> {
    let Some(end) = end_of_value(buffer, 0, DEPTH_MAX)? else { return Ok(None) };
    let bytes = buffer.split_to(end).freeze();
    Ok(Some(value(&bytes, &mut 0)))
}

/// Appends a request.
pub(super) fn request(buffer: &mut Vec<u8>, words: &[&[u8]]) {
    buffer.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        buffer.extend(format!("${}\r\n", word.len()).bytes());
        buffer.extend_from_slice(word);
        buffer.extend(b"\r\n");
    }
}

impl Value {
    /// Returns the bytes of a string.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Returns the items of an array, or none for other values.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }
}

/// Returns the end of the value that starts at `at`.
fn end_of_value(bytes: &[u8], at: usize, depth: usize) -> Result<Option<usize>, Malformed> {
    let Some((kind, line, next)) = line(bytes, at)? else { return Ok(None) };
    match kind {
        b'+' | b'-' => Ok(Some(next)),
        b':' => number(line).map(|_| Some(next)).ok_or(Malformed),
        b'$' => match number(line).ok_or(Malformed)? {
            -1 => Ok(Some(next)),
            length @ 0..=BULK_BYTES_MAX => {
                let end = next + length as usize + 2;
                match bytes.get(end - 2..end) {
                    None => Ok(None),
                    Some(b"\r\n") => Ok(Some(end)),
                    Some(_) => Err(Malformed),
                }
            }
            _ => Err(Malformed),
        },
        b'*' if depth > 0 => match number(line).ok_or(Malformed)? {
            -1 => Ok(Some(next)),
            count @ 0..=ITEMS_MAX => {
                let mut at = next;
                for _ in 0..count {
                    match end_of_value(bytes, at, depth - 1)? {
                        Some(end) => at = end,
                        None => return Ok(None),
                    }
                }
                Ok(Some(at))
            }
            _ => Err(Malformed),
        },
        _ => Err(Malformed),
    }
}

/// The type byte of a value, the rest of its first line, and the start of the next line.
type Line<'a> = (u8, &'a [u8], usize);

fn line(bytes: &[u8], at: usize) -> Result<Option<Line<'_>>, Malformed> {
    let Some((kind, rest)) = bytes[at..].split_first() else { return Ok(None) };
    match rest.windows(2).take(LINE_BYTES_MAX).position(|pair| pair == b"\r\n") {
        Some(length) => Ok(Some((*kind, &rest[..length], at + length + 3))),
        None if rest.len() > LINE_BYTES_MAX => Err(Malformed),
        None => Ok(None),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Parses a value that is complete and well-formed.
fn value(bytes: &Bytes, at: &mut usize) -> Value {
    let start = *at;
    let (kind, length, next) = match line(bytes, start) {
        Ok(Some((kind, line, next))) => (kind, line.len(), next),
        _ => unreachable!("the value was seen to be whole"),
    };
    *at = next;
    let rest = bytes.slice(start + 1..start + 1 + length);
    let number = || number(&rest).unwrap_or(-1);
    match kind {
        b'+' => Value::Simple(rest),
        b'-' => Value::Error(rest),
        b':' => Value::Integer(number()),
        b'$' => match usize::try_from(number()) {
            Err(_) => Value::Null,
            Ok(length) => {
                *at += length + 2;
                Value::Bulk(bytes.slice(next..next + length))
            }
        },
        _ => match usize::try_from(number()) {
            Err(_) => Value::Null,
            Ok(count) => Value::Array((0..count).map(|_| value(bytes, at)).collect()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_value_is_parsed_when_it_is_complete() {
        let message = b"*3\r\n$7\r\nmessage\r\n$3\r\napp\r\n$6\r\n1 \r\n\x00\xff\r\n".as_slice();
        let expected = Value::Array(vec![
            bulk("message"),
            bulk("app"),
            Value::Bulk(Bytes::from_static(b"1 \r\n\x00\xff")),
        ]);
        for end in 0..message.len() {
            assert_eq!(take(&mut BytesMut::from(&message[..end])), Ok(None), "{end}");
        }
        let mut buffer = BytesMut::from(&[message, b"+OK\r\n"].concat()[..]);
        assert_eq!(take(&mut buffer), Ok(Some(expected)));
        assert_eq!(take(&mut buffer), Ok(Some(Value::Simple("OK".into()))));
        assert!(buffer.is_empty());
    }

    #[test]
    fn every_kind_of_value_is_parsed() {
        for (text, expected) in [
            ("+OK\r\n", Value::Simple("OK".into())),
            ("-ERR no\r\n", Value::Error("ERR no".into())),
            (":-7\r\n", Value::Integer(-7)),
            ("$-1\r\n", Value::Null),
            ("$0\r\n\r\n", bulk("")),
            ("*-1\r\n", Value::Null),
            ("*0\r\n", Value::Array(vec![])),
            ("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", {
                Value::Array(vec![Value::Integer(1), Value::Array(vec![bulk("a")])])
            }),
        ] {
            assert_eq!(take(&mut BytesMut::from(text)), Ok(Some(expected)), "{text:?}");
        }
    }

    #[test]
    fn damaged_input_is_rejected_or_incomplete() {
        let whole = b"*3\r\n$7\r\nmessage\r\n$3\r\napp\r\n*2\r\n:-12\r\n$-1\r\n";
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut damaged = BytesMut::from(&whole[..]);
                damaged[at] = byte;
                let length = damaged.len();
                if let Ok(Some(_)) = take(&mut damaged) {
                    assert!(damaged.len() < length, "nothing was taken");
                }
            }
        }
    }

    #[test]
    fn other_protocols_are_rejected() {
        let deep = "*1\r\n".repeat(100_000);
        let long = format!("+{}", "x".repeat(LINE_BYTES_MAX + 2));
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            ":x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$999999999999\r\n",
            "*9999999999\r\n",
            "*-2\r\n",
            "$1\r\nabc\r\n",
            &deep,
            &long,
        ] {
            let shown = &text[..text.len().min(40)];
            assert_eq!(take(&mut BytesMut::from(text)), Err(Malformed), "{shown:?}");
        }
    }
}
