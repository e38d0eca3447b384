//! Helpers for servers of an app: join, send, receive, and check the state.

use std::ops::Range;
use std::time::Duration;

use backplane::{Backplane, Builder, Connection, Dialect, Event, Invocation, State, Target};
use broker::Broker;
use futures_util::future::try_join_all;
use harness::{Client, SLOW_DEADLINE, eventually_within, within};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::task::{JoinHandle, JoinSet};

/// Longer than a lease, which a machine with other work may notice late.
pub(crate) const LEASE_DEADLINE: Duration = Duration::from_secs(60);

/// A bus to join.
pub(crate) enum Bus {
    Embedded(Broker),
    Url(String),
}

impl Bus {
    pub(crate) async fn join(&self, app: &str) -> Backplane {
        self.join_with(builder(app)).await
    }

    pub(crate) async fn join_with(&self, builder: Builder) -> Backplane {
        match self {
            Self::Embedded(broker) => builder.embedded(broker).expect("the settings are valid"),
            Self::Url(url) => join_with(url, builder).await,
        }
    }
}

pub(crate) async fn join(url: &str, app: &str) -> Backplane {
    join_with(url, builder(app)).await
}

pub(crate) async fn join_with(url: &str, builder: Builder) -> Backplane {
    let joined = within(SLOW_DEADLINE, builder.connect(url)).await;
    joined.unwrap_or_else(|error| panic!("cannot join {url}: {error}"))
}

/// Joins with several servers concurrently.
pub(crate) async fn join_many(url: &str, app: &'static str, count: usize) -> Vec<Backplane> {
    join_many_with(url, count, || builder(app)).await
}

pub(crate) async fn join_many_with(
    url: &str,
    count: usize,
    builder: impl Fn() -> Builder,
) -> Vec<Backplane> {
    let mut joining = JoinSet::new();
    for _ in 0..count {
        let (url, builder) = (url.to_owned(), builder());
        joining.spawn(async move { join_with(&url, builder).await });
    }
    joining.join_all().await
}

/// Returns each dialect, with the name of an app for it.
pub(crate) fn dialects() -> [(&'static str, Dialect); 2] {
    let aspnetcore = Dialect::AspNetCore { channel_prefix: "P:".to_owned() };
    [("stream", Dialect::SignalR2), ("channels", aspnetcore)]
}

/// Returns a builder with the hub of the tutorial, frequent probes, and timeouts for a busy
/// machine.
pub(crate) fn builder(app: &str) -> Builder {
    Backplane::builder(app)
        .hub("ChatHub")
        .probe_interval(Duration::from_millis(500))
        .queue_age_max(SLOW_DEADLINE)
        .ack_timeout(SLOW_DEADLINE)
}

pub(crate) fn invocation(number: u64) -> Invocation {
    Invocation::new("number", [number]).expect("an array")
}

/// Makes embedded servers fall behind. None of them reads while the messages are sent, since all
/// sends start at once. They exceed the output limit of a subscriber.
pub(crate) async fn send_too_much(backplane: &Backplane) {
    let sends = (0..40).map(|_| {
        let large = Invocation::new("large", ["x".repeat(1024 * 1024)]).expect("an array");
        backplane.send(Target::group("empty"), large)
    });
    within(SLOW_DEADLINE, try_join_all(sends)).await.expect("all were sent");
}

pub(crate) async fn send(backplane: &Backplane, target: Target, number: u64) {
    let sent = within(SLOW_DEADLINE, backplane.send(target, invocation(number))).await;
    sent.unwrap_or_else(|error| panic!("{number} was not sent: {error}"));
}

/// Sends all of these numbers concurrently.
pub(crate) async fn send_at_once(backplane: &Backplane, target: Target, numbers: Range<u64>) {
    let sends = numbers.map(|number| backplane.send(target.clone(), invocation(number)));
    within(SLOW_DEADLINE, try_join_all(sends)).await.expect("all were sent");
}

pub(crate) fn number(invocation: &Invocation) -> u64 {
    let numbers: Vec<u64> =
        serde_json::from_str(invocation.arguments().get()).expect("an array of one number");
    numbers[0]
}

pub(crate) async fn receive(connection: &mut Connection, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let invocation = within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        numbers.push(number(&invocation));
    }
    numbers
}

/// Asserts that no other message is in transit to these connections: the next one is sent here.
pub(crate) async fn nothing_more(backplane: &Backplane, connections: &mut [&mut Connection]) {
    const LAST: u64 = 999_999;
    send(backplane, Target::all(), LAST).await;
    for connection in connections {
        assert_eq!(receive(connection, 1).await, [LAST], "connection {}", connection.id());
    }
}

/// Waits until all servers have counted the subscribers of their channel.
pub(crate) async fn all_have_counted(client: &mut Client, servers: u64) {
    let mut counts = async || {
        let stats = client.command(&["INFO", "commandstats"]).await.text().to_owned();
        let names = ["cmdstat_pubsub|numsub:", "cmdstat_pubsub|shardnumsub:"];
        let mut lines = stats.lines();
        let line = lines.find(|line| names.iter().any(|name| line.starts_with(name)));
        let calls = line.and_then(|line| line.split_once("calls=")?.1.split(',').next());
        calls.map_or(0, |calls| calls.parse::<u64>().expect("a number"))
    };
    let before = counts().await;
    eventually_within(SLOW_DEADLINE, async || counts().await >= before + 2 * servers).await;
}

pub(crate) async fn is_ready(backplane: &Backplane) {
    eventually_within(SLOW_DEADLINE, async || backplane.health().is_ready).await;
}

pub(crate) async fn is_connected(backplane: &Backplane) {
    let mut states = backplane.state_changes();
    let connected = states.wait_for(|state| *state == State::Connected);
    within(SLOW_DEADLINE, connected).await.expect("the backplane is there");
}

pub(crate) async fn is_disconnected(backplane: &Backplane) {
    let mut states = backplane.state_changes();
    let lost = states.wait_for(|state| matches!(state, State::Disconnected { .. }));
    within(SLOW_DEADLINE, lost).await.expect("the backplane is there");
}

/// Collects the events of a backplane.
pub(crate) fn events(backplane: &Backplane) -> JoinHandle<Vec<Event>> {
    let mut events = backplane.events();
    tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        all
    })
}

/// Returns each metric of a backplane, with the sum of its values.
pub(crate) fn metrics(backplane: &Backplane) -> Vec<(String, f64)> {
    let (mut registry, mut text) = (Registry::default(), String::new());
    backplane.register(&mut registry);
    encode(&mut text, &registry).expect("text can be written");
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let value = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    names.map(|name| (name.to_owned(), value(name))).collect()
}
