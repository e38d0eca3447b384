//! Parity with Redis. Each run holds the same conversations with Debian's `redis-server` and with
//! our broker, and compares the replies byte for byte.
//!
//! Run it with `cargo test -p e2e --features external --test parity`.
//!
//! The conversations are in `conversations/*.txt`, the deliberate differences in `differences.txt`.
//! No expected reply is stored: each run gets them from Redis. [`generated`] adds random
//! conversations. [`later`] compares replies that follow Redis 7.2 with those of redis-server 8.2.
//!
//! Two environment variables help to analyze a failure. `PARITY_ONLY` selects the conversations
//! with this text in their names. `PARITY_REPORT` names a file for the report. With
//! `BROKER_IO_THREADS`, our broker has several threads; see [`threads`].

mod conversation;
mod difference;
mod frame;
mod generated;
mod later;
mod mask;
mod pair;
mod threads;
mod transcript;
mod wire;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use harness::Kind;
use tokio::sync::Semaphore;

use conversation::Conversation;
use difference::{Difference, Row};
use pair::Pair;
use transcript::Transcript;

#[tokio::test]
async fn our_broker_replies_as_redis_does() {
    let rows = difference::read(&text_of(&directory().join("differences.txt")));
    let rows = rows.unwrap_or_else(|error| panic!("{error}"));
    let results = lead_all((Kind::Ours, Kind::Redis), conversations()).await;
    let report = Report::of(&results, &rows);
    println!("parity: {} conversations equal, {} differ as listed", report.equal, report.named);
    report.finish(&rows);
    later::check(&results, &rows).await;
}

/// A conversation must have the same replies from two Redis servers, or it cannot test ours.
#[tokio::test]
async fn redis_replies_alike_to_each_conversation_twice() {
    let results = lead_all((Kind::Redis, Kind::Redis), conversations()).await;
    let stalled = results.iter().filter(|led| led.redis.is_stalled());
    let stalled: Vec<&str> = stalled.map(|led| led.conversation.name.as_str()).collect();
    let report = Report::of(&results, &[]);
    println!("parity: {} conversations equal", report.equal);
    assert!(
        stalled.is_empty(),
        "Redis sends fewer replies than the steps read in {stalled:#?}\n{}",
        report.text
    );
    report.finish(&[]);
}

#[test]
fn conversations_are_many_and_each_has_a_unique_name() {
    let all = conversations();
    let mut names = BTreeSet::new();
    let twice: Vec<_> = all.iter().filter(|c| !names.insert(&c.name)).map(|c| &c.name).collect();
    assert!(twice.is_empty(), "names used twice: {twice:#?}");
    assert!(only().is_some() || all.len() >= 600, "only {} conversations", all.len());
}

/// One conversation with the replies of both servers.
#[derive(Clone, Debug)]
struct Led {
    conversation: Conversation,
    ours: Transcript,
    redis: Transcript,
}

/// The comparison of all conversations.
#[derive(Debug, Default)]
struct Report {
    equal: usize,
    named: usize,
    unnamed: usize,
    text: String,
}

impl Report {
    fn of(results: &[Led], rows: &[Row]) -> Self {
        let mut report = Self::default();
        for led in results {
            let all = led.differences();
            let any = !all.is_empty();
            let unnamed: Vec<_> = all
                .into_iter()
                .filter_map(|at| difference::named(rows, at).err().map(|at| *at))
                .collect();
            match (any, unnamed.is_empty()) {
                (false, _) => report.equal += 1,
                (true, true) => report.named += 1,
                (true, false) => {
                    report.unnamed += 1;
                    report.add(led, &unnamed);
                }
            }
        }
        report
    }

    fn add(&mut self, led: &Led, differences: &[Difference<'_>]) {
        let flags = led.conversation.flags.join(" ");
        let _ = writeln!(self.text, "== {} {flags}", led.conversation.name);
        differences.iter().for_each(|each| self.text.push_str(&shown(each)));
    }

    /// Fails once, with all differences.
    fn finish(self, rows: &[Row]) {
        if let Some(path) = std::env::var_os("PARITY_REPORT") {
            std::fs::write(path, &self.text).expect("the report can be written");
        }
        assert!(self.unnamed == 0, "{} conversations differ:\n{}", self.unnamed, self.text);
        let idle: Vec<&str> =
            difference::idle(rows).into_iter().map(|row| row.name.as_str()).collect();
        assert!(only().is_some() || idle.is_empty(), "no longer different: {idle:#?}");
    }
}

impl Led {
    fn differences(&self) -> Vec<Difference<'_>> {
        let (ours, redis) = (&self.ours, &self.redis);
        let steps = self.conversation.steps.iter().enumerate();
        let steps =
            steps.map(|(index, step)| (step.text.as_str(), ours.step(index), redis.step(index)));
        let rest = [("the end", ours.rest.clone(), redis.rest.clone())];
        steps
            .chain(rest)
            .enumerate()
            .filter(|(_, (_, ours, redis))| ours != redis)
            .map(|(index, (step, ours, redis))| Difference {
                conversation: &self.conversation.name,
                index,
                step,
                ours,
                redis,
            })
            .collect()
    }
}

/// Holds all conversations. Those that leave no trace share a pair of servers for each set of
/// flags, one after the other. The others get a pair of their own.
async fn lead_all(kinds: (Kind, Kind), conversations: Vec<Conversation>) -> Vec<Led> {
    let mut groups: BTreeMap<(Vec<String>, Option<usize>, usize), Vec<_>> = BTreeMap::new();
    for (index, conversation) in conversations.into_iter().enumerate() {
        let alone = conversation.fresh.then_some(index);
        let key = (conversation.flags.clone(), alone, index / PAIR_CONVERSATIONS_MAX);
        groups.entry(key).or_default().push(conversation);
    }
    let permits = &Semaphore::new(PAIRS_MAX);
    let groups = groups.into_iter().map(async |((flags, ..), conversations)| {
        let _permit = permits.acquire().await.expect("the semaphore stays open");
        let mut pair = Pair::start(kinds, &flags).await;
        let mut results = Vec::with_capacity(conversations.len());
        for conversation in conversations {
            let (ours, redis) = pair.lead(&conversation).await;
            results.push(Led { conversation, ours, redis });
        }
        results
    });
    let mut results = join_all(groups).await.concat();
    results.sort_by(|one, other| one.conversation.name.cmp(&other.conversation.name));
    results
}

/// Returns all written conversations, in the order of the files.
fn conversations() -> Vec<Conversation> {
    let directory = directory().join("conversations");
    let entries = std::fs::read_dir(&directory).expect("the directory of conversations exists");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        conversation::read(&text_of(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let all = paths.iter().flat_map(read);
    all.filter(|one| only().is_none_or(|only| one.name.contains(&only)))
        .filter(|one| !threads::are_several() || !one.name.starts_with("CONFIG GET io-threads"))
        .collect()
}

fn only() -> Option<String> {
    std::env::var("PARITY_ONLY").ok().filter(|only| !only.is_empty())
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity")
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns a step with both replies, for a report.
fn shown(difference: &Difference<'_>) -> String {
    let (ours, redis) = (difference.ours.to_string(), difference.redis.to_string());
    let common = common(&ours, &redis);
    let (ours, redis) = (cut(&ours, common), cut(&redis, common));
    format!("  {}\n    ours:  {ours}\n    redis: {redis}\n", difference.step)
}

/// Returns the length of the common start. A length before a bulk string's text is skipped, since
/// it does not show the place of the difference.
fn common(ours: &str, redis: &str) -> usize {
    let body = |text: &str| match text.find(r"\r\n") {
        Some(end) if text.starts_with(['$', '=']) => end,
        _ => 0,
    };
    let bodies = body(ours).min(body(redis));
    let pairs = ours.bytes().zip(redis.bytes()).skip(bodies);
    bodies + pairs.take_while(|(one, other)| one == other).count()
}

/// Returns the text around the first difference, since a reply may have a megabyte.
fn cut(text: &str, common: usize) -> String {
    let from = common.saturating_sub(SHOWN_BEFORE);
    let shown = text.get(from..text.len().min(common + SHOWN_AFTER)).unwrap_or(text);
    if from == 0 { shown.into() } else { format!("... {shown}") }
}

/// The maximum number of pairs of servers that run at the same time.
const PAIRS_MAX: usize = 8;
/// The maximum number of conversations that share a pair of servers.
const PAIR_CONVERSATIONS_MAX: usize = 100;
/// The bytes of a reply that a report shows before the first difference.
const SHOWN_BEFORE: usize = 200;
/// The bytes that it shows after the first difference.
const SHOWN_AFTER: usize = 600;
