//! Methods that only the tests of SignalR 2's clients call.

use serde_json::Value;
use signalr::{Caller, Hub, HubError};

/// Adds methods for groups, values of all types, errors and the state of a proxy.
pub(crate) fn test_hub(hub: Hub) -> Hub {
    hub.method("Join", |caller: Caller, (group,): (String,)| async move {
        Ok(caller.groups().add(&group).await?)
    })
    .method("Leave", |caller: Caller, (group,): (String,)| async move {
        Ok(caller.groups().remove(&group).await?)
    })
    .method("SendToGroup", |caller: Caller, (group, message): (String, String)| async move {
        Ok(caller.clients().group(group).invoke("Message", (message,)).await?)
    })
    .method("EchoValue", |_: Caller, (value,): (Value,)| async move { Ok(value) })
    .method("Refuse", |_: Caller, (reason,): (String,)| async move {
        Err::<(), _>(HubError::new(reason))
    })
    .method("RefuseWith", |_: Caller, (reason, data): (String, Value)| async move {
        Err::<(), _>(HubError::new(reason).with_data(data)?)
    })
    .method("CountCalls", |caller: Caller, ()| async move {
        let calls = caller.state().get("calls").unwrap_or(0) + 1;
        caller.state().set("calls", calls)?;
        Ok(calls)
    })
}

/// Makes a hub that greets each client twice and adds it to a group.
pub(crate) fn greeting_hub(hub: Hub) -> Hub {
    const GREETED: &str = "greeted";
    hub.on_connected(|caller: Caller| async move {
        caller.groups().add(GREETED).await?;
        for number in [1, 2] {
            caller.clients().caller().invoke("greet", (number,)).await?;
        }
        Ok(())
    })
    .method("Ping", |caller: Caller, ()| async move {
        Ok(caller.clients().caller().invoke("pong", ()).await?)
    })
    .method("PingGroup", |caller: Caller, ()| async move {
        Ok(caller.clients().group(GREETED).invoke("ping", ()).await?)
    })
}
