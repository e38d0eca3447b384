//! Who gets a message, and how it comes to those on other threads.
//!
//! All of it happens while the order is held, so it moves pointers and small payloads, and wakes
//! nobody.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Broker, INBOX_BYTES_MAX, Inbox, Order};
use crate::pubsub::message::{ChannelKind, Message, Name, Published};
use crate::pubsub::registry::{Interest, WorkerId};
use crate::pubsub::subscriber::Push;
use crate::pubsub::subscribers::{Content, Listeners};

/// Who gets a message, as far as the publisher has to care.
#[derive(Default)]
pub(super) struct Fanout {
    pub(super) receivers: usize,
    /// On the publisher's own worker.
    pub(super) here: Listeners,
    /// The message, if others have it as well.
    pub(super) published: Option<Arc<Published>>,
    /// A worker that has got too much.
    pub(super) behind: Option<WorkerId>,
}

/// Where a worker's last message went, if only listeners of its channel on workers got it: most often
/// the next one is for the same channel. Forgotten whenever somebody joins or leaves.
#[derive(Default)]
pub(super) struct RoutingCache {
    kind: Option<ChannelKind>,
    channel: Vec<u8>,
    receivers: usize,
    /// Whether some are on the worker itself.
    is_here: bool,
    others: Option<Others>,
}

/// Other workers with listeners of a channel.
struct Others {
    channel: Name,
    workers: SmallVec<[WorkerId; 4]>,
}

/// A longer channel is looked up each time.
const ROUTE_CHANNEL_BYTES_MAX: usize = 256;

impl Broker {
    /// Finds who gets a message, hands it to all but the publisher's own worker, and adds whom to
    /// wake once the order is let go.
    pub(super) fn fanout(
        &self,
        order: &mut Order,
        own: Option<WorkerId>,
        content: Content<'_>,
        wake: &mut Vec<Waker>,
        payload: impl FnOnce() -> Bytes,
    ) -> Fanout {
        let mut fanout = Fanout::default();
        let mut post = FanoutBuilder {
            content,
            own,
            payload: Some(payload),
            published: None,
            channel: None,
            waiting: SmallVec::new(),
        };
        self.registry(content.kind).with(content.channel, |channel, interest| {
            post.add(interest, None, &mut fanout, wake);
            if !post.waiting.is_empty() {
                post.channel = Some(channel.clone());
            }
        });
        let mut is_by_channel = post.published.is_none();
        if content.kind == ChannelKind::Channels {
            order.patterns.each_matching(content.channel, |pattern, interest| {
                is_by_channel = false;
                post.add(interest, Some(pattern), &mut fanout, wake);
            });
        }
        if let (Some(own), true) = (own, is_by_channel) {
            order.routes[own.index()].remember(&post, &fanout);
        }
        post.hand_over(order, &mut fanout, wake);
        fanout
    }
}

impl Order {
    /// Hands a message to where the last one went, if it goes there as well.
    pub(super) fn follow_route(
        &mut self,
        own: WorkerId,
        content: Content<'_>,
        wake: &mut Vec<Waker>,
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
                fanout.record(worker, inbox, wake);
            }
        }
        Some(fanout)
    }
}

impl Fanout {
    /// Notes what follows of what a worker just got.
    fn record(&mut self, worker: WorkerId, inbox: &mut Inbox, wake: &mut Vec<Waker>) {
        if inbox.deliveries.bytes() >= INBOX_BYTES_MAX {
            self.behind = Some(worker);
        }
        wake.extend(inbox.worker.take());
    }
}

impl RoutingCache {
    pub(super) fn forget(&mut self) {
        self.kind = None;
    }

    fn remember<P>(&mut self, post: &FanoutBuilder<'_, P>, fanout: &Fanout) {
        self.kind = None;
        let Content { kind, channel, .. } = post.content;
        if channel.len() > ROUTE_CHANNEL_BYTES_MAX {
            return;
        }
        self.kind = Some(kind);
        self.channel.clear();
        self.channel.extend_from_slice(channel);
        self.receivers = fanout.receivers;
        self.is_here = fanout.here.channel;
        self.others = post.channel.clone().map(|channel| Others {
            channel,
            workers: post.waiting.iter().map(|(worker, _)| *worker).collect(),
        });
    }
}

/// A message on its way to everyone but the publisher's own worker.
struct FanoutBuilder<'a, P> {
    content: Content<'a>,
    own: Option<WorkerId>,
    payload: Option<P>,
    published: Option<Arc<Published>>,
    /// The name that all tables share, where another worker listens to it.
    channel: Option<Name>,
    waiting: SmallVec<[(WorkerId, Listeners); 4]>,
}

impl<P: FnOnce() -> Bytes> FanoutBuilder<'_, P> {
    /// Adds those who listen to the channel, or by `pattern`.
    fn add(
        &mut self,
        interest: &Interest,
        pattern: Option<&Name>,
        fanout: &mut Fanout,
        wake: &mut Vec<Waker>,
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
            if let Push::Queued(reader) = mailbox.push(message) {
                fanout.receivers += 1;
                wake.extend(reader);
            }
        }
    }

    fn hand_over(mut self, order: &mut Order, fanout: &mut Fanout, wake: &mut Vec<Waker>) {
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
            fanout.record(worker, inbox, wake);
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
