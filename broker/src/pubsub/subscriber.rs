//! In-process subscribers.
//!
//! A subscriber is like a client with a mailbox in place of a socket. It gets every message once
//! per subscription, in order. If it falls behind, it is closed; no message is skipped. Publishers
//! on any thread fill the mailbox, and one reader empties it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;

use crate::observe::disconnect::Disconnect;
use crate::pubsub::Broker;
use crate::pubsub::mailbox::Mailbox;
use crate::pubsub::message::{Message, Name};

/// A subscriber inside this process. Dropping it ends its subscriptions.
///
/// It holds unread messages up to 32 MiB (Redis' default for subscribers). Beyond that it is
/// closed, and [`recv`](Self::recv) returns an error.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::Disconnect> {
/// let broker = broker::Broker::new();
/// let mut subscriber = broker.subscribe("news");
/// subscriber.psubscribe("chat:*");
/// assert_eq!(broker.publish("chat:1", "hi"), 1);
/// assert_eq!(subscriber.recv().await?.payload(), "hi");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Subscriber {
    broker: Broker,
    mailbox: Arc<Mailbox>,
    channels: BTreeMap<Box<[u8]>, Name>,
    patterns: BTreeMap<Box<[u8]>, Name>,
}

impl Subscriber {
    pub(crate) fn new(broker: Broker, mailbox: Arc<Mailbox>) -> Self {
        Self { broker, mailbox, channels: BTreeMap::new(), patterns: BTreeMap::new() }
    }

    /// Subscribes to one more channel. All messages published after the call arrive.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut subscriber = broker.subscribe("news");
    /// subscriber.subscribe("weather");
    /// assert_eq!(broker.publish("weather", "rain"), 1);
    /// ```
    pub fn subscribe(&mut self, channel: impl AsRef<[u8]>) {
        let channel = channel.as_ref();
        if !self.channels.contains_key(channel) {
            let name = self.broker.attach(&self.mailbox, channel);
            self.channels.insert(channel.into(), name);
        }
    }

    /// Ends the subscription to a channel. Messages published before the call still arrive.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut subscriber = broker.subscribe("news");
    /// subscriber.unsubscribe("news");
    /// assert_eq!(broker.publish("news", "hello"), 0);
    /// ```
    pub fn unsubscribe(&mut self, channel: impl AsRef<[u8]>) {
        if let Some(name) = self.channels.remove(channel.as_ref()) {
            self.broker.detach(&self.mailbox, &name);
        }
    }

    /// Subscribes to all channels that match a pattern, in Redis' glob.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut subscriber = broker.subscribe("news");
    /// subscriber.psubscribe("n*");
    /// assert_eq!(broker.publish("news", "hello"), 2);
    /// ```
    pub fn psubscribe(&mut self, pattern: impl AsRef<[u8]>) {
        let pattern = pattern.as_ref();
        if !self.patterns.contains_key(pattern) {
            let name = self.broker.attach_pattern(&self.mailbox, pattern);
            self.patterns.insert(pattern.into(), name);
        }
    }

    /// Ends the subscription to a pattern. Messages published before the call still arrive.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut subscriber = broker.psubscribe("n*");
    /// subscriber.punsubscribe("n*");
    /// assert_eq!(broker.publish("news", "hello"), 0);
    /// ```
    pub fn punsubscribe(&mut self, pattern: impl AsRef<[u8]>) {
        if let Some(name) = self.patterns.remove(pattern.as_ref()) {
            self.broker.detach_pattern(&self.mailbox, &name);
        }
    }

    /// Returns the next message. Waits if there is none.
    ///
    /// # Errors
    ///
    /// [`Disconnect::SlowSubscriber`] once the unread messages exceeded the limit. They are
    /// dropped, and the subscriber gets no further messages.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken only when the future is ready.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::Disconnect> {
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// broker.publish("news", "hello");
    /// assert_eq!(news.recv().await?.payload(), "hello");
    /// # Ok(()) }
    /// ```
    pub async fn recv(&mut self) -> Result<Message, Disconnect> {
        poll_fn(|cx| self.mailbox.poll_take(cx)).await
    }

    /// Returns the next message, or `None` if there is none.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// assert!(news.try_recv().is_none());
    /// broker.publish("news", "hello");
    /// assert_eq!(news.try_recv().unwrap().payload(), "hello");
    /// ```
    pub fn try_recv(&mut self) -> Option<Message> {
        self.mailbox.state.lock().take()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for name in std::mem::take(&mut self.channels).into_values() {
            self.broker.detach(&self.mailbox, &name);
        }
        for name in std::mem::take(&mut self.patterns).into_values() {
            self.broker.detach_pattern(&self.mailbox, &name);
        }
    }
}
