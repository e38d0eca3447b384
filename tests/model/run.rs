//! A history led with a server, and its leftovers at the end.

use std::fmt::Write;
use std::time::Duration;

use futures_util::future::join_all;
use harness::{Client, Protocol, Value, request};
use tokio::time::timeout;

use crate::history::{Act, Action, CLIENTS, KEYS, Kind};
use crate::state::{Received, State, Variant};

/// A server that has not sent all by then has lost something.
const PATIENCE: Duration = Duration::from_secs(5);
/// Publishes to two channels of its arguments, and returns the number of deliveries.
const SCRIPT: &str =
    "return redis.call('PUBLISH', ARGV[1], ARGV[3]) + redis.call('PUBLISH', ARGV[2], ARGV[3])";

/// A client of the history.
struct Member {
    client: Client,
    id: i64,
    /// Replies and messages that it has to receive.
    expected: Received,
    is_stalled: bool,
}

/// Leads a history with the server at this port.
///
/// # Errors
///
/// The first difference from the model.
pub(crate) async fn lead(
    port: u16,
    case: u32,
    history: &[Action],
    variant: Variant,
) -> Result<(), String> {
    // Other cases may have left subscriptions, which must not count.
    let names = Names(format!("{case}:"));
    let mut state = State::new(variant);
    let mut operator = Client::connect(port).await;
    let mut members = Vec::new();
    for _ in 0..CLIENTS {
        members.push(Member::connect(port).await);
    }
    for (index, Action { client, act }) in history.iter().enumerate() {
        let at = |difference| format!("step {index}, {act:?} of client {client}: {difference}");
        if *act == Act::Stall {
            members[*client].is_stalled = true;
            continue;
        }
        if state.is_undefined(*client, act) {
            continue;
        }
        members[*client].is_stalled = false;
        members[*client].receive(&names).await.map_err(at)?;
        let sent = names.request(act, state.number());
        let received = state.act(*client, act);
        if *act == Act::Kill {
            let id = members[*client].id.to_string();
            let killed = operator.command(&["CLIENT", "KILL", "ID", &id]).await;
            if killed != 1 {
                return Err(at(format!("the operator got {killed:?}")));
            }
            members[*client] = Member::connect(port).await;
        } else {
            members[*client].client.send_raw(&sent).await;
        }
        for (member, received) in members.iter_mut().zip(received) {
            member.expected.replies.extend(received.replies);
            member.expected.pushed.extend(received.pushed);
        }
        if matches!(act, Act::Hello(_) | Act::Reset) {
            let is_resp3 = state.is_resp3(*client);
            members[*client].decode_as(is_resp3, &names).await.map_err(at)?;
        }
        let reading = members.iter_mut().filter(|member| !member.is_stalled);
        let outcomes = join_all(reading.map(|member| member.receive(&names))).await;
        outcomes.into_iter().collect::<Result<(), String>>().map_err(at)?;
    }
    for member in &mut members {
        member.receive(&names).await.map_err(|difference| format!("at the end: {difference}"))?;
        member.has_received_all().await?;
    }
    drop(members);
    nothing_is_left(&mut operator, &names).await
}

/// Waits until the server has forgotten the clients of a history.
async fn nothing_is_left(operator: &mut Client, names: &Names) -> Result<(), String> {
    let mut left = String::new();
    let forgotten = async {
        loop {
            left.clear();
            let prefix = &names.0;
            for words in [["PUBSUB", "CHANNELS"], ["PUBSUB", "SHARDCHANNELS"]] {
                let pattern = format!("{prefix}*");
                let found = operator.command(&[words[0], words[1], &pattern]).await;
                if !found.items().is_empty() {
                    write!(left, "{found:?} ").expect("a string takes all");
                }
            }
            if operator.command(&["PUBSUB", "NUMPAT"]).await != 0 {
                left.push_str("patterns ");
            }
            let clients = operator.command(&["CLIENT", "LIST"]).await;
            if clients.text().lines().count() > 1 {
                write!(left, "{clients:?}").expect("a string takes all");
            }
            if left.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let is_over = timeout(PATIENCE, forgotten).await.is_ok();
    is_over.then_some(()).ok_or_else(|| format!("the server has kept {left}"))
}

/// The names of one history, which begin alike.
struct Names(String);

impl Names {
    /// Returns the request of an act. The number is its message or value.
    fn request(&self, act: &Act, number: u64) -> Vec<u8> {
        let number = number.to_string();
        let of = |kind: Kind, index: usize| self.of(kind.name(index));
        let subscribe = |kind: Kind, prefix: &str| match kind {
            Kind::Channel => format!("{prefix}SUBSCRIBE"),
            Kind::Pattern => format!("P{prefix}SUBSCRIBE"),
            Kind::Shard => format!("S{prefix}SUBSCRIBE"),
        };
        let key = |index: &usize| self.of(KEYS[*index]);
        let words: Vec<String> = match act {
            Act::Subscribe(kind, name) => vec![subscribe(*kind, ""), of(*kind, *name)],
            Act::Unsubscribe(kind, name) => vec![subscribe(*kind, "UN"), of(*kind, *name)],
            Act::UnsubscribeAll(kind) => vec![subscribe(*kind, "UN")],
            Act::Publish(Kind::Shard, name) => {
                vec!["SPUBLISH".into(), of(Kind::Shard, *name), number]
            }
            Act::Publish(_, name) => vec!["PUBLISH".into(), of(Kind::Channel, *name), number],
            Act::Hello(version) => vec!["HELLO".into(), version.to_string()],
            Act::Multi => vec!["MULTI".into()],
            Act::Exec => vec!["EXEC".into()],
            Act::Discard => vec!["DISCARD".into()],
            Act::Watch(index) => vec!["WATCH".into(), key(index)],
            Act::Reset => vec!["RESET".into()],
            Act::Script(one, other) => {
                let [one, other] = [one, other].map(|name| of(Kind::Channel, *name));
                vec!["EVAL".into(), SCRIPT.into(), "0".into(), one, other, number]
            }
            Act::Tracking => ["CLIENT", "TRACKING", "ON"].map(String::from).into(),
            Act::Get(index) => vec!["GET".into(), key(index)],
            Act::Set(index) => vec!["SET".into(), key(index), number],
            Act::Delete(index) => vec!["DEL".into(), key(index)],
            Act::Kill | Act::Stall => Vec::new(),
        };
        request(&words)
    }

    fn of(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    /// Writes a value as the model does, without the beginning of names.
    fn text(&self, value: &Value) -> String {
        match value {
            Value::Simple(bytes) | Value::Bulk(bytes) | Value::Verbatim(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                text.strip_prefix(&self.0).unwrap_or(&text).to_owned()
            }
            Value::Error(text) => format!("-{}", text.split(' ').next().unwrap_or_default()),
            Value::Integer(number) => number.to_string(),
            Value::Null => "nil".to_owned(),
            Value::Array(items) | Value::Push(items) | Value::Set(items) => {
                let mut texts: Vec<String> = items.iter().map(|item| self.text(item)).collect();
                if texts.first().is_some_and(|word| word == "pmessage") {
                    // Redis promises no order of patterns.
                    texts.remove(1);
                }
                format!("[{}]", texts.join(" "))
            }
            Value::Map(_) => "map".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

impl Member {
    async fn connect(port: u16) -> Self {
        let mut client = Client::connect(port).await;
        let id = client.command(&["CLIENT", "ID"]).await.integer();
        Self { client, id, expected: Received::default(), is_stalled: false }
    }

    /// Reads the expected replies and messages, and compares them.
    async fn receive(&mut self, names: &Names) -> Result<(), String> {
        let Received { replies, pushed } = std::mem::take(&mut self.expected);
        let (mut replies, mut pushed) = (replies.into_iter(), pushed.into_iter());
        while replies.len() + pushed.len() > 0 {
            let reply = timeout(PATIENCE, self.client.listen()).await;
            let Ok(Some(reply)) = reply else {
                let missing: Vec<String> = replies.chain(pushed).collect();
                return Err(format!("expected {missing:?}, found the end or nothing"));
            };
            let text = names.text(reply.value());
            let stream = if is_pushed(reply.value()) { &mut pushed } else { &mut replies };
            let expected = stream.next();
            // In RESP2, HELLO answers a list.
            let is_map = expected.as_deref() == Some("map") && text.starts_with("[server redis");
            if expected.as_ref() != Some(&text) && !is_map {
                return Err(format!("expected {expected:?}, found {text}"));
            }
        }
        Ok(())
    }

    /// Changes the protocol. Its reply is the first frame in the new one, so messages of the old one are
    /// read before.
    async fn decode_as(&mut self, is_resp3: bool, names: &Names) -> Result<(), String> {
        self.client.decode_as(if is_resp3 { Protocol::Resp3 } else { Protocol::Resp2 });
        self.receive(names).await
    }

    /// Checks that nothing more is on its way.
    async fn has_received_all(&mut self) -> Result<(), String> {
        // It ends a transaction, and is answered in any state.
        self.client.send_raw(b"RESET\r\n").await;
        match timeout(PATIENCE, self.client.listen()).await {
            Ok(Some(reply)) if *reply.value() == harness::simple("RESET") => Ok(()),
            other => Err(format!("expected RESET at the end, found {other:?}")),
        }
    }
}

/// Returns whether a frame is a message, or confirms a subscription.
fn is_pushed(value: &Value) -> bool {
    const KINDS: [&str; 4] = ["subscribe", "message", "unsubscribe", "invalidate"];
    match value {
        Value::Push(_) => true,
        Value::Array(items) => matches!(
            items.first(),
            Some(Value::Bulk(word)) if KINDS.iter().any(|kind| word.ends_with(kind.as_bytes()))
        ),
        _ => false,
    }
}
