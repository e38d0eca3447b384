//! Replication between two brokers, and its commands on the wire.

use harness::{
    Client, Fault, Kind, Replicated, SLOW_DEADLINE, Server, Value, error, eventually,
    eventually_within, ok, random_changes, simple,
};

use super::server;

const READ_ONLY: &str = "READONLY You can't write against a read only replica.";

async fn pair(master: &[&str], replica: &[&str]) -> Replicated {
    Replicated::start((Kind::Ours, master), (Kind::Ours, replica)).await
}

/// Reads the reply to `PSYNC` with the copy, and returns the line before it.
async fn read_copy(client: &mut Client) -> String {
    let line = client.read_bytes_until(b"\r\n").await;
    let header = client.read_bytes_until(b"\r\n").await;
    let header = std::str::from_utf8(&header).expect("a header").trim_end().to_owned();
    let length = header.strip_prefix('$').expect("a string").parse().expect("a length");
    client.read_bytes(length).await;
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

async fn info(client: &mut Client, field: &str) -> String {
    let info = client.command(&["INFO", "everything"]).await;
    let line = info.text().lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {}", info.text())).to_owned()
}

#[tokio::test]
async fn random_changes_reach_a_replica() {
    for threads in ["1", "4"] {
        let pair = pair(&["--io-threads", threads], &["--io-threads", threads]).await;
        let mut clients = Vec::new();
        for seed in 0..4 {
            let mut client = pair.master.client().await;
            clients.push(async move {
                let requests = random_changes(seed, 2_000);
                client.pipeline(&requests.concat(), requests.len()).await;
            });
        }
        futures_util::future::join_all(clients).await;
        pair.agree().await;
    }
}

#[tokio::test]
async fn a_chain_of_replicas_has_the_same_keys() {
    let first = pair(&[], &[]).await;
    let of = format!("127.0.0.1 {}", first.replica.port());
    let last = Server::ours(&["--replicaof", &of]).await;
    let mut client = first.master.client().await;
    let mut there = last.client().await;
    for seed in 0..2 {
        let requests = random_changes(seed, 1_000);
        client.pipeline(&requests.concat(), requests.len()).await;
        eventually_within(SLOW_DEADLINE, async || {
            harness::content(&mut client).await == harness::content(&mut there).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_replica_that_returns_gets_the_rest_of_the_stream() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    for round in 1..=3 {
        pair.network.cut();
        let requests = random_changes(round, 200);
        client.pipeline(&requests.concat(), requests.len()).await;
        pair.linked().await;
        pair.agree().await;
    }
    assert_eq!(info(&mut client, "sync_full").await, "1");
    assert_eq!(info(&mut client, "sync_partial_ok").await, "3");
}

#[tokio::test]
async fn a_replica_that_was_away_for_long_gets_a_copy() {
    let pair = pair(&["--repl-backlog-size", "16kb"], &[]).await;
    let mut client = pair.master.client().await;
    pair.network.set(Fault::Closed);
    pair.network.cut();
    for number in 0..100 {
        let key = format!("key {number}");
        client.command(&["SET", &key, &"x".repeat(1_000)]).await;
    }
    pair.network.set(Fault::None);
    pair.linked().await;
    eventually(async || info(&mut client, "sync_partial_err").await == "1").await;
    pair.agree().await;
    assert_eq!(info(&mut client, "sync_full").await, "2");
}

#[tokio::test]
async fn a_replica_refuses_changes_and_serves_the_rest() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "k", "v"]).await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    let mut there = pair.replica.client().await;
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
    for change in [&["SET", "k", "w"][..], &["DEL", "k"], &["FLUSHALL"], &["EXPIRE", "k", "1"]] {
        assert_eq!(there.command(change).await, error(READ_ONLY), "{change:?}");
    }
    let script = there.command(&["EVAL", "return redis.call('SET', 'k', 'w')", "0"]).await;
    assert!(script.text().contains(READ_ONLY), "{script:?}");
    let declared = "#!lua\nreturn redis.call('SET', 'k', 'w')";
    let refused = "READONLY Can not run script with write flag on readonly replica.";
    assert_eq!(there.command(&["EVAL", declared, "0"]).await, error(refused));
    let numbered = "local n = redis.call('INCR', KEYS[1]) \
        return redis.call('PUBLISH', KEYS[1], n .. ' ' .. ARGV[1])";
    let numbered = there.command(&["EVAL", numbered, "1", "n", "m"]).await;
    assert!(numbered.is_error(), "{numbered:?}");
    assert_eq!(there.command(&["MULTI"]).await, ok());
    assert_eq!(there.command(&["SET", "k", "w"]).await, error(READ_ONLY));
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(there.command(&["EXEC"]).await, error(aborted));
    let wait = there.command(&["WAIT", "0", "1"]).await;
    assert!(wait.text().starts_with("ERR WAIT cannot be used with replica"), "{wait:?}");
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
    assert_eq!(there.command(&["CONFIG", "SET", "replica-read-only", "no"]).await, ok());
    assert_eq!(there.command(&["SET", "own", "1"]).await, ok());
}

#[tokio::test]
async fn messages_reach_the_subscribers_of_a_replica_and_none_goes_back() {
    let pair = pair(&[], &[]).await;
    let mut ann = pair.replica.client().await;
    ann.subscribe(&["news"]).await;
    let mut bob = pair.replica.client().await;
    bob.command(&["SSUBSCRIBE", "shard"]).await;
    let mut at_master = pair.master.client().await;
    at_master.subscribe(&["news"]).await;
    let mut client = pair.master.client().await;
    assert_eq!(client.publish("news", "one").await, 1);
    client.command(&["SPUBLISH", "shard", "s"]).await;
    client.command(&["EVAL", "return redis.call('PUBLISH', 'news', 'two')", "0"]).await;
    for payload in ["one", "two"] {
        ann.expect_message("news", payload).await;
        at_master.expect_message("news", payload).await;
    }
    assert_eq!(bob.read_reply().await, harness::array!["smessage", "shard", "s"]);
    assert_eq!(pair.replica.client().await.publish("news", "local").await, 1);
    ann.expect_message("news", "local").await;
    at_master.expect_silence().await;
}

#[tokio::test]
async fn keyspace_events_are_published_by_each_server_for_itself() {
    let events = ["--notify-keyspace-events", "KEA"];
    let pair = pair(&events, &events).await;
    let mut ann = pair.replica.client().await;
    ann.psubscribe(&["__key*__:*"]).await;
    pair.master.client().await.command(&["SET", "k", "v"]).await;
    let event = ann.read_reply().await;
    assert_eq!(event.items()[2], Value::from("__keyspace@0__:k"));
    let event = ann.read_reply().await;
    assert_eq!(event.items()[2], Value::from("__keyevent@0__:set"));
    ann.expect_silence().await;
}

#[tokio::test]
async fn a_key_expires_on_a_replica_when_it_does_on_its_master() {
    let pair = pair(&["--enable-debug-command", "yes"], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]).await;
    client.command(&["SET", "k", "v", "PX", "1"]).await;
    let mut there = pair.replica.client().await;
    eventually(async || there.command(&["DBSIZE"]).await.integer() == 1).await;
    // Nobody finds it, and it is there until the master removes it.
    eventually(async || there.command(&["EXISTS", "k"]).await.integer() == 0).await;
    assert_eq!(there.command(&["DBSIZE"]).await.integer(), 1);
    eventually(async || client.command(&["EXISTS", "k"]).await.integer() == 0).await;
    eventually(async || there.command(&["DBSIZE"]).await.integer() == 0).await;
}

#[tokio::test]
async fn counters_of_a_promoted_replica_continue_above_those_of_its_master() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "setting", "7"]).await;
    client.command(&["SET", "set then counted", "7"]).await;
    client.command(&["INCR", "set then counted"]).await;
    client.command(&["INCR", "ChatApp"]).await;
    client.command(&["INCR", "renamed before"]).await;
    client.command(&["RENAME", "renamed before", "renamed"]).await;
    client.command(&["INCR", "set again"]).await;
    client.command(&["SET", "set again", "5"]).await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    // The second replica has only the copy.
    let of = format!("127.0.0.1 {}", pair.master.port());
    let late = Server::ours(&["--replicaof", &of]).await;
    assert_eq!(client.command(&["WAIT", "2", "20000"]).await.integer(), 2);
    for replica in [&pair.replica, &late] {
        let mut there = replica.client().await;
        assert_eq!(there.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
        for counter in ["ChatApp", "set then counted", "renamed"] {
            let number = there.command(&["INCR", counter]).await.integer();
            assert!(number > 1_000_000, "{counter}: {number}");
        }
        for (key, value) in [("setting", "7"), ("set again", "5")] {
            assert_eq!(there.command(&["GET", key]).await, Value::from(value), "{key}");
        }
    }
}

#[tokio::test]
async fn roles_change_and_change_back() {
    let pair = pair(&[], &[]).await;
    let (mut one, mut two) = (pair.master.client().await, pair.replica.client().await);
    one.command(&["SET", "k", "1"]).await;
    assert_eq!(one.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    let mut ann = pair.replica.client().await;
    ann.subscribe(&["news"]).await;
    assert_eq!(two.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
    assert_eq!(two.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
    assert_eq!(two.command(&["SET", "k", "2"]).await, ok());
    let port = pair.replica.port().to_string();
    assert_eq!(one.command(&["REPLICAOF", "127.0.0.1", &port]).await, ok());
    let again = one.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    assert_eq!(again, simple("OK Already connected to specified master"));
    eventually_within(SLOW_DEADLINE, async || {
        one.command(&["GET", "k"]).await.value() == &Value::from("2")
    })
    .await;
    assert_eq!(one.command(&["SET", "k", "3"]).await, error(READ_ONLY));
    // Subscribers stay, whatever their server is.
    assert_eq!(two.publish("news", "m").await, 1);
    ann.expect_message("news", "m").await;
    assert_eq!(info(&mut one, "role").await, "slave");
    assert_eq!(info(&mut two, "connected_slaves").await, "1");
    for bad in ["64k", "65536", "-1"] {
        let refused = one.command(&["REPLICAOF", "127.0.0.1", bad]).await;
        assert_eq!(refused, error("ERR Invalid master port"), "{bad}");
    }
}

#[tokio::test]
async fn a_replica_without_its_master_serves_old_keys_unless_forbidden() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "k", "v"]).await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    pair.network.set(Fault::Closed);
    pair.network.cut();
    let mut there = pair.replica.client().await;
    eventually(async || info(&mut there, "master_link_status").await == "down").await;
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
    assert_eq!(there.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await, ok());
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert_eq!(there.command(&["GET", "k"]).await, error(down));
    assert_eq!(there.command(&["PING"]).await, error(down));
    assert!(!there.command(&["INFO"]).await.is_error());
    pair.network.set(Fault::None);
    pair.linked().await;
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
}

#[tokio::test]
async fn the_setting_follows_the_role() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("redis.conf");
    std::fs::write(&file, "replica-priority 7\n").expect("written");
    let server = server(&[file.to_str().expect("a path")]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["REPLICAOF", "127.0.0.1", "1"]).await, ok());
    assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
    let text = std::fs::read_to_string(&file).expect("a text");
    assert!(text.contains("\nreplicaof 127.0.0.1 1\n"), "{text}");
    let refused = client.command(&["CONFIG", "SET", "replicaof", "127.0.0.1 2"]).await;
    assert!(refused.text().contains("can't set immutable config"), "{refused:?}");
    assert_eq!(client.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
    assert_eq!(client.command(&["CONFIG", "REWRITE"]).await, ok());
    let text = std::fs::read_to_string(&file).expect("a text");
    assert!(!text.contains("127.0.0.1 1") && text.contains("replica-priority 7"), "{text}");
}

#[tokio::test]
async fn a_replica_logs_in_at_its_master() {
    let users = ["--user", "replica on >secret +psync +replconf +ping", "--requirepass", "other"];
    let login = ["--masteruser", "replica", "--masterauth", "secret"];
    let pair = Replicated::start((Kind::Ours, &users), (Kind::Ours, &login)).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "k", "v"]).await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    let mut there = pair.replica.client().await;
    assert_eq!(there.command(&["GET", "k"]).await, Value::from("v"));
    assert_eq!(there.command(&["CONFIG", "SET", "masterauth", "wrong"]).await, ok());
    pair.network.cut();
    eventually_within(SLOW_DEADLINE, async || {
        pair.replica.stdout().contains("the master answers AUTH with \"-WRONGPASS")
    })
    .await;
}

#[tokio::test]
async fn the_stream_is_what_a_replica_of_redis_expects() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.command(&["SELECT", "2"]).await;
    client.command(&["SET", "before", "1"]).await;
    let mut replica = server.client().await;
    assert_eq!(replica.command(&["REPLCONF", "listening-port", "7777"]).await, ok());
    assert_eq!(replica.command(&["REPLCONF", "capa", "eof", "capa", "psync2"]).await, ok());
    replica.send(&["PSYNC", "?", "-1"]).await;
    let line = read_copy(&mut replica).await;
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words[1].len(), words[2]), ("+FULLRESYNC", 40, "0"), "{line}");
    client.command(&["SET", "k", "v", "PXAT", "99999999999999"]).await;
    client.command(&["INCR", "n"]).await;
    client.command(&["SELECT", "0"]).await;
    client.command(&["MULTI"]).await;
    client.command(&["SET", "a", "1"]).await;
    client.command(&["PUBLISH", "c", "m"]).await;
    client.command(&["DEL", "a"]).await;
    client.command(&["EXEC"]).await;
    client.command(&["FLUSHALL"]).await;
    let mut bytes = 0;
    for words in [
        &["SELECT", "2"][..],
        &["SET", "k", "v", "PXAT", "99999999999999"],
        &["INCRBY", "n", "1"],
        &["MULTI"],
        &["SELECT", "0"],
        &["SET", "a", "1"],
        &["PUBLISH", "c", "m"],
        &["DEL", "a"],
        &["EXEC"],
        &["FLUSHALL"],
    ] {
        let expected = harness::request(words);
        assert_eq!(replica.read_bytes(expected.len()).await, expected, "{words:?}");
        bytes += expected.len();
    }
    let list = client.command(&["CLIENT", "LIST", "TYPE", "replica"]).await;
    assert!(list.text().contains(" flags=S "), "{list:?}");
    // It has got all, and says so.
    client.send(&["WAIT", "1", "0"]).await;
    let question = harness::request(&["REPLCONF", "GETACK", "*"]);
    assert_eq!(replica.read_bytes(question.len()).await, question);
    replica.send(&["REPLCONF", "ACK", &bytes.to_string()]).await;
    assert_eq!(client.read_reply().await.integer(), 1);
    let slave = info(&mut client, "slave0").await;
    let start = format!("ip=127.0.0.1,port=7777,state=online,offset={bytes},lag=");
    assert!(slave.starts_with(&start), "{slave}");
    // Another one goes on from there.
    let mut second = server.client().await;
    second.send(&["PSYNC", words[1], &(bytes + 1).to_string()]).await;
    let line = format!("+CONTINUE {}\r\n", words[1]).into_bytes();
    assert_eq!(second.read_bytes(line.len()).await, line);
    assert_eq!(second.read_bytes(question.len()).await, question);
    drop((replica, second));
    eventually(async || info(&mut client, "connected_slaves").await == "0").await;
}

/// Whatever a client asks for, the server goes on, and the client gets a copy at most.
#[tokio::test]
async fn odd_requests_for_the_stream_get_a_copy_or_an_error() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    for (id, offset) in
        [("?", "-1"), ("x", "0"), ("", "-9223372036854775808"), ("?", "9223372036854775807")]
    {
        let mut replica = server.client().await;
        replica.send(&["PSYNC", id, offset]).await;
        assert!(read_copy(&mut replica).await.starts_with("+FULLRESYNC "), "{id} {offset}");
    }
    let mut replica = server.client().await;
    let refused = replica.command(&["PSYNC", "?", "x"]).await;
    assert!(refused.text().starts_with("ERR value is not an integer"), "{refused:?}");
    let id = info(&mut client, "master_replid").await;
    for offset in ["-1", "0", "99999999", "-9223372036854775808"] {
        let mut replica = server.client().await;
        replica.send(&["PSYNC", &id, offset]).await;
        assert!(read_copy(&mut replica).await.starts_with("+FULLRESYNC "), "{offset}");
    }
    eventually(async || info(&mut client, "connected_slaves").await == "0").await;
    assert_eq!(client.command(&["MULTI"]).await, ok());
    let refused = client.command(&["PSYNC", "?", "-1"]).await;
    assert_eq!(refused, error("ERR Command not allowed inside a transaction"));
}

/// A key with the number of a link that was closed for good is not in the next stream.
#[tokio::test]
async fn a_stream_that_was_closed_does_not_go_on() {
    let pair = pair(&["--repl-backlog-ttl", "1"], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["SET", "a", "1"]).await;
    pair.agree().await;
    pair.network.set(Fault::Closed);
    pair.network.cut();
    eventually(async || info(&mut client, "repl_backlog_active").await == "0").await;
    client.command(&["SET", "a", "2"]).await;
    pair.network.set(Fault::None);
    pair.linked().await;
    pair.agree().await;
    assert_eq!(info(&mut client, "sync_full").await, "2");
}

#[tokio::test]
async fn a_replica_of_a_replica_copies_what_that_has_copied() {
    let middle = pair(&[], &[]).await;
    let of = |server: &Server| format!("127.0.0.1 {}", server.port());
    let last = Server::ours(&["--replicaof", &of(&middle.replica)]).await;
    middle.master.client().await.command(&["SET", "old", "1"]).await;
    let mut there = last.client().await;
    let get = |key| ["GET", key];
    let has = async |there: &mut Client, key, value: &str| {
        eventually_within(SLOW_DEADLINE, async || {
            there.command(&get(key)).await.value() == &Value::from(value)
        })
        .await;
    };
    has(&mut there, "old", "1").await;
    let other = server(&[]).await;
    other.client().await.command(&["SET", "new", "2"]).await;
    let port = other.port().to_string();
    middle.replica.client().await.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    has(&mut there, "new", "2").await;
    assert_eq!(there.command(&get("old")).await, harness::null());
    // What is published in the middle stays there.
    let mut ann = last.client().await;
    ann.subscribe(&["news"]).await;
    let mut at_middle = middle.replica.client().await;
    assert_eq!(at_middle.publish("news", "local").await, 0);
    assert_eq!(other.client().await.publish("news", "from the master").await, 0);
    ann.expect_message("news", "from the master").await;
}

#[tokio::test]
async fn a_late_script_holds_the_stream_back() {
    let pair = pair(&[], &["--busy-reply-threshold", "50"]).await;
    let mut client = pair.master.client().await;
    client.command(&["SELECT", "1"]).await;
    let (mut busy, mut there) = (pair.replica.client().await, pair.replica.client().await);
    // Both are served.
    for client in [&mut busy, &mut there] {
        client.command(&["PING"]).await;
    }
    busy.send(&["EVAL", "while true do end", "0"]).await;
    eventually(async || there.command(&["PING"]).await.text().starts_with("BUSY")).await;
    for _ in 0..5 {
        client.command(&["INCR", "n"]).await;
    }
    assert_eq!(client.command(&["WAIT", "1", "100"]).await.integer(), 0);
    assert_eq!(there.command(&["SCRIPT", "KILL"]).await, ok());
    // The script ends a moment later.
    assert!(busy.read_reply().await.is_error());
    pair.agree().await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
}

#[tokio::test]
async fn a_copy_does_not_count_for_the_limit_of_a_replica() {
    let limit = ["--client-output-buffer-limit", "replica", "1mb", "0", "0"];
    let master = server(&limit).await;
    let mut client = master.client().await;
    for number in 0..200 {
        let key = format!("key {number}");
        client.command(&["SET", &key, &"x".repeat(60_000)]).await;
    }
    let network = harness::Proxy::to(master.port()).await;
    let of = format!("127.0.0.1 {}", network.port());
    let replica = Server::ours(&["--replicaof", &of]).await;
    let pair = Replicated { master, network, replica };
    eventually_within(SLOW_DEADLINE, async || {
        client.publish("news", "m").await;
        info(&mut pair.replica.client().await, "master_link_status").await == "up"
    })
    .await;
    pair.agree().await;
    assert_eq!(info(&mut client, "sync_full").await, "1");
    // What the replica does not read counts, as for any client.
    let mut lazy = pair.master.client().await;
    lazy.send(&["PSYNC", "?", "-1"]).await;
    read_copy(&mut lazy).await;
    eventually_within(SLOW_DEADLINE, async || {
        client.publish("news", "x".repeat(100_000)).await;
        let list = client.command(&["CLIENT", "LIST", "TYPE", "replica"]).await;
        list.text().lines().count() == 1
    })
    .await;
}

#[tokio::test]
async fn counters_leap_whatever_the_last_master_was() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    client.command(&["INCR", "n"]).await;
    assert_eq!(client.command(&["WAIT", "1", "20000"]).await.integer(), 1);
    let nowhere = harness::free_port().to_string();
    for server in [&pair.replica, &pair.master] {
        let mut there = server.client().await;
        assert_eq!(there.command(&["REPLICAOF", "127.0.0.1", &nowhere]).await, ok());
        assert_eq!(there.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
        let number = there.command(&["INCR", "n"]).await.integer();
        assert!(number > 10_000_000, "{number}");
    }
}

#[tokio::test]
async fn a_full_server_keeps_the_link_to_its_master() {
    let pair = pair(&[], &["--maxclients", "3"]).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(pair.replica.client().await);
    }
    pair.network.set(Fault::Closed);
    let there = &mut clients[0];
    eventually_within(SLOW_DEADLINE, async || info(there, "master_link_status").await == "down")
        .await;
    pair.network.set(Fault::None);
    eventually_within(SLOW_DEADLINE, async || info(there, "master_link_status").await == "up")
        .await;
}

#[tokio::test]
async fn a_master_without_enough_replicas_refuses_changes() {
    let pair = pair(&[], &[]).await;
    let mut client = pair.master.client().await;
    assert_eq!(client.command(&["CONFIG", "SET", "min-slaves-to-write", "1"]).await, ok());
    eventually(async || !client.command(&["SET", "k", "v"]).await.is_error()).await;
    assert_eq!(info(&mut client, "min_slaves_good_slaves").await, "1");
    assert_eq!(client.command(&["CONFIG", "SET", "min-replicas-to-write", "2"]).await, ok());
    let refused = "NOREPLICAS Not enough good replicas to write.";
    assert_eq!(client.command(&["SET", "k", "v"]).await, error(refused));
    let script = client.command(&["EVAL", "return redis.call('SET', 'k', 'w')", "0"]).await;
    assert!(script.text().contains(refused), "{script:?}");
    assert_eq!(client.command(&["GET", "k"]).await, Value::from("v"));
    assert_eq!(client.publish("news", "m").await, 0);
}

/// As in Redis: with both links up, each message would go round for ever.
#[tokio::test]
async fn two_servers_that_follow_each_other_refuse_each_other() {
    let pair = pair(&[], &[]).await;
    let (mut one, mut two) = (pair.master.client().await, pair.replica.client().await);
    let port = pair.replica.port().to_string();
    // A replica that is still linked would be followed.
    pair.network.set(Fault::Closed);
    eventually_within(SLOW_DEADLINE, async || info(&mut two, "master_link_status").await == "down")
        .await;
    assert_eq!(one.command(&["REPLICAOF", "127.0.0.1", &port]).await, ok());
    pair.network.set(Fault::None);
    for server in [&pair.master, &pair.replica] {
        eventually_within(SLOW_DEADLINE, async || server.stdout().contains("NOMASTERLINK")).await;
    }
    for client in [&mut one, &mut two] {
        assert_eq!(info(client, "master_link_status").await, "down");
    }
    assert_eq!(two.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
    eventually_within(SLOW_DEADLINE, async || info(&mut one, "master_link_status").await == "up")
        .await;
}

#[tokio::test]
async fn a_client_does_not_wait_for_replicas_of_a_replica() {
    let server = server(&[]).await;
    let mut waiting = server.client().await;
    waiting.send(&["WAIT", "1", "0"]).await;
    let mut client = server.client().await;
    eventually(async || info(&mut client, "blocked_clients").await == "1").await;
    client.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let ended = "UNBLOCKED force unblock from blocking operation, instance state changed \
        (master -> replica?)";
    assert_eq!(waiting.read_reply().await, error(ended));
}

const HANDSHAKE: &[u8] = b"+PONG\r\n+OK\r\n+OK\r\n";
const EMPTY_COPY: &[u8] = b"$18\r\nREDIS0011\xff\0\0\0\0\0\0\0\0";

/// Returns the port of a master that answers the first replica with these bytes, and then waits until it
/// has gone.
fn fake_master(answer: Vec<u8>) -> u16 {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the replica");
        let _ = stream.write_all(&answer);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    port
}

/// Returns a replica of a master with this stream behind an empty copy.
async fn follower(stream: &[&[&str]], arguments: &[&str]) -> Server {
    let requests: Vec<Vec<u8>> = stream.iter().map(|words| harness::request(words)).collect();
    let line = b"+FULLRESYNC 0123456789012345678901234567890123456789 7\r\n";
    let answer = [HANDSHAKE, line, EMPTY_COPY, &requests.concat()].concat();
    let of = format!("127.0.0.1 {}", fake_master(answer));
    Server::ours(&[arguments, &["--replicaof", &of]].concat()).await
}

/// A master may send what no client may, and what would make a client wait.
#[tokio::test]
async fn the_stream_of_a_master_goes_on_whatever_it_has() {
    let rules = ["--user", "default on nopass ~none &none +info +get +client"];
    let stream: &[&[&str]] = &[
        // It is over on this machine, and not on that of the master.
        &["SET", "k", "v", "PXAT", "1"],
        &["PEXPIREAT", "k", "99999999999999"],
        &["EVAL", "return redis.call('SET', 'by script', '1')", "0"],
        &["WAIT", "1", "0"],
        &["WAITAOF", "0", "1", "0"],
        &["CLIENT", "KILL", "TYPE", "pubsub"],
        &["SUBSCRIBE", "c"],
        &["SET", "none", "end"],
    ];
    let replica = follower(stream, &rules).await;
    let mut client = replica.client().await;
    client.command(&["AUTH", "default", ""]).await;
    let bytes: usize = stream.iter().map(|words| harness::request(words).len()).sum();
    let applied = (7 + bytes).to_string();
    eventually(async || info(&mut client, "slave_repl_offset").await == applied).await;
    assert_eq!(client.command(&["GET", "none"]).await, Value::from("end"));
    let keys = info(&mut client, "db0").await;
    assert!(keys.starts_with("keys=3,expires=1,"), "{keys}");
}

/// A stream that cannot be carried out is no stream of a copy.
#[tokio::test]
async fn a_stream_that_fails_is_left() {
    for words in [&["SELECT", "9"][..], &["RPUSH", "k", "v"], &["INCR", "text"]] {
        let stream: &[&[&str]] = &[&["SET", "text", "x"], words, &["SET", "behind", "1"]];
        let replica = follower(stream, &["--databases", "4"]).await;
        eventually(async || replica.stdout().contains("a command of the master has failed")).await;
        let mut client = replica.client().await;
        eventually(async || info(&mut client, "master_link_status").await == "down").await;
        assert_eq!(client.command(&["GET", "behind"]).await, harness::null(), "{words:?}");
        let role = client.command(&["ROLE"]).await;
        assert_eq!(role.items()[4], Value::from(-1), "it does not ask for the rest");
    }
}

/// Returns the port of a master that sends these bytes to the first replica, and no more.
fn short_master(answer: &'static [u8]) -> u16 {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the replica");
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    port
}

/// A master that sends anything but Redis' protocol is left, with the reason in the log.
#[tokio::test]
async fn a_master_that_sends_anything_is_left() {
    for (answer, reason) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "the master answers PING with"),
        (b"-NOPE\r\n", "the master answers PING with"),
        (b"+PONG\r\n+OK\r\n+OK\r\n-NOMASTERLINK no\r\n", "the master answers PSYNC with"),
        (b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a b\r\n", "the master answers PSYNC with"),
        (b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n$x\r\n", "the master answers PSYNC with"),
        (b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n$4\r\nabcd", "it is no RDB file"),
        (b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n$9\r\nREDIS0011", "it ends too early"),
        (
            b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n$99999999999999\r\nREDIS0011",
            "the master has closed the connection",
        ),
        (
            b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 18446744073709551615\r\n",
            "the master answers PSYNC with",
        ),
        (b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", "the master has closed the connection"),
    ] {
        let of = format!("127.0.0.1 {}", short_master(answer));
        let replica = Server::ours(&["--replicaof", &of]).await;
        eventually_within(SLOW_DEADLINE, async || replica.stdout().contains(reason)).await;
        let mut client = replica.client().await;
        assert_eq!(info(&mut client, "master_link_status").await, "down");
        assert_eq!(client.command(&["REPLICAOF", "NO", "ONE"]).await, ok());
        assert_eq!(client.command(&["SET", "k", "v"]).await, ok());
    }
}

/// A replica keeps the copy in memory, so `maxmemory` can limit it.
#[tokio::test]
async fn a_copy_larger_than_maxmemory_is_refused() {
    let start = "+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n";
    let announced = format!("{start}$99999999999999\r\nREDIS0011");
    let marked = format!("{start}$EOF:{}\r\n{}", "a".repeat(40), "x".repeat(11 << 20));
    for answer in [announced, marked] {
        let of = format!("127.0.0.1 {}", short_master(answer.leak().as_bytes()));
        let limit = ["--maxmemory", "10mb", "--replica-ignore-maxmemory", "no"];
        let replica = Server::ours(&[&limit[..], &["--replicaof", &of]].concat()).await;
        let reason = "the copy of the master's keys is larger than maxmemory, 10485760 bytes";
        eventually_within(SLOW_DEADLINE, async || replica.stdout().contains(reason)).await;
    }
}
