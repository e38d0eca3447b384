//! The first words of a connection: which hub protocol both sides will speak.
//!
//! The request is always JSON text, whatever protocol it asks for. After a good one the server answers
//! `{}`; after a bad one it says why and closes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::json;

/// Checks a client's handshake request, without its separator.
pub(crate) fn check(request: &[u8]) -> Result<(), HandshakeError> {
    let request: Request = json::object(request).ok_or(HandshakeError::Unreadable)?;
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

/// Why a connection did not begin. The texts are those of ASP.NET Core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion { protocol: String, version: i32 },
    #[error("Handshake was canceled.")]
    TimedOut,
    #[error("An unexpected error occurred during connection handshake.")]
    Unreadable,
}

impl HandshakeError {
    /// The server's answer to the failed request.
    pub(crate) fn reply(&self) -> Bytes {
        #[derive(Serialize)]
        struct Reply {
            error: String,
        }
        json::frame(&Reply { error: self.to_string() })
    }
}

/// The server's answer to a good request.
pub(crate) const ACCEPTED: Bytes = Bytes::from_static(b"{}\x1e");

/// Version 2 adds messages that only a stateful reconnect uses.
const VERSION_MAX: i32 = 2;

#[cfg(test)]
mod tests {
    #[test]
    fn a_known_protocol_is_accepted() {
        for text in
            [r#"{"protocol":"json","version":1}"#, r#"{"version":2,"protocol":"JSON","extra":[]}"#]
        {
            assert_eq!(super::check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_bad_request_is_told_why() {
        check(
            r#"{"protocol":"messagepack","version":1}"#,
            "The protocol 'messagepack' is not supported.",
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
        let error = super::check(request.as_bytes()).unwrap_err();
        assert_eq!(error.reply(), format!("{{\"error\":\"{expected}\"}}\u{1e}"), "{request}");
    }
}
