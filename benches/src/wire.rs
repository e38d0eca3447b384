//! The bytes that the load sends and expects. Channels are `c0000` to `c9999`, so that every request
//! and every message of a scenario has one length: the floor relay need not parse them.

/// Returns the name of a channel.
pub(crate) fn channel(index: usize) -> String {
    format!("c{index:04}")
}

/// Appends a `PUBLISH`.
pub(crate) fn publish(out: &mut Vec<u8>, channel_index: usize, payload: &[u8]) {
    out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n$5\r\n");
    out.extend_from_slice(channel(channel_index).as_bytes());
    out.extend_from_slice(format!("\r\n${}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Where the digits of the channel stand in a `PUBLISH`.
pub(crate) const PUBLISH_CHANNEL_AT: usize = "*3\r\n$7\r\nPUBLISH\r\n$5\r\nc".len();

/// Returns what a subscriber of a channel gets for each message.
pub(crate) fn message(channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = b"*3\r\n$7\r\nmessage\r\n$5\r\n".to_vec();
    out.extend_from_slice(channel(channel_index).as_bytes());
    out.extend_from_slice(format!("\r\n${}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out
}

/// Returns what a subscriber of a pattern gets for each message.
pub(crate) fn pattern_message(pattern: &str, channel_index: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("*4\r\n$8\r\npmessage\r\n${}\r\n{pattern}\r\n$5\r\n", pattern.len());
    out.push_str(&channel(channel_index));
    out.push_str(&format!("\r\n${}\r\n", payload.len()));
    let mut out = out.into_bytes();
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out
}

/// Returns the request that subscribes to a channel, and the confirmation of the first one.
pub(crate) fn subscribe(channel_index: usize) -> (Vec<u8>, Vec<u8>) {
    let channel = channel(channel_index);
    let request = format!("*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\n{channel}\r\n");
    let confirmation = format!("*3\r\n$9\r\nsubscribe\r\n$5\r\n{channel}\r\n:1\r\n");
    (request.into_bytes(), confirmation.into_bytes())
}

/// What a `SUBSCRIBE` begins with.
pub(crate) const SUBSCRIBE_START: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE";
