//! A broker in this process.

use std::sync::Arc;

use broker::{Broker, Disconnect, Subscriber};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::{SHUT_DOWN, SendError};
use crate::dialect::Signalr2;
use crate::receiver::Receiver;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct EmbeddedBus {
    broker: Broker,
    channel: String,
    state: watch::Sender<State>,
    suspicion: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedBus {
    pub(crate) fn new(broker: &Broker, channel: &str) -> Self {
        Self {
            broker: broker.clone(),
            channel: channel.to_owned(),
            state: watch::Sender::new(State::Connecting),
            suspicion: Arc::default(),
            task: Mutex::default(),
        }
    }

    pub(crate) fn start(&self, receiver: Arc<Receiver>) {
        let (broker, channel) = (self.broker.clone(), self.channel.clone());
        // Subscribed before this returns, so that nothing sent after it is missed.
        let mut subscriber = broker.subscribe(&channel);
        self.state.send_replace(State::Connected);
        receiver.metrics.connected.set(1);
        receiver.metrics.connected_by("subscription");
        let (state, suspicion) = (self.state.clone(), self.suspicion.clone());
        let task = tokio::spawn(async move {
            loop {
                let disconnect = tokio::select! {
                    disconnect = receive(&mut subscriber, &receiver) => disconnect,
                    () = suspicion.notified() => Disconnect::SlowSubscriber,
                };
                state.send_replace(State::Disconnected { reason: disconnect.to_string() });
                receiver.metrics.connected.set(0);
                if disconnect != Disconnect::SlowSubscriber {
                    return;
                }
                warn!(reason = %disconnect, "backplane disconnected");
                receiver.metrics.connected_by("subscription");
                subscriber = broker.subscribe(&channel);
                receiver.connections.resubscribed();
                state.send_replace(State::Connected);
                receiver.metrics.connected.set(1);
            }
        });
        *self.task.lock() = Some(task);
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

    pub(crate) fn suspect(&self) {
        self.suspicion.notify_one();
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

/// Receives until the broker ends it, and returns why.
async fn receive(subscriber: &mut Subscriber, receiver: &Receiver) -> Disconnect {
    loop {
        match subscriber.recv().await {
            Ok(message) => _ = receiver.receive(message.payload()),
            Err(disconnect) => return disconnect,
        }
        // A subscriber that always has something would starve the other tasks of this process.
        tokio::task::coop::consume_budget().await;
    }
}
