//! Messages sent by a script that numbers them, as servers of SignalR 2 do.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::{Client, same};
use super::listeners::Listeners;
use crate::Failure;
use crate::figure::Figure;
use crate::frames::{self, Frames, TAG_BYTES};
use crate::sample::Sample;
use crate::sampler::Sampler;
use crate::scenario::Stream;
use crate::server::Server;
use crate::wire::{self, ID_BYTES, SENT_ID_AT};

/// The only channel. It is also the key of the counter.
const CHANNEL: usize = 0;

/// Calls `script` during `time` and waits for all messages.
pub(super) async fn run(
    load: Stream,
    script: &str,
    server: &Server,
    time: Duration,
) -> Result<Sample, Failure> {
    let payload = frames::payload(load.payload_bytes);
    let mut control = Client::connect(server).await?;
    let start = wire::request(&["SET", &wire::channel(CHANNEL), &wire::ID_BEFORE.to_string()]);
    control.ask(&start, b"+OK\r\n").await?;
    let sha = control.ask_for_text(&["SCRIPT", "LOAD", script]).await?;

    let template = wire::message(CHANNEL, &wire::numbered(wire::ID_BEFORE, &payload));
    let frames = Frames::new(template, payload.len(), load.publishers).with_ids();
    let mut listeners = Listeners::new(Box::new(|_, _| {}));
    for client in Client::subscribers(server, 0..load.subscribers, |_| CHANNEL).await? {
        listeners.add(client, frames.clone());
    }
    let mut clients = Vec::new();
    for _ in 0..load.publishers {
        clients.push(Client::connect(server).await?);
    }

    let calls =
        Rc::new(Calls { load, call: wire::send_by_script(&sha, CHANNEL, &payload), payload });
    let sampler = Sampler::start(server)?;
    let until = Instant::now() + time;
    let mut publishers = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        publishers.spawn_local(publish(client, number, calls.clone(), until));
    }
    let mut scripts = 0;
    while let Some(result) = publishers.join_next().await {
        scripts += result??;
    }
    listeners.wait_for(scripts * load.subscribers as u64).await?;
    sampler.cost(Figure::CpuPerScript, scripts as f64)
}

/// The requests of the publishers.
struct Calls {
    load: Stream,
    call: Vec<u8>,
    payload: Vec<u8>,
}

/// Calls the script until `until`. Returns the number of calls.
async fn publish(
    mut client: Client,
    number: usize,
    calls: Rc<Calls>,
    until: Instant,
) -> Result<u64, Failure> {
    let (mut payload, mut call) = (calls.payload.clone(), calls.call.clone());
    let tag_at = call.len() - payload.len() - b"\r\n".len();
    let answer_bytes = wire::sent_by_script(wire::ID_BEFORE, &payload).len();
    let (mut sent, mut last_id) = (0, wire::ID_BEFORE);
    while Instant::now() < until {
        let first = sent;
        let mut batch = Vec::with_capacity(call.len() * calls.load.pipeline);
        for _ in 0..calls.load.pipeline {
            call[tag_at..tag_at + TAG_BYTES].copy_from_slice(&frames::tag(number, sent));
            batch.extend_from_slice(&call);
            sent += 1;
        }
        client.send(&batch).await?;
        let answers = client.read(answer_bytes * calls.load.pipeline).await?;
        for (answer, sent) in answers.chunks_exact(answer_bytes).zip(first..) {
            payload[..TAG_BYTES].copy_from_slice(&frames::tag(number, sent));
            let id = frames::number(&answer[SENT_ID_AT..SENT_ID_AT + ID_BYTES]);
            // An id that does not rise fails the comparison.
            same(&wire::sent_by_script(id.max(last_id + 1), &payload), answer)?;
            last_id = id;
        }
    }
    Ok(sent)
}
