//! Tower layers around the calls of a hub, and roles.

use std::{convert::Infallible, time::Duration};

use futures_util::stream;
use serde_json::json;
use signalr::{Call, CallLimit, CallService, Hub, HubError, Outcome, State, User};
use tokio::time;
use tower::{ServiceExt as _, layer::layer_fn, service_fn};

use crate::server::TestServer;

#[tokio::test(start_paused = true)]
async fn a_limit_counts_the_calls_of_each_connection() {
    let limit = CallLimit::per_connection(2, Duration::from_secs(10));
    let server = TestServer::start(|hub| methods(hub).layer(limit));
    let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    for _ in 0..2 {
        assert_eq!(ann.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    }
    let text = "An unexpected error occurred invoking 'Echo' on the server. HubException: too many \
                calls; try again later";
    assert_eq!(ann.call("Echo", json!(["hi"])).await, json!({"error": text}));
    assert_eq!(bob.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    time::advance(Duration::from_secs(5)).await;
    assert_eq!(ann.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    assert_eq!(ann.call("Echo", json!(["hi"])).await, json!({"error": text}));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_users_counts_the_calls_of_all_their_connections_to_some_methods() {
    let limit = CallLimit::per_user(2, Duration::from_secs(10)).only(["echo"]);
    let server = TestServer::start(|hub| {
        let user = |request: &axum::http::request::Parts| {
            Some(request.headers.get("x-user")?.to_str().ok()?.to_owned())
        };
        methods(hub).method("Other", |(): ()| async { Ok("other") }).user_id(user).layer(limit)
    });
    let ann = [("x-user", "ann")];
    let (mut tab, mut other_tab) =
        (server.connect_with(&ann).await, server.connect_with(&ann).await);
    let mut bob = server.connect_with(&[("x-user", "bob")]).await;
    let mut guests = [server.connect().await, server.connect().await];
    assert_eq!(tab.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    assert_eq!(other_tab.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    assert!(tab.call("Echo", json!(["hi"])).await["error"].is_string());
    assert!(other_tab.call("Echo", json!(["hi"])).await["error"].is_string());
    assert_eq!(tab.call("Other", json!([])).await, json!({"result": "other"}));
    for client in [&mut bob].into_iter().chain(&mut guests) {
        assert_eq!(client.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    }
    time::advance(Duration::from_secs(5)).await;
    assert_eq!(other_tab.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
}

#[tokio::test(start_paused = true)]
async fn a_layer_reads_the_call_and_passes_a_value_to_the_method() {
    async fn pass(service: CallService, mut call: Call) -> Result<Outcome, Infallible> {
        assert_eq!((call.hub(), call.method(), call.is_stream()), ("Hub", "Tenant", false));
        let (name,): (String,) = call.arguments().unwrap();
        call.set_state(Tenant(format!("tenant of {name}")));
        let outcome = service.oneshot(call).await?;
        assert!(outcome.is_ok());
        Ok(outcome)
    }
    let mut client = TestServer::start(|hub| {
        methods(hub).layer(layer_fn(|service: CallService| {
            service_fn(move |call| pass(service.clone(), call))
        }))
    })
    .connect()
    .await;
    assert_eq!(client.call("Tenant", json!(["ann"])).await["result"], "tenant of ann");
}

#[tokio::test(start_paused = true)]
async fn the_last_layer_is_the_outermost() {
    async fn refuse(text: &'static str) -> Result<Outcome, Infallible> {
        Ok(Outcome::error(HubError::new(text)))
    }
    let refusing = |text| layer_fn(move |_: CallService| service_fn(move |_: Call| refuse(text)));
    let server =
        TestServer::start(|hub| methods(hub).layer(refusing("inner")).layer(refusing("outer")));
    let error = server.connect().await.call("Echo", json!(["hi"])).await["error"].clone();
    assert!(error.as_str().unwrap().ends_with("HubException: outer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_pass_layers() {
    let mut client = TestServer::start(|hub| methods(hub).layer(generous())).connect().await;
    let failed = "An unexpected error occurred invoking 'Panic' on the server.";
    assert_eq!(client.call("Panic", json!([])).await, json!({"error": failed}));
    let unbound = "Failed to invoke 'Echo' due to an error on the server.";
    assert_eq!(client.call("Echo", json!([])).await, json!({"error": unbound}));
    assert_eq!(client.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
}

#[tokio::test(start_paused = true)]
async fn a_stream_passes_layers() {
    let mut client = TestServer::start(|hub| methods(hub).layer(generous())).connect().await;
    client.send(r#"{"type":4,"invocationId":"1","target":"Count","arguments":[2]}"#).await;
    assert_eq!(client.receive().await["item"], 0);
    assert_eq!(client.receive().await["item"], 1);
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "1"}));
}

#[tokio::test(start_paused = true)]
async fn one_of_several_roles_is_enough() {
    let server = TestServer::start(|hub| {
        methods(hub)
            .authenticate(|_| async { Ok(Some(User::new("ann", ()).with_role("writer"))) })
            .authorize("echo", ["admin", "writer"])
            .authorize("Count", ["admin"])
    });
    let mut client = server.connect().await;
    assert_eq!(client.call("Echo", json!(["hi"])).await, json!({"result": "hi"}));
    client.send(r#"{"type":4,"invocationId":"1","target":"Count","arguments":[2]}"#).await;
    let refused = client.receive().await;
    assert_eq!(refused["error"], "Failed to invoke 'Count' because user is unauthorized");
}

#[tokio::test]
#[should_panic(expected = "the hub has no method named \"Kick\"")]
async fn roles_of_an_unknown_method_are_refused() {
    let _hub = Hub::new("Hub", crate::server::backplane()).authorize("Kick", ["admin"]);
}

#[derive(Clone)]
struct Tenant(String);

fn methods(hub: Hub) -> Hub {
    hub.method("Echo", |(text,): (String,)| async move { Ok(text) })
        .method(
            "Tenant",
            |State(Tenant(name)): State<Tenant>, (_,): (String,)| async move { Ok(name) },
        )
        .method("Panic", |(): ()| async {
            if true {
                panic!("a fault of the application");
            }
            Ok(())
        })
        .stream("Count", |(end,): (u32,)| async move { Ok(stream::iter((0..end).map(Ok))) })
}

fn generous() -> CallLimit {
    CallLimit::per_connection(1_000, Duration::from_secs(1))
}
