//! How long until the last of many connections has a message, beside as many subscribers of the
//! broker itself.
//!
//! Both are in this process and take turns, message by message, so that a slow moment hits both.

use std::sync::Arc;
use std::time::Instant;

use backplane::Backplane;
use broker::Broker;
use tokio::runtime::Builder;

use super::APP;
use super::arrivals::{Arrivals, Listener, json};
use super::server::send;
use crate::Failure;
use crate::frames;
use crate::wire;

/// The group of all of them.
const GROUP: usize = 0;
/// Messages that are not counted.
const WARM_UP: usize = 20;

/// Returns two numbers for each message: the nanoseconds of the broker, and of the backplane.
pub(super) fn run(url: &str, connections: usize, messages: usize) -> Result<String, Failure> {
    // As many threads as there are processors, as servers have them.
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let url = url.to_owned();
    let measuring = runtime.spawn(async move { measure(&url, connections, messages).await });
    runtime.block_on(measuring)?
}

async fn measure(url: &str, connections: usize, messages: usize) -> Result<String, Failure> {
    let arrivals = Arc::new(Arrivals::default());
    let listener = || Listener::new(GROUP, 1, &arrivals);
    let (broker, channel) = (Broker::new(), wire::channel(GROUP));
    let backplane = Backplane::from_url(url, APP).await.map_err(Failure::farm)?;
    for each in 0..connections {
        tokio::spawn(listener().subscribe(broker.subscribe(&channel)));
        let id = format!("connection-{each:06}");
        let connection = backplane.attach(&id, None);
        backplane.join(&id, &channel).await.map_err(Failure::farm)?;
        tokio::spawn(listener().attend(connection));
    }
    let mut took = Vec::new();
    for number in 0..(WARM_UP + messages) as u64 {
        let tag = frames::tag(0, number);
        arrivals.expect(connections as u64);
        let text = json(GROUP, tag);
        let start = Instant::now();
        broker.publish(&channel, text);
        let of_broker = arrivals.all().await?.duration_since(start);

        arrivals.expect(connections as u64);
        let start = Instant::now();
        send(&backplane, GROUP, tag).await?;
        let of_backplane = arrivals.all().await?.duration_since(start);
        took.push([of_broker, of_backplane]);
    }
    let nanos = took[WARM_UP..].iter().flatten().map(|time| time.as_nanos().to_string());
    Ok(nanos.collect::<Vec<_>>().join(" "))
}
