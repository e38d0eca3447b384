//! Any bytes as messages in JSON. A message that is read has the same parts when it is written again.

#![no_main]

use arbitrary::Unstructured;
use fuzz::frames::part;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    signalr::fuzzing::json(data);
    let mut input = Unstructured::new(data);
    let mut message = Vec::new();
    while !input.is_empty() {
        let Ok(part) = part(&mut input) else { break };
        message.extend(part);
    }
    message.split(|byte| *byte == 0x1e).for_each(signalr::fuzzing::json);
});
