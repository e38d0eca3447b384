//! Decodes replies and messages, on the side of a client.
//!
//! A [`Decoder`] takes [`Value`]s from a buffer that bytes are appended to. It keeps its position, so
//! it examines complete parts of a long reply only once. It neither recurses nor allocates by an
//! announced length: a value is built after all its bytes have arrived.
//!
//! [`Part`] is the layer below: one line, one string, or the header of an aggregate, as received.
//!
//! Redis never sends the streamed strings and aggregates of RESP3, so they are errors here.

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::request::integer;

/// A reply, or a message of a subscription.
///
/// The null types of both protocol versions are one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A status such as `OK`.
    Simple(Bytes),
    /// The code and the text of an error, such as `ERR syntax error`.
    Error(Bytes),
    /// A signed integer.
    Integer(i64),
    /// A string of arbitrary bytes.
    Bulk(Bytes),
    /// No value.
    Null,
    /// A list of values.
    Array(Vec<Value>),
    /// Pairs of key and value, in the order received.
    Map(Vec<(Value, Value)>),
    /// The items of a set, in the order received.
    Set(Vec<Value>),
    /// Data that the server sends without a request, such as a message.
    Push(Vec<Value>),
    /// A boolean.
    Boolean(bool),
    /// A floating-point number.
    Double(f64),
    /// The digits of an integer of any length.
    BigNumber(Bytes),
    /// Text for humans.
    Verbatim {
        /// Three letters such as `txt`.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
    /// Attributes, and the value that they describe. Successive attributes are one list.
    Attributed(Vec<(Value, Value)>, Box<Value>),
}

/// The largest reply that a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum aggregates inside each other.
    pub depth_max: usize,
    /// Maximum items of an aggregate. A pair counts as two.
    pub items_max: usize,
    /// Maximum bytes of a string.
    pub bulk_bytes_max: usize,
    /// Maximum bytes of a line.
    pub line_bytes_max: usize,
}

/// The bytes are not RESP, or exceed the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidReply {
    /// No type starts with this byte.
    #[error("expected a type of RESP, found {:?}", char::from(*.0))]
    Kind(u8),
    /// A length is neither a number nor -1, or exceeds its limit.
    #[error("expected a length within the limits")]
    Length,
    /// A line is longer than its limit.
    #[error("expected a shorter line")]
    LineTooLong,
    /// Aggregates are nested more deeply than the limit.
    #[error("expected fewer nested aggregates")]
    TooDeep,
    /// A string is shorter or longer than its length.
    #[error("expected a line end after a string")]
    NoLineEnd,
    /// The text of a number, a boolean, a null or a verbatim string is invalid.
    #[error("expected a value of type {:?}", char::from(*.0))]
    Text(u8),
}

/// One part of a reply, as received.
///
/// ```
/// use resp::value::{Limits, Part};
///
/// let limits = Limits::default();
/// let header = Part::decode(b"*2\r\n:1\r\n", &limits)?;
/// assert_eq!(header, Some((Part::Header { kind: b'*', items: 2 }, 4)));
/// assert_eq!(Part::decode(b"$5\r\nhel", &limits)?, None);
/// # Ok::<(), resp::value::InvalidReply>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A value of one line. `$` and `*` are the nulls of RESP2.
    Line {
        /// One of `+ - : _ # , ( $ *`.
        kind: u8,
        /// The rest of the line.
        text: &'a [u8],
    },
    /// A string with a length.
    Bulk {
        /// One of `$ ! =`.
        kind: u8,
        /// The bytes of the string.
        data: &'a [u8],
    },
    /// The first line of an aggregate.
    Header {
        /// One of `* ~ > % |`.
        kind: u8,
        /// Number of items that follow. Keys and values of a map count alone.
        items: usize,
    },
}

/// Decodes values from bytes that arrive in any pieces.
///
/// ```
/// use bytes::BytesMut;
/// use resp::value::{Decoder, Value};
///
/// let mut decoder = Decoder::default();
/// let mut received = BytesMut::from(&b"*2\r\n$4\r\nnews\r\n"[..]);
/// assert_eq!(decoder.decode(&mut received)?, None);
///
/// received.extend_from_slice(b":1\r\n+OK\r\n");
/// let value = decoder.decode(&mut received)?.expect("a complete array");
/// assert_eq!(value.items()[0].text(), Some("news"));
/// assert_eq!(value.items()[1].integer(), Some(1));
/// assert_eq!(decoder.decode(&mut received)?, Some(Value::Simple("OK".into())));
/// # Ok::<(), resp::value::InvalidReply>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// Index of the first byte that is not examined yet.
    position: usize,
    /// Missing items of each aggregate around the position, outermost first.
    open: Vec<Missing>,
    /// The first error. All later calls return it, since the bytes after it have no known meaning.
    invalid: Option<InvalidReply>,
}

/// The items of an aggregate that have not arrived.
#[derive(Debug)]
struct Missing {
    items: usize,
    is_attributes: bool,
}

impl Default for Limits {
    /// The limits of Redis for strings; 1,048,576 items; 128 nested aggregates; lines of 64 KiB.
    fn default() -> Self {
        Self {
            depth_max: 128,
            items_max: 1024 * 1024,
            bulk_bytes_max: 512 * 1024 * 1024,
            line_bytes_max: 64 * 1024,
        }
    }
}

impl<'a> Part<'a> {
    /// Decodes the part at the start of `bytes`. Returns it with its length, or `None` if bytes are
    /// missing.
    ///
    /// The text of a line remains as received: a `:` may be followed by any bytes.
    ///
    /// # Errors
    ///
    /// Returns the violation of the protocol or of `limits`.
    pub fn decode(bytes: &'a [u8], limits: &Limits) -> Result<Option<(Self, usize)>, InvalidReply> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
        if !b"+-:_#,($!=*~>%|".contains(&kind) {
            return Err(InvalidReply::Kind(kind));
        }
        let Some(end) = line_end(rest, limits)? else { return Ok(None) };
        let (text, body) = (&rest[..end], end + 3);
        match (kind, text) {
            (b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(', _) | (b'$' | b'*', b"-1") => {
                Ok(Some((Self::Line { kind, text }, body)))
            }
            (b'$' | b'!' | b'=', _) => {
                let end = body + length(text, limits.bulk_bytes_max)?;
                match bytes.get(end..) {
                    Some([b'\r', b'\n', ..]) => {
                        Ok(Some((Self::Bulk { kind, data: &bytes[body..end] }, end + 2)))
                    }
                    None | Some([] | [b'\r']) => Ok(None),
                    Some(_) => Err(InvalidReply::NoLineEnd),
                }
            }
            (b'%' | b'|', _) => {
                let items = 2 * length(text, limits.items_max / 2)?;
                Ok(Some((Self::Header { kind, items }, body)))
            }
            _ => {
                let items = length(text, limits.items_max)?;
                Ok(Some((Self::Header { kind, items }, body)))
            }
        }
    }

    /// Appends the part to `out`. Returns exactly the bytes that [`Part::decode`] found.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Line { kind, text } => {
                out.push(kind);
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Bulk { kind, data } => {
                header(out, kind, data.len());
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
            Self::Header { kind, items } => {
                let is_pairs = matches!(kind, b'%' | b'|');
                header(out, kind, if is_pairs { items / 2 } else { items });
            }
        }
    }
}

impl Decoder {
    /// Returns a decoder with other limits than the default ones.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next value from the front of `buffer`, or returns `None` if bytes are missing.
    ///
    /// Between two calls, the caller may only append to the buffer.
    ///
    /// # Errors
    ///
    /// Returns the violation of the protocol or of the limits. All further calls return it, too.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, InvalidReply> {
        match self.invalid {
            Some(invalid) => Err(invalid),
            None => self.decode_next(buffer).inspect_err(|invalid| self.invalid = Some(*invalid)),
        }
    }

    fn decode_next(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, InvalidReply> {
        if !self.is_complete(buffer)? {
            return Ok(None);
        }
        let bytes = buffer.split_to(std::mem::take(&mut self.position)).freeze();
        build(&bytes, &self.limits).map(Some)
    }

    /// Examines further parts of the value. Returns true if they complete it.
    fn is_complete(&mut self, bytes: &[u8]) -> Result<bool, InvalidReply> {
        while let Some((part, length)) = Part::decode(&bytes[self.position..], &self.limits)? {
            self.position += length;
            if let Part::Header { kind, items } = part {
                if self.open.len() == self.limits.depth_max {
                    return Err(InvalidReply::TooDeep);
                }
                self.open.push(Missing { items, is_attributes: kind == b'|' });
            } else if let Some(parent) = self.open.last_mut() {
                parent.items -= 1;
            }
            // An aggregate without missing items is one item of its parent. Attributes are none:
            // the value that they describe follows in their place.
            let mut describes = false;
            while let Some(Missing { items: 0, is_attributes }) = self.open.last() {
                describes = *is_attributes;
                self.open.pop();
                if describes {
                    break;
                }
                if let Some(parent) = self.open.last_mut() {
                    parent.items -= 1;
                }
            }
            if self.open.is_empty() && !describes {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Value {
    /// Returns the bytes of a status or of a string.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => {
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Returns the text of a status or of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Returns the number of an integer.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Returns the items of an array, a set or a push. Other values have none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => items,
            _ => &[],
        }
    }
}

/// An incomplete aggregate.
struct Building {
    kind: u8,
    count: usize,
    items: Vec<Value>,
    /// Attributes of the next item.
    attributes: Vec<(Value, Value)>,
}

impl Building {
    fn new(kind: u8, count: usize) -> Self {
        // All items have arrived, so the count is at most a third of the received bytes.
        Self { kind, count, items: Vec::with_capacity(count), attributes: Vec::new() }
    }

    fn push(&mut self, value: Value) {
        let attributes = std::mem::take(&mut self.attributes);
        self.items.push(match attributes.is_empty() {
            true => value,
            false => Value::Attributed(attributes, Box::new(value)),
        });
    }

    fn finish(self) -> Value {
        match self.kind {
            b'~' => Value::Set(self.items),
            b'>' => Value::Push(self.items),
            b'%' => Value::Map(pairs(self.items)),
            _ => Value::Array(self.items),
        }
    }
}

/// Builds a value from exactly its bytes.
fn build(bytes: &Bytes, limits: &Limits) -> Result<Value, InvalidReply> {
    let mut position = 0;
    let mut open: Vec<Building> = Vec::new();
    let mut attributes = Vec::new();
    while let Some((part, length)) = Part::decode(&bytes[position..], limits)? {
        position += length;
        let mut built = match part {
            Part::Line { kind, text } => Some(line(kind, text, bytes)?),
            Part::Bulk { kind, data } => Some(bulk(kind, data, bytes)?),
            Part::Header { kind, items } => {
                open.push(Building::new(kind, items));
                None
            }
        };
        loop {
            if let Some(value) = built.take() {
                match open.last_mut() {
                    Some(parent) => parent.push(value),
                    None if attributes.is_empty() => return Ok(value),
                    None => return Ok(Value::Attributed(attributes, Box::new(value))),
                }
            }
            let Some(done) = open.pop_if(|last| last.items.len() == last.count) else { break };
            if done.kind == b'|' {
                let target = open.last_mut().map_or(&mut attributes, |next| &mut next.attributes);
                target.extend(pairs(done.items));
                break;
            }
            built = Some(done.finish());
        }
    }
    unreachable!("the decoder has examined all parts of the value")
}

fn line(kind: u8, text: &[u8], bytes: &Bytes) -> Result<Value, InvalidReply> {
    let ascii = std::str::from_utf8(text).unwrap_or_default();
    let value = match (kind, text) {
        (b'+', _) => Some(Value::Simple(bytes.slice_ref(text))),
        (b'-', _) => Some(Value::Error(bytes.slice_ref(text))),
        (b':', _) => ascii.parse().ok().map(Value::Integer),
        (b'$' | b'*', _) | (b'_', b"") => Some(Value::Null),
        (b'#', b"t") => Some(Value::Boolean(true)),
        (b'#', b"f") => Some(Value::Boolean(false)),
        (b',', _) => ascii.parse().ok().map(Value::Double),
        (b'(', [b'+' | b'-', digits @ ..] | digits)
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
        {
            Some(Value::BigNumber(bytes.slice_ref(text)))
        }
        _ => None,
    };
    value.ok_or(InvalidReply::Text(kind))
}

fn bulk(kind: u8, data: &[u8], bytes: &Bytes) -> Result<Value, InvalidReply> {
    match (kind, data) {
        (b'$', _) => Ok(Value::Bulk(bytes.slice_ref(data))),
        (b'!', _) => Ok(Value::Error(bytes.slice_ref(data))),
        (_, [a, b, c, b':', text @ ..]) => {
            Ok(Value::Verbatim { format: [*a, *b, *c], text: bytes.slice_ref(text) })
        }
        _ => Err(InvalidReply::Text(kind)),
    }
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

/// Returns the length of the line at the start of `rest`, or `None` if its end is missing.
fn line_end(rest: &[u8], limits: &Limits) -> Result<Option<usize>, InvalidReply> {
    let longest = limits.line_bytes_max + 2;
    match memchr::memmem::find(&rest[..rest.len().min(longest)], b"\r\n") {
        None if rest.len() >= longest => Err(InvalidReply::LineTooLong),
        found => Ok(found),
    }
}

fn length(digits: &[u8], max: usize) -> Result<usize, InvalidReply> {
    let length = integer(digits).and_then(|length| usize::try_from(length).ok());
    length.filter(|length| *length <= max).ok_or(InvalidReply::Length)
}

fn header(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}
