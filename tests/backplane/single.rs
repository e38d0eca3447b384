//! The claims about a single server. The module above chooses the server.

#[path = "aspnetcore.rs"]
mod aspnetcore;
#[path = "bursts.rs"]
mod bursts;
#[path = "counts.rs"]
mod counts;
#[path = "faults.rs"]
mod faults;
#[path = "guarantees.rs"]
mod guarantees;
#[path = "network.rs"]
mod network;
#[path = "outage.rs"]
mod outage;
#[path = "sends.rs"]
mod sends;
#[path = "signalr2.rs"]
mod signalr2;

use super::server;
use crate::site::Site;

/// Whether no message is lost in a fault that the server survives.
const REMEMBERS: bool = false;

/// Returns the server behind a network that can fail.
async fn site() -> Site {
    Site::single(server(&[]).await).await
}
