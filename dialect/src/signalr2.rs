//! The bytes of SignalR 2's stream, as .NET's `BinaryWriter` writes them.
//!
//! ```text
//! payload         := decimal id , space , body
//! body            := int32 length , ScaleoutMessage[length]
//! ScaleoutMessage := int32 count , Message * count , int64 ticks
//! Message         := string source , string key , int32 length , value[length] ,
//!                    string command id , bool wait for ack , bool is ack , string filter
//! string          := length in 7 bit groups, least first , UTF-8
//! ```
//!
//! Integers are little-endian. The decoder is strict, since only damage or a foreign publisher
//! causes deviations. It never allocates more than the input can fill.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use thiserror::Error;

/// One message to encode, or borrowed from a payload.
///
/// ```
/// let message = dialect::signalr2::Message { key: "h-ChatHub", value: b"{}", ..Default::default() };
/// assert!(!message.is_ack);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The connection or application that sent it.
    pub source: &'a str,
    /// The signal that it addresses.
    pub key: &'a str,
    /// JSON, if the key addresses clients of a hub or is a command.
    pub value: &'a [u8],
    /// Empty, except for commands and acknowledgements.
    pub command_id: &'a str,
    /// Whether the sender of a command waits for its acknowledgement.
    pub wait_for_ack: bool,
    /// Whether it is an acknowledgement.
    pub is_ack: bool,
    /// Signals to exclude, separated by `|`.
    pub filter: &'a str,
}

/// The content of one payload. All of its messages share one id.
///
/// ```
/// let body = dialect::signalr2::body(&Default::default(), 5);
/// let payload = dialect::signalr2::payload(7, &body);
/// let read = dialect::signalr2::read(&payload, |message| message.is_ack)?;
/// assert_eq!(read, dialect::signalr2::Payload { id: 7, messages: vec![false], ticks: 5 });
/// # Ok::<(), dialect::signalr2::Malformed>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Payload<T> {
    /// The number of the payload on its channel.
    pub id: u64,
    /// The results of the function for each message.
    pub messages: Vec<T>,
    /// The sender's clock at the time of encoding, in .NET's ticks of 100 ns.
    pub ticks: i64,
}

/// The reason why a payload is not readable: a foreign publisher, or damage.
///
/// ```
/// let error = dialect::signalr2::read(b"hello", |_| ()).unwrap_err();
/// assert_eq!(error, dialect::signalr2::Malformed::NoId);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The payload does not begin with an id.
    #[error("expected a number and a space, found neither")]
    NoId,
    /// The payload ends too early.
    #[error("expected {expected}, found the end at byte {at}")]
    Short {
        /// The part that is missing.
        expected: &'static str,
        /// The length of the payload.
        at: usize,
    },
    /// A part of the payload has another form.
    #[error("expected {expected}, found something else at byte {at}")]
    Unexpected {
        /// The part that was expected.
        expected: &'static str,
        /// The place of the found part.
        at: usize,
    },
}

/// Encodes a body with one message, like SignalR.
///
/// # Panics
///
/// If the message exceeds 2 GiB.
///
/// ```
/// let body = dialect::signalr2::body(&Default::default(), 0);
/// assert_eq!(body[..8], [22, 0, 0, 0, 1, 0, 0, 0]);
/// ```
pub fn body(message: &Message<'_>, ticks: i64) -> Bytes {
    let mut bytes = vec![0; 4];
    bytes.extend(1_i32.to_le_bytes());
    string(&mut bytes, message.source);
    string(&mut bytes, message.key);
    bytes.extend(length(message.value).to_le_bytes());
    bytes.extend(message.value);
    string(&mut bytes, message.command_id);
    bytes.extend([u8::from(message.wait_for_ack), u8::from(message.is_ack)]);
    string(&mut bytes, message.filter);
    bytes.extend(ticks.to_le_bytes());
    let rest = length(&bytes[4..]);
    bytes[..4].copy_from_slice(&rest.to_le_bytes());
    bytes.into()
}

/// Puts the id before a body, as the send script does.
///
/// ```
/// assert_eq!(dialect::signalr2::payload(7, b"body"), "7 body");
/// ```
pub fn payload(id: u64, body: &[u8]) -> Bytes {
    let mut bytes = id.to_string().into_bytes();
    bytes.push(b' ');
    bytes.extend(body);
    bytes.into()
}

/// Decodes a payload, and passes each message to `each`.
///
/// # Errors
///
/// [`Malformed`] if the payload has another form than SignalR 2 writes.
///
/// ```
/// use dialect::signalr2::{Message, body, payload, read};
///
/// let message = Message { key: "h-ChatHub", value: b"{}", ..Message::default() };
/// let read = read(&payload(7, &body(&message, 0)), |message| message.key.to_owned())?;
/// assert_eq!((read.id, &read.messages[..]), (7, &["h-ChatHub".to_owned()][..]));
/// # Ok::<(), dialect::signalr2::Malformed>(())
/// ```
pub fn read<'a, T>(
    payload: &'a [u8],
    each: impl Fn(Message<'a>) -> T,
) -> Result<Payload<T>, Malformed> {
    let (id, at) = split(payload).ok_or(Malformed::NoId)?;
    let mut reader = Reader { bytes: payload, at };
    let rest = reader.length("the length of the message")?;
    if rest != payload.len() - reader.at {
        return Err(reader.unexpected("as many bytes as the length states"));
    }
    let count = reader.length("the number of messages")?;
    if count > (payload.len() - reader.at) / MESSAGE_BYTES_MIN {
        return Err(reader.unexpected("no more messages than there are bytes for"));
    }
    // Usually one message. The results of many may exceed the size of the input.
    let mut messages = Vec::with_capacity(count.min(1));
    for _ in 0..count {
        messages.push(each(reader.message()?));
    }
    let ticks = i64::from_le_bytes(reader.array("ticks")?);
    match reader.at == payload.len() {
        true => Ok(Payload { id, messages, ticks }),
        false => Err(reader.unexpected("the end")),
    }
}

/// Returns the id of a payload, and the start of its body.
///
/// ```
/// assert_eq!(dialect::signalr2::split(b"12 body"), Some((12, 3)));
/// assert_eq!(dialect::signalr2::split(b"body"), None);
/// ```
pub fn split(payload: &[u8]) -> Option<(u64, usize)> {
    let space = payload.iter().take(ID_BYTES_MAX + 1).position(|byte| *byte == b' ')?;
    let id = number(&payload[..space]).filter(|id| *id <= ID_MAX)?;
    Some((id, space + 1))
}

/// Returns the current time in .NET's ticks: 100 ns since the year 1.
///
/// ```
/// assert!(dialect::signalr2::ticks_now() > 0);
/// ```
pub fn ticks_now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_nanos() / 100).map_or(i64::MAX, |ticks| ticks + TICKS_AT_1970)
}

const TICKS_AT_1970: i64 = 621_355_968_000_000_000;
/// The maximum of a counter on a server.
const ID_MAX: u64 = i64::MAX as u64;
/// Digits of the largest number.
const ID_BYTES_MAX: usize = 20;
/// Four empty strings, the length of an empty value, and two bools.
const MESSAGE_BYTES_MIN: usize = 10;

/// All input comes from `send`, which limits its size far below 2 GiB.
fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("a message is shorter than 2 GiB")
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    let mut rest = length(text.as_bytes());
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(text.as_bytes());
}

/// Accepts digits only; `str::parse` would accept a sign.
fn number(digits: &[u8]) -> Option<u64> {
    match digits.iter().all(u8::is_ascii_digit) {
        true => std::str::from_utf8(digits).ok()?.parse().ok(),
        false => None,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn message(&mut self) -> Result<Message<'a>, Malformed> {
        Ok(Message {
            source: self.string("a source")?,
            key: self.string("a key")?,
            value: {
                let length = self.length("the length of a value")?;
                self.take(length, "a value")?
            },
            command_id: self.string("a command id")?,
            wait_for_ack: self.bool("whether an acknowledgement is wanted")?,
            is_ack: self.bool("whether it is an acknowledgement")?,
            filter: self.string("a filter")?,
        })
    }

    fn string(&mut self, expected: &'static str) -> Result<&'a str, Malformed> {
        let length = self.varint(expected)?;
        let bytes = self.take(length, expected)?;
        std::str::from_utf8(bytes).map_err(|_| self.unexpected(expected))
    }

    /// Reads at most five groups, and no more than an `int` can hold.
    fn varint(&mut self, expected: &'static str) -> Result<usize, Malformed> {
        let mut value = 0_u64;
        for group in 0..5 {
            let [byte] = self.array(expected)?;
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                let value = i32::try_from(value).ok().and_then(|value| usize::try_from(value).ok());
                return value.ok_or_else(|| self.unexpected(expected));
            }
        }
        Err(self.unexpected(expected))
    }

    fn length(&mut self, expected: &'static str) -> Result<usize, Malformed> {
        let length = i32::from_le_bytes(self.array(expected)?);
        usize::try_from(length).map_err(|_| self.unexpected(expected))
    }

    fn bool(&mut self, expected: &'static str) -> Result<bool, Malformed> {
        match self.array(expected)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N, expected)?;
        Ok(bytes.try_into().expect("as many were taken"))
    }

    fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(Malformed::Short { expected, at: self.bytes.len() });
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn unexpected(&self, expected: &'static str) -> Malformed {
        Malformed::Unexpected { expected, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Result<Payload<Message<'_>>, Malformed> {
        super::read(payload, |message| message)
    }

    /// 2024-01-02T03:04:05Z.
    const TICKS: i64 = 638_397_614_450_000_000;
    const SOURCE: &str = "11111111-1111-1111-1111-111111111111";
    const CONNECTION: &str = "22222222-2222-2222-2222-222222222222";
    const COMMAND: &str = "33333333-3333-3333-3333-333333333333";

    /// Concatenates parts: bytes in hexadecimal, and texts that start with a quote.
    fn bytes(parts: &[&str]) -> Vec<u8> {
        let hex = |part: &str| -> Vec<u8> {
            part.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
        };
        let part = |part: &&str| match part.strip_prefix('"') {
            Some(text) => text.as_bytes().to_vec(),
            None => hex(part),
        };
        parts.iter().flat_map(part).collect()
    }

    fn check(message: &Message<'_>, id: u64, length: usize, expected: &[&str]) {
        let written = body(message, TICKS);
        assert_eq!(written, bytes(expected));
        assert_eq!(written.len(), length);
        let payload = payload(id, &written);
        assert!(payload.starts_with(format!("{id} ").as_bytes()));
        let read = read(&payload).unwrap();
        assert_eq!(read, Payload { id, messages: vec![*message], ticks: TICKS });
    }

    #[test]
    fn an_invocation_of_all_is_written_as_signalr_does() {
        let value = br#"{"H":"ChatHub","M":"say","A":["hi"]}"#;
        let message = Message { source: SOURCE, key: "h-ChatHub", value, ..Message::default() };
        let source = &format!("\"{SOURCE}");
        check(
            &message,
            1,
            107,
            &[
                "67 00 00 00 01 00 00 00 24",
                source,
                "09 68 2D 43 68 61 74 48 75 62 24 00 00 00",
                "7B 22 48 22 3A 22 43 68 61 74 48 75 62 22 2C 22 4D 22 3A 22 73 61 79 22 2C 22 41 22",
                "3A 5B 22 68 69 22 5D 7D 00 00 00 00 80 C0 BF 7A 3F 0B DC 08",
            ],
        );
    }

    #[test]
    fn a_command_is_written_as_signalr_does() {
        let value = format!(
            r#"{{"WaitForAck":true,"Id":"{COMMAND}","CommandType":1,"Value":"hg-ChatHub.room"}}"#
        );
        let key = format!("c-{CONNECTION}");
        let message = Message {
            source: SOURCE,
            key: &key,
            value: value.as_bytes(),
            command_id: COMMAND,
            wait_for_ack: true,
            ..Message::default()
        };
        let texts = [SOURCE.to_owned(), key.clone(), value.clone(), COMMAND.into()]
            .map(|t| format!("\"{t}"));
        let [source, key, value, command] = &texts;
        check(
            &message,
            0x4AC5,
            241,
            &[
                "ED 00 00 00 01 00 00 00 24",
                source,
                "26",
                key,
                "69 00 00 00",
                value,
                "24",
                command,
                "01 00 00 80 C0 BF 7A 3F 0B DC 08",
            ],
        );
    }

    #[test]
    fn an_acknowledgement_is_written_as_signalr_does() {
        let message = Message {
            source: CONNECTION,
            key: "__SIGNALR__SERVER__",
            command_id: COMMAND,
            is_ack: true,
            ..Message::default()
        };
        let (source, command) = (&format!("\"{CONNECTION}"), &format!("\"{COMMAND}"));
        check(
            &message,
            ID_MAX,
            117,
            &[
                "71 00 00 00 01 00 00 00 24",
                source,
                "13",
                "\"__SIGNALR__SERVER__",
                "00 00 00 00 24",
                command,
                "00 01 00 80 C0 BF 7A 3F 0B DC 08",
            ],
        );
    }

    #[test]
    fn a_long_string_has_its_length_in_groups() {
        for (length, prefix) in [
            (127, &[0x7f][..]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (16_384, &[0x80, 0x80, 1]),
        ] {
            let key = "k".repeat(length);
            let body = body(&Message { key: &key, ..Message::default() }, 0);
            assert_eq!(&body[9..9 + prefix.len()], prefix, "{length}");
            assert_eq!(read(&payload(1, &body)).unwrap().messages[0].key, key);
        }
    }

    #[test]
    fn any_number_of_messages_shares_an_id() {
        let none = bytes(&["\"7 ", "0C 00 00 00 00 00 00 00", "00 00 00 00 00 00 00 00"]);
        assert_eq!(read(&none).unwrap(), Payload { id: 7, messages: vec![], ticks: 0 });
        let message = "00 01 6B 00 00 00 00 00 00 00 00";
        let two = ["\"8 ", "22 00 00 00 02 00 00 00", message, message, "00 00 00 00 00 00 00 00"];
        assert_eq!(read(&bytes(&two)).unwrap().messages.len(), 2);
    }

    #[test]
    fn a_payload_of_another_length_is_rejected() {
        let value = br#"{"H":"ChatHub","M":"say","A":["hi"]}"#;
        let message = Message { source: SOURCE, key: "h-ChatHub", value, ..Message::default() };
        let whole = payload(123, &body(&message, TICKS));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn malformed_payloads_are_rejected() {
        for payload in [
            "\"hello",
            "\" ",
            "\"+1 ",
            "\"-1 ",
            "\"18446744073709551616 ",
            "\"999999999999999999999 ",
            "\"1 ",
        ] {
            assert!(read(&bytes(&[payload])).is_err(), "{payload}");
        }
        let body = |parts: &[&str]| bytes(&[&["\"1 "], parts].concat());
        // In order: a negative length, a negative count, more messages than fit, a string without
        // end, a string longer than an int, a value longer than the rest, a bool of two, invalid
        // UTF-8.
        for parts in [
            &["FF FF FF FF"][..],
            &["04 00 00 00 FF FF FF FF"],
            &["04 00 00 00 FF FF FF 7F"],
            &["0A 00 00 00 01 00 00 00 FF FF FF FF FF FF"],
            &["16 00 00 00 01 00 00 00 FF FF FF FF 0F", "00 00 00 00 00 00 00 00 00 00 00 00 00"],
            &["16 00 00 00 01 00 00 00 00 00 FF FF FF 7F", "00 00 00 00 00 00 00 00 00 00 00 00"],
            &["16 00 00 00 01 00 00 00 00 00 00 00 00 00 00 02 00 00", "00 00 00 00 00 00 00 00"],
            &[
                "17 00 00 00 01 00 00 00 01 FF 00 00 00 00 00 00 00 00 00",
                "00 00 00 00 00 00 00 00",
            ],
        ] {
            assert!(read(&body(parts)).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn damaged_payloads_never_yield_more_messages_than_fit() {
        let value = [7; 40];
        let message =
            Message { source: SOURCE, key: "h-ChatHub", value: &value, ..Message::default() };
        let whole = payload(123, &body(&message, TICKS));
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut damaged = whole.to_vec();
                damaged[at] = byte;
                if let Ok(payload) = read(&damaged) {
                    assert!(payload.messages.len() <= whole.len() / MESSAGE_BYTES_MIN);
                }
            }
        }
    }

    #[test]
    fn time_is_counted_as_dotnet_does() {
        assert!(ticks_now() > TICKS);
        assert_eq!(TICKS, 1_704_164_645 * 10_000_000 + TICKS_AT_1970);
    }
}
