//! Reads the frames of a client.
//!
//! The payloads of data frames leave it in the order of arrival, as one stream: hub messages are
//! independent of frames. So a message of any size needs no memory here. A text must be UTF-8.

use std::str;

use crate::disconnect::TransportError;

/// The state between two reads.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Bytes of an incomplete header.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    frame: Option<Frame>,
    /// The data message that has begun and whose last frame has not.
    message: Option<Message>,
    /// Size of the data message up to now.
    message_bytes: u64,
    /// The payload of an incomplete ping.
    ping: Vec<u8>,
    text: Utf8,
}

/// A frame whose payload is incomplete.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_last: bool,
    mask: [u8; 4],
    read: u64,
    len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data(Message),
    Ping,
    Pong,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Text,
    Binary,
}

/// What the bytes contained, besides data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The payload of the last ping. As RFC 6455 allows, the others have no answer of their own.
    pub(super) ping: Option<Vec<u8>>,
    /// Whether the client has sent a close frame. All bytes after it are ignored.
    pub(super) is_closed: bool,
}

/// The reason why a client cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    Transport(TransportError),
    /// A message exceeds the limit.
    TooLarge,
}

impl Decoder {
    /// Reads bytes, which are changed, and appends the payloads of data frames.
    ///
    /// # Errors
    ///
    /// Returns an error for an invalid frame, for a text that is not UTF-8, and for a message of
    /// more than `message_bytes_max`. Data before the error is appended.
    pub(super) fn decode(
        &mut self,
        mut bytes: &mut [u8],
        message_bytes_max: u64,
        data: &mut Vec<u8>,
    ) -> Result<Decoded, DecodeError> {
        let mut decoded = Decoded::default();
        loop {
            let Some(frame) = self.frame.as_mut() else {
                let Some((frame, used)) = self.next_frame(bytes)? else { return Ok(decoded) };
                if matches!(frame.kind, Kind::Data(_)) {
                    self.message_bytes = self.message_bytes.saturating_add(frame.len);
                    if self.message_bytes > message_bytes_max {
                        return Err(DecodeError::TooLarge);
                    }
                }
                bytes = &mut bytes[used..];
                self.frame = Some(frame);
                continue;
            };
            let rest = usize::try_from(frame.len - frame.read).unwrap_or(usize::MAX);
            let (payload, behind) = bytes.split_at_mut(rest.min(bytes.len()));
            frame.unmask(payload);
            bytes = behind;
            let frame = *frame;
            let is_complete = frame.read == frame.len;
            match frame.kind {
                Kind::Data(message) => {
                    let is_end = is_complete && frame.is_last;
                    if message == Message::Text && !self.text.accepts(payload, is_end) {
                        return Err(DecodeError::Transport(TransportError::Text));
                    }
                    data.extend_from_slice(payload);
                }
                Kind::Ping => self.ping.extend_from_slice(payload),
                Kind::Pong | Kind::Close => {}
            }
            if !is_complete {
                return Ok(decoded);
            }
            self.frame = None;
            match frame.kind {
                Kind::Data(message) => {
                    self.message = (!frame.is_last).then_some(message);
                    if frame.is_last {
                        self.message_bytes = 0;
                    }
                }
                Kind::Ping => decoded.ping = Some(std::mem::take(&mut self.ping)),
                Kind::Pong => {}
                Kind::Close => {
                    decoded.is_closed = true;
                    return Ok(decoded);
                }
            }
        }
    }

    /// Returns the frame that begins here, if its header is complete, and the size of the rest of
    /// its header.
    fn next_frame(&mut self, bytes: &[u8]) -> Result<Option<(Frame, usize)>, DecodeError> {
        let kept = usize::from(self.header_len);
        let added = bytes.len().min(HEADER_BYTES_MAX - kept);
        self.header[kept..kept + added].copy_from_slice(&bytes[..added]);
        let header = &self.header[..kept + added];
        let Some((frame, len)) = Frame::read(header, self.message).map_err(invalid)? else {
            self.header_len += added as u8;
            return Ok(None);
        };
        self.header_len = 0;
        Ok(Some((frame, len - kept)))
    }
}

impl Frame {
    /// Reads a header. Returns the frame and the size of its header, or `None` if it is incomplete.
    fn read(header: &[u8], message: Option<Message>) -> Result<Option<(Self, usize)>, Invalid> {
        let [first, second, ..] = *header else { return Ok(None) };
        let is_last = first & LAST != 0;
        let kind = match (first & OPCODE, message) {
            _ if first & RESERVED != 0 => return Err(Invalid),
            (CONTINUATION, Some(message)) => Kind::Data(message),
            (TEXT, None) => Kind::Data(Message::Text),
            (BINARY, None) => Kind::Data(Message::Binary),
            (CLOSE, _) => Kind::Close,
            (PING, _) => Kind::Ping,
            (PONG, _) => Kind::Pong,
            _ => return Err(Invalid),
        };
        let (len, at) = match second & !MASKED {
            LEN_16 => {
                let Some(len) = header[2..].first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*len)), 4)
            }
            LEN_64 => {
                let Some(len) = header[2..].first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*len), 10)
            }
            len => (u64::from(len), 2),
        };
        let is_control = !matches!(kind, Kind::Data(_));
        if len >> 63 != 0 || (is_control && (len > CONTROL_BYTES_MAX || !is_last)) {
            return Err(Invalid);
        }
        // ASP.NET Core accepts frames without a mask, too.
        let (mask, at) = match second & MASKED {
            0 => ([0; 4], at),
            _ => {
                let Some(mask) = header[at..].first_chunk() else { return Ok(None) };
                (*mask, at + 4)
            }
        };
        Ok(Some((Self { kind, is_last, mask, read: 0, len }, at)))
    }

    /// Removes the mask from the next bytes of the payload.
    fn unmask(&mut self, payload: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left((self.read % 4) as usize);
        self.read += payload.len() as u64;
        let (words, rest) = payload.as_chunks_mut::<8>();
        let wide = u64::from_ne_bytes(std::array::from_fn(|index| mask[index % 4]));
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
}

/// Checks a text that arrives in parts.
#[derive(Debug, Default)]
struct Utf8 {
    /// The bytes of an incomplete character.
    partial: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Takes the next part, and returns whether the text is valid up to now.
    fn accepts(&mut self, mut part: &[u8], is_end: bool) -> bool {
        while self.len > 0
            && let Some((byte, rest)) = part.split_first()
        {
            part = rest;
            self.partial[usize::from(self.len)] = *byte;
            self.len += 1;
            match str::from_utf8(&self.partial[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        if self.len == 0
            && let Err(error) = str::from_utf8(part)
        {
            if error.error_len().is_some() {
                return false;
            }
            let partial = &part[error.valid_up_to()..];
            self.partial[..partial.len()].copy_from_slice(partial);
            self.len = partial.len() as u8;
        }
        let is_complete = self.len == 0;
        if is_end {
            self.len = 0;
        }
        is_complete || !is_end
    }
}

/// An invalid header.
#[derive(Debug, PartialEq, Eq)]
struct Invalid;

fn invalid(_: Invalid) -> DecodeError {
    DecodeError::Transport(TransportError::Frame)
}

/// A header with the longest length and a mask.
const HEADER_BYTES_MAX: usize = 14;
const CONTROL_BYTES_MAX: u64 = 125;
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
/// Lengths that stand for a longer length field.
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;
const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes in pieces of each size, and checks that the result is always the same.
    fn check(bytes: &[u8], expected: Result<(&[u8], Decoded), DecodeError>) {
        for size in 1..=bytes.len() {
            let (mut decoder, mut data) = (Decoder::default(), Vec::new());
            let mut found = Ok(Decoded::default());
            for piece in bytes.chunks(size) {
                match (decoder.decode(&mut piece.to_vec(), 1000, &mut data), &mut found) {
                    (Err(error), _) => found = Err(error),
                    (Ok(Decoded { ping, is_closed }), Ok(found)) if !found.is_closed => {
                        found.ping = ping.or(found.ping.take());
                        found.is_closed = is_closed;
                    }
                    _ => {}
                }
                if found.is_err() {
                    break;
                }
            }
            let expected = expected.as_ref().map_err(|error| *error);
            assert_eq!(found.as_ref().map_err(|error| *error), expected.map(|(_, found)| found));
            if let Ok((expected, _)) = expected {
                assert_eq!(data, *expected, "in pieces of {size}");
            }
        }
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 250];
        let mut frame = vec![first];
        match payload.len() {
            len @ ..126 => frame.push(MASKED | len as u8),
            len => {
                frame.push(MASKED | LEN_16);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn bytes(frames: &[(u8, &[u8])]) -> Vec<u8> {
        frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
    }

    fn nothing() -> Decoded {
        Decoded::default()
    }

    #[test]
    fn payloads_are_one_stream() {
        let long = "äöü€𝄞".repeat(30);
        check(&bytes(&[(0x81, b"ab"), (0x81, b""), (0x82, b"\xff")]), Ok((b"ab\xff", nothing())));
        check(&bytes(&[(0x81, long.as_bytes())]), Ok((long.as_bytes(), nothing())));
        check(&[0x81, 2, b'h', b'i'], Ok((b"hi", nothing())));
        check(&[0x81, LEN_64, 0, 0, 0, 0, 0, 0, 0, 1, b'x'], Ok((b"x", nothing())));
    }

    #[test]
    fn a_message_may_have_several_frames_and_control_frames_between_them() {
        let text = "€".as_bytes();
        let frames =
            bytes(&[(0x01, &text[..1]), (0x89, b"p"), (0, &text[1..2]), (0x80, &text[2..])]);
        let ping = Some(b"p".to_vec());
        check(&frames, Ok((text, Decoded { ping, is_closed: false })));
    }

    #[test]
    fn nothing_is_read_after_a_close_frame() {
        let frames = bytes(&[(0x81, b"a"), (0x88, b"\x03\xe8bye")]);
        check(&frames, Ok((b"a", Decoded { ping: None, is_closed: true })));
    }

    #[test]
    fn invalid_frames_are_refused() {
        let invalid = || Err(DecodeError::Transport(TransportError::Frame));
        check(&bytes(&[(0xc1, b"x")]), invalid());
        check(&bytes(&[(0x83, b"x")]), invalid());
        check(&bytes(&[(0x80, b"x")]), invalid());
        check(&bytes(&[(0x01, b"x"), (0x81, b"x")]), invalid());
        check(&bytes(&[(0x09, b"x")]), invalid());
        check(&bytes(&[(0x89, &[0; 126])]), invalid());
        check(&[0x81, LEN_64, 0xff, 0, 0, 0, 0, 0, 0, 0], invalid());
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_refused() {
        let invalid = || Err(DecodeError::Transport(TransportError::Text));
        check(&bytes(&[(0x81, b"a\xff")]), invalid());
        check(&bytes(&[(0x81, b"\xe2\x82")]), invalid());
        check(&bytes(&[(0x01, b"\xe2\x82"), (0x80, b"x")]), invalid());
    }

    #[test]
    fn a_message_over_the_limit_is_refused() {
        check(&bytes(&[(0x82, &[0; 1001])]), Err(DecodeError::TooLarge));
        check(&bytes(&[(0x02, &[0; 600]), (0x80, &[0; 600])]), Err(DecodeError::TooLarge));
        check(&bytes(&[(0x82, &[7; 1000]), (0x82, &[])]), Ok((&[7; 1000], nothing())));
    }
}
