//! One message at a time, from a publisher to a subscriber.

use std::time::{Duration, Instant};

use super::client::Client;
use super::listeners::nanos;
use crate::Failure;
use crate::figure::{Figure, Phase};
use crate::frames::{self, TAG_BYTES};
use crate::sample::{Sample, histogram};
use crate::sampler::Sampler;
use crate::scenario::PAYLOAD_BYTES;
use crate::server::Server;

pub(super) async fn run(server: &Server, time: Duration) -> Result<Sample, Failure> {
    let mut payload = frames::payload(PAYLOAD_BYTES);
    let mut subscriber = Client::subscriber(server, 0).await?;
    let mut publisher = Client::connect(server).await?;
    let protocol = server.protocol();
    let reply = protocol.publish_reply(1);
    let mut latency = histogram();
    let sampler = Sampler::start(server)?;
    let start = Instant::now();
    while start.elapsed() < time {
        payload[..TAG_BYTES].copy_from_slice(&frames::tag(0, latency.len()));
        let (request, message) = (protocol.publish(0, &payload), protocol.message(0, &payload));
        let sent = Instant::now();
        publisher.send(&request).await?;
        subscriber.expect(&message).await?;
        latency.saturating_record(nanos(sent.elapsed()));
        publisher.expect(&reply).await?;
    }
    let sample = sampler.cost(Figure::CpuPerDelivery, latency.len() as f64)?;
    Ok(sample.and_latency(Phase::Whole, &latency))
}
