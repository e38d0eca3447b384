//! Reasons for the end of a connection.

use thiserror::Error;

use super::queued::INVOCATIONS_MAX;

/// The reason for the end of a connection.
///
/// ```
/// assert_eq!(backplane::Disconnect::Shutdown.to_string(), "the backplane shuts down");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The application fell behind: more than 1,024 invocations were queued. Replayed messages do
    /// not count; up to [`Builder::history_messages_max`](crate::Builder::history_messages_max) of
    /// them may wait.
    #[error("fell behind by more than {INVOCATIONS_MAX} invocations")]
    SlowConnection,
    /// Another connection was attached with the same id, on this server or on another one.
    #[error("another connection took its id")]
    Replaced,
    /// A server of the app ended it with [`Backplane::abort`](crate::Backplane::abort) or
    /// [`Backplane::disconnect`](crate::Backplane::disconnect).
    #[error("a server ended it")]
    Aborted,
    /// The backplane shut down.
    #[error("the backplane shuts down")]
    Shutdown,
}
