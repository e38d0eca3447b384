//! The hub of the chat: all methods that its pages call. An example to copy.
//!
//! A room is a group. The backplane carries all messages, so the people of a room may be on
//! different servers. The user of a connection is the name in its address: this is a demonstration,
//! and a name is no password. Clients without one, such as the tutorial's, send a name with each
//! message.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use axum::{extract::Query, http::request::Parts};
use backplane::Backplane;
use serde::Deserialize;
use signalr::{CallLimit, Caller, Hub, HubError, HubStream, Local};

use crate::{
    field::{EVERYONE, MESSAGE, NAME, ROOM},
    history::{self, History, Message},
    people::{self, Person},
    server::{self, ServerState},
    streams::Streams,
};

/// The methods of the pages.
#[signalr::client]
pub(crate) trait ChatClient {
    /// A message to all clients: the tutorial's method.
    fn broadcast_message(name: &str, message: &str);
    fn room_message(room: &str, name: &str, message: &str);
    fn private_message(from: &str, to: &str, message: &str);
    fn typing(room: &str, name: &str);
    /// Precedes the history of a room, see [`ChatHub::join_room`].
    fn entered(room: &str);
}

/// A connection that calls the hub.
type Visitor = Caller<ChatClient>;

/// The methods of the hub.
#[signalr::hub(client = ChatClient)]
pub(crate) trait ChatHub {
    /// Sends a message to all clients: the tutorial's method.
    async fn send(&self, caller: &Visitor, name: String, message: String) -> Result<(), HubError>;
    /// Enters a room, and returns its last messages. All of them precede the messages that the
    /// client receives after this result.
    async fn join_room(&self, caller: &Visitor, room: String) -> Result<Vec<Message>, HubError>;
    async fn leave_room(&self, caller: &Visitor, room: String) -> Result<(), HubError>;
    async fn send_to_room(
        &self,
        caller: &Visitor,
        room: String,
        name: String,
        message: String,
    ) -> Result<(), HubError>;
    /// Sends a message to one person, on all devices of both.
    async fn send_to_user(
        &self,
        caller: &Visitor,
        to: String,
        message: String,
    ) -> Result<(), HubError>;
    async fn typing(&self, caller: &Visitor, room: String) -> Result<(), HubError>;
    /// Returns the people in a room, now and after each change.
    fn people(&self, own: &Local<Streams>, room: String) -> HubStream<Vec<Person>>;
    /// Returns the server of this connection, now and after each change of its state.
    fn server(&self, own: &Local<Streams>) -> HubStream<ServerState>;
}

struct Chat {
    server: String,
    history: History,
    backplane: Backplane,
}

/// Creates the hub of one server.
pub(crate) fn chat(name: &str, server: String, backplane: &Backplane, messages: CallLimit) -> Hub {
    let (history, backplane) = (History::keep(backplane, name), backplane.hub(name));
    let chat = Chat { server, history, backplane: backplane.clone() };
    Hub::typed(name, backplane, chat)
        .user_id(user)
        .layer(messages.only(SENDS).spare_guests())
        .layer(CallLimit::per_connection(CALLS_MAX, Duration::from_secs(5)).spare_guests())
}

#[signalr::hub]
impl ChatHub for Chat {
    async fn send(&self, caller: &Visitor, name: String, message: String) -> Result<(), HubError> {
        let (name, message) = (speaker(caller, &name)?, MESSAGE.check_length(message)?);
        let sent = caller.clients().all().broadcast_message(&name, &message).await;
        sent.map_err(not("sent"))
    }

    async fn join_room(&self, caller: &Visitor, room: String) -> Result<Vec<Message>, HubError> {
        let room = ROOM.check(&room)?;
        caller.groups().add(&group(&room)).await.map_err(not("joined"))?;
        let messages = self.history.of(&room).await;
        // The result follows this message, and so all messages in the history.
        caller.clients().caller().entered(&room).await.map_err(not("joined"))?;
        Ok(messages)
    }

    async fn leave_room(&self, caller: &Visitor, room: String) -> Result<(), HubError> {
        let room = ROOM.check(&room)?;
        caller.groups().remove(&group(&room)).await.map_err(not("left"))
    }

    async fn send_to_room(
        &self,
        caller: &Visitor,
        room: String,
        name: String,
        message: String,
    ) -> Result<(), HubError> {
        let room = ROOM.check(&room)?;
        if room == EVERYONE {
            return self.send(caller, name, message).await;
        }
        let (name, message) = (speaker(caller, &name)?, MESSAGE.check_length(message)?);
        // The history of each server is in a group of its own.
        let groups = caller.clients().groups([history::GROUP.to_owned(), group(&room)]);
        groups.room_message(&room, &name, &message).await.map_err(not("sent"))
    }

    async fn send_to_user(
        &self,
        caller: &Visitor,
        to: String,
        message: String,
    ) -> Result<(), HubError> {
        let (from, to) = (speaker(caller, "")?, NAME.check(&to)?);
        let message = MESSAGE.check_length(message)?;
        if from == to {
            return Err(HubError::new("choose another person"));
        }
        if !self.backplane.presence().is_online(&to) {
            return Err(HubError::new(format!("{to} is not here")));
        }
        let both = caller.clients().users([&from, &to]);
        both.private_message(&from, &to, &message).await.map_err(not("sent"))
    }

    async fn typing(&self, caller: &Visitor, room: String) -> Result<(), HubError> {
        let (name, room) = (speaker(caller, "")?, ROOM.check(&room)?);
        let others = caller.clients().others_in_group(group(&room));
        others.typing(&room, &name).await.map_err(not("sent"))
    }

    fn people(&self, own: &Local<Streams>, room: String) -> HubStream<Vec<Person>> {
        own.limited(people::watch(self.backplane.clone(), group(&room)))
    }

    fn server(&self, own: &Local<Streams>) -> HubStream<ServerState> {
        own.limited(server::watch(self.server.clone(), &self.backplane))
    }
}

/// Returns the name of the caller. A connection has the name of its user; other clients, such as the
/// tutorial's, send one with each message.
fn speaker(caller: &Visitor, name: &str) -> Result<String, HubError> {
    NAME.check(caller.user().unwrap_or(name))
}

/// Returns the name in the address of a connection, such as `/chatHub?name=ann`.
fn user(request: &Parts) -> Option<String> {
    #[derive(Deserialize)]
    struct Address {
        name: String,
    }
    let Query(Address { name }) = Query::try_from_uri(&request.uri).ok()?;
    NAME.check(&name).ok()
}

/// Returns the group of a room.
fn group(room: &str) -> String {
    format!("room:{room}")
}

/// Returns the error for a request that did not reach the broker.
fn not<E: fmt::Display>(done: &str) -> impl FnOnce(E) -> HubError {
    move |error| {
        tracing::warn!(%error, "call not passed to the broker");
        HubError::new(format!("not {done}: {error}"))
    }
}

/// The name of the tutorial's hub class. SignalR 2 servers in the same app address the hub by it.
pub(crate) const HUB: &str = "ChatHub";
/// The groups of rooms. The servers announce the members of these groups to each other.
pub(crate) const ROOMS: &str = "room:*";
/// Maximum number of rooms of one connection.
pub(crate) const ROOMS_MAX: usize = 20;
/// Maximum number of calls of one connection of a person within five seconds, such as those of a page
/// that enters its rooms again. Clients without a name are the tutorial's, which has no limit.
const CALLS_MAX: u32 = 100;
/// The methods that send messages.
const SENDS: [&str; 3] = ["Send", "SendToRoom", "SendToUser"];
