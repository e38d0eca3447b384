//! The claims about faults, checked with our broker and a replay buffer.

#[path = "faults.rs"]
mod faults;
#[path = "guarantees.rs"]
mod guarantees;

use harness::Server;

use crate::site::Site;

/// Whether no message is lost in a fault that the server survives.
const REMEMBERS: bool = true;

async fn site() -> Site {
    Site::single(Server::ours(&["--pubsub-replay", "ChatApp 10000 64mb 60"]).await).await
}
