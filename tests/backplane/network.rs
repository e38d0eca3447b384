//! Connections that are closed, slow, half or dead.

use std::time::{Duration, Instant};

use backplane::{Backplane, Target};
use harness::{Fault, Proxy, SLOW_DEADLINE, eventually_within};

use super::server;
use crate::farm::{
    invocation, is_connected, is_disconnected, is_ready, join_with, options, receive, send,
};

const APP: &str = "ChatApp";
const INTERVAL: Duration = Duration::from_millis(500);

async fn behind(proxy: &Proxy) -> Backplane {
    let mut options = options();
    options.probe_interval = INTERVAL;
    join_with(&format!("redis://127.0.0.1:{}", proxy.port()), APP, options).await
}

#[tokio::test]
async fn a_dead_subscription_is_not_ready_within_two_intervals_and_is_made_anew() {
    for fault in [Fault::BlackHole, Fault::Half, Fault::Deaf] {
        let server = server(&[]).await;
        let proxy = Proxy::to(server.port()).await;
        let one = behind(&proxy).await;
        is_ready(&one).await;
        let made = proxy.made();
        proxy.set(fault);
        let dead = Instant::now();
        eventually_within(3 * INTERVAL, async || !one.health().is_ready).await;
        let noticed = dead.elapsed();
        // The probe may have come back just before.
        assert!(noticed <= 2 * INTERVAL + Duration::from_millis(100), "{fault:?}: {noticed:?}");
        assert!(one.health().deaf_for.is_some() || one.health().state.to_string() != "connected");
        eventually_within(Duration::from_secs(20), async || proxy.made() > made).await;
        proxy.set(Fault::None);
        is_ready(&one).await;
        let mut ann = one.attach("ann", None);
        send(&one, Target::all(), 1).await;
        assert_eq!(receive(&mut ann, 1).await, [1]);
    }
}

#[tokio::test]
async fn a_peer_that_is_half_open_is_found_without_anything_being_sent() {
    let server = server(&[]).await;
    let proxy = Proxy::to(server.port()).await;
    let mut options = options();
    // No probe helps.
    options.probe_interval = Duration::from_secs(600);
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let one = join_with(&url, APP, options).await;
    is_ready(&one).await;
    let mut ann = one.attach("ann", None);
    let made = proxy.made();
    proxy.set(Fault::BlackHole);
    is_disconnected(&one).await;
    proxy.set(Fault::None);
    eventually_within(SLOW_DEADLINE, async || proxy.made() >= made + 2).await;
    // The one may be there again before the other is found.
    eventually_within(SLOW_DEADLINE, async || one.send(Target::all(), invocation(1)).await.is_ok())
        .await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
}

#[tokio::test]
async fn a_slow_network_is_no_outage() {
    let server = server(&[]).await;
    let proxy = Proxy::to(server.port()).await;
    let one = behind(&proxy).await;
    let mut ann = one.attach("ann", None);
    is_ready(&one).await;
    let made = proxy.made();
    proxy.set(Fault::Delay(Duration::from_millis(100)));
    for number in 0..10 {
        send(&one, Target::all(), number).await;
    }
    assert_eq!(receive(&mut ann, 10).await, (0..10).collect::<Vec<_>>());
    assert_eq!(proxy.made(), made, "it was taken for an outage");
    assert!(one.health().last_round_trip.is_some_and(|time| time >= Duration::from_millis(100)));
}

#[tokio::test]
async fn a_network_that_is_down_for_long_is_found_again() {
    let server = server(&[]).await;
    let proxy = Proxy::to(server.port()).await;
    let one = behind(&proxy).await;
    let other = join_with(&server.url(), APP, options()).await;
    is_ready(&one).await;
    is_ready(&other).await;
    proxy.set(Fault::Closed);
    eventually_within(Duration::from_secs(5), async || !one.health().is_ready).await;
    let made = proxy.made();
    for number in 0..10 {
        send(&other, Target::all(), number).await;
    }
    eventually_within(Duration::from_secs(20), async || proxy.made() > made + 10).await;
    let events = crate::farm::events(&one);
    proxy.set(Fault::None);
    is_connected(&one).await;
    is_ready(&one).await;
    // It was ready shortly before, and the next message is what shows the gap.
    eventually_within(SLOW_DEADLINE, async || one.health().lost >= 10).await;
    one.shutdown().await;
    let events = events.await.expect("it does not panic");
    assert_eq!(events.len(), 1, "one gap is one event: {events:?}");
}
