//! The claims about faults, put to a Sentinel with a master that stays the same. What happens when it
//! does not is in `failover`.

#[path = "faults.rs"]
mod faults;
#[path = "network.rs"]
mod network;

use crate::site::Site;

/// Whether nothing is missing after a fault that the server outlives.
const REMEMBERS: bool = false;

async fn site() -> Site {
    Site::sentinel().await
}
