//! The handshake of a connection: client and server agree on a hub protocol.
//!
//! The request is always JSON, even if it asks for another protocol. The server answers a valid
//! request with `{}`. It answers an invalid one with an error, and closes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::json;

/// Checks a client's handshake request, without its separator.
pub(crate) fn check(request: &[u8], carries_binary: bool) -> Result<(), HandshakeError> {
    let request: Request = json::object(request).ok_or(HandshakeError::Unreadable)?;
    if !carries_binary && request.protocol.eq_ignore_ascii_case("messagepack") {
        return Err(HandshakeError::TextOnly(request.protocol));
    }
    if !request.protocol.eq_ignore_ascii_case("json") {
        return Err(HandshakeError::UnknownProtocol(request.protocol));
    }
    if request.version > VERSION_MAX {
        return Err(HandshakeError::UnknownVersion {
            protocol: request.protocol,
            version: request.version,
        });
    }
    Ok(())
}

#[derive(Deserialize)]
struct Request {
    protocol: String,
    version: i32,
}

/// The reason why a handshake failed. The texts are ASP.NET Core's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    #[error(
        "Cannot use the '{0}' protocol on the current transport. \
         The transport does not support 'Binary' transfer format."
    )]
    TextOnly(String),
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion { protocol: String, version: i32 },
    #[error("Handshake was canceled.")]
    TimedOut,
    #[error("An unexpected error occurred during connection handshake.")]
    Unreadable,
}

impl HandshakeError {
    /// Returns the reply to the failed request.
    pub(crate) fn reply(&self) -> Bytes {
        #[derive(Serialize)]
        struct Reply {
            error: String,
        }
        json::frame(&Reply { error: self.to_string() })
    }
}

/// The reply to a valid request.
pub(crate) const ACCEPTED: Bytes = Bytes::from_static(b"{}\x1e");

/// Version 2 adds messages for the stateful reconnect only.
const VERSION_MAX: i32 = 2;

#[cfg(test)]
mod tests {
    #[test]
    fn a_known_protocol_is_accepted() {
        for text in
            [r#"{"protocol":"json","version":1}"#, r#"{"version":2,"protocol":"JSON","extra":[]}"#]
        {
            assert_eq!(super::check(text.as_bytes(), false), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_reply_to_an_invalid_request_names_the_error() {
        check(
            r#"{"protocol":"messagepack","version":1}"#,
            "The protocol 'messagepack' is not supported.",
        );
        let binary = br#"{"protocol":"messagepack","version":1}"#;
        let error = super::check(binary, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Cannot use the 'messagepack' protocol on the current transport. \
             The transport does not support 'Binary' transfer format."
        );
        check(
            r#"{"protocol":"json","version":3}"#,
            "The server does not support version 3 of the 'json' protocol.",
        );
        for text in ["", "{}", "hello", r#"{"protocol":"json"}"#, r#"{"type":6}"#, r#"["json",1]"#]
        {
            check(text, "An unexpected error occurred during connection handshake.");
        }
    }

    fn check(request: &str, expected: &str) {
        let error = super::check(request.as_bytes(), true).unwrap_err();
        assert_eq!(error.reply(), format!("{{\"error\":\"{expected}\"}}\u{1e}"), "{request}");
    }
}
