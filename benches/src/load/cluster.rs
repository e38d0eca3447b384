//! Messages to the groups of a cluster of web servers, with and without backplanes.
//!
//! Each receiver is in one group, and each message goes to all receivers of one group. The same load
//! runs three times:
//!
//! - **Server alone.** A receiver is a client that subscribes to the channel of its group. An
//!   application without a backplane would use the server like this.
//! - **Embedded broker.** A receiver is a task in the process of the broker. There is no socket and
//!   no second server, so this is the lowest possible cost of a delivery to a task.
//! - **Backplanes.** A receiver is a connection of a web server. Only the web servers are clients of
//!   the broker.
//!
//! The figures of the last two include sending and checking, since both happen in the process of the
//! receivers. The figure of the first is that of the server process only.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::client::Client;
use super::subscriptions::await_clients;
use super::{stream, within};
use crate::figure::{Figure, Phase, Quantile};
use crate::sample::{Sample, histogram};
use crate::sampler::Sampler;
use crate::scenario::Cluster;
use crate::server::{LOAD_CPU, Server};
use crate::{Failure, cluster, systems};

/// Measures the cost of a delivery in all three ways.
pub(super) async fn run(load: Cluster, server: &Server, time: Duration) -> Result<Sample, Failure> {
    let alone = stream::run(load.alone(), server, time).await?;
    await_clients(&mut Client::connect(server).await?, server, 1).await?;
    let subscribers = process(load, Kind::Subscribers, server, time).await?;
    let cluster = process(load, Kind::Backplanes, server, time).await?;

    let value = |sample: &Sample, figure| sample.get(figure).unwrap_or(f64::NAN);
    let of_cluster = value(&cluster, Figure::BackplaneCpu);
    let of_alone = value(&alone, Figure::CpuPerDelivery);
    let of_subscribers = value(&subscribers, Figure::SubscriberCpu);
    Ok(cluster
        .and(Figure::ToBroker, of_cluster / of_alone)
        .and(Figure::CpuPerDelivery, of_alone)
        .and(Figure::BrokerRate, value(&alone, Figure::Rate))
        .and(Figure::ToSubscribers, of_cluster / of_subscribers)
        .and(Figure::SubscriberCpu, of_subscribers))
}

/// The way in which messages reach the receivers of a process.
#[derive(Clone, Copy)]
enum Kind {
    Backplanes,
    Subscribers,
}

/// Measures the cost of a delivery in a process of web servers.
async fn process(
    load: Cluster,
    kind: Kind,
    server: &Server,
    time: Duration,
) -> Result<Sample, Failure> {
    let (verb, figure) = match kind {
        Kind::Backplanes => ("cluster", Figure::BackplaneCpu),
        Kind::Subscribers => ("subscribers", Figure::SubscriberCpu),
    };
    let process = Server::start(&systems::cluster(server.port)?, 0)?;
    process.pin(&[LOAD_CPU])?;
    let mut control = Control::connect(&process).await?;
    let Cluster { servers, connections, groups, pipeline } = load;
    control.ask(&format!("{verb} {servers} {connections} {groups} {pipeline}")).await?;
    let (of_process, of_server) = (Sampler::start(&process)?, Sampler::start(server)?);
    let sent = control.ask(&format!("send {}", time.as_nanos())).await?;
    let messages = *sent.first().ok_or(Failure::Closed)?;
    let deliveries = messages * load.receivers() as f64;
    let server_nanos = of_server.nanos()?;
    let sample = of_process.cost(figure, deliveries)?;
    let rate = sample.get(Figure::Rate).unwrap_or_default();
    Ok(sample
        .and(Figure::ClusterServerCpu, server_nanos / deliveries)
        .and(Figure::MessageRate, rate / load.receivers() as f64))
}

/// Measures fan-out latency, of backplanes and of a broker alone.
pub(super) async fn fan_out(
    connections: usize,
    messages: usize,
    server: &Server,
) -> Result<Sample, Failure> {
    let process = Server::start(&systems::cluster(server.port)?, 0)?;
    let mut control = Control::connect(&process).await?;
    let took = control.ask(&format!("fan-out {connections} {messages}")).await?;
    let (mut of_broker, mut of_backplane) = (histogram(), histogram());
    for both in took.as_chunks::<2>().0 {
        of_broker.saturating_record(both[0] as u64);
        of_backplane.saturating_record(both[1] as u64);
    }
    let sample = Sample::default()
        .and_latency(Phase::Whole, &of_backplane)
        .and_latency(Phase::Broker, &of_broker);
    let middle = |phase| sample.get(Figure::Latency(phase, Quantile::P50)).unwrap_or(f64::NAN);
    let ratio = middle(Phase::Whole) / middle(Phase::Broker);
    Ok(sample.and(Figure::ToBroker, ratio))
}

/// Kills the broker of this number of web servers and starts it again after `away`. Measures the time
/// until they receive messages again.
pub(super) async fn outage(
    servers: usize,
    away: Duration,
    server: &mut Server,
) -> Result<Sample, Failure> {
    let process = Server::start(&systems::cluster(server.port)?, 0)?;
    let mut control = Control::connect(&process).await?;
    control.ask(&format!("join {servers}")).await?;
    server.kill()?;
    control.ask("notice").await?;
    tokio::time::sleep(away).await;
    server.start_again()?;
    let mut took = histogram();
    for nanos in control.ask("recover").await? {
        took.saturating_record(nanos as u64);
    }
    Ok(Sample::default().and_latency(Phase::Whole, &took))
}

/// Controls the process of a cluster.
struct Control(BufStream<TcpStream>);

impl Control {
    async fn connect(process: &Server) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", process.port)).await?;
        Ok(Self(BufStream::new(stream)))
    }

    /// Sends a command and returns the numbers of the answer.
    async fn ask(&mut self, line: &str) -> Result<Vec<f64>, Failure> {
        self.0.write_all(format!("{line}\n").as_bytes()).await?;
        self.0.flush().await?;
        let mut answer = String::new();
        within("an answer of the cluster", self.0.read_line(&mut answer)).await?;
        match answer.trim_end().strip_prefix(cluster::ERROR) {
            Some(reason) => Err(Failure::Cluster(reason.to_owned())),
            None => Ok(answer.split_whitespace().filter_map(|word| word.parse().ok()).collect()),
        }
    }
}
