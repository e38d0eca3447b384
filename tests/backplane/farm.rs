//! Many servers of one app, and what their connections got.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backplane::{Backplane, Connection, Event, Invocation, Options, Received, State, Target};
use broker::Broker;
use harness::{DEADLINE, SLOW_DEADLINE, eventually_within, within};
use tokio::task::JoinHandle;

/// Where servers meet.
pub(crate) enum Bus {
    Embedded(Broker),
    Url(String),
}

impl Bus {
    pub(crate) async fn join(&self, app: &str) -> Backplane {
        self.join_with(app, options()).await
    }

    pub(crate) async fn join_with(&self, app: &str, options: Options) -> Backplane {
        match self {
            Self::Embedded(broker) => Backplane::embedded_with(broker, app, options),
            Self::Url(url) => join_with(url, app, options).await,
        }
    }
}

pub(crate) async fn join(url: &str, app: &str) -> Backplane {
    join_with(url, app, options()).await
}

pub(crate) async fn join_with(url: &str, app: &str, options: Options) -> Backplane {
    let joined = within(SLOW_DEADLINE, Backplane::from_url_with(url, app, options)).await;
    joined.unwrap_or_else(|error| panic!("cannot join {url}: {error}"))
}

/// The hub of the tutorial, and probes that a test need not wait for.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.hub = "ChatHub".to_owned();
    options.probe_interval = Duration::from_millis(500);
    options
}

pub(crate) fn invocation(number: u64) -> Invocation {
    Invocation::new("number", [number]).expect("an array")
}

pub(crate) async fn send(backplane: &Backplane, target: Target, number: u64) {
    let sent = within(SLOW_DEADLINE, backplane.send(target, invocation(number))).await;
    sent.unwrap_or_else(|error| panic!("{number} was not sent: {error}"));
}

pub(crate) fn number(invocation: &Invocation) -> u64 {
    let numbers: Vec<u64> =
        serde_json::from_str(invocation.arguments().get()).expect("an array of one number");
    numbers[0]
}

pub(crate) async fn receive(connection: &mut Connection, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let invocation = within(DEADLINE, connection.recv()).await.expect("attached");
        numbers.push(number(&invocation));
    }
    numbers
}

/// Sends something to all: whatever was on its way to these connections would come before it.
pub(crate) async fn nothing_more(backplane: &Backplane, connections: &mut [&mut Connection]) {
    const LAST: u64 = 999_999;
    send(backplane, Target::all(), LAST).await;
    for connection in connections {
        assert_eq!(receive(connection, 1).await, [LAST], "connection {}", connection.id());
    }
}

pub(crate) async fn is_ready(backplane: &Backplane) {
    eventually_within(SLOW_DEADLINE, async || backplane.health().is_ready).await;
}

pub(crate) async fn is_connected(backplane: &Backplane) {
    let mut states = backplane.state_changes();
    let connected = states.wait_for(|state| *state == State::Connected);
    within(SLOW_DEADLINE, connected).await.expect("the backplane is there");
}

pub(crate) async fn is_disconnected(backplane: &Backplane) {
    let mut states = backplane.state_changes();
    let lost = states.wait_for(|state| matches!(state, State::Disconnected { .. }));
    within(SLOW_DEADLINE, lost).await.expect("the backplane is there");
}

/// One server of a farm, with a connection that notes what it gets and a task that sends.
pub(crate) struct Member {
    pub(crate) backplane: Backplane,
    notes: JoinHandle<Notes>,
    talk: JoinHandle<Vec<u64>>,
    stop: Arc<AtomicU64>,
}

/// What one connection got, and what its server said about it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) numbers: Vec<u64>,
    /// How many ids are missing, as the connection was told.
    pub(crate) missing: u64,
}

/// What the end of a farm's talk says.
const END: u64 = u64::MAX;

/// Lets these servers talk: numbers that no other member says, one after the other.
pub(crate) fn talk(backplanes: impl IntoIterator<Item = Backplane>) -> Vec<Member> {
    // All listen before anybody says something.
    let listening: Vec<_> = backplanes
        .into_iter()
        .enumerate()
        .map(|(index, backplane)| {
            let connection = backplane.attach(&format!("connection-{index}"), None);
            (backplane, index as u64, tokio::spawn(note(connection)))
        })
        .collect();
    let members = listening.into_iter();
    members.map(|(backplane, index, notes)| Member::new(backplane, index, notes)).collect()
}

/// Notes what a connection gets, until the end of the talk.
async fn note(mut connection: Connection) -> Notes {
    let mut notes = Notes::default();
    loop {
        match connection.recv_or_gap().await.expect("attached") {
            Received::Invocation(invocation) => match number(&invocation) {
                END => return notes,
                number => notes.numbers.push(number),
            },
            Received::Gap(gap) => notes.missing += gap.count(),
            _ => {}
        }
    }
}

impl Member {
    fn new(backplane: Backplane, index: u64, notes: JoinHandle<Notes>) -> Self {
        let (stop, talker) = (Arc::new(AtomicU64::new(0)), backplane.clone());
        let stopped = stop.clone();
        let talk = tokio::spawn(async move {
            let mut taken = Vec::new();
            for count in 0.. {
                if stopped.load(Ordering::Relaxed) > 0 {
                    break;
                }
                let number = index * 1_000_000 + count;
                if talker.send(Target::all(), invocation(number)).await.is_ok() {
                    taken.push(number);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            taken
        });
        Self { backplane, notes, talk, stop }
    }

    /// Returns once it has been sent so many more messages from now on.
    pub(crate) async fn has_received_more(&self, count: u64) {
        let mut connection = self.backplane.attach("watcher", None);
        for _ in 0..count {
            within(SLOW_DEADLINE, connection.recv()).await.expect("attached");
        }
    }
}

/// Ends the talk, and judges what all members got: nothing twice, and nothing lost without a word.
pub(crate) async fn judge(members: Vec<Member>) {
    members.iter().for_each(|member| member.stop.store(1, Ordering::Relaxed));
    let (mut taken, mut listening) = (Vec::new(), Vec::new());
    for member in members {
        taken.extend(within(SLOW_DEADLINE, member.talk).await.expect("it does not panic"));
        listening.push((member.backplane, member.notes));
    }
    // Said again and again, since a connection may be on its way back.
    let first = listening[0].0.clone();
    let end = tokio::spawn(async move {
        loop {
            let _ = first.send(Target::all(), invocation(END)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    for (backplane, notes) in listening {
        let notes = within(SLOW_DEADLINE, notes).await.expect("it does not panic");
        let received: HashSet<_> = notes.numbers.iter().copied().collect();
        assert_eq!(received.len(), notes.numbers.len(), "something came twice");
        for index in 0..1000 {
            let of_one: Vec<_> =
                notes.numbers.iter().filter(|number| *number / 1_000_000 == index).collect();
            assert!(of_one.is_sorted(), "what one server sent came in another order");
        }
        let lost = taken.iter().filter(|number| !received.contains(number)).count() as u64;
        assert!(lost <= notes.missing, "{lost} were lost, and {} are said to be", notes.missing);
        assert!(notes.missing <= backplane.health().lost, "the application is told less");
    }
    end.abort();
}

/// Collects the events of a backplane.
pub(crate) fn events(backplane: &Backplane) -> JoinHandle<Vec<Event>> {
    let mut events = backplane.events();
    tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        all
    })
}
