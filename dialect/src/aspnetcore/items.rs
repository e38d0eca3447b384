//! The items of a payload, in their order.

use rmp::encode::{self, ByteBuf};
use thiserror::Error;

use crate::messagepack::{Head, Reader};

/// The reason why a payload cannot be read: another kind of publisher, or damage.
///
/// ```
/// let error = dialect::aspnetcore::Ack::decode(b"hello").unwrap_err();
/// assert_eq!(error.to_string(), "expected an array, found something else");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The array has fewer items than the payload needs.
    #[error("expected {expected} items, found {found}")]
    #[non_exhaustive]
    Short {
        /// The number of items that the payload needs.
        expected: u64,
        /// The number of items that its array announces.
        found: u64,
    },
    /// A value has another type, is incomplete, or is no MessagePack.
    #[error("expected {0}, found something else")]
    Unexpected(&'static str),
}

/// The unread items of a payload.
pub(super) struct Items<'a> {
    reader: Reader<'a>,
    /// The number of items in its array.
    pub(super) length: u64,
}

impl<'a> Items<'a> {
    /// Begins to read an array of at least `expected` items.
    pub(super) fn open(payload: &'a [u8], expected: u64) -> Result<Self, Malformed> {
        let mut items = Self { reader: Reader::new(payload), length: 0 };
        items.length = items.array("an array")?;
        match items.length {
            found if found < expected => Err(Malformed::Short { expected, found }),
            _ => Ok(items),
        }
    }

    pub(super) fn array(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        match self.reader.head() {
            Some(Head::Array(length)) => Ok(length),
            _ => Err(Malformed::Unexpected(expected)),
        }
    }

    pub(super) fn map(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        match self.reader.head() {
            Some(Head::Map(length)) => Ok(length),
            _ => Err(Malformed::Unexpected(expected)),
        }
    }

    pub(super) fn text(&mut self, expected: &'static str) -> Result<&'a str, Malformed> {
        match self.reader.head() {
            Some(Head::Text(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        }
        .ok_or(Malformed::Unexpected(expected))
    }

    pub(super) fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], Malformed> {
        match self.reader.head() {
            Some(Head::Bytes(bytes)) => Ok(bytes),
            _ => Err(Malformed::Unexpected(expected)),
        }
    }

    pub(super) fn number<T: TryFrom<i128>>(
        &mut self,
        expected: &'static str,
    ) -> Result<T, Malformed> {
        match self.reader.head() {
            Some(Head::Integer(number)) => T::try_from(number).ok(),
            _ => None,
        }
        .ok_or(Malformed::Unexpected(expected))
    }
}

/// Writes the items of a payload in their shortest forms.
pub(super) struct Writer(ByteBuf);

impl Writer {
    /// Begins an array.
    pub(super) fn open(length: usize) -> Self {
        let mut writer = Self(ByteBuf::new());
        writer.array(length);
        writer
    }

    pub(super) fn array(&mut self, length: usize) {
        let Ok(_) = encode::write_array_len(&mut self.0, short(length));
    }

    pub(super) fn map(&mut self, length: usize) {
        let Ok(_) = encode::write_map_len(&mut self.0, short(length));
    }

    pub(super) fn text(&mut self, text: &str) {
        let Ok(()) = encode::write_str(&mut self.0, text);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let Ok(()) = encode::write_bin(&mut self.0, bytes);
    }

    pub(super) fn number(&mut self, number: i64) {
        let Ok(_) = encode::write_sint(&mut self.0, number);
    }

    pub(super) fn close(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a payload has fewer than 2^32 items")
}
