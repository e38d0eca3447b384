//! Connections that are closed, slow, half open or dead.

use std::time::Duration;

use backplane::{Backplane, State, Target};
use harness::{Fault, SLOW_DEADLINE, eventually_within, within};
use tokio::time::timeout;

use super::site;
use crate::farm::{
    builder, invocation, is_connected, is_disconnected, is_ready, join, join_with, receive, send,
};
use crate::site::Site;

const APP: &str = "ChatApp";
/// The wait for a message before it is sent again.
const ARRIVAL_TIMEOUT: Duration = Duration::from_millis(100);

async fn far(site: &Site, probe_interval: Duration) -> Backplane {
    join_with(&site.far(), builder(APP).probe_interval(probe_interval)).await
}

/// The unit tests of `health` check the limit of two intervals with a paused clock.
#[tokio::test]
async fn a_dead_subscription_is_not_ready_and_is_replaced() {
    let site = site().await;
    for fault in [Fault::BlackHole, Fault::Half, Fault::Deaf] {
        let one = far(&site, Duration::from_millis(500)).await;
        is_ready(&one).await;
        let made = site.made();
        site.set(fault);
        eventually_within(SLOW_DEADLINE, async || {
            let health = one.health();
            let is_known = health.silent_for.is_some() || health.state != State::Connected;
            assert!(health.is_ready || is_known, "{fault:?}: {health:?}");
            !health.is_ready
        })
        .await;
        eventually_within(SLOW_DEADLINE, async || site.made() > made).await;
        site.set(Fault::None);
        is_ready(&one).await;
        let mut ann = one.attach("ann", None);
        send(&one, Target::all(), 1).await;
        assert_eq!(receive(&mut ann, 1).await, [1]);
    }
}

#[tokio::test]
async fn a_half_open_peer_is_detected_without_a_send() {
    let site = site().await;
    // Too rare to detect the fault.
    let one = far(&site, Duration::from_secs(600)).await;
    is_ready(&one).await;
    let mut ann = one.attach("ann", None);
    site.set(Fault::BlackHole);
    is_disconnected(&one).await;
    site.set(Fault::None);
    // The commands may be connected again before the subscription is. Such a message is lost.
    eventually_within(SLOW_DEADLINE, async || {
        let sent = one.send(Target::all(), invocation(1)).await;
        sent.is_ok() && timeout(ARRIVAL_TIMEOUT, ann.recv()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_slow_network_is_no_outage() {
    let site = site().await;
    // Longer than all messages of this test take, even on a busy machine.
    let one = far(&site, Duration::from_secs(3)).await;
    let mut ann = one.attach("ann", None);
    is_ready(&one).await;
    let made = site.made();
    let delay = Duration::from_millis(100);
    site.set(Fault::Delay(delay));
    for number in 0..10 {
        send(&one, Target::all(), number).await;
    }
    assert_eq!(receive(&mut ann, 10).await, (0..10).collect::<Vec<_>>());
    let is_felt = async || one.health().last_round_trip.is_some_and(|time| time >= delay);
    eventually_within(SLOW_DEADLINE, is_felt).await;
    assert_eq!(site.made(), made, "it was taken for an outage");
}

#[tokio::test]
async fn a_subscription_recovers_from_a_long_network_outage() {
    let site = site().await;
    // Long, since a late probe on a busy machine would cause a second gap.
    let one = far(&site, Duration::from_secs(5)).await;
    let other = join(&site.near().await, APP).await;
    is_ready(&one).await;
    is_ready(&other).await;
    site.set(Fault::Closed);
    is_disconnected(&one).await;
    assert!(!one.health().is_ready);
    let made = site.made();
    for number in 0..10 {
        send(&other, Target::all(), number).await;
    }
    eventually_within(SLOW_DEADLINE, async || site.made() > made + 10).await;
    let events = crate::farm::events(&one);
    site.set(Fault::None);
    is_connected(&one).await;
    is_ready(&one).await;
    // The backplane was ready shortly before, and only the next message reveals the gap.
    eventually_within(SLOW_DEADLINE, async || one.health().lost >= 10).await;
    within(SLOW_DEADLINE, one.shutdown()).await;
    let events = within(SLOW_DEADLINE, events).await.expect("it does not panic");
    assert_eq!(events.len(), 1, "one gap is one event: {events:?}");
}
