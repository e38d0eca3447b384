//! The transaction of a client: requests queued between `MULTI` and `EXEC`.

#![cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts stop the world"))]

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::Session;
use super::client_info::Flag;
use crate::ids::CommandId;
use crate::protocol::request::OwnedRequest;
#[cfg(feature = "lua")]
use crate::pubsub::script_barrier::StopTheWorld;

/// Requests that wait for `EXEC`.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<(CommandId, OwnedRequest)>,
    pub(crate) bytes: usize,
    /// Whether one of the requests may add to the keys.
    pub(crate) may_grow: bool,
    pub(crate) has_writes: bool,
    failed: bool,
}

/// A transaction that is being executed.
#[derive(Debug)]
pub(crate) struct Executing {
    /// The `EXEC` itself.
    pub(crate) exec: (CommandId, OwnedRequest),
    pub(crate) left: VecDeque<(CommandId, OwnedRequest)>,
    /// Whether messages of the client to itself are held until the end.
    pub(crate) defers: bool,
    /// The stopped world, if the transaction runs scripts; `None` while a script has it.
    #[cfg(feature = "lua")]
    pub(crate) world: Option<StopTheWorld>,
}

impl Transaction {
    /// Makes `EXEC` fail, since a request could not be queued.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.has_writes
    }
}

impl Session {
    /// Updates the figures of the transaction that other threads see.
    pub(crate) fn record_transaction(&self) {
        let queued = self.transaction.as_ref().map(|transaction| transaction.queued.len());
        let queued = queued.map_or(-1, |queued| i32::try_from(queued).unwrap_or(i32::MAX));
        self.info.counts.queued.store(queued, Ordering::Relaxed);
        self.info.set(Flag::InTransaction, self.transaction.is_some());
        self.record_state_bytes();
    }
}
