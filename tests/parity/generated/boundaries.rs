//! Each limit of the protocol and of arguments at one less, at the limit, and at one more, before
//! and after login.

use harness::Kind;

use super::{AFTER_LOGIN, BEFORE_LOGIN, compare, raw};
use crate::conversation::{Action, Conversation, Step};
use crate::mask::Mask;

#[tokio::test]
async fn each_limit_of_the_protocol_is_the_same() {
    compare(Kind::Ours, protocol()).await;
}

#[tokio::test]
async fn each_limit_of_the_protocol_is_the_same_on_two_redis_servers() {
    compare(Kind::Redis, protocol()).await;
}

#[tokio::test]
async fn each_number_at_a_limit_has_the_same_replies() {
    compare(Kind::Ours, numbers()).await;
}

#[tokio::test]
async fn each_number_at_a_limit_has_the_same_replies_from_two_redis_servers() {
    compare(Kind::Redis, numbers()).await;
}

/// Requests at each limit of the protocol.
fn protocol() -> Vec<Conversation> {
    let mut all = Vec::new();
    for login in [BEFORE_LOGIN, AFTER_LOGIN] {
        for (flags, cases) in [(FLAGS, sizes(65_536)), (SMALL, small_sizes())] {
            for (name, bytes) in cases {
                let state = if login.is_empty() { "before" } else { "after" };
                let sent = [login, &bytes].concat();
                all.push(Conversation {
                    name: format!("{name}, {state} login"),
                    flags: flags.iter().map(|flag| (*flag).into()).collect(),
                    steps: vec![raw('A', &sent), Step::leave('A')],
                    ..Conversation::default()
                });
            }
        }
    }
    all
}

/// Announced counts and lengths, lines, arguments and replies, around each limit of the default
/// settings.
fn sizes(line: usize) -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    for number in around(&NUMBERS) {
        for (name, before, behind) in [
            ("a count of", "*", "\r\n"),
            ("a count and an argument of", "*", "\r\n$4\r\nPING\r\n"),
            ("a length of", "*1\r\n$", "\r\n"),
            ("a second length of", "*2\r\n$4\r\nPING\r\n$", "\r\n"),
        ] {
            cases.push((format!("{name} {number}"), format!("{before}{number}{behind}").into()));
        }
    }
    for bytes in line - 2..=line + 2 {
        let digits = "1".repeat(bytes);
        cases.push((format!("a line of {bytes} bytes without an end"), digits.clone().into()));
        cases.push((format!("a count of {bytes} digits"), format!("*{digits}").into()));
        cases.push((format!("a length of {bytes} digits"), format!("*1\r\n${digits}").into()));
    }
    for bytes in [line - 2, line - 1] {
        let text = "x".repeat(bytes - 5);
        cases.push((format!("a line of {bytes} bytes"), format!("ECHO {text}\n").into()));
    }
    // A line may be longer than the limit if its end arrives in time, so these lines are shorter.
    for count in [1, 2, 9, 10, 11, 12, 1_023, 1_024, 1_025, 32_000] {
        let words = ["PING"].into_iter().chain(std::iter::repeat_n("x", count - 1));
        let words: Vec<&str> = words.collect();
        cases.push((format!("{count} arguments"), harness::request(&words)));
        cases.push((format!("{count} words in a line"), format!("{}\r\n", words.join(" ")).into()));
    }
    for bytes in around(&[0, 128, 16_384, 32_768, 65_536]).into_iter().filter(|&bytes| bytes >= 0) {
        let text = "y".repeat(usize::try_from(bytes).unwrap_or_default());
        for words in [vec!["ECHO", &text], vec![&text], vec!["NOSUCH", &text, "z"]] {
            let name = format!("{} with an argument of {bytes} bytes", words[0].len());
            cases.push((name, harness::request(&words)));
        }
    }
    cases
}

/// Around limits that are set as low as possible.
fn small_sizes() -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    for bytes in MEGABYTE - 1..=MEGABYTE + 1 {
        let header = format!("*2\r\n$4\r\nECHO\r\n${bytes}\r\n");
        cases.push((format!("a length of {bytes} with a limit"), header.into()));
        let text = "y".repeat(bytes);
        cases.push((
            format!("an argument of {bytes} bytes with a limit"),
            harness::request(&["ECHO", &text]),
        ));
        let most = (bytes - 1).to_string();
        for words in [["SETRANGE", "k", &most, "x"], ["SETRANGE", "k", &bytes.to_string(), ""]] {
            let name = format!("{} {} {:?} with a limit", words[0], words[2], words[3]);
            cases.push((name, harness::request(&words)));
        }
        let append = [
            harness::request(&["SET", "k", &text[1..]]),
            harness::request(&["APPEND", "k", "x"]),
            harness::request(&["DEL", "k"]),
        ];
        cases.push((format!("APPEND to {bytes} bytes with a limit"), append.concat()));
    }
    cases
}

/// Each command with a number, and each number around a limit of an integer. Each number has a key
/// of its own, since some of them expire.
fn numbers() -> Vec<Conversation> {
    let all = COMMANDS.iter().map(|line| {
        let numbers = around(&NUMBERS).into_iter().map(|number| number.to_string());
        let steps = numbers.chain(ODD.iter().map(ToString::to_string)).flat_map(|number| {
            let key = format!("k{number}");
            let command: Vec<Vec<u8>> = line
                .split(' ')
                .map(|word| if word == "k" { key.clone() } else { word.replace("{n}", &number) })
                .map(String::into_bytes)
                .collect();
            let set = ["SET", &key, "7"].map(|word| word.as_bytes().to_vec()).to_vec();
            let set = line.contains(" k ").then(|| replied(set, Vec::new()));
            set.into_iter().chain([replied(command, masks(line))])
        });
        Conversation {
            name: format!("{line} at each limit"),
            flags: UNTIMED.iter().map(|flag| (*flag).into()).collect(),
            steps: steps.collect(),
            after: AFTER.iter().map(|line| words(line)).collect(),
            ..Conversation::default()
        }
    });
    all.collect()
}

/// Returns a step that reads one reply.
fn replied(words: Vec<Vec<u8>>, masks: Vec<Mask>) -> Step {
    let text = format!("A: {}", words.join(&b' ').escape_ascii());
    Step { text, client: 'A', action: Action::Request(words), count: Some(1), masks }
}

fn masks(line: &str) -> Vec<Mask> {
    match line.split_once(' ').unwrap_or_default() {
        ("HELLO", _) => vec![Mask::Hello],
        ("SCAN", _) => vec![Mask::Scan],
        ("ACL", _) => vec![Mask::Length],
        _ => Vec::new(),
    }
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Returns each number, the one before it and the one after it.
fn around(numbers: &[i128]) -> Vec<i128> {
    let mut all: Vec<i128> =
        numbers.iter().flat_map(|number| [number - 1, *number, number + 1]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

const MEGABYTE: usize = 1024 * 1024;

/// Limits of integers, of Redis' protocol before and after login, and of times in milliseconds.
const NUMBERS: [i128; 17] = [
    0,
    10,
    16,
    128,
    1_024,
    16_384,
    65_536,
    1_048_576,
    536_870_912,
    i32::MAX as i128,
    u32::MAX as i128,
    i64::MAX as i128 / 1_000,
    i64::MAX as i128,
    u64::MAX as i128,
    i32::MIN as i128,
    i64::MIN as i128 / 1_000,
    i64::MIN as i128,
];

/// Texts that are no numbers for Redis, or only for some commands.
const ODD: &[&str] = &[
    "",
    "+1",
    "01",
    "1.0",
    "1.5",
    "1e3",
    "0x10",
    "-0",
    "--1",
    "1-",
    "nan",
    "inf",
    "-inf",
    "3.0e",
    "99999999999999999999999999999999999999999",
];

const FLAGS: &[&str] = &["--requirepass", "pw"];

/// The lowest value of a limit.
const SMALL: &[&str] = &["--requirepass", "pw", "--proto-max-bulk-len", "1mb"];

/// Without entries that depend on time. A limit keeps `SETRANGE` from allocating much.
const UNTIMED: &[&str] = &["--slowlog-log-slower-than", "-1", "--proto-max-bulk-len", "1mb"];

/// Undoes the changes of the commands below.
const AFTER: &[&str] = &[
    "FLUSHALL",
    "CONFIG SET timeout 0",
    "CONFIG SET maxmemory 0",
    "CONFIG SET proto-max-bulk-len 1mb",
    "CONFIG SET client-query-buffer-limit 1gb",
    "CONFIG SET slowlog-log-slower-than -1",
];

/// Commands with a number in each place that takes one. None waits, and none allocates much. None
/// takes the id of a client, since the two servers may have given it to different ones.
const COMMANDS: &[&str] = &[
    "SELECT {n}",
    "SWAPDB 0 {n}",
    "MOVE k {n}",
    "COPY k l DB {n}",
    "INCRBY k {n}",
    "DECRBY k {n}",
    "INCRBYFLOAT k {n}",
    "SET k v EX {n}",
    "SET k v PX {n}",
    "SET k v EXAT {n}",
    "SET k v PXAT {n}",
    "SETEX k {n} v",
    "PSETEX k {n} v",
    "GETEX k EX {n}",
    "GETEX k PX {n}",
    "GETEX k EXAT {n}",
    "GETEX k PXAT {n}",
    "EXPIRE k {n}",
    "PEXPIRE k {n}",
    "EXPIREAT k {n}",
    "PEXPIREAT k {n}",
    "GETRANGE k {n} 3",
    "GETRANGE k 0 {n}",
    "SUBSTR k {n} 3",
    "SETRANGE k {n} ",
    "SETRANGE k {n} x",
    "SCAN {n}",
    "SCAN 0 COUNT {n}",
    "HELLO {n}",
    "SLOWLOG GET {n}",
    "ACL GENPASS {n}",
    "ACL LOG {n}",
    "EVAL return({n}) 0",
    "EVAL return{1} {n}",
    "EVAL return{1} {n} k",
    "EVALSHA 0123456789012345678901234567890123456789 {n}",
    "WAIT {n} 1",
    "CONFIG SET timeout {n}",
    "CONFIG SET tcp-keepalive {n}",
    "CONFIG SET maxmemory {n}",
    "CONFIG SET proto-max-bulk-len {n}",
    "CONFIG SET client-query-buffer-limit {n}",
    "CONFIG SET slowlog-max-len {n}",
    "CONFIG SET slowlog-log-slower-than {n}",
    "CONFIG SET acllog-max-len {n}",
    "CONFIG SET tracking-table-max-keys {n}",
    "CONFIG SET busy-reply-threshold {n}",
    "CONFIG SET latency-monitor-threshold {n}",
];
