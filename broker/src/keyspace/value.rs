//! The value of a key: a string in its smallest form.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::protocol::request;

/// The string of a key. `OBJECT ENCODING` shows the variant under Redis' name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `int`
    Integer(i64),
    /// `embstr`: a short string that was not changed in place.
    Short(Box<[u8]>),
    /// `raw`: a string that is long or was changed in place. Replies share its memory.
    Raw(Box<Bytes>),
}

/// Redis' `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`.
const SHORT_BYTES_MAX: usize = 44;

impl Value {
    /// Returns the smallest form of a string.
    pub(crate) fn new(text: &[u8]) -> Self {
        match request::integer(text) {
            Some(number) => Self::Integer(number),
            None => Self::of_text(text),
        }
    }

    /// Returns the form of a text, also if the text is an integer.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        match text.len() {
            ..=SHORT_BYTES_MAX => Self::Short(text.into()),
            _ => Self::Raw(Box::new(Bytes::copy_from_slice(text))),
        }
    }

    pub(crate) fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Integer(number) => {
                Cow::Owned(itoa::Buffer::new().format(*number).as_bytes().to_vec())
            }
            Self::Short(text) => Cow::Borrowed(text),
            Self::Raw(text) => Cow::Borrowed(text),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Integer(number) => itoa::Buffer::new().format(*number).len(),
            Self::Short(text) => text.len(),
            Self::Raw(text) => text.len(),
        }
    }

    /// Returns the string as an integer.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            // The text may be an integer after `APPEND`.
            Self::Short(text) => request::integer(text),
            Self::Raw(text) => request::integer(text),
        }
    }

    pub(crate) fn encoding(&self) -> &'static str {
        match self {
            Self::Integer(_) => "int",
            Self::Short(_) => "embstr",
            Self::Raw(_) => "raw",
        }
    }

    /// Returns the memory of the string outside of this value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Integer(_) => 0,
            Self::Short(text) => text.len(),
            Self::Raw(text) => text.len() + size_of::<Bytes>(),
        }
    }

    pub(crate) fn append(&mut self, text: &[u8]) {
        self.change(|own| own.extend_from_slice(text));
    }

    /// Overwrites the string with `text` from `offset` on. Fills a gap with zeros.
    pub(crate) fn set_range(&mut self, offset: usize, text: &[u8]) {
        self.change(|own| {
            let end = offset + text.len();
            if own.len() < end {
                own.resize(end, 0);
            }
            own[offset..end].copy_from_slice(text);
        });
    }

    /// Changes the bytes, in place if no reply shares them.
    fn change(&mut self, change: impl FnOnce(&mut BytesMut)) {
        let mut bytes = match self {
            Self::Raw(text) => std::mem::take(&mut **text)
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&*shared)),
            ref other => BytesMut::from(&*other.text()),
        };
        change(&mut bytes);
        *self = Self::Raw(Box::new(bytes.freeze()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_kept_as_small_as_it_can_be() {
        let long = [b'x'; SHORT_BYTES_MAX + 1];
        for (text, encoding) in [
            (&b"12"[..], "int"),
            (b"-9223372036854775808", "int"),
            (b"9223372036854775808", "embstr"),
            (b"012", "embstr"),
            (b"-0", "embstr"),
            (b"", "embstr"),
            (&long[1..], "embstr"),
            (&long, "raw"),
        ] {
            let value = Value::new(text);
            assert_eq!((value.encoding(), &*value.text()), (encoding, text));
            assert_eq!(value.len(), text.len());
        }
    }

    #[test]
    fn what_was_sent_does_not_change() {
        let mut value = Value::new(&[b'x'; 100]);
        let Value::Raw(sent) = value.clone() else { panic!("it is long") };
        value.append(b"y");
        value.set_range(0, b"z");
        assert_eq!(&sent[..], &[b'x'; 100][..]);
        assert_eq!((value.len(), value.text()[0], value.text()[100]), (101, b'z', b'y'));
    }

    #[test]
    fn a_changed_string_is_raw_and_may_be_a_number() {
        let mut value = Value::new(b"1");
        value.append(b"2");
        assert_eq!((value.encoding(), value.integer()), ("raw", Some(12)));
        value.set_range(3, b"x");
        assert_eq!(&*value.text(), b"12\0x");
    }
}
