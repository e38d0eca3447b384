//! The faults again, on our broker that remembers what was published.

#[path = "faults.rs"]
mod faults;

use harness::Server;

use crate::site::Site;

/// Whether nothing is missing after a fault that the server outlives.
const REMEMBERS: bool = true;

async fn site() -> Site {
    Site::single(Server::ours(&["--pubsub-replay", "ChatApp 10000 64mb 60"]).await).await
}
