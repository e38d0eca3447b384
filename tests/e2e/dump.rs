//! `REPLCONF` and `SYNC` on the wire: a copy of all keys, for clients that want it alone.

use harness::{Client, Server, error, ok, simple};

use super::server;

const REFUSED: &str = "ERR this server has no replication; REPLCONF rdb-only 1 before SYNC gets a copy of \
    its keys, as redis-cli --rdb does";

/// Reads a copy, which has no end of line. Returns it.
async fn copy(client: &mut Client) -> Vec<u8> {
    client.send(&["SYNC"]).await;
    let header = client.read_bytes_until(b"\r\n").await;
    let header = std::str::from_utf8(&header).expect("a header").trim_end();
    let length = header.strip_prefix('$').expect("a string").parse().expect("a length");
    client.read_bytes(length).await.to_vec()
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

#[tokio::test]
async fn a_client_that_asks_for_it_gets_a_copy_and_goes_on() {
    let (_server, mut client) = with_a_key().await;
    for option in [&["capa", "eof"][..], &["rdb-only", "1"]] {
        assert_eq!(client.command(&[&["REPLCONF"], option].concat()).await, ok());
    }
    assert!(contains(&copy(&mut client).await, b"\x07ChatApp\x0241"));
    // The next reply begins right after the copy.
    assert_eq!(client.command(&["PING"]).await, simple("PONG"));
    assert_eq!(client.command(&["REPLCONF", "rdb-filter-only", "functions"]).await, ok());
    let empty = copy(&mut client).await;
    assert!(empty.starts_with(b"REDIS0009") && !contains(&empty, b"ChatApp"));
    assert_eq!(client.command(&["REPLCONF", "rdb-filter-only", ""]).await, ok());
    assert!(contains(&copy(&mut client).await, b"ChatApp"));
}

#[tokio::test]
async fn a_client_that_wants_to_be_a_replica_is_refused() {
    let (_server, mut client) = with_a_key().await;
    for option in [&["listening-port", "6380"][..], &["capa", "eof", "capa", "psync2"]] {
        assert_eq!(client.command(&[&["REPLCONF"], option].concat()).await, ok());
    }
    for request in [&["SYNC"][..], &["PSYNC", "?", "-1"]] {
        assert_eq!(client.command(request).await, error(REFUSED));
    }
    // A reset forgets what the client has asked for.
    client.command(&["REPLCONF", "rdb-only", "1"]).await;
    client.command(&["RESET"]).await;
    assert_eq!(client.command(&["SYNC"]).await, error(REFUSED));
}

#[tokio::test]
async fn a_copy_that_is_larger_than_the_limit_of_its_client_ends_it() {
    let (_server, mut client) = with_a_key().await;
    client.command(&["SET", "large", &"x".repeat(2 << 20)]).await;
    client.command(&["REPLCONF", "rdb-only", "1"]).await;
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0"];
    assert_eq!(client.command(&limit).await, ok());
    client.send(&["SYNC"]).await;
    client.expect_closed().await;
}
