//! One worker's side of publish and subscribe: its subscribers, the messages taken from its inbox,
//! and the work left for the release of the order.

use super::delivery::{Deliveries, Item};
use super::fan_out::Fanout;
use super::message::Content;
use super::order::AfterRelease;
use super::subscribers::Subscribers;
use crate::ids::WorkerId;
use crate::observe::stats::Tally;

/// The state of one worker that publishing changes. It belongs to one thread and needs no lock.
pub(crate) struct Local {
    pub(crate) subscribers: Subscribers,
    /// Messages that the worker took from its inbox; empty after [`Local::deliver_taken`].
    pub(super) taken: Deliveries,
    pub(crate) after_release: AfterRelease,
    pub(crate) tally: Tally,
    /// A worker with an inbox that the current request has filled.
    pub(crate) lagging: Option<WorkerId>,
}

impl Local {
    pub(crate) fn new(subscribers: Subscribers) -> Self {
        Self {
            subscribers,
            taken: Deliveries::default(),
            after_release: AfterRelease::default(),
            tally: Tally::default(),
            lagging: None,
        }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.subscribers.worker()
    }

    /// Queues the messages taken from the inbox. Most often there are none.
    #[inline]
    pub(crate) fn deliver_taken(&mut self) {
        if !self.taken.is_empty() {
            self.drain_taken();
        }
    }

    fn drain_taken(&mut self) {
        let Self { subscribers, taken, after_release, .. } = self;
        taken.drain(&mut after_release.payloads, |item| match item {
            Item::Message(content, to) => subscribers.deliver(content, to),
            Item::Invalidation(invalidation) => subscribers.invalidate(invalidation),
        });
    }

    /// Queues messages from another thread.
    pub(super) fn deliver(&mut self, deliveries: Deliveries) {
        self.deliver_taken();
        self.taken = deliveries;
        self.deliver_taken();
    }

    /// Queues a message of this worker for its subscribers on this worker, after all messages that
    /// precede it in the order. Returns the number of its receivers on all threads.
    pub(crate) fn deliver_own(&mut self, content: Content<'_>, fanout: Fanout) -> usize {
        self.deliver_taken();
        if content.kind.is_public() {
            self.tally.published += 1;
            self.tally.delivered += fanout.receivers as u64;
        }
        if fanout.lagging.is_some() {
            self.lagging = fanout.lagging;
        }
        if !fanout.here.is_empty() {
            let shared = fanout.published.as_deref();
            self.subscribers.deliver(Content { shared, ..content }, &fanout.here);
        }
        self.after_release.payloads.extend(fanout.published);
        fanout.receivers
    }
}
