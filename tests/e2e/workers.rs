//! Effects on other clients are the same on every worker thread.

use harness::{Client, DEADLINE};
use harness::{array, ok, simple, within};

use super::server;

/// Enough clients to give some to each of four workers.
const CLIENTS: usize = 8;

#[tokio::test]
async fn no_other_message_comes_between_the_messages_of_a_transaction() {
    const ROUNDS: usize = 50;
    const BATCH: usize = 10;

    let server = server(&["--io-threads", "4"]).await;
    let mut subscribers = clients(&server, 4).await;
    for subscriber in &mut subscribers {
        subscriber.subscribe(&["news"]).await;
    }
    let publishers = clients(&server, 4).await;
    let tasks = publishers.into_iter().enumerate().map(|(index, mut publisher)| {
        tokio::spawn(async move {
            let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$1\r\n{index}\r\n");
            let transaction = format!("MULTI\r\n{}EXEC\r\n", publish.repeat(BATCH));
            let bytes = transaction.repeat(ROUNDS);
            publisher.pipeline(bytes.as_bytes(), ROUNDS * (BATCH + 2)).await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the publisher ends");
    }
    for subscriber in &mut subscribers {
        for round in 0..4 * ROUNDS {
            let mut batch = Vec::new();
            for _ in 0..BATCH {
                batch.push(subscriber.read_reply().await.items()[2].text().to_owned());
            }
            assert!(batch.iter().all(|own| *own == batch[0]), "batch {round} is mixed: {batch:?}");
        }
    }
}

#[tokio::test]
async fn monitors_see_the_commands_of_all_threads_in_the_order_of_their_effects() {
    const ROUNDS: usize = 500;

    let server = server(&["--io-threads", "4"]).await;
    let mut monitors = clients(&server, 4).await;
    for monitor in &mut monitors {
        assert_eq!(monitor.command(&["MONITOR"]).await, ok());
    }
    let tasks = clients(&server, 4).await.into_iter().enumerate().map(|(index, mut writer)| {
        tokio::spawn(async move {
            let push = format!("APPEND log {index}\r\n");
            let transaction = format!("MULTI\r\n{push}{push}EXEC\r\n");
            let bytes = format!("{push}{transaction}").repeat(ROUNDS);
            writer.pipeline(bytes.as_bytes(), ROUNDS * 5).await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the writer ends");
    }
    let log = server.client().await.command(&["GET", "log"]).await;
    for monitor in &mut monitors {
        let (mut seen, mut last) = (String::new(), String::new());
        while seen.len() < log.text().len() {
            let line = monitor.read_reply().await.text().to_owned();
            let words: Vec<&str> = line.split('"').collect();
            if words[1] == "APPEND" {
                seen.push_str(words[5]);
                last = words[0].split_once(' ').expect("a time").1.to_owned();
            } else if words[1] == "EXEC" {
                assert!(words[0].ends_with(&last), "EXEC of {} after {last}", words[0]);
            }
        }
        assert_eq!(seen, log.text());
    }
}

#[tokio::test]
async fn time_stands_still_in_transactions_and_moves_in_scripts() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    // It ends only if the time moves.
    let script = "local first = redis.call('TIME')[2] \
                  repeat until redis.call('TIME')[2] ~= first return 1";
    assert_eq!(client.command(&["EVAL", script, "0"]).await, 1);
    client
        .send_raw(
            b"MULTI\r\nTIME\r\nDEBUG SLEEP 0\r\nTIME\r\nEXEC\r\nMULTI\r\nTIME\r\nTIME\r\nEXEC\r\n",
        )
        .await;
    let mut last = client.read_reply().await;
    for _ in 1..9 {
        last = client.read_reply().await;
    }
    let [one, two] = last.items() else { panic!("{last:?}") };
    assert_eq!(one, two);
}

/// Other threads deliver messages while the script runs, so that the limits of its subscribers hold.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_script_takes_no_memory_for_messages_that_its_subscribers_cannot_have() {
    const SCRIPT: &str = "local payload = string.rep('x', ARGV[1]) \
        for i = 1, ARGV[2] / ARGV[1] do redis.call('PUBLISH', 'news', payload) end return 'done'";

    const MANY: &str = "200000000";
    const SOME: &str = "80000000";

    for (bytes, all, threshold) in [
        ("1000000", MANY, "5000"),
        ("5000", MANY, "5000"),
        ("5000", SOME, "1"),
        ("1000", SOME, "0"),
    ] {
        let settings = ["--io-threads", "4", "--busy-reply-threshold", threshold];
        let server = server(&settings).await;
        let mut subscribers = clients(&server, CLIENTS / 2).await;
        for subscriber in &mut subscribers {
            subscriber.subscribe(&["news"]).await;
        }
        let mut client = server.client().await;
        client.send(&["EVAL", SCRIPT, "0", bytes, all]).await;
        // Subscribers that read would not reach their limit.
        let done = within(6 * DEADLINE, client.listen()).await.expect("a reply");
        assert_eq!(done.text(), "done");
        for mut subscriber in subscribers {
            subscriber.read_to_close().await;
        }
        // The limit of each subscriber is 32 MB.
        let peak = server.peak_bytes();
        assert!(peak < 200 << 20, "{peak} B with messages of {bytes} B, late after {threshold} ms");
    }
}

#[tokio::test]
async fn the_messages_of_a_long_script_keep_their_order_on_every_worker() {
    const MESSAGES: usize = 3_000;
    const SCRIPT: &str = "redis.call('SET', 'k', '1') local rest = string.rep('x', 5000) \
        for i = 1, ARGV[1] do redis.call('PUBLISH', 'news', i .. rest) end return 'done'";

    for threshold in ["5000", "1"] {
        let no_limit = ["--client-output-buffer-limit", "pubsub 0 0 0"];
        let threads = ["--io-threads", "4", "--busy-reply-threshold", threshold];
        let server = server(&[&no_limit[..], &threads].concat()).await;
        let mut subscribers = clients(&server, CLIENTS).await;
        for subscriber in &mut subscribers {
            subscriber.subscribe(&["news"]).await;
        }
        let mut client = server.client().await;
        client.publish("news", "0").await;
        let count = MESSAGES.to_string();
        let readers = subscribers.into_iter().map(|mut subscriber| {
            tokio::spawn(async move {
                for number in 0..=MESSAGES + 1 {
                    let message = within(6 * DEADLINE, subscriber.listen()).await;
                    let message = message.expect("a message");
                    let payload = message.items()[2].text().trim_end_matches('x');
                    assert_eq!(payload, number.to_string());
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        client.send(&["EVAL", SCRIPT, "0", &count]).await;
        let done = within(6 * DEADLINE, client.listen()).await.expect("a reply");
        assert_eq!(done.text(), "done");
        client.publish("news", (MESSAGES + 1).to_string()).await;
        for reader in readers {
            reader.await.expect("all messages come in their order");
        }
    }
}

#[tokio::test]
async fn a_killed_client_is_gone_before_the_next_request() {
    let server = server(&["--io-threads", "4"]).await;
    let mut operator = server.client().await;
    for _ in 0..CLIENTS {
        let mut client = server.client().await;
        let id = client.command(&["CLIENT", "ID"]).await.integer();
        let kill = format!("CLIENT KILL ID {id}\r\n");
        let list = format!("CLIENT LIST ID {id}\r\n");
        let all = format!("{kill}{kill}{list}CLIENT LIST\r\n");
        let replies = operator.pipeline(all.as_bytes(), 4).await;
        assert_eq!((replies[0].integer(), replies[1].integer()), (1, 0));
        assert_eq!(replies[2].text(), "");
        assert!(!replies[3].text().contains(&format!("id={id} ")), "{:?}", replies[3]);
        client.expect_closed().await;
    }
}

#[tokio::test]
async fn a_client_killed_from_another_worker_is_closed_and_no_longer_counted() {
    let server = server(&["--io-threads", "4"]).await;
    let mut subscribers = clients(&server, CLIENTS).await;
    for subscriber in &mut subscribers {
        subscriber.subscribe(&["news"]).await;
    }
    let mut operator = server.client().await;
    let killed = operator.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(killed, CLIENTS as i64);
    // As in Redis, they are gone before the reply.
    assert_eq!(operator.command(&["PUBSUB", "NUMSUB", "news"]).await, array!["news", 0]);
    let info = operator.command(&["INFO", "clients"]).await;
    assert!(info.text().contains("connected_clients:1\r\n"), "{}", info.text());
    for subscriber in &mut subscribers {
        subscriber.expect_closed().await;
    }
}

#[tokio::test]
async fn a_subscriber_that_loses_its_channel_is_closed_on_every_worker() {
    let server = server(&["--io-threads", "4"]).await;
    let mut operator = server.client().await;
    let rules = ["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "&news", "&chat"];
    assert_eq!(operator.command(&rules).await, ok());
    let mut subscribers = clients(&server, CLIENTS).await;
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        assert_eq!(subscriber.command(&["AUTH", "ann", "x"]).await, ok());
        subscriber.subscribe(&[if index % 2 == 0 { "news" } else { "chat" }]).await;
    }
    let rules = ["ACL", "SETUSER", "ann", "resetchannels", "&news"];
    assert_eq!(operator.command(&rules).await, ok());
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        match index % 2 {
            0 => subscriber.expect_silence().await,
            _ => subscriber.expect_closed().await,
        }
    }
}

#[tokio::test]
async fn changed_settings_are_in_force_on_every_worker() {
    let server = server(&["--io-threads", "4"]).await;
    let mut operator = server.client().await;
    let mut clients = clients(&server, CLIENTS).await;
    let set = ["CONFIG", "SET", "proto-max-bulk-len", "1mb"];
    assert_eq!(operator.command(&set).await, ok());
    for client in &mut clients {
        client.send_raw(b"*1\r\n$2000000\r\n").await;
        let answer = client.read_to_close().await;
        assert_eq!(answer, "-ERR Protocol error: invalid bulk length\r\n");
    }
}

#[tokio::test]
async fn a_pause_delays_publishers_of_every_worker_until_it_ends() {
    let server = server(&["--io-threads", "4"]).await;
    let mut operator = server.client().await;
    let mut publishers = clients(&server, CLIENTS).await;
    assert_eq!(operator.command(&["CLIENT", "PAUSE", "100000", "WRITE"]).await, ok());
    for publisher in &mut publishers {
        publisher.send(&["PUBLISH", "news", "hello"]).await;
    }
    assert_eq!(operator.command(&["CLIENT", "UNPAUSE"]).await, ok());
    for publisher in &mut publishers {
        assert_eq!(within(DEADLINE, publisher.read_reply()).await, 0);
    }
}

#[tokio::test]
async fn the_client_that_has_waited_longest_for_its_login_makes_room_for_a_new_one() {
    for threads in ["1", "4"] {
        let settings = ["--maxclients", "4", "--requirepass", "secret", "--io-threads", threads];
        let server = server(&settings).await;
        let mut user = server.stranger().await;
        assert_eq!(user.command(&["AUTH", "secret"]).await, ok());
        let mut strangers = Vec::new();
        for _ in 0..3 {
            let mut stranger = server.stranger().await;
            assert!(stranger.command(&["PING"]).await.text().starts_with("NOAUTH"));
            strangers.push(stranger);
        }
        let mut client = server.stranger().await;
        assert_eq!(client.command(&["AUTH", "secret"]).await, ok());
        strangers[0].expect_closed().await;
        assert_eq!(user.command(&["PING"]).await, simple("PONG"));
        assert!(strangers[2].command(&["PING"]).await.text().starts_with("NOAUTH"));
    }
}

async fn clients(server: &harness::Server, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(server.client().await);
    }
    clients
}

/// A client may ask another thread as soon as it sees the end.
#[tokio::test]
async fn nothing_is_left_of_a_client_that_others_see_close() {
    let server = server(&["--io-threads", "4"]).await;
    let mut asker = server.client().await;
    for round in 0..1000 {
        let mut leaver = server.client().await;
        leaver.subscribe(&["news"]).await;
        leaver.psubscribe(&["n*"]).await;
        leaver.send(&["QUIT"]).await;
        leaver.read_to_close().await;
        assert_eq!(asker.publish("news", "x").await, 0, "round {round}");
        let list = asker.command(&["CLIENT", "LIST"]).await;
        assert_eq!(list.text().lines().count(), 1, "round {round}: {list:?}");
        let info = asker.command(&["INFO", "clients"]).await;
        assert!(info.text().contains("connected_clients:1\r\n"), "round {round}: {info:?}");
    }
}

#[tokio::test]
async fn a_client_that_has_lost_a_permission_hears_nothing_more() {
    let server = server(&["--io-threads", "4"]).await;
    let mut operator = server.client().await;
    for round in 0..300 {
        let grant = ["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "allchannels"];
        assert_eq!(operator.command(&grant).await, ok());
        let mut ann = server.client().await;
        assert_eq!(ann.command(&["AUTH", "ann", "x"]).await, ok());
        ann.subscribe(&["news"]).await;
        match round % 2 {
            0 => {
                let reply = operator.command(&["ACL", "SETUSER", "ann", "resetchannels"]).await;
                assert_eq!(reply, ok());
            }
            _ => assert_eq!(operator.command(&["ACL", "DELUSER", "ann"]).await, 1),
        }
        assert_eq!(operator.publish("news", "x").await, 0, "round {round}");
        assert_eq!(ann.read_to_close().await, "", "round {round}");
    }
    let grant = ["ACL", "SETUSER", "ann", "on", "nopass", "+@all"];
    assert_eq!(operator.command(&grant).await, ok());
    let mut ann = server.client().await;
    assert_eq!(ann.command(&["AUTH", "ann", "x"]).await, ok());
    assert_eq!(ann.command(&["ACL", "DELUSER", "ann"]).await, 1);
    ann.expect_closed().await;
}

/// Also with a subscription that the client itself has made forbidden.
#[tokio::test]
async fn a_client_that_narrows_its_own_user_gets_its_reply_and_is_closed() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads]).await;
        let mut operator = server.client().await;
        for request in ["ACL SETUSER ann resetchannels\r\n", "ACL DELUSER ann\r\n"] {
            let grant = ["ACL", "SETUSER", "ann", "on", "nopass", "+@all", "allchannels"];
            assert_eq!(operator.command(&grant).await, ok());
            let mut ann = server.client().await;
            ann.decode_as(harness::Protocol::Resp3);
            ann.command(&["HELLO", "3", "AUTH", "ann", "x"]).await;
            ann.subscribe(&["news"]).await;
            ann.send_raw(format!("MULTI\r\n{request}ECHO x\r\nEXEC\r\n").as_bytes()).await;
            let replies = ann.read_to_close().await;
            assert!(replies.ends_with(b"$1\r\nx\r\n"), "{threads} {replies:?}");
            assert_eq!(operator.publish("news", "x").await, 0, "{threads} {request}");
        }
    }
}

#[tokio::test]
async fn a_client_that_has_sent_everything_gets_the_replies_after_a_wait() {
    let server = server(&["--io-threads", "4"]).await;
    for round in 0..50 {
        let mut victim = server.client().await;
        let id = victim.command(&["CLIENT", "ID"]).await.integer();
        let mut client = server.client().await;
        let requests = format!(
            "ACL SETUSER ann on\r\nCLIENT KILL ID {id}\r\nACL DELUSER ann\r\nSET k {round}\r\n"
        );
        client.send_raw(requests.as_bytes()).await;
        client.close_writing().await;
        assert_eq!(client.read_to_close().await, "+OK\r\n:1\r\n:1\r\n+OK\r\n", "{round}");
    }
}
