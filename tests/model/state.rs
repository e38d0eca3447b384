//! The model: the replies and messages of each client after each action.

use std::collections::BTreeSet;

use crate::history::{Act, CHANNELS, CLIENTS, Kind, PATTERNS};

/// A server and its clients.
#[derive(Debug)]
pub(crate) struct State {
    clients: [Member; CLIENTS],
    /// The values of keys.
    keys: [Option<u64>; 2],
    /// The number of the next message or value.
    next: u64,
    variant: Variant,
}

/// The server that the model describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Redis72,
    /// Messages that a transaction sends to its own client come among the items of its reply.
    Redis70,
    /// A fault of the model, to see whether histories notice it: a client gets a message of several
    /// patterns once.
    PatternsDeliverOnce,
}

#[derive(Clone, Debug, Default)]
struct Member {
    is_resp3: bool,
    channels: BTreeSet<usize>,
    patterns: BTreeSet<usize>,
    shards: BTreeSet<usize>,
    queued: Option<Vec<(Act, u64)>>,
    watched: BTreeSet<usize>,
    is_dirty: bool,
    is_tracking: bool,
    /// Keys whose next change the client gets to know.
    tracked: BTreeSet<usize>,
}

/// The input of a client: replies in their order, and messages with the confirmations of subscriptions
/// in theirs. Redis 7.0 and 7.2 differ in the order of a reply and a message of one command.
#[derive(Debug, Default, Clone)]
pub(crate) struct Received {
    pub(crate) replies: Vec<String>,
    pub(crate) pushed: Vec<String>,
}

/// The result of one command, where it stands for a reply.
#[derive(Debug)]
enum Result {
    Reply(String),
    Confirmed(String),
}

impl State {
    pub(crate) fn new(variant: Variant) -> Self {
        Self { clients: Default::default(), keys: [None; 2], next: 1, variant }
    }

    /// Returns the number that the action carries, if it carries one.
    pub(crate) fn number(&self) -> u64 {
        self.next
    }

    pub(crate) fn is_resp3(&self, client: usize) -> bool {
        self.clients[client].is_resp3
    }

    /// Returns whether the order of the replies to this act is not defined.
    pub(crate) fn is_undefined(&self, client: usize, act: &Act) -> bool {
        let member = &self.clients[client];
        match act {
            Act::UnsubscribeAll(kind) => member.of(*kind).len() > 1 || member.queued.is_some(),
            // The reply of HELLO inside a transaction would change the protocol in its middle.
            Act::Hello(_) => member.queued.is_some(),
            Act::Exec => self.variant == Variant::Redis70 && member.may_hear_itself(),
            _ => false,
        }
    }

    /// Performs an action, and returns the new input of each client.
    pub(crate) fn act(&mut self, client: usize, act: &Act) -> [Received; CLIENTS] {
        let mut all: [Received; CLIENTS] = Default::default();
        let number = self.next;
        self.next += 1;
        if *act == Act::Kill {
            self.clients[client] = Member::default();
            return all;
        }
        if let Some(reply) = self.refusal_or_queue(client, act, number) {
            all[client].replies.push(reply);
            return all;
        }
        match act {
            Act::Exec => {
                let Member { queued, is_dirty, .. } = &mut self.clients[client];
                let queued = queued.take().unwrap_or_default();
                let is_dirty = std::mem::take(is_dirty);
                self.clients[client].watched.clear();
                if is_dirty {
                    all[client].replies.push("nil".to_owned());
                    return all;
                }
                let mut items = Vec::new();
                for (act, number) in queued {
                    if let Act::Subscribe(Kind::Shard, _) = act {
                        // As Redis has it: not for a client that must not block.
                        items.push("-ERR".to_owned());
                        continue;
                    }
                    let (Result::Reply(item) | Result::Confirmed(item)) =
                        self.run(client, &act, number, &mut all);
                    items.push(item);
                }
                all[client].replies.push(format!("[{}]", items.join(" ")));
            }
            act => match self.run(client, act, number, &mut all) {
                Result::Reply(reply) => all[client].replies.push(reply),
                Result::Confirmed(confirmed) => all[client].pushed.push(confirmed),
            },
        }
        all
    }

    /// Returns the reply if the act does not run now.
    fn refusal_or_queue(&mut self, client: usize, act: &Act, number: u64) -> Option<String> {
        let member = &mut self.clients[client];
        let is_of_subscribers = matches!(
            act,
            Act::Subscribe(..) | Act::Unsubscribe(..) | Act::UnsubscribeAll(_) | Act::Reset
        );
        if !member.is_resp3 && member.is_subscribed() && !is_of_subscribers {
            // A refused EXEC ends a transaction, and says so even where there is none.
            let error = if *act == Act::Exec { "-EXECABORT" } else { "-ERR" };
            return Some(error.to_owned());
        }
        match (act, &mut member.queued) {
            (Act::Reset, _) => None,
            (Act::Multi | Act::Watch(_), Some(_)) | (Act::Exec | Act::Discard, None) => {
                Some("-ERR".to_owned())
            }
            (Act::Exec | Act::Discard, Some(_)) | (_, None) => None,
            (act, Some(queued)) => {
                queued.push((act.clone(), number));
                Some("QUEUED".to_owned())
            }
        }
    }

    fn run(
        &mut self,
        client: usize,
        act: &Act,
        number: u64,
        all: &mut [Received; CLIENTS],
    ) -> Result {
        let reply = |text: &str| Result::Reply(text.to_owned());
        match act {
            Act::Subscribe(kind, name) => {
                self.clients[client].of_mut(*kind).insert(*name);
                self.confirmed(client, *kind, "", Some(*name))
            }
            Act::Unsubscribe(kind, name) => {
                self.clients[client].of_mut(*kind).remove(name);
                self.confirmed(client, *kind, "un", Some(*name))
            }
            Act::UnsubscribeAll(kind) => {
                let name = self.clients[client].of_mut(*kind).pop_first();
                self.confirmed(client, *kind, "un", name)
            }
            Act::Publish(kind, name) => Result::Reply(self.publish(*kind, *name, number, all)),
            Act::Hello(version) => {
                self.clients[client].is_resp3 = *version == 3;
                reply("map")
            }
            Act::Multi => {
                self.clients[client].queued = Some(Vec::new());
                reply("OK")
            }
            Act::Discard => {
                let member = &mut self.clients[client];
                (member.queued, member.is_dirty) = (None, false);
                member.watched.clear();
                reply("OK")
            }
            Act::Watch(key) => {
                self.clients[client].watched.insert(*key);
                reply("OK")
            }
            Act::Reset => {
                let tracked = std::mem::take(&mut self.clients[client].tracked);
                self.clients[client] = Member { tracked, ..Member::default() };
                reply("RESET")
            }
            Act::Script(one, other) => {
                let count = [*one, *other].map(|name| {
                    self.publish(Kind::Channel, name, number, all).parse::<u64>().expect("a count")
                });
                Result::Reply((count[0] + count[1]).to_string())
            }
            Act::Tracking => {
                self.clients[client].is_tracking = true;
                reply("OK")
            }
            Act::Get(key) => {
                if self.clients[client].is_tracking {
                    self.clients[client].tracked.insert(*key);
                }
                let value = self.keys[*key].map_or("nil".to_owned(), |value| value.to_string());
                Result::Reply(value)
            }
            Act::Set(key) => {
                self.change(*key, Some(number), all);
                reply("OK")
            }
            Act::Delete(key) => {
                let had = self.keys[*key].is_some();
                if had {
                    self.change(*key, None, all);
                }
                Result::Reply(u8::from(had).to_string())
            }
            Act::Exec | Act::Kill | Act::Stall => unreachable!("handled before"),
        }
    }

    fn confirmed(&self, client: usize, kind: Kind, prefix: &str, name: Option<usize>) -> Result {
        let member = &self.clients[client];
        let (word, count) = match kind {
            Kind::Shard => (format!("s{prefix}subscribe"), member.shards.len()),
            Kind::Channel => (format!("{prefix}subscribe"), member.subscriptions()),
            Kind::Pattern => (format!("p{prefix}subscribe"), member.subscriptions()),
        };
        let name = name.map_or("nil", |name| kind.name(name));
        Result::Confirmed(format!("[{word} {name} {count}]"))
    }

    /// Delivers a message, and returns the number of its deliveries.
    fn publish(
        &self,
        kind: Kind,
        name: usize,
        number: u64,
        all: &mut [Received; CLIENTS],
    ) -> String {
        let mut count = 0;
        let channel = CHANNELS[name];
        for (member, received) in self.clients.iter().zip(all) {
            if member.of(kind).contains(&name) {
                let word = if kind == Kind::Shard { "smessage" } else { "message" };
                received.pushed.push(format!("[{word} {channel} {number}]"));
                count += 1;
            }
            if kind == Kind::Shard {
                continue;
            }
            // Redis promises no order among the patterns of one client, so a message counts its patterns.
            let matching = member.patterns.iter().filter(|&&pattern| matches(pattern, name));
            for (index, _) in matching.enumerate() {
                if index == 0 || self.variant != Variant::PatternsDeliverOnce {
                    received.pushed.push(format!("[pmessage {channel} {number}]"));
                    count += 1;
                }
            }
        }
        count.to_string()
    }

    /// Changes a key, and tells those who have read it.
    fn change(&mut self, key: usize, value: Option<u64>, all: &mut [Received; CLIENTS]) {
        self.keys[key] = value;
        for (member, received) in self.clients.iter_mut().zip(all) {
            member.is_dirty |= member.watched.contains(&key);
            if member.tracked.remove(&key) && member.is_tracking && member.is_resp3 {
                received.pushed.push(format!("[invalidate [{}]]", crate::history::KEYS[key]));
            }
        }
    }
}

impl Member {
    fn of(&self, kind: Kind) -> &BTreeSet<usize> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<usize> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Returns whether the transaction may send messages to its own client.
    fn may_hear_itself(&self) -> bool {
        let queued = || self.queued.iter().flatten().map(|(act, _)| act);
        let listens = |act: &Act| matches!(act, Act::Subscribe(..));
        let sends = |act: &Act| matches!(act, Act::Publish(..) | Act::Script(..));
        (self.is_subscribed() || queued().any(listens)) && queued().any(sends)
    }

    fn is_subscribed(&self) -> bool {
        self.subscriptions() + self.shards.len() > 0
    }
}

impl Kind {
    /// Returns the name of a subscription.
    pub(crate) fn name(self, index: usize) -> &'static str {
        if self == Self::Pattern { PATTERNS[index] } else { CHANNELS[index] }
    }
}

/// Written as a table, so that the model has no glob of its own.
fn matches(pattern: usize, channel: usize) -> bool {
    let matching: &[&str] = match PATTERNS[pattern] {
        "a*" => &["a", "ab"],
        "[a]b" => &["ab"],
        _ => &CHANNELS,
    };
    matching.contains(&CHANNELS[channel])
}
