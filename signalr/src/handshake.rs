//! The handshake of a connection: client and server agree on a hub protocol.
//!
//! The request is always JSON, even if it asks for another protocol. The server answers a valid
//! request with `{}`. It answers an invalid one with an error, and closes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::{Encoding, ProtocolError, json};

/// Checks a client's handshake request, without its separator.
///
/// `carries_binary` tells whether the transport can carry binary messages.
pub(crate) fn check(request: &[u8], carries_binary: bool) -> Result<Agreed, HandshakeError> {
    // Of properties with the same name the last one counts, as in hub messages.
    let properties: Option<Map<String, Value>> = json::object(request);
    let properties = properties.and_then(|all| serde_json::from_value(all.into()).ok());
    let Request { protocol, version } =
        properties.ok_or_else(|| HandshakeError::no_object(request))?;
    let missing = |property| HandshakeError::Missing {
        property,
        request: String::from_utf8_lossy(request).into_owned(),
    };
    let protocol = protocol.ok_or_else(|| missing("protocol"))?;
    let version = version.ok_or_else(|| missing("version"))?;
    let Some(encoding) = Encoding::named(&protocol) else {
        return Err(HandshakeError::UnknownProtocol(protocol));
    };
    if version > VERSION_MAX {
        return Err(HandshakeError::UnknownVersion { protocol, version });
    }
    if encoding.is_binary() && !carries_binary {
        return Err(HandshakeError::TextOnly(protocol));
    }
    Ok(Agreed { encoding, is_stateful: version == VERSION_MAX })
}

/// What client and server have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) encoding: Encoding,
    /// Whether the client numbers its messages, if the negotiation allowed it.
    pub(crate) is_stateful: bool,
}

#[derive(Deserialize)]
struct Request {
    protocol: Option<String>,
    version: Option<i32>,
}

/// The reason why a handshake failed. The texts are ASP.NET Core's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion { protocol: String, version: i32 },
    #[error(
        "Cannot use the '{0}' protocol on the current transport. The transport does not support \
         'Binary' transfer format."
    )]
    TextOnly(String),
    #[error("Handshake was canceled.")]
    TimedOut,
    #[error(
        "InvalidDataException: Missing required property '{property}'. Message content: {request}"
    )]
    Missing { property: &'static str, request: String },
    #[error(
        "JsonReaderException: '{0}' is an invalid start of a value. LineNumber: 0 | \
         BytePositionInLine: 0."
    )]
    InvalidStart(char),
    #[error("{}: {}", .0.exception(), .0)]
    Unreadable(ProtocolError),
}

impl HandshakeError {
    /// Returns the error of a request that is no object.
    fn no_object(request: &[u8]) -> Self {
        let is_start =
            |byte: u8| byte.is_ascii_whitespace() || b"{[\"-0123456789tfn".contains(&byte);
        match request.first() {
            Some(&first) if first.is_ascii_graphic() && !is_start(first) => {
                Self::InvalidStart(first.into())
            }
            _ => Self::Unreadable(json::no_object(request)),
        }
    }

    /// Returns the reply to the failed request. Without `detailed` it does not quote the request.
    pub(crate) fn reply(&self, detailed: bool) -> Bytes {
        #[derive(Serialize)]
        struct Reply {
            error: String,
        }
        let error = match self {
            Self::Missing { .. } | Self::InvalidStart(_) | Self::Unreadable(_) if detailed => {
                format!("{UNEXPECTED} {self}")
            }
            Self::Missing { .. } | Self::InvalidStart(_) | Self::Unreadable(_) => {
                UNEXPECTED.to_owned()
            }
            expected => expected.to_string(),
        };
        json::frame(&Reply { error })
    }
}

const UNEXPECTED: &str = "An unexpected error occurred during connection handshake.";

/// The reply to a valid request.
pub(crate) const ACCEPTED: Bytes = Bytes::from_static(b"{}\x1e");

/// Version 2 adds messages for the stateful reconnect only.
const VERSION_MAX: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_protocol_is_accepted() {
        for (text, encoding) in [
            (r#"{"protocol":"json","version":1}"#, Encoding::Json),
            (r#"{"version":2,"protocol":"JSON","extra":[]}"#, Encoding::Json),
            (r#"{"protocol":"x","version":"1","version":1,"protocol":"json"}"#, Encoding::Json),
            (r#"{"protocol":"messagepack","version":1}"#, Encoding::MessagePack),
        ] {
            let agreed = check(text.as_bytes(), true).unwrap();
            assert_eq!((agreed.encoding, agreed.is_stateful), (encoding, text.contains('2')));
        }
    }

    #[test]
    fn the_reply_to_an_invalid_request_names_the_error() {
        refused(r#"{"protocol":"x","version":1}"#, "The protocol 'x' is not supported.");
        refused(
            r#"{"protocol":"json","version":3}"#,
            "The server does not support version 3 of the 'json' protocol.",
        );
        refused(
            r#"{"protocol":"messagepack","version":1}"#,
            "Cannot use the 'messagepack' protocol on the current transport. The transport does \
             not support 'Binary' transfer format.",
        );
        for text in ["", "{}", "hello", r#"{"protocol":"json"}"#, r#"{"type":6}"#, r#"["json",1]"#]
        {
            refused(text, UNEXPECTED);
        }
    }

    #[test]
    fn the_detailed_reply_quotes_the_request() {
        let error = check(br#"{"type":6}"#, true).unwrap_err();
        assert_eq!(
            error.reply(true),
            format!(
                "{{\"error\":\"{UNEXPECTED} InvalidDataException: Missing required property \
                 'protocol'. Message content: {{\\\"type\\\":6}}\"}}\u{1e}"
            )
        );
    }

    #[test]
    fn the_detailed_reply_names_the_type_of_other_json() {
        for (request, expected) in [
            (
                "hello",
                "JsonReaderException: 'h' is an invalid start of a value. LineNumber: 0 | BytePositionInLine: 0.",
            ),
            (
                "[]",
                "InvalidDataException: Unexpected JSON Token Type 'Array'. Expected a JSON Object.",
            ),
            (
                "1",
                "InvalidDataException: Unexpected JSON Token Type 'Number'. Expected a JSON Object.",
            ),
            ("{", "InvalidDataException: Error reading JSON."),
        ] {
            let error = check(request.as_bytes(), true).unwrap_err();
            let expected = format!("{{\"error\":\"{UNEXPECTED} {expected}\"}}\u{1e}");
            assert_eq!(error.reply(true), expected, "{request}");
        }
    }

    fn refused(request: &str, expected: &str) {
        let error = check(request.as_bytes(), false).unwrap_err();
        assert_eq!(error.reply(false), format!("{{\"error\":\"{expected}\"}}\u{1e}"), "{request}");
    }
}
