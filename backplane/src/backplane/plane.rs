//! The way of messages between the servers: one stream, or a channel for each target.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::bus::Bus;
use crate::channels::Channels;
use crate::state::State;

#[derive(Debug)]
pub(super) enum Plane {
    Stream(Arc<Bus>),
    Channels(Arc<Channels>),
}

impl Plane {
    /// Returns the server's name in errors.
    pub(super) fn server(&self) -> &str {
        match self {
            Self::Stream(bus) => bus.server(),
            Self::Channels(channels) => channels.bus.server(),
        }
    }

    pub(super) fn state_changes(&self) -> watch::Receiver<State> {
        match self {
            Self::Stream(bus) => bus.state_changes(),
            Self::Channels(channels) => channels.bus.state_changes(),
        }
    }

    /// Returns the number of queued messages.
    pub(super) fn queued(&self) -> Gauge {
        match self {
            Self::Stream(bus) => bus.queued(),
            Self::Channels(channels) => channels.bus.queued(),
        }
    }

    /// Refuses further sends, and waits for the outcome of the others, up to a limit.
    pub(super) async fn drain(&self) {
        match self {
            Self::Stream(bus) => bus.drain().await,
            Self::Channels(channels) => channels.bus.drain().await,
        }
    }

    /// Stops receiving and disconnects. Queued sends and sends in flight fail.
    pub(super) async fn stop(&self) {
        match self {
            Self::Stream(bus) => bus.stop().await,
            Self::Channels(channels) => channels.stop().await,
        }
    }
}
