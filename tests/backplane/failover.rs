//! Failovers: a master that dies, is cut off or demoted, and a slot that migrates.

use std::time::Duration;

use backplane::Target;
use harness::{
    Client, Cluster, Fault, Kind, Proxy, SLOW_DEADLINE, Sentinel, Server, Value, array,
    eventually_within, free_port, within,
};

use crate::farm::{
    builder, is_connected, is_disconnected, join_many, join_with, nothing_more, receive, send,
    send_at_once,
};
use crate::observer::Observer;
use crate::soak::Soak;

const APP: &str = "ChatApp";

async fn three(url: &str, observer: Observer) -> Soak {
    let soak = Soak::before(observer, join_many(url, APP, 3).await);
    soak.run(0, 50).await;
    soak
}

/// Returns an observer on the owner of the app's slot.
async fn on_shard(cluster: &Cluster) -> Observer {
    let mut observer = Observer::default();
    observer.listen_to_shard(&cluster.nodes()[cluster.owner(APP).await], APP).await;
    observer
}

#[tokio::test]
async fn a_sentinels_new_master_is_found() {
    for kind in [Kind::Redis, Kind::Ours] {
        let mut sentinel = Sentinel::start_with(kind).await;
        let observer = Observer::on(sentinel.master_server().await, APP).await;
        let mut soak = three(&sentinel.url(), observer).await;
        sentinel.kill_master().await;
        soak.observer.listen(sentinel.master_server().await, APP).await;
        soak.all_are_ready().await;
        soak.run(1, 50).await;
        soak.check().await;
    }
}

/// The master is alive, and other clients stay connected to it.
#[tokio::test]
async fn a_master_cut_off_by_the_network_is_left() {
    let faults = [Fault::BlackHole, Fault::Half];
    for (kind, fault) in
        [Kind::Redis, Kind::Ours].into_iter().flat_map(|kind| faults.map(|fault| (kind, fault)))
    {
        let sentinel = Sentinel::behind_network(kind, Duration::from_millis(500)).await;
        let observer = Observer::on(sentinel.master_server().await, APP).await;
        let mut soak = three(&sentinel.url(), observer).await;
        let lost = sentinel.master().await;
        sentinel.network_before(lost).set(fault);
        sentinel.has_left(lost).await;
        soak.observer.listen(sentinel.master_server().await, APP).await;
        soak.all_are_ready().await;
        soak.run(1, 50).await;
        sentinel.network_before(lost).set(Fault::None);
        soak.run(0, 50).await;
        soak.check().await;
    }
}

/// It accepts connections and never replies. A unit test of `connector` checks the delay with a
/// paused clock.
#[tokio::test]
async fn a_silent_sentinel_does_not_block_the_others() {
    let sentinel = Sentinel::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it is bound").port();
    join_with(&sentinel.url_after(port), builder(APP)).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start().await;
    let mut soak = three(&cluster.url(), on_shard(&cluster).await).await;
    for _ in 0..2 {
        cluster.move_slot(APP).await;
        soak.observer.listen_to_shard(&cluster.nodes()[cluster.owner(APP).await], APP).await;
        soak.all_are_ready().await;
        soak.run(1, 50).await;
    }
    soak.check().await;
}

#[tokio::test]
async fn messages_sent_during_a_slot_migration_arrive_once_in_order() {
    let cluster = Cluster::start().await;
    let patient = builder(APP).queue_age_max(SLOW_DEADLINE);
    let one = join_with(&cluster.url(), patient).await;
    let mut ann = one.attach("ann", None);
    send(&one, Target::all(), 0).await;
    let slot = cluster.begin_to_move_slot(APP).await;
    let sending = send_at_once(&one, Target::all(), 1..20);
    let moving = async {
        is_disconnected(&one).await;
        cluster.finish_moving(APP, slot).await;
    };
    within(SLOW_DEADLINE, async { tokio::join!(sending, moving) }).await;
    assert_eq!(receive(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    nothing_more(&one, &mut [&mut ann]).await;
}

/// Why sends wait for a migrating slot and do not follow `ASK`: all subscriptions are still on the
/// source, and would miss the messages.
#[tokio::test]
async fn a_publish_on_a_slots_target_does_not_reach_its_source() {
    let cluster = Cluster::start().await;
    let from = cluster.owner(APP).await;
    let source = &cluster.nodes()[from];
    let mut subscriber = source.client().await;
    assert!(!subscriber.command(&["SSUBSCRIBE", APP]).await.is_error());
    let mut publisher = source.client().await;
    let slot = cluster.begin_to_move_slot(APP).await;
    let script = "redis.call('INCR', KEYS[1]) return redis.call('SPUBLISH', KEYS[1], 'there')";
    let publish = ["EVAL", script, "1", APP];
    let reply = publisher.command(&publish).await.text().to_owned();
    let port = reply.strip_prefix("ASK ").and_then(|reply| reply.rsplit(':').next());
    let mut there = Client::connect(port.expect("it is sent on").parse().expect("a port")).await;
    there.command(&["ASKING"]).await;
    assert_eq!(there.command(&publish).await.integer(), 0, "a subscriber has received it");
    assert_eq!(publisher.command(&["SPUBLISH", APP, "here"]).await.integer(), 1);
    let received = subscriber.read_reply().await;
    assert_eq!(received, array!["smessage", APP, "here"]);
    cluster.finish_moving(APP, slot).await;
    let end = subscriber.read_reply().await;
    assert_eq!(end.items()[0], "sunsubscribe".into());
}

/// The replica rejects sends with an error.
#[tokio::test]
async fn messages_rejected_by_a_replica_are_sent_after_its_promotion() {
    let server = Server::redis(&[]).await;
    let patient = builder(APP).queue_age_max(SLOW_DEADLINE);
    let one = join_with(&server.url(), patient).await;
    let mut ann = one.attach("ann", None);
    send(&one, Target::all(), 0).await;
    let mut client = server.client().await;
    // No server listens there, so it remains a replica.
    client.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]).await;
    let sending = send_at_once(&one, Target::all(), 1..20);
    let promoting = async {
        is_disconnected(&one).await;
        client.command(&["REPLICAOF", "NO", "ONE"]).await;
    };
    within(SLOW_DEADLINE, async { tokio::join!(sending, promoting) }).await;
    assert_eq!(receive(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    nothing_more(&one, &mut [&mut ann]).await;
    assert_eq!(one.health().lost, 0);
}

/// The counter of the new master is some messages behind.
#[tokio::test]
async fn a_lagging_replica_is_promoted_without_a_gap() {
    let master = Server::redis(&["--repl-diskless-sync-delay", "0"]).await;
    let of = format!("127.0.0.1 {}", master.port());
    let replica = Server::redis(&["--replicaof", &of]).await;
    let mut client = replica.client().await;
    let address = Proxy::to(master.port()).await;
    let url = format!("redis://127.0.0.1:{}", address.port());
    let quiet = builder(APP).probe_interval(Duration::from_secs(30));
    let one = join_with(&url, quiet).await;
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

/// While loading, it replies to some commands and rejects others.
#[tokio::test]
async fn an_old_snapshot_causes_no_gap() {
    let slow = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    let mut server = Server::redis(&slow).await;
    // A probe whose id arrives and whose message does not would be a gap.
    let one = join_with(&server.url(), builder(APP).probe_interval(10 * SLOW_DEADLINE)).await;
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
