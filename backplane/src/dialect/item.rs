//! The messages of a dialect, as the rest of the crate uses them.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::except::Except;
use crate::guid::Guid;
use crate::invocation::Invocation;

/// The content of one payload. All of its items share one id.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) id: u64,
    /// A malformed item affects neither the id nor the other items.
    pub(crate) items: Vec<Result<Item, Malformed>>,
    /// The sender's clock when it was encoded, in .NET's ticks of 100 ns.
    pub(crate) ticks: i64,
}

/// One message in a payload.
#[derive(Debug)]
pub(crate) enum Item {
    Invocation(Envelope),
    /// A command for one connection, on any server.
    Command {
        /// The server that sent it.
        source: String,
        connection_id: String,
        change: Change,
        /// The command id, if the sender waits for an acknowledgement.
        ack: Option<String>,
    },
    Ack {
        command_id: String,
    },
    /// A health probe, for its sender only.
    Probe {
        source: String,
        number: u64,
    },
    /// An announcement: a connection is attached at the backplane with this source.
    Attached {
        source: String,
        attached: Attached,
    },
    /// An announcement: the server with this source knows ids up to `id` of the broker's last run.
    Reached {
        source: String,
        id: u64,
    },
    /// Well-formed, but for another hub or another kind of application.
    Foreign,
}

/// An invocation and its addressees.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<I = Arc<Invocation>> {
    pub(crate) signal: String,
    /// Signals and connection ids to exclude.
    pub(crate) except: Except,
    /// The sender, if it is a GUID. Only the sender itself uses it.
    pub(crate) source: Option<Guid>,
    pub(crate) invocation: I,
    /// Approximate size in memory.
    pub(crate) bytes: usize,
}

/// The place of a connection that has reconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) connection_id: String,
    /// Distinguishes it from other connections that used its id on that server.
    pub(crate) number: u64,
    /// The time since it was attached. Unlike clocks, ages are comparable between servers.
    pub(crate) age: Duration,
}

/// A change of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The client has just connected. Other implementations wait for the acknowledgement.
    Initialize,
    Join {
        signal: String,
    },
    Leave {
        signal: String,
    },
    Abort,
}

/// The reason why a payload is not readable: a foreign publisher, or damage.
#[derive(Debug, Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Payload(#[from] dialect::signalr2::Malformed),
    #[error("expected {expected} as JSON: {source}")]
    Json { expected: &'static str, source: serde_json::Error },
    #[error(transparent)]
    Invocation(#[from] crate::invocation::InvocationError),
}
