//! The claims about a single server, checked with the machine's `redis-server`.

#[path = "single.rs"]
mod single;

use harness::Server;

async fn server(arguments: &[&str]) -> Server {
    Server::redis(arguments).await
}
