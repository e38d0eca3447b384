//! Any frames of a SignalR client. Afterwards another client can call a method.

#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;

use arbitrary::Unstructured;
use backplane::Backplane;
use broker::Broker;
use fuzz::frames::{HANDSHAKE, TEXT, UPGRADE, frame, frame_or_bytes};
use fuzz::{Client, DEADLINE};
use libfuzzer_sys::fuzz_target;
use signalr::{Caller, Hub, HubError};
use tokio::net::TcpListener;

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
        let Ok(bytes) = frame_or_bytes(&mut input) else { break };
        if !client.send(&bytes) {
            break;
        }
    }
    client.finish();

    let mut other = Client::connect(*ADDRESS);
    other.send(UPGRADE);
    other.send(&frame(TEXT, HANDSHAKE));
    let call =
        "{\"type\":1,\"invocationId\":\"7\",\"target\":\"Send\",\"arguments\":[\"b\"]}\u{1e}";
    other.send(&frame(TEXT, call.as_bytes()));
    other.read_until(b"\"result\":\"sent\"");
});
