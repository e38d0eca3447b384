//! Whether the broker is reachable.

use std::fmt;

/// Whether the broker is reachable.
///
/// ```
/// let state = backplane::State::Disconnected { reason: "connection refused".into() };
/// assert_eq!(state.to_string(), "disconnected: connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The first attempt is in progress.
    Connecting,
    /// The broker has confirmed the subscription, and accepts messages.
    Connected,
    /// The broker is unreachable. The backplane reconnects until it is shut down.
    Disconnected {
        /// The cause: the broker's own error text, or the failure of the network.
        reason: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Connected => f.write_str("connected"),
            Self::Disconnected { reason } => write!(f, "disconnected: {reason}"),
        }
    }
}
