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
//!     .on_connected(|caller| async move {
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
//! For clients of ASP.NET Core, supported are negotiation (versions 0 and 1), the WebSockets transport and the JSON hub
//! protocol. A page of another origin can connect if [`Options::allow_origin`] lists its origin.

mod classic;
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
mod hub_state;
mod negotiated;
mod options;
mod origin;
mod query;
mod refusal;

pub use crate::{
    arguments::{Arguments, BindError},
    caller::{Caller, Groups},
    classic::Classic,
    clients::{CallerClients, Clients, InvokeError, Recipients},
    error::HubError,
    hub::Hub,
    hub_state::HubState,
    options::Options,
    origin::OriginError,
};
