//! The messages of each client stay in order, and those of each hub stay in it.

use std::time::Duration;

use futures_util::{StreamExt, future::join, stream};
use serde_json::{Value, json};
use signalr::{Caller, Hub};
use tokio::{task::JoinHandle, time};

use crate::server::{Client, TestServer, backplane};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_start_in_a_storm() {
    start_in_a_storm(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn many_clients_start_in_a_storm() {
    start_in_a_storm(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_leave_with_all_their_messages() {
    call_and_leave(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn many_callers_leave_with_all_their_messages() {
    call_and_leave(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_storms_of_two_hubs_do_not_mix() {
    storm_in_two_hubs(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: `cargo xtask long` runs it"]
async fn long_storms_of_two_hubs_do_not_mix() {
    storm_in_two_hubs(20_000).await;
}

/// Starts clients while the hub sends to all. The reply of the handshake is the first message of
/// each client, and no message is missing after it.
async fn start_in_a_storm(clients: usize) {
    let server = TestServer::start(|hub| hub);
    let _storm = Storm::begin(&server.hub, "storm");
    stream::iter(0..clients)
        .for_each_concurrent(AT_A_TIME, async |_| {
            // Fails if another message comes before the reply.
            let mut client = server.connect().await;
            follow(&mut client, "storm", MESSAGES).await;
        })
        .await;
}

/// Calls a method that sends to its caller. Each client has all of its messages when it has the
/// result, and leaves.
async fn call_and_leave(clients: usize) {
    let server = TestServer::start(|hub| {
        hub.method("Count", |caller: Caller, (client,): (usize,)| async move {
            for number in 0..MESSAGES {
                caller.clients().caller().invoke("count", (client, number)).await?;
            }
            Ok(client)
        })
    });
    stream::iter(0..clients)
        .for_each_concurrent(AT_A_TIME, async |client| {
            let mut connection = server.connect().await;
            let call =
                json!({"type": 1, "invocationId": "1", "target": "Count", "arguments": [client]});
            connection.send(call).await;
            for number in 0..MESSAGES {
                let message = connection.receive_past_pings().await;
                assert_eq!(message["arguments"], json!([client, number]));
            }
            let completion = json!({"type": 3, "invocationId": "1", "result": client});
            assert_eq!(connection.receive_past_pings().await, completion);
        })
        .await;
}

/// Sends to all clients of two hubs on one backplane. Each client gets the messages of its hub.
async fn storm_in_two_hubs(messages: u64) {
    let backplane = backplane();
    let storm = async |name: &'static str| {
        let hub = Hub::new(name, backplane.clone());
        let server = TestServer::serve(hub, backplane.clone());
        let mut client = server.connect().await;
        let _storm = Storm::begin(&server.hub, name);
        follow(&mut client, name, messages).await;
    };
    join(storm("chat"), storm("stock")).await;
}

/// Receives messages of a storm, one after the other from any number on.
async fn follow(client: &mut Client, method: &str, messages: u64) {
    let number = |message: &Value| {
        assert_eq!(message["target"], method);
        message["arguments"][0].as_u64().unwrap()
    };
    let first = number(&client.receive_past_pings().await);
    for expected in first + 1..first + messages {
        assert_eq!(number(&client.receive_past_pings().await), expected);
    }
}

/// Sends the numbers from 0 to all clients of a hub, until it is dropped.
struct Storm(JoinHandle<()>);

impl Storm {
    fn begin(hub: &Hub, method: &'static str) -> Self {
        let clients = hub.clients();
        Self(tokio::spawn(async move {
            // Slow enough that clients which start at the same time keep up.
            let mut pace = time::interval(Duration::from_millis(1));
            for number in 0_u64.. {
                pace.tick().await;
                clients.all().invoke(method, (number,)).await.unwrap();
            }
        }))
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Clients that start at the same time.
const AT_A_TIME: usize = 64;
/// Messages that each client receives.
const MESSAGES: u64 = 20;
