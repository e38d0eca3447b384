//! The hub messages of a client, independent of their encoding.
//!
//! Values keep their encoding, since their types depend on the method.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::messagepack;

/// A message of a client.
#[derive(Debug)]
pub(crate) enum ClientMessage<'a> {
    Invocation(Call<'a>),
    StreamInvocation(Call<'a>),
    /// An item of a stream that the client sends.
    StreamItem {
        id: Cow<'a, str>,
        item: Raw<'a>,
    },
    /// The result of a client's method, or the end of a stream that the client sends.
    Completion {
        id: Cow<'a, str>,
        outcome: Result<Option<Raw<'a>>, Cow<'a, str>>,
    },
    CancelInvocation {
        id: Cow<'a, str>,
    },
    Ping,
    Close,
    /// The client has received all messages up to this number.
    Ack(u64),
    /// The number of the next message that the client sends.
    Sequence(u64),
    /// A message that this server ignores.
    Other,
}

/// A call of a hub method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// `None` if the client expects no Completion.
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) target: Cow<'a, str>,
    /// An array.
    pub(crate) arguments: Raw<'a>,
    /// The streams that the client sends with the call.
    pub(crate) stream_ids: Vec<Cow<'a, str>>,
    /// Message headers, such as `traceparent`.
    pub(crate) headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// One value in the encoding of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    Json(&'a RawValue),
    MessagePack(&'a [u8]),
}

impl Raw<'_> {
    /// Reads the value, or returns `None` if it has another type.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Option<T> {
        match self {
            Self::Json(value) => serde_json::from_str(value.get()).ok(),
            Self::MessagePack(value) => messagepack::read(value),
        }
    }

    /// Returns the elements of an array, or `None` if it is none.
    pub(crate) fn elements(&self) -> Option<Vec<Raw<'_>>> {
        match self {
            Self::Json(array) => {
                let elements: Vec<&RawValue> = serde_json::from_str(array.get()).ok()?;
                Some(elements.into_iter().map(Raw::Json).collect())
            }
            Self::MessagePack(array) => {
                Some(messagepack::elements(array)?.into_iter().map(Raw::MessagePack).collect())
            }
        }
    }

    pub(crate) fn to_payload(self) -> Payload {
        match self {
            Self::Json(value) => Payload::Json(value.to_owned()),
            Self::MessagePack(value) => Payload::MessagePack(value.to_owned()),
        }
    }
}

/// One encoded value that outlives its message.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Json(Box<RawValue>),
    MessagePack(Vec<u8>),
}

impl Payload {
    pub(crate) fn as_raw(&self) -> Raw<'_> {
        match self {
            Self::Json(value) => Raw::Json(value),
            Self::MessagePack(value) => Raw::MessagePack(value),
        }
    }
}
