//! Who gets a message, and how it comes to those on other threads.
//!
//! All of it happens while the order is held, so it moves pointers and small payloads, and wakes
//! nobody.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Broker, INBOX_BYTES_MAX, Inbox, Order};
use crate::audience::{Content, Listeners};
use crate::message::{Message, Name, Published, Space};
use crate::registry::{Interest, WorkerId};
use crate::subscriber::Push;

/// Who gets a message, as far as the publisher has to care.
#[derive(Default)]
pub(super) struct Reach {
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
pub(super) struct Route {
    space: Option<Space>,
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
    pub(super) fn reach(
        &self,
        order: &mut Order,
        own: Option<WorkerId>,
        content: Content<'_>,
        wake: &mut Vec<Waker>,
        payload: impl FnOnce() -> Bytes,
    ) -> Reach {
        let mut reach = Reach::default();
        let mut post = Post {
            content,
            own,
            payload: Some(payload),
            published: None,
            channel: None,
            waiting: SmallVec::new(),
        };
        self.registry(content.space).with(content.channel, |channel, interest| {
            post.add(interest, None, &mut reach, wake);
            if !post.waiting.is_empty() {
                post.channel = Some(channel.clone());
            }
        });
        let mut is_by_channel = post.published.is_none();
        if content.space == Space::Channels {
            order.patterns.each_matching(content.channel, |pattern, interest| {
                is_by_channel = false;
                post.add(interest, Some(pattern), &mut reach, wake);
            });
        }
        if let (Some(own), true) = (own, is_by_channel) {
            order.routes[own.index()].remember(&post, &reach);
        }
        post.hand_over(order, &mut reach, wake);
        reach
    }
}

impl Order {
    /// Hands a message to where the last one went, if it goes there as well.
    pub(super) fn follow_route(
        &mut self,
        own: WorkerId,
        content: Content<'_>,
        wake: &mut Vec<Waker>,
    ) -> Option<Reach> {
        let route = &self.routes[own.index()];
        if route.space != Some(content.space) || route.channel != content.channel {
            return None;
        }
        let mut reach = Reach { receivers: route.receivers, ..Reach::default() };
        reach.here.channel = route.is_here;
        if let Some(Others { channel, workers }) = &route.others {
            if content.is_large() {
                return None;
            }
            for &worker in workers {
                let inbox = &mut self.inboxes[worker.index()];
                inbox.deliveries.push_small(content.space, channel, content.payload);
                reach.note(worker, inbox, wake);
            }
        }
        Some(reach)
    }
}

impl Reach {
    /// Notes what follows of what a worker just got.
    fn note(&mut self, worker: WorkerId, inbox: &mut Inbox, wake: &mut Vec<Waker>) {
        if inbox.deliveries.bytes() >= INBOX_BYTES_MAX {
            self.behind = Some(worker);
        }
        wake.extend(inbox.worker.take());
    }
}

impl Route {
    pub(super) fn forget(&mut self) {
        self.space = None;
    }

    fn remember<P>(&mut self, post: &Post<'_, P>, reach: &Reach) {
        self.space = None;
        let Content { space, channel, .. } = post.content;
        if channel.len() > ROUTE_CHANNEL_BYTES_MAX {
            return;
        }
        self.space = Some(space);
        self.channel.clear();
        self.channel.extend_from_slice(channel);
        self.receivers = reach.receivers;
        self.is_here = reach.here.channel;
        self.others = post.channel.clone().map(|channel| Others {
            channel,
            workers: post.waiting.iter().map(|(worker, _)| *worker).collect(),
        });
    }
}

/// A message on its way to everyone but the publisher's own worker.
struct Post<'a, P> {
    content: Content<'a>,
    own: Option<WorkerId>,
    payload: Option<P>,
    published: Option<Arc<Published>>,
    /// The name that all tables share, where another worker listens to it.
    channel: Option<Name>,
    waiting: SmallVec<[(WorkerId, Listeners); 4]>,
}

impl<P: FnOnce() -> Bytes> Post<'_, P> {
    /// Adds those who listen to the channel, or by `pattern`.
    fn add(
        &mut self,
        interest: &Interest,
        pattern: Option<&Name>,
        reach: &mut Reach,
        wake: &mut Vec<Waker>,
    ) {
        for (worker, clients) in interest.workers() {
            reach.receivers += clients as usize;
            if self.own == Some(worker) {
                reach.here.add(pattern);
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
                reach.receivers += 1;
                wake.extend(reader);
            }
        }
    }

    fn hand_over(mut self, order: &mut Order, reach: &mut Reach, wake: &mut Vec<Waker>) {
        let Content { space, payload, .. } = self.content;
        let is_large = self.content.is_large();
        let channel = self.channel.take();
        for (worker, to) in std::mem::take(&mut self.waiting) {
            let inbox = &mut order.inboxes[worker.index()];
            match &channel {
                Some(channel) if !is_large && to.patterns.is_empty() => {
                    inbox.deliveries.push_small(space, channel, payload);
                }
                _ => inbox.deliveries.push_shared(self.published(), to),
            }
            reach.note(worker, inbox, wake);
        }
        reach.published = self.published;
    }

    fn published(&mut self) -> Arc<Published> {
        let Content { space, channel, .. } = self.content;
        let payload = &mut self.payload;
        let published = self.published.get_or_insert_with(|| {
            let payload = payload.take().expect("taken here only, and once")();
            Arc::new(Published::new(space, Name::from(channel), payload))
        });
        published.clone()
    }
}
