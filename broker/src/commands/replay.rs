//! What a subscriber missed while it was away, on channels that are remembered (`pubsub-replay`).

use crate::protocol::reply::Reply;
use crate::protocol::request::{Request, integer};
use crate::pubsub::replay::Epoch;
use crate::pubsub::subscribers::Context;
use crate::session::{Answer, NOT_AN_INTEGER, SYNTAX_ERROR, Session};

const NOT_REMEMBERED: &[u8] = b"ERR no pubsub-replay for this channel";
const NO_EPOCH: &[u8] = b"ERR an epoch is 16 hexadecimal digits, as PUBSUB OFFSET gives it";

impl Session {
    /// `PUBSUB OFFSET channel`: the epoch, and the offset of the last message.
    pub(crate) fn pubsub_offset(&self, channel: &[u8], context: &mut Context) -> Answer {
        let now = self.server.broker.replay(context, channel, None, 0).ok_or(NOT_REMEMBERED)?;
        Ok(Reply::Array(vec![Reply::bulk(now.epoch.to_string()), offset(now.offset)]))
    }

    /// `PUBSUB REPLAY channel epoch offset [COUNT count]`: the epoch, the offset of the last
    /// message, and the messages after `offset` that are remembered, each behind its offset. All of
    /// them when the epoch is over.
    pub(crate) fn pubsub_replay(&self, request: Request<'_>, context: &mut Context) -> Answer {
        let number = |index| integer(request.argument(index)).and_then(|n| u64::try_from(n).ok());
        let epoch = Epoch::parse(request.argument(3)).ok_or(NO_EPOCH)?;
        let after = number(4).ok_or(NOT_AN_INTEGER)?;
        let count = match request.len() {
            5 => u64::MAX,
            7 if request.argument(5).eq_ignore_ascii_case(b"count") => {
                number(6).ok_or(NOT_AN_INTEGER)?
            }
            _ => return Err(SYNTAX_ERROR.to_vec()),
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let channel = request.argument(2);
        let after = Some((epoch, after));
        let remembered = self.server.broker.replay(context, channel, after, count);
        let remembered = remembered.ok_or(NOT_REMEMBERED)?;
        let message = |(number, payload)| Reply::Array(vec![offset(number), Reply::bulk(payload)]);
        Ok(Reply::Array(vec![
            Reply::bulk(remembered.epoch.to_string()),
            offset(remembered.offset),
            Reply::Array(remembered.messages.into_iter().map(message).collect()),
        ]))
    }
}

fn offset(offset: u64) -> Reply {
    Reply::Integer(i64::try_from(offset).unwrap_or(i64::MAX))
}
