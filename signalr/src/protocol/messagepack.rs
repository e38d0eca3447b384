//! The MessagePack hub protocol.
//!
//! Each message is an array, behind its length. Parsed messages keep arguments, items and results
//! as raw bytes, since their types depend on the method. Written messages have their prefix.
//! Further items of a message and unknown message types are ignored, as the protocol requires.
//!
//! Values nest at most 128 times in both directions. No length of a client reserves memory.

mod items;
mod reader;
mod timestamp;
mod writer;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use rmp::encode::{self, ByteBuf};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use self::{
    items::Items,
    reader::{Head, NESTING_MAX, Reader},
    writer::Writer,
};
use super::{
    ProtocolError, length_prefix,
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

/// Writes an invocation of a client's method. Without an `id`, the client sends no Completion.
///
/// `arguments` is a JSON array. Each argument is converted as by `put_json`.
pub(crate) fn invocation(id: Option<&str>, target: &str, arguments: &RawValue) -> Bytes {
    let arguments: Vec<&RawValue> = serde_json::from_str(arguments.get()).unwrap_or_default();
    message(6, INVOCATION, |bytes| {
        put_no_headers(bytes);
        put_optional_text(bytes, id);
        put_text(bytes, target);
        put_array(bytes, arguments.len());
        for argument in arguments {
            put_json(bytes, argument);
        }
        put_array(bytes, 0);
    })
}

/// Writes an item of the stream `id`. `item` is one value in MessagePack.
pub(crate) fn stream_item(id: &str, item: &[u8]) -> Bytes {
    message(4, STREAM_ITEM, |bytes| {
        put_no_headers(bytes);
        put_text(bytes, id);
        bytes.as_mut_vec().extend_from_slice(item);
    })
}

/// Writes the Completion of the invocation `id`: an error, the end of a stream, or a result.
///
/// A method without a result has the result nil in ASP.NET Core.
pub(crate) fn completion(id: &str, outcome: Result<Option<&[u8]>, &str>) -> Bytes {
    let items = if let Ok(None) = outcome { 4 } else { 5 };
    message(items, COMPLETION, |bytes| {
        put_no_headers(bytes);
        put_text(bytes, id);
        match outcome {
            Err(error) => {
                put_number(bytes, ERROR.into());
                put_text(bytes, error);
            }
            Ok(None) => put_number(bytes, VOID.into()),
            Ok(Some(result)) => {
                put_number(bytes, RESULT.into());
                bytes.as_mut_vec().extend_from_slice(result);
            }
        }
    })
}

/// Writes a Close message.
pub(crate) fn close(error: Option<&str>, allow_reconnect: bool) -> Bytes {
    message(3, CLOSE, |bytes| {
        put_optional_text(bytes, error);
        let Ok(()) = encode::write_bool(bytes, allow_reconnect);
    })
}

/// Writes an Ack: the number of the last received message.
pub(crate) fn ack(id: u64) -> Bytes {
    message(2, ACK, |bytes| {
        let Ok(_) = encode::write_uint(bytes, id);
    })
}

/// Writes a Sequence: the number of the first message that is sent next.
pub(crate) fn sequence(id: u64) -> Bytes {
    message(2, SEQUENCE, |bytes| {
        let Ok(_) = encode::write_uint(bytes, id);
    })
}

/// Converts a value to MessagePack: structs as maps with names, numbers in their shortest form.
///
/// # Errors
///
/// If the value nests more than 128 times, holds a number of more than 64 bits, or refuses to be
/// serialized.
pub(crate) fn value(value: &impl Serialize) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = ByteBuf::new();
    value.serialize(&mut Writer::new(&mut bytes))?;
    Ok(bytes.into_vec())
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

/// Appends JSON as MessagePack: numbers in their shortest form, maps in their order.
///
/// JSON that has no meaning as a value becomes nil: nesting of more than 127 levels, a number that
/// exceeds 64-bit floats, or half a surrogate pair.
fn put_json(bytes: &mut ByteBuf, value: &RawValue) {
    let start = bytes.as_slice().len();
    let mut json = serde_json::Deserializer::from_str(value.get());
    if serde_transcode::transcode(&mut json, &mut Writer::new(bytes)).is_err() {
        bytes.as_mut_vec().truncate(start);
        let Ok(()) = encode::write_nil(bytes);
    }
}

/// Writes a message of a number of items. `put` appends those behind the type.
fn message(items: u32, kind: i32, put: impl FnOnce(&mut ByteBuf)) -> Bytes {
    length_prefix::prefixed(|prefixed| {
        let mut bytes = ByteBuf::from_vec(std::mem::take(prefixed));
        let Ok(_) = encode::write_array_len(&mut bytes, items);
        put_number(&mut bytes, kind.into());
        put(&mut bytes);
        *prefixed = bytes.into_vec();
    })
}

fn put_number(bytes: &mut ByteBuf, number: i64) {
    let Ok(_) = encode::write_sint(bytes, number);
}

fn put_text(bytes: &mut ByteBuf, text: &str) {
    let Ok(()) = encode::write_str(bytes, text);
}

fn put_optional_text(bytes: &mut ByteBuf, text: Option<&str>) {
    match text {
        Some(text) => put_text(bytes, text),
        None => {
            let Ok(()) = encode::write_nil(bytes);
        }
    }
}

fn put_array(bytes: &mut ByteBuf, length: usize) {
    let length = u32::try_from(length).expect("a message is smaller than 4 GiB");
    let Ok(_) = encode::write_array_len(bytes, length);
}

fn put_no_headers(bytes: &mut ByteBuf) {
    let Ok(_) = encode::write_map_len(bytes, 0);
}

/// A ping, which keeps an idle connection open.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x02, 0x91, 0x06]);

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
