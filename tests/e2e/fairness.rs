//! A pipeline of one client leaves room for the requests of others, whatever its commands cost.
//!
//! The server is stopped while two clients send. So both have requests when it continues, and the
//! reply of the second client shows how many requests of the first one ran before its own. That
//! needs no clock: a turn may take one millisecond, so few commands fit if each costs much.

#![cfg(target_os = "linux")]

use std::fs;

use harness::{Client, Server, eventually, ok};
use rustix::process::{Pid, Signal, kill_process};

use super::server;

#[tokio::test]
async fn a_pipeline_of_any_expensive_command_leaves_room_for_other_clients() {
    let server = server(&["--io-threads", "1", "--maxclients", "1000"]).await;
    let _others = fill(&server).await;
    let mut faults = Vec::new();
    for (number, command) in EXPENSIVE.iter().enumerate() {
        // The rest of a former pipeline has another count.
        let count = format!("count:{number}");
        let ran = requests_before_another_client(&server, command, &count).await;
        if ran > REQUESTS_MAX {
            faults.push(format!("{ran} of {REQUESTS} requests before another client: {command}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Fills the tables that the commands go through. Returns the clients that have subscribed.
async fn fill(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.client().await);
    }
    let first = &mut clients[0];
    let keys: String = (0..ROWS).map(|row| format!("SET key:{row} 1\r\n")).collect();
    let users: String =
        (0..ROWS / 100).map(|row| format!("ACL SETUSER user:{row} ~{row} +get\r\n")).collect();
    let names: String = (0..ROWS).map(|row| format!("SUBSCRIBE c{row}\r\n")).collect();
    first.pipeline(keys.as_bytes(), ROWS).await;
    first.pipeline(users.as_bytes(), ROWS / 100).await;
    first.pipeline(names.as_bytes(), ROWS).await;
    clients
}

/// Returns how many requests of a pipeline run before the request of another client.
async fn requests_before_another_client(server: &Server, command: &str, count: &str) -> i64 {
    let (mut pipeline, mut other) = (server.client().await, server.client().await);
    assert_eq!(other.command(&["SET", count, "0"]).await, ok());
    // Its replies would take room, and hold back its requests.
    pipeline.send(&["CLIENT", "REPLY", "OFF"]).await;
    other.command(&["PING"]).await;
    stop(server).await;
    pipeline.send_raw(format!("{command}\r\nINCR {count}\r\n").repeat(REQUESTS).as_bytes()).await;
    other.send(&["GET", count]).await;
    kill_process(pid(server), Signal::CONT).expect("it runs");
    other.read_reply().await.text().parse().expect("a number")
}

/// Stops the server until it gets a signal to continue.
async fn stop(server: &Server) {
    kill_process(pid(server), Signal::STOP).expect("it runs");
    eventually(async || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid()));
        stat.expect("it runs").rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
    .await;
}

fn pid(server: &Server) -> Pid {
    i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("it has an id")
}

const ROWS: usize = 10_000;
const CLIENTS: usize = 200;
/// One read of the server takes all of them.
const REQUESTS: usize = 700;
/// Each costs more than 10 µs.
const REQUESTS_MAX: i64 = 100;

const EXPENSIVE: &[&str] = &[
    "KEYS no*",
    "SCAN 0 COUNT 10000 MATCH no*",
    "INFO everything",
    "COMMAND",
    "COMMAND DOCS",
    "COMMAND LIST FILTERBY PATTERN *x*",
    "CLIENT LIST",
    "PUBSUB CHANNELS no*",
    "ACL LIST",
    "CONFIG GET *",
    "EVAL \"for i=1,1e5 do end\" 0",
    "EVAL \"return redis.call('keys','no*')\" 0",
    "MULTI\r\nKEYS no*\r\nEXEC",
];
