//! Holds a conversation with one server, and collects the replies to each step.
//!
//! Each step reads exactly the replies that it causes, so the result does not depend on time. A
//! request has one reply, unless the line sets another count. The subscribe families have one for
//! each name, or a single error. Unread bytes are collected when the clients leave at the end.

use std::collections::BTreeMap;
use std::fmt;

use tokio::time::Instant;

use crate::conversation::{Action, Conversation, Step};
use crate::frame::Frame;
use crate::mask::Mask;
use crate::threads::Threads;
use crate::wire::{Came, PATIENCE, Wire};
use crate::words::{self, Facts};

/// The replies of a conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    /// The replies to each step. There are fewer than steps when the server stopped replying.
    steps: Vec<Shown>,
    /// The bytes that the clients had not read when they left.
    pub(crate) rest: Shown,
}

/// The masked replies of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) frames: Vec<Frame>,
    /// The end of the connection, or bytes that are not a frame.
    pub(crate) end: String,
}

impl Transcript {
    /// Returns the replies of a step, or a note that the server had stopped replying before.
    pub(crate) fn step(&self, index: usize) -> Shown {
        let missing = || Shown { frames: Vec::new(), end: "(not reached)".into() };
        self.steps.get(index).cloned().unwrap_or_else(missing)
    }

    /// Returns true if a step waited for a reply that did not come.
    pub(crate) fn is_stalled(&self) -> bool {
        self.steps.iter().any(|step| step.end.ends_with(NOTHING))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in &self.frames {
            write!(f, "{}  ", frame.render().escape_ascii())?;
        }
        f.write_str(&self.end)
    }
}

/// The clients of one conversation with one server.
#[derive(Debug)]
struct Lead<'a> {
    conversation: &'a Conversation,
    port: u16,
    threads: Option<Threads>,
    facts: Facts,
    wires: BTreeMap<char, Wire>,
}

/// Holds a conversation up to its end, or up to the step at which the server stops replying.
pub(crate) async fn lead(
    conversation: &Conversation,
    port: u16,
    threads: Option<Threads>,
) -> Transcript {
    let facts = Facts::from([("port".into(), port.to_string())]);
    let mut lead = Lead { conversation, port, threads, facts, wires: BTreeMap::new() };
    let mut transcript = Transcript::default();
    let mut last_client = None;
    for step in &conversation.steps {
        // A client's own requests have their effects on it in order.
        if last_client.replace(step.client).is_some_and(|last| last != step.client) {
            lead.rest_of_threads().await;
        }
        let came = lead.step(step).await;
        let is_over = matches!(came.last(), Some(Came::Silence(_) | Came::Noise(_)));
        let masks = [conversation.masks.as_slice(), &step.masks].concat();
        transcript.steps.push(lead.shown(came, &masks));
        if is_over {
            break;
        }
    }
    lead.rest_of_threads().await;
    transcript.rest = lead.rest().await;
    lead.tidy().await;
    transcript
}

impl Lead<'_> {
    /// Waits until the effects of the last step on clients of other threads have arrived.
    async fn rest_of_threads(&self) {
        if let Some(threads) = &self.threads
            && !self.conversation.independent
        {
            threads.rest().await;
        }
    }

    async fn step(&mut self, step: &Step) -> Vec<Came> {
        if let Some(refused) = self.connected(step.client).await {
            return vec![refused];
        }
        let facts = &self.facts;
        let Some(wire) = self.wires.get_mut(&step.client) else { return Vec::new() };
        let fill = |words: &[Vec<u8>]| -> Vec<Vec<u8>> {
            words.iter().map(|word| words::filled(word, facts)).collect()
        };
        match &step.action {
            Action::Request(words) => {
                let words = fill(words);
                wire.send(&harness::request(&words)).await;
                let count = step.count.unwrap_or_else(|| confirmations(&words));
                read(wire, count, step.count.is_none()).await
            }
            Action::Inline(text) => {
                wire.send(&words::filled(format!("{text}\r\n").as_bytes(), facts)).await;
                read(wire, step.count.unwrap_or(1), false).await
            }
            Action::Raw(words) => {
                wire.send(&fill(words).concat()).await;
                read(wire, step.count.unwrap_or(0), false).await
            }
            Action::Read => read(wire, step.count.unwrap_or(1), false).await,
            Action::Settle => settle(wire).await,
            Action::Closed => vec![wire.read_to_close().await],
            Action::Connect => Vec::new(),
            Action::Leave => {
                let came = wire.leave().await;
                self.wires.remove(&step.client);
                vec![came]
            }
        }
    }

    /// Connects a client at its first step.
    async fn connected(&mut self, client: char) -> Option<Came> {
        if self.wires.contains_key(&client) {
            return None;
        }
        let mut wire = match Wire::connect(self.port).await {
            Ok(wire) => wire,
            Err(error) => return Some(Came::Noise(format!("cannot connect: {error}"))),
        };
        if let Some(address) = wire.address() {
            self.facts.insert(format!("{client}.addr"), address.to_string());
            self.facts.insert(format!("{client}.port"), address.port().to_string());
        }
        if self.conversation.with_ids {
            wire.send(&harness::request(&["CLIENT", "ID"])).await;
            if let Came::Frame(Frame::Line(b':', id)) = wire.read().await {
                let id = String::from_utf8_lossy(&id).into_owned();
                self.facts.insert(format!("{client}.id"), id);
            }
        }
        if self.conversation.resp3 {
            wire.send(&harness::request(&["HELLO", "3"])).await;
            wire.read().await;
        }
        self.wires.insert(client, wire);
        None
    }

    /// Disconnects all clients, and returns the bytes that they had not read.
    async fn rest(&mut self) -> Shown {
        let mut rest = Shown::default();
        for (client, mut wire) in std::mem::take(&mut self.wires) {
            match wire.leave().await {
                Came::Close(bytes) if bytes.is_empty() => {}
                came => {
                    let mut shown = self.shown(vec![came], &self.conversation.masks);
                    rest.frames.append(&mut shown.frames);
                    rest.end += &format!("{client}: {} ", shown.end);
                }
            }
        }
        rest
    }

    /// Undoes the changes of the conversation for the next ones.
    async fn tidy(&self) {
        if self.conversation.after.is_empty() {
            return;
        }
        if let Ok(mut wire) = Wire::connect(self.port).await {
            for words in &self.conversation.after {
                wire.send(&harness::request(words)).await;
                wire.read().await;
            }
            wire.leave().await;
        }
    }

    fn shown(&self, came: Vec<Came>, masks: &[Mask]) -> Shown {
        let mut shown = Shown::default();
        for came in came {
            match came {
                Came::Frame(frame) => shown.frames.push(frame),
                Came::Close(mut bytes) => {
                    shown.frames.append(&mut taken_off(&mut bytes));
                    shown.end += &self.text(&bytes, "(closed)");
                }
                Came::Silence(bytes) => shown.end += &self.text(&bytes, NOTHING),
                Came::Noise(why) => shown.end += &format!("(no RESP: {why})"),
            }
        }
        for frame in &mut shown.frames {
            frame.each_leaf(&mut |_, text| *text = self.without_addresses(text));
        }
        for mask in masks {
            mask.hide(&mut shown.frames);
        }
        shown
    }

    fn text(&self, bytes: &[u8], end: &str) -> String {
        format!("{}{end}", self.without_addresses(bytes).escape_ascii())
    }

    /// Replaces the addresses of the clients, which differ from run to run, with their names.
    fn without_addresses(&self, text: &[u8]) -> Vec<u8> {
        let mut kept = text.to_vec();
        for (name, value) in self.facts.iter().filter(|(name, _)| name.ends_with(".addr")) {
            while let Some(at) = kept.windows(value.len()).position(|part| part == value.as_bytes())
            {
                kept.splice(at..at + value.len(), format!("<{name}>").into_bytes());
            }
        }
        kept
    }
}

/// Removes the complete frames from the front of these bytes and returns them.
fn taken_off(bytes: &mut Vec<u8>) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Ok(Some((frame, length))) = Frame::parse(bytes) {
        frames.push(frame);
        bytes.drain(..length);
    }
    frames
}

/// Reads that many frames. With `may_end` it stops at a frame that no confirmation follows.
async fn read(wire: &mut Wire, count: usize, may_end: bool) -> Vec<Came> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let came = wire.read().await;
        let is_last = match &came {
            Came::Frame(frame) => may_end && frame.is_final(),
            _ => true,
        };
        all.push(came);
        if is_last {
            break;
        }
    }
    all
}

/// Sends a PING, which a subscriber may do as well, and reads all replies up to the reply to it.
async fn settle(wire: &mut Wire) -> Vec<Came> {
    wire.send(&harness::request(&["PING", SETTLED])).await;
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        let came = wire.read_by(deadline).await;
        let is_last = match &came {
            Came::Frame(Frame::Bulk(_, text)) => text == SETTLED.as_bytes(),
            Came::Frame(Frame::Items(_, items)) => {
                matches!(items.as_slice(), [_, Frame::Bulk(_, text)] if text == SETTLED.as_bytes())
            }
            Came::Frame(_) => false,
            _ => true,
        };
        all.push(came);
        if is_last {
            return all;
        }
    }
}

/// Returns the number of replies: the subscribe families have one for each name.
fn confirmations(words: &[Vec<u8>]) -> usize {
    let is_family = words.first().is_some_and(|verb| {
        FAMILIES.iter().any(|family| verb.eq_ignore_ascii_case(family.as_bytes()))
    });
    if is_family { words.len().saturating_sub(1).max(1) } else { 1 }
}

const NOTHING: &str = "(nothing more came)";
const SETTLED: &str = "settled";

const FAMILIES: &[&str] =
    &["SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"];
