//! One connection of the load: requests and their exact replies.

use std::ops::Range;

use bytes::BytesMut;
use futures_util::future::try_join_all;
use resp::value::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;
use crate::Failure;
use crate::server::Server;
use crate::wire;

/// A client that checks its replies.
pub(super) struct Client {
    stream: TcpStream,
    /// The number of subscriptions, which each confirmation holds.
    count: usize,
}

/// Clients that connect or subscribe at the same time. One after the other would mostly measure how
/// a server goes to sleep and wakes up.
pub(super) const AT_A_TIME: usize = 100;
/// The most requests in one write.
const BATCH: usize = 500;

impl Client {
    pub(super) async fn connect(server: &Server) -> Result<Self, Failure> {
        let stream = within("a connection", TcpStream::connect(("127.0.0.1", server.port))).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, count: 0 })
    }

    /// Connects many clients, some at a time, and subscribes each to the channel of its number.
    pub(super) async fn subscribers(
        server: &Server,
        numbers: Range<usize>,
        channel: impl Fn(usize) -> usize,
    ) -> Result<Vec<Self>, Failure> {
        let mut clients = Vec::with_capacity(numbers.len());
        for first in numbers.clone().step_by(AT_A_TIME) {
            let some = first..(first + AT_A_TIME).min(numbers.end);
            let connecting = some.map(|number| Self::subscriber(server, channel(number)));
            clients.extend(try_join_all(connecting).await?);
        }
        Ok(clients)
    }

    /// Connects and subscribes to one channel.
    pub(super) async fn subscriber(server: &Server, channel: usize) -> Result<Self, Failure> {
        let mut client = Self::connect(server).await?;
        client.subscribe("SUBSCRIBE", [wire::channel(channel)]).await?;
        Ok(client)
    }

    /// Connects and subscribes to patterns.
    pub(super) async fn pattern_subscriber(
        server: &Server,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Self, Failure> {
        let mut client = Self::connect(server).await?;
        client.subscribe("PSUBSCRIBE", patterns).await?;
        Ok(client)
    }

    /// Subscribes with one request each, many in one write.
    pub(super) async fn subscribe(
        &mut self,
        command: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        self.change(command, names, |count| count + 1).await
    }

    /// Unsubscribes with one request each, many in one write.
    pub(super) async fn unsubscribe(
        &mut self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        self.change("UNSUBSCRIBE", names, |count| count - 1).await
    }

    async fn change(
        &mut self,
        command: &str,
        names: impl IntoIterator<Item = String>,
        next: impl Fn(usize) -> usize,
    ) -> Result<(), Failure> {
        let kind = command.to_ascii_lowercase();
        let mut names = names.into_iter().peekable();
        while names.peek().is_some() {
            let (mut requests, mut confirmations) = (Vec::new(), Vec::new());
            for name in names.by_ref().take(BATCH) {
                self.count = next(self.count);
                requests.extend(wire::request(&[command, &name]));
                confirmations.extend(wire::confirmation(&kind, &name, self.count));
            }
            self.ask(&requests, &confirmations).await?;
        }
        Ok(())
    }

    /// Sends requests and expects exactly these replies.
    pub(super) async fn ask(&mut self, requests: &[u8], replies: &[u8]) -> Result<(), Failure> {
        self.send(requests).await?;
        self.expect(replies).await
    }

    pub(super) async fn send(&mut self, requests: &[u8]) -> Result<(), Failure> {
        within("a write", self.stream.write_all(requests)).await
    }

    /// Reads exactly these bytes.
    pub(super) async fn expect(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let found = self.read(bytes.len()).await?;
        same(bytes, &found)
    }

    /// Reads `count` bytes.
    pub(super) async fn read(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        let mut found = vec![0; count];
        within("a reply", self.stream.read_exact(&mut found)).await?;
        Ok(found)
    }

    /// Sends a request and returns its reply, a string.
    pub(super) async fn ask_for_text(&mut self, arguments: &[&str]) -> Result<String, Failure> {
        self.send(&wire::request(arguments)).await?;
        let (mut decoder, mut received) = (Decoder::default(), BytesMut::new());
        let reply = loop {
            match decoder.decode(&mut received) {
                Ok(Some(reply)) => break reply,
                Ok(None) => {}
                Err(_) => return Err(no_text(received.to_vec())),
            }
            if within("a reply", self.stream.read_buf(&mut received)).await? == 0 {
                return Err(no_text(received.to_vec()));
            }
        };
        // The connection waits for this reply only, so no bytes of another one are left.
        reply.text().map(str::to_owned).ok_or_else(|| no_text(format!("{reply:?}").into()))
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

fn no_text(found: Vec<u8>) -> Failure {
    Failure::Wrong { expected: b"$".to_vec(), found }
}

/// Compares bytes. The error shows them from the first difference on.
pub(super) fn same(expected: &[u8], found: &[u8]) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let differs = found.iter().zip(expected).position(|(one, other)| one != other).unwrap_or(0);
    let (expected, found) = (expected[differs..].into(), found[differs..].into());
    Err(Failure::Wrong { expected, found })
}
