//! Replay of missed messages from the broker's buffer (`pubsub-replay`).
//!
//! Only our broker has a replay buffer; Redis replies with an error, and no further request
//! follows. Each message of a channel has an offset. A subscription begins at a known offset, so
//! its messages have the offsets after it, and the replay ends there. No message arrives twice.

use std::time::Duration;

use bytes::Bytes;
use locks::Mutex;
use resp::value::Value;

use super::connector::Connector;
use super::failure::Failure;
use super::resp_connection::RespConnection;
use super::timeouts::bounded;
use crate::bus::sink::Sink;

/// A position in the replay buffer: directly after one of the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayPosition {
    /// Changes when the broker loses its buffer.
    epoch: String,
    pub(super) offset: u64,
}

/// Some messages of the buffer.
struct Piece {
    epoch: String,
    /// Payloads with their offsets.
    messages: Vec<(u64, Bytes)>,
}

/// Messages in the first request, while their size is unknown.
const COUNT: usize = 16;
/// Bytes in one request, estimated from the last messages. Large enough that round trips do not
/// dominate, and small enough for a slow network.
const BYTES: usize = 1024 * 1024;
/// Messages that are delivered at once: no more than connections have capacity for after the wait.
const AT_ONCE: usize = 500;

/// Returns the end of the replay buffer, or `None` if there is none.
pub(super) async fn offset(
    connection: &mut RespConnection,
    channel: &str,
) -> Result<Option<ReplayPosition>, Failure> {
    connection.write(&[&[b"PUBSUB", b"OFFSET", channel.as_bytes()]]).await?;
    let reply = connection.read().await?;
    Ok(ReplayPosition::of(&reply))
}

/// Fetches and delivers the messages from `reached` to `end`, and advances `reached` with the
/// deliveries. So an interrupted replay resumes there. Calls `begins` before the first message of
/// the buffer, or if there is none yet.
pub(super) async fn replay(
    connector: &Connector,
    reached: &Mutex<Option<ReplayPosition>>,
    end: &ReplayPosition,
    begins: impl Fn(),
    within: Duration,
    sink: &impl Sink,
) -> Result<(), Failure> {
    let Some(mut since) = reached.lock().clone().filter(|since| since != end) else {
        return Ok(());
    };
    // A RESP2 connection with a subscription does not accept these commands.
    let mut connection = connector.open(within).await?;
    let channel = connector.channel();
    let mut is_first = since.epoch != end.epoch;
    request(&mut connection, channel, &since, COUNT, within).await?;
    loop {
        let reply = connection.read_while_it_comes(within).await?;
        let Piece { epoch, messages } = Piece::of(&reply)?;
        let first = messages.first().map_or(end.offset + 1, |(offset, _)| *offset);
        if std::mem::take(&mut is_first) && first == 1 {
            begins();
        }
        let last = messages.last().map(|(offset, _)| *offset);
        let is_over = last.is_none_or(|last| last >= end.offset);
        since = ReplayPosition { epoch, offset: last.unwrap_or(end.offset) };
        if !is_over {
            // The next piece is on its way while this one is delivered.
            let bytes = messages.iter().map(|(_, payload)| payload.len()).sum::<usize>();
            let count = (BYTES * messages.len() / bytes.max(1)).max(1);
            request(&mut connection, channel, &since, count, within).await?;
        }
        for some in messages.chunks(AT_ONCE) {
            sink.wait_for_capacity().await;
            for (offset, payload) in some.iter().filter(|(offset, _)| *offset <= end.offset) {
                sink.recover(payload);
                *reached.lock() = Some(ReplayPosition { offset: *offset, ..since.clone() });
            }
        }
        if is_over {
            *reached.lock() = Some(end.clone());
            return Ok(());
        }
    }
}

/// Returns whether a payload is the first one after `since`, so that none is missing before it.
pub(super) async fn is_next(
    connector: &Connector,
    since: &ReplayPosition,
    payload: &[u8],
    within: Duration,
) -> Result<bool, Failure> {
    let mut connection = connector.open(within).await?;
    request(&mut connection, connector.channel(), since, 1, within).await?;
    let reply = connection.read_while_it_comes(within).await?;
    let messages = Piece::of(&reply)?.messages;
    Ok(messages.first().is_some_and(|(_, next)| next == payload))
}

/// Requests messages after a position.
async fn request(
    connection: &mut RespConnection,
    channel: &str,
    since: &ReplayPosition,
    count: usize,
    within: Duration,
) -> Result<(), Failure> {
    let (offset, count) = (since.offset.to_string(), count.to_string());
    let words = ["PUBSUB", "REPLAY", channel, &since.epoch, &offset, "COUNT", &count];
    bounded(within, connection.write(&[&words.map(str::as_bytes)])).await
}

impl ReplayPosition {
    /// Parses the reply to `PUBSUB OFFSET`.
    pub(super) fn of(reply: &Value) -> Option<Self> {
        let [epoch, offset, ..] = reply.items() else { return None };
        let offset = u64::try_from(offset.integer()?).ok()?;
        Some(Self { epoch: epoch.text()?.to_owned(), offset })
    }
}

impl Piece {
    /// Parses the reply to `PUBSUB REPLAY`.
    fn of(reply: &Value) -> Result<Self, Failure> {
        if let Value::Error(text) = reply {
            return Err(Failure::of_reply(&String::from_utf8_lossy(text)));
        }
        let position = ReplayPosition::of(reply);
        let position = position.ok_or_else(|| Failure::Lost(NO_POSITION.to_owned()))?;
        let messages = reply.items().get(2).map(Value::items).unwrap_or_default();
        let message = |message: &Value| {
            let [offset, payload] = message.items() else { return None };
            Some((u64::try_from(offset.integer()?).ok()?, payload.bytes()?.clone()))
        };
        Ok(Self { epoch: position.epoch, messages: messages.iter().filter_map(message).collect() })
    }
}

const NO_POSITION: &str = "the reply to PUBSUB REPLAY has no position";
