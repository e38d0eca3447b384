//! Unmodified SignalR clients with the stateful reconnect or with cursors, behind a load balancer without
//! affinity, while connections break and a server is killed.
//!
//! The clients count aloud. Both servers and all clients notice a number that is lost, repeated, or out
//! of order.

use std::process::Command;

use harness::{Balancer, Cut, Finished, Process, SLOW_DEADLINE, Server, node};
use serde_json::{Value, from_str};

use crate::round_robin::{port, start};

#[tokio::test]
async fn clients_lose_nothing_when_connections_break_and_a_server_is_killed() {
    let broker = Server::ours(&[]).await;
    let (first, mut second) = (start(&broker), start(&broker));
    let balancer = Balancer::before(vec![port(&first).await, port(&second).await]).await;
    let clients = Process::start(&mut sequences(&balancer, "stateful"));
    all_have_said(&clients, 25).await;

    for number in 0..CUTS {
        let cut = if number % 2 == 0 { Cut::Whole } else { Cut::Silent };
        balancer.cut(cut, IN_USE).await;
    }
    let said = progress(&clients.stdout());
    all_have_said(&clients, said + 50).await;
    second.kill();
    all_have_said(&clients, said + 150).await;

    let (reconnecting, errors) = results(clients).await;
    let log = || first.transcript();
    assert_eq!(errors, Vec::<Value>::new(), "{reconnecting:?}\n{}", log());
    // A cut is not noticed. The server has had some of the clients, and each has connected anew once.
    assert!(reconnecting.iter().all(|count| *count <= 1), "{reconnecting:?}\n{}", log());
    assert!(reconnecting.contains(&0) && reconnecting.contains(&1), "{reconnecting:?}\n{}", log());
}

/// The clients notice each of these ends, and hear all that was said meanwhile.
#[tokio::test]
async fn clients_with_cursors_miss_nothing_when_connections_break_and_a_server_is_killed() {
    let broker = Server::ours(&[]).await;
    let (first, mut second) = (start(&broker), start(&broker));
    let balancer = Balancer::before(vec![port(&first).await, port(&second).await]).await;
    let clients = Process::start(&mut sequences(&balancer, "cursor"));
    all_have_said(&clients, 25).await;

    for _ in 0..CURSOR_CUTS {
        balancer.cut(Cut::Whole, IN_USE).await;
    }
    let said = progress(&clients.stdout());
    all_have_said(&clients, said + 50).await;
    second.kill();
    all_have_said(&clients, said + 150).await;

    let (reconnecting, errors) = results(clients).await;
    assert_eq!(errors, Vec::<Value>::new(), "{reconnecting:?}\n{}", first.transcript());
    let ends: u64 = reconnecting.iter().sum();
    assert!(ends > CURSOR_CUTS, "{reconnecting:?}: the cuts, and the end of the server");
}

fn sequences(balancer: &Balancer, way: &str) -> Command {
    let mut command = node("signalr_sequences.mjs");
    let url = format!("http://127.0.0.1:{}", balancer.port());
    command.arg(url).arg(CLIENTS.to_string()).arg(way);
    command
}

/// Waits until each client has made so many calls.
async fn all_have_said(clients: &Process, least: usize) {
    let reached = |text: &str| (progress(text) >= least).then_some(());
    clients.stdout_with(SLOW_DEADLINE, reached).await;
}

/// Returns the number of calls that each client has made at least.
fn progress(stdout: &str) -> usize {
    let lines = stdout.lines().rev();
    let mut numbers = lines.filter_map(|line| line.strip_prefix("all have said ")?.parse().ok());
    numbers.next().unwrap_or_default()
}

/// Ends the clients. Returns how often each one has connected anew, and all that was wrong.
async fn results(mut clients: Process) -> (Vec<u64>, Vec<Value>) {
    clients.terminate();
    let Finished { code, stdout, stderr } = clients.finish(2 * SLOW_DEADLINE).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let last = stdout.lines().last().unwrap_or_default();
    let result: Value = from_str(last).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    let reconnecting = result["reconnecting"].as_array().into_iter().flatten();
    let errors = result["errors"].as_array().cloned().unwrap_or_default();
    (reconnecting.filter_map(Value::as_u64).collect(), errors)
}

const CLIENTS: usize = 8;
const CUTS: usize = 48;
const CURSOR_CUTS: u64 = 16;
/// A client that has received so many bytes has resumed its connection.
const IN_USE: usize = 2_000;
