//! Tests of hubs from the view of SignalR 2's clients, byte for byte.
//!
//! The network is a pipe in memory. The clock is tokio's, paused, so a timeout of 30 s takes no
//! time. Expected replies were recorded from a real SignalR 2.4.3 server.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod any_server;
mod calls;
mod endings;
mod groups;
mod hostile;
mod net_client;
#[path = "../../src/testing/pipes.rs"]
mod pipes;
mod polling;
mod replies;
mod server;
mod streams;
mod users;
mod web_sockets;
