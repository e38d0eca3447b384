//! A link that only sends, for programs without connections of their own.
//!
//! It subscribes to nothing, so it neither sees the messages of others nor needs the permission.

use std::sync::Arc;

use tokio::sync::watch;

use super::error::ConnectError;
use super::redis::{Purpose, RedisBus, RedisChannels};
use super::sink::Ids;
use crate::address::Address;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::state::State;

#[derive(Debug)]
pub(crate) enum Sender {
    Stream(Box<RedisBus>),
    Channels(Box<RedisChannels>),
}

/// A sender receives no ids. Only those of its own messages are known.
#[derive(Debug, Default)]
struct NoIds {
    metrics: Metrics,
}

impl Sender {
    /// Starts a sender for a stream of messages with ids.
    pub(crate) fn stream(
        address: Address,
        channel: &str,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let bus = RedisBus::new(address, channel, options)?;
        bus.start_sending(Arc::new(NoIds::default()));
        Ok(Self::Stream(Box::new(bus)))
    }

    /// Starts a sender for any channels. In a cluster, it uses the node of `channel`.
    pub(crate) fn channels(
        address: Address,
        channel: &str,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let bus = RedisChannels::new(address, channel, options, Purpose::Clients)?;
        bus.start_without_subscription(&Metrics::default());
        Ok(Self::Channels(Box::new(bus)))
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        match self {
            Self::Stream(bus) => bus.state_changes(),
            Self::Channels(bus) => bus.state_changes(),
        }
    }

    /// Returns the server's name in errors and log events.
    pub(crate) fn server(&self) -> &str {
        match self {
            Self::Stream(bus) => bus.address(),
            Self::Channels(bus) => bus.address(),
        }
    }

    /// Refuses further sends, waits for the outcome of the others, up to a limit, and disconnects.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Stream(bus) => {
                bus.drain().await;
                bus.stop().await;
            }
            Self::Channels(bus) => {
                bus.drain().await;
                bus.stop().await;
            }
        }
    }
}

impl Ids for NoIds {
    fn missed_after_reset(&self, _to: u64) {}

    async fn counter_reset(&self) {
        std::future::pending().await
    }

    fn last_id(&self) -> Option<u64> {
        None
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
