//! Faults in the middle of a talk: every gap is told, none is invented, nothing comes twice, and
//! order is kept. Where the server remembers, nothing is missing at all.

use std::time::{Duration, Instant};

use harness::{Fault, Proxy, eventually};

use super::{REMEMBERS, server};
use crate::farm::{is_connected, is_ready, join, join_many, options};
use crate::talk::Talk;
use crate::witness::{Witness, kill_clients};

const APP: &str = "ChatApp";

/// What a fault of the network leaves missing, at a server that is always there.
fn is_bearable(missing: u64) -> bool {
    !REMEMBERS || missing == 0
}

#[tokio::test]
async fn a_server_is_killed_and_comes_back() {
    let mut server = server(&[]).await;
    let witness = Witness::on(&server, APP).await;
    let mut talk = Talk::before(witness, join_many(&server.url(), APP, 4).await);
    for _ in 0..3 {
        talk.goes_on(0, 100).await;
        server.restart().await;
        talk.witness.listen(&server, APP).await;
        for backplane in talk.backplanes() {
            is_connected(backplane).await;
        }
    }
    talk.goes_on(3, 100).await;
    talk.judge().await;
}

#[tokio::test]
async fn clients_are_killed() {
    let server = server(&[]).await;
    let witness = Witness::on(&server, APP).await;
    let talk = Talk::before(witness, join_many(&server.url(), APP, 3).await);
    let mut client = server.client().await;
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
    let server = server(&[]).await;
    let proxy = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let direct = join(&server.url(), APP).await;
    let witness = Witness::on(&server, APP).await;
    let [one, two] = [join(&url, APP).await, join(&url, APP).await];
    let talk = Talk::before(witness, [one, two, direct.clone()]);
    for _ in 0..5 {
        talk.goes_on(0, 30).await;
        proxy.cut();
    }
    talk.goes_on(1, 30).await;
    assert_eq!(direct.health().lost, 0, "a gap was invented for who was never away");
    let missing = talk.judge().await;
    assert!(is_bearable(missing), "{missing} are missing");
}

#[tokio::test]
async fn the_network_fails_in_every_way() {
    let server = server(&[]).await;
    let proxy = Proxy::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let mut options = options();
    options.probe_interval = Duration::from_millis(200);
    let behind = crate::farm::join_with(&url, APP, options).await;
    let direct = join(&server.url(), APP).await;
    let witness = Witness::on(&server, APP).await;
    let talk = Talk::before(witness, [behind.clone(), direct.clone()]);
    let slow = Fault::Delay(Duration::from_millis(50));
    for fault in [Fault::Closed, slow, Fault::BlackHole, Fault::Half] {
        talk.goes_on(0, 30).await;
        proxy.set(fault);
        if fault == slow {
            talk.goes_on(0, 30).await;
        } else {
            eventually(async || !behind.health().is_ready).await;
            talk.goes_on(1, 30).await;
        }
        proxy.set(Fault::None);
        let healed = Instant::now();
        is_ready(&behind).await;
        // One that carries nothing for good is found by asking: every 5 seconds, 2 for an answer.
        assert!(healed.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", healed.elapsed());
    }
    talk.goes_on(0, 30).await;
    assert_eq!(direct.health().lost, 0, "a gap was invented for who was never away");
    let missing = talk.judge().await;
    assert!(is_bearable(missing), "{missing} are missing");
}
