//! The reply of a server: its decoded value, and the bytes as received.
//!
//! `redis-protocol` decodes it, an independent check of our encoder; see [`Client`](crate::Client).
//!
//! RESP2 and RESP3 share one [`Value`], so one assertion holds for both. A text of a test converts
//! to a bulk string and a number to an integer. The functions [`simple`], [`error`], [`ok`] and
//! [`null`] make the other values, and [`array!`](crate::array) combines them.

use std::fmt;

use bytes::Bytes;
use redis_protocol::{resp2, resp3};

/// One reply, or one pushed message.
#[derive(Clone)]
pub struct Reply {
    value: Value,
    raw: Bytes,
}

/// A decoded value of either protocol version.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(Bytes),
    /// `-ERR …`, without the minus
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5`, which may hold any bytes
    Bulk(Bytes),
    /// `*2`
    Array(Vec<Value>),
    /// `$-1`, `*-1` or `_`
    Null,
    /// `>3`
    Push(Vec<Value>),
    /// `%2`, in the order that the decoder returns
    Map(Vec<(Value, Value)>),
    /// `~2`
    Set(Vec<Value>),
    /// `#t`
    Boolean(bool),
    /// `,1.5`
    Double(f64),
    /// `(123`
    BigNumber(Bytes),
    /// `=15`, without its format
    Verbatim(Bytes),
}

/// Makes an array of items that convert to values: `array!["subscribe", "news", 1]`.
#[macro_export]
macro_rules! array {
    ($($item:expr),* $(,)?) => { $crate::Value::Array(vec![$($crate::Value::from($item)),*]) };
}

/// Makes a RESP3 push of items that convert to values.
#[macro_export]
macro_rules! push {
    ($($item:expr),* $(,)?) => { $crate::Value::Push(vec![$($crate::Value::from($item)),*]) };
}

/// Returns a simple string.
pub fn simple(text: &str) -> Value {
    Value::Simple(Bytes::copy_from_slice(text.as_bytes()))
}

/// Returns the simple string `OK`.
pub fn ok() -> Value {
    simple("OK")
}

/// Returns an error. The text starts with its code.
pub fn error(text: &str) -> Value {
    Value::Error(text.into())
}

/// Returns the null of either protocol version.
pub fn null() -> Value {
    Value::Null
}

impl Reply {
    pub(crate) fn new(value: Value, raw: Bytes) -> Self {
        Self { value, raw }
    }

    /// Returns the decoded value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns the value without the bytes.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// Returns the bytes as received.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the text of a string of any kind.
    ///
    /// # Panics
    ///
    /// When it is no string, or not text.
    pub fn text(&self) -> &str {
        self.value.text()
    }

    /// Returns the number.
    ///
    /// # Panics
    ///
    /// When it is no integer.
    pub fn integer(&self) -> i64 {
        self.value.integer()
    }

    /// Returns the items of an array, push or set.
    ///
    /// # Panics
    ///
    /// When it is another value.
    pub fn items(&self) -> &[Value] {
        self.value.items()
    }

    /// Returns true for an error reply.
    pub fn is_error(&self) -> bool {
        matches!(self.value, Value::Error(_))
    }
}

impl Value {
    /// Returns the text of a string of any kind, error included.
    ///
    /// # Panics
    ///
    /// When it is no string, or not text.
    pub fn text(&self) -> &str {
        match self {
            Self::Error(text) => text,
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim(bytes) => {
                std::str::from_utf8(bytes)
                    .unwrap_or_else(|_| panic!("expected text, found {self:?}"))
            }
            _ => panic!("expected a string, found {self:?}"),
        }
    }

    /// Returns the number.
    ///
    /// # Panics
    ///
    /// When it is no integer.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(integer) => *integer,
            _ => panic!("expected an integer, found {self:?}"),
        }
    }

    /// Returns the items of an array, push or set.
    ///
    /// # Panics
    ///
    /// When it is another value.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Array(items) | Self::Push(items) | Self::Set(items) => items,
            _ => panic!("expected an array, found {self:?}"),
        }
    }
}

impl<V: Clone + Into<Value>> PartialEq<V> for Reply {
    fn eq(&self, other: &V) -> bool {
        self.value == other.clone().into()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Bulk(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bulk(Bytes::copy_from_slice(bytes))
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<Reply> for Value {
    fn from(reply: Reply) -> Self {
        reply.value
    }
}

impl From<resp2::types::BytesFrame> for Value {
    fn from(frame: resp2::types::BytesFrame) -> Self {
        use resp2::types::BytesFrame as Frame;
        match frame {
            Frame::SimpleString(bytes) => Self::Simple(bytes),
            Frame::Error(text) => Self::Error(text.to_string()),
            Frame::Integer(integer) => Self::Integer(integer),
            Frame::BulkString(bytes) => Self::Bulk(bytes),
            Frame::Array(frames) => Self::Array(values(frames)),
            Frame::Null => Self::Null,
        }
    }
}

impl From<resp3::types::BytesFrame> for Value {
    fn from(frame: resp3::types::BytesFrame) -> Self {
        use resp3::types::BytesFrame as Frame;
        match frame {
            Frame::SimpleString { data, .. } => Self::Simple(data),
            Frame::SimpleError { data, .. } => Self::Error(data.to_string()),
            Frame::BlobError { data, .. } => {
                Self::Error(String::from_utf8_lossy(&data).into_owned())
            }
            Frame::Number { data, .. } => Self::Integer(data),
            Frame::BlobString { data, .. } | Frame::ChunkedString(data) => Self::Bulk(data),
            Frame::Array { data, .. } => Self::Array(values(data)),
            Frame::Push { data, .. } => Self::Push(values(data)),
            Frame::Set { data, .. } => Self::Set(values(data)),
            Frame::Map { data, .. } => {
                Self::Map(data.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
            }
            Frame::Null => Self::Null,
            Frame::Boolean { data, .. } => Self::Boolean(data),
            Frame::Double { data, .. } => Self::Double(data),
            Frame::BigNumber { data, .. } => Self::BigNumber(data),
            Frame::VerbatimString { data, .. } => Self::Verbatim(data),
            Frame::Hello { .. } => unreachable!("HELLO is a request, never a reply"),
        }
    }
}

fn values<F: Into<Value>>(frames: impl IntoIterator<Item = F>) -> Vec<Value> {
    frames.into_iter().map(Into::into).collect()
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The shortest form: a failing comparison prints two values.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(bytes) => write!(f, "+{}", bytes.escape_ascii()),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Null => write!(f, "null"),
            Self::Push(items) => {
                write!(f, ">").and_then(|()| f.debug_list().entries(items).finish())
            }
            Self::Map(entries) => {
                f.debug_map().entries(entries.iter().map(|(k, v)| (k, v))).finish()
            }
            Self::Set(items) => f.debug_set().entries(items).finish(),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
            Self::Double(double) => write!(f, "{double}"),
            Self::BigNumber(bytes) => write!(f, "({}", bytes.escape_ascii()),
            Self::Verbatim(bytes) => write!(f, "={}", bytes.escape_ascii()),
        }
    }
}
