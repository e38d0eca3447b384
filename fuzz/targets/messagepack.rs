//! Any bytes as messages in MessagePack. Each value is whole, and reads as its type or as none.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

/// Messages without their prefixes, and parts of messages.
const PIECES: &[&[u8]] = &[
    b"\x96\x01\x80\xa1\x31\xa4Send\x91\xa1a\x90",
    b"\x96\x04\x80\xa1\x32\xa4Send\x92\x01\xc0\x91\xa1\x33",
    b"\x94\x02\x80\xa1\x33\x2a",
    b"\x95\x03\x80\xa1\x34\x03\x93\x01\x90\x80",
    b"\x95\x03\x80\xa1\x34\x01\xa5Error",
    b"\x93\x05\x80\xa1\x32",
    b"\x91\x06",
    b"\x93\x07\xc0\xc2",
    b"\x92\x08\x05",
    b"\x92\x09\x01",
    b"\x95\x01\x80\xc0\xa1m\x91",
    b"\x94\x02\x80\xa1s",
    b"\x81\xa1\x61",
    b"\x92",
    b"\xc4\x02\x01\x02",
    b"\xd6\xff\x38\x6d\x43\x80",
    b"\xd7\xff\xbc\x1c\xbd\x00\x65\xe0\x79\xf0",
    b"\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\x00\x00\x00\x01",
    b"\xdb\x00\x00\x00\x01",
    b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
];

fuzz_target!(|data: &[u8]| {
    signalr::fuzzing::messages(data);
    let mut input = Unstructured::new(data);
    let mut message = Vec::new();
    while !input.is_empty() {
        let Ok(piece) = piece(&mut input) else { break };
        message.extend(piece);
    }
    signalr::fuzzing::message(&message);
});

fn piece(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    match input.ratio(1, 4)? {
        true => Vec::arbitrary(input),
        false => input.choose(PIECES).map(|piece| piece.to_vec()),
    }
}
