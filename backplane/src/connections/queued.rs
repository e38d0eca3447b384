//! The items in the queue of one connection.

use std::sync::Arc;

use crate::event::Gap;
use crate::invocation::Invocation;

/// An item in the queue of a connection.
#[derive(Debug)]
pub(crate) enum Queued {
    /// With its id, or `None` if it was delivered locally.
    Invocation(Option<u64>, Arc<Invocation>),
    Gap(Gap, u64),
    /// All messages up to this id were queued before. `None` precedes the first message.
    Mark(Option<u64>),
    /// The next items are in the store.
    Rest,
    /// The groups of the connection have changed.
    Groups,
}

/// Maximum live invocations in the queue of one connection.
pub(crate) const INVOCATIONS_MAX: usize = 1024;
