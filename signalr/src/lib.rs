//! Serves the SignalR client protocol from axum.
//!
//! Unmodified SignalR clients connect and call the methods of a [`Hub`]. The hub calls methods of
//! the clients. A [`Backplane`](backplane::Backplane) links all servers of an app: an invocation
//! for all clients, a group, a user or a connection reaches them on every server.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use backplane::Backplane;
//! use broker::Broker;
//! use signalr::{Caller, Hub, HubError};
//!
//! let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
//! let hub = Hub::new("ChatHub", backplane)
//!     .method("Send", |caller: Caller, (name, message): (String, String)| async move {
//!         if message.is_empty() {
//!             return Err(HubError::new("the message is empty"));
//!         }
//!         caller.clients().all().invoke("broadcastMessage", (name, message)).await?;
//!         Ok(())
//!     })
//!     .on_connected(|caller: Caller| async move {
//!         caller.groups().add("lobby").await?;
//!         Ok(())
//!     });
//! let app: axum::Router = axum::Router::new().merge(hub.router("/chatHub"));
//! # drop(app);
//! # }
//! ```
//!
//! [`Classic`] serves clients of SignalR 2, such as `jquery.signalR`, on the same hubs. Messages of
//! both kinds of clients reach each other:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use backplane::Backplane;
//! use broker::Broker;
//! use signalr::{Classic, Hub};
//!
//! let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
//! let chat = Hub::new("ChatHub", backplane.clone());
//! let stock = Hub::new("StockHub", backplane);
//! let app: axum::Router = axum::Router::new()
//!     .merge(chat.router("/chatHub"))
//!     .merge(stock.router("/stockHub"))
//!     .merge(Classic::new().hub(&chat).hub(&stock).router("/signalr"));
//! # drop(app);
//! # }
//! ```
//!
//! A page of SignalR 2 loads jQuery, `jquery.signalR` and the script `/signalr/hubs`. The example
//! `classic` is such a server: `cargo run -p signalr --example classic`.
//!
//! For clients of ASP.NET Core, supported are negotiation (versions 0 and 1), the transports
//! WebSockets, Server-Sent Events and long polling, and the hub protocol in JSON and MessagePack
//! with streams in both directions, cancellation and results of clients. A page of another origin can connect if
//! [`Options::allow_origin`] lists its origin.
//!
//! # Metrics
//!
//! Metrics of `prometheus-client`, in the registry passed to [`Hub::register`]. All have the labels
//! `app` and `hub`.
//!
//! | metric | meaning | further labels |
//! |---|---|---|
//! | `signalr_server_active_connections` | open connections | `signalr_transport`, `family` |
//! | `signalr_server_connection_duration_seconds` | durations of ended connections | the same, and `signalr_connection_status` (`normal_closure`, `timeout`, `app_shutdown`) |
//! | `signalr_calls_total` | calls | `method`, `outcome` (`ok`, `error`, `panicked`, `cancelled`, `refused`) |
//! | `signalr_call_duration_seconds` | durations of calls; a stream's lasts until its end | the same |
//! | `signalr_delivered_total` | invocations of the backplane written to clients | |
//! | `signalr_written_bytes_total` | hub messages written to clients, without frames | |
//! | `signalr_slow_connections_total` | connections closed since the client reads too slowly | |
//! | `signalr_gaps_reported_total` | connections with lost messages | `policy` (`reconnect`, `report`) |
//! | `signalr_negotiations_total` | negotiations | `outcome` (`ok`, `redirected`, `refused`) |
//! | `signalr_refused_total` | refused requests | `reason` (`origin`, `host`, `auth`, `token`, `limit`, `draining`) |
//!
//! `family` is `core` for clients of ASP.NET Core and `classic` for those of SignalR 2. A client of
//! SignalR 2 counts for each of its hubs, and its messages do not count as delivered or written.
//! `method` has the name as registered, or `-` for all names that no method has.
//!
//! # Log events and spans
//!
//! Events of `tracing`. None contains a token, a query or an argument. The texts of the
//! application's own errors appear as they are.
//!
//! | level | event | fields |
//! |---|---|---|
//! | info | `refused a page of another origin` | `origin`, `host`, `forwarded_host` |
//! | info | `refused a request for another host` | `host`, `forwarded_host` |
//! | error | `hub method failed`, `hub method panicked` | `method`, `error` |
//! | error | `a parameter of a hub method is missing` | `method`, `missing` |
//! | error | `on_connected failed`, and the same for `on_disconnected` and `on_refreshed` | `error` |
//! | warn | `methods still run after the end of their connection` | `connection.id`, `methods` |
//! | warn | `hub shutdown timed out` | `connections` |
//! | debug | `client disconnected` | `reason` |
//! | debug | `call failed`: the client is at fault | `method`, `error` |
//!
//! Each connection and each call of a client of ASP.NET Core has a span at the level `debug`. A call
//! follows from the span of its connection and is no child of it.
//!
//! | span | fields |
//! |---|---|
//! | `connection` | `rpc.system` (`signalr`), `rpc.service` (the hub), `connection.id` |
//! | `call` | the same, and `otel.name` (`<hub>/<method>`), `rpc.method`, `traceparent`, `error.type` (`error`, `panicked` or `refused`) |
//!
//! The names are those of .NET 9. The crate does not depend on OpenTelemetry. With the crate
//! `tracing-opentelemetry`, `otel.name` becomes the name of the exported span and the other fields
//! become its attributes. To make a call the child of the client's span, an application adds a layer
//! of its own: in `on_new_span` it reads the field `traceparent`, which has the form of W3C Trace
//! Context, extracts a remote context from it, and sets it as the parent of the span. The filter of
//! that layer must let `signalr=debug` pass.

mod classic;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod router;

mod auth;
mod endpoint;
mod negotiate;
mod refresh;

mod dispatch;
mod session;
mod transport;

mod hub;

mod handler;
mod state;
mod upload;

mod call;
mod caller;
mod clients;
mod close_handle;
mod refreshables;
mod results;

mod peer;

mod answers;

mod byte_queue;
mod connections;
mod handoff;
mod http_connection;
mod negotiated;

mod disconnect;
mod handshake;
mod protocol;
mod spans;

mod arguments;
mod blob;
mod connection_info;
mod error;
mod hub_state;
mod metrics;
mod options;
mod origin;
mod query;
mod redirect;
mod refusal;
mod transport_kind;
mod user;

pub use crate::{
    arguments::{Arguments, BindError, RawArguments},
    blob::Blob,
    call::{CallContext, CallError, Cancelled, FromCall},
    caller::{Caller, Groups, JoinError},
    classic::Classic,
    clients::{CallerClients, Clients, InvokeError, Recipient, Recipients},
    connection_info::ConnectionInfo,
    error::HubError,
    handler::{Handler, Hook},
    hub::Hub,
    hub_state::HubState,
    options::Options,
    origin::OriginError,
    redirect::Redirect,
    state::{Extension, Local, State},
    transport_kind::TransportKind,
    upload::Upload,
    user::{AuthError, User},
};
