//! The claims about faults, checked with a cluster of three masters. `failover` tests the migration
//! of a slot.

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
    Site::cluster().await
}
