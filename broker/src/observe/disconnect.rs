//! Why a receiving end ended.

use thiserror::Error;

/// Why a connection or an in-process subscriber ended.
///
/// ```
/// assert_eq!(broker::Disconnect::SlowSubscriber.to_string(), "fell behind its output limit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// It did not read fast enough and passed its limit. What it had not read is dropped.
    #[error("fell behind its output limit")]
    SlowSubscriber,
    /// The client closed the connection, or the network did.
    #[error("closed by the client")]
    Closed,
    /// The client said `QUIT`.
    #[error("quit")]
    Quit,
    /// The client sent something that is no request.
    #[error("protocol error")]
    Protocol,
    /// The client sent nothing for longer than `timeout`.
    #[error("idle for too long")]
    Idle,
    /// The client's request is larger than `client-query-buffer-limit`.
    #[error("request larger than the query buffer limit")]
    RequestTooBig,
    /// Somebody closed it with `CLIENT KILL`, or took away its rights.
    #[error("closed by an operator")]
    Killed,
    /// All clients together held more than `maxmemory-clients`, and this one the most.
    #[error("held the most memory")]
    Evicted,
    /// The server shuts down.
    #[error("the server shuts down")]
    Shutdown,
}

impl Disconnect {
    /// Whether what is queued is still sent.
    pub(crate) fn sends_what_is_queued(self) -> bool {
        matches!(self, Self::Quit | Self::Protocol | Self::Shutdown | Self::Killed)
    }
}
