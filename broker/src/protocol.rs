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

impl Protocol {
    /// Returns the number by which clients know it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}
