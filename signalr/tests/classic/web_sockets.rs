//! Connections over WebSockets.

use serde_json::json;
use tokio::time;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::server::{TestServer, duration};

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_after_the_messages_of_its_method() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    for _ in 0..20 {
        let (messages, reply) = socket.call("Send", json!(["ann", "hi é 😀"])).await;
        let expected = json!({"H": "ChatHub", "M": "broadcastMessage", "A": ["ann", "hi é 😀"]});
        assert_eq!(messages, [expected]);
        assert_eq!(reply, json!({"I": "7"}));
    }
    let (_, reply) = socket.call("Add", json!([1, 2])).await;
    assert_eq!(reply, json!({"R": 3, "I": "7"}));
}

#[tokio::test(start_paused = true)]
async fn frames_are_those_of_signalr_2() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    socket.send(r#"{"H":"chathub","M":"Send","A":["ann","x"],"I":0}"#).await;
    let frame = socket.text().await.unwrap();
    let (start, rest) = frame.split_once("\",").unwrap();
    assert!(start.starts_with("{\"C\":\"s-0,"), "{frame}");
    assert_eq!(rest, r#""M":[{"H":"ChatHub","M":"broadcastMessage","A":["ann","x"]}]}"#);
    assert_eq!(socket.text().await.unwrap(), r#"{"I":"0"}"#);
}

#[tokio::test(start_paused = true)]
async fn clients_of_both_families_reach_each_other() {
    let server = TestServer::start();
    let (_ann, mut ann) = server.connect().await;
    server.hub.clients().all().invoke("news", (1,)).await.unwrap();
    assert_eq!(ann.receive().await["M"], json!([{"H": "ChatHub", "M": "news", "A": [1]}]));
    ann.call("JoinRoom", json!(["red"])).await;
    server.hub.clients().group("red").invoke("room", ()).await.unwrap();
    assert_eq!(ann.receive().await["M"], json!([{"H": "ChatHub", "M": "room", "A": []}]));
}

#[tokio::test(start_paused = true)]
async fn messages_reach_only_clients_of_their_hub() {
    let server = TestServer::start();
    let (_ann, mut ann) = server.connect().await;
    let both = server.negotiate_for(r#"[{"Name":"ChatHub"},{"name":"otherhub"}]"#, "").await;
    let mut bob = both.open("connect", "").await;
    bob.receive().await;
    both.start("webSockets").await;
    bob.send(r#"{"H":"OtherHub","M":"Ping","A":[],"I":"1"}"#).await;
    assert_eq!(bob.receive().await["M"], json!([{"H": "OtherHub", "M": "pong", "A": []}]));
    assert_eq!(bob.receive().await, json!({"R": "other", "I": "1"}));
    let (messages, _) = ann.call("Send", json!(["ann", "x"])).await;
    assert_eq!(messages[0]["H"], "ChatHub");
    assert_eq!(bob.receive().await["M"][0]["H"], "ChatHub");
}

#[tokio::test(start_paused = true)]
async fn a_client_without_subscriptions_may_call() {
    let mut server = TestServer::start();
    let client = server.negotiate_for("[]", "").await;
    let mut socket = client.open("connect", "").await;
    socket.receive().await;
    client.start("webSockets").await;
    let (messages, reply) = socket.call("Send", json!(["ann", "x"])).await;
    assert_eq!((messages.len(), reply), (0, json!({"I": "7"})));
    client.abort().await.text().await;
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert_eq!(server.event().await, format!("disconnected {id}"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_gets_a_keep_alive_every_10_seconds() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    for _ in 0..3 {
        let (waited, text) = duration(socket.text()).await;
        assert_eq!((waited.as_secs(), text.as_deref()), (10, Some("{}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_gets_what_it_missed() {
    let mut server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    socket.call("JoinRoom", json!(["red"])).await;
    let (messages, _) = socket.call("SendToRoom", json!(["red", "1"])).await;
    assert_eq!(messages.len(), 1);
    server.hub.clients().group("red").invoke("two", ()).await.unwrap();
    let frame = socket.receive().await;
    let cursor = frame["C"].as_str().unwrap().to_owned();
    drop(socket);
    server.hub.clients().group("red").invoke("three", ()).await.unwrap();

    let mut socket = client.open("reconnect", &format!("&messageId={cursor}&tid=1")).await;
    let missed = socket.receive().await;
    assert_eq!(missed["M"], json!([{"H": "ChatHub", "M": "three", "A": []}]));
    assert!(missed.get("S").is_none());
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_lost_on_its_way_is_sent_again() {
    let server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    let cursor = socket.receive().await["C"].as_str().unwrap().to_owned();
    server.hub.clients().all().invoke("two", ()).await.unwrap();
    assert_eq!(socket.receive().await["M"][0]["M"], "two");
    drop(socket);
    let mut socket = client.open("reconnect", &format!("&messageId={cursor}")).await;
    assert_eq!(socket.receive().await["M"][0]["M"], "two");
}

#[tokio::test(start_paused = true)]
async fn a_long_absence_loses_nothing() {
    let server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    server.hub.clients().all().invoke("first", ()).await.unwrap();
    let cursor = socket.receive().await["C"].as_str().unwrap().to_owned();
    drop(socket);
    // More than wait for a client.
    for number in 0..3000 {
        server.hub.clients().all().invoke("count", (number,)).await.unwrap();
    }
    time::sleep(std::time::Duration::from_secs(1)).await; // on the paused clock
    let mut socket = client.open("reconnect", &format!("&messageId={cursor}")).await;
    let mut next = 0;
    while next < 3000 {
        for message in socket.receive().await["M"].as_array().unwrap() {
            assert_eq!(message["A"], json!([next]));
            next += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_signalr_2_server_is_passed_on_as_it_is() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    // As recorded, with the state of the caller, which only such servers send.
    let value = r#"{"H":"ChatHub","M":"broadcastMessage","A":["ann",1,2.5,"3",null,{"Five":5}],"S":{"colour":"green"}}"#;
    let source = "0b6ff2a4-2f4b-4c33-9d0a-5e6b9e8f7a10";
    let message = [
        &[1, 0, 0, 0, 36][..],
        source.as_bytes(),
        b"\th-ChatHub",
        &u32::try_from(value.len()).unwrap().to_le_bytes(),
        value.as_bytes(),
        &[0, 0, 0, 0],
        &638_397_614_450_000_000_u64.to_le_bytes(),
    ]
    .concat();
    let length = u32::try_from(message.len()).unwrap().to_le_bytes();
    server.broker.raise_number("ChatApp", 1000).unwrap();
    server.broker.publish("ChatApp", [b"1000 ", &length[..], &message].concat());
    loop {
        let frame = socket.text().await.unwrap();
        if frame.contains("broadcastMessage") {
            assert!(frame.contains(value), "{frame}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_reported_to_the_client() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    socket.receive().await;
    // The next id leaves a gap.
    server.broker.raise_number("ChatApp", 100).unwrap();
    server.hub.clients().all().invoke("two", ()).await.unwrap();
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "two") {
        let frame = socket.receive().await;
        let messages = frame["M"].as_array().unwrap();
        names.extend(messages.iter().map(|message| message["M"].as_str().unwrap().to_owned()));
    }
    assert_eq!(names, ["missed", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_is_answered_and_names_the_fault_of_the_client() {
    let server = TestServer::start();
    let bye = CloseFrame { code: CloseCode::Away, reason: "".into() };
    let large = Message::text("x".repeat(70_000));
    for (sent, code) in
        [(Message::Close(Some(bye)), 1001), (large, 1009), (Message::binary("x"), 1000)]
    {
        let (_client, mut socket) = server.connect().await;
        assert_eq!(socket.closed_by(sent).await, Some(code));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_sent_run_although_the_client_is_gone() {
    for is_closed in [true, false] {
        let server = TestServer::start();
        let (client, mut socket) = server.connect().await;
        let (_other, mut other) = server.connect().await;
        // The methods of a client run one at a time.
        let waiting = client.send(r#"{"H":"chathub","M":"AfterSignal","A":[],"I":1}"#);
        let calling = async {
            for number in 0..10 {
                socket
                    .send(json!({"H": "chathub", "M": "Send", "A": ["ann", number.to_string()]}))
                    .await;
            }
            match is_closed {
                true => drop(socket.closed_by(Message::Close(None)).await),
                false => drop(socket),
            }
            server.signal.notify_one();
            for number in 0..10 {
                assert_eq!(other.receive().await["M"][0]["A"], json!(["ann", number.to_string()]));
            }
        };
        tokio::join!(waiting, calling);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_and_a_close_are_answered_while_a_method_runs() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    socket.send(json!({"H": "chathub", "M": "Endless", "A": [], "I": 0})).await;
    assert_eq!(socket.receive().await["M"][0]["M"], "begin");
    for number in 0..5 {
        socket.send(json!({"H": "chathub", "M": "Add", "A": [1, 2], "I": number})).await;
    }
    socket.is_alive().await;
    assert_eq!(socket.closed_by(Message::Close(None)).await, None);
}
