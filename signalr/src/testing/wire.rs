//! The hub protocol from the view of a client, with values of JSON in both encodings.

use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The encoding of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Json,
    MessagePack,
}

/// A message of the server.
#[derive(Debug)]
pub(super) enum Received {
    Invocation { id: Option<String>, method: String, arguments: Value },
    Item { id: String, item: Value },
    Completion { id: String, result: Result<Value, String> },
    Close { error: Option<String> },
    Other,
}

/// A call of a hub method.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) arguments: &'a Value,
    /// Whether the client reads a stream.
    pub(super) is_stream: bool,
    /// The id of the stream that the client sends.
    pub(super) upload: Option<&'a str>,
}

impl Wire {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    pub(super) fn call(self, call: Call<'_>) -> Message {
        let Call { id, method, arguments, is_stream, upload } = call;
        let kind = if is_stream { 4 } else { 1 };
        let uploads: Vec<&str> = upload.into_iter().collect();
        match self {
            Self::Json => {
                let mut message = json!({"type": kind, "target": method, "arguments": arguments});
                if let Some(id) = id {
                    message["invocationId"] = id.into();
                }
                if !uploads.is_empty() {
                    message["streamIds"] = uploads.into();
                }
                text(&message)
            }
            Self::MessagePack => binary(&json!([kind, {}, id, method, arguments, uploads])),
        }
    }

    /// Returns an item of the stream that the client sends.
    pub(super) fn item(self, id: &str, item: &Value) -> Message {
        match self {
            Self::Json => text(&json!({"type": 2, "invocationId": id, "item": item})),
            Self::MessagePack => binary(&json!([2, {}, id, item])),
        }
    }

    /// Returns the end of the stream that the client sends.
    pub(super) fn end(self, id: &str) -> Message {
        match self {
            Self::Json => text(&json!({"type": 3, "invocationId": id})),
            Self::MessagePack => binary(&json!([3, {}, id, 2])),
        }
    }

    pub(super) fn completion(self, id: &str, result: &Value) -> Message {
        match self {
            Self::Json => text(&json!({"type": 3, "invocationId": id, "result": result})),
            Self::MessagePack => binary(&json!([3, {}, id, 3, result])),
        }
    }

    /// Takes a whole message from the front of the bytes.
    pub(super) fn take(self, bytes: &mut Vec<u8>) -> Option<Received> {
        match self {
            Self::Json => {
                let end = bytes.iter().position(|byte| *byte == SEPARATOR)?;
                let message: Vec<u8> = bytes.drain(..=end).collect();
                let message = serde_json::from_slice(&message[..end]).expect("a message of JSON");
                Some(from_json(message))
            }
            Self::MessagePack => {
                let (start, length) = length_prefix(bytes)?;
                let end = start + length;
                if bytes.len() < end {
                    return None;
                }
                let message: Vec<u8> = bytes.drain(..end).collect();
                let message = rmp_serde::from_slice(&message[start..]);
                Some(from_array(message.expect("a message with values that JSON has")))
            }
        }
    }
}

fn from_json(mut message: Map<String, Value>) -> Received {
    let mut string = |name: &str| match message.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (id, method, error) = (string("invocationId"), string("target"), string("error"));
    match (message.get("type").and_then(Value::as_u64), id, method) {
        (Some(1), id, Some(method)) => {
            let arguments = message.remove("arguments").unwrap_or_default();
            Received::Invocation { id, method, arguments }
        }
        (Some(2), Some(id), _) => {
            Received::Item { id, item: message.remove("item").unwrap_or_default() }
        }
        (Some(3), Some(id), _) => {
            let result = message.remove("result").unwrap_or_default();
            Received::Completion { id, result: error.map_or(Ok(result), Err) }
        }
        (Some(7), ..) => Received::Close { error },
        _ => Received::Other,
    }
}

fn from_array(mut message: Vec<Value>) -> Received {
    let mut take = |index: usize| message.get_mut(index).map(Value::take).unwrap_or_default();
    let string = |value: Value| value.as_str().map(str::to_owned);
    match take(0).as_u64() {
        Some(1) => Received::Invocation {
            id: string(take(2)),
            method: string(take(3)).unwrap_or_default(),
            arguments: take(4),
        },
        Some(2) => {
            let id = string(take(2)).unwrap_or_default();
            Received::Item { id, item: take(3) }
        }
        Some(3) => {
            let id = string(take(2)).unwrap_or_default();
            let is_error = take(3) == 1;
            let result = take(4);
            let result = match is_error {
                true => Err(string(result).unwrap_or_default()),
                false => Ok(result),
            };
            Received::Completion { id, result }
        }
        Some(7) => Received::Close { error: string(take(1)) },
        _ => Received::Other,
    }
}

fn text(message: &Value) -> Message {
    Message::text(format!("{message}{}", char::from(SEPARATOR)))
}

fn binary(message: &Value) -> Message {
    let message = rmp_serde::to_vec(message).expect("values of JSON have a form in MessagePack");
    let mut bytes = Vec::new();
    let mut length = message.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(message);
    Message::binary(bytes)
}

/// Returns the length of the prefix, and that of the message behind it.
fn length_prefix(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let length =
        bytes[..=end].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    Some((end + 1, length))
}

pub(super) const SEPARATOR: u8 = 0x1e;
