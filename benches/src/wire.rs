//! The bytes that the load sends and expects.
//!
//! Channels are `c0000` to `c9999`, so all requests of a scenario have one length, and all messages.
//! The baseline relay therefore need not parse them.
//!
//! Crate `resp` encodes them. The load compares received bytes with these, also those of Redis, so a
//! mistake of the encoder stops the measurement.

use resp::reply::{self, MessageStart};
use resp::{Protocol, request};

/// Returns the name of a channel.
pub(crate) fn channel(index: usize) -> String {
    format!("c{index:04}")
}

/// Returns a request of these arguments.
pub(crate) fn request(arguments: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    request::encode(&mut out, arguments);
    out
}

/// Returns the confirmation of a `SUBSCRIBE` or a similar command, with the client's number of
/// subscriptions.
pub(crate) fn confirmation(kind: &str, channel: &str, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    reply::confirmation(&mut out, Protocol::Resp2, kind, Some(channel.as_bytes()), count);
    out
}

/// Returns a `PUBLISH`.
pub(crate) fn publish(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let channel = channel(channel_index);
    request::encode(&mut out, &[b"PUBLISH", channel.as_bytes(), payload]);
    out
}

/// The offset of the channel's length in a `PUBLISH`. From there on a message has the same bytes.
pub(crate) const PUBLISH_TAIL_AT: usize = "*3\r\n$7\r\nPUBLISH\r\n".len();
/// The offset of the channel's digits in a `PUBLISH`.
pub(crate) const PUBLISH_CHANNEL_AT: usize = PUBLISH_TAIL_AT + "$5\r\nc".len();
/// The first bytes of a message.
pub(crate) const MESSAGE_START: &[u8] = b"*3\r\n$7\r\nmessage\r\n";

/// Returns a message to a subscriber of a channel.
pub(crate) fn message(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let channel = channel(channel_index);
    reply::message(&mut out, MessageStart::MESSAGE[0], channel.as_bytes(), payload);
    out
}

/// Returns a message to a subscriber of a pattern.
pub(crate) fn pattern_message(pattern: &str, channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let (mut out, channel) = (Vec::new(), channel(channel_index));
    let (pattern, channel) = (pattern.as_bytes(), channel.as_bytes());
    reply::pattern_message(&mut out, Protocol::Resp2, pattern, channel, payload);
    out
}

/// The first bytes of a `SUBSCRIBE`.
pub(crate) const SUBSCRIBE_START: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE";

/// The script that servers of SignalR 2 call for each message. It takes the next id, publishes the
/// message with it, and returns both.
pub(crate) const SEND_SCRIPT: &str = "local newId = redis.call('INCR', KEYS[1]) \
    local payload = newId .. ' ' .. ARGV[1] \
    redis.call('PUBLISH', KEYS[1], payload) \
    return {newId, ARGV[1], payload}";
/// The same script with other names of variables. The broker recognizes only SignalR's own text.
pub(crate) const OWN_SCRIPT: &str = "local id = redis.call('INCR', KEYS[1]) \
    local message = id .. ' ' .. ARGV[1] \
    redis.call('PUBLISH', KEYS[1], message) \
    return {id, ARGV[1], message}";
/// Digits of an id.
pub(crate) const ID_BYTES: usize = 13;
/// The id before the first one. All following ids have the same number of digits.
pub(crate) const ID_BEFORE: u64 = 10_u64.pow(ID_BYTES as u32 - 1);

/// Returns a call of the script with a payload without an id.
pub(crate) fn send_by_script(sha: &str, channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let channel = channel(channel_index);
    request::encode(&mut out, &[b"EVALSHA", sha.as_bytes(), b"1", channel.as_bytes(), payload]);
    out
}

/// Returns a payload with its id.
pub(crate) fn numbered(id: u64, payload: &[u8]) -> Vec<u8> {
    [format!("{id} ").as_bytes(), payload].concat()
}

/// Returns the reply of the script.
pub(crate) fn sent_by_script(id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    reply::array_header(&mut out, 3);
    out.extend_from_slice(format!(":{id}\r\n").as_bytes());
    reply::bulk(&mut out, payload);
    reply::bulk(&mut out, &numbered(id, payload));
    out
}

/// The offset of the id in the reply of the script.
pub(crate) const SENT_ID_AT: usize = "*3\r\n:".len();
