//! Any bytes as payloads of ASP.NET Core's backplane. A payload that is read can be written again.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use dialect::Encoding;
use dialect::aspnetcore::{Ack, Channel, Completion, Envelope, GroupCommand};
use libfuzzer_sys::fuzz_target;

/// Payloads, and parts of them.
const PIECES: &[&[u8]] = &[
    b"\x92\x90\x82\xa4json\xc4\x2a{\"type\":1,\"target\":\"m\",\"arguments\":[\"a\"]}\x1e",
    b"\xabmessagepack\xc4\x0b\x0a\x96\x01\x80\xc0\xa1m\x91\xa1a\x90",
    b"\x94\x91\xa2c1\x80\xa1i\xa1r",
    b"\x95\x2a\xa1S\x01\xa1G\xa1C",
    b"\x91\x2a",
    b"\x92\xa4json\xc4\x02{}",
    b"\x92\xc0",
    b"\xdc\x00\x02\x90",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\x00\x00\x00\x01",
    b"\xc6\xff\xff\xff\xff",
];

fuzz_target!(|data: &[u8]| {
    read(data);
    let mut input = Unstructured::new(data);
    let mut payload = Vec::new();
    while !input.is_empty() {
        let Ok(piece) = piece(&mut input) else { break };
        payload.extend(piece);
    }
    read(&payload);
});

fn piece(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    match input.ratio(1, 4)? {
        true => Vec::arbitrary(input),
        false => input.choose(PIECES).map(|piece| piece.to_vec()),
    }
}

fn read(payload: &[u8]) {
    if let Ok(envelope) = Envelope::decode(payload) {
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope.clone()));
        for (name, frame) in envelope.frames {
            let _ = Encoding::named(name).map(|encoding| encoding.is_message(frame));
        }
    }
    if let Ok(command) = GroupCommand::decode(payload) {
        assert_eq!(GroupCommand::decode(&command.encode()), Ok(command));
    }
    if let Ok(completion) = Completion::decode(payload) {
        assert_eq!(Completion::decode(&completion.encode()), Ok(completion));
    }
    if let Ok(ack) = Ack::decode(payload) {
        assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
    }
    for encoding in Encoding::ALL {
        if encoding.is_message(payload) {
            let _ = dialect::json::Invocation::read(payload);
        }
    }
    if let Some((hub, channel)) = std::str::from_utf8(payload).ok().and_then(Channel::parse) {
        assert_eq!(channel.name(hub).as_bytes(), payload);
    }
}
