//! Servers that talk through a broker in their own process.
//!
//! There is no network that could fail and no process that could be killed without the servers: a
//! broker lives as long as somebody has it. So what can go wrong is that servers fall behind, that
//! somebody else takes the counter away, and that the door for others is closed and opened again.

use std::time::Duration;

use backplane::{Invocation, State, Target};
use broker::{Broker, Config, Port, ReplayRule, Server};
use harness::{Client, SLOW_DEADLINE, eventually_within};

use crate::farm::{Bus, is_ready, nothing_more, receive, send};
use crate::talk::Talk;
use crate::witness::Witness;

const APP: &str = "ChatApp";
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn nothing_is_missing() {
    let broker = Broker::new();
    let witness = Witness::on_embedded(&broker, APP);
    let bus = Bus::Embedded(broker);
    let talk = Talk::before(witness, [bus.join(APP).await, bus.join(APP).await]);
    talk.goes_on(0, 50).await;
    assert_eq!(talk.judge().await, 0);
}

#[tokio::test]
async fn a_door_that_is_closed_and_opened_again_concerns_nobody_inside() {
    let broker = Broker::new();
    let witness = Witness::on_embedded(&broker, APP);
    let bus = Bus::Embedded(broker.clone());
    let talk = Talk::before(witness, [bus.join(APP).await, bus.join(APP).await]);
    for _ in 0..3 {
        let (server, mut client) = listen(&broker, config()).await;
        client.subscribe(&[APP]).await;
        talk.goes_on(0, 50).await;
        server.shutdown().await;
        talk.goes_on(1, 50).await;
    }
    assert!(talk.backplanes().all(|backplane| backplane.state() == State::Connected));
    assert_eq!(talk.judge().await, 0, "something is missing");
}

#[tokio::test]
async fn servers_that_the_broker_dropped_for_being_slow_are_told_what_they_missed() {
    let bus = Bus::Embedded(Broker::new());
    let talk = Talk::among([bus.join(APP).await, bus.join(APP).await]);
    fall_behind(&talk).await;
    assert!(talk.judge().await > 0, "nothing was missed");
}

#[tokio::test]
async fn servers_that_a_broker_dropped_which_remembers_miss_nothing() {
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
    let talk = Talk::among(farm.clone());
    fall_behind(&talk).await;
    assert_eq!(talk.judge().await, 0, "something is missing");
    assert!(farm.iter().all(|member| member.health().recovered > 0));
}

#[tokio::test]
async fn a_counter_that_is_lost_again_and_again_is_lifted_and_nobody_misses_anything() {
    let broker = Broker::new();
    let (_server, mut client) = listen(&broker, config()).await;
    let bus = Bus::Embedded(broker);
    let talk = Talk::among([bus.join(APP).await, bus.join(APP).await]);
    let commands: [&[&str]; 4] = [&["DEL", APP], &["FLUSHALL"], &["SET", APP, "3"], &["DEL", APP]];
    talk.goes_on_through(&mut client, &commands).await;
    assert_eq!(talk.judge().await, 0, "a gap was invented, since nobody was away");
}

#[tokio::test]
async fn cursors_go_on_when_a_counter_was_lost() {
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

/// Has all servers of a talk miss something, twice.
async fn fall_behind(talk: &Talk) {
    for _ in 0..2 {
        talk.goes_on(0, 50).await;
        // Nobody here reads while these are sent, which is more than a subscriber may leave unread.
        for _ in 0..40 {
            let large = Invocation::new("large", ["x".repeat(MIB)]).expect("an array");
            let sender = talk.backplanes().next().expect("two servers");
            sender.send(Target::group("nobody"), large).await.expect("sent");
        }
    }
    talk.goes_on(1, 50).await;
}

fn config() -> Config {
    Config { port: Port::Any, ..Config::default() }
}

/// Lets clients reach a broker.
async fn listen(broker: &Broker, config: Config) -> (Server, Client) {
    let server = Server::bind(broker.clone(), &config).await.expect("it listens");
    let client = Client::connect(server.local_addr().port()).await;
    (server, client)
}
