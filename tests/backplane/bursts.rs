//! Bursts of messages on a healthy server: all of them are accepted, in order.

use std::time::Duration;

use backplane::{Backplane, Connection, Invocation, Target};
use futures_util::future::try_join_all;
use harness::{SLOW_DEADLINE, Server, within};

use super::server;
use crate::farm::{builder, invocation, join_with, receive, send_at_once};

const APP: &str = "ChatApp";
/// Thousands of round trips, in programs that are not optimized.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn thousands_join_a_group_from_another_server() {
    const COUNT: usize = 5_000;
    let server = server(&[]).await;
    let [one, two] = [join(&server).await, join(&server).await];
    let mut connections: Vec<_> = (0..COUNT).map(|n| two.attach(&n.to_string(), None)).collect();
    let joins = connections.iter().map(|connection| one.join(connection.id(), "room"));
    within(PATIENCE, try_join_all(joins)).await.expect("all joined");
    one.send(Target::group("room"), invocation(7)).await.expect("sent");
    for connection in &mut connections {
        assert_eq!(receive(connection, 1).await, [7]);
    }
}

#[tokio::test]
async fn one_send_to_more_groups_than_may_wait_for_a_server_that_is_away_is_taken() {
    const COUNT: usize = 10_500;
    let (_server, one, mut ann) = alone().await;
    let names = (0..COUNT).map(|number| number.to_string());
    let to_many = Target::groups(names.chain(["room".to_owned()]));
    one.join("ann", "room").await.expect("joined");
    within(PATIENCE, one.send(to_many, invocation(1))).await.expect("all were sent");
    assert_eq!(receive(&mut ann, 1).await, [1]);
}

#[tokio::test]
async fn one_send_of_more_bytes_than_may_wait_for_a_server_that_is_away_is_taken() {
    const MIB: usize = 1024 * 1024;
    let (_server, one, mut ann) = alone().await;
    let users = (0..20).map(|number| number.to_string());
    let to_many = Target::users(users.chain(["ann".to_owned()]));
    let large = Invocation::new("large", ["x".repeat(MIB)]).expect("an array");
    within(PATIENCE, one.send(to_many, large)).await.expect("all were sent");
    assert_eq!(within(SLOW_DEADLINE, ann.recv()).await.expect("attached").method(), "large");
}

#[tokio::test]
async fn concurrent_sends_of_one_server_arrive_in_order() {
    // The maximum that may wait for one connection.
    const COUNT: u64 = 1_000;
    let (server, one, mut ann) = alone().await;
    let two = join(&server).await;
    let mut bob = two.attach("bob", None);
    send_at_once(&one, Target::all(), 0..COUNT).await;
    let expected: Vec<_> = (0..COUNT).collect();
    assert_eq!(receive(&mut ann, COUNT as usize).await, expected);
    assert_eq!(receive(&mut bob, COUNT as usize).await, expected);
}

/// Returns one server of the app, with a connection of a user.
async fn alone() -> (Server, Backplane, Connection) {
    let server = server(&[]).await;
    let one = join(&server).await;
    let ann = one.attach("ann", Some("ann"));
    (server, one, ann)
}

async fn join(server: &Server) -> Backplane {
    let patient = builder(APP).queue_age_max(PATIENCE).ack_timeout(PATIENCE);
    join_with(&server.url(), patient).await
}
