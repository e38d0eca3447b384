//! Types, limits and damaged input; `redis-protocol` decodes random values for comparison.

use proptest::collection::vec;
use proptest::prelude::*;
use redis_protocol::resp3::decode::complete::decode as independent;
use redis_protocol::resp3::types::OwnedFrame as Frame;

use super::*;

fn decode(bytes: &[u8]) -> Result<Option<Value>, InvalidReply> {
    Decoder::default().decode(&mut BytesMut::from(bytes))
}

fn text(text: &str) -> Value {
    Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

#[track_caller]
fn check(bytes: &str, expected: Value) {
    let mut buffer = BytesMut::from(&[bytes, "+next"].concat()[..]);
    assert_eq!(Decoder::default().decode(&mut buffer), Ok(Some(expected)), "{bytes:?}");
    assert_eq!(buffer, "+next");
}

#[test]
fn every_type_is_decoded() {
    check("+OK\r\n", Value::Simple("OK".into()));
    check("+a\rb\nc\r\n", Value::Simple("a\rb\nc".into()));
    check("-ERR no\r\n", Value::Error("ERR no".into()));
    check("!6\r\nERR\r\nx\r\n", Value::Error("ERR\r\nx".into()));
    check(":-7\r\n", Value::Integer(-7));
    check(":+7\r\n", Value::Integer(7));
    check(":9223372036854775807\r\n", Value::Integer(i64::MAX));
    check("$0\r\n\r\n", text(""));
    check("$4\r\na\r\nb\r\n", text("a\r\nb"));
    check("#t\r\n", Value::Boolean(true));
    check(",-1.5e3\r\n", Value::Double(-1500.0));
    check(",inf\r\n", Value::Double(f64::INFINITY));
    check("(-12345678901234567890\r\n", Value::BigNumber("-12345678901234567890".into()));
    check("=6\r\ntxt:hi\r\n", Value::Verbatim { format: *b"txt", text: "hi".into() });
    for null in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
        check(null, Value::Null);
    }
}

#[test]
fn aggregates_nest() {
    let one = || Value::Integer(1);
    check("*0\r\n", Value::Array(vec![]));
    check("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", {
        Value::Array(vec![one(), Value::Array(vec![text("a")])])
    });
    check("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n~1\r\n:1\r\n", {
        Value::Map(vec![(text("a"), one()), (text("b"), Value::Set(vec![one()]))])
    });
    check(">2\r\n*0\r\n*0\r\n", Value::Push(vec![Value::Array(vec![]), Value::Array(vec![])]));
}

#[test]
fn attributes_belong_to_the_next_value() {
    let pair = |key, value| (text(key), Value::Integer(value));
    let ok = || Box::new(Value::Simple("OK".into()));
    check("|1\r\n$1\r\na\r\n:1\r\n+OK\r\n", Value::Attributed(vec![pair("a", 1)], ok()));
    check("|0\r\n+OK\r\n", Value::Simple("OK".into()));
    check("*2\r\n|1\r\n$1\r\na\r\n:1\r\n|1\r\n$1\r\nb\r\n:2\r\n+OK\r\n:3\r\n", {
        let attributed = Value::Attributed(vec![pair("a", 1), pair("b", 2)], ok());
        Value::Array(vec![attributed, Value::Integer(3)])
    });
    // A value must follow, also at the end of an aggregate.
    assert_eq!(decode(b"*1\r\n|1\r\n:1\r\n:2\r\n"), Ok(None));
}

#[test]
fn long_chains_of_attributes_do_not_nest() {
    let chain = "|0\r\n".repeat(100_000) + &"|1\r\n:1\r\n:2\r\n".repeat(100_000) + "+OK\r\n";
    let Ok(Some(Value::Attributed(pairs, _))) = decode(chain.as_bytes()) else {
        panic!("expected attributes")
    };
    assert_eq!(pairs.len(), 100_000);
}

#[test]
fn other_protocols_are_rejected() {
    for (bytes, expected) in [
        ("HTTP/1.1 400 Bad Request", InvalidReply::Kind(b'H')),
        ("\r\n", InvalidReply::Kind(b'\r')),
        (":x\r\n", InvalidReply::Text(b':')),
        (":\r\n", InvalidReply::Text(b':')),
        ("_x\r\n", InvalidReply::Text(b'_')),
        ("#x\r\n", InvalidReply::Text(b'#')),
        (",x\r\n", InvalidReply::Text(b',')),
        ("(-\r\n", InvalidReply::Text(b'(')),
        ("=3\r\ntxt\r\n", InvalidReply::Text(b'=')),
        ("$x\r\n", InvalidReply::Length),
        ("$?\r\n", InvalidReply::Length),
        ("$-2\r\n", InvalidReply::Length),
        ("$03\r\nabc\r\n", InvalidReply::Length),
        ("=-1\r\n", InvalidReply::Length),
        ("$536870913\r\n", InvalidReply::Length),
        ("*1048577\r\n", InvalidReply::Length),
        ("%524289\r\n", InvalidReply::Length),
        ("$1\r\nabc\r\n", InvalidReply::NoLineEnd),
    ] {
        assert_eq!(decode(bytes.as_bytes()), Err(expected), "{bytes:?}");
    }
}

#[test]
fn no_value_follows_an_error() {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from(":x\r\n+OK\r\n"));
    for _ in 0..2 {
        assert_eq!(decoder.decode(&mut buffer), Err(InvalidReply::Text(b':')));
    }
}

#[test]
fn limits_are_exact() {
    let limits = Limits { depth_max: 2, items_max: 2, bulk_bytes_max: 2, line_bytes_max: 4 };
    let decode = |bytes: &str| Decoder::new(limits).decode(&mut BytesMut::from(bytes));
    assert!(matches!(decode("*1\r\n*0\r\n"), Ok(Some(_))));
    assert_eq!(decode("*1\r\n*1\r\n*0\r\n"), Err(InvalidReply::TooDeep));
    assert!(matches!(decode("*2\r\n:1\r\n:1\r\n"), Ok(Some(_))));
    assert_eq!(decode("*3\r\n"), Err(InvalidReply::Length));
    assert!(matches!(decode("%1\r\n:1\r\n:1\r\n"), Ok(Some(_))));
    assert_eq!(decode("%2\r\n"), Err(InvalidReply::Length));
    assert!(matches!(decode("$2\r\nab\r\n"), Ok(Some(_))));
    assert_eq!(decode("$3\r\n"), Err(InvalidReply::Length));
    assert!(matches!(decode("+1234\r\n"), Ok(Some(_))));
    assert_eq!(decode("+1234\r"), Ok(None));
    assert_eq!(decode("+12345"), Ok(None));
    assert_eq!(decode("+12345\r"), Err(InvalidReply::LineTooLong));
}

#[test]
fn announced_lengths_and_depths_take_no_memory() {
    assert_eq!(decode(b"$536870912\r\n"), Ok(None));
    assert_eq!(decode(&b"*1048576\r\n".repeat(128)), Ok(None));
    assert_eq!(decode(&b"*1\r\n".repeat(100_000)), Err(InvalidReply::TooDeep));
}

#[test]
fn damaged_input_is_rejected_or_incomplete() {
    let whole =
        b"*3\r\n$7\r\nmessage\r\n%1\r\n+a\r\n,1.5\r\n|1\r\n:1\r\n:2\r\n*2\r\n:-12\r\n$-1\r\n";
    assert!(matches!(decode(whole), Ok(Some(_))));
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut damaged = BytesMut::from(&whole[..]);
            damaged[at] = byte;
            let length = damaged.len();
            if let Ok(Some(_)) = Decoder::default().decode(&mut damaged) {
                assert!(damaged.len() < length, "the decoder took no bytes");
            }
        }
    }
}

/// Values that both decoders represent alike.
fn values() -> impl Strategy<Value = Value> {
    let bytes = || vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let word = || "[a-zA-Z0-9 ]{0,20}".prop_map(Bytes::from);
    let leaf = prop_oneof![
        word().prop_map(Value::Simple),
        word().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Double),
        "-?[1-9][0-9]{0,40}".prop_map(|digits| Value::BigNumber(digits.into())),
        bytes().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = any::<i64>().prop_map(Value::Integer);
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec(inner.clone(), 1..5).prop_map(Value::Push),
            // `redis-protocol` drops equal keys and items.
            proptest::collection::btree_set(any::<i64>(), 0..5)
                .prop_map(|items| Value::Set(items.into_iter().map(Value::Integer).collect())),
            (key, inner).prop_map(|pair| Value::Map(vec![pair])),
        ]
    })
}

fn write(value: &Value, out: &mut Vec<u8>) {
    let line = |kind, text: &[u8], out: &mut Vec<u8>| Part::Line { kind, text }.encode(out);
    let items = |kind, items: &[Value], out: &mut Vec<u8>| {
        Part::Header { kind, items: items.len() }.encode(out);
        items.iter().for_each(|item| write(item, out));
    };
    match value {
        Value::Simple(text) => line(b'+', text, out),
        Value::Error(text) => line(b'-', text, out),
        Value::Integer(value) => line(b':', value.to_string().as_bytes(), out),
        Value::Bulk(data) => Part::Bulk { kind: b'$', data }.encode(out),
        Value::Null => line(b'_', b"", out),
        Value::Boolean(value) => line(b'#', if *value { b"t" } else { b"f" }, out),
        Value::Double(value) => line(b',', value.to_string().as_bytes(), out),
        Value::BigNumber(digits) => line(b'(', digits, out),
        Value::Verbatim { format, text } => {
            let data = [format, &b":"[..], text].concat();
            Part::Bulk { kind: b'=', data: &data }.encode(out);
        }
        Value::Array(values) => items(b'*', values, out),
        Value::Set(values) => items(b'~', values, out),
        Value::Push(values) => items(b'>', values, out),
        Value::Map(pairs) | Value::Attributed(pairs, _) => {
            let kind = if matches!(value, Value::Map(_)) { b'%' } else { b'|' };
            Part::Header { kind, items: 2 * pairs.len() }.encode(out);
            for (key, value) in pairs {
                write(key, out);
                write(value, out);
            }
            if let Value::Attributed(_, described) = value {
                write(described, out);
            }
        }
    }
}

fn same(value: &Value, frame: &Frame) -> bool {
    match (value, frame) {
        (Value::Simple(own), Frame::SimpleString { data, .. })
        | (Value::Bulk(own), Frame::BlobString { data, .. })
        | (Value::BigNumber(own), Frame::BigNumber { data, .. })
        | (Value::Verbatim { text: own, .. }, Frame::VerbatimString { data, .. }) => own == data,
        (Value::Error(own), Frame::SimpleError { data, .. }) => own == data,
        (Value::Integer(own), Frame::Number { data, .. }) => own == data,
        (Value::Boolean(own), Frame::Boolean { data, .. }) => own == data,
        (Value::Double(own), Frame::Double { data, .. }) => own == data,
        (Value::Null, Frame::Null) => true,
        (Value::Array(own), Frame::Array { data, .. })
        | (Value::Push(own), Frame::Push { data, .. }) => {
            own.len() == data.len() && own.iter().zip(data).all(|(own, data)| same(own, data))
        }
        (Value::Set(own), Frame::Set { data, .. }) => {
            own.len() == data.len() && own.iter().zip(data).all(|(own, data)| same(own, data))
        }
        (Value::Map(own), Frame::Map { data, .. }) => {
            let is_same = |((key, value), (other, data)): (&(Value, Value), (&Frame, &Frame))| {
                same(key, other) && same(value, data)
            };
            own.len() == data.len() && own.iter().zip(data).all(is_same)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn values_are_decoded_as_by_an_independent_decoder(value in values()) {
        let mut bytes = Vec::new();
        write(&value, &mut bytes);
        let own = decode(&bytes).unwrap().expect("a complete value");
        prop_assert_eq!(&own, &value);
        let (frame, length) = independent(&bytes).unwrap().expect("a complete value");
        prop_assert_eq!(length, bytes.len());
        prop_assert!(same(&own, &frame), "{own:?} is not {frame:?}");
    }

    #[test]
    fn values_may_arrive_in_any_pieces(
        values in vec(values(), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write(value, &mut bytes));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
        let mut decoded = Vec::new();
        for cut in cuts.windows(2) {
            buffer.extend_from_slice(&bytes[cut[0]..cut[1]]);
            while let Some(value) = decoder.decode(&mut buffer).unwrap() {
                decoded.push(value);
            }
        }
        prop_assert_eq!(decoded, values);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn any_bytes_are_decoded_or_rejected(bytes in "[-+:_#,($!=*~>%|0-9ab\r\n]{0,60}") {
        let mut buffer = BytesMut::from(bytes.as_bytes());
        let mut decoder = Decoder::default();
        while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
    }

    #[test]
    fn a_part_encodes_the_bytes_that_it_was_decoded_from(bytes in "[+:_$*%|][0-2]\r\n[ab]{1,2}\r\n") {
        if let Ok(Some((part, length))) = Part::decode(bytes.as_bytes(), &Limits::default()) {
            let mut out = Vec::new();
            part.encode(&mut out);
            prop_assert_eq!(&out[..], &bytes.as_bytes()[..length]);
        }
    }
}
