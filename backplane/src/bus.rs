//! The link between the servers of an app: one pub/sub channel, on an embedded broker or on a
//! Redis-compatible server.
//!
//! The broker assigns each body the next id of the app. All servers see the bodies in this order.
//! The bus does not interpret bodies.

mod channels;
mod embedded;
mod embedded_channels;
mod error;
mod redis;
mod sender;
mod sink;

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

pub(crate) use self::channels::{ChannelBus, ChannelSink, Publication};
use self::embedded::EmbeddedBus;
pub(crate) use self::error::check_size;
pub use self::error::{ConnectError, SendError};
pub(crate) use self::redis::Purpose;
use self::redis::RedisBus;
pub(crate) use self::sender::Sender;
pub(crate) use self::sink::{Ids, Sink};
use crate::address::Address;
use crate::options::Options;
use crate::state::State;

/// One channel of a broker.
#[derive(Debug)]
pub(crate) enum Bus {
    Embedded(EmbeddedBus),
    Redis(Box<RedisBus>),
}

impl Bus {
    pub(crate) fn embedded(broker: &broker::Broker, channel: &str) -> Self {
        Self::Embedded(EmbeddedBus::new(broker, channel))
    }

    pub(crate) fn redis(
        address: Address,
        channel: &str,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        RedisBus::new(address, channel, options).map(|bus| Self::Redis(Box::new(bus)))
    }

    /// Starts to receive.
    pub(crate) fn start<S: Sink>(&self, sink: Arc<S>) {
        match self {
            Self::Embedded(bus) => bus.start(sink),
            Self::Redis(bus) => bus.start(sink),
        }
    }

    /// Refuses further sends, and waits for the outcome of the others, up to a limit.
    pub(crate) async fn drain(&self) {
        match self {
            // Its sends do not wait.
            Self::Embedded(_) => {}
            Self::Redis(bus) => bus.drain().await,
        }
    }

    /// Stops receiving and disconnects. Queued sends and sends in flight fail.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Embedded(bus) => bus.stop().await,
            Self::Redis(bus) => bus.stop().await,
        }
    }

    /// Sends a body, and returns its id.
    pub(crate) async fn send(&self, body: Bytes) -> Result<u64, SendError> {
        match self {
            Self::Embedded(bus) => bus.send(&body).await,
            Self::Redis(bus) => bus.send(body).await,
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
