//! A server that is killed, restarted, or loses its data.

use std::time::Duration;

use backplane::{Backplane, Disconnect, Invocation, SendError, Target};
use harness::{Fault, Proxy, SLOW_DEADLINE, Server, within};

use super::server;
use crate::farm::{
    all_have_counted, builder, invocation, is_connected, is_disconnected, is_ready, join,
    join_many_with, join_with, nothing_more, receive, send,
};
use crate::log::Log;

const APP: &str = "ChatApp";

#[tokio::test]
async fn losing_the_commands_leaves_the_subscription_alone() {
    let server = server(&[]).await;
    let one = join(&server.url(), APP).await;
    is_ready(&one).await;
    let mut client = server.client().await;
    let mut subscribers = async || client.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    let id = |list: &str| list.split_whitespace().next().map(str::to_owned);
    let before = id(subscribers().await.text());
    let mut killer = server.client().await;
    killer.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    is_disconnected(&one).await;
    is_connected(&one).await;
    let mut client = server.client().await;
    let after = client.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    assert_eq!(id(after.text()), before);
    assert_eq!(one.health().lost, 0);
}

#[tokio::test]
async fn ids_go_on_after_a_server_has_lost_its_memory() {
    let mut server = server(&[]).await;
    // The probes of the start are over, and no other one may be lost with the server.
    let rare = || builder(APP).probe_interval(10 * SLOW_DEADLINE);
    let (one, two) =
        (join_with(&server.url(), rare()).await, join_with(&server.url(), rare()).await);
    is_ready(&one).await;
    is_ready(&two).await;
    let (mut ann, mut bob) = (one.attach("ann", None), two.attach("bob", None));
    send(&one, Target::all(), 1).await;
    assert_eq!((receive(&mut ann, 1).await, receive(&mut bob, 1).await), (vec![1], vec![1]));
    let cursor = ann.cursor();
    all_have_counted(&mut server.client().await, 2).await;
    server.kill();
    for gone in [&one, &two] {
        is_disconnected(gone).await;
    }
    server.restart().await;
    for back in [&one, &two] {
        is_connected(back).await;
    }
    send(&one, Target::all(), 2).await;
    send(&two, Target::all(), 3).await;
    assert_eq!(receive(&mut bob, 2).await, [2, 3]);
    let mut back = two.attach_at("back", None, &[], cursor);
    assert_eq!(receive(&mut back, 2).await, [2, 3], "the cursor means the same as before");
    assert_eq!((one.health().lost, two.health().lost), (0, 0), "a gap was invented");
}

#[tokio::test]
async fn messages_sent_during_an_outage_arrive_in_order_afterwards() {
    let log = Log::begin();
    let server = server(&[]).await;
    let network = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let patient = builder(APP).queue_age_max(SLOW_DEADLINE);
    let one = join_with(&url, patient).await;
    let two = join(&server.url(), APP).await;
    let mut bob = two.attach("bob", None);
    network.set(Fault::Closed);
    log.is_cut_off().await;
    let mut sends = Vec::new();
    for number in 0..20 {
        let mut sending = Box::pin(one.send(Target::all(), invocation(number)));
        // The first poll queues the message.
        let polled = tokio::time::timeout(Duration::ZERO, &mut sending).await;
        assert!(polled.is_err(), "it was sent during the outage");
        sends.push(sending);
    }
    network.set(Fault::None);
    is_connected(&one).await;
    for sending in sends {
        within(SLOW_DEADLINE, sending).await.expect("sent");
    }
    assert_eq!(receive(&mut bob, 20).await, (0..20).collect::<Vec<_>>());
    nothing_more(&one, &mut [&mut bob]).await;
}

#[tokio::test]
async fn a_long_outage_fails_queued_sends_with_its_reason() {
    let log = Log::begin();
    let mut server = server(&[]).await;
    let impatient = builder(APP)
        .queue_age_max(Duration::from_millis(200))
        .queue_messages_max(2)
        // A probe would occupy a place in the queue.
        .probe_interval(10 * SLOW_DEADLINE);
    let one = join_with(&server.url(), impatient).await;
    is_ready(&one).await;
    server.kill();
    log.is_cut_off().await;
    let sends = (0..3).map(|number| one.send(Target::all(), invocation(number)));
    let outcomes = within(SLOW_DEADLINE, futures_util::future::join_all(sends)).await;
    assert!(matches!(outcomes[0], Err(SendError::Disconnected { .. })), "{outcomes:?}");
    let Err(error @ SendError::Disconnected { reason, .. }) = &outcomes[1] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(error.to_string(), format!("the backplane is disconnected: {reason}"));
    assert!(!reason.is_empty());
    let Err(error @ SendError::QueueFull { messages: 2, .. }) = &outcomes[2] else {
        panic!("{outcomes:?}")
    };
    assert!(error.to_string().contains("2 messages wait: "), "{error}");
}

#[tokio::test]
async fn the_queue_is_limited_in_bytes_too() {
    let log = Log::begin();
    let mut server = server(&[]).await;
    let narrow = builder(APP)
        .queue_bytes_max(1000)
        .queue_age_max(Duration::from_millis(200))
        .probe_interval(10 * SLOW_DEADLINE);
    let one = join_with(&server.url(), narrow).await;
    is_ready(&one).await;
    server.kill();
    log.is_cut_off().await;
    let large = || Invocation::new("large", ["x".repeat(600)]).expect("an array");
    let sends = (0..2).map(|_| one.send(Target::all(), large()));
    let outcomes = within(SLOW_DEADLINE, futures_util::future::join_all(sends)).await;
    let Err(error @ SendError::QueueFull { messages: 1, .. }) = &outcomes[1] else {
        panic!("{outcomes:?}")
    };
    assert!(error.to_string().contains("queue is full, 1 messages wait: "), "{error}");
}

#[tokio::test]
async fn local_connections_receive_messages_during_an_outage_once() {
    let log = Log::begin();
    let server = server(&[]).await;
    let network = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let local = builder(APP).queue_age_max(SLOW_DEADLINE).local_delivery_when_down(true);
    let one = join_with(&url, local).await;
    let two = join(&server.url(), APP).await;
    let (mut ann, mut bob) = (one.attach("ann", None), two.attach("bob", None));
    one.join("ann", "room").await.expect("joined");
    two.join("bob", "room").await.expect("joined");
    network.set(Fault::Closed);
    log.is_cut_off().await;
    let mut sending = Box::pin(one.send(Target::groups(["room", "room"]), invocation(1)));
    assert!(tokio::time::timeout(Duration::ZERO, &mut sending).await.is_err());
    assert_eq!(receive(&mut ann, 2).await, [1, 1], "twice meant is twice delivered");
    network.set(Fault::None);
    is_connected(&one).await;
    within(SLOW_DEADLINE, sending).await.expect("sent");
    assert_eq!(receive(&mut bob, 2).await, [1, 1]);
    nothing_more(&two, &mut [&mut ann, &mut bob]).await;
}

#[tokio::test]
async fn a_connection_that_returns_during_an_outage_is_announced_after_it() {
    let (server, network, one, two) = one_cut_off().await;
    let mut at_two = two.attach("ann", None);
    let mut at_one = one.attach_at("ann", None, &[], at_two.cursor());
    nothing_is_sent_any_more(&one).await;
    network.set(Fault::None);
    let end = within(SLOW_DEADLINE, at_two.recv()).await.expect_err("it has moved");
    assert_eq!(end, Disconnect::Replaced);
    nothing_more(&two, &mut [&mut at_one]).await;
    drop(server);
}

#[tokio::test]
async fn a_connection_that_moved_after_an_outage_stays_there() {
    let (server, network, one, two) = one_cut_off().await;
    let before = one.attach("before", None);
    let mut at_one = one.attach_at("ann", None, &[], before.cursor());
    nothing_is_sent_any_more(&one).await;
    let mut at_two = two.attach_at("ann", None, &[], before.cursor());
    network.set(Fault::None);
    let end = within(SLOW_DEADLINE, at_one.recv()).await.expect_err("it has moved on");
    assert_eq!(end, Disconnect::Replaced);
    nothing_more(&one, &mut [&mut at_two]).await;
    drop(server);
}

/// Returns two servers of the app. The first is cut off, and its queue has a short age limit.
async fn one_cut_off() -> (Server, Proxy, Backplane, Backplane) {
    let log = Log::begin();
    let server = server(&[]).await;
    let network = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let impatient = builder(APP).queue_age_max(Duration::from_millis(200));
    let one = join_with(&url, impatient).await;
    let two = join(&server.url(), APP).await;
    network.set(Fault::Closed);
    log.is_cut_off().await;
    (server, network, one, two)
}

/// Returns when all queued messages of a server have failed. The second send covers messages that
/// were queued after the first.
async fn nothing_is_sent_any_more(backplane: &Backplane) {
    for _ in 0..2 {
        let sent = within(SLOW_DEADLINE, backplane.send(Target::all(), invocation(0))).await;
        sent.expect_err("the server is unreachable");
    }
}

#[tokio::test]
async fn fifty_servers_reconnect_without_a_stampede() {
    const SERVERS: usize = 50;
    let mut server = server(&["--maxclients", "1000"]).await;
    // Their probes alone would be thousands of messages a second.
    let quiet = || builder(APP).probe_interval(10 * SLOW_DEADLINE);
    let farm = join_many_with(&server.url(), SERVERS, quiet).await;
    let mut connections: Vec<_> =
        farm.iter().enumerate().map(|(index, one)| one.attach(&index.to_string(), None)).collect();
    server.kill();
    for one in &farm {
        is_disconnected(one).await;
    }
    server.restart().await;
    for one in &farm {
        is_connected(one).await;
    }
    send(&farm[0], Target::all(), 1).await;
    for connection in &mut connections {
        assert_eq!(receive(connection, 1).await, [1]);
    }
    let mut client = server.client().await;
    let stats = client.command(&["INFO", "stats"]).await.text().to_owned();
    let made = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    let made: usize = made.expect("a count").trim().parse().expect("a number");
    assert!(made < 3 * SERVERS, "{made} connections were made for {SERVERS} servers");
}
