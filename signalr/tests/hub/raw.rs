//! Raw connections: bytes without a hub protocol.

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use signalr::{Hub, RawConnection, RawSendError};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    http_client::HttpClient,
    server::{backplane, duration, pipes::Pipes, within},
};

#[tokio::test(start_paused = true)]
async fn a_websocket_carries_text_and_bytes() {
    let server = RawServer::start();
    let mut socket = server.web_socket().await;
    for message in [Message::text("Hello World!"), Message::binary(vec![0, 0xff, 0x1e])] {
        within(socket.send(message.clone())).await.unwrap();
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), message);
    }
    within(socket.close(None)).await.unwrap();
    while within(socket.next()).await.is_some() {}
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn events_carry_text_only() {
    let server = RawServer::start();
    let path = server.negotiate().await;
    let mut events = server.client();
    events.send("GET", &path, &[("accept", "text/event-stream")], "").await;
    assert_eq!(events.receive_head().await.status, 200);
    assert_eq!(events.receive_chunk().await.as_deref(), Some(":\r\n"));
    let mut posts = server.client();
    posts.send("POST", &path, &[], "Hello World!").await;
    assert_eq!(posts.receive().await.status, 200);
    assert_eq!(events.receive_chunk().await.as_deref(), Some("data: Hello World!\r\n\r\n"));
    posts.send("POST", &path, &[], [0xff]).await;
    posts.receive().await;
    // The handler ends, and the response with it.
    assert_eq!(events.receive_chunk().await, None);
    assert_eq!(server.ending().await, Some(RawSendError::TextOnly));
}

#[tokio::test(start_paused = true)]
async fn polls_carry_what_was_sent_until_the_client_leaves() {
    let server = RawServer::start();
    let path = server.negotiate().await;
    let mut client = server.client();
    client.send("GET", &path, &[], "").await;
    assert_eq!(client.receive().await.body, "");
    client.send("POST", &path, &[], "Hello World!").await;
    assert_eq!(client.receive().await.status, 200);
    client.send("GET", &path, &[], "").await;
    assert_eq!(client.receive().await.body, "Hello World!");
    client.send("DELETE", &path, &[], "").await;
    assert_eq!(client.receive().await.status, 202);
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_raw_connections() {
    let server = RawServer::start();
    let mut socket = server.web_socket().await;
    let close = async { within(socket.next()).await.unwrap().unwrap() };
    let (close, ()) = tokio::join!(close, server.hub.shutdown());
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(u16::from(frame.code), 1000);
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_at_the_write_timeout() {
    let server = RawServer::start();
    let mut socket = server.web_socket().await;
    let sent = socket.send(Message::text("x".repeat(500_000)));
    let (time, (_, ())) = duration(async { tokio::join!(sent, server.expect_end()) }).await;
    assert_eq!(time.as_secs(), 10);
}

/// A server that returns all bytes: as text, if they are.
struct RawServer {
    hub: Hub,
    dial: mpsc::UnboundedSender<DuplexStream>,
    endings: tokio::sync::Mutex<mpsc::UnboundedReceiver<Option<RawSendError>>>,
}

impl RawServer {
    fn start() -> Self {
        let hub = Hub::new("Hub", backplane());
        let (ending, endings) = mpsc::unbounded_channel();
        let app: Router = hub.raw_router("/raw", move |connection: RawConnection| {
            let ending = ending.clone();
            async move { _ = ending.send(echo(connection).await.err()) }
        });
        let (dial, calls) = mpsc::unbounded_channel();
        tokio::spawn(signalr::serve(Pipes(calls), app, std::future::pending()));
        Self { hub, dial, endings: endings.into() }
    }

    fn pipe(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        self.dial.send(theirs).unwrap();
        ours
    }

    fn client(&self) -> HttpClient<DuplexStream> {
        HttpClient::new(self.pipe())
    }

    async fn web_socket(&self) -> WebSocketStream<DuplexStream> {
        within(client_async("ws://server/raw", self.pipe())).await.unwrap().0
    }

    /// Negotiates, and returns the path of the connection.
    async fn negotiate(&self) -> String {
        let mut client = self.client();
        client.send("POST", "/raw/negotiate?negotiateVersion=1", &[], "").await;
        let answer: serde_json::Value = serde_json::from_str(&client.receive().await.body).unwrap();
        format!("/raw?id={}", answer["connectionToken"].as_str().unwrap())
    }

    /// Waits for the end of a handler, and returns its error.
    async fn ending(&self) -> Option<RawSendError> {
        within(async { self.endings.lock().await.recv().await }).await.unwrap()
    }

    async fn expect_end(&self) {
        let ending = self.ending().await;
        assert!(matches!(ending, None | Some(RawSendError::Closed)), "{ending:?}");
    }
}

async fn echo(mut connection: RawConnection) -> Result<(), RawSendError> {
    while let Some(bytes) = connection.recv().await {
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => connection.send_text(text).await?,
            Err(_) => connection.send_binary(bytes).await?,
        }
    }
    Ok(())
}
