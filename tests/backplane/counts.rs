//! A counter that is lost, set back, or restored to an old value. Every loss is reported, no
//! message arrives twice, and later messages still arrive.

use std::time::Duration;

use backplane::{Backplane, Connection, Event, Received, Target};
use harness::{Fault, Proxy, SLOW_DEADLINE, eventually_within, within};

use super::server;
use crate::farm::{
    builder, invocation, is_connected, is_disconnected, is_ready, join, join_many, join_with,
    nothing_more, number, receive, send,
};
use crate::soak::Soak;

const APP: &str = "ChatApp";

#[tokio::test]
async fn a_counter_lost_repeatedly_causes_no_loss() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let soak = Soak::among(join_many(&server.url(), APP, 3).await);
    let flush = ["SCRIPT", "FLUSH"];
    let swap = ["SWAPDB", "0", "1"];
    let commands: [&[&str]; 7] =
        [&["DEL", APP], &["FLUSHALL"], &flush, &["SET", APP, "3"], &["DEL", APP], &swap, &swap];
    soak.run_through(&mut client, &commands).await;
    assert_eq!(soak.check().await, 0, "a gap was invented: no server was disconnected");
}

#[tokio::test]
async fn a_lost_counter_is_restored_so_cursors_stay_valid() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    // Far above the ids of this test.
    client.command(&["SET", APP, "100000"]).await;
    let one = join(&server.url(), APP).await;
    let (mut ann, mut back) = (one.attach("ann", None), one.attach("back", None));
    for number in 0..10 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 10).await;
    receive(&mut back, 5).await;
    let cursor = back.cursor();
    drop(back);
    let before = counter(&mut client).await;
    client.command(&["DEL", APP]).await;
    send(&one, Target::all(), 10).await;
    eventually_within(SLOW_DEADLINE, async || counter(&mut client).await >= before).await;
    send(&one, Target::all(), 11).await;
    assert_eq!(receive(&mut ann, 2).await, [10, 11]);
    let mut back = one.attach_at("back", None, &[], cursor);
    assert_eq!(receive(&mut back, 7).await, [5, 6, 7, 8, 9, 10, 11]);
    nothing_more(&one, &mut [&mut ann, &mut back]).await;
    assert_eq!(one.health().lost, 0);
}

#[tokio::test]
async fn a_counter_that_is_not_a_number_fails_the_send_only() {
    let server = server(&[]).await;
    let one = join(&server.url(), APP).await;
    let mut ann = one.attach("ann", None);
    let mut client = server.client().await;
    send(&one, Target::all(), 1).await;
    client.command(&["SET", APP, "a word"]).await;
    let sent = within(SLOW_DEADLINE, one.send(Target::all(), invocation(2))).await;
    let error = sent.expect_err("it cannot be counted").to_string();
    assert!(error.contains("not an integer"), "{error}");
    client.command(&["DEL", APP]).await;
    send(&one, Target::all(), 3).await;
    assert_eq!(receive(&mut ann, 2).await, [1, 3]);
    is_ready(&one).await;
}

/// After a data loss, another server with a lower last id restores the counter and sends. A late
/// server then reports the ids that were issued twice.
#[tokio::test]
async fn a_late_server_reports_ids_that_were_issued_again() {
    for count in [3, 30] {
        let mut server = server(&[]).await;
        let network = Proxy::to(server.port()).await;
        let url = format!("redis://127.0.0.1:{}", network.port());
        let (late, mut bob) = attached(&url, "late").await;
        for number in 0..10 {
            send(&late, Target::all(), number).await;
        }
        receive(&mut bob, 10).await;
        network.set(Fault::Closed);
        is_disconnected(&late).await;
        server.restart().await;
        // It starts after the data loss, so the counter starts from 1.
        let (early, mut ann) = attached(&server.url(), "early").await;
        for number in 100..100 + count {
            send(&early, Target::all(), number).await;
        }
        receive(&mut ann, count as usize).await;
        network.set(Fault::None);
        is_connected(&late).await;
        send(&early, Target::all(), 200).await;
        assert!(reports_gap(&mut bob, 200).await, "{count} were lost without a gap");
        assert!(late.health().lost > 0);
        send(&late, Target::all(), 201).await;
        assert_eq!(receive(&mut bob, 1).await, [201]);
        assert_eq!(receive(&mut ann, 2).await, [200, 201]);
        nothing_more(&late, &mut [&mut ann, &mut bob]).await;
    }
}

/// The server loses its data during an outage, and the counter has restarted from 1.
#[tokio::test]
async fn a_server_disconnected_during_a_data_loss_reports_a_gap() {
    let server = server(&[]).await;
    let network = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let (away, mut bob) = attached(&url, "away").await;
    for number in 0..20 {
        send(&away, Target::all(), number).await;
    }
    receive(&mut bob, 20).await;
    network.set(Fault::Closed);
    is_disconnected(&away).await;
    let mut client = server.client().await;
    client.command(&["FLUSHALL"]).await;
    let (other, mut ann) = attached(&server.url(), "other").await;
    for number in 100..105 {
        send(&other, Target::all(), number).await;
    }
    receive(&mut ann, 5).await;
    network.set(Fault::None);
    is_connected(&away).await;
    send(&other, Target::all(), 200).await;
    assert!(reports_gap(&mut bob, 200).await, "5 were lost without a gap");
    nothing_more(&away, &mut [&mut bob]).await;
}

#[tokio::test]
async fn servers_that_reconnect_in_time_report_no_reset() {
    let mut server = server(&[]).await;
    let farm = join_many(&server.url(), APP, 5).await;
    let events: Vec<_> = farm.iter().map(crate::farm::events).collect();
    let mut connections: Vec<_> =
        farm.iter().enumerate().map(|(index, one)| one.attach(&index.to_string(), None)).collect();
    for round in 0..3 {
        for one in &farm {
            send(one, Target::all(), round).await;
        }
        for connection in &mut connections {
            assert_eq!(receive(connection, 5).await, [round; 5]);
        }
        server.kill();
        for one in &farm {
            is_disconnected(one).await;
        }
        server.restart().await;
        for one in &farm {
            is_connected(one).await;
        }
    }
    for one in farm {
        within(SLOW_DEADLINE, one.shutdown()).await;
    }
    for events in events {
        let gaps = within(SLOW_DEADLINE, events).await.expect("it does not panic").into_iter();
        // A probe may have been accepted and lost.
        let restarts = gaps.filter(|event| matches!(event, Event::Restarted { .. })).count();
        assert_eq!(restarts, 0, "the counter went back");
    }
}

/// Like an old snapshot, on a server with other users.
#[tokio::test]
async fn an_outdated_counter_is_restored_without_a_gap() {
    let mut server = server(&[]).await;
    let network = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let (one, mut ann) = attached(&url, "ann").await;
    for number in 0..20 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 20).await;
    network.set(Fault::Closed);
    is_disconnected(&one).await;
    server.restart().await;
    let mut client = server.client().await;
    client.command(&["SET", APP, "10"]).await;
    client.command(&["INCR", "a foreign key"]).await;
    network.set(Fault::None);
    is_connected(&one).await;
    nothing_more(&one, &mut [&mut ann]).await;
    assert_eq!(one.health().lost, 0, "a gap was invented");
}

#[tokio::test]
async fn an_id_that_the_broker_did_not_issue_is_ignored() {
    let server = server(&[]).await;
    let one = join(&server.url(), APP).await;
    is_ready(&one).await;
    let mut ann = one.attach("ann", None);
    let mut client = server.client().await;
    for (number, id) in [u64::MAX, i64::MAX as u64, 1 << 60, 1 << 40].into_iter().enumerate() {
        let mut payload = format!("{id} ").into_bytes();
        payload.extend(b"\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        client.command(&[b"PUBLISH".as_slice(), APP.as_bytes(), &payload]).await;
        send(&one, Target::all(), number as u64).await;
        assert_eq!(receive(&mut ann, 1).await, [number as u64]);
    }
    let cursor = ann.cursor();
    drop(ann);
    send(&one, Target::all(), 7).await;
    let mut ann = one.attach_at("ann", None, &[], cursor);
    assert_eq!(receive(&mut ann, 1).await, [7]);
    assert_eq!(one.health().lost, 0, "a gap was invented");
    assert!(counter(&mut client).await < 1000);
}

async fn attached(url: &str, name: &str) -> (Backplane, Connection) {
    let quiet = builder(APP).probe_interval(Duration::from_secs(30));
    let backplane = join_with(url, quiet).await;
    is_ready(&backplane).await;
    let connection = backplane.attach(name, None);
    (backplane, connection)
}

/// Returns whether a gap is reported before this number arrives.
async fn reports_gap(connection: &mut Connection, end: u64) -> bool {
    let mut reports_gap = false;
    loop {
        match within(SLOW_DEADLINE, connection.recv_or_gap()).await.expect("attached") {
            Received::Invocation(invocation) if number(&invocation) == end => return reports_gap,
            Received::Gap(_) => reports_gap = true,
            _ => {}
        }
    }
}

async fn counter(client: &mut harness::Client) -> u64 {
    match client.command(&["GET", APP]).await.value() {
        harness::Value::Bulk(digits) => String::from_utf8_lossy(digits).parse().expect("a number"),
        _ => 0,
    }
}
