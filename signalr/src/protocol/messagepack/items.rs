//! The items of a message, in their order.
//!
//! Each read names the item for the error. Errors have ASP.NET Core's texts.

use std::borrow::Cow;

use dialect::messagepack::{Head, Reader, format_name};

use super::super::{ProtocolError, message::Raw};

/// The unread items of a message.
pub(super) struct Items<'a> {
    reader: Reader<'a>,
    left: u64,
}

impl<'a> Items<'a> {
    /// Begins to read a message, which is an array.
    pub(super) fn open(message: &'a [u8]) -> Result<Self, ProtocolError> {
        let &code = message.first().ok_or(ProtocolError::MessagePack)?;
        let mut reader = Reader::new(message);
        match reader.head() {
            Some(Head::Array(left)) => Ok(Self { reader, left }),
            // An array whose length is incomplete.
            None if matches!(code, ARRAY_16 | ARRAY_32) => Err(ProtocolError::MessagePack),
            _ => Err(ProtocolError::UnexpectedCode { code, name: format_name(code) }),
        }
    }

    pub(super) fn number<T: TryFrom<i128>>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, ProtocolError> {
        let number = match self.head() {
            Some(Head::Integer(number)) => T::try_from(number).ok(),
            _ => None,
        };
        number.ok_or(ProtocolError::Field { field, expected })
    }

    /// Reads text or nil. Bytes that are not UTF-8 are replaced, as .NET does.
    pub(super) fn text(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Cow<'a, str>>, ProtocolError> {
        self.head()
            .and_then(optional_text)
            .ok_or(ProtocolError::Field { field, expected: "String" })
    }

    /// Reads text that is not empty.
    pub(super) fn required_text(
        &mut self,
        field: &'static str,
    ) -> Result<Cow<'a, str>, ProtocolError> {
        self.text(field)?.filter(|text| !text.is_empty()).ok_or(ProtocolError::Missing(field))
    }

    /// Reads any value.
    pub(super) fn value(&mut self, field: &'static str) -> Result<Raw<'a>, ProtocolError> {
        let value = self.next().and_then(Reader::value);
        value.map(Raw::MessagePack).ok_or(ProtocolError::Field { field, expected: "Object" })
    }

    /// Reads the headers of a message. Keys and values are not empty.
    pub(super) fn headers(&mut self) -> Result<Headers<'a>, ProtocolError> {
        let Some(Head::Map(entries)) = self.head() else {
            return Err(ProtocolError::Length { field: "headers", of: "map" });
        };
        let mut headers = Vec::new();
        for index in 0..entries {
            let error = |part| ProtocolError::Header { index, part };
            let key = self.filled_text().ok_or(error("Key"))?;
            headers.push((key, self.filled_text().ok_or(error("Value"))?));
        }
        Ok(headers)
    }

    /// Reads the ids of the streams of a call. Older clients send none.
    pub(super) fn stream_ids(&mut self) -> Result<Vec<Cow<'a, str>>, ProtocolError> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let error = ProtocolError::Length { field: "streamIds", of: "array" };
        let length = match self.head() {
            Some(Head::Array(length)) => length,
            Some(Head::Nil) => 0,
            _ => return Err(error),
        };
        let mut ids = Vec::new();
        for _ in 0..length {
            ids.push(self.filled_text().ok_or(error.clone())?);
        }
        Ok(ids)
    }

    /// Reads text that is not empty, inside an item.
    fn filled_text(&mut self) -> Option<Cow<'a, str>> {
        self.reader.head().and_then(optional_text)?.filter(|text| !text.is_empty())
    }

    fn head(&mut self) -> Option<Head<'a>> {
        self.next()?.head()
    }

    fn next(&mut self) -> Option<&mut Reader<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(&mut self.reader)
    }
}

/// Keys and values, in their order.
type Headers<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn optional_text(head: Head<'_>) -> Option<Option<Cow<'_, str>>> {
    match head {
        Head::Text(text) => Some(Some(String::from_utf8_lossy(text))),
        Head::Nil => Some(None),
        _ => None,
    }
}

const ARRAY_16: u8 = 0xdc;
const ARRAY_32: u8 = 0xdd;
