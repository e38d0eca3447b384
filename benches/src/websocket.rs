//! WebSocket by hand, for the load and the floors: the upgrade and single frames.
//!
//! All clients of the load use one key and a mask of zeros, so neither side has to change a byte of
//! a payload. Messages in several frames do not occur and are refused.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Failure;

/// A whole frame at the start of received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    /// The place of the payload in the received bytes.
    pub(crate) payload: Range<usize>,
}

pub(crate) const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// The key of all clients, the one in RFC 6455.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The text that a server appends to the key, from RFC 6455.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The end of the head of a request or a response.
pub(crate) const HEAD_END: &[u8] = b"\r\n\r\n";

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];
const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Returns the request of a client that opens a WebSocket.
pub(crate) fn upgrade(path: &str, port: u16) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// Returns the response to this head of a request; `None` if the head has no key.
pub(crate) fn accept(head: &str) -> Option<String> {
    let accept = accept_value(header(head, "sec-websocket-key")?);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Returns whether this head of a response accepts an [`upgrade`].
pub(crate) fn is_accepted(head: &str) -> bool {
    let accept = header(head, "sec-websocket-accept");
    head.starts_with("HTTP/1.1 101 ") && accept == Some(&accept_value(KEY))
}

fn accept_value(key: &str) -> String {
    STANDARD.encode(sha1_smol::Sha1::from([key, GUID].concat()).digest().bytes())
}

/// Returns the value of a header; `name` is in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut same = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
    same.next().map(|(_, value)| value.trim())
}

/// Appends a text frame of a client.
pub(crate) fn encode_masked(out: &mut Vec<u8>, payload: &[u8]) {
    encode_head(out, payload.len(), MASKED);
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

/// Appends a text frame of a server.
pub(crate) fn encode(out: &mut Vec<u8>, payload: &[u8]) {
    encode_head(out, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn encode_head(out: &mut Vec<u8>, length: usize, mask_bit: u8) {
    out.push(FINAL | TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => out.push(mask_bit | short),
        (_, Ok(middle)) => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Returns the frame at the start of these bytes, or `None` if it is not complete.
///
/// # Errors
///
/// A close frame is [`Failure::Closed`]. A part of a message, a mask that is not zero and an
/// oversized payload are [`Failure::Wrong`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame>, Failure> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let wrong = |expected: &str| {
        let (expected, found) = (expected.as_bytes().to_vec(), bytes.to_vec());
        Err(Failure::Wrong { expected, found })
    };
    let opcode = first & 0x0f;
    if first & 0xf0 != FINAL || opcode == 0 {
        return wrong("a message in one frame");
    }
    let (length, length_bytes) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(&length) => (usize::from(u16::from_be_bytes(length)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(&length) => (usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX), 8),
            None => return Ok(None),
        },
        short => (usize::from(short), 0),
    };
    if length > PAYLOAD_BYTES_MAX {
        return wrong("a payload of at most 16 MiB");
    }
    let mut start = 2 + length_bytes;
    if second & MASKED != 0 {
        match bytes.get(start..start + MASK.len()) {
            Some(mask) if mask == MASK => start += MASK.len(),
            Some(_) => return wrong("a mask of zeros"),
            None => return Ok(None),
        }
    }
    let payload = start..start + length;
    match (bytes.len() >= payload.end, opcode) {
        (false, _) => Ok(None),
        (true, CLOSE) => Err(Failure::Closed),
        (true, _) => Ok(Some(Frame { opcode, payload })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_survive_and_are_incomplete_before_their_end() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            for encode in [encode, encode_masked] {
                let mut bytes = Vec::new();
                encode(&mut bytes, &payload);
                let end = bytes.len();
                for cut in (0..end.min(20)).chain([end - 1]) {
                    assert_eq!(decode(&bytes[..cut]).expect("fine"), None, "{length} {cut}");
                }
                bytes.extend_from_slice(b"next");
                let frame = decode(&bytes).expect("fine").expect("a frame");
                assert_eq!((frame.opcode, frame.payload.end), (TEXT, end));
                assert_eq!(bytes[frame.payload], payload);
            }
        }
    }

    #[test]
    fn the_heads_have_the_bytes_of_the_standard() {
        let bytes = |encode: fn(&mut Vec<u8>, &[u8]), length: usize| {
            let mut bytes = Vec::new();
            encode(&mut bytes, &vec![b'x'; length]);
            bytes.truncate(bytes.len() - length);
            bytes
        };
        assert_eq!(bytes(encode, 125), [0x81, 125]);
        assert_eq!(bytes(encode, 256), [0x81, 126, 1, 0]);
        assert_eq!(bytes(encode, 65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(bytes(encode_masked, 5), [0x81, 0x85, 0, 0, 0, 0]);
        assert_eq!(bytes(encode_masked, 126), [0x81, 0xfe, 0, 126, 0, 0, 0, 0]);
    }

    #[test]
    fn frames_outside_of_the_load_are_refused() {
        for wrong in [
            &[0x01, 0][..],
            &[0x80, 0],
            &[0xc1, 0],
            &[0x81, 0x81, 1, 2, 3, 4, b'x'],
            &[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0],
        ] {
            assert!(matches!(decode(wrong), Err(Failure::Wrong { .. })), "{wrong:?}");
        }
        assert!(matches!(decode(&[0x88, 2, 3, 0xe8]), Err(Failure::Closed)));
    }

    #[test]
    fn a_server_accepts_the_request_of_a_client() {
        let response = accept(&upgrade("/hub", 80)).expect("a response");
        // The value of RFC 6455 for this key.
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(is_accepted(&response));
        assert!(!is_accepted(&response.replace("101 ", "200 ")));
        assert!(!is_accepted(&response.replace("s3pP", "none")));
        assert_eq!(accept("GET / HTTP/1.1\r\nHost: here\r\n\r\n"), None);
    }
}
