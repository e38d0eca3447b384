//! One server of the farm, on a thread of its own, as it would have a machine of its own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use backplane::{Backplane, Invocation, Target};
use broker::Broker;
use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use super::APP;
use super::arrivals::{Arrivals, Group, Listener, arguments, json};
use crate::Failure;
use crate::frames::{self, TAG_BYTES};
use crate::scenario::Farm;
use crate::wire;

/// The farm's handle of it.
pub(super) struct Server {
    orders: mpsc::UnboundedSender<Order>,
}

/// How messages reach connections.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Over a backplane, with the broker of this URL.
    Url(String),
    /// Without any: all servers share a broker of this process.
    Broker(Broker),
}

/// Whom messages are given to.
pub(super) enum Sender {
    Backplane(Backplane),
    Broker(Broker),
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
        way: &Way,
        arrivals: &Arc<Arrivals>,
    ) -> Result<Self, Failure> {
        let (orders, to_do) = mpsc::unbounded_channel();
        let (ready, is_ready) = oneshot::channel();
        let (way, arrivals) = (way.clone(), arrivals.clone());
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match open(number, load, &way, &arrivals).await {
                    Ok(sender) => {
                        let _ = ready.send(Ok(()));
                        work(&sender, number, load, to_do).await;
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

impl Sender {
    pub(super) async fn open(way: &Way) -> Result<Self, Failure> {
        match way {
            Way::Url(url) => {
                let backplane =
                    Backplane::builder(APP).connect(url).await.map_err(Failure::farm)?;
                Ok(Self::Backplane(backplane))
            }
            Way::Broker(broker) => Ok(Self::Broker(broker.clone())),
        }
    }

    /// Lets somebody listen to a group, as the connection with this number.
    pub(super) async fn listen(
        &self,
        number: usize,
        group: usize,
        listener: Listener,
    ) -> Result<(), Failure> {
        let group = wire::channel(group);
        match self {
            Self::Backplane(backplane) => {
                let id = format!("connection-{number:06}");
                let connection = backplane.attach(&id, None);
                backplane.join(&id, &group).await.map_err(Failure::farm)?;
                tokio::spawn(listener.attend(connection));
            }
            Self::Broker(broker) => {
                tokio::spawn(listener.subscribe(broker.subscribe(&group)));
            }
        }
        Ok(())
    }

    /// Sends a message with this tag.
    pub(super) async fn send(&self, group: usize, tag: [u8; TAG_BYTES]) -> Result<(), Failure> {
        match self {
            Self::Backplane(backplane) => {
                let arguments = arguments(group, tag);
                let invocation = Invocation::new("say", arguments).map_err(Failure::farm)?;
                let target = Target::group(wire::channel(group));
                backplane.send(target, invocation).await.map_err(Failure::farm)
            }
            Self::Broker(broker) => {
                broker.publish(wire::channel(group), json(group, tag));
                Ok(())
            }
        }
    }
}

/// Connects, and attaches the connections whose numbers are its own.
async fn open(
    number: usize,
    load: Farm,
    way: &Way,
    arrivals: &Arc<Arrivals>,
) -> Result<Sender, Failure> {
    let sender = Sender::open(way).await?;
    let groups: Vec<Group> = (0..load.groups).map(Group::new).collect();
    // Each group has connections on all servers.
    let is_own = |each: &usize| (each + each / load.groups) % load.servers == number;
    for each in (0..load.connections).filter(is_own) {
        let group = each % load.groups;
        let listener = Listener::new(&groups[group], load.servers, arrivals);
        sender.listen(each, group, listener).await?;
    }
    Ok(sender)
}

async fn work(
    sender: &Sender,
    number: usize,
    load: Farm,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut sent = vec![0; load.groups];
    while let Some(order) = orders.recv().await {
        let until = Instant::now() + order.time;
        let outcome = publish(sender, number, load, &mut sent, until).await;
        let _ = order.sent.send(outcome);
    }
}

/// Sends to the groups in turn until the time is over, and returns how many messages that were.
async fn publish(
    sender: &Sender,
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
                sender.send(group, frames::tag(number, sent[group] - 1))
            })
            .collect();
        messages += sends.len() as u64;
        join_all(sends).await.into_iter().collect::<Result<(), _>>()?;
        // A broker of this process takes them without a pause, and connections want to run as well.
        yield_now().await;
    }
    Ok(messages)
}
