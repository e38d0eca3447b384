//! Calls of hub methods by `send`, with the recorded replies.

use std::{pin::pin, time::Duration};

use serde_json::json;
use signalr::Caller;
use tokio::time;

use crate::server::TestServer;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_in_the_reply() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let mut events = client.events("connect", "").await;
    events.frame().await;
    client.start("serverSentEvents").await;
    let id = &client.id;
    for (call, expected) in [
        (r#"{"H":"chathub","M":"WhoAmI","A":[],"I":0}"#, format!(r#"{{"R":"{id}","I":"0"}}"#)),
        (r#"{"H":"CHATHUB","M":"whoami","A":[],"I":1}"#, format!(r#"{{"R":"{id}","I":"1"}}"#)),
        (r#"{"H":"chathub","M":"WhoAmI","I":4}"#, format!(r#"{{"R":"{id}","I":"4"}}"#)),
        (r#"{"H":"chathub","M":"WhoAmI","A":[]}"#, format!(r#"{{"R":"{id}","I":null}}"#)),
        (r#"{"H":"chathub","M":"WhoAmI","A":[],"I":"x"}"#, format!(r#"{{"R":"{id}","I":"x"}}"#)),
        (
            r#"{"H":"chathub","M":"WhoAmI","A":[],"I":7,"S":{"a":1}}"#,
            format!(r#"{{"R":"{id}","I":"7"}}"#),
        ),
        (
            r#"{"H":"chathub","M":"nope","A":[],"I":2}"#,
            r#"{"I":"2","E":"'nope' method could not be resolved. No method found with that name."}"#
                .to_owned(),
        ),
        (
            r#"{"H":"chathub","M":"send","A":["ann"],"I":17}"#,
            r#"{"I":"17","E":"'send' method could not be resolved. Potential candidates are: \nSend(2 argument(s))"}"#
                .to_owned(),
        ),
        (r#"{"H":"chathub","M":"Send","A":["a","b"],"I":3}"#, r#"{"I":"3"}"#.to_owned()),
        (
            r#"{"H":"chathub","M":"Refuse","A":[],"I":5}"#,
            r#"{"I":"5","H":true,"E":"no"}"#.to_owned(),
        ),
        (
            r#"{"H":"chathub","M":"RefuseWith","A":[{"code":7}],"I":9}"#,
            r#"{"I":"9","H":true,"E":"no","D":{"code":7}}"#.to_owned(),
        ),
        (
            r#"{"H":"nohub","M":"send","A":[],"I":6}"#,
            r#"{"I":"6","E":"'nohub' Hub could not be resolved."}"#.to_owned(),
        ),
        (
            r#"{"H":"chathub","M":"Count","A":[],"I":8,"S":{"count":4,"a":1}}"#,
            r#"{"S":{"count":5},"R":5,"I":"8"}"#.to_owned(),
        ),
    ] {
        let response = client.send(call).await;
        assert_eq!((response.status, response.header("x-content-type-options")), (200, "nosniff"));
        assert_eq!(response.header("content-type"), "application/json; charset=UTF-8");
        assert_eq!(response.text().await, expected, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_details_does_not_read_causes() {
    let server = TestServer::with_hooks(|hub| hub.with_options(signalr::Options::default()));
    let client = server.negotiate().await;
    client.connect_polling().await;
    for method in ["Fail", "nope"] {
        let error = format!("There was an error invoking Hub method 'ChatHub.{method}'.");
        assert_eq!(client.call(method, json!([])).await, json!({"I": "0", "E": error}));
    }
    let refused = client.call("Refuse", json!([])).await;
    assert_eq!(refused, json!({"I": "0", "H": true, "E": "no"}));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_call_is_an_error() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    let state = format!(r#"{{"H":"chathub","M":"WhoAmI","S":{{"a":"{}"}}}}"#, "x".repeat(5000));
    for call in ["nope", "[]", "", &state] {
        assert_eq!(client.send(call).await.status, 500, "{call}");
    }
    let path = client.path("send", "serverSentEvents", "");
    assert_eq!(server.request("POST", &path, "").await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn a_method_runs_only_after_on_connected() {
    let mut server = TestServer::start();
    let client = server.negotiate().await;
    // Without a connection there is no end that would run `on_disconnected`.
    let refused = client.call("WhoAmI", json!([])).await;
    assert_eq!(refused, json!({"I": "0", "E": "The connection has ended."}));
    client.poll("connect", "").await.text().await;
    // A client that does not wait for its start is accepted by its first call.
    assert_eq!(client.call("WhoAmI", json!([])).await["R"], client.id);
    client.start("longPolling").await;
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_hub_without_hooks_serves_a_client_after_its_end() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let call = r#"{"H":"otherhub","M":"ping","A":[],"I":10}"#;
    assert_eq!(client.send(call).await.text().await, r#"{"R":"other","I":"10"}"#);
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_on_connected_precede_the_reply_to_start() {
    const MESSAGES: usize = 40;
    let server = TestServer::with_hooks(|hub| {
        hub.on_connected(|caller: Caller| async move {
            let text = "x".repeat(100_000);
            for _ in 0..MESSAGES {
                caller.clients().all().invoke("greet", (&text,)).await?;
            }
            Ok(())
        })
    });
    let client = server.negotiate().await;
    let mut socket = client.open("connect", "").await;
    socket.receive().await;
    let mut start = pin!(client.start("webSockets"));
    // The network holds a part of the messages only, so the reply waits for the client to read.
    assert!(time::timeout(Duration::from_secs(1), &mut start).await.is_err());
    let read = async {
        let mut messages = 0;
        while messages < MESSAGES {
            messages += socket.receive().await["M"].as_array().unwrap().len();
        }
    };
    tokio::join!(start, read);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_sent_away() {
    let mut server = TestServer::with_hooks(|hub| {
        hub.on_connected(|| async { Err(signalr::HubError::new("log in first")) })
    });
    let client = server.negotiate().await;
    let mut socket = client.open("connect", "").await;
    socket.receive().await;
    let refused = server.get(&client.path("start", "webSockets", "")).await;
    assert_eq!((refused.status, &*refused.text().await), (500, "The connection was refused."));
    let error = socket.receive().await;
    assert_eq!(error, json!({"E": "The server has ended the connection."}));
    assert_eq!(socket.text().await, None);
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn connections_and_calls_show_in_the_metrics() {
    let server = TestServer::start();
    let (client, _socket) = server.connect().await;
    client.send(r#"{"H":"chathub","M":"WHOAMI","A":[],"I":0}"#).await.text().await;
    client.send(r#"{"H":"chathub","M":"Refuse","A":[],"I":1}"#).await.text().await;
    client.send(r#"{"H":"chathub","M":"nope","A":[],"I":2}"#).await.text().await;
    let text = metrics(&server);
    expect_waiting(&text, 0..1);
    for (name, labels) in [
        (
            "signalr_server_active_connections",
            &[r#"signalr_transport="web_sockets""#, r#"family="classic""#],
        ),
        ("signalr_calls_total", &[r#"method="WhoAmI""#, r#"outcome="ok""#]),
        ("signalr_calls_total", &[r#"method="Refuse""#, r#"outcome="error""#]),
        ("signalr_calls_total", &[r#"method="-""#, r#"outcome="refused""#]),
    ] {
        let is_found = text.lines().any(|line| {
            line.starts_with(name)
                && labels.iter().all(|label| line.contains(label))
                && line.ends_with(" 1")
        });
        assert!(is_found, "{name} {labels:?} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_for_a_client_show_in_the_metrics() {
    let mut server = TestServer::start();
    let (client, _socket) = server.connect().await;
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    // Twice as much as the pipe takes.
    for _ in 0..20 {
        let text = "x".repeat(100_000);
        server.hub.clients().all().invoke("said", (text,)).await.unwrap();
    }
    assert_eq!(server.event().await, format!("disconnected {id}"));
    expect_waiting(&metrics(&server), 500_000..1_100_000);
}

#[tokio::test(start_paused = true)]
async fn messages_between_two_polls_show_in_the_metrics() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    server.hub.clients().all().invoke("said", ("x".repeat(1000),)).await.unwrap();
    client.call("WhoAmI", json!([])).await;
    expect_waiting(&metrics(&server), 1000..1100);
}

fn metrics(server: &TestServer) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    server.hub.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// Expects the largest size of the messages that have waited for a client.
fn expect_waiting(metrics: &str, range: std::ops::Range<u64>) {
    let line = metrics.lines().find(|line| line.starts_with("signalr_outbox_bytes_max{")).unwrap();
    let bytes = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(range.contains(&bytes), "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_listed_is_refused() {
    let options = signalr::Options::default().allow_host("chat.test");
    let server = TestServer::with_hooks(|hub| hub.with_options(options));
    let refused = server.get("/signalr/ping").await;
    assert_eq!(refused.status, 403);
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_stream_are_progress() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    socket.send(json!({"H": "chathub", "M": "Steps", "A": [2], "I": 7})).await;
    socket.send(json!({"H": "chathub", "M": "Break", "A": [], "I": 8})).await;
    let mut found = Vec::new();
    while found.len() < 6 {
        let text = socket.text().await.unwrap();
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        match frame["M"].as_array() {
            Some(entries) => found.extend(entries.iter().map(ToString::to_string)),
            None if frame["I"].is_string() => found.push(text),
            None => {}
        }
    }
    let expected = [
        r#"{"A":[],"H":"ChatHub","M":"begin"}"#,
        r#"{"I":"P|7","P":{"D":0,"I":"7"}}"#,
        r#"{"I":"P|7","P":{"D":1,"I":"7"}}"#,
        r#"{"I":"7"}"#,
        r#"{"I":"P|8","P":{"D":0,"I":"8"}}"#,
        r#"{"I":"8","H":true,"E":"no more"}"#,
    ];
    assert_eq!(found, expected);
}
