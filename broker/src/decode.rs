//! Payloads as JSON for people: SignalR 2, ASP.NET Core's SignalR, Socket.IO, JSON, MessagePack, text.
//!
//! Anything else is base64. A payload may have any bytes: decoders never fail, nest at most 128
//! times, and write at most [`SHOWN_BYTES_MAX`] bytes before escapes.

mod json;
mod messagepack;
mod signalr2;
mod signalr_core;
mod socket_io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) use self::json::Json;

/// A payload as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The format of the payload.
    pub(crate) kind: &'static str,
    /// One value of JSON in one line. A cut value is a string with the start of its JSON.
    pub(crate) json: String,
    /// Whether only the start of the payload is shown.
    pub(crate) is_truncated: bool,
}

/// Bytes of a payload that are shown.
pub(crate) const SHOWN_BYTES_MAX: usize = 4096;
/// Longer payloads are shown as text or base64 only. No decoder reads more than this.
pub(crate) const DECODED_BYTES_MAX: usize = 64 * 1024;

/// Decodes a payload of `whole_bytes`, of which `payload` is the start or all.
pub(crate) fn decode(channel: &[u8], payload: &[u8], whole_bytes: usize) -> Decoded {
    let is_whole = payload.len() == whole_bytes && whole_bytes <= DECODED_BYTES_MAX;
    let decoded = if is_whole { structured(channel, payload) } else { None };
    decoded.unwrap_or_else(|| plain(payload, whole_bytes))
}

/// Decodes a payload with a structure.
fn structured(channel: &[u8], payload: &[u8]) -> Option<Decoded> {
    let channel = std::str::from_utf8(channel).unwrap_or_default();
    let text = || std::str::from_utf8(payload).ok();
    let read = |kind, json: Option<Json>| json.map(|json| Decoded::of(kind, json));
    read("signalr2", signalr2::decode(payload))
        .or_else(|| read("signalr-core", signalr_core::decode(channel, payload)))
        .or_else(|| read("socket.io", socket_io::decode(channel, payload)))
        .or_else(|| read("json", text().and_then(json_text)))
        // Before MessagePack, of which nearly any text is one or more values.
        .or_else(|| read_text(payload).map(|text| plain_text(text, payload.len())))
        .or_else(|| read("msgpack", messagepack::collection(payload)))
}

/// Returns an object or an array of JSON in one line. A number or a word is text as often as not.
fn json_text(text: &str) -> Option<Json> {
    let mut json = Json::new(SHOWN_BYTES_MAX);
    let is_collection = text.trim_ascii_start().starts_with(['{', '[']);
    (is_collection && json.embed(text)).then_some(json)
}

/// Shows a payload as text, or else as base64.
fn plain(payload: &[u8], whole_bytes: usize) -> Decoded {
    let start = &payload[..payload.len().min(SHOWN_BYTES_MAX)];
    match read_text(start) {
        Some(text) => plain_text(text, whole_bytes),
        None => {
            let start = &payload[..payload.len().min(SHOWN_BYTES_MAX / 4 * 3)];
            Decoded {
                kind: "binary",
                json: format!("\"{}\"", base64(start)),
                is_truncated: start.len() < whole_bytes,
            }
        }
    }
}

fn plain_text(text: &str, whole_bytes: usize) -> Decoded {
    let start = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    let mut json = Json::new(usize::MAX);
    json.string(start);
    Decoded { kind: "text", json: json.into_text(), is_truncated: start.len() < whole_bytes }
}

/// Returns bytes as text, without a character that is cut at their end.
fn read_text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // Only the end of the text is missing.
        Err(error) if error.error_len().is_none() && bytes.len() >= SHOWN_BYTES_MAX - 3 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    text.chars().all(is_text).then_some(text)
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl Decoded {
    fn of(kind: &'static str, json: Json) -> Self {
        if !json.is_cut() {
            return Self { kind, json: json.into_text(), is_truncated: false };
        }
        let mut string = Json::new(usize::MAX);
        string.string(&json.into_text());
        Self { kind, json: string.into_text(), is_truncated: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(channel: &str, payload: &[u8], kind: &str, json: &str) {
        let decoded = decode(channel.as_bytes(), payload, payload.len());
        assert_eq!((decoded.kind, &*decoded.json), (kind, json));
        assert!(!decoded.is_truncated);
    }

    #[test]
    fn text_and_bytes() {
        check("a", b"hello", "text", r#""hello""#);
        check("a", b"", "text", r#""""#);
        check("a", b"42", "text", r#""42""#);
        check("a", "say \"hi\"\n\u{e4}".as_bytes(), "text", "\"say \\\"hi\\\"\\n\u{e4}\"");
        check("a", b"\xff\x00", "binary", r#""/wA=""#);
        check("a", b"a\0b", "binary", r#""YQBi""#);
    }

    #[test]
    fn json_is_one_line_and_keeps_its_digits() {
        check(
            "a",
            b"{ \"a\" : [1, 12345678901234567890123],\r\n\t\"b c\": \" \\\" \"}",
            "json",
            r#"{"a":[1,12345678901234567890123],"b c":" \" "}"#,
        );
        check("a", b" [] ", "json", "[]");
        check("a", b"{\"a\":}", "text", r#""{\"a\":}""#);
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert_eq!(decode(b"a", deep.as_bytes(), deep.len()).kind, "text");
    }

    #[test]
    fn messagepack_is_a_whole_array_or_map() {
        check("a", b"\x82\xa1a\x01\xa1b\x92\xc3\xc0", "msgpack", r#"{"a":1,"b":[true,null]}"#);
        check("a", b"\x91\x01\x02", "binary", r#""kQEC""#);
    }

    #[test]
    fn long_payloads_are_cut() {
        for (payload, kind) in [
            (vec![b'x'; 5000], "text"),
            ("\u{e4}".repeat(40_000).into_bytes(), "text"),
            (vec![0xff; 5000], "binary"),
            (format!("[\"{}\"]", "x".repeat(5000)).into_bytes(), "json"),
            (format!("[{}1]", "1,".repeat(100_000)).into_bytes(), "text"),
            ([&[0xdc, 0x17, 0x70][..], &[0x07; 6000]].concat(), "msgpack"),
        ] {
            let decoded = decode(b"a", &payload, payload.len());
            assert_eq!(decoded.kind, kind);
            assert!(decoded.is_truncated && decoded.json.len() <= 2 * SHOWN_BYTES_MAX + 2);
            let shown: String = serde_json::from_str(&decoded.json).unwrap();
            assert!((SHOWN_BYTES_MAX - 3..=SHOWN_BYTES_MAX).contains(&shown.len()));
        }
    }

    #[test]
    fn only_the_start_of_a_payload_may_be_there() {
        let start = "\u{e4}".repeat(SHOWN_BYTES_MAX);
        for end in [SHOWN_BYTES_MAX, SHOWN_BYTES_MAX - 1] {
            let decoded = decode(b"a", &start.as_bytes()[..end], 1 << 30);
            assert_eq!((decoded.kind, decoded.is_truncated), ("text", true));
        }
    }

    /// Bytes of every format, and damaged ones.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let message = dialect::signalr2::Message {
            key: "h-ChatHub",
            value: br#"{"H":"ChatHub","M":"say","A":["hi"]}"#,
            ..Default::default()
        };
        let body = dialect::signalr2::body(&message, 5);
        let frames = vec![("json", &b"{\"type\":6}\x1e"[..]), ("messagepack", b"\x02\x91\x06")];
        let envelope =
            dialect::aspnetcore::Envelope { excluded: vec!["a"], frames, reply_to: None };
        let good = prop::sample::select(vec![
            dialect::signalr2::payload(7, &body).to_vec(),
            envelope.encode(),
            b"\x93\xa3uid\x82\xa4type\x02\xa4data\x91\xa2hi\x80".to_vec(),
            b"{\"a\":[1,2,{\"b\":\"\\u00e4\"}]}".to_vec(),
            b"\x81\xc4\x01\x02\xcb\x7f\xf8\0\0\0\0\0\0".to_vec(),
        ]);
        let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        let damaged = (good, damage).prop_map(|(mut bytes, damage)| {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        });
        prop_oneof![damaged, prop::collection::vec(any::<u8>(), 0..300)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_bytes_become_one_line_of_json(
            payload in payload(),
            channel in prop::sample::select(vec![
                "a", "Hub:all", "Hub:group:g", "Hub:internal:groups", "Hub:internal:ack:s",
                "Hub:internal:return:s", "socket.io#/#", "socket.io-request#/#",
            ]),
            end in any::<prop::sample::Index>(),
        ) {
            for bytes in [&payload[..], &payload[..end.index(payload.len() + 1)]] {
                let decoded = decode(channel.as_bytes(), bytes, bytes.len());
                prop_assert!(!decoded.json.contains(['\n', '\r']));
                prop_assert!(decoded.json.len() <= 2 * SHOWN_BYTES_MAX + 2);
                let read: Result<serde_json::Value, _> = serde_json::from_str(&decoded.json);
                prop_assert!(read.is_ok(), "{}: {}", decoded.kind, decoded.json);
            }
        }
    }
}
