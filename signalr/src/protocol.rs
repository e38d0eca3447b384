//! The hub protocol: the messages between clients and server, over any transport.
//!
//! `frames` and `length_prefix` split bytes into messages. `json` and `messagepack` parse and write
//! the messages. None of them uses sockets or methods.

pub(crate) mod frames;
pub(crate) mod json;
#[allow(dead_code, reason = "no handshake agrees on MessagePack yet")]
pub(crate) mod length_prefix;
#[allow(dead_code, reason = "no handshake agrees on MessagePack yet")]
pub(crate) mod message;
#[allow(dead_code, reason = "no handshake agrees on MessagePack yet")]
pub(crate) mod messagepack;

/// A client's bytes violate the hub protocol. The texts are ASP.NET Core's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error(
        "The maximum message size of {0}B was exceeded. \
         The message size can be configured in AddHubOptions."
    )]
    TooLarge(usize),
    #[error("Error reading JSON.")]
    Json,
    #[error("Missing required property '{0}'.")]
    Missing(&'static str),
    #[error("Expected '{property}' to be of type {expected}.")]
    WrongType { property: &'static str, expected: &'static str },
    #[error("Messages over 2GB in size are not supported.")]
    LengthPrefix,
    #[error("Error reading MessagePack.")]
    MessagePack,
    #[error("Unexpected msgpack code {code} ({name}) encountered.")]
    UnexpectedCode { code: u8, name: &'static str },
    #[error("Reading '{field}' as {expected} failed.")]
    Field { field: &'static str, expected: &'static str },
    #[error("Invalid invocation result kind.")]
    ResultKind,
}

impl ProtocolError {
    /// Returns the name of the exception that stands before the text in ASP.NET Core.
    #[allow(dead_code, reason = "no handshake agrees on MessagePack yet")]
    pub(crate) fn exception(&self) -> &'static str {
        match self {
            Self::LengthPrefix => "FormatException",
            Self::UnexpectedCode { .. } => "MessagePackSerializationException",
            _ => "InvalidDataException",
        }
    }
}
