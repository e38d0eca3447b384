//! Faults in the middle of a talk: every gap is told, none is invented, nothing comes twice, and
//! order is kept. Where the server remembers, nothing is missing at all.

use std::time::Duration;

use harness::{Fault, SLOW_DEADLINE, eventually_within};

use super::{REMEMBERS, site};
use crate::farm::{builder, is_connected, is_ready, join, join_many, join_with};
use crate::talk::Talk;
use crate::witness::kill_clients;

const APP: &str = "ChatApp";

/// What a fault of the network leaves missing, at a server that is always there.
fn is_bearable(missing: u64) -> bool {
    !REMEMBERS || missing == 0
}

#[tokio::test]
async fn a_server_is_killed_and_comes_back() {
    let mut site = site().await;
    let witness = site.witness(APP).await;
    let mut talk = Talk::before(witness, join_many(&site.url(), APP, 4).await);
    for _ in 0..3 {
        talk.goes_on(0, 100).await;
        site.restart(APP).await;
        site.listen(&mut talk.witness, APP).await;
        for backplane in talk.backplanes() {
            is_connected(backplane).await;
        }
    }
    talk.goes_on(3, 100).await;
    talk.judge().await;
}

#[tokio::test]
async fn clients_are_killed() {
    let site = site().await;
    let talk = Talk::before(site.witness(APP).await, join_many(&site.url(), APP, 3).await);
    let mut client = site.client(APP).await;
    for kind in ["pubsub", "normal", "pubsub"] {
        talk.goes_on(0, 50).await;
        kill_clients(&mut client, kind).await;
        talk.all_are_ready().await;
    }
    talk.goes_on(1, 50).await;
    let missing = talk.judge().await;
    assert!(is_bearable(missing), "{missing} are missing");
}

#[tokio::test]
async fn connections_are_cut_again_and_again() {
    let site = site().await;
    let near = join(&site.near().await, APP).await;
    let [one, two] = [join(&site.far(), APP).await, join(&site.far(), APP).await];
    let talk = Talk::before(site.witness(APP).await, [one, two, near.clone()]);
    for _ in 0..5 {
        talk.goes_on(0, 30).await;
        site.cut();
    }
    talk.goes_on(1, 30).await;
    assert_eq!(near.health().lost, 0, "a gap was invented for who was never away");
    let missing = talk.judge().await;
    assert!(is_bearable(missing), "{missing} are missing");
}

#[tokio::test]
async fn the_network_fails_in_every_way() {
    let site = site().await;
    let quiet = builder(APP).probe_interval(Duration::from_millis(200));
    let far = join_with(&site.far(), quiet).await;
    let near = join(&site.near().await, APP).await;
    let talk = Talk::before(site.witness(APP).await, [far.clone(), near.clone()]);
    let slow = Fault::Delay(Duration::from_millis(50));
    for fault in [Fault::Closed, slow, Fault::BlackHole, Fault::Half, Fault::Deaf] {
        talk.goes_on(0, 30).await;
        site.set(fault);
        if fault == slow {
            talk.goes_on(0, 30).await;
        } else {
            eventually_within(SLOW_DEADLINE, async || !far.health().is_ready).await;
            talk.goes_on(1, 30).await;
        }
        site.set(Fault::None);
        is_ready(&far).await;
    }
    talk.goes_on(0, 30).await;
    assert_eq!(near.health().lost, 0, "a gap was invented for who was never away");
    let missing = talk.judge().await;
    assert!(is_bearable(missing), "{missing} are missing");
}
