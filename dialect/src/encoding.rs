//! The two encodings of hub messages.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{json, messagepack};

/// The encoding of hub messages.
///
/// ```
/// assert_eq!(dialect::Encoding::named("messagepack"), Some(dialect::Encoding::MessagePack));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Text that ends in the separator 0x1E.
    Json,
    /// MessagePack behind its length.
    MessagePack,
}

impl Encoding {
    /// Both encodings, in the order in which ASP.NET Core writes them.
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// Returns the name of the encoding in handshakes and payloads.
    ///
    /// ```
    /// assert_eq!(dialect::Encoding::Json.name(), "json");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// Returns the encoding with this name.
    ///
    /// ```
    /// assert_eq!(dialect::Encoding::named("blazorpack"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Writes an invocation of a client's method. With an id it expects a Completion.
    ///
    /// ```
    /// let arguments = serde_json::value::to_raw_value(&[1]).unwrap();
    /// let frame = dialect::Encoding::Json.invocation(Some("7"), "ask", &arguments);
    /// let text = "{\"type\":1,\"invocationId\":\"7\",\"target\":\"ask\",\"arguments\":[1]}\u{1e}";
    /// assert_eq!(frame, text);
    /// ```
    pub fn invocation(self, id: Option<&str>, target: &str, arguments: &RawValue) -> Bytes {
        match self {
            Self::Json => json::invocation(id, target, arguments),
            Self::MessagePack => messagepack::invocation(id, target, arguments),
        }
    }

    /// Returns whether bytes are one hub message of this encoding, which a client can read.
    ///
    /// ```
    /// assert!(dialect::Encoding::Json.is_message(b"{\"type\":6}\x1e"));
    /// assert!(dialect::Encoding::MessagePack.is_message(b"\x02\x91\x06"));
    /// assert!(!dialect::Encoding::MessagePack.is_message(b"\x03\x91\x06"));
    /// ```
    pub fn is_message(self, bytes: &[u8]) -> bool {
        match self {
            Self::Json => json::is_message(bytes),
            Self::MessagePack => messagepack::is_message(bytes),
        }
    }
}
