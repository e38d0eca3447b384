//! Any bytes of a client in any pieces. The messages are those of the bytes in one piece.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<Vec<u8>>)| {
    let (is_binary, pieces) = input;
    signalr::fuzzing::frames(is_binary, &pieces);
});
