//! Payloads of Socket.IO's adapters and emitter for Redis.
//!
//! A broadcast is MessagePack `[uid, packet, options]` on `socket.io#/namespace#` or
//! `socket.io#/namespace#room#`. Requests between servers and their responses are JSON or
//! MessagePack on `socket.io-request#/namespace#` and `socket.io-response#/namespace#`.

use dialect::messagepack::{Head, Reader};

use super::SHOWN_BYTES_MAX;
use super::json::Json;
use super::messagepack;

/// Returns a payload; `None` if it is none of Socket.IO.
pub(super) fn decode(channel: &str, payload: &[u8]) -> Option<Json> {
    let is_adapter = channel.contains("#/") && channel.ends_with('#');
    if !is_adapter {
        return None;
    }
    if let Some(parts) = broadcast(payload) {
        let mut json = Json::new(SHOWN_BYTES_MAX);
        json.object(|object| {
            for (name, part) in ["uid", "packet", "options"].into_iter().zip(parts) {
                object.field(name, |json| _ = messagepack::value(part, json));
            }
        });
        return Some(json);
    }
    let mut json = Json::new(SHOWN_BYTES_MAX);
    let text = std::str::from_utf8(payload).ok().filter(|text| text.starts_with(['{', '[']));
    match text {
        Some(text) => json.embed(text).then_some(json),
        None => messagepack::collection(payload),
    }
}

/// Returns the sender, the packet and the options of a broadcast, each as MessagePack.
fn broadcast(payload: &[u8]) -> Option<[&[u8]; 3]> {
    let mut reader = Reader::new(payload);
    if reader.head() != Some(Head::Array(3)) {
        return None;
    }
    let parts = [reader.value()?, reader.value()?, reader.value()?];
    let is_text = matches!(Reader::new(parts[0]).head(), Some(Head::Text(_)));
    let is_packet = matches!(Reader::new(parts[1]).head(), Some(Head::Map(_)));
    (is_text && is_packet && reader.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(channel: &str, payload: &[u8], expected: Option<&str>) {
        let json = decode(channel, payload).map(Json::into_text);
        assert_eq!(json.as_deref(), expected);
    }

    #[test]
    fn a_broadcast_has_its_packet() {
        // As the adapter writes `io.emit("say", "hi")`.
        let payload =
            b"\x93\xa6abcdef\x83\xa4type\x02\xa4data\x92\xa3say\xa2hi\xa3nsp\xa1/\x81\xa5rooms\x90";
        let expected = r#"{"uid":"abcdef","packet":{"type":2,"data":["say","hi"],"nsp":"/"},"options":{"rooms":[]}}"#;
        check("socket.io#/#", payload, Some(expected));
        check("socket.io#/chat#room#", payload, Some(expected));
        check("socket.io", payload, None);
    }

    #[test]
    fn requests_and_responses_are_json_or_messagepack() {
        let request = br#"{"uid":"a","type":5}"#;
        check("socket.io-request#/#", request, Some(r#"{"uid":"a","type":5}"#));
        check("socket.io-response#/#", b"\x81\xa1a\x01", Some(r#"{"a":1}"#));
        check("socket.io-request#/#", b"hello", None);
        check("socket.io-request#/#", b"{oops", None);
    }
}
