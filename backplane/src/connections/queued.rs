//! What waits for one connection.

use std::sync::Arc;

use crate::event::Gap;
use crate::invocation::Invocation;

/// What waits for a connection.
#[derive(Debug)]
pub(crate) enum Queued {
    /// With its id, unless the broker was away.
    Invocation(Option<u64>, Arc<Invocation>),
    Gap(Gap, u64),
    /// What follows is in the store.
    Rest,
}

/// What may wait for one connection.
pub(crate) const INVOCATIONS_MAX: usize = 1024;
