//! Cuts a byte stream into messages that each end in ␞ (0x1E).
//!
//! The stream's own pieces mean nothing: one may hold several messages, and a message may span several.
//! What is kept between two pieces never exceeds the limit, and nothing is kept when all is read.

use bytes::{Buf, Bytes, BytesMut};

use super::ProtocolError;

/// What one client sent and nobody has read yet.
#[derive(Debug)]
pub(crate) struct Frames {
    unread: BytesMut,
    /// How many bytes of `unread` are known to hold no separator.
    searched: usize,
    limit: usize,
}

impl Frames {
    /// Starts with nothing; `limit` counts a whole message with its separator.
    pub(crate) fn new(limit: usize) -> Self {
        Self { unread: BytesMut::new(), searched: 0, limit }
    }

    /// Adds what just arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns the next whole message without its separator.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooLarge`] as soon as the message is sure to exceed the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, ProtocolError> {
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
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
        message
    }
}

/// ASCII's record separator, which JSON cannot hold unescaped.
pub(crate) const SEPARATOR: u8 = 0x1e;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_may_hold_several_messages() {
        assert_eq!(cut(&["a\u{1e}bc\u{1e}"]), Ok(vec!["a".into(), "bc".into()]));
    }

    #[test]
    fn a_message_may_span_several_pieces() {
        assert_eq!(cut(&["ab", "c", "\u{1e}d"]), Ok(vec!["abc".into()]));
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
        assert_eq!(cut(&["1234567\u{1e}"]), Ok(vec!["1234567".into()]));
        assert_eq!(cut(&["12345678\u{1e}"]), Err(ProtocolError::TooLarge(8)));
        assert_eq!(cut(&["1234", "5678"]), Err(ProtocolError::TooLarge(8)));
    }

    #[test]
    fn the_limit_is_of_one_message_not_of_a_piece() {
        assert_eq!(cut(&["1234\u{1e}1234\u{1e}1234\u{1e}"]).map(|all| all.len()), Ok(3));
    }

    fn cut(pieces: &[&str]) -> Result<Vec<String>, ProtocolError> {
        let mut frames = Frames::new(8);
        let mut messages = Vec::new();
        for piece in pieces {
            frames.push(piece.as_bytes());
            while let Some(message) = frames.next()? {
                messages.push(String::from_utf8(message.to_vec()).unwrap());
            }
        }
        Ok(messages)
    }
}
