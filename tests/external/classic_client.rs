//! The unmodified npm packages `signalr` and `jquery`, connected to the chat's hub: in Node.js with
//! jsdom, and in Chromium.

use harness::{Chat, Kind, Process, SLOW_DEADLINE, Server, node};
use serde_json::{Value, json};

use crate::browsers::result_of;

const MESSAGES: usize = 20;

#[tokio::test]
async fn clients_exchange_messages_by_web_sockets() {
    exchange(Kind::Ours, "webSockets").await;
}

#[tokio::test]
async fn clients_exchange_messages_by_web_sockets_over_redis_server() {
    exchange(Kind::Redis, "webSockets").await;
}

#[tokio::test]
async fn clients_exchange_messages_by_server_sent_events() {
    exchange(Kind::Ours, "serverSentEvents").await;
}

#[tokio::test]
async fn clients_exchange_messages_by_long_polling() {
    exchange(Kind::Ours, "longPolling").await;
}

/// Two clients of SignalR 2 and one of ASP.NET Core receive one order, follow groups, read errors,
/// and lose nothing with a lost transport.
async fn exchange(kind: Kind, transport: &str) {
    let server = Server::start(kind, &["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    let mut script = node("signalr_classic.mjs");
    script.args(chat.pages()).args([&MESSAGES.to_string(), transport]);

    let result = result_of(&Process::run(&mut script, 2 * SLOW_DEADLINE).await);

    let mut expected: Vec<Value> = (0..MESSAGES)
        .map(|number| {
            let name = if number % 2 == 0 { "ann" } else { "bob" };
            json!([name, format!("message {number}")])
        })
        .collect();
    expected.push(json!(["core", "end"]));
    assert_eq!(result["received"], json!([expected, expected, expected]));
    assert_eq!(result["room"], json!([["red", "bob", "in the room"], ["bob", "done"]]));
    assert_eq!(result["refused"], "the name is empty; expected 1 to 40 characters");
    let unknown = "There was an error invoking Hub method 'ChatHub.NoSuchMethod'.";
    assert_eq!(result["unknown"], unknown);
    assert_eq!(result["after"], json!([["bob", "meanwhile"], ["ann", "again"]]));
    // Connecting, connected, reconnecting, connected, disconnected.
    assert_eq!(result["states"], json!([0, 1, 2, 1, 4]));
}

#[tokio::test]
async fn pages_in_chromium_exchange_messages_by_each_transport() {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    let chat = Chat::at(&server.url()).await;
    let mut script = node("classic_browsers.mjs");
    script.args(chat.pages());

    let result = result_of(&Process::run(&mut script, 4 * SLOW_DEADLINE).await);

    for (asked, used) in [
        ("auto", "webSockets"),
        ("webSockets", "webSockets"),
        ("serverSentEvents", "serverSentEvents"),
        ("longPolling", "longPolling"),
    ] {
        let messages = json!([["ann", format!("by {asked}")], ["bob", "end"]]);
        let expected = json!({"transports": [used, used], "received": [messages, messages]});
        assert_eq!(result[asked], expected, "{asked}");
    }
}
