//! Errors of a bus, and texts that both kinds of bus share.

use thiserror::Error;

/// Says that the server could not be reached, or not be used.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = backplane::Backplane::from_url("redis://127.0.0.1:1", "ChatApp").await.unwrap_err();
/// assert!(error.to_string().starts_with("cannot use 127.0.0.1:1 as a backplane: "), "{error}");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be understood.
    #[error("expected a URL such as redis://user:password@host:6379, found {found}")]
    Url {
        /// What is wrong with it, without its password.
        found: String,
    },
    /// A certificate or a key cannot be used.
    #[error("cannot use {file} for TLS: {reason}")]
    Tls {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server did not answer, or refused.
    #[error("cannot use {server} as a backplane: {reason}")]
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
/// let error = backplane::SendError::Disconnected { reason: "connection refused".into() };
/// assert_eq!(error.to_string(), "the backplane is disconnected: connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The broker is away, or takes nothing, and was for as long as a send waits; the invocation
    /// was not sent.
    #[error("the backplane is disconnected: {reason}")]
    Disconnected {
        /// What went wrong last.
        reason: String,
    },
    /// Too much waits already for a broker that is away; the invocation was not sent.
    #[error("the backplane's queue is full, {messages} messages wait: {reason}")]
    QueueFull {
        /// How many wait.
        messages: usize,
        /// What went wrong last.
        reason: String,
    },
    /// No broker takes as much; the invocation was not sent.
    #[error("expected at most 512 MiB of arguments, found {bytes} bytes")]
    TooLarge {
        /// How much it was.
        bytes: usize,
    },
    /// The broker refused it, or was lost before it answered.
    #[error("the backplane could not send: {reason}")]
    Failed {
        /// What went wrong; in the broker's own words where it said something.
        reason: String,
    },
}

/// Why a backplane is disconnected after its end.
pub(super) const SHUT_DOWN: &str = "it was shut down";
pub(super) const NOT_RESTORED: &str =
    "the counter cannot be lifted after the broker lost its memory";
