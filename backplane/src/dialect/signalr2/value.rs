//! The JSON inside a message: invocations of a hub, and commands for a connection.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::item::{Change, Malformed};
use crate::invocation::Invocation;

#[derive(Serialize)]
struct HubInvocation<'a> {
    #[serde(rename = "H")]
    hub: &'a str,
    #[serde(rename = "M")]
    method: &'a str,
    #[serde(rename = "A")]
    arguments: &'a RawValue,
}

/// The caller's state is for clients of SignalR 2 only.
#[derive(Deserialize)]
struct ReadInvocation {
    #[serde(rename = "H", default)]
    hub: Option<Box<str>>,
    #[serde(rename = "M")]
    method: String,
    #[serde(rename = "A")]
    arguments: Box<RawValue>,
    #[serde(rename = "S", default)]
    state: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Command<'a> {
    wait_for_ack: bool,
    id: &'a str,
    command_type: u8,
    value: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReadCommand {
    command_type: CommandType,
    #[serde(default)]
    value: Option<String>,
}

/// A custom serializer of the application may write names.
#[derive(Deserialize)]
#[serde(untagged)]
enum CommandType {
    Number(u8),
    Name(String),
}

pub(super) fn of_invocation(hub: &str, invocation: &Invocation) -> Vec<u8> {
    let value =
        HubInvocation { hub, method: invocation.method(), arguments: invocation.arguments() };
    serde_json::to_vec(&value).expect("strings and raw JSON can be written")
}

pub(super) fn invocation(value: &[u8]) -> Result<Invocation, Malformed> {
    let read: ReadInvocation = serde_json::from_slice(value)
        .map_err(|source| Malformed::Json { expected: "an invocation", source })?;
    Ok(Invocation::from_raw(read.method, read.arguments, read.hub, read.state)?)
}

pub(super) fn of_command(id: &str, change: &Change) -> Vec<u8> {
    let (command_type, value) = match change {
        Change::Initialize => (0, None),
        Change::Join { signal } => (1, Some(signal.as_str())),
        Change::Leave { signal } => (2, Some(signal.as_str())),
        Change::Abort => (3, None),
    };
    let command = Command { wait_for_ack: true, id, command_type, value };
    serde_json::to_vec(&command).expect("strings can be written")
}

/// Decodes a command. Returns `None` for unsupported commands.
pub(super) fn change(value: &[u8]) -> Result<Option<Change>, Malformed> {
    let read: ReadCommand = serde_json::from_slice(value)
        .map_err(|source| Malformed::Json { expected: "a command", source })?;
    let number = match &read.command_type {
        CommandType::Number(number) => usize::from(*number),
        CommandType::Name(name) => {
            NAMES.iter().position(|known| known == name).unwrap_or(usize::MAX)
        }
    };
    Ok(match (number, read.value) {
        (0, _) => Some(Change::Initialize),
        (1, Some(signal)) => Some(Change::Join { signal }),
        (2, Some(signal)) => Some(Change::Leave { signal }),
        (3, _) => Some(Change::Abort),
        _ => None,
    })
}

const NAMES: [&str; 4] = ["Initializing", "AddToGroup", "RemoveFromGroup", "Abort"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_written_and_read_back() {
        let sent = Invocation::new("say", ("hi \u{1f600}", 1)).unwrap();
        let value = of_invocation("ChatHub", &sent);
        assert_eq!(
            value,
            "{\"H\":\"ChatHub\",\"M\":\"say\",\"A\":[\"hi \u{1f600}\",1]}".as_bytes()
        );
        let read = invocation(&value).unwrap();
        assert_eq!((read.method(), read.arguments().get()), ("say", sent.arguments().get()));
    }

    #[test]
    fn the_hub_and_the_state_of_a_caller_are_optional() {
        let read =
            invocation(br#"{"H":"ChatHub","M":"say","A":[ 1 ],"S":{"name":"ann"}}"#).unwrap();
        assert_eq!(read.arguments().get(), "[ 1 ]");
        assert_eq!(read.hub(), Some("ChatHub"));
        let expected = r#"{"H":"ChatHub","M":"say","A":[ 1 ],"S":{"name":"ann"}}"#;
        assert_eq!(read.signalr2(), expected);
        let read = invocation(br#"{"M":"say","A":[]}"#).unwrap();
        assert_eq!(read.hub(), None);
        for value in [&b""[..], b"{}", b"[]", br#"{"M":"say"}"#, br#"{"M":"say","A":1}"#] {
            assert!(invocation(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_command_has_a_number_or_a_name() {
        let join = Change::Join { signal: "hg-ChatHub.room".into() };
        let leave = Change::Leave { signal: "hg-ChatHub.room".into() };
        for (kind, expected) in [
            ("0", Some(Change::Initialize)),
            ("1", Some(join.clone())),
            ("2", Some(leave)),
            ("3", Some(Change::Abort)),
            ("4", None),
            (r#""AddToGroup""#, Some(join)),
            (r#""Abort""#, Some(Change::Abort)),
            (r#""Other""#, None),
        ] {
            let value = format!(r#"{{"Id":"x","CommandType":{kind},"Value":"hg-ChatHub.room"}}"#);
            assert_eq!(change(value.as_bytes()).unwrap(), expected, "{kind}");
        }
        assert_eq!(change(&of_command("x", &Change::Abort)).unwrap(), Some(Change::Abort));
        assert!(change(b"{}").is_err());
    }
}
