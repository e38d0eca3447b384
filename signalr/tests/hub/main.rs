//! What SignalR clients see of a hub, over the wire.
//!
//! The wire is a pipe in memory and the clock is tokio's, so that a timeout of 30 seconds costs none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod endings;
mod fan_out;
mod negotiation;
mod server;
