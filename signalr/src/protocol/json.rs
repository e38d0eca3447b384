//! The JSON hub protocol.
//!
//! Parsed messages keep their arguments as raw text, since their types depend on the method.
//! Written messages end in their separator. Unknown properties and message types are ignored, as
//! the protocol requires.

use backplane::Invocation;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ProtocolError, frames::SEPARATOR};

/// A message of a client.
#[derive(Debug)]
pub(crate) enum ClientMessage<'a> {
    Invocation(Call<'a>),
    StreamInvocation(Call<'a>),
    Ping,
    Close,
    /// A message that this server ignores.
    Other,
}

/// A call of a hub method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// `None` if the client expects no Completion.
    pub(crate) id: Option<String>,
    pub(crate) target: String,
    /// A JSON array.
    pub(crate) arguments: &'a RawValue,
    /// Number of streams that the client sends with the call.
    pub(crate) stream_count: usize,
}

impl<'a> ClientMessage<'a> {
    /// Parses one message without its separator.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ProtocolError> {
        let fields: Fields<'_> = object(bytes).ok_or(ProtocolError::Json)?;
        let kind = fields.kind.ok_or(ProtocolError::Missing("type"))?;
        // A number such as 1.5 is an unknown type.
        let number: serde_json::Number = serde_json::from_str(kind.get())
            .map_err(|_| ProtocolError::WrongType { property: "type", expected: "Number" })?;
        match number.as_u64() {
            Some(INVOCATION) => fields.into_call().map(Self::Invocation),
            Some(STREAM_INVOCATION) => fields.into_call().map(Self::StreamInvocation),
            Some(PING_TYPE) => Ok(Self::Ping),
            Some(CLOSE) => Ok(Self::Close),
            _ => Ok(Self::Other),
        }
    }
}

/// The properties that this server reads, of any message type.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(rename = "invocationId", default)]
    id: Option<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "streamIds", default)]
    stream_ids: Option<Vec<String>>,
}

impl<'a> Fields<'a> {
    fn into_call(self) -> Result<Call<'a>, ProtocolError> {
        let target = self
            .target
            .filter(|target| !target.is_empty())
            .ok_or(ProtocolError::Missing("target"))?;
        let arguments = self.arguments.ok_or(ProtocolError::Missing("arguments"))?;
        if !arguments.get().starts_with('[') {
            return Err(ProtocolError::WrongType { property: "arguments", expected: "Array" });
        }
        let id = self.id.filter(|id| !id.is_empty());
        Ok(Call { id, target, arguments, stream_count: self.stream_ids.map_or(0, |ids| ids.len()) })
    }
}

/// Writes an invocation of a client's method that expects no Completion.
pub(crate) fn invocation(invocation: &Invocation) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: u64,
        target: &'a str,
        arguments: &'a RawValue,
    }
    frame(&Message {
        r#type: INVOCATION,
        target: invocation.method(),
        arguments: invocation.arguments(),
    })
}

/// Writes the Completion of the invocation `id`.
pub(crate) fn completion(id: &str, outcome: Result<&RawValue, &str>) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: u64,
        #[serde(rename = "invocationId")]
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    frame(&Message { r#type: COMPLETION, id, result: outcome.ok(), error: outcome.err() })
}

/// Writes a Close message.
pub(crate) fn close(error: Option<&str>, allow_reconnect: bool) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        #[serde(rename = "allowReconnect", skip_serializing_if = "Option::is_none")]
        allow_reconnect: Option<bool>,
    }
    frame(&Message { r#type: CLOSE, error, allow_reconnect: allow_reconnect.then_some(true) })
}

/// Writes any message with its separator.
pub(crate) fn frame(message: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(message).expect("strings and raw JSON always serialise");
    bytes.push(SEPARATOR);
    bytes.into()
}

/// Parses a JSON object. Serde alone would also accept an array of the values in order.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(bytes).ok() } else { None }
}

/// A ping, which keeps an idle connection open.
pub(crate) const PING: Bytes = Bytes::from_static(b"{\"type\":6}\x1e");

const INVOCATION: u64 = 1;
const COMPLETION: u64 = 3;
const STREAM_INVOCATION: u64 = 4;
const PING_TYPE: u64 = 6;
const CLOSE: u64 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_may_come_in_any_order_and_unknown_ones_are_ignored() {
        let text = r#"{"arguments":["a",{"b":[1]}],"headers":{"x":"y"},"target":"Send","invocationId":"7","type":1}"#;
        let ClientMessage::Invocation(call) = parse(text).unwrap() else { panic!("invocation") };
        assert_eq!((call.id.as_deref(), call.target.as_str()), (Some("7"), "Send"));
        assert_eq!(call.arguments.get(), r#"["a",{"b":[1]}]"#);
    }

    #[test]
    fn an_empty_or_missing_invocation_id_expects_no_completion() {
        for id in ["", r#""invocationId":"","#, r#""invocationId":null,"#] {
            let text = format!(r#"{{"type":1,{id}"target":"a","arguments":[]}}"#);
            let ClientMessage::Invocation(call) = parse(&text).unwrap() else { panic!("{text}") };
            assert_eq!(call.id, None, "{text}");
        }
    }

    #[test]
    fn a_message_of_an_unknown_type_is_other() {
        for kind in ["2", "5", "8", "9", "99", "-1", "1.5"] {
            let text = format!(r#"{{"type":{kind}}}"#);
            assert!(matches!(parse(&text), Ok(ClientMessage::Other)), "{text}");
        }
        assert!(matches!(parse(r#"{"type":6}"#), Ok(ClientMessage::Ping)));
        assert!(matches!(parse(r#"{"type":7}"#), Ok(ClientMessage::Close)));
    }

    #[test]
    fn the_error_names_the_violation() {
        check("{}", ProtocolError::Missing("type"));
        check("", ProtocolError::Json);
        check("[1]", ProtocolError::Json);
        check(r#"{"type":1"#, ProtocolError::Json);
        check(r#"{"type":"1"}"#, ProtocolError::WrongType { property: "type", expected: "Number" });
        check(r#"{"type":1,"arguments":[]}"#, ProtocolError::Missing("target"));
        check(r#"{"type":1,"target":"a"}"#, ProtocolError::Missing("arguments"));
        let expected = "Array";
        let property = "arguments";
        let text = r#"{"type":1,"target":"a","arguments":{}}"#;
        check(text, ProtocolError::WrongType { property, expected });
    }

    #[test]
    fn deep_nesting_is_refused() {
        check(&format!(r#"{{"x":{}"#, "[".repeat(30_000)), ProtocolError::Json);
    }

    #[test]
    fn messages_are_written_with_their_separator() {
        let raw: Box<RawValue> = RawValue::from_string("null".into()).unwrap();
        assert_eq!(
            completion("0", Ok(&raw)),
            "{\"type\":3,\"invocationId\":\"0\",\"result\":null}\u{1e}"
        );
        assert_eq!(
            completion("0", Err("no")),
            "{\"type\":3,\"invocationId\":\"0\",\"error\":\"no\"}\u{1e}"
        );
        assert_eq!(close(None, true), "{\"type\":7,\"allowReconnect\":true}\u{1e}");
        assert_eq!(close(Some("x"), false), "{\"type\":7,\"error\":\"x\"}\u{1e}");
        let broadcast = Invocation::new("broadcastMessage", ("ann", "hi")).unwrap();
        assert_eq!(
            invocation(&broadcast),
            "{\"type\":1,\"target\":\"broadcastMessage\",\"arguments\":[\"ann\",\"hi\"]}\u{1e}"
        );
    }

    fn parse(text: &str) -> Result<ClientMessage<'_>, ProtocolError> {
        ClientMessage::parse(text.as_bytes())
    }

    fn check(text: &str, expected: ProtocolError) {
        assert_eq!(parse(text).err(), Some(expected), "{text}");
    }
}
