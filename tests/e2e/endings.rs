//! Places of clients, and requests that would keep a connection from ending.
//!
//! `every_ending` combines all reasons for the end of a connection with all kinds of peers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use harness::{eventually, ok};

use super::server;

#[tokio::test]
async fn a_client_with_the_password_gets_the_place_of_one_without() {
    for threads in ["1", "4"] {
        let limits = ["--requirepass", "secret", "--maxclients", "5", "--io-threads", threads];
        let server = server(&limits).await;
        // Some of the strangers are still on their way to their thread when the client comes.
        for _ in 0..20 {
            let mut strangers = Vec::new();
            for _ in 0..8 {
                let stranger = TcpStream::connect(("127.0.0.1", server.port()));
                strangers.push(stranger.expect("it listens"));
            }
            let mut client = server.client().await;
            assert_eq!(client.command(&["PING"]).await.text(), "PONG");
            drop(strangers);
            // A client that is being closed still has its place, and is not listed any more.
            let is_alone = async || {
                let info = client.command(&["INFO", "clients"]).await;
                info.text().lines().any(|line| line == "connected_clients:1")
            };
            eventually(is_alone).await;
        }
    }
}

#[tokio::test]
async fn maxclients_holds_for_connections_that_come_at_once() {
    for threads in ["1", "4"] {
        let server = server(&["--maxclients", "20", "--io-threads", threads]).await;
        let address = ("127.0.0.1", server.port());
        let mut all: Vec<TcpStream> =
            (0..60).map(|_| TcpStream::connect(address).expect("it listens")).collect();
        let served = all.iter_mut().filter_map(|client| {
            client.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            client.write_all(b"PING\r\n").ok()?;
            let mut reply = [0; 5];
            client.read_exact(&mut reply).ok()?;
            (&reply == b"+PONG").then_some(())
        });
        let served = served.count();
        assert!((15..=20).contains(&served), "{served} clients with {threads} threads");
    }
}

#[tokio::test]
async fn a_pipeline_of_slow_commands_does_not_keep_others_waiting() {
    let server = server(&[]).await;
    let mut hog = server.client().await;
    let mut other = server.client().await;
    // The whole pipeline takes far longer than a reply may take here.
    hog.send_raw(b"CLIENT REPLY OFF\r\n").await;
    hog.send_raw(&b"COMMAND DOCS\r\n".repeat(4_000)).await;
    assert_eq!(other.command(&["PING"]).await.text(), "PONG");
}

#[tokio::test]
async fn a_client_that_is_closed_does_not_keep_its_late_script_from_ending() {
    let server = server(&["--busy-reply-threshold", "100"]).await;
    let mut operator = server.client().await;
    operator.command(&["SET", "big", &"x".repeat(5_000_000)]).await;
    let mut client = server.client().await;
    let id = client.command(&["CLIENT", "ID"]).await.integer();
    // More replies than a socket takes, so that the client drains for long.
    client.send_raw(&b"GET big\r\n".repeat(12)).await;
    let kill = format!("CLIENT KILL ID {id} SKIPME no");
    let requests = format!("MULTI\r\n{kill}\r\nEVAL \"while true do end\" 0\r\nEXEC\r\n");
    client.send_raw(requests.as_bytes()).await;
    eventually(async || operator.command(&["PING"]).await.text().starts_with("BUSY")).await;
    assert_eq!(operator.command(&["SCRIPT", "KILL"]).await, ok());
    eventually(async || operator.command(&["PING"]).await.text() == "PONG").await;
}

#[tokio::test]
async fn a_skipped_reply_stays_skipped_when_its_command_waits() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.send_raw(b"CLIENT REPLY SKIP\r\nWAIT 1 50\r\nECHO marker\r\n").await;
    assert_eq!(client.read_reply().await.text(), "marker");
}

#[tokio::test]
async fn a_client_that_takes_a_long_reply_slowly_is_not_idle() {
    const LENGTH: usize = 32 << 20;
    const PIECE: usize = 512 << 10;
    const TIMEOUT: usize = 4;

    let server = server(&["--io-threads", "1"]).await;
    let mut operator = server.client().await;
    assert_eq!(operator.command(&["SET", "k", &"x".repeat(LENGTH)]).await, ok());
    let timeout = TIMEOUT.to_string();
    assert_eq!(operator.command(&["CONFIG", "SET", "timeout", &timeout]).await, ok());
    let mut slow = server.client().await;
    slow.send(&["GET", "k"]).await;
    let header = slow.read_bytes_until(b"\r\n").await;
    assert_eq!(header, format!("${LENGTH}\r\n").as_bytes());
    let mut left = LENGTH;
    // Twice the timeout in all, and no pause comes near it.
    for _ in 0..8 * TIMEOUT {
        let waited = operator.command(&["WAIT", "1", "250"]).await;
        assert_eq!(waited.integer(), 0);
        left -= slow.read_bytes(PIECE).await.len();
    }
    assert_eq!(slow.read_bytes(left).await.len(), left);
}
