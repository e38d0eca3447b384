//! Log events and metrics for operators.

use std::collections::BTreeSet;
use std::time::Duration;

use backplane::{Backplane, Disconnect, Target};
use broker::{Broker, Config, Port};
use harness::{Client, Fault, Proxy, SLOW_DEADLINE, Server, eventually_within, within};
use tracing::Level;

use crate::farm::{
    builder, invocation, is_connected, is_disconnected, is_ready, join, join_with, metrics,
    receive, send, send_at_once, send_too_much,
};
use crate::log::Log;

const APP: &str = "ChatApp";

#[tokio::test]
async fn an_outage_and_its_gap_are_logged() {
    let log = Log::begin();
    let server = Server::ours(&["--requirepass", "a secret"]).await;
    let network = Proxy::to(server.port()).await;
    let address = format!("127.0.0.1:{}", network.port());
    let impatient = builder(APP).queue_age_max(Duration::from_millis(100));
    let one = join_with(&format!("redis://:a%20secret@{address}"), impatient).await;
    is_ready(&one).await;
    for connection in ["subscription", "commands"] {
        let line = log.first("backplane connected", connection).await;
        assert_eq!((line.level, line.field("attempt")), (Level::INFO, "1"));
        assert_eq!(line.field("server"), address);
    }

    network.set(Fault::Closed);
    for connection in ["subscription", "commands"] {
        let line = log.first("backplane disconnected", connection).await;
        assert_eq!(line.level, Level::WARN);
        assert!(!line.field("reason").is_empty(), "{line:?}");
        let line = log.first("reconnecting", connection).await;
        assert_eq!((line.level, line.field("attempt")), (Level::DEBUG, "1"));
        assert!(line.field("delay").ends_with('s'), "{line:?}");
    }
    within(SLOW_DEADLINE, one.send(Target::all(), invocation(1)))
        .await
        .expect_err("the server is unreachable");
    let line = log.first("an invocation was not sent", "").await;
    assert!(line.field("error").starts_with("the backplane is disconnected: "), "{line:?}");

    let mut client = server.client().await;
    missed(&mut client, 3).await;
    network.set(Fault::None);
    is_connected(&one).await;
    is_ready(&one).await;
    eventually_within(SLOW_DEADLINE, async || one.health().lost >= 3).await;
    let again = log.lines("backplane connected");
    assert!(again.iter().any(|line| line.field("attempt") != "1"), "{again:?}");
    let line = log.first("messages are missing", "").await;
    let id = |name| line.field(name).parse::<u64>().expect("an id");
    assert_eq!(line.level, Level::WARN);
    assert!(id("to") - id("from") >= 2, "{line:?}");
    assert_all_name_their_app(&log, &address);
}

#[tokio::test]
async fn a_subscription_that_is_dead_is_logged() {
    let log = Log::begin();
    let server = Server::ours(&[]).await;
    let network = Proxy::to(server.port()).await;
    let one = join(&format!("redis://127.0.0.1:{}", network.port()), APP).await;
    is_ready(&one).await;
    network.set(Fault::Deaf);
    let line = log.first("health probe timed out", "").await;
    assert_eq!(line.level, Level::WARN);
    assert!(line.field("silence").ends_with('s'), "{line:?}");
    let line = log.first("backplane disconnected", "subscription").await;
    assert_eq!(line.field("reason"), "health probe timed out");
}

#[tokio::test]
async fn replays_resets_and_malformed_payloads_are_logged() {
    let log = Log::begin();
    let server = Server::ours(&["--pubsub-replay", "ChatApp 100 1mb 60"]).await;
    let network = Proxy::to(server.port()).await;
    let one = join(&format!("redis://127.0.0.1:{}", network.port()), APP).await;
    is_ready(&one).await;
    let mut client = server.client().await;
    network.set(Fault::Closed);
    is_disconnected(&one).await;
    missed(&mut client, 3).await;
    network.set(Fault::None);
    is_connected(&one).await;
    is_ready(&one).await;
    let line = log.first("replayed missed messages", "").await;
    assert!(line.field("messages").parse::<u64>().expect("a count") >= 3, "{line:?}");
    client.command(&["DEL", APP]).await;
    send(&one, Target::all(), 1).await;
    let line = log.first("id counter was reset", "").await;
    assert_eq!(line.level, Level::ERROR);
    client.command(&["PUBLISH", APP, "odd"]).await;
    let line = log.first("skipped a malformed payload", "").await;
    assert_eq!((line.level, line.field("bytes")), (Level::DEBUG, "3"));
}

#[tokio::test]
async fn connections_closed_for_falling_behind_are_logged() {
    let log = Log::begin();
    let server = Server::ours(&["--pubsub-replay", "ChatApp 10000 64mb 60"]).await;
    let network = Proxy::to(server.port()).await;
    let address = format!("127.0.0.1:{}", network.port());
    let forgetful = builder(APP).history_messages_max(100);
    let one = join_with(&format!("redis://{address}"), forgetful).await;
    let (mut at_once, mut later) = (one.attach("at once", None), one.attach("later", None));
    is_ready(&one).await;
    // More messages than the queue of a connection may hold.
    send_at_once(&one, Target::connection("at once"), 0..1025).await;
    let line = log.first(CLOSED, "at once").await;
    assert_eq!((line.level, line.field("connection")), (Level::WARN, "at once"));
    receive(&mut at_once, 1024).await;
    assert_eq!(
        within(SLOW_DEADLINE, at_once.recv()).await.expect_err("slow"),
        Disconnect::SlowConnection
    );

    // The connection's messages are deferred to the store, which evicts them.
    network.set(Fault::Closed);
    is_disconnected(&one).await;
    let two = join(&server.url(), APP).await;
    send_at_once(&two, Target::connection("later"), 0..2000).await;
    network.set(Fault::None);
    eventually_within(SLOW_DEADLINE, async || one.health().recovered >= 2000).await;
    receive(&mut later, 1024).await;
    assert_eq!(
        within(SLOW_DEADLINE, later.recv()).await.expect_err("slow"),
        Disconnect::SlowConnection
    );
    let line = log.first(CLOSED, "later").await;
    assert_eq!((line.field("app"), line.field("server")), (APP, &*address), "{line:?}");
}

#[tokio::test]
async fn rejections_by_the_server_are_logged() {
    let log = Log::begin();
    let server = Server::ours(&[]).await;
    let mut client = server.client().await;
    client.command(&["ACL", "SETUSER", "ann", "on", ">a secret", "~*", "&*", "+@all"]).await;
    let url = format!("redis://ann:a%20secret@127.0.0.1:{}", server.port());
    let one = join(&url, APP).await;
    is_ready(&one).await;
    send(&one, Target::all(), 1).await;

    client.command(&["ACL", "SETUSER", "ann", "-eval"]).await;
    client.command(&["DEL", APP]).await;
    let _ = one.send(Target::all(), invocation(2)).await;
    eventually_within(SLOW_DEADLINE, async || !log.lines(NOT_RESTORED).is_empty()).await;
    client.command(&["CLIENT", "KILL", "USER", "ann"]).await;
    // A user without the permission reconnects all the same.
    eventually_within(SLOW_DEADLINE, async || log.lines(NOT_RESTORED).len() >= 2).await;
    for line in log.lines(NOT_RESTORED) {
        assert_eq!(line.level, Level::WARN);
        assert!(line.field("reason").starts_with("NOPERM"), "{line:?}");
    }

    client.command(&["ACL", "SETUSER", "ann", "off"]).await;
    client.command(&["CLIENT", "KILL", "USER", "ann"]).await;
    for connection in ["subscription", "commands"] {
        let line = log.first("backplane rejected", connection).await;
        assert_eq!(line.level, Level::ERROR);
        assert!(line.field("reason").starts_with("WRONGPASS"), "{line:?}");
    }
    assert_all_name_their_app(&log, &format!("127.0.0.1:{}", server.port()));
}

#[tokio::test]
async fn a_replay_without_a_reply_is_logged() {
    let log = Log::begin();
    let server = Server::ours(&["--pubsub-replay", "ChatApp 100 1mb 60"]).await;
    let network = Proxy::to(server.port()).await;
    let one = join(&format!("redis://127.0.0.1:{}", network.port()), APP).await;
    is_ready(&one).await;
    network.set(Fault::Closed);
    is_disconnected(&one).await;
    missed(&mut server.client().await, 1).await;
    network.set(Fault::Forgetful);
    let line = log.first("could not replay missed messages", "").await;
    assert_eq!(line.level, Level::WARN);
    assert!(line.field("failure").contains("reply"), "{line:?}");
}

#[tokio::test]
async fn a_restarted_server_and_an_announcement_are_logged() {
    let log = Log::begin();
    let mut server = Server::ours(&[]).await;
    let impatient = builder(APP).queue_age_max(Duration::from_millis(100));
    let one = join_with(&server.url(), impatient).await;
    is_ready(&one).await;
    let before = one.attach("before", None);
    server.kill();
    is_disconnected(&one).await;
    let _back = one.attach_at("back", None, &[], before.cursor());
    let line = log.first("announced a reconnected connection", "back").await;
    assert_eq!(line.level, Level::DEBUG);
    let line = log.first("could not notify the other servers", "").await;
    assert_eq!(line.level, Level::DEBUG);
    assert!(line.field("error").starts_with("the backplane is disconnected: "), "{line:?}");
    server.restart().await;
    let waiting = "waiting for other servers to restore the id counter";
    let line = log.first(waiting, "").await;
    assert_eq!(line.level, Level::DEBUG);
    assert!(line.field("last_id").parse::<u64>().is_ok_and(|id| id > 0), "{line:?}");
}

#[tokio::test]
async fn received_messages_and_duplicates_are_logged() {
    let log = Log::begin();
    let server = Server::ours(&[]).await;
    let one = join(&server.url(), APP).await;
    let _ann = one.attach("ann", None);
    is_ready(&one).await;
    send(&one, Target::all(), 1).await;
    assert_eq!(log.first("message received", "").await.level, Level::TRACE);
    let mut client = server.client().await;
    let last = client.command(&["INCR", APP]).await.integer().to_string();
    publish(&mut client, &last).await;
    publish(&mut client, &last).await;
    let line = log.first("skipped a duplicate message", "").await;
    assert_eq!((line.level, line.field("id")), (Level::DEBUG, &*last));
    let far = i64::MAX.to_string();
    publish(&mut client, &far).await;
    let line = log.first("skipped a payload with an implausible id", "").await;
    assert_eq!((line.level, line.field("id")), (Level::WARN, &*far));
}

#[tokio::test]
async fn an_embedded_broker_is_logged_alike() {
    let log = Log::begin();
    let broker = Broker::new();
    let config = Config { port: Port::Any, ..Config::default() };
    let server = broker::Server::bind(broker.clone(), &config).await.expect("it listens");
    let mut client = Client::connect(server.local_addr().expect("it has a TCP port").port()).await;
    let one = builder(APP).embedded(&broker).expect("the settings are valid");
    is_ready(&one).await;
    send(&one, Target::all(), 1).await;
    client.command(&["SET", APP, "no number"]).await;
    publish(&mut client, "1").await;
    let line = log.first(NOT_RESTORED, "").await;
    assert_eq!(line.level, Level::WARN);
    assert!(!line.field("reason").is_empty(), "{line:?}");

    client.command(&["DEL", APP]).await;
    send_too_much(&one).await;
    let line = log.first("backplane disconnected", "subscription").await;
    assert_eq!(line.field("reason"), "fell behind its output limit");
    let connected = "backplane connected";
    eventually_within(SLOW_DEADLINE, async || log.lines(connected).len() >= 2).await;
}

#[tokio::test]
async fn every_counter_moves() {
    let server = Server::ours(&["--pubsub-replay", "ChatApp 100 1mb 60"]).await;
    let network = Proxy::to(server.port()).await;
    let local = builder(APP).local_delivery_when_down(true).queue_age_max(SLOW_DEADLINE);
    let url = format!("redis://127.0.0.1:{}", network.port());
    let one = join_with(&url, local).await;
    is_ready(&one).await;
    let mut ann = one.attach("ann", None);
    send(&one, Target::all(), 1).await;
    let mut moved = BTreeSet::new();
    let mut client = server.client().await;

    let slow = one.attach("slow", None);
    send_at_once(&one, Target::connection("slow"), 0..1025).await;
    let is_closed = |name: String| name == "backplane_slow_connections";
    eventually_within(SLOW_DEADLINE, async || above_zero(&one).any(is_closed)).await;
    drop(slow);
    client.command(&["PUBLISH", APP, "odd"]).await;
    publish(&mut client, "100000").await;
    publish(&mut client, "100000").await;
    send(&one, Target::all(), 2).await;
    assert_eq!(receive(&mut ann, 2).await, [1, 2]);
    moved.extend(above_zero(&one));
    // A later restore would overwrite the counter of this test.
    let lifted = async |client: &mut Client| client.command(&["GET", APP]).await.text().len() == 6;
    eventually_within(SLOW_DEADLINE, async || lifted(&mut client).await).await;
    client.command(&["SET", APP, "no number"]).await;
    within(SLOW_DEADLINE, one.send(Target::all(), invocation(3))).await.expect_err("no number");
    client.command(&["SET", APP, "200000"]).await;

    network.set(Fault::Closed);
    is_disconnected(&one).await;
    missed(&mut client, 3).await;
    let mut sending = Box::pin(one.send(Target::all(), invocation(4)));
    assert!(tokio::time::timeout(Duration::ZERO, &mut sending).await.is_err());
    moved.extend(above_zero(&one));
    network.set(Fault::None);
    within(SLOW_DEADLINE, sending).await.expect("sent");
    eventually_within(SLOW_DEADLINE, async || one.health().recovered >= 3).await;
    moved.extend(above_zero(&one));
    let all: BTreeSet<_> = metrics(&one).into_iter().map(|(name, _)| name).collect();
    assert_eq!(moved, all);
}

const CLOSED: &str = "closed a connection that fell behind";
const NOT_RESTORED: &str = "could not restore the id counter after broker data loss";

fn assert_all_name_their_app(log: &Log, server: &str) {
    for line in log.all() {
        assert_eq!((line.field("app"), line.field("server")), (APP, server), "{line:?}");
        assert!(!format!("{line:?}").contains("a secret"), "{line:?}");
    }
}

/// Publishes messages with new ids that no connection receives.
async fn missed(client: &mut Client, count: usize) {
    for _ in 0..count {
        let id = client.command(&["INCR", APP]).await.integer();
        publish(client, &id.to_string()).await;
    }
}

/// Publishes an empty message with this id.
async fn publish(client: &mut Client, id: &str) {
    let payload = [id.as_bytes(), b" \x0c\0\0\0", &[0; 12]].concat();
    client.command(&[b"PUBLISH".as_slice(), APP.as_bytes(), &payload]).await;
}

/// Returns the names of all metrics above zero.
fn above_zero(backplane: &Backplane) -> impl Iterator<Item = String> {
    let all = metrics(backplane).into_iter();
    all.filter(|(_, value)| *value > 0.0).map(|(name, _)| name)
}
