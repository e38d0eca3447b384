//! The unmodified `@microsoft/signalr` in Node.js, connected to the chat's hub.

use harness::{Chat, Kind, Process, SLOW_DEADLINE, Server, node};
use serde_json::{Value, json};

use crate::browsers::result_of;

const MESSAGES: usize = 50;

#[tokio::test]
async fn clients_of_two_servers_exchange_messages_over_our_broker() {
    exchange(Kind::Ours, "WebSockets").await;
}

#[tokio::test]
async fn clients_of_two_servers_exchange_messages_over_redis_server() {
    exchange(Kind::Redis, "WebSockets").await;
}

#[tokio::test]
async fn clients_exchange_messages_by_server_sent_events() {
    exchange(Kind::Ours, "ServerSentEvents").await;
}

#[tokio::test]
async fn clients_exchange_messages_by_long_polling() {
    exchange(Kind::Ours, "LongPolling").await;
}

async fn exchange(kind: Kind, transport: &str) {
    let server = Server::start(kind, &["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    let mut script = node("signalr.mjs");
    script.args(chat.pages()).arg(MESSAGES.to_string()).arg(transport);

    let result = result_of(&Process::run(&mut script, 2 * SLOW_DEADLINE).await);

    // Both clients receive one order. The broker decides it, since neither waits for the other.
    assert_eq!(result["received"][0], result["received"][1]);
    let received = result["received"][0].as_array().expect("a list");
    for (name, parity) in [("ann", 0), ("bob", 1)] {
        let mut expected: Vec<Value> = (0..MESSAGES)
            .filter(|number| number % 2 == parity)
            .map(|number| json!([name, format!("message {number}")]))
            .collect();
        if name == "ann" {
            expected.push(json!([name, "end"]));
        }
        let found: Vec<Value> =
            received.iter().filter(|message| message[0] == name).cloned().collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_client_gets_errors_for_its_mistakes_and_stays_connected() {
    let server = Server::ours(&[]).await;
    let chat = Chat::at(&server.url()).await;
    let mut script = node("signalr_mistakes.mjs");
    script.arg(&chat.pages()[0]);

    let result = result_of(&Process::run(&mut script, 2 * SLOW_DEADLINE).await);

    let method = result["method"].as_str().unwrap_or_default();
    assert!(method.contains("NoSuchMethod"), "{result}");
    assert!(result["arguments"].is_string(), "{result}");
    assert_eq!(result["after"], "Connected");
}
