//! Messages byte by byte, in both directions. Vectors with a length prefix are from .NET's server
//! and client.

use std::{collections::BTreeMap, net::Ipv4Addr};

use dialect::{length_prefix, messagepack::from_json};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{super::message::Raw, *};
use crate::{Blob, Timestamp, fuzzing};

#[test]
fn a_call_has_five_or_six_items() {
    let six = "96 01 80 a3 78797a a6 6d6574686f64 91 2a 90";
    let five = "95 01 80 a3 78797a a6 6d6574686f64 91 2a";
    let more = "97 01 80 a3 78797a a6 6d6574686f64 91 2a 90 c0";
    for message in [six, five, more] {
        let bytes = hex(message);
        let call = invoked(&bytes);
        assert_eq!((call.id.as_deref(), &*call.target), (Some("xyz"), "method"), "{message}");
        assert_eq!(raw(call.arguments), hex("91 2a"), "{message}");
        assert!(call.stream_ids.is_empty() && call.headers.is_empty(), "{message}");
    }
}

#[test]
fn a_call_without_an_id_expects_no_completion() {
    for message in ["96 01 80 c0 a1 61 90 90", "96 01 80 a0 a1 61 90 90"] {
        assert_eq!(invoked(&hex(message)).id, None, "{message}");
    }
}

#[test]
fn a_call_has_headers_and_streams() {
    let bytes = hex("96 01 82 a1 61 a1 62 a1 63 d9 01 64 a1 31 a1 6d 92 01 90 92 a1 32 a1 33");
    let call = invoked(&bytes);
    assert_eq!(call.headers, [("a".into(), "b".into()), ("c".into(), "d".into())]);
    assert_eq!(call.stream_ids, ["2", "3"]);
    assert_eq!(elements(raw(call.arguments)), Some(vec![&[0x01][..], &[0x90]]));
}

#[test]
fn a_call_of_a_stream_needs_an_id() {
    let bytes = hex("96 04 80 a1 37 a7 436f756e746572 92 02 00 90");
    let Ok(ClientMessage::StreamInvocation(call)) = parse(&bytes) else { panic!("a stream") };
    assert_eq!((call.id.as_deref(), &*call.target), (Some("7"), "Counter"));
    assert_eq!(raw(call.arguments), hex("92 02 00"));
    check_error("96 04 80 c0 a1 61 90 90", "Missing required property 'invocationId'.");
}

#[test]
fn a_client_sends_items_completions_and_cancellations() {
    let bytes = hex("94 02 80 a3 78797a 2a");
    let Ok(ClientMessage::StreamItem { id, item }) = parse(&bytes) else { panic!("an item") };
    assert_eq!((&*id, raw(item)), ("xyz", &[0x2a][..]));

    let completion = |message: &str| {
        let bytes = hex(message);
        let Ok(ClientMessage::Completion { id, outcome }) = parse(&bytes) else { panic!() };
        assert_eq!(id, "xyz", "{message}");
        let outcome = outcome.map_err(std::borrow::Cow::into_owned);
        outcome.map(|result| result.map(|result| raw(result).to_vec()))
    };
    assert_eq!(completion("95 03 80 a3 78797a 01 a5 4572726f72"), Err("Error".to_owned()));
    assert_eq!(completion("95 03 80 a3 78797a 01 c0"), Err(String::new()));
    assert_eq!(completion("94 03 80 a3 78797a 02"), Ok(None));
    assert_eq!(completion("95 03 80 a3 78797a 03 2a"), Ok(Some(vec![0x2a])));
    assert_eq!(completion("95 03 80 a3 78797a 03 c0"), Ok(Some(vec![0xc0])));

    let bytes = hex("93 05 80 a3 78797a");
    let Ok(ClientMessage::CancelInvocation { id }) = parse(&bytes) else { panic!("a cancel") };
    assert_eq!(id, "xyz");
}

#[test]
fn control_messages_have_few_items() {
    for ping in ["91 06", "92 06 c0", "91 cc 06", "dc 0001 d1 0006"] {
        assert!(matches!(parse(&hex(ping)), Ok(ClientMessage::Ping)), "{ping}");
    }
    for close in ["92 07 c0", "93 07 c0 c2", "93 07 a1 78 c3", "91 07"] {
        assert!(matches!(parse(&hex(close)), Ok(ClientMessage::Close)), "{close}");
    }
    for (ack, expected) in [("92 08 05", 5), ("92 08 cf 0000000100000000", 1 << 32)] {
        let Ok(ClientMessage::Ack(id)) = parse(&hex(ack)) else { panic!("{ack}") };
        assert_eq!(id, expected);
    }
    assert!(matches!(parse(&hex("92 09 01")), Ok(ClientMessage::Sequence(1))));
    for other in ["91 63", "91 00", "91 ff", "91 d2 7fffffff", "93 18 c1 c1"] {
        assert!(matches!(parse(&hex(other)), Ok(ClientMessage::Other)), "{other}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_replaced() {
    let bytes = hex("95 01 80 c0 a2 61 ff 90");
    assert_eq!(invoked(&bytes).target, "a\u{fffd}");
}

#[test]
fn arguments_that_are_no_array_are_left_to_the_method() {
    let bytes = hex("96 01 80 a1 30 a4 4563686f c0 90");
    assert_eq!(elements(raw(invoked(&bytes).arguments)), None);
}

#[test]
fn the_error_names_the_violation() {
    // The texts of these are from a .NET server.
    check_error("c0", "Unexpected msgpack code 192 (nil) encountered.");
    check_error("91 a1 36", "Reading 'messageType' as Int32 failed.");
    check_error("96 01 80 07 a4 4563686f 91 a1 61 90", "Reading 'invocationId' as String failed.");

    check_error("", "Error reading MessagePack.");
    check_error("dd 000000", "Error reading MessagePack.");
    check_error("a1 61", "Unexpected msgpack code 161 (fixstr) encountered.");
    check_error("c1", "Unexpected msgpack code 193 ((never used)) encountered.");
    check_error("90", "Reading 'messageType' as Int32 failed.");
    check_error("91 ce 80000000", "Reading 'messageType' as Int32 failed.");
    check_error("95 01 90 c0 a1 61 90", "Reading map length for 'headers' failed.");
    check_error("95 01 81 a1 61 a0 c0 a1 61 90", "Reading 'headers[0].Value' as String failed.");
    check_error("95 01 80 c0 07 90", "Reading 'target' as String failed.");
    check_error("95 01 80 c0 a0 90", "Missing required property 'target'.");
    check_error("95 01 80 c0 c0 90", "Missing required property 'target'.");
    check_error("94 01 80 c0 a1 61 90", "Reading 'arguments' as Object failed.");
    check_error("95 01 80 c0 a1 61 91", "Reading 'arguments' as Object failed.");
    check_error("96 01 80 c0 a1 61 90 91 07", "Reading array length for 'streamIds' failed.");
    check_error("96 01 80 c0 a1 61 90 91 a0", "Reading array length for 'streamIds' failed.");
    check_error("94 02 80 a0 01", "Missing required property 'invocationId'.");
    check_error("93 02 80 a1 61", "Reading 'item' as Object failed.");
    check_error("94 03 80 a1 61 04", "Invalid invocation result kind.");
    check_error("94 03 80 a1 61 a1 31", "Reading 'resultKind' as Int32 failed.");
    check_error("94 03 80 a1 61 03", "Reading 'result' as Object failed.");
    check_error("95 03 80 a1 61 01 07", "Reading 'error' as String failed.");
    check_error("92 08 ff", "Reading 'sequenceId' as Int64 failed.");
    check_error("91 09", "Reading 'sequenceId' as Int64 failed.");
}

#[test]
fn written_messages_are_those_of_a_dotnet_server() {
    check_written(&PING, "02 91 06");
    check_written(&close(None, false), "04 93 07 c0 c2");
    check_written(&close(None, true), "04 93 07 c0 c3");
    check_written(&ack(5), "03 92 08 05");
    check_written(&sequence(1), "03 92 09 01");
    check_written(&ack(70_000), "07 92 08 ce 00011170");
    check_written(&completion("0", Ok(None)), "06 94 03 80 a1 30 02");
    check_written(&completion("0", Ok(Some(&[0xc0]))), "07 95 03 80 a1 30 03 c0");
    check_written(&completion("0", Ok(Some(b"\xa1a"))), "08 95 03 80 a1 30 03 a1 61");
    check_written(&completion("0", Err("Error")), "0c 95 03 80 a1 30 01 a5 4572726f72");
    check_written(&stream_item("xyz", &[0x2a]), "08 94 02 80 a3 78797a 2a");
    let none = to_raw_value(&json!([])).unwrap();
    check_written(&invocation(None, "target", &none), "0d 96 01 80 c0 a6 746172676574 90 90");
    let arguments = to_raw_value(&("alice", "hi")).unwrap();
    check_written(
        &invocation(None, "send", &arguments),
        "14 96 01 80 c0 a4 73656e64 92 a5 616c696365 a2 6869 90",
    );
    let one = to_raw_value(&[42]).unwrap();
    check_written(
        &invocation(Some("xyz"), "method", &one),
        "11 96 01 80 a3 78797a a6 6d6574686f64 91 2a 90",
    );
}

#[test]
fn long_errors_are_those_of_a_dotnet_server() {
    let error = "An unexpected error occurred invoking 'ThrowHubException' on the server. \
                 HubException: why";
    let head = [&hex("62 95 03 80 a1 36 01 d9 5a")[..], error.as_bytes()].concat();
    assert_eq!(completion("6", Err(error)), head);

    let close_with = |head: &str, error: ProtocolError| {
        let text = format!("Connection closed with an error. {}: {error}", error.exception());
        let expected = [&hex(head)[..], text.as_bytes(), &[0xc3]].concat();
        assert_eq!(close(Some(&text), true), expected);
    };
    close_with("77 93 07 d9 72", parse(&[0xc0]).unwrap_err());
    close_with("62 93 07 d9 5d", parse(&hex("91 a1 36")).unwrap_err());
    close_with("64 93 07 d9 5f", parse(&hex("96 01 80 07 a4 4563686f 91 a1 61 90")).unwrap_err());
    let length_of_six_bytes = length_prefix::split(&hex("ff ff ff ff ff 01"), 32_768);
    close_with("63 93 07 d9 5e", length_of_six_bytes.unwrap_err().into());
    let length_above_32_kib = length_prefix::split(&hex("c0 b8 02"), 32_768);
    close_with("a1 01 93 07 d9 9c", length_above_32_kib.unwrap_err().into());
}

#[test]
fn values_of_a_dotnet_server_are_read_and_written() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Complex {
        string: String,
        int_array: Vec<i32>,
        guid: String,
        byte_array: Blob,
        date_time: Timestamp,
    }
    let complex = Complex {
        string: "hello world".to_owned(),
        int_array: vec![1, 2, 3],
        guid: "00010203-0405-0607-0706-050403020100".to_owned(),
        byte_array: vec![1, 2, 3].into(),
        date_time: "2000-01-01T00:00:00Z".parse().unwrap(),
    };
    let frame = hex("70 95 03 80 a1 38 03 85 a6 537472696e67 ab 68656c6c6f20776f726c64
         a8 496e744172726179 93 01 02 03 a4 47756964
         d9 24 30303031303230332d303430352d303630372d303730362d303530343033303230313030
         a9 427974654172726179 c4 03 010203 a8 4461746554696d65 d6 ff 386d4380");
    let Ok(ClientMessage::Completion { outcome: Ok(Some(result)), .. }) = parse(&frame[1..]) else {
        panic!("a result")
    };
    assert_eq!(completion("8", Ok(Some(&value(&complex).unwrap()))), frame);
    assert_eq!(read(raw(result)), Some(complex));
}

#[test]
fn arguments_of_a_dotnet_server_are_read_one_by_one() {
    let bytes =
        hex("39 96 01 80 c0 a1 6d 97 82 a1 61 01 a1 42 02 a6 467269646179 d7 ff bc1cbd0065e079f0
         92 d6 ff 65e079f0 78 ce 00e4e1c0 63 93 d2 00000001 a3 74776f c0 90");
    let call = invoked(&bytes[1..]);
    let arguments = elements(raw(call.arguments)).unwrap();
    let values: Vec<Value> = arguments.iter().map(|value| read(value).unwrap()).collect();
    let expected = json!([
        {"a": 1, "B": 2},
        "Friday",
        "2024-02-29T12:34:56.789Z",
        ["2024-02-29T12:34:56Z", 120],
        15_000_000,
        99,
        [1, "two", null]
    ]);
    assert_eq!(Value::from(values), expected);
}

#[test]
fn numbers_and_lengths_have_their_shortest_form() {
    for (number, expected) in [
        (0_i64, "00"),
        (127, "7f"),
        (128, "cc 80"),
        (256, "cd 0100"),
        (65_536, "ce 00010000"),
        (4_294_967_296, "cf 0000000100000000"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0 df"),
        (-129, "d1 ff7f"),
        (-32_769, "d2 ffff7fff"),
        (-2_147_483_649, "d3 ffffffff7fffffff"),
    ] {
        let json = to_raw_value(&number).unwrap();
        assert_eq!(from_json(&json), hex(expected), "{number}");
        check_value(&number, expected);
        check_value(&i128::from(number), expected);
    }
    check_value(&u64::MAX, "cf ffffffffffffffff");
    check_value(&u128::from(u64::MAX), "cf ffffffffffffffff");
    check_value(&1.5_f32, "ca 3fc00000");
    check_value(&1.0_f64, "cb 3ff0000000000000");
    check_value(&"x".repeat(31), &format!("bf {}", "78".repeat(31)));
    check_value(&"x".repeat(32), &format!("d9 20 {}", "78".repeat(32)));
    check_value(&vec![1; 15], &format!("9f {}", "01".repeat(15)));
    check_value(&vec![1; 16], &format!("dc 0010 {}", "01".repeat(16)));
    assert!(value(&u128::MAX).is_err());
    assert!(value(&i128::MIN).is_err());
}

#[test]
fn types_are_written_as_in_json() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Newtype(u8);
    #[derive(Serialize)]
    struct Pair(u8, u8);
    #[derive(Serialize)]
    struct Named {
        a: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        b: Option<u8>,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, u8>,
    }
    #[derive(Serialize)]
    enum Choice {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    check_value(&(), "c0");
    check_value(&Unit, "c0");
    check_value(&None::<u8>, "c0");
    check_value(&Some(true), "c3");
    check_value(&'a', "a1 61");
    check_value(&Newtype(1), "01");
    check_value(&Pair(1, 2), "92 01 02");
    check_value(&("a", 1, false), "93 a1 61 01 c2");
    check_value(&Named { a: 1, b: None, rest: [("c", 3)].into() }, "82 a1 61 01 a1 63 03");
    check_value(&BTreeMap::from([(1, "x")]), "81 01 a1 78");
    check_value(&Choice::Unit, "a4 556e6974");
    check_value(&Choice::Newtype(1), "81 a7 4e657774797065 01");
    check_value(&Choice::Tuple(1, 2), "81 a5 5475706c65 92 01 02");
    check_value(&Choice::Struct { a: 1 }, "81 a6 537472756374 81 a1 61 01");
    check_value(&[Choice::Newtype(1), Choice::Unit], "92 81 a7 4e657774797065 01 a4 556e6974");
    // Its binary form would be four numbers.
    check_value(&Ipv4Addr::LOCALHOST, "a9 3132372e302e302e31");
    assert_eq!(read(&hex("a9 3132372e302e302e31")), Some(Ipv4Addr::LOCALHOST));
}

#[test]
fn a_wrong_or_unknown_length_is_corrected() {
    struct Wrong(Option<usize>, u8);
    impl Serialize for Wrong {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = serializer.serialize_seq(self.0)?;
            (0..self.1).try_for_each(|_| list.serialize_element(&7))?;
            list.end()
        }
    }
    check_value(&Wrong(None, 0), "90");
    check_value(&Wrong(None, 2), "92 07 07");
    check_value(&Wrong(Some(100), 2), "92 07 07");
    check_value(&Wrong(Some(2), 16), &format!("dc 0010 {}", "07".repeat(16)));
    check_value(&(1, Wrong(None, 16), 2), &format!("93 01 dc 0010 {} 02", "07".repeat(16)));
}

#[test]
fn a_blob_is_binary_or_base64() {
    let blob = Blob::from(vec![1, 2, 3]);
    check_value(&blob, "c4 03 010203");
    check_value(&vec![Some(blob.clone())], "91 c4 03 010203");
    for bytes in ["c4 03 010203", "c5 0003 010203", "a4 41514944"] {
        assert_eq!(read(&hex(bytes)), Some(blob.clone()), "{bytes}");
    }
    assert_eq!(read::<Blob>(&hex("a1 41")), None);
    assert_eq!(read::<Blob>(&hex("93 01 02 03")), None);
    assert_eq!(from_json(&to_raw_value(&blob).unwrap()), hex("a4 41514944"));
}

#[test]
fn a_time_is_a_timestamp() {
    for (text, expected) in [
        ("2000-01-01T00:00:00Z", "d6 ff 386d4380"),
        // From a .NET server.
        ("2024-02-29T12:34:56.789Z", "d7 ff bc1cbd0065e079f0"),
        ("1969-12-31T23:59:59.000000001Z", "c7 0c ff 00000001 ffffffffffffffff"),
    ] {
        let time: Timestamp = text.parse().unwrap();
        check_value(&time, expected);
        check_value(&vec![Some(time)], &format!("91 {expected}"));
        assert_eq!(read(&hex(expected)), Some(time), "{text}");
        assert_eq!(read(&value(&text).unwrap()), Some(time), "{text}");
    }
    assert_eq!(read::<Timestamp>(&hex("d6 fe 386d4380")), None);
    assert_eq!(read::<Timestamp>(&hex("00")), None);
}

#[test]
fn a_timestamp_is_text_for_types_that_read_text() {
    let time = hex("d6 ff 386d4380");
    let text = "2000-01-01T00:00:00Z".to_owned();
    assert_eq!(read(&time), Some(text.clone()));
    assert_eq!(read(&time), Some(Some(text.clone())));
    assert_eq!(read(&time), Some(json!(text)));
    assert_eq!(read(&[&[0x92], &time[..], &time].concat()), Some(vec![text.clone(); 2]));
    assert_eq!(read::<u64>(&time), None);
    assert_eq!(read::<String>(&hex("d6 fe 386d4380")), None);
    assert_eq!(read::<String>(&hex("d5 ff 0000")), None);
}

#[test]
fn a_value_is_read_whole() {
    assert_eq!(read(&hex("07")), Some(7_u8));
    assert_eq!(read::<u8>(&hex("07 07")), None);
    assert_eq!(read::<u8>(&hex("cd 0100")), None);
    assert_eq!(read::<u8>(&[]), None);
    assert_eq!(read::<(u8, u8)>(&hex("93 01 02 03")), None);
    assert_eq!(read::<Vec<u8>>(&hex("93 01 02")), None);
    assert_eq!(elements(&hex("90")), Some(vec![]));
    assert_eq!(elements(&hex("90 90")), None);
    assert_eq!(elements(&hex("92 01")), None);
    assert_eq!(elements(&hex("81 01 02")), None);
    assert_eq!(elements(&hex("dd ffffffff 01 02")), None);
    let arrays = hex("92 91 01 81 02 03");
    assert_eq!(elements(&arrays), Some(vec![&[0x91, 0x01][..], &[0x81, 0x02, 0x03]]));
}

#[test]
fn json_keeps_its_order_and_its_numbers() {
    check_json(r#"{"b":1,"a":[18446744073709551615,-1,1.0]}"#, {
        "82 a1 62 01 a1 61 93 cf ffffffffffffffff ff cb 3ff0000000000000"
    });
    check_json(r#"[null,true,"\u00e9\n",{}]"#, "94 c0 c3 a3 c3a90a 80");
    check_json("123456789012345678901", "cb 441ac53a7e04bcda");
    check_json(r#""\ud83d\ude00""#, "a4 f09f9880");
}

#[test]
fn json_without_a_meaning_is_nil() {
    for json in ["1e400", r#""\ud800""#, r#"{"a":[1,"\udc00"]}"#] {
        check_json(json, "c0");
    }
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = from_json(&RawValue::from_string(nested(127)).unwrap());
    assert_eq!(deepest, [vec![0x91; 126], vec![0x90]].concat());
    check_json(&nested(128), "c0");
    check_json(&nested(100_000), "c0");
    let arguments = RawValue::from_string(format!("[1,{},2]", nested(200))).unwrap();
    let frame = invocation(None, "a", &arguments);
    assert_eq!(raw(invoked(&frame[1..]).arguments), hex("93 01 c0 02"));
}

#[test]
fn values_nest_at_most_128_times() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(Vec<List>);
    #[derive(Debug, Serialize, Deserialize)]
    enum Chain {
        Next(Box<Chain>),
        End,
    }
    let list = |depth: usize| (1..depth).fold(List(vec![]), |inner, _| List(vec![inner]));
    let bytes = [vec![0x91; NESTING_MAX - 1], vec![0x90]].concat();
    assert_eq!(value(&list(NESTING_MAX)).unwrap(), bytes);
    assert_eq!(read(&bytes), Some(list(NESTING_MAX)));
    assert!(value(&list(NESTING_MAX + 1)).is_err());
    assert_eq!(read::<List>(&[&[0x91], &bytes[..]].concat()), None);

    let chain = |depth| (0..depth).fold(Chain::End, |next, _| Chain::Next(Box::new(next)));
    let bytes = value(&chain(NESTING_MAX)).unwrap();
    assert!(read::<Chain>(&bytes).is_some());
    assert!(value(&chain(NESTING_MAX + 1)).is_err());
    let deeper = [&hex("81 a4 4e657874"), &bytes[..]].concat();
    assert!(read::<Chain>(&deeper).is_none());

    for opening in ["91", "81 01", "81 91"] {
        let deep = hex(opening).repeat(100_000);
        assert_eq!(elements(&deep), None);
        assert_eq!(read::<Value>(&deep), None);
        assert!(parse(&[&hex("95 01 80 c0 a1 61"), &deep[..]].concat()).is_err());
        assert!(parse(&[&hex("95 03 80 a1 61 03"), &deep[..]].concat()).is_err());
    }
}

#[test]
fn every_prefix_and_mutation_is_a_message_or_an_error() {
    let mut random = Random(1);
    for message in MESSAGES {
        let bytes = hex(message);
        for end in 0..bytes.len() {
            fuzzing::message(&bytes[..end]);
            // A Close message is accepted without its items.
            assert!(parse(&bytes[..end]).is_err() || bytes[1] == 7, "{message} {end}");
        }
        for at in 0..bytes.len() {
            for byte in 0..=u8::MAX {
                let mut mutated = bytes.clone();
                mutated[at] = byte;
                fuzzing::message(&mutated);
            }
        }
        for _ in 0..2_000 {
            let mut mutated = bytes.clone();
            for _ in 0..random.below(4) {
                let at = random.below(mutated.len());
                match random.below(3) {
                    0 => mutated[at] = random.byte(),
                    1 => mutated.insert(at, random.byte()),
                    _ => drop(mutated.splice(at..at, [0xdd, 0xff, 0xff, 0xff, 0xff])),
                }
            }
            fuzzing::message(&mutated);
        }
    }
}

#[test]
fn values_are_those_of_rmp_serde() {
    let mut random = Random(2);
    for _ in 0..2_000 {
        let tree = random.value(4);
        let bytes = value(&tree).unwrap();
        assert_eq!(bytes, rmp_serde::to_vec_named(&tree).unwrap(), "{tree}");
        assert_eq!(bytes, from_json(&to_raw_value(&tree).unwrap()), "{tree}");
        assert_eq!(rmp_serde::from_slice::<Value>(&bytes).unwrap(), tree);
        assert_eq!(read::<Value>(&bytes).unwrap(), tree);
    }
}

fn invoked(message: &[u8]) -> Call<'_> {
    let Ok(ClientMessage::Invocation(call)) = parse(message) else { panic!("{message:x?}") };
    call
}

fn raw<'a>(value: Raw<'a>) -> &'a [u8] {
    let Raw::MessagePack(bytes) = value else { panic!("{value:?}") };
    bytes
}

fn check_error(message: &str, expected: &str) {
    assert_eq!(parse(&hex(message)).unwrap_err().to_string(), expected, "{message}");
}

fn check_written(message: &[u8], expected: &str) {
    assert_eq!(message, hex(expected), "{expected}");
}

fn check_value(written: &impl Serialize, expected: &str) {
    assert_eq!(value(written).unwrap(), hex(expected), "{expected}");
}

fn check_json(json: &str, expected: &str) {
    let json = RawValue::from_string(json.to_owned()).unwrap();
    assert_eq!(from_json(&json), hex(expected), "{json}");
}

/// Returns the bytes of hexadecimal digits. White space divides them for readers only.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

/// A xorshift generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % u64::try_from(end).unwrap()).try_into().unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn value(&mut self, depth: usize) -> Value {
        let kinds = if depth == 0 { 7 } else { 9 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => json!(self.next().is_multiple_of(2)),
            2 => json!(self.next() >> self.below(64)),
            3 => json!((self.next() >> self.below(64)).cast_signed()),
            4 => json!(-(i64::from(self.byte()) << self.below(48))),
            5 => json!(f64::from(self.byte()) / 4.0),
            6 => json!("é".repeat(self.below(40))),
            7 => (0..self.below(18)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let entries = (0..self.below(18)).map(|at| (at.to_string(), self.value(depth - 1)));
                Value::Object(entries.collect())
            }
        }
    }
}

/// A message of each type, and forms of values.
const MESSAGES: [&str; 14] = [
    "96 01 80 a3 78797a a6 6d6574686f64 91 2a 90",
    "96 01 82 a1 61 a1 62 a1 63 a1 64 c0 a1 6d 92 81 a1 61 c3 c4 02 0102 91 a1 32",
    "96 04 80 a1 37 a7 436f756e746572 92 02 00 90",
    "95 01 80 c0 a1 6d 93 d6 ff 386d4380 d7 ff bc1cbd0065e079f0 c7 0c ff 00000001ffffffffffffffff",
    "95 01 80 c0 a1 6d 91 dd 00000002 df 00000001 01 02 db 00000001 61",
    "95 01 80 c0 a1 6d 95 ca 3fc00000 cb 3ff0000000000000 cf ffffffffffffffff d3 8000000000000000 e0",
    "94 02 80 a3 78797a 92 01 92 02 c0",
    "95 03 80 a3 78797a 01 a5 4572726f72",
    "94 03 80 a3 78797a 02",
    "95 03 80 a3 78797a 03 93 01 90 80",
    "93 05 80 a3 78797a",
    "91 06",
    "93 07 a1 78 c3",
    "92 08 cf 0000000100000000",
];
