//! A small HTTP/1.1 client that shows all headers and chunks.

use std::fmt::Write;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::server::{TestServer, within};

/// One HTTP connection. Each request of the tests has its own.
pub(crate) struct HttpClient<S> {
    stream: S,
    unread: Vec<u8>,
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// All headers but `date`, sorted, in the form `name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpClient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a request with a whole body.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) {
        let body = body.as_ref();
        let mut request = head(method, path, headers);
        if method == "POST" {
            write!(request, "content-length: {}\r\n", body.len()).unwrap();
        }
        request.push_str("\r\n");
        self.send_bytes(&[request.as_bytes(), body].concat()).await;
    }

    /// Waits for a whole response.
    pub(crate) async fn receive(&mut self) -> Reply {
        let mut reply = self.receive_head().await;
        let length =
            reply.headers.iter().find_map(|header| header.strip_prefix("content-length: "));
        reply.body = match length {
            Some(length) => self.receive_bytes(length.parse().unwrap()).await,
            None if reply.headers.contains(&"transfer-encoding: chunked".to_owned()) => {
                let mut body = String::new();
                while let Some(chunk) = self.receive_chunk().await {
                    body.push_str(&chunk);
                }
                body
            }
            None => String::new(),
        };
        reply
    }

    /// Waits for the head of a response.
    pub(crate) async fn receive_head(&mut self) -> Reply {
        let head = self.receive_until(b"\r\n\r\n").await;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: Vec<String> =
            lines.filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
        headers.sort();
        Reply { status, headers, body: String::new() }
    }

    /// Waits for the next chunk of a body, or returns `None` at its end.
    pub(crate) async fn receive_chunk(&mut self) -> Option<String> {
        let length = self.receive_until(b"\r\n").await;
        let length = usize::from_str_radix(length.trim_end(), 16).unwrap();
        let chunk = self.receive_bytes(length).await;
        assert_eq!(self.receive_bytes(2).await, "\r\n");
        (length > 0).then_some(chunk)
    }

    async fn receive_until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|bytes| bytes == end) {
                return self.receive_bytes(at + end.len()).await;
            }
            assert!(self.fill().await, "the response breaks off: {:?}", self.unread);
        }
    }

    async fn receive_bytes(&mut self, bytes: usize) -> String {
        while self.unread.len() < bytes {
            assert!(self.fill().await, "the response breaks off: {:?}", self.unread);
        }
        String::from_utf8(self.unread.drain(..bytes).collect()).unwrap()
    }

    async fn fill(&mut self) -> bool {
        within(self.stream.read_buf(&mut self.unread)).await.is_ok_and(|bytes| bytes > 0)
    }
}

/// Returns the head of a request without its last line.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: server\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}

impl Reply {
    /// Checks status, headers and body. Headers of HTTP itself and of CORS are not in `headers`.
    pub(crate) fn expect(&self, status: u16, headers: &[&str], body: &str) {
        const OTHERS: [&str; 5] =
            ["access-control-", "connection:", "content-length:", "transfer-encoding:", "vary:"];
        let mut found: Vec<&str> = self.headers.iter().map(|header| &**header).collect();
        found.retain(|header| !OTHERS.iter().any(|other| header.starts_with(other)));
        let mut expected = headers.to_vec();
        expected.sort_unstable();
        assert_eq!((self.status, &*self.body, found), (status, body, expected));
    }
}

/// The requests of one negotiated connection, each on an HTTP connection of its own.
pub(crate) struct Requests<'a> {
    pub(crate) server: &'a TestServer,
    pub(crate) connection_id: String,
    pub(crate) token: String,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Requests<'a> {
    pub(crate) async fn negotiate(server: &'a TestServer) -> Self {
        let negotiated = server.negotiate().await;
        let text = |name: &str| negotiated[name].as_str().unwrap().to_owned();
        let (connection_id, token) = (text("connectionId"), text("connectionToken"));
        Self { server, connection_id, token, headers: Vec::new() }
    }

    /// Negotiates at a path with a query of its own.
    pub(crate) async fn negotiate_at(server: &'a TestServer, path: &str) -> Self {
        let (_, _, body) = server.request(axum::http::Request::post(path)).await;
        let negotiated: Value = serde_json::from_str(&body).unwrap();
        let text = |name: &str| negotiated[name].as_str().unwrap().to_owned();
        let (connection_id, token) = (text("connectionId"), text("connectionToken"));
        Self { server, connection_id, token, headers: Vec::new() }
    }

    pub(crate) fn path(&self) -> String {
        format!("/hub?id={}", self.token)
    }

    /// Sends a request and returns its HTTP connection.
    pub(crate) async fn send(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> HttpClient<DuplexStream> {
        let mut client = HttpClient::new(self.server.pipe(PIPE_BYTES));
        let headers = [&self.headers[..], headers].concat();
        client.send(method, &self.path(), &headers, body).await;
        client
    }

    pub(crate) async fn request(&self, method: &str) -> Reply {
        self.send(method, &[], "").await.receive().await
    }

    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Reply {
        let content_type = ("content-type", "text/plain;charset=UTF-8");
        self.send("POST", &[content_type], body).await.receive().await
    }

    /// Sends hub messages and checks the answer.
    pub(crate) async fn send_messages(&self, messages: &[Value]) {
        self.post(frames(messages)).await.expect(200, &[PLAIN], "");
    }

    /// Begins a poll.
    pub(crate) async fn begin_poll(&self) -> HttpClient<DuplexStream> {
        self.send("GET", &[], "").await
    }

    pub(crate) async fn poll(&self) -> Reply {
        self.begin_poll().await.receive().await
    }

    /// Polls and returns the hub messages.
    pub(crate) async fn poll_messages(&self) -> String {
        let reply = self.poll().await;
        reply.expect(200, &[&[OCTETS][..], &NO_CACHE].concat(), &reply.body);
        reply.body
    }

    /// Opens Server-Sent Events and returns the answer.
    pub(crate) async fn begin_events(&self) -> HttpClient<DuplexStream> {
        self.send("GET", &[("accept", "text/event-stream")], "").await
    }

    /// Opens Server-Sent Events and skips the comment.
    pub(crate) async fn events(&self) -> HttpClient<DuplexStream> {
        let mut events = self.begin_events().await;
        assert_eq!(events.receive_head().await.status, 200);
        assert_eq!(events.receive_chunk().await.as_deref(), Some(":\r\n"));
        events
    }

    /// Opens Server-Sent Events with a handshake.
    pub(crate) async fn connected_events(&self) -> HttpClient<DuplexStream> {
        let mut events = self.events().await;
        self.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
        assert_eq!(events.receive_chunk().await.as_deref(), Some("data: {}\u{1e}\r\n\r\n"));
        events
    }

    /// Opens long polling with a handshake.
    pub(crate) async fn connect_polling(&self) {
        assert_eq!(self.poll_messages().await, "");
        self.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
        assert_eq!(self.poll_messages().await, "{}\u{1e}");
    }
}

/// Returns hub messages with their separators.
pub(crate) fn frames(messages: &[Value]) -> String {
    messages.iter().map(|message| format!("{message}\u{1e}")).collect()
}

pub(crate) const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
pub(crate) const PLAIN: &str = "content-type: text/plain";
pub(crate) const OCTETS: &str = "content-type: application/octet-stream";
/// The headers of all responses to polls.
pub(crate) const NO_CACHE: [&str; 3] = [
    "cache-control: no-cache, no-store",
    "expires: Thu, 01 Jan 1970 00:00:00 GMT",
    "pragma: no-cache",
];
const PIPE_BYTES: usize = 64 * 1024;
