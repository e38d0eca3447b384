//! The hub protocol: the messages between clients and server, over any transport.
//!
//! `frames` splits bytes into messages. `json` and `messagepack` parse and write the messages in
//! one encoding each. [`Encoding`] selects between them. `classic` writes for clients of SignalR 2.
//! Nothing here uses sockets or methods.

use backplane::{Cursor, Invocation, Run};
use bytes::Bytes;
use dialect::length_prefix::LengthError;
use serde::Serialize;
use serde_json::value::RawValue;

use message::{ClientMessage, Payload};

pub(crate) mod classic;
pub(crate) mod frames;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod messagepack;

#[cfg(test)]
mod vectors;

/// The encoding of the hub messages of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    MessagePack,
}

impl Encoding {
    /// Returns the encoding with this name in the handshake.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("json") {
            Some(Self::Json)
        } else if name.eq_ignore_ascii_case("messagepack") {
            Some(Self::MessagePack)
        } else {
            None
        }
    }

    /// Returns its name in the handshake.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// Returns whether messages are binary, so a transport for text cannot carry them.
    pub(crate) fn is_binary(self) -> bool {
        self == Self::MessagePack
    }

    /// Parses one message, as the frames return it.
    pub(crate) fn parse(self, message: &[u8]) -> Result<ClientMessage<'_>, ProtocolError> {
        match self {
            Self::Json => json::parse(message),
            Self::MessagePack => messagepack::parse(message),
        }
    }

    /// Encodes a value that a method returned.
    ///
    /// # Errors
    ///
    /// Returns an error if the value does not serialize.
    pub(crate) fn payload(self, value: &impl Serialize) -> Result<Payload, PayloadError> {
        Ok(match self {
            Self::Json => Payload::Json(serde_json::value::to_raw_value(value)?),
            Self::MessagePack => Payload::MessagePack(messagepack::value(value)?),
        })
    }

    /// Writes an invocation that expects no Completion. All connections of one encoding share it.
    pub(crate) fn invocation(self, invocation: &Invocation) -> Bytes {
        invocation.frame(self.dialect())
    }

    /// Writes an invocation with its place. All connections of one encoding share it.
    pub(crate) fn invocation_at(self, invocation: &Invocation, at: Cursor) -> Bytes {
        invocation.frame_at(self.dialect(), at)
    }

    /// Writes invocations that follow each other. All connections of one encoding share them.
    pub(crate) fn run(self, run: &Run) -> Bytes {
        run.frames(self.dialect())
    }

    fn dialect(self) -> dialect::Encoding {
        match self {
            Self::Json => dialect::Encoding::Json,
            Self::MessagePack => dialect::Encoding::MessagePack,
        }
    }

    /// Writes an invocation. With an id it expects a Completion.
    pub(crate) fn call(self, id: Option<&str>, target: &str, arguments: &RawValue) -> Bytes {
        match self {
            Self::Json => json::invocation(id, target, arguments),
            Self::MessagePack => messagepack::invocation(id, target, arguments),
        }
    }

    /// Writes one item of a stream.
    pub(crate) fn stream_item(self, id: &str, item: &Payload) -> Bytes {
        match item {
            Payload::Json(item) => json::stream_item(id, item),
            Payload::MessagePack(item) => messagepack::stream_item(id, item),
        }
    }

    /// Writes the Completion of the call `id`. A stream ends without a result.
    pub(crate) fn completion(self, id: &str, outcome: Result<Option<&Payload>, &str>) -> Bytes {
        match (self, outcome) {
            (_, Ok(Some(Payload::Json(result)))) => json::completion(id, Ok(Some(result))),
            (_, Ok(Some(Payload::MessagePack(result)))) => {
                messagepack::completion(id, Ok(Some(result)))
            }
            (Self::Json, Ok(None)) => json::completion(id, Ok(None)),
            (Self::Json, Err(error)) => json::completion(id, Err(error)),
            (Self::MessagePack, Ok(None)) => messagepack::completion(id, Ok(None)),
            (Self::MessagePack, Err(error)) => messagepack::completion(id, Err(error)),
        }
    }

    /// Returns a ping, which keeps an idle connection open.
    pub(crate) fn ping(self) -> Bytes {
        match self {
            Self::Json => json::PING,
            Self::MessagePack => messagepack::PING,
        }
    }

    /// Writes the confirmation of all messages up to a number.
    pub(crate) fn ack(self, number: u64) -> Bytes {
        match self {
            Self::Json => json::ack(number),
            Self::MessagePack => messagepack::ack(number),
        }
    }

    /// Writes the number of the first message on a new transport.
    pub(crate) fn sequence(self, number: u64) -> Bytes {
        match self {
            Self::Json => json::sequence(number),
            Self::MessagePack => messagepack::sequence(number),
        }
    }

    /// Writes a Close message.
    pub(crate) fn close(self, error: Option<&str>, allow_reconnect: bool) -> Bytes {
        match self {
            Self::Json => json::close(error, allow_reconnect),
            Self::MessagePack => messagepack::close(error, allow_reconnect),
        }
    }
}

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
    #[error("Unexpected JSON Token Type '{0}'. Expected a JSON Object.")]
    NoObject(&'static str),
    #[error("Missing required property '{0}'.")]
    Missing(&'static str),
    #[error("Expected '{property}' to be of type {expected}.")]
    WrongType { property: &'static str, expected: &'static str },
    #[error("The 'error' and 'result' properties are mutually exclusive.")]
    ErrorAndResult,
    #[error("Messages over 2GB in size are not supported.")]
    LengthPrefix,
    #[error("Error reading MessagePack.")]
    MessagePack,
    #[error("Unexpected msgpack code {code} ({name}) encountered.")]
    UnexpectedCode { code: u8, name: &'static str },
    #[error("Reading '{field}' as {expected} failed.")]
    Field { field: &'static str, expected: &'static str },
    #[error("Reading {of} length for '{field}' failed.")]
    Length { field: &'static str, of: &'static str },
    #[error("Reading 'headers[{index}].{part}' as String failed.")]
    Header { index: u64, part: &'static str },
    #[error("Invalid invocation result kind.")]
    ResultKind,
}

impl From<LengthError> for ProtocolError {
    fn from(error: LengthError) -> Self {
        match error {
            LengthError::TooLarge(limit) => Self::TooLarge(limit),
            LengthError::Invalid => Self::LengthPrefix,
        }
    }
}

impl ProtocolError {
    /// Returns the name of the exception that stands before the text in ASP.NET Core.
    pub(crate) fn exception(&self) -> &'static str {
        match self {
            Self::LengthPrefix => "FormatException",
            Self::UnexpectedCode { .. } => "MessagePackSerializationException",
            _ => "InvalidDataException",
        }
    }
}

/// A value of the application has no form in the encoding of the connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    MessagePack(#[from] rmp_serde::encode::Error),
}
