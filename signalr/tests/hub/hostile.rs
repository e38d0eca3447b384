//! Input that no client sends, generated. It is an error for its sender alone.
//!
//! Each case is checked by the same two claims: its sender receives the expected answer, and another
//! client of the server is served as before.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use signalr::{Caller, Hub, HubError, Upload};
use tokio::time;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    http_client::Requests,
    server::{Client, TestServer, duration, within},
};

#[tokio::test(start_paused = true)]
async fn a_message_may_come_in_any_fragments() {
    let server = server();
    let message = echo("1", 1).to_string() + "\u{1e}";
    let bytes = message.as_bytes();
    let ping = frame(FIN | PING, b"p");
    let mut client = server.connect().await;
    for first in 0..=bytes.len() {
        for second in [first, (first + bytes.len()) / 2, bytes.len()] {
            let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            // The opcode of the first fragment does not matter, and a ping may come between two.
            let opcode = if first % 2 == 0 { TEXT } else { BINARY };
            client.send_bytes(&frame(opcode, parts[0])).await;
            client.send_bytes(&ping).await;
            client.send_bytes(&frame(CONTINUATION, parts[1])).await;
            client.send_bytes(&frame(FIN | CONTINUATION, parts[2])).await;
            assert_eq!(client.receive().await["result"], 1, "{first} {second}");
        }
    }
    for byte in frame(FIN | TEXT, bytes) {
        client.send_bytes(&[byte]).await;
    }
    assert_eq!(client.receive().await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_breaks_the_rules_ends_its_connection_alone() {
    let server = server();
    let mut other = server.connect().await;
    for (bytes, code) in [
        (frame(FIN | TEXT | 0x40, b"x"), 1002),
        (frame(FIN | TEXT | 0x20, b"x"), 1002),
        (frame(FIN | TEXT | 0x10, b"x"), 1002),
        (frame(FIN | 3, b"x"), 1002),
        (frame(FIN | 11, b"x"), 1002),
        (frame(FIN | CONTINUATION, b"x"), 1002),
        ([frame(TEXT, b"x"), frame(FIN | TEXT, b"x")].concat(), 1002),
        (frame(PING, b"a ping in fragments"), 1002),
        (frame(FIN | PING, &[b'x'; 126]), 1002),
        (frame(FIN | TEXT, b"\xff"), 1007),
        (frame(FIN | TEXT, b"\xc3"), 1007),
        (frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        ([frame(TEXT, b"\xe2\x82"), frame(FIN | CONTINUATION, b"x")].concat(), 1007),
    ] {
        let mut client = server.connect().await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.receive_close().await, code, "{bytes:x?}");
        expect_echo(&mut other).await;
    }
    for length in [u64::MAX, 1 << 63, 1 << 40] {
        let mut client = server.connect().await;
        let head = [&[FIN | BINARY, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        client.send_bytes(&head).await;
        client.wait_for_end().await;
        expect_echo(&mut other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_message_ends_its_connection_alone() {
    let server = server();
    let mut other = server.connect().await;
    let deep = |open: &str, close: &str, levels: usize| {
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        format!(r#"{{"type":1,"target":"Echo","arguments":[{open}1{close}]}}"#)
    };
    let mut messages = vec![
        deep("[", "]", 70),
        deep(r#"{"a":"#, "}", 70),
        deep("[", "", 30_000),
        "[".repeat(30_000),
        r#"{"a":"#.repeat(6_000),
    ];
    // Each property of a call with each type of JSON that does not fit.
    let values =
        [json!(null), json!(true), json!(1), json!("x"), json!([]), json!({}), json!([{}])];
    for (property, fitting) in [
        ("type", vec![json!(1)]),
        ("target", vec![json!("x")]),
        ("arguments", vec![json!([]), json!([{}])]),
        ("invocationId", vec![json!("x")]),
        ("streamIds", vec![json!([])]),
        ("headers", vec![json!({})]),
    ] {
        for value in values.iter().filter(|value| !fitting.contains(value)) {
            let mut call =
                json!({"type": 1, "invocationId": "1", "target": "Echo", "arguments": [1]});
            call[property] = value.clone();
            messages.push(call.to_string());
        }
    }
    for message in messages {
        let mut client = server.connect().await;
        client.send(&message).await;
        let close = client.receive().await;
        assert_eq!(
            (&close["type"], &close["allowReconnect"]),
            (&json!(7), &json!(true)),
            "{message}"
        );
        assert_eq!(client.receive_close().await, 1000);
        expect_echo(&mut other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_unknown_types_and_ids_have_no_effect() {
    let server = server();
    let mut client = server.connect().await;
    for number in [-1, 0, 10, 99, i64::MAX] {
        client.send(json!({"type": number})).await;
    }
    client.send(json!({"type": 1.5})).await;
    client.send(r#"{"type":100000000000000000000}"#).await;
    for number in 0..1_000 {
        let id = number.to_string();
        client.send(json!({"type": 2, "invocationId": id, "item": 1})).await;
        client.send(json!({"type": 3, "invocationId": id, "result": 1})).await;
        client.send(json!({"type": 5, "invocationId": id})).await;
        client.send(json!({"type": 8, "sequenceId": number})).await;
        client.send(json!({"type": 9, "sequenceId": number})).await;
    }
    expect_echo(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_refused_and_its_call_goes_on() {
    let server = server();
    let mut client = server.connect().await;
    let stream = json!({"type": 4, "invocationId": "7", "target": "Endless", "arguments": []});
    client.send(&stream).await;
    assert_eq!(client.receive().await["item"], 0);
    for _ in 0..100 {
        client.send(&stream).await;
    }
    let mut refused = 0;
    while refused < 100 {
        let message = client.receive_past_pings().await;
        refused += usize::from(message["error"] == "Invocation ID '7' is already in use.");
    }
    client.send(json!({"type": 5, "invocationId": "7"})).await;
    while client.receive_past_pings().await != json!({"type": 3, "invocationId": "7"}) {}
    expect_echo(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn calls_cancellations_and_pings_without_number_delay_no_other_client() {
    let server = server();
    let mut other = server.connect().await;
    let ping = "{\"type\":6}\u{1e}".repeat(1_000);
    let cancel = "{\"type\":5,\"invocationId\":\"7\"}\u{1e}".repeat(1_000);
    let call = "{\"type\":1,\"target\":\"Echo\",\"arguments\":[1]}\u{1e}".repeat(1_000);
    let join = (0..1_000)
        .map(|room| format!("{{\"type\":1,\"target\":\"Join\",\"arguments\":[\"{room}\"]}}\u{1e}"));
    for flood in [ping, cancel, call, join.collect()] {
        let mut client = server.open_through(1 << 20, "", &[]).await.unwrap();
        client.handshake().await;
        for _ in 0..10 {
            client.send_frame(Message::text(flood.clone())).await;
        }
        expect_echo(&mut other).await;
        expect_echo(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_never_end_hold_a_bounded_number_of_messages() {
    let server = server();
    let mut other = server.connect().await;
    // The client of a stream does not read, and the pipe holds little.
    let mut client = server.open_through(4 * 1024, "", &[]).await.unwrap();
    client.handshake().await;
    for id in 0..10 {
        let id = id.to_string();
        client
            .send(json!({"type": 4, "invocationId": id, "target": "Endless", "arguments": []}))
            .await;
    }
    expect_echo(&mut other).await;
    // It is closed at the write timeout.
    time::sleep(Duration::from_secs(30)).await; // on the paused clock
    client.wait_for_end().await;
    expect_echo(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_its_method_does_not_read_stops_its_sender_alone() {
    let server = server();
    let mut other = server.connect().await;
    let mut client = server.open_through(4 * 1024, "", &[]).await.unwrap();
    client.handshake().await;
    client.send(json!({"type": 1, "target": "Ignore", "arguments": [], "streamIds": ["s"]})).await;
    let sent = async {
        for number in 0..100_000 {
            client.send(json!({"type": 2, "invocationId": "s", "item": number})).await;
        }
    };
    // The pipe and the server together take a bounded number of items.
    assert!(time::timeout(Duration::from_secs(20), sent).await.is_err());
    expect_echo(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_polls_and_endless_posts_end_with_their_connections() {
    let server = server();
    let mut other = server.connect().await;
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let half = format!("GET {} HTTP/1.1\r\nhost: server\r\n", requests.path());
    let post = format!(
        "POST {} HTTP/1.1\r\nhost: server\r\ntransfer-encoding: chunked\r\n\r\n",
        requests.path()
    );
    let mut pipes = Vec::new();
    for text in [half, post] {
        for _ in 0..20 {
            let mut pipe = server.pipe(1024);
            within(tokio::io::AsyncWriteExt::write_all(&mut pipe, text.as_bytes())).await.unwrap();
            pipes.push(pipe);
        }
    }
    expect_echo(&mut other).await;
    // Nothing polls, so the connection ends, and its token is unknown.
    time::sleep(Duration::from_secs(20)).await; // on the paused clock
    let (status, ..) = server.request(Request::post(requests.path())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    expect_echo(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_negotiations_cost_no_other_client_time() {
    let server = server();
    let mut other = server.connect().await;
    let (waited, ()) = duration(async {
        for _ in 0..10_000 {
            let (status, ..) = server.request(Request::post("/hub/negotiate")).await;
            assert_eq!(status, StatusCode::OK);
        }
    })
    .await;
    assert_eq!(waited, Duration::ZERO);
    expect_echo(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_reach_no_endpoint() {
    let server = server();
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    for origin in
        ["http://evil.test", "null", "http://server.evil.test", "file://", "https://server:1x", ""]
    {
        for path in ["/hub/negotiate", &format!("/hub?id={token}"), "/hub"] {
            for method in ["GET", "POST", "DELETE"] {
                let request = Request::builder().method(method).uri(path);
                let request = request.header("origin", origin).header("host", "server");
                let (status, headers, _) = server.request(request).await;
                let is_negotiation = path.ends_with("negotiate");
                let refused = match is_negotiation && method != "POST" {
                    true => StatusCode::METHOD_NOT_ALLOWED,
                    false => StatusCode::FORBIDDEN,
                };
                assert_eq!(status, refused, "{origin} {method} {path}");
                assert_eq!(headers.get("access-control-allow-origin"), None);
            }
        }
        let refused = server.open("", &[("origin", origin)]).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_none_ends_its_connection_alone() {
    let server = server();
    let mut other = server.connect().await;
    for request in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"protocol":1,"version":1}"#,
        r#"{"protocol":"json","version":"1"}"#,
        r#"{"protocol":"json","version":99999999999999999999}"#,
        r#"{"protocol":"json","version":1.5}"#,
        &"[".repeat(1_000),
        &format!(r#"{{"protocol":"{}","version":1}}"#, "x".repeat(10_000)),
    ] {
        let mut client = server.open("", &[]).await.unwrap();
        client.send(request).await;
        let reply = client.receive().await;
        assert!(reply["error"].is_string(), "{request}: {reply}");
        assert_eq!(client.receive_close().await, 1000);
        expect_echo(&mut other).await;
    }
}

/// Checks that a client is served. Messages of earlier streams may come first.
async fn expect_echo(client: &mut Client) {
    client.send(echo("7", 7)).await;
    let expected = json!({"type": 3, "invocationId": "7", "result": 7});
    loop {
        let message = client.receive_past_pings().await;
        if message["type"] != 1 {
            assert_eq!(message, expected);
            return;
        }
    }
}

fn server() -> TestServer {
    TestServer::start(|hub: Hub| {
        hub.method("Echo", |_: Caller, (value,): (Value,)| async move { Ok(value) })
            .method("Join", |caller: Caller, (room,): (String,)| async move {
                Ok(caller.groups().add(&room).await?)
            })
            .method("Ignore", |parts: Upload<Value>, (): ()| async move {
                let _parts = parts;
                std::future::pending::<Result<(), HubError>>().await
            })
            .stream("Endless", |(): ()| async move {
                Ok(futures_util::stream::iter((0..).map(Ok::<u64, HubError>)))
            })
    })
}

fn echo(id: &str, value: u64) -> Value {
    json!({"type": 1, "invocationId": id, "target": "Echo", "arguments": [value]})
}

/// Builds a frame of the client below 64 KiB. The mask is zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
