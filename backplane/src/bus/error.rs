//! Errors of a bus, and texts that both kinds of bus share.

use std::convert::Infallible;

use thiserror::Error;

use crate::address::AddressError;

/// Says that the server could not be reached, or not be used.
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
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server did not answer, or refused.
    #[error("cannot use {server} as a backplane: {reason}")]
    #[non_exhaustive]
    Failed {
        /// The server's address.
        server: String,
        /// What went wrong; in the server's own words where it said something.
        reason: String,
    },
}

/// Says that the broker did not take an invocation.
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
    /// The broker is away, or takes nothing, and was for as long as a send waits; the invocation
    /// was not sent.
    #[error("the backplane is disconnected: {reason}")]
    #[non_exhaustive]
    Disconnected {
        /// What went wrong last.
        reason: String,
    },
    /// Too much waits already for a broker that is away; the invocation was not sent.
    #[error("the backplane's queue is full, {messages} messages wait: {reason}")]
    #[non_exhaustive]
    QueueFull {
        /// How many wait.
        messages: usize,
        /// What went wrong last.
        reason: String,
    },
    /// No broker takes as much; the invocation was not sent.
    #[error("expected at most 512 MiB of arguments, found {bytes} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// How much it was.
        bytes: usize,
    },
    /// The broker refused it, or was lost before it answered.
    #[error("the backplane could not send: {reason}")]
    #[non_exhaustive]
    Failed {
        /// What went wrong; in the broker's own words where it said something.
        reason: String,
    },
}

/// Why a backplane is disconnected after its end.
pub(super) const SHUT_DOWN: &str = "it was shut down";
pub(super) const NOT_RESTORED: &str =
    "the counter cannot be lifted after the broker lost its memory";

/// For callers that pass an [`Address`](crate::Address), which cannot be invalid.
impl From<Infallible> for ConnectError {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}
