//! Pings, timeouts and the end of a connection.

use std::time::Duration;

use axum::http::Request;
use backplane::{Backplane, GroupError};
use broker::Broker;
use serde_json::json;
use signalr::{Caller, Hub, HubError};
use tokio::{sync::mpsc, task::JoinSet, time};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::server::{TestServer, duration, within};

#[tokio::test(start_paused = true)]
async fn a_ping_follows_15_seconds_without_another_message() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.connect().await;
    let (waited, ping) = duration(client.receive()).await;
    assert_eq!((waited.as_secs(), ping), (15, json!({"type": 6})));

    time::sleep(Duration::from_secs(10)).await; // on the paused clock
    server.hub.clients().all().invoke("news", ()).await.unwrap();
    assert_eq!(client.receive().await["target"], "news");
    let (waited, ping) = duration(client.receive()).await;
    assert_eq!((waited.as_secs(), ping), (15, json!({"type": 6})));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_30_seconds_and_may_reconnect() {
    let mut client = TestServer::start(|hub| hub).connect().await;
    client.send(json!({"type": 6})).await;
    let (waited, close) = duration(client.receive_past_pings()).await;
    let error = "Connection closed with an error.";
    assert_eq!(close, json!({"type": 7, "error": error, "allowReconnect": true}));
    assert_eq!(waited.as_secs(), 30);
    assert_eq!(client.receive_close().await, 1000);

    let server = TestServer::with_options(|options| options.detailed_errors = true, |hub| hub);
    let mut client = server.connect().await;
    client.send(json!({"type": 6})).await;
    let close = client.receive_past_pings().await;
    let error = "Connection closed with an error. OperationCanceledException: Client hasn't sent a \
                 message/ping within the configured ClientTimeoutInterval.";
    assert_eq!(close, json!({"type": 7, "error": error, "allowReconnect": true}));
}

#[tokio::test(start_paused = true)]
async fn pings_keep_a_client_connected() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.connect().await;
    for _ in 0..10 {
        client.send(json!({"type": 6})).await;
        time::sleep(Duration::from_secs(20)).await;
    }
    server.hub.clients().all().invoke("news", ()).await.unwrap();
    assert_eq!(client.receive_past_pings().await["target"], "news");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_pings_stays_connected() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.connect().await;
    client.call("Unknown", json!([])).await;
    let clients = server.hub.clients();
    tokio::spawn(async move {
        time::sleep(Duration::from_secs(100)).await; // on the paused clock
        clients.all().invoke("news", ()).await
    });
    assert_eq!(client.receive_past_pings().await["target"], "news");
}

#[tokio::test(start_paused = true)]
async fn the_client_timeout_does_not_run_during_a_method() {
    let server = TestServer::start(|hub| {
        hub.method("Slow", |_: Caller, (): ()| async {
            time::sleep(Duration::from_secs(100)).await;
            Ok(())
        })
    });
    let mut client = server.connect().await;
    client.send(json!({"type": 1, "invocationId": "1", "target": "Slow", "arguments": []})).await;
    assert_eq!(client.receive_past_pings().await["type"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_client_ends_its_connection() {
    let (server, mut news) = watched();
    for close in [Message::text("{\"type\":7}\u{1e}"), Message::Close(None)] {
        let mut client = server.connect().await;
        assert_eq!(news.next().await, Some("connected"));
        client.send_frame(close).await;
        client.wait_for_end().await;
        assert_eq!(news.next().await, Some("disconnected"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_client_leaves_no_connection_and_no_token() {
    let (server, mut news) = watched();
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    let mut client = server.open(&format!("?id={token}"), &[]).await.unwrap();
    client.handshake().await;
    assert_eq!(news.next().await, Some("connected"));
    let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    assert_ne!(id, token);
    server.backplane.join(&id, "room").await.unwrap();

    drop(client);
    assert_eq!(news.next().await, Some("disconnected"));
    server.hub.shutdown().await;
    let unknown = server.backplane.join(&id, "room").await;
    assert!(matches!(unknown, Err(GroupError::NoAnswer { .. })), "{unknown:?}");
    assert_eq!(server.open(&format!("?id={token}"), &[]).await.err().unwrap().status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_close_message_is_answered_with_one() {
    let server = TestServer::start(|hub| hub);
    for close in [json!({"type": 7}), json!({"type": 7, "error": "tired"})] {
        let mut client = server.connect().await;
        client.send(close).await;
        assert_eq!(client.receive().await, json!({"type": 7}));
        assert_eq!(client.receive_close().await, 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_is_answered_before_the_end() {
    let server = TestServer::start(|hub| hub);
    // The code of the client does not matter, as with ASP.NET Core.
    for code in [None, Some(CloseCode::Normal), Some(CloseCode::Away), Some(4000.into())] {
        let mut client = server.connect().await;
        let frame = code.map(|code| CloseFrame { code, reason: "".into() });
        client.send_frame(Message::Close(frame)).await;
        assert_eq!(client.receive_close().await, 1000, "{code:?}");
        client.wait_for_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_frame_is_closed_with_its_code() {
    let server = TestServer::start(|hub| hub);
    for (first_byte, payload, code) in [(0x81 | 0x40, b'x', 1002), (0x81, 0xff, 1007)] {
        let mut client = server.connect().await;
        client.send_bytes(&[first_byte, 0x80 | 1, 0, 0, 0, 0, payload]).await;
        assert_eq!(client.receive_close().await, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_without_a_mask_is_read() {
    let server =
        TestServer::start(|hub| hub.method("Echo", |_: Caller, (x,): (i32,)| async move { Ok(x) }));
    let mut client = server.connect().await;
    let call = "{\"type\":1,\"invocationId\":\"7\",\"target\":\"Echo\",\"arguments\":[5]}\u{1e}";
    let length = u8::try_from(call.len()).unwrap();
    client.send_bytes(&[&[0x81, length][..], call.as_bytes()].concat()).await;
    assert_eq!(client.receive().await, json!({"type": 3, "invocationId": "7", "result": 5}));
}

#[tokio::test(start_paused = true)]
async fn invalid_messages_are_closed_with_an_error() {
    for (message, error) in [
        ("{}", "Missing required property 'type'."),
        ("nonsense", "Error reading JSON."),
        (r#"{"type":1,"arguments":[]}"#, "Missing required property 'target'."),
    ] {
        check_invalid(message, error).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_closed_with_the_limit() {
    for bytes in [32 * 1024, 2 * 1024 * 1024] {
        check_invalid(
            &"x".repeat(bytes),
            "The maximum message size of 32768B was exceeded. \
             The message size can be configured in AddHubOptions.",
        )
        .await;
    }
}

/// Checks the Close message for an invalid message, with details and without.
async fn check_invalid(message: &str, error: &str) {
    let closed = "Connection closed with an error.";
    for (detailed, error) in
        [(true, format!("{closed} InvalidDataException: {error}")), (false, closed.to_owned())]
    {
        let server =
            TestServer::with_options(|options| options.detailed_errors = detailed, |hub| hub);
        let mut client = server.open_through(4 * 1024 * 1024, "", &[]).await.unwrap();
        client.handshake().await;
        client.send(message).await;
        let expected = json!({"type": 7, "error": error, "allowReconnect": true});
        assert_eq!(client.receive().await, expected);
        assert_eq!(client.receive_close().await, 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn the_close_message_for_an_unreadable_frame_arrives() {
    let server = TestServer::start(|hub| hub);
    let mut client = server.open_through(4 * 1024 * 1024, "", &[]).await.unwrap();
    client.handshake().await;
    client.send("x".repeat(2 * 1024 * 1024)).await;
    assert_eq!(client.receive().await["type"], 7);
    // An earlier close, with bytes unread, could drop the Close message on its way.
    let (held, ()) = duration(client.wait_for_end()).await;
    assert_eq!(held.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_clients_to_another_server() {
    let (server, mut news) = watched();
    let mut client = server.connect().await;
    assert_eq!(news.next().await, Some("connected"));
    let ((), ()) = tokio::join!(server.hub.shutdown(), async {
        assert_eq!(client.receive().await, json!({"type": 7, "allowReconnect": true}));
        assert_eq!(client.receive_close().await, 1000);
        client.wait_for_end().await;
    });
    assert_eq!(news.next().await, Some("disconnected"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_spreads_the_closes_over_its_window() {
    let window = Duration::from_secs(10);
    let server = TestServer::with_options(|options| options.close_window = window, |hub| hub);
    let mut closes = JoinSet::new();
    for _ in 0..100 {
        let mut client = server.connect().await;
        closes.spawn(async move {
            let (waited, close) = duration(client.receive()).await;
            assert_eq!(close, json!({"type": 7, "allowReconnect": true}));
            waited.as_secs()
        });
    }
    let ((), mut waited) = tokio::join!(server.hub.shutdown(), closes.join_all());
    waited.sort_unstable();
    let expected: Vec<u64> = (0..100).map(|client| client / 10).collect();
    assert_eq!(waited, expected);
}

#[tokio::test(start_paused = true)]
async fn a_drain_serves_new_clients_until_the_readiness_check_had_time_to_fail() {
    let server = TestServer::start(|hub| hub);
    let mut early = server.connect().await;
    let token = server.negotiate().await["connectionToken"].as_str().unwrap().to_owned();
    assert!(!server.hub.is_draining());
    let window = Duration::from_secs(10);
    let ((), ()) = tokio::join!(server.hub.drain(window), async {
        time::sleep(Duration::from_secs(4)).await;
        assert!(server.hub.is_draining());
        server.negotiate().await;
        time::sleep(Duration::from_secs(2)).await;
        let (status, headers, _) = server.request(Request::post("/hub/negotiate")).await;
        assert_eq!((status.as_u16(), &headers["retry-after"]), (503, &"1".parse().unwrap()));

        // Its token is still good.
        let mut late = server.open(&format!("?id={token}"), &[]).await.unwrap();
        late.handshake().await;
        for client in [&mut early, &mut late] {
            let close = client.receive_past_pings().await;
            assert_eq!(close, json!({"type": 7, "allowReconnect": true}));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_replaces_the_window_of_a_drain() {
    let server = TestServer::start(|hub| hub);
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(server.connect().await);
    }
    let hub = server.hub.clone();
    tokio::spawn(async move { hub.drain(Duration::from_secs(10_000)).await });
    time::sleep(Duration::from_secs(6)).await;
    let closing = async {
        for mut client in clients {
            while client.receive().await["type"] != 7 {}
        }
    };
    let (waited, ((), ())) = duration(async { tokio::join!(server.hub.shutdown(), closing) }).await;
    assert!(waited <= Duration::from_secs(7), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_learns_of_lost_messages() {
    let broker = Broker::new();
    let backplane = Backplane::embedded(&broker, "ChatApp");
    let server = TestServer::serve(Hub::new("Hub", backplane.clone()), backplane);
    let mut client = server.connect().await;
    server.hub.clients().all().invoke("one", ()).await.unwrap();
    assert_eq!(client.receive().await["target"], "one");
    // The next id leaves a gap.
    broker.raise_number("ChatApp", 100).unwrap();
    server.hub.clients().all().invoke("two", ()).await.unwrap();
    let (waited, close) = duration(client.receive()).await;
    let error = "Connection closed with an error.";
    assert_eq!(close, json!({"type": 7, "error": error, "allowReconnect": true}));
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_a_running_method_answer() {
    let server = TestServer::start(|hub| {
        hub.method("Slow", |_: Caller, (): ()| async {
            time::sleep(Duration::from_secs(3)).await;
            Ok("done")
        })
    });
    let mut client = server.connect().await;
    client.send(json!({"type": 1, "invocationId": "1", "target": "Slow", "arguments": []})).await;
    time::sleep(Duration::from_secs(1)).await;
    let ((), ()) = tokio::join!(server.hub.shutdown(), async {
        assert_eq!(client.receive().await["result"], "done");
        assert_eq!(client.receive().await["type"], 7);
        client.wait_for_end().await;
    });
}

#[tokio::test(start_paused = true)]
async fn an_aborted_client_may_not_reconnect() {
    let server = TestServer::start(|hub| {
        hub.method("Abort", |caller: Caller, (): ()| async move {
            caller.abort();
            Ok(())
        })
    });
    let mut client = server.connect().await;
    client.send(json!({"type": 1, "invocationId": "1", "target": "Abort", "arguments": []})).await;
    assert_eq!(client.receive().await, json!({"type": 7}));
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_client_aborted_through_the_backplane_may_not_reconnect() {
    let (server, _news) = watched();
    let mut client = server.connect().await;
    let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    server.backplane.abort(&id).await.unwrap();
    assert_eq!(client.receive().await, json!({"type": 7}));
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_closed_with_an_error() {
    let server =
        TestServer::start(|hub| hub.on_connected(|_: Caller| async { Err(HubError::new("full")) }));
    let mut client = server.connect().await;
    let close = json!({"type": 7, "error": "Connection closed with an error."});
    assert_eq!(client.receive().await, close);
    assert_eq!(client.receive_close().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_and_others_are_not() {
    let (server, mut news) = watched();
    let mut stuck = server.open_through(1024, "", &[]).await.unwrap();
    stuck.handshake().await;
    assert_eq!(news.next().await, Some("connected"));
    let mut reader = server.connect().await;
    assert_eq!(news.next().await, Some("connected"));
    for number in 0..100 {
        let text = "x".repeat(1024);
        server.hub.clients().all().invoke("news", (number, text)).await.unwrap();
        assert_eq!(reader.receive_past_pings().await["arguments"][0], number);
    }
    assert_eq!(news.next().await, Some("disconnected"));
    server.hub.clients().all().invoke("more", ()).await.unwrap();
    assert_eq!(reader.receive_past_pings().await["target"], "more");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_calls_and_does_not_read_is_closed() {
    let (server, mut news) = watched();
    let mut client = server.open_through(4 * 1024, "", &[]).await.unwrap();
    client.handshake().await;
    assert_eq!(news.next().await, Some("connected"));
    let call = "{\"type\":1,\"invocationId\":\"7\",\"target\":\"Id\",\"arguments\":[]}\u{1e}";
    client.send_frame(Message::text(call.repeat(300))).await;
    assert_eq!(news.next().await, Some("disconnected"));
}

/// Starts a server that reports each connect and disconnect.
fn watched() -> (TestServer, News) {
    let (sender, news) = mpsc::unbounded_channel();
    let second_sender = sender.clone();
    let server = TestServer::start(|hub: Hub| {
        hub.on_connected(move |_: Caller| {
            let _ = sender.send("connected");
            async { Ok(()) }
        })
        .on_disconnected(move |_: Caller| {
            let _ = second_sender.send("disconnected");
            async {}
        })
        .method("Id", |caller: Caller, (): ()| async move { Ok(caller.connection_id().to_owned()) })
    });
    (server, News(news))
}

/// The connects and disconnects of a server.
struct News(mpsc::UnboundedReceiver<&'static str>);

impl News {
    async fn next(&mut self) -> Option<&'static str> {
        within(self.0.recv()).await
    }
}
