//! Subscribing to channels and patterns and unsubscribing, under the order.
//!
//! A worker delivers its inbox before it changes its tables. So a client gets all messages
//! published before it unsubscribes, and none published before it subscribes.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::client_output::ClientOutput;
use super::interest::Place;
use super::local::Local;
use super::message::{ChannelKind, Name};
use super::order::OrderGuard;

impl OrderGuard<'_> {
    /// Subscribes a client of this worker to a channel, and returns the name that all tables share.
    pub(crate) fn join(
        &mut self,
        local: &mut Local,
        kind: ChannelKind,
        output: &Rc<ClientOutput>,
        channel: &[u8],
    ) -> Name {
        self.catch_up(local);
        let name = self.add(kind, channel, Place::Worker(local.worker()));
        local.subscribers.join(kind, name.clone(), output);
        name
    }

    /// Ends a client's subscription to a channel.
    pub(crate) fn leave(
        &mut self,
        local: &mut Local,
        kind: ChannelKind,
        output: &ClientOutput,
        channel: &Name,
    ) {
        self.catch_up(local);
        self.remove(kind, channel, &Place::Worker(local.worker()));
        local.subscribers.leave(kind, channel, output);
    }

    /// Subscribes a client of this worker to a pattern.
    pub(crate) fn join_pattern(
        &mut self,
        local: &mut Local,
        output: &Rc<ClientOutput>,
        pattern: &[u8],
    ) -> Name {
        self.catch_up(local);
        let name = self.add_pattern(pattern, Place::Worker(local.worker()));
        local.subscribers.join_pattern(name.clone(), output);
        name
    }

    /// Ends a client's subscription to a pattern.
    pub(crate) fn leave_pattern(
        &mut self,
        local: &mut Local,
        output: &ClientOutput,
        pattern: &Name,
    ) {
        self.catch_up(local);
        self.remove_pattern(pattern, &Place::Worker(local.worker()));
        local.subscribers.leave_pattern(pattern, output);
    }

    /// Returns the patterns that match a channel, each with the number of its subscriptions.
    pub(crate) fn matching_patterns(&mut self, channel: &[u8]) -> Vec<(Name, usize)> {
        let mut found = Vec::new();
        self.order.patterns.each_matching(channel, |pattern, interest| {
            found.push((pattern.clone(), interest.subscriptions()));
        });
        found
    }

    /// Delivers all messages that precede this point of the order.
    pub(crate) fn catch_up(&mut self, local: &mut Local) {
        local.deliver_taken();
        self.take_inbox(local);
        local.deliver_taken();
    }

    pub(super) fn add(&mut self, kind: ChannelKind, channel: &[u8], place: Place) -> Name {
        self.order.forget_routes();
        let name = self.shared.registry(kind).add(channel, place);
        self.record_occupancy(kind, &name);
        name
    }

    pub(super) fn remove(&mut self, kind: ChannelKind, channel: &Name, place: &Place) {
        self.order.forget_routes();
        self.shared.registry(kind).remove(channel, place);
        self.record_occupancy(kind, channel);
    }

    fn record_occupancy(&mut self, kind: ChannelKind, channel: &Name) {
        if kind == ChannelKind::Channels {
            self.order.occupancy.record(channel);
        }
    }

    pub(super) fn add_pattern(&mut self, pattern: &[u8], place: Place) -> Name {
        self.order.forget_routes();
        let name = self.order.patterns.add(pattern, place);
        self.shared.patterns.store(self.order.patterns.len(), Ordering::Relaxed);
        name
    }

    pub(super) fn remove_pattern(&mut self, pattern: &Name, place: &Place) {
        self.order.forget_routes();
        self.order.patterns.remove(pattern, place);
        self.shared.patterns.store(self.order.patterns.len(), Ordering::Relaxed);
    }
}
