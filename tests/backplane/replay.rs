//! Replay by the broker: missed messages arrive later, in order and once.

use std::collections::HashMap;
use std::time::Duration;

use backplane::{Backplane, Connection, Event, State, Target};
use harness::{Client, Fault, Proxy, SLOW_DEADLINE, Server, eventually_within, within};

use crate::farm::{builder, events, invocation, is_ready, join_many, metrics, receive};
use crate::observer::{Observer, kill_clients};
use crate::soak::Soak;

const APP: &str = "ChatApp";

/// A server with a connection, behind a network that can fail, and a client that publishes.
struct Listener {
    _server: Server,
    network: Proxy,
    publisher: Client,
    backplane: Backplane,
    connection: Connection,
    last: u64,
}

impl Listener {
    async fn new(replay: &str) -> Self {
        let server = Server::ours(&["--pubsub-replay", replay]).await;
        let (publisher, network) = (server.client().await, Proxy::to(server.port()).await);
        let url = format!("redis://127.0.0.1:{}", network.port());
        // Only the probe after each connect, so that the test knows every message on the channel.
        let quiet = builder(APP).probe_interval(10 * SLOW_DEADLINE);
        let backplane = quiet.connect_lazy(&url).expect("the URL is understood");
        let connection = backplane.attach("ann", None);
        let mut listener =
            Self { _server: server, network, publisher, backplane, connection, last: 0 };
        listener.listens(1).await;
        is_ready(&listener.backplane).await;
        listener
    }

    /// Returns a listener that has received the first message and is disconnected.
    async fn away(replay: &str) -> Self {
        let mut listener = Self::new(replay).await;
        listener.publish().await;
        assert_eq!(receive(&mut listener.connection, 1).await, [1]);
        listener.goes_away().await;
        listener
    }

    /// Waits until the channel has this number of subscribers.
    async fn listens(&mut self, count: i64) {
        eventually_within(SLOW_DEADLINE, async || {
            let counts = self.publisher.command(&["PUBSUB", "NUMSUB", APP]).await;
            counts.items()[1] == count.into()
        })
        .await;
    }

    async fn goes_away(&mut self) {
        self.network.set(Fault::Closed);
        self.listens(0).await;
    }

    async fn comes_back(&mut self) {
        self.network.set(Fault::None);
        self.listens(1).await;
    }

    /// Publishes the next number.
    async fn publish(&mut self) {
        self.publish_at_length(0).await;
    }

    /// Publishes the next numbers.
    async fn publish_many(&mut self, count: u64) {
        for _ in 0..count {
            self.publish().await;
        }
    }

    /// Publishes the next number, padded with this many spaces.
    async fn publish_at_length(&mut self, length: usize) {
        self.last += 1;
        let last = self.last;
        let spaces = " ".repeat(length);
        let value = format!(r#"{{"H":"ChatHub","M":"number","A":[{spaces}{last}]}}"#);
        let mut message = b"\x01\0\0\0\0\x09h-ChatHub".to_vec();
        message.extend((value.len() as u32).to_le_bytes());
        message.extend(value.as_bytes());
        message.extend([0; 12]);
        let mut body = (message.len() as u32).to_le_bytes().to_vec();
        body.extend(message);
        let script = "local id = redis.call('INCR', KEYS[1]) \
                      return redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[1])";
        let words: [&[u8]; 5] = [b"EVAL", script.as_bytes(), b"1", APP.as_bytes(), &body];
        let reply = self.publisher.command(&words).await;
        assert!(!reply.is_error(), "{reply:?}");
    }
}

#[tokio::test]
async fn missed_messages_are_replayed_in_order_once() {
    let mut listener = Listener::new("ChatApp 1000 1mb 60").await;
    for round in 0..5 {
        listener.publish_many(20).await;
        listener.goes_away().await;
        listener.publish_many(20).await;
        listener.comes_back().await;
        listener.publish_many(10).await;
        let first = round * 50 + 1;
        let expected: Vec<_> = (first..first + 50).collect();
        assert_eq!(receive(&mut listener.connection, 50).await, expected);
    }
    let health = listener.backplane.health();
    assert_eq!(health.lost, 0);
    assert!(health.recovered >= 100, "{health:?}");
}

#[tokio::test]
async fn a_reader_is_not_closed_during_a_large_replay() {
    const COUNT: u64 = 5_000;
    let mut listener = Listener::away("ChatApp 10000 64mb 600").await;
    listener.publish_many(COUNT).await;
    listener.comes_back().await;
    let expected: Vec<_> = (2..COUNT + 2).collect();
    assert_eq!(receive(&mut listener.connection, COUNT as usize).await, expected);
}

#[tokio::test]
async fn a_connection_that_does_not_read_delays_no_other() {
    const COUNT: u64 = 5_000;
    let mut listener = Listener::away("ChatApp 10000 64mb 600").await;
    let mut idle = listener.backplane.attach("bob", None);
    listener.publish_many(COUNT).await;
    listener.comes_back().await;
    let expected: Vec<_> = (2..COUNT + 2).collect();
    assert_eq!(receive(&mut listener.connection, COUNT as usize).await, expected);
    assert_eq!(receive(&mut idle, COUNT as usize).await, expected);
    listener.publish().await;
    assert_eq!(receive(&mut idle, 1).await, [COUNT + 2]);
}

#[tokio::test]
async fn much_is_fetched_over_a_slow_network() {
    const COUNT: u64 = 100;
    let mut listener = Listener::away("ChatApp 1000 64mb 60").await;
    for _ in 0..COUNT {
        listener.publish_at_length(150_000).await;
    }
    // The proxy forwards 64 KiB at a time, so the transfer takes about four seconds.
    listener.network.set(Fault::Delay(Duration::from_millis(15)));
    listener.listens(1).await;
    let expected: Vec<_> = (2..COUNT + 2).collect();
    assert_eq!(receive(&mut listener.connection, COUNT as usize).await, expected);
    assert_eq!(listener.backplane.health().lost, 0);
}

#[tokio::test]
async fn an_interrupted_replay_resumes() {
    // More than the recent payloads that the store compares.
    const COUNT: u64 = 25_000;
    let mut listener = Listener::away("ChatApp 100000 64mb 600").await;
    listener.publish_many(COUNT).await;
    listener.comes_back().await;
    let mut received = receive(&mut listener.connection, 20_000).await;
    listener.network.cut();
    received.extend(receive(&mut listener.connection, COUNT as usize - 20_000).await);
    assert_eq!(received, (2..COUNT + 2).collect::<Vec<_>>());
    assert_eq!(listener.backplane.health().lost, 0);
}

/// The replay takes long, and new messages arrive on the subscription meanwhile.
#[tokio::test]
async fn a_replay_beside_new_messages_delivers_nothing_twice() {
    const MISSED: u64 = 20_000;
    const NEW: u64 = 5_000;
    let mut listener = Listener::away("ChatApp 100000 64mb 600").await;
    listener.publish_many(MISSED).await;
    let other = listener.backplane.attach("other", None);
    let mut connection = std::mem::replace(&mut listener.connection, other);
    let reading =
        tokio::spawn(async move { receive(&mut connection, (MISSED + NEW) as usize).await });
    listener.network.set(Fault::Delay(Duration::from_millis(10)));
    listener.publish_many(NEW).await;
    let received = within(SLOW_DEADLINE, reading).await.expect("it does not panic");
    assert_eq!(received, (2..MISSED + NEW + 2).collect::<Vec<_>>());
    let counts: HashMap<_, _> = metrics(&listener.backplane).into_iter().collect();
    for name in ["duplicates", "counter_restarts", "lost"] {
        assert_eq!(counts[&format!("backplane_{name}")], 0.0, "{name}");
    }
}

#[tokio::test]
async fn messages_lost_by_the_server_are_replayed_before_the_next_one() {
    let mut listener = Listener::away("ChatApp 1000 1mb 600").await;
    listener.comes_back().await;
    listener.network.set(Fault::Deaf);
    listener.publish_many(5).await;
    // The lost subscription causes no event; only the next message reveals it.
    let network = &listener.network;
    eventually_within(SLOW_DEADLINE, async || network.swallowed() > 0).await;
    listener.network.set(Fault::None);
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 6).await, [2, 3, 4, 5, 6, 7]);
    assert_eq!(listener.backplane.health().lost, 0);
}

#[tokio::test]
async fn a_failing_replay_does_not_prevent_the_subscription() {
    let mut listener = Listener::away("ChatApp 1000 1mb 600").await;
    listener.publish().await;
    listener.network.set(Fault::Forgetful);
    eventually_within(SLOW_DEADLINE, async || listener.backplane.state() == State::Connected).await;
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 1).await, [3]);
    assert_eq!(listener.backplane.health().lost, 1);
}

#[tokio::test]
async fn servers_with_killed_subscriptions_lose_nothing() {
    let server = Server::ours(&["--pubsub-replay", "ChatApp 10000 64mb 60"]).await;
    let farm = join_many(&server.url(), APP, 3).await;
    let soak = Soak::before(Observer::on(&server, APP).await, farm.clone());
    let mut client = server.client().await;
    for _ in 0..5 {
        soak.run(0, 50).await;
        kill_clients(&mut client, "pubsub").await;
    }
    soak.run(1, 50).await;
    soak.all_are_ready().await;
    assert_eq!(soak.check().await, 0, "something is missing");
    let recovered: u64 = farm.iter().map(|member| member.health().recovered).sum();
    assert!(recovered > 0);
}

#[tokio::test]
async fn messages_evicted_from_the_replay_buffer_are_a_gap() {
    let mut listener = Listener::away("ChatApp 5 1mb 60").await;
    let events = events(&listener.backplane);
    listener.publish_many(20).await;
    listener.comes_back().await;
    assert_eq!(receive(&mut listener.connection, 5).await, [17, 18, 19, 20, 21]);
    let health = listener.backplane.health();
    assert_eq!((health.lost, health.recovered), (15, 5));
    within(SLOW_DEADLINE, listener.backplane.shutdown()).await;
    let events = within(SLOW_DEADLINE, events).await.expect("it does not panic");
    let [Event::Gap(gap)] = events[..] else { panic!("one gap is one event: {events:?}") };
    assert_eq!(gap.count(), 15);
}

#[tokio::test]
async fn a_channel_without_a_replay_buffer_works() {
    let mut listener = Listener::away("OtherApp 5 1mb 60").await;
    listener.publish().await;
    listener.comes_back().await;
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 1).await, [3]);
    let health = listener.backplane.health();
    assert_eq!((health.lost, health.recovered), (1, 0));
}

/// A killed broker with a counters file goes on a million ids later.
#[tokio::test]
async fn reserved_ids_are_no_gap() {
    let options = ["--pubsub-replay", "ChatApp 1000 1mb 60", "--counters-file", "counters"];
    let mut server = Server::ours(&options).await;
    let [backplane]: [Backplane; 1] =
        join_many(&server.url(), APP, 1).await.try_into().expect("one server");
    let mut connection = backplane.attach("ann", None);
    for number in [1, 2] {
        let send = |number| backplane.send(Target::all(), invocation(number));
        eventually_within(SLOW_DEADLINE, async || send(number).await.is_ok()).await;
        assert_eq!(receive(&mut connection, 1).await, [number]);
        server.restart().await;
    }
    let health = backplane.health();
    assert!(health.lost < 1000, "{health:?}");
}
