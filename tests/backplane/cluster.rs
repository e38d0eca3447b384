//! The claims about faults, put to a cluster of three masters. What happens when a slot moves is in
//! `failover`.

#[path = "faults.rs"]
mod faults;
#[path = "network.rs"]
mod network;

use crate::site::Site;

/// Whether nothing is missing after a fault that the server outlives.
const REMEMBERS: bool = false;

async fn site() -> Site {
    Site::cluster().await
}
