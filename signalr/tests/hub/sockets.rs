//! Server-Sent Events and long polling over TCP, with the real clock.

use serde_json::json;
use tokio::{net::TcpStream, sync::mpsc};

use crate::{
    http_client::{HANDSHAKE, HttpClient, PLAIN, Requests, head},
    server::{TestServer, within},
};

#[tokio::test]
async fn events_and_posts_travel_over_tcp() {
    let (server, mut endings) = watched();
    let address = server.listen().await;
    let requests = Requests::negotiate(&server).await;
    let mut events = HttpClient::new(TcpStream::connect(address).await.unwrap());
    events.send("GET", &requests.path(), &[("accept", "text/event-stream")], "").await;
    assert_eq!(events.receive_head().await.status, 200);
    assert_eq!(events.receive_chunk().await.as_deref(), Some(":\r\n"));

    // The client keeps one connection for its POSTs.
    let mut posts = HttpClient::new(TcpStream::connect(address).await.unwrap());
    posts.send("POST", &requests.path(), &[], HANDSHAKE).await;
    posts.receive().await.expect(200, &[PLAIN], "");
    assert_eq!(events.receive_chunk().await.as_deref(), Some("data: {}\u{1e}\r\n\r\n"));
    for number in 0..100 {
        let call = json!({"type": 1, "invocationId": "1", "target": "Echo", "arguments": [number]});
        posts.send("POST", &requests.path(), &[], format!("{call}\u{1e}")).await;
        posts.receive().await.expect(200, &[PLAIN], "");
        let event = events.receive_chunk().await.unwrap();
        assert!(event.contains(&format!("\"result\":{number}}}")), "{event}");
    }

    drop(events);
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
}

#[tokio::test]
async fn polls_and_posts_travel_over_tcp() {
    let (server, mut endings) = watched();
    let address = server.listen().await;
    let requests = Requests::negotiate(&server).await;
    let mut polls = HttpClient::new(TcpStream::connect(address).await.unwrap());
    let mut posts = HttpClient::new(TcpStream::connect(address).await.unwrap());
    polls.send("GET", &requests.path(), &[], "").await;
    assert_eq!(polls.receive().await.body, "");
    posts.send("POST", &requests.path(), &[], HANDSHAKE).await;
    posts.receive().await.expect(200, &[PLAIN], "");
    for number in 0..100 {
        let call = json!({"type": 1, "invocationId": "1", "target": "Echo", "arguments": [number]});
        posts.send("POST", &requests.path(), &[], format!("{call}\u{1e}")).await;
        posts.receive().await.expect(200, &[PLAIN], "");
    }
    let mut found = String::new();
    while !found.contains("\"result\":99}") {
        polls.send("GET", &requests.path(), &[], "").await;
        found.push_str(&polls.receive().await.body);
    }
    assert!(found.starts_with("{}\u{1e}"));
    assert_eq!(found.matches("\"result\"").count(), 100);

    posts.send("DELETE", &requests.path(), &[], "").await;
    posts.receive().await.expect(202, &[PLAIN], "");
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
}

#[tokio::test]
async fn half_a_request_disturbs_no_other_client() {
    let (server, _endings) = watched();
    let address = server.listen().await;
    let requests = Requests::negotiate(&server).await;
    let mut halves = Vec::new();
    for text in [
        "POST /hub?id=".to_owned(),
        head("POST", &requests.path(), &[("content-length", "1000")]),
        head("POST", &requests.path(), &[("content-length", "1000")]) + "\r\n{\"protocol\"",
        head("GET", &requests.path(), &[("accept", "text/event-stream")]),
    ] {
        let mut half = HttpClient::new(TcpStream::connect(address).await.unwrap());
        half.send_bytes(text).await;
        halves.push(half);
    }
    requests.connect_polling().await;
    for half in halves {
        drop(half);
    }
    let call = json!({"type": 1, "invocationId": "1", "target": "Echo", "arguments": [7]});
    requests.send_messages(&[call]).await;
    assert!(requests.poll_messages().await.contains("\"result\":7"));
}

/// Starts a server with the method `Echo`, which reports the id of each connection that ends.
fn watched() -> (TestServer, mpsc::UnboundedReceiver<String>) {
    let (ending, endings) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub| {
        hub.method("Echo", |(number,): (u64,)| async move { Ok(number) }).on_disconnected(
            move |caller: signalr::Caller| {
                let _ = ending.send(caller.connection_id().to_owned());
                async {}
            },
        )
    });
    (server, endings)
}
