//! A broker in this process.
//!
//! Its subscription ends only when this process does not keep up. It is made anew then, and what was
//! missed is taken from the broker's memory, if it has one of this channel (`pubsub-replay`).

use std::sync::Arc;

use broker::{Broker, Disconnect, ReplayPosition, Subscriber};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
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
}

impl EmbeddedBus {
    pub(crate) fn new(broker: &Broker, channel: &str) -> Self {
        Self {
            broker: broker.clone(),
            channel: channel.to_owned(),
            state: watch::Sender::new(State::Connecting),
            reconnect: Arc::default(),
            task: Mutex::default(),
        }
    }

    pub(crate) fn start<S: Sink>(&self, sink: Arc<S>) {
        // Subscribed before this returns, so that nothing sent after it is missed.
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

    pub(crate) fn send(&self, body: &Bytes) -> Result<u64, SendError> {
        if self.task.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        }
        let sent = self.broker.publish_numbered(&self.channel, |id| Signalr2::payload(id, body));
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

/// A subscriber, and how far it has come in what the broker remembers, if it does.
#[derive(Debug)]
struct Subscription {
    broker: Broker,
    channel: String,
    subscriber: Subscriber,
    reached: Option<ReplayPosition>,
}

/// What it is called beside the connections to a server.
const SUBSCRIPTION: &str = "subscription";
/// How many messages are taken from the memory at once: no more than the room that is waited for.
const MISSED_AT_ONCE: usize = 500;

impl Subscription {
    fn new(broker: &Broker, channel: &str) -> Self {
        // Asked before, so that it is no later than what is received first.
        let reached = broker.replay_end(channel);
        let subscriber = broker.subscribe(channel);
        Self { broker: broker.clone(), channel: channel.to_owned(), subscriber, reached }
    }

    /// Subscribes again, and takes what was missed.
    async fn renew(&mut self, sink: &impl Sink) {
        let reached = self.reached;
        *self = Self::new(&self.broker, &self.channel);
        sink.resubscribed();
        self.reached = reached.or(self.reached);
        let fetched = sink.metrics().recovered.get();
        while let Some(reached) = self.reached {
            sink.wait_for_capacity().await;
            let missed = self.broker.replay_after(&self.channel, reached, MISSED_AT_ONCE);
            let Some(missed) = missed.filter(|missed| !missed.is_empty()) else { break };
            for (reached, payload) in missed {
                sink.recover(&payload);
                self.reached = Some(reached);
            }
        }
        sink.log_recovered(fetched);
    }

    /// Receives until the broker ends it, and returns why. Cancel safe.
    async fn receive(&mut self, sink: &impl Sink) -> Disconnect {
        loop {
            tokio::select! {
                message = self.subscriber.recv() => match message {
                    // What came by replay as well was counted there.
                    Ok(message) => if sink.receive(message.payload()) {
                        self.reached = self.reached.map(ReplayPosition::next);
                    },
                    Err(disconnect) => return disconnect,
                },
                () = sink.counter_reset() => self.raise(sink),
            }
            // A subscriber that always has something would starve the other tasks of this process.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// The counter went back, and is lifted to the last known id.
    fn raise(&self, sink: &impl Sink) {
        let last = sink.last_id().unwrap_or_default();
        if let Err(error) = self.broker.raise_number(&self.channel, last) {
            warn!(reason = %error, last_id = last, "{NOT_RESTORED}");
        }
    }
}
