//! One server of the cluster, on a thread of its own.

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
use crate::scenario::Cluster;
use crate::wire;

/// A handle of a running server.
pub(super) struct Server {
    orders: mpsc::UnboundedSender<Order>,
}

/// How messages reach connections.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Through a backplane with the broker at this URL.
    Url(String),
    /// Through a broker in this process, which all servers share.
    Broker(Broker),
}

/// The backplane or broker that sends the messages of a server.
pub(super) enum Sender {
    Backplane(Backplane),
    Broker(Broker),
}

/// A request to send for some time. `sent` receives the number of messages.
struct Order {
    time: Duration,
    sent: oneshot::Sender<Result<u64, Failure>>,
}

impl Server {
    /// Starts the server with this number, and returns when its connections are in their groups.
    pub(super) fn start(
        number: usize,
        load: Cluster,
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

    /// Lets the server send for this time. Its result arrives later.
    pub(super) fn send(&self, time: Duration) -> oneshot::Receiver<Result<u64, Failure>> {
        let (sent, outcome) = oneshot::channel();
        // If the thread has ended, the receiver reports it.
        let _ = self.orders.send(Order { time, sent });
        outcome
    }
}

impl Sender {
    pub(super) async fn open(way: &Way) -> Result<Self, Failure> {
        match way {
            Way::Url(url) => {
                let backplane =
                    Backplane::builder(APP).connect(url).await.map_err(Failure::cluster)?;
                Ok(Self::Backplane(backplane))
            }
            Way::Broker(broker) => Ok(Self::Broker(broker.clone())),
        }
    }

    /// Attaches the connection with this number to a group and gives its messages to `listener`.
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
                backplane.join(&id, &group).await.map_err(Failure::cluster)?;
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
                let invocation = Invocation::new("say", arguments).map_err(Failure::cluster)?;
                let target = Target::group(wire::channel(group));
                backplane.send(target, invocation).await.map_err(Failure::cluster)
            }
            Self::Broker(broker) => {
                broker.publish(wire::channel(group), json(group, tag));
                Ok(())
            }
        }
    }
}

/// Connects to the broker and attaches the connections that belong to this server.
async fn open(
    number: usize,
    load: Cluster,
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
    load: Cluster,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut sent = vec![0; load.groups];
    while let Some(order) = orders.recv().await {
        let until = Instant::now() + order.time;
        let outcome = publish(sender, number, load, &mut sent, until).await;
        let _ = order.sent.send(outcome);
    }
}

/// Sends to the groups in turn until `until`. Returns the number of messages.
async fn publish(
    sender: &Sender,
    number: usize,
    load: Cluster,
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
        // A broker in this process never makes the sender wait, so connections need a turn here.
        yield_now().await;
    }
    Ok(messages)
}
