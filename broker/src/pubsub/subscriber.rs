//! An in-process receiving end.
//!
//! The same as a client, with a mailbox in place of a socket: it gets every message once per
//! subscription, in order, and is closed rather than skipped when it falls behind. A mailbox is
//! filled by publishers on any thread and emptied by one reader.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::observe::disconnect::Disconnect;
use crate::pubsub::Broker;
use crate::pubsub::id_set::Identified;
use crate::pubsub::message::{Message, Name};

/// A receiving end inside this process. Dropping it ends its subscriptions.
///
/// It holds what it has not read yet, up to 32 MiB (Redis' default for subscribers); then it is
/// closed, and [`recv`](Self::recv) says so.
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

    /// Subscribes to one more channel. What is published from now on arrives.
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

    /// Ends the subscription to a channel. What was published before still arrives.
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

    /// Ends the subscription to a pattern. What was published before still arrives.
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

    /// Returns the next message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`Disconnect::SlowSubscriber`] once the subscriber has fallen behind its limit. What it had
    /// not read by then is dropped, and it gets nothing more.
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

    /// Returns the next message if one is there.
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

/// What one in-process subscriber has still to read.
#[derive(Debug)]
pub(crate) struct Mailbox {
    number: u64,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    closed: Option<Disconnect>,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(crate) fn new(number: u64, bytes_max: usize) -> Self {
        Self { number, bytes_max, state: Mutex::new(State::default()) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Queues a message. A mailbox over its limit closes itself.
    pub(crate) fn push(&self, message: Message) -> Push {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Push::Refused;
        }
        state.bytes += message.bytes();
        state.messages.push_back(message);
        if state.bytes > self.bytes_max {
            state.closed = Some(Disconnect::SlowSubscriber);
            state.messages = VecDeque::new();
        }
        Push::Queued(state.reader.take())
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Message, Disconnect>> {
        let mut state = self.state.lock();
        match (state.take(), state.closed) {
            (Some(message), _) => Poll::Ready(Ok(message)),
            (None, Some(reason)) => Poll::Ready(Err(reason)),
            (None, None) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Push {
    /// Queued; wake the reader once no lock is held.
    Queued(Option<Waker>),
    /// The mailbox is closed.
    Refused,
}

impl State {
    fn take(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        if self.messages.is_empty() {
            // A burst must not stay allocated.
            self.messages.shrink_to(64);
        }
        Some(message)
    }
}

impl Identified for Arc<Mailbox> {
    fn id(&self) -> u64 {
        self.number
    }
}
