//! Measures fan-out latency: the time until the last of many connections has a message. The same
//! number of subscribers of a broker is measured beside them.
//!
//! Both run in this process and take turns with every message, so that a slow moment affects both.

use std::sync::Arc;
use std::time::Instant;

use broker::Broker;
use tokio::runtime::Builder;

use super::arrivals::{Arrivals, Group, Listener};
use super::server::{Sender, Way};
use crate::{Failure, frames};

/// The group of all connections.
const GROUP: usize = 0;
/// Messages sent before the measured ones.
const WARM_UP: usize = 20;

/// Returns two numbers for each message: the latency of the broker and that of the backplane, in
/// nanoseconds.
pub(super) fn run(url: &str, connections: usize, messages: usize) -> Result<String, Failure> {
    // One thread for each processor, as servers usually run.
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let url = url.to_owned();
    let measuring = runtime.spawn(async move { measure(&url, connections, messages).await });
    runtime.block_on(measuring)?
}

async fn measure(url: &str, connections: usize, messages: usize) -> Result<String, Failure> {
    let arrivals = Arc::new(Arrivals::default());
    let group = Group::new(GROUP);
    let ways = [Way::Broker(Broker::new()), Way::Url(url.to_owned())];
    let mut senders = Vec::new();
    for way in &ways {
        let sender = Sender::open(way).await?;
        for each in 0..connections {
            sender.listen(each, GROUP, Listener::new(&group, 1, &arrivals)).await?;
        }
        senders.push(sender);
    }
    let mut took = Vec::new();
    for number in 0..(WARM_UP + messages) as u64 {
        for sender in &senders {
            arrivals.expect(connections as u64);
            let start = Instant::now();
            sender.send(GROUP, frames::tag(0, number)).await?;
            took.push(arrivals.all().await?.duration_since(start));
        }
    }
    let counted = took[WARM_UP * senders.len()..].iter().map(|time| time.as_nanos().to_string());
    Ok(counted.collect::<Vec<_>>().join(" "))
}
