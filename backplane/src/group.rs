//! Errors of changes to connections.

use std::time::Duration;

use thiserror::Error;

use crate::bus::SendError;

/// The error if a connection could not join or leave a group, or could not be ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
/// let timeout = std::time::Duration::from_millis(20);
/// let builder = backplane::Backplane::builder("ChatApp").ack_timeout(timeout);
/// let backplane = builder.embedded(&broker::Broker::new())?;
/// let error = backplane.join("nobody", "room").await.unwrap_err();
/// assert_eq!(error.to_string(), "no server with the connection 'nobody' replied within 20ms");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The connection is not attached here, and no server with it has acknowledged the change in
    /// time.
    #[error("no server with the connection '{connection_id}' replied within {within:?}")]
    #[non_exhaustive]
    NoAnswer {
        /// The id of the connection.
        connection_id: String,
        /// The timeout, see [`Builder::ack_timeout`](crate::Builder::ack_timeout).
        within: Duration,
    },
    /// The connection is not attached here, and the dialect has no such command for other servers.
    #[error(
        "the connection '{connection_id}' is not on this server, and the dialect cannot reach it"
    )]
    #[non_exhaustive]
    Elsewhere {
        /// The id of the connection.
        connection_id: String,
    },
    /// The command could not be sent to the other servers.
    #[error(transparent)]
    Send(#[from] SendError),
}
