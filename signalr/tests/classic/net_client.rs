//! The requests of Microsoft.AspNet.SignalR.Client 2.4.2, as they were recorded.
//!
//! It names hubs as the application wrote them, leaves brackets in the query, and sends forms
//! without a content type.

use serde_json::Value;

use crate::server::{TestServer, encode};

#[tokio::test(start_paused = true)]
async fn its_requests_are_served() {
    let mut server = TestServer::start();
    let agent = "User-Agent: SignalR.Client.NetStandard/2.4.2.0 (Unix)\r\n";
    let data = "connectionData=[%7B%22Name%22:%22ChatHub%22%7D]";
    let path = format!("/signalr/signalr/negotiate?clientProtocol=2.1&{data}&user=ann");
    let negotiated = server.request_with("GET", &path, agent, "").await.text().await;
    let negotiated: Value = serde_json::from_str(&negotiated).unwrap();
    assert_eq!(negotiated["Url"], "/signalr/signalr");
    let token = negotiated["ConnectionToken"].as_str().unwrap();
    let path = |endpoint: &str, transport: &str| {
        format!(
            "/signalr/signalr/{endpoint}?clientProtocol=2.1&transport={transport}&{data}\
             &connectionToken={token}&user=ann"
        )
    };

    let connect = path("connect", "serverSentEvents");
    let mut events =
        server.request_with("GET", &connect, "Accept: text/event-stream\r\n", "").await;
    assert_eq!(events.event().await, "initialized");
    assert_eq!(events.frame().await["S"], 1);
    let started = server.request_with("GET", &path("start", "serverSentEvents"), agent, "").await;
    assert_eq!(started.text().await, "{ \"Response\": \"started\" }");

    let send = path("send", "serverSentEvents");
    let body = "data=%7b%22I%22%3a%220%22%2c%22H%22%3a%22ChatHub%22%2c%22M%22%3a%22Send%22%2c%22A\
                %22%3a%5b%22ann%22%2c%22hi+%c3%a9+%f0%9f%98%80%22%5d%7d";
    let sent = server.request_with("POST", &send, agent, body).await;
    assert_eq!(sent.text().await, r#"{"I":"0"}"#);
    let event = events.event().await;
    assert!(event.starts_with(r#"{"C":"s-0,"#), "{event}");
    let message = r#""M":[{"H":"ChatHub","M":"broadcastMessage","A":["ann","hi é 😀"]}]}"#;
    assert!(event.ends_with(message), "{event}");

    let join = encode(r#"{"I":"1","H":"ChatHub","M":"JoinRoom","A":["red"]}"#);
    let joined = server.request_with("POST", &send, agent, &format!("data={join}")).await;
    assert_eq!(joined.text().await, r#"{"I":"1"}"#);
    assert!(events.frame().await["G"].is_string());

    let abort = path("abort", "serverSentEvents");
    let head = format!("{agent}Content-Type: text/plain; charset=utf-8\r\n");
    let aborted = server.request_with("POST", &abort, &head, "").await;
    assert_eq!((aborted.status, aborted.header("content-length")), (200, "0"));
    assert_eq!(events.text().await, "");
    let id = negotiated["ConnectionId"].as_str().unwrap();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert_eq!(server.event().await, format!("disconnected {id}"));
}

#[tokio::test(start_paused = true)]
async fn its_first_attempt_without_an_upgrade_is_refused_and_its_token_stays_valid() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let refused = server.get(&client.path("connect", "webSockets", "")).await;
    assert_eq!((refused.status, &*refused.text().await), (400, "Not a valid web socket request."));
    let mut events = client.events("connect", "").await;
    assert_eq!(events.frame().await["S"], 1);
}
