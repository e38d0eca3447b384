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
//!
//! # What operators see
//!
//! Events of `tracing`, all in the span `backplane` with the fields `app` (which is the channel as
//! well) and `server`. No payload and no password is among them.
//!
//! | level | event | fields |
//! |---|---|---|
//! | info | `backplane connected` | `connection` (`subscription` or `commands`), `attempt` |
//! | warn | `backplane disconnected` | `connection`, `reason` |
//! | error | `backplane refused`, until somebody changes a setting | `connection`, `reason` |
//! | debug | `backplane tries again` | `connection`, `attempt`, `delay` |
//! | warn | `messages are missing` | `from`, `to`: ids |
//! | info | `what was missed was fetched` | `messages`: how many |
//! | warn | `what was missed cannot be fetched` | `failure` |
//! | warn | `a probe did not come back`: it is deaf, and connects anew | `deaf_for` |
//! | error | `ids went back: the broker has lost its memory` | `last`, `id` |
//! | warn | `the counter cannot be lifted after the broker lost its memory` | `reason` |
//! | debug | `waiting for the other servers to tell the last id they know` | `last_id` |
//! | warn | `skipped a payload whose id no broker has given` | `id` |
//! | warn | `closed a connection that fell behind`: see [`Disconnect::SlowConnection`] | `connection`: its id |
//! | debug | `an invocation was not sent`, `could not tell the other servers` | `error` |
//! | debug | `a connection came back here` | `connection`: its id |
//! | debug | `skipped what is no message` | `error`, `bytes` |
//! | debug | `message came twice` | `id` |
//! | trace | `message received` | `id`, `receivers` |
//!
//! Metrics of `prometheus-client`, once [`Backplane::register`] has added them to a registry; all
//! have the label `app`.
//!
//! | metric | what it counts |
//! |---|---|
//! | `backplane_connected` | 1 while the broker is reached, else 0 |
//! | `backplane_connects_total` | connections made to the broker, by `connection` |
//! | `backplane_connections` | attached connections |
//! | `backplane_sent_total` | messages that the broker took, probes and acknowledgements included |
//! | `backplane_send_failures_total` | messages that it did not take, or perhaps took |
//! | `backplane_queued` | messages that wait for the broker |
//! | `backplane_received_total` | messages that came from the broker |
//! | `backplane_delivered_total` | invocations handed to connections |
//! | `backplane_delivered_when_down_total` | the same without the broker |
//! | `backplane_gaps_total`, `backplane_lost_total` | gaps in the ids, and the messages in them |
//! | `backplane_recovered_total` | messages that had been missed and were fetched |
//! | `backplane_duplicates_total` | messages that came twice and were dropped |
//! | `backplane_unreadable_total` | payloads on the channel that are no messages |
//! | `backplane_counter_restarts_total` | how often ids went back |
//! | `backplane_slow_connections_total` | attached connections that were closed since they fell behind |
//! | `backplane_round_trip_seconds` | a histogram: how long probes took through the broker and back |

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acks;
mod address;
mod backplane;
mod builder;
mod bus;
mod connection;
mod connections;
mod cursor;
mod delivered_mark;
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
pub use crate::address::{Address, AddressError};
pub use crate::backplane::Backplane;
pub use crate::builder::Builder;
pub use crate::bus::{ConnectError, SendError};
pub use crate::connection::{Connection, Received};
pub use crate::connections::Disconnect;
pub use crate::cursor::{Cursor, CursorError};
pub use crate::event::{Event, Events, Gap};
pub use crate::group::GroupError;
pub use crate::health::{Health, RoundTrips};
pub use crate::invocation::{Invocation, InvocationError};
pub use crate::state::State;
pub use crate::target::Target;
