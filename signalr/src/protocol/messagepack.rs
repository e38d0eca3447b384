//! The MessagePack hub protocol.
//!
//! Each message is an array, behind its length. Parsed messages keep arguments, items and results
//! as raw bytes, since their types depend on the method. Crate `dialect` writes messages. Further
//! items of a message and unknown message types are ignored, as the protocol requires.
//!
//! Values nest at most 128 times in both directions. No length of a client reserves memory.

mod items;
mod timestamp;

#[cfg(test)]
mod tests;

use dialect::messagepack::{Head, NESTING_MAX, Reader};
use serde::de::DeserializeOwned;

pub(crate) use dialect::messagepack::{
    PING, ack, close, completion, invocation, sequence, stream_item, value,
};

use self::items::Items;
use super::{
    ProtocolError,
    message::{Call, ClientMessage},
};

/// Parses one message without its length prefix.
pub(crate) fn parse(message: &[u8]) -> Result<ClientMessage<'_>, ProtocolError> {
    let mut items = Items::open(message)?;
    match items.number::<i32>("messageType", "Int32")? {
        INVOCATION => call(items).map(ClientMessage::Invocation),
        STREAM_ITEM => {
            items.headers()?;
            let id = items.required_text("invocationId")?;
            Ok(ClientMessage::StreamItem { id, item: items.value("item")? })
        }
        COMPLETION => client_completion(items),
        STREAM_INVOCATION => {
            let call = call(items)?;
            call.id.as_ref().ok_or(ProtocolError::Missing("invocationId"))?;
            Ok(ClientMessage::StreamInvocation(call))
        }
        CANCEL_INVOCATION => {
            items.headers()?;
            Ok(ClientMessage::CancelInvocation { id: items.required_text("invocationId")? })
        }
        PING_TYPE => Ok(ClientMessage::Ping),
        CLOSE => Ok(ClientMessage::Close),
        ACK => items.number("sequenceId", "Int64").map(ClientMessage::Ack),
        SEQUENCE => items.number("sequenceId", "Int64").map(ClientMessage::Sequence),
        _ => Ok(ClientMessage::Other),
    }
}

/// Reads the items of a call.
///
/// Arguments that are no array bind to no method: a .NET server fails the call, and not the
/// connection.
fn call(mut items: Items<'_>) -> Result<Call<'_>, ProtocolError> {
    let headers = items.headers()?;
    let id = items.text("invocationId")?.filter(|id| !id.is_empty());
    let target = items.required_text("target")?;
    let arguments = items.value("arguments")?;
    let stream_ids = items.stream_ids()?;
    Ok(Call { id, target, arguments, stream_ids, headers })
}

fn client_completion(mut items: Items<'_>) -> Result<ClientMessage<'_>, ProtocolError> {
    items.headers()?;
    let id = items.required_text("invocationId")?;
    let outcome = match items.number::<i32>("resultKind", "Int32")? {
        ERROR => Err(items.text("error")?.unwrap_or_default()),
        VOID => Ok(None),
        RESULT => Ok(Some(items.value("result")?)),
        _ => return Err(ProtocolError::ResultKind),
    };
    Ok(ClientMessage::Completion { id, outcome })
}

/// Reads a value. Returns `None` if it has another type, nests more than 128 times, or other bytes
/// follow it.
///
/// A timestamp becomes RFC 3339 text for types that do not read extensions.
pub(crate) fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    if Reader::new(value).value()?.len() != value.len() {
        return None;
    }
    deserialize(value).or_else(|| deserialize(&timestamp::to_text(value)?))
}

fn deserialize<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(value).with_human_readable();
    // It fails when this number of levels is reached.
    deserializer.set_max_depth(NESTING_MAX + 1);
    T::deserialize(&mut deserializer).ok()
}

/// Returns the elements of an array, each one whole. Returns `None` if the value is no array, nests
/// more than 128 times, or other bytes follow it.
pub(crate) fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    if Reader::new(array).value()?.len() != array.len() {
        return None;
    }
    let mut reader = Reader::new(array);
    let Head::Array(_) = reader.head()? else { return None };
    let mut elements = Vec::new();
    while !reader.is_empty() {
        elements.push(reader.value()?);
    }
    Some(elements)
}

const INVOCATION: i32 = 1;
const STREAM_ITEM: i32 = 2;
const COMPLETION: i32 = 3;
const STREAM_INVOCATION: i32 = 4;
const CANCEL_INVOCATION: i32 = 5;
const PING_TYPE: i32 = 6;
const CLOSE: i32 = 7;
const ACK: i32 = 8;
const SEQUENCE: i32 = 9;

// Kinds of a Completion.
const ERROR: i32 = 1;
const VOID: i32 = 2;
const RESULT: i32 = 3;
