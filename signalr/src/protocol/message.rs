//! The messages of a client, independent of their encoding.
//!
//! Parsed messages borrow from the bytes of the client. Arguments, items and results stay in their
//! encoding, since their types depend on the method.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A message of a client.
#[derive(Debug)]
pub(crate) enum ClientMessage<'a> {
    Invocation(Call<'a>),
    StreamInvocation(Call<'a>),
    StreamItem {
        id: Cow<'a, str>,
        item: Raw<'a>,
    },
    Completion {
        id: Cow<'a, str>,
        outcome: Result<Option<Raw<'a>>, Cow<'a, str>>,
    },
    CancelInvocation {
        id: Cow<'a, str>,
    },
    Ping,
    Close,
    Ack(u64),
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
