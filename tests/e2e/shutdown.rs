//! SIGTERM: queued messages arrive, and the process ends in time.

use std::time::Duration;

use harness::{Client, DEADLINE, Server, array, eventually};
use tokio::time::Instant;

use super::server;

/// The longest time that a shutdown waits for clients.
const BOUND: Duration = Duration::from_secs(3);
/// Messages of 64 KiB with more bytes than socket buffers hold, and fewer than the limit of a
/// subscriber.
const MESSAGES: usize = 384;

#[tokio::test]
async fn a_server_without_clients_ends_at_once() {
    let mut server = server(&[]).await;
    assert_eq!(server.stop(BOUND).await, 0);
}

#[tokio::test]
async fn queued_messages_are_delivered_before_the_end() {
    let mut server = server(&["--io-threads", "2"]).await;
    let payload = vec![b'x'; 64 * 1024];
    let (mut subscriber, mut publisher) = queue_messages(&server, &payload).await;

    server.process().terminate();
    for _ in 0..MESSAGES {
        subscriber.expect_message("news", payload.as_slice()).await;
    }
    subscriber.expect_closed().await;
    publisher.expect_closed().await;

    assert_eq!(server.process().exited(DEADLINE).await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_delay_the_end() {
    let mut server = server(&[]).await;
    let (stuck, _publisher) = queue_messages(&server, &vec![b'x'; 64 * 1024]).await;

    let start = Instant::now();
    assert_eq!(server.stop(DEADLINE).await, 0);

    assert!(start.elapsed() < BOUND + Duration::from_secs(2), "it took {:?}", start.elapsed());
    drop(stuck);
}

#[tokio::test]
async fn a_second_signal_ends_a_shutdown() {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;

    for (signal, code) in [(Signal::INT, Some(1)), (Signal::ABORT, None)] {
        let mut server = server(&[]).await;
        let (stuck, mut publisher) = queue_messages(&server, &vec![b'x'; 64 * 1024]).await;
        server.process().terminate();
        publisher.expect_closed().await;
        let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it has not ended");
        let status = server.process().exited(DEADLINE).await;
        assert_eq!(status.code(), code, "{status}");
        assert!(code.is_some() || status.signal() == Some(6), "{status}");
        drop(stuck);
    }
}

#[tokio::test]
async fn idle_clients_are_closed_and_new_ones_refused() {
    let mut server = server(&["--io-threads", "2"]).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = server.client().await;
        assert_eq!(client.command(&["SUBSCRIBE", "news"]).await, array!["subscribe", "news", 1]);
        clients.push(client);
    }

    assert_eq!(server.stop(BOUND).await, 0);

    for client in &mut clients {
        client.expect_closed().await;
    }
    let address = ("127.0.0.1", server.port());
    eventually(|| async { tokio::net::TcpStream::connect(address).await.is_err() }).await;
}

#[tokio::test]
async fn the_port_is_free_again_at_once() {
    let mut server = server(&[]).await;
    let mut client = server.client().await;
    client.subscribe(&["news"]).await;
    assert_eq!(server.stop(BOUND).await, 0);

    server.restart().await;

    client.expect_closed().await;
    server.client().await.expect_silence().await;
}

/// Returns a subscriber that has read none of its messages, and the publisher.
async fn queue_messages(server: &Server, payload: &[u8]) -> (Client, Client) {
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe(&["news"]).await;
    for _ in 0..MESSAGES {
        assert_eq!(publisher.publish("news", payload).await, 1);
    }
    (subscriber, publisher)
}
