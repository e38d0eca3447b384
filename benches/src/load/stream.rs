//! Messages sent as fast as replies arrive.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::Client;
use super::listeners::Listeners;
use crate::Failure;
use crate::figure::Figure;
use crate::frames::{self, TAG_BYTES};
use crate::protocol::{Batch, Protocol};
use crate::sample::Sample;
use crate::sampler::Sampler;
use crate::scenario::Stream;
use crate::server::Server;

/// Publishes during `time` and waits for all messages.
pub(super) async fn run(load: Stream, server: &Server, time: Duration) -> Result<Sample, Failure> {
    let mut listeners = Listeners::new(Box::new(|_, _| {}));
    listeners.connect(load, server).await?;
    let idle = (0..load.idle_patterns).map(|index| format!("room:{index}:*"));
    let _idle = Client::pattern_subscriber(server, idle).await?;
    let mut clients = Vec::new();
    for _ in 0..load.publishers {
        clients.push(Client::connect(server).await?);
    }
    let requests = Rc::new(Requests::new(load, server.protocol()));
    let sampler = Sampler::start(server)?;
    let until = Instant::now() + time;
    let mut publishers = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        publishers.spawn_local(publish(client, number, requests.clone(), until));
    }
    let mut deliveries = 0;
    while let Some(result) = publishers.join_next().await {
        deliveries += result??;
    }
    listeners.wait_for(deliveries).await?;
    sampler.cost(Figure::CpuPerDelivery, deliveries as f64)
}

/// The requests of a stream, one for each channel, with the numbers in their replies.
struct Requests {
    load: Stream,
    protocol: Protocol,
    publish: Vec<Vec<u8>>,
    receivers: Vec<u64>,
}

impl Requests {
    fn new(load: Stream, protocol: Protocol) -> Self {
        let payload = frames::payload(load.payload_bytes);
        Self {
            load,
            protocol,
            publish: (0..load.channels)
                .map(|channel| protocol.publish(channel, &payload))
                .collect(),
            receivers: (0..load.channels).map(|channel| load.receivers(channel)).collect(),
        }
    }

    /// Appends a request with a publisher's tag.
    fn push(&self, out: &mut Vec<u8>, channel: usize, tag: [u8; TAG_BYTES]) {
        let publish = &self.publish[channel];
        out.extend_from_slice(publish);
        let payload_bytes = self.load.payload_bytes.max(TAG_BYTES);
        let tag_at = out.len() - payload_bytes - b"\r\n".len();
        out[tag_at..tag_at + TAG_BYTES].copy_from_slice(&tag);
    }
}

/// Publishes until `until`. Returns the number of deliveries.
async fn publish(
    mut client: Client,
    number: usize,
    requests: Rc<Requests>,
    until: Instant,
) -> Result<u64, Failure> {
    let load = requests.load;
    let mut channel = number * load.channels / load.publishers;
    let mut sent = vec![0; load.channels];
    let mut deliveries = 0;
    let mut batch = Batch::new(requests.protocol);
    while Instant::now() < until {
        batch.clear();
        for _ in 0..load.pipeline {
            channel = (channel + 1) % load.channels;
            requests.push(&mut batch.requests, channel, frames::tag(number, sent[channel]));
            sent[channel] += 1;
            let receivers = requests.receivers[channel];
            batch.publish_reply(receivers);
            deliveries += receivers;
        }
        batch.end();
        client.ask(&batch.requests, &batch.replies).await?;
    }
    Ok(deliveries)
}
