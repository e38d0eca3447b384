//! Splits a byte stream into messages.
//!
//! JSON messages, and the handshake with every encoding, end in ␞ (0x1E). MessagePack messages have
//! their length in front.
//!
//! Messages are independent of the pieces in which the stream arrives. One piece may hold several
//! messages, and one message may span several pieces. The bytes kept between two pieces stay below
//! the limit. An empty buffer releases its memory.

use bytes::{Buf, Bytes, BytesMut};

use dialect::{json::SEPARATOR, length_prefix};

use super::{Encoding, ProtocolError};

/// The unread bytes of one client.
#[derive(Debug)]
pub(crate) struct Frames {
    unread: BytesMut,
    /// Number of bytes in `unread` that hold no separator.
    searched: usize,
    limit: usize,
}

impl Frames {
    /// Creates an empty buffer. `limit` is the maximum size of a message with its separator.
    pub(crate) fn new(limit: usize) -> Self {
        Self { unread: BytesMut::new(), searched: 0, limit }
    }

    /// Adds bytes that arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns whether the bytes begin with the Sequence message of MessagePack, which no text does.
    pub(crate) fn begin_with_binary_sequence(&self) -> bool {
        // The length, an array of two, and the type.
        matches!(self.unread[..], [_, 0x92, 0x09, ..])
    }

    /// Number of bytes that wait for the rest of their message, or for a later call of `next`.
    pub(crate) fn len(&self) -> usize {
        self.unread.len()
    }

    /// Returns the next whole message without its separator or length.
    ///
    /// # Errors
    ///
    /// Returns an error once the message exceeds the limit, even if it is incomplete, and for an
    /// invalid length.
    pub(crate) fn next(&mut self, encoding: Encoding) -> Result<Option<Bytes>, ProtocolError> {
        match encoding {
            Encoding::Json => self.next_text(),
            Encoding::MessagePack => {
                let Some(range) = length_prefix::split(&self.unread, self.limit)? else {
                    return Ok(None);
                };
                let message = self.unread.split_to(range.end).freeze().slice(range.start..);
                self.release();
                Ok(Some(message))
            }
        }
    }

    /// Returns the next message that ends in the separator, which the handshake does, too.
    ///
    /// # Errors
    ///
    /// Returns [`ProtocolError::TooLarge`] once the message exceeds the limit, even if it is
    /// incomplete.
    pub(crate) fn next_text(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let window = self.unread.len().min(self.limit);
        match memchr::memchr(SEPARATOR, &self.unread[self.searched..window]) {
            Some(at) => Ok(Some(self.take(self.searched + at))),
            None if self.unread.len() >= self.limit => Err(ProtocolError::TooLarge(self.limit)),
            None => {
                self.searched = window;
                Ok(None)
            }
        }
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        let message = self.unread.split_to(bytes).freeze();
        self.unread.advance(1);
        self.searched = 0;
        self.release();
        message
    }

    fn release(&mut self) {
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_may_hold_several_messages() {
        assert_eq!(split(&["a\u{1e}bc\u{1e}"]), Ok(vec!["a".into(), "bc".into()]));
    }

    #[test]
    fn a_message_may_span_several_pieces() {
        assert_eq!(split(&["ab", "c", "\u{1e}d"]), Ok(vec!["abc".into()]));
    }

    #[test]
    fn a_message_at_the_limit_passes_and_a_longer_one_does_not() {
        assert_eq!(split(&["1234567\u{1e}"]), Ok(vec!["1234567".into()]));
        assert_eq!(split(&["12345678\u{1e}"]), Err(ProtocolError::TooLarge(8)));
        assert_eq!(split(&["1234", "5678"]), Err(ProtocolError::TooLarge(8)));
    }

    #[test]
    fn the_limit_is_for_one_message_not_for_a_piece() {
        assert_eq!(split(&["1234\u{1e}1234\u{1e}1234\u{1e}"]).map(|all| all.len()), Ok(3));
    }

    fn split(pieces: &[&str]) -> Result<Vec<String>, ProtocolError> {
        let mut frames = Frames::new(8);
        let mut messages = Vec::new();
        for piece in pieces {
            frames.push(piece.as_bytes());
            while let Some(message) = frames.next(Encoding::Json)? {
                messages.push(String::from_utf8(message.to_vec()).unwrap());
            }
        }
        Ok(messages)
    }
}
