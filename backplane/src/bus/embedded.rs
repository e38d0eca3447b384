//! A bus on a broker in this process.
//!
//! The broker ends the subscription only if this process falls behind. The bus then subscribes
//! again, and fetches the missed messages from the broker's replay buffer (`pubsub-replay`), if
//! there is one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::{Broker, Disconnect, Message, ReplayPosition, Subscriber};
use bytes::Bytes;
use futures_util::FutureExt;
use locks::Mutex;
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
        sink.resubscribed();
        self.state.send_replace(State::Connected);
        sink.metrics().connected.set(1);
        sink.metrics().connected_by(SUBSCRIPTION);
        info!(connection = SUBSCRIPTION, attempt = 1, "backplane connected");
        let (state, reconnect) = (self.state.clone(), self.reconnect.clone());
        let receiving = async move {
            loop {
                let receiving = AssertUnwindSafe(subscription.receive(&*sink)).catch_unwind();
                let (reason, is_over) = tokio::select! {
                    ended = receiving => match ended {
                        Ok(end) => (end.to_string(), end != Disconnect::SlowSubscriber),
                        Err(_) => (PANICKED.to_owned(), false),
                    },
                    () = reconnect.notified() => (Disconnect::SlowSubscriber.to_string(), false),
                };
                sink.unsubscribed();
                state.send_replace(State::Disconnected { reason: reason.clone() });
                sink.metrics().connected.set(0);
                if is_over {
                    return;
                }
                warn!(connection = SUBSCRIPTION, reason, "backplane disconnected");
                sink.metrics().connected_by(SUBSCRIPTION);
                // A renewal goes on behind the message that made it panic.
                while AssertUnwindSafe(subscription.renew(&*sink)).catch_unwind().await.is_err() {
                    warn!(connection = SUBSCRIPTION, reason = PANICKED, "{NOT_REPLAYED}");
                }
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

const PANICKED: &str = "a task of the backplane has panicked";
const NOT_REPLAYED: &str = "could not replay a message";

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
                // Before the delivery, so that a message is not replayed again after a panic.
                self.reached = Some(reached);
                sink.recover(&payload);
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
                    Ok(message) => {
                        // Before the delivery, so that a message is not replayed after a panic.
                        let before = self.reached;
                        self.reached = self.reached.map(ReplayPosition::next);
                        if !sink.receive(message.payload()) {
                            // A duplicate was counted when it was replayed.
                            self.reached = before;
                        }
                    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use broker::{Config, Port, ReplayRule, Server};
    use tokio::sync::mpsc;

    use super::*;
    use crate::bus::sink::Ids;
    use crate::metrics::Metrics;

    struct Panicking {
        received: mpsc::UnboundedSender<String>,
        metrics: Metrics,
    }

    impl Panicking {
        fn take(&self, payload: &[u8]) {
            let text = String::from_utf8_lossy(payload).into_owned();
            self.received.send(text.clone()).unwrap();
            assert!(!text.ends_with("bad"), "the test lets it panic");
        }
    }

    impl Ids for Panicking {
        fn missed_after_reset(&self, _to: u64) {}

        async fn counter_reset(&self) {
            std::future::pending().await
        }

        fn last_id(&self) -> Option<u64> {
            None
        }

        fn metrics(&self) -> &Metrics {
            &self.metrics
        }
    }

    impl Sink for Panicking {
        fn receive(&self, payload: &[u8]) -> bool {
            self.take(payload);
            true
        }

        fn release(&self) {}

        async fn wait_for_readers(&self) {}

        fn recover(&self, payload: &[u8]) {
            self.take(payload);
        }

        fn misses_before(&self, _payload: &[u8]) -> bool {
            false
        }

        async fn wait_for_capacity(&self) {}

        fn resubscribed(&self) {}

        fn unsubscribed(&self) {}

        fn run_began(&self, _issued: u64) {}
    }

    #[tokio::test]
    async fn messages_go_on_after_a_panic() {
        for has_replay in [false, true] {
            let broker = Broker::new();
            let rule = ReplayRule {
                pattern: "c".into(),
                messages_max: 100,
                bytes_max: 1024 * 1024,
                age_max: Duration::from_secs(60),
            };
            let pubsub_replay = if has_replay { vec![rule] } else { Vec::new() };
            let config = Config { port: Port::Any, pubsub_replay, ..Config::default() };
            let _server = Server::bind(broker.clone(), &config).await.unwrap();
            let bus = EmbeddedBus::new(&broker, "c");
            let (received, mut messages) = mpsc::unbounded_channel();
            bus.start(Arc::new(Panicking { received, metrics: Metrics::default() }));
            let mut state = bus.state_changes();
            for text in ["one", "bad", "bad", "two"] {
                bus.send(&Bytes::from(text)).await.unwrap();
                let id = messages.recv().await.unwrap();
                assert!(id.ends_with(text), "{id}");
                state.wait_for(|state| *state == State::Connected).await.unwrap();
            }
            bus.stop().await;
        }
    }
}
