//! Our broker as the replica of a `redis-server`, and as its master: both must have the same keys.

use harness::{
    Certificates, Client, Kind, Replicated, SLOW_DEADLINE, Server, Value, array, eventually_within,
    free_port, random_changes,
};

const REQUESTS: usize = 3_000;
const PAIRS: [(Kind, Kind); 2] = [(Kind::Ours, Kind::Redis), (Kind::Redis, Kind::Ours)];

async fn pair(master: Kind, replica: Kind) -> Replicated {
    // Without it, Redis waits for more replicas before a copy.
    let delay = ["--repl-diskless-sync-delay", "0"];
    let of = |kind| if kind == Kind::Redis { &delay[..] } else { &[] };
    Replicated::start((master, of(master)), (replica, of(replica))).await
}

#[tokio::test]
async fn random_changes_reach_a_replica_of_the_other_program() {
    for (master, replica) in PAIRS {
        let pair = pair(master, replica).await;
        let mut client = pair.master.client().await;
        for seed in 0..3 {
            let requests = random_changes(seed, REQUESTS);
            client.pipeline(&requests.concat(), requests.len()).await;
            pair.agree().await;
        }
    }
}

#[tokio::test]
async fn a_replica_copies_keys_in_every_form() {
    for (master, replica) in PAIRS {
        let delay: &[&str] = match master {
            Kind::Redis => &["--repl-diskless-sync-delay", "0"],
            _ => &[],
        };
        let server = Server::start(master, delay).await;
        let mut client = server.client().await;
        let binary: Vec<u8> = (0..=255).collect();
        let long = b"ab".repeat(100_000);
        for value in [&b"12"[..], b"-300", b"70000", b"9223372036854775807", b"", &binary, &long] {
            let key = format!("{} bytes", value.len());
            client.command(&[b"SET", key.as_bytes(), value]).await;
        }
        client.command(&["SET", "later", "x", "EX", "5000"]).await;
        client.command(&["SELECT", "2"]).await;
        client.command(&["SET", "elsewhere", "1"]).await;
        let follower = Server::start(replica, &[]).await;
        let port = server.port().to_string();
        follower.client().await.command(&["REPLICAOF", "127.0.0.1", &port]).await;
        let mut other = follower.client().await;
        eventually_within(SLOW_DEADLINE, async || {
            let there = harness::content(&mut other).await;
            there.len() == 9 && there == harness::content(&mut client).await
        })
        .await;
    }
}

#[tokio::test]
async fn messages_reach_the_subscribers_of_a_replica() {
    for (master, replica) in PAIRS {
        let pair = pair(master, replica).await;
        let mut ann = pair.replica.client().await;
        ann.subscribe(&["news"]).await;
        let mut client = pair.master.client().await;
        for number in 0..100 {
            assert_eq!(client.publish("news", number.to_string()).await, 0);
        }
        for number in 0..100 {
            ann.expect_message("news", number.to_string()).await;
        }
        let mut there = pair.replica.client().await;
        assert_eq!(there.publish("news", "local").await, 1);
    }
}

#[tokio::test]
async fn a_link_that_breaks_goes_on_where_it_ended() {
    for (master, replica) in PAIRS {
        let pair = pair(master, replica).await;
        let mut client = pair.master.client().await;
        for round in 0..3 {
            pair.network.cut();
            client.command(&["INCRBY", "n", &round.to_string()]).await;
            pair.linked().await;
            pair.agree().await;
        }
        let stats = client.command(&["INFO", "stats"]).await;
        assert!(stats.text().contains("sync_full:1\r\n"), "{}", stats.text());
        assert!(stats.text().contains("sync_partial_ok:3\r\n"), "{}", stats.text());
    }
}

#[tokio::test]
async fn a_master_with_a_list_cannot_be_followed() {
    let master = Server::redis(&["--repl-diskless-sync-delay", "0"]).await;
    let mut client = master.client().await;
    client.command(&["RPUSH", "queue", "1"]).await;
    let port = master.port().to_string();
    let replica = Server::ours(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
    eventually_within(SLOW_DEADLINE, async || {
        replica.stdout().contains("it has the key queue of type list")
    })
    .await;
    client.command(&["DEL", "queue"]).await;
    client.command(&["SET", "k", "v"]).await;
    let mut there = replica.client().await;
    eventually_within(SLOW_DEADLINE, async || {
        there.command(&["GET", "k"]).await.value() == &Value::from("v")
    })
    .await;
    // Later as well, in the stream: the next copy then has the list.
    let refusals = || replica.stdout().matches("it has the key queue of type list").count();
    let before = refusals();
    client.command(&["RPUSH", "queue", "1"]).await;
    client.command(&["SET", "k", "w"]).await;
    eventually_within(SLOW_DEADLINE, async || refusals() > before).await;
    let role = there.command(&["ROLE"]).await;
    assert_ne!(role.items()[3].text(), "connected");
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
}

#[tokio::test]
async fn a_link_over_tls_has_the_same_keys() {
    for (master, replica) in PAIRS {
        let certificates = Certificates::new();
        let file = |name: &str| certificates.file(name);
        let (ca, cert, key) = (file("ca.crt"), file("server.crt"), file("server.key"));
        let port = free_port().to_string();
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        let delay: &[&str] = match master {
            Kind::Redis => &["--repl-diskless-sync-delay", "0"],
            _ => &[],
        };
        let arguments = [&files[..], &["--tls-port", &port], delay].concat();
        let server = Server::start(master, &arguments).await;
        let of = format!("127.0.0.1 {port}");
        // A certificate for servers only could not be shown to the master.
        let (cert, key) = (file("client.crt"), file("client.key"));
        let own = ["--tls-client-cert-file", &cert, "--tls-client-key-file", &key];
        let link = ["--tls-replication", "yes", "--replicaof", &of];
        let follower = Server::start(replica, &[&files[..], &own, &link].concat()).await;
        let mut client = server.client().await;
        let requests = random_changes(7, 500);
        client.pipeline(&requests.concat(), requests.len()).await;
        let mut other = follower.client().await;
        eventually_within(SLOW_DEADLINE, async || {
            harness::content(&mut other).await == harness::content(&mut client).await
        })
        .await;
        let role = other.command(&["ROLE"]).await;
        assert_eq!(role.items()[3].text(), "connected");
    }
}

/// Waits for the acknowledgement of one replica.
async fn acknowledged(client: &mut Client) {
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
}

#[tokio::test]
async fn wait_counts_replicas_of_redis() {
    let pair = pair(Kind::Ours, Kind::Redis).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "k", "v"]).await;
    acknowledged(&mut client).await;
    let mut there = pair.replica.client().await;
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
    // Two are not there.
    assert_eq!(client.command(&["WAIT", "2", "10"]).await.integer(), 1);
}

/// The way to this broker: it copies the keys of an old Redis, and then replaces it.
#[tokio::test]
async fn the_counters_of_an_old_redis_are_taken_over() {
    let pair = pair(Kind::Redis, Kind::Ours).await;
    let mut old = pair.master.client().await;
    for _ in 0..5 {
        old.command(&["INCR", "ChatApp"]).await;
    }
    old.command(&["SET", "setting", "7"]).await;
    acknowledged(&mut old).await;
    let mut new = pair.replica.client().await;
    let refused = new.command(&["INCR", "ChatApp"]).await;
    assert!(refused.text().starts_with("READONLY "), "{refused:?}");
    assert_eq!(new.command(&["REPLICAOF", "NO", "ONE"]).await.text(), "OK");
    let number = new.command(&["INCR", "ChatApp"]).await.integer();
    assert!(number > 1_000_000, "{number}");
    assert_eq!(new.command(&["GET", "setting"]).await, Value::from("7"));
    let role = new.command(&["ROLE"]).await;
    assert_eq!(role.items()[0], Value::from("master"));
    assert_eq!(role.items()[2], array![]);
}
