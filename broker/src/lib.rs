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
//! # What it promises
//!
//! - All subscribers of a channel see its messages in one order, and what one publisher sends
//!   arrives in the order sent, across channels.
//! - From the confirmation of a subscription on no message is missed, and none comes after that of
//!   its end. Each subscription gets each message exactly once, as long as its connection lives.
//! - Publishing never waits for a subscriber. One that cannot keep up is closed at its limit and
//!   told why; messages are never skipped silently.
//! - Nothing is kept for those who are not there, unless [`Config::pubsub_replay`] says so.
//!
//! # Reading the code
//!
//! From the wire to the message: `server` listens, `accept` gives each connection to a `worker`,
//! `connection` reads, `resp::request` finds requests, `session` runs them, `broker` publishes
//! through `registry` and `context`, `outbox` holds what is still to be written.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acl;
mod address;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench;
mod commands;
mod config;
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
mod version;

// The public interface is:
pub use crate::address::Port;
pub use crate::config::source::{ConfigError, ConfigFile};
pub use crate::config::{
    ClientMemory, Config, LogLevel, OutputLimit, OutputLimits, ProtectedAction, ReplayRule,
};
pub use crate::keyspace::EventClasses;
pub use crate::observe::disconnect::Disconnect;
pub use crate::pubsub::message::Message;
pub use crate::pubsub::subscriber::Subscriber;
pub use crate::pubsub::{Broker, NumberError, ReplayPosition};
pub use crate::server::Server;
pub use crate::server::listen::BindError;
pub use crate::version::REDIS_VERSION;
