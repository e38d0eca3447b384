//! Effects on other clients are the same on every worker thread.

use harness::{Client, DEADLINE};
use harness::{array, eventually, ok, simple, within};

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

/// Other threads deliver nothing before the script ends.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_script_whose_messages_wait_for_other_threads_must_not_publish_without_limit() {
    const SCRIPT: &str = "local payload = string.rep('x', 1048576) \
        for i = 1, 600 do redis.call('PUBLISH', 'news', payload) end return 'done'";

    let server = server(&["--io-threads", "4", "--busy-reply-threshold", "0"]).await;
    let mut subscribers = Vec::new();
    for _ in 0..8 {
        let mut subscriber = server.client().await;
        subscriber.subscribe(&["news"]).await;
        subscribers.push(subscriber);
    }
    let reply = server.client().await.command(&["EVAL", SCRIPT, "0"]).await;
    assert!(reply.is_error() && reply.text().contains("more than 256 MB"), "{reply:?}");
    let peak = server.peak_bytes();
    assert!(peak < 600 << 20, "{peak} B");
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
    for subscriber in &mut subscribers {
        subscriber.expect_closed().await;
    }
    eventually(async || operator.command(&["PUBSUB", "NUMSUB", "news"]).await == array!["news", 0])
        .await;
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
