//! What connects the servers of an app: one pub/sub channel, on a broker in this process or on a
//! Redis-compatible server.
//!
//! A bus takes bodies and gives each the next id of the app, in the order in which all servers see
//! them. It knows neither what bodies mean nor whom they are for.

mod embedded;
mod redis;

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use tokio::sync::watch;

use self::embedded::EmbeddedBus;
use self::redis::RedisBus;
use crate::options::Options;
use crate::receiver::Receiver;
use crate::state::State;

/// One channel, and whoever else is on it.
#[derive(Debug)]
pub(crate) enum Bus {
    Embedded(EmbeddedBus),
    Redis(Box<RedisBus>),
}

/// Says that the server could not be reached, or not be used.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = backplane::Backplane::from_url("redis://127.0.0.1:1", "ChatApp").await.unwrap_err();
/// assert!(error.to_string().starts_with("cannot use 127.0.0.1:1 as a backplane: "), "{error}");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be understood.
    #[error("expected a URL such as redis://user:password@host:6379, found {found}")]
    Url {
        /// What is wrong with it, without its password.
        found: String,
    },
    /// A certificate or a key cannot be used.
    #[error("cannot use {file} for TLS: {reason}")]
    Tls {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server did not answer, or refused.
    #[error("cannot use {server} as a backplane: {reason}")]
    Failed {
        /// The server's address.
        server: String,
        /// What went wrong; in the server's own words where it said something.
        reason: String,
    },
}

/// Says that the broker did not take an invocation.
///
/// ```
/// let error = backplane::SendError::Disconnected { reason: "connection refused".into() };
/// assert_eq!(error.to_string(), "the backplane is disconnected: connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The broker is away, or takes nothing, and was for as long as a send waits; the invocation
    /// was not sent.
    #[error("the backplane is disconnected: {reason}")]
    Disconnected {
        /// What went wrong last.
        reason: String,
    },
    /// Too much waits already for a broker that is away; the invocation was not sent.
    #[error("the backplane's queue is full, {messages} messages wait: {reason}")]
    QueueFull {
        /// How many wait.
        messages: usize,
        /// What went wrong last.
        reason: String,
    },
    /// No broker takes as much; the invocation was not sent.
    #[error("expected at most 512 MiB of arguments, found {bytes} bytes")]
    TooLarge {
        /// How much it was.
        bytes: usize,
    },
    /// The broker refused it, or was lost before it answered.
    #[error("the backplane could not send: {reason}")]
    Failed {
        /// What went wrong; in the broker's own words where it said something.
        reason: String,
    },
}

/// Why a backplane is disconnected after its end.
const SHUT_DOWN: &str = "it was shut down";
const NOT_RESTORED: &str = "the counter cannot be lifted after the broker lost its memory";

impl Bus {
    pub(crate) fn embedded(broker: &broker::Broker, channel: &str) -> Self {
        Self::Embedded(EmbeddedBus::new(broker, channel))
    }

    pub(crate) fn redis(
        server: &str,
        port: u16,
        password: &str,
        channel: &str,
        options: &Options,
    ) -> Self {
        Self::Redis(Box::new(RedisBus::new(server, port, password, channel, options)))
    }

    pub(crate) fn from_url(
        url: &str,
        channel: &str,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        RedisBus::from_url(url, channel, options).map(|bus| Self::Redis(Box::new(bus)))
    }

    /// Begins to receive.
    pub(crate) fn start(&self, receiver: Arc<Receiver>) {
        match self {
            Self::Embedded(bus) => bus.start(receiver),
            Self::Redis(bus) => bus.start(receiver),
        }
    }

    /// Ends receiving, and with it the connection. What is under way is still answered.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Embedded(bus) => bus.stop().await,
            Self::Redis(bus) => bus.stop().await,
        }
    }

    /// Sends a body, and returns the id it got.
    pub(crate) async fn send(&self, body: Bytes) -> Result<u64, SendError> {
        match self {
            Self::Embedded(bus) => bus.send(&body),
            Self::Redis(bus) => bus.send(body).await,
        }
    }

    /// What was sent did not come back: the subscription is made anew.
    pub(crate) fn force_reconnect(&self) {
        match self {
            Self::Embedded(bus) => bus.force_reconnect(),
            Self::Redis(bus) => bus.force_reconnect(),
        }
    }

    /// Returns how many messages wait.
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

    /// Returns what messages call the server.
    pub(crate) fn server(&self) -> &str {
        match self {
            Self::Embedded(_) => "the broker in this process",
            Self::Redis(bus) => bus.address(),
        }
    }
}
