//! Reasons why a server cannot be used, as texts for operators.
//!
//! The server's error text stays unchanged, since operators search for it. No text contains a
//! password: servers do not repeat it, and this module does not add it.

use std::io;
use std::time::Duration;

use ::redis::RedisError;
use thiserror::Error;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Failure {
    /// The server rejected us until an operator changes a setting.
    #[error("{0}")]
    Refused(String),
    /// A failure of the network or of the server; another attempt may succeed.
    #[error("{0}")]
    Lost(String),
    /// The server did not reply in this time.
    #[error("no reply within {0:?}")]
    Silent(Duration),
}

impl Failure {
    pub(super) fn closed() -> Self {
        Self::Lost("the server closed the connection".to_owned())
    }

    /// The failure after a fault of this crate.
    pub(super) fn panicked() -> Self {
        Self::Lost("a task of the backplane has panicked".to_owned())
    }

    /// Classifies an error reply.
    pub(super) fn of_reply(reply: &str) -> Self {
        let reply = reply.trim_end().to_owned();
        match REFUSALS.iter().any(|start| reply.starts_with(start)) {
            true => Self::Refused(reply),
            false => Self::Lost(reply),
        }
    }

    /// Returns the time of the last sign of life, for a failure that was noticed at `now`.
    pub(super) fn since(&self, now: Instant) -> Instant {
        match self {
            Self::Silent(within) => now.checked_sub(*within).unwrap_or(now),
            Self::Refused(_) | Self::Lost(_) => now,
        }
    }

    /// Returns whether an error reply ends an existing subscription: its channel has moved, or the
    /// server has logged the connection out. After any other error, the subscription goes on.
    pub(super) fn ends_subscription(&self) -> bool {
        let text = self.to_string();
        ["MOVED ", "NOAUTH"].iter().any(|start| text.starts_with(start))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(without_number(&error.to_string()))
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some(code) => Self::of_reply(&format!("{code} {}", error.detail().unwrap_or_default())),
            None if error.is_connection_dropped() => Self::closed(),
            None => Self::Lost(without_number(&error.to_string())),
        }
    }
}

/// Removes ` (os error 111)` and the capitals from an error of the system.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_lowercase()
}

/// Prefixes of errors that remain until an operator changes a setting. In order: passwords (Redis 6
/// and later), passwords (Redis 5 and earlier), protected mode, and ACL rules for commands and
/// scripts.
const REFUSALS: [&str; 8] = [
    "WRONGPASS",
    "NOAUTH",
    "ERR AUTH",
    "ERR invalid password",
    "ERR Client sent AUTH",
    "DENIED",
    "NOPERM",
    "ERR The user executing the script can't run",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_distinguished_from_temporary_failures() {
        for (reply, is_refused) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", true),
            ("NOAUTH Authentication required.", true),
            ("ERR invalid password", true),
            ("ERR Client sent AUTH, but no password is set", true),
            ("NOPERM this user has no permissions to access one of the channels", true),
            ("LOADING Redis is loading the dataset in memory", false),
            ("ERR max number of clients reached", false),
        ] {
            let failure = Failure::of_reply(reply);
            assert_eq!(failure.to_string(), reply);
            assert_eq!(matches!(failure, Failure::Refused(_)), is_refused, "{reply}");
        }
    }

    #[test]
    fn an_error_of_the_system_is_shown_without_its_number() {
        let refused = Failure::from(io::Error::from_raw_os_error(111));
        assert_eq!(refused, Failure::Lost("connection refused".to_owned()));
    }
}
