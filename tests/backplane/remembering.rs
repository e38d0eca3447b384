//! The claims about faults, checked with our broker in the configuration that README recommends.

#[path = "faults.rs"]
mod faults;
#[path = "guarantees.rs"]
mod guarantees;

use harness::Server;

use crate::site::Site;

/// Whether no message is lost in a fault that the server survives.
const REMEMBERS: bool = true;

async fn site() -> Site {
    let options = ["--pubsub-replay", "ChatApp 10000 64mb 60", "--counters-file", "counters"];
    Site::single(Server::ours(&options).await).await
}
