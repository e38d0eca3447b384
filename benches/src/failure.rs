//! Reasons for which a measurement ends early.

use std::io;

use thiserror::Error;

/// A reason, printed on standard error.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{name}: {reason}")]
    Server { name: String, reason: String },
    #[error("{name} in scenario '{scenario}': {cause}")]
    Scenario { name: String, scenario: &'static str, cause: Box<Failure> },
    #[error("no scenario has '{0}' in its name; --list shows the names")]
    NoScenario(String),
    #[error("no server has any of these texts in its name: {0}")]
    NoServer(String),
    #[error("the server has no WebSocket clients")]
    NoSubprotocol,
    #[error("the server closed a connection")]
    Closed,
    #[error("timed out waiting for {0}")]
    Late(&'static str),
    #[error("{received} of {expected} messages arrived")]
    Lost { expected: u64, received: u64 },
    #[error("expected {:?}, found {:?}", shown(expected), shown(found))]
    Wrong { expected: Vec<u8>, found: Vec<u8> },
    #[error("the cluster: {0}")]
    Cluster(String),
    #[error("cannot draw: {0}")]
    Picture(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl Failure {
    pub(crate) fn cluster(error: impl std::error::Error) -> Self {
        Self::Cluster(error.to_string())
    }

    pub(crate) fn csv(error: csv::Error) -> Self {
        Self::Io(error.into())
    }
}

/// Returns the first bytes as text, for an error.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}
