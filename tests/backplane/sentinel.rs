//! The claims about faults, checked with a Sentinel whose master does not change. `failover` tests
//! a change.

#[path = "faults.rs"]
mod faults;
#[path = "guarantees.rs"]
mod guarantees;
#[path = "network.rs"]
mod network;

use crate::site::Site;

/// Whether no message is lost in a fault that the server survives.
const REMEMBERS: bool = false;

async fn site() -> Site {
    Site::sentinel().await
}
