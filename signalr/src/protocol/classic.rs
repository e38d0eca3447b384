//! The messages of SignalR 2: calls of clients, results, and frames of the server.
//!
//! The order of the properties is SignalR 2's. Values stay text: arguments are bound by the method,
//! and messages of the backplane are copied into a frame.

use backplane::{Cursor, Gap};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

/// A call of a hub method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// In the spelling of the client, as all names here.
    pub(crate) hub: String,
    pub(crate) method: String,
    /// A JSON array.
    pub(crate) arguments: &'a RawValue,
    pub(crate) id: Option<String>,
    pub(crate) state: Map<String, Value>,
}

/// A message of a client is no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("expected a JSON object with 'H', 'M', 'A' and 'I'")]
    Json,
    #[error("expected an array of arguments")]
    Arguments,
    #[error("expected an invocation id of at most {ID_BYTES_MAX} bytes")]
    Id,
    #[error("expected a state object of at most {STATE_CHARACTERS_MAX} characters")]
    State,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "H")]
    hub: String,
    #[serde(rename = "M")]
    method: String,
    #[serde(rename = "A", borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "I", borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(rename = "S", borrow, default)]
    state: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// Parses a message of a client.
    pub(crate) fn parse(text: &'a str) -> Result<Self, CallError> {
        let fields: Fields<'_> = match text.trim_ascii_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|_| CallError::Json)?,
            false => return Err(CallError::Json),
        };
        let arguments = match fields.arguments {
            Some(arguments) if arguments.get().starts_with('[') => arguments,
            Some(_) => return Err(CallError::Arguments),
            None => serde_json::from_str("[]").expect("an empty array is JSON"),
        };
        let Fields { hub, method, .. } = fields;
        let (id, state) = (fields.id.map(id).transpose()?, fields.state.map(state).transpose()?);
        Ok(Self { hub, method, arguments, id, state: state.unwrap_or_default() })
    }
}

/// Reads an id. Clients in JavaScript send a number, those of .NET a text.
fn id(id: &RawValue) -> Result<String, CallError> {
    if id.get().len() > ID_BYTES_MAX {
        return Err(CallError::Id);
    }
    match serde_json::from_str(id.get()) {
        Ok(Value::String(text)) => Ok(text),
        Ok(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(CallError::Id),
    }
}

fn state(state: &RawValue) -> Result<Map<String, Value>, CallError> {
    if state.get().chars().nth(STATE_CHARACTERS_MAX).is_some() {
        return Err(CallError::State);
    }
    serde_json::from_str(state.get()).map_err(|_| CallError::State)
}

/// Why a call has no result, as the client reads it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    text: String,
    /// Whether the application wrote the text for clients.
    is_public: bool,
    data: Option<Box<RawValue>>,
}

impl Failure {
    /// Returns a failure with a text of this server.
    pub(crate) fn new(text: String) -> Self {
        Self { text, is_public: false, data: None }
    }

    /// Returns a failure with a text of the application, and data for the program of the client.
    pub(crate) fn public(text: String, data: Option<Box<RawValue>>) -> Self {
        Self { text, is_public: true, data }
    }
}

/// Writes the reply to a call. A result of `null` is left out, as by SignalR 2.
pub(crate) fn reply(
    id: Option<&str>,
    state: Option<&Map<String, Value>>,
    outcome: Result<&RawValue, &Failure>,
) -> Bytes {
    #[derive(Serialize)]
    struct Reply<'a> {
        #[serde(rename = "S", skip_serializing_if = "Option::is_none")]
        state: Option<&'a Map<String, Value>>,
        #[serde(rename = "R", skip_serializing_if = "Option::is_none")]
        result: Option<&'a RawValue>,
        #[serde(rename = "I")]
        id: Option<&'a str>,
        #[serde(rename = "H", skip_serializing_if = "Option::is_none")]
        is_public: Option<bool>,
        #[serde(rename = "E", skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        #[serde(rename = "D", skip_serializing_if = "Option::is_none")]
        data: Option<&'a RawValue>,
    }
    let failure = outcome.err();
    write(&Reply {
        state,
        result: outcome.ok().filter(|result| result.get() != "null"),
        id,
        is_public: failure.and_then(|failure| failure.is_public.then_some(true)),
        error: failure.map(|failure| failure.text.as_str()),
        data: failure.and_then(|failure| failure.data.as_deref()),
    })
}

/// Writes the entry of a frame that reports lost messages: the client method `missed`, with the
/// first and the last id. Clients ignore a method that they do not have.
pub(crate) fn missed(hub: &str, gap: Gap) -> Bytes {
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(rename = "H")]
        hub: &'a str,
        #[serde(rename = "M")]
        method: &'a str,
        #[serde(rename = "A")]
        arguments: (u64, u64),
    }
    write(&Entry { hub, method: "missed", arguments: (gap.from, gap.to) })
}

/// Writes the entry of a frame that reports the progress of a call.
pub(crate) fn progress(id: &str, value: &RawValue) -> Bytes {
    #[derive(Serialize)]
    struct Progress<'a> {
        #[serde(rename = "I")]
        id: &'a str,
        #[serde(rename = "P")]
        progress: Data<'a>,
    }
    #[derive(Serialize)]
    struct Data<'a> {
        #[serde(rename = "I")]
        id: &'a str,
        #[serde(rename = "D")]
        value: &'a RawValue,
    }
    write(&Progress { id: &format!("P|{id}"), progress: Data { id, value } })
}

/// A frame of the server.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The client continues after this place when it reconnects.
    pub(crate) cursor: Cursor,
    /// Whether it is the first frame of a connection, which lets the client go on.
    pub(crate) is_init: bool,
    /// Whether the client is to reconnect.
    pub(crate) is_reconnect: bool,
    /// The token of the groups, if they have changed.
    pub(crate) groups: Option<&'a str>,
    /// Milliseconds until the next poll.
    pub(crate) delay: Option<u64>,
    pub(crate) entries: &'a [Bytes],
}

impl Frame<'_> {
    /// Writes the frame as one line of JSON. A cursor and a token need no escapes.
    pub(crate) fn write(&self) -> Bytes {
        let mut text = format!("{{\"C\":\"{}\"", self.cursor).into_bytes();
        if self.is_init {
            text.extend_from_slice(b",\"S\":1");
        }
        if self.is_reconnect {
            text.extend_from_slice(b",\"T\":1");
        }
        if let Some(groups) = self.groups {
            text.extend_from_slice(b",\"G\":\"");
            text.extend_from_slice(groups.as_bytes());
            text.push(b'"');
        }
        if let Some(delay) = self.delay {
            text.extend_from_slice(format!(",\"L\":{delay}").as_bytes());
        }
        text.extend_from_slice(b",\"M\":[");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(entry);
        }
        text.extend_from_slice(b"]}");
        // JSON has line breaks only between its values. They would end an event of a stream.
        text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        text.into()
    }
}

/// Writes the frame that makes clients stop with an error. They do not reconnect.
pub(crate) fn stop(text: &str) -> Bytes {
    #[derive(Serialize)]
    struct Stop<'a> {
        #[serde(rename = "E")]
        text: &'a str,
    }
    write(&Stop { text })
}

fn write(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).expect("strings and raw JSON always serialise").into()
}

/// A frame that keeps an idle transport open.
pub(crate) const KEEP_ALIVE: Bytes = Bytes::from_static(b"{}");

/// SignalR 2's limit.
const STATE_CHARACTERS_MAX: usize = 4096;
const ID_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_hub_a_method_and_arguments() {
        let text = r#"{"H":"chathub","M":"Send","A":["a",{"b":[1]}],"I":7,"S":{"c":1},"X":[]}"#;
        let call = Call::parse(text).unwrap();
        assert_eq!((call.hub.as_str(), call.method.as_str()), ("chathub", "Send"));
        assert_eq!(call.arguments.get(), r#"["a",{"b":[1]}]"#);
        assert_eq!(call.id.as_deref(), Some("7"));
        assert_eq!(call.state["c"], 1);
    }

    #[test]
    fn arguments_id_and_state_are_optional() {
        for rest in ["", r#","A":null,"I":null,"S":null"#] {
            let text = format!(r#"{{"H":"h","M":"m"{rest}}}"#);
            let call = Call::parse(&text).unwrap();
            assert_eq!((call.arguments.get(), call.id, call.state.len()), ("[]", None, 0));
        }
        let call = Call::parse(r#"{"H":"h","M":"m","I":"x"}"#).unwrap();
        assert_eq!(call.id.as_deref(), Some("x"));
    }

    #[test]
    fn other_messages_are_refused() {
        for text in ["", "nope", "[]", "[\"h\",\"m\"]", "{}", r#"{"H":"h"}"#, r#"{"H":1,"M":"m"}"#]
        {
            check(text, CallError::Json);
        }
        check(r#"{"H":"h","M":"m","A":{}}"#, CallError::Arguments);
        check(r#"{"H":"h","M":"m","I":[]}"#, CallError::Id);
        check(&format!(r#"{{"H":"h","M":"m","I":"{}"}}"#, "x".repeat(256)), CallError::Id);
        check(r#"{"H":"h","M":"m","S":[]}"#, CallError::State);
        let state = |length: usize| format!(r#"{{"a":"{}"}}"#, "é".repeat(length - 8));
        let call = |length: usize| format!(r#"{{"H":"h","M":"m","S":{}}}"#, state(length));
        assert!(Call::parse(&call(4096)).is_ok());
        check(&call(4097), CallError::State);
        check(&format!(r#"{{"H":"h","M":"m","S":{}"#, "[".repeat(3000)), CallError::Json);
    }

    #[test]
    fn replies_are_written_as_by_signalr_2() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let changed: Map<String, Value> = serde_json::from_str(r#"{"a":1}"#).unwrap();
        let no = "no".to_owned();
        assert_eq!(reply(Some("0"), None, Ok(&raw("null"))), r#"{"I":"0"}"#);
        assert_eq!(reply(Some("0"), None, Ok(&raw("2"))), r#"{"R":2,"I":"0"}"#);
        assert_eq!(reply(None, None, Ok(&raw("2"))), r#"{"R":2,"I":null}"#);
        let changed = reply(Some("0"), Some(&changed), Ok(&raw("null")));
        assert_eq!(changed, r#"{"S":{"a":1},"I":"0"}"#);
        assert_eq!(reply(Some("0"), None, Err(&Failure::new(no.clone()))), r#"{"I":"0","E":"no"}"#);
        let public = Failure::public(no.clone(), None);
        assert_eq!(reply(Some("0"), None, Err(&public)), r#"{"I":"0","H":true,"E":"no"}"#);
        let with_data = reply(Some("0"), None, Err(&Failure::public(no, Some(raw("[1]")))));
        assert_eq!(with_data, r#"{"I":"0","H":true,"E":"no","D":[1]}"#);
        assert_eq!(progress("15", &raw("0")), r#"{"I":"P|15","P":{"I":"15","D":0}}"#);
        assert_eq!(stop("no"), r#"{"E":"no"}"#);
    }

    #[test]
    fn frames_are_written_as_by_signalr_2() {
        let cursor: Cursor = "s-0,4AC5".parse().unwrap();
        let frame = |is_init, is_reconnect, groups, entries| {
            Frame { cursor, is_init, is_reconnect, groups, delay: None, entries }.write()
        };
        assert_eq!(frame(true, false, None, &[]), r#"{"C":"s-0,4AC5","S":1,"M":[]}"#);
        assert_eq!(frame(false, true, None, &[]), r#"{"C":"s-0,4AC5","T":1,"M":[]}"#);
        assert_eq!(frame(false, false, Some("x"), &[]), r#"{"C":"s-0,4AC5","G":"x","M":[]}"#);
        let (groups, delay) = (Some("x"), Some(500));
        let all = Frame { cursor, is_init: true, is_reconnect: true, groups, delay, entries: &[] };
        assert_eq!(all.write(), r#"{"C":"s-0,4AC5","S":1,"T":1,"G":"x","L":500,"M":[]}"#);
        let entries = [Bytes::from("{\"A\":\n[]}"), missed("Chat", Gap { from: 7, to: 9 })];
        assert_eq!(
            frame(false, false, None, &entries),
            r#"{"C":"s-0,4AC5","M":[{"A": []},{"H":"Chat","M":"missed","A":[7,9]}]}"#
        );
    }

    fn check(text: &str, expected: CallError) {
        assert_eq!(Call::parse(text).err(), Some(expected), "{text}");
    }
}
