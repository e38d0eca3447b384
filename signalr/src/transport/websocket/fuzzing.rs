//! Entry point for the fuzz target of WebSockets. The claims are assertions.

use super::decoder::{DecodeError, Decoder};
use crate::disconnect::TransportError;

/// Reads the frames of a client that arrive in pieces, and the same bytes in one piece.
///
/// # Panics
///
/// If their content differs.
pub fn websocket(pieces: &[Vec<u8>]) {
    let (mut in_pieces, whole) = (decode(pieces), decode(&[pieces.concat()]));
    if whole.error.is_some() {
        // A ping in the same piece as a mistake gets no answer, since the connection ends.
        in_pieces.ping = None;
    }
    if in_pieces.error == Some(DecodeError::Transport(TransportError::Text)) {
        // The valid start of a frame has left the decoder, if it arrived alone.
        assert!(in_pieces.data.starts_with(&whole.data), "{in_pieces:?} {whole:?}");
        assert_eq!(in_pieces.error, whole.error);
    } else {
        assert_eq!(in_pieces, whole);
    }
}

/// The content of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    data: Vec<u8>,
    ping: Option<Vec<u8>>,
    is_closed: bool,
    error: Option<DecodeError>,
}

fn decode(pieces: &[Vec<u8>]) -> Content {
    let (mut decoder, mut content) = (Decoder::default(), Content::default());
    for piece in pieces {
        match decoder.decode(&mut piece.clone(), MESSAGE_BYTES_MAX, &mut content.data) {
            Ok(decoded) => {
                content.ping = decoded.ping.or(content.ping);
                content.is_closed = decoded.is_closed;
            }
            Err(error) => content.error = Some(error),
        }
        if content.is_closed || content.error.is_some() {
            break;
        }
    }
    content
}

/// Maximum size of a message that an input of some bytes can exceed.
const MESSAGE_BYTES_MAX: u64 = 256;
