//! Replay of missed messages from the broker's buffer (`pubsub-replay`).
//!
//! Only our broker has a replay buffer; Redis replies with an error, and no further request
//! follows. Replay and subscription may deliver the same message. Its id identifies the duplicate,
//! so a request may start a little too early.

use std::time::Duration;

use parking_lot::Mutex;
use resp::value::Value;

use super::connector::Connector;
use super::failure::Failure;
use super::resp_connection::RespConnection;
use super::timeouts::bounded;
use crate::bus::sink::Sink;

/// A position in the replay buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayPosition {
    /// Changes when the broker loses its buffer.
    epoch: String,
    /// Not after the last received message.
    pub(super) offset: u64,
}

/// More than the messages without an id that may arrive between request and reply.
const OVERLAP: u64 = 16;
/// Messages in the first request, while their size is unknown.
const COUNT: usize = 16;
/// Maximum messages in one request: no more than connections have capacity for after the wait.
const COUNT_MAX: usize = 500;
/// Bytes in one request, estimated from the last messages. Large enough that round trips do not
/// dominate, and small enough for a slow network.
const BYTES: usize = 512 * 1024;

/// Returns the end of the replay buffer, or `None` if there is none.
pub(super) async fn offset(
    connection: &mut RespConnection,
    channel: &str,
) -> Result<Option<ReplayPosition>, Failure> {
    connection.write(&[&[b"PUBSUB", b"OFFSET", channel.as_bytes()]]).await?;
    let reply = connection.read().await?;
    Ok(position_of(&reply))
}

/// Fetches and delivers all messages since `reached`, and advances `reached` with every reply. So
/// an interrupted replay resumes there. Call it after the subscription is confirmed, so that no
/// message is missed in between.
pub(super) async fn replay(
    connector: &Connector,
    reached: &Mutex<Option<ReplayPosition>>,
    within: Duration,
    sink: &impl Sink,
) -> Result<(), Failure> {
    let Some(mut since) = reached.lock().clone() else { return Ok(()) };
    since.offset = since.offset.saturating_sub(OVERLAP);
    // A RESP2 connection with a subscription does not accept these commands.
    let mut connection = connector.open(within).await?;
    let mut count = COUNT;
    // Number of messages that all connections still have capacity for.
    let mut left = 0;
    loop {
        if left < count {
            sink.wait_for_capacity().await;
            left = COUNT_MAX;
        }
        let (epoch, after) = (since.epoch.as_bytes(), since.offset.to_string());
        let (channel, at_most) = (connector.channel().as_bytes(), count.to_string());
        let words = [b"PUBSUB", b"REPLAY".as_slice(), channel, epoch, after.as_bytes(), b"COUNT"];
        let words = [&words[..], &[at_most.as_bytes()]].concat();
        bounded(within, connection.write(&[&words])).await?;
        let reply = connection.read_while_it_comes(within).await?;
        let Some(end) = position_of(&reply) else {
            *reached.lock() = None;
            return Ok(());
        };
        let messages = reply.items().get(2).map(Value::items).unwrap_or_default();
        left = left.saturating_sub(messages.len());
        let mut bytes = 0;
        for message in messages {
            if let Some(payload) = message.items().get(1).and_then(Value::bytes) {
                bytes += payload.len();
                sink.recover(payload);
            }
        }
        let last = messages.last().and_then(|message| message.items().first()?.integer());
        let last = last.and_then(|last| u64::try_from(last).ok()).filter(|last| *last < end.offset);
        let is_over = last.is_none();
        since = ReplayPosition { offset: last.unwrap_or(end.offset), ..end };
        *reached.lock() = Some(since.clone());
        if is_over {
            return Ok(());
        }
        count = (BYTES * messages.len() / bytes.max(1)).clamp(1, COUNT_MAX);
    }
}

fn position_of(reply: &Value) -> Option<ReplayPosition> {
    let [epoch, offset, ..] = reply.items() else { return None };
    let offset = u64::try_from(offset.integer()?).ok()?;
    Some(ReplayPosition { epoch: epoch.text()?.to_owned(), offset })
}
