//! The end of a connection.

use std::time::Duration;

use serde_json::json;
use tokio::time;

use crate::server::{Client, Socket, TestServer, duration};

#[tokio::test(start_paused = true)]
async fn a_lost_client_is_disconnected_after_30_seconds_and_once() {
    let mut server = TestServer::start();
    let (client, socket) = server.connect().await;
    let id = client.id.clone();
    let token = client.token.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    drop(socket);
    let (waited, event) = duration(server.event()).await;
    assert_eq!((waited.as_secs(), event), (30, format!("disconnected {id}")));
    let path = format!("/signalr/abort?transport=webSockets&connectionToken={token}");
    assert_eq!(server.request("POST", &path, "").await.status, 200);
    time::sleep(Duration::from_secs(100)).await; // on the paused clock
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn an_abort_disconnects_at_once() {
    let mut server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    let response = client.abort().await;
    assert_eq!((response.status, response.header("content-type")), (200, "text/plain"));
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    assert_eq!(response.text().await, "");
    assert_eq!(socket.text().await, None);
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    let (waited, event) = duration(server.event()).await;
    assert_eq!((waited.as_secs(), event), (0, format!("disconnected {id}")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_starts_is_closed_without_hooks() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    let mut socket = client.open("connect", "").await;
    socket.receive().await;
    let (waited, ()) =
        duration(async { while socket.text().await.is_some_and(|text| text == "{}") {} }).await;
    assert_eq!(waited.as_secs(), 30);
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn an_aborted_client_gets_its_last_message_and_stops() {
    let mut server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    socket.send(json!({"H": "chathub", "M": "Kick", "A": [], "I": 0})).await;
    assert_eq!(socket.receive().await["M"][0]["M"], "last");
    let mut last = socket.receive().await;
    if last == json!({"I": "0"}) {
        last = socket.receive().await;
    }
    assert_eq!(last, json!({"E": "The server has ended the connection."}));
    assert_eq!(socket.text().await, None);
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert_eq!(server.event().await, format!("disconnected {id}"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_sent_away_learns_the_reason() {
    let server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    let target = backplane::Target::connection(&*client.id);
    let ended = server.hub.disconnect(target, "signed out").await.unwrap();
    assert_eq!(ended.received[0].1, 1);
    assert_eq!(socket.receive().await, json!({"E": "signed out"}));
    assert_eq!(socket.text().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_client_learns_of_it_by_its_next_poll() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    client.call("Kick", json!([])).await;
    let first = client.poll("poll", "").await.text().await;
    assert!(first.contains("\"M\":\"last\""), "{first}");
    let second = client.poll("poll", "").await.text().await;
    assert_eq!(second, r#"{"E":"The server has ended the connection."}"#);
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert_eq!(server.event().await, format!("disconnected {id}"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_clients_to_another_server() {
    let mut server = TestServer::start();
    let hub = server.hub.clone();
    let (client, mut socket) = server.connect().await;
    let polling = server.negotiate().await;
    polling.connect_polling().await;
    let (frame, (), ()) = tokio::join!(
        async { polling.poll("poll", "").await.text().await },
        async { while socket.text().await.is_some() {} },
        async {
            time::sleep(Duration::from_millis(10)).await;
            hub.shutdown().await;
        }
    );
    assert!(frame.contains("\"T\":1,\"M\":[]"), "{frame}");
    let refused = server.get("/signalr/negotiate").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    let resumed = polling.poll("reconnect", "").await;
    assert_eq!((resumed.status, &*resumed.text().await), (503, "The server is shutting down."));
    let mut events = Vec::new();
    let (ws, lp) = (client.id.clone(), polling.id.clone());
    for _ in 0..4 {
        events.push(server.event().await);
    }
    events.sort();
    let mut expected =
        [&ws, &lp].map(|id| [format!("connected {id}"), format!("disconnected {id}")]).concat();
    expected.sort();
    assert_eq!(events, expected);
}

#[tokio::test(start_paused = true)]
async fn a_running_method_ends_before_the_disconnect() {
    let mut server = slow();
    let (client, _socket) = abort_during_a_method(&server).await;
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    let (waited, event) = duration(server.event()).await;
    assert_eq!((waited.as_secs(), event), (99, format!("disconnected {id}")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_returns_waits_for_the_hooks_of_its_end() {
    let mut server = slow();
    let (client, _socket) = abort_during_a_method(&server).await;
    let (waited, mut events) = duration(client.events("reconnect", "")).await;
    assert_eq!(waited.as_secs(), 99);
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    assert_eq!(events.frame().await["M"][0]["M"], "one");
    let id = client.id.clone();
    for text in ["connected", "disconnected", "connected"] {
        assert_eq!(server.event().await, format!("{text} {id}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_old_version_has_no_start() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    let path = client
        .path("connect", "longPolling", "")
        .replace("clientProtocol=2.1", "clientProtocol=1.3");
    let init = server.request("POST", &path, "").await.text().await;
    assert!(init.contains("\"S\":1"), "{init}");
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
}

/// A server with a method that takes 100 s.
fn slow() -> TestServer {
    TestServer::with_hooks(|hub| {
        hub.method("Slow", |(): ()| async {
            time::sleep(Duration::from_secs(100)).await;
            Ok(())
        })
    })
}

/// Ends a connection while its method runs for another 99 s.
async fn abort_during_a_method(server: &TestServer) -> (Client<'_>, Socket) {
    let (client, mut socket) = server.connect().await;
    socket.send(json!({"H": "chathub", "M": "Slow", "A": [], "I": 0})).await;
    time::sleep(Duration::from_secs(1)).await; // on the paused clock
    client.abort().await.text().await;
    (client, socket)
}

#[tokio::test(start_paused = true)]
async fn a_running_stream_or_method_knows_that_its_client_is_gone() {
    for method in ["Endless", "UntilGone"] {
        for is_aborted in [true, false] {
            let mut server = TestServer::start();
            let (client, mut socket) = server.connect().await;
            let id = client.id.clone();
            socket.send(json!({"H": "chathub", "M": method, "A": [], "I": 0})).await;
            if method == "Endless" {
                assert_eq!(socket.receive().await["M"][0]["M"], "begin");
            }
            match is_aborted {
                true => drop(client.abort().await.text().await),
                false => drop(socket),
            }
            assert_eq!(server.event().await, format!("connected {id}"));
            let (waited, event) = duration(server.event()).await;
            let seconds = if is_aborted { 0 } else { 30 };
            assert_eq!((waited.as_secs(), event), (seconds, format!("disconnected {id}")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_connection_end_with_their_requests() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    // Nobody receives the items of a stream.
    let reply = client.send(r#"{"H":"otherhub","M":"Endless","A":[],"I":1}"#).await;
    assert_eq!((reply.status, reply.text().await), (200, r#"{"I":"1"}"#.to_owned()));
    for _ in 0..70 {
        let call = client.send(r#"{"H":"otherhub","M":"UntilGone","A":[],"I":1}"#);
        assert!(time::timeout(Duration::from_millis(1), call).await.is_err());
    }
    let reply = client.send(r#"{"H":"otherhub","M":"Ping","A":[],"I":1}"#).await;
    assert_eq!(reply.text().await, r#"{"R":"other","I":"1"}"#);
}
