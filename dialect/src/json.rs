//! Hub messages in JSON. Each one ends in the separator.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The byte behind each message.
pub const SEPARATOR: u8 = 0x1e;

/// An invocation of a client's method, as [`invocation`] writes it.
#[derive(Debug, Deserialize)]
pub struct Invocation<'a> {
    r#type: u64,
    /// The id, if a Completion is expected.
    #[serde(borrow, default, rename = "invocationId")]
    pub id: Option<Cow<'a, str>>,
    /// The name of the method.
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    /// The arguments, a JSON array.
    #[serde(borrow)]
    pub arguments: &'a RawValue,
}

impl<'a> Invocation<'a> {
    /// Reads one message with its separator. Returns `None` for any other message.
    ///
    /// ```
    /// let frame = b"{\"type\":1,\"target\":\"say\",\"arguments\":[\"hi\"]}\x1e";
    /// let invocation = dialect::json::Invocation::read(frame).unwrap();
    /// assert_eq!((&*invocation.target, invocation.arguments.get()), ("say", r#"["hi"]"#));
    /// ```
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        let invocation: Self = object(frame)?;
        let has_arguments = invocation.arguments.get().starts_with('[');
        (invocation.r#type == INVOCATION && has_arguments).then_some(invocation)
    }
}

/// Writes an invocation of a client's method. With an id it expects a Completion.
///
/// `arguments` is a JSON array.
///
/// ```
/// let arguments = serde_json::value::to_raw_value(&["hi"]).unwrap();
/// let frame = dialect::json::invocation(None, "say", &arguments);
/// assert_eq!(frame, "{\"type\":1,\"target\":\"say\",\"arguments\":[\"hi\"]}\u{1e}");
/// ```
pub fn invocation(id: Option<&str>, target: &str, arguments: &RawValue) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: u64,
        #[serde(rename = "invocationId", skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        target: &'a str,
        arguments: &'a RawValue,
    }
    frame(&Message { r#type: INVOCATION, id, target, arguments })
}

/// Writes the Completion of the call `id`: an error, a result, or neither.
///
/// ```
/// let frame = dialect::json::completion("1", Err("no"));
/// assert_eq!(frame, "{\"type\":3,\"invocationId\":\"1\",\"error\":\"no\"}\u{1e}");
/// ```
pub fn completion(id: &str, outcome: Result<Option<&RawValue>, &str>) -> Bytes {
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
    frame(&Message { r#type: COMPLETION, id, result: outcome.ok().flatten(), error: outcome.err() })
}

/// Writes any message with its separator.
///
/// # Panics
///
/// If the message does not serialize, which strings and raw JSON always do.
///
/// ```
/// assert_eq!(dialect::json::frame(&[1]), "[1]\u{1e}");
/// ```
pub fn frame(message: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(message).expect("strings and raw JSON always serialize");
    bytes.push(SEPARATOR);
    bytes.into()
}

pub(crate) fn is_message(frame: &[u8]) -> bool {
    object::<IgnoredAny>(frame).is_some()
}

/// Reads one object with a separator behind it.
fn object<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Option<T> {
    let text = frame.strip_suffix(&[SEPARATOR])?;
    // Serde alone would also accept an array of the values in order.
    let is_object = text.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(text).ok() } else { None }
}

const INVOCATION: u64 = 1;
const COMPLETION: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_messages_are_no_invocation() {
        for text in [
            "",
            "\u{1e}",
            "{}\u{1e}",
            "{\"type\":1,\"target\":\"a\",\"arguments\":[]}",
            "{\"type\":1,\"target\":\"a\",\"arguments\":[]}\u{1e}\u{1e}",
            "{\"type\":1,\"target\":\"a\",\"arguments\":{}}\u{1e}",
            "{\"type\":3,\"target\":\"a\",\"arguments\":[]}\u{1e}",
            "[1,null,\"a\",[]]\u{1e}",
        ] {
            assert!(Invocation::read(text.as_bytes()).is_none(), "{text:?}");
        }
        let deep = "[".repeat(100_000);
        let text = format!("{{\"type\":1,\"target\":\"a\",\"arguments\":[{deep}\u{1e}");
        assert!(Invocation::read(text.as_bytes()).is_none());
    }
}
