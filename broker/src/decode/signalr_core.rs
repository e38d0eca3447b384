//! Payloads of ASP.NET Core's backplane. The name of the channel determines their kind.

use dialect::aspnetcore::{Ack, Action, Channel, Completion, Envelope, GroupCommand};
use dialect::length_prefix;

use super::SHOWN_BYTES_MAX;
use super::json::{Json, Object};
use super::messagepack;

/// Returns a payload with its address; `None` if it is none of ASP.NET Core.
pub(super) fn decode(channel: &str, payload: &[u8]) -> Option<Json> {
    let (hub, channel) = Channel::parse(channel)?;
    let mut json = Json::new(SHOWN_BYTES_MAX);
    let (to, name) = address(channel);
    let mut with = |write: &dyn Fn(&mut Object<'_>)| {
        json.object(|object| {
            object.text("hub", hub);
            object.text("to", to);
            if let Some(name) = name {
                object.text("name", name);
            }
            write(object);
        });
    };
    match channel {
        Channel::Groups => {
            let command = GroupCommand::decode(payload).ok()?;
            with(&|object| write_command(&command, object));
        }
        Channel::Ack(_) => {
            let ack = Ack::decode(payload).ok()?;
            with(&|object| object.number("id", ack.id));
        }
        Channel::Return(_) => {
            let completion = Completion::decode(payload).ok()?;
            with(&|object| {
                object.text("encoding", completion.encoding);
                object.field("message", |json| frame(completion.frame, json));
            });
        }
        Channel::All | Channel::Connection(_) | Channel::Group(_) | Channel::User(_) => {
            let envelope = Envelope::decode(payload).ok()?;
            with(&|object| write_envelope(&envelope, object));
        }
    }
    Some(json)
}

/// Returns the kind of the receivers, and their name.
fn address(channel: Channel<'_>) -> (&'static str, Option<&str>) {
    match channel {
        Channel::All => ("all", None),
        Channel::Connection(id) => ("connection", Some(id)),
        Channel::Group(name) => ("group", Some(name)),
        Channel::User(name) => ("user", Some(name)),
        Channel::Groups => ("groups", None),
        Channel::Ack(server) => ("ack", Some(server)),
        Channel::Return(server) => ("return", Some(server)),
    }
}

fn write_command(command: &GroupCommand<'_>, object: &mut Object<'_>) {
    object.number("id", command.id);
    object.text("server", command.server);
    object.field("action", |json| match command.action {
        Action::Add => json.string("add"),
        Action::Remove => json.string("remove"),
        Action::Other(action) => json.number(action),
    });
    object.text("group", command.group);
    object.text("connectionId", command.connection_id);
}

/// Writes an envelope with one of its messages, since all have the same content.
fn write_envelope(envelope: &Envelope<'_>, object: &mut Object<'_>) {
    if !envelope.excluded.is_empty() {
        object.field("excluded", |json| json.array(&envelope.excluded, |json, id| json.string(id)));
    }
    object.field("encodings", |json| {
        json.array(&envelope.frames, |json, (name, _)| json.string(name));
    });
    if let Some(reply_to) = envelope.reply_to {
        object.text("invocationId", reply_to.invocation_id);
        object.text("replyTo", reply_to.channel);
    }
    let first = envelope.frames.first().map(|(_, bytes)| *bytes);
    if let Some(bytes) = envelope.frame("json").or(first) {
        object.field("message", |json| frame(bytes, json));
    }
}

/// Writes a hub message of any encoding.
fn frame(bytes: &[u8], json: &mut Json) {
    if let Some(text) = bytes.strip_suffix(&[dialect::json::SEPARATOR])
        && std::str::from_utf8(text).is_ok_and(|text| json.embed(text))
    {
        return;
    }
    let place = length_prefix::split(bytes, bytes.len()).ok().flatten();
    let message = place.filter(|place| place.end == bytes.len()).map(|place| &bytes[place]);
    // The Completion of a client has no prefix.
    if !messagepack::value(message.unwrap_or(bytes), json) {
        json.base64(bytes);
    }
}

#[cfg(test)]
mod tests {
    use dialect::aspnetcore::ReplyTo;
    use dialect::{json, messagepack};

    use super::*;

    #[track_caller]
    fn check(channel: &str, payload: &[u8], expected: &str) {
        assert_eq!(decode(channel, payload).unwrap().into_text(), expected);
    }

    #[test]
    fn an_envelope_shows_one_of_its_messages() {
        let arguments = serde_json::value::to_raw_value(&["hi"]).unwrap();
        let text = json::invocation(None, "say", &arguments);
        let binary = messagepack::invocation(None, "say", &arguments);
        let both = vec![("messagepack", &binary[..]), ("json", &text[..])];
        let envelope = Envelope { excluded: vec!["c1"], frames: both, reply_to: None };
        check(
            "App.ChatHub:group:room",
            &envelope.encode(),
            r#"{"hub":"App.ChatHub","to":"group","name":"room","excluded":["c1"],"encodings":["messagepack","json"],"message":{"type":1,"target":"say","arguments":["hi"]}}"#,
        );
        let reply_to = Some(ReplyTo { invocation_id: "7", channel: "x" });
        let envelope =
            Envelope { excluded: vec![], frames: vec![("messagepack", &binary)], reply_to };
        check(
            "App.ChatHub:all",
            &envelope.encode(),
            r#"{"hub":"App.ChatHub","to":"all","encodings":["messagepack"],"invocationId":"7","replyTo":"x","message":[1,{},null,"say",["hi"],[]]}"#,
        );
    }

    #[test]
    fn internal_payloads_are_decoded() {
        check(
            "Hub:internal:groups",
            b"\x95\x2a\xa1S\x01\xa1G\xa1C",
            r#"{"hub":"Hub","to":"groups","id":42,"server":"S","action":"add","group":"G","connectionId":"C"}"#,
        );
        check("Hub:internal:ack:S", b"\x91\x2a", r#"{"hub":"Hub","to":"ack","name":"S","id":42}"#);
        let frame = b"\x95\x03\x80\xa17\x03\x2a";
        let completion = Completion { encoding: "messagepack", frame };
        check(
            "Hub:internal:return:S",
            &completion.encode(),
            r#"{"hub":"Hub","to":"return","name":"S","encoding":"messagepack","message":[3,{},"7",3,42]}"#,
        );
    }

    #[test]
    fn other_payloads_on_such_channels_are_none() {
        for channel in ["Hub:all", "Hub:internal:groups", "Hub:internal:ack:S", "news"] {
            assert!(decode(channel, b"hello").is_none());
        }
    }
}
