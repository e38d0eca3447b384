//! Clients that start, and those that do nothing afterwards.

use std::time::Instant;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::client::Client;
use crate::Failure;
use crate::figure::{Figure, Phase};
use crate::load::client::AT_A_TIME;
use crate::load::listeners::nanos;
use crate::sample::{Sample, histogram};
use crate::sampler::Sampler;
use crate::server::Server;
use crate::subprotocol::{Call, Subprotocol};

/// Measures the memory of clients that do nothing after their start.
pub(super) async fn idle(
    server: &Server,
    subprotocol: Subprotocol,
    clients: usize,
) -> Result<Sample, Failure> {
    // The first clients also cause allocations that a server makes only once.
    let first = clients / 5;
    let _first = Client::start_many(server, subprotocol, Call::Send, first).await?;
    let before = server.rss()?;
    let _others = Client::start_many(server, subprotocol, Call::Send, clients - first).await?;
    let after = server.rss()?;
    let each = after.saturating_sub(before) as f64 / (clients - first) as f64;
    Ok(Sample::of(Figure::BytesEach, each).and(Figure::Memory, after as f64))
}

/// Measures full starts. A latency is the time of one start.
pub(super) async fn storm(
    server: &Server,
    subprotocol: Subprotocol,
    clients: usize,
) -> Result<Sample, Failure> {
    let mut latencies = histogram();
    let sampler = Sampler::start(server)?;
    let start = async || {
        let start = Instant::now();
        let client = Client::start_in_full(server, subprotocol).await?;
        Ok::<_, Failure>((client, start.elapsed()))
    };
    let starting = stream::iter(0..clients).map(|_| start()).buffer_unordered(AT_A_TIME);
    let open: Vec<_> = starting.try_collect().await?;
    for (_, took) in &open {
        latencies.saturating_record(nanos(*took));
    }
    let sample = sampler.cost(Figure::CpuPerConnection, clients as f64)?;
    Ok(sample.and_latency(Phase::Whole, &latencies))
}
