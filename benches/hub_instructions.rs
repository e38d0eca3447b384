//! Parts of a broadcast of a hub. `cargo xtask instructions` counts their instructions.
//!
//! Only `measured_part` is counted: the whole way of messages from the hub to the sockets of its
//! clients, with the system calls but without the kernel. The clients are plain sockets, which read
//! nothing meanwhile. A round before it makes all allocations.

mod measured;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use backplane::Backplane;
use broker::Broker;
use prometheus_client::registry::Registry;
use signalr::Hub;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task;

use measured::measure;

/// Counted rounds.
const ROUNDS: usize = 20;
const PAYLOAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    match &*std::env::args().nth(1).unwrap_or_default() {
        "hub-1" => broadcasting(1),
        "hub-100" => broadcasting(100),
        _ => Err("expects hub-1 or hub-100".into()),
    }
}

/// Sends one message at a time to all clients.
fn broadcasting(clients: usize) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let backplane = runtime.block_on(async { Backplane::embedded(&Broker::new(), "bench") });
    let hub = Hub::new("BenchHub", backplane);
    let mut registry = Registry::default();
    hub.register(&mut registry);
    let address = serve(&runtime, &hub)?;
    let connect = move || (0..clients).map(|_| connect(address)).collect::<Result<Vec<_>, _>>();
    let _clients = runtime.block_on(runtime.spawn_blocking(connect))??;
    let receivers = hub.clients().all();
    measure(ROUNDS, || {
        runtime.block_on(async {
            receivers.clone().invoke("said", (PAYLOAD,)).await.expect("the broker is here");
            // The receiver of the backplane, then the clients. Each runs when it is woken.
            for _ in 0..TURNS {
                task::yield_now().await;
            }
        });
    });
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    let delivered = text.lines().find_map(|line| line.strip_prefix("signalr_delivered_total{"));
    let delivered = delivered.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    assert_eq!(delivered, Some((ROUNDS + 1) * clients), "all clients get all messages");
    Ok(())
}

fn serve(runtime: &Runtime, hub: &Hub) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let (address, router) = (listener.local_addr()?, hub.router("/hub"));
    runtime.spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Opens a WebSocket without a negotiation, and does the handshake.
fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(UPGRADE)?;
    let mut end = [0; 4];
    while end != *b"\r\n\r\n" {
        end.rotate_left(1);
        stream.read_exact(&mut end[3..])?;
    }
    stream.write_all(HANDSHAKE)?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    assert_eq!(&reply, b"\x81\x03{}\x1e");
    Ok(stream)
}

/// Turns of the runtime in which a message reaches all clients.
const TURNS: usize = 20;
const UPGRADE: &[u8] = b"GET /hub HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A frame with a mask of zeros.
const HANDSHAKE: &[u8] = b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e";
