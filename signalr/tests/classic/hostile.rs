//! Input that no client sends. It is an error for its sender alone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::server::{TestServer, duration, encode, within};

#[tokio::test(start_paused = true)]
async fn endless_connection_data_is_refused() {
    let server = TestServer::start();
    let hubs = vec![json!({"name": "chathub"}); 1000];
    let path = format!("/signalr/negotiate?connectionData={}", encode(&json!(hubs).to_string()));
    let response = server.get(&path).await;
    assert_eq!(response.status, 400);
    for data in ["nope", "{}", "[1]", "[[]]", "[{\"name\":1}]", &"[".repeat(10_000)] {
        let response =
            server.get(&format!("/signalr/negotiate?connectionData={}", encode(data))).await;
        assert_eq!(response.status, 500, "{data}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_or_endless_body_is_refused() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    client.connect_polling().await;
    let large = json!({"H": "chathub", "M": "Send", "A": ["x".repeat(64 * 1024)]}).to_string();
    assert_eq!(client.send(&large).await.status, 413);
    let path = client.path("send", "serverSentEvents", "");
    assert_eq!(server.request("POST", &path, &"x".repeat(400_000)).await.status, 413);
    let path = client.path("poll", "longPolling", "");
    assert_eq!(server.request("POST", &path, &"x".repeat(400_000)).await.status, 413);

    // A body that stops is waited for, and the calls behind it.
    let path = client.path("send", "serverSentEvents", "");
    let head = format!("POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: 100\r\n\r\ndata=");
    let mut silent = server.raw(&head).await;
    let mut reply = vec![0; 1000];
    let (waited, bytes) = duration(silent.read(&mut reply)).await;
    assert_eq!(waited.as_secs(), 10);
    assert!(reply[..bytes.unwrap()].starts_with(b"HTTP/1.1 408"));
    assert_eq!(client.call("Add", json!([1, 2])).await, json!({"R": 3, "I": "0"}));
}

#[tokio::test(start_paused = true)]
async fn a_token_does_not_open_other_connections() {
    let server = TestServer::start();
    let (client, mut socket) = server.connect().await;
    let token = &client.token;
    for at in [0, 20, token.len() - 1] {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'E' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        for endpoint in ["connect", "reconnect", "poll", "start", "send", "abort"] {
            let path =
                format!("/signalr/{endpoint}?transport=longPolling&connectionToken={forged}");
            let response = server.request("POST", &path, "").await;
            assert_eq!(response.status, 400, "{endpoint} {at}");
        }
    }
    let (_, reply) = socket.call("Add", json!([1, 2])).await;
    assert_eq!(reply["R"], 3);
}

#[tokio::test(start_paused = true)]
async fn wrong_messages_are_ignored_and_large_ones_end_a_web_socket() {
    let server = TestServer::start();
    let large = format!(r#"{{"H":"chathub","M":"Send","A":["{}"]}}"#, "x".repeat(70_000));
    let state = format!(r#"{{"H":"chathub","M":"Add","S":{{"a":"{}"}}}}"#, "x".repeat(5000));
    let deep = format!(r#"{{"H":"chathub","M":"Add","A":{}"#, "[".repeat(20_000));
    let (_client, mut socket) = server.connect().await;
    for text in ["nope", "[]", "{}", "", &state, &deep] {
        socket.send(text).await;
        let (_, reply) = socket.call("Add", json!([1, 2])).await;
        assert_eq!(reply, json!({"R": 3, "I": "7"}), "{text}");
    }
    socket.send(large).await;
    while let Some(frame) = socket.text().await {
        assert_eq!(frame, "{}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_requests_leave_the_server_working() {
    let server = TestServer::start();
    let client = server.negotiate().await;
    let pieces = [
        "transport=webSockets&",
        "transport=serverSentEvents&",
        "transport=longPolling&",
        "transport=foreverFrame&frameId=1&",
        "connectionToken=TOKEN&",
        "connectionData=%5B%7B%22name%22%3A%22chathub%22%7D%5D&",
        "connectionData=%5B&",
        "clientProtocol=1.3&",
        "clientProtocol=2.1&",
        "messageId=s-0%2C1&",
        "messageId=s-0%2CFFFFFFFFFFFFFFFF&",
        "messageId=x&",
        "groupsToken=abcd&",
        "tid=%FF&",
        "=&",
    ];
    let endpoints =
        ["connect", "reconnect", "poll", "start", "send", "abort", "negotiate", "ping", "hubs", ""];
    let mut random = 1_u32;
    let mut next = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(random >> 8).unwrap() % below
    };
    for _ in 0..2000 {
        let endpoint = endpoints[next(endpoints.len())];
        let query: String = (0..next(8)).map(|_| pieces[next(pieces.len())]).collect();
        let query = query.replace("TOKEN", &client.token);
        let body = ["", "data=%7B%7D", "data=%7B%22H%22%3A%22chathub%22%2C%22M%22%3A%22Add%22%7D"];
        let path = format!("/signalr/{endpoint}?{query}");
        let response = server.request("POST", &path, body[next(body.len())]).await;
        assert!(matches!(response.status, 200 | 400 | 403 | 500), "{path}: {}", response.status);
    }
    let (_client, mut socket) = server.connect().await;
    let (_, reply) = socket.call("Add", json!([1, 2])).await;
    assert_eq!(reply["R"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_calls_and_does_not_read_has_to_wait() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut server = TestServer::with_hooks(|hub| {
        hub.method("Large", move |(): ()| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok("x".repeat(60_000)) }
        })
    });
    let (client, mut socket) = server.connect().await;
    let id = client.id.clone();
    let sending = tokio::spawn(async move {
        for _ in 0..2000 {
            socket.send(r#"{"H":"chathub","M":"Large","A":[],"I":0}"#).await;
        }
        socket
    });
    assert_eq!(server.event().await, format!("connected {id}"));
    let (waited, event) = duration(server.event()).await;
    assert_eq!(event, format!("disconnected {id}"));
    assert!(waited.as_secs() <= 60, "{waited:?}");
    // Those that the network, the queues and the limit hold.
    assert!(calls.load(Ordering::Relaxed) < 200, "{calls:?}");
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_parked_and_then_closed() {
    let mut server = TestServer::start();
    let (client, socket) = server.connect().await;
    let id = client.id.clone();
    assert_eq!(server.event().await, format!("connected {id}"));
    let hub = server.hub.clone();
    let text = "x".repeat(100_000);
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            hub.clients().all().invoke("news", (&text,)).await.unwrap();
        }
    });
    let (waited, event) = duration(within(server.event())).await;
    assert_eq!(event, format!("disconnected {id}"));
    assert!(waited.as_secs() <= 60, "{waited:?}");
    sending.await.unwrap();
    drop(socket);
}

/// Each takes memory while a method runs.
#[tokio::test(start_paused = true)]
async fn empty_messages_behind_a_method_that_runs_are_limited() {
    let server = TestServer::start();
    let (_client, mut socket) = server.connect().await;
    socket.send(r#"{"H":"chathub","M":"Endless","A":[],"I":0}"#).await;
    let sending = async {
        for _ in 0..1_000_000 {
            socket.send("").await;
        }
    };
    // The server stops to read, so the network is full.
    assert!(tokio::time::timeout(Duration::from_secs(5), sending).await.is_err());
}
