//! Messages at a fixed rate to many subscribers, one of which stops reading for some time.
//!
//! The figures are the latencies of the other subscribers before, during and after the stop. The
//! stopped subscriber must receive all messages in the end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tokio::time::sleep_until;

use super::client::Client;
use super::listeners::{Listeners, Stall, nanos};
use super::open_loop::{Clock, Publisher};
use crate::Failure;
use crate::figure::{Figure, Phase};
use crate::frames;
use crate::sample::{Sample, histogram};
use crate::sampler::Sampler;
use crate::scenario::Stream;
use crate::server::Server;

const PHASES: [Phase; 3] = [Phase::Before, Phase::During, Phase::After];

/// Runs three phases of `time` each.
pub(super) async fn run(
    load: Stream,
    rate: f64,
    server: &Server,
    time: Duration,
) -> Result<Sample, Failure> {
    let clock = Rc::new(RefCell::new(Clock { start: Instant::now(), rate }));
    let latencies = Rc::new(RefCell::new(PHASES.map(|_| histogram())));
    let messages = (rate * time.as_secs_f64()) as u64;
    let mut listeners = Listeners::new({
        let (clock, latencies) = (clock.clone(), latencies.clone());
        Box::new(move |first, end| {
            let (clock, now) = (*clock.borrow(), Instant::now());
            for message in first..end {
                let phase = usize::try_from(message / messages).unwrap_or(0).min(2);
                let late = now.saturating_duration_since(clock.due(message));
                latencies.borrow_mut()[phase].saturating_record(nanos(late));
            }
        })
    });
    let others = Stream { subscribers: load.subscribers - 1, ..load };
    listeners.connect(others, server).await?;
    let stall = Rc::new(Stall::default());
    let frame = server.protocol().message(0, &frames::payload(load.payload_bytes));
    let frames = server.protocol().frames(frame, load.payload_bytes, 1);
    listeners.add_stalling(Client::subscriber(server, 0).await?, frames, stall.clone());
    let publisher = Publisher::connect(load, server).await?;
    let sampler = Sampler::start(server)?;
    let start = Instant::now();
    clock.borrow_mut().start = start;
    spawn_local(async move {
        sleep_until((start + time).into()).await;
        stall.begin();
        sleep_until((start + 2 * time).into()).await;
        stall.end();
    });
    let sent = publisher.publish(Clock { start, rate }, 3 * messages).await?;
    let deliveries = sent * load.receivers(0);
    listeners.wait_for(deliveries).await?;
    let sample = sampler.cost(Figure::CpuPerDelivery, deliveries as f64)?;
    let latencies = latencies.borrow();
    let phases = PHASES.into_iter().zip(&*latencies);
    Ok(phases.fold(sample, |sample, (phase, latency)| sample.and_latency(phase, latency)))
}
