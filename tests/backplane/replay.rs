//! A broker that remembers: what was missed arrives after all, in order and once.

use backplane::{Backplane, Connection, Event, Gap};
use harness::{Client, Fault, Proxy, SLOW_DEADLINE, Server, eventually_within};

use crate::farm::{events, options, receive};

const APP: &str = "ChatApp";

/// A server that listens through a network that can fail, and what its connection hears; somebody
/// else gives the ids.
struct Listener {
    _server: Server,
    network: Proxy,
    publisher: Client,
    backplane: Backplane,
    connection: Connection,
    last_id: u64,
}

impl Listener {
    async fn new(replay: &str) -> Self {
        let server = Server::ours(&["--pubsub-replay", replay]).await;
        let (publisher, network) = (server.client().await, Proxy::to(server.port()).await);
        let url = format!("redis://127.0.0.1:{}", network.port());
        let backplane = Backplane::connecting_with(&url, APP, options());
        let backplane = backplane.expect("the URL is understood");
        let connection = backplane.attach("ann", None);
        let mut listener =
            Self { _server: server, network, publisher, backplane, connection, last_id: 0 };
        listener.listens(1).await;
        listener
    }

    /// Waits until so many listen.
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

    /// Publishes an invocation for everyone, with the next id as its number.
    async fn publish(&mut self) {
        self.last_id += 1;
        let value = format!(r#"{{"H":"ChatHub","M":"number","A":[{}]}}"#, self.last_id);
        let mut body = b"\x01\0\0\0\0\x09h-ChatHub".to_vec();
        body.extend((value.len() as u32).to_le_bytes());
        body.extend(value.as_bytes());
        body.extend([0; 12]);
        let mut payload = format!("{} ", self.last_id).into_bytes();
        payload.extend((body.len() as u32).to_le_bytes());
        payload.extend(body);
        self.publisher.command(&[b"PUBLISH", APP.as_bytes(), &payload]).await;
    }
}

#[tokio::test]
async fn what_is_missed_is_fetched_in_order_and_once() {
    let mut listener = Listener::new("ChatApp 1000 1mb 60").await;
    for round in 0..5 {
        for _ in 0..20 {
            listener.publish().await;
        }
        listener.goes_away().await;
        for _ in 0..20 {
            listener.publish().await;
        }
        listener.comes_back().await;
        for _ in 0..10 {
            listener.publish().await;
        }
        let first = round * 50 + 1;
        let expected: Vec<_> = (first..first + 50).collect();
        assert_eq!(receive(&mut listener.connection, 50).await, expected);
    }
    let health = listener.backplane.health();
    assert_eq!(health.lost, 0);
    assert!(health.recovered >= 100, "{health:?}");
}

#[tokio::test]
async fn what_is_forgotten_too_is_a_gap() {
    let mut listener = Listener::new("ChatApp 5 1mb 60").await;
    let events = events(&listener.backplane);
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 1).await, [1]);
    listener.goes_away().await;
    for _ in 0..20 {
        listener.publish().await;
    }
    listener.comes_back().await;
    assert_eq!(receive(&mut listener.connection, 5).await, [17, 18, 19, 20, 21]);
    let health = listener.backplane.health();
    assert_eq!((health.lost, health.recovered), (15, 5));
    listener.backplane.shutdown().await;
    let events = events.await.expect("it does not panic");
    assert_eq!(events, [Event::Gap(Gap { from: 2, to: 16 })]);
}

#[tokio::test]
async fn a_channel_that_is_not_remembered_is_listened_to_all_the_same() {
    let mut listener = Listener::new("OtherApp 5 1mb 60").await;
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 1).await, [1]);
    listener.goes_away().await;
    listener.publish().await;
    listener.comes_back().await;
    listener.publish().await;
    assert_eq!(receive(&mut listener.connection, 1).await, [3]);
    let health = listener.backplane.health();
    assert_eq!((health.lost, health.recovered), (1, 0));
}
