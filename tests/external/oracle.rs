//! Modules of `e2e` about the view of clients, run against the installed `redis-server`.
//!
//! A test that fails here is wrong, even if our broker passes it.

#[path = "../e2e/auth.rs"]
mod auth;
#[path = "../e2e/backplane.rs"]
mod backplane;
#[path = "../e2e/half_closed.rs"]
mod half_closed;
#[path = "../e2e/keys.rs"]
mod keys;
#[path = "../e2e/latency.rs"]
mod latency;
#[path = "../e2e/limits.rs"]
mod limits;
#[path = "../e2e/listening.rs"]
mod listening;
#[path = "../e2e/ordering.rs"]
mod ordering;
#[path = "../e2e/pubsub.rs"]
mod pubsub;
#[path = "../e2e/returns.rs"]
mod returns;
#[path = "../e2e/scripts.rs"]
mod scripts;
#[path = "../e2e/stackexchange.rs"]
mod stackexchange;

use harness::Server;

/// Starts the server that the modules test.
async fn server(arguments: &[&str]) -> Server {
    Server::redis(arguments).await
}
