//! The hubs that clients call.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signalr::{Caller, Hub, HubError};

use crate::requests::Requests;

/// Adds the methods of the main hub.
pub(crate) fn test_hub(hub: Hub, requests: &Requests) -> Hub {
    let hub = messages(hub);
    about_the_request(hub, requests)
}

fn messages(hub: Hub) -> Hub {
    hub.method("Echo", |_: Caller, (message,): (String,)| async move { Ok(message) })
        .method("GetCallerConnectionId", |caller: Caller, ()| async move {
            Ok(caller.connection_id().to_owned())
        })
        .method("ThrowException", |_: Caller, (message,): (String,)| async move {
            Err::<(), _>(InvalidOperationException(message).into())
        })
        .method("InvokeWithString", |caller: Caller, (message,): (String,)| async move {
            Ok(caller.clients().caller().invoke("Message", (message,)).await?)
        })
        .method("SendCustomObject", |caller: Caller, (object,): (CustomObject,)| async move {
            Ok(caller.clients().caller().invoke("CustomObject", (object,)).await?)
        })
        .method(
            "EchoComplexObject",
            |_: Caller, (object,): (ComplexObject,)| async move { Ok(object) },
        )
        .method("SendComplexObject", |_: Caller, ()| async move { Ok(ComplexObject::example()) })
        .method("Abort", |caller: Caller, ()| async move {
            caller.abort();
            Ok(())
        })
}

fn about_the_request(hub: Hub, requests: &Requests) -> Hub {
    let opened = |requests: &Requests| {
        let requests = requests.clone();
        move |caller: &Caller| requests.of(caller.connection_id())
    };
    let (redirects, transport) = (opened(requests), opened(requests));
    let (header, cookie) = (opened(requests), opened(requests));
    hub.method("GetNumRedirects", move |caller: Caller, ()| {
        let count = redirects(&caller).query("numRedirects");
        async move { Ok(count.and_then(|count| count.parse::<u32>().ok())) }
    })
    .method("GetActiveTransportName", move |caller: Caller, ()| {
        let name = transport(&caller).transport;
        async move { Ok(name) }
    })
    .method("GetHeader", move |caller: Caller, (name,): (String,)| {
        let value = header(&caller).header(&name);
        async move { Ok(value) }
    })
    .method("GetCookie", move |caller: Caller, (name,): (String,)| {
        let value = cookie(&caller).cookie(&name);
        async move { Ok(value) }
    })
}

/// Adds the methods of the hub that requires a token.
pub(crate) fn authorized(hub: Hub) -> Hub {
    hub.method("Echo", |_: Caller, (message,): (String,)| async move { Ok(message) })
}

/// Makes a hub that refuses each connection.
pub(crate) fn uncreatable(hub: Hub) -> Hub {
    let reason = "Unable to resolve service for type 'System.Object' while attempting to activate \
                  'FunctionalTests.UncreatableHub'.";
    hub.on_connected(move |_| async move {
        Err::<(), HubError>(InvalidOperationException(reason.to_owned()).into())
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidOperationException(String);

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CustomObject {
    name: String,
    value: i32,
}

/// Values whose form depends on the encoding.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ComplexObject {
    string: String,
    int_array: Vec<i32>,
    byte_array: Value,
    guid: String,
    date_time: Value,
}

impl ComplexObject {
    fn example() -> Self {
        Self {
            string: "hello world".to_owned(),
            int_array: vec![1, 2, 3],
            byte_array: json!("AQID"),
            guid: "00010203-0405-0607-0706-050403020100".to_owned(),
            date_time: json!("2000-01-01T00:00:00Z"),
        }
    }
}
