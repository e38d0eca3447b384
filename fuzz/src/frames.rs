//! Frames of a SignalR client over a WebSocket, from arbitrary input.

use arbitrary::{Arbitrary, Result, Unstructured};

/// The request for a WebSocket at `/chatHub`.
pub const UPGRADE: &[u8] = b"GET /chatHub HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The handshake of a client that uses JSON.
pub const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
/// The first byte of a text in one frame.
pub const TEXT: u8 = 0x81;

/// Parts of messages.
const PIECES: &[&[u8]] = &[
    HANDSHAKE,
    b"{\"protocol\":\"messagepack\",\"version\":1}\x1e",
    b"\x1e",
    b"{}",
    b"{\"type\":1,\"target\":\"Send\",\"arguments\":[\"a\"]}\x1e",
    b"{\"type\":1,\"invocationId\":\"1\",\"target\":\"send\",\"arguments\":[\"a\"]}\x1e",
    b"{\"type\":4,\"invocationId\":\"2\",\"target\":\"Count\",\"arguments\":[9]}\x1e",
    b"{\"type\":1,\"invocationId\":\"3\",\"target\":\"Sum\",\"arguments\":[],\"streamIds\":[\"4\"]}\x1e",
    b"{\"type\":2,\"invocationId\":\"4\",\"item\":5}\x1e",
    b"{\"type\":3,\"invocationId\":\"4\"}\x1e",
    b"{\"type\":5,\"invocationId\":\"2\"}\x1e",
    b"{\"type\":6}\x1e",
    b"{\"type\":7}\x1e",
    b"{\"type\":8,\"sequenceId\":1}\x1e",
    b"{\"type\":9,\"sequenceId\":1}\x1e",
    b"{\"type\":",
    b"1",
    b"9",
    b"1e400",
    b",\"target\":",
    b",\"arguments\":",
    b",\"invocationId\":",
    b",\"streamIds\":",
    b",\"headers\":{\"a\":\"b\"}",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"Send\"",
    b"\"\\ud800\"",
    b"null",
    b"true",
    b"\x0d\x96\x01\x80\xa1\x31\xa4Send\x91\xa1a\x90",
    b"\x02\x91\x06",
    b"\x04\x93\x07\xc0\xc2",
];

/// Returns a part of a message, or any bytes.
///
/// # Errors
///
/// When the input has ended.
pub fn part(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match input.ratio(1, 8)? {
        true => Vec::arbitrary(input),
        false => input.choose(PIECES).map(|piece| piece.to_vec()),
    }
}

/// Returns a frame, or bytes that are none.
///
/// # Errors
///
/// When the input has ended.
pub fn frame_or_bytes(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if input.ratio(1, 16)? {
        return Vec::arbitrary(input);
    }
    let first = if input.ratio(1, 8)? { input.arbitrary()? } else { TEXT };
    let mut text = Vec::new();
    for _ in 0..input.int_in_range(1..=4)? {
        text.extend(part(input)?);
    }
    Ok(frame(first, &text))
}

/// Returns a frame of a client, with a mask of zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let length = match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => vec![MASKED | length],
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            [&[MASKED | 126][..], &length.to_be_bytes()].concat()
        }
    };
    [&[first][..], &length, &[0; 4], payload].concat()
}
