//! The load: publishers and subscribers on one thread, and what they find out.
//!
//! Whatever a server answers is compared with what it must be, so a figure never comes from a
//! server that loses or changes something.
//!
//! | module          | what the load does                                                       |
//! |-----------------|--------------------------------------------------------------------------|
//! | `client`        | one connection: requests and their exact replies                         |
//! | `connections`   | connections that come, wait and go                                       |
//! | `cluster`          | messages over backplanes, and without them                               |
//! | `listeners`     | all who listen, and how much they have got                               |
//! | `open_loop`     | messages sent by the clock                                               |
//! | `ping_pong`     | one message at a time                                                    |
//! | `scripts`       | messages sent by a script that numbers them                              |
//! | `stalled`       | messages sent by the clock, and one subscriber that stops reading        |
//! | `stream`        | messages sent as fast as they are answered                               |
//! | `subscriptions` | subscriptions that come and go                                           |

mod client;
mod cluster;
mod connections;
mod listeners;
mod open_loop;
mod ping_pong;
mod scripts;
mod stalled;
mod stream;
mod subscriptions;

use std::time::Duration;

use crate::Failure;
use crate::sample::Sample;
use crate::scenario::Load;
use crate::server::Server;

/// How long anything but the load itself may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a load once, for so long where it has no end of its own.
pub(crate) async fn run(
    load: Load,
    server: &mut Server,
    time: Duration,
) -> Result<Sample, Failure> {
    match load {
        Load::Stream(stream) => stream::run(stream, server, time).await,
        Load::Scripts { stream, script } => scripts::run(stream, script, server, time).await,
        Load::OpenLoop { stream, rate, .. } => open_loop::run(stream, rate, server, time).await,
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
        Load::Subscriptions(crowd) => subscriptions::run(crowd, server).await,
    }
}

/// Waits for something that has to come.
async fn within<T, E>(
    what: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Late(what)),
    }
}
