//! Every command inside `MULTI` … `EXEC`, as the first request of a fresh server.
//!
//! A fresh server matters: the first script, for one, prepares the worker that runs it. A command
//! that yields no reply, or two, shifts all later replies of its client, so the replies are
//! counted.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use harness::{Client, Protocol, Value};
use harness::{array, error, ok, request};
use tokio::time::timeout;

use super::command_catalogue::{Call, all_calls, is_readable};
use super::server;

/// Settings under which more commands do their work.
const SETTINGS: [&str; 4] = ["--enable-debug-command", "yes", "--pubsub-replay", "1 100 1mb 60"];
/// How many servers run at a time. Most of the time each of them waits.
const SERVERS: usize = 4;
/// A server that has not sent all replies by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const MARKER: &str = "marker";

#[tokio::test]
async fn each_command_of_a_transaction_has_exactly_one_reply() {
    check(Protocol::Resp2).await;
}

#[tokio::test]
async fn each_command_of_a_transaction_has_exactly_one_reply_in_resp3() {
    check(Protocol::Resp3).await;
}

async fn check(protocol: Protocol) {
    let catalogue = server(&SETTINGS).await;
    let calls = all_calls(&mut catalogue.client().await).await;
    // QUIT closes the connection at once, so no EXEC can follow it.
    let calls = calls.into_iter().filter(|call| !call.runs("quit") && is_readable(call, protocol));

    let results = stream::iter(calls).map(async |call| fault(&call, protocol).await);
    let faults: Vec<String> =
        results.buffer_unordered(SERVERS).filter_map(std::future::ready).collect().await;

    assert!(faults.is_empty(), "{} faults in {protocol:?}:\n{}", faults.len(), faults.join("\n"));
}

/// Runs a call in a transaction of its own on a server of its own, and describes the fault, if any.
async fn fault(call: &Call, protocol: Protocol) -> Option<String> {
    let server = server(&SETTINGS).await;
    let mut client = server.client().await;
    if protocol == Protocol::Resp3 {
        client.decode_as(Protocol::Resp3);
        client.command(&["HELLO", "3"]).await;
    }

    let mut replies = Vec::new();
    let in_time = timeout(PATIENCE, converse(&mut client, call, &mut replies)).await.is_ok();

    let end = if in_time { "" } else { ", then no reply in time" };
    (!in_time || !are_in_step(call, &replies)).then(|| format!("{call:?}: {replies:?}{end}"))
}

/// Sends the transaction and a `PING` behind it, and collects the reply to each.
async fn converse(client: &mut Client, call: &Call, replies: &mut Vec<Value>) {
    replies.push(client.command(&["MULTI"]).await.into());
    replies.push(client.command(call.words()).await.into());
    // PING, unlike ECHO, is also allowed after SUBSCRIBE.
    let rest = [request(&["EXEC"]), request(&["PING", MARKER])].concat();
    client.send_raw(&rest).await;
    while replies.len() < 4 {
        let Some(reply) = client.listen().await else { return };
        // A push may come between two replies, but not inside one.
        if !matches!(reply.value(), Value::Push(_)) {
            replies.push(reply.into_value());
        }
    }
}

/// Returns true when the replies to `MULTI`, the call, `EXEC` and `PING` fit together.
fn are_in_step(call: &Call, replies: &[Value]) -> bool {
    let [multi, queued, exec, ping] = replies else { return false };
    let exec_fits = match queued {
        Value::Simple(text) if text == "QUEUED" => {
            matches!(exec, Value::Array(items) if items.len() == 1)
        }
        // These two are refused, but the transaction stays valid, and empty.
        Value::Error(_) if call.runs("multi") || call.runs("watch") => *exec == array![],
        Value::Error(_) => matches!(exec, Value::Error(text) if text.starts_with("EXECABORT ")),
        // DISCARD, EXEC and RESET run at once and end the transaction.
        _ => *exec == error("ERR EXEC without MULTI"),
    };
    let ping_fits = *ping == MARKER.into() || *ping == array!["pong", MARKER];
    *multi == ok() && exec_fits && ping_fits
}
