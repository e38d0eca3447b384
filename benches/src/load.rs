//! The load: publishers and subscribers on one thread, and their measurements.
//!
//! The load compares all replies and messages with the expected ones. A server that loses or changes
//! any of them gets no figures.
//!
//! | module          | load                                                                |
//! |-----------------|---------------------------------------------------------------------|
//! | `client`        | one connection: requests and their exact replies                    |
//! | `cluster`       | messages with and without backplanes                                |
//! | `connections`   | connections that open, wait and close                               |
//! | `hub`           | WebSocket clients of a hub                                          |
//! | `listeners`     | the subscribers of a measurement, and their count of messages       |
//! | `neighbours`    | busy processes that compete with the server                         |
//! | `open_loop`     | messages sent at a fixed rate                                       |
//! | `ping_pong`     | one message at a time                                               |
//! | `scripts`       | messages sent by a script that numbers them                         |
//! | `stalled`       | messages at a fixed rate, and one subscriber that stops reading     |
//! | `stream`        | messages sent as fast as replies arrive                             |
//! | `subscriptions` | subscriptions that start and end                                    |

mod client;
mod cluster;
mod connections;
mod hub;
mod listeners;
mod neighbours;
mod open_loop;
mod ping_pong;
mod scripts;
mod stalled;
mod stream;
mod subscriptions;

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use self::neighbours::Neighbours;
use crate::Failure;
use crate::sample::Sample;
use crate::scenario::Load;
use crate::server::Server;

/// The longest time for each step outside of the load itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a load once. It takes `time` if it has no end of its own.
pub(crate) async fn run(
    load: Load,
    server: &mut Server,
    time: Duration,
) -> Result<Sample, Failure> {
    match load {
        Load::Stream(stream) => stream::run(stream, server, time).await,
        Load::Scripts { stream, script } => scripts::run(stream, script, server, time).await,
        Load::OpenLoop { stream, rate, .. } => open_loop::run(stream, rate, server, time).await,
        Load::AtRate { stream, rate, neighbours } => {
            let _neighbours = Neighbours::start(neighbours)?;
            open_loop::run(stream, rate, server, time).await
        }
        Load::Stalled { stream, rate } => stalled::run(stream, rate, server, time).await,
        Load::PingPong => ping_pong::run(server, time).await,
        Load::Idle { connections, rest } => connections::idle(server, connections, rest).await,
        Load::Churn { connections } => connections::churn(server, connections).await,
        Load::Storm { connections, channels } => {
            connections::storm(server, connections, channels).await
        }
        Load::Memory { channels } => subscriptions::memory(server, channels).await,
        Load::Cluster(load) => cluster::run(load, server, time).await,
        Load::FanOut { connections, messages } => {
            cluster::fan_out(connections, messages, server).await
        }
        Load::Outage { servers, away } => cluster::outage(servers, away, server).await,
        Load::Hub(hub) => hub::run(hub, server, time).await,
        Load::Subscriptions(crowd) => subscriptions::run(crowd, server).await,
    }
}

/// Writes bytes, and those that a layer such as TLS still holds.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Failure> {
    within("a write", stream.write_all(bytes)).await?;
    within("a write", stream.flush()).await
}

/// Waits for an operation, and fails if it takes too long. `name` appears in the error.
async fn within<T, E>(
    name: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Late(name)),
    }
}
