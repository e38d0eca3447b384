//! The messages of a dialect, as the rest of the crate sees them.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::guid::Guid;
use crate::invocation::Invocation;

/// What one payload on the bus holds. All of it shares one id.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) id: u64,
    /// One that cannot be read leaves the others, and the id, as they are.
    pub(crate) items: Vec<Result<Item, Malformed>>,
}

/// One thing that somebody sent.
#[derive(Debug)]
pub(crate) enum Item {
    Invocation(Envelope),
    /// For the one connection of this id, wherever it is attached.
    Command {
        connection_id: String,
        change: Change,
        /// Which command to acknowledge, if somebody waits for it.
        ack: Option<String>,
    },
    Ack {
        command_id: String,
    },
    /// What a backplane sends to hear itself.
    Probe {
        source: String,
        number: u64,
    },
    /// A connection that came back is attached at the backplane of this source.
    Attached {
        source: String,
        attached: Attached,
    },
    /// Well-formed, and meant for others: another hub, another kind of application.
    Foreign,
}

/// An invocation, and who listens to it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) signal: String,
    /// Signals and connection ids that are left out.
    pub(crate) except: Vec<String>,
    /// Who sent it, if that is a name as we give them; only the sender understands it.
    pub(crate) source: Option<Guid>,
    pub(crate) invocation: Arc<Invocation>,
    /// What it takes in memory, roughly.
    pub(crate) bytes: usize,
}

/// Where a connection is that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) connection_id: String,
    /// What tells it there from others that had its id.
    pub(crate) number: u64,
    /// For how long it has been there. Clocks of servers differ, and this does not.
    pub(crate) age: Duration,
}

/// What is to be done to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its client has just connected; other implementations wait for this.
    Initialize,
    Join {
        signal: String,
    },
    Leave {
        signal: String,
    },
    Abort,
}

/// Why a payload could not be read. Somebody else publishes on the app's channel, or it was damaged.
#[derive(Debug, Error)]
pub(crate) enum Malformed {
    #[error("expected a number and a space, found neither")]
    NoId,
    #[error("expected {expected}, found the end at byte {at}")]
    Short { expected: &'static str, at: usize },
    #[error("expected {expected}, found something else at byte {at}")]
    Unexpected { expected: &'static str, at: usize },
    #[error("expected {expected} as JSON: {source}")]
    Json { expected: &'static str, source: serde_json::Error },
    #[error(transparent)]
    Invocation(#[from] crate::invocation::InvocationError),
}
