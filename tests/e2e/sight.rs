//! The load of channels and clients: `PUBSUB STATS`, `CLIENTS` and `EXPLAIN`, and the lag of a client.

use std::collections::BTreeMap;

use harness::{Client, Protocol, Server, Value, array, error, eventually, ok};

use super::server;

/// Returns a map, which RESP2 sends as a flat array.
fn map(value: &Value) -> BTreeMap<String, Value> {
    let text = |value: &Value| value.text().to_owned();
    match value {
        Value::Map(pairs) => pairs.iter().map(|(key, value)| (text(key), value.clone())).collect(),
        value => {
            let pairs = value.items().chunks(2);
            pairs.map(|pair| (text(&pair[0]), pair[1].clone())).collect()
        }
    }
}

async fn maps(client: &mut Client, arguments: &[&str]) -> Vec<BTreeMap<String, Value>> {
    client.command(arguments).await.items().iter().map(map).collect()
}

async fn asker(server: &Server, protocol: Protocol) -> Client {
    let mut client = server.client().await;
    if protocol == Protocol::Resp3 {
        client.decode_as(protocol);
        client.command(&["HELLO", "3"]).await;
    }
    client
}

/// Publishes until a client has unread bytes that its socket does not take.
async fn fill(publisher: &mut Client, asker: &mut Client, channel: &str) {
    let payload = vec![b'x'; 64 * 1024];
    eventually(async || {
        for _ in 0..20 {
            publisher.publish(channel, &payload).await;
        }
        let clients = maps(asker, &["PUBSUB", "CLIENTS", channel, "LIMIT", "1"]).await;
        clients[0]["unread-bytes"].integer() > 0
    })
    .await;
}

const NO_LIMIT: [&str; 2] = ["--client-output-buffer-limit", "pubsub 0 0 0"];

#[tokio::test]
async fn pubsub_clients_lists_the_subscribers_of_all_threads_the_slowest_first() {
    for (threads, protocol) in [("1", Protocol::Resp2), ("4", Protocol::Resp3)] {
        let server = server(&[&NO_LIMIT[..], &["--io-threads", threads]].concat()).await;
        let mut asker = asker(&server, protocol).await;
        let mut publisher = server.client().await;
        assert_eq!(asker.command(&["PUBSUB", "CLIENTS", "news"]).await, array![]);
        let mut readers = Vec::new();
        for index in 0..6 {
            let mut reader = server.client().await;
            reader.command(&["CLIENT", "SETNAME", &format!("reader-{index}")]).await;
            readers.push(reader);
        }
        readers[0].subscribe(&["other"]).await;
        readers[1].subscribe(&["news"]).await;
        readers[2].psubscribe(&["n*"]).await;
        readers[3].send(&["SSUBSCRIBE", "news"]).await;
        readers[3].read_reply().await;
        readers[4].psubscribe(&["x*"]).await;
        let clients = maps(&mut asker, &["PUBSUB", "CLIENTS", "news"]).await;
        let names: Vec<_> = clients.iter().map(|client| client["name"].text()).collect();
        assert_eq!(names, ["reader-1", "reader-2", "reader-3"]);
        for (client, by) in clients.iter().zip(["channel", "pattern", "shard"]) {
            assert_eq!(client["by"].text(), by);
            assert_eq!(client["user"].text(), "default");
            assert!(client["addr"].text().starts_with("127.0.0.1:"), "{client:?}");
            assert_eq!((client["unread-bytes"].integer(), client["lag-ms"].integer()), (0, 0));
        }
        assert_eq!(clients[1]["pattern"].text(), "n*");
        readers[5].subscribe(&["news"]).await;
        // The first one reads, the last one does not.
        let mut first = readers.swap_remove(1);
        let reads = tokio::spawn(async move { while first.listen().await.is_some() {} });
        let mut second = readers.swap_remove(2);
        let reads_too = tokio::spawn(async move { while second.listen().await.is_some() {} });
        fill(&mut publisher, &mut asker, "news").await;
        eventually(async || {
            let clients = maps(&mut asker, &["PUBSUB", "CLIENTS", "news", "LIMIT", "1"]).await;
            assert_eq!(clients.len(), 1);
            clients[0]["name"].text() == "reader-5" && clients[0]["lag-ms"].integer() >= 20
        })
        .await;
        let list = publisher.command(&["CLIENT", "LIST"]).await;
        let slow = list.text().lines().find(|line| line.contains(" name=reader-5 "));
        let slow = slow.unwrap_or_else(|| panic!("no such client in {list:?}"));
        assert!(!slow.contains(" lag=0") && !slow.contains(" omem-peak=0"), "{slow}");
        reads.abort();
        reads_too.abort();
    }
}

#[tokio::test]
async fn client_list_counts_the_messages_of_a_client() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads]).await;
        let (mut publisher, mut reader) = (server.client().await, server.client().await);
        publisher.command(&["CLIENT", "SETNAME", "publisher"]).await;
        reader.command(&["CLIENT", "SETNAME", "reader"]).await;
        reader.subscribe(&["news"]).await;
        reader.psubscribe(&["n*"]).await;
        let mut asker = server.client().await;
        let large = "x".repeat(100_000);
        for payload in ["a", "b", &large] {
            assert_eq!(publisher.publish("news", payload).await, 2);
        }
        let script = "redis.call('publish', 'news', 1) redis.call('publish', 'news', 2)";
        publisher.command(&["EVAL", script, "0"]).await;
        for _ in 0..10 {
            reader.read_reply().await;
        }
        reader.command(&["PUNSUBSCRIBE"]).await;
        // In one read, so that the messages are one batch.
        let pipeline = harness::request(&["PUBLISH", "news", "batch"]).repeat(20);
        publisher.pipeline(&pipeline, 20).await;
        eventually(async || {
            let list = asker.command(&["CLIENT", "LIST"]).await;
            let line = |name: &str| {
                let mut lines = list.text().lines();
                lines.find(|line| line.contains(&format!(" name={name} "))).unwrap_or_default()
            };
            line("publisher").contains(" tot-msgs-in=25 tot-msgs-out=0 ")
                && line("reader").contains(" tot-msgs-in=0 tot-msgs-out=30 ")
        })
        .await;
    }
}

#[tokio::test]
async fn pubsub_stats_shows_the_rates_of_the_last_second_while_it_is_asked() {
    for (threads, protocol) in [("1", Protocol::Resp2), ("4", Protocol::Resp3)] {
        let server = server(&["--io-threads", threads]).await;
        let mut asker = asker(&server, protocol).await;
        let (mut publisher, mut reader) = (server.client().await, server.client().await);
        reader.subscribe(&["busy"]).await;
        publisher.publish("early", "").await;
        assert_eq!(asker.command(&["PUBSUB", "STATS"]).await, array![]);
        let rates =
            async |asker: &mut Client| maps(asker, &["PUBSUB", "STATS", "b*", "TOP", "1"]).await;
        eventually(async || {
            for _ in 0..10 {
                publisher.publish("busy", "12345").await;
            }
            publisher.publish("base", "").await;
            publisher.publish("other", "").await;
            rates(&mut asker).await[0]["messages-per-sec"].integer() > 0
        })
        .await;
        let all = rates(&mut asker).await;
        assert_eq!((all.len(), all[0]["channel"].text()), (1, "busy"));
        let rate = |name: &str| all[0][name].integer();
        assert_eq!(rate("bytes-in-per-sec"), 5 * rate("messages-per-sec"));
        assert_eq!(rate("bytes-out-per-sec"), rate("bytes-in-per-sec"));
        assert_eq!(rate("receivers"), 1);
        assert!((0..1_000).contains(&rate("last-ms")), "{all:?}");
        let names = asker.command(&["PUBSUB", "STATS"]).await;
        assert_eq!(names.items().len(), 3, "{names:?}");
    }
}

#[tokio::test]
async fn pubsub_explain_describes_a_message_before_it_is_sent() {
    for (threads, protocol) in [("1", Protocol::Resp2), ("4", Protocol::Resp3)] {
        let arguments = ["--io-threads", threads, "--pubsub-replay", "app* 100 1mb 60"];
        let server = server(&[&NO_LIMIT[..], &arguments].concat()).await;
        let mut asker = asker(&server, protocol).await;
        let (mut first, mut second) = (server.client().await, server.client().await);
        first.subscribe(&["app"]).await;
        first.psubscribe(&["a*"]).await;
        second.psubscribe(&["a*", "*p", "other"]).await;
        let rules = ["ACL", "SETUSER", "ann", "on", "nopass", "+publish", "&news"];
        assert_eq!(asker.command(&rules).await, ok());
        assert_eq!(asker.command(&["ACL", "SETUSER", "bob", "&app"]).await, ok());
        let reply = asker.command(&["PUBSUB", "EXPLAIN", "app", "BYTES", "100"]).await;
        let plan = map(reply.value());
        assert_eq!((plan["receivers"].integer(), plan["by-channel"].integer()), (4, 1));
        assert_eq!(plan["bytes-to-send"].integer(), 400);
        let by_pattern = map(&plan["by-pattern"]);
        let by_pattern: Vec<_> =
            by_pattern.iter().map(|(name, count)| (name.as_str(), count.integer())).collect();
        assert_eq!(by_pattern, [("*p", 1), ("a*", 2)]);
        assert_eq!(plan["replay-rule"].text(), "app* 100 1048576 60");
        assert_eq!((plan["user"].text(), plan["acl"].text()), ("default", "allowed"));
        assert_eq!(map(&plan["slowest"])["lag-ms"].integer(), 0);
        for (user, missing) in [("ann", "&app"), ("bob", "+publish")] {
            let reply = asker.command(&["PUBSUB", "EXPLAIN", "app", "USER", user]).await;
            let plan = map(reply.value());
            assert_eq!(plan["acl"].text(), "denied");
            assert_eq!(plan["missing-rule"].text(), missing);
        }
        let reply = asker.command(&["PUBSUB", "EXPLAIN", "nobody"]).await;
        let plan = map(reply.value());
        for name in ["slowest", "replay-rule", "missing-rule"] {
            assert_eq!(plan[name], harness::null(), "{name}");
        }
    }
}

#[tokio::test]
async fn questions_about_others_are_refused_where_they_cannot_wait() {
    let server = server(&["--io-threads", "2"]).await;
    let mut client = server.client().await;
    for words in [&["PUBSUB", "CLIENTS", "a"][..], &["PUBSUB", "EXPLAIN", "a"]] {
        assert_eq!(client.command(&["MULTI"]).await, ok());
        assert!(client.command(words).await.is_error());
        assert!(client.command(&["EXEC"]).await.is_error());
        let script = format!("return redis.call('{}', '{}', 'a')", words[0], words[1]);
        assert!(client.command(&["EVAL", &script, "0"]).await.is_error());
    }
    for (words, text) in [
        (&["PUBSUB", "CLIENTS", "a", "LIMIT"][..], "ERR syntax error"),
        (&["PUBSUB", "CLIENTS", "a", "TOP", "1"], "ERR syntax error"),
        (&["PUBSUB", "CLIENTS", "a", "LIMIT", "0"], "ERR value is not an integer or out of range"),
        (&["PUBSUB", "EXPLAIN", "a", "USER"], "ERR syntax error"),
        (&["PUBSUB", "EXPLAIN", "a", "USER", "nobody"], "ERR User 'nobody' not found"),
        (&["PUBSUB", "EXPLAIN", "a", "BYTES", "-1"], "ERR value is not an integer or out of range"),
        (&["PUBSUB", "STATS", "a", "b"], "ERR syntax error"),
        (&["PUBSUB", "STATS", "a", "TOP", "x"], "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(client.command(words).await, error(text), "{words:?}");
    }
    let rules = ["ACL", "SETUSER", "ann", "on", "nopass", "+@pubsub", "-@admin", "allchannels"];
    assert_eq!(client.command(&rules).await, ok());
    assert_eq!(client.command(&["AUTH", "ann", "x"]).await, ok());
    assert_eq!(client.command(&["PUBSUB", "STATS"]).await, array![]);
    for subcommand in ["CLIENTS", "EXPLAIN"] {
        let reply = client.command(&["PUBSUB", subcommand, "a"]).await;
        let name = subcommand.to_ascii_lowercase();
        let text = format!("NOPERM User ann has no permissions to run the 'pubsub|{name}' command");
        assert_eq!(reply, error(&text));
    }
}
