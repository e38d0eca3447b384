//! Protocol errors, and subscribers that stop reading.

use harness::{Client, Server, Value, ok, request};

use super::server;

#[tokio::test]
async fn a_protocol_error_has_redis_words_and_closes_the_connection() {
    let server = server(&[]).await;
    for (sent, expected) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*1048577999999999999999\r\n", "invalid multibulk length"),
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$4294967296\r\n", "invalid bulk length"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n\r\n", "expected '$', got ' '"),
        ("PING \"x\r\n", "unbalanced quotes in request"),
        ("PING 'x'y\r\n", "unbalanced quotes in request"),
    ] {
        expect_protocol_error(&server, sent.as_bytes(), expected).await;
    }
}

#[tokio::test]
async fn an_endless_line_is_refused_at_a_limit() {
    let server = server(&[]).await;
    let line = [b'x'; 70 * 1024];
    expect_protocol_error(&server, &line, "too big inline request").await;
    let count = [b"*".as_slice(), &[b'1'; 70 * 1024]].concat();
    expect_protocol_error(&server, &count, "too big mbulk count string").await;
    let length = [b"*1\r\n$".as_slice(), &[b'1'; 70 * 1024]].concat();
    expect_protocol_error(&server, &length, "too big bulk count string").await;
}

#[tokio::test]
async fn requests_before_a_protocol_error_get_their_replies_first() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.send_raw(b"PING\r\nECHO hi\r\n*1\r\n!\r\n").await;
    let expected = "+PONG\r\n$2\r\nhi\r\n-ERR Protocol error: expected '$', got '!'\r\n";
    assert_eq!(client.read_to_close().await, expected);
}

#[tokio::test]
async fn empty_requests_are_ignored() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    client.send_raw(b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n").await;
    assert_eq!(client.read_bytes_until(b"\r\n").await, "+PONG\r\n");
    client.expect_silence().await;
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_is_closed_at_its_limit_and_others_are_not() {
    let server = server(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]).await;
    let (mut stuck, mut reader) = (server.client().await, server.client().await);
    let mut publisher = server.client().await;
    stuck.subscribe(&["news"]).await;
    reader.subscribe(&["news"]).await;
    let payload = vec![b'x'; 64 * 1024];

    let mut published = 0;
    let mut receivers = 2;
    while receivers == 2 {
        assert!(published < 1_000, "64 MB are queued for a subscriber with a limit of 1 MB");
        receivers = publisher.publish("news", &payload).await;
        reader.expect_message("news", payload.as_slice()).await;
        published += 1;
    }

    let received = stuck.read_to_close().await.len();
    assert!(received < published * (payload.len() + 64), "{received} B of {published} messages");
    assert_eq!(publisher.publish("news", "on").await, 1);
    reader.expect_message("news", "on").await;
}

/// Queues GETs of one value in a transaction, so that all replies are queued before one is written,
/// and returns whether the client gets them.
async fn are_read(server: &Server, gets: usize, bytes: usize) -> bool {
    let mut client = server.client().await;
    assert_eq!(client.command(&["SET", "k", &"x".repeat(bytes)]).await, ok());
    client.send(&["MULTI"]).await;
    client.send_raw(&request(&["GET", "k"]).repeat(gets)).await;
    for _ in 0..=gets {
        client.read_reply().await;
    }
    client.send(&["EXEC"]).await;
    client.next_reply().await.is_some()
}

#[tokio::test]
async fn a_hard_limit_counts_replies_in_blocks() {
    let server = server(&["--client-output-buffer-limit", "normal 100000 0 0"]).await;
    // The replies to 97 GETs have 97,689 bytes: a buffer and four blocks. The next begins a fifth.
    assert!(are_read(&server, 97, 1_000).await);
    assert!(!are_read(&server, 98, 1_000).await);
    // One large block is closer to its size.
    assert!(are_read(&server, 1, 114_000).await);
    assert!(!are_read(&server, 1, 115_000).await);
    assert!(are_read(&server, 2, 57_000).await);
    assert!(!are_read(&server, 3, 40_000).await);
}

#[tokio::test]
async fn client_list_shows_how_much_of_a_request_is_parsed() {
    let server = server(&[]).await;
    let (mut ann, mut operator) = (server.client().await, server.client().await);
    assert_eq!(ann.command(&["CLIENT", "SETNAME", "ann"]).await, ok());
    ann.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n").await;
    ann.send_raw(&[b'x'; 5_000]).await;
    harness::eventually(async || {
        let list = operator.command(&["CLIENT", "LIST"]).await;
        let line = list.text().lines().find(|line| line.contains(" name=ann ")).expect("a line");
        line.contains(" qbuf=5000 ") && line.contains(" argv-mem=4 ")
    })
    .await;
}

#[tokio::test]
async fn a_client_over_maxclients_gets_an_error_and_is_closed() {
    let server = server(&["--maxclients", "2"]).await;
    let (mut ann, mut bob) = (server.client().await, server.client().await);
    ann.expect_silence().await;
    bob.expect_silence().await;

    let mut third = server.stranger().await;
    assert_eq!(third.read_to_close().await, "-ERR max number of clients reached\r\n");

    assert_eq!(ann.command(&["QUIT"]).await, ok());
    ann.expect_closed().await;
    server.client().await.expect_silence().await;
}

#[tokio::test]
async fn monitors_are_never_idle() {
    let server = server(&["--timeout", "1"]).await;
    let (mut monitor, mut idle) = (server.client().await, server.client().await);
    assert_eq!(monitor.command(&["MONITOR"]).await, ok());
    idle.expect_closed().await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["ECHO", "x"]).await, Value::from("x"));
    assert!(monitor.read_reply().await.text().contains("\"ECHO\" \"x\""));
}

#[tokio::test]
async fn half_a_request_does_not_delay_other_clients() {
    let server = server(&[]).await;
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut client = server.client().await;
        client.send_raw(b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$1000000\r\nabc").await;
        halves.push(client);
    }
    let mut client = server.client().await;
    let replies = client.pipeline(&request(&["PING"]).repeat(1_000), 1_000).await;
    assert_eq!(replies.len(), 1_000);
}

async fn expect_protocol_error(server: &Server, sent: &[u8], expected: &str) {
    let mut client: Client = server.client().await;
    client.send_raw(sent).await;
    let found = client.read_to_close().await;
    let expected = format!("-ERR Protocol error: {expected}\r\n");
    assert_eq!(found, expected, "{}", sent[..sent.len().min(40)].escape_ascii());
}
