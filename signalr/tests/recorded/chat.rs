//! The hub of the recorded server of SignalR 2.

use std::time::Duration;

use backplane::Backplane;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use signalr::{Caller, Hub, HubError, Recipients};
use tokio::time;

/// Adds the methods of the chat.
pub(crate) fn chat_hub(hub: Hub, backplane: &Backplane) -> Hub {
    let hub = outside(hub, backplane);
    let hub =
        hub.method("WhoAmI", |caller: Caller, (): ()| async move {
            Ok(caller.connection_id().to_owned())
        })
        .method("Send", |caller: Caller, message: Message| async move {
            broadcast(caller.clients().all(), message).await
        })
        .method("SendToOthers", |caller: Caller, message: Message| async move {
            broadcast(caller.clients().others(), message).await
        })
        .method("SendNothing", |caller: Caller, (): ()| async move {
            broadcast(caller.clients().all(), ()).await
        })
        .method("SendMany", |caller: Caller, (name,): (String,)| async move {
            let five = Five { five: 5, time: "2024-01-02T03:04:05Z" };
            let id = "00000000-0000-0000-0000-000000000000";
            let many = (name, 1, 2.5, "3", None::<()>, five, [6, 7], id, true, "00:00:10");
            broadcast(caller.clients().all(), many).await
        })
        .method("SendToUser", |caller: Caller, to: Addressed| async move {
            let (user, name, message) = to;
            broadcast(caller.clients().user(user), (name, message)).await
        })
        .method("SendToClient", |caller: Caller, to: Addressed| async move {
            let (id, name, message) = to;
            Ok(caller.clients().connection(id).invoke(BROADCAST, (name, message)).await?)
        })
        .method("SendAllExcept", |caller: Caller, to: Addressed| async move {
            let (id, name, message) = to;
            broadcast(caller.clients().all_except([id]), (name, message)).await
        });
    rooms(hub)
}

/// Adds the methods that act on other connections and other hubs.
fn outside(hub: Hub, backplane: &Backplane) -> Hub {
    let (groups, other) = (hub.groups(), Hub::new("OtherHub", backplane.clone()));
    hub.method("AddToRoom", move |(id, room): (String, String)| {
        let groups = groups.clone();
        async move { Ok(groups.add(&id, &room).await?) }
    })
    .method("Foreign", move |caller: Caller, (): ()| {
        let other = other.clone();
        async move {
            broadcast(other.clients().all(), ("other", "hub")).await?;
            broadcast(caller.clients().all(), ("outside", "hub context")).await
        }
    })
}

fn rooms(hub: Hub) -> Hub {
    hub.stream("Progress", |(count,): (u32,)| async move {
        Ok(stream::iter(0..count).then(|number| async move {
            if number > 0 {
                time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, HubError>(number)
        }))
    })
    .method("JoinRoom", |caller: Caller, (room,): (String,)| async move {
        Ok(caller.groups().add(&room).await?)
    })
    .method("LeaveRoom", |caller: Caller, (room,): (String,)| async move {
        Ok(caller.groups().remove(&room).await?)
    })
    .method("SendToRoom", |caller: Caller, to: Addressed| async move {
        Ok(caller.clients().group(&to.0).invoke("roomMessage", to).await?)
    })
    .method("SendToOthersInRoom", |caller: Caller, to: Addressed| async move {
        Ok(caller.clients().others_in_group(&to.0).invoke("roomMessage", to).await?)
    })
    .method("SendLists", |caller: Caller, lists: Lists| async move {
        let (ids, users, rooms, name) = lists;
        let clients = caller.clients();
        for id in ids {
            clients.connection(id).invoke(BROADCAST, (&name, "clients")).await?;
        }
        for user in users {
            clients.user(user).invoke(BROADCAST, (&name, "users")).await?;
        }
        for room in rooms {
            clients.group(room).invoke(BROADCAST, (&name, "groups")).await?;
        }
        Ok(())
    })
}

async fn broadcast(to: Recipients, arguments: impl Serialize) -> Result<(), HubError> {
    Ok(to.invoke(BROADCAST, arguments).await?)
}

type Message = (String, String);
/// A connection, a user or a room, then a name and a message.
type Addressed = (String, String, String);
type Lists = (Vec<String>, Vec<String>, Vec<String>, String);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Five {
    five: u8,
    time: &'static str,
}

const BROADCAST: &str = "broadcastMessage";
