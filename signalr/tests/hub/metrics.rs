//! The metrics after real conversations.

use std::pin::pin;

use axum::http::Request;
use futures_util::FutureExt;
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::json;
use signalr::{Caller, Hub, HubError, Options};
use tokio::sync::mpsc;

use crate::{
    http_client::Requests,
    resume,
    server::{TestServer, backplane, within},
};

#[tokio::test(start_paused = true)]
async fn conversations_show_in_the_metrics() {
    let server = TestServer::start(|hub| {
        hub.method("Send", |caller: Caller, (text,): (String,)| async move {
            caller.clients().all().invoke("said", (text,)).await?;
            Ok(())
        })
        .method("Fail", |_: Caller, (): ()| async { Err::<(), _>(HubError::new("no")) })
        .method("Panic", |_: Caller, (): ()| async {
            if true {
                panic!("on purpose");
            }
            Ok(())
        })
    });
    let mut client = server.connect().await;
    client.send(json!({"type": 1, "target": "SEND", "arguments": ["hi"]})).await;
    assert_eq!(client.receive().await["target"], "said");
    client.call("fail", json!([])).await;
    client.call("Panic", json!([])).await;
    client.call("Send", json!([1, 2])).await;
    client.call("no such method", json!([])).await;
    let text = metrics(&server.hub);
    for series in [
        r#"signalr_server_active_connections{signalr_transport="web_sockets",family="core",APP} 1"#,
        r#"signalr_calls_total{method="Send",outcome="ok",APP} 1"#,
        r#"signalr_calls_total{method="Send",outcome="refused",APP} 1"#,
        r#"signalr_calls_total{method="Fail",outcome="error",APP} 1"#,
        r#"signalr_calls_total{method="Panic",outcome="panicked",APP} 1"#,
        r#"signalr_calls_total{method="-",outcome="refused",APP} 1"#,
        r#"signalr_call_duration_seconds_count{method="Fail",outcome="error",APP} 1"#,
        "signalr_delivered_total{APP} 1",
        "signalr_outbox_bytes_max{APP} 0",
        "signalr_drain_remaining{APP} 0",
    ] {
        expect(&text, series);
    }
    let written = value(&text, "signalr_written_bytes_total{APP}");
    assert!(written.parse::<u64>().unwrap() > 100, "{written}");
    assert!(!text.contains("no such method"), "{text}");

    client.send(json!({"type": 7})).await;
    client.wait_for_end().await;
    server.hub.shutdown().await;
    let text = metrics(&server.hub);
    let active =
        r#"signalr_server_active_connections{signalr_transport="web_sockets",family="core",APP} 0"#;
    expect(&text, active);
    expect(
        &text,
        r#"signalr_server_connection_duration_seconds_count{signalr_transport="web_sockets",family="core",signalr_connection_status="normal_closure",APP} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn negotiations_and_refusals_show_in_the_metrics() {
    let server = TestServer::with_options(|options| options.connections_max = 1, |hub| hub);
    let client = Requests::negotiate(&server).await;
    client.connect_polling().await;
    let foreign = Request::post("/hub/negotiate").header("origin", "http://evil.test");
    assert_eq!(server.request(foreign).await.0, 403);
    assert_eq!(server.request(Request::post("/hub/negotiate")).await.0, 503);
    assert_eq!(server.request(Request::get("/hub?id=x")).await.0, 404);
    let text = metrics(&server.hub);
    for series in [
        r#"signalr_negotiations_total{outcome="ok",APP} 1"#,
        r#"signalr_negotiations_total{outcome="refused",APP} 2"#,
        r#"signalr_refused_total{reason="origin",APP} 1"#,
        r#"signalr_refused_total{reason="limit",APP} 1"#,
        r#"signalr_refused_total{reason="token",APP} 1"#,
        r#"signalr_server_active_connections{signalr_transport="long_polling",family="core",APP} 1"#,
    ] {
        expect(&text, series);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_has_a_status() {
    let server = TestServer::start(|hub| hub);
    let mut silent = server.connect().await;
    silent.send(json!({"type": 6})).await;
    silent.wait_for_end().await;
    let other = server.connect().await;
    tokio::join!(server.hub.shutdown(), other.wait_for_end());
    let text = metrics(&server.hub);
    for status in ["timeout", "app_shutdown"] {
        let series = format!(
            r#"signalr_server_connection_duration_seconds_count{{signalr_transport="web_sockets",family="core",signalr_connection_status="{status}",APP}} 1"#
        );
        expect(&text, &series);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_shows_in_the_metrics() {
    let (ending, mut endings) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub| {
        hub.on_disconnected(move |_: Caller| {
            let _ = ending.send(());
            async {}
        })
    });
    let mut client = server.open_through(1024, "", &[]).await.unwrap();
    client.handshake().await;
    for text in ["a", "b", "c"] {
        let text = text.repeat(100_000);
        server.hub.clients().all().invoke("said", (text,)).await.unwrap();
    }
    within(endings.recv()).await.unwrap();
    let text = metrics(&server.hub);
    expect(&text, r#"signalr_slow_connections_total{policy="close",APP} 1"#);
    expect(&text, r#"signalr_dropped_total{policy="close",APP} 3"#);
    let waiting: u64 = value(&text, "signalr_outbox_bytes_max{APP}").parse().unwrap();
    assert!((300_000..301_000).contains(&waiting), "{waiting}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_shows_the_connections_that_it_has_still_to_close() {
    let server = TestServer::start(|hub| hub);
    let (ann, bob) = (server.connect().await, server.connect().await);
    let mut shutdown = pin!(server.hub.shutdown());
    assert!((&mut shutdown).now_or_never().is_none());
    expect(&metrics(&server.hub), "signalr_drain_remaining{APP} 2");
    tokio::join!(shutdown, ann.wait_for_end(), bob.wait_for_end());
    expect(&metrics(&server.hub), "signalr_drain_remaining{APP} 0");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_continued_shows_in_the_metrics() {
    let server = TestServer::start(|hub| hub.method("Count", |(): ()| async { Ok(1) }));
    let (mut client, token) = resume::start(&server).await;
    client.call("Count", json!([])).await;
    drop(client);
    let mut client = server.open(&token, &[]).await.unwrap();
    assert_eq!(client.receive().await, json!({"type": 9, "sequenceId": 1}));
    assert_eq!(client.receive().await["result"], 1);
    client.send(json!({"type": 9, "sequenceId": 2})).await;
    client.send(json!({"type": 7})).await;
    client.wait_for_end().await;
    assert_eq!(server.open(&token, &[]).await.err().unwrap().status(), 404);
    let text = metrics(&server.hub);
    expect(&text, r#"signalr_resumed_total{outcome="ok",APP} 1"#);
    expect(&text, r#"signalr_resumed_total{outcome="refused",APP} 1"#);
    expect(&text, "signalr_replayed_total{APP} 1");
}

#[tokio::test(start_paused = true)]
async fn two_hubs_in_one_registry_have_series_of_their_own() {
    let backplane = backplane();
    let method = |_: Caller, (): ()| async { Ok(()) };
    let chat = Hub::new("Chat", backplane.clone()).method("Send", method);
    let stock = Hub::new("Stock", backplane.clone())
        .method("Send", method)
        .with_options(Options::default());
    let mut registry = Registry::default();
    chat.register(&mut registry);
    stock.register(&mut registry);
    backplane.register(&mut registry);
    for hub in [chat, stock] {
        let server = TestServer::serve(hub, backplane.clone());
        server.connect().await.call("Send", json!([])).await;
    }
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let mut series: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all, "{text}");
    assert!(series.iter().any(|series| series.contains(r#"hub="Stock""#)), "{text}");
}

fn metrics(hub: &Hub) -> String {
    let mut registry = Registry::default();
    hub.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

/// Checks one line. `APP` stands for the labels of all series, whose order does not matter.
fn expect(text: &str, line: &str) {
    let (series, expected) = line.rsplit_once(' ').unwrap();
    assert_eq!(value(text, series), expected, "{series}\n{text}");
}

/// Returns the value of a series.
fn value<'a>(text: &'a str, series: &str) -> &'a str {
    let series = series.replace("APP", r#"app="ChatApp",hub="Hub""#);
    let wanted = labels(&series);
    let found = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .find(|(series, _)| !series.starts_with('#') && labels(series) == wanted);
    found.map_or("absent", |(_, value)| value)
}

/// Returns the name and the labels of a series, sorted.
fn labels(series: &str) -> Vec<&str> {
    let mut labels: Vec<&str> =
        series.split(['{', ',', '}']).filter(|part| !part.is_empty()).collect();
    labels.sort_unstable();
    labels
}
