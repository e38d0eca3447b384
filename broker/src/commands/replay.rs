//! `PUBSUB OFFSET` and `PUBSUB REPLAY`: missed messages of channels with a `pubsub-replay` rule.

use super::Answer;
use super::errors::{NOT_AN_INTEGER, SYNTAX_ERROR};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Request, integer};
use crate::pubsub::order::OrderGuard;
use crate::pubsub::replay::Epoch;
use crate::session::context::Context;

const NOT_ENABLED: &[u8] =
    b"ERR replay is not enabled for this channel; add a 'pubsub-replay' rule";
const INVALID_EPOCH: &[u8] =
    b"ERR invalid epoch: expected the 16 hexadecimal digits of PUBSUB OFFSET";

/// `PUBSUB OFFSET channel`: returns the epoch, and the offset of the last message.
pub(super) fn offset(
    request: Request<'_>,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> Answer {
    order.catch_up(&mut context.local);
    let now = order.replay(request.argument(2), None, 0).ok_or(NOT_ENABLED)?;
    Ok(Reply::Array(vec![Reply::bulk(now.epoch.to_string()), Reply::integer(now.offset)]))
}

/// `PUBSUB REPLAY channel epoch offset [COUNT count]`: returns the epoch, the offset of the last
/// message, and the kept messages after `offset`, each with its offset. If the epoch differs, it
/// returns all kept messages.
pub(super) fn replay(
    request: Request<'_>,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> Answer {
    let argument = |index| integer(request.argument(index)).and_then(|n| u64::try_from(n).ok());
    let epoch = Epoch::parse(request.argument(3)).ok_or(INVALID_EPOCH)?;
    let after = argument(4).ok_or(NOT_AN_INTEGER)?;
    let count = match request.len() {
        5 => u64::MAX,
        7 if request.argument(5).eq_ignore_ascii_case(b"count") => {
            argument(6).ok_or(NOT_AN_INTEGER)?
        }
        _ => return Err(SYNTAX_ERROR.to_vec()),
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let channel = request.argument(2);
    let after = Some((epoch, after));
    order.catch_up(&mut context.local);
    let remembered = order.replay(channel, after, count).ok_or(NOT_ENABLED)?;
    let message =
        |(offset, payload)| Reply::Array(vec![Reply::integer(offset), Reply::bulk(payload)]);
    Ok(Reply::Array(vec![
        Reply::bulk(remembered.epoch.to_string()),
        Reply::integer(remembered.offset),
        Reply::Array(remembered.messages.into_iter().map(message).collect()),
    ]))
}
