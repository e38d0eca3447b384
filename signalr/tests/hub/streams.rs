//! Streams in both directions, cancellation, and results of clients.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use signalr::{Caller, Cancelled, Hub, HubError, InvokeError, Upload};
use tokio::sync::{Notify, mpsc};

use crate::server::{Client, TestServer};

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_a_completion() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(stream_call("Count", json!([2]))).await;
    for item in 0..2 {
        assert_eq!(client.receive().await, json!({"type": 2, "invocationId": "1", "item": item}));
    }
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "1"}));
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_ends_a_stream() {
    let failed = "An error occurred on the server while streaming results.";
    let mut client = TestServer::start(streams).connect().await;
    for (method, error) in [
        ("Fail", format!("{failed} HubException: no more")),
        ("Parse", failed.to_owned()),
        ("Panic", failed.to_owned()),
    ] {
        client.send(stream_call(method, json!([]))).await;
        assert_eq!(client.receive().await["item"], 0);
        let expected = json!({"type": 3, "invocationId": "1", "error": error});
        assert_eq!(client.receive().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_has_one_kind() {
    let mut client = TestServer::start(streams).connect().await;
    assert_eq!(
        client.call("Count", json!([1])).await["error"],
        "The client attempted to invoke the streaming 'Count' method with a non-streaming \
         invocation."
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_is_used_once_at_a_time() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(stream_call("Forever", json!([]))).await;
    assert_eq!(client.receive().await["item"], 0);
    client.send(stream_call("Count", json!([1]))).await;
    let error = "Invocation ID '1' is already in use.";
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "1", "error": error}));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_stream_ends_and_drops_its_source() {
    let dropped = Arc::new(Notify::new());
    let notify = Arc::clone(&dropped);
    let server = TestServer::start(|hub| {
        hub.stream("Forever", move |(): ()| {
            let guard = NotifyOnDrop(Arc::clone(&notify));
            let items = stream::unfold(Some(guard), |guard| async move {
                guard.as_ref()?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok(1), guard))
            });
            async move { Ok(items) }
        })
    });
    let mut client = server.connect().await;
    client.send(stream_call("Forever", json!([]))).await;
    assert_eq!(client.receive().await["item"], 1);
    client.send(json!({"type": 5, "invocationId": "1"})).await;
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "1"}));
    dropped.notified().await;

    // The end of the connection drops the source as well.
    client.send(stream_call("Forever", json!([]))).await;
    assert_eq!(client.receive().await["item"], 1);
    drop(client);
    dropped.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_delay_calls() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(stream_call("Never", json!([]))).await;
    let sum = client.call_as("2", "Add", json!([1, 2])).await;
    assert_eq!(sum["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_method_reads_the_streams_of_its_client() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(upload_call("Join", json!([": "]), &["a", "b"])).await;
    for (id, item) in [("b", "3"), ("a", "1"), ("a", "2"), ("b", "4")] {
        client.send(json!({"type": 2, "invocationId": id, "item": item})).await;
    }
    client.send(json!({"type": 3, "invocationId": "b"})).await;
    client.send(json!({"type": 3, "invocationId": "a"})).await;
    assert_eq!(client.receive().await["result"], "12: 34");
}

#[tokio::test(start_paused = true)]
async fn an_upload_does_not_delay_calls_and_waits_for_its_method() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(upload_call("Join", json!([""]), &["a", "b"])).await;
    // More items than wait for the method at once.
    for _ in 0..100 {
        client.send(json!({"type": 2, "invocationId": "a", "item": "x"})).await;
    }
    assert_eq!(client.call_as("7", "Add", json!([1, 2])).await["result"], 3);
    client.send(json!({"type": 3, "invocationId": "a"})).await;
    client.send(json!({"type": 3, "invocationId": "b"})).await;
    assert_eq!(client.receive().await["result"], "x".repeat(100));
}

#[tokio::test(start_paused = true)]
async fn an_upload_fails_with_the_clients_error_or_a_wrong_item() {
    let failed = "An unexpected error occurred invoking 'Join' on the server. HubException:";
    let mut client = TestServer::start(streams).connect().await;
    for (part, error) in [
        (json!({"type": 3, "invocationId": "a", "error": "broke"}), "broke"),
        (json!({"type": 2, "invocationId": "a", "item": 5}), "Failed to bind Stream message."),
    ] {
        client.send(upload_call("Join", json!([""]), &["a", "b"])).await;
        client.send(part).await;
        let expected =
            json!({"type": 3, "invocationId": "1", "error": format!("{failed} {error}")});
        assert_eq!(client.receive().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_to_a_method_that_has_returned_is_ignored() {
    let mut client = TestServer::start(streams).connect().await;
    client.send(upload_call("Ignore", json!([]), &["a"])).await;
    assert_eq!(client.receive().await["result"], Value::Null);
    for _ in 0..100 {
        client.send(json!({"type": 2, "invocationId": "a", "item": "x"})).await;
    }
    client.send(json!({"type": 3, "invocationId": "a"})).await;
    assert_eq!(client.call("Add", json!([1, 2])).await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_cancelled_by_its_client_and_by_the_end_of_the_connection() {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub| {
        hub.method("Wait", move |Cancelled(token): Cancelled, (): ()| {
            let sender = sender.clone();
            async move {
                token.cancelled().await;
                sender.send(()).unwrap();
                Ok("cancelled")
            }
        })
    });
    let mut client = server.connect().await;
    client.send(call("Wait", json!([]))).await;
    client.send(json!({"type": 5, "invocationId": "unknown"})).await;
    client.send(json!({"type": 5, "invocationId": "1"})).await;
    assert_eq!(client.receive().await["result"], "cancelled");
    ended.recv().await.unwrap();

    client.send(call("Wait", json!([]))).await;
    drop(client);
    ended.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_method_that_never_returns_does_not_keep_its_connection() {
    let (sender, mut left) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub| {
        hub.method("Hang", |(): ()| async {
            std::future::pending::<()>().await;
            Ok(())
        })
        .on_disconnected(move |caller: Caller| {
            sender.send(caller.connection_id().to_owned()).unwrap();
            async {}
        })
    });
    let mut client = server.connect().await;
    client.send(call("Hang", json!([]))).await;
    // Behind a second call, the end of the connection is still noticed.
    client.send(call("Hang", json!([]))).await;
    drop(client);
    left.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_returns_a_result_to_the_method_that_asks() {
    let mut client = TestServer::start(questions).connect().await;
    for (answer, result) in [
        (json!({"type": 3, "result": 5}), json!({"result": 5})),
        (json!({"type": 3, "error": "no"}), json!({"result": "no"})),
        (
            json!({"type": 3, "result": "x"}),
            json!({"result": "the client's result has another type"}),
        ),
    ] {
        client.send(call("Ask", json!([]))).await;
        let question = client.receive().await;
        assert_eq!((&question["target"], &question["arguments"]), (&json!("ask"), &json!([1])));
        let mut answer = answer;
        answer["invocationId"] = question["invocationId"].clone();
        client.send(answer).await;
        assert_eq!(client.receive().await["result"], result["result"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_without_an_answer() {
    let mut client = TestServer::start(questions).connect().await;
    client.send(call("Ask", json!([]))).await;
    let question = client.receive().await;
    assert_eq!(
        client.receive_past_pings().await["result"],
        "the client returned no result in time"
    );
    // A late answer is ignored.
    let id = &question["invocationId"];
    client.send(json!({"type": 3, "invocationId": id, "result": 5})).await;
    assert_eq!(client.call("Add", json!([1, 2])).await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_question_to_a_client_that_leaves_fails_at_once() {
    let server = TestServer::start(questions);
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    let id = bob.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    ann.send(call("AskOther", json!([id]))).await;
    assert_eq!(bob.receive().await["target"], "ask");
    drop(bob);
    assert_eq!(ann.receive().await["result"], "the client is not connected");
    let unknown = ann.call("AskOther", json!(["unknown"])).await;
    assert_eq!(unknown["result"], "the client is not connected");
}

#[tokio::test(start_paused = true)]
async fn a_question_follows_the_messages_before_it() {
    let server = TestServer::start(|hub| {
        hub.method("Ask", |caller: Caller, (): ()| async move {
            for number in 0..10 {
                caller.clients().all().invoke("news", (number,)).await?;
            }
            Ok(caller.clients().caller().invoke_with_result::<u32>("ask", ()).await?)
        })
    });
    let mut client = server.connect().await;
    client.send(call("Ask", json!([]))).await;
    for number in 0..10 {
        assert_eq!(client.receive().await["arguments"], json!([number]));
    }
    assert_eq!(client.receive().await["target"], "ask");
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn streams(hub: Hub) -> Hub {
    hub.method("Add", |(a, b): (i32, i32)| async move { Ok(a + b) })
        .stream("Count", |(end,): (u32,)| async move { Ok(stream::iter((0..end).map(Ok))) })
        .stream("Fail", |(): ()| async { Ok(stream::iter([Ok(0), Err(HubError::new("no more"))])) })
        .stream("Parse", |(): ()| async {
            Ok(stream::iter([Ok(0), "x".parse().map_err(Into::into)]))
        })
        .stream("Panic", |(): ()| async {
            Ok(stream::iter(0..).map(|number| {
                assert_eq!(number, 0, "on purpose");
                Ok(number)
            }))
        })
        .stream("Forever", |(): ()| async { Ok(stream::iter([Ok(0)]).chain(stream::pending())) })
        .stream("Never", |(): ()| async { Ok(stream::pending::<Result<u32, HubError>>()) })
        .method("Ignore", |_: Upload<String>, (): ()| async { Ok(()) })
        .method("Join", |a: Upload<String>, b: Upload<String>, (between,): (String,)| async move {
            let a: String = a.try_collect().await?;
            let b: String = b.try_collect().await?;
            Ok(format!("{a}{between}{b}"))
        })
}

fn questions(hub: Hub) -> Hub {
    hub.method("Add", |(a, b): (i32, i32)| async move { Ok(a + b) })
        .method("Id", |caller: Caller, (): ()| async move { Ok(caller.connection_id().to_owned()) })
        .method("Ask", |caller: Caller, (): ()| async move {
            Ok(outcome(caller.clients().caller().invoke_with_result("ask", (1,)).await))
        })
        .method("AskOther", |caller: Caller, (id,): (String,)| async move {
            Ok(outcome(caller.clients().connection(id).invoke_with_result("ask", (1,)).await))
        })
}

fn outcome(result: Result<u32, InvokeError>) -> Value {
    match result {
        Ok(number) => json!(number),
        Err(error) => json!(error.to_string()),
    }
}

fn call(method: &str, arguments: Value) -> Value {
    json!({"type": 1, "invocationId": "1", "target": method, "arguments": arguments})
}

fn stream_call(method: &str, arguments: Value) -> Value {
    json!({"type": 4, "invocationId": "1", "target": method, "arguments": arguments})
}

fn upload_call(method: &str, arguments: Value, streams: &[&str]) -> Value {
    json!({"type": 1, "invocationId": "1", "target": method, "arguments": arguments,
           "streamIds": streams})
}

impl Client {
    /// Calls a method under an id and returns its Completion.
    async fn call_as(&mut self, id: &str, method: &str, arguments: Value) -> Value {
        let call = json!({"type": 1, "invocationId": id, "target": method, "arguments": arguments});
        self.send(call).await;
        let completion = self.receive().await;
        assert_eq!(completion["invocationId"], id);
        completion
    }
}
