//! The hub protocol: what clients and server say to each other over any transport.
//!
//! `frames` cuts bytes into messages, `json` reads and writes them. Neither knows of sockets or methods.

pub(crate) mod frames;
pub(crate) mod json;

/// Bytes of a client that are not the hub protocol. The texts are those of ASP.NET Core.
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
}
