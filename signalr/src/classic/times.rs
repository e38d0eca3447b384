//! The times of the protocol. They are SignalR 2's defaults, since clients depend on them.

use std::time::Duration;

/// Time without a frame after which an open transport gets a keep-alive.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Maximum time without a transport, and from the first transport to the start.
pub(super) const DISCONNECT: Duration = Duration::from_secs(30);
/// Maximum time of one poll.
pub(super) const POLL: Duration = Duration::from_secs(110);
/// Time after which a client tries its next transport.
pub(super) const TRANSPORT_CONNECT: Duration = Duration::from_secs(5);
