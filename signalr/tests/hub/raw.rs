//! Raw connections: bytes without a hub protocol.

use std::{
    future::pending,
    time::{Duration, SystemTime},
};

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use signalr::{AuthError, Hub, Options, RawConnection, RawSendError, User};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    time,
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

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered() {
    let server = RawServer::start();
    let mut socket = server.web_socket().await;
    for payload in ["one", "two"] {
        within(socket.send(Message::Ping(payload.into()))).await.unwrap();
        let pong = within(socket.next()).await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(payload.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_raw_connection_ends_with_its_user() {
    let options = |options: &mut Options| options.close_on_expiry = true;
    let server = RawServer::with(options, |hub| {
        hub.authenticate(|_| async {
            let expiry = SystemTime::now() + Duration::from_secs(5);
            Ok::<_, AuthError>(Some(User::new("ann", ()).with_expiry(expiry)))
        })
    });
    let mut socket = server.web_socket().await;
    expect_close(&mut socket).await;
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_client_is_told_by_the_transport_only() {
    let options = |options: &mut Options| {
        options.message_bytes_max = 16;
        options.frame_bytes_max = 16;
    };
    let server = RawServer::with(options, |hub| hub);
    let mut socket = server.web_socket().await;
    within(socket.send(Message::text("x".repeat(17)))).await.unwrap();
    expect_close(&mut socket).await;
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_read_ends_with_its_connection() {
    let server = RawServer::start_stuck();
    let mut socket = server.web_socket().await;
    // More than the queue takes, so that the close behind it is not read.
    for _ in 0..3 {
        within(socket.send(Message::text("x".repeat(50_000)))).await.unwrap();
    }
    within(socket.close(None)).await.unwrap();
    server.expect_end().await;
    while within(socket.next()).await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_close_is_noticed_behind_bytes_that_the_handler_does_not_read() {
    let server = RawServer::start_feed();
    let mut socket = server.web_socket().await;
    for _ in 0..4 {
        within(socket.send(Message::text("x".repeat(12_000)))).await.unwrap();
    }
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text("tick"));
    let closed = async {
        within(socket.close(None)).await.unwrap();
        while within(socket.next()).await.is_some() {}
    };
    let (time, ()) = duration(closed).await;
    assert_eq!(time.as_secs(), 0, "the close is answered before the handler sends again");
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_before_the_close_reach_a_handler_that_reads_late() {
    let (read, mut all_read) = mpsc::unbounded_channel();
    let hub = Hub::new("Hub", backplane());
    let app = hub.raw_router("/raw", move |mut connection: RawConnection| {
        let read = read.clone();
        async move {
            // Behind the end of the connection.
            while connection.send_text("").await.is_ok() {
                time::sleep(Duration::from_secs(1)).await;
            }
            while let Some(bytes) = connection.recv().await {
                read.send(bytes).unwrap();
            }
        }
    });
    let server = RawServer::serve(hub, app, mpsc::unbounded_channel().1);
    let mut socket = server.web_socket().await;
    for text in ["a", "b"] {
        within(socket.send(Message::text(text))).await.unwrap();
    }
    within(socket.close(None)).await.unwrap();
    while within(socket.next()).await.is_some() {}
    assert_eq!(within(all_read.recv()).await.unwrap(), "ab");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_sends_need_not_read() {
    let server = RawServer::start_feed();
    let mut socket = server.web_socket().await;
    within(socket.send(Message::text("x".repeat(50_000)))).await.unwrap();
    for _ in 0..10 {
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text("tick"));
    }
    drop(socket);
    server.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_is_dropped_behind_its_connection() {
    let server = RawServer::start_stuck();
    let mut socket = server.web_socket().await;
    within(socket.close(None)).await.unwrap();
    while within(socket.next()).await.is_some() {}
    server.expect_end().await;
}

/// Expects a close, and no message before it.
async fn expect_close(socket: &mut WebSocketStream<DuplexStream>) {
    let close = within(socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(u16::from(frame.code), 1000);
    // The answer to it.
    while within(socket.next()).await.is_some() {}
}

/// A server that returns all bytes: as text, if they are.
struct RawServer {
    hub: Hub,
    dial: mpsc::UnboundedSender<DuplexStream>,
    endings: tokio::sync::Mutex<mpsc::UnboundedReceiver<Option<RawSendError>>>,
}

impl RawServer {
    fn start() -> Self {
        Self::with(|_| {}, |hub| hub)
    }

    fn with(set: impl FnOnce(&mut Options), build: impl FnOnce(Hub) -> Hub) -> Self {
        let mut options = Options::default();
        set(&mut options);
        let hub = build(Hub::new("Hub", backplane()).with_options(options));
        let (ending, endings) = mpsc::unbounded_channel();
        let app = hub.raw_router("/raw", move |connection: RawConnection| {
            let ending = ending.clone();
            async move { _ = ending.send(echo(connection).await.err()) }
        });
        Self::serve(hub, app, endings)
    }

    /// Starts a server whose handlers neither read nor end.
    fn start_stuck() -> Self {
        let hub = Hub::new("Hub", backplane());
        let (ending, endings) = mpsc::unbounded_channel();
        let app = hub.raw_router("/raw", move |connection: RawConnection| {
            let held = (connection, Ending(ending.clone()));
            async move {
                let _held = held;
                pending().await
            }
        });
        Self::serve(hub, app, endings)
    }

    /// Starts a server whose handlers send every 9 s and do not read.
    fn start_feed() -> Self {
        let hub = Hub::new("Hub", backplane());
        let (ending, endings) = mpsc::unbounded_channel();
        let app = hub.raw_router("/raw", move |connection: RawConnection| {
            let ending = Ending(ending.clone());
            async move {
                let _ending = ending;
                let mut ticks = time::interval(Duration::from_secs(9));
                while connection.send_text("tick").await.is_ok() {
                    ticks.tick().await;
                }
            }
        });
        Self::serve(hub, app, endings)
    }

    fn serve(
        hub: Hub,
        app: Router,
        endings: mpsc::UnboundedReceiver<Option<RawSendError>>,
    ) -> Self {
        let (dial, calls) = mpsc::unbounded_channel();
        tokio::spawn(signalr::serve(Pipes(calls), app, pending()));
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

/// Tells the end of a handler, also of one that is dropped.
struct Ending(mpsc::UnboundedSender<Option<RawSendError>>);

impl Drop for Ending {
    fn drop(&mut self) {
        _ = self.0.send(None);
    }
}
