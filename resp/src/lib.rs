//! The Redis protocol (RESP2 and RESP3): decodes and encodes requests and replies.
//!
//! A server uses [`request`] and [`reply`]. A client uses [`request::encode`] and [`value`]. The crate
//! works on bytes. It has no sockets, no sessions and no commands.
//!
//! ```
//! use resp::reply;
//! use resp::request::{Decoded, Decoder, Limits};
//!
//! let bytes = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
//! let limits = Limits { bulk_bytes_max: 1024, authenticated: true };
//!
//! let mut decoder = Decoder::default();
//! assert_eq!(decoder.decode(bytes, limits), Ok(Decoded::Request(bytes.len())));
//! let request = decoder.request(bytes);
//! assert_eq!(request.argument(0), b"ECHO");
//!
//! let mut out = Vec::new();
//! reply::bulk(&mut out, request.argument(1));
//! assert_eq!(out, b"$5\r\nhello\r\n");
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod number;
pub mod reply;
pub mod request;
pub mod value;
pub mod words;

/// The protocol version of a client, which `HELLO` selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The version of a client that has not sent `HELLO`.
    #[default]
    Resp2,
    /// The version with maps, sets, doubles and pushes.
    Resp3,
}

impl Protocol {
    /// Returns the version as the number in `HELLO`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}
