//! Channels for each target on a broker in this process.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use broker::{Broker, Disconnect, Subscriber};
use futures_util::FutureExt;
use locks::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, yield_now};
use tracing::{Instrument, info, warn};

use super::channels::{ChannelSink, Publication};
use super::error::{SHUT_DOWN, SendError};
use super::redis::Purpose;
use crate::interest::{Change, Interest};
use crate::state::State;

#[derive(Debug)]
pub(crate) struct EmbeddedChannels {
    broker: Broker,
    /// The name of the subscription in log events and metrics.
    connection: &'static str,
    state: watch::Sender<State>,
    reconnect: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedChannels {
    pub(super) fn new(broker: &Broker, purpose: Purpose) -> Self {
        let connection = match purpose {
            Purpose::Clients => "subscription",
            Purpose::Servers => "servers",
        };
        Self {
            broker: broker.clone(),
            connection,
            state: watch::Sender::new(State::Connecting),
            reconnect: Arc::default(),
            task: Mutex::default(),
        }
    }

    /// Subscribes at once, so that a connection that is attached next waits for its channels.
    pub(super) fn start<S: ChannelSink>(&self, interest: Arc<Interest>, sink: Arc<S>) {
        let (state, reconnect) = (self.state.clone(), self.reconnect.clone());
        let connection = self.connection;
        let connect = {
            let (broker, state) = (self.broker.clone(), self.state.clone());
            let (interest, sink) = (interest.clone(), sink.clone());
            move || {
                // Any channel without messages: a subscriber begins with one.
                let mut subscriber = broker.subscribe("");
                subscriber.unsubscribe("");
                apply(&mut subscriber, interest.begin(), &interest);
                state.send_replace(State::Connected);
                sink.metrics().connected.set(1);
                sink.metrics().connected_by(connection);
                info!(connection, attempt = 1, "backplane connected");
                subscriber
            }
        };
        let mut subscriber = connect();
        let receiving = async move {
            loop {
                let receiving = receive(&mut subscriber, &interest, &*sink);
                let (reason, is_over) = tokio::select! {
                    ended = AssertUnwindSafe(receiving).catch_unwind() => match ended {
                        Ok(reason) => (reason.to_string(), reason != Disconnect::SlowSubscriber),
                        // The message is lost, as in a gap.
                        Err(_) => ("a task of the backplane has panicked".to_owned(), false),
                    },
                    () = reconnect.notified() => (Disconnect::SlowSubscriber.to_string(), false),
                };
                interest.end();
                state.send_replace(State::Disconnected { reason: reason.clone() });
                sink.metrics().connected.set(0);
                if is_over {
                    return;
                }
                warn!(connection, %reason, "backplane disconnected");
                subscriber = connect();
                sink.resubscribed();
            }
        };
        *self.task.lock() = Some(tokio::spawn(receiving.in_current_span()));
    }

    pub(super) async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.state.send_replace(State::Disconnected { reason: SHUT_DOWN.to_owned() });
    }

    pub(super) fn abort(&self) {
        if let Some(task) = &*self.task.lock() {
            task.abort();
        }
    }

    pub(super) async fn publish(&self, messages: &[Publication]) -> Result<u64, SendError> {
        if self.task.lock().as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        }
        let publish = |Publication { channel, payload }: &Publication| {
            self.broker.publish(channel, payload.clone()) as u64
        };
        let receivers: Vec<_> = messages.iter().map(publish).collect();
        // Otherwise a task that never waits could send more than the subscription holds.
        yield_now().await;
        Ok(receivers.first().copied().unwrap_or_default())
    }

    pub(super) fn force_reconnect(&self) {
        self.reconnect.notify_one();
    }

    pub(super) fn state_changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

/// Receives until the broker ends the subscription, and returns the reason.
async fn receive(
    subscriber: &mut Subscriber,
    interest: &Interest,
    sink: &impl ChannelSink,
) -> Disconnect {
    loop {
        tokio::select! {
            message = subscriber.recv() => match message {
                Ok(message) => sink.receive(message.channel(), message.payload()),
                Err(disconnect) => return disconnect,
            },
            changes = interest.changes() => apply(subscriber, changes, interest),
        }
        // A subscriber that always has a message would starve the other tasks of this process.
        tokio::task::coop::consume_budget().await;
    }
}

fn apply(subscriber: &mut Subscriber, changes: Vec<Change>, interest: &Interest) {
    for change in &changes {
        match change {
            Change::Subscribe(channel, _) => subscriber.subscribe(channel.as_bytes()),
            Change::Unsubscribe(channel) => subscriber.unsubscribe(channel.as_bytes()),
        }
    }
    interest.confirm(changes.iter().filter_map(|change| match change {
        Change::Subscribe(channel, number) => Some((channel, *number)),
        Change::Unsubscribe(_) => None,
    }));
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::metrics::Metrics;

    struct Sink {
        received: mpsc::UnboundedSender<Vec<u8>>,
        metrics: Metrics,
    }

    impl ChannelSink for Sink {
        fn receive(&self, _channel: &[u8], payload: &[u8]) {
            assert_ne!(payload, b"bad", "the test lets it panic");
            self.received.send(payload.to_vec()).unwrap();
        }

        fn resubscribed(&self) {
            self.received.send(b"resubscribed".to_vec()).unwrap();
        }

        fn metrics(&self) -> &Metrics {
            &self.metrics
        }
    }

    #[tokio::test]
    async fn messages_go_on_after_a_panic() {
        let broker = Broker::new();
        let bus = EmbeddedChannels::new(&broker, Purpose::Servers);
        let interest = Arc::new(Interest::default());
        interest.want(&"c".into());
        let (received, mut messages) = mpsc::unbounded_channel();
        bus.start(interest, Arc::new(Sink { received, metrics: Metrics::default() }));
        broker.publish("c", "bad");
        assert_eq!(messages.recv().await.unwrap(), b"resubscribed");
        broker.publish("c", "good");
        assert_eq!(messages.recv().await.unwrap(), b"good");
        bus.stop().await;
    }
}
