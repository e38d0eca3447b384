//! The port and addresses of a running server, and their changes with `CONFIG SET`.

use harness::{Client, DEADLINE, free_port, ok, simple, within};
use tokio::net::TcpStream;

use super::server;

/// Returns true when a server accepts connections there.
async fn is_open(address: &str, port: u16) -> bool {
    within(DEADLINE, TcpStream::connect((address, port))).await.is_ok()
}

#[tokio::test]
async fn a_server_moves_to_another_port_and_keeps_its_clients() {
    for threads in ["1", "2"] {
        let server = server(&["--io-threads", threads]).await;
        // With two workers, one client on each.
        let (mut one, mut two) = (server.client().await, server.client().await);
        one.subscribe(&["news"]).await;
        let first = free_port();
        let set = ["CONFIG", "SET", "timeout", "9", "port", &first.to_string()];
        assert_eq!(two.command(&set).await, ok());
        assert!(!is_open("127.0.0.1", server.port()).await, "the old port is still open");
        let mut three = Client::connect(first).await;
        assert_eq!(three.publish("news", "moved").await, 1);
        one.expect_message("news", "moved").await;
        let shown = three.command(&["CONFIG", "GET", "timeout"]).await;
        assert_eq!(shown, harness::array!["timeout", "9"]);

        let second = free_port();
        let set = ["CONFIG", "SET", "port", &second.to_string()];
        assert_eq!(three.command(&set).await, ok());
        assert_eq!(Client::connect(second).await.command(&["PING"]).await, simple("PONG"));
    }
}

#[tokio::test]
async fn a_move_keeps_settings_that_change_meanwhile() {
    let server = server(&[]).await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    for length in 200..210 {
        let length = length.to_string();
        one.send(&["CONFIG", "SET", "port", &free_port().to_string()]).await;
        two.send(&["CONFIG", "SET", "slowlog-max-len", &length]).await;
        assert_eq!(two.read_reply().await, ok());
        assert_eq!(one.read_reply().await, ok());
        let shown = two.command(&["CONFIG", "GET", "slowlog-max-len"]).await;
        assert_eq!(shown, harness::array!["slowlog-max-len", length.as_str()]);
    }
}

#[tokio::test]
async fn a_port_or_address_that_is_not_available_changes_no_setting() {
    let server = server(&[]).await;
    let mut client = server.client().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("its address").port().to_string();
    for (setting, expected) in [
        (["port", &taken], "Unable to listen on this port. Check server logs."),
        (["bind", "999.0.0.1"], "Failed to bind to specified addresses."),
    ] {
        let name = setting[0];
        let set = ["CONFIG", "SET", "timeout", "9", name, setting[1]];
        let reply = client.command(&set).await;
        let start = "ERR CONFIG SET failed (possibly related to argument";
        assert_eq!(reply, harness::error(&format!("{start} '{name}') - {expected}")));
        let shown = client.command(&["CONFIG", "GET", "timeout"]).await;
        assert_eq!(shown, harness::array!["timeout", "0"]);
        assert_eq!(server.client().await.command(&["PING"]).await, simple("PONG"));
    }
}

#[tokio::test]
async fn a_server_without_an_address_accepts_clients_again_once_it_has_one() {
    let server = server(&["--bind", "127.0.0.1"]).await;
    let mut client = server.client().await;
    // The PING in the same write waits until the change is done.
    let replies = client.pipeline(b"CONFIG SET bind \"\"\r\nPING\r\n", 2).await;
    assert_eq!(replies, [ok(), simple("PONG")]);
    assert!(!is_open("127.0.0.1", server.port()).await, "the server still listens");
    assert_eq!(client.command(&["CONFIG", "SET", "bind", "127.0.0.1 -::1"]).await, ok());
    assert_eq!(server.client().await.command(&["PING"]).await, simple("PONG"));
}
