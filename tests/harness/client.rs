//! A Redis client that hides nothing: it sends the given bytes and returns all that the server
//! sends.
//!
//! It does not interpret commands, subscriptions or errors; a pushed message is a reply like any
//! other. Every read has a deadline.
//!
//! It decodes replies with `redis-protocol` on purpose: crate `resp` encodes the broker's replies, and
//! a decoder of the same crate would not find its mistakes. Crate `resp` encodes the requests, which
//! `redis-server` accepts in the parity tests.

use bytes::{Bytes, BytesMut};
use redis_protocol::{resp2, resp3};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::array;
use crate::reply::{Reply, Value};
use crate::wait::{DEADLINE, within};

/// One connection to a server.
#[derive(Debug)]
pub struct Client {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    received: BytesMut,
    protocol: Protocol,
}

/// How replies are decoded. The test itself sends `HELLO` to switch the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of a new connection.
    Resp2,
    /// The protocol after `HELLO 3`.
    Resp3,
}

impl Client {
    /// Connects to a server on the loopback interface.
    ///
    /// # Panics
    ///
    /// When the connection fails.
    pub async fn connect(port: u16) -> Self {
        let stream = within(DEADLINE, TcpStream::connect(("127.0.0.1", port))).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {port}: {error}"));
        stream.set_nodelay(true).expect("a TCP socket has this option");
        let (reader, writer) = stream.into_split();
        Self { reader, writer, received: BytesMut::new(), protocol: Protocol::Resp2 }
    }

    /// Decodes all further replies as this protocol version.
    pub fn decode_as(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Sends a command and returns the next reply.
    ///
    /// # Panics
    ///
    /// When the server closes, or does not answer within the deadline.
    pub async fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.send(arguments).await;
        self.read_reply().await
    }

    /// Sends a command.
    ///
    /// # Panics
    ///
    /// When the server has closed, or does not read within the deadline.
    pub async fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        self.send_raw(&request(arguments)).await;
    }

    /// Sends these bytes as they are.
    ///
    /// # Panics
    ///
    /// When the server has closed, or does not read within the deadline.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let written = within(DEADLINE, self.writer.write_all(bytes)).await;
        written.unwrap_or_else(|error| panic!("the server does not read: {error}"));
    }

    /// Sends these bytes repeatedly, without reading, until the server has closed.
    ///
    /// # Panics
    ///
    /// When the server does not close within six deadlines.
    pub async fn send_until_closed(&mut self, bytes: &[u8]) {
        let Self { writer, .. } = self;
        within(6 * DEADLINE, async { while writer.write_all(bytes).await.is_ok() {} }).await;
    }

    /// Sends these bytes and reads that many replies at the same time, so neither side blocks the
    /// other.
    ///
    /// # Panics
    ///
    /// When the server closes, or does not answer within six deadlines.
    pub async fn pipeline(&mut self, bytes: &[u8], count: usize) -> Vec<Reply> {
        let Self { reader, writer, received, protocol } = self;
        let read = async {
            let mut replies = Vec::with_capacity(count);
            while replies.len() < count {
                let reply = read_reply(reader, received, *protocol).await;
                replies.push(reply.unwrap_or_else(|| panic!("closed after {}", replies.len())));
            }
            replies
        };
        let (written, replies) =
            within(6 * DEADLINE, async { tokio::join!(writer.write_all(bytes), read) }).await;
        written.unwrap_or_else(|error| panic!("the server does not read: {error}"));
        replies
    }

    /// Returns the next reply or message.
    ///
    /// # Panics
    ///
    /// When the server closes, sends invalid RESP, or sends nothing within the deadline.
    pub async fn read_reply(&mut self) -> Reply {
        let reply = self.next_reply().await;
        reply.unwrap_or_else(|| panic!("expected a reply, found the connection closed"))
    }

    /// Returns the next reply or message, or nothing when the server has closed.
    ///
    /// # Panics
    ///
    /// When the server sends invalid RESP, or nothing within the deadline.
    pub async fn next_reply(&mut self) -> Option<Reply> {
        let Self { reader, received, protocol, .. } = self;
        within(DEADLINE, read_reply(reader, received, *protocol)).await
    }

    /// Returns the next message, however long it takes, or nothing when the server has closed. For
    /// tasks that listen until the test ends.
    ///
    /// # Panics
    ///
    /// When the server sends invalid RESP.
    pub async fn listen(&mut self) -> Option<Reply> {
        let Self { reader, received, protocol, .. } = self;
        read_reply(reader, received, *protocol).await
    }

    /// Returns all bytes up to and including these.
    ///
    /// # Panics
    ///
    /// When they do not arrive within the deadline.
    pub async fn read_bytes_until(&mut self, end: &[u8]) -> Bytes {
        let Self { reader, received, .. } = self;
        let found = async {
            loop {
                if let Some(start) = received.windows(end.len()).position(|bytes| bytes == end) {
                    return received.split_to(start + end.len()).freeze();
                }
                assert!(read_more(reader, received).await, "closed after {received:?}");
            }
        };
        within(DEADLINE, found).await
    }

    /// Returns exactly that many bytes.
    ///
    /// # Panics
    ///
    /// When they do not arrive within six deadlines.
    pub async fn read_bytes(&mut self, count: usize) -> Bytes {
        let Self { reader, received, .. } = self;
        let enough = async {
            while received.len() < count {
                assert!(read_more(reader, received).await, "closed after {}", received.len());
            }
        };
        within(6 * DEADLINE, enough).await;
        received.split_to(count).freeze()
    }

    /// Returns all bytes up to the end of the connection.
    ///
    /// # Panics
    ///
    /// When the server does not close within the deadline.
    pub async fn read_to_close(&mut self) -> Bytes {
        let Self { reader, received, .. } = self;
        within(DEADLINE, async { while read_more(reader, received).await {} }).await;
        received.split().freeze()
    }

    /// Waits until the server closes.
    ///
    /// # Panics
    ///
    /// When the server sends more bytes, or does not close within the deadline.
    pub async fn expect_closed(&mut self) {
        let rest = self.read_to_close().await;
        assert!(rest.is_empty(), "expected the connection closed, found {rest:?}");
    }

    /// Closes our direction only, as a client does after its last request.
    ///
    /// # Panics
    ///
    /// When the connection is already closed.
    pub async fn close_writing(&mut self) {
        self.writer.shutdown().await.expect("the connection is open");
    }

    /// Proves that no message is in flight to this client: the next reply is that to a `PING`.
    ///
    /// The server sends a client's messages and replies in the order in which it queued them. So
    /// the reply comes after every message of a publish that was confirmed before.
    ///
    /// # Panics
    ///
    /// When another reply comes first.
    pub async fn expect_silence(&mut self) {
        let reply = self.command(&["PING", "silence"]).await;
        let pong = reply == "silence" || reply == array!["pong", "silence"];
        assert!(pong, "expected only the reply to PING, found {reply:?}");
    }

    /// Subscribes to channels and reads the confirmations.
    ///
    /// # Panics
    ///
    /// When they are not confirmed, in order.
    pub async fn subscribe(&mut self, channels: &[&str]) {
        self.send(&[&["SUBSCRIBE"], channels].concat()).await;
        self.expect_confirmations("subscribe", channels).await;
    }

    /// Subscribes to patterns and reads the confirmations.
    ///
    /// # Panics
    ///
    /// When they are not confirmed, in order.
    pub async fn psubscribe(&mut self, patterns: &[&str]) {
        self.send(&[&["PSUBSCRIBE"], patterns].concat()).await;
        self.expect_confirmations("psubscribe", patterns).await;
    }

    /// Publishes a message and returns the number of receivers.
    ///
    /// # Panics
    ///
    /// When the reply is not a number.
    pub async fn publish(&mut self, channel: &str, payload: impl AsRef<[u8]>) -> i64 {
        self.command(&[b"PUBLISH", channel.as_bytes(), payload.as_ref()]).await.integer()
    }

    /// Reads the next message and compares it.
    ///
    /// # Panics
    ///
    /// When another reply comes.
    pub async fn expect_message(&mut self, channel: &str, payload: impl Into<Value>) {
        let payload = payload.into();
        let reply = self.read_reply().await;
        let items = match reply.value() {
            Value::Array(items) | Value::Push(items) => items.as_slice(),
            _ => &[],
        };
        let expected = [Value::from("message"), channel.into(), payload];
        assert!(items == expected, "expected {expected:?}, found {reply:?}");
    }

    async fn expect_confirmations(&mut self, kind: &str, names: &[&str]) {
        for name in names {
            let reply = self.read_reply().await;
            let items = reply.items();
            let confirmed = items.len() == 3 && items[..2] == [kind.into(), (*name).into()];
            assert!(confirmed, "expected the {kind} confirmation of {name}, found {reply:?}");
        }
    }
}

/// Encodes a command as the array of bulk strings that clients send.
pub fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::request::encode(&mut bytes, arguments);
    bytes
}

async fn read_reply(
    reader: &mut OwnedReadHalf,
    received: &mut BytesMut,
    protocol: Protocol,
) -> Option<Reply> {
    loop {
        if let Some(reply) = decode(received, protocol) {
            return Some(reply);
        }
        if !read_more(reader, received).await {
            assert!(received.is_empty(), "closed within a reply: {received:?}");
            return None;
        }
    }
}

/// Returns false at the end of the connection. A reset is such an end: a server that closes with
/// unread input causes one.
async fn read_more(reader: &mut OwnedReadHalf, received: &mut BytesMut) -> bool {
    matches!(reader.read_buf(received).await, Ok(1..))
}

fn decode(received: &mut BytesMut, protocol: Protocol) -> Option<Reply> {
    match protocol {
        Protocol::Resp2 => decoded(resp2::decode::decode_bytes_mut(received)),
        Protocol::Resp3 => decoded(resp3::decode::complete::decode_bytes_mut(received)),
    }
}

fn decoded<F: Into<Value>, E: std::fmt::Display>(
    result: Result<Option<(F, usize, Bytes)>, E>,
) -> Option<Reply> {
    let decoded = result.unwrap_or_else(|error| panic!("the server sent invalid RESP: {error}"));
    decoded.map(|(frame, _, raw)| Reply::new(frame.into(), raw))
}
