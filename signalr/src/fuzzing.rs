//! Entry points for the fuzz targets, which exist with the feature `fuzzing` only.
//!
//! They read bytes of a client as far as a session and a method would. The claims are assertions.

use dialect::length_prefix;
use serde_json::Value;

use crate::{
    Blob, Timestamp,
    protocol::{
        Encoding, ProtocolError,
        frames::Frames,
        json,
        message::{ClientMessage, Raw},
        messagepack,
    },
};

pub use crate::transport::websocket::fuzzing::websocket;

/// Splits a stream that arrives in pieces into messages, and the same stream in one piece.
///
/// # Panics
///
/// If the messages differ.
pub fn frames(is_binary: bool, pieces: &[Vec<u8>]) {
    let encoding = if is_binary { Encoding::MessagePack } else { Encoding::Json };
    assert_eq!(split(encoding, pieces), split(encoding, &[pieces.concat()]));
}

/// Returns the messages of a stream, and whether an error follows them.
fn split(encoding: Encoding, pieces: &[Vec<u8>]) -> (Vec<Vec<u8>>, Option<ProtocolError>) {
    let (mut frames, mut messages) = (Frames::new(SMALL_LIMIT), Vec::new());
    for piece in pieces {
        frames.push(piece);
        loop {
            match frames.next(encoding) {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(frames.len() < SMALL_LIMIT + PREFIX_BYTES_MAX, "an incomplete message is limited");
    }
    (messages, None)
}

/// Parses one message in JSON, and reads its values.
///
/// # Panics
///
/// If a value is not JSON, or if an invocation that is written again has other parts.
pub fn json(message: &[u8]) {
    match json::parse(message) {
        Ok(ClientMessage::Invocation(call) | ClientMessage::StreamInvocation(call)) => {
            let Raw::Json(arguments) = call.arguments else { unreachable!("it was read as JSON") };
            call.arguments.elements().into_iter().flatten().for_each(json_value);
            let written = json::invocation(call.id.as_deref(), &call.target, arguments);
            let (_, without_separator) = written.split_last().expect("it has a separator");
            match json::parse(without_separator) {
                Ok(ClientMessage::Invocation(again)) => {
                    // An empty id is no id of an invocation.
                    let id = call.id.filter(|id| !id.is_empty());
                    assert_eq!((again.id, again.target), (id, call.target));
                    let Raw::Json(again) = again.arguments else { unreachable!("as above") };
                    assert_eq!(again.get(), arguments.get());
                }
                other => panic!("{other:?}"),
            }
        }
        Ok(
            ClientMessage::StreamItem { item: value, .. }
            | ClientMessage::Completion { outcome: Ok(Some(value)), .. },
        ) => json_value(value),
        _ => {}
    }
}

fn json_value(value: Raw<'_>) {
    let _ = value.read::<String>();
    let _ = value.read::<Blob>();
    let _ = value.read::<Timestamp>();
    let _ = value.read::<Vec<(u8, Option<f64>)>>();
    let _ = value.read::<Value>();
}

/// Splits a stream into messages, and reads each one.
///
/// # Panics
///
/// If the protocol has a fault.
pub fn messages(stream: &[u8]) {
    let mut unread = stream;
    while let Ok(Some(place)) = length_prefix::split(unread, LIMIT) {
        message(&unread[place.clone()]);
        unread = &unread[place.end..];
    }
    message(stream);
}

/// Parses one message without its length prefix, and reads its values as several types.
///
/// # Panics
///
/// If the protocol has a fault.
pub fn message(message: &[u8]) {
    match messagepack::parse(message) {
        Ok(ClientMessage::Invocation(call) | ClientMessage::StreamInvocation(call)) => {
            if let Raw::MessagePack(arguments) = call.arguments {
                messagepack::elements(arguments).into_iter().flatten().for_each(value);
            }
        }
        Ok(
            ClientMessage::StreamItem { item: Raw::MessagePack(bytes), .. }
            | ClientMessage::Completion { outcome: Ok(Some(Raw::MessagePack(bytes))), .. },
        ) => value(bytes),
        _ => {}
    }
}

fn value(bytes: &[u8]) {
    // An array around the value has it as its only element, or nests too deeply.
    let array = [&[ARRAY_OF_ONE], bytes].concat();
    if let Some(elements) = messagepack::elements(&array) {
        assert_eq!(elements, [bytes]);
    }
    let _ = messagepack::read::<String>(bytes);
    let _ = messagepack::read::<Blob>(bytes);
    let _ = messagepack::read::<Timestamp>(bytes);
    let _ = messagepack::read::<Vec<(u8, Option<f64>)>>(bytes);
    if let Some(tree) = messagepack::read::<Value>(bytes) {
        let written = messagepack::value(&tree).expect("it was read with the same limits");
        assert_eq!(messagepack::read(&written), Some(tree));
    }
}

/// Maximum size of a message that an input of a few bytes can exceed.
const SMALL_LIMIT: usize = 64;
/// Maximum size of the length in front of a message.
const PREFIX_BYTES_MAX: usize = 5;
/// Maximum size of a message.
const LIMIT: usize = 32 * 1024;
const ARRAY_OF_ONE: u8 = 0x91;
