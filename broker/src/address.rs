//! Addresses of connections, and the port of a server.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;

/// The TCP port of a server.
///
/// Integers follow the convention of sockets, where 0 is any free port. In redis.conf, `port 0`
/// stands for [`Port::None`], as in Redis, and `port any` for [`Port::Any`].
///
/// ```
/// use broker::Port;
///
/// assert_eq!(Port::from(0), Port::Any);
/// assert_eq!(Port::from(6379).to_string(), "6379");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// No TCP port; the server listens on its socket file only.
    None,
    /// Any free port; [`Server::local_addr`](crate::Server::local_addr) returns it.
    Any,
    /// This port.
    Number(NonZero<u16>),
}

impl Port {
    /// Returns the port of a listener, or none for 0.
    pub(crate) fn bound(port: u16) -> Self {
        NonZero::new(port).map_or(Self::None, Self::Number)
    }

    /// Returns the number to bind; 0 lets the system choose.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::None | Self::Any => 0,
            Self::Number(number) => number.get(),
        }
    }
}

impl From<u16> for Port {
    fn from(port: u16) -> Self {
        NonZero::new(port).map_or(Self::Any, Self::Number)
    }
}

/// Writes the port as redis.conf does.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0"),
            Self::Any => f.write_str("any"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    /// The path of the server's socket, for either end.
    Unix(Arc<str>),
}

impl Address {
    /// Returns whether it is on this machine. As in Redis, only the two usual loopback addresses
    /// and socket files are.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => {
                address.ip() == Ipv4Addr::LOCALHOST || address.ip() == Ipv6Addr::LOCALHOST
            }
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{path}:0"),
        }
    }
}
