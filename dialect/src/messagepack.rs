//! Hub messages in MessagePack, and values of serde and JSON as MessagePack.
//!
//! Each message is an array, behind its length. Values nest at most 128 times. [`Reader`] reads
//! bytes of any peer without recursion and without memory of its own.

mod reader;
mod writer;

use bytes::Bytes;
use rmp::encode::{self, ByteBuf};
use serde::Serialize;
use serde_json::value::RawValue;

pub use self::reader::{Head, NESTING_MAX, Reader, format_name};
use self::writer::Writer;
use crate::length_prefix;

/// The name of a newtype whose bytes become `bin`, such as `signalr::Blob`.
pub const BLOB: &str = "$signalr::Blob";

/// Writes an invocation of a client's method. Without an `id`, the client sends no Completion.
///
/// `arguments` is a JSON array. Each argument is converted as by [`from_json`].
///
/// ```
/// let arguments = serde_json::value::to_raw_value(&["hi"]).unwrap();
/// let frame = dialect::messagepack::invocation(None, "say", &arguments);
/// assert_eq!(frame[..], *b"\x0d\x96\x01\x80\xc0\xa3say\x91\xa2hi\x90");
/// ```
pub fn invocation(id: Option<&str>, target: &str, arguments: &RawValue) -> Bytes {
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
///
/// ```
/// let frame = dialect::messagepack::stream_item("1", &[0x2a]);
/// assert_eq!(frame[..], *b"\x06\x94\x02\x80\xa11\x2a");
/// ```
pub fn stream_item(id: &str, item: &[u8]) -> Bytes {
    message(4, STREAM_ITEM, |bytes| {
        put_no_headers(bytes);
        put_text(bytes, id);
        bytes.as_mut_vec().extend_from_slice(item);
    })
}

/// Writes the Completion of the invocation `id`: an error, the end of a stream, or a result.
///
/// A method without a result has the result nil in ASP.NET Core.
///
/// ```
/// let frame = dialect::messagepack::completion("1", Ok(Some(&[0x2a])));
/// assert_eq!(frame[..], *b"\x07\x95\x03\x80\xa11\x03\x2a");
/// ```
pub fn completion(id: &str, outcome: Result<Option<&[u8]>, &str>) -> Bytes {
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
///
/// ```
/// assert_eq!(dialect::messagepack::close(None, true)[..], [4, 0x93, 7, 0xc0, 0xc3]);
/// ```
pub fn close(error: Option<&str>, allow_reconnect: bool) -> Bytes {
    message(3, CLOSE, |bytes| {
        put_optional_text(bytes, error);
        let Ok(()) = encode::write_bool(bytes, allow_reconnect);
    })
}

/// Writes an Ack: the number of the last received message.
///
/// ```
/// assert_eq!(dialect::messagepack::ack(5)[..], [3, 0x92, 8, 5]);
/// ```
pub fn ack(id: u64) -> Bytes {
    message(2, ACK, |bytes| {
        let Ok(_) = encode::write_uint(bytes, id);
    })
}

/// Writes a Sequence: the number of the first message that is sent next.
///
/// ```
/// assert_eq!(dialect::messagepack::sequence(5)[..], [3, 0x92, 9, 5]);
/// ```
pub fn sequence(id: u64) -> Bytes {
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
///
/// ```
/// assert_eq!(dialect::messagepack::value(&(1, true)).unwrap(), [0x92, 1, 0xc3]);
/// ```
pub fn value(value: &impl Serialize) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = ByteBuf::new();
    value.serialize(&mut Writer::new(&mut bytes))?;
    Ok(bytes.into_vec())
}

/// Converts JSON to MessagePack: numbers in their shortest form, maps in their order.
///
/// JSON that has no meaning as a value becomes nil: nesting of more than 127 levels, a number that
/// exceeds 64-bit floats, or half a surrogate pair.
///
/// ```
/// let json = serde_json::value::to_raw_value(&[1]).unwrap();
/// assert_eq!(dialect::messagepack::from_json(&json), [0x91, 1]);
/// ```
pub fn from_json(value: &RawValue) -> Vec<u8> {
    let mut bytes = ByteBuf::new();
    put_json(&mut bytes, value);
    bytes.into_vec()
}

/// Returns whether bytes are one message behind its length.
pub(crate) fn is_message(bytes: &[u8]) -> bool {
    let Ok(Some(place)) = length_prefix::split(bytes, bytes.len()) else { return false };
    let mut message = Reader::new(&bytes[place.clone()]);
    let is_array = matches!(Reader::new(&bytes[place.clone()]).head(), Some(Head::Array(_)));
    place.end == bytes.len() && is_array && message.value().is_some() && message.is_empty()
}

/// Appends JSON as MessagePack, see [`from_json`].
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
pub const PING: Bytes = Bytes::from_static(&[0x02, 0x91, 0x06]);

const INVOCATION: i32 = 1;
const STREAM_ITEM: i32 = 2;
const COMPLETION: i32 = 3;
const CLOSE: i32 = 7;
const ACK: i32 = 8;
const SEQUENCE: i32 = 9;

// Kinds of a Completion.
const ERROR: i32 = 1;
const VOID: i32 = 2;
const RESULT: i32 = 3;
