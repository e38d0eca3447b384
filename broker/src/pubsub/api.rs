//! Publish, subscribe and counters for programs in this process.
//!
//! All of these functions may run on any thread. Each acquires the order for itself, so none of
//! them may be called by code of a worker.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::interest::Place;
use super::mailbox::Mailbox;
use super::message::{ChannelKind, Content, Name};
use super::order::{AfterRelease, OrderGuard};
use super::replay::Replay;
use super::shared::Shared;
use super::subscriber::Subscriber;
use super::view::BrokerView;
use crate::config::ReplayRule;
use crate::keyspace::Queue;
use crate::keyspace::counters_file::CountersFile;

/// Holds subscriptions, and delivers each message to the subscribers of its channel.
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
    pub(super) shared: Arc<Shared>,
}

/// Redis' default limit for subscribers, `client-output-buffer-limit pubsub 32mb`.
const MAILBOX_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Broker {
    /// Returns a new broker without subscriptions.
    ///
    /// ```
    /// assert_eq!(broker::Broker::new().publish("news", "hello"), 0);
    /// ```
    pub fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// Publishes `payload` to `channel`, and returns the number of receivers.
    ///
    /// Each matching subscription counts. So a subscriber of the channel and of two matching
    /// patterns counts three times.
    ///
    /// Never waits for a subscriber. May be called from any thread, in a runtime or not. Messages
    /// of one thread arrive in the order in which it published them.
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
        self.with_order(|order, after| {
            let receivers = order.publish_outside(content, &payload, after);
            order.shared.stats.messages_published.add(1);
            order.shared.stats.messages_delivered.add(receivers as u64);
            receivers
        })
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

    /// Returns the number of subscriptions of a channel, without those of patterns.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let _news = broker.subscribe("news");
    /// assert_eq!(broker.subscriptions("news"), 1);
    /// ```
    pub fn subscriptions(&self, channel: impl AsRef<[u8]>) -> usize {
        self.shared.registry(ChannelKind::Channels).subscriptions(channel.as_ref())
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
            .field("channels", &self.shared.registry(ChannelKind::Channels).len())
            .finish_non_exhaustive()
    }
}

/// For in-process subscribers.
impl Broker {
    pub(super) fn attach(&self, mailbox: &Arc<Mailbox>, channel: &[u8]) -> Name {
        let place = Place::Mailbox(mailbox.clone());
        self.with_order(|order, _| order.add(ChannelKind::Channels, channel, place))
    }

    pub(super) fn detach(&self, mailbox: &Arc<Mailbox>, channel: &Name) {
        let place = Place::Mailbox(mailbox.clone());
        self.with_order(|order, _| order.remove(ChannelKind::Channels, channel, &place));
    }

    pub(super) fn attach_pattern(&self, mailbox: &Arc<Mailbox>, pattern: &[u8]) -> Name {
        let place = Place::Mailbox(mailbox.clone());
        self.with_order(|order, _| order.add_pattern(pattern, place))
    }

    pub(super) fn detach_pattern(&self, mailbox: &Arc<Mailbox>, pattern: &Name) {
        let place = Place::Mailbox(mailbox.clone());
        self.with_order(|order, _| order.remove_pattern(pattern, &place));
    }

    /// Calls `act` with the order, and afterwards runs the work that must wait for its release.
    pub(super) fn with_order<R>(
        &self,
        act: impl FnOnce(&mut OrderGuard<'_>, &mut AfterRelease) -> R,
    ) -> R {
        let mut after = AfterRelease::default();
        let result = act(&mut self.shared.lock().guard(), &mut after);
        after.run();
        result
    }
}

/// For servers.
impl Broker {
    pub(crate) fn view(&self) -> BrokerView {
        BrokerView { shared: self.shared.clone() }
    }

    /// Keeps further messages for replay, on the channels that match `rules`.
    pub(crate) fn remember(&self, rules: &[ReplayRule]) {
        if !rules.is_empty() {
            let replay = Replay::new(rules);
            let old =
                self.with_order(|order, _| std::mem::replace(&mut order.order.replay, replay));
            drop(old);
        }
    }

    /// Loads the counters of a file, and writes further changes to it.
    ///
    /// # Errors
    ///
    /// The file is not a counters file or cannot be written, or the broker has another one.
    pub(crate) fn keep_counters(&self, path: PathBuf) -> io::Result<()> {
        if self.shared.counters.get().is_some_and(|file| file.path() == path) {
            return Ok(());
        }
        let queue = Arc::new(Queue::default());
        let (file, counters) = CountersFile::open(path, queue.clone())?;
        if self.shared.counters.set(file).is_err() {
            return Err(io::Error::other("the broker has another counters file"));
        }
        self.with_order(|order, _| {
            let now = order.now();
            order.keyspace().keep_counters(&counters, queue, now);
            order.record_keys();
        });
        Ok(())
    }

    /// Syncs the counters file to the disk, and rewrites it when it has grown.
    pub(crate) fn tend_counters(&self) {
        let Some(file) = self.shared.counters.get() else { return };
        let is_gone = file.is_gone();
        if is_gone && !file.may_come_back() {
            return;
        }
        file.write_again();
        file.sync();
        // A script holds the order, possibly for long.
        if (is_gone || file.is_overgrown()) && self.shared.barrier.running().is_none() {
            // Queued first and written afterwards: no thread waits for the order with the file.
            self.with_order(|order, _| order.keyspace().queue_counters());
            file.write_queued();
            file.rewrite();
        }
    }

    /// Writes the exact values of all counters. For the end of a server, when no client counts any
    /// more. While a script runs, it writes nothing: the file then stays as after a crash, which
    /// is safe.
    pub(crate) fn close_counters(&self) {
        if self.shared.barrier.running().is_some() {
            return;
        }
        if let Some(file) =
            self.shared.counters.get().filter(|file| !file.is_gone() || file.may_come_back())
        {
            self.with_order(|order, _| order.keyspace().queue_exact_counters());
            file.write_queued();
            file.rewrite();
        }
    }
}

impl OrderGuard<'_> {
    /// Publishes a message of a program in this process, and returns the number of receivers.
    pub(super) fn publish_outside(
        &mut self,
        content: Content<'_>,
        payload: &Bytes,
        after: &mut AfterRelease,
    ) -> usize {
        // Copied: dropping bytes of the program may run its code, and the replay buffer drops
        // messages while the order is held.
        self.order.replay.add(content.channel, || Bytes::copy_from_slice(payload));
        let fanout = self.fan_out(None, content, after, || payload.clone());
        let receivers = fanout.receivers();
        after.payloads.extend(fanout.published);
        if self.is_observed() {
            self.feed_message(content, false);
            self.send_feed(after);
            self.observe(content, receivers, None, after);
        }
        receivers
    }
}

impl OrderGuard<'_> {
    /// Evicts messages of the replay buffer that are too old. `now` is the time since the start.
    pub(crate) fn expire_replay(&mut self, now: Duration) {
        self.order.replay.expire(now);
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
    fn after_unsubscribing_only_queued_messages_arrive() {
        let broker = Broker::new();
        let mut subscriber = broker.subscribe("news");
        broker.publish("news", "before");
        subscriber.unsubscribe("news");
        assert_eq!(broker.publish("news", "after"), 0);
        assert_eq!(payloads(&mut subscriber), ["before"]);
    }

    #[test]
    fn a_dropped_subscriber_leaves_no_entries() {
        let broker = Broker::new();
        let mut subscriber = broker.subscribe("news");
        subscriber.psubscribe("n*");
        drop(subscriber);
        assert_eq!(
            (broker.view().channel_count(ChannelKind::Channels), broker.view().pattern_count()),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_closed_and_no_longer_counted() {
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
