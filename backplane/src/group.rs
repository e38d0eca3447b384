//! Why a connection could not be changed.

use std::time::Duration;

use thiserror::Error;

use crate::bus::SendError;

/// Says that a connection could not be put into a group or taken out of one, or be ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let timeout = std::time::Duration::from_millis(20);
/// let builder = backplane::Backplane::builder("ChatApp").ack_timeout(timeout);
/// let backplane = builder.embedded(&broker::Broker::new());
/// let error = backplane.join("nobody", "room").await.unwrap_err();
/// assert_eq!(error.to_string(), "no server has answered for the connection 'nobody' within 20ms");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// It is not attached here, and no server that has it has said so in time.
    #[error("no server has answered for the connection '{connection_id}' within {within:?}")]
    #[non_exhaustive]
    NoAnswer {
        /// The connection.
        connection_id: String,
        /// How long was waited.
        within: Duration,
    },
    /// The other servers could not be asked.
    #[error(transparent)]
    Send(#[from] SendError),
}
