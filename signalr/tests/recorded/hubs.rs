//! The hubs of the recorded servers. Errors have the names of .NET's, since clients see them.

use backplane::Backplane;
use serde_json::{Value, value::RawValue};
use signalr::{Caller, Hub, HubError, Options};

/// Returns the hubs with their paths.
pub(crate) fn all(backplane: &Backplane, detailed_errors: bool) -> Vec<(&'static str, Hub)> {
    let mut options = Options::default();
    options.detailed_errors = detailed_errors;
    let hub = |name| Hub::new(name, backplane.clone()).with_options(options.clone());
    vec![("/testhub", test_hub(hub("TestHub"))), ("/uncreatable", refusing(hub("RefusingHub")))]
}

fn test_hub(hub: Hub) -> Hub {
    hub.method("Echo", |_: Caller, (value,): (Box<RawValue>,)| async move { Ok(value) })
        .method("NoResult", |_: Caller, ()| async move { Ok(()) })
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
        .method("SendComplexObject", |_: Caller, ()| async move { Ok(complex_object()) })
        .method("Abort", |caller: Caller, ()| async move {
            caller.abort();
            Ok(())
        })
}

fn refusing(hub: Hub) -> Hub {
    hub.on_connected(|_| async { Err(InvalidOperationException("no".to_owned()).into()) })
}

fn complex_object() -> Value {
    serde_json::json!({
        "String": "hello world",
        "IntArray": [1, 2, 3],
        "Guid": "00010203-0405-0607-0706-050403020100",
        "ByteArray": "AQID",
        "DateTime": "2000-01-01T00:00:00Z",
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidOperationException(String);
