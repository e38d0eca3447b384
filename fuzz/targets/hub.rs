//! Any frames of a SignalR client. Afterwards another client can call a method.

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
use signalr::{Caller, Hub, HubError};
use tokio::net::TcpListener;

const UPGRADE: &[u8] = b"GET /chatHub HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const TEXT: u8 = 1;

/// Parts of messages.
const PIECES: &[&str] = &[
    HANDSHAKE,
    "\u{1e}",
    "{}",
    "{\"type\":1,\"target\":\"Send\",\"arguments\":[\"a\"]}\u{1e}",
    "{\"type\":1,\"invocationId\":\"1\",\"target\":\"send\",\"arguments\":[\"a\"]}\u{1e}",
    "{\"type\":6}\u{1e}",
    "{\"type\":7}\u{1e}",
    "{\"type\":",
    "1",
    "9",
    "1e400",
    ",\"target\":",
    ",\"arguments\":",
    ",\"invocationId\":",
    ",\"streamIds\":",
    ",\"headers\":{\"a\":\"b\"}",
    "[",
    "]",
    "{",
    "}",
    "\"Send\"",
    "\"\\ud800\"",
    "null",
    "true",
];

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        fuzz::runtime().block_on(async {
            let hub = Hub::new("Hub", Backplane::embedded(&Broker::new(), "ChatApp")).method(
                "Send",
                |caller: Caller, (text,): (String,)| async move {
                    caller.clients().all().invoke("broadcastMessage", (text,)).await?;
                    Ok::<_, HubError>("sent")
                },
            );
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            started.send(listener.local_addr().expect("it is bound")).expect("the caller waits");
            axum::serve(listener, hub.router("/chatHub")).await
        })
    });
    address.recv_timeout(DEADLINE).expect("the server starts")
});

fuzz_target!(|data: &[u8]| {
    let mut client = Client::connect(*ADDRESS);
    client.send(UPGRADE);
    let mut input = Unstructured::new(data);
    while !input.is_empty() {
        let Ok(bytes) = piece(&mut input) else { break };
        if !client.send(&bytes) {
            break;
        }
    }
    client.finish();

    let mut other = Client::connect(*ADDRESS);
    other.send(UPGRADE);
    other.send(&frame(0x80 | TEXT, HANDSHAKE.as_bytes()));
    let call =
        "{\"type\":1,\"invocationId\":\"7\",\"target\":\"Send\",\"arguments\":[\"b\"]}\u{1e}";
    other.send(&frame(0x80 | TEXT, call.as_bytes()));
    other.read_until(b"\"result\":\"sent\"");
});

/// Returns a frame, or bytes that are none.
fn piece(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    if input.ratio(1, 16)? {
        return Vec::arbitrary(input);
    }
    let first = if input.ratio(1, 8)? { input.arbitrary()? } else { 0x80 | TEXT };
    let mut text = Vec::new();
    for _ in 0..input.int_in_range(1..=4)? {
        match input.ratio(1, 8)? {
            true => text.extend(Vec::<u8>::arbitrary(input)?),
            false => text.extend(input.choose(PIECES)?.bytes()),
        }
    }
    Ok(frame(first, &text))
}

/// Returns a frame of a client, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let length = match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => vec![MASKED | length],
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            [&[MASKED | 126][..], &length.to_be_bytes()].concat()
        }
    };
    [&[first][..], &length, &[0; 4], payload].concat()
}
