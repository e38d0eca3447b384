//! Random conversations about keys: their values and times, clients that watch or track them, and
//! keyspace events.

use harness::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{CLIENTS, check};
use crate::conversation::{Action, Conversation, Step};
use crate::mask::Mask;

#[test]
fn random_conversations_about_keys_have_the_same_replies() {
    check(Kind::Ours, CASES, &conversation());
}

#[test]
fn random_conversations_about_keys_have_the_same_replies_from_two_redis_servers() {
    check(Kind::Redis, CASES, &conversation());
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let requests = vec((select(CLIENTS), request()), 1..40);
    (any::<bool>(), select(BEGINNINGS), requests).prop_map(|(resp3, beginning, requests)| {
        let beginning = beginning.iter().map(|(client, text)| (*client, words(text)));
        let end = END.iter().map(|text| ('A', words(text)));
        let all = beginning.chain(requests).chain([('C', words("DISCARD"))]).chain(end);
        let steps = all.flat_map(|(client, words)| steps(client, words));
        Conversation {
            name: "generated".into(),
            resp3,
            steps: steps.chain(ALL_CLIENTS.iter().map(|client| Step::settle(*client))).collect(),
            after: AFTER.iter().map(|text| words(text)).collect(),
            ..Conversation::default()
        }
    })
}

/// The sender of a request reads its replies at once, the other clients read theirs at the end. In
/// a transaction a PING would be queued, so the client with transactions reads exactly one reply.
fn steps(client: char, words: Vec<Vec<u8>>) -> Vec<Step> {
    let masks = volatile(&words);
    if client == WITH_TRANSACTIONS {
        let text = format!("{client}: {}", words.join(&b' ').escape_ascii());
        return vec![Step { text, client, action: Action::Request(words), count: Some(1), masks }];
    }
    let is_refused = OF_TRANSACTIONS.iter().any(|verb| words[0] == verb.as_bytes());
    if is_refused { Vec::new() } else { Step::settled(client, words, masks).into() }
}

/// Redis keeps keys in hash tables, and the two servers run a command at different times. An
/// invalidation message may come before or after the reply to the command that caused it.
fn volatile(words: &[Vec<u8>]) -> Vec<Mask> {
    let mut masks = vec![Mask::AnyOrder];
    masks.extend(hidden(words));
    masks
}

fn hidden(words: &[Vec<u8>]) -> Vec<Mask> {
    match &*words[0].to_ascii_uppercase() {
        b"HELLO" => vec![Mask::Hello],
        b"KEYS" => vec![Mask::Sorted],
        b"SCAN" => vec![Mask::Scan],
        b"PTTL" | b"EXPIRETIME" | b"PEXPIRETIME" | b"EXEC" => vec![Mask::Digits],
        _ => Vec::new(),
    }
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        6 => (select(OF_A_KEY), key()).prop_map(|(verb, key)| with(verb, &[key])),
        6 => (select(OF_A_VALUE), key(), value()).prop_map(|(verb, key, value)| with(verb, &[key, value])),
        3 => (select(OF_A_VALUE), key(), value(), vec(option(), 1..3))
            .prop_map(|(verb, key, value, options)| with(verb, &[vec![key, value], options].concat())),
        3 => (select(OF_A_TIME), key(), time()).prop_map(|(verb, key, time)| with(verb, &[key, time])),
        2 => (select(OF_TWO), key(), key()).prop_map(|(verb, one, two)| with(verb, &[one, two])),
        2 => (select(OF_MANY), vec(key(), 1..4)).prop_map(|(verb, keys)| with(verb, &keys)),
        1 => (select(OF_PAIRS), vec(value(), 0..5)).prop_map(|(verb, words)| with(verb, &words)),
        2 => (key(), number(), value())
            .prop_map(|(key, at, value)| with("SETRANGE", &[key, at, value])),
        1 => (key(), number(), number()).prop_map(|(key, at, to)| with("GETRANGE", &[key, at, to])),
        3 => select(WHOLE).prop_map(words),
        1 => (select(OF_A_KEY), vec(value(), 0..3)).prop_map(|(verb, words)| with(verb, &words)),
    ]
}

fn with(verb: &str, arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    [words(verb), arguments.to_vec()].concat()
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Few keys, so that requests often use the same one.
fn key() -> impl Strategy<Value = Vec<u8>> {
    select(KEYS).prop_map(<[u8]>::to_vec)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), Just(vec![b'x'; 45]), vec(any::<u8>(), 0..6), number(), key(),]
}

fn number() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (-3..30_i64).prop_map(|number| number.to_string().into_bytes()),
        1 => select(ODD_NUMBERS).prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// Times far in the future or in the past, so that both servers agree on expiry.
fn time() -> impl Strategy<Value = Vec<u8>> {
    select(TIMES).prop_map(|text| text.as_bytes().to_vec())
}

fn option() -> impl Strategy<Value = Vec<u8>> {
    select(OPTIONS).prop_map(|text| text.as_bytes().to_vec())
}

const WITH_TRANSACTIONS: char = 'C';
const OF_TRANSACTIONS: &[&str] = &["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"];
/// The last client sends no commands after the beginning; it only receives.
const ALL_CLIENTS: &[char] = &['A', 'B', 'C', 'D'];
const CASES: u32 = 1_500;
const KEYS: &[&[u8]] = &[b"a", b"b", b"ab", b"", b"\x00\r\n\xff"];
const ODD_NUMBERS: &[&str] =
    &["9223372036854775807", "-9223372036854775808", "1.5", "007", "1e3", "0.1", "-0"];
const TIMES: &[&str] = &["99999999999", "9999999999", "-1", "0", "x"];
/// All times are longer than a conversation, so no key expires on only one of the servers.
const OPTIONS: &[&str] =
    &["NX", "XX", "GET", "KEEPTTL", "EX", "1000", "PX", "100000", "REPLACE", "DB", "0"];
const OF_A_KEY: &[&str] = &[
    "GET",
    "GETDEL",
    "GETEX",
    "STRLEN",
    "INCR",
    "DECR",
    "DEL",
    "UNLINK",
    "EXISTS",
    "TYPE",
    "TTL",
    "PTTL",
    "PERSIST",
    "TOUCH",
    "OBJECT ENCODING",
    "OBJECT REFCOUNT",
    "WATCH",
    "EXPIRETIME",
    "KEYS",
];
const OF_A_VALUE: &[&str] =
    &["SET", "SETNX", "GETSET", "APPEND", "INCRBY", "DECRBY", "INCRBYFLOAT", "GETEX", "SETEX 1000"];
const OF_A_TIME: &[&str] = &["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"];
const OF_TWO: &[&str] = &["RENAME", "RENAMENX", "COPY"];
const OF_MANY: &[&str] = &["MGET", "DEL", "EXISTS", "UNLINK", "WATCH", "TOUCH"];
const OF_PAIRS: &[&str] = &["MSET", "MSETNX"];
const WHOLE: &[&str] = &[
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "UNWATCH",
    "SELECT 0",
    "SELECT 1",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL",
    "DBSIZE",
    "SCAN 0 COUNT 100",
    "MOVE a 1",
    "MOVE b 0",
    "PING",
];
/// Requests that set up notifications and tracking before the random ones.
const BEGINNINGS: &[&[(char, &str)]] = &[
    &[],
    &[('A', "CONFIG SET notify-keyspace-events KEAmn"), ('D', "PSUBSCRIBE __key*")],
    &[('A', "HELLO 3"), ('A', "CLIENT TRACKING ON")],
    &[
        ('A', "HELLO 3"),
        ('A', "CLIENT TRACKING ON NOLOOP"),
        ('B', "HELLO 3"),
        ('B', "CLIENT TRACKING ON"),
    ],
];
/// Requests that read the final state of the keys.
const END: &[&str] = &[
    "SELECT 0",
    "KEYS *",
    "MGET a b ab",
    "PEXPIRETIME a",
    "SELECT 1",
    "KEYS *",
    "MGET a b ab",
    "PEXPIRETIME a",
];
const AFTER: &[&str] = &["FLUSHALL", "CONFIG SET notify-keyspace-events "];
