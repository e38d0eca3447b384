//! Subscribe, publish, introspection: the one publish path.
//!
//! All changes of who listens, and all publishes, pass one short lock: the **order**. While it is
//! held, a publisher pushes a reference to the message into the inbox of every other worker with a
//! listener, and takes what lies in the inbox of its own. Then it lets go, delivers what it took,
//! and only then its own message. Thus every worker sees one order, and what was published before
//! somebody joined or left is delivered to those who listened then.
//!
//! The critical section moves pointers and nothing else, and wakes nobody.

mod exclusion;
mod keys;
mod numbered;

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};
use smallvec::SmallVec;

pub(crate) use self::exclusion::Entrance;
use self::exclusion::Exclusion;
#[cfg(feature = "lua")]
pub(crate) use self::exclusion::{Exclusive, ScriptRun};
pub(crate) use self::keys::View;
pub use self::numbered::NumberError;
use crate::audience::{Audience, Content, Delivery, Listeners, Member};
use crate::config::ReplayRule;
use crate::counters::CountersFile;
use crate::keyspace::Keyspace;
use crate::message::{Message, Name, Published, Space};
use crate::pattern;
use crate::patterns::Patterns;
use crate::registry::{Interest, Place, Registry, WorkerId};
use crate::replay::{Epoch, Remembered, Replay};
use crate::stats::Stats;
use crate::subscriber::{Mailbox, Push, Subscriber};

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
    channels: [Registry; Space::COUNT],
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
    inboxes: Vec<Inbox>,
    replay: Replay,
    keyspace: Keyspace,
    /// Milliseconds since 1970 when it was taken to be held: time stands still for a transaction.
    time: u64,
}

/// What other threads have for one worker, and what it needs when it publishes.
#[derive(Default)]
struct Inbox {
    deliveries: Vec<Delivery>,
    /// Bytes of the messages among them.
    bytes: usize,
    /// Publishers that wait until there is room.
    waiting: Vec<Waker>,
    worker: Option<Waker>,
    taken: bool,
    route: Route,
}

/// What a worker took from its inbox.
pub(crate) struct Taken {
    pub(crate) deliveries: Vec<Delivery>,
    /// Those who waited for room.
    pub(crate) waiting: Vec<Waker>,
}

/// Where the worker's last message went, if it did not leave the worker: most often the next one
/// is for the same channel. Forgotten whenever somebody joins or leaves.
#[derive(Default)]
struct Route {
    space: Option<Space>,
    channel: Vec<u8>,
    receivers: usize,
}

/// Who gets a message, as far as the publisher has to care.
#[derive(Default)]
struct Reach {
    receivers: usize,
    /// On the publisher's own worker.
    here: Listeners,
    /// Those to wake once the order is unlocked.
    wake: SmallVec<[Waker; 4]>,
    /// The message, if others have it as well.
    published: Option<Arc<Published>>,
    /// A worker that has got too much.
    behind: Option<WorkerId>,
}

/// Bytes of messages that a worker may have got from others and not taken yet before those who
/// publish have to wait. What lies about longer is no longer in the processors' caches when it is
/// written, and takes memory.
const INBOX_BYTES_MAX: usize = 256 * 1024;
/// A longer channel is looked up each time.
const ROUTE_CHANNEL_BYTES_MAX: usize = 256;
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
            space: Space::Channels,
            channel: channel.as_ref(),
            payload: &payload,
            shared: None,
        };
        let mut order = self.shared.order.lock();
        order.replay.add(content.channel, || payload.clone());
        let reach = self.reach(&mut order, None, content, || payload.clone());
        drop(order);
        self.published(reach).receivers
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
        self.subscriptions_in(Space::Channels, channel.as_ref())
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
            .field("channels", &self.channel_count(Space::Channels))
            .finish_non_exhaustive()
    }
}

/// For in-process subscribers.
impl Broker {
    pub(crate) fn attach(&self, mailbox: &Arc<Mailbox>, channel: &[u8]) -> Name {
        let mut order = self.shared.order.lock();
        self.add(&mut order, Space::Channels, channel, Place::Mailbox(mailbox.clone()))
    }

    pub(crate) fn detach(&self, mailbox: &Arc<Mailbox>, channel: &Name) {
        let mut order = self.shared.order.lock();
        let place = Place::Mailbox(mailbox.clone());
        self.remove(&mut order, Space::Channels, channel, &place);
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

    /// Returns what other threads published, once there is something.
    pub(crate) fn poll_inbox(&self, worker: WorkerId, cx: &Context<'_>) -> Poll<Taken> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[worker.index()];
        if inbox.deliveries.is_empty() {
            inbox.worker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inbox.take())
    }

    /// Returns once a worker is not far behind with what others publish.
    pub(crate) fn poll_room(&self, worker: WorkerId, cx: &Context<'_>) -> Poll<()> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[worker.index()];
        if inbox.bytes < INBOX_BYTES_MAX {
            return Poll::Ready(());
        }
        inbox.waiting.push(cx.waker().clone());
        Poll::Pending
    }

    /// Delivers what lies in the worker's inbox.
    pub(crate) fn catch_up(&self, audience: &mut Audience) {
        self.settle(audience, |_, _| ());
    }

    /// Publishes from a worker, and returns the number of receivers.
    pub(crate) fn publish_from(
        &self,
        audience: &mut Audience,
        space: Space,
        channel: &[u8],
        payload: &[u8],
    ) -> usize {
        let content = Content { space, channel, payload, shared: None };
        let reach = self.settle(audience, |order, worker| {
            if space == Space::Channels && !order.replay.is_off() {
                order.replay.add(channel, || Bytes::copy_from_slice(payload));
            }
            let route = &order.inboxes[worker.index()].route;
            if let Some(receivers) = route.find(space, channel) {
                return Reach::here(receivers);
            }
            let reach =
                self.reach(order, Some(worker), content, || Bytes::copy_from_slice(payload));
            order.inboxes[worker.index()].route.remember(space, channel, &reach);
            reach
        });
        let reach = if audience.held.is_some() { reach.woken_by(audience) } else { reach.woken() };
        if space != Space::Monitor {
            audience.tally.published += 1;
            audience.tally.delivered += reach.receivers as u64;
        }
        if reach.behind.is_some() {
            audience.behind = reach.behind;
        }
        if !reach.here.is_nobody() {
            let shared = reach.published.as_deref();
            audience.deliver(Content { shared, ..content }, &reach.here);
        }
        reach.receivers
    }

    pub(crate) fn join(
        &self,
        audience: &mut Audience,
        space: Space,
        member: &Rc<Member>,
        channel: &[u8],
    ) -> Name {
        let name = self.settle(audience, |order, worker| {
            self.add(order, space, channel, Place::Worker(worker))
        });
        audience.join(space, name.clone(), member);
        name
    }

    pub(crate) fn leave(
        &self,
        audience: &mut Audience,
        space: Space,
        member: &Member,
        channel: &Name,
    ) {
        self.settle(audience, |order, worker| {
            self.remove(order, space, channel, &Place::Worker(worker));
        });
        audience.leave(space, channel, member);
    }

    pub(crate) fn join_pattern(
        &self,
        audience: &mut Audience,
        member: &Rc<Member>,
        pattern: &[u8],
    ) -> Name {
        let name = self.settle(audience, |order, worker| {
            self.add_pattern(order, pattern, Place::Worker(worker))
        });
        audience.join_pattern(name.clone(), member);
        name
    }

    pub(crate) fn leave_pattern(&self, audience: &mut Audience, member: &Member, pattern: &Name) {
        self.settle(audience, |order, worker| {
            self.remove_pattern(order, pattern, &Place::Worker(worker));
        });
        audience.leave_pattern(pattern, member);
    }

    /// Keeps everybody else's messages out until [`Broker::release`].
    pub(crate) fn hold(&self, audience: &mut Audience) {
        self.catch_up(audience);
        let mut order = self.shared.order.lock_arc();
        order.time = keys::now();
        audience.held = Some(order);
    }

    /// Ends [`Broker::hold`].
    pub(crate) fn release(&self, audience: &mut Audience) {
        self.end_transaction(audience);
        audience.wake();
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
        audience: &mut Audience,
        channel: &[u8],
        after: Option<(Epoch, u64)>,
        count: usize,
    ) -> Option<Remembered> {
        self.settle(audience, |order, _| order.replay.after(channel, after, count))
    }

    /// Returns the channels that match `pattern`, or all.
    pub(crate) fn names(&self, space: Space, pattern: Option<&[u8]>) -> Vec<Name> {
        let wanted = |name: &[u8]| pattern.is_none_or(|pattern| pattern::matches(pattern, name));
        self.registry(space).names(wanted)
    }

    /// Returns the number of subscriptions of a channel in `space`.
    pub(crate) fn subscriptions_in(&self, space: Space, channel: &[u8]) -> usize {
        self.registry(space).subscriptions(channel)
    }

    /// Returns the number of channels in `space` that somebody listens to.
    pub(crate) fn channel_count(&self, space: Space) -> usize {
        self.registry(space).len()
    }

    pub(crate) fn pattern_count(&self) -> usize {
        self.shared.patterns.load(Ordering::Relaxed)
    }

    fn registry(&self, space: Space) -> &Registry {
        &self.shared.channels[space as usize]
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
        audience: &mut Audience,
        change: impl FnOnce(&mut Order, WorkerId) -> R,
    ) -> R {
        let worker = audience.worker();
        let change = |order: &mut Order| (change(order, worker), order.take_inbox(worker));
        let (result, taken) = match &mut audience.held {
            Some(order) => change(order),
            None => change(&mut self.shared.order.lock()),
        };
        if let Some(taken) = taken {
            audience.take_in(taken);
        }
        result
    }

    fn add(&self, order: &mut Order, space: Space, channel: &[u8], place: Place) -> Name {
        order.forget_routes();
        self.registry(space).add(channel, place)
    }

    fn remove(&self, order: &mut Order, space: Space, channel: &Name, place: &Place) {
        order.forget_routes();
        self.registry(space).remove(channel, place);
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

    /// Finds who gets a message, and hands it to all but the publisher's own worker.
    fn reach(
        &self,
        order: &mut Order,
        own: Option<WorkerId>,
        content: Content<'_>,
        payload: impl FnOnce() -> Bytes,
    ) -> Reach {
        let mut reach = Reach::default();
        let mut post = Post {
            own,
            content,
            payload: Some(payload),
            published: None,
            waiting: SmallVec::new(),
        };
        self.registry(content.space)
            .with(content.channel, |_, interest| post.add(interest, None, &mut reach));
        if content.space == Space::Channels {
            order.patterns.each_matching(content.channel, |pattern, interest| {
                post.add(interest, Some(pattern), &mut reach);
            });
        }
        post.hand_over(order, &mut reach);
        reach
    }

    /// Counts a message, and wakes those who have something to do now.
    fn published(&self, reach: Reach) -> Reach {
        self.shared.stats.messages_published.add(1);
        self.shared.stats.messages_delivered.add(reach.receivers as u64);
        reach.woken()
    }
}

impl Reach {
    /// Only listeners of the channel, and all on the publisher's own worker.
    fn here(receivers: usize) -> Self {
        let here = Listeners { channel: receivers > 0, ..Listeners::default() };
        Self { receivers, here, ..Self::default() }
    }

    fn is_only_here(&self) -> bool {
        self.published.is_none() && self.here.patterns.is_empty()
    }

    /// Leaves it to the audience to wake them, since the order is held.
    fn woken_by(mut self, audience: &mut Audience) -> Self {
        audience.wake_later(std::mem::take(&mut self.wake));
        self
    }

    /// Wakes those who have something to do now.
    fn woken(mut self) -> Self {
        self.wake.drain(..).for_each(Waker::wake);
        self
    }
}

/// A message on its way to everyone but the publisher's own worker.
struct Post<'a, P> {
    own: Option<WorkerId>,
    content: Content<'a>,
    payload: Option<P>,
    published: Option<Arc<Published>>,
    waiting: SmallVec<[(WorkerId, Listeners); 4]>,
}

impl<P: FnOnce() -> Bytes> Post<'_, P> {
    /// Adds those who listen to the channel, or by `pattern`.
    fn add(&mut self, interest: &Interest, pattern: Option<&Name>, reach: &mut Reach) {
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
                reach.wake.extend(reader);
            }
        }
    }

    fn hand_over(mut self, order: &mut Order, reach: &mut Reach) {
        for (worker, to) in std::mem::take(&mut self.waiting) {
            let inbox = &mut order.inboxes[worker.index()];
            inbox.deliveries.push(Delivery::Message { published: self.published(), to });
            inbox.bytes += self.content.payload.len();
            if inbox.bytes >= INBOX_BYTES_MAX {
                reach.behind = Some(worker);
            }
            reach.wake.extend(inbox.worker.take());
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

impl Order {
    /// Takes what lies in a worker's inbox, which most often is nothing.
    fn take_inbox(&mut self, worker: WorkerId) -> Option<Taken> {
        let inbox = &mut self.inboxes[worker.index()];
        (!inbox.deliveries.is_empty()).then(|| inbox.take())
    }

    fn forget_routes(&mut self) {
        self.inboxes.iter_mut().for_each(|inbox| inbox.route.space = None);
    }
}

impl Inbox {
    fn take(&mut self) -> Taken {
        self.bytes = 0;
        Taken {
            deliveries: std::mem::take(&mut self.deliveries),
            waiting: std::mem::take(&mut self.waiting),
        }
    }
}

impl Route {
    fn find(&self, space: Space, channel: &[u8]) -> Option<usize> {
        (self.space == Some(space) && self.channel == channel).then_some(self.receivers)
    }

    fn remember(&mut self, space: Space, channel: &[u8], reach: &Reach) {
        self.space = None;
        if reach.is_only_here() && channel.len() <= ROUTE_CHANNEL_BYTES_MAX {
            self.space = Some(space);
            self.channel.clear();
            self.channel.extend_from_slice(channel);
            self.receivers = reach.receivers;
        }
    }
}

impl Listeners {
    fn add(&mut self, pattern: Option<&Name>) {
        match pattern {
            Some(pattern) => self.patterns.push(pattern.clone()),
            None => self.channel = true,
        }
    }

    fn is_nobody(&self) -> bool {
        !self.channel && self.patterns.is_empty()
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
    use crate::disconnect::Disconnect;

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
        assert_eq!((broker.channel_count(Space::Channels), broker.pattern_count()), (0, 0));
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
