//! The link between the servers of a dialect with a channel for each target.
//!
//! The subscription follows the [`Interest`] of the connections. A publication returns when the
//! broker has accepted it. The bus does not interpret payloads.

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::embedded_channels::EmbeddedChannels;
use super::error::{ConnectError, SendError};
use super::redis::{Purpose, RedisChannels};
use crate::address::Address;
use crate::interest::Interest;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::state::State;

/// Takes the messages of a subscription, in their order, from its task.
pub(crate) trait ChannelSink: Send + Sync + 'static {
    /// Takes a message.
    fn receive(&self, channel: &[u8], payload: &[u8]);

    /// Records that the subscription is complete again, after messages may have been missed.
    fn resubscribed(&self);

    /// Returns the counters that the bus updates.
    fn metrics(&self) -> &Metrics;
}

/// A message for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) channel: String,
    pub(crate) payload: Bytes,
}

#[derive(Debug)]
pub(crate) enum ChannelBus {
    Embedded(EmbeddedChannels),
    Redis(Box<RedisChannels>),
}

impl ChannelBus {
    pub(crate) fn embedded(broker: &broker::Broker, purpose: Purpose) -> Self {
        Self::Embedded(EmbeddedChannels::new(broker, purpose))
    }

    /// Returns a bus on a server. In a cluster, all connections use the node of `channel`.
    pub(crate) fn redis(
        address: Address,
        channel: &str,
        options: &Options,
        purpose: Purpose,
    ) -> Result<Self, ConnectError> {
        RedisChannels::new(address, channel, options, purpose).map(|bus| Self::Redis(Box::new(bus)))
    }

    /// Starts to receive.
    pub(crate) fn start<S: ChannelSink>(&self, interest: Arc<Interest>, sink: Arc<S>) {
        match self {
            Self::Embedded(bus) => bus.start(interest, sink),
            Self::Redis(bus) => bus.start(interest, sink),
        }
    }

    /// Refuses further publications, and waits for the outcome of the others, up to a limit.
    pub(crate) async fn drain(&self) {
        match self {
            // Its publications do not wait.
            Self::Embedded(_) => {}
            Self::Redis(bus) => bus.drain().await,
        }
    }

    /// Stops receiving and disconnects. Queued messages and messages in flight fail.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Embedded(bus) => bus.stop().await,
            Self::Redis(bus) => bus.stop().await,
        }
    }

    /// Ends the tasks, which hold their sink. Publications fail afterwards.
    pub(crate) fn abort(&self) {
        match self {
            Self::Embedded(bus) => bus.abort(),
            Self::Redis(bus) => bus.abort(),
        }
    }

    /// Publishes messages in their order. Returns the number of subscribers that got the first one.
    pub(crate) async fn publish(&self, messages: &[Publication]) -> Result<u64, SendError> {
        match self {
            Self::Embedded(bus) => bus.publish(messages).await,
            Self::Redis(bus) => bus.publish(messages).await,
        }
    }

    /// Replaces the subscription by a new one.
    pub(crate) fn force_reconnect(&self) {
        match self {
            Self::Embedded(bus) => bus.force_reconnect(),
            Self::Redis(bus) => bus.force_reconnect(),
        }
    }

    /// Returns the number of queued messages.
    pub(crate) fn queued(&self) -> Gauge {
        match self {
            Self::Embedded(_) => Gauge::default(),
            Self::Redis(bus) => bus.queued(),
        }
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        match self {
            Self::Embedded(bus) => bus.state_changes(),
            Self::Redis(bus) => bus.state_changes(),
        }
    }

    /// Returns the server's name in errors and log events.
    pub(crate) fn server(&self) -> &str {
        match self {
            Self::Embedded(_) => "the broker in this process",
            Self::Redis(bus) => bus.address(),
        }
    }
}
