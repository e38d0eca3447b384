//! A master that dies, a slot that moves.

use std::time::{Duration, Instant};

use harness::{Cluster, Sentinel};

use crate::farm::join_many;
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
