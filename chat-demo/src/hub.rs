//! The tutorial's hub: a message goes to all clients, or to all clients in a room.
//!
//! A room is a group. The hub checks the length of each text, since a client other than the page
//! may call it. If the backplane does not accept a message, the sender gets an error and the log a
//! line.

use backplane::Backplane;
use serde::Serialize;
use signalr::{Caller, Hub, HubError, Options, Recipients};
use tracing::warn;

/// Creates the hub of one server.
pub(crate) fn chat(name: &str, backplane: Backplane, options: Options) -> Hub {
    Hub::new(name, backplane)
        .with_options(options)
        .method("Send", send)
        .method("JoinRoom", join_room)
        .method("LeaveRoom", leave_room)
        .method("SendToRoom", send_to_room)
}

async fn send(caller: Caller, (name, message): (String, String)) -> Result<(), HubError> {
    let arguments = (NAME.check(&name)?, MESSAGE.check_length(message)?);
    deliver(caller.clients().all(), "broadcastMessage", arguments).await
}

async fn send_to_room(
    caller: Caller,
    (room, name, message): (String, String, String),
) -> Result<(), HubError> {
    let room = ROOM.check(&room)?;
    let arguments = (room.clone(), NAME.check(&name)?, MESSAGE.check_length(message)?);
    deliver(caller.clients().group(room), "roomMessage", arguments).await
}

async fn join_room(caller: Caller, (room,): (String,)) -> Result<(), HubError> {
    let joined = caller.groups().add(&ROOM.check(&room)?).await;
    joined.map_err(|error| {
        warn!(%error, "room not joined");
        HubError::new(format!("the room was not joined: {error}"))
    })
}

async fn leave_room(caller: Caller, (room,): (String,)) -> Result<(), HubError> {
    let left = caller.groups().remove(&ROOM.check(&room)?).await;
    left.map_err(|error| {
        warn!(%error, "room not left");
        HubError::new(format!("the room was not left: {error}"))
    })
}

async fn deliver(
    recipients: Recipients,
    method: &str,
    arguments: impl Serialize,
) -> Result<(), HubError> {
    recipients.invoke(method, arguments).await.map_err(|error| {
        warn!(%error, "message not sent");
        HubError::new(format!("the message was not sent: {error}"))
    })
}

/// The limits of one text field.
struct Field {
    name: &'static str,
    characters_max: usize,
}

impl Field {
    /// Returns the text without white space around it and with single spaces in it.
    ///
    /// Two spellings of a room that differ in white space name the same room.
    fn check(&self, text: &str) -> Result<String, HubError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().any(char::is_control) {
            return Err(HubError::new(format!(
                "the {} contains control characters; remove them",
                self.name
            )));
        }
        self.check_length(text)
    }

    fn check_length(&self, text: String) -> Result<String, HubError> {
        let Self { name, characters_max } = self;
        match text.chars().count() {
            0 => Err(HubError::new(format!(
                "the {name} is empty; expected 1 to {characters_max} characters"
            ))),
            found if found > *characters_max => Err(HubError::new(format!(
                "the {name} has {found} characters; expected at most {characters_max}"
            ))),
            _ => Ok(text),
        }
    }
}

/// The name of the tutorial's hub class. SignalR 2 servers in the same app address the hub by it.
/// The name of the hub, without that of its app.
pub(crate) const HUB: &str = "ChatHub";
const NAME: Field = Field { name: "name", characters_max: 40 };
const ROOM: Field = Field { name: "room", characters_max: 40 };
const MESSAGE: Field = Field { name: "message", characters_max: 4000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_in_a_field_is_normalized() {
        check(NAME, "  ann\t of \n the  hill ", Ok("ann of the hill"));
    }

    #[test]
    fn lengths_are_limited_in_characters() {
        let longest = "é".repeat(40);
        check(ROOM, &longest, Ok(&longest));
        check(ROOM, &"é".repeat(41), Err("the room has 41 characters; expected at most 40"));
        check(NAME, " \n ", Err("the name is empty; expected 1 to 40 characters"));
        check(NAME, "a\u{0}b", Err("the name contains control characters; remove them"));
    }

    #[test]
    fn a_message_keeps_its_lines() {
        let poem = MESSAGE.check_length("one\n  two".to_owned());
        assert_eq!(poem.unwrap(), "one\n  two");
        assert!(MESSAGE.check_length("x".repeat(4001)).is_err());
    }

    #[expect(clippy::needless_pass_by_value, reason = "the calls are shorter without a &")]
    fn check(field: Field, text: &str, expected: Result<&str, &str>) {
        let found = field.check(text).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
    }
}
