//! The tasks of a backplane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::bus::Bus;
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

/// Sends a probe at every interval and after every connect. Forces a reconnect of the subscription
/// if a probe does not return.
pub(super) async fn probe(bus: Arc<Bus>, receiver: Arc<Receiver>, every: Duration) {
    let mut state = bus.state_changes();
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
            bus.force_reconnect();
        }
        let number = receiver.health_probe.begin();
        let body = receiver.dialect.probe(&receiver.source, number);
        if let Ok(Ok(id)) = timeout(every, bus.send(body)).await {
            receiver.connections.await_from(id);
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

/// As [`probe`], in a dialect without ids.
pub(super) async fn probe_channels(channels: Arc<Channels>, every: Duration) {
    let receiver = &channels.receiver;
    let mut state = channels.bus.state_changes();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut received = 0;
    loop {
        if state.wait_for(|state| *state == State::Connected).await.is_err() {
            return;
        }
        state.mark_unchanged();
        let received_before = std::mem::replace(&mut received, receiver.metrics.received.get());
        if receiver.health_probe.is_overdue() && received == received_before {
            warn!(silence = ?receiver.health_probe.silence(), "health probe timed out");
            channels.bus.force_reconnect();
        }
        let number = receiver.health_probe.begin();
        if let Ok(Ok(())) = timeout(every, channels.probe(number)).await {
            receiver.health_probe.taken(number);
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = state.changed() => ticks.reset(),
        }
    }
}
