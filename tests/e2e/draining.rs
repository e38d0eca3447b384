//! `SHUTDOWN DRAIN` and `shutdown-drain`: all clients end, one after the other, before the server.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use harness::{
    Client, DEADLINE, Protocol, SLOW_DEADLINE, Server, array, error, eventually, ok, simple, within,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};

use super::server;

/// A window that no test waits for.
const LONG: &str = "4000000";

async fn is_open(server: &Server) -> bool {
    within(DEADLINE, TcpStream::connect(("127.0.0.1", server.port()))).await.is_ok()
}

/// Returns the number of subscribers of the channel, or `None` once the connection has ended.
async fn subscribers_seen_by(stream: &mut BufStream<TcpStream>) -> Option<u64> {
    stream.write_all(b"PUBSUB NUMSUB news\r\n").await.ok()?;
    stream.flush().await.ok()?;
    let mut line = String::new();
    for _ in 0..4 {
        line.clear();
        let read = stream.read_line(&mut line).await.ok()?;
        if read == 0 {
            return None;
        }
    }
    Some(line.trim_start_matches(':').trim_end().parse().expect("a number"))
}

/// Subscribes to the announcements of drains.
async fn watcher(server: &Server) -> Client {
    let mut watcher = server.client().await;
    watcher.subscribe(&["__broker__:draining"]).await;
    watcher
}

#[tokio::test]
async fn clients_end_in_the_window_and_those_without_subscriptions_last() {
    for threads in ["1", "4"] {
        let mut server = server(&["--io-threads", threads]).await;
        let (mut subscribers, mut others) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let mut subscriber = server.client().await;
            subscriber.subscribe(&["news"]).await;
            subscribers.push(subscriber);
            let other = TcpStream::connect(("127.0.0.1", server.port())).await;
            others.push(BufStream::new(other.expect("it listens")));
        }
        let mut operator = server.client().await;
        let payload = vec![b'x'; 1024 * 1024];
        assert_eq!(operator.publish("news", &payload).await, 20);
        assert_eq!(operator.command(&["SHUTDOWN", "DRAIN", "4"]).await, ok());
        drop(operator);

        let others = others.into_iter().map(|mut other| async move {
            let mut last = None;
            while let Some(subscribers) = subscribers_seen_by(&mut other).await {
                last = Some(subscribers);
            }
            last
        });
        let subscribers = subscribers.into_iter().map(|mut subscriber| {
            let payload = payload.clone();
            async move {
                subscriber.expect_message("news", &*payload).await;
                subscriber.expect_closed().await;
            }
        });
        let (last, _) =
            within(SLOW_DEADLINE, async { tokio::join!(join_all(others), join_all(subscribers)) })
                .await;
        // Each thread ends its own clients in this order.
        assert!(threads != "1" || last.contains(&Some(0)), "{last:?}");
        assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn clients_that_ask_for_it_get_a_push() {
    for threads in ["1", "4"] {
        let server = server(&["--io-threads", threads]).await;
        let mut asking = Vec::new();
        for _ in 0..5 {
            let mut client = server.client().await;
            client.decode_as(Protocol::Resp3);
            client.command(&["HELLO", "3"]).await;
            assert_eq!(client.command(&["CLIENT", "CAPA", "unknown", "Draining"]).await, ok());
            asking.push(client);
        }
        // It has no pushes.
        let mut old = server.client().await;
        assert_eq!(old.command(&["CLIENT", "CAPA", "draining"]).await, ok());
        let mut reset = asking.pop().expect("a client");
        reset.command(&["RESET"]).await;
        reset.command(&["HELLO", "3"]).await;
        let mut operator = server.client().await;
        assert_eq!(operator.command(&["SHUTDOWN", "DRAIN", LONG]).await, ok());
        for client in &mut asking {
            let push = client.read_reply().await;
            assert_eq!(push.items(), ["draining".into(), 4_000_000.into()]);
        }
        for client in [&mut old, &mut reset] {
            assert_eq!(client.command(&["PING"]).await, simple("PONG"));
        }
        assert_eq!(operator.command(&["SHUTDOWN", "ABORT"]).await, ok());
    }
}

#[tokio::test]
async fn a_drain_without_clients_ends_early() {
    let mut server = server(&[]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["SHUTDOWN", "DRAIN", LONG]).await, ok());
    drop(client);
    assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn a_drain_is_announced_and_refuses_new_clients_until_it_is_aborted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("broker.sock");
    let server = server(&["--unixsocket", path.to_str().expect("a plain path")]).await;
    let (mut watcher, mut operator) = (watcher(&server).await, server.client().await);
    assert_eq!(
        operator.command(&["SHUTDOWN", "ABORT"]).await,
        error("ERR No shutdown in progress.")
    );
    for round in 0..3 {
        assert_eq!(operator.command(&["SHUTDOWN", "DRAIN", LONG]).await, ok());
        watcher.expect_message("__broker__:draining", "{\"seconds\":4000000}").await;
        assert!(!is_open(&server).await, "round {round}");
        assert!(!Path::new(&path).exists());
        let moved = operator.command(&["CONFIG", "SET", "port", "1"]).await;
        assert!(moved.is_error(), "{moved:?}");

        assert_eq!(operator.command(&["SHUTDOWN", "ABORT"]).await, ok());
        eventually(async || is_open(&server).await).await;
        // The file exists shortly before the server listens on it.
        eventually(async || UnixStream::connect(&path).await.is_ok()).await;
        assert_eq!(server.client().await.command(&["PING"]).await, simple("PONG"));
    }
    assert_eq!(operator.command(&["PING"]).await, simple("PONG"));
}

/// The workers of the second server have other numbers than those of the first.
#[tokio::test]
async fn each_server_of_a_broker_closes_its_own_port() {
    let broker = broker::Broker::new();
    let config = broker::Config { port: broker::Port::Any, ..broker::Config::default() };
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(broker::Server::bind(broker.clone(), &config).await.expect("a free port"));
    }
    for server in &servers {
        let port = server.local_addr().expect("it listens").port();
        let mut client = Client::connect(port).await;
        assert_eq!(client.command(&["PING"]).await, simple("PONG"));
        server.drain(Duration::from_secs(3600));
        eventually(async || TcpStream::connect(("127.0.0.1", port)).await.is_err()).await;
        drop(client);
        within(DEADLINE, server.stop_requested()).await;
    }
    for server in servers {
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_signal_drains_and_a_second_one_ends_at_once() {
    for signals in [1, 2] {
        let mut server = server(&[]).await;
        let (mut watcher, mut operator) = (watcher(&server).await, server.client().await);
        let window = if signals == 1 { "1" } else { LONG };
        assert_eq!(operator.command(&["CONFIG", "SET", "shutdown-drain", window]).await, ok());
        server.process().terminate();
        let announced = format!("{{\"seconds\":{window}}}");
        watcher.expect_message("__broker__:draining", &*announced).await;
        eventually(async || !is_open(&server).await).await;
        if signals == 2 {
            assert_eq!(operator.command(&["PING"]).await, simple("PONG"));
            server.process().terminate();
        }
        watcher.expect_closed().await;
        operator.expect_closed().await;
        assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_drain_can_be_shortened_and_skipped() {
    for last in
        [&["SHUTDOWN", "DRAIN", "0"][..], &["SHUTDOWN"], &["SHUTDOWN", "NOW", "DRAIN", LONG]]
    {
        let mut server = server(&[]).await;
        let (mut idle, mut operator) = (server.client().await, server.client().await);
        assert_eq!(operator.command(&["SHUTDOWN", "DRAIN", LONG]).await, ok());
        operator.send(last).await;
        idle.expect_closed().await;
        assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn wrong_seconds_are_refused() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    for arguments in [&["DRAIN"][..], &["DRAIN", "5", "6"], &["ABORT", "DRAIN", "5"], &["5"]] {
        let request = [&["SHUTDOWN"], arguments].concat();
        assert_eq!(client.command(&request).await, error("ERR syntax error"), "{arguments:?}");
    }
    for seconds in ["", "-1", "x", "4294967296", "1.5"] {
        let reply = client.command(&["SHUTDOWN", "DRAIN", seconds]).await;
        assert_eq!(reply, error("ERR DRAIN expects a number of seconds"), "{seconds:?}");
    }
    let expected = array!["shutdown-drain", "0"];
    assert_eq!(client.command(&["CONFIG", "GET", "shutdown-drain"]).await, expected);
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_late_script_does_not_outlast_the_window() {
    let mut server = server(&["--busy-reply-threshold", "10", "--shutdown-drain", "1"]).await;
    let mut client = server.client().await;
    client.send(&["EVAL", "while true do end", "0"]).await;
    let mut operator = server.client().await;
    eventually(async || operator.command(&["PING"]).await.is_error()).await;
    server.process().terminate();
    assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
}
