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
//! Supported are negotiation (versions 0 and 1), the transports WebSockets, Server-Sent Events and
//! long polling, and the hub protocol in JSON and MessagePack with streams in both directions,
//! cancellation and results of clients. A page of another origin can connect if
//! [`Options::allow_origin`] lists its origin.

mod classic;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod router;

mod auth;
mod endpoint;
mod negotiate;

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

mod arguments;
mod blob;
mod connection_info;
mod error;
mod hub_state;
mod options;
mod origin;
mod query;
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
    state::{Extension, Local, State},
    transport_kind::TransportKind,
    upload::Upload,
    user::{AuthError, User},
};
