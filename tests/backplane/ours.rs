//! The claims about a single server, checked with our broker.

#[path = "single.rs"]
mod single;

use harness::Server;

async fn server(arguments: &[&str]) -> Server {
    Server::ours(arguments).await
}
