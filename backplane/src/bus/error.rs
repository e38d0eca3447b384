//! Errors of a bus, and texts that both kinds of bus share.

use std::convert::Infallible;

use thiserror::Error;

use crate::address::AddressError;
use crate::invocation::Invocation;

/// The error if a backplane cannot connect.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error =
///     backplane::Backplane::builder("ChatApp").connect("redis://127.0.0.1:1").await.unwrap_err();
/// assert!(error.to_string().starts_with("cannot use 127.0.0.1:1 as a backplane: "), "{error}");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not valid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A certificate or a key cannot be used.
    #[error("cannot use {file} for TLS: {reason}")]
    #[non_exhaustive]
    Tls {
        /// The path of the file.
        file: String,
        /// The problem with the file.
        reason: String,
    },
    /// A setting of the builder is out of its range.
    #[error("{option} expects {expected}, found {found}")]
    #[non_exhaustive]
    Setting {
        /// The name of the method that sets it, or `app_name`.
        option: &'static str,
        /// The range, and its reason.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// The server did not reply, or rejected the connection.
    #[error("cannot use {server} as a backplane: {reason}")]
    #[non_exhaustive]
    Failed {
        /// The server's address.
        server: String,
        /// The cause: the server's own error text, or the failure of the network.
        reason: String,
    },
}

/// The error if the broker did not accept an invocation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::InvocationError> {
/// use backplane::{Backplane, Invocation, Target};
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// backplane.clone().shutdown().await;
/// let sent = backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await;
/// let error = sent.unwrap_err();
/// assert_eq!(error.to_string(), "the backplane is disconnected: it was shut down");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The broker was unreachable for longer than a message may wait. The invocation was not sent.
    #[error("the backplane is disconnected: {reason}")]
    #[non_exhaustive]
    Disconnected {
        /// The most recent failure.
        reason: String,
    },
    /// The broker is unreachable and the queue is full. The invocation was not sent.
    #[error("the backplane's queue is full, {messages} messages wait: {reason}")]
    #[non_exhaustive]
    QueueFull {
        /// The number of queued messages.
        messages: usize,
        /// The most recent failure.
        reason: String,
    },
    /// The arguments exceed 512 MiB, the limit of brokers. The invocation was not sent.
    #[error("expected at most 512 MiB of arguments, found {bytes} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// The size of the arguments.
        bytes: usize,
    },
    /// The broker rejected the message, or the connection was lost before the reply.
    #[error("the backplane could not send: {reason}")]
    #[non_exhaustive]
    Failed {
        /// The cause: the broker's own error text, or the failure of the network.
        reason: String,
    },
}

/// Returns an error for arguments that no broker accepts.
pub(crate) fn check_size(invocation: &Invocation) -> Result<(), SendError> {
    match invocation.arguments().get().len() {
        bytes if bytes > ARGUMENTS_BYTES_MAX => Err(SendError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

/// The default limit of Redis for one value, `proto-max-bulk-len`.
const ARGUMENTS_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The reason after a shutdown.
pub(super) const SHUT_DOWN: &str = "it was shut down";
pub(super) const NOT_RESTORED: &str = "could not restore the id counter after broker data loss";

/// For callers that pass an [`Address`](crate::Address), which is always valid.
impl From<Infallible> for ConnectError {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}
