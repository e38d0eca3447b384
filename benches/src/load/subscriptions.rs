//! Subscriptions that start and end: the cost of each, by their number.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::PATIENCE;
use super::client::{AT_A_TIME, Client};
use crate::Failure;
use crate::figure::Figure;
use crate::protocol::Protocol;
use crate::sample::Sample;
use crate::sampler::Sampler;
use crate::scenario::Crowd;
use crate::server::Server;

/// The fewest subscriptions of a measurement. A small crowd subscribes several times.
const COUNT_MIN: usize = 20_000;
/// The most times that a small crowd subscribes.
const TIMES_MAX: usize = 20;

/// Measures the memory of one client that subscribes to many channels.
pub(super) async fn memory(server: &Server, channels: usize) -> Result<Sample, Failure> {
    let mut client = Client::connect(server).await?;
    let before = server.rss()?;
    client.subscribe((0..channels).map(|index| format!("channel:{index:06}"))).await?;
    let after = server.rss()?;
    let each = after.saturating_sub(before) as f64 / channels as f64;
    Ok(Sample::of(Figure::BytesEach, each).and(Figure::Memory, after as f64))
}

/// Measures subscriptions, of which one half ends with UNSUBSCRIBE and the other with its clients.
pub(super) async fn run(crowd: Crowd, server: &Server) -> Result<Sample, Failure> {
    let mut control = Client::connect(server).await?;
    let times = (COUNT_MIN / crowd.subscriptions()).clamp(1, TIMES_MAX);
    let (mut subscribe, mut unsubscribe, mut close) = (0.0, 0.0, 0.0);
    let mut rss = 0;
    for _ in 0..times {
        let mut clients = Vec::new();
        while clients.len() < crowd.clients {
            let some = (clients.len()..crowd.clients).take(AT_A_TIME);
            clients.extend(try_join_all(some.map(|_| Client::connect(server))).await?);
        }
        await_clients(&mut control, server, crowd.clients + 1).await?;

        let sampler = Sampler::start(server)?;
        let mut numbered: Vec<(usize, &mut Client)> = clients.iter_mut().enumerate().collect();
        for some in numbered.chunks_mut(AT_A_TIME) {
            let all =
                some.iter_mut().map(|(number, client)| client.subscribe(crowd.channels(*number)));
            try_join_all(all).await?;
        }
        subscribe += sampler.nanos()?;
        rss = server.rss()?;

        // Every other subscription, so that the ended ones are spread over all channels.
        let sampler = Sampler::start(server)?;
        for some in numbered.chunks_mut(AT_A_TIME) {
            let all = some.iter_mut().map(|(number, client)| {
                let first = *number * crowd.channels_each;
                let channels = crowd.channels(*number).enumerate();
                let leaving = channels.filter(move |(index, _)| (first + index).is_multiple_of(2));
                client.unsubscribe(leaving.map(|(_, name)| name))
            });
            try_join_all(all).await?;
        }
        unsubscribe += sampler.nanos()?;

        let sampler = Sampler::start(server)?;
        drop(clients);
        await_clients(&mut control, server, 1).await?;
        close += sampler.nanos()?;
    }
    let count = (crowd.subscriptions() * times) as f64;
    let sample = Sample::of(Figure::CpuPerSubscribe, subscribe / count)
        .and(Figure::CpuPerUnsubscribe, unsubscribe / (count / 2.0));
    let sample = match server.protocol() {
        Protocol::Redis => sample.and(Figure::CpuPerClose, close / (count / 2.0)),
        // NATS closes the socket first, so the end of the work is unknown.
        Protocol::Nats => sample,
    };
    Ok(sample.and(Figure::Memory, rss as f64))
}

/// Waits until the server has `count` clients. NATS has no request for their number, so its sockets
/// are counted.
pub(super) async fn await_clients(
    control: &mut Client,
    server: &Server,
    count: usize,
) -> Result<(), Failure> {
    let line = format!("connected_clients:{count}\r\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_reached = match server.protocol() {
            Protocol::Redis => control.ask_for_text(&["INFO", "clients"]).await?.contains(&line),
            Protocol::Nats => server.sockets()? == count + LISTENING,
        };
        if is_reached {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::Late("the end of all clients"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sockets of a server that belong to no client.
const LISTENING: usize = 1;
