//! A talk among the servers of an app: each says one number after the other while something is done
//! to them, and in the end what every connection got is judged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backplane::{Backplane, Connection, Event, Received, Target};
use harness::{Client, SLOW_DEADLINE, eventually_within, within};
use tokio::task::JoinHandle;

use crate::farm::{events, invocation, metrics, number};
use crate::ledger::{Entry, Ledger, SPEAKER, disagreements};
use crate::witness::Witness;

/// Servers that talk.
pub(crate) struct Talk {
    members: Vec<Member>,
    pub(crate) witness: Witness,
}

/// One server, with a connection that notes what it gets and a task that sends.
struct Member {
    backplane: Backplane,
    account: JoinHandle<Vec<Entry>>,
    events: JoinHandle<Vec<Event>>,
    taken: JoinHandle<Vec<u64>>,
    is_over: Arc<AtomicBool>,
    start: OnceLock<Stand>,
}

/// Where a server stands, and what has come to it of what there was up to there.
#[derive(Clone, Copy, Debug)]
struct Stand {
    id: u64,
    arrived: u64,
    lost: u64,
    restarts: u64,
}

/// What the end of a talk says.
pub(crate) const END: u64 = u64::MAX;

impl Talk {
    /// Begins a talk that nobody overhears.
    pub(crate) fn among(backplanes: impl IntoIterator<Item = Backplane>) -> Self {
        Self::before(Witness::default(), backplanes)
    }

    /// Begins a talk before a witness.
    pub(crate) fn before(
        witness: Witness,
        backplanes: impl IntoIterator<Item = Backplane>,
    ) -> Self {
        // All listen before anybody says something.
        let listening = backplanes.into_iter().enumerate().map(|(index, backplane)| {
            let events = events(&backplane);
            let connection = backplane.attach(&format!("connection-{index}"), None);
            (backplane, index as u64, events, tokio::spawn(account(connection)))
        });
        let listening: Vec<_> = listening.collect();
        let members = listening.into_iter().map(|(backplane, index, events, account)| {
            let is_over = Arc::new(AtomicBool::new(false));
            let taken = tokio::spawn(say(backplane.clone(), index, is_over.clone()));
            Member { backplane, account, events, taken, is_over, start: OnceLock::new() }
        });
        Self { members: members.collect(), witness }
    }

    /// Returns once a server has been sent so many more messages from now on.
    pub(crate) async fn goes_on(&self, index: usize, count: u64) {
        let mut connection = self.members[index].backplane.attach("watcher", None);
        for _ in 0..count {
            within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        }
        for Member { backplane, start, .. } in self.members.iter() {
            if start.get().is_none() {
                eventually_within(SLOW_DEADLINE, async || Stand::of(backplane).is_some()).await;
                start.get_or_init(|| Stand::of(backplane).expect("it has heard something"));
            }
        }
    }

    /// Goes on before and after each of these commands, and returns once all servers hear themselves.
    pub(crate) async fn goes_on_through(&self, client: &mut Client, commands: &[&[&str]]) {
        for command in commands {
            self.goes_on(0, 100).await;
            client.command(command).await;
            self.goes_on(1, 100).await;
            self.all_are_ready().await;
        }
    }

    pub(crate) fn backplanes(&self) -> impl Iterator<Item = &Backplane> {
        self.members.iter().map(|member| &member.backplane)
    }

    /// Returns once all servers hear themselves.
    pub(crate) async fn all_are_ready(&self) {
        eventually_within(SLOW_DEADLINE, async || {
            self.backplanes().all(|backplane| backplane.health().is_ready)
        })
        .await;
    }

    /// Ends the talk, and judges what all connections got. Returns how many messages are missing
    /// all in all, as the servers say.
    pub(crate) async fn judge(self) -> u64 {
        let Self { members, witness } = self;
        members.iter().for_each(|member| member.is_over.store(true, Ordering::Relaxed));
        let first = members[0].backplane.clone();
        let (mut taken, mut listening) = (Vec::new(), Vec::new());
        for Member { backplane, account, events, taken: said, start, .. } in members {
            taken.push(within(SLOW_DEADLINE, said).await.expect("it does not panic"));
            listening.push((backplane, account, events, start));
        }
        let end = tokio::spawn(end(first));
        let (mut accounts, mut ended) = (Vec::new(), Vec::new());
        for (backplane, account, events, start) in listening {
            accounts.push(within(SLOW_DEADLINE, account).await.expect("it does not panic"));
            let (start, end) = (start.into_inner(), Stand::of(&backplane));
            start.zip(end).into_iter().for_each(|(start, end)| start.all_is_reported(&end));
            ended.push((backplane, events));
        }
        end.abort();
        let mut missing = 0;
        for ((backplane, events), account) in ended.into_iter().zip(&accounts) {
            missing += backplane.health().lost;
            backplane.shutdown().await;
            let events = within(SLOW_DEADLINE, events).await.expect("it does not panic");
            report_the_same_gaps(account, &events);
        }
        let ledger = witness.ledger(taken, accounts.iter().flatten()).await;
        hold(&ledger, &accounts);
        missing
    }
}

impl Stand {
    /// Nothing comes while this looks, since all runs on one thread. `None` before anything came.
    fn of(backplane: &Backplane) -> Option<Self> {
        let cursor = backplane.attach("onlooker", None).cursor().to_string();
        let id = u64::from_str_radix(cursor.strip_prefix("s-0,")?, 16).ok()?;
        let metrics: HashMap<_, _> = metrics(backplane).into_iter().collect();
        let of = |name: &str| metrics[&format!("backplane_{name}")] as u64;
        let arrived = of("received") - of("duplicates");
        let (lost, restarts) = (of("lost"), of("counter_restarts"));
        (id < u64::MAX).then_some(Self { id, arrived, lost, restarts })
    }

    /// Every id up to a later stand has arrived or is said to be missing, and none is both, as long
    /// as none was given twice.
    fn all_is_reported(&self, end: &Self) {
        if end.restarts == self.restarts {
            let (arrived, lost) = (end.arrived - self.arrived, end.lost - self.lost);
            assert_eq!(arrived + lost, end.id - self.id, "{self:?} {end:?}");
        }
    }
}

/// Notes what a connection gets, until the end of the talk.
async fn account(mut connection: Connection) -> Vec<Entry> {
    let mut account = Vec::new();
    loop {
        account.push(match connection.recv_or_gap().await.expect("attached") {
            Received::Invocation(invocation) => match number(&invocation) {
                END => return account,
                number => Entry::Number(number),
            },
            Received::Gap(gap) => Entry::Gap { from: gap.from, to: gap.to },
            other => panic!("{other:?}"),
        });
    }
}

/// Says one number after the other, and returns those that were taken.
async fn say(backplane: Backplane, index: u64, is_over: Arc<AtomicBool>) -> Vec<u64> {
    let mut taken = Vec::new();
    for number in index * SPEAKER.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        if backplane.send(Target::all(), invocation(number)).await.is_ok() {
            taken.push(number);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    taken
}

/// Said again and again, since a connection may be on its way back.
async fn end(backplane: Backplane) {
    loop {
        let _ = backplane.send(Target::all(), invocation(END)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The application is told what its connections are told, and perhaps more after the end.
fn report_the_same_gaps(account: &[Entry], events: &[Event]) {
    let gaps = account.iter().filter(|entry| matches!(entry, Entry::Gap { .. })).copied();
    let gaps: Vec<_> = gaps.collect();
    let told = events.iter().filter_map(|event| match event {
        Event::Gap(gap) => Some(Entry::Gap { from: gap.from, to: gap.to }),
        _ => None,
    });
    let told: Vec<_> = told.take(gaps.len()).collect();
    assert_eq!(told, gaps, "the application and its connection are told different gaps");
}

fn hold(ledger: &Ledger, accounts: &[Vec<Entry>]) {
    for (index, account) in accounts.iter().enumerate() {
        let faults = ledger.faults(account);
        assert!(faults.is_empty(), "at connection {index}: {faults:#?}");
        let faults = disagreements(&accounts[0], account);
        assert!(faults.is_empty(), "at the connections 0 and {index}: {faults:#?}");
    }
}
