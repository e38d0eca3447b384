//! Servers with an embedded broker.
//!
//! There is no network that could fail, and the broker lives as long as its servers. So the faults
//! are servers that fall behind, clients that change the counter, and restarts of the broker's
//! listener.

use std::time::Duration;

use backplane::{State, Target};
use broker::{Broker, Config, Port, ReplayRule, Server};
use harness::{Client, SLOW_DEADLINE, eventually_within, within};

use crate::farm::{Bus, is_ready, nothing_more, receive, send, send_too_much};
use crate::observer::Observer;
use crate::soak::Soak;

const APP: &str = "ChatApp";
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn nothing_is_missing() {
    let broker = Broker::new();
    let observer = Observer::on_embedded(&broker, APP);
    let bus = Bus::Embedded(broker);
    let soak = Soak::before(observer, [bus.join(APP).await, bus.join(APP).await]);
    soak.run(0, 50).await;
    assert_eq!(soak.check().await, 0);
}

/// A command for it can come while neither of its two servers has it.
#[tokio::test]
async fn a_change_reaches_a_connection_that_is_between_two_servers() {
    for is_next_here in [false, true] {
        let broker = Broker::new();
        let mut channel = broker.subscribe(APP);
        let bus = Bus::Embedded(broker);
        let (one, two) = (bus.join(APP).await, bus.join(APP).await);
        let asking = one.clone();
        let joining = tokio::spawn(async move { asking.join("moving", "room").await });
        within(SLOW_DEADLINE, channel.recv()).await.expect("the command");
        let next = if is_next_here { &one } else { &two };
        let mut connection = next.attach("moving", None);
        within(SLOW_DEADLINE, joining).await.expect("no panic").expect("joined");
        send(&one, Target::group("room"), 1).await;
        assert_eq!(receive(&mut connection, 1).await, [1]);
    }
}

#[tokio::test]
async fn a_restarted_listener_does_not_affect_embedded_servers() {
    let broker = Broker::new();
    let observer = Observer::on_embedded(&broker, APP);
    let bus = Bus::Embedded(broker.clone());
    let soak = Soak::before(observer, [bus.join(APP).await, bus.join(APP).await]);
    for _ in 0..3 {
        let (server, mut client) = listen(&broker, config()).await;
        client.subscribe(&[APP]).await;
        soak.run(0, 50).await;
        within(SLOW_DEADLINE, server.shutdown()).await;
        soak.run(1, 50).await;
    }
    assert!(soak.backplanes().all(|backplane| backplane.state() == State::Connected));
    assert_eq!(soak.check().await, 0, "something is missing");
}

#[tokio::test]
async fn servers_dropped_for_falling_behind_report_their_gaps() {
    let bus = Bus::Embedded(Broker::new());
    let soak = Soak::among([bus.join(APP).await, bus.join(APP).await]);
    fall_behind(&soak).await;
    assert!(soak.check().await > 0, "nothing was missed");
}

#[tokio::test]
async fn servers_dropped_by_a_broker_with_replay_miss_nothing() {
    let broker = Broker::new();
    let rule = ReplayRule {
        pattern: APP.into(),
        messages_max: 100_000,
        bytes_max: 1024 * MIB,
        age_max: Duration::from_secs(60),
    };
    let _server = listen(&broker, Config { pubsub_replay: vec![rule], ..config() }).await;
    let bus = Bus::Embedded(broker);
    let farm = [bus.join(APP).await, bus.join(APP).await];
    let soak = Soak::among(farm.clone());
    fall_behind(&soak).await;
    assert_eq!(soak.check().await, 0, "something is missing");
    assert!(farm.iter().all(|member| member.health().recovered > 0));
}

#[tokio::test]
async fn a_counter_lost_repeatedly_is_restored_without_a_loss() {
    let broker = Broker::new();
    let (_server, mut client) = listen(&broker, config()).await;
    let bus = Bus::Embedded(broker);
    let soak = Soak::among([bus.join(APP).await, bus.join(APP).await]);
    let commands: [&[&str]; 4] = [&["DEL", APP], &["FLUSHALL"], &["SET", APP, "3"], &["DEL", APP]];
    soak.run_through(&mut client, &commands).await;
    assert_eq!(soak.check().await, 0, "a gap was invented: no server was disconnected");
}

#[tokio::test]
async fn cursors_stay_valid_after_a_counter_loss() {
    let broker = Broker::new();
    let (_server, mut client) = listen(&broker, config()).await;
    client.command(&["SET", APP, "100000"]).await;
    let one = Bus::Embedded(broker).join(APP).await;
    is_ready(&one).await;
    let (mut ann, mut back) = (one.attach("ann", None), one.attach("back", None));
    send(&one, Target::all(), 1).await;
    assert_eq!(receive(&mut back, 1).await, [1]);
    let cursor = back.cursor();
    drop(back);
    send(&one, Target::all(), 2).await;
    client.command(&["DEL", APP]).await;
    send(&one, Target::all(), 3).await;
    let lifted = async || {
        let counter = client.command(&["GET", APP]).await;
        counter.text().parse::<u64>().expect("a number") > 100_000
    };
    eventually_within(SLOW_DEADLINE, lifted).await;
    send(&one, Target::all(), 4).await;
    let mut back = one.attach_at("back", None, &[], cursor);
    assert_eq!(receive(&mut ann, 4).await, [1, 2, 3, 4]);
    assert_eq!(receive(&mut back, 3).await, [2, 3, 4]);
    nothing_more(&one, &mut [&mut ann, &mut back]).await;
}

/// Makes all servers of a soak miss messages, twice.
async fn fall_behind(soak: &Soak) {
    for _ in 0..2 {
        soak.run(0, 50).await;
        send_too_much(soak.backplanes().next().expect("two servers")).await;
    }
    soak.run(1, 50).await;
}

fn config() -> Config {
    Config { port: Port::Any, ..Config::default() }
}

/// Starts a listener for clients on the broker.
async fn listen(broker: &Broker, config: Config) -> (Server, Client) {
    let server = Server::bind(broker.clone(), &config).await.expect("it listens");
    let client = Client::connect(server.local_addr().expect("it has a TCP port").port()).await;
    (server, client)
}
