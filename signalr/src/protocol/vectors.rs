//! The byte vectors of ASP.NET Core's own tests, for both encodings.
//!
//! Each row is a message as .NET writes it, and its content. A message that this server writes as
//! well must come out as the same bytes.

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::{
    json,
    message::{Call, ClientMessage, Raw},
    messagepack::{self, completion, invocation, stream_item},
};
use crate::{Blob, Timestamp};

#[test]
fn messagepack_messages_are_those_of_dotnet() {
    for (bytes, content) in [
        ("96 01 80 a3 78797a a6 6d6574686f64 90 90", "call xyz method [] to []"),
        ("96 01 80 c0 a6 6d6574686f64 90 90", "call - method [] to []"),
        ("96 01 80 c0 a6 6d6574686f64 91 2a 90", "call - method [42] to []"),
        ("96 01 80 c0 a6 6d6574686f64 91 c0 90", "call - method [null] to []"),
        (
            "96 01 80 c0 a6 6d6574686f64 92 2a a6 737472696e67 90",
            r#"call - method [42,"string"] to []"#,
        ),
        ("96 01 80 c0 a6 6d6574686f64 92 2a a3 4f6e65 90", r#"call - method [42,"One"] to []"#),
        (
            "96 01 80 c0 a6 546172676574 90 91 ab 5f5f746573745f69645f5f",
            r#"call - Target [] to ["__test_id__"]"#,
        ),
        (
            "96 01 80 c0 a6 546172676574 91 2a 91 ab 5f5f746573745f69645f5f",
            r#"call - Target [42] to ["__test_id__"]"#,
        ),
        (
            "96 01 80 c0 a6 546172676574 90 92 ab 5f5f746573745f69645f5f ac 5f5f746573745f6964325f5f",
            r#"call - Target [] to ["__test_id__", "__test_id2__"]"#,
        ),
        ("96 04 80 a3 78797a a6 6d6574686f64 90 90", "stream xyz method [] to []"),
        ("96 04 80 a3 78797a a6 6d6574686f64 91 2a 90", "stream xyz method [42] to []"),
        ("96 04 80 a3 78797a a6 6d6574686f64 91 c0 90", "stream xyz method [null] to []"),
        (
            "96 04 80 a3 78797a a6 6d6574686f64 91 a3 4f6e65 90",
            r#"stream xyz method ["One"] to []"#,
        ),
        (
            "96 04 80 a3 78797a a6 6d6574686f64 90 91 ab 5f5f746573745f69645f5f",
            r#"stream xyz method [] to ["__test_id__"]"#,
        ),
        ("94 02 80 a3 78797a 2a", "item xyz 42"),
        ("94 02 80 a3 78797a ca 42280000", "item xyz 42.0"),
        ("94 02 80 a3 78797a a6 737472696e67", r#"item xyz "string""#),
        ("94 02 80 a3 78797a c3", "item xyz true"),
        ("94 02 80 a3 78797a c0", "item xyz null"),
        ("94 02 80 a3 78797a a3 4f6e65", r#"item xyz "One""#),
        (
            "95 03 80 a3 78797a 01 b0 4572726f72206e6f7420666f756e6421",
            "completion xyz Error not found!",
        ),
        ("94 03 80 a3 78797a 02", "completion xyz"),
        ("95 03 80 a3 78797a 03 2a", "completion xyz 42"),
        ("95 03 80 a3 78797a 03 ca 42280000", "completion xyz 42.0"),
        ("95 03 80 a3 78797a 03 a6 737472696e67", r#"completion xyz "string""#),
        ("95 03 80 a3 78797a 03 c3", "completion xyz true"),
        ("95 03 80 a3 78797a 03 c0", "completion xyz null"),
        ("95 03 80 a3 78797a 03 a3 4f6e65", r#"completion xyz "One""#),
        ("95 03 80 a1 30 03 91 2a", "completion 0 [42]"),
        ("93 05 80 a3 78797a", "cancel xyz"),
        ("91 06", "ping"),
        ("93 07 c0 c2", "close"),
        ("93 07 a6 4572726f7221 c2", "close"),
        ("93 07 c0 c3", "close"),
        ("93 07 a6 4572726f7221 c3", "close"),
        // Further items are for later versions of the protocol.
        ("98 01 80 a3 78797a a6 6d6574686f64 90 90 c3 a2 6578", "call xyz method [] to []"),
    ] {
        let bytes = hex(bytes);
        let message = messagepack::parse(&bytes).unwrap();
        assert_eq!(shown(&message), content);
        if let Some(written) = written(&message).filter(|_| bytes[0] != 0x98) {
            assert_eq!(behind_length(&written), bytes, "{content}");
        }
    }
    for (error, reconnects, bytes) in [
        (None, false, "93 07 c0 c2"),
        (Some("Error!"), false, "93 07 a6 4572726f7221 c2"),
        (None, true, "93 07 c0 c3"),
        (Some("Error!"), true, "93 07 a6 4572726f7221 c3"),
    ] {
        assert_eq!(behind_length(&messagepack::close(error, reconnects)), hex(bytes));
    }
    assert_eq!(behind_length(&messagepack::PING), hex("91 06"));
}

#[test]
fn messagepack_headers_are_those_of_dotnet() {
    let headers = "83 a3 466f6f a3 426172
         b2 4b6579576974680a4e65770d0a4c696e6573 ab 5374696c6c20576f726b73
         b1 56616c7565576974684e65774c696e6573 b0 416c736f0a576f726b730d0a46696e65";
    let bytes = hex(&format!("96 04 {headers} a3 78797a a6 6d6574686f64 90 90"));
    let Ok(ClientMessage::StreamInvocation(Call { headers: found, .. })) =
        messagepack::parse(&bytes)
    else {
        panic!("a stream")
    };
    let expected = [
        ("Foo", "Bar"),
        ("KeyWith\nNew\r\nLines", "Still Works"),
        ("ValueWithNewLines", "Also\nWorks\r\nFine"),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));
    for (rest, content) in [
        ("a3 78797a", "cancel xyz"),
        ("a3 78797a 02", "completion xyz"),
        ("a3 78797a 01 b0 4572726f72206e6f7420666f756e6421", "completion xyz Error not found!"),
    ] {
        let head = if content.starts_with("cancel") { "93 05" } else { "95 03" };
        let bytes = hex(&format!("{head} {headers} {rest}"));
        assert_eq!(shown(&messagepack::parse(&bytes).unwrap()), content);
    }
}

#[test]
fn messagepack_errors_are_those_of_dotnet() {
    for (bytes, expected) in [
        ("91 a3 666f6f", "Reading 'messageType' as Int32 failed."),
        ("92 01 a3 666f6f", "Reading map length for 'headers' failed."),
        ("92 01 82 2a a3 666f6f", "Reading 'headers[0].Key' as String failed."),
        ("92 01 82 a3 666f6f 2a", "Reading 'headers[0].Value' as String failed."),
        ("92 01 84 a3 666f6f a3 666f6f 90 a3 666f6f", "Reading 'headers[1].Key' as String failed."),
        (
            "92 01 84 a3 666f6f a3 666f6f a3 666f6f 90",
            "Reading 'headers[1].Value' as String failed.",
        ),
        ("93 01 80 c2", "Reading 'invocationId' as String failed."),
        ("92 01 80", "Reading 'invocationId' as String failed."),
        ("93 01 80 a3 616263", "Reading 'target' as String failed."),
        ("94 01 80 a3 616263 2a", "Reading 'target' as String failed."),
        ("92 04 80", "Reading 'invocationId' as String failed."),
        ("93 04 80 c2", "Reading 'invocationId' as String failed."),
        ("93 04 80 a3 616263", "Reading 'target' as String failed."),
        ("94 04 80 a3 616263 2a", "Reading 'target' as String failed."),
        ("92 02 80", "Reading 'invocationId' as String failed."),
        ("93 02 80 c2", "Reading 'invocationId' as String failed."),
        ("92 03 80", "Reading 'invocationId' as String failed."),
        ("93 03 80 c2", "Reading 'invocationId' as String failed."),
        ("94 03 80 a3 78797a a3 78797a", "Reading 'resultKind' as Int32 failed."),
        ("94 03 80 a3 78797a 2a", "Invalid invocation result kind."),
        ("94 03 80 a3 78797a 01", "Reading 'error' as String failed."),
        ("95 03 80 a3 78797a 01 2a", "Reading 'error' as String failed."),
    ] {
        assert_eq!(messagepack::parse(&hex(bytes)).unwrap_err().to_string(), expected, "{bytes}");
    }
}

/// The object of .NET's tests.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomObject {
    string_prop: String,
    double_prop: f64,
    int_prop: i32,
    date_time_prop: Timestamp,
    null_prop: Option<u8>,
    byte_arr_prop: Blob,
}

#[test]
fn messagepack_objects_and_times_are_those_of_dotnet() {
    let object = CustomObject {
        string_prop: "SignalR!".to_owned(),
        double_prop: "6.2831853071".parse().unwrap(),
        int_prop: 42,
        date_time_prop: "2017-04-11T00:00:00Z".parse().unwrap(),
        null_prop: None,
        byte_arr_prop: vec![1, 2, 3].into(),
    };
    let bytes = hex("86 aa 537472696e6750726f70 a8 5369676e616c5221
         aa 446f75626c6550726f70 cb 401921fb5442cf12 a7 496e7450726f70 2a
         ac 4461746554696d6550726f70 d6 ff 58ec1c80 a8 4e756c6c50726f70 c0
         ab 4279746541727250726f70 c4 03 010203");
    assert_eq!(messagepack::value(&object).unwrap(), bytes);
    assert_eq!(messagepack::read(&bytes), Some(object));

    // A DateTime, and a DateTimeOffset of the same day ten hours ahead of UTC: the time on its own
    // clock as if it were UTC, and the minutes that it is ahead.
    let midnight: Timestamp = "2018-04-09T00:00:00Z".parse().unwrap();
    check_value(&midnight, "d6 ff 5acaad00");
    check_value(&(midnight, 600_i16), "92 d6 ff 5acaad00 cd 0258");
}

#[test]
fn json_messages_are_those_of_dotnet() {
    for (text, content) in [
        (
            r#"{"type":1,"invocationId":"123","target":"Target","arguments":[1,"Foo"]}"#,
            r#"call 123 Target [1,"Foo"] to []"#,
        ),
        (
            r#"{"type":1,"target":"Target","arguments":[1,"Foo",2]}"#,
            r#"call - Target [1,"Foo",2] to []"#,
        ),
        (r#"{"type":1,"target":"Target","arguments":[true]}"#, "call - Target [true] to []"),
        (r#"{"type":1,"target":"Target","arguments":[null]}"#, "call - Target [null] to []"),
        (
            r#"{"type":1,"target":"Target","arguments":[42],"streamIds":["__test_id__"]}"#,
            r#"call - Target [42] to ["__test_id__"]"#,
        ),
        (
            r#"{"type":1,"target":"Target","arguments":[],"streamIds":["__test_id__","__test_id2__"]}"#,
            r#"call - Target [] to ["__test_id__", "__test_id2__"]"#,
        ),
        (
            r#"{"type":1,"target":"Method","arguments":["2016-05-10T13:51:20+12:34"]}"#,
            r#"call - Method ["2016-05-10T13:51:20+12:34"] to []"#,
        ),
        (r#"{"type":2,"invocationId":"123","item":1}"#, "item 123 1"),
        (r#"{"type":2,"invocationId":"123","item":"Foo"}"#, r#"item 123 "Foo""#),
        (r#"{"type":2,"invocationId":"123","item":true}"#, "item 123 true"),
        (r#"{"type":2,"invocationId":"123","item":null}"#, "item 123 null"),
        (r#"{"type":3,"invocationId":"123","result":1}"#, "completion 123 1"),
        (r#"{"type":3,"invocationId":"123","result":"Foo"}"#, r#"completion 123 "Foo""#),
        (r#"{"type":3,"invocationId":"123","result":true}"#, "completion 123 true"),
        (r#"{"type":3,"invocationId":"123","result":null}"#, "completion 123 null"),
        (r#"{"type":3,"invocationId":"123","error":"Whoops!"}"#, "completion 123 Whoops!"),
        (
            r#"{"type":4,"invocationId":"123","target":"Target","arguments":[1,"Foo"]}"#,
            r#"stream 123 Target [1,"Foo"] to []"#,
        ),
        (
            r#"{"type":4,"invocationId":"123","target":"Target","arguments":[],"streamIds":["__test_id__"]}"#,
            r#"stream 123 Target [] to ["__test_id__"]"#,
        ),
        (r#"{"type":5,"invocationId":"123"}"#, "cancel 123"),
        (r#"{"type":6}"#, "ping"),
        (r#"{"type":7}"#, "close"),
        (r#"{"type":7,"error":"Error!"}"#, "close"),
        (r#"{"type":7,"error":""}"#, "close"),
    ] {
        let message = json::parse(text.as_bytes()).unwrap();
        assert_eq!(shown(&message), content);
        if let Some(written) = written(&message) {
            assert_eq!(written, [text.as_bytes(), b"\x1e"].concat(), "{content}");
        }
    }
    assert_eq!(json::close(Some("Error!"), false), "{\"type\":7,\"error\":\"Error!\"}\u{1e}");
    assert_eq!(json::close(None, false), "{\"type\":7}\u{1e}");
}

#[test]
fn json_properties_may_come_in_any_order() {
    for (text, content) in [
        (
            r#"{ "arguments": ["2016-05-10T13:51:20+12:34"], "type":1, "target": "Method" }"#,
            r#"call - Method ["2016-05-10T13:51:20+12:34"] to []"#,
        ),
        (r#"{ "arguments": [1,2], "type":1, "target": "Method" }"#, "call - Method [1,2] to []"),
        (
            r#"{ "type":4, "arguments": [1,2], "target": "Method", "invocationId": "3" }"#,
            "stream 3 Method [1,2] to []",
        ),
        (r#"{ "type":3, "result": 10, "invocationId": "15" }"#, "completion 15 10"),
        (r#"{ "item": "foo", "invocationId": "1a", "type":2 }"#, r#"item 1a "foo""#),
        (
            r#"{"type":1,"invocationId":"42","target":"foo","arguments":[],"extraParameter":"1"}"#,
            "call 42 foo [] to []",
        ),
    ] {
        assert_eq!(shown(&json::parse(text.as_bytes()).unwrap()), content);
    }
}

#[test]
fn json_errors_are_those_of_dotnet() {
    for (text, expected) in [
        ("", "Error reading JSON."),
        ("42", "Unexpected JSON Token Type 'Number'. Expected a JSON Object."),
        ("null", "Unexpected JSON Token Type 'Null'. Expected a JSON Object."),
        (r#""foo""#, "Unexpected JSON Token Type 'String'. Expected a JSON Object."),
        ("[42]", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."),
        ("{}", "Missing required property 'type'."),
        (r#"{"type":"foo"}"#, "Expected 'type' to be of type Number."),
        (r#"{"type":1}"#, "Missing required property 'target'."),
        (r#"{"type":1,"invocationId":42}"#, "Expected 'invocationId' to be of type String."),
        (r#"{"type":1,"invocationId":"42"}"#, "Missing required property 'target'."),
        (
            r#"{"type":1,"invocationId":"42","target":42}"#,
            "Expected 'target' to be of type String.",
        ),
        (
            r#"{"type":1,"invocationId":"42","target":"foo"}"#,
            "Missing required property 'arguments'.",
        ),
        (
            r#"{"type":1,"invocationId":"42","target":"foo","arguments":{}}"#,
            "Expected 'arguments' to be of type Array.",
        ),
        (r#"{"type":2}"#, "Missing required property 'invocationId'."),
        (r#"{"type":2,"invocationId":42}"#, "Expected 'invocationId' to be of type String."),
        (r#"{"type":2,"invocationId":"42"}"#, "Missing required property 'item'."),
        (r#"{"type":3}"#, "Missing required property 'invocationId'."),
        (r#"{"type":3,"invocationId":42}"#, "Expected 'invocationId' to be of type String."),
        (r#"{"type":3,"invocationId":"42","error":[]}"#, "Expected 'error' to be of type String."),
        (r#"{"type":3,"invocationId":"42","result":true"#, "Error reading JSON."),
        (r#"{"type":4}"#, "Missing required property 'invocationId'."),
        (r#"{"type":4,"invocationId":42}"#, "Expected 'invocationId' to be of type String."),
        (
            r#"{"type":4,"invocationId":"42","target":42}"#,
            "Expected 'target' to be of type String.",
        ),
        (
            r#"{"type":4,"invocationId":"42","target":"foo"}"#,
            "Missing required property 'arguments'.",
        ),
        (
            r#"{"type":4,"invocationId":"42","target":"foo","arguments":{}}"#,
            "Expected 'arguments' to be of type Array.",
        ),
    ] {
        assert_eq!(json::parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    }
}

/// Returns the content of a message in one line, with values as JSON.
fn shown(message: &ClientMessage<'_>) -> String {
    let call = |kind: &str, call: &Call<'_>| {
        let Call { id, target, arguments, stream_ids, .. } = call;
        let id = id.as_deref().unwrap_or("-");
        format!("{kind} {id} {target} {} to {stream_ids:?}", value(*arguments))
    };
    match message {
        ClientMessage::Invocation(invocation) => call("call", invocation),
        ClientMessage::StreamInvocation(invocation) => call("stream", invocation),
        ClientMessage::StreamItem { id, item } => format!("item {id} {}", value(*item)),
        ClientMessage::Completion { id, outcome: Err(error) } => format!("completion {id} {error}"),
        ClientMessage::Completion { id, outcome: Ok(None) } => format!("completion {id}"),
        ClientMessage::Completion { id, outcome: Ok(Some(result)) } => {
            format!("completion {id} {}", value(*result))
        }
        ClientMessage::CancelInvocation { id } => format!("cancel {id}"),
        ClientMessage::Ping => "ping".to_owned(),
        ClientMessage::Close => "close".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn value(raw: Raw<'_>) -> serde_json::Value {
    raw.read().unwrap()
}

/// Writes a message of a type that this server writes, without streams of the other side.
fn written(message: &ClientMessage<'_>) -> Option<Vec<u8>> {
    Some(match message {
        ClientMessage::Invocation(Call { id, target, arguments, stream_ids, .. })
            if stream_ids.is_empty() =>
        {
            let json = to_raw_value(&value(*arguments)).unwrap();
            match arguments {
                Raw::Json(_) => json::invocation(id.as_deref(), target, &json).to_vec(),
                Raw::MessagePack(_) => invocation(id.as_deref(), target, &json).to_vec(),
            }
        }
        ClientMessage::StreamItem { id, item: Raw::Json(item) } => {
            json::stream_item(id, item).to_vec()
        }
        ClientMessage::StreamItem { id, item: Raw::MessagePack(item) } => {
            stream_item(id, item).to_vec()
        }
        ClientMessage::Completion { id, outcome } => match outcome {
            Ok(Some(Raw::Json(result))) => json::completion(id, Ok(Some(result))).to_vec(),
            Ok(Some(Raw::MessagePack(result))) => completion(id, Ok(Some(result))).to_vec(),
            _ => return None,
        },
        _ => return None,
    })
}

fn check_value<T>(value: &T, bytes: &str)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    assert_eq!(messagepack::value(value).unwrap(), hex(bytes));
    assert_eq!(messagepack::read::<T>(&hex(bytes)).as_ref(), Some(value));
}

/// Returns a message without the one byte that is its length.
fn behind_length(message: &[u8]) -> &[u8] {
    assert_eq!(usize::from(message[0]), message.len() - 1);
    &message[1..]
}

/// Returns the bytes of hexadecimal digits. White space divides them for readers only.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}
