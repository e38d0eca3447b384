//! The stream format of SignalR 2, byte for byte, so that its servers and ours can share an app.
//!
//! All messages use one channel, and have a key. `h-Hub` addresses all connections of a hub.
//! `hg-Hub.group`, `hu-Hub.user` and `hc-Hub.id` address some of them. `c-id` is for commands to
//! one connection, and `__SIGNALR__SERVER__` for their acknowledgements.
//!
//! Probes and announcements are ordinary messages with keys that SignalR's servers ignore. Those
//! servers still count the ids, as they must.

mod value;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialect::signalr2::{self as scaleout, Message};
use locks::RwLock;

use super::item::{Arrived, Attached, Change, Envelope, Item, Malformed};
use crate::invocation::Invocation;
use crate::target::{Target, To};

/// Encodes the messages of one hub, and decodes those of all hubs of its backplane.
#[derive(Clone, Debug)]
pub(crate) struct Signalr2 {
    hub: Arc<str>,
    /// The hubs of the backplane. Messages for other hubs are foreign.
    hubs: Arc<RwLock<Vec<Arc<str>>>>,
}

/// The key of acknowledgements, for all servers.
const ACK_KEY: &str = "__SIGNALR__SERVER__";
const PROBE_KEY: &str = "__BACKPLANE__PROBE__";
const ATTACHED_KEY: &str = "__BACKPLANE__ATTACHED__";
const REACHED_KEY: &str = "__BACKPLANE__REACHED__";

impl Signalr2 {
    pub(crate) fn new(hub: &str) -> Self {
        let hub: Arc<str> = hub.into();
        Self { hubs: Arc::new(RwLock::new(vec![hub.clone()])), hub }
    }

    /// Returns the name of the hub.
    pub(crate) fn hub(&self) -> &str {
        &self.hub
    }

    /// Returns the dialect of another hub on the same backplane.
    pub(crate) fn of_hub(&self, hub: &str) -> Self {
        let hub: Arc<str> = hub.into();
        let mut hubs = self.hubs.write();
        if !hubs.contains(&hub) {
            hubs.push(hub.clone());
        }
        drop(hubs);
        Self { hub, hubs: self.hubs.clone() }
    }

    /// Returns the signals of a connection before it joins any group.
    pub(crate) fn signals(&self, connection_id: &str, user: Option<&str>) -> Vec<String> {
        let mut signals = vec![
            self.all_signal(),
            self.connection_signal(connection_id),
            command_signal(connection_id),
        ];
        signals.extend(user.filter(|user| !user.is_empty()).map(|user| self.user_signal(user)));
        signals
    }

    /// Returns the signals of a connection that belongs to no hub.
    pub(crate) fn command_signals(connection_id: &str) -> Vec<String> {
        vec![command_signal(connection_id)]
    }

    pub(crate) fn group_signal(&self, group: &str) -> String {
        format!("hg-{}.{group}", self.hub)
    }

    pub(crate) fn all_signal(&self) -> String {
        format!("h-{}", self.hub)
    }

    pub(crate) fn connection_signal(&self, id: &str) -> String {
        format!("hc-{}.{id}", self.hub)
    }

    pub(crate) fn user_signal(&self, user: &str) -> String {
        format!("hu-{}.{user}", self.hub)
    }

    /// Returns whether a signal is that of a user, or of a group that `is_wanted` accepts.
    pub(crate) fn has_members(signal: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        // The name of a hub has no dot.
        let group = Self::group_of(signal).and_then(|group| group.split_once('.'));
        signal.starts_with("hu-") || group.is_some_and(|(_, group)| is_wanted(group))
    }

    /// Returns the group of a signal as SignalR 2 writes it in groups tokens, such as
    /// `ChatHub.room`.
    pub(crate) fn group_of(signal: &str) -> Option<&str> {
        signal.strip_prefix("hg-")
    }

    /// Encodes an invocation, once for each target.
    pub(crate) fn invocation(
        &self,
        source: impl Fn() -> String,
        target: &Target,
        invocation: &Invocation,
    ) -> Vec<Bytes> {
        let hub = &self.hub;
        let value = value::of_invocation(hub, invocation);
        let except: Vec<_> = target.except.iter().map(|id| command_signal(id)).collect();
        let filter = except.join("|");
        let ticks = scaleout::ticks_now();
        let body = |key: &str| {
            let source = &source();
            let message =
                Message { source, key, value: &value, filter: &filter, ..Message::default() };
            scaleout::body(&message, ticks)
        };
        let all = |names: &[String], prefix: &str| {
            names.iter().map(|name| body(&format!("{prefix}-{hub}.{name}"))).collect()
        };
        match &target.to {
            To::All => vec![body(&format!("h-{hub}"))],
            To::Groups(names) => all(names, "hg"),
            To::Users(users) => all(users, "hu"),
            To::Connections(ids) => all(ids, "hc"),
        }
    }

    /// Encodes a command with a request for an acknowledgement.
    pub(crate) fn command(
        &self,
        source: &str,
        connection_id: &str,
        command_id: &str,
        change: &Change,
    ) -> Bytes {
        let message = Message {
            source,
            key: &command_signal(connection_id),
            value: &value::of_command(command_id, change),
            command_id,
            wait_for_ack: true,
            ..Message::default()
        };
        scaleout::body(&message, scaleout::ticks_now())
    }

    /// Encodes the acknowledgement of a command.
    pub(crate) fn ack(&self, connection_id: &str, command_id: &str) -> Bytes {
        let message = Message {
            source: connection_id,
            key: ACK_KEY,
            command_id,
            is_ack: true,
            ..Message::default()
        };
        scaleout::body(&message, scaleout::ticks_now())
    }

    /// Encodes a health probe, which other servers ignore.
    pub(crate) fn probe(&self, source: &str, number: u64) -> Bytes {
        let value = number.to_string();
        let message =
            Message { source, key: PROBE_KEY, value: value.as_bytes(), ..Message::default() };
        scaleout::body(&message, scaleout::ticks_now())
    }

    /// Encodes an announcement of a connection and its age.
    pub(crate) fn attached(&self, source: &str, attached: &Attached) -> Bytes {
        let Attached { connection_id, number, age } = attached;
        let value = format!("{number} {} {connection_id}", age.as_millis());
        let message =
            Message { source, key: ATTACHED_KEY, value: value.as_bytes(), ..Message::default() };
        scaleout::body(&message, scaleout::ticks_now())
    }

    /// Encodes an announcement of the last id that this server knows of the broker's last run.
    pub(crate) fn reached(&self, source: &str, id: u64) -> Bytes {
        let value = id.to_string();
        let message =
            Message { source, key: REACHED_KEY, value: value.as_bytes(), ..Message::default() };
        scaleout::body(&message, scaleout::ticks_now())
    }

    /// Returns the own clock, as payloads have that of their sender.
    pub(crate) fn ticks_now() -> i64 {
        scaleout::ticks_now()
    }

    /// Puts an id before a body, as the send script does.
    pub(crate) fn payload(id: u64, body: &[u8]) -> Bytes {
        scaleout::payload(id, body)
    }

    /// Returns the part of a payload that follows its id.
    pub(crate) fn behind_id(body: &[u8]) -> Vec<u8> {
        [b" ", body].concat()
    }

    /// Decodes a payload.
    pub(crate) fn read(&self, payload: &[u8]) -> Result<Arrived, Malformed> {
        let payload = scaleout::read(payload, |message| self.item(&message))?;
        Ok(Arrived { id: payload.id, items: payload.messages, ticks: payload.ticks })
    }

    /// Returns the id of a payload, even if its body is malformed.
    pub(crate) fn id(payload: &[u8]) -> Option<u64> {
        scaleout::split(payload).map(|(id, _)| id)
    }

    fn item(&self, message: &Message<'_>) -> Result<Item, Malformed> {
        if message.is_ack {
            return Ok(Item::Ack { command_id: message.command_id.to_owned() });
        }
        let source = || message.source.to_owned();
        let text = || std::str::from_utf8(message.value).unwrap_or_default();
        if message.key == PROBE_KEY {
            let number = text().parse().ok();
            return Ok(
                number.map_or(Item::Foreign, |number| Item::Probe { source: source(), number })
            );
        }
        if message.key == ATTACHED_KEY {
            return Ok(attached(text())
                .map_or(Item::Foreign, |attached| Item::Attached { source: source(), attached }));
        }
        if message.key == REACHED_KEY {
            let id = text().parse().ok();
            return Ok(id.map_or(Item::Foreign, |id| Item::Reached { source: source(), id }));
        }
        match message.key.strip_prefix("c-") {
            Some(connection_id) if !message.command_id.is_empty() => {
                command(connection_id, message)
            }
            None if self.is_ours(message.key) => invocation(message).map(Item::Invocation),
            _ => Ok(Item::Foreign),
        }
    }

    /// Returns whether a key addresses connections of a hub of the backplane.
    fn is_ours(&self, key: &str) -> bool {
        let Some((kind, name)) = key.split_once('-') else { return false };
        self.hubs.read().iter().any(|hub| match (kind, name.strip_prefix(&**hub)) {
            ("h", Some(rest)) => rest.is_empty(),
            ("hg" | "hu" | "hc", Some(rest)) => rest.starts_with('.'),
            _ => false,
        })
    }
}

fn command_signal(connection_id: &str) -> String {
    format!("c-{connection_id}")
}

fn command(connection_id: &str, message: &Message<'_>) -> Result<Item, Malformed> {
    let Some(change) = value::change(message.value)? else { return Ok(Item::Foreign) };
    Ok(Item::Command {
        source: message.source.to_owned(),
        connection_id: connection_id.to_owned(),
        change,
        ack: message.wait_for_ack.then(|| message.command_id.to_owned()),
    })
}

fn attached(text: &str) -> Option<Attached> {
    let (number, rest) = text.split_once(' ')?;
    let (age, id) = rest.split_once(' ')?;
    let (number, age) = (number.parse().ok()?, Duration::from_millis(age.parse().ok()?));
    Some(Attached { connection_id: id.to_owned(), number, age })
}

fn invocation(message: &Message<'_>) -> Result<Envelope, Malformed> {
    let except = message.filter.split('|').filter(|entry| !entry.is_empty());
    Ok(Envelope {
        signal: message.key.to_owned(),
        except: except.collect(),
        source: message.source.as_bytes().try_into().ok(),
        invocation: Arc::new(value::invocation(message.value)?),
        bytes: message.key.len() + message.value.len() + message.filter.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOURCE: &str = "00000000-0000-0000-0000-000000000007";

    fn dialect() -> Signalr2 {
        Signalr2::new("ChatHub")
    }

    fn read(body: &Bytes) -> Item {
        let arrived = dialect().read(&Signalr2::payload(5, body)).unwrap();
        assert_eq!(arrived.id, 5);
        arrived.items.into_iter().next().unwrap().unwrap()
    }

    #[test]
    fn a_target_is_one_message_for_each_of_its_names() {
        let invocation = Invocation::new("say", ["hi"]).unwrap();
        for (target, signals, except) in [
            (Target::all(), &["h-ChatHub"][..], &[][..]),
            (Target::all().except(["1", "2"]), &["h-ChatHub"], &["c-1", "c-2"]),
            (Target::group("room").except(["1"]), &["hg-ChatHub.room"], &["c-1"]),
            (Target::groups(["a", "b.c"]), &["hg-ChatHub.a", "hg-ChatHub.b.c"], &[]),
            (Target::user("ann"), &["hu-ChatHub.ann"], &[]),
            (Target::users(["ann", "bob"]), &["hu-ChatHub.ann", "hu-ChatHub.bob"], &[]),
            (Target::connection("1"), &["hc-ChatHub.1"], &[]),
            (Target::connections(["1", "2"]), &["hc-ChatHub.1", "hc-ChatHub.2"], &[]),
            (Target::users([""; 0]), &[], &[]),
        ] {
            let bodies = dialect().invocation(|| SOURCE.into(), &target, &invocation);
            let read: Vec<_> = bodies.iter().map(read).collect();
            assert_eq!(read.len(), signals.len(), "{target:?}");
            for (item, signal) in read.iter().zip(signals) {
                let Item::Invocation(envelope) = item else { panic!("{item:?}") };
                assert_eq!(envelope.signal, *signal);
                let excepted: BTreeSet<_> = except.iter().copied().collect();
                assert_eq!(envelope.except.signals().collect::<BTreeSet<_>>(), excepted);
                assert_eq!(
                    envelope.source.as_ref().map(<[u8; 36]>::as_slice),
                    Some(SOURCE.as_bytes())
                );
                assert_eq!(envelope.invocation.arguments().get(), r#"["hi"]"#);
            }
        }
    }

    #[test]
    fn a_command_and_its_acknowledgement_find_each_other() {
        let change = Change::Join { signal: dialect().group_signal("room") };
        let Item::Command { source, connection_id, change: read_change, ack } =
            read(&dialect().command("us", "1", "command", &change))
        else {
            panic!("no command")
        };
        assert_eq!((connection_id.as_str(), &read_change), ("1", &change));
        assert_eq!(source, "us");
        assert_eq!(ack.as_deref(), Some("command"));
        let Item::Ack { command_id } = read(&dialect().ack("1", "command")) else {
            panic!("no acknowledgement")
        };
        assert_eq!(command_id, "command");
    }

    #[test]
    fn a_probe_contains_its_sender() {
        let Item::Probe { source, number } = read(&dialect().probe("us", 7)) else {
            panic!("no probe")
        };
        assert_eq!((source.as_str(), number), ("us", 7));
    }

    #[test]
    fn an_announcement_contains_the_last_known_id() {
        let Item::Reached { source, id } = read(&dialect().reached("us", 7)) else {
            panic!("no announcement")
        };
        assert_eq!((source.as_str(), id), ("us", 7));
    }

    #[test]
    fn an_announcement_contains_its_server() {
        let age = Duration::from_millis(1500);
        let expected = Attached { connection_id: "an id".into(), number: 7, age };
        let Item::Attached { source, attached } = read(&dialect().attached("us", &expected)) else {
            panic!("no announcement")
        };
        assert_eq!((source.as_str(), attached), ("us", expected));
    }

    #[test]
    fn messages_for_other_hubs_are_not_malformed() {
        for key in [
            "h-OtherHub",
            "h-ChatHubs",
            "hg-Chat.room",
            "pc-Type",
            "pcg-Type.group",
            "c-1",
            "odd",
            "",
        ] {
            let message = Message { key, value: b"no JSON", ..Message::default() };
            let item = read(&scaleout::body(&message, 0));
            assert!(matches!(item, Item::Foreign), "{key}: {item:?}");
        }
    }

    #[test]
    fn messages_for_all_hubs_of_the_backplane_are_read() {
        let (chat, invocation) = (dialect(), Invocation::new("say", ["hi"]).unwrap());
        let stock = Signalr2::new("StockHub");
        let bodies = stock.invocation(|| SOURCE.into(), &Target::group("room"), &invocation);
        let read = || chat.read(&Signalr2::payload(5, &bodies[0])).unwrap().items.pop();
        assert!(matches!(read(), Some(Ok(Item::Foreign))));
        for _ in 0..2 {
            assert_eq!(chat.of_hub("StockHub").group_signal("room"), "hg-StockHub.room");
            assert!(matches!(read(), Some(Ok(Item::Invocation(_)))));
        }
        assert_eq!(chat.hubs.read().len(), 2);
    }

    #[test]
    fn a_connection_has_signals_for_hub_id_and_user() {
        assert_eq!(dialect().signals("1", None), ["h-ChatHub", "hc-ChatHub.1", "c-1"]);
        let signals = dialect().signals("1", Some("ann"));
        assert_eq!(signals.last().map(String::as_str), Some("hu-ChatHub.ann"));
        assert_eq!(dialect().signals("1", Some("")).len(), 3);
    }
}
