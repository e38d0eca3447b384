//! A master that dies, a slot that moves.

use std::time::{Duration, Instant};

use harness::{Cluster, SLOW_DEADLINE, Sentinel, eventually_within};

use crate::farm::{Member, join, judge, talk};

const APP: &str = "ChatApp";

async fn three(url: &str) -> Vec<Member> {
    let members = talk([join(url, APP).await, join(url, APP).await, join(url, APP).await]);
    members[0].has_received_more(50).await;
    members
}

async fn all_are_ready(members: &[Member]) {
    eventually_within(SLOW_DEADLINE, async || {
        members.iter().all(|member| member.backplane.health().is_ready)
    })
    .await;
}

#[tokio::test]
async fn a_sentinels_new_master_is_found() {
    let mut sentinel = Sentinel::start().await;
    let members = three(&sentinel.url()).await;
    sentinel.kill_master().await;
    let promoted = Instant::now();
    all_are_ready(&members).await;
    assert!(promoted.elapsed() < Duration::from_secs(3), "{:?}", promoted.elapsed());
    members[1].has_received_more(50).await;
    judge(members).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start().await;
    let members = three(&cluster.url()).await;
    for _ in 0..2 {
        cluster.move_slot(APP).await;
        let moved = Instant::now();
        all_are_ready(&members).await;
        assert!(moved.elapsed() < Duration::from_secs(3), "{:?}", moved.elapsed());
        members[1].has_received_more(50).await;
    }
    judge(members).await;
}
