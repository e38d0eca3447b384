//! Faults of the network during a soak. Every gap is reported, no gap is invented, no message arrives twice, and
//! the order is kept. With a replay buffer, no message is lost.

use std::time::Duration;

use harness::{Fault, SLOW_DEADLINE, eventually_within};

use super::{REMEMBERS, site};
use crate::farm::{builder, is_ready, join, join_with};
use crate::soak::Soak;

const APP: &str = "ChatApp";

/// Whether this number of missing messages is acceptable after a fault of the network.
fn is_bearable(missing: u64) -> bool {
    !REMEMBERS || missing == 0
}

#[tokio::test]
async fn connections_are_cut_again_and_again() {
    let site = site().await;
    let near = join(&site.near().await, APP).await;
    let [one, two] = [join(&site.far(), APP).await, join(&site.far(), APP).await];
    let soak = Soak::before(site.observer(APP).await, [one, two, near.clone()]);
    for _ in 0..5 {
        soak.run(0, 30).await;
        site.cut();
    }
    soak.run(1, 30).await;
    assert_eq!(near.health().lost, 0, "a gap was invented for a server that stayed connected");
    let missing = soak.check().await;
    assert!(is_bearable(missing), "{missing} are missing");
}

#[tokio::test]
async fn the_network_fails_in_every_way() {
    let site = site().await;
    let quiet = builder(APP).probe_interval(Duration::from_millis(200));
    let far = join_with(&site.far(), quiet).await;
    let near = join(&site.near().await, APP).await;
    let soak = Soak::before(site.observer(APP).await, [far.clone(), near.clone()]);
    let slow = Fault::Delay(Duration::from_millis(50));
    for fault in [Fault::Closed, slow, Fault::BlackHole, Fault::Half, Fault::Deaf] {
        soak.run(0, 30).await;
        site.set(fault);
        if fault == slow {
            soak.run(0, 30).await;
        } else {
            eventually_within(SLOW_DEADLINE, async || !far.health().is_ready).await;
            soak.run(1, 30).await;
        }
        site.set(Fault::None);
        is_ready(&far).await;
    }
    soak.run(0, 30).await;
    assert_eq!(near.health().lost, 0, "a gap was invented for a server that stayed connected");
    let missing = soak.check().await;
    assert!(is_bearable(missing), "{missing} are missing");
}
