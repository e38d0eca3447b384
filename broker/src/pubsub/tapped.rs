//! A published message as a tap shows it: one line of JSON.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};

use super::message::ChannelKind;
use crate::decode::{Json, decode};

/// A copy of a published message.
#[derive(Debug)]
pub(super) struct Tapped {
    /// The time since 1970.
    pub(super) time: Duration,
    pub(super) kind: ChannelKind,
    /// The start of the channel, or all of it.
    pub(super) channel: Bytes,
    /// The start of the payload, or all of it.
    pub(super) payload: Bytes,
    pub(super) whole_bytes: usize,
    pub(super) receivers: usize,
    /// `None` for the server itself and for programs in its process.
    pub(super) publisher: Option<Arc<dyn Publisher>>,
}

/// A client that publishes. It is described by the thread that decodes, not by the publisher's.
pub(crate) trait Publisher: fmt::Debug + Send + Sync {
    fn describe(&self) -> PublisherNames;

    /// Returns whether it carries out the stream of the server's master.
    fn is_master(&self) -> bool;
}

/// The names of a client.
#[derive(Debug)]
pub(crate) struct PublisherNames {
    pub(crate) id: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) address: String,
    pub(crate) user: Vec<u8>,
}

/// A name of a client is shown up to this length, in bytes.
const NAME_BYTES_MAX: usize = 256;

impl Tapped {
    /// Returns the line without its last field and its end, which differ between taps.
    pub(super) fn line(&self) -> String {
        let decoded = decode(&self.channel, &self.payload, self.whole_bytes);
        let mut json = Json::new(usize::MAX);
        json.object(|object| {
            object.text("time", &time(self.time));
            object.field("channel", |json| json.lossy(&self.channel));
            if self.kind == ChannelKind::Shards {
                object.field("shard", |json| json.bool(true));
            }
            object.field("publisher", |json| match &self.publisher {
                Some(publisher) => publisher.describe().write(json),
                None => json.raw("null"),
            });
            object.number("bytes", self.whole_bytes);
            object.number("receivers", self.receivers);
            object.text("kind", decoded.kind);
            object.field("payload", |json| json.raw(&decoded.json));
            if decoded.is_truncated {
                object.field("truncated", |json| json.bool(true));
            }
        });
        let mut line = json.into_text();
        line.pop();
        line
    }
}

impl PublisherNames {
    fn write(&self, json: &mut Json) {
        let start = |bytes: &[u8]| bytes[..bytes.len().min(NAME_BYTES_MAX)].to_vec();
        json.object(|object| {
            object.number("id", self.id);
            object.field("name", |json| json.lossy(&start(&self.name)));
            object.text("addr", &self.address);
            object.field("user", |json| json.lossy(&start(&self.user)));
        });
    }
}

/// Returns a time since 1970 as ISO 8601 has it, in UTC.
fn time(since_1970: Duration) -> String {
    let millis = i64::try_from(since_1970.as_millis()).unwrap_or_default();
    let time = DateTime::from_timestamp_millis(millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Web1;

    impl Publisher for Web1 {
        fn is_master(&self) -> bool {
            false
        }

        fn describe(&self) -> PublisherNames {
            PublisherNames {
                id: 7,
                name: b"web\"1".to_vec(),
                address: "10.0.0.5:4711".to_owned(),
                user: b"default".to_vec(),
            }
        }
    }

    fn tapped(payload: &'static [u8]) -> Tapped {
        Tapped {
            time: Duration::from_millis(1_795_893_201_483),
            kind: ChannelKind::Channels,
            channel: Bytes::from_static(b"Chat\xff"),
            payload: Bytes::from_static(payload),
            whole_bytes: payload.len(),
            receivers: 4,
            publisher: Some(Arc::new(Web1)),
        }
    }

    #[test]
    fn a_line_has_time_channel_publisher_and_payload() {
        let expected = r#"{"time":"2026-11-28T19:13:21.483Z","channel":"Chat�","publisher":{"id":7,"name":"web\"1","addr":"10.0.0.5:4711","user":"default"},"bytes":7,"receivers":4,"kind":"json","payload":{"a":1}"#;
        assert_eq!(tapped(b"{\"a\":1}").line(), expected);
    }

    #[test]
    fn a_message_of_the_server_itself_has_no_publisher() {
        let message = Tapped {
            publisher: None,
            kind: ChannelKind::Shards,
            whole_bytes: 9000,
            ..tapped(b"a")
        };
        let line = message.line();
        assert!(line.contains(r#","shard":true,"publisher":null,"bytes":9000,"#), "{line}");
        assert!(line.ends_with(r#""kind":"text","payload":"a","truncated":true"#), "{line}");
    }
}
