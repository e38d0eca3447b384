//! The frames of a WebSocket, as far as the cases need them.

use crate::bytes;

/// A frame of the server.
#[derive(Debug)]
pub(crate) struct Frame {
    opcode: u8,
    payload: Vec<u8>,
}

/// Builds a frame of the client. The mask is zero, so the payload stays readable.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(MASKED | u8::try_from(short).unwrap()),
        middle => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Returns the complete frames behind the head of the response.
pub(crate) fn frames(received: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return frames;
    };
    if !received.starts_with(b"HTTP/1.1 101 ") {
        return frames;
    }
    let mut rest = &received[head + 4..];
    while let Some((frame, after)) = split(rest) {
        frames.push(frame);
        rest = after;
    }
    frames
}

/// Returns the code of a received close frame, as bytes.
pub(crate) fn close_frame(received: &[u8]) -> Option<Vec<u8>> {
    let close = frames(received).into_iter().find(|frame| frame.opcode == CLOSE)?;
    Some(close.payload.into_iter().take(2).collect())
}

fn split(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (length, rest) = match second & 127 {
        126 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
        127 => {
            let length = u64::from_be_bytes(rest.get(..8)?.try_into().ok()?);
            (usize::try_from(length).ok()?, &rest[8..])
        }
        short => (usize::from(short), rest),
    };
    let payload = rest.get(..length)?.to_vec();
    Some((Frame { opcode: first & 15, payload }, &rest[length..]))
}

/// Shows frames, except pings of the hub protocol. `before` frames were shown already.
///
/// Messages may come in one frame or in several, so frames of one kind are joined. The first frame
/// stays alone: it is the reply to the handshake, which clients expect in a frame of its own.
pub(crate) fn show(frames: &[Frame], before: usize) -> String {
    let mut joined: Vec<(usize, u8, Vec<u8>)> = Vec::new();
    for (index, Frame { opcode, payload }) in frames.iter().enumerate() {
        if PINGS.contains(&payload.as_slice()) {
            continue;
        }
        match joined.last_mut() {
            Some((first, last, all)) if *first > 0 && last == opcode && *opcode <= BINARY => {
                all.extend_from_slice(payload);
            }
            _ => joined.push((before + index, *opcode, payload.clone())),
        }
    }
    let shown = joined.into_iter().map(|(_, opcode, payload)| shown(opcode, &payload));
    shown.collect::<Vec<_>>().join(" | ")
}

fn shown(opcode: u8, payload: &[u8]) -> String {
    match opcode {
        TEXT => format!("text:{}", bytes::escape_bytes(payload)),
        BINARY if payload.ends_with(b"\x1e") => format!("binary:{}", bytes::escape_bytes(payload)),
        BINARY => format!("binary:{}", bytes::hex(payload)),
        CLOSE => match payload {
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                format!("close:{code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
            }
            _ => "close:empty".to_owned(),
        },
        PONG => format!("pong:{}", bytes::escape_bytes(payload)),
        other => format!("opcode {other}:{}", bytes::escape_bytes(payload)),
    }
}

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
const PONG: u8 = 10;
/// Pings of the hub protocol in JSON and in MessagePack.
const PINGS: [&[u8]; 2] = [b"{\"type\":6}\x1e", b"\x02\x91\x06"];
