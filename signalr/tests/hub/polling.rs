//! Long polling.

use serde_json::{Value, json};
use signalr::{Hub, Options};
use tokio::{
    sync::mpsc,
    time::{self, Duration, Instant},
};

use crate::{
    http_client::{HANDSHAKE, NO_CACHE, OCTETS, PLAIN, Requests},
    server::{TestServer, duration, within},
};

#[tokio::test(start_paused = true)]
async fn the_first_poll_returns_at_once() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let (waited, reply) = duration(requests.poll()).await;
    reply.expect(200, &[&[OCTETS][..], &NO_CACHE].concat(), "");
    assert!(reply.headers.contains(&"content-length: 0".to_owned()), "{reply:?}");
    assert_eq!(waited.as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_returns_all_messages() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let waiting = requests.begin_poll().await;
    requests.send_messages(&[call("1", "a")]).await;
    assert_eq!(messages_of(waiting).await, [completion("1", "a")]);

    requests.send_messages(&[call("2", "b"), call("3", "c")]).await;
    let mut found = Vec::new();
    while found.len() < 2 {
        found.extend(split(&requests.poll_messages().await));
    }
    assert_eq!(found, [completion("2", "b"), completion("3", "c")]);
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_a_poll() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut news = server.connect().await;
    for number in 0..100 {
        server.hub.clients().all().invoke("news", (number,)).await.unwrap();
        news.receive().await;
    }
    let found = split(&requests.poll_messages().await);
    let numbers: Vec<_> = found.iter().map(|message| message["arguments"][0].clone()).collect();
    assert_eq!(numbers, (0..100).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_newer_poll_ends_an_older_one() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut older = requests.begin_poll().await;
    let newer = requests.begin_poll().await;
    older.receive().await.expect(204, &[&[PLAIN][..], &NO_CACHE].concat(), "");
    requests.send_messages(&[call("1", "a")]).await;
    assert_eq!(messages_of(newer).await, [completion("1", "a")]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_messages_is_empty_after_90_seconds() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    // The server sends no pings.
    for _ in 0..3 {
        let (waited, reply) = duration(requests.poll()).await;
        reply.expect(200, &[&[PLAIN][..], &NO_CACHE].concat(), "");
        assert_eq!(waited.as_secs(), 90);
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_breaks_off_takes_no_messages() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    for _ in 0..20 {
        drop(requests.begin_poll().await);
    }
    requests.send_messages(&[call("1", "a")]).await;
    assert_eq!(split(&requests.poll_messages().await), [completion("1", "a")]);
}

#[tokio::test(start_paused = true)]
async fn delete_ends_the_connection() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut waiting = requests.begin_poll().await;
    // The poll waits for messages after this answer.
    requests.post("").await.expect(200, &[PLAIN], "");
    requests.request("DELETE").await.expect(202, &[PLAIN], "");
    waiting.receive().await.expect(204, &[&[PLAIN][..], &NO_CACHE].concat(), "");
    let text = "No Connection with that ID";
    requests.poll().await.expect(404, &[&[PLAIN][..], &NO_CACHE].concat(), text);
    requests.post("{\"type\":6}\u{1e}").await.expect(404, &[PLAIN], text);
    requests.request("DELETE").await.expect(404, &[PLAIN], text);
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
}

#[tokio::test(start_paused = true)]
async fn delete_during_a_method_makes_the_token_unknown_at_once() {
    let server = TestServer::start(|hub| {
        hub.method("Slow", |(): ()| async {
            time::sleep(Duration::from_secs(3)).await;
            Ok(())
        })
    });
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    requests.send_messages(&[json!({"type": 1, "target": "Slow", "arguments": []})]).await;
    let start = Instant::now();
    requests.request("DELETE").await.expect(202, &[PLAIN], "");
    assert_eq!(requests.poll().await.status, 404);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_last_messages_arrive_before_the_end() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    assert_eq!(requests.poll_messages().await, "");
    requests.post(format!("{HANDSHAKE}{{\"type\":7}}\u{1e}")).await.expect(200, &[PLAIN], "");
    assert_eq!(within(endings.recv()).await, Some(requests.connection_id.clone()));
    // Longer than the session waits for the client to close.
    time::sleep(Duration::from_secs(10)).await; // on the paused clock
    assert_eq!(requests.poll_messages().await, "{}\u{1e}{\"type\":7}\u{1e}");
    requests.poll().await.expect(204, &[&[PLAIN][..], &NO_CACHE].concat(), "");
    let text = "No Connection with that ID";
    requests.poll().await.expect(404, &[&[PLAIN][..], &NO_CACHE].concat(), text);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_poll_for_15_seconds_ends_once() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    time::sleep(Duration::from_secs(14)).await; // on the paused clock
    assert_eq!(duration(requests.poll()).await.0.as_secs(), 90);
    let (waited, ending) = duration(within(endings.recv())).await;
    assert_eq!((waited.as_secs(), ending), (15, Some(requests.connection_id.clone())));
    server.hub.shutdown().await;
    assert!(endings.try_recv().is_err());
    assert_eq!(requests.poll().await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_too_rarely_is_closed_before_its_messages_fill_the_memory() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut others = server.connect().await;
    let text = "x".repeat(16 * 1024);
    for number in 0..20 {
        server.hub.clients().all().invoke("news", (number, &text)).await.unwrap();
        others.receive_past_pings().await;
    }
    let (waited, _) = duration(within(endings.recv())).await;
    assert_eq!(waited.as_secs(), 10); // the write timeout
    let last = requests.poll_messages().await;
    assert!((32 * 1024..128 * 1024).contains(&last.len()), "{}", last.len());
    assert_eq!(requests.poll().await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_of_the_queue_arrives() {
    let (server, _) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let text = "x".repeat(200 * 1024);
    for _ in 0..3 {
        server.hub.clients().all().invoke("news", (&text,)).await.unwrap();
    }
    for _ in 0..3 {
        let found = split(&requests.poll_messages().await);
        assert_eq!(found[0]["arguments"][0].as_str().map(str::len), Some(text.len()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_clients_to_another_server() {
    let (server, mut endings) = echo();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let ((waited, ()), ()) = tokio::join!(duration(server.hub.shutdown()), async {
        let close = json!({"type": 7, "allowReconnect": true});
        assert_eq!(split(&requests.poll_messages().await), [close]);
        assert_eq!(requests.poll().await.status, 204);
    });
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
    assert!(within(endings.recv()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn other_transports_of_the_connection_are_refused() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let other = "Cannot change transports mid-connection";
    requests.begin_events().await.receive().await.expect(400, &[PLAIN], other);
    let refusal = server.open(&format!("?id={}", requests.token), &[]).await.err().unwrap();
    assert_eq!(refusal.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn requests_for_a_websocket_are_refused() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    let mut client = server.open(&format!("?id={}", requests.token), &[]).await.unwrap();
    client.handshake().await;
    let other = "Cannot change transports mid-connection";
    requests.begin_events().await.receive().await.expect(400, &[PLAIN], other);
    requests.poll().await.expect(400, &[&[PLAIN][..], &NO_CACHE].concat(), other);
    let text = "POST requests are not allowed for WebSocket connections.";
    requests.post(HANDSHAKE).await.expect(405, &[PLAIN], text);
    let text = "Cannot terminate this connection using the DELETE endpoint.";
    requests.request("DELETE").await.expect(400, &[PLAIN], text);
}

#[tokio::test(start_paused = true)]
async fn version_0_uses_its_id() {
    let server = TestServer::start(|hub| hub);
    let (_, _, body) = server.request(axum::http::Request::post("/hub/negotiate")).await;
    let negotiated: Value = serde_json::from_str(&body).unwrap();
    let id = negotiated["connectionId"].as_str().unwrap().to_owned();
    let requests =
        Requests { server: &server, connection_id: id.clone(), token: id, headers: Vec::new() };
    requests.connect_polling().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_request_of_another_user_is_refused() {
    let server = TestServer::start(|hub| {
        hub.user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
            .method("Me", |caller: signalr::Caller, (): ()| async move {
                Ok(caller.user().map(str::to_owned))
            })
    });
    let mut requests = Requests::negotiate(&server).await;
    requests.headers.push(("x-user", "ann"));
    requests.connect_polling().await;
    for user in [None, Some(("x-user", "bob"))] {
        requests.headers = user.into_iter().collect();
        let text = "the connection belongs to another user";
        requests.poll().await.expect(403, &[&[PLAIN][..], &NO_CACHE].concat(), text);
        requests.post("{\"type\":7}\u{1e}").await.expect(403, &[PLAIN], text);
        requests.request("DELETE").await.expect(403, &[PLAIN], text);
        let query = format!("?id={}", requests.token);
        assert_eq!(server.open(&query, &[]).await.err().unwrap().status(), 403);
    }
    requests.headers = vec![("x-user", "ann")];
    let me = json!({"type": 1, "invocationId": "1", "target": "Me", "arguments": []});
    requests.send_messages(&[me]).await;
    assert_eq!(split(&requests.poll_messages().await), [completion("1", "ann")]);
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_foreign_page_is_refused() {
    let server = TestServer::start(|hub| hub);
    let mut requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    requests.headers = vec![("origin", "http://evil.example")];
    assert_eq!(requests.poll().await.status, 403);
    assert_eq!(requests.post("").await.status, 403);
    assert_eq!(requests.request("DELETE").await.status, 403);
    requests.headers = vec![("origin", "http://server")];
    assert_eq!(requests.request("DELETE").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_listed_page_gets_cors_headers() {
    let options = Options::default().allow_origin("https://friend.example").unwrap();
    let server = TestServer::start(|hub| hub.with_options(options));
    let mut requests = Requests::negotiate(&server).await;
    requests.headers = vec![("origin", "https://friend.example")];
    let replies = [
        requests.poll().await,
        requests.post(HANDSHAKE).await,
        requests.poll().await,
        requests.request("DELETE").await,
        requests.poll().await,
    ];
    for reply in replies {
        let header = "access-control-allow-origin: https://friend.example".to_owned();
        assert!(reply.headers.contains(&header), "{reply:?}");
    }
}

/// Starts a server with the method `Echo`, which reports the id of each connection that ends.
fn echo() -> (TestServer, mpsc::UnboundedReceiver<String>) {
    let (ending, endings) = mpsc::unbounded_channel();
    let server = TestServer::start(|hub: Hub| {
        hub.method("Echo", |(text,): (String,)| async move { Ok(text) }).on_disconnected(
            move |caller: signalr::Caller| {
                let _ = ending.send(caller.connection_id().to_owned());
                async {}
            },
        )
    });
    (server, endings)
}

fn call(id: &str, text: &str) -> Value {
    json!({"type": 1, "invocationId": id, "target": "Echo", "arguments": [text]})
}

fn completion(id: &str, result: &str) -> Value {
    json!({"type": 3, "invocationId": id, "result": result})
}

async fn messages_of(
    mut poll: crate::http_client::HttpClient<tokio::io::DuplexStream>,
) -> Vec<Value> {
    let reply = poll.receive().await;
    assert_eq!(reply.status, 200);
    split(&reply.body)
}

fn split(body: &str) -> Vec<Value> {
    body.split_terminator('\u{1e}').map(|message| serde_json::from_str(message).unwrap()).collect()
}
