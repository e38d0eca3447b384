//! The faults again, on our broker that remembers what was published.

#[path = "faults.rs"]
mod faults;

use harness::Server;

/// Whether nothing is missing after a fault that the server outlives.
const REMEMBERS: bool = true;

async fn server(arguments: &[&str]) -> Server {
    Server::ours(&[&["--pubsub-replay", "ChatApp 10000 64mb 60"], arguments].concat()).await
}
