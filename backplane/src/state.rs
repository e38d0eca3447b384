//! Whether the backplane reaches the other servers.

use std::fmt;

/// Whether the backplane reaches the other servers now.
///
/// ```
/// let state = backplane::State::Disconnected { reason: "connection refused".into() };
/// assert_eq!(state.to_string(), "disconnected: connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The first attempt is under way.
    Connecting,
    /// The broker has confirmed the subscription.
    Connected,
    /// It does not reach them, and tries again and again until it is shut down.
    Disconnected {
        /// What went wrong last; in the broker's own words where it said something.
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
