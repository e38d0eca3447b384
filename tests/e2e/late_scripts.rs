//! Every command in every state of a client while a script is late: `SCRIPT KILL` always works.
//!
//! A script that runs for longer than `busy-reply-threshold` is late. Until it ends, most commands
//! return `BUSY` and some wait. None may stop the worker, which is the one that runs the script
//! when there is only one. Each round tests all commands, each from a client of its own, on one
//! server.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Client, Protocol, Reply, Server, Value};
use harness::{array, eventually, ok, request, simple};
use tokio::time::timeout;

use super::command_catalogue::{Call, all_calls, is_readable};
use super::server;

/// A server that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const MARKER: &str = "marker";

#[tokio::test]
async fn a_late_script_can_be_killed_whatever_clients_of_its_worker_send() {
    check("1", Protocol::Resp2).await;
}

#[tokio::test]
async fn a_late_script_can_be_killed_whatever_resp3_clients_of_its_worker_send() {
    check("1", Protocol::Resp3).await;
}

#[tokio::test]
async fn a_late_script_can_be_killed_whatever_clients_of_any_worker_send() {
    check("4", Protocol::Resp2).await;
}

#[tokio::test]
async fn a_late_script_can_be_killed_whatever_resp3_clients_of_any_worker_send() {
    check("4", Protocol::Resp3).await;
}

/// The state of a client before the script runs.
#[derive(Clone, Copy, Debug)]
enum State {
    Plain,
    Watching,
    Tracking,
    TrackingPrefixes,
    Subscribed,
    Monitoring,
    InTransaction,
    InWatchingTransaction,
    Waiting,
}

impl State {
    const ALL: [Self; 9] = [
        Self::Plain,
        Self::Watching,
        Self::Tracking,
        Self::TrackingPrefixes,
        Self::Subscribed,
        Self::Monitoring,
        Self::InTransaction,
        Self::InWatchingTransaction,
        Self::Waiting,
    ];

    /// Returns the requests that lead to this state. Each has one reply, but WAIT has it later.
    fn requests(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Plain => &[],
            Self::Watching => &[&["WATCH", "1"]],
            Self::Tracking => &[&["CLIENT", "TRACKING", "ON"], &["GET", "1"]],
            Self::TrackingPrefixes => &[&["CLIENT", "TRACKING", "ON", "BCAST"]],
            Self::Subscribed => &[&["SUBSCRIBE", "1"]],
            Self::Monitoring => &[&["MONITOR"]],
            Self::InTransaction => &[&["MULTI"], &["SET", "1", "v"]],
            Self::InWatchingTransaction => &[&["WATCH", "1"], &["MULTI"], &["SET", "1", "v"]],
            Self::Waiting => &[&["WAIT", "1", "1000"]],
        }
    }
}

async fn check(threads: &str, protocol: Protocol) {
    let settings = ["--io-threads", threads, "--enable-debug-command", "yes"];
    let catalogue = server(&settings).await;
    let calls = all_calls(&mut catalogue.client().await).await;
    // These two end the server and the script by their meaning.
    let ends_round = |call: &Call| call.runs("shutdown") || call.runs("script|kill");
    let is_tested = |call: &Call| !ends_round(call) && is_readable(call, protocol);
    let calls: Vec<Call> = calls.into_iter().filter(is_tested).collect();

    let mut faults = Vec::new();
    for state in State::ALL {
        let mut left = calls.as_slice();
        while !left.is_empty() {
            let round = Round::start(&settings, state, protocol, left).await;
            let (sent, found) = round.run().await;
            faults.extend(found.into_iter().map(|fault| format!("{state:?}: {fault}")));
            // A server that hangs is given up. The next one gets the commands behind the culprit.
            left = &left[sent..];
        }
    }

    assert!(faults.is_empty(), "{} faults in {protocol:?}:\n{}", faults.len(), faults.join("\n"));
}

/// A server with a late script, and the clients that send commands meanwhile.
struct Round<'a> {
    /// Dropped, and so killed, at the end of the round, even when it hangs.
    _server: Server,
    runner: Client,
    operator: Client,
    bystander: Client,
    senders: Vec<(&'a Call, Client)>,
}

impl<'a> Round<'a> {
    async fn start(settings: &[&str], state: State, protocol: Protocol, calls: &'a [Call]) -> Self {
        let server = server(settings).await;
        let (mut operator, mut runner) = (server.client().await, server.client().await);
        let bystander = server.client().await;
        let mut senders = Vec::new();
        for call in calls {
            senders.push((call, client_in(state, protocol, &server).await));
        }

        let set = ["CONFIG", "SET", "busy-reply-threshold", "10"];
        assert_eq!(operator.command(&set).await, ok());
        runner.send(&["EVAL", "while true do end", "0"]).await;
        eventually(async || is_busy(operator.command(&["PING"]).await.value())).await;
        Self { _server: server, runner, operator, bystander, senders }
    }

    /// Sends all commands and kills the script. Returns how many commands were sent, and all
    /// faults.
    async fn run(mut self) -> (usize, Vec<String>) {
        for (index, (call, client)) in self.senders.iter_mut().enumerate() {
            client.send(call.words()).await;
            let probe = answer(&mut self.operator, &["PING"]).await;
            if !probe.as_ref().is_some_and(is_busy) {
                return (index + 1, vec![format!("{call:?}, then PING -> {probe:?}, not BUSY")]);
            }
        }
        let mut faults = self.end_script().await;
        if faults.is_empty() {
            let ends = join_all(self.senders.iter_mut().map(fault_of_sender)).await;
            faults.extend(ends.into_iter().flatten());
        }
        (self.senders.len(), faults)
    }

    /// Kills the script, and returns a fault unless the server then works for others.
    async fn end_script(&mut self) -> Vec<String> {
        let killed = answer(&mut self.operator, &["SCRIPT", "KILL"]).await;
        if killed != Some(ok()) {
            return vec![format!("SCRIPT KILL after all commands -> {killed:?}")];
        }
        let end = timeout(PATIENCE, self.runner.next_reply()).await;
        let works = answer(&mut self.bystander, &["PING"]).await;
        let is_killed = matches!(&end, Ok(Some(reply)) if reply.is_error());
        if is_killed && works == Some(simple("PONG")) {
            return Vec::new();
        }
        let waiting = join_all(self.senders.iter_mut().map(without_reply)).await;
        let waiting: Vec<&Call> = waiting.into_iter().flatten().collect();
        vec![format!(
            "after SCRIPT KILL: EVAL -> {end:?}, PING -> {works:?}; without a reply: {waiting:?}"
        )]
    }
}

/// Returns the call of a client that has received no reply so far.
async fn without_reply<'a>((call, client): &mut (&'a Call, Client)) -> Option<&'a Call> {
    timeout(Duration::from_millis(100), client.next_reply()).await.is_err().then_some(*call)
}

/// Connects a client and brings it into a state.
async fn client_in(state: State, protocol: Protocol, server: &Server) -> Client {
    let mut client = server.client().await;
    if protocol == Protocol::Resp3 {
        client.decode_as(Protocol::Resp3);
        client.command(&["HELLO", "3"]).await;
    }
    for request in state.requests() {
        client.send(request).await;
        if !matches!(state, State::Waiting) {
            assert!(!client.read_reply().await.is_error(), "{state:?}: {request:?} is refused");
        }
    }
    client
}

/// Returns a fault unless the client gets the replies to its command and to the requests behind it.
async fn fault_of_sender((call, client): &mut (&Call, Client)) -> Option<String> {
    let mut replies = Vec::new();
    let served = timeout(PATIENCE, async {
        if !call.runs("quit") {
            // DISCARD ends a transaction, in which PING would be queued. Elsewhere it is an error.
            let end = [request(&["DISCARD"]), request(&["PING", MARKER])].concat();
            client.send_raw(&end).await;
        }
        while let Some(reply) = client.listen().await {
            if reply == MARKER || reply == array!["pong", MARKER] {
                break;
            }
            replies.push(reply);
        }
    });
    let in_time = served.await.is_ok();
    // The reply to the command, and the one to DISCARD. QUIT has one reply.
    let expected = if call.runs("quit") { 1 } else { 2 };
    let is_served = in_time && replies.len() >= expected;
    (!is_served).then(|| format!("{call:?}: after the script {replies:?}, in time: {in_time}"))
}

/// Returns the next reply, or nothing when the server closes or does not answer.
async fn answer(client: &mut Client, words: &[&str]) -> Option<Value> {
    let reply = async {
        client.send(words).await;
        client.next_reply().await.map(Reply::into_value)
    };
    timeout(PATIENCE, reply).await.ok().flatten()
}

fn is_busy(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if text.starts_with("BUSY "))
}
