//! Sends keep their order, wait for subscribers, and end before a shutdown.

use std::time::Duration;

use backplane::{Backplane, Connection, Room, Target};
use futures_util::future::{join_all, try_join_all};
use harness::{Client, Fault, Proxy, SLOW_DEADLINE, eventually_within, within};

use super::server;
use crate::farm::{
    all_have_counted, builder, invocation, is_connected, is_disconnected, is_ready, join,
    join_with, nothing_more, receive, send,
};

const APP: &str = "ChatApp";

/// The difference between the first numbers of two senders.
const SENDER: u64 = 1_000_000;

/// Numbers that one sender sends at a time. Those of two senders fit into half of a queue.
const AT_A_TIME: usize = 200;

/// Sends numbers of one sender, some at a time, whenever the reader has room.
async fn send_numbers(backplane: &Backplane, room: Room, sender: u64, count: u64) {
    let numbers: Vec<_> = (0..count).map(|number| sender * SENDER + number).collect();
    for some in numbers.chunks(AT_A_TIME) {
        room.wait().await;
        let sends = some.iter().map(|number| backplane.send(Target::all(), invocation(*number)));
        try_join_all(sends).await.expect("sent");
    }
}

/// Receives the numbers of both senders, and asserts the order of each.
async fn receive_in_order(connection: &mut Connection, count: u64) {
    let received = receive(connection, 2 * count as usize).await;
    for sender in 0..2 {
        let numbers = received.iter().filter(|number| **number / SENDER == sender);
        let numbers: Vec<_> = numbers.map(|number| number % SENDER).collect();
        let turns: Vec<_> = numbers.windows(2).filter(|pair| pair[0] > pair[1]).collect();
        assert!(turns.is_empty(), "sender {sender}, another order: {turns:?}");
        assert_eq!(numbers.len() as u64, count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_of_two_servers_stay_in_order_when_the_script_is_lost() {
    const COUNT: u64 = 6_000;
    let server = server(&[]).await;
    let (one, two) = (join(&server.url(), APP).await, join(&server.url(), APP).await);
    let mut ann = one.attach("ann", None);
    let mut client = server.client().await;
    let forgetting = tokio::spawn(async move {
        loop {
            client.command(&["SCRIPT", "FLUSH"]).await;
            // Some messages are sent in between.
            for _ in 0..20 {
                client.command(&["PING"]).await;
            }
        }
    });
    let (first, second) = (ann.room(), ann.room());
    let conversation = async {
        tokio::join!(
            send_numbers(&one, first, 0, COUNT),
            send_numbers(&two, second, 1, COUNT),
            receive_in_order(&mut ann, COUNT)
        )
    };
    within(SLOW_DEADLINE, conversation).await;
    forgetting.abort();
    assert_eq!(one.health().lost + two.health().lost, 0);
}

/// Both servers are away for longer than a second, and the second one returns later.
#[tokio::test]
async fn sends_wait_until_the_other_servers_are_subscribed_again() {
    const COUNT: u64 = 100;
    let server = server(&[]).await;
    let (near, far) = (Proxy::to(server.port()).await, Proxy::to(server.port()).await);
    let behind = async |network: &Proxy| {
        let url = format!("redis://127.0.0.1:{}", network.port());
        // No probe occupies an id in between.
        join_with(&url, builder(APP).probe_interval(10 * SLOW_DEADLINE)).await
    };
    let (one, two) = (behind(&near).await, behind(&far).await);
    let (mut ann, mut bob) = (one.attach("ann", None), two.attach("bob", None));
    let mut client = server.client().await;
    all_have_counted(&mut client, 2).await;
    near.set(Fault::Closed);
    far.set(Fault::Closed);
    is_disconnected(&one).await;
    is_disconnected(&two).await;
    let sends = try_join_all((0..COUNT).map(|number| one.send(Target::all(), invocation(number))));
    let mut sends = std::pin::pin!(sends);
    let waiting = tokio::time::timeout(Duration::from_millis(1_200), &mut sends).await;
    assert!(waiting.is_err(), "they were sent during the outage");
    near.set(Fault::None);
    tokio::select! {
        () = is_connected(&one) => {}
        sent = &mut sends => panic!("they left without a subscriber: {sent:?}"),
    }
    far.set(Fault::None);
    within(SLOW_DEADLINE, sends).await.expect("sent");
    for connection in [&mut ann, &mut bob] {
        assert_eq!(receive(connection, COUNT as usize).await, (0..COUNT).collect::<Vec<_>>());
    }
    assert_eq!(one.health().lost + two.health().lost, 0);
}

/// A server cannot subscribe again, because a permission was removed, and still receives.
#[tokio::test]
async fn an_error_reply_does_not_end_a_subscription() {
    let server = server(&[]).await;
    let one = join(&server.url(), APP).await;
    let mut ann = one.attach("ann", None);
    is_ready(&one).await;
    let mut client = server.client().await;
    let before = subscriptions(&mut client).await;
    client.command(&["ACL", "SETUSER", "default", "-subscribe"]).await;
    eventually_within(SLOW_DEADLINE, async || {
        let stats = client.command(&["INFO", "commandstats"]).await.text().to_owned();
        let mut lines = stats.lines().filter(|line| line.starts_with("cmdstat_subscribe:"));
        lines.any(|line| !line.contains("rejected_calls=0"))
    })
    .await;
    send(&one, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    assert_eq!(subscriptions(&mut client).await, before);
    assert_eq!(one.health().lost, 0);
}

/// Returns the ids of the clients that are subscribed.
async fn subscriptions(client: &mut Client) -> Vec<String> {
    let list = client.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await.text().to_owned();
    list.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// A script occupies the server until it is killed.
#[tokio::test]
async fn a_busy_server_delays_sends_and_loses_none() {
    const COUNT: u64 = 300;
    let server = server(&["--busy-reply-threshold", "20"]).await;
    let one = join(&server.url(), APP).await;
    let mut ann = one.attach("ann", None);
    is_ready(&one).await;
    let (mut busy, mut client) = (server.client().await, server.client().await);
    let before = subscriptions(&mut client).await;
    busy.send(&["EVAL", "while true do end", "0"]).await;
    eventually_within(SLOW_DEADLINE, async || client.command(&["PING"]).await.is_error()).await;
    let sends = send_numbers(&one, ann.room(), 0, COUNT);
    let mut sends = std::pin::pin!(sends);
    let pings = async {
        for _ in 0..100 {
            client.command(&["PING"]).await;
        }
    };
    tokio::select! {
        biased;
        () = &mut sends => panic!("the server is busy"),
        () = pings => {}
    }
    client.command(&["SCRIPT", "KILL"]).await;
    within(SLOW_DEADLINE, sends).await;
    assert_eq!(receive(&mut ann, COUNT as usize).await, (0..COUNT).collect::<Vec<_>>());
    assert_eq!(subscriptions(&mut client).await, before);
    assert_eq!(one.health().lost, 0);
}

#[tokio::test]
async fn a_shutdown_sends_the_queued_messages_first() {
    // More than one batch, and few enough for the two seconds of a shutdown on a busy machine.
    const COUNT: u64 = 1_100;
    let server = server(&[]).await;
    let (one, two) = (join(&server.url(), APP).await, join(&server.url(), APP).await);
    let mut bob = two.attach("bob", None);
    let sending = one.clone();
    let sends = join_all((0..COUNT).map(|number| sending.send(Target::all(), invocation(number))));
    let mut sends = std::pin::pin!(sends);
    // The first poll queues the messages.
    assert!(tokio::time::timeout(Duration::ZERO, &mut sends).await.is_err());
    // They exceed the queue of a connection that does not read.
    let receiving = receive(&mut bob, COUNT as usize);
    let ending = async { tokio::join!(sends, one.shutdown(), receiving) };
    let (outcomes, (), received) = within(SLOW_DEADLINE, ending).await;
    let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(received, (0..COUNT).collect::<Vec<_>>());
    nothing_more(&two, &mut [&mut bob]).await;
}
