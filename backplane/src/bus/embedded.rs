//! A broker in this process.

use broker::{Broker, Disconnect, Subscriber};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::{SHUT_DOWN, SendError};
use crate::receiver::Receiver;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct EmbeddedBus {
    broker: Broker,
    channel: String,
    state: watch::Sender<State>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedBus {
    pub(crate) fn new(broker: &Broker, channel: &str) -> Self {
        Self {
            broker: broker.clone(),
            channel: channel.to_owned(),
            state: watch::Sender::new(State::Connecting),
            task: Mutex::default(),
        }
    }

    pub(crate) fn start(&self, receiver: Receiver) {
        let (broker, channel) = (self.broker.clone(), self.channel.clone());
        // Subscribed before this returns, so that nothing sent after it is missed.
        let mut subscriber = broker.subscribe(&channel);
        self.state.send_replace(State::Connected);
        let state = self.state.clone();
        let task = tokio::spawn(async move {
            loop {
                let disconnect = receive(&mut subscriber, &receiver).await;
                state.send_replace(State::Disconnected { reason: disconnect.to_string() });
                if disconnect != Disconnect::SlowSubscriber {
                    return;
                }
                warn!(reason = %disconnect, "backplane disconnected, invocations were lost");
                subscriber = broker.subscribe(&channel);
                state.send_replace(State::Connected);
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

    pub(crate) fn publish(&self, payload: Bytes) -> Result<(), SendError> {
        if self.task.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        }
        self.broker.publish(&self.channel, payload);
        Ok(())
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
            Ok(message) => receiver.receive(message.payload()),
            Err(disconnect) => return disconnect,
        }
        // A subscriber that always has something would starve the other tasks of this process.
        tokio::task::coop::consume_budget().await;
    }
}
