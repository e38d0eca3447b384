//! Any requests and frames of a client of SignalR 2 that has a valid token. Afterwards another
//! client can call a method.

#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use backplane::Backplane;
use broker::Broker;
use fuzz::{Client, DEADLINE};
use libfuzzer_sys::fuzz_target;
use signalr::{Caller, Classic, Hub, HubError};
use tokio::net::TcpListener;

/// Parts of requests. `TOKEN` stands for the token of the client.
const PIECES: &[&str] = &[
    "GET /signalr/",
    "POST /signalr/",
    "negotiate?",
    "connect?",
    "reconnect?",
    "poll?",
    "start?",
    "send?",
    "abort?",
    "hubs?",
    "transport=webSockets",
    "transport=serverSentEvents",
    "transport=longPolling",
    "transport=foreverFrame&frameId=1",
    "&connectionToken=TOKEN",
    "&connectionData=[{\"name\":\"chathub\"}]",
    "&connectionData=%5B%7B%22Name%22%3A%22chathub%22%7D%5D",
    "&clientProtocol=1.3",
    "&clientProtocol=2.1",
    "&messageId=s-0,",
    "&messageId=s-0,FFFFFFFFFFFFFFFF",
    "&groupsToken=",
    "&callback=f",
    " HTTP/1.1\r\nHost: a\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Content-Length: 60\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "\r\n",
    "data=%7B%22H%22%3A%22chathub%22%2C%22M%22%3A%22send%22%7D",
    "\u{1}\u{0}",
    "{\"H\":\"chathub\",\"M\":\"Send\",\"A\":[\"a\"],\"I\":0}",
    "{\"H\":",
    "\"S\":{\"a\":1}",
    "[",
    "}",
];
const NEGOTIATE: &[u8] = b"GET /signalr/negotiate HTTP/1.1\r\nHost: a\r\n\r\n";

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        fuzz::runtime().block_on(async {
            let hub = Hub::new("ChatHub", Backplane::embedded(&Broker::new(), "ChatApp")).method(
                "Send",
                |caller: Caller, (text,): (String,)| async move {
                    caller.clients().all().invoke("broadcastMessage", (text,)).await?;
                    Ok::<_, HubError>("sent")
                },
            );
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            started.send(listener.local_addr().expect("it is bound")).expect("the caller waits");
            axum::serve(listener, Classic::new().hub(&hub).router("/signalr")).await
        })
    });
    address.recv_timeout(DEADLINE).expect("the server starts")
});

fuzz_target!(|data: &[u8]| {
    let token = token();
    let mut client = Client::connect(*ADDRESS);
    let mut input = Unstructured::new(data);
    while !input.is_empty() {
        let Ok(bytes) = piece(&mut input, &token) else { break };
        if !client.send(&bytes) {
            break;
        }
    }
    client.finish();

    let mut other = Client::connect(*ADDRESS);
    let form =
        "data=%7B%22H%22%3A%22chathub%22%2C%22M%22%3A%22send%22%2C%22A%22%3A%5B%22b%22%5D%7D";
    let request = format!(
        "POST /signalr/send?transport=longPolling&connectionToken={token} HTTP/1.1\r\nHost: a\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    other.send(request.as_bytes());
    other.read_until(b"\"R\":\"sent\"");
});

/// Negotiates a connection and returns its token.
fn token() -> String {
    let mut client = Client::connect(*ADDRESS);
    client.send(NEGOTIATE);
    let mut reply = String::new();
    loop {
        let bytes = client.read(DEADLINE).expect("the server answers");
        reply.push_str(&String::from_utf8_lossy(&bytes));
        let token =
            reply.split_once("\"ConnectionToken\":\"").and_then(|(_, it)| it.split_once('"'));
        if let Some((token, _)) = token {
            return token.to_owned();
        }
    }
}

/// Returns a part of a request, or any bytes.
fn piece(input: &mut Unstructured<'_>, token: &str) -> arbitrary::Result<Vec<u8>> {
    match input.ratio(1, 16)? {
        true => Vec::arbitrary(input),
        false => Ok(input.choose(PIECES)?.replace("TOKEN", token).into_bytes()),
    }
}
