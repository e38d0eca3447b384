//! Frames in an outbox: where each one ends, and which of them are messages.

use resp::value::{Limits, Part};

use crate::protocol::Protocol;

/// The frames are our own, so no limit applies to them but that of memory.
const UNLIMITED: Limits =
    Limits { depth_max: MAX, items_max: MAX, bulk_bytes_max: MAX, line_bytes_max: MAX };
const MAX: usize = isize::MAX as usize;

/// Returns the length of the value at the start of `bytes`, or `None` if it is not whole.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut values_left) = (0, 1);
    while values_left > 0 {
        let (part, length) = Part::decode(&bytes[at..], &UNLIMITED).ok()??;
        at += length;
        values_left -= 1;
        if let Part::Header { kind, items } = part {
            // An attribute precedes a value.
            values_left += items + usize::from(kind == b'|');
        }
    }
    Some(at)
}

/// Returns the channel of a frame, if it is a message of a channel or of a pattern, and the bytes that
/// all messages of this subscription begin with. In RESP3 only a push is a message: an array is a reply,
/// or a part of one.
pub(super) fn message(frame: &[u8], protocol: Protocol) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    let mut next = || {
        let (part, length) = Part::decode(&frame[at..], &UNLIMITED).ok()??;
        at += length;
        Some(part)
    };
    let Part::Header { kind, items } = next()? else { return None };
    let is_message = match protocol {
        Protocol::Resp2 => kind == b'*',
        Protocol::Resp3 => kind == b'>',
    };
    if !is_message {
        return None;
    }
    let mut bulk = || match next()? {
        Part::Bulk { kind: b'$', data } => Some(data),
        _ => None,
    };
    let channel = match (bulk()?, items) {
        (b"message" | b"smessage", 3) => bulk()?,
        (b"pmessage", 4) => {
            let _pattern = bulk()?;
            bulk()?
        }
        _ => return None,
    };
    Some((channel, &frame[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::reply;
    use crate::pubsub::message::ChannelKind;

    #[test]
    fn each_value_ends_where_the_next_one_begins() {
        for value in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":1\r\n",
            "$3\r\na\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "_\r\n",
            ",1.5\r\n",
            "=5\r\ntxt:a\r\n",
            "%1\r\n+a\r\n*2\r\n:1\r\n$0\r\n\r\n",
            "|1\r\n+a\r\n+b\r\n:7\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n\r\n\r\n",
        ] {
            let whole = [value, "+next\r\n"].concat();
            assert_eq!(length(whole.as_bytes()), Some(value.len()), "{value:?}");
            for end in 0..value.len() {
                assert_eq!(length(&value.as_bytes()[..end]), None, "{value:?} cut at {end}");
            }
        }
    }

    #[test]
    fn an_array_is_no_message_in_resp3() {
        let array = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
        assert!(message(array, Protocol::Resp2).is_some());
        assert_eq!(message(array, Protocol::Resp3), None);
    }

    #[test]
    fn messages_are_known_by_their_channel() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for kind in [ChannelKind::Channels, ChannelKind::Shards] {
                let frame = |payload: &[u8]| {
                    let mut frame = Vec::new();
                    kind.write(&mut frame, protocol, b"n\r\nws", payload);
                    frame
                };
                let (one, two) = (frame(b"1"), frame(b"22"));
                assert_eq!(length(&one), Some(one.len()));
                let (channel, start) = message(&one, protocol).unwrap();
                assert_eq!(channel, b"n\r\nws");
                assert_eq!(message(&two, protocol).unwrap().1, start);
            }
            let mut frame = Vec::new();
            reply::pattern_message(&mut frame, protocol, b"n*", b"news", b"x");
            assert_eq!(message(&frame, protocol).unwrap().0, b"news");
        }
        let confirmation = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
        for other in
            [&confirmation[..], b"+OK\r\n", b"$7\r\nmessage\r\n", b"*1\r\n$7\r\nmessage\r\n"]
        {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                assert_eq!(message(other, protocol), None);
            }
        }
    }
}
