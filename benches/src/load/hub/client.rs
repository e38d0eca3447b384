//! One WebSocket client: its start, and the frames that it receives.

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;
use crate::load::client::AT_A_TIME;
use crate::load::within;
use crate::server::Server;
use crate::subprotocol::{Call, Step, Subprotocol};
use crate::websocket::{self, Frame};

/// A client whose start is complete.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Received bytes that no frame has used.
    pub(super) received: Vec<u8>,
}

impl Client {
    /// Opens a WebSocket without a negotiation, and does the handshake.
    pub(super) async fn start(
        server: &Server,
        subprotocol: Subprotocol,
        call: Call,
    ) -> Result<Self, Failure> {
        Self::start_at(server, subprotocol, subprotocol.path(call)).await
    }

    /// Does a full start. SignalR's begins with a negotiation on a connection of its own, as browsers
    /// have it.
    pub(super) async fn start_in_full(
        server: &Server,
        subprotocol: Subprotocol,
    ) -> Result<Self, Failure> {
        let path = subprotocol.path(Call::Send);
        if subprotocol != Subprotocol::SignalR {
            return Self::start_at(server, subprotocol, path).await;
        }
        let token = negotiate(server, path).await?;
        Self::start_at(server, subprotocol, &format!("{path}?id={token}")).await
    }

    async fn start_at(
        server: &Server,
        subprotocol: Subprotocol,
        path: &str,
    ) -> Result<Self, Failure> {
        let mut client = Self { stream: connect(server).await?, received: Vec::new() };
        client.write(websocket::upgrade(path, server.port).as_bytes()).await?;
        let head = client.head().await?;
        if !websocket::is_accepted(&head) {
            return Err(wrong("HTTP/1.1 101", head.as_bytes()));
        }
        for step in subprotocol.start() {
            match step {
                Step::Send(text) => client.send(text.as_bytes()).await?,
                Step::Expect(text) => client.expect(text).await?,
            }
        }
        Ok(client)
    }

    /// Starts many clients, some at a time.
    pub(super) async fn start_many(
        server: &Server,
        subprotocol: Subprotocol,
        call: Call,
        count: usize,
    ) -> Result<Vec<Self>, Failure> {
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            let some = 0..AT_A_TIME.min(count - clients.len());
            let starting = some.map(|_| Self::start(server, subprotocol, call));
            clients.extend(try_join_all(starting).await?);
        }
        Ok(clients)
    }

    /// Sends a message in a frame of its own.
    async fn send(&mut self, text: &[u8]) -> Result<(), Failure> {
        let mut frame = Vec::new();
        websocket::encode_masked(&mut frame, text);
        self.write(&frame).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        within("a write", self.stream.write_all(bytes)).await
    }

    /// Reads a frame that begins with this text.
    async fn expect(&mut self, text: &str) -> Result<(), Failure> {
        loop {
            if let Some(Frame { payload, .. }) = websocket::decode(&self.received)? {
                let found = &self.received[payload.clone()];
                if !found.starts_with(text.as_bytes()) {
                    return Err(wrong(text, found));
                }
                self.received.drain(..payload.end);
                return Ok(());
            }
            self.read("a handshake").await?;
        }
    }

    /// Reads the head of a response.
    async fn head(&mut self) -> Result<String, Failure> {
        loop {
            let end = self.received.windows(4).position(|window| window == websocket::HEAD_END);
            if let Some(end) = end {
                let head = self.received.drain(..end + 4).collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.read("the head of a response").await?;
        }
    }

    async fn read(&mut self, name: &'static str) -> Result<(), Failure> {
        match within(name, self.stream.read_buf(&mut self.received)).await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }
}

async fn connect(server: &Server) -> Result<TcpStream, Failure> {
    within("a connection", server.connect_plain()).await
}

/// Negotiates and returns the token of the connection.
async fn negotiate(server: &Server, path: &str) -> Result<String, Failure> {
    let mut stream = connect(server).await?;
    let request = format!(
        "POST {path}/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n",
        server.port
    );
    within("a write", stream.write_all(request.as_bytes())).await?;
    let mut response = String::new();
    within("a negotiation", stream.read_to_string(&mut response)).await?;
    let token = response.split_once(TOKEN).and_then(|(_, rest)| rest.split_once('"'));
    let token = token.ok_or_else(|| wrong(TOKEN, response.as_bytes()))?;
    Ok(token.0.to_owned())
}

/// The text before the token in a negotiation.
const TOKEN: &str = r#""connectionToken":""#;

fn wrong(expected: &str, found: &[u8]) -> Failure {
    Failure::Wrong { expected: expected.as_bytes().to_vec(), found: found.to_vec() }
}
