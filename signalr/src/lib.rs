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
//! | `signalr_outbox_bytes_max` | largest size of the messages that one client has not taken at once, since the start | |
//! | `signalr_slow_connections_total` | connections closed since the client reads too slowly | `policy` (`close`) |
//! | `signalr_dropped_total` | messages that such clients have not received | `policy` (`close`) |
//! | `signalr_gaps_reported_total` | connections with lost messages | `policy` (`reconnect`, `report`) |
//! | `signalr_resumed_total` | connections that continue a stateful or a resumable one | `outcome` (`ok`, `lost`, `refused`) |
//! | `signalr_replayed_total` | messages sent again on such WebSockets | |
//! | `signalr_drain_remaining` | connections that a shutdown has still to close, else 0 | |
//! | `signalr_negotiations_total` | negotiations | `outcome` (`ok`, `redirected`, `refused`) |
//! | `signalr_handovers_total` | stateful connections whose clients came from another server | `outcome` (`ok`; `stays`: its calls last too long, or its state is too large; `lost`: no server has it; `other_user`) |
//! | `signalr_forwarded_total` | requests for a connection on another server | `outcome` (`ok`, `lost`: no answer of it) |
//! | `signalr_refused_total` | refused requests | `reason` (`origin`, `host`, `auth`, `token`, `limit`, `draining`) |
//!
//! `family` is `core` for clients of ASP.NET Core and `classic` for those of SignalR 2. A client of
//! SignalR 2 counts for each of its hubs, and its messages do not count as delivered, written,
//! waiting or dropped.
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
//! | debug | `a client has moved to another server` | `connection` |
//! | debug | `could not ask other servers`, `could not notify another server` | `name`, `error` |
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
pub mod guide;
#[cfg(feature = "jwt")]
pub mod jwt;
mod router;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "typescript")]
pub mod typescript;

mod answering;
mod auth;
mod endpoint;
mod forwarding;
mod negotiate;
mod refresh;

mod dispatch;
mod session;
mod transport;

mod management;
mod serve;
mod typed;

mod hub;

mod limit;

mod call_service;
mod handler;
mod state;
mod upload;

mod call;
mod caller;
mod clients;
mod close_handle;
mod recipients;
mod refreshables;
mod results;
mod sends;

mod peer;
mod raw;

mod answers;

mod backlog;
mod byte_queue;
mod connections;
mod farm;
mod handoff;
mod handover;
mod http_connection;
mod negotiated;
mod signal;
mod socket;

mod disconnect;
mod handshake;
mod protocol;
mod spans;

mod arguments;
mod blob;
mod connection_info;
mod drain;
mod error;
mod hub_state;
mod key_ring;
mod metrics;
mod options;
mod origin;
mod query;
mod redirect;
mod refusal;
mod resumption;
mod server_id;
mod timed_stream;
mod timestamp;
mod tokens;
mod transport_kind;
mod user;

pub use crate::{
    arguments::{Arguments, BindError, RawArguments},
    blob::Blob,
    call::{CallContext, CallError, Cancelled, FromCall},
    call_service::{Call, CallService, Outcome},
    caller::{Caller, Groups, JoinError},
    classic::Classic,
    clients::{CallerClients, Clients, TypedClient},
    connection_info::ConnectionInfo,
    error::HubError,
    handler::{Handler, Hook},
    hub::Hub,
    hub_state::HubState,
    limit::{CallLimit, Limited},
    management::{HubConnection, HubGroups},
    options::{Options, TokenKeyError},
    origin::OriginError,
    raw::{RawConnection, RawSendError},
    recipients::{InvokeError, Recipient, Recipients},
    redirect::Redirect,
    serve::serve,
    state::{Extension, Local, State},
    timestamp::{Timestamp, TimestampError},
    transport_kind::TransportKind,
    typed::{CallHub, HubStream, TypedHub},
    upload::Upload,
    user::{AuthError, User, bearer_token},
};

#[doc(hidden)]
pub use self::typed::{MethodInput, MethodOutput};
/// Makes a trait the methods that a hub can invoke at its clients.
///
/// The trait becomes a type that names the interface. [`Caller`] and [`Clients`] with this type
/// have recipients with the trait's methods:
///
/// - A `fn` without a result is sent to any number of clients.
/// - An `async fn` asks one client, and waits for its result.
///
/// Parameters may be references. A method `room_message` invokes `roomMessage`, unless
/// `#[signalr(name = "..")]` sets another name. No method can be named `except`, which excludes
/// connections.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[signalr::client]
/// trait NewsReader {
///     fn breaking_news(title: &str);
///     async fn confirm(question: &str) -> bool;
/// }
///
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
/// hub.clients().typed::<NewsReader>().all().breaking_news("hello").await?;
/// # assert_eq!(client.receive().await["target"], "breakingNews");
/// # Ok(()) }
/// ```
///
/// Several clients cannot return a result:
///
/// ```compile_fail,E0599
/// #[signalr::client]
/// trait NewsReader {
///     async fn confirm(question: &str) -> bool;
/// }
///
/// async fn ask(hub: &signalr::Hub) {
///     hub.clients().typed::<NewsReader>().all().confirm("Really?").await;
/// }
/// ```
#[cfg(feature = "macros")]
pub use signalr_macros::client;
/// Makes a trait the methods of a hub, or implements such a trait for [`Hub::typed`].
///
/// - An `async fn` returns `Result<T, HubError>`. A `fn` returns a [`HubStream`].
/// - Parameters by reference and [`Upload`]s are read from the call, as [`FromCall`] describes. All
///   others are arguments of the client.
/// - A method `join_room` is `JoinRoom` for clients, unless `#[signalr(name = "..")]` sets another
///   name.
/// - `#[signalr(roles("admin"))]` allows a method only for users with one of the roles.
/// - The argument `typescript` describes the methods for the module `typescript`.
/// - The argument `caller` adds a struct that calls the methods as a client. See [`CallHub`].
/// - `#[signalr(connected)]` and `#[signalr(disconnected)]` mark hooks, as in
///   [`Hub::on_connected`] and [`Hub::on_disconnected`].
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Caller, Hub, HubError};
///
/// #[signalr::client]
/// trait ChatClient {
///     fn said(by: &str, text: &str);
/// }
///
/// #[signalr::hub(client = ChatClient)]
/// trait ChatHub {
///     async fn send(&self, caller: &Caller<ChatClient>, text: String) -> Result<(), HubError>;
///     #[signalr(roles("admin"))]
///     async fn close_room(&self, room: String) -> Result<(), HubError>;
/// }
///
/// struct Chat;
///
/// #[signalr::hub]
/// impl ChatHub for Chat {
///     async fn send(&self, caller: &Caller<ChatClient>, text: String) -> Result<(), HubError> {
///         caller.clients().all().said(caller.user().unwrap_or("guest"), &text).await?;
///         Ok(())
///     }
///
///     async fn close_room(&self, room: String) -> Result<(), HubError> {
///         Err(HubError::new(format!("{room} is open all day")))
///     }
/// }
///
/// # let backplane = backplane();
/// let hub = Hub::typed("ChatHub", backplane.clone(), Chat);
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client.send(r#"{"type":1,"target":"Send","arguments":["hi"]}"#).await;
/// # assert_eq!(client.receive().await["arguments"], json!(["guest", "hi"]));
/// # Ok(()) }
/// ```
///
/// The `impl` has the attribute, too:
///
/// ```compile_fail,E0277
/// #[signalr::hub]
/// trait ChatHub {
///     async fn version(&self) -> Result<u32, signalr::HubError>;
/// }
///
/// struct Chat;
///
/// impl ChatHub for Chat {
///     async fn version(&self) -> Result<u32, signalr::HubError> {
///         Ok(1)
///     }
/// }
///
/// fn serve(backplane: backplane::Backplane) -> signalr::Hub {
///     signalr::Hub::typed("ChatHub", backplane, Chat)
/// }
/// ```
#[cfg(feature = "macros")]
pub use signalr_macros::hub;
