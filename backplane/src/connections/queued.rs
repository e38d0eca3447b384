//! The items in the queue of one connection.

use std::sync::Arc;

use super::run::Run;
use crate::event::Gap;
use crate::invocation::Invocation;

/// An item in the queue of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Queued {
    /// With its id, or `None` if it was delivered locally.
    Invocation(Option<u64>, Arc<Invocation>),
    Run(Arc<Run>),
    Gap(Gap, u64),
    /// All messages up to this id were queued before. `None` precedes the first message.
    Mark(Option<u64>),
    /// The next items are in the store.
    Rest,
    /// The groups of the connection have changed.
    Groups,
    /// The reader is to look at something else.
    Interrupted,
}

impl Queued {
    /// Returns the size of the invocation, which may be shared with other connections.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Invocation(_, invocation) => invocation.bytes(),
            Self::Run(run) => run.bytes(),
            _ => 0,
        }
    }

    /// Returns the number of invocations.
    pub(super) fn invocations(&self) -> usize {
        match self {
            Self::Invocation(..) => 1,
            Self::Run(run) => run.len(),
            _ => 0,
        }
    }

    /// Returns the share of the limit of a queue.
    pub(super) fn count(&self) -> usize {
        match self {
            // The reader has requested it.
            Self::Mark(_) => 0,
            Self::Run(run) => run.len(),
            _ => 1,
        }
    }
}

/// Maximum live invocations in the queue of one connection.
pub(crate) const INVOCATIONS_MAX: usize = 1024;
/// Size of queued invocations, above which the queue of one connection accepts no more.
pub(crate) const INVOCATION_BYTES_MAX: usize = 32 * 1024 * 1024;
