//! Entry points for the fuzz targets, which exist with the feature `fuzzing` only.
//!
//! They read bytes of a client as far as a session and a method would. The claims are assertions.

use dialect::length_prefix;
use serde_json::Value;

use crate::{
    Blob,
    protocol::{
        message::{ClientMessage, Raw},
        messagepack,
    },
};

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
    let _ = messagepack::read::<Vec<(u8, Option<f64>)>>(bytes);
    if let Some(tree) = messagepack::read::<Value>(bytes) {
        let written = messagepack::value(&tree).expect("it was read with the same limits");
        assert_eq!(messagepack::read(&written), Some(tree));
    }
}

/// Maximum size of a message.
const LIMIT: usize = 32 * 1024;
const ARRAY_OF_ONE: u8 = 0x91;
