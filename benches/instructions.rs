//! Parts of a publish. `cargo xtask instructions` counts their instructions.
//!
//! Only `measured_part` is counted. A round before it makes all allocations.

mod measured;

use std::hint::black_box;
use std::process::ExitCode;

use broker::bench::{Requests, Sessions, decode, encode};

use measured::measure;

/// Counted rounds.
const ROUNDS: usize = 20;
/// Requests in one read.
const PIPELINE: usize = 64;
const CHANNEL: &str = "news:of:today";
const PAYLOAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() -> ExitCode {
    let part = std::env::args().nth(1).unwrap_or_default();
    match &*part {
        "decode" => decoding(),
        "publish-1" => publishing(1, "SUBSCRIBE", &[CHANNEL]),
        "publish-100" => publishing(100, "SUBSCRIBE", &[CHANNEL]),
        "publish-pattern" => {
            let others: Vec<String> = (0..100).map(|index| format!("room:{index}:*")).collect();
            let all: Vec<&str> = others.iter().map(|name| &**name).chain(["news:*"]).collect();
            publishing(1, "PSUBSCRIBE", &all);
        }
        "script" => scripts(10),
        "encode" => encoding(),
        _ => {
            eprintln!("expects decode, publish-1, publish-100, publish-pattern, script or encode");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn request(arguments: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    resp::request::encode(&mut out, arguments);
    out
}

fn batch() -> Vec<u8> {
    request(&["PUBLISH", CHANNEL, PAYLOAD]).repeat(PIPELINE)
}

fn decoding() {
    let (batch, mut requests) = (batch(), Requests::default());
    measure(ROUNDS, || {
        assert_eq!(decode(&mut requests, black_box(&batch)), (PIPELINE, 3 * PIPELINE))
    });
}

/// Publishes to subscribers that all have the same subscriptions.
fn publishing(subscribers: usize, command: &str, names: &[&str]) {
    let mut sessions = Sessions::default();
    for _ in 0..subscribers {
        let subscriber = sessions.connect();
        for name in names {
            sessions.run(subscriber, &request(&[command, name]));
        }
    }
    let publisher = sessions.connect();
    sessions.flush();
    let batch = batch();
    let least = PIPELINE * subscribers * (CHANNEL.len() + PAYLOAD.len());
    measure(ROUNDS, || {
        sessions.run(publisher, black_box(&batch));
        assert!(sessions.flush() > least, "all subscribers get all messages");
    });
}

/// Calls the send script of SignalR 2 by its SHA1.
fn scripts(subscribers: usize) {
    const SCRIPT: &str = "local newId = redis.call('INCR', KEYS[1]) \
        local payload = newId .. ' ' .. ARGV[1] redis.call('PUBLISH', KEYS[1], payload) \
        return {newId, ARGV[1], payload}";
    const NAME: &str = "7abda6371505d860df48852c6bc727c15f62bb4c";
    let mut sessions = Sessions::default();
    for _ in 0..subscribers {
        let subscriber = sessions.connect();
        sessions.run(subscriber, &request(&["SUBSCRIBE", CHANNEL]));
    }
    let publisher = sessions.connect();
    sessions.run(publisher, &request(&["SCRIPT", "LOAD", SCRIPT]));
    sessions.flush();
    let batch = request(&["EVALSHA", NAME, "1", CHANNEL, PAYLOAD]).repeat(PIPELINE);
    let least = PIPELINE * subscribers * (CHANNEL.len() + PAYLOAD.len());
    measure(ROUNDS, || {
        sessions.run(publisher, black_box(&batch));
        assert!(sessions.flush() > least, "all subscribers get all messages");
    });
}

fn encoding() {
    let mut out = Vec::new();
    measure(ROUNDS, || {
        out.clear();
        for _ in 0..PIPELINE {
            encode(&mut out, black_box(CHANNEL.as_bytes()), black_box(PAYLOAD.as_bytes()));
        }
        black_box(&out);
    });
}
