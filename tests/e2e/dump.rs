//! `REPLCONF` and `SYNC` on the wire: a copy of all keys, for clients that want it alone.

use harness::{Client, Server, error, eventually, ok, simple};

use super::server;

/// Reads a copy, behind which the connection ends.
async fn copy(mut client: Client) -> Vec<u8> {
    client.send(&["SYNC"]).await;
    let header = client.read_bytes_until(b"\r\n").await;
    let header = std::str::from_utf8(&header).expect("a header").trim_end();
    let length = header.strip_prefix('$').expect("a string").parse().expect("a length");
    let copy = client.read_bytes(length).await.to_vec();
    client.expect_closed().await;
    copy
}

fn contains(copy: &[u8], part: &[u8]) -> bool {
    copy.windows(part.len()).any(|window| window == part)
}

async fn with_a_key() -> (Server, Client) {
    let server = server(&[]).await;
    let mut client = server.client().await;
    assert_eq!(client.command(&["SET", "ChatApp", "41"]).await, ok());
    (server, client)
}

/// Returns a client that has sent these options.
async fn with_options(server: &Server, options: &[&[&str]]) -> Client {
    let mut client = server.client().await;
    for option in options {
        assert_eq!(client.command(&[&["REPLCONF"], *option].concat()).await, ok());
    }
    client
}

const WANTS_DUMP: &[&str] = &["rdb-only", "1"];
const KNOWS_EOF: &[&str] = &["capa", "eof"];

#[tokio::test]
async fn a_client_that_asks_for_it_gets_a_copy_and_its_end() {
    let (server, _client) = with_a_key().await;
    let client = with_options(&server, &[KNOWS_EOF, WANTS_DUMP]).await;
    assert!(contains(&copy(client).await, b"\x07ChatApp\x0241"));
    let only = |parts| [KNOWS_EOF, WANTS_DUMP, parts];
    let filtered = only(&["rdb-filter-only", "functions"]);
    let empty = copy(with_options(&server, &filtered).await).await;
    assert!(empty.starts_with(b"REDIS0009") && !contains(&empty, b"ChatApp"));
    let mut client = with_options(&server, &filtered).await;
    let wrong = client.command(&["REPLCONF", "rdb-filter-only", "'functions' keys"]).await;
    assert_eq!(wrong, error("ERR Unsupported rdb-filter-only option: keys"));
    assert_eq!(client.command(&["REPLCONF", "rdb-filter-only", ""]).await, ok());
    assert!(contains(&copy(client).await, b"ChatApp"));
}

#[tokio::test]
async fn a_reset_forgets_what_the_client_has_asked_for() {
    let (server, mut client) = with_a_key().await;
    client.command(&["REPLCONF", "rdb-only", "1"]).await;
    client.command(&["RESET"]).await;
    client.send(&["SYNC"]).await;
    // It is a replica, since the connection does not end behind the copy.
    let mut other = server.client().await;
    eventually(async || {
        let list = other.command(&["CLIENT", "LIST", "TYPE", "replica"]).await;
        list.text().contains(" flags=S ")
    })
    .await;
    let mut without_eof =
        with_options(&server, &[WANTS_DUMP, &["rdb-filter-only", "functions"]]).await;
    let refused = without_eof.command(&["SYNC"]).await;
    assert_eq!(refused, error("ERR Filtered replica requires EOF capability"));
    // A report has no reply.
    without_eof.send(&["REPLCONF", "ack", "0"]).await;
    assert_eq!(without_eof.command(&["PING"]).await, simple("PONG"));
}

#[tokio::test]
async fn a_copy_never_follows_other_replies() {
    let (_server, mut client) = with_a_key().await;
    let requests = b"REPLCONF rdb-only 1\r\nSYNC\r\nPING\r\n";
    let replies = client.pipeline(requests, 3).await;
    let pending = error("ERR SYNC and PSYNC are invalid with pending output");
    assert_eq!(replies, [ok(), pending, simple("PONG")]);
}

#[tokio::test]
async fn limits_of_clients_do_not_hold_for_a_copy() {
    let (server, mut client) = with_a_key().await;
    client.command(&["SET", "large", &"x".repeat(2 << 20)]).await;
    for (name, value) in
        [("client-output-buffer-limit", "normal 1mb 0 0"), ("maxmemory-clients", "1mb")]
    {
        assert_eq!(client.command(&["CONFIG", "SET", name, value]).await, ok());
    }
    assert!(copy(with_options(&server, &[WANTS_DUMP]).await).await.len() > 2 << 20);
}
