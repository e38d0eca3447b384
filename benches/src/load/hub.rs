//! WebSocket clients of a hub, or of another server with the same load.
//!
//! | module   | load                                                     |
//! |----------|----------------------------------------------------------|
//! | `client` | one connection: its start, and its frames                |
//! | `crowd`  | many clients that check and count their messages         |
//! | `starts` | clients that start, and those that do nothing afterwards |

mod client;
mod crowd;
mod starts;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use self::crowd::Crowd;
use crate::Failure;
use crate::figure::{Figure, Phase};
use crate::sample::Sample;
use crate::sampler::Sampler;
use crate::scenario::{Hub, PAYLOAD_BYTES};
use crate::server::Server;
use crate::subprotocol::{Call, Subprotocol, Texts};

/// Messages before the measured ones, for memory that a server allocates only once.
const WARM_UP: usize = 10;

/// Runs a load of a hub.
pub(super) async fn run(hub: Hub, server: &Server, time: Duration) -> Result<Sample, Failure> {
    let subprotocol = server.subprotocol().ok_or(Failure::NoSubprotocol)?;
    match hub {
        Hub::Fan { clients, payload_bytes } => {
            let texts = Texts::new(subprotocol, Call::Send, payload_bytes);
            fan(server, Crowd::connect(server, Call::Send, texts, clients, 1).await?, time).await
        }
        Hub::Stream { senders, window, clients } => {
            let crowd = crowd(server, subprotocol, Call::Send, clients, senders).await?;
            stream(server, crowd, window, clients, time).await
        }
        Hub::Echo { clients } => {
            let crowd = crowd(server, subprotocol, Call::Echo, clients, clients).await?;
            stream(server, crowd, 1, 1, time).await
        }
        Hub::Idle { clients } => starts::idle(server, subprotocol, clients).await,
        Hub::Storm { clients } => starts::storm(server, subprotocol, clients).await,
    }
}

async fn crowd(
    server: &Server,
    subprotocol: Subprotocol,
    call: Call,
    clients: usize,
    senders: usize,
) -> Result<Crowd, Failure> {
    let texts = Texts::new(subprotocol, call, PAYLOAD_BYTES);
    Crowd::connect(server, call, texts, clients, senders).await
}

/// Sends one message at a time. A latency is the time until one of the clients has a message.
async fn fan(server: &Server, mut crowd: Crowd, time: Duration) -> Result<Sample, Failure> {
    for _ in 0..WARM_UP {
        crowd.send_one().await?;
    }
    crowd.forget_latencies();
    let before = crowd.received();
    let cost = Cost::start(server)?;
    let until = Instant::now() + time;
    while Instant::now() < until {
        crowd.send_one().await?;
    }
    cost.end(crowd.received() - before, &crowd.latencies())
}

/// Lets all senders send with a window. A latency is the time until a sender has its own message.
/// Each message has `receivers`.
async fn stream(
    server: &Server,
    mut crowd: Crowd,
    window: usize,
    receivers: usize,
    time: Duration,
) -> Result<Sample, Failure> {
    let cost = Cost::start(server)?;
    crowd.send_until(window, Instant::now() + time).await?;
    crowd.wait_for_all(receivers).await?;
    cost.end(crowd.received(), &crowd.latencies())
}

/// Measures a server, and the broker that it uses.
struct Cost<'a> {
    of_server: Sampler<'a>,
    of_broker: Option<Sampler<'a>>,
}

impl<'a> Cost<'a> {
    fn start(server: &'a Server) -> Result<Self, Failure> {
        let of_broker = server.companion().map(Sampler::start).transpose()?;
        Ok(Self { of_server: Sampler::start(server)?, of_broker })
    }

    fn end(self, deliveries: u64, latencies: &Histogram<u64>) -> Result<Sample, Failure> {
        let deliveries = deliveries as f64;
        let sample = self.of_server.cost(Figure::CpuPerDelivery, deliveries)?;
        let sample = match self.of_broker {
            Some(broker) => sample.and(Figure::CompanionCpu, broker.nanos()? / deliveries),
            None => sample,
        };
        Ok(sample.and_latency(Phase::Whole, latencies))
    }
}
