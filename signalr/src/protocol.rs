//! The hub protocol: the messages between clients and server, over any transport.
//!
//! `frames` splits bytes into messages. `json` parses and writes the messages. `classic` does so for
//! clients of SignalR 2. None of them uses sockets or methods.

pub(crate) mod classic;
pub(crate) mod frames;
pub(crate) mod json;

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
}
