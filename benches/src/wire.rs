//! The bytes that the load sends and expects. Channels are `c0000` to `c9999`, so that every request
//! and every message of a scenario has one length: the floor relay need not parse them.

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

/// Returns what answers a `SUBSCRIBE` or the like: its name, the channel, the client's subscriptions.
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

/// Where the channel's length stands in a `PUBLISH`; from there on a message is the same.
pub(crate) const PUBLISH_TAIL_AT: usize = "*3\r\n$7\r\nPUBLISH\r\n".len();
/// Where the digits of the channel stand in a `PUBLISH`.
pub(crate) const PUBLISH_CHANNEL_AT: usize = PUBLISH_TAIL_AT + "$5\r\nc".len();
/// What a message begins with.
pub(crate) const MESSAGE_START: &[u8] = b"*3\r\n$7\r\nmessage\r\n";

/// Returns what a subscriber of a channel gets for each message.
pub(crate) fn message(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    with_channel_and_payload(MESSAGE_START.to_vec(), channel_index, payload)
}

/// Returns what a subscriber of a pattern gets for each message.
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

/// What a `SUBSCRIBE` begins with.
pub(crate) const SUBSCRIBE_START: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE";
