//! Groups and their tokens.

use serde_json::json;

use crate::server::{TestServer, encode};

#[tokio::test(start_paused = true)]
async fn a_change_of_the_groups_comes_with_a_token() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let mut events = client.events("connect", "").await;
    events.frame().await;
    client.start("serverSentEvents").await;
    assert_eq!(client.call("JoinRoom", json!(["red"])).await, json!({"I": "0"}));
    let joined = events.frame().await;
    assert_eq!(joined["M"], json!([]));
    let token = joined["G"].as_str().unwrap().to_owned();

    // A group that has it already changes nothing.
    client.call("JoinRoom", json!(["red"])).await;
    client.call("SendToRoom", json!(["red", "ann"])).await;
    let frame = events.frame().await;
    assert!(frame.get("G").is_none(), "{frame}");
    assert_eq!(frame["M"], json!([{"H": "ChatHub", "M": "roomMessage", "A": ["red", "ann"]}]));

    client.call("LeaveRoom", json!(["red"])).await;
    let left = events.frame().await;
    assert_ne!(left["G"], json!(token));
    assert_eq!(left["M"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn groups_return_with_their_token() {
    let mut server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    let (token, cursor) = {
        socket.send(json!({"H": "chathub", "M": "JoinRoom", "A": ["red"], "I": 0})).await;
        let frame = socket.receive().await;
        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
        (text("G"), text("C"))
    };
    let other = server.negotiate().await;
    let id = client.id.clone();
    // The connection ends here, as with the end of a server.
    drop(socket);
    client.abort().await.text().await;
    server.hub.clients().group("red").invoke("missed-by-none", ()).await.unwrap();

    let more = format!("&messageId={}&groupsToken={token}", encode(&cursor));
    let mut socket = client.open("reconnect", &more).await;
    assert_eq!(socket.receive().await["M"][0]["M"], "missed-by-none");

    // The token of another connection has no effect.
    let mut thief = other.open("reconnect", &more).await;
    server.hub.clients().all().invoke("all", ()).await.unwrap();
    assert_eq!(thief.receive().await["M"][0]["M"], "all");
    for text in ["connected", "disconnected", "connected"] {
        assert_eq!(server.event().await, format!("{text} {id}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_adds_too_many_groups_fails() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    for number in 0..=1000 {
        socket.send(json!({"H": "chathub", "M": "JoinRoom", "A": [number.to_string()]})).await;
    }
    let mut failed = None;
    while failed.is_none() {
        failed = socket.text().await.filter(|text| text.contains("\"E\""));
    }
    assert!(failed.unwrap().contains("the connection is in 1000 groups already"));
}
