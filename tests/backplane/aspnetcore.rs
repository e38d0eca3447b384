//! ASP.NET Core's dialect: two of our servers, and one of ASP.NET Core that a bare client simulates.
//!
//! The simulated server sends the bytes of the specification, with the commands of recorded ones.
//! These tests decode our messages without our code.

use std::time::Duration;

use backplane::{Backplane, Builder, Connection, Dialect, Event, Invocation, Target};
use futures_util::future::join_all;
use harness::{Client, SLOW_DEADLINE, Server, array, eventually_within, within};

use super::server;
use crate::farm::{is_ready, join_with};

const PREFIX: &str = "ChatApp";
const HUB: &str = "ChatApp.TestHub";
/// The simulated server.
const PEER: &str = "vm_a2301872631d42c99a7d4417e86f50bc";

#[tokio::test]
async fn messages_reach_every_target_on_two_servers() {
    let server = server(&[]).await;
    let (here, there) = (join(&server).await, join(&server).await);
    let mut ann = attach(&here, "ann's", Some("ann")).await;
    let mut bob = attach(&there, "bob's", Some("bob")).await;
    let mut phone = attach(&there, "bob's phone", Some("bob")).await;

    send(&here, Target::all(), "all").await;
    send(&there, Target::all().except(["bob's"]), "others").await;
    send(&here, Target::users(["bob", "nobody", ""]), "bob").await;
    send(&here, Target::connection("bob's phone"), "phone").await;
    // A connection of another server joins, and leaves again.
    here.join("bob's", "room").await.expect("the other server acknowledges");
    there.join("ann's", "room").await.expect("the other server acknowledges");
    send(&there, Target::group("room"), "room").await;
    send(&there, Target::group("room").except(["ann's"]), "bob's room").await;
    here.leave("bob's", "room").await.expect("the other server acknowledges");
    send(&here, Target::groups(["room", "Room *?[é]"]), "ann's room").await;
    send(&here, Target::all(), "end").await;

    assert_eq!(until_end(&mut ann).await, ["all", "others", "room", "ann's room"]);
    assert_eq!(until_end(&mut bob).await, ["all", "bob", "room", "bob's room"]);
    assert_eq!(until_end(&mut phone).await, ["all", "others", "bob", "phone"]);
    let unknown = within(SLOW_DEADLINE, here.abort("bob's")).await.expect_err("not on this server");
    assert!(unknown.to_string().contains("is not on this server"), "{unknown}");
}

#[tokio::test]
async fn a_place_follows_the_messages_before_it_on_the_senders_server() {
    let server = server(&[]).await;
    let here = join(&server).await;
    let mut ann = attach(&here, "ann's", None).await;
    for number in 0..20 {
        let text = Invocation::new("say", [number]).expect("an array");
        let sent = within(SLOW_DEADLINE, here.send_placed(Target::all(), text)).await;
        ann.mark_after(sent.expect("it is sent"));
        let first = within(SLOW_DEADLINE, ann.recv_or_gap()).await.expect("attached");
        assert!(matches!(first, backplane::Received::Invocation(_)), "{first:?}");
        let second = within(SLOW_DEADLINE, ann.recv_or_gap()).await.expect("attached");
        assert!(matches!(second, backplane::Received::Mark(_)), "{second:?}");
    }
}

#[tokio::test]
async fn a_server_of_aspnetcore_reads_our_messages_and_we_read_its() {
    let server = server(&[]).await;
    let ours = join(&server).await;
    let mut ann = attach(&ours, "ann's", Some("ann")).await;
    let mut peer = Peer::start(&server, &["user:bob", "connection:AAAAAAAAAAAAAAAAAAAAAA"]).await;

    // To all, with both encodings: a server without one of them ends its connections.
    let frames = b"\x82\xa4json\xc4\x36{\"type\":1,\"target\":\"send\",\"arguments\":[\"alice\",\"hi\"]}\x1e\
        \xabmessagepack\xc4\x15\x14\x96\x01\x80\xc0\xa4send\x92\xa5alice\xa2hi\x90";
    let hi = || Invocation::new("send", ["alice", "hi"]).expect("an array");
    let sent = ours.send(Target::all().except(["x"]), hi()).await;
    sent.expect("it is sent");
    peer.expect("all", &[b"\x92\x91\xa1x", &frames[..]].concat()).await;
    ours.send(Target::user("bob"), hi()).await.expect("it is sent");
    peer.expect("user:bob", &[b"\x92\x90", &frames[..]].concat()).await;

    // Its message to all but another connection, with JSON alone.
    let json = &frames[..62];
    let payload = [b"\x92\x91\xa1x\x81", &json[1..]].concat();
    assert_eq!(peer.publish("all", &payload).await, 2);
    assert_eq!(peer.publish("user:ann", &[b"\x92\x90", &frames[..]].concat()).await, 1);
    assert_eq!(peer.publish("all", b"hello").await, 2);
    for _ in 0..3 {
        let received = within(SLOW_DEADLINE, ann.recv()).await.expect("attached");
        assert_eq!((received.method(), received.arguments().get()), ("send", r#"["alice","hi"]"#));
    }
    peer.skip(2).await;

    // It adds our connection to a group, which we acknowledge when messages arrive.
    let add = [b"\x95\x07\xd9\x23", PEER.as_bytes(), b"\x01\xa4room\xa5ann's"].concat();
    assert_eq!(peer.publish("internal:groups", &add).await, 2);
    peer.expect("internal:groups", &add).await;
    peer.expect(&format!("internal:ack:{PEER}"), b"\x91\x07").await;
    assert_eq!(peer.publish("group:room", &[b"\x92\x90", &frames[..]].concat()).await, 1);
    within(SLOW_DEADLINE, ann.recv()).await.expect("attached");

    // We add its connection, and it acknowledges.
    let (joined, ()) = tokio::join!(
        ours.join("AAAAAAAAAAAAAAAAAAAAAA", "far"),
        peer.acknowledge("\u{1}", "far", "AAAAAAAAAAAAAAAAAAAAAA")
    );
    joined.expect("the peer acknowledges");

    // It asks our client for a result, and gets an error.
    let reply_to = format!("ChatApp.TestHub:internal:return:{PEER}");
    let length = u8::try_from(reply_to.len()).expect("a short name");
    let ask = [b"\x94\x90\x81", &json[1..], b"\xa1i\xd9", &[length], reply_to.as_bytes()].concat();
    assert_eq!(peer.publish("connection:ann's", &ask).await, 1);
    let (channel, completion) = peer.next().await;
    assert_eq!(channel, format!("internal:return:{PEER}"));
    let text = String::from_utf8_lossy(&completion).into_owned();
    assert!(text.contains(r#"{"type":3,"invocationId":"i","error":"#), "{text}");
}

#[tokio::test]
async fn after_a_lost_subscription_all_channels_are_back_and_it_is_reported() {
    let server = server(&[]).await;
    let ours = join(&server).await;
    let mut connections = Vec::new();
    for number in 0..1_500 {
        connections.push(ours.attach(&format!("c{number}"), Some("ann")));
    }
    for connection in &connections {
        connection.listening().await;
    }
    let mut events = ours.events();
    let mut operator = server.client().await;
    operator.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    let event = within(SLOW_DEADLINE, events.recv()).await;
    assert_eq!(event, Some(Event::Interrupted));
    for (number, connection) in connections.iter_mut().enumerate().step_by(100) {
        send(&ours, Target::connection(format!("c{number}")), "back").await;
        let received = within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        assert_eq!(received.arguments().get(), r#"["back"]"#);
    }
}

#[tokio::test]
async fn no_subscription_stays_behind() {
    let server = server(&[]).await;
    let ours = join(&server).await;
    let ann = attach(&ours, "ann's", Some("ann")).await;
    ours.join("ann's", "room").await.expect("it is here");
    let mut operator = server.client().await;
    let names = ["all", "connection:ann's", "user:ann", "group:room"]
        .map(|name| format!("{PREFIX}{HUB}:{name}"));
    let mut command = vec!["PUBSUB", "NUMSUB"];
    command.extend(names.iter().map(String::as_str));
    let all = array![&*names[0], 1, &*names[1], 1, &*names[2], 1, &*names[3], 1];
    assert_eq!(operator.command(&command).await, all);
    drop(ann);
    let none = array![&*names[0], 0, &*names[1], 0, &*names[2], 0, &*names[3], 0];
    eventually_within(SLOW_DEADLINE, async || operator.command(&command).await == none).await;
    drop(ours);
    let channels: [&str; 0] = [];
    eventually_within(SLOW_DEADLINE, async || {
        operator.command(&["PUBSUB", "CHANNELS"]).await.items() == channels.map(Into::into)
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_sends_the_queued_messages_first() {
    const COUNT: usize = 500;
    let server = server(&[]).await;
    let (here, there) = (join(&server).await, join(&server).await);
    let mut bob = attach(&there, "bob's", None).await;
    let sending = here.clone();
    let say = |number| Invocation::new("say", [number]).expect("an array");
    let sends = join_all((0..COUNT).map(|number| sending.send(Target::all(), say(number))));
    let mut sends = std::pin::pin!(sends);
    // The first poll queues the messages.
    assert!(tokio::time::timeout(Duration::ZERO, &mut sends).await.is_err());
    let (sent, ()) = within(SLOW_DEADLINE, async { tokio::join!(sends, here.shutdown()) }).await;
    let failed: Vec<_> = sent.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let late = sending.send(Target::all(), say(COUNT)).await.expect_err("it has ended");
    assert!(late.to_string().contains("shut down"), "{late}");
    send(&there, Target::all(), "end").await;
    let numbers: Vec<_> = (0..COUNT).map(|number| format!("[{number}]")).collect();
    assert_eq!(until_end(&mut bob).await, numbers);
}

/// A server of ASP.NET Core, as it appears on the broker.
struct Peer {
    interactive: Client,
    subscriber: Client,
}

impl Peer {
    /// Subscribes as a server does: one command for each channel.
    async fn start(server: &Server, names: &[&str]) -> Self {
        let (interactive, mut subscriber) = (server.client().await, server.client().await);
        let (ack, reply) = (format!("internal:ack:{PEER}"), format!("internal:return:{PEER}"));
        for name in ["all", "internal:groups", &*ack, &*reply].iter().chain(names) {
            subscriber.subscribe(&[&format!("{PREFIX}{HUB}:{name}")]).await;
        }
        Self { interactive, subscriber }
    }

    async fn publish(&mut self, name: &str, payload: &[u8]) -> i64 {
        self.interactive.publish(&format!("{PREFIX}{HUB}:{name}"), payload).await
    }

    /// Returns the next message.
    async fn next(&mut self) -> (String, Vec<u8>) {
        let reply = within(SLOW_DEADLINE, self.subscriber.read_reply()).await;
        let items = reply.items();
        let name = items[1].text().strip_prefix(&format!("{PREFIX}{HUB}:")).map(str::to_owned);
        let harness::Value::Bulk(payload) = &items[2] else { panic!("{reply:?}") };
        (name.expect("our prefix"), payload.to_vec())
    }

    async fn expect(&mut self, name: &str, payload: &[u8]) {
        let (found, bytes) = self.next().await;
        assert_eq!(found, name);
        assert_eq!(bytes, payload, "{}", String::from_utf8_lossy(&bytes));
    }

    /// Skips messages of its own.
    async fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next().await;
        }
    }

    /// Acknowledges the next command.
    async fn acknowledge(&mut self, action: &str, group: &str, connection_id: &str) {
        let (name, command) = self.next().await;
        assert_eq!(name, "internal:groups");
        // Five items: a number below 128, the sender, the action, the group, the connection.
        assert_eq!(command[0], 0x95);
        let (id, length) = (command[1], usize::from(command[3]));
        let sender = String::from_utf8(command[4..4 + length].to_vec()).expect("a name");
        let rest = String::from_utf8_lossy(&command[4 + length..]).into_owned();
        assert!(rest.starts_with(action), "{rest:?}");
        assert!(rest.contains(group) && rest.ends_with(connection_id), "{rest:?}");
        self.publish(&format!("internal:ack:{sender}"), &[0x91, id]).await;
    }
}

async fn join(server: &Server) -> Backplane {
    let backplane = join_with(&server.url(), builder()).await;
    is_ready(&backplane).await;
    backplane
}

fn builder() -> Builder {
    let dialect = Dialect::AspNetCore { channel_prefix: PREFIX.to_owned() };
    Backplane::builder("ChatApp")
        .dialect(dialect)
        .hub(HUB)
        .probe_interval(Duration::from_millis(500))
        .queue_age_max(SLOW_DEADLINE)
        .ack_timeout(SLOW_DEADLINE)
}

async fn attach(backplane: &Backplane, id: &str, user: Option<&str>) -> Connection {
    let connection = backplane.attach(id, user);
    connection.listening().await;
    connection
}

async fn send(backplane: &Backplane, target: Target, text: &str) {
    let invocation = Invocation::new("say", [text]).expect("an array");
    let sent = within(SLOW_DEADLINE, backplane.send(target, invocation)).await;
    sent.unwrap_or_else(|error| panic!("{text} was not sent: {error}"));
}

/// Returns the texts before `end`.
async fn until_end(connection: &mut Connection) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let received = within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        let arguments = received.arguments().get();
        match arguments.trim_start_matches("[\"").trim_end_matches("\"]") {
            "end" => return texts,
            text => texts.push(text.to_owned()),
        }
    }
}
