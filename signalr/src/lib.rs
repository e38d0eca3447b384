//! Serves the SignalR client protocol from axum: unmodified SignalR clients connect, call the methods of
//! a [`Hub`], and have theirs called.
//!
//! Behind a hub stands a [`Backplane`](backplane::Backplane), so that many servers act as one: what one of
//! them sends to all, a group, a user or a connection reaches them wherever they are connected.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use backplane::Backplane;
//! use broker::Broker;
//! use signalr::{Caller, Hub, HubError};
//!
//! let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
//! let hub = Hub::new(backplane)
//!     .method("Send", |caller: Caller, (name, message): (String, String)| async move {
//!         if message.is_empty() {
//!             return Err(HubError::new("say something"));
//!         }
//!         caller.clients().all().invoke("broadcastMessage", (name, message)).await?;
//!         Ok(())
//!     })
//!     .on_connected(|caller| async move {
//!         caller.groups().add("lobby").await?;
//!         Ok(())
//!     });
//! let app: axum::Router = axum::Router::new().merge(hub.router("/chatHub"));
//! # drop(app);
//! # }
//! ```
//!
//! What it serves so far: negotiation (versions 0 and 1), the WebSockets transport, the JSON protocol.
//! Pages of other origins must be listed ([`Options::allow_origin`]).

mod router;

mod endpoint;
mod negotiate;

mod dispatch;
mod session;
mod transport;

mod caller;
mod clients;
mod close_handle;
mod hub;

mod disconnect;
mod handshake;
mod protocol;

mod arguments;
mod error;
mod negotiated;
mod options;
mod origin;
mod query;
mod refusal;

pub use crate::{
    arguments::{Arguments, BindError},
    caller::{Caller, Groups},
    clients::{CallerClients, Clients, InvokeError, Recipients},
    error::HubError,
    hub::Hub,
    options::Options,
    origin::OriginError,
};
