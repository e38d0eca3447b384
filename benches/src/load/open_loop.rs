//! Messages sent at a fixed rate. Each message is due at a time that does not depend on the server,
//! and its latency counts from that time. A stall thus counts for every message that it delays.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::task::{spawn_blocking, spawn_local, yield_now};

use super::client::{self, Client};
use super::listeners::{Listeners, nanos};
use super::{send, within};
use crate::figure::{Figure, Phase};
use crate::frames::{self, TAG_BYTES};
use crate::protocol::Protocol;
use crate::sample::{Sample, histogram};
use crate::sampler::Sampler;
use crate::scenario::Stream;
use crate::server::Server;
use crate::{Failure, nats, tls};

/// The times at which messages are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) start: Instant,
    /// Messages a second.
    pub(super) rate: f64,
}

impl Clock {
    pub(super) fn due(self, message: u64) -> Instant {
        self.start + Duration::from_secs_f64(message as f64 / self.rate)
    }

    /// Returns the number of messages due until `now`. The first is due at the start.
    fn count(self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.start).as_secs_f64() * self.rate) as u64 + 1
    }
}

/// Publishes `rate` messages a second to one channel.
pub(super) async fn run(
    load: Stream,
    rate: f64,
    server: &Server,
    time: Duration,
) -> Result<Sample, Failure> {
    // Connecting takes time, so the clock is started again below.
    let clock = Rc::new(RefCell::new(Clock { start: Instant::now(), rate }));
    let latency = Rc::new(RefCell::new(histogram()));
    let mut listeners = Listeners::new({
        let (clock, latency) = (clock.clone(), latency.clone());
        Box::new(move |first, end| {
            let (clock, now) = (*clock.borrow(), Instant::now());
            for message in first..end {
                let late = now.saturating_duration_since(clock.due(message));
                latency.borrow_mut().saturating_record(nanos(late));
            }
        })
    });
    listeners.connect(load, server).await?;
    let publisher = Publisher::connect(load, server).await?;
    let sampler = Sampler::start(server)?;
    clock.borrow_mut().start = Instant::now();
    let now = *clock.borrow();
    let sent = publisher.publish(now, (rate * time.as_secs_f64()) as u64).await?;
    let deliveries = sent * load.receivers(0);
    listeners.wait_for(deliveries).await?;
    let sample = sampler.cost(Figure::CpuPerDelivery, deliveries as f64)?;
    let latency = latency.borrow();
    Ok(sample.and_latency(Phase::Whole, &latency))
}

/// A client that sends at a fixed rate and does not wait for replies.
pub(super) struct Publisher {
    stream: tls::Stream,
    protocol: Protocol,
    load: Stream,
}

/// The time before a message is due that the publisher does not sleep.
const SPUN: Duration = Duration::from_micros(100);
/// The most messages in one write.
const BATCH: u64 = 256;

impl Publisher {
    pub(super) async fn connect(load: Stream, server: &Server) -> Result<Self, Failure> {
        let stream = Client::connect(server).await?.into_stream();
        Ok(Self { stream, protocol: server.protocol(), load })
    }

    /// Sends `count` messages and waits for all replies. Returns the number of messages.
    pub(super) async fn publish(self, clock: Clock, count: u64) -> Result<u64, Failure> {
        let (mut read, mut write) = tokio::io::split(self.stream);
        let protocol = self.protocol;
        let reply = protocol.publish_reply(self.load.receivers(0));
        let replies = spawn_local(async move {
            match protocol {
                Protocol::Redis => expect_replies(read, reply, count).await,
                Protocol::Nats => client::expect(&mut read, protocol, nats::PONG).await,
            }
        });
        let mut request = protocol.publish(0, &frames::payload(self.load.payload_bytes));
        let tag_at = request.len() - b"\r\n".len() - self.load.payload_bytes.max(TAG_BYTES);
        let mut batch = Vec::new();
        let mut sent = 0;
        while sent < count {
            let due = clock.count(Instant::now()).min(count).min(sent + BATCH);
            if due == sent {
                let left = clock.due(sent).saturating_duration_since(Instant::now());
                match left.checked_sub(SPUN) {
                    // The runtime's timer is too coarse. A thread sleeps, so that the listeners run.
                    Some(left) => spawn_blocking(move || thread::sleep(left)).await?,
                    None => yield_now().await,
                }
                continue;
            }
            batch.clear();
            for message in sent..due {
                request[tag_at..tag_at + TAG_BYTES].copy_from_slice(&frames::tag(0, message));
                batch.extend_from_slice(&request);
            }
            send(&mut write, &batch).await?;
            sent = due;
        }
        send(&mut write, protocol.end()).await?;
        within("replies to PUBLISH", async { replies.await? }).await?;
        Ok(sent)
    }
}

/// Reads `count` replies, which must all equal `reply`.
async fn expect_replies(
    mut stream: ReadHalf<tls::Stream>,
    reply: Vec<u8>,
    count: u64,
) -> Result<(), Failure> {
    const READ_BYTES: usize = 16 * 1024;

    let expected = reply.repeat(READ_BYTES / reply.len() + 2);
    let mut buffer = vec![0; READ_BYTES];
    let (mut missing, mut at) = (count * reply.len() as u64, 0);
    while missing > 0 {
        let read = within("replies to PUBLISH", stream.read(&mut buffer)).await?;
        if read == 0 {
            return Err(Failure::Closed);
        }
        let expected = &expected[at..at + read];
        if buffer[..read] != *expected {
            let (expected, found) = (expected.into(), buffer[..read].into());
            return Err(Failure::Wrong { expected, found });
        }
        at = (at + read) % reply.len();
        missing = missing.saturating_sub(read as u64);
    }
    Ok(())
}
