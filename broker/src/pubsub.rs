//! Subscribe, publish, introspection: the one publish path.
//!
//! All changes of who listens, and all publishes, pass one short lock: the **order**. While it is
//! held, a publisher puts the message into the inbox of every other worker with a listener, and takes
//! what lies in the inbox of its own. Then it lets go, delivers what it took, and only then its own
//! message. Thus every worker sees one order, and what was published before somebody joined or left
//! is delivered to those who listened then.
//!
//! The critical section moves pointers and small payloads, and wakes nobody.

pub(crate) mod batch;
pub(crate) mod delivery;
mod fan_out;
pub(crate) mod id_set;
mod inbox;
mod keys;
pub(crate) mod message;
mod numbered;
pub(crate) mod outbox;
pub(crate) mod patterns;
pub(crate) mod registry;
mod remembered;
pub(crate) mod replay;
mod script_barrier;
pub(crate) mod subscriber;
pub(crate) mod subscribers;

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};

use self::fan_out::{Fanout, RoutingCache};
use self::inbox::{INBOX_BYTES_MAX, Inbox};
pub(crate) use self::keys::View;
pub use self::numbered::NumberError;
pub use self::remembered::ReplayPosition;
pub(crate) use self::script_barrier::Entrance;
use self::script_barrier::Exclusion;
#[cfg(feature = "lua")]
pub(crate) use self::script_barrier::{Exclusive, ScriptRun};
use crate::config::ReplayRule;
use crate::glob;
use crate::keyspace::Keyspace;
use crate::keyspace::counters_file::CountersFile;
use crate::observe::stats::Stats;
use crate::pubsub::message::{ChannelKind, Name};
use crate::pubsub::patterns::Patterns;
use crate::pubsub::registry::{Place, Registry, WorkerId};
use crate::pubsub::replay::{Epoch, Remembered, Replay};
use crate::pubsub::subscriber::{Mailbox, Subscriber};
use crate::pubsub::subscribers::{ClientOutput, Content, Context};

/// Knows who is subscribed to what, and hands every message to them.
///
/// A broker needs no socket; bind a [`Server`](crate::Server) to it to serve Redis clients as well.
/// Cloning gives another handle to the same broker.
///
/// ```
/// let broker = broker::Broker::new();
/// let mut news = broker.subscribe("news");
/// assert_eq!(broker.publish("news", "hello"), 1);
/// assert_eq!(news.try_recv().unwrap().payload(), "hello");
/// ```
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    /// By space.
    channels: [Registry; ChannelKind::COUNT],
    order: Arc<Mutex<Order>>,
    /// As many as `order` has; read without waiting for whoever holds that.
    patterns: AtomicUsize,
    stats: Stats,
    last_mailbox: AtomicU64,
    last_client: AtomicU64,
    /// What keys and values take, for those who do not wait for the order.
    key_bytes: AtomicUsize,
    counters: OnceLock<CountersFile>,
    exclusion: Arc<Exclusion>,
}

/// The order, held by a transaction so that nothing comes between its messages.
pub(crate) type HeldOrder = ArcMutexGuard<RawMutex, Order>;

/// What only one thread at a time may touch.
#[derive(Default)]
pub(crate) struct Order {
    patterns: Patterns,
    /// By the number of the worker, as routes are.
    inboxes: Vec<Inbox>,
    routes: Vec<RoutingCache>,
    replay: Replay,
    keyspace: Keyspace,
    /// Milliseconds since 1970 when it was taken to be held: time stands still for a transaction.
    time: u64,
}

/// Redis' default limit for subscribers, `client-output-buffer-limit pubsub 32mb`.
const MAILBOX_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Broker {
    /// Returns a new broker, which nobody listens to.
    ///
    /// ```
    /// assert_eq!(broker::Broker::new().publish("news", "hello"), 0);
    /// ```
    pub fn new() -> Self {
        let shared = Shared {
            channels: std::array::from_fn(|_| Registry::default()),
            order: Arc::default(),
            patterns: AtomicUsize::new(0),
            stats: Stats::default(),
            last_mailbox: AtomicU64::new(0),
            last_client: AtomicU64::new(0),
            key_bytes: AtomicUsize::new(0),
            counters: OnceLock::new(),
            exclusion: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Publishes `payload` to `channel`, and returns the number of receivers: one for each
    /// subscription that matched, so a subscriber of the channel and of two matching patterns
    /// counts three times.
    ///
    /// Never waits for a subscriber. May be called from any thread, in a runtime or not; what one
    /// thread publishes arrives in that order.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// news.psubscribe("n*");
    /// assert_eq!(broker.publish("news", "hello"), 2);
    /// ```
    pub fn publish(&self, channel: impl AsRef<[u8]>, payload: impl Into<Bytes>) -> usize {
        let payload = payload.into();
        let content = Content {
            kind: ChannelKind::Channels,
            channel: channel.as_ref(),
            payload: &payload,
            shared: None,
        };
        let mut wake = Vec::new();
        let mut order = self.shared.order.lock();
        order.replay.add(content.channel, || payload.clone());
        let fanout = self.fanout(&mut order, None, content, &mut wake, || payload.clone());
        drop(order);
        wake.into_iter().for_each(Waker::wake);
        self.count(&fanout);
        fanout.receivers
    }

    /// Subscribes to a channel.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// broker.publish("news", "hello");
    /// assert_eq!(news.try_recv().unwrap().payload(), "hello");
    /// ```
    pub fn subscribe(&self, channel: impl AsRef<[u8]>) -> Subscriber {
        let mut subscriber = self.subscriber();
        subscriber.subscribe(channel);
        subscriber
    }

    /// Subscribes to all channels that match a pattern, in Redis' glob.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut all = broker.psubscribe("*");
    /// broker.publish("news", "hello");
    /// assert_eq!(all.try_recv().unwrap().channel(), b"news");
    /// ```
    pub fn psubscribe(&self, pattern: impl AsRef<[u8]>) -> Subscriber {
        let mut subscriber = self.subscriber();
        subscriber.psubscribe(pattern);
        subscriber
    }

    /// Returns the number of subscriptions of a channel; those by pattern do not count.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let _news = broker.subscribe("news");
    /// assert_eq!(broker.subscriptions("news"), 1);
    /// ```
    pub fn subscriptions(&self, channel: impl AsRef<[u8]>) -> usize {
        self.subscriptions_in(ChannelKind::Channels, channel.as_ref())
    }

    fn subscriber(&self) -> Subscriber {
        let number = self.shared.last_mailbox.fetch_add(1, Ordering::Relaxed) + 1;
        Subscriber::new(self.clone(), Arc::new(Mailbox::new(number, MAILBOX_BYTES_MAX)))
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("channels", &self.channel_count(ChannelKind::Channels))
            .finish_non_exhaustive()
    }
}

/// For in-process subscribers.
impl Broker {
    pub(crate) fn attach(&self, mailbox: &Arc<Mailbox>, channel: &[u8]) -> Name {
        let mut order = self.shared.order.lock();
        self.add(&mut order, ChannelKind::Channels, channel, Place::Mailbox(mailbox.clone()))
    }

    pub(crate) fn detach(&self, mailbox: &Arc<Mailbox>, channel: &Name) {
        let mut order = self.shared.order.lock();
        let place = Place::Mailbox(mailbox.clone());
        self.remove(&mut order, ChannelKind::Channels, channel, &place);
    }

    pub(crate) fn attach_pattern(&self, mailbox: &Arc<Mailbox>, pattern: &[u8]) -> Name {
        let mut order = self.shared.order.lock();
        self.add_pattern(&mut order, pattern, Place::Mailbox(mailbox.clone()))
    }

    pub(crate) fn detach_pattern(&self, mailbox: &Arc<Mailbox>, pattern: &Name) {
        let mut order = self.shared.order.lock();
        self.remove_pattern(&mut order, pattern, &Place::Mailbox(mailbox.clone()));
    }
}

/// For workers and their clients.
impl Broker {
    /// Gives a worker its number and inbox.
    pub(crate) fn open_inbox(&self) -> WorkerId {
        let mut order = self.shared.order.lock();
        let index = match order.inboxes.iter().position(|inbox| !inbox.taken) {
            Some(free) => free,
            None => {
                order.inboxes.push(Inbox::default());
                order.routes.push(RoutingCache::default());
                order.inboxes.len() - 1
            }
        };
        order.inboxes[index].taken = true;
        self.open_gate(index);
        WorkerId(u16::try_from(index).expect("io-threads is at most 128"))
    }

    /// Takes back a worker's number. Its clients must have left.
    pub(crate) fn close_inbox(&self, worker: WorkerId) {
        let closed = std::mem::take(&mut self.shared.order.lock().inboxes[worker.index()]);
        closed.waiting.into_iter().for_each(Waker::wake);
    }

    /// Delivers what lies in the worker's inbox.
    pub(crate) fn catch_up(&self, context: &mut Context) {
        self.settle(context, |_, _| ());
    }

    /// Publishes from a worker, and returns the number of receivers.
    pub(crate) fn publish_from(
        &self,
        context: &mut Context,
        kind: ChannelKind,
        channel: &[u8],
        payload: &[u8],
    ) -> usize {
        let content = Content { kind, channel, payload, shared: None };
        let fanout = self.settle(context, |order, context| self.forward(order, context, content));
        self.deliver(context, content, fanout)
    }

    /// Hands a message of a worker to the others, and remembers it where that is wished.
    fn forward(&self, order: &mut Order, context: &mut Context, content: Content<'_>) -> Fanout {
        let Content { kind, channel, payload, .. } = content;
        let copy = || Bytes::copy_from_slice(payload);
        if kind == ChannelKind::Channels && !order.replay.is_off() {
            order.replay.add(channel, copy);
        }
        let (own, wake) = (context.worker(), &mut context.to_wake);
        match order.follow_route(own, content, wake) {
            Some(fanout) => fanout,
            None => self.fanout(order, Some(own), content, wake, copy),
        }
    }

    /// Delivers a message of a worker to those who are there, after all that came before it. Others
    /// are woken once for all requests of a read.
    fn deliver(&self, context: &mut Context, content: Content<'_>, fanout: Fanout) -> usize {
        if content.kind != ChannelKind::Monitor {
            context.tally.published += 1;
            context.tally.delivered += fanout.receivers as u64;
        }
        if fanout.behind.is_some() {
            context.behind = fanout.behind;
        }
        if !fanout.here.is_nobody() {
            let shared = fanout.published.as_deref();
            context.deliver(Content { shared, ..content }, &fanout.here);
        }
        fanout.receivers
    }

    pub(crate) fn join(
        &self,
        context: &mut Context,
        kind: ChannelKind,
        output: &Rc<ClientOutput>,
        channel: &[u8],
    ) -> Name {
        let name = self.settle(context, |order, context| {
            self.add(order, kind, channel, Place::Worker(context.worker()))
        });
        context.join(kind, name.clone(), output);
        name
    }

    pub(crate) fn leave(
        &self,
        context: &mut Context,
        kind: ChannelKind,
        output: &ClientOutput,
        channel: &Name,
    ) {
        self.settle(context, |order, context| {
            self.remove(order, kind, channel, &Place::Worker(context.worker()));
        });
        context.leave(kind, channel, output);
    }

    pub(crate) fn join_pattern(
        &self,
        context: &mut Context,
        output: &Rc<ClientOutput>,
        pattern: &[u8],
    ) -> Name {
        let name = self.settle(context, |order, context| {
            self.add_pattern(order, pattern, Place::Worker(context.worker()))
        });
        context.join_pattern(name.clone(), output);
        name
    }

    pub(crate) fn leave_pattern(
        &self,
        context: &mut Context,
        output: &ClientOutput,
        pattern: &Name,
    ) {
        self.settle(context, |order, context| {
            self.remove_pattern(order, pattern, &Place::Worker(context.worker()));
        });
        context.leave_pattern(pattern, output);
    }

    /// Keeps everybody else's messages out until [`Broker::release`].
    pub(crate) fn hold(&self, context: &mut Context) {
        self.catch_up(context);
        let mut order = self.shared.order.lock_arc();
        order.time = keys::now();
        context.held = Some(order);
    }

    /// Ends [`Broker::hold`].
    pub(crate) fn release(&self, context: &mut Context) {
        self.end_transaction(context);
        context.wake();
    }

    /// Remembers, from now on, what is published on the channels of these rules.
    pub(crate) fn remember(&self, rules: &[ReplayRule]) {
        if !rules.is_empty() {
            self.shared.order.lock().replay = Replay::new(rules);
        }
    }

    /// Says what time it is, since whenever.
    pub(crate) fn tell_time(&self, now: Duration) {
        self.shared.order.lock().replay.expire(now);
    }

    /// Returns messages of a channel that is remembered, see [`Replay::after`]. Those that are
    /// delivered to this worker before the answer are among them, and none of those after it.
    pub(crate) fn replay(
        &self,
        context: &mut Context,
        channel: &[u8],
        after: Option<(Epoch, u64)>,
        count: usize,
    ) -> Option<Remembered> {
        self.settle(context, |order, _| order.replay.after(channel, after, count))
    }

    /// Returns the channels that match `pattern`, or all.
    pub(crate) fn names(&self, kind: ChannelKind, pattern: Option<&[u8]>) -> Vec<Name> {
        let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        self.registry(kind).names(wanted)
    }

    /// Returns the number of subscriptions of a channel in `kind`.
    pub(crate) fn subscriptions_in(&self, kind: ChannelKind, channel: &[u8]) -> usize {
        self.registry(kind).subscriptions(channel)
    }

    /// Returns the number of channels in `kind` that somebody listens to.
    pub(crate) fn channel_count(&self, kind: ChannelKind) -> usize {
        self.registry(kind).len()
    }

    pub(crate) fn pattern_count(&self) -> usize {
        self.shared.patterns.load(Ordering::Relaxed)
    }

    fn registry(&self, kind: ChannelKind) -> &Registry {
        &self.shared.channels[kind as usize]
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    pub(crate) fn next_client_id(&self) -> u64 {
        self.shared.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a change in its place in the order: after all that lies in the worker's inbox.
    fn settle<R>(
        &self,
        context: &mut Context,
        change: impl FnOnce(&mut Order, &mut Context) -> R,
    ) -> R {
        let result = self.with_order(context, |order, context| {
            let result = change(order, context);
            order.take_inbox(context);
            result
        });
        context.take_in();
        result
    }

    /// Calls `see` with the order, which a transaction may hold already.
    fn with_order<R>(
        &self,
        context: &mut Context,
        see: impl FnOnce(&mut Order, &mut Context) -> R,
    ) -> R {
        match context.held.take() {
            Some(mut order) => {
                let result = see(&mut order, context);
                context.held = Some(order);
                result
            }
            None => see(&mut self.shared.order.lock(), context),
        }
    }

    fn add(&self, order: &mut Order, kind: ChannelKind, channel: &[u8], place: Place) -> Name {
        order.forget_routes();
        self.registry(kind).add(channel, place)
    }

    fn remove(&self, order: &mut Order, kind: ChannelKind, channel: &Name, place: &Place) {
        order.forget_routes();
        self.registry(kind).remove(channel, place);
    }

    fn add_pattern(&self, order: &mut Order, pattern: &[u8], place: Place) -> Name {
        order.forget_routes();
        let name = order.patterns.add(pattern, place);
        self.shared.patterns.store(order.patterns.len(), Ordering::Relaxed);
        name
    }

    fn remove_pattern(&self, order: &mut Order, pattern: &Name, place: &Place) {
        order.forget_routes();
        order.patterns.remove(pattern, place);
        self.shared.patterns.store(order.patterns.len(), Ordering::Relaxed);
    }

    /// Counts a message that no worker has published.
    fn count(&self, fanout: &Fanout) {
        self.shared.stats.messages_published.add(1);
        self.shared.stats.messages_delivered.add(fanout.receivers as u64);
    }
}

impl Order {
    fn forget_routes(&mut self) {
        self.routes.iter_mut().for_each(RoutingCache::forget);
    }
}

impl WorkerId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::disconnect::Disconnect;

    fn payloads(subscriber: &mut Subscriber) -> Vec<Bytes> {
        std::iter::from_fn(|| subscriber.try_recv())
            .map(|message| message.payload().clone())
            .collect()
    }

    #[test]
    fn a_message_arrives_once_per_subscription() {
        let broker = Broker::new();
        let mut subscriber = broker.subscribe("news");
        subscriber.subscribe("news");
        subscriber.psubscribe("n*");
        subscriber.psubscribe("*s");
        subscriber.psubscribe("other");
        assert_eq!(broker.publish("news", "hello"), 3);
        assert_eq!(payloads(&mut subscriber), ["hello"; 3]);
    }

    #[test]
    fn after_unsubscribing_nothing_arrives_but_what_was_queued() {
        let broker = Broker::new();
        let mut subscriber = broker.subscribe("news");
        broker.publish("news", "before");
        subscriber.unsubscribe("news");
        assert_eq!(broker.publish("news", "after"), 0);
        assert_eq!(payloads(&mut subscriber), ["before"]);
    }

    #[test]
    fn nothing_stays_behind() {
        let broker = Broker::new();
        let mut subscriber = broker.subscribe("news");
        subscriber.psubscribe("n*");
        drop(subscriber);
        assert_eq!((broker.channel_count(ChannelKind::Channels), broker.pattern_count()), (0, 0));
    }

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_is_told_so_and_not_counted() {
        let broker = Broker::new();
        let mut slow = broker.subscribe("news");
        let mut reader = broker.subscribe("news");
        let payload = Bytes::from(vec![b'x'; MAILBOX_BYTES_MAX / 2]);
        for receivers in [2, 2, 1] {
            assert_eq!(broker.publish("news", payload.clone()), receivers);
            assert_eq!(payloads(&mut reader).len(), 1);
        }
        assert_eq!(slow.recv().await.unwrap_err(), Disconnect::SlowSubscriber);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_from_another_thread() {
        let broker = Broker::new();
        let mut news = broker.subscribe("news");
        let publisher = broker.clone();
        let thread = std::thread::spawn(move || publisher.publish("news", "hello"));
        assert_eq!(news.recv().await.unwrap().payload(), "hello");
        assert_eq!(thread.join().unwrap(), 1);
    }
}
