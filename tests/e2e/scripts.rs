//! Scripts are atomic, and a script that takes long does not block other clients.

use harness::{Client, DEADLINE, Protocol, Reply, Server};
use harness::{eventually, ok};

use super::server;

const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
/// The script of ASP.NET SignalR 2.
const SEND: &str = "local newId = redis.call('INCR', KEYS[1])
                  local payload = newId .. ' ' .. ARGV[1]
                  redis.call('PUBLISH', KEYS[1], payload)
                  return {newId, ARGV[1], payload}";

fn is_error(reply: &Reply, start: &str) -> bool {
    reply.is_error() && reply.text().starts_with(start)
}

/// Starts a script that does not end, and waits until the server replies with `BUSY`.
async fn occupied(server: &Server, script: &str) -> (Client, Client) {
    let mut operator = server.client().await;
    assert_eq!(operator.command(&["CONFIG", "SET", "busy-reply-threshold", "100"]).await, ok());
    let mut runner = server.client().await;
    runner.send(&["EVAL", script, "0"]).await;
    eventually(async || is_error(&operator.command(&["PING"]).await, BUSY)).await;
    (runner, operator)
}

#[tokio::test]
async fn a_script_that_does_not_end_is_killed() {
    for threads in ["1", "3"] {
        let server = server(&["--io-threads", threads]).await;
        let mut subscriber = server.client().await;
        subscriber.subscribe(&["news"]).await;
        let script = "redis.call('publish', 'news', 'before') while true do pcall(function() \
                      while true do end end) end";
        let (mut runner, mut operator) = occupied(&server, script).await;
        let mut other = server.client().await;
        for request in [&["GET", "k"][..], &["PUBLISH", "news", "x"], &["EVAL", "return 1", "0"]] {
            assert!(is_error(&other.command(request).await, BUSY), "{request:?}");
        }
        assert_eq!(other.command(&["MULTI"]).await, ok());
        drop(other);
        assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
        let reply = runner.read_reply().await;
        assert!(is_error(&reply, "ERR Script killed by user with SCRIPT KILL"), "{reply:?}");
        subscriber.expect_message("news", "before").await;
        eventually(async || operator.publish("news", "after").await == 1).await;
        subscriber.expect_message("news", "after").await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn messages_of_a_script_count_for_the_limits_of_their_subscribers() {
    const SCRIPT: &str = "local payload = string.rep('x', 1048576) \
        for i = 1, tonumber(ARGV[1]) do redis.call('PUBLISH', 'news', payload) end return 'done'";

    // Messages for other threads wait until the script ends, and have a limit of their own.
    let limits = ["--client-output-buffer-limit", "pubsub 1mb 0 0", "--io-threads", "1"];
    let server = server(&limits).await;
    for transaction in [false, true] {
        let mut runner = server.client().await;
        runner.decode_as(Protocol::Resp3);
        runner.command(&["HELLO", "3"]).await;
        runner.command(&["CLIENT", "TRACKING", "ON"]).await;
        runner.subscribe(&["news"]).await;
        let mut other = server.client().await;
        other.subscribe(&["news"]).await;
        if transaction {
            assert_eq!(runner.command(&["MULTI"]).await, ok());
        }
        runner.send(&["EVAL", SCRIPT, "0", "200"]).await;
        if transaction {
            runner.send(&["EXEC"]).await;
        }
        other.expect_closed().await;
        runner.read_to_close().await;
        let peak = server.peak_bytes();
        assert!(peak < 64 << 20, "in a transaction: {transaction}: {peak} B");
    }
}

#[tokio::test]
async fn a_script_that_has_written_ends_only_with_the_server() {
    let mut server = server(&[]).await;
    let script = "redis.call('set', 'k', 'v') while true do end";
    let (runner, mut operator) = occupied(&server, script).await;
    let reply = operator.command(&["SCRIPT", "KILL"]).await;
    assert!(is_error(&reply, "UNKILLABLE"), "{reply:?}");
    drop(runner);
    assert!(is_error(&operator.command(&["SHUTDOWN"]).await, BUSY));
    operator.send(&["SHUTDOWN", "NOSAVE"]).await;
    operator.expect_closed().await;
    server.process().exited(DEADLINE).await;
}

#[tokio::test]
async fn a_script_of_a_disconnected_client_goes_on_and_can_be_killed() {
    for request in ["EVAL", "EXEC"] {
        let server = server(&[]).await;
        let mut operator = server.client().await;
        operator.command(&["CONFIG", "SET", "busy-reply-threshold", "100"]).await;
        let mut runner = server.client().await;
        if request == "EXEC" {
            runner.send(&["MULTI"]).await;
        }
        runner.send(&["EVAL", "while true do end", "0"]).await;
        if request == "EXEC" {
            runner.send(&["EXEC"]).await;
        }
        eventually(async || is_error(&operator.command(&["PING"]).await, BUSY)).await;
        drop(runner);
        assert!(is_error(&operator.command(&["PING"]).await, BUSY), "{request}");
        assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
        eventually(async || operator.command(&["PING"]).await.text() == "PONG").await;
        assert_eq!(operator.command(&["EVAL", "return 7", "0"]).await.integer(), 7);
    }
}

#[tokio::test]
async fn no_other_message_comes_between_the_messages_of_a_script() {
    const ROUNDS: usize = 50;
    const SCRIPT: &str = "for i = 1, 5 do redis.call('publish', 'news', ARGV[1]) end \
                          return redis.call('incr', 'count')";

    let server = server(&["--io-threads", "4"]).await;
    let mut subscriber = server.client().await;
    subscriber.subscribe(&["news"]).await;
    let mut tasks = Vec::new();
    for index in 0..4 {
        let mut publisher = server.client().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let request = ["EVAL", SCRIPT, "0", &index.to_string()];
                publisher.command(&request).await;
            }
        }));
    }
    for _ in 0..4 * ROUNDS {
        let mut batch = Vec::new();
        for _ in 0..5 {
            batch.push(subscriber.read_reply().await.items()[2].text().to_owned());
        }
        assert!(batch.iter().all(|own| *own == batch[0]), "a batch is mixed: {batch:?}");
    }
    for task in tasks {
        task.await.expect("the publisher ends");
    }
    assert_eq!(server.client().await.command(&["GET", "count"]).await, "200");
}

#[tokio::test]
async fn the_ids_of_signalr_rise_at_every_subscriber() {
    const ROUNDS: usize = 100;

    let server = server(&["--io-threads", "4"]).await;
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        let mut subscriber = server.client().await;
        subscriber.subscribe(&["app"]).await;
        subscribers.push(subscriber);
    }
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let mut publisher = server.client().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                publisher.command(&["EVAL", SEND, "1", "app", "message"]).await;
            }
        }));
    }
    for subscriber in &mut subscribers {
        for id in 1..=6 * ROUNDS {
            subscriber.expect_message("app", format!("{id} message")).await;
        }
    }
    for task in tasks {
        task.await.expect("the publisher ends");
    }
}

#[tokio::test]
async fn log_entries_of_a_script_are_in_the_log_at_their_level() {
    let mut server = server(&["--loglevel", "notice"]).await;
    let mut client = server.client().await;
    let script = "redis.log(redis.LOG_VERBOSE, 'too', 'quiet') redis.log(redis.LOG_NOTICE, 'heard') \
                  redis.log(redis.LOG_WARNING, 'and', 1, 'warned')";
    client.command(&["EVAL", script, "0"]).await;
    let log = server
        .process()
        .stdout_with(DEADLINE, |log| log.contains("warned").then(|| log.to_owned()))
        .await;
    assert!(log.lines().any(|line| line.ends_with("* heard")), "{log}");
    assert!(log.lines().any(|line| line.ends_with("# and 1 warned")), "{log}");
    assert!(!log.contains("quiet"), "{log}");
}
