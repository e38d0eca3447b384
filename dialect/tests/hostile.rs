//! Any bytes as payloads and hub messages: no panic, and each payload that is read can be written.

#![allow(clippy::unwrap_used)]

use dialect::Encoding;
use dialect::aspnetcore::{Ack, Action, Completion, Envelope, GroupCommand, ReplyTo};
use dialect::json::Invocation;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes)?;
    }

    #[test]
    fn damaged_payloads_are_refused_or_read(
        payload in payload(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut damaged = payload.clone();
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        read(&damaged)?;
        let end = end.index(payload.len());
        prop_assert!(Envelope::decode(&payload[..end]).is_err());
        read(&payload[..end])?;
    }
}

/// Reads bytes as each kind of payload. The one that is read is written in its shortest form.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(read) = Envelope::decode(bytes) {
        let written = read.encode();
        prop_assert!(written.len() <= bytes.len());
        prop_assert_eq!(Envelope::decode(&written), Ok(read.clone()));
        for (name, frame) in read.frames {
            let is_message = Encoding::named(name).map(|encoding| encoding.is_message(frame));
            if Invocation::read(frame).is_some() && name == "json" {
                prop_assert_eq!(is_message, Some(true));
            }
        }
    }
    if let Ok(read) = GroupCommand::decode(bytes) {
        let written = read.encode();
        prop_assert_eq!(GroupCommand::decode(&written), Ok(read));
    }
    if let Ok(read) = Completion::decode(bytes) {
        let written = read.encode();
        prop_assert_eq!(Completion::decode(&written), Ok(read));
    }
    if let Ok(read) = Ack::decode(bytes) {
        prop_assert_eq!(Ack::decode(&read.encode()), Ok(read));
    }
    for encoding in Encoding::ALL {
        let _ = encoding.is_message(bytes);
    }
    Ok(())
}

/// Returns envelopes and commands.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let arguments = serde_json::value::to_raw_value(&("hi", 7, [1.5])).unwrap();
    let frames = Encoding::ALL.map(|encoding| encoding.invocation(Some("1"), "say", &arguments));
    let envelope = (proptest::collection::vec("[a-z]{0,40}", 0..20), any::<bool>());
    let envelope = envelope.prop_map(move |(excluded, has_address)| {
        Envelope {
            excluded: excluded.iter().map(String::as_str).collect(),
            frames: vec![("json", &frames[0][..]), ("messagepack", &frames[1][..])],
            reply_to: has_address.then_some(ReplyTo { invocation_id: "1", channel: "Hub:x" }),
        }
        .encode()
    });
    let command = (any::<i32>(), any::<u8>(), "[a-z]{1,40}").prop_map(|(id, action, name)| {
        let action = Action::Other(action);
        GroupCommand { id, server: &name, action, group: &name, connection_id: &name }.encode()
    });
    prop_oneof![envelope, command]
}
