//! A Redis-compatible pub/sub broker: in this process, on a socket, or both.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use broker::{Broker, Config, Port, Server};
//!
//! let broker = Broker::new();
//! let mut news = broker.subscribe("news");
//! assert_eq!(broker.publish("news", "hello"), 1);
//! assert_eq!(news.recv().await?.payload(), "hello");
//!
//! // The same broker for any Redis client.
//! let config = Config { port: Port::Any, ..Config::default() };
//! let server = Server::bind(broker.clone(), &config).await?;
//! println!("listening on {:?}", server.local_addrs());
//! server.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! - All subscribers of a channel see its messages in the same order. Messages of one publisher
//!   arrive in the order sent, across channels.
//! - A subscriber misses no message after the confirmation of its subscription, and gets none after
//!   the confirmation of its end. Each subscription gets each message exactly once, as long as its
//!   connection lives.
//! - Publishing never waits for a subscriber to read. A subscriber that exceeds its limit is
//!   closed; messages are never skipped silently.
//! - Messages are not kept for absent subscribers, unless [`Config::pubsub_replay`] has a rule for
//!   the channel.
//!
//! # Reading the code
//!
//! The modules form layers, which `broker/layers.txt` lists. A request passes them downwards:
//!
//! - `server::accept` passes each connection to a `server::worker`.
//! - `server::connection` reads bytes, and crate `resp` decodes requests.
//! - `commands::lookup` finds the command, and `commands::execute` runs it.
//! - `pubsub::fan_out` finds the receivers of a message.
//! - `pubsub::outbox` holds bytes until the flush of the worker writes them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acl;
mod address;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench;
mod commands;
mod config;
mod decode;
mod descriptors;
#[cfg(feature = "faults")]
pub mod faults;
mod glob;
mod ids;
mod keyspace;
mod observe;
mod protocol;
mod pubsub;
mod replace_file;
mod script;
mod server;
mod session;
mod tls;
mod version;

// The public interface is:
pub use crate::address::Port;
pub use crate::config::http::HttpSettings;
pub use crate::config::reloaded::{ReloadError, Reloaded};
pub use crate::config::replication::{MasterAddress, ReplicationSettings};
pub use crate::config::source::{ConfigError, ConfigFile};
pub use crate::config::tls::{CertificateUser, ClientCertificates, TlsSettings};
pub use crate::config::{
    ChannelEvents, ClientMemory, Config, LogFormat, LogLevel, LogTime, OutputLimit, OutputLimits,
    ProtectedAction, ReplayRule, SlowPolicy, SlowRule, SyslogFacility, UserLimits,
};
pub use crate::descriptors::fit_clients;
pub use crate::keyspace::EventClasses;
pub use crate::observe::disconnect::Disconnect;
pub use crate::pubsub::message::Message;
pub use crate::pubsub::subscriber::Subscriber;
pub use crate::pubsub::{Broker, NumberError, ReplayPosition};
pub use crate::server::listen::BindError;
pub use crate::server::open_sockets::OpenSockets;
pub use crate::server::{Drains, Server};
pub use crate::version::REDIS_VERSION;
