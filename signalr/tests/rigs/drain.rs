//! A server that loses all of its clients, while it sends to them.

use std::time::Duration;

use futures_util::{StreamExt, future::join, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::server::{Client, TestServer};

#[tokio::test(start_paused = true)]
async fn each_second_of_a_drain_has_its_share() {
    end_evenly(200, Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn each_second_of_a_drain_of_a_crowd_has_its_share() {
    end_evenly(2_000, Duration::from_secs(30)).await;
}

/// Drains a server of clients, and compares the number that ends in each second.
async fn end_evenly(clients: usize, window: Duration) {
    let server = TestServer::with_options(
        |options| options.readiness_pause = Duration::from_secs(5),
        |hub| hub,
    );
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(server.connect().await);
    }
    let start = Instant::now();
    let ending = stream::iter(connected).map(|client| end_of(client, start));
    let ending = ending.buffer_unordered(clients).collect::<Vec<_>>();
    let sending = async {
        while server.hub.clients().all().invoke("tick", ()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(250)).await; // on the paused clock
        }
    };
    let draining = async {
        tokio::select! {
            () = server.hub.drain(window) => {}
            () = sending => {}
        }
    };
    let (ends, ()) = join(ending, draining).await;

    let pause = Duration::from_secs(5);
    assert!(ends.iter().all(|end| (pause..=pause + window).contains(end)), "{ends:?}");
    let mut seconds = vec![0; usize::try_from(window.as_secs()).unwrap() + 1];
    for end in ends {
        seconds[usize::try_from((end - pause).as_secs()).unwrap()] += 1;
    }
    // A tenth more than its share: the close takes a moment.
    let share = clients / (seconds.len() - 1);
    assert!(seconds.iter().all(|count| *count <= share + share / 10 + 1), "{seconds:?}");
}

/// Returns the time at which a client is sent to another server.
async fn end_of(mut client: Client, start: Instant) -> Duration {
    loop {
        let message = client.receive_past_pings().await;
        if message != json!({"type": 1, "target": "tick", "arguments": []}) {
            assert_eq!(message, json!({"type": 7, "allowReconnect": true}));
            let end = start.elapsed();
            client.wait_for_end().await;
            return end;
        }
    }
}
