//! Channels for each target on a Redis-compatible server.
//!
//! As on a stream, one connection subscribes and the other one publishes. Each has a supervisor.

mod publisher;
mod subscription;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use locks::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use resp::request;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use self::publisher::Publisher;
use self::subscription::ChannelSubscription;
use super::connector::Connector;
use super::failure::Failure;
use super::queue::{Bounds, Queue};
use super::status::{ConnectionRole, Purpose, Status};
use super::timeouts::Timeouts;
use super::{drain, not_queued, supervise, with_options};
use crate::address::Address;
use crate::bus::channels::{ChannelSink, Publication};
use crate::bus::error::{ConnectError, SHUT_DOWN, SendError};
use crate::interest::Interest;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct RedisChannels {
    address: String,
    connector: Arc<Connector>,
    timeouts: Timeouts,
    queue: Arc<Queue>,
    status: Arc<Status>,
    /// Signals the subscription to reconnect.
    reconnect: Arc<Notify>,
    tasks: Mutex<JoinSet<()>>,
}

impl RedisChannels {
    pub(crate) fn new(
        address: Address,
        channel: &str,
        options: &Options,
        purpose: Purpose,
    ) -> Result<Self, ConnectError> {
        let address = with_options(address, options);
        Ok(Self {
            address: address.to_string(),
            connector: Arc::new(Connector::new(address, channel)?),
            timeouts: Timeouts::new(options.answer_timeout),
            queue: Arc::new(Queue::new(options.queue)),
            status: Arc::new(Status::new(purpose)),
            reconnect: Arc::default(),
            tasks: Mutex::default(),
        })
    }

    pub(crate) fn start<S: ChannelSink>(&self, interest: Arc<Interest>, sink: Arc<S>) {
        let subscription = ChannelSubscription {
            connector: self.connector.clone(),
            timeouts: self.timeouts,
            status: self.status.clone(),
            reconnect: self.reconnect.clone(),
            interest: interest.clone(),
            has_been_complete: AtomicBool::new(false),
        };
        self.start_publishing(sink.metrics());
        let mut tasks = self.tasks.lock();
        let status = self.status.clone();
        let subscribing = async move {
            let panicked = || {
                interest.end();
                status.down(ConnectionRole::Subscription, &Failure::panicked(), sink.metrics());
            };
            supervise(|| subscription.run(&*sink), panicked).await;
        };
        tasks.spawn(subscribing.in_current_span());
    }

    /// Starts to publish, without a subscription.
    pub(crate) fn start_without_subscription(&self, metrics: &Metrics) {
        self.status.without_subscription();
        self.start_publishing(metrics);
    }

    fn start_publishing(&self, metrics: &Metrics) {
        let publisher = Publisher {
            connector: self.connector.clone(),
            timeouts: self.timeouts,
            status: self.status.clone(),
            queue: self.queue.clone(),
        };
        let (status, metrics) = (self.status.clone(), metrics.clone());
        let publishing = async move {
            let panicked = || status.down(ConnectionRole::Commands, &Failure::panicked(), &metrics);
            supervise(|| publisher.run(&metrics), panicked).await;
        };
        self.tasks.lock().spawn(publishing.in_current_span());
    }

    /// Refuses further messages, and waits for the outcome of the others, up to a limit.
    pub(crate) async fn drain(&self) {
        drain(&self.queue, &self.status).await;
    }

    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        // Wait for their end, or they could overwrite the final state.
        tasks.shutdown().await;
        self.queue.close(&SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        self.status.ended(SHUT_DOWN);
    }

    pub(crate) fn abort(&self) {
        self.tasks.lock().abort_all();
    }

    /// Publishes messages in their order. Returns the number of subscribers that got the first one.
    pub(crate) async fn publish(&self, messages: &[Publication]) -> Result<u64, SendError> {
        let away = || SendError::Disconnected { reason: self.status.reason() };
        let bounds = match self.status.is_up(ConnectionRole::Commands) {
            true => Bounds::Age,
            false => Bounds::All,
        };
        let mut tickets = Vec::with_capacity(messages.len());
        for Publication { channel, payload } in messages {
            let mut body = Vec::with_capacity(channel.len() + payload.len() + REQUEST_BYTES);
            request::encode(&mut body, &[&b"PUBLISH"[..], channel.as_bytes(), payload]);
            let ticket = self.queue.push(Bytes::from(body), bounds);
            tickets.push(ticket.map_err(|refused| not_queued(refused, &self.status))?);
        }
        let mut first = None;
        for ticket in tickets {
            let receivers = ticket.outcome().await.unwrap_or_else(|| Err(away()))?;
            first.get_or_insert(receivers);
        }
        Ok(first.unwrap_or_default())
    }

    pub(crate) fn queued(&self) -> Gauge {
        self.queue.length()
    }

    pub(crate) fn force_reconnect(&self) {
        self.reconnect.notify_one();
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.status.changes()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// The wait after a refusal, if nothing waits for its end.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// More than the bytes of a `PUBLISH` around its arguments.
const REQUEST_BYTES: usize = 64;
