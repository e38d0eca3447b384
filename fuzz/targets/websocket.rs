//! Any bytes of a WebSocket client in any pieces. Their content is that of the bytes in one piece.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use fuzz::frames::frame_or_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let Ok(sizes) = <[u8; 4]>::arbitrary(&mut input) else { return };
    let mut stream = Vec::new();
    while !input.is_empty() {
        let Ok(bytes) = frame_or_bytes(&mut input) else { break };
        stream.extend(bytes);
    }
    let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
    for size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*size) + 1));
        pieces.push(piece.to_vec());
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    signalr::fuzzing::websocket(&pieces);
});
