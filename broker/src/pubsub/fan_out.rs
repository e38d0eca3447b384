//! Finds the receivers of a message, and puts it into the inboxes of other workers and the
//! mailboxes of in-process subscribers.
//!
//! The caller holds the order, so this code moves references and small payloads only.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::inbox::Inbox;
use super::interest::Interest;
use super::local::Local;
use super::mailbox::Push;
use super::message::{ChannelKind, Content, Message, Name, Published};
use super::order::{AfterRelease, Order, OrderGuard};
use super::subscribers::Listeners;
use super::tapped::Publisher;
use crate::ids::WorkerId;

/// The receivers of a message.
#[derive(Default)]
#[must_use = "subscribers on the publisher's own worker are still to be served"]
pub(crate) struct Fanout {
    pub(super) receivers: usize,
    /// Subscribers on the publisher's own worker.
    pub(super) here: Listeners,
    /// The message in shared form, if other threads need it.
    pub(super) published: Option<Arc<Published>>,
    /// A worker with a full inbox.
    pub(super) lagging: Option<WorkerId>,
}

/// The receivers of a worker's last message, since the next one is most often for the same channel.
/// Holds a route only if all receivers are clients that subscribe to the channel itself. Every
/// change of subscriptions clears it.
#[derive(Default)]
pub(super) struct RoutingCache {
    kind: Option<ChannelKind>,
    channel: Vec<u8>,
    receivers: usize,
    /// Whether some of the receivers are on the worker itself.
    is_here: bool,
    others: Option<Others>,
}

/// Other workers with subscribers of a channel.
struct Others {
    channel: Name,
    workers: SmallVec<[WorkerId; 4]>,
}

/// Routes of longer channels are not cached.
const ROUTE_CHANNEL_BYTES_MAX: usize = 256;

impl OrderGuard<'_> {
    /// Publishes a message of a worker to all other threads, and takes the worker's own inbox. Adds
    /// the message to the replay buffer if a rule matches. The caller delivers the message on the
    /// worker itself, by [`Local::deliver_own`]. Taps show `publisher`.
    pub(crate) fn publish(
        &mut self,
        local: &mut Local,
        content: Content<'_>,
        publisher: impl FnOnce() -> Option<Arc<dyn Publisher>>,
    ) -> Fanout {
        let Content { kind, channel, payload, .. } = content;
        let copy = || Bytes::copy_from_slice(payload);
        if kind == ChannelKind::Channels && !self.order.replay.is_off() {
            self.order.replay.add(channel, copy);
        }
        let (own, after) = (local.worker(), &mut local.after_release);
        let fanout = match self.order.follow_route(own, content, after) {
            Some(fanout) => fanout,
            None => self.fan_out(Some(own), content, after, copy),
        };
        self.take_inbox(local);
        if self.is_observed() {
            let after = &mut local.after_release;
            self.observe_here(content, fanout.receivers, publisher(), after);
        }
        fanout
    }

    /// Finds the receivers of a message, and hands it to all of them except those on the worker
    /// `own`.
    pub(super) fn fan_out(
        &mut self,
        own: Option<WorkerId>,
        content: Content<'_>,
        after: &mut AfterRelease,
        payload: impl FnOnce() -> Bytes,
    ) -> Fanout {
        let mut fanout = Fanout::default();
        let mut builder = FanoutBuilder {
            content,
            own,
            payload: Some(payload),
            published: None,
            channel: None,
            waiting: SmallVec::new(),
        };
        self.shared.registry(content.kind).with(content.channel, |channel, interest| {
            builder.add(interest, None, &mut fanout, after);
            if !builder.waiting.is_empty() {
                builder.channel = Some(channel.clone());
            }
        });
        let mut is_by_channel = builder.published.is_none();
        if content.kind == ChannelKind::Channels {
            self.order.patterns.each_matching(content.channel, |pattern, interest| {
                is_by_channel = false;
                builder.add(interest, Some(pattern), &mut fanout, after);
            });
        }
        if let (Some(own), true) = (own, is_by_channel) {
            self.order.routes[own.index()].remember(&builder, &fanout);
        }
        builder.hand_over(self.order, &mut fanout, after);
        fanout
    }
}

impl Order {
    /// Hands a message to the receivers in the routing cache. Returns `None` if the cache does not
    /// apply, and then has handed it to none.
    fn follow_route(
        &mut self,
        own: WorkerId,
        content: Content<'_>,
        after: &mut AfterRelease,
    ) -> Option<Fanout> {
        let route = &self.routes[own.index()];
        if route.kind != Some(content.kind) || route.channel != content.channel {
            return None;
        }
        let mut fanout = Fanout { receivers: route.receivers, ..Fanout::default() };
        fanout.here.channel = route.is_here;
        if let Some(Others { channel, workers }) = &route.others {
            if content.is_large() {
                return None;
            }
            for &worker in workers {
                let inbox = &mut self.inboxes[worker.index()];
                inbox.deliveries.push_small(content.kind, channel, content.payload);
                fanout.record(worker, inbox, after);
            }
        }
        Some(fanout)
    }

    pub(super) fn forget_routes(&mut self) {
        self.routes.iter_mut().for_each(|route| route.kind = None);
    }
}

impl Fanout {
    /// Returns the number of receivers, which is the reply of `PUBLISH`.
    pub(crate) fn receivers(&self) -> usize {
        self.receivers
    }

    /// Records that the message is in a worker's inbox.
    fn record(&mut self, worker: WorkerId, inbox: &mut Inbox, after: &mut AfterRelease) {
        if inbox.is_full() {
            self.lagging = Some(worker);
        }
        after.workers.extend(inbox.worker.take());
    }
}

impl RoutingCache {
    fn remember<P>(&mut self, builder: &FanoutBuilder<'_, P>, fanout: &Fanout) {
        self.kind = None;
        let Content { kind, channel, .. } = builder.content;
        if channel.len() > ROUTE_CHANNEL_BYTES_MAX {
            return;
        }
        self.kind = Some(kind);
        self.channel.clear();
        self.channel.extend_from_slice(channel);
        self.receivers = fanout.receivers;
        self.is_here = fanout.here.channel;
        self.others = builder.channel.clone().map(|channel| Others {
            channel,
            workers: builder.waiting.iter().map(|(worker, _)| *worker).collect(),
        });
    }
}

/// A message on its way to all threads but the publisher's own.
struct FanoutBuilder<'a, P> {
    content: Content<'a>,
    own: Option<WorkerId>,
    payload: Option<P>,
    published: Option<Arc<Published>>,
    /// The name that all tables share, if another worker has subscribers of the channel.
    channel: Option<Name>,
    waiting: SmallVec<[(WorkerId, Listeners); 4]>,
}

impl<P: FnOnce() -> Bytes> FanoutBuilder<'_, P> {
    /// Adds the subscribers of the channel itself, or of `pattern`.
    fn add(
        &mut self,
        interest: &Interest,
        pattern: Option<&Name>,
        fanout: &mut Fanout,
        after: &mut AfterRelease,
    ) {
        for (worker, clients) in interest.workers() {
            fanout.receivers += clients as usize;
            if self.own == Some(worker) {
                fanout.here.add(pattern);
                continue;
            }
            match self.waiting.iter_mut().find(|(known, _)| *known == worker) {
                Some((_, listeners)) => listeners.add(pattern),
                None => {
                    let mut listeners = Listeners::default();
                    listeners.add(pattern);
                    self.waiting.push((worker, listeners));
                }
            }
        }
        for mailbox in interest.mailboxes() {
            let message = Message::new(self.published(), pattern.cloned());
            match mailbox.push(message) {
                Push::Queued(reader) => {
                    fanout.receivers += 1;
                    after.wakers.extend(reader);
                }
                Push::Overflowed(reader, dropped) => {
                    fanout.receivers += 1;
                    after.wakers.extend(reader);
                    after.messages.extend(dropped);
                }
                Push::Refused(message) => after.messages.push(message),
            }
        }
    }

    fn hand_over(mut self, order: &mut Order, fanout: &mut Fanout, after: &mut AfterRelease) {
        let Content { kind, payload, .. } = self.content;
        let is_large = self.content.is_large();
        let channel = self.channel.take();
        for (worker, to) in std::mem::take(&mut self.waiting) {
            let inbox = &mut order.inboxes[worker.index()];
            match &channel {
                Some(channel) if !is_large && to.patterns.is_empty() => {
                    inbox.deliveries.push_small(kind, channel, payload);
                }
                _ => inbox.deliveries.push_shared(self.published(), to),
            }
            fanout.record(worker, inbox, after);
        }
        fanout.published = self.published;
    }

    fn published(&mut self) -> Arc<Published> {
        let Content { kind, channel, .. } = self.content;
        let payload = &mut self.payload;
        let published = self.published.get_or_insert_with(|| {
            let payload = payload.take().expect("taken here only, and once")();
            Arc::new(Published::new(kind, Name::from(channel), payload))
        });
        published.clone()
    }
}
