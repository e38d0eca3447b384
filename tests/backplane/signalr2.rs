//! The bytes on the channel: a server of SignalR 2, simulated by a bare client, and ours in one
//! app.
//!
//! The simulated server sends the worked examples of the specification. These tests decode our
//! messages without our code.

use backplane::{Disconnect, Event, Gap, Received, Target};
use harness::{Client, SLOW_DEADLINE, Server, eventually_within, within};

use super::server;
use crate::farm::{builder, is_ready, join, join_with, receive, send};

const APP: &str = "ChatApp";
const SOURCE: &str = "11111111-1111-1111-1111-111111111111";
const CONNECTION: &str = "22222222-2222-2222-2222-222222222222";
const COMMAND: &str = "33333333-3333-3333-3333-333333333333";
/// 2024-01-02T03:04:05Z in .NET's ticks.
const TICKS: &[u8] = b"\x80\xC0\xBF\x7A\x3F\x0B\xDC\x08";

/// The script of SignalR 2.2.0 to 2.4.3.
const SEND: &str = "local newId = redis.call('INCR', KEYS[1])\r
                  local payload = newId .. ' ' .. ARGV[1]\r
                  redis.call('PUBLISH', KEYS[1], payload)\r
                  return {newId, ARGV[1], payload}";

#[tokio::test]
async fn ours_receives_and_acknowledges_messages_of_signalr() {
    let server = server(&[]).await;
    let ours = join(&server.url(), APP).await;
    is_ready(&ours).await;
    let mut connection = ours.attach(CONNECTION, None);
    let mut theirs = server.client().await;
    let mut subscriber = server.client().await;
    subscriber.subscribe(&[APP]).await;

    let mut invocation_body = b"\x67\0\0\0\x01\0\0\0\x24".to_vec();
    invocation_body.extend(SOURCE.as_bytes());
    invocation_body
        .extend(b"\x09h-ChatHub\x24\0\0\0{\"H\":\"ChatHub\",\"M\":\"say\",\"A\":[\"hi\"]}\0\0\0\0");
    invocation_body.extend(TICKS);
    assert_eq!(invocation_body.len(), 107);
    eval(&mut theirs, &invocation_body).await;
    let invocation = within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
    assert_eq!((invocation.method(), invocation.arguments().get()), ("say", r#"["hi"]"#));

    let mut join_room = b"\xED\0\0\0\x01\0\0\0\x24".to_vec();
    join_room.extend(SOURCE.as_bytes());
    join_room.extend(format!("\x26c-{CONNECTION}\x69\0\0\0").as_bytes());
    let json = format!(
        r#"{{"WaitForAck":true,"Id":"{COMMAND}","CommandType":1,"Value":"hg-ChatHub.room"}}"#
    );
    join_room.extend(format!("{json}\x24{COMMAND}\x01\0\0").as_bytes());
    join_room.extend(TICKS);
    assert_eq!(join_room.len(), 241);
    eval(&mut theirs, &join_room).await;

    let mut ack = b"\x71\0\0\0\x01\0\0\0\x24".to_vec();
    ack.extend(CONNECTION.as_bytes());
    ack.extend(b"\x13__SIGNALR__SERVER__\0\0\0\0\x24");
    ack.extend(COMMAND.as_bytes());
    ack.extend(b"\0\x01\0");
    assert_eq!(ack.len() + TICKS.len(), 117);
    let mut received = Vec::new();
    let acknowledged = async {
        loop {
            let (_, body) = payload(&mut subscriber).await;
            let is_ack = body.len() == 117 && body[..109] == ack[..];
            received.push(body);
            if is_ack {
                return;
            }
        }
    };
    within(SLOW_DEADLINE, acknowledged).await;

    send(&ours, Target::group("room"), 7).await;
    assert_eq!(receive(&mut connection, 1).await, [7]);
}

#[tokio::test]
async fn commands_of_signalr_are_carried_out_and_acknowledged() {
    let server = server(&[]).await;
    let ours = join(&server.url(), APP).await;
    let mut connection = ours.attach(CONNECTION, None);
    let mut theirs = Signalr::on(&server).await;

    // A custom serializer may write the name of a command in place of its number.
    for (add, remove) in [("1", "2"), (r#""AddToGroup""#, r#""RemoveFromGroup""#)] {
        theirs.command(add, Some("hg-ChatHub.room")).await;
        send(&ours, Target::group("room"), 1).await;
        theirs.command(remove, Some("hg-ChatHub.room")).await;
        send(&ours, Target::group("room"), 2).await;
    }
    // The command of a new client is acknowledged without an effect.
    theirs.command("0", None).await;
    send(&ours, Target::all(), 3).await;
    assert_eq!(receive(&mut connection, 3).await, [1, 1, 3]);
    theirs.command(r#""Abort""#, None).await;
    let end = within(SLOW_DEADLINE, connection.recv()).await.expect_err("it ended");
    assert_eq!(end, Disconnect::Aborted);
}

#[tokio::test]
async fn a_malformed_message_does_not_affect_others_in_its_payload() {
    let server = server(&[]).await;
    let ours = join(&server.url(), APP).await;
    is_ready(&ours).await;
    let mut ann = ours.attach("ann", None);
    let mut theirs = Signalr::on(&server).await;
    let value = |number: u64| format!(r#"{{"H":"ChatHub","M":"number","A":[{number}]}}"#);
    // A reply to a progress report is not an invocation.
    let odd = r#"{"I":"P|5","R":1}"#;
    for (first, middle) in [(1, value(2)), (4, odd.into())] {
        let (one, three) = (value(first), value(first + 2));
        let (here, ann) = ("h-ChatHub", "hc-ChatHub.ann");
        theirs.send(&[Sent::to(here, &one), Sent::to(here, &middle), Sent::to(ann, &three)]).await;
    }
    send(&ours, Target::all(), 7).await;
    assert_eq!(receive(&mut ann, 6).await, [1, 2, 3, 4, 6, 7]);
    assert_eq!(ours.health().lost, 0, "an id was not counted");
}

#[tokio::test]
async fn signalr_can_decode_messages_of_ours() {
    let server = server(&[]).await;
    let mut subscriber = server.client().await;
    subscriber.subscribe(&[APP]).await;
    let quiet = builder(APP).probe_interval(10 * SLOW_DEADLINE);
    let ours = join_with(&server.url(), quiet).await;
    is_ready(&ours).await;
    let (id, probe) = payload(&mut subscriber).await;
    assert_eq!(id, 1);
    // SignalR stores, counts and drops messages with keys that it does not use.
    assert!(probe[45..].starts_with(b"\x14__BACKPLANE__PROBE__\x01\0\0\0"), "{probe:?}");

    let target = Target::group("room").except([CONNECTION]);
    send(&ours, target, 7).await;
    let (id, body) = payload(&mut subscriber).await;
    assert_eq!(id, 2);
    let mut expected = b"\x12hg-ChatHub.room".to_vec();
    expected[0] = 15;
    let value = br#"{"H":"ChatHub","M":"number","A":[7]}"#;
    expected.extend([value.len() as u8, 0, 0, 0]);
    expected.extend(value);
    expected.extend(b"\0\0\0\x26");
    expected.extend(format!("c-{CONNECTION}").as_bytes());
    assert_eq!(body[45..body.len() - 8], expected[..]);
    let length = u32::from_le_bytes(body[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, body.len() - 4);
}

#[tokio::test]
async fn the_counter_is_the_key_of_the_app_and_the_script_survives_a_flush() {
    let server = server(&[]).await;
    let ours = join(&server.url(), APP).await;
    let mut ann = ours.attach("ann", None);
    let mut client = server.client().await;
    for number in 0..20 {
        client.command(&["SCRIPT", "FLUSH"]).await;
        send(&ours, Target::all(), number).await;
    }
    assert_eq!(receive(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    let counter: u64 = client.command(&["GET", APP]).await.text().parse().expect("a number");
    assert!(counter >= 20);
    let health = ours.health();
    assert_eq!(health.lost, 0, "{health:?}");
}

#[tokio::test]
async fn foreign_payloads_are_skipped() {
    let server = server(&[]).await;
    let ours = join(&server.url(), APP).await;
    is_ready(&ours).await;
    let mut ann = ours.attach("ann", None);
    let mut client = server.client().await;
    for payload in ["hello", "", "99999 ", "99999 \u{1}\0\0\0x"] {
        client.publish(APP, payload).await;
    }
    let mut foreign = b"\x1a\0\0\0\x01\0\0\0\0\x0ah-OtherHub\0\0\0\0\0\0\0\0".to_vec();
    let length = (foreign.len() + 8 - 4) as u8;
    foreign[0] = length;
    foreign.extend(TICKS);
    eval(&mut client, &foreign).await;
    send(&ours, Target::all(), 1).await;
    assert_eq!(receive(&mut ann, 1).await, [1]);
    eventually_within(SLOW_DEADLINE, async || ours.health().is_ready).await;
    assert_eq!(ours.health().lost, 0);
}

#[tokio::test]
async fn a_counter_reset_is_reported_and_messages_still_arrive() {
    let server = server(&[]).await;
    // A probe in between would change the ids.
    let quiet = builder(APP).probe_interval(10 * SLOW_DEADLINE);
    let ours = join_with(&server.url(), quiet).await;
    is_ready(&ours).await;
    let mut ann = ours.attach("ann", None);
    let mut events = ours.events();
    for number in 0..5 {
        send(&ours, Target::all(), number).await;
    }
    assert_eq!(receive(&mut ann, 5).await, [0, 1, 2, 3, 4]);
    let cursor = ann.cursor();
    let mut client = server.client().await;
    client.command(&["DEL", APP]).await;
    send(&ours, Target::all(), 5).await;
    assert_eq!(receive(&mut ann, 1).await, [5]);
    let event = within(SLOW_DEADLINE, events.recv()).await.expect("an event");
    assert!(matches!(event, Event::Restarted { id: 1, .. }), "{event}");
    // A connection with this cursor may have received any of the messages since, so it gets a gap.
    let mut back = ours.attach_at("back", None, &[], cursor);
    let gap = within(SLOW_DEADLINE, back.recv_or_gap()).await.expect("attached");
    assert!(matches!(gap, Received::Gap(Gap { from: 1, .. })), "{gap:?}");
    send(&ours, Target::all(), 6).await;
    assert_eq!(receive(&mut back, 1).await, [6]);
}

/// A simulated server of SignalR 2.
struct Signalr {
    publisher: Client,
    subscriber: Client,
    last_command: u32,
}

/// One message of a payload.
struct Sent<'a> {
    key: &'a str,
    value: &'a str,
    /// The id of a command, which requests an acknowledgement.
    command: Option<&'a str>,
}

impl<'a> Sent<'a> {
    fn to(key: &'a str, value: &'a str) -> Self {
        Self { key, value, command: None }
    }
}

impl Signalr {
    async fn on(server: &Server) -> Self {
        let mut subscriber = server.client().await;
        subscriber.subscribe(&[APP]).await;
        Self { publisher: server.client().await, subscriber, last_command: 0 }
    }

    async fn send(&mut self, messages: &[Sent<'_>]) {
        let mut bytes = (messages.len() as i32).to_le_bytes().to_vec();
        for Sent { key, value, command } in messages {
            string(&mut bytes, SOURCE);
            string(&mut bytes, key);
            bytes.extend((value.len() as i32).to_le_bytes());
            bytes.extend(value.as_bytes());
            string(&mut bytes, command.unwrap_or_default());
            bytes.extend([u8::from(command.is_some()), 0, 0]);
        }
        bytes.extend(TICKS);
        let mut body = (bytes.len() as i32).to_le_bytes().to_vec();
        body.extend(bytes);
        eval(&mut self.publisher, &body).await;
    }

    /// Sends a command for the connection, and waits for its acknowledgement.
    async fn command(&mut self, kind: &str, value: Option<&str>) {
        self.last_command += 1;
        let id = format!("33333333-3333-3333-3333-{:012}", self.last_command);
        let argument = value.map_or("null".to_owned(), |value| format!("\"{value}\""));
        let value =
            format!(r#"{{"WaitForAck":true,"Id":"{id}","CommandType":{kind},"Value":{argument}}}"#);
        let key = format!("c-{CONNECTION}");
        self.send(&[Sent { key: &key, value: &value, command: Some(&id) }]).await;
        let mut ack = Vec::new();
        string(&mut ack, CONNECTION);
        string(&mut ack, "__SIGNALR__SERVER__");
        ack.extend([0; 4]);
        string(&mut ack, &id);
        ack.extend([0, 1, 0]);
        // Skip the two length fields.
        let acknowledged =
            async { while !payload(&mut self.subscriber).await.1[8..].starts_with(&ack) {} };
        within(SLOW_DEADLINE, acknowledged).await;
    }
}

/// Encodes a string of less than 128 bytes, as .NET does.
fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("a short text"));
    bytes.extend(text.as_bytes());
}

async fn eval(client: &mut Client, body: &[u8]) {
    let words: [&[u8]; 5] = [b"EVAL", SEND.as_bytes(), b"1", APP.as_bytes(), body];
    let reply = client.command(&words).await;
    assert_eq!(reply.items().len(), 3, "{reply:?}");
}

/// Returns the id and the body of the next message.
async fn payload(subscriber: &mut Client) -> (u64, Vec<u8>) {
    let message = subscriber.read_reply().await;
    let harness::Value::Bulk(payload) = &message.items()[2] else { panic!("{message:?}") };
    let space = payload.iter().position(|byte| *byte == b' ').expect("a space");
    let id = std::str::from_utf8(&payload[..space]).expect("digits").parse().expect("a number");
    (id, payload[space + 1..].to_vec())
}
