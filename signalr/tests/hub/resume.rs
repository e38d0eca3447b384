//! The stateful reconnect: a client continues its connection over another WebSocket.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use signalr::{Caller, Hub, Options};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Client, TestServer, duration};

#[tokio::test(start_paused = true)]
async fn messages_are_confirmed_after_a_second() {
    let server = TestServer::start(methods);
    let (mut client, _) = start(&server).await;
    client.call("Echo", json!(["a"])).await;
    client.call("Echo", json!(["b"])).await;
    let (waited, confirmation) = duration(client.receive()).await;
    assert_eq!(confirmation, json!({"type": 8, "sequenceId": 2}));
    assert_eq!(waited.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_transport_loses_and_repeats_nothing() {
    let server = TestServer::start(methods);
    let (mut client, token) = start(&server).await;
    assert_eq!(client.call("Count", json!([])).await["result"], 1);
    client.send(json!({"type": 8, "sequenceId": 1})).await;
    // The client loses its transport before it receives the second result.
    client.send(call("Count")).await;
    client.receive().await;
    drop(client);
    server.hub.clients().all().invoke("news", ("while away",)).await.unwrap();

    let mut client = server.open(&token, &[]).await.unwrap();
    client.send(json!({"type": 9, "sequenceId": 2})).await;
    client.send(call("Count")).await;
    client.send(call("Count")).await;
    assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 2}));
    // The result again, once. The call that the client repeated has run before.
    assert_eq!(client.receive().await["result"], 2);
    assert_eq!(client.receive().await["arguments"], json!(["while away"]));
    assert_eq!(client.receive().await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_number_of_the_first_one_are_ignored() {
    let server = TestServer::start(methods);
    let (client, token) = start(&server).await;
    drop(client);
    let mut client = server.open(&token, &[]).await.unwrap();
    client.send(call("Count")).await;
    client.send(json!({"type": 9, "sequenceId": 1})).await;
    client.send(call("Count")).await;
    assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 1}));
    assert_eq!(client.receive().await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn another_transport_takes_over_from_an_open_one() {
    let server = TestServer::start(methods);
    let (mut first, token) = start(&server).await;
    assert_eq!(first.call("Count", json!([])).await["result"], 1);
    let mut second = server.open(&token, &[]).await.unwrap();
    assert_eq!(second.receive().await, json!({"type": 9, "sequenceId": 1}));
    assert_eq!(second.receive().await["result"], 1);
    first.wait_for_end().await;
    second.send(json!({"type": 9, "sequenceId": 2})).await;
    second.send(call("Count")).await;
    assert_eq!(second.receive().await["result"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_skips_messages_ends_the_transport_without_a_close_message() {
    let server = TestServer::start(methods);
    let (mut client, _) = start(&server).await;
    client.send(json!({"type": 9, "sequenceId": 5})).await;
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_come_back_has_left() {
    let (sender, mut left) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub| {
        methods(hub).on_disconnected(move |_: Caller| {
            sender.send(()).unwrap();
            async {}
        })
    });
    let (client, token) = start(&server).await;
    drop(client);
    let (waited, _) = duration(left.recv()).await;
    assert_eq!(waited.as_secs(), 15);
    let refused = server.open(&token, &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_close_message_ends_a_stateful_connection_for_good() {
    let server = TestServer::start(methods);
    let (mut client, token) = start(&server).await;
    client.send(json!({"type": 7})).await;
    assert_eq!(client.receive().await, json!({"type": 7}));
    assert_eq!(client.receive_close().await, 1000);
    client.wait_for_end().await;
    let refused = server.open(&token, &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn messages_wait_until_the_client_confirms_earlier_ones() {
    let (server, _left) = server_with_small_limit();
    let (mut client, _) = start(&server).await;
    let text = "x".repeat(600);
    for _ in 0..3 {
        server.hub.clients().all().invoke("news", (&text,)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(client.receive().await["target"], "news");
    }
    // Nothing but pings until the client confirms.
    assert_eq!(client.receive().await, json!({"type": 6}));
    client.send(json!({"type": 8, "sequenceId": 1})).await;
    assert_eq!(client.receive_past_pings().await["target"], "news");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_confirms_nothing_ends_as_any_other() {
    /// How the client ends.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum End {
        CloseMessage,
        CloseFrame,
        Garbage,
        Lost,
    }

    for end in [End::CloseMessage, End::CloseFrame, End::Garbage, End::Lost] {
        let (server, mut left) = server_with_small_limit();
        let (mut client, token) = start(&server).await;
        for _ in 0..3 {
            server.hub.clients().all().invoke("news", ("x".repeat(600),)).await.unwrap();
        }
        for _ in 0..2 {
            assert_eq!(client.receive().await["target"], "news");
        }
        // Its result waits for the client as well.
        client.send(call("Count")).await;
        match end {
            End::CloseMessage => client.send(json!({"type": 7})).await,
            End::CloseFrame => client.send_frame(Message::Close(None)).await,
            End::Garbage => client.send("x").await,
            End::Lost => {}
        }
        drop(client);
        let (waited, _) = duration(left.recv()).await;
        let wait_max = if end == End::Lost { 15 } else { 0 };
        assert_eq!(waited.as_secs(), wait_max, "{end:?}");
        let refused = server.open(&token, &[]).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_behind_calls_makes_room_for_their_results() {
    let (server, _left) = server_with_small_limit();
    let (mut client, _) = start(&server).await;
    fill(&server, &mut client).await;
    // More than may wait for their results.
    for _ in 0..200 {
        client.send(call("Count")).await;
    }
    client.send(json!({"type": 8, "sequenceId": 2})).await;
    for count in 1..=200 {
        assert_eq!(client.receive_past_pings().await["result"], count);
        client.send(json!({"type": 8, "sequenceId": 2 + count})).await;
    }
}

/// They would be taken from their frames to find confirmations among them, and take more memory there.
#[tokio::test(start_paused = true)]
async fn empty_messages_behind_a_call_that_waits_are_limited() {
    let server = TestServer::start(methods);
    let (mut client, _) = start(&server).await;
    for _ in 0..2 {
        client.send(call("Never")).await;
    }
    let many = "\u{1e}".repeat(100_000);
    let sending = async {
        for _ in 0..100 {
            client.send_frame(Message::text(many.clone())).await;
        }
    };
    // The server stops to read, so the network is full.
    assert!(tokio::time::timeout(Duration::from_secs(5), sending).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn calls_without_room_for_their_results_keep_no_session() {
    for (calls, bytes, is_closed) in [(50, 0, true), (150, 1_000, true), (150, 1_000, false)] {
        let client_timeout = Options::default().client_timeout;
        let (server, mut left) = server_with_small_limit();
        let (mut client, _) = start(&server).await;
        fill(&server, &mut client).await;
        let mut all = String::new();
        for _ in 0..calls {
            let call = json!({"type": 1, "invocationId": "7", "target": "Count",
                "arguments": [], "more": "x".repeat(bytes)});
            all.push_str(&format!("{call}\u{1e}"));
        }
        client.send_frame(Message::text(all)).await;
        if is_closed {
            client.send(json!({"type": 7})).await;
        }
        drop(client);
        let (waited, _) = duration(left.recv()).await;
        // Of many calls some are not read, so neither is the end of the client.
        let wait_max = if calls == 50 { 0 } else { client_timeout.as_secs() };
        assert!(waited.as_secs() <= wait_max, "{calls} {is_closed}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_confirms_nothing_and_falls_behind_is_closed() {
    let (server, mut left) = server_with_small_limit();
    let (client, token) = start(&server).await;
    for _ in 0..1_100 {
        server.hub.clients().all().invoke("news", ("x".repeat(600),)).await.unwrap();
    }
    left.recv().await.unwrap();
    client.wait_for_end().await;
    let refused = server.open(&token, &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn only_who_asked_for_it_has_a_stateful_connection() {
    let server = TestServer::start(methods);
    // Version 1 in the handshake.
    let token = negotiate(&server).await;
    let mut client = server.open(&token, &[]).await.unwrap();
    client.handshake().await;
    let refused = server.open(&token, &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    // Version 2 without a negotiation.
    let mut client = server.open("", &[]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    client.call("Count", json!([])).await;
    assert_eq!(client.receive().await, json!({"type": 6}), "no confirmation");
    // An application that does not offer it.
    let mut options = Options::default();
    options.stateful_reconnect = false;
    let server = TestServer::start(|hub| hub.with_options(options));
    let (_, _, body) = server.request(Request::post(NEGOTIATE)).await;
    assert!(!body.contains("useStatefulReconnect"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn only_the_user_of_a_connection_continues_it() {
    let server = TestServer::start(|hub| {
        let user_of = |parts: &axum::http::request::Parts| {
            Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned())
        };
        methods(hub).user_id(user_of)
    });
    let token = negotiate(&server).await;
    let mut client = server.open(&token, &[("x-user", "ann")]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    drop(client);
    for other in [&[][..], &[("x-user", "bob")]] {
        let refused = server.open(&token, other).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    let mut client = server.open(&token, &[("x-user", "ann")]).await.unwrap();
    assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 1}));
}

fn methods(hub: Hub) -> Hub {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    hub.method("Echo", |(text,): (String,)| async move { Ok(text) })
        .method("Count", move |_: Caller, (): ()| {
            let calls = calls.clone();
            async move { Ok(calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1) }
        })
        .method("Never", |(): ()| std::future::pending::<Result<(), signalr::HubError>>())
}

/// Starts a server that waits for confirmations after 1,000 bytes. Returns it with the ends of its clients.
fn server_with_small_limit() -> (TestServer, mpsc::UnboundedReceiver<()>) {
    let (sender, left) = mpsc::unbounded_channel();
    let mut options = Options::default();
    options.resume_bytes_max = 1_000;
    let server = TestServer::start(|hub| {
        methods(hub).with_options(options).on_disconnected(move |_: Caller| {
            sender.send(()).unwrap();
            async {}
        })
    });
    (server, left)
}

/// Sends as much to the client as it may leave unconfirmed.
async fn fill(server: &TestServer, client: &mut Client) {
    for _ in 0..2 {
        server.hub.clients().all().invoke("news", ("x".repeat(600),)).await.unwrap();
        assert_eq!(client.receive().await["target"], "news");
    }
}

/// Starts a stateful client. Returns it with the query that opens its next transport.
pub(crate) async fn start(server: &TestServer) -> (Client, String) {
    let token = negotiate(server).await;
    let mut client = server.open(&token, &[]).await.unwrap();
    client.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(client.receive().await, json!({}));
    (client, token)
}

async fn negotiate(server: &TestServer) -> String {
    let (_, _, body) = server.request(Request::post(NEGOTIATE)).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["useStatefulReconnect"], true);
    format!("?id={}", answer["connectionToken"].as_str().unwrap())
}

fn call(method: &str) -> Value {
    json!({"type": 1, "invocationId": "7", "target": method, "arguments": []})
}

const NEGOTIATE: &str = "/hub/negotiate?negotiateVersion=1&useStatefulReconnect=true";
