//! A broker in this process.

use broker::{Broker, Disconnect};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::backplane::Receiver;
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
        let task = tokio::spawn(async move {
            loop {
                match subscriber.recv().await {
                    Ok(message) => receiver.receive(message.payload()),
                    Err(Disconnect::SlowSubscriber) => {
                        warn!("the backplane fell behind its broker, invocations were lost");
                        subscriber = broker.subscribe(&channel);
                    }
                    Err(_) => return,
                }
            }
        });
        *self.task.lock() = Some(task);
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    pub(crate) fn publish(&self, payload: Bytes) {
        self.broker.publish(&self.channel, payload);
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        self.stop();
    }
}
