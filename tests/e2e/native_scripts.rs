//! The scripts of SignalR 2 and of package `backplane` run without Lua. Their replies, messages and keys are the same as with
//! Lua.
//!
//! The broker uses Lua for a client without full permissions. So two clients send the same
//! requests, and one of them lacks a permission that no script needs.

use std::collections::BTreeSet;

use bytes::Bytes;
use harness::{Client, Server, ok, request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use super::server;

/// The scripts of all versions of SignalR's servers, whose line ends and indents differ, and the
/// script of package `backplane` for several messages.
const SCRIPTS: [&str; 6] = [
    "local newId = redis.call('INCR', KEYS[1])\r
                  local payload = newId .. ' ' .. ARGV[1]\r
                  redis.call('PUBLISH', KEYS[1], payload)\r
                  return {newId, ARGV[1], payload}",
    "local newId = redis.call('INCR', KEYS[1]) local payload = newId .. ' ' .. ARGV[1] \
     return redis.call('PUBLISH', KEYS[1], payload)",
    "local newvalue = tonumber(redis.call('GET', KEYS[1])) \
     if not newvalue or tonumber(newvalue) < tonumber(ARGV[1]) then \
     return redis.call('SET', KEYS[1], ARGV[1]) else return nil end",
    "local newvalue = redis.call('GET', KEYS[1]) if not newvalue or newvalue < ARGV[1] then \
     return redis.call('SET', KEYS[1], ARGV[1]) else return nil end",
    "local newvalue = redis.call('GET', KEYS[1]) if newvalue < ARGV[1] then \
     return redis.call('SET', KEYS[1], ARGV[1]) else return nil end",
    "local last = redis.call('INCRBY', KEYS[1], #ARGV)\n\
     for i, body in ipairs(ARGV) do\n    \
     local id = string.format('%.0f', last - #ARGV + i)\n    \
     redis.call('PUBLISH', KEYS[1], id .. ' ' .. body)\n\
     end\n\
     return last - #ARGV + 1",
];

/// The SHA-1 digests of the scripts.
const NAMES: [&str; 6] = [
    "5b8e3b60e050400311bc8b6ef2cbba37bc0b9cb3",
    "12966a78784a115bcdbcfe1845003506cb39c8fa",
    "13f97afad9d804f91c847d46adf7e115c1390c8f",
    "45f430378ff32fd3f14295886e274ed516a7de33",
    "7d8cd522f8a816eba70b79e764e2540042e3d296",
    "d44df094cc002c9fd1e8322e2495fbe4ca65e4bc",
];

/// Values of a key before the script runs. They are below 10^14: from there on Lua writes ids that
/// SignalR cannot read, and our native scripts do not.
const VALUES: [&str; 18] = [
    "",
    "0",
    "1",
    "7",
    "41",
    "-1",
    "-6",
    "99999999999998",
    "9223372036854775807",
    "9223372036854775808",
    "-99999999999999",
    "01",
    " 1",
    "1.5",
    "1e3",
    "0x10",
    "text",
    "12a",
];

/// One call of a script.
#[derive(Clone, Debug)]
struct Case {
    script: usize,
    before: Option<Vec<u8>>,
    /// Whether the key has an expiry.
    expires: bool,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    by_name: bool,
    in_transaction: bool,
}

/// The visible effects of a call, as bytes of the wire.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    replies: Bytes,
    messages: Bytes,
    key: Bytes,
}

/// Two clients that make the same calls.
struct Pair {
    server: Server,
    native: Client,
    with_lua: Client,
    subscriber: Client,
    /// The scripts that ran natively, so the test fails if one never does.
    ran_natively: BTreeSet<usize>,
}

const MARK: &str = "end mark";

impl Pair {
    async fn start(protocol: &str) -> Self {
        let server = server(&[]).await;
        let mut native = server.client().await;
        let user = ["ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", "-shutdown"];
        assert_eq!(native.command(&user).await, ok());
        let mut with_lua = server.client().await;
        assert_eq!(with_lua.command(&["AUTH", "limited", ""]).await, ok());
        for client in [&mut native, &mut with_lua] {
            client.send(&["HELLO", protocol]).await;
            for script in SCRIPTS {
                client.send(&["SCRIPT", "LOAD", script]).await;
            }
            raw(client, &[]).await;
        }
        let mut subscriber = server.client().await;
        subscriber.psubscribe(&["*"]).await;
        Self { server, native, with_lua, subscriber, ran_natively: BTreeSet::new() }
    }

    /// Makes the call with both clients.
    async fn run(&mut self, case: &Case) -> (Trace, Trace) {
        let Self { native, with_lua, subscriber, .. } = self;
        raw(native, &request(&["CONFIG", "RESETSTAT"])).await;
        let ours = trace(native, subscriber, case).await;
        // Statistics count the commands that Lua calls, but not those of native scripts.
        let counted = raw(native, &request(&["INFO", "commandstats"])).await;
        let counted = String::from_utf8_lossy(&counted);
        if !["incr", "incrby", "get", "set"]
            .iter()
            .any(|name| counted.contains(&format!("cmdstat_{name}:")))
        {
            self.ran_natively.insert(case.script);
        }
        let lua = trace(with_lua, subscriber, case).await;
        (ours, lua)
    }
}

/// Sends requests, and returns the bytes of all replies.
async fn raw(client: &mut Client, requests: &[u8]) -> Bytes {
    client.send_raw(&[requests, &request(&["ECHO", MARK])].concat()).await;
    client.read_bytes_until(format!("{MARK}\r\n").as_bytes()).await
}

/// Makes the call, and reads its effects with commands that no script here calls.
async fn trace(client: &mut Client, subscriber: &mut Client, case: &Case) -> Trace {
    let key = case.keys.first().cloned().unwrap_or_default();
    let mut before = request(&["FLUSHALL"]);
    if let Some(value) = &case.before {
        before.extend(request(&[&b"MSET"[..], &key, value]));
        if case.expires {
            before.extend(request(&[&b"PEXPIREAT"[..], &key, b"99999999999999"]));
        }
    }
    raw(client, &before).await;

    let replies = raw(client, &case.requests()).await;
    client.send(&["PUBLISH", "end", MARK]).await;
    let messages = subscriber.read_bytes_until(format!("{MARK}\r\n").as_bytes()).await;
    let reads = [
        request(&[&b"GETRANGE"[..], &key, b"0", b"-1"]),
        request(&[&b"EXISTS"[..], &key]),
        request(&[&b"PEXPIRETIME"[..], &key]),
        request(&["DBSIZE"]),
    ];
    let key = raw(client, &reads.concat()).await;
    Trace { replies, messages, key }
}

impl Case {
    fn requests(&self) -> Vec<u8> {
        let count = self.keys.len().to_string();
        let mut words = match self.by_name {
            true => vec![b"EVALSHA".to_vec(), NAMES[self.script].into()],
            false => vec![b"EVAL".to_vec(), SCRIPTS[self.script].into()],
        };
        words.push(count.into());
        words.extend(self.keys.iter().chain(&self.arguments).cloned());
        let call = request(&words);
        match self.in_transaction {
            true => [request(&["MULTI"]), call, request(&["EXEC"])].concat(),
            false => call,
        }
    }
}

/// Mostly a plain key, sometimes arbitrary bytes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(b"ChatApp".to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => vec(any::<u8>(), 0..50),
        1 => select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec()),
        1 => vec(select(&b"\0\r\n $*:x"[..]), 0..50),
        1 => (1_000_usize..20_000).prop_map(|bytes| vec![b'x'; bytes]),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let value = prop_oneof![
        select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec()),
        (-1000_i64..99_999_999_999_998).prop_map(|value| value.to_string().into_bytes()),
    ];
    let before = proptest::option::weighted(0.8, value);
    let counts = prop_oneof![6 => Just((1, 1)), 1 => (0_usize..3, 0_usize..3)];
    let words =
        counts.prop_flat_map(|(keys, arguments)| (vec(key(), keys), vec(argument(), arguments)));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (any::<Index>(), before, words, flags).prop_map(
        |(script, before, (keys, arguments), (expires, by_name, in_transaction))| Case {
            script: script.index(SCRIPTS.len()),
            before,
            expires,
            keys,
            arguments,
            by_name,
            in_transaction,
        },
    )
}

/// Every script with every value, and calls with wrong numbers of keys and arguments.
fn cases_by_hand() -> Vec<Case> {
    let mut cases = Vec::new();
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    for script in 0..SCRIPTS.len() {
        for before in VALUES.iter().map(|value| Some(value.as_bytes().to_vec())).chain([None]) {
            for argument in ["5", "42", "-6", "text", "", "1e3"] {
                cases.push(Case {
                    script,
                    before: before.clone(),
                    expires: false,
                    keys: words(&["ChatApp"]),
                    arguments: words(&[argument]),
                    by_name: true,
                    in_transaction: false,
                });
            }
        }
        for (keys, arguments) in
            [(&[][..], &[][..]), (&[], &["1"]), (&["a"], &[]), (&["a", "b"], &["1", "2"])]
        {
            cases.push(Case {
                script,
                before: None,
                expires: false,
                keys: words(keys),
                arguments: words(arguments),
                by_name: false,
                in_transaction: true,
            });
        }
    }
    cases
}

#[tokio::test]
async fn chosen_calls_have_the_same_effects_natively_and_with_lua() {
    for protocol in ["2", "3"] {
        let mut pair = Pair::start(protocol).await;
        for case in cases_by_hand() {
            let (native, lua) = pair.run(&case).await;
            assert_eq!(native, lua, "{case:?}");
        }
        assert_eq!(pair.ran_natively.len(), SCRIPTS.len(), "{:?}", pair.ran_natively);
        drop(pair.server);
    }
}

#[test]
fn random_calls_have_the_same_effects_natively_and_with_lua() {
    const CASES: u32 = 1_000;

    let runtime = Runtime::new().expect("a runtime can be made");
    for protocol in ["2", "3"] {
        let pair = tokio::sync::Mutex::new(runtime.block_on(Pair::start(protocol)));
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(&case(), |case| {
            let (native, lua) = runtime.block_on(async { pair.lock().await.run(&case).await });
            match native == lua {
                true => Ok(()),
                false => Err(TestCaseError::fail(format!("native: {native:?}\nlua: {lua:?}"))),
            }
        });
        result.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
