//! The bytes that the load sends and expects.
//!
//! Channels are `c0000` to `c9999`, so all requests of a scenario have one length, and all messages.
//! The baseline relay therefore need not parse them.

/// Returns the name of a channel.
pub(crate) fn channel(index: usize) -> String {
    format!("c{index:04}")
}

/// Returns a request of these arguments.
pub(crate) fn request(arguments: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        out.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    out.into_bytes()
}

/// Returns the confirmation of a `SUBSCRIBE` or a similar command, with the client's number of
/// subscriptions.
pub(crate) fn confirmation(kind: &str, channel: &str, count: usize) -> Vec<u8> {
    let (kind_length, channel_length) = (kind.len(), channel.len());
    format!("*3\r\n${kind_length}\r\n{kind}\r\n${channel_length}\r\n{channel}\r\n:{count}\r\n")
        .into_bytes()
}

/// Returns a `PUBLISH`.
pub(crate) fn publish(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let start = b"*3\r\n$7\r\nPUBLISH\r\n".to_vec();
    with_channel_and_payload(start, channel_index, payload)
}

/// The offset of the channel's length in a `PUBLISH`. From there on a message has the same bytes.
pub(crate) const PUBLISH_TAIL_AT: usize = "*3\r\n$7\r\nPUBLISH\r\n".len();
/// The offset of the channel's digits in a `PUBLISH`.
pub(crate) const PUBLISH_CHANNEL_AT: usize = PUBLISH_TAIL_AT + "$5\r\nc".len();
/// The first bytes of a message.
pub(crate) const MESSAGE_START: &[u8] = b"*3\r\n$7\r\nmessage\r\n";

/// Returns a message to a subscriber of a channel.
pub(crate) fn message(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    with_channel_and_payload(MESSAGE_START.to_vec(), channel_index, payload)
}

/// Returns a message to a subscriber of a pattern.
pub(crate) fn pattern_message(pattern: &str, channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let start = format!("*4\r\n$8\r\npmessage\r\n${}\r\n{pattern}\r\n", pattern.len());
    with_channel_and_payload(start.into_bytes(), channel_index, payload)
}

fn with_channel_and_payload(mut out: Vec<u8>, channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let channel = channel(channel_index);
    out.extend_from_slice(format!("$5\r\n{channel}\r\n${}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
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
    let start = format!("*5\r\n$7\r\nEVALSHA\r\n${}\r\n{sha}\r\n$1\r\n1\r\n", sha.len());
    with_channel_and_payload(start.into_bytes(), channel_index, payload)
}

/// Returns a payload with its id.
pub(crate) fn numbered(id: u64, payload: &[u8]) -> Vec<u8> {
    [format!("{id} ").as_bytes(), payload].concat()
}

/// Returns the reply of the script.
pub(crate) fn sent_by_script(id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("*3\r\n:{id}\r\n").into_bytes();
    for part in [payload, &numbered(id, payload)] {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The offset of the id in the reply of the script.
pub(crate) const SENT_ID_AT: usize = "*3\r\n:".len();
