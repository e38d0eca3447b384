//! Why a connection gets nothing more.

use thiserror::Error;

use super::queued::INVOCATIONS_MAX;

/// Why a connection gets nothing more.
///
/// ```
/// assert_eq!(backplane::Disconnect::Shutdown.to_string(), "the backplane shuts down");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// It did not take what it got: more than 1,024 invocations waited. What was missed and is
    /// fetched from the broker does not count; of that, [`Builder::history_messages_max`](crate::Builder::history_messages_max) waits.
    #[error("fell behind by more than {INVOCATIONS_MAX} invocations")]
    SlowConnection,
    /// Another connection was attached under its id, here, or to continue on another server.
    #[error("another connection took its id")]
    Replaced,
    /// A server of the app called for its end.
    #[error("a server ended it")]
    Aborted,
    /// The backplane shuts down.
    #[error("the backplane shuts down")]
    Shutdown,
}
