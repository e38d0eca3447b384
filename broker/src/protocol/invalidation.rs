//! The messages of client-side caching.

use super::{Protocol, reply};

/// Keys that a client must remove from its cache.
#[derive(Clone, Debug)]
pub(crate) enum InvalidatedKeys {
    Keys(Vec<Box<[u8]>>),
    /// All keys, since a database was flushed.
    All,
    /// The redirection target with this id disconnected (`tracking-redir-broken`).
    Unknown(u64),
}

impl InvalidatedKeys {
    /// Returns the bytes that the message takes, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        const FRAME_BYTES: usize = 32;

        match self {
            Self::Keys(keys) => keys.iter().map(|key| key.len() + FRAME_BYTES).sum(),
            Self::All | Self::Unknown(_) => FRAME_BYTES,
        }
    }
}

/// Appends the message that invalidates a client's copies of `keys`.
pub(crate) fn append(out: &mut Vec<u8>, protocol: Protocol, keys: &InvalidatedKeys) {
    let is_push = protocol == Protocol::Resp3;
    match (keys, is_push) {
        (InvalidatedKeys::Unknown(client), _) => {
            reply::push_header(out, protocol, 2);
            reply::bulk(out, b"tracking-redir-broken");
            return reply::integer(out, usize::try_from(*client).unwrap_or(usize::MAX));
        }
        (_, true) => {
            reply::push_header(out, protocol, 2);
            reply::bulk(out, b"invalidate");
        }
        (_, false) => {
            reply::push_header(out, protocol, 3);
            reply::bulk(out, b"message");
            reply::bulk(out, b"__redis__:invalidate");
        }
    }
    match keys {
        InvalidatedKeys::Keys(keys) => {
            reply::array_header(out, keys.len());
            keys.iter().for_each(|key| reply::bulk(out, key));
        }
        _ if is_push => out.extend_from_slice(b"_\r\n"),
        _ => out.extend_from_slice(b"$-1\r\n"),
    }
}
