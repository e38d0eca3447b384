//! Sends messages to browsers that are connected to any of several web servers, over a
//! Redis-compatible broker.
//!
//! Each server attaches its connections, one for each browser. It sends invocations to all
//! connections, a group, a user or one connection. All messages pass one pub/sub channel of the
//! broker, named after the app, and return to every server. So all connections see the same order.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::{Backplane, Invocation, Target};
//! use broker::Broker;
//!
//! // Two servers, and a broker between them in this process.
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
//! Over a network, the tutorial's four arguments suffice. [`Backplane::builder`] sets more options.
//!
//! ```no_run
//! # async fn example() -> Result<(), backplane::ConnectError> {
//! let backplane = backplane::Backplane::use_redis("server", 6379, "password", "ChatApp").await?;
//! # Ok(()) }
//! ```
//!
//! # Testing an outage
//!
//! `broker::faults` (feature `faults` of the crate `broker`) is a network that fails on command. This test of
//! an application loses its broker, and receives a message that was sent meanwhile:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use backplane::{Backplane, Invocation, State, Target};
//! use broker::faults::{Fault, Relay};
//! use broker::{Broker, Config, Port, Server};
//!
//! let config = Config { port: Port::Any, ..Config::default() };
//! let server = Server::bind(Broker::new(), &config).await?;
//! let relay = Relay::to(server.local_addr().expect("a TCP port")).await?;
//! let url = format!("redis://{}", relay.address());
//! let backplane = Backplane::builder("ChatApp").connect(url).await?;
//! let mut ann = backplane.attach("ann's browser", None);
//! let mut states = backplane.state_changes();
//!
//! relay.set(Fault::Closed);
//! states.wait_for(|state| *state != State::Connected).await?;
//! let sending = backplane.send(Target::all(), Invocation::new("news", ("while away",))?);
//! relay.set(Fault::None);
//! sending.await?;
//! assert_eq!(ann.recv().await?.arguments().get(), r#"["while away"]"#);
//! # Ok(()) }
//! ```
//!
//! # Log events
//!
//! Events of `tracing` in the span `backplane`, which has the fields `app` (the name of the app and
//! of the channel) and `server`. No event contains a payload or a password.
//!
//! | level | event | fields |
//! |---|---|---|
//! | info | `backplane connected` | `connection` (`subscription`, `commands` or `servers`), `attempt` |
//! | warn | `backplane disconnected` | `connection`, `reason` |
//! | error | `backplane rejected`: the reason stays until an operator changes a setting | `connection`, `reason` |
//! | debug | `reconnecting` | `connection`, `attempt`, `delay` |
//! | warn | `messages are missing` | `from`, `to`: ids |
//! | info | `replayed missed messages` | `messages`: number |
//! | warn | `could not replay missed messages` | `failure` |
//! | warn | `health probe timed out`: the subscription reconnects | `silence`: time since the last return |
//! | error | `id counter was reset`: the broker has lost data | `last`, `id` |
//! | warn | `could not restore the id counter after broker data loss` | `reason`, `last_id` |
//! | debug | `waiting for other servers to restore the id counter` | `last_id` |
//! | warn | `skipped a payload with an implausible id` | `id` |
//! | warn | `closed a connection that fell behind`, see [`Disconnect::SlowConnection`] | `connection`: its id |
//! | debug | `an invocation was not sent` | `error` |
//! | warn | `the broker refuses the channels of servers`, see [`Builder::server_channel`] | `reason`, `features`: methods that do not work |
//! | warn | `the announcements of this server do not return`: the channel of servers reconnects | `silence` |
//! | warn | `a function for messages of other servers fell behind` | `name` |
//! | error | `a function for messages of other servers panicked` | `name` |
//! | debug | `the lease of a server has ended` | `server`: its id |
//! | debug | `skipped a message of another server` | `name`, `reason` |
//! | debug | `dropped a message to other servers`, since too many wait | |
//! | debug | `could not notify the other servers` | `error` |
//! | debug | `announced a reconnected connection` | `connection`: its id |
//! | debug | `skipped a malformed payload` | `error`, `bytes` |
//! | debug | `skipped a duplicate message` | `id` |
//! | trace | `message received` | `id` |
//!
//! # Metrics
//!
//! Metrics of `prometheus-client`, in the registry passed to [`Backplane::register`]. All have the
//! label `app`.
//!
//! | metric | meaning |
//! |---|---|
//! | `backplane_connected` | 1 while the broker is reachable, else 0 |
//! | `backplane_connects_total` | connections made to the broker, by `connection` |
//! | `backplane_connections` | attached connections |
//! | `backplane_sent_total` | messages accepted by the broker, including probes and acknowledgements |
//! | `backplane_send_failures_total` | messages that the broker rejected, or with an unknown outcome |
//! | `backplane_queued` | messages that wait for the broker |
//! | `backplane_received_total` | messages received from the broker |
//! | `backplane_delivered_total` | invocations delivered to connections |
//! | `backplane_delivered_when_down_total` | invocations delivered locally during an outage |
//! | `backplane_gaps_total`, `backplane_lost_total` | gaps in the ids, and the messages in them |
//! | `backplane_recovered_total` | missed messages that the broker replayed |
//! | `backplane_duplicates_total` | duplicate messages, which were skipped |
//! | `backplane_unreadable_total` | malformed payloads on the channel, and implausible ids |
//! | `backplane_counter_restarts_total` | resets of the id counter |
//! | `backplane_slow_connections_total` | attached connections that were closed for falling behind |
//! | `backplane_round_trip_seconds` | a histogram of the round-trip times of probes |

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acks;
mod address;
mod ages;
mod backplane;
mod builder;
mod bus;
mod channels;
mod connection;
mod connections;
mod cursor;
mod delivered_mark;
mod dialect;
mod emitter;
mod event;
mod group;
mod guid;
mod health;
mod interest;
mod invocation;
mod membership;
mod metrics;
mod options;
mod receiver;
mod servers;
mod signals;
mod state;
mod store;
mod target;

// The public interface.
pub use crate::address::{Address, AddressError};
pub use crate::backplane::{
    Ask, AskClient, Backplane, ClientQuestion, ConnectionInfo, Count, HubPlace, Presence,
    ResultError, Watch,
};
pub use crate::builder::Builder;
pub use crate::bus::{ConnectError, SendError};
pub use crate::connection::{Connection, Interrupt, Received, Room};
pub use crate::connections::{Disconnect, Run};
pub use crate::cursor::{Cursor, CursorError};
pub use crate::emitter::Emitter;
pub use crate::event::{Event, Events, Gap};
pub use crate::group::GroupError;
pub use crate::health::{Health, RoundTrips};
pub use crate::invocation::{Invocation, InvocationError};
pub use crate::options::Dialect;
pub use crate::servers::{Answers, AskError, LeftReason, Member, PresenceChange, Server, Servers};
pub use crate::state::State;
pub use crate::target::Target;
