//! A soak of the servers of an app: each sends one number after the other while the test causes
//! faults. The check at the end compares the messages that were sent and received.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backplane::{Backplane, Connection, Event, Received, Target};
use harness::{Client, SLOW_DEADLINE, eventually_within, within};
use tokio::task::JoinHandle;

use crate::farm::{events, invocation, metrics, number};
use crate::observer::Observer;
use crate::sent_log::{Entry, SENDER, SentLog, disagreements};

/// Servers that send numbers.
pub(crate) struct Soak {
    members: Vec<Member>,
    pub(crate) observer: Observer,
}

/// One server, with a connection that records its messages, and a task that sends.
struct Member {
    backplane: Backplane,
    receive_log: JoinHandle<Vec<Entry>>,
    events: JoinHandle<Vec<Event>>,
    accepted: JoinHandle<Vec<u64>>,
    is_over: Arc<AtomicBool>,
    start: OnceLock<Position>,
}

/// The missing messages of a soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Messages that all servers together reported as missing, probes included.
    pub(crate) missing: u64,
    /// Accepted messages that one connection did not receive.
    pub(crate) lost: usize,
}

/// The last id of a server, and its counters at that time.
#[derive(Clone, Copy, Debug)]
struct Position {
    id: u64,
    arrived: u64,
    lost: u64,
    restarts: u64,
}

/// The number of the last message of a soak.
pub(crate) const END: u64 = u64::MAX;

impl Soak {
    /// Starts a soak without an observer.
    pub(crate) fn among(backplanes: impl IntoIterator<Item = Backplane>) -> Self {
        Self::before(Observer::default(), backplanes)
    }

    /// Starts a soak with an observer.
    pub(crate) fn before(
        observer: Observer,
        backplanes: impl IntoIterator<Item = Backplane>,
    ) -> Self {
        // All connections are attached before the first message.
        let listening = backplanes.into_iter().enumerate().map(|(index, backplane)| {
            let events = events(&backplane);
            let connection = backplane.attach(&format!("connection-{index}"), None);
            (backplane, index as u64, events, tokio::spawn(record(connection)))
        });
        let listening: Vec<_> = listening.collect();
        let members = listening.into_iter().map(|(backplane, index, events, receive_log)| {
            let is_over = Arc::new(AtomicBool::new(false));
            let accepted = tokio::spawn(send_numbers(backplane.clone(), index, is_over.clone()));
            Member { backplane, receive_log, events, accepted, is_over, start: OnceLock::new() }
        });
        Self { members: members.collect(), observer }
    }

    /// Returns after a server has received this number of further messages.
    pub(crate) async fn run(&self, index: usize, count: u64) {
        let mut connection = self.members[index].backplane.attach("watcher", None);
        for _ in 0..count {
            within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        }
        for Member { backplane, start, .. } in self.members.iter() {
            if start.get().is_none() {
                eventually_within(SLOW_DEADLINE, async || Position::of(backplane).is_some()).await;
                start.get_or_init(|| Position::of(backplane).expect("it has received a message"));
            }
        }
    }

    /// Runs before and after each of these commands. Returns when all servers are ready.
    pub(crate) async fn run_through(&self, client: &mut Client, commands: &[&[&str]]) {
        for command in commands {
            self.run(0, 100).await;
            client.command(command).await;
            self.run(1, 100).await;
            self.all_are_ready().await;
        }
    }

    pub(crate) fn backplanes(&self) -> impl Iterator<Item = &Backplane> {
        self.members.iter().map(|member| &member.backplane)
    }

    /// Returns when all servers are ready.
    pub(crate) async fn all_are_ready(&self) {
        eventually_within(SLOW_DEADLINE, async || {
            self.backplanes().all(|backplane| backplane.health().is_ready)
        })
        .await;
    }

    /// Ends the soak, and checks the messages of all connections. Returns the number of missing
    /// messages that the servers reported.
    pub(crate) async fn check(self) -> u64 {
        self.totals().await.missing
    }

    /// Ends the soak, checks the messages of all connections, and counts the missing ones.
    pub(crate) async fn totals(self) -> Totals {
        let Self { members, observer } = self;
        members.iter().for_each(|member| member.is_over.store(true, Ordering::Relaxed));
        let first = members[0].backplane.clone();
        let (mut accepted, mut listening) = (Vec::new(), Vec::new());
        for Member { backplane, receive_log, events, accepted: sending, start, .. } in members {
            accepted.push(within(SLOW_DEADLINE, sending).await.expect("it does not panic"));
            listening.push((backplane, receive_log, events, start));
        }
        let end = tokio::spawn(end(first));
        let (mut receive_logs, mut ended) = (Vec::new(), Vec::new());
        for (backplane, receive_log, events, start) in listening {
            receive_logs.push(within(SLOW_DEADLINE, receive_log).await.expect("it does not panic"));
            let (start, end) = (start.into_inner(), Position::of(&backplane));
            start.zip(end).into_iter().for_each(|(start, end)| start.all_is_reported(&end));
            ended.push((backplane, events));
        }
        end.abort();
        let mut missing = 0;
        for ((backplane, events), receive_log) in ended.into_iter().zip(&receive_logs) {
            missing += backplane.health().lost;
            within(SLOW_DEADLINE, backplane.shutdown()).await;
            let events = within(SLOW_DEADLINE, events).await.expect("it does not panic");
            report_the_same_gaps(receive_log, &events);
        }
        let sent_log = observer.sent_log(accepted, receive_logs.iter().flatten()).await;
        hold(&sent_log, &receive_logs);
        let lost = receive_logs.iter().map(|receive_log| sent_log.lost(receive_log)).max();
        Totals { missing, lost: lost.unwrap_or_default() }
    }
}

impl Position {
    /// Returns `None` before the first message. No message arrives in between, since all tasks
    /// share one thread.
    fn of(backplane: &Backplane) -> Option<Self> {
        let cursor = backplane.attach("onlooker", None).cursor().to_string();
        let id = u64::from_str_radix(cursor.strip_prefix("s-0,")?, 16).ok()?;
        let metrics: HashMap<_, _> = metrics(backplane).into_iter().collect();
        let of = |name: &str| metrics[&format!("backplane_{name}")] as u64;
        let arrived = of("received") - of("duplicates");
        let (lost, restarts) = (of("lost"), of("counter_restarts"));
        (id < u64::MAX).then_some(Self { id, arrived, lost, restarts })
    }

    /// Asserts that each id up to `end` has either arrived or been reported as missing. After a
    /// counter reset, ids are ambiguous.
    fn all_is_reported(&self, end: &Self) {
        if end.restarts == self.restarts {
            let (arrived, lost) = (end.arrived - self.arrived, end.lost - self.lost);
            assert_eq!(arrived + lost, end.id - self.id, "{self:?} {end:?}");
        }
    }
}

/// Records the messages of a connection until the end of the soak.
async fn record(mut connection: Connection) -> Vec<Entry> {
    let mut receive_log = Vec::new();
    loop {
        receive_log.push(match connection.recv_or_gap().await.expect("attached") {
            Received::Invocation(invocation) => match number(&invocation) {
                END => return receive_log,
                number => Entry::Number(number),
            },
            Received::Gap(gap) => Entry::Gap { from: gap.from, to: gap.to },
            other => panic!("{other:?}"),
        });
    }
}

/// Sends one number after the other, and returns those that the broker accepted.
async fn send_numbers(backplane: Backplane, index: u64, is_over: Arc<AtomicBool>) -> Vec<u64> {
    let mut accepted = Vec::new();
    for number in index * SENDER.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        if backplane.send(Target::all(), invocation(number)).await.is_ok() {
            accepted.push(number);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    accepted
}

/// Sends the last message repeatedly, since a subscription may be reconnecting.
async fn end(backplane: Backplane) {
    loop {
        let _ = backplane.send(Target::all(), invocation(END)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asserts that the application's events contain the gaps of its connection. Later ones may follow.
fn report_the_same_gaps(receive_log: &[Entry], events: &[Event]) {
    let gaps = receive_log.iter().filter(|entry| matches!(entry, Entry::Gap { .. })).copied();
    let gaps: Vec<_> = gaps.collect();
    let reported = events.iter().filter_map(|event| match event {
        Event::Gap(gap) => Some(Entry::Gap { from: gap.from, to: gap.to }),
        _ => None,
    });
    let reported: Vec<_> = reported.take(gaps.len()).collect();
    assert_eq!(reported, gaps, "the application and its connection are reported different gaps");
}

fn hold(sent_log: &SentLog, receive_logs: &[Vec<Entry>]) {
    for (index, receive_log) in receive_logs.iter().enumerate() {
        let faults = sent_log.faults(receive_log);
        assert!(faults.is_empty(), "at connection {index}: {faults:#?}");
        let faults = disagreements(&receive_logs[0], receive_log);
        assert!(faults.is_empty(), "at the connections 0 and {index}: {faults:#?}");
    }
}
