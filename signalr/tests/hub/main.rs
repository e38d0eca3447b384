//! Tests of a hub from the view of SignalR clients, byte for byte.
//!
//! The network is a pipe in memory, except in `sockets`. The clock is tokio's, paused, so a timeout
//! of 30 s takes no time.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod any_server;
mod calls;
mod cursors;
mod endings;
mod events;
mod fan_out;
mod hostile;
mod http_client;
mod layers;
mod metrics;
mod moves;
mod negotiation;
mod outside;
mod pipelining;
mod polling;
mod posts;
mod raw;
mod resume;
mod server;
mod serving;
mod sockets;
mod streams;
mod traces;
mod users;
