//! The memory of clients that do nothing, in bytes that the server has allocated for them.
//!
//! The clients run on a thread of their own with plain sockets, and allocate nothing that stays.
//! So all bytes that are added while they connect belong to the server.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{
    alloc::System,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use signalr::Hub;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::{net::TcpListener, task, time};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::test]
async fn an_idle_client_has_few_bytes() {
    let address = serve().await;
    // The first clients also cause allocations that a server makes only once.
    let _first = connect(address, CLIENTS / 10).await;
    let region = Region::new(ALLOCATOR);
    let _others = connect(address, CLIENTS).await;
    // The last tasks of the HTTP server may still end.
    let settled = async {
        while bytes_each(&region) > BYTES_MAX {
            task::yield_now().await;
        }
    };
    let is_settled = time::timeout(DEADLINE, settled).await.is_ok();
    let (each, stats) = (bytes_each(&region), region.change());
    assert!(is_settled, "an idle client has {each} bytes, with {stats:?}");
}

/// Returns the bytes that have been allocated for each client and are in use, with those that an
/// allocator adds to each block.
fn bytes_each(region: &Region<'_, System>) -> usize {
    let stats = region.change();
    let blocks = stats.allocations.saturating_sub(stats.deallocations);
    let bytes = stats.bytes_allocated.saturating_sub(stats.bytes_deallocated);
    (bytes + blocks * BLOCK_BYTES) / CLIENTS
}

async fn serve() -> SocketAddr {
    let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
    let hub = Hub::new("ChatHub", backplane);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app: Router = hub.router("/hub");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Connects clients, one after the other.
async fn connect(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = move || {
        let mut clients = Vec::with_capacity(count);
        clients.extend((0..count).map(|_| client(address)));
        clients
    };
    task::spawn_blocking(connect).await.unwrap()
}

/// Opens a WebSocket without a negotiation, and does the handshake.
fn client(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(UPGRADE).unwrap();
    let mut head = [0; 4];
    while head != *b"\r\n\r\n" {
        head.rotate_left(1);
        stream.read_exact(&mut head[3..]).unwrap();
    }
    let length = 0x80 | u8::try_from(HANDSHAKE.len()).unwrap();
    // With a mask of zeros.
    stream.write_all(&[&[0x81, length, 0, 0, 0, 0], HANDSHAKE].concat()).unwrap();
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"\x81\x03{}\x1e");
    stream
}

const UPGRADE: &[u8] = b"GET /hub HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
const CLIENTS: usize = 500;
/// A little less than 4 KiB. The rest is for pages that an allocator fills only in part.
const BYTES_MAX: usize = 4_000;
/// What glibc adds to a block.
const BLOCK_BYTES: usize = 8;
const DEADLINE: Duration = Duration::from_secs(30);
