//! A subscription with a backlog, on our broker.

use std::time::Duration;

use backplane::{Invocation, Target};
use harness::{Fault, Proxy, SLOW_DEADLINE, Server, within};

use crate::farm::{builder, join, join_with};

const APP: &str = "ChatApp";

/// The reply to a `PING` comes after the whole backlog.
#[tokio::test]
async fn a_subscription_with_a_backlog_is_not_reported_as_dead() {
    // More than the network transfers between two `PING` requests.
    const MESSAGES: usize = 40;
    let server = Server::ours(&["--client-output-buffer-limit", "pubsub 0 0 0"]).await;
    let network = Proxy::to(server.port()).await;
    let quiet = builder(APP).probe_interval(10 * SLOW_DEADLINE);
    let one = join_with(&format!("redis://127.0.0.1:{}", network.port()), quiet).await;
    let mut ann = one.attach("ann", None);
    let two = join(&server.url(), APP).await;
    let made = network.made();
    network.set(Fault::Delay(Duration::from_millis(20)));
    for _ in 0..MESSAGES {
        let large = Invocation::new("large", ["x".repeat(1024 * 1024)]).expect("an array");
        two.send(Target::all(), large).await.expect("sent");
    }
    for _ in 0..MESSAGES {
        within(SLOW_DEADLINE, ann.recv()).await.expect("attached");
    }
    assert_eq!(network.made(), made, "it was taken for an outage");
    assert_eq!(one.health().lost, 0);
}
