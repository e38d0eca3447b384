//! Client-side caching: the wishes of a client that keeps copies of keys.

use std::sync::atomic::Ordering;

use super::client_info::Flag;
use super::{NAME_BYTES, Session};

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tracking {
    pub(crate) redirect: u64,
    pub(crate) broadcast: bool,
    pub(crate) prefixes: Vec<Vec<u8>>,
    pub(crate) opt_in: bool,
    pub(crate) opt_out: bool,
    pub(crate) no_loop: bool,
    /// The answer to `CLIENT CACHING`, for the next command.
    pub(crate) caching: Option<bool>,
}

impl Session {
    /// Whether the client is to be told when what it reads now is stale.
    pub(crate) fn caches_what_it_reads(&self) -> bool {
        if let Some(caller) = &self.script_caller {
            return caller.caches_what_it_reads;
        }
        self.tracking.as_ref().is_some_and(|tracking| match tracking.caching {
            _ if tracking.broadcast => false,
            Some(wanted) => wanted,
            None => !tracking.opt_in,
        })
    }

    /// Makes what the client is told of its own changes wait until it is answered. Returns whether
    /// it has to be let go then.
    pub(crate) fn begin_answer(&self) -> bool {
        self.tracking.is_some() && self.output.begin_deferring()
    }

    /// Returns what the prefixes take, here and in the keyspace.
    pub(crate) fn prefix_bytes(&self) -> usize {
        let prefixes = self.tracking.iter().flat_map(|tracking| &tracking.prefixes);
        prefixes.map(|prefix| 2 * prefix.len() + NAME_BYTES).sum()
    }

    /// Keeps what others see.
    pub(crate) fn record_tracking(&self) {
        self.record_state_bytes();
        let is_broadcast = self.tracking.as_ref().is_some_and(|tracking| tracking.broadcast);
        let redirect =
            self.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed());
        self.info.set(Flag::Tracking, self.tracking.is_some());
        self.info.set(Flag::Broadcast, is_broadcast);
        self.info.counts.redirect.store(redirect, Ordering::Relaxed);
    }
}
