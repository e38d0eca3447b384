//! Clients call the hub's methods.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::json;
use signalr::{Caller, Hub, HubError};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

use crate::server::TestServer;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_the_methods_result() {
    let mut client = TestServer::start(methods).connect().await;
    assert_eq!(client.call("Add", json!([1, 2])).await, json!({"result": 3}));
    assert_eq!(client.call("Nothing", json!([])).await, json!({"result": null}));
}

#[tokio::test(start_paused = true)]
async fn the_look_up_of_a_method_ignores_case() {
    let mut client = TestServer::start(methods).connect().await;
    for name in ["add", "ADD", "aDd"] {
        assert_eq!(client.call(name, json!([1, 2])).await, json!({"result": 3}));
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the hub already has a method named \"add\"")]
async fn two_methods_with_one_name_panic() {
    TestServer::start(|hub| methods(hub).method("add", |_: Caller, (): ()| async { Ok(()) }));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_id_is_not_answered() {
    let mut client = TestServer::start(methods).connect().await;
    client.send(r#"{"type":1,"target":"Add","arguments":[1,2]}"#).await;
    client.send(r#"{"type":1,"target":"Unknown","arguments":[]}"#).await;
    assert_eq!(client.call("Add", json!([3, 4])).await, json!({"result": 7}));
}

#[tokio::test(start_paused = true)]
async fn messages_may_span_frames_and_share_them() {
    let mut client = TestServer::start(methods).connect().await;
    let calls = "{\"type\":1,\"invocationId\":\"a\",\"target\":\"Add\",\"arguments\":[1,2]}\u{1e}\
                 {\"type\":1,\"invocationId\":\"b\",\"target\":\"Add\",\"arguments\":[3,4]}\u{1e}";
    client.send_frame(Message::text(&calls[..20])).await;
    client.send_frame(Message::binary(calls.as_bytes()[20..90].to_vec())).await;
    client.send_frame(Message::text(&calls[90..])).await;
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "a", "result": 3}));
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "b", "result": 7}));
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_may_hold_many_small_messages() {
    let server = TestServer::start(methods);
    let mut client = server.open_through(4 * 1024 * 1024, "", &[]).await.unwrap();
    client.handshake().await;
    let call = "{\"type\":1,\"invocationId\":\"a\",\"target\":\"Add\",\"arguments\":[1,2]}\u{1e}";
    let pings = "{\"type\":6}\u{1e}".repeat(20_000);
    client.send_frame(Message::text(pings + call)).await;
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "a", "result": 3}));
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_texts_of_asp_net_core() {
    let mut client = TestServer::start(methods).connect().await;
    for (method, arguments, error) in [
        (
            "Unknown",
            json!([]),
            "Failed to invoke 'Unknown' due to an error on the server. \
             HubException: Method does not exist.",
        ),
        ("add", json!([1]), "Failed to invoke 'add' due to an error on the server."),
        ("Add", json!(["1", 2]), "Failed to invoke 'Add' due to an error on the server."),
        (
            "Refuse",
            json!([]),
            "An unexpected error occurred invoking 'Refuse' on the server. HubException: no",
        ),
        ("Fail", json!([]), "An unexpected error occurred invoking 'Fail' on the server."),
        ("Panic", json!([]), "An unexpected error occurred invoking 'Panic' on the server."),
        (
            "PanicEarly",
            json!([]),
            "An unexpected error occurred invoking 'PanicEarly' on the server.",
        ),
        (
            "PanicRead",
            json!([1]),
            "An unexpected error occurred invoking 'PanicRead' on the server.",
        ),
    ] {
        assert_eq!(client.call(method, arguments).await, json!({ "error": error }));
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_their_cause_if_details_are_on() {
    let server = TestServer::with_options(|options| options.detailed_errors = true, methods);
    let mut client = server.connect().await;
    for (method, arguments, error) in [
        (
            "Add",
            json!([1]),
            "Failed to invoke 'Add' due to an error on the server. \
             InvalidDataException: Invocation provides 1 argument(s) but target expects 2.",
        ),
        (
            "Fail",
            json!([]),
            "An unexpected error occurred invoking 'Fail' on the server. \
             ParseIntError: invalid digit found in string",
        ),
    ] {
        assert_eq!(client.call(method, arguments).await, json!({ "error": error }));
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_refused_with_an_error() {
    let mut client = TestServer::start(methods).connect().await;
    for (call, error) in [
        (
            json!({"type": 4, "invocationId": "1", "target": "Add", "arguments": [1, 2]}),
            "The client attempted to invoke the non-streaming 'Add' method with a streaming \
             invocation.",
        ),
        (
            json!({"type": 4, "invocationId": "1", "target": "X", "arguments": []}),
            "Failed to invoke 'X' due to an error on the server. \
             HubException: Method does not exist.",
        ),
        (
            json!({"type": 1, "invocationId": "1", "target": "Add", "arguments": [1, 2],
                   "streamIds": ["2"]}),
            "An unexpected error occurred invoking 'Add' on the server. \
             HubException: Client sent 1 stream(s), Hub method expects 0.",
        ),
    ] {
        client.send(call).await;
        assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "1", "error": error}));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_unknown_types_and_for_unknown_ids_are_ignored() {
    let mut client = TestServer::start(methods).connect().await;
    for kind in [2, 3, 5, 6, 8, 9, 77] {
        let message = json!({"type": kind, "invocationId": "x", "sequenceId": 1, "item": 1});
        client.send(message).await;
    }
    assert_eq!(client.call("Add", json!([1, 2])).await, json!({"result": 3}));
}

#[tokio::test(start_paused = true)]
async fn calls_run_one_at_a_time_and_broadcasts_do_not_wait_for_them() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let server = TestServer::start(|hub| {
        methods(hub).method("Wait", move |_: Caller, (): ()| {
            let gate = Arc::clone(&opened);
            async move {
                gate.notified().await;
                Ok(())
            }
        })
    });
    let mut client = server.connect().await;
    client.send(r#"{"type":1,"invocationId":"a","target":"Wait","arguments":[]}"#).await;
    client.send(r#"{"type":1,"invocationId":"b","target":"Nothing","arguments":[]}"#).await;
    server.hub.clients().all().invoke("news", (1,)).await.unwrap();
    assert_eq!(client.receive().await, json!({"type": 1, "target": "news", "arguments": [1]}));
    gate.notify_one();
    assert_eq!(client.receive().await["invocationId"], "a");
    assert_eq!(client.receive().await["invocationId"], "b");
}

fn methods(hub: Hub) -> Hub {
    hub.method("Add", |_: Caller, (a, b): (i32, i32)| async move { Ok(a + b) })
        .method("Nothing", |_: Caller, (): ()| async { Ok(()) })
        .method("Refuse", |_: Caller, (): ()| async { Err::<(), _>(HubError::new("no")) })
        .method("Fail", |_: Caller, (): ()| async { Ok("x".parse::<i32>()?) })
        .method("Panic", |_: Caller, (): ()| async {
            panic_on_purpose();
            Ok(())
        })
        .method("PanicEarly", |_: Caller, (): ()| {
            panic_on_purpose();
            async { Ok(()) }
        })
        .method("PanicRead", |_: Caller, (_,): (Unreadable,)| async { Ok(()) })
}

fn panic_on_purpose() {
    assert!(std::hint::black_box(false), "on purpose");
}

/// An argument with a `Deserialize` that panics.
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic_on_purpose();
        Ok(Self)
    }
}
