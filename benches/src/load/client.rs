//! One connection of the load: requests and their exact replies.

use std::ops::Range;

use bytes::BytesMut;
use futures_util::future::try_join_all;
use resp::value::Decoder;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{send, within};
use crate::protocol::{Batch, Change, Protocol};
use crate::server::Server;
use crate::tls::Stream;
use crate::{Failure, nats, wire};

/// A client that checks its replies.
pub(super) struct Client {
    stream: Stream,
    protocol: Protocol,
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
        let stream = within("a connection", server.connect()).await?;
        let mut client = Self { stream, protocol: server.protocol(), count: 0 };
        if client.protocol == Protocol::Nats {
            client.greet().await?;
        }
        Ok(client)
    }

    /// Reads the line that a NATS server sends first, and sends the request that must come first.
    async fn greet(&mut self) -> Result<(), Failure> {
        let mut line = Vec::new();
        while !line.ends_with(nats::END_OF_LINE) {
            if within("the first line", self.stream.read_buf(&mut line)).await? == 0 {
                return Err(Failure::Closed);
            }
        }
        self.send(nats::CONNECT).await
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
        client.subscribe([wire::channel(channel)]).await?;
        Ok(client)
    }

    /// Connects and subscribes to patterns.
    pub(super) async fn pattern_subscriber(
        server: &Server,
        patterns: impl IntoIterator<Item = String>,
    ) -> Result<Self, Failure> {
        let mut client = Self::connect(server).await?;
        client.change(Change::PatternSubscribe, patterns).await?;
        Ok(client)
    }

    /// Subscribes to channels with one request each, many in one write.
    pub(super) async fn subscribe(
        &mut self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        self.change(Change::Subscribe, names).await
    }

    /// Unsubscribes with one request each, many in one write.
    pub(super) async fn unsubscribe(
        &mut self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        self.change(Change::Unsubscribe, names).await
    }

    async fn change(
        &mut self,
        change: Change,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let mut names = names.into_iter().peekable();
        while names.peek().is_some() {
            let mut batch = Batch::new(self.protocol);
            for name in names.by_ref().take(BATCH) {
                match change {
                    Change::Unsubscribe => self.count -= 1,
                    Change::Subscribe | Change::PatternSubscribe => self.count += 1,
                }
                batch.change(change, &name, self.count);
            }
            batch.end();
            self.ask(&batch.requests, &batch.replies).await?;
        }
        Ok(())
    }

    /// Sends requests and expects exactly these replies.
    pub(super) async fn ask(&mut self, requests: &[u8], replies: &[u8]) -> Result<(), Failure> {
        self.send(requests).await?;
        self.expect(replies).await
    }

    pub(super) async fn send(&mut self, requests: &[u8]) -> Result<(), Failure> {
        send(&mut self.stream, requests).await
    }

    /// Reads exactly these bytes.
    pub(super) async fn expect(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        within("a reply", expect(&mut self.stream, self.protocol, bytes)).await
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

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }
}

/// Reads exactly these bytes. From a NATS server they are at most one line or message, with any number
/// of its `PING`s before.
pub(super) async fn expect(
    stream: &mut (impl AsyncRead + Unpin),
    protocol: Protocol,
    bytes: &[u8],
) -> Result<(), Failure> {
    let mut found = vec![0; bytes.len()];
    stream.read_exact(&mut found).await?;
    while protocol == Protocol::Nats && found.starts_with(nats::PING) {
        found.drain(..nats::PING.len());
        let read = found.len();
        found.resize(bytes.len(), 0);
        stream.read_exact(&mut found[read..]).await?;
    }
    same(bytes, &found)
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
