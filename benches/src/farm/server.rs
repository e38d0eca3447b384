//! One server of the farm, on a thread of its own, as it would have a machine of its own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use backplane::{Backplane, Invocation, Target};
use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::APP;
use super::arrivals::{Arrivals, Listener, arguments};
use crate::Failure;
use crate::frames::{self, TAG_BYTES};
use crate::scenario::Farm;
use crate::wire;

/// The farm's handle of it.
pub(super) struct Server {
    orders: mpsc::UnboundedSender<Order>,
}

/// To send for so long, and to tell how many messages that were.
struct Order {
    time: Duration,
    sent: oneshot::Sender<Result<u64, Failure>>,
}

impl Server {
    /// Starts the server with this number, and returns when its connections are in their groups.
    pub(super) fn start(
        number: usize,
        load: Farm,
        url: &str,
        arrivals: &Arc<Arrivals>,
    ) -> Result<Self, Failure> {
        let (orders, to_do) = mpsc::unbounded_channel();
        let (ready, is_ready) = oneshot::channel();
        let (url, arrivals) = (url.to_owned(), arrivals.clone());
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match open(number, load, &url, &arrivals).await {
                    Ok(backplane) => {
                        let _ = ready.send(Ok(()));
                        work(&backplane, number, load, to_do).await;
                    }
                    Err(failure) => _ = ready.send(Err(failure)),
                }
            });
            Ok::<(), std::io::Error>(())
        });
        is_ready.blocking_recv().unwrap_or(Err(Failure::Closed))?;
        Ok(Self { orders })
    }

    /// Sends for so long.
    pub(super) fn send(&self, time: Duration) -> oneshot::Receiver<Result<u64, Failure>> {
        let (sent, outcome) = oneshot::channel();
        // One that is gone does not answer.
        let _ = self.orders.send(Order { time, sent });
        outcome
    }
}

/// Connects, and attaches the connections whose numbers are its own.
async fn open(
    number: usize,
    load: Farm,
    url: &str,
    arrivals: &Arc<Arrivals>,
) -> Result<Backplane, Failure> {
    let backplane = Backplane::from_url(url, APP).await.map_err(Failure::farm)?;
    // Each group has connections on all servers.
    let is_own = |each: &usize| (each + each / load.groups) % load.servers == number;
    for each in (0..load.connections).filter(is_own) {
        let (id, group) = (format!("connection-{each:06}"), each % load.groups);
        let connection = backplane.attach(&id, None);
        backplane.join(&id, &wire::channel(group)).await.map_err(Failure::farm)?;
        tokio::spawn(Listener::new(group, load.servers, arrivals).attend(connection));
    }
    Ok(backplane)
}

async fn work(
    backplane: &Backplane,
    number: usize,
    load: Farm,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut sent = vec![0; load.groups];
    while let Some(order) = orders.recv().await {
        let until = Instant::now() + order.time;
        let outcome = publish(backplane, number, load, &mut sent, until).await;
        let _ = order.sent.send(outcome);
    }
}

/// Sends to the groups in turn until the time is over, and returns how many messages that were.
async fn publish(
    backplane: &Backplane,
    number: usize,
    load: Farm,
    sent: &mut [u64],
    until: Instant,
) -> Result<u64, Failure> {
    let mut group = number * load.groups / load.servers;
    let mut messages = 0;
    while Instant::now() < until {
        let sends: Vec<_> = (0..load.pipeline)
            .map(|_| {
                group = (group + 1) % load.groups;
                sent[group] += 1;
                send(backplane, group, frames::tag(number, sent[group] - 1))
            })
            .collect();
        messages += sends.len() as u64;
        join_all(sends).await.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(messages)
}

/// Sends a message with this tag.
pub(super) async fn send(
    backplane: &Backplane,
    group: usize,
    tag: [u8; TAG_BYTES],
) -> Result<(), Failure> {
    let invocation = Invocation::new("say", arguments(group, tag)).map_err(Failure::farm)?;
    let target = Target::group(wire::channel(group));
    backplane.send(target, invocation).await.map_err(Failure::farm)
}
