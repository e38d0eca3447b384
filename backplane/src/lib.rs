//! Makes many web servers act as one, over a Redis-compatible broker.
//!
//! Each server attaches its connections (one for each browser) and sends invocations to everyone,
//! a group, a user or a connection. Whatever is sent goes through one pub/sub channel of the
//! broker, named after the app, and comes back to every server, so all connections see one order.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::{Backplane, Invocation, Target};
//! use broker::Broker;
//!
//! // Two servers, and the broker between them inside this process.
//! let broker = Broker::new();
//! let here = Backplane::embedded(&broker, "ChatApp");
//! let there = Backplane::embedded(&broker, "ChatApp");
//!
//! let mut ann = here.attach("ann's browser", None);
//! there.send(Target::all(), Invocation::new("broadcastMessage", ("bob", "hi"))?).await?;
//!
//! let invocation = ann.recv().await?;
//! assert_eq!(invocation.method(), "broadcastMessage");
//! assert_eq!(invocation.arguments().get(), r#"["bob","hi"]"#);
//! # Ok(()) }
//! ```
//!
//! Over a network it is the tutorial's four arguments:
//!
//! ```no_run
//! # async fn example() -> Result<(), backplane::ConnectError> {
//! let backplane = backplane::Backplane::use_redis("server", 6379, "password", "ChatApp").await?;
//! # Ok(()) }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acks;
mod backplane;
mod bus;
mod connections;
mod cursor;
mod dialect;
mod event;
mod group;
mod guid;
mod health;
mod invocation;
mod metrics;
mod options;
mod receiver;
mod state;
mod store;
mod target;

// The public interface is:
pub use crate::backplane::Backplane;
pub use crate::bus::{ConnectError, SendError};
pub use crate::connections::{Connection, Disconnect, Received};
pub use crate::cursor::{Cursor, CursorError};
pub use crate::event::{Event, Events, Gap};
pub use crate::group::GroupError;
pub use crate::health::{Health, RoundTrips};
pub use crate::invocation::{Invocation, InvocationError};
pub use crate::options::{Options, Queue, Tls};
pub use crate::state::State;
pub use crate::store::History;
pub use crate::target::Target;
