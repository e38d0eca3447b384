//! Recorded payloads of two servers of ASP.NET Core 10, in both directions.
//!
//! `published.tsv` has each payload that they published, with the call that caused it.
//! `foreign.tsv` has payloads made by hand, and the reaction of a server.

#![allow(clippy::unwrap_used)]

use dialect::aspnetcore::{Ack, Action, Channel, Completion, Envelope, GroupCommand, ReplyTo};
use dialect::messagepack::{Head, Reader};
use dialect::{Encoding, json, messagepack};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One payload that a server published.
struct Published {
    mode: &'static str,
    call: &'static str,
    channel: String,
    payload: Vec<u8>,
}

#[test]
fn each_payload_is_read_and_written_again() {
    let mut kinds = [0; 4];
    for Published { call, channel, payload, .. } in published() {
        let (hub, channel) = Channel::parse(&channel).unwrap();
        assert_eq!(hub, "ChatApp.TestHub");
        let (kind, written) = match channel {
            Channel::Groups => (0, GroupCommand::decode(&payload).unwrap().encode()),
            Channel::Ack(_) => (1, Ack::decode(&payload).unwrap().encode()),
            Channel::Return(_) => (2, Completion::decode(&payload).unwrap().encode()),
            _ => (3, Envelope::decode(&payload).unwrap().encode()),
        };
        kinds[kind] += 1;
        assert!(written == payload, "{call}");
    }
    assert_eq!(kinds, [12, 12, 20, 132]);
}

#[test]
fn the_same_call_makes_the_same_payload() {
    for Published { mode, call, channel, payload } in published() {
        let (_, channel) = Channel::parse(&channel).unwrap();
        if matches!(channel, Channel::Groups | Channel::Ack(_) | Channel::Return(_)) {
            continue;
        }
        let read = Envelope::decode(&payload).unwrap();
        let invocation = json::Invocation::read(read.frame("json").unwrap()).unwrap();
        let id = invocation.id.as_deref();
        let encodings =
            if mode.starts_with("both") { &Encoding::ALL[..] } else { &[Encoding::Json] };
        let frames = encodings.iter().map(|encoding| {
            let frame = encoding.invocation(id, &invocation.target, invocation.arguments);
            (encoding.name(), frame)
        });
        let mut frames: Vec<_> = frames.collect();
        if has_types_that_json_lacks(call) && frames.len() > 1 {
            frames[1].1 = read.frame("messagepack").unwrap().to_vec().into();
        }
        assert_eq!(read.reply_to.map(|reply_to| reply_to.invocation_id), id);
        let made = Envelope {
            excluded: read.excluded,
            frames: frames.iter().map(|(name, frame)| (*name, &frame[..])).collect(),
            reply_to: read
                .reply_to
                .map(|ReplyTo { channel, .. }| ReplyTo { invocation_id: id.unwrap(), channel }),
        };
        assert!(made.encode() == payload, "{mode} {call}");
        assert!(
            frames.iter().all(|(name, frame)| Encoding::named(name).unwrap().is_message(frame))
        );
    }
}

#[test]
fn the_same_result_makes_the_same_payload() {
    for Published { call, channel, payload, .. } in published() {
        let (_, Channel::Return(_)) = Channel::parse(&channel).unwrap() else { continue };
        let read = Completion::decode(&payload).unwrap();
        let frame = match Encoding::named(read.encoding).unwrap() {
            Encoding::Json => {
                let text = read.frame.strip_suffix(&[json::SEPARATOR]).unwrap();
                let JsonResult { id, result, error } = serde_json::from_slice(text).unwrap();
                json::completion(id, error.as_deref().map_or(Ok(result), Err))
            }
            Encoding::MessagePack => {
                let mut reader = Reader::new(&read.frame[1..]);
                let heads = [(); 5].map(|()| reader.head());
                match heads {
                    [_, _, _, Some(Head::Text(id)), Some(Head::Integer(kind))] => {
                        let id = std::str::from_utf8(id).unwrap();
                        let error = if kind == 1 { reader.head() } else { None };
                        let outcome = match &error {
                            Some(Head::Text(error)) => Err(std::str::from_utf8(error).unwrap()),
                            _ => Ok(reader.value()),
                        };
                        messagepack::completion(id, outcome)
                    }
                    _ => panic!("{call}: {heads:?}"),
                }
            }
        };
        assert_eq!(read.frame, frame, "{call}");
    }
}

#[test]
fn payloads_made_by_hand_are_read_as_a_server_of_aspnetcore_reads_them() {
    let both = |call: &str| (call.to_owned(), "JSON MessagePack".to_owned());
    let expected = [
        both("both protocols"),
        both("one excluded"),
        both("map in the other order"),
        both("bin32, str32, array32, map32"),
        both("three items"),
        ("five items".to_owned(), "unreadable".to_owned()),
        ("excluded nil".to_owned(), "unreadable".to_owned()),
        ("JSON without 1E".to_owned(), "MessagePack".to_owned()),
        both("afterwards both"),
        ("not MessagePack".to_owned(), "unreadable".to_owned()),
        ("empty payload".to_owned(), "unreadable".to_owned()),
        ("JSON text as str in place of bin".to_owned(), "unreadable".to_owned()),
        both("to a user"),
        both("to a connection"),
        ("group command: add".to_owned(), "Add 7".to_owned()),
        ("group command: remove".to_owned(), "Remove 8".to_owned()),
        ("group command: connection unknown".to_owned(), "Add 9".to_owned()),
        ("group command: action 3".to_owned(), "Other(3) 10".to_owned()),
        ("group command: broken".to_owned(), "unreadable".to_owned()),
        ("group command: after the broken one".to_owned(), "Remove 12".to_owned()),
    ];
    let found = foreign().map(|(call, payload)| {
        let read = match call.starts_with("group command") {
            true => command(&payload),
            false => messages(&payload),
        };
        (call.to_owned(), read.unwrap_or_else(|| "unreadable".to_owned()))
    });
    pretty(&found.collect::<Vec<_>>(), &expected);
}

#[test]
fn a_result_of_a_recorded_client_is_read() {
    let row = rows(include_str!("recorded/foreign.tsv")).find(|row| row.contains("JSON client\t1"));
    let payload = bytes(row.unwrap().rsplit_once(": ").unwrap().1);
    let read = Completion::decode(&payload).unwrap();
    let result = serde_json::value::to_raw_value(&2).unwrap();
    let frame = json::completion("AAAAAAAAAAAAAAAAAAAAAA", Ok(Some(&result)));
    assert_eq!((read.encoding, read.frame), ("json", &frame[..]));
}

/// Compares row by row, for a short message.
fn pretty(found: &[(String, String)], expected: &[(String, String)]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
}

/// Returns the encodings in which clients can read their message.
fn messages(payload: &[u8]) -> Option<String> {
    let envelope = Envelope::decode(payload).ok()?;
    let mut names = Vec::new();
    for (encoding, name) in Encoding::ALL.into_iter().zip(["JSON", "MessagePack"]) {
        if envelope.frame(encoding.name()).is_some_and(|frame| encoding.is_message(frame)) {
            names.push(name);
        }
    }
    Some(names.join(" "))
}

fn command(payload: &[u8]) -> Option<String> {
    let GroupCommand { id, action, .. } = GroupCommand::decode(payload).ok()?;
    Some(match action {
        Action::Other(number) => format!("Other({number}) {id}"),
        action => format!("{action:?} {id}"),
    })
}

#[derive(Deserialize)]
struct JsonResult<'a> {
    #[serde(rename = "invocationId")]
    id: &'a str,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<String>,
}

/// Returns whether arguments have types for which JSON has no form: whole numbers as floats, bytes
/// and times. They arrive as integers and text from us.
fn has_types_that_json_lacks(call: &str) -> bool {
    ["send(floats)", "send(object)", "send(others)"].iter().any(|kind| call.ends_with(kind))
}

fn published() -> impl Iterator<Item = Published> {
    rows(include_str!("recorded/published.tsv")).map(|row| {
        let [mode, call, channel, payload] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("expected four columns, found {row}")
        };
        let channel = channel.strip_prefix("ChatAppChatApp.").map_or(channel.to_owned(), |rest| {
            // The prefix of the servers stands before the name of the channel.
            format!("ChatApp.{rest}")
        });
        Published { mode, call, channel, payload: bytes(payload) }
    })
}

/// Returns the payloads that a server of ASP.NET Core received. The other rows describe results.
fn foreign() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    rows(include_str!("recorded/foreign.tsv")).filter_map(|row| {
        let (call, rest) = row.split_once('\t').unwrap();
        let (payload, _) = rest.split_once(": ")?;
        let is_payload = payload.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_payload.then(|| (call, bytes(payload)))
    })
}

fn rows(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Reads hexadecimal digits, in which `<7a x 9>` stands for nine times `7a`.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in text.split_inclusive(['<', '>']) {
        match part.strip_suffix('>').and_then(|repeated| repeated.split_once(" x ")) {
            Some((unit, count)) => bytes.extend(digits(unit).repeat(count.parse().unwrap())),
            None => bytes.extend(digits(part.trim_end_matches('<'))),
        }
    }
    bytes
}

fn digits(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
