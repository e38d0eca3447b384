//! The hubs of the recorded servers. Errors have the names of .NET's, since clients see them.

use std::time::Duration;

use axum::http::request::Parts;
use backplane::Backplane;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use signalr::{Blob, Caller, Cancelled, Hub, HubError, Options, Timestamp, Upload};
use tokio::time;

use crate::{chat::chat_hub, script::List};

/// Returns the hubs with their paths.
pub(crate) fn all(backplane: &Backplane, list: &List) -> Vec<(&'static str, Hub)> {
    let mut options = Options::default();
    options.detailed_errors = list.detailed_errors;
    let hub = |name| Hub::new(name, backplane.clone()).with_options(options.clone());
    let test_hub = match list.echoes_raw_json {
        true => hub("TestHub")
            .method("Echo", |_: Caller, (value,): (Box<RawValue>,)| async move { Ok(value) }),
        false => {
            hub("TestHub").method("Echo", |_: Caller, (value,): (Value,)| async move { Ok(value) })
        }
    };
    let test_hub = streams(calls(test_hub));
    let chat_hub = chat_hub(hub("ChatHub"), backplane).user_id(user_of);
    vec![("/testhub", test_hub), ("/uncreatable", refusing(hub("RefusingHub"))), (CHAT, chat_hub)]
}

fn user_of(request: &Parts) -> Option<String> {
    let mut pairs = request.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    Some(pairs.find(|(name, _)| *name == "user")?.1.to_owned())
}

fn calls(hub: Hub) -> Hub {
    hub.method("NoResult", |_: Caller, ()| async move { Ok(()) })
        .method("Null", |_: Caller, ()| async move { Ok(None::<String>) })
        .method("ReturnNan", |_: Caller, ()| async move { Ok(f64::NAN) })
        .method("ThrowException", |_: Caller, (why,): (String,)| async move {
            Err::<(), _>(InvalidOperationException(why).into())
        })
        .method("ThrowHubException", |_: Caller, (why,): (String,)| async move {
            Err::<(), _>(HubError::new(why))
        })
        .method("InvokeWithString", |caller: Caller, (text,): (String,)| async move {
            Ok(caller.clients().caller().invoke("Message", (text,)).await?)
        })
        .method("Big", |caller: Caller, (count,): (usize,)| async move {
            Ok(caller.clients().all().invoke("big", ("x".repeat(count),)).await?)
        })
        .method("SendComplexObject", |_: Caller, ()| async move {
            Ok(Complex::new("hello world", vec![1, 2, 3]))
        })
        .method("Abort", |caller: Caller, ()| async move {
            caller.abort();
            Ok(())
        })
        .method("Typed", typed)
}

/// Sends values of many types to the caller.
async fn typed(
    caller: Caller,
    (_to, _names, _except, method, kind): (String, Vec<String>, Vec<String>, String, String),
) -> Result<(), HubError> {
    let recipient = caller.clients().caller();
    if kind == "object" {
        return Ok(recipient.invoke(method, (Complex::new("s", vec![1, 2, 300]),)).await?);
    }
    let times = ("2024-02-29T12:34:56.789Z", "2024-02-29T12:34:56+02:00", "00:00:01.5000000");
    let list = (1, "two", None::<()>);
    Ok(recipient
        .invoke(method, (Map { a: 1, b: 2 }, "Friday", times.0, times.1, times.2, "c", list))
        .await?)
}

fn streams(hub: Hub) -> Hub {
    hub.stream("Counter", |Cancelled(token): Cancelled, (count, pause): (u32, u64)| async move {
        let items = stream::iter(0..count).then(move |number| async move {
            if number > 0 {
                time::sleep(Duration::from_millis(pause)).await;
            }
            Ok(number)
        });
        Ok(items.take_until(token.cancelled_owned()))
    })
    .stream("CounterThatFails", |(count,): (u32,)| async move {
        let error = InvalidOperationException("no more".to_owned());
        Ok(numbers(count).chain(stream::once(async { Err(error.into()) })))
    })
    .stream("CounterChannel", |(count,): (u32,)| async move { Ok(numbers(count)) })
    .method("Upload", |parts: Upload<String>, (): ()| async move {
        parts.try_fold(0, |sum, part| async move { Ok(sum + part.len()) }).await
    })
}

fn numbers(count: u32) -> impl Stream<Item = Result<u32, HubError>> {
    stream::iter(0..count).map(Ok)
}

fn refusing(hub: Hub) -> Hub {
    hub.on_connected(|_: Caller| async { Err(InvalidOperationException("no".to_owned()).into()) })
}

/// Values whose form depends on the encoding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Complex {
    string: &'static str,
    int_array: Vec<i32>,
    guid: &'static str,
    byte_array: Blob,
    date_time: Timestamp,
}

impl Complex {
    fn new(string: &'static str, int_array: Vec<i32>) -> Self {
        let guid = "00010203-0405-0607-0706-050403020100";
        let byte_array = vec![1, 2, 3].into();
        let date_time = "2000-01-01T00:00:00Z".parse().expect("the text is a time");
        Self { string, int_array, guid, byte_array, date_time }
    }
}

#[derive(Debug, Serialize)]
struct Map {
    a: u8,
    #[serde(rename = "B")]
    b: u8,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidOperationException(String);

/// The path of the hub that clients of SignalR 2 call as well.
pub(crate) const CHAT: &str = "/chathub";
