//! The loads of servers with WebSocket clients.

use super::PAYLOAD_BYTES;

/// A load of a hub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hub {
    /// One message at a time to all clients. The next follows when all have received it.
    Fan { clients: usize, payload_bytes: usize },
    /// Messages to all clients. Each sender, itself a client, has `window` messages in flight: those
    /// that it has sent and not received.
    Stream { senders: usize, window: usize, clients: usize },
    /// Clients that call a method, each again when it has the result.
    Echo { clients: usize },
    /// Clients that do nothing.
    Idle { clients: usize },
    /// Clients that start, some at a time: negotiation, WebSocket, handshake. Only SignalR has a
    /// negotiation.
    Storm { clients: usize },
}

impl Hub {
    pub(crate) fn payload_bytes(self) -> usize {
        match self {
            Self::Fan { payload_bytes, .. } => payload_bytes,
            _ => PAYLOAD_BYTES,
        }
    }

    /// Returns an upper bound of the connections to the server. A start has one more connection, for
    /// the negotiation.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Fan { clients, .. }
            | Self::Stream { clients, .. }
            | Self::Echo { clients }
            | Self::Idle { clients } => clients,
            Self::Storm { clients } => clients + clients / 10,
        }
    }

    /// Returns the name of the floor with which servers are compared. Only a stream gives a server
    /// several messages to gather.
    pub(crate) fn floor(self) -> &'static str {
        match self {
            Self::Stream { .. } => "floor-gathering",
            _ => "floor-plain",
        }
    }
}
