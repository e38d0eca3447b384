//! The bytes that the load sends to a NATS server and expects from it.
//!
//! A channel is a subject with one word, and a pattern of ours is a subject with `*` in place of a
//! word. NATS replies to no request here, since `CONNECT` switches that off. A `PING` behind the
//! last request of a batch has a `PONG`, which shows that the server has processed the batch.
//!
//! The server sends a `PING` of its own to each client, two seconds after the client has connected.
//! The load skips it without an answer. A server closes such a client only after minutes, which no
//! measurement takes.

/// The first request of a client. By default, a server replies to every request and checks subjects.
pub(crate) const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
pub(crate) const PING: &[u8] = b"PING\r\n";
pub(crate) const PONG: &[u8] = b"PONG\r\n";
/// The end of the line that a server sends first, which begins with `INFO`.
pub(crate) const END_OF_LINE: &[u8] = b"\r\n";

/// Appends a subscription to a channel or a pattern.
pub(crate) fn subscribe(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(format!("SUB {} {}\r\n", subject(name), id(name)).as_bytes());
}

/// Appends the end of a subscription.
pub(crate) fn unsubscribe(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(format!("UNSUB {}\r\n", id(name)).as_bytes());
}

/// Returns a request that publishes.
pub(crate) fn publish(channel: &str, payload: &[u8]) -> Vec<u8> {
    with_payload(&format!("PUB {channel}"), payload)
}

/// Returns a message to the subscription that has this name.
pub(crate) fn message(name: &str, channel: &str, payload: &[u8]) -> Vec<u8> {
    with_payload(&format!("MSG {channel} {}", id(name)), payload)
}

fn with_payload(start: &str, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().to_string();
    [start.as_bytes(), b" ", length.as_bytes(), b"\r\n", payload, b"\r\n"].concat()
}

/// Returns the subject for a channel or a pattern. `:` separates the words of patterns.
fn subject(name: &str) -> String {
    if !name.contains('*') {
        return name.to_owned();
    }
    let word = |word: &'_ str| if word.contains('*') { "*" } else { word }.to_owned();
    name.split(':').map(word).collect::<Vec<_>>().join(".")
}

/// Returns the number by which a client names a subscription: the digits of the channel. They differ
/// for all channels of a client, and are as short as the numbers of a client that counts.
fn id(name: &str) -> String {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let number = digits.trim_start_matches('0');
    if number.is_empty() { "0" } else { number }.to_owned()
}

/// The server's `PING` in a stream of messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pings {
    /// Bytes received of the current one.
    at: usize,
}

impl Pings {
    /// Skips each `PING`, or a part of one, in front of these bytes. They follow a whole message.
    /// Returns the rest, or `None` if a `PING` has begun and another byte follows.
    pub(crate) fn skip<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        while let Some((&first, rest)) = bytes.split_first() {
            match (first == PING[self.at], self.at) {
                (true, at) => self.at = (at + 1) % PING.len(),
                (false, 0) => break,
                (false, _) => return None,
            }
            bytes = rest;
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(append: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn channels_and_patterns_are_subjects_with_numbers() {
        for (name, request) in [
            ("c0000", "SUB c0000 0\r\n"),
            ("c0017", "SUB c0017 17\r\n"),
            ("channel:0000120", "SUB channel:0000120 120\r\n"),
            ("00003:0004", "SUB 00003:0004 30004\r\n"),
            ("c**", "SUB * 0\r\n"),
            ("room:7:*", "SUB room.7.* 7\r\n"),
        ] {
            assert_eq!(appended(|out| subscribe(out, name)), request);
        }
        assert_eq!(appended(|out| unsubscribe(out, "channel:0000120")), "UNSUB 120\r\n");
    }

    #[test]
    fn a_message_names_its_subscription_and_its_length() {
        assert_eq!(publish("c0003", b"hello"), b"PUB c0003 5\r\nhello\r\n");
        assert_eq!(message("c0003", "c0003", b"hello"), b"MSG c0003 3 5\r\nhello\r\n");
        assert_eq!(message("c**", "c0003", b""), b"MSG c0003 0 0\r\n\r\n");
    }

    #[test]
    fn pings_are_skipped_wherever_they_are_cut() {
        let all = [PING, PING].concat();
        for cut in 0..=all.len() {
            let mut pings = Pings::default();
            let (start, end) = all.split_at(cut);
            let end = [end, b"MSG"].concat();
            assert_eq!(pings.skip(start), Some(&b""[..]), "{cut}");
            assert_eq!(pings.skip(&end), Some(&b"MSG"[..]), "{cut}");
        }
        assert_eq!(Pings::default().skip(b"PIMSG"), None);
    }
}
