//! A master that dies, a slot that moves.

use std::time::{Duration, Instant};

use backplane::Target;
use harness::{Cluster, Fault, Proxy, SLOW_DEADLINE, Sentinel, Server, Value, eventually_within};

use crate::farm::{
    is_connected, is_disconnected, join_many, join_with, nothing_more, options, receive, send,
};
use crate::talk::Talk;

const APP: &str = "ChatApp";

async fn three(url: &str) -> Talk {
    let talk = Talk::among(join_many(url, APP, 3).await);
    talk.goes_on(0, 50).await;
    talk
}

#[tokio::test]
async fn a_sentinels_new_master_is_found() {
    let mut sentinel = Sentinel::start().await;
    let talk = three(&sentinel.url()).await;
    sentinel.kill_master().await;
    let promoted = Instant::now();
    talk.all_are_ready().await;
    assert!(promoted.elapsed() < Duration::from_secs(3), "{:?}", promoted.elapsed());
    talk.goes_on(1, 50).await;
    talk.judge().await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start().await;
    let talk = three(&cluster.url()).await;
    for _ in 0..2 {
        cluster.move_slot(APP).await;
        let moved = Instant::now();
        talk.all_are_ready().await;
        assert!(moved.elapsed() < Duration::from_secs(3), "{:?}", moved.elapsed());
        talk.goes_on(1, 50).await;
    }
    talk.judge().await;
}

/// The counter of the new master stands where it stood some messages ago.
#[tokio::test]
async fn a_replica_that_lags_when_it_is_promoted_is_no_loss() {
    let master = Server::redis(&["--repl-diskless-sync-delay", "0"]).await;
    let of = format!("127.0.0.1 {}", master.port());
    let replica = Server::redis(&["--replicaof", &of]).await;
    let mut client = replica.client().await;
    let address = Proxy::to(master.port()).await;
    let url = format!("redis://127.0.0.1:{}", address.port());
    let mut quiet = options();
    quiet.probe_interval = Duration::from_secs(30);
    let one = join_with(&url, APP, quiet).await;
    let mut ann = one.attach("ann", None);
    eventually_within(SLOW_DEADLINE, async || {
        let info = client.command(&["INFO", "replication"]).await;
        info.text().contains("master_link_status:up")
    })
    .await;
    for number in 0..20 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 20).await;
    eventually_within(SLOW_DEADLINE, async || match client.command(&["GET", APP]).await.value() {
        Value::Bulk(count) => count.len() == 2 && count[..] >= b"20"[..],
        _ => false,
    })
    .await;
    client.command(&["REPLICAOF", "NO", "ONE"]).await;
    for number in 20..25 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 5).await;
    address.set(Fault::Closed);
    is_disconnected(&one).await;
    address.lead_to(replica.port());
    address.set(Fault::None);
    is_connected(&one).await;
    send(&one, Target::all(), 25).await;
    assert_eq!(receive(&mut ann, 1).await, [25]);
    nothing_more(&one, &mut [&mut ann]).await;
    assert_eq!(one.health().lost, 0, "a gap was invented");
}

/// It answers some questions and refuses others while it loads.
#[tokio::test]
async fn a_server_that_loads_an_old_snapshot_is_no_loss() {
    let slow = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    let mut server = Server::redis(&slow).await;
    let one = join_with(&server.url(), APP, options()).await;
    let mut ann = one.attach("ann", None);
    for number in 0..20 {
        send(&one, Target::all(), number).await;
    }
    let mut client = server.client().await;
    let many = (0..3000).flat_map(|index| [format!("key {index}"), "value".to_owned()]);
    client.command(&[vec!["MSET".to_owned()], many.collect()].concat()).await;
    client.command(&["SAVE"]).await;
    for number in 20..25 {
        send(&one, Target::all(), number).await;
    }
    receive(&mut ann, 25).await;
    server.kill();
    is_disconnected(&one).await;
    server.restart().await;
    is_connected(&one).await;
    send(&one, Target::all(), 25).await;
    assert_eq!(receive(&mut ann, 1).await, [25]);
    assert_eq!(one.health().lost, 0, "a gap was invented");
}
