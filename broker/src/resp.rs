//! The Redis protocol: requests in, replies out.
//!
//! Bytes only. It knows nothing about sockets, sessions or what a command means.

pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod words;

/// The protocol version that a client asked for with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}
