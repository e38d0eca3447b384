//! The guarantees of README: for each fault, which messages may be lost, and what is reported.
//!
//! A soak runs through each fault. Its check asserts for every fault that no message arrives twice,
//! that all servers agree on one order, that every loss is inside a reported gap, and that no gap
//! is invented. A test adds the bound on lost messages.

use std::time::Duration;

use backplane::{Backplane, Builder};
use harness::{Fault, SLOW_DEADLINE, eventually_within, within};

use super::{REMEMBERS, site};
use crate::farm::{
    all_have_counted, builder, is_connected, is_disconnected, is_ready, join, join_with,
};
use crate::observer::kill_clients;
use crate::site::Site;
use crate::soak::{Soak, Totals};

const APP: &str = "ChatApp";

const NOTHING: Totals = Totals { missing: 0, lost: 0 };

/// Settings with which a fault is noticed soon. A machine that is busy for a second is one, too.
fn quick() -> Builder {
    builder(APP).probe_interval(Duration::from_millis(200)).answer_timeout(Duration::from_secs(1))
}

async fn join_several(url: &str, count: usize, builder: fn() -> Builder) -> Vec<Backplane> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(join_with(url, builder()).await);
    }
    servers
}

fn patient() -> Builder {
    builder(APP)
}

async fn soak(site: &Site, servers: Vec<Backplane>) -> Soak {
    Soak::before(site.observer(APP).await, servers)
}

/// Asserts that nothing was lost, where the broker has a replay buffer.
fn assert_replayed(totals: Totals) {
    assert!(!REMEMBERS || totals == NOTHING, "{totals:?}");
}

/// The broker has lost its data, too. Messages in flight may be lost.
#[tokio::test]
async fn the_broker_is_killed() {
    let mut site = site().await;
    let mut soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    for _ in 0..2 {
        soak.run(0, 100).await;
        // A server that does not know the others would send before they are back.
        all_have_counted(&mut site.client(APP).await, 3).await;
        site.restart(APP).await;
        site.listen(&mut soak.observer, APP).await;
        for backplane in soak.backplanes() {
            is_connected(backplane).await;
        }
    }
    soak.run(2, 100).await;
    // One request of each server was in flight at each fault.
    let totals = soak.totals().await;
    assert!(totals.lost <= 2 * 3, "{totals:?}");
    // At each server.
    assert!(totals.missing <= 3 * 2 * 3, "{totals:?}");
}

/// No server is disconnected, so none loses a message.
#[tokio::test]
async fn the_broker_loses_its_counter() {
    let site = site().await;
    let mut client = site.client(APP).await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    soak.run_through(&mut client, &[&["DEL", APP], &["SET", APP, "3"]]).await;
    assert_eq!(soak.totals().await.lost, 0);
}

/// The servers give up on their connections meanwhile. A request in flight has an unknown outcome,
/// and is not counted as accepted.
#[tokio::test]
async fn the_broker_stands_still() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, quick).await).await;
    soak.run(0, 100).await;
    let server = site.server(APP).await;
    server.pause();
    for backplane in soak.backplanes() {
        is_disconnected(backplane).await;
    }
    server.resume();
    soak.all_are_ready().await;
    soak.run(1, 100).await;
    let totals = soak.totals().await;
    assert_eq!(totals.lost, 0, "{totals:?}");
    assert_replayed(totals);
}

/// The server that is away loses the messages of the others in between.
#[tokio::test]
async fn one_server_is_cut_off() {
    let site = site().await;
    let far = join_with(&site.far(), quick()).await;
    let near = join_with(&site.near().await, patient()).await;
    let soak = soak(&site, vec![far.clone(), near.clone()]).await;
    for fault in [Fault::Closed, Fault::BlackHole, Fault::Half] {
        soak.run(0, 50).await;
        site.set(fault);
        eventually_within(SLOW_DEADLINE, async || !far.health().is_ready).await;
        soak.run(1, 50).await;
        site.set(Fault::None);
        is_ready(&far).await;
    }
    soak.run(0, 50).await;
    assert_eq!(near.health().lost, 0, "a gap was invented for a server that stayed connected");
    assert_replayed(soak.totals().await);
}

#[tokio::test]
async fn subscriptions_are_killed() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    let mut client = site.client(APP).await;
    for _ in 0..3 {
        soak.run(0, 50).await;
        kill_clients(&mut client, "pubsub").await;
        soak.all_are_ready().await;
    }
    soak.run(1, 50).await;
    assert_replayed(soak.totals().await);
}

/// A request in flight has an unknown outcome; no accepted message is lost, and none is repeated.
#[tokio::test]
async fn commands_are_killed() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    let mut client = site.client(APP).await;
    for _ in 0..3 {
        soak.run(0, 50).await;
        kill_clients(&mut client, "normal").await;
        soak.all_are_ready().await;
    }
    soak.run(1, 50).await;
    assert_eq!(soak.totals().await, NOTHING);
}

#[tokio::test]
async fn the_broker_is_busy_with_a_script() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    let (mut busy, mut client) = (site.client(APP).await, site.client(APP).await);
    client.command(&["CONFIG", "SET", "busy-reply-threshold", "20"]).await;
    soak.run(0, 50).await;
    busy.send(&["EVAL", "while true do end", "0"]).await;
    eventually_within(SLOW_DEADLINE, async || client.command(&["PING"]).await.is_error()).await;
    for _ in 0..100 {
        client.command(&["PING"]).await;
    }
    client.command(&["SCRIPT", "KILL"]).await;
    soak.all_are_ready().await;
    soak.run(1, 50).await;
    assert_eq!(soak.totals().await, NOTHING);
}

/// The broker refuses commands for a while. Their sends fail, and no subscription is affected.
#[tokio::test]
async fn a_permission_is_missing() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    let mut client = site.client(APP).await;
    for (without, with) in [("-evalsha", "+evalsha"), ("-subscribe", "+subscribe")] {
        soak.run(0, 50).await;
        client.command(&["ACL", "SETUSER", "default", without]).await;
        for _ in 0..100 {
            client.command(&["PING"]).await;
        }
        client.command(&["ACL", "SETUSER", "default", with]).await;
        soak.all_are_ready().await;
    }
    soak.run(1, 50).await;
    assert_eq!(soak.totals().await, NOTHING);
}

#[tokio::test]
async fn scripts_are_flushed() {
    let site = site().await;
    let soak = soak(&site, join_several(&site.url(), 3, patient).await).await;
    let mut client = site.client(APP).await;
    for _ in 0..20 {
        soak.run(0, 10).await;
        client.command(&["SCRIPT", "FLUSH"]).await;
    }
    soak.run(1, 50).await;
    assert_eq!(soak.totals().await, NOTHING);
}

/// One server ends in the middle, and another one takes its place.
#[tokio::test]
async fn one_server_is_replaced() {
    let site = site().await;
    let leaving = join(&site.url(), APP).await;
    let soak = soak(&site, join_several(&site.url(), 2, patient).await).await;
    soak.run(0, 50).await;
    within(SLOW_DEADLINE, leaving.shutdown()).await;
    soak.run(0, 50).await;
    let fresh = join(&site.url(), APP).await;
    is_ready(&fresh).await;
    soak.run(1, 50).await;
    assert_eq!(fresh.health().lost, 0);
    assert_eq!(soak.totals().await, NOTHING);
}
