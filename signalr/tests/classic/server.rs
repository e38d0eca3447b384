//! A server in memory, and its clients: requests by hand, and WebSockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use signalr::{Caller, Cancelled, Classic, Hub, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{Notify, mpsc},
    time::{self, Instant},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::pipes::Pipes;

/// One server with its hubs at `/signalr`.
pub(crate) struct TestServer {
    pub(crate) hub: Hub,
    pub(crate) broker: Broker,
    pub(crate) backplane: Backplane,
    /// Ends the method `AfterSignal`.
    pub(crate) signal: Arc<Notify>,
    dial: mpsc::UnboundedSender<DuplexStream>,
    events: mpsc::UnboundedReceiver<String>,
}

impl TestServer {
    /// Starts a server with the methods of the recorded one.
    pub(crate) fn start() -> Self {
        Self::with(|hub| hub, |classic| classic)
    }

    pub(crate) fn with(
        build: impl FnOnce(Hub) -> Hub,
        set: impl FnOnce(Classic) -> Classic,
    ) -> Self {
        Self::on(&Broker::new(), build, set)
    }

    /// Starts servers on one broker, and waits until each lists all of them.
    pub(crate) async fn farm<const N: usize>() -> [Self; N] {
        let broker = Broker::new();
        let servers = [(); N].map(|()| Self::on(&broker, |hub| hub, |classic| classic));
        within(async {
            while servers.iter().any(|server| server.backplane.servers().len() < N) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        servers
    }

    fn on(
        broker: &Broker,
        build: impl FnOnce(Hub) -> Hub,
        set: impl FnOnce(Classic) -> Classic,
    ) -> Self {
        let builder = Backplane::builder("ChatApp").server_channel(true);
        let backplane = builder.embedded(broker).unwrap();
        let (event, events) = mpsc::unbounded_channel();
        let signal = Arc::new(Notify::new());
        let of_method = signal.clone();
        let hub = Hub::new("ChatHub", backplane.clone()).method("AfterSignal", move |(): ()| {
            let signal = of_method.clone();
            async move {
                signal.notified().await;
                Ok(())
            }
        });
        let hub = build(chat(patient(hub), event));
        let other = patient(Hub::new("OtherHub", backplane.clone())).method(
            "Ping",
            |caller: Caller, ()| async move {
                caller.clients().all().invoke("pong", ()).await?;
                Ok("other")
            },
        );
        let classic = set(Classic::new().hub(&hub).hub(&other));
        let (dial, calls) = mpsc::unbounded_channel();
        let app = classic.mount(Router::new(), "/signalr");
        tokio::spawn(axum::serve(Pipes(calls), app).into_future());
        Self { hub, broker: broker.clone(), backplane, signal, dial, events }
    }

    pub(crate) fn with_hooks(build: impl FnOnce(Hub) -> Hub) -> Self {
        Self::with(build, |classic| classic)
    }

    /// Returns the next event of the hub's hooks.
    pub(crate) async fn event(&mut self) -> String {
        within(self.events.recv()).await.unwrap()
    }

    /// Returns an event of the hub's hooks, if there is one.
    pub(crate) fn next_event(&mut self) -> Option<String> {
        self.events.try_recv().ok()
    }

    /// Returns whether no event is left.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    fn dial(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1024 * 1024);
        self.dial.send(theirs).unwrap();
        ours
    }

    /// Sends a request and returns its response, whose body may be endless.
    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> Response {
        self.request_with(method, path, "", body).await
    }

    /// Sends a request with further headers, each with its line break.
    pub(crate) async fn request_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Response {
        let mut socket = self.dial();
        let length = match method {
            "GET" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: server\r\n{headers}{length}\r\n");
        within(socket.write_all(head.as_bytes())).await.unwrap();
        // A server may refuse a body before its end.
        let _ = within(socket.write_all(body.as_bytes())).await;
        Response::read(socket).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path, "").await
    }

    /// Sends raw bytes and leaves the connection open.
    pub(crate) async fn raw(&self, bytes: &str) -> DuplexStream {
        let mut socket = self.dial();
        within(socket.write_all(bytes.as_bytes())).await.unwrap();
        socket
    }

    /// Negotiates a connection.
    pub(crate) async fn negotiate(&self) -> Client<'_> {
        self.negotiate_for("[{\"name\":\"chathub\"}]", "").await
    }

    pub(crate) async fn negotiate_for(&self, data: &str, query: &str) -> Client<'_> {
        let data = encode(data);
        let path =
            format!("/signalr/negotiate?clientProtocol=2.1{query}&connectionData={data}&_=1");
        let body = self.get(&path).await.text().await;
        let negotiated: Value = serde_json::from_str(&body).unwrap();
        let text = |name: &str| negotiated[name].as_str().unwrap().to_owned();
        let (token, id) = (text("ConnectionToken"), text("ConnectionId"));
        let query =
            format!("clientProtocol=2.1{query}&connectionToken={token}&connectionData={data}");
        Client { server: self, token, id, query }
    }

    /// Starts a connection over a WebSocket.
    pub(crate) async fn connect(&self) -> (Client<'_>, Socket) {
        let client = self.negotiate().await;
        let mut socket = client.open("connect", "").await;
        let init = socket.receive().await;
        assert_eq!((&init["S"], &init["M"]), (&json!(1), &json!([])), "{init}");
        client.start("webSockets").await;
        (client, socket)
    }
}

/// A negotiated client.
pub(crate) struct Client<'a> {
    server: &'a TestServer,
    pub(crate) token: String,
    pub(crate) id: String,
    query: String,
}

impl Client<'_> {
    /// Returns the same client, whose requests go to another server.
    pub(crate) fn at<'a>(&self, server: &'a TestServer) -> Client<'a> {
        let Self { token, id, query, .. } = self;
        Client { server, token: token.clone(), id: id.clone(), query: query.clone() }
    }

    /// Returns the path of an endpoint with the parameters of the client.
    pub(crate) fn path(&self, endpoint: &str, transport: &str, more: &str) -> String {
        format!("/signalr/{endpoint}?transport={transport}&{}{more}", self.query)
    }

    /// Opens a WebSocket.
    pub(crate) async fn open(&self, endpoint: &str, more: &str) -> Socket {
        let url = format!("ws://server{}", self.path(endpoint, "webSockets", more));
        let request = url.into_client_request().unwrap();
        let (socket, _) = within(client_async(request, self.server.dial())).await.unwrap();
        Socket { socket }
    }

    pub(crate) async fn start(&self, transport: &str) {
        let started = self.server.get(&self.path("start", transport, "")).await;
        assert_eq!(started.text().await, "{ \"Response\": \"started\" }");
    }

    /// Opens Server-Sent Events.
    pub(crate) async fn events(&self, endpoint: &str, more: &str) -> Response {
        let path = self.path(endpoint, "serverSentEvents", more);
        let mut events = self.server.get(&path).await;
        assert_eq!(events.header("content-type"), "text/event-stream");
        assert_eq!(events.event().await, "initialized");
        events
    }

    pub(crate) async fn poll(&self, endpoint: &str, form: &str) -> Response {
        let path = self.path(endpoint, "longPolling", "");
        self.server.request("POST", &path, form).await
    }

    /// Starts a connection with long polling, and returns its first cursor.
    pub(crate) async fn connect_polling(&self) -> String {
        let init: Value =
            serde_json::from_str(&self.poll("connect", "").await.text().await).unwrap();
        assert_eq!((&init["S"], &init["M"]), (&json!(1), &json!([])), "{init}");
        self.start("longPolling").await;
        init["C"].as_str().unwrap().to_owned()
    }

    /// Sends a call, and returns the response.
    pub(crate) async fn send(&self, call: &str) -> Response {
        let path = self.path("send", "serverSentEvents", "");
        self.server.request("POST", &path, &format!("data={}", encode(call))).await
    }

    /// Calls a method of the chat, and returns the reply.
    pub(crate) async fn call(&self, method: &str, arguments: Value) -> Value {
        let call = json!({"H": "chathub", "M": method, "A": arguments, "I": 0});
        serde_json::from_str(&self.send(&call.to_string()).await.text().await).unwrap()
    }

    pub(crate) async fn abort(&self) -> Response {
        self.server.request("POST", &self.path("abort", "webSockets", ""), "").await
    }
}

/// A response with a body that is read in pieces.
pub(crate) struct Response {
    socket: DuplexStream,
    pub(crate) status: u16,
    head: String,
    unread: Vec<u8>,
    /// The body so far.
    body: Vec<u8>,
    left: Option<usize>,
    is_over: bool,
}

impl Response {
    async fn read(mut socket: DuplexStream) -> Self {
        let mut unread = Vec::new();
        let end = loop {
            if let Some(end) = find(&unread, b"\r\n\r\n") {
                break end;
            }
            assert!(more(&mut socket, &mut unread).await, "no response: {unread:?}");
        };
        let head = String::from_utf8(unread.drain(..end + 4).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response =
            Self { socket, status, head, unread, body: Vec::new(), left: None, is_over: false };
        let length = response.header("content-length");
        response.left = (!length.is_empty()).then(|| length.parse().unwrap());
        response
    }

    /// Returns a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |it| it.1)
    }

    /// Reads the next piece of the body. Returns false at its end.
    async fn piece(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        loop {
            if let Some(left) = self.left {
                let taken: Vec<u8> = self.unread.drain(..self.unread.len().min(left)).collect();
                self.left = Some(left - taken.len());
                self.is_over = left == taken.len();
                self.body.extend(&taken);
                if !taken.is_empty() || self.is_over {
                    return true;
                }
            } else if let Some(end) = find(&self.unread, b"\r\n") {
                let size = std::str::from_utf8(&self.unread[..end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if self.unread.len() >= end + 2 + size + 2 {
                    let chunk: Vec<u8> = self.unread.drain(..end + 2 + size + 2).collect();
                    self.body.extend(&chunk[end + 2..end + 2 + size]);
                    self.is_over = size == 0;
                    return !self.is_over;
                }
            }
            if !more(&mut self.socket, &mut self.unread).await {
                self.is_over = true;
                return false;
            }
        }
    }

    /// Returns the rest of the body.
    pub(crate) async fn text(mut self) -> String {
        while self.piece().await {}
        String::from_utf8(self.body).unwrap()
    }

    /// Returns the data of the next event.
    pub(crate) async fn event(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.body, b"\n\n") {
                let event: Vec<u8> = self.body.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                return event.strip_prefix("data: ").unwrap().trim_end().to_owned();
            }
            assert!(self.piece().await, "the stream has ended");
        }
    }

    /// Returns the next event that is no keep-alive, as JSON.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            let event = self.event().await;
            if event != "{}" {
                return serde_json::from_str(&event).unwrap();
            }
        }
    }

    /// Waits until the body has the text, and returns the body.
    pub(crate) async fn wait_for(&mut self, text: &str) -> String {
        while find(&self.body, text.as_bytes()).is_none() {
            assert!(self.piece().await, "{}", String::from_utf8_lossy(&self.body));
        }
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A client's WebSocket.
pub(crate) struct Socket {
    socket: WebSocketStream<DuplexStream>,
}

impl Socket {
    pub(crate) async fn send(&mut self, text: impl ToString) {
        within(self.socket.send(Message::text(text.to_string()))).await.unwrap();
    }

    /// Waits for the next text. Returns `None` at the end.
    pub(crate) async fn text(&mut self) -> Option<String> {
        match within(self.socket.next()).await {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            other => panic!("expected a text, found {other:?}"),
        }
    }

    /// Waits for the reply to a ping.
    pub(crate) async fn is_alive(&mut self) {
        within(self.socket.send(Message::Ping("x".into()))).await.unwrap();
        while !matches!(within(self.socket.next()).await, Some(Ok(Message::Pong(_)))) {}
    }

    /// Sends a close frame or another one, and returns the code of the close frame that follows.
    pub(crate) async fn closed_by(&mut self, message: Message) -> Option<u16> {
        within(self.socket.send(message)).await.unwrap();
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits for the next frame, except keep-alives.
    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            let text = self.text().await.expect("a frame");
            if text != "{}" {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Calls a method of the chat, and returns the reply. Messages before it are returned as well.
    pub(crate) async fn call(&mut self, method: &str, arguments: Value) -> (Vec<Value>, Value) {
        self.send(json!({"H": "chathub", "M": method, "A": arguments, "I": 7})).await;
        let mut messages = Vec::new();
        loop {
            let frame = self.receive().await;
            if frame.get("I").is_some() {
                return (messages, frame);
            }
            messages.extend(frame["M"].as_array().unwrap().iter().cloned());
        }
    }
}

/// The hub of the recorded server, with hooks that report to the test.
fn chat(hub: Hub, event: mpsc::UnboundedSender<String>) -> Hub {
    let (connected, disconnected) = (event.clone(), event);
    let report = |event: &mpsc::UnboundedSender<String>, text: &str, caller: &Caller| {
        let _ = event.send(format!("{text} {}", caller.connection_id()));
    };
    hub.user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
        .with_options({
            let mut options = Options::default();
            options.detailed_errors = true;
            options
        })
        .on_connected(move |caller: Caller| {
            report(&connected, "connected", &caller);
            async { Ok(()) }
        })
        .on_disconnected(move |caller: Caller| {
            report(&disconnected, "disconnected", &caller);
            async {}
        })
        .method("Send", |caller: Caller, (name, message): (String, String)| async move {
            Ok(caller.clients().all().invoke("broadcastMessage", (name, message)).await?)
        })
        .method("SendToOthers", |caller: Caller, (name, message): (String, String)| async move {
            Ok(caller.clients().others().invoke("broadcastMessage", (name, message)).await?)
        })
        .method("JoinRoom", |caller: Caller, (room,): (String,)| async move {
            Ok(caller.groups().add(&room).await?)
        })
        .method("LeaveRoom", |caller: Caller, (room,): (String,)| async move {
            Ok(caller.groups().remove(&room).await?)
        })
        .method("SendToRoom", |caller: Caller, (room, name): (String, String)| async move {
            Ok(caller.clients().group(&*room).invoke("roomMessage", (&room, name)).await?)
        })
        .method("SendToUser", |caller: Caller, (user, name): (String, String)| async move {
            Ok(caller.clients().user(user).invoke("broadcastMessage", (name,)).await?)
        })
        .method("WhoAmI", |caller: Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
        .method("Add", |_: Caller, (a, b): (i32, i32)| async move { Ok(a + b) })
        .method("Fail", |(): ()| async { Ok("x".parse::<i32>()?) })
        .method("Refuse", |(): ()| async { Err::<(), _>(signalr::HubError::new("no")) })
        .method("RefuseWith", |(data,): (Value,)| async move {
            Err::<(), _>(signalr::HubError::new("no").with_data(data)?)
        })
        .method("Kick", |caller: Caller, ()| async move {
            caller.clients().caller().invoke("last", ()).await?;
            caller.abort();
            Ok(())
        })
        .stream("Steps", |caller: Caller, (count,): (u32,)| async move {
            caller.clients().caller().invoke("begin", ()).await?;
            Ok(stream::iter((0..count).map(Ok)))
        })
        .stream("Break", |(): ()| async {
            Ok(stream::iter([Ok(0), Err(signalr::HubError::new("no more"))]))
        })
        .method("Count", |caller: Caller, ()| async move {
            let count = caller.state().get::<u32>("count").unwrap_or_default() + 1;
            caller.state().set("count", count)?;
            Ok(count)
        })
}

/// Adds methods that run until their client is gone.
fn patient(hub: Hub) -> Hub {
    hub.stream("Endless", |caller: Caller, ()| async move {
        caller.clients().caller().invoke("begin", ()).await?;
        Ok(stream::pending::<Result<u32, signalr::HubError>>())
    })
    .method("UntilGone", |Cancelled(token): Cancelled, (): ()| async move {
        token.cancelled().await;
        Ok(())
    })
}

/// Encodes a text for a query or a form.
pub(crate) fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
    let encoded = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
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

async fn more(socket: &mut DuplexStream, unread: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    match within(socket.read(&mut bytes)).await {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            unread.extend_from_slice(&bytes[..count]);
            true
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Most tests pause the clock.
const TIMEOUT: Duration = Duration::from_secs(300);
