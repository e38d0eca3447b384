//! Payloads of SignalR 2's stream.

use dialect::signalr2::{Message, read, split};

use super::SHOWN_BYTES_MAX;
use super::json::{Json, Object};

/// Returns a payload with its messages; `None` if it is none of SignalR 2.
pub(super) fn decode(payload: &[u8]) -> Option<Json> {
    // Few payloads of others begin like this.
    split(payload)?;
    let payload = read(payload, |message| message).ok()?;
    let mut json = Json::new(SHOWN_BYTES_MAX);
    json.object(|object| {
        object.number("id", payload.id);
        object.field("messages", |json| {
            json.array(payload.messages, |json, message| {
                json.object(|object| write(&message, object));
            });
        });
    });
    Some(json)
}

/// Writes a message without its empty parts.
fn write(message: &Message<'_>, object: &mut Object<'_>) {
    object.text("source", message.source);
    object.text("key", message.key);
    if !message.value.is_empty() {
        object.field("value", |json| json.embed_or_string(message.value));
    }
    for (name, text) in [("commandId", message.command_id), ("filter", message.filter)] {
        if !text.is_empty() {
            object.text(name, text);
        }
    }
    for (name, is_set) in [("waitForAck", message.wait_for_ack), ("isAck", message.is_ack)] {
        if is_set {
            object.field(name, |json| json.bool(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use dialect::signalr2::{body, payload};

    use super::*;

    fn check(message: Message<'_>, expected: &str) {
        let payload = payload(12, &body(&message, 5));
        assert_eq!(decode(&payload).unwrap().into_text(), expected);
    }

    #[test]
    fn an_invocation_has_its_arguments() {
        let value = br#"{"H":"ChatHub","M":"say","A":["hi"]}"#;
        let message = Message { source: "web1", key: "h-ChatHub", value, ..Message::default() };
        check(
            message,
            r#"{"id":12,"messages":[{"source":"web1","key":"h-ChatHub","value":{"H":"ChatHub","M":"say","A":["hi"]}}]}"#,
        );
    }

    #[test]
    fn other_messages_have_their_parts() {
        let message = Message {
            source: "web1",
            key: "c-1",
            value: b"no JSON",
            command_id: "7",
            wait_for_ack: true,
            is_ack: true,
            filter: "c-2|c-3",
        };
        check(
            message,
            r#"{"id":12,"messages":[{"source":"web1","key":"c-1","value":"no JSON","commandId":"7","filter":"c-2|c-3","waitForAck":true,"isAck":true}]}"#,
        );
        assert!(decode(b"12 hello").is_none());
    }
}
