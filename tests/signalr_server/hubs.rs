//! The hubs that clients call.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use signalr::{
    Blob, Caller, Cancelled, ConnectionInfo, Hub, HubError, RawConnection, Timestamp, Upload,
};

use crate::authorization;

/// Adds the methods of the main hub.
pub(crate) fn test_hub(hub: Hub) -> Hub {
    about_the_request(streams(messages(hub)))
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

fn streams(hub: Hub) -> Hub {
    hub.stream("Stream", |(): ()| async move { Ok(texts(["a", "b", "c"])) })
        .stream("EmptyStream", |(): ()| async move { Ok(texts([])) })
        .stream("InfiniteStream", |caller: Caller, cancelled: Cancelled, (): ()| async move {
            tokio::spawn(report_cancellation(caller, cancelled));
            Ok(stream::pending::<Result<String, HubError>>())
        })
        .stream("StreamThrowException", |(message,): (String,)| async move {
            let error = InvalidOperationException(message);
            Err::<stream::Empty<Result<String, HubError>>, _>(error.into())
        })
        .method("StreamingConcat", |parts: Upload<String>, (): ()| async move {
            parts.try_fold(String::new(), |all, part| async move { Ok(all + &part) }).await
        })
}

fn texts<const N: usize>(
    texts: [&'static str; N],
) -> impl Stream<Item = Result<&'static str, HubError>> {
    stream::iter(texts).map(Ok)
}

async fn report_cancellation(caller: Caller, Cancelled(token): Cancelled) {
    token.cancelled().await;
    // Fails if the client has left, and then does not matter.
    let _ = caller.clients().caller().invoke("StreamCanceled", ()).await;
}

fn about_the_request(hub: Hub) -> Hub {
    hub.method("GetNumRedirects", |info: ConnectionInfo, (): ()| async move {
        Ok(info.query("numRedirects").and_then(|count| count.parse::<u64>().ok()))
    })
    .method("GetActiveTransportName", |info: ConnectionInfo, (): ()| async move {
        Ok(format!("{:?}", info.transport()))
    })
    .method("GetHeader", |info: ConnectionInfo, (name,): (String,)| async move {
        Ok(header_of(&info, &name))
    })
    .method("GetCookie", |info: ConnectionInfo, (name,): (String,)| async move {
        let cookies = header_of(&info, "cookie").unwrap_or_default();
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        Ok(pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
    })
}

fn header_of(info: &ConnectionInfo, name: &str) -> Option<String> {
    Some(info.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Adds the methods of the hub that requires a token.
pub(crate) fn authorized(hub: Hub) -> Hub {
    hub.authenticate(authorization::user_of)
        .method("Echo", |_: Caller, (message,): (String,)| async move { Ok(message) })
}

/// Makes a hub that refuses each connection.
pub(crate) fn uncreatable(hub: Hub) -> Hub {
    let reason = "Unable to resolve service for type 'System.Object' while attempting to activate \
                  'FunctionalTests.UncreatableHub'.";
    hub.on_connected(move |_: Caller| async move {
        Err::<(), HubError>(InvalidOperationException(reason.to_owned()).into())
    })
}

/// Returns the bytes of a connection without a hub protocol: as text, if they are.
pub(crate) async fn echo(mut connection: RawConnection) {
    while let Some(bytes) = connection.recv().await {
        let sent = match String::from_utf8(bytes.to_vec()) {
            Ok(text) => connection.send_text(text).await,
            Err(_) => connection.send_binary(bytes).await,
        };
        if sent.is_err() {
            return;
        }
    }
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
    byte_array: Blob,
    guid: String,
    date_time: Timestamp,
}

impl ComplexObject {
    fn example() -> Self {
        Self {
            string: "hello world".to_owned(),
            int_array: vec![1, 2, 3],
            byte_array: vec![1, 2, 3].into(),
            guid: "00010203-0405-0607-0706-050403020100".to_owned(),
            date_time: "2000-01-01T00:00:00Z".parse().expect("the text is a time"),
        }
    }
}
