//! POSTs of connections over Server-Sent Events and long polling.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use signalr::Hub;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{self, Duration},
};

use crate::{
    http_client::{HANDSHAKE, HttpClient, PLAIN, Requests, frames, head},
    server::{TestServer, duration, within},
};

const UNKNOWN: &str = "No Connection with that ID";

#[tokio::test(start_paused = true)]
async fn a_post_before_the_transport_waits_for_it() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
    let text = "Cannot terminate this connection using the DELETE endpoint.";
    requests.request("DELETE").await.expect(400, &[PLAIN], text);
    assert_eq!(requests.poll_messages().await, "");
    assert_eq!(requests.poll_messages().await, "{}\u{1e}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_posts_only_expires_after_15_seconds() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
    // The input has no room for the second one, which waits for the transport.
    let text = " ".repeat(60 * 1024);
    requests.post(&text).await.expect(200, &[PLAIN], "");
    let (waited, reply) = duration(requests.post(&text)).await;
    reply.expect(404, &[PLAIN], UNKNOWN);
    assert_eq!(waited.as_secs(), 15);
    requests.post("").await.expect(404, &[PLAIN], UNKNOWN);
    assert_eq!(requests.poll().await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_in_several_posts() {
    let (server, permits, mut counted) = counter();
    permits.add_permits(1);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let message = frames(&[call(3)]);
    for piece in message.as_bytes().chunks(7) {
        requests.post(piece).await.expect(200, &[PLAIN], "");
    }
    assert_eq!(within(counted.recv()).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_post_waits_until_the_session_has_room() {
    let (server, permits, mut counted) = counter();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let calls = frames(&(0..3000).map(call).collect::<Vec<_>>());
    assert!(calls.len() > 2 * 64 * 1024);
    let mut post = requests.send("POST", &[], &calls).await;
    let mut reply = Box::pin(post.receive());
    let polls = async { while requests.poll().await.status == 200 {} };
    tokio::select! {
        _ = &mut reply => panic!("the session has no room"),
        () = polls => panic!("the connection has ended"),
        () = time::sleep(Duration::from_secs(30)) => {} // on the paused clock
    }
    permits.add_permits(3000);
    reply.await.expect(200, &[PLAIN], "");
    for number in 0..3000 {
        assert_eq!(within(counted.recv()).await, Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_ends_with_its_deadline() {
    let (server, _permits, _) = counter();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    requests.send_messages(&[call(0)]).await;
    // The method runs. The session takes the first of these, the input the second, and the third
    // one waits.
    let text = frames(&vec![call(1); 1_000]);
    requests.post(&text).await.expect(200, &[PLAIN], "");
    requests.post(&text).await.expect(200, &[PLAIN], "");
    let polls = async { while requests.poll().await.status == 200 {} };
    tokio::select! {
        (waited, reply) = duration(requests.post(&text)) => {
            reply.expect(408, &[PLAIN], "");
            assert_eq!(waited.as_secs(), 90);
        }
        () = polls => panic!("the connection has ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn posts_at_the_same_time_do_not_mix() {
    let (server, permits, mut counted) = counter();
    permits.add_permits(10_000);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let posts = (0..5).map(|post| {
        let calls = (0..2000).map(|number| call(post * 2000 + number)).collect::<Vec<_>>();
        requests.post(frames(&calls))
    });
    let polls = async { while requests.poll().await.status == 200 {} };
    let replies = tokio::select! {
        replies = join_all(posts) => replies,
        () = polls => panic!("the connection has ended"),
    };
    assert!(replies.iter().all(|reply| reply.status == 200));
    let mut found = Vec::new();
    for _ in 0..10_000 {
        found.push(within(counted.recv()).await.unwrap());
    }
    for post in found.chunks(2000) {
        assert!(post.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{post:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused() {
    let server = TestServer::with_options(|options| options.post_bytes_max = 1000, |hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    requests.post(" ".repeat(1001)).await.expect(400, &[PLAIN], "");

    // With an unknown length.
    let mut client = HttpClient::new(server.pipe(4096));
    client
        .send_bytes(head("POST", &requests.path(), &[("transfer-encoding", "chunked")]) + "\r\n")
        .await;
    client.send_bytes(format!("3e9\r\n{}\r\n", " ".repeat(1001))).await;
    assert_eq!(client.receive().await.status, 400);

    // Nothing of both has reached the session.
    requests
        .send_messages(&[json!({"type": 1, "invocationId": "1", "target": "x", "arguments": []})])
        .await;
    assert!(requests.poll_messages().await.contains("\"invocationId\":\"1\""));
}

#[tokio::test(start_paused = true)]
async fn a_small_body_that_breaks_off_does_not_reach_the_session() {
    let (server, permits, mut counted) = counter();
    permits.add_permits(2);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut client = HttpClient::new(server.pipe(4096));
    client.send_bytes(head("POST", &requests.path(), &[("content-length", "100")]) + "\r\n").await;
    client.send_bytes(frames(&[call(1)])).await;
    client.send_bytes("{\"type\":").await;
    drop(client);
    requests.send_messages(&[call(2)]).await;
    assert_eq!(within(counted.recv()).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_breaks_off_ends_the_connection() {
    let (server, permits, mut counted) = counter();
    permits.add_permits(10_000);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut client = HttpClient::new(server.pipe(1024));
    client
        .send_bytes(head("POST", &requests.path(), &[("content-length", "1000000")]) + "\r\n")
        .await;
    client.send_bytes(frames(&(0..3000).map(call).collect::<Vec<_>>())).await;
    drop(client);
    while requests.poll().await.status == 200 {}
    assert_eq!(within(counted.recv()).await, Some(0));
    assert_eq!(requests.post("").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_with_its_connection() {
    let (server, _permits, _) = counter();
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut client = HttpClient::new(server.pipe(4096));
    client
        .send_bytes(head("POST", &requests.path(), &[("transfer-encoding", "chunked")]) + "\r\n")
        .await;
    // No hub message may be this long, so the session closes.
    for _ in 0..64 {
        client.send_bytes(format!("800\r\n{}\r\n", "x".repeat(2048))).await;
    }
    assert!(requests.poll_messages().await.contains("\"type\":7"));
    while requests.poll().await.status == 200 {}
    assert_eq!(client.receive().await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_after_90_seconds() {
    let server = TestServer::start(|hub| hub);
    let requests = Requests::negotiate(&server).await;
    requests.connect_polling().await;
    let mut client = HttpClient::new(server.pipe(4096));
    client.send_bytes(head("POST", &requests.path(), &[("content-length", "100")]) + "\r\n").await;
    client.send_bytes("{").await;
    let polls = async { while requests.poll().await.status == 200 {} };
    tokio::select! {
        (waited, reply) = duration(client.receive()) => {
            assert_eq!((waited.as_secs(), reply.status), (90, 408));
        }
        () = polls => panic!("the connection has ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn posts_for_unknown_ids_are_refused() {
    let server = TestServer::start(|hub| hub);
    let mut client = HttpClient::new(server.pipe(4096));
    for number in 0..10_000 {
        client.send("POST", &format!("/hub?id=unknown{number}"), &[], HANDSHAKE).await;
        client.receive().await.expect(404, &[PLAIN], UNKNOWN);
    }
    client.send("POST", "/hub", &[], HANDSHAKE).await;
    client.receive().await.expect(400, &[PLAIN], "Connection ID required");
    Requests::negotiate(&server).await.connect_polling().await;
}

/// Starts a server with the method `Count`, which reports its argument after it has a permit.
fn counter() -> (TestServer, Arc<Semaphore>, mpsc::UnboundedReceiver<u64>) {
    let (count, counted) = mpsc::unbounded_channel();
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    let server = TestServer::start(|hub: Hub| {
        hub.method("Count", move |(number,): (u64,)| {
            let (count, gate) = (count.clone(), Arc::clone(&gate));
            async move {
                gate.acquire().await?.forget();
                let _ = count.send(number);
                Ok(())
            }
        })
    });
    (server, permits, counted)
}

fn call(number: u64) -> serde_json::Value {
    json!({"type": 1, "target": "Count", "arguments": [number]})
}
