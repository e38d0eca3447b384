//! The connection with all subscriptions of this server.
//!
//! A new connection subscribes to all wanted channels, and reports itself as complete when the
//! server has confirmed them. Later changes follow in batches. Messages are delivered from the
//! first confirmation on. A lost subscription causes no error, so the health probe must make the
//! round trip, and a `PING` at every interval must have a reply.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use resp::request;
use resp::value::Value;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::super::backoff::Backoff;
use super::super::connector::Connector;
use super::super::failure::Failure;
use super::super::resp_connection::RespConnection;
use super::super::status::{ConnectionRole, Status};
use super::super::timeouts::{Timeouts, bounded};
use super::REFUSED_PAUSE;
use crate::bus::channels::ChannelSink;
use crate::interest::{Change, Interest};

#[derive(Debug)]
pub(super) struct ChannelSubscription {
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Timeouts,
    pub(super) status: Arc<Status>,
    /// Notified when a health probe timed out.
    pub(super) reconnect: Arc<Notify>,
    pub(super) interest: Arc<Interest>,
    /// Whether all channels were confirmed once. Later connections may miss messages.
    pub(super) has_been_complete: AtomicBool,
}

/// The subscriptions of one connection.
struct Progress {
    /// Changes that are not written yet.
    waiting: VecDeque<Change>,
    /// Channels in flight, in the order of their confirmations.
    under_way: VecDeque<(Arc<str>, u64)>,
    is_complete: bool,
}

/// Maximum names in one request.
const BATCH_NAMES: usize = 512;
/// Maximum names without a confirmation. Further changes wait, so that the confirmations of a large
/// app do not fill the server's output buffer.
const UNDER_WAY_MAX: usize = 8 * BATCH_NAMES;

impl ChannelSubscription {
    /// Reconnects until the task ends, and receives while connected.
    pub(super) async fn run(&self, sink: &impl ChannelSink) {
        let mut backoff = Backoff::new(&self.timeouts, ConnectionRole::Subscription);
        loop {
            let failure = match self.connector.open(self.timeouts.attempt).await {
                Ok(connection) => {
                    // A timeout on the previous connection does not concern this one.
                    let _ = self.reconnect.notified().now_or_never();
                    self.receive(connection, sink, &mut backoff).await
                }
                Err(failure) => failure,
            };
            self.interest.end();
            self.status.down(ConnectionRole::Subscription, &failure, sink.metrics());
            backoff.wait().await;
            if self.status.is_patient(&failure) {
                sleep(REFUSED_PAUSE).await;
            }
        }
    }

    /// Receives until the subscription is lost, and returns the reason.
    async fn receive(
        &self,
        mut connection: RespConnection,
        sink: &impl ChannelSink,
        backoff: &mut Backoff,
    ) -> Failure {
        let mut progress = Progress {
            waiting: self.interest.begin().into(),
            under_way: VecDeque::new(),
            is_complete: false,
        };
        let mut ticks = interval(self.timeouts.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (every, within) = (self.timeouts.ping_interval, self.timeouts.attempt);
        let watch = self.connector.another_master(connection.master.clone(), every, within);
        let mut watch = pin!(watch);
        // The time until which the server must send some bytes.
        let mut awaited: Option<Instant> = None;
        loop {
            if let Err(failure) = self.write(&mut connection, &mut progress, &mut awaited).await {
                return failure;
            }
            if !progress.is_complete && progress.under_way.is_empty() {
                progress.is_complete = true;
                let attempt = backoff.connected();
                sink.metrics().connected_by(ConnectionRole::Subscription.name());
                self.status.up(ConnectionRole::Subscription, attempt, sink.metrics());
                if self.has_been_complete.swap(true, Ordering::Relaxed) {
                    sink.resubscribed();
                }
            }
            let late = async {
                match awaited {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Process received data before timeouts.
                biased;
                read = connection.read_some(|| ()) => {
                    awaited = awaited.map(|_| Instant::now() + self.timeouts.answer);
                    let mut next = match read {
                        Ok(value) => value,
                        Err(failure) => return failure,
                    };
                    while let Some(value) = next {
                        if let Err(failure) = self.take(&value, &mut progress, &mut awaited, sink) {
                            return failure;
                        }
                        // A connection that always has data would starve the other tasks.
                        consume_budget().await;
                        next = match connection.take() {
                            Ok(next) => next,
                            Err(failure) => return failure,
                        };
                    }
                }
                changes = self.interest.changes() => progress.waiting.extend(changes),
                _ = ticks.tick(), if awaited.is_none() => {
                    let ping: &[&[u8]] = &[b"PING"];
                    let written = bounded(self.timeouts.answer, connection.write(&[ping])).await;
                    match written {
                        Ok(()) => awaited = Some(Instant::now() + self.timeouts.answer),
                        Err(failure) => return failure,
                    }
                }
                () = late => return Failure::Silent(self.timeouts.answer),
                failure = &mut watch => return failure,
                () = self.reconnect.notified() => {
                    return Failure::Lost("health probe timed out".to_owned());
                }
            }
        }
    }

    /// Writes waiting changes, as far as there is room for their confirmations.
    async fn write(
        &self,
        connection: &mut RespConnection,
        progress: &mut Progress,
        awaited: &mut Option<Instant>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        while !progress.waiting.is_empty() && progress.under_way.len() < UNDER_WAY_MAX {
            progress.put_batch(&mut bytes);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        *awaited = Some(Instant::now() + self.timeouts.answer);
        bounded(self.timeouts.answer, connection.write_bytes(&bytes)).await
    }

    fn take(
        &self,
        value: &Value,
        progress: &mut Progress,
        awaited: &mut Option<Instant>,
        sink: &impl ChannelSink,
    ) -> Result<(), Failure> {
        let items = value.items();
        let bytes = |at: usize| items.get(at).and_then(Value::bytes);
        match (items.first().and_then(Value::text), bytes(1), bytes(2)) {
            (Some("message"), Some(channel), Some(payload)) => sink.receive(channel, payload),
            (Some("subscribe"), Some(channel), _) => {
                let confirmed = progress.under_way.pop_front();
                let confirmed = confirmed.filter(|(name, _)| name.as_bytes() == channel);
                let Some((name, number)) = confirmed else {
                    return Err(Failure::Lost("the server confirmed another channel".to_owned()));
                };
                self.interest.confirm([(&name, number)]);
            }
            // The error for a forbidden `PING` also proves that the server is alive.
            _ => {
                if let Value::Error(text) = value
                    && !progress.under_way.is_empty()
                {
                    return Err(Failure::of_reply(&String::from_utf8_lossy(text)));
                }
            }
        }
        if progress.under_way.is_empty()
            && !matches!(items.first().and_then(Value::text), Some("message"))
        {
            *awaited = None;
        }
        Ok(())
    }
}

impl Progress {
    /// Appends a request for the next changes of one kind.
    fn put_batch(&mut self, bytes: &mut Vec<u8>) {
        let is_subscribe = |change: &Change| matches!(change, Change::Subscribe(..));
        let Some(kind) = self.waiting.front().map(is_subscribe) else { return };
        let batch = self.waiting.iter().take(BATCH_NAMES);
        let names = batch.take_while(|change| is_subscribe(change) == kind).count();
        let changes: Vec<Change> = self.waiting.drain(..names).collect();
        let verb: &[u8] = if kind { b"SUBSCRIBE" } else { b"UNSUBSCRIBE" };
        let mut words = vec![verb];
        words.extend(changes.iter().map(|change| match change {
            Change::Subscribe(channel, _) | Change::Unsubscribe(channel) => channel.as_bytes(),
        }));
        request::encode(bytes, &words);
        self.under_way.extend(changes.into_iter().filter_map(|change| match change {
            Change::Subscribe(channel, number) => Some((channel, number)),
            Change::Unsubscribe(_) => None,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_kind_share_a_request() {
        let subscribe = |name: &str, number| Change::Subscribe(name.into(), number);
        let waiting = [subscribe("a", 1), subscribe("b", 2), Change::Unsubscribe("a".into())];
        let mut progress =
            Progress { waiting: waiting.into(), under_way: VecDeque::new(), is_complete: false };
        let mut bytes = Vec::new();
        progress.put_batch(&mut bytes);
        progress.put_batch(&mut bytes);
        let mut expected = Vec::new();
        request::encode(&mut expected, &["SUBSCRIBE", "a", "b"]);
        request::encode(&mut expected, &["UNSUBSCRIBE", "a"]);
        assert_eq!(bytes, expected);
        assert_eq!(progress.under_way, [("a".into(), 1), ("b".into(), 2)]);
        assert!(progress.waiting.is_empty());
    }
}
