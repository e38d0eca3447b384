//! The JSON hub protocol.
//!
//! Parsed messages keep their values as raw text, since their types depend on the method. Written
//! messages end in their separator. Unknown properties and message types are ignored, as the
//! protocol requires. Of a property that comes twice the last one counts.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

pub(crate) use dialect::json::{completion, frame, invocation};

use super::{
    ProtocolError,
    message::{Call, ClientMessage, Raw},
};

/// Parses one message without its separator.
pub(crate) fn parse(message: &[u8]) -> Result<ClientMessage<'_>, ProtocolError> {
    let fields = fields(message)?;
    let kind = fields.kind.ok_or(ProtocolError::Missing("type"))?;
    // A number such as 1.5 is an unknown type.
    let number: serde_json::Number = typed(kind, "type", "Number")?;
    Ok(match number.as_u64() {
        Some(INVOCATION) => {
            // As in ASP.NET Core, an empty id is no id.
            let id = fields.id.map(|id| text(id, "invocationId")).transpose()?;
            ClientMessage::Invocation(fields.call(id.filter(|id| !id.is_empty()))?)
        }
        Some(STREAM_INVOCATION) => {
            let id = fields.id()?;
            ClientMessage::StreamInvocation(fields.call(Some(id))?)
        }
        Some(STREAM_ITEM) => {
            let id = fields.id()?;
            let item = fields.item.ok_or(ProtocolError::Missing("item"))?;
            ClientMessage::StreamItem { id, item: Raw::Json(item) }
        }
        Some(COMPLETION) => {
            let id = fields.id()?;
            let error = fields.error.map(|error| text(error, "error")).transpose()?;
            let outcome = match (error, fields.result) {
                (Some(_), Some(_)) => return Err(ProtocolError::ErrorAndResult),
                (Some(error), None) => Err(error),
                (None, result) => Ok(result.map(Raw::Json)),
            };
            ClientMessage::Completion { id, outcome }
        }
        Some(CANCEL) => ClientMessage::CancelInvocation { id: fields.id()? },
        Some(PING_TYPE) => ClientMessage::Ping,
        Some(CLOSE) => ClientMessage::Close,
        Some(ACK) => ClientMessage::Ack(fields.sequence()?),
        Some(SEQUENCE) => ClientMessage::Sequence(fields.sequence()?),
        _ => ClientMessage::Other,
    })
}

fn fields(message: &[u8]) -> Result<Fields<'_>, ProtocolError> {
    if is_too_deep(message) {
        return Err(ProtocolError::Json);
    }
    serde_json::from_slice(message).map_err(|_| no_object(message))
}

/// Returns the error of a message that is no object.
pub(crate) fn no_object(message: &[u8]) -> ProtocolError {
    match message.trim_ascii_start().first() {
        Some(b'[') => ProtocolError::NoObject("Array"),
        Some(first) if *first != b'{' && is_json(message) => ProtocolError::NoObject(match first {
            b'"' => "String",
            b't' | b'f' => "Boolean",
            b'n' => "Null",
            _ => "Number",
        }),
        _ => ProtocolError::Json,
    }
}

fn is_json(message: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(message).is_ok()
}

/// Returns whether arrays and objects are nested deeper than ASP.NET Core reads.
fn is_too_deep(message: &[u8]) -> bool {
    // Most messages cannot be that deep, so they are not searched for strings.
    if memchr::memchr2_iter(b'[', b'{', message).nth(DEPTH_MAX).is_none() {
        return false;
    }
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in message {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => depth += 1,
            b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// The properties that this server reads, of any message type.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    target: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
    stream_ids: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    item: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    sequence: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn call(&self, id: Option<Cow<'a, str>>) -> Result<Call<'a>, ProtocolError> {
        let target = self.target.ok_or(ProtocolError::Missing("target"))?;
        let target = text(target, "target")?;
        if target.is_empty() {
            return Err(ProtocolError::Missing("target"));
        }
        let arguments = self.arguments.ok_or(ProtocolError::Missing("arguments"))?;
        if !arguments.get().starts_with('[') {
            return Err(ProtocolError::WrongType { property: "arguments", expected: "Array" });
        }
        let stream_ids: Vec<Text<'a>> = match self.stream_ids {
            Some(ids) => typed(ids, "streamIds", "Array")?,
            None => Vec::new(),
        };
        let headers: Headers<'a> = match self.headers {
            Some(headers) => typed(headers, "headers", "Object")?,
            None => Headers::default(),
        };
        Ok(Call {
            id,
            target,
            arguments: Raw::Json(arguments),
            stream_ids: stream_ids.into_iter().map(|id| id.0).collect(),
            headers: headers.0,
        })
    }

    /// Returns the invocation id, which must be there. An empty one is none, as in ASP.NET Core.
    fn id(&self) -> Result<Cow<'a, str>, ProtocolError> {
        let missing = ProtocolError::Missing("invocationId");
        let Some(id) = self.id else { return Err(missing) };
        let id = text(id, "invocationId")?;
        if id.is_empty() { Err(missing) } else { Ok(id) }
    }

    fn sequence(&self) -> Result<u64, ProtocolError> {
        let number = self.sequence.ok_or(ProtocolError::Missing("sequenceId"))?;
        typed(number, "sequenceId", "Number")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Text(name)) = map.next_key()? {
                    let value = Some(map.next_value::<&RawValue>()?);
                    match &*name {
                        "type" => fields.kind = value,
                        "invocationId" => fields.id = value,
                        "target" => fields.target = value,
                        "arguments" => fields.arguments = value,
                        "streamIds" => fields.stream_ids = value,
                        "headers" => fields.headers = value,
                        "item" => fields.item = value,
                        "error" => fields.error = value,
                        "result" => fields.result = value,
                        "sequenceId" => fields.sequence = value,
                        _ => {}
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}

/// Text that is borrowed unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object of texts.
#[derive(Default)]
struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Headers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers<'de>, A::Error> {
                let mut headers = Vec::new();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    headers.push((name, value));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}

fn text<'a>(value: &'a RawValue, property: &'static str) -> Result<Cow<'a, str>, ProtocolError> {
    typed::<Text<'a>>(value, property, "String").map(|text| text.0)
}

fn typed<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    property: &'static str,
    expected: &'static str,
) -> Result<T, ProtocolError> {
    serde_json::from_str(value.get()).map_err(|_| ProtocolError::WrongType { property, expected })
}

/// Writes one item of the stream `id`.
pub(crate) fn stream_item(id: &str, item: &RawValue) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: u64,
        #[serde(rename = "invocationId")]
        id: &'a str,
        item: &'a RawValue,
    }
    frame(&Message { r#type: STREAM_ITEM, id, item })
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

/// Writes the confirmation of all messages up to a number.
pub(crate) fn ack(number: u64) -> Bytes {
    numbered(ACK, number)
}

/// Writes the number of the first message on a new transport.
pub(crate) fn sequence(number: u64) -> Bytes {
    numbered(SEQUENCE, number)
}

fn numbered(kind: u64, number: u64) -> Bytes {
    #[derive(Serialize)]
    struct Message {
        r#type: u64,
        #[serde(rename = "sequenceId")]
        number: u64,
    }
    frame(&Message { r#type: kind, number })
}

/// Parses a JSON object. Serde alone would also accept an array of the values in order.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(bytes).ok() } else { None }
}

/// A ping, which keeps an idle connection open.
pub(crate) const PING: Bytes = Bytes::from_static(b"{\"type\":6}\x1e");

const INVOCATION: u64 = 1;
const STREAM_ITEM: u64 = 2;
const COMPLETION: u64 = 3;
const STREAM_INVOCATION: u64 = 4;
const CANCEL: u64 = 5;
const PING_TYPE: u64 = 6;
const CLOSE: u64 = 7;
const ACK: u64 = 8;
const SEQUENCE: u64 = 9;

/// Maximum nesting of a message, as in ASP.NET Core.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_may_come_in_any_order_and_unknown_ones_are_ignored() {
        let text = r#"{"arguments":["a",{"b":[1]}],"headers":{"x":"y"},"target":"Send","invocationId":"7","type":1}"#;
        let ClientMessage::Invocation(call) = parse(text).unwrap() else { panic!("invocation") };
        assert_eq!((call.id.as_deref(), &*call.target), (Some("7"), "Send"));
        let Raw::Json(arguments) = call.arguments else { panic!("JSON") };
        assert_eq!(arguments.get(), r#"["a",{"b":[1]}]"#);
        assert_eq!(call.headers, [("x".into(), "y".into())]);
    }

    #[test]
    fn an_empty_or_missing_invocation_id_expects_no_completion() {
        for id in ["", r#""invocationId":"","#] {
            let text = format!(r#"{{"type":1,{id}"target":"a","arguments":[]}}"#);
            let ClientMessage::Invocation(call) = parse(&text).unwrap() else { panic!("{text}") };
            assert_eq!(call.id, None, "{text}");
        }
    }

    #[test]
    fn a_message_of_an_unknown_type_is_other() {
        for kind in ["0", "99", "-1", "1.5"] {
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
        check("[1]", ProtocolError::NoObject("Array"));
        check("null", ProtocolError::NoObject("Null"));
        check(r#"{"type":1"#, ProtocolError::Json);
        check(r#"{"type":"1"}"#, ProtocolError::WrongType { property: "type", expected: "Number" });
        check(r#"{"type":1,"arguments":[]}"#, ProtocolError::Missing("target"));
        check(r#"{"type":1,"target":"a"}"#, ProtocolError::Missing("arguments"));
        let expected = "Array";
        let property = "arguments";
        let text = r#"{"type":1,"target":"a","arguments":{}}"#;
        check(text, ProtocolError::WrongType { property, expected });
        let null_id = r#"{"type":1,"invocationId":null,"target":"a","arguments":[]}"#;
        let (property, expected) = ("invocationId", "String");
        check(null_id, ProtocolError::WrongType { property, expected });
        check(r#"{"type":4,"target":"a","arguments":[]}"#, ProtocolError::Missing("invocationId"));
        for rest in [
            r#""type":4,"target":"a","arguments":[]"#,
            r#""type":2,"item":1"#,
            r#""type":3"#,
            r#""type":5"#,
        ] {
            let text = format!(r#"{{"invocationId":"",{rest}}}"#);
            check(&text, ProtocolError::Missing("invocationId"));
        }
        check(r#"{"type":2,"invocationId":"1"}"#, ProtocolError::Missing("item"));
        let both = r#"{"type":3,"invocationId":"1","error":"a","result":1}"#;
        check(both, ProtocolError::ErrorAndResult);
    }

    #[test]
    fn the_last_of_equal_properties_counts() {
        let text = r#"{"type":6,"type":7}"#;
        assert!(matches!(parse(text), Ok(ClientMessage::Close)));
    }

    #[test]
    fn a_message_may_be_64_levels_deep() {
        let message = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
            format!(r#"{{"type":1,"target":"[[\\\"[","arguments":[{open}{close}]}}"#)
        };
        assert!(parse(&message(64)).is_ok());
        check(&message(65), ProtocolError::Json);
    }

    #[test]
    fn deep_nesting_is_refused() {
        check(&format!(r#"{{"x":{}"#, "[".repeat(30_000)), ProtocolError::Json);
    }

    #[test]
    fn messages_are_written_with_their_separator() {
        let raw: Box<RawValue> = RawValue::from_string("null".into()).unwrap();
        assert_eq!(
            completion("0", Ok(Some(&raw))),
            "{\"type\":3,\"invocationId\":\"0\",\"result\":null}\u{1e}"
        );
        assert_eq!(
            completion("0", Err("no")),
            "{\"type\":3,\"invocationId\":\"0\",\"error\":\"no\"}\u{1e}"
        );
        assert_eq!(close(None, true), "{\"type\":7,\"allowReconnect\":true}\u{1e}");
        assert_eq!(close(Some("x"), false), "{\"type\":7,\"error\":\"x\"}\u{1e}");
        let arguments = RawValue::from_string(r#"["ann","hi"]"#.into()).unwrap();
        assert_eq!(
            invocation(None, "broadcastMessage", &arguments),
            "{\"type\":1,\"target\":\"broadcastMessage\",\"arguments\":[\"ann\",\"hi\"]}\u{1e}"
        );
    }

    fn parse(text: &str) -> Result<ClientMessage<'_>, ProtocolError> {
        super::parse(text.as_bytes())
    }

    fn check(text: &str, expected: ProtocolError) {
        assert_eq!(parse(text).err(), Some(expected), "{text}");
    }
}
