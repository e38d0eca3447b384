//! The connection that carries only the subscription.
//!
//! A lost subscription causes no error, and client libraries do lose subscriptions. So this
//! supervisor waits for the confirmation before it reports a connection. It also repeats the
//! `SUBSCRIBE` with a `PING` at every interval. Repeating it has no effect on a subscribed
//! connection, and repairs a lost subscription.
//!
//! An app has one channel, so there is only one subscription.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use futures_util::FutureExt;
use locks::Mutex;
use resp::value::Value;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::warn;

use super::backoff::Backoff;
use super::connector::Connector;
use super::failure::Failure;
use super::gate::Gate;
use super::replay::{ReplayPosition, is_next, offset, replay};
use super::resp_connection::RespConnection;
use super::run_id::RunId;
use super::status::{ConnectionRole, Status};
use super::timeouts::{Timeouts, bounded};
use crate::bus::sink::Sink;

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Timeouts,
    pub(super) status: Arc<Status>,
    pub(super) gate: Arc<Gate>,
    /// Notified when a health probe timed out.
    pub(super) reconnect: Arc<Notify>,
    /// The position in the broker's replay buffer, if there is one.
    pub(super) replay_position: Mutex<Option<ReplayPosition>>,
    /// The process of the last subscription.
    pub(super) server: Mutex<Option<RunId>>,
    /// The last id that the broker has given to a message of this server.
    pub(super) last_id: Arc<AtomicU64>,
    /// Failed replays in a row, without progress between them.
    pub(super) failed_replays: AtomicU32,
}

/// A message or reply of the server.
enum Incoming<'a> {
    Message(&'a [u8]),
    Confirmed,
    Unsubscribed,
    Alive,
    Refused(Failure),
}

impl Subscription {
    /// Reconnects until the task ends, and receives while connected.
    pub(super) async fn run(&self, sink: &impl Sink) {
        let mut backoff = Backoff::new(&self.timeouts, ConnectionRole::Subscription);
        loop {
            let failure = match self.open(sink).await {
                Ok(connection) => {
                    let attempt = backoff.connected();
                    sink.metrics().connected_by(ConnectionRole::Subscription.name());
                    self.status.up(ConnectionRole::Subscription, attempt, sink.metrics());
                    self.receive(connection, sink).await
                }
                Err(failure) => failure,
            };
            self.connector.on_redirect(&failure);
            sink.unsubscribed();
            self.gate.unsubscribed(failure.since(Instant::now()));
            self.status.down(ConnectionRole::Subscription, &failure, sink.metrics());
            backoff.wait().await;
        }
    }

    /// Connects and subscribes. Returns after the subscription is confirmed and missed messages are
    /// replayed.
    async fn open(&self, sink: &impl Sink) -> Result<RespConnection, Failure> {
        let mut connection = self.connector.open(self.timeouts.attempt).await?;
        // A timeout on the previous connection does not concern this one.
        let _ = self.reconnect.notified().now_or_never();
        let mut run_id = None;
        let now = bounded(self.timeouts.attempt, async {
            if offset(&mut connection, self.connector.channel()).await?.is_some() {
                run_id = Some(RunId::ask(&mut connection).await);
                return self.subscribe_at_offset(&mut connection).await;
            }
            connection.write(&[&self.subscribe()]).await?;
            loop {
                match self.incoming(&connection.read().await?) {
                    Incoming::Confirmed => return Ok(None),
                    Incoming::Refused(failure) => return Err(failure),
                    Incoming::Message(_) | Incoming::Unsubscribed | Incoming::Alive => {}
                }
            }
        })
        .await?;
        sink.resubscribed();
        self.gate.confirmed();
        let is_new_run = {
            let before = self.server.lock();
            before.as_ref().zip(run_id.as_ref()).is_some_and(|(before, now)| before.differs(now))
        };
        self.recover(&mut connection, now, is_new_run, sink).await?;
        *self.server.lock() = run_id;
        Ok(connection)
    }

    /// Subscribes, and returns the position at which the subscription begins.
    async fn subscribe_at_offset(
        &self,
        connection: &mut RespConnection,
    ) -> Result<Option<ReplayPosition>, Failure> {
        let channel = self.connector.channel().as_bytes();
        let offset: [&[u8]; 3] = [b"PUBSUB", b"OFFSET", channel];
        connection.write(&[&[b"MULTI"], &offset, &self.subscribe(), &[b"EXEC"]]).await?;
        loop {
            let reply = connection.read().await?;
            match (self.incoming(&reply), reply.items()) {
                (Incoming::Refused(failure), _) => return Err(failure),
                (_, [offset, confirmed]) => match self.incoming(confirmed) {
                    Incoming::Confirmed => return Ok(ReplayPosition::of(offset)),
                    Incoming::Refused(failure) => return Err(failure),
                    _ => return Err(Failure::Lost(NOT_CONFIRMED.to_owned())),
                },
                _ => {}
            }
        }
    }

    /// Replays missed messages. After several failures it continues without them, and the next
    /// message reveals the gap.
    async fn recover(
        &self,
        connection: &mut RespConnection,
        now: Option<ReplayPosition>,
        is_new_run: bool,
        sink: &impl Sink,
    ) -> Result<(), Failure> {
        let before = self.replay_position.lock().clone();
        if let Some(now) = now.as_ref().filter(|_| before.is_some()) {
            let fetched = sink.metrics().recovered.get();
            let (reached, within) = (&self.replay_position, self.timeouts.attempt);
            let run_begins = || {
                if is_new_run {
                    sink.run_began(self.last_id.load(Ordering::Relaxed));
                }
            };
            let outcome = tokio::select! {
                outcome = replay(&self.connector, reached, now, run_begins, within, sink) => outcome,
                // The broker closes a subscription that does not read.
                failure = connection.read_ahead(AHEAD_BYTES_MAX) => Err(failure),
            };
            sink.log_recovered(fetched);
            let Err(failure) = outcome else {
                self.failed_replays.store(0, Ordering::Relaxed);
                return Ok(());
            };
            // Attempts with progress do not count, since they will finish.
            let has_progress = *self.replay_position.lock() != before;
            let failed = if has_progress { 0 } else { self.failed_replays.load(Ordering::Relaxed) };
            self.failed_replays.store(failed + 1, Ordering::Relaxed);
            if failed + 1 < REPLAYS_MAX {
                return Err(failure);
            }
            warn!(%failure, "{NOT_REPLAYED}");
        }
        self.failed_replays.store(0, Ordering::Relaxed);
        *self.replay_position.lock() = now;
        Ok(())
    }

    /// Receives until the subscription is lost, and returns the reason.
    async fn receive(&self, mut connection: RespConnection, sink: &impl Sink) -> Failure {
        let mut ticks = interval(self.timeouts.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (every, within) = (self.timeouts.ping_interval, self.timeouts.attempt);
        let watch = self.connector.another_master(connection.master.clone(), every, within);
        let mut watch = pin!(watch);
        // The deadline for the reply to the last `PING`.
        let mut awaited: Option<Instant> = None;
        let failure = loop {
            let late = async {
                match awaited {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Process received data before timeouts.
                biased;
                read = connection.read_some(|| sink.release()) => {
                    let value = match read {
                        Ok(value) => value,
                        Err(failure) => break failure,
                    };
                    // The reply comes after all messages in transit, so received data extends the
                    // deadline.
                    awaited = awaited.map(|_| Instant::now() + self.timeouts.answer);
                    let Some(value) = value else { continue };
                    match self.incoming(&value) {
                        Incoming::Message(payload) => {
                            if self.is_behind(payload, sink).await {
                                break Failure::Lost(BEHIND.to_owned());
                            }
                            self.take(payload, sink);
                        }
                        Incoming::Confirmed => {}
                        Incoming::Alive => awaited = None,
                        Incoming::Unsubscribed => break Failure::Lost(UNSUBSCRIBED.to_owned()),
                        Incoming::Refused(failure) if failure.ends_subscription() => break failure,
                        // A busy server, or a missing permission: the subscription goes on, and
                        // the reply proves that the server is alive.
                        Incoming::Refused(_) => awaited = None,
                    }
                }
                _ = ticks.tick(), if awaited.is_none() => {
                    let requests: [&[&[u8]]; 2] = [&self.subscribe(), &[b"PING"]];
                    let written = bounded(self.timeouts.answer, connection.write(&requests)).await;
                    match written {
                        Ok(()) => awaited = Some(Instant::now() + self.timeouts.answer),
                        Err(failure) => break failure,
                    }
                }
                () = late => break Failure::Silent(self.timeouts.answer),
                () = self.reconnect.notified() => break Failure::Lost(PROBE_TIMED_OUT.to_owned()),
                failure = &mut watch => break failure,
            }
            sink.wait_for_readers().await;
            // A connection that always has data would starve the other tasks of this process.
            consume_budget().await;
        };
        // Deliver the messages that arrived before the failure. If the broker has a replay buffer, stop
        // at the first gap: the next connection replays the rest.
        while let Ok(Some(value)) = connection.take() {
            if let Incoming::Message(payload) = self.incoming(&value) {
                if self.can_replay_before(payload, sink) {
                    break;
                }
                self.take(payload, sink);
            }
        }
        sink.release();
        failure
    }

    /// Returns whether messages before this one are missing, and the broker has them. A server may
    /// lose and regain a subscription, by the repeated `SUBSCRIBE`, without any other visible
    /// event. The next connection replays them, and this one.
    async fn is_behind(&self, payload: &[u8], sink: &impl Sink) -> bool {
        let position = self.replay_position.lock().clone();
        let Some(position) = position.filter(|_| sink.misses_before(payload)) else { return false };
        // The connections do not wait for the reply of the broker.
        sink.release();
        match is_next(&self.connector, &position, payload, self.timeouts.attempt).await {
            Ok(is_next) => !is_next,
            Err(failure) => {
                warn!(%failure, "{NOT_REPLAYED}");
                false
            }
        }
    }

    /// Returns whether messages before this one are missing and the broker may have them.
    fn can_replay_before(&self, payload: &[u8], sink: &impl Sink) -> bool {
        self.replay_position.lock().is_some() && sink.misses_before(payload)
    }

    fn take(&self, payload: &[u8], sink: &impl Sink) {
        sink.receive(payload);
        if let Some(replay_position) = &mut *self.replay_position.lock() {
            replay_position.offset += 1;
        }
    }

    fn subscribe(&self) -> [&[u8]; 2] {
        let command = if self.connector.is_sharded() { "SSUBSCRIBE" } else { "SUBSCRIBE" };
        [command.as_bytes(), self.connector.channel().as_bytes()]
    }

    fn incoming<'a>(&self, value: &'a Value) -> Incoming<'a> {
        if let Value::Error(text) = value {
            return Incoming::Refused(Failure::of_reply(&String::from_utf8_lossy(text)));
        }
        let items = value.items();
        let is_ours = items
            .get(1)
            .and_then(Value::bytes)
            .is_some_and(|channel| channel == self.connector.channel().as_bytes());
        match items.first().and_then(Value::text) {
            Some("message" | "smessage") if is_ours => match items.get(2).and_then(Value::bytes) {
                Some(payload) => Incoming::Message(payload),
                None => Incoming::Alive,
            },
            Some("subscribe" | "ssubscribe") if is_ours => Incoming::Confirmed,
            Some("unsubscribe" | "sunsubscribe") if is_ours => Incoming::Unsubscribed,
            // The reply to a `PING`.
            _ => Incoming::Alive,
        }
    }
}

/// Maximum replays in a row without progress.
const REPLAYS_MAX: u32 = 3;
/// Bytes of the subscription that are kept during a replay.
const AHEAD_BYTES_MAX: usize = 64 * 1024 * 1024;
const NOT_CONFIRMED: &str = "the server did not confirm the subscription";
const BEHIND: &str = "the subscription misses messages";
const NOT_REPLAYED: &str = "could not replay missed messages";
const UNSUBSCRIBED: &str = "the server ended the subscription";
const PROBE_TIMED_OUT: &str = "health probe timed out";
