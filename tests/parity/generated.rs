//! Random conversations: argument counts, odd arguments and subscriptions. Those of [`keys`] are
//! about keys. [`bytes`] and [`boundaries`] are tables instead: every byte, and every limit.
//!
//! Each random one is a sequence of commands by up to three clients, in RESP2 or RESP3. After each command,
//! every client sends a PING and reads all replies up to the reply to it. The rest is read when the
//! clients leave. So a transcript contains every byte that a server sent.

mod boundaries;
mod bytes;
mod keys;

use harness::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use crate::conversation::{Action, Conversation, Step};
use crate::mask::Mask;
use crate::pair::Pair;
use crate::{Report, lead_all};

#[test]
fn random_conversations_have_the_same_replies() {
    check(Kind::Ours, CASES, &conversation());
}

#[test]
fn random_conversations_have_the_same_replies_from_two_redis_servers() {
    check(Kind::Redis, CASES, &conversation());
}

fn check(ours: Kind, cases: u32, conversations: &impl Strategy<Value = Conversation>) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pair = runtime.block_on(Pair::start((ours, Kind::Redis), &[]));
    let pair = tokio::sync::Mutex::new(pair);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(conversations, |conversation| {
        let lead = async { pair.lock().await.lead(&conversation).await };
        let (ours, redis) = runtime.block_on(lead);
        for (index, step) in conversation.steps.iter().enumerate() {
            let (ours, redis) = (ours.step(index), redis.step(index));
            if ours != redis {
                let text = format!("{}\n  ours:  {ours}\n  redis: {redis}", step.text);
                return Err(TestCaseError::fail(text));
            }
        }
        prop_assert_eq!(ours.rest, redis.rest, "bytes behind the last step");
        Ok(())
    });
    if let Err(TestError::Fail(reason, conversation)) = result {
        let lines: Vec<&str> = conversation.steps.iter().map(|step| step.text.as_str()).collect();
        panic!("resp3: {}\n{}\n{reason}", conversation.resp3, lines.join("\n"));
    }
}

/// Leads conversations with both servers, and fails with all that differ.
async fn compare(ours: Kind, conversations: Vec<Conversation>) {
    let count = conversations.len();
    let results = lead_all((ours, Kind::Redis), conversations).await;
    let stalled = results.iter().filter(|led| led.redis.is_stalled());
    let stalled: Vec<&str> = stalled.map(|led| led.conversation.name.as_str()).collect();
    assert!(stalled.is_empty(), "Redis does not reply in {stalled:#?}");
    let report = Report::of(&results, &[]);
    println!("parity: {} of {count} generated conversations equal", report.equal);
    report.finish(&[]);
}

/// Returns the step that sends these bytes. Its text shows the first of them.
fn raw(client: char, bytes: &[u8]) -> Step {
    let shown = bytes[..bytes.len().min(80)].escape_ascii();
    Step {
        text: format!("{client} raw: \"{shown}\" ({} bytes)", bytes.len()),
        client,
        action: Action::Raw(vec![bytes.to_vec()]),
        count: Some(0),
        masks: Vec::new(),
    }
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let requests = vec((select(CLIENTS), request()), 1..25);
    (any::<bool>(), requests).prop_map(|(resp3, requests)| {
        let steps = requests.into_iter().flat_map(|(client, words)| steps(client, words)).collect();
        Conversation { name: "generated".into(), resp3, steps, ..Conversation::default() }
    })
}

/// After each request every client reads its replies and pushes; the sender of the request is
/// first.
fn steps(client: char, words: Vec<Vec<u8>>) -> Vec<Step> {
    let masks = volatile(&words);
    let others = CLIENTS.iter().filter(|other| **other != client);
    let others = others.map(|other| Step { masks: vec![Mask::AnyOrder], ..Step::settle(*other) });
    Step::settled(client, words, masks).into_iter().chain(others).collect()
}

/// Redis keeps names in hash tables, so their order differs from process to process.
fn volatile(words: &[Vec<u8>]) -> Vec<Mask> {
    let is = |index: usize, word: &str| {
        words.get(index).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    };
    let all = ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"].iter().any(|verb| is(0, verb));
    match () {
        () if all && words.len() == 1 => vec![Mask::Confirmations],
        () if is(0, "PUBSUB") && (is(1, "CHANNELS") || is(1, "SHARDCHANNELS")) => {
            vec![Mask::Sorted]
        }
        // With RESP3, Redis 7.0 sends a message to its publisher before the reply, and 7.2 after it.
        () if is(0, "PUBLISH") || is(0, "SPUBLISH") => vec![Mask::AnyOrder],
        () if is(0, "HELLO") => vec![Mask::Hello],
        () => Vec::new(),
    }
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        4 => (select(SUBSCRIBES), vec(name(), 1..4)).prop_map(words),
        3 => (select(UNSUBSCRIBES), vec(name(), 0..3)).prop_map(words),
        4 => (select(PUBLISHES), name(), payload())
            .prop_map(|(verb, name, payload)| vec![verb.as_bytes().to_vec(), name, payload]),
        2 => (select(OTHERS), vec(name(), 0..2)).prop_map(words),
        1 => (select(PUBSUBS), vec(name(), 0..3)).prop_map(words),
        1 => (select(ODD), vec(payload(), 0..4)).prop_map(words),
    ]
}

/// A verb of one or two words, then the arguments.
fn words((verb, arguments): (&str, Vec<Vec<u8>>)) -> Vec<Vec<u8>> {
    let verb = verb.split(' ').map(|word| word.as_bytes().to_vec());
    verb.chain(arguments).collect()
}

/// Few names, so that requests often use the same one.
fn name() -> impl Strategy<Value = Vec<u8>> {
    select(NAMES).prop_map(<[u8]>::to_vec)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(b"hi".to_vec()), Just(Vec::new()), vec(any::<u8>(), 0..40), name()]
}

/// The bytes that log a client in: none.
const BEFORE_LOGIN: &[u8] = b"";
/// The bytes that log a client in, for a server with the password `pw`.
const AFTER_LOGIN: &[u8] = b"AUTH pw\r\n";
const CASES: u32 = 1_000;
const CLIENTS: &[char] = &['A', 'B', 'C'];
const NAMES: &[&[u8]] = &[b"a", b"ab", b"b", b"a*", b"?", b"[a-c]b", b"\r\n", b"\x00\xff", b"{a}b"];
const SUBSCRIBES: &[&str] = &["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "subscribe"];
const UNSUBSCRIBES: &[&str] = &["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "unsubscribe"];
const PUBLISHES: &[&str] = &["PUBLISH", "PUBLISH", "SPUBLISH", "publish"];
const OTHERS: &[&str] = &["PING", "ECHO", "RESET", "HELLO", "HELLO 2", "HELLO 3", "CLIENT GETNAME"];
const PUBSUBS: &[&str] =
    &["PUBSUB", "PUBSUB CHANNELS", "PUBSUB NUMSUB", "PUBSUB NUMPAT", "PUBSUB SHARDNUMSUB"];
const ODD: &[&str] = &[
    "",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "PUBLISH",
    "SPUBLISH",
    "PUBSUB",
    "PING",
    "ECHO",
    "CLIENT",
    "HELLO",
    "AUTH",
    "SELECT",
    "NOSUCH",
    "SUBSCRIBE|x",
    "CONFIG",
    "COMMAND NOSUCH",
];
