//! Spans and log lines, as a subscriber of `tracing` sees them.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::http::Request;
use serde_json::json;
use signalr::{AuthError, Caller, HubError, User};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use crate::{http_client::Requests, server::TestServer};

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_with_the_attributes_of_dotnet() {
    let log = Log::default();
    let _capturing = log.capture();
    let server = TestServer::start(|hub| {
        hub.method("Fail", |_: Caller, (): ()| async { Err::<(), _>(HubError::new("no")) })
    });
    let mut client = server.connect().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client
        .send(json!({
            "type": 1, "invocationId": "1", "target": "FAIL", "arguments": [],
            "headers": {"traceparent": traceparent, "tracestate": "x=y"}
        }))
        .await;
    client.receive().await;
    client.send(json!({"type": 7})).await;
    client.wait_for_end().await;
    server.hub.shutdown().await;

    let text = log.text();
    let call = text.lines().find(|line| line.contains("close") && line.contains("call{"));
    let call = call.unwrap_or_else(|| panic!("no span of a call in {text}"));
    for field in [
        "otel.name=Hub/Fail",
        r#"rpc.system="signalr""#,
        r#"rpc.service="Hub""#,
        r#"rpc.method="Fail""#,
        r#"error.type="error""#,
        "connection.id=",
        &format!("traceparent={traceparent:?}"),
    ] {
        assert!(call.contains(field), "{field} in {call}");
    }
    assert!(!call.contains("connection{"), "a call is no child of its connection: {call}");
    let end = text.lines().find(|line| line.contains("client disconnected")).unwrap();
    assert!(end.contains("connection{") && end.contains("connection.id="), "{end}");
}

#[tokio::test(start_paused = true)]
async fn no_log_line_has_a_token_or_an_argument() {
    let log = Log::default();
    let _capturing = log.capture();
    let server = TestServer::with_options(
        |options| {
            options.auth_refresh = true;
            options.detailed_errors = true;
        },
        |hub| {
            hub.authenticate(|parts| async move {
                match parts.uri.query().is_some_and(|query| query.contains("access_token=SECRET")) {
                    true => Ok(Some(User::new("ann", ()))),
                    false => Err(AuthError::Missing),
                }
            })
            .method("Send", |caller: Caller, (text,): (String,)| async move {
                caller.clients().all().invoke("said", (text,)).await?;
                Ok(())
            })
            .method("Number", |_: Caller, (_,): (u8,)| async { Ok(()) })
        },
    );
    let query = "access_token=SECRET&negotiateVersion=1";
    let (_, _, body) = server.request(Request::post(format!("/hub/negotiate?{query}"))).await;
    let negotiated: serde_json::Value = serde_json::from_str(&body).unwrap();
    let token = negotiated["connectionToken"].as_str().unwrap().to_owned();
    let mut client = server.open(&format!("?id={token}&access_token=SECRET"), &[]).await.unwrap();
    client.handshake().await;
    client.send(json!({"type": 1, "target": "Send", "arguments": ["SECRET"]})).await;
    client.receive().await;
    client.call("Number", json!(["SECRET"])).await;
    client.call("Missing", json!(["SECRET"])).await;
    client
        .send(json!({
            "type": 1, "invocationId": "7", "target": "Number", "arguments": [1],
            "headers": {"traceparent": "SECRET"}
        }))
        .await;
    client.receive().await;
    let refresh = format!("/hub/refresh?id={token}&access_token=SECRET");
    assert_eq!(server.request(Request::post(refresh)).await.0, 200);
    client.send(r#"{"type":1,"target":"Send","arguments":["SECRET"#).await;
    client.wait_for_end().await;

    // Calls in place of the handshake.
    for first in [
        r#"{"type":1,"target":"Send","arguments":["SECRET"]}"#,
        r#"{"protocol":"SECRET","version":1}"#,
        r#"{"protocol":"json","version":"SECRET"}"#,
    ] {
        let mut client = server.open("?access_token=SECRET", &[]).await.unwrap();
        client.send(first).await;
        client.wait_for_end().await;
    }
    // Refused requests.
    let requests = Requests::negotiate_at(&server, &format!("/hub/negotiate?{query}")).await;
    let refused = [
        Request::post(format!("/hub/negotiate?{query}")).header("origin", "http://evil.test"),
        Request::get(format!("/hub?id={}&x={}", requests.token, "SECRET")),
        Request::post("/hub/refresh?id=SECRET&access_token=SECRET"),
    ];
    for request in refused {
        assert!(!server.request(request).await.0.is_success());
    }
    server.hub.shutdown().await;

    let text = log.text();
    assert!(text.contains("client disconnected"), "{text}");
    for secret in ["SECRET", &token, &requests.token] {
        let found = text.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}

/// The log of one test.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures all that this crate logs on this thread.
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("signalr=trace,backplane=trace")
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
