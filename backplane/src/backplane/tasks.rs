//! The tasks of a backplane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::bus::{Bus, SendError};
use crate::channels::{Channels, Reply};
use crate::receiver::Receiver;
use crate::state::State;

/// Sends the receiver's own messages concurrently: another server waits for most of them.
pub(super) async fn send_outgoing(bus: Arc<Bus>, mut outgoing: mpsc::UnboundedReceiver<Bytes>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(body) = outgoing.recv() => under_way.push(bus.send(body)),
            Some(sent) = under_way.next() => if let Err(error) = sent {
                debug!(%error, "could not notify the other servers");
            },
            else => return,
        }
    }
}

/// Probes a stream of messages with ids.
pub(super) async fn probe(bus: Arc<Bus>, receiver: Arc<Receiver>, every: Duration) {
    let send = |number| {
        let body = receiver.dialect.probe(&receiver.source, number);
        let (bus, receiver) = (&bus, &receiver);
        async move {
            let id = bus.send(body).await?;
            receiver.connections.await_from(id);
            Ok(())
        }
    };
    probe_with(&receiver, bus.state_changes(), every, send, || bus.force_reconnect()).await;
}

/// Probes the channels of a dialect without ids.
pub(super) async fn probe_channels(channels: Arc<Channels>, every: Duration) {
    let (state, bus) = (channels.bus.state_changes(), &channels.bus);
    let send = |number| channels.probe(number);
    probe_with(&channels.receiver, state, every, send, || bus.force_reconnect()).await;
}

/// Sends a probe at every interval and after every connect. Forces a reconnect of the subscription
/// if a probe does not return.
async fn probe_with<S: Future<Output = Result<(), SendError>>>(
    receiver: &Receiver,
    mut state: watch::Receiver<State>,
    every: Duration,
    send: impl Fn(u64) -> S,
    force_reconnect: impl Fn(),
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut received = 0;
    loop {
        if state.wait_for(|state| *state == State::Connected).await.is_err() {
            return;
        }
        state.mark_unchanged();
        // A subscription that receives messages is only behind; a reconnect would lose messages in
        // flight.
        let received_before = std::mem::replace(&mut received, receiver.metrics.received.get());
        if receiver.health_probe.is_overdue() && received == received_before {
            warn!(silence = ?receiver.health_probe.silence(), "health probe timed out");
            force_reconnect();
        }
        let number = receiver.health_probe.begin();
        if let Ok(Ok(())) = timeout(every, send(number)).await {
            receiver.health_probe.taken(number);
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = state.changed() => ticks.reset(),
        }
    }
}

/// Sends replies to other servers concurrently: one may wait for the confirmation of its channel.
pub(super) async fn send_replies(
    channels: Arc<Channels>,
    mut replies: mpsc::UnboundedReceiver<Reply>,
) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(reply) = replies.recv() => under_way.push(channels.reply(reply)),
            Some(()) = under_way.next() => {}
            else => return,
        }
    }
}
