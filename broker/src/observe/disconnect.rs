//! Reasons for the end of a connection or a subscriber.

use thiserror::Error;

/// The reason why a connection or an in-process subscriber ended.
///
/// ```
/// assert_eq!(broker::Disconnect::SlowSubscriber.to_string(), "fell behind its output limit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// It did not read fast enough and exceeded its limit. Its unread messages are dropped.
    #[error("fell behind its output limit")]
    SlowSubscriber,
    /// The client or the network closed the connection.
    #[error("closed by the client")]
    Closed,
    /// The client sent `QUIT`.
    #[error("quit")]
    Quit,
    /// The client violated the protocol.
    #[error("protocol error")]
    Protocol,
    /// The client sent nothing for longer than `timeout`.
    #[error("idle for too long")]
    Idle,
    /// The client's request is larger than `client-query-buffer-limit`.
    #[error("request larger than the query buffer limit")]
    RequestTooBig,
    /// A client closed it with `CLIENT KILL`, or its permissions were revoked.
    #[error("closed by an operator")]
    Killed,
    /// A change of the client could not be written to the counters file, so it gets no reply.
    #[error("its change could not be written to the counters file")]
    Unwritten,
    /// The server shuts down.
    #[error("the server shuts down")]
    Shutdown,
}

impl Disconnect {
    /// The number of reasons.
    pub(crate) const COUNT: usize = Self::Shutdown as usize + 1;

    /// Returns all reasons, for example to count the ends of connections by reason.
    ///
    /// ```
    /// use broker::Disconnect;
    ///
    /// assert!(Disconnect::all().any(|reason| reason == Disconnect::Quit));
    /// ```
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::successors(Some(Self::SlowSubscriber), |reason| reason.next())
    }

    /// Returns the reason after this one. A new reason does not compile without a place here.
    fn next(self) -> Option<Self> {
        Some(match self {
            Self::SlowSubscriber => Self::Closed,
            Self::Closed => Self::Quit,
            Self::Quit => Self::Protocol,
            Self::Protocol => Self::Idle,
            Self::Idle => Self::RequestTooBig,
            Self::RequestTooBig => Self::Killed,
            Self::Killed => Self::Unwritten,
            Self::Unwritten => Self::Shutdown,
            Self::Shutdown => return None,
        })
    }

    /// Returns the reason as a word, for metrics.
    #[cfg(feature = "http")]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::SlowSubscriber => "slow",
            Self::Closed => "closed",
            Self::Quit => "quit",
            Self::Protocol => "protocol",
            Self::Idle => "idle",
            Self::RequestTooBig => "request",
            Self::Killed => "killed",
            Self::Unwritten => "unwritten",
            Self::Shutdown => "shutdown",
        }
    }

    /// Returns whether queued bytes are still sent.
    pub(crate) fn sends_what_is_queued(self) -> bool {
        matches!(self, Self::Quit | Self::Protocol | Self::Shutdown | Self::Killed)
    }
}
