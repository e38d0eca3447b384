//! What a broker remembers of a channel, for a subscription that was away.
//!
//! Our broker may be told to remember (`pubsub-replay`); Redis knows no such thing, says so, and is
//! asked nothing more. What comes twice, by replay and by subscription, is told by its id, so it is
//! enough to ask for a little too much.

use std::time::Duration;

use parking_lot::Mutex;

use super::connector::Connector;
use super::failure::Failure;
use super::resp::Value;
use super::resp_connection::RespConnection;
use super::timeouts::bounded;
use crate::bus::sink::Sink;

/// How far one has read in what a broker remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Another one says that the memory was lost.
    epoch: String,
    /// No later than what was received last.
    pub(super) offset: u64,
}

/// More than the messages that may have come between a question and its answer without an id.
const OVERLAP: u64 = 16;
/// How many messages are asked for at once: at first, until it is known how large they are …
const COUNT: usize = 16;
/// … and at most: no more than the room that is waited for.
const COUNT_MAX: usize = 500;
/// How many bytes are asked for at once, as far as the last messages say: so many that the way
/// there and back does not count, and so few that a slow network brings them soon.
const BYTES: usize = 512 * 1024;

/// Asks where the memory of the channel ends. `None` if there is none.
pub(super) async fn offset(
    connection: &mut RespConnection,
    channel: &str,
) -> Result<Option<Remembered>, Failure> {
    connection.write(&[&[b"PUBSUB", b"OFFSET", channel.as_bytes()]]).await?;
    let reply = connection.read().await?;
    Ok(remembered(&reply))
}

/// Asks for all that was published since, and delivers each message. `reached` says at any time how
/// far it got, so that whoever is cut off goes on from there. For after the subscription is
/// confirmed, so that nothing falls in between.
pub(super) async fn replay(
    connector: &Connector,
    reached: &Mutex<Option<Remembered>>,
    within: Duration,
    sink: &impl Sink,
) -> Result<(), Failure> {
    let Some(mut since) = reached.lock().clone() else { return Ok(()) };
    since.offset = since.offset.saturating_sub(OVERLAP);
    // A connection with a subscription answers no such question.
    let mut connection = connector.open(within).await?;
    let mut count = COUNT;
    // How much more all connections have room for.
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
        let Some(end) = remembered(&reply) else {
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
        since = Remembered { offset: last.unwrap_or(end.offset), ..end };
        *reached.lock() = Some(since.clone());
        if is_over {
            return Ok(());
        }
        count = (BYTES * messages.len() / bytes.max(1)).clamp(1, COUNT_MAX);
    }
}

fn remembered(reply: &Value) -> Option<Remembered> {
    let [epoch, offset, ..] = reply.items() else { return None };
    let offset = u64::try_from(offset.integer()?).ok()?;
    Some(Remembered { epoch: epoch.text()?.to_owned(), offset })
}
