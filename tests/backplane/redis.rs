//! Claims that hold for every server, put to the machine's `redis-server`.

#[path = "bursts.rs"]
mod bursts;
#[path = "counts.rs"]
mod counts;
#[path = "faults.rs"]
mod faults;
#[path = "network.rs"]
mod network;
#[path = "outage.rs"]
mod outage;
#[path = "signalr2.rs"]
mod signalr2;

use harness::Server;

use crate::site::Site;

/// Whether nothing is missing after a fault that the server outlives.
const REMEMBERS: bool = false;

/// The server that the modules make their claims about.
async fn server(arguments: &[&str]) -> Server {
    Server::redis(arguments).await
}

/// The same with a network before it that can fail.
async fn site() -> Site {
    Site::single(server(&[]).await).await
}
