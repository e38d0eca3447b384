//! Server-Sent Events.

use serde_json::{json, value::RawValue};
use signalr::Hub;
use tokio::{
    sync::mpsc,
    time::{self, Duration},
};

use crate::{
    http_client::{HttpClient, NO_CACHE, PLAIN, Requests},
    server::{TestServer, duration, within},
};

#[tokio::test(start_paused = true)]
async fn the_response_begins_as_in_asp_net_core() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.begin_events().await;
    events.receive_head().await.expect(
        200,
        &[
            "content-type: text/event-stream",
            "cache-control: no-cache,no-store",
            "pragma: no-cache",
            "content-encoding: identity",
            "x-accel-buffering: no",
        ],
        "",
    );
    assert_eq!(events.receive_chunk().await.as_deref(), Some(":\r\n"));
}

#[tokio::test(start_paused = true)]
async fn calls_are_answered_with_events() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    requests.send_messages(&[call("1", "a\nb")]).await;
    let event = "data: {\"type\":3,\"invocationId\":\"1\",\"result\":\"a\\nb\"}\u{1e}\r\n\r\n";
    assert_eq!(events.receive_chunk().await.as_deref(), Some(event));

    server.hub.clients().all().invoke("news", ("b",)).await.unwrap();
    let event = "data: {\"type\":1,\"target\":\"news\",\"arguments\":[\"b\"]}\u{1e}\r\n\r\n";
    assert_eq!(events.receive_chunk().await.as_deref(), Some(event));
}

#[tokio::test(start_paused = true)]
async fn a_line_break_between_raw_arguments_begins_a_data_line() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    let raw = RawValue::from_string("[1,\n2]".to_owned()).unwrap();
    server.hub.clients().all().invoke("raw", (raw,)).await.unwrap();
    let event = events.receive_chunk().await.unwrap();
    let message: String =
        event.trim_end().split("\r\n").map(|line| &line["data: ".len()..]).collect();
    assert_eq!(message, "{\"type\":1,\"target\":\"raw\",\"arguments\":[[1,2]]}\u{1e}");
}

#[tokio::test(start_paused = true)]
async fn other_requests_of_the_connection_are_refused() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    requests.begin_events().await.receive().await.expect(409, &[PLAIN], "");
    let other = "Cannot change transports mid-connection";
    requests.poll().await.expect(400, &[&[PLAIN][..], &NO_CACHE].concat(), other);
    let text = "Cannot terminate this connection using the DELETE endpoint.";
    requests.request("DELETE").await.expect(400, &[PLAIN], text);
    let query = format!("?id={}", requests.token);
    let refusal = server.open(&query, &[]).await.err().unwrap();
    assert_eq!(
        (refusal.status().as_u16(), refusal.body().as_deref()),
        (400, Some(other.as_bytes()))
    );
    requests.post("").await.expect(200, &[PLAIN], "");

    // None of them has ended it.
    server.hub.clients().all().invoke("news", ()).await.unwrap();
    assert!(events.receive_chunk().await.unwrap().contains("news"));
}

#[tokio::test(start_paused = true)]
async fn a_close_message_is_answered_and_ends_the_response() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    requests.send_messages(&[json!({"type": 7})]).await;
    assert_eq!(events.receive_chunk().await.as_deref(), Some("data: {\"type\":7}\u{1e}\r\n\r\n"));
    assert_eq!(events.receive_chunk().await, None);
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
    let text = "No Connection with that ID";
    requests.post("").await.expect(404, &[PLAIN], text);
    requests.begin_events().await.receive().await.expect(404, &[PLAIN], text);
}

#[tokio::test(start_paused = true)]
async fn a_binary_protocol_is_refused() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.events().await;
    requests.post("{\"protocol\":\"messagepack\",\"version\":1}\u{1e}").await;
    let error = "data: {\"error\":\"Cannot use the 'messagepack' protocol on the current transport. \
                 The transport does not support 'Binary' transfer format.\"}\u{1e}\r\n\r\n";
    assert_eq!(events.receive_chunk().await.as_deref(), Some(error));
    assert_eq!(events.receive_chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_session_once() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    let events = requests.connected_events().await;
    drop(events);
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
    server.hub.shutdown().await;
    assert!(endings.try_recv().is_err());
    requests.post("").await.expect(404, &[PLAIN], "No Connection with that ID");
}

#[tokio::test(start_paused = true)]
async fn the_server_pings_every_15_seconds() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    let (waited, ping) = duration(events.receive_chunk()).await;
    assert_eq!(ping.as_deref(), Some("data: {\"type\":6}\u{1e}\r\n\r\n"));
    assert_eq!(waited.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_ends_and_others_do_not() {
    let (server, mut endings) = echo();
    let stuck = Requests::negotiate(&server).await;
    let _stuck_events = stuck.connected_events().await;
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    let text = "x".repeat(16 * 1024);
    for number in 0..200 {
        server.hub.clients().all().invoke("news", (number, &text)).await.unwrap();
        assert!(events.receive_chunk().await.unwrap().contains("news"));
    }
    assert_eq!(within(endings.recv()).await, Some(stuck.connection_id.clone()));
    requests.send_messages(&[call("1", "a")]).await;
    while !events.receive_chunk().await.unwrap().contains("\"result\"") {}
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_clients_to_another_server() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    let mut events = requests.connected_events().await;
    let ((), ()) = tokio::join!(server.hub.shutdown(), async {
        let close = "data: {\"type\":7,\"allowReconnect\":true}\u{1e}\r\n\r\n";
        assert_eq!(events.receive_chunk().await.as_deref(), Some(close));
        assert_eq!(events.receive_chunk().await, None);
    });
    assert!(within(endings.recv()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_handshake_is_closed_after_15_seconds() {
    let server = TestServer::start(|hub| hub);
    let mut events = Requests::negotiate(&server).await.events().await;
    let (waited, event) = duration(events.receive_chunk()).await;
    assert!(event.unwrap().contains("Handshake was canceled."));
    assert_eq!(waited.as_secs(), 15);
    assert_eq!(events.receive_chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn only_a_fresh_token_opens_events() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    time::sleep(Duration::from_secs(15)).await; // on the paused clock
    let text = "No Connection with that ID";
    requests.begin_events().await.receive().await.expect(404, &[PLAIN], text);
    let mut client = HttpClient::new(server.pipe(1024));
    client.send("GET", "/hub", &[("accept", "text/event-stream")], "").await;
    client.receive().await.expect(400, &[PLAIN], "Connection ID required");
}

/// Starts a server with the method `Echo`, which reports the id of each connection that ends.
fn echo() -> (TestServer, mpsc::UnboundedReceiver<String>) {
    let (ending, endings) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub: Hub| {
        hub.method("Echo", |(text,): (String,)| async move { Ok(text) }).on_disconnected(
            move |caller: signalr::Caller| {
                let _ = ending.send(caller.connection_id().to_owned());
                async {}
            },
        )
    });
    (server, endings)
}

fn call(id: &str, text: &str) -> serde_json::Value {
    json!({"type": 1, "invocationId": id, "target": "Echo", "arguments": [text]})
}
