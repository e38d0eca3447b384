//! Claims about every bus.
//!
//! Each claim uses an app of its own, so that all of them can share a bus.

use std::time::Duration;

use backplane::{Backplane, Disconnect, GroupError, Received, Target};
use harness::{SLOW_DEADLINE, Sentinel, within};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::each_bus::on_each_bus;
use crate::farm::{Bus, builder, is_ready, nothing_more, receive, send};

on_each_bus!(conforms: embedded redis_server our_broker cluster);

#[tokio::test]
async fn sentinel() {
    let mut sentinel = Sentinel::start().await;
    conforms(&Bus::Url(sentinel.url())).await;
    sentinel.kill_master().await;
    conforms(&Bus::Url(sentinel.url())).await;
}

async fn conforms(bus: &Bus) {
    all_see_one_order(bus).await;
    only_the_targets_receive_a_message(bus).await;
    groups_are_changed_from_any_server(bus).await;
    a_change_of_an_absent_connection_times_out(bus).await;
    connections_are_ended_from_any_server(bus).await;
    a_reconnecting_client_continues_on_any_server(bus).await;
    a_client_that_reconnects_too_late_gets_a_gap(bus).await;
    a_client_that_moves_is_attached_to_one_server_only(bus).await;
    apps_receive_no_messages_of_other_apps(bus).await;
    a_probe_comes_back_and_is_counted(bus).await;
    after_a_shutdown_nothing_is_sent(bus).await;
}

async fn pair(bus: &Bus, app: &str) -> (Backplane, Backplane) {
    (bus.join(app).await, bus.join(app).await)
}

async fn all_see_one_order(bus: &Bus) {
    const COUNT: u64 = 300;
    let (one, two) = pair(bus, "order").await;
    let (mut ann, mut bob) = (one.attach("ann", None), two.attach("bob", None));
    let send_numbers = async |server: Backplane, start: u64| {
        for number in (start..COUNT).step_by(2) {
            send(&server, Target::all(), number).await;
        }
    };
    tokio::join!(send_numbers(one.clone(), 0), send_numbers(two.clone(), 1));
    let at_ann = receive(&mut ann, COUNT as usize).await;
    assert_eq!(receive(&mut bob, COUNT as usize).await, at_ann, "two connections saw two orders");
    for parity in [0, 1] {
        let of_one: Vec<_> = at_ann.iter().filter(|number| *number % 2 == parity).collect();
        assert_eq!(of_one.len() as u64, COUNT / 2);
        assert!(of_one.is_sorted(), "the messages of one server arrived in another order");
    }
    nothing_more(&one, &mut [&mut ann, &mut bob]).await;
}

async fn only_the_targets_receive_a_message(bus: &Bus) {
    let (one, two) = pair(bus, "targets").await;
    let mut connections = [
        one.attach("ann-1", Some("ann")),
        two.attach("ann-2", Some("ann")),
        two.attach("bob-1", Some("bob")),
        one.attach("eve-1", None),
    ];
    for (id, group) in [("ann-1", "room"), ("bob-1", "room"), ("eve-1", "hall")] {
        one.join(id, group).await.expect("joined");
    }
    for (target, expected) in [
        (Target::all(), [1, 1, 1, 1]),
        (Target::all().except(["ann-1", "eve-1"]), [0, 1, 1, 0]),
        (Target::group("room"), [1, 0, 1, 0]),
        (Target::group("room").except(["bob-1"]), [1, 0, 0, 0]),
        (Target::groups(["room", "hall"]), [1, 0, 1, 1]),
        (Target::groups(["room", "hall"]).except(["bob-1", "eve-1"]), [1, 0, 0, 0]),
        (Target::user("ann"), [1, 1, 0, 0]),
        (Target::user("ann").except(["ann-2"]), [1, 0, 0, 0]),
        (Target::users(["ann", "bob", "nobody"]), [1, 1, 1, 0]),
        (Target::users(["ann", "bob"]).except(["ann-1", "bob-1"]), [0, 1, 0, 0]),
        (Target::connection("bob-1"), [0, 0, 1, 0]),
        (Target::connection("bob-1").except(["bob-1"]), [0, 0, 0, 0]),
        (Target::connections(["ann-2", "eve-1"]).except(["ann-2"]), [0, 0, 0, 1]),
        (Target::connections(["ann-2", "eve-1"]), [0, 1, 0, 1]),
        (Target::connections(["ann-2"; 0]), [0, 0, 0, 0]),
        (Target::group("empty group"), [0, 0, 0, 0]),
    ] {
        for sender in [&one, &two] {
            send(sender, target.clone(), 7).await;
            send(sender, Target::all(), 8).await;
            for (connection, expected) in connections.iter_mut().zip(expected) {
                let mut numbers = receive(connection, 1).await;
                while numbers.last() != Some(&8) {
                    numbers.extend(receive(connection, 1).await);
                }
                assert_eq!(numbers.len() - 1, expected, "{target:?} at {}", connection.id());
            }
        }
    }
}

async fn groups_are_changed_from_any_server(bus: &Bus) {
    let (one, two) = pair(bus, "groups").await;
    let mut bob = two.attach("bob", None);
    for number in 0..20 {
        // The change is effective when `join` returns, so the next message arrives.
        one.join("bob", "room").await.expect("joined");
        send(&one, Target::group("room"), number).await;
        assert_eq!(receive(&mut bob, 1).await, [number]);
        one.leave("bob", "room").await.expect("left");
        send(&one, Target::group("room"), number).await;
    }
    nothing_more(&two, &mut [&mut bob]).await;
}

async fn a_change_of_an_absent_connection_times_out(bus: &Bus) {
    let one = bus.join_with(builder("absent").ack_timeout(Duration::from_millis(300))).await;
    let error =
        within(SLOW_DEADLINE, one.join("nobody", "room")).await.expect_err("no such connection");
    assert!(matches!(error, GroupError::NoAnswer { .. }), "{error:?}");
    assert!(error.to_string().contains("'nobody'"), "{error}");
}

async fn connections_are_ended_from_any_server(bus: &Bus) {
    let (one, two) = pair(bus, "abort").await;
    let mut bob = two.attach("bob", None);
    one.abort("bob").await.expect("ended");
    assert_eq!(within(SLOW_DEADLINE, bob.recv()).await.expect_err("it ended"), Disconnect::Aborted);
}

async fn a_reconnecting_client_continues_on_any_server(bus: &Bus) {
    let (one, two) = pair(bus, "cursors").await;
    let (mut ann, mut bob) = (one.attach("ann", Some("ann")), two.attach("bob", None));
    one.join("ann", "room").await.expect("joined");
    send(&one, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    let cursor = ann.cursor().to_string();
    assert!(cursor.starts_with("s-0,"), "{cursor}");
    drop(ann);
    for (target, number) in [
        (Target::group("room"), 2),
        (Target::group("hall"), 3),
        (Target::user("ann"), 4),
        (Target::all().except(["ann"]), 5),
        (Target::connection("ann"), 6),
    ] {
        send(&one, target, number).await;
    }
    send(&one, Target::all(), 7).await;
    // When this connection has the last message, server two has all of them.
    while receive(&mut bob, 1).await != [7] {}
    let cursor = cursor.parse().expect("a cursor");
    let mut ann = two.attach_at("ann", Some("ann"), &["room"], cursor);
    assert_eq!(receive(&mut ann, 4).await, [2, 4, 6, 7]);
    nothing_more(&one, &mut [&mut ann, &mut bob]).await;
}

async fn a_client_that_reconnects_too_late_gets_a_gap(bus: &Bus) {
    let one = bus.join_with(builder("late").history_messages_max(5)).await;
    let mut ann = one.attach("ann", None);
    send(&one, Target::all(), 0).await;
    receive(&mut ann, 1).await;
    let cursor = ann.cursor();
    for number in 1..=10 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 10).await;
    let mut late = one.attach_at("late", None, &[], cursor);
    let first = within(SLOW_DEADLINE, late.recv_or_gap()).await.expect("attached");
    assert!(matches!(first, Received::Gap(gap) if gap.count() >= 5), "{first:?}");
    assert_eq!(receive(&mut late, 5).await, [6, 7, 8, 9, 10]);
}

async fn a_client_that_moves_is_attached_to_one_server_only(bus: &Bus) {
    let (one, two) = pair(bus, "moves").await;
    let mut ann = one.attach("ann", None);
    for round in 0..3 {
        for (from, to) in [(&one, &two), (&two, &one)] {
            send(from, Target::all(), round).await;
            assert_eq!(receive(&mut ann, 1).await, [round]);
            // The previous server has not yet received the announcement.
            let mut left = ann;
            ann = to.attach_at("ann", None, &[], left.cursor());
            let end = within(SLOW_DEADLINE, left.recv()).await.expect_err("it ended");
            assert_eq!(end, Disconnect::Replaced);
            from.join("ann", "room").await.expect("joined");
            send(from, Target::group("room"), round).await;
            assert_eq!(receive(&mut ann, 1).await, [round]);
        }
    }
}

async fn apps_receive_no_messages_of_other_apps(bus: &Bus) {
    let (chat, game) = (bus.join("chat").await, bus.join("game").await);
    let (mut ann, mut eve) = (chat.attach("ann", None), game.attach("eve", None));
    send(&chat, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    nothing_more(&game, &mut [&mut eve]).await;
}

async fn a_probe_comes_back_and_is_counted(bus: &Bus) {
    let one = bus.join("health").await;
    is_ready(&one).await;
    let health = one.health();
    assert!(health.last_round_trip.is_some() && health.silent_for.is_none(), "{health:?}");
    assert_eq!((health.lost, health.recovered), (0, 0));
    let counted: u64 = health.round_trips.buckets.iter().map(|(_, count)| count).sum();
    assert!(counted > 0, "{health:?}");
    let (mut registry, mut text) = (Registry::default(), String::new());
    one.register(&mut registry);
    let _ann = one.attach("ann", None);
    encode(&mut text, &registry).expect("text can be written");
    for (name, value) in
        [("connected", Some("1")), ("connections", Some("1")), ("round_trip_seconds_count", None)]
    {
        let start = format!(r#"backplane_{name}{{app="health",hub="ChatHub",server=""#);
        let line = text.lines().find(|line| line.starts_with(&start));
        let found = line.and_then(|line| line.rsplit(' ').next());
        assert!(found.is_some() && value.is_none_or(|value| found == Some(value)), "{text}");
    }
}

async fn after_a_shutdown_nothing_is_sent(bus: &Bus) {
    let one = bus.join("shutdown").await;
    let mut ann = one.attach("ann", None);
    within(SLOW_DEADLINE, one.clone().shutdown()).await;
    assert_eq!(
        within(SLOW_DEADLINE, ann.recv()).await.expect_err("it ended"),
        Disconnect::Shutdown
    );
    let sent = within(SLOW_DEADLINE, one.send(Target::all(), crate::farm::invocation(1))).await;
    assert!(sent.is_err());
    assert!(!one.health().is_ready);
}
