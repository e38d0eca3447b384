//! A bus on a broker in this process.
//!
//! The broker ends the subscription only if this process falls behind. The bus then subscribes
//! again, and fetches the missed messages from the broker's replay buffer (`pubsub-replay`), if
//! there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::{Broker, Disconnect, Message, ReplayPosition, Subscriber};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, yield_now};
use tracing::{Instrument, info, warn};

use super::error::{NOT_RESTORED, SHUT_DOWN, SendError};
use super::sink::Sink;
use crate::dialect::Signalr2;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct EmbeddedBus {
    broker: Broker,
    channel: String,
    state: watch::Sender<State>,
    reconnect: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Size of the messages sent since a send last let the subscription run.
    sent_bytes: AtomicUsize,
}

/// Size of messages after which a send lets the subscription run.
const YIELD_BYTES: usize = 64 * 1024;

impl EmbeddedBus {
    pub(crate) fn new(broker: &Broker, channel: &str) -> Self {
        Self {
            broker: broker.clone(),
            channel: channel.to_owned(),
            state: watch::Sender::new(State::Connecting),
            reconnect: Arc::default(),
            task: Mutex::default(),
            sent_bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn start<S: Sink>(&self, sink: Arc<S>) {
        // Subscribed before this returns, so no later message is missed.
        let mut subscription = Subscription::new(&self.broker, &self.channel);
        self.state.send_replace(State::Connected);
        sink.metrics().connected.set(1);
        sink.metrics().connected_by(SUBSCRIPTION);
        info!(connection = SUBSCRIPTION, attempt = 1, "backplane connected");
        let (state, reconnect) = (self.state.clone(), self.reconnect.clone());
        let receiving = async move {
            loop {
                let disconnect = tokio::select! {
                    disconnect = subscription.receive(&*sink) => disconnect,
                    () = reconnect.notified() => Disconnect::SlowSubscriber,
                };
                state.send_replace(State::Disconnected { reason: disconnect.to_string() });
                sink.metrics().connected.set(0);
                if disconnect != Disconnect::SlowSubscriber {
                    return;
                }
                warn!(connection = SUBSCRIPTION, reason = %disconnect, "backplane disconnected");
                sink.metrics().connected_by(SUBSCRIPTION);
                subscription.renew(&*sink).await;
                state.send_replace(State::Connected);
                sink.metrics().connected.set(1);
                info!(connection = SUBSCRIPTION, attempt = 1, "backplane connected");
            }
        };
        *self.task.lock() = Some(tokio::spawn(receiving.in_current_span()));
    }

    pub(crate) async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.state.send_replace(State::Disconnected { reason: SHUT_DOWN.to_owned() });
    }

    /// Sends a body, and returns its id.
    ///
    /// From time to time it lets the subscription run. Otherwise a task that never waits for
    /// anything else could send more than the subscription holds.
    pub(crate) async fn send(&self, body: &Bytes) -> Result<u64, SendError> {
        if self.task.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        }
        let after = Signalr2::behind_id(body);
        let sent = self.broker.publish_numbered(&self.channel, "", after);
        if self.sent_bytes.fetch_add(body.len(), Ordering::Relaxed) >= YIELD_BYTES {
            self.sent_bytes.store(0, Ordering::Relaxed);
            yield_now().await;
        }
        sent.map_err(|error| SendError::Failed { reason: error.to_string() })
    }

    pub(crate) fn force_reconnect(&self) {
        self.reconnect.notify_one();
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// Waits for the next message. Cancel safe.
async fn next(subscriber: &mut Subscriber, sink: &impl Sink) -> Result<Message, Disconnect> {
    match subscriber.try_recv() {
        Some(message) => Ok(message),
        None => {
            sink.release();
            subscriber.recv().await
        }
    }
}

/// A subscriber, and its position in the broker's replay buffer, if there is one.
#[derive(Debug)]
struct Subscription {
    broker: Broker,
    channel: String,
    subscriber: Subscriber,
    reached: Option<ReplayPosition>,
}

/// The role of the subscription in log events and metrics.
const SUBSCRIPTION: &str = "subscription";
/// Maximum messages replayed at once: no more than a connection has capacity for after the wait.
const MISSED_AT_ONCE: usize = 500;

impl Subscription {
    fn new(broker: &Broker, channel: &str) -> Self {
        // Read first, so the position is not after the first message.
        let reached = broker.replay_end(channel);
        let subscriber = broker.subscribe(channel);
        Self { broker: broker.clone(), channel: channel.to_owned(), subscriber, reached }
    }

    /// Subscribes again, and replays the missed messages.
    async fn renew(&mut self, sink: &impl Sink) {
        let reached = self.reached;
        *self = Self::new(&self.broker, &self.channel);
        sink.resubscribed();
        self.reached = reached.or(self.reached);
        let fetched = sink.metrics().recovered.get();
        // Read after the subscription began, which has all later messages.
        let end = self.broker.replay_end(&self.channel);
        while let Some(reached) = self.reached.filter(|reached| Some(*reached) != end) {
            sink.wait_for_capacity().await;
            let missed = self.broker.replay_after(&self.channel, reached, MISSED_AT_ONCE);
            let Some(missed) = missed.filter(|missed| !missed.is_empty()) else { break };
            for (reached, payload) in missed {
                sink.recover(&payload);
                self.reached = Some(reached);
                if self.reached == end {
                    break;
                }
            }
        }
        sink.log_recovered(fetched);
    }

    /// Receives until the broker ends the subscription, and returns the reason. Cancel safe.
    async fn receive(&mut self, sink: &impl Sink) -> Disconnect {
        loop {
            tokio::select! {
                message = next(&mut self.subscriber, sink) => match message {
                    // A duplicate was counted when it was replayed.
                    Ok(message) => if sink.receive(message.payload()) {
                        self.reached = self.reached.map(ReplayPosition::next);
                    },
                    Err(disconnect) => return disconnect,
                },
                () = sink.counter_reset() => self.raise(sink),
            }
            sink.wait_for_readers().await;
            // A subscriber that always has a message would starve the other tasks of this process.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Restores the counter to the last id after a reset.
    fn raise(&self, sink: &impl Sink) {
        let last = sink.last_id().unwrap_or_default();
        if let Err(error) = self.broker.raise_number(&self.channel, last) {
            warn!(reason = %error, last_id = last, "{NOT_RESTORED}");
        }
    }
}
