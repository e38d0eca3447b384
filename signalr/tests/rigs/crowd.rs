//! Rooms with many members, and clients that come and leave.

use std::time::Duration;

use futures_util::{StreamExt, future::join, stream};
use prometheus_client::{encoding::text, registry::Registry};
use serde_json::json;
use signalr::{Caller, Hub};
use tokio::time;

use crate::server::{Client, TestServer, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_room_gets_its_messages_once_and_in_order() {
    fill_rooms(&Crowd { clients: 300, rooms: 20, messages: 20 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn each_large_room_gets_its_messages_once_and_in_order() {
    fill_rooms(&Crowd { clients: 5_000, rooms: 200, messages: 50 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_forgets_clients_that_leave() {
    Hall::open().come_and_leave(100, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn memory_does_not_grow_over_a_hundred_rounds() {
    let hall = Hall::open();
    // The first rounds also cause allocations that a server makes only once.
    hall.come_and_leave(500, 25).await;
    let first = memory();
    hall.come_and_leave(500, 75).await;
    if let (Some(first), Some(last)) = (first, memory()) {
        assert!(last <= first + first / 5, "{first} pages became {last}");
    }
}

struct Crowd {
    clients: usize,
    rooms: usize,
    messages: usize,
}

/// Sends to all rooms at the same time. Each member gets the messages of its room.
async fn fill_rooms(crowd: &Crowd) {
    let server = TestServer::start(rooms);
    let mut members = Vec::new();
    for number in 0..crowd.clients {
        let room = number % crowd.rooms;
        members.push((member(&server, room).await, room));
    }
    let sending = stream::iter(0..crowd.rooms).for_each_concurrent(None, async |room| {
        for number in 0..crowd.messages {
            let members = server.hub.clients().group(room.to_string());
            members.invoke("said", (room, number)).await.unwrap();
        }
    });
    let receiving = stream::iter(members).for_each_concurrent(None, async |(mut client, room)| {
        for number in 0..crowd.messages {
            let message = client.receive_past_pings().await;
            assert_eq!(message["arguments"], json!([room, number]));
        }
        // A message too many would come before the answer.
        call(&mut client, "Leave", room).await;
    });
    join(sending, receiving).await;
}

/// A server with its metrics.
struct Hall {
    server: TestServer,
    registry: Registry,
}

impl Hall {
    fn open() -> Self {
        let server = TestServer::start(rooms);
        let mut registry = Registry::default();
        server.hub.register(&mut registry);
        Self { server, registry }
    }

    /// Lets clients come and leave in rounds. The server forgets all of them after each round.
    async fn come_and_leave(&self, clients: usize, rounds: usize) {
        for _ in 0..rounds {
            let mut members = Vec::new();
            for _ in 0..clients {
                members.push(member(&self.server, 0).await);
            }
            drop(members);
            within(all_have_left(&self.registry)).await;
        }
    }
}

/// Waits until the metrics of a hub count no connection.
async fn all_have_left(registry: &Registry) {
    let mut looks = time::interval(Duration::from_millis(10));
    loop {
        looks.tick().await;
        let mut metrics = String::new();
        text::encode(&mut metrics, registry).unwrap();
        let mut counts =
            metrics.lines().filter(|line| line.starts_with("signalr_server_active_connections{"));
        if counts.all(|line| line.ends_with(" 0")) {
            return;
        }
    }
}

/// Returns the pages of this process that are in memory, if the system shows them.
fn memory() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split(' ').nth(1)?.parse().ok()
}

fn rooms(hub: Hub) -> Hub {
    hub.method("Join", |caller: Caller, (room,): (String,)| async move {
        Ok(caller.groups().add(&room).await?)
    })
    .method("Leave", |caller: Caller, (room,): (String,)| async move {
        Ok(caller.groups().remove(&room).await?)
    })
}

/// Connects a client that joins a room.
async fn member(server: &TestServer, room: usize) -> Client {
    let mut client = server.connect().await;
    call(&mut client, "Join", room).await;
    client
}

async fn call(client: &mut Client, method: &str, room: usize) {
    let arguments = json!([room.to_string()]);
    let call = json!({"type": 1, "invocationId": "1", "target": method, "arguments": arguments});
    client.send(call).await;
    let completion = json!({"type": 3, "invocationId": "1", "result": null});
    assert_eq!(client.receive_past_pings().await, completion);
}
