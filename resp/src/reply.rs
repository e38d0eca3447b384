//! Encodes replies and messages. The module `value` decodes them.
//!
//! Frequent ones (messages, confirmations, integers) have a function that writes straight into the
//! output buffer. All others are a [`Reply`], which has one form in RESP2 and another in RESP3.
//!
//! `redis-protocol` encodes a [`Reply`] except where its forms differ from those of Redis: integers
//! near powers of ten, doubles, and errors with line ends.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::encode as resp2;
use redis_protocol::resp2::types::BorrowedFrame as Frame2;
use redis_protocol::resp3::encode::complete as resp3;
use redis_protocol::resp3::types::{BorrowedFrame as Frame3, VerbatimStringFormat};

use crate::{Protocol, number};

/// A reply, independent of the protocol version.
///
/// ```
/// use bytes::BytesMut;
/// use resp::Protocol;
/// use resp::reply::Reply;
///
/// let reply = Reply::Map(vec![(Reply::bulk("proto"), Reply::Integer(3))]);
/// let mut out = BytesMut::new();
/// reply.encode(Protocol::Resp3, &mut out);
/// assert_eq!(&out[..], b"%1\r\n$5\r\nproto\r\n:3\r\n");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A status without line ends, such as `OK`.
    Simple(Cow<'static, str>),
    /// The code and the text, such as `ERR syntax error`.
    Error(Vec<u8>),
    /// A signed integer.
    Integer(i64),
    /// A string of arbitrary bytes.
    Bulk(Vec<u8>),
    /// A bulk string in shared memory. A server can send it without a copy if it is the whole reply.
    Shared(Bytes),
    /// A null in place of any value but an array.
    Null,
    /// A null in place of an array. Only RESP2 distinguishes it.
    NullArray,
    /// A list of replies.
    Array(Vec<Reply>),
    /// Pairs of key and value; a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// A set; an array in RESP2.
    Set(Vec<Reply>),
    /// Text for humans; a bulk string in RESP2.
    Verbatim(Vec<u8>),
    /// A floating-point number; a bulk string in RESP2.
    Double(f64),
    /// A boolean; 1 or 0 in RESP2.
    Boolean(bool),
    /// An integer of any length; a bulk string in RESP2.
    BigNumber(&'static str),
    /// Attributes, which RESP2 omits, and the reply that they describe.
    Attributed(Vec<(Reply, Reply)>, Box<Reply>),
    /// A push that precedes the reply, which RESP2 omits, and the reply.
    Pushed(Vec<Reply>, Box<Reply>),
}

impl Reply {
    /// Returns the status `OK`.
    #[must_use]
    pub fn ok() -> Self {
        Self::Simple(Cow::Borrowed("OK"))
    }

    /// Returns a bulk string with a copy of `bytes`.
    #[must_use]
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// Returns an error with a copy of `text`, which includes the code.
    #[must_use]
    pub fn error(text: impl AsRef<[u8]>) -> Self {
        Self::Error(text.as_ref().to_vec())
    }

    /// Returns a count as an integer. A larger one than fits becomes the largest integer.
    #[must_use]
    pub fn integer(count: impl TryInto<i64>) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }

    /// Appends the reply to `out`.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        match self {
            Self::Simple(text) => {
                leaf(protocol, out, Frame2::SimpleString(text.as_bytes()), || {
                    Frame3::SimpleString { data: text.as_bytes(), attributes: None }
                })
            }
            Self::Bulk(data) => leaf(protocol, out, Frame2::BulkString(data), || {
                Frame3::BlobString { data, attributes: None }
            }),
            Self::Shared(data) => leaf(protocol, out, Frame2::BulkString(data), || {
                Frame3::BlobString { data, attributes: None }
            }),
            Self::NullArray => match protocol {
                Protocol::Resp2 => line(out, b'*', b"-1"),
                Protocol::Resp3 => Self::Null.encode(protocol, out),
            },
            Self::Null => leaf(protocol, out, Frame2::Null, || Frame3::Null),
            Self::Verbatim(text) => leaf(protocol, out, Frame2::BulkString(text), || {
                let format = VerbatimStringFormat::Text;
                Frame3::VerbatimString { data: text, format, attributes: None }
            }),
            Self::Double(value) => match protocol {
                Protocol::Resp2 => Self::bulk(number::double(*value)).encode(protocol, out),
                Protocol::Resp3 => line(out, b',', number::double(*value).as_bytes()),
            },
            Self::Boolean(value) => match protocol {
                Protocol::Resp2 => line(out, b':', if *value { b"1" } else { b"0" }),
                Protocol::Resp3 => line(out, b'#', if *value { b"t" } else { b"f" }),
            },
            Self::BigNumber(digits) => match protocol {
                Protocol::Resp2 => Self::bulk(digits).encode(protocol, out),
                Protocol::Resp3 => line(out, b'(', digits.as_bytes()),
            },
            Self::Integer(value) => line(out, b':', itoa::Buffer::new().format(*value).as_bytes()),
            Self::Error(text) => line(out, b'-', text),
            Self::Array(items) => {
                header(out, b'*', items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            Self::Set(items) => {
                header(out, if protocol == Protocol::Resp2 { b'*' } else { b'~' }, items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            Self::Attributed(pairs, reply) => {
                if protocol == Protocol::Resp3 {
                    header(out, b'|', pairs.len());
                    for (key, value) in pairs {
                        key.encode(protocol, out);
                        value.encode(protocol, out);
                    }
                }
                reply.encode(protocol, out);
            }
            Self::Pushed(items, reply) => {
                if protocol == Protocol::Resp3 {
                    header(out, b'>', items.len());
                    items.iter().for_each(|item| item.encode(protocol, out));
                }
                reply.encode(protocol, out);
            }
            Self::Map(pairs) => {
                match protocol {
                    Protocol::Resp2 => header(out, b'*', pairs.len() * 2),
                    Protocol::Resp3 => header(out, b'%', pairs.len()),
                }
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
        }
    }
}

/// Encodes a reply without parts.
fn leaf<'a>(
    protocol: Protocol,
    out: &mut BytesMut,
    frame2: Frame2<'a>,
    frame3: impl FnOnce() -> Frame3<'a>,
) {
    let written = match protocol {
        Protocol::Resp2 => resp2::extend_encode_borrowed(out, &frame2, false),
        Protocol::Resp3 => resp3::extend_encode_borrowed(out, &frame3(), false),
    };
    written.expect("a string, a null and a verbatim string always have an encoding");
}

/// Writes a line. Replaces line ends inside `text` with blanks, since a client would parse the rest
/// as another reply (CVE-2025-67733).
fn line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.extend_from_slice(&[kind]);
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn header(out: &mut BytesMut, kind: u8, count: usize) {
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a status. `text` has no line ends.
#[inline]
pub fn status(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'+');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends the header of an array of `count` items, which the caller appends.
#[inline]
pub fn array_header(out: &mut Vec<u8>, count: usize) {
    out.push(b'*');
    number(out, count);
}

/// Appends an integer.
#[inline]
pub fn integer(out: &mut Vec<u8>, value: usize) {
    out.push(b':');
    number(out, value);
}

/// Appends the header of a bulk string. The caller appends `length` bytes and a line end.
#[inline]
pub fn bulk_header(out: &mut Vec<u8>, length: usize) {
    out.push(b'$');
    number(out, length);
}

/// Appends a bulk string.
#[inline]
pub fn bulk(out: &mut Vec<u8>, data: &[u8]) {
    bulk_header(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The constant first bytes of a message, up to the length of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageStart(&'static [u8]);

impl MessageStart {
    /// The start of a `message`, in RESP2 and in RESP3.
    pub const MESSAGE: [Self; 2] =
        [Self(b"*3\r\n$7\r\nmessage\r\n$"), Self(b">3\r\n$7\r\nmessage\r\n$")];
    /// The start of an `smessage`, in RESP2 and in RESP3.
    pub const SMESSAGE: [Self; 2] =
        [Self(b"*3\r\n$8\r\nsmessage\r\n$"), Self(b">3\r\n$8\r\nsmessage\r\n$")];
}

/// Appends a `message` or `smessage` for a subscriber of `channel`.
///
/// ```
/// use resp::reply::{self, MessageStart};
///
/// let mut out = Vec::new();
/// reply::message(&mut out, MessageStart::MESSAGE[0], b"news", b"hello");
/// assert_eq!(out, b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
/// ```
#[inline]
pub fn message(out: &mut Vec<u8>, start: MessageStart, channel: &[u8], payload: &[u8]) {
    out.reserve(start.0.len() + channel.len() + payload.len() + 48);
    out.extend_from_slice(start.0);
    number(out, channel.len());
    out.extend_from_slice(channel);
    out.extend_from_slice(b"\r\n$");
    number(out, payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends a `pmessage` for a subscriber of `pattern`.
#[inline]
pub fn pattern_message(
    out: &mut Vec<u8>,
    protocol: Protocol,
    pattern: &[u8],
    channel: &[u8],
    payload: &[u8],
) {
    out.reserve(pattern.len() + channel.len() + payload.len() + 80);
    push_header(out, protocol, 4);
    bulk(out, b"pmessage");
    bulk(out, pattern);
    bulk(out, channel);
    bulk(out, payload);
}

/// Appends the confirmation of a subscription or of its end.
///
/// `kind` is the command, such as `subscribe`. `name` is `None` if the client unsubscribed from all
/// channels and had none. `subscriptions` is the number that remain.
#[inline]
pub fn confirmation(
    out: &mut Vec<u8>,
    protocol: Protocol,
    kind: &str,
    name: Option<&[u8]>,
    subscriptions: usize,
) {
    push_header(out, protocol, 3);
    bulk(out, kind.as_bytes());
    match (name, protocol) {
        (Some(name), _) => bulk(out, name),
        (None, Protocol::Resp2) => out.extend_from_slice(b"$-1\r\n"),
        (None, Protocol::Resp3) => out.extend_from_slice(b"_\r\n"),
    }
    integer(out, subscriptions);
}

/// Appends the header of a push of at most nine parts, which the caller appends. RESP2 has no
/// pushes, so it gets an array.
#[inline]
pub fn push_header(out: &mut Vec<u8>, protocol: Protocol, parts: u8) {
    debug_assert!(parts < 10, "a header of one digit");
    let kind = match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    };
    out.extend_from_slice(&[kind, b'0' + parts, b'\r', b'\n']);
}

/// Appends the digits of a number and a line end. Numbers below 1,000 have a branch each, since the
/// compiler writes arrays of a constant size without a call.
#[inline]
fn number(out: &mut Vec<u8>, value: usize) {
    let digit = |value: usize| b'0' + (value % 10) as u8;
    match value {
        0..=9 => out.extend_from_slice(&[digit(value), b'\r', b'\n']),
        10..=99 => out.extend_from_slice(&[digit(value / 10), digit(value), b'\r', b'\n']),
        100..=999 => {
            let digits = [digit(value / 100), digit(value / 10), digit(value), b'\r', b'\n'];
            out.extend_from_slice(&digits);
        }
        _ => {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &Reply, resp2: &str, resp3: &str) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = BytesMut::new();
            reply.encode(protocol, &mut out);
            assert_eq!(
                out.escape_ascii().to_string(),
                expected.escape_debug().to_string(),
                "{protocol:?}"
            );
        }
    }

    #[test]
    fn leaves() {
        check(&Reply::ok(), "+OK\r\n", "+OK\r\n");
        check(&Reply::bulk("a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
        check(&Reply::Null, "$-1\r\n", "_\r\n");
        check(&Reply::Verbatim("hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(&Reply::Boolean(true), ":1\r\n", "#t\r\n");
        check(&Reply::Double(0.5), "$3\r\n0.5\r\n", ",0.5\r\n");
        check(&Reply::Double(0.061), "$5\r\n0.061\r\n", ",0.061\r\n");
        check(&Reply::Double(100.0), "$3\r\n100\r\n", ",100\r\n");
        check(&Reply::error("ERR a\r\n+OK"), "-ERR a  +OK\r\n", "-ERR a  +OK\r\n");
    }

    #[test]
    fn integers_near_powers_of_ten() {
        for value in [0, -1, 999_999_999_999_999, 1_000_000_000_000_000, i64::MAX, i64::MIN] {
            check(&Reply::Integer(value), &format!(":{value}\r\n"), &format!(":{value}\r\n"));
        }
    }

    #[test]
    fn resp2_has_neither_attributes_nor_pushes() {
        let items = || vec![Reply::Integer(1)];
        let pushed = Reply::Pushed(items(), Box::new(Reply::ok()));
        check(&pushed, "+OK\r\n", ">1\r\n:1\r\n+OK\r\n");
        let pairs = vec![(Reply::bulk("a"), Reply::Integer(1))];
        let attributed = Reply::Attributed(pairs, Box::new(Reply::ok()));
        check(&attributed, "+OK\r\n", "|1\r\n$1\r\na\r\n:1\r\n+OK\r\n");
    }

    #[test]
    fn parts_that_callers_put_together() {
        let mut out = Vec::new();
        status(&mut out, b"QUEUED");
        array_header(&mut out, 1_000);
        integer(&mut out, 0);
        assert_eq!(out, b"+QUEUED\r\n*1000\r\n:0\r\n");
    }

    #[test]
    fn aggregates() {
        let pair = || (Reply::bulk("a"), Reply::Integer(1));
        check(&Reply::Map(vec![pair()]), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n");
        check(&Reply::Set(vec![Reply::Integer(1)]), "*1\r\n:1\r\n", "~1\r\n:1\r\n");
        check(&Reply::Array(vec![Reply::Null]), "*1\r\n$-1\r\n", "*1\r\n_\r\n");
    }

    #[test]
    fn numbers_of_all_lengths() {
        for value in [0, 9, 10, 99, 100, 999, 1_000, 1_234_567, usize::MAX] {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, format!(":{value}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_message_begins_as_its_kind_and_protocol_demand() {
        let starts = [(MessageStart::MESSAGE, "message"), (MessageStart::SMESSAGE, "smessage")];
        for (starts, kind) in starts {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let mut expected = Vec::new();
                push_header(&mut expected, protocol, 3);
                [kind, "news", "hi"].iter().for_each(|part| bulk(&mut expected, part.as_bytes()));
                let mut out = Vec::new();
                message(&mut out, starts[protocol as usize], b"news", b"hi");
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn messages_by_hand_are_what_an_independent_decoder_reads() {
        use redis_protocol::resp2::decode::decode;
        use redis_protocol::resp2::types::OwnedFrame;

        let text = |text: &str| OwnedFrame::BulkString(text.into());
        let mut out = Vec::new();
        message(&mut out, MessageStart::MESSAGE[0], b"news", b"a\r\nb");
        let expected = OwnedFrame::Array(vec![text("message"), text("news"), text("a\r\nb")]);
        assert_eq!(decode(&out).expect("valid"), Some((expected, out.len())));

        let mut out = Vec::new();
        pattern_message(&mut out, Protocol::Resp2, b"n*", b"news", b"");
        let expected =
            OwnedFrame::Array(vec![text("pmessage"), text("n*"), text("news"), text("")]);
        assert_eq!(decode(&out).expect("valid"), Some((expected, out.len())));

        let mut out = Vec::new();
        confirmation(&mut out, Protocol::Resp2, "unsubscribe", None, 0);
        let expected =
            OwnedFrame::Array(vec![text("unsubscribe"), OwnedFrame::Null, OwnedFrame::Integer(0)]);
        assert_eq!(decode(&out).expect("valid"), Some((expected, out.len())));
    }
}
