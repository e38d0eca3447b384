//! Client-side caching: the tracking options of a client.

use std::sync::atomic::Ordering;

use super::Session;
use super::client_info::Flag;
use super::context::Context;
use crate::protocol::Protocol;
use crate::pubsub::order::OrderGuard;

/// The options of `CLIENT TRACKING`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tracking {
    pub(crate) redirect: u64,
    pub(crate) broadcast: bool,
    /// The bytes that the prefixes take in the keyspace.
    pub(crate) prefix_bytes: usize,
    pub(crate) opt_in: bool,
    pub(crate) opt_out: bool,
    pub(crate) no_loop: bool,
    /// The argument of `CLIENT CACHING`, for the next command.
    pub(crate) caching: Option<bool>,
}

impl Session {
    /// Returns whether the client is to get invalidations of the keys that it reads now.
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

    /// Defers messages to the client until its reply is queued, so that invalidations of its own
    /// changes and messages that it publishes to itself follow the reply, as in Redis 7.2. With
    /// RESP2 a subscriber cannot publish. Returns whether this call began the deferral.
    ///
    /// Messages that precede the command in the order are delivered first.
    #[inline]
    pub(crate) fn begin_answer(&self, context: &mut Context, order: &mut OrderGuard<'_>) -> bool {
        self.defers_messages() && self.defer(context, order)
    }

    #[inline(never)]
    fn defer(&self, context: &mut Context, order: &mut OrderGuard<'_>) -> bool {
        order.catch_up(&mut context.local);
        context.flush_queue().begin_deferring(&self.output)
    }

    /// Like [`begin_answer`](Self::begin_answer), for a command without the order.
    pub(crate) fn begin_answer_without_order(&self, context: &mut Context) -> bool {
        self.defers_messages() && context.flush_queue().begin_deferring(&self.output)
    }

    #[inline]
    fn defers_messages(&self) -> bool {
        let is_own = self.output.listens.get() && self.output.protocol.get() == Protocol::Resp3;
        is_own || self.tracking.is_some()
    }

    /// Returns the bytes that the prefixes take in the keyspace.
    pub(crate) fn prefix_bytes(&self) -> usize {
        self.tracking.as_ref().map_or(0, |tracking| tracking.prefix_bytes)
    }

    /// Updates the tracking state that other threads see.
    pub(crate) fn record_tracking(&self) {
        self.record_state_bytes();
        let is_broadcast = self.tracking.as_ref().is_some_and(|tracking| tracking.broadcast);
        let redirect =
            self.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed());
        self.info.set(Flag::Tracking, self.tracking.is_some());
        self.info.set(Flag::Broadcast, is_broadcast);
        self.info.set(Flag::BrokenRedirect, false);
        self.server.clients.count_states(&self.info);
        self.info.counts.redirect.store(redirect, Ordering::Relaxed);
    }
}
