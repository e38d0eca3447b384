//! The limits of `signalr::serve` for the connections of HTTP clients.

use std::{
    future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::ConnectInfo, routing};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use crate::{
    http_client::{HANDSHAKE, HttpClient, PLAIN, Requests},
    server::{TestServer, duration, pipes::Pipes, within},
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: server\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_whole_request_is_closed() {
    let serving = Serving::start(Router::new());
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost: server\r\n", GET] {
        let mut pipe = serving.pipe(1024);
        pipe.write_all(sent).await.unwrap();
        let mut response = Vec::new();
        let (time, _) = duration(within(pipe.read_to_end(&mut response))).await;
        assert_eq!(time.as_secs(), 15, "{sent:?}");
    }
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let serving = Serving::start(Router::new());
    let mut client = HttpClient::new(serving.pipe(128 * 1024));
    let long = "x".repeat(64 * 1024);
    client.send_bytes(format!("GET / HTTP/1.1\r\nx-long: {long}\r\n\r\n")).await;
    assert_eq!(client.receive_head().await.status, 431);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_response_is_closed() {
    let page = routing::get(|| async { "x".repeat(100_000) });
    let serving = Serving::start(Router::new().route("/", page));
    let mut pipe = serving.pipe(1024);
    // The server reads no request while it writes, so these writes wait for its end.
    let requests = async { while pipe.write_all(GET).await.is_ok() {} };
    let (time, ()) = duration(within(requests)).await;
    assert_eq!(time.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_events_is_closed() {
    let server = TestServer::start(|hub| hub);
    let serving = Serving::start(server.hub.router("/hub"));
    let requests = Requests::negotiate(&server).await;
    let mut events = serving.pipe(1024);
    let path = requests.path();
    let head = format!("GET {path} HTTP/1.1\r\nhost: server\r\naccept: text/event-stream\r\n\r\n");
    events.write_all(head.as_bytes()).await.unwrap();
    requests.post(HANDSHAKE).await.expect(200, &[PLAIN], "");
    let text = "x".repeat(100_000);
    server.hub.clients().all().invoke("said", (text,)).await.unwrap();
    let more = async { while events.write_all(GET).await.is_ok() {} };
    let (time, ()) = duration(within(more)).await;
    assert_eq!(time.as_secs(), 30);
}

#[tokio::test]
async fn a_shutdown_waits_for_the_requests_in_progress() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Arc::new(Mutex::new(Some(finished)));
    let page = routing::get(move || {
        begun.send(()).unwrap();
        let finished = finished.lock().unwrap().take().unwrap();
        async move {
            finished.await.unwrap();
            "done"
        }
    });
    let serving = Serving::start(Router::new().route("/", page));
    let mut client = HttpClient::new(serving.pipe(1024));
    client.send_bytes(GET).await;
    within(begins.recv()).await.unwrap();
    let Serving { dial: _dial, stop, task } = serving;
    stop.send(()).unwrap();
    finish.send(()).unwrap();
    assert_eq!(client.receive().await.body, "done");
    within(task).await.unwrap();
}

#[tokio::test]
async fn a_websocket_travels_over_tcp() {
    let server =
        TestServer::start(|hub| hub.method("Echo", |(number,): (u64,)| async move { Ok(number) }));
    let stream = TcpStream::connect(server.listen().await).await.unwrap();
    let (mut socket, _) = within(client_async("ws://server/hub", stream)).await.unwrap();
    let call = json!({"type": 1, "invocationId": "1", "target": "Echo", "arguments": [7]});
    for (sent, expected) in [
        (HANDSHAKE.to_owned(), "{}\u{1e}"),
        (format!("{call}\u{1e}"), "{\"type\":3,\"invocationId\":\"1\",\"result\":7}\u{1e}"),
    ] {
        within(socket.send(Message::text(sent))).await.unwrap();
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text(expected));
    }
}

#[tokio::test]
async fn an_app_reads_the_address_of_a_client() {
    let page =
        routing::get(
            |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.to_string() },
        );
    let app = Router::new().route("/", page);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(signalr::serve(listener, app, future::pending()));
    let stream = TcpStream::connect(address).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let mut client = HttpClient::new(stream);
    client.send_bytes(GET).await;
    assert_eq!(client.receive().await.body, own);
}

/// An app that is served in memory.
struct Serving {
    dial: mpsc::UnboundedSender<DuplexStream>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start(app: Router) -> Self {
        let (dial, calls) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(signalr::serve(Pipes(calls), app, stopped));
        Self { dial, stop, task }
    }

    fn pipe(&self, bytes: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(bytes);
        self.dial.send(theirs).unwrap();
        ours
    }
}
