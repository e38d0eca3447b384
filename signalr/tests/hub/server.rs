// A server in memory and its clients.
//
// The examples in the documentation include this file, so it has no `//!` and names no other
// module.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode},
};
use backplane::Backplane;
use broker::Broker;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signalr::{Hub, Options};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    net::TcpListener,
    sync::mpsc,
    time::{self, Instant},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::CloseFrame},
};
use tower::ServiceExt;

use self::pipes::Pipes;

pub(crate) mod pipes {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/pipes.rs"));
}

/// One server with one hub at `/hub`.
pub(crate) struct TestServer {
    pub(crate) hub: Hub,
    pub(crate) backplane: Backplane,
    router: Router,
    dial: mpsc::UnboundedSender<DuplexStream>,
}

impl TestServer {
    pub(crate) fn start(build: impl FnOnce(Hub) -> Hub) -> Self {
        let backplane = backplane();
        Self::serve(build(Hub::new("Hub", backplane.clone())), backplane)
    }

    /// Serves a hub on its backplane.
    pub(crate) fn serve(hub: Hub, backplane: Backplane) -> Self {
        let router = hub.router("/hub");
        let (dial, calls) = mpsc::unbounded_channel();
        let serve = axum::serve(Pipes(calls), router.clone());
        tokio::spawn(serve.into_future());
        Self { hub, backplane, router, dial }
    }

    pub(crate) fn with_options(
        set: impl FnOnce(&mut Options),
        build: impl FnOnce(Hub) -> Hub,
    ) -> Self {
        let mut options = Options::default();
        set(&mut options);
        Self::start(|hub| build(hub.with_options(options)))
    }

    /// Sends a plain HTTP request.
    pub(crate) async fn request(
        &self,
        request: axum::http::request::Builder,
    ) -> (StatusCode, HeaderMap, String) {
        let request: Request<Body> = request.body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn negotiate(&self) -> Value {
        let (status, _, body) =
            self.request(Request::post("/hub/negotiate?negotiateVersion=1")).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str(&body).unwrap()
    }

    /// Opens a WebSocket, or returns the refusal.
    pub(crate) async fn open(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, Response<Option<Vec<u8>>>> {
        self.open_through(64 * 1024, query, headers).await
    }

    /// Opens a WebSocket over a pipe that holds `pipe_bytes`.
    pub(crate) async fn open_through(
        &self,
        pipe_bytes: usize,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, Response<Option<Vec<u8>>>> {
        let ours = self.pipe(pipe_bytes);
        let mut request = format!("ws://server/hub{query}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match within(client_async(request, ours)).await {
            Ok((socket, _)) => Ok(Client { socket, unread: Vec::new() }),
            Err(tungstenite::Error::Http(response)) => Err(*response),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a pipe to the server that holds `pipe_bytes` in each direction.
    pub(crate) fn pipe(&self, pipe_bytes: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(pipe_bytes);
        self.dial.send(theirs).unwrap();
        ours
    }

    /// Serves the hub on a TCP socket, too, and returns its address.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(signalr::serve(listener, self.router.clone(), std::future::pending()));
        address
    }

    /// Connects without negotiation (`skipNegotiation` in JavaScript).
    pub(crate) async fn connect(&self) -> Client {
        self.connect_with(&[]).await
    }

    pub(crate) async fn connect_with(&self, headers: &[(&'static str, &str)]) -> Client {
        let mut client = self.open("", headers).await.unwrap();
        client.handshake().await;
        client
    }
}

/// A backplane with a broker of its own.
pub(crate) fn backplane() -> Backplane {
    Backplane::embedded(&Broker::new(), "ChatApp")
}

/// A client of the JSON hub protocol.
pub(crate) struct Client {
    socket: WebSocketStream<DuplexStream>,
    unread: Vec<Value>,
}

impl Client {
    pub(crate) async fn handshake(&mut self) {
        self.send(r#"{"protocol":"json","version":1}"#).await;
        assert_eq!(self.receive().await, json!({}));
    }

    /// Sends one hub message.
    pub(crate) async fn send(&mut self, message: impl ToString) {
        self.send_frame(Message::text(format!("{}\u{1e}", message.to_string()))).await;
    }

    pub(crate) async fn send_frame(&mut self, message: Message) {
        within(self.socket.send(message)).await.unwrap();
    }

    /// Sends bytes below the WebSocket.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        within(self.socket.get_mut().write_all(bytes)).await.unwrap();
    }

    /// Calls a method and returns its Completion without `type` and `invocationId`.
    pub(crate) async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let call =
            json!({"type": 1, "invocationId": "7", "target": method, "arguments": arguments});
        self.send(call).await;
        let mut completion = self.receive().await;
        let fields = completion.as_object_mut().unwrap();
        assert_eq!(fields.remove("type"), Some(json!(3)), "{fields:?}");
        assert_eq!(fields.remove("invocationId"), Some(json!("7")));
        completion
    }

    /// Waits for the next hub message.
    pub(crate) async fn receive(&mut self) -> Value {
        while self.unread.is_empty() {
            match self.next().await {
                Some(Message::Text(text)) => self.unread = whole_messages(&text),
                other => panic!("expected a hub message, found {other:?}"),
            }
        }
        self.unread.remove(0)
    }

    /// Waits for the next frame of hub messages.
    pub(crate) async fn receive_frame(&mut self) -> String {
        assert_eq!(self.unread, [] as [Value; 0]);
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected hub messages, found {other:?}"),
        }
    }

    /// Waits for the next frame of binary hub messages.
    pub(crate) async fn receive_binary(&mut self) -> Vec<u8> {
        match self.next().await {
            Some(Message::Binary(bytes)) => bytes.to_vec(),
            other => panic!("expected binary hub messages, found {other:?}"),
        }
    }

    /// Waits for the next hub message, except pings.
    pub(crate) async fn receive_past_pings(&mut self) -> Value {
        within(async {
            loop {
                let message = self.receive().await;
                if message != json!({"type": 6}) {
                    return message;
                }
            }
        })
        .await
    }

    /// Waits for the server's close frame and returns its code.
    pub(crate) async fn receive_close(&mut self) -> u16 {
        assert_eq!(self.unread, [] as [Value; 0]);
        match self.next().await {
            Some(Message::Close(Some(CloseFrame { code, .. }))) => code.into(),
            other => panic!("expected a close frame, found {other:?}"),
        }
    }

    /// Waits for the end of the connection and drops all messages.
    pub(crate) async fn wait_for_end(mut self) {
        within(async { while self.next().await.is_some() {} }).await;
    }

    /// Waits for the next frame, except pongs.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match within(self.socket.next()).await.and_then(Result::ok) {
                Some(Message::Pong(_)) => {}
                next => return next,
            }
        }
    }
}

/// Waits for a future, at most for a time that is longer than every timeout of the server.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    time::timeout(TIMEOUT, future).await.expect("the server does this in time")
}

/// Returns how long a future takes on tokio's clock.
pub(crate) async fn duration<T>(of: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let done = of.await;
    (start.elapsed(), done)
}

fn whole_messages(text: &str) -> Vec<Value> {
    let messages = text.strip_suffix('\u{1e}').expect("frames hold whole messages");
    messages.split('\u{1e}').map(|message| serde_json::from_str(message).unwrap()).collect()
}

/// Most tests pause the clock.
const TIMEOUT: Duration = Duration::from_secs(300);
