//! Connections that open, wait and close.

use std::time::Duration;

use tokio::task::JoinSet;

use super::client::Client;
use crate::Failure;
use crate::figure::Figure;
use crate::sample::Sample;
use crate::sampler::Sampler;
use crate::server::Server;

/// The number of channels that four digits can name.
const CHANNELS: usize = 10_000;

/// Measures the memory of connections that subscribe and then do nothing for `rest`.
pub(super) async fn idle(
    server: &Server,
    connections: usize,
    rest: Duration,
) -> Result<Sample, Failure> {
    let channel = |number| number % CHANNELS;
    // The first clients also cause allocations that a server makes only once.
    let first = if rest.is_zero() { connections / 5 } else { 0 };
    let _first = Client::subscribers(server, 0..first, channel).await?;
    let before = server.rss()?;
    let _others = Client::subscribers(server, first..connections, channel).await?;
    tokio::time::sleep(rest).await;
    let after = server.rss()?;
    let each = after.saturating_sub(before) as f64 / (connections - first) as f64;
    Ok(Sample::of(Figure::BytesEach, each).and(Figure::Memory, after as f64))
}

/// Measures connections that open, subscribe and close, one after the other.
pub(super) async fn churn(server: &Server, connections: usize) -> Result<Sample, Failure> {
    let sampler = Sampler::start(server)?;
    for _ in 0..connections {
        drop(Client::subscriber(server, 0).await?);
    }
    sampler.cost(Figure::CpuPerConnection, connections as f64)
}

/// Measures connections that open at once, each with many subscriptions in one write.
pub(super) async fn storm(
    server: &Server,
    connections: usize,
    channels: usize,
) -> Result<Sample, Failure> {
    let sampler = Sampler::start(server)?;
    let mut clients = JoinSet::new();
    for number in 0..connections {
        let mut client = Client::connect(server).await?;
        clients.spawn_local(async move {
            let names = (0..channels).map(|index| format!("{number:05}:{index:04}"));
            client.subscribe(names).await?;
            Ok::<_, Failure>(client)
        });
    }
    let mut open = Vec::new();
    while let Some(client) = clients.join_next().await {
        open.push(client??);
    }
    sampler.cost(Figure::CpuPerConnection, connections as f64)
}
